/* SPDX-License-Identifier: MIT */
/*
 * What a TLS stream knows of its connection: attributes, keying material, channel bindings.
 *
 * What has a size of its own is made when it is first asked for, and lives as long as the stream.
 * Nothing here waits.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls.h"

#define NAMES_MAX 4096 /* of a certificate's: the rest is left out */

struct anyc__tls_facts {
	struct anyc_tls_bytes certificate;
	const char *subject;
	char **names;
};

const struct anyc_attribute anyc__tls_attribute_self = {
	"tls stream", sizeof(struct anyc__tls_stream *)
};
const struct anyc_attribute anyc_tls_attribute_version = { "tls version", 16 };
const struct anyc_attribute anyc_tls_attribute_cipher = { "tls cipher", 64 };
const struct anyc_attribute anyc_tls_attribute_server_side = { "tls server side", sizeof(bool) };
const struct anyc_attribute anyc_tls_attribute_alpn = { "tls alpn protocol", 256 };
const struct anyc_attribute anyc_tls_attribute_server_name = { "tls server name", 256 };
const struct anyc_attribute anyc_tls_attribute_resumed = { "tls session resumed", sizeof(bool) };
const struct anyc_attribute anyc_tls_attribute_ragged_eof = { "tls ragged eof", sizeof(bool) };
const struct anyc_attribute anyc_tls_attribute_shared_ciphers = { "tls shared ciphers", 1024 };
const struct anyc_attribute anyc_tls_attribute_peer_certificate = {
	"tls peer certificate", sizeof(struct anyc_tls_bytes)
};
const struct anyc_attribute anyc_tls_attribute_peer_subject = {
	"tls peer subject", sizeof(const char *)
};
const struct anyc_attribute anyc_tls_attribute_peer_names = {
	"tls peer names", sizeof(const char *const *)
};

/* ------------------------------------------------------------------------ the certificate */

static char *print_subject(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *data;
	long size;

	if (bio != NULL &&
	    X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0) {
		size = BIO_get_mem_data(bio, &data);
		text = malloc((size_t)size + 1);
		if (text != NULL) {
			if (size > 0)
				memcpy(text, data, (size_t)size);
			text[size] = '\0';
		}
	}
	BIO_free(bio);
	return text;
}

/* Whatever stands in the certificate, the text has no end and no line of its own in it. */
static char *print_name(const char *kind, const ASN1_STRING *value)
{
	const unsigned char *data = ASN1_STRING_get0_data(value);
	size_t size = (size_t)ASN1_STRING_length(value), n = strlen(kind), i;
	char *text = malloc(n + 4 * size + 1);

	if (text == NULL)
		return NULL;
	memcpy(text, kind, n);
	for (i = 0; i < size; i++) {
		if (data[i] > ' ' && data[i] < 0x7f && data[i] != '\\')
			text[n++] = (char)data[i];
		else
			n += (size_t)sprintf(text + n, "\\x%02x", data[i]);
	}
	text[n] = '\0';
	return text;
}

static char *print_address(const ASN1_OCTET_STRING *value)
{
	char text[3 + INET6_ADDRSTRLEN] = "IP:";
	int family = ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6;

	if (family == AF_INET6 && ASN1_STRING_length(value) != 16)
		return print_name("IP:", value);
	if (inet_ntop(family, ASN1_STRING_get0_data(value), text + 3, INET6_ADDRSTRLEN) == NULL)
		return NULL;
	return strdup(text);
}

/* false: no memory.  Kinds of names that no protocol on TLS goes by are left out. */
static bool add_name(char **names, int *count, const GENERAL_NAME *name)
{
	char *text;

	switch (name->type) {
	case GEN_DNS:
		text = print_name("DNS:", name->d.dNSName);
		break;
	case GEN_EMAIL:
		text = print_name("email:", name->d.rfc822Name);
		break;
	case GEN_URI:
		text = print_name("URI:", name->d.uniformResourceIdentifier);
		break;
	case GEN_IPADD:
		text = print_address(name->d.iPAddress);
		break;
	default:
		return true;
	}
	if (text != NULL)
		names[(*count)++] = text;
	return text != NULL;
}

static void free_names(char **names)
{
	size_t i;

	for (i = 0; names != NULL && names[i] != NULL; i++)
		free(names[i]);
	free(names);
}

static char **print_names(X509 *cert)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int given = all != NULL ? sk_GENERAL_NAME_num(all) : 0, count = 0, i;
	int taken = given < NAMES_MAX ? given : NAMES_MAX;
	char **names = calloc((size_t)taken + 1, sizeof *names);
	bool ok = names != NULL;

	for (i = 0; ok && i < taken; i++)
		ok = add_name(names, &count, sk_GENERAL_NAME_value(all, i));
	GENERAL_NAMES_free(all);
	if (ok)
		return names;
	free_names(names);
	return NULL;
}

static bool fill(struct anyc__tls_facts *facts, X509 *cert)
{
	int size = i2d_X509(cert, NULL);
	unsigned char *data = size > 0 ? malloc((size_t)size) : NULL, *place = data;

	if (data == NULL)
		return false;
	facts->certificate.data = data;
	facts->certificate.size = (size_t)size;
	if (i2d_X509(cert, &place) != size)
		return false;
	facts->subject = print_subject(cert);
	facts->names = print_names(cert);
	return facts->subject != NULL && facts->names != NULL;
}

void anyc__tls_facts_free(struct anyc__tls_facts *facts)
{
	if (facts == NULL)
		return;
	free((void *)(uintptr_t)facts->certificate.data);
	free((void *)(uintptr_t)facts->subject);
	free_names(facts->names);
	free(facts);
}

static int read_certificate(struct anyc__tls_stream *t)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	struct anyc__tls_facts *facts;

	if (t->facts != NULL)
		return 0;
	if (cert == NULL)
		return anyc_fail(ANYC_ENOATTR, 0, "%s has shown no certificate", anyc__tls_peer(t));
	facts = calloc(1, sizeof *facts);
	ERR_clear_error();
	if (facts == NULL || !fill(facts, cert)) {
		ERR_clear_error();
		anyc__tls_facts_free(facts);
		return anyc_fail(-ENOMEM, 0, "no memory to read the certificate of %s",
				 anyc__tls_peer(t));
	}
	t->facts = facts;
	return 0;
}

/* ----------------------------------------------------------------------------- attributes */

static void copy_text(const struct anyc_attribute *attribute, void *out, const void *text,
		      size_t length)
{
	memset(out, 0, attribute->size);
	memcpy(out, text, length < attribute->size ? length : attribute->size - 1);
}

static int peer_attribute(struct anyc__tls_stream *t, const struct anyc_attribute *attribute,
			  void *out)
{
	int rc = read_certificate(t);

	if (rc != 0)
		return rc;
	if (attribute == &anyc_tls_attribute_peer_certificate)
		memcpy(out, &t->facts->certificate, sizeof t->facts->certificate);
	else if (attribute == &anyc_tls_attribute_peer_subject)
		memcpy(out, &t->facts->subject, sizeof t->facts->subject);
	else
		memcpy(out, &t->facts->names, sizeof t->facts->names);
	return 0;
}

static bool is_of_tls(const struct anyc_attribute *attribute)
{
	static const struct anyc_attribute *const ours[] = {
		&anyc_tls_attribute_version,          &anyc_tls_attribute_cipher,
		&anyc_tls_attribute_alpn,             &anyc_tls_attribute_server_name,
		&anyc_tls_attribute_resumed,          &anyc_tls_attribute_peer_certificate,
		&anyc_tls_attribute_peer_subject,     &anyc_tls_attribute_peer_names,
		&anyc_tls_attribute_shared_ciphers,
	};
	size_t i;

	for (i = 0; i < sizeof ours / sizeof *ours; i++)
		if (attribute == ours[i])
			return true;
	return false;
}

static int shared_ciphers(struct anyc__tls_stream *t, char *out)
{
	int size = (int)anyc_tls_attribute_shared_ciphers.size;

	if (t->server && SSL_get_shared_ciphers(t->ssl, out, size) != NULL)
		return 0;
	return anyc_fail(ANYC_ENOATTR, 0, "only a server is told which ciphers its peer knows");
}

/* A client's is what it has sent; a server's what it was asked for. */
static const char *server_name(const struct anyc__tls_stream *t)
{
	const char *name = t->server ? t->asked
				     : SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

	return name != NULL ? name : "";
}

int anyc__tls_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	struct anyc__tls_stream *t = (struct anyc__tls_stream *)s;
	const unsigned char *protocol;
	const char *text = "";
	unsigned length;
	bool flag = t->server;

	if (attribute == &anyc__tls_attribute_self) {
		memcpy(out, &t, sizeof t);
		return 0;
	}
	if (attribute == &anyc_tls_attribute_server_side) {
		memcpy(out, &flag, sizeof flag);
		return 0;
	}
	if (attribute == &anyc_tls_attribute_ragged_eof) {
		memcpy(out, &t->ragged_eof, sizeof t->ragged_eof);
		return 0;
	}
	if (!is_of_tls(attribute))
		return t->transport == NULL ? ANYC_ECLOSED
					    : anyc_stream_attribute(t->transport, attribute, out,
								    attribute->size);
	if (!t->ready)
		return anyc_fail(ANYC_ENOATTR, 0, "%s: the handshake is still to be done",
				 attribute->name);
	if (attribute == &anyc_tls_attribute_resumed) {
		flag = SSL_session_reused(t->ssl) == 1;
		memcpy(out, &flag, sizeof flag);
		return 0;
	}
	if (attribute == &anyc_tls_attribute_shared_ciphers)
		return shared_ciphers(t, out);
	if (attribute == &anyc_tls_attribute_alpn) {
		SSL_get0_alpn_selected(t->ssl, &protocol, &length);
		copy_text(attribute, out, length > 0 ? (const char *)protocol : text, length);
		return 0;
	}
	if (attribute == &anyc_tls_attribute_version)
		text = SSL_get_version(t->ssl);
	else if (attribute == &anyc_tls_attribute_cipher)
		text = SSL_get_cipher_name(t->ssl);
	else if (attribute == &anyc_tls_attribute_server_name)
		text = server_name(t);
	else
		return peer_attribute(t, attribute, out);
	copy_text(attribute, out, text, strlen(text));
	return 0;
}

/* -------------------------------------------------------------------------- keying material */

static int ready_stream(struct anyc__tls_stream **out, struct anyc_stream *s, const char *call)
{
	*out = anyc__tls_cast(s);
	if (*out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s needs a TLS stream", call);
	if ((*out)->closed)
		return ANYC_ECLOSED;
	if (!(*out)->ready)
		return anyc_fail(ANYC_ENOATTR, 0, "%s: the handshake is still to be done", call);
	return 0;
}

/*
 * Without the extended master secret (RFC 7627) somebody in the middle can have two connections of
 * TLS 1.2 agree on what is derived.
 */
static int has_own_secret(const struct anyc__tls_stream *t)
{
	if (SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) == 1)
		return 0;
	return anyc_fail(ANYC_ENOTSUP, 0,
			 "%s does not know the extended master secret: nothing can be derived from "
			 "this connection", anyc__tls_peer(t));
}

static int export(struct anyc__tls_stream *t, void *out, size_t size, const char *label,
		  const void *context, size_t context_size)
{
	int rc = has_own_secret(t);

	if (rc != 0)
		return rc;
	ERR_clear_error();
	if (SSL_export_keying_material(t->ssl, out, size, label, strlen(label), context,
				       context_size, context != NULL) == 1)
		return 0;
	memset(out, 0, size);
	return anyc_fail(ANYC_ETLS, 0, "keying material for \"%s\": %s", label, anyc__tls_reason());
}

int anyc_tls_export(struct anyc_stream *s, void *out, size_t size, const char *label,
		    const void *context, size_t context_size)
{
	struct anyc__tls_stream *t;
	int rc = ready_stream(&t, s, "anyc_tls_export()");

	if (rc != 0)
		return rc;
	if (out == NULL || size == 0 || label == NULL || *label == '\0' ||
	    (context == NULL && context_size > 0))
		return anyc_fail(ANYC_EINVAL, 0, "anyc_tls_export() needs room and a label");
	return export(t, out, size, label, context, context_size);
}

/* ------------------------------------------------------------------------- channel bindings */

/* RFC 5929, 4.1: the hash of its signature, or SHA-256 for the two that are too weak. */
static const EVP_MD *binding_hash(X509 *cert)
{
	int nid = NID_undef;

	if (X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1)
		return NULL;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	return EVP_get_digestbynid(nid);
}

static int end_point(struct anyc__tls_stream *t, void *out, size_t size)
{
	X509 *cert = t->server ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
	const EVP_MD *hash = cert != NULL ? binding_hash(cert) : NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length;

	if (hash == NULL)
		return anyc_fail(ANYC_ENOTSUP, 0,
				 "tls-server-end-point: the server's certificate is signed without "
				 "a hash");
	ERR_clear_error();
	if (X509_digest(cert, hash, digest, &length) != 1)
		return anyc_fail(ANYC_ETLS, 0, "tls-server-end-point: %s", anyc__tls_reason());
	if (length > size)
		return anyc_fail(ANYC_EINVAL, 0, "tls-server-end-point has %u bytes", length);
	memcpy(out, digest, length);
	return (int)length;
}

/* RFC 5929, 3.1: the first Finished of the last handshake, the client's unless it was resumed. */
static int unique(struct anyc__tls_stream *t, void *out, size_t size)
{
	bool is_mine = t->server == (SSL_session_reused(t->ssl) == 1);
	unsigned char finished[EVP_MAX_MD_SIZE];
	size_t length;
	int rc;

	if (SSL_version(t->ssl) >= TLS1_3_VERSION)
		return anyc_fail(ANYC_ENOTSUP, 0, "tls-unique is not defined for TLS 1.3; "
						  "tls-exporter is");
	rc = has_own_secret(t);
	if (rc != 0)
		return rc;
	length = is_mine ? SSL_get_finished(t->ssl, finished, sizeof finished)
			 : SSL_get_peer_finished(t->ssl, finished, sizeof finished);
	if (length > size)
		return anyc_fail(ANYC_EINVAL, 0, "tls-unique has %zu bytes", length);
	memcpy(out, finished, length);
	return (int)length;
}

int anyc_tls_channel_binding(struct anyc_stream *s, const char *type, void *out, size_t size)
{
	struct anyc__tls_stream *t;
	int rc = ready_stream(&t, s, "anyc_tls_channel_binding()");

	if (rc != 0)
		return rc;
	if (type == NULL || out == NULL)
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_tls_channel_binding() needs a type and room");
	if (strcmp(type, "tls-server-end-point") == 0)
		return end_point(t, out, size);
	if (strcmp(type, "tls-unique") == 0)
		return unique(t, out, size);
	if (strcmp(type, "tls-exporter") != 0)
		return anyc_fail(ANYC_ENOTSUP, 0, "no channel binding is called \"%s\"", type);
	if (size < 32)
		return anyc_fail(ANYC_EINVAL, 0, "tls-exporter has 32 bytes");
	rc = export(t, out, 32, "EXPORTER-Channel-Binding", "", 0);
	return rc == 0 ? 32 : rc;
}

struct ssl_st *anyc_tls_stream_openssl(struct anyc_stream *s)
{
	struct anyc__tls_stream *t = anyc__tls_cast(s);

	return t != NULL ? t->ssl : NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * Settings: what OpenSSL is told before any connection.  OpenSSL's own defaults verify nothing
 * and have no floor, so each setting here is needed; the tests' truth table holds them in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "tls.h"

int anyc__tls_no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int fail_with_reason(const char *what)
{
	return anyc_fail(ANYC_ETLS, 0, "%s: %s", what, anyc__tls_reason());
}

/* -------------------------------------------------------------------------------- defaults */

static int set_defaults(SSL_CTX *ssl, const struct anyc_tls_context_options *o)
{
	long floor = SSL_CTX_get_min_proto_version(ssl);
	long wanted = o->min_version != 0 ? (long)o->min_version : TLS1_2_VERSION;

	/* openssl.cnf may have a higher floor, which stays. */
	if ((floor == 0 || floor < wanted) && SSL_CTX_set_min_proto_version(ssl, wanted) != 1)
		return fail_with_reason("TLS context");
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* With it a cut connection looks like a finished one. */
	SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* SSL_read() would work through all the records without data that have come. */
	SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_default_passwd_cb(ssl, anyc__tls_no_passphrase);
	return 0;
}

/* ------------------------------------------------------------------------------- resumption */

/*
 * A session belongs to the settings that it was made under: those of another name that a server
 * answers to, or those of before a reload, may ask less of clients.
 */
static int set_sessions_of_server(SSL_CTX *ssl, bool none)
{
	unsigned char mark[SSL_MAX_SID_CTX_LENGTH];

	if (none) {
		SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ssl, 0);
	}
	if (RAND_bytes(mark, (int)sizeof mark) != 1 ||
	    SSL_CTX_set_session_id_context(ssl, mark, sizeof mark) != 1)
		return fail_with_reason("TLS context");
	return 0;
}

static int set_sessions(struct anyc__tls_settings *s, const struct anyc_tls_context_options *o)
{
	if (o->server)
		return set_sessions_of_server(s->ssl, o->no_resumption);
	SSL_CTX_set_session_cache_mode(s->ssl, SSL_SESS_CACHE_OFF);
	if (o->sessions == 0)
		return 0;
	SSL_CTX_set_session_cache_mode(s->ssl,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	s->sessions = anyc__tls_sessions_new(o->sessions);
	return s->sessions != NULL ? 0 : -ENOMEM;
}

/* --------------------------------------------------------------------------------- identity */

static int use_chain_pem(SSL_CTX *ssl, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, anyc__tls_no_passphrase, NULL)
				 : NULL;
	bool ok = cert != NULL && SSL_CTX_use_certificate(ssl, cert) == 1;
	unsigned long error;

	X509_free(cert);
	while (ok && (cert = PEM_read_bio_X509(bio, NULL, anyc__tls_no_passphrase, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ssl, cert) != 1) {
			X509_free(cert);
			ok = false;
		}
	BIO_free(bio);
	error = ERR_peek_last_error();
	/* How the end of the text is told. */
	if (ok && ERR_GET_LIB(error) == ERR_LIB_PEM &&
	    ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return 0;
	}
	return fail_with_reason("certificate chain in chain_pem");
}

static int use_key_pem(SSL_CTX *ssl, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, anyc__tls_no_passphrase,
							      NULL)
				    : NULL;
	bool ok = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok ? 0 : fail_with_reason("private key in key_pem");
}

static int set_identity(SSL_CTX *ssl, const struct anyc_tls_context_options *o)
{
	const char *where = o->key_file != NULL ? o->key_file : "key_pem";
	int rc = 0;

	if (o->chain_file == NULL && o->chain_pem == NULL)
		return 0;
	ERR_clear_error();
	if (o->chain_pem != NULL)
		rc = use_chain_pem(ssl, o->chain_pem);
	else if (SSL_CTX_use_certificate_chain_file(ssl, o->chain_file) != 1)
		rc = anyc_fail(ANYC_ETLS, 0, "certificate chain in %s: %s", o->chain_file,
			       anyc__tls_reason());
	if (rc == 0 && o->key_pem != NULL)
		rc = use_key_pem(ssl, o->key_pem);
	else if (rc == 0 && SSL_CTX_use_PrivateKey_file(ssl, o->key_file, SSL_FILETYPE_PEM) != 1)
		rc = anyc_fail(ANYC_ETLS, 0, "private key in %s: %s", where, anyc__tls_reason());
	if (rc == 0 && SSL_CTX_check_private_key(ssl) != 1)
		rc = anyc_fail(ANYC_ETLS, 0, "key in %s: %s", where, anyc__tls_reason());
	return rc;
}

/* ---------------------------------------------------------------------------------- ciphers */

static int unknown_cipher(const char *name, size_t length)
{
	ERR_clear_error();
	return anyc_fail(ANYC_EINVAL, 0, "no cipher is called \"%.*s\"", (int)length, name);
}

/* OpenSSL skips what it does not know: a slip would leave something else than was meant. */
static int check_cipher_string(const char *list)
{
	SSL_CTX *scratch = SSL_CTX_new(TLS_method());
	char one[128];
	size_t n;
	int rc = scratch != NULL ? 0 : -ENOMEM;

	for (; rc == 0 && *list != '\0'; list += n + (list[n] != '\0')) {
		n = strcspn(list, ":, ");
		/* What takes away or sorts may find nothing; a command is not a name. */
		if (n == 0 || strchr("!-+@", *list) != NULL)
			continue;
		snprintf(one, sizeof one, "%.*s", (int)n, list);
		if (n >= sizeof one || SSL_CTX_set_cipher_list(scratch, one) != 1)
			rc = unknown_cipher(list, n);
	}
	SSL_CTX_free(scratch);
	return rc;
}

static int set_ciphers(SSL_CTX *ssl, const char *list)
{
	/* With one of these there is no certificate to be verified, or nothing is hidden. */
	static const char never[] = ":!aNULL:!eNULL";
	size_t size = strlen(list) + sizeof never;
	char *all;
	int rc = check_cipher_string(list);

	if (rc != 0)
		return rc;
	all = malloc(size);
	if (all == NULL)
		return -ENOMEM;
	snprintf(all, size, "%s%s", list, never);
	if (SSL_CTX_set_cipher_list(ssl, all) != 1) {
		ERR_clear_error();
		rc = anyc_fail(ANYC_EINVAL, 0, "ciphers \"%s\": none is left", list);
	}
	free(all);
	return rc;
}

static bool has_suite(SSL_CTX *ssl, const char *name, size_t length)
{
	STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ssl);
	int i;

	for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
		const char *known = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i));

		if (strlen(known) == length && memcmp(known, name, length) == 0)
			return true;
	}
	return false;
}

static int set_suites(SSL_CTX *ssl, const char *list)
{
	size_t n;

	if (SSL_CTX_set_ciphersuites(ssl, list) != 1) {
		ERR_clear_error();
		return anyc_fail(ANYC_EINVAL, 0, "ciphersuites \"%s\": not a list of names", list);
	}
	for (; *list != '\0'; list += n + (list[n] != '\0')) {
		n = strcspn(list, ":");
		if (!has_suite(ssl, list, n))
			return unknown_cipher(list, n);
	}
	return 0;
}

/* ------------------------------------------------------------------------------------- ALPN */

/* Each with its length before it. */
static int write_protocols(struct anyc__tls_settings *s, const char *const *alpn)
{
	size_t size = 0, i, n;

	for (i = 0; alpn[i] != NULL; i++) {
		n = strlen(alpn[i]);
		if (n < 1 || n > 255)
			return anyc_fail(ANYC_EINVAL, 0, "a protocol of ALPN has 1 to 255 bytes");
		size += 1 + n;
	}
	if (size == 0 || size > 65533)
		return anyc_fail(ANYC_EINVAL, 0, "alpn lists %s: NULL means that none is spoken of",
				 size == 0 ? "no protocol" : "too many protocols");
	s->protocols = malloc(size);
	if (s->protocols == NULL)
		return -ENOMEM;
	for (i = 0; alpn[i] != NULL; i++) {
		n = strlen(alpn[i]);
		s->protocols[s->protocols_size] = (unsigned char)n;
		memcpy(s->protocols + s->protocols_size + 1, alpn[i], n);
		s->protocols_size += 1 + n;
	}
	return 0;
}

static int set_alpn(struct anyc__tls_settings *s, const struct anyc_tls_context_options *o)
{
	int rc = write_protocols(s, o->alpn);

	/* A server chooses in a callback.  (0 is success.) */
	if (rc == 0 && !o->server &&
	    SSL_CTX_set_alpn_protos(s->ssl, s->protocols, (unsigned)s->protocols_size) != 0)
		rc = -ENOMEM;
	return rc;
}

/* ----------------------------------------------------------------------------------- public */

static int open_keylog(struct anyc__tls_settings *s, const char *path)
{
	s->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (s->keylog_fd < 0)
		return anyc_fail(-errno, errno, "key log %s: %s", path, strerror(errno));
	return 0;
}

static int fill(struct anyc__tls_settings *s, const struct anyc_tls_context_options *o)
{
	int rc;

	ERR_clear_error();
	s->ssl = SSL_CTX_new(o->server ? TLS_server_method() : TLS_client_method());
	if (s->ssl == NULL)
		return fail_with_reason("TLS context");
	rc = set_defaults(s->ssl, o);
	if (rc == 0)
		rc = set_sessions(s, o);
	if (rc == 0 && o->ciphers != NULL)
		rc = set_ciphers(s->ssl, o->ciphers);
	if (rc == 0 && o->ciphersuites != NULL)
		rc = set_suites(s->ssl, o->ciphersuites);
	if (rc == 0 && o->alpn != NULL)
		rc = set_alpn(s, o);
	if (rc == 0)
		rc = anyc__tls_load_trust(s->ssl, o);
	if (rc == 0)
		rc = set_identity(s->ssl, o);
	if (rc == 0 && o->keylog_file != NULL)
		rc = open_keylog(s, o->keylog_file);
	if (rc == 0)
		anyc__tls_set_callbacks(s, o->server);
	return rc;
}

int anyc__tls_settings_new(struct anyc__tls_settings **out,
			   const struct anyc_tls_context_options *o)
{
	struct anyc__tls_settings *s = calloc(1, sizeof *s);
	int rc;

	*out = NULL;
	if (s == NULL)
		return -ENOMEM;
	atomic_init(&s->references, 1);
	s->choose = o->choose;
	s->choose_arg = o->choose_arg;
	s->keylog = o->keylog;
	s->keylog_arg = o->keylog_arg;
	s->keylog_fd = -1;
	rc = fill(s, o);
	if (rc != 0) {
		anyc__tls_settings_unref(s);
		return rc;
	}
	*out = s;
	return 0;
}

void anyc__tls_settings_unref(struct anyc__tls_settings *s)
{
	if (s == NULL ||
	    atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(s->ssl);
	anyc__tls_sessions_free(s->sessions);
	free(s->protocols);
	if (s->keylog_fd >= 0)
		close(s->keylog_fd);
	free(s);
}

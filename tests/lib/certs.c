/* SPDX-License-Identifier: MIT */
/* Certificates for tests; see certs.h.  Keys are P-256: they are made in no time. */
#include "certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define MUST(condition) ((condition) ? (void)0 : give_up(#condition, __LINE__))

static void give_up(const char *what, int line)
{
	fprintf(stderr, "certs.c:%d: %s\n", line, what);
	ERR_print_errors_fp(stderr);
	abort();
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	MUST(extension != NULL);
	MUST(X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static void set_dates(X509 *cert, const struct certs_spec *spec)
{
	int from = spec->from_days, to = spec->to_days;

	if (from == 0 && to == 0) {
		from = -1;
		to = 1;
	}
	MUST(X509_gmtime_adj(X509_getm_notBefore(cert), 86400L * from) != NULL);
	MUST(X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * to) != NULL);
}

/* Signed by the issuer, or by itself where that is NULL. */
static X509 *make_certificate(const struct certs_spec *spec, EVP_PKEY *key, X509 *issuer,
			      EVP_PKEY *issuer_key, bool ca)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *name;

	MUST(cert != NULL);
	MUST(X509_set_version(cert, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	name = X509_get_subject_name(cert);
	if (spec->common_name != NULL)
		MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
						(const unsigned char *)spec->common_name, -1, -1,
						0) == 1);
	if (issuer == NULL)
		issuer = cert;
	MUST(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
	set_dates(cert, spec);
	MUST(X509_set_pubkey(cert, key) == 1);
	add_extension(cert, issuer, NID_basic_constraints,
		      ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (ca)
		add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	if (spec->names != NULL)
		add_extension(cert, cert, NID_subject_alt_name, spec->names);
	if (spec->usage != NULL)
		add_extension(cert, issuer, NID_ext_key_usage, spec->usage);
	MUST(X509_sign(cert, issuer_key != NULL ? issuer_key : key, EVP_sha256()) > 0);
	return cert;
}

static void write_pem(const char *path, X509 *cert, X509 *above, EVP_PKEY *key, bool passphrase)
{
	static const unsigned char secret[] = "secret";
	const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
	int length = passphrase ? (int)sizeof secret - 1 : 0;
	FILE *file = fopen(path, "wx");

	MUST(file != NULL);
	MUST(PEM_write_X509(file, cert) == 1);
	if (above != NULL)
		MUST(PEM_write_X509(file, above) == 1);
	if (key != NULL)
		MUST(PEM_write_PrivateKey(file, key, cipher, passphrase ? secret : NULL, length,
					  NULL, NULL) == 1);
	MUST(fclose(file) == 0);
}

static void make_ca(struct certs *c, int which, const char *name, char *path, size_t size)
{
	struct certs_spec spec = { .common_name = name, .from_days = -30, .to_days = 30 };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert;

	MUST(key != NULL);
	cert = make_certificate(&spec, key, NULL, NULL, true);
	snprintf(path, size, "%s/ca-%d.pem", c->directory, which);
	write_pem(path, cert, NULL, NULL, false);
	c->ca_private[which][0] = cert;
	c->ca_private[which][1] = key;
}

static void make_middle(struct certs *c)
{
	struct certs_spec spec = { .common_name = "in the middle", .from_days = -20,
				   .to_days = 20 };
	EVP_PKEY *key = EVP_EC_gen("P-256");

	MUST(key != NULL);
	c->ca_private[CERTS_BY_MIDDLE][0] =
		make_certificate(&spec, key, c->ca_private[CERTS_BY_CA][0],
				 c->ca_private[CERTS_BY_CA][1], true);
	c->ca_private[CERTS_BY_MIDDLE][1] = key;
}

void certs_make(struct certs *c)
{
	const char *where = getenv("TMPDIR");

	memset(c, 0, sizeof *c);
	if (where == NULL || strlen(where) > 40)
		where = "/tmp";
	snprintf(c->directory, sizeof c->directory, "%s/anyc-certs-XXXXXX", where);
	MUST(mkdtemp(c->directory) != NULL);
	make_ca(c, 0, "anyc test CA", c->ca, sizeof c->ca);
	make_ca(c, 1, "another CA", c->other_ca, sizeof c->other_ca);
	make_middle(c);
}

const char *certs_add(struct certs *c, const struct certs_spec *spec)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *issuer = NULL, *cert;
	EVP_PKEY *issuer_key = NULL;

	MUST(key != NULL);
	if (spec->issuer != CERTS_BY_ITSELF) {
		issuer = c->ca_private[spec->issuer][0];
		issuer_key = c->ca_private[spec->issuer][1];
	}
	cert = make_certificate(spec, key, issuer, issuer_key, false);
	snprintf(c->last, sizeof c->last, "%s/%u.pem", c->directory, c->files++);
	write_pem(c->last, cert, spec->issuer == CERTS_BY_MIDDLE ? issuer : NULL, key,
		  spec->passphrase);
	X509_free(cert);
	EVP_PKEY_free(key);
	return c->last;
}

char *certs_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 16384);

	MUST(file != NULL && text != NULL);
	MUST(fread(text, 1, 16383, file) > 0 && feof(file));
	fclose(file);
	return text;
}

void certs_remove(struct certs *c)
{
	char path[96];
	unsigned i;

	for (i = 0; i < c->files; i++) {
		snprintf(path, sizeof path, "%s/%u.pem", c->directory, i);
		unlink(path);
	}
	unlink(c->ca);
	unlink(c->other_ca);
	rmdir(c->directory);
	for (i = 0; i < 3; i++) {
		X509_free(c->ca_private[i][0]);
		EVP_PKEY_free(c->ca_private[i][1]);
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * Whom a context trusts: certificates from files, directories, memory, and the system's.  OpenSSL
 * takes an empty store as success, and then trusts nobody with a misleading error; here that is
 * refused at once.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv */
#endif
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tls.h"

/* ---------------------------------------------------------------------------- directories */

/* "0123abcd.0": what OpenSSL looks for in a directory. */
static bool is_hashed_name(const char *name)
{
	size_t i;

	for (i = 0; i < 8; i++)
		if (!isxdigit((unsigned char)name[i]))
			return false;
	return name[8] == '.' && isdigit((unsigned char)name[9]);
}

static bool directory_has_certificates(const char *path)
{
	const struct dirent *entry;
	bool found = false;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL)
		found = is_hashed_name(entry->d_name);
	closedir(dir);
	return found;
}

static int load_directory(SSL_CTX *ssl, const char *path)
{
	if (!directory_has_certificates(path))
		return anyc_fail(ANYC_ETLS, 0,
				 "no certificates in %s: files are looked for by their hash "
				 "(openssl rehash)", path);
	if (SSL_CTX_load_verify_dir(ssl, path) != 1)
		return anyc_fail(ANYC_ETLS, 0, "certificates in %s: %s", path, anyc__tls_reason());
	return 0;
}

/* ------------------------------------------------------------------------------- the system */

/* The list of directories that OpenSSL goes by, as it goes by it. */
static const char *default_directories(void)
{
	const char *list = secure_getenv(X509_get_default_cert_dir_env());

	return list != NULL ? list : X509_get_default_cert_dir();
}

static int loaded_count(SSL_CTX *ssl)
{
	return sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl)));
}

static bool default_directories_have_any(void)
{
	char *list = strdup(default_directories()), *path, *rest;
	bool found = false;

	if (list == NULL)
		return false;
	for (path = strtok_r(list, ":", &rest); path != NULL && !found;
	     path = strtok_r(NULL, ":", &rest))
		found = directory_has_certificates(path);
	free(list);
	return found;
}

static int load_system(SSL_CTX *ssl)
{
	int before = loaded_count(ssl);

	if (SSL_CTX_set_default_verify_paths(ssl) != 1)
		return anyc_fail(ANYC_ETLS, 0, "the system's certificates: %s", anyc__tls_reason());
	ERR_clear_error();
	if (loaded_count(ssl) == before && !default_directories_have_any())
		return anyc_fail(ANYC_ETLS, 0,
				 "no trusted certificates in %s: install ca-certificates or name a "
				 "ca_file", default_directories());
	return 0;
}

/* --------------------------------------------------------------------------------- memory */

static int load_pem(SSL_CTX *ssl, const char *pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	BIO *bio = BIO_new_mem_buf(pem, -1);
	bool ok = bio != NULL;
	unsigned long error;
	size_t n = 0;
	X509 *cert;

	while (ok && (cert = PEM_read_bio_X509(bio, NULL, anyc__tls_no_passphrase, NULL)) != NULL) {
		ok = X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
		n++;
	}
	BIO_free(bio);
	error = ERR_peek_last_error();
	/* How the end of the text is told. */
	if (ok && n > 0 && ERR_GET_LIB(error) == ERR_LIB_PEM &&
	    ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return 0;
	}
	return anyc_fail(ANYC_ETLS, 0, "certificates in ca_pem: %s", anyc__tls_reason());
}

/* ---------------------------------------------------------------------------------- clients */

/* A client with several certificates picks one by the names of those whom we trust. */
static int name_issuers(SSL_CTX *ssl)
{
	STACK_OF(X509_OBJECT) *objects =
		X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl));
	int i, ok = 1;

	for (i = 0; ok == 1 && i < sk_X509_OBJECT_num(objects); i++) {
		X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

		if (cert != NULL)
			ok = SSL_CTX_add_client_CA(ssl, cert);
	}
	if (ok != 1)
		return anyc_fail(ANYC_ETLS, 0, "names of trusted issuers: %s", anyc__tls_reason());
	return 0;
}

static int demand(const struct anyc_tls_context_options *options)
{
	if (!options->server)
		return SSL_VERIFY_PEER;
	switch (options->verify_client) {
	case ANYC_TLS_VERIFY_CLIENT_REQUIRED:
		return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	case ANYC_TLS_VERIFY_CLIENT_OPTIONAL:
		return SSL_VERIFY_PEER;
	default:
		return SSL_VERIFY_NONE;
	}
}

int anyc__tls_load_trust(SSL_CTX *ssl, const struct anyc_tls_context_options *o)
{
	bool named = o->ca_file != NULL || o->ca_dir != NULL || o->ca_pem != NULL;
	int rc = 0;

#ifndef PLANT_VERIFY_OFF
	SSL_CTX_set_verify(ssl, demand(o), NULL);
#else
	(void)demand;
#endif
	ERR_clear_error();
	if (o->ca_file != NULL && SSL_CTX_load_verify_file(ssl, o->ca_file) != 1)
		rc = anyc_fail(ANYC_ETLS, 0, "certificates in %s: %s", o->ca_file,
			       anyc__tls_reason());
	if (rc == 0 && o->ca_dir != NULL)
		rc = load_directory(ssl, o->ca_dir);
	if (rc == 0 && o->ca_pem != NULL)
		rc = load_pem(ssl, o->ca_pem);
	if (rc == 0 && !o->server && (o->ca_system || !named))
		rc = load_system(ssl);
	if (rc == 0 && o->server && named)
		rc = name_issuers(ssl);
	return rc;
}

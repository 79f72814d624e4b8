/* SPDX-License-Identifier: MIT */
/*
 * Contexts: what OpenSSL is told before any connection.  OpenSSL's own defaults verify nothing
 * and have no floor, so each setting here is needed; the tests' truth table holds them in place.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv */
#endif
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "tls.h"

/* -------------------------------------------------------------------------------- making */

/* A key file with a passphrase is an error: OpenSSL's default would ask on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* What clients and servers share. */
static int set_defaults(SSL_CTX *ssl)
{
	long floor = SSL_CTX_get_min_proto_version(ssl);

	/* openssl.cnf may have a higher floor, which stays. */
	if ((floor == 0 || floor < TLS1_2_VERSION) &&
	    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
		return anyc_fail(ANYC_ETLS, 0, "TLS context: %s", anyc__tls_reason());
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* With it a cut connection looks like a finished one. */
	SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	return 0;
}

static void set_verification(SSL_CTX *ssl)
{
#ifndef PLANT_VERIFY_OFF
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
#endif
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
}

static int make_context(struct anyc_tls_context **out, bool server)
{
	struct anyc_tls_context *ctx = calloc(1, sizeof *ctx);
	int rc;

	if (ctx == NULL)
		return -ENOMEM;
	atomic_init(&ctx->references, 1);
	ctx->server = server;
	ERR_clear_error();
	ctx->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (ctx->ssl == NULL)
		rc = anyc_fail(ANYC_ETLS, 0, "TLS context: %s", anyc__tls_reason());
	else
		rc = set_defaults(ctx->ssl);
	if (rc != 0) {
		anyc_tls_context_unref(ctx);
		return rc;
	}
	*out = ctx;
	return 0;
}

/* ---------------------------------------------------------------- the system's certificates */

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

/* The list of directories that OpenSSL goes by, as it goes by it. */
static const char *default_directories(void)
{
	const char *list = secure_getenv(X509_get_default_cert_dir_env());

	return list != NULL ? list : X509_get_default_cert_dir();
}

/* OpenSSL takes an empty default as success, and then trusts nobody with a misleading error. */
static bool trusts_anyone(SSL_CTX *ssl)
{
	STACK_OF(X509_OBJECT) *loaded = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl));
	char *list, *path, *rest;
	bool found = sk_X509_OBJECT_num(loaded) > 0;

	if (found)
		return true;
	list = strdup(default_directories());
	if (list == NULL)
		return false;
	for (path = strtok_r(list, ":", &rest); path != NULL && !found;
	     path = strtok_r(NULL, ":", &rest))
		found = directory_has_certificates(path);
	free(list);
	return found;
}

static int load_trust(SSL_CTX *ssl, const char *ca_file)
{
	ERR_clear_error();
	if (ca_file != NULL) {
		if (SSL_CTX_load_verify_locations(ssl, ca_file, NULL) == 1)
			return 0;
		return anyc_fail(ANYC_ETLS, 0, "certificates in %s: %s", ca_file,
				 anyc__tls_reason());
	}
	if (SSL_CTX_set_default_verify_paths(ssl) != 1)
		return anyc_fail(ANYC_ETLS, 0, "the system's certificates: %s", anyc__tls_reason());
	ERR_clear_error();
	if (!trusts_anyone(ssl))
		return anyc_fail(ANYC_ETLS, 0,
				 "no trusted certificates in %s: install ca-certificates or name a "
				 "ca_file", default_directories());
	return 0;
}

/* -------------------------------------------------------------------------------- public */

int anyc_tls_client_context(struct anyc_tls_context **out, const char *ca_file)
{
	struct anyc_tls_context *ctx;
	int rc;

	*out = NULL;
	if (ca_file != NULL && *ca_file == '\0')
		return anyc_fail(ANYC_EINVAL, 0, "ca_file is empty: NULL means the system's");
	rc = make_context(&ctx, false);
	if (rc != 0)
		return rc;
	set_verification(ctx->ssl);
	rc = load_trust(ctx->ssl, ca_file);
	if (rc != 0) {
		anyc_tls_context_unref(ctx);
		return rc;
	}
	*out = ctx;
	return 0;
}

static int load_identity(SSL_CTX *ssl, const char *chain_file, const char *key_file)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ssl, chain_file) != 1)
		return anyc_fail(ANYC_ETLS, 0, "certificate chain in %s: %s", chain_file,
				 anyc__tls_reason());
	if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) != 1)
		return anyc_fail(ANYC_ETLS, 0, "private key in %s: %s", key_file,
				 anyc__tls_reason());
	if (SSL_CTX_check_private_key(ssl) != 1)
		return anyc_fail(ANYC_ETLS, 0, "key in %s: %s", key_file, anyc__tls_reason());
	return 0;
}

int anyc_tls_server_context(struct anyc_tls_context **out, const char *chain_file,
			    const char *key_file)
{
	static const unsigned char session_context[] = "anyc";
	struct anyc_tls_context *ctx;
	int rc;

	*out = NULL;
	if (chain_file == NULL || key_file == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "a server's context needs a chain and a key file");
	rc = make_context(&ctx, true);
	if (rc != 0)
		return rc;
	rc = load_identity(ctx->ssl, chain_file, key_file);
	/* Without one, resumption fails as soon as certificates of clients are asked for. */
	if (rc == 0 && SSL_CTX_set_session_id_context(ctx->ssl, session_context,
						      sizeof session_context - 1) != 1)
		rc = anyc_fail(ANYC_ETLS, 0, "TLS context: %s", anyc__tls_reason());
	if (rc != 0) {
		anyc_tls_context_unref(ctx);
		return rc;
	}
	*out = ctx;
	return 0;
}

struct anyc_tls_context *anyc_tls_context_ref(struct anyc_tls_context *ctx)
{
	atomic_fetch_add_explicit(&ctx->references, 1, memory_order_relaxed);
	return ctx;
}

void anyc_tls_context_unref(struct anyc_tls_context *ctx)
{
	if (ctx == NULL ||
	    atomic_fetch_sub_explicit(&ctx->references, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(ctx->ssl);
	free(ctx);
}

/* Made on first use and kept for the process; a failure (no certificates yet) is tried again. */
int anyc__tls_default_context(struct anyc_tls_context **out)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static struct anyc_tls_context *kept;
	int rc = 0;

	pthread_mutex_lock(&mutex);
	if (kept == NULL)
		rc = anyc_tls_client_context(&kept, NULL);
	*out = rc == 0 ? anyc_tls_context_ref(kept) : NULL;
	pthread_mutex_unlock(&mutex);
	return rc;
}

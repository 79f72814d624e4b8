/* SPDX-License-Identifier: MIT */
/*
 * Contexts: a counted place that holds settings, and the check of the options they are made of.
 *
 * Rules
 *  - Settings never change once they are made.  A reload makes new ones and puts them in place;
 *    who has begun with the old has a reference to them.
 *  - The mutex covers the pointer alone: nothing is read or verified under it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"

/* -------------------------------------------------------------------------------- options */

static bool is_empty(const char *text)
{
	return text != NULL && *text == '\0';
}

static int check_texts(const struct anyc_tls_context_options *o)
{
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "ca_file", o->ca_file },       { "ca_dir", o->ca_dir },
		{ "ca_pem", o->ca_pem },         { "chain_file", o->chain_file },
		{ "key_file", o->key_file },     { "chain_pem", o->chain_pem },
		{ "key_pem", o->key_pem },       { "ciphers", o->ciphers },
		{ "ciphersuites", o->ciphersuites }, { "keylog_file", o->keylog_file },
	};
	size_t i;

	for (i = 0; i < sizeof texts / sizeof *texts; i++)
		if (is_empty(texts[i].text))
			return anyc_fail(ANYC_EINVAL, 0, "%s is empty: NULL means none",
					 texts[i].name);
	return 0;
}

static int check_identity(const struct anyc_tls_context_options *o)
{
	int chains = (o->chain_file != NULL) + (o->chain_pem != NULL);
	int keys = (o->key_file != NULL) + (o->key_pem != NULL);

	if (chains > 1 || keys > 1)
		return anyc_fail(ANYC_EINVAL, 0,
				 "a chain and a key come from a file or from memory, not both");
	if (o->server && (chains == 0 || keys == 0))
		return anyc_fail(ANYC_EINVAL, 0, "a server's context needs a chain and a key");
	if (chains != keys)
		return anyc_fail(ANYC_EINVAL, 0, "a certificate chain and its key go together");
	return 0;
}

static int check_side(const struct anyc_tls_context_options *o)
{
	bool ca = o->ca_file != NULL || o->ca_dir != NULL || o->ca_pem != NULL;
	bool asks = o->verify_client != ANYC_TLS_VERIFY_CLIENT_NONE;

	if (!o->server && (asks || o->choose != NULL || o->no_resumption))
		return anyc_fail(ANYC_EINVAL, 0,
				 "verify_client, choose and no_resumption are a server's");
	if (o->server && (o->sessions != 0 || o->ca_system))
		return anyc_fail(ANYC_EINVAL, 0, "sessions and ca_system are a client's");
	if (o->server && asks != ca)
		return anyc_fail(ANYC_EINVAL, 0,
				 "a server that verifies clients needs both verify_client and whom "
				 "to trust (ca_file, ca_dir or ca_pem)");
	return 0;
}

static int check_options(const struct anyc_tls_context_options *o)
{
	int version = (int)o->min_version, verify = (int)o->verify_client;
	int rc = check_texts(o);

	if (rc == 0)
		rc = check_side(o);
	if (rc == 0)
		rc = check_identity(o);
	if (rc == 0 && version != 0 && version != ANYC_TLS_1_2 && version != ANYC_TLS_1_3)
		rc = anyc_fail(ANYC_EINVAL, 0, "min_version is ANYC_TLS_1_2 or ANYC_TLS_1_3");
	if (rc == 0 && (verify < 0 || verify > ANYC_TLS_VERIFY_CLIENT_REQUIRED))
		rc = anyc_fail(ANYC_EINVAL, 0, "verify_client is none of its values");
	if (rc == 0 && o->sessions > SIZE_MAX / 64)
		rc = anyc_fail(ANYC_EINVAL, 0, "sessions is out of range");
	return rc;
}

/* Options may be older or newer than ours. */
static int settings_of(struct anyc__tls_settings **out,
		       const struct anyc_tls_context_options *options, size_t size, bool *server)
{
	struct anyc_tls_context_options o;
	int rc;

	*out = NULL;
	if (options == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "a TLS context is made of options");
	memset(&o, 0, sizeof o);
	memcpy(&o, options, size < sizeof o ? size : sizeof o);
	*server = o.server;
	rc = check_options(&o);
	return rc == 0 ? anyc__tls_settings_new(out, &o) : rc;
}

/* -------------------------------------------------------------------------------- contexts */

int anyc_tls_context_new_sized(struct anyc_tls_context **out,
			       const struct anyc_tls_context_options *options, size_t size)
{
	struct anyc__tls_settings *settings;
	struct anyc_tls_context *ctx;
	bool server;
	int rc;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_tls_context_new(): out is NULL");
	*out = NULL;
	rc = settings_of(&settings, options, size, &server);
	if (rc != 0)
		return rc;
	ctx = calloc(1, sizeof *ctx);
	if (ctx == NULL) {
		anyc__tls_settings_unref(settings);
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_tls_context_new(): no memory");
	}
	atomic_init(&ctx->references, 1);
	pthread_mutex_init(&ctx->mutex, NULL);
	ctx->server = server;
	ctx->settings = settings;
	*out = ctx;
	return 0;
}

int anyc_tls_context_reload_sized(struct anyc_tls_context *ctx,
				  const struct anyc_tls_context_options *options, size_t size)
{
	struct anyc__tls_settings *settings, *old;
	bool server;
	int rc;

	if (ctx == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "no TLS context to reload");
	rc = settings_of(&settings, options, size, &server);
	if (rc != 0)
		return rc;
	if (server != ctx->server) {
		anyc__tls_settings_unref(settings);
		return anyc_fail(ANYC_EINVAL, 0, "a %s's TLS context cannot become a %s's",
				 ctx->server ? "server" : "client", server ? "server" : "client");
	}
	pthread_mutex_lock(&ctx->mutex);
	old = ctx->settings;
	ctx->settings = settings;
	pthread_mutex_unlock(&ctx->mutex);
	anyc__tls_settings_unref(old);
	return 0;
}

struct anyc__tls_settings *anyc__tls_context_settings(struct anyc_tls_context *ctx)
{
	struct anyc__tls_settings *settings;

	pthread_mutex_lock(&ctx->mutex);
	settings = ctx->settings;
	atomic_fetch_add_explicit(&settings->references, 1, memory_order_relaxed);
	pthread_mutex_unlock(&ctx->mutex);
	return settings;
}

struct ssl_ctx_st *anyc_tls_context_openssl(struct anyc_tls_context *ctx)
{
	struct ssl_ctx_st *ssl;

	pthread_mutex_lock(&ctx->mutex);
	ssl = ctx->settings->ssl;
	pthread_mutex_unlock(&ctx->mutex);
	return ssl;
}

int anyc_tls_client_context(struct anyc_tls_context **out, const char *ca_file)
{
	struct anyc_tls_context_options o = { .ca_file = ca_file };

	return anyc_tls_context_new(out, &o);
}

int anyc_tls_server_context(struct anyc_tls_context **out, const char *chain_file,
			    const char *key_file)
{
	struct anyc_tls_context_options o = {
		.server = true,
		.chain_file = chain_file,
		.key_file = key_file,
	};

	return anyc_tls_context_new(out, &o);
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
	anyc__tls_settings_unref(ctx->settings);
	pthread_mutex_destroy(&ctx->mutex);
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

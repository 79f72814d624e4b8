/* SPDX-License-Identifier: MIT */
/*
 * TLS contexts: what is known before any connection.  Whom to trust, who we are, what we speak.
 * Made once, in tasks or outside, on any thread; counted; shared between loops and threads.
 * Making one reads files, so it blocks for that long.  Nothing here is a checkpoint.
 */
#ifndef ANYC_TLS_CONTEXT_H
#define ANYC_TLS_CONTEXT_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

struct anyc_tls_context;

enum anyc_tls_version { ANYC_TLS_1_2 = 0x303, ANYC_TLS_1_3 = 0x304 };

/* What a server asks of its clients. */
enum anyc_tls_verify_client {
	ANYC_TLS_VERIFY_CLIENT_NONE,     /* no certificate */
	ANYC_TLS_VERIFY_CLIENT_OPTIONAL, /* none, or one that is trusted */
	ANYC_TLS_VERIFY_CLIENT_REQUIRED  /* one that is trusted */
};

/*
 * A server's choice by the name that a client asks for (in lower case, "" for none): 0, with *out
 * a reference that is given over (anyc_tls_context_ref()), or left NULL to go on as it is; a
 * negative code refuses the client.  The certificate, trust, demands, protocols, suites and floor
 * are then the chosen one's.  Called inside the handshake, on its thread: it must not wait.
 */
typedef int anyc_tls_choose_fn(void *arg, const char *name, struct anyc_tls_context **out);
/* A line of a key log (what SSLKEYLOGFILE names, by custom), without its end; on any thread. */
typedef void anyc_tls_keylog_fn(void *arg, const char *line);

/* All but `server` may be zero.  Nothing in it is needed after the call but what arg points to. */
struct anyc_tls_context_options {
	bool server;
	bool ca_system;     /* client: the system's beside the ca_ below; alone if there is none */
	bool no_resumption; /* server: every handshake is a full one */
	uint8_t reserved_[5];

	/* Whom to trust; these add up.  A server's are for the certificates of clients. */
	const char *ca_file; /* PEM */
	const char *ca_dir;  /* PEM files by hash: openssl-rehash(1) */
	const char *ca_pem;  /* PEM itself */

	/* Who we are, chain and key together: a server always, a client for servers that ask. */
	const char *chain_file, *key_file; /* PEM, the key without a passphrase */
	const char *chain_pem, *key_pem;   /* PEM itself */
	enum anyc_tls_verify_client verify_client;

	/* 0: 1.2.  A higher one in OpenSSL's configuration stays. */
	enum anyc_tls_version min_version;
	const char *ciphers;      /* of TLS 1.2: openssl-ciphers(1) */
	const char *ciphersuites; /* of TLS 1.3: names with colons between */

	/*
	 * Protocols by ALPN, the preferred first, NULL at the end.  A server takes the first of its
	 * own that the client has, too; it refuses one that offers only others, and serves one that
	 * offers none.
	 */
	const char *const *alpn;

	/* Client: sessions kept for resumption, by host and port, at most; 0: none. */
	size_t sessions;

	anyc_tls_choose_fn *choose; /* server */
	void *choose_arg;
	/* For debugging: who has these lines can read what is sent.  The file is appended to. */
	anyc_tls_keylog_fn *keylog;
	void *keylog_arg;
	const char *keylog_file;
	void *reserved2_[6];
};

/*
 * Makes a context.
 *   errors  ANYC_EINVAL (options that do not go together, a cipher that nobody knows), ANYC_ETLS
 *           with a sentence (OpenSSL's, or that nobody would be trusted), -errno of the key log,
 *           -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_context_new_sized(
	struct anyc_tls_context **out, const struct anyc_tls_context_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tls_context_new(struct anyc_tls_context **out,
						     const struct anyc_tls_context_options *options)
{
	return anyc_tls_context_new_sized(out, options, sizeof *options);
}

/*
 * Replaces all that a context holds, as for a renewed certificate: with the options that it was
 * made of, the files are read again.  Handshakes that begin later, on any thread, use the new;
 * connections go on with what they began with.  Sessions from before are not resumed.
 *   errors  as anyc_tls_context_new(), ANYC_EINVAL for the other side's; the context is as it was
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_context_reload_sized(
	struct anyc_tls_context *ctx, const struct anyc_tls_context_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tls_context_reload(
	struct anyc_tls_context *ctx, const struct anyc_tls_context_options *options)
{
	return anyc_tls_context_reload_sized(ctx, options, sizeof *options);
}

/*
 * The usual ones.  A client's trusts the certificates in ca_file (PEM), or those of the system if
 * NULL; a server's has its chain and its key from PEM files.   errors  as anyc_tls_context_new()
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_client_context(struct anyc_tls_context **out,
						     const char *ca_file);
ANYC_API ANYC_MUST_CHECK int anyc_tls_server_context(struct anyc_tls_context **out,
						     const char *chain_file, const char *key_file);

ANYC_API struct anyc_tls_context *anyc_tls_context_ref(struct anyc_tls_context *ctx);
ANYC_API void anyc_tls_context_unref(struct anyc_tls_context *ctx); /* NULL-safe */

ANYC_END_DECLS
#endif

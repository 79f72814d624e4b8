/* SPDX-License-Identifier: MIT */
/*
 * The way down to OpenSSL, for what tls.h does not offer.  What is set there can undo what anyc
 * promises: verification, the floor, ends that are ends.  Include <openssl/ssl.h> to use them.
 */
#ifndef ANYC_TLS_OPENSSL_H
#define ANYC_TLS_OPENSSL_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

struct ssl_ctx_st;
struct ssl_st;
struct anyc_tls_context;

/*
 * The SSL_CTX of a context: the context's, until it is reloaded or freed.  Set it up before the
 * first connection: OpenSSL locks nothing in it.
 */
ANYC_API struct ssl_ctx_st *anyc_tls_context_openssl(struct anyc_tls_context *ctx);
/*
 * The SSL of a TLS stream, until that is freed; NULL for another stream.  For questions: an
 * operation on it would go behind the stream's back.
 */
ANYC_API struct ssl_st *anyc_tls_stream_openssl(struct anyc_stream *s);

ANYC_END_DECLS
#endif

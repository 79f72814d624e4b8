/* SPDX-License-Identifier: MIT */
/*
 * What the TLS servers of the benchmark agree on.  The first byte on a connection says what it is
 * for: echo what comes, send without end, or receive and forget.
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <openssl/ssl.h>

#define TLS_ECHO 'e'
#define TLS_SEND 's'
#define TLS_RECEIVE 'r'
#define TLS_BULK ((size_t)64 << 10) /* one write of it, and the most that is read at once */

/* The file with the servers' certificate and key: a variable of the environment. */
#define TLS_PEM "BENCH_TLS_PEM"

/* A server's context for those by hand: TLS 1.3. */
SSL_CTX *tls_server_context(void);

#endif

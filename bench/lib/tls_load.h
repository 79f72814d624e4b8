/* SPDX-License-Identifier: MIT */
/* The load of TLS servers: messages there and back, bulk in one direction, handshakes. */
#ifndef TLS_LOAD_H
#define TLS_LOAD_H

#include <stdint.h>

#define TLS_MESSAGE 64 /* bytes, there and back */

struct tls_load;

/* Connects; `use` is one of tls_server.h's, or 0 for handshakes, which need no connection yet. */
struct tls_load *tls_load_open(unsigned port, unsigned connections, char use);
/* For so long; the number of answers, of bytes, or of handshakes. */
uint64_t tls_load_run(struct tls_load *l, int64_t ns);
void tls_load_close(struct tls_load *l);

#endif

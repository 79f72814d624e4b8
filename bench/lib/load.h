/* SPDX-License-Identifier: MIT */
/*
 * The load of a server (server.h): connections over TCP or TLS, on blocking sockets; with several
 * of them epoll says whose turn it is.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_SIZE 64 /* bytes of a message */

enum load_use {
	LOAD_ECHO,       /* each connection sends a message when its answer has come */
	LOAD_HEAR,       /* the server sends */
	LOAD_SAY,        /* the server receives */
	LOAD_HANDSHAKES, /* connections one after the other */
	LOAD_IDLE        /* connections that have been served once */
};

struct load;

/* Connects, and has each connection that echoes served once. */
struct load *load_open(unsigned port, unsigned connections, enum load_use use, bool tls);
/*
 * Until `ns` have passed or, of messages, each connection has sent `most`; returns when all answers
 * have come.  The number of answers, of bytes or of handshakes.
 */
uint64_t load_run(struct load *l, int64_t ns, uint64_t most);
/* Resets connections over TCP, so that their ports can be used again at once. */
void load_close(struct load *l);

#endif

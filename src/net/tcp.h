/* SPDX-License-Identifier: MIT */
/* TCP connections and listeners, for those who make them. */
#ifndef ANYC__NET_TCP_H
#define ANYC__NET_TCP_H

#include "socket.h"

/*
 * A connection.  It exists before its stream does: the descriptor may be registered while it
 * connects, so it never moves.
 */
struct anyc__tcp {
	struct anyc_stream stream;
	struct anyc__fd fd; /* fd.fd is -1 until there is one */
	struct anyc_address remote;
};
struct anyc__tcp *anyc__tcp_new(void); /* NULL: no memory */
/* Closes and frees what has not become a stream; NULL-safe, keeps errno. */
void anyc__tcp_drop(struct anyc__tcp *c);
/* Makes it a stream: c->fd and c->remote are set. */
struct anyc_stream *anyc__tcp_open(struct anyc__tcp *c);
/* Small writes go out at once; a failure to ask for that is of no interest. */
void anyc__tcp_no_delay(int fd);

/* A listener that takes `count` listening sockets over; after a failure they are the caller's. */
int anyc__tcp_listener_new(struct anyc_listener **out, const int *fds, unsigned count);

#endif

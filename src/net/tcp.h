/* SPDX-License-Identifier: MIT */
/* TCP connections and listeners, for those who make them. */
#ifndef ANYC__NET_TCP_H
#define ANYC__NET_TCP_H

#include "address.h"
#include "core/fd.h"

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

/* What getsockname(2) or getpeername(2) says.  -errno */
int anyc__tcp_local(int fd, struct anyc_address *out);
int anyc__tcp_remote(int fd, struct anyc_address *out);

/* A listener that takes `count` listening sockets over; after a failure they are the caller's. */
int anyc__tcp_listener_new(struct anyc_listener **out, const int *fds, unsigned count);

#endif

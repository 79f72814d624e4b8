/* SPDX-License-Identifier: MIT */
/* Connections and listeners of TCP and of UNIX, for those who make them. */
#ifndef ANYC__NET_CONNECTION_H
#define ANYC__NET_CONNECTION_H

#include "socket.h"

struct anyc__bound_path;

/*
 * A connection.  It exists before its stream does: the descriptor may be registered while it
 * connects, so it never moves.
 */
struct anyc__connection {
	struct anyc_stream stream;
	struct anyc__fd fd; /* fd.fd is -1 until there is one */
	struct anyc_address remote;
};
struct anyc__connection *anyc__connection_new(void); /* NULL: no memory */
/* Closes and frees what has not become a stream; NULL-safe, keeps errno. */
void anyc__connection_drop(struct anyc__connection *c);
/* Makes it a stream: c->fd and c->remote are set. */
struct anyc_stream *anyc__connection_open(struct anyc__connection *c, bool of_unix);
/* The connection of a stream of UNIX, or NULL. */
struct anyc__connection *anyc__connection_of_unix(struct anyc_stream *s);
/* NULL, or what is wrong with what anyc_tcp_connect() was given. */
const char *anyc__tcp_bad_connect(const char *host, const char *port,
				  const struct anyc_tcp_connect_options *o);
/* Small writes go out at once; a failure to ask for that is of no interest. */
void anyc__tcp_no_delay(int fd);

/* For operations: a call met the errno err.  0 to try again, or how the operation ends. */
int anyc__connection_after(struct anyc__connection *c, int err, enum anyc__direction d,
			   const char *what);
/* Waits until the direction may be tried. */
int anyc__connection_await(struct anyc__connection *c, struct anyc_task *t, enum anyc__direction d,
			   unsigned flags, const char *what);

/*
 * A listener that takes `count` listening sockets over; after a failure they are the caller's.
 * path: removed when it closes, and also then the caller's; or NULL.
 */
int anyc__socket_listener_new(struct anyc_listener **out, const int *fds, unsigned count,
			      bool of_unix, struct anyc__bound_path *path);

#endif

/* SPDX-License-Identifier: MIT */
/* One connection of the file server: requests in, answers out, in order. */
#ifndef EXAMPLES_FILES_CONNECTION_H
#define EXAMPLES_FILES_CONNECTION_H

#include <anyc/anyc.h>

#include "cache.h"

struct connection;
struct server {
	struct cache cache;
	struct connection *connections;
	int64_t patience; /* with a request that has begun */
	bool stopping;
};

/* Serves a connection until one of both sides ends it; an anyc_serve_fn with a server. */
int serve_connection(void *server, struct anyc_stream *stream);
/* From now on an answer is the last of its connection; those that wait for a request end. */
void stop_connections(struct server *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * libfetch: a small HTTPS client.  It knows no event loop: called in a task it shares the loop
 * with everything else that runs there, called from a plain thread it blocks.
 */
#ifndef FETCH_H
#define FETCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct anyc_tls_context;

/* Receives the body, piece by piece; a negative result ends the fetch with it. */
typedef int fetch_sink_fn(void *arg, const void *data, size_t size);

struct fetch_request {
	const char *host, *port, *path;
	struct anyc_tls_context *tls; /* NULL: the system's certificates */
	int64_t timeout;              /* nanoseconds for all of it; 0: 30 s */
	int insecure;                 /* accept any certificate */
	fetch_sink_fn *sink;
	void *arg;
};

/*
 * Gets one document: 0 once all of it went to the sink, or a negative code of anyc's, whose
 * sentence is anyc_error_detail(rc).  ANYC_ECANCELED if a scope around it was cancelled.
 */
__attribute__((visibility("default"))) int fetch(const struct fetch_request *request);

/* Gets all of them at once; results[i] is the result of requests[i].  0, or why it could not. */
struct fetch_result {
	int rc;
	char error[240]; /* a sentence; empty after success */
};
__attribute__((visibility("default"))) int fetch_all(const struct fetch_request *requests,
						     size_t count, struct fetch_result *results);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* The two processes of a soak, and what each finds in itself when all connections have gone. */
#ifndef SOAK_H
#define SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOAK_PHASES 5 /* the first is the warm-up */

/* Memory that both processes see. */
struct soak {
	/* Settings. */
	const char *backend; /* NULL: a plain thread */
	unsigned connections, tls_connections;
	int64_t phase; /* how long it lasts, in ns */
	const char *ca, *pem;

	_Atomic unsigned port, tls_port; /* 0: the server does not listen yet */
	_Atomic unsigned ended;          /* phases whose clients are through */
	_Atomic unsigned measured;       /* phases whose connections have all ended */
	_Atomic unsigned served, open, open_most; /* connections of the server */
	_Atomic bool failed;
	char sentence[256]; /* why */
};

/* Tasks. */
int soak_server(void *soak);
int soak_clients(void *soak);

/* Says why it failed, unless something has been said: from here on both processes end. */
void soak_fail(struct soak *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Waits, for some minutes at most, until a counter of the other process has got there. */
int soak_wait(struct soak *s, _Atomic unsigned *counter, unsigned least, const char *what);

/* What a process has, with no connection open. */
struct soak_figures {
	size_t descriptors, tasks, timers, streams, blocks, heap, resident;
};
/* Notes them after a phase, and compares those of the last with those of the warm-up. */
void soak_look(struct soak *s, const char *who, struct soak_figures figures[SOAK_PHASES],
	       unsigned phase);

#endif

/* SPDX-License-Identifier: MIT */
/* The processes of a soak, and what each finds in itself when all connections have gone. */
#ifndef SOAK_H
#define SOAK_H

#include <anyc/net.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOAK_PHASES 5 /* the first is the warm-up */

/* What has happened among the slow clients. */
enum soak_stage {
	SOAK_BEGUN,
	SOAK_WARMED_UP, /* slow clients have come and gone */
	SOAK_CALM_SEEN, /* the honest one knows how fast it is without them */
	SOAK_LOOKED,    /* the server has looked at itself */
	SOAK_ATTACKED,  /* all slow clients were dropped */
	SOAK_SEEN,      /* the honest one knows how fast it was meanwhile */
};

/* Memory that all processes see. */
struct soak {
	/* Settings. */
	const char *backend; /* NULL: a plain thread */
	unsigned connections, tls_connections;
	unsigned at_once; /* connections of the scenario that runs */
	int64_t phase;    /* how long it lasts, in ns */
	const char *ca, *pem;
	unsigned slow;             /* clients */
	int64_t handshake_timeout; /* what is promised of it, in ns */
	bool judge_latency;        /* nothing else runs */
	const char *plant;         /* what the scenario of the slow must find, or NULL */

	_Atomic unsigned port, tls_port; /* 0: the server does not listen yet */
	_Atomic unsigned ended;          /* phases whose clients are through */
	_Atomic unsigned measured;       /* phases whose connections have all ended */
	_Atomic unsigned served, open, open_most; /* connections of the server */
	_Atomic unsigned stage;                   /* an enum soak_stage */
	_Atomic unsigned timed_out;               /* handshakes of the server */
	_Atomic int64_t dropped_first, dropped_last; /* slow clients: how soon, in ns */
	_Atomic int64_t calm_p99, attacked_p99;      /* of the honest client, in ns */
	_Atomic int64_t calm_p50, attacked_p50;
	_Atomic bool failed;
	_Atomic bool late;  /* it failed by the honest client's time */
	char sentence[256]; /* why */
	char summary[256];  /* what there was */
};

/* Tasks, each the only one of its process at first. */
int soak_server(void *soak);
int soak_clients(void *soak);
int soak_attacked_server(void *soak);
int soak_slow_clients(void *soak);
int soak_honest_client(void *soak);

/* Says why it failed, unless something has been said: from here on all processes end. */
void soak_fail(struct soak *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Waits, for some minutes at most, until a counter of another process has got there. */
int soak_wait(struct soak *s, _Atomic unsigned *counter, unsigned least, const char *what);

/* Of servers: has a TCP listener speak TLS, tells its port, waits until no connection is left. */
int soak_tls_listener(struct anyc_listener **l, const char *pem, int64_t handshake_timeout);
int soak_port(struct anyc_listener *l, _Atomic unsigned *port);
int soak_settle(struct soak *s);

/* What a process has, with no connection open. */
struct soak_figures {
	size_t descriptors, tasks, timers, streams, blocks, heap, resident;
};
/* Notes them after a phase, and compares those of the last with those of the warm-up. */
void soak_look(struct soak *s, const char *who, struct soak_figures figures[SOAK_PHASES],
	       unsigned phase);

#endif

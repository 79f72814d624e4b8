/* SPDX-License-Identifier: MIT */
/* The inside of a sim: its clock, what will happen, lots, and the trace. */
#ifndef ANYC__IMPL_SIM_SIM_H
#define ANYC__IMPL_SIM_SIM_H

#include <pthread.h>

#include <anyc/backend.h>
#include <anyc/sim.h>

/* Something that happens at a time: in its owner's structure, so that setting it cannot fail. */
struct anyc__sim_event {
	int64_t when;
	uint64_t order; /* among those of one time */
	void (*happen)(struct anyc__sim_event *e);
	bool set;
	/* The heap's: the first of the list below it, and its place in its own list. */
	struct anyc__sim_event *below, *next, *before;
};

struct anyc_sim {
	const struct anyc_engine_ops *ops;
	struct anyc_engine *engine; /* NULL: not attached */
	int pollfd;
	pthread_t thread; /* that runs it, while attached */
	struct anyc_sim_options options;

	int64_t now;
	bool outside; /* virtual time runs as real time does, */
	int64_t real; /* and is right for this point of it */
	struct anyc__sim_event *events;
	uint64_t order; /* given to an event last */
	size_t calls;   /* events of anyc_sim_at() */
	uint64_t lot;   /* the network's: it is the same whatever the tasks draw */
	struct anyc__sim_net *net; /* NULL: the kernel's; net.h */

	bool keep, wanted, stopping, running;
	bool turning, again; /* a turn is under way; it has asked for another one */
	unsigned busy;       /* turns in a row that left work */
};

/* ------------------------------------------------------------------------------- events.c */

/* Sets one that is not set; a time in the past is now. */
void anyc__sim_event_set(struct anyc_sim *sim, struct anyc__sim_event *e, int64_t when);
void anyc__sim_event_unset(struct anyc_sim *sim, struct anyc__sim_event *e);
/* When the first is due; ANYC_FOREVER: there is none. */
int64_t anyc__sim_events_next(const struct anyc_sim *sim);
/* Lets happen what is due by now; whether anything was. */
bool anyc__sim_events_happen(struct anyc_sim *sim);

/* ---------------------------------------------------------------------------------- sim.c */

/* Virtual time goes on, or begins or ceases to do so, as real time does. */
void anyc__sim_keep_time(struct anyc_sim *sim, bool outside);
/* Frees the calls of anyc_sim_at() that have not come. */
void anyc__sim_forget_calls(struct anyc_sim *sim);
/* Drawn by lot: 0 to below - 1. */
uint64_t anyc__sim_draw(struct anyc_sim *sim, uint64_t below);
/* A line for the trace, behind the time. */
void anyc__sim_trace(struct anyc_sim *sim, const char *format, ...) ANYC_PRINTF(2, 3);
/* A code and its sentence, which goes to the report hook as well. */
int anyc__sim_misuse(int rc, const char *format, ...) ANYC_PRINTF(2, 3);
/* 0, or why this thread may not use the sim. */
int anyc__sim_check(const struct anyc_sim *sim, const char *call);

/* ---------------------------------------------------------------------------------- net.c */

/* NULL, or what is wrong with it. */
const char *anyc__sim_link_wrong(const struct anyc_sim_link *link);
int anyc__sim_net_make(struct anyc_sim *sim); /* -ENOMEM */
/* Streams and listeners that live on are nobody's: their calls return ANYC_EGONE. */
void anyc__sim_net_free(struct anyc_sim *sim);
/* For the backend: the network of this sim, or NULL. */
const struct anyc_net_ops *anyc__sim_net_ops(void *self);

#endif

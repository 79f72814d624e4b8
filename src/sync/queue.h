/* SPDX-License-Identifier: MIT */
/*
 * The inside of a queue: a ring of items, a line of tasks that want to send, and one of tasks that
 * want to receive.  queue.c sends and receives, queue_end.c opens and closes.
 *
 * Rules
 *  - Tasks wait to receive only while the ring is empty, and to send only while it is full, so
 *    never both.  Whoever brings an item gives it to the first in line; whoever makes room fills
 *    it with the first sender's item: nobody gets in between.
 *  - Who finishes a call copies its item, takes it out of the line and unparks its task, once.
 *    The item is then delivered, whatever is cancelled or closed before that task runs.
 *  - A call that waits is on the list of its end until its task runs again; close takes it off.
 *    A call that finds itself off the list touches neither end nor queue: both may be gone.
 *  - The queue is freed with its last end, so it outlives every call that may touch it.
 *  - It belongs to an engine while something is in it or in line (rule 23), and to nobody when
 *    that engine has ended: what is left in it may be received elsewhere.
 */
#ifndef ANYC__QUEUE_H
#define ANYC__QUEUE_H

#include <anyc/queue.h>

#include "core/core.h"
#include "ring.h"

struct anyc__queue_line {
	struct anyc_queue_call_ *first, *last;
};

/* On the stack of the task. */
struct anyc_queue_call_ {
	struct anyc_queue_call_ *next, *prev;
	struct anyc__queue_line *line; /* NULL: out of it */
	struct anyc_queue_ *queue;
	struct anyc_task *task;
	void *item;                  /* the caller's: what to send, or where to receive */
	struct anyc_queue_end_ *end; /* NULL: it was closed */
	struct anyc_queue_call_ *next_of_end, *prev_of_end;
};

struct anyc_queue_ {
	struct anyc__ring ring;
	struct anyc__queue_line sending, receiving;
	size_t senders, receivers; /* open ends */
	uint64_t engine;           /* 0: nobody's */
	size_t capacity;
	bool fast;
	anyc_queue_drop_fn *drop; /* or NULL */
	void *drop_arg;
};

/* --------------------------------------------------------------------------- whose it is */

static inline void anyc__queue_own(struct anyc_queue_ *q, uint64_t engine)
{
	__atomic_store_n(&q->engine, engine, __ATOMIC_RELAXED);
}

/* With nothing in it or in line any more it belongs to nobody. */
static inline void anyc__queue_disown_if_idle(struct anyc_queue_ *q)
{
	if (q->ring.count == 0 && q->sending.first == NULL && q->receiving.first == NULL)
		anyc__queue_own(q, 0);
}

/* Outside tasks: the id of the engine that this thread runs, or 0. */
uint64_t anyc__queue_engine_here(void);
int anyc__queue_refuse_engine(struct anyc_queue_ *q, uint64_t owner, const char *call);

/* Refuses a queue that another engine uses. */
static inline int anyc__queue_check_engine(struct anyc_queue_ *q, uint64_t engine, const char *call)
{
	uint64_t owner = __atomic_load_n(&q->engine, __ATOMIC_RELAXED);

	if (ANYC__LIKELY(owner == 0 || owner == engine))
		return 0;
	return anyc__queue_refuse_engine(q, owner, call);
}

/* ----------------------------------------------------------------------------------- ends */

#define ANYC__QUEUE_END(x) ((x) != NULL ? &(x)->end_ : NULL)
#define ANYC__QUEUE_MAGIC ((uintptr_t)0x616e79635f717565)

static inline bool anyc__queue_is_end(const struct anyc_queue_end_ *end)
{
	return end != NULL && end->magic_ == ((uintptr_t)end ^ ANYC__QUEUE_MAGIC);
}

int anyc__queue_refuse_end(const struct anyc_queue_end_ *end, const char *call);
/* Stores the sentence of ANYC_ECLOSED and ANYC_EBROKEN; any other code passes. */
int anyc__queue_fail(int rc, const char *call);

/* An open end, and an argument that may be used, of a queue that no other engine uses. */
static inline int anyc__queue_check(const struct anyc_queue_end_ *end, bool argument,
				    uint64_t engine, const char *call)
{
	if (ANYC__UNLIKELY(!anyc__queue_is_end(end) || end->queue_ == NULL))
		return anyc__queue_refuse_end(end, call);
	if (ANYC__UNLIKELY(!argument))
		return anyc__misuse(ANYC_EINVAL, "%s: there is no place for an item", call);
	return anyc__queue_check_engine(end->queue_, engine, call);
}

/* ---------------------------------------------------------------------------------- lines */

static inline void anyc__queue_take_out(struct anyc_queue_call_ *c)
{
	struct anyc__queue_line *line = c->line;

	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		line->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		line->last = c->prev;
	c->line = NULL;
	if (line->first == NULL)
		anyc__queue_disown_if_idle(c->queue);
}

static inline void anyc__queue_finish(struct anyc_queue_call_ *c, int rc)
{
	anyc__queue_take_out(c);
	anyc__unpark(c->task, rc);
}

#endif

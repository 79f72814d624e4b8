/* SPDX-License-Identifier: MIT */
/*
 * What core offers the layers above (sync, net, os): the current task, waiting and waking,
 * timers, descriptors, worker jobs.
 *
 * How a function that may wait is written:
 *
 *	struct anyc_task *t;
 *	int rc = anyc__enter(&t);             // refusals, cancellation; without side effect
 *
 *	if (rc != 0)
 *		return rc;
 *	if (it can be done now) {
 *		do it;
 *		anyc__yield(t);               // be fair; never fails, so the result stands
 *		return 0;
 *	}
 *	queue up;
 *	return anyc__park(t, take_out_of_the_queue, &me, "what it waits for");
 *
 * Rules
 *  - Who wakes takes the task out of the queue and calls anyc__unpark() once; the first of
 *    unpark and cancel wins, and the loser does nothing.  After unpark the task is ready: its
 *    result stands, whatever is cancelled then.
 *  - Everything runs on the engine's thread, but anyc__post and what worker.h says.
 *  - No errno and no thread-local value lives across a park or a yield.
 */
#ifndef ANYC__CORE_H
#define ANYC__CORE_H

#include <string.h>

#include <anyc/error.h>
#include <anyc/sync.h>
#include <anyc/task.h>
#include <anyc/time.h>

#include "alloc.h"
#include "error.h"

struct anyc__engine;

#define ANYC__LIKELY(x) __builtin_expect(!!(x), 1)
#define ANYC__UNLIKELY(x) __builtin_expect(!!(x), 0)
/* An array that is written before it is read: without the zeros that we have every local begin
 * with (-ftrivial-auto-var-init). */
#if __has_attribute(uninitialized)
#define ANYC__UNINITIALIZED __attribute__((uninitialized))
#else
#define ANYC__UNINITIALIZED
#endif
#define ANYC__CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * Reads a caller's options, which may be NULL: sized as in the header that the caller was built
 * with.  What that one did not have yet is zero, and so is all of it for NULL.
 */
static inline void anyc__options_read(void *to, size_t full, const void *from, size_t size)
{
	if (from != NULL && ANYC__LIKELY(size >= full)) {
		memcpy(to, from, full);
		return;
	}
	memset(to, 0, full);
	if (from != NULL)
		memcpy(to, from, size);
}

/* ------------------------------------------------------------------------ entering, leaving */

/* By value, so that the caller's t stays in a register. */
struct anyc__entered {
	struct anyc_task *task;
	int rc;
};
struct anyc__entered anyc__entered(void);
struct anyc__entered anyc__entered_uncancelled(void);

/*
 * First line of every checkpoint function: finds the current task (a plain thread's root is made
 * on first use), and returns 0, or why the call is refused, or, having yielded, ANYC_ECANCELED.
 */
static inline int anyc__enter(struct anyc_task **t)
{
	struct anyc__entered in = anyc__entered();

	*t = in.task;
	return in.rc;
}
/* The same for calls that are no checkpoints but need a task: without the cancellation. */
static inline int anyc__enter_uncancelled(struct anyc_task **t)
{
	struct anyc__entered in = anyc__entered_uncancelled();

	*t = in.task;
	return in.rc;
}
/* The same, and makes no plain thread's root: NULL outside tasks.  Never fails. */
struct anyc_task *anyc__current(void);
/* Lets the ready tasks run, counted against the budget; free when nobody is ready. */
void anyc__yield(struct anyc_task *t);
/* Only counts, and yields when the budget is spent: for "fast" calls, which the host survives. */
void anyc__yield_if_spent(struct anyc_task *t);

/* Bytes that a call has moved: large ones count against the budget like several small ones. */
void anyc__charge(struct anyc_task *t, size_t bytes);

/* -------------------------------------------------------------------------- parking, waking */

/* Takes a task out of what it waits in, when a cancellation wakes it.  Must not fail or wait. */
typedef void anyc__abort_fn(struct anyc_task *t, void *arg);
/*
 * Waits until anyc__unpark(): returns its result, or ANYC_ECANCELED after abort(t, arg); with
 * abort NULL the wait cannot be cancelled.  `what` is for dumps: "a lock".
 * -ENOMEM if a deadline could not be armed, ANYC_EDEADLK, ANYC_EBLOCKED, ANYC_EGONE: after abort
 * as well (with abort NULL such an error is returned at once only if nothing can ever wake it).
 */
int anyc__park(struct anyc_task *t, anyc__abort_fn *abort, void *arg, const char *what);
/*
 * Waits, as with abort NULL, for a task of the same engine that will unpark this one; also when the
 * loop has gone, as its tasks run to their ends.  ANYC_EFORKED at once: they never do in a child.
 */
int anyc__park_for_tasks(struct anyc_task *t, const char *what);
/* Makes a parked task ready with a result; nothing if it is ready already. */
void anyc__unpark(struct anyc_task *t, int result);
/* As park, but wakes with ANYC_ETIMEDOUT at `when` at the latest. */
int anyc__park_until(struct anyc_task *t, int64_t when, anyc__abort_fn *abort, void *arg,
		     const char *what);

/* A task in a line of waiters: on the stack of its call. */
struct anyc_waiter_ {
	struct anyc_waiter_ *next_, *prev_;
	struct anyc_waiters_ *queue_; /* NULL once out of it */
	struct anyc_task *task_;
	void *data_; /* of whoever's line it is */
	/* The task that has what the line is for: its id, read when a task ends. */
	const uint64_t *owner_;
	struct anyc_waiter_ *next_owned_, *prev_owned_; /* in the engine's list of these */
};
/*
 * Waits at the end of the line; the error of a line that another engine uses is ANYC_ETHREAD.
 * what: for dumps.
 */
int anyc__waiters_wait(struct anyc_waiters_ *q, struct anyc_task *t, void *data, const char *what);
/* The same in a line for what the task *owner has: ANYC_EBROKEN when that task ends and has it
 * still.  shielded: no cancellation ends the wait. */
int anyc__waiters_wait_owned(struct anyc_waiters_ *q, struct anyc_task *t, const uint64_t *owner,
			     bool shielded, const char *what);
/* Takes the first out and makes it ready with a result; its task, or NULL for an empty line. */
struct anyc_task *anyc__waiters_wake(struct anyc_waiters_ *q, int result);
size_t anyc__waiters_count(const struct anyc_waiters_ *q);
static inline bool anyc__waiters_empty(const struct anyc_waiters_ *q)
{
	return q->first_ == NULL;
}
/* The task takes what others may wait for: *owner is its id, *engine its engine's.  Counted, to
 * notice a task that ends with it. */
void anyc__own(struct anyc_task *t, uint64_t *owner, uint64_t *engine);
/* The current task gives it to the first in line, or *owner becomes 0. */
void anyc__pass_on(struct anyc_waiters_ *q, uint64_t *owner);
/* The task with this id has ended and had something still. */
bool anyc__owner_has_ended(const struct anyc_task *t, uint64_t id);
/* ANYC_ETHREAD, with its sentence, if another engine's tasks wait in it now; else 0. */
int anyc__waiters_check(const struct anyc_waiters_ *q, const char *what);
/* Tasks of another thread wait in it: as anyc__fd_elsewhere(). */
bool anyc__waiters_elsewhere(const struct anyc_waiters_ *q);

/* --------------------------------------------------------------------------------- facts */

struct anyc__engine *anyc__task_engine(const struct anyc_task *t);
/* The engine of the current task, or of the loop that this thread runs; NULL: none. */
struct anyc__engine *anyc__current_engine(void);
uint64_t anyc__engine_id(const struct anyc__engine *e); /* never reused; atomic to read */
uint64_t anyc__task_engine_id(const struct anyc_task *t);
bool anyc__engine_lives(uint64_t id); /* any thread */
uint64_t anyc__task_id(const struct anyc_task *t);
const char *anyc__task_name(const struct anyc_task *t);
int64_t anyc__now(const struct anyc__engine *e);
uint64_t anyc__process(void); /* one number a process: a forked child has another one */
/* 0, or ANYC_EFORKED / ANYC_EGONE for an engine that was inherited, or whose loop has gone. */
int anyc__engine_check(const struct anyc__engine *e);

/* The network of the loop that runs here, and what its operations are given; NULL: the kernel's. */
struct anyc_net_ops;
const struct anyc_net_ops *anyc__net(void **self);

/* ---------------------------------------------------------------------------------- posts */

/* A callback on the engine's thread, outside a task; the owner keeps the memory. */
struct anyc__post {
	struct anyc__post *next, *prev;
	struct anyc__posts *in; /* where it is queued; NULL: nowhere */
	void (*run)(struct anyc__post *p, int status); /* 0, or ANYC_EGONE as the engine ends */
};
/* Queues it from the engine's own thread. */
void anyc__post_local(struct anyc__engine *e, struct anyc__post *p);

/* Counts for anyc_memory_stats(). */
void anyc__count_streams(int change);

#endif

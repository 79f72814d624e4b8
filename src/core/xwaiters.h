/* SPDX-License-Identifier: MIT */
/*
 * What objects between threads are built on: a room that one thread at a time is in, lines of
 * tasks of any engines, and what a task holds.
 *
 *	rc = anyc__enter(&t);                        // as every checkpoint
 *	if (rc == 0)
 *		rc = anyc__xroom_enter(&x->room_, "the object");
 *	if (rc != 0)
 *		return rc;
 *	if (it can be done now) {
 *		do it;
 *		anyc__xroom_leave(&x->room_);
 *		anyc__yield(t);
 *		return 0;
 *	}
 *	return anyc__xwaiters_wait(&x->waiters_, &x->room_, t, NULL, "an object");   // leaves it
 */
#ifndef ANYC__XWAITERS_H
#define ANYC__XWAITERS_H

#include <anyc/xsync.h>

#include "core.h"

/* ---------------------------------------------------------------------------------- rooms */

/* Any thread.  ANYC_EFORKED, with its sentence about `what`: nobody is inside. */
int anyc__xroom_enter(struct anyc_xroom_ *room, const char *what);
void anyc__xroom_leave(struct anyc_xroom_ *room);

/* ---------------------------------------------------------------------------------- lines */

/* On the stack of the call that waits. */
struct anyc_xwaiter_ {
	struct anyc_xwaiter_ *next, *prev;
	struct anyc_xwaiters_ *line; /* NULL once out of it */
	struct anyc_xroom_ *room;
	struct anyc_task *task;
	uint64_t task_id;
	struct anyc_token *token; /* of its engine */
	void *data;               /* of whoever's line it is */
	bool woken;
	int result;             /* with which it was woken */
	struct anyc__post post; /* wakes it in its own thread */
};

/*
 * Called inside the room, which it leaves: waits at the end of the line.  Once woken it returns
 * that result, whatever is cancelled then; and no thread is inside for its sake any more, so that
 * the object may be freed.  Errors as of anyc__park(), -ENOMEM, -EMFILE.
 */
int anyc__xwaiters_wait(struct anyc_xwaiters_ *line, struct anyc_xroom_ *room,
			struct anyc_task *t, void *data, const char *what);
/*
 * Inside the room, any thread: takes the first out and has it return with a result.  The waiter,
 * which is there until the room is left; NULL: the line is empty.
 */
const struct anyc_xwaiter_ *anyc__xwaiters_wake(struct anyc_xwaiters_ *line, int result);
size_t anyc__xwaiters_count(const struct anyc_xwaiters_ *line); /* inside the room */
/* From outside; 0 if it cannot be entered. */
size_t anyc__xroom_waiting(struct anyc_xroom_ *room, const struct anyc_xwaiters_ *line,
			   const char *what);

/* ----------------------------------------------------------------------------------- held */

/* The current task holds it until unhold; should it end before, abandon(h) is called by its
 * thread, inside no room. */
void anyc__hold(struct anyc_task *t, struct anyc_held_ *h, anyc_abandon_fn_ *abandon);
void anyc__unhold(struct anyc_task *t, struct anyc_held_ *h);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Cancel scopes.  A scope is a region of one task's code that can be cancelled: by a call, or by
 * its deadline.  Inside a cancelled scope every checkpoint returns ANYC_ECANCELED, again and
 * again, until the task leaves the scope.  Scopes nest, last in first out, within their task;
 * cancelling one reaches everything inside it, tasks of inner groups included.
 *
 *	struct anyc_scope limit;
 *
 *	anyc_scope_enter_timeout(&limit, 5 * ANYC_SECOND);
 *	rc = work();
 *	return anyc_scope_leave(&limit, rc);      // ANYC_ETIMEDOUT iff the deadline ended it
 *
 * A checkpoint is a call that may wait; its documentation says "checkpoint".  Such a call looks
 * for a cancellation first, without any effect, and lets other ready tasks run.  A result that
 * came before the cancellation is returned; the cancellation meets the next checkpoint.
 *
 * Everything here is called on the thread of the scope's loop; anyc_loop_token() leads there.
 */
#ifndef ANYC_SCOPE_H
#define ANYC_SCOPE_H

#include <anyc/base.h>
#include <anyc/time.h>

ANYC_BEGIN_DECLS

/* Why a scope was cancelled: the first cause stays. */
enum anyc_cause {
	ANYC_CAUSE_NONE,
	ANYC_CAUSE_CANCEL,   /* anyc_scope_cancel() or a cancel of its group, task or loop */
	ANYC_CAUSE_DEADLINE, /* its own deadline passed */
	ANYC_CAUSE_ERROR     /* a task of its group failed */
};

/* An entry of the loop's timer heap.  Private. */
struct anyc_timer_ {
	void (*fire_)(struct anyc_timer_ *);
	size_t place_; /* in the heap, from 1; 0: not in it */
};

/* Where the caller puts it, usually on the stack of the task.  The fields are private. */
struct anyc_scope {
	uintptr_t magic_;
	int64_t effective_deadline_;        /* the least one that nothing shields */
	struct anyc_scope *deadline_scope_; /* whose it is */
	uint8_t state_;
	uint8_t cause_;
	bool effective_; /* this scope, or one around it that nothing shields, is cancelled */
	bool shield_;
	bool move_on_;
	bool caught_;
	uint8_t pad_[2];
	struct anyc_scope *outer_; /* enclosing scope; for a task's own scope, the group's */
	struct anyc_scope *inner_; /* the next scope of the same task */
	struct anyc_task *task_;
	struct anyc_group *group_; /* the group whose tasks live in this scope */
	int64_t deadline_;
	struct anyc_timer_ timer_;
	int32_t poison_;   /* the error of a bad enter */
	uint32_t returns_; /* checkpoints that returned ANYC_ECANCELED inside */
	const char *reason_;
	const char *canceller_; /* the name of the task that cancelled */
	void *site_;            /* where it was entered */
	void *reserved_[2];
};

struct anyc_scope_options {
	int64_t timeout;  /* relative to entering; 0: unset, ANYC_FOREVER: none */
	int64_t deadline; /* on the clock of anyc_now(); 0: unset.  Of the two the earlier counts */
	bool shield;      /* cancellations from outside stop here; give it a timeout in clean-up */
	bool move_on;     /* an expired deadline makes leave return 0, not ANYC_ETIMEDOUT */
	uint8_t reserved_[6];
};

/*
 * Initialises and enters a scope in one step, on any memory, also again after each leave.
 * options may be NULL.  A bad option (negative time), or a call on a loop's thread outside a
 * task, opens the scope poisoned: checkpoints inside and leave return that error.
 */
ANYC_API void anyc_scope_enter_sized(struct anyc_scope *s, const struct anyc_scope_options *options,
				     size_t size);
ANYC_INLINE void anyc_scope_enter(struct anyc_scope *s, const struct anyc_scope_options *options)
{
	anyc_scope_enter_sized(s, options, sizeof *options);
}
/* Enters with a deadline ns from now: 0 has expired already, ANYC_FOREVER is none. */
ANYC_API void anyc_scope_enter_timeout(struct anyc_scope *s, int64_t ns);
/* The same, and an expired deadline makes leave return 0. */
ANYC_API void anyc_scope_enter_move_on(struct anyc_scope *s, int64_t ns);
/* Enters with a shield and a deadline: for clean-up that must not be cancelled, but must end. */
ANYC_API void anyc_scope_enter_shield(struct anyc_scope *s, int64_t ns);

/*
 * To cancel before entering: init, hand it out, and open it later.  A relative timeout counts
 * from open.
 *   errors of open  ANYC_EMISUSE (zeroed, open or left already), ANYC_ENOTASK; nothing changed
 */
ANYC_API void anyc_scope_init_sized(struct anyc_scope *s, const struct anyc_scope_options *options,
				    size_t size);
ANYC_INLINE void anyc_scope_init(struct anyc_scope *s, const struct anyc_scope_options *options)
{
	anyc_scope_init_sized(s, options, sizeof *options);
}
ANYC_API ANYC_MUST_CHECK int anyc_scope_open(struct anyc_scope *s);

/*
 * Leaves the task's innermost scope, giving the result of its body; returns what to pass on:
 *   not the innermost scope of this task       ANYC_EMISUSE, nothing changed
 *   rc >= 0, or an error of its own            rc: a result and a real error beat any cancellation
 *   ANYC_ECANCELED, and a visible scope around this one is cancelled     ANYC_ECANCELED
 *   ANYC_ECANCELED, and this scope is cancelled    ANYC_ETIMEDOUT if its deadline came first and
 *                                              it is not a move-on scope, else 0
 * Not a checkpoint.  Afterwards the scope still answers the questions below.
 */
ANYC_API int anyc_scope_leave(struct anyc_scope *s, int rc);

/*
 * Cancels the scope: sync, idempotent, from any task or callback of its loop, before entering or
 * inside.  The first reason (a string that outlives the scope, or NULL) stays.
 *   errors  ANYC_EMISUSE for a scope that was never initialised or was left
 */
ANYC_API int anyc_scope_cancel(struct anyc_scope *s, const char *reason);

/*
 * Moves the deadline (ANYC_FOREVER: none).  In the past it cancels at once; after an expiry it
 * never un-cancels.   errors  ANYC_EINVAL if negative, ANYC_EMISUSE if left
 */
ANYC_API int anyc_scope_set_deadline(struct anyc_scope *s, int64_t deadline);
/* Raises or drops the shield.  Dropping it wakes a task that a cancellation was kept from. */
ANYC_API int anyc_scope_set_shield(struct anyc_scope *s, bool shield);

ANYC_API int64_t anyc_scope_deadline(const struct anyc_scope *s);
/* It was cancelled, whatever came of it. */
ANYC_API bool anyc_scope_cancel_called(const struct anyc_scope *s);
/* A cancellation reached its leave and ended there. */
ANYC_API bool anyc_scope_cancelled_caught(const struct anyc_scope *s);
ANYC_API enum anyc_cause anyc_scope_cause(const struct anyc_scope *s);
/* The reason given with the cancellation, and the name of the task that gave it; or NULL. */
ANYC_API const char *anyc_scope_reason(const struct anyc_scope *s);
ANYC_API const char *anyc_scope_canceller(const struct anyc_scope *s);

/*
 * The earliest deadline that can reach the current task: 0 if it is cancelled already,
 * ANYC_FOREVER if there is none.
 */
ANYC_API int64_t anyc_effective_deadline(void);

ANYC_END_DECLS
#endif

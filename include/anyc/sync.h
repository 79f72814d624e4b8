/* SPDX-License-Identifier: MIT */
/*
 * Synchronisation of tasks that run on one loop.  Zeroed memory is a valid event, lock, condition,
 * semaphore (of no permits), guard and future, so each may be a static, made before any loop; a
 * limiter needs its initialiser.  Nothing here needs a destroy, and nothing may be copied while in
 * use.  An object belongs to a loop only while a task holds it or waits on it: from another thread
 * it is then ANYC_ETHREAD.  That finds mistakes; it does not synchronise threads (xsync.h).
 * What was taken on a loop that has ended stays taken: a lock is ANYC_EBROKEN, a guard is left and
 * a limiter's token for a borrower released by whoever comes.  A token that a task took for itself
 * is lost if the task ends with it, on any loop: only a greater total makes up for it.
 *
 * Who waits is served first come, first served, and what is released with somebody in line is
 * theirs at once: nobody gets in between.  A wait whose object was handed over returns 0, also if
 * it is cancelled before it runs; the cancellation meets the next checkpoint.
 * The questions (is, how many, who) may be asked anywhere, also outside tasks.
 */
#ifndef ANYC_SYNC_H
#define ANYC_SYNC_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/* --------------------------------------------------------------------------------- events */

/* A flag that is set once, and the tasks that wait for it. */
struct anyc_event {
	struct anyc_waiters_ waiters_;
	bool set_;
	uint8_t pad_[7];
	void *reserved_[2];
};

/* Sets the flag for good and wakes all who wait.  Idempotent.   errors  ANYC_ETHREAD */
ANYC_API int anyc_event_set(struct anyc_event *e);
ANYC_API bool anyc_event_is_set(const struct anyc_event *e);
/* Tasks that wait for it now. */
ANYC_API size_t anyc_event_waiting(const struct anyc_event *e);
/*
 * Waits until the flag is set.
 *   checkpoint  always, also when it is set       cancelled  nothing else happened
 *   errors  ANYC_ECANCELED, ANYC_ETHREAD
 */
ANYC_API ANYC_MUST_CHECK int anyc_event_wait(struct anyc_event *e);

/* ---------------------------------------------------------------------------------- locks */

/*
 * A lock held by one task; not recursive.  If its owner ends without having released it, nobody
 * knows what state the lock's data is in: the lock is ANYC_EBROKEN for those in line and for all
 * who come later.
 */
struct anyc_lock {
	struct anyc_waiters_ waiters_;
	uint64_t owner_;  /* task id */
	uint64_t engine_; /* its loop's */
	bool fast_, broken_;
	uint8_t pad_[6];
	void *reserved_[2];
};

/* A lock that is taken without giving way to ready tasks if it is free: for short sections in hot
 * code.  A cancellation is looked at all the same. */
#define ANYC_LOCK_INIT_FAST {{0, 0, 0}, 0, 0, true, false, {0}, {0, 0}}

/*
 *   checkpoint  always                             cancelled  the lock was not taken
 *   errors  ANYC_ECANCELED, ANYC_EMISUSE (held by this task already), ANYC_ETHREAD, ANYC_EBROKEN
 */
ANYC_API ANYC_MUST_CHECK int anyc_lock_acquire(struct anyc_lock *l);
/* Without waiting.   errors  ANYC_EWOULDBLOCK, ANYC_EMISUSE, ANYC_ETHREAD, ANYC_EBROKEN,
 * ANYC_ENOTASK: it is a task that owns a lock */
ANYC_API ANYC_MUST_CHECK int anyc_lock_acquire_nowait(struct anyc_lock *l);
/* errors  ANYC_EMISUSE: not held by this task */
ANYC_API int anyc_lock_release(struct anyc_lock *l);
ANYC_API bool anyc_lock_is_held(const struct anyc_lock *l);
/* The id of the task that holds it, or 0; and the tasks in line. */
ANYC_API uint64_t anyc_lock_owner(const struct anyc_lock *l);
ANYC_API size_t anyc_lock_waiting(const struct anyc_lock *l);

/* ----------------------------------------------------------------------------- conditions */

/* Tasks that wait for a change of what a lock protects. */
struct anyc_condition {
	struct anyc_waiters_ waiters_;
	struct anyc_lock *lock_; /* of those who wait */
	void *reserved_[2];
};

/*
 * Releases the lock, waits to be notified, and takes the lock again, which cannot be cancelled.
 * All who wait on a condition at one time use one lock.
 *   checkpoint  always        cancelled  no notification was used up; the lock is held again
 *   errors  ANYC_ECANCELED; ANYC_EMISUSE (the lock is not held by this task, or is not that of
 *           the others) and ANYC_ETHREAD: nothing changed.  After any other error, such as
 *           ANYC_EBROKEN, the lock is not held: nobody can have it again
 */
ANYC_API ANYC_MUST_CHECK int anyc_condition_wait(struct anyc_condition *c, struct anyc_lock *l);
/* Waits until predicate(arg), called with the lock held, is not 0.
 * checkpoint, cancelled and errors: as anyc_condition_wait(); a predicate that is true at once is
 * a checkpoint too */
typedef bool anyc_predicate_fn(void *arg);
ANYC_API ANYC_MUST_CHECK int anyc_condition_wait_for(struct anyc_condition *c, struct anyc_lock *l,
						     anyc_predicate_fn *predicate, void *arg);
/*
 * Wakes up to count of those who wait, or all; they run when they get the lock.  The calling task
 * holds it.  Who was cancelled already is passed over.
 *   errors  ANYC_EMISUSE: the lock of those who wait is not held by this task
 */
ANYC_API int anyc_condition_notify(struct anyc_condition *c, struct anyc_lock *l, size_t count);
ANYC_API int anyc_condition_notify_all(struct anyc_condition *c, struct anyc_lock *l);
ANYC_API size_t anyc_condition_waiting(const struct anyc_condition *c);

/* ----------------------------------------------------------------------------- semaphores */

/* Permits that may be taken and given back by anyone. */
struct anyc_semaphore {
	struct anyc_waiters_ waiters_;
	int64_t value_, max_; /* max 0: none */
	bool fast_;
	uint8_t pad_[7];
	void *reserved_[2];
};

/* Static ones; max 0 is no maximum.  A fast one is taken without giving way, as a fast lock. */
#define ANYC_SEMAPHORE_INIT(initial, max) {{0, 0, 0}, (initial), (max), false, {0}, {0, 0}}
#define ANYC_SEMAPHORE_INIT_FAST(initial, max) {{0, 0, 0}, (initial), (max), true, {0}, {0, 0}}
/* errors  ANYC_EINVAL: initial is negative, or max is and not 0 but less than initial */
ANYC_API ANYC_MUST_CHECK int anyc_semaphore_init(struct anyc_semaphore *s, int64_t initial,
						 int64_t max);
/*
 * Takes a permit.
 *   checkpoint  always        cancelled  no permit was taken
 *   errors  ANYC_ECANCELED, ANYC_ETHREAD, ANYC_EINVAL (initialised with bad values)
 */
ANYC_API ANYC_MUST_CHECK int anyc_semaphore_acquire(struct anyc_semaphore *s);
/* Without waiting; anywhere.   errors  ANYC_EWOULDBLOCK, ANYC_ETHREAD, ANYC_EINVAL */
ANYC_API ANYC_MUST_CHECK int anyc_semaphore_acquire_nowait(struct anyc_semaphore *s);
/* Gives a permit to the first in line, or back; anywhere on the loop's thread.
 *   errors  ANYC_EOVERFLOW: it is at its maximum, nothing changed; ANYC_ETHREAD, ANYC_EINVAL */
ANYC_API int anyc_semaphore_release(struct anyc_semaphore *s);
ANYC_API int64_t anyc_semaphore_value(const struct anyc_semaphore *s);
ANYC_API size_t anyc_semaphore_waiting(const struct anyc_semaphore *s);

/* ------------------------------------------------------------------------------- limiters */

/* Who has a token of a limiter, or is in line for one.  Private. */
struct anyc_borrower_ {
	const void *key_;
	uint64_t task_; /* id, if key is NULL; both 0: a free place */
	uint64_t has_;  /* 1: a token; 0: in line */
};

/*
 * Tokens that know who borrowed them: a task, or anything with an address, each at most one.  The
 * total may be changed at any time; what was borrowed is never called back.  Up to four borrowers,
 * those in line included, need no memory.
 */
struct anyc_limiter {
	struct anyc_waiters_ waiters_;
	int64_t total_;
	size_t borrowed_, waiting_;
	uint64_t engine_;
	struct anyc_borrower_ *table_; /* open addressing; NULL: the places below */
	size_t places_;                /* of the table, a power of two */
	struct anyc_borrower_ few_[4];
	uintptr_t magic_;
	void *reserved_[2];
};

#define ANYC_LIMITER_INFINITE INT64_MAX
#define ANYC_LIMITER_MAGIC_ 0x616e7963U
/* A static one.  A limiter that is zeroed, or has a negative total, is ANYC_EINVAL. */
#define ANYC_LIMITER_INIT(total) \
	{{0, 0, 0}, (total), 0, 0, 0, 0, 0, {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}, \
	 ANYC_LIMITER_MAGIC_, {0, 0}}
/* errors  ANYC_EINVAL: total is negative */
ANYC_API ANYC_MUST_CHECK int anyc_limiter_init(struct anyc_limiter *l, int64_t total);
/*
 * Borrows a token for the current task, or for a borrower (not NULL).
 *   checkpoint  always        cancelled  no token was taken
 *   errors  ANYC_ECANCELED, ANYC_EMISUSE (it has a token, or is in line, already), ANYC_ETHREAD,
 *           ANYC_EINVAL, -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_limiter_acquire(struct anyc_limiter *l);
ANYC_API ANYC_MUST_CHECK int anyc_limiter_acquire_for(struct anyc_limiter *l, const void *borrower);
/* Without waiting.  errors  ANYC_EWOULDBLOCK, and those above; the first needs a task:
 * ANYC_ENOTASK */
ANYC_API ANYC_MUST_CHECK int anyc_limiter_acquire_nowait(struct anyc_limiter *l);
ANYC_API ANYC_MUST_CHECK int anyc_limiter_acquire_for_nowait(struct anyc_limiter *l,
							     const void *borrower);
/* Gives the token of the current task, or of a borrower, back.
 *   errors  ANYC_EMISUSE: it has none; ANYC_ETHREAD, ANYC_EINVAL */
ANYC_API int anyc_limiter_release(struct anyc_limiter *l);
ANYC_API int anyc_limiter_release_for(struct anyc_limiter *l, const void *borrower);
/* More wakes as many in line as there is room; less calls nothing back, so that more may be
 * borrowed than there are until they are released.   errors  ANYC_EINVAL: negative; ANYC_ETHREAD */
ANYC_API ANYC_MUST_CHECK int anyc_limiter_set_total(struct anyc_limiter *l, int64_t total);
ANYC_API int64_t anyc_limiter_total(const struct anyc_limiter *l);
ANYC_API size_t anyc_limiter_borrowed(const struct anyc_limiter *l);
ANYC_API size_t anyc_limiter_waiting(const struct anyc_limiter *l);
/* Whether the borrower, or the current task for NULL, has a token. */
ANYC_API bool anyc_limiter_has(const struct anyc_limiter *l, const void *borrower);

/* --------------------------------------------------------------------------------- guards */

/* Sees to it that only one is at something at a time, without waiting. */
struct anyc_guard {
	uint64_t engine_;
	const char *action_; /* of the one inside; NULL: nobody is */
	void *reserved_[2];
};

/*
 * Enters; action says what for, such as "reading from", and lasts until leave.  Not a checkpoint.
 *   errors  ANYC_EBUSY: "another task is already reading from this resource"; ANYC_EINVAL (NULL),
 *           ANYC_ETHREAD
 */
ANYC_API ANYC_MUST_CHECK int anyc_guard_enter(struct anyc_guard *g, const char *action);
/* errors  ANYC_EMISUSE: nobody is inside; ANYC_ETHREAD */
ANYC_API int anyc_guard_leave(struct anyc_guard *g);

/* -------------------------------------------------------------------------------- futures */

enum anyc_future_state {
	ANYC_FUTURE_PENDING,
	ANYC_FUTURE_SET,
	ANYC_FUTURE_FAILED,
	ANYC_FUTURE_CANCELLED
};

/* A result that comes once: a value, an error, or a cancellation. */
struct anyc_future {
	struct anyc_waiters_ waiters_;
	intptr_t value_;
	int32_t error_;
	uint8_t state_;
	uint8_t pad_[3];
	void *reserved_[2];
};

/*
 * Gives the result, once, anywhere on the loop's thread; all who wait wake.
 *   errors  ANYC_EFINISHED (it has one), ANYC_ETASKCANCELED (it was cancelled), ANYC_ETHREAD;
 *           of fail: ANYC_EINVAL, rc is not negative.  Failing with ANYC_ECANCELED is cancelling.
 */
ANYC_API int anyc_future_set(struct anyc_future *f, intptr_t value);
ANYC_API int anyc_future_fail(struct anyc_future *f, int rc);
/* Nothing happens to one that has its result.   errors  ANYC_ETHREAD */
ANYC_API int anyc_future_cancel(struct anyc_future *f);
/*
 * Waits until it has its result, whichever: anyc_future_result() tells.
 *   checkpoint  always        cancelled  the future and others who wait go on
 *   errors  ANYC_ECANCELED, ANYC_ETHREAD
 */
ANYC_API ANYC_MUST_CHECK int anyc_future_wait(struct anyc_future *f);
/* 0 and the value (to *value, if it is not NULL), or its error.
 *   errors  ANYC_ENOTFINISHED, ANYC_ETASKCANCELED, or the one it failed with */
ANYC_API ANYC_MUST_CHECK int anyc_future_result(const struct anyc_future *f, intptr_t *value);
ANYC_API enum anyc_future_state anyc_future_state(const struct anyc_future *f);
ANYC_API size_t anyc_future_waiting(const struct anyc_future *f);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/*
 * Synchronisation of tasks that run on one loop.  All of it is valid when zeroed, so it may be a
 * static, made before any loop; it needs no destroy and must not be copied while in use.  An
 * object belongs to a loop only while a task holds it or waits on it: from another thread it is
 * then ANYC_ETHREAD.  It does not synchronise threads.
 */
#ifndef ANYC_SYNC_H
#define ANYC_SYNC_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

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

/*
 * A lock held by one task, passed on first come, first served: release makes the first in line
 * the owner at once.
 */
struct anyc_lock {
	struct anyc_waiters_ waiters_;
	uint64_t owner_;  /* task id */
	uint64_t engine_; /* its loop's */
	void *reserved_[2];
};

/*
 *   checkpoint  always                             cancelled  the lock was not taken
 *   errors  ANYC_ECANCELED, ANYC_EMISUSE (held by this task already), ANYC_ETHREAD
 */
ANYC_API ANYC_MUST_CHECK int anyc_lock_acquire(struct anyc_lock *l);
/* Without waiting.   errors  ANYC_EWOULDBLOCK, ANYC_EMISUSE, ANYC_ETHREAD, ANYC_ENOTASK: it is a
 * task that owns a lock */
ANYC_API ANYC_MUST_CHECK int anyc_lock_acquire_nowait(struct anyc_lock *l);
/* errors  ANYC_EMISUSE: not held by this task */
ANYC_API int anyc_lock_release(struct anyc_lock *l);
ANYC_API bool anyc_lock_is_held(const struct anyc_lock *l);

ANYC_END_DECLS
#endif

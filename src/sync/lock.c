/* SPDX-License-Identifier: MIT */
/*
 * Lock: an owner, and a line of tasks that want to be.
 *
 * Rules
 *  - Release makes the first in line the owner before that task runs, so that nobody can take the
 *    lock in between.
 *  - Core counts what a task owns.  One that ends and owns something breaks those locks: who is in
 *    line is woken with ANYC_EBROKEN, and who comes later finds the owner among the ended.
 */
#include "sync.h"

static int broken(struct anyc_lock *l)
{
	l->broken_ = true;
	return anyc_fail(ANYC_EBROKEN, 0,
			 "the lock's owner ended without releasing it; what it protects is in no "
			 "known state");
}

/* 0: the lock is free, or may be waited for. */
static int check(struct anyc_lock *l, const struct anyc_task *t)
{
	if (ANYC__UNLIKELY(l->broken_))
		return broken(l);
	if (ANYC__LIKELY(l->owner_ == 0))
		return anyc__waiters_check(&l->waiters_, "the lock");
	if (l->owner_ == anyc__task_id(t))
		return anyc__misuse(ANYC_EMISUSE,
				    "task '%s' holds the lock already; it is not recursive",
				    anyc__task_name(t));
	if (anyc__is_of_others(&l->engine_))
		return anyc__misuse(ANYC_ETHREAD,
				    "the lock is held by a task of another thread's loop; tasks "
				    "of one loop share it, threads share by anyc/xsync.h");
	return ANYC__UNLIKELY(!anyc__is_here(&l->engine_) ||
			      anyc__owner_has_ended(t, l->owner_))
		       ? broken(l)
		       : 0;
}

static int wait(struct anyc_lock *l, struct anyc_task *t, bool shielded)
{
	int rc = anyc__waiters_wait_owned(&l->waiters_, t, &l->owner_, shielded, "a lock");

	return rc == ANYC_EBROKEN ? broken(l) : rc;
}

int anyc_lock_acquire(struct anyc_lock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = check(l, t);
	if (rc != 0)
		return rc;
	if (l->owner_ != 0)
		return wait(l, t, false);
	anyc__own(t, &l->owner_, &l->engine_);
	if (!l->fast_)
		anyc__yield(t);
	return 0;
}

int anyc_lock_acquire_nowait(struct anyc_lock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc == 0)
		rc = check(l, t);
	if (rc != 0)
		return rc;
	if (l->owner_ != 0)
		return ANYC_EWOULDBLOCK;
	anyc__own(t, &l->owner_, &l->engine_);
	return 0;
}

int anyc__lock_take_shielded(struct anyc_lock *l, struct anyc_task *t)
{
	int rc = check(l, t);

	if (rc == 0 && l->owner_ != 0)
		return wait(l, t, true);
	if (rc == 0)
		anyc__own(t, &l->owner_, &l->engine_);
	return rc;
}

bool anyc__lock_held_by(const struct anyc_lock *l, const struct anyc_task *t)
{
	return t != NULL && l->owner_ == anyc__task_id(t);
}

void anyc__lock_pass_on(struct anyc_lock *l)
{
	anyc__pass_on(&l->waiters_, &l->owner_);
}

int anyc_lock_release(struct anyc_lock *l)
{
	if (!anyc__lock_held_by(l, anyc__current()))
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_lock_release: the task does not hold the lock");
	anyc__lock_pass_on(l);
	return 0;
}

bool anyc_lock_is_held(const struct anyc_lock *l)
{
	return l->owner_ != 0;
}

uint64_t anyc_lock_owner(const struct anyc_lock *l)
{
	return l->owner_;
}

size_t anyc_lock_waiting(const struct anyc_lock *l)
{
	return anyc__waiters_count(&l->waiters_);
}

/* SPDX-License-Identifier: MIT */
/*
 * Lock: an owner, and a line of tasks that want to be.
 *
 * Rule: release makes the first in line the owner before that task runs, so that nobody can take
 * the lock in between.
 */
#include "core/core.h"

static int check_not_held(const struct anyc_lock *l, const struct anyc_task *t)
{
	if (l->owner_ == anyc__task_id(t))
		return anyc__misuse(ANYC_EMISUSE,
				    "task '%s' holds the lock already; it is not recursive",
				    anyc__task_name(t));
	if (l->owner_ != 0 && __atomic_load_n(&l->engine_, __ATOMIC_RELAXED) !=
			      anyc__engine_id(anyc__task_engine(t)))
		return anyc__misuse(ANYC_ETHREAD,
				    "the lock is held by a task of another thread's loop; tasks "
				    "of one loop share it, threads share by posts");
	return anyc__waiters_check(&l->waiters_, "the lock");
}

static void own(struct anyc_lock *l, const struct anyc_task *t)
{
	l->owner_ = anyc__task_id(t);
	__atomic_store_n(&l->engine_, anyc__engine_id(anyc__task_engine(t)), __ATOMIC_RELAXED);
}

int anyc_lock_acquire(struct anyc_lock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = check_not_held(l, t);
	if (rc != 0)
		return rc;
	if (l->owner_ != 0)
		return anyc__waiters_wait(&l->waiters_, t, NULL, "a lock");
	own(l, t);
	anyc__yield(t);
	return 0;
}

int anyc_lock_acquire_nowait(struct anyc_lock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc == 0)
		rc = check_not_held(l, t);
	if (rc != 0)
		return rc;
	if (l->owner_ != 0)
		return ANYC_EWOULDBLOCK;
	own(l, t);
	return 0;
}

int anyc_lock_release(struct anyc_lock *l)
{
	const struct anyc_task *t = anyc__current();

	if (t == NULL || l->owner_ != anyc__task_id(t))
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_lock_release: the task does not hold the lock");
	t = anyc__waiters_wake(&l->waiters_, 0);
#ifdef PLANT_LOCK_BARGING
	t = NULL;
#endif
	l->owner_ = t != NULL ? anyc__task_id(t) : 0;
	return 0;
}

bool anyc_lock_is_held(const struct anyc_lock *l)
{
	return l->owner_ != 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Lock between threads: an owner, and a line of tasks of any loops that want to be.
 *
 * Rules
 *  - Release makes the first in line the owner before that task runs, as in lock.c.
 *  - The owner is written inside the room.  A task may ask outside whether it is the owner: only
 *    its own calls change that.
 *  - The room counts the owner among its users, so that a forked child sees that it was held.
 *  - A task that ends and holds the lock breaks it.
 */
#include "core/xwaiters.h"

static const char name[] = "a lock between threads";

static void set_owner(struct anyc_xlock *l, uint64_t id)
{
	__atomic_store_n(&l->owner_, id, __ATOMIC_RELAXED);
}

/* Inside the room: what the lock's owner leaves behind. */
static void pass_on(struct anyc_xlock *l)
{
	const struct anyc_xwaiter_ *next = anyc__xwaiters_wake(&l->waiters_, 0);

	set_owner(l, next != NULL ? next->task_id : 0);
	if (next == NULL)
		l->room_.users_--;
}

static void abandon(struct anyc_held_ *h)
{
	struct anyc_xlock *l = ANYC__CONTAINER(h, struct anyc_xlock, held_);

	if (anyc__xroom_enter(&l->room_, name) != 0)
		return;
	l->broken_ = true;
	set_owner(l, 0);
	l->room_.users_--;
	while (anyc__xwaiters_wake(&l->waiters_, ANYC_EBROKEN) != NULL)
		;
	anyc__xroom_leave(&l->room_);
}

static int broken(void)
{
	return anyc_fail(ANYC_EBROKEN, 0,
			 "the lock's owner ended without releasing it; what it protects is in no "
			 "known state");
}

/* 0: the task has the lock; ANYC_EWOULDBLOCK: it may wait, and is inside the room; or refused. */
static int try_take(struct anyc_xlock *l, struct anyc_task *t)
{
	int rc;

	if (anyc_xlock_owner(l) == anyc__task_id(t))
		return anyc__misuse(ANYC_EMISUSE,
				    "task '%s' holds the lock already; it is not recursive",
				    anyc__task_name(t));
	rc = anyc__xroom_enter(&l->room_, name);
	if (rc != 0)
		return rc;
	if (l->owner_ != 0)
		return ANYC_EWOULDBLOCK;
	if (l->broken_) {
		anyc__xroom_leave(&l->room_);
		return broken();
	}
	set_owner(l, anyc__task_id(t));
	l->room_.users_++;
	anyc__xroom_leave(&l->room_);
	anyc__hold(t, &l->held_, abandon);
	return 0;
}

int anyc_xlock_acquire(struct anyc_xlock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	rc = try_take(l, t);
	if (rc == 0)
		anyc__yield(t);
	if (rc != ANYC_EWOULDBLOCK)
		return rc;
	rc = anyc__xwaiters_wait(&l->waiters_, &l->room_, t, NULL, name);
	if (rc == 0)
		anyc__hold(t, &l->held_, abandon);
	return rc == ANYC_EBROKEN ? broken() : rc;
}

int anyc_xlock_acquire_nowait(struct anyc_xlock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc == 0)
		rc = try_take(l, t);
	if (rc == ANYC_EWOULDBLOCK)
		anyc__xroom_leave(&l->room_);
	return rc;
}

int anyc_xlock_release(struct anyc_xlock *l)
{
	struct anyc_task *t = anyc__current();
	int rc;

	if (t == NULL || anyc_xlock_owner(l) != anyc__task_id(t))
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_xlock_release: the task does not hold the lock");
	rc = anyc__xroom_enter(&l->room_, name);
	if (rc != 0)
		return rc;
	anyc__unhold(t, &l->held_);
	pass_on(l);
	anyc__xroom_leave(&l->room_);
	return 0;
}

bool anyc_xlock_is_held(const struct anyc_xlock *l)
{
	return anyc_xlock_owner(l) != 0;
}

uint64_t anyc_xlock_owner(const struct anyc_xlock *l)
{
	return __atomic_load_n(&l->owner_, __ATOMIC_RELAXED);
}

size_t anyc_xlock_waiting(struct anyc_xlock *l)
{
	return anyc__xroom_waiting(&l->room_, &l->waiters_, name);
}

/* SPDX-License-Identifier: MIT */
/*
 * Event between threads: a flag that is set once, and a line of tasks of any loops.
 *
 * Rule: who waits looks at the flag inside the room, also when it is set, so that it does not come
 * back before the thread that set it has left.
 */
#include "core/xwaiters.h"

static const char name[] = "an event between threads";

int anyc_xevent_set(struct anyc_xevent *e)
{
	int rc = anyc__xroom_enter(&e->room_, name);

	if (rc != 0)
		return rc;
	__atomic_store_n(&e->set_, true, __ATOMIC_RELEASE);
	while (anyc__xwaiters_wake(&e->waiters_, 0) != NULL)
		;
	anyc__xroom_leave(&e->room_);
	return 0;
}

bool anyc_xevent_is_set(const struct anyc_xevent *e)
{
	return __atomic_load_n(&e->set_, __ATOMIC_ACQUIRE);
}

size_t anyc_xevent_waiting(struct anyc_xevent *e)
{
	return anyc__xroom_waiting(&e->room_, &e->waiters_, name);
}

int anyc_xevent_wait(struct anyc_xevent *e)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = anyc__xroom_enter(&e->room_, name);
	if (rc != 0)
		return rc;
	if (!e->set_)
		return anyc__xwaiters_wait(&e->waiters_, &e->room_, t, NULL, name);
	anyc__xroom_leave(&e->room_);
	anyc__yield(t);
	return 0;
}

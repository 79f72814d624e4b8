/* SPDX-License-Identifier: MIT */
/* Guard: who is inside, if anybody; nobody waits. */
#include "sync.h"

static int check(const struct anyc_guard *g)
{
	if (g->action_ == NULL || !anyc__is_of_others(&g->engine_))
		return 0;
	return anyc__misuse(ANYC_ETHREAD, "the guard is in use by another thread's loop");
}

int anyc_guard_enter(struct anyc_guard *g, const char *action)
{
	int rc = check(g);

	if (rc != 0)
		return rc;
	if (action == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_guard_enter needs the name of an action");
	if (g->action_ != NULL)
		return anyc_fail(ANYC_EBUSY, 0, "another task is already %s this resource",
				 g->action_);
	g->action_ = action;
	__atomic_store_n(&g->engine_, anyc__here(), __ATOMIC_RELAXED);
	return 0;
}

int anyc_guard_leave(struct anyc_guard *g)
{
	int rc = check(g);

	if (rc != 0)
		return rc;
	if (g->action_ == NULL)
		return anyc__misuse(ANYC_EMISUSE, "anyc_guard_leave: nobody is inside");
	g->action_ = NULL;
	return 0;
}

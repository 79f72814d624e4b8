/* SPDX-License-Identifier: MIT */
/*
 * Condition: a line of tasks that wait for a change, each of which takes the lock again before it
 * goes on.
 *
 * Rules
 *  - Notifying takes a task out of the line: a notification that came first is used, whatever is
 *    cancelled then; who was cancelled first is out of the line and uses none up.
 *  - The lock is taken again under a shield, so that it is held however the wait ended.
 */
#include "sync.h"

/* The lock is held by the task, and is that of all who wait. */
static int check(const struct anyc_condition *c, const struct anyc_lock *l,
		 const struct anyc_task *t, const char *call)
{
	int rc = anyc__waiters_check(&c->waiters_, "the condition");

	if (rc != 0)
		return rc;
	if (!anyc__lock_held_by(l, t))
		return anyc__misuse(ANYC_EMISUSE, "%s: the task does not hold the lock", call);
	if (!anyc__waiters_empty(&c->waiters_) && c->lock_ != l)
		return anyc__misuse(ANYC_EMISUSE,
				    "%s: those who wait on the condition use another lock", call);
	return 0;
}

static int wait(struct anyc_condition *c, struct anyc_lock *l, struct anyc_task *t)
{
	int rc, again;

	c->lock_ = l;
	anyc__lock_pass_on(l);
	rc = anyc__waiters_wait(&c->waiters_, t, NULL, "a condition");
	again = anyc__lock_take_shielded(l, t);
	return again != 0 ? again : rc;
}

int anyc_condition_wait(struct anyc_condition *c, struct anyc_lock *l)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = check(c, l, t, "anyc_condition_wait");
	return rc != 0 ? rc : wait(c, l, t);
}

int anyc_condition_wait_for(struct anyc_condition *c, struct anyc_lock *l,
			    anyc_predicate_fn *predicate, void *arg)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = check(c, l, t, "anyc_condition_wait_for");
	if (rc == 0 && predicate == NULL)
		rc = anyc_fail(ANYC_EINVAL, 0, "anyc_condition_wait_for needs a predicate");
	if (rc != 0)
		return rc;
	if (predicate(arg)) {
		anyc__yield(t);
		return 0;
	}
	while (rc == 0) {
		rc = wait(c, l, t);
		if (rc == 0 && predicate(arg))
			return 0;
		if (rc == 0)
			rc = anyc__enter(&t);
	}
	return rc;
}

int anyc_condition_notify(struct anyc_condition *c, struct anyc_lock *l, size_t count)
{
	int rc = check(c, l, anyc__current(), "anyc_condition_notify");

	if (rc != 0)
		return rc;
	while (count-- > 0 && anyc__waiters_wake(&c->waiters_, 0) != NULL)
		;
	return 0;
}

int anyc_condition_notify_all(struct anyc_condition *c, struct anyc_lock *l)
{
	return anyc_condition_notify(c, l, SIZE_MAX);
}

size_t anyc_condition_waiting(const struct anyc_condition *c)
{
	return anyc__waiters_count(&c->waiters_);
}

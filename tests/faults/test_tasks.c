/* SPDX-License-Identifier: MIT */
/* Faults in tasks, groups, scopes and what synchronises them. */
#include "faults.h"

static int nap(void *arg)
{
	(void)arg;
	return ended(anyc_sleep(ANYC_MICROSECOND));
}

static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

FAULTS_ON(ANYC_ROWS_LOOP, r09_a_loop_and_its_task, return_at_once, AND_TWICE)

/* ---------------------------------------------------------------------------- spawn and join */

static int spawn_and_join(void *arg)
{
	struct anyc_handle h[3] = { 0 };
	struct anyc_group g;
	int rc = 0, result = 0;

	(void)arg;
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3 && rc == 0; i++) {
		struct anyc_spawn_options o = { .handle = &h[i] };

		rc = anyc_spawn_opts(&g, nap, NULL, &o);
	}
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = anyc_join(&h[i], &result);
	return anyc_group_leave(&g, rc);
}

FAULTS(r09_spawn_and_join, spawn_and_join, AND_TWICE, ALSO(ENDED_EARLY))

/* anyc_try_spawn() leaves the group alone. */
static int try_to_spawn(void *arg)
{
	struct anyc_spawn_options *none = NULL;
	struct anyc_group g;
	int rc, left, n = 0;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_try_spawn(&g, count_up, &n, none);
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	/* Without a root task, in a plain thread, it was the group that could not be entered. */
	left = anyc_group_leave(&g, 0);
	CHECK(left == 0 || anyc_task_id() == 0 || left == ANYC_ECANCELED);
	CHECK_INT(n, ==, rc == 0);
	return rc != 0 ? rc : left;
}

FAULTS(r09_try_spawn, try_to_spawn, AND_TWICE)

static int start_it(void *arg)
{
	int rc = anyc_started((intptr_t)arg);

	return rc != 0 ? rc : ended(anyc_sleep(ANYC_MICROSECOND));
}

static int starting(void *arg)
{
	struct anyc_group g;
	intptr_t value = 0;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_start(&g, start_it, (void *)5, &value);
	CHECK_INT(value, ==, rc == 0 ? 5 : 0);
	return anyc_group_leave(&g, rc);
}

FAULTS(r09_starting, starting, AND_TWICE, ALSO(ENDED_EARLY, ANYC_ENOTSTARTED))

/* --------------------------------------------------------------------------- group failure */

static int fail_soon(void *arg)
{
	int rc = ended(anyc_sleep(ANYC_MICROSECOND));

	(void)arg;
	return rc != 0 ? rc : anyc_fail(-EIO, EIO, "a failure with a sentence that must be copied");
}

static int group_failure(void *arg)
{
	struct anyc_group_error e;
	struct anyc_group g;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, sleeper, NULL);
	if (rc == 0)
		rc = anyc_spawn(&g, fail_soon, NULL);
	if (rc == 0)
		rc = anyc_sleep_forever();
	rc = anyc_group_leave(&g, rc);
	for (size_t i = 0; i < anyc_group_error_count(&g); i++) {
		int got = anyc_group_error(&g, i, &e);

		CHECK(got == 0 || got == -ENOMEM);
	}
	anyc_group_free(&g);
	return rc == -EIO ? 0 : rc;
}

FAULTS(r08_a_failing_group, group_failure, AND_TWICE, ALSO(ENDED_EARLY))

/* ------------------------------------------------------------------------------------ scopes */

static int deadlines(void *arg)
{
	struct anyc_scope outer, inner;
	int rc;

	(void)arg;
	anyc_scope_enter_timeout(&outer, 10 * ANYC_SECOND);
	anyc_scope_enter_timeout(&inner, ANYC_MICROSECOND);
	rc = anyc_scope_leave(&inner, anyc_sleep(ANYC_SECOND));
	if (rc == ANYC_ETIMEDOUT)
		rc = anyc_sleep(ANYC_MICROSECOND);
	return anyc_scope_leave(&outer, rc);
}

FAULTS(r04_scopes_with_deadlines, deadlines, AND_TWICE)

/* A goodbye in a shield is said, whatever is cancelled meanwhile. */
static int shielded(void *arg)
{
	struct anyc_scope work, fin;
	bool said = false;
	int rc;

	(void)arg;
	anyc_scope_enter(&work, NULL);
	rc = anyc_sleep(ANYC_MICROSECOND);
	anyc_scope_enter_shield(&fin, 10 * ANYC_SECOND);
	said = anyc_sleep(ANYC_MICROSECOND) == 0;
	ANYC_IGNORE(anyc_scope_leave(&fin, 0));
	CHECK(said || rc == -ENOMEM || rc == 0);
	return anyc_scope_leave(&work, rc);
}

FAULTS(r17_a_shield, shielded, .axes = ANYC_FAULT_ALL)

/* ------------------------------------------------------------------------- event and lock */

struct hurdle {
	struct anyc_event start;
	struct anyc_lock lock;
	int inside, passed, cancelled;
};

static int contend(void *arg)
{
	struct hurdle *h = arg;
	int rc = anyc_event_wait(&h->start);

	if (rc == 0)
		rc = anyc_lock_acquire(&h->lock);
	if (rc == 0) {
		CHECK_INT(h->inside++, ==, 0);
		rc = anyc_sleep(ANYC_MICROSECOND);
		h->inside--;
		h->passed++;
		CHECK_OK(anyc_lock_release(&h->lock));
	} else if (rc == ANYC_ECANCELED) {
		h->cancelled++;
	}
	return rc;
}

/* Who was cancelled took nothing away from the others: each of them passes. */
static int contention(void *arg)
{
	struct hurdle h = { 0 };
	struct anyc_group g;
	int rc = 0, spawned = 0;

	(void)arg;
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3 && rc == 0; i++) {
		rc = anyc_spawn(&g, contend, &h);
		spawned += rc == 0;
	}
	if (rc == 0)
		rc = anyc_checkpoint();
	CHECK_OK(anyc_event_set(&h.start));
	rc = anyc_group_leave(&g, rc);
	CHECK(!anyc_lock_is_held(&h.lock));
	CHECK_INT(anyc_event_waiting(&h.start), ==, 0);
	if (rc == 0)
		CHECK_INT(h.passed + h.cancelled, ==, spawned);
	return rc;
}

FAULTS(b082_event_and_lock, contention, AND_TWICE)

/* A task that is cancelled as it gets the lock has it, or nobody has: it is never lost. */
static int lock_in_a_scope(void *arg)
{
	struct anyc_lock lock = { 0 };
	struct anyc_scope s;
	int rc;

	(void)arg;
	rc = anyc_checkpoint();
	if (rc != 0)
		return rc;
	anyc_scope_enter(&s, NULL);
	rc = anyc_lock_acquire(&lock);
	CHECK((rc == 0) == anyc_lock_is_held(&lock));
	if (rc == 0)
		CHECK_OK(anyc_lock_release(&lock));
	rc = anyc_scope_leave(&s, rc);
	CHECK_OK(anyc_lock_acquire_nowait(&lock));
	CHECK_OK(anyc_lock_release(&lock));
	return rc;
}

FAULTS(b080_a_lock_in_a_scope, lock_in_a_scope)

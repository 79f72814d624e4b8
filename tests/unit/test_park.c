/* SPDX-License-Identifier: MIT */
/* Parking and waking, as core.h promises them to the layers above. */
#include <criterion/criterion.h>

#include <anyc/anyc.h>
#include <anyc/testing.h>

#include "core/engine.h"

TestSuite(park, .timeout = 20);

struct parked {
	struct anyc_task *task;
	int rc[2];
	int resumed, aborted;
};

static void take_out(struct anyc_task *t, void *arg)
{
	struct parked *p = arg;

	cr_assert_eq(p->task, t);
	p->aborted++;
}

static int park_twice(void *arg)
{
	struct parked *p = arg;
	int i;

	cr_assert_eq(anyc__enter(&p->task), 0);
	for (i = 0; i < 2; i++) {
		p->rc[i] = anyc__park(p->task, take_out, p, "a test");
		p->resumed++;
	}
	return 0;
}

static int pass_by(void *arg)
{
	++*(int *)arg;
	return 0;
}

/* Of two results the first stands, and the second does not end the next wait. */
static int wake_twice(void *arg)
{
	struct parked p = { .resumed = 0 };
	struct anyc_group g;
	int passed = 0;

	(void)arg;
	anyc_group_enter(&g, NULL);
	cr_assert_eq(anyc_spawn(&g, park_twice, &p), 0);
	cr_assert_eq(anyc_wait_all_blocked(), 0);
	anyc__unpark(p.task, 1);
	anyc__unpark(p.task, 2);
	cr_assert_eq(anyc_spawn(&g, pass_by, &passed), 0);
	cr_assert_eq(anyc_wait_all_blocked(), 0);
	cr_assert_eq(p.resumed, 1);
	cr_assert_eq(p.rc[0], 1);
	cr_assert_eq(passed, 1);
	anyc__unpark(p.task, 3);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	cr_assert_eq(p.resumed, 2);
	cr_assert_eq(p.rc[1], 3);
	cr_assert_eq(p.aborted, 0);
	return 0;
}

Test(park, of_two_results_the_first_stands)
{
	cr_assert_eq(anyc_run(NULL, wake_twice, NULL), 0);
	/* And among the tasks of a plain thread. */
	wake_twice(NULL);
}

/* A task that runs is not woken: its next wait is as long as it should be. */
static int wake_oneself(void *arg)
{
	struct anyc_scope limit;
	struct anyc_task *t;
	int rc;

	(void)arg;
	cr_assert_eq(anyc__enter(&t), 0);
	anyc__unpark(t, 1);
	anyc_scope_enter_timeout(&limit, ANYC_MILLISECOND);
	rc = anyc_sleep_forever();
	cr_assert_eq(rc, ANYC_ECANCELED);
	cr_assert_eq(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	return 0;
}

Test(park, a_running_task_is_not_woken)
{
	cr_assert_eq(anyc_run(NULL, wake_oneself, NULL), 0);
	wake_oneself(NULL);
}

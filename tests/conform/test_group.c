/* SPDX-License-Identifier: MIT */
/* Task groups and handles: behaviours.md section 4, rules 8 to 10 and 30, semantics.md part B. */
#include "conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------------ spawn and the end */

struct family {
	struct anyc_group *group;
	int ended;
};

static int grandchild(void *arg)
{
	struct family *f = arg;
	int rc = anyc_sleep(MS(5));

	f->ended++;
	return rc;
}

static int child_that_spawns(void *arg)
{
	struct family *f = arg;
	int rc = anyc_sleep(MS(5));

	if (rc == 0)
		rc = anyc_spawn(f->group, grandchild, f);
	f->ended++;
	return rc;
}

ANYC_TEST(group, b048_leave_waits_for_all)
{
	struct anyc_group g;
	struct family f = { .group = &g };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, child_that_spawns, &f));
	CHECK_OK(anyc_spawn(&g, child_that_spawns, &f));
	CHECK_INT(anyc_group_size(&g), ==, 2);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(f.ended, ==, 4);
	CHECK_INT(anyc_group_size(&g), ==, 0);
}

/* What the host brings from a scope that its group is now shielded from is an error of its own. */
ANYC_TEST(group, r08_a_cancellation_that_is_hidden)
{
	struct anyc_scope limit;
	struct anyc_group g;
	int rc;

	anyc_scope_enter_timeout(&limit, MS(2));
	anyc_group_enter(&g, NULL);
	rc = anyc_sleep(ANYC_SECOND);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_OK(anyc_scope_set_shield(anyc_group_scope(&g), true));
	rc = anyc_group_leave(&g, rc);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	/* Nobody was cancelled. */
	anyc_group_enter(&g, NULL);
	CHECK_RC(anyc_group_leave(&g, ANYC_ECANCELED), ANYC_ECANCELED);
}

ANYC_TEST(group, b049_a_spawned_task_waits_for_the_next_yield)
{
	struct anyc_group g;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK(!ran);
	CHECK_OK(anyc_checkpoint_if_cancelled());
	CHECK(!ran);
	CHECK_OK(anyc_checkpoint());
	CHECK(ran);
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(group, b051_spawning_outside_of_a_group)
{
	struct anyc_group g;
	int n = 0;

	memset(&g, 0, sizeof g);
	CHECK_RC(anyc_spawn(&g, count_up, &n), ANYC_EMISUSE);
	CHECK_RC(anyc_start(&g, count_up, &n, NULL), ANYC_EMISUSE);
	CHECK_RC(anyc_group_cancel(&g, NULL), ANYC_EMISUSE);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_spawn(&g, count_up, &n), ANYC_EMISUSE);
	anyc_group_enter(&g, NULL);
	CHECK_RC(anyc_group_leave(&g, -EIO), -EIO);
	CHECK_RC(anyc_spawn(&g, count_up, &n), ANYC_EMISUSE);
	CHECK_RC(anyc_try_spawn(&g, count_up, &n, (struct anyc_spawn_options *)NULL), ANYC_EMISUSE);
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_EMISUSE);
	CHECK_INT(reports(), >=, 1);
	CHECK_OK(anyc_checkpoint());
	CHECK_INT(n, ==, 0);
}

ANYC_TEST(group, b052_leave_yields_but_is_no_checkpoint)
{
	struct anyc_group outside, g;
	struct anyc_scope s;
	bool ran = false;
	int n = 0;

	anyc_group_enter(&outside, NULL);
	CHECK_OK(anyc_spawn(&outside, set_flag, &ran));
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(ran);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, count_up, &n));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(n, ==, 1);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_group_leave(&outside, 0));
}

/* ----------------------------------------------------------------------------------- errors */

static int fail_with(void *arg)
{
	int rc = *(const int *)arg;

	return anyc_fail(rc, 0, "failed with %d", rc);
}

/* Sleeps until cancelled, and notes that it was. */
static int sleep_until_cancelled(void *arg)
{
	int rc = anyc_sleep_forever();

	*(int *)arg = rc;
	return rc;
}

ANYC_TEST(group, b053_a_failing_task_cancels_the_rest)
{
	static const int eio = -EIO;
	struct anyc_group g;
	struct anyc_group_error error;
	int sibling = 0, host, rc;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &sibling));
	CHECK_OK(anyc_spawn(&g, fail_with, (void *)(uintptr_t)&eio));
	host = anyc_sleep_forever();
	CHECK_RC(host, ANYC_ECANCELED);
	rc = anyc_group_leave(&g, host);
	CHECK_RC(rc, -EIO);
	CHECK_HAS(anyc_error_detail(rc), "failed with");
	CHECK_RC(sibling, ANYC_ECANCELED);
	CHECK_INT(anyc_group_error_count(&g), ==, 1);
	CHECK_OK(anyc_group_error(&g, 0, &error));
	CHECK_RC(error.rc, -EIO);
	CHECK_STR(error.task, "fail_with");
	CHECK_INT(anyc_scope_cause(anyc_group_scope(&g)), ==, ANYC_CAUSE_ERROR);
	anyc_group_free(&g);
}

/* Waits, and fails with its own error when cancelled: in its clean-up. */
static int fail_in_cleanup(void *arg)
{
	int rc = anyc_sleep_forever();

	CHECK_RC(rc, ANYC_ECANCELED);
	return fail_with(arg);
}

static void check_errors(const struct anyc_group *g, int first, int second)
{
	struct anyc_group_error e;

	CHECK_INT(anyc_group_error_count(g), ==, 2);
	CHECK_OK(anyc_group_error(g, 0, &e));
	CHECK_RC(e.rc, first);
	CHECK_OK(anyc_group_error(g, 1, &e));
	CHECK_RC(e.rc, second);
	CHECK_RC(anyc_group_error(g, 2, &e), ANYC_EINVAL);
}

ANYC_TEST(group, b055_errors_in_order)
{
	static const int eio = -EIO, eperm = -EPERM;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_in_cleanup, (void *)(uintptr_t)&eperm));
	CHECK_OK(anyc_spawn(&g, fail_with, (void *)(uintptr_t)&eio));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	check_errors(&g, -EIO, -EPERM);
	/* The host first, then a task in its clean-up. */
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_in_cleanup, (void *)(uintptr_t)&eperm));
	SETTLE();
	CHECK_RC(anyc_group_leave(&g, -ENOENT), -ENOENT);
	check_errors(&g, -ENOENT, -EPERM);
	/* A task first, and then the host of it. */
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_with, (void *)(uintptr_t)&eio));
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	CHECK_RC(anyc_group_leave(&g, -ENOENT), -EIO);
	check_errors(&g, -EIO, -ENOENT);
	anyc_group_free(&g);
}

ANYC_TEST(group, b057_an_outer_cancel_comes_out_once)
{
	struct anyc_scope outer;
	struct anyc_group g;
	int a = 0, b = 0, rc;

	anyc_scope_enter(&outer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &a));
	CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &b));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	rc = anyc_group_leave(&g, 0);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	CHECK_RC(a, ANYC_ECANCELED);
	CHECK_RC(b, ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&outer, rc));
	CHECK(anyc_scope_cancelled_caught(&outer));
}

ANYC_TEST(group, b058_a_real_error_beats_the_outer_cancel)
{
	static const int eio = -EIO;
	struct anyc_scope outer;
	struct anyc_group g;
	int rc;

	anyc_scope_enter(&outer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_in_cleanup, (void *)(uintptr_t)&eio));
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	rc = anyc_group_leave(&g, anyc_checkpoint());
	CHECK_RC(rc, -EIO);
	CHECK_INT(anyc_group_error_count(&g), ==, 1);
	CHECK_RC(anyc_scope_leave(&outer, rc), -EIO);
}

ANYC_TEST(group, b059_cancelling_a_group)
{
	struct anyc_group g;
	int task, host;

	for (int i = 0; i < 2; i++) {
		task = 0;
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &task));
		SETTLE();
		CHECK_OK(anyc_group_cancel(&g, "enough"));
		host = anyc_sleep_forever();
		CHECK_RC(host, ANYC_ECANCELED);
		CHECK_OK(anyc_group_leave(&g, host));
		CHECK_RC(task, ANYC_ECANCELED);
		CHECK_STR(anyc_scope_reason(anyc_group_scope(&g)), "enough");
		CHECK_OK(anyc_checkpoint());
	}
}

/* ----------------------------------------------------------------------------------- scopes */

ANYC_TEST(group, b062_the_hosts_shield_is_not_the_tasks)
{
	struct anyc_scope outer, shield;
	struct anyc_group g;
	int task = 0;

	anyc_scope_enter(&outer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &task));
	SETTLE();
	anyc_scope_enter_shield(&shield, 20 * ANYC_SECOND);
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_RC(task, ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&shield, 0));
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&outer, ANYC_ECANCELED));
}

ANYC_TEST(group, b063_a_task_runs_under_the_groups_scopes)
{
	struct anyc_scope inner;
	struct anyc_group g;
	int task = 0;

	anyc_group_enter(&g, NULL);
	anyc_scope_enter(&inner, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &task));
	CHECK_OK(anyc_scope_cancel(&inner, NULL));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&inner, ANYC_ECANCELED));
	SETTLE();
	CHECK_INT(task, ==, 0);
	CHECK_INT(anyc_group_size(&g), ==, 1);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(task, ANYC_ECANCELED);
}

/* ---------------------------------------------------------------------------------- starting */

struct service {
	int state; /* 1: began, 2: ready, 3: ended */
	int rc;
	intptr_t value;
	bool without_value;
};

static int serve(void *arg)
{
	struct service *s = arg;

	s->state = 1;
	s->rc = anyc_sleep(MS(1));
	if (s->rc != 0)
		return s->rc;
	s->state = 2;
	CHECK_OK(anyc_started(s->value));
	s->rc = anyc_sleep(MS(5));
	s->state = 3;
	return s->rc;
}

ANYC_TEST(group, b064_start_waits_until_ready)
{
	struct anyc_group g;
	struct service s = { .value = 4711 }, none = { 0 };
	struct anyc_handle h;
	struct anyc_spawn_options options = { .handle = &h };
	intptr_t value = -1;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_start_opts(&g, serve, &s, &value, &options));
	CHECK_INT(s.state, ==, 2);
	CHECK_INT(value, ==, 4711);
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_PENDING);
	value = -1;
	CHECK_OK(anyc_handle_start_value(&h, &value));
	CHECK_INT(value, ==, 4711);
	value = -1;
	CHECK_OK(anyc_start(&g, serve, &none, &value));
	CHECK_INT(value, ==, 0);
	CHECK_OK(anyc_start(&g, serve, &none, NULL));
	CHECK_INT(anyc_group_size(&g), >=, 1);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(s.state, ==, 3);
}

static int start_twice(void *arg)
{
	CHECK_OK(anyc_started(1));
	*(int *)arg = anyc_started(2);
	return anyc_checkpoint();
}

static int return_unstarted(void *arg)
{
	(void)arg;
	return anyc_checkpoint();
}

static int fail_unstarted(void *arg)
{
	int rc = anyc_checkpoint();

	return rc == 0 ? fail_with(arg) : rc;
}

ANYC_TEST(group, b065_started_twice_or_never)
{
	static const int eio = -EIO;
	struct anyc_group g;
	intptr_t value = 7;
	int second = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_start(&g, start_twice, &second, &value));
	CHECK_INT(value, ==, 1);
	CHECK_OK(anyc_checkpoint());
	CHECK_RC(second, ANYC_EMISUSE);
	CHECK_RC(anyc_start(&g, return_unstarted, NULL, &value), ANYC_ENOTSTARTED);
	CHECK_HAS(anyc_error_detail(ANYC_ENOTSTARTED), "return_unstarted");
	CHECK_RC(anyc_start(&g, fail_unstarted, (void *)(uintptr_t)&eio, &value), -EIO);
	CHECK_HAS(anyc_error_detail(-EIO), "failed with");
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
}

static int start_at_once(void *arg)
{
	return anyc_started(*(const int *)arg);
}

ANYC_TEST(group, b068_start_in_a_cancelled_scope)
{
	static const int nine = 9;
	struct anyc_group g;
	struct anyc_scope s;
	intptr_t value = 0;

	anyc_group_enter(&g, NULL);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_OK(anyc_start(&g, start_at_once, (void *)(uintptr_t)&nine, &value));
	CHECK_INT(value, ==, 9);
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(anyc_group_leave(&g, 0));
}

struct shielded_start {
	struct anyc_scope scope; /* of the starter */
	struct anyc_group *group;
	struct anyc_event release;
	int in_shield, after, start, late;
};

static int start_in_shield(void *arg)
{
	struct shielded_start *s = arg;
	struct anyc_scope shield;

	anyc_scope_enter_shield(&shield, 20 * ANYC_SECOND);
	s->in_shield = anyc_event_wait(&s->release);
	CHECK_OK(anyc_scope_leave(&shield, 0));
	s->after = anyc_checkpoint();
	if (s->after != 0)
		return s->after;
	return anyc_started(0);
}

static int starter(void *arg)
{
	struct shielded_start *s = arg;
	int rc;

	anyc_scope_enter(&s->scope, NULL);
	s->start = anyc_start(s->group, start_in_shield, s, NULL);
	rc = anyc_scope_leave(&s->scope, s->start);
	s->late = anyc_checkpoint();
	return rc;
}

ANYC_TEST(group, b069_a_shield_in_a_start_that_is_cancelled)
{
	struct anyc_group g;
	struct shielded_start s = { .group = &g, .in_shield = 1, .after = 1, .start = 1 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, starter, &s));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&s.scope, NULL));
	SETTLE();
	CHECK_INT(s.in_shield, ==, 1);
	CHECK_INT(s.start, ==, 1);
	CHECK_OK(anyc_event_set(&s.release));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(s.in_shield, ==, 0);
	CHECK_RC(s.after, ANYC_ECANCELED);
	CHECK_RC(s.start, ANYC_ECANCELED);
	CHECK_INT(s.late, ==, 0);
}

ANYC_TEST(group, b070_a_siblings_failure_ends_a_start)
{
	static const int eio = -EIO;
	struct anyc_group g;
	struct service s = { 0 };
	int rc;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_with, (void *)(uintptr_t)&eio));
	rc = anyc_start(&g, serve, &s, NULL);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_INT(s.state, <=, 1);
	CHECK_RC(anyc_group_leave(&g, rc), -EIO);
	CHECK_INT(anyc_group_error_count(&g), ==, 1);
}

struct nested_service {
	int own, child;
};

static int serve_with_child(void *arg)
{
	struct nested_service *n = arg;
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_until_cancelled, &n->child));
	CHECK_OK(anyc_started(0));
	n->own = anyc_sleep_forever();
	rc = anyc_group_leave(&g, n->own);
	return rc;
}

ANYC_TEST(group, b072_ready_in_a_cancelled_group)
{
	struct anyc_group g;
	struct nested_service before = { 0 }, after = { 0 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_start(&g, serve_with_child, &before, NULL));
	SETTLE();
	CHECK_OK(anyc_group_cancel(&g, NULL));
	/* It is ready, and cancelled: whichever the start says, all of it ends. */
	ANYC_IGNORE(anyc_start(&g, serve_with_child, &after, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(before.own, ANYC_ECANCELED);
	CHECK_RC(before.child, ANYC_ECANCELED);
	CHECK_RC(after.own, ANYC_ECANCELED);
	CHECK_RC(after.child, ANYC_ECANCELED);
}

/* ---------------------------------------------------------------------------------- handles */

static void check_ended(struct anyc_handle *h, enum anyc_status status, int result)
{
	int joined = 1;

	CHECK_OK(anyc_join(h, &joined));
	CHECK_RC(joined, result);
	CHECK_OK(anyc_join(h, NULL));
	CHECK_INT(anyc_handle_status(h), ==, status);
	CHECK_RC(anyc_handle_result(h), result);
}

ANYC_TEST(group, b073_joining_a_task)
{
	static const int seven = 7, eio = -EIO;
	struct anyc_group g;
	struct anyc_group_options keep = { .keep_going = true };
	struct anyc_handle good, bad, cancelled;
	struct anyc_spawn_options o = { 0 };

	anyc_group_enter(&g, &keep);
	o.handle = &good;
	CHECK_OK(anyc_spawn_opts(&g, give, (void *)(uintptr_t)&seven, &o));
	o.handle = &bad;
	CHECK_OK(anyc_spawn_opts(&g, fail_with, (void *)(uintptr_t)&eio, &o));
	o.handle = &cancelled;
	CHECK_OK(anyc_spawn_opts(&g, sleeper, NULL, &o));
	CHECK_RC(anyc_handle_result(&good), ANYC_ENOTFINISHED);
	CHECK_INT(anyc_handle_status(&good), ==, ANYC_STATUS_PENDING);
	CHECK_OK(anyc_handle_cancel(&cancelled, NULL));
	CHECK_INT(anyc_handle_status(&cancelled), ==, ANYC_STATUS_CANCELLING);
	CHECK_RC(anyc_handle_result(&cancelled), ANYC_ETASKCANCELED);
	check_ended(&good, ANYC_STATUS_FINISHED, 7);
	check_ended(&bad, ANYC_STATUS_FAILED, -EIO);
	check_ended(&cancelled, ANYC_STATUS_CANCELLED, ANYC_ETASKCANCELED);
	CHECK_OK(anyc_group_leave(&g, 0));
	check_ended(&good, ANYC_STATUS_FINISHED, 7);
}

struct joiner {
	struct anyc_handle *handle;
	int rc, result;
};

static int join_it(void *arg)
{
	struct joiner *j = arg;

	j->rc = anyc_join(j->handle, &j->result);
	return j->rc;
}

struct reuse {
	struct anyc_group *group;
	struct joiner joiner;
};

static int join_and_spawn_again(void *arg)
{
	struct reuse *r = arg;
	struct anyc_spawn_options o = { .handle = r->joiner.handle };
	int rc = join_it(&r->joiner);

	return rc != 0 ? rc : anyc_spawn_opts(r->group, sleeper, NULL, &o);
}

/* The first joiner to run gives the handle to another task; the second gets the old result. */
ANYC_TEST(group, b075_a_handle_used_again_by_a_joiner)
{
	struct late seven = { .naps = 3, .result = 7 };
	struct anyc_group g;
	struct anyc_handle h;
	struct anyc_spawn_options o = { .handle = &h };
	struct reuse first = { &g, { .handle = &h } };
	struct joiner second = { .handle = &h, .rc = 1 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, give_late, &seven, &o));
	CHECK_OK(anyc_spawn(&g, join_and_spawn_again, &first));
	CHECK_OK(anyc_spawn(&g, join_it, &second));
	SETTLE();
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_PENDING);
	CHECK_INT(first.joiner.result, ==, 7);
	CHECK_OK(second.rc);
	CHECK_INT(second.result, ==, 7);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(group, b075_cancelling_a_joiner)
{
	struct anyc_group g;
	struct anyc_handle h, jh;
	struct joiner j = { .handle = &h }, other = { .handle = &h };
	struct anyc_spawn_options o = { .handle = &h }, jo = { .handle = &jh };
	struct anyc_event event;
	struct waiter w;

	memset(&event, 0, sizeof event);
	memset(&w, 0, sizeof w);
	w.event = &event;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, wait_for_event, &w, &o));
	CHECK_OK(anyc_spawn_opts(&g, join_it, &j, &jo));
	CHECK_OK(anyc_spawn(&g, join_it, &other));
	SETTLE();
	CHECK_OK(anyc_handle_cancel(&jh, NULL));
	SETTLE();
	CHECK_RC(j.rc, ANYC_ECANCELED);
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_PENDING);
	CHECK_OK(anyc_event_set(w.event));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(other.rc);
	CHECK_INT(other.result, ==, 0);
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_FINISHED);
	CHECK_OK(anyc_handle_cancel(&h, NULL));
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_FINISHED);
	CHECK_OK(anyc_checkpoint());
}

/* ------------------------------------------------------------------------------------ rule 8 */

ANYC_TEST(group, r08_the_list_says_who_and_what)
{
	static const int eio = -EIO;
	struct anyc_group g;
	struct anyc_group_error e;
	struct anyc_spawn_options named = { .name = "worker 3" };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, fail_with, (void *)(uintptr_t)&eio, &named));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	CHECK_OK(anyc_group_error(&g, 0, &e));
	CHECK_STR(e.task, "worker 3");
	CHECK_STR(e.detail, "failed with -5");
	CHECK_INT(e.id, !=, 0);
	CHECK_INT(e.rc, ==, -EIO);
	CHECK_RC(anyc_group_error(&g, 1, &e), ANYC_EINVAL);
	CHECK(e.task == NULL);
	anyc_group_enter(&g, NULL);
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_group_free(&g);
	anyc_group_free(&g);
	anyc_group_free(NULL);
}

ANYC_TEST(group, r08_keep_going_lists_and_goes_on)
{
	static const int eio = -EIO;
	struct anyc_group g;
	struct anyc_group_options keep = { .keep_going = true };
	int n = 0;

	anyc_group_enter(&g, &keep);
	CHECK_OK(anyc_spawn(&g, fail_with, (void *)(uintptr_t)&eio));
	CHECK_OK(anyc_spawn(&g, fail_with, (void *)(uintptr_t)&eio));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_spawn(&g, count_up, &n));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(n, ==, 1);
	CHECK_INT(anyc_group_error_count(&g), ==, 2);
	CHECK(!anyc_scope_cancel_called(anyc_group_scope(&g)));
}

/* An error after the outer cancel is listed, but is no cause of anything. */
ANYC_TEST(group, r08_a_result_goes_through_leave)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_INT(anyc_group_leave(&g, 12), ==, 12);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_INT(anyc_group_leave(&g, 12), ==, 12);
	anyc_group_enter(&g, NULL);
	CHECK_RC(anyc_group_leave(&g, -EPERM), -EPERM);
	CHECK_INT(anyc_group_error_count(&g), ==, 1);
}

ANYC_TEST(group, r08_lists_of_eight_later_groups)
{
	struct anyc_group g[10];
	struct anyc_group_error e;

	for (int i = 0; i < 9; i++) {
		anyc_group_enter(&g[i], NULL);
		CHECK_RC(anyc_group_leave(&g[i], -1 - i), -1 - i);
	}
	for (int i = 1; i < 9; i++) {
		CHECK_OK(anyc_group_error(&g[i], 0, &e));
		CHECK_INT(e.rc, ==, -1 - i);
	}
	CHECK_OK(anyc_group_error(&g[8], 0, &e));
}

ANYC_TEST(group, r08_the_groups_own_deadline)
{
	struct anyc_group g;
	struct anyc_group_options limit = { .timeout = MS(2) };
	struct anyc_group_options move_on = { .timeout = MS(2), .move_on = true };

	anyc_group_enter(&g, &limit);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_ETIMEDOUT);
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	anyc_group_enter(&g, &move_on);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	CHECK_OK(anyc_group_leave(&g, anyc_sleep_forever()));
	CHECK_INT(anyc_scope_cause(anyc_group_scope(&g)), ==, ANYC_CAUSE_DEADLINE);
}

/* ------------------------------------------------------------------------------- rules 9, 10 */

struct aligned {
	_Alignas(64) int values[40];
};

struct sink {
	int sum;
	bool aligned;
};
static struct sink sink;

static int sum_up(void *arg)
{
	const struct aligned *a = arg;

	sink.aligned = (uintptr_t)a % 64 == 0;
	sink.sum = 0;
	for (int i = 0; i < 40; i++)
		sink.sum += a->values[i];
	return 0;
}

ANYC_TEST(group, r09_a_private_copy)
{
	struct anyc_group g;
	struct aligned a = { .values = { 1, 2, 3 } };
	static char large[128 * 1024];

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_copy(&g, sum_up, &a, sizeof a));
	a.values[0] = 1000;
	CHECK_OK(anyc_checkpoint());
	CHECK_INT(sink.sum, ==, 6);
	CHECK(sink.aligned);
	CHECK_RC(anyc_spawn_copy(&g, sum_up, large, sizeof large), ANYC_EINVAL);
	CHECK_RC(anyc_spawn_copy(&g, sum_up, NULL, 8), ANYC_EINVAL);
	CHECK_RC(anyc_spawn(&g, NULL, NULL), ANYC_EINVAL);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(group, r09_started_where_nobody_waits)
{
	struct anyc_group g;
	struct anyc_handle h;
	struct anyc_spawn_options o = { .handle = &h };
	static const int five = 5;
	intptr_t value = 3;

	CHECK_OK(anyc_started(1));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, start_at_once, (void *)(uintptr_t)&five, &o));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_handle_start_value(&h, &value), ANYC_EMISUSE);
}

ANYC_TEST(group, r09_misuse_leaves_the_group_alone)
{
	struct anyc_group g;
	struct anyc_spawn_options tiny = { .stack_size = 1024 };
	int n = 0;

	anyc_group_enter(&g, NULL);
	CHECK_RC(anyc_spawn_opts(&g, count_up, &n, &tiny), ANYC_EINVAL);
	CHECK_RC(anyc_try_spawn(&g, count_up, &n, &tiny), ANYC_EINVAL);
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	CHECK_INT(n, ==, 0);
}

ANYC_TEST(group, r10_ids_are_never_reused)
{
	struct anyc_group g;
	struct anyc_handle h[3];
	uint64_t own = anyc_task_id();

	CHECK_INT(own, !=, 0);
	for (int i = 0; i < 3; i++) {
		struct anyc_spawn_options o = { .handle = &h[i] };
		int n = 0;

		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &o));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_INT(anyc_handle_id(&h[i]), !=, own);
		CHECK_STR(anyc_handle_name(&h[i]), "count_up");
	}
	CHECK(anyc_handle_id(&h[0]) != anyc_handle_id(&h[1]));
	CHECK(anyc_handle_id(&h[1]) != anyc_handle_id(&h[2]));
	CHECK(anyc_handle_id(&h[0]) != anyc_handle_id(&h[2]));
	CHECK(anyc_task_id() == own);
}

ANYC_TEST(group, r10_a_handle_that_was_never_filled)
{
	struct anyc_handle h;

	memset(&h, 0, sizeof h);
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_NONE);
	CHECK_RC(anyc_handle_result(&h), ANYC_ENOTFINISHED);
	CHECK_RC(anyc_join(&h, NULL), ANYC_EMISUSE);
	CHECK_RC(anyc_handle_cancel(&h, NULL), ANYC_EMISUSE);
}

static int join_itself(void *arg)
{
	return anyc_join(arg, NULL) == ANYC_EMISUSE ? 0 : -EIO;
}

ANYC_TEST(group, r10_joining_oneself)
{
	struct anyc_group g;
	struct anyc_handle h;
	struct anyc_spawn_options o = { .handle = &h };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, join_itself, &h, &o));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* Would say so if it were unwound. */
static int say_when_cleaned_up(void *arg)
{
	int rc = anyc_sleep_forever();

	(void)arg;
	fprintf(stderr, "cleaned up\n");
	return rc;
}

static void exit_with_tasks(void)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	ANYC_IGNORE(anyc_spawn(&g, say_when_cleaned_up, NULL));
	ANYC_IGNORE(anyc_wait_all_blocked());
	exit(0);
}

ANYC_TEST_MAIN(group, r30_exit_unwinds_no_task, ANYC_ROWS_ALL, .deadline = 30)
{
	struct corpse c;

	/* A runner's exit handlers are not ours to run in a child. */
	corpse_make_in_task(&c, exit_with_tasks);
	CHECK(WIFEXITED(c.status));
	CHECK(strstr(c.text, "cleaned up") == NULL);
}

/* ---------------------------------------------------------------------- semantics.md, part B */

struct order {
	int *next;
	int place;
};

static int note_order(void *arg)
{
	struct order *o = arg;

	o->place = (*o->next)++;
	return 0;
}

ANYC_TEST(group, sb04_first_runs_in_spawn_order)
{
	enum { MANY = 50 };
	struct anyc_group g;
	struct order o[MANY];
	int next = 0;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < MANY; i++) {
		o[i] = (struct order){ .next = &next };
		CHECK_OK(anyc_spawn(&g, note_order, &o[i]));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < MANY; i++)
		CHECK_INT(o[i].place, ==, i);
}

struct starts {
	bool began;
	int rc;
};

static int begin_and_check(void *arg)
{
	struct starts *s = arg;

	s->began = true;
	s->rc = anyc_checkpoint();
	return s->rc;
}

ANYC_TEST(group, sb06_a_cancelled_group_takes_tasks)
{
	struct anyc_group g;
	struct starts s = { 0 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_spawn(&g, begin_and_check, &s));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(s.began);
	CHECK_RC(s.rc, ANYC_ECANCELED);
}

static int nested_failure(void *arg)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_with, arg));
	return anyc_group_leave(&g, 0);
}

ANYC_TEST(group, sb16_nested_groups_give_the_first_error)
{
	static const int eio = -EIO;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, nested_failure, (void *)(uintptr_t)&eio));
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	CHECK_HAS(anyc_error_detail(-EIO), "failed with -5");
	CHECK_INT(anyc_group_error_count(&g), ==, 1);
}

static int swallow(void *arg)
{
	(void)arg;
	return anyc_sleep_forever() == ANYC_ECANCELED ? 3 : 0;
}

ANYC_TEST(group, sb20_a_task_that_swallows_its_cancellation)
{
	struct anyc_group g;
	struct anyc_handle h;
	struct anyc_spawn_options o = { .handle = &h };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, swallow, NULL, &o));
	SETTLE();
	CHECK_OK(anyc_handle_cancel(&h, NULL));
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_CANCELLING);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_FINISHED);
	CHECK_INT(anyc_handle_result(&h), ==, 3);
}

ANYC_TEST(group, sb21_names)
{
	struct anyc_group g;
	struct anyc_handle a, b;
	struct anyc_spawn_options oa = { .handle = &a }, ob = { .handle = &b, .name = "" };
	int n = 0;

	CHECK(anyc_task_name() != NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &oa));
	CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &ob));
	CHECK_STR(anyc_handle_name(&a), "count_up");
	CHECK_STR(anyc_handle_name(&b), "");
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(group, sb22_many_tasks, .deadline = 60)
{
	enum { MANY = 300 };
	struct anyc_group g;
	int n = 0;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < MANY; i++)
		CHECK_OK(anyc_spawn(&g, count_up, &n));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(n, ==, MANY);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < MANY; i++)
		CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	SETTLE();
	CHECK_INT(anyc_group_size(&g), ==, MANY);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

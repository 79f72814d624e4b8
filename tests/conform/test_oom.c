/* SPDX-License-Identifier: MIT */
/*
 * No memory: every allocation of a few scenarios fails once, and from then on.  Each must end with
 * -ENOMEM or its ordinary result, and leave nothing behind (reliability.md, check 1).
 */
#include "conform.h"
#include "lib/alloc_fault.h"

#include <signal.h>
#include <unistd.h>

/* Runs a task on the test's row, from making the loop to closing it. */
static int on_row(void *arg)
{
	anyc_task_fn *fn;
	struct host h;

	memcpy(&fn, arg, sizeof fn);
	return host_run_task(&h, anyc_test_row(), fn, NULL, "scenario");
}

static void sweep(anyc_task_fn *fn, const int *allowed)
{
	unsigned long points;

	fault_install();
	points = anyc_fault_sweep(on_row, &fn, allowed);
	CHECK_INT(points, >, 1);
	CHECK_INT(fault_outstanding(), ==, 0);
	fault_remove();
}

static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

ANYC_TEST_MAIN(oom, r09_a_loop_and_its_task, ANYC_ROWS_LOOP, .deadline = 60)
{
	sweep(return_at_once, NULL);
}

/* ---------------------------------------------------------------------------- spawn and join */

static int nap(void *arg)
{
	(void)arg;
	return anyc_sleep(ANYC_MICROSECOND);
}

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
	for (int i = 0; i < 3 && rc == 0; i++) {
		rc = anyc_join(&h[i], &result);
		if (rc == 0 && result == ANYC_ETASKCANCELED)
			rc = ANYC_ECANCELED; /* the group has failed, and this task with it */
	}
	return anyc_group_leave(&g, rc);
}

ANYC_TEST_MAIN(oom, r09_spawn_and_join, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(spawn_and_join, NULL);
}

/* anyc_try_spawn() leaves the group alone. */
static int try_to_spawn(void *arg)
{
	struct anyc_spawn_options *none = NULL;
	struct anyc_group g;
	int rc, n = 0;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_try_spawn(&g, count_up, &n, none);
	CHECK(rc == 0 || rc == -ENOMEM);
	CHECK(!anyc_scope_cancel_called(anyc_group_scope(&g)));
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	/* Without a root task, in a plain thread, it was the group that could not be entered. */
	CHECK_INT(anyc_group_leave(&g, 0), ==, anyc_task_id() != 0 ? 0 : rc);
	CHECK_INT(n, ==, rc == 0);
	return rc;
}

ANYC_TEST_MAIN(oom, r09_try_spawn, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(try_to_spawn, NULL);
}

/* --------------------------------------------------------------------------- group failure */

static int fail_soon(void *arg)
{
	int rc = anyc_sleep(ANYC_MICROSECOND);

	(void)arg;
	return rc != 0 ? rc : anyc_fail(-EIO, EIO, "a failure with a sentence that must be copied");
}

static int group_failure(void *arg)
{
	struct anyc_group g;
	struct anyc_group_error e;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, sleeper, NULL);
	if (rc == 0)
		rc = anyc_spawn(&g, fail_soon, NULL);
	if (rc == 0)
		rc = anyc_sleep_forever();
	rc = anyc_group_leave(&g, rc);
	CHECK(rc == -EIO || rc == -ENOMEM);
	for (size_t i = 0; i < anyc_group_error_count(&g); i++) {
		int got = anyc_group_error(&g, i, &e);

		CHECK(got == 0 || got == -ENOMEM);
	}
	anyc_group_free(&g);
	return rc == -EIO ? 0 : rc;
}

ANYC_TEST_MAIN(oom, r08_a_failing_group, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(group_failure, NULL);
}

/* ------------------------------------------------------------------------ scopes and events */

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

ANYC_TEST_MAIN(oom, r04_scopes_with_deadlines, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(deadlines, NULL);
}

static int wait_it(void *arg)
{
	return anyc_event_wait(arg);
}

static int events(void *arg)
{
	struct anyc_event e = { 0 };
	struct anyc_lock l = { 0 };
	struct anyc_group g;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, wait_it, &e);
	if (rc == 0)
		rc = anyc_lock_acquire(&l);
	if (rc == 0)
		rc = anyc_sleep(ANYC_MICROSECOND);
	if (anyc_lock_is_held(&l))
		CHECK_OK(anyc_lock_release(&l));
	CHECK_OK(anyc_event_set(&e));
	return anyc_group_leave(&g, rc);
}

ANYC_TEST_MAIN(oom, r19_events_and_locks, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(events, NULL);
}

static int start_it(void *arg)
{
	int rc = anyc_started((intptr_t)arg);

	return rc != 0 ? rc : anyc_sleep(ANYC_MICROSECOND);
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

ANYC_TEST_MAIN(oom, r09_starting, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(starting, NULL);
}

/* ------------------------------------------------------------------- loops, posts, signals */

static void on_post(void *arg, int status)
{
	(void)status;
	CHECK_OK(anyc_event_set(arg));
}

static int post_to_oneself(void *arg)
{
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	struct anyc_event posted = { 0 };
	int rc;

	(void)arg;
	if (token == NULL)
		return -ENOMEM;
	rc = anyc_token_post(token, on_post, &posted);
	anyc_token_unref(token);
	return rc != 0 ? rc : anyc_event_wait(&posted);
}

ANYC_TEST_MAIN(oom, r24_tokens_and_posts, ANYC_ROWS_LOOP, .deadline = 60)
{
	sweep(post_to_oneself, NULL);
}

static int run_named(void *arg)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };

	(void)arg;
	return anyc_run(&options, nap, NULL);
}

ANYC_TEST_MAIN(oom, r46_run, ANYC_ROWS_LOOP, .deadline = 60)
{
	fault_install();
	CHECK_INT(anyc_fault_sweep(run_named, NULL, NULL), >, 1);
	CHECK_INT(fault_outstanding(), ==, 0);
	fault_remove();
}

static int wait_for_signal(void *arg)
{
	static const int usr2 = SIGUSR2;
	struct anyc_scope s;
	int rc;

	(void)arg;
	anyc_scope_enter_move_on(&s, ANYC_MICROSECOND);
	rc = anyc_scope_leave(&s, anyc_signal_wait(&usr2, 1));
	anyc_signal_restore(&usr2, 1);
	return rc;
}

/*
 * Not in a plain thread: a scope that finds no memory for the thread's root is not around the wait
 * that makes the root after all, which nothing would then end.
 */
ANYC_TEST_MAIN(oom, b172_waiting_for_a_signal, "libuv,libevent,libev,anyc", .deadline = 60)
{
	sweep(wait_for_signal, NULL);
}

/* ------------------------------------------------------------------------- the allocator */

ANYC_TEST_MAIN(oom, r14_an_allocator_changes_only_when_idle, "none")
{
	struct anyc_allocator bad = { 0 };
	struct anyc_memory_stats before, inside, after;
	struct anyc_scope s;

	CHECK_RC(anyc_set_allocator(&bad), ANYC_EINVAL);
	CHECK_OK(anyc_thread_done()); /* which had kept the sentence */
	fault_install();
	anyc_memory_stats(&before);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_sleep(ANYC_MICROSECOND));
	anyc_memory_stats(&inside);
	CHECK_INT(inside.blocks, ==, fault_outstanding());
	CHECK_INT(inside.blocks, >, before.blocks);
	CHECK_INT(inside.bytes, >, before.bytes);
	CHECK_INT(inside.allocations, >, before.allocations);
	CHECK_RC(anyc_set_allocator(NULL), ANYC_EMISUSE);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_thread_done());
	anyc_memory_stats(&after);
	CHECK_INT(after.blocks, ==, before.blocks);
	CHECK_INT(after.bytes, ==, before.bytes);
	fault_remove();
}

struct leak {
	int count;
	size_t bytes;
	bool sited;
};

static void count_leak(void *arg, const void *block, size_t size, const char *site)
{
	struct leak *l = arg;

	CHECK(block != NULL);
	l->count++;
	l->bytes += size;
	l->sited = site != NULL && site[0] != '\0';
}

ANYC_TEST_MAIN(oom, r14_the_leak_list, "none")
{
	struct anyc_memory_stats stats;
	struct leak l = { 0 };
	struct anyc_scope s;

	CHECK_INT(anyc_leaks(count_leak, &l), ==, 0);
	anyc_track_leaks(true);
	anyc_scope_enter(&s, NULL);
	anyc_memory_stats(&stats);
	CHECK_INT(anyc_leaks(count_leak, &l), ==, stats.blocks);
	CHECK_INT(l.count, ==, stats.blocks);
	CHECK_INT(l.bytes, >, 0);
	CHECK_INT(l.bytes, <=, stats.bytes);
	CHECK(l.sited);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_thread_done());
	l.count = 0;
	CHECK_INT(anyc_leaks(count_leak, &l), ==, 0);
	CHECK_INT(l.count, ==, 0);
	anyc_track_leaks(false);
}

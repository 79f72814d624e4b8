/* SPDX-License-Identifier: MIT */
/*
 * Many calls at once: gather, map and race (semantics.md B22, B23, B26); and what nested groups'
 * lists of errors hold (B13 to B16, rule 8).
 */
#include "conform.h"
#include "lib/alloc_fault.h"

static const int seven = 7, eio = -EIO, eperm = -EPERM;
#define CONST(x) ((void *)(uintptr_t)&(x))

static int fail_with(void *arg)
{
	int rc = *(const int *)arg;

	return anyc_fail(rc, 0, "failed with %d", rc);
}

/* Waits first, so that others run. */
static int fail_later(void *arg)
{
	int rc = anyc_checkpoint();

	return rc != 0 ? rc : fail_with(arg);
}

static int fail_in_cleanup(void *arg)
{
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	return fail_with(arg);
}

/* ---------------------------------------------------------------------------------- gather */

ANYC_TEST(gather, sb22_results_in_the_order_of_the_calls)
{
	struct late l[3] = { { 5, 10 }, { 0, 20 }, { 2, 30 } };
	struct anyc_call calls[] = {
		ANYC_CALL(give_late, &l[0]),
		ANYC_CALL(give_late, &l[1]),
		ANYC_CALL(give_late, &l[2]),
	};

	CHECK_OK(anyc_gather(calls, 3, NULL));
	for (int i = 0; i < 3; i++)
		CHECK_INT(calls[i].rc, ==, l[i].result);
	CHECK_STR(calls[0].name, "give_late");
	CHECK_OK(anyc_gather(NULL, 0, NULL));
}

ANYC_TEST(gather, sb22_a_failure_cancels_the_rest)
{
	int cancelled = 0, n = 0;
	struct anyc_call calls[] = {
		ANYC_CALL(count_up, &n),
		ANYC_CALL(note_cancel, &cancelled),
		ANYC_CALL(fail_later, CONST(eio)),
		ANYC_CALL(fail_in_cleanup, CONST(eperm)),
	};
	int rc = anyc_gather(calls, 4, NULL);

	CHECK_RC(rc, -EIO);
	CHECK_STR(anyc_error_detail(rc), "failed with -5");
	CHECK_INT(n, ==, 1);
	CHECK_RC(cancelled, ANYC_ECANCELED);
	CHECK_RC(calls[0].rc, 0);
	CHECK_RC(calls[1].rc, ANYC_ETASKCANCELED);
	CHECK_RC(calls[2].rc, -EIO);
	CHECK_RC(calls[3].rc, -EPERM);
	CHECK_OK(anyc_checkpoint());
}

struct gatherer {
	struct anyc_call calls[3];
	struct anyc_gather_options options;
	size_t winner;
	int rc;
	bool race;
};
static int gather_it(void *arg)
{
	struct gatherer *g = arg;

	g->rc = g->race ? anyc_race(&g->winner, g->calls, 3, &g->options)
			: anyc_gather(g->calls, 3, &g->options);
	return g->rc;
}

/* Cancels a gather or race from outside, when everything waits. */
static void cancel_it(struct gatherer *g)
{
	struct anyc_handle h;
	struct anyc_spawn_options o = { .handle = &h };
	struct anyc_group group;

	anyc_group_enter(&group, NULL);
	CHECK_OK(anyc_spawn_opts(&group, gather_it, g, &o));
	SETTLE();
	CHECK_OK(anyc_handle_cancel(&h, "not wanted"));
	CHECK_RC(anyc_group_leave(&group, 0), g->rc < 0 && g->rc != ANYC_ECANCELED ? g->rc : 0);
}

ANYC_TEST(gather, sb22_cancelling_the_caller)
{
	int a = 0, b = 0, c = 0;
	struct gatherer g = { .calls = { ANYC_CALL(note_cancel, &a), ANYC_CALL(note_cancel, &b),
					 ANYC_CALL(note_cancel, &c) } };

	cancel_it(&g);
	CHECK_RC(g.rc, ANYC_ECANCELED);
	CHECK_RC(a, ANYC_ECANCELED);
	CHECK_RC(b, ANYC_ECANCELED);
	CHECK_RC(c, ANYC_ECANCELED);
	/* Under a limit: the first runs, the others have not begun. */
	a = b = c = 0;
	g.options.limit = 1;
	cancel_it(&g);
	CHECK_RC(g.rc, ANYC_ECANCELED);
	CHECK_RC(a, ANYC_ECANCELED);
	CHECK_INT(b, ==, 0);
	CHECK_INT(c, ==, 0);
	for (int i = 0; i < 3; i++)
		CHECK_RC(g.calls[i].rc, ANYC_ETASKCANCELED);
}

static int cancel_nobody(void *arg)
{
	(void)arg;
	return ANYC_ECANCELED;
}

ANYC_TEST(gather, r07_a_cancellation_out_of_nowhere_is_a_failure)
{
	struct anyc_call calls[] = { ANYC_CALL(cancel_nobody, NULL) };

	CHECK_RC(anyc_gather(calls, 1, NULL), ANYC_ETASKCANCELED);
	CHECK_RC(anyc_race(NULL, calls, 1, NULL), ANYC_ETASKCANCELED);
}

ANYC_TEST(gather, r02_results_beat_a_later_cancellation)
{
	struct anyc_call calls[] = { ANYC_CALL(give, CONST(seven)), ANYC_CALL(give, CONST(seven)) };
	struct anyc_scope s;
	int rc;

	anyc_scope_enter(&s, NULL);
	rc = anyc_gather(calls, 2, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_OK(rc);
	CHECK_RC(anyc_gather(calls, 2, NULL), ANYC_ECANCELED);
	CHECK_INT(calls[0].rc, ==, 7);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
}

ANYC_TEST(gather, r14_arguments)
{
	struct anyc_call calls[] = { ANYC_CALL(give, CONST(seven)), ANYC_CALL(NULL, NULL) };
	struct anyc_gather_options tiny = { .stack_size = 100 };
	struct anyc_gather_options *none = NULL;
	size_t winner = 5;
	int item = 0;

	calls[0].rc = 99;
	CHECK_RC(anyc_gather(NULL, 1, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_gather(calls, 2, NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "call 1");
	CHECK_RC(anyc_race(&winner, calls, 2, NULL), ANYC_EINVAL);
	CHECK_INT(winner, ==, 0);
	CHECK_INT(calls[0].rc, ==, 99);
	CHECK_RC(anyc_race(&winner, calls, 0, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_race(NULL, NULL, 1, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_gather(calls, 1, &tiny), ANYC_EINVAL);
	CHECK_RC(anyc_race(NULL, calls, 1, &tiny), ANYC_EINVAL);
	CHECK_RC(anyc_map(NULL, NULL, &item, 1, sizeof item, none), ANYC_EINVAL);
	CHECK_RC(anyc_map(NULL, count_up, NULL, 1, sizeof item, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_map(NULL, count_up, &item, 1, 0, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_map(NULL, count_up, &item, SIZE_MAX, 2, NULL), ANYC_EINVAL);
	CHECK_OK(anyc_map(NULL, count_up, NULL, 0, 0, NULL));
	CHECK_INT(item, ==, 0);
	CHECK_OK(anyc_checkpoint());
}

/* ------------------------------------------------------------------------------------- map */

enum { MANY = 40 };
static struct crowd {
	int now, most;
} crowd;

static int square(void *arg)
{
	int x = *(const int *)arg, rc = 0;

	if (++crowd.now > crowd.most)
		crowd.most = crowd.now;
	for (int i = 0; i < x % 4 && rc == 0; i++)
		rc = anyc_checkpoint();
	crowd.now--;
	return rc != 0 ? rc : x * x;
}

static void map_squares(size_t limit, int most)
{
	struct anyc_gather_options o = { .limit = limit };
	int items[MANY], results[MANY];

	crowd = (struct crowd){ 0 };
	for (int i = 0; i < MANY; i++)
		items[i] = i;
	CHECK_OK(anyc_map(results, square, items, MANY, sizeof items[0], &o));
	for (int i = 0; i < MANY; i++)
		CHECK_INT(results[i], ==, i * i);
	CHECK_INT(crowd.most, ==, most);
}

ANYC_TEST(gather, sb23_map_in_order_and_within_a_limit)
{
	map_squares(1, 1);
	map_squares(3, 3);
	map_squares(MANY, MANY - MANY / 4); /* every fourth ends at once */
	map_squares(0, MANY - MANY / 4);
}

struct begun {
	int number;
	bool began;
};
static int begin_or_fail(void *arg)
{
	struct begun *b = arg;
	int rc = anyc_checkpoint();

	b->began = true;
	return rc == 0 && b->number == 2 ? fail_with(CONST(eio)) : rc;
}

/* After a failure nothing more is begun. */
ANYC_TEST(gather, sb23_a_failure_ends_a_limited_map)
{
	struct anyc_gather_options o = { .limit = 1 };
	struct begun b[6] = { { 0 } };
	int results[6];

	for (int i = 0; i < 6; i++)
		b[i].number = i;
	CHECK_RC(anyc_map(results, begin_or_fail, b, 6, sizeof b[0], &o), -EIO);
	for (int i = 0; i < 6; i++) {
		CHECK_INT(b[i].began, ==, i <= 2);
		CHECK_RC(results[i], i < 2 ? 0 : i == 2 ? -EIO : ANYC_ETASKCANCELED);
	}
}

static int fail_if_one(void *arg)
{
	struct begun *b = arg;

	b->began = true;
	return b->number == 1 ? fail_with(CONST(eio)) : 0;
}

/* The place that one call makes is not taken when the next one fails before the host runs. */
ANYC_TEST(gather, sb23_a_place_that_came_too_late)
{
	struct anyc_gather_options o = { .limit = 2 };
	struct begun b[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };

	CHECK_RC(anyc_map(NULL, fail_if_one, b, 3, sizeof b[0], &o), -EIO);
	CHECK(b[0].began && b[1].began);
	CHECK(!b[2].began);
}

static int note_name(void *arg)
{
	CHECK_STR(anyc_task_name(), "note_name");
	*(uint64_t *)arg = anyc_task_parent_id();
	return 0;
}

ANYC_TEST(gather, n1_the_tasks_of_a_map)
{
	uint64_t parents[2] = { 0 }, me;

	CHECK_OK(anyc_checkpoint()); /* so that a plain thread has its root */
	me = anyc_task_id();
	CHECK_OK(anyc_map(NULL, note_name, parents, 2, sizeof parents[0], NULL));
	CHECK_INT(parents[0], ==, me);
	CHECK_INT(parents[1], ==, me);
}

/* ------------------------------------------------------------------------------------ race */

ANYC_TEST(gather, sb26_the_first_success_wins)
{
	struct late slow = { 9, 30 }, fast = { 3, 20 };
	int cancelled = 0;
	struct anyc_call calls[] = {
		ANYC_CALL(fail_with, CONST(eio)),
		ANYC_CALL(give_late, &slow),
		ANYC_CALL(give_late, &fast),
		ANYC_CALL(note_cancel, &cancelled),
	};
	size_t winner = 9;

	CHECK_INT(anyc_race(&winner, calls, 4, NULL), ==, 20);
	CHECK_INT(winner, ==, 2);
	CHECK_RC(calls[0].rc, -EIO);
	CHECK_RC(calls[1].rc, ANYC_ETASKCANCELED);
	CHECK_INT(calls[2].rc, ==, 20);
	CHECK_RC(cancelled, ANYC_ECANCELED);
	CHECK_OK(anyc_checkpoint());
	CHECK_INT(anyc_race(NULL, calls, 4, NULL), ==, 20);
}

ANYC_TEST(gather, sb26_all_fail)
{
	struct anyc_call calls[] = {
		ANYC_CALL(fail_later, CONST(eperm)),
		ANYC_CALL(fail_with, CONST(eio)),
	};
	size_t winner = 9;
	int rc = anyc_race(&winner, calls, 2, NULL);

	CHECK_RC(rc, -EIO); /* the first in time */
	CHECK_STR(anyc_error_detail(rc), "failed with -5");
	CHECK_INT(winner, ==, 0);
	CHECK_RC(calls[0].rc, -EPERM);
}

/* One call at a time: a chain of second choices. */
ANYC_TEST(gather, sb26_one_after_the_other)
{
	struct anyc_gather_options one = { .limit = 1 };
	int n = 0;
	struct anyc_call calls[] = {
		ANYC_CALL(fail_later, CONST(eio)),
		ANYC_CALL(give, CONST(seven)),
		ANYC_CALL(count_up, &n),
	};
	size_t winner = 9;

	CHECK_INT(anyc_race(&winner, calls, 3, &one), ==, 7);
	CHECK_INT(winner, ==, 1);
	CHECK_INT(n, ==, 0);
	CHECK_RC(calls[2].rc, ANYC_ETASKCANCELED);
}

ANYC_TEST(gather, sb26_cancelling_the_caller)
{
	int a = 0, b = 0;
	struct gatherer g = { .race = true, .winner = 7,
			      .calls = { ANYC_CALL(note_cancel, &a),
					 ANYC_CALL(fail_with, CONST(eio)),
					 ANYC_CALL(note_cancel, &b) } };

	cancel_it(&g);
	CHECK_RC(g.rc, ANYC_ECANCELED); /* not -EIO: it was not lost */
	CHECK_RC(a, ANYC_ECANCELED);
	CHECK_RC(b, ANYC_ECANCELED);
	CHECK_INT(g.winner, ==, 0);
}

/* Has its answer although it is cancelled. */
static int answer_in_cleanup(void *arg)
{
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	return *(const int *)arg;
}

ANYC_TEST(gather, sb26_a_result_beats_the_cancellation)
{
	int a = 0, b = 0;
	struct gatherer g = { .race = true,
			      .calls = { ANYC_CALL(note_cancel, &a),
					 ANYC_CALL(answer_in_cleanup, CONST(seven)),
					 ANYC_CALL(note_cancel, &b) } };

	cancel_it(&g);
	CHECK_INT(g.rc, ==, 7);
	CHECK_INT(g.winner, ==, 1);
}

/* Another success, behind the winner's. */
ANYC_TEST(gather, sb26_only_the_first_wins)
{
	static const int nine = 9;
	struct late late = { 2, 7 };
	struct anyc_call calls[] = {
		ANYC_CALL(answer_in_cleanup, CONST(nine)),
		ANYC_CALL(give_late, &late),
	};
	size_t winner = 9;

	CHECK_INT(anyc_race(&winner, calls, 2, NULL), ==, 7);
	CHECK_INT(winner, ==, 1);
	CHECK_INT(calls[0].rc, ==, 9);
}

/* ------------------------------------------------------------------------------- no memory */

static int gather_sum(void *arg)
{
	struct late l[3] = { { 1, 1 }, { 0, 2 }, { 2, 3 } };
	struct anyc_call calls[] = {
		ANYC_CALL(give_late, &l[0]),
		ANYC_CALL(give_late, &l[1]),
		ANYC_CALL(fail_later, arg),
	};
	struct anyc_gather_options o = { .limit = 2 };
	int rc = anyc_gather(calls, 2, NULL);

	if (rc == 0)
		CHECK_INT(calls[0].rc + calls[1].rc, ==, 3);
	if (rc == 0)
		rc = anyc_gather(calls, 3, &o);
	if (rc == -EIO)
		rc = anyc_race(NULL, calls, 3, NULL);
	return rc > 0 ? 0 : rc;
}

static int on_row(void *arg)
{
	anyc_task_fn *fn;
	struct host h;

	memcpy(&fn, arg, sizeof fn);
	return host_run_task(&h, anyc_test_row(), fn, CONST(eio), "scenario");
}

static void sweep(anyc_task_fn *fn)
{
	check_alloc_sweep(on_row, &fn, 1);
}

ANYC_TEST_MAIN(gather, r09_no_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(gather_sum);
}

/* The calls themselves allocate nothing. */
ANYC_TEST(gather, sb22_nothing_is_allocated)
{
	struct late l[3] = { { 1, 1 }, { 0, 2 }, { 2, 3 } };
	struct anyc_call calls[] = {
		ANYC_CALL(give_late, &l[0]), ANYC_CALL(fail_later, CONST(eio)),
		ANYC_CALL(give_late, &l[2]),
	};
	struct anyc_memory_stats before, after;

	CHECK_RC(anyc_gather(calls, 3, NULL), -EIO); /* has the stacks */
	anyc_memory_stats(&before);
	for (int i = 0; i < 10; i++) {
		CHECK_RC(anyc_gather(calls, 3, NULL), -EIO);
		CHECK_INT(anyc_race(NULL, calls, 3, NULL), >=, 0);
	}
	anyc_memory_stats(&after);
	CHECK_INT(after.allocations, ==, before.allocations);
}

/* ------------------------------------------------------------------- lists of nested groups */

static int two_failures(void *arg)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, fail_in_cleanup, arg);
	anyc_spawn(&g, fail_later, CONST(eio));
	return anyc_group_leave(&g, 0);
}

static int nested_twice(void *arg)
{
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, two_failures, arg);
	rc = anyc_sleep_forever();
	return anyc_group_leave(&g, rc);
}

static void check_entry(const struct anyc_group *g, size_t i, const char *path, const char *task,
			int rc)
{
	struct anyc_group_error e;

	CHECK_OK(anyc_group_error(g, i, &e));
	CHECK_STR(e.path, path);
	CHECK_STR(e.task, task);
	CHECK_RC(e.rc, rc);
	CHECK_HAS(e.detail, "failed with");
	CHECK_INT(e.id, !=, 0);
	CHECK_INT(e.id, !=, anyc_task_id());
}

ANYC_TEST(gather, sb16_a_nested_groups_list)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, nested_twice, CONST(eperm)));
	CHECK_OK(anyc_spawn(&g, fail_in_cleanup, CONST(eperm)));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	CHECK_STR(anyc_error_detail(-EIO), "failed with -5");
	CHECK_INT(anyc_group_error_count(&g), ==, 3);
	/* Whoever ended first is listed first: the plain task, then the nested one. */
	for (size_t i = 0; i < 3; i++) {
		struct anyc_group_error e;

		CHECK_OK(anyc_group_error(&g, i, &e));
		if (strcmp(e.path, "fail_in_cleanup") == 0)
			continue;
		check_entry(&g, i, "nested_twice/two_failures/fail_later", "fail_later", -EIO);
		check_entry(&g, ++i, "nested_twice/two_failures/fail_in_cleanup",
			    "fail_in_cleanup", -EPERM);
	}
	check_entry(&g, 2, "fail_in_cleanup", "fail_in_cleanup", -EPERM);
	anyc_group_free(&g);
}

/* The host passes on what its inner group gave; its own error has no path. */
static int host_of_two(void *arg)
{
	struct anyc_group outer, inner;
	int rc;

	anyc_group_enter(&outer, NULL);
	anyc_group_enter(&inner, NULL);
	CHECK_OK(anyc_spawn(&inner, fail_with, arg));
	rc = anyc_group_leave(&inner, 0);
	return anyc_group_leave(&outer, rc);
}

static int fail_as_host(void *arg)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	return anyc_group_leave(&g, fail_with(arg));
}

/* An error that is not the inner group's any more. */
static int fail_otherwise(void *arg)
{
	CHECK_RC(two_failures(arg), -EIO);
	return anyc_fail(-EIO, 0, "failed with another -5");
}

/* The inner list has gone by then. */
static int fail_and_let_go(void *arg)
{
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, fail_with, arg);
	rc = anyc_group_leave(&g, 0);
	anyc_group_free(&g);
	return rc;
}

ANYC_TEST(gather, sb16_whose_errors_they_are)
{
	struct anyc_group_options keep = { .keep_going = true };
	struct anyc_group g;
	struct anyc_group_error e;

	anyc_group_enter(&g, &keep);
	CHECK_OK(anyc_spawn(&g, host_of_two, CONST(eio)));
	CHECK_OK(anyc_checkpoint());
	SETTLE();
	CHECK_OK(anyc_spawn(&g, fail_as_host, CONST(eperm)));
	SETTLE();
	CHECK_OK(anyc_spawn(&g, fail_otherwise, CONST(eperm)));
	SETTLE();
	CHECK_OK(anyc_spawn(&g, fail_and_let_go, CONST(eio)));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_group_error_count(&g), ==, 4);
	check_entry(&g, 3, "fail_and_let_go", "fail_and_let_go", -EIO);
	check_entry(&g, 0, "host_of_two/fail_with", "fail_with", -EIO);
	check_entry(&g, 1, "fail_as_host", "fail_as_host", -EPERM);
	check_entry(&g, 2, "fail_otherwise", "fail_otherwise", -EIO);
	CHECK_OK(anyc_group_error(&g, 2, &e));
	CHECK_STR(e.detail, "failed with another -5");
	anyc_group_free(&g);
}

static int nested_failures(void *arg)
{
	struct anyc_group g;
	struct anyc_group_error e;
	int rc;

	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, nested_twice, arg);
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

ANYC_TEST_MAIN(gather, r08_no_memory_for_nested_lists, ANYC_ROWS_ALL, .deadline = 60)
{
	sweep(nested_failures);
}

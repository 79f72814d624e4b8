/* SPDX-License-Identifier: MIT */
/* Calls told of one by one as they end (semantics.md B24). */
#include "conform.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The next one to end is i, with this result. */
static void expect(struct anyc_as_completed *a, const struct anyc_call *calls, size_t i, int rc)
{
	size_t told = 99;

	CHECK_INT(anyc_as_completed_next(a, &told), ==, 1);
	CHECK_INT(told, ==, i);
	CHECK_RC(calls[i].rc, rc);
}

static void expect_end(struct anyc_as_completed *a)
{
	size_t told = 99;

	CHECK_INT(anyc_as_completed_next(a, &told), ==, 0);
	CHECK_INT(told, ==, 0);
}

ANYC_TEST(as_completed, sb24_tells_in_the_order_in_which_they_end)
{
	struct late l[3] = { { 9, 10 }, { 0, 20 }, { 4, 30 } };
	struct anyc_call calls[] = {
		ANYC_CALL(give_late, &l[0]),
		ANYC_CALL(give_late, &l[1]),
		ANYC_CALL(give_late, &l[2]),
	};
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), NULL));
	expect(&a, calls, 1, 20);
	CHECK_RC(calls[0].rc, ANYC_ETASKCANCELED); /* not ended yet */
	expect(&a, calls, 2, 30);
	expect(&a, calls, 0, 10);
	expect_end(&a);
	expect_end(&a);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
}

ANYC_TEST(as_completed, sb24_those_that_ended_meanwhile_are_told_in_order)
{
	struct late l[3] = { { 2, 1 }, { 1, 2 }, { 0, 3 } };
	struct anyc_call calls[] = {
		ANYC_CALL(give_late, &l[0]),
		ANYC_CALL(give_late, &l[1]),
		ANYC_CALL(give_late, &l[2]),
	};
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), NULL));
	SETTLE();
	for (size_t i = COUNT(calls); i-- > 0;)
		expect(&a, calls, i, l[i].result);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
}

ANYC_TEST(as_completed, sb24_an_error_is_a_result_and_cancels_nobody)
{
	struct late l[2] = { { 0, -EIO }, { 3, 7 } };
	struct anyc_call calls[] = { ANYC_CALL(give_late, &l[0]), ANYC_CALL(give_late, &l[1]) };
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), NULL));
	expect(&a, calls, 0, -EIO);
	expect(&a, calls, 1, 7);
	expect_end(&a);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
}

ANYC_TEST(as_completed, sb24_leaving_early_cancels_the_rest)
{
	struct late first = { 0, 5 };
	int cancelled = 0;
	struct anyc_call calls[] = {
		ANYC_CALL(note_cancel, &cancelled),
		ANYC_CALL(give_late, &first),
	};
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), NULL));
	expect(&a, calls, 1, 5);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
	CHECK_RC(cancelled, ANYC_ECANCELED);
	CHECK_RC(calls[0].rc, ANYC_ETASKCANCELED);
	CHECK_OK(anyc_checkpoint());
}

ANYC_TEST(as_completed, sb24_leave_passes_the_bodys_error_on)
{
	int cancelled = 0;
	struct anyc_call calls[] = { ANYC_CALL(note_cancel, &cancelled) };
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, 1, NULL));
	CHECK_RC(anyc_as_completed_leave(&a, -EPERM), -EPERM);
	CHECK_RC(calls[0].rc, ANYC_ETASKCANCELED);
}

/* Begins, waits for one, and is cancelled in between. */
struct cancelled {
	struct anyc_as_completed a;
	int in_call, next, leave;
};
static int wait_and_leave(void *arg)
{
	struct cancelled *c = arg;
	struct anyc_call calls[] = { ANYC_CALL(note_cancel, &c->in_call) };
	size_t i;

	CHECK_OK(anyc_as_completed_enter(&c->a, calls, 1, NULL));
	c->next = anyc_as_completed_next(&c->a, &i);
	c->leave = anyc_as_completed_leave(&c->a, c->next);
	return c->leave;
}

ANYC_TEST(as_completed, sb24_a_cancelled_next_and_what_is_left)
{
	struct cancelled c = { .next = 0 };
	struct anyc_spawn_options o = { .handle = &(struct anyc_handle){ 0 } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, wait_and_leave, &c, &o));
	SETTLE();
	CHECK_OK(anyc_handle_cancel(o.handle, "not wanted"));
	CHECK_RC(anyc_group_leave(&g, 0), 0);
	CHECK_RC(c.next, ANYC_ECANCELED);
	CHECK_RC(c.in_call, ANYC_ECANCELED);
	CHECK_RC(c.leave, ANYC_ECANCELED);
	CHECK_INT(anyc_handle_status(o.handle), ==, ANYC_STATUS_CANCELLED);
}

/* A call that ends before its cancellation is seen is told of, and only then comes the latter. */
ANYC_TEST(as_completed, b044_an_end_beats_a_later_cancel)
{
	struct late l = { 0, 3 };
	struct anyc_call calls[] = { ANYC_CALL(give_late, &l) };
	struct anyc_as_completed a;
	struct anyc_scope s;
	size_t i;
	int rc;

	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_as_completed_enter(&a, calls, 1, NULL));
	CHECK_INT(anyc_as_completed_next(&a, &i), ==, 1);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	rc = anyc_as_completed_next(&a, &i);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_RC(anyc_as_completed_leave(&a, rc), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), 0);
	CHECK_RC(calls[0].rc, 3);
}

/* -------------------------------------------------------------------------------- the limit */

static int running, most;

static int count_running(void *arg)
{
	int rc;

	(void)arg;
	if (++running > most)
		most = running;
	rc = anyc_checkpoint();
	running--;
	return rc;
}

ANYC_TEST(as_completed, sb24_a_limit_is_kept_and_filled)
{
	enum { CALLS = 20 };
	struct anyc_gather_options three = { .limit = 3 };
	struct anyc_call calls[CALLS];
	struct anyc_as_completed a;
	bool told[CALLS] = { false };
	size_t i;
	int rc, n = 0;

	for (i = 0; i < CALLS; i++)
		calls[i] = (struct anyc_call)ANYC_CALL(count_running, NULL);
	running = most = 0;
	CHECK_OK(anyc_as_completed_enter(&a, calls, CALLS, &three));
	while ((rc = anyc_as_completed_next(&a, &i)) > 0) {
		CHECK(!told[i]);
		CHECK_RC(calls[i].rc, 0);
		told[i] = true;
		n++;
	}
	CHECK_RC(anyc_as_completed_leave(&a, rc), 0);
	CHECK_INT(n, ==, CALLS);
	CHECK_INT(most, ==, 3);
}

/* The place of a call that was told of is not empty while the host is busy. */
ANYC_TEST(as_completed, sb24_next_fills_the_place_of_who_ended)
{
	struct anyc_gather_options one = { .limit = 1 };
	struct late l = { 1, 4 };
	int called = 0;
	struct anyc_call calls[] = { ANYC_CALL(give_late, &l), ANYC_CALL(count_up, &called) };
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), &one));
	expect(&a, calls, 0, 4);
	SETTLE();
	CHECK_INT(called, ==, 1);
	expect(&a, calls, 1, calls[1].rc);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
}

ANYC_TEST(as_completed, sb24_calls_that_the_limit_kept_back_do_not_begin)
{
	struct anyc_gather_options one = { .limit = 1 };
	int cancelled = 0, called = 0;
	struct anyc_call calls[] = {
		ANYC_CALL(note_cancel, &cancelled),
		ANYC_CALL(count_up, &called),
	};
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), &one));
	SETTLE();
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
	CHECK_INT(called, ==, 0);
	CHECK_RC(calls[1].rc, ANYC_ETASKCANCELED);
}

/* -------------------------------------------------------------------------------- bad input */

ANYC_TEST(as_completed, sb24_no_calls_and_calls_without_a_function)
{
	struct anyc_call bad[] = { { .fn = NULL } };
	struct anyc_as_completed a;

	CHECK_RC(anyc_as_completed_enter(&a, NULL, 0, NULL), ANYC_EINVAL);
	CHECK_STR(anyc_error_detail(ANYC_EINVAL), "anyc_as_completed_enter: there are no calls");
	CHECK_RC(anyc_as_completed_enter(&a, bad, 0, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_as_completed_enter(&a, NULL, 1, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_as_completed_enter(&a, bad, 1, NULL), ANYC_EINVAL);
	CHECK_OK(anyc_checkpoint());
}

struct stranger {
	struct anyc_as_completed *a;
	size_t i;
	int next, leave;
};
static int meddle(void *arg)
{
	struct stranger *s = arg;

	s->next = anyc_as_completed_next(s->a, &s->i);
	s->leave = anyc_as_completed_leave(s->a, 0);
	return 0;
}

ANYC_TEST(as_completed, r12_another_task_and_another_time)
{
	struct late l = { 0, 1 };
	struct anyc_call calls[] = { ANYC_CALL(give_late, &l) };
	struct anyc_as_completed a = { .count_ = 0 };
	struct stranger s = { .a = &a, .i = 9 };
	struct anyc_group g;
	size_t i;

	CHECK_RC(anyc_as_completed_next(&a, &i), ANYC_EMISUSE);
	CHECK_RC(anyc_as_completed_leave(&a, 0), ANYC_EMISUSE);
	CHECK_RC(anyc_as_completed_leave(NULL, 0), ANYC_EMISUSE);
	CHECK_OK(anyc_as_completed_enter(&a, calls, 1, NULL));
	CHECK_RC(anyc_as_completed_next(&a, NULL), ANYC_EINVAL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, meddle, &s));
	CHECK_RC(anyc_group_leave(&g, 0), 0);
	CHECK_RC(s.next, ANYC_EMISUSE);
	CHECK_INT(s.i, ==, 0);
	CHECK_RC(s.leave, ANYC_EMISUSE);
	expect(&a, calls, 0, 1);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
	CHECK_RC(anyc_as_completed_next(&a, &i), ANYC_EMISUSE);
	CHECK_INT(reports(), ==, 6);
	reports_forget();
}

/* Refused because of a scope inside, it cancels nobody. */
ANYC_TEST(as_completed, r12_a_scope_inside_is_left_first)
{
	struct late l = { 3, 6 };
	struct anyc_call calls[] = { ANYC_CALL(give_late, &l) };
	struct anyc_as_completed a;
	struct anyc_scope inside;

	CHECK_OK(anyc_as_completed_enter(&a, calls, 1, NULL));
	anyc_scope_enter(&inside, NULL);
	CHECK_RC(anyc_as_completed_leave(&a, 0), ANYC_EMISUSE);
	reports_forget();
	expect(&a, calls, 0, 6);
	CHECK_OK(anyc_scope_leave(&inside, 0));
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
}

/* A call that cannot be begun is told of like any other. */
ANYC_TEST(as_completed, sb24_a_call_that_cannot_begin)
{
	struct late l = { 0, 1 };
	struct anyc_call calls[] = { ANYC_CALL(give_late, &l), ANYC_CALL(give_late, &l) };
	struct anyc_gather_options huge = { .stack_size = (size_t)1 << 46 };
	struct anyc_as_completed a;

	CHECK_OK(anyc_as_completed_enter(&a, calls, COUNT(calls), &huge));
	expect(&a, calls, 0, ANYC_EINVAL);
	expect(&a, calls, 1, ANYC_EINVAL);
	expect_end(&a);
	CHECK_RC(anyc_as_completed_leave(&a, 0), 0);
}

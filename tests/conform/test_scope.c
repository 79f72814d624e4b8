/* SPDX-License-Identifier: MIT */
/* Cancel scopes and timeouts: behaviours.md section 3, rules 2 to 7 and 12. */
#include "conform.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "lib/valgrind.h"

/* --------------------------------------------------------------------------------- entering */

ANYC_TEST(scope, b020_cancelled_before_it_is_entered)
{
	struct anyc_scope s;

	anyc_scope_init(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, "early"));
	CHECK(anyc_scope_cancel_called(&s));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_open(&s));
	CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK(anyc_scope_cancelled_caught(&s));
	CHECK_INT(anyc_scope_cause(&s), ==, ANYC_CAUSE_CANCEL);
	CHECK_STR(anyc_scope_reason(&s), "early");
	CHECK_OK(anyc_checkpoint());
}

ANYC_TEST(scope, b021_no_checkpoint_after_the_cancel)
{
	struct anyc_scope s;

	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK(anyc_scope_cancel_called(&s));
	CHECK(!anyc_scope_cancelled_caught(&s));
	CHECK_OK(anyc_checkpoint());

	anyc_scope_enter_timeout(&s, MS(1));
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_OK(anyc_checkpoint());

	anyc_scope_enter_timeout(&s, MS(1));
	clock_spin(MS(3));
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK(!anyc_scope_cancelled_caught(&s));
	CHECK_OK(anyc_sleep(MS(1)));
}

ANYC_TEST(scope, b022_shield_in_a_cancelled_scope)
{
	struct anyc_scope outer, inner;
	struct anyc_event set = { 0 };

	CHECK_OK(anyc_event_set(&set));
	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter_shield(&inner, 5 * ANYC_SECOND);
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	CHECK(!anyc_has_pending_cancellation());
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_event_wait(&set));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&inner, 0));
	CHECK(!anyc_scope_cancel_called(&inner));
	CHECK(anyc_has_pending_cancellation());
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&outer, ANYC_ECANCELED));
	CHECK(!anyc_has_pending_cancellation());
}

ANYC_TEST(scope, b023_a_shield_does_not_hold_off_its_own_cancel)
{
	struct anyc_scope outer, inner;
	struct anyc_scope_options shield = { .shield = true };

	for (int outer_first = 0; outer_first < 2; outer_first++) {
		anyc_scope_enter(&outer, NULL);
		anyc_scope_enter(&inner, &shield);
		if (outer_first)
			CHECK_OK(anyc_scope_cancel(&outer, NULL));
		CHECK_OK(anyc_checkpoint());
		CHECK_OK(anyc_scope_cancel(&inner, NULL));
		CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
		CHECK_OK(anyc_scope_leave(&inner, ANYC_ECANCELED));
		CHECK(anyc_scope_cancelled_caught(&inner));
		anyc_scope_enter_shield(&inner, MS(2));
		CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
		CHECK_RC(anyc_scope_leave(&inner, ANYC_ECANCELED), ANYC_ETIMEDOUT);
		CHECK_OK(anyc_scope_leave(&outer, 0));
	}
}

/* -------------------------------------------------------------------------- who catches what */

ANYC_TEST(scope, b025_both_cancelled_the_outer_one_catches)
{
	struct anyc_scope outer, inner;
	int rc;

	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter(&inner, NULL);
	CHECK_OK(anyc_scope_cancel(&inner, NULL));
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	rc = anyc_checkpoint();
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&inner, rc), ANYC_ECANCELED);
	CHECK(anyc_scope_cancel_called(&inner));
	CHECK(!anyc_scope_cancelled_caught(&inner));
	CHECK_OK(anyc_scope_leave(&outer, rc));
	CHECK(anyc_scope_cancelled_caught(&outer));
}

ANYC_TEST(scope, b027_both_cancelled_and_the_inner_one_shielded)
{
	struct anyc_scope outer, inner;
	struct anyc_scope_options shield = { .shield = true };

	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter(&inner, &shield);
	CHECK_OK(anyc_scope_cancel(&inner, NULL));
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&inner, ANYC_ECANCELED));
	CHECK(anyc_scope_cancelled_caught(&inner));
	CHECK_OK(anyc_scope_leave(&outer, 0));
	CHECK(!anyc_scope_cancelled_caught(&outer));
}

ANYC_TEST(scope, b028_cancelled_inside_a_shield_felt_after_it)
{
	struct anyc_scope one, two, three;
	struct anyc_scope_options shield = { .shield = true };

	anyc_scope_enter(&one, NULL);
	anyc_scope_enter(&two, NULL);
	anyc_scope_enter(&three, &shield);
	CHECK_OK(anyc_scope_cancel(&one, NULL));
	CHECK_OK(anyc_scope_cancel(&two, NULL));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&three, 0));
	CHECK_OK(anyc_scope_leave(&two, 0));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&one, ANYC_ECANCELED));
}

/* -------------------------------------------------------------------------------- deadlines */

ANYC_TEST(scope, b030_a_deadline_in_the_past)
{
	struct anyc_scope s;
	struct anyc_scope_options past = { .deadline = 1 };

	anyc_scope_enter_timeout(&s, 0);
	CHECK(anyc_has_pending_cancellation());
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_INT(anyc_scope_cause(&s), ==, ANYC_CAUSE_DEADLINE);

	anyc_scope_enter(&s, &past);
	CHECK_RC(anyc_checkpoint_if_cancelled(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
}

ANYC_TEST(scope, b031_moving_the_deadline_later)
{
	struct anyc_scope s;
	int64_t start = clock_now();

	anyc_scope_enter_timeout(&s, MS(20));
	CHECK_OK(anyc_scope_set_deadline(&s, anyc_now() + 20 * ANYC_SECOND));
	CHECK_OK(anyc_sleep(MS(60)));
	CHECK_TOOK(start, MS(60), MS(60));
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK(!anyc_scope_cancel_called(&s));

	anyc_scope_enter_timeout(&s, ANYC_FOREVER);
	CHECK_INT(anyc_scope_deadline(&s), ==, ANYC_FOREVER);
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_scope_leave(&s, 0));
	anyc_scope_enter_timeout(&s, MS(5));
	CHECK_OK(anyc_scope_set_deadline(&s, ANYC_FOREVER));
	CHECK_OK(anyc_sleep(MS(20)));
	CHECK_OK(anyc_scope_leave(&s, 0));
}

ANYC_TEST(scope, b032_moving_the_deadline_into_the_past)
{
	struct anyc_scope s;

	anyc_scope_enter_timeout(&s, 20 * ANYC_SECOND);
	CHECK_OK(anyc_scope_set_deadline(&s, anyc_now() - 1));
	CHECK(anyc_scope_cancel_called(&s));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_set_deadline(&s, anyc_now() + 20 * ANYC_SECOND));
	CHECK(anyc_scope_cancel_called(&s));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_RC(anyc_scope_set_deadline(&s, ANYC_FOREVER), ANYC_EMISUSE);
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_scope_set_deadline(&s, -1), ANYC_EINVAL);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&s, 0));
}

static int move_deadline(void *arg)
{
	return anyc_scope_set_deadline(arg, anyc_now() + MS(5));
}

ANYC_TEST(scope, b032_moving_the_deadline_of_a_parked_task)
{
	struct anyc_scope s;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	anyc_scope_enter_timeout(&s, 20 * ANYC_SECOND);
	CHECK_OK(anyc_spawn(&g, move_deadline, &s));
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_OK(anyc_group_leave(&g, 0));
}

static int set_the_same(void *arg)
{
	return anyc_scope_set_deadline(arg, anyc_scope_deadline(arg));
}

/* It changes nothing for the scopes inside; the task there must be woken all the same. */
ANYC_TEST(scope, b032_the_same_deadline_again)
{
	struct anyc_scope outer, inner;
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	anyc_scope_enter_timeout(&outer, MS(20));
	anyc_scope_enter(&inner, NULL);
	CHECK_OK(anyc_spawn(&g, set_the_same, &outer));
	rc = anyc_sleep(ANYC_SECOND);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&inner, rc), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&outer, rc), ANYC_ETIMEDOUT);
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(scope, b035_cancelled_before_the_deadline_is_no_timeout)
{
	struct anyc_scope s;

	anyc_scope_enter_timeout(&s, MS(10));
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
	clock_spin(MS(15));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_INT(anyc_scope_cause(&s), ==, ANYC_CAUSE_CANCEL);
	CHECK(anyc_scope_cancelled_caught(&s));
}

ANYC_TEST(scope, b036_nested_timeouts)
{
	struct anyc_scope outer, inner;
	int64_t start = clock_now();
	int rc;

	anyc_scope_enter_timeout(&outer, MS(20));
	anyc_scope_enter_timeout(&inner, MS(200));
	rc = anyc_sleep(MS(400));
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_TOOK(start, MS(20), MS(20));
	CHECK_RC(anyc_scope_leave(&inner, rc), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&outer, rc), ANYC_ETIMEDOUT);
	CHECK(anyc_scope_cancel_called(&outer) && anyc_scope_cancelled_caught(&outer));
	CHECK(!anyc_scope_cancel_called(&inner) && !anyc_scope_cancelled_caught(&inner));
}

ANYC_TEST(scope, b038_a_relative_timeout_counts_from_entering)
{
	struct anyc_scope s;
	struct anyc_scope_options options = { .timeout = MS(50) };

	anyc_scope_init(&s, &options);
	clock_spin(MS(60));
	CHECK_OK(anyc_scope_open(&s));
	CHECK_INT(anyc_scope_deadline(&s), >, anyc_now());
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_scope_leave(&s, 0));
}

ANYC_TEST(scope, b039_timeout_in_a_shield_in_a_cancelled_scope)
{
	struct anyc_scope outer, shield, limit;
	int rc;

	anyc_scope_enter(&outer, NULL);
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	anyc_scope_enter_shield(&shield, 20 * ANYC_SECOND);
	anyc_scope_enter_timeout(&limit, MS(5));
	rc = anyc_sleep(20 * ANYC_SECOND);
	CHECK_RC(rc, ANYC_ECANCELED);
	rc = anyc_scope_leave(&limit, rc);
	CHECK_RC(rc, ANYC_ETIMEDOUT);
	rc = anyc_scope_leave(&shield, rc);
	CHECK_RC(anyc_scope_leave(&outer, rc), ANYC_ETIMEDOUT);
}

ANYC_TEST(scope, b040_timeout_around_a_group)
{
	struct anyc_scope limit;
	struct anyc_group g;
	int rc;

	anyc_scope_enter_timeout(&limit, MS(10));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	rc = anyc_group_leave(&g, anyc_sleep(20 * ANYC_SECOND));
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_INT(anyc_group_error_count(&g), ==, 0);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
}

/* ----------------------------------------------------------------------------------- misuse */

static int leave_foreign(void *arg)
{
	CHECK_RC(anyc_scope_leave(arg, 0), ANYC_EMISUSE);
	return 0;
}

ANYC_TEST(scope, b041_leaving_in_the_wrong_way)
{
	struct anyc_scope outer, inner, never;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter(&inner, NULL);
	CHECK_RC(anyc_scope_leave(&outer, 0), ANYC_EMISUSE);
	CHECK_REPORT("");
	memset(&never, 0, sizeof never);
	CHECK_RC(anyc_scope_leave(&never, 0), ANYC_EMISUSE);
	CHECK_REPORT("");
	anyc_scope_init(&never, NULL);
	CHECK_RC(anyc_scope_leave(&never, 0), ANYC_EMISUSE);
	CHECK_REPORT("");
	CHECK_OK(anyc_spawn(&g, leave_foreign, &inner));
	SETTLE();
	CHECK_REPORT("");
	/* Nothing changed. */
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&inner, ANYC_ECANCELED), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&outer, ANYC_ECANCELED));
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(scope, b041_opening_and_leaving_twice)
{
	struct anyc_scope s;

	memset(&s, 0, sizeof s);
	CHECK_RC(anyc_scope_open(&s), ANYC_EMISUSE);
	CHECK_RC(anyc_scope_cancel(&s, NULL), ANYC_EMISUSE);
	anyc_scope_init(&s, NULL);
	CHECK_OK(anyc_scope_open(&s));
	CHECK_RC(anyc_scope_open(&s), ANYC_EMISUSE);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_RC(anyc_scope_open(&s), ANYC_EMISUSE);
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_EMISUSE);
	CHECK_RC(anyc_scope_cancel(&s, NULL), ANYC_EMISUSE);
	CHECK_INT(reports(), >=, 1);
	CHECK_OK(anyc_checkpoint());
}

/* ------------------------------------------------------------------------------------- size */

ANYC_TEST(scope, b047_five_thousand_nested_scopes, .deadline = 20)
{
	enum { DEEP = 5000 };
	struct anyc_scope *s = calloc(DEEP, sizeof *s);
	int64_t start;
	int rc = ANYC_ECANCELED;

	CHECK(s != NULL);
	start = clock_now();
	for (int i = 0; i < DEEP; i++)
		anyc_scope_enter(&s[i], NULL);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_cancel(&s[0], NULL));
	CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
	for (int i = DEEP; i-- > 0;) {
		CHECK_RC(rc, ANYC_ECANCELED);
		rc = anyc_scope_leave(&s[i], rc);
	}
	CHECK_OK(rc);
	CHECK_TOOK(start, 0, MS(100));
	free(s);
}

/* ------------------------------------------------------------------------------------ rules */

/* Result rc given to a scope that was cancelled or not, under one that was or not, shielded. */
static int leave_with(bool inner_cancelled, bool outer_cancelled, bool shield, int rc)
{
	struct anyc_scope outer, inner;
	struct anyc_scope_options options = { .shield = shield };
	int left;

	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter(&inner, &options);
	if (inner_cancelled)
		CHECK_OK(anyc_scope_cancel(&inner, NULL));
	if (outer_cancelled)
		CHECK_OK(anyc_scope_cancel(&outer, NULL));
	left = anyc_scope_leave(&inner, rc);
	anyc_scope_leave(&outer, 0);
	return left;
}

ANYC_TEST(scope, r02_what_leave_makes_of_a_result)
{
	for (int i = 0; i < 8; i++) {
		bool in = i & 1, out = i & 2, shield = i & 4;
		int want = ANYC_ECANCELED;

		CHECK_RC(leave_with(in, out, shield, 0), 0);
		CHECK_INT(leave_with(in, out, shield, 17), ==, 17);
		CHECK_RC(leave_with(in, out, shield, -EIO), -EIO);
		CHECK_RC(leave_with(in, out, shield, ANYC_EBROKEN), ANYC_EBROKEN);
		CHECK_RC(leave_with(in, out, shield, ANYC_ETIMEDOUT), ANYC_ETIMEDOUT);
		if (in && (!out || shield))
			want = 0;
		CHECK_RC(leave_with(in, out, shield, ANYC_ECANCELED), want);
	}
}

ANYC_TEST(scope, r02_an_own_error_past_the_deadline)
{
	struct anyc_scope s, outer;

	anyc_scope_enter_timeout(&s, 0);
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, -EIO), -EIO);
	/* (d): the outer one hides this one's deadline. */
	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter_timeout(&s, 0);
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ECANCELED);
	CHECK_INT(anyc_scope_cause(&s), ==, ANYC_CAUSE_DEADLINE);
	CHECK_OK(anyc_scope_leave(&outer, ANYC_ECANCELED));
	/* (f): nobody was cancelled. */
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ECANCELED);
	CHECK(!anyc_scope_cancelled_caught(&s));
}

ANYC_TEST(scope, r03_only_a_move_on_scope_hides_its_deadline)
{
	struct anyc_scope s;
	struct anyc_scope_options options = { .timeout = MS(1), .move_on = true };

	anyc_scope_enter_timeout(&s, MS(1));
	CHECK_RC(anyc_scope_leave(&s, anyc_sleep_forever()), ANYC_ETIMEDOUT);
	CHECK_HAS(anyc_error_detail(ANYC_ETIMEDOUT), "deadline");
	anyc_scope_enter_move_on(&s, MS(1));
	CHECK_RC(anyc_scope_leave(&s, anyc_sleep_forever()), 0);
	CHECK(anyc_scope_cancelled_caught(&s));
	CHECK_INT(anyc_scope_cause(&s), ==, ANYC_CAUSE_DEADLINE);
	anyc_scope_enter(&s, &options);
	CHECK_RC(anyc_scope_leave(&s, anyc_sleep_forever()), 0);
	anyc_scope_enter_shield(&s, MS(1));
	CHECK_RC(anyc_scope_leave(&s, anyc_sleep_forever()), ANYC_ETIMEDOUT);
}

ANYC_TEST(scope, r04_every_checkpoint_looks_at_the_clock)
{
	struct anyc_scope s;
	struct anyc_event set = { 0 };
	struct anyc_lock lock = { 0 };

	CHECK_OK(anyc_event_set(&set));
	for (int i = 0; i < 4; i++) {
		int rc = 0;

		anyc_scope_enter_timeout(&s, MS(2));
		clock_spin(MS(3));
		switch (i) {
		case 0: rc = anyc_checkpoint(); break;
		case 1: rc = anyc_checkpoint_if_cancelled(); break;
		case 2: rc = anyc_event_wait(&set); break;
		case 3: rc = anyc_lock_acquire(&lock); break;
		}
		CHECK_RC(rc, ANYC_ECANCELED);
		CHECK_RC(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	}
	CHECK(!anyc_lock_is_held(&lock));
}

ANYC_TEST(scope, r04_what_a_timeout_may_be)
{
	struct anyc_scope s;
	struct anyc_scope_options unset = { 0 }, both = { .timeout = ANYC_HOUR };

	anyc_scope_enter_timeout(&s, -1);
	CHECK_RC(anyc_checkpoint(), ANYC_EINVAL);
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_EINVAL);
	anyc_scope_enter_timeout(&s, INT64_MIN);
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_EINVAL);
	anyc_scope_enter(&s, &unset);
	CHECK_INT(anyc_scope_deadline(&s), ==, ANYC_FOREVER);
	CHECK_OK(anyc_scope_leave(&s, 0));
	/* Of the two the earlier counts. */
	both.deadline = anyc_now() + ANYC_MINUTE;
	anyc_scope_enter(&s, &both);
	CHECK_INT(anyc_scope_deadline(&s), ==, both.deadline);
	CHECK_OK(anyc_scope_leave(&s, 0));
	both.timeout = ANYC_SECOND;
	anyc_scope_enter(&s, &both);
	CHECK_INT(anyc_scope_deadline(&s), <, both.deadline);
	CHECK_OK(anyc_scope_leave(&s, 0));
	/* Beyond the end of time is never. */
	anyc_scope_enter_timeout(&s, ANYC_FOREVER - 1);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&s, 0));
}

ANYC_TEST(scope, r05_entering_on_any_memory)
{
	struct anyc_scope s;
	struct anyc_group g;

	memset(&s, 0xa5, sizeof s);
	memset(&g, 0xa5, sizeof g);
	for (int i = 0; i < 3; i++) {
		anyc_scope_enter(&s, NULL);
		CHECK(!anyc_scope_cancel_called(&s));
		CHECK_OK(anyc_checkpoint());
		CHECK_OK(anyc_scope_cancel(&s, NULL));
		CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
		CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_checkpoint());
		CHECK_OK(anyc_group_leave(&g, 0));
	}
}

ANYC_TEST(scope, r05_bad_options_poison)
{
	struct anyc_scope s;
	struct anyc_group g;
	struct anyc_scope_options bad = { .timeout = -1 };
	struct anyc_group_options bad_group = { .deadline = -1 };

	anyc_scope_enter(&s, &bad);
	CHECK_RC(anyc_checkpoint(), ANYC_EINVAL);
	CHECK_RC(anyc_sleep(0), ANYC_EINVAL);
	CHECK_RC(anyc_scope_leave(&s, 5), ANYC_EINVAL);
	CHECK_OK(anyc_checkpoint());
	anyc_group_enter(&g, &bad_group);
	CHECK_RC(anyc_checkpoint(), ANYC_EINVAL);
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_EINVAL);
	CHECK_OK(anyc_checkpoint());
}

static void enter_outside(void *arg)
{
	struct anyc_scope s;
	struct anyc_group g;

	(void)arg;
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_ENOTASK);
	anyc_scope_enter_timeout(&s, ANYC_SECOND);
	CHECK_RC(anyc_checkpoint(), ANYC_ENOTASK);
	CHECK_RC(anyc_scope_leave(&s, -EIO), ANYC_ENOTASK);
	anyc_group_enter(&g, NULL);
	CHECK_INT(anyc_spawn(&g, sleeper, NULL), <, 0);
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_ENOTASK);
	anyc_scope_init(&s, NULL);
	CHECK_RC(anyc_scope_open(&s), ANYC_ENOTASK);
}

ANYC_TEST_ON(scope, r05_outside_a_task_poisons, ANYC_ROWS_LOOP)
{
	host_call(anyc_test_host(), enter_outside, NULL);
	CHECK_OK(anyc_checkpoint());
}

__attribute__((noinline)) static int forget_to_leave(void)
{
	struct anyc_scope s;

	/* Looking at a scope that is no more is what this is about. */
	VALGRIND_DISABLE_ERROR_REPORTING;
	anyc_scope_enter(&s, NULL);
	return anyc_checkpoint();
}

__attribute__((noinline)) static int use_the_stack(int depth)
{
	volatile char room[512];

	memset((char *)(uintptr_t)room, 0x5a, sizeof room);
	return depth == 0 ? room[3] : use_the_stack(depth - 1) + room[7];
}

static void leave_by_return(void)
{
	ANYC_IGNORE(forget_to_leave());
	ANYC_IGNORE(anyc_checkpoint());
}

static void leave_by_return_reused(void)
{
	ANYC_IGNORE(forget_to_leave());
	if (use_the_stack(6) != 0)
		ANYC_IGNORE(anyc_checkpoint());
}

static void leave_by_return_then_enter(void)
{
	struct anyc_scope s;

	ANYC_IGNORE(forget_to_leave());
	anyc_scope_enter(&s, NULL);
	anyc_scope_leave(&s, 0);
}

/* AddressSanitizer sees the dead frame before anyc does. */
static void check_left_by_return(void (*fn)(void))
{
	struct corpse c;

	corpse_make_in_task(&c, fn);
	if (SANITIZED && strstr(c.text, "stack-use-after-return") != NULL)
		return;
	CHECK_DIED(&c, SIGABRT, "left by return");
}

ANYC_TEST_MAIN(scope, r06_a_scope_left_by_return, ANYC_ROWS_ALL, .deadline = 30)
{
	check_left_by_return(leave_by_return);
	check_left_by_return(leave_by_return_reused);
	check_left_by_return(leave_by_return_then_enter);
}

/* Not cancelled by anybody: this is a failure like any other. */
static int pretend_cancelled(void *arg)
{
	(void)arg;
	return ANYC_ECANCELED;
}

ANYC_TEST(scope, r07_cancelled_means_this_task)
{
	struct anyc_group g;
	struct anyc_handle h;
	struct anyc_spawn_options options = { .handle = &h };
	int result = 1, rc;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, sleeper, NULL, &options));
	SETTLE();
	CHECK_OK(anyc_handle_cancel(&h, NULL));
	CHECK_OK(anyc_join(&h, &result));
	CHECK_RC(result, ANYC_ETASKCANCELED);
	CHECK_RC(anyc_handle_result(&h), ANYC_ETASKCANCELED);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_group_leave(&g, 0));

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, pretend_cancelled, NULL, &options));
	rc = anyc_group_leave(&g, 0);
	CHECK_INT(rc, <, 0);
	CHECK_INT(rc, !=, ANYC_ECANCELED);
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_FAILED);
	CHECK_INT(anyc_group_error_count(&g), ==, 1);
}

ANYC_TEST(scope, r07_codes_keep_apart_from_errno)
{
#define APART(name, number, sentence) \
	CHECK_INT(ANYC_##name, <=, -10000); \
	CHECK_STR(anyc_err_name(ANYC_##name), "ANYC_" #name); \
	CHECK_STR(anyc_strerror(ANYC_##name), sentence);
	ANYC_ERROR_MAP(APART)
#undef APART
}

static void end_in_a_scope(void)
{
	static struct anyc_scope s;

	anyc_scope_enter(&s, NULL);
}

static int end_in_a_group_task(void *arg)
{
	static struct anyc_group g;

	(void)arg;
	anyc_group_enter(&g, NULL);
	return 0;
}

static void end_in_a_group(void)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	ANYC_IGNORE(anyc_spawn(&g, end_in_a_group_task, NULL));
	anyc_group_leave(&g, 0);
}

/* The implicit task of a plain thread does not end: anyc_thread_done() refuses instead. */
ANYC_TEST_MAIN(scope, r12_a_task_that_ends_in_a_scope, ANYC_ROWS_LOOP, .deadline = 30)
{
	struct corpse c;

	corpse_make_in_task(&c, end_in_a_scope);
	CHECK_DIED(&c, SIGABRT, "ended inside a scope");
	corpse_make_in_task(&c, end_in_a_group);
	CHECK_DIED(&c, SIGABRT, "end_in_a_group_task");
}

ANYC_TEST(scope, r12_misuse_is_a_code_and_a_sentence)
{
	struct anyc_scope s;
	struct anyc_lock l = { 0 };

	memset(&s, 0, sizeof s);
	reports_forget();
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_EMISUSE);
	CHECK_REPORT("scope");
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "scope");
	CHECK_RC(anyc_lock_release(&l), ANYC_EMISUSE);
	CHECK_REPORT("lock");
	CHECK_RC(anyc_detect_pop(), ANYC_EMISUSE);
	CHECK_REPORT("");
	CHECK_OK(anyc_checkpoint());
}

/* ----------------------------------------------------------------------- semantics.md, part C */

ANYC_TEST(scope, c01_every_checkpoint_says_so_again)
{
	struct anyc_scope s;

	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	for (int i = 0; i < 3; i++) {
		CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
		CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
		CHECK_RC(anyc_checkpoint_if_cancelled(), ANYC_ECANCELED);
	}
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(anyc_checkpoint());
}

struct cancel_by {
	struct anyc_scope *scope;
	const char *reason;
};

static int cancel_scope(void *arg)
{
	const struct cancel_by *c = arg;

	return anyc_scope_cancel(c->scope, c->reason);
}

ANYC_TEST(scope, c03_the_first_reason_and_canceller_stay)
{
	struct anyc_scope s;
	struct anyc_group g;
	struct cancel_by first = { &s, "first" }, second = { &s, "second" };
	struct anyc_spawn_options named = { .name = "the canceller" };

	anyc_group_enter(&g, NULL);
	anyc_scope_enter(&s, NULL);
	CHECK(anyc_scope_reason(&s) == NULL);
	CHECK(anyc_scope_canceller(&s) == NULL);
	CHECK_OK(anyc_spawn_opts(&g, cancel_scope, &first, &named));
	CHECK_OK(anyc_spawn(&g, cancel_scope, &second));
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_STR(anyc_scope_reason(&s), "first");
	CHECK_STR(anyc_scope_canceller(&s), "the canceller");
}

ANYC_TEST(scope, c07_leaving_has_no_after_effect)
{
	struct anyc_scope outer, mid, in[3];
	struct anyc_scope_options shield = { .shield = true };

	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter(&mid, NULL);
	CHECK_OK(anyc_scope_cancel(&mid, NULL));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&mid, ANYC_ECANCELED));
	CHECK_OK(anyc_sleep(MS(1)));
	for (int i = 0; i < 3; i++)
		anyc_scope_enter(&in[i], &shield);
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	for (int i = 3; i-- > 0;) {
		CHECK_OK(anyc_sleep(0));
		CHECK_OK(anyc_scope_leave(&in[i], 0));
	}
	CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&outer, ANYC_ECANCELED));
}

struct shielded {
	struct anyc_scope outer, shield;
	int rc;
};

static int sleep_in_shield(void *arg)
{
	struct shielded *s = arg;
	struct anyc_scope_options options = { .shield = true };
	int rc;

	anyc_scope_enter(&s->outer, NULL);
	anyc_scope_enter(&s->shield, &options);
	s->rc = anyc_sleep_forever();
	rc = anyc_scope_leave(&s->shield, s->rc);
	return anyc_scope_leave(&s->outer, rc);
}

ANYC_TEST(scope, c08_dropping_a_shield_wakes_the_task)
{
	struct anyc_group g;
	struct shielded s = { .rc = 1 };
	struct anyc_scope own;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_in_shield, &s));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&s.outer, NULL));
	SETTLE();
	CHECK_INT(s.rc, ==, 1);
	CHECK_OK(anyc_scope_set_shield(&s.shield, false));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, ANYC_ECANCELED);
	/* And raising one. */
	anyc_scope_enter(&s.outer, NULL);
	anyc_scope_enter(&own, NULL);
	CHECK_OK(anyc_scope_set_shield(&own, true));
	CHECK_OK(anyc_scope_cancel(&s.outer, NULL));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_set_shield(&own, false));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&own, ANYC_ECANCELED), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s.outer, ANYC_ECANCELED));
	CHECK_RC(anyc_scope_set_shield(&own, true), ANYC_EMISUSE);
}

ANYC_TEST(scope, c11_an_overrun_without_a_checkpoint)
{
	struct anyc_scope s;

	anyc_scope_enter_timeout(&s, MS(1));
	clock_spin(MS(3));
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_checkpoint());
	anyc_scope_enter_timeout(&s, MS(1));
	clock_spin(MS(3));
	CHECK_INT(anyc_scope_leave(&s, 7), ==, 7);
}

ANYC_TEST(scope, c14_the_effective_deadline)
{
	struct anyc_scope outer, inner, shield;
	struct anyc_scope_options none = { .shield = true };

	anyc_scope_enter(&shield, &none);
	CHECK_INT(anyc_effective_deadline(), ==, ANYC_FOREVER);
	anyc_scope_enter_timeout(&outer, ANYC_SECOND);
	CHECK_INT(anyc_effective_deadline(), ==, anyc_scope_deadline(&outer));
	anyc_scope_enter_timeout(&inner, ANYC_MINUTE);
	CHECK_INT(anyc_effective_deadline(), ==, anyc_scope_deadline(&outer));
	CHECK_OK(anyc_scope_set_shield(&inner, true));
	CHECK_INT(anyc_effective_deadline(), ==, anyc_scope_deadline(&inner));
	CHECK_OK(anyc_scope_set_shield(&inner, false));
	CHECK_OK(anyc_scope_set_deadline(&outer, ANYC_FOREVER));
	CHECK_INT(anyc_effective_deadline(), ==, anyc_scope_deadline(&inner));
	CHECK_OK(anyc_scope_cancel(&outer, NULL));
	CHECK_INT(anyc_effective_deadline(), ==, 0);
	CHECK_OK(anyc_scope_leave(&inner, 0));
	CHECK_OK(anyc_scope_leave(&outer, 0));
	CHECK_INT(anyc_effective_deadline(), ==, ANYC_FOREVER);
	CHECK_OK(anyc_scope_leave(&shield, 0));
}

ANYC_TEST(scope, c16_no_side_effect_in_a_cancelled_scope)
{
	struct anyc_scope s;
	struct anyc_lock lock = { 0 };
	struct anyc_group g;
	struct anyc_handle h;
	struct anyc_spawn_options options = { .handle = &h };
	int result = 5;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, sleeper, NULL, &options));
	SETTLE();
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_lock_acquire(&lock), ANYC_ECANCELED);
	CHECK(!anyc_lock_is_held(&lock));
	CHECK_RC(anyc_join(&h, &result), ANYC_ECANCELED);
	CHECK_RC(anyc_wait_all_blocked(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_INT(anyc_handle_status(&h), ==, ANYC_STATUS_PENDING);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* Hides from a cancellation for long, and must not turn in circles meanwhile. */
static int sleep_shielded(void *arg)
{
	struct anyc_scope s;

	(void)arg;
	anyc_scope_enter_shield(&s, MS(200));
	return anyc_scope_leave(&s, anyc_sleep(MS(100)));
}

ANYC_TEST(scope, c21_waiting_for_a_shield_costs_nothing)
{
	struct anyc_group g;
	int64_t cpu;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_shielded, NULL));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_group_cancel(&g, NULL));
	cpu = clock_cpu();
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(clock_cpu() - cpu, <, MS(50) * anyc_test_slow());
}

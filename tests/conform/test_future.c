/* SPDX-License-Identifier: MIT */
/* Futures and guards: b076 and b099 of behaviours.md, semantics.md B25 and D14. */
#include "conform.h"

struct listener {
	struct anyc_future *future;
	struct anyc_scope scope;
	int rc, result;
	intptr_t value;
	bool done;
};

static int listen_to(void *arg)
{
	struct listener *l = arg;

	anyc_scope_enter(&l->scope, NULL);
	l->rc = anyc_future_wait(l->future);
	if (l->rc == 0)
		l->result = anyc_future_result(l->future, &l->value);
	anyc_scope_leave(&l->scope, l->rc);
	l->done = true;
	return 0;
}

static void start(struct anyc_group *g, struct anyc_future *f, struct listener *l, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		l[i] = (struct listener){ .future = f, .rc = 1 };
		CHECK_OK(anyc_spawn(g, listen_to, &l[i]));
	}
	SETTLE();
}

ANYC_TEST(future, b076_a_value_comes_once)
{
	struct anyc_future f = { 0 };
	struct listener l[3];
	struct anyc_group g;
	intptr_t value = 1;

	CHECK_INT(anyc_future_state(&f), ==, ANYC_FUTURE_PENDING);
	CHECK_RC(anyc_future_result(&f, &value), ANYC_ENOTFINISHED);
	CHECK_INT(value, ==, 0);
	anyc_group_enter(&g, NULL);
	start(&g, &f, l, 3);
	CHECK_INT(anyc_future_waiting(&f), ==, 3);
	CHECK_OK(anyc_scope_cancel(&l[1].scope, NULL));
	SETTLE();
	CHECK_RC(l[1].rc, ANYC_ECANCELED);
	CHECK_INT(anyc_future_waiting(&f), ==, 2);
	CHECK_OK(anyc_future_set(&f, 42));
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < 3; i += 2) {
		CHECK_OK(l[i].rc);
		CHECK_OK(l[i].result);
		CHECK_INT(l[i].value, ==, 42);
	}
	CHECK_RC(anyc_future_set(&f, 43), ANYC_EFINISHED);
	CHECK_RC(anyc_future_fail(&f, -EIO), ANYC_EFINISHED);
	CHECK_OK(anyc_future_cancel(&f)); /* too late: ignored */
	CHECK_OK(anyc_future_wait(&f));
	CHECK_OK(anyc_future_result(&f, &value));
	CHECK_INT(value, ==, 42);
	CHECK_OK(anyc_future_result(&f, NULL));
	CHECK_INT(anyc_future_state(&f), ==, ANYC_FUTURE_SET);
}

ANYC_TEST(future, b076_an_error_or_a_cancellation)
{
	struct anyc_future failed = { 0 }, cancelled = { 0 }, passed_on = { 0 };
	struct listener l;
	struct anyc_group g;
	intptr_t value = 7;

	CHECK_RC(anyc_future_fail(&failed, 0), ANYC_EINVAL);
	CHECK_RC(anyc_future_fail(&failed, 5), ANYC_EINVAL);
	CHECK_OK(anyc_future_fail(&failed, -EIO));
	CHECK_OK(anyc_future_wait(&failed));
	CHECK_RC(anyc_future_result(&failed, &value), -EIO);
	CHECK_INT(anyc_future_state(&failed), ==, ANYC_FUTURE_FAILED);
	CHECK_INT(value, ==, 0);
	anyc_group_enter(&g, NULL);
	start(&g, &cancelled, &l, 1);
	CHECK_OK(anyc_future_cancel(&cancelled));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(l.rc); /* its own scopes are not cancelled */
	CHECK_RC(l.result, ANYC_ETASKCANCELED);
	CHECK_INT(anyc_future_state(&cancelled), ==, ANYC_FUTURE_CANCELLED);
	CHECK_RC(anyc_future_set(&cancelled, 1), ANYC_ETASKCANCELED);
	CHECK_RC(anyc_future_fail(&cancelled, -EIO), ANYC_ETASKCANCELED);
	CHECK_OK(anyc_future_cancel(&cancelled));
	/* Rule 7: what is another's cancellation is never this task's. */
	CHECK_OK(anyc_future_fail(&passed_on, ANYC_ECANCELED));
	CHECK_RC(anyc_future_result(&passed_on, NULL), ANYC_ETASKCANCELED);
}

ANYC_TEST(future, b076_a_result_beats_a_later_cancel)
{
	struct anyc_future f = { 0 };
	struct listener l;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	start(&g, &f, &l, 1);
	CHECK_OK(anyc_future_set(&f, 3));
	CHECK_OK(anyc_scope_cancel(&l.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(l.rc);
	CHECK_INT(l.value, ==, 3);
}

static int set_it(void *arg)
{
	return anyc_future_set(arg, 5);
}

ANYC_TEST(future, b076_waiting_for_what_is_there_yields)
{
	struct anyc_future f = { 0 };
	struct anyc_group g;
	bool ran = false;

	CHECK_OK(set_it(&f));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_future_wait(&f));
	CHECK(ran);
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* --------------------------------------------------------------------------------- guards */

struct user {
	struct anyc_guard *guard;
	struct anyc_scope scope;
	struct anyc_event go;
	int rc;
};

static int use_alone(void *arg)
{
	struct user *u = arg;
	int rc = anyc_guard_enter(u->guard, "reading from");

	if (rc != 0)
		return rc;
	anyc_scope_enter(&u->scope, NULL);
	u->rc = anyc_event_wait(&u->go);
	rc = anyc_scope_leave(&u->scope, u->rc);
	CHECK_OK(anyc_guard_leave(u->guard));
	return rc;
}

ANYC_TEST(guard, b099_one_at_a_time)
{
	static struct anyc_guard guard;
	struct user u = { .guard = &guard };
	struct anyc_group g;

	for (int round = 0; round < 2; round++) {
		u = (struct user){ .guard = &guard };
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, use_alone, &u));
		SETTLE();
		CHECK_RC(anyc_guard_enter(&guard, "reading from"), ANYC_EBUSY);
		CHECK_HAS(anyc_error_detail(ANYC_EBUSY), "already reading from this");
		if (round == 0)
			CHECK_OK(anyc_event_set(&u.go));
		else
			CHECK_OK(anyc_scope_cancel(&u.scope, NULL));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(u.rc, round == 0 ? 0 : ANYC_ECANCELED);
		CHECK_OK(anyc_guard_enter(&guard, "writing to"));
		CHECK_OK(anyc_guard_leave(&guard));
	}
	CHECK_RC(anyc_guard_enter(&guard, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_guard_leave(&guard), ANYC_EMISUSE);
	CHECK_REPORT("nobody is inside");
}

static int enter_guard(void *guard)
{
	return anyc_guard_enter(guard, "reading from");
}

static int leave_guard(void *guard)
{
	CHECK_RC(anyc_guard_enter(guard, "reading from"), ANYC_EBUSY);
	return anyc_guard_leave(guard);
}

/* Whoever was inside has ended with its loop: the guard is shut, and anybody may open it. */
ANYC_TEST_MAIN(guard, r23_entered_in_an_earlier_run, ANYC_ROWS_LOOP)
{
	struct anyc_guard guard = { 0 };

	run_in_turn(enter_guard, leave_guard, &guard);
}

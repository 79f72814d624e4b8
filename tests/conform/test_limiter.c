/* SPDX-License-Identifier: MIT */
/* Capacity limiters: b095 to b097 of behaviours.md, semantics.md D10 to D13. */
#include "conform.h"
#include "lib/alloc_fault.h"

struct client {
	struct anyc_limiter *limiter;
	struct anyc_scope scope;
	int rc;
	bool done;
};

static int borrow(void *arg)
{
	struct client *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_limiter_acquire_for(c->limiter, c);
	anyc_scope_leave(&c->scope, c->rc);
	c->done = true;
	return 0;
}

static void start(struct anyc_group *g, struct anyc_limiter *l, struct client *c, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		c[i] = (struct client){ .limiter = l, .rc = 1 };
		CHECK_OK(anyc_spawn(g, borrow, &c[i]));
	}
	SETTLE();
}

ANYC_TEST(limiter, b095_a_token_is_reserved)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(1);
	struct anyc_group g;
	struct client c;
	int other;

	CHECK_OK(anyc_limiter_acquire(&l));
	anyc_group_enter(&g, NULL);
	start(&g, &l, &c, 1);
	CHECK_INT(anyc_limiter_waiting(&l), ==, 1);
	CHECK(!anyc_limiter_has(&l, &c));
	CHECK_OK(anyc_limiter_release(&l));
	CHECK(!c.done);
	CHECK(anyc_limiter_has(&l, &c));
	CHECK_RC(anyc_limiter_acquire_nowait(&l), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_limiter_acquire_for_nowait(&l, &other), ANYC_EWOULDBLOCK);
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 1);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(c.rc);
	CHECK_OK(anyc_limiter_release_for(&l, &c));
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 0);
}

ANYC_TEST(limiter, b096_first_come_and_the_cancelled_hand_on)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(1);
	struct client c[4];
	struct anyc_group g;

	CHECK_OK(anyc_limiter_acquire(&l));
	anyc_group_enter(&g, NULL);
	start(&g, &l, c, 4);
	CHECK_OK(anyc_scope_cancel(&c[0].scope, NULL));
	CHECK_OK(anyc_limiter_release(&l));
	CHECK_OK(anyc_scope_cancel(&c[1].scope, NULL)); /* it has its token already */
	SETTLE();
	CHECK_RC(c[0].rc, ANYC_ECANCELED);
	CHECK_OK(c[1].rc);
	CHECK(!c[2].done);
	CHECK_OK(anyc_limiter_release_for(&l, &c[1]));
	SETTLE();
	CHECK(c[2].done && !c[3].done);
	CHECK_OK(anyc_limiter_release_for(&l, &c[2]));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_limiter_release_for(&l, &c[3]));
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 0);
}

ANYC_TEST(limiter, b097_the_total_changes)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(2);
	struct client c[5];
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	start(&g, &l, c, 5);
	CHECK(c[0].done && c[1].done && !c[2].done);
	CHECK_OK(anyc_limiter_set_total(&l, 4));
	SETTLE();
	CHECK(c[2].done && c[3].done && !c[4].done);
	CHECK_OK(anyc_limiter_set_total(&l, 1));
	CHECK_INT(anyc_limiter_total(&l), ==, 1);
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 4);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(anyc_limiter_release_for(&l, &c[i]));
		SETTLE();
		CHECK(!c[4].done);
	}
	CHECK_OK(anyc_limiter_release_for(&l, &c[3]));
	SETTLE();
	CHECK(c[4].done);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_limiter_release_for(&l, &c[4]));
	/* AnyIO's asyncio grants too many here. */
	CHECK_OK(anyc_limiter_set_total(&l, 2));
	anyc_group_enter(&g, NULL);
	start(&g, &l, c, 5);
	CHECK_OK(anyc_limiter_set_total(&l, 0));
	CHECK_OK(anyc_limiter_set_total(&l, 2));
	SETTLE();
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 2);
	CHECK_OK(anyc_limiter_set_total(&l, ANYC_LIMITER_INFINITE));
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < 5; i++)
		CHECK_OK(anyc_limiter_release_for(&l, &c[i]));
}

ANYC_TEST(limiter, d10_misuse)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(0), zeroed = { 0 }, negative;
	struct client c;
	struct anyc_group g;
	int other;

	CHECK_RC(anyc_limiter_acquire(&zeroed), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_acquire_nowait(&zeroed), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_release(&zeroed), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_set_total(&zeroed, 1), ANYC_EINVAL);
	CHECK(!anyc_limiter_has(&zeroed, NULL));
	CHECK_RC(anyc_limiter_init(&negative, -1), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_acquire(&negative), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_set_total(&l, -1), ANYC_EINVAL);
	CHECK_INT(anyc_limiter_total(&l), ==, 0);
	CHECK_RC(anyc_limiter_acquire_for(&l, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_acquire_for_nowait(&l, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_limiter_release_for(&l, NULL), ANYC_EINVAL);
	CHECK_INT(reports(), ==, 0);
	CHECK_RC(anyc_limiter_acquire_nowait(&l), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_limiter_release(&l), ANYC_EMISUSE);
	CHECK_RC(anyc_limiter_release_for(&l, &other), ANYC_EMISUSE);
	anyc_group_enter(&g, NULL);
	start(&g, &l, &c, 1);
	CHECK_RC(anyc_limiter_acquire_for(&l, &c), ANYC_EMISUSE); /* in line */
	CHECK_RC(anyc_limiter_release_for(&l, &c), ANYC_EMISUSE);
	CHECK_OK(anyc_limiter_set_total(&l, 9));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_limiter_acquire_for_nowait(&l, &c), ANYC_EMISUSE); /* has one */
	CHECK_OK(anyc_limiter_acquire(&l));
	CHECK(anyc_limiter_has(&l, NULL));
	CHECK_RC(anyc_limiter_acquire(&l), ANYC_EMISUSE);
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 2);
	CHECK_OK(anyc_limiter_release(&l));
	CHECK_OK(anyc_limiter_release_for(&l, &c));
	reports_forget();
}

/* Many borrowers come and go in an order that a table may trip over. */
#define MANY 1000
ANYC_TEST(limiter, d11_many_borrowers)
{
	static char who[MANY];
	struct anyc_limiter l = ANYC_LIMITER_INIT(ANYC_LIMITER_INFINITE);
	bool in[MANY] = { false };
	unsigned lot = 99, i;
	size_t count = 0;

	for (int round = 0; round < 20000; round++) {
		lot = lot * 1103515245 + 12345;
		i = (lot >> 8) % MANY;
		CHECK_INT(anyc_limiter_has(&l, &who[i]), ==, in[i]);
		CHECK_OK(in[i] ? anyc_limiter_release_for(&l, &who[i]) :
				 anyc_limiter_acquire_for_nowait(&l, &who[i]));
		count = in[i] ? count - 1 : count + 1;
		in[i] = !in[i];
		CHECK_INT(anyc_limiter_borrowed(&l), ==, count);
	}
	for (i = 0; i < MANY; i++) {
		if (in[i])
			CHECK_OK(anyc_limiter_release_for(&l, &who[i]));
		CHECK(!anyc_limiter_has(&l, &who[i]));
	}
}

/* Beyond four borrowers it needs memory, and without it nothing has happened. */
static int borrow_many(void *arg)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(40);
	char who[40];
	int i, rc = 0;

	(void)arg;
	for (i = 0; i < 40 && rc == 0; i++)
		rc = anyc_limiter_acquire_for_nowait(&l, &who[i]);
	CHECK_INT(anyc_limiter_borrowed(&l), ==, rc == 0 ? i : i - 1);
	for (i = (int)anyc_limiter_borrowed(&l); i-- > 0;)
		CHECK_OK(anyc_limiter_release_for(&l, &who[i]));
	return rc;
}

ANYC_TEST_MAIN(limiter, d11_without_memory, "none")
{
	check_alloc_sweep(borrow_many, NULL, 1);
}

/* ----------------------------------------------------------------------------------- rule 23 */

static int take_for(void *limiter)
{
	return anyc_limiter_acquire_for(limiter, limiter);
}

static int give_back_for(void *limiter)
{
	CHECK_RC(anyc_limiter_acquire_nowait(limiter), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_limiter_release_for(limiter, limiter));
	CHECK_OK(anyc_limiter_acquire(limiter));
	return anyc_limiter_release(limiter);
}

/* What was taken for a key on a loop that has ended is given back on another one. */
ANYC_TEST_MAIN(limiter, r23_a_token_of_an_earlier_run, ANYC_ROWS_LOOP)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(1);

	run_in_turn(take_for, give_back_for, &l);
}

static int take_for_itself(void *limiter)
{
	return anyc_limiter_acquire(limiter);
}

static int do_without_it(void *limiter)
{
	CHECK_RC(anyc_limiter_acquire_nowait(limiter), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_limiter_release(limiter), ANYC_EMISUSE);
	CHECK_REPORT("has no token");
	CHECK_OK(anyc_limiter_set_total(limiter, 2));
	CHECK_OK(anyc_limiter_acquire(limiter));
	return anyc_limiter_release(limiter);
}

/* Nobody is the task that took it, but the limiter is of use again with a greater total. */
ANYC_TEST_MAIN(limiter, r23_a_tasks_own_token_of_an_earlier_run, ANYC_ROWS_LOOP)
{
	struct anyc_limiter l = ANYC_LIMITER_INIT(1);

	run_in_turn(take_for_itself, do_without_it, &l);
	CHECK_INT(anyc_limiter_borrowed(&l), ==, 1);
}

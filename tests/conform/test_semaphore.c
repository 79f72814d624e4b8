/* SPDX-License-Identifier: MIT */
/* Semaphores: b084, b091, b093 of behaviours.md, semantics.md D9. */
#include "conform.h"

struct taker {
	struct anyc_semaphore *semaphore;
	struct anyc_scope scope;
	int rc;
	bool done;
};

static int take_permit(void *arg)
{
	struct taker *t = arg;

	anyc_scope_enter(&t->scope, NULL);
	t->rc = anyc_semaphore_acquire(t->semaphore);
	anyc_scope_leave(&t->scope, t->rc);
	t->done = true;
	return 0;
}

ANYC_TEST(semaphore, b091_release_hands_over)
{
	struct anyc_semaphore s;
	struct taker t = { .semaphore = &s };
	struct anyc_group g;

	CHECK_OK(anyc_semaphore_init(&s, 1, 0));
	CHECK_OK(anyc_semaphore_acquire(&s));
	CHECK_INT(anyc_semaphore_value(&s), ==, 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_permit, &t));
	SETTLE();
	CHECK_INT(anyc_semaphore_waiting(&s), ==, 1);
	CHECK_OK(anyc_semaphore_release(&s));
	CHECK(!t.done);
	CHECK_INT(anyc_semaphore_value(&s), ==, 0);
	CHECK_RC(anyc_semaphore_acquire_nowait(&s), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(t.rc);
	/* Nobody in line: the value rises. */
	CHECK_OK(anyc_semaphore_release(&s));
	CHECK_OK(anyc_semaphore_release(&s));
	CHECK_INT(anyc_semaphore_value(&s), ==, 2);
	CHECK_OK(anyc_semaphore_acquire_nowait(&s));
	CHECK_INT(anyc_semaphore_value(&s), ==, 1);
}

ANYC_TEST(semaphore, b091_cancelled_first_and_handed_over_first)
{
	struct anyc_semaphore s = { 0 };
	struct taker t[3] = { { 0 } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		t[i].semaphore = &s;
		CHECK_OK(anyc_spawn(&g, take_permit, &t[i]));
	}
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&t[0].scope, NULL));
	CHECK_OK(anyc_semaphore_release(&s));
	CHECK_OK(anyc_scope_cancel(&t[1].scope, NULL));
	SETTLE();
	CHECK_RC(t[0].rc, ANYC_ECANCELED);
	CHECK(t[1].done);
	CHECK_OK(t[1].rc); /* it was the second's when it was cancelled */
	CHECK(!t[2].done);
	CHECK_OK(anyc_semaphore_release(&s));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(t[2].rc);
	CHECK_INT(anyc_semaphore_value(&s), ==, 0);
}

ANYC_TEST(semaphore, b093_bounds)
{
	struct anyc_semaphore s, full;

	CHECK_RC(anyc_semaphore_init(&s, -1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_semaphore_acquire(&s), ANYC_EINVAL);
	CHECK_RC(anyc_semaphore_acquire_nowait(&s), ANYC_EINVAL);
	CHECK_RC(anyc_semaphore_release(&s), ANYC_EINVAL);
	CHECK_RC(anyc_semaphore_init(&s, 0, -1), ANYC_EINVAL);
	CHECK_RC(anyc_semaphore_init(&s, 3, 2), ANYC_EINVAL);
	CHECK_OK(anyc_semaphore_init(&s, 2, 2));
	CHECK_RC(anyc_semaphore_release(&s), ANYC_EOVERFLOW);
	CHECK_REPORT("all 2 permits");
	CHECK_INT(anyc_semaphore_value(&s), ==, 2);
	CHECK_OK(anyc_semaphore_init(&full, INT64_MAX, 0));
	CHECK_RC(anyc_semaphore_release(&full), ANYC_EOVERFLOW);
	CHECK_INT(anyc_semaphore_value(&full), ==, INT64_MAX);
	reports_forget();
}

ANYC_TEST(semaphore, b084_fast_or_fair)
{
	static struct anyc_semaphore fast = ANYC_SEMAPHORE_INIT_FAST(1, 1);
	static struct anyc_semaphore fair = ANYC_SEMAPHORE_INIT(1, 1);
	struct anyc_group g;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_semaphore_acquire(&fast));
	CHECK(!ran);
	CHECK_OK(anyc_semaphore_acquire(&fair));
	CHECK(ran);
	CHECK_OK(anyc_semaphore_release(&fast));
	CHECK_OK(anyc_semaphore_release(&fair));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* 300 tasks, each round some cancelled by a fixed lot: no permit is lost, none is made. */
#define TAKERS 300
ANYC_TEST(semaphore, d09_no_permit_is_lost, .deadline = 30)
{
	static struct taker t[TAKERS];
	struct anyc_semaphore s;
	struct anyc_group g;
	unsigned lot = 12345, given = 0, taken = 0;

	CHECK_OK(anyc_semaphore_init(&s, 0, 0));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < TAKERS; i++) {
		t[i] = (struct taker){ .semaphore = &s };
		CHECK_OK(anyc_spawn(&g, take_permit, &t[i]));
	}
	SETTLE();
	for (int i = 0; i < TAKERS; i++) {
		lot = lot * 1103515245 + 12345;
		if (lot >> 16 & 1) {
			CHECK_OK(anyc_semaphore_release(&s));
			given++;
		}
		if ((lot >> 17 & 3) == 0 && !t[lot % TAKERS].done)
			CHECK_OK(anyc_scope_cancel(&t[lot % TAKERS].scope, NULL));
		if ((lot >> 20 & 7) == 0)
			SETTLE();
	}
	anyc_group_cancel(&g, NULL);
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < TAKERS; i++)
		taken += t[i].rc == 0;
	CHECK_INT(taken + anyc_semaphore_value(&s), ==, given);
	CHECK_INT(anyc_semaphore_waiting(&s), ==, 0);
}

/* SPDX-License-Identifier: MIT */
/* Checkpoints: behaviours.md section 2, rules 1 and 34. */
#include "conform.h"

ANYC_TEST(checkpoint, b014_only_if_cancelled)
{
	struct anyc_group g;
	struct anyc_scope s;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	for (int i = 0; i < 100; i++)
		CHECK_OK(anyc_checkpoint_if_cancelled());
	CHECK(!ran);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_checkpoint_if_cancelled(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(checkpoint, b015_shielded)
{
	struct anyc_group g;
	struct anyc_scope s;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_OK(anyc_checkpoint_shielded());
	CHECK(ran);
	CHECK_OK(anyc_checkpoint_shielded());
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* Operations that succeed at once; each lets the other task take a step. */
ANYC_TEST(checkpoint, b016_operations_that_succeed_at_once_yield)
{
	struct anyc_group g;
	struct ticker t = { 0 };
	struct anyc_event set = { 0 };
	struct anyc_lock l = { 0 };
	struct anyc_handle h;
	struct anyc_spawn_options o = { .handle = &h };
	int before, n = 0;

	CHECK_OK(anyc_event_set(&set));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &o));
	CHECK_OK(anyc_spawn(&g, tick_on, &t));
	CHECK_OK(anyc_join(&h, NULL));
	for (int i = 0; i < 20; i++) {
		before = t.ticks;
		switch (i % 5) {
		case 0: CHECK_OK(anyc_event_wait(&set)); break;
		case 1: CHECK_OK(anyc_lock_acquire(&l)); CHECK_OK(anyc_lock_release(&l)); break;
		case 2: CHECK_OK(anyc_checkpoint()); break;
		case 3: CHECK_OK(anyc_sleep(0)); break;
		case 4: CHECK_OK(anyc_join(&h, NULL)); break;
		}
		CHECK_INT(t.ticks, >, before);
	}
	t.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(checkpoint, b017_a_deadline_that_passed_while_running)
{
	/* Time enough for one call, under valgrind too. */
	int64_t timeout = MS(2) * anyc_test_slow();
	struct anyc_scope s;

	anyc_scope_enter_timeout(&s, timeout);
	CHECK_OK(anyc_checkpoint());
	clock_spin(timeout + MS(1));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
}

ANYC_TEST(checkpoint, r01_a_cancelled_checkpoint_yields_first)
{
	struct anyc_group g;
	struct anyc_scope s;
	struct ticker t = { 0 };
	int before;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tick_on, &t));
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	for (int i = 0; i < 10; i++) {
		before = t.ticks;
		CHECK_RC(anyc_sleep(MS(1)), ANYC_ECANCELED);
		CHECK_INT(t.ticks, ==, before + 1);
	}
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	t.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
}

static void count_tick(void *arg)
{
	++*(int *)arg;
}

/* `while (connect() < 0) sleep();` in a cancelled scope: the host's timer goes on. */
ANYC_TEST_ON(checkpoint, r01_a_spinning_task_does_not_stop_the_host, ANYC_ROWS_NATIVE)
{
	struct host *h = anyc_test_host();
	struct anyc_scope s;
	int ticks = 0, rc = ANYC_ECANCELED;
	int64_t start = clock_now();

	h->ops->tick(h, count_tick, &ticks);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	while (rc == ANYC_ECANCELED && ticks < 20 && clock_now() - start < 5 * ANYC_SECOND)
		rc = anyc_sleep(MS(1));
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, rc));
	h->ops->untick(h);
	CHECK_INT(ticks, >=, 20);
}

ANYC_TEST(checkpoint, r01_ten_thousand_returns_are_reported_once, .deadline = 30)
{
	struct anyc_scope s;

	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	for (int i = 0; i < 9999; i++)
		CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_INT(reports(), ==, 0);
	for (int i = 0; i < 12000; i++)
		CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_INT(reports(), ==, 1);
	CHECK_REPORT(anyc_task_name());
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
}

/* A lone task whose calls all succeed must let the host poll as well. */
ANYC_TEST_ON(checkpoint, r34_the_budget_counts_checkpoints, ANYC_ROWS_NATIVE)
{
	struct host *h = anyc_test_host();
	int ticks = 0;
	int64_t start = clock_now();

	h->ops->tick(h, count_tick, &ticks);
	while (ticks < 20 && clock_now() - start < 5 * ANYC_SECOND)
		CHECK_OK(anyc_checkpoint());
	h->ops->untick(h);
	CHECK_INT(ticks, >=, 20);
}

/* Timers of the engine are served although a task is always ready. */
ANYC_TEST(checkpoint, r34_timers_fire_beside_a_busy_task)
{
	struct anyc_group g;
	struct ticker t = { 0 };
	int64_t start;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tick_on, &t));
	start = clock_now();
	CHECK_OK(anyc_sleep(MS(10)));
	CHECK_TOOK(start, MS(10), MS(10));
	t.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(t.ticks, >=, 1);
}

/* ------------------------------------------------------------------------------------ sleep */

ANYC_TEST(checkpoint, a16_sleeping)
{
	struct anyc_group g;
	bool ran = false;
	int64_t start;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_sleep(0));
	CHECK(ran);
	ran = false;
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_sleep_until(1));
	CHECK(ran);
	CHECK_RC(anyc_sleep(-1), ANYC_EINVAL);
	start = clock_now();
	CHECK_OK(anyc_sleep(MS(3)));
	CHECK_TOOK(start, MS(3), MS(3));
	start = clock_now();
	CHECK_OK(anyc_sleep_until(anyc_now() + MS(3)));
	CHECK_TOOK(start, MS(3), MS(3));
	CHECK_OK(anyc_group_leave(&g, 0));
}

struct sleepy {
	int64_t ns;
	int *next;
	int place;
};

static int sleep_then_note(void *arg)
{
	struct sleepy *s = arg;
	int rc = anyc_sleep(s->ns);

	s->place = (*s->next)++;
	return rc;
}

ANYC_TEST(checkpoint, a17_sleepers_wake_in_order_of_time)
{
	enum { MANY = 100 };
	struct anyc_group g;
	struct sleepy s[MANY];
	int next = 0, place_of[MANY];

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < MANY; i++) {
		int place = i * 37 % MANY;

		place_of[i] = place;
		s[i] = (struct sleepy){ .ns = MS(5) + place * ANYC_MILLISECOND / 4, .next = &next };
		CHECK_OK(anyc_spawn(&g, sleep_then_note, &s[i]));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	/* Spawned in another order than they wake, a quarter of a millisecond apart. */
	for (int i = 1; i < MANY; i++) {
		if (place_of[i] > place_of[0] + 10)
			CHECK_INT(s[i].place, >, s[0].place);
	}
	CHECK_INT(next, ==, MANY);
}

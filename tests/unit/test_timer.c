/* SPDX-License-Identifier: MIT */
/* The timer heap against a plain array; linked with src/core/timer.c alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/engine.h"

#define TIMERS 600
#define OPERATIONS 100000

/* ------------------------------------------------------- stand-ins for the rest of core */

static int64_t clock_now;
static unsigned clock_reads, armings;
static bool refuse_memory;

int64_t anyc__now(const struct anyc__engine *e)
{
	(void)e;
	clock_reads++;
	return clock_now;
}

void anyc__poller_arm(struct anyc__engine *e)
{
	(void)e;
	armings++;
}

void *anyc__resize(void *block, size_t size)
{
	return refuse_memory ? NULL : realloc(block, size);
}

/* ------------------------------------------------------------------------------ the model */

struct item {
	struct anyc_timer_ timer;
	int64_t when; /* -1: not set */
	unsigned fired;
};
static struct anyc__engine engine;
static struct item items[TIMERS];
static int64_t last_fired;
static void (*on_fire)(struct item *it);
static uint64_t seed = UINT64_C(88172645463325252);

static uint64_t dice(uint64_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % sides;
}

static void fire(struct anyc_timer_ *t)
{
	struct item *it = (struct item *)(void *)t;

	cr_assert_eq(t->place_, 0, "a timer that fires is out of the heap");
	cr_assert_geq(it->when, last_fired, "timers fire in the order of their times");
	cr_assert_leq(it->when, clock_now, "no timer fires early");
	last_fired = it->when;
	it->when = -1;
	it->fired++;
	if (on_fire != NULL)
		on_fire(it);
}

static void set(struct item *it, int64_t when)
{
	cr_assert_eq(anyc__timer_set(&engine, &it->timer, when), 0);
	it->when = when;
}

static void unset(struct item *it)
{
	anyc__timer_unset(&engine, &it->timer);
	it->when = -1;
}

static void run(void)
{
	last_fired = -1;
	anyc__timers_run(&engine);
}

/* Heap order but for the last, places, and the same timers as in the model. */
static void check(void)
{
	const struct anyc__timers *h = &engine.timers;
	int64_t least = ANYC_FOREVER;
	size_t i, set_now = 0;

	for (i = 0; i < h->count; i++) {
		cr_assert_eq(h->entry[i].timer->place_, i + 1);
		if (i > 0 && i < h->count - 1)
			cr_assert_leq(h->entry[(i - 1) / 4].when, h->entry[i].when);
	}
	for (i = 0; i < TIMERS; i++) {
		const struct item *it = &items[i];

		cr_assert_eq(it->timer.place_ != 0, it->when >= 0);
		if (it->when < 0)
			continue;
		set_now++;
		cr_assert_eq(h->entry[it->timer.place_ - 1].when, it->when);
		if (it->when < least)
			least = it->when;
	}
	cr_assert_eq(set_now, h->count);
	cr_assert_eq(anyc__timers_next(h), least);
}

static void setup(void)
{
	size_t i;

	memset(&engine, 0, sizeof engine);
	engine.turns = 1;
	for (i = 0; i < TIMERS; i++)
		items[i] = (struct item){ .timer = { .fire_ = fire }, .when = -1 };
	clock_now = 1000;
}

static void teardown(void)
{
	free(engine.timers.entry);
}

TestSuite(timer, .init = setup, .fini = teardown);

/* ---------------------------------------------------------------------------------- tests */

/* Of the times that the array says are due, each has fired, and no other. */
static void run_and_compare(void)
{
	unsigned before[TIMERS];
	bool due[TIMERS];
	size_t i;

	for (i = 0; i < TIMERS; i++) {
		before[i] = items[i].fired;
		due[i] = items[i].when >= 0 && items[i].when <= clock_now;
	}
	run();
	for (i = 0; i < TIMERS; i++)
		cr_assert_eq(items[i].fired, before[i] + due[i]);
}

Test(timer, agrees_with_an_array)
{
	unsigned n;

	for (n = 0; n < OPERATIONS; n++) {
		struct item *it = &items[dice(TIMERS)];

		switch (dice(8)) {
		default: /* in the past as well, and often at equal times */
			set(it, clock_now - 20 + (int64_t)dice(200));
			break;
		case 0:
		case 1:
			unset(it);
			break;
		case 2:
			clock_now += (int64_t)dice(30);
			run_and_compare();
			break;
		}
		if (n % 16 == 0)
			check();
	}
	check();
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

Test(timer, sorts)
{
	int64_t sorted[TIMERS];
	size_t i;

	for (i = 0; i < TIMERS; i++) {
		sorted[i] = (int64_t)dice(1000000000);
		set(&items[i], sorted[i]);
	}
	qsort(sorted, TIMERS, sizeof *sorted, by_value);
	for (i = 0; i < TIMERS; i++) {
		cr_assert_eq(anyc__timers_next(&engine.timers), sorted[i]);
		clock_now = sorted[i];
		run();
	}
	cr_assert_eq(anyc__timers_next(&engine.timers), ANYC_FOREVER);
}

Test(timer, reads_the_clock_once_and_only_if_there_are_timers)
{
	size_t i;

	clock_reads = 0;
	run();
	cr_assert_eq(clock_reads, 0);
	for (i = 0; i < TIMERS; i++)
		set(&items[i], 1);
	run();
	cr_assert_eq(clock_reads, 1);
	cr_assert_eq(engine.timers.count, 0);
}

/* Sets some others and takes some others out, due ones included. */
static void meddle(struct item *it)
{
	unsigned i;

	(void)it;
	for (i = 0; i < 3; i++) {
		struct item *other = &items[dice(TIMERS)];

		if (dice(2) == 0)
			unset(other);
		else
			set(other, clock_now + 1 + (int64_t)dice(50));
	}
}

Test(timer, survives_timers_that_change_others)
{
	unsigned n;

	on_fire = meddle;
	for (n = 0; n < 2000; n++) {
		size_t i;

		for (i = 0; i < 20; i++)
			set(&items[dice(TIMERS)], clock_now + (int64_t)dice(40));
		clock_now += (int64_t)dice(40);
		run();
		check();
		for (i = 0; i < TIMERS; i++)
			cr_assert(items[i].when < 0 || items[i].when > clock_now);
	}
}

static void again(struct item *it)
{
	set(it, it == &items[0] ? 0 : clock_now);
	last_fired = -1;
}

Test(timer, a_timer_in_the_past_again_does_not_hold_the_turn)
{
	on_fire = again;
	set(&items[0], 5);
	run();
	cr_assert_eq(items[0].fired, 1);
	cr_assert_eq(engine.timers.count, 1);
	run();
	cr_assert_eq(items[0].fired, 2);
	check();
}

Test(timer, without_memory_nothing_changes)
{
	size_t i, fitted = 0;

	set(&items[0], 7);
	refuse_memory = true;
	for (i = 1; i < TIMERS; i++) {
		int rc = anyc__timer_set(&engine, &items[i].timer, (int64_t)i);

		if (rc == 0)
			items[i].when = (int64_t)i;
		fitted += rc == 0;
		cr_assert(rc == 0 || rc == -ENOMEM);
	}
	cr_assert_lt(fitted, TIMERS - 1);
	check();
	set(&items[0], 9); /* moving needs none */
	check();
	refuse_memory = false;
	set(&items[TIMERS - 1], 3);
	check();
}

Test(timer, arms_only_outside_turns_in_a_loop_and_never_when_taken_out)
{
	struct anyc__entry entry = { .library = "a loop" };

	armings = 0;
	set(&items[0], 50);
	cr_assert_eq(armings, 0, "the turn arms at its end");
	engine.turns = 0;
	set(&items[0], 40);
	cr_assert_eq(armings, 0, "a plain thread arms when it blocks");
	engine.entry = &entry;
	set(&items[1], 30);
	cr_assert_eq(armings, 1);
	set(&items[2], 60);
	cr_assert_eq(armings, 1, "it is not the earliest");
	unset(&items[1]);
	unset(&items[0]);
	cr_assert_eq(armings, 1);
	unset(&items[0]);
	check();
}

/* SPDX-License-Identifier: MIT */
/* anyc_test_shuffle(): the order of ready tasks, drawn by lot. */
#include "conform.h"

#define MANY 6

struct order {
	char text[64];
	int length, rounds;
};
struct runner {
	struct order *order;
	char name;
};

/* Notes its name once a round. */
static int note_rounds(void *arg)
{
	const struct runner *r = arg;
	struct order *o = r->order;
	int rc = 0;

	for (int i = 0; i < o->rounds && rc == 0; i++) {
		o->text[o->length++] = r->name;
		rc = anyc_checkpoint();
	}
	return rc;
}

/* The order in which `count` tasks run, round by round. */
static void run_rounds(struct order *o, int count, int rounds)
{
	struct runner runner[MANY];
	struct anyc_group g;

	memset(o, 0, sizeof *o);
	o->rounds = rounds;
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < count; i++) {
		runner[i] = (struct runner){ .order = o, .name = (char)('a' + i) };
		CHECK_OK(anyc_spawn(&g, note_rounds, &runner[i]));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(o->length, ==, count * rounds);
}

static void run_shuffled(struct order *o, uint64_t seed, int count, int rounds)
{
	anyc_test_shuffle(seed);
	run_rounds(o, count, rounds);
	anyc_test_shuffle(0);
}

ANYC_TEST(shuffle, n14_a_seed_decides)
{
	struct order plain, one, again, two;

	run_rounds(&plain, MANY, 4);
	CHECK_STR(plain.text, "abcdefabcdefabcdefabcdef");
	run_shuffled(&one, 1, MANY, 4);
	run_shuffled(&again, 1, MANY, 4);
	run_shuffled(&two, 2, MANY, 4);
	CHECK_STR(again.text, one.text);
	CHECK(strcmp(one.text, two.text) != 0);
	CHECK(strcmp(one.text, plain.text) != 0);
	run_rounds(&again, MANY, 4);
	CHECK_STR(again.text, plain.text);
}

/* Nobody is left out, and nobody runs twice while another waits. */
ANYC_TEST(shuffle, n14_each_runs_once_in_its_batch)
{
	struct order o;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		run_shuffled(&o, seed, MANY, 8);
		for (int round = 0; round < 8; round++) {
			int seen = 0;

			for (int i = 0; i < MANY; i++)
				seen |= 1 << (o.text[round * MANY + i] - 'a');
			CHECK_INT(seen, ==, (1 << MANY) - 1);
		}
	}
}

/* Of three tasks the six orders all come, about equally often. */
ANYC_TEST(shuffle, n14_every_order_comes)
{
	static const char *const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
	int seen[6] = { 0 }, known = 0;
	struct order o;

	for (uint64_t seed = 1; seed <= 600; seed++) {
		run_shuffled(&o, seed * 1000003, 3, 1);
		for (int i = 0; i < 6; i++) {
			if (strcmp(o.text, orders[i]) != 0)
				continue;
			seen[i]++;
			known++;
		}
	}
	CHECK_INT(known, ==, 600);
	for (int i = 0; i < 6; i++) {
		CHECK_INT(seen[i], >, 60);
		CHECK_INT(seen[i], <, 150);
	}
}

/* A lock is still handed on first come, first served: only who comes first is drawn by lot. */
struct locker {
	struct anyc_lock *lock;
	struct order *order;
	char name;
};
static int lock_and_note(void *arg)
{
	const struct locker *l = arg;
	int rc;

	l->order->text[l->order->length++] = l->name;
	rc = anyc_lock_acquire(l->lock);
	if (rc != 0)
		return rc;
	l->order->text[l->order->length++] = l->name;
	return anyc_lock_release(l->lock);
}

ANYC_TEST(shuffle, n14_lines_of_waiters_stay_in_order)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct anyc_lock lock = { 0 };
		struct locker locker[MANY];
		struct order o = { .length = 0 };
		struct anyc_group g;

		anyc_test_shuffle(seed);
		CHECK_OK(anyc_lock_acquire(&lock));
		anyc_group_enter(&g, NULL);
		for (int i = 0; i < MANY; i++) {
			locker[i] = (struct locker){ &lock, &o, (char)('a' + i) };
			CHECK_OK(anyc_spawn(&g, lock_and_note, &locker[i]));
		}
		SETTLE();
		CHECK_OK(anyc_lock_release(&lock));
		CHECK_OK(anyc_group_leave(&g, 0));
		anyc_test_shuffle(0);
		CHECK_INT(o.length, ==, 2 * MANY);
		CHECK(memcmp(o.text, o.text + MANY, MANY) == 0);
	}
}

static int note_on_a_new_loop(void *arg)
{
	run_rounds(arg, MANY, 2);
	return 0;
}

static void run_on_a_new_loop(struct order *o)
{
	struct host h;

	CHECK_OK(host_run_task(&h, anyc_test_row(), note_on_a_new_loop, o, "main"));
}

/* What is asked for outside of everything holds for every loop that is made later. */
ANYC_TEST_MAIN(shuffle, n14_loops_that_are_made_later, ANYC_ROWS_ALL)
{
	struct order plain, one, again;

	run_on_a_new_loop(&plain);
	CHECK_STR(plain.text, "abcdefabcdef");
	anyc_test_shuffle(5);
	run_on_a_new_loop(&one);
	run_on_a_new_loop(&again);
	CHECK_STR(again.text, one.text);
	CHECK(strcmp(one.text, plain.text) != 0);
	anyc_test_shuffle(0);
	run_on_a_new_loop(&again);
	CHECK_STR(again.text, plain.text);
}

/* A task whose time has come counts as running. */
static int sleep_a_little(void *arg)
{
	int rc = anyc_sleep(anyc_test_slow() * MS(20));

	*(bool *)arg = true;
	return rc;
}

ANYC_TEST(shuffle, a_due_timer_is_not_blocked)
{
	struct anyc_group g;
	bool woke = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_a_little, &woke));
	SETTLE();
	CHECK(!woke);
	clock_spin(anyc_test_slow() * MS(20));
	SETTLE();
	CHECK(woke);
	CHECK_OK(anyc_group_leave(&g, 0));
}

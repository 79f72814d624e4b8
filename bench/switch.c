/* SPDX-License-Identifier: MIT */
/*
 * The price of a switch: anyc's own against an empty one written by hand, and what is around it
 * when tasks give way to each other.
 */
#include <anyc/anyc.h>

#include "core/switch.h"
#include "lib/bench.h"
#include "lib/empty_switch.h"

#define STACK 65536

/* ------------------------------------------------------------------------- bare switches */

static struct anyc__context here, there;
static _Alignas(16) char stack[STACK];

static void switch_back(void *arg)
{
	(void)arg;
	for (;;)
		anyc__context_switch(&there, &here);
}

static void run_switch(void *arg, size_t n)
{
	(void)arg;
	anyc__context_make(&there, stack, stack + STACK, switch_back, NULL);
	for (; n > 0; n -= 2)
		anyc__context_switch(&here, &there);
}

/* --------------------------------------------------------------------------------- yields */

static void must(int rc)
{
	if (rc != 0)
		bench_die("%s", anyc_error_detail(rc));
}

static int give_way(void *arg)
{
	size_t n = *(const size_t *)arg;

	while (n-- > 0)
		must(anyc_checkpoint());
	return 0;
}

/* The same from another place: its returns are not those of the task before. */
static int give_way_elsewhere(void *arg)
{
	size_t n;

	for (n = *(const size_t *)arg; n > 0; n--)
		must(anyc_checkpoint());
	return 0;
}

/* n yields; the tasks are spawned and joined in between, which adds a few hundredths for 1000. */
static void yields(size_t n, size_t tasks, anyc_task_fn *first, anyc_task_fn *second)
{
	size_t each = n / tasks, i;
	struct anyc_group group;

	anyc_group_enter(&group, NULL);
	for (i = 0; i < tasks; i += 2) {
		anyc_spawn(&group, first, &each);
		anyc_spawn(&group, second, &each);
	}
	must(anyc_group_leave(&group, 0));
}

static void run_two(void *arg, size_t n)
{
	(void)arg;
	yields(n, 2, give_way, give_way);
}

static void run_two_places(void *arg, size_t n)
{
	(void)arg;
	yields(n, 2, give_way, give_way_elsewhere);
}

static void run_many(void *arg, size_t n)
{
	(void)arg;
	yields(n, 1000, give_way, give_way);
}

static int measure(void *arg)
{
	static const struct bench_case cases[] = {
		{ .name = "an empty switch by hand, ending in an indirect jump",
		  .run = empty_run_jump },
		{ .name = "the same ending in ret", .run = empty_run_ret },
		{ .name = "anyc's switch", .run = run_switch, .goal = 1.5 },
		{ .name = "yield between 2 tasks in the same code", .run = run_two },
		{ .name = "yield between 2 tasks in different code", .run = run_two_places },
		{ .name = "yield between 1000 tasks in the same code", .run = run_many },
	};

	(void)arg;
	bench_compare("switch", cases, sizeof cases / sizeof *cases);
	return 0;
}

int main(void)
{
	return anyc_run(NULL, measure, NULL) == 0 ? 0 : 1;
}

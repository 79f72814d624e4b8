/* SPDX-License-Identifier: MIT */
/*
 * The price of structure, in empty switches of the same run: tasks that are spawned and joined on
 * recycled stacks, scopes, events, locks.
 */
#include <anyc/anyc.h>

#include "lib/bench.h"
#include "lib/empty_switch.h"

#define BATCH 1000

static void must(int rc)
{
	if (rc < 0)
		bench_die("%s", anyc_error_detail(rc));
}

/* ---------------------------------------------------------------------------------- tasks */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_and_join(void *arg, size_t n)
{
	struct anyc_handle handle;
	struct anyc_spawn_options options = {.handle = &handle};
	struct anyc_group group;

	(void)arg;
	anyc_group_enter(&group, NULL);
	while (n-- > 0) {
		must(anyc_spawn_opts(&group, nothing, NULL, &options));
		must(anyc_join(&handle, NULL));
	}
	must(anyc_group_leave(&group, 0));
}

static void spawn_and_leave(void *arg, size_t n)
{
	struct anyc_group group;

	(void)arg;
	while (n-- > 0) {
		anyc_group_enter(&group, NULL);
		must(anyc_spawn(&group, nothing, NULL));
		must(anyc_group_leave(&group, 0));
	}
}

static void spawn_batches(void *arg, size_t n)
{
	struct anyc_group group;
	size_t i;

	(void)arg;
	for (; n > 0; n -= BATCH) {
		anyc_group_enter(&group, NULL);
		for (i = 0; i < BATCH; i++)
			must(anyc_spawn(&group, nothing, NULL));
		must(anyc_group_leave(&group, 0));
	}
}

static void leave_empty(void *arg, size_t n)
{
	struct anyc_group group;

	(void)arg;
	while (n-- > 0) {
		anyc_group_enter(&group, NULL);
		must(anyc_group_leave(&group, 0));
	}
}

/* --------------------------------------------------------------------------------- scopes */

static void checkpoints(void *arg, size_t n)
{
	(void)arg;
	while (n-- > 0)
		must(anyc_checkpoint());
}

static void scopes(void *arg, size_t n)
{
	struct anyc_scope scope;

	(void)arg;
	while (n-- > 0) {
		anyc_scope_enter(&scope, NULL);
		must(anyc_scope_leave(&scope, 0));
	}
}

static void deadlines(void *arg, size_t n)
{
	struct anyc_scope scope;

	(void)arg;
	while (n-- > 0) {
		anyc_scope_enter_timeout(&scope, ANYC_MINUTE);
		must(anyc_scope_leave(&scope, 0));
	}
}

/* ------------------------------------------------------------------------------ waking up */

static struct anyc_event ping, pong;
static size_t to_answer;

/* An event is set once: whoever was woken by it makes a new one of it. */
static void wait_for(struct anyc_event *event)
{
	must(anyc_event_wait(event));
	*event = (struct anyc_event){0};
}

static int answer(void *arg)
{
	(void)arg;
	for (; to_answer > 0; to_answer--) {
		wait_for(&ping);
		must(anyc_event_set(&pong));
	}
	return 0;
}

static void events(void *arg, size_t n)
{
	struct anyc_group group;

	(void)arg;
	to_answer = n / 2;
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, answer, NULL));
	for (; n > 0; n -= 2) {
		must(anyc_event_set(&ping));
		wait_for(&pong);
	}
	must(anyc_group_leave(&group, 0));
}

static void locks(void *arg, size_t n)
{
	static struct anyc_lock lock;

	(void)arg;
	while (n-- > 0) {
		must(anyc_lock_acquire(&lock));
		must(anyc_lock_release(&lock));
	}
}

static int measure(void *arg)
{
	static const struct bench_case cases[] = {
		{.name = "an empty switch by hand", .run = empty_run_jump},
		{.name = "spawn a task and join it", .run = spawn_and_join, .goal = 10},
		{.name = "spawn a task in a group of its own, and leave", .run = spawn_and_leave},
		{.name = "spawn 1000 tasks in a group, and leave; each", .run = spawn_batches},
		{.name = "enter a group and leave", .run = leave_empty},
		{.name = "checkpoint, nobody else ready", .run = checkpoints},
		{.name = "enter a scope and leave", .run = scopes},
		{.name = "enter a scope with a deadline and leave", .run = deadlines},
		{.name = "set an event; another task wakes and goes on", .run = events},
		{.name = "acquire a free lock and release it", .run = locks},
	};

	(void)arg;
	bench_compare("spawn", cases, sizeof cases / sizeof *cases);
	return 0;
}

int main(void)
{
	return anyc_run(NULL, measure, NULL) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * Arming a timer and taking it out again while 10,000 others are pending: anyc's heap, and a scope
 * with a deadline under which a task waits, against the timers of libev, libevent and libuv.
 */
#include "lib/timers.h"

#include <anyc/anyc.h>

#include "core/engine.h"
#include "lib/bench.h"

int64_t timers_delay(void)
{
	static uint32_t state = 1;

	/* Marsaglia's xorshift: the same sequence in every run. */
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return 600 * ANYC_SECOND + (int64_t)(state % 1000000) * ANYC_MILLISECOND;
}

void timers_must(bool ok, const char *what)
{
	if (!ok)
		bench_die("%s failed", what);
}

/* ----------------------------------------------------------------------------------- anyc */

static struct anyc__engine *engine;
static struct anyc_timer_ pending[TIMERS_PENDING];

static void never(struct anyc_timer_ *timer)
{
	(void)timer;
	bench_die("a timer has fired");
}

static void anyc_timers_open(void)
{
	size_t i;

	engine = anyc__task_engine(anyc__current());
	for (i = 0; i < TIMERS_PENDING; i++) {
		pending[i].fire_ = never;
		timers_must(anyc__timer_set(engine, &pending[i], anyc_now() + timers_delay()) == 0,
			    "anyc__timer_set");
	}
}

static void anyc_timers_close(void)
{
	size_t i;

	for (i = 0; i < TIMERS_PENDING; i++)
		anyc__timer_unset(engine, &pending[i]);
}

static void run_heap(void *arg, size_t n)
{
	struct anyc_timer_ timer = {.fire_ = never};
	int64_t now = anyc_now();

	(void)arg;
	while (n-- > 0) {
		timers_must(anyc__timer_set(engine, &timer, now + timers_delay()) == 0,
			    "anyc__timer_set");
		anyc__timer_unset(engine, &timer);
	}
}

/* ----------------------------------------------------- waits of a task, with and without one */

static struct anyc_event event;
static size_t to_wake;

static int wake(void *arg)
{
	(void)arg;
	for (; to_wake > 0; to_wake--) {
		anyc_event_set(&event);
		timers_must(anyc_checkpoint() == 0, "anyc_checkpoint");
	}
	return 0;
}

static void one_wait(void)
{
	event = (struct anyc_event){0};
	timers_must(anyc_event_wait(&event) == 0, "anyc_event_wait");
}

static void run_waits(size_t n, bool deadline)
{
	struct anyc_group group;
	struct anyc_scope scope;

	to_wake = n;
	anyc_group_enter(&group, NULL);
	timers_must(anyc_spawn(&group, wake, NULL) == 0, "anyc_spawn");
	while (n-- > 0) {
		if (deadline)
			anyc_scope_enter_timeout(&scope, timers_delay());
		one_wait();
		if (deadline)
			timers_must(anyc_scope_leave(&scope, 0) == 0, "anyc_scope_leave");
	}
	timers_must(anyc_group_leave(&group, 0) == 0, "a task");
}

static void run_plain_waits(void *arg, size_t n)
{
	(void)arg;
	run_waits(n, false);
}

static void run_deadlines(void *arg, size_t n)
{
	(void)arg;
	run_waits(n, true);
}

static int measure(void *arg)
{
	static const struct bench_case cases[] = {
		{ .name = "anyc: a timer of the engine", .run = run_heap },
		{ .name = "libev: ev_timer", .run = timers_ev_run },
		{ .name = "libevent: event_add with a timeout", .run = timers_event_run },
		{ .name = "libuv: uv_timer", .run = timers_uv_run },
		{ .name = "anyc: a task waits and is woken", .run = run_plain_waits },
		{ .name = "anyc: the same in a scope with a deadline",
		  .run = run_deadlines,
		  .base = 4 },
	};

	(void)arg;
	anyc_timers_open();
	timers_ev_open();
	timers_event_open();
	timers_uv_open();
	bench_compare("timers", cases, sizeof cases / sizeof *cases);
	timers_uv_close();
	timers_event_close();
	timers_ev_close();
	anyc_timers_close();
	return 0;
}

int main(void)
{
	return anyc_run(NULL, measure, NULL) == 0 ? 0 : 1;
}

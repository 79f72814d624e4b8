/* SPDX-License-Identifier: MIT */
/* libev for test_backends.c. */
#include <stdlib.h>

#include <ev.h>

#include <anyc/ev.h>

#include "seam.h"

struct timer {
	ev_timer timer;
	void (*fn)(void *arg);
	void *arg;
};

static void *make(void)
{
	return ev_loop_new(EVFLAG_AUTO);
}

static int end(void *native)
{
	ev_loop_destroy(native);
	return 0;
}

static int run(void *native)
{
	return ev_run(native, 0);
}

static void pass(void *native)
{
	(void)ev_run(native, EVRUN_NOWAIT);
}

static void once(void *native)
{
	(void)ev_run(native, EVRUN_ONCE);
}

static void halt(void *native)
{
	ev_break(native, EVBREAK_ONE);
}

static int renew(void *native)
{
	ev_loop_fork(native);
	return 0;
}

static void fire(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct timer *timer = (struct timer *)watcher;

	(void)loop;
	(void)events;
	timer->fn(timer->arg);
	free(timer);
}

static void start_timer(void *native, unsigned ms, void (*fn)(void *arg), void *arg)
{
	struct timer *timer = calloc(1, sizeof *timer);

	if (timer == NULL)
		abort();
	timer->fn = fn;
	timer->arg = arg;
	ev_timer_init(&timer->timer, fire, ms / 1000.0, 0.0);
	ev_timer_start(native, &timer->timer);
}

const struct native_ops seam_ev = {
	.backend = anyc_ev_backend,
	.make = make,
	.end = end,
	.run = run,
	.pass = pass,
	.once = once,
	.halt = halt,
	.renew = renew,
	.timer = start_timer,
	.nests = true,
	.soon_first = true,
	.frees_bound = true,
	.tells_freed = true,
};

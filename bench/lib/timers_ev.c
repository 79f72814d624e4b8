/* SPDX-License-Identifier: MIT */
/* Timers of libev. */
#include "timers.h"

#include <ev.h>

static struct ev_loop *loop;
static ev_timer pending[TIMERS_PENDING];

static void never(struct ev_loop *l, ev_timer *timer, int events)
{
	(void)l;
	(void)timer;
	(void)events;
	timers_must(false, "libev: waiting");
}

static void arm(ev_timer *timer)
{
	ev_timer_set(timer, (double)timers_delay() / 1e9, 0.);
	ev_timer_start(loop, timer);
}

void timers_ev_open(void)
{
	size_t i;

	loop = ev_loop_new(EVFLAG_AUTO);
	timers_must(loop != NULL, "ev_loop_new");
	for (i = 0; i < TIMERS_PENDING; i++) {
		ev_init(&pending[i], never);
		arm(&pending[i]);
	}
}

void timers_ev_run(void *arg, size_t n)
{
	ev_timer timer;

	(void)arg;
	ev_init(&timer, never);
	while (n-- > 0) {
		arm(&timer);
		ev_timer_stop(loop, &timer);
	}
}

void timers_ev_close(void)
{
	size_t i;

	for (i = 0; i < TIMERS_PENDING; i++)
		ev_timer_stop(loop, &pending[i]);
	ev_loop_destroy(loop);
}

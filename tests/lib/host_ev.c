/* SPDX-License-Identifier: MIT */
/* libev as a host. */
#include "anyc_test.h"

#include <anyc/ev.h>
#include <ev.h>
#include <errno.h>
#include <stdlib.h>

struct ev_soon {
	ev_timer timer;
	host_fn *fn;
	void *arg;
};

static int ev_host_make(struct host *h)
{
	h->native = ev_loop_new(EVFLAG_AUTO);
	return h->native != NULL ? 0 : -ENOMEM;
}

static void ev_host_run(struct host *h)
{
	ev_run(h->native, 0);
}

static void ev_host_pass(struct host *h, bool wait)
{
	ev_run(h->native, wait ? EVRUN_ONCE : EVRUN_NOWAIT);
}

static void ev_host_stop(struct host *h)
{
	ev_break(h->native, EVBREAK_ALL);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct host *h = timer->data;

	(void)loop;
	(void)events;
	h->tick_fn(h->tick_arg);
}

static void ev_host_tick(struct host *h, host_fn *fn, void *arg)
{
	ev_timer *timer = calloc(1, sizeof *timer);

	CHECK(timer != NULL);
	h->tick_fn = fn;
	h->tick_arg = arg;
	h->side = timer;
	h->ticking = true;
	ev_timer_init(timer, on_tick, 0.001, 0.001);
	timer->data = h;
	ev_now_update(h->native);
	ev_timer_start(h->native, timer);
}

static void ev_host_untick(struct host *h)
{
	if (!h->ticking)
		return;
	h->ticking = false;
	ev_timer_stop(h->native, h->side);
	free(h->side);
	h->side = NULL;
}

static int ev_host_after_fork(struct host *h)
{
	ev_loop_fork(h->native);
	return 0;
}

static void ev_host_close_handles(struct host *h)
{
	ev_host_untick(h);
	ev_run(h->native, EVRUN_NOWAIT);
}

static int ev_host_destroy(struct host *h)
{
	ev_host_close_handles(h);
	ev_loop_destroy(h->native);
	h->native = NULL;
	return 0;
}

static void ev_host_free_under(struct host *h)
{
	ev_host_untick(h);
	ev_loop_destroy(h->native);
	h->native = NULL;
}

static void on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct ev_soon *s = timer->data;
	host_fn *fn = s->fn;
	void *arg = s->arg;

	(void)loop;
	(void)events;
	free(s);
	fn(arg);
}

static int ev_host_soon(struct host *h, host_fn *fn, void *arg)
{
	struct ev_soon *s = calloc(1, sizeof *s);

	if (s == NULL)
		return -ENOMEM;
	s->fn = fn;
	s->arg = arg;
	ev_timer_init(&s->timer, on_soon, 0., 0.);
	s->timer.data = s;
	ev_timer_start(h->native, &s->timer);
	return 0;
}

const struct host_ops host_ev = {
	.row = "libev",
	.library = "libev",
	.kind = ANYC_TEST_ROW_NATIVE,
	.is_module = true,
	.nests = true,
	.make = ev_host_make,
	.backend = anyc_ev_backend,
	.run = ev_host_run,
	.pass = ev_host_pass,
	.stop = ev_host_stop,
	.tick = ev_host_tick,
	.untick = ev_host_untick,
	.after_fork = ev_host_after_fork,
	.destroy = ev_host_destroy,
	.close_handles = ev_host_close_handles,
	.free_under = ev_host_free_under,
	.soon = ev_host_soon,
};

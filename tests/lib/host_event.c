/* SPDX-License-Identifier: MIT */
/* libevent as a host.  Its loop does not run inside itself. */
#include "anyc_test.h"

#include <anyc/event.h>
#include <event2/event.h>
#include <errno.h>
#include <stdlib.h>

struct event_soon {
	host_fn *fn;
	void *arg;
};

static int event_host_make(struct host *h)
{
	h->native = event_base_new();
	return h->native != NULL ? 0 : -ENOMEM;
}

static void event_host_run(struct host *h)
{
	event_base_dispatch(h->native);
}

static void event_host_pass(struct host *h, bool wait)
{
	event_base_loop(h->native, wait ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
}

static void event_host_stop(struct host *h)
{
	event_base_loopbreak(h->native);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct host *h = arg;

	(void)fd;
	(void)what;
	h->tick_fn(h->tick_arg);
}

static void event_host_tick(struct host *h, host_fn *fn, void *arg)
{
	struct timeval ms = { .tv_usec = 1000 };

	h->tick_fn = fn;
	h->tick_arg = arg;
	h->side = event_new(h->native, -1, EV_PERSIST, on_tick, h);
	CHECK(h->side != NULL);
	h->ticking = true;
	CHECK_INT(event_add(h->side, &ms), ==, 0);
}

static void event_host_untick(struct host *h)
{
	if (!h->ticking)
		return;
	h->ticking = false;
	event_free(h->side);
	h->side = NULL;
}

static int event_host_after_fork(struct host *h)
{
	return event_reinit(h->native);
}

static void event_host_close_handles(struct host *h)
{
	event_host_untick(h);
	event_base_loop(h->native, EVLOOP_NONBLOCK);
}

static int event_host_destroy(struct host *h)
{
	event_host_close_handles(h);
	event_base_free(h->native);
	h->native = NULL;
	return 0;
}

static void event_host_free_under(struct host *h)
{
	event_host_untick(h);
	event_base_free(h->native);
	h->native = NULL;
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct event_soon s = *(struct event_soon *)arg;

	(void)fd;
	(void)what;
	free(arg);
	s.fn(s.arg);
}

static int event_host_soon(struct host *h, host_fn *fn, void *arg)
{
	struct timeval now = { 0 };
	struct event_soon *s = calloc(1, sizeof *s);

	if (s == NULL)
		return -ENOMEM;
	s->fn = fn;
	s->arg = arg;
	return event_base_once(h->native, -1, EV_TIMEOUT, on_soon, s, &now);
}

const struct host_ops host_event = {
	.row = "libevent",
	.library = "libevent",
	.kind = ANYC_TEST_ROW_NATIVE,
	.is_module = true,
	.nests = false,
	.make = event_host_make,
	.backend = anyc_event_backend,
	.run = event_host_run,
	.pass = event_host_pass,
	.stop = event_host_stop,
	.tick = event_host_tick,
	.untick = event_host_untick,
	.after_fork = event_host_after_fork,
	.destroy = event_host_destroy,
	.close_handles = event_host_close_handles,
	.free_under = event_host_free_under,
	.soon = event_host_soon,
};

/* SPDX-License-Identifier: MIT */
/* libevent for test_backends.c, which is linked to it before libev. */
#include <stdlib.h>

#include <event2/event.h>

#include <anyc/event.h>

#include "seam.h"

struct timer {
	struct event *event;
	void (*fn)(void *arg);
	void *arg;
};

static void *make(void)
{
	return event_base_new();
}

static int end(void *native)
{
	event_base_free(native);
	return 0;
}

static int run(void *native)
{
	return event_base_loop(native, 0) == 1 ? 0 : -1;
}

static void pass(void *native)
{
	(void)event_base_loop(native, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void once(void *native)
{
	(void)event_base_loop(native, EVLOOP_ONCE);
}

static void halt(void *native)
{
	(void)event_base_loopbreak(native);
}

static int renew(void *native)
{
	return event_reinit(native);
}

static void fire(evutil_socket_t fd, short what, void *arg)
{
	struct timer *timer = arg;

	(void)fd;
	(void)what;
	timer->fn(timer->arg);
	event_free(timer->event);
	free(timer);
}

static void start_timer(void *native, unsigned ms, void (*fn)(void *arg), void *arg)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (long)(ms % 1000) * 1000};
	struct timer *timer = calloc(1, sizeof *timer);

	if (timer == NULL)
		abort();
	timer->fn = fn;
	timer->arg = arg;
	timer->event = event_new(native, -1, 0, fire, timer);
	(void)event_add(timer->event, &after);
}

const struct native_ops seam_event = {
	.backend = anyc_event_backend,
	.make = make,
	.end = end,
	.run = run,
	.pass = pass,
	.once = once,
	.halt = halt,
	.renew = renew,
	.timer = start_timer,
	.checks_fd = true,
	.frees_bound = true,
};

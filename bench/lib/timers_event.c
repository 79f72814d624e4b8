/* SPDX-License-Identifier: MIT */
/* Timers of libevent. */
#include "timers.h"

#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *base;
static struct event pending[TIMERS_PENDING];

static void never(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	timers_must(false, "libevent: waiting");
}

static void init(struct event *timer)
{
	timers_must(event_assign(timer, base, -1, 0, never, NULL) == 0, "event_assign");
}

static void arm(struct event *timer)
{
	int64_t delay = timers_delay();
	struct timeval tv = {.tv_sec = delay / 1000000000,
			     .tv_usec = delay % 1000000000 / 1000};

	timers_must(event_add(timer, &tv) == 0, "event_add");
}

void timers_event_open(void)
{
	size_t i;

	/* event_base_new() might be libev's. */
	base = event_base_new_with_config(NULL);
	timers_must(base != NULL, "event_base_new_with_config");
	for (i = 0; i < TIMERS_PENDING; i++) {
		init(&pending[i]);
		arm(&pending[i]);
	}
}

void timers_event_run(void *arg, size_t n)
{
	struct event timer;

	(void)arg;
	init(&timer);
	while (n-- > 0) {
		arm(&timer);
		event_del(&timer);
	}
}

void timers_event_close(void)
{
	size_t i;

	for (i = 0; i < TIMERS_PENDING; i++)
		event_del(&pending[i]);
	event_base_free(base);
}

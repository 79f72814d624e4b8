/* SPDX-License-Identifier: MIT */
#include <event2/event.h>
#include <stdlib.h>

#include "detect_loops.h"

static void (*todo)(void);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	todo();
}

static void run(void (*fn)(void), int dispatch)
{
	struct event_base *base = event_base_new();
	struct timeval now = {0, 0};

	todo = fn;
	if (base == NULL || event_base_once(base, -1, EV_TIMEOUT, on_timer, NULL, &now) != 0)
		abort();
	if (dispatch)
		event_base_dispatch(base);
	else
		event_base_loop(base, 0);
	event_base_free(base);
}

void detect_in_event_dispatch(void (*fn)(void))
{
	run(fn, 1);
}

void detect_in_event_loop(void (*fn)(void))
{
	run(fn, 0);
}

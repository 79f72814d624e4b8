/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "detect_loops.h"

static void (*todo)(void);

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	todo();
}

static void run(void (*fn)(void), int (*compat)(void *base, int flags))
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer timer;

	if (loop == NULL)
		abort();
	todo = fn;
	memset(&timer, 0, sizeof timer);
	ev_init(&timer, on_timer);
	ev_timer_set(&timer, 0., 0.);
	ev_timer_start(loop, &timer);
	if (compat != NULL)
		compat(loop, 0);
	else
		ev_run(loop, 0);
	ev_loop_destroy(loop);
}

void detect_in_ev(void (*fn)(void))
{
	run(fn, NULL);
}

/* libev's event_base is its loop; the name alone would give libevent's function. */
void detect_in_ev_compat(void (*fn)(void))
{
	void *libev = dlopen("libev.so.4", RTLD_NOW | RTLD_NOLOAD);
	void *symbol = libev != NULL ? dlsym(libev, "event_base_loop") : NULL;
	int (*compat)(void *, int);

	if (symbol == NULL)
		abort();
	memcpy(&compat, &symbol, sizeof compat);
	run(fn, compat);
	dlclose(libev);
}

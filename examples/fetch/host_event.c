/* SPDX-License-Identifier: MIT */
/* A program on libevent that uses libfetch. */
#include <event2/event.h>

#include <anyc/anyc.h>
#include <anyc/event.h>

#include "host.h"

static struct event *timer;
static int result;

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	host_tick();
}

static void on_done(void *arg, int rc, void *copy)
{
	(void)arg;
	(void)copy;
	result = rc;
	event_free(timer);
}

int main(int argc, char **argv)
{
	static const struct timeval interval = {0, 10000};
	struct event_base *native = event_base_new();
	struct anyc_loop *loop;
	int rc = host_setup(argc, argv);

	if (rc != 0)
		return rc;
	timer = event_new(native, -1, EV_PERSIST, on_timer, NULL);
	event_add(timer, &interval);
	rc = anyc_event_attach(&loop, native);
	if (rc == 0)
		rc = anyc_loop_spawn(loop, host_task, NULL, on_done, NULL);
	if (rc != 0)
		return host_report(rc, "libevent");
	host_catch_signals();
	event_base_dispatch(native);
	rc = anyc_loop_detach(loop);
	event_base_free(native);
	return host_report(result != 0 ? result : rc, "libevent");
}

/* SPDX-License-Identifier: MIT */
/* A program on libev that uses libfetch. */
#include <ev.h>

#include <anyc/anyc.h>
#include <anyc/ev.h>

#include "host.h"

static ev_timer timer;
static int result;

static void on_timer(struct ev_loop *native, ev_timer *t, int what)
{
	(void)native;
	(void)t;
	(void)what;
	host_tick();
}

static void on_done(void *native, int rc, void *copy)
{
	(void)copy;
	result = rc;
	ev_timer_stop(native, &timer);
}

int main(int argc, char **argv)
{
	struct ev_loop *native = ev_default_loop(0);
	struct anyc_loop *loop;
	int rc = host_setup(argc, argv);

	if (rc != 0)
		return rc;
	ev_timer_init(&timer, on_timer, 0.01, 0.01);
	ev_timer_start(native, &timer);
	rc = anyc_ev_attach(&loop, native);
	if (rc == 0)
		rc = anyc_loop_spawn(loop, host_task, NULL, on_done, native);
	if (rc != 0)
		return host_report(rc, "libev");
	host_catch_signals();
	ev_run(native, 0);
	rc = anyc_loop_detach(loop);
	ev_loop_destroy(native);
	return host_report(result != 0 ? result : rc, "libev");
}

/* SPDX-License-Identifier: MIT */
/* A program on libuv that uses libfetch. */
#include <uv.h>

#include <anyc/anyc.h>
#include <anyc/uv.h>

#include "host.h"

static uv_timer_t timer;
static int result;

static void on_timer(uv_timer_t *t)
{
	(void)t;
	host_tick();
}

static void on_done(void *arg, int rc, void *copy)
{
	(void)arg;
	(void)copy;
	result = rc;
	uv_close((uv_handle_t *)&timer, NULL);
}

int main(int argc, char **argv)
{
	uv_loop_t *native = uv_default_loop();
	struct anyc_loop *loop;
	int rc = host_setup(argc, argv);

	if (rc != 0)
		return rc;
	uv_timer_init(native, &timer);
	uv_timer_start(&timer, on_timer, 10, 10);
	rc = anyc_uv_attach(&loop, native);
	if (rc == 0)
		rc = anyc_loop_spawn(loop, host_task, NULL, on_done, NULL);
	if (rc != 0)
		return host_report(rc, "libuv");
	host_catch_signals();
	uv_run(native, UV_RUN_DEFAULT);
	rc = anyc_uv_close(loop);
	return host_report(result != 0 ? result : rc, "libuv");
}

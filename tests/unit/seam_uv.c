/* SPDX-License-Identifier: MIT */
/* libuv for test_backends.c. */
#include <stdlib.h>

#include <uv.h>

#include <anyc/uv.h>

#include "seam.h"

struct timer {
	uv_timer_t timer;
	void (*fn)(void *arg);
	void *arg;
};

static void *make(void)
{
	uv_loop_t *loop = malloc(sizeof *loop);

	if (loop != NULL && uv_loop_init(loop) != 0)
		abort();
	return loop;
}

static int end(void *native)
{
	int rc = uv_loop_close(native);

	if (rc == 0)
		free(native);
	return rc;
}

static int run(void *native)
{
	return uv_run(native, UV_RUN_DEFAULT);
}

static void pass(void *native)
{
	(void)uv_run(native, UV_RUN_NOWAIT);
}

static void once(void *native)
{
	(void)uv_run(native, UV_RUN_ONCE);
}

static void halt(void *native)
{
	uv_stop(native);
}

static int renew(void *native)
{
	return uv_loop_fork(native);
}

static void free_timer(uv_handle_t *handle)
{
	free(handle);
}

static void fire(uv_timer_t *handle)
{
	struct timer *timer = (struct timer *)handle;

	timer->fn(timer->arg);
	uv_close((uv_handle_t *)handle, free_timer);
}

static void start_timer(void *native, unsigned ms, void (*fn)(void *arg), void *arg)
{
	struct timer *timer = calloc(1, sizeof *timer);

	if (timer == NULL)
		abort();
	timer->fn = fn;
	timer->arg = arg;
	(void)uv_timer_init(native, &timer->timer);
	(void)uv_timer_start(&timer->timer, fire, ms, 0);
}

static int *count_closed;

static void count(uv_handle_t *handle)
{
	(void)handle;
	++*count_closed;
}

/* One of them without a callback, as applications do. */
static void close_one(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, handle->type == UV_POLL ? NULL : count);
}

static void close_all(void *native, int *closed)
{
	count_closed = closed;
	uv_walk(native, close_one, NULL);
}

const struct native_ops seam_uv = {
	.backend = anyc_uv_backend,
	.make = make,
	.end = end,
	.run = run,
	.pass = pass,
	.once = once,
	.halt = halt,
	.renew = renew,
	.timer = start_timer,
	.close_all = close_all,
	.nests = true,
	.checks_fd = true,
};

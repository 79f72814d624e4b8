/* SPDX-License-Identifier: MIT */
/* libuv as a host. */
#include "anyc_test.h"

#include <anyc/uv.h>
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

struct uv_soon {
	uv_timer_t timer;
	host_fn *fn;
	void *arg;
};

static int uv_host_make(struct host *h)
{
	uv_loop_t *loop = calloc(1, sizeof *loop);

	if (loop == NULL)
		return -ENOMEM;
	h->native = loop;
	return uv_loop_init(loop);
}

static void uv_host_run(struct host *h)
{
	uv_run(h->native, UV_RUN_DEFAULT);
}

static void uv_host_pass(struct host *h, bool wait)
{
	uv_run(h->native, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

static void uv_host_stop(struct host *h)
{
	uv_stop(h->native);
}

static void on_tick(uv_timer_t *timer)
{
	struct host *h = timer->data;

	h->tick_fn(h->tick_arg);
}

static void uv_host_tick(struct host *h, host_fn *fn, void *arg)
{
	uv_timer_t *timer = calloc(1, sizeof *timer);

	CHECK(timer != NULL);
	h->tick_fn = fn;
	h->tick_arg = arg;
	h->side = timer;
	h->ticking = true;
	CHECK_INT(uv_timer_init(h->native, timer), ==, 0);
	timer->data = h;
	CHECK_INT(uv_timer_start(timer, on_tick, 1, 1), ==, 0);
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void uv_host_untick(struct host *h)
{
	if (!h->ticking)
		return;
	h->ticking = false;
	uv_close(h->side, free_handle);
	h->side = NULL;
}

static int uv_host_after_fork(struct host *h)
{
	return uv_loop_fork(h->native);
}

static void uv_host_close_handles(struct host *h)
{
	uv_host_untick(h);
	uv_run(h->native, UV_RUN_NOWAIT);
}

static int uv_host_destroy(struct host *h)
{
	int rc;

	uv_host_close_handles(h);
	rc = uv_loop_close(h->native);
	if (rc == 0) {
		free(h->native);
		h->native = NULL;
	}
	return rc;
}

static void close_one(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* The usual clean-up of an application: it closes our handles too. */
static void uv_host_free_under(struct host *h)
{
	uv_host_untick(h);
	uv_walk(h->native, close_one, NULL);
	while (uv_run(h->native, UV_RUN_NOWAIT) != 0)
		;
	CHECK_INT(uv_loop_close(h->native), ==, 0);
	free(h->native);
	h->native = NULL;
}

static void on_soon(uv_timer_t *timer)
{
	struct uv_soon *s = timer->data;
	host_fn *fn = s->fn;
	void *arg = s->arg;

	uv_close((uv_handle_t *)timer, free_handle);
	fn(arg);
}

static int uv_host_soon(struct host *h, host_fn *fn, void *arg)
{
	struct uv_soon *s = calloc(1, sizeof *s);

	if (s == NULL)
		return -ENOMEM;
	s->fn = fn;
	s->arg = arg;
	uv_timer_init(h->native, &s->timer);
	s->timer.data = s;
	return uv_timer_start(&s->timer, on_soon, 0, 0);
}

const struct host_ops host_uv = {
	.row = "libuv",
	.library = "libuv",
	.kind = ANYC_TEST_ROW_NATIVE,
	.is_module = true,
	.nests = true,
	.make = uv_host_make,
	.backend = anyc_uv_backend,
	.run = uv_host_run,
	.pass = uv_host_pass,
	.stop = uv_host_stop,
	.tick = uv_host_tick,
	.untick = uv_host_untick,
	.after_fork = uv_host_after_fork,
	.destroy = uv_host_destroy,
	.close_handles = uv_host_close_handles,
	.free_under = uv_host_free_under,
	.soon = uv_host_soon,
};

/* SPDX-License-Identifier: MIT */
/* Timers of libuv. */
#include "timers.h"

#include <uv.h>

static uv_loop_t loop;
static uv_timer_t pending[TIMERS_PENDING], one;

static void never(uv_timer_t *timer)
{
	(void)timer;
	timers_must(false, "libuv: waiting");
}

static void arm(uv_timer_t *timer)
{
	uint64_t ms = (uint64_t)timers_delay() / 1000000;

	timers_must(uv_timer_start(timer, never, ms, 0) == 0, "uv_timer_start");
}

void timers_uv_open(void)
{
	size_t i;

	timers_must(uv_loop_init(&loop) == 0, "uv_loop_init");
	for (i = 0; i < TIMERS_PENDING; i++) {
		uv_timer_init(&loop, &pending[i]);
		arm(&pending[i]);
	}
	uv_timer_init(&loop, &one);
}

void timers_uv_run(void *arg, size_t n)
{
	(void)arg;
	while (n-- > 0) {
		arm(&one);
		uv_timer_stop(&one);
	}
}

void timers_uv_close(void)
{
	size_t i;

	for (i = 0; i < TIMERS_PENDING; i++)
		uv_close((uv_handle_t *)&pending[i], NULL);
	uv_close((uv_handle_t *)&one, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	timers_must(uv_loop_close(&loop) == 0, "uv_loop_close");
}

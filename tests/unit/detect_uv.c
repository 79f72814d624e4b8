/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <uv.h>

#include "detect_loops.h"

static void (*todo)(void);

static void on_timer(uv_timer_t *timer)
{
	void (*fn)(void) = todo;

	uv_close((uv_handle_t *)timer, NULL);
	fn();
}

void detect_in_uv(void (*fn)(void))
{
	uv_loop_t loop;
	uv_timer_t timer;

	todo = fn;
	if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &timer) != 0)
		abort();
	uv_timer_start(&timer, on_timer, 0, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&loop) != 0)
		abort();
}

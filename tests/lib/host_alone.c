/* SPDX-License-Identifier: MIT */
/* anyc_run() without a native loop. */
#include "anyc_test.h"

#include <errno.h>
#include <stdlib.h>

struct alone_soon {
	host_fn *fn;
	void *arg;
};

static void on_post(void *arg, int status)
{
	struct alone_soon s = *(struct alone_soon *)arg;

	free(arg);
	if (status == 0)
		s.fn(s.arg);
}

static int alone_soon(struct host *h, host_fn *fn, void *arg)
{
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	struct alone_soon *s;
	int rc;

	(void)h;
	if (token == NULL)
		return -ENOMEM;
	s = calloc(1, sizeof *s);
	CHECK(s != NULL);
	s->fn = fn;
	s->arg = arg;
	rc = anyc_token_post(token, on_post, s);
	if (rc != 0)
		free(s);
	anyc_token_unref(token);
	return rc;
}

static int alone_run_task(struct host *h, anyc_task_fn *fn, void *arg)
{
	(void)h;
	return anyc_run(NULL, fn, arg);
}

const struct host_ops host_alone = {
	.row = "anyc",
	.library = "anyc",
	.kind = ANYC_TEST_ROW_LOOP,
	.soon = alone_soon,
	.run_task = alone_run_task,
};

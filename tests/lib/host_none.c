/* SPDX-License-Identifier: MIT */
/* No loop: the task is the implicit root of a plain thread. */
#include "anyc_test.h"

static int none_run_task(struct host *h, anyc_task_fn *fn, void *arg)
{
	int rc = fn(arg), rc2;

	(void)h;
	rc2 = anyc_thread_done();
	return rc2 != 0 ? rc2 : rc;
}

const struct host_ops host_none = {
	.row = "none",
	.run_task = none_run_task,
};

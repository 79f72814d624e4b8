/* SPDX-License-Identifier: MIT */
/* Waiting until all others wait: turn.c wakes this line when nothing is ready. */
#include <anyc/testing.h>

#include "engine.h"

int anyc_wait_all_blocked(void)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	return rc != 0 ? rc
		       : anyc__waiters_wait(&t->engine->blocked, t, NULL, "all others to wait");
}

/* SPDX-License-Identifier: MIT */
/* Has so many tasks at a time that their stacks need several slabs; for run_under_valgrind. */
#include <anyc/anyc.h>

#define TASKS 2000 /* of 256 KiB: some 500 MiB of addresses */

static int wait_for_others(void *arg)
{
	return anyc_event_wait(arg);
}

static int run(void *arg)
{
	struct anyc_event all = {{0, 0, 0}, false, {0}, {0, 0}};
	struct anyc_group g;
	int i, rc = 0;

	(void)arg;
	anyc_group_enter(&g, NULL);
	for (i = 0; i < TASKS && rc == 0; i++)
		rc = anyc_spawn(&g, wait_for_others, &all);
	if (rc == 0)
		rc = anyc_checkpoint();
	anyc_event_set(&all);
	return anyc_group_leave(&g, rc);
}

int main(void)
{
	return anyc_run(NULL, run, NULL) == 0 ? 0 : 1;
}

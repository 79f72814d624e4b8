/* SPDX-License-Identifier: MIT */
/* pkg-config: anyc */
/* A plain C11 program: a group with a deadline, blocking and under anyc_run(). */
#include <anyc/anyc.h>

static int napper(void *arg)
{
	(void)arg;
	return anyc_sleep(ANYC_HOUR);
}

static int work(void *arg)
{
	struct anyc_group_options limit = {.timeout = ANYC_MILLISECOND};
	struct anyc_group group;

	(void)arg;
	anyc_group_enter(&group, &limit);
	ANYC_IGNORE(anyc_spawn(&group, napper, NULL));
	return anyc_group_leave(&group, 0);
}

int main(void)
{
	return work(NULL) == ANYC_ETIMEDOUT && anyc_run(NULL, work, NULL) == ANYC_ETIMEDOUT ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* Clocks for tests; nothing in here sleeps. */
#include "anyc_test.h"
#include "clock.h"

#include <anyc/sim.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * ANYC_SECOND + ts.tv_nsec;
}

int64_t clock_now(void)
{
	return anyc_now();
}

int64_t clock_cpu(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_spin(int64_t ns)
{
	struct anyc_loop *loop = anyc_current_loop();
	int64_t end = clock_now() + ns;

	if (loop != NULL && strcmp(anyc_loop_library(loop), "sim") == 0)
		CHECK_OK(anyc_sim_advance(anyc_loop_native(loop), ns));
	while (clock_now() < end)
		;
}

void clock_check_(const char *file, unsigned line, int64_t since, int64_t least, int64_t most)
{
	int64_t took = clock_now() - since;
	int64_t slack = anyc_test_slow() * MS(250);

	if (took < least)
		anyc_test_fail(file, line, "took %lld us, less than %lld us",
			       (long long)took / 1000, (long long)least / 1000);
	if (took > most + slack)
		anyc_test_fail(file, line, "took %lld us, more than %lld us",
			       (long long)took / 1000, (long long)(most + slack) / 1000);
}

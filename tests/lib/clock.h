/* SPDX-License-Identifier: MIT */
/*
 * How long something took.  Never early is exact; not too late allows for a machine that does
 * other things: ANYC_TEST_SLOW times a quarter of a second more than asked.
 */
#ifndef ANYC_TEST_CLOCK_H
#define ANYC_TEST_CLOCK_H

#include <stdint.h>

#include <anyc/time.h>

#define MS(n) ((int64_t)(n) * ANYC_MILLISECOND)

/* The clock of the loop that runs the caller: CLOCK_MONOTONIC, but on a sim. */
int64_t clock_now(void);
/* CPU time of this process, user and system. */
int64_t clock_cpu(void);
/* Works without waiting until ns have passed; on a sim, makes them pass. */
void clock_spin(int64_t ns);
void clock_check_(const char *file, unsigned line, int64_t since, int64_t least, int64_t most);
/* Since `since` at least `least` have passed, and not much more than `most`. */
#define CHECK_TOOK(since, least, most) clock_check_(__FILE__, __LINE__, (since), (least), (most))

#endif

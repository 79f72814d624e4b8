/* SPDX-License-Identifier: MIT */
/* Time is int64_t nanoseconds everywhere: durations, and points on the loop's monotonic clock. */
#ifndef ANYC_TIME_H
#define ANYC_TIME_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

#define ANYC_NANOSECOND  INT64_C(1)
#define ANYC_MICROSECOND INT64_C(1000)
#define ANYC_MILLISECOND INT64_C(1000000)
#define ANYC_SECOND      INT64_C(1000000000)
#define ANYC_MINUTE      (60 * ANYC_SECOND)
#define ANYC_HOUR        (60 * ANYC_MINUTE)
/* As a duration or a deadline: never. */
#define ANYC_FOREVER     INT64_MAX

/*
 * Now, on the clock of the current loop (CLOCK_MONOTONIC, unless the loop has a clock of its
 * own); in a thread without a loop, CLOCK_MONOTONIC.  Never cached.  Any thread.
 */
ANYC_API int64_t anyc_now(void);

ANYC_END_DECLS
#endif

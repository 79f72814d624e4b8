/* SPDX-License-Identifier: MIT */
/* One file for each loop: libev's and libevent's headers do not compile in one. */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMERS_PENDING 10000

/* Some time from ten minutes on, in ns: nothing fires while it is measured. */
int64_t timers_delay(void);
/* Ends the process if not. */
void timers_must(bool ok, const char *what);

/* Makes a loop with TIMERS_PENDING timers; arms one more and takes it out, n times. */
void timers_ev_open(void);
void timers_ev_run(void *arg, size_t n);
void timers_ev_close(void);
void timers_event_open(void);
void timers_event_run(void *arg, size_t n);
void timers_event_close(void);
void timers_uv_open(void);
void timers_uv_run(void *arg, size_t n);
void timers_uv_close(void);

#endif

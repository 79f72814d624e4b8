/* SPDX-License-Identifier: MIT */
/* Runs a function inside a callback of a real loop.  One file for each: their headers clash. */
#ifndef DETECT_LOOPS_H
#define DETECT_LOOPS_H

void detect_in_uv(void (*fn)(void));
void detect_in_event_dispatch(void (*fn)(void)); /* event_base_dispatch() */
void detect_in_event_loop(void (*fn)(void));     /* event_base_loop() */
void detect_in_ev(void (*fn)(void));
void detect_in_ev_compat(void (*fn)(void)); /* libev's own event_base_loop() */

#endif

/* SPDX-License-Identifier: MIT */
/*
 * An allocator for anyc that fails the n-th allocation, once or from then on, and the sweep over
 * every n until nothing fails any more: it needs no list of places.
 */
#ifndef ANYC_TEST_ALLOC_FAULT_H
#define ANYC_TEST_ALLOC_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Before anyc has allocated anything; and back again, when all has been freed. */
void fault_install(void);
void fault_remove(void);
/* Fails the n-th allocation from now, counted from 0. */
void fault_arm(unsigned long n, bool forever);
/* Ends it; whether it came so far. */
bool fault_disarm(void);
/* Blocks that live, counted here. */
size_t fault_outstanding(void);

/* Called from main; 0, or the error that came out of it.  Everything it made is gone again. */
typedef int fault_scenario(void *arg);
/*
 * Runs the scenario with the 0th, 1st, 2nd... allocation failing, once and forever, until it runs
 * through.  Each result must be 0, -ENOMEM, or in allowed (ended by 0; or NULL), and nothing may
 * be left.  Returns the number of points.
 */
unsigned long anyc_fault_sweep(fault_scenario *scenario, void *arg, const int *allowed);

#endif

/* SPDX-License-Identifier: MIT */
/* For authors of tests. */
#ifndef ANYC_TESTING_H
#define ANYC_TESTING_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/*
 * Waits until every other task of the loop waits for something; exact, and without polling.  A
 * task that was cancelled or woken and has not run yet counts as running.
 *   checkpoint  yes     errors  ANYC_ECANCELED
 */
ANYC_API ANYC_MUST_CHECK int anyc_wait_all_blocked(void);

/*
 * Has ready tasks run in an order drawn by lot: on the current loop from now on, and on every loop
 * and plain thread's root of this process that is made later, each drawing from the seed anew.
 * What became ready while one batch ran makes the next: all of a batch run before any of the next.
 * 0: in the order they became ready, which is what ever else is promised.
 * Not a checkpoint.  Any thread.
 */
ANYC_API void anyc_test_shuffle(uint64_t seed);

ANYC_END_DECLS
#endif

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

ANYC_END_DECLS
#endif

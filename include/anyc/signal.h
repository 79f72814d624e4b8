/* SPDX-License-Identifier: MIT */
/* Waiting for signals, without taking them from the host loop or its own handlers. */
#ifndef ANYC_SIGNAL_H
#define ANYC_SIGNAL_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/*
 * Waits for the next of count signals and returns its number.  From the first call on the
 * process's handler for these signals is anyc's; signals that come between two calls are kept,
 * one of each.  anyc_signal_restore() puts the earlier handlers back.
 *   checkpoint  yes     cancelled  no signal was taken
 *   errors  ANYC_ECANCELED, ANYC_EINVAL (none, or one that cannot be caught), -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_signal_wait(const int *signals, size_t count);
/* Puts back the handlers that anyc_signal_wait() replaced, and raises what was kept unheard. */
ANYC_API void anyc_signal_restore(const int *signals, size_t count);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/* libev: run anyc's tasks on a loop that the application has.  Link with anyc-ev. */
#ifndef ANYC_EV_H
#define ANYC_EV_H

#include <anyc/base.h>
#include <anyc/loop.h>

ANYC_BEGIN_DECLS

struct ev_loop;

/* The backend, for anyc_loop_attach() and, in static programs, anyc_backend_register(). */
ANYC_API const struct anyc_backend *anyc_ev_backend(void);

/*
 * Attaches a loop that libev runs: see anyc_loop_attach().  The loop stays the caller's.
 */
ANYC_INLINE ANYC_MUST_CHECK int anyc_ev_attach(struct anyc_loop **out, struct ev_loop *native)
{
	return anyc_loop_attach(out, anyc_ev_backend(), native);
}

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/* libevent: run anyc's tasks on a loop that the application has.  Link with anyc-event. */
#ifndef ANYC_EVENT_H
#define ANYC_EVENT_H

#include <anyc/base.h>
#include <anyc/loop.h>

ANYC_BEGIN_DECLS

struct event_base;

/* The backend, for anyc_loop_attach() and, in static programs, anyc_backend_register(). */
ANYC_API const struct anyc_backend *anyc_event_backend(void);

/*
 * Attaches a loop that libevent runs: see anyc_loop_attach().  The loop stays the caller's.
 */
ANYC_INLINE ANYC_MUST_CHECK int anyc_event_attach(struct anyc_loop **out, struct event_base *native)
{
	return anyc_loop_attach(out, anyc_event_backend(), native);
}

ANYC_END_DECLS
#endif

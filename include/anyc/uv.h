/* SPDX-License-Identifier: MIT */
/* libuv: run anyc's tasks on a loop that the application has.  Link with anyc-uv. */
#ifndef ANYC_UV_H
#define ANYC_UV_H

#include <anyc/base.h>
#include <anyc/loop.h>

ANYC_BEGIN_DECLS

struct uv_loop_s;

/* The backend, for anyc_loop_attach() and, in static programs, anyc_backend_register(). */
ANYC_API const struct anyc_backend *anyc_uv_backend(void);

/*
 * Attaches a loop that libuv runs: see anyc_loop_attach().  The loop stays the caller's.
 */
ANYC_INLINE ANYC_MUST_CHECK int anyc_uv_attach(struct anyc_loop **out, struct uv_loop_s *native)
{
	return anyc_loop_attach(out, anyc_uv_backend(), native);
}

/* Detaches, lets the loop turn without waiting, and closes it: see anyc_loop_close(). */
ANYC_INLINE int anyc_uv_close(struct anyc_loop *loop)
{
	return anyc_loop_close(loop);
}

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/* The paths that UNIX sockets are bound to. */
#ifndef ANYC__NET_UNIX_PATH_H
#define ANYC__NET_UNIX_PATH_H

#include "address.h"

/* A path where a socket of ours stands. */
struct anyc__bound_path;
/*
 * The address of a path, or of an abstract name (a leading NUL); length 0: it ends at its NUL.
 * ANYC_EINVAL with a sentence that begins with call.
 */
int anyc__unix_address(struct anyc_address *out, const char *path, size_t length,
		       const char *call);
/*
 * Binds: a socket that stands at the path is removed before, whatever else does is not; mode 0
 * leaves the permissions to the umask.  *out is NULL for an abstract name.  -errno; nothing is
 * left at the path then.
 */
int anyc__unix_bind(struct anyc__bound_path **out, int fd, const struct anyc_address *a,
		    unsigned mode);
/* Removes the path if it is still the same socket, unless in a forked child, and frees it.
 * NULL-safe. */
void anyc__bound_path_remove(struct anyc__bound_path *p);

#endif

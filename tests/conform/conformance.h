/* SPDX-License-Identifier: MIT */
/* The one host of anyc-conformance: loops of the backend that it was given. */
#ifndef ANYC_CONFORMANCE_H
#define ANYC_CONFORMANCE_H

#include <stddef.h>

/* Opens a backend by its name or its module's file, and makes it the one row: its name.  NULL: it
 * cannot be, and why says why. */
const char *conformance_open(const char *backend, char *why, size_t size);

#endif

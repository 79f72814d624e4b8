/* SPDX-License-Identifier: MIT */
/* Text that is put together in a buffer of the caller's, counted and cut as by snprintf. */
#ifndef ANYC__TEXT_H
#define ANYC__TEXT_H

#include <stddef.h>

#include <anyc/base.h>

struct anyc__text {
	char *buf;
	size_t size, length; /* length: what it would be with room for all */
};
void anyc__say(struct anyc__text *t, const char *format, ...) ANYC_PRINTF(2, 3);

#endif

/* SPDX-License-Identifier: MIT */
/* Text in a buffer of the caller's. */
#include <stdarg.h>
#include <stdio.h>

#include "text.h"

void anyc__say(struct anyc__text *t, const char *format, ...)
{
	bool room = t->length < t->size;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(room ? t->buf + t->length : NULL, room ? t->size - t->length : 0, format,
		      args);
	va_end(args);
	if (n > 0)
		t->length += (size_t)n;
}

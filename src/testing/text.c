/* SPDX-License-Identifier: MIT */
/* Messages in buffers of a fixed size, and the sentence of a misuse. */
#include "kit.h"

#include <stdio.h>

#include <anyc/error.h>

int anyc__kit_misuse(int rc, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	anyc_report(rc, "%s", text);
	return anyc_fail(rc, 0, "%s", text);
}

void anyc__text_add_va(struct anyc__text *t, const char *format, va_list args)
{
	int n = vsnprintf(t->at, t->room, format, args);
	size_t added = n > 0 ? (size_t)n : 0;

	if (added >= t->room)
		added = t->room > 0 ? t->room - 1 : 0;
	t->at += added;
	t->room -= added;
}

void anyc__text_add(struct anyc__text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	anyc__text_add_va(t, format, args);
	va_end(args);
}

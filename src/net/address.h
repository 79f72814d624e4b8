/* SPDX-License-Identifier: MIT */
/* Addresses, without sentences; for net's own files. */
#ifndef ANYC__NET_ADDRESS_H
#define ANYC__NET_ADDRESS_H

#include <anyc/net.h>

#include "calls.h"

/* Whether text is a literal; out is zeroed if not. */
bool anyc__address_literal(struct anyc_address *out, const char *text, unsigned port);
/* The wildcard or the loopback address of AF_INET or AF_INET6. */
void anyc__address_any(struct anyc_address *out, int family, bool loopback, unsigned port);
void anyc__address_set_port(struct anyc_address *a, unsigned port);

/* An address in a sentence. */
struct anyc__address_text {
	char text[80];
};
static inline const char *anyc__address_text(struct anyc__address_text *t,
					     const struct anyc_address *a)
{
	anyc_address_format(a, t->text, sizeof t->text);
	return t->text;
}

#endif

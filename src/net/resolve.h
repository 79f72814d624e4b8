/* SPDX-License-Identifier: MIT */
/* Resolving, for connect and listen. */
#ifndef ANYC__NET_RESOLVE_H
#define ANYC__NET_RESOLVE_H

#include "address.h"

/*
 * Resolves what needs no look-up: literals, localhost and no host, with a numeric port.  Neither
 * waits nor is a checkpoint.  ANYC_EWOULDBLOCK, without a sentence: a look-up is needed.
 */
int anyc__resolve_now(struct anyc_addresses *out, const char *host, const char *service,
		      const struct anyc_resolve_options *options);

/* The code for an EAI_ number of the C library's. */
int anyc__gai_code(int gai, int os_errno);

#endif

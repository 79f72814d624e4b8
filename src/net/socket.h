/* SPDX-License-Identifier: MIT */
/* What sockets of every kind share: how a call begins, waits and ends; names; being adopted. */
#ifndef ANYC__NET_SOCKET_H
#define ANYC__NET_SOCKET_H

#include "address.h"
#include "core/fd.h"

/* For a caller that does not wait, in a task or outside: 0, or what anyc__fd_check() says. */
int anyc__socket_check_nowait(const struct anyc__fd *f);

/* What every operation begins with; *t is not set with ANYC_NOWAIT. */
static inline int anyc__socket_begin(const struct anyc__fd *f, unsigned flags,
				     struct anyc_task **t)
{
	int rc;

	if (flags & ANYC_NOWAIT)
		return anyc__socket_check_nowait(f);
	rc = anyc__enter(t);
	return rc != 0 ? rc : anyc__fd_check(f, *t);
}

static inline void anyc__socket_end(struct anyc_task *t, unsigned flags, size_t moved)
{
	if (flags & ANYC_NOWAIT)
		return;
	anyc__charge(t, moved);
	anyc__yield(t);
}

/* What getsockname(2) or getpeername(2) says.  -errno */
int anyc__socket_local(int fd, struct anyc_address *out);
int anyc__socket_remote(int fd, struct anyc_address *out);

/* An integer option of SOL_SOCKET, or -errno. */
int anyc__socket_option(int fd, int name);

/* Refusals of adopting, with their sentences. */
int anyc__not_adopted(int fd, const char *why);
#define ANYC__IS_WAITED_FOR "a task waits for it with anyc_wait_readable() or its sister"
int anyc__not_adopted_for(int fd, int rc);
/* 0 for a socket of this type (SOCK_STREAM or SOCK_DGRAM) of IP or of UNIX; or a refusal. */
int anyc__adopt_check(int fd, bool of_unix, int type);
/* Sets O_NONBLOCK, but not on standard descriptors (rule 18); *flags is what they were. */
int anyc__set_nonblocking(int fd, int *flags);

#endif

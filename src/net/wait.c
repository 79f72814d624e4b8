/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors of the caller's: the public names of what core/fd.c does. */
#include <anyc/net.h>

#include "core/fd.h"

static int wait_for(int fd, enum anyc__direction d)
{
	int rc = anyc__fd_wait_borrowed(fd, d);

	if (rc == ANYC_ECLOSED)
		return anyc_fail(ANYC_ECLOSED, 0,
				 "descriptor %d: anyc_notify_closing() ended the wait", fd);
	return rc;
}

int anyc_wait_readable(int fd)
{
	return wait_for(fd, ANYC__READ);
}

int anyc_wait_writable(int fd)
{
	return wait_for(fd, ANYC__WRITE);
}

void anyc_notify_closing(int fd)
{
	anyc__fd_notify_closing(fd);
}

/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors of the caller's: the public names of what core/fd.c does. */
#include <anyc/net.h>

#include "core/fd.h"

int anyc_wait_readable(int fd)
{
	return anyc__fd_wait_borrowed(fd, ANYC__READ);
}

int anyc_wait_writable(int fd)
{
	return anyc__fd_wait_borrowed(fd, ANYC__WRITE);
}

void anyc_notify_closing(int fd)
{
	anyc__fd_notify_closing(fd);
}

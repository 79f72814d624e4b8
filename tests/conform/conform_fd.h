/* SPDX-License-Identifier: MIT */
/* Tasks that wait for descriptors of the caller's. */
#ifndef ANYC_TEST_CONFORM_FD_H
#define ANYC_TEST_CONFORM_FD_H

#include "conform_net.h"

struct fd_waiter {
	int fd;
	bool write;
	struct anyc_scope scope;
	int rc;
	char detail[80];
	bool done;
};

UNUSED static int wait_on(void *arg)
{
	struct fd_waiter *w = arg;

	anyc_scope_enter(&w->scope, NULL);
	w->rc = w->write ? anyc_wait_writable(w->fd) : anyc_wait_readable(w->fd);
	anyc_scope_leave(&w->scope, w->rc);
	snprintf(w->detail, sizeof w->detail, "%s", anyc_error_detail(w->rc));
	w->done = true;
	return 0;
}

UNUSED static void unix_pair(int pair[2])
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
}

#endif

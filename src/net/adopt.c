/* SPDX-License-Identifier: MIT */
/*
 * TCP sockets that somebody else made.
 *
 * Rules
 *  - Nothing is changed before everything was checked; after a failure the descriptor is still
 *    the caller's, and as it was.
 *  - Standard input, output and error share their flags with other processes, so O_NONBLOCK is
 *    never set on them (rule 18).  A stream does without; a listener cannot.
 *  - How far the socket was used is not known, so a short read proves nothing: ANYC__FD_STREAM.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "tcp.h"

int anyc_tcp_adopt(struct anyc_stream **out, int fd)
{
	struct anyc__tcp *c;
	struct anyc_address remote;
	int rc, flags;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	rc = anyc__adopt_check(fd, false, SOCK_STREAM);
	if (rc != 0)
		return rc;
	if (anyc__socket_option(fd, SO_ACCEPTCONN) > 0)
		return anyc__not_adopted(fd, "it is listening: anyc_tcp_adopt_listener() takes it");
	rc = anyc__socket_remote(fd, &remote);
	if (rc == -ENOTCONN)
		return anyc__not_adopted(fd, "it is not connected");
	if (rc != 0)
		return anyc__not_adopted_for(fd, rc);
	c = anyc__tcp_new();
	rc = c != NULL ? anyc__set_nonblocking(fd, &flags) : -ENOMEM;
	if (rc != 0) {
		anyc__tcp_drop(c);
		return anyc__not_adopted_for(fd, rc);
	}
	anyc__fd_init(&c->fd, fd, ANYC__FD_STREAM);
	c->remote = remote;
	*out = anyc__tcp_open(c);
	return 0;
}

int anyc_tcp_adopt_listener(struct anyc_listener **out, int fd)
{
	int rc, flags;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	rc = anyc__adopt_check(fd, false, SOCK_STREAM);
	if (rc != 0)
		return rc;
	if (anyc__socket_option(fd, SO_ACCEPTCONN) <= 0)
		return anyc__not_adopted(fd, "it is not listening");
	if (fd <= 2 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0)
		return anyc__not_adopted(fd, "it blocks, and a standard descriptor is never made "
				       "non-blocking: set O_NONBLOCK yourself");
	rc = anyc__set_nonblocking(fd, &flags);
	if (rc == 0)
		rc = anyc__tcp_listener_new(out, &fd, 1);
	if (rc == 0)
		return 0;
	if (flags >= 0)
		ANYC_IGNORE(fcntl(fd, F_SETFL, flags));
	return anyc__not_adopted_for(fd, rc);
}

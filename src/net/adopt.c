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
#include <netinet/in.h>
#include <sys/socket.h>

#include "tcp.h"

static int option_of(int fd, int name)
{
	int value = 0;
	socklen_t length = sizeof value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -errno;
}

static int not_adopted(int fd, const char *why)
{
	return anyc_fail(ANYC_EINVAL, 0, "adopt descriptor %d: %s", fd, why);
}

static int not_adopted_for(int fd, int rc)
{
	struct anyc__words w;

	return anyc_fail(rc, -rc, "adopt descriptor %d: %s", fd, anyc__words(&w, rc));
}

/* 0 for a socket of TCP. */
static int check_tcp(int fd)
{
	int type = option_of(fd, SO_TYPE), domain;

	if (type == -ENOTSOCK)
		return not_adopted(fd, "it is no socket");
	if (type < 0)
		return not_adopted_for(fd, type);
	domain = option_of(fd, SO_DOMAIN);
	if (domain != AF_INET && domain != AF_INET6)
		return not_adopted(fd, "it is no socket of IPv4 or IPv6");
	if (type != SOCK_STREAM)
		return not_adopted(fd, "it is no stream socket");
	if (option_of(fd, SO_PROTOCOL) != IPPROTO_TCP)
		return not_adopted(fd, "its protocol is not TCP");
	return 0;
}

/* *flags is what they were. */
static int set_nonblocking(int fd, int *flags)
{
	*flags = fcntl(fd, F_GETFL);
	if (*flags < 0)
		return -errno;
	if ((*flags & O_NONBLOCK) != 0 || fd <= 2)
		return 0;
	return fcntl(fd, F_SETFL, *flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

int anyc_tcp_adopt(struct anyc_stream **out, int fd)
{
	struct anyc__tcp *c;
	struct anyc_address remote;
	int rc, flags;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	rc = check_tcp(fd);
	if (rc != 0)
		return rc;
	if (option_of(fd, SO_ACCEPTCONN) > 0)
		return not_adopted(fd, "it is listening: anyc_tcp_adopt_listener() takes it");
	rc = anyc__tcp_remote(fd, &remote);
	if (rc == -ENOTCONN)
		return not_adopted(fd, "it is not connected");
	if (rc != 0)
		return not_adopted_for(fd, rc);
	c = anyc__tcp_new();
	rc = c != NULL ? set_nonblocking(fd, &flags) : -ENOMEM;
	if (rc != 0) {
		anyc__tcp_drop(c);
		return not_adopted_for(fd, rc);
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
	rc = check_tcp(fd);
	if (rc != 0)
		return rc;
	if (option_of(fd, SO_ACCEPTCONN) <= 0)
		return not_adopted(fd, "it is not listening");
	if (fd <= 2 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0)
		return not_adopted(fd, "it blocks, and a standard descriptor is never made "
				       "non-blocking: set O_NONBLOCK yourself");
	rc = set_nonblocking(fd, &flags);
	if (rc == 0)
		rc = anyc__tcp_listener_new(out, &fd, 1);
	if (rc == 0)
		return 0;
	if (flags >= 0)
		ANYC_IGNORE(fcntl(fd, F_SETFL, flags));
	return not_adopted_for(fd, rc);
}

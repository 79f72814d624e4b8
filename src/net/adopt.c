/* SPDX-License-Identifier: MIT */
/*
 * Sockets that somebody else made.
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

#include <anyc/unix.h>

#include "connection.h"
#include "datagram.h"

static int adopt_stream(struct anyc_stream **out, int fd, bool of_unix)
{
	struct anyc_address remote;
	struct anyc__connection *c;
	int rc, flags;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	rc = anyc__adopt_check(fd, of_unix, SOCK_STREAM);
	if (rc != 0)
		return rc;
	if (anyc__socket_option(fd, SO_ACCEPTCONN) > 0)
		return anyc__not_adopted(
			fd, of_unix ? "it is listening: anyc_unix_adopt_listener() takes it" :
				      "it is listening: anyc_tcp_adopt_listener() takes it");
	rc = anyc__socket_remote(fd, &remote);
	if (rc == -ENOTCONN)
		return anyc__not_adopted(fd, "it is not connected");
	if (rc != 0)
		return anyc__not_adopted_for(fd, rc);
	c = anyc__connection_new();
	rc = c != NULL ? anyc__set_nonblocking(fd, &flags) : -ENOMEM;
	if (rc != 0) {
		anyc__connection_drop(c);
		return anyc__not_adopted_for(fd, rc);
	}
	anyc__fd_init(&c->fd, fd, ANYC__FD_STREAM);
	c->remote = remote;
	*out = anyc__connection_open(c, of_unix);
	return 0;
}

static int adopt_listener(struct anyc_listener **out, int fd, bool of_unix)
{
	int rc, flags;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	rc = anyc__adopt_check(fd, of_unix, SOCK_STREAM);
	if (rc != 0)
		return rc;
	if (anyc__socket_option(fd, SO_ACCEPTCONN) <= 0)
		return anyc__not_adopted(fd, "it is not listening");
	if (fd <= 2 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0)
		return anyc__not_adopted(fd, "it blocks, and a standard descriptor is never made "
					     "non-blocking: set O_NONBLOCK yourself");
	rc = anyc__set_nonblocking(fd, &flags);
	if (rc == 0)
		rc = anyc__socket_listener_new(out, &fd, 1, of_unix, NULL);
	if (rc == 0)
		return 0;
	if (flags >= 0)
		ANYC_IGNORE(fcntl(fd, F_SETFL, flags));
	return anyc__not_adopted_for(fd, rc);
}

static int adopt_datagram(struct anyc_datagram **out, int fd, bool of_unix)
{
	struct anyc_address local;
	int rc, flags;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	rc = anyc__adopt_check(fd, of_unix, SOCK_DGRAM);
	if (rc != 0)
		return rc;
	rc = anyc__socket_local(fd, &local);
	if (rc == 0 && !of_unix && anyc_address_port(&local) == 0)
		return anyc__not_adopted(fd, "it is not bound");
	if (rc == 0)
		rc = anyc__datagram_new(out, fd, of_unix);
	if (rc != 0)
		return anyc__not_adopted_for(fd, rc);
	rc = anyc__set_nonblocking(fd, &flags);
	if (rc == 0) {
		(*out)->coalesces = !of_unix && anyc__datagram_coalesces(fd);
		return 0;
	}
	anyc__free(*out);
	*out = NULL;
	return anyc__not_adopted_for(fd, rc);
}

int anyc_tcp_adopt(struct anyc_stream **out, int fd)
{
	return adopt_stream(out, fd, false);
}

int anyc_tcp_adopt_listener(struct anyc_listener **out, int fd)
{
	return adopt_listener(out, fd, false);
}

int anyc_udp_adopt(struct anyc_datagram **out, int fd)
{
	return adopt_datagram(out, fd, false);
}

int anyc_unix_adopt(struct anyc_stream **out, int fd)
{
	return adopt_stream(out, fd, true);
}

int anyc_unix_adopt_listener(struct anyc_listener **out, int fd)
{
	return adopt_listener(out, fd, true);
}

int anyc_unix_datagram_adopt(struct anyc_datagram **out, int fd)
{
	return adopt_datagram(out, fd, true);
}

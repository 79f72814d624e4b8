/* SPDX-License-Identifier: MIT */
/* What sockets of every kind share; see socket.h. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "socket.h"

int anyc__socket_check_nowait(const struct anyc__fd *f)
{
	const struct anyc_task *current = anyc__current();
	int rc;

	if (current != NULL)
		return anyc__fd_check(f, current);
	if (f->engine == NULL)
		return 0;
	rc = anyc__engine_check(f->engine);
	if (rc == 0 && f->engine != anyc__current_engine())
		rc = anyc_fail(ANYC_ETHREAD, 0,
			       "descriptor %d belongs to another event loop or thread", f->fd);
	return rc;
}

/* How getsockname(2) or getpeername(2) has ended. */
static int name_of(int rc, struct anyc_address *out, const socklen_t *length)
{
	out->length = rc == 0 ? *length : 0;
	return rc == 0 ? 0 : -errno;
}

int anyc__socket_local(int fd, struct anyc_address *out)
{
	socklen_t length = sizeof out->storage;

	return name_of(getsockname(fd, (struct sockaddr *)&out->storage, &length), out, &length);
}

int anyc__socket_remote(int fd, struct anyc_address *out)
{
	socklen_t length = sizeof out->storage;

	return name_of(getpeername(fd, (struct sockaddr *)&out->storage, &length), out, &length);
}

int anyc__socket_option(int fd, int name)
{
	int value = 0;
	socklen_t length = sizeof value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -errno;
}

/* -------------------------------------------------------------------------------- adopting */

int anyc__not_adopted(int fd, const char *why)
{
	return anyc_fail(ANYC_EINVAL, 0, "adopt descriptor %d: %s", fd, why);
}

int anyc__not_adopted_for(int fd, int rc)
{
	struct anyc__words w;

	return anyc_fail(rc, -rc, "adopt descriptor %d: %s", fd, anyc__words(&w, rc));
}

static const char *wrong_protocol(int fd, int type)
{
	int protocol = anyc__socket_option(fd, SO_PROTOCOL);

	if (type == SOCK_STREAM)
		return protocol == IPPROTO_TCP ? NULL : "its protocol is not TCP";
	return protocol == IPPROTO_UDP ? NULL : "its protocol is not UDP";
}

int anyc__adopt_check(int fd, bool of_unix, int type)
{
	int has = anyc__socket_option(fd, SO_TYPE), domain;
	const char *wrong;

	if (anyc__fd_waited_for(fd))
		return anyc__not_adopted(fd, ANYC__IS_WAITED_FOR);
	if (has == -ENOTSOCK)
		return anyc__not_adopted(fd, "it is no socket");
	if (has < 0)
		return anyc__not_adopted_for(fd, has);
	domain = anyc__socket_option(fd, SO_DOMAIN);
	if (of_unix && domain != AF_UNIX)
		return anyc__not_adopted(fd, "it is no UNIX socket");
	if (!of_unix && domain != AF_INET && domain != AF_INET6)
		return anyc__not_adopted(fd, "it is no socket of IPv4 or IPv6");
	if (has != type)
		return anyc__not_adopted(fd, type == SOCK_STREAM ? "it is no stream socket" :
								   "it is no datagram socket");
	wrong = of_unix ? NULL : wrong_protocol(fd, type);
	return wrong != NULL ? anyc__not_adopted(fd, wrong) : 0;
}

int anyc__set_nonblocking(int fd, int *flags)
{
	*flags = fcntl(fd, F_GETFL);
	if (*flags < 0)
		return -errno;
	if ((*flags & O_NONBLOCK) != 0 || fd <= 2)
		return 0;
	return fcntl(fd, F_SETFL, *flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

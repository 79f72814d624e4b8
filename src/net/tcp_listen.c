/* SPDX-License-Identifier: MIT */
/*
 * The TCP listener: one socket, or one for each address.
 *
 * Rules
 *  - A task waits for one descriptor.  Of several sockets it is that of an epoll set of the
 *    listener's own, which is readable while one of them is.
 *  - accept tries until every socket says EAGAIN; the next call begins with the socket after the
 *    last that gave a connection.
 *  - The memory for a connection is there before it is taken out of the queue.
 *  - Sockets of one listener have one port.  If a free port of the first address is taken for
 *    another one, that one chooses next: a try for each address.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <anyc/backend.h>

#include "resolve.h"
#include "tcp.h"

struct tcp_listener {
	struct anyc_listener base;
	struct anyc__fd wait; /* the socket, or the epoll set of several */
	unsigned count, next;
	int fd[];
};

static struct tcp_listener *listener_of(struct anyc_listener *l)
{
	return ANYC__CONTAINER(l, struct tcp_listener, base);
}

/* ---------------------------------------------------------------------------------- accept */

static int accept_from(int listening, struct anyc_address *remote)
{
	int fd;

	do {
		remote->length = sizeof remote->storage;
		fd = accept4(listening, (struct sockaddr *)&remote->storage, &remote->length,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd >= 0 ? fd : -errno;
}

/* The first connection that one of the sockets has; -EAGAIN: none has. */
static int accept_any(struct tcp_listener *l, struct anyc_address *remote)
{
	unsigned i;

	for (i = 0; i < l->count; i++) {
		int fd = accept_from(l->fd[l->next], remote);

		l->next = (l->next + 1) % l->count;
		if (fd != -EAGAIN)
			return fd;
	}
	return -EAGAIN;
}

static int fail_accept(int rc)
{
	struct anyc__words w;

	return anyc_fail(rc, -rc, "accept: %s", anyc__words(&w, rc));
}

/* The next connection's descriptor, or an error. */
static int next_connection(struct tcp_listener *l, struct anyc_task *t, struct anyc_address *remote)
{
	int rc;

	for (;;) {
		if (!anyc__fd_ready(&l->wait, ANYC__READ)) {
			rc = anyc__fd_wait(&l->wait, t, ANYC__READ, "a connection");
			if (rc == ANYC_ECLOSED || l->wait.closed)
				return anyc_fail(ANYC_ECLOSED, 0,
						 "accept: another task has closed the listener");
			if (rc != 0)
				return rc;
		}
		rc = accept_any(l, remote);
		if (rc >= 0)
			return rc;
		if (rc == -EAGAIN) {
			anyc__fd_drained(&l->wait, ANYC__READ);
		} else if (anyc__is_of_connection(rc)) {
			anyc__yield(t);
			rc = anyc__enter(&t);
			if (rc == 0 && l->wait.closed)
				rc = ANYC_ECLOSED;
			if (rc != 0)
				return rc;
		} else {
			return fail_accept(rc);
		}
	}
}

static int tcp_accept(struct anyc_listener *base, struct anyc_stream **out)
{
	struct tcp_listener *l = listener_of(base);
	struct anyc__tcp *c;
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = anyc__fd_check(&l->wait, t);
	if (rc != 0)
		return rc;
	c = anyc__tcp_new();
	if (c == NULL)
		return fail_accept(-ENOMEM);
	rc = next_connection(l, t, &c->remote);
	if (rc < 0) {
		anyc__tcp_drop(c);
		return rc;
	}
	anyc__fd_init(&c->fd, rc, ANYC__FD_TCP);
	*out = anyc__tcp_open(c);
	anyc__yield(t);
	return 0;
}

/* -------------------------------------------------------------------------------- the rest */

static int tcp_listener_close(struct anyc_listener *base, unsigned flags)
{
	struct tcp_listener *l = listener_of(base);
	unsigned i;

	(void)flags;
	anyc__fd_close(&l->wait);
	for (i = 0; l->count > 1 && i < l->count; i++)
		close(l->fd[i]);
	return 0;
}

static void tcp_listener_free(struct anyc_listener *base)
{
	anyc__free(listener_of(base));
}

static int tcp_listener_attribute(struct anyc_listener *base,
				  const struct anyc_attribute *attribute, void *out)
{
	struct tcp_listener *l = listener_of(base);

	if (attribute == &anyc_attribute_local_address)
		return anyc__socket_local(l->fd[0], out);
	if (attribute != &anyc_attribute_fd)
		return anyc_fail(ANYC_ENOATTR, 0, "a TCP listener has no %s", attribute->name);
	*(int *)out = l->fd[0];
	return 0;
}

static const struct anyc_listener_ops tcp_listener_ops = {
	.size = sizeof tcp_listener_ops,
	.name = "TCP",
	.accept = tcp_accept,
	.close = tcp_listener_close,
	.free = tcp_listener_free,
	.attribute = tcp_listener_attribute,
};

/* A descriptor that is readable while one of several is.  -errno */
static int gather(const int *fds, unsigned count)
{
	struct epoll_event any = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC);
	unsigned i;

	if (set < 0)
		return -errno;
	for (i = 0; i < count; i++) {
		if (epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &any) != 0) {
			int rc = -errno;

			close(set);
			return rc;
		}
	}
	return set;
}

int anyc__tcp_listener_new(struct anyc_listener **out, const int *fds, unsigned count)
{
	struct tcp_listener *l = anyc__alloc(sizeof *l + count * sizeof *l->fd);
	int wait = count == 1 ? fds[0] : -1;
	unsigned i;

	if (l == NULL)
		return -ENOMEM;
	if (count > 1)
		wait = gather(fds, count);
	if (wait < 0) {
		anyc__free(l);
		return wait;
	}
	anyc__fd_init(&l->wait, wait, ANYC__FD_LISTENER);
	l->count = count;
	memcpy(l->fd, fds, count * sizeof *fds);
	/* Accepted sockets inherit it. */
	for (i = 0; i < count; i++)
		anyc__tcp_no_delay(fds[i]);
	anyc_listener_init(&l->base, &tcp_listener_ops);
	*out = &l->base;
	return 0;
}

/* --------------------------------------------------------------------------- making sockets */

struct sockets {
	int *fd;
	unsigned count;
};

static void close_all(struct sockets *s)
{
	int os_errno = errno;

	while (s->count > 0)
		close(s->fd[--s->count]);
	errno = os_errno;
}

static int set_options(int fd, int family, bool v6_only, bool reuse_port)
{
	int on = 1, only = v6_only;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		return -errno;
	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0)
		return -errno;
	if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
		return -errno;
	return 0;
}

/* A listening socket, or -errno. */
static int listen_on(const struct anyc_address *a, bool v6_only,
		     const struct anyc_tcp_listen_options *o)
{
	/* The kernel takes as much as it will. */
	int backlog = o->backlog > 0 ? o->backlog : INT_MAX;
	int family = a->storage.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = set_options(fd, family, v6_only, o->reuse_port);
	if (rc == 0 && (bind(fd, (const struct sockaddr *)&a->storage, a->length) != 0 ||
			listen(fd, backlog) != 0))
		rc = -errno;
	if (rc == 0)
		return fd;
#ifndef PLANT_LEAK_FD
	close(fd);
#endif
	return rc;
}

/* This machine has no such address, or no such family: the others will do. */
static bool is_absent(int rc)
{
	return rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT;
}

/*
 * One socket for each address, the first-th first: it chooses the port if there is a choice.
 * errors  those of the last address that failed; nothing is open
 */
static int listen_on_all(struct sockets *s, const struct anyc_addresses *list, size_t first,
			 const struct anyc_tcp_listen_options *o)
{
	unsigned port = anyc_address_port(&list->list[0]);
	struct anyc_address chosen;
	int rc = 0, absent = 0;
	size_t i;

	for (i = 0; i < list->count && rc == 0; i++) {
		struct anyc_address a = list->list[(first + i) % list->count];

		anyc__address_set_port(&a, port);
		rc = listen_on(&a, true, o);
		if (rc >= 0) {
			s->fd[s->count++] = rc;
			rc = port == 0 ? anyc__socket_local(rc, &chosen) : 0;
			if (port == 0 && rc == 0)
				port = anyc_address_port(&chosen);
		} else if (is_absent(rc)) {
			absent = rc;
			rc = 0;
		}
	}
	if (rc == 0 && s->count == 0)
		rc = absent;
	if (rc != 0)
		close_all(s);
	return rc;
}

static int listen_rotating(struct sockets *s, const struct anyc_addresses *list,
			   const struct anyc_tcp_listen_options *o)
{
	bool chooses = anyc_address_port(&list->list[0]) == 0;
	size_t first = 0;
	int rc;

	do
		rc = listen_on_all(s, list, first, o);
	while (rc == -EADDRINUSE && chooses && ++first < list->count);
	return rc;
}

/* Both families on one socket where the system can, else IPv4. */
static int listen_everywhere(struct sockets *s, const struct anyc_addresses *list,
			     const struct anyc_tcp_listen_options *o)
{
	struct anyc_address a;
	unsigned port = anyc_address_port(&list->list[0]);
	int fd;

	anyc__address_any(&a, AF_INET6, false, port);
	fd = listen_on(&a, false, o);
	if (is_absent(fd) || fd == -ENOPROTOOPT) {
		anyc__address_any(&a, AF_INET, false, port);
		fd = listen_on(&a, false, o);
	}
	if (fd < 0)
		return fd;
	s->fd[s->count++] = fd;
	return 0;
}

/* ------------------------------------------------------------------------------- the call */

static int fail_listen(const char *host, const char *port, int rc)
{
	struct anyc__words w;
	bool literal6 = host != NULL && strchr(host, ':') != NULL;

	return anyc_fail(rc, -rc, "listen on %s%s%s:%s: %s", literal6 ? "[" : "",
			 host != NULL ? host : "*", literal6 ? "]" : "", port, anyc__words(&w, rc));
}

static int resolve(struct anyc_addresses *list, const char *host, const char *port,
		   const struct anyc_tcp_listen_options *o)
{
	struct anyc_resolve_options ro = { .family = o->family, .passive = true };
	int rc = anyc__resolve_now(list, host, port, &ro);

	return rc == ANYC_EWOULDBLOCK ? anyc_resolve(list, host, port, &ro) : rc;
}

static int listen_to(struct anyc_listener **out, const struct anyc_addresses *list, bool everywhere,
		     const struct anyc_tcp_listen_options *o)
{
	void *self;
	const struct anyc_net_ops *net = anyc__net(&self);
	struct sockets s = { 0 };
	int rc;

	if (net != NULL)
		return net->listen(self, out, list, o);
	s.fd = anyc__alloc(list->count * sizeof *s.fd);
	if (s.fd == NULL)
		return -ENOMEM;
	rc = everywhere ? listen_everywhere(&s, list, o) : listen_rotating(&s, list, o);
	if (rc == 0)
		rc = anyc__tcp_listener_new(out, s.fd, s.count);
	if (rc != 0)
		close_all(&s);
	anyc__free(s.fd);
	return rc;
}

int anyc_tcp_listen_sized(struct anyc_listener **out, const char *host, const char *port,
			  const struct anyc_tcp_listen_options *options, size_t size)
{
	struct anyc_tcp_listen_options o;
	struct anyc_addresses list;
	int rc;

	copy_options(&o, sizeof o, options, size);
	if (out != NULL)
		*out = NULL;
	if (out == NULL || port == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "listen: out or the port is NULL");
	if (o.backlog < 0)
		return anyc_fail(ANYC_EINVAL, 0, "listen: the backlog is negative");
	rc = resolve(&list, host, port, &o);
	if (rc != 0)
		return rc;
	rc = listen_to(out, &list, host == NULL && o.family == AF_UNSPEC, &o);
	anyc_addresses_free(&list);
	return rc != 0 ? fail_listen(host, port, rc) : 0;
}

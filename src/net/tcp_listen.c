/* SPDX-License-Identifier: MIT */
/*
 * Listening by TCP: one socket, or one for each address.
 *
 * Rule: sockets of one listener have one port.  If a free port of the first address is taken for
 * another one, that one chooses next: a try for each address.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <anyc/backend.h>

#include "connection.h"
#include "resolve.h"

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

static bool is_same(const struct anyc_address *a, const struct anyc_address *b)
{
	return a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0;
}

/* A name may have one address twice, which can be listened on once. */
static void drop_repeats(struct anyc_addresses *list)
{
	size_t i, j, kept = 0;

	for (i = 0; i < list->count; i++) {
		for (j = 0; j < kept && !is_same(&list->list[i], &list->list[j]); j++)
			continue;
		if (j == kept)
			list->list[kept++] = list->list[i];
	}
	list->count = kept;
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
		rc = anyc__socket_listener_new(out, s.fd, s.count, false, NULL);
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

	anyc__options_read(&o, sizeof o, options, size);
	if (out != NULL)
		*out = NULL;
	if (out == NULL || port == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "listen: out or the port is NULL");
	if (o.backlog < 0)
		return anyc_fail(ANYC_EINVAL, 0, "listen: the backlog is negative");
	rc = resolve(&list, host, port, &o);
	if (rc != 0)
		return rc;
	drop_repeats(&list);
	rc = listen_to(out, &list, host == NULL && o.family == AF_UNSPEC, &o);
	anyc_addresses_free(&list);
	return rc != 0 ? fail_listen(host, port, rc) : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Making UDP sockets: binding, connecting; and multicast groups.
 *
 * Rules
 *  - Of several addresses the first that can be had is taken; the error is that of the first.
 *  - After a failure nothing is open.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datagram.h"
#include "resolve.h"

static int fail(const char *what, const char *host, const char *port, int rc)
{
	struct anyc__words w;
	bool literal6 = host != NULL && strchr(host, ':') != NULL;

	return anyc_fail(rc, rc > -4096 ? -rc : 0, "%s %s%s%s:%s: %s", what, literal6 ? "[" : "",
			 host != NULL ? host : "*", literal6 ? "]" : "", port, anyc__words(&w, rc));
}

static int resolve(struct anyc_addresses *list, const char *host, const char *port, bool passive,
		   int family)
{
	struct anyc_resolve_options ro = { .family = family, .passive = passive, .datagram = true };
	int rc = anyc__resolve_now(list, host, port, &ro);

	return rc == ANYC_EWOULDBLOCK ? anyc_resolve(list, host, port, &ro) : rc;
}

/* ------------------------------------------------------------------------------ one address */

static int set_flag(int fd, int level, int name, bool on)
{
	int value = 1;

	return !on || setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

static int set_options(int fd, int family, bool v6_only, const struct anyc_udp_options *o)
{
	int only = v6_only, rc = 0;

	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0)
		return -errno;
	rc = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, o->reuse_address);
	if (rc == 0)
		rc = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, o->reuse_port);
	if (rc == 0)
		rc = set_flag(fd, SOL_SOCKET, SO_BROADCAST, o->broadcast);
	if (rc == 0 && o->coalesce)
		rc = anyc__datagram_coalesce(fd);
	return rc;
}

static int bind_to(int fd, const struct anyc_address *a)
{
	if (a == NULL)
		return 0;
	return bind(fd, (const struct sockaddr *)&a->storage, a->length) == 0 ? 0 : -errno;
}

static int connect_to(int fd, const struct anyc_address *a)
{
	int rc;

	if (a == NULL)
		return 0;
	do
		rc = connect(fd, (const struct sockaddr *)&a->storage, a->length);
	while (rc != 0 && errno == EINTR);
	return rc == 0 ? 0 : -errno;
}

/* A socket bound to local and connected to remote; either may be NULL. */
static int open_one(struct anyc_datagram **out, const struct anyc_address *local,
		    const struct anyc_address *remote, bool v6_only,
		    const struct anyc_udp_options *o)
{
	int family = (remote != NULL ? remote : local)->storage.ss_family;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	rc = set_options(fd, family, v6_only, o);
	if (rc == 0)
		rc = bind_to(fd, local);
	if (rc == 0)
		rc = connect_to(fd, remote);
	if (rc == 0)
		rc = anyc__datagram_new(out, fd, false);
	if (rc != 0)
		close(fd);
	else
		(*out)->coalesces = o->coalesce;
	return rc;
}

/* ------------------------------------------------------------------------------------ bind */

static bool is_absent(int rc)
{
	return rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT || rc == -ENOPROTOOPT;
}

static int bind_first(struct anyc_datagram **out, const struct anyc_addresses *list,
		      bool everywhere, const struct anyc_udp_options *o)
{
	struct anyc_address any;
	size_t i;
	int rc, first = 0;

	if (everywhere) {
		anyc__address_any(&any, AF_INET6, false, anyc_address_port(&list->list[0]));
		rc = open_one(out, &any, NULL, false, o);
		if (!is_absent(rc))
			return rc;
	}
	for (i = 0; i < list->count; i++) {
		rc = open_one(out, &list->list[i], NULL, true, o);
		if (rc == 0)
			return 0;
		first = first == 0 ? rc : first;
	}
	return first;
}

static const char *bad_arguments(struct anyc_datagram **out, const char *port,
				 const struct anyc_udp_options *o)
{
	if (out == NULL || port == NULL)
		return "out or the port is NULL";
	if (o->local_port > 65535)
		return "the local port is above 65535";
	return NULL;
}

int anyc_udp_bind_sized(struct anyc_datagram **out, const char *host, const char *port,
			const struct anyc_udp_options *options, size_t size)
{
	struct anyc_udp_options o;
	struct anyc_addresses list;
	const char *wrong;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	if (out != NULL)
		*out = NULL;
	wrong = bad_arguments(out, port, &o);
	if (wrong == NULL && (o.local_host != NULL || o.local_port != 0))
		wrong = "local_host and local_port are for connected sockets";
	if (wrong != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "bind: %s", wrong);
	rc = resolve(&list, host, port, true, o.family);
	if (rc != 0)
		return rc;
	rc = bind_first(out, &list, host == NULL && o.family == AF_UNSPEC, &o);
	anyc_addresses_free(&list);
	return rc != 0 ? fail("bind UDP", host, port, rc) : 0;
}

/* --------------------------------------------------------------------------------- connect */

/* What to bind to before: the first local address of the family, or NULL. */
static const struct anyc_address *local_for(const struct anyc_addresses *locals, int family)
{
	size_t i;

	for (i = 0; i < locals->count; i++)
		if (locals->list[i].storage.ss_family == family)
			return &locals->list[i];
	return NULL;
}

static int resolve_local(struct anyc_addresses *out, const struct anyc_udp_options *o)
{
	size_t i;
	int rc;

	memset(out, 0, sizeof *out);
	if (o->local_host == NULL && o->local_port == 0)
		return 0;
	rc = resolve(out, o->local_host, "0", true, o->family);
	for (i = 0; rc == 0 && i < out->count; i++)
		anyc__address_set_port(&out->list[i], o->local_port);
	return rc;
}

static int connect_first(struct anyc_datagram **out, const struct anyc_addresses *remotes,
			 const struct anyc_addresses *locals, const struct anyc_udp_options *o)
{
	int first = 0;
	size_t i;

	for (i = 0; i < remotes->count; i++) {
		const struct anyc_address *remote = &remotes->list[i];
		const struct anyc_address *local = local_for(locals, remote->storage.ss_family);
		int rc = ANYC_EAI_FAMILY;

		if (local != NULL || locals->count == 0)
			rc = open_one(out, local, remote, true, o);
		if (rc == 0)
			return 0;
		first = first == 0 ? rc : first;
	}
	return first;
}

int anyc_udp_connect_sized(struct anyc_datagram **out, const char *host, const char *port,
			   const struct anyc_udp_options *options, size_t size)
{
	struct anyc_udp_options o;
	struct anyc_addresses remotes = { 0 }, locals = { 0 };
	const char *wrong;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	if (out != NULL)
		*out = NULL;
	wrong = bad_arguments(out, port, &o);
	if (wrong == NULL && host == NULL)
		wrong = "the host is NULL";
	if (wrong != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "connect: %s", wrong);
	rc = resolve(&remotes, host, port, false, o.family);
	if (rc == 0)
		rc = resolve_local(&locals, &o);
	if (rc == 0) {
		rc = connect_first(out, &remotes, &locals, &o);
		rc = rc != 0 ? fail("connect UDP", host, port, rc) : 0;
	}
	anyc_addresses_free(&remotes);
	anyc_addresses_free(&locals);
	return rc;
}

/* ------------------------------------------------------------------------------- multicast */

/* An interface by name or number; 0: there is none. */
static unsigned interface_of(const char *text)
{
	unsigned index = if_nametoindex(text);
	char *end;
	unsigned long number;

	if (index != 0 || *text < '0' || *text > '9')
		return index;
	number = strtoul(text, &end, 10);
	return *end == '\0' && number <= UINT32_MAX ? (unsigned)number : 0;
}

static bool is_group(const struct anyc_address *a)
{
	if (a->storage.ss_family == AF_INET)
		return IN_MULTICAST(ntohl(
			((const struct sockaddr_in *)(const void *)&a->storage)->sin_addr.s_addr));
	return IN6_IS_ADDR_MULTICAST(
		&((const struct sockaddr_in6 *)(const void *)&a->storage)->sin6_addr);
}

static int read_group(struct group_req *r, const char *group, const char *interface_name,
		      const char *call)
{
	struct anyc_address a;

	memset(r, 0, sizeof *r);
	if (group == NULL || !anyc__address_literal(&a, group, 0))
		return anyc_fail(ANYC_EINVAL, 0, "%s: %s is no address", call,
				 group != NULL ? group : "NULL");
	if (!is_group(&a))
		return anyc_fail(ANYC_EINVAL, 0,
				 "%s: %s is the address of one host, not of a group", call, group);
	memcpy(&r->gr_group, &a.storage, sizeof a.storage);
	if (a.storage.ss_family == AF_INET6)
		r->gr_interface = ((const struct sockaddr_in6 *)(const void *)&a.storage)
					  ->sin6_scope_id;
	if (interface_name == NULL)
		return 0;
	r->gr_interface = interface_of(interface_name);
	if (r->gr_interface == 0)
		return anyc_fail(ANYC_EINVAL, 0, "%s %s: there is no interface %s", call, group,
				 interface_name);
	return 0;
}

/* The kernel lets a socket of IPv6 alone join a group of IPv4, of which it then hears nothing. */
static bool hears_no_ipv4(int fd)
{
	socklen_t size = sizeof(int);
	int only = 0;

	return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only != 0;
}

static int change_group(struct anyc_datagram *d, int option, const char *group,
			const char *interface_name, const char *call)
{
	struct anyc__words w;
	struct group_req r;
	int rc;

	if (d == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s: the socket is NULL", call);
	if (d->of_unix)
		return anyc_fail(ANYC_EINVAL, 0, "%s: a UNIX socket is in no group", call);
	rc = anyc__datagram_check_open(d, call);
	if (rc == 0)
		rc = read_group(&r, group, interface_name, call);
	if (rc != 0)
		return rc;
	if (r.gr_group.ss_family == AF_INET && hears_no_ipv4(d->fd.fd))
		return anyc_fail(ANYC_EINVAL, 0,
				 "%s %s: the group is of IPv4, the socket of IPv6 alone", call,
				 group);
	if (setsockopt(d->fd.fd, r.gr_group.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		       option, &r, sizeof r) == 0)
		return 0;
	rc = -errno;
	if (rc == -ENOPROTOOPT)
		return anyc_fail(ANYC_EINVAL, ENOPROTOOPT,
				 "%s %s: the group is of IPv6, the socket is not", call, group);
	return anyc_fail(rc, -rc, "%s %s: %s", call, group, anyc__words(&w, rc));
}

int anyc_udp_join(struct anyc_datagram *d, const char *group, const char *interface_name)
{
	return change_group(d, MCAST_JOIN_GROUP, group, interface_name, "join");
}

int anyc_udp_leave(struct anyc_datagram *d, const char *group, const char *interface_name)
{
	return change_group(d, MCAST_LEAVE_GROUP, group, interface_name, "leave");
}

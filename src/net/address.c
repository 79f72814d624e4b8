/* SPDX-License-Identifier: MIT */
/* Addresses of sockets as text, and the attributes that carry them. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "address.h"

const struct anyc_attribute anyc_attribute_local_address = { .name = "local_address",
							     .size = sizeof(struct anyc_address) };
const struct anyc_attribute anyc_attribute_remote_address = { .name = "remote_address",
							      .size = sizeof(struct anyc_address) };
const struct anyc_attribute anyc_attribute_fd = { .name = "fd", .size = sizeof(int) };

/* ------------------------------------------------------------------------------- format */

static size_t format_unix(const struct anyc_address *a, char *buf, size_t size)
{
	const struct sockaddr_un *un = (const void *)&a->storage;
	size_t head = offsetof(struct sockaddr_un, sun_path);
	int length = a->length > head ? (int)(a->length - head) : 0;
	bool abstract = length > 0 && un->sun_path[0] == '\0';

	if (length == 0)
		return (size_t)snprintf(buf, size, "unix:(unnamed)");
	return (size_t)snprintf(buf, size, "unix:%s%.*s", abstract ? "@" : "",
				abstract ? length - 1 : length, un->sun_path + (abstract ? 1 : 0));
}

static size_t format_inet6(const struct sockaddr_in6 *in6, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1] = "";

	inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
	if (in6->sin6_scope_id != 0) {
		scope[0] = '%';
		if (if_indextoname(in6->sin6_scope_id, scope + 1) == NULL)
			snprintf(scope, sizeof scope, "%%%u", (unsigned)in6->sin6_scope_id);
	}
	return (size_t)snprintf(buf, size, "[%s%s]:%u", text, scope, ntohs(in6->sin6_port));
}

size_t anyc_address_format(const struct anyc_address *a, char *buf, size_t size)
{
	char text[INET_ADDRSTRLEN];

	if (a == NULL)
		return (size_t)snprintf(buf, size, "no address");
	switch (a->storage.ss_family) {
	case AF_INET: {
		const struct sockaddr_in *in = (const void *)&a->storage;

		inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
		return (size_t)snprintf(buf, size, "%s:%u", text, ntohs(in->sin_port));
	}
	case AF_INET6:
		return format_inet6((const void *)&a->storage, buf, size);
	case AF_UNIX:
		return format_unix(a, buf, size);
	default:
		return (size_t)snprintf(buf, size, "an address of family %d", a->storage.ss_family);
	}
}

/* --------------------------------------------------------------------------------- ports */

unsigned anyc_address_port(const struct anyc_address *a)
{
	if (a != NULL && a->storage.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&a->storage)->sin_port);
	if (a != NULL && a->storage.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)&a->storage)->sin6_port);
	return 0;
}

void anyc__address_set_port(struct anyc_address *a, unsigned port)
{
	if (a->storage.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&a->storage)->sin_port = htons((uint16_t)port);
	else if (a->storage.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&a->storage)->sin6_port = htons((uint16_t)port);
}

/* --------------------------------------------------------------------------------- parse */

void anyc__address_any(struct anyc_address *out, int family, bool loopback, unsigned port)
{
	memset(out, 0, sizeof *out);
	out->storage.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		struct sockaddr_in *in = (void *)&out->storage;

		out->length = sizeof *in;
		in->sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY);
	} else {
		struct sockaddr_in6 *in6 = (void *)&out->storage;

		out->length = sizeof *in6;
		in6->sin6_addr = loopback ? in6addr_loopback : in6addr_any;
	}
	anyc__address_set_port(out, port);
}

/* An interface's name or number, as it stands after '%'; 0: neither. */
static unsigned scope_of(const char *text)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return if_nametoindex(text);
	number = strtoul(text, &end, 10);
	return *end == '\0' && number <= UINT32_MAX ? (unsigned)number : 0;
}

bool anyc__address_literal(struct anyc_address *out, const char *text, unsigned port)
{
	struct sockaddr_in *in = (void *)&out->storage;
	struct sockaddr_in6 *in6 = (void *)&out->storage;
	const char *percent = strchr(text, '%');
	size_t length = percent != NULL ? (size_t)(percent - text) : strlen(text);
	char bare[INET6_ADDRSTRLEN];

	memset(out, 0, sizeof *out);
	if (length >= sizeof bare)
		return false;
	memcpy(bare, text, length);
	bare[length] = '\0';
	if (percent == NULL && inet_pton(AF_INET, bare, &in->sin_addr) == 1) {
		out->storage.ss_family = AF_INET;
		out->length = sizeof *in;
	} else if (inet_pton(AF_INET6, bare, &in6->sin6_addr) == 1) {
		out->storage.ss_family = AF_INET6;
		out->length = sizeof *in6;
		if (percent != NULL && (in6->sin6_scope_id = scope_of(percent + 1)) == 0) {
			memset(out, 0, sizeof *out);
			return false;
		}
	} else {
		memset(out, 0, sizeof *out);
		return false;
	}
	anyc__address_set_port(out, port);
	return true;
}

int anyc_address_parse(struct anyc_address *out, const char *text, unsigned port)
{
	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "address: out is NULL");
	memset(out, 0, sizeof *out);
	if (text == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "address: the text is NULL");
	if (port > 65535)
		return anyc_fail(ANYC_EINVAL, 0, "address %s: port %u is above 65535", text, port);
	if (anyc__address_literal(out, text, port))
		return 0;
	if (strchr(text, '%') != NULL)
		return anyc_fail(
			ANYC_EINVAL, 0,
			"address %s: not an IPv6 address with an interface's name or number", text);
	return anyc_fail(ANYC_EINVAL, 0, "address %s: neither an IPv4 nor an IPv6 address", text);
}

/* SPDX-License-Identifier: MIT */
/* Datagram sockets for tests, and tasks that use them. */
#ifndef ANYC_TEST_CONFORM_DATAGRAM_H
#define ANYC_TEST_CONFORM_DATAGRAM_H

#include "conform_net.h"

UNUSED static struct anyc_address where_is(struct anyc_datagram *d)
{
	struct anyc_address a;

	CHECK_OK(anyc_datagram_attribute(d, &anyc_attribute_local_address, &a, sizeof a));
	return a;
}

UNUSED static int fd_of(struct anyc_datagram *d)
{
	int fd;

	CHECK_OK(anyc_datagram_attribute(d, &anyc_attribute_fd, &fd, sizeof fd));
	return fd;
}

/* One receive, in a scope of its own. */
struct datagram_receiver {
	struct anyc_datagram *socket;
	struct anyc_scope scope;
	char buf[64];
	int rc;
	bool done;
};
UNUSED static int receive_datagram(void *arg)
{
	struct datagram_receiver *r = arg;

	anyc_scope_enter(&r->scope, NULL);
	r->rc = anyc_datagram_receive(r->socket, r->buf, sizeof r->buf);
	anyc_scope_leave(&r->scope, r->rc);
	r->done = true;
	return 0;
}

/* One datagram of this text, from whomever. */
#define CHECK_DATAGRAM(d, text) check_datagram(__FILE__, __LINE__, (d), (text))
UNUSED static void check_datagram(const char *file, unsigned line, struct anyc_datagram *d,
				  const char *text)
{
	char buf[256] = "";
	int n = anyc_datagram_receive(d, buf, sizeof buf - 1);

	if (n != (int)strlen(text) || memcmp(buf, text, (size_t)n) != 0)
		anyc_test_fail(file, line, "received %d (%s): \"%s\", not \"%s\"", n,
			       n < 0 ? anyc_error_detail(n) : "a length", buf, text);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Connections for tests, and tasks that use them.  A peer that is a bare descriptor blocks. */
#ifndef ANYC_TEST_CONFORM_NET_H
#define ANYC_TEST_CONFORM_NET_H

#include "conform.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ listeners */

struct port {
	char text[8];
};

UNUSED static struct port port_of(struct anyc_listener *l)
{
	struct anyc_address a;
	struct port p;

	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &a, sizeof a));
	snprintf(p.text, sizeof p.text, "%u", anyc_address_port(&a) & 0xffffU);
	return p;
}

UNUSED static struct anyc_listener *listen_here(struct port *p)
{
	struct anyc_listener *l;

	CHECK_OK(anyc_tcp_listen(&l, "127.0.0.1", "0", NULL));
	*p = port_of(l);
	return l;
}

/* A bare listening socket on 127.0.0.1. */
UNUSED static int listen_bare(int backlog, struct anyc_address *where)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_INT(fd, >=, 0);
	CHECK_OK(anyc_address_parse(where, "127.0.0.1", 0));
	CHECK_INT(bind(fd, (struct sockaddr *)&where->storage, where->length), ==, 0);
	CHECK_INT(listen(fd, backlog), ==, 0);
	where->length = sizeof where->storage;
	CHECK_INT(getsockname(fd, (struct sockaddr *)&where->storage, &where->length), ==, 0);
	return fd;
}

/* A port on 127.0.0.1 where nobody listens: bound, so that nobody else gets it. */
UNUSED static int refusing_port(struct anyc_address *where)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_INT(fd, >=, 0);
	CHECK_OK(anyc_address_parse(where, "127.0.0.1", 0));
	CHECK_INT(bind(fd, (struct sockaddr *)&where->storage, where->length), ==, 0);
	where->length = sizeof where->storage;
	CHECK_INT(getsockname(fd, (struct sockaddr *)&where->storage, &where->length), ==, 0);
	return fd;
}

/* -------------------------------------------------------------------------------- streams */

/* Two ends of a TCP connection: one connected, one accepted. */
UNUSED static void tcp_pair(struct anyc_stream **a, struct anyc_stream **b)
{
	struct port port;
	struct anyc_listener *l = listen_here(&port);

	CHECK_OK(anyc_tcp_connect(a, "127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_listener_accept(l, b));
	anyc_listener_free(l);
}

/* How a stream came to be: what rule 31 tells apart. */
enum made { CONNECTED, ACCEPTED, ADOPTED, MADE_KINDS };

UNUSED static const char *made_name(enum made how)
{
	static const char *const names[] = { "connected", "accepted", "adopted" };

	return names[how];
}

static int bare_connect(const struct anyc_address *to)
{
	int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_INT(fd, >=, 0);
	CHECK_INT(connect(fd, (const struct sockaddr *)&to->storage, to->length), ==, 0);
	return fd;
}

/* A stream whose peer is a bare descriptor. */
UNUSED static struct anyc_stream *bare_peer(enum made how, int *peer)
{
	struct anyc_stream *s;
	struct anyc_address where;

	if (how == ACCEPTED) {
		struct port port;
		struct anyc_listener *l = listen_here(&port);

		CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &where,
						 sizeof where));
		*peer = bare_connect(&where);
		CHECK_OK(anyc_listener_accept(l, &s));
		anyc_listener_free(l);
	} else {
		int listening = listen_bare(1, &where);

		if (how == CONNECTED) {
			char port[8];

			snprintf(port, sizeof port, "%u", anyc_address_port(&where) & 0xffffU);
			CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", port, NULL));
		} else {
			CHECK_OK(anyc_tcp_adopt(&s, bare_connect(&where)));
		}
		*peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
		CHECK_INT(*peer, >=, 0);
		close(listening);
	}
	return s;
}

UNUSED static void bare_send(int fd, const char *text)
{
	CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t)strlen(text));
}

/* Closes so that the other side gets a reset. */
UNUSED static void bare_reset(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), ==, 0);
	close(fd);
}

/* Small buffers, so that a send soon has to wait.  A simulated network has small ones anyway. */
UNUSED static void squeeze(struct anyc_stream *s)
{
	int fd, size = 4096;

	if (anyc_test_row_is("simnet"))
		return;
	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), ==, 0);
	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), ==, 0);
}

/* ---------------------------------------------------------------------------------- tasks */

/* One receive, in a scope of its own. */
struct receiver {
	struct anyc_stream *stream;
	struct anyc_scope scope;
	char buf[64];
	int rc, os_errno;
	bool done;
};
UNUSED static int receive_once(void *arg)
{
	struct receiver *r = arg;

	anyc_scope_enter(&r->scope, NULL);
	r->rc = anyc_stream_receive(r->stream, r->buf, sizeof r->buf);
	r->os_errno = anyc_error_errno(r->rc);
	anyc_scope_leave(&r->scope, r->rc);
	r->done = true;
	return 0;
}

/* One send of everything. */
struct sender {
	struct anyc_stream *stream;
	struct anyc_scope scope;
	const void *data;
	size_t size;
	int rc;
	bool done;
};
UNUSED static int send_once(void *arg)
{
	struct sender *s = arg;

	anyc_scope_enter(&s->scope, NULL);
	s->rc = anyc_stream_send(s->stream, s->data, s->size);
	anyc_scope_leave(&s->scope, s->rc);
	s->done = true;
	return 0;
}

/* Receives exactly this text. */
#define CHECK_RECEIVES(s, text) check_receives(__FILE__, __LINE__, (s), (text))
UNUSED static void check_receives(const char *file, unsigned line, struct anyc_stream *s,
				  const char *text)
{
	char buf[256];
	size_t have = 0, want = strlen(text);

	while (have < want) {
		int n = anyc_stream_receive(s, buf + have, want - have);

		if (n <= 0)
			anyc_test_fail(file, line, "receive gave %d (%s) after %zu bytes of \"%s\"",
				       n, anyc_error_detail(n), have, text);
		have += (size_t)n;
	}
	buf[have] = '\0';
	if (strcmp(buf, text) != 0)
		anyc_test_fail(file, line, "received \"%s\", not \"%s\"", buf, text);
}

#endif

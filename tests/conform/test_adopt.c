/* SPDX-License-Identifier: MIT */
/* Adopting sockets that somebody else made: behaviour 143, semantics.md H21, rule 18. */
#include "conform_net.h"
#include "lib/alloc_fault.h"

#include <fcntl.h>

#include <anyc/unix.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* -------------------------------------------------------------------------------- refusals */

static int socket_of(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	CHECK_INT(fd, >=, 0);
	return fd;
}

/* Refused with a sentence; the descriptor is open, and as it was. */
static void refused(int fd, bool as_listener, const char *part)
{
	struct anyc_stream *s = (void *)&fd;
	struct anyc_listener *l = (void *)&fd;
	int flags = fcntl(fd, F_GETFL), of_number = fcntl(fd, F_GETFD);

	if (as_listener) {
		CHECK_RC(anyc_tcp_adopt_listener(&l, fd), ANYC_EINVAL);
		CHECK(l == NULL);
	} else {
		CHECK_RC(anyc_tcp_adopt(&s, fd), ANYC_EINVAL);
		CHECK(s == NULL);
	}
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), part);
	CHECK_INT(fcntl(fd, F_GETFL), ==, flags);
	CHECK_INT(fcntl(fd, F_GETFD), ==, of_number);
}

static void refused_and_closed(int fd, const char *part)
{
	refused(fd, false, part);
	refused(fd, true, part);
	CHECK_INT(close(fd), ==, 0);
}

ANYC_TEST(adopt, b143_kind_family_and_protocol)
{
	int pipe_[2], pair[2], mptcp;

	CHECK_INT(pipe2(pipe_, O_CLOEXEC), ==, 0);
	refused_and_closed(pipe_[0], "no socket");
	refused_and_closed(pipe_[1], "no socket");
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	refused_and_closed(pair[0], "IPv4 or IPv6");
	refused_and_closed(pair[1], "IPv4 or IPv6");
	refused_and_closed(socket_of(AF_INET, SOCK_DGRAM, 0), "no stream socket");
	refused_and_closed(socket_of(AF_INET6, SOCK_DGRAM, 0), "no stream socket");
	/* A stream of another protocol, if this kernel has one. */
	mptcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (mptcp >= 0)
		refused_and_closed(mptcp, "not TCP");
}

static int wait_readable(void *fd)
{
	return anyc_wait_readable(*(int *)fd);
}

/* It would have two owners. */
ANYC_TEST(adopt, h21_a_descriptor_that_is_waited_for)
{
	struct anyc_stream *s = (void *)&s;
	struct anyc_group g;
	int pair[2], pipe_[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	CHECK_INT(pipe2(pipe_, O_CLOEXEC), ==, 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_readable, &pair[0]));
	CHECK_OK(anyc_spawn(&g, wait_readable, &pipe_[0]));
	SETTLE();
	CHECK_RC(anyc_unix_adopt(&s, pair[0]), ANYC_EINVAL);
	CHECK(s == NULL);
	CHECK_RC(anyc_pipe_adopt(&s, pipe_[0]), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "a task waits for it");
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	/* It was left as it was, and now it can be had. */
	CHECK_INT(fcntl(pipe_[0], F_GETFL) & O_NONBLOCK, ==, 0);
	CHECK_OK(anyc_pipe_adopt(&s, pipe_[0]));
	anyc_stream_free(s);
	CHECK_OK(anyc_unix_adopt(&s, pair[0]));
	anyc_stream_free(s);
	CHECK_INT(close(pair[1]), ==, 0);
	CHECK_INT(close(pipe_[1]), ==, 0);
}

ANYC_TEST(adopt, b143_bad_arguments)
{
	struct anyc_stream *s = (void *)&s;
	struct anyc_listener *l = (void *)&l;
	int fd = socket_of(AF_INET, SOCK_STREAM, 0);

	CHECK_RC(anyc_tcp_adopt(NULL, fd), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_adopt_listener(NULL, fd), ANYC_EINVAL);
	CHECK_INT(close(fd), ==, 0);
	CHECK_RC(anyc_tcp_adopt(&s, fd), -EBADF);
	CHECK_RC(anyc_tcp_adopt_listener(&l, fd), -EBADF);
	CHECK_HAS(anyc_error_detail(-EBADF), "adopt descriptor");
	CHECK(s == NULL && l == NULL);
	CHECK_RC(anyc_tcp_adopt(&s, -1), -EBADF);
}

ANYC_TEST(adopt, b143_a_stream_is_connected)
{
	struct anyc_address where;
	int listening = listen_bare(1, &where), bound = refusing_port(&(struct anyc_address){ 0 });
	int lone = socket_of(AF_INET6, SOCK_STREAM, 0), reset = bare_connect(&where), peer;

	refused(lone, false, "not connected");
	refused(bound, false, "not connected");
	/* It was, and its peer has ended that. */
	bare_reset(accept4(listening, NULL, NULL, SOCK_CLOEXEC));
	refused(reset, false, "not connected");
	refused(listening, false, "anyc_tcp_adopt_listener()");
	close(reset);
	close(lone);
	close(bound);
	/* It still listens, and still blocks. */
	peer = bare_connect(&where);
	close(accept4(listening, NULL, NULL, SOCK_CLOEXEC));
	close(peer);
	close(listening);
}

ANYC_TEST(adopt, b143_a_listener_listens)
{
	struct anyc_address where;
	int listening = listen_bare(1, &where), bound = refusing_port(&(struct anyc_address){ 0 });
	int lone = socket_of(AF_INET, SOCK_STREAM, 0), connected = bare_connect(&where);
	int peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	char c;

	refused(lone, true, "not listening");
	refused(bound, true, "not listening");
	refused(connected, true, "not listening");
	/* It is still connected. */
	bare_send(peer, "x");
	CHECK_INT(read(connected, &c, 1), ==, 1);
	close(connected);
	close(peer);
	close(lone);
	close(bound);
	close(listening);
}

/* -------------------------------------------------------------------------------- accepted */

static void check_non_blocking(int fd)
{
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, !=, 0);
}

/* A listening socket on an address of this machine's own; at *where after. */
static int listening_on(const char *address, struct anyc_address *where)
{
	int fd;

	CHECK_OK(anyc_address_parse(where, address, 0));
	fd = socket_of(where->storage.ss_family, SOCK_STREAM, 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&where->storage, where->length), ==, 0);
	CHECK_INT(listen(fd, 1), ==, 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&where->storage, &where->length), ==, 0);
	return fd;
}

static void check_accepted(const char *address)
{
	struct anyc_address where, remote;
	struct anyc_stream *accepted, *connected;
	struct anyc_listener *l;
	int listening = listening_on(address, &where), fd;

	CHECK_INT(fcntl(listening, F_GETFL) & O_NONBLOCK, ==, 0);
	CHECK_OK(anyc_tcp_adopt_listener(&l, listening));
	check_non_blocking(listening);
	fd = bare_connect(&where);
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, ==, 0);
	CHECK_OK(anyc_tcp_adopt(&connected, fd));
	check_non_blocking(fd);
	CHECK_OK(anyc_stream_attribute(connected, &anyc_attribute_remote_address, &remote,
				       sizeof remote));
	CHECK_INT(anyc_address_port(&remote), ==, anyc_address_port(&where));
	CHECK_OK(anyc_listener_accept(l, &accepted));
	CHECK_OK(anyc_stream_send(connected, "to", 2));
	CHECK_RECEIVES(accepted, "to");
	CHECK_OK(anyc_stream_send(accepted, "fro", 3));
	CHECK_RECEIVES(connected, "fro");
	anyc_stream_free(connected);
	CHECK_INT(fcntl(fd, F_GETFD), ==, -1);
	anyc_stream_free(accepted);
	anyc_listener_free(l);
	CHECK_INT(fcntl(listening, F_GETFD), ==, -1);
}

ANYC_TEST(adopt, b143_accepted_is_non_blocking_and_owned)
{
	check_accepted("127.0.0.1");
	check_accepted("::1");
}

/* inetd gives the connection as descriptor 0, whose flags others share (rule 18). */
ANYC_TEST(adopt, r18_standard_descriptors_stay_blocking)
{
	struct anyc_address where;
	struct anyc_stream *s;
	struct receiver r = { 0 };
	struct anyc_group g;
	int listening = listen_bare(1, &where), peer, saved = fcntl(0, F_DUPFD_CLOEXEC, 10);

	peer = bare_connect(&where);
	CHECK_INT(dup2(peer, 0), ==, 0);
	close(peer);
	peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	CHECK_OK(anyc_tcp_adopt(&s, 0));
	CHECK_INT(fcntl(0, F_GETFL) & O_NONBLOCK, ==, 0);
	r.stream = s;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE(); /* it waits, and does not block the thread */
	bare_send(peer, "hello");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, 5);
	anyc_stream_free(s);
	CHECK_INT(dup2(listening, 0), ==, 0);
	refused(0, true, "standard descriptor");
	if (saved >= 0) {
		dup2(saved, 0);
		close(saved);
	} else {
		close(0);
	}
	close(peer);
	close(listening);
}

/* ------------------------------------------------------------------------- without memory */

/* After a failure the descriptor is the caller's, open and as it was. */
static void give_back(int fd)
{
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, ==, 0);
	CHECK_INT(close(fd), ==, 0);
}

static int adopt_both(void *arg)
{
	struct anyc_listener *l;
	struct anyc_stream *s;
	struct anyc_address where;
	int listening = listen_bare(1, &where), connected = bare_connect(&where), rc, also;

	(void)arg;
	rc = anyc_tcp_adopt(&s, connected);
	CHECK(rc == 0 || (rc == -ENOMEM && s == NULL));
	also = anyc_tcp_adopt_listener(&l, listening);
	CHECK(also == 0 || (also == -ENOMEM && l == NULL));
	if (rc != 0)
		give_back(connected);
	if (also != 0)
		give_back(listening);
	anyc_stream_free(s);
	anyc_listener_free(l);
	return rc != 0 ? rc : also;
}

static int adopt_on_row(void *arg)
{
	struct host h;

	return host_run_task(&h, anyc_test_row(), adopt_both, arg, "adopt");
}

ANYC_TEST_MAIN(adopt, b143_without_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	check_alloc_sweep(adopt_on_row, NULL, 1);
}

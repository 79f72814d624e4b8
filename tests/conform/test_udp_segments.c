/* SPDX-License-Identifier: MIT */
/* Datagrams that the kernel cuts and joins: semantics.md H16 and H17 in fewer calls. */
#include "conform_datagram.h"
#include "lib/next.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>

#include <anyc/unix.h>

enum { SIZE = 100000 };

static const char *const hosts[] = { "127.0.0.1", "::1" };

/* ---------------------------------------------------------------- a kernel that does not want */

static struct {
	bool old;    /* it does not know UDP_SEGMENT, and would send all as one */
	int refuses; /* errno of a send that it should cut */
	int cut;     /* sends that it should cut */
} kernel;

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);
	const struct cmsghdr *c = m->msg_control;

	if (next == NULL)
		next_function(&next, "sendmsg");
	if (c != NULL && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT) {
		CHECK(!kernel.old);
		kernel.cut++;
		if (kernel.refuses != 0) {
			errno = kernel.refuses;
			return -1;
		}
	}
	return next(fd, m, flags);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	static int (*next)(int, int, int, void *, socklen_t *);

	if (next == NULL)
		next_function(&next, "getsockopt");
	if (kernel.old && level == IPPROTO_UDP) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return next(fd, level, name, value, length);
}

/* ------------------------------------------------------------------------------- exchanging */

static unsigned char said[SIZE];

static void say_something(void)
{
	size_t i;

	for (i = 0; i < SIZE; i++)
		said[i] = (unsigned char)(i * 7 + i / 256);
	memset(&kernel, 0, sizeof kernel);
}

/* Two sockets, the second connected to the first. */
static void open_both(struct anyc_datagram **a, struct anyc_datagram **b, const char *host,
		      const struct anyc_udp_options *options)
{
	struct anyc_address where;
	char port[8];

	CHECK_OK(anyc_udp_bind(a, host, "0", options));
	where = where_is(*a);
	snprintf(port, sizeof port, "%u", anyc_address_port(&where) & 0xffffU);
	CHECK_OK(anyc_udp_connect(b, host, port, NULL));
}

/* All of it arrives, each datagram a segment but the last; received after each call. */
static void check_segments(struct anyc_datagram *a, struct anyc_datagram *b, size_t size,
			   size_t segment, const struct anyc_address *to)
{
	static unsigned char heard[70000];
	size_t sent = 0, have = 0;

	while (sent < size) {
		int n = anyc_datagram_send_segments(b, said + sent, size - sent, segment, to, 0);

		CHECK_INT(n, >, 0);
		sent += (size_t)n;
		CHECK(sent == size || (size_t)n % segment == 0);
		while (have < sent) {
			size_t want = size - have < segment ? size - have : segment;

			CHECK_RC(anyc_datagram_receive(a, heard, sizeof heard), (int)want);
			CHECK(memcmp(heard, said + have, want) == 0);
			have += want;
		}
		CHECK_INT(have, ==, sent);
	}
}

static void check_all_sizes(struct anyc_datagram *a, struct anyc_datagram *b,
			    const struct anyc_address *to)
{
	check_segments(a, b, 10000, 1000, to);
	check_segments(a, b, 2500, 1000, to);
	check_segments(a, b, 700, 1000, to);   /* one, and short */
	check_segments(a, b, 1000, 1000, to);
	check_segments(a, b, 333, 1, to);      /* more than 64 */
	check_segments(a, b, 90000, 9000, to); /* more bytes than one call takes */
	check_segments(a, b, 90000, 60000, to);
}

ANYC_TEST(udp, h16_segments_are_datagrams)
{
	struct anyc_datagram *a, *b, *free_one;
	struct anyc_address to;
	size_t i;

	say_something();
	for (i = 0; i < 2; i++) {
		open_both(&a, &b, hosts[i], NULL);
		check_all_sizes(a, b, NULL);
		to = where_is(a);
		CHECK_OK(anyc_udp_bind(&free_one, hosts[i], "0", NULL));
		check_all_sizes(a, free_one, &to);
		anyc_datagram_free(free_one);
		anyc_datagram_free(a);
		anyc_datagram_free(b);
	}
}

/* The same arrives when the kernel cannot cut, or says so. */
ANYC_TEST(udp, h16_segments_without_the_kernel)
{
	static const int refusals[] = { EINVAL, EMSGSIZE, EIO, EOPNOTSUPP };
	struct anyc_datagram *a, *b;
	size_t i;

	say_something();
	for (i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		open_both(&a, &b, hosts[i % 2], NULL);
		kernel.refuses = refusals[i];
		kernel.cut = 0;
		check_all_sizes(a, b, NULL);
		/* What was refused is not tried again. */
		CHECK_INT(kernel.cut, ==, i < 2 ? 2 : 1);
		anyc_datagram_free(a);
		anyc_datagram_free(b);
	}
	open_both(&a, &b, hosts[0], NULL);
	kernel.old = true;
	check_all_sizes(a, b, NULL);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* An address to which nothing goes says nothing of the cutting. */
ANYC_TEST(udp, h16_segments_to_nowhere)
{
	struct anyc_message m[8];
	struct anyc_address nowhere;
	struct anyc_datagram *a, *b, *free_one;
	struct anyc_address to;
	int i;

	say_something();
	open_both(&a, &b, hosts[0], NULL);
	to = where_is(a);
	CHECK_OK(anyc_udp_bind(&free_one, hosts[0], "0", NULL));
	CHECK_OK(anyc_address_parse(&nowhere, hosts[0], 0));
	CHECK_RC(anyc_datagram_send_segments(free_one, said, 30, 1, &nowhere, 0), -EINVAL);
	memset(m, 0, sizeof m);
	for (i = 0; i < 8; i++) {
		m[i].data = said;
		m[i].size = 1;
		m[i].address = nowhere;
	}
	CHECK_RC(anyc_datagram_send_many(free_one, m, 8, 0), -EINVAL);
	kernel.cut = 0;
	check_segments(a, free_one, 3000, 1000, &to);
	CHECK_INT(kernel.cut, ==, 1);
	anyc_datagram_free(free_one);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* A way that is too narrow for them: fragments of single datagrams. */
ANYC_TEST(udp, h16_segments_beyond_the_mtu)
{
	struct anyc_datagram *a, *b;
	int mtu = 1280;

	say_something();
	open_both(&a, &b, "::1", NULL);
	CHECK_INT(setsockopt(fd_of(b), IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof mtu), ==, 0);
	check_segments(a, b, 9000, 3000, NULL);
	check_segments(a, b, 9000, 1000, NULL);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

struct segment_sender {
	struct anyc_datagram *socket;
	struct anyc_scope scope;
	int rc;
	bool done;
};

static int send_hundred(void *arg)
{
	struct segment_sender *s = arg;

	anyc_scope_enter(&s->scope, NULL);
	s->rc = anyc_datagram_send_segments(s->socket, said, 100, 10, NULL, 0);
	anyc_scope_leave(&s->scope, s->rc);
	s->done = true;
	return 0;
}

/* A queue of a few: a sender waits for room for the first only, or is cancelled with none sent. */
ANYC_TEST(udp, h16_segments_wait_for_room)
{
	struct anyc_datagram *a, *b;
	struct segment_sender s = { .rc = 0 };
	struct anyc_group g;
	char buf[16];
	int n, queued = 0;

	say_something();
	CHECK_OK(anyc_unix_datagram_pair(&a, &b));
	while ((n = anyc_datagram_send_segments(b, said, 100, 10, NULL, ANYC_NOWAIT)) > 0)
		queued += n / 10;
	CHECK_RC(n, ANYC_EWOULDBLOCK);
	s.socket = b;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_hundred, &s));
	SETTLE();
	CHECK(!s.done);
	CHECK_RC(anyc_datagram_send_segments(b, said, 100, 10, NULL, 0), ANYC_EBUSY);
	CHECK_OK(anyc_scope_cancel(&s.scope, NULL));
	SETTLE();
	CHECK(s.done);
	CHECK_RC(s.rc, ANYC_ECANCELED);
	s.done = false;
	CHECK_OK(anyc_spawn(&g, send_hundred, &s));
	for (; queued > 0; queued--)
		CHECK_RC(anyc_datagram_receive(a, buf, sizeof buf), 10);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(s.rc > 0 && s.rc % 10 == 0);
	for (queued = s.rc / 10; queued > 0; queued--) {
		CHECK_RC(anyc_datagram_receive(a, buf, sizeof buf), 10);
		CHECK(memcmp(buf, said + s.rc - queued * 10, 10) == 0);
	}
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

ANYC_TEST(udp, r16_segments_bad_arguments)
{
	static char huge[70000];
	struct anyc_address too_long = { .length = sizeof too_long.storage + 1 };
	struct anyc_datagram *a, *b;

	say_something();
	open_both(&a, &b, "127.0.0.1", NULL);
	CHECK_RC(anyc_datagram_send_segments(NULL, "x", 1, 1, NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_segments(b, NULL, 1, 1, NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_segments(b, "x", 0, 1, NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_segments(b, "x", 1, 0, NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_segments(b, "x", 1, 1, NULL, 1U << 30), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_segments(b, "x", 1, 1, &too_long, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_segments(a, "x", 1, 1, NULL, 0), ANYC_EINVAL);
	/* Longer than a datagram can be, alone and as the first of two. */
	CHECK_RC(anyc_datagram_send_segments(b, huge, 65508, 65508, NULL, 0), -EMSGSIZE);
	CHECK_RC(anyc_datagram_send_segments(b, huge, 70000, 65508, NULL, 0), -EMSGSIZE);
	CHECK_RC(anyc_datagram_send_segments(b, huge, 1, SIZE_MAX, NULL, 0), 1);
	CHECK_RC(anyc_datagram_send_segments(b, huge, 65507, 65507, NULL, 0), 65507);
	ANYC_CHECK_CHECKPOINT(
		CHECK_RC(anyc_datagram_send_segments(b, huge, 10, 5, NULL, 0), 10));
	CHECK_OK(anyc_datagram_close(b));
	CHECK_RC(anyc_datagram_send_segments(b, "x", 1, 1, NULL, 0), ANYC_ECLOSED);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* --------------------------------------------------------------------------------- joined */

/* Receives `size` bytes that were sent in datagrams of `segment`; the most that came as one. */
static size_t receive_joined(struct anyc_datagram *a, size_t size, size_t segment)
{
	static unsigned char heard[3][65536];
	struct anyc_message m[3] = { 0 };
	size_t have = 0, most = 0;
	int i, n;

	for (i = 0; i < 3; i++) {
		m[i].data = heard[i];
		m[i].size = sizeof heard[i];
	}
	while (have < size) {
		n = anyc_datagram_receive_many(a, m, 3, 0);
		CHECK_INT(n, >=, 1);
		for (i = 0; i < n; i++) {
			CHECK_INT(m[i].length, >, 0);
			CHECK_INT(m[i].segment, <=, segment);
			CHECK(m[i].segment == segment || m[i].length == m[i].segment);
			CHECK(memcmp(heard[i], said + have, m[i].length) == 0);
			have += m[i].length;
			most = m[i].length > most ? m[i].length : most;
		}
	}
	CHECK_INT(have, ==, size);
	return most;
}

static bool kernel_joins(struct anyc_datagram *d)
{
	int on = 0;
	socklen_t length = sizeof on;

	return getsockopt(fd_of(d), IPPROTO_UDP, UDP_GRO, &on, &length) == 0 && on != 0;
}

ANYC_TEST(udp, h17_joined)
{
	struct anyc_udp_options joined = { .coalesce = true };
	struct anyc_datagram *a, *b;
	struct anyc_message m = { .size = 0 };
	char buf[64];
	size_t i;

	say_something();
	for (i = 0; i < 2; i++) {
		open_both(&a, &b, hosts[i], &joined);
		CHECK_RC(anyc_datagram_send_segments(b, said, 2500, 1000, NULL, 0), 2500);
		CHECK_INT(receive_joined(a, 2500, 1000), ==, kernel_joins(a) ? 2500 : 1000);
		/* Sent one by one they are as they were. */
		CHECK_OK(anyc_datagram_send(b, said, 300));
		CHECK_INT(receive_joined(a, 300, 300), ==, 300);
		CHECK_OK(anyc_datagram_send(b, "", 0));
		CHECK_RC(anyc_datagram_receive_many(a, &m, 1, 0), 1);
		CHECK(m.length == 0 && m.segment == 0);
		CHECK_RC(anyc_datagram_receive(a, buf, sizeof buf), ANYC_ENOTSUP);
		CHECK_HAS(anyc_error_detail(ANYC_ENOTSUP), "anyc_datagram_receive_many");
		CHECK_RC(anyc_datagram_receive_many(a, &m, 1, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
		CHECK_OK(anyc_datagram_close(a));
		CHECK_RC(anyc_datagram_receive(a, buf, sizeof buf), ANYC_ECLOSED);
		anyc_datagram_free(a);
		anyc_datagram_free(b);
	}
}

/* Too little room: the length is that of all. */
ANYC_TEST(udp, h17_joined_and_cut_off)
{
	struct anyc_udp_options joined = { .coalesce = true };
	struct anyc_datagram *a, *b;
	char buf[100];
	struct anyc_message m = { .data = buf, .size = sizeof buf };

	say_something();
	open_both(&a, &b, "127.0.0.1", &joined);
	CHECK_RC(anyc_datagram_send_segments(b, said, 400, 200, NULL, 0), 400);
	CHECK_RC(anyc_datagram_receive_many(a, &m, 1, 0), 1);
	CHECK_INT(m.length, ==, kernel_joins(a) ? 400 : 200);
	CHECK_INT(m.segment, ==, 200);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* Of an object stream only one could be received, so none is. */
ANYC_TEST(udp, h17_joined_ones_are_no_objects)
{
	struct anyc_udp_options joined = { .coalesce = true };
	struct anyc_object_stream *objects;
	struct anyc_datagram *a, *b;
	char buf[8];
	int expected;

	say_something();
	open_both(&a, &b, "127.0.0.1", &joined);
	expected = kernel_joins(a) ? ANYC_ENOTSUP : 1;
	CHECK_OK(anyc_object_stream_of_datagrams(&objects, a));
	CHECK_OK(anyc_datagram_send(b, "x", 1));
	CHECK_OK(anyc_datagram_send(b, "y", 1));
	CHECK_RC(anyc_object_receive(objects, buf, sizeof buf, 0), expected);
	CHECK_RC(anyc_object_receive(objects, buf, sizeof buf, ANYC_NOWAIT), expected);
	anyc_object_stream_free(objects);
	anyc_datagram_free(b);
}

/* A socket that joins already says so. */
ANYC_TEST(udp, b143_adopting_one_that_joins)
{
	struct anyc_udp_options joined = { .coalesce = true };
	struct anyc_datagram *a, *b, *adopted;
	char buf[8];
	bool joins;

	say_something();
	open_both(&a, &b, "127.0.0.1", &joined);
	joins = kernel_joins(a);
	CHECK_OK(anyc_udp_adopt(&adopted, dup(fd_of(a))));
	CHECK_OK(anyc_datagram_send(b, "x", 1));
	CHECK_RC(anyc_datagram_receive(adopted, buf, sizeof buf), joins ? ANYC_ENOTSUP : 1);
	anyc_datagram_free(adopted);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

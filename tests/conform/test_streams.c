/* SPDX-License-Identifier: MIT */
/* Byte streams, on TCP: behaviours.md section 7, rules 11, 13, 15, 16 and 31 to 33. */
#include "conform_net.h"

#include <stdlib.h>
#include <sys/eventfd.h>

/* ---------------------------------------------------------------------------- section 7 */

ANYC_TEST_NET(streams, b114_close_wakes_a_receiver)
{
	struct anyc_stream *a, *b;
	struct receiver r = { 0 };
	struct anyc_group g;

	tcp_pair(&a, &b);
	r.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK(!r.done);
	CHECK_OK(anyc_stream_close(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, b114_close_wakes_a_sender)
{
	static const char data[1 << 22];
	struct anyc_stream *a, *b;
	struct sender s = { .data = data, .size = sizeof data };
	struct anyc_group g;

	tcp_pair(&a, &b);
	squeeze(a);
	s.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!s.done);
	CHECK_OK(anyc_stream_close(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, ANYC_ECLOSED);
	CHECK_INT(anyc_stream_sent(a), >, 0);
	CHECK_INT(anyc_stream_sent(a), <, sizeof data);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* A receiver and a sender wait on s; both learn of what `end` does. */
static void check_both_wake(struct anyc_stream *s, void (*end)(struct anyc_stream *s, int peer),
			    int peer, int want)
{
	static const char data[1 << 22];
	struct receiver r = { .stream = s };
	struct sender out = { .stream = s, .data = data, .size = sizeof data };
	struct anyc_group g;

	squeeze(s);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	CHECK_OK(anyc_spawn(&g, send_once, &out));
	SETTLE();
	CHECK(!r.done && !out.done);
	end(s, peer);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, want);
	CHECK_RC(out.rc, want);
	anyc_stream_free(s);
}

static void close_here(struct anyc_stream *s, int peer)
{
	CHECK_OK(anyc_stream_close(s));
	close(peer);
}

static void reset_there(struct anyc_stream *s, int peer)
{
	(void)s;
	bare_reset(peer);
}

ANYC_TEST(streams, b114_close_wakes_both_directions)
{
	int peer;
	struct anyc_stream *s = bare_peer(CONNECTED, &peer);

	check_both_wake(s, close_here, peer, ANYC_ECLOSED);
}

ANYC_TEST(streams, b116_a_reset_wakes_both_directions)
{
	enum made how;

	for (how = 0; how < MADE_KINDS; how++) {
		int peer;
		struct anyc_stream *s = bare_peer(how, &peer);

		check_both_wake(s, reset_there, peer, ANYC_EBROKEN);
	}
}

ANYC_TEST_NET(streams, b115_data_then_the_end_every_time)
{
	struct anyc_stream *a, *b;
	char buf[64];
	int i;

	tcp_pair(&a, &b);
	CHECK_OK(anyc_stream_send(b, "hello", 5));
	CHECK_OK(anyc_stream_close(b));
	CHECK_RECEIVES(a, "hello");
	for (i = 0; i < 3; i++)
		CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), 0);
	CHECK_OK(anyc_stream_close(a));
	CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), ANYC_ECLOSED);
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_ECLOSED);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, b115_half_closed)
{
	struct anyc_stream *a, *b;
	char buf[64];

	tcp_pair(&a, &b);
	CHECK_OK(anyc_stream_send(b, "hello", 5));
	CHECK_OK(anyc_stream_send_eof(b));
	CHECK_RECEIVES(a, "hello");
	CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), 0);
	CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), 0);
	CHECK_OK(anyc_stream_send(a, "answer", 6));
	CHECK_RECEIVES(b, "answer");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(streams, b115_closed_wins_over_broken)
{
	struct anyc_stream *s;
	char buf[8];
	int peer;

	s = bare_peer(ACCEPTED, &peer);
	bare_reset(peer);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), ANYC_EBROKEN);
	CHECK_OK(anyc_stream_close(s));
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), ANYC_ECLOSED);
	CHECK_RC(anyc_stream_send(s, "x", 1), ANYC_ECLOSED);
	CHECK_RC(anyc_stream_send_eof(s), ANYC_ECLOSED);
	anyc_stream_free(s);
}

ANYC_TEST_NET(streams, b116_peer_gone_breaks_sending_for_good)
{
	struct anyc_stream *a, *b;
	int i, rc = 0;

	tcp_pair(&a, &b);
	anyc_stream_free(b);
	for (i = 0; i < 1000 && rc == 0; i++)
		rc = anyc_stream_send(a, "x", 1);
	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK(anyc_error_errno(rc) == EPIPE || anyc_error_errno(rc) == ECONNRESET);
	for (i = 0; i < 3; i++) {
		CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_EBROKEN);
		CHECK_INT(anyc_error_errno(ANYC_EBROKEN), !=, 0);
	}
	anyc_stream_free(a);
}

ANYC_TEST(streams, b116_a_reset_breaks_receiving)
{
	struct anyc_stream *s;
	struct receiver r = { 0 };
	struct anyc_group g;
	int peer;
	char buf[8];

	s = r.stream = bare_peer(CONNECTED, &peer);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	bare_reset(peer);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_EBROKEN);
	CHECK_INT(r.os_errno, ==, ECONNRESET);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "connection reset by peer");
	anyc_stream_free(s);
}

/* A server that answers and hangs up before it has read everything is still heard. */
ANYC_TEST(streams, b116_what_came_before_a_failed_send_is_received)
{
	struct anyc_stream *s;
	char buf[64];
	int peer, i, rc = 0;

	s = bare_peer(CONNECTED, &peer);
	CHECK_OK(anyc_stream_send(s, "unread", 6));
	bare_send(peer, "refused");
	bare_reset(peer);
	for (i = 0; i < 1000 && rc == 0; i++)
		rc = anyc_stream_send(s, "x", 1);
	CHECK_RC(rc, ANYC_EBROKEN);
	rc = anyc_stream_receive(s, buf, sizeof buf);
	if (rc > 0) /* the kernel may drop it with the reset */
		CHECK(memcmp(buf, "refused", 7) == 0);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), ANYC_EBROKEN);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), ANYC_EBROKEN);
	anyc_stream_free(s);
}

struct drain {
	struct anyc_stream *stream;
	const unsigned char *expected;
	size_t total;
};

static int drain_all(void *arg)
{
	struct drain *d = arg;
	unsigned char buf[3000];
	int n;

	while ((n = anyc_stream_receive(d->stream, buf, sizeof buf)) > 0) {
		CHECK(memcmp(buf, d->expected + d->total, (size_t)n) == 0);
		d->total += (size_t)n;
	}
	return n;
}

static unsigned char *random_bytes(size_t size)
{
	unsigned char *data = malloc(size);
	unsigned x = 12345;
	size_t i;

	CHECK(data != NULL);
	for (i = 0; i < size; i++) {
		x = x * 1103515245 + 12345;
		data[i] = (unsigned char)(x >> 16);
	}
	return data;
}

ANYC_TEST_NET(streams, b119_a_large_send_arrives_whole)
{
	const size_t size = 3000000;
	unsigned char *data = random_bytes(size);
	struct anyc_stream *a, *b;
	struct drain d = { .expected = data };
	struct anyc_group g;

	tcp_pair(&a, &b);
	squeeze(a);
	d.stream = b;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, drain_all, &d));
	CHECK_OK(anyc_stream_send(a, data, size));
	CHECK_INT(anyc_stream_sent(a), ==, size);
	CHECK_OK(anyc_stream_close(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(d.total, ==, size);
	anyc_stream_free(a);
	anyc_stream_free(b);
	free(data);
}

ANYC_TEST_NET(streams, b119_many_pieces_arrive_in_order)
{
	const size_t size = 700000;
	unsigned char *data = random_bytes(size);
	struct iovec iov[200];
	struct anyc_stream *a, *b;
	struct drain d = { .expected = data };
	struct anyc_group g;
	size_t i, at = 0;

	for (i = 0; i < 200; i++) {
		size_t n = i % 7 == 3 ? 0 : (i * 37) % 7001;

		if (i == 199 || n > size - at)
			n = size - at;
		iov[i].iov_base = n > 0 ? data + at : NULL;
		iov[i].iov_len = n;
		at += n;
	}
	CHECK_INT(at, ==, size);
	tcp_pair(&a, &b);
	squeeze(a);
	d.stream = b;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, drain_all, &d));
	CHECK_OK(anyc_stream_sendv(a, iov, 200));
	CHECK_INT(anyc_stream_sent(a), ==, size);
	CHECK_OK(anyc_stream_close(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(d.total, ==, size);
	anyc_stream_free(a);
	anyc_stream_free(b);
	free(data);
}

ANYC_TEST_NET(streams, b120_send_eof)
{
	struct anyc_stream *a, *b;
	char buf[8];

	tcp_pair(&a, &b);
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_RC(anyc_stream_receive(b, buf, sizeof buf), 0);
	CHECK_OK(anyc_stream_send(b, "back", 4));
	CHECK_RECEIVES(a, "back");
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_ECLOSED);
	CHECK_RC(anyc_stream_send(a, "", 0), ANYC_ECLOSED);
	CHECK_OK(anyc_stream_send_eof(a));
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, b121_close_in_a_cancelled_scope)
{
	struct anyc_stream *a, *b;
	struct anyc_scope scope;
	char buf[8];
	int rc;

	tcp_pair(&a, &b);
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	rc = anyc_stream_close(a);
	CHECK(rc == 0 || rc == ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, rc));
	CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), ANYC_ECLOSED);
	CHECK_OK(anyc_stream_close(a));
	CHECK_RC(anyc_stream_receive(b, buf, sizeof buf), 0);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, b122_a_cancelled_receive_loses_nothing)
{
	struct anyc_stream *a, *b;
	struct receiver r = { 0 };
	struct anyc_scope scope;
	struct anyc_group g;
	char buf[8];

	tcp_pair(&a, &b);
	r.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&r.scope, NULL));
	CHECK_OK(anyc_stream_send(b, "kept", 4));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECANCELED);
	/* Cancelled at once, with data there. */
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
	CHECK_RECEIVES(a, "kept");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* ------------------------------------------------------------------------ section F, rule 15 */

ANYC_TEST_NET(streams, f02_one_task_a_direction)
{
	struct anyc_stream *a, *b;
	struct receiver r = { 0 };
	struct anyc_group g;
	char buf[8];

	tcp_pair(&a, &b);
	r.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_RC(anyc_stream_receive(a, buf, sizeof buf), ANYC_EBUSY);
	CHECK_RC(anyc_stream_receive_flags(a, buf, sizeof buf, ANYC_NOWAIT), ANYC_EBUSY);
	/* The other direction is free. */
	CHECK_OK(anyc_stream_send(a, "out", 3));
	CHECK_RECEIVES(b, "out");
	CHECK_OK(anyc_stream_send(b, "in", 2));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, 2);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, f02_one_sender)
{
	static const char data[1 << 22];
	struct anyc_stream *a, *b;
	struct sender s = { .data = data, .size = sizeof data };
	struct anyc_group g;
	size_t sent;

	tcp_pair(&a, &b);
	squeeze(a);
	s.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	sent = anyc_stream_sent(a);
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_EBUSY);
	CHECK_RC(anyc_stream_send_eof(a), ANYC_EBUSY);
	CHECK_INT(anyc_stream_sent(a), ==, sent);
	CHECK_OK(anyc_scope_cancel(&s.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, ANYC_ECANCELED);
	/* Usable still: the direction is free again. */
	CHECK_RC(anyc_stream_send(a, "", 0), 0);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, f05_sending_nothing_is_a_checkpoint)
{
	struct anyc_stream *a, *b;
	struct anyc_scope scope;
	struct anyc_group g;
	bool ran = false;

	tcp_pair(&a, &b);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_stream_send(a, NULL, 0));
	CHECK(ran);
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_stream_send(a, "", 0), ANYC_ECANCELED);
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_ECANCELED);
	CHECK_RC(anyc_stream_send_eof(a), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
	CHECK_INT(anyc_stream_sent(a), ==, 0);
	CHECK_OK(anyc_stream_send(a, "y", 1));
	CHECK_RECEIVES(b, "y");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, r15_free_is_null_safe_and_wakes)
{
	struct anyc_stream *a, *b;
	struct receiver r = { 0 };
	struct anyc_group g;

	anyc_stream_free(NULL);
	anyc_listener_free(NULL);
	tcp_pair(&a, &b);
	r.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	anyc_stream_free(a); /* the memory goes when the receiver has returned */
	CHECK(!r.done);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, r15_free_is_no_checkpoint_and_keeps_errors)
{
	struct anyc_stream *a, *b;
	struct anyc_group g;
	bool ran = false;

	tcp_pair(&a, &b);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	anyc_fail(ANYC_EBROKEN, ENOTTY, "what happened");
	errno = E2BIG;
	anyc_stream_free(a);
	CHECK_INT(errno, ==, E2BIG);
	CHECK(!ran);
	CHECK_STR(anyc_error_detail(ANYC_EBROKEN), "what happened");
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ENOTTY);
	errno = E2BIG;
	CHECK_OK(anyc_stream_close(b));
	CHECK_INT(errno, ==, E2BIG);
	CHECK(ran);
	CHECK_STR(anyc_error_detail(ANYC_EBROKEN), "what happened");
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, r16_bad_arguments)
{
	struct anyc_stream *a, *b;
	struct iovec iov = { .iov_base = NULL, .iov_len = 3 };
	struct anyc_address address;
	char buf[8];
	int fd;

	tcp_pair(&a, &b);
	CHECK_RC(anyc_stream_receive(a, buf, 0), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "0 bytes");
	CHECK_RC(anyc_stream_receive(a, NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_receive(NULL, buf, 1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_receive_flags(a, buf, 1, 8), ANYC_EINVAL);
	CHECK_RC(anyc_stream_send(a, NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_send(NULL, "x", 1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_sendv(a, &iov, 1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_sendv(a, &iov, -1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_send_some(a, &iov, 0, 0), ANYC_EINVAL);
	CHECK_RC(anyc_stream_send_eof(NULL), ANYC_EINVAL);
	CHECK_RC(anyc_stream_close(NULL), ANYC_EINVAL);
	CHECK_RC(anyc_stream_attribute(a, &anyc_attribute_fd, &fd, 1), ANYC_EINVAL);
	CHECK_RC(anyc_stream_attribute(a, NULL, &fd, sizeof fd), ANYC_EINVAL);
	CHECK_RC(anyc_stream_attribute(NULL, &anyc_attribute_fd, &fd, sizeof fd), ANYC_EINVAL);
	CHECK_OK(
		anyc_stream_attribute(a, &anyc_attribute_remote_address, &address, sizeof address));
	/* Nothing changed. */
	CHECK_OK(anyc_stream_send(a, "x", 1));
	CHECK_RECEIVES(b, "x");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, r16_nowait)
{
	struct anyc_stream *a, *b;
	struct anyc_scope scope;
	struct anyc_group g;
	struct iovec iov = { .iov_base = (char[]){ "now" }, .iov_len = 3 };
	bool ran = false;
	char buf[8];

	tcp_pair(&a, &b);
	CHECK_RC(anyc_stream_receive_flags(a, buf, sizeof buf, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_RC(anyc_stream_send_some(b, &iov, 1, ANYC_NOWAIT), 3);
	CHECK_RC(anyc_stream_receive_flags(a, buf, sizeof buf, ANYC_NOWAIT), 3);
	CHECK_RC(anyc_stream_receive_flags(a, buf, sizeof buf, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK(!ran);
	CHECK_OK(anyc_group_leave(&g, 0));
	/* No checkpoint: a cancellation is not looked at. */
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_stream_send_some(b, &iov, 1, ANYC_NOWAIT), 3);
	CHECK_RC(anyc_stream_receive_flags(a, buf, sizeof buf, ANYC_NOWAIT), 3);
	CHECK_OK(anyc_scope_leave(&scope, 0));
	/* And what came by NOWAIT does not leave a later wait hanging. */
	CHECK_OK(anyc_stream_send(b, "later", 5));
	CHECK_RECEIVES(a, "later");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(streams, r16_nowait_fills_the_kernel)
{
	static char data[65536];
	struct anyc_stream *a, *b;
	struct iovec iov = { .iov_base = data, .iov_len = sizeof data };
	struct drain d = { .expected = (const unsigned char *)data };
	struct anyc_group g;
	size_t sent = 0;
	int n;

	tcp_pair(&a, &b);
	squeeze(a);
	while (sent < sizeof data && (n = anyc_stream_send_some(a, &iov, 1, ANYC_NOWAIT)) > 0) {
		sent += (size_t)n;
		iov.iov_len = sizeof data - sent;
	}
	if (sent < sizeof data)
		CHECK_RC(n, ANYC_EWOULDBLOCK);
	d.stream = b;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, drain_all, &d));
	CHECK_OK(anyc_stream_send(a, data, sizeof data - sent));
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(d.total, ==, sizeof data);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(streams, h28_attributes)
{
	struct anyc_attribute other = { .name = "other", .size = sizeof(int) };
	struct anyc_address local, remote, of_peer;
	struct anyc_stream *a, *b;
	int fd, x;

	tcp_pair(&a, &b);
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_local_address, &local, sizeof local));
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_remote_address, &remote, sizeof remote));
	CHECK_OK(
		anyc_stream_attribute(b, &anyc_attribute_remote_address, &of_peer, sizeof of_peer));
	CHECK_INT(anyc_address_port(&local), ==, anyc_address_port(&of_peer));
	CHECK_INT(anyc_address_port(&local), !=, anyc_address_port(&remote));
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(fd, >=, 0);
	CHECK_RC(anyc_stream_attribute(a, &other, &x, sizeof x), ANYC_ENOATTR);
	anyc_stream_free(b);
	/* The peer is remembered. */
	CHECK_OK(
		anyc_stream_attribute(a, &anyc_attribute_remote_address, &of_peer, sizeof of_peer));
	CHECK_OK(anyc_stream_close(a));
	CHECK_RC(anyc_stream_attribute(a, &anyc_attribute_fd, &fd, sizeof fd), ANYC_ECLOSED);
	anyc_stream_free(a);
}

/* ----------------------------------------------------------------- rule 11: outside a task */

struct outside {
	struct anyc_stream *stream;
	struct anyc_listener *listener;
};

static void call_outside(void *arg)
{
	struct outside *o = arg;
	struct iovec iov = { .iov_base = (char[]){ "n" }, .iov_len = 1 };
	struct anyc_addresses list;
	struct anyc_stream *s;
	struct anyc_listener *l;
	char buf[8];

	CHECK_RC(anyc_stream_receive(o->stream, buf, sizeof buf), ANYC_ENOTASK);
	CHECK_RC(anyc_stream_send(o->stream, "x", 1), ANYC_ENOTASK);
	CHECK_RC(anyc_stream_send(o->stream, "", 0), ANYC_ENOTASK);
	CHECK_RC(anyc_stream_send_some(o->stream, &iov, 1, 0), ANYC_ENOTASK);
	CHECK_RC(anyc_stream_send_eof(o->stream), ANYC_ENOTASK);
	CHECK_RC(anyc_stream_close(o->stream), ANYC_ENOTASK);
	CHECK_RC(anyc_listener_accept(o->listener, &s), ANYC_ENOTASK);
	CHECK_RC(anyc_listener_close(o->listener), ANYC_ENOTASK);
	CHECK_RC(anyc_resolve(&list, "127.0.0.1", "1", NULL), ANYC_ENOTASK);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", NULL), ANYC_ENOTASK);
	CHECK(s == NULL);
	CHECK_RC(anyc_wait_readable(0), ANYC_ENOTASK);
	reports_forget();
	/* Allowed: nothing here waits. */
	CHECK_RC(anyc_stream_receive_flags(o->stream, buf, sizeof buf, ANYC_NOWAIT),
		 ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_stream_send_some(o->stream, &iov, 1, ANYC_NOWAIT), 1);
	CHECK_OK(anyc_tcp_listen(&l, "127.0.0.1", "0", NULL));
	anyc_listener_free(l);
}

ANYC_TEST_ON(streams, r11_refused_outside_a_task, ANYC_ROWS_LOOP)
{
	struct outside o;
	struct anyc_stream *b;
	struct receiver r = { 0 };
	struct anyc_group g;
	struct port port;

	tcp_pair(&o.stream, &b);
	o.listener = listen_here(&port);
	/* Registered, so that it has a loop. */
	anyc_group_enter(&g, NULL);
	r.stream = o.stream;
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&r.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	host_call(anyc_test_host(), call_outside, &o);
	/* Nothing was done but what was allowed. */
	CHECK_OK(anyc_stream_send(o.stream, "ext", 3));
	CHECK_RECEIVES(b, "next");
	anyc_stream_free(o.stream);
	anyc_stream_free(b);
	anyc_listener_free(o.listener);
}

/* -------------------------------------------------------------- rule 31: streams by kind */

/* Brings a stream to where it is registered, has no data, and a task waits; then act(peer). */
static void while_waiting(enum made how, void (*act)(int peer), struct receiver *r, int *peer)
{
	struct anyc_group g;

	r->stream = bare_peer(how, peer);
	/* A first round trip parks, so that the second meets a registered descriptor. */
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, r));
	SETTLE();
	bare_send(*peer, "first");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r->rc, 5);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, r));
	SETTLE();
	act(*peer);
	CHECK_OK(anyc_group_leave(&g, 0));
}

static void act_data_fin(int peer)
{
	bare_send(peer, "last");
	close(peer);
}

ANYC_TEST(streams, r31_data_and_fin_in_one_event)
{
	int how, peer;

	for (how = 0; how < MADE_KINDS; how++) {
		struct receiver r = { 0 };
		char buf[64];

		while_waiting((enum made)how, act_data_fin, &r, &peer);
		if (r.rc != 4)
			FAIL("%s: %d", made_name((enum made)how), r.rc);
		CHECK_RC(anyc_stream_receive(r.stream, buf, sizeof buf), 0);
		CHECK_RC(anyc_stream_receive(r.stream, buf, sizeof buf), 0);
		anyc_stream_free(r.stream);
	}
}

static void act_data_rst(int peer)
{
	bare_send(peer, "last");
	bare_reset(peer);
}

ANYC_TEST(streams, r31_data_and_rst_in_one_event)
{
	int how, peer;

	for (how = 0; how < MADE_KINDS; how++) {
		struct receiver r = { 0 };
		char buf[64];

		while_waiting((enum made)how, act_data_rst, &r, &peer);
		/* The data comes first if the kernel still has it. */
		if (r.rc != 4 && r.rc != ANYC_EBROKEN)
			FAIL("%s: %d", made_name((enum made)how), r.rc);
		CHECK_RC(anyc_stream_receive(r.stream, buf, sizeof buf), ANYC_EBROKEN);
		CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
		anyc_stream_free(r.stream);
	}
}

static void act_urgent(int peer)
{
	bare_send(peer, "ab");
	CHECK_INT(send(peer, "!", 1, MSG_OOB | MSG_NOSIGNAL), ==, 1);
	bare_send(peer, "cd");
}

/* The read stops at the urgent mark: a short read that proves nothing. */
ANYC_TEST(streams, r31_urgent_byte)
{
	int how, peer;

	for (how = 0; how < MADE_KINDS; how++) {
		struct receiver r = { 0 };

		while_waiting((enum made)how, act_urgent, &r, &peer);
		if (r.rc != 2 || memcmp(r.buf, "ab", 2) != 0)
			FAIL("%s: %d", made_name((enum made)how), r.rc);
		CHECK_RECEIVES(r.stream, "cd");
		bare_send(peer, "ef");
		CHECK_RECEIVES(r.stream, "ef");
		close(peer);
		anyc_stream_free(r.stream);
	}
}

static void act_two(int peer)
{
	char big[100];

	memset(big, 'x', sizeof big);
	CHECK_INT(send(peer, big, sizeof big, 0), ==, sizeof big);
	bare_send(peer, "tail");
}

/* More than one read takes: a full read leaves it ready. */
ANYC_TEST(streams, r31_two_pending)
{
	int how, peer;

	for (how = 0; how < MADE_KINDS; how++) {
		struct receiver r = { 0 };
		char buf[64];

		while_waiting((enum made)how, act_two, &r, &peer);
		if (r.rc != 64)
			FAIL("%s: %d", made_name((enum made)how), r.rc);
		CHECK_RC(anyc_stream_receive(r.stream, buf, 36), 36);
		CHECK_RECEIVES(r.stream, "tail");
		bare_send(peer, "more");
		CHECK_RECEIVES(r.stream, "more");
		close(peer);
		anyc_stream_free(r.stream);
	}
}

/* A descriptor that was never waited for: the state at registration counts. */
ANYC_TEST(streams, r31_fin_before_the_first_wait)
{
	int how, peer;

	for (how = 0; how < MADE_KINDS; how++) {
		struct anyc_stream *s = bare_peer((enum made)how, &peer);
		char buf[64];

		bare_send(peer, "only");
		CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 4);
		close(peer);
		CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
		anyc_stream_free(s);
	}
}

/* Parked after a short read: the next data is a new event. */
ANYC_TEST(streams, r31_many_round_trips)
{
	int how, peer, i;

	for (how = 0; how < MADE_KINDS; how++) {
		struct anyc_stream *s = bare_peer((enum made)how, &peer);
		char buf[64];

		for (i = 0; i < 200; i++) {
			bare_send(peer, "ping");
			CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 4);
			CHECK_OK(anyc_stream_send(s, buf, 4));
			CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 4);
		}
		close(peer);
		anyc_stream_free(s);
	}
}

/* Two connections in one event: accept goes on until the queue is empty. */
ANYC_TEST(streams, r31_listener_with_two_pending)
{
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	struct anyc_address where;
	struct anyc_stream *s[4];
	int peer[4], i, round;

	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &where, sizeof where));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 4; i++)
			peer[i] = bare_connect(&where);
		for (i = 0; i < 4; i++)
			CHECK_OK(anyc_listener_accept(l, &s[i]));
		for (i = 0; i < 4; i++) {
			anyc_stream_free(s[i]);
			close(peer[i]);
		}
	}
	anyc_listener_free(l);
}

/* ------------------------------------------------------------------------------- rule 33 */

/* Room to send: TCP has OUT from the start, an adopted socket from the first EAGAIN. */
ANYC_TEST(streams, r33_sending_waits_for_room)
{
	static const char data[1 << 21];
	int how, peer;

	for (how = 0; how < MADE_KINDS; how++) {
		struct sender s = { .data = data, .size = sizeof data };
		struct anyc_group g;
		char buf[65536];
		size_t total = 0;

		s.stream = bare_peer((enum made)how, &peer);
		squeeze(s.stream);
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, send_once, &s));
		SETTLE();
		CHECK(!s.done);
		while (total < sizeof data) {
			ssize_t n = recv(peer, buf, sizeof buf, MSG_DONTWAIT);

			if (n > 0)
				total += (size_t)n;
			else
				CHECK_OK(anyc_wait_readable(peer));
		}
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(s.rc, 0);
		close(peer);
		anyc_stream_free(s.stream);
	}
}

/* --------------------------------------------------------------------- a stream of one's own */

static int lying_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	(void)s;
	(void)buf;
	(void)flags;
	return (int)size + 1;
}

static int lying_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
			   unsigned flags)
{
	(void)s;
	(void)flags;
	return (int)iov[count - 1].iov_len + 1;
}

static int lying_close(struct anyc_stream *s, unsigned flags)
{
	(void)s;
	(void)flags;
	return 0;
}

static void lying_free(struct anyc_stream *s)
{
	(void)s;
}

/* It says that it has moved more than there is. */
ANYC_TEST(streams, f01_a_count_is_not_believed)
{
	static const struct anyc_stream_ops ops = { .size = sizeof ops, .name = "lying",
						    .receive = lying_receive,
						    .send_some = lying_send_some,
						    .close = lying_close, .free = lying_free };
	struct anyc_stream s;
	char buf[8];

	anyc_stream_init(&s, &ops);
	CHECK_RC(anyc_stream_receive(&s, buf, sizeof buf), ANYC_EMISUSE);
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "receive returned 9 for 8 bytes");
	CHECK_RC(anyc_stream_receive_flags(&s, buf, 1, ANYC_NOWAIT), ANYC_EMISUSE);
	CHECK_RC(anyc_stream_send(&s, buf, sizeof buf), ANYC_EMISUSE);
	anyc_stream_free(&s);
}

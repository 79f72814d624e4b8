/* SPDX-License-Identifier: MIT */
/*
 * TLS streams over streams in memory: behaviours.md sections 7 and 10, rules 15 to 17, section G
 * of semantics.md, and check 15 of reliability.md.
 */
#include "conform_tls.h"

#include <malloc.h>

#define MISSING "ended without close_notify"

/* A receive as a task. */
struct receiver {
	struct anyc_stream *stream;
	char buf[100];
	int rc;
	char detail[200];
	bool done;
};
static int receive_task(void *arg)
{
	struct receiver *r = arg;

	r->rc = anyc_stream_receive(r->stream, r->buf, sizeof r->buf);
	snprintf(r->detail, sizeof r->detail, "%s", anyc_error_detail(r->rc));
	r->done = true;
	return 0;
}

static void check_receives(struct anyc_stream *s, const char *text)
{
	char buf[100];
	size_t n = strlen(text);
	int rc = anyc_stream_receive(s, buf, sizeof buf);

	if (rc != (int)n || memcmp(buf, text, n) != 0)
		FAIL("received %d (%s), not \"%s\"", rc, rc < 0 ? anyc_error_detail(rc) : "", text);
}

static void check_end(struct anyc_stream *s)
{
	char buf[10];

	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	CHECK_RC(anyc_stream_receive_flags(s, buf, sizeof buf, ANYC_NOWAIT), 0);
}

/* ------------------------------------------------------------------- streams in general (7) */

ANYC_TEST(tls, b114_blocked_tasks_get_closed)
{
	struct transfer out = { .size = 1 << 20, .piece = 1 << 20 };
	struct receiver in = { .rc = 0 };
	struct anyc_group g;
	struct fixture f;
	struct link l;
	char c;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	out.stream = in.stream = l.client.stream;
	pair_clog(l.client.below, true);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_task, &in));
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	SETTLE();
	CHECK(!in.done);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBUSY);
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBUSY);
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(in.rc, ANYC_ECLOSED);
	CHECK_RC(out.rc, ANYC_ECLOSED);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_ECLOSED);
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_ECLOSED);
	CHECK_OK(anyc_stream_close(l.client.stream));
	/* The send was cut, so the peer must not take what came for all. */
	CHECK_RC(anyc_stream_receive(l.server.stream, &c, 1), ANYC_EBROKEN);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b115_data_then_the_end_every_time)
{
	struct fixture f;
	struct link l;
	size_t v;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		CHECK_OK(anyc_stream_send(l.server.stream, "last words", 10));
		CHECK_OK(anyc_stream_close(l.server.stream));
		check_receives(l.client.stream, "last words");
		check_end(l.client.stream);
		CHECK_OK(anyc_stream_close(l.client.stream));
		CHECK_RC(anyc_stream_receive(l.client.stream, &v, 1), ANYC_ECLOSED);
		link_free(&l);
		fixture_end(&f);
	}
}

ANYC_TEST(tls, b116_peer_gone)
{
	struct fixture f;
	struct link l;
	char c;
	int i;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	anyc_stream_free(l.server.stream);
	for (i = 0; i < 3; i++) {
		CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBROKEN);
		CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, EPIPE);
	}
	l.server.stream = l.server.below = NULL;
	link_free(&l);

	link_make(&l, &f, NULL);
	pair_break(l.client.below, ECONNRESET);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBROKEN);
	CHECK_RC(anyc_stream_send(l.client.stream, &c, 1), ANYC_EBROKEN);
	link_free(&l);
	fixture_end(&f);
}

/* What a peer has sent before it broke its own side is still received. */
ANYC_TEST(tls, b116_a_broken_send_leaves_what_was_received)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_send(l.server.stream, "refused", 7));
	anyc_stream_free(l.server.stream);
	l.server.stream = l.server.below = NULL;
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBROKEN);
	check_receives(l.client.stream, "refused");
	link_free(&l);
	fixture_end(&f);
}

/* A megabyte there and back: sends that block, and the same bytes. */
static void check_megabyte(const struct pair_options *options, size_t size)
{
	struct transfer out = { .size = size, .piece = 300000 };
	struct transfer in = { .size = size, .piece = 50000 };
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, options);
	out.stream = in.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, echo, l.server.stream));
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	CHECK_OK(transfer_in(&in));
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(out.rc);
	CHECK_OK(in.rc);
	CHECK_INT(in.done, ==, size);
	CHECK(in.hash == out.hash);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b119_megabyte_echo)
{
	check_megabyte(NULL, 1 << 20);
}

ANYC_TEST(tls, b119_through_a_narrow_pipe, .deadline = 30)
{
	struct pair_options narrow = { .capacity = 100 };
	struct pair_options random = { .most = 3000, .seed = 7 };
	struct pair_options one = { .most = 1 };

	check_megabyte(&narrow, 60000);
	check_megabyte(&random, 1 << 20);
	check_megabyte(&one, 40000);
}

ANYC_TEST(tls, b120_send_eof_is_not_supported)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_RC(anyc_stream_send_eof(l.client.stream), ANYC_ENOTSUP);
	check_talk(l.client.stream, l.server.stream);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b121_close_in_a_cancelled_scope)
{
	struct anyc_scope s;
	struct fixture f;
	struct link l;
	char c;
	int rc;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	rc = anyc_stream_close(l.client.stream);
	CHECK(rc == 0 || rc == ANYC_ECANCELED);
	anyc_scope_leave(&s, ANYC_ECANCELED);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_ECLOSED);
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK(pair_peer_closed(l.server.below));
	/* There was room for the goodbye, and it was tried. */
	check_end(l.server.stream);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b122_cancelled_receive_loses_nothing)
{
	struct pair_options one = { .most = 1 };
	struct fixture f;
	struct link l;
	size_t got = 0;
	char buf[20];
	int rounds = 0;

	fixture_make(&f);
	link_make(&l, &f, &one);
	CHECK_OK(anyc_stream_send(l.server.stream, "all of it", 9));
	/* Cancelled at each of its waits in turn. */
	while (got < 9) {
		struct anyc_scope s;
		int rc;

		anyc_scope_enter_move_on(&s, rounds++ % 2 == 0 ? 0 : MS(1));
		rc = anyc_stream_receive(l.client.stream, buf + got, sizeof buf - got);
		if (rc > 0)
			got += (size_t)rc;
		else
			CHECK_RC(rc, ANYC_ECANCELED);
		anyc_scope_leave(&s, rc);
	}
	CHECK(got == 9 && memcmp(buf, "all of it", 9) == 0);
	CHECK_INT(rounds, >, 1);
	link_free(&l);
	fixture_end(&f);
}

/* --------------------------------------------------------------------------- checkpoints */

ANYC_TEST(tls, r11_every_call_is_one_checkpoint)
{
	struct ticker t = { .stop = false };
	struct anyc_scope s;
	struct anyc_group g;
	struct fixture f;
	struct link l;
	char buf[4];
	int before;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_send(l.server.stream, "abcdefgh", 8));
	check_receives(l.client.stream, "abcdefgh");
	CHECK_OK(anyc_stream_send(l.server.stream, "abcdefgh", 8));
	CHECK_INT(anyc_stream_receive(l.client.stream, buf, 1), ==, 1);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tick_on, &t));
	CHECK_OK(anyc_checkpoint());

	/* Data that is already decrypted; a transport that is ready; the end. */
	before = t.ticks;
	CHECK_INT(anyc_stream_receive(l.client.stream, buf, 1), ==, 1);
	CHECK_INT(t.ticks - before, ==, 1);
	before = t.ticks;
	CHECK_INT(anyc_stream_receive(l.client.stream, buf, 1), ==, 1);
	CHECK_INT(t.ticks - before, ==, 1);
	before = t.ticks;
	CHECK_OK(anyc_stream_send(l.client.stream, "x", 1));
	CHECK_INT(t.ticks - before, ==, 1);

	/* Cancelled first, and without effect. */
	anyc_scope_enter_move_on(&s, 0);
	CHECK_RC(anyc_stream_receive(l.client.stream, buf, 1), ANYC_ECANCELED);
	CHECK_RC(anyc_stream_send(l.client.stream, "y", 1), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_INT(anyc_stream_receive(l.client.stream, buf, 4), ==, 4);
	CHECK(memcmp(buf, "defg", 4) == 0);
	CHECK_OK(anyc_stream_send(l.client.stream, "z", 1));
	t.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_stream_receive(l.server.stream, buf, 1), ==, 1);
	CHECK(buf[0] == 'x');
	CHECK_INT(anyc_stream_receive(l.server.stream, buf, 1), ==, 1);
	CHECK(buf[0] == 'z');
	link_free(&l);
	fixture_end(&f);
}

/* ------------------------------------------------------------------------------- truncation */

/* After n bytes the transport ends, between two records. */
static void check_truncated(int version, size_t n, bool ragged)
{
	struct transfer in = { .size = n, .piece = 4000 };
	char *data = calloc(1, n + 1), c;
	struct fixture f;
	struct link l;
	int i;

	CHECK(data != NULL);
	fixture_make(&f);
	fixture_newest(&f, version);
	link_prepare(&l, &f, NULL);
	l.client.options.ragged_eof = ragged;
	link_shake(&l);
	CHECK_OK(l.client.rc);
	if (n > 0)
		CHECK_OK(anyc_stream_send(l.server.stream, data, n));
	pair_cut_after(l.server.below, 0);
	in.stream = l.client.stream;
	CHECK_OK(transfer_in(&in));
	CHECK_INT(in.done, ==, n);
	for (i = 0; i < 3; i++) {
		CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ragged ? 0 : ANYC_EBROKEN);
		if (i == 0 && !ragged)
			CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), MISSING);
		CHECK_INT(ragged ? 0 : anyc_error_errno(ANYC_EBROKEN), ==, 0);
	}
	for (i = 0; i < 2; i++)
		CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBROKEN);
	link_free(&l);
	fixture_end(&f);
	free(data);
}

ANYC_TEST(tls, b146_truncation_is_broken)
{
	static const size_t sizes[] = { 0, 1, 50000 };
	size_t v, i;

	for (v = 0; v < 2; v++)
		for (i = 0; i < 3; i++)
			check_truncated(versions[v], sizes[i], false);
}

ANYC_TEST(tls, g08_ragged_end_is_an_end_and_sends_are_broken)
{
	size_t v;

	for (v = 0; v < 2; v++) {
		check_truncated(versions[v], 0, true);
		check_truncated(versions[v], 50000, true);
	}
}

/* Inside a record: in its head, right after it, in its body.  Even for who takes ragged ends. */
ANYC_TEST(tls, b146_truncation_inside_a_record)
{
	static const size_t cuts[] = { 1, 5, 6, 200 };
	struct fixture f;
	struct link l;
	size_t i, v;
	char c[300] = "";
	int ragged;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		for (i = 0; i < 4; i++) {
			for (ragged = 0; ragged < 2; ragged++) {
				link_prepare(&l, &f, NULL);
				l.client.options.ragged_eof = ragged;
				link_shake(&l);
				CHECK_OK(l.client.rc);
				pair_cut_after(l.server.below, cuts[i]);
				CHECK_OK(anyc_stream_send(l.server.stream, c, sizeof c));
				CHECK_RC(anyc_stream_receive(l.client.stream, c, sizeof c),
					 ANYC_EBROKEN);
				CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), MISSING);
				link_free(&l);
			}
		}
		fixture_end(&f);
	}
}

ANYC_TEST(tls, b146_end_in_the_handshake_is_broken)
{
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	pair_cut_after(l.server.below, 50);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, shake, &l.server));
	CHECK_OK(shake(&l.client));
	CHECK_RC(l.client.rc, ANYC_EBROKEN);
	CHECK_HAS(l.client.detail, "with localhost ended in the TLS handshake");
	shake_free(&l.client);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(l.server.rc, ANYC_EBROKEN);
	CHECK_HAS(l.server.detail, "with a client ended in the TLS handshake");
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, c15_a_changed_byte_is_broken)
{
	struct fixture f;
	struct link l;
	size_t v;
	char c;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		pair_corrupt(l.server.below, 20);
		CHECK_OK(anyc_stream_send(l.server.stream, "truth", 5));
		CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBROKEN);
		CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "bad record mac");
		CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBROKEN);
		CHECK_RC(anyc_stream_send(l.client.stream, &c, 1), ANYC_EBROKEN);
		/* The peer was told why. */
		CHECK_RC(anyc_stream_receive(l.server.stream, &c, 1), ANYC_EBROKEN);
		CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "alert");
		link_free(&l);
		fixture_end(&f);
	}
}

/* ------------------------------------------------------------------- two directions at once */

ANYC_TEST(tls, b153_receive_goes_on_while_a_send_is_blocked)
{
	struct transfer out = { .size = 500000, .piece = 500000 };
	struct transfer in = { .size = 500000, .piece = 10000 };
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	out.stream = l.client.stream;
	pair_clog(l.client.below, true);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	SETTLE();
	check_talk(l.server.stream, l.client.stream);
	CHECK_INT(out.done, ==, 0);
	pair_clog(l.client.below, false);
	in.stream = l.server.stream;
	CHECK_OK(transfer_in(&in));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(out.rc);
	CHECK(in.hash == out.hash);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b153_send_goes_on_while_a_receive_waits)
{
	struct receiver in = { .rc = 0 };
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	in.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_task, &in));
	SETTLE();
	check_talk(l.client.stream, l.server.stream);
	CHECK(!in.done);
	CHECK_OK(anyc_stream_send(l.server.stream, "at last", 7));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(in.rc, 7);
	link_free(&l);
	fixture_end(&f);
}

/* Inside a record neither a cancellation nor an error can be undone. */
ANYC_TEST(tls, b153_send_cancelled_inside_a_record_breaks_the_stream)
{
	struct pair_options small = { .capacity = 4000 };
	struct transfer out = { .size = 100000, .piece = 100000 };
	struct transfer in = { .size = 100000, .piece = 5000 };
	struct anyc_group g;
	struct fixture f;
	struct link l;
	char c;

	fixture_make(&f);
	link_make(&l, &f, &small);
	out.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	SETTLE();
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(out.rc, ANYC_ECANCELED);
	CHECK_INT(out.done, ==, 0);
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "cancelled inside a TLS record");
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBROKEN);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBROKEN);
	anyc_stream_free(l.client.stream);
	l.client.stream = l.client.below = NULL;
	/* No goodbye made it look like the end. */
	in.stream = l.server.stream;
	CHECK_OK(transfer_in(&in));
	CHECK_RC(in.rc, ANYC_EBROKEN);
	link_free(&l);
	fixture_end(&f);
}

/* The transport breaks under the only copy of a record. */
ANYC_TEST(tls, b153_transport_that_breaks_under_a_send)
{
	struct transfer out = { .size = 100000, .piece = 100000 };
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	out.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	SETTLE();
	pair_break(l.client.below, ECONNRESET);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(out.rc, ANYC_EBROKEN);
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
	link_free(&l);
	fixture_end(&f);
}

/* A peer that asks for new keys while it takes nothing does not stop us from receiving. */
ANYC_TEST(tls, b153_key_update_is_answered)
{
	struct fixture f;
	struct link l;
	int i;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	for (i = 0; i < 4; i++) {
		SSL *ssl = anyc_tls_stream_openssl(l.server.stream);

		pair_clog(l.client.below, i % 2 == 1);
		CHECK(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
		CHECK_OK(anyc_stream_send(l.server.stream, "new keys", 8));
		check_receives(l.client.stream, "new keys");
		pair_clog(l.client.below, false);
		check_talk(l.client.stream, l.server.stream);
		check_talk(l.server.stream, l.client.stream);
	}
	link_free(&l);
	fixture_end(&f);
}

/* -------------------------------------------------------------------------- without waiting */

static void check_receive_nowait(struct link *l)
{
	char buf[100];

	CHECK_RC(anyc_stream_receive_flags(l->client.stream, buf, sizeof buf, ANYC_NOWAIT),
		 ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_stream_send(l->server.stream, "abc", 3));
	CHECK_RC(anyc_stream_receive_flags(l->client.stream, buf, sizeof buf, ANYC_NOWAIT), 3);
	CHECK_RC(anyc_stream_receive_flags(l->client.stream, buf, sizeof buf, ANYC_NOWAIT),
		 ANYC_EWOULDBLOCK);
}

static int send_nowait(struct anyc_stream *s, size_t from, size_t n)
{
	static unsigned char buf[40000];
	struct iovec iov = { buf, n };
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = transfer_byte(from + i);
	return anyc_stream_send_some(s, &iov, 1, ANYC_NOWAIT);
}

ANYC_TEST(tls, r16_nowait_never_waits_and_loses_nothing)
{
	struct pair_options small = { .capacity = 1000 };
	struct transfer in = { .piece = 3000 };
	struct receiver answer = { .rc = 0 };
	struct anyc_group g;
	struct fixture f;
	struct link l;
	bool ran = false;
	size_t sent = 0;
	int rc, refused = 0;

	fixture_make(&f);
	link_make(&l, &f, &small);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	while ((rc = send_nowait(l.client.stream, sent, 20000)) > 0)
		sent += (size_t)rc;
	CHECK_RC(rc, ANYC_EWOULDBLOCK);
	CHECK_RC(send_nowait(l.client.stream, sent, 20000), ANYC_EWOULDBLOCK);
	CHECK(!ran);
	CHECK_OK(anyc_group_leave(&g, 0));
	check_receive_nowait(&l);

	/* The rest with the peer reading now and then. */
	in.stream = l.server.stream;
	while (sent < 100000) {
		rc = send_nowait(l.client.stream, sent, 20000);
		if (rc > 0) {
			sent += (size_t)rc;
			continue;
		}
		CHECK_RC(rc, ANYC_EWOULDBLOCK);
		refused++;
		for (;;) {
			unsigned char buf[3000];

			rc = anyc_stream_receive_flags(in.stream, buf, sizeof buf, ANYC_NOWAIT);
			if (rc < 0)
				break;
			in.hash = transfer_hash(in.hash, buf, (size_t)rc);
			in.done += (size_t)rc;
		}
		CHECK_RC(rc, ANYC_EWOULDBLOCK);
	}
	CHECK_INT(refused, >, 10);
	/* What was accepted and not yet sent goes out while the sender waits for an answer. */
	in.size = sent;
	answer.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_task, &answer));
	CHECK_OK(transfer_in(&in));
	CHECK_INT(in.done, ==, sent);
	CHECK_OK(anyc_stream_send(l.server.stream, "thanks", 6));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(answer.rc, 6);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, r16_one_send_is_one_send_below)
{
	char head[] = "head ", body[] = "and body";
	struct iovec iov[3] = { { head, 5 }, { head, 0 }, { body, 8 } };
	static char big[60000];
	struct pair_counts before, after;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, &(struct pair_options){ .capacity = 200000 });
	before = counts_of(l.client.below);
	CHECK_OK(anyc_stream_send(l.client.stream, big, sizeof big));
	after = counts_of(l.client.below);
	CHECK_INT(after.sends - before.sends, ==, 1);
	CHECK_INT(after.sent - before.sent, <, sizeof big + 4 * 40);
	before = after;
	CHECK_OK(anyc_stream_sendv(l.client.stream, iov, 3));
	after = counts_of(l.client.below);
	CHECK_INT(after.sends - before.sends, ==, 1);
	/* One record: small neighbours share it. */
	CHECK_INT(after.sent - before.sent, <, 13 + 40);
	CHECK_OK(anyc_stream_send(l.client.stream, big, 0));
	CHECK_INT(counts_of(l.client.below).sends, ==, after.sends);
	link_free(&l);
	fixture_end(&f);
}

/* What another task does while one sends. */
struct beside {
	struct anyc_stream *closes, *frees; /* or NULL */
	bool cancels;                       /* the sender's scope */
	struct anyc_scope scope;
	bool stop;
	int turns, rc;
};
static int take_turns(void *arg)
{
	struct beside *b = arg;

	while (!b->stop) {
		CHECK_OK(anyc_checkpoint());
		if (b->turns++ == 0 && b->closes != NULL)
			b->rc = anyc_stream_close(b->closes);
		anyc_stream_free(b->frees);
		b->frees = NULL;
		if (b->cancels)
			CHECK_OK(anyc_scope_cancel(&b->scope, NULL));
		b->cancels = false;
	}
	return 0;
}

static int send_beside(struct link *l, struct beside *b)
{
	static char four_records[60000];
	struct iovec all = { four_records, sizeof four_records };
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_turns, b));
	CHECK_OK(anyc_checkpoint());
	anyc_scope_enter(&b->scope, NULL);
	rc = anyc_stream_send_some(l->client.stream, &all, 1, 0);
	if (anyc_has_pending_cancellation())
		CHECK_RC(anyc_stream_send_some(l->client.stream, &all, 1, 0), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&b->scope, 0));
	b->stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
	return rc;
}

ANYC_TEST(tls, r16_a_send_gives_way_after_each_record)
{
	struct beside beside = { .turns = 0 };
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, &(struct pair_options){ .capacity = 200000 });
	CHECK_RC(send_beside(&l, &beside), 60000);
	CHECK_INT(beside.turns, >=, 4);
	link_free(&l);
	fixture_end(&f);
}

/* What was taken by then arrives, if not at once, and the stream is whole. */
static void cancel_between_records(struct fixture *f, size_t capacity)
{
	struct transfer in = { .piece = 100000 };
	struct beside beside = { .cancels = true };
	struct receiver answer = { .rc = 0 };
	struct anyc_group g;
	struct link l;
	int rc;

	link_make(&l, f, &(struct pair_options){ .capacity = capacity });
	rc = send_beside(&l, &beside);
	CHECK_INT(rc, >, 0);
	CHECK_INT(rc, <, 60000);
	in.size = (size_t)rc;
	in.stream = l.server.stream;
	answer.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_task, &answer));
	CHECK_OK(transfer_in(&in));
	CHECK_OK(anyc_stream_send(l.server.stream, "thanks", 6));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(answer.rc, 6);
	check_talk(l.client.stream, l.server.stream);
	link_free(&l);
}

ANYC_TEST(tls, r16_cancelled_between_the_records_of_a_send)
{
	struct fixture f;

	fixture_make(&f);
	cancel_between_records(&f, 200000);
	cancel_between_records(&f, 1000);
	fixture_end(&f);
}

ANYC_TEST(tls, r16_closed_between_the_records_of_a_send)
{
	struct beside beside = { .rc = 1 };
	struct fixture f;
	struct link l;
	char c;

	fixture_make(&f);
	link_make(&l, &f, &(struct pair_options){ .capacity = 200000 });
	beside.closes = l.client.stream;
	CHECK_RC(send_beside(&l, &beside), ANYC_ECLOSED);
	CHECK_OK(beside.rc);
	CHECK_RC(anyc_stream_receive(l.server.stream, &c, 1), ANYC_EBROKEN);
	link_free(&l);

	link_make(&l, &f, &(struct pair_options){ .capacity = 200000 });
	beside = (struct beside){ .frees = l.client.stream };
	CHECK_RC(send_beside(&l, &beside), ANYC_ECLOSED);
	CHECK_RC(anyc_stream_receive(l.server.stream, &c, 1), ANYC_EBROKEN);
	l.client.stream = l.client.below = NULL;
	link_free(&l);
	fixture_end(&f);
}

/* --------------------------------------------------------------------------------- closing */

ANYC_TEST(tls, r17_close_says_goodbye_and_reads_what_is_there)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_send(l.server.stream, "never read", 10));
	CHECK_INT(counts_of(l.server.below).undelivered, >, 0);
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK_INT(counts_of(l.server.below).undelivered, ==, 0);
	CHECK(pair_peer_closed(l.server.below));
	check_end(l.server.stream);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, r15_free_closes_at_once)
{
	struct fixture f;
	struct link l;
	bool ran = false;
	struct anyc_group g;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	anyc_stream_free(l.client.stream);
	CHECK(!ran);
	CHECK_OK(anyc_group_leave(&g, 0));
	l.client.stream = l.client.below = NULL;
	CHECK(pair_peer_closed(l.server.below));
	check_end(l.server.stream);
	link_free(&l);

	/* Nobody takes the goodbye: it is not waited for. */
	link_make(&l, &f, NULL);
	pair_clog(l.client.below, true);
	anyc_stream_free(l.client.stream);
	l.client.stream = l.client.below = NULL;
	CHECK(pair_peer_closed(l.server.below));
	CHECK_RC(anyc_stream_receive(l.server.stream, &ran, 1), ANYC_EBROKEN);
	link_free(&l);
	fixture_end(&f);
}

static void free_outside(void *arg)
{
	anyc_stream_free(arg);
}

ANYC_TEST_ON(tls, r15_free_outside_tasks, ANYC_ROWS_LOOP)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	host_call(anyc_test_host(), free_outside, l.client.stream);
	l.client.stream = l.client.below = NULL;
	check_end(l.server.stream);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, r15_close_below_a_wrap)
{
	struct shake waiting = { .host = "localhost" };
	struct anyc_stream *peer;
	struct anyc_group g;
	struct fixture f;

	fixture_make(&f);
	pair_make(&waiting.below, &peer, NULL);
	waiting.options.context = f.client;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, shake, &waiting));
	SETTLE();
	/* Under a wrap the transport is still its owner's to close. */
	CHECK_OK(anyc_stream_close(waiting.below));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(waiting.rc, ANYC_ECLOSED);
	shake_free(&waiting);
	anyc_stream_free(peer);
	fixture_end(&f);
}

ANYC_TEST(tls, r17_no_goodbye_on_a_broken_stream)
{
	struct fixture f;
	struct link l;
	size_t unread;
	char c;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	check_talk(l.client.stream, l.server.stream);
	pair_cut_after(l.server.below, 0);
	CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_EBROKEN);
	unread = counts_of(l.server.below).unread;
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK_INT(counts_of(l.server.below).unread, ==, unread);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b151_close_against_a_silent_peer)
{
	struct anyc_scope s;
	struct fixture f;
	struct link l;
	int64_t start = anyc_now();

	fixture_make(&f);
	/* Its silence alone holds nobody up... */
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_close(l.client.stream));
	link_free(&l);
	/* ...and where not even the goodbye fits, the scope ends it. */
	link_make(&l, &f, NULL);
	pair_clog(l.client.below, true);
	anyc_scope_enter_timeout(&s, MS(20));
	CHECK_RC(anyc_scope_leave(&s, anyc_stream_close(l.client.stream)), ANYC_ETIMEDOUT);
	CHECK(pair_peer_closed(l.server.below));
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_ECLOSED);
	CHECK_INT(anyc_now() - start, <, 5 * ANYC_SECOND * anyc_test_slow());
	link_free(&l);
	fixture_end(&f);
}

/* ---------------------------------------------------------------------------------- unwrap */

struct unwrapper {
	struct anyc_stream *stream, *transport;
	void *rest;
	size_t rest_size;
	int rc;
};
static int unwrap_task(void *arg)
{
	struct unwrapper *u = arg;

	u->rc = anyc_tls_unwrap(u->stream, &u->transport, &u->rest, &u->rest_size);
	CHECK((u->rc == 0) == (u->transport != NULL));
	return 0;
}

static int close_it(void *arg)
{
	return anyc_stream_close(arg);
}

static int receive_nothing(void *arg)
{
	char c;
	int rc = anyc_stream_receive(arg, &c, 1);

	return rc == ANYC_ECLOSED ? 0 : rc;
}

/* The receiver helps to send what a call that did not wait has left: that is no task in a send. */
ANYC_TEST(tls, r17_closed_while_a_task_receives)
{
	static char data[5000];
	struct iovec all = { data, sizeof data };
	struct anyc_stream *a, *b;
	struct anyc_group g;
	struct fixture f;
	struct link l;
	size_t total = 0;
	char buf[1000];
	int n;

	fixture_make(&f);
	CHECK_OK(anyc_stream_pair(&a, &b, 1024));
	link_over(&l, &f, a, b);
	while (anyc_stream_receive_flags(l.client.stream, buf, 1, ANYC_NOWAIT) > 0)
		; /* tickets */
	CHECK_RC(anyc_stream_send_some(l.client.stream, &all, 1, ANYC_NOWAIT), sizeof data);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_nothing, l.client.stream));
	SETTLE();
	CHECK_OK(anyc_spawn(&g, close_it, l.client.stream));
	SETTLE();
	while ((n = anyc_stream_receive(l.server.stream, buf, sizeof buf)) > 0)
		total += (size_t)n;
	CHECK_OK(n);
	CHECK_INT(total, ==, sizeof data);
	CHECK_OK(anyc_group_leave(&g, 0));
	link_free(&l);
	fixture_end(&f);
}

/* An unwrap that was cancelled has ended the sending; receiving goes on, and so may the unwrap. */
ANYC_TEST(tls, b150_a_send_after_a_cancelled_unwrap)
{
	struct unwrapper client, again;
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	again = client = (struct unwrapper){ .stream = l.client.stream };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, unwrap_task, &client));
	SETTLE();
	anyc_group_cancel(&g, NULL);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(client.rc, ANYC_ECANCELED);
	CHECK_OK(anyc_stream_send(l.server.stream, "hello", 5));
	CHECK_RC(anyc_stream_send(l.client.stream, "x", 1), ANYC_ECLOSED);
	check_receives(l.client.stream, "hello");
	CHECK_OK(anyc_stream_close(l.server.stream));
	CHECK_OK(unwrap_task(&again));
	CHECK_OK(again.rc);
	CHECK(again.transport == l.client.below);
	anyc_tls_free_rest(again.rest);
	anyc_stream_free(l.client.stream);
	l.client.stream = NULL;
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b150_unwrap_gives_the_transport_and_what_follows)
{
	struct unwrapper client, server, again;
	struct anyc_group g;
	struct fixture f;
	struct link l;
	size_t v;
	char c;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		client = (struct unwrapper){ .stream = l.client.stream };
		again = server = (struct unwrapper){ .stream = l.server.stream };
		/* Late data is dropped, what comes after the close is not. */
		CHECK_OK(anyc_stream_send(l.server.stream, "late", 4));
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, unwrap_task, &server));
		SETTLE();
		CHECK_OK(anyc_stream_send(l.server.below, "plain", 5));
		CHECK_OK(unwrap_task(&client));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_OK(client.rc);
		CHECK_OK(server.rc);
		CHECK(client.transport == l.client.below && server.transport == l.server.below);
		CHECK_INT(client.rest_size, ==, 5);
		CHECK(memcmp(client.rest, "plain", 5) == 0);
		CHECK(server.rest == NULL && server.rest_size == 0);
		anyc_tls_free_rest(client.rest);
		anyc_tls_free_rest(NULL);
		/* The TLS streams are closed, and the transports live. */
		CHECK_RC(anyc_stream_receive(l.client.stream, &c, 1), ANYC_ECLOSED);
		CHECK_OK(unwrap_task(&again));
		CHECK_RC(again.rc, ANYC_ECLOSED);
		anyc_stream_free(l.client.stream);
		anyc_stream_free(l.server.stream);
		l.client.stream = l.server.stream = NULL;
		CHECK_OK(anyc_stream_send(l.client.below, "after", 5));
		check_receives(l.server.below, "after");
		/* It can be wrapped anew. */
		link_shake(&l);
		CHECK_OK(l.client.rc);
		CHECK_OK(l.server.rc);
		check_talk(l.client.stream, l.server.stream);
		link_free(&l);
		fixture_end(&f);
	}
}

static size_t allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Behind close_notify nothing may follow: answers to what the peer goes on sending are dropped. */
ANYC_TEST(tls, b150_unwrap_keeps_no_answers)
{
	struct unwrapper u;
	struct anyc_group g;
	struct fixture f;
	struct link l;
	size_t before;
	int i;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	u = (struct unwrapper){ .stream = l.client.stream };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, unwrap_task, &u));
	SETTLE();
	before = allocated();
	for (i = 0; i < 10000; i++) {
		SSL *ssl = anyc_tls_stream_openssl(l.server.stream);

		CHECK(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
		CHECK_OK(anyc_stream_send(l.server.stream, "x", 1));
	}
	/* An answer takes 27 bytes. */
	CHECK_INT(allocated(), <, before + 100000);
	CHECK_OK(anyc_stream_close(l.server.stream));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(u.rc);
	anyc_tls_free_rest(u.rest);
	anyc_stream_free(l.client.stream);
	l.client.stream = NULL;
	link_free(&l);
	fixture_end(&f);
}

static int move_it(void *arg)
{
	return anyc_stream_move(arg);
}

/* The transport is on its way: nothing is given away, and nothing changed. */
ANYC_TEST(tls, b150_unwrap_while_it_moves)
{
	struct anyc_stream *a, *b;
	struct unwrapper u;
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	CHECK_OK(anyc_unix_pair(&a, &b));
	link_over(&l, &f, a, b);
	u = (struct unwrapper){ .stream = l.client.stream };
	/* The goodbye is there, so an unwrap would need nothing of the transport. */
	CHECK_OK(anyc_stream_send(l.server.stream, "x", 1));
	CHECK_OK(anyc_stream_close(l.server.stream));
	check_receives(l.client.stream, "x");
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, move_it, l.client.stream));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(unwrap_task(&u));
	CHECK_RC(u.rc, ANYC_EBUSY);
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, move_it, l.client.stream));
	CHECK_OK(anyc_checkpoint());
	CHECK_RC(anyc_tls_handshake(l.client.stream), ANYC_EBUSY);
	CHECK_OK(anyc_group_leave(&g, 0));
	check_end(l.client.stream);
	link_free(&l);
	fixture_end(&f);
}

static int unwrap_that_is_closed(void *arg)
{
	struct unwrapper *u = arg;

	/* An older sentence of the same code. */
	ANYC_IGNORE(anyc_fail(ANYC_ECLOSED, 0, "old"));
	CHECK_OK(unwrap_task(u));
	CHECK_RC(u->rc, ANYC_ECLOSED);
	CHECK_STR(anyc_error_detail(ANYC_ECLOSED),
		  "anyc_tls_unwrap(): another task has closed the stream");
	return 0;
}

ANYC_TEST(tls, r14_unwrap_of_a_stream_that_is_closed_meanwhile)
{
	struct unwrapper u;
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	u = (struct unwrapper){ .stream = l.client.stream };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, unwrap_that_is_closed, &u));
	SETTLE();
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK_OK(anyc_group_leave(&g, 0));
	link_free(&l);
	fixture_end(&f);
}

static void call_closed(void *arg)
{
	struct unwrapper u = { .stream = arg };

	CHECK_RC(anyc_tls_handshake(arg), ANYC_ENOTASK);
	CHECK_RC(anyc_tls_handshake(NULL), ANYC_ENOTASK);
	CHECK_OK(unwrap_task(&u));
	CHECK_RC(u.rc, ANYC_ENOTASK);
}

/* A refusal comes after what every checkpoint does, and says why. */
ANYC_TEST(tls, r11_refusals_are_checkpoints)
{
	struct unwrapper u;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_close(l.client.stream));
	u = (struct unwrapper){ .stream = l.client.stream };
	ANYC_CHECK_CANCELLED(anyc_tls_handshake(l.client.stream));
	ANYC_CHECK_CANCELLED(anyc_tls_unwrap(u.stream, &u.transport, &u.rest, &u.rest_size));
	ANYC_CHECK_CHECKPOINT(CHECK_RC(anyc_tls_handshake(l.client.stream), ANYC_ECLOSED));
	CHECK_HAS(anyc_error_detail(ANYC_ECLOSED), "anyc_tls_handshake()");
	ANYC_CHECK_CHECKPOINT(CHECK_OK(unwrap_task(&u)));
	CHECK_RC(u.rc, ANYC_ECLOSED);
	CHECK_HAS(anyc_error_detail(ANYC_ECLOSED), "anyc_tls_unwrap()");
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST_ON(tls, r11_refusals_outside_tasks, ANYC_ROWS_LOOP)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_close(l.client.stream));
	host_call(anyc_test_host(), call_closed, l.client.stream);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, r16_no_place_for_a_result)
{
	struct unwrapper u = { .stream = NULL };
	struct anyc_tls_options options = { .server = true };
	struct anyc_stream *a, *b;

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	CHECK_RC(anyc_tls_wrap(NULL, a, "localhost", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tls_connect(NULL, "localhost", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tls_listener(NULL, NULL, &options), ANYC_EINVAL);
	CHECK_RC(anyc_tls_client_context(NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tls_unwrap(a, NULL, &u.rest, &u.rest_size), ANYC_EINVAL);
	CHECK_RC(anyc_tls_unwrap(a, &u.transport, NULL, &u.rest_size), ANYC_EINVAL);
	CHECK_RC(anyc_tls_unwrap(a, &u.transport, &u.rest, NULL), ANYC_EINVAL);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(tls, b150_unwrap_that_fails)
{
	struct unwrapper u;
	struct receiver in = { .rc = 0 };
	struct anyc_group g;
	struct anyc_scope s;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, NULL);
	u = (struct unwrapper){ .stream = l.client.stream };
	in.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_task, &in));
	SETTLE();
	CHECK_OK(unwrap_task(&u));
	CHECK_RC(u.rc, ANYC_EBUSY);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));

	anyc_scope_enter_timeout(&s, MS(5));
	CHECK_OK(unwrap_task(&u));
	CHECK_RC(anyc_scope_leave(&s, u.rc), ANYC_ETIMEDOUT);
	pair_cut_after(l.server.below, 0);
	CHECK_OK(unwrap_task(&u));
	CHECK_RC(u.rc, ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), MISSING);
	link_free(&l);
	fixture_end(&f);
}

/* ------------------------------------------------------------------------------- handshake */

ANYC_TEST(tls, g01_wrap_that_ends_leaves_the_transport)
{
	struct anyc_scope s;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	l.client.options.handshake_timeout = MS(10);
	CHECK_OK(shake(&l.client));
	CHECK_RC(l.client.rc, ANYC_ETIMEDOUT);
	CHECK_HAS(l.client.detail, "took longer than 0.01 s");
	CHECK_OK(anyc_stream_send(l.client.below, "x", 1));

	l.client.options.handshake_timeout = ANYC_FOREVER;
	anyc_scope_enter_timeout(&s, MS(10));
	CHECK_OK(shake(&l.client));
	CHECK_RC(anyc_scope_leave(&s, l.client.rc), ANYC_ETIMEDOUT);
	CHECK_RC(l.client.rc, ANYC_ECANCELED);
	CHECK_OK(anyc_stream_send(l.client.below, "x", 1));
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, g01_peer_that_does_not_speak_tls)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	CHECK_OK(anyc_stream_send(l.server.below, "HTTP/1.0 400 Bad Request\r\n", 26));
	CHECK_OK(shake(&l.client));
	CHECK_RC(l.client.rc, ANYC_ETLS);
	CHECK_HAS(l.client.detail, "wrong version number: does the peer speak TLS");
	link_free(&l);
	fixture_end(&f);
}

/* A client that never reads its tickets does not stop the server from serving it. */
ANYC_TEST(tls, c14_unread_tickets_do_not_block_the_server)
{
	struct pair_options tiny = { .capacity = 40 };
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_make(&l, &f, &tiny);
	check_talk(l.client.stream, l.server.stream);
	check_talk(l.server.stream, l.client.stream);
	link_free(&l);
	fixture_end(&f);
}

/* Once the server has answered it can send no more: its tickets are lost, and nothing else. */
static int deafen_task(void *arg)
{
	struct link *l = arg;

	while (counts_of(l->server.below).sends == 0)
		CHECK_OK(anyc_checkpoint());
	pair_deafen(l->client.below);
	return 0;
}

ANYC_TEST(tls, c14_lost_tickets_do_not_fail_the_handshake)
{
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, deafen_task, &l));
	link_shake(&l);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(l.client.rc);
	CHECK_OK(l.server.rc);
	CHECK_OK(anyc_stream_send(l.client.stream, "bye", 3));
	CHECK_OK(anyc_stream_close(l.client.stream));
	check_receives(l.server.stream, "bye");
	check_end(l.server.stream);
	CHECK_RC(anyc_stream_send(l.server.stream, "x", 1), ANYC_EBROKEN);
	link_free(&l);
	fixture_end(&f);
}

/* The queue of errors is the thread's: one task's failures must not become another's. */
struct failer {
	struct fixture *f;
	int failures;
	bool stop;
};
static int keep_failing(void *arg)
{
	struct failer *x = arg;

	while (!x->stop) {
		struct link l;

		link_prepare(&l, x->f, &(struct pair_options){ .most = 100 });
		l.client.host = "wrong.test";
		link_shake(&l);
		CHECK_RC(l.client.rc, ANYC_EVERIFY);
		link_free(&l);
		x->failures++;
	}
	return 0;
}

ANYC_TEST(tls, c14_errors_of_one_task_stay_its_own, .deadline = 30)
{
	struct pair_options shorts = { .most = 100, .seed = 3 };
	struct transfer out = { .size = 60000, .piece = 1000 };
	struct transfer in = { .size = 60000, .piece = 700 };
	struct failer x = { .stop = false };
	struct anyc_group g;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	x.f = &f;
	link_make(&l, &f, &shorts);
	out.stream = in.stream = l.client.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, keep_failing, &x));
	CHECK_OK(anyc_spawn(&g, echo, l.server.stream));
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	CHECK_OK(transfer_in(&in));
	x.stop = true;
	CHECK_OK(anyc_stream_close(l.client.stream));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(out.rc);
	CHECK_OK(in.rc);
	CHECK(in.hash == out.hash);
	CHECK_INT(x.failures, >, 3);
	link_free(&l);
	fixture_end(&f);
}

/* ---------------------------------------------------------------------------- other streams */

ANYC_TEST(tls, g01_tls_in_tls)
{
	struct fixture f;
	struct link outer, inner;

	fixture_make(&f);
	link_make(&outer, &f, NULL);
	link_over(&inner, &f, outer.client.stream, outer.server.stream);
	check_talk(inner.client.stream, inner.server.stream);
	CHECK_OK(anyc_stream_close(inner.client.stream));
	check_end(inner.server.stream);
	link_free(&inner);
	fixture_end(&f);
}

/* Each answer cuts off the client's help with its leftovers, which nobody reads before the last. */
static int read_and_answer(void *arg)
{
	struct transfer *in = arg;
	size_t all = in->size;
	int i;

	in->size = 8000;
	CHECK_OK(transfer_in(in));
	for (i = 0; i < 3; i++) {
		SETTLE();
		CHECK_OK(anyc_stream_send(in->stream, "hi", 2));
	}
	in->size = all;
	CHECK_OK(transfer_in(in));
	return anyc_stream_send(in->stream, "thanks", 6);
}

static void check_leftovers_over(struct fixture *f, struct anyc_stream *client,
				 struct anyc_stream *server)
{
	struct transfer in = { .piece = 1000 };
	uint64_t hash = 0;
	struct anyc_group g;
	struct link l;
	size_t i;
	int rc;

	link_over(&l, f, client, server);
	while ((rc = send_nowait(l.client.stream, in.size, 8000)) > 0)
		in.size += (size_t)rc;
	CHECK_RC(rc, ANYC_EWOULDBLOCK);
	CHECK_INT(in.size, >, 20000);
	in.stream = l.server.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, read_and_answer, &in));
	for (i = 0; i < 3; i++)
		check_receives(l.client.stream, "hi");
	check_receives(l.client.stream, "thanks");
	CHECK_OK(anyc_group_leave(&g, 0));
	for (i = 0; i < in.size; i++)
		hash = transfer_hash(hash, &(unsigned char){ transfer_byte(i) }, 1);
	CHECK(in.hash == hash);
	check_talk(l.client.stream, l.server.stream);
	link_free(&l);
}

ANYC_TEST(tls, g01_tls_in_tls_keeps_what_is_to_be_sent)
{
	struct pair_options small = { .capacity = 8192 };
	struct anyc_stream *between;
	struct fixture f;
	struct link outer;

	fixture_make(&f);
	link_make(&outer, &f, &small);
	check_leftovers_over(&f, outer.client.stream, outer.server.stream);
	link_make(&outer, &f, &small);
	CHECK_OK(anyc_buffered_stream(&between, outer.client.stream));
	check_leftovers_over(&f, between, outer.server.stream);
	fixture_end(&f);
}

/* Of two TLS streams below one receives and the other sends. */
ANYC_TEST(tls, g01_tls_over_a_staple_of_two)
{
	struct pair_options small = { .capacity = 1000 };
	struct transfer out = { .size = 45000, .piece = 5000 };
	struct transfer in = { .size = 45000, .piece = 1000 };
	struct anyc_stream *client, *server;
	struct anyc_group g;
	struct fixture f;
	struct link to, from, l;

	fixture_make(&f);
	link_make(&to, &f, &small);
	link_make(&from, &f, &small);
	CHECK_OK(anyc_stream_staple(&client, from.client.stream, to.client.stream));
	CHECK_OK(anyc_stream_staple(&server, to.server.stream, from.server.stream));
	link_over(&l, &f, client, server);
	out.stream = l.client.stream;
	in.stream = l.server.stream;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	CHECK_OK(transfer_in(&in));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(in.hash == out.hash);
	check_talk(l.client.stream, l.server.stream);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, g12_attributes)
{
	static const char *const names[] = { "TLSv1.2", "TLSv1.3" };
	char version[16], cipher[64];
	struct fixture f;
	struct link l;
	bool server;
	size_t v;
	int fd;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		CHECK_OK(anyc_stream_attribute(l.client.stream, &anyc_tls_attribute_version,
					       version, sizeof version));
		CHECK_STR(version, names[v]);
		CHECK_OK(anyc_stream_attribute(l.client.stream, &anyc_tls_attribute_cipher, cipher,
					       sizeof cipher));
		CHECK(cipher[0] != '\0');
		CHECK_OK(anyc_stream_attribute(l.client.stream, &anyc_tls_attribute_server_side,
					       &server, sizeof server));
		CHECK(!server);
		CHECK_OK(anyc_stream_attribute(l.server.stream, &anyc_tls_attribute_server_side,
					       &server, sizeof server));
		CHECK(server);
		/* Others are the transport's. */
		CHECK_RC(anyc_stream_attribute(l.server.stream, &anyc_attribute_fd, &fd, sizeof fd),
			 ANYC_ENOATTR);
		link_free(&l);
		fixture_end(&f);
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * TLS against peers and networks that mean no good: changed, cut and invented bytes at each stage,
 * renegotiation, floods; and transports that move a byte at a time.  Checks 9, 13, 14 and 15 of
 * reliability.md.  What is random comes from a seed, so that each run is the same.
 */
#include "conform_tls.h"

#include <anyc/net.h>

static unsigned draw(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

/* A handshake between two that must end, one way or the other, without anybody's patience. */
static int shake_and_hang_up(void *arg)
{
	struct shake *s = arg;

	CHECK_OK(shake(s));
	if (s->rc != 0)
		shake_free(s);
	return 0;
}

static void shake_both(struct link *l)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, shake_and_hang_up, &l->server));
	CHECK_OK(anyc_spawn(&g, shake_and_hang_up, &l->client));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* A failure that the other side may bring about. */
static void check_failure(int rc, const char *detail)
{
	if (rc != ANYC_ETLS && rc != ANYC_EBROKEN && rc != ANYC_EVERIFY && rc != ANYC_ETIMEDOUT)
		FAIL("%s (%s)", anyc_err_name(rc), detail);
	CHECK(detail[0] != '\0');
}

/* ------------------------------------------------------------------- changed and cut bytes */

#define CHANGES 120

/* It was a byte that nothing depends on, or it is still to come. */
static void check_said_or_broken(struct link *l)
{
	struct transfer out = { .stream = l->client.stream, .size = 2000, .piece = 2000 };
	struct transfer in = { .stream = l->server.stream, .size = 2000, .piece = 2000 };

	CHECK_OK(transfer_out(&out));
	if (out.rc != 0) {
		CHECK_RC(out.rc, ANYC_EBROKEN);
		return;
	}
	CHECK_OK(transfer_in(&in));
	if (in.rc != 0)
		CHECK_RC(in.rc, ANYC_EBROKEN);
	else
		CHECK(in.done == out.done && in.hash == out.hash);
}

ANYC_TEST(tls, c15_a_changed_byte_in_the_handshake, .deadline = 60)
{
	int failures = 0, i;
	unsigned seed = 7;
	struct fixture f;
	struct link l;
	size_t v;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		for (i = 0; i < CHANGES; i++) {
			link_prepare(&l, &f, NULL);
			/* A length that grew has both wait for more. */
			l.client.options.handshake_timeout = MS(30) * anyc_test_slow();
			l.server.options.handshake_timeout = MS(30) * anyc_test_slow();
			pair_corrupt(i % 2 ? l.client.below : l.server.below,
				     1 + draw(&seed) % (i % 2 ? 400 : 900));
			shake_both(&l);
			if (l.client.rc != 0)
				check_failure(l.client.rc, l.client.detail);
			if (l.server.rc != 0)
				check_failure(l.server.rc, l.server.detail);
			if (l.client.rc == 0 && l.server.rc == 0)
				check_said_or_broken(&l);
			failures += l.client.rc != 0 || l.server.rc != 0;
			link_free(&l);
		}
		fixture_end(&f);
	}
	CHECK_INT(failures, >, CHANGES);
}

ANYC_TEST(tls, b146_truncation_at_each_stage_of_the_handshake, .deadline = 60)
{
	struct fixture f;
	struct link l;
	size_t v, cut;
	int side, broken = 0;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		for (side = 0; side < 2; side++)
			for (cut = 0; cut < 1000; cut += 41) {
				link_prepare(&l, &f, NULL);
				pair_cut_after(side ? l.client.below : l.server.below, cut);
				shake_both(&l);
				CHECK(l.client.rc == 0 || l.client.rc == ANYC_EBROKEN);
				CHECK(l.server.rc == 0 || l.server.rc == ANYC_EBROKEN);
				CHECK(cut > 41 || (side ? l.server.rc : l.client.rc) != 0);
				broken += l.client.rc != 0 || l.server.rc != 0;
				link_free(&l);
			}
		fixture_end(&f);
	}
	CHECK_INT(broken, >, 40);
}

/* --------------------------------------------------------------------------- invented bytes */

static const struct {
	const char *what, *bytes;
	size_t size;
} invented[] = {
	{ "a record too long", "\x17\x03\x03\xff\xff", 5 },
	{ "a handshake too long", "\x16\x03\x03\xff\xff", 5 },
	{ "a message too long", "\x16\x03\x03\x00\x04\x01\xff\xff\xff", 9 },
	{ "no such content", "\x63\x03\x03\x00\x01x", 6 },
	{ "another version", "\x17\x09\x09\x00\x01x", 6 },
	{ "a record of nothing", "\x17\x03\x03\x00\x00", 5 },
	{ "SSL 2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11 },
	{ "HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35 },
	{ "an alert that is cut", "\x15\x03\x03\x00\x02\x02", 6 },
	{ "a fatal alert", "\x15\x03\x03\x00\x02\x02\x28", 7 },
};
#define INVENTED (sizeof invented / sizeof *invented)

/* Sent to one who waits, and then the end: it fails, and keeps to it. */
ANYC_TEST(tls, c14_malformed_input_in_the_handshake)
{
	struct anyc_group g;
	struct fixture f;
	struct link l;
	size_t i;
	int side;

	fixture_make(&f);
	for (side = 0; side < 2; side++)
		for (i = 0; i < INVENTED; i++) {
			struct shake *victim, *other;

			link_prepare(&l, &f, NULL);
			victim = side ? &l.server : &l.client;
			other = side ? &l.client : &l.server;
			anyc_group_enter(&g, NULL);
			CHECK_OK(anyc_spawn(&g, shake, victim));
			SETTLE();
			CHECK_OK(anyc_stream_send(other->below, invented[i].bytes,
						  invented[i].size));
			pair_cut_after(other->below, 0);
			CHECK_OK(anyc_group_leave(&g, 0));
			if (victim->rc != ANYC_ETLS && victim->rc != ANYC_EBROKEN)
				FAIL("%s: %s", invented[i].what, anyc_err_name(victim->rc));
			link_free(&l);
		}
	fixture_end(&f);
}

ANYC_TEST(tls, c14_malformed_input_after_the_handshake)
{
	struct fixture f;
	struct link l;
	size_t i, v;
	int side, rc;
	char c;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		for (i = 0; i < 2 * INVENTED; i++) {
			struct shake *victim, *other;

			link_make(&l, &f, NULL);
			side = i % 2;
			victim = side ? &l.server : &l.client;
			other = side ? &l.client : &l.server;
			CHECK_OK(anyc_stream_send(other->below, invented[i / 2].bytes,
						  invented[i / 2].size));
			pair_cut_after(other->below, 0);
			rc = anyc_stream_receive(victim->stream, &c, 1);
			if (rc != ANYC_EBROKEN)
				FAIL("%s: %d", invented[i / 2].what, rc);
			CHECK_RC(anyc_stream_receive(victim->stream, &c, 1), ANYC_EBROKEN);
			CHECK_RC(anyc_stream_send(victim->stream, "x", 1), ANYC_EBROKEN);
			link_free(&l);
		}
		fixture_end(&f);
	}
}

/* Records of random bytes behind a good head, and bytes without one, at both ends. */
ANYC_TEST(tls, c14_random_bytes, .deadline = 30)
{
	unsigned char bytes[300];
	struct anyc_group g;
	unsigned seed = 11;
	struct fixture f;
	struct link l;
	size_t k, size;
	int i;

	fixture_make(&f);
	for (i = 0; i < 200; i++) {
		struct shake *victim, *other;

		link_prepare(&l, &f, NULL);
		victim = i % 2 ? &l.server : &l.client;
		other = i % 2 ? &l.client : &l.server;
		size = 5 + draw(&seed) % (sizeof bytes - 5);
		for (k = 0; k < size; k++)
			bytes[k] = (unsigned char)draw(&seed);
		if (i % 4 < 2) {
			bytes[0] = (unsigned char)(0x14 + draw(&seed) % 4);
			bytes[1] = 3;
			bytes[2] = (unsigned char)(1 + draw(&seed) % 4);
			bytes[3] = (unsigned char)((size - 5) >> 8);
			bytes[4] = (unsigned char)(size - 5);
		}
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, shake, victim));
		SETTLE();
		CHECK_OK(anyc_stream_send(other->below, bytes, size));
		pair_cut_after(other->below, 0);
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK(victim->rc == ANYC_ETLS || victim->rc == ANYC_EBROKEN);
		link_free(&l);
	}
	fixture_end(&f);
}

/* ------------------------------------------------------------------- records without data */

static void send_key_updates(struct anyc_stream *s, int count)
{
	SSL *ssl = anyc_tls_stream_openssl(s);

	while (count-- > 0) {
		CHECK_INT(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), ==, 1);
		CHECK_INT(SSL_do_handshake(ssl), ==, 1);
	}
	CHECK_OK(anyc_stream_send(s, "data", 4));
}

/* Others have a turn after each, and a peer that sends nothing else is not listened to for ever. */
ANYC_TEST(tls, c14_key_updates_without_end)
{
	struct ticker other = { .stop = false };
	struct anyc_group g;
	struct fixture f;
	struct link l;
	char buf[8];

	fixture_make(&f);
	fixture_newest(&f, ANYC_TLS_1_3);
	link_make(&l, &f, NULL);
	check_talk(l.server.stream, l.client.stream);
	send_key_updates(l.server.stream, 30);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tick_on, &other));
	CHECK_RC(anyc_stream_receive(l.client.stream, buf, sizeof buf), 4);
	CHECK_INT(other.ticks, >=, 29);
	other.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
	send_key_updates(l.server.stream, 40);
	CHECK_RC(anyc_stream_receive(l.client.stream, buf, sizeof buf), ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "one record without data after the other");
	link_free(&l);
	fixture_end(&f);
}

/* TLS 1.2's: each is answered that there is no renegotiation, also by who unwraps. */
static void send_hello_requests(struct anyc_stream *s, int count)
{
	SSL *ssl = anyc_tls_stream_openssl(s);

	SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
	while (count-- > 0) {
		CHECK_INT(SSL_renegotiate(ssl), ==, 1);
		CHECK_INT(SSL_do_handshake(ssl), ==, 1);
	}
	CHECK_OK(anyc_stream_send(s, "data", 4));
}

ANYC_TEST(tls, c14_hello_requests_without_end)
{
	struct anyc_stream *transport;
	struct fixture f;
	struct link l;
	size_t rest_size;
	void *rest;
	char buf[8];
	int i;

	for (i = 0; i < 2; i++) {
		fixture_make(&f);
		fixture_newest(&f, TLS1_2_VERSION);
		link_make(&l, &f, NULL);
		send_hello_requests(l.server.stream, 30);
		CHECK_RC(anyc_stream_receive(l.client.stream, buf, sizeof buf), 4);
		send_hello_requests(l.server.stream, 100);
		CHECK_RC(i == 0 ? anyc_stream_receive(l.client.stream, buf, sizeof buf)
				: anyc_tls_unwrap(l.client.stream, &transport, &rest, &rest_size),
			 ANYC_EBROKEN);
		CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "without data");
		link_free(&l);
		fixture_end(&f);
	}
}

/* ---------------------------------------------------------------------------- renegotiation */

static int receive_all(void *arg)
{
	struct anyc_stream *s = arg;
	char c;
	int rc;

	/* Refused with a warning, and then the other one goes away. */
	do
		rc = anyc_stream_receive(s, &c, 1);
	while (rc == 1);
	CHECK_RC(rc, ANYC_EBROKEN);
	return 0;
}

ANYC_TEST(tls, c14_renegotiation_is_refused)
{
	struct anyc_group g;
	struct fixture f;
	struct link l;
	int side;

	for (side = 0; side < 2; side++) {
		struct shake *asks, *asked;
		SSL *ssl;
		char c;
		int rc;

		fixture_make(&f);
		fixture_newest(&f, TLS1_2_VERSION);
		link_make(&l, &f, NULL);
		asks = side ? &l.server : &l.client;
		asked = side ? &l.client : &l.server;
		ssl = anyc_tls_stream_openssl(asks->stream);
		SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
		CHECK(SSL_renegotiate(ssl) == 1);
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, receive_all, asked->stream));
		/* A server's request may be passed over, and its data go through. */
		rc = anyc_stream_send(asks->stream, "x", 1);
		if (rc == 0)
			CHECK_RC(anyc_stream_receive(asks->stream, &c, 1), ANYC_EBROKEN);
		CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "renegotiation");
		CHECK_INT(SSL_total_renegotiations(anyc_tls_stream_openssl(asked->stream)), ==, 0);
		shake_free(asks);
		CHECK_OK(anyc_group_leave(&g, 0));
		link_free(&l);
		fixture_end(&f);
	}
}

/* ---------------------------------------------------------------------- transports and load */

struct duplex {
	struct transfer out, in;
};
static void duplex_of(struct duplex *d, struct anyc_stream *s, size_t size)
{
	struct transfer t = { .stream = s, .size = size, .piece = 9000 };

	d->out = d->in = t;
}

/* Both ends send and receive at once, more than any buffer holds. */
static void check_duplex(struct anyc_stream *a, struct anyc_stream *b, size_t size)
{
	struct duplex d[2];
	struct anyc_group g;
	int i;

	duplex_of(&d[0], a, size);
	duplex_of(&d[1], b, size);
	anyc_group_enter(&g, NULL);
	for (i = 0; i < 2; i++) {
		CHECK_OK(anyc_spawn(&g, transfer_out, &d[i].out));
		CHECK_OK(anyc_spawn(&g, transfer_in, &d[i].in));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	for (i = 0; i < 2; i++) {
		CHECK_OK(d[i].out.rc);
		CHECK_OK(d[i].in.rc);
		CHECK_INT(d[i].in.done, ==, size);
		CHECK(d[i].in.hash == d[1 - i].out.hash);
	}
}

ANYC_TEST(tls, b153_both_ways_through_anything, .deadline = 60)
{
	static const struct {
		struct pair_options options;
		size_t size;
	} pipes[] = {
		{ { .capacity = 0 }, 2 << 20 },
		{ { .capacity = 50 }, 20000 },
		{ { .most = 1 }, 15000 },
		{ { .most = 4000, .seed = 5, .capacity = 5000 }, 1 << 20 },
	};
	struct fixture f;
	struct link l;
	size_t v, i;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		for (i = 0; i < sizeof pipes / sizeof *pipes; i++) {
			link_make(&l, &f, &pipes[i].options);
			check_duplex(l.client.stream, l.server.stream, pipes[i].size);
			link_free(&l);
		}
		fixture_end(&f);
	}
}

#define SLOW_CLIENTS 60

struct flood {
	struct anyc_listener *listener;
	char port[8];
	int timeouts, others;
	int64_t timeout;
};

static int echo_handler(void *arg, struct anyc_stream *stream)
{
	(void)arg;
	return echo(stream);
}

static void note_end(void *arg, int rc, const char *detail)
{
	struct flood *flood = arg;

	CHECK(detail[0] != '\0');
	if (rc == ANYC_ETIMEDOUT)
		flood->timeouts++;
	else
		flood->others++;
}

static int serve_flood(void *arg)
{
	struct flood *flood = arg;
	struct anyc_serve_options o = { .on_error = note_end, .on_error_arg = flood };

	return anyc_serve(flood->listener, echo_handler, NULL, &o);
}

/* The head of a message that is to be 500 bytes long, a byte at a time; until it is dropped. */
static int drip(void *arg)
{
	static const char head[] = "\x16\x03\x01\x01\xf4\x01\x00\x01\xf0\x03\x03";
	const struct flood *flood = arg;
	struct anyc_stream *s;
	int64_t begun = anyc_now();
	size_t i = 0;
	int rc;

	CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", flood->port, NULL));
	do {
		rc = anyc_stream_send(s, head + i, 1);
		i += i < sizeof head - 2;
		if (rc == 0)
			rc = anyc_sleep(flood->timeout / 10);
	} while (rc == 0);
	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK_INT(anyc_now() - begun, >=, flood->timeout / 2);
	anyc_stream_free(s);
	return 0;
}

static void flood_make(struct flood *flood, const struct fixture *f)
{
	struct anyc_tls_options o = { .server = true, .context = f->server };
	struct anyc_listener *below;
	struct anyc_address a;

	memset(flood, 0, sizeof *flood);
	flood->timeout = MS(600) * anyc_test_slow();
	o.handshake_timeout = flood->timeout;
	CHECK_OK(anyc_tcp_listen(&below, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_tls_listener(&flood->listener, below, &o));
	CHECK_OK(anyc_listener_attribute(flood->listener, &anyc_attribute_local_address, &a,
					 sizeof a));
	snprintf(flood->port, sizeof flood->port, "%u", anyc_address_port(&a));
}

/* All are dropped in time, and one that is honest hardly notices. */
ANYC_TEST_NET(tls, c13_slow_clients_are_dropped, .deadline = 30)
{
	struct anyc_group serving, slow;
	struct anyc_tls_options o = { 0 };
	struct anyc_stream *honest;
	struct flood flood;
	struct fixture f;
	int64_t begun;
	char buf[10];
	int i;

	fixture_make(&f);
	flood_make(&flood, &f);
	o.context = f.client;
	begun = anyc_now();
	anyc_group_enter(&serving, NULL);
	CHECK_OK(anyc_spawn(&serving, serve_flood, &flood));
	anyc_group_enter(&slow, NULL);
	for (i = 0; i < SLOW_CLIENTS; i++)
		CHECK_OK(anyc_spawn(&slow, drip, &flood));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_tls_connect(&honest, "127.0.0.1", flood.port, &o));
	for (i = 0; i < 20; i++) {
		CHECK_OK(anyc_stream_send(honest, "hello", 5));
		CHECK_RC(anyc_stream_receive(honest, buf, sizeof buf), 5);
	}
	CHECK_INT(flood.timeouts + flood.others, ==, 0);
	CHECK_INT(anyc_now() - begun, <, flood.timeout);
	CHECK_OK(anyc_group_leave(&slow, 0));
	CHECK_INT(anyc_now() - begun, <, 3 * flood.timeout);
	CHECK_INT(flood.timeouts, ==, SLOW_CLIENTS);
	CHECK_OK(anyc_stream_send(honest, "still", 5));
	CHECK_RC(anyc_stream_receive(honest, buf, sizeof buf), 5);
	CHECK_OK(anyc_stream_close(honest));
	anyc_stream_free(honest);
	CHECK_OK(anyc_listener_close(flood.listener));
	CHECK_OK(anyc_group_leave(&serving, 0));
	CHECK_INT(flood.others, ==, 0);
	anyc_listener_free(flood.listener);
	fixture_end(&f);
}

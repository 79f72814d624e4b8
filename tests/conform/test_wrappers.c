/* SPDX-License-Identifier: MIT */
/* Streams around streams: the buffered stream, text, and listeners of many. */
#include "conform_net.h"

#include <stdlib.h>

#include <anyc/unix.h>

#include "lib/pair.h"

/* ------------------------------------------------------------------------ buffered streams */

static struct anyc_stream *buffered_make(struct anyc_stream **peer)
{
	struct anyc_stream *below, *s;

	pair_make(&below, peer, NULL);
	CHECK_OK(anyc_buffered_stream(&s, below));
	return s;
}

ANYC_TEST(buffered_stream, f16_lines_and_bytes_in_turn)
{
	struct anyc_stream *peer, *s = buffered_make(&peer);
	struct anyc_reader *r = anyc_buffered_reader(s);
	const char *line;
	size_t length;
	char buf[16];

	CHECK_OK(anyc_stream_send(peer, "head\nbody and more", 18));
	CHECK_OK(anyc_reader_until(r, "\n", 1, 100, &line, &length));
	CHECK_INT(length, ==, 4);
	ANYC_CHECK_CHECKPOINT(CHECK_RC(anyc_stream_receive(s, buf, 4), 4));
	CHECK(memcmp(buf, "body", 4) == 0);
	CHECK_RC(anyc_stream_receive_flags(s, buf, 4, ANYC_NOWAIT), 4);
	CHECK(memcmp(buf, " and", 4) == 0);
	CHECK_OK(anyc_reader_feed(r, "!", 1));
	CHECK_OK(anyc_stream_send_eof(peer));
	CHECK_RECEIVES(s, " more!");
	CHECK_RC(anyc_stream_receive(s, buf, 4), 0);
	CHECK_RC(anyc_stream_receive_flags(s, buf, 4, ANYC_NOWAIT), 0);
	/* The other direction goes past it. */
	CHECK_OK(anyc_stream_send(s, "out", 3));
	CHECK_OK(anyc_stream_send_eof(s));
	CHECK_RECEIVES(peer, "out");
	CHECK_RC(anyc_stream_receive(peer, buf, 4), 0);
	CHECK_OK(anyc_stream_close(s));
	CHECK_RC(anyc_reader_exactly(r, buf, 1), ANYC_ECLOSED);
	CHECK(pair_peer_closed(peer));
	anyc_stream_free(s);
	anyc_stream_free(peer);
	CHECK(anyc_buffered_reader(NULL) == NULL);
}

struct reading {
	struct anyc_reader *reader;
	int rc;
};

static int read_two(void *arg)
{
	struct reading *r = arg;
	char buf[2];

	r->rc = anyc_reader_exactly(r->reader, buf, 2);
	return 0;
}

/* One direction: the reader's task is inside, and lives when the stream is freed. */
ANYC_TEST(buffered_stream, r15_freed_while_a_task_reads)
{
	struct anyc_stream *peer, *s = buffered_make(&peer);
	struct reading r = { .reader = anyc_buffered_reader(s) };
	struct anyc_group g;
	char buf[2];

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, read_two, &r));
	SETTLE();
	CHECK_RC(anyc_stream_receive(s, buf, 2), ANYC_EBUSY);
	CHECK_RC(anyc_stream_receive_flags(s, buf, 2, ANYC_NOWAIT), ANYC_EBUSY);
	anyc_stream_free(s);
	CHECK(pair_peer_closed(peer));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	anyc_stream_free(peer);
}

ANYC_TEST(buffered_stream, r16_bad_arguments)
{
	struct anyc_stream *a, *b, *s;

	pair_make(&a, &b, NULL);
	CHECK_RC(anyc_buffered_stream(NULL, a), ANYC_EINVAL);
	s = a;
	CHECK_RC(anyc_buffered_stream(&s, NULL), ANYC_EINVAL);
	CHECK(s == NULL);
	CHECK(anyc_buffered_reader(a) == NULL);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* ------------------------------------------------------------------------------------ text */

/* Receives all that `sent` gives, `most` bytes at a time; the text of it, and how it ended. */
static int text_of(char *out, size_t most, const char *sent, bool replace)
{
	const struct anyc_text_options options = { .replace = replace };
	const struct pair_options one = { .most = 1 };
	struct anyc_stream *below, *peer, *s;
	size_t n = 0;
	int rc;

	pair_make(&below, &peer, most % 2 == 0 ? &one : NULL);
	CHECK_OK(anyc_text_stream(&s, below, &options));
	if (sent[0] != '\0')
		CHECK_OK(anyc_stream_send(peer, sent, strlen(sent)));
	CHECK_OK(anyc_stream_send_eof(peer));
	while ((rc = anyc_stream_receive(s, out + n, most)) > 0)
		n += (size_t)rc;
	out[n] = '\0';
	CHECK_RC(anyc_stream_receive(s, out + n + 1, most), rc);
	anyc_stream_free(s);
	anyc_stream_free(peer);
	return rc;
}

static const struct {
	const char *sent, *strict, *replaced; /* strict: what comes before the error */
	bool good;
} texts[] = {
	{ "", "", "", true },
	{ "plain", "plain", "plain", true },
	{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true },
	{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
	  "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", true },
	/* A tail without a head, an overlong form, a surrogate, beyond the last. */
	{ "a\x80z", "a", "a\xef\xbf\xbdz", false },
	{ "a\xc0\xaf", "a", "a\xef\xbf\xbd\xef\xbf\xbd", false },
	{ "\xe0\x80\x80", "", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
	{ "\xed\xa0\x80", "", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
	{ "\xf4\x90\x80\x80", "", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false },
	{ "\xff", "", "\xef\xbf\xbd", false },
	/* One for a maximal part, as in table 3-8 of the Unicode standard. */
	{ "a\xf1\x80\x80\xe1\x80\xc2" "b", "a", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" "b",
	  false },
	/* Cut off by the end. */
	{ "ok\xe2\x82", "ok", "ok\xef\xbf\xbd", false },
};

ANYC_TEST(text, f17_receiving)
{
	size_t i, most;
	char buf[64];

	for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
		for (most = 4; most < 12; most++) {
			int want = texts[i].good ? 0 : -EILSEQ;

			CHECK_RC(text_of(buf, most, texts[i].sent, false), want);
			CHECK_STR(buf, texts[i].strict);
			CHECK_RC(text_of(buf, most, texts[i].sent, true), 0);
			CHECK_STR(buf, texts[i].replaced);
		}
}

static struct anyc_stream *text_make(struct anyc_stream **peer)
{
	struct anyc_stream *below, *s;

	pair_make(&below, peer, NULL);
	CHECK_OK(anyc_text_stream(&s, below, NULL));
	return s;
}

/* Never a part of a character, never nothing, and nothing is lost for want of room. */
ANYC_TEST(text, f17_whole_characters)
{
	struct anyc_stream *peer, *s = text_make(&peer);
	char buf[8];

	CHECK_OK(anyc_stream_send(peer, "\xe2\x82", 2));
	CHECK_RC(anyc_stream_receive_flags(s, buf, 8, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_stream_send(peer, "\xac\xc3\xa9\xf0\x9f", 5));
	CHECK_RC(anyc_stream_receive(s, buf, 2), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "no room for a character");
	ANYC_CHECK_CANCELLED(anyc_stream_receive(s, buf, 8));
	ANYC_CHECK_CHECKPOINT(CHECK_RC(anyc_stream_receive(s, buf, 4), 3));
	CHECK_RC(anyc_stream_receive(s, buf, 3), 2);
	CHECK(memcmp(buf, "\xc3\xa9", 2) == 0);
	CHECK_OK(anyc_stream_send(peer, "\x98\x80", 2));
	CHECK_RECEIVES(s, "\xf0\x9f\x98\x80");
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

ANYC_TEST(text, f17_sending)
{
	struct anyc_stream *peer, *s = text_make(&peer);
	char buf[8];

	/* In parts, one of which is cut by a byte that is none. */
	CHECK_OK(anyc_stream_send(s, "a\xe2", 2));
	CHECK_RC(anyc_stream_send_eof(s), -EILSEQ);
	CHECK_RC(anyc_stream_send(s, "\x82\xac" "b\xff" "c", 5), -EILSEQ);
	CHECK_INT(anyc_stream_sent(s), ==, 3);
	CHECK_RC(anyc_stream_send(s, "\x80", 1), -EILSEQ);
	CHECK_INT(anyc_stream_sent(s), ==, 0);
	CHECK_RECEIVES(peer, "a\xe2\x82\xac" "b");
	CHECK_OK(anyc_stream_send(s, "c", 1));
	CHECK_OK(anyc_stream_send_eof(s));
	CHECK_RECEIVES(peer, "c");
	CHECK_RC(anyc_stream_receive(peer, buf, 1), 0);
	ANYC_CHECK_CANCELLED(anyc_stream_send(s, "c", 1));
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

/* What the stream below takes a byte at a time moves the state by bytes. */
ANYC_TEST(text, f17_sending_through_a_narrow_stream)
{
	const struct pair_options one = { .most = 1 };
	const char *sent = "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9" "end";
	struct anyc_stream *below, *peer, *s;
	struct iovec piece[3];

	pair_make(&below, &peer, &one);
	CHECK_OK(anyc_text_stream(&s, below, NULL));
	piece[0] = (struct iovec){ (void *)(uintptr_t)sent, 2 };
	piece[1] = (struct iovec){ (void *)(uintptr_t)(sent + 2), 4 };
	piece[2] = (struct iovec){ (void *)(uintptr_t)(sent + 6), strlen(sent) - 6 };
	CHECK_OK(anyc_stream_sendv(s, piece, 3));
	CHECK_RECEIVES(peer, sent);
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

ANYC_TEST(text, r16_bad_arguments)
{
	struct anyc_stream *a, *b, *s;

	pair_make(&a, &b, NULL);
	CHECK_RC(anyc_text_stream(NULL, a, NULL), ANYC_EINVAL);
	s = a;
	CHECK_RC(anyc_text_stream(&s, NULL, NULL), ANYC_EINVAL);
	CHECK(s == NULL);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* --------------------------------------------------------------------------------- attributes */

/* Wrappers know no facts of their own: all come from below, through two. */
ANYC_TEST(wrappers, b127_attributes_from_below)
{
	struct anyc_credentials who;
	struct anyc_stream *a, *b, *s;
	int fd, want;

	tcp_pair(&a, &b);
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_fd, &want, sizeof want));
	CHECK_OK(anyc_buffered_stream(&s, a));
	CHECK_OK(anyc_text_stream(&s, s, NULL));
	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(fd, ==, want);
	CHECK_RC(anyc_stream_attribute(s, &anyc_attribute_credentials, &who, sizeof who),
		 ANYC_ENOATTR);
	anyc_stream_free(s);
	anyc_stream_free(b);
}

/* ------------------------------------------------------------------------- many listeners */

static void call(struct anyc_stream **out, const struct port *port)
{
	CHECK_OK(anyc_tcp_connect(out, "127.0.0.1", port->text, NULL));
}

/* Accepts one, and says over it which port it is of. */
static unsigned accepted_port(struct anyc_listener *l)
{
	struct anyc_address local;
	struct anyc_stream *s;

	CHECK_OK(anyc_listener_accept(l, &s));
	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_local_address, &local, sizeof local));
	anyc_stream_free(s);
	return anyc_address_port(&local);
}

static struct anyc_listener *listen_at(struct port *port, size_t count)
{
	struct anyc_listener *one[4], *l;
	size_t i;

	for (i = 0; i < count; i++)
		one[i] = listen_here(&port[i]);
	CHECK_OK(anyc_multi_listener(&l, one, count));
	return l;
}

ANYC_TEST(multi_listener, f10_every_connection_once)
{
	struct port port[3];
	struct anyc_listener *l = listen_at(port, 3);
	struct anyc_stream *s[9];
	unsigned seen[3] = { 0 };
	int i, j;

	for (i = 0; i < 9; i++)
		call(&s[i], &port[i % 3]);
	for (i = 0; i < 9; i++) {
		unsigned at = accepted_port(l);

		for (j = 0; j < 3; j++)
			seen[j] += at == (unsigned)atoi(port[j].text);
	}
	for (j = 0; j < 3; j++)
		CHECK_INT(seen[j], ==, 3);
	for (i = 0; i < 9; i++)
		anyc_stream_free(s[i]);
	anyc_listener_free(l);
}

struct accepting {
	struct anyc_listener *listener;
	struct anyc_scope scope;
	struct anyc_stream *stream;
	int rc;
};

static int accept_one(void *arg)
{
	struct accepting *a = arg;

	anyc_scope_enter(&a->scope, NULL);
	a->rc = anyc_listener_accept(a->listener, &a->stream);
	anyc_scope_leave(&a->scope, a->rc);
	return 0;
}

ANYC_TEST(multi_listener, b135_busy_cancelled_and_closed)
{
	struct port port[2];
	struct accepting a = { .listener = listen_at(port, 2) };
	struct anyc_stream *s, *in;
	struct anyc_group g;

	ANYC_CHECK_CANCELLED(anyc_listener_accept(a.listener, &in));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &a));
	SETTLE();
	CHECK_RC(anyc_listener_accept(a.listener, &in), ANYC_EBUSY);
	CHECK_OK(anyc_scope_cancel(&a.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECANCELED);
	/* No connection was lost. */
	call(&s, &port[1]);
	CHECK_INT(accepted_port(a.listener), ==, atoi(port[1].text));
	anyc_stream_free(s);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &a));
	SETTLE();
	CHECK_OK(anyc_listener_close(a.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECLOSED);
	CHECK(a.stream == NULL);
	CHECK_RC(anyc_listener_accept(a.listener, &in), ANYC_ECLOSED);
	anyc_listener_free(a.listener);
}

/* Freed with connections accepted that nobody took. */
ANYC_TEST(multi_listener, r15_freed_while_a_task_accepts)
{
	struct port port[3];
	struct accepting a = { .listener = listen_at(port, 3) };
	struct anyc_stream *s[3];
	struct anyc_group g;
	int i;

	for (i = 0; i < 3; i++)
		call(&s[i], &port[i]);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(a.rc);
	anyc_stream_free(a.stream);
	anyc_listener_free(a.listener);
	for (i = 0; i < 3; i++)
		anyc_stream_free(s[i]);
	a.listener = listen_at(port, 2);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &a));
	SETTLE();
	anyc_listener_free(a.listener);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECLOSED);
}

static int free_in_task(void *arg)
{
	anyc_listener_free(arg);
	return 0;
}

/* The tasks that are to accept at each of them have not run yet. */
ANYC_TEST(multi_listener, r15_freed_as_accept_begins)
{
	struct port port[2];
	struct accepting a = { .listener = listen_at(port, 2) };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &a));
	CHECK_OK(anyc_spawn(&g, free_in_task, a.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECLOSED);
	CHECK(a.stream == NULL);
}

ANYC_TEST(multi_listener, f10_nested_ones_are_taken_apart)
{
	struct port port[3];
	struct anyc_listener *inner = listen_at(port, 2), *list[2], *l;
	struct anyc_stream *in, *s;
	int i;

	list[0] = inner;
	list[1] = listen_here(&port[2]);
	CHECK_OK(anyc_multi_listener(&l, list, 2));
	CHECK_RC(anyc_listener_accept(inner, &in), ANYC_ECLOSED);
	anyc_listener_free(inner);
	/* The last wins. */
	CHECK_STR(port_of(l).text, port[2].text);
	for (i = 0; i < 3; i++) {
		call(&s, &port[i]);
		CHECK_INT(accepted_port(l), ==, atoi(port[i].text));
		anyc_stream_free(s);
	}
	CHECK_OK(anyc_listener_close(l));
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", port[0].text, NULL), -ECONNREFUSED);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", port[2].text, NULL), -ECONNREFUSED);
	anyc_listener_free(l);
}

/* One of them fails: its error. */
static int refuse(struct anyc_listener *l, struct anyc_stream **out)
{
	(void)l;
	(void)out;
	return anyc_fail(-EPROTO, EPROTO, "this one cannot");
}

static int close_it(struct anyc_listener *l, unsigned flags)
{
	(void)l;
	return (flags & ANYC_NOWAIT) != 0 ? 0 : anyc_fail(ANYC_EBROKEN, 0, "no goodbye");
}

static void free_it(struct anyc_listener *l)
{
	free(l);
}

static const struct anyc_listener_ops refusing_ops = {
	.size = sizeof refusing_ops,
	.name = "refusing",
	.accept = refuse,
	.close = close_it,
	.free = free_it,
};

ANYC_TEST(multi_listener, f10_one_that_fails)
{
	struct anyc_listener *list[2], *l, *in_use;
	struct anyc_stream *in, *s;
	struct port port;

	list[0] = calloc(1, sizeof *list[0]);
	anyc_listener_init(list[0], &refusing_ops);
	list[1] = in_use = listen_here(&port);
	CHECK_OK(anyc_multi_listener(&l, list, 2));
	CHECK_RC(anyc_listener_accept(l, &in), -EPROTO);
	CHECK_STR(anyc_error_detail(-EPROTO), "this one cannot");
	/* Both are closed, whatever the first says. */
	CHECK_RC(anyc_listener_close(l), ANYC_EBROKEN);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", port.text, NULL), -ECONNREFUSED);
	anyc_listener_free(l);
}

ANYC_TEST(multi_listener, r16_bad_arguments)
{
	struct port port;
	struct anyc_listener *list[2] = { listen_here(&port), NULL }, *l = list[0], *inner;

	CHECK_RC(anyc_multi_listener(NULL, list, 1), ANYC_EINVAL);
	CHECK_RC(anyc_multi_listener(&l, NULL, 1), ANYC_EINVAL);
	CHECK(l == NULL);
	CHECK_RC(anyc_multi_listener(&l, list, 0), ANYC_EINVAL);
	CHECK_RC(anyc_multi_listener(&l, list, 2), ANYC_EINVAL);
	list[1] = list[0];
	CHECK_RC(anyc_multi_listener(&l, list, 2), ANYC_EINVAL);
	/* Twice, once as a part of another one. */
	CHECK_OK(anyc_multi_listener(&inner, list, 1));
	list[1] = inner;
	CHECK_RC(anyc_multi_listener(&l, list, 2), ANYC_EINVAL);
	list[1] = list[0];
	list[0] = inner;
	CHECK_RC(anyc_multi_listener(&l, list, 2), ANYC_EINVAL);
	CHECK_OK(anyc_listener_close(inner));
	CHECK_RC(anyc_multi_listener(&l, list, 1), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "listener 0 is NULL, closed");
	anyc_listener_free(inner);
}

struct served {
	struct anyc_listener *listener;
	struct anyc_event let_go;
};

static int wait_inside(void *arg, struct anyc_stream *s)
{
	(void)s;
	return anyc_event_wait(&((struct served *)arg)->let_go);
}

static int serve_one_at_once(void *arg)
{
	const struct anyc_serve_options one = { .limit = 1 };
	struct served *s = arg;

	return anyc_serve(s->listener, wait_inside, s, &one);
}

/* Nobody is inside accept while serve is at its limit; it is in use all the same. */
ANYC_TEST(multi_listener, r16_one_that_is_served)
{
	struct served served = { .listener = NULL };
	struct anyc_listener *l;
	struct anyc_stream *s;
	struct anyc_group g;
	struct port port;

	served.listener = listen_here(&port);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, serve_one_at_once, &served));
	SETTLE();
	CHECK_RC(anyc_multi_listener(&l, &served.listener, 1), ANYC_EINVAL);
	call(&s, &port);
	SETTLE();
	CHECK_RC(anyc_multi_listener(&l, &served.listener, 1), ANYC_EINVAL);
	CHECK_OK(anyc_listener_close(served.listener));
	CHECK_OK(anyc_event_set(&served.let_go));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(s);
	anyc_listener_free(served.listener);
}

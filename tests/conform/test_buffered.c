/* SPDX-License-Identifier: MIT */
/* The buffered reader: behaviours.md 124, semantics.md F11 to F15. */
#include "conform_net.h"
#include "lib/pair.h"

#include <stdlib.h>

/* A reader on one end, and the other end. */
static struct anyc_stream *reader_make(struct anyc_reader *r, struct anyc_stream **peer,
				       const struct pair_options *options)
{
	static const struct pair_options plain;
	struct anyc_stream *s;

	pair_make(&s, peer, options != NULL ? options : &plain);
	anyc_reader_init(r, s);
	return s;
}

static void reader_end(struct anyc_reader *r, struct anyc_stream *s, struct anyc_stream *peer)
{
	anyc_reader_free(r);
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

static void check_text(const char *file, unsigned line, const char *data, size_t length,
		       const char *text)
{
	if (length != strlen(text) || memcmp(data, text, length) != 0)
		anyc_test_fail(file, line, "\"%.*s\", not \"%s\"", (int)length, data, text);
}
#define CHECK_UNTIL(r, delimiter, max, text) \
	do { \
		const char *out_; \
		size_t length_; \
		CHECK_OK(anyc_reader_until((r), (delimiter), strlen(delimiter), (max), &out_, \
					   &length_)); \
		check_text(__FILE__, __LINE__, out_, length_, (text)); \
	} while (0)
#define CHECK_PEEK(r, text) \
	do { \
		const char *out_; \
		size_t length_ = anyc_reader_peek((r), &out_); \
		check_text(__FILE__, __LINE__, out_ != NULL ? out_ : "", length_, (text)); \
	} while (0)

struct line_task {
	struct anyc_reader *reader;
	struct anyc_scope scope;
	char text[64];
	const char *delimiter;
	size_t max;
	int rc;
};

static int read_line(void *arg)
{
	struct line_task *l = arg;
	const char *out;
	size_t length;

	anyc_scope_enter(&l->scope, NULL);
	l->rc = anyc_reader_until(l->reader, l->delimiter, strlen(l->delimiter), l->max, &out,
				  &length);
	if (l->rc == 0 && length < sizeof l->text)
		memcpy(l->text, out, length);
	CHECK((l->rc == 0) == (out != NULL));
	anyc_scope_leave(&l->scope, l->rc);
	return 0;
}

ANYC_TEST(buffered, b124_a_delimiter_that_straddles_two_chunks)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct line_task l = { .reader = &r, .delimiter = "\r\n", .max = 100 };
	struct anyc_group g;

	s = reader_make(&r, &peer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, read_line, &l));
	CHECK_OK(anyc_stream_send(peer, "one\r", 4));
	SETTLE();
	CHECK_OK(anyc_stream_send(peer, "\ntwo", 4));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(l.rc, 0);
	CHECK_STR(l.text, "one");
	CHECK_PEEK(&r, "two");
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, b124_the_end_keeps_the_data)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	const char *out = "x";
	char buf[8];
	size_t length = 9;

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_stream_send(peer, "half", 4));
	CHECK_OK(anyc_stream_close(peer));
	CHECK_RC(anyc_reader_until(&r, "\n", 1, 100, &out, &length), ANYC_EINCOMPLETE);
	CHECK(out == NULL && length == 0);
	CHECK_PEEK(&r, "half");
	CHECK_RC(anyc_reader_exactly(&r, buf, 5), ANYC_EINCOMPLETE);
	CHECK_PEEK(&r, "half");
	CHECK_OK(anyc_reader_exactly(&r, buf, 3));
	CHECK_RC(anyc_reader_receive(&r, buf, sizeof buf), 1);
	CHECK_RC(anyc_reader_receive(&r, buf, sizeof buf), 0);
	CHECK_RC(anyc_reader_exactly(&r, buf, 1), ANYC_EINCOMPLETE);
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, b124_the_limit_keeps_the_data)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	const char *out;
	size_t length;

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_stream_send(peer, "0123456789", 10));
	CHECK_RC(anyc_reader_until(&r, "\n", 1, 10, &out, &length), ANYC_ENODELIM);
	CHECK_PEEK(&r, "0123456789");
	CHECK_OK(anyc_stream_send(peer, "!\nrest", 6));
	CHECK_UNTIL(&r, "\n", 20, "0123456789!");
	CHECK_PEEK(&r, "rest");
	reader_end(&r, s, peer);
}

struct exact_task {
	struct anyc_reader *reader;
	struct anyc_scope scope;
	char buf[64];
	size_t size;
	int rc;
};

static int read_exactly(void *arg)
{
	struct exact_task *e = arg;

	anyc_scope_enter(&e->scope, NULL);
	e->rc = anyc_reader_exactly(e->reader, e->buf, e->size);
	anyc_scope_leave(&e->scope, e->rc);
	return 0;
}

ANYC_TEST(buffered, f11_exactly)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct anyc_group g;
	char buf[16];
	bool ran = false;

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_stream_send(peer, "abcdef", 6));
	CHECK_OK(anyc_reader_exactly(&r, buf, 4));
	CHECK(memcmp(buf, "abcd", 4) == 0);
	CHECK_PEEK(&r, "ef");
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_reader_exactly(&r, NULL, 0)); /* no checkpoint */
	CHECK(!ran);
	CHECK_OK(anyc_reader_exactly(&r, buf, 2)); /* from the buffer: one all the same */
	CHECK(ran);
	CHECK_OK(anyc_group_leave(&g, 0));
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f11_a_cancelled_read_keeps_what_came)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct exact_task e = { .reader = &r, .size = 10 };
	struct anyc_group g;
	char buf[16];

	s = reader_make(&r, &peer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, read_exactly, &e));
	CHECK_OK(anyc_stream_send(peer, "first", 5));
	SETTLE();
	CHECK_RC(anyc_reader_exactly(&r, buf, 1), ANYC_EBUSY);
	CHECK_OK(anyc_scope_cancel(&e.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(e.rc, ANYC_ECANCELED);
	CHECK_PEEK(&r, "first");
	CHECK_OK(anyc_stream_send(peer, "later", 5));
	CHECK_OK(anyc_reader_exactly(&r, buf, 10));
	CHECK(memcmp(buf, "firstlater", 10) == 0);
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f11_a_cancelled_scope_takes_nothing)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct anyc_scope scope;
	const char *out;
	char buf[4];
	size_t length;

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_reader_feed(&r, "ab\n", 3));
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_reader_receive(&r, buf, 1), ANYC_ECANCELED);
	CHECK_RC(anyc_reader_exactly(&r, buf, 1), ANYC_ECANCELED);
	CHECK_RC(anyc_reader_until(&r, "\n", 1, 9, &out, &length), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
	CHECK_PEEK(&r, "ab\n");
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f12_a_delimiter_beyond_the_limit_that_is_held_is_found)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_reader_feed(&r, "hello world\nx", 13));
	CHECK_UNTIL(&r, "\n", 3, "hello world");
	CHECK_PEEK(&r, "x");
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f12_lines_of_all_lengths_a_byte_at_a_time)
{
	const struct pair_options one = { .most = 1, .capacity = 1 << 20 };
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	char line[400], all[400 * 60];
	size_t i, used = 0;

	s = reader_make(&r, &peer, &one);
	for (i = 0; i < 60; i++) {
		memset(line, 'a' + (int)(i % 26), i * 6);
		memcpy(line + i * 6, "--end", 5);
		memcpy(all + used, line, i * 6 + 5);
		used += i * 6 + 5;
	}
	CHECK_OK(anyc_stream_send(peer, all, used));
	for (i = 0; i < 60; i++) {
		memset(line, 'a' + (int)(i % 26), i * 6);
		line[i * 6] = '\0';
		CHECK_UNTIL(&r, "--end", 1000, line);
	}
	CHECK_PEEK(&r, "");
	reader_end(&r, s, peer);
}

struct long_send {
	struct anyc_stream *to;
	const char *data;
	size_t size;
};

static int send_long(void *arg)
{
	const struct long_send *l = arg;

	return anyc_stream_send(l->to, l->data, l->size);
}

/* 4 MiB in small pieces: to look at it all again each time would take minutes. */
ANYC_TEST(buffered, f12_a_long_line_is_searched_once)
{
	const size_t size = 4 << 20;
	const struct pair_options small = { .most = 512 };
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct long_send l;
	struct anyc_group g;
	const char *out;
	char *data = malloc(size);
	size_t length;

	CHECK(data != NULL);
	memset(data, '\r', size);
	data[size - 1] = '\n';
	s = reader_make(&r, &peer, &small);
	l = (struct long_send){ .to = peer, .data = data, .size = size };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_long, &l));
	CHECK_OK(anyc_reader_until(&r, "\r\n", 2, size, &out, &length));
	CHECK_INT(length, ==, size - 2);
	CHECK_OK(anyc_group_leave(&g, 0));
	reader_end(&r, s, peer);
	free(data);
}

/* The buffer grows with what came, not with what the limit or the size would allow. */
ANYC_TEST(buffered, f12_memory_follows_the_data)
{
	struct anyc_memory_stats before, after;
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	const char *out;
	char *buf = malloc(1 << 24);
	size_t length;

	CHECK(buf != NULL);
	s = reader_make(&r, &peer, NULL);
	anyc_memory_stats(&before);
	CHECK_OK(anyc_stream_send(peer, "little", 6));
	CHECK_OK(anyc_stream_close(peer));
	CHECK_RC(anyc_reader_until(&r, "\n", 1, (size_t)1 << 40, &out, &length), ANYC_EINCOMPLETE);
	CHECK_RC(anyc_reader_exactly(&r, buf, 1 << 24), ANYC_EINCOMPLETE);
	anyc_memory_stats(&after);
	CHECK_INT(after.bytes - before.bytes, <=, 16384);
	reader_end(&r, s, peer);
	free(buf);
}

ANYC_TEST(buffered, f13_peek_and_feed)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	const char *out;
	char buf[16], big[10000];

	s = reader_make(&r, &peer, NULL);
	CHECK_INT(anyc_reader_peek(&r, &out), ==, 0);
	CHECK(out == NULL);
	CHECK_OK(anyc_reader_feed(&r, "abc", 3));
	CHECK_OK(anyc_reader_feed(&r, "def", 3));
	CHECK_OK(anyc_reader_feed(&r, NULL, 0));
	CHECK_PEEK(&r, "abcdef");
	CHECK_OK(anyc_stream_send(peer, "ghi", 3));
	CHECK_OK(anyc_reader_exactly(&r, buf, 9));
	CHECK(memcmp(buf, "abcdefghi", 9) == 0);
	memset(big, 'z', sizeof big);
	CHECK_OK(anyc_reader_feed(&r, big, sizeof big));
	CHECK_INT(anyc_reader_peek(&r, NULL), ==, sizeof big);
	CHECK_RC(anyc_reader_feed(&r, NULL, 1), ANYC_EINVAL);
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f13_feed_while_a_task_reads)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct exact_task e = { .reader = &r, .size = 2 };
	struct anyc_group g;

	s = reader_make(&r, &peer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, read_exactly, &e));
	SETTLE();
	CHECK_RC(anyc_reader_feed(&r, "xx", 2), ANYC_EBUSY);
	CHECK_OK(anyc_stream_send(peer, "ok", 2));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(e.rc, 0);
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f14_receive_drains_the_buffer_first)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	char buf[16], big[8192];

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_stream_send(peer, "abcdef", 6));
	CHECK_RC(anyc_reader_receive(&r, buf, 2), 2);
	CHECK(memcmp(buf, "ab", 2) == 0);
	CHECK_PEEK(&r, "cdef");
	CHECK_OK(anyc_stream_send(peer, "ghi", 3));
	CHECK_RC(anyc_reader_receive(&r, buf, sizeof buf), 4);
	CHECK(memcmp(buf, "cdef", 4) == 0);
	/* A big one with nothing held goes past the buffer. */
	CHECK_RC(anyc_reader_receive(&r, big, sizeof big), 3);
	CHECK(memcmp(big, "ghi", 3) == 0);
	CHECK_RC(anyc_reader_receive(&r, buf, 0), ANYC_EINVAL);
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, f15_after_close_everything_is_closed)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	const char *out;
	char buf[4];
	size_t length;
	int i;

	s = reader_make(&r, &peer, NULL);
	CHECK_OK(anyc_reader_feed(&r, "ab\ncd", 5));
	CHECK_OK(anyc_stream_close(s));
	for (i = 0; i < 2; i++) {
		CHECK_RC(anyc_reader_receive(&r, buf, 1), ANYC_ECLOSED);
		CHECK_RC(anyc_reader_exactly(&r, buf, 1), ANYC_ECLOSED);
		CHECK_RC(anyc_reader_exactly(&r, buf, 0), ANYC_ECLOSED);
		CHECK_RC(anyc_reader_until(&r, "\n", 1, 9, &out, &length), ANYC_ECLOSED);
		anyc_reader_free(&r);
	}
	CHECK_RC(anyc_reader_feed(&r, "x", 1), ANYC_ECLOSED);
	CHECK_INT(anyc_reader_peek(&r, &out), ==, 0);
	anyc_stream_free(s);
	anyc_stream_free(peer);
	anyc_reader_free(NULL);
}

ANYC_TEST(buffered, f15_freed_while_a_task_reads)
{
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	struct exact_task e = { .reader = &r, .size = 4 };
	struct anyc_group g;

	s = reader_make(&r, &peer, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, read_exactly, &e));
	SETTLE();
	anyc_reader_free(&r);
	CHECK_OK(anyc_stream_send(peer, "late", 4));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(e.rc, ANYC_ECLOSED);
	reader_end(&r, s, peer);
}

ANYC_TEST(buffered, r19_used_without_init)
{
	struct anyc_reader r, moved;
	struct anyc_stream *s, *peer;
	char buf[4];

	memset(&r, 0, sizeof r);
	CHECK_RC(anyc_reader_receive(&r, buf, 1), ANYC_EINVAL);
	CHECK_RC(anyc_reader_exactly(&r, buf, 1), ANYC_EINVAL);
	CHECK_RC(anyc_reader_feed(&r, "x", 1), ANYC_EINVAL);
	anyc_reader_free(&r);
	s = reader_make(&r, &peer, NULL);
	moved = r;
	CHECK_RC(anyc_reader_receive(&moved, buf, 1), ANYC_EINVAL);
	CHECK_RC(anyc_reader_receive(NULL, buf, 1), ANYC_EINVAL);
	reader_end(&r, s, peer);
}

/* Against a model: random calls on random chunks. */
ANYC_TEST(buffered, f11_to_f14_against_a_model)
{
	const struct pair_options random = { .most = 9000, .seed = 7, .capacity = 1 << 20 };
	const size_t size = 200000;
	struct anyc_stream *s, *peer;
	struct anyc_reader r;
	char *data = malloc(size), *buf = malloc(size);
	size_t at = 0, i;
	unsigned x = 99;

	CHECK(data != NULL && buf != NULL);
	for (i = 0; i < size; i++) {
		x = x * 1103515245 + 12345;
		data[i] = (x >> 16) % 50 == 0 ? '\n' : 'a' + (char)((x >> 20) % 26);
	}
	s = reader_make(&r, &peer, &random);
	CHECK_OK(anyc_stream_send(peer, data, size));
	CHECK_OK(anyc_stream_send_eof(peer));
	while (at < size) {
		const char *out;
		size_t n, length;
		int rc;

		x = x * 1103515245 + 12345;
		n = (x >> 16) % 12000 + 1;
		if ((x >> 8) % 3 == 0) {
			const char *found = memchr(data + at, '\n', size - at);

			rc = anyc_reader_until(&r, "\n", 1, size, &out, &length);
			CHECK_RC(rc, found != NULL ? 0 : ANYC_EINCOMPLETE);
			if (rc != 0)
				break;
			CHECK_INT(length, ==, (size_t)(found - (data + at)));
			CHECK(memcmp(out, data + at, length) == 0);
			at += length + 1;
		} else if ((x >> 8) % 3 == 1) {
			rc = anyc_reader_exactly(&r, buf, n);
			CHECK_RC(rc, n <= size - at ? 0 : ANYC_EINCOMPLETE);
			if (rc != 0)
				break;
			CHECK(memcmp(buf, data + at, n) == 0);
			at += n;
		} else {
			rc = anyc_reader_receive(&r, buf, n);
			CHECK_INT(rc, >, 0);
			CHECK(memcmp(buf, data + at, (size_t)rc) == 0);
			at += (size_t)rc;
		}
	}
	reader_end(&r, s, peer);
	free(data);
	free(buf);
}

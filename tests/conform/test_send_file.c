/* SPDX-License-Identifier: MIT */
/* Parts of files over streams: TCP, UNIX, and a stream that has no operation of its own for it. */
#include "conform_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <anyc/unix.h>

#include "lib/pair.h"

enum { SIZE = 700001 };

/* A file of its own, already unlinked, with bytes that tell their places. */
static int make_file(unsigned char **content)
{
	char name[] = "/tmp/anyc-send-file-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);
	size_t i;

	CHECK_INT(fd, >=, 0);
	unlink(name);
	*content = malloc(SIZE);
	CHECK(*content != NULL);
	for (i = 0; i < SIZE; i++)
		(*content)[i] = (unsigned char)(i * 7 + i / 256);
	CHECK_INT(write(fd, *content, SIZE), ==, SIZE);
	return fd;
}

enum over { OVER_TCP, OVER_UNIX, OVER_PAIR, OVERS };

static void make_pair(enum over over, struct anyc_stream **a, struct anyc_stream **b)
{
	if (over == OVER_TCP) {
		tcp_pair(a, b);
		squeeze(*a);
	} else if (over == OVER_UNIX) {
		CHECK_OK(anyc_unix_pair(a, b));
	} else {
		const struct pair_options small = { .most = 5000, .capacity = 9000 };

		pair_make(a, b, &small);
	}
}

struct drain {
	struct anyc_stream *stream;
	const unsigned char *expected;
	size_t total;
};

static int drain(void *arg)
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

/* Sends a part over each kind of stream; it must end so, with `total` bytes on the other side. */
static void check_part(int64_t offset, size_t size, int want, size_t total)
{
	unsigned char *content;
	int fd = make_file(&content);
	int over;

	for (over = 0; over < OVERS; over++) {
		struct drain d = { .expected = content + offset };
		struct anyc_stream *a, *b;
		struct anyc_group g;

		make_pair((enum over)over, &a, &b);
		d.stream = b;
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, drain, &d));
		CHECK_RC(anyc_stream_send_file(a, fd, offset, size), want);
		CHECK_INT(anyc_stream_sent(a), ==, total);
		CHECK_OK(anyc_stream_close(a));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_INT(d.total, ==, total);
		anyc_stream_free(a);
		anyc_stream_free(b);
	}
	CHECK_INT(lseek(fd, 0, SEEK_CUR), ==, SIZE); /* its own position has not moved */
	close(fd);
	free(content);
}

ANYC_TEST(send_file, f05_all_of_it)
{
	check_part(0, SIZE, 0, SIZE);
}

ANYC_TEST(send_file, f05_a_part)
{
	check_part(4097, 300000, 0, 300000);
}

ANYC_TEST(send_file, f05_to_the_end)
{
	check_part(1000, ANYC_TO_END, 0, SIZE - 1000);
}

ANYC_TEST(send_file, f05_the_file_is_shorter)
{
	check_part(SIZE - 10, 11, ANYC_EINCOMPLETE, 10);
	CHECK_HAS(anyc_error_detail(ANYC_EINCOMPLETE), "10 of 11 bytes");
	check_part(SIZE, 1, ANYC_EINCOMPLETE, 0);
	check_part(SIZE, ANYC_TO_END, 0, 0);
}

struct sending {
	struct anyc_stream *stream;
	struct anyc_scope scope;
	int fd, rc;
};

static int send_it(void *arg)
{
	struct sending *s = arg;

	anyc_scope_enter(&s->scope, NULL);
	s->rc = anyc_stream_send_file(s->stream, s->fd, 0, ANYC_TO_END);
	anyc_scope_leave(&s->scope, s->rc);
	return 0;
}

/* Nobody receives: the send waits until `end` is done to it. */
static void check_stuck(void (*end)(struct sending *s), int want)
{
	unsigned char *content;
	struct sending s = { .fd = make_file(&content) };
	int over;

	for (over = 0; over < OVERS; over++) {
		struct anyc_stream *b;
		struct anyc_group g;
		size_t sent;

		make_pair((enum over)over, &s.stream, &b);
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, send_it, &s));
		SETTLE();
		sent = anyc_stream_sent(s.stream);
		CHECK_RC(anyc_stream_send(s.stream, "x", 1), ANYC_EBUSY);
		CHECK_INT(sent, ==, anyc_stream_sent(s.stream));
		end(&s);
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(s.rc, want);
		CHECK_INT(anyc_stream_sent(s.stream), <, SIZE);
		anyc_stream_free(s.stream);
		anyc_stream_free(b);
	}
	close(s.fd);
	free(content);
}

static void cancel_it(struct sending *s)
{
	CHECK_OK(anyc_scope_cancel(&s->scope, NULL));
}

static void close_it(struct sending *s)
{
	CHECK_OK(anyc_stream_close(s->stream));
}

ANYC_TEST(send_file, f08_cancelled)
{
	check_stuck(cancel_it, ANYC_ECANCELED);
}

ANYC_TEST(send_file, b114_close_wakes_it)
{
	check_stuck(close_it, ANYC_ECLOSED);
}

/* SIGPIPE would end the process. */
ANYC_TEST(send_file, r18_a_peer_that_has_gone_is_no_signal)
{
	unsigned char *content;
	int fd = make_file(&content), over, rc;

	for (over = 0; over < OVERS; over++) {
		struct anyc_stream *a, *b;

		make_pair((enum over)over, &a, &b);
		anyc_stream_free(b);
		do
			rc = anyc_stream_send_file(a, fd, 0, SIZE);
		while (rc == 0);
		CHECK_RC(rc, ANYC_EBROKEN);
		CHECK_RC(anyc_stream_send_file(a, fd, 0, SIZE), ANYC_EBROKEN);
		CHECK_INT(anyc_stream_sent(a), ==, 0);
		anyc_stream_free(a);
	}
	close(fd);
	free(content);
}

ANYC_TEST(send_file, f05_nothing_is_a_checkpoint)
{
	struct anyc_stream *a, *b;

	tcp_pair(&a, &b);
	ANYC_CHECK_CHECKPOINT(CHECK_OK(anyc_stream_send_file(a, 0, 0, 0)));
	ANYC_CHECK_CANCELLED(anyc_stream_send_file(a, 0, 0, 0));
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_RC(anyc_stream_send_file(a, 0, 0, 0), ANYC_ECLOSED);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(send_file, r16_bad_arguments)
{
	struct anyc_stream *a, *b;
	int over, directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ends[2];

	CHECK_INT(pipe(ends), ==, 0);
	for (over = 0; over < OVERS; over++) {
		make_pair((enum over)over, &a, &b);
		CHECK_RC(anyc_stream_send_file(NULL, 0, 0, 1), ANYC_EINVAL);
		CHECK_RC(anyc_stream_send_file(a, -1, 0, 1), ANYC_EINVAL);
		CHECK_RC(anyc_stream_send_file(a, 0, -1, 1), ANYC_EINVAL);
		CHECK_RC(anyc_stream_send_file(a, 0, INT64_MAX, 1), ANYC_EINVAL);
		CHECK_RC(anyc_stream_send_file(a, directory, 0, 1), -EISDIR);
		CHECK_RC(anyc_stream_send_file(a, ends[0], 0, 1), -ESPIPE);
		CHECK_RC(anyc_stream_send_file(a, 12345, 0, 1), -EBADF);
		/* Nothing changed. */
		CHECK_OK(anyc_stream_send(a, "x", 1));
		CHECK_RECEIVES(b, "x");
		anyc_stream_free(a);
		anyc_stream_free(b);
	}
	close(ends[0]);
	close(ends[1]);
	close(directory);
}

/* --------------------------------------------------------------- streams of one direction */

static int take_all(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	int i, n = 0;

	(void)s;
	(void)flags;
	for (i = 0; i < count; i++)
		n += (int)iov[i].iov_len;
	return n;
}

static int give_one(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	(void)s;
	(void)flags;
	memset(buf, '1', size > 0);
	return 1;
}

static int close_nothing(struct anyc_stream *s, unsigned flags)
{
	(void)s;
	(void)flags;
	return 0;
}

static void free_nothing(struct anyc_stream *s)
{
	(void)s;
}

/* As compiled before there was send_file. */
static const struct anyc_stream_ops sink_ops = {
	.size = offsetof(struct anyc_stream_ops, send_file),
	.name = "sink",
	.send_some = take_all,
	.close = close_nothing,
	.free = free_nothing,
};
static const struct anyc_stream_ops source_ops = {
	.size = sizeof source_ops,
	.name = "source",
	.receive = give_one,
	.close = close_nothing,
	.free = free_nothing,
};

ANYC_TEST(send_file, f01_streams_of_one_direction)
{
	struct iovec piece = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct anyc_stream sink, source;
	unsigned char *content;
	int fd = make_file(&content);
	char buf[4];

	anyc_stream_init(&sink, &sink_ops);
	anyc_stream_init(&source, &source_ops);
	CHECK_OK(anyc_stream_send(&sink, "some", 4));
	CHECK_OK(anyc_stream_send_file(&sink, fd, 0, SIZE));
	CHECK_INT(anyc_stream_sent(&sink), ==, SIZE);
	ANYC_CHECK_CHECKPOINT(CHECK_RC(anyc_stream_receive(&sink, buf, 4), ANYC_ENOTSUP));
	CHECK_HAS(anyc_error_detail(ANYC_ENOTSUP), "sink stream goes the other way");
	CHECK_RC(anyc_stream_receive_flags(&sink, buf, 4, ANYC_NOWAIT), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_receive(&source, buf, 4), 1);
	CHECK_RC(anyc_stream_send(&source, "x", 1), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_send_some(&source, &piece, 1, ANYC_NOWAIT), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_send_file(&source, fd, 0, 1), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_send_eof(&source), ANYC_ENOTSUP);
	CHECK_OK(anyc_stream_close(&source));
	CHECK_RC(anyc_stream_send(&source, "x", 1), ANYC_ECLOSED);
	anyc_stream_free(&source);
	anyc_stream_free(&sink);
	close(fd);
	free(content);
}

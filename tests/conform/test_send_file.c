/* SPDX-License-Identifier: MIT */
/* Parts of files over streams: TCP, UNIX, and a stream that has no operation of its own for it. */
#include "conform_net.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <anyc/streams.h>
#include <anyc/unix.h>

#include "lib/next.h"
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

enum over { OVER_TCP, OVER_UNIX, OVER_PAIR, OVER_WRAPPERS, OVERS };

/* A buffered stream around a staple of two sockets. */
static void wrap_sockets(struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *out, *in, *back, *forth;

	tcp_pair(&out, &in);
	squeeze(out);
	tcp_pair(&back, &forth);
	CHECK_OK(anyc_stream_staple(b, forth, out));
	CHECK_OK(anyc_buffered_stream(a, *b));
	CHECK_OK(anyc_stream_staple(b, in, back));
}

static void make_pair(enum over over, struct anyc_stream **a, struct anyc_stream **b)
{
	if (over == OVER_TCP) {
		tcp_pair(a, b);
		squeeze(*a);
	} else if (over == OVER_UNIX) {
		CHECK_OK(anyc_unix_pair(a, b));
	} else if (over == OVER_WRAPPERS) {
		wrap_sockets(a, b);
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

/* Where no file can be, to its end: nothing. */
ANYC_TEST(send_file, f05_far_behind_the_end)
{
	unsigned char *content;
	int fd = make_file(&content), over;

	for (over = 0; over < OVERS; over++) {
		struct anyc_stream *a, *b;

		make_pair((enum over)over, &a, &b);
		CHECK_OK(anyc_stream_send_file(a, fd, INT64_MAX - 10, ANYC_TO_END));
		CHECK_OK(anyc_stream_send_file(a, fd, INT64_MAX, ANYC_TO_END));
		CHECK_INT(anyc_stream_sent(a), ==, 0);
		anyc_stream_free(a);
		anyc_stream_free(b);
	}
	close(fd);
	free(content);
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

/* -------------------------------------------------------------------------------- wrappers */

/* A stream below that sends files itself does so for what is around it; others do not. */
struct counting {
	struct anyc_stream stream;
	int files;
	bool refuses;
};

static int count_file(struct anyc_stream *s, int fd, int64_t offset, size_t size)
{
	struct counting *c = (struct counting *)(void *)s;

	(void)fd;
	(void)offset;
	if (c->refuses)
		return ANYC_ENOTSUP;
	c->files++;
	return (int)(size < 1000 ? size : 1000);
}

ANYC_TEST(send_file, f09_f16_wrappers_pass_it_on)
{
	static const struct anyc_stream_ops ops = {
		.size = sizeof ops,
		.name = "counting",
		.send_some = take_all,
		.close = close_nothing,
		.free = free_nothing,
		.send_file = count_file,
	};
	struct counting counting = { .files = 0 };
	struct anyc_stream *a, *b, *s, *outer;
	unsigned char *content;
	int fd = make_file(&content);

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	anyc_stream_init(&counting.stream, &ops);
	CHECK_OK(anyc_stream_staple(&s, a, &counting.stream));
	CHECK_OK(anyc_buffered_stream(&outer, s));
	CHECK_OK(anyc_stream_send_file(outer, fd, 0, 3500));
	CHECK_INT(counting.files, ==, 4);
	CHECK_INT(anyc_stream_sent(outer), ==, 3500);
	counting.refuses = true;
	CHECK_OK(anyc_stream_send_file(outer, fd, 0, 3500));
	CHECK_INT(counting.files, ==, 4);
	CHECK_OK(anyc_stream_close(s));
	CHECK_RC(anyc_stream_send_file(outer, fd, 0, 3500), ANYC_ECLOSED);
	anyc_stream_free(outer);
	anyc_stream_free(b);
	close(fd);
	free(content);
}

/* --------------------------------------------------------------- files that are not in memory */

/*
 * The calls of libanyc's on files, seen from outside: preadv2(2) says what `unknown` wants, and
 * what sendfile(2) sends has to have been read by another thread.
 */
static struct {
	int unknown; /* errno of every preadv2, or 0 */
	int asked;   /* how often */
	int sent;
	int64_t warmed; /* read by workers, up to there */
	pthread_t loop;
	bool on;
} disk;

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	static ssize_t (*next)(int, const struct iovec *, int, off_t, int);
	ssize_t n;

	if (next == NULL)
		next_function(&next, "preadv2");
	n = next(fd, iov, count, offset, flags);
	disk.asked += disk.on;
	if (!disk.on || disk.unknown == 0 || n == 0) /* behind the end it is known */
		return n;
	errno = disk.unknown;
	return -1;
}

ssize_t pread(int fd, void *buf, size_t size, off_t offset)
{
	static ssize_t (*next)(int, void *, size_t, off_t);
	ssize_t n;

	if (next == NULL)
		next_function(&next, "pread");
	n = next(fd, buf, size, offset);
	if (disk.on && n > 0 && !pthread_equal(pthread_self(), disk.loop))
		disk.warmed = offset + n;
	return n;
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
	static ssize_t (*next)(int, int, off_t *, size_t);
	int64_t end = *offset + (int64_t)size;

	if (next == NULL)
		next_function(&next, "sendfile");
	if (disk.on) {
		disk.sent++;
		if (disk.unknown != 0 && *offset < SIZE)
			CHECK_INT(disk.warmed, >=, end < SIZE ? end : SIZE);
	}
	return next(out, in, offset, size);
}

static void watch_disk(int unknown)
{
	memset(&disk, 0, sizeof disk);
	disk.unknown = unknown;
	disk.loop = pthread_self();
	disk.on = true;
}

/* A worker has read all of it before the kernel sends it. */
static void check_warmed(int unknown, size_t size)
{
	unsigned char *content;
	int fd = make_file(&content);
	struct drain d = { .expected = content };
	struct anyc_stream *a;
	struct anyc_group g;

	make_pair(OVER_TCP, &a, &d.stream);
	watch_disk(unknown);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, drain, &d));
	CHECK_OK(anyc_stream_send_file(a, fd, 0, size));
	CHECK_OK(anyc_stream_close(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	disk.on = false;
	CHECK_INT(d.total, ==, SIZE);
	CHECK_INT(disk.asked, >, 0);
	CHECK_INT(disk.sent, >, 0);
	CHECK_INT(disk.warmed, >=, SIZE);
	anyc_stream_free(a);
	anyc_stream_free(d.stream);
	close(fd);
	free(content);
}

ANYC_TEST(send_file, i01_a_worker_reads_what_is_not_in_memory)
{
	check_warmed(EAGAIN, SIZE);
	check_warmed(EAGAIN, ANYC_TO_END);
}

ANYC_TEST(send_file, i01_a_worker_reads_where_nobody_can_tell)
{
	check_warmed(EOPNOTSUPP, ANYC_TO_END);
	check_warmed(ENOSYS, SIZE);
}

/* No thread is asked for what has no disk. */
ANYC_TEST(send_file, i01_memory_needs_no_worker)
{
	struct anyc_stream *a, *b;
	int fd = memfd_create("a file", MFD_CLOEXEC);
	char buf[8];

	CHECK_INT(write(fd, "content", 7), ==, 7);
	tcp_pair(&a, &b);
	watch_disk(0);
	CHECK_OK(anyc_stream_send_file(a, fd, 0, ANYC_TO_END));
	disk.on = false;
	CHECK_INT(disk.asked, >, 0);
	CHECK_INT(disk.warmed, ==, 0);
	CHECK_RC(anyc_stream_receive(b, buf, sizeof buf), 7);
	anyc_stream_free(a);
	anyc_stream_free(b);
	close(fd);
}

/* After a wait of a second it asks again: the pages may have gone. */
ANYC_TEST_ON(send_file, i01_asked_again_after_a_long_wait, "anyc")
{
	unsigned char *content;
	struct sending s = { .fd = make_file(&content) };
	struct drain d = { .expected = content };
	struct anyc_group g;
	int asked;

	make_pair(OVER_UNIX, &s.stream, &d.stream);
	watch_disk(0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_it, &s));
	SETTLE();
	asked = disk.asked;
	CHECK_OK(anyc_sleep(1100 * ANYC_MILLISECOND));
	CHECK_INT(disk.asked, ==, asked);
	disk.unknown = EAGAIN; /* what is sent next has to be read */
	CHECK_OK(anyc_spawn(&g, drain, &d));
	while (anyc_stream_sent(s.stream) < SIZE)
		CHECK_OK(anyc_checkpoint());
	disk.on = false;
	CHECK_OK(anyc_stream_close(s.stream));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(s.rc);
	CHECK_INT(d.total, ==, SIZE);
	CHECK_INT(disk.warmed, >=, SIZE);
	anyc_stream_free(s.stream);
	anyc_stream_free(d.stream);
	close(s.fd);
	free(content);
}

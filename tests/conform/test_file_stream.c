/* SPDX-License-Identifier: MIT */
/* Streams on files: row F18 of semantics.md. */
#include "conform_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

/* A directory of the test's own, and a name in it. */
struct place {
	char directory[40], path[60];
};

static void place_make(struct place *p)
{
	strcpy(p->directory, "/tmp/anyc-file-stream-XXXXXX");
	CHECK(mkdtemp(p->directory) != NULL);
	snprintf(p->path, sizeof p->path, "%s/file", p->directory);
}

static void place_remove(struct place *p)
{
	unlink(p->path);
	CHECK_INT(rmdir(p->directory), ==, 0);
}

static struct anyc_stream *open_file(const struct place *p, int flags)
{
	struct anyc_stream *s;

	CHECK_OK(anyc_file_stream_open(&s, p->path, flags, 0600));
	return s;
}

static void write_file(const struct place *p, const char *text, int flags)
{
	struct anyc_stream *s = open_file(p, O_WRONLY | O_CREAT | flags);

	CHECK_OK(anyc_stream_send(s, text, strlen(text)));
	CHECK_OK(anyc_stream_close(s));
	anyc_stream_free(s);
}

ANYC_TEST(file_stream, f18_written_and_read)
{
	struct anyc_stream *s;
	struct stat st;
	struct place p;
	char buf[8];
	int i;

	place_make(&p);
	write_file(&p, "first", 0);
	write_file(&p, " second", O_APPEND);
	CHECK_INT(stat(p.path, &st), ==, 0);
	CHECK_INT(st.st_mode & 07777, ==, 0600);
	s = open_file(&p, O_RDONLY);
	ANYC_CHECK_CHECKPOINT(CHECK_RC(anyc_stream_receive(s, buf, 3), 3));
	CHECK(memcmp(buf, "fir", 3) == 0);
	CHECK_RECEIVES(s, "st second");
	for (i = 0; i < 3; i++)
		CHECK_RC(anyc_stream_receive(s, buf, 3), 0);
	CHECK_RC(anyc_stream_send(s, "x", 1), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_send_eof(s), ANYC_ENOTSUP);
	CHECK_OK(anyc_stream_close(s));
	CHECK_RC(anyc_stream_receive(s, buf, 3), ANYC_ECLOSED);
	anyc_stream_free(s);
	write_file(&p, "third", O_TRUNC);
	s = open_file(&p, O_RDONLY);
	CHECK_RECEIVES(s, "third");
	anyc_stream_free(s);
	place_remove(&p);
}

/* More than a worker takes in one go, in pieces. */
ANYC_TEST(file_stream, f18_a_large_file)
{
	enum { SIZE = 1000003 };
	struct anyc_stream *s;
	struct iovec piece[2];
	unsigned char *data = malloc(2 * SIZE + 1), *back = data + SIZE;
	struct place p;
	size_t i, n = 0;
	int rc;

	CHECK(data != NULL);
	for (i = 0; i < SIZE; i++)
		data[i] = (unsigned char)(i * 5 + i / 255);
	place_make(&p);
	s = open_file(&p, O_RDWR | O_CREAT);
	piece[0] = (struct iovec){ data, 300000 };
	piece[1] = (struct iovec){ data + 300000, SIZE - 300000 };
	CHECK_OK(anyc_stream_sendv(s, piece, 2));
	CHECK_INT(anyc_stream_sent(s), ==, SIZE);
	CHECK_OK(anyc_file_stream_seek(s, 0, SEEK_SET, NULL));
	while ((rc = anyc_stream_receive(s, back + n, SIZE - n < 70000 ? SIZE - n + 1 : 70000)) > 0)
		n += (size_t)rc;
	CHECK_RC(rc, 0);
	CHECK_INT(n, ==, SIZE);
	CHECK(memcmp(data, back, SIZE) == 0);
	anyc_stream_free(s);
	place_remove(&p);
	free(data);
}

ANYC_TEST(file_stream, f18_seek_and_tell)
{
	struct anyc_stream *s;
	struct place p;
	int64_t at;
	char buf[8];

	place_make(&p);
	write_file(&p, "0123456789", 0);
	s = open_file(&p, O_RDONLY);
	CHECK_OK(anyc_file_stream_seek(s, -3, SEEK_END, &at));
	CHECK_INT(at, ==, 7);
	CHECK_RECEIVES(s, "789");
	CHECK_RC(anyc_stream_receive(s, buf, 1), 0);
	/* The end is not for ever. */
	CHECK_OK(anyc_file_stream_seek(s, 2, SEEK_SET, NULL));
	CHECK_RECEIVES(s, "23");
	ANYC_CHECK_NO_CHECKPOINT(CHECK_OK(anyc_file_stream_seek(s, 0, SEEK_CUR, &at)));
	CHECK_INT(at, ==, 4);
	CHECK_RC(anyc_file_stream_seek(s, -1, SEEK_SET, &at), ANYC_EINVAL);
	CHECK_INT(at, ==, -1);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "-1 from the beginning is no place");
	CHECK_RC(anyc_file_stream_seek(s, -11, SEEK_END, &at), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "-11 from the end is no place");
	CHECK_RC(anyc_file_stream_seek(s, 0, 99, NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL),
		  "whence 99 is none of SEEK_SET, SEEK_CUR, SEEK_END");
	CHECK_RC(anyc_file_stream_seek(NULL, 0, SEEK_SET, NULL), ANYC_EINVAL);
	CHECK_RECEIVES(s, "45");
	CHECK_OK(anyc_stream_close(s));
	CHECK_RC(anyc_file_stream_seek(s, 0, SEEK_SET, NULL), ANYC_ECLOSED);
	anyc_stream_free(s);
	place_remove(&p);
}

ANYC_TEST(file_stream, f18_opening_fails)
{
	struct anyc_stream *s = NULL;
	struct place p;

	place_make(&p);
	CHECK_RC(anyc_file_stream_open(&s, p.path, O_RDONLY, 0), -ENOENT);
	CHECK(s == NULL);
	CHECK_HAS(anyc_error_detail(-ENOENT), p.path);
	CHECK_RC(anyc_file_stream_open(&s, p.directory, O_RDONLY, 0), -EISDIR);
	CHECK_RC(anyc_file_stream_open(&s, p.directory, O_WRONLY, 0), -EISDIR);
	CHECK_RC(anyc_file_stream_open(NULL, p.path, O_RDONLY, 0), ANYC_EINVAL);
	CHECK_RC(anyc_file_stream_open(&s, NULL, O_RDONLY, 0), ANYC_EINVAL);
	CHECK_RC(anyc_file_stream_open(&s, p.path, O_ACCMODE, 0), ANYC_EINVAL);
	ANYC_CHECK_CANCELLED(anyc_file_stream_open(&s, p.path, O_RDWR | O_CREAT, 0600));
	CHECK_INT(access(p.path, F_OK), !=, 0);
	place_remove(&p);
}

ANYC_TEST(file_stream, f18_adopted)
{
	struct anyc_stream *s = NULL;
	struct place p;
	int fd, ends[2], directory, counter = eventfd(0, EFD_CLOEXEC);
	char buf[4];

	place_make(&p);
	write_file(&p, "adopt me", 0);
	fd = open(p.path, O_RDONLY | O_CLOEXEC);
	CHECK_INT(lseek(fd, 6, SEEK_SET), ==, 6);
	CHECK_OK(anyc_file_stream_adopt(&s, fd));
	CHECK_RECEIVES(s, "me");
	CHECK_RC(anyc_stream_receive(s, buf, 1), 0);
	CHECK_RC(anyc_stream_send(s, "x", 1), ANYC_ENOTSUP);
	CHECK_OK(anyc_stream_close(s));
	CHECK_INT(fcntl(fd, F_GETFD), ==, -1);
	anyc_stream_free(s);
	/* What is refused stays the caller's. */
	CHECK_INT(pipe(ends), ==, 0);
	directory = open(p.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_RC(anyc_file_stream_adopt(&s, ends[0]), ANYC_EINVAL);
	CHECK(s == NULL);
	CHECK_RC(anyc_file_stream_adopt(&s, directory), ANYC_EINVAL);
	CHECK_RC(anyc_file_stream_adopt(&s, counter), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "anyc_wait_readable()");
	CHECK_RC(anyc_file_stream_adopt(&s, -1), -EBADF);
	CHECK_RC(anyc_file_stream_adopt(NULL, directory), ANYC_EINVAL);
	CHECK_INT(close(ends[0]), ==, 0);
	CHECK_INT(close(ends[1]), ==, 0);
	CHECK_INT(close(directory), ==, 0);
	CHECK_INT(close(counter), ==, 0);
	place_remove(&p);
}

/* With no other end, for which open(2) would wait. */
ANYC_TEST(file_stream, f18_a_fifo_is_refused_at_once)
{
	struct anyc_stream *s = NULL;
	struct place p;

	place_make(&p);
	CHECK_INT(mkfifo(p.path, 0600), ==, 0);
	CHECK_RC(anyc_file_stream_open(&s, p.path, O_RDONLY, 0), ANYC_EINVAL);
	CHECK_RC(anyc_file_stream_open(&s, p.path, O_RDWR, 0), ANYC_EINVAL);
	CHECK_RC(anyc_file_stream_open(&s, p.path, O_WRONLY, 0), -ENXIO);
	CHECK(s == NULL);
	place_remove(&p);
}

/* /dev/full: written to, and what the file says is for good. */
ANYC_TEST(file_stream, f18_a_failure_is_broken)
{
	struct anyc_stream *s;

	CHECK_OK(anyc_file_stream_open(&s, "/dev/full", O_WRONLY, 0));
	CHECK_RC(anyc_stream_send(s, "x", 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ENOSPC);
	CHECK_RC(anyc_stream_send(s, "x", 1), ANYC_EBROKEN);
	CHECK_OK(anyc_stream_close(s));
	CHECK_RC(anyc_stream_send(s, "x", 1), ANYC_ECLOSED);
	anyc_stream_free(s);
}

ANYC_TEST(file_stream, r16_nowait)
{
	struct iovec piece = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct anyc_stream *s;
	struct place p;
	char buf[8];
	int rc;

	place_make(&p);
	write_file(&p, "here", 0);
	s = open_file(&p, O_RDWR);
	rc = anyc_stream_receive_flags(s, buf, 8, ANYC_NOWAIT);
	if (rc != ANYC_EWOULDBLOCK) /* not every file system can tell */
		CHECK_RC(rc, 4);
	else
		CHECK_RECEIVES(s, "here");
	CHECK_RC(anyc_stream_receive_flags(s, buf, 8, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_stream_send_some(s, &piece, 1, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	anyc_stream_free(s);
	place_remove(&p);
}

/* A worker that stays: a terminal that nobody types at is a file whose read lasts. */
static struct anyc_stream *slow_file(int *master)
{
	struct anyc_stream *s;
	const char *name;

	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK_INT(*master, >=, 0);
	CHECK_INT(grantpt(*master) | unlockpt(*master), ==, 0);
	name = ptsname(*master);
	CHECK_OK(anyc_file_stream_open(&s, name, O_RDWR | O_NOCTTY, 0));
	return s;
}

static void type(int master, const char *line)
{
	CHECK_INT(write(master, line, strlen(line)), ==, (ssize_t)strlen(line));
}

/* Cancelled, it is waited for, and the result stands. */
ANYC_TEST(file_stream, i01_a_worker_is_waited_for)
{
	struct receiver r = { 0 };
	struct anyc_group g;
	int master;

	r.stream = slow_file(&master);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&r.scope, NULL));
	SETTLE();
	CHECK(!r.done);
	CHECK_RC(anyc_file_stream_seek(r.stream, 0, SEEK_CUR, NULL), ANYC_EBUSY);
	type(master, "late\n");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, 5);
	ANYC_CHECK_CANCELLED(anyc_stream_receive(r.stream, r.buf, 5));
	CHECK_RC(anyc_file_stream_seek(r.stream, 0, SEEK_CUR, NULL), -ESPIPE);
	anyc_stream_free(r.stream);
	close(master);
}

/* Closed or freed meanwhile: the descriptor goes when the worker has ended. */
ANYC_TEST(file_stream, b114_closed_while_a_worker_reads)
{
	int freed;

	for (freed = 0; freed < 2; freed++) {
		struct receiver r = { 0 };
		struct anyc_group g;
		int master, fd;

		r.stream = slow_file(&master);
		CHECK_OK(anyc_stream_attribute(r.stream, &anyc_attribute_fd, &fd, sizeof fd));
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, receive_once, &r));
		SETTLE();
		if (freed)
			anyc_stream_free(r.stream);
		else
			CHECK_OK(anyc_stream_close(r.stream));
		CHECK_INT(fcntl(fd, F_GETFD), >=, 0);
		type(master, "late\n");
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(r.rc, ANYC_ECLOSED);
		CHECK_INT(fcntl(fd, F_GETFD), ==, -1);
		if (!freed)
			anyc_stream_free(r.stream);
		close(master);
	}
}

/* Takes the one token of a limiter of the caller's around a read. */
struct limited {
	struct anyc_limiter *limiter;
	struct receiver r;
};
static int receive_limited(void *arg)
{
	struct limited *l = arg;
	int rc = anyc_limiter_acquire(l->limiter);

	if (rc != 0)
		return rc;
	rc = receive_once(&l->r);
	anyc_limiter_release(l->limiter);
	return rc;
}

/*
 * While a worker reads for one task, others go on: another file's bytes come exactly as they were
 * written, from any place, into the caller's own memory; and who shares a limiter waits for it.
 */
ANYC_TEST(file_stream, b174_off_the_loop_and_exact)
{
	struct anyc_limiter one = ANYC_LIMITER_INIT(1);
	struct limited first = { .limiter = &one }, second = { .limiter = &one };
	unsigned char said[5000], heard[5000];
	struct anyc_stream *s;
	struct anyc_group g;
	struct place p;
	int master;

	place_make(&p);
	for (size_t i = 0; i < sizeof said; i++)
		said[i] = (unsigned char)(i * 7 + i / 256);
	first.r.stream = second.r.stream = slow_file(&master);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_limited, &first));
	CHECK_OK(anyc_spawn(&g, receive_limited, &second));
	SETTLE();
	CHECK_INT(anyc_limiter_waiting(&one), ==, 1);
	s = open_file(&p, O_RDWR | O_CREAT);
	CHECK_OK(anyc_stream_send(s, said, sizeof said));
	CHECK_OK(anyc_file_stream_seek(s, 1234, SEEK_SET, NULL));
	for (size_t at = 1234; at < sizeof said;) {
		int n = anyc_stream_receive(s, heard + at, sizeof heard - at);

		CHECK_INT(n, >, 0);
		at += (size_t)n;
	}
	CHECK_INT(memcmp(heard + 1234, said + 1234, sizeof said - 1234), ==, 0);
	CHECK_RC(anyc_stream_receive(s, heard, 1), 0);
	anyc_stream_free(s);
	CHECK(!first.r.done);
	type(master, "one\n");
	SETTLE();
	type(master, "two\n");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(memcmp(first.r.buf, "one\n", 4), ==, 0);
	CHECK_INT(memcmp(second.r.buf, "two\n", 4), ==, 0);
	anyc_stream_free(first.r.stream);
	close(master);
	place_remove(&p);
}

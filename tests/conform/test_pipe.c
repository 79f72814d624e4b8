/* SPDX-License-Identifier: MIT */
/* Pipes as streams: behaviours 114 to 122 as far as one direction goes, 143, rule 18. */
#include "conform_net.h"
#include "lib/alloc_fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

ANYC_TEST(pipe, b115_data_and_end)
{
	struct anyc_stream *in, *out;
	struct receiver r = { 0 };
	struct anyc_group g;
	char c;
	int i, fd;

	CHECK_OK(anyc_pipe_open(&in, &out));
	r.stream = in;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK(!r.done);
	CHECK_OK(anyc_stream_send(out, "hello", 5));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, 5);
	CHECK_OK(anyc_stream_send(out, "last", 4));
	CHECK_OK(anyc_stream_send_eof(out));
	CHECK_RC(anyc_stream_send(out, "x", 1), ANYC_ECLOSED);
	CHECK_OK(anyc_stream_send_eof(out));
	CHECK_RC(anyc_stream_attribute(out, &anyc_attribute_fd, &fd, sizeof fd), ANYC_ECLOSED);
	CHECK_RECEIVES(in, "last");
	for (i = 0; i < 2; i++)
		CHECK_RC(anyc_stream_receive(in, &c, 1), 0);
	CHECK_OK(anyc_stream_close(in));
	CHECK_RC(anyc_stream_receive(in, &c, 1), ANYC_ECLOSED);
	anyc_stream_free(in);
	anyc_stream_free(out);
}

ANYC_TEST(pipe, h21_one_direction)
{
	struct anyc_stream *in, *out;
	struct anyc_address a;
	char c;

	CHECK_OK(anyc_pipe_open(&in, &out));
	CHECK_RC(anyc_stream_send(in, "x", 1), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_send_eof(in), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_receive(out, &c, 1), ANYC_ENOTSUP);
	CHECK_HAS(anyc_error_detail(ANYC_ENOTSUP), "for sending");
	CHECK_RC(anyc_stream_receive_flags(in, &c, 1, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_stream_attribute(in, &anyc_attribute_local_address, &a, sizeof a),
		 ANYC_ENOATTR);
	CHECK_OK(anyc_stream_send(out, "y", 1));
	CHECK_RECEIVES(in, "y");
	anyc_stream_free(in);
	anyc_stream_free(out);
}

/* SIGPIPE stays at its default, which ends the process. */
ANYC_TEST(pipe, r18_b116_no_signal_without_a_reader)
{
	static const char data[1 << 20];
	struct anyc_stream *in, *out;
	struct sender s = { .data = data, .size = sizeof data };
	struct anyc_group g;
	sigset_t mask, pending;

	signal(SIGPIPE, SIG_DFL);
	CHECK_OK(anyc_pipe_open(&in, &out));
	s.stream = out;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!s.done);
	CHECK_OK(anyc_stream_close(in));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, ANYC_EBROKEN);
	CHECK_RC(anyc_stream_send(out, "x", 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, EPIPE);
	sigpending(&pending);
	CHECK_INT(sigismember(&pending, SIGPIPE), ==, 0);
	CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &mask), ==, 0);
	CHECK_INT(sigismember(&mask, SIGPIPE), ==, 0);
	anyc_stream_free(in);
	anyc_stream_free(out);
}

ANYC_TEST(pipe, b114_close_wakes)
{
	struct anyc_stream *in, *out;
	struct receiver r = { 0 };
	struct anyc_group g;

	CHECK_OK(anyc_pipe_open(&in, &out));
	r.stream = in;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_OK(anyc_stream_close(in));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	anyc_stream_free(in);
	anyc_stream_free(out);
}

/* Larger than the pipe; cancelled in between nothing is lost. */
static void check_bulk(struct anyc_stream *in, struct anyc_stream *out)
{
	static unsigned char data[300000], got[300000];
	struct sender s = { .stream = out, .data = data, .size = sizeof data };
	struct anyc_scope dead;
	struct anyc_group g;
	size_t have = 0, i;

	for (i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 37 >> 4);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!s.done);
	anyc_scope_enter(&dead, NULL);
	anyc_scope_cancel(&dead, "test");
	CHECK_RC(anyc_stream_receive(in, got, 1), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&dead, ANYC_ECANCELED));
	while (have < sizeof got) {
		int n = anyc_stream_receive(in, got + have, sizeof got - have);

		CHECK_INT(n, >, 0);
		have += (size_t)n;
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, 0);
	CHECK_INT(memcmp(data, got, sizeof got), ==, 0);
}

ANYC_TEST(pipe, b119_b122_all_of_it)
{
	struct anyc_stream *in, *out;

	CHECK_OK(anyc_pipe_open(&in, &out));
	check_bulk(in, out);
	anyc_stream_free(in);
	anyc_stream_free(out);
}

/* As standard input and output, whose flags others share: they stay blocking, the thread does not
 * block. */
ANYC_TEST(pipe, r18_standard_descriptors_stay_blocking)
{
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 10), fd[2], reads, i;

	for (reads = 0; reads < 2; reads++) {
		struct anyc_stream *in, *out;

		CHECK_INT(pipe2(fd, O_CLOEXEC), ==, 0);
		CHECK_INT(dup2(fd[!reads], 0), ==, 0);
		close(fd[!reads]);
		CHECK_OK(anyc_pipe_adopt(reads ? &in : &out, 0));
		CHECK_OK(anyc_pipe_adopt(reads ? &out : &in, fd[reads]));
		CHECK_INT(fcntl(0, F_GETFL) & O_NONBLOCK, ==, 0);
		for (i = 0; i < 2; i++)
			check_bulk(in, out);
		anyc_stream_free(in);
		anyc_stream_free(out);
		CHECK_INT(open("/dev/null", O_RDONLY), ==, 0); /* its place */
	}
	close(0);
	if (saved >= 0) {
		dup2(saved, 0);
		close(saved);
	}
}

ANYC_TEST(pipe, b143_adopting)
{
	struct anyc_stream *s = (void *)&s;
	int fd[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK_RC(anyc_pipe_adopt(&s, file), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "no pipe");
	CHECK(s == NULL);
	CHECK_INT(close(file), ==, 0);
	CHECK_RC(anyc_pipe_adopt(&s, -1), -EBADF);
	CHECK_RC(anyc_pipe_adopt(NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_pipe_open(NULL, &s), ANYC_EINVAL);
	CHECK_RC(anyc_pipe_open(&s, NULL), ANYC_EINVAL);
	CHECK_INT(pipe2(fd, O_CLOEXEC), ==, 0);
	CHECK_OK(anyc_pipe_adopt(&s, fd[0]));
	CHECK_INT(fcntl(fd[0], F_GETFL) & O_NONBLOCK, !=, 0);
	anyc_stream_free(s);
	CHECK_INT(fcntl(fd[0], F_GETFD), ==, -1);
	close(fd[1]);
}

static int open_and_adopt(void *arg)
{
	struct anyc_stream *in = NULL, *out = NULL, *adopted = NULL;
	int fd[2], rc, also;

	(void)arg;
	CHECK_INT(pipe2(fd, O_CLOEXEC), ==, 0);
	rc = anyc_pipe_open(&in, &out);
	CHECK((in == NULL) == (out == NULL) && (rc == 0) == (in != NULL));
	also = anyc_pipe_adopt(&adopted, fd[0]);
	if (also != 0)
		CHECK_INT(close(fd[0]), ==, 0);
	close(fd[1]);
	anyc_stream_free(in);
	anyc_stream_free(out);
	anyc_stream_free(adopted);
	return rc != 0 ? rc : also;
}

static int open_on_row(void *arg)
{
	struct host h;

	return host_run_task(&h, anyc_test_row(), open_and_adopt, arg, "pipe");
}

ANYC_TEST_MAIN(pipe, r16_without_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	check_alloc_sweep(open_on_row, NULL, 1);
}

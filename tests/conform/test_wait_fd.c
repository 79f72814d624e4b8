/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors of the caller's: semantics.md H23 to H25, rule 32, rule 31's table. */
#include "conform_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

struct fd_waiter {
	int fd;
	bool write;
	struct anyc_scope scope;
	int rc;
	bool done;
};

static int wait_on(void *arg)
{
	struct fd_waiter *w = arg;

	anyc_scope_enter(&w->scope, NULL);
	w->rc = w->write ? anyc_wait_writable(w->fd) : anyc_wait_readable(w->fd);
	anyc_scope_leave(&w->scope, w->rc);
	w->done = true;
	return 0;
}

static void unix_pair(int pair[2])
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
}

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* Fills the sending side of a non-blocking socket. */
static void fill(int fd)
{
	static const char data[4096];

	while (send(fd, data, sizeof data, MSG_NOSIGNAL) > 0)
		;
	CHECK_INT(errno, ==, EAGAIN);
}

static void empty(int fd)
{
	char data[4096];

	while (recv(fd, data, sizeof data, MSG_DONTWAIT) > 0)
		;
}

ANYC_TEST(wait_fd, h23_readable)
{
	int pair[2];
	struct fd_waiter w = { 0 };
	struct anyc_group g;
	char c;

	unix_pair(pair);
	w.fd = pair[0];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	bare_send(pair[1], "x");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	CHECK_INT(read(pair[0], &c, 1), ==, 1);
	close_pair(pair);
}

ANYC_TEST(wait_fd, h23_writable)
{
	int pair[2];
	struct fd_waiter w = { .write = true };
	struct anyc_group g;

	unix_pair(pair);
	w.fd = pair[0];
	CHECK_OK(anyc_wait_writable(pair[0]));
	fill(pair[0]);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	empty(pair[1]);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	close_pair(pair);
}

ANYC_TEST(wait_fd, h23_both_directions_and_one_task_each)
{
	int pair[2];
	struct fd_waiter r = { 0 }, w = { .write = true };
	struct anyc_group g;

	unix_pair(pair);
	r.fd = w.fd = pair[0];
	fill(pair[0]);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &r));
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK_RC(anyc_wait_readable(pair[0]), ANYC_EBUSY);
	CHECK_RC(anyc_wait_writable(pair[0]), ANYC_EBUSY);
	empty(pair[1]);
	while (!w.done)
		CHECK_OK(anyc_checkpoint());
	CHECK(!r.done);
	bare_send(pair[1], "x");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, 0);
	CHECK_RC(w.rc, 0);
	close_pair(pair);
}

ANYC_TEST(wait_fd, h23_cancelled)
{
	int pair[2];
	struct fd_waiter w = { 0 };
	struct anyc_scope scope;
	struct anyc_group g;

	unix_pair(pair);
	w.fd = pair[0];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&w.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, ANYC_ECANCELED);
	bare_send(pair[1], "x");
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_wait_readable(pair[0]), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
	CHECK_OK(anyc_wait_readable(pair[0]));
	close_pair(pair);
}

ANYC_TEST(wait_fd, h23_not_a_descriptor)
{
	int fd = dup(0);

	close(fd);
	CHECK_RC(anyc_wait_readable(fd), -EBADF);
	CHECK_RC(anyc_wait_readable(-1), -EBADF);
	CHECK_RC(anyc_wait_writable(1 << 28), -EBADF);
}

ANYC_TEST(wait_fd, b145_notify_closing_wakes_both)
{
	int pair[2];
	struct fd_waiter r = { 0 }, w = { .write = true };
	struct anyc_group g;

	unix_pair(pair);
	r.fd = w.fd = pair[0];
	fill(pair[0]);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &r));
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	anyc_notify_closing(pair[0]);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	CHECK_RC(w.rc, ANYC_ECLOSED);
	CHECK_INT(fcntl(pair[0], F_GETFD), >=, 0); /* it does not close */
	bare_send(pair[1], "x");
	CHECK_OK(anyc_wait_readable(pair[0]));
	anyc_notify_closing(-1);
	anyc_notify_closing(12345);
	close_pair(pair);
}

ANYC_TEST(wait_fd, b145_closed_without_notice)
{
	int pair[2];
	struct fd_waiter w = { 0 };
	struct anyc_group g;

	unix_pair(pair);
	w.fd = pair[0];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	close(pair[0]);
	CHECK_OK(anyc_sleep(MS(1))); /* the loop works */
	/* The wait may have ended with an error, or goes on; then it can be cancelled. */
	if (!w.done)
		CHECK_OK(anyc_scope_cancel(&w.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	close(pair[1]);
}

/* The number comes back as another file: nothing of the first one is left in the way. */
ANYC_TEST(wait_fd, r32_a_number_that_was_used_before)
{
	int i;

	for (i = 0; i < 20; i++) {
		int pair[2];
		struct fd_waiter w = { 0 };
		struct anyc_group g;

		unix_pair(pair);
		w.fd = pair[0];
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, wait_on, &w));
		SETTLE();
		CHECK(!w.done);
		bare_send(pair[1], "x");
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(w.rc, 0);
		/* Odd rounds forget to say that they close. */
		if (i % 2 == 0)
			anyc_notify_closing(pair[0]);
		close_pair(pair);
	}
}

/* Another file under the same number while the old one lives on elsewhere. */
ANYC_TEST(wait_fd, r32_dup2_over_a_descriptor)
{
	int one[2], two[2], kept;
	struct fd_waiter w = { 0 };
	struct anyc_group g;

	unix_pair(one);
	unix_pair(two);
	kept = fcntl(one[0], F_DUPFD_CLOEXEC, 0);
	bare_send(one[1], "x");
	CHECK_OK(anyc_wait_readable(one[0]));
	CHECK_INT(dup2(two[0], one[0]), ==, one[0]);
	w.fd = one[0];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	bare_send(two[1], "y");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	close(kept);
	close_pair(one);
	close_pair(two);
}

ANYC_TEST(wait_fd, r32_a_regular_file_is_always_ready)
{
	char name[] = "/tmp/anyc-test-XXXXXX";
	int fd = mkstemp(name);

	CHECK_INT(fd, >=, 0);
	unlink(name);
	CHECK_OK(anyc_wait_readable(fd));
	CHECK_OK(anyc_wait_writable(fd));
	CHECK_OK(anyc_wait_readable(fd));
	close(fd);
}

/* Nobody waits, and the descriptor hangs up: the loop sleeps. */
ANYC_TEST(wait_fd, r32_no_interest_does_not_spin)
{
	int pair[2];
	struct fd_waiter w = { 0 };
	struct anyc_group g;
	int64_t cpu;

	unix_pair(pair);
	w.fd = pair[0];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&w.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	close(pair[1]);
	cpu = clock_cpu();
	CHECK_OK(anyc_sleep(MS(200)));
	CHECK_INT(clock_cpu() - cpu, <, MS(50) * anyc_test_slow());
	CHECK_OK(anyc_wait_readable(pair[0]));
	cpu = clock_cpu();
	CHECK_OK(anyc_sleep(MS(200)));
	CHECK_INT(clock_cpu() - cpu, <, MS(50) * anyc_test_slow());
	close(pair[0]);
}

/* --------------------------------------------------------- rule 31's table, other kinds */

/* Level-triggered: as long as something is unread, or has ended, a wait returns. */
static void check_unread_then_end(int fd, void (*act)(int), int peer)
{
	struct fd_waiter w = { .fd = fd };
	struct anyc_group g;
	char c[4];
	int i;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	act(peer);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	for (i = 0; i < 2; i++) {
		CHECK_OK(anyc_wait_readable(fd));
		CHECK_INT(read(fd, c, 2), ==, 2);
	}
	CHECK_OK(anyc_wait_readable(fd));
	CHECK_INT(read(fd, c, 2), <=, 0);
	CHECK_OK(anyc_wait_readable(fd));
}

static void write_and_close(int fd)
{
	CHECK_INT(write(fd, "abcd", 4), ==, 4);
	close(fd);
}

ANYC_TEST(wait_fd, r31_unix_stream_data_and_end)
{
	int pair[2];

	unix_pair(pair);
	check_unread_then_end(pair[0], write_and_close, pair[1]);
	close(pair[0]);
}

ANYC_TEST(wait_fd, r31_unix_stream_data_and_reset)
{
	int pair[2];

	unix_pair(pair);
	/* What the peer leaves unread turns its close into a reset. */
	bare_send(pair[0], "unread");
	bare_send(pair[1], "abcd");
	close(pair[1]);
	CHECK_OK(anyc_wait_readable(pair[0]));
	CHECK_OK(anyc_wait_writable(pair[0]));
	close(pair[0]);
}

ANYC_TEST(wait_fd, r31_pipe_data_and_end)
{
	int pipe_[2];

	CHECK_INT(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), ==, 0);
	check_unread_then_end(pipe_[0], write_and_close, pipe_[1]);
	close(pipe_[0]);
}

/* A pipe's reader is gone: its writer is woken, to learn of EPIPE. */
ANYC_TEST(wait_fd, r31_pipe_without_a_reader)
{
	struct fd_waiter w = { .write = true };
	struct anyc_group g;
	int pipe_[2];
	char data[4096] = { 0 };

	CHECK_INT(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), ==, 0);
	while (write(pipe_[1], data, sizeof data) > 0)
		;
	w.fd = pipe_[1];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	close(pipe_[0]);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	close(pipe_[1]);
}

ANYC_TEST(wait_fd, r31_eventfd_two_pending)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	struct fd_waiter w = { .fd = fd };
	struct anyc_group g;
	uint64_t value = 2;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	CHECK_INT(write(fd, &value, sizeof value), ==, sizeof value);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(read(fd, &value, sizeof value), ==, sizeof value);
	CHECK_OK(anyc_wait_readable(fd));
	CHECK_INT(read(fd, &value, sizeof value), ==, sizeof value);
	CHECK_INT(read(fd, &value, sizeof value), ==, -1);
	close(fd);
}

ANYC_TEST(wait_fd, r31_timerfd)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), i;
	uint64_t value;

	for (i = 0; i < 3; i++) {
		CHECK_INT(timerfd_settime(fd, 0, &soon, NULL), ==, 0);
		CHECK_OK(anyc_wait_readable(fd));
		CHECK_INT(read(fd, &value, sizeof value), ==, sizeof value);
	}
	close(fd);
}

ANYC_TEST(wait_fd, r31_listener_two_pending)
{
	struct anyc_address where;
	int listening = listen_bare(4, &where), peer[2], i;
	struct fd_waiter w = { .fd = listening };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	for (i = 0; i < 2; i++)
		peer[i] = bare_connect(&where);
	CHECK_OK(anyc_group_leave(&g, 0));
	for (i = 0; i < 2; i++) {
		int fd;

		CHECK_OK(anyc_wait_readable(listening));
		fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
		CHECK_INT(fd, >=, 0);
		close(fd);
		close(peer[i]);
	}
	close(listening);
}

ANYC_TEST(wait_fd, r31_seqpacket_two_pending)
{
	int pair[2], i;
	char buf[8];

	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==,
		  0);
	bare_send(pair[1], "one");
	bare_send(pair[1], "two");
	close(pair[1]);
	for (i = 0; i < 2; i++) {
		CHECK_OK(anyc_wait_readable(pair[0]));
		CHECK_INT(recv(pair[0], buf, sizeof buf, 0), ==, 3);
	}
	CHECK_OK(anyc_wait_readable(pair[0]));
	CHECK_INT(recv(pair[0], buf, sizeof buf, 0), ==, 0);
	close(pair[0]);
}

ANYC_TEST(wait_fd, r31_urgent_byte_on_a_bare_socket)
{
	struct anyc_address where;
	int listening = listen_bare(1, &where), a = bare_connect(&where);
	int b = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	char buf[8];

	bare_send(a, "ab");
	CHECK_INT(send(a, "!", 1, MSG_OOB), ==, 1);
	bare_send(a, "cd");
	CHECK_OK(anyc_wait_readable(b));
	CHECK_INT(recv(b, buf, sizeof buf, 0), ==, 2);
	CHECK_OK(anyc_wait_readable(b));
	CHECK_INT(recv(b, buf, sizeof buf, 0), ==, 2);
	close(a);
	close(b);
	close(listening);
}

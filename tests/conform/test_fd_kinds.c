/* SPDX-License-Identifier: MIT */
/* Rule 31's table for descriptors of the caller's: each kind loses nothing that is pending. */
#include "conform_fd.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

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

ANYC_TEST(fd_kinds, r31_unix_stream_data_and_end)
{
	int pair[2];

	unix_pair(pair);
	check_unread_then_end(pair[0], write_and_close, pair[1]);
	close(pair[0]);
}

ANYC_TEST(fd_kinds, r31_unix_stream_data_and_reset)
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

ANYC_TEST(fd_kinds, r31_pipe_data_and_end)
{
	int pipe_[2];

	CHECK_INT(pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), ==, 0);
	check_unread_then_end(pipe_[0], write_and_close, pipe_[1]);
	close(pipe_[0]);
}

/* A pipe's reader is gone: its writer is woken, to learn of EPIPE. */
ANYC_TEST(fd_kinds, r31_pipe_without_a_reader)
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

ANYC_TEST(fd_kinds, r31_eventfd_two_pending)
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

ANYC_TEST(fd_kinds, r31_timerfd)
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

ANYC_TEST(fd_kinds, r31_listener_two_pending)
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

ANYC_TEST(fd_kinds, r31_seqpacket_two_pending)
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

ANYC_TEST(fd_kinds, r31_urgent_byte_on_a_bare_socket)
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

/* The descriptor that comes with a byte does not hide the byte behind it. */
ANYC_TEST(fd_kinds, r31_passed_descriptors_end_a_read)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char byte = 'a', buf[8];
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control,
	};
	int pair[2], i;

	unix_pair(pair);
	memcpy(CMSG_DATA(&control.head), &pair[1], sizeof(int));
	for (i = 0; i < 2; i++)
		CHECK_INT(sendmsg(pair[1], &message, MSG_NOSIGNAL), ==, 1);
	bare_send(pair[1], "b");
	for (i = 0; i < 3; i++) {
		CHECK_OK(anyc_wait_readable(pair[0]));
		CHECK_INT(recv(pair[0], buf, sizeof buf, 0), ==, 1);
	}
	CHECK_INT(recv(pair[0], buf, sizeof buf, 0), ==, -1);
	close(pair[0]);
	close(pair[1]);
}

/* A terminal gives one line a read, and its end when the other side closes. */
ANYC_TEST(fd_kinds, r31_tty_two_lines_pending)
{
	int master, slave, i;
	struct fd_waiter w = { 0 };
	struct anyc_group g;
	char buf[16];

	CHECK_INT(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
	w.fd = slave;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	CHECK_INT(write(master, "one\ntwo\n", 8), ==, 8);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	for (i = 0; i < 2; i++) {
		CHECK_OK(anyc_wait_readable(slave));
		CHECK_INT(read(slave, buf, sizeof buf), ==, 4);
	}
	CHECK_INT(fcntl(slave, F_GETFL) & O_NONBLOCK, ==, 0);
	close(master);
	CHECK_OK(anyc_wait_readable(slave));
	CHECK_INT(read(slave, buf, sizeof buf), <=, 0);
	close(slave);
}

ANYC_TEST(fd_kinds, r31_inotify_two_pending)
{
	char directory[] = "/tmp/anyc-inotify-XXXXXX", path[64];
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), i, n;
	struct fd_waiter w = { .fd = fd };
	struct anyc_group g;
	/* Room for one event only. */
	union {
		struct inotify_event event;
		char space[sizeof(struct inotify_event) + 16];
	} one;

	CHECK(mkdtemp(directory) != NULL);
	CHECK_INT(inotify_add_watch(fd, directory, IN_CREATE | IN_DELETE), >=, 0);
	snprintf(path, sizeof path, "%s/file", directory);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	n = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_INT(n, >=, 0);
	close(n);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(unlink(path), ==, 0);
	CHECK_INT(rmdir(directory), ==, 0);
	for (i = 0; i < 2; i++) {
		CHECK_OK(anyc_wait_readable(fd));
		CHECK_INT(read(fd, &one, sizeof one), ==, sizeof one);
		CHECK_INT(one.event.mask, ==, i == 0 ? IN_CREATE : IN_DELETE);
	}
	close(fd);
}

/* A process that has ended stays readable, for every wait. */
ANYC_TEST(fd_kinds, r31_pidfd)
{
	struct fd_waiter w = { 0 };
	struct anyc_group g;
	int hold[2], status;
	pid_t pid;

	CHECK_INT(pipe2(hold, O_CLOEXEC), ==, 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(hold[1]);
		_exit(read(hold[0], &c, 1) == 0 ? 7 : 8);
	}
	close(hold[0]);
	w.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (w.fd < 0 && errno == ENOSYS) {
		/* valgrind 3.19 does not know the call; there is nothing to wait for then. */
		close(hold[1]);
		CHECK_INT(waitpid(pid, &status, 0), ==, pid);
		return;
	}
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_on, &w));
	SETTLE();
	CHECK(!w.done);
	close(hold[1]);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, 0);
	CHECK_OK(anyc_wait_readable(w.fd));
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	CHECK_INT(WEXITSTATUS(status), ==, 7);
	close(w.fd);
}

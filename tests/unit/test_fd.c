/* SPDX-License-Identifier: MIT */
/*
 * Readiness of descriptors, kind by kind (rules 18, 31-33, 43), with the engine alone; every body
 * runs in a task of anyc_run() and in a plain thread, where ppoll(2) and promotion come into play.
 *
 * epoll_ctl(2) is counted.  Nothing sleeps to see that nothing happens: a wait that would hang is
 * ended by the test's time limit.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <anyc/anyc.h>

#include "core/engine.h"

/* ------------------------------------------------------------------------------- counting */

static struct {
	int adds, mods, dels;
} calls;

/* The test runner's library has an epoll set of its own, which does not count. */
static bool from_this_program(const void *caller)
{
	Dl_info program, info;

	return dladdr(&calls, &program) != 0 && dladdr(caller, &info) != 0 &&
	       program.dli_fbase == info.dli_fbase;
}

int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	if (from_this_program(__builtin_return_address(0))) {
		calls.adds += op == EPOLL_CTL_ADD;
		calls.mods += op == EPOLL_CTL_MOD;
		calls.dels += op == EPOLL_CTL_DEL;
	}
	return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
}

/* ------------------------------------------------------------------------------- the rows */

static int call_body(void *arg)
{
	void (**body)(void) = arg;

	(*body)();
	return 0;
}

static void in_a_run(void (*body)(void))
{
	cr_assert_eq(anyc_run(NULL, call_body, &body), 0);
}

static void in_a_thread(void (*body)(void))
{
	body();
	cr_assert_eq(anyc_thread_done(), 0);
}

static void nothing_left(void)
{
	struct anyc_memory_stats s;

	cr_assert_eq(anyc_thread_done(), 0);
	anyc_memory_stats(&s);
	cr_assert_eq(s.blocks, 0);
}

TestSuite(fd, .fini = nothing_left, .timeout = 20);

#define BOTH(name) \
	static void name(void); \
	Test(fd, name##_in_a_run) \
	{ \
		in_a_run(name); \
	} \
	Test(fd, name##_in_a_plain_thread) \
	{ \
		in_a_thread(name); \
	} \
	static void name(void)

/* -------------------------------------------------------------------------------- helpers */

static struct anyc_task *self(void)
{
	struct anyc_task *t;

	cr_assert_eq(anyc__enter(&t), 0);
	return t;
}

static void nonblocking(int fd)
{
	cr_assert_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* What owners of descriptors do: the loop of fd.h. */
static ssize_t receive(struct anyc__fd *f, void *buf, size_t size)
{
	struct anyc_task *t = self();

	for (;;) {
		if (anyc__fd_ready(f, ANYC__READ)) {
			ssize_t n = read(f->fd, buf, size);

			if (n >= 0) {
				anyc__fd_received(f, (size_t)n, size);
				return n;
			}
			if (errno != EAGAIN)
				return -errno;
			anyc__fd_drained(f, ANYC__READ);
		}
		int rc = anyc__fd_wait(f, t, ANYC__READ, "data");

		if (rc != 0)
			return rc;
	}
}

static int fill(struct anyc__fd *f)
{
	static const char zeros[65536];
	int n = 0;

	while (write(f->fd, zeros, sizeof zeros) > 0)
		n++;
	cr_assert_eq(errno, EAGAIN);
	anyc__fd_drained(f, ANYC__WRITE);
	return n;
}

static void tcp_pair(int sv[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	cr_assert_eq(bind(l, (struct sockaddr *)&a, size), 0);
	cr_assert_eq(listen(l, 5), 0);
	getsockname(l, (struct sockaddr *)&a, &size);
	sv[0] = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(sv[0], (struct sockaddr *)&a, size), 0);
	sv[1] = accept(l, NULL, NULL);
	setsockopt(sv[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	close(l);
	nonblocking(sv[0]);
}

/* A task that makes something happen once the body waits. */
struct later {
	void (*fn)(int fd);
	int fd;
};

static int later_main(void *arg)
{
	struct later *l = arg;

	l->fn(l->fd);
	return 0;
}

static ssize_t receive_after(struct anyc__fd *f, void *buf, size_t size, void (*fn)(int), int fd)
{
	struct later l = { fn, fd };
	struct anyc_group g;
	ssize_t n;

	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, later_main, &l);
	n = receive(f, buf, size);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	return n;
}

static void send_abc(int fd)
{
	cr_assert_eq(write(fd, "abc", 3), 3);
}

/* -------------------------------------------------------------------------- TCP, rule 31 */

BOTH(tcp_short_reads_park_without_asking_again)
{
	struct anyc__fd f;
	char buf[100];
	int sv[2], i;

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	for (i = 0; i < 5; i++) {
		cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
		cr_assert_not(anyc__fd_ready(&f, ANYC__READ));
	}
	cr_assert_leq(calls.adds, 3, "its own, and the engine's two");
	cr_assert_eq(calls.mods, 0);
	cr_assert_not(f.ragged);
	anyc__fd_close(&f);
	close(sv[1]);
}

static void send_and_finish(int fd)
{
	send_abc(fd);
	shutdown(fd, SHUT_WR);
}

static void send_and_reset(int fd)
{
	struct linger l = { 1, 0 };

	send_abc(fd);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
}

static void send_urgent(int fd)
{
	send_abc(fd);
	cr_assert_eq(send(fd, "!", 1, MSG_OOB), 1);
	send_abc(fd);
	shutdown(fd, SHUT_WR);
}

static void tcp_to_the_end(void (*fn)(int), ssize_t bytes, ssize_t end)
{
	struct anyc__fd f;
	char buf[100];
	ssize_t n, all = 0;
	int sv[2];

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	n = receive_after(&f, buf, sizeof buf, fn, sv[1]);
	for (; n > 0; n = receive(&f, buf, sizeof buf))
		all += n;
	cr_assert_eq(n, end);
	if (bytes >= 0)
		cr_assert_eq(all, bytes);
	anyc__fd_close(&f);
	close(sv[1]);
}

BOTH(tcp_data_and_fin_at_once)
{
	tcp_to_the_end(send_and_finish, 3, 0);
}

BOTH(tcp_data_and_reset_at_once)
{
	tcp_to_the_end(send_and_reset, -1, -ECONNRESET);
}

BOTH(tcp_urgent_byte_amid_data)
{
	tcp_to_the_end(send_urgent, 6, 0);
}

static void drain_peer(int fd)
{
	static char buf[1 << 20];

	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
		continue;
}

static void wait_writable(enum anyc__fd_kind kind, int ours, int peer, int mods)
{
	struct later l = { drain_peer, peer };
	struct anyc_group g;
	struct anyc__fd f;

	anyc__fd_init(&f, ours, kind);
	cr_assert_gt(fill(&f), 0);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, later_main, &l);
	cr_assert_eq(anyc__fd_wait(&f, self(), ANYC__WRITE, "room"), 0);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	cr_assert(anyc__fd_ready(&f, ANYC__WRITE));
	cr_assert_leq(calls.mods, mods);
	anyc__fd_close(&f);
	close(peer);
}

BOTH(tcp_waits_for_room)
{
	int sv[2];

	tcp_pair(sv);
	wait_writable(ANYC__FD_TCP, sv[0], sv[1], 0);
}

BOTH(unix_waits_for_room)
{
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	wait_writable(ANYC__FD_STREAM, sv[0], sv[1], 0);
}

static int read_then_exit(void *arg)
{
	char c;

	return receive(arg, &c, 1) == 1 ? 0 : -EIO;
}

static void unix_both_directions(void)
{
	struct anyc_group g;
	struct anyc__fd f;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	anyc__fd_init(&f, sv[0], ANYC__FD_STREAM);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, read_then_exit, &f);
	while (f.waiting[0] == NULL)
		cr_assert_eq(anyc_checkpoint(), 0);
	cr_assert_eq(f.armed, ANYC__READ, "OUT only once somebody waits to write");
	cr_assert_eq(calls.mods, 0);
	fill(&f);
	anyc_spawn(&g, later_main, &((struct later){ drain_peer, sv[1] }));
	cr_assert_eq(anyc__fd_wait(&f, self(), ANYC__WRITE, "room"), 0);
	cr_assert_eq(f.armed, ANYC__READ | ANYC__WRITE);
	cr_assert_eq(calls.mods, 1);
	send_abc(sv[1]);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	anyc__fd_close(&f);
	close(sv[1]);
}

Test(fd, a_second_direction_costs_one_mod)
{
	in_a_run(unix_both_directions);
}

/* ------------------------------------------------------------- other kinds: read to EAGAIN */

static void two_messages(int fd)
{
	send_abc(fd);
	cr_assert_eq(write(fd, "defg", 4), 4);
}

/* Two messages in one event: the second must not wait for a third. */
static void two_reads(int ours, int peer)
{
	struct anyc__fd f;
	char buf[100];

	nonblocking(ours);
	anyc__fd_init(&f, ours, ANYC__FD_STREAM);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, two_messages, peer), 3);
	cr_assert_eq(receive(&f, buf, sizeof buf), 4);
	anyc__fd_close(&f);
	close(peer);
}

BOTH(seqpacket_has_two_messages)
{
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	two_reads(sv[0], sv[1]);
}

BOTH(a_pipe_in_packet_mode_has_two_messages)
{
	int p[2];

	cr_assert_eq(pipe2(p, O_DIRECT), 0);
	two_reads(p[0], p[1]);
}

static void two_lines(int fd)
{
	cr_assert_eq(write(fd, "ab\nabc\n", 7), 7);
}

BOTH(a_tty_gives_a_line_at_a_time)
{
	struct anyc__fd f;
	char buf[100];
	int master, slave;

	cr_assert_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	nonblocking(slave);
	anyc__fd_init(&f, slave, ANYC__FD_STREAM);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, two_lines, master), 3);
	cr_assert_eq(receive(&f, buf, sizeof buf), 4);
	anyc__fd_close(&f);
	close(master);
}

static void add_one(int fd)
{
	uint64_t one = 1;

	cr_assert_eq(write(fd, &one, sizeof one), (ssize_t)sizeof one);
}

BOTH(an_eventfd_is_read_again_and_again)
{
	struct anyc__fd f;
	uint64_t n;
	int fd = eventfd(0, EFD_NONBLOCK), i;

	anyc__fd_init(&f, fd, ANYC__FD_STREAM);
	for (i = 0; i < 4; i++)
		cr_assert_eq(receive_after(&f, &n, sizeof n, add_one, fd), (ssize_t)sizeof n);
	anyc__fd_close(&f);
}

static void touch(int fd)
{
	char name[64];

	snprintf(name, sizeof name, "/proc/self/fd/%d/x", fd);
	close(open(name, O_CREAT | O_WRONLY, 0600));
	unlink(name);
}

BOTH(inotify_gives_event_by_event)
{
	char dir[] = "/tmp/anyc-test-XXXXXX", buf[64];
	struct anyc__fd f;
	int fd = inotify_init1(IN_NONBLOCK), at;

	cr_assert_not_null(mkdtemp(dir));
	at = open(dir, O_DIRECTORY | O_RDONLY);
	cr_assert_geq(inotify_add_watch(fd, dir, IN_CREATE | IN_DELETE), 0);
	anyc__fd_init(&f, fd, ANYC__FD_STREAM);
	/* Room for one event at a time. */
	cr_assert_eq(receive_after(&f, buf, 32, touch, at), 32);
	cr_assert_eq(receive(&f, buf, 32), 32);
	anyc__fd_close(&f);
	close(at);
	rmdir(dir);
}

static void connect_twice(int l)
{
	struct sockaddr_in a;
	socklen_t size = sizeof a;
	int i;

	getsockname(l, (struct sockaddr *)&a, &size);
	for (i = 0; i < 2; i++) {
		int s = socket(AF_INET, SOCK_STREAM, 0);

		cr_assert_eq(connect(s, (struct sockaddr *)&a, size), 0);
		close(s);
	}
}

static int accept_one(struct anyc__fd *f)
{
	for (;;) {
		int s;

		if (anyc__fd_ready(f, ANYC__READ)) {
			s = accept(f->fd, NULL, NULL);
			if (s >= 0)
				return s;
			cr_assert_eq(errno, EAGAIN);
			anyc__fd_drained(f, ANYC__READ);
		}
		cr_assert_eq(anyc__fd_wait(f, self(), ANYC__READ, "a connection"), 0);
	}
}

BOTH(a_listener_has_two_pending)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct later later = { connect_twice, l };
	struct anyc_group g;
	struct anyc__fd f;

	cr_assert_eq(bind(l, (struct sockaddr *)&a, sizeof a), 0);
	cr_assert_eq(listen(l, 5), 0);
	anyc__fd_init(&f, l, ANYC__FD_LISTENER);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, later_main, &later);
	close(accept_one(&f));
	close(accept_one(&f));
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	anyc__fd_close(&f);
}

BOTH(a_regular_file_is_always_ready)
{
	struct anyc__fd f;

	anyc__fd_init(&f, open("/etc/passwd", O_RDONLY), ANYC__FD_STREAM);
	anyc__fd_drained(&f, ANYC__READ);
	cr_assert_eq(anyc__fd_wait(&f, self(), ANYC__READ, "a file"), 0);
	cr_assert_eq(anyc_wait_readable(f.fd), 0);
	cr_assert_eq(anyc_wait_writable(f.fd), 0);
	anyc__fd_close(&f);
}

/* ----------------------------------------------------------------- many, closed, cancelled */

#define MANY 50

static int echo_main(void *arg)
{
	struct anyc__fd *f = arg;
	char buf[16];

	return receive(f, buf, sizeof buf) == 3 ? 0 : -EIO;
}

/* In a plain thread the second one opens the epoll set, and the first moves into it. */
BOTH(many_wait_at_once)
{
	static struct anyc__fd f[MANY];
	int sv[MANY][2], i;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (i = 0; i < MANY; i++) {
		tcp_pair(sv[i]);
		anyc__fd_init(&f[i], sv[i][0], ANYC__FD_TCP);
		anyc_spawn(&g, echo_main, &f[i]);
	}
	for (i = 0; i < MANY; i++)
		while (f[i].waiting[0] == NULL && anyc__fd_ready(&f[i], ANYC__READ))
			cr_assert_eq(anyc_checkpoint(), 0);
	for (i = 0; i < MANY; i++)
		send_abc(sv[i][1]);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	for (i = 0; i < MANY; i++) {
		anyc__fd_close(&f[i]);
		close(sv[i][1]);
	}
	cr_assert_eq(calls.dels, MANY, "each is deleted before it is closed");
}

static struct anyc__fd *to_close;

static int close_main(void *arg)
{
	(void)arg;
	anyc__fd_close(to_close);
	return 0;
}

BOTH(closing_wakes_those_who_wait)
{
	struct anyc_group g;
	struct anyc__fd f;
	int sv[2];

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	anyc__fd_drained(&f, ANYC__READ);
	to_close = &f;
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, close_main, NULL);
	cr_assert_eq(anyc__fd_wait(&f, self(), ANYC__READ, "data"), ANYC_ECLOSED);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	cr_assert_eq(anyc__fd_wait(&f, self(), ANYC__READ, "data"), ANYC_ECLOSED);
	cr_assert_eq(f.fd, -1);
	errno = 77;
	anyc__fd_close(&f);
	cr_assert_eq(errno, 77);
	close(sv[1]);
}

BOTH(a_wait_can_time_out_and_be_waited_again)
{
	struct anyc__fd f;
	char buf[8];
	int sv[2], i;

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	anyc__fd_drained(&f, ANYC__READ);
	for (i = 0; i < 3; i++) {
		struct anyc_scope s;
		int rc;

		anyc_scope_enter_timeout(&s, ANYC_MILLISECOND);
		rc = anyc__fd_wait(&f, self(), ANYC__READ, "data");
		cr_assert_eq(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
		rc = anyc__fd_wait_until(&f, self(), ANYC__READ, anyc_now() + ANYC_MILLISECOND,
					 "data");
		cr_assert_eq(rc, ANYC_ETIMEDOUT);
		cr_assert_null(f.waiting[0]);
	}
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	anyc__fd_close(&f);
	close(sv[1]);
}

static int wait_main(void *arg)
{
	return anyc__fd_wait(arg, self(), ANYC__READ, "data");
}

BOTH(two_readers_are_one_too_many)
{
	struct anyc_group g;
	struct anyc__fd f;
	int sv[2];

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	anyc__fd_drained(&f, ANYC__READ);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, wait_main, &f);
	cr_assert_eq(anyc_checkpoint(), 0);
	cr_assert_eq(anyc__fd_wait(&f, self(), ANYC__READ, "data"), ANYC_EBUSY);
	cr_assert_not_null(strstr(anyc_error_detail(ANYC_EBUSY), "another task"));
	send_abc(sv[1]);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	anyc__fd_close(&f);
	close(sv[1]);
}

/* A number that is closed and used again within one batch of events: the old event is dropped. */
BOTH(a_stale_event_is_dropped)
{
	struct anyc__engine *e = anyc__task_engine(self());
	struct anyc__fd old, new;
	int sv[2], sw[2];
	uint64_t data;

	cr_assert_eq(anyc__poller_open(e), 0);
	tcp_pair(sv);
	tcp_pair(sw);
	anyc__fd_init(&old, sv[0], ANYC__FD_TCP);
	anyc__fd_init(&new, sw[0], ANYC__FD_TCP);
	anyc__fd_drained(&old, ANYC__READ);
	cr_assert_eq(anyc__fd_wait_until(&old, self(), ANYC__READ, anyc_now() + 1, ""),
		     ANYC_ETIMEDOUT);
	data = (uint64_t)e->fds.slot[old.slot].generation << 32 | old.slot;
	anyc__fd_close(&old);
	anyc__fd_drained(&new, ANYC__READ);
	cr_assert_eq(anyc__fd_wait_until(&new, self(), ANYC__READ, anyc_now() + 1, ""),
		     ANYC_ETIMEDOUT);
	cr_assert_eq((uint32_t)data, new.slot, "the slot was not used again");
	anyc__fd_event(e, data, EPOLLIN | EPOLLHUP);
	cr_assert_not(anyc__fd_ready(&new, ANYC__READ));
	cr_assert_not(new.ragged);
	anyc__fd_event(e, (uint64_t)77 << 32 | 77, EPOLLIN);
	anyc__fd_close(&new);
	close(sv[1]);
	close(sw[1]);
}

/* ------------------------------------------------------------ descriptors of the caller's */

static int wait_readable_main(void *arg)
{
	return anyc_wait_readable(*(int *)arg);
}

BOTH(borrowed_waits_are_level_triggered)
{
	int p[2], i;
	char c;

	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(write(p[1], "ab", 2), 2);
	for (i = 0; i < 3; i++)
		cr_assert_eq(anyc_wait_readable(p[0]), 0);
	cr_assert_eq(read(p[0], &c, 1), 1);
	cr_assert_eq(anyc_wait_readable(p[0]), 0);
	cr_assert_eq(anyc_wait_writable(p[1]), 0);
	cr_assert_eq(calls.dels, 0);
	anyc_notify_closing(p[0]);
	anyc_notify_closing(p[1]);
	close(p[0]);
	close(p[1]);
}

BOTH(borrowed_both_directions_at_once)
{
	struct anyc_group g;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, wait_readable_main, &sv[0]);
	cr_assert_eq(anyc_checkpoint(), 0);
	cr_assert_eq(anyc_wait_readable(sv[0]), ANYC_EBUSY);
	cr_assert_eq(anyc_wait_writable(sv[0]), 0);
	cr_assert_eq(anyc_wait_writable(sv[0]), 0);
	send_abc(sv[1]);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	close(sv[0]);
	close(sv[1]);
}

BOTH(a_cancelled_borrowed_wait_leaves_nothing)
{
	struct anyc__engine *e = anyc__task_engine(self());
	struct anyc_scope s;
	int p[2], rc;

	cr_assert_eq(anyc__poller_open(e), 0);
	cr_assert_eq(pipe(p), 0);
	anyc_scope_enter_timeout(&s, ANYC_MILLISECOND);
	rc = anyc_wait_readable(p[0]);
	cr_assert_eq(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	cr_assert_eq(calls.dels, 1);
	cr_assert_eq(epoll_ctl(e->poller.epoll, EPOLL_CTL_DEL, p[0], NULL), -1);
	cr_assert_eq(errno, ENOENT);
	close(p[0]);
	close(p[1]);
}

BOTH(a_number_used_again_is_registered_again)
{
	struct anyc__engine *e = anyc__task_engine(self());
	int p[2], q[2], i;

	cr_assert_eq(anyc__poller_open(e), 0);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(pipe(p), 0);
		cr_assert_eq(write(p[1], "a", 1), 1);
		cr_assert_eq(anyc_wait_readable(p[0]), 0);
		close(p[0]); /* without a word */
		close(p[1]);
	}
	cr_assert_eq(pipe(q), 0);
	cr_assert_eq(q[0], p[0]);
	close(q[0]);
	close(q[1]);
}

static int notify_main(void *arg)
{
	anyc_notify_closing(*(int *)arg);
	return 0;
}

BOTH(notify_closing_wakes)
{
	struct anyc_group g;
	int p[2];

	cr_assert_eq(pipe(p), 0);
	anyc_notify_closing(p[0]);
	anyc_notify_closing(-1);
	anyc_notify_closing(100000);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, notify_main, &p[0]);
	cr_assert_eq(anyc_wait_readable(p[0]), ANYC_ECLOSED);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	close(p[0]);
	close(p[1]);
}

BOTH(bad_numbers_are_refused)
{
	int p[2];

	cr_assert_eq(anyc_wait_readable(-1), -EBADF);
	cr_assert_eq(anyc_wait_readable(1000000000), -EBADF);
	cr_assert_eq(pipe(p), 0);
	close(p[0]);
	close(p[1]);
	cr_assert_eq(anyc_wait_readable(p[0]), -EBADF);
	cr_assert_not_null(strstr(anyc_error_detail(-EBADF), "descriptor"));
}

/* One number cannot be waited for in both ways; being adopted after a wait is no conflict. */
BOTH(owned_and_borrowed)
{
	struct anyc__engine *e = anyc__task_engine(self());
	struct anyc__fd f;
	char buf[8];
	int sv[2];

	cr_assert_eq(anyc__poller_open(e), 0);
	tcp_pair(sv);
	send_abc(sv[1]);
	cr_assert_eq(anyc_wait_readable(sv[0]), 0);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	cr_assert_eq(receive(&f, buf, sizeof buf), 3);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	cr_assert_eq(anyc_wait_readable(sv[0]), ANYC_EBUSY);
	cr_assert_not_null(strstr(anyc_error_detail(ANYC_EBUSY), "stream"));
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3, "it is not deaf");
	cr_assert_eq(anyc__fd_release(&f), sv[0]);
	send_abc(sv[1]);
	cr_assert_eq(anyc_wait_readable(sv[0]), 0);
	close(sv[0]);
	close(sv[1]);
}

/* ------------------------------------------------------------- plain threads: rules 23, 43 */

Test(fd, one_waiter_in_a_plain_thread_registers_nothing)
{
	int sv[2], p[2];
	struct anyc__fd f;
	char buf[8];

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	cr_assert_null(f.engine, "any thread may use it now");
	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(anyc_wait_writable(p[1]), 0);
	cr_assert_eq(calls.adds, 0);
	cr_assert_eq(anyc__task_engine(self())->poller.epoll, -1);
	anyc__fd_close(&f);
	close(sv[1]);
	close(p[0]);
	close(p[1]);
}

static void *other_thread(void *arg)
{
	cr_assert_eq(anyc__fd_check(arg, self()), ANYC_ETHREAD);
	cr_assert_eq(anyc__fd_wait(arg, self(), ANYC__READ, "data"), ANYC_ETHREAD);
	return NULL;
}

static void check_other_thread(void)
{
	pthread_t thread;
	struct anyc__fd f;
	char buf[8];
	int sv[2];

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	cr_assert_eq(anyc__fd_check(&f, self()), 0);
	cr_assert_eq(pthread_create(&thread, NULL, other_thread, &f), 0);
	pthread_join(thread, NULL);
	anyc__fd_close(&f);
	close(sv[1]);
}

Test(fd, a_registered_one_belongs_to_its_engine)
{
	in_a_run(check_other_thread);
}

Test(fd, what_an_engine_leaves_another_may_use)
{
	struct anyc__fd f;
	char buf[8];
	int sv[2];

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	cr_assert_eq(anyc__poller_open(anyc__task_engine(self())), 0);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	cr_assert_neq(f.slot, 0);
	cr_assert_eq(anyc_thread_done(), 0);
	cr_assert_null(f.engine);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	anyc__fd_close(&f);
	close(sv[1]);
}

/* --------------------------------------------------------------------------- fork, rule 27 */

Test(fd, a_child_only_closes)
{
	struct anyc__fd f;
	char buf[8];
	int sv[2], status;
	pid_t child;

	tcp_pair(sv);
	anyc__fd_init(&f, sv[0], ANYC__FD_TCP);
	cr_assert_eq(anyc__poller_open(anyc__task_engine(self())), 0);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3);
	child = fork();
	if (child == 0) {
		bool ok = anyc__fd_wait(&f, self(), ANYC__READ, "data") == ANYC_EFORKED;

		calls.dels = 0;
		anyc__fd_close(&f);
		ok = ok && calls.dels == 0 && fcntl(sv[0], F_GETFD) < 0;
		ok = ok && anyc_thread_done() == 0;
		_exit(ok ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(receive_after(&f, buf, sizeof buf, send_abc, sv[1]), 3,
		     "still registered here");
	anyc__fd_close(&f);
	close(sv[1]);
}

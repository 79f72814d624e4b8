/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors of the caller's: semantics.md H23 to H25, rule 32. */
#include "conform_fd.h"

#include <fcntl.h>
#include <stdlib.h>

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
	char sentence[80];
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
	snprintf(sentence, sizeof sentence, "descriptor %d: anyc_notify_closing() ended the wait",
		 pair[0]);
	CHECK_STR(r.detail, sentence);
	CHECK_STR(w.detail, sentence);
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

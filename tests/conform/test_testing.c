/* SPDX-License-Identifier: MIT */
/* What <anyc/testing.h> offers the bodies of tests: rows N4, N9 and N12.  That tests fail when they
 * should is in tests/selfcheck. */
#include "conform_net.h"
#include "lib/pair.h"

/* ---------------------------------------------------------------------------- all blocked */

/* Nothing else could ever end this wait: no timer, no descriptor, no token. */
ANYC_TEST(testing, n04_all_blocked_and_nothing_to_come)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	SETTLE();
	CHECK_INT(anyc_group_size(&g), ==, 2);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	SETTLE();
}

/* ------------------------------------------------------------------------------ sequencer */

struct part {
	struct anyc_sequencer *sequence;
	unsigned place;
	char *log;
	struct anyc_scope scope;
	int rc;
};

static int run_part(void *arg)
{
	struct part *p = arg;

	anyc_scope_enter(&p->scope, NULL);
	p->rc = anyc_sequencer_enter(p->sequence, p->place);
	anyc_scope_leave(&p->scope, p->rc);
	if (p->rc != 0)
		return 0;
	p->log[strlen(p->log)] = (char)('0' + p->place);
	CHECK_OK(anyc_sleep(0));
	p->log[strlen(p->log)] = '.';
	return anyc_sequencer_leave(p->sequence);
}

ANYC_TEST(testing, n12_parts_in_order)
{
	struct anyc_sequencer sequence = { 0 };
	char log[16] = "";
	struct part parts[4];
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (unsigned i = 0; i < 4; i++) {
		parts[i] = (struct part){ .sequence = &sequence, .place = 3 - i, .log = log };
		CHECK_OK(anyc_spawn(&g, run_part, &parts[i]));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_STR(log, "0.1.2.3.");
	CHECK_RC(anyc_sequencer_enter(&sequence, 3), ANYC_EMISUSE);
	CHECK_REPORT("anyc_sequencer_enter: the place 3 is taken");
	CHECK_RC(anyc_sequencer_leave(&sequence), ANYC_EMISUSE);
	CHECK_REPORT("anyc_sequencer_leave: no part is entered");
}

ANYC_TEST(testing, n12_places_are_taken_once)
{
	struct anyc_sequencer sequence = { 0 };
	char log[16] = "";
	struct part later = { .sequence = &sequence, .place = 1, .log = log };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, run_part, &later));
	SETTLE();
	CHECK_RC(anyc_sequencer_enter(&sequence, 1), ANYC_EMISUSE);
	CHECK_OK(anyc_sequencer_enter(&sequence, 0));
	CHECK_RC(anyc_sequencer_enter(&sequence, 0), ANYC_EMISUSE);
	CHECK_OK(anyc_sequencer_leave(&sequence));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_STR(log, "1.");
}

ANYC_TEST(testing, n12_a_cancelled_part_breaks_the_sequence)
{
	struct anyc_sequencer sequence = { 0 };
	char log[16] = "";
	struct part parts[2];
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (unsigned i = 0; i < 2; i++) {
		parts[i] = (struct part){ .sequence = &sequence, .place = i + 1, .log = log };
		CHECK_OK(anyc_spawn(&g, run_part, &parts[i]));
	}
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&parts[0].scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(parts[0].rc, ANYC_ECANCELED);
	CHECK_RC(parts[1].rc, ANYC_EBROKEN);
	CHECK_RC(anyc_sequencer_enter(&sequence, 0), ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "another task was cancelled");
	CHECK_STR(log, "");
}

/* ---------------------------------------------------------------------------- checkpoints */

ANYC_TEST(testing, n12_what_is_a_checkpoint)
{
	struct anyc_event set = { 0 };
	int calls = 0;

	CHECK_OK(anyc_event_set(&set));
	ANYC_CHECK_CHECKPOINT(CHECK_OK(anyc_event_wait(&set)));
	ANYC_CHECK_CHECKPOINT(CHECK_OK(anyc_sleep(0)));
	ANYC_CHECK_NO_CHECKPOINT(calls++);
	ANYC_CHECK_NO_CHECKPOINT(CHECK_OK(anyc_checkpoint_if_cancelled()));
	ANYC_CHECK_CANCELLED((calls++, anyc_event_wait(&set)));
	CHECK_INT(calls, ==, 2);
	CHECK_OK(anyc_checkpoint());
}

static void not_a_checkpoint(void)
{
	ANYC_CHECK_CHECKPOINT((void)0);
}

static void a_checkpoint_after_all(void)
{
	ANYC_CHECK_NO_CHECKPOINT(CHECK_OK(anyc_checkpoint()));
}

static void not_cancelled(void)
{
	ANYC_CHECK_CANCELLED(anyc_checkpoint_shielded());
}

ANYC_TEST_MAIN(testing, n12_wrong_checkpoints_are_found, ANYC_ROWS_ALL, .deadline = 30)
{
	static const struct {
		void (*body)(void);
		const char *text;
	} cases[] = {
		{ not_a_checkpoint, "(void)0 did not let other tasks run" },
		{ a_checkpoint_after_all, "has let other tasks run" },
		{ not_cancelled, "anyc_checkpoint_shielded() is 0" },
	};
	struct corpse c;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		corpse_make_in_task(&c, cases[i].body);
		CHECK(WIFEXITED(c.status));
		CHECK_INT(WEXITSTATUS(c.status), ==, 1);
		CHECK_HAS(c.text, cases[i].text);
	}
}

/* ---------------------------------------------------------------------------------- ports */

static bool can_bind(int family, int type, int port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	int fd = socket(family, type | SOCK_CLOEXEC, 0), rc;

	if (fd < 0 && errno == EAFNOSUPPORT)
		return true;
	CHECK_INT(fd, >=, 0);
	rc = family == AF_INET ? bind(fd, (struct sockaddr *)&four, sizeof four) :
				 bind(fd, (struct sockaddr *)&six, sizeof six);
	rc = rc == 0 || errno == EADDRNOTAVAIL ? 0 : -1;
	close(fd);
	return rc == 0;
}

ANYC_TEST(testing, n09_ports_are_free_and_given_once)
{
	static bool given[2][65536];

	for (int i = 0; i < 200; i++) {
		int kind = i % 2, type = kind == 0 ? SOCK_STREAM : SOCK_DGRAM;
		int port = kind == 0 ? anyc_test_tcp_port() : anyc_test_udp_port();

		CHECK_INT(port, >, 0);
		CHECK_INT(port, <, 65536);
		CHECK(!given[kind][port]);
		given[kind][port] = true;
		CHECK(can_bind(AF_INET, type, port));
		CHECK(can_bind(AF_INET6, type, port));
	}
}

/* Children are part of the run: what they are given nobody else is. */
ANYC_TEST_MAIN(testing, n09_once_for_all_processes, "none")
{
	enum { COUNT = 2000 };
	static bool given[65536];
	int pipe_[2], port;
	ssize_t n;

	CHECK_INT(anyc_test_tcp_port(), >, 0);
	CHECK_INT(pipe(pipe_), ==, 0);
	for (int child = 0; child < 2; child++) {
		pid_t pid = fork();

		CHECK_INT(pid, >=, 0);
		for (int i = 0; pid == 0 && i < COUNT; i++) {
			port = anyc_test_tcp_port();
			if (write(pipe_[1], &port, sizeof port) != sizeof port)
				_exit(1);
		}
		if (pid == 0)
			_exit(0);
	}
	close(pipe_[1]);
	while ((n = read(pipe_[0], &port, sizeof port)) == sizeof port) {
		CHECK_INT(port, >, 0);
		CHECK(!given[port]);
		given[port] = true;
	}
	CHECK_INT(n, ==, 0);
	close(pipe_[0]);
	for (int child = 0; child < 2; child++) {
		int status;

		CHECK_INT(wait(&status), >, 0);
		CHECK_INT(status, ==, 0);
	}
}

/* ------------------------------------------------------------------------------ snapshots */

ANYC_TEST(testing, n12_snapshots_name_what_came)
{
	struct anyc_snapshot before, after;
	struct anyc_stream *a, *b;
	struct anyc_group g;
	char text[512], expected[32];
	int pipe_[2];

	SETTLE();
	anyc_snapshot_take(&before);
	anyc_snapshot_take(&after);
	CHECK_INT(anyc_snapshot_compare(&before, &after, text, sizeof text), ==, 0);
	CHECK_STR(text, "");
	CHECK_INT(pipe(pipe_), ==, 0);
	CHECK_OK(anyc_test_pair(&a, &b, NULL));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	anyc_snapshot_take(&after);
	CHECK_INT(anyc_snapshot_compare(&before, &after, text, sizeof text), >=, 4);
	snprintf(expected, sizeof expected, " %d (pipe:", pipe_[0]);
	CHECK_HAS(text, expected);
	CHECK_HAS(text, "; tasks: ");
	CHECK_HAS(text, "stacks in use: ");
	CHECK_HAS(text, "ends of pairs: 0 before, 2 now");
	/* Cut, not overrun. */
	CHECK_INT(anyc_snapshot_compare(&before, &after, text, 8), >=, 4);
	CHECK_INT(strlen(text), ==, 7);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(a);
	anyc_stream_free(b);
	close(pipe_[0]);
	close(pipe_[1]);
}

/* ------------------------------------------------------------------------------------ pairs */

ANYC_TEST(testing, n12_pairs_do_as_they_are_told)
{
	struct anyc_test_pair_options options = { .capacity = 8, .most = 2 };
	struct anyc_test_pair_counts counts;
	struct anyc_stream *a, *b;
	char buf[16];

	CHECK_OK(anyc_test_pair(&a, &b, &options));
	CHECK_OK(anyc_stream_send(a, "abcdef", 6));
	CHECK_RC(anyc_stream_receive(b, buf, sizeof buf), 2);
	anyc_test_pair_corrupt(a, 0);
	CHECK_OK(anyc_stream_send(a, "g", 1));
	CHECK_RC(anyc_stream_receive(b, buf, 1), 1);
	anyc_test_pair_counts(&counts, a);
	CHECK_INT(counts.sent, ==, 7);
	CHECK_INT(counts.sends, ==, 4);
	CHECK_INT(counts.undelivered, ==, 4);
	CHECK(!counts.peer_closed && !counts.eof_sent);
	for (int i = 0; i < 4; i++)
		CHECK_RC(anyc_stream_receive(b, buf + i, 1), 1);
	CHECK(memcmp(buf, "deff", 4) == 0);
	anyc_test_pair_cut_after(a, 1);
	CHECK_OK(anyc_stream_send(a, "xy", 2));
	CHECK_RC(anyc_stream_receive(b, buf, 2), 1);
	CHECK_RC(anyc_stream_receive(b, buf, 2), 0);
	anyc_test_pair_break(b, ECONNRESET);
	CHECK_RC(anyc_stream_send(b, "x", 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
	anyc_stream_free(b);
	anyc_test_pair_counts(&counts, a);
	CHECK(counts.peer_closed);
	anyc_stream_free(a);
}

ANYC_TEST(testing, n12_a_clogged_pair)
{
	struct anyc_stream *a, *b;
	struct sender s;
	struct anyc_group g;

	CHECK_OK(anyc_test_pair(&a, &b, NULL));
	s = (struct sender){ .stream = a, .data = "data", .size = 4 };
	anyc_test_pair_clog(a, true);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!s.done);
	anyc_test_pair_clog(a, false);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, 0);
	anyc_test_pair_deafen(b);
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_EBROKEN);
	CHECK_RECEIVES(b, "data");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* ------------------------------------------------------------------ set-up and tear-down */

static struct {
	uint64_t task;
	struct anyc_group group;
	bool body_ran;
} fixture;

static void set_up(void)
{
	fixture.task = anyc_task_id();
	anyc_group_enter(&fixture.group, NULL);
	CHECK_OK(anyc_spawn(&fixture.group, sleeper, NULL));
}

static void tear_down(void)
{
	CHECK(fixture.body_ran);
	CHECK_INT(anyc_task_id(), ==, fixture.task);
	CHECK_OK(anyc_group_cancel(&fixture.group, NULL));
	CHECK_OK(anyc_group_leave(&fixture.group, 0));
}

ANYC_TEST(testing, n08_a_group_from_set_up_to_tear_down, .set_up = set_up, .tear_down = tear_down)
{
	fixture.body_ran = true;
	CHECK_INT(anyc_task_id(), ==, fixture.task);
	CHECK_INT(anyc_group_size(&fixture.group), ==, 1);
}

/* ----------------------------------------------------------------------------------- misuse */

ANYC_TEST_MAIN(testing, n07_hosts_that_are_refused, "none")
{
	struct anyc_test_host host = { .size = sizeof host, .row = "late" };

	CHECK_RC(anyc_test_add_host(NULL), ANYC_EINVAL);
	CHECK_RC(anyc_test_add_host(&(struct anyc_test_host){ .size = sizeof host }), ANYC_EINVAL);
	CHECK_RC(anyc_test_add_host(&host), ANYC_EMISUSE);
	CHECK_REPORT("needs a host with a row");
	CHECK_REPORT("needs a host with a row");
	CHECK_REPORT("the row late comes too late");
}

/* SPDX-License-Identifier: MIT */
/*
 * What <anyc/backend.h> asks of a backend, member by member, on loops that the test makes, attaches
 * and runs: the first tests that an author of one will want to see pass.
 */
#include "conform.h"

#include <pthread.h>

struct seen {
	struct host *host;
	int ran, done, rc;
	bool stop;
	struct anyc_event event;
};

static void note_done(void *arg, int rc, void *copy)
{
	struct seen *s = arg;

	(void)copy;
	s->done++;
	s->rc = rc;
}

static void make(struct host *h)
{
	CHECK_OK(host_make(h, anyc_test_row()));
	CHECK_OK(host_attach(h));
}

static void end(struct host *h)
{
	CHECK_OK(host_detach(h));
	CHECK_OK(host_destroy(h));
}

static int count_run(void *arg)
{
	((struct seen *)arg)->ran++;
	return 7;
}

/* A task that never waits needs one turn, and soon alone asks for it. */
ANYC_TEST_MAIN(backend, soon_gives_a_turn, "native", .deadline = 3)
{
	struct seen s = { 0 };
	struct host h;

	make(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, count_run, &s, note_done, &s));
	CHECK_INT(s.ran, ==, 0);
	host_run(&h);
	CHECK_INT(s.ran, ==, 1);
	CHECK_INT(s.done, ==, 1);
	CHECK_INT(s.rc, ==, 7);
	end(&h);
}

static int yield_often(void *arg)
{
	struct seen *s = arg;

	for (; s->ran < 20000; s->ran++)
		CHECK_OK(anyc_checkpoint());
	return 0;
}

/* Two tasks that give way to one another are always ready: turn after turn is asked for. */
ANYC_TEST_MAIN(backend, soon_gives_as_many_turns_as_are_asked_for, "native", .deadline = 5)
{
	struct seen a = { 0 }, b = { 0 };
	struct host h;

	make(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, yield_often, &a, note_done, &a));
	CHECK_OK(anyc_loop_spawn(h.loop, yield_often, &b, note_done, &b));
	host_run(&h);
	CHECK_INT(a.ran, ==, 20000);
	CHECK_INT(b.ran, ==, 20000);
	end(&h);
}

static int spin_until_stopped(void *arg)
{
	struct seen *s = arg;

	while (!s->stop)
		CHECK_OK(anyc_checkpoint());
	return 0;
}

static int stop_after_a_while(void *arg)
{
	CHECK_OK(anyc_sleep(MS(5)));
	((struct seen *)arg)->stop = true;
	return 0;
}

/* The turn that soon gives comes after a poll: a timer fires beside tasks that are always ready. */
ANYC_TEST_MAIN(backend, soon_polls_first, "native", .deadline = 5)
{
	struct seen s = { 0 };
	struct host h;

	make(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, spin_until_stopped, &s, note_done, &s));
	CHECK_OK(anyc_loop_spawn(h.loop, stop_after_a_while, &s, note_done, &s));
	host_run(&h);
	CHECK_INT(s.done, ==, 2);
	end(&h);
}

static int sleep_shortly(void *arg)
{
	int rc = anyc_sleep(MS(5));

	((struct seen *)arg)->ran++;
	return rc;
}

/* The run ends when the task has, not before: the loop waits for a descriptor alone meanwhile. */
ANYC_TEST_MAIN(backend, keepalive_holds_the_loop_while_tasks_live, "native", .deadline = 5)
{
	struct seen s = { 0 };
	struct host h;

	make(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_shortly, &s, note_done, &s));
	host_run(&h);
	CHECK_INT(s.ran, ==, 1);
	CHECK_INT(s.done, ==, 1);
	CHECK_RC(s.rc, 0);
	end(&h);
}

ANYC_TEST_MAIN(backend, a_loop_without_tasks_ends, "native", .deadline = 3)
{
	struct seen s = { 0 };
	struct host h;

	make(&h);
	host_run(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_shortly, &s, note_done, &s));
	host_run(&h);
	CHECK_INT(s.done, ==, 1);
	host_run(&h);
	end(&h);
}

static void set_event(void *arg, int status)
{
	struct seen *s = arg;

	if (status == 0)
		CHECK_OK(anyc_event_set(&s->event));
}

static void *post_later(void *arg)
{
	static struct seen *seen;
	struct anyc_token *token = ((void **)arg)[0];

	seen = ((void **)arg)[1];
	CHECK_OK(anyc_token_post(token, set_event, seen));
	anyc_token_unref(token);
	return NULL;
}

static int wait_for_a_post(void *arg)
{
	struct seen *s = arg;
	void *args[2] = { anyc_loop_token(anyc_current_loop()), s };
	pthread_t thread;
	int rc;

	CHECK(args[0] != NULL);
	CHECK_INT(pthread_create(&thread, NULL, post_later, args), ==, 0);
	rc = anyc_event_wait(&s->event);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	return rc;
}

/* From a thread: only the descriptor tells the loop. */
ANYC_TEST_MAIN(backend, a_readable_descriptor_gives_a_turn, "native", .deadline = 3)
{
	struct seen s = { 0 };
	struct host h;

	make(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, wait_for_a_post, &s, note_done, &s));
	host_run(&h);
	CHECK_INT(s.done, ==, 1);
	CHECK_RC(s.rc, 0);
	end(&h);
}

static int stop_and_go_on(void *arg)
{
	struct seen *s = arg;

	s->host->ops->stop(s->host);
	CHECK_OK(anyc_sleep(MS(5)));
	s->ran++;
	return 0;
}

/* And what it leaves goes on in the next run. */
ANYC_TEST_MAIN(backend, stop_ends_a_run, "native", .deadline = 3)
{
	struct host h;
	struct seen s = { .host = &h };

	make(&h);
	CHECK_OK(anyc_loop_spawn(h.loop, stop_and_go_on, &s, note_done, &s));
	host_run(&h);
	CHECK_INT(s.ran, ==, 0);
	CHECK_INT(anyc_loop_tasks(h.loop), ==, 1);
	host_run(&h);
	CHECK_INT(s.ran, ==, 1);
	end(&h);
}

ANYC_TEST_MAIN(backend, attached_again_after_a_detach, "native", .deadline = 5)
{
	struct seen s = { 0 };
	struct host h;

	CHECK_OK(host_make(&h, anyc_test_row()));
	for (int i = 1; i <= 3; i++) {
		CHECK_OK(host_attach(&h));
		CHECK_OK(anyc_loop_spawn(h.loop, sleep_shortly, &s, note_done, &s));
		host_run(&h);
		CHECK_INT(s.done, ==, i);
		CHECK_OK(host_detach(&h));
	}
	CHECK_OK(host_destroy(&h));
}

static void count_gone(void *arg)
{
	++*(int *)arg;
}

/* At once, or as the loop runs; by its end at the latest. */
ANYC_TEST_MAIN(backend, detach_tells_when_its_handles_have_gone, "native", .deadline = 3)
{
	struct host h;
	int gone = 0;

	make(&h);
	CHECK_OK(anyc_loop_detach_then(h.loop, count_gone, &gone));
	CHECK_OK(host_destroy(&h));
	CHECK_INT(gone, ==, 1);
}

/* Each has a descriptor of its own. */
ANYC_TEST_MAIN(backend, two_loops_in_turn, "native", .deadline = 5)
{
	struct seen a = { 0 }, b = { 0 };
	struct host h, other;

	make(&h);
	make(&other);
	CHECK_OK(anyc_loop_spawn(h.loop, sleep_shortly, &a, note_done, &a));
	CHECK_OK(anyc_loop_spawn(other.loop, sleep_shortly, &b, note_done, &b));
	host_run(&h);
	CHECK_INT(a.done, ==, 1);
	CHECK_INT(b.done, ==, 0);
	host_run(&other);
	CHECK_INT(b.done, ==, 1);
	end(&other);
	end(&h);
}

static int give_five(void *arg)
{
	(void)arg;
	return anyc_sleep(0) == 0 ? 5 : -1;
}

ANYC_TEST_MAIN(backend, run_makes_and_frees_a_loop, "native", .deadline = 5)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };

	for (int i = 0; i < 3; i++)
		CHECK_RC(anyc_run(&options, give_five, NULL), 5);
}

/* SPDX-License-Identifier: MIT */
/* The sim's clock: what moves it, what it never jumps over, and how a run on it ends. */
#include "conform.h"
#include "lib/alloc_fault.h"

#include <anyc/sim.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct anyc_sim *this_sim(void)
{
	return anyc_loop_native(anyc_current_loop());
}

/* CLOCK_MONOTONIC, whatever the loop's clock shows. */
static int64_t real_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * ANYC_SECOND + ts.tv_nsec;
}

static int run_on(struct anyc_sim *sim, anyc_task_fn *fn, void *arg)
{
	struct anyc_run_options options = { .backend = "sim", .native = sim };

	return anyc_run(&options, fn, arg);
}

/* A sim with these options, for one run. */
static int run_with(const struct anyc_sim_options *options, anyc_task_fn *fn, void *arg)
{
	struct anyc_sim *sim;
	int rc;

	CHECK_OK(anyc_sim_create(&sim, options));
	rc = run_on(sim, fn, arg);
	anyc_sim_free(sim);
	return rc;
}

/* ---------------------------------------------------------------------------- virtual time */

ANYC_TEST_ON(sim, b009_ten_seconds_take_no_time, "sim", .deadline = 60)
{
	int64_t start = anyc_now(), real = real_now();

	CHECK_OK(anyc_sleep(10 * ANYC_SECOND));
	CHECK_INT(anyc_now() - start, ==, 10 * ANYC_SECOND);
	CHECK_INT(real_now() - real, <, anyc_test_slow() * ANYC_SECOND);
	CHECK_INT(anyc_sim_now(this_sim()), ==, anyc_now());
}

static int sleep_ten_seconds(void *arg)
{
	int64_t start = anyc_now();
	int rc = anyc_sleep(10 * ANYC_SECOND);

	*(int64_t *)arg = anyc_now() - start;
	return rc;
}

/* An option reaches the backend, also one that anyc_run() makes for itself. */
ANYC_TEST_MAIN(sim, b009_options_reach_the_backend, "sim")
{
	struct anyc_sim_options options = { .start = 5 * ANYC_SECOND };
	struct anyc_run_options run = { .backend = "sim" };
	int64_t real = real_now(), took = 0;
	struct anyc_sim *sim;

	CHECK_OK(anyc_sim_create(&sim, &options));
	CHECK_INT(anyc_sim_now(sim), ==, 5 * ANYC_SECOND);
	CHECK_OK(run_on(sim, sleep_ten_seconds, &took));
	CHECK_INT(took, ==, 10 * ANYC_SECOND);
	CHECK_INT(anyc_sim_now(sim), ==, 15 * ANYC_SECOND);
	anyc_sim_free(sim);
	CHECK_OK(anyc_run(&run, sleep_ten_seconds, &took));
	CHECK_INT(took, ==, 10 * ANYC_SECOND);
	CHECK_INT(real_now() - real, <, anyc_test_slow() * ANYC_SECOND);
}

struct clockwork {
	int64_t every, until;
	long beats;
};
static int beat(void *arg)
{
	struct clockwork *c = arg;
	int rc = 0;

	while (rc == 0 && anyc_now() < c->until) {
		rc = anyc_sleep(c->every);
		c->beats++;
	}
	return rc;
}

/* A hundred thousand timers in the first day, and each at its second. */
ANYC_TEST_ON(sim, a_day_of_timers_in_a_second, "sim", .deadline = 200000)
{
	struct clockwork second = { .every = ANYC_SECOND }, minute = { .every = ANYC_MINUTE };
	struct clockwork odd = { .every = 7 * ANYC_SECOND };
	struct clockwork *all[] = { &second, &minute, &odd };
	int64_t start = anyc_now(), cpu = clock_cpu();
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		all[i]->until = start + 24 * ANYC_HOUR;
		CHECK_OK(anyc_spawn(&g, beat, all[i]));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(second.beats, ==, 86400);
	CHECK_INT(minute.beats, ==, 1440);
	CHECK_INT(odd.beats, ==, 86400 / 7 + 1);
	CHECK_INT(anyc_now() - start, ==, 24 * ANYC_HOUR + ANYC_SECOND);
	if (!SANITIZED)
		CHECK_INT(clock_cpu() - cpu, <, anyc_test_slow() * ANYC_SECOND);
}

/* The clock stands still while tasks run, and deadlines come exactly. */
ANYC_TEST_ON(sim, a_deadline_is_exact, "sim")
{
	int64_t start = anyc_now();
	struct anyc_scope s;

	anyc_scope_enter_timeout(&s, 3 * ANYC_SECOND);
	CHECK_OK(anyc_sleep(2 * ANYC_SECOND));
	CHECK_RC(anyc_sleep(2 * ANYC_SECOND), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_INT(anyc_now() - start, ==, 3 * ANYC_SECOND);
}

/* A task that never waits meets its deadline too. */
ANYC_TEST_ON(sim, a_busy_task_meets_its_deadline, "sim")
{
	struct anyc_scope s;
	long rounds = 0;

	anyc_scope_enter_timeout(&s, ANYC_SECOND);
	while (anyc_checkpoint() == 0)
		rounds++;
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_INT(rounds, >, 500000);
}

/* ------------------------------------------------------------------------- work, and calls */

static int sleep_long(void *arg)
{
	int64_t start = anyc_now();
	int rc = anyc_sleep(ANYC_SECOND);

	*(int64_t *)arg = anyc_now() - start;
	return rc;
}

ANYC_TEST_ON(sim, advancing_is_work_that_takes_time, "sim")
{
	int64_t start = anyc_now(), slept = 0;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_long, &slept));
	SETTLE();
	CHECK_OK(anyc_sim_advance(this_sim(), 5 * ANYC_SECOND));
	CHECK_INT(anyc_now() - start, ==, 5 * ANYC_SECOND);
	CHECK_INT(slept, ==, 0);
	SETTLE();
	CHECK_INT(slept, ==, 5 * ANYC_SECOND);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_sim_advance(this_sim(), 0));
}

struct call_note {
	char text[16];
	int length;
	int64_t when[8];
};
static struct call_note calls;

static void note_call(void *arg)
{
	CHECK(anyc_task_name() == NULL);
	calls.when[calls.length] = anyc_now();
	calls.text[calls.length++] = *(const char *)arg;
}

ANYC_TEST_ON(sim, calls_at_a_time, "sim")
{
	static const char names[] = "abcde";
	int64_t start = anyc_now();

	memset(&calls, 0, sizeof calls);
	CHECK_OK(anyc_sim_at(this_sim(), start + 3 * ANYC_SECOND, note_call, (void *)&names[3]));
	CHECK_OK(anyc_sim_at(this_sim(), start + 1 * ANYC_SECOND, note_call, (void *)&names[1]));
	CHECK_OK(anyc_sim_at(this_sim(), start + 1 * ANYC_SECOND, note_call, (void *)&names[2]));
	CHECK_OK(anyc_sim_at(this_sim(), 1, note_call, (void *)&names[0]));
	CHECK_INT(anyc_sim_next(this_sim()), ==, start);
	CHECK_OK(anyc_sleep(2 * ANYC_SECOND));
	CHECK_STR(calls.text, "abc");
	CHECK_INT(anyc_sim_next(this_sim()), ==, start + 3 * ANYC_SECOND);
	/* What has become due while this task worked comes before it is said that all wait. */
	CHECK_OK(anyc_sim_advance(this_sim(), 4 * ANYC_SECOND));
	CHECK_STR(calls.text, "abc");
	SETTLE();
	CHECK_STR(calls.text, "abcd");
	CHECK_INT(calls.when[0], ==, start);
	CHECK_INT(calls.when[1], ==, start + ANYC_SECOND);
	CHECK_INT(calls.when[3], ==, start + 6 * ANYC_SECOND);
}

/* Many, set and happening in every order: they come by time, then by the order they were set. */
static int64_t last_when;
static int last_order, happened;

struct numbered {
	int64_t when;
	int order;
};
static void check_order(void *arg)
{
	const struct numbered *n = arg;

	CHECK_INT(anyc_now(), ==, n->when);
	CHECK_INT(n->when, >=, last_when);
	if (n->when == last_when)
		CHECK_INT(n->order, >, last_order);
	last_when = n->when;
	last_order = n->order;
	happened++;
}

ANYC_TEST_ON(sim, many_calls_come_in_order, "sim")
{
	enum { MANY = 2000 };
	static struct numbered n[MANY];
	int64_t start = anyc_now();
	unsigned lot = 1;

	last_when = 0;
	happened = 0;
	for (int i = 0; i < MANY; i++) {
		lot = lot * 1103515245 + 12345;
		n[i] = (struct numbered){ start + (lot >> 16) % 500 * ANYC_MICROSECOND, i };
		CHECK_OK(anyc_sim_at(this_sim(), n[i].when, check_order, &n[i]));
		if (i % 100 == 99)
			CHECK_OK(anyc_sleep(0));
	}
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_INT(happened, ==, MANY);
}

/* A call that asks for itself again at once does not keep tasks from running. */
static int again_calls;

static void call_again(void *arg)
{
	struct anyc_sim *sim = arg;

	if (++again_calls < 1000)
		CHECK_OK(anyc_sim_at(sim, 0, call_again, sim));
}

ANYC_TEST_ON(sim, a_call_that_repeats_at_once, "sim")
{
	again_calls = 0;
	CHECK_OK(anyc_sim_at(this_sim(), 0, call_again, this_sim()));
	SETTLE();
	CHECK_INT(again_calls, <, 1000);
	CHECK_OK(anyc_sleep(1));
	CHECK_INT(again_calls, ==, 1000);
}

/* ------------------------------------------------------------------------ the real outside */

struct late_byte {
	int fd;
	int64_t after;
};
static void *write_later(void *arg)
{
	const struct late_byte *b = arg;

	usleep((unsigned)(b->after / ANYC_MICROSECOND));
	CHECK_INT(write(b->fd, "x", 1), ==, 1);
	return NULL;
}

/* An hour's sleep does not pass a byte that comes in twenty real milliseconds. */
ANYC_TEST_ON(sim, a_descriptor_holds_the_clock, "sim", .deadline = 60)
{
	int64_t start = anyc_now(), slept = 0;
	struct late_byte late = { .after = MS(20) };
	struct anyc_group g;
	pthread_t thread;
	int fds[2];

	CHECK_INT(pipe(fds), ==, 0);
	late.fd = fds[1];
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_ten_seconds, &slept));
	CHECK_INT(pthread_create(&thread, NULL, write_later, &late), ==, 0);
	CHECK_OK(anyc_wait_readable(fds[0]));
	CHECK_INT(anyc_now() - start, >, 0);
	CHECK_INT(anyc_now() - start, <, 10 * ANYC_SECOND);
	CHECK_INT(slept, ==, 0);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_now() - start, ==, 10 * ANYC_SECOND);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

/* A deadline ends such a wait, when as much real time has passed. */
ANYC_TEST_ON(sim, a_deadline_ends_a_real_wait, "sim")
{
	int64_t start = anyc_now(), real = real_now();
	struct anyc_scope s;
	int fds[2];

	CHECK_INT(pipe(fds), ==, 0);
	anyc_scope_enter_timeout(&s, MS(20));
	CHECK_RC(anyc_wait_readable(fds[0]), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_INT(real_now() - real, >=, MS(20));
	CHECK_INT(anyc_now() - start, >=, MS(20));
	CHECK_INT(anyc_now() - start, <=, real_now() - real);
	close(fds[0]);
	close(fds[1]);
}

struct poster {
	struct anyc_token *token;
	struct anyc_event arrived;
};
static void on_post(void *arg, int status)
{
	struct poster *p = arg;

	CHECK_OK(status);
	CHECK_OK(anyc_event_set(&p->arrived));
}

static void *post_later(void *arg)
{
	struct poster *p = arg;

	usleep(20000);
	CHECK_OK(anyc_token_post(p->token, on_post, p));
	anyc_token_unref(p->token);
	return NULL;
}

/* Whoever holds a token may post, so nothing jumps past that. */
ANYC_TEST_ON(sim, a_token_holds_the_clock, "sim", .deadline = 60)
{
	struct poster p = { .token = anyc_loop_token(anyc_current_loop()) };
	int64_t start = anyc_now();
	struct anyc_scope s;
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, post_later, &p), ==, 0);
	anyc_scope_enter_timeout(&s, 10 * ANYC_SECOND);
	CHECK_OK(anyc_event_wait(&p.arrived));
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_INT(anyc_now() - start, >, 0);
	CHECK_INT(anyc_now() - start, <, 10 * ANYC_SECOND);
	pthread_join(thread, NULL);
	/* Nobody does any more, which the sim sees when all wait. */
	CHECK_OK(anyc_sleep(1));
	start = anyc_now();
	CHECK_OK(anyc_sleep(ANYC_SECOND));
	CHECK_INT(anyc_now() - start, ==, ANYC_SECOND);
}

/* What a task works while the outside is waited for is over when it sets a deadline. */
ANYC_TEST_ON(sim, a_deadline_begins_when_it_is_set, "sim", .deadline = 60)
{
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	struct anyc_scope s;

	CHECK_OK(anyc_sleep(ANYC_MILLISECOND));
	usleep(30000);
	anyc_scope_enter_timeout(&s, 20 * ANYC_MILLISECOND);
	CHECK_OK(anyc_sleep(1));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&s, 0));
	anyc_token_unref(token);
}

/* ----------------------------------------------------------------------------- manual clock */

static int wait_for_the_hand(void *arg)
{
	struct anyc_sim *sim = this_sim();
	int64_t slept = 0, start = anyc_now();
	struct anyc_group g;

	(void)arg;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleep_long, &slept));
	for (int i = 0; i < 10; i++)
		SETTLE();
	CHECK_INT(anyc_now(), ==, start);
	CHECK_INT(anyc_sim_next(sim), ==, start + ANYC_SECOND);
	CHECK_OK(anyc_sim_advance(sim, ANYC_SECOND - 1));
	SETTLE();
	CHECK_INT(slept, ==, 0);
	CHECK_OK(anyc_sim_advance(sim, 1));
	SETTLE();
	CHECK_INT(slept, ==, ANYC_SECOND);
	return anyc_group_leave(&g, 0);
}

ANYC_TEST_MAIN(sim, a_manual_clock_in_a_task, "sim")
{
	struct anyc_sim_options options = { .manual = true };

	CHECK_OK(run_with(&options, wait_for_the_hand, NULL));
}

/* From outside: run as far as it goes, move the clock, and run on. */
ANYC_TEST_MAIN(sim, a_manual_clock_from_outside, "sim")
{
	struct anyc_sim_options options = { .manual = true };
	int64_t start, slept = 0;
	struct anyc_loop *loop;
	struct anyc_sim *sim;

	CHECK_OK(anyc_sim_create(&sim, &options));
	CHECK_OK(anyc_sim_attach(&loop, sim));
	start = anyc_sim_now(sim);
	CHECK_OK(anyc_loop_spawn(loop, sleep_long, &slept, NULL, NULL));
	CHECK_RC(anyc_sim_run(sim), ANYC_EWOULDBLOCK);
	CHECK_HAS(anyc_error_detail(ANYC_EWOULDBLOCK), "anyc_sim_advance");
	CHECK_INT(anyc_sim_next(sim), ==, start + ANYC_SECOND);
	CHECK_OK(anyc_sim_advance(sim, anyc_sim_next(sim) - start));
	CHECK_OK(anyc_sim_run(sim));
	CHECK_INT(slept, ==, ANYC_SECOND);
	CHECK_OK(anyc_loop_detach(loop));
	anyc_sim_free(sim);
}

/* Nobody is left to move it. */
ANYC_TEST_MAIN(sim, a_manual_clock_that_nobody_moves, "sim")
{
	struct anyc_sim_options options = { .manual = true };
	int64_t slept = 0;

	CHECK_RC(run_with(&options, sleep_long, &slept), ANYC_EDEADLK);
}

/* ----------------------------------------------------------------------------------- ends */

static int wait_for_nothing(void *arg)
{
	struct anyc_event event = { 0 };

	(void)arg;
	return anyc_event_wait(&event);
}

static int two_wait_for_nothing(void *arg)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_nothing, NULL));
	CHECK_OK(anyc_sleep(ANYC_HOUR));
	return anyc_group_leave(&g, wait_for_nothing(arg));
}

ANYC_TEST_MAIN(sim, r22_nothing_could_ever_wake_a_task, "sim")
{
	CHECK_RC(run_with(NULL, wait_for_nothing, NULL), ANYC_EDEADLK);
	CHECK_RC(run_with(NULL, two_wait_for_nothing, NULL), ANYC_EDEADLK);
}

static void note_result(void *arg, int rc, void *copy)
{
	(void)copy;
	*(int *)arg = rc;
}

/* The application that runs it is told, and can still do something about it. */
ANYC_TEST_MAIN(sim, r22_a_run_that_nothing_can_end, "sim")
{
	struct anyc_event event = { 0 };
	int result = ANYC_ENOTFINISHED;
	struct waiter w = { .event = &event };
	struct anyc_loop *loop;
	struct anyc_sim *sim;

	CHECK_OK(anyc_sim_create(&sim, NULL));
	CHECK_OK(anyc_sim_attach(&loop, sim));
	CHECK_OK(anyc_loop_spawn(loop, wait_for_event, &w, note_result, &result));
	CHECK_RC(anyc_sim_run(sim), ANYC_EDEADLK);
	CHECK(!w.done);
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_sim_run(sim));
	CHECK(w.done);
	CHECK_OK(w.rc);
	CHECK_OK(result);
	CHECK_OK(anyc_sim_run(sim));
	CHECK_OK(anyc_loop_close(loop));
}

static void stop_it(void *sim)
{
	anyc_sim_stop(sim);
}

ANYC_TEST_MAIN(sim, stopping, "sim")
{
	int64_t slept = 0, start;
	struct anyc_loop *loop;
	struct anyc_sim *sim;

	CHECK_OK(anyc_sim_create(&sim, NULL));
	CHECK_OK(anyc_sim_attach(&loop, sim));
	start = anyc_sim_now(sim);
	CHECK_OK(anyc_loop_spawn(loop, sleep_long, &slept, NULL, NULL));
	anyc_sim_stop(sim);
	CHECK_OK(anyc_sim_run(sim));
	CHECK_INT(anyc_sim_now(sim), ==, start);
	CHECK_OK(anyc_sim_at(sim, start + MS(10), stop_it, sim));
	CHECK_OK(anyc_sim_run(sim));
	CHECK_INT(anyc_sim_now(sim), ==, start + MS(10));
	CHECK_OK(anyc_sim_run(sim));
	CHECK_INT(slept, ==, ANYC_SECOND);
	CHECK_OK(anyc_loop_detach(loop));
	anyc_sim_free(sim);
}

/* Calls keep a run going; those that are left at the end never come. */
static int called;

static void count_call(void *arg)
{
	(void)arg;
	called++;
}

ANYC_TEST_MAIN(sim, calls_keep_it_going, "sim")
{
	struct anyc_loop *loop;
	struct anyc_sim *sim;

	called = 0;
	CHECK_OK(anyc_sim_create(&sim, NULL));
	CHECK_OK(anyc_sim_at(sim, anyc_sim_now(sim) + ANYC_HOUR, count_call, NULL));
	CHECK_OK(anyc_sim_attach(&loop, sim));
	CHECK_OK(anyc_sim_run(sim));
	CHECK_INT(called, ==, 1);
	CHECK_OK(anyc_sim_at(sim, 0, count_call, NULL));
	CHECK_OK(anyc_loop_detach(loop));
	anyc_sim_free(sim);
	CHECK_INT(called, ==, 1);
}

/* Freed under its tasks. */
ANYC_TEST_MAIN(sim, r25_freed_under_its_tasks, "sim")
{
	int result = ANYC_ENOTFINISHED;
	struct anyc_loop *loop;
	struct anyc_sim *sim;

	CHECK_OK(anyc_sim_create(&sim, NULL));
	CHECK_OK(anyc_sim_attach(&loop, sim));
	CHECK_OK(anyc_loop_spawn(loop, wait_for_nothing, NULL, note_result, &result));
	CHECK_RC(anyc_sim_run(sim), ANYC_EDEADLK);
	anyc_sim_free(sim);
	CHECK_RC(result, ANYC_EGONE);
	CHECK_OK(anyc_loop_detach(loop));
}

/* ----------------------------------------------------------------------------------- trace */

struct trace {
	char *text;
	size_t length, size;
};

static void keep_line(void *arg, const char *line)
{
	struct trace *t = arg;
	size_t n = strlen(line);

	if (t->length + n + 2 > t->size) {
		t->size = 2 * t->size + n + 2;
		t->text = realloc(t->text, t->size);
		CHECK(t->text != NULL);
	}
	memcpy(t->text + t->length, line, n);
	t->length += n;
	t->text[t->length++] = '\n';
	t->text[t->length] = '\0';
}

/* Tasks that meet at a lock and sleep for times that depend on who was first. */
struct crowd {
	struct anyc_lock lock;
	int64_t order;
	int met;
};
static int jostle(void *arg)
{
	struct crowd *c = arg;
	int me = ++c->met, rc = 0;

	for (int i = 0; i < 20 && rc == 0; i++) {
		rc = anyc_lock_acquire(&c->lock);
		if (rc != 0)
			return rc;
		c->order = (c->order * 31 + me) % 1000;
		rc = anyc_sleep(1 + c->order);
		anyc_lock_release(&c->lock);
		if (rc == 0)
			rc = anyc_checkpoint();
	}
	return rc;
}

static int run_crowd(void *arg)
{
	struct crowd c = { .order = 1 };
	struct anyc_group g;

	(void)arg;
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 10; i++)
		CHECK_OK(anyc_spawn(&g, jostle, &c));
	return anyc_group_leave(&g, 0);
}

static void trace_crowd(struct trace *t, uint64_t seed)
{
	struct anyc_sim_options options = {
		.seed = seed, .shuffle = true, .trace = keep_line, .trace_arg = t,
	};

	memset(t, 0, sizeof *t);
	CHECK_OK(run_with(&options, run_crowd, NULL));
}

ANYC_TEST_MAIN(sim, same_seed_same_trace, "sim")
{
	struct trace one, again, other;

	trace_crowd(&one, 3);
	trace_crowd(&again, 3);
	trace_crowd(&other, 4);
	CHECK_INT(one.length, >, 2000);
	CHECK_HAS(one.text, "1000.000000000 run main 1\n");
	CHECK_HAS(one.text, " jumped\n");
	CHECK_HAS(one.text, " run jostle ");
	CHECK(strcmp(again.text, one.text) == 0);
	CHECK(strcmp(other.text, one.text) != 0);
	free(one.text);
	free(again.text);
	free(other.text);
}

/* --------------------------------------------------------------------------------- misuse */

static int misuse_inside(void *arg)
{
	struct anyc_sim *sim = arg;

	CHECK_RC(anyc_sim_run(sim), ANYC_EMISUSE);
	CHECK_REPORT("runs already");
	anyc_sim_free(sim);
	CHECK_REPORT("the sim runs");
	CHECK_RC(run_on(sim, misuse_inside, sim), ANYC_EMISUSE);
	CHECK_REPORT("already running");
	CHECK_RC(anyc_sim_advance(sim, -1), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "-1 ns is negative");
	CHECK_RC(anyc_sim_advance(sim, ANYC_FOREVER), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "end of time");
	CHECK_RC(anyc_sim_at(sim, 0, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_sim_at(NULL, 0, count_call, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_sim_advance(NULL, 0), ANYC_EINVAL);
	return anyc_sleep(ANYC_SECOND);
}

static void *misuse_in_a_thread(void *sim)
{
	CHECK_RC(anyc_sim_advance(sim, 1), ANYC_ETHREAD);
	CHECK_REPORT("another thread");
	CHECK_RC(anyc_sim_at(sim, 1, count_call, NULL), ANYC_ETHREAD);
	CHECK_REPORT("another thread");
	anyc_thread_done();
	return NULL;
}

ANYC_TEST_MAIN(sim, r12_misuse, "sim")
{
	struct anyc_sim_options options = { .start = -1 };
	struct {
		struct anyc_sim_options known;
		int unknown;
	} later = { .unknown = 0 };
	struct anyc_sim *sim = (void *)&later;
	struct anyc_loop *loop;
	pthread_t thread;

	CHECK_RC(anyc_sim_create(NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_sim_create(&sim, &options), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "negative");
	CHECK(sim == NULL);
	CHECK_OK(anyc_sim_create_sized(&sim, &later.known, sizeof later));
	CHECK_INT(anyc_sim_next(sim), ==, ANYC_FOREVER);
	CHECK_RC(anyc_sim_run(sim), ANYC_EMISUSE);
	CHECK_REPORT("not attached");
	CHECK_RC(anyc_sim_run(NULL), ANYC_EINVAL);
	CHECK_OK(run_on(sim, misuse_inside, sim));
	CHECK_OK(anyc_sim_attach(&loop, sim));
	CHECK_INT(pthread_create(&thread, NULL, misuse_in_a_thread, sim), ==, 0);
	pthread_join(thread, NULL);
	CHECK_OK(anyc_loop_detach(loop));
	anyc_sim_free(sim);
	anyc_sim_free(NULL);
	anyc_sim_stop(NULL);
	later.unknown = 1;
	CHECK_RC(anyc_sim_create_sized(&sim, &later.known, sizeof later), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "does not know");
	options.start = 0;
	options.reserved_[4] = 1;
	CHECK_RC(anyc_sim_create(&sim, &options), ANYC_EINVAL);
	CHECK(sim == NULL);
}

/* ---------------------------------------------------------------------------------- memory */

static int make_and_use(void *arg)
{
	struct anyc_sim *sim;
	int64_t took;
	int rc = anyc_sim_create(&sim, NULL);

	(void)arg;
	if (rc != 0) {
		CHECK(sim == NULL);
		return rc;
	}
	rc = anyc_sim_at(sim, 0, count_call, NULL);
	if (rc == 0)
		rc = run_on(sim, sleep_ten_seconds, &took);
	anyc_sim_free(sim);
	return rc;
}

ANYC_TEST_MAIN(sim, no_memory, "sim", .deadline = 60)
{
	check_alloc_sweep(make_and_use, NULL, 2);
}

/* -------------------------------------------------------------------------------- fork */

static void run_in_child(void)
{
	int64_t took = 0;

	if (run_with(NULL, sleep_ten_seconds, &took) != 0 || took != 10 * ANYC_SECOND)
		_exit(2);
}

static int fork_inside(void *arg)
{
	struct corpse c;

	(void)arg;
	CHECK_OK(anyc_sleep(ANYC_SECOND));
	corpse_make(&c, run_in_child);
	CHECK(c.status != 0); /* a loop runs in that thread, in the child's eyes too */
	return anyc_sleep(ANYC_SECOND);
}

static struct anyc_sim *inherited;

static void attach_inherited(void)
{
	int64_t took = 0;
	struct anyc_loop *loop;

	if (anyc_sim_attach(&loop, inherited) != 0 ||
	    anyc_loop_spawn(loop, sleep_ten_seconds, &took, NULL, NULL) != 0 ||
	    anyc_sim_run(inherited) != 0 || took != 10 * ANYC_SECOND ||
	    anyc_loop_detach(loop) != 0)
		_exit(2);
}

ANYC_TEST_MAIN(sim, r27_a_forked_child, "sim")
{
	struct anyc_loop *loop;
	struct corpse c;
	int64_t took = 0;

	corpse_make(&c, run_in_child);
	CHECK_LIVED(&c);
	CHECK_OK(run_with(NULL, fork_inside, NULL));
	CHECK_OK(anyc_sim_create(&inherited, NULL));
	CHECK_OK(anyc_sim_attach(&loop, inherited));
	corpse_make(&c, attach_inherited);
	CHECK_LIVED(&c);
	CHECK_OK(anyc_loop_spawn(loop, sleep_ten_seconds, &took, NULL, NULL));
	CHECK_OK(anyc_sim_run(inherited));
	CHECK_OK(anyc_loop_detach(loop));
	anyc_sim_free(inherited);
}

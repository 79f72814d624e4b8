/* SPDX-License-Identifier: MIT */
/*
 * Looking inside: the list and the dump of tasks, figures, probes, reasons of cancellations
 * (semantics.md C3, C23, N1 to N6, N13); waiting until all are blocked, and pending cancellations
 * (b175, b177 of behaviours.md).
 */
#include "conform.h"
#include "lib/alloc_fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static int be_woken(void *arg)
{
	return anyc_event_wait(arg);
}

/* ------------------------------------------------------------------------------ b175: settle */

struct settled {
	struct anyc_event event;
	struct anyc_scope scope;
	int steps;
};

/* Wakes up, and then goes on for some turns before it waits again. */
static int work_when_woken(void *arg)
{
	struct settled *s = arg;
	int rc;

	anyc_scope_enter(&s->scope, NULL);
	rc = anyc_event_wait(&s->event);
	anyc_scope_leave(&s->scope, 0);
	for (int i = 0; i < 20; i++) {
		s->steps++;
		if (anyc_checkpoint_shielded() != 0)
			return -EIO;
	}
	return rc == ANYC_ECANCELED ? anyc_sleep_forever() : rc;
}

ANYC_TEST(inspect, b175_a_task_that_was_woken_counts_as_running)
{
	struct settled s = { .steps = 0 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, work_when_woken, &s));
	SETTLE();
	CHECK_INT(s.steps, ==, 0);
	CHECK_OK(anyc_event_set(&s.event));
	SETTLE();
	CHECK_INT(s.steps, ==, 20);
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(inspect, b175_a_task_that_was_cancelled_counts_as_running)
{
	struct settled s = { .steps = 0 };
	struct anyc_scope shield;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, work_when_woken, &s));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&s.scope, NULL));
	SETTLE();
	CHECK_INT(s.steps, ==, 20);
	/* A task that has not begun yet, and is cancelled. */
	CHECK_OK(anyc_group_cancel(&g, NULL));
	s.steps = 0;
	CHECK_OK(anyc_spawn(&g, count_up, &s.steps));
	anyc_scope_enter_shield(&shield, 20 * ANYC_SECOND);
	SETTLE();
	CHECK_INT(s.steps, ==, 1);
	CHECK_OK(anyc_scope_leave(&shield, 0));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* Those who wait for it do not hold each other up. */
static int settle_too(void *arg)
{
	int rc = anyc_wait_all_blocked();

	++*(int *)arg;
	return rc;
}

ANYC_TEST(inspect, b175_several_wait_for_it)
{
	struct anyc_group g;
	int n = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, settle_too, &n));
	CHECK_OK(anyc_spawn(&g, settle_too, &n));
	SETTLE();
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(n, ==, 2);
}

/* -------------------------------------------------------------- b177: pending cancellations */

ANYC_TEST(inspect, b177_pending_cancellation)
{
	struct anyc_scope s, shield, expired;

	CHECK(!anyc_has_pending_cancellation());
	anyc_scope_enter(&s, NULL);
	CHECK(!anyc_has_pending_cancellation());
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK(anyc_has_pending_cancellation());
	anyc_scope_enter_shield(&shield, 20 * ANYC_SECOND);
	CHECK(!anyc_has_pending_cancellation());
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&shield, 0));
	CHECK(anyc_has_pending_cancellation());
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK(anyc_has_pending_cancellation());
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK(!anyc_has_pending_cancellation());
	anyc_scope_enter_timeout(&expired, 0);
	CHECK(anyc_has_pending_cancellation());
	CHECK_RC(anyc_scope_leave(&expired, anyc_checkpoint()), ANYC_ETIMEDOUT);
}

/* ------------------------------------------------------------------------ C3, C23: reasons */

/* Notes why it was cancelled, at the place and further out. */
struct told {
	char why[200], outside[200], shielded[200];
};

static void copy_detail(char *to)
{
	snprintf(to, 200, "%s", anyc_error_detail(ANYC_ECANCELED));
}

static int tell_why(void *arg)
{
	struct told *t = arg;
	struct anyc_scope inner, shield;
	int rc;

	anyc_scope_enter(&inner, NULL);
	rc = anyc_sleep_forever();
	copy_detail(t->why);
	anyc_scope_enter_shield(&shield, ANYC_SECOND);
	copy_detail(t->shielded);
	rc = anyc_scope_leave(&shield, rc);
	rc = anyc_scope_leave(&inner, rc);
	copy_detail(t->outside);
	return rc;
}

static int cancel_group(void *arg)
{
	return anyc_group_cancel(arg, "the window was closed");
}

ANYC_TEST(inspect, sc23_reason_and_canceller)
{
	struct anyc_spawn_options ui = { .name = "ui" };
	struct told t = { .why = "" };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tell_why, &t));
	SETTLE();
	CHECK_OK(anyc_spawn_opts(&g, cancel_group, &g, &ui));
	CHECK_RC(anyc_sleep_forever(), ANYC_ECANCELED);
	/* The first reason stays. */
	CHECK_OK(anyc_group_cancel(&g, "another"));
	CHECK_OK(anyc_group_leave(&g, ANYC_ECANCELED));
	CHECK_STR(t.why, "cancelled by task 'ui': the window was closed");
	CHECK_STR(t.outside, t.why);
	CHECK_STR(t.shielded, t.why);
	CHECK_STR(anyc_scope_canceller(anyc_group_scope(&g)), "ui");
	/* Here nobody was cancelled. */
	CHECK_STR(anyc_error_detail(ANYC_ECANCELED), anyc_strerror(ANYC_ECANCELED));
}

static int fail_at_once(void *arg)
{
	(void)arg;
	return anyc_fail(-EIO, EIO, "the disk is full");
}

ANYC_TEST(inspect, sc23_other_causes)
{
	struct told t = { .why = "" };
	struct anyc_group g;
	struct anyc_group_options limit = { .timeout = MS(1) };
	struct anyc_scope s;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tell_why, &t));
	CHECK_OK(anyc_spawn(&g, fail_at_once, NULL));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	CHECK_HAS(t.why, "'fail_at_once'");
	CHECK_HAS(t.why, "failed");
	anyc_group_enter(&g, &limit);
	CHECK_OK(anyc_spawn(&g, tell_why, &t));
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_ETIMEDOUT);
	CHECK_HAS(t.why, "deadline");
	/* Without a reason, and one after another: never an old one. */
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, "first"));
	CHECK_HAS(anyc_error_detail(ANYC_ECANCELED), "': first");
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK(strstr(anyc_error_detail(ANYC_ECANCELED), "first") == NULL);
	CHECK_HAS(anyc_error_detail(ANYC_ECANCELED), "cancelled by task '");
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
}

/* Of several it is the outermost that the task can see: the one that it gets to in the end. */
ANYC_TEST(inspect, sc23_of_several)
{
	struct anyc_scope outermost, outer, inner;

	anyc_scope_enter(&outermost, NULL);
	anyc_scope_enter_shield(&outer, ANYC_FOREVER);
	anyc_scope_enter(&inner, NULL);
	CHECK_OK(anyc_scope_cancel(&inner, "inner"));
	CHECK_HAS(anyc_error_detail(ANYC_ECANCELED), "inner");
	CHECK_OK(anyc_scope_cancel(&outermost, "outermost"));
	CHECK_HAS(anyc_error_detail(ANYC_ECANCELED), "inner");
	CHECK_OK(anyc_scope_cancel(&outer, "outer"));
	CHECK_HAS(anyc_error_detail(ANYC_ECANCELED), "outer");
	CHECK_RC(anyc_scope_leave(&inner, ANYC_ECANCELED), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&outer, ANYC_ECANCELED), 0);
	CHECK_HAS(anyc_error_detail(ANYC_ECANCELED), "outermost");
	CHECK_OK(anyc_scope_leave(&outermost, ANYC_ECANCELED));
}

/* A cancelled checkpoint keeps the sentence of an error that is on its way out. */
static int fail_and_clean_up(void *arg)
{
	int rc = anyc_sleep_forever();

	(void)arg;
	CHECK_RC(rc, ANYC_ECANCELED);
	rc = anyc_fail(-EIO, EIO, "the disk is full");
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	return rc;
}

ANYC_TEST(inspect, r13_a_cancellation_keeps_another_errors_sentence)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, fail_and_clean_up, NULL));
	SETTLE();
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_RC(anyc_group_leave(&g, 0), -EIO);
	CHECK_STR(anyc_error_detail(-EIO), "the disk is full");
}

/* ----------------------------------------------------------------------------- N1, N2: tasks */

struct parents {
	uint64_t starting, started, me;
};

static int note_parents(void *arg)
{
	struct parents *p = arg;

	p->me = anyc_task_id();
	p->starting = anyc_task_parent_id();
	CHECK_OK(anyc_started(0));
	p->started = anyc_task_parent_id();
	return 0;
}

struct start_in {
	struct anyc_group *group;
	struct parents parents, spawned;
	uint64_t me;
};

static int start_elsewhere(void *arg)
{
	struct start_in *s = arg;

	s->me = anyc_task_id();
	CHECK_OK(anyc_spawn(s->group, note_parents, &s->spawned));
	return anyc_start(s->group, note_parents, &s->parents, NULL);
}

ANYC_TEST(inspect, n1_the_parent_is_who_waits)
{
	struct anyc_group g;
	struct start_in s = { .group = &g };

	CHECK_INT(anyc_task_parent_id(), ==, 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, start_elsewhere, &s));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(s.parents.starting, ==, s.me);
	CHECK_INT(s.parents.started, ==, anyc_task_id());
	CHECK_INT(s.spawned.started, ==, anyc_task_id());
	CHECK_INT(s.parents.me, !=, s.spawned.me);
}

struct seen {
	struct anyc_task_info task[8];
	int count;
};

static void see(void *arg, const struct anyc_task_info *task)
{
	struct seen *s = arg;

	CHECK_INT(s->count, <, 8);
	s->task[s->count++] = *task;
}

static const struct anyc_task_info *seen_named(const struct seen *s, const char *name)
{
	for (int i = 0; i < s->count; i++) {
		if (strcmp(s->task[i].name, name) == 0)
			return &s->task[i];
	}
	FAIL("no task %s was shown", name);
}

/* Two groups of one task, with tasks in both. */
static int two_groups(void *event)
{
	struct anyc_group outer, inner;

	anyc_group_enter(&outer, NULL);
	CHECK_OK(anyc_spawn(&outer, be_woken, event));
	anyc_group_enter(&inner, NULL);
	CHECK_OK(anyc_spawn(&inner, sleeper, NULL));
	CHECK_OK(anyc_event_wait(event));
	CHECK_OK(anyc_group_cancel(&inner, NULL));
	CHECK_OK(anyc_group_leave(&inner, 0));
	return anyc_group_leave(&outer, 0);
}

ANYC_TEST(inspect, n2_each_task)
{
	struct anyc_event event = { 0 };
	struct seen s = { .count = 0 };
	const struct anyc_task_info *two, *me, *t;
	struct anyc_group g;
	int n = 0, count;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, two_groups, &event));
	SETTLE();
	CHECK_OK(anyc_spawn(&g, count_up, &n));
	count = anyc_each_task(NULL, see, &s);
	CHECK_INT(count, ==, s.count);
	CHECK_INT(count, ==, 5);
	me = &s.task[0];
	CHECK_INT(me->id, ==, anyc_task_id());
	CHECK_INT(me->state, ==, ANYC_TASK_RUNNING);
	CHECK_INT(me->depth, ==, 0);
	CHECK_INT(me->parent_id, ==, 0);
	two = seen_named(&s, "two_groups");
	CHECK_INT(two->parent_id, ==, me->id);
	CHECK_INT(two->depth, ==, 1);
	CHECK_INT(two->state, ==, ANYC_TASK_WAITING);
	CHECK(two->waits_for != NULL && two->site != NULL);
	CHECK_INT(two->stack_size, >=, 16 * 1024);
	CHECK_INT(two->since, ==, 0);
	t = seen_named(&s, "be_woken");
	CHECK_INT(t->parent_id, ==, two->id);
	CHECK_INT(t->depth, ==, 2);
	CHECK_HAS(t->waits_for, "event");
	CHECK_INT(seen_named(&s, "sleeper")->parent_id, ==, two->id);
	/* Begins, and has not run. */
	t = seen_named(&s, "count_up");
	CHECK_INT(t->state, ==, ANYC_TASK_READY);
	CHECK(t->waits_for == NULL);
	CHECK(t == &s.task[4]); /* behind the tasks of the one before */
	CHECK_INT(n, ==, 0);
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_group_leave(&g, 0));
	s.count = 0;
	CHECK_INT(anyc_each_task(NULL, see, &s), ==, 1);
}

ANYC_TEST(inspect, n2_who_is_cancelled_and_until_when)
{
	struct anyc_event event = { 0 };
	struct seen s = { .count = 0 };
	struct anyc_group g;
	struct anyc_group_options limit = { .timeout = 5 * ANYC_SECOND };
	int64_t now = anyc_now();

	anyc_group_enter(&g, &limit);
	CHECK_OK(anyc_spawn(&g, be_woken, &event));
	SETTLE();
	anyc_each_task(NULL, see, &s);
	CHECK(!seen_named(&s, "be_woken")->cancelled);
	CHECK_INT(seen_named(&s, "be_woken")->deadline, >=, now + 5 * ANYC_SECOND);
	CHECK_INT(seen_named(&s, "be_woken")->deadline, <, ANYC_FOREVER);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	s.count = 0;
	anyc_each_task(NULL, see, &s);
	CHECK(seen_named(&s, "be_woken")->cancelled);
	CHECK_INT(seen_named(&s, "be_woken")->state, ==, ANYC_TASK_READY);
	CHECK_OK(anyc_group_leave(&g, ANYC_ECANCELED));
}

struct meddler {
	struct anyc_group group;
	int wait, spawn, set, nested;
};

static void meddle(void *arg, const struct anyc_task_info *task)
{
	struct meddler *m = arg;
	struct seen s = { .count = 0 };

	(void)task;
	m->wait = anyc_checkpoint();
	m->spawn = anyc_spawn(&m->group, sleeper, NULL);
	m->set = anyc_loop_set_probes(NULL, NULL);
	m->nested = anyc_each_task(NULL, see, &s);
}

ANYC_TEST(inspect, n2_a_callback_that_meddles_is_refused)
{
	struct meddler m = { .wait = 1 };

	anyc_group_enter(&m.group, NULL);
	CHECK_INT(anyc_each_task(NULL, meddle, &m), ==, 1);
	CHECK_RC(m.wait, ANYC_ENOTASK);
	CHECK_RC(m.spawn, ANYC_EMISUSE);
	CHECK_RC(m.set, ANYC_EMISUSE);
	CHECK_INT(m.nested, ==, 1);
	CHECK_OK(anyc_group_leave(&m.group, 0));
	CHECK_INT(anyc_group_error_count(&m.group), ==, 0);
	reports_forget();
}

static void cancel_all(void *arg, const struct anyc_task_info *task)
{
	(void)task;
	CHECK_OK(anyc_group_cancel(arg, "seen"));
}

ANYC_TEST(inspect, n2_a_callback_may_cancel)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	SETTLE();
	CHECK_INT(anyc_each_task(NULL, cancel_all, &g), ==, 3);
	CHECK_OK(anyc_group_leave(&g, 0));
}

static void *from_another_thread(void *loop)
{
	struct anyc_loop_stats stats;
	struct seen s = { .count = 0 };

	CHECK_RC(anyc_each_task(loop, see, &s), ANYC_ETHREAD);
	CHECK_RC(anyc_dump_tasks_lines(loop, (anyc_line_fn *)abort, NULL), ANYC_ETHREAD);
	CHECK_RC(anyc_loop_stats(&stats, loop), ANYC_ETHREAD);
	CHECK_RC(anyc_loop_set_probes(loop, NULL), ANYC_ETHREAD);
	CHECK_INT(anyc_dump_tasks(NULL, 0), ==, 0);
	return NULL;
}

ANYC_TEST_ON(inspect, r24_of_another_threads_loop, ANYC_ROWS_LOOP)
{
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, from_another_thread, anyc_current_loop()), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_INT(reports(), ==, 4);
	reports_forget();
}

ANYC_TEST(inspect, r14_arguments)
{
	CHECK_RC(anyc_each_task(NULL, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_dump_tasks_lines(NULL, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_loop_stats(NULL, NULL), ANYC_EINVAL);
}

/* ------------------------------------------------------------------------------ N6: the dump */

static int in_scopes(void *event)
{
	struct anyc_scope limit, shield;
	int rc;

	anyc_scope_enter_timeout(&limit, 90 * ANYC_SECOND);
	anyc_scope_enter_shield(&shield, ANYC_FOREVER);
	rc = anyc_event_wait(event);
	rc = anyc_scope_leave(&shield, rc);
	return anyc_scope_leave(&limit, rc);
}

static void count_lines(void *arg, const char *line)
{
	CHECK(strchr(line, '\n') == NULL);
	++*(int *)arg;
}

ANYC_TEST(inspect, n6_a_dump)
{
	struct anyc_spawn_options named = { .name = "worker 7" };
	struct anyc_event event = { 0 };
	struct anyc_group g;
	char text[4096], few[20], line[100];
	size_t length;
	int lines = 0, newlines = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, in_scopes, &event, &named));
	SETTLE();
	length = anyc_dump_tasks(text, sizeof text);
	CHECK_INT(length, ==, strlen(text));
	snprintf(line, sizeof line, "%s #%llu runs", anyc_task_name(),
		 (unsigned long long)anyc_task_id());
	CHECK_HAS(text, line);
	CHECK_HAS(text, "- group of 1");
	CHECK_HAS(text, "\n  worker 7 #");
	CHECK_HAS(text, " waits for an event");
	CHECK_HAS(text, "spawned ");
	CHECK_HAS(text, "    - scope, ends in ");
	CHECK_INT(atoi(strstr(text, "    - scope, ends in ") + 21), >=, 80);
	CHECK_INT(atoi(strstr(text, "    - scope, ends in ") + 21), <=, 90);
	CHECK_HAS(text, "    - scope, shielded, entered ");
	/* As snprintf. */
	CHECK_INT(anyc_dump_tasks(few, sizeof few), ==, length);
	CHECK(strncmp(few, text, sizeof few - 1) == 0 && few[sizeof few - 1] == '\0');
	CHECK_INT(anyc_dump_tasks(NULL, 0), ==, length);
	CHECK_OK(anyc_dump_tasks_lines(NULL, count_lines, &lines));
	for (const char *c = text; *c != '\0'; c++)
		newlines += *c == '\n';
	CHECK_INT(lines, ==, newlines);
	CHECK_OK(anyc_group_cancel(&g, "no use"));
	anyc_dump_tasks(text, sizeof text);
	CHECK_HAS(text, ", cancelled by '");
	CHECK_HAS(text, "': no use");
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_group_leave(&g, ANYC_ECANCELED));
}

static void dump_from_callback(void *arg)
{
	CHECK_INT(anyc_dump_tasks(arg, 1000), >, 0);
}

ANYC_TEST_ON(inspect, n6_from_a_callback, ANYC_ROWS_LOOP)
{
	char text[1000], line[100];

	host_call(anyc_test_host(), dump_from_callback, text);
	snprintf(line, sizeof line, "%s #%llu waits for", anyc_task_name(),
		 (unsigned long long)anyc_task_id());
	CHECK_HAS(text, line);
}

/* Deep and wide: each task once, and no recursion. */
static int descend(void *arg)
{
	int *left = arg;
	struct anyc_group g;

	if (--*left == 0)
		return anyc_sleep_forever();
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, descend, left);
	return anyc_group_leave(&g, 0);
}

ANYC_TEST(inspect, n6_deep_trees, .deadline = 60)
{
	int left = 500, lines = 0, before = 0;
	struct anyc_group g;

	CHECK_OK(anyc_dump_tasks_lines(NULL, count_lines, &before));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, descend, &left));
	for (int i = 0; i < 500; i++)
		CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	SETTLE();
	CHECK_OK(anyc_dump_tasks_lines(NULL, count_lines, &lines));
	/* A line for each task, and one for each group. */
	CHECK_INT(lines - before, ==, 1000 + 500);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* ---------------------------------------------------------------------------------- figures */

ANYC_TEST(inspect, n13_figures)
{
	struct anyc_loop_stats a, b;
	struct anyc_event event = { 0 };
	struct anyc_group g;
	int n = 0;

	CHECK_OK(anyc_sleep(MS(1))); /* which arms the deadline of the test itself */
	CHECK_OK(anyc_loop_stats(&a, NULL));
	CHECK_INT(a.tasks, ==, 1);
	CHECK_INT(a.ready, ==, 0);
	CHECK_INT(a.waiting, ==, 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, be_woken, &event));
	CHECK_OK(anyc_spawn(&g, in_scopes, &event));
	SETTLE();
	CHECK_OK(anyc_spawn(&g, count_up, &n));
	CHECK_OK(anyc_loop_stats(&b, NULL));
	CHECK_INT(b.tasks, ==, 4);
	CHECK_INT(b.ready, ==, 1);
	CHECK_INT(b.waiting, ==, 2);
	CHECK_INT(b.timers, ==, a.timers); /* the shield keeps the deadline off */
	CHECK_INT(b.switches, >=, a.switches + 3);
	CHECK_INT(b.turns, >=, a.turns);
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_loop_stats(&a, anyc_current_loop()));
	CHECK_INT(a.turns, >, 0);
	CHECK_INT(a.tasks, ==, 1);
}

/* ---------------------------------------------------------------------------------- probes */

struct trace {
	char text[400];
	size_t used;
	int waits, back;
	struct meddler meddler;
	bool meddles;
	int64_t since;
};

static void add(struct trace *t, char what, const struct anyc_task_info *task)
{
	CHECK_INT(anyc_task_id(), ==, 0);
	if (t->used + 4 < sizeof t->text && strlen(task->name) == 1) {
		t->text[t->used++] = what;
		t->text[t->used++] = task->name[0];
		t->text[t->used++] = ' ';
	}
	if (t->meddles)
		meddle(&t->meddler, task);
}

static void on_spawned(void *arg, const struct anyc_task_info *task)
{
	CHECK_INT(task->depth, ==, 1);
	add(arg, '+', task);
}
static void on_scheduled(void *arg, const struct anyc_task_info *task)
{
	CHECK_INT(task->state, ==, ANYC_TASK_READY);
	add(arg, '!', task);
}
static void on_suspended(void *arg, const struct anyc_task_info *task)
{
	CHECK_INT(task->state, !=, ANYC_TASK_RUNNING);
	((struct trace *)arg)->since = task->since;
	add(arg, task->state == ANYC_TASK_WAITING ? 'w' : 'y', task);
}
static void on_done(void *arg, const struct anyc_task_info *task, int rc)
{
	add(arg, rc == 7 ? '7' : '-', task);
}
static void on_wait(void *arg, int64_t until)
{
	struct trace *t = arg;

	CHECK_INT(until, >=, 0);
	t->waits++;
}
static void on_back(void *arg)
{
	++((struct trace *)arg)->back;
}

static struct anyc_probes probes_for(struct trace *t)
{
	return (struct anyc_probes){ .task_spawned = on_spawned, .task_scheduled = on_scheduled,
				     .task_suspended = on_suspended, .task_done = on_done,
				     .before_wait = on_wait, .after_wait = on_back, .arg = t };
}

static int yield_and_wait(void *event)
{
	int rc = anyc_checkpoint();

	if (rc == 0)
		rc = anyc_event_wait(event);
	return rc == 0 ? 7 : rc;
}

ANYC_TEST(inspect, n13_probes)
{
	struct anyc_spawn_options a = { .name = "a" }, b = { .name = "b" };
	struct anyc_event event = { 0 };
	struct trace t = { .used = 0 };
	struct anyc_probes probes = probes_for(&t);
	struct anyc_group g;
	int n = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_loop_set_probes(NULL, &probes));
	CHECK_OK(anyc_spawn_opts(&g, yield_and_wait, &event, &a));
	CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &b));
	SETTLE();
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_sleep(MS(50)));
	CHECK_OK(anyc_loop_set_probes(NULL, NULL));
	CHECK_STR(t.text, "+a !a +b !b !a ya -b wa !a 7a ");
	CHECK_INT(t.waits, >, 0);
	CHECK_INT(t.back, >, 0);
	n = t.waits;
	CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &b));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_sleep(MS(50)));
	CHECK_STR(t.text, "+a !a +b !b !a ya -b wa !a 7a ");
	CHECK_INT(t.waits + 1, ==, n);
	CHECK_INT(t.since, ==, 0);
}

static void set_before_waiting(void *arg, int64_t until)
{
	(void)until;
	CHECK_OK(anyc_event_set(arg));
}

/* What a probe wakes just before the loop would have waited runs at once. */
ANYC_TEST(inspect, n13_a_probe_may_wake)
{
	struct anyc_event event = { 0 };
	struct anyc_probes probes = { .before_wait = set_before_waiting, .arg = &event };
	int64_t start = clock_now();
	struct anyc_scope s;

	CHECK_OK(anyc_loop_set_probes(NULL, &probes));
	anyc_scope_enter_timeout(&s, 5 * ANYC_SECOND);
	CHECK_OK(anyc_scope_leave(&s, anyc_event_wait(&event)));
	CHECK_TOOK(start, 0, 0);
	CHECK_OK(anyc_loop_set_probes(NULL, NULL));
}

ANYC_TEST(inspect, n13_since_when)
{
	struct anyc_spawn_options a = { .name = "a" };
	struct anyc_probes clock = { .clock_waits = true };
	struct anyc_event event = { 0 };
	struct seen s = { .count = 0 };
	struct anyc_group g;
	int64_t now = anyc_now();
	char text[2000];

	CHECK_OK(anyc_loop_set_probes(NULL, &clock));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, be_woken, &event, &a));
	SETTLE();
	anyc_each_task(NULL, see, &s);
	CHECK_INT(seen_named(&s, "a")->since, >=, now);
	CHECK_INT(seen_named(&s, "a")->since, <=, anyc_now());
	anyc_dump_tasks(text, sizeof text);
	CHECK_HAS(text, "waits for an event for 0.");
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_loop_set_probes(NULL, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* What a probe may not do is refused, and changes nothing. */
ANYC_TEST(inspect, n13_a_probe_that_meddles_is_refused)
{
	struct anyc_event event = { 0 };
	struct trace t = { .meddles = true };
	struct anyc_probes probes = probes_for(&t);
	struct anyc_group g;

	anyc_group_enter(&t.meddler.group, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_loop_set_probes(NULL, &probes));
	CHECK_OK(anyc_spawn(&g, yield_and_wait, &event));
	SETTLE();
	CHECK_RC(t.meddler.wait, ANYC_ENOTASK);
	CHECK_RC(t.meddler.spawn, ANYC_EMISUSE);
	CHECK_RC(t.meddler.set, ANYC_EMISUSE);
	CHECK_INT(t.meddler.nested, ==, 2);
	CHECK_OK(anyc_event_set(&event));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_loop_set_probes(NULL, NULL));
	CHECK_OK(anyc_group_leave(&t.meddler.group, 0));
	reports_forget();
}

static void detach_in_probe(void *arg, const struct anyc_task_info *task)
{
	(void)task;
	*(int *)arg = anyc_loop_detach(anyc_current_loop());
}

static void run_in_probe(void *arg, const struct anyc_task_info *task)
{
	(void)task;
	*(int *)arg = anyc_run(NULL, sleeper, NULL);
}

ANYC_TEST_ON(inspect, n13_a_probe_that_detaches, ANYC_ROWS_LOOP)
{
	int rc = 0;
	struct anyc_probes probes = { .task_suspended = detach_in_probe, .arg = &rc };

	CHECK_OK(anyc_loop_set_probes(NULL, &probes));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_loop_set_probes(NULL, NULL));
	CHECK_RC(rc, ANYC_EMISUSE);
	reports_forget();
}

ANYC_TEST(inspect, n13_a_probe_that_runs_another_loop)
{
	int rc = 0;
	struct anyc_probes probes = { .task_suspended = run_in_probe, .arg = &rc };

	CHECK_OK(anyc_loop_set_probes(NULL, &probes));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_loop_set_probes(NULL, NULL));
	CHECK_RC(rc, ANYC_EMISUSE);
	reports_forget();
}

static void turn_in_probe(void *arg, const struct anyc_task_info *task)
{
	(void)task;
	ANYC_IGNORE(host_run(arg));
}

static void ignore_post(void *arg, int status)
{
	(void)arg;
	(void)status;
}

/* With something for the loop to do. */
static int nest_in_probe(void *host)
{
	struct anyc_probes probes = { .task_suspended = turn_in_probe, .arg = host };
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());

	CHECK_OK(anyc_token_post(token, ignore_post, NULL));
	anyc_token_unref(token);
	CHECK_OK(anyc_loop_set_probes(NULL, &probes));
	return anyc_sleep(MS(1));
}

static void run_nested(void)
{
	struct host h;

	ANYC_IGNORE(host_run_task(&h, anyc_test_row(), nest_in_probe, &h, "nested"));
}

/* libevent refuses it by itself. */
ANYC_TEST_MAIN(inspect, n13_a_probe_that_runs_its_loop, "libuv,libev", .deadline = 30)
{
	struct corpse c;

	corpse_make(&c, run_nested);
	CHECK_DIED(&c, SIGABRT, "runs the loop");
}

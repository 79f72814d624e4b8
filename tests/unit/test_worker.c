/* SPDX-License-Identifier: MIT */
/* Worker threads: limits, order, failure to make threads, engines that end first, fork. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <anyc/anyc.h>

#include "core/engine.h"
#include "core/worker.h"
#include "lib/next.h"

TestSuite(worker, .timeout = 20);

struct job {
	struct anyc__job job;
	struct anyc_task *task;
	sem_t *gate; /* the work waits for it; NULL: does not */
	int status, done_calls;
	pthread_t worked_in, done_in;
};

static atomic_int running, most;
static atomic_int order;
static int finished[64];

static void work(struct anyc__job *base)
{
	struct job *j = ANYC__CONTAINER(base, struct job, job);
	int now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		continue;
	if (j->gate != NULL)
		while (sem_wait(j->gate) != 0)
			continue;
	j->worked_in = pthread_self();
	atomic_fetch_sub(&running, 1);
}

static void done(struct anyc__job *base, int status)
{
	struct job *j = ANYC__CONTAINER(base, struct job, job);

	j->status = status;
	j->done_in = pthread_self();
	j->done_calls++;
	finished[atomic_fetch_add(&order, 1) % 64] = j->done_calls;
	if (j->task != NULL)
		anyc__unpark(j->task, 0);
}

static struct anyc_task *self(void)
{
	struct anyc_task *t;

	cr_assert_eq(anyc__enter(&t), 0);
	return t;
}

static int start(struct job *j, struct anyc__worker_class *of, struct anyc_task *t)
{
	j->job.of = of;
	j->job.work = work;
	j->job.done = done;
	j->task = t;
	return anyc__worker_start(&j->job, anyc__task_engine(self()));
}

static void finish(struct job *j)
{
	if (j->done_calls == 0)
		cr_assert_eq(anyc__park(j->task, NULL, NULL, "a job"), 0);
	cr_assert_eq(j->done_calls, 1);
	cr_assert_eq(j->status, 0);
}

/* --------------------------------------------------------------------------------- running */

Test(worker, work_is_done_elsewhere_and_done_is_called_here)
{
	static struct anyc__worker_class one = { .limit = 1 };
	struct job j = { .gate = NULL };

	cr_assert_eq(start(&j, &one, self()), 0);
	finish(&j);
	cr_assert_not(pthread_equal(j.worked_in, pthread_self()));
	cr_assert(pthread_equal(j.done_in, pthread_self()));
}

static int run_job(void *arg)
{
	finish(arg);
	return 0;
}

static int start_and_wait(void *arg)
{
	static struct anyc__worker_class three = { .limit = 3 };
	int rc = start(arg, &three, self());

	return rc != 0 ? rc : run_job(arg);
}

static int open_gate(void *arg)
{
	int i;

	while (atomic_load(&running) < 3)
		cr_assert_eq(anyc_sleep(ANYC_MILLISECOND), 0);
	for (i = 0; i < 20; i++)
		sem_post(arg);
	return 0;
}

Test(worker, a_class_has_its_limit)
{
	static struct job j[20];
	struct anyc_group g;
	sem_t gate;
	int i;

	sem_init(&gate, 0, 0);
	anyc_group_enter(&g, NULL);
	for (i = 0; i < 20; i++) {
		j[i].gate = &gate;
		anyc_spawn(&g, start_and_wait, &j[i]);
	}
	anyc_spawn(&g, open_gate, &gate);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
	cr_assert_eq(atomic_load(&most), 3);
}

/* A class whose jobs all hang holds up no other. */
Test(worker, classes_do_not_starve_each_other)
{
	static struct anyc__worker_class slow = { .limit = 2 }, quick = { .limit = 1 };
	static struct job stuck[4];
	struct job j = { .gate = NULL };
	sem_t gate;
	int i;

	sem_init(&gate, 0, 0);
	for (i = 0; i < 4; i++) {
		stuck[i].gate = &gate;
		cr_assert_eq(start(&stuck[i], &slow, NULL), 0);
	}
	cr_assert_eq(start(&j, &quick, self()), 0);
	finish(&j);
	for (i = 0; i < 4; i++)
		sem_post(&gate);
	while (atomic_load(&order) < 5)
		cr_assert_eq(anyc_sleep(ANYC_MILLISECOND), 0);
	for (i = 0; i < 4; i++)
		cr_assert_eq(stuck[i].done_calls, 1);
}

static atomic_int signals_open;

static void look_at_mask(struct anyc__job *base)
{
	sigset_t set;

	(void)base;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	atomic_store(&signals_open, !sigismember(&set, SIGINT) + !sigismember(&set, SIGCHLD));
	cr_assert_null(anyc_current_library());
	cr_assert_null(anyc__thread.task);
}

Test(worker, threads_block_signals_and_see_no_loop)
{
	static struct anyc__worker_class one = { .limit = 1 };
	struct job j = { .task = self() };
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	j.job.of = &one;
	j.job.work = look_at_mask;
	j.job.done = done;
	cr_assert_eq(anyc__worker_start(&j.job, anyc__task_engine(j.task)), 0);
	finish(&j);
	cr_assert_eq(atomic_load(&signals_open), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_assert_eq(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
}

Test(worker, an_idle_thread_is_used_again)
{
	static struct anyc__worker_class one = { .limit = 1 };
	struct job a = { .gate = NULL }, b = { .gate = NULL };

	cr_assert_eq(start(&a, &one, self()), 0);
	finish(&a);
	cr_assert_eq(anyc_sleep(20 * ANYC_MILLISECOND), 0);
	cr_assert_eq(start(&b, &one, self()), 0);
	finish(&b);
	cr_assert(pthread_equal(a.worked_in, b.worked_in));
}

/* -------------------------------------------------------------------------------- failures */

static atomic_int refuse_threads;
static int (*real_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	if (real_create == NULL)
		next_function(&real_create, "pthread_create");
	return atomic_load(&refuse_threads) ? EAGAIN : real_create(thread, attr, fn, arg);
}

Test(worker, without_any_thread_the_job_is_refused)
{
	static struct anyc__worker_class one = { .limit = 1 };
	struct job j = { .gate = NULL };
	int i;

	atomic_store(&refuse_threads, 1);
	for (i = 0; i < 3; i++)
		cr_assert_eq(start(&j, &one, self()), -EAGAIN);
	cr_assert_eq(j.done_calls, 0);
	cr_assert_eq(one.running, 0);
	atomic_store(&refuse_threads, 0);
	cr_assert_eq(start(&j, &one, self()), 0);
	finish(&j);
}

Test(worker, with_one_thread_the_others_wait_in_line)
{
	static struct anyc__worker_class many = { .limit = 10 };
	static struct job j[10];
	sem_t gate;
	int i;

	sem_init(&gate, 0, 0);
	for (i = 0; i < 10; i++) {
		j[i].gate = &gate;
		cr_assert_eq(start(&j[i], &many, NULL), 0);
		atomic_store(&refuse_threads, 1);
	}
	for (i = 0; i < 10; i++)
		sem_post(&gate);
	while (atomic_load(&order) < 10)
		cr_assert_eq(anyc_sleep(ANYC_MILLISECOND), 0);
	cr_assert_eq(atomic_load(&most), 1);
}

/* Of three at once: the first runs, two are queued behind its thread, two stand in line. */
Test(worker, what_has_not_begun_may_be_withdrawn)
{
	static struct anyc__worker_class three = { .limit = 3 };
	static const int done_calls[5] = { 1, 0, 1, 1, 0 };
	static struct job j[5];
	sem_t gate;
	int i;

	sem_init(&gate, 0, 0);
	for (i = 0; i < 5; i++) {
		j[i].gate = &gate;
		cr_assert_eq(start(&j[i], &three, NULL), 0);
		atomic_store(&refuse_threads, 1);
	}
	while (atomic_load(&running) < 1)
		cr_assert_eq(anyc_sleep(ANYC_MILLISECOND), 0);
	cr_assert_not(anyc__worker_withdraw(&j[0].job));
	cr_assert(anyc__worker_withdraw(&j[1].job));
	cr_assert(anyc__worker_withdraw(&j[4].job));
	cr_assert_not(anyc__worker_withdraw(&j[4].job));
	for (i = 0; i < 3; i++)
		sem_post(&gate);
	while (atomic_load(&order) < 3)
		cr_assert_eq(anyc_sleep(ANYC_MILLISECOND), 0);
	for (i = 0; i < 5; i++)
		cr_assert_eq(j[i].done_calls, done_calls[i]);
	cr_assert_eq(three.running, 0);
}

static struct job orphan;
static sem_t orphan_gate;

static int leave_a_job_behind(void *arg)
{
	static struct anyc__worker_class one = { .limit = 1 };

	(void)arg;
	orphan.gate = &orphan_gate;
	return start(&orphan, &one, NULL);
}

Test(worker, a_job_may_outlive_its_engine)
{
	sem_init(&orphan_gate, 0, 0);
	cr_assert_eq(anyc_run(NULL, leave_a_job_behind, NULL), 0);
	cr_assert_eq(orphan.done_calls, 0);
	sem_post(&orphan_gate);
	while (atomic_load(&order) < 1)
		usleep(1000);
	cr_assert_eq(orphan.status, ANYC_EGONE);
	cr_assert_eq(orphan.done_calls, 1);
}

/* ------------------------------------------------------------------------------------ fork */

Test(worker, a_child_starts_with_an_empty_pool)
{
	static struct anyc__worker_class one = { .limit = 1 };
	struct job stuck = { .gate = &orphan_gate }, line = { .gate = NULL }, j = { .gate = NULL };
	int status;
	pid_t child;

	sem_init(&orphan_gate, 0, 0);
	cr_assert_eq(start(&stuck, &one, NULL), 0);
	cr_assert_eq(start(&line, &one, NULL), 0);
	child = fork();
	if (child == 0) {
		alarm(10);
		finish((start(&j, &one, self()), &j));
		_exit(line.done_calls == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	sem_post(&orphan_gate);
	while (atomic_load(&order) < 2)
		cr_assert_eq(anyc_sleep(ANYC_MILLISECOND), 0);
	cr_assert_eq(line.done_calls, 1);
}

/* SPDX-License-Identifier: MIT */
/*
 * Worker threads: one pool for the process, made on demand, for blocking calls.
 *
 * Rules
 *  - A job is in its class's line (beyond the limit), in the pool's queue, or running; the class
 *    counts the latter two as running.  All of it is under the pool's lock, the work is not.
 *  - A thread that ends a job passes its place in the class on before it says that it is done:
 *    then the job's memory is its owner's.
 *  - A forked child has none of the threads, and the lock may be held by one of them.  The first
 *    call in the child makes the pool anew; jobs of the parent's are forgotten.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "engine.h"
#include "worker.h"

#define IDLE_SECONDS 10

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more; /* for one idle thread: there is a job */
	unsigned threads, idle, queued;
	struct anyc__job_line line; /* to be run now */
} pool;

/* ------------------------------------------------------------------------- once, each fork */

/* 2 * generation + 1 while somebody makes the pool, + 2 when it is made; 0 at first. */
static _Atomic(uint64_t) pool_state;

static void pool_make(void)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&pool.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.more, &attr);
	pthread_condattr_destroy(&attr);
	pool.threads = 0;
	pool.idle = 0;
	pool.queued = 0;
	pool.line = (struct anyc__job_line){ 0 };
}

static void pool_ready(void)
{
	uint64_t generation = anyc__fork_generation();
	uint64_t making = 2 * generation + 1, made = making + 1;
	uint64_t state = atomic_load(&pool_state);

	while (state != made) {
		if (state == making) {
			sched_yield();
			state = atomic_load(&pool_state);
		} else if (atomic_compare_exchange_strong(&pool_state, &state, making)) {
			pool_make();
			atomic_store(&pool_state, made);
			return;
		}
	}
}

static void class_ready(struct anyc__worker_class *c)
{
	if (c->fork_generation == anyc__fork_generation())
		return;
	c->fork_generation = anyc__fork_generation();
	c->running = 0;
	c->line = (struct anyc__job_line){ 0 };
}

/* --------------------------------------------------------------------------------- queues */

static void append(struct anyc__job_line *line, struct anyc__job *j)
{
	j->line = line;
	j->next = NULL;
	j->prev = line->last;
	if (line->first == NULL)
		line->first = j;
	else
		line->last->next = j;
	line->last = j;
}

static void take_out(struct anyc__job *j)
{
	struct anyc__job_line *line = j->line;

	if (j->prev != NULL)
		j->prev->next = j->next;
	else
		line->first = j->next;
	if (j->next != NULL)
		j->next->prev = j->prev;
	else
		line->last = j->prev;
	j->line = NULL;
}

static void queue(struct anyc__job *j)
{
	append(&pool.line, j);
	pool.queued++;
}

static void unqueue(struct anyc__job *j)
{
	take_out(j);
	pool.queued--;
}

/* A job of the class has ended: its place goes to the next in line. */
static void class_next(struct anyc__worker_class *c)
{
	struct anyc__job *next = c->line.first;

	if (next != NULL) {
		take_out(next);
		queue(next);
	} else {
		c->running--;
	}
}

/* -------------------------------------------------------------------------------- threads */

static void on_engine(struct anyc__post *p, int status)
{
	struct anyc__job *j = ANYC__CONTAINER(p, struct anyc__job, post);

	anyc_token_unref(j->token); /* the worker is done with it */
	j->done(j, status);
}

static void hand_over(struct anyc__job *j)
{
	struct anyc_token *token = j->token;

	j->post.run = on_engine;
	if (anyc__token_post(token, &j->post) == 0)
		return; /* the reference goes with the job */
	j->done(j, ANYC_EGONE);
	anyc_token_unref(token);
}

/* Waits for a job; false: none came for long, and the thread ends. */
static bool idle(void)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	pool.idle++;
	while (pool.line.first == NULL && rc == 0)
		rc = pthread_cond_timedwait(&pool.more, &pool.lock, &until);
	pool.idle--;
	return pool.line.first != NULL;
}

static void *worker_main(void *arg)
{
	struct anyc__job *j;

	(void)arg;
	pthread_mutex_lock(&pool.lock);
	while (pool.line.first != NULL || idle()) {
		j = pool.line.first;
		unqueue(j);
		pthread_mutex_unlock(&pool.lock);
		j->work(j);
		pthread_mutex_lock(&pool.lock);
		class_next(j->of);
		pthread_mutex_unlock(&pool.lock);
		hand_over(j);
		pthread_mutex_lock(&pool.lock);
	}
	pool.threads--;
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* -errno.  The thread inherits the mask: all signals are the application's threads'. */
static int thread_make(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return -rc;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, worker_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

/* A queued job finds a thread: an idle one, a new one, or one that ends its job. */
static int staff(void)
{
	if (pool.queued <= pool.idle) {
		pthread_cond_signal(&pool.more);
		return 0;
	}
	if (thread_make() == 0) {
		pool.threads++;
		return 0;
	}
	return pool.threads > 0 ? 0 : -EAGAIN;
}

static int submit(struct anyc__job *j)
{
	struct anyc__worker_class *c = j->of;

	class_ready(c);
	if (c->running >= c->limit) {
		append(&c->line, j);
		return 0;
	}
	c->running++;
	queue(j);
	if (staff() == 0)
		return 0;
	/* No thread runs, so the job is the only one there is. */
	unqueue(j);
	c->running--;
	return -EAGAIN;
}

int anyc__worker_start(struct anyc__job *j, struct anyc__engine *e)
{
	struct anyc_token *token;
	int saved = errno, rc = anyc__token_of(e, &token);

	if (rc != 0)
		return rc;
	j->token = anyc_token_ref(token);
	j->fork_generation = anyc__fork_generation();
	pool_ready();
	pthread_mutex_lock(&pool.lock);
	rc = submit(j);
	pthread_mutex_unlock(&pool.lock);
	if (rc != 0)
		anyc_token_unref(token);
	errno = saved;
	return rc;
}

bool anyc__worker_withdraw(struct anyc__job *j)
{
	struct anyc__job_line *line;

	if (j->fork_generation != anyc__fork_generation())
		return false;
	pthread_mutex_lock(&pool.lock);
	line = j->line;
	if (line == &pool.line) {
		unqueue(j);
		class_next(j->of);
	} else if (line != NULL) {
		take_out(j);
	}
	pthread_mutex_unlock(&pool.lock);
	if (line != NULL)
		anyc_token_unref(j->token);
	return line != NULL;
}

/* SPDX-License-Identifier: MIT */
/* Threads beside a test's own loop. */
#ifndef ANYC_TEST_CONFORM_THREAD_H
#define ANYC_TEST_CONFORM_THREAD_H

#include "conform.h"

#include <pthread.h>

/* Runs fn(arg) in a thread, in a loop of its own or, for loop false, in none. */
struct thread {
	pthread_t id;
	anyc_task_fn *fn;
	void *arg;
	bool loop;
	int rc;
};

UNUSED static void *thread_main(void *arg)
{
	struct thread *t = arg;

	t->rc = t->loop ? anyc_run(NULL, t->fn, t->arg) : t->fn(t->arg);
	CHECK_OK(anyc_thread_done());
	return NULL;
}

UNUSED static void thread_start(struct thread *t, anyc_task_fn *fn, void *arg, bool loop)
{
	*t = (struct thread){ .fn = fn, .arg = arg, .loop = loop };
	CHECK_INT(pthread_create(&t->id, NULL, thread_main, t), ==, 0);
}

/* What fn returned. */
UNUSED static int thread_join(struct thread *t)
{
	CHECK_INT(pthread_join(t->id, NULL), ==, 0);
	return t->rc;
}

#endif

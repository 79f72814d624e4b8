/* SPDX-License-Identifier: MIT */
/* Faults in loops: running, attaching, posts, signals. */
#include "faults.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static int nap(void *arg)
{
	(void)arg;
	return anyc_sleep(ANYC_MICROSECOND);
}

/* -------------------------------------------------------------------------------------- run */

static int run_named(void *arg)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };

	(void)arg;
	return anyc_run(&options, nap, NULL);
}

ANYC_TEST_MAIN(faults, r46_run, ANYC_ROWS_LOOP, .deadline = 120)
{
	struct anyc_fault_options options = { .name = "r46_run", AND_TWICE };

	sweep(run_named, NULL, &options);
}

/* A background task is cancelled when only such remain. */
static int run_in_background(void *arg)
{
	struct anyc_loop_spawn_options o = { .background = true };
	struct anyc_loop *loop = anyc_current_loop();

	(void)arg;
	return anyc_loop_spawn_opts(loop, sleeper, NULL, &o);
}

static int run_with_background(void *arg)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };

	(void)arg;
	return anyc_run(&options, run_in_background, NULL);
}

ANYC_TEST_MAIN(faults, r10_background_tasks, ANYC_ROWS_LOOP, .deadline = 120)
{
	struct anyc_fault_options options = { .name = "r10_background_tasks" };

	sweep(run_with_background, NULL, &options);
}

/* ----------------------------------------------------------------------------------- attach */

static void note(void *arg, int rc, void *copy)
{
	(void)copy;
	*(int *)arg = rc;
}

/* Attached twice; tasks that are cancelled before the loop runs; detached with a call. */
static int attach_and_cancel(void *arg)
{
	struct anyc_loop *again = NULL;
	int ended_with = ANYC_ENOTFINISHED, rc;
	struct host h;

	(void)arg;
	rc = host_make(&h, anyc_test_row());
	if (rc != 0)
		return rc;
	rc = host_attach(&h);
	if (rc == 0) {
		CHECK_OK(anyc_loop_attach(&again, h.ops->backend(), h.native));
		rc = anyc_loop_spawn(h.loop, sleeper, NULL, note, &ended_with);
		if (rc == 0) {
			CHECK_OK(anyc_loop_cancel(h.loop, "enough"));
			CHECK_OK(host_run(&h));
			CHECK_INT(ended_with, ==, ANYC_ETASKCANCELED);
		}
		CHECK_OK(anyc_loop_detach(again));
		CHECK_OK(host_detach(&h));
	}
	CHECK_OK(host_destroy(&h));
	return rc;
}

ANYC_TEST_MAIN(faults, r25_attach_and_detach, ANYC_ROWS_NATIVE, .deadline = 120)
{
	struct anyc_fault_options options = { .name = "r25_attach_and_detach" };

	sweep(attach_and_cancel, NULL, &options);
}

/* ------------------------------------------------------------------------------------ posts */

static void on_post(void *arg, int status)
{
	(void)status;
	CHECK_OK(anyc_event_set(arg));
}

struct poster {
	struct anyc_token *token;
	struct anyc_event posted;
	int rc;
};

static void *post_it(void *arg)
{
	struct poster *p = arg;

	p->rc = anyc_token_post(p->token, on_post, &p->posted);
	return NULL;
}

/* The callback comes exactly once, so it is waited for, shielded, whatever is cancelled. */
static int wait_for_post(struct poster *p)
{
	struct anyc_scope s;
	int rc = anyc_event_wait(&p->posted), rc2;

	if (rc == 0 || anyc_event_is_set(&p->posted))
		return rc;
	anyc_scope_enter_shield(&s, ANYC_FOREVER);
	rc2 = anyc_event_wait(&p->posted);
	ANYC_IGNORE(anyc_scope_leave(&s, rc2));
	return rc;
}

static int post_from_a_thread(void *arg)
{
	struct poster p = { .token = anyc_loop_token(anyc_current_loop()) };
	pthread_t thread;
	int rc;

	(void)arg;
	if (p.token == NULL) /* EMFILE among others */
		return -ENOMEM;
	CHECK_INT(pthread_create(&thread, NULL, post_it, &p), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	rc = p.rc;
	if (rc == 0)
		rc = wait_for_post(&p);
	anyc_token_unref(p.token);
	return rc;
}

FAULTS_ON(ANYC_ROWS_LOOP, r24_a_post_from_a_thread, post_from_a_thread, ALSO(-ENOMEM))

/* ---------------------------------------------------------------------------------- signals */

static int send_signal(void *arg)
{
	int rc = anyc_sleep(ANYC_MICROSECOND);

	(void)arg;
	if (rc == 0)
		kill(getpid(), SIGUSR2);
	return ended(rc);
}

static int wait_for_signal(void *arg)
{
	static const int usr2 = SIGUSR2;
	struct anyc_group g;
	int rc = anyc_checkpoint();

	(void)arg;
	if (rc != 0)
		return rc; /* a plain thread's root could not be made */
	anyc_group_enter(&g, NULL);
	signal(SIGUSR2, SIG_IGN);
	rc = anyc_spawn(&g, send_signal, NULL);
	if (rc == 0)
		rc = anyc_signal_wait(&usr2, 1);
	CHECK(rc == SIGUSR2 || rc < 0);
	rc = anyc_group_leave(&g, rc < 0 ? rc : 0);
	anyc_signal_restore(&usr2, 1);
	return rc;
}

FAULTS(b172_waiting_for_a_signal, wait_for_signal, ALSO(ENDED_EARLY))

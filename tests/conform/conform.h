/* SPDX-License-Identifier: MIT */
/* Tasks that several files of tests use. */
#ifndef ANYC_TEST_CONFORM_H
#define ANYC_TEST_CONFORM_H

#include "lib/anyc_test.h"
#include "lib/clock.h"

#include <errno.h>
#include <string.h>

#define UNUSED __attribute__((unused))

/* Built with AddressSanitizer or ThreadSanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Waits until every other task is blocked. */
#define SETTLE() CHECK_OK(anyc_wait_all_blocked())

/* ECANCELED here is what a test is about, so it must not be the test's own deadline. */
UNUSED static int sleeper(void *arg)
{
	(void)arg;
	return anyc_sleep_forever();
}

UNUSED static int count_up(void *arg)
{
	++*(int *)arg;
	return 0;
}

/* Gives back the number behind its argument. */
UNUSED static int give(void *arg)
{
	return *(const int *)arg;
}

/* Gives its result after so many turns of others. */
struct late {
	int naps, result;
};
UNUSED static int give_late(void *arg)
{
	const struct late *l = arg;
	int rc = 0;

	for (int i = 0; i < l->naps && rc == 0; i++)
		rc = anyc_checkpoint();
	return rc != 0 ? rc : l->result;
}

/* Notes what ended its sleep. */
UNUSED static int note_cancel(void *arg)
{
	*(int *)arg = anyc_sleep_forever();
	return *(int *)arg;
}

/* Notes how a wait for an event went, and what the checkpoint after it said. */
struct waiter {
	struct anyc_scope scope;
	struct anyc_event *event;
	int rc, next;
	bool done;
};
UNUSED static int wait_for_event(void *arg)
{
	struct waiter *w = arg;
	int left;

	anyc_scope_enter(&w->scope, NULL);
	w->rc = anyc_event_wait(w->event);
	w->next = anyc_checkpoint();
	left = anyc_scope_leave(&w->scope, w->next);
	w->done = true;
	return left;
}

/* Two runs on the row's own loop, one after the other: the first one's engine has ended then. */
UNUSED static void run_in_turn(anyc_task_fn *first, anyc_task_fn *second, void *arg)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };

	CHECK_OK(anyc_run(&options, first, arg));
	CHECK_OK(anyc_run(&options, second, arg));
}

/* A flag to find whether anybody ran in between. */
UNUSED static int set_flag(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

/* Sets the flag once per turn of the ready tasks until stopped. */
struct ticker {
	bool stop;
	int ticks;
};
UNUSED static int tick_on(void *arg)
{
	struct ticker *t = arg;
	int rc = 0;

	while (!t->stop && rc == 0) {
		t->ticks++;
		rc = anyc_checkpoint();
	}
	return rc;
}

#endif

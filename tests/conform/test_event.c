/* SPDX-License-Identifier: MIT */
/* Events: b044, b045, b086 of behaviours.md; rules 19 and 23 for all that synchronises. */
#include "conform.h"

#include <pthread.h>
#include <stdlib.h>

ANYC_TEST(event, b044_completion_beats_a_later_cancel)
{
	struct anyc_event e = { 0 };
	struct waiter w = { .event = &e, .rc = 1 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_event, &w));
	SETTLE();
	CHECK_OK(anyc_event_set(&e));
	CHECK_OK(anyc_scope_cancel(&w.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(w.rc);
	CHECK_RC(w.next, ANYC_ECANCELED);
}

ANYC_TEST(event, b045_a_cancel_beats_a_later_completion)
{
	struct anyc_event e = { 0 };
	struct waiter w = { .event = &e, .rc = 1 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_event, &w));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&w.scope, NULL));
	CHECK_OK(anyc_event_set(&e));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.rc, ANYC_ECANCELED);
	CHECK_RC(w.next, ANYC_ECANCELED);
}

ANYC_TEST(event, b086_set_wakes_all_and_stays)
{
	struct anyc_event e = { 0 };
	struct waiter w[5];
	struct anyc_group g;
	bool ran = false;

	CHECK(!anyc_event_is_set(&e));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 5; i++) {
		w[i] = (struct waiter){ .event = &e, .rc = 1 };
		CHECK_OK(anyc_spawn(&g, wait_for_event, &w[i]));
	}
	SETTLE();
	CHECK_INT(anyc_event_waiting(&e), ==, 5);
	CHECK_OK(anyc_event_set(&e));
	CHECK(anyc_event_is_set(&e));
	CHECK_INT(anyc_event_waiting(&e), ==, 0);
	CHECK_OK(anyc_event_set(&e));
	SETTLE();
	for (int i = 0; i < 5; i++) {
		CHECK(w[i].done);
		CHECK_OK(w[i].rc);
	}
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_event_wait(&e));
	CHECK(ran);
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(event, b086_a_cancelled_waiter_leaves_the_line)
{
	struct anyc_event e = { 0 };
	struct waiter w[3];
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		w[i] = (struct waiter){ .event = &e, .rc = 1 };
		CHECK_OK(anyc_spawn(&g, wait_for_event, &w[i]));
	}
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&w[1].scope, NULL));
	SETTLE();
	CHECK_RC(w[1].rc, ANYC_ECANCELED);
	CHECK_INT(anyc_event_waiting(&e), ==, 2);
	CHECK_OK(anyc_event_set(&e));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(w[0].rc);
	CHECK_OK(w[2].rc);
}

/* ------------------------------------------------------------------------------------ rules */

static struct anyc_event static_event;
static struct anyc_lock static_lock;
static struct anyc_condition static_condition;
static struct anyc_semaphore static_semaphore, static_permit = ANYC_SEMAPHORE_INIT(1, 1);
static struct anyc_limiter static_limiter = ANYC_LIMITER_INIT(1);
static struct anyc_guard static_guard;
static struct anyc_future static_future;

static int use_statics(void *arg)
{
	(void)arg;
	CHECK_OK(anyc_lock_acquire(&static_lock));
	CHECK_OK(anyc_condition_notify(&static_condition, &static_lock, 1));
	CHECK_OK(anyc_lock_release(&static_lock));
	CHECK_OK(anyc_semaphore_acquire(&static_semaphore));
	CHECK_OK(anyc_semaphore_release(&static_semaphore));
	CHECK_OK(anyc_semaphore_acquire(&static_permit));
	CHECK_OK(anyc_semaphore_release(&static_permit));
	CHECK_OK(anyc_limiter_acquire(&static_limiter));
	CHECK_OK(anyc_limiter_release(&static_limiter));
	CHECK_OK(anyc_guard_enter(&static_guard, "using"));
	CHECK_OK(anyc_guard_leave(&static_guard));
	CHECK_OK(anyc_future_wait(&static_future));
	return anyc_event_wait(&static_event);
}

/* Zeroed memory is valid, and set before there was any loop. */
ANYC_TEST_MAIN(event, r19_statics_before_any_loop, ANYC_ROWS_ALL)
{
	struct host h;

	CHECK_OK(anyc_event_set(&static_event));
	CHECK(anyc_event_is_set(&static_event));
	CHECK(!anyc_lock_is_held(&static_lock));
	CHECK_OK(anyc_semaphore_release(&static_semaphore));
	CHECK_OK(anyc_future_set(&static_future, 1));
	CHECK_OK(host_run_task(&h, anyc_test_row(), use_statics, NULL, "statics"));
	/* And again on another loop: an idle object belongs to nobody. */
	CHECK_OK(host_run_task(&h, anyc_test_row(), use_statics, NULL, "statics"));
}

struct foreign {
	struct anyc_event *event;
	struct anyc_lock *lock;
	int set, wait, acquire, nowait, release;
};

static void *use_from_thread(void *arg)
{
	struct foreign *f = arg;

	f->set = anyc_event_set(f->event);
	f->wait = anyc_event_wait(f->event);
	f->acquire = anyc_lock_acquire(f->lock);
	f->nowait = anyc_lock_acquire_nowait(f->lock);
	f->release = anyc_lock_release(f->lock);
	anyc_thread_done();
	return NULL;
}

ANYC_TEST(event, r23_another_thread_is_told)
{
	struct anyc_event e = { 0 };
	struct anyc_lock lock = { 0 };
	struct foreign f = { .event = &e, .lock = &lock };
	struct waiter w = { .event = &e, .rc = 1 };
	struct anyc_group g;
	pthread_t thread;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_event, &w));
	SETTLE();
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK_INT(pthread_create(&thread, NULL, use_from_thread, &f), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_RC(f.set, ANYC_ETHREAD);
	CHECK_RC(f.wait, ANYC_ETHREAD);
	CHECK_RC(f.acquire, ANYC_ETHREAD);
	CHECK_RC(f.nowait, ANYC_ETHREAD);
	CHECK_INT(f.release, <, 0);
	CHECK(!anyc_event_is_set(&e));
	CHECK(anyc_lock_is_held(&lock));
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_event_set(&e));
	CHECK_OK(anyc_group_leave(&g, 0));
	/* Idle again: any thread may use it. */
	f.event = &(struct anyc_event){ .set_ = true };
	CHECK_INT(pthread_create(&thread, NULL, use_from_thread, &f), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_OK(f.set);
	CHECK_OK(f.acquire);
	CHECK_RC(f.nowait, ANYC_EMISUSE);
	CHECK_OK(f.release);
}

/* ------------------------------------------------------------------- the same for the others */

struct others {
	struct anyc_lock lock;
	struct anyc_condition condition;
	struct anyc_semaphore semaphore;
	struct anyc_limiter limiter;
	struct anyc_guard guard;
	struct anyc_future future;
};

static int wait_for_condition(void *arg)
{
	struct others *o = arg;
	int rc = anyc_lock_acquire(&o->lock);

	if (rc == 0)
		rc = anyc_condition_wait(&o->condition, &o->lock);
	CHECK_OK(anyc_lock_release(&o->lock));
	return rc;
}

static int wait_for_semaphore(void *arg)
{
	return anyc_semaphore_acquire(arg);
}

static int wait_for_future(void *arg)
{
	return anyc_future_wait(arg);
}

static void *use_others_from_thread(void *arg)
{
	struct others *o = arg;
	struct anyc_lock own = { 0 };
	int mine;

	CHECK_OK(anyc_lock_acquire(&own));
	CHECK_RC(anyc_condition_wait(&o->condition, &own), ANYC_ETHREAD);
	CHECK_RC(anyc_condition_notify(&o->condition, &own, 1), ANYC_ETHREAD);
	CHECK_OK(anyc_lock_release(&own));
	CHECK_RC(anyc_semaphore_acquire(&o->semaphore), ANYC_ETHREAD);
	CHECK_RC(anyc_semaphore_acquire_nowait(&o->semaphore), ANYC_ETHREAD);
	CHECK_RC(anyc_semaphore_release(&o->semaphore), ANYC_ETHREAD);
	CHECK_RC(anyc_limiter_acquire(&o->limiter), ANYC_ETHREAD);
	CHECK_RC(anyc_limiter_acquire_for_nowait(&o->limiter, &mine), ANYC_ETHREAD);
	CHECK_RC(anyc_limiter_release(&o->limiter), ANYC_ETHREAD);
	CHECK_RC(anyc_limiter_set_total(&o->limiter, 5), ANYC_ETHREAD);
	CHECK_RC(anyc_guard_enter(&o->guard, "using"), ANYC_ETHREAD);
	CHECK_RC(anyc_guard_leave(&o->guard), ANYC_ETHREAD);
	CHECK_RC(anyc_future_wait(&o->future), ANYC_ETHREAD);
	CHECK_RC(anyc_future_set(&o->future, 1), ANYC_ETHREAD);
	CHECK_RC(anyc_future_cancel(&o->future), ANYC_ETHREAD);
	anyc_thread_done();
	return NULL;
}

ANYC_TEST(event, r23_another_thread_is_told_by_each)
{
	struct others o = { .limiter = ANYC_LIMITER_INIT(1) };
	struct anyc_group g;
	pthread_t thread;

	CHECK_OK(anyc_limiter_acquire(&o.limiter));
	CHECK_OK(anyc_guard_enter(&o.guard, "using"));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_condition, &o));
	CHECK_OK(anyc_spawn(&g, wait_for_semaphore, &o.semaphore));
	CHECK_OK(anyc_spawn(&g, wait_for_future, &o.future));
	SETTLE();
	CHECK_INT(pthread_create(&thread, NULL, use_others_from_thread, &o), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_limiter_total(&o.limiter), ==, 1);
	CHECK_OK(anyc_limiter_release(&o.limiter));
	CHECK_OK(anyc_guard_leave(&o.guard));
	reports_forget();
}

/* SPDX-License-Identifier: MIT */
/* Events and locks: b044, b045, b078 to b082, b084, b086 of behaviours.md, rules 19 and 23. */
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

/* ----------------------------------------------------------------------------------- locks */

struct looper {
	struct anyc_lock *lock;
	char *log;
	size_t *used;
	char name;
};

static int lock_in_rounds(void *arg)
{
	const struct looper *l = arg;
	int rc = 0;

	for (int i = 0; i < 6 && rc == 0; i++) {
		rc = anyc_lock_acquire(l->lock);
		if (rc != 0)
			return rc;
		l->log[(*l->used)++] = l->name;
		rc = anyc_checkpoint();
		CHECK_OK(anyc_lock_release(l->lock));
	}
	return rc;
}

ANYC_TEST(event, b078_a_lock_goes_round)
{
	struct anyc_lock lock = { 0 };
	struct looper l[3];
	char log[32] = "";
	size_t used = 0;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		l[i] = (struct looper){ &lock, log, &used, (char)('a' + i) };
		CHECK_OK(anyc_spawn(&g, lock_in_rounds, &l[i]));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_STR(log, "abcabcabcabcabcabc");
	CHECK(!anyc_lock_is_held(&lock));
}

struct locker {
	struct anyc_scope scope;
	struct anyc_lock *lock;
	struct anyc_event *release;
	int rc, nowait;
	bool owned;
};

static int take_lock(void *arg)
{
	struct locker *l = arg;
	int rc;

	anyc_scope_enter(&l->scope, NULL);
	l->rc = anyc_lock_acquire(l->lock);
	l->owned = l->rc == 0;
	rc = l->rc;
	if (l->owned) {
		if (l->release != NULL)
			rc = anyc_event_wait(l->release);
		CHECK_OK(anyc_lock_release(l->lock));
	}
	return anyc_scope_leave(&l->scope, rc);
}

ANYC_TEST(event, b079_release_hands_over)
{
	struct anyc_lock lock = { 0 };
	struct anyc_event release = { 0 };
	struct locker l = { .lock = &lock, .release = &release, .rc = 1 };
	struct anyc_group g;

	CHECK_OK(anyc_lock_acquire(&lock));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_lock, &l));
	SETTLE();
	CHECK_INT(l.rc, ==, 1);
	CHECK_OK(anyc_lock_release(&lock));
	CHECK(anyc_lock_is_held(&lock));
	CHECK_RC(anyc_lock_acquire_nowait(&lock), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_lock_release(&lock), ANYC_EMISUSE);
	SETTLE();
	CHECK(l.owned);
	CHECK_OK(anyc_event_set(&release));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_lock_acquire_nowait(&lock));
	CHECK_OK(anyc_lock_release(&lock));
}

static int release_foreign(void *arg)
{
	CHECK_RC(anyc_lock_release(arg), ANYC_EMISUSE);
	CHECK_RC(anyc_lock_acquire_nowait(arg), ANYC_EWOULDBLOCK);
	return 0;
}

ANYC_TEST(event, b080_misuse_of_a_lock)
{
	struct anyc_lock lock = { 0 };
	struct anyc_group g;

	CHECK_RC(anyc_lock_release(&lock), ANYC_EMISUSE);
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK_RC(anyc_lock_acquire(&lock), ANYC_EMISUSE);
	CHECK_RC(anyc_lock_acquire_nowait(&lock), ANYC_EMISUSE);
	CHECK_INT(reports(), ==, 3);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, release_foreign, &lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(anyc_lock_is_held(&lock));
	CHECK_OK(anyc_lock_release(&lock));
	CHECK(!anyc_lock_is_held(&lock));
}

ANYC_TEST(event, b082_release_then_cancel)
{
	struct anyc_lock lock = { 0 };
	struct locker l = { .lock = &lock, .rc = 1 }, second = { .lock = &lock, .rc = 1 };
	struct anyc_group g;

	CHECK_OK(anyc_lock_acquire(&lock));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_lock, &l));
	SETTLE();
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_scope_cancel(&l.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(l.owned);
	CHECK(!anyc_lock_is_held(&lock));
	/* The other way round the lock goes to the next in line. */
	CHECK_OK(anyc_lock_acquire(&lock));
	l.rc = 1;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_lock, &l));
	CHECK_OK(anyc_spawn(&g, take_lock, &second));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&l.scope, NULL));
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(l.rc, ANYC_ECANCELED);
	CHECK_OK(second.rc);
}

ANYC_TEST(event, b084_an_uncontended_lock_yields)
{
	struct anyc_lock lock = { 0 };
	struct anyc_group g;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_lock_acquire_nowait(&lock));
	CHECK(!ran);
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK(ran);
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* ------------------------------------------------------------------------------------ rules */

static struct anyc_event static_event;
static struct anyc_lock static_lock;

static int use_statics(void *arg)
{
	(void)arg;
	CHECK_OK(anyc_lock_acquire(&static_lock));
	CHECK_OK(anyc_lock_release(&static_lock));
	return anyc_event_wait(&static_event);
}

/* Zeroed memory is valid, and set before there was any loop. */
ANYC_TEST_MAIN(event, r19_statics_before_any_loop, ANYC_ROWS_ALL)
{
	struct host h;

	CHECK_OK(anyc_event_set(&static_event));
	CHECK(anyc_event_is_set(&static_event));
	CHECK(!anyc_lock_is_held(&static_lock));
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

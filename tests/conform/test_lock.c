/* SPDX-License-Identifier: MIT */
/* Locks: b078 to b084 of behaviours.md, semantics.md D2 to D5. */
#include "conform.h"

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

ANYC_TEST(lock, b078_a_lock_goes_round)
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

ANYC_TEST(lock, b079_release_hands_over)
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

ANYC_TEST(lock, b080_misuse_of_a_lock)
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

ANYC_TEST(lock, b082_release_then_cancel)
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

ANYC_TEST(lock, b084_an_uncontended_lock_yields)
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

/* A fast one keeps ready tasks waiting, but looks at the cancellation. */
ANYC_TEST(lock, b084_a_fast_lock_does_not_yield)
{
	static struct anyc_lock lock = ANYC_LOCK_INIT_FAST;
	struct anyc_group g;
	struct anyc_scope s;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK(!ran);
	CHECK_OK(anyc_lock_release(&lock));
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_lock_acquire(&lock), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK(!anyc_lock_is_held(&lock));
	CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(lock, d15_who_and_how_many)
{
	struct anyc_lock lock = { 0 };
	struct locker l[2] = { { .lock = &lock }, { .lock = &lock } };
	struct anyc_group g;

	CHECK_INT(anyc_lock_owner(&lock), ==, 0);
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK_INT(anyc_lock_owner(&lock), ==, anyc_task_id());
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_lock, &l[0]));
	CHECK_OK(anyc_spawn(&g, take_lock, &l[1]));
	SETTLE();
	CHECK_INT(anyc_lock_waiting(&lock), ==, 2);
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_INT(anyc_lock_waiting(&lock), ==, 1);
	CHECK_INT(anyc_lock_owner(&lock), !=, anyc_task_id());
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(anyc_lock_owner(&lock), ==, 0);
}

/* ------------------------------------------------------------------- an owner that has ended */

static int take_and_end(void *arg)
{
	return anyc_lock_acquire(arg);
}

static int find_it_broken(void *lock)
{
	CHECK_RC(anyc_lock_acquire(lock), ANYC_EBROKEN);
	CHECK_RC(anyc_lock_acquire_nowait(lock), ANYC_EBROKEN);
	return 0;
}

/* The owner ended with its loop, long before another loop's task wants the lock. */
ANYC_TEST_MAIN(lock, d05_an_owner_of_an_earlier_run, ANYC_ROWS_LOOP)
{
	struct anyc_lock lock = { 0 };

	run_in_turn(take_and_end, find_it_broken, &lock);
	ANYC_CHECK_REPORT("still holds 1 lock");
}

/* A plain thread's root task would end with the lock. */
ANYC_TEST_MAIN(lock, r22_a_run_by_an_owner, ANYC_ROWS_LOOP)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };
	struct anyc_lock lock = { 0 };
	int n = 0;

	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK_RC(anyc_run(&options, count_up, &n), ANYC_EMISUSE);
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "holds a lock");
	ANYC_CHECK_REPORT("holds a lock");
	CHECK_RC(anyc_thread_done(), ANYC_EMISUSE);
	ANYC_CHECK_REPORT("holds a lock");
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_run(&options, count_up, &n));
	CHECK_INT(n, ==, 1);
}

static int must_be_broken(void *arg)
{
	CHECK_RC(anyc_lock_acquire(arg), ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "without releasing");
	return 0;
}

ANYC_TEST(lock, d05_an_owner_that_ended_breaks_it)
{
	struct anyc_lock lock = { 0 }, other = { 0 };
	struct anyc_group g;

	CHECK_OK(anyc_lock_acquire(&other));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_and_end, &lock));
	CHECK_OK(anyc_spawn(&g, must_be_broken, &lock));
	CHECK_OK(anyc_spawn(&g, must_be_broken, &lock));
	SETTLE();
	CHECK_REPORT("take_and_end");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_lock_acquire(&lock), ANYC_EBROKEN);
	CHECK_RC(anyc_lock_acquire_nowait(&lock), ANYC_EBROKEN);
	CHECK_OK(anyc_lock_release(&other));
	/* New memory is a new lock. */
	lock = (struct anyc_lock){ 0 };
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK_OK(anyc_lock_release(&lock));
}

/* Nobody was in line, and the first comes when it is too late. */
ANYC_TEST(lock, d05_who_comes_later_is_told)
{
	struct anyc_lock lock = { 0 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, take_and_end, &lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_REPORT("take_and_end");
	CHECK_RC(anyc_lock_acquire(&lock), ANYC_EBROKEN);
	CHECK_RC(anyc_lock_acquire_nowait(&lock), ANYC_EBROKEN);
}

/* ------------------------------------------------------------------------- many, cancelled */

#define CROWD 1000

struct crowd {
	struct anyc_lock lock;
	struct anyc_scope scope[CROWD];
	unsigned order[CROWD], arrived, inside;
};
struct one {
	struct crowd *crowd;
	unsigned number;
};

static int queue_up(void *arg)
{
	const struct one *me = arg;
	struct crowd *c = me->crowd;
	int rc;

	anyc_scope_enter(&c->scope[me->number], NULL);
	rc = anyc_lock_acquire(&c->lock);
	if (rc == 0) {
		CHECK_INT(c->inside++, ==, 0);
		c->order[c->arrived++] = me->number;
		CHECK_OK(anyc_checkpoint_shielded());
		c->inside--;
		CHECK_OK(anyc_lock_release(&c->lock));
	}
	return anyc_scope_leave(&c->scope[me->number], rc);
}

/* Every third is cancelled while it waits; the others come in their order. */
ANYC_TEST(lock, d02_first_come_whoever_gives_up, .deadline = 30)
{
	static struct crowd crowd;
	struct crowd *c = &crowd;
	struct one one[CROWD];
	struct anyc_group g;

	memset(c, 0, sizeof *c);
	CHECK_OK(anyc_lock_acquire(&c->lock));
	anyc_group_enter(&g, NULL);
	for (unsigned i = 0; i < CROWD; i++) {
		one[i] = (struct one){ c, i };
		CHECK_OK(anyc_spawn(&g, queue_up, &one[i]));
	}
	SETTLE();
	for (unsigned i = 0; i < CROWD; i += 3)
		CHECK_OK(anyc_scope_cancel(&c->scope[i], NULL));
	CHECK_INT(anyc_lock_waiting(&c->lock), ==, CROWD - (CROWD + 2) / 3);
	CHECK_OK(anyc_lock_release(&c->lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(c->arrived, ==, CROWD - (CROWD + 2) / 3);
	for (unsigned i = 1; i < c->arrived; i++)
		CHECK_INT(c->order[i], >, c->order[i - 1]);
	CHECK(!anyc_lock_is_held(&c->lock));
}

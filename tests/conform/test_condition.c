/* SPDX-License-Identifier: MIT */
/* Conditions: b087, b089, b090 of behaviours.md, semantics.md D6 to D8. */
#include "conform.h"

struct shared {
	struct anyc_condition changed;
	struct anyc_lock lock;
	int value;
};

struct member {
	struct shared *shared;
	struct anyc_scope scope;
	int until; /* wait_for: value is at least this; 0: a plain wait */
	int rc, left;
	bool held, done;
};

static bool is_enough(void *arg)
{
	const struct member *m = arg;

	CHECK_INT(anyc_lock_owner(&m->shared->lock), ==, anyc_task_id());
	return m->shared->value >= m->until;
}

static int wait_in_line(void *arg)
{
	struct member *m = arg;
	struct shared *s = m->shared;

	anyc_scope_enter(&m->scope, NULL);
	CHECK_OK(anyc_lock_acquire(&s->lock));
	m->rc = m->until == 0 ? anyc_condition_wait(&s->changed, &s->lock) :
				anyc_condition_wait_for(&s->changed, &s->lock, is_enough, m);
	m->held = anyc_lock_owner(&s->lock) == anyc_task_id();
	CHECK_OK(anyc_lock_release(&s->lock));
	m->left = anyc_scope_leave(&m->scope, m->rc);
	m->done = true;
	return m->left;
}

static void notify(struct shared *s, size_t count)
{
	CHECK_OK(anyc_lock_acquire(&s->lock));
	CHECK_OK(anyc_condition_notify(&s->changed, &s->lock, count));
	CHECK_OK(anyc_lock_release(&s->lock));
}

static void start(struct anyc_group *g, struct shared *s, struct member *m, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		m[i].shared = s;
		m[i].rc = 1;
		CHECK_OK(anyc_spawn(g, wait_in_line, &m[i]));
	}
	SETTLE();
}

ANYC_TEST(condition, d06_notified_in_order)
{
	struct shared s = { 0 };
	struct member m[4] = { { 0 } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	start(&g, &s, m, 4);
	CHECK_INT(anyc_condition_waiting(&s.changed), ==, 4);
	notify(&s, 0);
	SETTLE();
	CHECK(!m[0].done);
	notify(&s, 1);
	SETTLE();
	CHECK(m[0].done && !m[1].done);
	notify(&s, 2);
	SETTLE();
	CHECK(m[1].done && m[2].done && !m[3].done);
	CHECK_OK(anyc_lock_acquire(&s.lock));
	CHECK_OK(anyc_condition_notify_all(&s.changed, &s.lock));
	CHECK_OK(anyc_condition_notify_all(&s.changed, &s.lock));
	CHECK_OK(anyc_lock_release(&s.lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < 4; i++) {
		CHECK_OK(m[i].rc);
		CHECK(m[i].held);
	}
	CHECK_INT(anyc_condition_waiting(&s.changed), ==, 0);
}

static int misuse_by_another(void *arg)
{
	struct shared *s = arg;

	CHECK_RC(anyc_condition_wait(&s->changed, &s->lock), ANYC_EMISUSE);
	CHECK_RC(anyc_condition_notify(&s->changed, &s->lock, 1), ANYC_EMISUSE);
	CHECK_RC(anyc_condition_notify_all(&s->changed, &s->lock), ANYC_EMISUSE);
	return 0;
}

ANYC_TEST(condition, b087_the_lock_must_be_held_now)
{
	struct shared s = { 0 };
	struct anyc_lock other = { 0 };
	struct member m = { 0 };
	struct anyc_group g;

	CHECK_RC(anyc_condition_wait(&s.changed, &s.lock), ANYC_EMISUSE);
	CHECK_RC(anyc_condition_wait_for(&s.changed, &s.lock, is_enough, &m), ANYC_EMISUSE);
	CHECK_OK(anyc_lock_acquire(&s.lock));
	CHECK_RC(anyc_condition_wait_for(&s.changed, &s.lock, NULL, NULL), ANYC_EINVAL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, misuse_by_another, &s));
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_lock_release(&s.lock));
	/* It was held before. */
	CHECK_RC(anyc_condition_notify(&s.changed, &s.lock, 1), ANYC_EMISUSE);
	CHECK_RC(anyc_condition_wait(&s.changed, &s.lock), ANYC_EMISUSE);
	/* Those who wait use one lock. */
	start(&g, &s, &m, 1);
	CHECK_OK(anyc_lock_acquire(&other));
	CHECK_RC(anyc_condition_wait(&s.changed, &other), ANYC_EMISUSE);
	CHECK_RC(anyc_condition_notify(&s.changed, &other, 1), ANYC_EMISUSE);
	CHECK_OK(anyc_lock_release(&other));
	notify(&s, 1);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(m.rc);
	reports_forget();
}

ANYC_TEST(condition, b089_a_cancelled_wait_holds_the_lock)
{
	struct shared s = { 0 };
	struct member m = { 0 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	start(&g, &s, &m, 1);
	CHECK_OK(anyc_lock_acquire(&s.lock));
	CHECK_OK(anyc_scope_cancel(&m.scope, NULL));
	SETTLE();
	CHECK(!m.done); /* it waits for the lock, cancelled as it is */
	CHECK_OK(anyc_lock_release(&s.lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(m.rc, ANYC_ECANCELED);
	CHECK(m.held);
	CHECK(!anyc_lock_is_held(&s.lock));
}

ANYC_TEST(condition, b089_cancelled_before_it_waits)
{
	struct shared s = { 0 };
	struct anyc_scope scope;

	CHECK_OK(anyc_lock_acquire(&s.lock));
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_condition_wait(&s.changed, &s.lock), ANYC_ECANCELED);
	CHECK_INT(anyc_lock_owner(&s.lock), ==, anyc_task_id());
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
	CHECK_OK(anyc_lock_release(&s.lock));
}

/* Cancelled first: the notification goes to the second.  Notified first: it is used. */
ANYC_TEST(condition, b090_a_notification_is_not_lost)
{
	struct shared s = { 0 };
	struct member m[3] = { { 0 } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	start(&g, &s, m, 3);
	CHECK_OK(anyc_lock_acquire(&s.lock));
	CHECK_OK(anyc_scope_cancel(&m[0].scope, NULL));
	CHECK_OK(anyc_condition_notify(&s.changed, &s.lock, 1));
	CHECK_OK(anyc_lock_release(&s.lock));
	SETTLE();
	CHECK_RC(m[0].rc, ANYC_ECANCELED);
	CHECK(m[1].done);
	CHECK_OK(m[1].rc);
	CHECK(!m[2].done);
	CHECK_OK(anyc_lock_acquire(&s.lock));
	CHECK_OK(anyc_condition_notify(&s.changed, &s.lock, 1));
	CHECK_OK(anyc_scope_cancel(&m[2].scope, NULL));
	CHECK_OK(anyc_lock_release(&s.lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(m[2].rc);
}

ANYC_TEST(condition, d08_wait_for_a_predicate)
{
	struct shared s = { 0 };
	struct member m[2] = { { .until = 2 }, { .until = 3 } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	start(&g, &s, m, 2);
	for (int i = 1; i <= 3; i++) {
		CHECK_OK(anyc_lock_acquire(&s.lock));
		s.value = i;
		CHECK_OK(anyc_condition_notify_all(&s.changed, &s.lock));
		CHECK_OK(anyc_lock_release(&s.lock));
		SETTLE();
		CHECK_INT(m[0].done, ==, i >= 2);
		CHECK_INT(m[1].done, ==, i >= 3);
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(m[0].held && m[1].held);
}

/* A predicate that is true at once: the lock is kept, but others get their turn. */
ANYC_TEST(condition, d08_true_at_once_is_a_checkpoint)
{
	struct shared s = { .value = 7 };
	struct member m = { .shared = &s, .until = 1 };
	struct anyc_group g;
	bool ran = false;

	CHECK_OK(anyc_lock_acquire(&s.lock));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_condition_wait_for(&s.changed, &s.lock, is_enough, &m));
	CHECK(ran);
	CHECK_OK(anyc_lock_release(&s.lock));
	CHECK_OK(anyc_group_leave(&g, 0));
}

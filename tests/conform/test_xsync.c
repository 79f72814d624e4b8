/* SPDX-License-Identifier: MIT */
/* What threads share: events, locks and queues of any loops (rules 19, 23, 27 and 33). */
#include "conform_thread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits, in a task that may block its thread, until so many wait. */
static void until_waiting(size_t (*waiting)(void *x), void *x, size_t n)
{
	while (waiting(x) != n)
		CHECK_OK(anyc_sleep(20 * ANYC_MICROSECOND));
}

/* --------------------------------------------------------------------------------- events */

struct flag {
	struct anyc_xevent event;
	int news; /* what is told with it */
	int seen;
};

static size_t event_waiting(void *x)
{
	return anyc_xevent_waiting(x);
}

static int tell(void *arg)
{
	struct flag *f = arg;

	f->news = 42;
	return anyc_xevent_set(&f->event);
}

static int wait_for_news(void *arg)
{
	struct flag *f = arg;
	int rc = anyc_xevent_wait(&f->event);

	f->seen = f->news;
	return rc;
}

ANYC_TEST(xsync, r23_a_thread_wakes_tasks)
{
	static struct flag f; /* zeroed */
	struct anyc_group g;
	struct thread t;

	f = (struct flag){ .news = 0 };
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++)
		CHECK_OK(anyc_spawn(&g, wait_for_news, &f));
	SETTLE();
	CHECK_INT(anyc_xevent_waiting(&f.event), ==, 3);
	CHECK(!anyc_xevent_is_set(&f.event));
	thread_start(&t, tell, &f, false);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(thread_join(&t));
	CHECK_INT(f.seen, ==, 42);
	CHECK(anyc_xevent_is_set(&f.event));
	CHECK_OK(anyc_xevent_set(&f.event));
	CHECK_OK(anyc_xevent_wait(&f.event));
	CHECK_INT(anyc_xevent_waiting(&f.event), ==, 0);
}

/* Tasks of this loop wake threads with and without loops. */
ANYC_TEST(xsync, r23_a_task_wakes_threads)
{
	struct flag f[4] = { { .news = 0 } };
	struct thread t[4];

	for (int i = 0; i < 4; i++) {
		thread_start(&t[i], wait_for_news, &f[i], i % 2 == 0);
		until_waiting(event_waiting, &f[i].event, 1);
	}
	for (int i = 0; i < 4; i++)
		CHECK_OK(tell(&f[i]));
	for (int i = 0; i < 4; i++) {
		CHECK_OK(thread_join(&t[i]));
		CHECK_INT(f[i].seen, ==, 42);
	}
}

/* A loop goes on while one of its tasks waits for another thread. */
static int count_until(void *arg)
{
	struct flag *f = arg;
	int rc = 0;

	while (rc == 0 && ++f->seen < 100)
		rc = anyc_sleep(10 * ANYC_MICROSECOND);
	return rc != 0 ? rc : tell(f);
}

ANYC_TEST(xsync, r23_the_loop_goes_on)
{
	struct flag f = { .news = 0 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, count_until, &f));
	CHECK_OK(anyc_xevent_wait(&f.event));
	CHECK_INT(f.seen, ==, 100);
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* The event lies on the stack of who waits, and goes as soon as the wait returns. */
static int set_event(void *arg)
{
	return anyc_xevent_set(arg);
}

ANYC_TEST(xsync, d01_an_event_may_go_when_it_has_come, .deadline = 60)
{
	for (int i = 0; i < (SANITIZED ? 50 : 300); i++) {
		struct anyc_xevent *event = calloc(1, sizeof *event);
		struct thread t;

		thread_start(&t, set_event, event, false);
		CHECK_OK(anyc_xevent_wait(event));
		memset(event, 0xa5, sizeof *event);
		free(event);
		CHECK_OK(thread_join(&t));
	}
}

struct xwaiter {
	struct anyc_scope scope;
	struct anyc_xevent *event;
	int rc, then;
};

static int wait_in_scope(void *arg)
{
	struct xwaiter *w = arg;

	anyc_scope_enter(&w->scope, NULL);
	w->rc = anyc_xevent_wait(w->event);
	w->then = anyc_checkpoint();
	return anyc_scope_leave(&w->scope, w->then);
}

ANYC_TEST(xsync, d01_a_cancelled_wait_leaves_no_trace)
{
	struct anyc_xevent event = { .set_ = false };
	struct xwaiter w[2] = { { .event = &event }, { .event = &event } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_in_scope, &w[0]));
	CHECK_OK(anyc_spawn(&g, wait_in_scope, &w[1]));
	SETTLE();
	anyc_scope_cancel(&w[0].scope, "enough");
	SETTLE();
	CHECK_RC(w[0].rc, ANYC_ECANCELED);
	CHECK_INT(anyc_xevent_waiting(&event), ==, 1);
	CHECK_OK(anyc_xevent_set(&event));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(w[1].rc);
	CHECK_OK(w[1].then);
}

/* Set, then cancelled before the task has run: it has what it waited for. */
ANYC_TEST(xsync, d01_what_came_stands)
{
	struct anyc_xevent event = { .set_ = false };
	struct xwaiter w[3] = { { .event = &event }, { .event = &event }, { .event = &event } };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++)
		CHECK_OK(anyc_spawn(&g, wait_in_scope, &w[i]));
	SETTLE();
	CHECK_OK(anyc_xevent_set(&event));
	anyc_scope_cancel(&w[1].scope, "too late");
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < 3; i++) {
		CHECK_OK(w[i].rc);
		CHECK_RC(w[i].then, i == 1 ? ANYC_ECANCELED : 0);
	}
}

/* ---------------------------------------------------------------------------------- locks */

#define PASSES 100

struct counter {
	struct anyc_xlock lock;
	int inside, passes;
};

static int pass_often(void *arg)
{
	struct counter *c = arg;
	int rc = 0;

	for (int i = 0; i < PASSES && rc == 0; i++) {
		rc = anyc_xlock_acquire(&c->lock);
		if (rc != 0)
			return rc;
		CHECK_INT(c->inside++, ==, 0);
		CHECK(anyc_xlock_is_held(&c->lock));
		rc = anyc_checkpoint();
		c->passes++;
		CHECK_INT(c->inside--, ==, 1);
		CHECK_OK(anyc_xlock_release(&c->lock));
	}
	return rc;
}

static int pass_by_three(void *arg)
{
	struct anyc_group g;
	int rc = 0;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = anyc_spawn(&g, pass_often, arg);
	return anyc_group_leave(&g, rc);
}

ANYC_TEST(xsync, r23_a_lock_of_threads, .deadline = 60)
{
	struct counter c = { .passes = 0 };
	struct thread t[3];

	thread_start(&t[0], pass_by_three, &c, true);
	thread_start(&t[1], pass_by_three, &c, true);
	thread_start(&t[2], pass_often, &c, false);
	CHECK_OK(pass_by_three(&c));
	for (int i = 0; i < 3; i++) {
		CHECK_OK(thread_join(&t[i]));
	}
	CHECK_INT(c.passes, ==, 10 * PASSES);
	CHECK(!anyc_xlock_is_held(&c.lock));
	CHECK_INT(anyc_xlock_waiting(&c.lock), ==, 0);
}

struct locker {
	struct anyc_scope scope;
	struct anyc_xlock *lock;
	int rc, place, *next;
};

static int take_lock(void *arg)
{
	struct locker *l = arg;

	anyc_scope_enter(&l->scope, NULL);
	l->rc = anyc_xlock_acquire(l->lock);
	if (l->rc == 0) {
		l->place = ++*l->next;
		CHECK_OK(anyc_xlock_release(l->lock));
	}
	return anyc_scope_leave(&l->scope, l->rc);
}

ANYC_TEST(xsync, d03_in_line_and_handed_over)
{
	struct anyc_xlock lock = { .owner_ = 0 };
	struct locker l[4];
	struct anyc_group g;
	int next = 0;

	CHECK_OK(anyc_xlock_acquire_nowait(&lock));
	CHECK_INT(anyc_xlock_owner(&lock), !=, 0);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 4; i++) {
		l[i] = (struct locker){ .lock = &lock, .next = &next };
		CHECK_OK(anyc_spawn(&g, take_lock, &l[i]));
	}
	SETTLE();
	CHECK_INT(anyc_xlock_waiting(&lock), ==, 4);
	anyc_scope_cancel(&l[1].scope, "out of line");
	SETTLE();
	CHECK_INT(anyc_xlock_waiting(&lock), ==, 3);
	CHECK_OK(anyc_xlock_release(&lock));
	/* It is the first one's now, before that one has run; nor does a cancellation lose it. */
	CHECK_RC(anyc_xlock_acquire_nowait(&lock), ANYC_EWOULDBLOCK);
	anyc_scope_cancel(&l[0].scope, "too late");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(l[0].place, ==, 1);
	CHECK_RC(l[1].rc, ANYC_ECANCELED);
	CHECK_INT(l[2].place, ==, 2);
	CHECK_INT(l[3].place, ==, 3);
	CHECK_OK(anyc_xlock_acquire(&lock));
	CHECK_OK(anyc_xlock_release(&lock));
}

static int not_mine(void *arg)
{
	struct anyc_xlock *lock = arg;

	CHECK_RC(anyc_xlock_release(lock), ANYC_EMISUSE);
	CHECK_RC(anyc_xlock_acquire_nowait(lock), ANYC_EWOULDBLOCK);
	return 0;
}

ANYC_TEST(xsync, d04_misuse_of_a_lock)
{
	struct anyc_xlock lock = { .owner_ = 0 };
	struct anyc_group g;
	struct thread t;

	CHECK_RC(anyc_xlock_release(&lock), ANYC_EMISUSE);
	CHECK_OK(anyc_xlock_acquire(&lock));
	CHECK_RC(anyc_xlock_acquire(&lock), ANYC_EMISUSE);
	CHECK_RC(anyc_xlock_acquire_nowait(&lock), ANYC_EMISUSE);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, not_mine, &lock));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(reports(), ==, 4);
	thread_start(&t, not_mine, &lock, false);
	CHECK_OK(thread_join(&t));
	CHECK_OK(anyc_xlock_release(&lock));
}

static int keep_lock(void *arg)
{
	struct locker *l = arg;

	return anyc_xlock_acquire(l->lock);
}

static size_t lock_waiting(void *x)
{
	return anyc_xlock_waiting(x);
}

/* Holds it until somebody waits, and ends. */
static int keep_until_waited_for(void *arg)
{
	struct locker *l = arg;

	l->rc = anyc_xlock_acquire(l->lock);
	CHECK_OK(l->rc);
	until_waiting(lock_waiting, l->lock, 1);
	return 0;
}

/* A task ends with the lock: those in line and those who come are told. */
ANYC_TEST(xsync, d05_an_owner_that_ends)
{
	struct anyc_xlock lock = { .owner_ = 0 };
	struct locker kept = { .lock = &lock }, l = { .lock = &lock };
	struct anyc_group g;
	struct thread t;

	thread_start(&t, keep_until_waited_for, &kept, true);
	while (!anyc_xlock_is_held(&lock))
		CHECK_OK(anyc_sleep(20 * ANYC_MICROSECOND));
	CHECK_RC(anyc_xlock_acquire(&lock), ANYC_EBROKEN);
	CHECK_RC(anyc_xlock_acquire(&lock), ANYC_EBROKEN);
	CHECK_RC(anyc_xlock_acquire_nowait(&lock), ANYC_EBROKEN);
	CHECK(!anyc_xlock_is_held(&lock));
	CHECK_OK(thread_join(&t));
	CHECK_INT(reports(), ==, 1);
	lock = (struct anyc_xlock){ .owner_ = 0 };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, keep_lock, &l));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_xlock_acquire(&lock), ANYC_EBROKEN);
	CHECK_INT(reports(), ==, 2);
}

/* A lock on the stack of a task that ends has gone with it: only the report remains. */
static int forget_own(void *arg)
{
	struct anyc_xlock lock = { .owner_ = 0 };

	(void)arg;
	return anyc_xlock_acquire(&lock);
}

/* A plain thread's end is its root task's. */
static void *end_with_lock(void *arg)
{
	CHECK_OK(anyc_xlock_acquire(arg));
	CHECK_RC(anyc_thread_done(), ANYC_EMISUSE);
	return NULL;
}

ANYC_TEST(xsync, d05_forgotten_by_a_stack_and_by_a_thread)
{
	struct anyc_xlock lock = { .owner_ = 0 };
	struct anyc_group g;
	pthread_t id;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, forget_own, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(reports(), ==, 1);
	CHECK_INT(pthread_create(&id, NULL, end_with_lock, &lock), ==, 0);
	CHECK_INT(pthread_join(id, NULL), ==, 0);
	CHECK_INT(reports(), ==, 3);
	CHECK_RC(anyc_xlock_acquire(&lock), ANYC_EBROKEN);
}

/* --------------------------------------------------------------------------------- queues */

#define ITEMS 300

struct pipe_end {
	struct anyc_xqueue *queue;
	atomic_int *senders; /* the last one closes */
	long sum;
	int count;
};

static int send_all(void *arg)
{
	struct pipe_end *p = arg;
	int rc = 0;

	for (int i = 1; i <= ITEMS && rc == 0; i++)
		rc = anyc_xqueue_send(p->queue, &i);
	if (atomic_fetch_sub(p->senders, 1) == 1)
		CHECK_OK(anyc_xqueue_close(p->queue));
	anyc_xqueue_unref(p->queue);
	return rc;
}

static int receive_all(void *arg)
{
	struct pipe_end *p = arg;
	int rc, item;

	while ((rc = anyc_xqueue_receive(p->queue, &item)) == 0) {
		p->sum += item;
		p->count++;
	}
	anyc_xqueue_unref(p->queue);
	return rc == ANYC_EEOF ? 0 : rc;
}

static void pass_items(size_t capacity)
{
	struct anyc_xqueue *q;
	struct pipe_end s[2], r[3];
	struct thread sender[2], receiver[2];
	struct anyc_xqueue_stats stats;
	atomic_int senders = 2;
	long sum = 0;
	int count = 0;

	CHECK_OK(anyc_xqueue_open(&q, sizeof(int), capacity, NULL));
	for (int i = 0; i < 2; i++) {
		s[i] = (struct pipe_end){ anyc_xqueue_ref(q), &senders, 0, 0 };
		r[i] = (struct pipe_end){ anyc_xqueue_ref(q), NULL, 0, 0 };
		thread_start(&sender[i], send_all, &s[i], i == 0);
		thread_start(&receiver[i], receive_all, &r[i], i == 1);
	}
	r[2] = (struct pipe_end){ anyc_xqueue_ref(q), NULL, 0, 0 };
	CHECK_OK(receive_all(&r[2])); /* a task of this loop takes its share */
	for (int i = 0; i < 2; i++) {
		CHECK_OK(thread_join(&sender[i]));
		CHECK_OK(thread_join(&receiver[i]));
	}
	for (int i = 0; i < 3; i++) {
		sum += r[i].sum;
		count += r[i].count;
	}
	CHECK_INT(count, ==, 2 * ITEMS);
	CHECK_INT(sum, ==, (long)ITEMS * (ITEMS + 1));
	CHECK_OK(anyc_xqueue_stats(&stats, q));
	CHECK(stats.closed);
	CHECK_INT(stats.used, ==, 0);
	CHECK_INT(stats.senders_waiting + stats.receivers_waiting, ==, 0);
	CHECK(capacity == ANYC_QUEUE_UNBOUNDED || stats.peak <= capacity);
	anyc_xqueue_unref(q);
}

ANYC_TEST(xsync, r33_threads_pass_items, .deadline = 60)
{
	pass_items(0);
	pass_items(1);
	pass_items(16);
	pass_items(ANYC_QUEUE_UNBOUNDED);
}

/* One sender, one receiver: in the order sent. */
ANYC_TEST(xsync, r33_items_keep_their_order)
{
	struct anyc_xqueue *q;
	struct pipe_end s;
	struct thread t;
	atomic_int senders = 1;
	int item;

	CHECK_OK(anyc_xqueue_open(&q, sizeof item, 4, NULL));
	s = (struct pipe_end){ anyc_xqueue_ref(q), &senders, 0, 0 };
	thread_start(&t, send_all, &s, true);
	for (int i = 1; i <= ITEMS; i++) {
		CHECK_OK(anyc_xqueue_receive(q, &item));
		CHECK_INT(item, ==, i);
	}
	CHECK_OK(thread_join(&t));
	anyc_xqueue_unref(q);
}

struct caller {
	struct anyc_scope scope;
	struct anyc_xqueue *queue;
	int item, rc;
};

static int send_one(void *arg)
{
	struct caller *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_xqueue_send(c->queue, &c->item);
	return anyc_scope_leave(&c->scope, c->rc == ANYC_ECANCELED ? c->rc : 0);
}

static int receive_one(void *arg)
{
	struct caller *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_xqueue_receive(c->queue, &c->item);
	return anyc_scope_leave(&c->scope, c->rc == ANYC_ECANCELED ? c->rc : 0);
}

static void cancel_senders(size_t capacity)
{
	struct anyc_xqueue *q;
	struct caller c[3];
	struct anyc_group g;
	int item;

	CHECK_OK(anyc_xqueue_open(&q, sizeof item, capacity, NULL));
	for (item = 1; item <= (int)capacity; item++)
		CHECK_OK(anyc_xqueue_send_nowait(q, &item));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		c[i] = (struct caller){ .queue = q, .item = (int)capacity + 1 + i };
		CHECK_OK(anyc_spawn(&g, send_one, &c[i]));
	}
	SETTLE();
	CHECK_RC(anyc_xqueue_send_nowait(q, &item), ANYC_EWOULDBLOCK);
	anyc_scope_cancel(&c[1].scope, "not sent");
	SETTLE();
	for (int i = 1; i <= (int)capacity + 1; i++) {
		CHECK_OK(anyc_xqueue_receive_nowait(q, &item));
		CHECK_INT(item, ==, i);
	}
	anyc_scope_cancel(&c[0].scope, "sent already");
	CHECK_OK(anyc_xqueue_receive_nowait(q, &item));
	CHECK_INT(item, ==, (int)capacity + 3);
	CHECK_RC(anyc_xqueue_receive_nowait(q, &item), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(c[0].rc);
	CHECK_RC(c[1].rc, ANYC_ECANCELED);
	CHECK_OK(c[2].rc);
	anyc_xqueue_unref(q);
}

ANYC_TEST(xsync, e02_a_cancelled_send_was_not_sent)
{
	cancel_senders(0);
	cancel_senders(2);
}

ANYC_TEST(xsync, e02_a_cancelled_receive_loses_nothing)
{
	struct anyc_xqueue *q;
	struct caller c[3];
	struct anyc_group g;
	int item = 7;

	CHECK_OK(anyc_xqueue_open(&q, sizeof item, 2, NULL));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		c[i] = (struct caller){ .queue = q };
		CHECK_OK(anyc_spawn(&g, receive_one, &c[i]));
	}
	SETTLE();
	anyc_scope_cancel(&c[0].scope, "nothing taken");
	SETTLE();
	CHECK_OK(anyc_xqueue_send_nowait(q, &item));
	anyc_scope_cancel(&c[1].scope, "it came before");
	item = 8;
	CHECK_OK(anyc_xqueue_send(q, &item));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(c[0].rc, ANYC_ECANCELED);
	CHECK_OK(c[1].rc);
	CHECK_INT(c[1].item, ==, 7);
	CHECK_INT(c[2].item, ==, 8);
	anyc_xqueue_unref(q);
}

static void count_dropped(void *arg, void *item)
{
	*(int *)arg += *(int *)item;
}

ANYC_TEST(xsync, e05_closing_and_dropping)
{
	int dropped = 0, item = 1;
	const struct anyc_xqueue_options options = { .drop = count_dropped, .drop_arg = &dropped };
	struct anyc_xqueue *q;
	struct caller s, r;
	struct anyc_group g;

	CHECK_OK(anyc_xqueue_open(&q, sizeof item, 1, &options));
	r = (struct caller){ .queue = q };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_one, &r));
	SETTLE();
	CHECK_OK(anyc_xqueue_close(q));
	CHECK_OK(anyc_xqueue_close(q));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_EEOF);
	CHECK_RC(anyc_xqueue_send(q, &item), ANYC_ECLOSED);
	CHECK_RC(anyc_xqueue_send_nowait(q, &item), ANYC_ECLOSED);
	CHECK_RC(anyc_xqueue_receive_nowait(q, &item), ANYC_EEOF);
	anyc_xqueue_unref(q);
	CHECK_OK(anyc_xqueue_open(&q, sizeof item, 2, &options));
	for (item = 1; item <= 2; item++)
		CHECK_OK(anyc_xqueue_send(q, &item));
	s = (struct caller){ .queue = q, .item = 100 };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_one, &s));
	SETTLE();
	CHECK_OK(anyc_xqueue_close(q));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, ANYC_ECLOSED);
	/* What was sent before is there still. */
	CHECK_OK(anyc_xqueue_receive(q, &item));
	CHECK_INT(item, ==, 1);
	anyc_xqueue_unref(anyc_xqueue_ref(q));
	CHECK_INT(dropped, ==, 0);
	anyc_xqueue_unref(q);
	CHECK_INT(dropped, ==, 2);
}

ANYC_TEST(xsync, r12_bad_arguments)
{
	struct anyc_xqueue *q = (struct anyc_xqueue *)&q;
	struct anyc_xqueue_stats stats;
	int item = 1;

	CHECK_RC(anyc_xqueue_open(NULL, 4, 4, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_open(&q, 0, 4, NULL), ANYC_EINVAL);
	CHECK(q == NULL);
	CHECK_RC(anyc_xqueue_open(&q, 4, (size_t)-1, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_open(&q, SIZE_MAX / 2, 4, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_send(NULL, &item), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_receive(NULL, &item), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_close(NULL), ANYC_EINVAL);
	anyc_xqueue_unref(NULL);
	CHECK_OK(anyc_xqueue_open(&q, 4, 1, NULL));
	CHECK_RC(anyc_xqueue_send(q, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_send_nowait(q, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_receive(q, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_receive_nowait(q, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_xqueue_stats(NULL, q), ANYC_EINVAL);
	CHECK_OK(anyc_xqueue_stats(&stats, q));
	CHECK_INT(stats.item_size, ==, 4);
	CHECK_INT(stats.capacity, ==, 1);
	anyc_xqueue_unref(q);
	CHECK_INT(reports(), ==, 12);
}

/* ----------------------------------------------------------------------------------- fork */

struct inherited {
	struct anyc_xevent set, waited_for, idle;
	struct anyc_xlock free, held, held_by_me;
	struct anyc_xqueue *queue;
};

static int wait_in_event(void *arg)
{
	return anyc_xevent_wait(&((struct inherited *)arg)->waited_for);
}

static int hold_until_event(void *arg)
{
	struct inherited *i = arg;

	CHECK_OK(anyc_xlock_acquire(&i->held));
	CHECK_OK(anyc_xevent_wait(&i->waited_for));
	return anyc_xlock_release(&i->held);
}

/* 0, or the number of what was wrong. */
static int look_in_child(struct inherited *i)
{
	int item = 0;

	if (anyc_xevent_wait(&i->set) != 0 || anyc_xevent_is_set(&i->idle))
		return 1;
	if (anyc_xevent_set(&i->idle) != 0 || anyc_xevent_wait(&i->idle) != 0)
		return 2;
	if (anyc_xevent_wait(&i->waited_for) != ANYC_EFORKED ||
	    anyc_xevent_set(&i->waited_for) != ANYC_EFORKED)
		return 3;
	if (anyc_xlock_acquire(&i->free) != 0 || anyc_xlock_release(&i->free) != 0)
		return 4;
	if (anyc_xlock_acquire(&i->held) != ANYC_EFORKED ||
	    anyc_xlock_acquire_nowait(&i->held_by_me) != ANYC_EFORKED)
		return 5;
	i->held = (struct anyc_xlock){ .owner_ = 0 };
	if (anyc_xlock_acquire(&i->held) != 0 || anyc_xlock_release(&i->held) != 0)
		return 6;
	if (anyc_xqueue_receive(i->queue, &item) != 0 || item != 9)
		return 7;
	anyc_xqueue_unref(i->queue);
	return anyc_thread_done() == 0 ? 0 : 8;
}

/* Without a look for leaks: what the parent's other threads hold is nobody's in the child. */
static void end_child(int status)
{
	char text[] = { (char)('0' + status), '\0' };

	execl("/bin/sh", "sh", "-c", "exit \"$0\"", text, (char *)NULL);
	_exit(9);
}

ANYC_TEST_MAIN(xsync, r27_a_forked_child, "none")
{
	struct inherited i = { .queue = NULL };
	struct thread t[2];
	int item = 9, status;
	pid_t pid;

	CHECK_OK(anyc_xevent_set(&i.set));
	CHECK_OK(anyc_xlock_acquire(&i.free));
	CHECK_OK(anyc_xlock_release(&i.free));
	CHECK_OK(anyc_xlock_acquire(&i.held_by_me));
	CHECK_OK(anyc_xqueue_open(&i.queue, sizeof item, 2, NULL));
	CHECK_OK(anyc_xqueue_send(i.queue, &item));
	thread_start(&t[0], wait_in_event, &i, true);
	thread_start(&t[1], hold_until_event, &i, false);
	until_waiting(event_waiting, &i.waited_for, 2);
	pid = fork();
	if (pid == 0)
		end_child(look_in_child(&i));
	CHECK_INT(pid, >, 0);
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), ==, 0);
	/* The parent's go on. */
	CHECK_OK(anyc_xevent_set(&i.waited_for));
	for (int k = 0; k < 2; k++) {
		CHECK_OK(thread_join(&t[k]));
	}
	CHECK_OK(anyc_xlock_release(&i.held_by_me));
	anyc_xqueue_unref(i.queue);
}

/* SPDX-License-Identifier: MIT */
/*
 * Faults in events, locks and queues between threads, used by tasks of one loop, and by a thread:
 * who is cancelled, or finds no memory, takes nothing away from the others.
 */
#include "faults.h"

#include <pthread.h>

/* --------------------------------------------------------------------------- events, locks */

#define TASKS 3

struct hurdle {
	struct anyc_xevent event;
	struct anyc_xlock lock;
	int inside;
};

static int wait_in_event(void *arg)
{
	return ended(anyc_xevent_wait(&((struct hurdle *)arg)->event));
}

static int pass_lock(void *arg)
{
	struct hurdle *h = arg;
	int rc = anyc_xlock_acquire(&h->lock);

	if (rc != 0)
		return ended(rc);
	CHECK_INT(h->inside++, ==, 0);
	ANYC_IGNORE(anyc_sleep(ANYC_MICROSECOND));
	h->inside--;
	CHECK_OK(anyc_xlock_release(&h->lock));
	return 0;
}

static int run_three(struct hurdle *h, anyc_task_fn *fn)
{
	struct anyc_group g;
	int rc = 0;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < TASKS && rc == 0; i++)
		rc = anyc_spawn(&g, fn, h);
	if (rc == 0)
		rc = anyc_checkpoint();
	CHECK_OK(anyc_xevent_set(&h->event));
	rc = anyc_group_leave(&g, rc);
	CHECK(!anyc_xlock_is_held(&h->lock));
	CHECK_INT(anyc_xlock_waiting(&h->lock), ==, 0);
	CHECK_INT(anyc_xevent_waiting(&h->event), ==, 0);
	return rc;
}

static int event(void *arg)
{
	struct hurdle h = { .inside = 0 };

	(void)arg;
	return run_three(&h, wait_in_event);
}

static int lock(void *arg)
{
	struct hurdle h = { .inside = 0 };

	(void)arg;
	return run_three(&h, pass_lock);
}

FAULTS(r23_xevent, event, ALSO(ENDED_EARLY), AND_TWICE)
FAULTS(r23_xlock, lock, ALSO(ENDED_EARLY), AND_TWICE)

/* ---------------------------------------------------------------------------------- queues */

#define ITEMS 8

struct pipe {
	struct anyc_xqueue *queue;
	int sent[ITEMS], received[ITEMS], dropped[ITEMS];
};

static void note_dropped(void *arg, void *item)
{
	((struct pipe *)arg)->dropped[*(int *)item]++;
}

/* Each attempt is in a scope, so that a cancellation of it is followed by another one. */
static int send_all(void *arg)
{
	struct pipe *p = arg;
	struct anyc_scope s;
	int rc = 0;

	for (int i = 0; i < ITEMS && rc == 0;) {
		anyc_scope_enter(&s, NULL);
		rc = anyc_xqueue_send(p->queue, &i);
		p->sent[i] += rc == 0;
		i += rc == 0;
		rc = anyc_scope_leave(&s, rc);
	}
	CHECK_OK(anyc_xqueue_close(p->queue));
	return ended(rc);
}

static int receive_all(void *arg)
{
	struct pipe *p = arg;
	struct anyc_scope s;
	int rc = 0, item = 0;

	while (rc == 0) {
		anyc_scope_enter(&s, NULL);
		rc = anyc_xqueue_receive(p->queue, &item);
		if (rc == 0)
			p->received[item]++;
		rc = anyc_scope_leave(&s, rc);
	}
	CHECK_OK(anyc_xqueue_close(p->queue));
	return rc == ANYC_EEOF ? 0 : ended(rc);
}

/* Every item that was sent was received or dropped, exactly once. */
static int run_pipe(size_t capacity)
{
	struct pipe p = { .queue = NULL };
	struct anyc_xqueue_options o = { .drop = note_dropped, .drop_arg = &p };
	struct anyc_group g;
	int rc = anyc_xqueue_open(&p.queue, sizeof(int), capacity, &o);

	if (rc != 0)
		return rc;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, send_all, &p);
	if (rc == 0)
		rc = anyc_spawn(&g, receive_all, &p);
	rc = anyc_group_leave(&g, rc);
	anyc_xqueue_unref(p.queue);
	for (int i = 0; i < ITEMS; i++) {
		CHECK_INT(p.received[i] + p.dropped[i], ==, p.sent[i]);
		CHECK(rc != 0 || p.received[i] == 1);
	}
	return rc;
}

static int rendezvous(void *arg)
{
	(void)arg;
	return run_pipe(0);
}

static int bounded(void *arg)
{
	(void)arg;
	return run_pipe(2);
}

static int unbounded(void *arg)
{
	(void)arg;
	return run_pipe(ANYC_QUEUE_UNBOUNDED);
}

/* ECLOSED: the receiver ended early. */
FAULTS(r33_xqueue_rendezvous, rendezvous, ALSO(ENDED_EARLY, ANYC_ECLOSED))
FAULTS(r33_xqueue, bounded, ALSO(ENDED_EARLY, ANYC_ECLOSED))
FAULTS(r33_xqueue_unbounded, unbounded, ALSO(ENDED_EARLY, ANYC_ECLOSED))

/* -------------------------------------------------------------------------------- a thread */

static void *set_it(void *arg)
{
	CHECK_OK(anyc_xevent_set(arg));
	return NULL;
}

/* The thread ends before the wait begins or while it lasts; it is joined in either case. */
static int set_by_a_thread(void *arg)
{
	struct anyc_xevent e = { .set_ = false };
	pthread_t thread;
	int rc;

	(void)arg;
	CHECK_INT(pthread_create(&thread, NULL, set_it, &e), ==, 0);
	rc = anyc_xevent_wait(&e);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_INT(anyc_xevent_waiting(&e), ==, 0);
	return rc;
}

/* Which of the two is first is not the same every time, nor then is the number of allocations. */
FAULTS(r23_xevent_of_a_thread, set_by_a_thread, .axes = ANYC_FAULT_CANCEL)

/* ---------------------------------------------------------------------------- moving a stream */

struct owner {
	struct anyc_stream *near, *far;
	struct anyc_xevent waiting, used, may_end;
	int rc;
};

static int receive_one(void *arg)
{
	char c;
	int n = anyc_stream_receive(arg, &c, 1);

	return n < 0 ? ended(n) : 0;
}

/* Waits in the stream, so that it is this loop's. */
static int own(void *arg)
{
	struct owner *o = arg;
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, receive_one, o->near);
	if (rc == 0)
		rc = anyc_wait_all_blocked();
	CHECK_OK(anyc_xevent_set(&o->waiting));
	rc = anyc_group_leave(&g, rc);
	CHECK_OK(anyc_xevent_set(&o->used));
	return rc != 0 ? rc : anyc_xevent_wait(&o->may_end);
}

static void *owner_main(void *arg)
{
	struct owner *o = arg;

	o->rc = anyc_run(NULL, own, o);
	CHECK_OK(anyc_xevent_set(&o->waiting)); /* it may not have begun */
	CHECK_OK(anyc_xevent_set(&o->used));
	CHECK_OK(anyc_thread_done());
	return NULL;
}

static int take_over(struct owner *o)
{
	int rc = anyc_xevent_wait(&o->waiting);

	if (rc == 0)
		rc = anyc_stream_send(o->far, "ab", 2);
	if (rc == 0)
		rc = anyc_xevent_wait(&o->used);
	if (rc == 0)
		rc = anyc_stream_move(o->near);
	return rc != 0 ? rc : receive_one(o->near);
}

static int move_from_a_thread(void *arg)
{
	struct owner o = { .rc = 0 };
	pthread_t thread;
	int rc = anyc_unix_pair(&o.near, &o.far);

	(void)arg;
	if (rc != 0)
		return rc;
	CHECK_INT(pthread_create(&thread, NULL, owner_main, &o), ==, 0);
	rc = take_over(&o);
	CHECK_OK(anyc_xevent_set(&o.may_end));
	anyc_stream_free(o.far); /* the end, for who waits still */
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	anyc_stream_free(o.near);
	return rc != 0 ? rc : o.rc;
}

FAULTS(r23_stream_move, move_from_a_thread, ALSO(ENDED_EARLY),
       .axes = ANYC_FAULT_ALLOC | ANYC_FAULT_ALLOC_FOREVER | ANYC_FAULT_CANCEL)

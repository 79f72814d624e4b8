/* SPDX-License-Identifier: MIT */
/*
 * Faults in conditions, semaphores, limiters, futures and queues, and in gather, map and race: who
 * is cancelled, or finds no memory, takes nothing away from the others.
 */
#include "faults.h"

/* Three tasks that contend: each passes, or was cancelled. */
#define TASKS 3

struct hurdle {
	struct anyc_semaphore semaphore;
	struct anyc_limiter limiter;
	struct anyc_condition condition;
	struct anyc_future future;
	struct anyc_lock lock;
	bool open;
	int inside, passed, cancelled;
};

static int note(struct hurdle *h, int rc)
{
	h->passed += rc == 0;
	h->cancelled += rc == ANYC_ECANCELED;
	return rc;
}

static int run_three(struct hurdle *h, anyc_task_fn *fn, int (*open)(struct hurdle *h))
{
	struct anyc_group g;
	int rc = 0, spawned = 0;

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < TASKS && rc == 0; i++) {
		rc = anyc_spawn(&g, fn, h);
		spawned += rc == 0;
	}
	if (rc == 0)
		rc = anyc_checkpoint();
	if (rc == 0 && open != NULL)
		rc = open(h);
	if (rc != 0) /* nobody would open */
		ANYC_IGNORE(anyc_group_cancel(&g, "the host has failed"));
	rc = anyc_group_leave(&g, rc);
	if (rc == 0)
		CHECK_INT(h->passed + h->cancelled, ==, spawned);
	return rc;
}

/* ---------------------------------------------------------------------- semaphore, limiter */

static int take_permit(void *arg)
{
	struct hurdle *h = arg;
	int rc = anyc_semaphore_acquire(&h->semaphore);

	if (rc == 0) {
		CHECK_INT(h->inside++, <, 2);
		ANYC_IGNORE(anyc_sleep(ANYC_MICROSECOND));
		h->inside--;
		CHECK_OK(anyc_semaphore_release(&h->semaphore));
	}
	return note(h, rc);
}

static int semaphore(void *arg)
{
	struct hurdle h = { .semaphore = ANYC_SEMAPHORE_INIT(2, 2) };
	int rc = run_three(&h, take_permit, NULL);

	(void)arg;
	CHECK_INT(anyc_semaphore_value(&h.semaphore), ==, 2);
	CHECK_INT(anyc_semaphore_waiting(&h.semaphore), ==, 0);
	return rc;
}

FAULTS(d09_semaphore, semaphore, AND_TWICE)

static int borrow(void *arg)
{
	struct hurdle *h = arg;
	int rc = anyc_limiter_acquire(&h->limiter);

	if (rc == 0) {
		CHECK_INT(h->inside++, ==, 0);
		ANYC_IGNORE(anyc_sleep(ANYC_MICROSECOND));
		h->inside--;
		CHECK_OK(anyc_limiter_release(&h->limiter));
	}
	return note(h, rc);
}

/* Five borrowers besides: the table outgrows its own places. */
static int limiter(void *arg)
{
	struct hurdle h = { .limiter = ANYC_LIMITER_INIT(6) };
	int rc = 0, keys[5], held = 0;

	(void)arg;
	while (held < 5 && rc == 0) {
		rc = anyc_limiter_acquire_for(&h.limiter, &keys[held]);
		held += rc == 0;
	}
	if (rc == 0)
		rc = run_three(&h, borrow, NULL);
	CHECK_INT(anyc_limiter_borrowed(&h.limiter), ==, held);
	CHECK_INT(anyc_limiter_waiting(&h.limiter), ==, 0);
	while (held-- > 0)
		CHECK_OK(anyc_limiter_release_for(&h.limiter, &keys[held]));
	return rc;
}

FAULTS(d11_limiter, limiter)

/* --------------------------------------------------------------------- condition, future */

static bool is_open(void *arg)
{
	return ((struct hurdle *)arg)->open;
}

static int wait_for_opening(void *arg)
{
	struct hurdle *h = arg;
	int rc = anyc_lock_acquire(&h->lock);

	if (rc != 0)
		return note(h, rc);
	rc = anyc_condition_wait_for(&h->condition, &h->lock, is_open, h);
	CHECK(rc != 0 || h->open);
	CHECK(anyc_lock_owner(&h->lock) == anyc_task_id());
	CHECK_OK(anyc_condition_notify(&h->condition, &h->lock, 1));
	CHECK_OK(anyc_lock_release(&h->lock));
	return note(h, rc);
}

static int open_condition(struct hurdle *h)
{
	int rc = anyc_lock_acquire(&h->lock);

	if (rc != 0)
		return rc;
	h->open = true;
	CHECK_OK(anyc_condition_notify(&h->condition, &h->lock, 1));
	return anyc_lock_release(&h->lock);
}

/* One is notified, and each hands the notification on, also when it was cancelled. */
static int condition(void *arg)
{
	struct hurdle h = { 0 };
	int rc = run_three(&h, wait_for_opening, open_condition);

	(void)arg;
	CHECK(!anyc_lock_is_held(&h.lock));
	CHECK_INT(anyc_condition_waiting(&h.condition), ==, 0);
	return rc;
}

FAULTS(d04_condition, condition, AND_TWICE)

static int wait_for_result(void *arg)
{
	struct hurdle *h = arg;
	intptr_t value = 0;
	int rc = anyc_future_wait(&h->future);

	if (rc == 0) {
		CHECK_OK(anyc_future_result(&h->future, &value));
		CHECK_INT(value, ==, 42);
	}
	return note(h, rc);
}

static int give_result(struct hurdle *h)
{
	return anyc_future_set(&h->future, 42);
}

static int future(void *arg)
{
	struct hurdle h = { 0 };
	int rc = run_three(&h, wait_for_result, give_result);

	(void)arg;
	CHECK_INT(anyc_future_waiting(&h.future), ==, 0);
	return rc;
}

FAULTS(d16_future, future, AND_TWICE)

/* ---------------------------------------------------------------------------------- queues */

#define ITEMS 12

struct pipe {
	struct anyc_sender in;
	struct anyc_receiver out;
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
		rc = anyc_queue_send(&p->in, &i);
		p->sent[i] += rc == 0;
		i += rc == 0;
		rc = anyc_scope_leave(&s, rc);
	}
	ANYC_IGNORE(anyc_sender_close(&p->in));
	return ended(rc);
}

static int receive_all(void *arg)
{
	struct pipe *p = arg;
	struct anyc_scope s;
	int rc = 0, item = 0;

	while (rc == 0) {
		anyc_scope_enter(&s, NULL);
		rc = anyc_queue_receive(&p->out, &item);
		if (rc == 0)
			p->received[item]++;
		rc = anyc_scope_leave(&s, rc);
	}
	ANYC_IGNORE(anyc_receiver_close(&p->out));
	return rc == ANYC_EEOF ? 0 : ended(rc);
}

/* Every item that was sent was received or dropped, exactly once. */
static int run_pipe(size_t capacity)
{
	struct pipe p = { 0 };
	struct anyc_queue_options o = { .drop = note_dropped, .drop_arg = &p };
	struct anyc_group g;
	int rc = anyc_queue_open(&p.in, &p.out, sizeof(int), capacity, &o);

	if (rc != 0)
		return rc;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, send_all, &p);
	if (rc == 0)
		rc = anyc_spawn(&g, receive_all, &p);
	rc = anyc_group_leave(&g, rc);
	ANYC_IGNORE(anyc_sender_close(&p.in));
	ANYC_IGNORE(anyc_receiver_close(&p.out));
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
	return run_pipe(3);
}

static int unbounded(void *arg)
{
	(void)arg;
	return run_pipe(ANYC_QUEUE_UNBOUNDED);
}

/* EBROKEN: the receiver ended early. */
FAULTS(e03_rendezvous, rendezvous, ALSO(ENDED_EARLY, ANYC_EBROKEN))
FAULTS(e02_a_bounded_queue, bounded, ALSO(ENDED_EARLY, ANYC_EBROKEN))
FAULTS(e01_an_unbounded_queue, unbounded, ALSO(ENDED_EARLY, ANYC_EBROKEN))

/* ------------------------------------------------------------------------ gather, map, race */

static int nap(void *arg)
{
	(void)arg;
	return anyc_sleep(ANYC_MICROSECOND);
}

static int gather(void *arg)
{
	struct anyc_call calls[] = { ANYC_CALL(nap, NULL), ANYC_CALL(nap, NULL),
				     ANYC_CALL(nap, NULL) };
	struct anyc_gather_options o = { .limit = 2 };

	(void)arg;
	return anyc_gather(calls, 3, &o);
}

FAULTS(b059_gather, gather, AND_TWICE)

static int as_completed(void *arg)
{
	struct anyc_call calls[] = { ANYC_CALL(nap, NULL), ANYC_CALL(nap, NULL),
				     ANYC_CALL(nap, NULL) };
	struct anyc_gather_options o = { .limit = 2 };
	struct anyc_as_completed all;
	size_t i;
	int n = 0, rc = anyc_as_completed_enter(&all, calls, 3, &o);

	(void)arg;
	if (rc != 0)
		return rc;
	while ((rc = anyc_as_completed_next(&all, &i)) > 0) {
		CHECK(calls[i].rc == 0 || calls[i].rc == -ENOMEM ||
		      calls[i].rc == ANYC_ETASKCANCELED);
		n++;
	}
	CHECK(rc != 0 || n == 3);
	return anyc_as_completed_leave(&all, rc);
}

FAULTS(b059_as_completed, as_completed, AND_TWICE)

static int square(void *arg)
{
	int rc = anyc_checkpoint(), *n = arg;

	return rc != 0 ? rc : *n * *n;
}

static int map(void *arg)
{
	int items[] = { 1, 2, 3 }, results[3] = { 0 };
	int rc = anyc_map(results, square, items, 3, sizeof *items, NULL);

	(void)arg;
	for (int i = 0; i < 3 && rc == 0; i++)
		CHECK(results[i] == items[i] * items[i] || results[i] == ANYC_ETASKCANCELED);
	return rc;
}

FAULTS(b059_map, map)

static int fail(void *arg)
{
	(void)arg;
	return anyc_fail(-EIO, EIO, "it never wins");
}

static int win(void *arg)
{
	int rc = anyc_sleep(ANYC_MICROSECOND);

	(void)arg;
	return rc != 0 ? rc : 7;
}

static int race(void *arg)
{
	struct anyc_call calls[] = { ANYC_CALL(fail, NULL), ANYC_CALL(nap, NULL),
				     ANYC_CALL(win, NULL) };
	size_t winner = 0;
	int rc = anyc_race(&winner, calls, 3, NULL);

	(void)arg;
	CHECK(rc < 0 || (rc == 0 && winner == 1) || (rc == 7 && winner == 2));
	return rc;
}

/* The first to fail is what comes out if all do. */
FAULTS(r09_race, race, ALSO(-EIO))

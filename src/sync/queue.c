/* SPDX-License-Identifier: MIT */
/* Queues: sending and receiving; rules: queue.h. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "queue.h"

#define PAGE 4096 /* what is smaller does not count against the budget */

/* --------------------------------------------------------------------------------- waiting */

/* How calls that may wait begin: without effect. */
static inline int begin(struct anyc_task **t, uint64_t *engine, const struct anyc_queue_end_ *end,
			bool argument, const char *name)
{
	int rc = anyc__enter(t);

	if (rc != 0)
		return rc;
	*engine = anyc__task_engine_id(*t);
	return anyc__queue_check(end, argument, *engine, name);
}

/* How they end without having waited: much counts against the turn's budget like many calls. */
static inline void be_fair(const struct anyc_queue_ *q, struct anyc_task *t, size_t bytes)
{
	if (ANYC__UNLIKELY(bytes >= PAGE))
		anyc__charge(t, bytes);
	if (q->fast)
		anyc__yield_if_spent(t);
	else
		anyc__yield(t);
}

static void abort_call(struct anyc_task *t, void *arg)
{
	(void)t;
	anyc__queue_take_out(arg);
}

static inline void line_up(struct anyc__queue_line *line, struct anyc_queue_call_ *c)
{
	c->line = line;
	c->next = NULL;
	c->prev = line->last;
	if (line->last != NULL)
		line->last->next = c;
	else
		line->first = c;
	line->last = c;
}

static inline void enlist(struct anyc_queue_end_ *end, struct anyc_queue_call_ *c)
{
	c->end = end;
	c->prev_of_end = NULL;
	c->next_of_end = end->calls_;
	if (end->calls_ != NULL)
		end->calls_->prev_of_end = c;
	end->calls_ = c;
}

static inline void delist(struct anyc_queue_call_ *c)
{
	if (c->prev_of_end != NULL)
		c->prev_of_end->next_of_end = c->next_of_end;
	else
		c->end->calls_ = c->next_of_end;
	if (c->next_of_end != NULL)
		c->next_of_end->prev_of_end = c->prev_of_end;
}

/*
 * Waits in line.  *open (may be NULL): afterwards the end is still open.  Inlined, since a return
 * right after a switch is mispredicted.
 */
static inline __attribute__((always_inline)) int
wait_in_line(struct anyc_task *t, uint64_t engine, struct anyc_queue_end_ *end,
	     struct anyc__queue_line *line, void *item, const char *what, bool *open)
{
	struct anyc_queue_call_ c;
	int rc;

	c.queue = end->queue_;
	c.task = t;
	c.item = item;
	line_up(line, &c);
	enlist(end, &c);
	anyc__queue_own(c.queue, engine);
	rc = anyc__park(t, abort_call, &c, what);
	if (c.end != NULL)
		delist(&c);
	if (open != NULL)
		*open = c.end != NULL;
	return rc;
}

/* --------------------------------------------------------------------------------- sending */

static inline __attribute__((always_inline)) int
try_send(struct anyc_queue_ *q, const void *item, uint64_t engine)
{
	struct anyc_queue_call_ *to = q->receiving.first;
	int rc;

	if (to != NULL) {
		anyc__item_copy(to->item, item, q->ring.item_size);
		anyc__queue_finish(to, 0);
		return 0;
	}
	if (ANYC__UNLIKELY(q->receivers == 0))
		return ANYC_EBROKEN;
	rc = anyc__ring_make_room(&q->ring, q->capacity == ANYC_QUEUE_UNBOUNDED);
	if (rc != 0)
		return rc;
	anyc__ring_put(&q->ring, item);
	anyc__queue_own(q, engine);
	return 0;
}

int anyc_queue_send(struct anyc_sender *sender, const void *item)
{
	static const char name[] = "anyc_queue_send";
	struct anyc_queue_end_ *end = ANYC__QUEUE_END(sender);
	struct anyc_queue_ *q;
	struct anyc_task *t;
	uint64_t engine;
	int rc = begin(&t, &engine, end, item != NULL, name);

	if (rc != 0)
		return rc;
	q = end->queue_;
	rc = try_send(q, item, engine);
	if (rc == 0) {
		be_fair(q, t, q->ring.item_size);
		return 0;
	}
	/* The item is only read, but a record has one pointer for either direction. */
	if (rc == ANYC_EWOULDBLOCK)
		rc = wait_in_line(t, engine, end, &q->sending, (void *)(uintptr_t)item,
				  "room in a queue", NULL);
	return rc == 0 ? 0 : anyc__queue_fail(rc, name);
}

int anyc_queue_send_nowait(struct anyc_sender *sender, const void *item)
{
	static const char name[] = "anyc_queue_send_nowait";
	struct anyc_queue_end_ *end = ANYC__QUEUE_END(sender);
	uint64_t engine = anyc__queue_engine_here();
	int rc = anyc__queue_check(end, item != NULL, engine, name);

	if (rc == 0)
		rc = try_send(end->queue_, item, engine);
	return rc == 0 ? 0 : anyc__queue_fail(rc, name);
}

/* ------------------------------------------------------------------------------- receiving */

static inline __attribute__((always_inline)) int
try_receive(struct anyc_queue_ *q, void *item)
{
	struct anyc_queue_call_ *from = q->sending.first;

	if (q->ring.count == 0 && from == NULL)
		return q->senders != 0 ? ANYC_EWOULDBLOCK : ANYC_EEOF;
	if (q->ring.count == 0) { /* there is no room at all */
		anyc__item_copy(item, from->item, q->ring.item_size);
		anyc__queue_finish(from, 0);
		return 0;
	}
	anyc__ring_take(&q->ring, item);
	if (from != NULL) {
		anyc__ring_put(&q->ring, from->item);
		anyc__queue_finish(from, 0);
	} else {
		anyc__queue_disown_if_idle(q);
	}
	return 0;
}

int anyc_queue_receive(struct anyc_receiver *receiver, void *item)
{
	static const char name[] = "anyc_queue_receive";
	struct anyc_queue_end_ *end = ANYC__QUEUE_END(receiver);
	struct anyc_queue_ *q;
	struct anyc_task *t;
	uint64_t engine;
	int rc = begin(&t, &engine, end, item != NULL, name);

	if (rc != 0)
		return rc;
	q = end->queue_;
	rc = try_receive(q, item);
	if (rc == 0) {
		be_fair(q, t, q->ring.item_size);
		return 0;
	}
	if (rc == ANYC_EWOULDBLOCK)
		rc = wait_in_line(t, engine, end, &q->receiving, item, "an item in a queue", NULL);
	return rc == 0 ? 0 : anyc__queue_fail(rc, name);
}

int anyc_queue_receive_nowait(struct anyc_receiver *receiver, void *item)
{
	struct anyc_queue_end_ *end = ANYC__QUEUE_END(receiver);
	int rc = anyc__queue_check(end, item != NULL, anyc__queue_engine_here(),
				   "anyc_queue_receive_nowait");

	return rc == 0 ? try_receive(end->queue_, item) : rc;
}

/* Those that are there, up to max; their number. */
static int take_many(struct anyc_queue_ *q, unsigned char *items, size_t max)
{
	int n = 0;

	while ((size_t)n < max && n < INT_MAX && try_receive(q, items) == 0) {
		items += q->ring.item_size;
		n++;
	}
	return n;
}

int anyc_queue_receive_many(struct anyc_receiver *receiver, void *items, size_t max)
{
	static const char name[] = "anyc_queue_receive_many";
	struct anyc_queue_end_ *end = ANYC__QUEUE_END(receiver);
	struct anyc_queue_ *q;
	struct anyc_task *t;
	uint64_t engine;
	int n, rc = begin(&t, &engine, end, items != NULL && max != 0, name);
	bool open;

	if (rc != 0)
		return rc;
	q = end->queue_;
	n = take_many(q, items, max);
	if (n != 0) {
		be_fair(q, t, (size_t)n * q->ring.item_size);
		return n;
	}
	if (q->senders == 0)
		return ANYC_EEOF;
	rc = wait_in_line(t, engine, end, &q->receiving, items, "items in a queue", &open);
	if (rc != 0)
		return anyc__queue_fail(rc, name);
	/* More may have come since this task was woken with the first. */
	return open ? 1 + take_many(q, (unsigned char *)items + q->ring.item_size, max - 1) : 1;
}

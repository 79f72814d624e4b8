/* SPDX-License-Identifier: MIT */
/*
 * Queue between threads: a ring of items, a line of tasks that want to send, and one of tasks that
 * want to receive, of any loops.
 *
 * Rules
 *  - As in queue.h: tasks wait to receive only while the ring is empty, and to send only while it
 *    is full; an item goes to the first in line, and room to the first sender's item.
 *  - The thread that hands over copies the item, inside the room, from or to the place of the task
 *    that waits: that place is there until the task has been in the room again.
 *  - What callers own is never called for inside the room.
 */
#include <errno.h>
#include <stdatomic.h>

#include "core/xwaiters.h"
#include "ring.h"

#define PAGE 4096 /* what is smaller does not count against the budget */

static const char name[] = "a queue between threads";

struct anyc_xqueue {
	atomic_size_t references;
	struct anyc_xroom_ room;
	struct anyc_xwaiters_ sending, receiving;
	struct anyc__ring ring;
	size_t capacity;
	bool closed;
	anyc_queue_drop_fn *drop; /* or NULL */
	void *drop_arg;
};

/* -------------------------------------------------------------------------- opening, counting */

static struct anyc_xqueue *queue_make(size_t item_size, size_t room)
{
	struct anyc_xqueue *q = anyc__alloc(sizeof *q);

	if (q != NULL && !anyc__ring_init(&q->ring, item_size, room)) {
		anyc__free(q);
		return NULL;
	}
	return q;
}

int anyc_xqueue_open_sized(struct anyc_xqueue **out, size_t item_size, size_t capacity,
			   const struct anyc_xqueue_options *options, size_t size)
{
	size_t room = capacity != ANYC_QUEUE_UNBOUNDED ? capacity : 0;
	struct anyc_xqueue_options o;
	struct anyc_xqueue *q;

	if (out == NULL)
		return anyc__misuse(ANYC_EINVAL, "anyc_xqueue_open: there is nowhere to put it");
	*out = NULL;
	if (item_size == 0 || capacity > ANYC_QUEUE_UNBOUNDED || room > PTRDIFF_MAX / item_size)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_xqueue_open: room for %zu items of %zu bytes is not "
				    "possible",
				    capacity, item_size);
	anyc__options_read(&o, sizeof o, options, size);
	q = queue_make(item_size, room);
	if (q == NULL)
		return anyc_fail(-ENOMEM, ENOMEM,
				 "anyc_xqueue_open: no memory for %zu items of %zu bytes", room,
				 item_size);
	atomic_init(&q->references, 1);
	q->capacity = capacity;
	q->drop = o.drop;
	q->drop_arg = o.drop_arg;
	*out = q;
	return 0;
}

struct anyc_xqueue *anyc_xqueue_ref(struct anyc_xqueue *q)
{
	atomic_fetch_add_explicit(&q->references, 1, memory_order_relaxed);
	return q;
}

void anyc_xqueue_unref(struct anyc_xqueue *q)
{
	if (q == NULL ||
	    atomic_fetch_sub_explicit(&q->references, 1, memory_order_acq_rel) != 1)
		return;
	anyc__ring_drop(&q->ring, q->drop, q->drop_arg);
	anyc__free(q);
}

/* ---------------------------------------------------------------------------------- entering */

/* The room of a queue, for a call with a place for an item. */
static int enter(struct anyc_xqueue *q, const void *item)
{
	if (q == NULL || item == NULL)
		return anyc__misuse(ANYC_EINVAL, "%s: a call without a queue, or without a place "
						 "for an item",
				    name);
	return anyc__xroom_enter(&q->room, name);
}

static int leave(struct anyc_xqueue *q, int rc)
{
	anyc__xroom_leave(&q->room);
	return rc != ANYC_ECLOSED ? rc : anyc_fail(rc, 0, "%s: it is closed", name);
}

/* The same for a call that may wait and did not have to: it lets others run. */
static int leave_task(struct anyc_xqueue *q, struct anyc_task *t, int rc)
{
	size_t bytes = q->ring.item_size;

	rc = leave(q, rc);
	if (rc != 0)
		return rc;
	if (bytes >= PAGE)
		anyc__charge(t, bytes);
	anyc__yield(t);
	return 0;
}

/* ----------------------------------------------------------------------------------- sending */

static int try_send(struct anyc_xqueue *q, const void *item)
{
	int rc;

	if (q->closed)
		return ANYC_ECLOSED;
	if (q->receiving.first_ != NULL) {
		anyc__item_copy(q->receiving.first_->data, item, q->ring.item_size);
		anyc__xwaiters_wake(&q->receiving, 0);
		return 0;
	}
	rc = anyc__ring_make_room(&q->ring, q->capacity == ANYC_QUEUE_UNBOUNDED);
	if (rc != 0)
		return rc;
	anyc__ring_put(&q->ring, item);
	return 0;
}

int anyc_xqueue_send(struct anyc_xqueue *q, const void *item)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = enter(q, item);
	if (rc != 0)
		return rc;
	rc = try_send(q, item);
	if (rc != ANYC_EWOULDBLOCK)
		return leave_task(q, t, rc);
	/* The item is only read, but a waiter has one pointer for either direction. */
	rc = anyc__xwaiters_wait(&q->sending, &q->room, t, (void *)(uintptr_t)item,
				 "room in a queue between threads");
	return rc != ANYC_ECLOSED ? rc : anyc_fail(rc, 0, "%s: it was closed", name);
}

int anyc_xqueue_send_nowait(struct anyc_xqueue *q, const void *item)
{
	int rc = enter(q, item);

	return rc != 0 ? rc : leave(q, try_send(q, item));
}

/* --------------------------------------------------------------------------------- receiving */

static int try_receive(struct anyc_xqueue *q, void *item)
{
	const struct anyc_xwaiter_ *from = q->sending.first_;

	if (q->ring.count == 0 && from == NULL)
		return q->closed ? ANYC_EEOF : ANYC_EWOULDBLOCK;
	if (q->ring.count == 0) { /* there is no room at all */
		anyc__item_copy(item, from->data, q->ring.item_size);
	} else {
		anyc__ring_take(&q->ring, item);
		if (from != NULL)
			anyc__ring_put(&q->ring, from->data);
	}
	if (from != NULL)
		anyc__xwaiters_wake(&q->sending, 0);
	return 0;
}

int anyc_xqueue_receive(struct anyc_xqueue *q, void *item)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = enter(q, item);
	if (rc != 0)
		return rc;
	rc = try_receive(q, item);
	if (rc != ANYC_EWOULDBLOCK)
		return leave_task(q, t, rc);
	return anyc__xwaiters_wait(&q->receiving, &q->room, t, item,
				   "an item in a queue between threads");
}

int anyc_xqueue_receive_nowait(struct anyc_xqueue *q, void *item)
{
	int rc = enter(q, item);

	return rc != 0 ? rc : leave(q, try_receive(q, item));
}

/* ----------------------------------------------------------------------- closing, statistics */

int anyc_xqueue_close(struct anyc_xqueue *q)
{
	int rc = enter(q, q);

	if (rc != 0)
		return rc;
	q->closed = true;
	while (anyc__xwaiters_wake(&q->sending, ANYC_ECLOSED) != NULL)
		;
	while (anyc__xwaiters_wake(&q->receiving, ANYC_EEOF) != NULL)
		;
	return leave(q, 0);
}

int anyc_xqueue_stats(struct anyc_xqueue_stats *out, struct anyc_xqueue *q)
{
	int rc = enter(q, out);

	if (rc != 0)
		return rc;
	*out = (struct anyc_xqueue_stats){
		.item_size = q->ring.item_size,
		.capacity = q->capacity,
		.used = q->ring.count,
		.peak = q->ring.peak,
		.senders_waiting = anyc__xwaiters_count(&q->sending),
		.receivers_waiting = anyc__xwaiters_count(&q->receiving),
		.closed = q->closed,
	};
	return leave(q, 0);
}

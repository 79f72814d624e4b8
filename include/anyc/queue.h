/* SPDX-License-Identifier: MIT */
/*
 * Queues: items that the tasks of one loop hand to each other, first in, first out.  An item is a
 * fixed number of bytes, copied in and out; none is allocated.  A queue is seen as its ends:
 * senders and receivers, small structures that lie where the caller puts them.  Either can be
 * cloned, and each clone is closed on its own; what they share goes with the last of them.
 *
 *	struct anyc_sender jobs;
 *	struct anyc_receiver todo;
 *
 *	rc = anyc_queue_open(&jobs, &todo, sizeof(struct job), 16, NULL);
 *
 *	rc = anyc_queue_send(&jobs, &job);               // one task; waits while it is full
 *
 *	while ((rc = anyc_queue_receive(&todo, &job)) == 0)      // another one
 *		work(&job);
 *	return rc == ANYC_EEOF ? 0 : rc;                 // every sender is closed, all was done
 *
 * Each item goes to exactly one receiver.  It goes to the first in line at once, so nobody takes
 * it in between, and neither a cancellation nor a close loses it.
 *
 * Queues may be opened and filled before there is any loop.  A queue belongs to a loop while items
 * or tasks wait in it: from another thread it is then ANYC_ETHREAD.  It does not synchronise
 * threads; those use xsync.h.
 */
#ifndef ANYC_QUEUE_H
#define ANYC_QUEUE_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

struct anyc_queue_;      /* what the ends share */
struct anyc_queue_call_; /* a call that waits */

/* Private. */
struct anyc_queue_end_ {
	struct anyc_queue_ *queue_; /* NULL: closed */
	struct anyc_queue_call_ *calls_;
	uintptr_t magic_;
	void *reserved_[2];
};

/*
 * The two kinds of ends.  One may be used by many tasks at once; it must not be copied (clone it)
 * and must stay where it is until it is closed.
 */
struct anyc_sender {
	struct anyc_queue_end_ end_;
};
struct anyc_receiver {
	struct anyc_queue_end_ end_;
};

/* A capacity without an end: send waits for nothing, and fails when there is no memory. */
#define ANYC_QUEUE_UNBOUNDED (SIZE_MAX / 2)

/* Called with an item that nobody will receive any more; must not wait. */
typedef void anyc_queue_drop_fn(void *arg, void *item);

struct anyc_queue_options {
	anyc_queue_drop_fn *drop; /* for items that own something; NULL: they are forgotten */
	void *drop_arg;
	/* Calls that need not wait let other tasks run only when the turn's budget is spent, so
	 * that items pass in bursts, with fewer switches. */
	bool fast;
	uint8_t reserved_[7];
};

/*
 * Makes a queue for items of item_size bytes and opens an end of each kind.  capacity is how many
 * items may wait in it; with 0 a send waits until a receiver takes the item.  options may be NULL.
 * Not a checkpoint.
 *   errors  ANYC_EINVAL (no size, a negative capacity, or more than fits into memory), -ENOMEM;
 *           both ends are then closed
 */
ANYC_API ANYC_MUST_CHECK int anyc_queue_open_sized(struct anyc_sender *sender,
						   struct anyc_receiver *receiver,
						   size_t item_size, size_t capacity,
						   const struct anyc_queue_options *options,
						   size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_queue_open(struct anyc_sender *sender,
						struct anyc_receiver *receiver, size_t item_size,
						size_t capacity,
						const struct anyc_queue_options *options)
{
	return anyc_queue_open_sized(sender, receiver, item_size, capacity, options,
				     sizeof *options);
}

/* -------------------------------------------------------------------------------- sending */

/*
 * Sends a copy of *item: to the first receiver that waits, else into the queue; waits in line
 * while it is full.
 *   checkpoint  always                             cancelled  the item was not sent
 *   errors  ANYC_ECANCELED; ANYC_ECLOSED: this sender is closed, or was while it waited;
 *           ANYC_EBROKEN: every receiver is; -ENOMEM: an unbounded queue cannot grow;
 *           ANYC_EINVAL (never opened, or a copy), ANYC_ETHREAD.  In each case the item was not
 *           sent
 */
ANYC_API ANYC_MUST_CHECK int anyc_queue_send(struct anyc_sender *sender, const void *item);
/* Without waiting, also outside tasks: ANYC_EWOULDBLOCK if it is full.  Not a checkpoint. */
ANYC_API ANYC_MUST_CHECK int anyc_queue_send_nowait(struct anyc_sender *sender, const void *item);

/* ------------------------------------------------------------------------------ receiving */

/*
 * Receives the oldest item into *item, waiting in line for one.  What was sent before the last
 * sender closed still comes; then it is ANYC_EEOF, every time.
 *   checkpoint  always                             cancelled  no item was taken
 *   errors  ANYC_ECANCELED, ANYC_EEOF; ANYC_ECLOSED: this receiver is closed, or was while it
 *           waited; ANYC_EINVAL (never opened, or a copy), ANYC_ETHREAD
 */
ANYC_API ANYC_MUST_CHECK int anyc_queue_receive(struct anyc_receiver *receiver, void *item);
/* Without waiting, also outside tasks: ANYC_EWOULDBLOCK if there is none.  Not a checkpoint. */
ANYC_API ANYC_MUST_CHECK int anyc_queue_receive_nowait(struct anyc_receiver *receiver, void *item);
/*
 * Receives up to max items into an array: waits for the first, and takes those that are there as
 * well, as if received one by one.  Returns their number.
 *   checkpoint  always                             cancelled  no item was taken
 *   errors  as receive, ANYC_EINVAL (max 0)
 */
ANYC_API ANYC_MUST_CHECK int anyc_queue_receive_many(struct anyc_receiver *receiver, void *items,
						     size_t max);

/* ----------------------------------------------------------------------- clones and closing */

/*
 * Opens another end of the same kind and queue.  Not a checkpoint.
 *   errors  ANYC_ECLOSED, ANYC_EINVAL, ANYC_ETHREAD; the clone is then closed
 */
ANYC_API ANYC_MUST_CHECK int anyc_sender_clone(struct anyc_sender *clone,
					       const struct anyc_sender *sender);
ANYC_API ANYC_MUST_CHECK int anyc_receiver_clone(struct anyc_receiver *clone,
						 const struct anyc_receiver *receiver);

/*
 * Closes this end; does nothing if it is closed, zeroed or NULL.  Never waits and is no checkpoint,
 * so it fits into any clean-up.  Tasks that wait in this end get ANYC_ECLOSED.  With the last
 * sender, tasks that wait to receive get ANYC_EEOF; with the last receiver, tasks that wait to send
 * get ANYC_EBROKEN, and the items in the queue are dropped.
 *   errors  ANYC_EINVAL (a copy of an end), ANYC_ETHREAD; nothing changed
 */
ANYC_API int anyc_sender_close(struct anyc_sender *sender);
ANYC_API int anyc_receiver_close(struct anyc_receiver *receiver);

/* ------------------------------------------------------------------------------- statistics */

struct anyc_queue_stats {
	size_t item_size, capacity;
	size_t used;                               /* items in the queue */
	size_t peak;                               /* the most there ever were */
	size_t senders, receivers;                 /* open ends */
	size_t senders_waiting, receivers_waiting; /* tasks */
	void *reserved_[4];
};
/* What an open end's queue is like now.   errors  ANYC_ECLOSED, ANYC_EINVAL, ANYC_ETHREAD */
ANYC_API ANYC_MUST_CHECK int anyc_sender_stats(struct anyc_queue_stats *out,
					       const struct anyc_sender *sender);
ANYC_API ANYC_MUST_CHECK int anyc_receiver_stats(struct anyc_queue_stats *out,
						 const struct anyc_receiver *receiver);

ANYC_END_DECLS
#endif

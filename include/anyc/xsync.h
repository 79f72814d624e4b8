/* SPDX-License-Identifier: MIT */
/*
 * Synchronisation between threads: an event, a lock and a queue whose users run on different
 * loops, or on none.  Who waits is a task (or a plain thread), never a loop: other tasks of its
 * loop go on.  Tasks of one loop share by sync.h and queue.h, where waking makes no system call.
 *
 *	static struct anyc_xlock lock;                   // zeroed memory, before any thread
 *
 *	rc = anyc_xlock_acquire(&lock);                  // in a task of any loop
 *	...
 *	anyc_xlock_release(&lock);
 *
 * Any thread may make any call; those that wait are checkpoints and need a task or a plain thread,
 * as everywhere.  What happened in one thread before it set, released or sent is seen by the one
 * that this wakes.  Who waits is served first come, first served, and what was handed over is
 * theirs: such a wait returns 0, also if it is cancelled before it runs.
 *
 * After fork(2): an object that nobody waited in, held or was inside of goes on in the child, for
 * the child alone; any other is ANYC_EFORKED there, for the threads that used it are not.
 */
#ifndef ANYC_XSYNC_H
#define ANYC_XSYNC_H

#include <anyc/base.h>
#include <anyc/queue.h>

ANYC_BEGIN_DECLS

/* What threads take to look at an object, and the tasks that wait in it.  Private. */
struct anyc_xroom_ {
	uint32_t lock_;
	uint32_t users_;   /* who waits in it, or holds it */
	uint64_t process_; /* whose threads were in it last; 0: nobody's */
	bool inside_;      /* a thread is */
	bool caught_;      /* a fork caught it in use */
	uint8_t pad_[6];
};
struct anyc_xwaiters_ {
	struct anyc_xwaiter_ *first_, *last_;
};
/* What a task has, in its list of these. */
struct anyc_held_;
typedef void anyc_abandon_fn_(struct anyc_held_ *h);
struct anyc_held_ {
	struct anyc_held_ *next_, *prev_;
	anyc_abandon_fn_ *abandon_; /* NULL: it is not in the list */
};

/* --------------------------------------------------------------------------------- events */

/* A flag that is set once, and those who wait for it.  Zeroed memory is one that is not set. */
struct anyc_xevent {
	struct anyc_xroom_ room_;
	struct anyc_xwaiters_ waiters_;
	bool set_;
	uint8_t pad_[7];
	void *reserved_[2];
};

/* Sets the flag for good and wakes all who wait.  Idempotent; not a checkpoint.
 *   errors  ANYC_EFORKED */
ANYC_API int anyc_xevent_set(struct anyc_xevent *e);
/* Takes no lock: true does not mean yet that the event may be freed. */
ANYC_API bool anyc_xevent_is_set(const struct anyc_xevent *e);
/* How many wait for it now. */
ANYC_API size_t anyc_xevent_waiting(struct anyc_xevent *e);
/*
 * Waits until the flag is set.  When it has returned 0 and nobody else waits, the event may be
 * freed, also while the call that set it has not returned.
 *   checkpoint  always, also when it is set       cancelled  nothing else happened
 *   errors  ANYC_ECANCELED, ANYC_EFORKED, -ENOMEM, -EMFILE
 */
ANYC_API ANYC_MUST_CHECK int anyc_xevent_wait(struct anyc_xevent *e);

/* ---------------------------------------------------------------------------------- locks */

/*
 * A lock held by one task of any loop; not recursive.  If its owner ends without having released
 * it, it is ANYC_EBROKEN for those in line and for all who come later, as a lock of sync.h is; a
 * thread's end is its own task's.  A lock must not be freed while it is held or waited for: one on
 * the stack of the task that holds it goes with that task, which is reported and no more.
 */
struct anyc_xlock {
	struct anyc_xroom_ room_;
	struct anyc_xwaiters_ waiters_;
	struct anyc_held_ held_;
	uint64_t owner_; /* task id */
	bool broken_;
	uint8_t pad_[7];
	void *reserved_[2];
};

/*
 * Takes the lock, waiting in line if it is held.
 *   checkpoint  always                             cancelled  the lock was not taken
 *   errors  ANYC_ECANCELED, ANYC_EMISUSE (held by this task already), ANYC_EBROKEN, ANYC_EFORKED,
 *           -ENOMEM, -EMFILE
 */
ANYC_API ANYC_MUST_CHECK int anyc_xlock_acquire(struct anyc_xlock *l);
/* Without waiting; not a checkpoint.   errors  ANYC_EWOULDBLOCK, ANYC_EMISUSE, ANYC_EBROKEN,
 * ANYC_EFORKED, -ENOMEM, ANYC_ENOTASK: it is a task that owns a lock */
ANYC_API ANYC_MUST_CHECK int anyc_xlock_acquire_nowait(struct anyc_xlock *l);
/* Gives it to the first in line, or frees it; not a checkpoint.
 *   errors  ANYC_EMISUSE: not held by this task; ANYC_EFORKED */
ANYC_API int anyc_xlock_release(struct anyc_xlock *l);
ANYC_API bool anyc_xlock_is_held(const struct anyc_xlock *l);
/* The id of the task that holds it, or 0; and how many are in line. */
ANYC_API uint64_t anyc_xlock_owner(const struct anyc_xlock *l);
ANYC_API size_t anyc_xlock_waiting(struct anyc_xlock *l);

/* --------------------------------------------------------------------------------- queues */

/*
 * A queue of items, each a fixed number of bytes that is copied in and out, from any threads to
 * any threads.  It is counted: who passes it to another thread takes a reference for it, and with
 * the last one it goes, and the items that nobody received are dropped.
 */
struct anyc_xqueue;

struct anyc_xqueue_options {
	/* For items that own something: called by the thread that gives the last reference back,
	 * with each that is left; must not wait.  NULL: they are forgotten */
	anyc_queue_drop_fn *drop;
	void *drop_arg;
	void *reserved_[2];
};

/*
 * Makes a queue for items of item_size bytes, of which capacity may wait in it: with 0 a send
 * waits until a receiver takes the item; ANYC_QUEUE_UNBOUNDED has no end.  options may be NULL.
 * Not a checkpoint.
 *   errors  ANYC_EINVAL (no size, or more than fits into memory), -ENOMEM; *out is NULL
 */
ANYC_API ANYC_MUST_CHECK int anyc_xqueue_open_sized(struct anyc_xqueue **out, size_t item_size,
						    size_t capacity,
						    const struct anyc_xqueue_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_xqueue_open(struct anyc_xqueue **out, size_t item_size,
						 size_t capacity,
						 const struct anyc_xqueue_options *options)
{
	return anyc_xqueue_open_sized(out, item_size, capacity, options, sizeof *options);
}
/* Another reference, for another thread; returns q.  Any thread that has one. */
ANYC_API struct anyc_xqueue *anyc_xqueue_ref(struct anyc_xqueue *q);
/* Gives a reference back, also outside tasks; NULL is none.  Never waits. */
ANYC_API void anyc_xqueue_unref(struct anyc_xqueue *q);

/*
 * Sends a copy of *item: to the first who waits to receive, else into the queue; waits in line
 * while it is full.
 *   checkpoint  always                             cancelled  the item was not sent
 *   errors  ANYC_ECANCELED; ANYC_ECLOSED: the queue is closed, or was while it waited;
 *           ANYC_EINVAL (NULL), ANYC_EFORKED, -ENOMEM, -EMFILE.  In each case it was not sent
 */
ANYC_API ANYC_MUST_CHECK int anyc_xqueue_send(struct anyc_xqueue *q, const void *item);
/* Without waiting, also outside tasks; not a checkpoint.
 *   errors  ANYC_EWOULDBLOCK: it is full; ANYC_ECLOSED, ANYC_EINVAL, ANYC_EFORKED; -ENOMEM: it
 *           has no end and cannot grow */
ANYC_API ANYC_MUST_CHECK int anyc_xqueue_send_nowait(struct anyc_xqueue *q, const void *item);
/*
 * Receives the oldest item into *item, waiting in line for one.  What was sent before the queue
 * was closed still comes; then it is ANYC_EEOF, every time.
 *   checkpoint  always                             cancelled  no item was taken
 *   errors  ANYC_ECANCELED, ANYC_EEOF, ANYC_EINVAL (NULL), ANYC_EFORKED, -ENOMEM, -EMFILE
 */
ANYC_API ANYC_MUST_CHECK int anyc_xqueue_receive(struct anyc_xqueue *q, void *item);
/* Without waiting, also outside tasks; not a checkpoint.
 *   errors  ANYC_EWOULDBLOCK: there is none; ANYC_EEOF, ANYC_EINVAL, ANYC_EFORKED */
ANYC_API ANYC_MUST_CHECK int anyc_xqueue_receive_nowait(struct anyc_xqueue *q, void *item);
/*
 * Nothing can be sent any more: who waits to send gets ANYC_ECLOSED, and who waits to receive
 * ANYC_EEOF.  Idempotent; not a checkpoint.   errors  ANYC_EINVAL (NULL), ANYC_EFORKED
 */
ANYC_API int anyc_xqueue_close(struct anyc_xqueue *q);

struct anyc_xqueue_stats {
	size_t item_size, capacity;
	size_t used, peak; /* items in it now, and at most so far */
	size_t senders_waiting, receivers_waiting;
	bool closed;
	uint8_t pad_[7];
	void *reserved_[2];
};
/* As they were at one moment.  Any thread.   errors  ANYC_EINVAL (NULL), ANYC_EFORKED */
ANYC_API ANYC_MUST_CHECK int anyc_xqueue_stats(struct anyc_xqueue_stats *out,
					       struct anyc_xqueue *q);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/*
 * Descriptors: which are registered with the engine's epoll set, in which directions they are
 * ready, and which task waits for them.
 *
 * Rules
 *  - The kernel is given slot and generation, never a pointer.  A slot that was given up has
 *    another generation, so an event that is still in the batch is dropped.
 *  - A descriptor of anyc's own is added once, at its first wait, edge-triggered; ADD and MOD
 *    report the present state, so that nothing that came before is lost.  Its owner's close
 *    deletes it first.
 *  - A descriptor of the caller's (borrowed.c) is level-triggered and one-shot: an event disarms
 *    it, the next wait arms it again with MOD.  A cancelled wait with no other interest left takes
 *    it out.
 *  - Without an epoll set one descriptor at a time is waited for with ppoll: `single`.  It belongs
 *    to the engine only for as long.  When a second one has to wait, the set is opened for good.
 *  - Whoever wakes a waiter (event, abort, close) undoes its wait; nothing touches the descriptor
 *    when a park has returned.
 *  - An event only marks and makes tasks ready: no code of theirs runs here.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine.h"

#define DIRECTIONS (ANYC__READ | ANYC__WRITE)

static unsigned index_of(enum anyc__direction d)
{
	return d == ANYC__READ ? 0 : 1;
}

static const char *verb(enum anyc__direction d)
{
	return d == ANYC__READ ? "read" : "write";
}

static uint8_t waited_for(const struct anyc__fd *f)
{
	return (uint8_t)((f->waiting[0] != NULL ? ANYC__READ : 0) |
			 (f->waiting[1] != NULL ? ANYC__WRITE : 0));
}

bool anyc__fd_inherited(const struct anyc__fd *f)
{
	return f->fork_generation != anyc__fork_generation();
}

void anyc__fd_init(struct anyc__fd *f, int fd, enum anyc__fd_kind kind)
{
	memset(f, 0, sizeof *f);
	f->fd = fd;
	f->kind = (uint8_t)kind;
	f->ready = DIRECTIONS;
	f->fork_generation = anyc__fork_generation();
}

/* ---------------------------------------------------------------------------------- slots */

static int slots_grow(struct anyc__fds *t)
{
	uint32_t capacity = t->capacity == 0 ? 16 : t->capacity * 2;
	struct anyc__slot_entry *slot = anyc__resize(t->slot, capacity * sizeof *slot);

	if (slot == NULL)
		return -ENOMEM;
	memset(slot + t->capacity, 0, (capacity - t->capacity) * sizeof *slot);
	t->slot = slot;
	t->capacity = capacity;
	if (t->count == 0)
		t->count = 1; /* slot 0 says "not registered" */
	return 0;
}

static int slot_take(struct anyc__fds *t, struct anyc__fd *f)
{
	uint32_t slot = t->free;

	if (slot != 0) {
		t->free = t->slot[slot].next_free;
	} else {
		if (t->count == t->capacity && slots_grow(t) != 0)
			return -ENOMEM;
		slot = t->count++;
	}
	t->slot[slot].fd = f;
	f->slot = slot;
	return 0;
}

static void slot_give(struct anyc__fds *t, struct anyc__fd *f)
{
	struct anyc__slot_entry *s = &t->slot[f->slot];

	s->fd = NULL;
	s->generation++;
	s->next_free = t->free;
	t->free = f->slot;
	f->slot = 0;
	f->armed = 0;
}

static uint64_t slot_data(const struct anyc__fds *t, const struct anyc__fd *f)
{
	return (uint64_t)t->slot[f->slot].generation << 32 | f->slot;
}

static struct anyc__fd *slot_find(const struct anyc__fds *t, uint64_t data)
{
	uint32_t slot = (uint32_t)data;

#ifdef PLANT_STALE_EVENT
	if (slot < t->count)
		return t->slot[slot].fd;
#endif
	if (slot >= t->count || t->slot[slot].generation != (uint32_t)(data >> 32))
		return NULL;
	return t->slot[slot].fd;
}

/* ------------------------------------------------------------------------ waiting, waking */

static void wake(struct anyc__engine *e, struct anyc__fd *f, uint8_t directions, int result)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct anyc_task *t = f->waiting[i];

		if (t == NULL || (directions & 1U << i) == 0)
			continue;
		f->waiting[i] = NULL;
		e->fds.waiting--;
		anyc__unpark(t, result);
#ifdef PLANT_DROP_WAKEUP
		break;
#endif
	}
}

/* The wait by ppoll covers just the directions that are waited for. */
static void single_update(struct anyc__engine *e, struct anyc__fd *f)
{
	struct anyc__fds *t = &e->fds;

	if (t->single != f)
		return;
	t->single_directions = waited_for(f);
	if (t->single_directions != 0)
		return;
	t->single = NULL;
	f->engine = NULL;
}

/* ---------------------------------------------------------------------------- registering */

static uint32_t events_of(const struct anyc__fd *f, uint8_t directions)
{
	uint32_t events = 0;

	if (f->kind == ANYC__FD_BORROWED) {
		events = EPOLLONESHOT;
		if ((directions & ANYC__READ) != 0)
			events |= EPOLLIN | EPOLLRDHUP;
	} else {
		events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
	}
	if ((directions & ANYC__WRITE) != 0)
		events |= EPOLLOUT;
	return events;
}

/* The descriptor of anyc's own that has this number, or NULL.  Slow: for a conflict only. */
static const struct anyc__fd *owner_of(const struct anyc__fds *t, int fd)
{
	uint32_t i;

	for (i = 1; i < t->count; i++) {
		const struct anyc__fd *f = t->slot[i].fd;

		if (f != NULL && f->fd == fd && f->kind != ANYC__FD_BORROWED)
			return f;
	}
	return NULL;
}

/*
 * ADD found the file in the set.  It is a leftover under the same number, whose place is taken;
 * or one number is waited for in both ways, which one registration cannot serve.
 */
static int take_place(struct anyc__engine *e, struct anyc__fd *f, uint32_t events)
{
	struct anyc__fd *other;

	if (f->kind == ANYC__FD_BORROWED) {
		if (owner_of(&e->fds, f->fd) != NULL)
			return ANYC_EBUSY;
	} else {
		other = anyc__fd_borrowed(&e->fds, f->fd);
		if (other != NULL && other->slot != 0) {
			slot_give(&e->fds, other);
			wake(e, other, DIRECTIONS, ANYC_EBUSY);
		}
	}
	return anyc__poller_modify(e, f->fd, events, slot_data(&e->fds, f));
}

/* After a failure it is not registered, and nobody waits for it any more. */
static int add(struct anyc__engine *e, struct anyc__fd *f, uint8_t directions)
{
	uint32_t events = events_of(f, directions);
	int rc = f->slot != 0 ? 0 : slot_take(&e->fds, f);

	if (rc == 0)
		rc = anyc__poller_add(e, f->fd, events, slot_data(&e->fds, f));
	if (rc == -EEXIST)
		rc = take_place(e, f, events);
	if (rc == 0) {
		f->armed = directions;
		f->engine = e;
		return 0;
	}
	if (f->slot != 0)
		slot_give(&e->fds, f);
	if (rc == -EPERM) { /* a regular file: always ready, never in the set */
		f->ready = DIRECTIONS;
		rc = 0;
	}
	wake(e, f, DIRECTIONS, rc);
	return rc;
}

/* The file that was registered under this number may be gone, and the number another's. */
static int modify(struct anyc__engine *e, struct anyc__fd *f, uint8_t directions)
{
	int rc = anyc__poller_modify(e, f->fd, events_of(f, directions), slot_data(&e->fds, f));

	if (rc == -ENOENT)
		return add(e, f, directions);
	if (rc == 0)
		f->armed = directions;
	return rc;
}

/* Has the set watch for these directions and those it watches for already. */
static int watch(struct anyc__engine *e, struct anyc__fd *f, uint8_t directions)
{
	directions |= waited_for(f);
	if (f->kind != ANYC__FD_BORROWED) {
		directions |= ANYC__READ;
		if (f->kind == ANYC__FD_TCP)
			directions |= ANYC__WRITE;
	}
	if (f->slot != 0 && (f->armed & directions) == directions)
		return 0;
	return f->slot == 0 ? add(e, f, directions) : modify(e, f, f->armed | directions);
}

/* A second descriptor has to wait: from here on all are in the set. */
static int promote(struct anyc__engine *e)
{
	struct anyc__fd *first = e->fds.single;
	int rc = anyc__poller_open(e);

	if (rc != 0)
		return rc;
	e->fds.single = NULL;
	e->fds.single_directions = 0;
	first->engine = NULL;
	ANYC_IGNORE(watch(e, first, waited_for(first))); /* its waiters learn of a failure */
	return 0;
}

/* Has the engine notice when the direction becomes ready; or it is ready, in f->ready. */
static int prepare(struct anyc__engine *e, struct anyc__fd *f, enum anyc__direction d)
{
	struct anyc__fds *t = &e->fds;
	int rc;

	if (e->poller.epoll < 0) {
		if (t->single == NULL || t->single == f) {
			t->single = f;
			t->single_directions |= (uint8_t)d;
			f->engine = e;
			return 0;
		}
		rc = promote(e);
		if (rc != 0)
			return rc;
	}
	return watch(e, f, (uint8_t)d);
}

/* -------------------------------------------------------------------------------- waiting */

int anyc__fd_check(const struct anyc__fd *f, const struct anyc_task *t)
{
	int rc;

	if (anyc__fd_inherited(f))
		return anyc_fail(ANYC_EFORKED, 0, "descriptor %d was opened by the parent process; "
				 "a child may adopt listeners anew", f->fd);
	if (f->engine == NULL)
		return 0;
	rc = anyc__engine_check(f->engine);
	if (rc != 0)
		return rc;
	if (f->engine != anyc__task_engine(t))
		return anyc_fail(ANYC_ETHREAD, 0, "descriptor %d belongs to another event loop or "
				 "thread", f->fd);
	return 0;
}

ANYC__UNWATCHED int anyc__fd_elsewhere(const struct anyc__fd *f)
{
	const struct anyc__engine *e = f->engine;

	if (anyc__fd_inherited(f))
		return ANYC_EFORKED;
	if (e == NULL || e->gone || e->thread == anyc__thread_id())
		return 0;
	return e->tasks != 0 || waited_for(f) != 0 ? ANYC_ETHREAD : 0;
}

/* A cancellation ends the wait; a descriptor of the caller's is not left armed without need. */
static void wait_abort(struct anyc_task *t, void *arg)
{
	struct anyc__fd *f = arg;
	struct anyc__engine *e = anyc__task_engine(t);
	uint8_t left;

	if (f->waiting[0] != t && f->waiting[1] != t)
		return;
	f->waiting[f->waiting[0] == t ? 0 : 1] = NULL;
	e->fds.waiting--;
	single_update(e, f);
	if (f->kind != ANYC__FD_BORROWED || f->slot == 0 || anyc__fd_inherited(f))
		return;
	left = waited_for(f);
	if (left != 0) {
		ANYC_IGNORE(modify(e, f, left)); /* at worst one event too many comes */
		return;
	}
	anyc__poller_remove(e, f->fd);
	slot_give(&e->fds, f);
}

static int busy(const struct anyc__fd *f, enum anyc__direction d)
{
	return anyc_fail(ANYC_EBUSY, 0, "descriptor %d: another task waits to %s it", f->fd,
			 verb(d));
}

static int wait_for(struct anyc__fd *f, struct anyc_task *t, enum anyc__direction d, int64_t when,
		    const char *what)
{
	struct anyc__engine *e = anyc__task_engine(t);
	int rc;

	if (f->closed)
		return anyc_fail(ANYC_ECLOSED, 0, "the descriptor was closed on this side");
	rc = anyc__fd_check(f, t);
	if (rc != 0)
		return rc;
	if (f->waiting[index_of(d)] != NULL)
		return busy(f, d);
	if (anyc__fd_ready(f, d))
		return 0;
	rc = prepare(e, f, d);
	if (rc == ANYC_EBUSY)
		return anyc_fail(rc, 0,
				 "descriptor %d belongs to a stream or listener of this loop: "
				 "wait with that",
				 f->fd);
	if (rc != 0)
		return anyc_fail(rc, -rc, "cannot wait for descriptor %d: %s", f->fd,
				 anyc_strerror(rc));
	if (anyc__fd_ready(f, d)) { /* a regular file */
		anyc__yield(t);
		return 0;
	}
	f->waiting[index_of(d)] = t;
	e->fds.waiting++;
	if (when == ANYC_FOREVER)
		return anyc__park(t, wait_abort, f, what);
	return anyc__park_until(t, when, wait_abort, f, what);
}

int anyc__fd_wait(struct anyc__fd *f, struct anyc_task *t, enum anyc__direction d, const char *what)
{
	return wait_for(f, t, d, ANYC_FOREVER, what);
}

int anyc__fd_wait_until(struct anyc__fd *f, struct anyc_task *t, enum anyc__direction d,
			int64_t when, const char *what)
{
	return wait_for(f, t, d, when, what);
}

bool anyc__fds_waiting(const struct anyc__engine *e)
{
	return e->fds.waiting != 0;
}

/* --------------------------------------------------------------------------------- events */

static uint8_t directions_of(uint32_t events)
{
	uint8_t directions = 0;

	if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		directions |= ANYC__READ;
	if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
		directions |= ANYC__WRITE;
	return directions;
}

/* The event has disarmed it: a waiter that it does not concern needs it armed again. */
static void borrowed_event(struct anyc__engine *e, struct anyc__fd *f, uint8_t directions)
{
	uint8_t left;
	int rc;

	f->armed = 0;
	wake(e, f, directions, 0);
	left = waited_for(f);
	if (left == 0)
		return;
	rc = modify(e, f, left);
	if (rc != 0)
		wake(e, f, DIRECTIONS, rc);
}

static void owned_event(struct anyc__engine *e, struct anyc__fd *f, uint32_t events)
{
	uint8_t directions = directions_of(events);

#ifndef PLANT_SHORT_READ_TRUSTED
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0)
		f->ragged = true;
#endif
	f->ready |= directions;
	wake(e, f, directions, 0);
}

void anyc__fd_event(struct anyc__engine *e, uint64_t data, uint32_t events)
{
	struct anyc__fd *f = slot_find(&e->fds, data);

	if (f == NULL)
		return;
	if (f->kind == ANYC__FD_BORROWED)
		borrowed_event(e, f, directions_of(events));
	else
		owned_event(e, f, events);
}

void anyc__fd_single_event(struct anyc__engine *e, uint32_t events)
{
	struct anyc__fd *f = e->fds.single;

	if (f == NULL)
		return;
	if ((events & POLLNVAL) != 0)
		wake(e, f, DIRECTIONS, -EBADF);
	else if (f->kind == ANYC__FD_BORROWED)
		wake(e, f, directions_of(events), 0);
	else
		owned_event(e, f, events);
	single_update(e, f);
}

/* -------------------------------------------------------------------------------- closing */

/* Ends its life here; the number, or -1 if that was done before. */
static int detach(struct anyc__fd *f)
{
	struct anyc__engine *e = f->engine;
	int fd = f->fd;

	if (f->closed)
		return -1;
	f->closed = true;
	f->fd = -1;
	if (e == NULL || anyc__fd_inherited(f))
		return fd;
	if (f->slot != 0) {
		anyc__poller_remove(e, fd);
		slot_give(&e->fds, f);
	}
	wake(e, f, DIRECTIONS, ANYC_ECLOSED);
	single_update(e, f);
	f->engine = NULL;
	return fd;
}

void anyc__fd_close(struct anyc__fd *f)
{
	int saved = errno;
	int fd = detach(f);

	if (fd >= 0)
		close(fd);
	errno = saved;
}

int anyc__fd_release(struct anyc__fd *f)
{
	return detach(f);
}

/* What is left is nobody's, and may be used by another engine: last of all it says so. */
static void forget(struct anyc__fd *f)
{
	f->slot = 0;
	f->armed = 0;
	f->ready = DIRECTIONS;
	__atomic_store_n(&f->engine, NULL, __ATOMIC_RELEASE);
}

int anyc__fd_let_go(struct anyc__fd *f)
{
	struct anyc__engine *e = f->engine;

	if (waited_for(f) != 0)
		return ANYC_EBUSY;
	if (e == NULL)
		return 0;
	if (f->slot != 0) {
		anyc__poller_remove(e, f->fd);
		slot_give(&e->fds, f);
	}
	forget(f);
	return 0;
}

/*
 * The engine ends, and no task waits any more; it is on the list of engines still (move.c).  In a
 * forked child the descriptors are left alone: their owners may have freed them, and nobody will
 * look at their engine.
 */
void anyc__fds_fini(struct anyc__engine *e)
{
	bool forked = e->fork_generation != anyc__fork_generation();
	struct anyc__fds *t = &e->fds;
	uint32_t i;

	if (!forked && t->single != NULL)
		forget(t->single);
	for (i = 1; !forked && i < t->count; i++)
		if (t->slot[i].fd != NULL)
			forget(t->slot[i].fd);
	anyc__fds_fini_borrowed(t);
	anyc__free(t->slot);
	memset(t, 0, sizeof *t);
}

/* ------------------------------------------------------------------------------- wake-ups */

void anyc__wake_watch_add(struct anyc__engine *e, struct anyc__wake_watch *w)
{
	w->next = e->wake_watches;
	e->wake_watches = w;
}

void anyc__wake_watch_remove(struct anyc__engine *e, struct anyc__wake_watch *w)
{
	struct anyc__wake_watch **at = &e->wake_watches;

	while (*at != NULL && *at != w)
		at = &(*at)->next;
	if (*at != NULL)
		*at = w->next;
}

int anyc__wake_fd(const struct anyc__engine *e)
{
	return e->poller.event;
}

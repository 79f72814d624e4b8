/* SPDX-License-Identifier: MIT */
/*
 * The timers of an engine: a 4-ary heap of {time, timer}, earliest first.  Knows no system call.
 *
 * Rules
 *  - A timer knows its place (from 1), so that it can be moved or taken out in O(log n); 0 means
 *    that it is not in the heap.  The time is kept in the heap alone: comparing touches no timer.
 *  - The last entry may be out of order: a timer is set by putting it there, and sinks in only
 *    when the next one comes.  So a deadline that is set and soon taken out costs next to nothing,
 *    however many others there are.  The earliest is the first or the last.
 *  - Taking a timer out never re-arms the timerfd: it then fires once too early, which costs one
 *    turn in which nothing is due.
 *  - A thread arms the timerfd before it blocks, and a turn as it begins and ends.  In a loop's
 *    engine a timer that becomes the earliest is armed as it is set, too: from a host callback
 *    nobody else does, and inside a turn the next task may run the host's loop, which blocks.
 *    That costs no system call for each: what is armed stays armed when it is taken out, so the
 *    next ones of the same length find an earlier one, and the turn's end has nothing to do.
 */
#include <errno.h>

#include "engine.h"

#define ARITY 4

static void put(struct anyc__timers *h, size_t i, struct anyc__timer_entry x)
{
	h->entry[i] = x;
	x.timer->place_ = i + 1;
}

/* Moves the hole at i towards the root until x fits in. */
static void sift_up(struct anyc__timers *h, size_t i, struct anyc__timer_entry x)
{
	while (i > 0) {
		size_t parent = (i - 1) / ARITY;

		if (h->entry[parent].when <= x.when)
			break;
		put(h, i, h->entry[parent]);
		i = parent;
	}
	put(h, i, x);
}

static size_t earliest_child(const struct anyc__timers *h, size_t i)
{
	size_t child = ARITY * i + 1;
	size_t end = child + ARITY < h->count ? child + ARITY : h->count;
	size_t best = child;

	for (; child < end; child++)
		if (h->entry[child].when < h->entry[best].when)
			best = child;
	return best; /* >= count: it has none */
}

static void sift_down(struct anyc__timers *h, size_t i, struct anyc__timer_entry x)
{
	for (;;) {
		size_t child = earliest_child(h, i);

		if (child >= h->count || h->entry[child].when >= x.when)
			break;
		put(h, i, h->entry[child]);
		i = child;
	}
	put(h, i, x);
}

/* Puts x where entry i was. */
static void settle(struct anyc__timers *h, size_t i, struct anyc__timer_entry x)
{
	if (i > 0 && x.when < h->entry[(i - 1) / ARITY].when)
		sift_up(h, i, x);
	else
		sift_down(h, i, x);
}

/* Lets the last entry sink in.  Whatever moves other entries does this first. */
static void settle_last(struct anyc__timers *h)
{
	size_t i = h->count - 1;

	if (h->count > 1 && h->entry[i].when < h->entry[(i - 1) / ARITY].when)
		sift_up(h, i, h->entry[i]);
}

static int grow(struct anyc__timers *h)
{
	size_t capacity = h->capacity == 0 ? 16 : h->capacity * 2;
	struct anyc__timer_entry *entry = anyc__resize(h->entry, capacity * sizeof *entry);

	if (entry == NULL)
		return -ENOMEM;
	h->entry = entry;
	h->capacity = capacity;
	return 0;
}

int anyc__timer_set(struct anyc__engine *e, struct anyc_timer_ *t, int64_t when)
{
	struct anyc__timers *h = &e->timers;
	struct anyc__timer_entry x = { when, t };

	if (t->place_ == 0 && h->count == h->capacity && grow(h) != 0)
		return -ENOMEM;
	settle_last(h);
	if (t->place_ != 0)
		settle(h, t->place_ - 1, x);
	else
		put(h, h->count++, x);
	if (when == anyc__timers_next(h) && e->entry != NULL)
		anyc__poller_arm(e);
	return 0;
}

void anyc__timer_unset(struct anyc__engine *e, struct anyc_timer_ *t)
{
	struct anyc__timers *h = &e->timers;
	size_t i = t->place_;

	if (i == 0)
		return;
	t->place_ = 0;
	if (--h->count > i - 1)
		settle(h, i - 1, h->entry[h->count]);
}

/*
 * At most as many as there were at the start: a timer that sets itself to the past again fires in
 * the next turn, and does not keep this one from ending.
 */
void anyc__timers_run(struct anyc__engine *e)
{
	struct anyc__timers *h = &e->timers;
	size_t left = h->count;
	int64_t now;

	if (left == 0)
		return;
	now = anyc__now(e);
	settle_last(h);
	while (left-- > 0 && h->count > 0 && h->entry[0].when <= now) {
		struct anyc_timer_ *t = h->entry[0].timer;

		anyc__timer_unset(e, t);
		t->fire_(t);
		settle_last(h);
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * What will happen: a pairing heap by time and, at one time, by the order in which it was set.
 * It lies in the events themselves, so that nothing here can fail.
 *
 * Rules
 *  - `before` of the first in a list is the event above; of the root it is NULL.
 *  - An event is out of the heap before it happens, and may set itself again.
 *  - What is set while others happen waits for the next time: an event that sets itself to now does
 *    not keep the tasks from running.
 */
#include "sim.h"

typedef struct anyc__sim_event event;

static bool is_earlier(const event *a, const event *b)
{
	return a->when < b->when || (a->when == b->when && a->order < b->order);
}

/* Two heaps become one; their roots are in no list. */
static event *join(event *a, event *b)
{
	event *top, *low;

	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	top = is_earlier(b, a) ? b : a;
	low = top == a ? b : a;
	low->next = top->below;
	if (low->next != NULL)
		low->next->before = low;
	low->before = top;
	top->below = low;
	return top;
}

static event *cut(event *e)
{
	e->next = NULL;
	e->before = NULL;
	return e;
}

/* The list becomes a heap: in pairs from the left, and those from the right. */
static event *join_list(event *list)
{
	event *pairs = NULL, *all = NULL, *a, *b, *rest;

	for (; list != NULL; list = rest) {
		a = list;
		b = a->next;
		rest = b != NULL ? b->next : NULL;
		a = join(cut(a), b != NULL ? cut(b) : NULL);
		a->next = pairs;
		pairs = a;
	}
	for (; pairs != NULL; pairs = rest) {
		rest = pairs->next;
		all = join(all, cut(pairs));
	}
	return all;
}

void anyc__sim_event_set(struct anyc_sim *sim, event *e, int64_t when)
{
	e->when = when > sim->now ? when : sim->now;
	e->order = ++sim->order;
	e->set = true;
	e->below = NULL;
	sim->events = join(sim->events, cut(e));
}

void anyc__sim_event_unset(struct anyc_sim *sim, event *e)
{
	event *below = e->below;

	if (!e->set)
		return;
	e->set = false;
	e->below = NULL;
	if (e->before == NULL) {
		sim->events = join_list(below);
		return;
	}
	if (e->before->below == e)
		e->before->below = e->next;
	else
		e->before->next = e->next;
	if (e->next != NULL)
		e->next->before = e->before;
	cut(e);
	sim->events = join(sim->events, join_list(below));
}

int64_t anyc__sim_events_next(const struct anyc_sim *sim)
{
	return sim->events != NULL ? sim->events->when : ANYC_FOREVER;
}

bool anyc__sim_events_happen(struct anyc_sim *sim)
{
	uint64_t last = sim->order;
	bool any = false;
	event *e;

	while ((e = sim->events) != NULL && e->when <= sim->now && e->order <= last) {
		anyc__sim_event_unset(sim, e);
		any = true;
		e->happen(e);
	}
	return any;
}

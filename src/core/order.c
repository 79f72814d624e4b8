/* SPDX-License-Identifier: MIT */
/*
 * The order in which ready tasks run, for tests: drawn by lot, or chosen one by one, and told to
 * whoever looks on.
 *
 * Rules
 *  - An engine without either is told so by one word, `probes`, beside the ready queue's ends.
 *  - A batch is what was ready when the batch before it had run.  What becomes ready meanwhile
 *    joins the next one, so that every task of a batch runs once, and none starves.
 *  - A batch is shuffled by halves that are merged, the next task coming from either side by what
 *    is left there: every order is equally likely, and it needs no memory.
 *  - Callbacks are not shuffled: posts run in the order they were posted.
 */
#include "engine.h"

#include <anyc/fault.h>
#include <anyc/testing.h>

/* What engines begin with.  0: no shuffling. */
static _Atomic(uint64_t) process_seed;

/* splitmix64. */
static uint64_t draw(uint64_t *lot)
{
	uint64_t z = *lot += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Takes count tasks off the list and gives them back in a new order, ended by NULL. */
static struct anyc_task *mix(struct anyc_task **list, size_t count, uint64_t *lot)
{
	struct anyc_task *first = *list, **end = &first;
	struct anyc_task *half[2];
	size_t left[2] = { count / 2, count - count / 2 };

	if (count == 1) {
		*list = first->next_ready;
		first->next_ready = NULL;
		return first;
	}
	half[0] = mix(list, left[0], lot);
	half[1] = mix(list, left[1], lot);
	for (; count > 0; count--) {
		unsigned from = draw(lot) % count < left[0] ? 0 : 1;

		*end = half[from];
		end = &half[from]->next_ready;
		half[from] = *end;
		left[from]--;
	}
	*end = NULL;
	return first;
}

static void begin_batch(struct anyc__engine *e)
{
	struct anyc_task *t = e->ready_first;
	size_t count = 0;

	for (; t != NULL; t = t->next_ready)
		count++;
	e->order.batch = count;
	t = e->ready_first;
	e->ready_first = mix(&t, count, &e->order.lot);
	for (t = e->ready_first; t->next_ready != NULL; t = t->next_ready)
		;
	e->ready_last = t;
}

/* Of the whole process. */
static anyc_fault_order_fn *choose;
static void *choose_arg;

static void put_first(struct anyc__engine *e, size_t place)
{
	struct anyc_task *t = e->ready_first, *before = NULL;

	for (; place > 0; place--) {
		before = t;
		t = t->next_ready;
	}
	if (before == NULL)
		return;
	before->next_ready = t->next_ready;
	if (e->ready_last == t)
		e->ready_last = before;
	t->next_ready = e->ready_first;
	e->ready_first = t;
}

static void ask_for_next(struct anyc__engine *e)
{
	const struct anyc_task *t;
	size_t count = 0;

	for (t = e->ready_first; t != NULL; t = t->next_ready)
		count++;
	if (count > 1 && choose != NULL)
		put_first(e, choose(choose_arg, count) % count);
}

void anyc__order_next(struct anyc__engine *e)
{
	const struct anyc_task *t;

	if ((e->probes & ANYC__PROBE_CHOOSE) != 0) {
		ask_for_next(e);
	} else if ((e->probes & ANYC__PROBE_SHUFFLE) != 0) {
		if (e->order.batch == 0)
			begin_batch(e);
		e->order.batch--;
	}
	t = e->ready_first;
	if ((e->probes & ANYC__PROBE_OBSERVE) != 0)
		e->order.observe(e->order.observe_arg, t->name, t->number);
}

void anyc__order_shuffle(struct anyc__engine *e, uint64_t seed)
{
	e->order.lot = seed;
	e->order.batch = 0;
	e->probes &= ~ANYC__PROBE_SHUFFLE;
	if (seed != 0)
		e->probes |= ANYC__PROBE_SHUFFLE;
}

void anyc__order_observe(struct anyc__engine *e, anyc_observe_fn *fn, void *arg)
{
	e->order.observe = fn;
	e->order.observe_arg = arg;
	e->probes &= ~ANYC__PROBE_OBSERVE;
	if (fn != NULL)
		e->probes |= ANYC__PROBE_OBSERVE;
}

static void take_choices(struct anyc__engine *e)
{
	e->probes &= ~ANYC__PROBE_CHOOSE;
	if (choose != NULL)
		e->probes |= ANYC__PROBE_CHOOSE;
}

void anyc_fault_order_hook(anyc_fault_order_fn *fn, void *arg)
{
	struct anyc__engine *e = anyc__current_engine();

	choose = fn;
	choose_arg = arg;
	if (e != NULL)
		take_choices(e);
}

void anyc__order_init(struct anyc__engine *e)
{
	take_choices(e);
	anyc__order_shuffle(e, atomic_load_explicit(&process_seed, memory_order_relaxed));
}

void anyc_test_shuffle(uint64_t seed)
{
	struct anyc__engine *e = anyc__current_engine();

	atomic_store_explicit(&process_seed, seed, memory_order_relaxed);
	if (e != NULL)
		anyc__order_shuffle(e, seed);
}

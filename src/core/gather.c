/* SPDX-License-Identifier: MIT */
/*
 * Many calls at once: gather, map and race, over a group of their own.
 *
 * Rules
 *  - Each call is a task of the group.  What it returned is noted at its end, before anybody else
 *    runs, and decides there what becomes of the others; the group itself lists nothing.
 *  - The first error's sentence waits here for the host: nothing is allocated but stacks.
 *  - Only the host spawns, so that every call inherits what is the host's.  Under a limit it waits
 *    for a place in between, and stops when the rest is not wanted any more.
 */
#include "engine.h"

struct gather {
	struct anyc_group group;
	struct anyc_task *host;
	size_t count, limit, running, stack_size;
	void *site;
	bool host_waits; /* for a place */
	bool race;

	struct anyc_call *calls; /* or, for a map, NULL and these: */
	anyc_task_fn *fn;
	char *items;
	size_t item_size;
	int *results;
	const char *name;

	bool won;
	size_t winner;
	int result, first_error;
	struct anyc__slot slot; /* the first error's sentence */
};

/* A task's private copy. */
struct piece {
	struct gather *gather;
	size_t index;
};

static void note(struct gather *g, size_t i, int rc)
{
	if (g->calls != NULL)
		g->calls[i].rc = rc;
	else if (g->results != NULL)
		g->results[i] = rc;
}

/* ---------------------------------------------------------------------------- in the tasks */

static void failed(struct gather *g, int rc)
{
	const struct anyc__slot *slot = anyc__slot();

	if (g->first_error == 0) {
		g->first_error = rc;
		if (slot != NULL && slot->rc == rc)
			anyc__slot_copy(&g->slot, slot);
	}
	if (!g->race)
		anyc__scope_cancel(&g->group.scope_, ANYC_CAUSE_ERROR,
				   "another of the gathered calls failed");
}

static void succeeded(struct gather *g, size_t i, int rc)
{
	if (!g->race || g->won)
		return;
	g->won = true;
	g->winner = i;
	g->result = rc;
	anyc__scope_cancel(&g->group.scope_, ANYC_CAUSE_CANCEL, "another call won the race");
}

static int call(void *arg)
{
	const struct piece *p = arg;
	struct gather *g = p->gather;
	const struct anyc_call *c = g->calls != NULL ? &g->calls[p->index] : NULL;
	int rc = c != NULL ? c->fn(c->arg) : g->fn(g->items + p->index * g->item_size);

	note(g, p->index, rc == ANYC_ECANCELED ? ANYC_ETASKCANCELED : rc);
	if (rc >= 0)
		succeeded(g, p->index, rc);
	else if (rc != ANYC_ECANCELED)
		failed(g, rc);
	else if (!g->group.scope_.effective_)
		failed(g, ANYC_ETASKCANCELED);
	g->running--;
	if (g->host_waits)
		anyc__unpark(g->host, 0);
	return rc;
}

/* ----------------------------------------------------------------------------- in the host */

static void stop_waiting(struct anyc_task *t, void *arg)
{
	(void)t;
	(void)arg;
}

/* 0; ANYC_ECANCELED, or why it cannot wait. */
static int wait_for_place(struct gather *g)
{
	int rc = 0;

	g->host_waits = true;
	while (rc == 0 && g->running == g->limit)
		rc = anyc__park(g->host, stop_waiting, NULL, "one of the gathered calls to end");
	g->host_waits = false;
	/* What made the place may have made the rest pointless. */
	return rc == 0 && g->group.scope_.effective_ ? ANYC_ECANCELED : rc;
}

static int begin(struct gather *g, size_t i)
{
	const char *name = g->calls != NULL ? g->calls[i].name : g->name;
	struct piece p = {g, i};
	struct anyc__task_spec spec = {.fn = call,
				       .copy = &p,
				       .copy_size = sizeof p,
				       .name = name != NULL ? name : "call",
				       .stack_size = g->stack_size,
				       .site = g->site};
	int rc = anyc__group_spawn(&g->group, &spec, NULL);

	if (rc == 0)
		g->running++;
	return rc;
}

/* Begins all calls; ANYC_ECANCELED: some were not. */
static int begin_all(struct gather *g)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < g->count && rc == 0; i++) {
		if (g->running == g->limit)
			rc = wait_for_place(g);
		if (rc != 0)
			break;
		rc = begin(g, i);
		if (rc == 0)
			continue;
		note(g, i, rc);
		failed(g, rc);
		/* In a race the others are still in it. */
		rc = g->race ? 0 : ANYC_ECANCELED;
	}
	if (rc == 0 || rc == ANYC_ECANCELED)
		return rc;
	failed(g, rc);
	anyc__scope_cancel(&g->group.scope_, ANYC_CAUSE_ERROR, "the caller cannot wait");
	return ANYC_ECANCELED;
}

static int first_error(const struct gather *g)
{
	if (g->slot.rc == g->first_error)
		anyc__slot_copy(anyc__slot(), &g->slot);
	return g->first_error;
}

/* What comes out, the group's leave having returned rc. */
static int outcome(const struct gather *g, int rc)
{
	if (g->won)
		return g->result;
	/* A race that was called off is not lost, unless there was nobody to call off. */
	if (g->first_error == 0 || (g->race && rc < 0))
		return rc;
	return first_error(g);
}

static int run(struct gather *g)
{
	size_t i;
	int rc = anyc__enter(&g->host);

	if (rc != 0)
		return rc;
	if (g->count == 0) {
		anyc__yield(g->host);
		return 0;
	}
	for (i = 0; i < g->count; i++)
		note(g, i, ANYC_ETASKCANCELED);
	anyc_group_enter_sized(&g->group, NULL, 0);
	g->group.on_error_ = ANYC__GROUP_UNLISTED;
	g->group.scope_.site_ = g->site;
	rc = begin_all(g);
	return outcome(g, anyc_group_leave(&g->group, rc));
}

/* -------------------------------------------------------------------------------- the calls */

static void options_read(struct gather *g, const struct anyc_gather_options *options, size_t size)
{
	struct anyc_gather_options o;

	anyc__options_read(&o, sizeof o, options, size);
	g->limit = o.limit != 0 ? o.limit : SIZE_MAX;
	g->stack_size = o.stack_size;
}

int anyc__calls_check(const struct anyc_call *calls, size_t count, const char *what)
{
	size_t i;

	if (calls == NULL && count != 0)
		return anyc_fail(ANYC_EINVAL, 0, "%s: there are no calls at NULL", what);
	for (i = 0; i < count; i++)
		if (calls[i].fn == NULL)
			return anyc_fail(ANYC_EINVAL, 0, "%s: call %zu has no function", what, i);
	return 0;
}

int anyc_gather_sized(struct anyc_call *calls, size_t count,
		      const struct anyc_gather_options *options, size_t size)
{
	struct gather g = {
		.calls = calls, .count = count, .site = __builtin_return_address(0)};
	int rc = anyc__calls_check(calls, count, "anyc_gather");

	options_read(&g, options, size);
	return rc != 0 ? rc : run(&g);
}

int anyc_map_named(int *results, anyc_task_fn *fn, void *items, size_t count, size_t item_size,
		   const struct anyc_gather_options *options, size_t size, const char *name)
{
	struct gather g = {.fn = fn,
			   .items = items,
			   .item_size = item_size,
			   .results = results,
			   .count = count,
			   .name = name,
			   .site = __builtin_return_address(0)};

	if (fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_map needs a function");
	if (count != 0 && (items == NULL || item_size == 0 || count > SIZE_MAX / item_size))
		return anyc_fail(ANYC_EINVAL, 0, "anyc_map: %zu items of %zu bytes at %p cannot be",
				 count, item_size, items);
	options_read(&g, options, size);
	return run(&g);
}

int anyc_race_sized(size_t *winner, struct anyc_call *calls, size_t count,
		    const struct anyc_gather_options *options, size_t size)
{
	struct gather g = {
		.calls = calls, .count = count, .race = true, .site = __builtin_return_address(0)};
	int rc = anyc__calls_check(calls, count, "anyc_race");

	if (winner != NULL)
		*winner = 0;
	if (rc == 0 && count == 0)
		rc = anyc_fail(ANYC_EINVAL, 0, "anyc_race: nobody takes part");
	if (rc != 0)
		return rc;
	options_read(&g, options, size);
	rc = run(&g);
	if (g.won && winner != NULL)
		*winner = g.winner;
	return rc;
}

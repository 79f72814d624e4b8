/* SPDX-License-Identifier: MIT */
/*
 * Values of tasks and of runs: small tables of key and value.
 *
 * Rules
 *  - A task's table is shared with those it has spawned, counted, and copied by whoever first
 *    changes it: a spawn costs a pointer, and a task without values nothing.
 *  - A value that is not inherited belongs to the task whose id its binding carries; nobody else
 *    who has the table sees it.  It is taken out when that task ends, or copies the table.
 *  - A value with a destructor is counted by the tables that hold it, and destroyed when none
 *    does any more.
 *  - Destructors run outside of tasks, when the table is in order again; in a forked child none
 *    does.
 */
#include <anyc/local.h>

#include "engine.h"

/* A value that has a destructor: how many bindings hold it. */
struct counted {
	size_t references;
};

struct binding {
	const void *key; /* NULL: taken out */
	void *value;
	struct counted *counted;
	uint64_t owner; /* the task that alone has it; 0: inherited; or NOT_SET */
};

struct anyc__locals {
	size_t references; /* tasks */
	size_t count, capacity;
	struct binding binding[];
};

#define FIRST_CAPACITY 4
/* A run's variable that was reset and is without a value: it keeps its place, so that another
 * reset needs no memory. */
#define NOT_SET UINT64_MAX

/* ---------------------------------------------------------------------------------- tables */

static struct binding *find(struct anyc__locals *l, const void *key, uint64_t task)
{
	size_t i;

	for (i = 0; l != NULL && i < l->count; i++) {
		struct binding *b = &l->binding[i];

		if (b->key == key && (b->owner == 0 || b->owner == task))
			return b;
	}
	return NULL;
}

/* The same for a table that may be changed: room for one more binding.  NULL: no memory. */
static struct anyc__locals *with_room(struct anyc__locals *l)
{
	size_t capacity = l != NULL ? 2 * l->capacity : FIRST_CAPACITY;
	struct anyc__locals *grown;

	if (l != NULL && l->count < l->capacity)
		return l;
	grown = anyc__resize(l, sizeof *l + capacity * sizeof *l->binding);
	if (grown == NULL)
		return NULL;
	if (l == NULL) {
		grown->references = 1;
		grown->count = 0;
	}
	grown->capacity = capacity;
	return grown;
}

/* A place for a new binding: one that was taken out, or the next. */
static struct binding *new_place(struct anyc__locals *l)
{
	struct binding *b = find(l, NULL, 0);

	return b != NULL ? b : &l->binding[l->count++];
}

/* By a forked child: what the values stand for is the parent's. */
static bool was_inherited(const struct anyc__engine *e)
{
	return e->fork_generation != anyc__fork_generation();
}

/* ------------------------------------------------------------------------- a task's table */

static void destroy(struct anyc__engine *e, const struct binding *b)
{
	const struct anyc_local *key = b->key;
	struct anyc__aside was;

	if (b->counted == NULL || --b->counted->references > 0)
		return;
	anyc__free(b->counted);
	if (was_inherited(e))
		return;
	anyc__step_aside(e, &was);
	key->destroy(b->value);
	anyc__step_back(e, &was);
}

/* A table of t's own, with what t sees of the one that it shares.  NULL: no memory. */
static struct anyc__locals *copy(struct anyc_task *t)
{
	struct anyc__locals *from = t->locals, *to;
	size_t i;

	to = anyc__alloc(sizeof *to + from->capacity * sizeof *to->binding);
	if (to == NULL)
		return NULL;
	to->references = 1;
	to->capacity = from->capacity;
	for (i = 0; i < from->count; i++) {
		struct binding *b = &from->binding[i];

		if (b->key == NULL || (b->owner != 0 && b->owner != t->id))
			continue;
		to->binding[to->count++] = *b;
		if (b->owner != 0)
			*b = (struct binding){0};
		else if (b->counted != NULL)
			b->counted->references++;
	}
	from->references--;
	return to;
}

/* A table of the task's own with room for one more binding.  -ENOMEM */
static int own_table(struct anyc_task *t)
{
	struct anyc__locals *l = t->locals;

	if (l != NULL && l->references > 1) {
		l = copy(t);
		if (l == NULL)
			return -ENOMEM;
		t->locals = l;
	}
	l = with_room(l);
	if (l == NULL)
		return -ENOMEM;
	t->locals = l;
	return 0;
}

void anyc__locals_inherit(struct anyc_task *t)
{
	const struct anyc_task *spawner = anyc__thread.task;

	if (spawner == NULL || spawner->locals == NULL || spawner->engine != t->engine)
		return;
	t->locals = spawner->locals;
	t->locals->references++;
}

void anyc__locals_end(struct anyc_task *t)
{
	struct anyc__locals *l = t->locals;
	bool last = l != NULL && l->references == 1;
	size_t i;

	t->locals = NULL;
	for (i = 0; l != NULL && i < l->count; i++) {
		struct binding b = l->binding[i];

		if (b.key == NULL || (!last && b.owner != t->id))
			continue;
		l->binding[i] = (struct binding){0};
		destroy(t->engine, &b);
	}
	if (last)
		anyc__free(l);
	else if (l != NULL)
		l->references--;
}

void *anyc_local_get(const struct anyc_local *key)
{
	const struct anyc_task *t = anyc__current();
	const struct binding *b = t != NULL && key != NULL ? find(t->locals, key, t->id) : NULL;

	return b != NULL ? b->value : key != NULL ? key->initial : NULL;
}

static int no_memory(const char *name)
{
	return anyc_fail(-ENOMEM, ENOMEM, "no memory to set %s", name != NULL ? name : "a local");
}

int anyc_local_set(const struct anyc_local *key, void *value)
{
	struct counted *counted = NULL;
	struct anyc_task *t;
	struct binding *b, old = {0};
	int rc = anyc__enter_uncancelled(&t);

	if (rc != 0)
		return rc;
	if (key == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_local_set needs a key");
	b = find(t->locals, key, t->id);
	if (b != NULL && b->value == value)
		return 0;
	if (key->destroy != NULL) {
		counted = anyc__alloc(sizeof *counted);
		if (counted == NULL)
			return no_memory(key->name);
		counted->references = 1;
	}
	if (own_table(t) != 0) {
		anyc__free(counted);
		return no_memory(key->name);
	}
	b = find(t->locals, key, t->id);
	if (b != NULL)
		old = *b;
	else
		b = new_place(t->locals);
	*b = (struct binding){key, value, counted, key->not_inherited ? t->id : 0};
	destroy(t->engine, &old);
	return 0;
}

/* ----------------------------------------------------------------------- run variables */

void *anyc_runvar_get(const struct anyc_runvar *var)
{
	const struct anyc__engine *e = anyc__current_engine();
	const struct binding *b = e != NULL && var != NULL ? find(e->runvars, var, 0) : NULL;

	return b != NULL ? b->value : var != NULL ? var->initial : NULL;
}

/* The engine whose run it is; in a plain thread it is made. */
static int current_run(struct anyc__engine **e)
{
	struct anyc_task *t;
	int rc;

	*e = anyc__current_engine();
	if (*e != NULL)
		return anyc__engine_check(*e);
	rc = anyc__enter_uncancelled(&t);
	if (rc == 0)
		*e = t->engine;
	return rc;
}

int anyc_runvar_set(struct anyc_runvar_token *token, const struct anyc_runvar *var, void *value)
{
	struct anyc__engine *e;
	struct anyc__locals *l;
	struct binding *b;
	int rc;

	if (token != NULL)
		memset(token, 0, sizeof *token);
	if (var == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_runvar_set needs a variable");
	rc = current_run(&e);
	if (rc != 0)
		return rc;
	l = with_room(e->runvars);
	if (l == NULL)
		return no_memory(var->name);
	e->runvars = l;
	b = find(l, var, NOT_SET);
	if (b == NULL) {
		b = &l->binding[l->count++];
		*b = (struct binding){.key = var, .owner = NOT_SET};
	}
	if (token != NULL)
		*token = (struct anyc_runvar_token){.var_ = var,
						    .old_ = b->value,
						    .engine_ = e->id,
						    .had_ = b->owner != NOT_SET};
	*b = (struct binding){.key = var, .value = value};
	return 0;
}

int anyc_runvar_reset(const struct anyc_runvar *var, struct anyc_runvar_token *token)
{
	struct anyc__engine *e = anyc__current_engine();
	struct anyc_runvar_token old;
	struct binding *b;

	if (var == NULL || token == NULL || token->var_ == NULL || e == NULL)
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_runvar_reset: the token was used already, or is none");
	if (token->var_ != var)
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_runvar_reset: the token is of another variable");
	if (token->engine_ != e->id)
		return anyc__misuse(ANYC_EMISUSE, "anyc_runvar_reset: the token is of another run");
	old = *token;
	memset(token, 0, sizeof *token);
	b = find(e->runvars, var, NOT_SET);
	b->value = old.old_;
	b->owner = old.had_ ? 0 : NOT_SET;
	return 0;
}

void anyc__runvars_end(struct anyc__engine *e)
{
	struct anyc__locals *l = e->runvars;
	struct anyc__aside was;
	size_t i;

	e->runvars = NULL;
	if (l == NULL)
		return;
	anyc__step_aside(e, &was);
	for (i = 0; i < l->count && !was_inherited(e); i++) {
		const struct binding *b = &l->binding[i];
		const struct anyc_runvar *var = b->key;

		if (b->owner != NOT_SET && var->destroy != NULL)
			var->destroy(b->value);
	}
	anyc__step_back(e, &was);
	anyc__free(l);
}

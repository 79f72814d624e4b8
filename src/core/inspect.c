/* SPDX-License-Identifier: MIT */
/*
 * Looking inside: the tree of tasks, figures, and probes; dump.c makes text of it.
 *
 * Rules
 *  - Code of the user's runs here outside of tasks: what waits is refused there, and what spawns is
 *    refused by engine->in_probe.  So no task begins, ends or moves while the tree is walked.
 *  - Nothing is counted or timed for this file but turns and switches; what can be found by
 *    looking is looked for when somebody asks.
 */
#include "engine.h"

/* ----------------------------------------------------------------------------- who is asked */

int anyc__inspected(struct anyc__engine **out, struct anyc_loop *loop, const char *what)
{
	struct anyc_task *t;
	int rc;

	*out = loop != NULL ? &loop->engine : anyc__current_engine();
	if (*out == NULL) {
		rc = anyc__enter_uncancelled(&t);
		if (rc != 0)
			return rc;
		*out = t->engine;
	}
	if ((*out)->fork_generation != anyc__fork_generation())
		return anyc_fail(ANYC_EFORKED, 0, "%s: the loop belongs to the parent process",
				 what);
	if ((*out)->thread != anyc__thread_id())
		return anyc__misuse(ANYC_ETHREAD,
				    "%s: the loop belongs to another thread; post to it with "
				    "anyc_token_post()",
				    what);
	return 0;
}

void anyc__step_aside(struct anyc__engine *e, struct anyc__aside *was)
{
	*was = (struct anyc__aside){anyc__thread.task, anyc__thread.names, e->aside, e->in_probe};
	if (anyc__thread.task != NULL)
		e->aside = anyc__thread.task;
	anyc__thread.task = NULL;
	anyc__thread.names = NULL;
	e->in_probe = true;
}

void anyc__step_back(struct anyc__engine *e, const struct anyc__aside *was)
{
	e->in_probe = was->in_probe;
	e->aside = was->aside;
	anyc__thread.task = was->task;
	anyc__thread.names = was->names;
}

int anyc__refuse_in_probe(const struct anyc__engine *e, const char *what)
{
	if (!e->in_probe)
		return 0;
	return anyc__misuse(ANYC_EMISUSE, "%s inside a probe, or a callback that is shown tasks",
			    what);
}

/* ---------------------------------------------------------------------------------- the tree */

struct anyc_task *anyc__tasks_first(struct anyc__engine *e)
{
	return e->entry != NULL ? e->roots
				: &ANYC__CONTAINER(e, struct anyc__plain, engine)->root;
}

/* The first task of the groups that are this scope or, of the same task, inside it. */
static struct anyc_task *first_in(const struct anyc_scope *s)
{
	for (; s != NULL; s = s->inner_)
		if (s->group_ != NULL && s->group_->first_ != NULL)
			return s->group_->first_;
	return NULL;
}

struct anyc_task *anyc__tasks_next(const struct anyc_task *t, int *depth)
{
	struct anyc_task *next = first_in(&t->base);

	if (next != NULL) {
		++*depth;
		return next;
	}
	while (t->next == NULL && t->group != NULL) {
		next = first_in(t->group->scope_.inner_);
		if (next != NULL)
			return next;
		t = t->group->scope_.task_;
		--*depth;
	}
	return t->next;
}

static uint64_t parent_of(const struct anyc_task *t)
{
	return t->group != NULL ? t->group->scope_.task_->id : 0;
}

uint64_t anyc_task_parent_id(void)
{
	const struct anyc_task *t = anyc__current();

	return t != NULL ? parent_of(t) : 0;
}

static enum anyc_task_state state_of(const struct anyc_task *t)
{
	return t->state == ANYC__PARKED  ? ANYC_TASK_WAITING
	       : t->state == ANYC__READY ? ANYC_TASK_READY
					 : ANYC_TASK_RUNNING;
}

static size_t stack_used(const struct anyc_task *t)
{
#ifndef ANYC_SWITCH_UCONTEXT
	if (t->stack != NULL && (t->state == ANYC__PARKED || t->state == ANYC__READY))
		return t->stack_high - (uintptr_t)t->context.sp;
#endif
	(void)t;
	return 0;
}

static struct anyc_task_info info_of(const struct anyc_task *t, int depth)
{
	bool waits = t->state == ANYC__PARKED;

	return (struct anyc_task_info){
		.id = t->id,
		.parent_id = parent_of(t),
		.name = t->name,
		.waits_for = waits ? t->waits_for : NULL,
		.since = waits ? t->since : 0,
		.deadline = t->scope->effective_deadline_,
		.site = t->site,
		.stack_size = t->stack_high - t->stack_low,
		.stack_used = stack_used(t),
		.state = state_of(t),
		.depth = (unsigned)depth,
		.cancelled = t->scope->effective_,
		.background = t->background,
	};
}

int anyc__tasks_visit(struct anyc__engine *e, anyc__visit_fn *visit, void *arg)
{
	struct anyc__aside was;
	struct anyc_task *t;
	int depth = 0, count = 0;

	anyc__step_aside(e, &was);
	for (t = anyc__tasks_first(e); t != NULL; t = anyc__tasks_next(t, &depth)) {
		struct anyc_task_info info = info_of(t, depth);

		visit(arg, t, &info);
		count++;
	}
	anyc__step_back(e, &was);
	return count;
}

struct shown {
	anyc_task_info_fn *fn;
	void *arg;
};

static void show(void *arg, const struct anyc_task *t, const struct anyc_task_info *info)
{
	const struct shown *s = arg;

	(void)t;
	s->fn(s->arg, info);
}

int anyc_each_task(struct anyc_loop *loop, anyc_task_info_fn *fn, void *arg)
{
	struct shown s = {fn, arg};
	struct anyc__engine *e;
	int rc;

	if (fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_each_task needs a function");
	rc = anyc__inspected(&e, loop, "anyc_each_task");
	return rc != 0 ? rc : anyc__tasks_visit(e, show, &s);
}

/* --------------------------------------------------------------------------------- figures */

static size_t count_ready(const struct anyc__engine *e)
{
	const struct anyc_task *t;
	size_t n = 0;

	for (t = e->ready_first; t != NULL; t = t->next_ready)
		n++;
	return n;
}

static size_t count_descriptors(const struct anyc__fds *fds)
{
	size_t i, n = 0;

	for (i = 1; i < fds->count; i++)
		n += fds->slot[i].fd != NULL;
	return n;
}

/* Tasks that run, or are busy below a nested turn. */
static size_t count_running(const struct anyc__engine *e)
{
	const struct anyc_task *current = e->in_probe ? e->aside : anyc__current();
	size_t n = current != NULL && current->engine == e;
	unsigned i;

	for (i = 0; i < e->turns; i++)
		n += e->turn[i].below != NULL && e->turn[i].below->engine == e &&
		     e->turn[i].below->state == ANYC__RUNNING;
	return n;
}

int anyc_loop_stats_sized(struct anyc_loop_stats *out, size_t size, struct anyc_loop *loop)
{
	struct anyc_loop_stats s = {0};
	struct anyc__stack_stats stacks;
	struct anyc__engine *e;
	int rc;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_loop_stats needs a place for the figures");
	memset(out, 0, size);
	rc = anyc__inspected(&e, loop, "anyc_loop_stats");
	if (rc != 0)
		return rc;
	anyc__stack_pool_stats(&e->stacks, &stacks);
	s.tasks = e->tasks + (e->entry == NULL);
	s.ready = count_ready(e);
	s.waiting = s.tasks - s.ready - count_running(e);
	s.background = e->background;
	s.timers = e->timers.count;
	s.descriptors = count_descriptors(&e->fds);
	s.stacks_idle = stacks.hot + stacks.cold;
	s.turns = e->turn_count;
	s.switches = e->switches;
	memcpy(out, &s, size < sizeof s ? size : sizeof s);
	return 0;
}

/* --------------------------------------------------------------------------------- probes */

static void call_probe(const struct anyc__engine *e, unsigned which, const struct anyc_task *t,
		       int rc)
{
	const struct anyc_probes *p = &e->probe;
	struct anyc_task_info info = info_of(t, 0);

	for (; t->group != NULL; t = t->group->scope_.task_)
		info.depth++;
	if (which == ANYC__PROBE_SPAWNED)
		p->task_spawned(p->arg, &info);
	else if (which == ANYC__PROBE_SCHEDULED)
		p->task_scheduled(p->arg, &info);
	else if (which == ANYC__PROBE_SUSPENDED)
		p->task_suspended(p->arg, &info);
	else
		p->task_done(p->arg, &info, rc);
}

void anyc__probe(struct anyc__engine *e, unsigned which, const struct anyc_task *t, int rc)
{
	struct anyc__aside was;
	int saved = errno;

	if (e->in_probe)
		return;
	anyc__step_aside(e, &was);
	call_probe(e, which, t, rc);
	anyc__step_back(e, &was);
	errno = saved;
}

void anyc__probe_wait(struct anyc__engine *e, bool before)
{
	bool work = e->ready_first != NULL || e->local.first != NULL;
	struct anyc__aside was;

	if (e->in_probe)
		return;
	anyc__step_aside(e, &was);
	if (before && e->probe.before_wait != NULL)
		e->probe.before_wait(e->probe.arg, work ? 0 : anyc__timers_next(&e->timers));
	else if (!before && e->probe.after_wait != NULL)
		e->probe.after_wait(e->probe.arg);
	anyc__step_back(e, &was);
}

static unsigned bits_of(const struct anyc_probes *p)
{
	unsigned bits = 0;

	bits |= p->task_spawned != NULL ? ANYC__PROBE_SPAWNED : 0;
	bits |= p->task_scheduled != NULL ? ANYC__PROBE_SCHEDULED : 0;
	bits |= p->task_suspended != NULL ? ANYC__PROBE_SUSPENDED : 0;
	bits |= p->task_done != NULL ? ANYC__PROBE_DONE : 0;
	bits |= p->before_wait != NULL || p->after_wait != NULL ? ANYC__PROBE_WAIT : 0;
	bits |= p->clock_waits ? ANYC__PROBE_CLOCK : 0;
	return bits;
}

int anyc_loop_set_probes_sized(struct anyc_loop *loop, const struct anyc_probes *probes,
			       size_t size)
{
	struct anyc_probes p = {0};
	struct anyc__engine *e;
	int rc = anyc__inspected(&e, loop, "anyc_loop_set_probes");

	if (rc == 0)
		rc = anyc__refuse_in_probe(e, "anyc_loop_set_probes()");
	if (rc != 0)
		return rc;
	anyc__options_read(&p, sizeof p, probes, size);
	e->probe = p;
	e->probes = (e->probes & ~ANYC__PROBE_USERS) | bits_of(&p);
	return 0;
}

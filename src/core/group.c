/* SPDX-License-Identifier: MIT */
/*
 * Task groups: spawning into them, what a child's end does to them, and leaving.
 *
 * Rules
 *  - A group is a scope with tasks in it; the host waits in leave until none is left, always.
 *  - Errors are listed in order of occurrence; the first is what leave returns.  A cancellation is
 *    no error, unless nobody cancelled the task.  group_errors.c has the list.
 *  - anyc_start() puts its task into an inner group on the starter's stack; anyc_started() moves
 *    it over to the real one.  So an early error meets the starter, a late one the group.
 */
#include "engine.h"

/* ------------------------------------------------------------------------------- membership */

void anyc__group_add(struct anyc_group *g, struct anyc_task *t)
{
	t->group = g;
	t->prev = g->last_;
	t->next = NULL;
	if (g->last_ != NULL)
		g->last_->next = t;
	else
		g->first_ = t;
	g->last_ = t;
	g->tasks_++;
}

static void group_remove(struct anyc_group *g, struct anyc_task *t)
{
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		g->first_ = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		g->last_ = t->prev;
	t->prev = t->next = NULL;
	g->tasks_--;
}

static void wake_host_if_empty(struct anyc_group *g)
{
	if (g->host_waits_ && g->tasks_ == 0 && g->starting_ == 0)
		anyc__wake(g->scope_.task_, 0);
}

/* An error of a task of the group, or of a spawn. */
static void group_failed(struct anyc_group *g, const struct anyc_task *t, int rc)
{
	if (g->on_error_ == ANYC__GROUP_UNLISTED)
		return;
	anyc__errors_add(g, t, rc);
	if (g->on_error_ == ANYC__GROUP_KEEPS_GOING)
		return;
	if (g->first_error_ == 0)
		g->first_error_ = rc;
	anyc__scope_cancel(&g->scope_, ANYC_CAUSE_ERROR, "a task of the group failed");
}

void anyc__group_task_ended(struct anyc_group *g, struct anyc_task *t, int rc)
{
	bool cancelled_from_group = g->scope_.effective_;

	rc = anyc__scope_resolve(&t->base, rc);
	group_remove(g, t);
	if (rc == ANYC_ECANCELED && cancelled_from_group)
		g->task_cancelled_ = true;
	else if (rc < 0)
		group_failed(g, t, rc == ANYC_ECANCELED ? ANYC_ETASKCANCELED : rc);
	wake_host_if_empty(g);
}

/* --------------------------------------------------------------------------- enter and leave */

void anyc_group_enter_sized(struct anyc_group *g, const struct anyc_group_options *options,
			    size_t size)
{
	const size_t beside = offsetof(struct anyc_group, first_);
	struct anyc_group_options o;
	struct anyc_scope_options scope;

	anyc__options_read(&o, sizeof o, options, size);
	memset((char *)g + beside, 0, sizeof *g - beside);
	scope = (struct anyc_scope_options){.timeout = o.timeout, .deadline = o.deadline,
					    .shield = o.shield, .move_on = o.move_on};
	anyc_scope_enter_sized(&g->scope_, &scope, sizeof scope);
	g->scope_.site_ = __builtin_return_address(0);
	g->on_error_ = o.keep_going ? ANYC__GROUP_KEEPS_GOING : ANYC__GROUP_CANCELS;
	if (g->scope_.task_ == NULL) {
		g->state_ = ANYC__GROUP_POISONED;
		return;
	}
	g->scope_.group_ = g;
	g->state_ = ANYC__GROUP_OPEN;
	if (ANYC__UNLIKELY(g->scope_.task_->errors != NULL))
		anyc__errors_drop(g, g->scope_.task_);
}

/* ANYC_EFORKED: this is a child, in which they do not run. */
static int wait_for_tasks(struct anyc_group *g, struct anyc_task *t)
{
	int rc = 0;

	if (g->tasks_ == 0 && g->starting_ == 0) {
		anyc__yield(t);
		return 0;
	}
	g->host_waits_ = true;
	while (rc != ANYC_EFORKED && (g->tasks_ != 0 || g->starting_ != 0))
		rc = anyc__park_for_tasks(t, "its group's tasks");
	g->host_waits_ = false;
	return rc == ANYC_EFORKED ? rc : 0;
}

/* The host's own result, as an error of the group; whether it is the first. */
static bool count_host(struct anyc_group *g, struct anyc_task *t, int rc)
{
	if (rc >= 0 || (rc == ANYC_ECANCELED && t->scope->effective_))
		return false;
	anyc__errors_add(g, t, rc);
	if (g->first_error_ != 0)
		return false;
	g->first_error_ = rc;
	anyc__scope_cancel(&g->scope_, ANYC_CAUSE_ERROR, "the group's host failed");
	return true;
}

/* What the group's scope makes of the host's result and the tasks' cancellations. */
static int leave_scope(struct anyc_group *g, int rc)
{
	int left;

	/* An error, whatever its code, is no cancellation that the scope could catch. */
	if (g->first_error_ != 0) {
		ANYC_IGNORE(anyc_scope_leave(&g->scope_, 0));
		return rc;
	}
	if (rc >= 0 && !g->task_cancelled_)
		return anyc_scope_leave(&g->scope_, rc);
	left = anyc_scope_leave(&g->scope_, rc < 0 ? rc : ANYC_ECANCELED);
	return left == 0 && rc > 0 ? rc : left;
}

int anyc_group_leave(struct anyc_group *g, int rc)
{
	struct anyc_task *t = anyc__current();
	bool host_first;
	int forked;

	if (g != NULL && g->state_ == ANYC__GROUP_POISONED) {
		g->state_ = ANYC__GROUP_LEFT;
		return anyc_scope_leave(&g->scope_, rc);
	}
	if (g == NULL || t == NULL || t->scope != &g->scope_ || g->state_ != ANYC__GROUP_OPEN)
		return anyc__misuse(
			ANYC_EMISUSE,
			"anyc_group_leave: not the innermost open group of this "
			"task; groups and scopes are left last in, first out, by the task that "
			"entered them");
	host_first = count_host(g, t, rc);
	forked = wait_for_tasks(g, t);
	g->state_ = ANYC__GROUP_LEFT;
	if (forked != 0) {
		ANYC_IGNORE(anyc_scope_leave(&g->scope_, 0));
		return forked;
	}
	if (g->first_error_ != 0) {
		rc = g->first_error_;
		anyc__errors_tell(g, t, !host_first);
	}
	if (g->errors_ == NULL && g->error_count_ != 0)
		g->state_ = ANYC__GROUP_LOST;
	if (ANYC__UNLIKELY(g->errors_ != NULL))
		anyc__errors_keep(g, t);
	return leave_scope(g, rc);
}

int anyc_group_cancel(struct anyc_group *g, const char *reason)
{
	if (g == NULL || g->state_ != ANYC__GROUP_OPEN)
		return anyc__misuse(ANYC_EMISUSE, "anyc_group_cancel: the group is not open");
	return anyc_scope_cancel(&g->scope_, reason);
}

struct anyc_scope *anyc_group_scope(struct anyc_group *g)
{
	return &g->scope_;
}

size_t anyc_group_size(const struct anyc_group *g)
{
	return g->tasks_;
}

/* ------------------------------------------------------------------------------------- spawn */

/* 0, or why nothing may be spawned in it. */
static __attribute__((noinline)) int look_closer(const struct anyc_group *g)
{
	if (g != NULL && g->state_ == ANYC__GROUP_POISONED)
		return g->scope_.poison_;
	if (g == NULL || g->state_ != ANYC__GROUP_OPEN)
		return anyc__misuse(ANYC_EMISUSE,
				    "the group is not open: enter it before spawning, and "
				    "spawn nothing after it was left");
	if (g->scope_.poison_ != 0)
		return g->scope_.poison_;
	if (g->scope_.task_->engine->thread != anyc__thread_id())
		return anyc__misuse(ANYC_ETHREAD,
				    "the group belongs to another thread; post to its loop "
				    "with anyc_token_post()");
	if (g->scope_.task_->engine->in_probe)
		return anyc__refuse_in_probe(g->scope_.task_->engine, "a spawn");
	return anyc__engine_check(g->scope_.task_->engine);
}

static inline int spawnable(const struct anyc_group *g)
{
	const struct anyc__engine *e;

	if (ANYC__UNLIKELY(g == NULL || g->state_ != ANYC__GROUP_OPEN || g->scope_.poison_ != 0))
		return look_closer(g);
	e = g->scope_.task_->engine;
	if (ANYC__LIKELY(e->thread == anyc__thread.id && !e->in_probe && anyc__engine_fit(e)))
		return 0;
	return look_closer(g);
}

static inline int spec_from(struct anyc__task_spec *spec, const struct anyc_spawn_options *o,
			    struct anyc_handle **handle)
{
	if (o->name != NULL)
		spec->name = o->name;
	spec->stack_size = o->stack_size;
	spec->copy = o->copy;
	spec->copy_size = o->copy_size;
	spec->fpenv = o->fpenv;
	*handle = o->handle;
	if (o->copy != NULL && o->copy_size == 0)
		return anyc_fail(ANYC_EINVAL, 0, "a private copy of no bytes");
	return 0;
}

/* The same from options that may be of an older header. */
static __attribute__((noinline)) int spec_from_sized(struct anyc__task_spec *spec,
						     const struct anyc_spawn_options *options,
						     size_t size, struct anyc_handle **handle)
{
	struct anyc_spawn_options o;

	anyc__options_read(&o, sizeof o, options, size);
	return spec_from(spec, &o, handle);
}

static void handle_fill(struct anyc_handle *h, struct anyc_task *t)
{
	memset(h, 0, sizeof *h);
	h->task_ = t;
	h->name_ = t->name;
	h->id_ = t->id;
	h->status_ = ANYC_STATUS_PENDING;
	t->handle = h;
}

static inline int spawn_into(struct anyc_group *g, const struct anyc__task_spec *spec,
		      struct anyc_handle *handle, struct anyc_task **out)
{
	struct anyc__engine *e = g->scope_.task_->engine;
	int rc = anyc__task_make(out, e, spec);
	struct anyc_task *t = *out;

	if (rc != 0)
		return rc;
	anyc__scope_init_base(&t->base, t, &g->scope_);
	anyc__group_add(g, t);
	if (handle != NULL)
		handle_fill(handle, t);
	anyc__task_born(t);
	return 0;
}

int anyc__group_spawn(struct anyc_group *g, const struct anyc__task_spec *spec,
		      struct anyc_handle *handle)
{
	struct anyc_task *t;

	return spawn_into(g, spec, handle, &t);
}

static inline int try_spawn(struct anyc_group *g, struct anyc__task_spec *spec,
		     const struct anyc_spawn_options *options, size_t size)
{
	struct anyc_handle *handle = NULL;
	int rc = spawnable(g);

	if (rc == 0 && options != NULL)
		rc = size >= sizeof *options ? spec_from(spec, options, &handle)
					     : spec_from_sized(spec, options, size, &handle);
	return rc != 0 ? rc : anyc__group_spawn(g, spec, handle);
}

static inline int spawn(struct anyc_group *g, struct anyc__task_spec *spec,
		 const struct anyc_spawn_options *options, size_t size)
{
	int rc = try_spawn(g, spec, options, size);

	if (rc == -ENOMEM && g->state_ == ANYC__GROUP_OPEN)
		group_failed(g, g->scope_.task_, rc);
	return rc;
}

int anyc_try_spawn_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
			 const struct anyc_spawn_options *options, size_t size, const char *name)
{
	struct anyc__task_spec spec = {
		.fn = fn, .arg = arg, .name = name, .site = __builtin_return_address(0)};

	return try_spawn(g, &spec, options, size);
}

int anyc_spawn_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
		     const struct anyc_spawn_options *options, size_t size, const char *name)
{
	struct anyc__task_spec spec = {
		.fn = fn, .arg = arg, .name = name, .site = __builtin_return_address(0)};

	return spawn(g, &spec, options, size);
}

int anyc_spawn_copy_named(struct anyc_group *g, anyc_task_fn *fn, const void *ptr, size_t size,
			  const char *name)
{
	struct anyc_spawn_options o = {.copy = ptr, .copy_size = size};
	struct anyc__task_spec spec = {.fn = fn, .name = name, .site = __builtin_return_address(0)};

	if (ptr == NULL || size == 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_spawn_copy: nothing to copy");
	return spawn(g, &spec, &o, sizeof o);
}

/* ------------------------------------------------------------------------------------- start */

/* Starts the task in the inner group and waits until it has left that, one way or the other. */
static int start_in(struct anyc_group *inner, struct anyc_group *g,
		    const struct anyc__task_spec *spec, struct anyc_handle *handle, intptr_t *value,
		    bool *started)
{
	struct anyc_task *t;
	int rc = spawn_into(inner, spec, handle, &t);

	if (rc == 0) {
		t->starts = g;
		t->start_value = value;
		t->starter_told = started;
	}
	return anyc_group_leave(inner, rc);
}

int anyc_start_named(struct anyc_group *g, anyc_task_fn *fn, void *arg, intptr_t *value,
		     const struct anyc_spawn_options *options, size_t size, const char *name)
{
	struct anyc__task_spec spec = {
		.fn = fn, .arg = arg, .name = name, .site = __builtin_return_address(0)};
	struct anyc_handle *handle = NULL;
	struct anyc_group inner;
	struct anyc_task *t;
	bool started = false;
	int rc = anyc__enter_uncancelled(&t);

	if (value != NULL)
		*value = 0;
	if (rc == 0)
		rc = spawnable(g);
	if (rc == 0)
		rc = options == NULL ? 0 : spec_from_sized(&spec, options, size, &handle);
	if (rc != 0)
		return rc;
	g->starting_++;
	anyc_group_enter_sized(&inner, NULL, 0);
	rc = start_in(&inner, g, &spec, handle, value, &started);
	anyc_group_free(&inner);
	g->starting_--;
	wake_host_if_empty(g);
	if (rc < 0 && value != NULL)
		*value = 0; /* it was started, for a starter that is cancelled */
	if (rc < 0 || started)
		return rc < 0 ? rc : 0;
	return anyc_fail(ANYC_ENOTSTARTED, 0, "task '%s' returned before it called anyc_started()",
			 spec.name);
}

/* From the starter's inner group to the real one. */
static void move_over(struct anyc_task *t)
{
	struct anyc_group *inner = t->group, *g = t->starts;

	group_remove(inner, t);
	anyc__group_add(g, t);
	anyc__scope_reparent(&t->base, &g->scope_);
	t->starts = NULL;
	t->starter_told = NULL;
	t->start_value = NULL;
	wake_host_if_empty(inner);
}

int anyc_started(intptr_t value)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc != 0)
		return rc;
	if (t->started)
		return anyc__misuse(ANYC_EMISUSE, "task '%s' calls anyc_started() a second time",
				    t->name);
	if (t->starts == NULL)
		return 0;
	t->started = true;
	*t->starter_told = true;
	if (t->start_value != NULL)
		*t->start_value = value;
	if (t->handle != NULL) {
		t->handle->started_ = true;
		t->handle->value_ = value;
	}
	/* A starter that was cancelled waits for this task's end: it stays where it is. */
	if (!t->group->scope_.effective_)
		move_over(t);
	return 0;
}

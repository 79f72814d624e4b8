/* SPDX-License-Identifier: MIT */
/*
 * Task groups: spawning into them, what a child's end does to them, leaving, and their errors.
 *
 * Rules
 *  - A group is a scope with tasks in it; the host waits in leave until none is left, always.
 *  - Errors are listed in order of occurrence; the first is what leave returns.  A cancellation is
 *    no error, unless nobody cancelled the task.
 *  - anyc_start() puts its task into an inner group on the starter's stack; anyc_started() moves
 *    it over to the real one.  So an early error meets the starter, a late one the group.
 *  - A left group's list belongs to its host task, which keeps the last KEPT_LISTS of them: a
 *    caller who never asks leaks nothing.
 */
#include "engine.h"

#define KEPT_LISTS 8

/* LOST: left, and there was no memory for its list of errors. */
enum group_state { GROUP_NONE, GROUP_OPEN, GROUP_LEFT, GROUP_LOST, GROUP_POISONED };

struct error_entry {
	struct error_entry *next;
	size_t index;
	uint64_t id;
	int rc, os_errno;
	const char *task;
	char text[]; /* the task's name, the sentence */
};

struct anyc_group_errors_ {
	struct anyc_group_errors_ *next; /* among the lists of the host task, newest first */
	const struct anyc_group *group;
	struct error_entry *first, *last;
};

/* -------------------------------------------------------------------------- lists of errors */

static void list_free(struct anyc_group_errors_ *list)
{
	struct error_entry *e, *next;

	if (list == NULL)
		return;
	for (e = list->first; e != NULL; e = next) {
		next = e->next;
		anyc__free(e);
	}
	anyc__free(list);
}

static struct error_entry *entry_make(const struct anyc_task *t, int rc, size_t index)
{
	const struct anyc__slot *slot = &t->slot;
	const char *detail = slot->rc == rc ? slot->text : anyc_strerror(rc);
	size_t name = strlen(t->name) + 1, text = strlen(detail) + 1;
	struct error_entry *e = anyc__alloc(sizeof *e + name + text);

	if (e == NULL)
		return NULL;
	e->index = index;
	e->id = t->id;
	e->rc = rc;
	e->os_errno = slot->rc == rc ? slot->os_errno : 0;
	e->task = memcpy(e->text, t->name, name);
	memcpy(e->text + name, detail, text);
	return e;
}

static const char *entry_detail(const struct error_entry *e)
{
	return e->text + strlen(e->task) + 1;
}

/* Lists an error of a task, or of the host; what memory there is none for is counted all the same.
 */
static void list_error(struct anyc_group *g, const struct anyc_task *t, int rc)
{
	struct error_entry *e;
	size_t index = g->error_count_++;

	if (g->errors_ == NULL)
		g->errors_ = anyc__alloc(sizeof *g->errors_);
	if (g->errors_ == NULL || (e = entry_make(t, rc, index)) == NULL)
		return;
	if (g->errors_->first == NULL)
		g->errors_->first = e;
	else
		g->errors_->last->next = e;
	g->errors_->last = e;
}

/* Gives a left group's list to its host task. */
static void list_keep(struct anyc_group *g, struct anyc_task *host)
{
	struct anyc_group_errors_ **last = &host->errors;

	if (g->errors_ == NULL)
		return;
	g->errors_->group = g;
	g->errors_->next = host->errors;
	host->errors = g->errors_;
	if (++host->error_lists <= KEPT_LISTS)
		return;
	while ((*last)->next != NULL)
		last = &(*last)->next;
	list_free(*last);
	*last = NULL;
	host->error_lists--;
}

/* Frees the list that a group at this address has left with the task. */
static void list_drop(struct anyc_task *host, const struct anyc_group *g)
{
	struct anyc_group_errors_ **at = &host->errors, *list;

	while ((list = *at) != NULL && list->group != g)
		at = &list->next;
	if (list == NULL)
		return;
	*at = list->next;
	host->error_lists--;
	list_free(list);
}

void anyc__group_forget(struct anyc_task *t)
{
	struct anyc_group_errors_ *list;

	while ((list = t->errors) != NULL) {
		t->errors = list->next;
		list_free(list);
	}
	t->error_lists = 0;
}

static const struct anyc_group_errors_ *list_find(const struct anyc_group *g)
{
	const struct anyc_task *t = anyc__current();
	const struct anyc_group_errors_ *list;

	if (g->state_ == GROUP_OPEN)
		return g->errors_;
	for (list = t != NULL ? t->errors : NULL; list != NULL; list = list->next)
		if (list->group == g)
			return list;
	return NULL;
}

size_t anyc_group_error_count(const struct anyc_group *g)
{
	return g->error_count_;
}

int anyc_group_error(const struct anyc_group *g, size_t i, struct anyc_group_error *out)
{
	const struct anyc_group_errors_ *list;
	const struct error_entry *e;

	memset(out, 0, sizeof *out);
	if (i >= g->error_count_)
		return anyc_fail(ANYC_EINVAL, 0, "the group has %zu errors, there is no number %zu",
				 g->error_count_, i);
	list = list_find(g);
	if (list == NULL && g->state_ != GROUP_LEFT)
		return anyc_fail(-ENOMEM, ENOMEM, "there was no memory to keep this error");
	if (list == NULL)
		return anyc_fail(ANYC_EMISUSE, 0,
				 "the group's errors were let go, or belong to another task");
	for (e = list->first; e != NULL && e->index < i; e = e->next)
		;
	if (e == NULL || e->index != i)
		return anyc_fail(-ENOMEM, ENOMEM, "there was no memory to keep this error");
	*out = (struct anyc_group_error){.task = e->task, .detail = entry_detail(e), .id = e->id,
					 .rc = e->rc, .os_errno = e->os_errno};
	return 0;
}

void anyc_group_free(struct anyc_group *g)
{
	struct anyc_task *t = anyc__current();

	if (g != NULL && g->state_ == GROUP_LEFT && t != NULL)
		list_drop(t, g);
}

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
		anyc__unpark(g->scope_.task_, 0);
}

/* An error of a task of the group, or of a spawn. */
static void group_failed(struct anyc_group *g, const struct anyc_task *t, int rc)
{
	list_error(g, t, rc);
	if (g->keep_going_)
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
	struct anyc_group_options o = {0};
	struct anyc_scope_options scope;

	if (options != NULL)
		memcpy(&o, options, size < sizeof o ? size : sizeof o);
	memset(g, 0, sizeof *g);
	scope = (struct anyc_scope_options){.timeout = o.timeout, .deadline = o.deadline,
					    .shield = o.shield, .move_on = o.move_on};
	anyc_scope_enter_sized(&g->scope_, &scope, sizeof scope);
	g->scope_.site_ = __builtin_return_address(0);
	g->keep_going_ = o.keep_going;
	if (g->scope_.task_ == NULL) {
		g->state_ = GROUP_POISONED;
		return;
	}
	g->scope_.group_ = g;
	g->state_ = GROUP_OPEN;
	list_drop(g->scope_.task_, g);
}

static void wait_for_tasks(struct anyc_group *g, struct anyc_task *t)
{
	if (g->tasks_ == 0 && g->starting_ == 0) {
		anyc__yield(t);
		return;
	}
	g->host_waits_ = true;
	while (g->tasks_ != 0 || g->starting_ != 0)
		ANYC_IGNORE(anyc__park(t, NULL, NULL, "its group's tasks"));
	g->host_waits_ = false;
}

/* The host's own result, as an error of the group; whether it is the first. */
static bool count_host(struct anyc_group *g, struct anyc_task *t, int rc)
{
	if (rc >= 0 || (rc == ANYC_ECANCELED && t->scope->effective_))
		return false;
	list_error(g, t, rc);
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

	if (rc >= 0 && !g->task_cancelled_)
		return anyc_scope_leave(&g->scope_, rc);
	left = anyc_scope_leave(&g->scope_, rc < 0 ? rc : ANYC_ECANCELED);
	return left == 0 && rc > 0 ? rc : left;
}

static void tell_first_error(const struct anyc_group *g)
{
	const struct error_entry *e = g->errors_ != NULL ? g->errors_->first : NULL;

	while (e != NULL && e->rc != g->first_error_)
		e = e->next;
	if (e != NULL)
		anyc_fail(e->rc, e->os_errno, "%s", entry_detail(e));
}

int anyc_group_leave(struct anyc_group *g, int rc)
{
	struct anyc_task *t = anyc__current();
	bool host_first;

	if (g != NULL && g->state_ == GROUP_POISONED) {
		g->state_ = GROUP_LEFT;
		return anyc_scope_leave(&g->scope_, rc);
	}
	if (g == NULL || t == NULL || t->scope != &g->scope_ || g->state_ != GROUP_OPEN)
		return anyc__misuse(
			ANYC_EMISUSE,
			"anyc_group_leave: not the innermost open group of this "
			"task; groups and scopes are left last in, first out, by the task that "
			"entered them");
	host_first = count_host(g, t, rc);
	wait_for_tasks(g, t);
	g->state_ = GROUP_LEFT;
	if (g->first_error_ != 0) {
		rc = g->first_error_;
		if (!host_first)
			tell_first_error(g);
	}
	if (g->errors_ == NULL && g->error_count_ != 0)
		g->state_ = GROUP_LOST;
	list_keep(g, t);
	g->errors_ = NULL;
	return leave_scope(g, rc);
}

int anyc_group_cancel(struct anyc_group *g, const char *reason)
{
	if (g == NULL || g->state_ != GROUP_OPEN)
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

static int spawnable(const struct anyc_group *g)
{
	if (g != NULL && g->state_ == GROUP_POISONED)
		return g->scope_.poison_;
	if (g == NULL || g->state_ != GROUP_OPEN)
		return anyc__misuse(ANYC_EMISUSE,
				    "the group is not open: enter it before spawning, and "
				    "spawn nothing after it was left");
	if (g->scope_.poison_ != 0)
		return g->scope_.poison_;
	if (g->scope_.task_->engine->thread != anyc__thread_id())
		return anyc__misuse(ANYC_ETHREAD,
				    "the group belongs to another thread; post to its loop "
				    "with anyc_token_post()");
	return anyc__engine_check(g->scope_.task_->engine);
}

static int spec_from(struct anyc__task_spec *spec, const struct anyc_spawn_options *options,
		     size_t size, struct anyc_handle **handle)
{
	struct anyc_spawn_options o = {0};

	if (options != NULL)
		memcpy(&o, options, size < sizeof o ? size : sizeof o);
	if (o.name != NULL)
		spec->name = o.name;
	spec->stack_size = o.stack_size;
	spec->copy = o.copy;
	spec->copy_size = o.copy_size;
	spec->fpenv = o.fpenv;
	*handle = o.handle;
	if (o.copy != NULL && o.copy_size == 0)
		return anyc_fail(ANYC_EINVAL, 0, "a private copy of no bytes");
	return 0;
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

/* Makes a task and links it into the group, ready to run. */
static int spawn_into(struct anyc_group *g, const struct anyc__task_spec *spec,
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

int anyc_try_spawn_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
			 const struct anyc_spawn_options *options, size_t size, const char *name)
{
	struct anyc__task_spec spec = {.fn = fn, .arg = arg, .name = name};
	struct anyc_handle *handle = NULL;
	struct anyc_task *t;
	int rc = spawnable(g);

	if (rc == 0)
		rc = spec_from(&spec, options, size, &handle);
	return rc != 0 ? rc : spawn_into(g, &spec, handle, &t);
}

int anyc_spawn_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
		     const struct anyc_spawn_options *options, size_t size, const char *name)
{
	int rc = anyc_try_spawn_named(g, fn, arg, options, size, name);

	if (rc == -ENOMEM && g->state_ == GROUP_OPEN)
		group_failed(g, g->scope_.task_, rc);
	return rc;
}

int anyc_spawn_copy_named(struct anyc_group *g, anyc_task_fn *fn, const void *ptr, size_t size,
			  const char *name)
{
	struct anyc_spawn_options o = {.copy = ptr, .copy_size = size};

	if (ptr == NULL || size == 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_spawn_copy: nothing to copy");
	return anyc_spawn_named(g, fn, NULL, &o, sizeof o, name);
}

/* ------------------------------------------------------------------------------------- start */

/* Starts the task in the inner group and waits until it has left that group, one way or the other.
 */
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
	struct anyc__task_spec spec = {.fn = fn, .arg = arg, .name = name};
	struct anyc_handle *handle = NULL;
	struct anyc_group inner;
	struct anyc_task *t;
	bool started = false;
	int rc = anyc__enter_uncancelled(&t);

	if (rc == 0)
		rc = spawnable(g);
	if (rc == 0)
		rc = spec_from(&spec, options, size, &handle);
	if (rc != 0)
		return rc;
	if (value != NULL)
		*value = 0;
	g->starting_++;
	anyc_group_enter_sized(&inner, NULL, 0);
	rc = start_in(&inner, g, &spec, handle, value, &started);
	anyc_group_free(&inner);
	g->starting_--;
	wake_host_if_empty(g);
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

/* SPDX-License-Identifier: MIT */
/*
 * The errors of a group: the list, what it takes over from inner groups, and who keeps it.
 *
 * Rules
 *  - Errors are listed in order of occurrence.  What there is no memory for is counted as well.
 *  - A left group's list belongs to its host task, which keeps the last KEPT_LISTS of them: a
 *    caller who never asks leaks nothing.
 *  - A task that passes on what an inner group's leave gave it stands in the outer list as that
 *    group's entries.  Its slot tells: `origin` is the list whose error the sentence is of, until
 *    another sentence is stored or that list goes.
 */
#include "engine.h"

#define KEPT_LISTS 8

struct error_entry {
	struct error_entry *next;
	size_t index;
	uint64_t id;
	uint64_t from; /* the id of the path's first task */
	int rc, os_errno;
	const char *task; /* the last part of the path */
	const char *detail;
	char path[]; /* and the sentence behind it */
};

struct anyc_group_errors_ {
	struct anyc_group_errors_ *next; /* among the lists of the host task, newest first */
	const struct anyc_group *group;
	struct error_entry *first, *last;
	struct error_entry *asked; /* the last one given out: they are asked for in order */
};

static void list_free(struct anyc_task *host, struct anyc_group_errors_ *list)
{
	struct error_entry *e, *next;

	if (host->slot.origin == list)
		host->slot.origin = NULL;
	for (e = list->first; e != NULL; e = next) {
		next = e->next;
		anyc__free(e);
	}
	anyc__free(list);
}

/* --------------------------------------------------------------------------------- listing */

/* An entry whose path is `outer` (may be NULL), a slash, and `inner`. */
static struct error_entry *entry_make(const char *outer, const char *inner, const char *detail)
{
	size_t before = outer != NULL ? strlen(outer) + 1 : 0;
	size_t after = strlen(inner) + 1, text = strlen(detail) + 1;
	struct error_entry *e = anyc__alloc(sizeof *e + before + after + text);

	if (e == NULL)
		return NULL;
	if (outer != NULL) {
		memcpy(e->path, outer, before - 1);
		e->path[before - 1] = '/';
	}
	memcpy(e->path + before, inner, after);
	e->detail = memcpy(e->path + before + after, detail, text);
	return e;
}

/* A task's own error. */
static struct error_entry *entry_own(const struct anyc_task *t, int rc)
{
	const struct anyc__slot *slot = &t->slot;
	bool told = slot->rc == rc;
	struct error_entry *e = entry_make(NULL, t->name, told ? slot->text : anyc_strerror(rc));

	if (e == NULL)
		return NULL;
	e->id = e->from = t->id;
	e->rc = rc;
	e->os_errno = told ? slot->os_errno : 0;
	e->task = e->path;
	return e;
}

/* One that the task passes on. */
static struct error_entry *entry_inner(const struct anyc_task *t, const struct error_entry *of)
{
	bool its_own = of->from == t->id;
	struct error_entry *e = entry_make(its_own ? NULL : t->name, of->path, of->detail);

	if (e == NULL)
		return NULL;
	e->id = of->id;
	e->from = t->id;
	e->rc = of->rc;
	e->os_errno = of->os_errno;
	e->task = e->path + strlen(e->path) - strlen(of->task);
	return e;
}

static void append(struct anyc_group *g, struct error_entry *e)
{
	size_t index = g->error_count_++;

	if (g->errors_ == NULL)
		g->errors_ = anyc__alloc(sizeof *g->errors_);
	if (g->errors_ == NULL || e == NULL) {
		anyc__free(e);
		return;
	}
	e->index = index;
	if (g->errors_->first == NULL)
		g->errors_->first = e;
	else
		g->errors_->last->next = e;
	g->errors_->last = e;
}

void anyc__errors_add(struct anyc_group *g, const struct anyc_task *t, int rc)
{
	const struct anyc_group_errors_ *inner = t->slot.rc == rc ? t->slot.origin : NULL;
	const struct error_entry *e;

	if (inner == NULL) {
		append(g, entry_own(t, rc));
		return;
	}
	for (e = inner->first; e != NULL; e = e->next)
		append(g, entry_inner(t, e));
}

/* --------------------------------------------------------------------------------- keeping */

void anyc__errors_keep(struct anyc_group *g, struct anyc_task *host)
{
	struct anyc_group_errors_ **last = &host->errors;

	if (g->errors_ == NULL)
		return;
	g->errors_->group = g;
	g->errors_->next = host->errors;
	host->errors = g->errors_;
	g->errors_ = NULL;
	if (++host->error_lists <= KEPT_LISTS)
		return;
	while ((*last)->next != NULL)
		last = &(*last)->next;
	list_free(host, *last);
	*last = NULL;
	host->error_lists--;
}

void anyc__errors_drop(const struct anyc_group *g, struct anyc_task *host)
{
	struct anyc_group_errors_ **at = &host->errors, *list;

	while ((list = *at) != NULL && list->group != g)
		at = &list->next;
	if (list == NULL)
		return;
	*at = list->next;
	host->error_lists--;
	list_free(host, list);
}

void anyc__errors_forget(struct anyc_task *t)
{
	struct anyc_group_errors_ *list;

	while ((list = t->errors) != NULL) {
		t->errors = list->next;
		list_free(t, list);
	}
	t->error_lists = 0;
}

void anyc__errors_tell(const struct anyc_group *g, struct anyc_task *host, bool sentence)
{
	const struct error_entry *e = g->errors_ != NULL ? g->errors_->first : NULL;

	while (e != NULL && e->rc != g->first_error_)
		e = e->next;
	if (e == NULL)
		return;
	if (sentence)
		anyc_fail(e->rc, e->os_errno, "%s", e->detail);
	if (host->slot.rc == e->rc)
		host->slot.origin = g->errors_;
}

/* --------------------------------------------------------------------------------- reading */

static struct anyc_group_errors_ *list_find(const struct anyc_group *g)
{
	const struct anyc_task *t = anyc__current();
	struct anyc_group_errors_ *list;

	if (g->state_ == ANYC__GROUP_OPEN)
		return g->errors_;
	for (list = t != NULL ? t->errors : NULL; list != NULL; list = list->next)
		if (list->group == g)
			return list;
	return NULL;
}

static struct error_entry *entry_find(struct anyc_group_errors_ *list, size_t i)
{
	struct error_entry *e = list->asked;

	if (e == NULL || e->index > i)
		e = list->first;
	while (e != NULL && e->index < i)
		e = e->next;
	if (e != NULL)
		list->asked = e;
	return e != NULL && e->index == i ? e : NULL;
}

size_t anyc_group_error_count(const struct anyc_group *g)
{
	return g->error_count_;
}

int anyc_group_error(const struct anyc_group *g, size_t i, struct anyc_group_error *out)
{
	struct anyc_group_errors_ *list;
	const struct error_entry *e;

	memset(out, 0, sizeof *out);
	if (i >= g->error_count_)
		return anyc_fail(ANYC_EINVAL, 0, "the group has %zu errors, there is no number %zu",
				 g->error_count_, i);
	list = list_find(g);
	if (list == NULL && g->state_ == ANYC__GROUP_LEFT)
		return anyc_fail(ANYC_EMISUSE, 0,
				 "the group's errors were let go, or belong to another task");
	e = list != NULL ? entry_find(list, i) : NULL;
	if (e == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "there was no memory to keep this error");
	*out = (struct anyc_group_error){.task = e->task, .path = e->path, .detail = e->detail,
					 .id = e->id, .rc = e->rc, .os_errno = e->os_errno};
	return 0;
}

void anyc_group_free(struct anyc_group *g)
{
	struct anyc_task *t = anyc__current();

	if (g != NULL && g->state_ == ANYC__GROUP_LEFT && t != NULL)
		anyc__errors_drop(g, t);
}

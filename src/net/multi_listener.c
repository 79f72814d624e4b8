/* SPDX-License-Identifier: MIT */
/*
 * One listener of several.
 *
 * Rules
 *  - accept has a task at each of them.  The first with a connection cancels the others, and more
 *    than one may have one by then: what is not returned waits at its place for the next accept.
 *  - Places are looked at in turn, so that a busy listener does not starve the others.
 */
#include <errno.h>

#include <anyc/streams.h>

#include "calls.h"

struct place {
	struct anyc_listener *listener; /* NULL once freed */
	struct anyc_stream *accepted;   /* waits to be returned */
	struct anyc_group *group;       /* of the accept that is under way */
};

struct multi {
	struct anyc_listener listener;
	size_t count, next; /* places; where the next look begins */
	struct place places[];
};

static struct multi *multi_of(struct anyc_listener *l)
{
	return ANYC__CONTAINER(l, struct multi, listener);
}

static int accept_at(void *arg)
{
	struct place *p = arg;
	int rc;

	if (p->listener == NULL)
		return anyc_fail(ANYC_ECLOSED, 0, "accept: another task has closed the listener");
	rc = anyc_listener_accept(p->listener, &p->accepted);
	if (rc == 0)
		anyc_group_cancel(p->group, "another listener has a connection");
	return rc;
}

/* Waits at all of them. */
static int accept_somewhere(struct multi *m)
{
	const struct anyc_spawn_options options = { .name = "accept" };
	struct anyc_group g;
	size_t i;
	int rc = 0;

	anyc_group_enter(&g, NULL);
	for (i = 0; i < m->count && rc == 0; i++) {
		m->places[i].group = &g;
		rc = anyc_spawn_opts(&g, accept_at, &m->places[i], &options);
	}
	return anyc_group_leave(&g, rc);
}

static struct anyc_stream *take_accepted(struct multi *m)
{
	size_t i;

	for (i = 0; i < m->count; i++) {
		struct place *p = &m->places[(m->next + i) % m->count];
		struct anyc_stream *s = p->accepted;

		if (s != NULL) {
			p->accepted = NULL;
			m->next = (m->next + i + 1) % m->count;
			return s;
		}
	}
	return NULL;
}

static int multi_accept(struct anyc_listener *l, struct anyc_stream **out)
{
	struct multi *m = multi_of(l);
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	*out = take_accepted(m);
	if (*out != NULL) {
		anyc__yield(t);
		return 0;
	}
	rc = accept_somewhere(m);
	*out = m->listener.closed_ ? NULL : take_accepted(m);
	if (*out != NULL)
		return 0; /* an error beside it comes again, if it lasts */
	return rc != 0 ? rc
		       : anyc_fail(ANYC_ECLOSED, 0, "accept: another task has closed the listener");
}

static void free_accepted(struct multi *m)
{
	struct anyc_stream *s;

	while ((s = take_accepted(m)) != NULL)
		anyc_stream_free(s);
}

static int multi_close(struct anyc_listener *l, unsigned flags)
{
	struct multi *m = multi_of(l);
	int rc = 0;
	size_t i;

	for (i = 0; i < m->count; i++) {
		struct anyc_listener *one = m->places[i].listener;

		if ((flags & ANYC_NOWAIT) != 0) {
			m->places[i].listener = NULL;
			anyc_listener_free(one);
		} else {
			int closing = anyc_listener_close(one);

			rc = rc != 0 ? rc : closing;
		}
	}
	free_accepted(m);
	return rc;
}

static void multi_free(struct anyc_listener *l)
{
	struct multi *m = multi_of(l);
	size_t i;

	free_accepted(m);
	for (i = 0; i < m->count; i++)
		anyc_listener_free(m->places[i].listener);
	anyc__free(m);
}

static int multi_attribute(struct anyc_listener *l, const struct anyc_attribute *attribute,
			   void *out)
{
	struct multi *m = multi_of(l);
	size_t i = m->count;
	int rc = ANYC_ENOATTR;

	while (i-- > 0 && rc == ANYC_ENOATTR)
		rc = anyc_listener_attribute(m->places[i].listener, attribute, out,
					     attribute->size);
	return rc;
}

static const struct anyc_listener_ops multi_ops = {
	.size = sizeof multi_ops,
	.name = "multi",
	.accept = multi_accept,
	.close = multi_close,
	.free = multi_free,
	.attribute = multi_attribute,
};

/* ---------------------------------------------------------------------------------- making */

/* The places that a listener brings, or 0 if it cannot be used. */
static size_t places_of(struct anyc_listener *l)
{
	if (l == NULL || l->closed_ || l->inside_ != 0) /* also by serve, between two accepts */
		return 0;
	return l->ops_ == &multi_ops ? multi_of(l)->count : 1;
}

static bool is_in(struct anyc_listener *one, struct anyc_listener *l)
{
	size_t i;

	for (i = 0; l->ops_ == &multi_ops && i < multi_of(l)->count; i++)
		if (multi_of(l)->places[i].listener == one)
			return true;
	return l == one;
}

/* Itself, or as a part of another one. */
static bool is_twice(struct anyc_listener *const *listeners, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (is_in(listeners[j], listeners[i]) || is_in(listeners[i], listeners[j]))
			return true;
	return false;
}

static void take_places(struct multi *m, struct anyc_listener *l)
{
	struct multi *inner;

	if (l->ops_ != &multi_ops) {
		m->places[m->count++].listener = l;
		return;
	}
	inner = multi_of(l);
	memcpy(m->places + m->count, inner->places, inner->count * sizeof *inner->places);
	m->count += inner->count;
	inner->count = 0;
	inner->listener.closed_ = true;
}

int anyc_multi_listener(struct anyc_listener **out, struct anyc_listener *const *listeners,
			size_t count)
{
	size_t i, places = 0;
	struct multi *m;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || listeners == NULL || count == 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_multi_listener: there is nothing to take");
	for (i = 0; i < count; i++) {
		size_t n = places_of(listeners[i]);

		if (n == 0 || is_twice(listeners, i))
			return anyc_fail(ANYC_EINVAL, 0,
					 "anyc_multi_listener: listener %zu is NULL, closed, in "
					 "use, or there twice", i);
		places += n;
	}
	m = anyc__alloc(sizeof *m + places * sizeof *m->places);
	if (m == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_multi_listener: no memory");
	for (i = 0; i < count; i++)
		take_places(m, listeners[i]);
	anyc_listener_init(&m->listener, &multi_ops);
	*out = &m->listener;
	return 0;
}

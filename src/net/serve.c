/* SPDX-License-Identifier: MIT */
/*
 * Serving: a loop around accept, and a task for each connection.
 *
 * Rules
 *  - Nothing a connection does ends serving: its error goes to on_error or the report hook.
 *  - In a group of the caller's the handlers may outlive the call, so what they share is counted.
 *  - The stream is freed after its handler has returned, unless that owns it; if no task can be
 *    made, at once.
 *  - Out of descriptors or memory: one line for the whole episode, and a try every 100 ms, each
 *    of which leaves the connections in the kernel's queue.
 */
#include <errno.h>

#include <anyc/net.h>

#include "calls.h"

#define PAUSE (100 * ANYC_MILLISECOND)

struct server {
	struct anyc_listener *listener; /* not looked at by connections */
	anyc_serve_fn *handler;
	void *arg;
	struct anyc_serve_options options;
	size_t users; /* the call, and each connection */
	size_t live;
	struct anyc_waiters_ below_limit; /* the call, waiting for a connection to end */
	bool short_of_something;	  /* an episode was reported */
};
struct connection {
	struct server *server;
	struct anyc_stream *stream;
};

static void server_release(struct server *s)
{
	if (--s->users == 0)
		anyc__free(s);
}

/* ----------------------------------------------------------------------------- connections */

static void tell_error(const struct server *s, int rc)
{
	const char *detail = anyc_error_detail(rc);

	if (s->options.on_error != NULL)
		s->options.on_error(s->options.on_error_arg, rc, detail);
	else
		anyc_report(rc, "serve: the handler of a connection failed: %s", detail);
}

static int run_connection(void *arg)
{
	struct connection *c = arg;
	struct server *s = c->server;
	int rc = s->handler(s->arg, c->stream);
	bool cancelled = rc == ANYC_ECANCELED && anyc_has_pending_cancellation();

	if (!s->options.handler_owns)
		anyc_stream_free(c->stream);
	if (rc < 0 && !cancelled)
		tell_error(s, rc);
	s->live--;
	anyc__waiters_wake(&s->below_limit, 0);
	server_release(s);
	return cancelled ? rc : 0;
}

/* Hands the stream to a task of its own; on failure it is still here. */
static int spawn_connection(struct server *s, struct anyc_group *group, struct anyc_stream *stream)
{
	struct connection c = { .server = s, .stream = stream };
	struct anyc_spawn_options o = { .name = "connection",
					.stack_size = s->options.stack_size,
					.copy = &c,
					.copy_size = sizeof c };
	int rc = anyc_try_spawn(group, run_connection, NULL, &o);

	if (rc != 0)
		return rc;
	s->live++;
	s->users++;
	return 0;
}

/* --------------------------------------------------------------------------------- serving */

static bool is_shortage(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM || rc == -EAGAIN;
}

/* A shortage: waits a little, 0 to go on. */
static int sit_out(struct server *s, int rc)
{
	if (!s->short_of_something)
		anyc_report(rc, "serve: %s; trying again every 100 ms", anyc_error_detail(rc));
	s->short_of_something = true;
	return anyc_sleep(PAUSE);
}

static int wait_for_an_end(struct server *s)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	return anyc__waiters_wait(&s->below_limit, t, NULL, "a connection to end");
}

/* Until there are fewer connections, or the listener was closed, which accept says. */
static int wait_for_limit(struct server *s)
{
	int rc = 0;

	while (rc == 0 && s->options.limit != 0 && s->live >= s->options.limit &&
	       !s->listener->closed_)
		rc = wait_for_an_end(s);
	return rc;
}

/* One connection.  0 to go on, 1 if the listener was closed, or an error. */
static int serve_one(struct server *s, struct anyc_group *group)
{
	struct anyc_stream *stream = NULL;
	int rc = wait_for_limit(s);

	if (rc != 0)
		return rc;
	rc = anyc_listener_accept(s->listener, &stream);
	if (rc == 0) {
		rc = spawn_connection(s, group, stream);
		if (rc != 0)
			anyc_stream_free(stream);
	}
	if (rc == 0)
		s->short_of_something = false;
	else if (rc == ANYC_ECLOSED)
		return 1;
	else if (anyc__is_of_connection(rc))
		return anyc_checkpoint();
	else if (is_shortage(rc))
		return sit_out(s, rc);
	return rc;
}

static int serve_in(struct server *s, struct anyc_group *group)
{
	int rc;

	anyc__listener_hold(s->listener); /* it may be freed while serve is not inside accept */
	s->listener->full_ = &s->below_limit;
	do
		rc = serve_one(s, group);
	while (rc == 0);
	s->listener->full_ = NULL;
	anyc__listener_release(s->listener);
	return rc > 0 ? 0 : rc;
}

int anyc_serve_sized(struct anyc_listener *l, anyc_serve_fn *handler, void *arg,
		     const struct anyc_serve_options *options, size_t size)
{
	struct anyc_group own;
	struct anyc_task *t;
	struct server *s;
	int rc;

	if (l == NULL || handler == NULL)
		return anyc__refuse_arguments(0, "serve: the listener or the handler is NULL");
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	if (l->full_ != NULL)
		return anyc__refuse_state(0, ANYC_EBUSY, 0, "serve: another task serves the "
					  "connections of this listener");
	s = anyc__alloc(sizeof *s);
	if (s == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "serve: no memory");
	s->listener = l;
	s->handler = handler;
	s->arg = arg;
	s->users = 1;
	anyc__options_read(&s->options, sizeof s->options, options, size);
	if (s->options.group != NULL) {
		rc = serve_in(s, s->options.group);
	} else {
		anyc_group_enter(&own, NULL);
		rc = anyc_group_leave(&own, serve_in(s, &own));
	}
	server_release(s);
	return rc;
}

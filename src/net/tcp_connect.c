/* SPDX-License-Identifier: MIT */
/*
 * Connecting by TCP: Happy Eyeballs (RFC 8305).
 *
 * Rules
 *  - One candidate is connected to by the calling task itself.  Several race: a task for each, in
 *    a group of the call's; the caller starts them, one whenever an attempt has failed or the
 *    stagger has passed since the last start.
 *  - The first to connect is the winner and cancels the group.  Who comes second closes its
 *    socket.  Attempts never fail the group: their errors are kept with them.
 *  - A winner is a result: it beats a cancellation that comes while the others are being ended.
 *  - The descriptor is not watched before connect(2) has returned: until then it looks hung up.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include <anyc/backend.h>
#include <anyc/sync.h>

#include "resolve.h"
#include "connection.h"

#define DEFAULT_STAGGER (250 * ANYC_MILLISECOND)

struct race;
struct attempt {
	struct race *race;
	struct anyc_address address;
	const struct anyc_address *local; /* to bind to, or NULL */
	int rc;
};
struct race {
	struct anyc_group group;
	struct anyc_event changed; /* an attempt has ended; made anew for each wait */
	struct anyc_stream *winner;
	unsigned running, failed;
};
/* What is asked for, once the names are resolved. */
struct plan {
	const char *host, *port;
	int64_t stagger;
	struct attempt *attempt;
	size_t count, tried;
};

/* ------------------------------------------------------------------------------ one address */

static int open_socket(struct anyc__connection *c, const struct attempt *a)
{
	int fd =
		socket(a->address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	anyc__fd_init(&c->fd, fd, ANYC__FD_TCP);
	anyc__tcp_no_delay(fd);
	if (a->local == NULL)
		return 0;
	/* A port of one's own choice: its last connection may be in TIME_WAIT. */
	if (anyc_address_port(a->local) != 0)
		ANYC_IGNORE(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	if (bind(fd, (const struct sockaddr *)&a->local->storage, a->local->length) != 0)
		return -errno;
	return 0;
}

static int connect_result(int fd)
{
	int err = 0;
	socklen_t length = sizeof err;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length) != 0)
		return -errno;
	return -err;
}

static int connect_socket(struct anyc__connection *c, struct anyc_task *t)
{
	int rc;

	if (connect(c->fd.fd, (const struct sockaddr *)&c->remote.storage, c->remote.length) == 0)
		return 0;
	/* Interrupted, it goes on by itself. */
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	anyc__fd_drained(&c->fd, ANYC__READ);
	anyc__fd_drained(&c->fd, ANYC__WRITE);
	rc = anyc__fd_wait(&c->fd, t, ANYC__WRITE, "a connection");
	return rc != 0 ? rc : connect_result(c->fd.fd);
}

static int dial_kernel(struct anyc_stream **out, const struct attempt *a, struct anyc_task *t)
{
	struct anyc__connection *c = anyc__connection_new();
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->remote = a->address;
	rc = open_socket(c, a);
	if (rc == 0)
		rc = connect_socket(c, t);
	if (rc != 0)
		anyc__connection_drop(c);
	else
		*out = anyc__connection_open(c, false);
	return rc;
}

/* Connects; *out is NULL after a failure, and nothing is open. */
static int dial(struct anyc_stream **out, const struct attempt *a)
{
	const struct anyc_net_ops *net;
	struct anyc_task *t;
	void *self;
	int rc = anyc__enter(&t);

	*out = NULL;
	if (rc != 0)
		return rc;
	net = anyc__net(&self);
	return net != NULL ? net->connect(self, out, &a->address, a->local) :
			     dial_kernel(out, a, t);
}

/* ------------------------------------------------------------------------------- the race */

static int run_attempt(void *arg)
{
	struct attempt *a = arg;
	struct race *r = a->race;
	struct anyc_stream *s;

	a->rc = dial(&s, a);
	r->running--;
	if (a->rc == 0 && r->winner == NULL) {
		r->winner = s;
		anyc_group_cancel(&r->group, "another address was connected to first");
	} else if (a->rc == 0) {
		anyc_stream_free(s);
		a->rc = ANYC_ECANCELED;
	} else if (a->rc != ANYC_ECANCELED) {
		r->failed++;
	}
	anyc_event_set(&r->changed);
	return 0;
}

static void start_attempt(struct race *r, struct attempt *a)
{
	static const struct anyc_spawn_options options = { .name = "connect" };

	a->race = r;
	r->running++;
	a->rc = anyc_try_spawn(&r->group, run_attempt, a, &options);
	if (a->rc == 0)
		return;
	r->running--;
	r->failed++;
}

/* Waits until an attempt has ended, for `ns` at most. */
static int wait_for_change(struct race *r, int64_t ns)
{
	struct anyc_scope limit;

	memset(&r->changed, 0, sizeof r->changed);
	anyc_scope_enter_move_on(&limit, ns);
	return anyc_scope_leave(&limit, anyc_event_wait(&r->changed));
}

/* Starts the attempts one after the other; returns when one has won or all have ended. */
static int run_race(struct race *r, struct plan *p)
{
	unsigned used = 0; /* failures that have started another attempt */
	int64_t next = anyc_now();
	int rc = 0;

	while (rc == 0 && r->winner == NULL && (p->tried < p->count || r->running > 0)) {
		int64_t now = anyc_now(), left = p->tried < p->count ? next - now : ANYC_FOREVER;

		if (p->tried < p->count && (r->failed > used || left <= 0)) {
			used += r->failed > used;
			start_attempt(r, &p->attempt[p->tried++]);
			next = p->stagger < ANYC_FOREVER - now ? now + p->stagger : ANYC_FOREVER;
		} else {
			rc = wait_for_change(r, left);
		}
	}
	return rc;
}

static int race(struct anyc_stream **out, struct plan *p)
{
	struct race r;
	int rc;

	memset(&r, 0, sizeof r);
	anyc_group_enter(&r.group, NULL);
	rc = run_race(&r, p);
	/* The group's own cancellation is how a race ends. */
	rc = anyc_group_leave(&r.group, r.winner != NULL ? 0 : rc);
	if (rc < 0) {
		anyc_stream_free(r.winner);
		return rc;
	}
	*out = r.winner;
	return r.winner != NULL ? 0 : p->attempt[0].rc;
}

/* -------------------------------------------------------------------------------- the plan */

/* The first IPv6 address, the first IPv4 address, the rest as they come. */
static void interleave(struct anyc_addresses *list)
{
	static const int families[] = { AF_INET6, AF_INET };
	size_t i, n, place = 0;

	for (n = 0; n < 2; n++) {
		for (i = place; i < list->count; i++) {
			struct anyc_address a = list->list[i];

			if (a.storage.ss_family != families[n])
				continue;
			memmove(list->list + place + 1, list->list + place,
				(i - place) * sizeof *list->list);
			list->list[place++] = a;
			break;
		}
	}
}

static const struct anyc_address *local_for(const struct anyc_addresses *locals, int family)
{
	size_t i;

	for (i = 0; i < locals->count; i++)
		if (locals->list[i].storage.ss_family == family)
			return &locals->list[i];
	return NULL;
}

/* Pairs what there is to connect to with what is to be bound to; p->attempt has room. */
static void pair(struct plan *p, struct anyc_addresses *remotes,
		 const struct anyc_addresses *locals)
{
	size_t i;

	interleave(remotes);
	for (i = 0; i < remotes->count; i++) {
		struct attempt *a = &p->attempt[p->count];

		memset(a, 0, sizeof *a);
		a->address = remotes->list[i];
		a->local = local_for(locals, a->address.storage.ss_family);
		if (a->local != NULL || locals->count == 0)
			p->count++;
	}
}

/* What to bind to: nothing, a port of any address, or what local_host means. */
static int resolve_local(struct anyc_addresses *out, const struct anyc_tcp_connect_options *o)
{
	struct anyc_resolve_options ro = { .family = o->family, .passive = true };
	size_t i;
	int rc;

	memset(out, 0, sizeof *out);
	if (o->local_host == NULL && o->local_port == 0)
		return 0;
	rc = anyc_resolve(out, o->local_host, NULL, &ro);
	for (i = 0; rc == 0 && i < out->count; i++)
		anyc__address_set_port(&out->list[i], o->local_port);
	return rc;
}

/* ------------------------------------------------------------------------------- the result */

static int fail(const struct plan *p, int rc)
{
	bool literal6 = strchr(p->host, ':') != NULL;
	struct anyc__words w;
	char tried[48] = "";

	/* Core's own refusals have their sentence. */
	if (rc <= ANYC_ECANCELED && rc != ANYC_EAI_FAMILY)
		return rc;
	if (p->tried > 1)
		snprintf(tried, sizeof tried, " (%zu addresses tried)", p->tried);
	return anyc_fail(rc, rc > -4096 ? -rc : 0, "connect %s%s%s:%s: %s%s", literal6 ? "[" : "",
			 p->host, literal6 ? "]" : "", p->port, anyc__words(&w, rc), tried);
}

static void tell_attempts(const struct plan *p, const struct anyc_tcp_connect_options *o)
{
	size_t i, room;

	if (o->attempt_count == NULL)
		return;
	room = o->attempts != NULL ? *o->attempt_count : 0;
	for (i = 0; i < p->tried && i < room; i++) {
		o->attempts[i].address = p->attempt[i].address;
		o->attempts[i].rc = p->attempt[i].rc;
	}
	*o->attempt_count = p->tried;
}

static int connect_planned(struct anyc_stream **out, struct plan *p)
{
	int rc;

	if (p->count == 0)
		return fail(p, ANYC_EAI_FAMILY);
	if (p->count > 1) {
		rc = race(out, p);
	} else {
		p->tried = 1;
		rc = p->attempt[0].rc = dial(out, &p->attempt[0]);
	}
	return rc != 0 ? fail(p, rc) : 0;
}

static int connect_to(struct anyc_stream **out, struct plan *p,
		      const struct anyc_tcp_connect_options *o)
{
	struct anyc_resolve_options ro = { .family = o->family };
	struct anyc_addresses remotes = { 0 }, locals = { 0 };
	struct attempt one;
	int rc = anyc_resolve(&remotes, p->host, p->port, &ro);

	if (rc == 0)
		rc = resolve_local(&locals, o);
	if (rc == 0) {
		p->attempt =
			remotes.count == 1 ? &one : anyc__alloc(remotes.count * sizeof *p->attempt);
		rc = p->attempt != NULL ? 0 : fail(p, -ENOMEM);
	}
	if (rc == 0) {
		pair(p, &remotes, &locals);
		rc = connect_planned(out, p);
	}
	tell_attempts(p, o);
	if (p->attempt != &one)
		anyc__free(p->attempt);
	anyc_addresses_free(&remotes);
	anyc_addresses_free(&locals);
	return rc;
}

const char *anyc__tcp_bad_connect(const char *host, const char *port,
				  const struct anyc_tcp_connect_options *o)
{
	if (host == NULL || port == NULL)
		return "the host or the port is NULL";
	if (*port != '\0' && port[strspn(port, "0")] == '\0')
		return "nobody listens on port 0";
	if (o->local_port > 65535)
		return "the local port is above 65535";
	if (o->stagger < 0)
		return "the stagger is negative";
	if (o->attempts != NULL && o->attempt_count == NULL)
		return "attempts needs attempt_count";
	return NULL;
}

int anyc_tcp_connect_sized(struct anyc_stream **out, const char *host, const char *port,
			   const struct anyc_tcp_connect_options *options, size_t size)
{
	struct anyc_tcp_connect_options o;
	struct plan p = { .host = host, .port = port };
	const char *wrong;

	anyc__options_read(&o, sizeof o, options, size);
	if (out != NULL)
		*out = NULL;
	wrong = out == NULL ? "out is NULL" : anyc__tcp_bad_connect(host, port, &o);
	if (wrong != NULL)
		return anyc__refuse_arguments(0, "connect: %s", wrong);
	p.stagger = o.stagger != 0 ? o.stagger : DEFAULT_STAGGER;
	return connect_to(out, &p, &o);
}

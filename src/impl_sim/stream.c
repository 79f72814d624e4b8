/* SPDX-License-Identifier: MIT */
/* One end of a connection as a byte stream, and what may befall it; see net.h. */
#include <errno.h>
#include <string.h>

#include <anyc/error.h>
#include <anyc/task.h>

#include "net.h"

static struct anyc__sim_end *end_of(struct anyc_stream *s)
{
	return (struct anyc__sim_end *)(void *)s;
}

/* What every operation begins with. */
static int begin(const struct anyc__sim_end *e, unsigned flags)
{
	int rc = (flags & ANYC_NOWAIT) != 0 ? 0 : anyc_checkpoint_if_cancelled();

	return rc != 0 ? rc : anyc__sim_net_check(e->conn->sim);
}

static void yield(unsigned flags)
{
	if ((flags & ANYC_NOWAIT) == 0)
		ANYC_IGNORE(anyc_checkpoint_shielded());
}

/* The sentence of a TCP stream of the kernel's. */
static int broken(const struct anyc__sim_end *e, int os_errno, const char *what)
{
	struct anyc__sim_address_text peer;
	const char *reason = os_errno == EPIPE	    ? "broken pipe"
			     : os_errno == ENOTCONN ? "transport endpoint is not connected"
						    : "connection reset by peer";

	return anyc_fail(ANYC_EBROKEN, os_errno, "%s %s: %s", what,
			 anyc__sim_text(&peer, &e->remote), reason);
}

static int await(struct anyc__sim_end *e, struct anyc_event **slot, unsigned flags,
		 const char *what)
{
	int rc;

	if ((flags & ANYC_NOWAIT) != 0)
		return ANYC_EWOULDBLOCK;
	rc = anyc__sim_wait(slot);
	if (rc == 0 && e->closed)
		rc = anyc_fail(ANYC_ECLOSED, 0,
			       "another task has closed the stream while this one waited for %s",
			       what);
	if (rc == 0 && e->conn->sim == NULL)
		rc = anyc__sim_net_check(NULL);
	return rc;
}

/* -------------------------------------------------------------------- receiving, sending */

static size_t available(const struct anyc__sim_end *e, size_t size)
{
	const struct anyc__sim_parcel *p;
	size_t sum = 0;

	for (p = e->in.here.first; p != NULL && sum < size; p = p->next)
		sum += p->size - p->taken;
	return sum < size ? sum : size;
}

/* All, or a part drawn by lot. */
static size_t part_of(struct anyc__sim_end *e, size_t size, bool shortens)
{
	return shortens ? 1 + (size_t)anyc__sim_draw(e->conn->sim, size) : size;
}

static int sim_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct anyc__sim_end *e = end_of(s);
	int rc = begin(e, flags);

	while (rc == 0) {
		size_t n = available(e, size);

		if (n > 0) {
			n = part_of(e, n, e->conn->link.short_receives);
			n = anyc__sim_take(e, buf, n);
			yield(flags);
			return (int)n;
		}
		if (e->in.ended) {
			yield(flags);
			return 0;
		}
		if (e->broken != 0)
			return broken(e, e->broken, "receive from");
		rc = await(e, &e->reading, flags, "data");
	}
	return rc;
}

static size_t sum(const struct iovec *iov, int count)
{
	size_t n = 0;

	while (count-- > 0)
		n += iov[count].iov_len;
	return n;
}

static int sim_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct anyc__sim_end *e = end_of(s);
	int rc = begin(e, flags);

	while (rc == 0) {
		size_t size = sum(iov, count), room = anyc__sim_room(e);

		if (e->broken != 0)
			return broken(e, e->broken, "send to");
		if (room > 0) {
			size = size < room ? size : room;
			size = part_of(e, size, e->conn->link.short_sends);
			rc = anyc__sim_send(e, iov, count, size);
			if (rc > 0)
				yield(flags);
			return rc;
		}
		rc = await(e, &e->writing, flags, "room to send");
	}
	return rc;
}

static int sim_send_eof(struct anyc_stream *s)
{
	struct anyc__sim_end *e = end_of(s);
	int rc = begin(e, 0);

	if (rc != 0)
		return rc;
	if (e->broken != 0)
		return broken(e, ENOTCONN, "end sending to"); /* shutdown(2)'s */
	e->said_end = true;
	anyc__sim_send_fin(e);
	yield(0);
	return 0;
}

/* ------------------------------------------------------------------------- closing, facts */

/* With something unread the peer gets a reset, as on Linux. */
static int sim_close(struct anyc_stream *s, unsigned flags)
{
	struct anyc__sim_end *e = end_of(s);

	(void)flags; /* there is nothing to wait for */
	e->closed = true;
	if (e->broken == 0 && e->in.here.first != NULL)
		anyc__sim_send_reset(e);
	else if (e->broken == 0 && !e->said_end)
		anyc__sim_send_fin(e);
	anyc__sim_wake(&e->reading);
	anyc__sim_wake(&e->writing);
	return 0;
}

static void sim_free(struct anyc_stream *s)
{
	anyc__sim_conn_drop(end_of(s)->conn);
}

static int sim_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	const struct anyc__sim_end *e = end_of(s);

	if (attribute == &anyc_attribute_local_address)
		*(struct anyc_address *)out = e->local;
	else if (attribute == &anyc_attribute_remote_address)
		*(struct anyc_address *)out = e->remote;
	else
		return anyc_fail(ANYC_ENOATTR, 0, "a simulated TCP stream has no %s",
				 attribute->name);
	return 0;
}

static const struct anyc_stream_ops stream_ops = {
	.size = sizeof stream_ops,
	.name = "simulated TCP",
	.receive = sim_receive,
	.send_some = sim_send_some,
	.send_eof = sim_send_eof,
	.close = sim_close,
	.free = sim_free,
	.attribute = sim_attribute,
};

struct anyc_stream *anyc__sim_stream_open(struct anyc__sim_end *e)
{
	anyc_stream_init(&e->stream, &stream_ops);
	return &e->stream;
}

/* ------------------------------------------------------------------------- what befalls it */

/* The connection of a stream, or why there is none to do something to. */
static int find_conn(struct anyc__sim_conn **out, struct anyc_stream *s, const char *call)
{
	struct anyc__sim_end *e = end_of(s);

	if (s == NULL || s->ops_ != &stream_ops)
		return anyc_fail(ANYC_EINVAL, 0, "%s: it is no stream of a sim's network", call);
	if (e->closed)
		return anyc_fail(ANYC_ECLOSED, 0, "%s: the stream was closed on this side", call);
	*out = e->conn;
	return anyc__sim_net_check(e->conn->sim);
}

int anyc_sim_reset(struct anyc_stream *stream)
{
	struct anyc__sim_conn *c;
	int rc = find_conn(&c, stream, "anyc_sim_reset");

	if (rc != 0)
		return rc;
	anyc__sim_trace(c->sim, "reset by hand");
	anyc__sim_reset_conn(c);
	return 0;
}

int anyc_sim_vanish(struct anyc_stream *stream)
{
	struct anyc__sim_conn *c;
	int rc = find_conn(&c, stream, "anyc_sim_vanish");

	if (rc != 0)
		return rc;
	anyc__sim_trace(c->sim, "vanished by hand");
	anyc__sim_wires_vanish(c);
	return 0;
}

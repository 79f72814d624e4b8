/* SPDX-License-Identifier: MIT */
/*
 * What is on the way between the ends of a connection, and arrives.
 *
 * Rules
 *  - Data that arrives at a closed end is answered by a reset, once.
 *  - What had arrived before a reset can still be received, as on Linux.
 *  - A reset that follows the end of the data breaks with EPIPE, any other with ECONNRESET.
 *  - Arrivals wake tasks; they run none.
 */
#include <errno.h>
#include <string.h>

#include <anyc/error.h>

#include "net.h"

#define WINDOW 65536
#define DATA_MAX 65536 /* of one parcel */

/* ---------------------------------------------------------------------------------- lists */

static void append(struct anyc__sim_parcels *list, struct anyc__sim_parcel *p)
{
	p->next = NULL;
	if (list->first != NULL)
		list->last->next = p;
	else
		list->first = p;
	list->last = p;
}

static struct anyc__sim_parcel *shift(struct anyc__sim_parcels *list)
{
	struct anyc__sim_parcel *p = list->first;

	list->first = p->next;
	return p;
}

static void clear(struct anyc__sim_parcels *list)
{
	while (list->first != NULL) {
		struct anyc__sim_parcel *p = shift(list);

		if (p->kind == PARCEL_DATA)
			anyc_engine_operations()->free(p);
	}
}

/* ------------------------------------------------------------------------------- arriving */

/* An end that data reaches when it is closed has nobody to give it to. */
static void arrive_data(struct anyc__sim_end *to, struct anyc__sim_parcel *p)
{
	struct anyc__sim_conn *c = to->conn;

	if (to->closed) {
		to->in.held -= p->size;
		c->sim->ops->free(p);
		anyc__sim_send_reset(to);
		return;
	}
	append(&to->in.here, p);
	anyc__sim_wake(&to->reading);
}

void anyc__sim_break(struct anyc__sim_end *e, int os_errno)
{
	if (e->broken == 0)
		e->broken = os_errno;
	anyc__sim_wake(&e->reading);
	anyc__sim_wake(&e->writing);
}

void anyc__sim_reset_conn(struct anyc__sim_conn *c)
{
	anyc__sim_wires_vanish(c); /* what was on the way is lost */
	anyc__sim_break(&c->end[0], ECONNRESET);
	anyc__sim_break(&c->end[1], ECONNRESET);
}

/* Whether something befalls the connection instead of an arrival. */
static bool befalls(struct anyc__sim_conn *c, const struct anyc__sim_parcel *p)
{
	if (p->kind != PARCEL_DATA)
		return false;
	if (anyc__sim_chance(c->sim, c->link.vanish)) {
		anyc__sim_trace(c->sim, "vanished by lot");
		anyc__sim_wires_vanish(c);
		return true;
	}
	if (!anyc__sim_chance(c->sim, c->link.reset))
		return false;
	anyc__sim_trace(c->sim, "reset by lot");
	anyc__sim_reset_conn(c);
	return true;
}

static void arrive(struct anyc__sim_end *to, struct anyc__sim_parcel *p)
{
	static const char *const names[] = { "data", "end", "reset" };
	struct anyc__sim_address_text from, at;

	anyc__sim_trace(to->conn->sim, "%s %s > %s %zu", names[p->kind],
			anyc__sim_text(&from, &to->remote), anyc__sim_text(&at, &to->local),
			p->size);
	switch (p->kind) {
	case PARCEL_DATA:
		arrive_data(to, p);
		break;
	case PARCEL_FIN:
		to->in.ended = true;
		anyc__sim_wake(&to->reading);
		break;
	case PARCEL_RESET:
		anyc__sim_break(to, to->in.ended ? EPIPE : ECONNRESET);
		break;
	}
}

/* All that is due, in the order it was sent; sets the event for the rest. */
static void arrivals(struct anyc__sim_end *to)
{
	struct anyc__sim_conn *c = to->conn;
	struct anyc__sim_parcels *coming = &to->in.coming;

	while (!c->vanished && coming->first != NULL && coming->first->arrives <= c->sim->now)
		if (!befalls(c, coming->first))
			arrive(to, shift(coming));
	if (!c->vanished && coming->first != NULL && !to->in.arrival.set)
		anyc__sim_event_set(c->sim, &to->in.arrival, coming->first->arrives);
}

static void arrival_happens(struct anyc__sim_event *event)
{
	size_t place = offsetof(struct anyc__sim_end, in.arrival);

	arrivals((void *)((char *)event - place));
}

void anyc__sim_wire_init(struct anyc__sim_end *to)
{
	to->in.arrival.happen = arrival_happens;
	to->in.fin.kind = PARCEL_FIN;
	to->in.reset.kind = PARCEL_RESET;
}

/* -------------------------------------------------------------------------------- sending */

int64_t anyc__sim_after_latency(struct anyc__sim_conn *c)
{
	int64_t jitter = c->link.jitter > 0 ?
				 (int64_t)anyc__sim_draw(c->sim, (uint64_t)c->link.jitter) : 0;

	return anyc__sim_later(c->sim->now, anyc__sim_later(c->link.latency, jitter));
}

/* Puts it on the way, to arrive behind what is there already. */
static void put(struct anyc__sim_end *to, struct anyc__sim_parcel *p)
{
	struct anyc__sim_conn *c = to->conn;
	struct anyc__sim_wire *in = &to->in;
	int64_t when = anyc__sim_after_latency(c), begin, took;

	if (p->kind == PARCEL_DATA && c->link.bandwidth > 0) {
		begin = in->idle > c->sim->now ? in->idle : c->sim->now;
		took = (int64_t)p->size * ANYC_SECOND / c->link.bandwidth;
		in->idle = anyc__sim_later(begin, took);
		when = anyc__sim_later(when, in->idle - c->sim->now);
	}
	p->arrives = when;
	append(&in->coming, p);
	arrivals(to);
}

size_t anyc__sim_room(struct anyc__sim_end *from)
{
	size_t window = from->conn->link.window != 0 ? from->conn->link.window : WINDOW;
	size_t held = other_end(from)->in.held;

	return held < window ? window - held : 0;
}

int anyc__sim_send(struct anyc__sim_end *from, const struct iovec *iov, int count, size_t size)
{
	struct anyc_sim *sim = from->conn->sim;
	struct anyc__sim_end *to = other_end(from);
	struct anyc__sim_parcel *p;
	size_t done = 0;
	int i;

	size = size < DATA_MAX ? size : DATA_MAX;
	p = sim->ops->alloc(sizeof *p + size);
	if (p == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory for data on the way");
	p->data = (unsigned char *)(p + 1);
	p->size = size;
	for (i = 0; i < count && done < size; i++) {
		size_t n = iov[i].iov_len < size - done ? iov[i].iov_len : size - done;

		memcpy(p->data + done, iov[i].iov_base, n);
		done += n;
	}
	to->in.held += size;
	put(to, p);
	return (int)size;
}

static void send_once(struct anyc__sim_end *to, struct anyc__sim_parcel *p)
{
	if (p->sent || to->conn->sim == NULL)
		return;
	p->sent = true;
	put(to, p);
}

void anyc__sim_send_fin(struct anyc__sim_end *from)
{
	send_once(other_end(from), &other_end(from)->in.fin);
}

void anyc__sim_send_reset(struct anyc__sim_end *from)
{
	send_once(other_end(from), &other_end(from)->in.reset);
}

/* ------------------------------------------------------------------------------ receiving */

size_t anyc__sim_take(struct anyc__sim_end *e, void *buf, size_t size)
{
	struct anyc_sim *sim = e->conn->sim;
	struct anyc__sim_parcels *here = &e->in.here;
	size_t done = 0;

	while (done < size && here->first != NULL) {
		struct anyc__sim_parcel *p = here->first;
		size_t left = p->size - p->taken;
		size_t n = left < size - done ? left : size - done;

		memcpy((char *)buf + done, p->data + p->taken, n);
		done += n;
		p->taken += n;
		if (p->taken == p->size)
			sim->ops->free(shift(here));
	}
	e->in.held -= done;
	anyc__sim_wake(&other_end(e)->writing);
	return done;
}

/* --------------------------------------------------------------------------------- the end */

void anyc__sim_wire_clear(struct anyc__sim_end *to)
{
	if (to->conn->sim != NULL)
		anyc__sim_event_unset(to->conn->sim, &to->in.arrival);
	clear(&to->in.coming);
	clear(&to->in.here);
}

void anyc__sim_wires_vanish(struct anyc__sim_conn *c)
{
	c->vanished = true;
	anyc__sim_event_unset(c->sim, &c->end[0].in.arrival);
	anyc__sim_event_unset(c->sim, &c->end[1].in.arrival);
}

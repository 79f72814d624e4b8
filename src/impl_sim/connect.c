/* SPDX-License-Identifier: MIT */
/*
 * Connecting on a sim's network; see net.h.
 *
 * Rules
 *  - The question takes one way's time, the answer another.  The listener has the connection when
 *    the question has arrived, so its data may be there as soon as the answer.
 *  - A listener that is full does not answer.  The question is sent again, as Linux does: a second
 *    later, then two, four... and given up after 127.
 *  - Who gives up resets what the listener may have.
 *  - Who chose a port shares it with others that did, as by SO_REUSEADDR, but not with a listener.
 *    Two connections are never between the same addresses and ports.
 */
#include <errno.h>
#include <string.h>

#include <anyc/error.h>
#include <anyc/task.h>

#include "net.h"

#define TRIES 7

/* ------------------------------------------------------------------------------ its memory */

static void conn_link(struct anyc__sim_conn *c)
{
	struct anyc__sim_net *net = c->sim->net;

	c->next = net->conns;
	if (c->next != NULL)
		c->next->before = c;
	net->conns = c;
	anyc__sim_use_port(c->sim, &c->end[0].local, 1);
}

static void conn_free(struct anyc__sim_conn *c)
{
	struct anyc_sim *sim = c->sim;
	int i;

	for (i = 0; i < 2; i++)
		anyc__sim_wire_clear(&c->end[i]);
	if (sim != NULL) {
		anyc__sim_event_unset(sim, &c->progress);
		anyc__sim_use_port(sim, &c->end[0].local, -1);
		if (c->before != NULL)
			c->before->next = c->next;
		else
			sim->net->conns = c->next;
		if (c->next != NULL)
			c->next->before = c->before;
	}
	anyc_engine_operations()->free(c);
}

void anyc__sim_conn_drop(struct anyc__sim_conn *c)
{
	if (--c->held == 0)
		conn_free(c);
}

/* -------------------------------------------------------------------------------- progress */

static void answer(struct anyc__sim_conn *c, int result)
{
	c->result = result;
	c->connecting = CONNECT_ANSWERED;
	anyc__sim_event_set(c->sim, &c->progress, anyc__sim_after_latency(c));
}

/* No answer: the question is sent again, or has been often enough. */
static void ask_again(struct anyc__sim_conn *c)
{
	int64_t pause = ANYC_SECOND << c->tries++;

	if (c->tries == TRIES) {
		c->result = -ETIMEDOUT;
		c->connecting = CONNECT_ANSWERED;
	}
	anyc__sim_event_set(c->sim, &c->progress, anyc__sim_later(c->sim->now, pause));
}

/* The question has arrived. */
static void asked(struct anyc__sim_conn *c)
{
	struct anyc__sim_listener *l = anyc__sim_listener_for(c->sim, &c->end[1].local);
	bool refused = c->link.reach == ANYC_SIM_REFUSES || l == NULL;

	if (c->link.reach == ANYC_SIM_HANGS) {
		ask_again(c);
	} else if (refused || anyc__sim_chance(c->sim, c->link.refuse)) {
		answer(c, -ECONNREFUSED);
	} else if (anyc__sim_listener_full(l)) {
		ask_again(c);
	} else {
		anyc__sim_listener_take(l, c);
		answer(c, 0);
	}
}

static void done(struct anyc__sim_conn *c)
{
	struct anyc__sim_address_text from, to;

	c->connecting = CONNECT_DONE;
	anyc__sim_trace(c->sim, "connect %s > %s %s", anyc__sim_text(&from, &c->end[0].local),
			anyc__sim_text(&to, &c->end[0].remote),
			c->result == 0 ? "connected" : anyc_err_name(c->result));
	anyc__sim_wake(&c->caller);
}

static void progress(struct anyc__sim_event *event)
{
	size_t place = offsetof(struct anyc__sim_conn, progress);
	struct anyc__sim_conn *c = (void *)((char *)event - place);

	if (c->connecting == CONNECT_ASKS)
		asked(c);
	else
		done(c);
}

/* -------------------------------------------------------------------------------- addresses */

/* An end's address as IPv4 or IPv6 has it, whatever its socket is. */
static struct anyc_address plain(const struct anyc_address *a)
{
	struct anyc_address copy = *a;

	anyc__sim_unmap(&copy);
	return copy;
}

static bool is_same_place(const struct anyc_address *a, const struct anyc_address *b)
{
	return anyc_address_port(a) == anyc_address_port(b) && anyc__sim_same_host(a, b);
}

/* The port of who connected is given up by a reset, or when both directions have ended. */
static bool has_port(const struct anyc__sim_conn *c)
{
	const struct anyc__sim_wire *to = &c->end[0].in, *from = &c->end[1].in;

	return c->end[0].broken == 0 && !from->reset.sent && !(from->fin.sent && to->ended);
}

bool anyc__sim_has_caller(const struct anyc_sim *sim, const struct anyc_address *a)
{
	const struct anyc__sim_conn *c;

	for (c = sim->net->conns; c != NULL; c = c->next) {
		struct anyc_address from = plain(&c->end[0].local);

		if (!c->chose_port && has_port(c) &&
		    anyc_address_port(&from) == anyc_address_port(a) &&
		    anyc__sim_serves(a, &from))
			return true;
	}
	return false;
}

/* There is a connection from and to these addresses and ports. */
static bool has_conn(const struct anyc_sim *sim, const struct anyc_address *local,
		     const struct anyc_address *remote)
{
	const struct anyc__sim_conn *c;

	for (c = sim->net->conns; c != NULL; c = c->next) {
		struct anyc_address from = plain(&c->end[0].local);
		struct anyc_address to = plain(&c->end[1].local);

		if (has_port(c) && !c->end[0].closed && is_same_place(&from, local) &&
		    is_same_place(&to, remote))
			return true;
	}
	return false;
}

static struct anyc_address any4(unsigned port)
{
	struct anyc_address a = { .length = sizeof(struct sockaddr_in) };

	a.storage.ss_family = AF_INET;
	anyc__sim_set_port(&a, port);
	return a;
}

/* Whether the port of one's own choice is somebody else's; a socket on :: is on 0.0.0.0, too. */
static bool is_taken(const struct anyc_sim *sim, const struct anyc_address *from)
{
	struct anyc_address at = plain(from), four = any4(anyc_address_port(from));

	if (anyc__sim_is_taken(sim, &at, false))
		return true;
	return at.storage.ss_family == AF_INET6 && anyc__sim_is_any(&at) &&
	       anyc__sim_is_taken(sim, &four, false);
}

/*
 * Where it goes to and comes from: both of one family, whatever their socket's is.  To all
 * addresses is to the one that it comes from, if that is known, or to the loopback.
 */
static int choose_hosts(struct anyc_address *local, struct anyc_address *remote,
			const struct anyc_address *to, const struct anyc_address *from)
{
	unsigned port = anyc_address_port(to);

	*remote = plain(to);
	*local = plain(from != NULL ? from : to);
	if (local->storage.ss_family == AF_INET && remote->storage.ss_family == AF_INET6) {
		if (!anyc__sim_is_any(remote))
			return -EAFNOSUPPORT;
		*remote = any4(port);
		anyc__sim_be_loopback(remote);
	} else if (local->storage.ss_family != remote->storage.ss_family) {
		if (!anyc__sim_is_any(local))
			return -ENETUNREACH;
		*local = any4(0);
	}
	if (anyc__sim_is_any(remote) && remote->storage.ss_family == AF_INET)
		*remote = *local;
	anyc__sim_be_loopback(remote);
	anyc__sim_set_port(remote, port);
	if (anyc__sim_is_any(local))
		*local = *remote;
	return 0;
}

static int choose(struct anyc_sim *sim, struct anyc_address *local, struct anyc_address *remote,
		  const struct anyc_address *to, const struct anyc_address *from)
{
	unsigned port = from != NULL ? anyc_address_port(from) : 0;
	bool chosen = port != 0;
	int rc;

	if (chosen && is_taken(sim, from))
		return -EADDRINUSE;
	rc = choose_hosts(local, remote, to, from);
	if (rc != 0)
		return rc;
	if (!chosen)
		port = anyc__sim_free_port(sim);
	anyc__sim_set_port(local, port);
	return port == 0 || (chosen && has_conn(sim, local, remote)) ? -EADDRNOTAVAIL : 0;
}

static int conn_new(struct anyc__sim_conn **out, struct anyc_sim *sim,
		    const struct anyc_address *to, const struct anyc_address *from)
{
	struct anyc_address local, remote;
	struct anyc__sim_conn *c;
	int i, rc = choose(sim, &local, &remote, to, from);

	if (rc != 0)
		return rc;
	c = sim->ops->alloc(sizeof *c);
	if (c == NULL)
		return -ENOMEM;
	c->sim = sim;
	c->link = *anyc__sim_link_of(sim, &remote);
	c->held = 1;
	c->chose_port = from != NULL && anyc_address_port(from) != 0;
	c->progress.happen = progress;
	for (i = 0; i < 2; i++) {
		c->end[i].conn = c;
		c->end[i].local = i == 0 ? local : remote;
		c->end[i].remote = i == 0 ? *to : local;
		anyc__sim_wire_init(&c->end[i]);
	}
	if (to->storage.ss_family == AF_INET6)
		anyc__sim_map(&c->end[0].local);
	conn_link(c);
	*out = c;
	return 0;
}

/* -------------------------------------------------------------------------------- the call */

/* The caller does not want it any more. */
static void give_up(struct anyc__sim_conn *c)
{
	c->end[0].closed = true;
	if (c->sim != NULL)
		anyc__sim_event_unset(c->sim, &c->progress);
	anyc__sim_send_reset(&c->end[0]);
	anyc__sim_conn_drop(c);
}

int anyc__sim_connect(void *self, struct anyc_stream **out, const struct anyc_address *to,
		      const struct anyc_address *from)
{
	struct anyc__sim_conn *c;
	int rc = conn_new(&c, self, to, from);

	if (rc != 0)
		return rc;
	if (c->link.reach == ANYC_SIM_UNREACHABLE) {
		anyc__sim_conn_drop(c);
		ANYC_IGNORE(anyc_checkpoint_shielded());
		return -EHOSTUNREACH;
	}
	anyc__sim_event_set(c->sim, &c->progress, anyc__sim_after_latency(c));
	rc = anyc__sim_wait(&c->caller);
	if (rc == 0)
		rc = c->result;
	if (rc != 0) {
		give_up(c);
		return rc;
	}
	*out = anyc__sim_stream_open(&c->end[0]);
	return 0;
}

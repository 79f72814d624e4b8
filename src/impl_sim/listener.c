/* SPDX-License-Identifier: MIT */
/* Listeners of a sim's network; see net.h. */
#include <errno.h>
#include <string.h>

#include <anyc/error.h>
#include <anyc/task.h>

#include "net.h"

#define BACKLOG 4096

static struct anyc__sim_listener *listener_of(struct anyc_listener *l)
{
	return (struct anyc__sim_listener *)(void *)l;
}

/* ---------------------------------------------------------------------------------- accept */

bool anyc__sim_listener_full(const struct anyc__sim_listener *l)
{
	return l->queued > l->backlog; /* one more than asked for, as on Linux */
}

void anyc__sim_listener_take(struct anyc__sim_listener *l, struct anyc__sim_conn *c)
{
	if (l->dual) {
		anyc__sim_map(&c->end[1].local);
		anyc__sim_map(&c->end[1].remote);
	}
	c->held++;
	c->next_queued = NULL;
	if (l->first != NULL)
		l->last->next_queued = c;
	else
		l->first = c;
	l->last = c;
	l->queued++;
	anyc__sim_wake(&l->accepting);
}

static struct anyc__sim_conn *take(struct anyc__sim_listener *l)
{
	struct anyc__sim_conn *c = l->first;

	l->first = c->next_queued;
	l->queued--;
	return c;
}

static int sim_accept(struct anyc_listener *base, struct anyc_stream **out)
{
	struct anyc__sim_listener *l = listener_of(base);
	int rc = anyc_checkpoint_if_cancelled();

	if (rc == 0)
		rc = anyc__sim_net_check(l->sim);
	while (rc == 0 && l->first == NULL) {
		rc = anyc__sim_wait(&l->accepting);
		if (l->base.closed_)
			rc = anyc_fail(ANYC_ECLOSED, 0,
				       "accept: another task has closed the listener");
		else if (rc == 0)
			rc = anyc__sim_net_check(l->sim);
	}
	if (rc != 0)
		return rc;
	*out = anyc__sim_stream_open(&take(l)->end[1]);
	ANYC_IGNORE(anyc_checkpoint_shielded());
	return 0;
}

/* --------------------------------------------------------------------------------- the rest */

static void leave_net(struct anyc__sim_listener *l)
{
	struct anyc__sim_listener **at;
	size_t i;

	if (l->sim == NULL)
		return;
	for (at = &l->sim->net->listeners; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	for (i = 0; i < l->count; i++)
		anyc__sim_use_port(l->sim, &l->address[i], -1);
}

/* Who was not accepted is reset. */
static int sim_listener_close(struct anyc_listener *base, unsigned flags)
{
	struct anyc__sim_listener *l = listener_of(base);

	(void)flags;
	leave_net(l);
	while (l->first != NULL) {
		struct anyc__sim_conn *c = take(l);

		c->end[1].closed = true;
		anyc__sim_send_reset(&c->end[1]);
		anyc__sim_conn_drop(c);
	}
	anyc__sim_wake(&l->accepting);
	return 0;
}

static void sim_listener_free(struct anyc_listener *base)
{
	anyc_engine_operations()->free(listener_of(base));
}

static int sim_listener_attribute(struct anyc_listener *base,
				  const struct anyc_attribute *attribute, void *out)
{
	if (attribute != &anyc_attribute_local_address)
		return anyc_fail(ANYC_ENOATTR, 0, "a simulated TCP listener has no %s",
				 attribute->name);
	*(struct anyc_address *)out = listener_of(base)->address[0];
	return 0;
}

static const struct anyc_listener_ops listener_ops = {
	.size = sizeof listener_ops,
	.name = "simulated TCP",
	.accept = sim_accept,
	.close = sim_listener_close,
	.free = sim_listener_free,
	.attribute = sim_listener_attribute,
};

/* ---------------------------------------------------------------------------------- listen */

bool anyc__sim_serves(const struct anyc_address *at, const struct anyc_address *to)
{
	return at->storage.ss_family == to->storage.ss_family &&
	       (anyc__sim_is_any(at) || anyc__sim_same_host(at, to));
}

bool anyc__sim_is_taken(const struct anyc_sim *sim, const struct anyc_address *a, bool reuse_port)
{
	const struct anyc__sim_listener *l;
	size_t i;

	if (anyc__sim_has_caller(sim, a))
		return true;
	for (l = sim->net->listeners; l != NULL; l = l->next) {
		for (i = 0; i < l->count && !(reuse_port && l->reuse_port); i++) {
			const struct anyc_address *at = &l->address[i];

			if (anyc_address_port(at) == anyc_address_port(a) &&
			    (anyc__sim_serves(at, a) || anyc__sim_serves(a, at)))
				return true;
		}
	}
	return false;
}

/* How well a listener fits: 2: it names the address, 1: it listens on all, 0: not at all. */
static int fits(const struct anyc__sim_listener *l, const struct anyc_address *to)
{
	int best = 0;
	size_t i;

	for (i = 0; i < l->count; i++) {
		const struct anyc_address *at = &l->address[i];
		int fit = anyc__sim_is_any(at) ? 1 : 2;

		if (anyc_address_port(at) == anyc_address_port(to) && anyc__sim_serves(at, to) &&
		    fit > best)
			best = fit;
	}
	return best;
}

/* Of several on one port, one drawn by lot. */
struct anyc__sim_listener *anyc__sim_listener_for(struct anyc_sim *sim,
						  const struct anyc_address *to)
{
	struct anyc__sim_listener *l, *chosen = NULL;
	uint64_t equal = 0;
	int best = 1;

	for (l = sim->net->listeners; l != NULL; l = l->next) {
		int fit = fits(l, to);

		if (fit < best)
			continue;
		equal = fit > best ? 1 : equal + 1;
		best = fit;
		if (equal == 1 || anyc__sim_draw(sim, equal) == 0)
			chosen = l;
	}
	return chosen;
}

static bool has_any(const struct anyc_addresses *list, int family)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->list[i].storage.ss_family == family && anyc__sim_is_any(&list->list[i]))
			return true;
	return false;
}

/* A socket of IPv6 alone is bound to no address of IPv4. */
static bool has_mapped(const struct anyc_addresses *list)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		struct anyc_address a = list->list[i];

		anyc__sim_unmap(&a);
		if (a.storage.ss_family != list->list[i].storage.ss_family)
			return true;
	}
	return false;
}

static struct anyc__sim_listener *listener_new(struct anyc_sim *sim,
					       const struct anyc_addresses *list, unsigned port,
					       const struct anyc_tcp_listen_options *o)
{
	struct anyc__sim_listener *l =
		sim->ops->alloc(sizeof *l + list->count * sizeof l->address[0]);
	size_t i;

	if (l == NULL)
		return NULL;
	l->sim = sim;
	l->backlog = o->backlog > 0 ? (size_t)o->backlog : BACKLOG;
	l->reuse_port = o->reuse_port;
	l->count = list->count;
	l->dual = has_any(list, AF_INET) && has_any(list, AF_INET6);
	for (i = 0; i < l->count; i++) {
		l->address[i] = list->list[i];
		anyc__sim_set_port(&l->address[i], port);
		anyc__sim_use_port(sim, &l->address[i], 1);
	}
	l->next = sim->net->listeners;
	sim->net->listeners = l;
	anyc_listener_init(&l->base, &listener_ops);
	return l;
}

int anyc__sim_listen(void *self, struct anyc_listener **out, const struct anyc_addresses *list,
		     const struct anyc_tcp_listen_options *options)
{
	struct anyc_sim *sim = self;
	unsigned port = anyc_address_port(&list->list[0]);
	struct anyc__sim_address_text text;
	struct anyc__sim_listener *l;
	size_t i;

	if (has_mapped(list))
		return -EINVAL;
	if (port == 0)
		port = anyc__sim_free_port(sim);
	else
		for (i = 0; i < list->count; i++)
			if (anyc__sim_is_taken(sim, &list->list[i], options->reuse_port))
				return -EADDRINUSE;
	if (port == 0)
		return -EADDRINUSE;
	l = listener_new(sim, list, port, options);
	if (l == NULL)
		return -ENOMEM;
	anyc__sim_trace(sim, "listen %s", anyc__sim_text(&text, &l->address[0]));
	*out = &l->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* A sim's network as a whole: its names, links, addresses and ports; see net.h. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <anyc/error.h>

#include "net.h"

#define FIRST_FREE_PORT 32768
#define LAST_FREE_PORT 60999
#define MILLION 1000000

/* ------------------------------------------------------------------------------ addresses */

static const struct sockaddr_in *in4(const struct anyc_address *a)
{
	return (const void *)&a->storage;
}

static const struct sockaddr_in6 *in6(const struct anyc_address *a)
{
	return (const void *)&a->storage;
}

bool anyc__sim_same_host(const struct anyc_address *a, const struct anyc_address *b)
{
	if (a->storage.ss_family != b->storage.ss_family)
		return false;
	if (a->storage.ss_family == AF_INET)
		return in4(a)->sin_addr.s_addr == in4(b)->sin_addr.s_addr;
	return memcmp(&in6(a)->sin6_addr, &in6(b)->sin6_addr, sizeof in6(a)->sin6_addr) == 0;
}

/* An address of IPv6 that is one of IPv4 (RFC 4291 2.5.5.2) becomes that. */
void anyc__sim_unmap(struct anyc_address *a)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	const struct sockaddr_in6 *six = in6(a);

	if (a->storage.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return;
	four.sin_port = six->sin6_port;
	memcpy(&four.sin_addr, six->sin6_addr.s6_addr + 12, sizeof four.sin_addr);
	memset(&a->storage, 0, sizeof a->storage);
	memcpy(&a->storage, &four, sizeof four);
	a->length = sizeof four;
}

void anyc__sim_map(struct anyc_address *a)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };

	if (a->storage.ss_family != AF_INET)
		return;
	six.sin6_port = in4(a)->sin_port;
	memset(six.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(six.sin6_addr.s6_addr + 12, &in4(a)->sin_addr, sizeof in4(a)->sin_addr);
	memcpy(&a->storage, &six, sizeof six);
	a->length = sizeof six;
}

bool anyc__sim_is_any(const struct anyc_address *a)
{
	return a->storage.ss_family == AF_INET ? in4(a)->sin_addr.s_addr == htonl(INADDR_ANY)
					       : IN6_IS_ADDR_UNSPECIFIED(&in6(a)->sin6_addr);
}

void anyc__sim_be_loopback(struct anyc_address *a)
{
	struct sockaddr_in *four = (void *)&a->storage;
	struct sockaddr_in6 *six = (void *)&a->storage;

	if (!anyc__sim_is_any(a))
		return;
	if (a->storage.ss_family == AF_INET)
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		six->sin6_addr = in6addr_loopback;
}

void anyc__sim_set_port(struct anyc_address *a, unsigned port)
{
	struct sockaddr_in *four = (void *)&a->storage;
	struct sockaddr_in6 *six = (void *)&a->storage;

	if (a->storage.ss_family == AF_INET)
		four->sin_port = htons((uint16_t)port);
	else
		six->sin6_port = htons((uint16_t)port);
}

const char *anyc__sim_text(struct anyc__sim_address_text *t, const struct anyc_address *a)
{
	anyc_address_format(a, t->text, sizeof t->text);
	return t->text;
}

/* ---------------------------------------------------------------------------------- ports */

unsigned anyc__sim_free_port(struct anyc_sim *sim)
{
	struct anyc__sim_net *net = sim->net;
	unsigned i;

	for (i = FIRST_FREE_PORT; i <= LAST_FREE_PORT; i++) {
		unsigned port = net->next_port;

		net->next_port = port < LAST_FREE_PORT ? port + 1 : FIRST_FREE_PORT;
		if (net->uses[port] == 0)
			return port;
	}
	return 0;
}

void anyc__sim_use_port(struct anyc_sim *sim, const struct anyc_address *a, int change)
{
	uint16_t *uses = &sim->net->uses[anyc_address_port(a) & 0xffffU];

	*uses = (uint16_t)(*uses + change);
}

/* -------------------------------------------------------------------------- time and chance */

int64_t anyc__sim_later(int64_t when, int64_t ns)
{
	return ns >= ANYC_FOREVER - when ? ANYC_FOREVER : when + ns;
}

bool anyc__sim_chance(struct anyc_sim *sim, uint32_t in_a_million)
{
	return in_a_million != 0 && anyc__sim_draw(sim, MILLION) < in_a_million;
}

/* ---------------------------------------------------------------------------------- waiting */

int anyc__sim_net_check(const struct anyc_sim *sim)
{
	const struct anyc_loop *loop = anyc_current_loop();

	if (sim == NULL)
		return anyc_fail(ANYC_EGONE, 0, "the sim of this connection was freed");
	if (loop != NULL ? anyc_loop_native(loop) != sim :
			   !pthread_equal(sim->thread, pthread_self()))
		return anyc_fail(ANYC_ETHREAD, 0, "the connection belongs to another loop's sim");
	return 0;
}

int anyc__sim_wait(struct anyc_event **slot)
{
	struct anyc_event event = { 0 };
	int rc;

	*slot = &event;
	rc = anyc_event_wait(&event);
	if (*slot == &event)
		*slot = NULL;
	return rc;
}

void anyc__sim_wake(struct anyc_event **slot)
{
	struct anyc_event *event = *slot;

	*slot = NULL;
	if (event != NULL)
		ANYC_IGNORE(anyc_event_set(event));
}

/* ---------------------------------------------------------------------------------- links */

const char *anyc__sim_link_wrong(const struct anyc_sim_link *link)
{
	size_t i;

	if (link->latency < 0 || link->jitter < 0 || link->bandwidth < 0)
		return "a link's latency, jitter or bandwidth is negative";
	if (link->refuse > MILLION || link->reset > MILLION || link->vanish > MILLION)
		return "a link's chance is above a million in a million";
	if ((unsigned)link->reach > ANYC_SIM_UNREACHABLE)
		return "a link's reach is none that there is";
	for (i = 0; i < sizeof link->reserved_; i++)
		if (link->reserved_[i] != 0)
			return "a link has an option that this version of anyc does not know";
	return NULL;
}

static struct anyc__sim_exception *exception_of(const struct anyc_sim *sim,
						const struct anyc_address *a)
{
	struct anyc__sim_exception *x = sim->net->exceptions;

	while (x != NULL && !anyc__sim_same_host(&x->address, a))
		x = x->next;
	return x;
}

const struct anyc_sim_link *anyc__sim_link_of(const struct anyc_sim *sim,
					      const struct anyc_address *a)
{
	const struct anyc__sim_exception *x = exception_of(sim, a);

	return x != NULL ? &x->link : &sim->options.link;
}

static int check_net(const struct anyc_sim *sim, const char *call)
{
	int rc = anyc__sim_check(sim, call);

	if (rc == 0 && sim->net == NULL)
		rc = anyc__sim_misuse(ANYC_EMISUSE,
				      "%s: the sim has no network of its own; make it with the "
				      "option",
				      call);
	return rc;
}

static int read_address(struct anyc_address *a, const char *text, const char *call)
{
	if (text == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s: the address is NULL", call);
	return anyc_address_parse(a, text, 0);
}

int anyc_sim_set_link_sized(struct anyc_sim *sim, const char *address,
			    const struct anyc_sim_link *link, size_t size)
{
	struct anyc_sim_link l = { 0 };
	struct anyc_address a;
	struct anyc__sim_exception *x;
	const char *wrong;
	int rc = check_net(sim, "anyc_sim_set_link");

	if (rc == 0)
		rc = read_address(&a, address, "anyc_sim_set_link");
	if (rc != 0)
		return rc;
	if (link != NULL)
		memcpy(&l, link, size < sizeof l ? size : sizeof l);
	wrong = link == NULL ? "the link is NULL" : anyc__sim_link_wrong(&l);
	if (wrong != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sim_set_link: %s", wrong);
	anyc__sim_unmap(&a);
	x = exception_of(sim, &a);
	if (x == NULL) {
		x = sim->ops->alloc(sizeof *x);
		if (x == NULL)
			return anyc_fail(-ENOMEM, ENOMEM, "no memory for a link");
		x->address = a;
		x->next = sim->net->exceptions;
		sim->net->exceptions = x;
	}
	x->link = l;
	return 0;
}

/* ---------------------------------------------------------------------------------- names */

int anyc_sim_add_host(struct anyc_sim *sim, const char *name, const char *address)
{
	struct anyc__sim_host *h, **end;
	struct anyc_address a;
	int rc = check_net(sim, "anyc_sim_add_host");

	if (rc == 0 && (name == NULL || *name == '\0'))
		rc = anyc_fail(ANYC_EINVAL, 0, "anyc_sim_add_host: the name is %s",
			       name == NULL ? "NULL" : "empty");
	if (rc == 0)
		rc = read_address(&a, address, "anyc_sim_add_host");
	if (rc != 0)
		return rc;
	h = sim->ops->alloc(sizeof *h + strlen(name) + 1);
	if (h == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory for a name");
	h->address = a;
	memcpy(h->name, name, strlen(name) + 1);
	for (end = &sim->net->hosts; *end != NULL; end = &(*end)->next)
		;
	*end = h;
	return 0;
}

/* What is no number is looked up in this machine's list. */
static int port_of_service(unsigned *port, const char *service)
{
	struct servent entry, *found = NULL;
	char buf[1024];

	*port = 0;
	if (service == NULL || strspn(service, "0123456789") == strlen(service))
		return 0; /* a number is the caller's to put in */
	if (getservbyname_r(service, "tcp", &entry, buf, sizeof buf, &found) != 0 || found == NULL)
		return ANYC_EAI_SERVICE;
	*port = ntohs((uint16_t)found->s_port);
	return 0;
}

static int add(struct anyc_addresses *out, struct anyc_address a, unsigned port)
{
	anyc__sim_set_port(&a, port);
	return anyc_addresses_add(out, &a);
}

static bool wants(const struct anyc_resolve_options *options, const struct anyc_address *a)
{
	return options->family == AF_UNSPEC || options->family == a->storage.ss_family;
}

/* A literal whose service is a name; else a name. */
static int resolve(void *self, struct anyc_addresses *out, const char *host, const char *service,
		   const struct anyc_resolve_options *options)
{
	const struct anyc_sim *sim = self;
	const struct anyc__sim_host *h;
	struct anyc_address a;
	bool known = false;
	unsigned port;
	int rc = port_of_service(&port, service);

	if (rc != 0)
		return rc;
	if (host == NULL || strcasecmp(host, "localhost") == 0)
		host = options->family == AF_INET6 ? "::1" : "127.0.0.1";
	if (anyc_address_parse(&a, host, 0) == 0)
		return wants(options, &a) ? add(out, a, port) : ANYC_EAI_FAMILY;
	for (h = sim->net->hosts; h != NULL && rc == 0; h = h->next) {
		if (strcasecmp(h->name, host) != 0)
			continue;
		known = true;
		if (wants(options, &h->address))
			rc = add(out, h->address, port);
	}
	if (rc == 0 && out->count == 0)
		rc = known ? ANYC_EAI_FAMILY : ANYC_EAI_NONAME;
	return rc;
}

/* ------------------------------------------------------------------------------ the network */

int anyc__sim_net_make(struct anyc_sim *sim)
{
	sim->net = sim->ops->alloc(sizeof *sim->net);
	if (sim->net == NULL)
		return -ENOMEM;
	sim->net->next_port = FIRST_FREE_PORT;
	return 0;
}

void anyc__sim_net_free(struct anyc_sim *sim)
{
	struct anyc__sim_net *net = sim->net;
	struct anyc__sim_exception *x;
	struct anyc__sim_host *h;
	struct anyc__sim_listener *l;
	struct anyc__sim_conn *c;

	if (net == NULL)
		return;
	for (l = net->listeners; l != NULL; l = l->next)
		l->sim = NULL;
	for (c = net->conns; c != NULL; c = c->next) {
		anyc__sim_event_unset(sim, &c->progress);
		anyc__sim_wires_vanish(c);
		c->sim = NULL;
	}
	while ((h = net->hosts) != NULL) {
		net->hosts = h->next;
		sim->ops->free(h);
	}
	while ((x = net->exceptions) != NULL) {
		net->exceptions = x->next;
		sim->ops->free(x);
	}
	sim->ops->free(net);
	sim->net = NULL;
}

static const struct anyc_net_ops net_ops = {
	.size = sizeof net_ops,
	.resolve = resolve,
	.connect = anyc__sim_connect,
	.listen = anyc__sim_listen,
};

const struct anyc_net_ops *anyc__sim_net_ops(void *self)
{
	const struct anyc_sim *sim = self;

	return sim->net != NULL ? &net_ops : NULL;
}

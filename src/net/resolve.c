/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses.  Literals and localhost are answered here; the rest is looked up by the
 * program's hook or a network of the loop's own in the calling task, or by getaddrinfo(3) in a
 * worker thread.
 *
 * Rules
 *  - getaddrinfo(3) cannot be stopped: a cancelled task leaves a look-up behind that has begun.
 *    It then belongs to nobody and frees itself when it is done.
 *  - task is read and written on the engine's thread only; the worker sees the names and the
 *    result.
 *  - A list has room for the power of two at or above its count: anyc_addresses_add() relies on it.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <strings.h>

#include <anyc/backend.h>

#include "core/worker.h"
#include "resolve.h"

#define LOOKUPS_AT_ONCE 8
#define LEAST_ROOM 4

static struct {
	anyc_resolver_fn *fn;
	void *arg;
} hook;

void anyc_set_resolver(anyc_resolver_fn *fn, void *arg)
{
	hook.fn = fn;
	hook.arg = arg;
}

/* ---------------------------------------------------------------------------------- lists */

static size_t room_for(size_t count)
{
	size_t room = LEAST_ROOM;

	while (room < count)
		room *= 2;
	return count > 0 ? room : 0;
}

int anyc_addresses_add(struct anyc_addresses *list, const struct anyc_address *address)
{
	struct anyc_address *grown;

	if (list == NULL || address == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_addresses_add: an argument is NULL");
	if (room_for(list->count + 1) != room_for(list->count)) {
		grown = anyc__resize(list->list, room_for(list->count + 1) * sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		list->list = grown;
	}
	list->list[list->count++] = *address;
	return 0;
}

void anyc_addresses_free(struct anyc_addresses *list)
{
	int os_errno = errno;

	if (list == NULL)
		return;
	anyc__free(list->list);
	list->list = NULL;
	list->count = 0;
	errno = os_errno;
}

/* ------------------------------------------------------------------------ what is asked for */

struct question {
	const char *host; /* NULL: loopback, or the wildcard */
	const char *service;
	struct anyc_resolve_options options;
	unsigned port; /* if is_number */
	bool is_number;
};

static int fail(const struct question *q, int rc)
{
	const char *name = q->host != NULL ? q->host : "this machine";
	struct anyc__words w;

	if (rc == ANYC_EAI_SERVICE)
		return anyc_fail(rc, 0, "resolve %s: the service %s is not known", name,
				 q->service);
	return anyc_fail(rc, rc > -4096 ? -rc : 0, "resolve %s: %s", name, anyc__words(&w, rc));
}

/* A number, or a name to look up. */
static int read_service(struct question *q)
{
	const char *c = q->service;

	q->is_number = true;
	q->port = 0;
	if (c == NULL)
		return 0;
	if (*c == '\0')
		return anyc_fail(ANYC_EINVAL, 0, "resolve: the port is empty");
	for (; *c != '\0'; c++) {
		if (*c < '0' || *c > '9') {
			q->is_number = false;
			return 0;
		}
		q->port = q->port * 10 + (unsigned)(*c - '0');
		if (q->port > 65535)
			return anyc_fail(ANYC_EINVAL, 0, "resolve: port %.20s is above 65535",
					 q->service);
	}
	return 0;
}

static int read_question(struct question *q, const char *host, const char *service,
			 const struct anyc_resolve_options *options)
{
	int family = options->family;

	q->host = host;
	q->service = service;
	q->options = *options;
	if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
		return anyc_fail(ANYC_EINVAL, 0,
				 "resolve: family %d is none of AF_UNSPEC, AF_INET and AF_INET6",
				 family);
	if (host != NULL && *host == '\0')
		return anyc_fail(ANYC_EINVAL, 0, "resolve: the host is empty");
	return read_service(q);
}

static bool wants(const struct question *q, int family)
{
	return q->options.family == AF_UNSPEC || q->options.family == family;
}

static bool is_localhost(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0;
}

/* ---------------------------------------------------------------------- without a look-up */

/* Both families' own address, as far as they are wanted. */
static int answer_any(struct anyc_addresses *out, const struct question *q, bool loopback)
{
	static const int families[] = { AF_INET6, AF_INET };
	struct anyc_address a;
	size_t i;
	int rc = 0;

	for (i = 0; i < 2 && rc == 0; i++) {
		if (!wants(q, families[i]))
			continue;
		anyc__address_any(&a, families[i], loopback, q->port);
		rc = anyc_addresses_add(out, &a);
	}
	return rc;
}

/* ANYC_EWOULDBLOCK: it needs a look-up. */
static int answer_now(struct anyc_addresses *out, const struct question *q)
{
	struct anyc_address a;
	int rc;

	if (q->host != NULL && anyc__address_literal(&a, q->host, q->port)) {
		if (!wants(q, a.storage.ss_family))
			return fail(q, ANYC_EAI_FAMILY);
		if (!q->is_number)
			return ANYC_EWOULDBLOCK;
		rc = anyc_addresses_add(out, &a);
	} else if (!q->is_number) {
		return ANYC_EWOULDBLOCK;
	} else if (q->host == NULL) {
		rc = answer_any(out, q, !q->options.passive);
	} else if (is_localhost(q->host)) {
		rc = answer_any(out, q, true);
	} else {
		return ANYC_EWOULDBLOCK;
	}
	if (rc == 0)
		return 0;
	anyc_addresses_free(out);
	return fail(q, rc);
}

int anyc__resolve_now(struct anyc_addresses *out, const char *host, const char *service,
		      const struct anyc_resolve_options *options)
{
	struct question q;
	int rc;

	memset(out, 0, sizeof *out);
	rc = read_question(&q, host, service, options);
	return rc != 0 ? rc : answer_now(out, &q);
}

/* ------------------------------------------------------------------------ the program's hook */

static bool is_literal(const char *host)
{
	struct anyc_address a;

	return host == NULL || is_localhost(host) || anyc__address_literal(&a, host, 0);
}

/* The answer of somebody else. */
static int take_answer(struct anyc_addresses *out, const struct question *q, int rc)
{
	size_t i;

	if (rc == 0 && out->count == 0)
		rc = fail(q, ANYC_EAI_NONAME);
	if (rc < 0) {
		anyc_addresses_free(out);
		return rc;
	}
	/* It need not know about ports. */
	for (i = 0; q->is_number && i < out->count; i++)
		if (anyc_address_port(&out->list[i]) == 0)
			anyc__address_set_port(&out->list[i], q->port);
	return 0;
}

static int ask_hook(struct anyc_addresses *out, const struct question *q)
{
	return take_answer(out, q, hook.fn(hook.arg, out, q->host, q->service, &q->options));
}

/* The loop's own network. */
static int ask_network(struct anyc_addresses *out, const struct question *q,
		       const struct anyc_net_ops *net, void *self)
{
	int rc = net->resolve(self, out, q->host, q->service, &q->options);

	return take_answer(out, q, rc < 0 ? fail(q, rc) : rc);
}

/* --------------------------------------------------------------------------- getaddrinfo */

struct lookup {
	struct anyc__job job;
	struct anyc_task *task; /* NULL: nobody waits any more */
	struct anyc_addresses found;
	int rc;
	int family;
	bool passive, datagram, has_host, has_service;
	char names[]; /* host and service, each with its NUL */
};

static struct anyc__worker_class lookups = { .limit = LOOKUPS_AT_ONCE };

int anyc__gai_code(int gai, int os_errno)
{
	switch (gai) {
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return ANYC_EAI_NONAME;
	case EAI_AGAIN:
		return ANYC_EAI_AGAIN;
	case EAI_SERVICE:
		return ANYC_EAI_SERVICE;
	case EAI_FAMILY:
#ifdef EAI_ADDRFAMILY
	case EAI_ADDRFAMILY:
#endif
		return ANYC_EAI_FAMILY;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return os_errno != 0 ? -os_errno : ANYC_EAI_FAIL;
	default:
		return ANYC_EAI_FAIL;
	}
}

static int collect(struct anyc_addresses *out, const struct addrinfo *found)
{
	struct anyc_address a;
	int rc = 0;

	for (; found != NULL && rc == 0; found = found->ai_next) {
		if (found->ai_addrlen > sizeof a.storage)
			continue;
		memset(&a, 0, sizeof a);
		memcpy(&a.storage, found->ai_addr, found->ai_addrlen);
		a.length = found->ai_addrlen;
		rc = anyc_addresses_add(out, &a);
	}
	if (rc != 0)
		anyc_addresses_free(out);
	return rc == 0 && out->count == 0 ? ANYC_EAI_NONAME : rc;
}

static void look_up(struct anyc__job *job)
{
	struct lookup *l = ANYC__CONTAINER(job, struct lookup, job);
	const char *service = l->names + (l->has_host ? strlen(l->names) + 1 : 0);
	struct addrinfo hints = { .ai_family = l->family,
				  .ai_socktype = l->datagram ? SOCK_DGRAM : SOCK_STREAM,
				  .ai_flags = l->passive ? AI_PASSIVE : 0 };
	struct addrinfo *found = NULL;
	int gai;

	errno = 0;
	gai = getaddrinfo(l->has_host ? l->names : NULL, l->has_service ? service : NULL, &hints,
			  &found);
	l->rc = gai != 0 ? anyc__gai_code(gai, errno) : collect(&l->found, found);
	if (gai == 0)
		freeaddrinfo(found);
}

static void lookup_free(struct lookup *l)
{
	anyc_addresses_free(&l->found);
	anyc__free(l);
}

static void looked_up(struct anyc__job *job, int status)
{
	struct lookup *l = ANYC__CONTAINER(job, struct lookup, job);

	(void)status; /* if the loop has gone, its tasks no longer wait */
	if (l->task != NULL)
		anyc__unpark(l->task, 0);
#ifndef PLANT_LEAK_BLOCK
	else
		lookup_free(l);
#endif
}

static void abandon(struct anyc_task *t, void *arg)
{
	struct lookup *l = arg;

	(void)t;
	l->task = NULL;
	if (anyc__worker_withdraw(&l->job))
		lookup_free(l);
}

static struct lookup *lookup_new(const struct question *q)
{
	/* localhost is this machine, whatever the name server says. */
	const char *host = q->host != NULL && is_localhost(q->host) ? NULL : q->host;
	size_t host_size = host != NULL ? strlen(host) + 1 : 0;
	size_t service_size = q->service != NULL ? strlen(q->service) + 1 : 0;
	struct lookup *l = anyc__alloc(sizeof *l + host_size + service_size);

	if (l == NULL)
		return NULL;
	l->job.of = &lookups;
	l->job.work = look_up;
	l->job.done = looked_up;
	l->family = q->options.family;
	l->passive = q->options.passive && q->host == NULL;
	l->datagram = q->options.datagram;
	l->has_host = host != NULL;
	l->has_service = q->service != NULL;
	if (host != NULL)
		memcpy(l->names, host, host_size);
	if (q->service != NULL)
		memcpy(l->names + host_size, q->service, service_size);
	return l;
}

static int ask_system(struct anyc_addresses *out, const struct question *q, struct anyc_task *t)
{
	struct lookup *l = lookup_new(q);
	int rc;

	if (l == NULL)
		return fail(q, -ENOMEM);
	l->task = t;
	rc = anyc__worker_start(&l->job, anyc__task_engine(t));
	if (rc != 0) {
		lookup_free(l);
		return fail(q, rc);
	}
	rc = anyc__park(t, abandon, l, "a name look-up");
	if (rc != 0)
		return rc;
	rc = l->rc;
	if (rc == 0) {
		*out = l->found;
		memset(&l->found, 0, sizeof l->found);
	}
	lookup_free(l);
	return rc == 0 ? 0 : fail(q, rc);
}

/* ------------------------------------------------------------------------------- the call */

int anyc_resolve_sized(struct anyc_addresses *out, const char *host, const char *service,
		       const struct anyc_resolve_options *options, size_t size)
{
	struct anyc_resolve_options o;
	const struct anyc_net_ops *net;
	struct question q;
	struct anyc_task *t;
	void *self;
	int rc;

	if (out == NULL)
		return anyc__refuse_arguments(0, "resolve: out is NULL");
	memset(out, 0, sizeof *out);
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	anyc__options_read(&o, sizeof o, options, size);
	rc = read_question(&q, host, service, &o);
	if (rc != 0)
		return rc;
	rc = answer_now(out, &q);
	net = anyc__net(&self);
	if (rc == ANYC_EWOULDBLOCK && hook.fn != NULL && !is_literal(host))
		rc = ask_hook(out, &q);
	else if (rc == ANYC_EWOULDBLOCK && net != NULL)
		rc = ask_network(out, &q, net, self);
	else if (rc == ANYC_EWOULDBLOCK)
		return ask_system(out, &q, t);
	anyc__yield(t);
	return rc;
}

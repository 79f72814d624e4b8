/* SPDX-License-Identifier: MIT */
/*
 * Addresses to names, by getnameinfo(3) in a worker thread.
 *
 * Rule: as in resolve.c, a cancelled task leaves behind a look-up that has begun, which then
 * belongs to nobody and frees itself.  It has a limit of its own, so that neither kind holds the
 * other up.
 */
#include <errno.h>
#include <netdb.h>

#include "core/worker.h"
#include "resolve.h"

#define LOOKUPS_AT_ONCE 8

struct lookup {
	struct anyc__job job;
	struct anyc_task *task; /* NULL: nobody waits any more */
	struct anyc_address address;
	unsigned flags;
	struct anyc_name found;
	int rc;
};

static struct anyc__worker_class lookups = { .limit = LOOKUPS_AT_ONCE };

static void look_up(struct anyc__job *job)
{
	struct lookup *l = ANYC__CONTAINER(job, struct lookup, job);
	int flags = ((l->flags & ANYC_NAME_DATAGRAM) != 0 ? NI_DGRAM : 0) |
		    ((l->flags & ANYC_NAME_REQUIRED) != 0 ? NI_NAMEREQD : 0);
	int gai;

	errno = 0;
	gai = getnameinfo((const struct sockaddr *)&l->address.storage, l->address.length,
			  l->found.host, sizeof l->found.host, l->found.service,
			  sizeof l->found.service, flags);
	l->rc = gai != 0 ? anyc__gai_code(gai, errno) : 0;
}

static void looked_up(struct anyc__job *job, int status)
{
	struct lookup *l = ANYC__CONTAINER(job, struct lookup, job);

	(void)status; /* if the loop has gone, its tasks no longer wait */
	if (l->task != NULL)
		anyc__unpark(l->task, 0);
	else
		anyc__free(l);
}

static void abandon(struct anyc_task *t, void *arg)
{
	struct lookup *l = arg;

	(void)t;
	l->task = NULL;
	if (anyc__worker_withdraw(&l->job))
		anyc__free(l);
}

static int fail(const struct anyc_address *a, int rc)
{
	struct anyc__address_text text;
	struct anyc__words w;

	return anyc_fail(rc, rc > -4096 ? -rc : 0, "name of %s: %s", anyc__address_text(&text, a),
			 anyc__words(&w, rc));
}

static int ask(struct anyc_name *out, const struct anyc_address *a, unsigned flags,
	       struct anyc_task *t)
{
	struct lookup *l = anyc__alloc(sizeof *l);
	int rc;

	if (l == NULL)
		return fail(a, -ENOMEM);
	l->job.of = &lookups;
	l->job.work = look_up;
	l->job.done = looked_up;
	l->address = *a;
	l->flags = flags;
	l->task = t;
	rc = anyc__worker_start(&l->job, anyc__task_engine(t));
	if (rc == 0) {
		rc = anyc__park(t, abandon, l, "a look-up of an address");
		if (rc != 0)
			return rc;
		rc = l->rc;
	}
	if (rc == 0)
		*out = l->found;
	anyc__free(l);
	return rc != 0 ? fail(a, rc) : 0;
}

int anyc_resolve_address(struct anyc_name *out, const struct anyc_address *address, unsigned flags)
{
	struct anyc_task *t;
	int rc;

	if (out == NULL || address == NULL)
		return anyc__refuse_arguments(0, "name of an address: an argument is NULL");
	memset(out, 0, sizeof *out);
	if ((flags & ~(unsigned)(ANYC_NAME_REQUIRED | ANYC_NAME_DATAGRAM)) != 0)
		return anyc__refuse_arguments(0, "name of an address: no such flag");
	if (address->length == 0 || address->length > sizeof address->storage)
		return anyc__refuse_arguments(0, "name of an address: it has %u bytes",
					      (unsigned)address->length);
	rc = anyc__enter(&t);
	return rc != 0 ? rc : ask(out, address, flags, t);
}

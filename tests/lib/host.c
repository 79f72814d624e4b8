/* SPDX-License-Identifier: MIT */
/* The life of a host, the same for all rows, and the rows that the testing kit is given. */
#include "anyc_test.h"

#include <string.h>

const struct host_row *host_find(const char *name)
{
	const struct host_row *row;

	for (unsigned i = 0; (row = host_row(i)) != NULL; i++) {
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

int host_make(struct host *h, const char *name)
{
	const struct host_row *row = host_find(name);

	memset(h, 0, sizeof *h);
	if (row == NULL || row->ops == NULL)
		return ANYC_ENOBACKEND;
	h->ops = row->ops;
	return h->ops->make != NULL ? h->ops->make(h) : 0;
}

int host_attach(struct host *h)
{
	return anyc_loop_attach(&h->loop, h->ops->backend(), h->native);
}

int host_run(struct host *h)
{
	h->ops->run(h);
	return 0;
}

int host_detach(struct host *h)
{
	int rc = anyc_loop_detach(h->loop);

	if (rc == 0)
		h->loop = NULL;
	return rc;
}

int host_destroy(struct host *h)
{
	return h->ops->destroy != NULL ? h->ops->destroy(h) : 0;
}

static void note_end(void *arg, int rc, void *copy)
{
	(void)copy;
	*(int *)arg = rc;
}

/* Spawns, runs the loop until it ends by itself, and detaches; the loop lives on. */
static int run_native(struct host *h, anyc_task_fn *fn, void *arg, const char *name)
{
	int result = ANYC_ENOTFINISHED, rc = host_attach(h), rc2;
	struct anyc_loop_spawn_options options = {
		.name = name, .on_done = note_end, .done_arg = &result,
	};

	if (rc != 0)
		return rc;
	rc = anyc_loop_spawn_opts(h->loop, fn, arg, &options);
	if (rc == 0) {
		host_run(h);
		rc = result;
	}
	rc2 = host_detach(h);
	return rc2 != 0 ? rc2 : rc;
}

int host_run_task(struct host *h, const char *row, anyc_task_fn *fn, void *arg, const char *name)
{
	int rc = host_make(h, row), rc2;

	if (rc != 0)
		return rc;
	if (h->ops->run_task != NULL)
		return h->ops->run_task(h, fn, arg);
	rc = run_native(h, fn, arg, name);
	rc2 = host_destroy(h);
	return rc2 != 0 ? rc2 : rc;
}

/* ------------------------------------------------------------------------- rows of the kit */

static struct host *current;

struct host *anyc_test_host(void)
{
	return current;
}

static int run_row(const struct anyc_test_host *row, anyc_task_fn *fn, void *arg, const char *name)
{
	struct host h;
	int rc;

	memset(&h, 0, sizeof h);
	current = &h;
	rc = host_run_task(&h, row->row, fn, arg, name);
	current = NULL;
	return rc;
}

/* A first loop opens what its library keeps for good, such as libuv's pipe for signals. */
static int warm_up_row(const struct anyc_test_host *row)
{
	struct host h;
	int rc = host_make(&h, row->row);

	return rc != 0 ? rc : host_destroy(&h);
}

void host_add_all(void)
{
	const struct host_row *row;

	for (unsigned i = 0; (row = host_row(i)) != NULL; i++) {
		struct anyc_test_host host = { .size = sizeof host, .row = row->name };
		const struct host_ops *ops = row->ops;

		host.kind = ops != NULL ? ops->kind : ANYC_TEST_ROW_NATIVE;
		host.chosen_by = row->chosen_by;
		if (ops != NULL)
			host.run = run_row;
		if (ops != NULL && ops->make != NULL)
			host.warm_up = warm_up_row;
		CHECK_OK(anyc_test_add_host(&host));
	}
}

/* ------------------------------------------------------------------------------- host_call */

struct call {
	host_fn *fn;
	void *arg;
	struct anyc_event done;
};

static void run_call(void *arg)
{
	struct call *c = arg;

	c->fn(c->arg);
	CHECK_OK(anyc_event_set(&c->done));
}

void host_call(struct host *h, host_fn *fn, void *arg)
{
	struct call c = { .fn = fn, .arg = arg };
	struct anyc_scope s;

	if (h->ops->soon == NULL)
		FAIL("the row %s has no callbacks of its own", h->ops->row);
	anyc_scope_enter_shield(&s, 10 * anyc_test_slow() * ANYC_SECOND);
	CHECK_OK(h->ops->soon(h, run_call, &c));
	CHECK_OK(anyc_event_wait(&c.done));
	CHECK_OK(anyc_scope_leave(&s, 0));
}

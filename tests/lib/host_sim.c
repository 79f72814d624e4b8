/* SPDX-License-Identifier: MIT */
/* A sim as a host: virtual clock, and the kernel's network or one of its own. */
#include "anyc_test.h"

#include <anyc/sim.h>

static int make(struct host *h, bool network)
{
	struct anyc_sim_options options = { .network = network };
	struct anyc_sim *sim;
	int rc = anyc_sim_create(&sim, &options);

	h->native = sim;
	return rc;
}

static int sim_host_make(struct host *h)
{
	return make(h, false);
}

static int simnet_host_make(struct host *h)
{
	return make(h, true);
}

/* Ends when nothing goes on: what tasks wait for may come from the test. */
static void sim_host_run(struct host *h)
{
	ANYC_IGNORE(anyc_sim_run(h->native));
}

static void sim_host_stop(struct host *h)
{
	anyc_sim_stop(h->native);
}

static int sim_host_destroy(struct host *h)
{
	anyc_sim_free(h->native);
	h->native = NULL;
	return 0;
}

static int sim_host_soon(struct host *h, host_fn *fn, void *arg)
{
	return anyc_sim_at(h->native, anyc_sim_now(h->native), fn, arg);
}

const struct host_ops host_sim = {
	.row = "sim",
	.library = "sim",
	.kind = ANYC_TEST_ROW_LOOP,
	.is_module = true,
	.make = sim_host_make,
	.backend = anyc_sim_backend,
	.run = sim_host_run,
	.stop = sim_host_stop,
	.destroy = sim_host_destroy,
	.soon = sim_host_soon,
};

const struct host_ops host_simnet = {
	.row = "simnet",
	.library = "sim",
	.kind = ANYC_TEST_ROW_LOOP,
	.is_module = true,
	.make = simnet_host_make,
	.backend = anyc_sim_backend,
	.run = sim_host_run,
	.stop = sim_host_stop,
	.destroy = sim_host_destroy,
	.soon = sim_host_soon,
};

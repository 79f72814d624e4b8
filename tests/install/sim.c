/* SPDX-License-Identifier: MIT */
/* pkg-config: anyc-test */
/* A test on a sim: an hour's deadline, a connection that hangs, and no waiting. */
#include <stdio.h>

#include <anyc/anyc.h>
#include <anyc/sim.h>

static int scenario(void *sim)
{
	struct anyc_sim_link hangs = {.reach = ANYC_SIM_HANGS};
	struct anyc_stream *s = NULL;
	struct anyc_scope limit;
	int rc = anyc_sim_set_link(sim, "10.0.0.1", &hangs);

	if (rc != 0)
		return rc;
	anyc_scope_enter_timeout(&limit, ANYC_MINUTE);
	rc = anyc_tcp_connect(&s, "10.0.0.1", "80", NULL);
	anyc_stream_free(s);
	rc = anyc_scope_leave(&limit, rc);
	return rc == ANYC_ETIMEDOUT ? anyc_sleep(ANYC_HOUR) : 1;
}

int main(void)
{
	struct anyc_sim_options options = {.seed = 1, .network = true};
	struct anyc_run_options run = {.backend = "sim"};
	struct anyc_sim *sim;
	int64_t start;
	int rc;

	if (anyc_backend_register(anyc_sim_backend()) != 0 || anyc_sim_create(&sim, &options) != 0)
		return 1;
	start = anyc_sim_now(sim);
	run.native = sim;
	rc = anyc_run(&run, scenario, sim);
	if (rc != 0)
		fprintf(stderr, "%d %s\n", rc, anyc_error_detail(rc));
	else if (anyc_sim_now(sim) - start != ANYC_MINUTE + ANYC_HOUR)
		rc = 1;
	anyc_sim_free(sim);
	return rc != 0;
}

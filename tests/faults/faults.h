/* SPDX-License-Identifier: MIT */
/*
 * What the programs of fault sweeps share.  FAULTS(name, fn, options...) is a test on every row:
 * the task fn, from making a loop to closing it, at every point of every axis.
 */
#ifndef ANYC_TEST_FAULTS_H
#define ANYC_TEST_FAULTS_H

#include "conform/conform.h"

#include <stdio.h>
#include <stdlib.h>

#include <anyc/fault.h>
#include <anyc/fault_syscalls.h>

/*
 * Of one axis, unless ANYC_FAULT_POINTS says otherwise (./dev check faults: 0, which is all);
 * fewer where everything is slow.
 */
#define POINTS 40

#define FAULTS_ON(rows, name_, fn, ...) \
	ANYC_TEST_MAIN(faults, name_, rows, .deadline = 120) \
	{ \
		struct anyc_fault_options options_ = { .name = #name_, ##__VA_ARGS__ }; \
		sweep(on_row, &(struct task){ fn }, &options_); \
	}
#define FAULTS(name_, fn, ...) FAULTS_ON(ANYC_ROWS_ALL, name_, fn, ##__VA_ARGS__)

#define ALSO(...) .allowed = (const int[]){ __VA_ARGS__, 0 }
#define AND_TWICE .axes = ANYC_FAULT_ALL | ANYC_FAULT_CANCEL_TWICE

/* How a task of ours ends that was cancelled alone: it fails its group, which may wait for it. */
#define ENDED_EARLY (-ECANCELED)
UNUSED static int ended(int rc)
{
	return rc == ANYC_ECANCELED ? ENDED_EARLY : rc;
}

struct task {
	anyc_task_fn *fn;
};

/* Runs a task on the test's row, from making the loop to closing it. */
UNUSED static int on_row(void *arg)
{
	const struct task *t = arg;
	struct host h;

	return host_run_task(&h, anyc_test_row(), t->fn, NULL, "scenario");
}

UNUSED static void sweep(anyc_fault_scenario *scenario, void *arg,
			 const struct anyc_fault_options *given)
{
	struct anyc_fault_options options = *given;
	struct anyc_fault_report report;
	int rc;

	options.row = anyc_test_row();
	options.points = POINTS / (size_t)anyc_test_slow() + 4;
	options.patience = 10 * anyc_test_slow() * ANYC_SECOND;
	rc = anyc_fault_sweep(&report, scenario, arg, &options);
	if (rc < 0)
		FAIL("%s: %s", options.name, anyc_error_detail(rc));
	if (rc != 0)
		FAIL("%s", report.text);
}

#endif

/* SPDX-License-Identifier: MIT */
/* A test of its own object without memory, beside the sweeps of tests/faults. */
#ifndef ANYC_TEST_ALLOC_FAULT_H
#define ANYC_TEST_ALLOC_FAULT_H

#include "anyc_test.h"

#include <anyc/fault.h>

/* Each allocation of a scenario fails, once and for good; there must be more than so many. */
static inline void check_alloc_sweep(anyc_fault_scenario *scenario, void *arg, size_t more_than)
{
	struct anyc_fault_options options = {
		.row = anyc_test_row(),
		.axes = ANYC_FAULT_ALLOC | ANYC_FAULT_ALLOC_FOREVER,
		.patience = 10 * anyc_test_slow() * ANYC_SECOND,
	};
	struct anyc_fault_report report;
	int rc = anyc_fault_sweep(&report, scenario, arg, &options);

	if (rc != 0)
		FAIL("%s", rc > 0 ? report.text : anyc_error_detail(rc));
	CHECK_INT(report.points[0], >, more_than);
}

#endif

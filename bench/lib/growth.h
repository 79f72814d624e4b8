/* SPDX-License-Identifier: MIT */
/* The cases of bench/growth, which run in a traced child. */
#ifndef GROWTH_H
#define GROWTH_H

#include <stddef.h>

#define GROWTH_SIZES 4 /* numbers of tasks that are alive */
#define GROWTH_CASES 7
#define GROWTH_STEPPED 100 /* operations whose instructions are counted, one by one */

struct growth_case {
	const char *name;
	double ns[GROWTH_SIZES]; /* of CPU, for each operation */
	double instructions[GROWTH_SIZES];
};

/*
 * Runs every case while `alive` tasks are parked, or as many timers pend.  Of each it writes the
 * time, a double, to a descriptor, then does GROWTH_STEPPED operations between two SIGSTOPs.
 */
int growth_cases(size_t alive, int out);
/* Spawns that many tasks, lets them park, cancels and joins them; ns of CPU for each task. */
int growth_group(size_t tasks, double *spawn, double *join);

#endif

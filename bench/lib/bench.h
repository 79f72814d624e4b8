/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks share: cases that are measured in turn, medians, ratios, a CSV file.
 *
 * Rules
 *  - Time is CPU time of the process, in samples of about two milliseconds.
 *  - Cases take turns, in rounds.  A ratio is that of two samples of one round, and the median
 *    over the rounds is printed: what disturbs the machine for longer disturbs both alike.
 *  - A sample during which the kernel took the processor away is disturbed: it is taken again,
 *    and dropped if that does not help.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct bench_case {
	const char *name;
	void (*run)(void *arg, size_t n); /* does it n times; n is a multiple of 1000 */
	void *arg;
	unsigned base; /* index of the case it is compared with */
	double goal;   /* what the ratio should not exceed; 0: there is none */
	/* Instead of run, for what another process does: a sample of n in ns for each operation;
	 * false if it was disturbed. */
	bool (*sample)(void *arg, size_t n, double *ns);
};
#define BENCH_CASES 32

/* Measures all cases, prints a table and writes the samples to NAME.csv. */
void bench_compare(const char *name, const struct bench_case *cases, size_t count);

/* CPU time that this process has used. */
int64_t bench_cpu(void);
int64_t bench_wall(void);
/* How often the processor was taken from it. */
long bench_preemptions(void);
/* The median of values that are no NAN; sorts them.  NAN if there is none. */
double bench_median(double *values, size_t count);
/* Opens NAME.csv in the build directory and writes its first line. */
FILE *bench_csv(const char *name, const char *columns);
/* Closes it and tells where it is. */
void bench_csv_close(FILE *csv, const char *name);
/* Ends the process with a sentence. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* SPDX-License-Identifier: MIT */
/* Rounds, samples and their medians; rules: bench.h. */
#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define ROUNDS 101
#define SAMPLE_NS 2000000
#define WARM_UP 16
#define WARM_UP_NS 500000000
#define TRIES 4 /* to get an undisturbed sample */
#define SECONDS_MAX 60

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) != 0)
		bench_die("clock_gettime failed");
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t bench_cpu(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t bench_wall(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* ----------------------------------------------------------------------------- statistics */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
	size_t i, n = 0;

	for (i = 0; i < count; i++)
		if (!isnan(values[i]))
			values[n++] = values[i];
	if (n == 0)
		return NAN;
	qsort(values, n, sizeof *values, compare);
	return (values[n / 2] + values[(n - 1) / 2]) / 2;
}

/* ------------------------------------------------------------------------------------ CSV */

static void csv_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s.csv", BENCH_DIR, name);
}

FILE *bench_csv(const char *name, const char *columns)
{
	char path[4096];
	FILE *csv;

	csv_path(path, sizeof path, name);
	csv = fopen(path, "w");
	if (csv == NULL)
		bench_die("cannot write %s", path);
	fprintf(csv, "%s\n", columns);
	return csv;
}

void bench_csv_close(FILE *csv, const char *name)
{
	char path[4096];

	csv_path(path, sizeof path, name);
	if (fclose(csv) != 0)
		bench_die("cannot write %s", path);
	printf("\nEvery sample: %s\n", path);
}

/* ------------------------------------------------------------------------------ measuring */

struct results {
	size_t n[BENCH_CASES]; /* operations in a sample */
	double ns[BENCH_CASES][ROUNDS]; /* per operation; NAN: disturbed */
	size_t rounds;
};

long bench_preemptions(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nivcsw;
}

/* One sample, in ns for each operation; false if it was disturbed. */
static bool sample(const struct bench_case *c, size_t n, double *ns)
{
	long away;
	int64_t start;

	if (c->sample != NULL)
		return c->sample(c->arg, n, ns);
	away = bench_preemptions();
	start = bench_cpu();
	c->run(c->arg, n);
	*ns = (double)(bench_cpu() - start) / (double)n;
	away = bench_preemptions() - away;
	return away == 0;
}

/* How many operations fill a sample, once it is warm. */
static size_t calibrate(const struct bench_case *c)
{
	int64_t end = bench_wall() + WARM_UP_NS;
	size_t n = 1000;
	double ns;
	int i;

	for (i = 0; i < WARM_UP && bench_wall() < end; i++)
		sample(c, n, &ns);
	while (sample(c, n, &ns), ns * (double)n < SAMPLE_NS / 2.0)
		n *= 2;
	return n;
}

static double measure(const struct bench_case *c, size_t n)
{
	double ns;
	int tries;

	for (tries = 0; tries < TRIES; tries++)
		if (sample(c, n, &ns))
			return ns;
	return NAN;
}

static void measure_all(struct results *r, const struct bench_case *cases, size_t count)
{
	int64_t end = bench_wall() + (int64_t)SECONDS_MAX * 1000000000;
	size_t i;

	for (i = 0; i < count; i++)
		r->n[i] = calibrate(&cases[i]);
	for (r->rounds = 0; r->rounds < ROUNDS && bench_wall() < end; r->rounds++)
		for (i = 0; i < count; i++)
			r->ns[i][r->rounds] = measure(&cases[i], r->n[i]);
}

static double median_ratio(const struct results *r, size_t a, size_t b)
{
	double ratio[ROUNDS];
	size_t i;

	for (i = 0; i < r->rounds; i++)
		ratio[i] = r->ns[a][i] / r->ns[b][i];
	return bench_median(ratio, r->rounds);
}

static size_t undisturbed(const struct results *r, size_t i)
{
	size_t k, n = 0;

	for (k = 0; k < r->rounds; k++)
		n += !isnan(r->ns[i][k]);
	return n;
}

/* -------------------------------------------------------------------------------- telling */

static void print_case(const struct results *r, const struct bench_case *cases, size_t i)
{
	const struct bench_case *c = &cases[i];
	double sorted[ROUNDS], ratio = median_ratio(r, i, c->base);
	size_t k;

	for (k = 0; k < r->rounds; k++)
		sorted[k] = r->ns[i][k];
	printf("%2zu  %-52s %9.1f", i + 1, c->name, bench_median(sorted, r->rounds));
	if (i == c->base)
		printf("%17s", "");
	else
		printf(" %8.2f x (%u)", ratio, c->base + 1);
	printf(" %4zu", undisturbed(r, i));
	if (c->goal > 0)
		printf("  goal %.2f: %s", c->goal,
		       isnan(ratio) ? "always disturbed" : ratio <= c->goal ? "met" : "MISSED");
	putchar('\n');
}

static void write_csv(const char *name, const struct results *r, const struct bench_case *cases,
		      size_t count)
{
	FILE *csv = bench_csv(name, "case,round,operations,ns");
	size_t i, k;

	for (i = 0; i < count; i++)
		for (k = 0; k < r->rounds; k++)
			if (!isnan(r->ns[i][k]))
				fprintf(csv, "\"%s\",%zu,%zu,%.3f\n", cases[i].name, k, r->n[i],
					r->ns[i][k]);
	bench_csv_close(csv, name);
}

void bench_compare(const char *name, const struct bench_case *cases, size_t count)
{
	static struct results r;
	size_t i;

	if (count > BENCH_CASES)
		bench_die("%s: more than %d cases", name, BENCH_CASES);
	measure_all(&r, cases, count);
	printf("%s: ns of CPU for each, median; ratio to another line, median of %zu rounds;\n"
	       "rounds in which it was not disturbed\n\n", name, r.rounds);
	for (i = 0; i < count; i++)
		print_case(&r, cases, i);
	write_csv(name, &r, cases, count);
}

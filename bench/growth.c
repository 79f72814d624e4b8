/* SPDX-License-Identifier: MIT */
/*
 * Whether anything gets dearer as tasks become many: instructions and time of each operation while
 * 10 to 1,000,000 tasks are parked, and whole groups of up to 1,000,000.
 *
 * Instructions are those of this process outside the kernel.  They are counted by stepping through
 * a hundred operations: valgrind cannot hold as many guarded stacks, and virtual machines often
 * lack the processor's counters.
 */
#include <anyc/anyc.h>
#include <math.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/bench.h"
#include "lib/growth.h"
#include "lib/plot.h"

#define GOAL 1.2
#define STEP 2.0 /* a group ten times as large: at most so much more for each task */

static const size_t sizes[GROWTH_SIZES] = {10, 1000, 100000, 1000000};
/* The first is what measuring takes itself. */
static struct growth_case cases[GROWTH_CASES] = {
	{.name = "nothing"},
	{.name = "timers: set two, take them out"},
	{.name = "spawn a task and join it"},
	{.name = "an event wakes a task"},
	{.name = "an item through a queue"},
	{.name = "a lock is handed over"},
	{.name = "cancel a task and join it"},
};

/* -------------------------------------------------------------------------------- counting */

/* Until the child stops by a signal, or ends; whether it did not end. */
static bool go_on(pid_t child, enum __ptrace_request how, int *signal)
{
	int status;

	if (ptrace(how, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
		bench_die("cannot trace a process");
	if (!WIFSTOPPED(status)) {
		if (status != 0)
			bench_die("a case failed");
		return false;
	}
	*signal = WSTOPSIG(status);
	return true;
}

/* The child has stopped at the beginning: counts up to the end. */
static double count(pid_t child)
{
	unsigned long n = 0;
	int signal;

	do {
		if (!go_on(child, PTRACE_SINGLESTEP, &signal))
			bench_die("a case ended early");
		n++;
	} while (signal != SIGSTOP);
	return (double)n / GROWTH_STEPPED;
}

static pid_t start(size_t alive, int *results)
{
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		bench_die("pipe failed");
	child = fork();
	if (child < 0)
		bench_die("fork failed");
	if (child == 0) {
		close(ends[0]);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			bench_die("a process may not be traced here");
		_exit(growth_cases(alive, ends[1]) == 0 ? 0 : 1);
	}
	close(ends[1]);
	*results = ends[0];
	return child;
}

static void run_cases(size_t size)
{
	int results, signal, status;
	pid_t child = start(sizes[size], &results);
	size_t i;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		bench_die("a case failed");
	for (i = 0; i < GROWTH_CASES; i++) {
		if (read(results, &cases[i].ns[size], sizeof(double)) != (ssize_t)sizeof(double))
			bench_die("a case said nothing");
		cases[i].instructions[size] = count(child) - cases[0].instructions[size];
		if (!go_on(child, PTRACE_CONT, &signal) && i + 1 < GROWTH_CASES)
			bench_die("a case is missing");
	}
	close(results);
}

/* --------------------------------------------------------------------------------- groups */

/* In a process of its own, so that every stack is new. */
static void run_group(size_t tasks, double *spawn, double *join)
{
	double both[2] = {NAN, NAN};
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		bench_die("pipe failed");
	child = fork();
	if (child == 0) {
		int rc = growth_group(tasks, &both[0], &both[1]);

		_exit(rc == 0 && write(ends[1], both, sizeof both) == (ssize_t)sizeof both ? 0 : 1);
	}
	close(ends[1]);
	if (child < 0 || read(ends[0], both, sizeof both) != (ssize_t)sizeof both)
		bench_die("a group of %zu tasks failed", tasks);
	close(ends[0]);
	waitpid(child, NULL, 0);
	*spawn = both[0];
	*join = both[1];
}

static void groups(FILE *csv)
{
	static const size_t tasks[] = {1000, 10000, 100000, 1000000};
	double spawn[25], join[25], before[2] = {NAN, NAN}, now[2];
	size_t i, k, times;

	printf("\n%-32s %12s %8s %14s %8s\n", "a group: ns of CPU a task", "spawn, park",
	       "step", "cancel, join", "step");
	for (i = 0; i < sizeof tasks / sizeof *tasks; i++) {
		times = tasks[i] >= 1000000 ? 1 : tasks[i] >= 100000 ? 5 : 25;
		for (k = 0; k < times; k++)
			run_group(tasks[i], &spawn[k], &join[k]);
		now[0] = bench_median(spawn, times);
		now[1] = bench_median(join, times);
		fprintf(csv, "\"group\",%zu,%.1f,%.1f\n", tasks[i], now[0], now[1]);
		if (i == 0)
			printf("%10zu tasks %29.0f %8s %14.0f\n", tasks[i], now[0], "", now[1]);
		else
			printf("%10zu tasks %29.0f %6.2f x %14.0f %6.2f x  goal %.1f: %s\n",
			       tasks[i], now[0], now[0] / before[0], now[1], now[1] / before[1],
			       STEP,
			       fmax(now[0] / before[0], now[1] / before[1]) <= STEP ? "met"
										     : "MISSED");
		fflush(stdout);
		before[0] = now[0];
		before[1] = now[1];
	}
}

/* -------------------------------------------------------------------------------- telling */

static void tell_case(const struct growth_case *c, bool logarithmic, FILE *csv)
{
	double ratio = c->instructions[GROWTH_SIZES - 1] / c->instructions[0];
	double time = c->ns[GROWTH_SIZES - 1] / c->ns[0];
	/* A heap of four children a node may be so much deeper. */
	double goal = logarithmic ? log((double)sizes[GROWTH_SIZES - 1]) / log((double)sizes[0])
				  : GOAL;
	size_t i;

	printf("%-32s", c->name);
	for (i = 0; i < GROWTH_SIZES; i++)
		printf(" %9.1f", c->instructions[i]);
	printf(" %6.2f x  goal %.1f: %s%s\n%-32s", ratio, goal, ratio <= goal ? "met" : "MISSED",
	       logarithmic ? ", O(log n)" : "", "   its time, ns");
	for (i = 0; i < GROWTH_SIZES; i++) {
		printf(" %9.1f", c->ns[i]);
		fprintf(csv, "\"%s\",%zu,%.1f,%.2f\n", c->name, sizes[i], c->instructions[i],
			c->ns[i]);
	}
	printf(" %6.2f x\n", time);
}

/* Both as ratios to those of the smallest size. */
static void plot(void)
{
	static const char *const names[] = {"instructions", "time"};
	struct plot_panel panels[GROWTH_CASES - 1] = {0};
	size_t i, k;

	for (i = 1; i < GROWTH_CASES; i++) {
		struct plot_panel *p = &panels[i - 1];

		snprintf(p->title, sizeof p->title, "%s", cases[i].name);
		p->points = GROWTH_SIZES;
		for (k = 0; k < GROWTH_SIZES; k++) {
			double power = log10((double)sizes[k]);

			snprintf(p->label[k], sizeof p->label[k], "1e%.0f", power);
			p->place[k] = (power - 1) / 5;
			p->ratio[0][k] = cases[i].instructions[k] / cases[i].instructions[0];
			p->ratio[1][k] = cases[i].ns[k] / cases[i].ns[0];
		}
	}
	plot_write(BENCH_DIR "/growth.svg", "Of what it takes with the fewest tasks alive:", names,
		   2, panels, GROWTH_CASES - 1);
}

int main(void)
{
	FILE *csv = bench_csv("growth", "case,alive,instructions,ns");
	size_t i;

	printf("growth: instructions for each operation, outside the kernel, with so many tasks\n"
	       "parked (timers: pending), and the last as a ratio to the first\n\n%-32s", "");
	for (i = 0; i < GROWTH_SIZES; i++)
		printf(" %9zu", sizes[i]);
	putchar('\n');
	fflush(stdout);
	fflush(csv);
	for (i = 0; i < GROWTH_SIZES; i++)
		run_cases(i);
	for (i = 1; i < GROWTH_CASES; i++)
		tell_case(&cases[i], i == 1, csv);
	fflush(stdout);
	fflush(csv);
	plot();
	groups(csv);
	bench_csv_close(csv, "growth");
	return 0;
}

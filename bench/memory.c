/* SPDX-License-Identifier: MIT */
/*
 * What parked tasks cost: resident memory, page tables and time, with guarded stacks.  Each case
 * is a process of its own.
 */
#include <anyc/anyc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/bench.h"

#define GOAL 4608.0 /* bytes resident for each task: 4.5 KiB */

struct load {
	const char *name;
	size_t tasks, stack_size;
	FILE *csv;
};

struct use {
	long resident, tables; /* KiB */
	int64_t cpu, wall;
};

static long status_field(const char *field)
{
	FILE *status = fopen("/proc/self/status", "r");
	size_t length = strlen(field);
	char line[256];
	long value = -1;

	while (status != NULL && value < 0 && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, field, length) == 0)
			value = atol(line + length);
	if (status != NULL)
		fclose(status);
	if (value < 0)
		bench_die("/proc/self/status has no %s", field);
	return value;
}

static struct use use_now(void)
{
	struct use u;

	u.resident = status_field("VmRSS:");
	u.tables = status_field("VmPTE:");
	u.cpu = bench_cpu();
	u.wall = bench_wall();
	return u;
}

static int park(void *arg)
{
	(void)arg;
	return anyc_sleep_forever();
}

static void tell(const struct load *l, const struct use u[3])
{
	double n = (double)l->tasks;
	double resident = (double)(u[1].resident - u[0].resident) * 1024 / n;
	double tables = (double)(u[1].tables - u[0].tables) * 1024 / n;

	printf("%-36s %10.0f %10.0f %9.2f %9.2f %9.2f %9.2f   %s\n", l->name, resident, tables,
	       (double)(u[1].cpu - u[0].cpu) / 1e9, (double)(u[1].wall - u[0].wall) / 1e9,
	       (double)(u[2].cpu - u[1].cpu) / 1e9, (double)(u[2].wall - u[1].wall) / 1e9,
	       resident <= GOAL ? "met" : "MISSED");
	fprintf(l->csv, "\"%s\",%zu,%zu,%.1f,%.1f,%lld,%lld,%lld,%lld\n", l->name, l->tasks,
		l->stack_size, resident, tables, (long long)(u[1].cpu - u[0].cpu),
		(long long)(u[1].wall - u[0].wall), (long long)(u[2].cpu - u[1].cpu),
		(long long)(u[2].wall - u[1].wall));
	fflush(stdout);
	fflush(l->csv);
}

static int spawn_all(struct anyc_group *group, const struct load *l)
{
	struct anyc_spawn_options options = {.stack_size = l->stack_size};
	size_t i;
	int rc = 0;

	for (i = 0; i < l->tasks && rc == 0; i++)
		rc = anyc_spawn_opts(group, park, NULL, &options);
	return rc == 0 ? anyc_checkpoint() : rc;
}

static int measure(void *arg)
{
	const struct load *l = arg;
	struct anyc_group group;
	struct use u[3];
	int rc;

	u[0] = use_now();
	anyc_group_enter(&group, NULL);
	rc = spawn_all(&group, l);
	u[1] = use_now();
	anyc_group_cancel(&group, "measured");
	rc = anyc_group_leave(&group, rc);
	u[2] = use_now();
	if (rc == 0)
		tell(l, u);
	return rc;
}

static void run_in_child(struct load *l)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int rc = anyc_run(NULL, measure, l);

		if (rc != 0)
			fprintf(stderr, "%s: %s\n", l->name, anyc_error_detail(rc));
		_exit(rc == 0 ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("%s failed", l->name);
}

int main(void)
{
	FILE *csv = bench_csv("memory", "case,tasks,stack,resident,tables,spawn_cpu_ns,"
			      "spawn_wall_ns,end_cpu_ns,end_wall_ns");
	struct load loads[] = {
		{"1,000,000 tasks, 128 KiB stacks", 1000000, 131072, csv},
		{"100,000 tasks, default stacks", 100000, 0, csv},
	};
	size_t i;

	printf("memory: parked tasks, each on its guarded stack; end: cancel, wake, join\n\n"
	       "%-36s %10s %10s %9s %9s %9s %9s\n%-36s %10s %10s %9s %9s %9s %9s   %s\n",
	       "", "VmRSS,", "VmPTE,", "spawn,", "wall,", "end,", "wall,",
	       "", "B a task", "B a task", "s of CPU", "s", "s of CPU", "s",
	       "goal 4608 B resident");
	fflush(stdout);
	fflush(csv);
	for (i = 0; i < sizeof loads / sizeof *loads; i++)
		run_in_child(&loads[i]);
	bench_csv_close(csv, "memory");
	return 0;
}

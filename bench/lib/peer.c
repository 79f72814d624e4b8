/* SPDX-License-Identifier: MIT */
/* Starting, watching and ending servers; what strace -c says of them. */
#include "peer.h"

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void peer_processors(int processor[2])
{
	cpu_set_t set;
	int i, n = 0;

	if (sched_getaffinity(0, sizeof set, &set) != 0)
		bench_die("sched_getaffinity failed");
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			processor[n++] = i;
	if (n < 2)
		bench_die("one processor is not enough: the load would disturb the server");
}

void peer_pin(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		bench_die("cannot run on processor %d", processor);
}

/* A child that ends when we do, however that is. */
static pid_t child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bench_die("fork failed");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

static void end(pid_t pid, int signal)
{
	int status;

	kill(pid, signal);
	waitpid(pid, &status, 0);
}

/* -------------------------------------------------------------------------------- servers */

static _Noreturn void become(const struct peer *p, const char *use, int processor, int out)
{
	char path[4096];

	peer_pin(processor);
	dup2(out, STDOUT_FILENO);
	setenv("ANYC_MODULE_DIR", BENCH_MODULES, 1);
	snprintf(path, sizeof path, "%s/lib/%s", BENCH_DIR, p->program);
	execl(path, p->program, p->variant, use, (char *)NULL);
	fprintf(stderr, "bench: cannot start %s\n", path);
	_exit(1);
}

void peer_start(struct peer *p, const char *use, int processor)
{
	char line[16] = "";
	int ends[2];
	FILE *out;

	if (pipe2(ends, O_CLOEXEC) != 0)
		bench_die("pipe failed");
	p->pid = child();
	if (p->pid == 0)
		become(p, use, processor, ends[1]);
	close(ends[1]);
	out = fdopen(ends[0], "r");
	if (out == NULL || fgets(line, sizeof line, out) == NULL)
		bench_die("%s did not start", p->name);
	fclose(out);
	p->port = (unsigned)strtoul(line, NULL, 10);
}

void peer_stop(struct peer *p)
{
	end(p->pid, SIGTERM);
	p->pid = 0;
}

int64_t peer_cpu(const struct peer *p)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(p->pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
		bench_die("%s has ended", p->name);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_nsec = ms * 1000000};

	nanosleep(&ts, NULL);
}

/* What stands behind a field of a file in /proc; false: there is no such field. */
static bool field_of(char value[256], const char *path, const char *field)
{
	FILE *status = fopen(path, "r");
	size_t length = strlen(field);
	bool found = false;
	char line[256];

	while (status != NULL && !found && fgets(line, sizeof line, status) != NULL) {
		found = strncmp(line, field, length) == 0;
		if (found)
			snprintf(value, sizeof line, "%s", line + length);
	}
	if (status != NULL)
		fclose(status);
	return found;
}

/* The number behind it, or -1. */
static long status_field(pid_t pid, const char *field)
{
	char path[64], value[256];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	return field_of(value, path, field) ? atol(value) : -1;
}

static bool sleeps(pid_t pid)
{
	char path[64], value[256];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	return field_of(value, path, "State:") && strchr(value, 'S') != NULL;
}

void peer_settle(const struct peer *p)
{
	int64_t before, now = peer_cpu(p);
	int tries, quiet = 0;

	for (tries = 0; quiet < 3 && tries < 1000; tries++) {
		pause_ms(10);
		before = now;
		now = peer_cpu(p);
		quiet = now == before && sleeps(p->pid) ? quiet + 1 : 0;
	}
}

long peer_preemptions(const struct peer *p)
{
	char pattern[64], value[256];
	glob_t threads;
	long sum = 0;
	size_t i;

	snprintf(pattern, sizeof pattern, "/proc/%d/task/*/status", (int)p->pid);
	if (glob(pattern, GLOB_NOSORT, NULL, &threads) != 0)
		bench_die("%s has ended", p->name);
	for (i = 0; i < threads.gl_pathc; i++)
		if (field_of(value, threads.gl_pathv[i], "nonvoluntary_ctxt_switches:"))
			sum += atol(value);
	globfree(&threads);
	return sum;
}

double peer_resident(const struct peer *p)
{
	return (double)status_field(p->pid, "VmRSS:") * 1024;
}

/* ------------------------------------------------------------------------ counting of calls */

static pid_t strace;

static const char *counts_path(void)
{
	return BENCH_DIR "/calls.strace";
}

static _Noreturn void become_strace(const struct peer *p)
{
	char pid[16];

	snprintf(pid, sizeof pid, "%d", (int)p->pid);
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(1);
	execlp("strace", "strace", "-f", "-c", "-o", counts_path(), "-p", pid, (char *)NULL);
	_exit(1);
}

bool peer_count_begin(const struct peer *p)
{
	int status, tries;

	strace = child();
	if (strace == 0)
		become_strace(p);
	for (tries = 0; tries < 500; tries++) {
		if (waitpid(strace, &status, WNOHANG) != 0)
			return false;
		pause_ms(20); /* being traced, the server still has to be stopped and let go on */
		if (status_field(p->pid, "TracerPid:") > 0) {
			pause_ms(200);
			return true;
		}
	}
	end(strace, SIGKILL);
	return false;
}

static void add(struct peer_calls *calls, const char *name, unsigned long count)
{
	if (strcmp(name, "recvfrom") == 0 || strncmp(name, "read", 4) == 0)
		calls->receive += count;
	else if (strcmp(name, "sendto") == 0 || strncmp(name, "write", 5) == 0)
		calls->send += count;
	else if (strcmp(name, "poll") == 0 ||
		 (strncmp(name, "epoll_", 6) == 0 && strstr(name, "wait") != NULL))
		calls->wait += count;
	else if (strcmp(name, "epoll_ctl") == 0)
		calls->control += count;
	else
		calls->other += count;
}

/* "% time, seconds, usecs/call, calls, errors (maybe), syscall" */
static void read_line(struct peer_calls *calls, const char *line)
{
	char word[2][64];
	double share, seconds;
	unsigned long each, count;
	int words = sscanf(line, "%lf %lf %lu %lu %63s %63s", &share, &seconds, &each, &count,
			   word[0], word[1]);

	if (words >= 5 && strcmp(word[words - 5], "total") != 0)
		add(calls, word[words - 5], count);
}

void peer_count_end(struct peer_calls *calls)
{
	char line[256];
	FILE *counts;

	end(strace, SIGINT);
	*calls = (struct peer_calls){0};
	counts = fopen(counts_path(), "r");
	if (counts == NULL)
		bench_die("strace wrote nothing");
	while (fgets(line, sizeof line, counts) != NULL)
		read_line(calls, line);
	fclose(counts);
	remove(counts_path());
}

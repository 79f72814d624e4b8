/* SPDX-License-Identifier: MIT */
/*
 * A soak: thousands of connections come and go, on each backend in turn, and at the end nothing
 * must have grown.
 *
 *	tests/soak/soak [SECONDS CONNECTIONS]
 *
 * SECONDS are those of each backend.  The server and its clients are two processes, so that each
 * has one descriptor a connection.  A tenth as many again speak TLS.  What they have is looked at
 * between phases, when every connection has ended: it must be what it was after the first.
 */
#include "soak.h"

#include <anyc/anyc.h>
#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/certs.h"

#define SECONDS 2
#define CONNECTIONS 300
#define SECONDS_MAX 3600
#define CONNECTIONS_MAX 50000
#define SPARE 100
#define PATIENCE (180 * ANYC_SECOND)
/* Slabs are as many, and arrays of timers and descriptors as long, as they ever had to be. */
#define BLOCKS_MORE 2
#define HEAP_EACH 64 /* of a connection */
#define HEAP_MORE ((size_t)16 << 10)
/* So many stacks that were left are kept as they are; which of them ever ran TLS is chance. */
#define WARM_STACKS 1024
#define WARM_STACK ((size_t)16 << 10)

/* ---------------------------------------------------------------------------- both processes */

void soak_fail(struct soak *s, const char *format, ...)
{
	va_list args;

	if (atomic_exchange(&s->failed, true))
		return;
	va_start(args, format);
	vsnprintf(s->sentence, sizeof s->sentence, format, args);
	va_end(args);
}

int soak_wait(struct soak *s, _Atomic unsigned *counter, unsigned least, const char *what)
{
	int64_t end = anyc_now() + PATIENCE;
	int rc = 0;

	while (rc == 0 && !s->failed && *counter < least) {
		if (anyc_now() > end)
			soak_fail(s, "waited in vain until %s", what);
		rc = anyc_sleep(2 * ANYC_MILLISECOND);
	}
	return s->failed ? ANYC_ECLOSED : rc;
}

/* Without what malloc keeps though nothing of it is in use: by chance that is up to 30 MiB. */
static size_t resident(void)
{
	FILE *status;
	char line[256];
	size_t kib = 0;

	malloc_trim(0);
	status = fopen("/proc/self/status", "r");
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	if (status != NULL)
		fclose(status);
	return kib << 10;
}

static size_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* Bytes that are in use, which a leak shows in at once. */
static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static size_t heap_more(const struct soak *s)
{
	return ((size_t)s->connections + s->tls_connections) * HEAP_EACH + HEAP_MORE;
}

/* How much more may be resident. */
static size_t resident_more(const struct soak *s, size_t before)
{
	size_t stacks = (size_t)s->connections + s->tls_connections;

	return before / 20 + (stacks < WARM_STACKS ? stacks : WARM_STACKS) * WARM_STACK;
}

static void compare(struct soak *s, const char *who, const char *what, size_t before, size_t now,
		    size_t more)
{
	if (now > before + more)
		soak_fail(s, "%s: %s grew from %zu to %zu, with no connection open", who, what,
			  before, now);
}

void soak_look(struct soak *s, const char *who, struct soak_figures figures[SOAK_PHASES],
	       unsigned phase)
{
	struct soak_figures *now = &figures[phase];
	const struct soak_figures *was = &figures[0];
	struct anyc_memory_stats memory;
	struct anyc_loop_stats loop;

	anyc_memory_stats(&memory);
	if (anyc_loop_stats(&loop, NULL) != 0)
		soak_fail(s, "%s: the loop has no figures", who);
	*now = (struct soak_figures){.descriptors = descriptors(),
				     .tasks = loop.tasks,
				     .timers = loop.timers,
				     .streams = memory.streams,
				     .blocks = memory.blocks,
				     .heap = heap(),
				     .resident = resident()};
	compare(s, who, "descriptors", was->descriptors, now->descriptors, 0);
	compare(s, who, "tasks", was->tasks, now->tasks, 0);
	compare(s, who, "timers", was->timers, now->timers, 0);
	compare(s, who, "streams", was->streams, now->streams, 0);
	compare(s, who, "blocks of memory", was->blocks, now->blocks, BLOCKS_MORE);
	compare(s, who, "heap", was->heap, now->heap, heap_more(s));
	compare(s, who, "resident memory", was->resident, now->resident,
		resident_more(s, was->resident));
	printf("# %s, phase %u: %zu descriptors, %zu tasks, %zu timers, %zu blocks, "
	       "%zu KiB in the heap, %zu KiB resident\n", who, phase, now->descriptors,
	       now->tasks, now->timers, now->blocks, now->heap >> 10, now->resident >> 10);
	fflush(stdout);
}

/* ----------------------------------------------------------------------------- one backend */

static int run(struct soak *s, anyc_task_fn *fn, const char *who)
{
	struct anyc_run_options options = {.backend = s->backend};
	int rc = s->backend != NULL ? anyc_run(&options, fn, s) : fn(s);

	if (rc != 0)
		soak_fail(s, "%s: %s", who, anyc_error_detail(rc));
	return s->failed;
}

static void soak_backend(struct soak *s)
{
	pid_t parent = getpid(), child;
	int status;

	s->port = s->tls_port = s->ended = s->measured = 0;
	s->served = s->open = s->open_most = 0;
	s->failed = false;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() != parent || run(s, soak_clients, "clients") != 0);
	}
	if (child < 0)
		soak_fail(s, "fork failed");
	else
		run(s, soak_server, "server");
	if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
		soak_fail(s, "the process of the clients died");
}

/* Each in a process of its own: a plain thread's tasks need one without a loop before. */
static bool report(struct soak *s, const char *name, int number)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		soak_backend(s);
		_exit(s->failed);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		soak_fail(s, "the process of the server died");
	printf("%sok %d - %s: %u connections, %u at once, and nothing grew\n",
	       s->failed ? "not " : "", number, name, s->served, s->open_most);
	if (s->failed)
		printf("# %s\n", s->sentence);
	fflush(stdout);
	return s->failed;
}

static void raise_limit(const struct soak *s)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)s->connections + s->tls_connections + SPARE;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted)
		return;
	fprintf(stderr, "soak: so many connections need %llu descriptors (ulimit -Hn)\n",
		(unsigned long long)wanted);
	exit(1);
}

/* malloc counts as used what it keeps for each thread's next calls: begins anew without that. */
static void count_exactly(char **argv)
{
	if (getenv("GLIBC_TUNABLES") != NULL)
		return;
	setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	static const char *const backends[] = {"libuv", "libevent", "libev", "anyc", NULL};
	static const int count = sizeof backends / sizeof *backends;
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : SECONDS;
	unsigned long connections = argc > 2 ? strtoul(argv[2], NULL, 10) : CONNECTIONS;
	struct certs_spec spec = {.names = "IP:127.0.0.1"};
	struct certs certs;
	struct soak *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, failed = 0;

	count_exactly(argv);
	if (s == MAP_FAILED || seconds < 1 || seconds > SECONDS_MAX || connections < 10 ||
	    connections > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: soak [SECONDS CONNECTIONS], up to %d and 10 to %d\n",
			SECONDS_MAX, CONNECTIONS_MAX);
		return 1;
	}
	certs_make(&certs);
	s->ca = certs.ca;
	s->pem = certs_add(&certs, &spec);
	s->connections = (unsigned)connections;
	s->tls_connections = (unsigned)connections / 10;
	s->phase = (int64_t)seconds * ANYC_SECOND / SOAK_PHASES;
	raise_limit(s);
	printf("1..%d\n", count);
	for (i = 0; i < count; i++) {
		s->backend = backends[i];
		failed += report(s, backends[i] != NULL ? backends[i] : "no loop", i + 1);
	}
	certs_remove(&certs);
	return failed > 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A soak: thousands of connections come and go, on each backend in turn, and at the end nothing
 * must have grown; and slow clients attack, which an honest one must not notice (slow.c).
 *
 *	tests/soak/soak [SECONDS CONNECTIONS]
 *
 * SECONDS are those of each backend for what comes and goes; 0 leaves it out.  The server and its
 * clients are processes of their own, so that each has one descriptor a connection.  A tenth as
 * many again speak TLS, and as many are slow.  What a process has is looked at between phases, when
 * every connection has ended: it must be what it was after the first.
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
#define TRIES 3
#define PATIENCE (180 * ANYC_SECOND)
/* Slabs are as many, and arrays of timers and descriptors as long, as they ever had to be. */
#define BLOCKS_MORE 2
#define HEAP_EACH 64 /* of a connection */
#define HEAP_MORE ((size_t)16 << 10)
/* So many stacks that were left are kept as they are; which of them ever ran TLS is chance. */
#define WARM_STACKS 1024
#define WARM_STACK ((size_t)16 << 10)

/* ----------------------------------------------------------------------------- all processes */

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
	return (size_t)s->at_once * HEAP_EACH + HEAP_MORE;
}

/* How much more may be resident. */
static size_t resident_more(const struct soak *s, size_t before)
{
	size_t stacks = s->at_once < WARM_STACKS ? s->at_once : WARM_STACKS;

	return before / 20 + stacks * WARM_STACK;
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

static const struct scenario {
	anyc_task_fn *server, *clients[2]; /* a process each */
	const char *name;
} churn = {soak_server, {soak_clients}, ""},
  attack = {soak_attacked_server, {soak_slow_clients, soak_honest_client}, ", slow clients"};

static pid_t begin(struct soak *s, anyc_task_fn *fn)
{
	pid_t parent = getpid(), child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() != parent || run(s, fn, "clients") != 0);
	}
	if (child < 0)
		soak_fail(s, "fork failed");
	return child;
}

static void play(struct soak *s, const struct scenario *scenario)
{
	pid_t children[2] = {-1, -1};
	int i, status;

	s->port = s->tls_port = s->ended = s->measured = 0;
	s->served = s->open = s->open_most = 0;
	s->stage = SOAK_BEGUN;
	s->timed_out = 0;
	s->dropped_first = s->dropped_last = 0;
	s->calm_p99 = s->attacked_p99 = 0;
	s->summary[0] = '\0';
	s->failed = s->late = false;
	s->at_once = scenario == &attack ? s->slow : s->connections + s->tls_connections;
	for (i = 0; i < 2 && scenario->clients[i] != NULL; i++)
		children[i] = begin(s, scenario->clients[i]);
	if (!s->failed)
		run(s, scenario->server, "server");
	for (i = 0; i < 2 && children[i] > 0; i++)
		if (waitpid(children[i], &status, 0) != children[i] || status != 0)
			soak_fail(s, "a process of the clients died");
}

/* Each in a process of its own: a plain thread's tasks need one without a loop before. */
static void play_apart(struct soak *s, const struct scenario *scenario)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		play(s, scenario);
		_exit(s->failed);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		soak_fail(s, "the process of the server died");
}

/* Others that run here may make a client late; what the library does comes again each time. */
static bool report(struct soak *s, const struct scenario *scenario, int number)
{
	const char *name = s->backend != NULL ? s->backend : "no loop";
	int tries = TRIES;

	play_apart(s, scenario);
	while (s->late && --tries > 0) {
		printf("# %s; again\n", s->sentence);
		play_apart(s, scenario);
	}
	printf("%sok %d - %s%s: %s\n", s->failed ? "not " : "", number, name, scenario->name,
	       s->summary);
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

static void usage(void)
{
	fprintf(stderr, "usage: soak [SECONDS CONNECTIONS], up to %d and 10 to %d\n", SECONDS_MAX,
		CONNECTIONS_MAX);
	exit(1);
}

/* What runs beside other tests is short, and says nothing of how long something took. */
static void set(struct soak *s, int argc, char **argv)
{
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : SECONDS;
	unsigned long connections = argc > 2 ? strtoul(argv[2], NULL, 10) : CONNECTIONS;

	if (seconds > SECONDS_MAX || connections < 10 || connections > CONNECTIONS_MAX)
		usage();
	s->connections = (unsigned)connections;
	s->tls_connections = s->slow = (unsigned)connections / 10;
	s->phase = (int64_t)seconds * ANYC_SECOND / SOAK_PHASES;
	s->judge_latency = argc > 1;
	s->handshake_timeout = (argc > 1 ? 5 : 1) * ANYC_SECOND;
	s->plant = getenv("SOAK_BREAK");
}

int main(int argc, char **argv)
{
	static const char *const backends[] = {"libuv", "libevent", "libev", "anyc", NULL};
	static const int count = sizeof backends / sizeof *backends;
	struct certs_spec spec = {.names = "IP:127.0.0.1"};
	struct certs certs;
	struct soak *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, number = 0, failed = 0;

	count_exactly(argv);
	if (s == MAP_FAILED) {
		perror("soak: mmap");
		return 1;
	}
	set(s, argc, argv);
	certs_make(&certs);
	s->ca = certs.ca;
	s->pem = certs_add(&certs, &spec);
	raise_limit(s);
	printf("1..%d\n", s->phase > 0 ? 2 * count : count);
	for (i = 0; i < count; i++) {
		s->backend = backends[i];
		if (s->phase > 0)
			failed += report(s, &churn, ++number);
		failed += report(s, &attack, ++number);
	}
	certs_remove(&certs);
	return failed > 0;
}

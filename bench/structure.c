/* SPDX-License-Identifier: MIT */
/*
 * Tasks, queues and what synchronises them, against Go on one processor (GOMAXPROCS=1).  Each side
 * is a process that does n operations of a case on request (lib/structure_anyc.c, structure.go),
 * so that the two take turns.  "fast" is the option of that name: calls that need not wait do not
 * give way.  Where the two differ:
 *
 *	event     Go closes a channel; both make a new one each time
 *	deadline  Go's context.WithTimeout() and its cancel, with nobody waiting
 *	cancel    Go's tasks receive from the Done() of one context; spawning them is not counted
 *	timer     Go's Reset() and Stop() of one timer; anyc's heap as its scopes use it
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/bench.h"

/* A sample of this many CPU ns may be preempted once. */
#define PATIENCE_NS 2000000

struct side {
	const char *program; /* in the build directory's bench/lib */
	FILE *requests, *answers;
};

static struct side anyc = {.program = "structure_anyc"};
static struct side go = {.program = "structure_go"};

static _Noreturn void become(const struct side *s, int in, int out)
{
	char path[4096];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	snprintf(path, sizeof path, "%s/lib/%s", BENCH_DIR, s->program);
	execl(path, s->program, (char *)NULL);
	fprintf(stderr, "bench: cannot start %s\n", path);
	_exit(1);
}

static void start(struct side *s)
{
	int to[2], from[2];
	pid_t pid;

	if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
		bench_die("pipe failed");
	pid = fork();
	if (pid < 0)
		bench_die("fork failed");
	if (pid == 0)
		become(s, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	s->requests = fdopen(to[1], "w");
	s->answers = fdopen(from[0], "r");
	if (s->requests == NULL || s->answers == NULL)
		bench_die("fdopen failed");
}

static bool ask(struct side *s, const char *name, size_t n, double *ns)
{
	long long time;
	size_t operations;
	long away;

	fprintf(s->requests, "%s %zu\n", name, n);
	fflush(s->requests);
	if (fscanf(s->answers, "%lld %zu %ld", &time, &operations, &away) != 3)
		bench_die("%s has ended", s->program);
	*ns = (double)time / (double)operations;
	return away <= time / PATIENCE_NS;
}

static bool ask_anyc(void *name, size_t n, double *ns)
{
	return ask(&anyc, name, n, ns);
}

static bool ask_go(void *name, size_t n, double *ns)
{
	return ask(&go, name, n, ns);
}

/* The names of cases are only read. */
#define ID(id) ((void *)(uintptr_t)(id))
#define GO(line, title, id) {.name = title, .sample = ask_go, .arg = ID(id), .base = line}
#define ANYC(title, id, of, most) \
	{.name = title, .sample = ask_anyc, .arg = ID(id), .base = of, .goal = most}

int main(void)
{
	static const struct bench_case cases[] = {
		GO(0, "Go: queue one way, capacity 128; each item", "buffered"),
		ANYC("anyc", "buffered", 0, 0.25),
		ANYC("anyc, fast", "fast-buffered", 0, 0.25),
		GO(3, "Go: queue one way, capacity 0; each item", "rendezvous"),
		ANYC("anyc", "rendezvous", 3, 0.25),
		ANYC("anyc, fast", "fast-rendezvous", 3, 0.25),
		GO(6, "Go: queue round trip, capacity 0", "roundtrip"),
		ANYC("anyc", "roundtrip", 6, 0.25),
		ANYC("anyc, fast", "fast-roundtrip", 6, 0.25),
		GO(9, "Go: lock that is free, and unlock", "lock"),
		ANYC("anyc", "lock", 9, 0.5),
		ANYC("anyc, fast", "fast-lock", 9, 0.5),
		GO(12, "Go: set an event; another task wakes", "event"),
		ANYC("anyc", "event", 12, 0.25),
		GO(14, "Go: scope with a deadline, enter and leave", "deadline"),
		ANYC("anyc", "deadline", 14, 0.25),
		GO(16, "Go: spawn a task and join it", "spawn"),
		ANYC("anyc", "spawn", 16, 0.25),
		GO(18, "Go: spawn 1000 tasks and join them; each", "batch"),
		ANYC("anyc", "batch", 18, 0.25),
		GO(20, "Go: cancel 100,000 parked tasks, and join; each", "cancel"),
		ANYC("anyc", "cancel", 20, 0.5),
		GO(22, "Go: timer with 10,000 pending, set and stop", "timer"),
		ANYC("anyc", "timer", 22, 0.25),
	};

	start(&anyc);
	start(&go);
	bench_compare("structure", cases, sizeof cases / sizeof *cases);
	return 0;
}

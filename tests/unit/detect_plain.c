/* SPDX-License-Identifier: MIT */
/*
 * detect in a program that has no event loop, with a main of its own and TAP on stdout: what it
 * costs, that nothing is loaded for it, and the registry under many threads (ThreadSanitizer
 * cannot run Criterion).
 */
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <anyc/error.h>

#include "detect/detect.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#define SLOW (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SLOW 0
#endif

static int tests, failures;

static void check(bool good, const char *what)
{
	tests++;
	failures += !good;
	printf("%s %d - %s\n", good ? "ok" : "not ok", tests, what);
}

/* --------------------------------------------------------------------------------- costs */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void ask_entry(void)
{
	anyc__current_entry();
}

static void ask_name(void)
{
	anyc__current_name();
}

static void ask_generation(void)
{
	(void)anyc__fork_generation();
}

static void ask_unwind(void)
{
	struct anyc__running running;

	anyc__unwind_running(&running);
}

static void ask_copies(void)
{
	anyc__copies_check(NULL, 0);
}

static void do_frame(void)
{
	anyc__frame_pop(anyc__frame_push(NULL, 0, 0));
}

static void do_lock(void)
{
	static struct anyc__lock lock;

	anyc__lock(&lock);
	anyc__unlock(&lock);
}

static void do_nothing(void)
{
	__asm__ volatile("");
}

/* The best of many short runs: what it costs when nothing else disturbs. */
static double cost(void (*volatile fn)(void))
{
	double best = 1e9, start, each;
	int run, i;

	for (run = 0; run < 100; run++) {
		start = now();
		for (i = 0; i < 1000; i++)
			fn();
		each = (now() - start) / 1000;
		if (each < best)
			best = each;
	}
	return best;
}

/* Set where figures mean nothing: sanitizers, emulators, kernels without MADV_WIPEONFORK. */
static bool slow;

static void check_cost(void (*fn)(void), double limit, const char *what)
{
	double ns = cost(fn);

	printf("# %s: %.1f ns\n", what, ns);
	check(slow || ns < limit, what);
}

static void check_costs(void)
{
	struct anyc__entry loop = {.library = "libuv", .native = &loop};
	unsigned depth;

	slow = SLOW || RUNNING_ON_VALGRIND || *anyc__fork_word == 0 || cost(do_nothing) > 5;
	check_cost(ask_generation, 50, "fork generation");
	check_cost(ask_entry, 50, "current entry, no loop");
	check_cost(ask_name, 50, "current name, no loop");
	anyc__registry_add(&loop);
	check_cost(ask_entry, 50, "current entry, one loop bound");
	check_cost(ask_name, 50, "current name, one loop bound");
	depth = anyc__frame_push(&loop, 0, 0);
	check_cost(ask_entry, 50, "current entry, in a frame");
	check_cost(ask_name, 50, "current name, in a frame");
	anyc__frame_pop(depth);
	anyc__registry_remove(&loop);
	check_cost(do_frame, 100, "push and pop");
	check_cost(do_lock, 100, "lock and unlock");
	check_cost(ask_unwind, 1000, "look up the stack, no loop library loaded");
	check_cost(ask_copies, 1000, "check for copies");
}

/* ------------------------------------------------------------------------ nothing is loaded */

static int is_unwinder(struct dl_phdr_info *object, size_t size, void *arg)
{
	(void)size;
	if (strstr(object->dlpi_name, "libgcc_s") != NULL)
		*(bool *)arg = true;
	return 0;
}

static void check_unwind(void)
{
	struct anyc__running running;
	bool before = false, after = false;

	dl_iterate_phdr(is_unwinder, &before);
	check(!anyc__unwind_running(&running), "nothing runs");
	dl_iterate_phdr(is_unwinder, &after);
	check(before == after, "the unwinder was not loaded to say so");
}

/* -------------------------------------------------------------------------------- threads */

#define THREADS 8
#define ROUNDS 3000

static struct anyc__entry shared = {.library = "shared", .native = &shared};
static _Atomic(long) wrong;

static void count_entry(void *arg, const struct anyc__entry *e)
{
	(void)e;
	++*(int *)arg;
}

static void *churn(void *arg)
{
	struct anyc__entry mine = {.library = "mine", .native = &mine}, *one;
	int i, count;

	for (i = 0; i < ROUNDS; i++) {
		unsigned depth;

		anyc__registry_add(&mine);
		anyc__registry_bind(&mine);
		wrong += anyc__registry_find(&mine) != &mine;
		wrong += anyc__registry_here_of("mine") != &mine;
		depth = anyc__frame_push(&mine, 0, 0);
		wrong += anyc__current_entry() != &mine;
		anyc__frame_pop(depth);
		if (i % 16 == 0)
			anyc__registry_bind(&shared);
		count = 0;
		anyc__registry_each_here(count_entry, &count);
		wrong += count < 1 || count > 2;
		anyc__registry_here(&one);
		anyc__names_push("name");
		wrong += strcmp(anyc__current_name(), "name") != 0;
		anyc__names_pop();
		anyc__registry_remove(&mine);
		wrong += anyc__registry_here_of("mine") != NULL;
		if (i % 64 == 0) {
			struct anyc__running running;

			wrong += anyc__unwind_running(&running);
			wrong += anyc__copies_check(NULL, 0) != 0;
			anyc__unwind_know("libthem", "them_run");
			wrong += anyc__module_known(0) == NULL;
		}
	}
	return arg;
}

static void check_threads(void)
{
	pthread_t thread[THREADS];
	int i;

	anyc__registry_add(&shared);
	for (i = 0; i < THREADS; i++) {
		if (pthread_create(&thread[i], NULL, churn, NULL) != 0)
			_exit(1);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	check(wrong == 0, "threads see their own loops");
	anyc__registry_remove(&shared);
}

/* Every thread asks first at the same time: all must agree. */
static pthread_barrier_t barrier;

static void *first_ask(void *arg)
{
	pthread_barrier_wait(&barrier);
	*(uint64_t *)arg = anyc__fork_generation();
	return arg;
}

static bool all_agree(uint64_t expected)
{
	uint64_t told[THREADS];
	pthread_t thread[THREADS];
	bool good = true;
	int i;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		if (pthread_create(&thread[i], NULL, first_ask, &told[i]) != 0)
			_exit(1);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		good = good && told[i] == expected;
	}
	pthread_barrier_destroy(&barrier);
	return good;
}

static void check_first_ask(void)
{
	int status = 1;
	pid_t pid;

	check(all_agree(1), "threads agree on the first generation");
#if SLOW
	(void)pid;
	(void)status; /* ThreadSanitizer does not follow threads made in a child */
#else
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(all_agree(2) ? 0 : 1);
	waitpid(pid, &status, 0);
	check(status == 0, "threads of a child agree on the next");
#endif
}

int main(void)
{
	check_first_ask();
	check_unwind();
	check_costs();
	check_threads();
	printf("1..%d\n", tests);
	anyc__thread_free();
	return failures != 0;
}

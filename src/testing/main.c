/* SPDX-License-Identifier: MIT */
/*
 * One test on one row: its host, its time, and the search for what it left behind.
 *
 * Rules
 *  - A scope without a deadline is open around the body, so that what cancels all of a thread, or
 *    meets a fork, finds one on every row.  No timer and no task of the kit's is on the loop: the
 *    clock that ends a test is the process's, and real on a loop whose time is not.
 *  - The clock's signal handler shows the tasks where they hang, and fails the test.  It does what
 *    a handler may not: the process ends after it, and if it cannot get through, by SIGALRM.
 */
#include "kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <anyc/error.h>
#include <anyc/inspect.h>
#include <anyc/loop.h>

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* A real-time signal that programs leave alone: alarm(2) and SIGALRM are the tests' own. */
#define CLOCK_SIGNAL (SIGRTMIN + 7)
#define HANDLER_STACK ((size_t)256 << 10)
#define HANDLER_PATIENCE 10

struct anyc__test_now anyc__test_now;
static pthread_t main_thread;
static bool ended; /* the test has passed */

const char *anyc_test_row(void)
{
	return anyc__test_now.test != NULL ? anyc__test_now.row : NULL;
}

bool anyc_test_row_is(const char *row)
{
	return strcmp(anyc__test_now.row, row) == 0;
}

/* --------------------------------------------------------------------------------- its time */

int anyc_test_slow(void)
{
	const char *slow = getenv("ANYC_TEST_SLOW");
	int factor = slow != NULL ? atoi(slow) : 1;

	return factor < 1 ? 1 : factor;
}

static int deadline_of(const struct anyc_test *t)
{
	return (t->deadline > 0 ? t->deadline : 10) * anyc_test_slow();
}

int anyc_test_backstop(const struct anyc_test *t)
{
	return 2 * deadline_of(t) + 40;
}

/* Goes into a failure's message: Criterion may have closed stderr. */
static const char *tasks_text(void)
{
	static char text[8192];

	anyc_dump_tasks(text, sizeof text);
	return text;
}

static void on_late(int signal_number)
{
	const struct anyc_test *t = anyc__test_now.test;
	sigset_t own;

	if (getpid() != anyc__test_now.pid)
		return;
	if (!pthread_equal(pthread_self(), main_thread)) {
		pthread_kill(main_thread, signal_number);
		return;
	}
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&own);
	sigaddset(&own, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &own, NULL);
	alarm(HANDLER_PATIENCE);
	anyc_test_fail(t->file, t->line, "the test passed its deadline of %d seconds\n%s",
		       deadline_of(t), tasks_text());
}

/* The handler has a stack of its own: it may interrupt a task that has little left. */
static timer_t start_clock(int seconds)
{
	void *memory = mmap(NULL, HANDLER_STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = memory, .ss_size = HANDLER_STACK };
	struct sigaction action = { .sa_handler = on_late, .sa_flags = SA_ONSTACK };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = CLOCK_SIGNAL };
	struct itimerspec when = { .it_value = { .tv_sec = seconds } };
	timer_t timer;

	main_thread = pthread_self();
	if (memory == MAP_FAILED || sigaltstack(&stack, NULL) != 0 ||
	    sigaction(CLOCK_SIGNAL, &action, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &when, NULL) != 0)
		ANYC_FAIL("cannot set the test's clock");
	return timer;
}

/* --------------------------------------------------------------------------------- running */

static size_t live_tasks(void)
{
	struct anyc_memory_stats stats;

	anyc_memory_stats(&stats);
	return stats.tasks;
}

/* A task that outlives the body would keep its loop, or be cancelled with it, or not be seen. */
static void find_tasks(const struct anyc_test *t, size_t before)
{
	size_t left;

	if (live_tasks() > before)
		anyc_test_rc_(t->file, t->line, "waiting for the test's tasks",
			      anyc_wait_all_blocked(), 0);
	left = live_tasks() - before;
	if (left == 0)
		return;
	anyc_test_fail(t->file, t->line, "the test left %zu tasks behind\n%s", left,
		       tasks_text());
}

static int body_task(void *arg)
{
	const struct anyc_test *t = arg;
	struct anyc_scope around;
	size_t tasks;

	anyc_scope_enter(&around, NULL);
	tasks = live_tasks();
	if (t->set_up != NULL)
		t->set_up();
	t->body();
	if (t->tear_down != NULL)
		t->tear_down();
	anyc_test_rc_(t->file, t->line, "leaving the scope around the test",
		      anyc_scope_leave(&around, 0), 0);
	find_tasks(t, tasks);
	return 0;
}

static void run_body(const struct anyc_test *t)
{
	const struct anyc_test_host *host = anyc__test_now.host;

	if (t->outside)
		t->body();
	else
		anyc_test_rc_(t->file, t->line, "running the host",
			      host->run(host, body_task, (void *)(uintptr_t)t, t->name), 0);
}

/* The row comes from the end of the name: it travels to another process by value. */
static void find_row(const struct anyc_test *t, const char *full_name)
{
	struct anyc__test_now *now = &anyc__test_now;
	const char *open = strrchr(full_name, '[');
	size_t length = open != NULL ? strlen(open) : 0;

	if (length < 3 || length - 2 >= sizeof now->row)
		anyc_test_fail(t->file, t->line, "there is no row in the name %s", full_name);
	memcpy(now->row, open + 1, length - 2);
	now->row[length - 2] = '\0';
	now->host = anyc__test_host(now->row);
	if (now->host == NULL || now->host->run == NULL)
		anyc_test_fail(t->file, t->line, "the row %s is not here: %s", now->row,
			       anyc_error_detail(anyc_backend_available(now->row)));
}

/* -------------------------------------------------------------------------------- leftovers */

static void add_block(void *text, const void *block, size_t size, const char *site)
{
	anyc__text_add(text, "\n%zu bytes at %p from %s", size, block, site != NULL ? site : "?");
}

static void find_leftovers(const struct anyc_test *t, const struct anyc_snapshot *before)
{
	struct anyc_snapshot after;
	char what[1024], blocks[4096] = "";
	struct anyc__text text = { blocks, sizeof blocks };

	anyc_snapshot_take(&after);
	if (anyc_snapshot_compare(before, &after, what, sizeof what) > 0) {
		anyc_leaks(add_block, &text);
		anyc_test_fail(t->file, t->line, "the test left something behind: %s%s", what,
			       blocks);
	}
	/* Its report at a process's end would not fail the test. */
	if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
		anyc_test_fail(t->file, t->line, "LeakSanitizer found leaks");
}

/* The runners see that the status is not theirs; this says why. */
static void on_exit_inside(void)
{
	const struct anyc_test *t = anyc__test_now.test;

	if (!ended && getpid() == anyc__test_now.pid)
		anyc_test_fail(t->file, t->line, "the process ended inside the test");
}

void anyc_test_main(const struct anyc_test *t, const char *full_name, anyc_test_failed_fn *failed)
{
	static struct anyc_snapshot before;
	struct anyc__test_now *now = &anyc__test_now;
	timer_t clock;

	now->test = t;
	now->pid = getpid();
	now->failed = failed;
	find_row(t, full_name);
	atexit(on_exit_inside);
	anyc__test_keep_reports();
	if (getenv("ANYC_TEST_LEAKS") != NULL)
		anyc_track_leaks(true);
	anyc_test_rc_(t->file, t->line, "making and closing a loop before the test",
		      anyc__test_warm_up(now->host), 0);
	clock = start_clock(deadline_of(t));
	anyc_snapshot_take(&before);
	run_body(t);
	anyc_test_rc_(t->file, t->line, "anyc_thread_done()", anyc_thread_done(), 0);
	find_leftovers(t, &before);
	timer_delete(clock);
	ended = true;
}

/* SPDX-License-Identifier: MIT */
/* Task stacks as their users see them: rules 20, 29, 40, 41 and 42, and the overflow report. */
#include "conform.h"
#include "lib/valgrind.h"

#include <dlfcn.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) static int descend(volatile int depth)
{
	volatile char frame[1024];

	frame[0] = (char)depth;
	frame[sizeof frame - 1] = 1;
	return depth <= 0 ? frame[0] : descend(depth - 1) + frame[sizeof frame - 1];
}

static int run_away(void *arg)
{
	(void)arg;
	return descend(1 << 30);
}

static void overflow_in_a_task(void)
{
	struct anyc_group g;
	struct anyc_spawn_options o = { .name = "the deep one", .stack_size = 512 * 1024 };

	if (anyc_stack_overflow_handler() != 0)
		_exit(9);
	(void)VALGRIND_PRINTF("this process is meant to die of a signal\n");
	anyc_group_enter(&g, NULL);
	ANYC_IGNORE(anyc_spawn_opts(&g, run_away, NULL, &o));
	anyc_group_leave(&g, 0);
}

ANYC_TEST_MAIN(stack, r20_an_overflow_names_its_task, ANYC_ROWS_ALL, .deadline = 30)
{
	struct corpse c;

	corpse_make_in_task(&c, overflow_in_a_task);
	CHECK_DIED(&c, SIGSEGV, "the deep one");
	CHECK_HAS(c.text, "512 KiB");
}

static void fault_elsewhere(void)
{
	if (anyc_stack_overflow_handler() != 0)
		_exit(9);
	raise(SIGSEGV);
}

/* A fault that is no stack's goes on as if there were no handler. */
ANYC_TEST_MAIN(stack, r20_other_faults_pass_through, ANYC_ROWS_ALL, .deadline = 30)
{
	struct corpse c;

	corpse_make_in_task(&c, fault_elsewhere);
	CHECK(WIFSIGNALED(c.status) || (SANITIZED && WIFEXITED(c.status)));
	CHECK(strstr(c.text, "stack overflow") == NULL || SANITIZED);
}

static int go_deep(void *arg)
{
	return descend(*(const int *)arg) > 0 ? 0 : -EIO;
}

/* The default gives at least 128 KiB to the task, whatever the guard takes. */
ANYC_TEST(stack, r20_sizes)
{
	static const int some = SANITIZED ? 30 : 110, many = SANITIZED ? 100 : 700;
	struct anyc_group g;
	struct anyc_spawn_options large = { .stack_size = 1024 * 1024 };
	struct anyc_spawn_options least = { .stack_size = 4096 }, odd = { .stack_size = 300001 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, go_deep, (void *)(uintptr_t)&some));
	CHECK_OK(anyc_spawn_opts(&g, go_deep, (void *)(uintptr_t)&many, &large));
	CHECK_OK(anyc_spawn_opts(&g, go_deep, (void *)(uintptr_t)&some, &odd));
	CHECK_RC(anyc_spawn_opts(&g, go_deep, (void *)(uintptr_t)&some, &least), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "least");
	CHECK_OK(anyc_group_leave(&g, 0));
}

static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;

	CHECK(f != NULL);
	CHECK_INT(fscanf(f, "%ld %ld", &size, &resident), ==, 2);
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Stacks are used again: the second thousand costs nothing. */
ANYC_TEST(stack, r40_stacks_are_recycled, .deadline = 60)
{
	enum { MANY = SANITIZED ? 100 : 1000 };
	struct anyc_group g;
	struct anyc_memory_stats stats;
	long first = 0, last;
	size_t before;

	anyc_memory_stats(&stats);
	before = stats.stacks;
	for (int round = 0; round < 4; round++) {
		anyc_group_enter(&g, NULL);
		for (int i = 0; i < MANY; i++)
			CHECK_OK(anyc_spawn(&g, sleeper, NULL));
		SETTLE();
		anyc_memory_stats(&stats);
		CHECK_INT(stats.stacks, ==, before + MANY);
		CHECK_OK(anyc_group_cancel(&g, NULL));
		CHECK_OK(anyc_group_leave(&g, 0));
		last = resident_kb();
		if (round == 0)
			first = last;
	}
	anyc_memory_stats(&stats);
	CHECK_INT(stats.stacks, ==, before);
	if (!SANITIZED)
		CHECK_INT(last, <=, first + 2 * MANY);
}

static int round_up(void *arg)
{
	int rc;

	fesetround(FE_UPWARD);
	*(int *)arg = fegetround();
	rc = anyc_checkpoint();
	*(int *)arg = fegetround();
	return rc;
}

static int note_rounding(void *arg)
{
	*(int *)arg = fegetround();
	return 0;
}

/* With fpenv a task keeps its own floating-point state, and others keep theirs. */
ANYC_TEST(stack, r41_floating_point_state_of_ones_own)
{
	struct anyc_group g;
	struct anyc_spawn_options own = { .fpenv = true };
	int up = -1, other = -1;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, round_up, &up, &own));
	CHECK_OK(anyc_spawn(&g, note_rounding, &other));
	CHECK_OK(anyc_checkpoint());
	CHECK_INT(fegetround(), ==, FE_TONEAREST);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(up, ==, FE_UPWARD);
	CHECK_INT(other, ==, FE_TONEAREST);
	CHECK_INT(fegetround(), ==, FE_TONEAREST);
}

/* -------------------------------------------------------------------- what a task keeps (29) */

/* The C++ runtime's state of a thread that is inside a catch. */
struct cxx_globals {
	void *caught;
	unsigned uncaught;
};
static struct cxx_globals *(*cxx_globals)(void);

struct catcher {
	void *exception;
	bool kept, was_empty;
};

static int wait_in_catch(void *arg)
{
	struct catcher *c = arg;
	int rc;

	c->was_empty = cxx_globals()->caught == NULL;
	cxx_globals()->caught = c->exception;
	cxx_globals()->uncaught = 1;
	rc = anyc_checkpoint();
	if (rc == 0)
		rc = anyc_sleep(MS(1));
	c->kept = cxx_globals()->caught == c->exception && cxx_globals()->uncaught == 1;
	cxx_globals()->caught = NULL;
	cxx_globals()->uncaught = 0;
	return rc;
}

static int catch_in_tasks(void *arg)
{
	struct catcher a = { .exception = &a }, b = { .exception = &b };
	struct anyc_group g;

	(void)arg;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_in_catch, &a));
	CHECK_OK(anyc_spawn(&g, wait_in_catch, &b));
	CHECK_OK(anyc_checkpoint());
	CHECK(cxx_globals()->caught == NULL);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(a.was_empty && a.kept);
	CHECK(b.was_empty && b.kept);
	CHECK(cxx_globals()->caught == NULL && cxx_globals()->uncaught == 0);
	return 0;
}

/* A task may wait inside a catch: the next one does not find its exception. */
ANYC_TEST_MAIN(stack, r29_exceptions_stay_with_their_task, ANYC_ROWS_ALL)
{
	void *runtime = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL);
	void *symbol = runtime != NULL ? dlsym(runtime, "__cxa_get_globals") : NULL;
	struct host h;

	CHECK(symbol != NULL);
	memcpy(&cxx_globals, &symbol, sizeof symbol);
	CHECK_OK(host_run_task(&h, anyc_test_row(), catch_in_tasks, NULL, "main"));
}

struct jumper {
	jmp_buf back;
	int jumps;
};

/* It leaves by longjmp, which gcc does not see. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) static void jump_back(struct jumper *j)
{
	volatile char room[256];

	room[0] = 1;
	longjmp(j->back, room[0]);
}

static int jump_within(void *arg)
{
	struct jumper *j = arg;
	int rc = 0;

	if (setjmp(j->back) != 0)
		j->jumps++;
	rc = anyc_checkpoint();
	if (rc == 0 && j->jumps < 3)
		jump_back(j);
	return rc;
}

/* Within one task, and past no scope. */
ANYC_TEST(stack, r29_longjmp_within_a_task)
{
	struct jumper a = { .jumps = 0 }, b = { .jumps = 0 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, jump_within, &a));
	CHECK_OK(anyc_spawn(&g, jump_within, &b));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(a.jumps, ==, 3);
	CHECK_INT(b.jumps, ==, 3);
}

static void jump_in_a_task(void)
{
	struct jumper j = { .jumps = 0 };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, jump_within, &j));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/*
 * A longjmp cleans up what AddressSanitizer knows of the frames below, or warns that it does not
 * know the stack: it was not told of the switch.
 */
ANYC_TEST_MAIN(stack, r29_a_sanitizer_knows_the_stack, ANYC_ROWS_ALL)
{
	struct corpse c;

	corpse_make_in_task(&c, jump_in_a_task);
	CHECK_LIVED(&c);
	CHECK_STR(c.text, "");
}

/* ---------------------------------------------------------------------------------- outside */

struct outside {
	int depth, rc;
	uint64_t task;
	const char *library;
	struct anyc_event *event;
};

static int look_around(void *arg)
{
	struct outside *o = arg;

	o->task = anyc_task_id();
	o->library = anyc_current_library();
	o->rc = anyc_checkpoint();
	if (o->event != NULL)
		CHECK_OK(anyc_event_set(o->event));
	return descend(o->depth) != 0 ? 42 : -EIO;
}

/* Far more stack than the task has, and no waiting there. */
ANYC_TEST_ON(stack, r42_outside_runs_on_the_loops_stack, ANYC_ROWS_LOOP)
{
	struct outside o = { .depth = 1000 };

	CHECK_INT(anyc_outside(look_around, &o), ==, 42);
	CHECK_RC(o.rc, ANYC_ENOTASK);
	CHECK_INT(o.task, ==, 0);
	CHECK_STR(o.library, anyc_test_host()->ops->library);
	CHECK_INT(anyc_task_id(), !=, 0);
}

static int call_outside(void *arg)
{
	return anyc_outside(look_around, arg) == 42 ? 0 : -EIO;
}

/* In a plain thread as well, from a task on a stack of its own. */
ANYC_TEST(stack, r42_outside_of_a_child_task)
{
	struct anyc_group g;
	struct anyc_event event = { 0 };
	struct outside o = { .depth = 1000, .event = &event };
	struct waiter w = { .event = &event, .rc = 1 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_event, &w));
	CHECK_OK(anyc_spawn(&g, call_outside, &o));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(w.rc);
	CHECK_RC(o.rc, ANYC_ENOTASK);
}

static void call_outside_outside(void *arg)
{
	*(int *)arg = anyc_outside(look_around, NULL);
}

ANYC_TEST_ON(stack, r42_outside_needs_a_task, ANYC_ROWS_LOOP)
{
	int rc = 1;

	host_call(anyc_test_host(), call_outside_outside, &rc);
	CHECK_RC(rc, ANYC_ENOTASK);
}

/* Not a checkpoint: also in a cancelled scope. */
ANYC_TEST(stack, r42_outside_in_a_cancelled_scope)
{
	struct anyc_scope s;
	struct outside o = { .depth = 1 };

	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_INT(anyc_outside(look_around, &o), ==, 42);
	CHECK_OK(anyc_scope_leave(&s, 0));
}

/* SPDX-License-Identifier: MIT */
/*
 * detect's promises, one by one.  Linked to detect's own objects, and to all three loops with
 * libevent before libev; what needs a program without any loop is in detect_plain.c.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <anyc/backend.h>
#include <anyc/error.h>

#include "detect/detect.h"
#include "detect_loops.h"

static struct anyc__entry uv = {.library = "libuv", .run_symbol = "uv_run", .native = &uv};
static struct anyc__entry uv2 = {.library = "libuv", .run_symbol = "uv_run", .native = &uv2};
static struct anyc__entry event = {.library = "libevent", .native = &event};
static struct anyc__entry other = {.library = "other", .native = &other};

static void in_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, fn, arg), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------------------- a thread */

static void *note_id(void *arg)
{
	*(uint64_t *)arg = anyc__thread_id();
	return arg;
}

Test(thread, ids_are_never_reused)
{
	uint64_t first = 0, second = 0, mine = anyc__thread_id();

	cr_assert_neq(mine, 0);
	in_thread(note_id, &first);
	in_thread(note_id, &second);
	cr_assert_eq(anyc__thread_id(), mine);
	cr_assert(first > mine && second > first);
}

static void *check_stack(void *arg)
{
	uintptr_t low = 1, high = 1, again_low, again_high, sp = anyc__stack_pointer();

	anyc__thread_stack(&low, &high);
	*(bool *)arg = low != 0 && low <= sp && sp < high;
	anyc__thread_stack(&again_low, &again_high);
	*(bool *)arg = *(bool *)arg && again_low == low && again_high == high;
	return arg;
}

Test(thread, stack_bounds_hold_the_stack)
{
	bool good = false;

	check_stack(&good);
	cr_assert(good, "first thread");
	good = false;
	in_thread(check_stack, &good);
	cr_assert(good, "another thread");
}

static atomic_int core_freed;
static int core;

static void free_core(void *arg)
{
	if (arg == &core)
		core_freed++;
}

static void *use_block(void *arg)
{
	anyc__thread_block()->core = &core;
	return arg;
}

Test(thread, block_goes_with_the_thread)
{
	struct anyc__thread_block *block = anyc__thread_block();

	anyc__thread_core_free = free_core;
	cr_assert_not_null(block);
	cr_assert_eq(anyc__thread_block(), block);
	in_thread(use_block, NULL);
	cr_assert_eq(core_freed, 1);
	use_block(NULL);
	anyc__frame_push(&uv, 0, 0);
	anyc__thread_free();
	cr_assert_eq(core_freed, 2);
	cr_assert_null(anyc__thread.block);
	cr_assert_null(anyc__current_entry());
	anyc__thread_free();
}

static struct anyc__lock lock;
static long guarded;

static void *count_up(void *arg)
{
	int i;

	for (i = 0; i < 20000; i++) {
		anyc__lock(&lock);
		guarded++;
		anyc__unlock(&lock);
	}
	return arg;
}

Test(thread, lock_excludes)
{
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, count_up, NULL), 0);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(guarded, 80000);
}

/* --------------------------------------------------------------------------------- frames */

Test(frame, nothing_is_none)
{
	cr_assert_null(anyc__current_entry());
	cr_assert_null(anyc__current_name());
}

Test(frame, innermost_counts)
{
	unsigned a, b, c;

	a = anyc__frame_push(&uv, 0, 0);
	cr_assert_eq(anyc__current_entry(), &uv);
	b = anyc__frame_push(NULL, 0, 0);
	cr_assert_null(anyc__current_entry(), "a plain thread's engine");
	cr_assert_null(anyc__current_name());
	c = anyc__frame_push(&event, 0, 0);
	cr_assert_str_eq(anyc__current_name(), "libevent");
	anyc__frame_pop(c);
	anyc__frame_pop(b);
	cr_assert_str_eq(anyc__current_name(), "libuv");
	anyc__frame_pop(a);
	cr_assert_null(anyc__current_entry());
}

Test(frame, any_number_nests)
{
	unsigned depth[100];
	int i;

	for (i = 0; i < 100; i++)
		depth[i] = anyc__frame_push(i % 2 ? &uv : &event, 0, 0);
	for (i = 99; i >= 0; i--) {
		cr_assert_eq(anyc__current_entry(), i % 2 ? &uv : &event);
		anyc__frame_pop(depth[i]);
	}
	cr_assert_eq(anyc__thread.frames, 0);
}

static jmp_buf back;

/* Pushes `levels` frames, each in a C frame of its own, and leaves them all. */
static __attribute__((noinline)) void push_and_jump(int levels)
{
	volatile char room[128];

	room[0] = 1;
	if (levels == 0)
		return;
	anyc__frame_push(&event, 0, 0);
	cr_assert_eq(anyc__current_entry(), &event);
	if (levels == 1)
		longjmp(back, room[0]);
	push_and_jump(levels - 1);
}

Test(frame, longjmp_leaves_none_dangling)
{
	unsigned depth = anyc__frame_push(&uv, 0, 0);

	if (setjmp(back) == 0)
		push_and_jump(5);
	cr_assert_eq(anyc__current_entry(), &uv);
	cr_assert_eq(anyc__thread.frames, 1);
	anyc__frame_pop(depth);
	if (setjmp(back) == 0)
		push_and_jump(20);
	cr_assert_null(anyc__current_name());
	cr_assert_eq(anyc__thread.frames, 0);
}

Test(frame, push_drops_what_a_longjmp_left)
{
	if (setjmp(back) == 0)
		push_and_jump(3);
	cr_assert_eq(anyc__frame_push(&uv, 0, 0), 0);
	cr_assert_eq(anyc__current_entry(), &uv);
	anyc__frame_pop(0);
}

Test(frame, pop_drops_what_lies_above)
{
	unsigned depth = anyc__frame_push(&uv, 0, 0);

	anyc__frame_push(&event, 0, 0);
	anyc__frame_push(&event, 0, 0);
	anyc__frame_pop(depth);
	cr_assert_eq(anyc__thread.frames, 0);
	anyc__frame_pop(7);
	cr_assert_eq(anyc__thread.frames, 0);
}

static __attribute__((noinline)) struct anyc__entry *deeper(int levels)
{
	volatile char room[512];
	struct anyc__entry *seen;

	room[0] = 0;
	seen = levels == 0 ? anyc__current_entry() : deeper(levels - 1);
	return seen + room[0]; /* not a tail call */
}

Test(frame, deeper_calls_see_it)
{
	unsigned depth = anyc__frame_push(&uv, 0, 0);

	cr_assert_eq(deeper(0), &uv);
	cr_assert_eq(deeper(30), &uv);
	anyc__frame_pop(depth);
}

#define STACK ((size_t)256 << 10)
#define APART ((size_t)8 << 20) /* valgrind tells stacks by their distance */

/* A thread's stack and a task's, in either order of address. */
struct two_stacks {
	char *own, *task;
	ucontext_t thread_context, task_context;
	int step;
	struct anyc__entry *seen[8];
	jmp_buf in_task;
};
static struct two_stacks *now;

static __attribute__((noinline)) void push_and_jump_in_task(void)
{
	volatile char room[256];

	room[0] = 1;
	anyc__frame_push(&other, (uintptr_t)now->task, (uintptr_t)now->task + STACK);
	now->seen[1] = anyc__current_entry();
	longjmp(now->in_task, room[0]);
}

static void task_main(void)
{
	uintptr_t low = (uintptr_t)now->task;

	now->seen[0] = anyc__current_entry(); /* the thread's own frame, from another stack */
	if (setjmp(now->in_task) == 0)
		push_and_jump_in_task();
	now->seen[2] = anyc__current_entry();
	now->step = (int)anyc__frame_push(&event, low, low + STACK);
	now->seen[3] = anyc__current_entry();
	swapcontext(&now->task_context, &now->thread_context);
	now->seen[5] = anyc__current_entry();
	anyc__frame_pop((unsigned)now->step);
	/* On a host's fiber the caller knows no bounds. */
	now->step = (int)anyc__frame_push(&uv2, 0, 0);
	swapcontext(&now->task_context, &now->thread_context);
	anyc__frame_pop((unsigned)now->step);
}

static void *on_two_stacks(void *arg)
{
	unsigned depth = anyc__frame_push(&uv, 0, 0);

	now = arg;
	getcontext(&now->task_context);
	now->task_context.uc_stack.ss_sp = now->task;
	now->task_context.uc_stack.ss_size = STACK;
	now->task_context.uc_link = &now->thread_context;
	makecontext(&now->task_context, task_main, 0);
	swapcontext(&now->thread_context, &now->task_context);
	now->seen[4] = anyc__current_entry(); /* pushed on the task's stack: it lives */
	swapcontext(&now->thread_context, &now->task_context);
	now->seen[6] = anyc__current_entry();
	swapcontext(&now->thread_context, &now->task_context);
	now->seen[7] = anyc__current_entry();
	anyc__frame_pop(depth);
	return arg;
}

static void run_on_two_stacks(bool task_above)
{
	char *memory = mmap(NULL, APART + STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct two_stacks s = {.own = memory, .task = memory + APART};
	pthread_attr_t attr;
	pthread_t thread;

	cr_assert_neq(memory, MAP_FAILED);
	if (!task_above) {
		s.own = memory + APART;
		s.task = memory;
	}
	pthread_attr_init(&attr);
	cr_assert_eq(pthread_attr_setstack(&attr, s.own, STACK), 0);
	cr_assert_eq(pthread_create(&thread, &attr, on_two_stacks, &s), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	munmap(memory, APART + STACK);
	cr_expect_eq(s.seen[0], &uv);
	cr_expect_eq(s.seen[1], &other);
	cr_expect_eq(s.seen[2], &uv, "left by a longjmp inside the task");
	cr_expect_eq(s.seen[3], &event);
	cr_expect_eq(s.seen[4], &event, "looked at from the thread's stack");
	cr_expect_eq(s.seen[5], &event);
	cr_expect_eq(s.seen[6], &uv2, "a fiber's");
	cr_expect_eq(s.seen[7], &uv);
}

Test(frame, on_a_stack_above_the_threads)
{
	run_on_two_stacks(true);
}

Test(frame, on_a_stack_below_the_threads)
{
	run_on_two_stacks(false);
}

/* ------------------------------------------------------------------------------- registry */

Test(registry, one_bound_loop_is_the_answer)
{
	struct anyc__entry *one;

	anyc__registry_add(&uv);
	cr_assert_eq(anyc__registry_here(&one), 1);
	cr_assert_eq(one, &uv);
	cr_assert_eq(anyc__current_entry(), &uv);
	cr_assert_str_eq(anyc__current_name(), "libuv");
	cr_assert_eq(anyc__registry_find(&uv), &uv);
	cr_assert_eq(uv.thread, anyc__thread_id());
	cr_assert_eq(uv.generation, anyc__fork_generation());
	anyc__registry_remove(&uv);
	cr_assert_null(anyc__current_entry());
	cr_assert_null(anyc__registry_find(&uv));
	anyc__registry_remove(&uv);
	cr_assert_eq(anyc__registry_here(&one), 0);
	cr_assert_null(one);
}

static void count_entry(void *arg, const struct anyc__entry *e)
{
	(void)e;
	++*(int *)arg;
}

Test(registry, several_loops_are_counted_and_told_by_library)
{
	struct anyc__entry *one = &other;
	int count = 0;

	anyc__registry_add(&uv);
	anyc__registry_add(&event);
	anyc__registry_add(&uv2);
	anyc__registry_add(&uv2);
	cr_assert_eq(anyc__registry_here(&one), 3);
	cr_assert_null(one);
	anyc__registry_each_here(count_entry, &count);
	cr_assert_eq(count, 3);
	cr_assert_eq(anyc__registry_here_of("libevent"), &event);
	cr_assert_null(anyc__registry_here_of("libuv"), "two of one kind");
	cr_assert_null(anyc__registry_here_of("libev"));
	cr_assert_null(anyc__current_entry(), "no loop runs");
	anyc__registry_remove(&event);
	anyc__registry_remove(&uv);
	cr_assert_eq(anyc__current_entry(), &uv2);
}

struct moved {
	struct anyc__entry *before, *after;
};

static void *take_over(void *arg)
{
	struct moved *m = arg;

	m->before = anyc__current_entry();
	anyc__registry_bind(&uv);
	anyc__registry_bind(&uv);
	m->after = anyc__current_entry();
	return arg;
}

Test(registry, binding_moves_to_another_thread)
{
	struct moved m = {&other, &other};

	anyc__registry_add(&uv);
	cr_assert_eq(anyc__current_entry(), &uv);
	in_thread(take_over, &m);
	cr_assert_null(m.before, "another thread has no loop");
	cr_assert_eq(m.after, &uv);
	cr_assert_null(anyc__current_entry(), "it has left this thread");
	cr_assert_eq(anyc__registry_find(&uv), &uv);
	anyc__registry_bind(&uv);
	cr_assert_eq(anyc__current_entry(), &uv);
}

Test(registry, removing_voids_the_frames)
{
	unsigned depth;

	anyc__registry_add(&uv);
	depth = anyc__frame_push(&uv, 0, 0);
	anyc__registry_remove(&uv);
	cr_assert_null(anyc__current_entry());
	cr_assert_null(anyc__current_name());
	anyc__frame_pop(depth);
}

static void *churn(void *arg)
{
	struct anyc__entry mine = {.library = arg, .native = &mine};
	struct anyc__entry *one;
	long wrong = 0;
	int i;

	for (i = 0; i < 2000; i++) {
		anyc__registry_add(&mine);
		wrong += anyc__registry_here(&one) != 1 || one != &mine;
		wrong += strcmp(anyc__current_name(), arg) != 0;
		anyc__registry_remove(&mine);
		wrong += anyc__current_entry() != NULL;
	}
	return (void *)wrong;
}

Test(registry, threads_do_not_see_each_others_loops)
{
	static char name[4][2] = {"a", "b", "c", "d"};
	pthread_t thread[4];
	void *wrong;
	int i;

	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, churn, name[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &wrong);
		cr_expect_null(wrong);
	}
}

/* ------------------------------------------------------------------------------ overrides */

Test(names, override_the_thread)
{
	int i;

	cr_assert_eq(anyc__names_pop(), -EINVAL);
	cr_assert_eq(anyc__names_push("mine"), 0);
	cr_assert_str_eq(anyc__current_name(), "mine");
	cr_assert_null(anyc__current_entry());
	for (i = 1; i < ANYC__NAMES; i++)
		cr_assert_eq(anyc__names_push("inner"), 0);
	cr_assert_eq(anyc__names_push("one too many"), -EOVERFLOW);
	cr_assert_str_eq(anyc__current_name(), "inner");
	for (i = 1; i < ANYC__NAMES; i++)
		cr_assert_eq(anyc__names_pop(), 0);
	cr_assert_str_eq(anyc__current_name(), "mine");
	cr_assert_eq(anyc__names_pop(), 0);
	cr_assert_eq(anyc__names_pop(), -EINVAL);
	cr_assert_null(anyc__current_name());
}

Test(names, tasks_have_their_own)
{
	struct anyc__names a = {.depth = 0}, b = {.depth = 0};
	unsigned depth = anyc__frame_push(&uv, 0, 0);

	anyc__names_push("thread");
	anyc__thread.task = (struct anyc_task *)&a;
	anyc__thread.names = &a;
	cr_assert_str_eq(anyc__current_name(), "libuv", "the spawner's override is not seen");
	anyc__names_push("task a");
	anyc__thread.task = (struct anyc_task *)&b;
	anyc__thread.names = &b;
	cr_assert_str_eq(anyc__current_name(), "libuv");
	cr_assert_eq(anyc__names_pop(), -EINVAL);
	anyc__thread.names = &a;
	cr_assert_str_eq(anyc__current_name(), "task a");
	anyc__thread.names = NULL;
	cr_assert_str_eq(anyc__current_name(), "libuv");
	cr_assert_eq(anyc__names_push("nowhere to put it"), -ENOMEM);
	anyc__thread.task = NULL;
	cr_assert_str_eq(anyc__current_name(), "thread");
	anyc__names_pop();
	cr_assert_str_eq(anyc__current_name(), "libuv");
	anyc__frame_pop(depth);
}

/* ----------------------------------------------------------------------------------- fork */

static pid_t by_fork(void)
{
	return fork();
}

static pid_t by_bare_fork(void)
{
	return _Fork();
}

static pid_t by_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t (*const ways[])(void) = {by_fork, by_bare_fork, by_clone};
#define WAYS (sizeof ways / sizeof ways[0])

/* 0, or the number of the check that failed in a child made in this way. */
static int in_child(pid_t (*way)(void), int (*check)(void))
{
	int status = 0;
	pid_t pid = way();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(check());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static uint64_t parents;

static int check_generation(void)
{
	if (anyc__fork_generation() != parents + 1 || anyc__fork_generation() != parents + 1)
		return 1;
	parents++;
	return 0;
}

static int check_grandchild(void)
{
	int rc = check_generation();

	return rc != 0 ? rc : in_child(by_bare_fork, check_generation);
}

static int check_unasked(void)
{
	return in_child(by_bare_fork, check_generation); /* its parent never asked */
}

static void check_generations(void)
{
	size_t i;

	parents = anyc__fork_generation();
	cr_assert_eq(parents, 1);
	for (i = 0; i < WAYS; i++) {
		cr_expect_eq(in_child(ways[i], check_generation), 0, "way %zu", i);
		cr_expect_eq(in_child(ways[i], check_grandchild), 0, "way %zu", i);
		cr_expect_eq(in_child(ways[i], check_unasked), 0, "way %zu", i);
	}
	cr_assert_eq(anyc__fork_generation(), parents);
}

Test(fork, generation_grows_in_each_child)
{
	check_generations();
	cr_assert_eq(*anyc__fork_word, 1);
}

/* An old kernel: MADV_WIPEONFORK is no advice it knows. */
static void refuse_wipe_on_fork(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_WIPEONFORK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof code[0], code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		cr_skip_test("no seccomp");
}

Test(fork, generation_grows_without_the_kernels_help)
{
	refuse_wipe_on_fork();
	errno = 77;
	anyc__fork_generation();
	cr_assert_eq(errno, 77);
	check_generations();
	cr_assert_eq(*anyc__fork_word, 0);
}

static int check_void(void)
{
	struct anyc__entry *one;

	if (anyc__current_name() != NULL || anyc__current_entry() != NULL)
		return 1;
	if (anyc__registry_here(&one) != 0 || one != NULL || anyc__registry_find(&uv) != NULL)
		return 2;
	if (anyc__thread_block()->core != &core)
		return 3;
	anyc__registry_remove(&uv);
	anyc__registry_add(&event);
	if (anyc__current_entry() != &event || event.generation != uv.generation + 1)
		return 4;
	anyc__frame_push(&uv2, 0, 0);
	return anyc__current_entry() == &uv2 && anyc__thread.frames == 1 ? 0 : 5;
}

Test(fork, child_inherits_no_frame_loop_or_name)
{
	size_t i;

	anyc__registry_add(&uv);
	anyc__frame_push(&uv, 0, 0);
	anyc__names_push("override");
	use_block(NULL);
	for (i = 0; i < WAYS; i++)
		cr_expect_eq(in_child(ways[i], check_void), 0, "way %zu", i);
	cr_assert_str_eq(anyc__current_name(), "override");
	cr_assert_eq(anyc__current_entry(), &uv);
}

static int check_grandparents(void)
{
	if (anyc__registry_take_inherited(&other) != &other) /* the child's own */
		return 20;
	return anyc__registry_take_inherited(&uv2) == &uv2 ? 0 : 21;
}

static int check_inherited(void)
{
	if (anyc__registry_peek() != NULL || anyc__registry_take_inherited(&other) != NULL)
		return 1;
	if (anyc__registry_take_inherited(&event) != &event ||
	    anyc__registry_take_inherited(&event) != NULL)
		return 2;
	anyc__registry_remove(&uv);
	if (anyc__registry_take_inherited(&uv) != NULL)
		return 3; /* it may have been freed */
	anyc__registry_add(&event);
	anyc__registry_add(&other);
	if (anyc__registry_take_inherited(&event) != NULL || anyc__registry_find(&event) != &event)
		return 4;
	return in_child(by_fork, check_grandparents);
}

static int check_taken_back(void)
{
	anyc__registry_add(&event); /* without having been taken */
	if (anyc__registry_take_inherited(&event) != NULL || anyc__current_entry() != &event)
		return 1;
	return anyc__registry_take_inherited(&uv) == &uv &&
	       anyc__registry_take_inherited(&uv2) == &uv2 ? 0 : 2;
}

Test(fork, child_may_take_what_it_inherited)
{
	anyc__registry_add(&uv);
	anyc__registry_add(&event);
	anyc__registry_add(&uv2);
	cr_assert_null(anyc__registry_take_inherited(&uv), "nothing is inherited yet");
	cr_assert_eq(in_child(by_fork, check_inherited), 0);
	cr_assert_eq(in_child(by_fork, check_taken_back), 0);
	cr_assert_null(anyc__registry_take_inherited(&uv));
	cr_assert_eq(anyc__registry_find(&uv), &uv);
}

static int check_peek(void)
{
	return anyc__registry_peek() == NULL ? 0 : 1;
}

Test(registry, peek_answers_without_a_look)
{
	anyc__registry_add(&uv);
	cr_assert_null(anyc__registry_peek());
	cr_assert_eq(anyc__current_entry(), &uv);
	cr_assert_eq(anyc__registry_peek(), &uv);
	cr_assert_eq(in_child(by_fork, check_peek), 0);
	anyc__registry_remove(&uv);
	cr_assert_null(anyc__registry_peek());
}

static int check_bound_void(void)
{
	return anyc__current_entry() == NULL && anyc__current_name() == NULL ? 0 : 1;
}

Test(fork, child_of_a_thread_without_a_block)
{
	anyc__registry_add(&uv);
	cr_assert_eq(anyc__current_entry(), &uv);
	cr_assert_null(anyc__thread.block);
	cr_assert_eq(in_child(by_fork, check_bound_void), 0);
}

static int check_task_void(void)
{
	return anyc__current_name() == NULL ? 0 : 1;
}

Test(fork, child_of_a_task_has_no_name)
{
	struct anyc__names names = {.depth = 0};

	anyc__thread.task = (struct anyc_task *)&names;
	anyc__thread.names = &names;
	anyc__names_push("task");
	cr_assert_str_eq(anyc__current_name(), "task");
	cr_assert_eq(in_child(by_fork, check_task_void), 0);
	cr_assert_str_eq(anyc__current_name(), "task");
}

static atomic_bool halt;

static void *keep_locking(void *arg)
{
	struct anyc__entry mine = {.library = "x", .native = &mine};

	while (!halt) {
		anyc__registry_add(&mine);
		anyc__registry_remove(&mine);
	}
	return arg;
}

static int check_registry_works(void)
{
	alarm(10);
	anyc__registry_add(&event);
	return anyc__registry_find(&event) == &event && anyc__current_entry() == &event ? 0 : 1;
}

Test(fork, locks_are_free_in_the_child)
{
	pthread_t thread;
	int i;

	anyc__registry_add(&uv);
	cr_assert_eq(pthread_create(&thread, NULL, keep_locking, NULL), 0);
	for (i = 0; i < 25; i++)
		cr_assert_eq(in_child(by_bare_fork, check_registry_works), 0);
	halt = true;
	pthread_join(thread, NULL);
}

static int check_held_lock(void)
{
	alarm(10);
	anyc__lock(&lock);
	anyc__unlock(&lock);
	return 0;
}

Test(fork, a_held_lock_is_free_in_the_child)
{
	anyc__lock(&lock);
	cr_assert_eq(in_child(by_fork, check_held_lock), 0);
	anyc__unlock(&lock);
	check_held_lock();
}

/* --------------------------------------------------------------------------- up the stack */

static struct anyc__running found;
static bool was_found;
static struct anyc__entry *entry_found;

static void look(void)
{
	errno = 78;
	was_found = anyc__unwind_running(&found);
	cr_expect_eq(errno, 78);
	entry_found = anyc__current_entry();
}

static __attribute__((noinline)) int look_from(int depth)
{
	int rc;

	if (depth > 0)
		rc = look_from(depth - 1) + 1;
	else
		look();
	return depth > 0 ? rc : 0;
}

static void look_deeper(void)
{
	cr_expect_eq(look_from(150), 150);
}

static void expect_running(void (*in)(void (*)(void)), const char *library, const char *symbol)
{
	was_found = false;
	in(look);
	cr_expect(was_found, "%s", symbol);
	if (was_found) {
		cr_expect_str_eq(found.library, library);
		cr_expect_str_eq(found.symbol, symbol);
	}
	was_found = false;
	in(look_deeper);
	cr_expect(was_found, "deeper than %s", symbol);
	look();
	cr_expect_not(was_found, "after %s", symbol);
}

Test(unwind, nothing_runs)
{
	look();
	cr_assert_not(was_found);
}

Test(unwind, inside_libuv)
{
	expect_running(detect_in_uv, "libuv", "uv_run");
}

Test(unwind, inside_libevent)
{
	expect_running(detect_in_event_dispatch, "libevent", "event_base_loop");
	expect_running(detect_in_event_loop, "libevent", "event_base_loop");
}

Test(unwind, inside_libev)
{
	expect_running(detect_in_ev, "libev", "ev_run");
}

Test(unwind, libevs_own_event_base_loop_is_libev)
{
	expect_running(detect_in_ev_compat, "libev", "ev_run");
}

static void look_inside_ev(void)
{
	detect_in_ev(look);
}

Test(unwind, the_innermost_counts)
{
	detect_in_uv(look_inside_ev);
	cr_assert(was_found);
	cr_assert_str_eq(found.library, "libev");
}

static void *look_elsewhere(void *arg)
{
	look();
	return arg;
}

static void look_in_thread(void)
{
	in_thread(look_elsewhere, NULL);
}

Test(unwind, another_thread_runs_nothing)
{
	was_found = true;
	detect_in_uv(look_in_thread);
	cr_assert_not(was_found);
}

Test(unwind, decides_between_several_bound_loops)
{
	anyc__registry_add(&uv);
	anyc__registry_add(&event);
	detect_in_uv(look);
	cr_expect_eq(entry_found, &uv);
	detect_in_event_loop(look);
	cr_expect_eq(entry_found, &event);
	detect_in_ev(look);
	cr_expect_null(entry_found);
	anyc__registry_add(&uv2);
	detect_in_uv(look);
	cr_expect_null(entry_found, "two of one kind");
	detect_in_event_loop(look);
	cr_expect_eq(entry_found, &event);
}

/* --------------------------------------------------------------- another object's functions */

/* The helper that the build puts beside this program. */
static void find_helper(char path[PATH_MAX])
{
	char self[PATH_MAX];
	const char *given = getenv("DETECT_COPY");
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	cr_assert(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(path, PATH_MAX, "%s", given != NULL ? given : "");
	if (given == NULL)
		snprintf(path, PATH_MAX, "%.4000s/libdetectcopy.so", self);
	if (access(path, R_OK) != 0)
		snprintf(path, PATH_MAX, "%.4000s/.libs/libdetectcopy.so", self);
	cr_assert_eq(access(path, R_OK), 0, "libdetectcopy.so is not built");
}

static void *open_helper(void)
{
	char path[PATH_MAX];
	void *handle;

	find_helper(path);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert_not_null(handle, "%s", dlerror());
	return handle;
}

static void *function(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);

	cr_assert_not_null(symbol, "%s", name);
	return symbol;
}

Test(unwind, a_renamed_copy_is_found_by_its_symbol)
{
	void *handle = open_helper(), *fn, *symbol = function(handle, "uv_run");
	void (*call)(void) = look;
	int (*run)(void *, int);

	memcpy(&run, &symbol, sizeof run);
	memcpy(&fn, &call, sizeof fn);
	cr_assert_eq(run(fn, 0), 1);
	cr_assert(was_found);
	cr_assert_str_eq(found.library, "libuv");
}

Test(unwind, more_functions_can_be_made_known)
{
	void *handle = open_helper(), *symbol = function(handle, "detect_fake_run");
	int (*run)(void (*)(void));
	int i;

	memcpy(&run, &symbol, sizeof run);
	run(look);
	cr_assert_not(was_found);
	for (i = 0; i < 100; i++)
		anyc__unwind_know("libother", "other_run");
	anyc__unwind_know("libfake", "detect_fake_run"); /* there is room still */
	run(look);
	cr_assert(was_found);
	cr_assert_str_eq(found.library, "libfake");
	cr_assert_str_eq(found.symbol, "detect_fake_run");
	look();
	cr_assert_not(was_found);
}

static void look_and_jump(void)
{
	look();
	longjmp(back, 1);
}

Test(unwind, a_call_at_a_functions_very_end)
{
	void *handle = open_helper(), *symbol = function(handle, "detect_last_run");
	void (*run)(void (*)(void));

	memcpy(&run, &symbol, sizeof run);
	anyc__unwind_know("libfake", "detect_fake_run");
	anyc__unwind_know("liblast", "detect_last_run");
	if (setjmp(back) == 0)
		run(look_and_jump);
	cr_assert(was_found);
	cr_assert_str_eq(found.library, "liblast");
}

Test(unwind, loaded_objects_change_the_version)
{
	uint64_t before = anyc__objects_version(), after;
	void *handle;

	cr_assert_eq(anyc__objects_version(), before);
	handle = open_helper();
	after = anyc__objects_version();
	cr_assert_gt(after, before);
	dlclose(handle);
	cr_assert_gt(anyc__objects_version(), after);
}

/* --------------------------------------------------------------------------------- copies */

Test(copies, the_first_works_and_the_second_refuses)
{
	char text[1024] = "", self[PATH_MAX], helper[PATH_MAX];
	int (*check)(char *, size_t);
	void *handle, *symbol;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	cr_assert(n > 0);
	self[n] = '\0';
	cr_assert_eq(anyc__copies_check(text, sizeof text), 0);
	handle = open_helper();
	symbol = function(handle, "detect_copy_check");
	memcpy(&check, &symbol, sizeof check);
	cr_assert_eq(check(text, sizeof text), ANYC_ECONFLICT);
	find_helper(helper);
	cr_expect(strstr(text, self) != NULL, "%s", text);
	cr_expect(strstr(text, helper) != NULL, "%s", text);
	cr_expect(strstr(text, self) < strstr(text, helper), "%s", text);
	cr_assert_eq(check(NULL, 0), ANYC_ECONFLICT);
	text[0] = '\0';
	cr_assert_eq(anyc__copies_check(text, sizeof text), 0);
	cr_assert_str_empty(text);
	dlclose(handle);
	cr_assert_eq(anyc__copies_check(text, sizeof text), 0);
}

/* -------------------------------------------------------------------------------- modules */

static int attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	(void)native;
	(void)pollfd;
	(void)engine;
	*self = NULL;
	return 0;
}

static void detach(void *self, anyc_detached_fn *done, void *arg)
{
	(void)self;
	(void)done;
	(void)arg;
}

static void soon(void *self)
{
	(void)self;
}

static void keepalive(void *self, bool on)
{
	(void)self;
	(void)on;
}

static const struct anyc_backend good = {
	.abi = ANYC_BACKEND_ABI, .size = sizeof good, .name = "libown", .run_symbol = "own_run",
	.attach = attach, .detach = detach, .soon = soon, .keepalive = keepalive,
};
static const struct anyc_backend *backend;
static char why[512];

static int get(const char *name)
{
	why[0] = '\0';
	backend = &good;
	return anyc__module_get(name, &backend, why, sizeof why);
}

static int add(const struct anyc_backend *b)
{
	why[0] = '\0';
	return anyc__module_register(b, why, sizeof why);
}

Test(module, known_names_in_order)
{
	static const char *const names[] = {"anyc", "libuv", "libevent", "libev", "sim"};
	size_t i;

	for (i = 0; i < 5; i++)
		cr_assert_str_eq(anyc__module_known(i), names[i]);
	cr_assert_null(anyc__module_known(5));
	cr_assert_null(anyc__module_known(1000));
	cr_assert_eq(add(&good), 0);
	cr_assert_str_eq(anyc__module_known(5), "libown");
	cr_assert_null(anyc__module_known(6));
}

Test(module, anyc_is_the_engine_alone)
{
	cr_assert_eq(get("anyc"), 0);
	cr_assert_null(backend);
}

Test(module, unknown_names_are_answered_with_the_known_ones)
{
	static const char *const names[] = {"uv", "event", "ev", "LibUV", "libuv ", "", "asyncio"};
	char tiny[12];
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		cr_expect_eq(get(names[i]), ANYC_ENOBACKEND, "%s", names[i]);
		cr_expect_null(backend);
	}
	cr_expect_str_eq(why, "no backend is called 'asyncio'; known are: anyc, libuv, libevent, "
			 "libev, sim");
	cr_expect_eq(get(NULL), ANYC_ENOBACKEND);
	cr_expect_eq(anyc__module_get("x", &backend, tiny, sizeof tiny), ANYC_ENOBACKEND);
	cr_expect_str_eq(tiny, "no backend ");
	cr_expect_eq(anyc__module_get("x", &backend, NULL, 0), ANYC_ENOBACKEND);
}

Test(module, registering)
{
	struct anyc_backend b = good, own_uv = good, twin = good;

	cr_assert_eq(add(&good), 0);
	cr_assert_eq(add(&good), 0, "again");
	cr_assert_eq(get("libown"), 0);
	cr_assert_eq(backend, &good);
	cr_assert_eq(add(&twin), ANYC_EINVAL, "another of the same name");
	own_uv.name = "libuv";
	cr_assert_eq(add(&own_uv), 0, "a static program's");
	cr_assert_eq(get("libuv"), 0);
	cr_assert_eq(backend, &own_uv);
	b.name = "anyc";
	cr_assert_eq(add(&b), ANYC_EINVAL);
	b.name = "";
	cr_assert_eq(add(&b), ANYC_EINVAL);
	b.name = NULL;
	cr_assert_eq(add(&b), ANYC_EINVAL);
	cr_assert_eq(add(NULL), ANYC_EINVAL);
	cr_assert_null(anyc__module_known(6));
}

Test(module, registering_checks_the_table)
{
	struct anyc_backend b = good;

	b.abi++;
	cr_expect_eq(add(&b), ANYC_EABI);
	cr_expect_not_null(strstr(why, "'libown' has backend ABI 2"), "%s", why);
	b = good;
	b.size--;
	cr_expect_eq(add(&b), ANYC_EABI);
	b = good;
	b.size += 8;
	cr_expect_eq(add(&b), 0, "a later minor version");
	b.attach = NULL;
	cr_expect_eq(add(&b), ANYC_EABI);
	cr_expect_not_null(strstr(why, "lacks the member attach"), "%s", why);
	b = good;
	b.detach = NULL;
	cr_expect_eq(add(&b), ANYC_EABI);
	b = good;
	b.soon = NULL;
	cr_expect_eq(add(&b), ANYC_EABI);
	b = good;
	b.keepalive = NULL;
	cr_expect_eq(add(&b), ANYC_EABI);
	b = good;
	b.stop = soon;
	cr_expect_eq(add(&b), ANYC_EABI);
	cr_expect_not_null(strstr(why, "all of them, or none"), "%s", why);
}

Test(module, sixteen_can_be_registered)
{
	static struct anyc_backend b[17];
	static char name[17][8];
	int i;

	for (i = 0; i < 17; i++) {
		snprintf(name[i], sizeof name[i], "lib%d", i);
		b[i] = good;
		b[i].name = name[i];
		cr_assert_eq(add(&b[i]), i < 16 ? 0 : ANYC_EOVERFLOW);
	}
	cr_assert_str_eq(anyc__module_known(20), "lib15");
	cr_assert_null(anyc__module_known(21));
}

/* A directory that holds the helper (or other bytes) as libuv's module. */
static void make_directory(char dir[64], bool helper)
{
	char target[PATH_MAX], path[128];
	FILE *f;

	snprintf(dir, 64, "/tmp/detect.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/libanyc-uv.so.0", dir);
	find_helper(target);
	if (helper) {
		cr_assert_eq(symlink(target, path), 0);
	} else {
		f = fopen(path, "w");
		cr_assert_not_null(f);
		fputs("not a library\n", f);
		fclose(f);
	}
	setenv("ANYC_MODULE_DIR", dir, 1);
}

static void remove_directory(const char *dir)
{
	char path[128];

	snprintf(path, sizeof path, "%s/libanyc-uv.so.0", dir);
	unlink(path);
	rmdir(dir);
}

Test(module, is_loaded_by_absolute_path)
{
	char dir[64];

	make_directory(dir, true);
	cr_expect_eq(get("libuv"), 0, "%s", why);
	cr_expect_str_eq(backend->name, "libuv");
	remove_directory(dir);
	setenv("ANYC_MODULE_DIR", "/nonexistent", 1);
	cr_expect_eq(get("libuv"), 0, "found once, it stays");
}

Test(module, not_installed)
{
	setenv("ANYC_MODULE_DIR", "/nonexistent", 1);
	cr_assert_eq(get("libev"), ANYC_ENOTINSTALLED);
	cr_assert_null(backend);
	cr_assert_str_eq(why, "libev's module libanyc-ev.so.0 is not installed: it is not in "
			 "/nonexistent; install libanyc-ev");
	setenv("ANYC_MODULE_DIR", "tests", 1);
	get("libev");
	cr_assert_null(strstr(why, " in tests"), "a relative directory is not looked in: %s", why);
}

Test(module, broken_file)
{
	char dir[64];

	make_directory(dir, false);
	cr_expect_eq(get("libuv"), ANYC_ENOTINSTALLED);
	cr_expect_null(backend);
	cr_expect_not_null(strstr(why, "libuv's module cannot be loaded: /tmp/"), "%s", why);
	remove_directory(dir);
}

static void expect_bad_module(const char *fault, const char *sentence)
{
	char dir[64];

	setenv("DETECT_MODULE", fault, 1);
	make_directory(dir, true);
	cr_expect_eq(get("libuv"), ANYC_EABI, "%s", fault);
	cr_expect_null(backend);
	cr_expect_not_null(strstr(why, sentence), "%s", why);
	cr_expect_not_null(strstr(why, dir), "%s", why);
	remove_directory(dir);
}

Test(module, of_another_version)
{
	expect_bad_module("abi", "has backend ABI 2, and this libanyc 1");
}

Test(module, with_a_shorter_table)
{
	expect_bad_module("size", "has a table of ");
}

Test(module, of_another_backend)
{
	expect_bad_module("name", "holds another backend");
}

Test(module, without_a_table)
{
	expect_bad_module("null", "gives no backend");
}

Test(module, without_a_required_member)
{
	expect_bad_module("soon", "lacks the member soon");
}

Test(module, with_half_of_run)
{
	expect_bad_module("half", "create, destroy, run and stop");
}

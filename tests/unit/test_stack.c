/* SPDX-License-Identifier: MIT */
/*
 * Unit tests of the stack switch, the stack pool and the overflow report, linked with those
 * objects alone; what they need of the rest of core is stood in for here.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../../src/core/stack.h"
#include "../../src/core/switch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/valgrind.h"

/* ---- stand-ins: weak, so that linking the real ones is no error ---- */

static atomic_int blocks;
static atomic_int refuse_after = -1; /* allocations until one is refused; -1: never */

__attribute__((weak)) void *anyc__alloc(size_t size)
{
	if (refuse_after == 0)
		return NULL;
	if (refuse_after > 0)
		refuse_after--;
	blocks++;
	return malloc(size);
}

__attribute__((weak)) void anyc__free(void *p)
{
	blocks -= p != NULL;
	free(p);
}

_Noreturn void anyc__panic(const char *fmt, ...);

__attribute__((weak)) _Noreturn void anyc__panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	abort();
}

/* ---- a coroutine on a pool's stack ---- */

struct coroutine {
	struct anyc__context own, main;
	struct anyc__fiber main_fiber;
	struct anyc__stack *stack;
	void (*body)(struct coroutine *);
	uintptr_t seen;
	bool ended;
};

static void to_main(struct coroutine *co)
{
	anyc__fiber_leave(&co->stack->fiber, &co->main_fiber, co->ended);
	anyc__context_switch(&co->own, &co->main);
	anyc__fiber_arrive(&co->stack->fiber, &co->main_fiber);
}

static void resume(struct coroutine *co)
{
	anyc__fiber_leave(&co->main_fiber, &co->stack->fiber, false);
	anyc__context_switch(&co->main, &co->own);
	anyc__fiber_arrive(&co->main_fiber, &co->stack->fiber);
}

static void entry(void *arg)
{
	struct coroutine *co = arg;

	anyc__fiber_arrive(&co->stack->fiber, &co->main_fiber);
	co->body(co);
	co->ended = true;
	to_main(co);
	abort();
}

static void start_on(struct coroutine *co, struct anyc__stack *stack,
		void (*body)(struct coroutine *))
{
	*co = (struct coroutine){ .stack = stack, .body = body };
	anyc__fiber_init(&co->main_fiber, NULL, 0);
	anyc__context_make(&co->own, stack->low, stack, entry, co);
	resume(co);
}

static struct anyc__stack *get(struct anyc__stack_pool *pool, size_t size)
{
	struct anyc__stack *stack;

	cr_assert_eq(anyc__stack_get(pool, size, &stack), 0);
	return stack;
}

static void run(struct anyc__stack_pool *pool, struct coroutine *co, size_t size,
		void (*body)(struct coroutine *))
{
	start_on(co, get(pool, size), body);
	while (!co->ended)
		resume(co);
	anyc__stack_put(pool, co->stack);
}

/* What a child that runs body wrote to stderr, and how it ended. */
static int in_child(void (*body)(void), char *text, size_t size)
{
	int status, ends[2];
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		dup2(ends[1], STDERR_FILENO);
		body();
		_exit(0);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(ends[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool resident(const void *page)
{
	unsigned char flag = 0;

	cr_assert_eq(mincore((void *)((uintptr_t)page & ~(uintptr_t)4095), 4096, &flag), 0);
	return (flag & 1) != 0;
}

/* ---- the switch ---- */

static void count_to_1000(struct coroutine *co)
{
	for (int i = 0; i < 1000; i++) {
		co->seen++;
		to_main(co);
	}
}

Test(switch, round_trips)
{
	struct anyc__stack_pool pool;
	struct coroutine co;

	anyc__stack_pool_init(&pool);
	run(&pool, &co, 0, count_to_1000);
	cr_assert_eq(co.seen, 1000);
	anyc__stack_pool_fini(&pool);
	cr_assert_eq(blocks, 0);
}

/* More live values than registers, on both sides. */
static long churn(struct coroutine *co, long seed)
{
	long a = seed, b = a * 3, c = b ^ 5, d = c + a, e = d * b, f = e - c, g = f ^ d, h = g + e;
	double x = (double)a / 3, y = x + 1, z = y * 2;

	for (int i = 0; i < 100; i++) {
		a += h, b ^= a, c += b, d -= c, e ^= d, f += e, g -= f, h ^= g;
		x += 0.5, y -= x, z += y;
		a &= 0xffffff, b &= 0xffffff, c &= 0xffffff, d &= 0xffffff;
		e &= 0xffffff, f &= 0xffffff, g &= 0xffffff, h &= 0xffffff;
		if (co != NULL)
			to_main(co);
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ (long)(x + y + z);
}

static void churn_body(struct coroutine *co)
{
	co->seen = (uintptr_t)churn(co, 77);
}

Test(switch, live_values_survive)
{
	struct anyc__stack_pool pool;
	struct coroutine co[2];

	anyc__stack_pool_init(&pool);
	start_on(&co[0], get(&pool, 0), churn_body);
	start_on(&co[1], get(&pool, 0), churn_body);
	while (!co[0].ended) {
		resume(&co[0]);
		resume(&co[1]);
	}
	cr_assert_eq(co[0].seen, (uintptr_t)churn(NULL, 77));
	cr_assert_eq(co[1].seen, co[0].seen);
	anyc__stack_put(&pool, co[0].stack);
	anyc__stack_put(&pool, co[1].stack);
	anyc__stack_pool_fini(&pool);
}

static void look_at_alignment(struct coroutine *co)
{
	volatile _Alignas(16) char object[32] = { 0 };

	co->seen = ((uintptr_t)object & 15) + (uintptr_t)object[7];
#if defined(__x86_64__)
	__asm__ volatile("movaps %%xmm0, %0" : "=m"(object));
#endif
}

Test(switch, new_stack_is_aligned)
{
	struct anyc__stack_pool pool;
	struct coroutine co;

	anyc__stack_pool_init(&pool);
	run(&pool, &co, 0, look_at_alignment);
	cr_assert_eq(co.seen, 0);
	anyc__stack_pool_fini(&pool);
}

static uintptr_t descend(volatile unsigned depth)
{
	volatile char frame[1024];

	for (size_t i = 0; i < sizeof frame; i += 256)
		frame[i] = 1;
	return depth == 0 ? 0 : descend(depth - 1) + (uintptr_t)frame[256];
}

static void go_deep(struct coroutine *co)
{
	co->seen = descend(50);
}

Test(switch, deep_call)
{
	struct anyc__stack_pool pool;
	struct coroutine co;

	anyc__stack_pool_init(&pool);
	run(&pool, &co, 0, go_deep);
	cr_assert_eq(co.seen, 50);
	anyc__stack_pool_fini(&pool);
}

/* Every end on a recycled stack: sanitizers must not mind the frames that never return. */
Test(switch, many_ends_on_one_stack)
{
	struct anyc__stack_pool pool;
	struct coroutine co;

	anyc__stack_pool_init(&pool);
	for (int i = 0; i < 3000; i++)
		run(&pool, &co, 0, look_at_alignment);
	anyc__stack_pool_fini(&pool);
	cr_assert_eq(blocks, 0);
}

static jmp_buf out;

static __attribute__((noinline)) void jump_out(volatile char *object)
{
	object[0] = 1;
	longjmp(out, 1);
}

static void longjmp_inside(struct coroutine *co)
{
	volatile char object[100];

	to_main(co);
	if (setjmp(out) == 0)
		jump_out(object);
	co->seen = 1;
}

static void longjmp_in_a_task(void)
{
	struct anyc__stack_pool pool;
	struct coroutine co;

	anyc__stack_pool_init(&pool);
	run(&pool, &co, 0, longjmp_inside);
	_exit(co.seen == 1 ? 0 : 1);
}

/* ASan complains of a stack it does not know: the test of our calls around the switch. */
Test(switch, asan_knows_the_stack)
{
	char text[4096];
	int status = in_child(longjmp_in_a_task, text, sizeof text);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", text);
	cr_assert_null(strstr(text, "ASan"), "%s", text);
	cr_assert_null(strstr(text, "Sanitizer"), "%s", text);
}

/* ---- the pool ---- */

Test(stack, sizes)
{
	struct anyc__stack_pool pool;
	struct anyc__stack *stack;
	size_t least = anyc__stack_minimum();

	anyc__stack_pool_init(&pool);
	cr_assert(least > 16 << 10);
	cr_assert_eq(anyc__stack_get(&pool, 1, &stack), -EINVAL);
	cr_assert_null(stack);
	cr_assert_eq(anyc__stack_get(&pool, least - 1, &stack), -EINVAL);
	cr_assert_eq(anyc__stack_get(&pool, ((size_t)64 << 20) + 1, &stack), -EINVAL);
	for (size_t size = least; size <= (size_t)64 << 20; size += size / 3) {
		stack = get(&pool, size);
		cr_assert(anyc__stack_size(stack) >= size);
		cr_assert((size_t)((char *)stack - stack->low) + 512 >= least);
		cr_assert(anyc__stack_size(stack) < 2 * size || anyc__stack_size(stack) <= 65536);
		cr_assert_eq((uintptr_t)stack % 64, 0);
		cr_assert(anyc__stack_contains(stack, stack->low));
		cr_assert(anyc__stack_contains(stack, stack));
		cr_assert(!anyc__stack_contains(stack, stack->low - 1));
		cr_assert(!anyc__stack_contains(stack, stack + 1));
		stack->low[0] = 1;
		anyc__stack_put(&pool, stack);
	}
	stack = get(&pool, 0);
	cr_assert_eq(anyc__stack_size(stack), ANYC__STACK_DEFAULT);
	anyc__stack_put(&pool, stack);
	anyc__stack_pool_fini(&pool);
	cr_assert_eq(blocks, 0);
}

static void take_and_give_back(struct anyc__stack_pool *pool, struct anyc__stack **all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		all[i] = get(pool, ANYC__STACK_DEFAULT);
		memset(all[i]->low, (int)i, 64);
	}
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(all[i]->low[63], (char)i);
		anyc__stack_put(pool, all[i]);
	}
}

Test(stack, pool_of_1000)
{
	struct anyc__stack *all[1000];
	struct anyc__stack_stats stats;
	struct anyc__stack_pool pool;
	size_t n = RUNNING_ON_VALGRIND ? 200 : 1000;

	anyc__stack_pool_init(&pool);
	for (int round = 0; round < 5; round++) {
		take_and_give_back(&pool, all, n);
		anyc__stack_pool_stats(&pool, &stats);
		cr_assert_eq(stats.in_use, 0);
		cr_assert_eq(stats.hot + stats.cold, n);
	}
	anyc__stack_pool_trim(&pool);
	anyc__stack_pool_stats(&pool, &stats);
	cr_assert_eq(stats.hot, 0);
	cr_assert_eq(stats.cold, n);
	cr_assert_eq((stats.virgin + n) * ANYC__STACK_DEFAULT, stats.mapped_bytes);
	anyc__stack_pool_fini(&pool);
	cr_assert_eq(blocks, 0);
}

Test(stack, recycles_the_latest_first)
{
	struct anyc__stack *a, *b, *c;
	struct anyc__stack_pool pool;

	anyc__stack_pool_init(&pool);
	a = get(&pool, ANYC__STACK_DEFAULT);
	b = get(&pool, ANYC__STACK_DEFAULT);
	c = get(&pool, ANYC__STACK_DEFAULT);
	cr_assert_eq((size_t)(b->low - a->low), ANYC__STACK_DEFAULT, "virgins come in order");
	cr_assert_eq((size_t)(c->low - b->low), ANYC__STACK_DEFAULT);
	cr_assert_neq((uintptr_t)b % 4096, (uintptr_t)a % 4096, "tops spread over the cache");
	b->name = "b";
	anyc__stack_put(&pool, a);
	anyc__stack_put(&pool, c);
	anyc__stack_put(&pool, b);
	cr_assert_eq(get(&pool, ANYC__STACK_DEFAULT), b);
	cr_assert_null(b->name);
	cr_assert_eq(get(&pool, ANYC__STACK_DEFAULT), c);
	cr_assert_eq(get(&pool, ANYC__STACK_DEFAULT), a);
	anyc__stack_pool_fini(&pool);
}

static bool kernel_can_populate(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can = page != MAP_FAILED && madvise(page, 4096, 23 /* MADV_POPULATE_WRITE */) == 0;

	munmap(page, 4096);
	return can;
}

/* A few tasks do not pay for a thousand; a burst is made ready ahead. */
Test(stack, populates_what_is_about_to_be_used)
{
	struct anyc__stack_pool pool;
	struct anyc__stack *stack;
	size_t stride = ANYC__STACK_DEFAULT;

	if (RUNNING_ON_VALGRIND)
		return;
	anyc__stack_pool_init(&pool);
	stack = get(&pool, 0);
	cr_assert(!resident(stack->low));
	cr_assert(!resident((char *)stack - 4096), "only the top page");
	cr_assert(!resident((char *)stack + 8 * stride), "not the whole slab");
	for (int i = 0; i < 4; i++)
		stack = get(&pool, 0);
	if (kernel_can_populate())
		cr_assert(resident((char *)stack + stride), "the second batch is larger");
	anyc__stack_pool_fini(&pool);
}

Test(stack, trim_returns_memory)
{
	struct anyc__stack *all[100];
	struct anyc__stack_pool pool;
	size_t warm = 0;

	anyc__stack_pool_init(&pool);
	for (int i = 0; i < 100; i++) {
		all[i] = get(&pool, 0);
		memset(all[i]->low, 1, (size_t)((char *)all[i] - all[i]->low));
	}
	for (int i = 0; i < 100; i++)
		anyc__stack_put(&pool, all[i]);
	anyc__stack_pool_settle(&pool);
	cr_assert(!pool.surplus);
	for (int i = 0; i < 100; i++)
		warm += resident(all[i]->low);
	cr_assert(warm <= 64, "%zu kept warm", warm);
	anyc__stack_pool_trim(&pool);
	for (int i = 0; i < 100; i++) {
		cr_assert(!resident(all[i]->low));
		cr_assert(!resident((char *)((uintptr_t)all[i] & ~(uintptr_t)4095) - 1));
		cr_assert(resident(all[i]), "the top page stays");
	}
	anyc__stack_pool_fini(&pool);
}

/* The end of many tasks makes no system call; what is too much goes bit by bit. */
Test(stack, a_surplus_is_settled_in_parts)
{
	enum { MANY = 3000 };
	static struct anyc__stack *all[MANY];
	struct anyc__stack_stats stats;
	struct anyc__stack_pool pool;
	size_t parts = 0, cold = 0;

	anyc__stack_pool_init(&pool);
	if (pool.instrumented) { /* there each goes at once */
		anyc__stack_pool_fini(&pool);
		return;
	}
	for (int i = 0; i < MANY; i++)
		all[i] = get(&pool, 0);
	cr_assert(!pool.surplus);
	for (int i = 0; i < MANY; i++)
		anyc__stack_put(&pool, all[i]);
	anyc__stack_pool_stats(&pool, &stats);
	cr_assert_eq(stats.cold, 0);
	for (; pool.surplus; parts++) {
		anyc__stack_pool_settle(&pool);
		anyc__stack_pool_stats(&pool, &stats);
		cr_assert(stats.cold > cold && stats.cold - cold <= 1024);
		cold = stats.cold;
	}
	cr_assert_eq(parts, 3);
	cr_assert(stats.hot > 0 && stats.hot <= 64);
	cr_assert_eq(stats.hot + stats.cold, MANY);
	anyc__stack_pool_fini(&pool);
	cr_assert_eq(blocks, 0);
}

Test(stack, out_of_memory)
{
	struct anyc__stack_pool pool;
	struct anyc__stack *stack;
	int refuse[] = { 0, 1 };

	for (size_t i = 0; i < 2; i++) {
		anyc__stack_pool_init(&pool);
		refuse_after = refuse[i];
		if (refuse[i] == 0)
			cr_assert_eq(anyc__stack_get(&pool, 0, &stack), -ENOMEM);
		else
			get(&pool, 0);
		refuse_after = -1;
		get(&pool, 0);
		anyc__stack_pool_fini(&pool);
		cr_assert_eq(blocks, 0);
	}
}

Test(stack, abandoned_stacks_go_with_the_pool)
{
	struct anyc__stack_pool pool;
	struct coroutine co;

	anyc__stack_pool_init(&pool);
	start_on(&co, get(&pool, 0), count_to_1000);
	anyc__stack_pool_fini(&pool);
	cr_assert_eq(blocks, 0);
}

static struct anyc__stack_pool child_pool;

static void give_back_twice(void)
{
	struct anyc__stack *stack;

	anyc__stack_pool_init(&child_pool);
	stack = get(&child_pool, 0);
	anyc__stack_put(&child_pool, stack);
	anyc__stack_put(&child_pool, stack);
}

static void overwrite_the_top(void)
{
	struct anyc__stack *stack;

	anyc__stack_pool_init(&child_pool);
	stack = get(&child_pool, 0);
	memset((char *)stack - 8, 0x41, 16);
	anyc__stack_put(&child_pool, stack);
}

Test(stack, canary)
{
	char text[4096];
	int status = in_child(give_back_twice, text, sizeof text);

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	cr_assert_not_null(strstr(text, "given back twice"), "%s", text);
	status = in_child(overwrite_the_top, text, sizeof text);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	cr_assert_not_null(strstr(text, "overwritten"), "%s", text);
}

/* ---- guards ---- */

static size_t child_size;
static size_t child_depth; /* below the lowest usable byte */
static struct anyc__stack *child_stack;

/* The checkers' own handlers would turn the signal into their report. */
static void write_below(void)
{
	anyc__stack_pool_init(&child_pool);
	signal(SIGSEGV, SIG_DFL);
	child_stack = get(&child_pool, child_size);
	for (int i = 0; i < 100; i++)
		get(&child_pool, child_size);
	*(volatile char *)(child_stack->low - child_depth) = 1;
}

static void expect_guarded(size_t size, size_t guard)
{
	const size_t depths[] = { 1, guard };
	char text[4096];

	child_size = size;
	for (size_t i = 0; i < 2; i++) {
		int status;

		child_depth = depths[i];
		status = in_child(write_below, text, sizeof text);
		cr_assert(WIFSIGNALED(status), "size %zu: %s", size, text);
		cr_assert_eq(WTERMSIG(status), SIGSEGV);
	}
}

Test(guard, every_size)
{
	if (RUNNING_ON_VALGRIND)
		return;
	for (size_t size = ANYC__STACK_SMALLEST; size <= (size_t)4 << 20; size *= 2)
		expect_guarded(size, size >= (size_t)128 << 10 ? (size_t)64 << 10 : 4096);
}

Test(guard, by_mprotect)
{
	struct anyc__stack_stats stats;
	struct anyc__stack_pool pool;

	anyc__stack_force_mprotect(true);
	anyc__stack_pool_init(&pool);
	get(&pool, 0);
	anyc__stack_pool_stats(&pool, &stats);
	cr_assert_eq(stats.slabs, 1);
	cr_assert_eq(stats.slabs_by_mprotect, 1);
	anyc__stack_pool_fini(&pool);
	if (RUNNING_ON_VALGRIND)
		return;
	expect_guarded(ANYC__STACK_SMALLEST, 4096);
	expect_guarded(ANYC__STACK_DEFAULT, (size_t)64 << 10);
}

/* vm.max_map_count: an error, and a pool that is still in order; never a stack without a guard. */
Test(guard, mprotect_runs_out)
{
	struct anyc__stack_stats stats;
	struct anyc__stack_pool pool;
	struct anyc__stack *stack, *last = NULL;
	size_t n = 0;
	int rc = 0;

	if (RUNNING_ON_VALGRIND)
		return;
#if defined(ANYC__TSAN) || defined(ANYC__ASAN)
	return; /* too many fibers, too much shadow */
#endif
	anyc__stack_force_mprotect(true);
	anyc__stack_pool_init(&pool);
	while (n < 200000 && (rc = anyc__stack_get(&pool, ANYC__STACK_SMALLEST, &stack)) == 0) {
		last = stack;
		n++;
	}
	anyc__stack_pool_stats(&pool, &stats);
	cr_assert_eq(stats.in_use, n);
	if (n < 200000) {
		cr_assert_eq(rc, -ENOMEM);
		cr_assert_null(stack);
		anyc__stack_put(&pool, last);
		cr_assert_eq(get(&pool, ANYC__STACK_SMALLEST), last);
	}
	anyc__stack_pool_fini(&pool);
}

static void locked(void)
{
	struct anyc__stack_stats stats;

	anyc__stack_pool_init(&child_pool);
	if (mlockall(MCL_FUTURE) != 0)
		_exit(77);
	child_stack = get(&child_pool, 0);
	anyc__stack_pool_stats(&child_pool, &stats);
	if (stats.slabs_by_mprotect != 1)
		_exit(1);
	munlockall();
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)(child_stack->low - 1) = 1;
}

Test(guard, locked_memory)
{
	char text[4096];
	int status;

	if (RUNNING_ON_VALGRIND)
		return;
#if defined(ANYC__TSAN) || defined(ANYC__ASAN)
	return; /* they make mlockall do nothing */
#endif
	status = in_child(locked, text, sizeof text);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return;
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

Test(guard, lookup)
{
	struct anyc__stack *stack, *other;
	struct anyc__stack_pool pool;
	const char *guard;

	anyc__stack_pool_init(&pool);
	stack = get(&pool, 0);
	other = get(&pool, (size_t)1 << 20);
	guard = other->low - 1;
	cr_assert_eq(anyc__stack_of_fault(stack->low - 1), stack);
	cr_assert_eq(anyc__stack_of_fault(stack->low - 65536), stack);
	cr_assert_null(anyc__stack_of_fault(stack->low));
	cr_assert_null(anyc__stack_of_fault(stack->low - 65537));
	cr_assert_null(anyc__stack_of_fault(stack->low - 1 + ANYC__STACK_DEFAULT), "not live");
	cr_assert_eq(anyc__stack_of_fault(other->low - 1), other);
	cr_assert_null(anyc__stack_of_fault(NULL));
	cr_assert_null(anyc__stack_of_fault(&pool));
	anyc__stack_put(&pool, stack);
	cr_assert_null(anyc__stack_of_fault(stack->low - 1), "given back");
	anyc__stack_pool_fini(&pool);
	cr_assert_null(anyc__stack_of_fault(guard), "unmapped");
}

/* More slabs than one block of the registry holds, from two threads. */
static void *many_pools(void *arg)
{
	enum { N = 100 };
	struct anyc__stack_pool *pools = calloc(N, sizeof *pools);
	struct anyc__stack *stack;
	uintptr_t bad = 0;

	for (int i = 0; i < N; i++) {
		anyc__stack_pool_init(&pools[i]);
		bad += anyc__stack_get(&pools[i], ANYC__STACK_SMALLEST, &stack) != 0;
		bad += anyc__stack_of_fault(stack->low - 1) != stack;
	}
	for (int i = 0; i < N; i++)
		anyc__stack_pool_fini(&pools[i]);
	free(pools);
	(void)arg;
	return (void *)bad;
}

Test(guard, registry_grows)
{
	pthread_t other;
	void *bad;

	cr_assert_eq(pthread_create(&other, NULL, many_pools, NULL), 0);
	cr_assert_null(many_pools(NULL));
	cr_assert_eq(pthread_join(other, &bad), 0);
	cr_assert_null(bad);
}

/* ---- the overflow report ---- */

static void recurse(struct coroutine *co)
{
	co->seen = descend(1u << 20);
}

static void overflow(void)
{
	struct coroutine co;

	signal(SIGSEGV, SIG_DFL);
	if (anyc__overflow_install() != 0 || anyc__overflow_install() != 0)
		_exit(1);
	anyc__stack_pool_init(&child_pool);
	child_stack = get(&child_pool, 0);
	child_stack->name = "crawler";
	start_on(&co, child_stack, recurse);
}

Test(overflow, names_the_task)
{
	char text[4096];
	int status;

	if (RUNNING_ON_VALGRIND)
		return;
	status = in_child(overflow, text, sizeof text);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%s", text);
	cr_assert_str_eq(text, "anyc: task 'crawler' overflowed its stack of 256 KiB; "
			"give it a larger one with the stack_size spawn option\n");
}

static void *overflow_in_thread(void *arg)
{
	struct coroutine co;

	if (anyc__overflow_thread() != 0)
		_exit(1);
	anyc__stack_pool_init(&child_pool);
	child_stack = get(&child_pool, (size_t)64 << 10);
	start_on(&co, child_stack, recurse);
	return arg;
}

static void overflow_elsewhere(void)
{
	pthread_t thread;

	signal(SIGSEGV, SIG_DFL);
	if (anyc__overflow_install() != 0)
		_exit(1);
	if (pthread_create(&thread, NULL, overflow_in_thread, NULL) == 0)
		pthread_join(thread, NULL);
}

Test(overflow, in_a_thread_and_unnamed)
{
	char text[4096];
	int status;

	if (RUNNING_ON_VALGRIND)
		return;
	status = in_child(overflow_elsewhere, text, sizeof text);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%s", text);
	cr_assert_not_null(strstr(text, "'(unnamed)' overflowed its stack of 64 KiB"), "%s", text);
}

static void theirs(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	_exit(sig == SIGSEGV && info->si_addr == (void *)64 ? 42 : 1);
}

static void foreign_fault(void)
{
	struct sigaction action = { .sa_sigaction = theirs, .sa_flags = SA_SIGINFO };
	char *volatile nowhere = (char *)64;

	sigaction(SIGSEGV, &action, NULL);
	if (anyc__overflow_install() != 0)
		_exit(1);
	*(volatile char *)nowhere = 1;
}

static void foreign_fault_by_default(void)
{
	signal(SIGSEGV, SIG_DFL);
	if (anyc__overflow_install() != 0)
		_exit(1);
	raise(SIGSEGV);
}

Test(overflow, other_faults_go_to_the_previous_handler)
{
	char text[4096];
	int status;

	if (RUNNING_ON_VALGRIND)
		return;
	status = in_child(foreign_fault_by_default, text, sizeof text);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	cr_assert_str_empty(text);
#if defined(ANYC__ASAN) || defined(__SANITIZE_UNDEFINED__)
	return; /* the null page is theirs to report */
#endif
	status = in_child(foreign_fault, text, sizeof text);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42, "%d %s", status, text);
}

static void *signal_stack_comes_and_goes(void *arg)
{
	stack_t before, during, after;
	uintptr_t good;

	sigaltstack(NULL, &before);
	good = anyc__overflow_thread() == 0;
	sigaltstack(NULL, &during);
	anyc__overflow_thread_done();
	sigaltstack(NULL, &after);
	good = good && (during.ss_flags & SS_DISABLE) == 0;
	good = good && (before.ss_flags & SS_DISABLE) == (after.ss_flags & SS_DISABLE);
	(void)arg;
	return (void *)good;
}

Test(overflow, signal_stack)
{
	pthread_t thread;
	void *good = NULL;

	cr_assert_eq(pthread_create(&thread, NULL, signal_stack_comes_and_goes, NULL), 0);
	cr_assert_eq(pthread_join(thread, &good), 0);
	cr_assert_not_null(good);
}

/* SPDX-License-Identifier: MIT */
/*
 * The switch alone, without a test framework or the library: small enough to be linked statically
 * and run under an emulator.  TAP on stdout; exits 1 if anything failed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../../src/core/switch.h"

#include "../../src/core/sanitize.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(HAVE_VALGRIND_VALGRIND_H)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#define STACK_SIZE ((size_t)256 << 10)

struct coroutine {
	struct anyc__context own, main;
	struct anyc__fiber fiber, main_fiber;
	char *stack;
	unsigned valgrind_id;
	void (*body)(struct coroutine *);
	uintptr_t seen;
	bool ended;
};

static int count, failed;

static void check(bool good, const char *what)
{
	count++;
	failed += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", count, what);
}

static void to_main(struct coroutine *co)
{
	anyc__fiber_leave(&co->fiber, &co->main_fiber, co->ended);
	anyc__context_switch(&co->own, &co->main);
	anyc__fiber_arrive(&co->fiber, &co->main_fiber);
}

static void resume(struct coroutine *co)
{
	anyc__fiber_leave(&co->main_fiber, &co->fiber, false);
	anyc__context_switch(&co->main, &co->own);
	anyc__fiber_arrive(&co->main_fiber, &co->fiber);
}

static void entry(void *arg)
{
	struct coroutine *co = arg;

	anyc__fiber_arrive(&co->fiber, &co->main_fiber);
	co->body(co);
	co->ended = true;
	to_main(co);
	abort();
}

/* skew moves the top, which make has to align by itself. */
static void start(struct coroutine *co, void (*body)(struct coroutine *), size_t skew)
{
	*co = (struct coroutine){ .stack = malloc(STACK_SIZE), .body = body };
	if (co->stack == NULL)
		abort();
	co->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(co->stack, co->stack + STACK_SIZE - 1);
	anyc__fiber_init(&co->fiber, co->stack, STACK_SIZE);
	anyc__fiber_init(&co->main_fiber, NULL, 0);
	anyc__context_make(&co->own, co->stack, co->stack + STACK_SIZE - skew, entry, co);
	resume(co);
}

static void drop(struct coroutine *co)
{
	anyc__fiber_fini(&co->fiber);
	VALGRIND_STACK_DEREGISTER(co->valgrind_id);
	free(co->stack);
}

static void finish(struct coroutine *co)
{
	while (!co->ended)
		resume(co);
	drop(co);
}

/* ---- bodies ---- */

static void count_to_1000(struct coroutine *co)
{
	for (int i = 0; i < 1000; i++) {
		co->seen++;
		to_main(co);
	}
}

/* An object of alignment 16 is where the compiler would use movaps and the like. */
static void look_at_alignment(struct coroutine *co)
{
	volatile _Alignas(16) char object[32] = { 0 };

	co->seen = ((uintptr_t)object & 15) + (uintptr_t)object[5];
}

static uintptr_t descend(volatile unsigned depth)
{
	volatile char frame[64] = { (char)depth };

	return depth == 0 ? 0 : descend(depth - 1) + 1 + (uintptr_t)frame[63];
}

static void go_deep(struct coroutine *co)
{
	co->seen = descend(500);
}

static void print_a_float(struct coroutine *co)
{
	char text[32];

	snprintf(text, sizeof text, "%.3f", 2.5);
	co->seen = text[0] == '2' && text[2] == '5';
}

static void nest(struct coroutine *co)
{
	struct coroutine inner;

	start(&inner, count_to_1000, 0);
	to_main(co);
	finish(&inner);
	co->seen = inner.seen;
}

/* ---- registers ---- */

#if defined(__x86_64__)
#define HAVE_REGISTER_CHECK 1
/* Loads a pattern into every callee-saved register, switches, and compares. */
__asm__(
	".text\n"
	".type registers_survive, @function\n"
	"registers_survive:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n"
	"	pushq %r14\n	pushq %r15\n	subq $8, %rsp\n"
	"	movq $0x1111, %rbp\n	movq $0x2222, %rbx\n	movq $0x3333, %r12\n"
	"	movq $0x4444, %r13\n	movq $0x5555, %r14\n	movq $0x6666, %r15\n"
	"	call anyc__context_switch\n"
	"	xorl %eax, %eax\n"
	"	cmpq $0x1111, %rbp\n	jne 1f\n	cmpq $0x2222, %rbx\n	jne 1f\n"
	"	cmpq $0x3333, %r12\n	jne 1f\n	cmpq $0x4444, %r13\n	jne 1f\n"
	"	cmpq $0x5555, %r14\n	jne 1f\n	cmpq $0x6666, %r15\n	jne 1f\n"
	"	incl %eax\n"
	"1:	addq $8, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n"
	"	popq %rbx\n	popq %rbp\n	ret\n"
	".size registers_survive, . - registers_survive\n");

static void clobber(struct coroutine *co)
{
	for (;;) {
		__asm__ volatile("movq $-1, %%rbx\n\tmovq %%rbx, %%r12\n\tmovq %%rbx, %%r13\n\t"
				"movq %%rbx, %%r14\n\tmovq %%rbx, %%r15"
				: : : "rbx", "r12", "r13", "r14", "r15");
		to_main(co);
	}
}
#elif defined(__aarch64__)
#define HAVE_REGISTER_CHECK 1
#define EACH(DO) DO(19) DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26) DO(27) DO(28)
#define EACH_D(DO) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD(n) "	mov x" #n ", #0x11" #n "\n"
#define LOAD_D(n) "	mov x9, #0x22" #n "\n	fmov d" #n ", x9\n"
#define TEST(n) "	mov x9, #0x11" #n "\n	cmp x" #n ", x9\n	b.ne 1f\n"
#define TEST_D(n) "	mov x9, #0x22" #n "\n	fmov x10, d" #n "\n	cmp x9, x10\n	b.ne 1f\n"
#define PAIR(op, a, b, at) "	" #op " " #a ", " #b ", [sp, #" #at "]\n"
#define PAIRS(op) \
	PAIR(op, x19, x20, 0) PAIR(op, x21, x22, 16) PAIR(op, x23, x24, 32) \
	PAIR(op, x25, x26, 48) PAIR(op, x27, x28, 64) PAIR(op, x29, x30, 80) \
	PAIR(op, d8, d9, 96) PAIR(op, d10, d11, 112) PAIR(op, d12, d13, 128) PAIR(op, d14, d15, 144)
__asm__(
	".text\n"
	".type registers_survive, %function\n"
	"registers_survive:\n"
	"	sub sp, sp, #160\n"
	PAIRS(stp)
	EACH(LOAD) EACH_D(LOAD_D)
	"	mov x29, #0x1129\n"
	"	bl anyc__context_switch\n"
	"	mov w0, #0\n"
	EACH(TEST) EACH_D(TEST_D) TEST(29)
	"	mov w0, #1\n"
	"1:\n"
	PAIRS(ldp)
	"	add sp, sp, #160\n"
	"	ret\n"
	".size registers_survive, . - registers_survive\n");

static void clobber(struct coroutine *co)
{
	for (;;) {
		__asm__ volatile("mov x19, #7\n\tmov x20, x19\n\tmov x21, x19\n\tmov x22, x19\n\t"
				"mov x23, x19\n\tmov x24, x19\n\tmov x25, x19\n\tmov x26, x19\n\t"
				"mov x27, x19\n\tmov x28, x19\n\tfmov d8, x19\n\tfmov d9, x19\n\t"
				"fmov d10, x19\n\tfmov d11, x19\n\tfmov d12, x19\n\t"
				"fmov d13, x19\n\tfmov d14, x19\n\tfmov d15, x19"
				: : : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
				"x27", "x28", "d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15");
		to_main(co);
	}
}
#endif

#if defined(HAVE_REGISTER_CHECK)
int registers_survive(struct anyc__context *save, const struct anyc__context *to);

static void test_registers(void)
{
	struct coroutine co;
	int survived;

	start(&co, clobber, 0);
	anyc__fiber_leave(&co.main_fiber, &co.fiber, false);
	survived = registers_survive(&co.main, &co.own);
	anyc__fiber_arrive(&co.main_fiber, &co.fiber);
	check(survived == 1, "the callee-saved registers survive");
	drop(&co);
}
#else
static void test_registers(void)
{
	check(true, "the callee-saved registers survive # SKIP no check for this switch");
}
#endif

/* By hand: fesetround would want the mathematics library. */
static void set_rounding_down(struct anyc__fpenv env)
{
#if defined(__x86_64__) || defined(__i386__)
	env.mxcsr |= 1u << 13;
#elif defined(__aarch64__)
	env.fpcr |= UINT64_C(2) << 22;
#endif
	anyc__fpenv_restore(&env);
}

/* Volatile to the last: the compiler moves a division across what changes its rounding. */
static double minus_third(void)
{
	volatile double one = -1, three = 3, result = one / three;

	return result;
}

static void round_down(struct coroutine *co)
{
	struct anyc__fpenv env;
	double nearest = minus_third(), down;

	to_main(co);
	anyc__fpenv_save(&env);
	set_rounding_down(env);
	down = minus_third();
	anyc__fpenv_restore(&env);
	co->seen = minus_third() == nearest;
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
	co->seen = co->seen && down < nearest;
#endif
	(void)down;
}

int main(void)
{
	struct coroutine co;
	bool aligned = true;

	start(&co, count_to_1000, 0);
	check(co.seen == 1 && !co.ended, "the first switch enters the body");
	finish(&co);
	check(co.seen == 1000, "1000 round trips");
	for (size_t skew = 0; skew < 32; skew++) {
		start(&co, look_at_alignment, skew);
		aligned = aligned && co.seen == 0;
		finish(&co);
	}
	check(aligned, "a new stack is aligned whatever its top");
	start(&co, go_deep, 0);
	finish(&co);
	check(co.seen == 500, "a deep call");
	start(&co, print_a_float, 0);
	finish(&co);
	check(co.seen == 1, "variadic floating point works on the new stack");
	start(&co, nest, 0);
	finish(&co);
	check(co.seen == 1000, "a coroutine runs a coroutine");
	test_registers();
	start(&co, round_down, 0);
	finish(&co);
	/* valgrind rounds as it likes. */
	check(co.seen == 1 || RUNNING_ON_VALGRIND, "fpenv saves and restores the rounding mode");
	printf("1..%d\n", count);
	return failed != 0;
}

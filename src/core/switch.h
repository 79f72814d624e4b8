/* SPDX-License-Identifier: MIT */
/*
 * The stack switch: save the callee-saved registers here, load those of another stack.
 *
 * Rules
 *   A context is either running (its record is stale) or suspended; switch to suspended ones only,
 *   on the thread that suspended them.
 *   The signal mask and the floating-point control words belong to the thread and are not switched.
 *   Neither call is a cancellation point, allocates, or makes a system call (ucontext's do).
 */
#ifndef ANYC__SWITCH_H
#define ANYC__SWITCH_H

/* A switch chosen by configure changes the size of what embeds a context: all must know. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>

#if !defined(ANYC_SWITCH_UCONTEXT)
#if !(defined(__x86_64__) && !defined(__ILP32__)) && !defined(__aarch64__)
#define ANYC_SWITCH_UCONTEXT 1
#endif
#endif

#if defined(ANYC_SWITCH_UCONTEXT)
#include <ucontext.h>
/* About 1 KB on x86-64; must stay where it is: it holds pointers into itself. */
struct anyc__context {
	ucontext_t uc;
};
#else
struct anyc__context {
	void *sp;
};
#endif

/*
 * Makes c a context that will call entry(arg) with the stack pointer just below stack_top (any
 * alignment).  entry must not return: there is nothing under it.
 */
void anyc__context_make(struct anyc__context *c, void *stack_low, void *stack_top,
		void (*entry)(void *), void *arg);

/* Suspends the caller into save, continues `to`; returns when somebody switches to save. */
void anyc__context_switch(struct anyc__context *save, const struct anyc__context *to);

/*
 * The same, entered without a call.  The switch goes back by a jump, so a call would leave one
 * entry too many on the processor's stack of returns, and each return after it would be predicted
 * wrong: that costs several times what the switch does.  (Built with -mno-red-zone, without which
 * the push would overwrite locals.)
 */
static inline void anyc__context_jump(struct anyc__context *save, const struct anyc__context *to)
{
#if defined(ANYC_NO_RED_ZONE) && !defined(ANYC_SWITCH_UCONTEXT)
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "jmp anyc__context_switch\n"
			 "1:"
			 : "+D"(save), "+S"(to)
			 :
			 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
			   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
#else
	anyc__context_switch(save, to);
#endif
}

/* Begins to fetch what a switch to c will read. */
static inline void anyc__context_prefetch(const struct anyc__context *c)
{
#if defined(ANYC_SWITCH_UCONTEXT)
	__builtin_prefetch(c);
#else
	__builtin_prefetch(c->sp);
#endif
}

/*
 * The floating-point control state (rounding, masks, flush to zero), for the tasks that asked to
 * have their own.  Saving it on every switch would cost as much as the switch.
 */
#if defined(__x86_64__) || defined(__i386__)
struct anyc__fpenv {
	uint32_t mxcsr;
	uint16_t x87;
};

static inline void anyc__fpenv_save(struct anyc__fpenv *env)
{
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(env->mxcsr), "=m"(env->x87) : : "memory");
}

static inline void anyc__fpenv_restore(const struct anyc__fpenv *env)
{
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(env->mxcsr), "m"(env->x87) : "memory");
}
#elif defined(__aarch64__)
struct anyc__fpenv {
	uint64_t fpcr;
};

static inline void anyc__fpenv_save(struct anyc__fpenv *env)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(env->fpcr) : : "memory");
}

static inline void anyc__fpenv_restore(const struct anyc__fpenv *env)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(env->fpcr) : "memory");
}
#else
/* swapcontext saves what its C library thinks right. */
struct anyc__fpenv {
	char unused;
};

static inline void anyc__fpenv_save(struct anyc__fpenv *env)
{
	env->unused = 0;
}

static inline void anyc__fpenv_restore(const struct anyc__fpenv *env)
{
	(void)env;
}
#endif

#endif

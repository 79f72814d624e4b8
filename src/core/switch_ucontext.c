/* SPDX-License-Identifier: MIT */
/*
 * The stack switch for machines without a hand-written one, and for those who ask for it.  It
 * costs two system calls, because swapcontext saves the signal mask.
 */
#include "switch.h"

#if defined(ANYC_SWITCH_UCONTEXT)

#include <stdlib.h>

struct start {
	void (*entry)(void *);
	void *arg;
};

/* makecontext passes ints only: a pointer travels as two halves. */
static void begin(unsigned high, unsigned low)
{
	struct start *at = (struct start *)(uintptr_t)((uint64_t)high << 32 | low);
	struct start start = *at;

	start.entry(start.arg);
	abort();
}

void anyc__context_make(struct anyc__context *c, void *stack_low, void *stack_top,
		void (*entry)(void *), void *arg)
{
	uintptr_t top = ((uintptr_t)stack_top - sizeof(struct start)) & ~(uintptr_t)15;
	struct start *start = (struct start *)top;

	if (getcontext(&c->uc) != 0)
		abort();
	start->entry = entry;
	start->arg = arg;
	c->uc.uc_link = NULL;
	c->uc.uc_stack.ss_sp = stack_low;
	c->uc.uc_stack.ss_size = (size_t)((char *)start - (char *)stack_low);
	makecontext(&c->uc, (void (*)(void))begin, 2, (unsigned)((uint64_t)top >> 32),
			(unsigned)top);
}

void anyc__context_switch(struct anyc__context *save, const struct anyc__context *to)
{
	if (swapcontext(&save->uc, &to->uc) != 0)
		abort();
}

#else

/* ISO C wants at least one declaration in a translation unit. */
struct anyc__context;

#endif

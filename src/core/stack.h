/* SPDX-License-Identifier: MIT */
/*
 * Guarded stacks, carved out of slabs and kept for reuse.
 *
 * Rules
 *   A pool belongs to one engine and is used by one thread; only anyc__stack_of_fault and what
 *   the process remembers about the kernel's abilities is shared.
 *   A size counts address space: the guard is part of it.  No stack is ever handed out unguarded.
 *   A stack's record is the topmost thing on it; the task's record goes right below, so that a
 *   parked task costs one page.  The topmost line differs from stack to stack (by up to 448
 *   bytes): else the records of all tasks would compete for the same few lines of the cache.
 *   A stack goes through: virgin (never touched) -> ready (guarded, top page populated) -> live ->
 *   hot (as it was left) or cold (all but the top page returned to the kernel) -> live ...
 *   get takes the hottest there is; one task spawned and joined again and again makes no system
 *   call, and nor does the end of many: what is too much is given back when nothing is to be run.
 */
#ifndef ANYC__STACK_H
#define ANYC__STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sanitize.h"

#define ANYC__STACK_DEFAULT ((size_t)256 << 10)
#define ANYC__STACK_SMALLEST ((size_t)32 << 10) /* size classes are powers of two from here ... */
#define ANYC__STACK_LARGEST ((size_t)64 << 20)  /* ... to here */
#define ANYC__STACK_CLASSES 12
#define ANYC__STACK_DEFAULT_CLASS 3

/* A record's canary is one of these xor its own address, so that a copy is not taken for one. */
#define ANYC__STACK_LIVE UINT64_C(0x6c69766573746b21)
#define ANYC__STACK_FREE UINT64_C(0x667265655f73746b)

struct anyc__stack {
	/* First, so nearest to whatever overruns the task's record below. */
	_Alignas(64) uint64_t canary;
	struct anyc__stack *next;
	char *low;        /* lowest usable byte; the guard lies below */
	const char *name; /* the task's, for the overflow report; may be NULL; cleared by get */
	uint32_t size_class;
	uint32_t valgrind_id;
	uint32_t uses; /* counted under TSan only */
	struct anyc__fiber fiber;
};

struct anyc__slab;

struct anyc__stack_class {
	struct anyc__stack *hot, *cold;
	uint32_t hot_count, hot_limit, cold_count;
	uint32_t batch;          /* how many virgin stacks to make ready next time */
	struct anyc__slab *slab; /* newest first; only the newest has virgin stacks */
};

struct anyc__stack_pool {
	struct anyc__stack_class classes[ANYC__STACK_CLASSES];
	bool instrumented; /* a checker watches: every get and put takes the slow path */
	bool surplus;      /* more are hot than are to stay so: settle when there is time */
};

struct anyc__stack_stats {
	size_t in_use, hot, cold, virgin; /* stacks; they sum up to those mapped */
	size_t slabs, mapped_bytes;
	size_t slabs_by_mprotect; /* those whose guards cost two mappings a stack */
	bool batched;             /* the kernel takes many ranges in one call */
};

void anyc__stack_pool_init(struct anyc__stack_pool *pool);

/* Unmaps everything.  Stacks still live are abandoned: nothing may run or look there again. */
void anyc__stack_pool_fini(struct anyc__stack_pool *pool);

/* Gives back some of the surplus, in less than a millisecond; pool->surplus: there is more. */
void anyc__stack_pool_settle(struct anyc__stack_pool *pool);
/* Forgets what past bursts taught of how many are to stay hot. */
void anyc__stack_pool_forget(struct anyc__stack_pool *pool);
/* The same, and returns all idle memory but the top pages to the kernel at once. */
void anyc__stack_pool_trim(struct anyc__stack_pool *pool);

void anyc__stack_pool_stats(const struct anyc__stack_pool *pool, struct anyc__stack_stats *stats);

/* What every stack offers at least: 16 KB and the kernel's largest signal frame. */
size_t anyc__stack_minimum(void);

/*
 * Is addr in the guard of a live stack of any pool of the process?  Async-signal-safe; takes no
 * lock.  A slab leaves the registry before it is unmapped.
 */
const struct anyc__stack *anyc__stack_of_fault(const void *addr);

/* For tests: slabs mapped from now on guard by mprotect. */
void anyc__stack_force_mprotect(bool on);

/*
 * The opt-in overflow report: names the task and its stack's size on stderr, then lets the fault
 * take its default course.  Faults elsewhere go to whoever had the signal before.
 *   install  once a process, any thread; later calls only do what thread does
 *   thread   on every thread that runs tasks: gives it a signal stack unless it has one
 *   thread_done  takes back what thread gave
 * Errors: -ENOMEM, or sigaction's.
 */
int anyc__overflow_install(void);
int anyc__overflow_thread(void);
void anyc__overflow_thread_done(void);

/* The out-of-line halves of get and put. */
int anyc__stack_get_slow(struct anyc__stack_pool *pool, size_t size, struct anyc__stack **out);
void anyc__stack_put_slow(struct anyc__stack_pool *pool, struct anyc__stack_class *c);
_Noreturn void anyc__stack_corrupt(const struct anyc__stack *stack);

static inline uint64_t anyc__stack_mark(const struct anyc__stack *stack, uint64_t state)
{
	return state ^ (uint64_t)(uintptr_t)stack;
}

/* The whole of it, guard included. */
static inline size_t anyc__stack_size(const struct anyc__stack *stack)
{
	return ANYC__STACK_SMALLEST << stack->size_class;
}

static inline bool anyc__stack_contains(const struct anyc__stack *stack, const void *p)
{
	return (const char *)p >= stack->low && (const char *)p < (const char *)(stack + 1);
}

/*
 * size 0 means the default; the next larger class is given.
 * Errors: -EINVAL (below the minimum, above the largest), -ENOMEM (memory, address space, or
 * vm.max_map_count where guards need mprotect).
 */
static inline int anyc__stack_get(struct anyc__stack_pool *pool, size_t size,
		struct anyc__stack **out)
{
	struct anyc__stack_class *c = &pool->classes[ANYC__STACK_DEFAULT_CLASS];
	struct anyc__stack *stack = c->hot;

	if (size != ANYC__STACK_DEFAULT || stack == NULL)
		return anyc__stack_get_slow(pool, size, out);
	c->hot = stack->next;
	__builtin_prefetch(c->hot, 1); /* there are hundreds in a burst: too many for the cache */
	c->hot_count--;
	stack->canary = anyc__stack_mark(stack, ANYC__STACK_LIVE);
	stack->name = NULL;
	*out = stack;
	return 0;
}

/* The caller has left the stack for the last time.  Ends the process if the record is damaged. */
static inline void anyc__stack_put(struct anyc__stack_pool *pool, struct anyc__stack *stack)
{
	struct anyc__stack_class *c;

	if (__builtin_expect(stack->canary != anyc__stack_mark(stack, ANYC__STACK_LIVE), 0))
		anyc__stack_corrupt(stack);
	c = &pool->classes[stack->size_class];
	stack->canary = anyc__stack_mark(stack, ANYC__STACK_FREE);
	stack->next = c->hot;
	c->hot = stack;
	if (__builtin_expect(++c->hot_count > c->hot_limit, 0))
		anyc__stack_put_slow(pool, c);
}

#endif

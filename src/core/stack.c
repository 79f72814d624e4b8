/* SPDX-License-Identifier: MIT */
/*
 * Slabs of stacks: mapping, guards, population, trimming, and which stack a fault belongs to.
 *
 * Rules
 *   Stacks of a slab are made ready in address order and in batches that grow with the burst:
 *   first the guards, then the top pages, one system call each.
 *   A slab whose guards cannot be installed by madvise (old kernel, locked memory, valgrind) goes
 *   on with mprotect; it is kept small, since vm.max_map_count ends that road at some 32,000.
 *   What the kernel refused once (process_madvise, populate) is remembered by the process.
 *   The registry of slabs only grows; its entries are reused, never freed: a signal handler may
 *   be reading.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "alloc.h"
#include "error.h"

#if defined(HAVE_VALGRIND_VALGRIND_H)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n) ((void)(p), (void)(n))
#define VALGRIND_MAKE_MEM_NOACCESS(p, n) ((void)(p), (void)(n))
#endif

/* Newer than some C libraries; the numbers are the kernel's ABI. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define PIDFD_SELF (-10000)

#define SLAB_FIRST 16u                    /* stacks */
#define SLAB_LARGEST ((size_t)1 << 30)    /* bytes */
#define SLAB_SMALL ((size_t)64 << 20)     /* bytes; see the rule on mprotect */
#define BATCH_FIRST 4u
#define BATCH_LARGEST 1024u               /* more than UIO_MAXIOV is refused */
#define HOT_FIRST 64u                     /* of the default size; scaled by size */
#define HOT_LARGEST 1024u
#define SETTLED_AT_ONCE 1024u             /* 0.4 us each */
#define COLOURS 8u                        /* lines of cache that the tops are spread over */
#define FIBER_USES 1024u                  /* a TSan fiber's shadow stack grows by each task's end */

struct anyc__slab {
	struct anyc__slab *next;
	char *low;
	struct range *range;
	uint32_t count, ready, taken; /* stacks: all; guarded; handed out at least once */
	bool by_mprotect;
	uint32_t room;      /* of iov */
	struct iovec iov[]; /* scratch; too big for a task's stack */
};

/* ---- sizes ---- */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

size_t anyc__stack_minimum(void)
{
	size_t frame = (size_t)getauxval(AT_MINSIGSTKSZ), page = page_size();

	if (frame == 0)
		frame = 5120; /* an old kernel, so no wide registers */
	return (((size_t)16 << 10) + frame + page - 1) & ~(page - 1);
}

/* 64 KB catch frames that a page would not: not all code probes the stack it takes. */
static size_t guard_size(size_t size)
{
	size_t page = page_size(), wide = (size_t)64 << 10;

	return size >= ((size_t)128 << 10) && page < wide ? wide : page;
}

static int class_of(size_t size)
{
	size_t minimum = anyc__stack_minimum();

	if (size == 0)
		size = ANYC__STACK_DEFAULT;
	if (size < minimum)
		return -EINVAL;
	for (int k = 0; k < ANYC__STACK_CLASSES; k++) {
		size_t whole = ANYC__STACK_SMALLEST << k;

		if (whole >= size && whole >= guard_size(whole) + minimum)
			return k;
	}
	return -EINVAL;
}

/* A count that means 64 KB x count bytes of warm memory in every class. */
static uint32_t scaled(uint32_t count, int k)
{
	if (k > ANYC__STACK_DEFAULT_CLASS)
		count >>= k - ANYC__STACK_DEFAULT_CLASS;
	return count > 0 ? count : 1;
}

/*
 * The record of the i-th stack of a slab, which ends at top.  With all records at the same offset
 * in their pages, a burst of 1,000 gets and puts took three times as long.
 */
static uintptr_t record_of(uintptr_t top, size_t i)
{
	return top - (1 + i % COLOURS) * sizeof(struct anyc__stack);
}

/* ---- the registry ---- */

struct range {
	atomic_bool taken;
	_Atomic(uintptr_t) low; /* 0: nothing here; written last, cleared first */
	_Atomic(uintptr_t) end;
	_Atomic(size_t) stride, guard;
};

struct block {
	struct range ranges[64];
	_Atomic(struct block *) next;
};

static struct block registry;

static struct block *next_block(struct block *b)
{
	struct block *next = atomic_load_explicit(&b->next, memory_order_acquire);
	struct block *fresh;

	if (next != NULL)
		return next;
	fresh = mmap(NULL, sizeof *fresh, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&b->next, &next, fresh))
		return fresh;
	munmap(fresh, sizeof *fresh);
	return next;
}

static struct range *range_publish(const char *low, size_t size, size_t stride, size_t guard)
{
	for (struct block *b = &registry; b != NULL; b = next_block(b)) {
		for (size_t i = 0; i < sizeof b->ranges / sizeof b->ranges[0]; i++) {
			struct range *r = &b->ranges[i];

			if (atomic_exchange_explicit(&r->taken, true, memory_order_acquire))
				continue;
			atomic_store_explicit(&r->end, (uintptr_t)low + size, memory_order_relaxed);
			atomic_store_explicit(&r->stride, stride, memory_order_relaxed);
			atomic_store_explicit(&r->guard, guard, memory_order_relaxed);
			atomic_store_explicit(&r->low, (uintptr_t)low, memory_order_release);
			return r;
		}
	}
	return NULL;
}

static void range_withdraw(struct range *r)
{
	atomic_store(&r->low, 0);
	atomic_store_explicit(&r->taken, false, memory_order_release);
}

static const struct anyc__stack *range_find(const struct range *r, uintptr_t addr)
{
	uintptr_t low = atomic_load_explicit(&r->low, memory_order_acquire);
	size_t stride = atomic_load_explicit(&r->stride, memory_order_relaxed);
	const struct anyc__stack *stack;
	size_t i;

	if (low == 0 || addr < low || addr >= atomic_load_explicit(&r->end, memory_order_relaxed))
		return NULL;
	if ((addr - low) % stride >= atomic_load_explicit(&r->guard, memory_order_relaxed))
		return NULL;
	i = (addr - low) / stride;
	stack = (const struct anyc__stack *)record_of(low + (i + 1) * stride, i);
	return stack->canary == anyc__stack_mark(stack, ANYC__STACK_LIVE) ? stack : NULL;
}

const struct anyc__stack *anyc__stack_of_fault(const void *addr)
{
	const struct block *b = &registry;
	const struct anyc__stack *stack;

	for (; b != NULL; b = atomic_load_explicit(&b->next, memory_order_acquire)) {
		for (size_t i = 0; i < sizeof b->ranges / sizeof b->ranges[0]; i++) {
			stack = range_find(&b->ranges[i], (uintptr_t)addr);
			if (stack != NULL)
				return stack;
		}
	}
	return NULL;
}

/* ---- advice in batches ---- */

/* How this process addresses itself in process_madvise; only ever moves down this list. */
enum { BY_PIDFD_SELF, BY_PIDFD_OPEN, ONE_BY_ONE };

static atomic_int addressing = BY_PIDFD_SELF;
static atomic_bool cannot_populate;
static atomic_bool forced_mprotect;

void anyc__stack_force_mprotect(bool on)
{
	atomic_store(&forced_mprotect, on);
}

/* Skips what the kernel has done; returns how many ranges are done completely. */
static size_t advance(struct iovec *iov, size_t n, size_t bytes)
{
	size_t done = 0;

	while (done < n && bytes >= iov[done].iov_len)
		bytes -= iov[done++].iov_len;
	if (done < n) {
		iov[done].iov_base = (char *)iov[done].iov_base + bytes;
		iov[done].iov_len -= bytes;
	}
	return done;
}

/* The number of leading ranges done; errno says why it is not all. */
static size_t advise_via(int pidfd, struct iovec *iov, size_t n, int advice)
{
	size_t done = 0;

	while (done < n) {
		long bytes = syscall(SYS_process_madvise, pidfd, iov + done, n - done, advice, 0u);

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes <= 0)
			break;
		done += advance(iov + done, n - done, (size_t)bytes);
	}
	return done;
}

/* A pidfd is not kept: after fork it would still name the parent, and discard its memory. */
static size_t advise_batch(int how, struct iovec *iov, size_t n, int advice)
{
	size_t done;
	int pidfd;

	if (how == BY_PIDFD_SELF)
		return advise_via(PIDFD_SELF, iov, n, advice);
	pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0u);
	if (pidfd < 0)
		return 0;
	done = advise_via(pidfd, iov, n, advice);
	close(pidfd);
	return done;
}

/*
 * Returns the number of leading ranges advised; uses up iov.  When a batch gets nowhere but its
 * first range alone does, the way of batching is what the kernel does not know.
 */
static size_t advise(struct iovec *iov, size_t n, int advice)
{
	int how = atomic_load_explicit(&addressing, memory_order_relaxed);
	size_t done = 0;

	if (RUNNING_ON_VALGRIND)
		how = ONE_BY_ONE;
	while (n > 1 && done == 0 && how != ONE_BY_ONE) {
		done = advise_batch(how, iov, n, advice);
		if (done > 0 || errno == EMFILE || errno == ENFILE)
			break;
		if (madvise(iov[0].iov_base, iov[0].iov_len, advice) != 0)
			return 0;
		how++;
		atomic_store_explicit(&addressing, how, memory_order_relaxed);
	}
	while (done < n && madvise(iov[done].iov_base, iov[done].iov_len, advice) == 0)
		done++;
	return done;
}

/* ---- making virgin stacks ready ---- */

static char *stack_base(const struct anyc__slab *slab, int k, uint32_t i)
{
	return slab->low + (size_t)i * (ANYC__STACK_SMALLEST << k);
}

static struct anyc__stack *stack_at(const struct anyc__slab *slab, int k, uint32_t i)
{
	return (struct anyc__stack *)record_of((uintptr_t)stack_base(slab, k, i + 1), i);
}

/* Guards the next n stacks; returns how many it could. */
static uint32_t guard(struct anyc__slab *slab, int k, uint32_t n)
{
	size_t size = guard_size(ANYC__STACK_SMALLEST << k);
	uint32_t done = 0;

	if (!slab->by_mprotect) {
		for (uint32_t i = 0; i < n; i++)
			slab->iov[i] = (struct iovec){ stack_base(slab, k, slab->ready + i), size };
		done = (uint32_t)advise(slab->iov, n, MADV_GUARD_INSTALL);
		slab->by_mprotect = done < n;
	}
	while (done < n && mprotect(stack_base(slab, k, slab->ready + done), size, PROT_NONE) == 0)
		done++;
	return done;
}

/* A saving only: whatever is not populated now faults in when it is touched. */
static void populate(struct anyc__slab *slab, int k, uint32_t n)
{
	size_t page = page_size();

	if (atomic_load_explicit(&cannot_populate, memory_order_relaxed) || RUNNING_ON_VALGRIND)
		return;
	for (uint32_t i = 0; i < n; i++)
		slab->iov[i] = (struct iovec){
			stack_base(slab, k, slab->ready + i + 1) - page, page };
	if (advise(slab->iov, n, MADV_POPULATE_WRITE) == 0 && errno == EINVAL)
		atomic_store_explicit(&cannot_populate, true, memory_order_relaxed);
}

static int make_ready(struct anyc__stack_class *c, int k)
{
	struct anyc__slab *slab = c->slab;
	uint32_t n = slab->count - slab->ready;

	if (n > c->batch)
		n = c->batch;
	if (n > slab->room)
		n = slab->room;
	n = guard(slab, k, n);
	if (n == 0)
		return -ENOMEM;
	populate(slab, k, n);
	slab->ready += n;
	if (c->batch < BATCH_LARGEST)
		c->batch *= 2;
	return 0;
}

/* ---- slabs ---- */

static bool must_mprotect(void)
{
#if defined(ANYC_STACK_MPROTECT)
	return true;
#else
	return RUNNING_ON_VALGRIND || atomic_load_explicit(&forced_mprotect, memory_order_relaxed);
#endif
}

static uint32_t slab_count(const struct anyc__stack_class *c, size_t stride)
{
	bool small = must_mprotect() || (c->slab != NULL && c->slab->by_mprotect);
	size_t most = (small ? SLAB_SMALL : SLAB_LARGEST) / stride;
	size_t count = c->slab != NULL ? (size_t)c->slab->count * 2 : SLAB_FIRST;

	return (uint32_t)(count < most ? count : most);
}

/* Halves *count until the address space has room. */
static char *slab_map(size_t stride, uint32_t *count)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;

	for (; *count > 0; *count /= 2) {
		size_t size = *count * stride;
		char *low = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

		if (low == MAP_FAILED)
			continue;
		(void)madvise(low, size, MADV_NOHUGEPAGE); /* fails where there are none */
		return low;
	}
	return NULL;
}

static int slab_add(struct anyc__stack_class *c, int k)
{
	size_t stride = ANYC__STACK_SMALLEST << k;
	uint32_t count = slab_count(c, stride);
	char *low = slab_map(stride, &count);
	uint32_t room = count < BATCH_LARGEST ? count : BATCH_LARGEST;
	struct anyc__slab *slab;

	if (low == NULL)
		return -ENOMEM;
	slab = anyc__alloc(sizeof *slab + room * sizeof slab->iov[0]);
	if (slab == NULL)
		goto unmap;
	slab->range = range_publish(low, count * stride, stride, guard_size(stride));
	if (slab->range == NULL)
		goto release;
	slab->next = c->slab;
	slab->low = low;
	slab->count = count;
	slab->ready = slab->taken = 0;
	slab->by_mprotect = must_mprotect();
	slab->room = room;
	c->slab = slab;
	return 0;
release:
	anyc__free(slab);
unmap:
	munmap(low, count * stride);
	return -ENOMEM;
}

/* ---- what the checkers want to know ---- */

static size_t usable(const struct anyc__stack *stack)
{
	return (size_t)((const char *)(stack + 1) - stack->low);
}

static size_t of_the_task(const struct anyc__stack *stack)
{
	return (size_t)((const char *)stack - stack->low);
}

static void instrument_live(struct anyc__stack *stack)
{
	/* Clean of what the last task's frames were, as a fresh stack would be. */
	VALGRIND_MAKE_MEM_UNDEFINED(stack->low, of_the_task(stack));
#if defined(ANYC__ASAN)
	ASAN_UNPOISON_MEMORY_REGION(stack->low, usable(stack));
	__lsan_register_root_region(stack->low, usable(stack));
#endif
}

/* Nobody looks at the task's frames and record any more. */
static void instrument_dead(struct anyc__stack *stack)
{
	VALGRIND_MAKE_MEM_NOACCESS(stack->low, of_the_task(stack));
#if defined(ANYC__ASAN)
	__lsan_unregister_root_region(stack->low, usable(stack));
	ASAN_POISON_MEMORY_REGION(stack->low, of_the_task(stack));
#endif
#if defined(ANYC__TSAN)
	if (++stack->uses % FIBER_USES == 0) {
		anyc__fiber_fini(&stack->fiber);
		anyc__fiber_init(&stack->fiber, stack->low, usable(stack));
	}
#endif
}

static bool instrumented(void)
{
#if defined(ANYC__ASAN) || defined(ANYC__TSAN)
	return true;
#else
	return RUNNING_ON_VALGRIND != 0;
#endif
}

/* ---- stacks ---- */

static struct anyc__stack *first_use(struct anyc__slab *slab, int k)
{
	size_t stride = ANYC__STACK_SMALLEST << k;
	char *base = stack_base(slab, k, slab->taken);
	struct anyc__stack *stack = stack_at(slab, k, slab->taken++);

	stack->next = NULL;
	stack->low = base + guard_size(stride);
	stack->size_class = (uint32_t)k;
	stack->uses = 0;
	stack->valgrind_id = (uint32_t)VALGRIND_STACK_REGISTER(stack->low, base + stride - 1);
	anyc__fiber_init(&stack->fiber, stack->low, usable(stack));
	return stack;
}

static int take_virgin(struct anyc__stack_class *c, int k, struct anyc__stack **out)
{
	int rc = 0;

	if (c->slab == NULL || c->slab->taken == c->slab->count)
		rc = slab_add(c, k);
	if (rc == 0 && c->slab->taken == c->slab->ready)
		rc = make_ready(c, k);
	if (rc == 0)
		*out = first_use(c->slab, k);
	return rc;
}

/* A stack that had to be fetched back from the cold tells that too few were kept hot. */
static struct anyc__stack *take_cold(struct anyc__stack_class *c, int k)
{
	struct anyc__stack *stack = c->cold;

	c->cold = stack->next;
	c->cold_count--;
	if (c->hot_limit < scaled(HOT_LARGEST, k))
		c->hot_limit *= 2;
	return stack;
}

int anyc__stack_get_slow(struct anyc__stack_pool *pool, size_t size, struct anyc__stack **out)
{
	int k = class_of(size);
	struct anyc__stack_class *c;
	struct anyc__stack *stack;
	int rc;

	*out = NULL;
	if (k < 0)
		return k;
	c = &pool->classes[k];
	if (c->hot != NULL) {
		stack = c->hot;
		c->hot = stack->next;
		c->hot_count--;
	} else if (c->cold != NULL) {
		stack = take_cold(c, k);
	} else {
		rc = take_virgin(c, k, &stack);
		if (rc != 0)
			return rc;
	}
	stack->canary = anyc__stack_mark(stack, ANYC__STACK_LIVE);
	stack->name = NULL;
	if (pool->instrumented)
		instrument_live(stack);
	*out = stack;
	return 0;
}

/* Moves n hot stacks to the cold, all but their top pages back to the kernel. */
static void chill(struct anyc__stack_class *c, uint32_t n)
{
	struct anyc__slab *scratch = c->slab;
	uintptr_t in_page = page_size() - 1;
	uint32_t filled = 0;

	c->hot_count -= n;
	c->cold_count += n;
	while (n-- > 0) {
		struct anyc__stack *stack = c->hot;

		c->hot = stack->next;
		scratch->iov[filled++] = (struct iovec){ stack->low,
			((uintptr_t)stack & ~in_page) - (uintptr_t)stack->low };
		stack->next = c->cold;
		c->cold = stack;
		if (filled == scratch->room || n == 0) {
			(void)advise(scratch->iov, filled, MADV_DONTNEED); /* locked memory stays */
			filled = 0;
		}
	}
}

void anyc__stack_put_slow(struct anyc__stack_pool *pool, struct anyc__stack_class *c)
{
	c->batch = BATCH_FIRST; /* the burst is over */
	pool->surplus = !pool->instrumented;
	if (pool->instrumented) {
		instrument_dead(c->hot);
		chill(c, c->hot_count);
	}
}

_Noreturn void anyc__stack_corrupt(const struct anyc__stack *stack)
{
	if (stack->canary == anyc__stack_mark(stack, ANYC__STACK_FREE))
		anyc__panic("a stack was given back twice (%p)", (const void *)stack);
	anyc__panic("the top of a task's stack was overwritten (%p): something wrote past the end "
		"of an object on it", (const void *)stack);
}

/* ---- pools ---- */

void anyc__stack_pool_init(struct anyc__stack_pool *pool)
{
	pool->instrumented = instrumented();
	for (int k = 0; k < ANYC__STACK_CLASSES; k++) {
		uint32_t limit = pool->instrumented ? 0 : scaled(HOT_FIRST, k);

		pool->classes[k] = (struct anyc__stack_class){
			.hot_limit = limit, .batch = BATCH_FIRST };
	}
}

static void slab_release(struct anyc__slab *slab, int k)
{
	size_t stride = ANYC__STACK_SMALLEST << k;

	range_withdraw(slab->range);
	for (uint32_t i = 0; i < slab->taken; i++) {
		struct anyc__stack *stack = stack_at(slab, k, i);

		VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#if defined(ANYC__ASAN)
		if (stack->canary == anyc__stack_mark(stack, ANYC__STACK_LIVE))
			instrument_dead(stack);
		/* Whatever is mapped here next is not poisoned. */
		ASAN_UNPOISON_MEMORY_REGION(stack->low, usable(stack));
#endif
		anyc__fiber_fini(&stack->fiber);
	}
	munmap(slab->low, slab->count * stride);
	anyc__free(slab);
}

void anyc__stack_pool_fini(struct anyc__stack_pool *pool)
{
	for (int k = 0; k < ANYC__STACK_CLASSES; k++) {
		struct anyc__stack_class *c = &pool->classes[k];

		while (c->slab != NULL) {
			struct anyc__slab *slab = c->slab;

			c->slab = slab->next;
			slab_release(slab, k);
		}
	}
	anyc__stack_pool_init(pool);
}

void anyc__stack_pool_settle(struct anyc__stack_pool *pool)
{
	pool->surplus = false;
	for (int k = 0; k < ANYC__STACK_CLASSES; k++) {
		struct anyc__stack_class *c = &pool->classes[k];
		uint32_t n = c->hot_count > c->hot_limit / 2 ? c->hot_count - c->hot_limit / 2 : 0;

		pool->surplus |= n > SETTLED_AT_ONCE;
		if (n > 0)
			chill(c, n < SETTLED_AT_ONCE ? n : SETTLED_AT_ONCE);
	}
}

void anyc__stack_pool_forget(struct anyc__stack_pool *pool)
{
	for (int k = 0; k < ANYC__STACK_CLASSES; k++) {
		struct anyc__stack_class *c = &pool->classes[k];

		c->hot_limit = pool->instrumented ? 0 : scaled(HOT_FIRST, k);
		c->batch = BATCH_FIRST;
		pool->surplus |= c->hot_count > c->hot_limit;
	}
}

void anyc__stack_pool_trim(struct anyc__stack_pool *pool)
{
	anyc__stack_pool_forget(pool);
	for (int k = 0; k < ANYC__STACK_CLASSES; k++)
		if (pool->classes[k].hot_count > 0)
			chill(&pool->classes[k], pool->classes[k].hot_count);
	pool->surplus = false;
}

static void class_stats(const struct anyc__stack_class *c, int k, struct anyc__stack_stats *stats)
{
	size_t taken = 0;

	for (const struct anyc__slab *slab = c->slab; slab != NULL; slab = slab->next) {
		taken += slab->taken;
		stats->virgin += slab->count - slab->taken;
		stats->slabs++;
		stats->slabs_by_mprotect += slab->by_mprotect;
		stats->mapped_bytes += slab->count * (ANYC__STACK_SMALLEST << k);
	}
	stats->hot += c->hot_count;
	stats->cold += c->cold_count;
	stats->in_use += taken - c->hot_count - c->cold_count;
}

void anyc__stack_pool_stats(const struct anyc__stack_pool *pool, struct anyc__stack_stats *stats)
{
	*stats = (struct anyc__stack_stats){
		.batched = !RUNNING_ON_VALGRIND && atomic_load(&addressing) != ONE_BY_ONE };
	for (int k = 0; k < ANYC__STACK_CLASSES; k++)
		class_stats(&pool->classes[k], k, stats);
}

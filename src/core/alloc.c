/* SPDX-License-Identifier: MIT */
/*
 * Memory: the process's allocator, what is counted, and the list of leaks.
 *
 * Rules
 *  - Without a hook a block is malloc's own, without a header: checkers see the pointer they know.
 *    A hook's blocks have a header with the size, which the hook cannot be asked for.
 *  - The allocator changes only while no block lives, so all blocks are of one kind.
 *  - The list of leaks lies beside the blocks, in malloc's memory, with the addresses disguised,
 *    so that it does not hide a leak from a checker.
 *  - Freeing keeps errno.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/error.h>
#include <anyc/memory.h>

#include "alloc.h"
#include "core.h"

/* ------------------------------------------------------------------------------- counting */

static atomic_size_t bytes;
static _Atomic(uint64_t) allocations, frees;
static atomic_size_t counted[ANYC__COUNTED];

static void add(atomic_size_t *counter, size_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t blocks_now(void)
{
	uint64_t freed = atomic_load(&frees); /* first, so that the difference is not negative */

	return atomic_load(&allocations) - freed;
}

void anyc__count(enum anyc__counted what, int change)
{
	add(&counted[what], (size_t)change);
}

void anyc__count_streams(int change)
{
	anyc__count(ANYC__STREAMS, change);
}

static size_t no_tasks(void)
{
	return 0;
}

static _Atomic(size_t (*)(void)) live_tasks = no_tasks;

void anyc__count_live(size_t (*tasks)(void))
{
	atomic_store_explicit(&live_tasks, tasks, memory_order_relaxed);
}

void anyc_memory_stats_sized(struct anyc_memory_stats *out, size_t size)
{
	size_t tasks = atomic_load(&live_tasks)();
	struct anyc_memory_stats now = {
		.blocks = (size_t)blocks_now(),
		.bytes = atomic_load(&bytes),
		.stacks = tasks,
		.loops = atomic_load(&counted[ANYC__LOOPS]),
		.tasks = tasks + atomic_load(&counted[ANYC__TASKS]),
		.streams = atomic_load(&counted[ANYC__STREAMS]),
		.watches = atomic_load(&counted[ANYC__WATCHES]),
		.allocations = atomic_load(&allocations),
	};

	memset(out, 0, size);
	memcpy(out, &now, size < sizeof now ? size : sizeof now);
}

/* ---------------------------------------------------------------------------------- leaks */

#define BUCKETS 1024

struct leak {
	struct leak *next;
	uintptr_t disguised;
	size_t size;
	void *site;
	uint64_t nth; /* in order of allocation */
};
static struct leak *leaks[BUCKETS];
static size_t leak_count; /* under the lock */
static uint64_t leak_nth;
static atomic_bool tracking;     /* new blocks are listed */
static atomic_bool ever_tracked; /* blocks may be listed */
static pthread_mutex_t leak_lock = PTHREAD_MUTEX_INITIALIZER;

static uintptr_t disguise(const void *block)
{
	return ~(uintptr_t)block;
}

static struct leak **bucket_of(uintptr_t disguised)
{
	return &leaks[(disguised >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static void enlist(struct leak *l, const void *block, size_t size)
{
	struct leak **at;

	l->disguised = disguise(block);
	l->size = size;
	pthread_mutex_lock(&leak_lock);
	l->nth = ++leak_nth;
	at = bucket_of(l->disguised);
	l->next = *at;
	*at = l;
	leak_count++;
	pthread_mutex_unlock(&leak_lock);
}

/* Takes the block out of the list: its entry, or NULL. */
static struct leak *delist(const void *block)
{
	uintptr_t disguised = disguise(block);
	struct leak **at, *l;

	if (!atomic_load_explicit(&ever_tracked, memory_order_relaxed))
		return NULL;
	pthread_mutex_lock(&leak_lock);
	at = bucket_of(disguised);
	while (*at != NULL && (*at)->disguised != disguised)
		at = &(*at)->next;
	l = *at;
	if (l != NULL) {
		*at = l->next;
		leak_count--;
	}
	pthread_mutex_unlock(&leak_lock);
	return l;
}

static void track(const void *block, size_t size, void *site)
{
	struct leak *l;

	if (!atomic_load_explicit(&tracking, memory_order_relaxed))
		return;
	l = calloc(1, sizeof *l);
	if (l == NULL)
		return;
	l->site = site;
	enlist(l, block, size);
}

void anyc_track_leaks(bool on)
{
	struct leak *l, *next;
	size_t i;

	atomic_store(&tracking, on);
	if (on) {
		atomic_store(&ever_tracked, true);
		return;
	}
	pthread_mutex_lock(&leak_lock);
	for (i = 0; i < BUCKETS; i++) {
		for (l = leaks[i]; l != NULL; l = next) {
			next = l->next;
			free(l);
		}
		leaks[i] = NULL;
	}
	leak_count = 0;
	pthread_mutex_unlock(&leak_lock);
}

static int by_age(const void *a, const void *b)
{
	const struct leak *x = a, *y = b;

	return x->nth < y->nth ? -1 : x->nth > y->nth;
}

/* A copy of the list in order of allocation, so that fn is called without the lock. */
static struct leak *snapshot(size_t *count)
{
	struct leak *copy, *l;
	size_t i, n = 0;

	pthread_mutex_lock(&leak_lock);
	*count = leak_count;
	copy = leak_count != 0 ? malloc(leak_count * sizeof *copy) : NULL;
	for (i = 0; copy != NULL && i < BUCKETS; i++)
		for (l = leaks[i]; l != NULL; l = l->next)
			copy[n++] = *l;
	pthread_mutex_unlock(&leak_lock);
	if (copy != NULL)
		qsort(copy, n, sizeof *copy, by_age);
	return copy;
}

/* "anyc__task_make+0x41 in /usr/lib/libanyc.so.0", or what is known of it. */
static void describe(char *buf, size_t size, const void *site)
{
	Dl_info info;

	if (dladdr(site, &info) == 0 || info.dli_fname == NULL)
		snprintf(buf, size, "%p", site);
	else if (info.dli_sname != NULL)
		snprintf(buf, size, "%s+0x%zx in %s", info.dli_sname,
			 (size_t)((const char *)site - (const char *)info.dli_saddr),
			 info.dli_fname);
	else
		snprintf(buf, size, "%s+0x%zx", info.dli_fname,
			 (size_t)((const char *)site - (const char *)info.dli_fbase));
}

size_t anyc_leaks(anyc_leak_fn *fn, void *arg)
{
	char site[512];
	size_t i, count;
	struct leak *list = snapshot(&count);

	for (i = 0; list != NULL && fn != NULL && i < count; i++) {
		describe(site, sizeof site, list[i].site);
		fn(arg, (const void *)~list[i].disguised, list[i].size, site);
	}
	free(list);
	return count;
}

/* ----------------------------------------------------------------------------- allocating */

/* Before the blocks of a hook, which are aligned like malloc's. */
union header {
	size_t size;
	max_align_t align;
};

static struct anyc_allocator hook; /* without functions: malloc's */

int anyc_set_allocator(const struct anyc_allocator *allocator)
{
	if (allocator != NULL &&
	    (allocator->alloc == NULL || allocator->resize == NULL || allocator->free == NULL))
		return anyc_fail(ANYC_EINVAL, 0, "an allocator needs alloc, resize and free");
	if (blocks_now() != 0)
		return anyc_fail(ANYC_EMISUSE, 0,
				 "the allocator can be set only while none of anyc's "
				 "blocks lives; set it first of all");
	hook = allocator != NULL ? *allocator : (struct anyc_allocator){ .alloc = NULL };
	return 0;
}

static size_t size_of(void *block)
{
	if (hook.alloc == NULL)
		return malloc_usable_size(block);
	return ((union header *)block - 1)->size;
}

static void *raw_alloc(size_t size)
{
	union header *h;

	if (hook.alloc == NULL)
		return calloc(1, size);
	if (size > SIZE_MAX - sizeof *h)
		return NULL;
	h = hook.alloc(hook.arg, sizeof *h + size);
	if (h == NULL)
		return NULL;
	h->size = size;
	return memset(h + 1, 0, size);
}

static void *raw_resize(void *block, size_t size)
{
	union header *h;

	if (hook.alloc == NULL)
		return realloc(block, size);
	if (size > SIZE_MAX - sizeof *h)
		return NULL;
	h = hook.resize(hook.arg, (union header *)block - 1, sizeof *h + size);
	if (h == NULL)
		return NULL;
	h->size = size;
	return h + 1;
}

static void raw_free(void *block)
{
	if (hook.alloc == NULL)
		free(block);
	else
		hook.free(hook.arg, (union header *)block - 1);
}

static void *alloc_at(size_t size, void *site)
{
	void *block = raw_alloc(size != 0 ? size : 1);

	if (block == NULL)
		return NULL;
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	add(&bytes, size_of(block));
	track(block, size, site);
	return block;
}

void *anyc__alloc(size_t size)
{
	return alloc_at(size, __builtin_return_address(0));
}

void *anyc__resize(void *block, size_t size)
{
	void *site = __builtin_return_address(0);
	struct leak *l;
	size_t before;
	void *moved;

	if (block == NULL)
		return alloc_at(size, site);
	before = size_of(block);
	l = delist(block);
	moved = raw_resize(block, size != 0 ? size : 1);
	if (moved != NULL) {
		atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
		add(&bytes, size_of(moved) - before);
	}
	if (l != NULL) {
		if (moved != NULL)
			l->site = site;
		enlist(l, moved != NULL ? moved : block, moved != NULL ? size : l->size);
	}
	return moved;
}

void anyc__free(void *block)
{
	int saved = errno;

	if (block == NULL)
		return;
	free(delist(block));
	add(&bytes, (size_t)0 - size_of(block));
	raw_free(block);
	atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
	errno = saved;
}

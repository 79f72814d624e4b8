/* SPDX-License-Identifier: MIT */
/* Memory: where anyc's own blocks come from, and what is still allocated. */
#ifndef ANYC_MEMORY_H
#define ANYC_MEMORY_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/* As malloc, realloc and free; called on any thread. */
struct anyc_allocator {
	void *(*alloc)(void *arg, size_t size);
	void *(*resize)(void *arg, void *block, size_t size);
	void (*free)(void *arg, void *block);
	void *arg;
};

/*
 * Replaces the allocator of the process (NULL: malloc's).  Task stacks come from mmap(2).
 *   errors  ANYC_EMISUSE while blocks of the old one live; ANYC_EINVAL
 */
ANYC_API ANYC_MUST_CHECK int anyc_set_allocator(const struct anyc_allocator *allocator);

/* What lives in this process now.  Any thread. */
struct anyc_memory_stats {
	size_t blocks, bytes; /* from the allocator */
	size_t stacks;        /* task stacks in use */
	size_t loops, tasks, streams, watches;
	uint64_t allocations; /* calls so far */
	void *reserved_[4];
};
ANYC_API void anyc_memory_stats_sized(struct anyc_memory_stats *out, size_t size);
ANYC_INLINE void anyc_memory_stats(struct anyc_memory_stats *out)
{
	anyc_memory_stats_sized(out, sizeof *out);
}

/*
 * The leak list: from the next allocation on every block is kept on a list with its call site.
 * anyc_leaks() calls fn for each that still lives and returns their number.
 */
ANYC_API void anyc_track_leaks(bool on);
typedef void anyc_leak_fn(void *arg, const void *block, size_t size, const char *site);
ANYC_API size_t anyc_leaks(anyc_leak_fn *fn, void *arg);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/* Blocks from the process's allocator hook; see anyc/memory.h. */
#ifndef ANYC__ALLOC_H
#define ANYC__ALLOC_H

#include <stddef.h>

void *anyc__alloc(size_t size) __attribute__((malloc, alloc_size(1))); /* zeroed; NULL: none left */
/* Keeps the block on failure; the grown part is not zeroed. */
void *anyc__resize(void *block, size_t size) __attribute__((warn_unused_result));
void anyc__free(void *block); /* NULL-safe; keeps errno */

/* What anyc_memory_stats() counts besides blocks. */
enum anyc__counted {
	ANYC__LOOPS,
	ANYC__TASKS,
	ANYC__STREAMS,
	ANYC__WATCHES,
	ANYC__COUNTED
};
void anyc__count(enum anyc__counted what, int change);
/* Who knows how many tasks live on stacks of their own. */
void anyc__count_live(size_t (*tasks)(void));

#endif

/* SPDX-License-Identifier: MIT */
/* The allocator of the process, and the list of what it gave.  What fails is in tests/faults. */
#include "conform.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------- the allocator */

static size_t outstanding;

static void *counted_alloc(void *arg, size_t size)
{
	outstanding++;
	(void)arg;
	return malloc(size);
}

static void *counted_resize(void *arg, void *block, size_t size)
{
	outstanding += block == NULL;
	(void)arg;
	return realloc(block, size);
}

static void counted_free(void *arg, void *block)
{
	outstanding -= block != NULL;
	(void)arg;
	free(block);
}

static void install(void)
{
	static const struct anyc_allocator counted = {
		.alloc = counted_alloc, .resize = counted_resize, .free = counted_free,
	};

	CHECK_OK(anyc_set_allocator(&counted));
}

ANYC_TEST_MAIN(memory, r14_an_allocator_changes_only_when_idle, "none")
{
	struct anyc_allocator bad = { 0 };
	struct anyc_memory_stats before, inside, after;
	struct anyc_scope s;

	CHECK_RC(anyc_set_allocator(&bad), ANYC_EINVAL);
	CHECK_OK(anyc_thread_done()); /* which had kept the sentence */
	install();
	anyc_memory_stats(&before);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_sleep(ANYC_MICROSECOND));
	anyc_memory_stats(&inside);
	CHECK_INT(inside.blocks, ==, outstanding);
	CHECK_INT(inside.blocks, >, before.blocks);
	CHECK_INT(inside.bytes, >, before.bytes);
	CHECK_INT(inside.allocations, >, before.allocations);
	CHECK_RC(anyc_set_allocator(NULL), ANYC_EMISUSE);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_thread_done());
	anyc_memory_stats(&after);
	CHECK_INT(after.blocks, ==, before.blocks);
	CHECK_INT(after.bytes, ==, before.bytes);
	CHECK_OK(anyc_set_allocator(NULL));
}

struct leak {
	int count;
	size_t bytes;
	bool sited;
};

static void count_leak(void *arg, const void *block, size_t size, const char *site)
{
	struct leak *l = arg;

	CHECK(block != NULL);
	l->count++;
	l->bytes += size;
	l->sited = site != NULL && site[0] != '\0';
}

ANYC_TEST_MAIN(memory, r14_the_leak_list, "none")
{
	struct anyc_memory_stats stats;
	struct leak l = { 0 };
	struct anyc_scope s;

	CHECK_INT(anyc_leaks(count_leak, &l), ==, 0);
	anyc_track_leaks(true);
	anyc_scope_enter(&s, NULL);
	anyc_memory_stats(&stats);
	CHECK_INT(anyc_leaks(count_leak, &l), ==, stats.blocks);
	CHECK_INT(l.count, ==, stats.blocks);
	CHECK_INT(l.bytes, >, 0);
	CHECK_INT(l.bytes, <=, stats.bytes);
	CHECK(l.sited);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_thread_done());
	l.count = 0;
	CHECK_INT(anyc_leaks(count_leak, &l), ==, 0);
	CHECK_INT(l.count, ==, 0);
	anyc_track_leaks(false);
}

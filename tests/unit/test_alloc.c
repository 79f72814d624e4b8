/* SPDX-License-Identifier: MIT */
/* Blocks, counts, the hook and the leak list; linked with src/core/alloc.c alone. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include <anyc/memory.h>

#include "core/alloc.h"
#include "core/core.h"

int anyc_fail(int rc, int os_errno, const char *format, ...)
{
	(void)os_errno;
	(void)format;
	return rc;
}

static struct anyc_memory_stats stats(void)
{
	struct anyc_memory_stats s;

	anyc_memory_stats(&s);
	return s;
}

static void nothing_left(void)
{
	cr_assert_eq(stats().blocks, 0);
	cr_assert_eq(stats().bytes, 0);
}

TestSuite(alloc, .fini = nothing_left);

static bool all_zero(const unsigned char *p, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* --------------------------------------------------------------------------------- blocks */

Test(alloc, blocks_are_zeroed_aligned_and_counted)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 200, 4096, 100000 };
	void *block[8];
	size_t i;

	for (i = 0; i < 8; i++) {
		block[i] = anyc__alloc(sizes[i]);
		cr_assert_not_null(block[i]);
		cr_assert_eq((uintptr_t)block[i] % 16, 0);
		cr_assert(all_zero(block[i], sizes[i]));
		memset(block[i], 0xff, sizes[i]);
		cr_assert_eq(stats().blocks, i + 1);
		cr_assert_eq(stats().allocations, i + 1);
	}
	cr_assert_geq(stats().bytes, 104345);
	for (i = 0; i < 8; i++)
		anyc__free(block[i]);
	anyc__free(NULL);
}

Test(alloc, resize_keeps_the_content)
{
	unsigned char *block = anyc__resize(NULL, 10);
	size_t i;

	cr_assert_not_null(block);
	for (i = 0; i < 10; i++)
		block[i] = (unsigned char)i;
	block = anyc__resize(block, 100000);
	cr_assert_not_null(block);
	for (i = 0; i < 10; i++)
		cr_assert_eq(block[i], i);
	cr_assert_eq(stats().blocks, 1);
	cr_assert_geq(stats().bytes, 100000);
	anyc__free(block);
}

Test(alloc, free_keeps_errno)
{
	void *block = anyc__alloc(1000000);

	errno = 77;
	anyc__free(block);
	cr_assert_eq(errno, 77);
}

static size_t four(void)
{
	return 4;
}

Test(alloc, things_are_counted)
{
	anyc__count_live(four);
	anyc__count(ANYC__TASKS, 5);
	anyc__count(ANYC__TASKS, -2);
	anyc__count(ANYC__LOOPS, 1);
	anyc__count(ANYC__WATCHES, 6);
	anyc__count_streams(2);
	anyc__count_streams(-1);
	cr_assert_eq(stats().tasks, 3 + 4);
	cr_assert_eq(stats().loops, 1);
	cr_assert_eq(stats().stacks, 4);
	cr_assert_eq(stats().watches, 6);
	cr_assert_eq(stats().streams, 1);
}

Test(alloc, an_older_or_newer_caller_gets_what_it_has_room_for)
{
	struct anyc_memory_stats old;
	struct {
		struct anyc_memory_stats now;
		size_t later[4];
	} newer;

	anyc__count(ANYC__TASKS, 3);
	memset(&old, 0xff, sizeof old);
	anyc_memory_stats_sized(&old, offsetof(struct anyc_memory_stats, tasks));
	cr_assert_eq(old.blocks, 0);
	cr_assert_eq(old.tasks, SIZE_MAX);
	memset(&newer, 0xff, sizeof newer);
	anyc_memory_stats_sized(&newer.now, sizeof newer);
	cr_assert_eq(newer.now.tasks, 3);
	cr_assert_eq(newer.later[3], 0);
}

static void *churn(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < 20000; i++) {
		void *block = anyc__alloc(i % 300);

		block = anyc__resize(block, i % 700);
		anyc__free(block);
	}
	return NULL;
}

Test(alloc, threads_count_together)
{
	pthread_t thread[4];
	unsigned i;

	anyc_track_leaks(true);
	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, churn, NULL), 0);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	cr_assert_eq(anyc_leaks(NULL, NULL), 0);
}

/* ------------------------------------------------------------------------------- the hook */

static struct {
	unsigned allocs, resizes, frees;
	bool refuse;
	void *arg;
} hooked;

static void *hook_alloc(void *arg, size_t size)
{
	void *block = hooked.refuse ? NULL : malloc(size);

	hooked.allocs++;
	hooked.arg = arg;
	if (block != NULL)
		memset(block, 0xaa, size);
	return block;
}

static void *hook_resize(void *arg, void *block, size_t size)
{
	hooked.resizes++;
	hooked.arg = arg;
	return hooked.refuse ? NULL : realloc(block, size);
}

static void hook_free(void *arg, void *block)
{
	hooked.frees++;
	hooked.arg = arg;
	errno = 5;
	free(block);
}

static int use_hook(void)
{
	struct anyc_allocator a = { hook_alloc, hook_resize, hook_free, &hooked };

	return anyc_set_allocator(&a);
}

Test(alloc, the_hook_serves_everything)
{
	unsigned char *block;

	cr_assert_eq(use_hook(), 0);
	block = anyc__alloc(100);
	cr_assert_eq((uintptr_t)block % 16, 0);
	cr_assert(all_zero(block, 100));
	cr_assert_eq(stats().bytes, 100);
	memset(block, 7, 100);
	block = anyc__resize(block, 5000);
	cr_assert_eq(stats().bytes, 5000);
	cr_assert_eq(block[99], 7);
	errno = 77;
	anyc__free(block);
	cr_assert_eq(errno, 77);
	cr_assert_eq(hooked.allocs, 1);
	cr_assert_eq(hooked.resizes, 1);
	cr_assert_eq(hooked.frees, 1);
	cr_assert_eq(hooked.arg, &hooked);
	cr_assert_eq(anyc_set_allocator(NULL), 0);
	anyc__free(anyc__alloc(1));
	cr_assert_eq(hooked.allocs, 1);
}

Test(alloc, refusals_change_nothing)
{
	unsigned char *block;

	cr_assert_eq(use_hook(), 0);
	block = anyc__alloc(100);
	block[0] = 9;
	hooked.refuse = true;
	cr_assert_null(anyc__alloc(10));
	cr_assert_null(anyc__resize(block, 1000));
	cr_assert_null(anyc__resize(NULL, 1000));
	cr_assert_eq(block[0], 9);
	cr_assert_eq(stats().blocks, 1);
	cr_assert_eq(stats().bytes, 100);
	anyc__free(block);
}

Test(alloc, sizes_that_overflow_are_refused)
{
	volatile size_t huge = SIZE_MAX - 3;

	cr_assert_eq(use_hook(), 0);
	cr_assert_null(anyc__alloc(huge));
	cr_assert_eq(hooked.allocs, 0);
}

Test(alloc, the_allocator_changes_only_without_blocks)
{
	struct anyc_allocator bad = { hook_alloc, hook_resize, NULL, NULL };
	void *block = anyc__alloc(1);

	cr_assert_eq(use_hook(), ANYC_EMISUSE);
	cr_assert_eq(anyc_set_allocator(NULL), ANYC_EMISUSE);
	anyc__free(block);
	cr_assert_eq(anyc_set_allocator(&bad), ANYC_EINVAL);
	cr_assert_eq(use_hook(), 0);
}

/* ------------------------------------------------------------------------------ leak list */

static struct {
	unsigned calls;
	const void *block[8];
	size_t size[8];
	char site[600];
} found;

static void find(void *arg, const void *block, size_t size, const char *site)
{
	cr_assert_eq(arg, &found);
	found.block[found.calls] = block;
	found.size[found.calls++] = size;
	snprintf(found.site, sizeof found.site, "%s", site);
	anyc__free(anyc__alloc(1)); /* the list is not locked */
}

static size_t leaks(void)
{
	memset(&found, 0, sizeof found);
	return anyc_leaks(find, &found);
}

Test(alloc, leaks_are_listed_in_order_with_their_sites)
{
	void *before = anyc__alloc(1), *a, *b, *c;

	anyc_track_leaks(true);
	a = anyc__alloc(11);
	b = anyc__alloc(22);
	c = anyc__alloc(33);
	cr_assert_eq(leaks(), 3);
	cr_assert_eq(found.calls, 3);
	cr_assert(found.block[0] == a && found.block[1] == b && found.block[2] == c);
	cr_assert(found.size[0] == 11 && found.size[1] == 22 && found.size[2] == 33);
	cr_assert_not_null(strstr(found.site, "+0x"), "%s", found.site);

	b = anyc__resize(b, 2222);
	anyc__free(a);
	anyc__free(before);
	cr_assert_eq(leaks(), 2);
	cr_assert(found.block[0] == c && found.block[1] == b && found.size[1] == 2222);
	anyc__free(b);
	anyc__free(c);
	cr_assert_eq(leaks(), 0);
}

Test(alloc, turned_off_the_list_is_empty)
{
	void *a, *b;

	anyc_track_leaks(true);
	a = anyc__alloc(1);
	anyc_track_leaks(false);
	cr_assert_eq(leaks(), 0);
	b = anyc__alloc(2);
	cr_assert_eq(leaks(), 0);
	anyc__free(a);
	anyc__free(b);
}

Test(alloc, a_refused_resize_stays_on_the_list)
{
	void *block;

	cr_assert_eq(use_hook(), 0);
	anyc_track_leaks(true);
	block = anyc__alloc(44);
	hooked.refuse = true;
	cr_assert_null(anyc__resize(block, 5000));
	hooked.refuse = false;
	cr_assert_eq(leaks(), 1);
	cr_assert(found.block[0] == block && found.size[0] == 44);
	anyc__free(block);
}

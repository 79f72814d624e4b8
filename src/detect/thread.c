/* SPDX-License-Identifier: MIT */
/*
 * This thread: the one thread-local structure, the block behind it, its id, its stack's bounds;
 * and how a forked child is noticed.
 *
 * Rules
 *  - The block is made on first use and freed by the key's destructor (or anyc__thread_free).
 *  - Noticing a fork takes no lock and allocates nothing after the first call: it must work in a
 *    child of _Fork, and in signal handlers.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/detect.h"

_Thread_local struct anyc__thread anyc__thread;
_Static_assert(sizeof(struct anyc__thread) <= 64, "rule 38: at most 64 bytes of static TLS");

_Atomic(anyc__core_free_fn *) anyc__thread_core_free;

static pthread_key_t key;
static int key_error;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* ---------------------------------------------------------------------------------- fork */

static _Atomic(uint64_t) always_zero;
_Atomic(uint64_t) *_Atomic anyc__fork_word = &always_zero;

/* The generation of the process that wrote it: not wiped, so a child reads its parent's. */
static _Atomic(uint64_t) generation;
/* Without the page: pid << 32 | generation. */
static _Atomic(uint64_t) by_pid;
static atomic_bool no_page;

static uint64_t generation_by_pid(void)
{
	uint64_t pid = (uint64_t)(uint32_t)getpid() << 32;
	uint64_t old = atomic_load(&by_pid);

	while (old >> 32 != pid >> 32) {
		uint64_t next = pid | (uint32_t)((uint32_t)old + 1);

		if (atomic_compare_exchange_strong(&by_pid, &old, next))
			return (uint32_t)next;
	}
	return (uint32_t)old;
}

/* The wiped page, or NULL.  Emulators that accept any advice are told by one that is none. */
static _Atomic(uint64_t) *map_page(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, size, -1) == 0 || madvise(page, size, MADV_WIPEONFORK) != 0) {
		munmap(page, size);
		return NULL;
	}
	return page;
}

/* The published page; NULL if there can be none. */
static _Atomic(uint64_t) *fork_page(void)
{
	_Atomic(uint64_t) *page = atomic_load(&anyc__fork_word);
	_Atomic(uint64_t) *expected = &always_zero;

	if (page != &always_zero)
		return page;
	/* Once refused, never again: the two ways of counting must not mix. */
	if (atomic_load(&no_page))
		return NULL;
	page = map_page();
	if (page == NULL) {
		atomic_store(&no_page, true);
		return NULL;
	}
	if (atomic_compare_exchange_strong(&anyc__fork_word, &expected, page))
		return page;
	munmap((void *)page, (size_t)sysconf(_SC_PAGESIZE));
	return expected;
}

/*
 * The word is this process's generation, 0 until somebody asked.  All who ask at once agree on
 * the parent's plus one: whoever loses the exchange takes the winner's number.
 */
uint64_t anyc__fork_generation_slow(void)
{
	int saved = errno;
	_Atomic(uint64_t) *page = fork_page();
	uint64_t word = 0, next;

	if (page == NULL) {
		word = generation_by_pid();
	} else {
		next = atomic_load(&generation) + 1;
		if (atomic_compare_exchange_strong(page, &word, next))
			word = next;
		atomic_store(&generation, word);
	}
	errno = saved;
	return word;
}

/* ---------------------------------------------------------------------------------- lock */

static void futex(_Atomic(uint32_t) *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void anyc__lock(struct anyc__lock *lock)
{
	uint32_t mine = (uint32_t)anyc__fork_generation() << 2;
	uint32_t take = mine | 1, old = atomic_load_explicit(&lock->word, memory_order_relaxed);
	int saved = errno;

	for (;;) {
		/* Free, or held by a thread that stayed in the parent. */
		if ((old & 3) == 0 || (old & ~(uint32_t)3) != mine) {
			if (atomic_compare_exchange_weak_explicit(&lock->word, &old, take,
								  memory_order_acquire,
								  memory_order_relaxed))
				break;
			continue;
		}
		if (old == (mine | 1) &&
		    !atomic_compare_exchange_weak(&lock->word, &old, mine | 2))
			continue;
		take = mine | 2;
		futex(&lock->word, FUTEX_WAIT, mine | 2);
		old = atomic_load_explicit(&lock->word, memory_order_relaxed);
	}
	errno = saved;
}

void anyc__unlock(struct anyc__lock *lock)
{
	uint32_t mine = (uint32_t)anyc__fork_generation() << 2;
	int saved = errno;

	if (atomic_exchange_explicit(&lock->word, mine, memory_order_release) == (mine | 2))
		futex(&lock->word, FUTEX_WAKE, 1);
	errno = saved;
}

/* --------------------------------------------------------------------------------- block */

static void free_block(void *arg)
{
	struct anyc__thread_block *block = arg;
	anyc__core_free_fn *core_free = atomic_load(&anyc__thread_core_free);

	/* core may still look at the block, so it goes last. */
	if (block->core != NULL && core_free != NULL)
		core_free(block->core);
	if (block->frame != block->first)
		free(block->frame);
	if (anyc__thread.block == block) {
		anyc__thread.block = NULL;
		anyc__thread.frames = 0;
	}
	free(block);
}

static void make_key(void)
{
	key_error = pthread_key_create(&key, free_block);
}

static struct anyc__thread_block *make_block(void)
{
	struct anyc__thread_block *block;

	pthread_once(&key_once, make_key);
	if (key_error != 0)
		return NULL;
	block = calloc(1, sizeof *block);
	if (block == NULL)
		return NULL;
	block->frame = block->first;
	block->room = ANYC__FRAMES;
	block->fork_generation = anyc__fork_generation();
	if (pthread_setspecific(key, block) != 0) {
		free(block);
		return NULL;
	}
	anyc__thread.block = block;
	return block;
}

struct anyc__thread_block *anyc__thread_block(void)
{
	struct anyc__thread_block *block = anyc__thread.block;
	uint64_t now;

	if (__builtin_expect(block == NULL, 0))
		return make_block();
	now = anyc__fork_generation();
	if (__builtin_expect(block->fork_generation != now, 0)) {
		block->fork_generation = now;
		block->names.depth = 0;
		anyc__thread.frames = 0;
		if (anyc__thread.task != NULL && anyc__thread.names != NULL)
			anyc__thread.names->depth = 0;
	}
	return block;
}

void anyc__thread_free(void)
{
	struct anyc__thread_block *block = anyc__thread.block;

	if (block == NULL)
		return;
	pthread_setspecific(key, NULL);
	free_block(block);
}

uint64_t anyc__thread_id(void)
{
	static _Atomic(uint64_t) last;

	if (__builtin_expect(anyc__thread.id == 0, 0))
		anyc__thread.id = atomic_fetch_add(&last, 1) + 1;
	return anyc__thread.id;
}

/* --------------------------------------------------------------------------------- stack */

/* The kernel keeps at least this much free of mappings below the first thread's stack, whatever
 * its limit says; with an unlimited stack other memory may lie further down. */
#define FIRST_STACK_MAX ((uintptr_t)128 << 20)

static void find_stack(uintptr_t *low, uintptr_t *high)
{
	pthread_attr_t attr;
	void *base = NULL;
	size_t size = 0;

	*low = *high = 0;
	/* For the first thread this reads /proc/self/maps, and fails where there is none. */
	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return;
	if (pthread_attr_getstack(&attr, &base, &size) == 0 && size > 0) {
		*low = (uintptr_t)base;
		*high = *low + size;
		if (getpid() == (pid_t)syscall(SYS_gettid) && size > FIRST_STACK_MAX)
			*low = *high - FIRST_STACK_MAX;
	}
	pthread_attr_destroy(&attr);
}

void anyc__thread_stack(uintptr_t *low, uintptr_t *high)
{
	struct anyc__thread_block *block = anyc__thread_block();
	int saved = errno;

	if (block != NULL && block->stack_known) {
		*low = block->stack_low;
		*high = block->stack_high;
		return;
	}
	find_stack(low, high);
	if (block != NULL) {
		block->stack_low = *low;
		block->stack_high = *high;
		block->stack_known = true;
	}
	errno = saved;
}

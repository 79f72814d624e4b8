/* SPDX-License-Identifier: MIT */
/*
 * Which loops are attached, and to which thread each is bound: one intrusive list under a lock.
 *
 * Rules
 *  - Every change makes the generation grow; a thread's cached answer stands while it has not.
 *  - The list belongs to one process: the first look in a forked child sets it aside, for a loop
 *    that the child attaches anew.
 *  - Nothing is allocated, and nothing is called under the lock but each_here's function.
 */
#include <string.h>

#include "detect/detect.h"

static struct anyc__lock lock;
static struct anyc__entry *entries;
static struct anyc__entry *inherited; /* the parent's, in a forked child */
static _Atomic(uint64_t) generation;
/* The fork generation the list belongs to; 0: nobody has looked yet. */
static _Atomic(uint64_t) owner;

static void grow(void)
{
	atomic_fetch_add_explicit(&generation, 1, memory_order_release);
}

/* Where e is linked, or would be: the end. */
static struct anyc__entry **place_of(struct anyc__entry **list, const struct anyc__entry *e)
{
	struct anyc__entry **at = list;

	while (*at != NULL && *at != e)
		at = &(*at)->next;
	return at;
}

static bool unlink_from(struct anyc__entry **list, const struct anyc__entry *e)
{
	struct anyc__entry **at = place_of(list, e);

	if (*at == NULL)
		return false;
	*at = e->next;
	return true;
}

/* Takes the lock; in a forked child, sets aside what was inherited. */
static void enter(void)
{
	uint64_t now = anyc__fork_generation();

	anyc__lock(&lock);
	if (atomic_load_explicit(&owner, memory_order_relaxed) == now)
		return;
	*place_of(&entries, NULL) = inherited;
	inherited = entries;
	entries = NULL;
	grow();
	atomic_store_explicit(&owner, now, memory_order_release);
}

static void leave(void)
{
	anyc__unlock(&lock);
}

void anyc__registry_add(struct anyc__entry *e)
{
	struct anyc__entry **at;

	enter();
	unlink_from(&inherited, e);
	at = place_of(&entries, e);
	if (*at == NULL) {
		e->next = NULL;
		*at = e;
	}
	__atomic_store_n(&e->thread, anyc__thread_id(), __ATOMIC_RELAXED);
	e->generation = anyc__fork_generation();
	grow();
	leave();
}

static struct anyc__entry *find_inherited(const void *native, bool take)
{
	struct anyc__entry *e;

	enter();
	for (e = inherited; e != NULL && e->native != native;)
		e = e->next;
	if (e != NULL && take)
		unlink_from(&inherited, e);
	leave();
	return e;
}

struct anyc__entry *anyc__registry_inherited(const void *native)
{
	return find_inherited(native, false);
}

struct anyc__entry *anyc__registry_take_inherited(const void *native)
{
	return find_inherited(native, true);
}

/* A frame of a loop that has gone drives nothing. */
static void void_frames(const struct anyc__entry *e)
{
	struct anyc__thread_block *block = anyc__thread.block;
	uint32_t i;

	for (i = 0; i < anyc__thread.frames; i++) {
		if (block->frame[i].entry != e)
			continue;
		block->frame[i].entry = NULL;
		block->frame[i].library = NULL;
	}
}

void anyc__registry_remove(struct anyc__entry *e)
{
	enter();
	unlink_from(&inherited, e);
	if (unlink_from(&entries, e))
		grow();
	leave();
	void_frames(e);
}

struct anyc__entry *anyc__registry_find(const void *native)
{
	struct anyc__entry *e;

	enter();
	for (e = entries; e != NULL && e->native != native;)
		e = e->next;
	leave();
	return e;
}

void anyc__registry_bind(struct anyc__entry *e)
{
	uint64_t me = anyc__thread_id();

	if (__atomic_load_n(&e->thread, __ATOMIC_RELAXED) == me)
		return;
	enter();
	__atomic_store_n(&e->thread, me, __ATOMIC_RELAXED);
	grow();
	leave();
}

static bool is_here(const struct anyc__entry *e)
{
	return __atomic_load_n(&e->thread, __ATOMIC_RELAXED) == anyc__thread.id;
}

/* Renews this thread's cached answer. */
static __attribute__((noinline)) void look(struct anyc__thread *t)
{
	struct anyc__entry *e;

	anyc__thread_id();
	enter();
	t->here = NULL;
	t->bound = 0;
	for (e = entries; e != NULL; e = e->next) {
		if (!is_here(e))
			continue;
		t->bound++;
		t->here = e;
	}
	if (t->bound != 1)
		t->here = NULL;
	t->seen = atomic_load_explicit(&generation, memory_order_relaxed);
	leave();
}

struct anyc__entry *anyc__registry_peek(void)
{
	const struct anyc__thread *t = &anyc__thread;
	uint64_t now = atomic_load_explicit(&generation, memory_order_acquire);
	uint64_t whose = atomic_load_explicit(&owner, memory_order_relaxed);

	return t->seen == now && whose == anyc__fork_generation() ? t->here : NULL;
}

unsigned anyc__registry_here(struct anyc__entry **one)
{
	struct anyc__thread *t = &anyc__thread;
	uint64_t now = atomic_load_explicit(&generation, memory_order_acquire);
	uint64_t whose = atomic_load_explicit(&owner, memory_order_relaxed);

	/* An owner of 0 differs from every fork generation: a first call always looks. */
	if (__builtin_expect(t->seen != now || whose != anyc__fork_generation(), 0))
		look(t);
	*one = t->here;
	return t->bound;
}

struct anyc__entry *anyc__registry_here_of(const char *library)
{
	struct anyc__entry *e, *found = NULL;
	unsigned count = 0;

	anyc__thread_id();
	enter();
	for (e = entries; e != NULL; e = e->next) {
		if (!is_here(e) || strcmp(e->library, library) != 0)
			continue;
		found = e;
		count++;
	}
	leave();
	return count == 1 ? found : NULL;
}

void anyc__registry_each_here(void (*fn)(void *arg, const struct anyc__entry *e), void *arg)
{
	const struct anyc__entry *e;

	anyc__thread_id();
	enter();
	for (e = entries; e != NULL; e = e->next) {
		if (is_here(e))
			fn(arg, e);
	}
	leave();
}

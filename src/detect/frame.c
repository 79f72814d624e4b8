/* SPDX-License-Identifier: MIT */
/*
 * What drives this code: the frames of this thread, the names that override them, and the answer.
 *
 * Rules
 *  - A frame lives until popped, or until code runs on its own stack above it: then a longjmp or
 *    an exception has left it, and with it all frames pushed later.  Looked at lazily.
 *  - Of frames on other stacks than the running one nothing can be said: they live.
 *  - The running task's names count while there is one, else the thread's: what a spawner has
 *    overridden is not seen by what it spawned.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/detect.h"

static bool was_left(const struct anyc__frame *f, uintptr_t sp)
{
	return sp > f->sp && sp >= f->low && sp < f->high;
}

/* This thread's frames that live; drops the others. */
static uint32_t live_frames(struct anyc__thread_block *block, uintptr_t sp)
{
	uint32_t i, count = anyc__thread.frames;

	for (i = 0; i < count; i++) {
		if (__builtin_expect(was_left(&block->frame[i], sp), 0)) {
			anyc__thread.frames = i;
			return i;
		}
	}
	return count;
}

static bool make_room(struct anyc__thread_block *block)
{
	uint32_t room = block->room * 2;
	struct anyc__frame *frame;

	if (room <= block->room)
		return false;
	frame = malloc(room * sizeof *frame);
	if (frame == NULL)
		return false;
	memcpy(frame, block->frame, block->room * sizeof *frame);
	if (block->frame != block->first)
		free(block->frame);
	block->frame = frame;
	block->room = room;
	return true;
}

unsigned anyc__frame_push_at(struct anyc__entry *entry, uintptr_t stack_low, uintptr_t stack_high,
			     uintptr_t sp)
{
	struct anyc__thread_block *block = anyc__thread_block();
	struct anyc__frame *f;
	uint32_t depth;

	if (block == NULL)
		return 0;
	depth = live_frames(block, sp);
	if (depth == block->room && !make_room(block))
		return depth;
	f = &block->frame[depth];
	f->entry = entry;
	f->library = entry != NULL ? entry->library : NULL;
	f->sp = sp;
	f->low = stack_low;
	f->high = stack_high;
	if (stack_low == 0 && stack_high == 0)
		anyc__thread_stack(&f->low, &f->high);
	/* A host's fiber: its bounds are not known, so the frame cannot be checked. */
	if (sp < f->low || sp >= f->high)
		f->low = f->high = 0;
	anyc__thread.frames = depth + 1;
	return depth;
}

void anyc__frame_pop(unsigned depth)
{
	if (anyc__thread.frames > depth)
		anyc__thread.frames = depth;
}

/* Several loops are bound and none of them is in a turn: the stack tells which kind runs. */
static __attribute__((noinline)) struct anyc__entry *entry_by_stack(void)
{
	struct anyc__running running;

	if (anyc__thread.task != NULL || !anyc__unwind_running(&running))
		return NULL;
	return anyc__registry_here_of(running.library);
}

struct anyc__entry *anyc__current_entry_at(uintptr_t sp)
{
	struct anyc__entry *one;
	uint32_t count;

	if (anyc__thread.frames != 0) {
		count = live_frames(anyc__thread_block(), sp);
		if (count != 0)
			return anyc__thread.block->frame[count - 1].entry;
	}
	if (anyc__registry_here(&one) <= 1)
		return one;
	return entry_by_stack();
}

/* ------------------------------------------------------------------------------- overrides */

/* The names that count here; NULL: there are none.  The caller has renewed the block. */
static struct anyc__names *names_here(struct anyc__thread_block *block)
{
	return anyc__thread.task != NULL ? anyc__thread.names : &block->names;
}

const char *anyc__current_name_at(uintptr_t sp)
{
	struct anyc__entry *e;
	struct anyc__names *names;

	/* A block is made by whoever pushes a name or a frame; a thread without one has neither. */
	if (anyc__thread.block != NULL) {
		names = names_here(anyc__thread_block());
		if (names != NULL && names->depth != 0)
			return names->name[names->depth - 1];
	}
	e = anyc__current_entry_at(sp);
	return e != NULL ? e->library : NULL;
}

int anyc__names_push(const char *name)
{
	struct anyc__thread_block *block = anyc__thread_block();
	struct anyc__names *names = block != NULL ? names_here(block) : NULL;

	if (names == NULL)
		return -ENOMEM;
	if (names->depth == ANYC__NAMES)
		return -EOVERFLOW;
	names->name[names->depth++] = name;
	return 0;
}

int anyc__names_pop(void)
{
	struct anyc__thread_block *block = anyc__thread.block;
	struct anyc__names *names = block != NULL ? names_here(anyc__thread_block()) : NULL;

	if (names == NULL || names->depth == 0)
		return -EINVAL;
	names->depth--;
	return 0;
}

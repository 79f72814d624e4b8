/* SPDX-License-Identifier: MIT */
/*
 * What AddressSanitizer and ThreadSanitizer want to be told around a stack switch.  Without them
 * all of it compiles to nothing.
 *
 * Rules
 *   leave is the last thing before anyc__context_switch, arrive the first thing after it (and the
 *   first thing in a new stack's entry function), with nothing in between that may call.
 *   A stack's fiber lives with the stack, not with the task: TSan needs a millisecond to make one.
 *   A frame on the thread's own stack (or on a task's, for a nested turn) has a fiber of its own,
 *   initialised with NULL, 0 on that stack; whoever arrives from it learns its bounds.
 *   PLANT_UNANNOTATED_SWITCH leaves the ASan calls out, to prove that the tests would notice.
 */
#ifndef ANYC__SANITIZE_H
#define ANYC__SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define ANYC__ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define ANYC__TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(ANYC__ASAN)
#define ANYC__ASAN 1
#endif
#if __has_feature(thread_sanitizer) && !defined(ANYC__TSAN)
#define ANYC__TSAN 1
#endif
#endif

/* A function that looks, for misuse alone, at what another thread may be changing. */
#if defined(ANYC__TSAN)
#define ANYC__UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#else
#define ANYC__UNWATCHED
#endif

#if defined(ANYC__ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#if !defined(PLANT_UNANNOTATED_SWITCH)
#define ANYC__ASAN_SWITCH 1
#endif
#endif
#if defined(ANYC__TSAN)
#include <sanitizer/tsan_interface.h>
#endif

/* At -O0 too: a real call between TSan's switch and ours would end on the wrong shadow stack. */
#define ANYC__FIBER_INLINE static inline __attribute__((always_inline))

struct anyc__fiber {
#if defined(ANYC__ASAN)
	const void *low;
	size_t size;
	void *fake; /* ASan's fake stack while suspended */
#endif
#if defined(ANYC__TSAN)
	void *tsan;
	bool created; /* ours to destroy */
#endif
	char unused;
};

ANYC__FIBER_INLINE void anyc__fiber_init(struct anyc__fiber *f, const void *low, size_t size)
{
#if defined(ANYC__ASAN)
	f->low = low;
	f->size = size;
	f->fake = NULL;
#endif
#if defined(ANYC__TSAN)
	f->created = low != NULL;
	f->tsan = f->created ? __tsan_create_fiber(0) : __tsan_get_current_fiber();
#endif
	(void)f;
	(void)low;
	(void)size;
}

/* last: `from` will never run again, its fake stack goes now. */
ANYC__FIBER_INLINE void anyc__fiber_leave(struct anyc__fiber *from, struct anyc__fiber *to,
		bool last)
{
#if defined(ANYC__ASAN_SWITCH)
	from->fake = NULL;
	__sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->low, to->size);
#endif
#if defined(ANYC__TSAN)
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
	(void)from;
	(void)to;
	(void)last;
}

/* came_from may be NULL when it is gone or not worth remembering. */
ANYC__FIBER_INLINE void anyc__fiber_arrive(struct anyc__fiber *self, struct anyc__fiber *came_from)
{
#if defined(ANYC__ASAN_SWITCH)
	const void *low;
	size_t size;

	__sanitizer_finish_switch_fiber(self->fake, &low, &size);
	if (came_from != NULL) {
		came_from->low = low;
		came_from->size = size;
	}
#endif
	(void)self;
	(void)came_from;
}

/* Never on the fiber that is running. */
ANYC__FIBER_INLINE void anyc__fiber_fini(struct anyc__fiber *f)
{
#if defined(ANYC__TSAN)
	if (f->created)
		__tsan_destroy_fiber(f->tsan);
	f->tsan = NULL;
	f->created = false;
#endif
	(void)f;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What detect offers the layers above: whose thread this is.  It includes libc only, allocates
 * nothing but one block for each thread, and knows tasks and engines as pointers to pass on.
 *
 * Rules
 *  - One thread-local structure, of initial-exec model, at most 64 bytes (rule 38).
 *  - Frames are kept by value and checked against the stack, so that a longjmp out of a callback
 *    leaves none dangling.  The check applies only on the stack the frame was pushed on.  A frame
 *    that was left is known by a stack pointer above its own: code that runs deeper than the frame
 *    lay cannot tell yet.
 *  - The registry is one global list under a lock; threads cache its answer by generation.
 *  - In a forked child everything inherited is void: anyc__fork_generation() tells.
 */
#ifndef ANYC_DETECT_H
#define ANYC_DETECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct anyc_backend;
struct anyc_loop;
struct anyc_task;

/* Hidden also where the compiler's default is not: a second copy must never bind to the first. */
#pragma GCC visibility push(hidden)

/* -------------------------------------------------------------------- thread.c: this thread */

/* Names that override detection, for a task (its own) or a thread outside tasks. */
#define ANYC__NAMES 7
struct anyc__names {
	const char *name[ANYC__NAMES];
	uint64_t depth;
};

struct anyc__thread {
	struct anyc_task *task;           /* the task that runs now; NULL outside tasks */
	struct anyc__names *names;        /* the running task's; looked at only in a task */
	struct anyc__thread_block *block; /* made on first use */
	struct anyc__entry *here;         /* cached: the one loop bound to this thread, or NULL */
	uint64_t seen;                    /* registry generation of `here`; 0: none */
	uint64_t id;                      /* never reused; 0: not given yet */
	uint32_t frames;                  /* frames in the block */
	uint32_t bound;                   /* cached: loops bound to this thread */
};
extern _Thread_local struct anyc__thread anyc__thread __attribute__((tls_model("initial-exec")));

/* The rest of a thread's state: made on first use, freed at its end by a key destructor. */
#define ANYC__FRAMES 8
struct anyc__frame {
	struct anyc__entry *entry; /* the loop that runs; NULL: a plain thread's, or detached */
	const char *library;       /* the entry's; NULL without one */
	uintptr_t sp, low, high;   /* where: sp lies in [low, high); both 0: not known */
};
struct anyc__thread_block {
	struct anyc__names names;
	struct anyc__frame *frame; /* `first`, or a longer array once more nest */
	uint32_t room;
	bool stack_known;
	uintptr_t stack_low, stack_high;
	void *core;               /* core's own, for this thread; fork does not touch it */
	uint64_t fork_generation; /* of frames and names: those of another one are void */
	struct anyc__frame first[ANYC__FRAMES];
};
/* NULL: no memory.  In a forked child it voids the frames and names inherited, once. */
struct anyc__thread_block *anyc__thread_block(void);
/* core's destructor of block->core, at thread end; set once. */
typedef void anyc__core_free_fn(void *core);
extern _Atomic(anyc__core_free_fn *) anyc__thread_core_free;
void anyc__thread_free(void); /* frees the block now */
uint64_t anyc__thread_id(void);
/* [low, high) of this thread's own stack; cached in the block.  0 and 0 if it cannot be known. */
void anyc__thread_stack(uintptr_t *low, uintptr_t *high);

/*
 * Grows by one in each forked child (also after _Fork and clone): a word in a MADV_WIPEONFORK
 * page.  A few nanoseconds; starts at 1.  Whatever carries another number was inherited.
 */
extern _Atomic(uint64_t) *_Atomic anyc__fork_word; /* never NULL; at 0: ask slowly */
uint64_t anyc__fork_generation_slow(void);
static inline uint64_t anyc__fork_generation(void)
{
	_Atomic(uint64_t) *at = atomic_load_explicit(&anyc__fork_word, memory_order_acquire);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	return __builtin_expect(word != 0, 1) ? word : anyc__fork_generation_slow();
}

/* generation is this process's, seen without a call; if false, ask for it. */
static inline bool anyc__surely_own(uint64_t generation)
{
	_Atomic(uint64_t) *at = atomic_load_explicit(&anyc__fork_word, memory_order_acquire);

	return __builtin_expect(atomic_load_explicit(at, memory_order_relaxed) == generation, 1);
}

/*
 * A lock that a forked child finds free, whoever held it in the parent.  What it guards may be
 * half changed there: it must be dropped in the child, or be a table that grows by its count.
 */
struct anyc__lock {
	_Atomic(uint32_t) word; /* generation << 2 | 0 free, 1 held, 2 held and waited for */
};
void anyc__lock(struct anyc__lock *lock);
void anyc__unlock(struct anyc__lock *lock);

/* ------------------------------------------------------- registry.c: native pointer to loop */

/* Embedded in every loop. */
struct anyc__entry {
	struct anyc__entry *next;
	const char *library;
	const char *run_symbol;
	void *native;
	struct anyc_loop *loop;
	uint64_t thread;      /* anyc__thread_id() of the thread it is bound to */
	uint64_t generation;  /* of fork */
};
/* Takes library, run_symbol, native and loop from the caller; binds to this thread. */
void anyc__registry_add(struct anyc__entry *e);
/* Also voids the frames of this thread that name it; in a forked child it takes out what was
 * inherited too.  One that is not there is ignored. */
void anyc__registry_remove(struct anyc__entry *e);
struct anyc__entry *anyc__registry_find(const void *native); /* of this process, not inherited */
/* In a forked child: the entry of the parent (or of its parents); NULL: there is none. */
struct anyc__entry *anyc__registry_inherited(const void *native);
/* The same, taken out of the registry's hands. */
struct anyc__entry *anyc__registry_take_inherited(const void *native);
void anyc__registry_bind(struct anyc__entry *e);             /* to this thread; cheap if it is */
/* Loops bound to this thread; *one: if there is exactly one.  A few nanoseconds when unchanged. */
unsigned anyc__registry_here(struct anyc__entry **one);
/* The one loop bound here, if that is known without a look; NULL in a forked child.
 * Async-signal-safe. */
struct anyc__entry *anyc__registry_peek(void);
/* The one loop bound here whose library is this; NULL if none or several. */
struct anyc__entry *anyc__registry_here_of(const char *library);
/* Calls fn for each entry bound here, under the lock: fn must not call the registry. */
void anyc__registry_each_here(void (*fn)(void *arg, const struct anyc__entry *e), void *arg);

/* ------------------------------------------------------------- frame.c: what drives this code */

/* The stack pointer of the function this is written in: the nearer to the caller it is read, the
 * smaller the frame that can be told to have been left. */
static inline __attribute__((always_inline)) uintptr_t anyc__stack_pointer(void)
{
#if defined(__x86_64__)
	uintptr_t sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return sp;
#elif defined(__aarch64__)
	uintptr_t sp;

	__asm__ volatile("mov %0, sp" : "=r"(sp));
	return sp;
#else
	return (uintptr_t)__builtin_frame_address(0);
#endif
}

/* Pushes the loop (NULL: a plain thread's engine) that runs from here on; pops it.  Returns the
 * depth to give to pop, which also drops frames a longjmp has left above.  Stack bounds 0 and 0:
 * the thread's own.  Without memory (make the block first) the frame is not kept.
 * To be written in the function that stays until the pop: what returns earlier (a helper that is
 * not inlined) lies below code that runs in the frame, and would count as left. */
unsigned anyc__frame_push_at(struct anyc__entry *entry, uintptr_t stack_low, uintptr_t stack_high,
			     uintptr_t sp);
static inline __attribute__((always_inline)) unsigned
anyc__frame_push(struct anyc__entry *entry, uintptr_t stack_low, uintptr_t stack_high)
{
	return anyc__frame_push_at(entry, stack_low, stack_high, anyc__stack_pointer());
}
void anyc__frame_pop(unsigned depth);
/* What drives this code: the innermost live frame; else the loop bound to this thread; with
 * several, the look up the stack decides by kind.  NULL: none. */
struct anyc__entry *anyc__current_entry_at(uintptr_t sp);
static inline __attribute__((always_inline)) struct anyc__entry *anyc__current_entry(void)
{
	return anyc__current_entry_at(anyc__stack_pointer());
}
/* Its name, after overrides. */
const char *anyc__current_name_at(uintptr_t sp);
static inline __attribute__((always_inline)) const char *anyc__current_name(void)
{
	return anyc__current_name_at(anyc__stack_pointer());
}
/* The name is kept as a pointer. */
int anyc__names_push(const char *name); /* 0; -EOVERFLOW, -ENOMEM (or the task has no names) */
int anyc__names_pop(void);              /* 0; -EINVAL */

/* ------------------------------------------ unwind.c: known run functions further up the stack */

struct anyc__running {
	const char *library; /* "libuv" */
	const char *symbol;  /* "uv_run" */
};
/* Looks up this thread's own stack, never cached; false at once while no library with a known
 * run function is loaded.  Not to be called on a task's stack. */
bool anyc__unwind_running(struct anyc__running *out);
/* Makes one more run function known (a registered backend's; a symbol of NULL is none).
 * Idempotent, bounded; both strings are kept as pointers. */
void anyc__unwind_know(const char *library, const char *symbol);
/* Another number whenever an object was loaded or unloaded; never 0. */
uint64_t anyc__objects_version(void);

/* --------------------------------------------- module.c: name to file to backend, registration */

/* The i-th known name, "anyc" first; NULL past the end. */
const char *anyc__module_known(size_t i);
/*
 * The backend of this name: registered, or loaded by absolute path from where libanyc lies, else
 * from the configured libdir.  Never on a task's stack.  *backend stays valid for ever; it is NULL
 * for "anyc", the engine alone.  ANYC_MODULE_DIR (an absolute path; not in setuid programs) is
 * searched instead of both, for trees that are not installed.
 * errors  ANYC_ENOBACKEND, ANYC_ENOTINSTALLED, ANYC_EABI; why: a sentence in buf
 */
int anyc__module_get(const char *name, const struct anyc_backend **backend, char *why, size_t size);
/* errors  ANYC_EINVAL (no name, or the name has another backend), ANYC_EABI, ANYC_EOVERFLOW */
int anyc__module_register(const struct anyc_backend *backend, char *why, size_t size);

/* ------------------------------------------------------------- copies.c: two copies of anyc */

/* 0, or ANYC_ECONFLICT when another copy of libanyc was here first; why names both files. */
int anyc__copies_check(char *why, size_t size);

#pragma GCC visibility pop

#endif

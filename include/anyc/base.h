/* SPDX-License-Identifier: MIT */
/* What every public header needs: linkage, attributes, and the types they share. */
#ifndef ANYC_BASE_H
#define ANYC_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <anyc/version.h>

#ifdef __cplusplus
#define ANYC_BEGIN_DECLS extern "C" {
#define ANYC_END_DECLS }
#else
#define ANYC_BEGIN_DECLS
#define ANYC_END_DECLS
#endif

#define ANYC_API __attribute__((visibility("default")))
/* On calls whose result carries data or a refusal; ANYC_IGNORE(call) says that you mean it. */
#define ANYC_MUST_CHECK __attribute__((warn_unused_result))
#define ANYC_IGNORE(expr) do { __typeof__(expr) ignored_ = (expr); (void)ignored_; } while (0)
#define ANYC_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
/* Wrappers that pass the size of the option structure their caller was compiled with. */
#define ANYC_INLINE static inline __attribute__((always_inline))

ANYC_BEGIN_DECLS

struct anyc_loop;   /* an event loop that runs tasks: loop.h */
struct anyc_task;   /* a task: task.h */
struct anyc_scope;  /* a cancel scope: scope.h */
struct anyc_group;  /* a task group: task.h */
struct anyc_stream; /* a byte stream: stream.h */

/* Tasks that wait in line.  Private. */
struct anyc_waiters_ {
	struct anyc_waiter_ *first_, *last_;
	uint64_t engine_; /* the loop that it belongs to for now */
};

/* A task's body.  Its result is the task's result: 0 or more, or a negative error code. */
typedef int anyc_task_fn(void *arg);

/* The version of the library that runs, "MAJOR.MINOR.PATCH"; ANYC_VERSION is the headers'. */
ANYC_API const char *anyc_version(void);

/*
 * Says whether the running library serves a program compiled with these headers.
 *   errors  ANYC_EABI, with a sentence that names both versions
 */
ANYC_API ANYC_MUST_CHECK int anyc_version_check(unsigned major, unsigned minor);

ANYC_END_DECLS
#endif

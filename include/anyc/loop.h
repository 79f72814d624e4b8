/* SPDX-License-Identifier: MIT */
/*
 * Loops: which one owns this thread, running one, attaching to one, and starting tasks on it.
 *
 * A library asks nothing: it calls anyc, and runs on whatever loop owns the thread, or blocks in
 * a plain thread.  An application on a loop attaches it (uv.h, event.h, ev.h, or by name) and
 * spawns.  A program without a loop calls anyc_run(), or just calls.
 */
#ifndef ANYC_LOOP_H
#define ANYC_LOOP_H

#include <anyc/base.h>
#include <anyc/task.h>

ANYC_BEGIN_DECLS

struct anyc_backend; /* backend.h */
struct anyc_token;

/* ------------------------------------------------------------------------------ detection */

/*
 * The library that drives this code: "libuv", "libevent", "libev", "anyc" (anyc_run() without a
 * native loop), another backend's name; NULL if none does, as in plain and worker threads.
 * Any thread; a few nanoseconds.
 */
ANYC_API const char *anyc_current_library(void);
/* The loop that drives this code, or NULL. */
ANYC_API struct anyc_loop *anyc_current_loop(void);
/* Overrides the name for this task (outside tasks: this thread) until popped; seven nest.
 * The string must outlive the override.
 *   errors  ANYC_EOVERFLOW, ANYC_EMISUSE (nothing to pop), -ENOMEM */
ANYC_API int anyc_detect_push(const char *name);
ANYC_API int anyc_detect_pop(void);
/* What was detected in this thread, and why, in lines of text.  Counts and cuts as snprintf.  (Why
 * a call failed is anyc_error_detail()'s to say.) */
ANYC_API size_t anyc_explain(char *buf, size_t size);

/* ------------------------------------------------------------------------------- backends */

/* The i-th backend's name in order of preference, NULL past the end: "anyc" is the first. */
ANYC_API const char *anyc_backend_known(size_t i);
/* Whether the backend could be loaded here.   errors  ANYC_ENOBACKEND, ANYC_ENOTINSTALLED,
 * ANYC_EABI */
ANYC_API ANYC_MUST_CHECK int anyc_backend_available(const char *name);
/* Makes a backend known: for static programs, and for backends of one's own.
 *   errors  ANYC_EABI, ANYC_EINVAL, ANYC_EOVERFLOW */
ANYC_API ANYC_MUST_CHECK int anyc_backend_register(const struct anyc_backend *backend);

/* ------------------------------------------------------------------------------------ run */

struct anyc_run_options {
	const char *backend; /* NULL: "anyc", the engine alone */
	void *native;        /* a loop of that library to run; NULL: makes one */
	const char *name;    /* of the main task; NULL: "main" */
	size_t stack_size;   /* of the main task; 0: 1 MiB */
	void *reserved_[2];
};

/*
 * Runs fn(arg) as the main task of a loop, in this thread, until it and all tasks have ended;
 * returns its result.  options may be NULL.  The sentence of an error comes along.
 *   errors  ANYC_ENOBACKEND, ANYC_ENOTINSTALLED; ANYC_EMISUSE: a loop runs in this thread, or
 *           the thread has an open scope or group, or holds a lock; ANYC_ETHREAD: the native
 *           loop has run in another thread; -ENOMEM.  fn was not called.
 */
ANYC_API int anyc_run_sized(const struct anyc_run_options *options, size_t size, anyc_task_fn *fn,
			    void *arg);
ANYC_INLINE int anyc_run(const struct anyc_run_options *options, anyc_task_fn *fn, void *arg)
{
	return anyc_run_sized(options, sizeof *options, fn, arg);
}

/* --------------------------------------------------------------------------------- attach */

/*
 * Makes a native loop able to run tasks; the host goes on running it as before.  Attaching an
 * attached loop gives the same handle, counted.  The loop belongs to the thread that first runs
 * it.  *out is NULL after a failure.
 * In a forked child renew the native loop first (uv_loop_fork() and its like), then attach it
 * anew: the parent's tasks are gone, the handle is the same.
 *   errors  ANYC_ENOBACKEND, ANYC_ENOTINSTALLED, ANYC_EABI, ANYC_EINVAL, ANYC_EMISUSE (this
 *           thread has open scopes of its own, or holds a lock; or it is a child that was forked
 *           in a task or a callback of anyc's on this very loop), ANYC_ECONFLICT (the loop is of
 *           another copy of its library), -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_loop_attach(struct anyc_loop **out,
					      const struct anyc_backend *backend, void *native);
ANYC_API ANYC_MUST_CHECK int anyc_loop_attach_named(struct anyc_loop **out, const char *backend,
						    void *native);

/*
 * Ends the attachment: the engine stops at once, native handles go on the host's next pass; it
 * never runs the host.  Of counted attachments only the last detach acts.
 *   errors  ANYC_EBUSY: tasks live (anyc_loop_tasks() says how many), or called by one of them
 */
ANYC_API int anyc_loop_detach(struct anyc_loop *loop);
typedef void anyc_detached_fn(void *arg);
/* The same; done(arg) is called when the native handles have gone and the loop can be closed; only
 * by the detach that acts. */
ANYC_API int anyc_loop_detach_then(struct anyc_loop *loop, anyc_detached_fn *done, void *arg);

/*
 * Detaches, lets the native loop turn without waiting until the handles have gone, and closes it
 * (uv_loop_close(), and the like).  The one call that runs a loop of the caller's: make it where
 * the loop does not run.
 *   errors  ANYC_EBUSY (tasks live), ANYC_EMISUSE (the loop runs further up the stack),
 *           ANYC_ENOTSUP, -EBUSY (the application's own handles are open)
 */
ANYC_API int anyc_loop_close(struct anyc_loop *loop);

ANYC_API const char *anyc_loop_library(const struct anyc_loop *loop);
ANYC_API void *anyc_loop_native(const struct anyc_loop *loop);
/* Tasks that live on the loop. */
ANYC_API size_t anyc_loop_tasks(const struct anyc_loop *loop);

/* ----------------------------------------------------------------- tasks from the outside */

/*
 * Called once when a root task has ended, on the loop's thread, outside a task; copy is the
 * task's private copy of its argument, or NULL.
 */
typedef void anyc_done_fn(void *arg, int rc, void *copy);

struct anyc_loop_spawn_options {
	const char *name;
	size_t stack_size;
	const void *copy; /* as in anyc_spawn_options */
	size_t copy_size;
	anyc_done_fn *on_done; /* NULL: an error goes to the report hook */
	void *done_arg;
	uint64_t *id;    /* out: the task's id, for anyc_loop_cancel_task() */
	bool background; /* does not keep the loop alive; cancelled when only such tasks remain */
	bool fpenv;
	uint8_t reserved_[6];
};

/*
 * Starts a root task from anywhere on the loop's thread: callbacks, before the loop runs, tasks.
 *   errors  ANYC_EINVAL, ANYC_ETHREAD, ANYC_EGONE, -ENOMEM.  on_done is not called then.
 */
#define anyc_loop_spawn(loop, fn, arg, on_done, done_arg) \
	anyc_loop_spawn_named((loop), (fn), (arg), (on_done), (done_arg), #fn)
#define anyc_loop_spawn_copy(loop, fn, ptr, size, on_done, done_arg) \
	anyc_loop_spawn_copy_named((loop), (fn), (ptr), (size), (on_done), (done_arg), #fn)
#define anyc_loop_spawn_opts(loop, fn, arg, options) \
	anyc_loop_spawn_opts_named((loop), (fn), (arg), (options), sizeof *(options), #fn)
ANYC_API ANYC_MUST_CHECK int anyc_loop_spawn_named(struct anyc_loop *loop, anyc_task_fn *fn,
						   void *arg, anyc_done_fn *on_done, void *done_arg,
						   const char *name);
ANYC_API ANYC_MUST_CHECK int anyc_loop_spawn_copy_named(struct anyc_loop *loop, anyc_task_fn *fn,
							const void *ptr, size_t size,
							anyc_done_fn *on_done, void *done_arg,
							const char *name);
ANYC_API ANYC_MUST_CHECK int
anyc_loop_spawn_opts_named(struct anyc_loop *loop, anyc_task_fn *fn, void *arg,
			   const struct anyc_loop_spawn_options *options, size_t size,
			   const char *name);
/* Cancels all tasks of the loop, or one root task; their on_done runs as the host loop turns. */
ANYC_API int anyc_loop_cancel(struct anyc_loop *loop, const char *reason);
/* errors  ANYC_EINVAL: no root task with this id lives */
ANYC_API int anyc_loop_cancel_task(struct anyc_loop *loop, uint64_t id, const char *reason);

/* --------------------------------------------------------------------- from other threads */

/* Called on the loop's thread outside a task with status 0, or with ANYC_EGONE, wherever the loop
 * ended, if it ended first: arg can be freed in either case. */
typedef void anyc_post_fn(void *arg, int status);

/* A counted reference that other threads may keep: the one way to a loop from outside.
 * NULL: no memory, or no descriptor.  From here on any thread may call. */
ANYC_API struct anyc_token *anyc_loop_token(struct anyc_loop *loop);
ANYC_API struct anyc_token *anyc_token_ref(struct anyc_token *token);
ANYC_API void anyc_token_unref(struct anyc_token *token);
/*
 * Has fn(arg, status) run on the loop's thread, in the order posted.  Any thread.  Accepted (0):
 * it runs exactly once.
 *   errors  refused: ANYC_EGONE: the loop has gone; ANYC_EFORKED: it is the parent's; -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_token_post(struct anyc_token *token, anyc_post_fn *fn, void *arg);

/*
 * For signal handlers; both are async-signal-safe.  The first cancels what the interrupted thread
 * runs: all tasks of its loop; in a plain thread the outermost open scope, or, if none is open,
 * the call that waits now.  The second does so to the loop of a token, from any thread.
 */
ANYC_API void anyc_cancel_from_signal(void);
ANYC_API void anyc_token_cancel(struct anyc_token *token);

/* Frees what anyc keeps for this thread (a thread's end does it too).
 *   errors  ANYC_EMISUSE: tasks, scopes or groups are open, or it holds a lock */
ANYC_API int anyc_thread_done(void);

ANYC_END_DECLS
#endif

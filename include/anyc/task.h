/* SPDX-License-Identifier: MIT */
/*
 * Tasks and task groups.  A task is a function on a stack of its own.  Tasks live in groups; a
 * group does not end before its tasks have, so nothing outlives the code that started it.
 *
 *	struct anyc_group g;
 *
 *	anyc_group_enter(&g, NULL);
 *	anyc_spawn(&g, left, &job);
 *	anyc_spawn(&g, right, &job);
 *	return anyc_group_leave(&g, 0);           // waits; the first error, or 0
 *
 * When a task fails, the rest of its group is cancelled, and leave returns that first error.
 * Tasks of one loop run one at a time, on the loop's thread, and switch only at checkpoints.
 * Everything here is called on that thread.
 */
#ifndef ANYC_TASK_H
#define ANYC_TASK_H

#include <anyc/base.h>
#include <anyc/scope.h>

ANYC_BEGIN_DECLS

/* ------------------------------------------------------------------ checkpoints and sleep */

/*
 * Looks for a cancellation and lets every ready task run.
 *   checkpoint  yes         errors  ANYC_ECANCELED
 */
ANYC_API ANYC_MUST_CHECK int anyc_checkpoint(void);
/* Looks for a cancellation; yields only when there is one. */
ANYC_API ANYC_MUST_CHECK int anyc_checkpoint_if_cancelled(void);
/* Lets every ready task run and never returns ANYC_ECANCELED.  Not a checkpoint. */
ANYC_API int anyc_checkpoint_shielded(void);

/*
 * Sleeps for ns nanoseconds (0: yields once; ANYC_FOREVER: until cancelled), or until a point in
 * time (in the past: yields once).
 *   checkpoint  yes         cancelled  nothing else happened
 *   errors  ANYC_ECANCELED, ANYC_EINVAL for a negative duration
 */
ANYC_API ANYC_MUST_CHECK int anyc_sleep(int64_t ns);
ANYC_API ANYC_MUST_CHECK int anyc_sleep_until(int64_t when);
/* Waits until cancelled: returns only an error. */
ANYC_API ANYC_MUST_CHECK int anyc_sleep_forever(void);

/* --------------------------------------------------------------------------------- groups */

struct anyc_group_errors_; /* the list of a group's errors */

/* Where the caller puts it, usually on the stack of the task.  The fields are private. */
struct anyc_group {
	struct anyc_scope scope_;
	struct anyc_task *first_, *last_; /* the tasks in it */
	size_t tasks_;
	size_t starting_; /* calls of anyc_start under way */
	size_t error_count_;
	struct anyc_group_errors_ *errors_;
	int32_t first_error_;
	uint8_t state_;
	uint8_t on_error_;
	bool host_waits_;
	bool task_cancelled_; /* a task was cancelled from outside the group */
	void *reserved_[4];
};

struct anyc_group_options {
	int64_t timeout;  /* as in anyc_scope_options, for the group's own scope */
	int64_t deadline;
	bool shield;
	bool move_on;
	bool keep_going; /* a task's error is listed, cancels nobody and is not returned */
	uint8_t reserved_[5];
};

/*
 * Initialises and enters a group, and its scope, in one step; options may be NULL.  As with
 * anyc_scope_enter, what is wrong comes out of leave.
 */
ANYC_API void anyc_group_enter_sized(struct anyc_group *g, const struct anyc_group_options *options,
				     size_t size);
ANYC_INLINE void anyc_group_enter(struct anyc_group *g, const struct anyc_group_options *options)
{
	anyc_group_enter_sized(g, options, sizeof *options);
}

/*
 * Waits until every task of the group has ended, always, then leaves the group's scope.  rc is
 * the result of the host's own body: a negative one, other than its own cancellation, counts as
 * an error and cancels the tasks.  Returns the earliest error; else what anyc_scope_leave() says.
 *   checkpoint  no: it yields and waits, but returns ANYC_ECANCELED only if rc or a task was
 *               cancelled from outside the group
 *   cancelled   the tasks are cancelled, and waited for
 *   errors      beside those: ANYC_EMISUSE: nothing is left; ANYC_EFORKED: the group was left, but
 *               its tasks run in the parent, and not in this child
 */
ANYC_API int anyc_group_leave(struct anyc_group *g, int rc);

/* Cancels the host's body and all tasks, present and future; leave then returns 0. */
ANYC_API int anyc_group_cancel(struct anyc_group *g, const char *reason);
/* The group's scope, for its deadline, shield and questions. */
ANYC_API struct anyc_scope *anyc_group_scope(struct anyc_group *g);
/* Tasks in the group now. */
ANYC_API size_t anyc_group_size(const struct anyc_group *g);

/*
 * One entry of a group's list of errors.  The strings belong to the list.  The error of a task that
 * passed on what an inner group's leave returned stands there as that group's whole list: task and
 * id are those of the task that failed, path leads to it from the outer group, "sync/fetch".
 */
struct anyc_group_error {
	const char *task; /* the task's name */
	const char *path; /* and those of the tasks around it in this group; or just its own */
	const char *detail;
	uint64_t id; /* the task's */
	int rc;
	int os_errno;
};

/*
 * All errors of a group in order of occurrence: their number, and the i-th, for the task that
 * entered the group.  They stay readable until the group is freed or entered again, that task
 * ends, or eight later groups of that task have failed.
 *   errors of error  ANYC_EINVAL (no such entry), -ENOMEM (it was lost), ANYC_EMISUSE (let go)
 */
ANYC_API size_t anyc_group_error_count(const struct anyc_group *g);
ANYC_API ANYC_MUST_CHECK int anyc_group_error(const struct anyc_group *g, size_t i,
					      struct anyc_group_error *out);
/* Lets go of the list.  Needed only to do so early. */
ANYC_API void anyc_group_free(struct anyc_group *g);

/* -------------------------------------------------------------------------------- handles */

enum anyc_status {
	ANYC_STATUS_NONE,       /* never spawned */
	ANYC_STATUS_PENDING,    /* runs, or will */
	ANYC_STATUS_CANCELLING, /* was cancelled and has not ended yet */
	ANYC_STATUS_CANCELLED,  /* ended by its cancellation */
	ANYC_STATUS_FINISHED,   /* returned 0 or more */
	ANYC_STATUS_FAILED      /* returned an error */
};

/*
 * A task seen from outside: caller-owned memory, filled by spawn, that outlives the task.
 * Readable at any time after the spawn; the same memory may serve the next spawn after that.
 */
struct anyc_handle {
	struct anyc_task *task_; /* NULL once it has ended */
	struct anyc_waiters_ joiners_;
	const char *name_;
	uint64_t id_;
	intptr_t value_;
	int32_t result_;
	uint8_t status_;
	bool started_;
	uint8_t pad_[2];
	void *reserved_[2];
};

/*
 * Waits until the task has ended, however it ended; its result goes to *result (may be NULL):
 * ANYC_ETASKCANCELED if it ended by a cancellation.
 *   checkpoint  yes         cancelled  the other task goes on
 *   errors  ANYC_ECANCELED, ANYC_EMISUSE (never spawned, or itself)
 */
ANYC_API ANYC_MUST_CHECK int anyc_join(struct anyc_handle *h, int *result);
/* Cancels this task alone; nothing happens to one that has ended. */
ANYC_API int anyc_handle_cancel(struct anyc_handle *h, const char *reason);
ANYC_API enum anyc_status anyc_handle_status(const struct anyc_handle *h);
/* The result: 0 or more, its error, ANYC_ETASKCANCELED, or ANYC_ENOTFINISHED. */
ANYC_API int anyc_handle_result(const struct anyc_handle *h);
/* What the task gave to anyc_started().   errors  ANYC_EMISUSE if it has not */
ANYC_API ANYC_MUST_CHECK int anyc_handle_start_value(const struct anyc_handle *h, intptr_t *value);
ANYC_API const char *anyc_handle_name(const struct anyc_handle *h);
ANYC_API uint64_t anyc_handle_id(const struct anyc_handle *h);

/* ---------------------------------------------------------------------------------- spawn */

struct anyc_spawn_options {
	/* NULL: the function's.  Must outlive the task, its handle, and the scopes it cancels. */
	const char *name;
	size_t stack_size;          /* bytes of address space, guard included; 0: 256 KiB */
	struct anyc_handle *handle; /* filled in, or NULL */
	const void *copy;           /* the task's argument becomes a private copy of these bytes, */
	size_t copy_size;           /* 64-byte aligned, at most a quarter of the stack */
	bool fpenv;                 /* the task has floating-point control state of its own */
	uint8_t reserved_[7];
};

/*
 * Starts fn(arg) as a task of the group.  It does not run before the caller's next checkpoint;
 * ready tasks run in the order they were spawned.  The task runs under the scopes around the
 * group, not under those of the spawner.  A cancelled group takes tasks too: they run up to their
 * first checkpoint, so that they can dispose of what they were given.
 *   errors  ANYC_EMISUSE (group not entered, or left), ANYC_EINVAL: nothing changed
 *           -ENOMEM: also fails the group
 */
#define anyc_spawn(group, fn, arg) anyc_spawn_named((group), (fn), (arg), NULL, 0, #fn)
#define anyc_spawn_opts(group, fn, arg, options) \
	anyc_spawn_named((group), (fn), (arg), (options), sizeof *(options), #fn)
/* The same with a private copy of *ptr: its lifetime is then no concern of the caller. */
#define anyc_spawn_copy(group, fn, ptr, size) \
	anyc_spawn_copy_named((group), (fn), (ptr), (size), #fn)
/* The same, and a failure leaves the group alone. */
#define anyc_try_spawn(group, fn, arg, options) \
	anyc_try_spawn_named((group), (fn), (arg), (options), sizeof *(options), #fn)

ANYC_API int anyc_spawn_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
			      const struct anyc_spawn_options *options, size_t size,
			      const char *name);
ANYC_API int anyc_spawn_copy_named(struct anyc_group *g, anyc_task_fn *fn, const void *ptr,
				   size_t size, const char *name);
ANYC_API ANYC_MUST_CHECK int anyc_try_spawn_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
						  const struct anyc_spawn_options *options,
						  size_t size, const char *name);

/*
 * Starts fn(arg) and waits until it calls anyc_started(value); the task then goes on in the group.
 * An error before that comes out here and does not touch the group; later ones go to the group.
 *   checkpoint  no: it waits, but a task that starts without waiting is started in any case
 *   cancelled   the task was cancelled, and waited for
 *   errors  those of spawn and of the task, ANYC_ENOTSTARTED (it returned without anyc_started)
 */
#define anyc_start(group, fn, arg, value) \
	anyc_start_named((group), (fn), (arg), (value), NULL, 0, #fn)
#define anyc_start_opts(group, fn, arg, value, options) \
	anyc_start_named((group), (fn), (arg), (value), (options), sizeof *(options), #fn)
ANYC_API ANYC_MUST_CHECK int anyc_start_named(struct anyc_group *g, anyc_task_fn *fn, void *arg,
					      intptr_t *value,
					      const struct anyc_spawn_options *options, size_t size,
					      const char *name);
/*
 * Called by the task: it is ready.  Does nothing in a task that anyc_start() did not start, or
 * whose starter was cancelled.   errors  ANYC_EMISUSE the second time
 */
ANYC_API int anyc_started(intptr_t value);

/* ------------------------------------------------------------------------- many calls at once */

/*
 * A function to call in a task of its own, and what became of it.
 *
 *	struct anyc_call calls[] = {ANYC_CALL(ask, &left), ANYC_CALL(ask, &right)};
 *
 *	return anyc_gather(calls, 2, NULL);
 */
struct anyc_call {
	anyc_task_fn *fn;
	void *arg;
	const char *name; /* the task's; NULL: "call" */
	int32_t rc;       /* out: its result; ANYC_ETASKCANCELED: cancelled, or not begun */
	int32_t pad_;
	struct anyc_call *next_;
};
#define ANYC_CALL(fn, arg) {(fn), (arg), #fn, 0, 0, NULL}

/* options may be NULL. */
struct anyc_gather_options {
	size_t limit;      /* so many run at once at the most; 0: all */
	size_t stack_size; /* of each, as in anyc_spawn_options */
	void *reserved_[2];
};

/*
 * Makes all calls at once and waits for them; their results are in calls[i].rc.  The first that
 * fails cancels the rest, and its error is returned when all have ended; else 0, also for no calls
 * at all.  Allocates nothing but the tasks' stacks.
 *   checkpoint  yes         cancelled  the calls are cancelled, and waited for
 *   errors  that of the first to fail, ANYC_ECANCELED; ANYC_EINVAL: nothing was called; -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_gather_sized(struct anyc_call *calls, size_t count,
					       const struct anyc_gather_options *options,
					       size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_gather(struct anyc_call *calls, size_t count,
					    const struct anyc_gather_options *options)
{
	return anyc_gather_sized(calls, count, options, sizeof *options);
}

/*
 * The same for one function and an array: fn(&items[i]) in a task for each of count items of
 * item_size bytes.  The results go to results[i], in the order of the items; results may be NULL.
 *   checkpoint  yes         cancelled  the calls are cancelled, and waited for
 *   errors  as anyc_gather
 */
#define anyc_map(results, fn, items, count, item_size, options) \
	anyc_map_named((results), (fn), (items), (count), (item_size), (options), \
		       sizeof(struct anyc_gather_options), #fn)
ANYC_API ANYC_MUST_CHECK int anyc_map_named(int *results, anyc_task_fn *fn, void *items,
					    size_t count, size_t item_size,
					    const struct anyc_gather_options *options, size_t size,
					    const char *name);

/*
 * Makes all calls at once; the first that succeeds, with 0 or more, wins: the rest are cancelled
 * and waited for, and its result is returned, whatever was cancelled meanwhile.  *winner (may be
 * NULL) is its index.  If all fail the first error is returned.
 *   checkpoint  yes         cancelled  no call has succeeded; all were cancelled, and waited for
 *   errors  that of the first to fail, ANYC_ECANCELED; ANYC_EINVAL (no calls): nothing was called
 */
ANYC_API ANYC_MUST_CHECK int anyc_race_sized(size_t *winner, struct anyc_call *calls, size_t count,
					     const struct anyc_gather_options *options,
					     size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_race(size_t *winner, struct anyc_call *calls, size_t count,
					  const struct anyc_gather_options *options)
{
	return anyc_race_sized(winner, calls, count, options, sizeof *options);
}

/*
 * The same calls, one by one as they end, while the others go on.
 *
 *	struct anyc_as_completed answers;
 *	size_t i;
 *
 *	rc = anyc_as_completed_enter(&answers, calls, count, NULL);
 *	if (rc != 0)
 *		return rc;
 *	while ((rc = anyc_as_completed_next(&answers, &i)) > 0)
 *		print(i, calls[i].rc);
 *	return anyc_as_completed_leave(&answers, rc);
 *
 * It is a group, and encloses what is between enter and leave as one does.  The fields are private;
 * calls stays where it is until leave.
 */
struct anyc_as_completed {
	struct anyc_group group_;
	struct anyc_call *calls_;
	struct anyc_call *first_, *last_; /* have ended, and nobody was told */
	size_t count_, begun_, running_;
	size_t limit_, stack_size_;
	bool host_waits_;
	uint8_t pad_[7];
	void *reserved_[4];
};

/*
 * Makes all calls, or as many as options->limit says; the others are begun by next.
 * Not a checkpoint.
 *   errors  ANYC_EINVAL (no calls, or one without a function), ANYC_ENOTASK: nothing was called,
 *           and there is nothing to leave
 */
ANYC_API ANYC_MUST_CHECK int
anyc_as_completed_enter_sized(struct anyc_as_completed *a, struct anyc_call *calls, size_t count,
			      const struct anyc_gather_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_as_completed_enter(struct anyc_as_completed *a,
							struct anyc_call *calls, size_t count,
							const struct anyc_gather_options *options)
{
	return anyc_as_completed_enter_sized(a, calls, count, options, sizeof *options);
}
/*
 * Waits until one more call has ended: 1, and its index to *i; its result is in calls[*i].rc, an
 * error too, which cancels nobody and whose sentence is not kept.  0 when every call was told of,
 * each time.  A call that cannot be begun has ended with the error of spawn.
 *   checkpoint  always      cancelled  no call was told of
 *   errors  ANYC_ECANCELED, ANYC_EINVAL (i is NULL), ANYC_EMISUSE: not the task that entered, or
 *           nobody has; *i is then 0
 */
ANYC_API ANYC_MUST_CHECK int anyc_as_completed_next(struct anyc_as_completed *a, size_t *i);
/*
 * Cancels the calls that have not ended and waits for them, always, then leaves the group; rc is
 * the result of the host's body.  Returns what anyc_group_leave() does, and no call's error.
 *   checkpoint  no, as anyc_group_leave()
 *   cancelled   the calls are cancelled, and waited for
 *   errors      ANYC_EMISUSE: not the task that entered, or a scope or group inside is still open
 */
ANYC_API int anyc_as_completed_leave(struct anyc_as_completed *a, int rc);

/* ------------------------------------------------------------------------- the current task */

/* The current task's name and id (never reused); outside tasks NULL and 0. */
ANYC_API const char *anyc_task_name(void);
ANYC_API uint64_t anyc_task_id(void);
/*
 * The id of the task that waits for it: its group's host, or, until it has called anyc_started(),
 * the one that started it.  0 for a root task and outside tasks.
 */
ANYC_API uint64_t anyc_task_parent_id(void);
/* The next checkpoint would return ANYC_ECANCELED. */
ANYC_API bool anyc_has_pending_cancellation(void);

/*
 * Runs fn(arg) on the loop's own stack while the task waits, for code that needs more stack than
 * the task has, or checks the stack's bounds.  fn may not wait.  Returns what fn returned.
 * Not a checkpoint.   errors  ANYC_ENOTASK
 */
ANYC_API int anyc_outside(anyc_task_fn *fn, void *arg);

/* Makes a stack overflow name its task on stderr before the signal ends the process.  Opt-in:
 * takes SIGSEGV and SIGBUS, and passes on what is not a stack's.   errors  -errno */
ANYC_API ANYC_MUST_CHECK int anyc_stack_overflow_handler(void);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The fault driver.  It runs a scenario again and again; each time the next event of one kind
 * misbehaves, until there is none left, and each time nothing may be left behind.
 *
 *	static int fetch_it(void *arg)            // makes what it needs, and frees it
 *	{
 *		return anyc_run(NULL, fetch_main, arg);
 *	}
 *
 *	struct anyc_fault_options options = { .name = "fetch", .allowed = errors };
 *	struct anyc_fault_report report;
 *
 *	if (anyc_fault_sweep(&report, fetch_it, &job, &options) != 0)
 *		fprintf(stderr, "%s\n", report.text);   // "fetch: syscall:17:EMFILE: ..."
 *
 * No list of places is written by hand: a sweep ends when its event did not come any more.  What
 * went wrong has a name, as above, and ANYC_FAULT_ONLY=syscall:17:EMFILE runs that point alone.
 *
 * For system calls one file of the test program includes <anyc/fault_syscalls.h>.
 * The sweep is in libanyc-test, the two hooks at the end in libanyc.
 */
#ifndef ANYC_FAULT_H
#define ANYC_FAULT_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/* ------------------------------------------------------------------------------------- axes */

#define ANYC_FAULT_ALLOC 1U         /* alloc:N  anyc's allocation number N fails */
#define ANYC_FAULT_ALLOC_FOREVER 2U /* alloc-forever:N  and every later one */
#define ANYC_FAULT_SYSCALL 4U       /* syscall:N:ERRNO  a system call of anyc's, with each errno
				       that this call can have */
#define ANYC_FAULT_CANCEL 8U        /* cancel:N  the task is cancelled; places are where a call
				       begins, where a task has parked, and where it goes on */
#define ANYC_FAULT_CANCEL_SCOPE 16U /* cancel-scope:N  its innermost scope alone */
#define ANYC_FAULT_CANCEL_TWICE 32U /* cancel-twice:N+K  two places; for small scenarios */
#define ANYC_FAULT_ORDER 64U        /* order:N  ready tasks run in a random order */
#define ANYC_FAULT_ALL (127U & ~ANYC_FAULT_CANCEL_TWICE)
#define ANYC_FAULT_AXES 7

/* ------------------------------------------------------------------------------------ sweep */

/*
 * Called outside of tasks and loops; what it makes is gone when it returns: 0 or more, or the
 * error that came out of it.  The driver calls anyc_thread_done() after it.
 */
typedef int anyc_fault_scenario(void *arg);

struct anyc_fault_options {
	const char *name;   /* the scenario's, for messages; NULL: "scenario" */
	const char *row;    /* what it runs on, likewise, or NULL */
	unsigned axes;      /* ANYC_FAULT_*; 0: ANYC_FAULT_ALL */
	unsigned orders;    /* how many; 0: 5 */
	const int *allowed; /* errors that may come out, ended by 0; or NULL: only those below */
	size_t points;      /* of one axis at the most, evenly spread; 0: all */
	uint64_t seed;      /* of the orders and of where a sample begins; 0: 1 */
	int64_t patience;   /* a point that takes longer ends the process; 0: 20 seconds */
	void *reserved_[4];
};

struct anyc_fault_report {
	size_t points[ANYC_FAULT_AXES]; /* that were run, by axis in the order above */
	size_t left_out;                /* points that a sample did not try */
	char point[64];                 /* the one that failed; "": none */
	char text[2048];                /* what was wrong with it */
};

/*
 * Sweeps the axes.  options may be NULL.  Returns 0, or 1 if a point failed, which ends the sweep.
 * A point is right if the result is
 *   - 0 or more, or one of `allowed`,
 *   - -ENOMEM when an allocation failed,
 *   - -ERRNO or ANYC_EBROKEN when a system call failed, but for EINTR, EAGAIN and ECONNABORTED,
 *     which no caller may notice,
 *   - ANYC_ECANCELED or ANYC_ETASKCANCELED when something was cancelled,
 * and anyc's blocks, tasks, stacks, loops, streams and watches, and the process's descriptors,
 * are as many as before.  A crash or a hang is named on stderr, and ends the process.
 *
 * Environment: ANYC_FAULT_ONLY=POINT runs one point, ANYC_FAULT_POINTS=N stands for `points` (0:
 * all), ANYC_TEST_SEED=N for `seed`.  One sweep at a time.
 *   errors  ANYC_EINVAL, ANYC_EMISUSE (outside: no task, no loop, and none of anyc's blocks lives),
 *           ANYC_ENOTSUP (a system call is to fail, and fault_syscalls.h is not there)
 */
ANYC_API ANYC_MUST_CHECK int anyc_fault_sweep_sized(struct anyc_fault_report *report,
						    anyc_fault_scenario *scenario, void *arg,
						    const struct anyc_fault_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_fault_sweep(struct anyc_fault_report *report,
						 anyc_fault_scenario *scenario, void *arg,
						 const struct anyc_fault_options *options)
{
	return anyc_fault_sweep_sized(report, scenario, arg, options, sizeof *options);
}

/* The point that is being run, for messages of a scenario's own; NULL outside.  Any thread. */
ANYC_API const char *anyc_fault_point(void);

/*
 * For interposed functions, also your own: counts a call, and returns whether it has to fail,
 * errno being set.  errors: those it can have, ended by 0.  Only calls that an object of anyc's
 * makes count, so that native loops are spared; caller: __builtin_return_address(0), or NULL for
 * a call that counts in any case.  Any thread.
 */
ANYC_API bool anyc_fault_call(const char *name, const int *errors, const void *caller);

/* ------------------------------------------------------------------------------------ hooks */
/* What the driver is made of.  Of the whole process: set them while no other thread has a loop. */

enum anyc_fault_moment {
	ANYC_FAULT_CHECKPOINT, /* a checkpoint function was called */
	ANYC_FAULT_PARKED,     /* the task waits */
	ANYC_FAULT_RESUMED     /* the task goes on, or begins; its wait has its result */
};
enum anyc_fault_action { ANYC_FAULT_GO_ON, ANYC_FAULT_CANCEL_TASK, ANYC_FAULT_CANCEL_INNERMOST };

/* A place at which a cancellation could come.  The sites are code addresses, or NULL. */
struct anyc_fault_place {
	enum anyc_fault_moment moment;
	const char *task;       /* its name */
	const void *group_site; /* where the group it lives in was entered */
	const void *scope_site; /* where its innermost scope was entered */
};

/* Calls fn at every place, NULL: at none.  fn does nothing but choose. */
typedef enum anyc_fault_action anyc_fault_cancel_fn(void *arg,
						    const struct anyc_fault_place *place);
ANYC_API void anyc_fault_cancel_hook(anyc_fault_cancel_fn *fn, void *arg);

/* Asks fn which of `ready` tasks, 2 or more, runs next, counted from 0; NULL: the first. */
typedef size_t anyc_fault_order_fn(void *arg, size_t ready);
ANYC_API void anyc_fault_order_hook(anyc_fault_order_fn *fn, void *arg);

ANYC_END_DECLS
#endif

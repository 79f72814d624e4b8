/* SPDX-License-Identifier: MIT */
/*
 * Looking inside a loop: its tasks and what each waits for, what the loop has done, and probes that
 * are called as it goes on.
 *
 * Where a loop is asked for, NULL means the current one; in a thread without a loop, what runs
 * there.  Everything is called on the loop's thread, in tasks, callbacks and completions alike,
 * and nothing here waits.
 *   errors of all  ANYC_ETHREAD, ANYC_EFORKED; -ENOMEM (a thread's root task is made on first use)
 */
#ifndef ANYC_INSPECT_H
#define ANYC_INSPECT_H

#include <anyc/base.h>
#include <anyc/time.h>

ANYC_BEGIN_DECLS

/* ---------------------------------------------------------------------------------- tasks */

enum anyc_task_state {
	ANYC_TASK_READY,   /* waits for its turn only */
	ANYC_TASK_RUNNING, /* runs, or has called what runs */
	ANYC_TASK_WAITING
};

/* A task at one moment.  The strings are its own: they may go when it ends. */
struct anyc_task_info {
	uint64_t id;
	uint64_t parent_id; /* as anyc_task_parent_id(); 0: a root task */
	const char *name;
	const char *waits_for; /* "a lock"; NULL unless it waits */
	int64_t since;         /* when it began to wait, if a probe asks for it; else 0 */
	int64_t deadline;      /* the earliest that can reach it; ANYC_FOREVER: none */
	const void *site;      /* where it was spawned; NULL: a thread's root */
	size_t stack_size;     /* without the guard */
	size_t stack_used;     /* now, if it does not run; else, and where it is not known, 0 */
	enum anyc_task_state state;
	unsigned depth;        /* tasks above it: 0 for a root task */
	bool cancelled;        /* its next checkpoint returns ANYC_ECANCELED */
	bool background;
	uint8_t reserved_[14];
};

/*
 * Calls fn for each task that lives on a loop, each before those in its groups, and returns their
 * number.  fn runs outside of tasks and may not spawn; it may cancel.
 *   errors  those of all, ANYC_EINVAL
 */
typedef void anyc_task_info_fn(void *arg, const struct anyc_task_info *task);
ANYC_API int anyc_each_task(struct anyc_loop *loop, anyc_task_info_fn *fn, void *arg);

/*
 * The tree of the current loop's tasks as text: for each its name, id and state, what it waits
 * for, its stack, where it was spawned, and the scopes it is in, with deadlines from now on.
 * Counts and cuts as snprintf; without tasks it is empty.
 */
ANYC_API size_t anyc_dump_tasks(char *buf, size_t size);
/*
 * The same for any loop, line by line (without newlines): needs no memory, whatever the number of
 * tasks.  fn runs outside of tasks and may not spawn.   errors  those of all, ANYC_EINVAL
 */
typedef void anyc_line_fn(void *arg, const char *line);
ANYC_API int anyc_dump_tasks_lines(struct anyc_loop *loop, anyc_line_fn *fn, void *arg);

/* -------------------------------------------------------------------------------- figures */

struct anyc_loop_stats {
	size_t tasks;        /* that live; a thread's root counts */
	size_t ready;        /* of them: wait for their turn only, */
	size_t waiting;      /* wait for something; the rest run */
	size_t background;
	size_t timers;       /* pending */
	size_t descriptors;  /* registered with the kernel */
	size_t stacks_idle;  /* kept for the next tasks */
	uint64_t turns;      /* so far: stretches of the host's time in which tasks ran */
	uint64_t switches;   /* so far: times that a task gave way to whatever came next */
	void *reserved_[4];
};
/* Takes as long as there are tasks ready and descriptors.   errors  those of all, ANYC_EINVAL */
ANYC_API int anyc_loop_stats_sized(struct anyc_loop_stats *out, size_t size,
				   struct anyc_loop *loop);
ANYC_INLINE int anyc_loop_stats(struct anyc_loop_stats *out, struct anyc_loop *loop)
{
	return anyc_loop_stats_sized(out, sizeof *out, loop);
}

/* --------------------------------------------------------------------------------- probes */

/*
 * Functions that a loop calls as it goes on, outside of tasks, wherever it is: on the stack of the
 * task or the loop's own.  A probe must not wait, spawn, set probes, run the loop or longjmp: the
 * first three are refused, the fourth ends the process.  While a probe runs no other is called.
 * Each may be NULL, and costs nothing then.
 */
struct anyc_probes {
	void (*task_spawned)(void *arg, const struct anyc_task_info *task);
	/* It is ready to run: at first, when it was woken or cancelled, and when it gave way. */
	void (*task_scheduled)(void *arg, const struct anyc_task_info *task);
	/* It gives way: to wait, or to let others run. */
	void (*task_suspended)(void *arg, const struct anyc_task_info *task);
	/* Its function has returned rc. */
	void (*task_done)(void *arg, const struct anyc_task_info *task, int rc);
	/*
	 * The loop goes to wait until `until` at the latest (0: not at all), and has come back.  On
	 * a native loop that is the time between two turns, in which the host does its own work.
	 */
	void (*before_wait)(void *arg, int64_t until);
	void (*after_wait)(void *arg);
	void *arg;
	bool clock_waits; /* tasks note when they begin to wait: info.since and dumps say it */
	uint8_t reserved_[7];
};
/*
 * Sets a loop's probes, which are copied; NULL: none.  They stay until the loop is detached.
 *   errors  those of all, ANYC_EMISUSE (inside a probe)
 */
ANYC_API int anyc_loop_set_probes_sized(struct anyc_loop *loop, const struct anyc_probes *probes,
					size_t size);
ANYC_INLINE int anyc_loop_set_probes(struct anyc_loop *loop, const struct anyc_probes *probes)
{
	return anyc_loop_set_probes_sized(loop, probes, sizeof *probes);
}

ANYC_END_DECLS
#endif

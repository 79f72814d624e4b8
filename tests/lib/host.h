/* SPDX-License-Identifier: MIT */
/*
 * The hosts of tasks: native loops with a few things an application does with them, and the two
 * ways of having none.  Each is a row of the testing kit.  Native headers do not mix, so each loop
 * has a file of its own.
 */
#ifndef ANYC_TEST_HOST_H
#define ANYC_TEST_HOST_H

#include <anyc/anyc.h>
#include <anyc/testing.h>

struct host;
typedef void host_fn(void *arg);

struct host_ops {
	const char *row;
	const char *library; /* what anyc_current_library() says in a task; NULL: nothing */
	enum anyc_test_kind kind;
	bool is_module;      /* anyc finds it by its name, or has it loaded by now */
	bool nests;          /* the loop can be run again from inside itself */

	/* A native loop; the hosts without one have none of these. */
	int (*make)(struct host *h);
	const struct anyc_backend *(*backend)(void);
	/* Runs until nothing keeps the loop alive, or stop. */
	void (*run)(struct host *h);
	/* One pass, waiting for an event or not. */
	void (*pass)(struct host *h, bool wait);
	void (*stop)(struct host *h);
	/* Calls fn(arg) from a native timer every millisecond. */
	void (*tick)(struct host *h, host_fn *fn, void *arg);
	void (*untick)(struct host *h);
	/* What the application owes its loop in a forked child. */
	int (*after_fork)(struct host *h);
	/* Closes the application's handles and then the loop: -EBUSY if others are left. */
	int (*destroy)(struct host *h);
	/* The same for the handles alone. */
	void (*close_handles)(struct host *h);
	/* Frees the loop with all that is in it, whoever made it. */
	void (*free_under)(struct host *h);

	/* Calls fn(arg) once from a callback of the loop, outside a task; from the loop's thread.
	 */
	int (*soon)(struct host *h, host_fn *fn, void *arg);
	/* Instead of a native loop: runs fn(arg) as a task. */
	int (*run_task)(struct host *h, anyc_task_fn *fn, void *arg);
};

struct host {
	const struct host_ops *ops;
	void *native;           /* uv_loop_t *, struct event_base *, struct ev_loop * */
	struct anyc_loop *loop; /* attached, or NULL */
	void *side;             /* the file's own */
	host_fn *tick_fn;
	void *tick_arg;
	bool ticking;
};

/* The rows in their order; NULL past the end.  ops is NULL for a row that was not built. */
struct host_row {
	const char *name;
	const struct host_ops *ops;
	enum anyc_test_choice chosen_by;
};
const struct host_row *host_row(unsigned i);
const struct host_row *host_find(const char *name);

/* All return 0 or an error; nothing is left after an error. */
int host_make(struct host *h, const char *row);
int host_attach(struct host *h);
int host_run(struct host *h);
int host_detach(struct host *h);
int host_destroy(struct host *h);

/*
 * The whole life: makes a loop, attaches, runs fn(arg) as a task until nothing is left, detaches,
 * and destroys the loop.  Returns the first error, the task's among them.
 */
int host_run_task(struct host *h, const char *row, anyc_task_fn *fn, void *arg, const char *name);

/* From a task of the host: fn runs in a native callback, and this task waits until it has. */
void host_call(struct host *h, host_fn *fn, void *arg);

/* Makes all rows known to the kit; once is enough. */
void host_add_all(void);
/* Where the test runs that has not asked to be outside. */
struct host *anyc_test_host(void);

extern const struct host_ops host_uv, host_event, host_ev, host_alone, host_none,
	host_sim, host_simnet;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * For authors of backends: the one table between anyc and an event loop.
 *
 * anyc's engine has its own timers, descriptors and ready tasks, and shows the loop one
 * descriptor.  A backend has that descriptor watched and calls engine->ops->turn() when it is
 * readable: that is all a loop must do.  All calls are made on the loop's thread.
 * A backend module exports one function, `const struct anyc_backend *anyc_module_backend(void)`,
 * and needs no symbol of libanyc: it calls back through engine->ops.
 */
#ifndef ANYC_BACKEND_H
#define ANYC_BACKEND_H

#include <anyc/base.h>
#include <anyc/loop.h>

ANYC_BEGIN_DECLS

#define ANYC_BACKEND_ABI 1

struct anyc_engine;
struct anyc_address; /* net.h */
struct anyc_addresses;
struct anyc_listener;
struct anyc_resolve_options;
struct anyc_tcp_listen_options;

/* Why the loop calls turn. */
enum {
	ANYC_TURN_READABLE = 1, /* the engine's descriptor is readable */
	ANYC_TURN_SOON = 2      /* soon() had asked for it */
};

/* What an engine waits for, asked when no turn is under way. */
struct anyc_engine_waits {
	int64_t deadline; /* its earliest timer; ANYC_FOREVER: none */
	bool ready;       /* tasks or callbacks are ready: it waits for a turn */
	bool outside;     /* for what no clock brings: descriptor, job, signal, token's holder */
	uint8_t reserved_[6];
};
/* number: from 1, in the order the engine's tasks were made.  It must not call anyc. */
typedef void anyc_observe_fn(void *arg, const char *task, uint64_t number);

/* What a backend may call: the first member of the engine.  The table outlives the engine. */
struct anyc_engine_ops {
	size_t size;
	/* Runs tasks and callbacks for a while; may be called again from inside a host callback. */
	void (*turn)(struct anyc_engine *engine, unsigned why);
	/* The loop was freed under the engine: waits end with ANYC_EGONE.  May be called from
	 * inside any member but attach and detach.  The backend has let go of everything: self is
	 * no longer valid, and neither side calls the other again, but for ops->free. */
	void (*gone)(struct anyc_engine *engine);
	/* Stores a sentence for the error that attach or create is about to return; returns rc. */
	int (*fail)(int rc, int os_errno, const char *format, ...) ANYC_PRINTF(3, 4);
	void *(*alloc)(size_t size); /* zeroed; NULL: none left */
	void (*free)(void *block);
	/* Sends a line to the report hook. */
	void (*report)(int rc, const char *format, ...) ANYC_PRINTF(2, 3);
	/* For loops with a clock of their own. */
	void (*waits)(struct anyc_engine *engine, struct anyc_engine_waits *out);
	/* Each batch of ready tasks runs in an order drawn from the seed; 0: as they came. */
	void (*shuffle)(struct anyc_engine *engine, uint64_t seed);
	/* Calls fn with each task that is about to run; NULL: no longer. */
	void (*observe)(struct anyc_engine *engine, anyc_observe_fn *fn, void *arg);
};
struct anyc_engine {
	const struct anyc_engine_ops *ops;
};
/* The table, for backends that link libanyc and allocate before there is an engine. */
ANYC_API const struct anyc_engine_ops *anyc_engine_operations(void);

/*
 * A network of the loop's own, below anyc_resolve(), anyc_tcp_connect() and anyc_tcp_listen(),
 * which have checked the arguments and store the sentence of an error.
 */
struct anyc_net_ops {
	size_t size; /* of this structure */
	/* In a task.  As anyc_resolver_fn: port 0 stands for a numeric service. */
	int (*resolve)(void *self, struct anyc_addresses *out, const char *host,
		       const char *service, const struct anyc_resolve_options *options);
	/* In a task, after a look for a cancellation: connects to one address, from one or NULL. */
	int (*connect)(void *self, struct anyc_stream **out, const struct anyc_address *to,
		       const struct anyc_address *from);
	/* No checkpoint: one listener for one or more addresses that have one port, maybe 0. */
	int (*listen)(void *self, struct anyc_listener **out, const struct anyc_addresses *list,
		      const struct anyc_tcp_listen_options *options);
};

struct anyc_backend {
	uint32_t abi;     /* ANYC_BACKEND_ABI */
	uint32_t size;    /* sizeof(struct anyc_backend): later versions append members */
	const char *name; /* "libuv": what anyc_current_library() says */
	const char *run_symbol; /* the library's run function, for the look up the stack; or NULL */

	/* Required. */

	/*
	 * Has pollfd (level-triggered) watched on the loop, which need not run yet.  The watch
	 * stays until detach and does not keep the loop alive until keepalive says so. errors
	 * -errno, ANYC_ECONFLICT, ANYC_EABI, each with fail()'s sentence
	 */
	int (*attach)(void *native, int pollfd, struct anyc_engine *engine, void **self);
	/*
	 * Stops the watch at once: turn is not called again, pollfd is closed after the return.
	 * done(arg), if given, comes when the native handles have gone: now, or as the loop runs.
	 * self is no longer valid.  In a forked child without after_fork the parent's watch stays.
	 */
	void (*detach)(void *self, anyc_detached_fn *done, void *arg);
	/* Has turn(ANYC_TURN_SOON) called once before the loop blocks, but after it polled once. */
	void (*soon)(void *self);
	/* On while tasks live: the loop does not end; off: it may. */
	void (*keepalive)(void *self, bool on);

	/* Optional, all four together: for anyc_run(). */

	int (*create)(void **native, const struct anyc_engine_ops *ops);
	void (*destroy)(void *native);
	/* Until stop, or until nothing keeps the loop alive; ANYC_EDEADLK: tasks live, and nothing
	 * could ever wake one: their waits end with this code, and run is called again. */
	int (*run)(void *self);
	void (*stop)(void *self); /* ends the run that is on; if none is, the next one at once */

	/* Optional. */

	/* Runs the loop without waiting until detached handles have gone, then closes it.
	 * errors  -EBUSY (handles that are not ours) */
	int (*close)(void *native);
	/*
	 * In a forked child: watch the new pollfd; the old one is still open.  The application has
	 * called uv_loop_fork(), event_reinit() or ev_loop_fork() before: otherwise libuv and
	 * libevent end the parent's watch.  errors  -errno; then only detach may follow
	 */
	int (*after_fork)(void *self, int pollfd);
	/*
	 * A clock of the loop's own: no timer of the kernel is set.  The loop asks waits() before
	 * it blocks, and has turn called when its clock has come to the deadline.
	 */
	int64_t (*now)(void *self);
	/* Only such loops: lets happen what is due by the clock; called in a turn, when nothing is
	 * ready and a task waits for just that (anyc_wait_all_blocked()). */
	void (*idle)(void *self);
	/* The network of the loop's own; NULL, or giving NULL: the kernel's. */
	const struct anyc_net_ops *(*net)(void *self);
	/* Reserved. */
	int (*watch_child)(void *self, int pid, void *child);
};

/* The one function that a module exports. */
ANYC_API const struct anyc_backend *anyc_module_backend(void);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/*
 * Loops: an engine inside a native loop, or alone; binding, keep-alive, detaching, root tasks.
 *
 * Rules
 *  - Attaching binds to this thread provisionally; the first turn binds for real.  A later turn
 *    elsewhere moves the binding while no task lives, and aborts otherwise.
 *  - Attaching an attached loop counts; of the detaches the last acts.
 *  - Detach inside a turn stops the backend at once; the engine goes when the outermost turn
 *    returns.
 *  - The loop's memory is the backend's engine pointer: it stays where it is, also when a forked
 *    child attaches the inherited loop anew.
 */
#include "engine.h"

/* ------------------------------------------------------------------- what a backend calls back */

/* Has what a signal handler in this thread will look at: its block, and the loop bound to it. */
static void prepare_thread(void)
{
	struct anyc__entry *one;

	ANYC_IGNORE(anyc__thread_core());
	ANYC_IGNORE(anyc__registry_here(&one));
}

static void rebind(struct anyc_loop *loop)
{
	struct anyc__engine *e = &loop->engine;

	if (!loop->provisional && e->tasks != 0)
		anyc__panic("a %s loop with %zu live tasks turns on another thread than before; "
			    "tasks stay "
			    "on the thread they started on",
			    anyc_loop_library(loop), e->tasks);
	e->thread = anyc__thread_id();
	anyc__registry_bind(&loop->entry);
	prepare_thread();
}

int anyc__loop_take(struct anyc_loop *loop)
{
	if (loop->engine.thread == anyc__thread_id())
		return 0;
	if (!loop->provisional)
		return anyc__misuse(ANYC_ETHREAD,
				    "anyc_run: the loop has run in another thread; run it there");
	rebind(loop);
	return 0;
}

static void op_turn(struct anyc_engine *engine, unsigned why)
{
	struct anyc_loop *loop = ANYC__CONTAINER(engine, struct anyc_loop, engine.base);

	if (loop->engine.gone || loop->engine.detached)
		return;
	if (loop->engine.fork_generation != anyc__fork_generation())
		return;
	if (ANYC__UNLIKELY(loop->engine.thread != anyc__thread_id()))
		rebind(loop);
	loop->provisional = false;
	anyc__turn(&loop->engine, why);
}

static void end_wait(struct anyc_task *t, int rc)
{
	if (t->state != ANYC__PARKED || t->abort == NULL)
		return;
	t->abort(t, t->abort_arg);
	anyc__unpark(t, rc);
}

static void end_waits(struct anyc__engine *e, int rc)
{
	struct anyc_task *t;
	int depth = 0;

	for (t = anyc__tasks_first(e); t != NULL; t = anyc__tasks_next(t, &depth))
		end_wait(t, rc);
}

bool anyc__loop_deadlocked(struct anyc_loop *loop)
{
	end_waits(&loop->engine, ANYC_EDEADLK);
	return loop->engine.ready_first != NULL;
}

/* The loop was freed: every wait ends with ANYC_EGONE, and the tasks run to their ends here. */
static void op_gone(struct anyc_engine *engine)
{
	struct anyc_loop *loop = ANYC__CONTAINER(engine, struct anyc_loop, engine.base);
	struct anyc__engine *e = &loop->engine;

	if (e->gone || e->detached)
		return;
	e->gone = true;
	anyc__registry_remove(&loop->entry);
	end_waits(e, ANYC_EGONE);
	while (e->ready_first != NULL || e->local.first != NULL)
		anyc__turn(e, 0);
}

static void op_waits(struct anyc_engine *engine, struct anyc_engine_waits *out)
{
	struct anyc__engine *e = &ANYC__CONTAINER(engine, struct anyc_loop, engine.base)->engine;

	memset(out, 0, sizeof *out);
	out->deadline = anyc__timers_next(&e->timers);
	out->ready = e->ready_first != NULL || e->local.first != NULL || anyc__wake_queued(e);
	out->outside = anyc__waits_outside(e);
}

static void op_shuffle(struct anyc_engine *engine, uint64_t seed)
{
	struct anyc_loop *loop = ANYC__CONTAINER(engine, struct anyc_loop, engine.base);

	anyc__order_shuffle(&loop->engine, seed);
}

static void op_observe(struct anyc_engine *engine, anyc_observe_fn *fn, void *arg)
{
	struct anyc_loop *loop = ANYC__CONTAINER(engine, struct anyc_loop, engine.base);

	anyc__order_observe(&loop->engine, fn, arg);
}

static void *op_alloc(size_t size)
{
	return anyc__alloc(size);
}

static const struct anyc_engine_ops engine_ops = {
	.size = sizeof engine_ops,
	.turn = op_turn,
	.gone = op_gone,
	.fail = anyc_fail,
	.alloc = op_alloc,
	.free = anyc__free,
	.report = anyc_report,
	.waits = op_waits,
	.shuffle = op_shuffle,
	.observe = op_observe,
};

const struct anyc_engine_ops *anyc_engine_operations(void)
{
	return &engine_ops;
}

/* --------------------------------------------------------------------------- hosts of engines */

static void loop_free(struct anyc__engine *e)
{
	struct anyc_loop *loop = anyc__loop_of(e);

	anyc__engine_fini(e);
	anyc__count(ANYC__LOOPS, -1);
	anyc__free(loop);
}

static void native_soon(struct anyc__engine *e)
{
	struct anyc_loop *loop = anyc__loop_of(e);

	loop->backend->soon(loop->self);
}

static void native_keepalive(struct anyc__engine *e, bool on)
{
	struct anyc_loop *loop = anyc__loop_of(e);

	loop->backend->keepalive(loop->self, on);
}

static int64_t native_now(const struct anyc__engine *e)
{
	const struct anyc_loop *loop = (const struct anyc_loop *)(const void *)e;

	return loop->backend->now(loop->self);
}

static void native_idle(struct anyc__engine *e)
{
	struct anyc_loop *loop = anyc__loop_of(e);

	if (loop->backend->idle != NULL)
		loop->backend->idle(loop->self);
}

static const struct anyc__host native_host = {
	.soon = native_soon, .keepalive = native_keepalive, .ended = loop_free};
static const struct anyc__host native_host_with_clock = {
	.soon = native_soon,
	.keepalive = native_keepalive,
	.ended = loop_free,
	.now = native_now,
	.idle = native_idle,
};

static void alone_soon(struct anyc__engine *e)
{
	(void)e; /* anyc_run() turns it while anything is ready */
}

static void alone_keepalive(struct anyc__engine *e, bool on)
{
	(void)e;
	(void)on;
}

static const struct anyc__host alone_host = {
	.soon = alone_soon, .keepalive = alone_keepalive, .ended = loop_free};

/* ------------------------------------------------------------------------------------- attach */

static int loop_init(struct anyc_loop *loop, const struct anyc_backend *backend, void *native)
{
	const struct anyc__host *host = backend == NULL	       ? &alone_host
					: backend->now != NULL ? &native_host_with_clock
							       : &native_host;

	loop->backend = backend;
	loop->attached = 1;
	loop->provisional = true;
	loop->engine.base.ops = &engine_ops;
	loop->engine.entry = &loop->entry;
	loop->entry.library = backend != NULL ? backend->name : "anyc";
	loop->entry.run_symbol = backend != NULL ? backend->run_symbol : NULL;
	loop->entry.native = backend != NULL ? native : loop;
	loop->entry.loop = loop;
	return anyc__engine_init(&loop->engine, host, true);
}

static int loop_make(struct anyc_loop **out, const struct anyc_backend *backend, void *native)
{
	struct anyc_loop *loop = anyc__alloc(sizeof *loop);
	int rc;

	if (loop == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory for a loop");
	rc = loop_init(loop, backend, native);
	if (rc == 0 && backend != NULL) {
		rc = backend->attach(native, loop->engine.poller.epoll, &loop->engine.base,
				     &loop->self);
		if (rc != 0)
			anyc__engine_fini(&loop->engine);
	}
	if (rc != 0) {
		anyc__free(loop);
		return rc;
	}
	anyc__count(ANYC__LOOPS, 1);
	anyc__registry_add(&loop->entry);
	prepare_thread();
	*out = loop;
	return 0;
}

int anyc__loop_alone(struct anyc_loop **out)
{
	return loop_make(out, NULL, NULL);
}

/* A forked child attaches a loop that its parent had attached: a new engine in the same place. */
static int attach_inherited(struct anyc_loop *loop)
{
	const struct anyc_backend *backend = loop->backend;
	void *self = loop->self, *native = loop->entry.native;
	struct anyc__engine old = loop->engine;
	int rc;

	anyc__engine_unlist(&loop->engine);
	memset(loop, 0, sizeof *loop);
	rc = loop_init(loop, backend, native);
	loop->self = self;
	if (rc == 0)
		rc = backend->after_fork(self, loop->engine.poller.epoll);
	anyc__engine_fini(&old); /* after the backend has let go of its descriptor */
	if (rc != 0)
		return rc;
	/* The parent's tasks are not here. */
	backend->keepalive(self, false);
	anyc__registry_add(&loop->entry);
	return 0;
}

/* A child in a turn of the engine that it inherited would return into nothing. */
static int refuse_in_inherited_turn(const void *native)
{
	const struct anyc__entry *entry = anyc__registry_inherited(native);
	const struct anyc__engine *e = entry != NULL ? &entry->loop->engine : NULL;

	if (e == NULL || e->turns == 0 || e->thread != anyc__thread_id())
		return 0;
	return anyc__misuse(ANYC_EMISUSE,
			    "anyc_loop_attach: the child was forked in a turn of this loop, by a "
			    "task or a callback of anyc's; fork outside of it, or run a new loop");
}

static int backend_check(const struct anyc_backend *backend, const void *native)
{
	if (backend == NULL || native == NULL)
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_loop_attach needs a backend and its native loop");
	if (backend->abi != ANYC_BACKEND_ABI || backend->size < sizeof *backend)
		return anyc_fail(ANYC_EABI, 0,
				 "the backend '%s' was built for interface %u, this is %d",
				 backend->name, backend->abi, ANYC_BACKEND_ABI);
	return 0;
}

int anyc_loop_attach(struct anyc_loop **out, const struct anyc_backend *backend, void *native)
{
	struct anyc__entry *entry;
	int rc;

	*out = NULL;
	rc = backend_check(backend, native);
	if (rc != 0)
		return rc;
	entry = anyc__registry_find(native);
	if (entry != NULL) {
		entry->loop->attached++;
		*out = entry->loop;
		return 0;
	}
	rc = refuse_in_inherited_turn(native);
	if (rc == 0)
		rc = anyc__plain_close();
	if (rc != 0)
		return rc;
	anyc__unwind_know(backend->name, backend->run_symbol);
	entry = anyc__registry_take_inherited(native);
	if (entry == NULL || backend->after_fork == NULL)
		return loop_make(out, backend, native);
	rc = attach_inherited(entry->loop);
	if (rc == 0)
		*out = entry->loop;
	return rc;
}

/* ------------------------------------------------------------------------------------- detach */

/* 0, or why this thread may not touch the loop. */
static int check_loop(const struct anyc_loop *loop, const char *what)
{
	if (loop == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s needs a loop", what);
	if (loop->engine.fork_generation != anyc__fork_generation())
		return anyc_fail(ANYC_EFORKED, 0,
				 "%s: the loop belongs to the parent process; attach it anew",
				 what);
	if (loop->engine.thread != anyc__thread_id())
		return anyc__misuse(ANYC_ETHREAD,
				    "%s: the loop belongs to another thread; post to it with "
				    "anyc_token_post()",
				    what);
	return 0;
}

int anyc_loop_detach_then(struct anyc_loop *loop, anyc_detached_fn *done, void *arg)
{
	struct anyc__engine *e;
	int rc = check_loop(loop, "anyc_loop_detach");

	if (rc == 0)
		rc = anyc__refuse_in_probe(&loop->engine, "anyc_loop_detach()");
	if (rc != 0)
		return rc;
	e = &loop->engine;
	if (loop->attached > 1) {
		loop->attached--;
		return 0;
	}
	if (e->tasks != 0)
		return anyc_fail(ANYC_EBUSY, 0,
				 "%zu tasks live on the loop; cancel them with "
				 "anyc_loop_cancel() and let the loop run until they have ended",
				 e->tasks);
	e->detached = true;
	if (!e->gone)
		anyc__registry_remove(&loop->entry);
	if (loop->backend != NULL && !e->gone)
		loop->backend->detach(loop->self, done, arg);
	else if (done != NULL)
		done(arg);
	if (e->turns == 0)
		loop_free(e);
	return 0;
}

int anyc_loop_detach(struct anyc_loop *loop)
{
	return anyc_loop_detach_then(loop, NULL, NULL);
}

int anyc_loop_close(struct anyc_loop *loop)
{
	const struct anyc_backend *backend;
	struct anyc__running running;
	void *native;
	int rc = check_loop(loop, "anyc_loop_close");

	if (rc != 0)
		return rc;
	backend = loop->backend;
	native = loop->entry.native;
	if (backend == NULL || backend->close == NULL)
		return anyc_fail(ANYC_ENOTSUP, 0, "%s loops are closed by their own call, after "
				 "anyc_loop_detach()", anyc_loop_library(loop));
	if (loop->engine.turns != 0 ||
	    (anyc__unwind_running(&running) && strcmp(running.library, backend->name) == 0))
		return anyc__misuse(ANYC_EMISUSE,
				    "a %s loop runs in this thread; close it where it does not",
				    backend->name);
	if (loop->attached > 1)
		return anyc_fail(ANYC_EBUSY, 0,
				 "the loop is attached %u times; detach the others first",
				 loop->attached);
	rc = anyc_loop_detach(loop);
	return rc != 0 ? rc : backend->close(native);
}

/* --------------------------------------------------------------------------------- root tasks */

static void link_root(struct anyc__engine *e, struct anyc_task *t)
{
	t->next = e->roots;
	if (e->roots != NULL)
		e->roots->prev = t;
	e->roots = t;
	anyc__scope_init_base(&t->base, t, NULL);
}

/*
 * From outside of a turn: the native loop may have been freed since it was asked for one, and asked
 * again it finds out.  That ends all tasks, so before anything is done to them.
 */
static void ask_anew(struct anyc_loop *loop)
{
	struct anyc__engine *e = &loop->engine;

	if (e->turns != 0)
		return;
	e->soon_asked = false;
	anyc__soon(e);
}

static int spawn_root(struct anyc_loop *loop, anyc_task_fn *fn, void *arg,
		      const struct anyc_loop_spawn_options *options, size_t size, const char *name,
		      void *site)
{
	struct anyc_loop_spawn_options o;
	struct anyc__task_spec spec = {.fn = fn, .arg = arg, .site = site};
	struct anyc_task *t;
	int rc = check_loop(loop, "anyc_loop_spawn");

	if (rc == 0)
		rc = anyc__refuse_in_probe(&loop->engine, "anyc_loop_spawn()");
	if (rc == 0)
		ask_anew(loop);
	if (rc == 0 && (loop->engine.gone || loop->engine.detached))
		rc = anyc_fail(ANYC_EGONE, 0, "anyc_loop_spawn: the loop has gone");
	if (rc != 0)
		return rc;
	anyc__options_read(&o, sizeof o, options, size);
	spec.name = o.name != NULL ? o.name : name;
	spec.stack_size = o.stack_size;
	spec.copy = o.copy;
	spec.copy_size = o.copy_size;
	spec.fpenv = o.fpenv;
	spec.background = o.background;
	rc = anyc__task_make(&t, &loop->engine, &spec);
	if (rc != 0)
		return rc;
	t->on_done = o.on_done;
	t->done_arg = o.done_arg;
	if (o.id != NULL)
		*o.id = t->id;
	link_root(&loop->engine, t);
	if (o.background)
		loop->engine.cancelling = false;
	anyc__task_born(t);
	return 0;
}

int anyc_loop_spawn_opts_named(struct anyc_loop *loop, anyc_task_fn *fn, void *arg,
			       const struct anyc_loop_spawn_options *options, size_t size,
			       const char *name)
{
	return spawn_root(loop, fn, arg, options, size, name, __builtin_return_address(0));
}

int anyc_loop_spawn_named(struct anyc_loop *loop, anyc_task_fn *fn, void *arg,
			  anyc_done_fn *on_done, void *done_arg, const char *name)
{
	struct anyc_loop_spawn_options o = {.on_done = on_done, .done_arg = done_arg};

	return spawn_root(loop, fn, arg, &o, sizeof o, name, __builtin_return_address(0));
}

int anyc_loop_spawn_copy_named(struct anyc_loop *loop, anyc_task_fn *fn, const void *ptr,
			       size_t size, anyc_done_fn *on_done, void *done_arg, const char *name)
{
	struct anyc_loop_spawn_options o = {
		.copy = ptr, .copy_size = size, .on_done = on_done, .done_arg = done_arg};

	if (ptr == NULL || size == 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_loop_spawn_copy: nothing to copy");
	return spawn_root(loop, fn, NULL, &o, sizeof o, name, __builtin_return_address(0));
}

int anyc_loop_cancel(struct anyc_loop *loop, const char *reason)
{
	int rc = check_loop(loop, "anyc_loop_cancel");

	if (rc != 0)
		return rc;
	ask_anew(loop);
	anyc__engine_cancel(&loop->engine, reason);
	return 0;
}

int anyc_loop_cancel_task(struct anyc_loop *loop, uint64_t id, const char *reason)
{
	struct anyc_task *t;
	int rc = check_loop(loop, "anyc_loop_cancel_task");

	if (rc != 0)
		return rc;
	for (t = loop->engine.roots; t != NULL && t->id != id; t = t->next)
		;
	if (t == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "no root task with the id %llu lives on the loop",
				 (unsigned long long)id);
	anyc__scope_cancel(&t->base, ANYC_CAUSE_CANCEL, reason);
	return 0;
}

/* -------------------------------------------------------------------------------------- facts */

const char *anyc_loop_library(const struct anyc_loop *loop)
{
	return loop->entry.library;
}

void *anyc_loop_native(const struct anyc_loop *loop)
{
	return loop->backend != NULL ? loop->entry.native : NULL;
}

size_t anyc_loop_tasks(const struct anyc_loop *loop)
{
	return loop->engine.tasks;
}

struct anyc_loop *anyc_current_loop(void)
{
	struct anyc__entry *entry = anyc__current_entry();

	return entry != NULL ? entry->loop : NULL;
}

struct anyc__engine *anyc__current_engine(void)
{
	struct anyc__plain *plain;
	struct anyc__entry *entry;

	if (anyc__thread.task != NULL)
		return anyc__thread.task->engine;
	entry = anyc__current_entry();
	if (entry != NULL)
		return &entry->loop->engine;
	plain = anyc__plain();
	return plain != NULL ? &plain->engine : NULL;
}

const struct anyc_net_ops *anyc__net(void **self)
{
	struct anyc__engine *e = anyc__current_engine();
	const struct anyc_loop *loop;

	*self = NULL;
	if (e == NULL || e->entry == NULL || e->gone)
		return NULL;
	loop = anyc__loop_of(e);
	if (loop->backend == NULL || loop->backend->net == NULL)
		return NULL;
	*self = loop->self;
	return loop->backend->net(loop->self);
}

int64_t anyc_now(void)
{
	static const struct anyc__host monotonic;
	static const struct anyc__engine none = {.host = &monotonic};
	const struct anyc__engine *e = anyc__current_engine();

	return anyc__now(e != NULL ? e : &none);
}

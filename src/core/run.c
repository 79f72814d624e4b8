/* SPDX-License-Identifier: MIT */
/*
 * anyc_run(): a loop for a program that does not care which; and backends by name.
 *
 * Rule: it returns when the main task and all others have ended; tasks that were spawned in the
 * background are cancelled when only such remain.
 */
#include "engine.h"

struct run {
	bool done;
	int rc;
};

static void main_ended(void *arg, int rc, void *copy)
{
	struct run *run = arg;

	(void)copy;
	run->done = true;
	run->rc = rc;
}

/* No task is left that keeps the loop alive. */
void anyc__loop_idle(struct anyc_loop *loop)
{
	struct anyc__engine *e = &loop->engine;
	struct anyc_task *t, *next;

	if (e->tasks == 0) {
		if (loop->backend != NULL)
			loop->backend->stop(loop->self);
		return;
	}
	if (e->cancelling)
		return;
	e->cancelling = true;
	for (t = e->roots; t != NULL; t = next) {
		next = t->next;
		if (t->background)
			anyc__scope_cancel(&t->base, ANYC_CAUSE_CANCEL,
					   "only background tasks remain");
	}
}

static void run_alone(struct anyc_loop *loop)
{
	while (loop->engine.tasks != 0)
		anyc__drive(&loop->engine);
}

/* The native loop may end early, by a stop of its own: then tasks are cancelled and waited for. */
static int run_native(struct anyc_loop *loop, const struct run *run)
{
	int rc = 0;

	while (rc == 0 && (loop->engine.tasks != 0 || !run->done)) {
		rc = loop->backend->run(loop->self);
		if (loop->engine.gone)
			return ANYC_EGONE;
		if (rc == ANYC_EDEADLK && anyc__loop_deadlocked(loop))
			rc = 0;
		else if (loop->engine.tasks != 0)
			anyc__engine_cancel(&loop->engine, "the native loop was stopped");
	}
	return rc;
}

static int refuse_nested(void)
{
	const struct anyc_task *t = anyc__thread.task;
	struct anyc__running running;

	if ((t != NULL && !t->is_root_of_thread) || anyc__thread.frames != 0)
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_run: a loop is already running in this thread; call the "
				    "function, or spawn a task");
	if (anyc__unwind_running(&running))
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_run: %s() is already running in this thread; attach "
				    "its loop and spawn a task",
				    running.symbol);
	return anyc__plain_close();
}

static int backend_by_name(const char *name, const struct anyc_backend **backend)
{
	char why[ANYC__SENTENCE];
	int rc;

	*backend = NULL;
	if (name == NULL || strcmp(name, "anyc") == 0)
		return 0;
	rc = anyc__module_get(name, backend, why, sizeof why);
	return rc == 0 ? 0 : anyc_fail(rc, 0, "%s", why);
}

/* Attaches the loop to run: the caller's, or one made here, which *made tells. */
static int open_loop(struct anyc_loop **loop, const struct anyc_backend *backend, void *native,
		     void **made)
{
	int rc;

	*made = NULL;
	if (backend == NULL)
		return anyc__loop_alone(loop);
	if (backend->run == NULL || backend->stop == NULL ||
	    (native == NULL && backend->create == NULL))
		return anyc_fail(ANYC_ENOTSUP, 0, "the backend '%s' cannot run a loop of its own",
				 backend->name);
	if (native == NULL) {
		rc = backend->create(made, anyc_engine_operations());
		if (rc != 0)
			return rc;
		native = *made;
	}
	rc = anyc_loop_attach(loop, backend, native);
	if (rc != 0 && *made != NULL)
		backend->destroy(*made);
	if (rc != 0)
		return rc;
	rc = anyc__loop_take(*loop);
	if (rc != 0)
		(*loop)->attached--; /* not by a detach, which only the other thread may call */
	return rc;
}

static int run_main(struct anyc_loop *loop, const struct anyc_run_options *o, anyc_task_fn *fn,
		    void *arg)
{
	struct run run = {0};
	struct anyc_loop_spawn_options spawn = {
		.name = o->name != NULL ? o->name : "main",
		.stack_size = o->stack_size != 0 ? o->stack_size : (size_t)1 << 20,
		.on_done = main_ended,
		.done_arg = &run,
	};
	int rc = anyc_loop_spawn_opts_named(loop, fn, arg, &spawn, sizeof spawn, NULL);

	if (rc != 0)
		return rc;
	loop->runs = true;
	if (loop->backend == NULL)
		run_alone(loop);
	else
		rc = run_native(loop, &run);
	loop->runs = false;
	return rc != 0 ? rc : run.rc;
}

int anyc_run_sized(const struct anyc_run_options *options, size_t size, anyc_task_fn *fn, void *arg)
{
	struct anyc_run_options o;
	const struct anyc_backend *backend;
	struct anyc_loop *loop;
	void *made;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	if (fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_run needs a function");
	rc = refuse_nested();
	if (rc == 0)
		rc = backend_by_name(o.backend, &backend);
	if (rc == 0)
		rc = open_loop(&loop, backend, o.native, &made);
	if (rc != 0)
		return rc;
	rc = run_main(loop, &o, fn, arg);
	anyc_loop_detach(loop);
	if (made != NULL)
		backend->destroy(made);
	return rc;
}

/* ----------------------------------------------------------------------------- backends by name */

struct named_attach {
	struct anyc_loop **out;
	const char *name;
	void *native;
};

static int attach_named(void *arg)
{
	const struct named_attach *a = arg;
	const struct anyc_backend *backend;
	int rc = backend_by_name(a->name, &backend);

	if (rc != 0)
		return rc;
	if (backend == NULL)
		return anyc_fail(ANYC_ENOTSUP, 0,
				 "'anyc' has no native loop to attach; use anyc_run()");
	return anyc_loop_attach(a->out, backend, a->native);
}

int anyc_loop_attach_named(struct anyc_loop **out, const char *backend, void *native)
{
	struct named_attach a = {out, backend, native};
	const struct anyc_task *t = anyc__current();

	*out = NULL;
	if (backend == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_loop_attach_named needs a backend's name");
	/* A module's constructors expect a stack of ordinary size. */
	return t != NULL && !t->is_root_of_thread ? anyc_outside(attach_named, &a)
						  : attach_named(&a);
}

const char *anyc_backend_known(size_t i)
{
	return anyc__module_known(i);
}

static int available(void *name)
{
	const struct anyc_backend *backend;

	return backend_by_name(name, &backend);
}

int anyc_backend_available(const char *name)
{
	const struct anyc_task *t = anyc__current();

	if (name == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_backend_available needs a name");
	return t != NULL && !t->is_root_of_thread ? anyc_outside(available, (void *)name) :
						     available((void *)name);
}

int anyc_backend_register(const struct anyc_backend *backend)
{
	char why[ANYC__SENTENCE];
	int rc;

	if (backend == NULL || backend->name == NULL)
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_backend_register needs a backend with a name");
	rc = anyc__module_register(backend, why, sizeof why);
	return rc == 0 ? 0 : anyc_fail(rc, 0, "%s", why);
}

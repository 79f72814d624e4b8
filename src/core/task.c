/* SPDX-License-Identifier: MIT */
/*
 * Tasks: making one, its first and its last function, entering calls, parking, sleeping.
 *
 * Rules
 *  - A task's record lies at the top of its own stack, below the stack's record; a private copy of
 *    its argument below that, then the first frame.
 *  - READY -> RUNNING -> PARKED -> READY ... -> ENDED.  Only anyc__unpark() makes PARKED READY, so
 *    the first of a result and a cancellation wins.
 *  - A task ends with no scope open, or the process ends: nobody is left to be told.
 */
#include "engine.h"

#define COPY_ALIGN 64

/* Ids are of the process.  An engine takes them by the block: an atomic operation costs as much as
 * several switches. */
#define IDS_AT_ONCE 4096

uint64_t anyc__new_id(struct anyc__engine *e)
{
	static atomic_uint_fast64_t given;

	if (ANYC__UNLIKELY(e->last_id == e->ids_end)) {
		e->last_id = atomic_fetch_add_explicit(&given, IDS_AT_ONCE, memory_order_relaxed);
		e->ids_end = e->last_id + IDS_AT_ONCE;
	}
	return ++e->last_id;
}

/* ------------------------------------------------------------------------------------- making */

static inline void record_init(struct anyc_task *t, struct anyc__engine *e)
{
	const size_t zero = offsetof(struct anyc_task, names.depth);

	memset((char *)t + zero, 0, offsetof(struct anyc_task, slot.text) - zero);
	t->engine = e;
	t->state = ANYC__PARKED;
	t->is_root_of_thread = t->background = t->fpenv = false;
	t->abort = NULL;
	t->waits_for = NULL;
	t->since = 0;
	t->id = anyc__new_id(e);
	t->timer.place_ = 0;
	t->number = ++e->made;
}

static inline bool is_possible(const struct anyc__task_spec *spec, size_t stack_size)
{
	return spec->fn != NULL && (spec->copy == NULL || spec->copy_size <= stack_size / 4);
}

static __attribute__((noinline)) int impossible(const struct anyc__task_spec *spec,
						size_t stack_size)
{
	if (spec->fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "a task needs a function");
	return anyc_fail(ANYC_EINVAL, 0,
			 "a private copy of %zu bytes is more than a quarter of the task's stack "
			 "of %zu; pass a pointer or a larger stack_size",
			 spec->copy_size, stack_size);
}

static __attribute__((noinline)) int no_stack(size_t size, int rc)
{
	if (rc == -EINVAL)
		return anyc_fail(ANYC_EINVAL, 0,
				 "a stack of %zu bytes is not possible: the least is %zu", size,
				 anyc__stack_minimum());
	return anyc_fail(rc, -rc,
			 "no memory for a task's stack of %zu KiB; under the mprotect guards "
			 "vm.max_map_count limits their number",
			 size >> 10);
}

int anyc__task_make(struct anyc_task **out, struct anyc__engine *e,
		    const struct anyc__task_spec *spec)
{
	size_t size = spec->stack_size != 0 ? spec->stack_size : ANYC__STACK_DEFAULT;
	struct anyc__stack *stack;
	struct anyc_task *t;
	uintptr_t top;
	int rc;

	*out = NULL;
	if (ANYC__UNLIKELY(!is_possible(spec, size)))
		return impossible(spec, size);
	rc = anyc__stack_get(&e->stacks, size, &stack);
	if (ANYC__UNLIKELY(rc != 0))
		return no_stack(size, rc);
	t = (struct anyc_task *)(((uintptr_t)stack - sizeof *t) & ~(uintptr_t)(COPY_ALIGN - 1));
	record_init(t, e);
	top = (uintptr_t)t;
	t->copy = NULL;
	if (spec->copy != NULL) {
		top = (top - spec->copy_size) & ~(uintptr_t)(COPY_ALIGN - 1);
		t->copy = memcpy((void *)top, spec->copy, spec->copy_size);
	}
	t->stack = stack;
	t->stack_low = (uintptr_t)stack->low;
	t->stack_high = (uintptr_t)stack;
	t->fn = spec->fn;
	t->arg = t->copy != NULL ? t->copy : spec->arg;
	t->name = stack->name = spec->name;
	t->fpenv = spec->fpenv;
	t->background = spec->background;
	t->site = spec->site;
	if (ANYC__UNLIKELY(anyc__thread.task != NULL && anyc__thread.task->locals != NULL))
		anyc__locals_inherit(t);
	anyc__context_make(&t->context, stack->low, (void *)top, anyc__task_first, t);
	*out = t;
	return 0;
}

void anyc__task_drop(struct anyc_task *t)
{
	anyc__stack_put(&t->engine->stacks, t->stack);
}

void anyc__task_born(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	e->tasks++;
	e->background += t->background;
	if (ANYC__UNLIKELY(e->probes & ANYC__PROBE_SPAWNED))
		anyc__probe(e, ANYC__PROBE_SPAWNED, t, 0);
	anyc__unpark(t, 0);
	/* The spawner may run the host's loop before it gives way: that loop is to run the task. */
	if (e->turns == 0)
		anyc__keepalive(e);
	else if (!e->soon_asked)
		anyc__soon(e);
}

void anyc__task_init_root(struct anyc_task *t, struct anyc__engine *e)
{
	record_init(t, e);
	t->name = "main";
	t->is_root_of_thread = true;
	t->state = ANYC__RUNNING;
	anyc__thread_stack(&t->stack_low, &t->stack_high);
	anyc__scope_init_base(&t->base, t, NULL);
}

/* ------------------------------------------------------------------------------------- ending */

static void end_root(struct anyc_task *t, int result)
{
	struct anyc__engine *e = t->engine;

	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		e->roots = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	t->result = result;
	anyc__turn_done(t);
}

/* What the function returned becomes the task's end. */
static inline void end(struct anyc_task *t, int rc)
{
	bool cancelled;

	if (t->scope != &t->base)
		anyc__panic("task '%s' ended inside a scope or group entered at %p; leave it first",
			    t->name, t->scope->site_);
	if (ANYC__UNLIKELY(t->owned != 0))
		anyc__owner_ended(t);
	if (ANYC__UNLIKELY(t->held_count != 0))
		anyc__abandon_held(t);
	cancelled = rc == ANYC_ECANCELED && t->base.effective_;
	if (ANYC__UNLIKELY(t->base.timer_.place_ != 0))
		anyc__timer_unset(t->engine, &t->base.timer_);
	if (ANYC__UNLIKELY(t->locals != NULL))
		anyc__locals_end(t);
	if (ANYC__UNLIKELY(t->engine->probes & ANYC__PROBE_DONE))
		anyc__probe(t->engine, ANYC__PROBE_DONE, t, rc);
	t->state = ANYC__ENDED;
	if (t->handle != NULL)
		anyc__handle_ended(t->handle, rc, cancelled);
	if (t->group != NULL)
		anyc__group_task_ended(t->group, t, rc);
	else
		end_root(t, cancelled ? ANYC_ETASKCANCELED : rc);
	if (ANYC__UNLIKELY(t->errors != NULL))
		anyc__errors_forget(t);
}

void anyc__task_run(struct anyc_task *t)
{
	end(t, t->fn(t->arg));
}

/* ----------------------------------------------------------------------------- entering calls */

struct anyc_task *anyc__current(void)
{
	return anyc__thread.task;
}

uint64_t anyc__process(void)
{
	return anyc__fork_generation();
}

int anyc__engine_check(const struct anyc__engine *e)
{
	if (e->fork_generation != anyc__fork_generation())
		return anyc_fail(ANYC_EFORKED, 0,
				 "a forked child cannot wait in what it inherited; attach "
				 "its loop anew, or use a thread that had nothing open");
	if (e->gone)
		return anyc_fail(ANYC_EGONE, 0,
				 "the event loop under this task was freed; detach it with "
				 "anyc_loop_detach() before freeing it");
	return 0;
}

static int find_task(struct anyc_task **out)
{
	struct anyc_task *t = anyc__thread.task;
	int rc;

	if (t == NULL)
		return anyc__plain_root(out);
	*out = t;
	rc = anyc__engine_check(t->engine);
	return rc == ANYC_EFORKED && t->is_root_of_thread ? anyc__plain_root(out) : rc;
}

/* Whether the current task may go on as it is: all scopes that it has left, it left by leave. */
static inline bool is_sound(const struct anyc_task *t, const void *frame)
{
	return t != NULL && anyc__engine_fit(t->engine) && anyc__scope_is_sound(t, frame);
}

static __attribute__((noinline)) struct anyc__entered enter_closer(const void *frame)
{
	struct anyc__entered in = {0};

	in.rc = find_task(&in.task);
	if (in.rc == 0 && !anyc__scope_is_sound(in.task, frame))
		anyc__scope_unsound(in.task);
	return in;
}

struct anyc__entered anyc__entered_uncancelled(void)
{
	const void *frame = __builtin_frame_address(0);
	struct anyc_task *t = anyc__thread.task;

	return ANYC__LIKELY(is_sound(t, frame)) ? (struct anyc__entered){t, 0}
						: enter_closer(frame);
}

/* A cancelled checkpoint lets others run first: a loop around it cannot stop them (rule 1). */
static int cancelled_after_yield(struct anyc_task *t)
{
	int rc;

	if (t->engine->probes & ANYC__PROBE_CANCEL)
		anyc__place_checkpoint(t);
	rc = anyc__cancelled(t);
	if (rc != 0)
		anyc__yield(t);
	return rc;
}

static inline bool may_be_cancelled(const struct anyc_task *t)
{
	return anyc__scope_may_be_cancelled(t) ||
	       (t->engine->probes & ANYC__PROBE_CANCEL) != 0;
}

static __attribute__((noinline)) struct anyc__entered enter_cancelled(const void *frame)
{
	struct anyc__entered in = enter_closer(frame);

#ifndef PLANT_SKIP_CANCEL_CHECK
	if (in.rc == 0 && may_be_cancelled(in.task))
		in.rc = cancelled_after_yield(in.task);
#endif
	return in;
}

static inline struct anyc__entered enter(const void *frame)
{
	struct anyc_task *t = anyc__thread.task;

	return ANYC__LIKELY(is_sound(t, frame) && !may_be_cancelled(t))
		       ? (struct anyc__entered){t, 0}
		       : enter_cancelled(frame);
}

struct anyc__entered anyc__entered(void)
{
	return enter(__builtin_frame_address(0));
}

/* ------------------------------------------------------------------------------------ parking */

static __attribute__((noinline)) void parked(struct anyc_task *t)
{
	if (t->engine->probes & ANYC__PROBE_CLOCK)
		t->since = anyc__now(t->engine);
	if (t->engine->probes & ANYC__PROBE_CANCEL)
		anyc__place_parked(t);
}

static int park(struct anyc_task *t, anyc__abort_fn *abort, void *arg, const char *what)
{
	t->abort = abort;
	t->abort_arg = arg;
	t->waits_for = what;
	t->state = ANYC__PARKED;
	if (ANYC__UNLIKELY(t->engine->probes & (ANYC__PROBE_CLOCK | ANYC__PROBE_CANCEL)))
		parked(t);
	return anyc__switch_parked(t);
}

/*
 * A cancellation tells parked tasks only, and once.  One that was woken for nothing and parks
 * again, in the same call, may have been cancelled between the two.
 */
int anyc__park(struct anyc_task *t, anyc__abort_fn *abort, void *arg, const char *what)
{
	int rc = anyc__engine_fit(t->engine) ? 0 : anyc__engine_check(t->engine);

	if (rc == 0 && abort != NULL && t->scope->deadline_scope_ != NULL)
		rc = anyc__scope_arm(t);
	if (rc == 0 && abort != NULL && ANYC__UNLIKELY(t->scope->effective_))
		rc = anyc__cancelled(t);
	if (ANYC__UNLIKELY(rc != 0)) {
		if (abort != NULL)
			abort(t, arg);
		return rc;
	}
	return park(t, abort, arg, what);
}

int anyc__park_for_tasks(struct anyc_task *t, const char *what)
{
	int rc = anyc__engine_fit(t->engine) ? 0 : anyc__engine_check(t->engine);

	return rc != 0 && rc != ANYC_EGONE ? rc : park(t, NULL, NULL, what);
}

void anyc__unpark(struct anyc_task *t, int result)
{
	anyc__wake(t, result);
}

struct timed {
	anyc__abort_fn *abort;
	void *arg;
};

static void timed_abort(struct anyc_task *t, void *arg)
{
	const struct timed *timed = arg;

	anyc__timer_unset(t->engine, &t->timer);
	if (timed->abort != NULL)
		timed->abort(t, timed->arg);
}

static void timed_fired(struct anyc_timer_ *timer)
{
	struct anyc_task *t = ANYC__CONTAINER(timer, struct anyc_task, timer);

	if (t->state != ANYC__PARKED)
		return;
	timed_abort(t, t->abort_arg);
	anyc__unpark(t, ANYC_ETIMEDOUT);
}

int anyc__park_until(struct anyc_task *t, int64_t when, anyc__abort_fn *abort, void *arg,
		     const char *what)
{
	struct timed timed = {abort, arg};
	int rc;

	if (when == ANYC_FOREVER)
		return anyc__park(t, timed_abort, &timed, what);
	t->timer.fire_ = timed_fired;
	rc = anyc__timer_set(t->engine, &t->timer, when);
	if (rc != 0) {
		timed_abort(t, &timed);
		return rc;
	}
	rc = anyc__park(t, timed_abort, &timed, what);
	anyc__timer_unset(t->engine, &t->timer);
	return rc;
}

/* ---------------------------------------------------------------------- checkpoints and sleep */

int anyc_checkpoint(void)
{
	struct anyc__entered in = enter(__builtin_frame_address(0));

	if (in.rc == 0)
		anyc__yield(in.task);
	return in.rc;
}

int anyc_checkpoint_if_cancelled(void)
{
	struct anyc_task *t;

	return anyc__enter(&t);
}

int anyc_checkpoint_shielded(void)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc == 0)
		anyc__yield(t);
	return rc;
}

static int sleep_until(struct anyc_task *t, int64_t when)
{
	int rc = anyc__park_until(t, when, NULL, NULL, "a time");

	return rc == ANYC_ETIMEDOUT ? 0 : rc;
}

int anyc_sleep(int64_t ns)
{
	struct anyc_task *t;
	int64_t now;
	int rc;

	if (ns < 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sleep: %lld ns is negative", (long long)ns);
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	if (ns == 0) {
		anyc__yield(t);
		return 0;
	}
	now = anyc__now(t->engine);
	return sleep_until(t, ns >= ANYC_FOREVER - now ? ANYC_FOREVER : now + ns);
}

int anyc_sleep_until(int64_t when)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	if (when <= anyc__now(t->engine)) {
		anyc__yield(t);
		return 0;
	}
	return sleep_until(t, when);
}

int anyc_sleep_forever(void)
{
	return anyc_sleep_until(ANYC_FOREVER);
}

/* -------------------------------------------------------------------------------------- facts */

struct anyc__engine *anyc__task_engine(const struct anyc_task *t)
{
	return t->engine;
}

uint64_t anyc__engine_id(const struct anyc__engine *e)
{
	return e->id;
}

uint64_t anyc__task_engine_id(const struct anyc_task *t)
{
	return t->engine->id;
}

uint64_t anyc__task_id(const struct anyc_task *t)
{
	return t->id;
}

const char *anyc__task_name(const struct anyc_task *t)
{
	return t->name;
}

int64_t anyc__now(const struct anyc__engine *e)
{
	struct timespec ts;

	if (e->host->now != NULL)
		return e->host->now(e);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * ANYC_SECOND + ts.tv_nsec;
}

const char *anyc_task_name(void)
{
	return anyc__thread.task != NULL ? anyc__thread.task->name : NULL;
}

uint64_t anyc_task_id(void)
{
	return anyc__thread.task != NULL ? anyc__thread.task->id : 0;
}

int anyc_outside(anyc_task_fn *fn, void *arg)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc != 0)
		return rc;
	if (fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_outside needs a function");
	return anyc__run_outside(t, fn, arg);
}

int anyc_stack_overflow_handler(void)
{
	return anyc__overflow_install();
}

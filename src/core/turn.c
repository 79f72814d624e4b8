/* SPDX-License-Identifier: MIT */
/*
 * Turns: how an engine runs what is ready inside a stretch of its host's time, and the only place
 * where stacks are switched.
 *
 * Rules
 *  - A turn first applies a whole batch of events, then runs callbacks and tasks until none is
 *    ready or the budget is spent.  Every resume and every checkpoint costs one, and so do every
 *    4 KiB that a call moves; what is left over gets another turn soon, after the host has polled.
 *  - A turn may begin below another one (a task runs its host loop): its record is pushed by
 *    value, tasks go back to the innermost record, and the task below stays RUNNING.
 *  - A task that gives way switches straight to the next ready one; it goes back to the turn's
 *    stack when none is ready, the budget is spent, callbacks are due there, or the order of
 *    tasks is somebody's business (order.c, place.c).
 *  - Whoever arrives from a switch first tells the sanitizers, then recycles the stack of the
 *    task that ended, if one has.
 *  - While an engine runs, pthread cancellation is off (rule 28).
 */
#include <dlfcn.h>

#include "engine.h"

/* Resumes, checkpoints and pages moved in a turn: some milliseconds of socket work at the most. */
#define BUDGET 512
#define BYTES_A_POINT 4096
/* Warm stacks that an engine without tasks keeps from its last burst. */
#define IDLE_STACKS 128

/* ------------------------------------------------------------------------------ ready queue */

void anyc__ready_aside(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	if (e->probes & ANYC__PROBE_SCHEDULED)
		anyc__probe(e, ANYC__PROBE_SCHEDULED, t, 0);
	if (e->turns == 0)
		anyc__soon(e);
}

static inline struct anyc_task *pop_ready(struct anyc__engine *e)
{
	struct anyc_task *t = e->ready_first, *next = t->next_ready;

	e->ready_first = next;
	if (next != NULL)
		anyc__context_prefetch(&next->context);
	return t;
}

void anyc__soon(struct anyc__engine *e)
{
	if (e->soon_asked || e->gone || e->detached)
		return;
	e->soon_asked = true;
	e->host->soon(e);
}

/* --------------------------------------------------------------------------------- switching */

/* The C++ runtime keeps a thread's caught exceptions here; each task has its own (rule 29). */
struct cxa_globals {
	void *caught;
	unsigned uncaught;
};

static __attribute__((noinline)) void swap_thread_state_slow(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	if (e->cxa_globals != NULL) {
		struct cxa_globals *now = e->cxa_globals(), mine = {t->cxa.caught, t->cxa.uncaught};

		t->cxa.caught = now->caught;
		t->cxa.uncaught = now->uncaught;
		*now = mine;
	}
	if (t->fpenv) {
		struct anyc__fpenv now;

		anyc__fpenv_save(&now);
		anyc__fpenv_restore(&t->fp);
		t->fp = now;
	}
}

static inline void swap_thread_state(struct anyc_task *t)
{
	if (ANYC__UNLIKELY(t->engine->cxa_globals != NULL || t->fpenv))
		swap_thread_state_slow(t);
}

static void bury(struct anyc__engine *e)
{
	struct anyc_task *t = e->ended;

	e->ended = NULL;
	anyc__task_drop(t);
}

static inline void arrived(struct anyc__engine *e, struct anyc__fiber *self)
{
	anyc__fiber_arrive(self, e->leaving);
	if (e->ended != NULL)
		bury(e);
}

static inline void set_current(struct anyc_task *t)
{
	t->state = ANYC__RUNNING;
	anyc__thread.task = t;
	anyc__thread.names = &t->names;
}

static inline void jump(struct anyc__engine *e, struct anyc__context *save,
			struct anyc__fiber *from, const struct anyc__context *to,
			struct anyc__fiber *to_fiber, bool last)
{
#ifdef ANYC__ASAN
	e->leaving = last ? NULL : from;
#endif
	anyc__fiber_leave(from, to_fiber, last);
	anyc__context_jump(save, to);
	(void)e;
}

/* From a task to the next one or to the turn; last: for good. */
static inline void leave(struct anyc_task *t, bool last)
{
	struct anyc__engine *e = t->engine;
	struct anyc__turn *turn = &e->turn[e->turns - 1];
	struct anyc_task *next = e->ready_first;

	if (--e->budget > 0 && next != NULL && !next->is_root_of_thread && e->done_first == NULL &&
	    e->local.first == NULL && (e->probes & ANYC__PROBE_ORDER) == 0) {
		pop_ready(e);
		set_current(next);
		jump(e, &t->context, &t->stack->fiber, &next->context, &next->stack->fiber, last);
	} else {
		jump(e, &t->context, &t->stack->fiber, &turn->context, &turn->fiber, last);
	}
}

static inline void switch_away(struct anyc_task *t)
{
	t->engine->switches++;
	if (ANYC__UNLIKELY(t->engine->probes & ANYC__PROBE_SUSPENDED))
		anyc__probe(t->engine, ANYC__PROBE_SUSPENDED, t, 0);
	if (t->is_root_of_thread) {
		anyc__plain_block(t);
		return;
	}
	swap_thread_state(t);
	leave(t, false);
	arrived(t->engine, &t->stack->fiber);
	swap_thread_state(t);
}

void anyc__switch_away(struct anyc_task *t)
{
	switch_away(t);
}

/* Its caller's last act, so that it returns to the caller's caller: after a switch every return
 * is mispredicted, which costs twice what the switch does. */
int anyc__switch_parked(struct anyc_task *t)
{
	switch_away(t);
	t->waits_for = NULL;
	t->since = 0;
	return t->wake;
}

static __attribute__((noinline)) void give_way(struct anyc_task *t)
{
	anyc__ready(t);
	switch_away(t);
}

void anyc__yield(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	if (ANYC__UNLIKELY(e->ready_first != NULL || --e->budget <= 0) && !e->gone)
		give_way(t);
}

void anyc__yield_if_spent(struct anyc_task *t)
{
	if (ANYC__UNLIKELY(--t->engine->budget <= 0) && !t->engine->gone)
		give_way(t);
}

static inline void switch_last(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	swap_thread_state(t);
	e->tasks--;
	e->background -= t->background;
	__builtin_prefetch(t->stack, 1);
	if (t->group != NULL)
#ifdef PLANT_STACK_FREED_EARLY
		anyc__task_drop(t);
#else
		e->ended = t;
#endif
	leave(t, true);
	__builtin_unreachable();
}

/* Every call in here has returned when it leaves: see anyc__context_jump(). */
void anyc__task_first(void *task)
{
	struct anyc_task *t = task;

	arrived(t->engine, &t->stack->fiber);
	if (t->fpenv)
		anyc__fpenv_save(&t->fp); /* it starts with a copy of the thread's */
	swap_thread_state(t);
	anyc__task_run(t);
	switch_last(t);
}

void anyc__charge(struct anyc_task *t, size_t bytes)
{
	t->engine->budget -= (int)(bytes / BYTES_A_POINT);
}

/* ----------------------------------------------------------------------------------- running */

static void resume(struct anyc__engine *e, struct anyc__turn *turn, struct anyc_task *t)
{
	set_current(t);
	jump(e, &turn->context, &turn->fiber, &t->context, &t->stack->fiber, false);
	arrived(e, &turn->fiber);
	anyc__thread.task = NULL;
	anyc__thread.names = NULL;
}

void anyc__turn_done(struct anyc_task *t)
{
	struct anyc__engine *e = t->engine;

	t->next_ready = NULL;
	if (e->done_first != NULL)
		e->done_last->next_ready = t;
	else
		e->done_first = t;
	e->done_last = t;
}

/* Root tasks that have ended: their on_done, then their stacks. */
static void run_done(struct anyc__engine *e)
{
	struct anyc_task *t;

	while ((t = e->done_first) != NULL) {
		e->done_first = t->next_ready;
		if (t->on_done != NULL) {
			anyc__slot_copy(anyc__slot(), &t->slot);
			t->on_done(t->done_arg, t->result, t->copy);
		} else if (t->result < 0 && t->result != ANYC_ETASKCANCELED) {
			anyc_report(t->result, "task '%s' failed: %s", t->name,
				    t->slot.rc == t->result ? t->slot.text
							    : anyc_strerror(t->result));
		}
		anyc__task_drop(t);
	}
}

void anyc__post_local(struct anyc__engine *e, struct anyc__post *p)
{
	anyc__posts_append(&e->local, p);
	if (e->turns == 0)
		anyc__soon(e);
}

/* As many as are queued now: a callback that queues another one does not hold up the tasks. */
static void run_local(struct anyc__engine *e)
{
	size_t due = e->local.count;
	struct anyc__post *p;

	while (due-- != 0 && (p = e->local.first) != NULL) {
		anyc__posts_take_out(p);
		e->budget--;
		p->run(p, e->gone || e->detached ? ANYC_EGONE : 0);
	}
}

static struct anyc_task *next_ready(struct anyc__engine *e)
{
	if (ANYC__UNLIKELY(e->probes & ANYC__PROBE_ORDER)) {
		anyc__order_next(e);
		anyc__place_resumed(e->ready_first);
	}
	return pop_ready(e);
}

static void run_ready(struct anyc__engine *e, struct anyc__turn *turn)
{
	run_local(e);
	while (e->ready_first != NULL && e->budget > 0) {
		struct anyc_task *t = next_ready(e);

		if (t->is_root_of_thread) {
			t->state = ANYC__RUNNING;
			turn->root_woken = true;
			return;
		}
		e->budget--;
		resume(e, turn, t);
		run_done(e);
		if (e->local.first != NULL)
			run_local(e);
	}
}

static bool nothing_ready(const struct anyc__engine *e)
{
	return e->ready_first == NULL && e->local.first == NULL;
}

/*
 * Nothing is ready: whoever waits for just that may go on, unless something is due by the clock.
 * Whether there is something to run.
 */
static bool wake_blocked_watchers(struct anyc__engine *e)
{
	if (e->blocked.first_ == NULL || !nothing_ready(e))
		return false;
	if (e->host->idle != NULL)
		e->host->idle(e);
	anyc__timers_run(e);
	if (nothing_ready(e))
		while (anyc__waiters_wake(&e->blocked, 0) != NULL)
			;
	return true;
}

/* ---------------------------------------------------------------------------------- the turn */

/* Inlined, so that the frame's stack pointer is the turn's own. */
static inline __attribute__((always_inline)) struct anyc__turn *push(struct anyc__engine *e)
{
	struct anyc_task *below = anyc__thread.task;
	bool on_task = below != NULL && !below->is_root_of_thread;
	unsigned frame = anyc__frame_push(e->entry, on_task ? below->stack_low : 0,
					  on_task ? below->stack_high : 0);
	struct anyc__turn *turn;

	/* Turns that a longjmp has left above the new frame are over. */
	while (e->turns > 0 && e->turn[e->turns - 1].frame >= frame)
		e->turns--;
	if (e->turns == ANYC__TURNS)
		anyc__panic("more than %d turns of one loop are nested", ANYC__TURNS);
	turn = &e->turn[e->turns++];
	turn->below = below;
	turn->names = anyc__thread.names;
	turn->frame = frame;
	turn->budget = e->budget;
	turn->root_woken = false;
	anyc__fiber_init(&turn->fiber, NULL, 0);
	turn->outer = anyc__turning(e);
	anyc__thread.task = NULL;
	anyc__thread.names = NULL;
	if (e->turns == 1)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &turn->cancel_state);
	return turn;
}

static inline void pop(struct anyc__engine *e, struct anyc__turn *turn)
{
	anyc__frame_pop(turn->frame);
	anyc__turning(turn->outer);
	anyc__thread.task = turn->below;
	anyc__thread.names = turn->names;
	e->turns--;
	if (e->turns > 0) {
		e->budget = turn->budget;
		return;
	}
	pthread_setcancelstate(turn->cancel_state, NULL);
}

static void take_events(struct anyc__engine *e, unsigned why)
{
	bool block = (why & ANYC__TURN_BLOCK) != 0 && nothing_ready(e) && e->budget > 0 &&
		     e->blocked.first_ == NULL && !e->stacks.surplus;
	bool told = ANYC__UNLIKELY(e->probes & ANYC__PROBE_WAIT) && block;

	if (told) {
		anyc__probe_wait(e, true);
		block = nothing_ready(e); /* it may have woken somebody */
	}
	if (block || e->blocked.first_ != NULL || (why & ANYC_TURN_READABLE) != 0)
		anyc__poller_wait(e, block);
	if (told)
		anyc__probe_wait(e, false);
	anyc__wake_check(e);
	if (e->timers.count != 0) {
		anyc__timers_run(e);
		/* Now, and not only after the tasks: one of them may run the host's loop itself. */
		anyc__poller_arm(e);
	}
}

/* The host is told what has changed, and anyc_run() when nothing is left that it waits for. */
static void outermost_ended(struct anyc__engine *e)
{
	anyc__keepalive(e);
	if (e->tasks == e->background && e->entry != NULL && !e->gone && anyc__loop_of(e)->runs)
		anyc__loop_idle(anyc__loop_of(e));
}

void anyc__turn(struct anyc__engine *e, unsigned why)
{
	bool hosted = (why & ANYC__TURN_BLOCK) == 0;
	struct anyc__turn *turn;

	if (e->fork_generation != anyc__fork_generation())
		return;
	if (ANYC__UNLIKELY(e->in_probe))
		anyc__panic("a probe, or a callback that is shown tasks, runs the loop");
	if (ANYC__UNLIKELY(e->probes & ANYC__PROBE_WAIT) && hosted && e->turns == 0)
		anyc__probe_wait(e, false);
	turn = push(e);
	e->soon_asked = false;
	e->turn_count++;
	take_events(e, why);
	if (hosted || (why & ANYC_TURN_READABLE) != 0 || e->budget <= 0)
		e->budget = BUDGET;
	run_ready(e, turn);
	while (!turn->root_woken && wake_blocked_watchers(e))
		run_ready(e, turn);
	if (ANYC__UNLIKELY(e->stacks.surplus) && nothing_ready(e) && !turn->root_woken)
		anyc__stack_pool_settle(&e->stacks);
	anyc__poller_arm(e);
	pop(e, turn);
	if (e->turns == 0 && e->detached) {
		e->host->ended(e);
		return;
	}
	if (ANYC__UNLIKELY(e->probes & ANYC__PROBE_WAIT) && hosted && e->turns == 0)
		anyc__probe_wait(e, true);
	if (!nothing_ready(e) || e->stacks.surplus)
		anyc__soon(e);
	if (e->turns == 0)
		outermost_ended(e);
}

/* The last task has ended.  A loop gives stacks back bit by bit; a plain thread may not be in
 * here again for long. */
static void tidy_stacks(struct anyc__engine *e)
{
	if (e->stacks.classes[ANYC__STACK_DEFAULT_CLASS].hot_count <= IDLE_STACKS)
		return;
	if (e->entry == NULL) {
		anyc__stack_pool_trim(&e->stacks);
	} else {
		anyc__stack_pool_forget(&e->stacks);
		anyc__soon(e);
	}
}

void anyc__keepalive(struct anyc__engine *e)
{
	bool on = e->tasks > e->background;

#ifdef PLANT_KEEPALIVE_NOT_DROPPED
	on = e->tasks > 0;
#endif
	if (e->turns != 0 || on == e->kept_alive || e->gone)
		return;
	e->kept_alive = on;
	if (!on)
		tidy_stacks(e);
#ifndef PLANT_KEEPALIVE_LOST
	e->host->keepalive(e, on);
#endif
}

/* ------------------------------------------------------------------- engines without a host */

bool anyc__waits_outside(const struct anyc__engine *e)
{
	return anyc__fds_waiting(e) || e->wake_watches != NULL ||
	       (e->token != NULL &&
		atomic_load_explicit(&e->token->references, memory_order_relaxed) > 1);
}

bool anyc__has_prospects(const struct anyc__engine *e)
{
	/* Who waits for all others to wait is woken by just that. */
	return !nothing_ready(e) || e->blocked.first_ != NULL || e->timers.count != 0 ||
	       anyc__waits_outside(e);
}

void anyc__drive(struct anyc__engine *e)
{
	/* Having spent a budget without a poll, look at the kernel before going on. */
	anyc__turn(e, e->budget > 0 ? ANYC__TURN_BLOCK : ANYC__TURN_BLOCK | ANYC_TURN_READABLE);
}

/* ---------------------------------------------------------------------------------- outside */

struct outside {
	struct anyc__post post;
	struct anyc_task *task;
	anyc_task_fn *fn;
	void *arg;
	int result;
};

static void outside_run(struct anyc__post *p, int status)
{
	struct outside *o = ANYC__CONTAINER(p, struct outside, post);

	(void)status;
	o->result = o->fn(o->arg);
	anyc__unpark(o->task, 0);
}

int anyc__run_outside(struct anyc_task *t, anyc_task_fn *fn, void *arg)
{
	struct outside o = {.post = {.run = outside_run}, .task = t, .fn = fn, .arg = arg};

	if (t->is_root_of_thread)
		return fn(arg);
	anyc__post_local(t->engine, &o.post);
	ANYC_IGNORE(anyc__park(t, NULL, NULL, "a call on the loop's own stack"));
	return o.result;
}

/* -------------------------------------------------------------------------------- the engine */

/*
 * All engines of the process, so that live tasks are counted when somebody asks, and not by an
 * atomic operation at each spawn.
 */
static struct anyc__lock engines_lock;
static struct anyc__engine *engines;

static void engine_list(struct anyc__engine *e, bool add)
{
	struct anyc__engine **at = &engines;

	anyc__lock(&engines_lock);
	while (*at != NULL && *at != e)
		at = &(*at)->next_engine;
	if (add && *at == NULL) {
		e->next_engine = NULL;
		*at = e;
	} else if (!add && *at != NULL) {
		*at = e->next_engine;
	}
	anyc__unlock(&engines_lock);
}

void anyc__engine_unlist(struct anyc__engine *e)
{
	engine_list(e, false);
}

size_t anyc__live_tasks(void)
{
	const struct anyc__engine *e;
	size_t n = 0;

	anyc__lock(&engines_lock);
	for (e = engines; e != NULL; e = e->next_engine)
		if (e->fork_generation == anyc__fork_generation())
			n += __atomic_load_n(&e->tasks, __ATOMIC_RELAXED);
	anyc__unlock(&engines_lock);
	return n;
}

bool anyc__engine_lives(uint64_t id)
{
	const struct anyc__engine *e;

	anyc__lock(&engines_lock);
	for (e = engines; e != NULL && e->id != id; e = e->next_engine)
		;
	anyc__unlock(&engines_lock);
	return e != NULL;
}

int anyc__engine_token(const struct anyc__engine *e, struct anyc_token **out)
{
	struct anyc__engine *found;
	int rc = 0;

	*out = NULL;
	anyc__lock(&engines_lock);
	for (found = engines; found != NULL && found != e; found = found->next_engine)
		;
	if (found != NULL)
		rc = anyc__token_of(found, out);
	if (*out != NULL)
		anyc_token_ref(*out);
	anyc__unlock(&engines_lock);
	return rc;
}

int anyc__engine_init(struct anyc__engine *e, const struct anyc__host *host, bool open_poller)
{
	char why[ANYC__SENTENCE];
	int rc = anyc__copies_check(why, sizeof why);

	if (rc != 0)
		return anyc_fail(rc, 0, "%s", why);
	anyc__count_live(anyc__live_tasks);
	e->host = host;
	e->id = anyc__new_id(e);
	e->fork_generation = anyc__fork_generation();
	e->thread = anyc__thread_id();
	e->budget = BUDGET;
	anyc__order_init(e);
	anyc__place_init(e);
	anyc__stack_pool_init(&e->stacks);
	engine_list(e, true);
	rc = anyc__poller_init(e, open_poller);
	if (rc != 0) {
		engine_list(e, false);
		anyc__stack_pool_fini(&e->stacks);
		return anyc_fail(rc, -rc, "an engine's descriptors: %s", strerrordesc_np(-rc));
	}
	anyc__engine_find_cxx(e);
	return 0;
}

void anyc__engine_find_cxx(struct anyc__engine *e)
{
	void *f = dlsym(RTLD_DEFAULT, "__cxa_get_globals");

	memcpy(&e->cxa_globals, &f, sizeof f);
}

void anyc__engine_fini(struct anyc__engine *e)
{
	bool forked = e->fork_generation != anyc__fork_generation();

	anyc__fds_fini(e);
	engine_list(e, false);
	anyc__runvars_end(e);
	anyc__token_close(e);
	if (!forked)
		run_local(e);
	anyc__poller_fini(e, forked);
	anyc__free(e->timers.entry);
	anyc__owners_fini(e);
	anyc__stack_pool_fini(&e->stacks);
}

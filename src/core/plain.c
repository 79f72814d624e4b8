/* SPDX-License-Identifier: MIT */
/*
 * Threads without a loop: their implicit root task, and blocking them.
 *
 * Rules
 *  - The root is made by the first call that needs a task, and kept until a loop is attached or
 *    run in this thread, anyc_thread_done(), or the thread's end.
 *  - It runs on the thread's own stack.  When it parks, the thread runs the engine's turns until
 *    somebody wakes it; other tasks and callbacks of the engine run only then.
 *  - Before the thread blocks, its stack is searched for a native loop that runs further up: that
 *    loop would freeze.  The answer is never cached.
 */
#include "engine.h"

/* ------------------------------------------------------------------------- the thread's engine */

static void host_soon(struct anyc__engine *e)
{
	(void)e; /* its turns run inside the thread's waits */
}

static void host_keepalive(struct anyc__engine *e, bool on)
{
	(void)e;
	(void)on;
}

static const struct anyc__host plain_host = {.soon = host_soon, .keepalive = host_keepalive};

struct anyc__plain *anyc__plain(void)
{
	struct anyc__thread_block *block = anyc__thread.block;
	struct anyc__thread_core *core = block != NULL ? block->core : NULL;

	if (core == NULL || core->plain == NULL ||
	    core->plain->engine.fork_generation != anyc__fork_generation())
		return NULL;
	return core->plain;
}

static bool in_use(const struct anyc__plain *p)
{
	return p->root.scope != &p->root.base || p->engine.tasks != 0 || p->engine.turns != 0 ||
	       p->engine.in_probe || anyc__fds_waiting(&p->engine);
}

static void plain_free(struct anyc__plain *p)
{
	if (anyc__thread.task == &p->root) {
		anyc__thread.task = NULL;
		anyc__thread.names = NULL;
	}
	if (p->root.held_count != 0 && anyc__engine_fit(&p->engine))
		anyc__abandon_held(&p->root);
	anyc__locals_end(&p->root);
	anyc__errors_forget(&p->root);
	anyc__engine_fini(&p->engine);
	anyc__count(ANYC__TASKS, -1);
	anyc__free(p);
}

static int plain_make(struct anyc__plain **out)
{
	struct anyc__thread_core *core = anyc__thread_core();
	struct anyc__plain *p = core != NULL ? anyc__alloc(sizeof *p) : NULL;
	int rc;

	if (p == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory for the thread's root task");
	rc = anyc__engine_init(&p->engine, &plain_host, false);
	if (rc != 0) {
		anyc__free(p);
		return rc;
	}
	anyc__count(ANYC__TASKS, 1);
	anyc__task_init_root(&p->root, &p->engine);
	core->plain = *out = p;
	return 0;
}

/* A root inherited by a fork: usable again only if nothing was open in it. */
static int drop_inherited(struct anyc__thread_core *core)
{
	struct anyc__plain *p = core->plain;

	if (in_use(p))
		return anyc_fail(
			ANYC_EFORKED, 0,
			"the parent had a scope or group open in this thread when "
			"it forked; a child that is to wait must be forked outside of them");
	core->plain = NULL;
	plain_free(p);
	return 0;
}

/* A loop takes over the thread of a child: its callbacks are not the parent's root task. */
static int forget_inherited(void)
{
	struct anyc__thread_core *core =
		anyc__thread.block != NULL ? anyc__thread.block->core : NULL;

	if (core == NULL || core->plain == NULL)
		return 0;
	if (!in_use(core->plain))
		return drop_inherited(core);
	if (anyc__thread.task == &core->plain->root)
		anyc__thread.task = NULL;
	return 0;
}

static int refuse_on_loop(void)
{
	const char *library = anyc__current_name();

	return anyc__misuse(ANYC_ENOTASK,
			    "a call that waits was made outside a task on a thread that a %s "
			    "loop owns; make it in a task: anyc_loop_spawn()",
			    library != NULL ? library : "native");
}

int anyc__plain_root(struct anyc_task **out)
{
	struct anyc__thread_block *block = anyc__thread.block;
	struct anyc__thread_core *core = block != NULL ? block->core : NULL;
	struct anyc__plain *p = core != NULL ? core->plain : NULL;
	struct anyc__entry *one;
	int rc;

	if (p != NULL && p->engine.fork_generation != anyc__fork_generation()) {
		rc = drop_inherited(core);
		if (rc != 0)
			return rc;
		p = NULL;
	}
	if (p != NULL && p->engine.in_probe)
		return anyc__misuse(ANYC_ENOTASK,
				    "a call that waits was made inside a probe or a destructor");
	if ((p != NULL && p->engine.turns != 0) || anyc__registry_here(&one) != 0)
		return refuse_on_loop();
	if (p == NULL) {
		rc = plain_make(&p);
		if (rc != 0)
			return rc;
	}
	anyc__thread.task = *out = &p->root;
	anyc__thread.names = &anyc__thread.block->names; /* the root's are the thread's */
	return 0;
}

int anyc__plain_close(void)
{
	struct anyc__plain *p = anyc__plain();

	if (p == NULL)
		return forget_inherited();
	if (in_use(p))
		return anyc__misuse(ANYC_EMISUSE,
				    "this thread has scopes, groups or tasks of its own open; "
				    "leave them before a loop takes the thread over");
	if (p->root.held_count != 0)
		return anyc__misuse(ANYC_EMISUSE,
				    "this thread holds a lock between threads; release it first");
	if (p->root.owned != 0)
		return anyc__misuse(ANYC_EMISUSE, "this thread holds a lock; release it first");
	anyc__locals_end(&p->root);
	((struct anyc__thread_core *)anyc__thread.block->core)->plain = NULL;
	plain_free(p);
	return 0;
}

void anyc__thread_core_end(void *arg)
{
	struct anyc__thread_core *core = arg;

	if (core->plain != NULL)
		plain_free(core->plain);
	anyc__overflow_thread_done();
	anyc__free(core);
}

int anyc_thread_done(void)
{
	int rc = anyc__plain_close();

	if (rc != 0)
		return rc;
	if (anyc__thread.task != NULL || anyc__thread.frames != 0)
		return anyc__misuse(ANYC_EMISUSE, "anyc_thread_done: a task of this thread runs");
	anyc__thread_free();
	return 0;
}

/* ---------------------------------------------------------------------------------- blocking */

/* Wakes the root with an error, if it can be woken so. */
static bool fail_wait(struct anyc_task *root, int rc)
{
	if (root->state != ANYC__PARKED || root->abort == NULL)
		return false;
	root->abort(root, root->abort_arg);
	root->wake = rc;
	root->state = ANYC__RUNNING;
	return true;
}

/* Refuses to freeze a native loop that runs further up this stack. */
static bool refuse_to_block(struct anyc_task *root)
{
	struct anyc__running running;

	if (root->state != ANYC__PARKED || !anyc__unwind_running(&running))
		return false;
	anyc__misuse(ANYC_EBLOCKED,
		     "%s() is running further up this thread's stack, and a wait here would "
		     "freeze that %s loop; attach the loop and call from a task",
		     running.symbol, running.library);
	return fail_wait(root, ANYC_EBLOCKED);
}

static bool signalled(struct anyc_task *root)
{
	struct anyc__plain *p = ANYC__CONTAINER(root, struct anyc__plain, root);

	if (!p->signalled || !fail_wait(root, ANYC_ECANCELED))
		return false;
	p->signalled = false;
	return true;
}

void anyc__plain_block(struct anyc_task *root)
{
	struct anyc__engine *e = root->engine;

	if (refuse_to_block(root))
		return;
	while (root->state != ANYC__RUNNING) {
		if (signalled(root))
			return;
		if (!anyc__has_prospects(e) && fail_wait(root, ANYC_EDEADLK)) {
			anyc_fail(ANYC_EDEADLK, 0,
				  "no task, timer, descriptor or token is left that could "
				  "end the wait for %s",
				  root->waits_for);
			return;
		}
		anyc__drive(e);
	}
}

void anyc__plain_cancel(struct anyc__engine *e, const char *reason)
{
	struct anyc__plain *p = ANYC__CONTAINER(e, struct anyc__plain, engine);
	struct anyc_scope *outermost = p->root.base.inner_;

	if (outermost != NULL)
		anyc__scope_cancel(outermost, ANYC_CAUSE_CANCEL, reason);
	else
		p->signalled = true;
}

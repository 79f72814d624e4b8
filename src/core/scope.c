/* SPDX-License-Identifier: MIT */
/*
 * Cancel scopes: entering, leaving, cancelling, deadlines, shields.
 *
 * Rules
 *  - Scopes form a tree.  Down from a scope lead `inner_`, the next scope of the same task, and, if
 *    it is a group's, the own scopes of the group's tasks.  Up leads `outer_`.
 *  - effective_ and effective_deadline_ are kept right in every scope of the tree, so that a
 *    checkpoint reads two words.  Whatever changes a scope calls update(), which walks only the
 *    part of the tree that changes with it, without recursion.
 *  - A task that is parked is woken by the update that makes its innermost scope effective: there
 *    is no polling and no second delivery.
 *  - A deadline enters the timer heap when a task first parks under it, and only the earliest one
 *    the task has to fear.
 */
#include "engine.h"

/* A task that swallows cancellations in a loop is told so once. */
#define RETURNS_BEFORE_REPORT 10000

static bool is_base(const struct anyc_scope *s)
{
	return s == &s->task_->base;
}

/* ---------------------------------------------------------------------- keeping the tree right */

/* Brings a scope in line with what encloses it; whether anything changed. */
static bool recompute(struct anyc_scope *s)
{
	const struct anyc_scope *outer = s->shield_ ? NULL : s->outer_;
	bool effective = s->cause_ != ANYC_CAUSE_NONE || s->poison_ != 0 ||
			 (outer != NULL && outer->effective_);
	int64_t deadline = s->deadline_;
	struct anyc_scope *owner = deadline == ANYC_FOREVER ? NULL : s;

	if (outer != NULL && outer->effective_deadline_ < deadline) {
		deadline = outer->effective_deadline_;
		owner = outer->deadline_scope_;
	}
	if (effective == s->effective_ && deadline == s->effective_deadline_ &&
	    owner == s->deadline_scope_)
		return false;
	s->effective_ = effective;
	s->effective_deadline_ = deadline;
	s->deadline_scope_ = owner;
	return true;
}

/* Tells a parked task that its innermost scope has changed. */
static int notice(struct anyc_task *t)
{
	if (t->state != ANYC__PARKED || t->abort == NULL)
		return 0;
	if (!t->scope->effective_)
		return anyc__scope_arm(t);
#ifndef PLANT_STAYS_IN_LINE
	t->abort(t, t->abort_arg);
#endif
	anyc__unpark(t, ANYC_ECANCELED);
	return 0;
}

/* The scope that follows s in pre-order below top, without entering s's own subtree; or NULL. */
static struct anyc_scope *next_beside(struct anyc_scope *s, const struct anyc_scope *top)
{
	while (s != top) {
		if (is_base(s)) {
			if (s->task_->next != NULL)
				return &s->task_->next->base;
			s = s->outer_;
			continue;
		}
		s = s->outer_;
		if (s->group_ != NULL && s->group_->first_ != NULL)
			return &s->group_->first_->base;
	}
	return NULL;
}

static struct anyc_scope *first_below(const struct anyc_scope *s)
{
	if (s->inner_ != NULL)
		return s->inner_;
	if (s->group_ != NULL && s->group_->first_ != NULL)
		return &s->group_->first_->base;
	return NULL;
}

/* Carries a change of s through the tree below it.  -ENOMEM if a deadline could not be armed. */
static int update(struct anyc_scope *top)
{
	struct anyc_scope *s = top, *below;
	int rc = 0;

	while (s != NULL) {
		below = NULL;
		if (recompute(s)) {
			if (s->inner_ == NULL && notice(s->task_) != 0)
				rc = -ENOMEM;
			below = first_below(s);
		}
		s = below != NULL ? below : next_beside(s, top);
	}
	return rc;
}

/* --------------------------------------------------------------------------------- for core */

void anyc__scope_reparent(struct anyc_scope *base, struct anyc_scope *outer)
{
	base->outer_ = outer;
	ANYC_IGNORE(update(base));
}

static void scope_timer_fired(struct anyc_timer_ *timer)
{
	anyc__scope_cancel(ANYC__CONTAINER(timer, struct anyc_scope, timer_), ANYC_CAUSE_DEADLINE,
			   NULL);
}

int anyc__scope_arm(struct anyc_task *t)
{
	struct anyc_scope *s = t->scope->deadline_scope_;

#ifdef PLANT_DEADLINE_NOT_ARMED
	s = NULL;
#endif
	if (s == NULL || s->timer_.place_ != 0 || s->cause_ != ANYC_CAUSE_NONE)
		return 0;
	s->timer_.fire_ = scope_timer_fired;
	return anyc__timer_set(t->engine, &s->timer_, s->deadline_);
}

void anyc__scope_cancel(struct anyc_scope *s, enum anyc_cause cause, const char *reason)
{
	const struct anyc_task *canceller = anyc__thread.task;

	if (s->cause_ != ANYC_CAUSE_NONE)
		return;
	s->cause_ = (uint8_t)cause;
	s->reason_ = reason;
	s->canceller_ = canceller != NULL && cause != ANYC_CAUSE_DEADLINE ? canceller->name : NULL;
	if (s->state_ == ANYC__SCOPE_OPEN)
		ANYC_IGNORE(update(s));
}

const struct anyc_scope *anyc__scope_canceller(const struct anyc_task *t)
{
	const struct anyc_scope *s, *found = NULL;

	for (s = t->scope; s != NULL; s = s->shield_ ? NULL : s->outer_)
		if (s->cause_ != ANYC_CAUSE_NONE)
			found = s;
	/* In a clean-up that is shielded: what the shield keeps off. */
	for (s = t->scope; s != NULL && found == NULL; s = s->outer_)
		if (s->cause_ != ANYC_CAUSE_NONE)
			found = s;
	return found;
}

/* Expires every visible scope of the task whose deadline has passed. */
static void expire(struct anyc_task *t, int64_t now)
{
	struct anyc_scope *s = t->scope;

	for (;;) {
		struct anyc_scope *outer = s->shield_ ? NULL : s->outer_;

		if (s->deadline_ <= now)
			anyc__scope_cancel(s, ANYC_CAUSE_DEADLINE, NULL);
		if (outer == NULL || outer->effective_deadline_ > now)
			return;
		s = outer;
	}
}

/*
 * Whether the deadline has passed, by the coarse clock (5 ns) unless it is within a tick: then by
 * the exact one (26 ns).
 */
static bool has_passed(const struct anyc__engine *e, int64_t deadline, int64_t *now)
{
	static const int64_t tick = 10 * ANYC_MILLISECOND;
	struct timespec ts;

	if (e->host->now == NULL && clock_gettime(CLOCK_MONOTONIC_COARSE, &ts) == 0 &&
	    ts.tv_sec * ANYC_SECOND + ts.tv_nsec + tick < deadline)
		return false;
	*now = anyc__now(e);
	return *now >= deadline;
}

static int poison_of(const struct anyc_scope *s)
{
	for (; s != NULL; s = s->shield_ ? NULL : s->outer_)
		if (s->poison_ != 0)
			return s->poison_;
	return 0;
}

static void count_return(struct anyc_task *t)
{
	struct anyc_scope *s = t->scope;

	if (++s->returns_ == RETURNS_BEFORE_REPORT)
		anyc_report(ANYC_ECANCELED,
			    "task '%s' has called %d checkpoints in a cancelled scope "
			    "(entered at %p) without leaving it: pass ANYC_ECANCELED on",
			    t->name, RETURNS_BEFORE_REPORT, s->site_);
}

int anyc__cancelled(struct anyc_task *t)
{
	struct anyc_scope *s = t->scope;
	int64_t now;
	int rc;

	if (!s->effective_) {
		if (s->effective_deadline_ == ANYC_FOREVER ||
		    !has_passed(t->engine, s->effective_deadline_, &now))
			return 0;
		expire(t, now);
		if (!s->effective_)
			return 0;
	}
	rc = poison_of(s);
	if (rc != 0)
		return rc;
	count_return(t);
	return ANYC_ECANCELED;
}

void anyc__scope_unsound(const struct anyc_task *t)
{
	anyc__panic("task '%s': a scope or group at %p was left by return; every path out of the "
		    "function that entered it must call anyc_scope_leave() or anyc_group_leave()",
		    t->name, (const void *)t->scope);
}

/* ----------------------------------------------------------------------------- init and open */

static int options_read(struct anyc_scope_options *to, const struct anyc_scope_options *from,
			size_t size)
{
	anyc__options_read(to, sizeof *to, from, size);
	if (to->timeout < 0 || to->deadline < 0) {
		to->timeout = to->deadline = 0;
		return anyc_fail(ANYC_EINVAL, 0,
				 "a scope's timeout or deadline is negative; ANYC_FOREVER "
				 "means none");
	}
	return 0;
}

/* A scope that answers everything with rc. */
static void poison(struct anyc_scope *s, int rc)
{
	s->poison_ = rc;
	s->state_ = ANYC__SCOPE_POISONED;
	s->effective_ = true;
}

static void init(struct anyc_scope *s, const struct anyc_scope_options *options)
{
	memset(s, 0, sizeof *s);
	s->deadline_ = options->deadline != 0 ? options->deadline : ANYC_FOREVER;
	/* A relative one waits here, negated, for open to start it. */
	if (options->timeout != 0 && options->timeout != ANYC_FOREVER)
		s->effective_deadline_ = -options->timeout;
#ifndef PLANT_SHIELD_OFF
	s->shield_ = options->shield;
#endif
	s->move_on_ = options->move_on;
	s->state_ = ANYC__SCOPE_INIT;
}

static int64_t later(int64_t now, int64_t ns)
{
	return ns >= ANYC_FOREVER - now ? ANYC_FOREVER : now + ns;
}

/* Links an initialised scope into the task's chain. */
static void open_in(struct anyc_scope *s, struct anyc_task *t, void *site)
{
	if (s->effective_deadline_ < 0) {
		int64_t when = later(anyc__now(t->engine), -s->effective_deadline_);

		s->deadline_ = when < s->deadline_ ? when : s->deadline_;
	}
	s->task_ = t;
	s->outer_ = t->scope;
	s->site_ = site;
	s->magic_ = anyc__scope_magic(s, t);
	s->state_ = ANYC__SCOPE_OPEN;
	s->effective_ = false;
	t->scope->inner_ = s;
	t->scope = s;
	recompute(s);
}

static void enter(struct anyc_scope *s, const struct anyc_scope_options *options, int bad,
		  void *site)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	init(s, options);
	if (rc != 0) {
		poison(s, rc);
		return;
	}
	s->poison_ = bad;
	open_in(s, t, site);
}

void anyc_scope_enter_sized(struct anyc_scope *s, const struct anyc_scope_options *options,
			    size_t size)
{
	struct anyc_scope_options o;
	int bad = options_read(&o, options, size);

	enter(s, &o, bad, __builtin_return_address(0));
}

static void enter_with(struct anyc_scope *s, int64_t ns, bool move_on, bool shield, void *site)
{
	struct anyc_scope_options o = {.move_on = move_on, .shield = shield};
	int bad = 0;

	if (ns < 0)
		bad = anyc_fail(ANYC_EINVAL, 0, "a scope's timeout of %lld ns is negative; "
				   "ANYC_FOREVER means none", (long long)ns);
	o.timeout = ns > 0 ? ns : 0;
	o.deadline = ns == 0 ? 1 : 0; /* in the past */
	enter(s, &o, bad, site);
}

void anyc_scope_enter_timeout(struct anyc_scope *s, int64_t ns)
{
	enter_with(s, ns, false, false, __builtin_return_address(0));
}

void anyc_scope_enter_move_on(struct anyc_scope *s, int64_t ns)
{
	enter_with(s, ns, true, false, __builtin_return_address(0));
}

void anyc_scope_enter_shield(struct anyc_scope *s, int64_t ns)
{
	enter_with(s, ns, false, true, __builtin_return_address(0));
}

void anyc_scope_init_sized(struct anyc_scope *s, const struct anyc_scope_options *options,
			   size_t size)
{
	struct anyc_scope_options o;
	int bad = options_read(&o, options, size);

	init(s, &o);
	s->poison_ = bad;
}

int anyc_scope_open(struct anyc_scope *s)
{
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc != 0)
		return rc;
	if (s == NULL || s->state_ != ANYC__SCOPE_INIT)
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_scope_open: the scope is open, was left, or was "
				    "never initialised; call anyc_scope_init() first");
	if (s->poison_ != 0)
		return s->poison_;
	open_in(s, t, __builtin_return_address(0));
	return 0;
}

/* ----------------------------------------------------------------------------------- leaving */

int anyc__scope_resolve(struct anyc_scope *s, int rc)
{
	if (rc != ANYC_ECANCELED)
		return rc;
	if (!s->shield_ && s->outer_ != NULL && s->outer_->effective_)
		return rc;
	if (s->cause_ == ANYC_CAUSE_NONE)
		return rc;
	s->caught_ = true;
	return s->cause_ == ANYC_CAUSE_DEADLINE && !s->move_on_ ? ANYC_ETIMEDOUT : 0;
}

int anyc_scope_leave(struct anyc_scope *s, int rc)
{
	struct anyc_task *t = anyc__current();

	if (s != NULL && s->state_ == ANYC__SCOPE_POISONED) {
		s->state_ = ANYC__SCOPE_LEFT;
		return s->poison_;
	}
	if (s == NULL || t == NULL || t->scope != s || is_base(s))
		return anyc__misuse(
			ANYC_EMISUSE,
			"anyc_scope_leave: not the innermost open scope of this "
			"task; scopes are left last in, first out, by the task that entered them");
	if (s->timer_.place_ != 0)
		anyc__timer_unset(t->engine, &s->timer_);
	t->scope = s->outer_;
	t->scope->inner_ = NULL;
	s->state_ = ANYC__SCOPE_LEFT;
	s->magic_ = 0;
	return s->poison_ != 0 ? s->poison_ : anyc__scope_resolve(s, rc);
}

/* ------------------------------------------------------------------------- from the outside */

/* ANYC_EMISUSE, ANYC_ETHREAD: the scope may not be changed here. */
static int changeable(const struct anyc_scope *s, const char *what)
{
	if (s == NULL || (s->state_ != ANYC__SCOPE_INIT && s->state_ != ANYC__SCOPE_OPEN))
		return anyc__misuse(ANYC_EMISUSE,
				    "%s: the scope was never initialised, or was left", what);
	if (s->state_ == ANYC__SCOPE_OPEN && s->task_->engine->thread != anyc__thread_id())
		return anyc__misuse(ANYC_ETHREAD,
				    "%s: the scope belongs to another thread; post to its "
				    "loop with anyc_token_post()",
				    what);
	return 0;
}

int anyc_scope_cancel(struct anyc_scope *s, const char *reason)
{
	int rc = changeable(s, "anyc_scope_cancel");

	if (rc == 0)
		anyc__scope_cancel(s, ANYC_CAUSE_CANCEL, reason);
	return rc;
}

int anyc_scope_set_deadline(struct anyc_scope *s, int64_t deadline)
{
	int rc = changeable(s, "anyc_scope_set_deadline");

	if (rc != 0)
		return rc;
	if (deadline < 0)
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_scope_set_deadline: the deadline is negative; "
				 "ANYC_FOREVER means none");
	if (s->state_ == ANYC__SCOPE_INIT) {
		s->deadline_ = deadline;
		s->effective_deadline_ = 0;
		return 0;
	}
	/* The same one again changes nothing below, so that nobody there would arm it anew. */
	if (s->timer_.place_ != 0 && deadline != s->deadline_)
		anyc__timer_unset(s->task_->engine, &s->timer_);
	s->deadline_ = deadline;
	if (deadline <= anyc__now(s->task_->engine)) {
		anyc__scope_cancel(s, ANYC_CAUSE_DEADLINE, NULL);
		return 0;
	}
	s->deadline_scope_ = NULL; /* so that update() tells and arms whoever is parked below */
	return update(s);
}

int anyc_scope_set_shield(struct anyc_scope *s, bool shield)
{
	int rc = changeable(s, "anyc_scope_set_shield");

	if (rc != 0)
		return rc;
	s->shield_ = shield;
	return s->state_ == ANYC__SCOPE_OPEN ? update(s) : 0;
}

/* --------------------------------------------------------------------------------- questions */

int64_t anyc_scope_deadline(const struct anyc_scope *s)
{
	return s->deadline_;
}

bool anyc_scope_cancel_called(const struct anyc_scope *s)
{
	return s->cause_ != ANYC_CAUSE_NONE;
}

bool anyc_scope_cancelled_caught(const struct anyc_scope *s)
{
	return s->caught_;
}

enum anyc_cause anyc_scope_cause(const struct anyc_scope *s)
{
	return (enum anyc_cause)s->cause_;
}

const char *anyc_scope_reason(const struct anyc_scope *s)
{
	return s->reason_;
}

const char *anyc_scope_canceller(const struct anyc_scope *s)
{
	return s->canceller_;
}

int64_t anyc_effective_deadline(void)
{
	const struct anyc_task *t = anyc__current();

	if (t == NULL)
		return ANYC_FOREVER;
	return t->scope->effective_ ? 0 : t->scope->effective_deadline_;
}

bool anyc_has_pending_cancellation(void)
{
	const struct anyc_task *t = anyc__current();
	int64_t now;

	if (t == NULL)
		return false;
	return t->scope->effective_ ||
	       (t->scope->effective_deadline_ != ANYC_FOREVER &&
		has_passed(t->engine, t->scope->effective_deadline_, &now));
}

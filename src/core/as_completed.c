/* SPDX-License-Identifier: MIT */
/*
 * Many calls at once, told of one by one as they end.
 *
 * Rules
 *  - Each call is a task of the group.  As it ends it joins the line of those that nobody was told
 *    of, through the caller's records: nothing is allocated but stacks.
 *  - Only the host spawns, so that every call inherits what is the host's.  Under a limit next
 *    fills the places that have become free, before it waits and after.
 *  - A call's error is its result, and the group lists nothing.
 */
#include "engine.h"

/* A task's private copy. */
struct piece {
	struct anyc_as_completed *all;
	struct anyc_call *call;
};

static void line_up(struct anyc_as_completed *a, struct anyc_call *c)
{
	c->next_ = NULL;
	if (a->first_ != NULL)
		a->last_->next_ = c;
	else
		a->first_ = c;
	a->last_ = c;
}

static int call(void *arg)
{
	const struct piece *p = arg;
	struct anyc_as_completed *a = p->all;
	int rc = p->call->fn(p->call->arg);

	p->call->rc = rc == ANYC_ECANCELED ? ANYC_ETASKCANCELED : rc;
	line_up(a, p->call);
	a->running_--;
	if (a->host_waits_) {
		a->host_waits_ = false;
		anyc__unpark(a->group_.scope_.task_, 0);
	}
	return rc;
}

static int begin(struct anyc_as_completed *a, struct anyc_call *c)
{
	struct piece p = {a, c};
	struct anyc__task_spec spec = {.fn = call,
				       .copy = &p,
				       .copy_size = sizeof p,
				       .name = c->name != NULL ? c->name : "call",
				       .stack_size = a->stack_size_,
				       .site = a->group_.scope_.site_};

	return anyc__group_spawn(&a->group_, &spec, NULL);
}

static void begin_more(struct anyc_as_completed *a)
{
	while (a->begun_ < a->count_ && a->running_ < a->limit_) {
		struct anyc_call *c = &a->calls_[a->begun_++];
		int rc = begin(a, c);

		if (rc == 0) {
			a->running_++;
			continue;
		}
		c->rc = rc;
		line_up(a, c);
	}
}

int anyc_as_completed_enter_sized(struct anyc_as_completed *a, struct anyc_call *calls,
				  size_t count, const struct anyc_gather_options *options,
				  size_t size)
{
	struct anyc_gather_options o;
	struct anyc_task *t;
	size_t i;
	int rc = anyc__calls_check(calls, count, "anyc_as_completed_enter");

	if (rc == 0 && count == 0)
		rc = anyc_fail(ANYC_EINVAL, 0, "anyc_as_completed_enter: there are no calls");
	if (rc == 0)
		rc = anyc__enter_uncancelled(&t);
	if (rc != 0)
		return rc;
	anyc__options_read(&o, sizeof o, options, size);
	*a = (struct anyc_as_completed){.calls_ = calls,
					.count_ = count,
					.limit_ = o.limit != 0 ? o.limit : SIZE_MAX,
					.stack_size_ = o.stack_size};
	for (i = 0; i < count; i++)
		calls[i].rc = ANYC_ETASKCANCELED;
	anyc_group_enter_sized(&a->group_, NULL, 0);
	a->group_.on_error_ = ANYC__GROUP_UNLISTED;
	a->group_.scope_.site_ = __builtin_return_address(0);
	begin_more(a);
	return 0;
}

static bool is_host(const struct anyc_as_completed *a, const struct anyc_task *t)
{
	return a != NULL && a->group_.state_ == ANYC__GROUP_OPEN && a->group_.scope_.task_ == t;
}

static void stop_waiting(struct anyc_task *t, void *arg)
{
	struct anyc_as_completed *a = arg;

	(void)t;
	a->host_waits_ = false;
}

/* Waits for the next call to end, unless all have; ANYC_ECANCELED, or why it cannot wait. */
static int wait_for_one(struct anyc_as_completed *a, struct anyc_task *t)
{
	int rc;

	begin_more(a);
	if (a->first_ != NULL || a->running_ == 0) {
		anyc__yield(t);
		return 0;
	}
	a->host_waits_ = true;
	rc = anyc__park(t, stop_waiting, a, "one of several calls to end");
	if (rc == 0)
		begin_more(a);
	return rc;
}

int anyc_as_completed_next(struct anyc_as_completed *a, size_t *i)
{
	struct anyc_task *t;
	struct anyc_call *c;
	int rc;

	if (i == NULL)
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_as_completed_next: there is no place for an index");
	*i = 0;
	rc = anyc__enter(&t);
	if (rc == 0 && !is_host(a, t))
		rc = anyc__misuse(ANYC_EMISUSE,
				  "anyc_as_completed_next: the task has not entered it");
	if (rc == 0)
		rc = wait_for_one(a, t);
	if (rc != 0)
		return rc;
	c = a->first_;
	if (c == NULL)
		return 0;
	a->first_ = c->next_;
	*i = (size_t)(c - a->calls_);
	return 1;
}

int anyc_as_completed_leave(struct anyc_as_completed *a, int rc)
{
	const struct anyc_task *t = anyc__current();

	/* Only if leaving will not be refused. */
	if (is_host(a, t) && t->scope == &a->group_.scope_ && a->running_ != 0)
		anyc__scope_cancel(&a->group_.scope_, ANYC_CAUSE_CANCEL,
				   "left before all calls had ended");
	return anyc_group_leave(a != NULL ? &a->group_ : NULL, rc);
}

/* SPDX-License-Identifier: MIT */
/*
 * Lines of waiting tasks, first come, first served: what every primitive is built on.
 *
 * Rule: a line belongs to an engine only while somebody stands in it (rule 23); its number is
 * read and written atomically, so that misuse from another thread is seen, not synchronised.
 */
#include "engine.h"

static void owned_put_in(struct anyc__engine *e, struct anyc_waiter_ *w)
{
	w->next_owned_ = e->owned_first;
	if (w->next_owned_ != NULL)
		w->next_owned_->prev_owned_ = w;
	e->owned_first = w;
}

static void owned_take_out(struct anyc_waiter_ *w)
{
	if (w->prev_owned_ != NULL)
		w->prev_owned_->next_owned_ = w->next_owned_;
	else
		w->task_->engine->owned_first = w->next_owned_;
	if (w->next_owned_ != NULL)
		w->next_owned_->prev_owned_ = w->prev_owned_;
}

static void take_out(struct anyc_waiters_ *q, struct anyc_waiter_ *w)
{
	if (w->prev_ != NULL)
		w->prev_->next_ = w->next_;
	else
		q->first_ = w->next_;
	if (w->next_ != NULL)
		w->next_->prev_ = w->prev_;
	else
		q->last_ = w->prev_;
	w->queue_ = NULL;
	if (q->first_ == NULL)
		__atomic_store_n(&q->engine_, 0, __ATOMIC_RELAXED);
	if (w->owner_ != NULL)
		owned_take_out(w);
}

static void abort_wait(struct anyc_task *t, void *arg)
{
	struct anyc_waiter_ *w = arg;

	(void)t;
	if (w->queue_ != NULL)
		take_out(w->queue_, w);
}

int anyc__waiters_check(const struct anyc_waiters_ *q, const char *what)
{
	const struct anyc__engine *e;
	uint64_t owner = __atomic_load_n(&q->engine_, __ATOMIC_RELAXED);

	if (ANYC__LIKELY(owner == 0))
		return 0;
	e = anyc__current_engine();
	if (e != NULL && e->id == owner)
		return 0;
	return anyc__misuse(ANYC_ETHREAD,
			    "%s is in use by tasks of another thread's loop; tasks of one "
			    "loop share it, threads share by anyc/xsync.h",
			    what);
}

ANYC__UNWATCHED bool anyc__waiters_elsewhere(const struct anyc_waiters_ *q)
{
	const struct anyc_waiter_ *w = q->first_;

	return w != NULL && w->task_->engine->thread != anyc__thread_id();
}

static inline void put_in(struct anyc_waiters_ *q, struct anyc_waiter_ *w)
{
	__atomic_store_n(&q->engine_, w->task_->engine->id, __ATOMIC_RELAXED);
	w->queue_ = q;
	w->next_ = NULL;
	w->prev_ = q->first_ != NULL ? q->last_ : NULL;
	if (q->first_ != NULL)
		q->last_->next_ = w;
	else
		q->first_ = w;
	q->last_ = w;
}

int anyc__waiters_wait(struct anyc_waiters_ *q, struct anyc_task *t, void *data, const char *what)
{
	struct anyc_waiter_ w;
	int rc = anyc__waiters_check(q, what);

	if (rc != 0)
		return rc;
	w.task_ = t;
	w.data_ = data;
	w.owner_ = NULL;
	put_in(q, &w);
	return anyc__park(t, abort_wait, &w, what);
}

int anyc__waiters_wait_owned(struct anyc_waiters_ *q, struct anyc_task *t, const uint64_t *owner,
			     bool shielded, const char *what)
{
	struct anyc_waiter_ w = {.task_ = t, .owner_ = owner};
	int rc = anyc__waiters_check(q, what);

	if (rc != 0)
		return rc;
	put_in(q, &w);
	owned_put_in(t->engine, &w);
	rc = anyc__park(t, shielded ? NULL : abort_wait, &w, what);
	if (w.queue_ != NULL) /* shielded, and nothing could wake it */
		take_out(q, &w);
	return rc;
}

struct anyc_task *anyc__waiters_wake(struct anyc_waiters_ *q, int result)
{
	struct anyc_waiter_ *w = q->first_;
	struct anyc_task *t;

	if (w == NULL)
		return NULL;
	t = w->task_;
	take_out(q, w);
	anyc__wake(t, result);
	return t;
}

size_t anyc__waiters_count(const struct anyc_waiters_ *q)
{
	const struct anyc_waiter_ *w;
	size_t n = 0;

	for (w = q->first_; w != NULL; w = w->next_)
		n++;
	return n;
}

/* --------------------------------------------------------------------------------- owners */

void anyc__own(struct anyc_task *t, uint64_t *owner, uint64_t *engine)
{
	*owner = t->id;
	__atomic_store_n(engine, t->engine->id, __ATOMIC_RELAXED);
	t->owned++;
}

void anyc__pass_on(struct anyc_waiters_ *q, uint64_t *owner)
{
	struct anyc_task *next = NULL;

	anyc__thread.task->owned--;
#ifndef PLANT_LOCK_BARGING
	next = anyc__waiters_wake(q, 0);
#else
	anyc__waiters_wake(q, 0);
#endif
	*owner = next != NULL ? next->id : 0;
	if (next != NULL)
		next->owned++;
}

/* Without memory for it, who comes later waits in vain; who is in line is woken all the same. */
static void remember(struct anyc__engine *e, uint64_t id)
{
	uint64_t *more = anyc__resize(e->abandoners, (e->abandoner_count + 1) * sizeof *more);

	if (more == NULL)
		return;
	e->abandoners = more;
	e->abandoners[e->abandoner_count++] = id;
}

void anyc__owner_ended(struct anyc_task *t)
{
	struct anyc_waiter_ *w, *next;
	struct anyc_waiters_ *q;

	anyc_report(ANYC_EMISUSE,
		    "task '%s' ended and still holds %u lock%s, which nobody can have now: release "
		    "on every path out",
		    t->name, t->owned, t->owned == 1 ? "" : "s");
	remember(t->engine, t->id);
	for (w = t->engine->owned_first; w != NULL; w = next) {
		next = w->next_owned_;
		if (*w->owner_ != t->id)
			continue;
		for (q = w->queue_; anyc__waiters_wake(q, ANYC_EBROKEN) != NULL;)
			;
		next = t->engine->owned_first;
	}
}

bool anyc__owner_has_ended(const struct anyc_task *t, uint64_t id)
{
	size_t i;

	for (i = 0; i < t->engine->abandoner_count; i++) {
		if (t->engine->abandoners[i] == id)
			return true;
	}
	return false;
}

void anyc__owners_fini(struct anyc__engine *e)
{
	anyc__free(e->abandoners);
}

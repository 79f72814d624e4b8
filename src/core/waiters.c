/* SPDX-License-Identifier: MIT */
/*
 * Lines of waiting tasks, first come, first served: what every primitive is built on.
 *
 * Rule: a line belongs to an engine only while somebody stands in it (rule 23); its number is
 * read and written atomically, so that misuse from another thread is seen, not synchronised.
 */
#include "engine.h"

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
			    "loop share it, threads share by posts",
			    what);
}

int anyc__waiters_wait(struct anyc_waiters_ *q, struct anyc_task *t, void *data, const char *what)
{
	struct anyc_waiter_ w = {.task_ = t, .data_ = data, .queue_ = q, .prev_ = q->last_};
	int rc = anyc__waiters_check(q, what);

	if (rc != 0)
		return rc;
	__atomic_store_n(&q->engine_, t->engine->id, __ATOMIC_RELAXED);
	if (q->last_ != NULL)
		q->last_->next_ = &w;
	else
		q->first_ = &w;
	q->last_ = &w;
	return anyc__park(t, abort_wait, &w, what);
}

struct anyc_task *anyc__waiters_wake(struct anyc_waiters_ *q, int result)
{
	struct anyc_waiter_ *w = q->first_;
	struct anyc_task *t;

	if (w == NULL)
		return NULL;
	t = w->task_;
	take_out(q, w);
	anyc__unpark(t, result);
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

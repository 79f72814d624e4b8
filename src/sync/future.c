/* SPDX-License-Identifier: MIT */
/* Future: a result that comes once, and a line of tasks that wait for it. */
#include "sync.h"

static int finish(struct anyc_future *f, enum anyc_future_state state, intptr_t value, int error)
{
	int rc = anyc__waiters_check(&f->waiters_, "the future");

	if (rc != 0)
		return rc;
	if (f->state_ == ANYC_FUTURE_CANCELLED)
		return anyc_fail(ANYC_ETASKCANCELED, 0, "the future was cancelled");
	if (f->state_ != ANYC_FUTURE_PENDING)
		return anyc_fail(ANYC_EFINISHED, 0, "the future has its result already");
	f->state_ = (uint8_t)state;
	f->value_ = value;
	f->error_ = error;
	while (anyc__waiters_wake(&f->waiters_, 0) != NULL)
		;
	return 0;
}

int anyc_future_set(struct anyc_future *f, intptr_t value)
{
	return finish(f, ANYC_FUTURE_SET, value, 0);
}

int anyc_future_fail(struct anyc_future *f, int rc)
{
	if (rc >= 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_future_fail: %d is not an error", rc);
	if (rc == ANYC_ECANCELED)
		return finish(f, ANYC_FUTURE_CANCELLED, 0, ANYC_ETASKCANCELED);
	return finish(f, ANYC_FUTURE_FAILED, 0, rc);
}

int anyc_future_cancel(struct anyc_future *f)
{
	if (f->state_ != ANYC_FUTURE_PENDING)
		return anyc__waiters_check(&f->waiters_, "the future");
	return finish(f, ANYC_FUTURE_CANCELLED, 0, ANYC_ETASKCANCELED);
}

int anyc_future_wait(struct anyc_future *f)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	if (f->state_ == ANYC_FUTURE_PENDING)
		return anyc__waiters_wait(&f->waiters_, t, NULL, "a future");
	anyc__yield(t);
	return 0;
}

int anyc_future_result(const struct anyc_future *f, intptr_t *value)
{
	if (value != NULL)
		*value = f->state_ == ANYC_FUTURE_SET ? f->value_ : 0;
	return f->state_ == ANYC_FUTURE_PENDING ? ANYC_ENOTFINISHED : f->error_;
}

enum anyc_future_state anyc_future_state(const struct anyc_future *f)
{
	return (enum anyc_future_state)f->state_;
}

size_t anyc_future_waiting(const struct anyc_future *f)
{
	return anyc__waiters_count(&f->waiters_);
}

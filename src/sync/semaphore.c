/* SPDX-License-Identifier: MIT */
/*
 * Semaphore: a number of permits, and a line of tasks that want one.
 *
 * Rule: while anybody is in line there is no free permit; release hands one to the first.
 */
#include "sync.h"

static int check_values(int64_t value, int64_t max)
{
	if (value >= 0 && max >= 0 && (max == 0 || value <= max))
		return 0;
	return anyc_fail(ANYC_EINVAL, 0,
			 "a semaphore of %lld permits and at most %lld: neither is negative, and "
			 "the maximum is the greater, or 0 for none",
			 (long long)value, (long long)max);
}

static int check(const struct anyc_semaphore *s)
{
	int rc = check_values(s->value_, s->max_);

	return rc != 0 ? rc : anyc__waiters_check(&s->waiters_, "the semaphore");
}

int anyc_semaphore_init(struct anyc_semaphore *s, int64_t initial, int64_t max)
{
	*s = (struct anyc_semaphore)ANYC_SEMAPHORE_INIT(initial, max);
	return check_values(initial, max);
}

int anyc_semaphore_acquire(struct anyc_semaphore *s)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = check(s);
	if (rc != 0)
		return rc;
	if (s->value_ == 0)
		return anyc__waiters_wait(&s->waiters_, t, NULL, "a semaphore");
	s->value_--;
	if (!s->fast_)
		anyc__yield(t);
	return 0;
}

int anyc_semaphore_acquire_nowait(struct anyc_semaphore *s)
{
	int rc = check(s);

	if (rc != 0)
		return rc;
	if (s->value_ == 0)
		return ANYC_EWOULDBLOCK;
	s->value_--;
	return 0;
}

int anyc_semaphore_release(struct anyc_semaphore *s)
{
	int rc = check(s);

	if (rc != 0)
		return rc;
	if (anyc__waiters_wake(&s->waiters_, 0) != NULL)
		return 0;
	if (s->value_ == (s->max_ != 0 ? s->max_ : INT64_MAX))
		return anyc__misuse(ANYC_EOVERFLOW,
				    "anyc_semaphore_release: all %lld permits are there already",
				    (long long)s->value_);
	s->value_++;
	return 0;
}

int64_t anyc_semaphore_value(const struct anyc_semaphore *s)
{
	return s->value_;
}

size_t anyc_semaphore_waiting(const struct anyc_semaphore *s)
{
	return anyc__waiters_count(&s->waiters_);
}

/* SPDX-License-Identifier: MIT */
/*
 * Limiter: tokens, those who have one, and a line of those who want one.
 *
 * Rules
 *  - A token that comes free belongs to the first in line before that task runs.
 *  - Everybody who has a token or is in line is in the table (borrowers.c), so that nobody is
 *    twice.  There is room before anybody gets in line: handing over cannot fail.
 */
#include "borrowers.h"

static bool is_initialised(const struct anyc_limiter *l)
{
	return l->magic_ == ANYC_LIMITER_MAGIC_ && l->total_ >= 0;
}

static int check(const struct anyc_limiter *l)
{
	if (!is_initialised(l))
		return anyc_fail(ANYC_EINVAL, 0,
				 "a limiter needs anyc_limiter_init() or ANYC_LIMITER_INIT(), and "
				 "a total that is not negative");
	if (l->borrowed_ + l->waiting_ > 0 && anyc__is_of_others(&l->engine_))
		return anyc__misuse(ANYC_ETHREAD,
				    "the limiter is in use by another thread's loop; tasks of one "
				    "loop share it, threads share by anyc/xsync.h");
	return 0;
}

int anyc_limiter_init(struct anyc_limiter *l, int64_t total)
{
	*l = (struct anyc_limiter)ANYC_LIMITER_INIT(total);
	return check(l);
}

/* ------------------------------------------------------------------------------- acquiring */

static bool has_room(const struct anyc_limiter *l)
{
	return l->total_ == ANYC_LIMITER_INFINITE || l->borrowed_ < (uint64_t)l->total_;
}

/* Room for one more, who is nobody that has a token or is in line. */
static int check_new(struct anyc_limiter *l, const struct anyc_borrower_ *who)
{
	const struct anyc_borrower_ *is;
	int rc = check(l);

	if (rc != 0)
		return rc;
	is = anyc__borrower_find(l, who);
	if (is != NULL)
		return anyc__misuse(ANYC_EMISUSE, "the borrower %s the limiter already",
				    is->has_ != 0 ? "has a token of" : "is in line at");
	return anyc__borrowers_reserve(l);
}

static void put_in(struct anyc_limiter *l, const struct anyc_borrower_ *who, bool has)
{
	__atomic_store_n(&l->engine_, anyc__here(), __ATOMIC_RELAXED);
	anyc__borrower_add(l, who)->has_ = has;
	if (has)
		l->borrowed_++;
	else
		l->waiting_++;
}

static int acquire_nowait(struct anyc_limiter *l, const struct anyc_borrower_ *who)
{
	int rc = check_new(l, who);

	if (rc != 0)
		return rc;
	if (!has_room(l))
		return ANYC_EWOULDBLOCK;
	put_in(l, who, true);
	return 0;
}

static int wait(struct anyc_limiter *l, struct anyc_task *t, struct anyc_borrower_ *who)
{
	int rc;

	put_in(l, who, false);
	rc = anyc__waiters_wait(&l->waiters_, t, who, "a token of a limiter");
	if (rc != 0) {
		anyc__borrower_remove(l, who);
		l->waiting_--;
	}
	return rc;
}

static int acquire(struct anyc_limiter *l, struct anyc_task *t, struct anyc_borrower_ *who)
{
	int rc = acquire_nowait(l, who);

	if (rc == ANYC_EWOULDBLOCK)
		return wait(l, t, who);
	if (rc == 0)
		anyc__yield(t);
	return rc;
}

static int check_named(const void *borrower)
{
	if (borrower != NULL)
		return 0;
	return anyc_fail(ANYC_EINVAL, 0, "a borrower is not NULL; for the task itself there is "
					 "anyc_limiter_acquire()");
}

int anyc_limiter_acquire(struct anyc_limiter *l)
{
	struct anyc_borrower_ who = { 0 };
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	who.task_ = anyc__task_id(t);
	return acquire(l, t, &who);
}

int anyc_limiter_acquire_for(struct anyc_limiter *l, const void *borrower)
{
	struct anyc_borrower_ who = { .key_ = borrower };
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = check_named(borrower);
	return rc != 0 ? rc : acquire(l, t, &who);
}

int anyc_limiter_acquire_nowait(struct anyc_limiter *l)
{
	struct anyc_borrower_ who = { 0 };
	struct anyc_task *t;
	int rc = anyc__enter_uncancelled(&t);

	if (rc != 0)
		return rc;
	who.task_ = anyc__task_id(t);
	return acquire_nowait(l, &who);
}

int anyc_limiter_acquire_for_nowait(struct anyc_limiter *l, const void *borrower)
{
	struct anyc_borrower_ who = { .key_ = borrower };
	int rc = check_named(borrower);

	return rc != 0 ? rc : acquire_nowait(l, &who);
}

/* ------------------------------------------------------------------------------- releasing */

static void hand_out(struct anyc_limiter *l)
{
	while (has_room(l) && !anyc__waiters_empty(&l->waiters_)) {
		anyc__borrower_find(l, l->waiters_.first_->data_)->has_ = 1;
		l->waiting_--;
		l->borrowed_++;
		anyc__waiters_wake(&l->waiters_, 0);
	}
}

static int release(struct anyc_limiter *l, const struct anyc_borrower_ *who)
{
	const struct anyc_borrower_ *is;
	int rc = check(l);

	if (rc != 0)
		return rc;
	is = anyc__borrower_find(l, who);
	if (is == NULL || is->has_ == 0)
		return anyc__misuse(ANYC_EMISUSE, "the borrower has no token of the limiter");
	anyc__borrower_remove(l, who);
	l->borrowed_--;
	hand_out(l);
	return 0;
}

int anyc_limiter_release(struct anyc_limiter *l)
{
	const struct anyc_task *t = anyc__current();
	struct anyc_borrower_ who = { .task_ = t != NULL ? anyc__task_id(t) : 0 };

	if (t == NULL)
		return anyc__misuse(ANYC_EMISUSE, "anyc_limiter_release: no task runs here");
	return release(l, &who);
}

int anyc_limiter_release_for(struct anyc_limiter *l, const void *borrower)
{
	struct anyc_borrower_ who = { .key_ = borrower };
	int rc = check_named(borrower);

	return rc != 0 ? rc : release(l, &who);
}

int anyc_limiter_set_total(struct anyc_limiter *l, int64_t total)
{
	int rc = check(l);

	if (rc != 0)
		return rc;
	if (total < 0)
		return anyc_fail(ANYC_EINVAL, 0, "a limiter's total is not negative");
	l->total_ = total;
	hand_out(l);
	return 0;
}

/* ------------------------------------------------------------------------------- questions */

int64_t anyc_limiter_total(const struct anyc_limiter *l)
{
	return l->total_;
}

size_t anyc_limiter_borrowed(const struct anyc_limiter *l)
{
	return l->borrowed_;
}

size_t anyc_limiter_waiting(const struct anyc_limiter *l)
{
	return anyc__waiters_count(&l->waiters_);
}

bool anyc_limiter_has(const struct anyc_limiter *l, const void *borrower)
{
	const struct anyc_task *t = anyc__current();
	struct anyc_borrower_ who = { .key_ = borrower };
	const struct anyc_borrower_ *is;

	if (borrower == NULL && t != NULL)
		who.task_ = anyc__task_id(t);
	if (!is_initialised(l) || (borrower == NULL && t == NULL))
		return false;
	is = anyc__borrower_find(l, &who);
	return is != NULL && is->has_ != 0;
}

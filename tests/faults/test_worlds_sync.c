/* SPDX-License-Identifier: MIT */
/* Small worlds of semaphores, limiters and conditions: worlds.h says what they are. */
#include "worlds.h"

/* ------------------------------------------------------------------------------- semaphores */
/* a: acquire, n: acquire_nowait, r: release, q: ask, c: cancel the next */

static void make_semaphore(struct world *w)
{
	w->value = 1;
	CHECK_OK(anyc_semaphore_init(&w->u.semaphore, 1, 0));
}

static bool acquire_permit(struct actor *a)
{
	struct world *w = a->world;

	if (a->cancelled)
		decide(a, ANYC_ECANCELED);
	else if (w->value > 0)
		decide(a, 0);
	else
		wait_in_model(a);
	w->value -= !a->waits && a->want == 0;
	return returned(a, anyc_semaphore_acquire(&w->u.semaphore));
}

static bool try_permit(struct actor *a)
{
	struct world *w = a->world;

	decide(a, w->value > 0 ? 0 : ANYC_EWOULDBLOCK);
	w->value -= a->want == 0;
	returned(a, anyc_semaphore_acquire_nowait(&w->u.semaphore));
	return false;
}

static bool release_permit(struct world *w)
{
	struct actor *next = first_in_line(w);

	if (next != NULL)
		decide(next, 0);
	else
		w->value++;
	CHECK_OK(anyc_semaphore_release(&w->u.semaphore));
	return false;
}

static void ask_semaphore(const struct world *w)
{
	CHECK_INT(anyc_semaphore_value(&w->u.semaphore), ==, w->value);
	CHECK_INT(anyc_semaphore_waiting(&w->u.semaphore), ==, count_in(w, 0));
}

static bool perform_semaphore(struct actor *a, char op)
{
	switch (op) {
	case 'a':
		return acquire_permit(a);
	case 'n':
		return try_permit(a);
	case 'r':
		return release_permit(a->world);
	case 'q':
		ask_semaphore(a->world);
		return false;
	default:
		return cancel_next(a);
	}
}

static void check_semaphore(struct world *w, int rc)
{
	CHECK_OK(rc);
	ask_semaphore(w);
}

static const struct kind semaphores = {
	.perform = perform_semaphore, .make = make_semaphore, .check = check_semaphore,
};

ANYC_TEST(worlds, d09_semaphore, .deadline = 600)
{
	static const struct programs programs[] = {
		{ { "arar", "arar", "arar" }, false },
		{ { "aara", "crna", "arcr" }, false },
		{ { "anrq", "acaq", "rqca" }, false },
	};

	RUN_ALL(semaphores, programs);
}

/* --------------------------------------------------------------------------------- limiters */
/* a: acquire, n: acquire_nowait, r: release, 0 to 2: set the total, c: cancel the next */

static void make_limiter(struct world *w)
{
	w->total = 1;
	CHECK_OK(anyc_limiter_init(&w->u.limiter, 1));
}

static int borrowed(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < ACTORS; i++)
		n += w->actor[i].has;
	return n;
}

static void hand_out(struct world *w)
{
	struct actor *next;

	while (borrowed(w) < w->total && (next = first_in_line(w)) != NULL) {
		decide(next, 0);
		next->has = 1;
	}
}

static void ask_limiter(const struct world *w)
{
	CHECK_INT(anyc_limiter_borrowed(&w->u.limiter), ==, borrowed(w));
	CHECK_INT(anyc_limiter_waiting(&w->u.limiter), ==, count_in(w, 0));
	CHECK_INT(anyc_limiter_total(&w->u.limiter), ==, w->total);
}

static bool borrow(struct actor *a)
{
	struct world *w = a->world;

	if (a->has != 0)
		return false;
	if (a->cancelled)
		decide(a, ANYC_ECANCELED);
	else if (borrowed(w) < w->total)
		decide(a, 0);
	else
		wait_in_model(a);
	a->has = !a->waits && a->want == 0;
	return returned(a, anyc_limiter_acquire(&w->u.limiter));
}

static bool try_to_borrow(struct actor *a)
{
	struct world *w = a->world;

	if (a->has != 0)
		return false;
	decide(a, borrowed(w) < w->total ? 0 : ANYC_EWOULDBLOCK);
	a->has = a->want == 0;
	returned(a, anyc_limiter_acquire_nowait(&w->u.limiter));
	return false;
}

static void give_back(struct actor *a)
{
	if (a->has == 0)
		return;
	a->has = 0;
	hand_out(a->world);
	CHECK_OK(anyc_limiter_release(&a->world->u.limiter));
}

static bool perform_limiter(struct actor *a, char op)
{
	struct world *w = a->world;

	switch (op) {
	case 'a':
		return borrow(a);
	case 'n':
		return try_to_borrow(a);
	case 'r':
		give_back(a);
		break;
	case '0':
	case '1':
	case '2':
		w->total = op - '0';
		hand_out(w);
		CHECK_OK(anyc_limiter_set_total(&w->u.limiter, w->total));
		break;
	default:
		cancel_next(a);
	}
	ask_limiter(w);
	return false;
}

static void check_limiter(struct world *w, int rc)
{
	CHECK_OK(rc);
	CHECK_INT(borrowed(w), ==, 0);
	ask_limiter(w);
}

static const struct kind limiters = {
	.perform = perform_limiter,
	.make = make_limiter,
	.finish = give_back,
	.check = check_limiter,
};

ANYC_TEST(worlds, d11_limiter, .deadline = 600)
{
	static const struct programs programs[] = {
		{ { "arar", "arar", "arar" }, false },
		{ { "a0ra", "2ara", "acra" }, false },
		{ { "anr1", "0ac2", "rara" }, false },
	};

	RUN_ALL(limiters, programs);
}

/* ------------------------------------------------------------------------------- conditions */
/*
 * l: acquire, u: release, w: wait, o: notify one, A: notify all, c: cancel the next; all but
 * l and c only with the lock.  Who gets the lock is the world of locks; the model is of the line of
 * those who wait, who notified whom, and that each has the lock after its wait.
 */

static bool lock(struct actor *a)
{
	bool before = a->cancelled;
	int rc;

	if (a->has != 0)
		return false;
	rc = anyc_lock_acquire(&a->world->u.lock);
	CHECK(rc == 0 ? !before : rc == ANYC_ECANCELED && a->cancelled);
	a->has = rc == 0;
	return true;
}

static void unlock(struct actor *a)
{
	if (a->has == 0)
		return;
	a->has = 0;
	CHECK_OK(anyc_lock_release(&a->world->u.lock));
}

static bool wait_for_change(struct actor *a)
{
	struct world *w = a->world;

	if (a->cancelled) {
		decide(a, ANYC_ECANCELED);
	} else {
		wait_in_model(a);
		CHECK_INT(anyc_condition_waiting(&w->u.condition), ==, count_in(w, 0) - 1);
	}
	returned(a, anyc_condition_wait(&w->u.condition, &w->u.lock));
	CHECK(anyc_lock_owner(&w->u.lock) == anyc_task_id());
	return true;
}

static void notify(struct world *w, int count)
{
	struct actor *next;

	CHECK_INT(anyc_condition_waiting(&w->u.condition), ==, count_in(w, 0));
	CHECK_OK(anyc_condition_notify(&w->u.condition, &w->u.lock, (size_t)count));
	for (int i = 0; i < count && (next = first_in_line(w)) != NULL; i++)
		decide(next, 0);
}

static bool perform_condition(struct actor *a, char op)
{
	switch (op) {
	case 'l':
		return lock(a);
	case 'c':
		return cancel_next(a);
	default:
		break;
	}
	if (a->has == 0)
		return false;
	if (op == 'w')
		return wait_for_change(a);
	if (op == 'u')
		unlock(a);
	else
		notify(a->world, op == 'o' ? 1 : ACTORS);
	return false;
}

static void check_condition(struct world *w, int rc)
{
	CHECK_OK(rc);
	CHECK(!anyc_lock_is_held(&w->u.lock));
	CHECK_INT(anyc_condition_waiting(&w->u.condition), ==, 0);
}

static const struct kind conditions = {
	.perform = perform_condition, .finish = unlock, .check = check_condition,
};

ANYC_TEST(worlds, d04_condition, .deadline = 600)
{
	static const struct programs programs[] = {
		{ { "lwuc", "lwow", "lowu" }, false },
		{ { "lwcw", "lwcu", "lAuA" }, false },
		{ { "lwwu", "lcow", "lolo" }, false },
	};

	RUN_ALL(conditions, programs);
}

/* SPDX-License-Identifier: MIT */
/* Small worlds of locks, events and groups: worlds.h says what they are. */
#include "worlds.h"

static void check_all_well(struct world *w, int rc)
{
	CHECK_OK(rc);
	CHECK_INT(w->owner, ==, 0);
}

/* ------------------------------------------------------------------------------------- lock */
/* a: acquire, n: acquire_nowait, r: release (if it is held), c: cancel the next */

static void take(struct actor *a)
{
	a->world->owner = a->me + 1;
	decide(a, 0);
}

static bool release(struct actor *a)
{
	struct actor *next;

	if (a->world->owner != a->me + 1) {
		CHECK(anyc_lock_is_held(&a->world->u.lock) == (a->world->owner != 0));
		return false;
	}
	a->world->owner = 0;
	next = first_in_line(a->world);
	if (next != NULL)
		take(next);
	CHECK_OK(anyc_lock_release(&a->world->u.lock));
	return false;
}

static bool acquire(struct actor *a)
{
	if (a->world->owner == a->me + 1)
		return false;
	if (a->cancelled)
		decide(a, ANYC_ECANCELED);
	else if (a->world->owner == 0)
		take(a);
	else
		wait_in_model(a);
	return returned(a, anyc_lock_acquire(&a->world->u.lock));
}

static bool try_acquire(struct actor *a)
{
	if (a->world->owner == a->me + 1)
		return false;
	if (a->world->owner == 0)
		take(a);
	else
		decide(a, ANYC_EWOULDBLOCK);
	returned(a, anyc_lock_acquire_nowait(&a->world->u.lock));
	return false;
}

static bool perform_lock(struct actor *a, char op)
{
	switch (op) {
	case 'a':
		return acquire(a);
	case 'n':
		return try_acquire(a);
	case 'r':
		return release(a);
	default:
		return cancel_next(a);
	}
}

static void finish_lock(struct actor *a)
{
	release(a);
}

static const struct kind locks = {
	.perform = perform_lock, .finish = finish_lock, .check = check_all_well,
};

ANYC_TEST(worlds, b082_lock, .deadline = 600)
{
	static const struct programs programs[] = {
		{ { "arar", "arar", "arar" }, false },
		{ { "arar", "arnr", "acra" }, false },
		{ { "acrc", "arar", "nrar" }, false },
		{ { "aarr", "ccac", "narn" }, false },
	};

	RUN_ALL(locks, programs);
}

/* ------------------------------------------------------------------------------------ event */
/* w: wait, s: set, q: ask, c: cancel the next */

static bool wait_event(struct actor *a)
{
	if (a->cancelled)
		decide(a, ANYC_ECANCELED);
	else if (a->world->set)
		decide(a, 0);
	else
		wait_in_model(a);
	return returned(a, anyc_event_wait(&a->world->u.event));
}

static bool set_event(struct actor *a)
{
	struct actor *next;

	a->world->set = true;
	while ((next = first_in_line(a->world)) != NULL)
		decide(next, 0);
	CHECK_OK(anyc_event_set(&a->world->u.event));
	return false;
}

static bool perform_event(struct actor *a, char op)
{
	switch (op) {
	case 'w':
		return wait_event(a);
	case 's':
		return set_event(a);
	case 'q':
		CHECK(anyc_event_is_set(&a->world->u.event) == a->world->set);
		CHECK_INT(anyc_event_waiting(&a->world->u.event), ==, count_in(a->world, 0));
		return false;
	default:
		return cancel_next(a);
	}
}

static const struct kind events = { .perform = perform_event, .check = check_all_well };

ANYC_TEST(worlds, b078_event, .deadline = 600)
{
	static const struct programs programs[] = {
		{ { "qwqw", "wqcq", "qqsq" }, false },
		{ { "wwww", "cwcq", "qcsc" }, false },
		{ { "wcww", "wcwq", "wcwq" }, false },
	};

	RUN_ALL(events, programs);
}

/* ------------------------------------------------------------------------------------ group */
/* y: checkpoint, w: wait for ever, s: spawn, k: cancel the group, f: fail at the end,
 * c: cancel the next */

static bool is_over(const struct actor *a)
{
	return a->cancelled || a->world->over;
}

static int child(void *arg)
{
	struct world *w = arg;
	bool over = w->over;

	w->children--;
	CHECK_RC(anyc_checkpoint(), over ? ANYC_ECANCELED : 0);
	return over ? ANYC_ECANCELED : 0;
}

static bool cancel_group(struct world *w)
{
	w->over = true;
	for (int i = 0; i < ACTORS; i++)
		if (w->actor[i].waits)
			decide(&w->actor[i], ANYC_ECANCELED);
	CHECK_OK(anyc_group_cancel(&w->group, "the world's"));
	return false;
}

static bool perform_group(struct actor *a, char op)
{
	switch (op) {
	case 'y':
		decide(a, is_over(a) ? ANYC_ECANCELED : 0);
		return returned(a, anyc_checkpoint());
	case 'w':
		if (is_over(a))
			decide(a, ANYC_ECANCELED);
		else
			wait_in_model(a);
		return returned(a, anyc_sleep_forever());
	case 's':
		a->world->children++;
		CHECK_OK(anyc_spawn(&a->world->group, child, a->world));
		return false;
	case 'k':
		return cancel_group(a->world);
	case 'f':
		a->result = -EIO - a->me;
		return false;
	default:
		return cancel_next(a);
	}
}

/* Everyone has ended, and the first error by time is the group's. */
static void check_group(struct world *w, int rc)
{
	CHECK_INT(rc, ==, w->error);
	CHECK_INT(w->children, ==, 0);
	CHECK_INT(anyc_group_size(&w->group), ==, 0);
	CHECK_INT(anyc_group_error_count(&w->group), ==, w->errors);
}

static const struct kind groups = { .perform = perform_group, .check = check_group };

ANYC_TEST(worlds, r08_group, .deadline = 600)
{
	static const struct programs programs[] = {
		{ { "yyyf", "yyyf", "yfyy" }, true },
		{ { "ywyc", "wyww", "ykyf" }, true },
		{ { "wcwf", "ycwf", "wyyf" }, false },
		{ { "sy", "yf", "wsk" }, true },
	};

	RUN_ALL(groups, programs);
}

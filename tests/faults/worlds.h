/* SPDX-License-Identifier: MIT */
/*
 * Small worlds, exhaustively: three tasks with a program of four operations each, in every order
 * in which they can be scheduled, beside a model that says what each operation must return.
 *
 * An operation is a letter.  After each there is one place where another task may go on:
 * checkpoints yield themselves, the others are followed by a yield.  The order hook is given
 * choices from an odometer instead of a random number, so a run is one path through the tree of
 * all of them, and the next run is the next path.
 *
 * Worlds that are `large`, of some hundred thousand paths, are walked through by ./dev check faults
 * on the row "anyc"; else they are sampled: a path drawn by lot each time.
 *
 * Whether a task waits is the model's word, too: when all tasks are blocked, those that have not
 * ended are those that wait in the model.  They are then cancelled, one after the other.
 */
#ifndef ANYC_TEST_WORLDS_H
#define ANYC_TEST_WORLDS_H

#include "faults.h"

#define ACTORS 3
#define DEPTH 128
#define ITEMS 16
#define SAMPLE 2000

struct world;
struct actor {
	struct world *world;
	int me;
	const char *program;
	struct anyc_scope scope; /* that others cancel */
	int result;              /* of the task */
	/* The model's. */
	bool cancelled, ended;
	bool waits; /* inside an operation, which others will decide */
	int want;   /* what the operation returns */
	int place;  /* of a waiting one: in order of arrival */
	int line;   /* which it stands in, if there are several */
	int has;    /* what it holds: tokens, or the last item */
};

struct kind {
	/* Performs an operation; whether it has given way to others. */
	bool (*perform)(struct actor *a, char op);
	/* Before the actors are there, and NULL where zeroed memory is enough. */
	void (*make)(struct world *w);
	/* Gives back what the actor holds at its end.  NULL: nothing to do */
	void (*finish)(struct actor *a);
	/* All have ended; rc: what leaving the group gave. */
	void (*check)(struct world *w, int rc);
};

struct programs {
	const char *of[ACTORS];
	bool large;
};

struct choices {
	bool by_lot;
	uint64_t lot;
	size_t depth, at;
	unsigned char taken[DEPTH], of[DEPTH];
};

struct world {
	const struct kind *kind;
	struct actor actor[ACTORS];
	struct anyc_group group;
	int arrivals;
	struct { /* what it is about; zeroed for each run */
		struct anyc_lock lock;
		struct anyc_event event;
		struct anyc_condition condition;
		struct anyc_semaphore semaphore;
		struct anyc_limiter limiter;
		struct anyc_sender sender[ACTORS];
		struct anyc_receiver receiver[ACTORS];
	} u;
	/* The model's. */
	int owner;    /* a lock's, from 1 */
	bool set;     /* an event's */
	bool over;    /* the group was cancelled */
	int error, errors, children;
	int value, total; /* permits that are free; tokens */
	int queued[ITEMS], used, capacity, senders, receivers, dropped;
};

/* ---------------------------------------------------------------------------------- choices */

static size_t choose(void *arg, size_t n)
{
	struct choices *c = arg;

	if (c->by_lot) {
		c->lot = c->lot * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		return (size_t)(c->lot >> 33) % n;
	}
	if (c->at == c->depth) {
		CHECK_INT(c->depth, <, DEPTH);
		c->taken[c->depth] = 0;
		c->of[c->depth++] = (unsigned char)n;
	}
	CHECK_INT(c->of[c->at], ==, n); /* the same path leads to the same place */
	return c->taken[c->at++];
}

/* On to the next path; false: that was the last. */
static bool next_path(struct choices *c)
{
	CHECK_INT(c->at, ==, c->depth);
	while (c->depth > 0 && ++c->taken[c->depth - 1] == c->of[c->depth - 1])
		c->depth--;
	c->at = 0;
	return c->depth > 0;
}

/* ---------------------------------------------------------------------------------- the model */

/* The operation returns rc, at once. */
UNUSED static void decide(struct actor *a, int rc)
{
	a->waits = false;
	a->want = rc;
}

/* At the end of a line. */
UNUSED static void wait_in(struct actor *a, int line)
{
	a->waits = true;
	a->line = line;
	a->place = ++a->world->arrivals;
}

UNUSED static void wait_in_model(struct actor *a)
{
	wait_in(a, 0);
}

/* The first of those that wait in a line, or NULL. */
UNUSED static struct actor *first_in(struct world *w, int line)
{
	struct actor *first = NULL;

	for (int i = 0; i < ACTORS; i++) {
		struct actor *a = &w->actor[i];

		if (a->waits && a->line == line && (first == NULL || a->place < first->place))
			first = a;
	}
	return first;
}

UNUSED static struct actor *first_in_line(struct world *w)
{
	return first_in(w, 0);
}

UNUSED static size_t count_in(const struct world *w, int line)
{
	size_t n = 0;

	for (int i = 0; i < ACTORS; i++)
		n += w->actor[i].waits && w->actor[i].line == line;
	return n;
}

/* The operation has returned. */
UNUSED static bool returned(struct actor *a, int rc)
{
	if (a->waits)
		FAIL("actor %d of \"%s\": %s (%d) came, and the model waits", a->me, a->program,
		     rc < 0 ? anyc_err_name(rc) : "a result", rc);
	if (rc != a->want)
		FAIL("actor %d of \"%s\": %d, and the model says %d", a->me, a->program, rc,
		     a->want);
	return true;
}

static void cancel(struct actor *a)
{
	if (a->ended || a->cancelled)
		return;
	a->cancelled = true;
	if (a->waits)
		decide(a, ANYC_ECANCELED);
	CHECK_OK(anyc_scope_cancel(&a->scope, "the world's"));
}

/* 'c' is of all kinds: cancels the next actor. */
UNUSED static bool cancel_next(struct actor *a)
{
	cancel(&a->world->actor[(a->me + 1) % ACTORS]);
	return false;
}

/* ---------------------------------------------------------------------------------- the run */

static int act(void *arg)
{
	struct actor *a = arg;
	const struct kind *kind = a->world->kind;

	CHECK_OK(anyc_scope_open(&a->scope));
	for (const char *op = a->program; *op != '\0'; op++)
		if (!kind->perform(a, *op) && op[1] != '\0')
			anyc_checkpoint_shielded();
	if (kind->finish != NULL)
		kind->finish(a);
	a->ended = true;
	CHECK_OK(anyc_scope_leave(&a->scope, 0));
	if (a->result < 0) {
		a->world->errors++;
		if (a->world->error == 0)
			a->world->error = a->result;
		a->world->over = true;
		for (int i = 0; i < ACTORS; i++)
			if (a->world->actor[i].waits)
				decide(&a->world->actor[i], ANYC_ECANCELED);
	}
	return a->result;
}

/* All are blocked: those that have not ended wait in the model.  Cancels one; false: none. */
static bool free_one(struct world *w)
{
	struct actor *stuck = NULL;

	for (int i = 0; i < ACTORS; i++) {
		struct actor *a = &w->actor[i];

		if (a->ended == a->waits)
			FAIL("actor %d of \"%s\" %s, and the model says otherwise", i, a->program,
			     a->ended ? "has ended" : "is blocked");
		if (stuck == NULL && a->waits)
			stuck = a;
	}
	if (stuck != NULL)
		cancel(stuck);
	return stuck != NULL;
}

static void run_once(const struct kind *kind, const char *const *programs)
{
	struct world w = { .kind = kind };
	int rc;

	if (kind->make != NULL)
		kind->make(&w);
	anyc_group_enter(&w.group, NULL);
	for (int i = 0; i < ACTORS; i++) {
		struct actor *a = &w.actor[i];

		a->world = &w;
		a->me = i;
		a->program = programs[i];
		anyc_scope_init(&a->scope, NULL);
		CHECK_OK(anyc_spawn(&w.group, act, a));
	}
	do {
		rc = anyc_wait_all_blocked();
		CHECK((rc == ANYC_ECANCELED) == w.over);
	} while (rc == 0 && free_one(&w));
	rc = anyc_group_leave(&w.group, 0);
	kind->check(&w, rc);
	anyc_group_free(&w.group);
}

static bool all_wanted(void)
{
	const char *points = getenv("ANYC_FAULT_POINTS");

	return points != NULL && strcmp(points, "0") == 0 && anyc_test_row_is("anyc");
}

/* All paths of three programs, or a sample; their number. */
static unsigned long run_programs(const struct kind *kind, const struct programs *programs)
{
	struct choices choices = { .by_lot = programs->large && !all_wanted() };
	size_t sample = choices.by_lot || anyc_test_slow() > 1 ? SAMPLE / anyc_test_slow() : 0;
	unsigned long paths = 0;
	bool more;

	anyc_fault_order_hook(choose, &choices);
	do {
		run_once(kind, programs->of);
		paths++;
		more = choices.by_lot || next_path(&choices);
	} while (more && (sample == 0 || paths < sample));
	anyc_fault_order_hook(NULL, NULL);
	return paths;
}

#define RUN_ALL(kind, programs) \
	do { \
		unsigned long paths_ = 0; \
		for (size_t i_ = 0; i_ < sizeof(programs) / sizeof *(programs); i_++) \
			paths_ += run_programs(&(kind), &(programs)[i_]); \
		CHECK_INT(paths_, >, 1000 / anyc_test_slow()); \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that go from one engine to another (rule 23).
 *
 * Rules
 *  - Only the engine that has a descriptor registered takes it out, in a turn of its own: it may be
 *    in the middle of a batch of events.  Who wants the descriptor asks by a post, and waits.
 *  - The request is on the heap, with a reference for either side.  Whoever is first to change its
 *    state decides: the engine, which then looks at the descriptor, or the task that gives up,
 *    after which the engine touches nothing but the request.
 *  - An engine that ends forgets its descriptors before it leaves the list of engines, and runs
 *    the posts it has after that: who does not find it finds the descriptor forgotten.
 */
#include <sched.h>

#include "engine.h"
#include "xwaiters.h"

enum state { ASKED, TAKEN, GIVEN_UP };

struct move {
	struct anyc__post post; /* to the engine that has it */
	atomic_uint references;
	_Atomic(enum state) state;
	struct anyc__fd *fd;
	int result;
	struct anyc_xevent done;
};

static bool claim(struct move *m, enum state as)
{
	enum state asked = ASKED;

	return atomic_compare_exchange_strong(&m->state, &asked, as);
}

static void unref(struct move *m)
{
	if (atomic_fetch_sub(&m->references, 1) == 1)
		anyc__free(m);
}

/* In the thread of the engine that has it. */
static void let_go(struct anyc__post *p, int status)
{
	struct move *m = ANYC__CONTAINER(p, struct move, post);

	(void)status; /* as it ends it has forgotten it already */
	if (claim(m, TAKEN)) {
		m->result = anyc__fd_let_go(m->fd);
		ANYC_IGNORE(anyc_xevent_set(&m->done));
	}
	unref(m);
}

/* 0, or why the wait ended first: then the descriptor is where it was. */
static int wait_for(struct move *m)
{
	int rc = anyc_xevent_wait(&m->done);

	if (rc == 0)
		return m->result;
	if (claim(m, GIVEN_UP))
		return rc;
	/* Too late: the other thread is at it. */
	while (!anyc_xevent_is_set(&m->done))
		sched_yield();
	return m->result;
}

static int ask(struct anyc_token *token, struct anyc__fd *f, struct anyc_task *t)
{
	struct move *m = anyc__alloc(sizeof *m);
	int rc;

	if (m == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory to ask a loop for descriptor %d",
				 f->fd);
	atomic_init(&m->references, 2);
	m->fd = f;
	m->post.run = let_go;
	if (anyc__token_post(token, &m->post) == 0) {
		rc = wait_for(m);
	} else { /* it has ended, and forgotten it */
		unref(m);
		anyc__yield(t);
		rc = 0;
	}
	unref(m);
	if (rc == ANYC_EBUSY)
		return anyc_fail(rc, 0, "descriptor %d: a task of its loop waits for it", f->fd);
	return rc;
}

int anyc__fd_move(struct anyc__fd *f, struct anyc_task *t)
{
	struct anyc__engine *e = __atomic_load_n(&f->engine, __ATOMIC_ACQUIRE);
	struct anyc_token *token = NULL;
	int rc = 0;

	if (f->fork_generation != anyc__fork_generation())
		return anyc__fd_check(f, t);
	if (e != NULL && e != t->engine)
		rc = anyc__engine_token(e, &token);
	if (rc != 0)
		return anyc_fail(rc, -rc, "asking a loop for descriptor %d: %s", f->fd,
				 strerrordesc_np(-rc));
	if (token == NULL) { /* it is nobody's, or this engine's */
		anyc__yield(t);
		return 0;
	}
	rc = ask(token, f, t);
	anyc_token_unref(token);
	return rc;
}

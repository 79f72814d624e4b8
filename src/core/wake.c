/* SPDX-License-Identifier: MIT */
/*
 * Waking an engine from elsewhere: tokens and posts from other threads, cancelling from signals.
 *
 * Rules
 *  - Other threads hold a token, never an engine.  The token's lock guards its pointer to the
 *    engine and its queue; the engine empties the queue in its turns.
 *  - An accepted post runs exactly once: in a turn with 0, or with ANYC_EGONE as the engine ends.
 *  - The token has a duplicate of the engine's eventfd, so that a signal handler can write to it
 *    without a lock even while the engine ends.
 *  - One write wakes; further posts until the queue is emptied make no system call.
 */
#include <fcntl.h>
#include <unistd.h>

#include "engine.h"

/* ------------------------------------------------------------------------------------ tokens */

static void ring(int event)
{
	static const uint64_t one = 1;
	int saved = errno;

	ANYC_IGNORE(write(event, &one, sizeof one));
	errno = saved;
}

/* Any thread may be the first to want an engine's token: move.c. */
static struct anyc__lock making;

/* Under that lock. */
static int token_make(struct anyc__engine *e)
{
	struct anyc_token *token = anyc__alloc(sizeof *token);
	int rc;

	if (token == NULL)
		return -ENOMEM;
	token->event = fcntl(e->poller.event, F_DUPFD_CLOEXEC, 3);
	if (token->event < 0) {
		rc = -errno;
		anyc__free(token);
		return rc;
	}
	pthread_mutex_init(&token->lock, NULL);
	atomic_init(&token->references, 1);
	token->fork_generation = anyc__fork_generation();
	token->engine = e;
	e->token = token;
	return 0;
}

int anyc__token_of(struct anyc__engine *e, struct anyc_token **out)
{
	int rc = 0;

	if (e->token == NULL) {
		anyc__lock(&making);
		if (e->token == NULL)
			rc = token_make(e);
		anyc__unlock(&making);
	}
	*out = e->token;
	return rc;
}

struct anyc_token *anyc_loop_token(struct anyc_loop *loop)
{
	struct anyc_token *token;
	int rc = anyc__token_of(&loop->engine, &token);

	if (rc == 0)
		return anyc_token_ref(token);
	anyc_fail(rc, -rc, "a loop's token: %s", strerrordesc_np(-rc));
	return NULL;
}

struct anyc_token *anyc_token_ref(struct anyc_token *token)
{
	atomic_fetch_add_explicit(&token->references, 1, memory_order_relaxed);
	return token;
}

void anyc_token_unref(struct anyc_token *token)
{
	if (token == NULL ||
	    atomic_fetch_sub_explicit(&token->references, 1, memory_order_acq_rel) != 1)
		return;
	close(token->event);
	pthread_mutex_destroy(&token->lock);
	anyc__free(token);
}

/* ------------------------------------------------------------------------------------- posts */

int anyc__token_post(struct anyc_token *token, struct anyc__post *p)
{
	bool first;

	/* In a child nobody takes posts out, and a thread of the parent's may hold the lock. */
	if (token->fork_generation != anyc__fork_generation())
		return ANYC_EFORKED;
	pthread_mutex_lock(&token->lock);
	if (token->engine == NULL) {
		pthread_mutex_unlock(&token->lock);
		return ANYC_EGONE;
	}
	anyc__posts_append(&token->posts, p);
	first = !atomic_exchange_explicit(&token->posted, true, memory_order_release);
	if (first)
		ring(token->event);
	pthread_mutex_unlock(&token->lock);
	return 0;
}

static struct anyc__post *take_posts(struct anyc_token *token)
{
	struct anyc__post *p;

#ifndef PLANT_POST_RACE
	pthread_mutex_lock(&token->lock);
#endif
	p = token->posts.first;
	token->posts = (struct anyc__posts){0};
	atomic_store_explicit(&token->posted, false, memory_order_relaxed);
#ifndef PLANT_POST_RACE
	pthread_mutex_unlock(&token->lock);
#endif
	return p;
}

void anyc__token_unpost(struct anyc_token *token, struct anyc__post *p)
{
	pthread_mutex_lock(&token->lock);
	if (p->in != NULL)
		anyc__posts_take_out(p);
	pthread_mutex_unlock(&token->lock);
}

void anyc__token_close(struct anyc__engine *e)
{
	struct anyc_token *token = e->token;
	struct anyc__post *p, *next;

	if (token == NULL)
		return;
	e->token = NULL;
	/* A fork may have caught the lock held; nobody else is here to share it with. */
	if (e->fork_generation != anyc__fork_generation()) {
		anyc_token_unref(token);
		return;
	}
	pthread_mutex_lock(&token->lock);
	token->engine = NULL;
	pthread_mutex_unlock(&token->lock);
	for (p = take_posts(token); p != NULL; p = next) {
		next = p->next;
		p->run(p, ANYC_EGONE);
	}
	anyc_token_unref(token);
}

struct user_post {
	struct anyc__post post;
	anyc_post_fn *fn;
	void *arg;
};

static void user_post_run(struct anyc__post *p, int status)
{
	struct user_post *u = ANYC__CONTAINER(p, struct user_post, post);
	anyc_post_fn *fn = u->fn;
	void *arg = u->arg;

	anyc__free(u);
#ifdef PLANT_USE_AFTER_FREE
	arg = u->arg;
#endif
	fn(arg, status);
}

int anyc_token_post(struct anyc_token *token, anyc_post_fn *fn, void *arg)
{
	struct user_post *u;
	int rc;

	if (token == NULL || fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_token_post needs a token and a function");
	u = anyc__alloc(sizeof *u);
	if (u == NULL)
		return -ENOMEM;
	u->post.run = user_post_run;
	u->fn = fn;
	u->arg = arg;
	rc = anyc__token_post(token, &u->post);
	if (rc != 0)
		anyc__free(u);
	return rc;
}

/* --------------------------------------------------------------------- in the engine's turns */

static bool asked_to_cancel(struct anyc__engine *e)
{
	bool asked = atomic_exchange_explicit(&e->cancel_asked, false, memory_order_acquire);

	if (e->token != NULL && atomic_load_explicit(&e->token->cancel, memory_order_relaxed) &&
	    atomic_exchange_explicit(&e->token->cancel, false, memory_order_acquire))
		asked = true;
	return asked;
}

bool anyc__wake_queued(const struct anyc__engine *e)
{
	const struct anyc_token *token = e->token;

	return atomic_load_explicit(&e->cancel_asked, memory_order_relaxed) ||
	       (token != NULL && (atomic_load_explicit(&token->posted, memory_order_acquire) ||
				  atomic_load_explicit(&token->cancel, memory_order_relaxed)));
}

void anyc__wake_check(struct anyc__engine *e)
{
	struct anyc__post *p, *next;

	if (ANYC__UNLIKELY(asked_to_cancel(e)))
		anyc__engine_cancel(e, "a signal");
	if (e->token == NULL || !atomic_load_explicit(&e->token->posted, memory_order_acquire))
		return;
	for (p = take_posts(e->token); p != NULL; p = next) {
		next = p->next;
		anyc__post_local(e, p);
	}
}

void anyc__wake_event(struct anyc__engine *e)
{
	struct anyc__wake_watch *w, *next;

	for (w = e->wake_watches; w != NULL; w = next) {
		next = w->next;
		w->check(w);
	}
	anyc__wake_check(e);
}

/* ------------------------------------------------------------------------------- cancelling */

void anyc__engine_cancel(struct anyc__engine *e, const char *reason)
{
	struct anyc_task *t, *next;

	if (e->entry == NULL) {
		anyc__plain_cancel(e, reason);
		return;
	}
	for (t = e->roots; t != NULL; t = next) {
		next = t->next;
		anyc__scope_cancel(&t->base, ANYC_CAUSE_CANCEL, reason);
	}
}

struct anyc__engine *anyc__turning(struct anyc__engine *e)
{
	struct anyc__thread_core *core =
		anyc__thread.block != NULL ? anyc__thread.block->core : NULL;
	struct anyc__engine *was;

	if (core == NULL)
		return NULL;
	was = core->turning;
	core->turning = e;
	return was;
}

/* Async-signal-safe: reads this thread's own pointers, sets a flag and writes to an eventfd. */
void anyc_cancel_from_signal(void)
{
	const struct anyc__thread *self = &anyc__thread;
	struct anyc__thread_core *core = self->block != NULL ? self->block->core : NULL;
	const struct anyc__entry *here = anyc__registry_peek();
	struct anyc__engine *e = NULL;

	if (self->task != NULL)
		e = self->task->engine;
	else if (core != NULL && core->turning != NULL)
		e = core->turning;
	else if (here != NULL)
		e = &here->loop->engine;
	else if (core != NULL && core->plain != NULL)
		e = &core->plain->engine;
	if (e == NULL)
		return;
	atomic_store_explicit(&e->cancel_asked, true, memory_order_release);
	ring(e->poller.event);
}

void anyc_token_cancel(struct anyc_token *token)
{
	atomic_store_explicit(&token->cancel, true, memory_order_release);
	ring(token->event);
}

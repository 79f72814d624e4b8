/* SPDX-License-Identifier: MIT */
/*
 * Rooms and lines of objects between threads, and what tasks hold of them.
 *
 * Rules
 *  - A thread is inside for a few instructions, and never across a wait.  Token locks are taken
 *    inside, never the other way round.
 *  - Who wakes takes the waiter out of its line and posts to its engine, inside the room.  A task
 *    that was cancelled meanwhile takes the post back: what it was woken with stands.
 *  - The first who enters a room in a forked child looks whether the fork caught it in use.  The
 *    lock is free there, whoever held it.
 *  - A task may end without having let go of an object: its list tells which.  One that lay on
 *    the task's own stack has gone with it, so it is counted, but not on the list.
 */
#include "engine.h"
#include "xwaiters.h"

/* ---------------------------------------------------------------------------------- rooms */

_Static_assert(sizeof(struct anyc__lock) == sizeof(uint32_t), "a room has place for a lock");

static struct anyc__lock *lock_of(struct anyc_xroom_ *room)
{
	return (struct anyc__lock *)(void *)&room->lock_;
}

/* For a task that has been in it since this process is: no fork has caught it. */
static void enter_again(struct anyc_xroom_ *room)
{
	anyc__lock(lock_of(room));
	room->inside_ = true;
}

int anyc__xroom_enter(struct anyc_xroom_ *room, const char *what)
{
	uint64_t ours = anyc__fork_generation();

	anyc__lock(lock_of(room));
	if (ANYC__UNLIKELY(room->process_ != ours)) {
		if (room->process_ != 0 && (room->inside_ || room->users_ != 0))
			room->caught_ = true;
		room->process_ = ours;
	}
	if (ANYC__LIKELY(!room->caught_)) {
		room->inside_ = true;
		return 0;
	}
	anyc__unlock(lock_of(room));
	return anyc_fail(ANYC_EFORKED, 0,
			 "%s was in use in the parent process when it forked, and its users are "
			 "not here; zero it, or use another one",
			 what);
}

void anyc__xroom_leave(struct anyc_xroom_ *room)
{
	room->inside_ = false;
	anyc__unlock(lock_of(room));
}

/* ---------------------------------------------------------------------------------- lines */

static void put_in(struct anyc_xwaiters_ *line, struct anyc_xwaiter_ *w)
{
	w->line = line;
	w->prev = line->first_ != NULL ? line->last_ : NULL;
	if (line->first_ != NULL)
		line->last_->next = w;
	else
		line->first_ = w;
	line->last_ = w;
	w->room->users_++;
}

static void take_out(struct anyc_xwaiter_ *w)
{
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		w->line->first_ = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		w->line->last_ = w->prev;
	w->line = NULL;
	w->room->users_--;
}

static void wake_task(struct anyc__post *p, int status)
{
	struct anyc_xwaiter_ *w = ANYC__CONTAINER(p, struct anyc_xwaiter_, post);

	(void)status;
	anyc__unpark(w->task, w->result);
}

static void abort_wait(struct anyc_task *t, void *arg)
{
	struct anyc_xwaiter_ *w = arg;

	/* In a forked child the room was caught in use, and nobody wakes anybody. */
	if (t->engine->fork_generation != anyc__fork_generation())
		return;
	enter_again(w->room);
	if (w->line != NULL)
		take_out(w);
	anyc__xroom_leave(w->room);
	if (w->woken)
		anyc__token_unpost(w->token, &w->post);
}

int anyc__xwaiters_wait(struct anyc_xwaiters_ *line, struct anyc_xroom_ *room,
			struct anyc_task *t, void *data, const char *what)
{
	struct anyc_xwaiter_ w = {.room = room, .task = t, .task_id = t->id, .data = data};
	int rc = anyc__token_of(t->engine, &w.token);

	if (rc != 0) {
		anyc__xroom_leave(room);
		return anyc_fail(rc, -rc, "waiting for %s: %s", what, strerrordesc_np(-rc));
	}
	anyc_token_ref(w.token);
	w.post.run = wake_task;
	put_in(line, &w);
	anyc__xroom_leave(room);
	rc = anyc__park(t, abort_wait, &w, what);
	anyc_token_unref(w.token);
	if (!w.woken)
		return rc;
	/* Who woke it may still be inside. */
	enter_again(room);
	anyc__xroom_leave(room);
	return w.result;
}

const struct anyc_xwaiter_ *anyc__xwaiters_wake(struct anyc_xwaiters_ *line, int result)
{
	struct anyc_xwaiter_ *w = line->first_;

	if (w == NULL)
		return NULL;
	take_out(w);
	w->woken = true;
	w->result = result;
	/* Not refused: the engine has this task. */
	ANYC_IGNORE(anyc__token_post(w->token, &w->post));
	return w;
}

size_t anyc__xwaiters_count(const struct anyc_xwaiters_ *line)
{
	const struct anyc_xwaiter_ *w;
	size_t n = 0;

	for (w = line->first_; w != NULL; w = w->next)
		n++;
	return n;
}

size_t anyc__xroom_waiting(struct anyc_xroom_ *room, const struct anyc_xwaiters_ *line,
			   const char *what)
{
	size_t n;

	if (anyc__xroom_enter(room, what) != 0)
		return 0;
	n = anyc__xwaiters_count(line);
	anyc__xroom_leave(room);
	return n;
}

/* ----------------------------------------------------------------------------------- held */

/* Asked once, by the task that takes it: AddressSanitizer may keep its variables elsewhere. */
static bool on_own_stack(const struct anyc_task *t, struct anyc_held_ *h)
{
#if defined(ANYC__ASAN)
	void *fake = __asan_get_current_fake_stack();

	if (fake != NULL && __asan_addr_is_in_fake_stack(fake, h, NULL, NULL) != NULL)
		return true;
#endif
	return (uintptr_t)h >= t->stack_low && (uintptr_t)h < t->stack_high;
}

void anyc__hold(struct anyc_task *t, struct anyc_held_ *h, anyc_abandon_fn_ *abandon)
{
	t->held_count++;
	h->prev_ = NULL;
	h->next_ = NULL;
	h->abandon_ = on_own_stack(t, h) ? NULL : abandon;
	if (h->abandon_ == NULL)
		return;
	h->next_ = t->held;
	if (t->held != NULL)
		t->held->prev_ = h;
	t->held = h;
}

void anyc__unhold(struct anyc_task *t, struct anyc_held_ *h)
{
	t->held_count--;
	if (h->abandon_ == NULL)
		return;
	if (h->prev_ != NULL)
		h->prev_->next_ = h->next_;
	else
		t->held = h->next_;
	if (h->next_ != NULL)
		h->next_->prev_ = h->prev_;
}

void anyc__abandon_held(struct anyc_task *t)
{
	struct anyc_held_ *h;

	anyc_report(ANYC_EMISUSE,
		    "task '%s' ended and still holds %u lock%s between threads, which nobody can "
		    "have now: release on every path out",
		    t->name, t->held_count, t->held_count == 1 ? "" : "s");
	while ((h = t->held) != NULL) {
		t->held = h->next_;
		h->abandon_(h);
	}
}

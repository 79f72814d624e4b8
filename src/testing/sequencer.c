/* SPDX-License-Identifier: MIT */
/* Parts of tasks in a given order. */
#include "kit.h"

#include <string.h>

#include <anyc/error.h>

/* In a wait's own frame. */
struct anyc_sequencer_waiter_ {
	struct anyc_sequencer_waiter_ *next;
	unsigned place;
	struct anyc_event event;
};

static int refuse_broken(unsigned place)
{
	return anyc_fail(ANYC_EBROKEN, 0,
			 "anyc_sequencer_enter(%u): another task was cancelled in its wait", place);
}

static bool is_taken(const struct anyc_sequencer *s, unsigned place)
{
	if (place < s->next_ || (place == s->next_ && s->inside_))
		return true;
	for (const struct anyc_sequencer_waiter_ *w = s->first_; w != NULL; w = w->next) {
		if (w->place == place)
			return true;
	}
	return false;
}

static void take_out(struct anyc_sequencer *s, struct anyc_sequencer_waiter_ *w)
{
	struct anyc_sequencer_waiter_ **at = &s->first_;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

static int wait_for_place(struct anyc_sequencer *s, unsigned place)
{
	struct anyc_sequencer_waiter_ me;
	int rc;

	memset(&me, 0, sizeof me);
	me.place = place;
	me.next = s->first_;
	s->first_ = &me;
	rc = anyc_event_wait(&me.event);
	take_out(s, &me);
	return rc == 0 && s->broken_ ? refuse_broken(place) : rc;
}

/* Nobody will fill this place: no later one can come. */
static void break_it(struct anyc_sequencer *s)
{
	s->broken_ = true;
	for (struct anyc_sequencer_waiter_ *w = s->first_; w != NULL; w = w->next)
		anyc_event_set(&w->event);
}

int anyc_sequencer_enter(struct anyc_sequencer *s, unsigned place)
{
	int rc;

	if (is_taken(s, place))
		return anyc__kit_misuse(ANYC_EMISUSE,
					"anyc_sequencer_enter: the place %u is taken", place);
	if (s->broken_)
		return refuse_broken(place);
	rc = place == s->next_ ? anyc_checkpoint() : wait_for_place(s, place);
	if (rc == ANYC_ECANCELED)
		break_it(s);
	if (rc == 0)
		s->inside_ = true;
	return rc;
}

int anyc_sequencer_leave(struct anyc_sequencer *s)
{
	if (!s->inside_)
		return anyc__kit_misuse(ANYC_EMISUSE,
					"anyc_sequencer_leave: no part is entered");
	s->inside_ = false;
	s->next_++;
	for (struct anyc_sequencer_waiter_ *w = s->first_; w != NULL; w = w->next) {
		if (w->place == s->next_)
			anyc_event_set(&w->event);
	}
	return 0;
}

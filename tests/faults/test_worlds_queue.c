/* SPDX-License-Identifier: MIT */
/* Small worlds of queues: worlds.h says what they are. */
#include "worlds.h"

/*
 * s: send, n: send_nowait, r: receive, t: receive_nowait, x: close the own sender, y: the own
 * receiver, c: cancel the next.  Each actor has an end of each kind.  The model is the list of
 * items, and two lines.
 */
enum { RECEIVING, SENDING };

/* The items in a row are numbered, so the order and the number of each tell. */
static _Thread_local int next_item;

static void count_dropped(void *arg, void *item)
{
	struct world *w = arg;

	(void)item;
	w->dropped--;
}

static void make_queue(struct world *w, size_t capacity)
{
	struct anyc_queue_options o = { .drop = count_dropped, .drop_arg = w };

	CHECK_OK(anyc_queue_open(&w->u.sender[0], &w->u.receiver[0], sizeof(int), capacity, &o));
	for (int i = 1; i < ACTORS; i++) {
		CHECK_OK(anyc_sender_clone(&w->u.sender[i], &w->u.sender[0]));
		CHECK_OK(anyc_receiver_clone(&w->u.receiver[i], &w->u.receiver[0]));
	}
	w->capacity = (int)capacity;
	w->senders = w->receivers = ACTORS;
	next_item = 1;
}

static void make_rendezvous(struct world *w)
{
	make_queue(w, 0);
}

static void make_small(struct world *w)
{
	make_queue(w, 1);
}

/* ---------------------------------------------------------------------------------- the model */

static bool sender_open(const struct actor *a)
{
	return a->world->u.sender[a->me].end_.queue_ != NULL;
}

static bool receiver_open(const struct actor *a)
{
	return a->world->u.receiver[a->me].end_.queue_ != NULL;
}

static void push(struct world *w, int item)
{
	CHECK_INT(w->used, <, ITEMS);
	w->queued[w->used++] = item;
}

static int pop(struct world *w)
{
	int item = w->queued[0];

	w->used--;
	memmove(w->queued, w->queued + 1, (size_t)w->used * sizeof *w->queued);
	return item;
}

/* What sending a->has comes to, without waiting. */
static int model_send(struct actor *a)
{
	struct world *w = a->world;
	struct actor *receiver = first_in(w, RECEIVING);

	if (!sender_open(a))
		return ANYC_ECLOSED;
	if (w->receivers == 0)
		return ANYC_EBROKEN;
	if (receiver != NULL) {
		receiver->has = a->has;
		decide(receiver, 0);
		return 0;
	}
	if (w->used == w->capacity)
		return ANYC_EWOULDBLOCK;
	push(w, a->has);
	return 0;
}

/* What receiving comes to, without waiting; the item is a->has. */
static int model_receive(struct actor *a)
{
	struct world *w = a->world;
	struct actor *sender = first_in(w, SENDING);

	if (!receiver_open(a))
		return ANYC_ECLOSED;
	if (sender != NULL) {
		push(w, sender->has);
		decide(sender, 0);
	}
	if (w->used > 0) {
		a->has = pop(w);
		return 0;
	}
	return w->senders == 0 ? ANYC_EEOF : ANYC_EWOULDBLOCK;
}

/* ------------------------------------------------------------------------------ operations */

static bool send_item(struct actor *a, bool wait)
{
	struct anyc_sender *s = &a->world->u.sender[a->me];
	int item = a->has = next_item++;

	if (wait && a->cancelled)
		decide(a, ANYC_ECANCELED);
	else
		decide(a, model_send(a));
	if (wait && a->want == ANYC_EWOULDBLOCK)
		wait_in(a, SENDING);
	returned(a, wait ? anyc_queue_send(s, &item) : anyc_queue_send_nowait(s, &item));
	return wait;
}

static bool receive_item(struct actor *a, bool wait)
{
	struct anyc_receiver *r = &a->world->u.receiver[a->me];
	int item = 0;

	if (wait && a->cancelled)
		decide(a, ANYC_ECANCELED);
	else
		decide(a, model_receive(a));
	if (wait && a->want == ANYC_EWOULDBLOCK)
		wait_in(a, RECEIVING);
	returned(a, wait ? anyc_queue_receive(r, &item) : anyc_queue_receive_nowait(r, &item));
	CHECK_INT(item, ==, a->want == 0 ? a->has : 0);
	return wait;
}

static void close_sender(struct actor *a)
{
	struct world *w = a->world;
	struct actor *receiver;

	if (!sender_open(a))
		return;
	if (--w->senders == 0)
		while ((receiver = first_in(w, RECEIVING)) != NULL)
			decide(receiver, ANYC_EEOF);
	CHECK_OK(anyc_sender_close(&w->u.sender[a->me]));
}

static void close_receiver(struct actor *a)
{
	struct world *w = a->world;
	struct actor *sender;

	if (!receiver_open(a))
		return;
	if (--w->receivers == 0) {
		while ((sender = first_in(w, SENDING)) != NULL)
			decide(sender, ANYC_EBROKEN);
		w->dropped += w->used;
		w->used = 0;
	}
	CHECK_OK(anyc_receiver_close(&w->u.receiver[a->me]));
}

static void ask(const struct actor *a)
{
	struct anyc_queue_stats stats;

	if (!receiver_open(a))
		return;
	CHECK_OK(anyc_receiver_stats(&stats, &a->world->u.receiver[a->me]));
	CHECK_INT(stats.used, ==, a->world->used);
	CHECK_INT(stats.senders, ==, a->world->senders);
	CHECK_INT(stats.receivers, ==, a->world->receivers);
	CHECK_INT(stats.senders_waiting, ==, count_in(a->world, SENDING));
	CHECK_INT(stats.receivers_waiting, ==, count_in(a->world, RECEIVING));
}

static bool perform(struct actor *a, char op)
{
	switch (op) {
	case 's':
		return send_item(a, true);
	case 'n':
		send_item(a, false);
		break;
	case 'r':
		return receive_item(a, true);
	case 't':
		receive_item(a, false);
		break;
	case 'x':
		close_sender(a);
		break;
	case 'y':
		close_receiver(a);
		break;
	default:
		cancel_next(a);
	}
	ask(a);
	return false;
}

static void finish(struct actor *a)
{
	close_sender(a);
	close_receiver(a);
}

static void check(struct world *w, int rc)
{
	CHECK_OK(rc);
	CHECK_INT(w->senders + w->receivers, ==, 0);
	CHECK_INT(w->dropped, ==, 0); /* as many as the model dropped */
}

static const struct kind small = {
	.perform = perform, .make = make_small, .finish = finish, .check = check,
};
static const struct kind rendezvous = {
	.perform = perform, .make = make_rendezvous, .finish = finish, .check = check,
};

static const struct programs programs[] = {
	{ { "ssss", "rrrr", "srsr" }, false },
	{ { "sssx", "rcrt", "nryt" }, false },
	{ { "scsr", "rcry", "sxrn" }, false },
	{ { "ssyn", "rxcr", "srty" }, false },
};

ANYC_TEST(worlds, e02_a_queue_of_one, .deadline = 600)
{
	RUN_ALL(small, programs);
}

ANYC_TEST(worlds, e03_rendezvous, .deadline = 600)
{
	RUN_ALL(rendezvous, programs);
}

/* SPDX-License-Identifier: MIT */
/* What the tests of queues share: a queue of ints, and tasks that each make one call on it. */
#ifndef ANYC_TEST_CONFORM_QUEUE_H
#define ANYC_TEST_CONFORM_QUEUE_H

#include "conform.h"

/* ------------------------------------------------------------------------ tasks at an end */

/* A task that sends one item, or receives one; how that went, and what the next checkpoint said. */
struct party {
	struct anyc_scope scope;
	struct anyc_sender *sender;
	struct anyc_receiver *receiver;
	int item, rc, next;
	bool done;
};

UNUSED static int take_part(void *arg)
{
	struct party *p = arg;
	int left;

	anyc_scope_enter(&p->scope, NULL);
	p->rc = p->sender != NULL ? anyc_queue_send(p->sender, &p->item)
				  : anyc_queue_receive(p->receiver, &p->item);
	p->next = anyc_checkpoint();
	left = anyc_scope_leave(&p->scope, p->next);
	p->done = true;
	return left;
}

UNUSED static struct party sends(struct anyc_sender *sender, int item)
{
	return (struct party){ .sender = sender, .item = item, .rc = 1 };
}

UNUSED static struct party receives(struct anyc_receiver *receiver)
{
	return (struct party){ .receiver = receiver, .item = -1, .rc = 1 };
}

/* Spawns it and lets it get as far as it can. */
UNUSED static void begin(struct anyc_group *g, struct party *p)
{
	CHECK_OK(anyc_spawn(g, take_part, p));
	SETTLE();
}

struct ends {
	struct anyc_sender sender;
	struct anyc_receiver receiver;
};

UNUSED static void open_ends(struct ends *e, size_t capacity)
{
	CHECK_OK(anyc_queue_open(&e->sender, &e->receiver, sizeof(int), capacity, NULL));
}

UNUSED static void close_ends(struct ends *e)
{
	CHECK_OK(anyc_sender_close(&e->sender));
	CHECK_OK(anyc_receiver_close(&e->receiver));
}

UNUSED static struct anyc_queue_stats stats_of(const struct ends *e)
{
	struct anyc_queue_stats s;

	CHECK_OK(anyc_sender_stats(&s, &e->sender));
	return s;
}

UNUSED static int send_now(struct ends *e, int item)
{
	return anyc_queue_send_nowait(&e->sender, &item);
}

/* The item, or a negative code. */
UNUSED static int receive_now(struct ends *e)
{
	int item = -1, rc = anyc_queue_receive_nowait(&e->receiver, &item);

	return rc != 0 ? rc : item;
}

UNUSED static int send_three(void *arg)
{
	struct ends *e = arg;
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0; i++)
		rc = anyc_queue_send(&e->sender, &i);
	CHECK_OK(anyc_sender_close(&e->sender));
	return rc;
}

#endif

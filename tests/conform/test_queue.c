/* SPDX-License-Identifier: MIT */
/* What queues do: b100 to b112 of behaviours.md, and what AnyIO's list (E1 to E11) has besides. */
#include "conform_queue.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------ order and room */

ANYC_TEST(queue, b100_a_rendezvous)
{
	struct ends e;
	struct anyc_group g;
	struct party p;
	int item;

	open_ends(&e, 0);
	anyc_group_enter(&g, NULL);
	p = sends(&e.sender, 7);
	begin(&g, &p);
	CHECK(!p.done);
	CHECK_INT(p.rc, ==, 1);
	CHECK_INT(stats_of(&e).used, ==, 0);
	CHECK_OK(anyc_queue_receive(&e.receiver, &item));
	CHECK_INT(item, ==, 7);
	SETTLE();
	CHECK_OK(p.rc);
	CHECK_OK(anyc_spawn(&g, send_three, &e));
	for (int i = 0; i < 3; i++) {
		CHECK_OK(anyc_queue_receive(&e.receiver, &item));
		CHECK_INT(item, ==, i);
	}
	CHECK_RC(anyc_queue_receive(&e.receiver, &item), ANYC_EEOF);
	CHECK_OK(anyc_group_leave(&g, 0));
	close_ends(&e);
}

/* Whoever receives first waits first. */
ANYC_TEST(queue, b100_first_come_first_served)
{
	struct ends e;
	struct anyc_group g;
	struct party p[4];

	open_ends(&e, 0);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 4; i++) {
		p[i] = receives(&e.receiver);
		begin(&g, &p[i]);
	}
	for (int i = 0; i < 4; i++)
		CHECK_OK(send_now(&e, 10 + i));
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < 4; i++)
		CHECK_INT(p[i].item, ==, 10 + i);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 4; i++) {
		p[i] = sends(&e.sender, 20 + i);
		begin(&g, &p[i]);
	}
	for (int i = 0; i < 4; i++)
		CHECK_INT(receive_now(&e), ==, 20 + i);
	CHECK_OK(anyc_group_leave(&g, 0));
	close_ends(&e);
}

static void check_refused(size_t item_size, size_t capacity)
{
	struct ends e;

	CHECK_RC(anyc_queue_open(&e.sender, &e.receiver, item_size, capacity, NULL), ANYC_EINVAL);
	CHECK_REPORT("anyc_queue_open");
	/* Both are closed, so a clean-up may close them. */
	CHECK_RC(send_now(&e, 1), ANYC_ECLOSED);
	CHECK_RC(receive_now(&e), ANYC_ECLOSED);
	close_ends(&e);
}

ANYC_TEST(queue, b100_impossible_queues)
{
	struct anyc_sender sender;
	struct anyc_receiver receiver;

	check_refused(0, 1);
	check_refused(0, 0);
	check_refused(sizeof(int), (size_t)-1);
	check_refused(sizeof(int), (size_t)INT64_MIN);
	check_refused(sizeof(int), SIZE_MAX / 8 + 1);
	check_refused(SIZE_MAX / 2, 3);
	check_refused(SIZE_MAX, 1);
	CHECK_RC(anyc_queue_open(NULL, &receiver, 1, 1, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_queue_open(&sender, NULL, 1, 1, NULL), ANYC_EINVAL);
	reports_forget();
}

ANYC_TEST(queue, b101_nowait)
{
	struct ends e;
	struct anyc_group g;
	struct party p;

	open_ends(&e, 0);
	CHECK_RC(send_now(&e, 1), ANYC_EWOULDBLOCK);
	CHECK_RC(receive_now(&e), ANYC_EWOULDBLOCK);
	p = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_OK(send_now(&e, 2));
	CHECK_RC(send_now(&e, 3), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(p.rc);
	CHECK_INT(p.item, ==, 2);
	close_ends(&e);

	open_ends(&e, 2);
	CHECK_OK(send_now(&e, 4));
	CHECK_OK(send_now(&e, 5));
	CHECK_RC(send_now(&e, 6), ANYC_EWOULDBLOCK);
	CHECK_INT(receive_now(&e), ==, 4);
	CHECK_OK(send_now(&e, 7));
	CHECK_INT(receive_now(&e), ==, 5);
	CHECK_INT(receive_now(&e), ==, 7);
	CHECK_RC(receive_now(&e), ANYC_EWOULDBLOCK);
	CHECK_INT(reports(), ==, 0);
	close_ends(&e);
}

ANYC_TEST(queue, e05_taking_from_a_full_queue_lets_a_sender_in)
{
	struct ends e;
	struct anyc_group g;
	struct party p;

	open_ends(&e, 1);
	CHECK_OK(send_now(&e, 1));
	p = sends(&e.sender, 2);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_INT(p.rc, ==, 1);
	CHECK_INT(receive_now(&e), ==, 1);
	CHECK_INT(stats_of(&e).used, ==, 1);
	CHECK_INT(stats_of(&e).senders_waiting, ==, 0);
	SETTLE();
	CHECK_OK(p.rc);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(receive_now(&e), ==, 2);
	CHECK_INT(stats_of(&e).peak, ==, 1);
	close_ends(&e);
}

ANYC_TEST(queue, e01_unbounded)
{
	enum { MANY = 5000 };
	struct ends e;
	int next = 0;

	open_ends(&e, ANYC_QUEUE_UNBOUNDED);
	/* The ring grows while it is wrapped. */
	for (int i = 0; i < MANY; i++) {
		CHECK_OK(send_now(&e, i));
		if (i % 3 == 0)
			CHECK_INT(receive_now(&e), ==, next++);
	}
	CHECK_INT(stats_of(&e).used, ==, MANY - next);
	CHECK_INT(stats_of(&e).peak, >=, MANY - next);
	CHECK(stats_of(&e).capacity == ANYC_QUEUE_UNBOUNDED);
	while (next < MANY)
		CHECK_INT(receive_now(&e), ==, next++);
	CHECK_RC(receive_now(&e), ANYC_EWOULDBLOCK);
	close_ends(&e);
}

/* -------------------------------------------------------------------------- items' sizes */

static void round_through(size_t size)
{
	unsigned char in[200], out[202];
	struct ends e;

	CHECK_OK(anyc_queue_open(&e.sender, &e.receiver, size, 3, NULL));
	for (unsigned i = 0; i < 20; i++) {
		memset(in, (int)(i + size), sizeof in);
		memset(out, 0xee, sizeof out);
		CHECK_OK(anyc_queue_send_nowait(&e.sender, in));
		if (i % 4 == 0)
			CHECK_OK(anyc_queue_send_nowait(&e.sender, in));
		do
			CHECK_OK(anyc_queue_receive_nowait(&e.receiver, out + 1));
		while (stats_of(&e).used != 0);
		CHECK(memcmp(in, out + 1, size) == 0);
		CHECK_INT(out[0], ==, 0xee);
		CHECK_INT(out[1 + size], ==, 0xee);
	}
	close_ends(&e);
}

ANYC_TEST(queue, e01_items_of_any_size)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 7, 8, 12, 16, 24, 64, 200 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		round_through(sizes[i]);
}

/* -------------------------------------------------------------------------------- closing */

ANYC_TEST(queue, b104_no_receiver_is_left)
{
	struct ends e;
	struct anyc_group g;
	struct party full, zero;
	int item = 1;

	/* Even with room. */
	open_ends(&e, 4);
	CHECK_OK(anyc_receiver_close(&e.receiver));
	CHECK_RC(anyc_queue_send(&e.sender, &item), ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "anyc_queue_send");
	CHECK_RC(send_now(&e, 1), ANYC_EBROKEN);
	close_ends(&e);
	/* Those that wait, on a full queue and in a rendezvous; an item of zeroes as well. */
	for (size_t capacity = 0; capacity < 2; capacity++) {
		open_ends(&e, capacity);
		if (capacity != 0)
			CHECK_OK(send_now(&e, 9));
		full = sends(&e.sender, 5);
		zero = sends(&e.sender, 0);
		anyc_group_enter(&g, NULL);
		begin(&g, &full);
		begin(&g, &zero);
		CHECK_INT(stats_of(&e).senders_waiting, ==, 2);
		CHECK_OK(anyc_receiver_close(&e.receiver));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(full.rc, ANYC_EBROKEN);
		CHECK_RC(zero.rc, ANYC_EBROKEN);
		CHECK_INT(stats_of(&e).used, ==, 0);
		CHECK_RC(send_now(&e, 1), ANYC_EBROKEN);
		close_ends(&e);
	}
	CHECK_INT(reports(), ==, 0);
}

ANYC_TEST(queue, b105_a_closed_end)
{
	struct ends e, other;
	struct anyc_queue_stats s;
	int item = 3;

	open_ends(&e, 4);
	CHECK_OK(anyc_sender_clone(&other.sender, &e.sender));
	CHECK_OK(anyc_receiver_clone(&other.receiver, &e.receiver));
	close_ends(&e);
	CHECK_RC(anyc_queue_send(&e.sender, &item), ANYC_ECLOSED);
	CHECK_HAS(anyc_error_detail(ANYC_ECLOSED), "anyc_queue_send");
	CHECK_RC(send_now(&e, 1), ANYC_ECLOSED);
	CHECK_RC(anyc_queue_receive(&e.receiver, &item), ANYC_ECLOSED);
	CHECK_RC(receive_now(&e), ANYC_ECLOSED);
	CHECK_RC(anyc_queue_receive_many(&e.receiver, &item, 1), ANYC_ECLOSED);
	CHECK_RC(anyc_sender_stats(&s, &e.sender), ANYC_ECLOSED);
	CHECK_RC(anyc_receiver_stats(&s, &e.receiver), ANYC_ECLOSED);
	CHECK_INT(s.capacity, ==, 0);
	{
		struct ends none;

		CHECK_RC(anyc_sender_clone(&none.sender, &e.sender), ANYC_ECLOSED);
		CHECK_RC(anyc_receiver_clone(&none.receiver, &e.receiver), ANYC_ECLOSED);
		CHECK_RC(send_now(&none, 1), ANYC_ECLOSED);
		close_ends(&none);
	}
	/* Closing again counts once: the clones still work. */
	close_ends(&e);
	close_ends(&e);
	CHECK_INT(stats_of(&other).senders, ==, 1);
	CHECK_INT(stats_of(&other).receivers, ==, 1);
	CHECK_OK(send_now(&other, 8));
	CHECK_INT(receive_now(&other), ==, 8);
	close_ends(&other);
	CHECK_INT(reports(), ==, 0);
}

ANYC_TEST(queue, e04_what_was_sent_still_comes)
{
	struct ends e;
	int item;

	open_ends(&e, 3);
	CHECK_OK(send_now(&e, 1));
	CHECK_OK(send_now(&e, 2));
	CHECK_OK(anyc_sender_close(&e.sender));
	CHECK_OK(anyc_queue_receive(&e.receiver, &item));
	CHECK_INT(item, ==, 1);
	CHECK_INT(receive_now(&e), ==, 2);
	for (int i = 0; i < 3; i++) {
		CHECK_RC(receive_now(&e), ANYC_EEOF);
		CHECK_RC(anyc_queue_receive(&e.receiver, &item), ANYC_EEOF);
		CHECK_RC(anyc_queue_receive_many(&e.receiver, &item, 1), ANYC_EEOF);
	}
	close_ends(&e);
}

ANYC_TEST(queue, e04_waiting_receivers_get_the_end)
{
	struct ends e;
	struct anyc_sender clone;
	struct anyc_group g;
	struct party p[2];

	open_ends(&e, 3);
	CHECK_OK(anyc_sender_clone(&clone, &e.sender));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 2; i++) {
		p[i] = receives(&e.receiver);
		begin(&g, &p[i]);
	}
	CHECK_OK(anyc_sender_close(&clone));
	SETTLE();
	CHECK(!p[0].done && !p[1].done);
	CHECK_OK(anyc_sender_close(&e.sender));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(p[0].rc, ANYC_EEOF);
	CHECK_RC(p[1].rc, ANYC_EEOF);
	close_ends(&e);
}

/* E9 as Trio has it: whoever waits in an end is told that it was closed, in order. */
ANYC_TEST(queue, e09_closing_under_a_task)
{
	struct ends e, other;
	struct anyc_group g;
	struct party mine[2], others;

	for (int kind = 0; kind < 2; kind++) {
		open_ends(&e, 0);
		CHECK_OK(anyc_sender_clone(&other.sender, &e.sender));
		CHECK_OK(anyc_receiver_clone(&other.receiver, &e.receiver));
		for (int i = 0; i < 2; i++)
			mine[i] = kind == 0 ? sends(&e.sender, i) : receives(&e.receiver);
		others = kind == 0 ? sends(&other.sender, 7) : receives(&other.receiver);
		anyc_group_enter(&g, NULL);
		begin(&g, &mine[0]);
		begin(&g, &others);
		begin(&g, &mine[1]);
		if (kind == 0)
			CHECK_OK(anyc_sender_close(&e.sender));
		else
			CHECK_OK(anyc_receiver_close(&e.receiver));
		SETTLE();
		CHECK_RC(mine[0].rc, ANYC_ECLOSED);
		CHECK_RC(mine[1].rc, ANYC_ECLOSED);
		CHECK(!others.done);
		if (kind == 0)
			CHECK_INT(receive_now(&other), ==, 7);
		else
			CHECK_OK(send_now(&other, 8));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_OK(others.rc);
		close_ends(&e);
		close_ends(&other);
	}
}

/* The last one closes itself while tasks wait in it and, as nobody else is left, in others. */
ANYC_TEST(queue, e09_the_last_receiver_under_a_task)
{
	struct ends e;
	struct anyc_group g;
	struct party p;

	open_ends(&e, 2);
	p = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_OK(anyc_sender_close(&e.sender));
	/* It has its end already: the close comes too late for it. */
	CHECK_OK(anyc_receiver_close(&e.receiver));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(p.rc, ANYC_EEOF);
}

struct closer {
	struct ends *ends;
	int item, rc;
};

/* Frees the very memory of the ends, as soon as the other side is through. */
static int receive_and_end(void *arg)
{
	struct closer *c = arg;

	c->rc = anyc_queue_receive(&c->ends->receiver, &c->item);
	close_ends(c->ends);
	memset(c->ends, 0xdb, sizeof *c->ends);
	free(c->ends);
	return 0;
}

ANYC_TEST(queue, b112_a_taken_item_was_sent)
{
	struct ends *e = malloc(sizeof *e);
	struct closer c = { .ends = e, .rc = 1 };
	struct anyc_group g;
	struct party p;

	CHECK(e != NULL);
	open_ends(e, 0);
	p = sends(&e->sender, 6);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	/* Takes the item and closes all before the sender's task runs. */
	CHECK_INT(receive_now(e), ==, 6);
	close_ends(e);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(p.rc);
	CHECK_OK(p.next);
	/* The same for a receiver, whose task then ends queue and memory under the sender. */
	open_ends(e, 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_and_end, &c));
	SETTLE();
	CHECK_OK(anyc_queue_send(&e->sender, &(int){ 5 }));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(c.rc);
	CHECK_INT(c.item, ==, 5);
}

/* --------------------------------------------------------------------------------- clones */

enum { PRODUCERS = 10, EACH = 3, CONSUMERS = 5 };

struct producer {
	struct anyc_sender sender;
	int first;
};

static int produce(void *arg)
{
	struct producer *p = arg;
	int rc = 0;

	for (int i = p->first; i < p->first + EACH && rc == 0; i++)
		rc = anyc_queue_send(&p->sender, &i);
	CHECK_OK(anyc_sender_close(&p->sender));
	return rc;
}

ANYC_TEST(queue, b107_ten_producers)
{
	struct producer p[PRODUCERS];
	bool seen[PRODUCERS * EACH] = { false };
	struct ends e;
	struct anyc_group g;
	int item, rc, count = 0;

	open_ends(&e, 2);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < PRODUCERS; i++) {
		p[i].first = i * EACH;
		CHECK_OK(anyc_sender_clone(&p[i].sender, &e.sender));
		CHECK_OK(anyc_spawn(&g, produce, &p[i]));
	}
	CHECK_INT(stats_of(&e).senders, ==, PRODUCERS + 1);
	CHECK_OK(anyc_sender_close(&e.sender));
	while ((rc = anyc_queue_receive(&e.receiver, &item)) == 0) {
		CHECK(item >= 0 && item < PRODUCERS * EACH && !seen[item]);
		seen[item] = true;
		count++;
	}
	CHECK_RC(rc, ANYC_EEOF);
	CHECK_INT(count, ==, PRODUCERS * EACH);
	CHECK_OK(anyc_group_leave(&g, 0));
	close_ends(&e);
}

struct consumer {
	struct anyc_receiver receiver;
	int *seen, got;
};

static int consume(void *arg)
{
	struct consumer *c = arg;
	int item, rc;

	while ((rc = anyc_queue_receive(&c->receiver, &item)) == 0) {
		c->seen[item]++;
		c->got++;
	}
	CHECK_OK(anyc_receiver_close(&c->receiver));
	return rc == ANYC_EEOF ? 0 : rc;
}

ANYC_TEST(queue, b107_five_blocked_consumers)
{
	enum { MANY = 50 };
	struct consumer c[CONSUMERS];
	int seen[MANY] = { 0 };
	struct ends e;
	struct anyc_group g;

	open_ends(&e, 0);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < CONSUMERS; i++) {
		c[i] = (struct consumer){ .seen = seen };
		CHECK_OK(anyc_receiver_clone(&c[i].receiver, &e.receiver));
		CHECK_OK(anyc_spawn(&g, consume, &c[i]));
	}
	SETTLE();
	CHECK_INT(stats_of(&e).receivers_waiting, ==, CONSUMERS);
	for (int i = 0; i < MANY; i++)
		CHECK_OK(anyc_queue_send(&e.sender, &i));
	close_ends(&e);
	CHECK_OK(anyc_group_leave(&g, 0));
	for (int i = 0; i < MANY; i++)
		CHECK_INT(seen[i], ==, 1);
	for (int i = 0; i < CONSUMERS; i++)
		CHECK_INT(c[i].got, >=, 1);
}

/* ------------------------------------------------------------------ fairness, cancellation */

ANYC_TEST(queue, b108_nobody_gets_in_between)
{
	struct ends e;
	struct anyc_group g;
	struct party p;

	open_ends(&e, 1);
	p = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_OK(send_now(&e, 1));
	CHECK_RC(receive_now(&e), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(p.item, ==, 1);
	CHECK_OK(send_now(&e, 2));
	p = sends(&e.sender, 3);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_INT(receive_now(&e), ==, 2);
	CHECK_RC(send_now(&e, 4), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(receive_now(&e), ==, 3);
	close_ends(&e);
}

ANYC_TEST(queue, b109_an_item_that_was_assigned_is_received)
{
	struct ends e;
	struct anyc_group g;
	struct party p;

	open_ends(&e, 0);
	p = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_OK(send_now(&e, 4));
	CHECK_OK(anyc_scope_cancel(&p.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(p.rc);
	CHECK_INT(p.item, ==, 4);
	CHECK_RC(p.next, ANYC_ECANCELED);
	/* And an item that was taken was sent. */
	p = sends(&e.sender, 5);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_INT(receive_now(&e), ==, 5);
	CHECK_OK(anyc_scope_cancel(&p.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(p.rc);
	CHECK_RC(p.next, ANYC_ECANCELED);
	close_ends(&e);
}

ANYC_TEST(queue, b110_a_cancelled_receiver_is_passed_over)
{
	struct ends e;
	struct anyc_group g;
	struct party p[3];

	open_ends(&e, 0);
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		p[i] = receives(&e.receiver);
		begin(&g, &p[i]);
	}
	CHECK_OK(anyc_scope_cancel(&p[0].scope, NULL));
	CHECK_OK(send_now(&e, 1));
	CHECK_OK(anyc_scope_cancel(&p[2].scope, NULL));
	CHECK_RC(send_now(&e, 2), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(p[0].rc, ANYC_ECANCELED);
	CHECK_INT(p[0].item, ==, -1);
	CHECK_OK(p[1].rc);
	CHECK_INT(p[1].item, ==, 1);
	CHECK_RC(p[2].rc, ANYC_ECANCELED);
	close_ends(&e);
	/* With room it stays in the queue. */
	open_ends(&e, 1);
	p[0] = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p[0]);
	CHECK_OK(anyc_scope_cancel(&p[0].scope, NULL));
	CHECK_OK(send_now(&e, 3));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(p[0].rc, ANYC_ECANCELED);
	CHECK_INT(receive_now(&e), ==, 3);
	close_ends(&e);
}

ANYC_TEST(queue, b110_a_cancelled_sender_leaves_the_line)
{
	struct ends e;
	struct anyc_group g;
	struct party p[3];

	open_ends(&e, 1);
	CHECK_OK(send_now(&e, 1));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		p[i] = sends(&e.sender, 10 + i);
		begin(&g, &p[i]);
	}
	CHECK_OK(anyc_scope_cancel(&p[1].scope, NULL));
	SETTLE();
	CHECK_RC(p[1].rc, ANYC_ECANCELED);
	CHECK_INT(stats_of(&e).senders_waiting, ==, 2);
	CHECK_INT(receive_now(&e), ==, 1);
	CHECK_INT(receive_now(&e), ==, 10);
	CHECK_INT(receive_now(&e), ==, 12);
	CHECK_RC(receive_now(&e), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_group_leave(&g, 0));
	close_ends(&e);
}

/* A deadline ends a wait for room, for an item, and for many. */
ANYC_TEST(queue, c16_waits_end_at_a_deadline)
{
	struct ends e;
	struct anyc_scope s;
	int items[4] = { 1 }, rc;

	open_ends(&e, 0);
	anyc_scope_enter_timeout(&s, MS(2));
	rc = anyc_queue_send(&e.sender, items);
	CHECK_RC(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	anyc_scope_enter_timeout(&s, MS(2));
	rc = anyc_queue_receive(&e.receiver, items);
	CHECK_RC(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	anyc_scope_enter_timeout(&s, MS(2));
	rc = anyc_queue_receive_many(&e.receiver, items, 4);
	CHECK_RC(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	CHECK_INT(stats_of(&e).senders_waiting + stats_of(&e).receivers_waiting, ==, 0);
	close_ends(&e);
}

ANYC_TEST(queue, c17_calls_that_need_not_wait_yield)
{
	struct anyc_queue_options fast = { .fast = true };
	struct ends e;
	struct ticker t = { 0 };
	struct anyc_group g;
	int item = 1, before;

	open_ends(&e, 1);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tick_on, &t));
	CHECK_OK(anyc_checkpoint());
	for (int i = 0; i < 10; i++) {
		before = t.ticks;
		CHECK_OK(anyc_queue_send(&e.sender, &item));
		CHECK_INT(t.ticks, ==, before + 1);
		if (i % 2 == 0)
			CHECK_OK(anyc_queue_receive(&e.receiver, &item));
		else
			CHECK_INT(anyc_queue_receive_many(&e.receiver, &item, 1), ==, 1);
		CHECK_INT(t.ticks, ==, before + 2);
		CHECK_OK(send_now(&e, 1));
		CHECK_INT(receive_now(&e), ==, 1);
		CHECK_INT(t.ticks, ==, before + 2);
	}
	close_ends(&e);
	/* A fast queue does so only once the turn's budget is spent. */
	CHECK_OK(anyc_queue_open(&e.sender, &e.receiver, sizeof item, 1, &fast));
	CHECK_OK(anyc_checkpoint());
	before = t.ticks;
	for (int i = 0; i < 5000; i++) {
		CHECK_OK(anyc_queue_send(&e.sender, &item));
		CHECK_OK(anyc_queue_receive(&e.receiver, &item));
	}
	CHECK_INT(t.ticks, >, before);
	CHECK_INT(t.ticks, <, before + 1000);
	close_ends(&e);
	t.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* ----------------------------------------------------------------------------------- many */

ANYC_TEST(queue, b100_many_at_a_time)
{
	struct ends e;
	struct anyc_group g;
	struct party p[3];
	int items[8];

	open_ends(&e, 2);
	CHECK_OK(send_now(&e, 0));
	CHECK_OK(send_now(&e, 1));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 3; i++) {
		p[i] = sends(&e.sender, 2 + i);
		begin(&g, &p[i]);
	}
	/* Those in the queue and, as there is room again, those of the senders in line. */
	CHECK_INT(anyc_queue_receive_many(&e.receiver, items, 4), ==, 4);
	for (int i = 0; i < 4; i++)
		CHECK_INT(items[i], ==, i);
	CHECK_INT(anyc_queue_receive_many(&e.receiver, items, 8), ==, 1);
	CHECK_INT(items[0], ==, 4);
	CHECK_OK(anyc_group_leave(&g, 0));
	close_ends(&e);
}

struct many {
	struct anyc_receiver *receiver;
	int items[8], rc;
};

static int receive_many(void *arg)
{
	struct many *m = arg;

	m->rc = anyc_queue_receive_many(m->receiver, m->items, 8);
	return 0;
}

ANYC_TEST(queue, b100_many_waits_for_the_first)
{
	struct ends e;
	struct anyc_receiver clone;
	struct many m = { .receiver = &e.receiver };
	struct anyc_group g;

	open_ends(&e, 4);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_many, &m));
	SETTLE();
	CHECK_INT(m.rc, ==, 0);
	/* Woken by the first, it finds the others. */
	for (int i = 0; i < 3; i++)
		CHECK_OK(send_now(&e, i));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(m.rc, ==, 3);
	for (int i = 0; i < 3; i++)
		CHECK_INT(m.items[i], ==, i);
	/* But not, once its end was closed: it has the one that it was given. */
	CHECK_OK(anyc_receiver_clone(&clone, &e.receiver));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_many, &m));
	SETTLE();
	for (int i = 0; i < 3; i++)
		CHECK_OK(send_now(&e, 7 + i));
	CHECK_OK(anyc_receiver_close(&e.receiver));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(m.rc, ==, 1);
	CHECK_INT(m.items[0], ==, 7);
	CHECK_INT(stats_of(&e).used, ==, 2);
	CHECK_OK(anyc_receiver_close(&clone));
	close_ends(&e);
	/* Closed while it waits, and at the end. */
	open_ends(&e, 4);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_many, &m));
	SETTLE();
	CHECK_OK(anyc_receiver_close(&e.receiver));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(m.rc, ANYC_ECLOSED);
	close_ends(&e);
}

/* ----------------------------------------------------------------------------- dropped items */

struct dropped {
	struct ends *ends;
	int sum, count;
};

static void note_dropped(void *arg, void *item)
{
	struct dropped *d = arg;

	d->sum += *(int *)item;
	d->count++;
	/* It may do as it likes with the other end. */
	if (d->ends != NULL)
		CHECK_OK(anyc_sender_close(&d->ends->sender));
}

ANYC_TEST(queue, e08_items_left_in_the_queue_are_dropped)
{
	struct ends e;
	struct anyc_receiver clone;
	struct dropped d = { 0 };
	struct anyc_queue_options options = { .drop = note_dropped, .drop_arg = &d };

	for (int round = 0; round < 2; round++) {
		d = (struct dropped){ .ends = round == 1 ? &e : NULL };
		CHECK_OK(anyc_queue_open(&e.sender, &e.receiver, sizeof(int), 3, &options));
		CHECK_OK(anyc_receiver_clone(&clone, &e.receiver));
		CHECK_OK(send_now(&e, 1));
		CHECK_INT(receive_now(&e), ==, 1);
		for (int i = 2; i < 5; i++)
			CHECK_OK(send_now(&e, i));
		CHECK_OK(anyc_receiver_close(&e.receiver));
		CHECK_INT(d.count, ==, 0);
		CHECK_OK(anyc_receiver_close(&clone));
		CHECK_INT(d.count, ==, 3);
		CHECK_INT(d.sum, ==, 9);
		close_ends(&e);
	}
}

/* -------------------------------------------------------------------------------- statistics */

ANYC_TEST(queue, e11_statistics)
{
	struct ends e;
	struct anyc_receiver clone;
	struct anyc_queue_stats s;
	struct anyc_group g;
	struct party p[2];

	open_ends(&e, 2);
	CHECK_OK(anyc_receiver_clone(&clone, &e.receiver));
	CHECK_OK(send_now(&e, 1));
	CHECK_OK(send_now(&e, 2));
	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 2; i++) {
		p[i] = sends(&e.sender, 3);
		begin(&g, &p[i]);
	}
	memset(&s, 0xff, sizeof s);
	CHECK_OK(anyc_receiver_stats(&s, &clone));
	CHECK_INT(s.item_size, ==, sizeof(int));
	CHECK_INT(s.capacity, ==, 2);
	CHECK_INT(s.used, ==, 2);
	CHECK_INT(s.peak, ==, 2);
	CHECK_INT(s.senders, ==, 1);
	CHECK_INT(s.receivers, ==, 2);
	CHECK_INT(s.senders_waiting, ==, 2);
	CHECK_INT(s.receivers_waiting, ==, 0);
	CHECK(s.reserved_[0] == NULL);
	for (int i = 0; i < 4; i++)
		CHECK_INT(receive_now(&e), >=, 1);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_receiver_close(&clone));
	s = stats_of(&e);
	CHECK_INT(s.used, ==, 0);
	CHECK_INT(s.peak, ==, 2);
	CHECK_INT(s.receivers, ==, 1);
	close_ends(&e);
}

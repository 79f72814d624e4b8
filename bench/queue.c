/* SPDX-License-Identifier: MIT */
/*
 * The price of handing an item from one task to another, in empty switches of the same run.  Each
 * case is a name and a function that moves n items, so one that runs a peer's process stands in
 * the table like the others.
 */
#include <anyc/anyc.h>

#include "lib/bench.h"
#include "lib/empty_switch.h"

#define ROOM 128 /* of a buffered queue, as the peers' channels have it */
#define BATCH 64

static void must(int rc)
{
	if (rc < 0)
		bench_die("%s", anyc_error_detail(rc));
}

/* -------------------------------------------------------------------------------- one way */

struct large {
	uint64_t words[8];
};

struct flow {
	struct anyc_sender sender;
	struct anyc_receiver receiver;
	size_t items;
};

static int send_all(void *arg)
{
	struct flow *f = arg;
	struct large item = {{0}};
	size_t n;

	for (n = f->items; n > 0; n--)
		must(anyc_queue_send(&f->sender, &item));
	return anyc_sender_close(&f->sender);
}

static void receive_all(struct flow *f)
{
	struct large item;
	int rc;

	while ((rc = anyc_queue_receive(&f->receiver, &item)) == 0)
		;
	if (rc != ANYC_EEOF)
		must(rc);
}

static void receive_batches(struct flow *f)
{
	struct large items[BATCH];
	int rc;

	while ((rc = anyc_queue_receive_many(&f->receiver, items, BATCH)) > 0)
		;
	if (rc != ANYC_EEOF)
		must(rc);
}

static void flow(size_t n, size_t item_size, size_t capacity, void (*receive)(struct flow *),
		 const struct anyc_queue_options *options)
{
	struct flow f = {.items = n};
	struct anyc_group group;

	must(anyc_queue_open(&f.sender, &f.receiver, item_size, capacity, options));
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, send_all, &f));
	receive(&f);
	must(anyc_group_leave(&group, 0));
	anyc_receiver_close(&f.receiver);
}

static void run_buffered(void *arg, size_t n)
{
	flow(n, sizeof(uint64_t), ROOM, receive_all, arg);
}

static void run_buffered_large(void *arg, size_t n)
{
	flow(n, sizeof(struct large), ROOM, receive_all, arg);
}

static void run_batches(void *arg, size_t n)
{
	flow(n, sizeof(uint64_t), ROOM, receive_batches, arg);
}

static void run_rendezvous(void *arg, size_t n)
{
	flow(n, sizeof(uint64_t), 0, receive_all, arg);
}

/* ------------------------------------------------------------------------------ and back */

struct answers {
	struct anyc_receiver questions;
	struct anyc_sender answers;
};

static int answer(void *arg)
{
	struct answers *a = arg;
	uint64_t item;
	int rc;

	while ((rc = anyc_queue_receive(&a->questions, &item)) == 0)
		must(anyc_queue_send(&a->answers, &item));
	return rc == ANYC_EEOF ? 0 : rc;
}

static void run_round_trips(void *arg, size_t n)
{
	struct anyc_sender questions;
	struct anyc_receiver answers;
	struct answers a;
	struct anyc_group group;
	const struct anyc_queue_options *options = arg;
	uint64_t item = 0;

	must(anyc_queue_open(&questions, &a.questions, sizeof item, 0, options));
	must(anyc_queue_open(&a.answers, &answers, sizeof item, 0, options));
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, answer, &a));
	for (; n > 0; n--) {
		must(anyc_queue_send(&questions, &item));
		must(anyc_queue_receive(&answers, &item));
	}
	anyc_sender_close(&questions);
	must(anyc_group_leave(&group, 0));
	anyc_receiver_close(&a.questions);
	anyc_sender_close(&a.answers);
	anyc_receiver_close(&answers);
}

/* -------------------------------------------------------------------------- without waiting */

static void run_nowait(void *arg, size_t n)
{
	struct anyc_sender sender;
	struct anyc_receiver receiver;
	uint64_t item = 0;

	(void)arg;
	must(anyc_queue_open(&sender, &receiver, sizeof item, ROOM, NULL));
	for (; n > 0; n--) {
		must(anyc_queue_send_nowait(&sender, &item));
		must(anyc_queue_receive_nowait(&receiver, &item));
	}
	anyc_sender_close(&sender);
	anyc_receiver_close(&receiver);
}

static void run_alone(void *arg, size_t n)
{
	struct anyc_sender sender;
	struct anyc_receiver receiver;
	uint64_t item = 0;

	(void)arg;
	must(anyc_queue_open(&sender, &receiver, sizeof item, ROOM, NULL));
	for (; n > 0; n--) {
		must(anyc_queue_send(&sender, &item));
		must(anyc_queue_receive(&receiver, &item));
	}
	anyc_sender_close(&sender);
	anyc_receiver_close(&receiver);
}

static struct anyc_queue_options fast = {.fast = true};

static int measure(void *arg)
{
	static const struct bench_case cases[] = {
		{.name = "an empty switch by hand", .run = empty_run_jump},
		{.name = "one way, 8 bytes, capacity 128", .run = run_buffered},
		{.name = "one way, 8 bytes, capacity 0", .run = run_rendezvous},
		{.name = "round trip, 8 bytes, capacity 0", .run = run_round_trips},
		{.name = "fast: one way, 8 bytes, capacity 128",
		 .run = run_buffered,
		 .arg = &fast,
		 .goal = 4},
		{.name = "fast: the same with 64 bytes", .run = run_buffered_large, .arg = &fast},
		{.name = "fast: 8 bytes, received 64 at a time", .run = run_batches, .arg = &fast},
		{.name = "fast: one way, 8 bytes, capacity 0", .run = run_rendezvous, .arg = &fast},
		{.name = "fast: round trip, 8 bytes, capacity 0",
		 .run = run_round_trips,
		 .arg = &fast,
		 .goal = 12},
		{.name = "send and receive in one task, nobody else ready", .run = run_alone},
		{.name = "the same without checkpoints: _nowait", .run = run_nowait},
	};

	(void)arg;
	bench_compare("queue", cases, sizeof cases / sizeof *cases);
	return 0;
}

int main(void)
{
	return anyc_run(NULL, measure, NULL) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * What queues refuse, whose they are, what they allocate (rules 11, 12, 19 and 23), and random
 * calls against a model of a queue.
 */
#include "conform_queue.h"
#include "lib/alloc_fault.h"

#include <pthread.h>

/* ----------------------------------------------------------------------------------- misuse */

ANYC_TEST(queue_rules, r19_used_zeroed)
{
	struct ends zero = { 0 }, copy, out;
	struct anyc_queue_stats s;
	int item = 1;

	CHECK_RC(anyc_queue_send(&zero.sender, &item), ANYC_EINVAL);
	CHECK_REPORT("anyc_queue_send: this is no end of a queue");
	CHECK_RC(send_now(&zero, 1), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive(&zero.receiver, &item), ANYC_EINVAL);
	CHECK_RC(receive_now(&zero), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive_many(&zero.receiver, &item, 1), ANYC_EINVAL);
	CHECK_RC(anyc_sender_clone(&out.sender, &zero.sender), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_clone(&out.receiver, &zero.receiver), ANYC_EINVAL);
	CHECK_RC(anyc_sender_stats(&s, &zero.sender), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_stats(&s, &zero.receiver), ANYC_EINVAL);
	CHECK_INT(reports(), ==, 8);
	reports_forget();
	/* There is nothing to close. */
	close_ends(&zero);
	close_ends(&out);
	CHECK_OK(anyc_sender_close(NULL));
	CHECK_OK(anyc_receiver_close(NULL));
	CHECK_INT(reports(), ==, 0);
	/* A copy is not an end. */
	open_ends(&copy, 1);
	zero = copy;
	CHECK_RC(send_now(&zero, 1), ANYC_EINVAL);
	CHECK_RC(receive_now(&zero), ANYC_EINVAL);
	CHECK_RC(anyc_sender_close(&zero.sender), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_close(&zero.receiver), ANYC_EINVAL);
	CHECK_INT(reports(), ==, 4);
	reports_forget();
	CHECK_OK(send_now(&copy, 5));
	CHECK_INT(receive_now(&copy), ==, 5);
	close_ends(&copy);
}

ANYC_TEST(queue_rules, r12_null_and_the_like)
{
	struct ends e;
	struct anyc_queue_stats s;
	int item = 1;

	open_ends(&e, 1);
	CHECK_RC(anyc_queue_send(NULL, &item), ANYC_EINVAL);
	CHECK_RC(anyc_queue_send(&e.sender, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_queue_send_nowait(NULL, &item), ANYC_EINVAL);
	CHECK_RC(anyc_queue_send_nowait(&e.sender, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive(NULL, &item), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive(&e.receiver, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive_nowait(NULL, &item), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive_nowait(&e.receiver, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive_many(NULL, &item, 1), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive_many(&e.receiver, NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_queue_receive_many(&e.receiver, &item, 0), ANYC_EINVAL);
	CHECK_RC(anyc_sender_clone(NULL, &e.sender), ANYC_EINVAL);
	CHECK_RC(anyc_sender_clone(&e.sender, &e.sender), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_clone(NULL, &e.receiver), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_clone(&e.receiver, &e.receiver), ANYC_EINVAL);
	CHECK_RC(anyc_sender_stats(NULL, &e.sender), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_stats(NULL, &e.receiver), ANYC_EINVAL);
	CHECK_RC(anyc_sender_stats(&s, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_receiver_stats(&s, NULL), ANYC_EINVAL);
	CHECK_INT(reports(), ==, 19);
	reports_forget();
	CHECK_INT(stats_of(&e).used, ==, 0);
	CHECK_INT(stats_of(&e).senders, ==, 1);
	CHECK_INT(stats_of(&e).receivers, ==, 1);
	close_ends(&e);
}

/* ------------------------------------------------------------------------ loops and threads */

static void use_outside(void *arg)
{
	struct ends *e = arg;
	struct ends clone;
	int item = 2;

	CHECK_RC(anyc_queue_send(&e->sender, &item), ANYC_ENOTASK);
	CHECK_RC(anyc_queue_receive(&e->receiver, &item), ANYC_ENOTASK);
	CHECK_RC(anyc_queue_receive_many(&e->receiver, &item, 1), ANYC_ENOTASK);
	reports_forget();
	CHECK_OK(anyc_sender_clone(&clone.sender, &e->sender));
	CHECK_OK(anyc_receiver_clone(&clone.receiver, &e->receiver));
	CHECK_INT(receive_now(&clone), ==, 1);
	CHECK_OK(send_now(&clone, 2));
	close_ends(&clone);
}

ANYC_TEST_ON(queue_rules, r11_outside_tasks, ANYC_ROWS_LOOP)
{
	struct ends e;
	struct anyc_group g;
	struct party p;

	open_ends(&e, 1);
	CHECK_OK(send_now(&e, 1));
	host_call(anyc_test_host(), use_outside, &e);
	CHECK_INT(receive_now(&e), ==, 2);
	/* A callback wakes a task. */
	p = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	CHECK_OK(send_now(&e, 3));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(p.item, ==, 3);
	close_ends(&e);
}

static int receive_one(void *arg)
{
	struct ends *e = arg;
	int item, rc = anyc_queue_receive(&e->receiver, &item);

	if (rc == 0)
		CHECK_INT(item, ==, 1);
	return rc;
}

static int leave_one(void *arg)
{
	return send_now(arg, 1);
}

/* Opened and filled before any loop; what one loop has left is received on the next one. */
ANYC_TEST_MAIN(queue_rules, r23_before_and_between_loops, ANYC_ROWS_ALL)
{
	struct ends e;
	struct host h;

	open_ends(&e, 4);
	CHECK_OK(send_now(&e, 1));
	CHECK_OK(host_run_task(&h, anyc_test_row(), receive_one, &e, "receives"));
	CHECK_OK(host_run_task(&h, anyc_test_row(), leave_one, &e, "leaves one"));
	CHECK_OK(host_run_task(&h, anyc_test_row(), receive_one, &e, "receives"));
	CHECK_OK(host_run_task(&h, anyc_test_row(), leave_one, &e, "leaves one"));
	CHECK_INT(receive_now(&e), ==, 1);
	close_ends(&e);
}

struct foreign {
	struct ends *ends;
	int send, send_now, receive, receive_now, many, stats, clone, close[2];
};

static void *use_from_thread(void *arg)
{
	struct foreign *f = arg;
	struct ends *e = f->ends, clone;
	struct anyc_queue_stats s;
	int item = 9;

	f->send_now = anyc_queue_send_nowait(&e->sender, &item);
	f->receive_now = anyc_queue_receive_nowait(&e->receiver, &item);
	f->send = anyc_queue_send(&e->sender, &item);
	f->receive = anyc_queue_receive(&e->receiver, &item);
	f->many = anyc_queue_receive_many(&e->receiver, &item, 1);
	f->stats = anyc_sender_stats(&s, &e->sender);
	f->clone = anyc_receiver_clone(&clone.receiver, &e->receiver);
	anyc_receiver_close(&clone.receiver);
	f->close[0] = anyc_sender_close(&e->sender);
	f->close[1] = anyc_receiver_close(&e->receiver);
	anyc_thread_done();
	return NULL;
}

static void use_in_thread(struct foreign *f)
{
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, use_from_thread, f), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

static void check_told(struct foreign *f)
{
	use_in_thread(f);
	CHECK_RC(f->send, ANYC_ETHREAD);
	CHECK_RC(f->send_now, ANYC_ETHREAD);
	CHECK_RC(f->receive, ANYC_ETHREAD);
	CHECK_RC(f->receive_now, ANYC_ETHREAD);
	CHECK_RC(f->many, ANYC_ETHREAD);
	CHECK_RC(f->stats, ANYC_ETHREAD);
	CHECK_RC(f->clone, ANYC_ETHREAD);
	CHECK_RC(f->close[0], ANYC_ETHREAD);
	CHECK_RC(f->close[1], ANYC_ETHREAD);
	CHECK_INT(reports(), ==, 9);
	CHECK_REPORT("another thread's loop");
	reports_forget();
}

ANYC_TEST(queue_rules, r23_another_thread_is_told)
{
	struct ends e;
	struct foreign f = { .ends = &e };
	struct anyc_group g;
	struct party p;

	open_ends(&e, 1);
	/* An item in it, a task that waits to send, one that waits to receive. */
	CHECK_OK(send_now(&e, 1));
	CHECK_INT(receive_now(&e), ==, 1);
	p = receives(&e.receiver);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	check_told(&f);
	CHECK_OK(send_now(&e, 3));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(p.item, ==, 3);
	CHECK_OK(send_now(&e, 4));
	check_told(&f);
	p = sends(&e.sender, 5);
	anyc_group_enter(&g, NULL);
	begin(&g, &p);
	check_told(&f);
	CHECK_INT(receive_now(&e), ==, 4);
	CHECK_INT(receive_now(&e), ==, 5);
	CHECK_OK(anyc_group_leave(&g, 0));
	/* Idle, any thread may use it. */
	use_in_thread(&f);
	CHECK_OK(f.send_now);
	CHECK_OK(f.receive_now);
	CHECK_OK(f.send);
	CHECK_OK(f.receive);
	CHECK_RC(f.many, ANYC_EDEADLK);
	CHECK_OK(f.stats);
	CHECK_OK(f.clone);
	CHECK_OK(f.close[0]);
	CHECK_OK(f.close[1]);
	reports_forget();
}

/* ----------------------------------------------------------------------------------- memory */

static int fill_unbounded(void *arg)
{
	struct ends e;
	int rc, item, sent = 0;

	(void)arg;
	rc = anyc_queue_open(&e.sender, &e.receiver, sizeof item, ANYC_QUEUE_UNBOUNDED, NULL);
	if (rc == 0) {
		for (; sent < 100 && (rc = anyc_queue_send(&e.sender, &sent)) == 0; sent++)
			;
		/* Those before are there, and the one that failed is not. */
		for (int i = 0; i < sent; i++)
			CHECK_INT(receive_now(&e), ==, i);
		item = receive_now(&e);
		CHECK(item == ANYC_EWOULDBLOCK || (item == ANYC_ENOTASK && sent == 0));
	}
	close_ends(&e);
	return rc;
}

static int open_bounded(void *arg)
{
	struct ends e;
	int rc = anyc_queue_open(&e.sender, &e.receiver, 100, 100, NULL);

	(void)arg;
	close_ends(&e);
	return rc;
}

static int on_row(void *arg)
{
	anyc_task_fn *fn;
	struct host h;

	memcpy(&fn, arg, sizeof fn);
	return host_run_task(&h, anyc_test_row(), fn, NULL, "scenario");
}

ANYC_TEST_MAIN(queue_rules, e01_no_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	static anyc_task_fn *const scenarios[] = { fill_unbounded, open_bounded };

	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
		anyc_task_fn *fn = scenarios[i];

		check_alloc_sweep(on_row, &fn, 1);
	}
}

/* No allocation for an item, or for a task that waits. */
ANYC_TEST(queue_rules, e01_items_allocate_nothing)
{
	struct anyc_memory_stats before, after;
	struct ends e;
	struct anyc_group g;
	int item;

	open_ends(&e, 1);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_three, &e));
	SETTLE(); /* a wait may have to make room for the test's deadline */
	anyc_memory_stats(&before);
	while (anyc_queue_receive(&e.receiver, &item) == 0)
		;
	anyc_memory_stats(&after);
	CHECK_INT(after.allocations, ==, before.allocations);
	CHECK_OK(anyc_group_leave(&g, 0));
	close_ends(&e);
}

/* --------------------------------------------------------------------------- against a model */

/*
 * Random calls on a queue and on an array that says what must come of them: senders and receivers
 * that wait in order, items in between.
 */
enum { TASKS = 6, STEPS = 400 };

struct model {
	size_t capacity;
	int item[256], items;
	int sending[TASKS], n_sending, receiving[TASKS], n_receiving; /* tasks, in order */
	int rc[TASKS], got[TASKS];                                    /* rc 1: waits or idle */
};

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static int shift(int *array, int *n, int at)
{
	int first = array[at];

	for (--*n; at < *n; at++)
		array[at] = array[at + 1];
	return first;
}

/* task < 0: nowait */
static int model_send(struct model *m, int task, int item)
{
	if (m->n_receiving != 0) {
		int to = shift(m->receiving, &m->n_receiving, 0);

		m->rc[to] = 0;
		m->got[to] = item;
	} else if ((size_t)m->items < m->capacity) {
		m->item[m->items++] = item;
	} else {
		if (task >= 0) {
			m->sending[m->n_sending++] = task;
			m->got[task] = item;
		}
		return ANYC_EWOULDBLOCK;
	}
	return 0;
}

static int model_receive(struct model *m, int task, int *item)
{
	if (m->items == 0 && m->n_sending == 0) {
		if (task >= 0)
			m->receiving[m->n_receiving++] = task;
		return ANYC_EWOULDBLOCK;
	}
	if (m->n_sending != 0) {
		int from = shift(m->sending, &m->n_sending, 0);

		m->rc[from] = 0;
		m->item[m->items++] = m->got[from];
	}
	*item = shift(m->item, &m->items, 0);
	return 0;
}

static void model_cancel(struct model *m, int task)
{
	for (int i = 0; i < m->n_sending; i++) {
		if (m->sending[i] == task)
			shift(m->sending, &m->n_sending, i--);
	}
	for (int i = 0; i < m->n_receiving; i++) {
		if (m->receiving[i] == task)
			shift(m->receiving, &m->n_receiving, i--);
	}
	m->rc[task] = ANYC_ECANCELED;
}

struct world {
	struct ends ends;
	struct model model;
	struct party party[TASKS];
	bool busy[TASKS];
	struct anyc_group group;
	int next_item;
};

static void start_one(struct world *w, int task, bool sending)
{
	struct model *m = &w->model;
	int item = w->next_item++, rc;

	m->rc[task] = 1;
	w->party[task] = sending ? sends(&w->ends.sender, item) : receives(&w->ends.receiver);
	rc = sending ? model_send(m, task, item) : model_receive(m, task, &m->got[task]);
	if (rc == 0)
		m->rc[task] = 0;
	if (sending)
		m->got[task] = item;
	w->busy[task] = true;
	begin(&w->group, &w->party[task]);
}

static void step(struct world *w, uint32_t r)
{
	struct model *m = &w->model;
	int task = (int)(r >> 8) % TASKS, item = -1, rc;

	switch (r % 8) {
	case 0: case 1: case 2: case 3:
		if (!w->busy[task])
			start_one(w, task, r % 2 == 0);
		break;
	case 4:
		rc = model_send(m, -1, w->next_item);
		CHECK_RC(send_now(&w->ends, w->next_item++), rc);
		break;
	case 5:
		rc = model_receive(m, -1, &item);
		CHECK_INT(receive_now(&w->ends), ==, rc != 0 ? rc : item);
		break;
	default:
		if (w->busy[task] && m->rc[task] == 1) {
			model_cancel(m, task);
			CHECK_OK(anyc_scope_cancel(&w->party[task].scope, NULL));
		}
	}
}

static void compare(struct world *w)
{
	const struct model *m = &w->model;
	struct anyc_queue_stats s;

	SETTLE();
	s = stats_of(&w->ends);
	CHECK_INT(s.used, ==, m->items);
	CHECK_INT(s.senders_waiting, ==, m->n_sending);
	CHECK_INT(s.receivers_waiting, ==, m->n_receiving);
	for (int i = 0; i < TASKS; i++) {
		if (!w->busy[i])
			continue;
		CHECK_INT(w->party[i].rc, ==, m->rc[i]);
		CHECK_INT(w->party[i].done, ==, m->rc[i] != 1);
		if (m->rc[i] == 0)
			CHECK_INT(w->party[i].item, ==, m->got[i]);
		w->busy[i] = m->rc[i] == 1;
	}
}

ANYC_TEST(queue_rules, e07_random_calls_against_a_model, .deadline = 30)
{
	static const size_t capacities[] = { 0, 1, 3, ANYC_QUEUE_UNBOUNDED };
	uint32_t random = 20240607;

	for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
		struct world w = { .model.capacity = capacities[c] };

		open_ends(&w.ends, capacities[c]);
		anyc_group_enter(&w.group, NULL);
		for (int i = 0; i < STEPS; i++) {
			step(&w, next_random(&random));
			compare(&w);
		}
		anyc_scope_cancel(anyc_group_scope(&w.group), NULL);
		CHECK_OK(anyc_group_leave(&w.group, ANYC_ECANCELED));
		close_ends(&w.ends);
	}
}

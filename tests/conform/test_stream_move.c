/* SPDX-License-Identifier: MIT */
/* Streams that go from one loop to another: rule 23. */
#include "conform_thread.h"

#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

/* ---------------------------------------------------------------------- from a loop to another */

/* Another thread's loop uses a stream, and hands it over. */
struct owner {
	struct anyc_stream *stream;
	struct anyc_xevent waiting, used, may_end;
	sem_t *blocked; /* its loop does not turn until this is posted; or NULL */
	bool use_after;
};

static int receive_a(void *arg)
{
	char c = 0;

	CHECK_INT(anyc_stream_receive(arg, &c, 1), ==, 1);
	CHECK_INT(c, ==, 'a');
	return 0;
}

static int use_and_hand_over(void *arg)
{
	struct owner *o = arg;
	struct anyc_group g;
	char c = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_a, o->stream));
	SETTLE(); /* it waits, so the descriptor is this loop's */
	CHECK_OK(anyc_xevent_set(&o->waiting));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_xevent_set(&o->used));
	if (o->blocked != NULL)
		CHECK_INT(sem_wait(o->blocked), ==, 0);
	if (o->use_after) {
		CHECK_INT(anyc_stream_receive(o->stream, &c, 1), ==, 1);
		CHECK_INT(c, ==, 'b');
	}
	return anyc_xevent_wait(&o->may_end);
}

static int receive_b(void *arg)
{
	char c = 0;
	int n = anyc_stream_receive(arg, &c, 1);

	CHECK_INT(n, ==, 1);
	CHECK_INT(c, ==, 'b');
	return 0;
}

/* Both directions, with waits: the descriptor is registered anew. */
static void check_here(struct anyc_stream *s, struct anyc_stream *far)
{
	struct anyc_group g;
	char c = 0;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_b, s));
	SETTLE();
	CHECK_OK(anyc_stream_send(far, "b", 1));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_stream_send(s, "c", 1));
	CHECK_INT(anyc_stream_receive(far, &c, 1), ==, 1);
	CHECK_INT(c, ==, 'c');
}

static void hand_over(struct anyc_stream *s, struct anyc_stream *far, bool loop)
{
	struct owner o = { .stream = s };
	struct thread t;
	char c;

	thread_start(&t, use_and_hand_over, &o, loop);
	CHECK_OK(anyc_xevent_wait(&o.waiting));
	CHECK_OK(anyc_stream_send(far, "a", 1));
	CHECK_OK(anyc_xevent_wait(&o.used));
	if (loop)
		CHECK_RC(anyc_stream_receive(s, &c, 1), ANYC_ETHREAD);
	CHECK_OK(anyc_stream_move(s));
	check_here(s, far);
	CHECK_OK(anyc_xevent_set(&o.may_end));
	CHECK_OK(thread_join(&t));
	check_here(s, far);
	CHECK_OK(anyc_stream_move(s));
	CHECK_OK(anyc_stream_close(s));
	CHECK_INT(anyc_stream_receive(far, &c, 1), ==, 0);
	anyc_stream_free(s);
	anyc_stream_free(far);
}

ANYC_TEST(stream_move, r23_a_socket_goes_to_another_loop)
{
	struct anyc_stream *a, *b;

	CHECK_OK(anyc_unix_pair(&a, &b));
	hand_over(a, b, true);
	CHECK_OK(anyc_unix_pair(&a, &b));
	hand_over(a, b, false);
}

/* Two pipes, stapled and buffered. */
ANYC_TEST(stream_move, r23_wrappers_move_what_they_wrap)
{
	struct anyc_stream *in[2], *out[2], *near, *far, *buffered;

	CHECK_OK(anyc_pipe_open(&in[0], &in[1]));
	CHECK_OK(anyc_pipe_open(&out[0], &out[1]));
	CHECK_OK(anyc_stream_staple(&near, in[0], out[1]));
	CHECK_OK(anyc_stream_staple(&far, out[0], in[1]));
	CHECK_OK(anyc_buffered_stream(&buffered, near));
	hand_over(buffered, far, true);
}

/* ------------------------------------------------------------------ a loop that does not turn */

struct mover {
	struct anyc_scope scope;
	struct anyc_stream *stream;
	int rc;
};

static int move_in_scope(void *arg)
{
	struct mover *m = arg;

	anyc_scope_enter(&m->scope, NULL);
	m->rc = anyc_stream_move(m->stream);
	return anyc_scope_leave(&m->scope, m->rc == ANYC_ECANCELED ? m->rc : 0);
}

struct stuck {
	struct anyc_stream *near, *far;
	struct owner owner;
	struct mover mover;
	struct thread thread;
	sem_t blocked;
};

/* The other loop has the stream and does not turn, and a task here waits to have it. */
static void get_stuck(struct stuck *s, struct anyc_group *g, bool use_after)
{
	memset(s, 0, sizeof *s);
	CHECK_INT(sem_init(&s->blocked, 0, 0), ==, 0);
	CHECK_OK(anyc_unix_pair(&s->near, &s->far));
	s->owner.stream = s->mover.stream = s->near;
	s->owner.blocked = &s->blocked;
	s->owner.use_after = use_after;
	thread_start(&s->thread, use_and_hand_over, &s->owner, true);
	CHECK_OK(anyc_xevent_wait(&s->owner.waiting));
	CHECK_OK(anyc_stream_send(s->far, "a", 1));
	CHECK_OK(anyc_xevent_wait(&s->owner.used));
	anyc_group_enter(g, NULL);
	CHECK_OK(anyc_spawn(g, move_in_scope, &s->mover));
	SETTLE();
	CHECK_INT(s->mover.rc, ==, 0);
}

static void get_free(struct stuck *s)
{
	CHECK_INT(sem_post(&s->blocked), ==, 0);
}

static void end_stuck(struct stuck *s)
{
	CHECK_OK(anyc_xevent_set(&s->owner.may_end));
	CHECK_OK(thread_join(&s->thread));
	anyc_stream_free(s->near);
	anyc_stream_free(s->far);
	CHECK_INT(sem_destroy(&s->blocked), ==, 0);
}

ANYC_TEST(stream_move, r23_a_cancelled_move_moves_nothing)
{
	struct stuck s;
	struct anyc_group g;

	get_stuck(&s, &g, true);
	anyc_scope_cancel(&s.mover.scope, "it does not turn");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.mover.rc, ANYC_ECANCELED);
	/* The other loop still has it, and goes on with it. */
	CHECK_OK(anyc_stream_send(s.far, "b", 1));
	get_free(&s);
	CHECK_OK(anyc_xevent_set(&s.owner.may_end));
	CHECK_OK(thread_join(&s.thread));
	/* A loop that has ended has forgotten it. */
	CHECK_OK(anyc_stream_move(s.near));
	check_here(s.near, s.far);
	anyc_stream_free(s.near);
	anyc_stream_free(s.far);
	CHECK_INT(sem_destroy(&s.blocked), ==, 0);
}

ANYC_TEST(stream_move, r23_closed_while_it_moves)
{
	struct stuck s;
	struct anyc_group g;
	char c;

	get_stuck(&s, &g, false);
	CHECK_RC(anyc_stream_move(s.near), ANYC_EBUSY);
	CHECK_OK(anyc_stream_close(s.near));
	get_free(&s);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.mover.rc, ANYC_ECLOSED);
	CHECK_INT(anyc_stream_receive(s.far, &c, 1), ==, 0);
	end_stuck(&s);
}

ANYC_TEST(stream_move, r23_freed_while_it_moves)
{
	struct stuck s;
	struct anyc_group g;
	char c;

	get_stuck(&s, &g, false);
	anyc_stream_free(s.near);
	get_free(&s);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.mover.rc, ANYC_ECLOSED);
	CHECK_INT(anyc_stream_receive(s.far, &c, 1), ==, 0);
	s.near = NULL;
	end_stuck(&s);
}

/* --------------------------------------------------------------------------------- refusals */

static int receive_in(void *arg)
{
	char c;
	int n = anyc_stream_receive(arg, &c, 1);

	return n < 0 ? n : 0;
}

ANYC_TEST(stream_move, r23_refusals)
{
	struct anyc_stream *a, *b, *memory[2];
	struct anyc_group g;

	CHECK_RC(anyc_stream_move(NULL), ANYC_EINVAL);
	CHECK_OK(anyc_stream_pair(&memory[0], &memory[1], 0));
	CHECK_RC(anyc_stream_move(memory[0]), ANYC_ENOTSUP);
	anyc_stream_free(memory[0]);
	anyc_stream_free(memory[1]);
	CHECK_OK(anyc_unix_pair(&a, &b));
	CHECK_OK(anyc_stream_move(a));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_in, a));
	SETTLE();
	CHECK_RC(anyc_stream_move(a), ANYC_EBUSY);
	CHECK_OK(anyc_stream_send(b, "x", 1));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_stream_move(a));
	CHECK_OK(anyc_stream_close(a));
	CHECK_RC(anyc_stream_move(a), ANYC_ECLOSED);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* ------------------------------------------------------------- one acceptor, several loops */

#define CONNECTIONS 12

struct worker {
	struct anyc_xqueue *connections;
	int served;
};

/* Rule 33: a loop of its own serves the connections that the acceptor passes on. */
static int serve_from_queue(void *arg)
{
	struct worker *w = arg;
	struct anyc_stream *s;
	char c;
	int rc;

	while ((rc = anyc_xqueue_receive(w->connections, &s)) == 0) {
		CHECK_OK(anyc_stream_move(s));
		CHECK_INT(anyc_stream_receive(s, &c, 1), ==, 1);
		CHECK_OK(anyc_stream_send(s, &c, 1));
		anyc_stream_free(s);
		w->served++;
	}
	anyc_xqueue_unref(w->connections);
	return rc == ANYC_EEOF ? 0 : rc;
}

static void drop_stream(void *arg, void *item)
{
	(void)arg;
	anyc_stream_free(*(struct anyc_stream **)item);
}

ANYC_TEST(stream_move, r33_one_acceptor_of_two_loops)
{
	const struct anyc_xqueue_options options = { .drop = drop_stream };
	struct worker w[2] = { { .served = 0 } };
	struct thread t[2];
	struct anyc_listener *listener;
	struct anyc_address address;
	struct anyc_xqueue *q;
	char port[16], c;

	CHECK_OK(anyc_tcp_listen(&listener, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_listener_attribute(listener, &anyc_attribute_local_address, &address,
					 sizeof address));
	snprintf(port, sizeof port, "%u", anyc_address_port(&address));
	CHECK_OK(anyc_xqueue_open(&q, sizeof(struct anyc_stream *), 4, &options));
	for (int i = 0; i < 2; i++) {
		w[i].connections = anyc_xqueue_ref(q);
		thread_start(&t[i], serve_from_queue, &w[i], true);
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		struct anyc_stream *client, *server;

		CHECK_OK(anyc_tcp_connect(&client, "127.0.0.1", port, NULL));
		CHECK_OK(anyc_listener_accept(listener, &server));
		CHECK_OK(anyc_xqueue_send(q, &server));
		c = (char)('A' + i);
		CHECK_OK(anyc_stream_send(client, &c, 1));
		c = 0;
		CHECK_INT(anyc_stream_receive(client, &c, 1), ==, 1);
		CHECK_INT(c, ==, 'A' + i);
		anyc_stream_free(client);
	}
	CHECK_OK(anyc_xqueue_close(q));
	for (int i = 0; i < 2; i++)
		CHECK_OK(thread_join(&t[i]));
	CHECK_INT(w[0].served + w[1].served, ==, CONNECTIONS);
	anyc_xqueue_unref(q);
	anyc_listener_free(listener);
}

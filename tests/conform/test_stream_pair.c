/* SPDX-License-Identifier: MIT */
/* Pairs in memory and staples: semantics F2 to F9 on streams that no kernel has. */
#include "conform_net.h"

#include <errno.h>
#include <pthread.h>

/* ----------------------------------------------------------------------------------- pairs */

/* A receiver and a sender of five bytes that both wait on one stream. */
struct waiting {
	struct receiver receiver;
	struct sender sender;
	struct anyc_group group;
};

static void wait_both_ways(struct waiting *w, struct anyc_stream *s)
{
	memset(w, 0, sizeof *w);
	w->sender.data = "12345";
	w->sender.size = 5;
	w->receiver.stream = w->sender.stream = s;
	anyc_group_enter(&w->group, NULL);
	CHECK_OK(anyc_spawn(&w->group, receive_once, &w->receiver));
	CHECK_OK(anyc_spawn(&w->group, send_once, &w->sender));
	SETTLE();
	CHECK(!w->receiver.done && !w->sender.done);
}

/* They have ended, each with this. */
static void check_both_ended(struct waiting *w, int received, int sent)
{
	CHECK_OK(anyc_group_leave(&w->group, 0));
	CHECK_RC(w->receiver.rc, received);
	CHECK_RC(w->sender.rc, sent);
}

ANYC_TEST(stream_pair, b115_data_then_the_end_every_time)
{
	struct anyc_stream *a, *b;
	char buf[8];
	int i;

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	CHECK_OK(anyc_stream_send(a, "hello", 5));
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_ECLOSED);
	CHECK_RECEIVES(b, "hello");
	for (i = 0; i < 3; i++)
		CHECK_RC(anyc_stream_receive(b, buf, sizeof buf), 0);
	CHECK_OK(anyc_stream_send(b, "back", 4)); /* the other direction goes on */
	CHECK_RECEIVES(a, "back");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(stream_pair, b114_close_wakes_both_directions)
{
	struct anyc_stream *a, *b;
	struct waiting w;

	CHECK_OK(anyc_stream_pair(&a, &b, 3));
	wait_both_ways(&w, a);
	CHECK_OK(anyc_stream_close(a));
	check_both_ended(&w, ANYC_ECLOSED, ANYC_ECLOSED);
	CHECK_INT(anyc_stream_sent(a), ==, 3);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* Freed below its tasks: they learn of it, and the memory stays until they have. */
ANYC_TEST(stream_pair, b114_free_wakes_both_directions)
{
	struct anyc_stream *a, *b;
	struct waiting w;

	CHECK_OK(anyc_stream_pair(&a, &b, 3));
	wait_both_ways(&w, a);
	anyc_stream_free(a);
	anyc_stream_free(b);
	check_both_ended(&w, ANYC_ECLOSED, ANYC_ECLOSED);
}

ANYC_TEST(stream_pair, b116_the_peer_closes)
{
	struct anyc_stream *a, *b;
	struct waiting w;

	CHECK_OK(anyc_stream_pair(&a, &b, 3));
	wait_both_ways(&w, a);
	CHECK_OK(anyc_stream_close(b));
	check_both_ended(&w, 0, ANYC_EBROKEN);
	CHECK_RC(anyc_stream_send(a, "x", 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, EPIPE);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(stream_pair, b122_a_cancelled_call_loses_nothing)
{
	struct anyc_stream *a, *b;
	struct waiting w;

	CHECK_OK(anyc_stream_pair(&a, &b, 3));
	wait_both_ways(&w, a);
	CHECK_OK(anyc_scope_cancel(&w.receiver.scope, NULL));
	CHECK_OK(anyc_scope_cancel(&w.sender.scope, NULL));
	check_both_ended(&w, ANYC_ECANCELED, ANYC_ECANCELED);
	CHECK_INT(anyc_stream_sent(a), ==, 3);
	CHECK_OK(anyc_stream_send(b, "late", 3));
	CHECK_RECEIVES(a, "lat");
	CHECK_RECEIVES(b, "123");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* A task with data and a cancellation in the same turn: the data is there for the next call. */
ANYC_TEST(stream_pair, b122_data_and_a_cancellation)
{
	struct anyc_stream *a, *b;
	struct receiver r = { 0 };
	struct anyc_group g;

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	r.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&r.scope, NULL));
	CHECK_OK(anyc_stream_send(b, "data", 4));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECANCELED);
	CHECK_RECEIVES(a, "data");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

#define MUCH 100000

struct traffic {
	struct anyc_stream *stream;
	unsigned seed;
};

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static size_t part(struct traffic *t, size_t most)
{
	t->seed = t->seed * 1103515245U + 12345U;
	return 1 + (t->seed >> 16) % most;
}

static int send_much(void *arg)
{
	struct traffic *t = arg;
	unsigned char buf[97];
	size_t i, n, done;

	for (done = 0; done < MUCH; done += n) {
		n = part(t, sizeof buf);
		n = n < MUCH - done ? n : MUCH - done;
		for (i = 0; i < n; i++)
			buf[i] = byte_at(done + i);
		CHECK_OK(anyc_stream_send(t->stream, buf, n));
	}
	CHECK_OK(anyc_stream_send_eof(t->stream));
	return 0;
}

static int receive_much(void *arg)
{
	struct traffic *t = arg;
	unsigned char buf[61];
	size_t done = 0;
	int i, n;

	while ((n = anyc_stream_receive(t->stream, buf, part(t, sizeof buf))) > 0) {
		for (i = 0; i < n; i++)
			CHECK_INT(buf[i], ==, byte_at(done + (size_t)i));
		done += (size_t)n;
	}
	CHECK_RC(n, 0);
	CHECK_INT(done, ==, MUCH);
	return 0;
}

ANYC_TEST(stream_pair, b119_both_directions_at_once_in_small_pieces)
{
	static const size_t capacities[] = { 1, 7, 4096 };
	size_t i;

	for (i = 0; i < sizeof capacities / sizeof *capacities; i++) {
		struct anyc_stream *a, *b;
		struct traffic t[4];
		struct anyc_group g;

		CHECK_OK(anyc_stream_pair(&a, &b, capacities[i]));
		t[0] = (struct traffic){ a, 1 };
		t[1] = (struct traffic){ b, 2 };
		t[2] = (struct traffic){ a, 3 };
		t[3] = (struct traffic){ b, 4 };
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, send_much, &t[0]));
		CHECK_OK(anyc_spawn(&g, send_much, &t[1]));
		CHECK_OK(anyc_spawn(&g, receive_much, &t[2]));
		CHECK_OK(anyc_spawn(&g, receive_much, &t[3]));
		CHECK_OK(anyc_group_leave(&g, 0));
		anyc_stream_free(a);
		anyc_stream_free(b);
	}
}

ANYC_TEST(stream_pair, pieces_fill_the_buffer_to_the_brim)
{
	char ab[] = "ab", cde[] = "cde", fgh[] = "fgh";
	struct iovec iov[] = { { ab, 2 }, { cde, 3 }, { fgh, 3 } };
	struct anyc_stream *a, *b;
	char buf[8];

	CHECK_OK(anyc_stream_pair(&a, &b, 6));
	CHECK_INT(anyc_stream_send_some(a, iov, 3, ANYC_NOWAIT), ==, 6);
	CHECK_RC(anyc_stream_send_some(a, iov, 3, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_RECEIVES(b, "abcd");
	CHECK_INT(anyc_stream_send_some(a, iov, 3, 0), ==, 4);
	CHECK_RECEIVES(b, "efabcd");
	CHECK_RC(anyc_stream_receive_flags(b, buf, sizeof buf, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

static void *receive_elsewhere(void *arg)
{
	char buf[1];
	intptr_t rc = anyc_stream_receive(arg, buf, 1);

	/* The thread has a loop of its own now. */
	if (rc == ANYC_ETHREAD)
		rc = anyc_stream_receive_flags(arg, buf, 1, ANYC_NOWAIT);
	anyc_thread_done();
	return (void *)rc;
}

static int called_elsewhere(void *(*call)(void *), void *arg)
{
	pthread_t thread;
	void *result;

	CHECK_INT(pthread_create(&thread, NULL, call, arg), ==, 0);
	CHECK_INT(pthread_join(thread, &result), ==, 0);
	return (int)(intptr_t)result;
}

/* Refused, with nothing taken. */
ANYC_TEST(stream_pair, r12_another_loops_task_is_refused)
{
	struct anyc_stream *a, *b;

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	CHECK_OK(anyc_stream_send(a, "x", 1));
	CHECK_RC(called_elsewhere(receive_elsewhere, b), ANYC_ETHREAD);
	CHECK_REPORT("another thread's loop");
	CHECK_RECEIVES(b, "x");
	anyc_stream_free(a);
	anyc_stream_free(b);
}

static void *send_elsewhere(void *arg)
{
	struct iovec x = { (char[]){ "x" }, 1 };

	return (void *)(intptr_t)anyc_stream_send_some(arg, &x, 1, ANYC_NOWAIT);
}

static int receive_one(void *arg)
{
	CHECK_RECEIVES(arg, "y");
	return 0;
}

/* A thread without a loop may take part while no task of the pair's waits for it. */
ANYC_TEST(stream_pair, r12_a_thread_without_a_loop)
{
	struct anyc_stream *a, *b;
	struct anyc_group g;

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	CHECK_RC(called_elsewhere(send_elsewhere, a), 1);
	CHECK_RECEIVES(b, "x");
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_one, b));
	SETTLE();
	CHECK_RC(called_elsewhere(send_elsewhere, a), ANYC_ETHREAD);
	CHECK_REPORT("another thread's loop");
	CHECK_OK(anyc_stream_send(a, "y", 1));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(stream_pair, bad_arguments)
{
	struct anyc_stream *a, *b;

	CHECK_RC(anyc_stream_pair(NULL, &b, 0), ANYC_EINVAL);
	CHECK_REPORT("it makes two streams, and the first place is NULL");
	CHECK_RC(anyc_stream_pair(&a, NULL, 0), ANYC_EINVAL);
	CHECK_REPORT("it makes two streams, and the second place is NULL");
	CHECK_RC(anyc_stream_pair(&a, &a, 0), ANYC_EINVAL);
	CHECK_REPORT("it makes two streams, and the places are one");
	CHECK_RC(anyc_stream_pair(&a, &b, (size_t)ANYC_IO_MAX + 1), ANYC_EINVAL);
	CHECK(a == NULL && b == NULL);
	CHECK_REPORT("more than a call can move");
}

/* --------------------------------------------------------------------------------- staples */

/* What goes to `here` goes through one pair, what comes from it comes through another. */
struct stapled {
	struct anyc_stream *here, *feeds, *hears;
};

static void staple(struct stapled *s)
{
	struct anyc_stream *receives, *sends;

	CHECK_OK(anyc_stream_pair(&receives, &s->feeds, 0));
	CHECK_OK(anyc_stream_pair(&sends, &s->hears, 3));
	CHECK_OK(anyc_stream_staple(&s->here, receives, sends));
}

static void unstaple(struct stapled *s)
{
	anyc_stream_free(s->here);
	anyc_stream_free(s->feeds);
	anyc_stream_free(s->hears);
}

ANYC_TEST(staple, b125_each_direction_by_its_own)
{
	struct stapled s;
	char buf[8];

	staple(&s);
	CHECK_OK(anyc_stream_send(s.feeds, "in", 2));
	CHECK_RECEIVES(s.here, "in");
	CHECK_OK(anyc_stream_send(s.here, "out", 3));
	CHECK_RECEIVES(s.hears, "out");
	CHECK_OK(anyc_stream_send_eof(s.here));
	CHECK_OK(anyc_stream_send_eof(s.here));
	CHECK_RC(anyc_stream_receive(s.hears, buf, sizeof buf), 0);
	CHECK_OK(anyc_stream_send(s.feeds, "more", 4));
	CHECK_RECEIVES(s.here, "more");
	unstaple(&s);
}

static void check_ends(bool freed)
{
	struct stapled s;
	struct waiting w;
	char buf[8];

	staple(&s);
	wait_both_ways(&w, s.here);
	if (freed)
		anyc_stream_free(s.here);
	else
		CHECK_OK(anyc_stream_close(s.here));
	check_both_ended(&w, ANYC_ECLOSED, ANYC_ECLOSED);
	CHECK_RC(anyc_stream_send(s.feeds, "x", 1), ANYC_EBROKEN);
	CHECK_RECEIVES(s.hears, "123");
	CHECK_RC(anyc_stream_receive(s.hears, buf, sizeof buf), 0);
	if (freed)
		s.here = NULL;
	unstaple(&s);
}

ANYC_TEST(staple, b125_close_closes_both_and_wakes)
{
	check_ends(false);
	check_ends(true);
}

/* The half that was ended has closed its descriptor, and is left out. */
ANYC_TEST(staple, r23_moves_after_the_end_of_sending)
{
	struct anyc_stream *in[2], *out[2], *both;
	struct anyc_address none;
	int fd;

	CHECK_OK(anyc_pipe_open(&in[0], &in[1]));
	CHECK_OK(anyc_pipe_open(&out[0], &out[1]));
	CHECK_OK(anyc_stream_staple(&both, in[0], out[1]));
	CHECK_OK(anyc_stream_send_eof(both));
	CHECK_OK(anyc_stream_move(both));
	CHECK_RC(anyc_stream_attribute(both, &anyc_attribute_local_address, &none, sizeof none),
		 ANYC_ENOATTR);
	CHECK_OK(anyc_stream_attribute(both, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(fd, >=, 0);
	anyc_stream_free(both);
	anyc_stream_free(in[1]);
	anyc_stream_free(out[0]);
}

/* A stream that cannot close well. */
struct bad {
	struct anyc_stream stream;
	bool closed;
};

static int bad_close(struct anyc_stream *s, unsigned flags)
{
	(void)flags;
	((struct bad *)(void *)s)->closed = true;
	return anyc_fail(ANYC_EBROKEN, EIO, "it did not close");
}

static void bad_free(struct anyc_stream *s)
{
	(void)s;
}

static int bad_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	(void)s;
	if (attribute->size != sizeof(int))
		return anyc_fail(ANYC_ENOATTR, 0, "not this one");
	*(int *)out = 7;
	return 0;
}

static const struct anyc_stream_ops bad_ops = {
	.size = sizeof bad_ops,
	.name = "bad",
	.close = bad_close,
	.free = bad_free,
	.attribute = bad_attribute,
};

ANYC_TEST(staple, b125_a_failed_close_closes_the_other_too)
{
	struct anyc_stream *receives, *peer, *s;
	struct bad bad = { .closed = false };

	CHECK_OK(anyc_stream_pair(&receives, &peer, 0));
	anyc_stream_init(&bad.stream, &bad_ops);
	CHECK_OK(anyc_stream_staple(&s, receives, &bad.stream));
	CHECK_RC(anyc_stream_close(s), ANYC_EBROKEN);
	CHECK(bad.closed);
	CHECK_RC(anyc_stream_send(peer, "x", 1), ANYC_EBROKEN);
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

ANYC_TEST(staple, b127_attributes_of_both)
{
	static const struct anyc_attribute number = { "number", sizeof(int) };
	static const struct anyc_attribute letter = { "letter", sizeof(char) };
	struct anyc_stream *receives, *peer, *s;
	struct bad bad = { .closed = false };
	int n = 0;
	char c;

	CHECK_OK(anyc_stream_pair(&receives, &peer, 0));
	anyc_stream_init(&bad.stream, &bad_ops);
	CHECK_OK(anyc_stream_staple(&s, receives, &bad.stream));
	CHECK_OK(anyc_stream_attribute(s, &number, &n, sizeof n));
	CHECK_INT(n, ==, 7);
	CHECK_RC(anyc_stream_attribute(s, &letter, &c, sizeof c), ANYC_ENOATTR);
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

ANYC_TEST(staple, bad_arguments)
{
	struct anyc_stream *a, *b, *s;

	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	CHECK_RC(anyc_stream_staple(NULL, a, b), ANYC_EINVAL);
	CHECK_REPORT("no place for it");
	CHECK_RC(anyc_stream_staple(&s, a, a), ANYC_EINVAL);
	CHECK_REPORT("it takes two streams");
	CHECK_RC(anyc_stream_staple(&s, NULL, a), ANYC_EINVAL);
	CHECK_REPORT("it takes two streams");
	CHECK_RC(anyc_stream_staple(&s, a, NULL), ANYC_EINVAL);
	CHECK_REPORT("it takes two streams");
	CHECK(s == NULL);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

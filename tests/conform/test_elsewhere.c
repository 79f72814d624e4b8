/* SPDX-License-Identifier: MIT */
/* What tasks of one loop wait in, and another thread, or a forked child, lays hands on: rule 23. */
#include "conform_thread.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <anyc/object.h>
#include <anyc/udp.h>
#include <anyc/unix.h>

/* A thing that a task here waits in, by its calls. */
struct thing {
	const char *name;
	void *object;
	int (*wait)(void *object); /* until the peer ends it */
	int (*close)(void *object);
	void (*free)(void *object);
	void (*end_wait)(struct thing *t);
	void *peer;
	struct anyc_stream *spare; /* what the wait of a listener gave */
	int waited, called, closed;
};

static struct thing *current;

static int stream_wait(void *s)
{
	char c;

	return anyc_stream_receive(s, &c, 1);
}
static int stream_close(void *s)
{
	return anyc_stream_close(s);
}
static void stream_free(void *s)
{
	anyc_stream_free(s);
}
static void stream_end_wait(struct thing *t)
{
	CHECK_OK(anyc_stream_send(t->peer, "x", 1));
}

static int listener_wait(void *l)
{
	int rc = anyc_listener_accept(l, &current->spare);

	return rc == 0 ? 1 : rc;
}
static int listener_close(void *l)
{
	return anyc_listener_close(l);
}
static void listener_free(void *l)
{
	anyc_listener_free(l);
}
static void listener_end_wait(struct thing *t)
{
	struct anyc_stream *client;

	CHECK_OK(anyc_unix_connect(&client, t->peer, NULL));
	anyc_stream_free(client);
}

static int datagram_wait(void *d)
{
	char c;

	return anyc_datagram_receive(d, &c, 1);
}
static int datagram_close(void *d)
{
	return anyc_datagram_close(d);
}
static void datagram_free(void *d)
{
	anyc_datagram_free(d);
}
static void datagram_end_wait(struct thing *t)
{
	CHECK_OK(anyc_datagram_send(t->peer, "x", 1));
}

static int object_wait(void *s)
{
	char c;

	return anyc_object_receive(s, &c, 1, 0);
}
static int object_close(void *s)
{
	return anyc_object_stream_close(s);
}
static void object_free(void *s)
{
	anyc_object_stream_free(s);
}
static void object_end_wait(struct thing *t)
{
	CHECK_OK(anyc_object_send(t->peer, "x", 1, 0));
}

static struct thing stream_thing(const char *name, struct anyc_stream *s, struct anyc_stream *peer)
{
	return (struct thing){ .name = name, .object = s, .peer = peer, .wait = stream_wait,
			       .close = stream_close, .free = stream_free,
			       .end_wait = stream_end_wait };
}

/* ------------------------------------------------------------------------------------ the test */

static int wait_in_it(void *arg)
{
	struct thing *t = arg;

	t->waited = t->wait(t->object);
	return 0;
}

static int lay_hands_on(void *arg)
{
	struct thing *t = arg;

	if (t->wait != object_wait) /* several tasks may receive objects */
		t->called = t->wait(t->object);
	t->closed = t->close(t->object);
	t->free(t->object);
	return 0;
}

/* Another thread's loop is refused, and the task that waits goes on. */
static void check_refused(struct thing *t)
{
	struct anyc_group g;
	struct thread thread;

	current = t;
	t->waited = t->called = 100;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_in_it, t));
	SETTLE();
	thread_start(&thread, lay_hands_on, t, true);
	CHECK_OK(thread_join(&thread));
	if (t->closed != ANYC_ETHREAD || (t->called != ANYC_ETHREAD && t->called != 100))
		FAIL("%s: a call gave %s, close %s", t->name, anyc_err_name(t->called),
		     anyc_err_name(t->closed));
	CHECK_REPORT("another thread's loop");
	CHECK_REPORT("another thread's loop");
	CHECK_INT(t->waited, ==, 100);
	t->end_wait(t);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(t->waited, ==, 1);
	anyc_stream_free(t->spare);
	t->free(t->object);
}

ANYC_TEST(elsewhere, r23_streams)
{
	struct anyc_stream *a, *b, *in, *out, *other, *wrapped;
	struct thing t;

	CHECK_OK(anyc_unix_pair(&a, &b));
	t = stream_thing("UNIX", a, b);
	check_refused(&t);
	anyc_stream_free(b);
	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	t = stream_thing("pair", a, b);
	check_refused(&t);
	anyc_stream_free(b);
	CHECK_OK(anyc_pipe_open(&in, &out));
	CHECK_OK(anyc_unix_pair(&a, &other));
	CHECK_OK(anyc_stream_staple(&wrapped, in, a));
	CHECK_OK(anyc_buffered_stream(&wrapped, wrapped));
	t = stream_thing("pipe, stapled and buffered", wrapped, out);
	check_refused(&t);
	anyc_stream_free(out);
	anyc_stream_free(other);
}

ANYC_TEST(elsewhere, r23_listeners)
{
	char name[64];
	struct thing t = { .name = "listener", .wait = listener_wait, .close = listener_close,
			   .free = listener_free, .end_wait = listener_end_wait, .peer = name };
	struct anyc_listener *l;

	snprintf(name, sizeof name, "@anyc-elsewhere-%d", (int)getpid());
	CHECK_OK(anyc_unix_listen(&l, name, NULL));
	t.object = l;
	check_refused(&t);
}

/* A socket, and one that sends to it. */
static void datagrams_make(struct anyc_datagram **a, struct anyc_datagram **b)
{
	struct anyc_address address;
	char port[16];

	CHECK_OK(anyc_udp_bind(a, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_datagram_attribute(*a, &anyc_attribute_local_address, &address,
					 sizeof address));
	snprintf(port, sizeof port, "%u", anyc_address_port(&address));
	CHECK_OK(anyc_udp_connect(b, "127.0.0.1", port, NULL));
}

ANYC_TEST(elsewhere, r23_datagrams)
{
	struct thing t = { .name = "datagrams", .wait = datagram_wait, .close = datagram_close,
			   .free = datagram_free, .end_wait = datagram_end_wait };
	struct anyc_datagram *a, *b;

	datagrams_make(&a, &b);
	t.object = a;
	t.peer = b;
	check_refused(&t);
	anyc_datagram_free(b);
}

ANYC_TEST(elsewhere, r23_objects_of_datagrams)
{
	struct thing t = { .name = "objects of datagrams", .wait = object_wait,
			   .close = object_close, .free = object_free,
			   .end_wait = object_end_wait };
	struct anyc_object_stream *near, *far;
	struct anyc_datagram *a, *b;

	datagrams_make(&a, &b);
	CHECK_OK(anyc_object_stream_of_datagrams(&near, a));
	CHECK_OK(anyc_object_stream_of_datagrams(&far, b));
	t.object = near;
	t.peer = far;
	check_refused(&t);
	anyc_object_stream_free(far);
}

ANYC_TEST(elsewhere, r23_objects_of_a_queue)
{
	struct thing t = { .name = "objects of a queue", .wait = object_wait,
			   .close = object_close, .free = object_free,
			   .end_wait = object_end_wait };
	struct anyc_object_stream *both, *far;
	struct anyc_receiver receiver;
	struct anyc_sender sender;
	char item;

	CHECK_OK(anyc_queue_open(&sender, &receiver, 1, 1, NULL));
	CHECK_OK(anyc_object_stream_of_queue(&both, &sender, &receiver));
	CHECK_OK(anyc_object_stream_of_queue(&far, &sender, NULL));
	CHECK_OK(anyc_sender_close(&sender));
	t.object = both;
	t.peer = far;
	check_refused(&t);
	anyc_object_stream_free(far);
	/* No end was left open. */
	CHECK_RC(anyc_queue_receive(&receiver, &item), ANYC_EEOF);
	CHECK_OK(anyc_receiver_close(&receiver));
}

/* ------------------------------------------------------------------------------ a forked child */

/* A thread that forks has no task in the child: there it is as free as a new thread. */
static void *fork_and_call(void *arg)
{
	struct thing *t = arg;
	int status = -1;
	pid_t pid = fork();

	CHECK_INT(pid, >=, 0);
	if (pid == 0) {
		alarm(20);
		if (t->wait(t->object) != ANYC_EFORKED)
			_exit(1);
		if (t->close(t->object) != 0)
			_exit(2);
		t->free(t->object);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	t->called = WIFEXITED(status) ? WEXITSTATUS(status) : 100;
	return NULL;
}

static void check_forked(struct thing *t)
{
	struct anyc_group g;
	pthread_t thread;

	current = t;
	t->waited = 100;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_in_it, t));
	SETTLE();
	CHECK_INT(pthread_create(&thread, NULL, fork_and_call, t), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	if (t->called != 0)
		FAIL("%s: the child ended with %d", t->name, t->called);
	CHECK_INT(t->waited, ==, 100);
	t->end_wait(t);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(t->waited, ==, 1);
	anyc_stream_free(t->spare);
	t->free(t->object);
}

ANYC_TEST(elsewhere, r27_a_child_and_what_its_parent_waits_in)
{
	struct thing d = { .name = "datagrams", .wait = datagram_wait, .close = datagram_close,
			   .free = datagram_free, .end_wait = datagram_end_wait };
	struct thing l = { .name = "listener", .wait = listener_wait, .close = listener_close,
			   .free = listener_free, .end_wait = listener_end_wait };
	struct anyc_stream *a, *b;
	struct anyc_datagram *near, *far;
	struct anyc_listener *listener;
	struct thing t;
	char name[64];

	CHECK_OK(anyc_unix_pair(&a, &b));
	t = stream_thing("UNIX", a, b);
	check_forked(&t);
	anyc_stream_free(b);
	CHECK_OK(anyc_stream_pair(&a, &b, 0));
	t = stream_thing("pair", a, b);
	check_forked(&t);
	anyc_stream_free(b);
	datagrams_make(&near, &far);
	d.object = near;
	d.peer = far;
	check_forked(&d);
	anyc_datagram_free(far);
	snprintf(name, sizeof name, "@anyc-forked-%d", (int)getpid());
	CHECK_OK(anyc_unix_listen(&listener, name, NULL));
	l.object = listener;
	l.peer = name;
	check_forked(&l);
}

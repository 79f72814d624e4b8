/* SPDX-License-Identifier: MIT */
/* Streams of objects: rows F1, F9 and F14 of semantics.md. */
#include "conform.h"

#include <stdio.h>
#include <stdlib.h>

#include <anyc/object.h>
#include <anyc/stream_check.h>

/* -------------------------------------------------------------------------- a pair of queues */

struct item {
	int number;
	char text[12];
};

/* Two streams, each of which receives what the other sends. */
struct ends {
	struct anyc_object_stream *a, *b;
};

static void make_pair(struct ends *e, size_t item_size, size_t capacity)
{
	struct anyc_sender s[2];
	struct anyc_receiver r[2];

	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_queue_open(&s[i], &r[i], item_size, capacity, NULL));
	CHECK_OK(anyc_object_stream_of_queue(&e->a, &s[0], &r[1]));
	CHECK_OK(anyc_object_stream_of_queue(&e->b, &s[1], &r[0]));
	for (int i = 0; i < 2; i++) {
		CHECK_OK(anyc_sender_close(&s[i]));
		CHECK_OK(anyc_receiver_close(&r[i]));
	}
}

static void free_pair(struct ends *e)
{
	anyc_object_stream_free(e->a);
	anyc_object_stream_free(e->b);
}

static int send_three(void *arg)
{
	struct item item = { .number = 0 };
	int rc = 0;

	for (int i = 1; i <= 3 && rc == 0; i++) {
		item.number = i;
		snprintf(item.text, sizeof item.text, "item %d", i);
		rc = anyc_object_send(arg, &item, sizeof item, 0);
	}
	return rc != 0 ? rc : anyc_object_send_eof(arg);
}

ANYC_TEST(object, f01_items_of_queues)
{
	struct anyc_group g;
	struct ends e;
	struct item item[2];

	make_pair(&e, sizeof *item, 0);
	CHECK_INT(anyc_object_stream_abilities(e.a), ==,
		  ANYC_OBJECTS_RECEIVE | ANYC_OBJECTS_SEND | ANYC_OBJECTS_RELIABLE);
	CHECK_INT(anyc_object_stream_largest(e.a), ==, sizeof *item);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_three, e.a));
	for (int i = 1; i <= 3; i++) {
		CHECK_RC(anyc_object_receive(e.b, item, sizeof item, 0), (int)sizeof *item);
		CHECK_INT(item[0].number, ==, i);
	}
	CHECK_RC(anyc_object_receive(e.b, item, sizeof item, 0), ANYC_EEOF);
	CHECK_RC(anyc_object_receive(e.b, item, sizeof item, 0), ANYC_EEOF);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_object_send_eof(e.a));
	CHECK_RC(anyc_object_send(e.a, item, sizeof *item, 0), ANYC_ECLOSED);
	/* The other direction goes on. */
	CHECK_RC(anyc_object_receive(e.a, item, sizeof item, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_RC(anyc_object_send(e.b, item, sizeof *item, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_object_stream_close(e.b));
	CHECK_RC(anyc_object_receive(e.a, item, sizeof item, 0), ANYC_EEOF);
	CHECK_OK(anyc_object_stream_close(e.a));
	CHECK_OK(anyc_object_stream_close(e.a));
	CHECK_RC(anyc_object_receive(e.a, item, sizeof item, 0), ANYC_ECLOSED);
	free_pair(&e);
}

struct call {
	struct anyc_scope scope;
	struct anyc_object_stream *stream;
	struct item item;
	int rc;
};

static int receive_in_scope(void *arg)
{
	struct call *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_object_receive(c->stream, &c->item, sizeof c->item, 0);
	return anyc_scope_leave(&c->scope, c->rc == ANYC_ECANCELED ? c->rc : 0);
}

static int send_in_scope(void *arg)
{
	struct call *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_object_send(c->stream, &c->item, sizeof c->item, 0);
	return anyc_scope_leave(&c->scope, c->rc == ANYC_ECANCELED ? c->rc : 0);
}

/* Cancelled, nothing was taken or sent; closed, who is inside is told. */
ANYC_TEST(object, f01_cancelled_and_closed)
{
	struct anyc_group g;
	struct ends e;
	struct call c[4];

	make_pair(&e, sizeof(struct item), 0);
	for (int i = 0; i < 4; i++)
		c[i] = (struct call){ .stream = e.a, .item = { .number = i } };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_in_scope, &c[0]));
	CHECK_OK(anyc_spawn(&g, receive_in_scope, &c[1]));
	CHECK_OK(anyc_spawn(&g, send_in_scope, &c[2]));
	CHECK_OK(anyc_spawn(&g, send_in_scope, &c[3]));
	SETTLE();
	anyc_scope_cancel(&c[0].scope, "nothing was taken");
	anyc_scope_cancel(&c[2].scope, "nothing was sent");
	SETTLE();
	CHECK_RC(c[0].rc, ANYC_ECANCELED);
	CHECK_RC(c[2].rc, ANYC_ECANCELED);
	CHECK_OK(anyc_object_stream_close(e.a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(c[1].rc, ANYC_ECLOSED);
	CHECK_RC(c[3].rc, ANYC_ECLOSED);
	CHECK_RC(anyc_object_send(e.b, &c[0].item, sizeof c[0].item, 0), ANYC_EBROKEN);
	free_pair(&e);
}

/* Freed with a task inside: the memory is there until that has returned. */
ANYC_TEST(object, f01_freed_with_a_task_inside)
{
	struct anyc_group g;
	struct ends e;
	struct call c;

	make_pair(&e, sizeof(struct item), 0);
	c = (struct call){ .stream = e.a };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_in_scope, &c));
	SETTLE();
	anyc_object_stream_free(e.a);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(c.rc, ANYC_ECLOSED);
	anyc_object_stream_free(e.b);
}

/* errno and the last error are as they were (rule 13), also when others have run meanwhile. */
static int spoil_errno(void *arg)
{
	(void)arg;
	errno = ENOTTY;
	return 0;
}

ANYC_TEST(object, r13_close_and_free_are_quiet)
{
	struct anyc_group g;
	struct ends e;

	make_pair(&e, sizeof(struct item), 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, spoil_errno, NULL));
	anyc_fail(ANYC_EBROKEN, ENOTTY, "what happened before");
	errno = E2BIG;
	CHECK_OK(anyc_object_stream_close(e.a));
	CHECK_INT(errno, ==, E2BIG);
	errno = E2BIG;
	free_pair(&e);
	CHECK_INT(errno, ==, E2BIG);
	CHECK_STR(anyc_error_detail(ANYC_EBROKEN), "what happened before");
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* ---------------------------------------------------------------------------- one direction */

ANYC_TEST(object, f09_stapled)
{
	struct anyc_object_stream *in, *out, *both;
	struct anyc_sender s[2];
	struct anyc_receiver r[2];
	int n = 5;

	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_queue_open(&s[i], &r[i], sizeof n, 1, NULL));
	CHECK_OK(anyc_object_stream_of_queue(&in, NULL, &r[0]));
	CHECK_OK(anyc_object_stream_of_queue(&out, &s[1], NULL));
	CHECK_INT(anyc_object_stream_abilities(in), ==,
		  ANYC_OBJECTS_RECEIVE | ANYC_OBJECTS_RELIABLE);
	CHECK_INT(anyc_object_stream_abilities(out), ==, ANYC_OBJECTS_SEND | ANYC_OBJECTS_RELIABLE);
	CHECK_RC(anyc_object_send(in, &n, sizeof n, 0), ANYC_ENOTSUP);
	CHECK_RC(anyc_object_send_eof(in), ANYC_ENOTSUP);
	CHECK_RC(anyc_object_receive(out, &n, sizeof n, 0), ANYC_ENOTSUP);
	CHECK_RC(anyc_object_stream_staple(&both, in, in), ANYC_EINVAL);
	CHECK_RC(anyc_object_stream_staple(&both, NULL, out), ANYC_EINVAL);
	CHECK_OK(anyc_object_stream_staple(&both, in, out));
	CHECK_INT(anyc_object_stream_abilities(both), ==,
		  ANYC_OBJECTS_RECEIVE | ANYC_OBJECTS_SEND | ANYC_OBJECTS_RELIABLE);
	CHECK_INT(anyc_object_stream_largest(both), ==, sizeof n);
	CHECK_OK(anyc_queue_send(&s[0], &n));
	n = 0;
	CHECK_RC(anyc_object_receive(both, &n, sizeof n, 0), (int)sizeof n);
	CHECK_INT(n, ==, 5);
	CHECK_OK(anyc_object_send(both, &n, sizeof n, 0));
	CHECK_OK(anyc_object_send_eof(both));
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_sender_close(&s[i]));
	CHECK_OK(anyc_queue_receive(&r[1], &n));
	CHECK_RC(anyc_queue_receive(&r[1], &n), ANYC_EEOF);
	CHECK_RC(anyc_object_receive(both, &n, sizeof n, 0), ANYC_EEOF);
	CHECK_OK(anyc_object_stream_close(both));
	anyc_object_stream_free(both);
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_receiver_close(&r[i]));
}

/* In a cancelled scope both are freed at once; the staple may still be asked. */
ANYC_TEST(object, f09_stapled_and_closed_without_waiting)
{
	struct anyc_object_stream *both;
	struct anyc_scope s;
	struct ends e;
	int n = 1;

	make_pair(&e, sizeof n, 1);
	CHECK_OK(anyc_object_stream_staple(&both, e.a, e.b));
	anyc_scope_enter(&s, NULL);
	anyc_scope_cancel(&s, "at once");
	CHECK_RC(anyc_object_stream_close(both), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_INT(anyc_object_stream_largest(both), ==, sizeof n);
	CHECK_RC(anyc_object_send(both, &n, sizeof n, 0), ANYC_ECLOSED);
	anyc_object_stream_free(both);
}

/* -------------------------------------------------------------------------------- datagrams */

ANYC_TEST(object, f01_datagrams)
{
	struct anyc_object_stream *a, *b;
	struct anyc_datagram *d[2];
	struct anyc_address address;
	struct anyc_stream *bytes;
	char port[16], buf[16];

	CHECK_OK(anyc_udp_bind(&d[0], "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_datagram_attribute(d[0], &anyc_attribute_local_address, &address,
					 sizeof address));
	snprintf(port, sizeof port, "%u", anyc_address_port(&address));
	CHECK_OK(anyc_udp_connect(&d[1], "127.0.0.1", port, NULL));
	CHECK_OK(anyc_object_stream_of_datagrams(&a, d[0]));
	CHECK_OK(anyc_object_stream_of_datagrams(&b, d[1]));
	CHECK_INT(anyc_object_stream_abilities(b), ==, ANYC_OBJECTS_RECEIVE | ANYC_OBJECTS_SEND);
	CHECK_INT(anyc_object_stream_largest(b), ==, 0);
	CHECK_RC(anyc_object_receive(a, buf, sizeof buf, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_OK(anyc_object_send(b, "one datagram", 12, 0));
	CHECK_OK(anyc_object_send(b, NULL, 0, 0));
	CHECK_OK(anyc_object_send(b, "another", 7, ANYC_NOWAIT));
	CHECK_RC(anyc_object_receive(a, buf, 3, 0), 12); /* the rest was cut off */
	CHECK(memcmp(buf, "one", 3) == 0);
	CHECK_RC(anyc_object_receive(a, buf, sizeof buf, 0), 0);
	CHECK_RC(anyc_object_receive(a, buf, sizeof buf, 0), 7);
	CHECK_RC(anyc_object_send_eof(b), ANYC_ENOTSUP);
	CHECK_RC(anyc_stream_of_objects(&bytes, b, 100), ANYC_EINVAL);
	CHECK_OK(anyc_object_stream_attribute(a, &anyc_attribute_local_address, &address,
					      sizeof address));
	CHECK_RC(anyc_object_stream_attribute(a, &anyc_attribute_local_address, &address, 3),
		 ANYC_EINVAL);
	CHECK_OK(anyc_object_stream_close(a));
	CHECK_RC(anyc_object_receive(a, buf, sizeof buf, 0), ANYC_ECLOSED);
	CHECK_RC(anyc_object_stream_attribute(a, &anyc_attribute_local_address, &address,
					      sizeof address),
		 ANYC_ECLOSED);
	anyc_object_stream_free(a);
	anyc_object_stream_free(b);
}

ANYC_TEST(object, r12_bad_arguments)
{
	struct anyc_object_stream *s = (struct anyc_object_stream *)&s;
	struct anyc_stream *bytes;
	struct anyc_sender sender[2];
	struct anyc_receiver receiver[2];
	struct anyc_address address;
	struct ends e;
	char buf[16];

	CHECK_RC(anyc_object_receive(NULL, buf, 1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_object_send(NULL, buf, 1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_object_send_eof(NULL), ANYC_EINVAL);
	CHECK_RC(anyc_object_stream_close(NULL), ANYC_EINVAL);
	anyc_object_stream_free(NULL);
	CHECK_RC(anyc_object_stream_of_queue(&s, NULL, NULL), ANYC_EINVAL);
	CHECK(s == NULL);
	CHECK_RC(anyc_object_stream_of_datagrams(&s, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_stream_of_objects(&bytes, NULL, 1), ANYC_EINVAL);
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_queue_open(&sender[i], &receiver[i], (size_t)i + 1, 1, NULL));
	CHECK_RC(anyc_object_stream_of_queue(&s, &sender[0], &receiver[1]), ANYC_EINVAL);
	for (int i = 0; i < 2; i++) {
		CHECK_OK(anyc_sender_close(&sender[i]));
		CHECK_OK(anyc_receiver_close(&receiver[i]));
	}
	CHECK_RC(anyc_object_stream_of_queue(&s, &sender[0], NULL), ANYC_ECLOSED);
	make_pair(&e, 8, 1);
	CHECK_RC(anyc_object_receive(e.a, buf, 7, 0), ANYC_EINVAL);
	CHECK_RC(anyc_object_receive(e.a, NULL, 8, 0), ANYC_EINVAL);
	CHECK_RC(anyc_object_send(e.a, buf, 7, 0), ANYC_EINVAL);
	CHECK_RC(anyc_object_send(e.a, buf, 9, ANYC_NOWAIT), ANYC_EINVAL);
	CHECK_RC(anyc_object_stream_attribute(e.a, &anyc_attribute_local_address, &address,
					      sizeof address),
		 ANYC_ENOATTR);
	free_pair(&e);
}

/* ------------------------------------------------------- objects of one's own, and their bytes */

#define LARGEST 64

/* Of up to LARGEST bytes, or, for a test, more. */
struct letter {
	size_t length;
	unsigned char data[2 * LARGEST];
};
struct letters {
	struct anyc_object_stream stream;
	struct anyc_sender sender;
	struct anyc_receiver receiver;
};

static struct letters *letters_of(struct anyc_object_stream *s)
{
	return (struct letters *)(void *)s;
}

static int letters_receive(struct anyc_object_stream *s, void *buf, size_t size, unsigned flags)
{
	struct letters *l = letters_of(s);
	struct letter letter;
	int rc = flags & ANYC_NOWAIT ? anyc_queue_receive_nowait(&l->receiver, &letter)
				     : anyc_queue_receive(&l->receiver, &letter);

	if (rc != 0)
		return rc;
	memcpy(buf, letter.data, letter.length < size ? letter.length : size);
	return (int)letter.length;
}

static int letters_send(struct anyc_object_stream *s, const void *data, size_t size, unsigned flags)
{
	struct letters *l = letters_of(s);
	struct letter letter = { .length = size };

	memcpy(letter.data, data, size);
	return flags & ANYC_NOWAIT ? anyc_queue_send_nowait(&l->sender, &letter)
				   : anyc_queue_send(&l->sender, &letter);
}

static int letters_send_eof(struct anyc_object_stream *s)
{
	int rc = anyc_checkpoint();

	return rc != 0 ? rc : anyc_sender_close(&letters_of(s)->sender);
}

static int letters_close(struct anyc_object_stream *s, unsigned flags)
{
	(void)flags;
	CHECK_OK(anyc_sender_close(&letters_of(s)->sender));
	return anyc_receiver_close(&letters_of(s)->receiver);
}

static void letters_free(struct anyc_object_stream *s)
{
	free(letters_of(s));
}

static const struct anyc_object_stream_ops letters_ops = {
	.size = sizeof letters_ops,
	.name = "letters",
	.reliable = true,
	.receive = letters_receive,
	.send = letters_send,
	.send_eof = letters_send_eof,
	.close = letters_close,
	.free = letters_free,
};

static void make_letters(struct ends *e)
{
	struct letters *l[2];

	for (int i = 0; i < 2; i++) {
		l[i] = calloc(1, sizeof *l[i]);
		CHECK(l[i] != NULL);
		anyc_object_stream_init(&l[i]->stream, &letters_ops);
	}
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_queue_open(&l[i]->sender, &l[1 - i]->receiver, sizeof(struct letter),
					 3, NULL));
	e->a = &l[0]->stream;
	e->b = &l[1]->stream;
}

ANYC_TEST(object, f14_what_is_left_of_an_object_waits)
{
	struct anyc_stream *bytes;
	struct ends e;
	char buf[2 * LARGEST];

	make_letters(&e);
	CHECK_RC(anyc_stream_of_objects(&bytes, e.a, 0), ANYC_EINVAL);
	CHECK_OK(anyc_stream_of_objects(&bytes, e.a, LARGEST));
	CHECK_OK(anyc_object_send(e.b, "abcdef", 6, 0));
	CHECK_OK(anyc_object_send(e.b, "", 0, 0));
	CHECK_OK(anyc_object_send(e.b, "ghi", 3, 0));
	CHECK_RC(anyc_stream_receive(bytes, buf, 4), 4);
	CHECK(memcmp(buf, "abcd", 4) == 0);
	CHECK_RC(anyc_stream_receive(bytes, buf, sizeof buf), 2);
	CHECK(memcmp(buf, "ef", 2) == 0);
	CHECK_RC(anyc_stream_receive(bytes, buf, sizeof buf), 3);
	CHECK(memcmp(buf, "ghi", 3) == 0);
	/* Sent in objects of at most so many bytes. */
	memset(buf, 'x', LARGEST + 10);
	CHECK_OK(anyc_stream_send(bytes, buf, LARGEST + 10));
	CHECK_RC(anyc_object_receive(e.b, buf, sizeof buf, 0), LARGEST);
	CHECK_RC(anyc_object_receive(e.b, buf, sizeof buf, 0), 10);
	/* One that is larger than was said breaks the stream: a part of it would be lost. */
	CHECK_OK(anyc_object_send(e.b, buf, LARGEST + 1, 0));
	CHECK_RC(anyc_stream_receive(bytes, buf, 4), ANYC_EBROKEN);
	CHECK_RC(anyc_stream_receive(bytes, buf, 4), ANYC_EBROKEN);
	anyc_stream_free(bytes);
	anyc_object_stream_free(e.b);
}

static int end_sending(void *arg)
{
	return anyc_object_send_eof(arg);
}

/* The one that is cancelled takes nothing back from the one that succeeds meanwhile. */
ANYC_TEST(object, f01_two_end_the_sending)
{
	struct anyc_scope s;
	struct anyc_group g;
	struct ends e;

	make_letters(&e);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, end_sending, e.a));
	CHECK_OK(anyc_checkpoint()); /* it is inside */
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_object_send_eof(e.a), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_object_send(e.a, "x", 1, 0), ANYC_ECLOSED);
	CHECK_HAS(anyc_error_detail(ANYC_ECLOSED), "sending was ended");
	anyc_object_stream_free(e.a);
	anyc_object_stream_free(e.b);
}

static int receive_bytes(void *arg)
{
	char buf[4];

	return anyc_stream_receive(arg, buf, sizeof buf);
}

/* An empty object came, and the stream went before the task could pass over it. */
ANYC_TEST(object, f14_freed_behind_an_empty_object)
{
	struct anyc_stream *bytes;
	struct anyc_group g;
	struct ends e;

	make_letters(&e);
	CHECK_OK(anyc_stream_of_objects(&bytes, e.a, LARGEST));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_bytes, bytes));
	SETTLE();
	CHECK_OK(anyc_object_send(e.b, "", 0, ANYC_NOWAIT));
	anyc_stream_free(bytes);
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_ECLOSED);
	anyc_object_stream_free(e.b);
}

/* A part of a character came, and the stream went before the task could ask for the rest. */
ANYC_TEST(object, f17_text_freed_behind_a_part_of_a_character)
{
	struct anyc_stream *bytes, *text;
	struct anyc_group g;
	struct ends e;

	make_letters(&e);
	CHECK_OK(anyc_stream_of_objects(&bytes, e.a, LARGEST));
	CHECK_OK(anyc_text_stream(&text, bytes, NULL));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_bytes, text));
	SETTLE();
	CHECK_OK(anyc_object_send(e.b, "\xc3", 1, ANYC_NOWAIT));
	anyc_stream_free(text);
	CHECK_RC(anyc_group_leave(&g, 0), ANYC_ECLOSED);
	anyc_object_stream_free(e.b);
}

/* Lines over objects: the reader knows only bytes. */
ANYC_TEST(object, f14_a_reader_over_objects)
{
	struct anyc_stream *bytes;
	struct anyc_reader reader;
	struct ends e;
	const char *line;
	size_t length;

	make_letters(&e);
	CHECK_OK(anyc_stream_of_objects(&bytes, e.a, LARGEST));
	anyc_reader_init(&reader, bytes);
	CHECK_OK(anyc_object_send(e.b, "first li", 8, 0));
	CHECK_OK(anyc_object_send(e.b, "ne\nsecond\n", 10, 0));
	CHECK_OK(anyc_reader_until(&reader, "\n", 1, 100, &line, &length));
	CHECK(length == 10 && memcmp(line, "first line", 10) == 0);
	CHECK_OK(anyc_reader_until(&reader, "\n", 1, 100, &line, &length));
	CHECK(length == 6 && memcmp(line, "second", 6) == 0);
	CHECK_OK(anyc_object_send_eof(e.b));
	CHECK_RC(anyc_reader_until(&reader, "\n", 1, 100, &line, &length), ANYC_EINCOMPLETE);
	anyc_reader_free(&reader);
	anyc_stream_free(bytes);
	anyc_object_stream_free(e.b);
}

static int bytes_over_letters(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct ends e;

	(void)arg;
	make_letters(&e);
	CHECK_OK(anyc_stream_of_objects(a, e.a, LARGEST));
	CHECK_OK(anyc_stream_of_objects(b, e.b, LARGEST));
	return 0;
}

/* Every promise of streams. */
ANYC_TEST(object, f01_bytes_keep_the_promises_of_streams, .deadline = 60)
{
	struct anyc_stream_check check = {
		.make = bytes_over_letters, .name = "bytes over objects", .clog = 100000
	};

	anyc_stream_check(&check);
}

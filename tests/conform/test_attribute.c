/* SPDX-License-Identifier: MIT */
/*
 * Attributes of streams of one's own, and of what wraps them: b127 of behaviours.md, O1 and O2 of
 * semantics.md.
 */
#include "conform.h"
#include "lib/pair.h"

#include <stdio.h>
#include <stdlib.h>

/* Two of one name: the address is the identity. */
static const struct anyc_attribute colour = { .name = "colour", .size = sizeof(int) };
static const struct anyc_attribute other_colour = { .name = "colour", .size = sizeof(int) };
static const struct anyc_attribute weight = { .name = "weight", .size = sizeof(double) };
static const struct anyc_attribute broken = { .name = "broken", .size = sizeof(int) };

/* A stream that passes everything on, and knows some things itself. */
struct wrapper {
	struct anyc_stream head;
	struct anyc_stream *below;
	const struct anyc_attribute *own;
	int value;
};

static int wrapper_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	return anyc_stream_receive_flags(((struct wrapper *)s)->below, buf, size, flags);
}

static int wrapper_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
			     unsigned flags)
{
	return anyc_stream_send_some(((struct wrapper *)s)->below, iov, count, flags);
}

static int wrapper_close(struct anyc_stream *s, unsigned flags)
{
	(void)flags;
	anyc_stream_free(((struct wrapper *)s)->below);
	return 0;
}

static void wrapper_free(struct anyc_stream *s)
{
	free(s);
}

static int wrapper_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute,
			     void *out)
{
	struct wrapper *w = (struct wrapper *)s;

	if (attribute == &broken) {
		*(int *)out = 13; /* half done */
		return anyc_fail(-EIO, EIO, "the getter failed");
	}
	if (attribute == w->own) {
		*(int *)out = w->value;
		return 0;
	}
	return anyc_stream_attribute(w->below, attribute, out, attribute->size);
}

static const struct anyc_stream_ops wrapper_ops = {
	.size = sizeof wrapper_ops,
	.name = "wrapper",
	.receive = wrapper_receive,
	.send_some = wrapper_send_some,
	.close = wrapper_close,
	.free = wrapper_free,
	.attribute = wrapper_attribute,
};

static struct anyc_stream *wrap(struct anyc_stream *below, const struct anyc_attribute *own,
				int value)
{
	struct wrapper *w = calloc(1, sizeof *w);

	CHECK(w != NULL);
	anyc_stream_init(&w->head, &wrapper_ops);
	w->below = below;
	w->own = own;
	w->value = value;
	return &w->head;
}

static int colour_of(struct anyc_stream *s, const struct anyc_attribute *which)
{
	int value = -1;

	CHECK_OK(anyc_stream_attribute(s, which, &value, sizeof value));
	return value;
}

ANYC_TEST(attribute, b127_through_wrappers)
{
	struct anyc_stream *peer, *s, *inner, *outer;
	double kilos = 1.5;
	int value = -1;

	pair_make(&s, &peer, NULL);
	inner = wrap(s, &colour, 1);
	CHECK_INT(colour_of(inner, &colour), ==, 1);
	/* Found further down, through one that knows another; and overridden. */
	outer = wrap(inner, &other_colour, 2);
	CHECK_INT(colour_of(outer, &colour), ==, 1);
	CHECK_INT(colour_of(outer, &other_colour), ==, 2);
	outer = wrap(outer, &colour, 3);
	CHECK_INT(colour_of(outer, &colour), ==, 3);
	CHECK_INT(colour_of(outer, &other_colour), ==, 2);
	/* Nobody knows it. */
	CHECK_RC(anyc_stream_attribute(outer, &weight, &kilos, sizeof kilos), ANYC_ENOATTR);
	CHECK_HAS(anyc_error_detail(ANYC_ENOATTR), "weight");
	CHECK(kilos == 0);
	/* The getter's own error is passed on, and leaves no half of a value. */
	CHECK_RC(anyc_stream_attribute(outer, &broken, &value, sizeof value), -EIO);
	CHECK_STR(anyc_error_detail(-EIO), "the getter failed");
	CHECK_INT(value, ==, 0);
	value = -1;
	CHECK_RC(anyc_stream_attribute(outer, &colour, &value, sizeof value + 1), ANYC_EINVAL);
	CHECK_INT(value, ==, -1);
	anyc_stream_close(outer);
	CHECK_RC(anyc_stream_attribute(outer, &colour, &value, sizeof value), ANYC_ECLOSED);
	CHECK_INT(value, ==, 0);
	anyc_stream_free(outer);
	anyc_stream_free(peer);
}

/* Attributes of sockets are seen through a wrapper of one's own. */
struct connecting {
	struct anyc_listener *l;
	struct anyc_stream *s;
};
static int accept_one(void *arg)
{
	struct connecting *c = arg;

	return anyc_listener_accept(c->l, &c->s);
}

ANYC_TEST(attribute, b127_of_a_socket_inside)
{
	struct connecting c = { 0 };
	struct anyc_address a, direct;
	struct anyc_stream *s, *outer;
	struct anyc_group g;
	char port[8];

	CHECK_OK(anyc_tcp_listen(&c.l, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_listener_attribute(c.l, &anyc_attribute_local_address, &a, sizeof a));
	snprintf(port, sizeof port, "%u", anyc_address_port(&a));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &c));
	CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", port, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_local_address, &direct, sizeof direct));
	outer = wrap(wrap(s, &colour, 1), &other_colour, 2);
	CHECK_OK(anyc_stream_attribute(outer, &anyc_attribute_local_address, &a, sizeof a));
	CHECK_INT(anyc_address_port(&a), ==, anyc_address_port(&direct));
	CHECK_RC(anyc_stream_attribute(outer, &weight, &(double){ 0 }, sizeof(double)),
		 ANYC_ENOATTR);
	anyc_stream_free(outer);
	anyc_stream_free(c.s);
	anyc_listener_free(c.l);
}

/* SPDX-License-Identifier: MIT */
/* One stream of objects of two: what is received comes from one, what is sent goes to the other. */
#include <errno.h>

#include <anyc/object.h>

#include "calls.h"

struct staple {
	struct anyc_object_stream stream;
	struct anyc_object_stream *receives, *sends; /* NULL once freed */
	size_t largest;
};

static struct staple *staple_of(struct anyc_object_stream *s)
{
	return ANYC__CONTAINER(s, struct staple, stream);
}

static int staple_receive(struct anyc_object_stream *s, void *buf, size_t size, unsigned flags)
{
	return anyc_object_receive(staple_of(s)->receives, buf, size, flags);
}

static int staple_send(struct anyc_object_stream *s, const void *data, size_t size, unsigned flags)
{
	return anyc_object_send(staple_of(s)->sends, data, size, flags);
}

/* Nothing else comes from it, so its close is an end; it would close in a cancelled scope. */
static int staple_send_eof(struct anyc_object_stream *s)
{
	int rc = anyc_checkpoint_if_cancelled();

	return rc != 0 ? rc : anyc_object_stream_close(staple_of(s)->sends);
}

/* Both, whatever becomes of the first; its error is the one that is returned. */
static int staple_close(struct anyc_object_stream *s, unsigned flags)
{
	struct staple *p = staple_of(s);
	struct anyc_object_stream *receives = p->receives, *sends = p->sends;
	int first, second;

	if ((flags & ANYC_NOWAIT) != 0) {
		p->receives = p->sends = NULL;
		anyc_object_stream_free(sends);
		anyc_object_stream_free(receives);
		return 0;
	}
	first = anyc_object_stream_close(sends);
	second = anyc_object_stream_close(receives);
	return first != 0 ? first : second;
}

static void staple_free(struct anyc_object_stream *s)
{
	struct staple *p = staple_of(s);

	anyc_object_stream_free(p->sends);
	anyc_object_stream_free(p->receives);
	anyc__free(p);
}

static int staple_attribute(struct anyc_object_stream *s, const struct anyc_attribute *attribute,
			    void *out)
{
	struct staple *p = staple_of(s);
	int rc = anyc_object_stream_attribute(p->receives, attribute, out, attribute->size);

	if (rc == ANYC_ENOATTR)
		rc = anyc_object_stream_attribute(p->sends, attribute, out, attribute->size);
	return rc;
}

static size_t staple_largest(const struct anyc_object_stream *s)
{
	return ((const struct staple *)(const void *)s)->largest;
}

/* What comes may be of another size than what goes: the larger one. */
static size_t larger(const struct anyc_object_stream *one, const struct anyc_object_stream *other)
{
	size_t a = anyc_object_stream_largest(one), b = anyc_object_stream_largest(other);

	return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

#define STAPLE_OPS(reliable_) \
	{ \
		.size = sizeof(struct anyc_object_stream_ops), .name = "stapled", \
		.reliable = (reliable_), .receive = staple_receive, .send = staple_send, \
		.send_eof = staple_send_eof, .close = staple_close, .free = staple_free, \
		.attribute = staple_attribute, .largest = staple_largest, \
	}
static const struct anyc_object_stream_ops staple_ops[2] = { STAPLE_OPS(false), STAPLE_OPS(true) };

int anyc_object_stream_staple(struct anyc_object_stream **out, struct anyc_object_stream *receives,
			      struct anyc_object_stream *sends)
{
	struct staple *p;
	unsigned both;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || receives == NULL || sends == NULL || receives == sends)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_object_stream_staple: it takes two streams, one to "
				    "receive from and one to send to, and a place");
	p = anyc__alloc(sizeof *p);
	if (p == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_object_stream_staple: no memory");
	p->receives = receives;
	p->sends = sends;
	p->largest = larger(receives, sends);
	both = anyc_object_stream_abilities(receives) & anyc_object_stream_abilities(sends);
	anyc_object_stream_init(&p->stream, &staple_ops[(both & ANYC_OBJECTS_RELIABLE) != 0]);
	*out = &p->stream;
	return 0;
}

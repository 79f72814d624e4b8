/* SPDX-License-Identifier: MIT */
/* The datagrams of a connected socket as a stream of objects. */
#include <errno.h>

#include <anyc/object.h>

#include "calls.h"
#include "datagram.h"

struct of_datagrams {
	struct anyc_object_stream stream;
	struct anyc_datagram *datagrams;
};

static struct anyc_datagram *below(struct anyc_object_stream *s)
{
	return ANYC__CONTAINER(s, struct of_datagrams, stream)->datagrams;
}

static int datagrams_receive(struct anyc_object_stream *s, void *buf, size_t size, unsigned flags)
{
	struct anyc_message m = { .data = buf, .size = size };
	int rc;

	if ((flags & ANYC_NOWAIT) == 0)
		return anyc_datagram_receive(below(s), buf, size);
	rc = anyc__datagram_check_apart(below(s), flags);
	if (rc == 0)
		rc = anyc_datagram_receive_many(below(s), &m, 1, flags);
	return rc == 1 ? (int)m.length : rc;
}

static int datagrams_send(struct anyc_object_stream *s, const void *data, size_t size,
			  unsigned flags)
{
	/* It is only read. */
	struct anyc_message m = { .data = (void *)(uintptr_t)data, .size = size };
	int rc;

	if ((flags & ANYC_NOWAIT) == 0)
		return anyc_datagram_send(below(s), data, size);
	rc = anyc_datagram_send_many(below(s), &m, 1, flags);
	return rc == 1 ? 0 : rc;
}

/* It closes at once in either case. */
static int datagrams_close(struct anyc_object_stream *s, unsigned flags)
{
	(void)flags;
	if (anyc__datagram_elsewhere(below(s)))
		return anyc__refuse_elsewhere("object close");
	anyc_datagram_free(below(s));
	ANYC__CONTAINER(s, struct of_datagrams, stream)->datagrams = NULL;
	return 0;
}

static void datagrams_free(struct anyc_object_stream *s)
{
	anyc__free(s);
}

static int datagrams_attribute(struct anyc_object_stream *s, const struct anyc_attribute *attribute,
			       void *out)
{
	return anyc_datagram_attribute(below(s), attribute, out, attribute->size);
}

static const struct anyc_object_stream_ops datagrams_ops = {
	.size = sizeof datagrams_ops,
	.name = "of datagrams",
	.receive = datagrams_receive,
	.send = datagrams_send,
	.close = datagrams_close,
	.free = datagrams_free,
	.attribute = datagrams_attribute,
};

int anyc_object_stream_of_datagrams(struct anyc_object_stream **out,
				    struct anyc_datagram *datagrams)
{
	struct of_datagrams *d;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || datagrams == NULL)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_object_stream_of_datagrams: an argument is NULL");
	d = anyc__alloc(sizeof *d);
	if (d == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_object_stream_of_datagrams: no memory");
	d->datagrams = datagrams;
	anyc_object_stream_init(&d->stream, &datagrams_ops);
	*out = &d->stream;
	return 0;
}

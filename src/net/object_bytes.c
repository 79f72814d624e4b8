/* SPDX-License-Identifier: MIT */
/*
 * A byte stream over a stream of objects.
 *
 * Rule: an object goes straight to the caller if there is room for the largest; else into the
 * buffer, from which it is given out before the next one is received.
 */
#include <errno.h>

#include <anyc/object.h>

#include "calls.h"

struct bytes {
	struct anyc_stream stream;
	struct anyc_object_stream *objects; /* NULL once freed */
	size_t largest;
	size_t start, end; /* what the buffer holds */
	unsigned char buffer[];
};

static struct bytes *bytes_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct bytes, stream);
}

static int give(struct bytes *b, void *buf, size_t size)
{
	size_t n = b->end - b->start < size ? b->end - b->start : size;

	memcpy(buf, b->buffer + b->start, n);
	b->start += n;
	return (int)n;
}

/* An object's length, 0 for the end, or an error; it is not 0 for an object without bytes. */
static int next_object(struct bytes *b, void *buf, size_t size, unsigned flags)
{
	int n;

	do {
		if (b->objects == NULL)
			return anyc_fail(ANYC_ECLOSED, 0, "receive: another task has closed the "
							  "stream");
		n = anyc_object_receive(b->objects, buf, size, flags);
	} while (n == 0);
	if (n > 0 && (size_t)n > b->largest)
		return anyc_fail(ANYC_EBROKEN, EMSGSIZE,
				 "receive: an object of %d bytes came, and %zu are the most", n,
				 b->largest);
	return n == ANYC_EEOF ? 0 : n;
}

static int bytes_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct bytes *b = bytes_of(s);
	int n;

	if (b->start < b->end) {
		n = anyc__checkpoint_only(flags);
		return n != 0 ? n : give(b, buf, size);
	}
	if (size >= b->largest)
		return next_object(b, buf, size, flags);
	n = next_object(b, b->buffer, b->largest, flags);
	if (n <= 0)
		return n;
	b->start = 0;
	b->end = (size_t)n;
	return give(b, buf, size);
}

static int bytes_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
			   unsigned flags)
{
	struct bytes *b = bytes_of(s);
	size_t n;
	int rc;

	for (; count > 1 && iov->iov_len == 0; count--)
		iov++;
	n = iov->iov_len < b->largest ? iov->iov_len : b->largest;
	rc = anyc_object_send(b->objects, iov->iov_base, n, flags);
	return rc == 0 ? (int)n : rc;
}

static int bytes_send_eof(struct anyc_stream *s)
{
	return anyc_object_send_eof(bytes_of(s)->objects);
}

static int bytes_close(struct anyc_stream *s, unsigned flags)
{
	struct bytes *b = bytes_of(s);
	struct anyc_object_stream *objects = b->objects;

	if ((flags & ANYC_NOWAIT) == 0)
		return anyc_object_stream_close(objects);
	b->objects = NULL;
	anyc_object_stream_free(objects);
	return 0;
}

static void bytes_free(struct anyc_stream *s)
{
	struct bytes *b = bytes_of(s);

	anyc_object_stream_free(b->objects);
	anyc__free(b);
}

static int bytes_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	return anyc_object_stream_attribute(bytes_of(s)->objects, attribute, out, attribute->size);
}

static const struct anyc_stream_ops bytes_ops = {
	.size = sizeof bytes_ops,
	.name = "byte (of objects)",
	.receive = bytes_receive,
	.send_some = bytes_send_some,
	.send_eof = bytes_send_eof,
	.close = bytes_close,
	.free = bytes_free,
	.attribute = bytes_attribute,
};

int anyc_stream_of_objects(struct anyc_stream **out, struct anyc_object_stream *objects,
			   size_t largest)
{
	struct bytes *b;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || objects == NULL)
		return anyc__misuse(ANYC_EINVAL, "anyc_stream_of_objects: an argument is NULL");
	if ((anyc_object_stream_abilities(objects) & ANYC_OBJECTS_RELIABLE) == 0)
		return anyc__misuse(ANYC_EINVAL, "anyc_stream_of_objects: objects that may be lost "
						 "make no stream of bytes");
	if (largest == 0)
		largest = anyc_object_stream_largest(objects);
	if (largest == 0 || largest > ANYC_IO_MAX)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_stream_of_objects: say how many bytes an object may have "
				    "(1 to %d)",
				    ANYC_IO_MAX);
	b = anyc__alloc(sizeof *b + largest);
	if (b == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_stream_of_objects: no memory");
	b->objects = objects;
	b->largest = largest;
	anyc_stream_init(&b->stream, &bytes_ops);
	*out = &b->stream;
	return 0;
}

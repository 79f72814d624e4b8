/* SPDX-License-Identifier: MIT */
/*
 * A stream with a buffered reader of its own.  A task inside the reader counts as one inside the
 * stream, so the reader lives until it has returned.
 */
#include <errno.h>

#include <anyc/streams.h>

#include "calls.h"

struct buffered {
	struct anyc_stream stream;
	struct anyc_stream *below;
	struct anyc_reader reader;
};

static struct buffered *buffered_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct buffered, stream);
}

static int buffered_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct anyc_reader *r = &buffered_of(s)->reader;

	if ((flags & ANYC_NOWAIT) != 0)
		return anyc__reader_take_nowait(r, buf, size);
	return anyc_reader_receive(r, buf, size);
}

static int buffered_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
			      unsigned flags)
{
	return anyc_stream_send_some(buffered_of(s)->below, iov, count, flags);
}

static int buffered_send_file(struct anyc_stream *s, int fd, int64_t offset, size_t size)
{
	return anyc__stream_send_file_some(buffered_of(s)->below, fd, offset, size);
}

static int buffered_send_eof(struct anyc_stream *s)
{
	return anyc_stream_send_eof(buffered_of(s)->below);
}

static int buffered_close(struct anyc_stream *s, unsigned flags)
{
	struct buffered *b = buffered_of(s);
	int rc = anyc__close_below(&b->below, flags);

	anyc_reader_free(&b->reader);
	return rc;
}

static void buffered_free(struct anyc_stream *s)
{
	struct buffered *b = buffered_of(s);

	anyc_stream_free(b->below);
	anyc__free(b);
}

static int buffered_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute,
			      void *out)
{
	return anyc_stream_attribute(buffered_of(s)->below, attribute, out, attribute->size);
}

static int buffered_move(struct anyc_stream *s)
{
	return anyc_stream_move(buffered_of(s)->below);
}

static const struct anyc_stream_ops buffered_ops = {
	.size = sizeof buffered_ops,
	.name = "buffered",
	.receive = buffered_receive,
	.send_some = buffered_send_some,
	.send_eof = buffered_send_eof,
	.close = buffered_close,
	.free = buffered_free,
	.attribute = buffered_attribute,
	.send_file = buffered_send_file,
	.move = buffered_move,
};

int anyc_buffered_stream(struct anyc_stream **out, struct anyc_stream *below)
{
	struct buffered *b;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || below == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_buffered_stream: an argument is NULL");
	b = anyc__alloc(sizeof *b);
	if (b == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_buffered_stream: no memory");
	b->below = below;
	anyc_reader_init(&b->reader, below);
	b->reader.owner_ = &b->stream;
	anyc_stream_init(&b->stream, &buffered_ops);
	*out = &b->stream;
	return 0;
}

struct anyc_reader *anyc_buffered_reader(struct anyc_stream *s)
{
	return s != NULL && s->ops_ == &buffered_ops ? &buffered_of(s)->reader : NULL;
}

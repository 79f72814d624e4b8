/* SPDX-License-Identifier: MIT */
/*
 * Streams of objects: what is the same for all of them, above struct anyc_object_stream_ops.
 *
 * Rule: the memory goes when the stream was freed and the last call inside has returned: nothing
 * touches the stream after leave().
 */
#include <anyc/object.h>

#include "calls.h"

void anyc_object_stream_init(struct anyc_object_stream *s, const struct anyc_object_stream_ops *ops)
{
	memset(s, 0, sizeof *s);
	s->ops_ = ops;
	anyc__count_streams(1);
}

static void leave(struct anyc_object_stream *s)
{
	if (--s->inside_ > 0 || !s->freed_)
		return;
	anyc__count_streams(-1);
	s->ops_->free(s);
}

/* 0, or the refusal of a call on a stream that is closed, or does not go this way. */
static int check(const struct anyc_object_stream *s, bool able, unsigned flags, const char *call)
{
	if (s->closed_)
		return anyc__refuse_state(flags, ANYC_ECLOSED, 0,
					  "%s: the stream was closed on this side", call);
	if (!able)
		return anyc__refuse_state(flags, ANYC_ENOTSUP, 0,
					  "%s: a stream of objects, %s, cannot do it", call,
					  s->ops_->name);
	return 0;
}

int anyc_object_receive(struct anyc_object_stream *s, void *buf, size_t size, unsigned flags)
{
	int rc;

	if (s == NULL || (buf == NULL && size != 0) || size > ANYC_IO_MAX)
		return anyc__refuse_arguments(flags, "object receive: there is no stream, or no "
						     "place for an object");
	rc = check(s, s->ops_->receive != NULL, flags, "object receive");
	if (rc != 0)
		return rc;
	s->inside_++;
	rc = s->ops_->receive(s, buf, size, flags);
	leave(s);
	return rc;
}

int anyc_object_send(struct anyc_object_stream *s, const void *data, size_t size, unsigned flags)
{
	int rc;

	if (s == NULL || (data == NULL && size != 0) || size > ANYC_IO_MAX)
		return anyc__refuse_arguments(flags,
					      "object send: there is no stream, or no object");
	rc = check(s, s->ops_->send != NULL, flags, "object send");
	if (rc == 0 && s->eof_sent_)
		rc = anyc__refuse_state(flags, ANYC_ECLOSED, 0,
					"object send: sending was ended by anyc_object_send_eof()");
	if (rc != 0)
		return rc;
	s->inside_++;
	rc = s->ops_->send(s, data, size, flags);
	leave(s);
	return rc;
}

int anyc_object_send_eof(struct anyc_object_stream *s)
{
	int rc;

	if (s == NULL)
		return anyc__refuse_arguments(0, "object send_eof: the stream is NULL");
	if (s->eof_sent_ && !s->closed_)
		return anyc__checkpoint_only(0);
	rc = check(s, s->ops_->send_eof != NULL, 0, "object send_eof");
	if (rc != 0)
		return rc;
	s->inside_++;
	rc = s->ops_->send_eof(s);
	if (rc == 0) /* another task may have ended it meanwhile */
		s->eof_sent_ = true;
	leave(s);
	return rc;
}

/* Refused, as what is below is another thread's, it stays open. */
static int close_open(struct anyc_object_stream *s, unsigned flags)
{
	int rc;

	s->closed_ = true;
	rc = s->ops_->close(s, flags);
	s->closed_ = rc != ANYC_ETHREAD;
	return rc;
}

int anyc_object_stream_close(struct anyc_object_stream *s)
{
	struct anyc__closing closing;
	int rc = 0;

	if (s == NULL)
		return anyc__refuse_arguments(0, "object close: the stream is NULL");
	if (!anyc__closing_begin(&closing))
		return closing.rc;
	s->inside_++;
	if (!s->closed_)
		rc = close_open(s, closing.flags);
	leave(s);
	return anyc__closing_end(&closing, rc);
}

void anyc_object_stream_free(struct anyc_object_stream *s)
{
	struct anyc__kept kept;

	if (s == NULL || s->freed_)
		return;
	anyc__keep(&kept);
	s->inside_++;
	if (!s->closed_)
		ANYC_IGNORE(close_open(s, ANYC_NOWAIT));
	s->freed_ = s->closed_;
	leave(s);
	anyc__restore(&kept);
}

int anyc_object_stream_attribute(struct anyc_object_stream *s,
				 const struct anyc_attribute *attribute, void *out, size_t size)
{
	int rc;

	if (s == NULL || attribute == NULL || out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "attribute: an argument is NULL");
	if (size != attribute->size)
		return anyc_fail(ANYC_EINVAL, 0, "attribute %s has %zu bytes, not %zu",
				 attribute->name, attribute->size, size);
	memset(out, 0, size);
	rc = check(s, true, ANYC_NOWAIT, "attribute");
	if (rc != 0)
		return rc;
	if (s->ops_->attribute == NULL)
		return anyc_fail(ANYC_ENOATTR, 0, "a stream of objects, %s, has no %s",
				 s->ops_->name, attribute->name);
	rc = s->ops_->attribute(s, attribute, out);
	if (rc != 0)
		memset(out, 0, size); /* whatever the getter has left there */
	return rc;
}

unsigned anyc_object_stream_abilities(const struct anyc_object_stream *s)
{
	return (s->ops_->receive != NULL ? ANYC_OBJECTS_RECEIVE : 0) |
	       (s->ops_->send != NULL ? ANYC_OBJECTS_SEND : 0) |
	       (s->ops_->reliable ? ANYC_OBJECTS_RELIABLE : 0);
}

size_t anyc_object_stream_largest(const struct anyc_object_stream *s)
{
	return s->ops_->largest != NULL ? s->ops_->largest(s) : 0;
}

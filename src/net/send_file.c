/* SPDX-License-Identifier: MIT */
/*
 * Sending a part of a file: by the stream's own operation, or read into a buffer and sent.  Both
 * count by the stream's sent_, so the second goes on where the first has given up.
 */
#include <errno.h>

#include "calls.h"
#include "file_io.h"

struct part {
	int fd;
	int64_t offset;
	size_t size; /* or ANYC_TO_END */
};

/* All was sent that was meant, or not. */
static int file_ended(const struct anyc_stream *s, const struct part *f)
{
	if (f->size == ANYC_TO_END)
		return 0;
	return anyc_fail(ANYC_EINCOMPLETE, 0, "send_file: the file ended after %zu of %zu bytes",
			 s->sent_, f->size);
}

static size_t portion(const struct anyc_stream *s, const struct part *f)
{
	size_t left = f->size - s->sent_;
	uint64_t behind = (uint64_t)(INT64_MAX - f->offset) - s->sent_; /* no file is longer */

	left = left < behind ? left : (size_t)behind;
	return left < ANYC__FILE_PORTION ? left : ANYC__FILE_PORTION;
}

static int send_directly(struct anyc_stream *s, const struct part *f)
{
	while (s->sent_ < f->size) {
		size_t size = portion(s, f);
		int n;

		if (s->closed_)
			return anyc_fail(ANYC_ECLOSED, 0,
					 "send_file: another task has closed the stream");
		n = s->ops_->send_file(s, f->fd, f->offset + (int64_t)s->sent_, size);
		if (n < 0)
			return n;
		if (n == 0)
			return file_ended(s, f);
		if ((size_t)n > size)
			return anyc__misuse(ANYC_EMISUSE,
					    "a %s stream's send_file returned %d for %zu bytes",
					    s->ops_->name, n, size);
		s->sent_ += (size_t)n;
	}
	return 0;
}

static int send_by(struct anyc_stream *s, const struct part *f, void *buf)
{
	int rc = 0;

	while (rc == 0 && s->sent_ < f->size) {
		struct anyc_task *t;

		rc = anyc__enter(&t);
		if (rc == 0)
			rc = anyc__file_read(t, f->fd, buf, portion(s, f),
					     f->offset + (int64_t)s->sent_);
		if (rc == 0)
			return file_ended(s, f);
		if (rc > 0)
			rc = anyc__stream_send_more(s, buf, (size_t)rc);
	}
	return rc;
}

static int send_read(struct anyc_stream *s, const struct part *f)
{
	void *buf = anyc__alloc(portion(s, f));
	int rc;

	if (buf == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "send_file: no memory for a buffer");
	rc = send_by(s, f, buf);
	anyc__free(buf);
	return rc;
}

static bool can_itself(const struct anyc_stream *s)
{
	return ANYC__HAS_OPERATION(s, send_file);
}

int anyc__stream_send_file_some(struct anyc_stream *below, int fd, int64_t offset, size_t size)
{
	int rc = anyc__stream_begin_send(below, "send_file");

	if (rc != 0)
		return rc;
	rc = can_itself(below) ? below->ops_->send_file(below, fd, offset, size) : ANYC_ENOTSUP;
	return anyc__stream_end_send(below, rc, "send_file");
}

int anyc_stream_send_file(struct anyc_stream *s, int fd, int64_t offset, size_t size)
{
	const struct part f = { .fd = fd, .offset = offset, .size = size };
	int rc;

	if (s == NULL || fd < 0 || offset < 0)
		return anyc__refuse_arguments(0, "send_file: the %s",
					      s == NULL ? "stream is NULL"
					      : fd < 0	? "descriptor is negative"
							: "offset is negative");
	if (size != ANYC_TO_END && size > (size_t)(INT64_MAX - offset))
		return anyc__refuse_arguments(0, "send_file: no file is that long");
	rc = anyc__stream_begin_send(s, "send_file");
	if (rc != 0)
		return rc;
	if (size > 0)
		rc = can_itself(s) ? send_directly(s, &f) : ANYC_ENOTSUP;
	if (rc == ANYC_ENOTSUP)
		rc = send_read(s, &f);
	rc = anyc__stream_end_send(s, rc, "send_file");
	return size > 0 ? rc : anyc__checkpoint_only(0);
}

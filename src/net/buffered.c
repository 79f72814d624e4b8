/* SPDX-License-Identifier: MIT */
/*
 * The buffered reader: a stream by exact amounts and by delimiters.
 *
 * Rules
 *  - What came from the stream is in the buffer until a call succeeds with it, so errors and
 *    cancellations lose nothing.
 *  - The buffer grows with what has arrived, by doubling, never beyond what the call asked for:
 *    a peer that announces much makes nobody allocate it.
 *  - A search goes on where it left off: the bytes of a long line are looked at once.
 *  - While a task is inside, the buffer is not freed: free then leaves that to the task.
 */
#include <errno.h>

#include "calls.h"

#define CHUNK ((size_t)4096) /* the first size of a buffer; receives of more go past it */
#define MAGIC ((uintptr_t)0x616e79635f726472)

void anyc_reader_init(struct anyc_reader *r, struct anyc_stream *stream)
{
	memset(r, 0, sizeof *r);
	r->stream_ = stream;
	r->magic_ = (uintptr_t)r ^ MAGIC;
}

static bool is_reader(const struct anyc_reader *r)
{
	return r != NULL && r->magic_ == ((uintptr_t)r ^ MAGIC);
}

static void drop_data(struct anyc_reader *r)
{
	anyc__free(r->data_);
	r->data_ = NULL;
	r->start_ = r->end_ = r->capacity_ = 0;
}

void anyc_reader_free(struct anyc_reader *r)
{
	int os_errno = errno;

	if (!is_reader(r))
		return;
	r->closed_ = true;
	if (!r->busy_)
		drop_data(r);
	errno = os_errno;
}

static size_t held(const struct anyc_reader *r)
{
	return r->end_ - r->start_;
}

/* ------------------------------------------------------------------------------ the buffer */

static int grow(struct anyc_reader *r, size_t capacity)
{
	unsigned char *data = anyc__resize(r->data_, capacity);

	if (data == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "reader: no memory for a buffer of %zu bytes",
				 capacity);
	r->data_ = data;
	r->capacity_ = capacity;
	return 0;
}

/* Moves what is held to the front. */
static void compact(struct anyc_reader *r)
{
	if (r->start_ == 0)
		return;
	memmove(r->data_, r->data_ + r->start_, held(r));
	r->end_ = held(r);
	r->start_ = 0;
}

/* Makes room behind what is held; the buffer grows to `most` at most, which is more than that. */
static int make_room(struct anyc_reader *r, size_t most)
{
	size_t capacity = r->capacity_ * 2;

	if (held(r) == 0)
		r->start_ = r->end_ = 0;
	/* Less than a quarter at the end is not worth a call to the kernel. */
	if (r->capacity_ - r->end_ > r->capacity_ / 4)
		return 0;
	compact(r);
	if (r->capacity_ - r->end_ > r->capacity_ / 4)
		return 0;
	if (most < CHUNK)
		most = CHUNK;
	if (capacity < CHUNK)
		capacity = CHUNK;
	if (capacity > most || capacity < r->capacity_)
		capacity = most;
	if (capacity > r->capacity_)
		return grow(r, capacity);
	return 0;
}

static int freed_meanwhile(void)
{
	return anyc_fail(ANYC_ECLOSED, 0, "reader: another task has freed it");
}

/* Receives once into the buffer: the number of bytes, 0 at the end, or an error. */
static int fill(struct anyc_reader *r, size_t most)
{
	int n = make_room(r, most);

	if (n == 0)
		n = anyc_stream_receive(r->stream_, r->data_ + r->end_, r->capacity_ - r->end_);
	if (r->closed_)
		return freed_meanwhile();
	if (n > 0)
		r->end_ += (size_t)n;
	return n;
}

static void take(struct anyc_reader *r, size_t n)
{
	r->start_ += n;
}

static size_t take_into(struct anyc_reader *r, void *buf, size_t size)
{
	size_t n = held(r) < size ? held(r) : size;

	memcpy(buf, r->data_ + r->start_, n);
	take(r, n);
	return n;
}

/* ------------------------------------------------------------------------- begin and end */

/* Refuses, or makes the reader this task's. */
static int begin(struct anyc_reader *r, bool arguments, const char *call, struct anyc_task **t)
{
	int rc;

	if (!is_reader(r) || r->stream_ == NULL)
		return anyc__refuse_arguments(
			0, "%s: no reader that anyc_reader_init() has made here", call);
	if (!arguments)
		return anyc__refuse_arguments(0, "%s: an argument is NULL or of size 0", call);
	if (r->closed_ || r->stream_->closed_)
		return anyc__refuse_state(0, ANYC_ECLOSED, 0, "%s: the %s was closed on this side",
					  call, r->closed_ ? "reader" : "stream");
	if (r->busy_)
		return anyc__refuse_state(0, ANYC_EBUSY, 0, "%s: another task is reading", call);
	rc = anyc__enter(t);
	if (rc != 0)
		return rc;
	r->busy_ = true;
	if (r->owner_ != NULL)
		anyc__stream_hold(r->owner_);
	return 0;
}

static int end(struct anyc_reader *r, int rc)
{
	struct anyc_stream *owner = r->owner_;

	r->busy_ = false;
	if (r->closed_)
		drop_data(r);
	if (owner != NULL)
		anyc__stream_release(owner); /* and perhaps the reader's memory with it */
	return rc;
}

static int incomplete(size_t have, const char *of)
{
	return anyc_fail(ANYC_EINCOMPLETE, 0, "the stream ended %s: %zu bytes are in the buffer",
			 of, have);
}

/* ------------------------------------------------------------------------------ the calls */

int anyc__reader_take_nowait(struct anyc_reader *r, void *buf, size_t size)
{
	if (r->busy_)
		return anyc_fail(ANYC_EBUSY, 0, "receive: another task is reading");
	if (held(r) > 0)
		return (int)take_into(r, buf, size);
	return anyc_stream_receive_flags(r->stream_, buf, size, ANYC_NOWAIT);
}

int anyc_reader_receive(struct anyc_reader *r, void *buf, size_t size)
{
	struct anyc_task *t;
	int rc = begin(r, buf != NULL && size != 0, "reader receive", &t);

	if (rc != 0)
		return rc;
	if (size > ANYC_IO_MAX)
		size = ANYC_IO_MAX;
	if (held(r) > 0) {
		rc = (int)take_into(r, buf, size);
		anyc__yield(t);
	} else if (size >= CHUNK) {
		rc = anyc_stream_receive(r->stream_, buf, size);
	} else {
		rc = fill(r, CHUNK);
		if (rc > 0)
			rc = (int)take_into(r, buf, size);
	}
	return end(r, rc);
}

static int exactly(struct anyc_reader *r, void *buf, size_t size, struct anyc_task *t)
{
	bool waited = false;

	while (held(r) < size) {
		int n = fill(r, size);

		if (n < 0)
			return n;
		if (n == 0)
			return incomplete(held(r), "before all of it had come");
		waited = true;
	}
	take_into(r, buf, size);
	if (!waited)
		anyc__yield(t);
	return 0;
}

int anyc_reader_exactly(struct anyc_reader *r, void *buf, size_t size)
{
	struct anyc_task *t;
	int rc;

	if (is_reader(r) && r->stream_ != NULL && !r->closed_ && !r->stream_->closed_ && size == 0)
		return anyc__enter_uncancelled(&t);
	rc = begin(r, buf != NULL, "reader exactly", &t);
	return rc != 0 ? rc : end(r, exactly(r, buf, size, t));
}

/* The place of the delimiter in what is held, not before `from`; or SIZE_MAX. */
static size_t find(const struct anyc_reader *r, const void *delimiter, size_t size, size_t from)
{
	const unsigned char *base, *at;

	if (held(r) < size || held(r) - size < from)
		return SIZE_MAX;
	base = r->data_ + r->start_;
	if (size == 1)
		at = memchr(base + from, *(const unsigned char *)delimiter, held(r) - from);
	else
		at = memmem(base + from, held(r) - from, delimiter, size);
	return at != NULL ? (size_t)(at - base) : SIZE_MAX;
}

/* Receives until the delimiter is there; its place goes to *at. */
static int until(struct anyc_reader *r, const void *delimiter, size_t size, size_t max, size_t *at,
		 bool *waited)
{
	size_t from = 0;

	while ((*at = find(r, delimiter, size, from)) == SIZE_MAX) {
		int n;

		/* Its first bytes may be the last that are held. */
		from = held(r) >= size ? held(r) - size + 1 : 0;
		if (held(r) >= max)
			return anyc_fail(ANYC_ENODELIM, 0, "no delimiter within %zu bytes", max);
		n = fill(r, max);
		if (n < 0)
			return n;
		if (n == 0)
			return incomplete(held(r), "before the delimiter");
		*waited = true;
	}
	return 0;
}

int anyc_reader_until(struct anyc_reader *r, const void *delimiter, size_t delimiter_size,
		      size_t max, const char **out, size_t *length)
{
	bool arguments = delimiter != NULL && delimiter_size != 0 && out != NULL && length != NULL;
	bool waited = false;
	struct anyc_task *t;
	size_t at;
	int rc;

	if (out != NULL)
		*out = NULL;
	if (length != NULL)
		*length = 0;
	rc = begin(r, arguments, "reader until", &t);
	if (rc != 0)
		return rc;
	rc = until(r, delimiter, delimiter_size, max, &at, &waited);
	if (rc == 0 && !waited)
		anyc__yield(t);
	if (rc == 0 && r->closed_)
		rc = freed_meanwhile();
	if (rc == 0) {
		*out = (const char *)r->data_ + r->start_;
		*length = at;
		take(r, at + delimiter_size);
	}
	return end(r, rc);
}

size_t anyc_reader_peek(const struct anyc_reader *r, const char **out)
{
	bool any = is_reader(r) && !r->closed_ && held(r) > 0;

	if (out != NULL)
		*out = any ? (const char *)r->data_ + r->start_ : NULL;
	return any ? held(r) : 0;
}

int anyc_reader_feed(struct anyc_reader *r, const void *data, size_t size)
{
	int rc = 0;

	if (!is_reader(r))
		return anyc_fail(ANYC_EINVAL, 0,
				 "reader feed: no reader that anyc_reader_init() has made here");
	if (data == NULL && size > 0)
		return anyc_fail(ANYC_EINVAL, 0, "reader feed: the data is NULL");
	if (r->closed_)
		return anyc_fail(ANYC_ECLOSED, 0, "reader feed: the reader was freed");
	if (r->busy_)
		return anyc_fail(ANYC_EBUSY, 0, "reader feed: a task is reading");
	if (size > SIZE_MAX / 4 - held(r))
		return anyc_fail(-ENOMEM, ENOMEM, "reader feed: more than memory");
	if (r->capacity_ - r->end_ < size)
		compact(r);
	if (r->capacity_ - r->end_ < size)
		rc = grow(r, held(r) + size > 2 * r->capacity_ ? held(r) + size : 2 * r->capacity_);
	if (rc != 0 || size == 0)
		return rc;
	memcpy(r->data_ + r->end_, data, size);
	r->end_ += size;
	return 0;
}

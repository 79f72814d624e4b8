/* SPDX-License-Identifier: MIT */
/*
 * Byte streams: what is the same for all of them, above struct anyc_stream_ops.
 *
 * Rules
 *  - An operation is called with its direction held, on an open stream; so it meets neither bad
 *    arguments nor a second task.  It refuses calls outside a task itself; whoever does not get
 *    to it goes through calls.h, which refuses the same.
 *  - Closed wins over busy, busy over broken.  A clean end stays the end, whatever breaks later.
 *  - A failed send leaves receiving alone until nothing is left; an end then is no clean one.
 *  - The memory goes when the stream was freed and the last call inside has returned: nothing
 *    touches the stream after anyc__leave().
 */
#include <errno.h>
#include <limits.h>

#include "calls.h"

/* Pieces that one send_some takes of a long list. */
#define PIECES 16

void anyc_stream_init(struct anyc_stream *s, const struct anyc_stream_ops *ops)
{
	memset(s, 0, sizeof *s);
	s->ops_ = ops;
	anyc__count_streams(1);
}

static void leave(struct anyc_stream *s)
{
	if (ANYC__LIKELY(--s->inside_ > 0 || !s->freed_))
		return;
	anyc__count_streams(-1);
	s->ops_->free(s);
}

/* ------------------------------------------------------------------------------- failures */

static int refuse_closed(unsigned flags, const char *call)
{
	return anyc__refuse_state(flags, ANYC_ECLOSED, 0, "%s: the stream was closed on this side",
				  call);
}

/* See anyc__attribute_elsewhere. */
static int elsewhere(struct anyc_stream *s)
{
	int rc = 0;

	/* On its way here it is still the other loop's, and this one's task is inside. */
	if (s->moving_ || s->ops_->attribute == NULL ||
	    s->ops_->attribute(s, &anyc__attribute_elsewhere, &rc) != 0)
		return 0;
	return rc;
}

static int refuse_broken(const struct anyc_stream *s, unsigned flags, const char *call)
{
	int os_errno = s->broken_ - 1;
	struct anyc__words w;

	return anyc__refuse_state(flags, ANYC_EBROKEN, os_errno, "%s: the connection is broken%s%s",
				  call, os_errno != 0 ? ": " : "",
				  os_errno != 0 ? anyc__words(&w, -os_errno) : "");
}

static int refuse_direction(const struct anyc_stream *s, unsigned flags, const char *call)
{
	return anyc__refuse_state(flags, ANYC_ENOTSUP, 0, "%s: a %s stream goes the other way only",
				  call, s->ops_->name);
}

/* An operation failed: what is remembered of it, and what the caller gets. */
static int failed(struct anyc_stream *s, int rc, const char *call)
{
	if (rc != ANYC_EBROKEN)
		return rc;
	if (s->closed_)
		return anyc_fail(ANYC_ECLOSED, 0, "%s: another task has closed the stream", call);
	if (s->broken_ == 0)
		s->broken_ = anyc_error_errno(rc) + 1;
	return rc;
}

/* ------------------------------------------------------------------------------- receiving */

static int cannot_receive(struct anyc_stream *s, unsigned flags)
{
	if (s->closed_)
		return refuse_closed(flags, "receive");
	if (s->receiving_)
		return anyc__refuse_busy(flags, elsewhere(s), "receive", "direction");
	if (s->ended_)
		return anyc__checkpoint_only(flags);
	if (s->ops_->receive == NULL)
		return refuse_direction(s, flags, "receive");
	return refuse_broken(s, flags, "receive");
}

/* The end, or a failure. */
static int received_nothing(struct anyc_stream *s, int rc)
{
	if (rc == 0 && s->broken_ != 0) {
		s->cut_ = true;
		return refuse_broken(s, ANYC_NOWAIT, "receive");
	}
	if (rc == 0)
		s->ended_ = true;
	else
		s->cut_ = rc == ANYC_EBROKEN && !s->closed_;
	return failed(s, rc, "receive");
}

static int bad_receive(const struct anyc_stream *s, const void *buf, unsigned flags)
{
	const char *wrong = s == NULL	  ? "the stream is NULL"
			    : buf == NULL ? "the buffer is NULL"
					  : "the buffer has room for 0 bytes";

	if ((flags & ~(unsigned)ANYC_NOWAIT) != 0)
		wrong = "no such flag";
	return anyc__refuse_arguments(flags, "receive: %s", wrong);
}

/* One call of the operation, which may be somebody else's: its answer is looked at. */
static inline int receive_some(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	int rc = s->ops_->receive(s, buf, size, flags);

	if (ANYC__UNLIKELY(rc > 0 && (size_t)rc > size))
		return anyc__misuse(ANYC_EMISUSE, "a %s stream's receive returned %d for %zu bytes",
				    s->ops_->name, rc, size);
	return rc;
}

int anyc_stream_receive_flags(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	int rc;

	if (ANYC__UNLIKELY(s == NULL || buf == NULL || size == 0 ||
			   (flags & ~(unsigned)ANYC_NOWAIT) != 0))
		return bad_receive(s, buf, flags);
	if (ANYC__UNLIKELY(s->closed_ || s->receiving_ || s->ended_ || s->cut_ ||
			   s->ops_->receive == NULL))
		return cannot_receive(s, flags);
	s->receiving_ = true;
	s->inside_++;
	rc = receive_some(s, buf, size < ANYC_IO_MAX ? size : ANYC_IO_MAX, flags);
	s->receiving_ = false;
	if (ANYC__UNLIKELY(rc <= 0))
		rc = received_nothing(s, rc);
	leave(s);
	return rc;
}

int anyc__stream_receiving(struct anyc_stream *s, int (*op)(struct anyc_stream *s, void *arg),
			   void *arg)
{
	int rc;

	if (s->closed_ || s->receiving_ || s->ended_ || s->cut_)
		return cannot_receive(s, 0);
	s->receiving_ = true;
	s->inside_++;
	rc = op(s, arg);
	s->receiving_ = false;
	if (rc <= 0)
		rc = received_nothing(s, rc);
	leave(s);
	return rc;
}

int anyc_stream_receive(struct anyc_stream *s, void *buf, size_t size)
{
	return anyc_stream_receive_flags(s, buf, size, 0);
}

/* --------------------------------------------------------------------------------- sending */

static int cannot_send(struct anyc_stream *s, unsigned flags, const char *call)
{
	if (s->closed_)
		return refuse_closed(flags, call);
	if (s->sending_)
		return anyc__refuse_busy(flags, elsewhere(s), call, "direction");
	if (s->eof_sent_)
		return anyc__refuse_state(flags, ANYC_ECLOSED, 0,
					  "%s: sending was ended by anyc_stream_send_eof()", call);
	if (s->ops_->send_some == NULL)
		return refuse_direction(s, flags, call);
	return refuse_broken(s, flags, call);
}

static inline bool may_send(const struct anyc_stream *s)
{
	return ANYC__LIKELY(!s->closed_ && !s->sending_ && !s->eof_sent_ && s->broken_ == 0 &&
			    s->ops_->send_some != NULL);
}

/* NULL, or what is wrong with the arguments; *total is the sum of the pieces. */
static const char *bad_pieces(const struct anyc_stream *s, const struct iovec *iov, int count,
			      size_t *total)
{
	int i;

	*total = 0;
	if (s == NULL)
		return "the stream is NULL";
	if (count < 0 || (iov == NULL && count > 0))
		return "the list of pieces is NULL or of negative length";
	for (i = 0; i < count; i++) {
		if (iov[i].iov_base == NULL && iov[i].iov_len > 0)
			return "a piece is NULL";
		if (iov[i].iov_len > SIZE_MAX - *total)
			return "the pieces are longer than memory";
		*total += iov[i].iov_len;
	}
	return NULL;
}

/* Where in a list of pieces. */
struct place {
	const struct iovec *iov;
	int count;
	size_t offset; /* in the first of them */
};

/* The next pieces from there, at most PIECES and ANYC_IO_MAX bytes; their number. */
static int gather(const struct place *at, struct iovec *piece)
{
	size_t offset = at->offset, room = ANYC_IO_MAX;
	int i, n = 0;

	for (i = 0; i < at->count && n < PIECES && room > 0; i++) {
		size_t size = at->iov[i].iov_len - offset;

		size = size < room ? size : room;
		if (size > 0) {
			piece[n].iov_base = (char *)at->iov[i].iov_base + offset;
			piece[n++].iov_len = size;
			room -= size;
		}
		offset = 0;
	}
	return n;
}

static void advance(struct place *at, size_t n)
{
	while (n > 0) {
		size_t left = at->iov->iov_len - at->offset;

		if (n < left) {
			at->offset += n;
			return;
		}
		n -= left;
		at->iov++;
		at->count--;
		at->offset = 0;
	}
}

static size_t sum(const struct iovec *piece, int count)
{
	size_t total = 0;

	while (count-- > 0)
		total += piece[count].iov_len;
	return total;
}

/* As receive_some(). */
static int send_pieces(struct anyc_stream *s, const struct iovec *piece, int count, unsigned flags)
{
	int rc = s->ops_->send_some(s, piece, count, flags);

	if (ANYC__UNLIKELY(rc < 0))
		return failed(s, rc, "send");
	if (ANYC__UNLIKELY(rc == 0 || (size_t)rc > sum(piece, count)))
		return anyc__misuse(ANYC_EMISUSE,
				    "a %s stream's send_some returned %d for %zu bytes",
				    s->ops_->name, rc, sum(piece, count));
	return rc;
}

/* Sends total bytes with the direction held; s->sent_ counts them. */
static int send_all(struct anyc_stream *s, struct place at, size_t total)
{
	ANYC__UNINITIALIZED struct iovec piece[PIECES];
	int rc;

	while (s->sent_ < total) {
		/* Another task may have closed it while the operation yielded. */
		if (ANYC__UNLIKELY(s->closed_))
			return refuse_closed(ANYC_NOWAIT, "send");
		rc = send_pieces(s, piece, gather(&at, piece), 0);
		if (ANYC__UNLIKELY(rc < 0))
			return rc;
		s->sent_ += (size_t)rc;
		advance(&at, (size_t)rc);
	}
	return 0;
}

int anyc_stream_sendv(struct anyc_stream *s, const struct iovec *iov, int count)
{
	struct place at = { .iov = iov, .count = count };
	size_t total;
	const char *wrong = bad_pieces(s, iov, count, &total);
	int rc;

	if (ANYC__UNLIKELY(wrong != NULL))
		return anyc__refuse_arguments(0, "send: %s", wrong);
	rc = anyc__stream_begin_send(s, "send");
	if (ANYC__UNLIKELY(rc != 0))
		return rc;
	if (total > 0)
		rc = send_all(s, at, total);
	s->sending_ = false;
	leave(s);
	return total > 0 ? rc : anyc__checkpoint_only(0);
}

int anyc_stream_send(struct anyc_stream *s, const void *buf, size_t size)
{
	struct iovec iov;

	iov.iov_base = (void *)(uintptr_t)buf; /* it is only read */
	iov.iov_len = size;
	return anyc_stream_sendv(s, &iov, 1);
}

int anyc_stream_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct place at = { .iov = iov, .count = count };
	ANYC__UNINITIALIZED struct iovec piece[PIECES];
	size_t total;
	const char *wrong = bad_pieces(s, iov, count, &total);
	int rc;

	if (wrong == NULL && total == 0)
		wrong = "there is nothing to send";
	if ((flags & ~(unsigned)ANYC_NOWAIT) != 0)
		wrong = "no such flag";
	if (ANYC__UNLIKELY(wrong != NULL))
		return anyc__refuse_arguments(flags, "send_some: %s", wrong);
	if (ANYC__UNLIKELY(!may_send(s)))
		return cannot_send(s, flags, "send_some");
	s->sending_ = true;
	s->inside_++;
	rc = send_pieces(s, piece, gather(&at, piece), flags);
	s->sending_ = false;
	leave(s);
	return rc;
}

int anyc__stream_sending(struct anyc_stream *s, int (*op)(struct anyc_stream *s, void *arg),
			 void *arg, const struct iovec *iov)
{
	struct place rest = { .iov = iov, .count = 1 };
	int rc;

	if (!may_send(s)) {
		if (!s->sending_)
			s->sent_ = 0;
		return cannot_send(s, 0, "send");
	}
	s->sent_ = 0;
	s->sending_ = true;
	s->inside_++;
	rc = op(s, arg);
	if (rc > 0) {
		s->sent_ = (size_t)rc;
		advance(&rest, (size_t)rc);
		rc = send_all(s, rest, iov->iov_len);
	} else {
		rc = failed(s, rc, "send");
	}
	s->sending_ = false;
	leave(s);
	return rc;
}

/* ------------------------------------------------- for others beside this file; see calls.h */

void anyc__stream_hold(struct anyc_stream *s)
{
	s->inside_++;
}

void anyc__stream_release(struct anyc_stream *s)
{
	leave(s);
}

int anyc__stream_begin_send(struct anyc_stream *s, const char *call)
{
	if (ANYC__UNLIKELY(!may_send(s))) {
		/* The count is that of the task that is sending. */
		if (!s->sending_)
			s->sent_ = 0;
		return cannot_send(s, 0, call);
	}
	s->sent_ = 0;
	s->sending_ = true;
	s->inside_++;
	return 0;
}

int anyc__stream_send_more(struct anyc_stream *s, const void *buf, size_t size)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };

	return send_all(s, (struct place){ .iov = &piece, .count = 1 }, s->sent_ + size);
}

int anyc__stream_end_send(struct anyc_stream *s, int rc, const char *call)
{
	s->sending_ = false;
	if (rc < 0)
		rc = failed(s, rc, call);
	leave(s);
	return rc;
}

size_t anyc_stream_sent(const struct anyc_stream *s)
{
	return s != NULL ? s->sent_ : 0;
}

int anyc_stream_send_eof(struct anyc_stream *s)
{
	int rc;

	if (s == NULL)
		return anyc__refuse_arguments(0, "send_eof: the stream is NULL");
	if (s->eof_sent_ && !s->closed_)
		return anyc__checkpoint_only(0);
	if (!may_send(s))
		return cannot_send(s, 0, "send_eof");
	if (s->ops_->send_eof == NULL)
		return anyc__refuse_state(0, ANYC_ENOTSUP, 0, "send_eof: a %s stream cannot do it",
					  s->ops_->name);
	s->sending_ = true;
	s->inside_++;
	rc = s->ops_->send_eof(s);
	s->sending_ = false;
	if (rc == 0)
		s->eof_sent_ = true;
	else
		rc = failed(s, rc, "send_eof");
	leave(s);
	return rc;
}

/* --------------------------------------------------------------------------------- closing */

/* Open, and another thread's loop is at it. */
static bool is_elsewhere(struct anyc_stream *s)
{
	return !s->closed_ && elsewhere(s) == ANYC_ETHREAD;
}

static int close_open(struct anyc_stream *s, unsigned flags)
{
	s->closed_ = true;
	return s->moving_ ? 0 : s->ops_->close(s, flags);
}

int anyc_stream_close(struct anyc_stream *s)
{
	struct anyc__closing closing;
	int rc = 0;

	if (s == NULL)
		return anyc__refuse_arguments(0, "close: the stream is NULL");
	if (!anyc__closing_begin(&closing))
		return closing.rc;
	if (is_elsewhere(s))
		return anyc__refuse_close(&closing);
	s->inside_++;
	if (!s->closed_)
		rc = close_open(s, closing.flags);
	leave(s);
	return anyc__closing_end(&closing, rc);
}

void anyc_stream_free(struct anyc_stream *s)
{
	struct anyc__kept kept;

	if (s == NULL || s->freed_)
		return;
	anyc__keep(&kept);
	if (is_elsewhere(s)) {
		ANYC_IGNORE(anyc__refuse_elsewhere("free"));
	} else {
		s->inside_++;
		if (!s->closed_)
			ANYC_IGNORE(close_open(s, ANYC_NOWAIT));
		s->freed_ = true;
		leave(s);
	}
	anyc__restore(&kept);
}

/* ---------------------------------------------------------------------------------- moving */

/* The stream was idle, so it is nobody's until this ends; one that was closed is closed now. */
static int move(struct anyc_stream *s)
{
	int rc;

	s->moving_ = s->receiving_ = s->sending_ = true;
	s->inside_++;
	rc = s->ops_->move(s);
	s->moving_ = s->receiving_ = s->sending_ = false;
	if (s->closed_) {
		ANYC_IGNORE(s->ops_->close(s, ANYC_NOWAIT));
		rc = anyc_fail(ANYC_ECLOSED, 0, "move: another task has closed the stream");
	}
	leave(s);
	return rc;
}

int anyc_stream_move(struct anyc_stream *s)
{
	if (s == NULL)
		return anyc__refuse_arguments(0, "move: the stream is NULL");
	if (s->closed_)
		return refuse_closed(0, "move");
	if (s->inside_ != 0) /* wherever */
		return anyc__refuse_busy(0, elsewhere(s) == ANYC_EFORKED ? ANYC_EFORKED : 0,
					 "move", "stream");
	if (!ANYC__HAS_OPERATION(s, move))
		return anyc__refuse_state(0, ANYC_ENOTSUP, 0,
					  "move: a %s stream stays with its loop", s->ops_->name);
	return move(s);
}

/* ------------------------------------------------------------------------------ attributes */

int anyc_stream_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out,
			  size_t size)
{
	int rc;

	if (s == NULL || attribute == NULL || out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "attribute: an argument is NULL");
	if (size != attribute->size)
		return anyc_fail(ANYC_EINVAL, 0, "attribute %s has %zu bytes, not %zu",
				 attribute->name, attribute->size, size);
	memset(out, 0, size);
	if (s->closed_)
		return refuse_closed(ANYC_NOWAIT, "attribute");
	if (s->ops_->attribute == NULL)
		return anyc_fail(ANYC_ENOATTR, 0, "a %s stream has no %s", s->ops_->name,
				 attribute->name);
	s->inside_++;
	rc = s->ops_->attribute(s, attribute, out);
	if (rc != 0)
		memset(out, 0, size); /* whatever the getter has left there */
	leave(s);
	return rc;
}

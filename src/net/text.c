/* SPDX-License-Identifier: MIT */
/*
 * Streams of UTF-8.
 *
 * Rules
 *  - What was received and not yet given lies in raw: a cancelled or failed call loses nothing.
 *  - Of what is sent only the bytes that the stream below has accepted move the state on.
 *  - Well-formed is what table 3-7 of the Unicode standard says: no overlong forms, no surrogates,
 *    nothing above U+10FFFF.  A maximal part of a character is what such a sequence begins with.
 */
#include <errno.h>

#include <anyc/streams.h>

#include "calls.h"

#define RAW 4096
/* How far a send looks ahead, at the least and at the most. */
#define AHEAD_LEAST ((size_t)16)
#define AHEAD_MOST  ((size_t)256 << 10)

/* Inside a character: how many bytes are to come, and what the next one may be. */
struct state {
	unsigned char left, low, high;
};

struct text {
	struct anyc_stream stream;
	struct anyc_stream *below;
	bool replace;
	bool ended;	     /* nothing more comes from below */
	bool spoilt;	     /* what comes now is no UTF-8 */
	struct state sent;   /* where the bytes sent so far have ended */
	size_t ahead;	     /* how far the next send looks */
	uint64_t taken;	     /* bytes received that were UTF-8, for the sentence */
	size_t start, end;
	unsigned char raw[RAW];
};

static struct text *text_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct text, stream);
}

/* ---------------------------------------------------------------------------------- UTF-8 */

/* The first byte of a character; false: of none. */
static bool begin_character(struct state *s, unsigned char c)
{
	s->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	s->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	if (c < 0x80)
		s->left = 0;
	else if (c >= 0xc2 && c <= 0xdf)
		s->left = 1;
	else if (c >= 0xe0 && c <= 0xef)
		s->left = 2;
	else if (c >= 0xf0 && c <= 0xf4)
		s->left = 3;
	else
		return false;
	return true;
}

/* One more byte; false: it cannot come here, and the state is as it was. */
static bool step(struct state *s, unsigned char c)
{
	struct state next;

	if (s->left == 0) {
		if (!begin_character(&next, c))
			return false;
		*s = next;
		return true;
	}
	if (c < s->low || c > s->high)
		return false;
	s->left--;
	s->low = 0x80;
	s->high = 0xbf;
	return true;
}

/* How many of the bytes go on from the state; it moves past them. */
static size_t run(struct state *s, const unsigned char *data, size_t size)
{
	size_t n = 0;

	while (n < size && step(s, data[n]))
		n++;
	return n;
}

enum found { WHOLE, CUT_OFF, NONE };

/* The first character of what is there: its length, or that of the maximal part of one. */
static enum found first_character(const unsigned char *data, size_t size, size_t *length)
{
	struct state s = { 0 };
	size_t n = 0;

	do {
		if (!step(&s, data[n])) {
			*length = n > 0 ? n : 1;
			return NONE;
		}
		n++;
	} while (s.left > 0 && n < size);
	*length = n;
	return s.left > 0 ? CUT_OFF : WHOLE;
}

/* ------------------------------------------------------------------------------ receiving */

static int spoilt(const struct text *x)
{
	return anyc_fail(-EILSEQ, EILSEQ, "receive: no UTF-8 after %llu bytes that were",
			 (unsigned long long)x->taken);
}

/* Moves characters from raw to buf; the number of bytes, and whether one had no room. */
static size_t give(struct text *x, unsigned char *buf, size_t size, bool *no_room)
{
	static const unsigned char replacement[3] = { 0xef, 0xbf, 0xbd };
	size_t n = 0;

	*no_room = false;
	while (x->start < x->end && !x->spoilt) {
		const unsigned char *from = x->raw + x->start;
		size_t part, length;
		enum found found = first_character(from, x->end - x->start, &part);

		if (found == CUT_OFF && !x->ended)
			break;
		x->spoilt = found != WHOLE && !x->replace;
		if (x->spoilt)
			break;
		length = found == WHOLE ? part : sizeof replacement;
		*no_room = length > size - n;
		if (*no_room)
			break;
		memcpy(buf + n, found == WHOLE ? from : replacement, length);
		n += length;
		x->start += part;
		x->taken += part;
	}
	return n;
}

/* Receives more into raw: as receive. */
static int fill(struct text *x, unsigned flags)
{
	int n;

	if (x->below == NULL)
		return anyc_fail(ANYC_ECLOSED, 0, "receive: another task has closed the stream");
	memmove(x->raw, x->raw + x->start, x->end - x->start);
	x->end -= x->start;
	x->start = 0;
	n = anyc_stream_receive_flags(x->below, x->raw + x->end, RAW - x->end, flags);
	if (n > 0)
		x->end += (size_t)n;
	x->ended = n == 0;
	return n;
}

static int text_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct text *x = text_of(s);
	bool waited = false, no_room;
	int rc = (flags & ANYC_NOWAIT) != 0 ? 0 : anyc_checkpoint_if_cancelled();

	while (rc == 0) {
		size_t n = give(x, buf, size, &no_room);

		if (n > 0)
			rc = (int)n;
		else if (no_room)
			rc = anyc_fail(ANYC_EINVAL, 0, "receive: no room for a character in %zu "
						       "bytes", size);
		else if (x->spoilt)
			rc = spoilt(x);
		else if (x->ended)
			break;
		else {
			rc = fill(x, flags);
			waited = true;
			rc = rc > 0 ? 0 : rc;
		}
	}
	if (!waited && (flags & ANYC_NOWAIT) == 0 && rc != ANYC_ECANCELED)
		anyc_checkpoint_shielded();
	return rc;
}

/* -------------------------------------------------------------------------------- sending */

/* How many bytes of the pieces are UTF-8, at most `most`; the state moves past them. */
static size_t run_pieces(struct state *s, const struct iovec *iov, int count, size_t most)
{
	size_t total = 0;
	int i;

	for (i = 0; i < count && total < most; i++) {
		size_t size = iov[i].iov_len < most - total ? iov[i].iov_len : most - total;
		size_t n = run(s, iov[i].iov_base, size);

		total += n;
		if (n < size)
			break;
	}
	return total;
}

/* The pieces up to a total of n bytes, the last of which is cut; their number. */
static int cut(struct iovec *piece, const struct iovec *iov, int count, size_t n)
{
	int i;

	for (i = 0; i < count && n > 0; i++) {
		piece[i] = iov[i];
		if (piece[i].iov_len > n)
			piece[i].iov_len = n;
		n -= piece[i].iov_len;
	}
	return i;
}

static int refuse_sending(unsigned flags, const char *what)
{
	return anyc__refuse_state(flags, -EILSEQ, EILSEQ, "%s", what);
}

/*
 * Of n bytes that were looked at, some were taken below.  The rest is looked at again, so a call
 * looks about as far as the last one got, however little that is.
 */
static void look_as_far(struct text *x, size_t n, size_t taken)
{
	x->ahead = taken == n ? x->ahead * 2 : taken * 2;
	if (x->ahead < AHEAD_LEAST)
		x->ahead = AHEAD_LEAST;
	if (x->ahead > AHEAD_MOST)
		x->ahead = AHEAD_MOST;
}

static int text_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct text *x = text_of(s);
	struct state ahead = x->sent;
	struct iovec piece[16];
	size_t n;
	int rc;

	count = count < 16 ? count : 16;
	n = run_pieces(&ahead, iov, count, x->ahead);
	if (n == 0)
		return refuse_sending(flags, "send: the next byte is no UTF-8");
	rc = anyc_stream_send_some(x->below, piece, cut(piece, iov, count, n), flags);
	if (rc > 0) {
		run_pieces(&x->sent, iov, count, (size_t)rc);
		look_as_far(x, n, (size_t)rc);
	}
	return rc;
}

static int text_send_eof(struct anyc_stream *s)
{
	struct text *x = text_of(s);

	if (x->sent.left > 0)
		return refuse_sending(0, "send_eof: in the middle of a character");
	return anyc_stream_send_eof(x->below);
}

/* -------------------------------------------------------------------------------- the rest */

static int text_close(struct anyc_stream *s, unsigned flags)
{
	return anyc__close_below(&text_of(s)->below, flags);
}

static void text_free(struct anyc_stream *s)
{
	struct text *x = text_of(s);

	anyc_stream_free(x->below);
	anyc__free(x);
}

static int text_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	return anyc_stream_attribute(text_of(s)->below, attribute, out, attribute->size);
}

static int text_move(struct anyc_stream *s)
{
	return anyc_stream_move(text_of(s)->below);
}

static const struct anyc_stream_ops text_ops = {
	.size = sizeof text_ops,
	.name = "text",
	.receive = text_receive,
	.send_some = text_send_some,
	.send_eof = text_send_eof,
	.close = text_close,
	.free = text_free,
	.attribute = text_attribute,
	.move = text_move,
};

int anyc_text_stream_sized(struct anyc_stream **out, struct anyc_stream *below,
			   const struct anyc_text_options *options, size_t size)
{
	struct anyc_text_options o;
	struct text *x;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || below == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_text_stream: an argument is NULL");
	anyc__options_read(&o, sizeof o, options, size);
	x = anyc__alloc(sizeof *x);
	if (x == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_text_stream: no memory");
	x->below = below;
	x->replace = o.replace;
	x->ahead = RAW;
	anyc_stream_init(&x->stream, &text_ops);
	*out = &x->stream;
	return 0;
}

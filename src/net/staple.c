/* SPDX-License-Identifier: MIT */
/* One stream of two: what is received comes from one, what is sent goes to the other. */
#include <errno.h>

#include "calls.h"

struct staple {
	struct anyc_stream stream;
	struct anyc_stream *receives, *sends; /* NULL once freed */
};

static struct staple *staple_of(struct anyc_stream *s)
{
	return (struct staple *)(void *)s;
}

static int staple_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	return anyc_stream_receive_flags(staple_of(s)->receives, buf, size, flags);
}

static int staple_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
			    unsigned flags)
{
	return anyc_stream_send_some(staple_of(s)->sends, iov, count, flags);
}

/* By whatever the stream that sends has for it. */
static int staple_send_file(struct anyc_stream *s, int fd, int64_t offset, size_t size)
{
	return anyc__stream_send_file_some(staple_of(s)->sends, fd, offset, size);
}

/* Whatever it is that sends: nothing else comes from it, so its close is an end.  It would close in
 * a cancelled scope, where nothing may be ended. */
static int staple_send_eof(struct anyc_stream *s)
{
	int rc = anyc_checkpoint_if_cancelled();

	return rc != 0 ? rc : anyc_stream_close(staple_of(s)->sends);
}

static void free_both(struct staple *p)
{
	struct anyc_stream *receives = p->receives, *sends = p->sends;

	p->receives = p->sends = NULL;
	anyc_stream_free(sends);
	anyc_stream_free(receives);
}

/* Both, whatever becomes of the first; its error is the one that is returned. */
static int staple_close(struct anyc_stream *s, unsigned flags)
{
	struct staple *p = staple_of(s);
	int first, second;

	if ((flags & ANYC_NOWAIT) != 0) {
		free_both(p);
		return 0;
	}
	first = anyc_stream_close(p->sends);
	second = anyc_stream_close(p->receives);
	return first != 0 ? first : second;
}

static void staple_free(struct anyc_stream *s)
{
	free_both(staple_of(s));
	anyc__free(s);
}

static int staple_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute,
			    void *out)
{
	struct staple *p = staple_of(s);
	int rc = anyc_stream_attribute(p->receives, attribute, out, attribute->size);

	if (rc == ANYC_ENOATTR && !s->eof_sent_)
		rc = anyc_stream_attribute(p->sends, attribute, out, attribute->size);
	return rc;
}

static int staple_move(struct anyc_stream *s)
{
	struct staple *p = staple_of(s);
	int rc = anyc_stream_move(p->receives);

	/* What was ended may be closed. */
	return rc != 0 || s->eof_sent_ ? rc : anyc_stream_move(p->sends);
}

static const struct anyc_stream_ops staple_ops = {
	.size = sizeof staple_ops,
	.name = "stapled",
	.receive = staple_receive,
	.send_some = staple_send_some,
	.send_eof = staple_send_eof,
	.close = staple_close,
	.free = staple_free,
	.attribute = staple_attribute,
	.send_file = staple_send_file,
	.move = staple_move,
};

int anyc_stream_staple(struct anyc_stream **out, struct anyc_stream *receives,
		       struct anyc_stream *sends)
{
	struct staple *p;

	if (out == NULL)
		return anyc__misuse(ANYC_EINVAL, "anyc_stream_staple: there is no place for it");
	*out = NULL;
	if (receives == NULL || sends == NULL || receives == sends)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_stream_staple: it takes two streams, one to receive "
				    "from and one to send to");
	p = anyc__alloc(sizeof *p);
	if (p == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_stream_staple: no memory");
	p->receives = receives;
	p->sends = sends;
	anyc_stream_init(&p->stream, &staple_ops);
	*out = &p->stream;
	return 0;
}

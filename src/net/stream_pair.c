/* SPDX-License-Identifier: MIT */
/*
 * Two connected streams in memory.
 *
 * Rules
 *  - One block holds both ends and both buffers; it goes with the second end.
 *  - Of each direction one task reads and one writes at most, so a line has one waiter at most.
 *    Who changes a direction wakes its line, and who wakes looks again.
 *  - The pair belongs to the loop whose task first uses it.
 */
#include <errno.h>
#include <stdint.h>

#include "calls.h"

#define CAPACITY ((size_t)64 << 10)

/* One direction: a ring of bytes. */
struct way {
	unsigned char *data;
	size_t start, used;
	bool ended;                 /* nothing more will be sent */
	bool deaf;                  /* nobody will receive it */
	struct anyc_waiters_ reader, writer;
};

struct end {
	struct anyc_stream stream;
	struct pair *pair;
	struct way *in, *out;
	bool closed;
};

struct pair {
	struct end end[2];
	struct way way[2];
	size_t capacity;
	uint64_t engine; /* 0: no task has used it yet */
	uint64_t process; /* that made it */
	unsigned ends;   /* not freed yet */
	unsigned char data[];
};

static struct end *end_of(struct anyc_stream *s)
{
	return (struct end *)(void *)s;
}

static void wake(struct anyc_waiters_ *line)
{
	ANYC_IGNORE(anyc__waiters_wake(line, 0));
}

/* -------------------------------------------------------------------------------- the ring */

static size_t put(struct pair *p, struct way *w, const unsigned char *from, size_t size)
{
	size_t at = (w->start + w->used) % p->capacity, room = p->capacity - w->used;
	size_t n = size < room ? size : room, first = p->capacity - at;

	first = n < first ? n : first;
	memcpy(w->data + at, from, first);
	memcpy(w->data, from + first, n - first);
	w->used += n;
	return n;
}

static size_t take(struct pair *p, struct way *w, unsigned char *to, size_t size)
{
	size_t n = size < w->used ? size : w->used, first = p->capacity - w->start;

	first = n < first ? n : first;
	memcpy(to, w->data + w->start, first);
	memcpy(to + first, w->data, n - first);
	w->start = (w->start + n) % p->capacity;
	w->used -= n;
	return n;
}

/* ---------------------------------------------------------------- how every operation goes */

static int refuse_thread(void)
{
	return anyc__misuse(ANYC_ETHREAD, "a stream of a pair is used by a task of another "
			    "thread's loop than the pair's; tasks of one loop share it");
}

/* Without waiting it may be used outside tasks too: by the pair's loop, or where there is none, if
 * nobody waits in the pair. */
static int check_nowait(const struct pair *p)
{
	const struct anyc__engine *e = anyc__current_engine();
	int i, rc = 0;

	if (e != NULL)
		return p->engine == 0 || p->engine == anyc__engine_id(e) ? 0 : refuse_thread();
	for (i = 0; i < 2 && rc == 0; i++) {
		rc = anyc__waiters_check(&p->way[i].reader, "a stream of a pair");
		if (rc == 0)
			rc = anyc__waiters_check(&p->way[i].writer, "a stream of a pair");
	}
	return rc;
}

/* *t: the task, or NULL with ANYC_NOWAIT. */
static int begin(struct anyc_task **t, struct pair *p, unsigned flags)
{
	uint64_t here;
	int rc;

	*t = NULL;
	if ((flags & ANYC_NOWAIT) != 0)
		return check_nowait(p);
	rc = anyc__enter(t);
	if (rc != 0)
		return rc;
	here = anyc__task_engine_id(*t);
	if (p->engine == 0)
		p->engine = here;
	if (ANYC__LIKELY(p->engine == here))
		return 0;
	return refuse_thread();
}

/* How one ends that has moved n bytes, or has nothing to wait for. */
static int done(struct anyc_task *t, bool waited, size_t n)
{
	if (t != NULL)
		anyc__charge(t, n);
	if (t != NULL && !waited)
		anyc__yield(t);
	return (int)n;
}

/* Waits for the line to be woken; 0: look again, and then that was the call's checkpoint. */
static int await(struct end *e, struct anyc_waiters_ *line, struct anyc_task *t, bool *waited,
		 const char *what)
{
	int rc = t == NULL ? ANYC_EWOULDBLOCK : anyc__waiters_wait(line, t, NULL, what);

	*waited = true;
	if (rc == 0 && e->closed)
		return anyc_fail(ANYC_ECLOSED, 0,
				 "another task has closed the stream while this one waited for %s",
				 what);
	return rc;
}

/* -------------------------------------------------------------------------- the operations */

static int pair_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct end *e = end_of(s);
	struct way *in = e->in;
	struct anyc_task *t;
	bool waited = false;
	int rc = begin(&t, e->pair, flags);

	while (rc == 0) {
		if (in->used > 0) {
			size_t n = take(e->pair, in, buf, size);

			wake(&in->writer);
			return done(t, waited, n);
		}
		if (in->ended)
			return done(t, waited, 0);
		rc = await(e, &in->reader, t, &waited, "data");
	}
	return rc;
}

static size_t put_pieces(struct pair *p, struct way *w, const struct iovec *iov, int count)
{
	size_t n = 0;
	int i;

	for (i = 0; i < count && w->used < p->capacity; i++)
		n += put(p, w, iov[i].iov_base, iov[i].iov_len);
	return n;
}

static int pair_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct end *e = end_of(s);
	struct way *out = e->out;
	struct anyc_task *t;
	bool waited = false;
	int rc = begin(&t, e->pair, flags);

	while (rc == 0) {
		if (out->deaf)
			return anyc_fail(ANYC_EBROKEN, EPIPE,
					 "send: the other end of the pair was closed");
		if (out->used < e->pair->capacity) {
			size_t n = put_pieces(e->pair, out, iov, count);

			wake(&out->reader);
			return done(t, waited, n);
		}
		rc = await(e, &out->writer, t, &waited, "room to send");
	}
	return rc;
}

static int pair_send_eof(struct anyc_stream *s)
{
	struct end *e = end_of(s);
	struct anyc_task *t;
	int rc = begin(&t, e->pair, 0);

	if (rc != 0)
		return rc;
	e->out->ended = true;
	wake(&e->out->reader);
	return done(t, false, 0);
}

static int elsewhere(const struct pair *p)
{
	int i;

	if (p->process != anyc__process())
		return ANYC_EFORKED;
	for (i = 0; i < 2; i++)
		if (anyc__waiters_elsewhere(&p->way[i].reader) ||
		    anyc__waiters_elsewhere(&p->way[i].writer))
			return ANYC_ETHREAD;
	return 0;
}

static int pair_close(struct anyc_stream *s, unsigned flags)
{
	struct end *e = end_of(s);

	(void)flags; /* there is nothing to wait for */
	e->closed = true;
	e->out->ended = true;
	e->in->deaf = true;
	if (elsewhere(e->pair) == ANYC_EFORKED)
		return 0; /* who waits in it waits in the parent process */
	wake(&e->in->reader);
	wake(&e->out->writer);
	/* The peer meets the end before a failure of its own, as with TCP. */
	wake(&e->out->reader);
	wake(&e->in->writer);
	return 0;
}

static void pair_free(struct anyc_stream *s)
{
	struct pair *p = end_of(s)->pair;

	if (--p->ends == 0)
		anyc__free(p);
}

static int pair_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	if (attribute != &anyc__attribute_elsewhere)
		return anyc_fail(ANYC_ENOATTR, 0, "a pair's stream has no %s", attribute->name);
	*(int *)out = elsewhere(end_of(s)->pair);
	return 0;
}

static const struct anyc_stream_ops pair_ops = {
	.size = sizeof pair_ops,
	.name = "pair's",
	.receive = pair_receive,
	.send_some = pair_send_some,
	.send_eof = pair_send_eof,
	.close = pair_close,
	.free = pair_free,
	.attribute = pair_attribute,
};

/* ----------------------------------------------------------------------------------- making */

static void end_init(struct pair *p, int i)
{
	struct end *e = &p->end[i];

	p->way[i].data = p->data + (size_t)i * p->capacity;
	e->pair = p;
	e->in = &p->way[i];
	e->out = &p->way[1 - i];
	anyc_stream_init(&e->stream, &pair_ops);
}

int anyc_stream_pair(struct anyc_stream **a, struct anyc_stream **b, size_t capacity)
{
	struct pair *p;

	if (a == NULL || b == NULL || a == b)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_stream_pair: it makes two streams, and %s",
				    a == NULL   ? "the first place is NULL"
				    : b == NULL ? "the second place is NULL"
						: "the places are one");
	*a = *b = NULL;
	if (capacity == 0)
		capacity = CAPACITY;
	if (capacity > ANYC_IO_MAX)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_stream_pair: a buffer of %zu bytes is more than a call "
				    "can move, %d", capacity, ANYC_IO_MAX);
	p = anyc__alloc(sizeof *p + 2 * capacity);
	if (p == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_stream_pair: no memory for two buffers of "
				 "%zu bytes", capacity);
	p->process = anyc__process();
	p->capacity = capacity;
	p->ends = 2;
	end_init(p, 0);
	end_init(p, 1);
	*a = &p->end[0].stream;
	*b = &p->end[1].stream;
	return 0;
}

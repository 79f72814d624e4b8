/* SPDX-License-Identifier: MIT */
/*
 * Streams in memory.  Each direction is a pipe that both ends point at; a task that waits in it
 * leaves an event there, which whoever changes the pipe sets.
 */
#include "kit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/error.h>

struct pipe {
	unsigned char *data;
	size_t start, used, capacity;
	size_t left;    /* bytes until it is cut */
	size_t corrupt; /* bytes until one is spoilt, from 1; 0: none */
	bool clogged, ended, reader_gone;
	struct anyc_event *reader, *writer; /* who waits */
	unsigned ends;
};

struct end {
	struct anyc_stream head;
	struct pipe *in, *out;
	size_t most;
	unsigned seed;
	int broken;
	bool closed;
	struct anyc_test_pair_counts counts;
};

static atomic_size_t ends; /* that live */

static void wake(struct anyc_event *event)
{
	if (event != NULL)
		anyc_event_set(event);
}

static void wake_both(struct pipe *p)
{
	wake(p->reader);
	wake(p->writer);
}

/* Waits for a change of the pipe. */
static int wait_change(struct anyc_event **place)
{
	struct anyc_event event;
	int rc;

	memset(&event, 0, sizeof event);
	*place = &event;
	rc = anyc_event_wait(&event);
	*place = NULL;
	return rc;
}

/* How much of n this call moves. */
static size_t portion(struct end *e, size_t n)
{
	if (e->most != 0 && n > e->most)
		n = e->most;
	if (e->seed != 0) {
		e->seed = e->seed * 1103515245u + 12345u;
		n = 1 + (e->seed >> 16) % n;
	}
	return n;
}

/* A change that both directions' waits look for first. */
static int unusable(const struct end *e)
{
	if (e->closed)
		return ANYC_ECLOSED;
	if (e->broken != 0)
		return anyc_fail(ANYC_EBROKEN, e->broken, "pair: %s", strerror(e->broken));
	return 0;
}

/* -------------------------------------------------------------------------------- receive */

static int take_bytes(struct end *e, unsigned char *buf, size_t size)
{
	struct pipe *p = e->in;
	size_t i, n = portion(e, size < p->used ? size : p->used);

	for (i = 0; i < n; i++)
		buf[i] = p->data[(p->start + i) % p->capacity];
	p->start = (p->start + n) % p->capacity;
	p->used -= n;
	e->counts.receives++;
	e->counts.received += n;
	wake(p->writer);
	return (int)n;
}

static int pair_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct end *e = (struct end *)s;
	bool waited = false;
	int rc = flags & ANYC_NOWAIT ? 0 : anyc_checkpoint_if_cancelled();

	while (rc == 0) {
		rc = unusable(e);
		if (rc != 0 || e->in->used > 0 || e->in->ended)
			break;
		if (flags & ANYC_NOWAIT)
			return ANYC_EWOULDBLOCK;
		waited = true;
		rc = wait_change(&e->in->reader);
	}
	if (rc == 0 && e->in->used > 0)
		rc = take_bytes(e, buf, size);
	if (!waited && !(flags & ANYC_NOWAIT) && rc != ANYC_ECANCELED)
		anyc_checkpoint_shielded();
	return rc;
}

/* ----------------------------------------------------------------------------------- send */

static size_t room(const struct end *e)
{
	const struct pipe *p = e->out;

	return p->clogged && !p->ended ? 0 : p->capacity - p->used;
}

static void put_byte(struct pipe *p, unsigned char c)
{
	if (p->corrupt > 0 && --p->corrupt == 0)
		c ^= 1;
	/* What comes after the cut is lost on the way. */
	if (p->left > 0)
		p->data[(p->start + p->used++) % p->capacity] = c;
	if (p->left != SIZE_MAX && p->left > 0 && --p->left == 0)
		p->ended = true;
}

static int put_bytes(struct end *e, const struct iovec *iov, int count)
{
	size_t total = 0, done = 0, most = room(e);
	int i;

	for (i = 0; i < count; i++)
		total += iov[i].iov_len;
	most = portion(e, total < most ? total : most);
	for (i = 0; i < count; i++) {
		const unsigned char *data = iov[i].iov_base;
		size_t j;

		for (j = 0; j < iov[i].iov_len && done < most; j++, done++)
			put_byte(e->out, data[j]);
	}
	e->counts.sends++;
	e->counts.sent += done;
	wake(e->out->reader);
	return (int)done;
}

static int pair_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct end *e = (struct end *)s;
	bool waited = false;
	int rc = flags & ANYC_NOWAIT ? 0 : anyc_checkpoint_if_cancelled();

	while (rc == 0) {
		rc = unusable(e);
		if (rc == 0 && e->out->reader_gone)
			rc = anyc_fail(ANYC_EBROKEN, EPIPE, "pair: the peer has closed");
		if (rc != 0 || room(e) > 0)
			break;
		if (flags & ANYC_NOWAIT)
			return ANYC_EWOULDBLOCK;
		waited = true;
		rc = wait_change(&e->out->writer);
	}
	if (rc == 0)
		rc = put_bytes(e, iov, count);
	if (!waited && !(flags & ANYC_NOWAIT) && rc != ANYC_ECANCELED)
		anyc_checkpoint_shielded();
	return rc;
}

/* ------------------------------------------------------------------------------------ end */

static int pair_send_eof(struct anyc_stream *s)
{
	struct end *e = (struct end *)s;
	int rc = anyc_checkpoint_if_cancelled();

	if (rc != 0)
		return rc;
	e->counts.eof_sent = true;
	e->out->ended = true;
	wake_both(e->out);
	anyc_checkpoint_shielded();
	return 0;
}

static int pair_close(struct anyc_stream *s, unsigned flags)
{
	struct end *e = (struct end *)s;

	(void)flags;
	e->closed = true;
	e->out->ended = true;
	e->in->reader_gone = true;
	wake_both(e->in);
	wake_both(e->out);
	return 0;
}

static void drop_pipe(struct pipe *p)
{
	if (--p->ends > 0)
		return;
	free(p->data);
	free(p);
}

static void pair_free(struct anyc_stream *s)
{
	struct end *e = (struct end *)s;

	drop_pipe(e->in);
	drop_pipe(e->out);
	free(e);
	atomic_fetch_sub(&ends, 1);
}

static const struct anyc_stream_ops pair_ops = {
	.size = sizeof(struct anyc_stream_ops),
	.name = "pair",
	.receive = pair_receive,
	.send_some = pair_send_some,
	.send_eof = pair_send_eof,
	.close = pair_close,
	.free = pair_free,
};

/* ------------------------------------------------------------------------------ by the test */

size_t anyc__test_pairs(void)
{
	return atomic_load(&ends);
}

static struct pipe *make_pipe(const struct anyc_test_pair_options *options)
{
	struct pipe *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->capacity = options->capacity > 0 ? options->capacity : (size_t)64 << 10;
	p->data = calloc(1, p->capacity);
	p->left = SIZE_MAX;
	p->ends = 1;
	if (p->data == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

/* Takes the end's part in both pipes, which begin with one. */
static struct anyc_stream *make_end(struct pipe *in, struct pipe *out,
				    const struct anyc_test_pair_options *options)
{
	struct end *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	anyc_stream_init(&e->head, &pair_ops);
	e->in = in;
	e->out = out;
	in->ends++;
	out->ends++;
	e->most = options->most;
	e->seed = options->seed;
	atomic_fetch_add(&ends, 1);
	return &e->head;
}

int anyc_test_pair_sized(struct anyc_stream **a, struct anyc_stream **b,
			 const struct anyc_test_pair_options *options, size_t size)
{
	struct anyc_test_pair_options o = { 0 };
	struct pipe *there, *back;

	if (options != NULL)
		memcpy(&o, options, size < sizeof o ? size : sizeof o);
	*a = *b = NULL;
	there = make_pipe(&o);
	back = make_pipe(&o);
	if (there != NULL && back != NULL) {
		*a = make_end(back, there, &o);
		*b = make_end(there, back, &o);
	}
	if (there != NULL)
		drop_pipe(there);
	if (back != NULL)
		drop_pipe(back);
	if (*a != NULL && *b != NULL)
		return 0;
	anyc_stream_free(*a);
	anyc_stream_free(*b);
	*a = *b = NULL;
	return anyc_fail(-ENOMEM, ENOMEM, "anyc_test_pair: no memory");
}

void anyc_test_pair_clog(struct anyc_stream *s, bool on)
{
	struct pipe *p = ((struct end *)s)->out;

	p->clogged = on;
	wake(p->writer);
}

void anyc_test_pair_deafen(struct anyc_stream *s)
{
	struct pipe *p = ((struct end *)s)->in;

	p->reader_gone = true;
	wake(p->writer);
}

void anyc_test_pair_cut_after(struct anyc_stream *s, size_t n)
{
	struct pipe *p = ((struct end *)s)->out;

	p->left = n;
	if (n == 0) {
		p->ended = true;
		wake_both(p);
	}
}

void anyc_test_pair_break(struct anyc_stream *s, int os_errno)
{
	struct end *e = (struct end *)s;

	e->broken = os_errno;
	wake(e->in->reader);
	wake(e->out->writer);
}

void anyc_test_pair_corrupt(struct anyc_stream *s, size_t n)
{
	((struct end *)s)->out->corrupt = n + 1;
}

void anyc_test_pair_counts_sized(struct anyc_test_pair_counts *out, size_t size,
				 const struct anyc_stream *s)
{
	const struct end *e = (const struct end *)s;
	struct anyc_test_pair_counts counts = e->counts;

	counts.unread = e->in->used;
	counts.undelivered = e->out->used;
	counts.peer_closed = e->out->reader_gone;
	memcpy(out, &counts, size < sizeof counts ? size : sizeof counts);
}

/* SPDX-License-Identifier: MIT */
/*
 * The promises of stream.h, one function each; each has a pair of its own.  Tasks that have to wait
 * are waited for by anyc_wait_all_blocked(), never by time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/scope.h>
#include <anyc/task.h>

#include "stream_check.h"

#define SOME 100000 /* bytes, more than a buffer or two */
#define FEW  3000   /* that go one by one */

/* Where a promise needs both directions; or a call that waits for its peer. */
#define BOTH  ANYC_STREAM_ONE_WAY
#define WAITS ANYC_STREAM_STORED

static void settle(const struct anyc__run *r)
{
	WANT_OK(r, anyc_wait_all_blocked());
}

/* ------------------------------------------------------------------ tasks that do one call */

struct call {
	struct anyc__run *run;
	struct anyc_stream *stream;
	struct anyc_scope scope;
	const void *data; /* of a send */
	size_t size;
	size_t most; /* of each piece; 0: 9000 */
	int rc;
	bool done;
	char buf[64];
};

static int receive_task(void *arg)
{
	struct call *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_stream_receive(c->stream, c->buf, sizeof c->buf);
	anyc_scope_leave(&c->scope, c->rc);
	c->done = true;
	return 0;
}

static int send_task(void *arg)
{
	struct call *c = arg;

	anyc_scope_enter(&c->scope, NULL);
	c->rc = anyc_stream_send(c->stream, c->data, c->size);
	anyc_scope_leave(&c->scope, c->rc);
	c->done = true;
	return 0;
}

/* Sends data in random pieces, by every call that sends, and ends. */
static int send_pieces(void *arg)
{
	struct call *c = arg;
	const unsigned char *data = c->data;
	struct anyc__run *r = c->run;
	size_t at = 0;

	while (at < c->size) {
		size_t n = anyc__random_size(r, c->most != 0 ? c->most : 9000), cut;
		struct iovec piece[3];
		int rc;

		n = n < c->size - at ? n : c->size - at;
		cut = anyc__random_size(r, n) - 1;
		piece[0] = (struct iovec){ (void *)(uintptr_t)(data + at), cut };
		piece[1] = (struct iovec){ NULL, 0 };
		piece[2] = (struct iovec){ (void *)(uintptr_t)(data + at + cut), n - cut };
		if (n % 3 == 0) {
			rc = anyc_stream_send_some(c->stream, piece, 3, 0);
			WANT(r, rc >= 1 && (size_t)rc <= n, "send_some gave %d (%s) for %zu bytes",
			     rc, anyc_error_detail(rc), n);
			n = (size_t)rc;
		} else if (n % 3 == 1) {
			WANT_OK(r, anyc_stream_sendv(c->stream, piece, 3));
			WANT(r, anyc_stream_sent(c->stream) == n, "sent says %zu, not %zu",
			     anyc_stream_sent(c->stream), n);
		} else {
			WANT_OK(r, anyc_stream_send(c->stream, data + at, n));
		}
		at += n;
	}
	/* Two tasks may do this at once; close would end the other's receiving. */
	if (!anyc__has_limit(r, ANYC_STREAM_NO_SEND_EOF))
		WANT_OK(r, anyc_stream_send_eof(c->stream));
	return 0;
}

/* Sends data at once, whatever room there is, and ends. */
static int send_and_end(void *arg)
{
	struct call *c = arg;

	WANT_OK(c->run, anyc_stream_send(c->stream, c->data, c->size));
	anyc__end_sending(c->run, c->stream);
	return 0;
}

static int receive_all(void *arg)
{
	struct call *c = arg;

	anyc__receive_data(c->run, c->stream, 0, c->size, c->most);
	return 0;
}

/* ------------------------------------------------------------------------------ what is sent */

/* What is stored has to be there before it is received. */
static void send_beside(struct anyc__run *r, struct anyc_group *g, anyc_task_fn *fn,
			struct call *send)
{
	if (anyc__has_limit(r, ANYC_STREAM_STORED))
		fn(send);
	else
		WANT_OK(r, anyc_spawn(g, fn, send));
}

static void transfer(struct anyc__run *r, bool both, size_t size, size_t most_sent,
		     size_t most_received)
{
	unsigned char *data = anyc__data_make(r, size);
	struct call send = { .run = r, .data = data, .size = size, .most = most_sent };
	struct call receive = { .run = r, .size = size, .most = most_received };
	struct call from[2] = { send, send }, to[2] = { receive, receive };
	struct anyc_group g;
	int i;

	from[0].stream = to[1].stream = r->a;
	from[1].stream = to[0].stream = r->b;
	anyc_group_enter(&g, NULL);
	for (i = 0; i < (both ? 2 : 1); i++) {
		send_beside(r, &g, send_pieces, &from[i]);
		WANT_OK(r, anyc_spawn(&g, receive_all, &to[i]));
	}
	WANT_OK(r, anyc_group_leave(&g, 0));
	free(data);
}

static void in_order(struct anyc__run *r)
{
	transfer(r, false, SOME, 0, 0);
}

static void both_ways(struct anyc__run *r)
{
	transfer(r, true, SOME, 0, 0);
}

static void sent_byte_by_byte(struct anyc__run *r)
{
	transfer(r, false, FEW, 1, 0);
}

static void received_byte_by_byte(struct anyc__run *r)
{
	transfer(r, false, FEW, 0, 1);
}

static void all_byte_by_byte(struct anyc__run *r)
{
	transfer(r, !anyc__has_limit(r, BOTH), FEW, 1, 1);
}

static void single_bytes(struct anyc__run *r)
{
	size_t i;

	for (i = 0; i < 300; i++) {
		unsigned char c = anyc__byte_at(r, i);

		WANT_OK(r, anyc_stream_send(r->a, &c, 1));
		WANT_RC(r, anyc_stream_receive(r->b, &c, 1), 1);
		WANT(r, c == anyc__byte_at(r, i), "byte %zu came changed", i);
	}
}

static void clogged(struct anyc__run *r)
{
	unsigned char *data = anyc__data_make(r, r->check.clog);
	struct call s = { .run = r, .stream = r->a, .data = data, .size = r->check.clog };
	struct anyc_group g;
	size_t sent;

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, send_task, &s));
	settle(r);
	WANT(r, !s.done, "%zu bytes were sent while nobody received", s.size);
	sent = anyc_stream_sent(r->a);
	WANT(r, sent < s.size, "sent says %zu of %zu, and send has not returned", sent, s.size);
	/* A second sender is refused, and changes nothing. */
	WANT_RC(r, anyc_stream_send(r->a, "x", 1), ANYC_EBUSY);
	WANT(r, anyc_stream_sent(r->a) == sent, "a second sender has changed what sent says");
	anyc__receive_data(r, r->b, 0, s.size, 0);
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_OK(r, s.rc);
	free(data);
}

static void nothing_sent(struct anyc__run *r)
{
	char c;

	ANYC_CHECK_CHECKPOINT(WANT_OK(r, anyc_stream_send(r->a, "", 0)));
	ANYC_CHECK_CHECKPOINT(WANT_OK(r, anyc_stream_send(r->a, NULL, 0)));
	ANYC_CHECK_CANCELLED(anyc_stream_send(r->a, "", 0));
	WANT_OK(r, anyc_stream_send(r->a, "z", 1));
	WANT_RC(r, anyc_stream_receive(r->b, &c, 1), 1);
	WANT(r, c == 'z', "sending nothing has sent something");
}

static void bad_arguments(struct anyc__run *r)
{
	struct iovec none = { NULL, 0 };
	char c;

	WANT_RC(r, anyc_stream_receive(r->b, &c, 0), ANYC_EINVAL);
	WANT_RC(r, anyc_stream_send_some(r->a, &none, 1, 0), ANYC_EINVAL);
	WANT_RC(r, anyc_stream_receive_flags(r->b, &c, 1, 1U << 30), ANYC_EINVAL);
}

/* ---------------------------------------------------------------------------------- the end */

static void end_every_time(struct anyc__run *r)
{
	unsigned char *data = anyc__data_make(r, 500);
	struct call s = { .run = r, .stream = r->a, .data = data, .size = 500 };
	struct anyc_group g;
	char buf[8];
	int i;

	anyc_group_enter(&g, NULL);
	send_beside(r, &g, send_and_end, &s);
	WANT(r, anyc__receive_to_end(r, r->b) == 500, "the end came too early");
	WANT_OK(r, anyc_group_leave(&g, 0));
	for (i = 0; i < 3; i++) {
		WANT_RC(r, anyc_stream_receive(r->b, buf, sizeof buf), 0);
		WANT_RC(r, anyc_stream_receive_flags(r->b, buf, sizeof buf, ANYC_NOWAIT), 0);
	}
	free(data);
}

static void end_wakes(struct anyc__run *r)
{
	struct call c = { .run = r, .stream = r->b };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, receive_task, &c));
	settle(r);
	WANT(r, !c.done, "receive gave %d before anything was sent", c.rc);
	anyc__end_sending(r, r->a);
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_OK(r, c.rc);
}

static void half_closed(struct anyc__run *r)
{
	unsigned char *data = anyc__data_make(r, 300);
	struct call s = { .run = r, .stream = r->b, .data = data, .size = 300 };
	struct anyc_group g;

	WANT_OK(r, anyc_stream_send_eof(r->a));
	WANT_OK(r, anyc_stream_send_eof(r->a));
	WANT_RC(r, anyc_stream_send(r->a, "x", 1), ANYC_ECLOSED);
	WANT_RC(r, anyc_stream_send(r->a, "", 0), ANYC_ECLOSED);
	WANT(r, anyc__receive_to_end(r, r->b) == 0, "data came from a stream that sent none");
	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, send_task, &s));
	anyc__receive_data(r, r->a, 0, 300, 0);
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_OK(r, s.rc);
	WANT_OK(r, anyc_stream_send_eof(r->a));
	free(data);
}

static void no_half_close(struct anyc__run *r)
{
	if (!anyc__has_limit(r, ANYC_STREAM_NO_SEND_EOF))
		return;
	WANT_RC(r, anyc_stream_send_eof(r->a), ANYC_ENOTSUP);
	WANT_OK(r, anyc_stream_send(r->a, "x", 1));
}

/* --------------------------------------------------------------------------- closing, freeing */

static void all_closed(struct anyc__run *r, struct anyc_stream *s, bool sends, bool receives)
{
	struct iovec piece = { (char[]){ "x" }, 1 };
	char buf[8];

	WANT_OK(r, anyc_stream_close(s));
	if (receives) {
		WANT_RC(r, anyc_stream_receive(s, buf, sizeof buf), ANYC_ECLOSED);
		WANT_RC(r, anyc_stream_receive_flags(s, buf, sizeof buf, ANYC_NOWAIT),
			ANYC_ECLOSED);
	}
	if (sends) {
		WANT_RC(r, anyc_stream_send(s, "x", 1), ANYC_ECLOSED);
		WANT_RC(r, anyc_stream_send_some(s, &piece, 1, ANYC_NOWAIT), ANYC_ECLOSED);
		WANT_RC(r, anyc_stream_send_eof(s), ANYC_ECLOSED);
	}
}

static void close_for_good(struct anyc__run *r)
{
	bool one_way = anyc__has_limit(r, BOTH);

	all_closed(r, r->a, true, !one_way);
	all_closed(r, r->a, true, !one_way);
	if (one_way) /* else its goodbye may find nobody */
		all_closed(r, r->b, false, true);
}

static void close_or_free_wakes(struct anyc__run *r, bool free_it)
{
	bool one_way = anyc__has_limit(r, BOTH);
	unsigned char *data = anyc__data_make(r, r->check.clog);
	struct call s = { .run = r, .stream = r->a, .data = data, .size = r->check.clog };
	struct call c = { .run = r, .stream = one_way ? r->b : r->a };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, send_task, &s));
	if (!one_way)
		WANT_OK(r, anyc_spawn(&g, receive_task, &c));
	settle(r);
	WANT(r, !s.done && !c.done, "a call has returned with nothing to return for");
	if (free_it) {
		anyc_stream_free(r->a);
		r->a = NULL;
	} else {
		ANYC_IGNORE(anyc_stream_close(r->a)); /* it may not get to say goodbye */
	}
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_RC(r, s.rc, ANYC_ECLOSED);
	if (!one_way)
		WANT_RC(r, c.rc, ANYC_ECLOSED);
	if (!free_it)
		all_closed(r, r->a, true, !one_way);
	free(data);
}

static void close_wakes(struct anyc__run *r)
{
	close_or_free_wakes(r, false);
}

static void free_wakes(struct anyc__run *r)
{
	close_or_free_wakes(r, true);
}

static void close_wakes_receiver(struct anyc__run *r)
{
	struct call c = { .run = r, .stream = r->b };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, receive_task, &c));
	settle(r);
	WANT_OK(r, anyc_stream_close(r->b));
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_RC(r, c.rc, ANYC_ECLOSED);
	all_closed(r, r->b, !anyc__has_limit(r, BOTH), true);
}

static void close_when_cancelled(struct anyc__run *r)
{
	struct anyc_scope scope;
	char buf[8];
	int rc;

	anyc_scope_enter(&scope, NULL);
	anyc_scope_cancel(&scope, NULL);
	rc = anyc_stream_close(r->a);
	WANT(r, rc == 0 || rc == ANYC_ECANCELED, "close gave %d (%s)", rc, anyc_error_detail(rc));
	anyc_scope_leave(&scope, rc);
	all_closed(r, r->a, true, !anyc__has_limit(r, BOTH));
	rc = anyc_stream_receive(r->b, buf, sizeof buf);
	WANT(r, rc == 0 || rc == ANYC_EBROKEN, "the peer receives %d (%s)", rc,
	     anyc_error_detail(rc));
}

static void free_is_quiet(struct anyc__run *r)
{
	int os_errno;

	anyc_fail(ANYC_EBROKEN, ENOTTY, "what happened before");
	ANYC_CHECK_NO_CHECKPOINT(errno = E2BIG; anyc_stream_free(r->a); os_errno = errno);
	r->a = NULL;
	WANT(r, os_errno == E2BIG, "free has changed errno");
	WANT(r, strcmp(anyc_error_detail(ANYC_EBROKEN), "what happened before") == 0,
	     "free has changed the stored sentence");
}

/* Sends until it learns that nobody receives. */
static void peer_gone(struct anyc__run *r)
{
	static const char data[4096];
	int i, os_errno, rc = 0;

	anyc_stream_free(r->b);
	r->b = NULL;
	for (i = 0; i < 100000 && rc == 0; i++)
		rc = anyc_stream_send(r->a, data, sizeof data);
	WANT_RC(r, rc, ANYC_EBROKEN);
	os_errno = anyc_error_errno(rc);
	for (i = 0; i < 3; i++) {
		WANT_RC(r, anyc_stream_send(r->a, data, 1), ANYC_EBROKEN);
		WANT(r, anyc_error_errno(ANYC_EBROKEN) == os_errno,
		     "the errno of a broken stream changes from %d to %d", os_errno,
		     anyc_error_errno(ANYC_EBROKEN));
	}
	ANYC_IGNORE(anyc_stream_close(r->a)); /* its goodbye may be ANYC_EBROKEN */
	WANT_RC(r, anyc_stream_send(r->a, data, 1), ANYC_ECLOSED);
}

/* ------------------------------------------------------------------------------ one at a time */

static void one_receiver(struct anyc__run *r)
{
	struct call c = { .run = r, .stream = r->b };
	struct anyc_group g;
	char buf[8];

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, receive_task, &c));
	settle(r);
	WANT_RC(r, anyc_stream_receive(r->b, buf, sizeof buf), ANYC_EBUSY);
	WANT_RC(r, anyc_stream_receive_flags(r->b, buf, sizeof buf, ANYC_NOWAIT), ANYC_EBUSY);
	if (!anyc__has_limit(r, BOTH)) {
		WANT_OK(r, anyc_stream_send(r->b, "y", 1)); /* the other direction is free */
		WANT_RC(r, anyc_stream_receive(r->a, buf, sizeof buf), 1);
	}
	WANT_OK(r, anyc_stream_send(r->a, "x", 1));
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_RC(r, c.rc, 1);
	WANT(r, c.buf[0] == 'x', "another byte came than was sent");
}

/* --------------------------------------------------------------------------------- cancelling */

static void cancelled_receive(struct anyc__run *r)
{
	unsigned char *data = anyc__data_make(r, 700);
	struct call c = { .run = r, .stream = r->b };
	struct call s = { .run = r, .stream = r->a, .data = data, .size = 700 };
	struct anyc_group g;
	char buf[8];

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, receive_task, &c));
	settle(r);
	anyc_scope_cancel(&c.scope, NULL);
	WANT_OK(r, anyc_spawn(&g, send_task, &s)); /* comes too late for it */
	settle(r);
	WANT_RC(r, c.rc, ANYC_ECANCELED);
	ANYC_CHECK_CANCELLED(anyc_stream_receive(r->b, buf, sizeof buf)); /* with data there */
	anyc__receive_data(r, r->b, 0, 700, 0);
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_OK(r, s.rc);
	free(data);
}

static void cancelled_with_data(struct anyc__run *r)
{
	char c;

	WANT_OK(r, anyc_stream_send(r->a, "x", 1));
	ANYC_CHECK_CANCELLED(anyc_stream_receive(r->b, &c, 1));
	WANT_RC(r, anyc_stream_receive(r->b, &c, 1), 1);
	WANT(r, c == 'x', "another byte came than was sent");
}

static void cancelled_before_sending(struct anyc__run *r)
{
	struct iovec piece = { (char[]){ "x" }, 1 };
	char c;

	ANYC_CHECK_CANCELLED(anyc_stream_send(r->a, "x", 1));
	WANT(r, anyc_stream_sent(r->a) == 0, "a send that was cancelled before it began has sent");
	ANYC_CHECK_CANCELLED(anyc_stream_send_some(r->a, &piece, 1, 0));
	if (!anyc__has_limit(r, ANYC_STREAM_NO_SEND_EOF))
		ANYC_CHECK_CANCELLED(anyc_stream_send_eof(r->a));
	WANT_OK(r, anyc_stream_send(r->a, "y", 1));
	WANT_RC(r, anyc_stream_receive(r->b, &c, 1), 1);
	WANT(r, c == 'y', "a send that was cancelled before it began has sent");
}

static void cancelled_send(struct anyc__run *r)
{
	bool breaks = anyc__has_limit(r, ANYC_STREAM_CUT_SEND_BREAKS);
	unsigned char *data = anyc__data_make(r, r->check.clog);
	struct call s = { .run = r, .stream = r->a, .data = data, .size = r->check.clog };
	struct anyc_group g;
	size_t sent;

	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, send_task, &s));
	settle(r);
	anyc_scope_cancel(&s.scope, NULL);
	WANT_OK(r, anyc_group_leave(&g, 0));
	WANT_RC(r, s.rc, ANYC_ECANCELED);
	sent = anyc_stream_sent(r->a);
	WANT(r, sent < s.size, "sent says %zu of %zu after a cancellation", sent, s.size);
	if (breaks) {
		WANT_RC(r, anyc_stream_send(r->a, "x", 1), ANYC_EBROKEN);
	} else {
		/* What sent says is what has gone, and the stream goes on behind it. */
		anyc__receive_data(r, r->b, 0, sent, 0);
		WANT_OK(r, anyc_stream_send(r->a, data + sent, 1));
		anyc__receive_data(r, r->b, sent, 1, 0);
	}
	free(data);
}

/* ----------------------------------------------------------------------- checkpoints, nowait */

static void checkpoints(struct anyc__run *r)
{
	struct iovec piece = { (char[]){ "x" }, 1 };
	char c;

	ANYC_CHECK_CHECKPOINT(WANT_OK(r, anyc_stream_send(r->a, "x", 1)));
	ANYC_CHECK_CHECKPOINT(WANT_RC(r, anyc_stream_receive(r->b, &c, 1), 1));
	ANYC_CHECK_CHECKPOINT(WANT_RC(r, anyc_stream_send_some(r->a, &piece, 1, 0), 1));
	WANT_RC(r, anyc_stream_receive(r->b, &c, 1), 1);
	anyc__end_sending(r, r->a);
	WANT_OK(r, anyc_stream_receive(r->b, &c, 1));
	ANYC_CHECK_CHECKPOINT(WANT_OK(r, anyc_stream_receive(r->b, &c, 1)));
}

static void nowait(struct anyc__run *r)
{
	unsigned char *data = anyc__data_make(r, r->check.clog);
	struct call c = { .run = r, .stream = r->b };
	struct anyc_group g;
	size_t sent = 0;
	char buf[8];
	int rc;

	ANYC_CHECK_NO_CHECKPOINT(rc = anyc_stream_receive_flags(r->b, buf, 8, ANYC_NOWAIT));
	WANT_RC(r, rc, ANYC_EWOULDBLOCK);
	rc = 1;
	while (rc > 0) {
		struct iovec piece = { data + sent, r->check.clog - sent };

		WANT(r, piece.iov_len > 0, "%zu bytes were taken without waiting", sent);
		rc = anyc_stream_send_some(r->a, &piece, 1, ANYC_NOWAIT);
		sent += rc > 0 ? (size_t)rc : 0;
	}
	WANT_RC(r, rc, ANYC_EWOULDBLOCK);
	WANT(r, sent > 0, "nothing can be sent without waiting");
	/* All that was accepted comes; a stream may keep some of it until its next call. */
	c.size = sent;
	anyc_group_enter(&g, NULL);
	WANT_OK(r, anyc_spawn(&g, receive_all, &c));
	WANT_OK(r, anyc_stream_send(r->a, data + sent, 1));
	WANT_OK(r, anyc_group_leave(&g, 0));
	anyc__receive_data(r, r->b, sent, 1, 0);
	WANT_OK(r, anyc_stream_send(r->a, "x", 1));
	settle(r);
	rc = anyc_stream_receive_flags(r->b, buf, sizeof buf, ANYC_NOWAIT);
	WANT(r, rc == 1 || rc == ANYC_EWOULDBLOCK, "receive without waiting gave %d (%s)", rc,
	     anyc_error_detail(rc));
	free(data);
}

static const struct anyc_attribute unknown = { "attribute that nobody has", sizeof(int) };

static void no_attribute(struct anyc__run *r)
{
	int value = 7;

	WANT_RC(r, anyc_stream_attribute(r->a, &unknown, &value, sizeof value), ANYC_ENOATTR);
	WANT(r, value == 0, "the value of an attribute that is not there is not 0");
	WANT_RC(r, anyc_stream_attribute(r->a, &unknown, &value, 1), ANYC_EINVAL);
}

/* -------------------------------------------------------------------------------- the list */

const struct anyc__promise anyc__promises[] = {
	{ "what is sent is received, in order and once", in_order, 0 },
	{ "both directions work at once", both_ways, BOTH | WAITS },
	{ "single bytes go through at once", single_bytes, 0 },
	{ "what is sent byte by byte is received", sent_byte_by_byte, 0 },
	{ "what is sent can be received byte by byte", received_byte_by_byte, 0 },
	{ "byte by byte at both ends", all_byte_by_byte, 0 },
	{ "a send waits until all was accepted", clogged, WAITS },
	{ "sending nothing is a checkpoint and no more", nothing_sent, 0 },
	{ "bad arguments are refused", bad_arguments, 0 },
	{ "after the data comes the end, every time", end_every_time, 0 },
	{ "the end wakes who receives", end_wakes, WAITS },
	{ "send_eof ends one direction, and may be repeated", half_closed,
	  ANYC_STREAM_NO_SEND_EOF | BOTH },
	{ "send_eof that cannot be done is ANYC_ENOTSUP", no_half_close, 0 },
	{ "close is for good", close_for_good, 0 },
	{ "close wakes who is inside with ANYC_ECLOSED, and is for good", close_wakes, WAITS },
	{ "close wakes a receiver with ANYC_ECLOSED, and is for good", close_wakes_receiver,
	  WAITS },
	{ "free wakes who is inside with ANYC_ECLOSED", free_wakes, WAITS },
	{ "free is no checkpoint, and keeps errno and the sentence", free_is_quiet, 0 },
	{ "close closes in a cancelled scope", close_when_cancelled, 0 },
	{ "a peer that has gone breaks sending, for good", peer_gone, WAITS },
	{ "a second receiver is ANYC_EBUSY", one_receiver, WAITS },
	{ "a cancelled receive loses nothing", cancelled_receive, WAITS },
	{ "a receive that is cancelled before it begins takes nothing", cancelled_with_data, 0 },
	{ "a send that is cancelled before it begins sends nothing", cancelled_before_sending, 0 },
	{ "sent says what a cancelled send has sent", cancelled_send, WAITS },
	{ "calls that need not wait are checkpoints too", checkpoints, 0 },
	{ "ANYC_NOWAIT never waits, and is no checkpoint", nowait, WAITS },
	{ "an unknown attribute is ANYC_ENOATTR", no_attribute, 0 },
};
const size_t anyc__promise_count = sizeof anyc__promises / sizeof anyc__promises[0];

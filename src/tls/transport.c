/* SPDX-License-Identifier: MIT */
/*
 * Ciphertext between a TLS stream and its transport: the one place where a stream waits.
 *
 * Rules
 *  - Two locks, each held across waits: flush_lock around sending to the transport, pull_lock
 *    around receiving from it.  Nobody waits for one while holding the other.  A call with
 *    ANYC_NOWAIT never waits, so it need not take a lock, only find it free.
 *  - `made` collects what OpenSSL makes, `sending` is what the holder of flush_lock is sending
 *    and is never moved meanwhile.  Neither is dropped while the stream is sound: what could not
 *    be sent goes out with the next call.
 *  - After each wait the stream may have been closed: that is looked at before anything else.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/task.h>

#include "tls.h"

#define INPUT_LARGE ((size_t)64 << 10) /* from the first receive that filled the small one */
#define OUTPUT_KEPT ((size_t)4 << 10)  /* a bigger empty buffer is freed by an idle stream */

/* ------------------------------------------------------------------------------- failures */

int anyc__tls_fail_again(const struct anyc__tls_failure *f)
{
	return anyc_fail(f->rc, f->os_errno, "%s", f->text);
}

static void set_failure(struct anyc__tls_failure *f, int rc, int os_errno, const char *text)
{
	if (f->rc != 0)
		return;
	f->rc = rc;
	f->os_errno = os_errno;
	snprintf(f->text, sizeof f->text, "%s", text);
}

void anyc__tls_break(struct anyc__tls_stream *t, int rc, int os_errno, const char *format, ...)
{
	char text[sizeof t->send_failure.text];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	set_failure(&t->receive_failure, rc, os_errno, text);
	set_failure(&t->send_failure, rc, os_errno, text);
}

const char *anyc__tls_peer(const struct anyc__tls_stream *t)
{
	return t->server ? "a client" : t->host;
}

/* ---------------------------------------------------------------------------------- locks */

int anyc__tls_lock(struct anyc_lock *lock, unsigned flags, bool *waited)
{
	int rc;

	if (flags & ANYC_NOWAIT)
		return anyc_lock_is_held(lock) ? ANYC_EWOULDBLOCK : 0;
	rc = anyc_lock_acquire_nowait(lock);
	if (rc != ANYC_EWOULDBLOCK)
		return rc;
	*waited = true;
	return anyc_lock_acquire(lock);
}

void anyc__tls_unlock(struct anyc_lock *lock, unsigned flags)
{
	if (!(flags & ANYC_NOWAIT))
		anyc_lock_release(lock);
}

/* ------------------------------------------------------------- ciphertext to the transport */

size_t anyc__tls_output_used(const struct anyc__tls_stream *t)
{
	return anyc__tls_buffer_used(&t->made) + anyc__tls_buffer_used(&t->sending);
}

static void swap_output(struct anyc__tls_stream *t)
{
	struct anyc__tls_buffer made = t->made;

	t->made = t->sending;
	t->sending = made;
}

/* The transport takes no more: the sending direction is broken, receiving may go on. */
static int output_failed(struct anyc__tls_stream *t, int rc)
{
	if (rc != ANYC_EBROKEN)
		return rc;
	set_failure(&t->send_failure, rc, anyc_error_errno(rc), anyc_error_detail(rc));
	t->made.start = t->made.end = 0;
	t->sending.start = t->sending.end = 0;
	return rc;
}

/* Waits until the TLS stream below has sent what it has; counts as a call on it, a send. */
static int flush_below(struct anyc__tls_stream *below, bool *waited)
{
	int rc;

	below->inside++;
	below->flushed_from_above++;
	rc = anyc__tls_flush(below, 0, waited);
	below->flushed_from_above--;
	return anyc__tls_leave(below, ANYC_NOWAIT, true, rc);
}

/* Sends once, as flags say, and learns whether the TLS stream below takes it. */
static int send_some(struct anyc__tls_stream *t, const struct iovec *iov, unsigned flags,
		     bool *waited)
{
	const struct anyc__tls_stream *below = t->below;
	uint64_t records = below != NULL ? below->records : 0;
	int n = anyc_stream_send_some(t->transport, iov, 1, flags);

	*waited = *waited || !(flags & ANYC_NOWAIT);
	if (n > 0 && below != NULL && t->transport != NULL && below->records != records)
		t->below_sends = true;
	return n;
}

/*
 * Sends once, or waits until that can be tried again, which is 0.  A send that is cancelled in a
 * record breaks its stream; but who helps with leftovers, or handshakes, may be cancelled and go on
 * later.  So a TLS stream below is given what it takes at once, and the wait is for its leftovers.
 */
static int send_once(struct anyc__tls_stream *t, const struct iovec *iov, unsigned flags,
		     bool *waited)
{
	int n;

	if (!t->below_sends || (flags & ANYC_NOWAIT))
		return send_some(t, iov, flags, waited);
	n = anyc_stream_send_some(t->transport, iov, 1, ANYC_NOWAIT);
	if (n != ANYC_EWOULDBLOCK)
		return n;
	if (anyc__tls_output_used(t->below) > 0)
		return flush_below(t->below, waited);
	/* It is in a handshake, or another layer's room is used up. */
	return send_some(t, iov, flags, waited);
}

static int send_all(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	while (anyc__tls_output_used(t) > 0) {
		struct iovec iov;
		int n;

		if (anyc__tls_buffer_used(&t->sending) == 0) {
			t->sending.start = t->sending.end = 0;
			swap_output(t);
		}
		iov.iov_base = t->sending.data + t->sending.start;
		iov.iov_len = anyc__tls_buffer_used(&t->sending);
		n = send_once(t, &iov, flags, waited);
		if (t->transport == NULL)
			return ANYC_ECLOSED;
		if (n < 0)
			return n;
		t->sending.start += (size_t)n;
	}
	return 0;
}

/* Sends all that is pending; the caller has flush_lock.  After an error the rest is still there. */
int anyc__tls_send_output(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	int rc = send_all(t, flags, waited);

	if (rc == 0 && t->below_sends && !(flags & ANYC_NOWAIT)) {
		rc = flush_below(t->below, waited);
		if (t->transport == NULL)
			return ANYC_ECLOSED;
	}
	if (rc != 0)
		return output_failed(t, rc);
	t->made.start = t->made.end = 0;
	t->sending.start = t->sending.end = 0;
	/* The next batch is made in the buffer that has the room. */
	if (t->made.capacity < t->sending.capacity)
		swap_output(t);
	return 0;
}

int anyc__tls_flush(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	int rc;

	if (anyc__tls_output_used(t) == 0)
		return 0;
	rc = anyc__tls_lock(&t->flush_lock, flags, waited);
	if (rc != 0)
		return rc;
	rc = t->transport != NULL ? anyc__tls_send_output(t, flags, waited) : ANYC_ECLOSED;
	anyc__tls_unlock(&t->flush_lock, flags);
	return rc;
}

/* ----------------------------------------------------------- ciphertext from the transport */

/* Nothing of a next record has come: the least that is asked of a ragged end. */
static bool between_records(const struct anyc__tls_stream *t)
{
	return !SSL_has_pending(t->ssl) && strcmp(SSL_rstate_string(t->ssl), "RB") != 0;
}

void anyc__tls_input_ended(struct anyc__tls_stream *t)
{
	bool clean = t->ragged_eof && between_records(t);

#ifdef PLANT_EOF_FOR_TRUNCATION
	clean = true;
#endif
	if (!t->ready) {
		anyc__tls_break(t, ANYC_EBROKEN, 0,
				"the connection with %s ended in the TLS handshake",
				anyc__tls_peer(t));
		return;
	}
	if (clean)
		t->peer_closed = true;
	else
		set_failure(&t->receive_failure, ANYC_EBROKEN, 0,
			    "the TLS connection ended without close_notify: data may be missing");
	set_failure(&t->send_failure, ANYC_EBROKEN, 0,
		    "the TLS connection ended without close_notify: nothing can be sent");
}

static int input_failed(struct anyc__tls_stream *t, int rc)
{
	if (rc == ANYC_EBROKEN)
		anyc__tls_break(t, rc, anyc_error_errno(rc), "%s", anyc_error_detail(rc));
	return rc;
}

/* The input is empty: a buffer of the size that recent traffic asks for. */
int anyc__tls_make_room(struct anyc__tls_stream *t)
{
	unsigned char *data;

	if (t->input.capacity == t->input_size)
		return 0;
	data = malloc(t->input_size);
	if (data == NULL)
		return t->input.capacity > 0 ? 0 : -ENOMEM;
	anyc__tls_buffer_free(&t->input);
	t->input.data = data;
	t->input.capacity = t->input_size;
	return 0;
}

/* Receives once; the caller has pull_lock, and the input is empty. */
static int receive_input(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	int n = anyc__tls_make_room(t);

	if (n != 0)
		return n;
	n = anyc_stream_receive_flags(t->transport, t->input.data, t->input.capacity, flags);
	*waited = *waited || !(flags & ANYC_NOWAIT);
	if (t->closed)
		return ANYC_ECLOSED;
	if (n < 0)
		return input_failed(t, n);
	t->pulls++;
	if (n == 0) {
		anyc__tls_input_ended(t);
		return 0;
	}
	t->input.end = (size_t)n;
	if (t->input.end == t->input.capacity)
		t->input_size = INPUT_LARGE;
	else if (t->input.end < ANYC__TLS_INPUT_SMALL / 2)
		t->input_size = ANYC__TLS_INPUT_SMALL;
	return 0;
}

/* Gets more input, or waits until another task has; 0 means that OpenSSL may be asked again. */
int anyc__tls_pull(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	uint64_t seen = t->pulls;
	int rc = anyc__tls_lock(&t->pull_lock, flags, waited);

	if (rc != 0)
		return rc;
	if (t->closed)
		rc = ANYC_ECLOSED;
	else if (t->pulls == seen && anyc__tls_buffer_used(&t->input) == 0)
		rc = receive_input(t, flags, waited);
	anyc__tls_unlock(&t->pull_lock, flags);
	return rc;
}

static int flush_task(void *arg)
{
	bool waited = false;

	/* An error is the send's that meets it next; here there is only leftover. */
	ANYC_IGNORE(anyc__tls_flush(arg, 0, &waited));
	return 0;
}

/*
 * Waits for input while leftovers go out: the peer may be waiting for them before it answers,
 * and may not read them before we have read what it sends.
 */
static int pull_and_flush(struct anyc__tls_stream *t, bool *waited)
{
	struct anyc_spawn_options none = { 0 };
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	/* Without the memory for a task the leftovers wait for the next send. */
	ANYC_IGNORE(anyc_try_spawn(&g, flush_task, t, &none));
	rc = anyc__tls_pull(t, 0, waited);
	anyc_group_cancel(&g, "input has come");
	return anyc_group_leave(&g, rc);
}

static void trim_output(struct anyc__tls_stream *t)
{
	if (anyc__tls_output_used(t) > 0 || anyc_lock_is_held(&t->flush_lock))
		return;
	if (t->made.capacity > OUTPUT_KEPT)
		anyc__tls_buffer_free(&t->made);
	if (t->sending.capacity > OUTPUT_KEPT)
		anyc__tls_buffer_free(&t->sending);
}

/* A receive has nothing to decrypt. */
int anyc__tls_wait_input(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	if (flags & ANYC_NOWAIT)
		return anyc__tls_pull(t, flags, waited);
	trim_output(t);
	/* What a task is sending already needs no help. */
	if (anyc__tls_output_used(t) > 0 && !anyc_lock_is_held(&t->flush_lock))
		return pull_and_flush(t, waited);
	return anyc__tls_pull(t, flags, waited);
}


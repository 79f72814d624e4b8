/* SPDX-License-Identifier: MIT */
/*
 * A TLS stream at work: handshake, receive, send, close.
 *
 * Rules
 *  - An OpenSSL call is bracketed by forget_errors() and classify(), with no wait in between:
 *    the queue of errors belongs to the thread, so to all of its tasks.
 *  - Receiving and sending share nothing but OpenSSL's own state, which no wait interrupts, so
 *    each goes on while the other waits.
 *  - What a receive leaves unsent is sent by a later call.  What a send leaves unsent after a
 *    wait that failed would make its result a lie, so the stream is then broken.
 *  - A call yields by a wait or at its end, and looks for a cancellation first.  In between it
 *    gives way after each record, so that another task waits for no more than one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include <anyc/scope.h>
#include <anyc/task.h>
#include <anyc/time.h>

#include "tls.h"

#define RECORD       ((size_t)16384)     /* plaintext in one record at most */
#define RECORD_EXTRA ((size_t)(5 + SSL3_RT_MAX_ENCRYPTED_OVERHEAD))
#define SEND_RECORDS 4                   /* made, then sent: more falls out of the cache */
#define SMALL_PIECE  ((size_t)2048)      /* neighbours shorter than this share a record */
#define OUTPUT_LIMIT ((size_t)512 << 10) /* a peer that makes us answer must read the answers */
#define DRAIN_ROUNDS 64
/* Of key updates, tickets and their like in a row, one or two for each: a peer that sends
 * more of them only keeps us busy. */
#define EMPTY_READS 64

/* ------------------------------------------------------------------------- OpenSSL's word */

/*
 * The entry of the queue that says most, 0 if it is empty; empties it.  That is the protocol's own
 * (one without flags: those say only which library failed), for below it may lie how a cipher put
 * it; else the earliest.
 */
static unsigned long take_error(void)
{
	unsigned long error, first = ERR_peek_error(), own = 0;

	while ((error = ERR_get_error()) != 0)
		if (own == 0 && ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_RFLAGS(error) == 0)
			own = error;
	return own != 0 ? own : first;
}

static const char *reason_of(unsigned long error)
{
	const char *text;

	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
	    ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
		return "wrong version number: does the peer speak TLS at all?";
	if (ERR_SYSTEM_ERROR(error))
		return strerror(ERR_GET_REASON(error));
	text = ERR_reason_error_string(error);
	return text != NULL ? text : "unknown error";
}

const char *anyc__tls_reason(void)
{
	return reason_of(take_error());
}

/* What the peer has done about certificates, if that is why: then OpenSSL's word says less. */
static const char *reason_of_distrust(const struct anyc__tls_stream *t, unsigned long error)
{
	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		return NULL;
	if (ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return "it has shown none";
	if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(SSL_get_verify_result(t->ssl));
	return NULL;
}

/* The queue of errors is still this call's. */
static void break_by_openssl(struct anyc__tls_stream *t)
{
	unsigned long error = take_error();
	const char *distrust = reason_of_distrust(t, error), *peer = anyc__tls_peer(t);
	/* OpenSSL says nothing when it was our BIO that had no memory. */
	bool memory = error == 0 || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
	const char *reason = memory ? "no memory" : reason_of(error);

	if (t->ready)
		anyc__tls_break(t, ANYC_EBROKEN, memory ? ENOMEM : 0, "TLS with %s: %s", peer,
				distrust != NULL ? distrust : reason);
	else if (t->refusal != 0)
		anyc__tls_break(t, t->refusal, 0, "TLS handshake with %s: %s", peer,
				t->refusal_text);
	else if (distrust != NULL)
		anyc__tls_break(t, ANYC_EVERIFY, 0, "the certificate of %s is not trusted: %s",
				peer, distrust);
	else
		anyc__tls_break(t, memory ? -ENOMEM : ANYC_ETLS, 0, "TLS handshake with %s: %s",
				peer, reason);
}

/* Before each call of OpenSSL: the queue is hardly ever anything but empty, and to look costs less
 * than to clear it. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

enum step { STEP_DONE, STEP_WANTS_INPUT, STEP_PEER_CLOSED, STEP_BROKEN };

/* What the OpenSSL call just made has come to. */
static enum step classify(struct anyc__tls_stream *t, int ret)
{
	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_NONE:
		return STEP_DONE;
	case SSL_ERROR_WANT_READ:
		return STEP_WANTS_INPUT;
	case SSL_ERROR_ZERO_RETURN:
		t->peer_closed = true;
		return STEP_PEER_CLOSED;
	default:
		break_by_openssl(t);
		return STEP_BROKEN;
	}
}

/* ------------------------------------------------------------------------------ handshake */

/* The handshake is done: the last flight. */
static int finish_handshake(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	int rc;

	t->ready = true;
	/* A server's last flight in TLS 1.3 is only tickets: a client that does not read them, or
	 * has gone after its last word, is served all the same. */
	if (t->server && SSL_version(t->ssl) >= TLS1_3_VERSION)
		flags |= ANYC_NOWAIT;
	rc = anyc__tls_flush(t, flags, waited);
	if (rc == ANYC_EWOULDBLOCK || (t->server && rc == ANYC_EBROKEN))
		return 0;
	return rc;
}

/*
 * A peer that has refused us may have left its alert to be read.  A shortage of the kernel's says
 * nothing of the peer, which goes on waiting for what was not sent.
 */
static bool may_have_alert(const struct anyc__tls_stream *t, int rc)
{
	return rc == ANYC_EBROKEN && t->send_failure.os_errno != ENOMEM &&
	       t->send_failure.os_errno != ENOBUFS;
}

static int handshake_steps(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	for (;;) {
		enum step step;
		int rc;

		if (t->closed)
			return ANYC_ECLOSED;
		if (t->receive_failure.rc != 0)
			return anyc__tls_fail_again(&t->receive_failure);
		forget_errors();
		step = classify(t, SSL_do_handshake(t->ssl));
		if (step == STEP_DONE)
			return finish_handshake(t, flags, waited);
		if (step == STEP_PEER_CLOSED)
			anyc__tls_input_ended(t);
		/* The alert tells the peer why, if that takes no waiting. */
		rc = anyc__tls_flush(t, step == STEP_WANTS_INPUT ? flags : ANYC_NOWAIT, waited);
		if (step != STEP_WANTS_INPUT)
			continue;
		if (rc == 0 || may_have_alert(t, rc))
			rc = anyc__tls_pull(t, flags, waited);
		if (rc != 0)
			return rc;
	}
}

/* The deadline counts from the first call, through all the calls it may take. */
static int handshake(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	int64_t now = anyc_now(), left = ANYC_FOREVER;
	struct anyc_scope scope;
	int rc;

	if (t->handshake_deadline == 0)
		t->handshake_deadline = t->handshake_timeout < ANYC_FOREVER - now
						? now + t->handshake_timeout
						: ANYC_FOREVER;
	if (t->handshake_deadline != ANYC_FOREVER)
		left = t->handshake_deadline > now ? t->handshake_deadline - now : 0;
	if (flags & ANYC_NOWAIT) {
		rc = left > 0 ? handshake_steps(t, flags, waited) : ANYC_ETIMEDOUT;
	} else {
		anyc_scope_enter_timeout(&scope, left);
		rc = anyc_scope_leave(&scope, handshake_steps(t, flags, waited));
	}
	if (rc == ANYC_ETIMEDOUT) {
		anyc__tls_break(t, rc, 0, "the TLS handshake with %s took longer than %.3g s",
				anyc__tls_peer(t), (double)t->handshake_timeout / ANYC_SECOND);
		return anyc__tls_fail_again(&t->receive_failure);
	}
	return rc;
}

/* Two tasks may come here at once: each drives the handshake as far as there is input. */
int anyc__tls_ready(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	if (t->ready)
		return 0;
	if (t->receive_failure.rc != 0)
		return anyc__tls_fail_again(&t->receive_failure);
	return handshake(t, flags, waited);
}

/* -------------------------------------------------------------------------------- receive */

/*
 * Decrypts what has been received and fits, about a record of it at most: other tasks wait
 * meanwhile.  ANYC_EWOULDBLOCK: needs more input; 0: the stream's state says why.
 */
static int decrypt(struct anyc__tls_stream *t, unsigned char *buf, size_t size)
{
	enum step step;
	size_t total = 0;

	if (size > RECORD)
		size = RECORD;
	/* OpenSSL could only say that it wants input, and takes its time to. */
	if (anyc__tls_buffer_used(&t->input) == 0 && SSL_has_pending(t->ssl) == 0)
		return ANYC_EWOULDBLOCK;
	do {
		size_t n = 0;

		forget_errors();
		step = classify(t, SSL_read_ex(t->ssl, buf + total, size - total, &n));
		total += n;
	} while (step == STEP_DONE && total < size && anyc__tls_buffer_used(&t->input) > 0);
	if (total > 0) {
		t->empty_reads = 0;
		return (int)total;
	}
	return step == STEP_WANTS_INPUT ? ANYC_EWOULDBLOCK : 0;
}

/* A record without data was read, and there is more to read: gives way first. */
static int pass_over(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	if (++t->empty_reads > EMPTY_READS) {
		anyc__tls_break(t, ANYC_EBROKEN, 0,
				"TLS with %s: it sends one record without data after the other",
				anyc__tls_peer(t));
		return anyc__tls_fail_again(&t->receive_failure);
	}
	if (flags & ANYC_NOWAIT)
		return 0;
	*waited = true;
	return anyc_checkpoint();
}

/* Nothing could be decrypted: more is read, or waited for. */
static int read_on(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	if (anyc__tls_buffer_used(&t->input) > 0)
		return pass_over(t, flags, waited);
	return anyc__tls_wait_input(t, flags, waited);
}

static int receive_some(struct anyc__tls_stream *t, void *buf, size_t size, unsigned flags,
			bool *waited)
{
	int rc = anyc__tls_ready(t, flags, waited);

	while (rc == 0) {
		int n;

		if (t->closed)
			return ANYC_ECLOSED;
		if (t->receive_failure.rc != 0)
			return anyc__tls_fail_again(&t->receive_failure);
		if (t->peer_closed)
			return 0;
		n = decrypt(t, buf, size);
		/* Reading may make output: an answer to a key update, an alert, leftovers. */
		if (anyc__tls_output_used(t) > 0)
			ANYC_IGNORE(anyc__tls_flush(t, ANYC_NOWAIT, waited));
		if (n > 0)
			return n;
		if (n == 0)
			continue;
		if (anyc__tls_output_used(t) > OUTPUT_LIMIT)
			rc = anyc__tls_flush(t, flags, waited);
		if (rc == 0 || rc == ANYC_EBROKEN)
			rc = read_on(t, flags, waited);
	}
	return rc;
}

static int tls_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct anyc__tls_stream *t = (struct anyc__tls_stream *)s;
	bool waited = false;
	int rc = anyc__tls_enter(t, flags);

	if (rc == 0)
		rc = receive_some(t, buf, size, flags, &waited);
	return anyc__tls_leave(t, flags, waited, rc);
}

/* ----------------------------------------------------------------------------------- send */

/* A place in the caller's list of pieces. */
struct cursor {
	const struct iovec *iov;
	int count;
	size_t offset; /* in the first piece */
};

static void advance(struct cursor *c, size_t n)
{
	while (c->count > 0 && n >= c->iov->iov_len - c->offset) {
		n -= c->iov->iov_len - c->offset;
		c->offset = 0;
		c->iov++;
		c->count--;
	}
	c->offset += n;
}

/* A record of small neighbours. */
static int write_gathered(SSL *ssl, const struct cursor *c, size_t *done)
{
	unsigned char stage[SMALL_PIECE];
	size_t n = c->iov->iov_len - c->offset;
	int i;

	memcpy(stage, (const unsigned char *)c->iov->iov_base + c->offset, n);
	for (i = 1; i < c->count && c->iov[i].iov_len <= SMALL_PIECE - n; i++) {
		if (c->iov[i].iov_len > 0)
			memcpy(stage + n, c->iov[i].iov_base, c->iov[i].iov_len);
		n += c->iov[i].iov_len;
	}
	return SSL_write_ex(ssl, stage, n, done);
}

/* The next record: as much of a piece of the caller's as it takes, or small neighbours. */
static int write_record(SSL *ssl, const struct cursor *c, size_t *done)
{
	const unsigned char *data = (const unsigned char *)c->iov->iov_base + c->offset;
	size_t n = c->iov->iov_len - c->offset;

	*done = 0;
	if (c->count > 1 && n < SMALL_PIECE)
		return write_gathered(ssl, c, done);
	return SSL_write_ex(ssl, data, n < RECORD ? n : RECORD, done);
}

/* Room for the records of one batch, so that none is made that could not be kept. */
static int reserve_output(struct anyc__tls_stream *t, const struct iovec *iov, int count,
			  int records)
{
	size_t limit = (size_t)records * RECORD, total = 0;
	int i;

	for (i = 0; i < count && total < limit; i++)
		total += iov[i].iov_len;
	if (total > limit)
		total = limit;
	if ((size_t)records > total / RECORD + (size_t)count)
		records = (int)(total / RECORD) + count;
	return anyc__tls_buffer_reserve(&t->made, total + (size_t)records * RECORD_EXTRA);
}

/* Between two records of a send; false: no more of them now. */
static bool give_way(const struct anyc__tls_stream *t, bool *waited)
{
	anyc_checkpoint_shielded();
	*waited = true;
	return !t->closed && t->send_failure.rc == 0 && !anyc_has_pending_cancellation();
}

/* Makes at most so many records: the plaintext taken, an error, or 0: OpenSSL needs input first. */
static int encrypt(struct anyc__tls_stream *t, const struct iovec *iov, int count, int records,
		   bool *waited)
{
	struct cursor c = { iov, count, 0 };
	enum step step = STEP_DONE;
	size_t total = 0;
	int rc;

	/* OpenSSL would call this a fault of the connection, whose other direction goes on. */
	if ((SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return anyc_fail(ANYC_ECLOSED, 0, "TLS with %s: sending was ended by an unwrap",
				 anyc__tls_peer(t));
	rc = reserve_output(t, iov, count, records);
	if (rc != 0)
		return anyc_fail(rc, 0, "TLS with %s: no memory to send", anyc__tls_peer(t));
	advance(&c, 0);
	while (c.count > 0 && records-- > 0) {
		size_t done;

		forget_errors();
		step = classify(t, write_record(t->ssl, &c, &done));
		if (step != STEP_DONE)
			break;
		advance(&c, done);
		total += done;
		t->records++;
		if (c.count > 0 && records > 0 && !give_way(t, waited))
			break;
	}
	if (total > 0)
		return (int)total;
	return step == STEP_WANTS_INPUT ? 0 : anyc__tls_fail_again(&t->send_failure);
}

/* The caller has flush_lock. */
static int send_records(struct anyc__tls_stream *t, const struct iovec *iov, int count,
			unsigned flags, bool *waited)
{
	int rc, n;

	if (t->closed)
		return ANYC_ECLOSED;
	if (t->send_failure.rc != 0)
		return anyc__tls_fail_again(&t->send_failure);
	rc = anyc__tls_send_output(t, flags, waited);
	if (rc != 0)
		return rc;
	/* Without waiting only as much is made as one leftover record. */
	n = encrypt(t, iov, count, flags & ANYC_NOWAIT ? 1 : SEND_RECORDS, waited);
	if (t->closed)
		return ANYC_ECLOSED;
	if (n <= 0)
		return n;
	/* Cancelled by now, it says what it has taken, and the next call that it is cancelled. */
	if (*waited && anyc_has_pending_cancellation())
		flags |= ANYC_NOWAIT;
	rc = anyc__tls_send_output(t, flags, waited);
	if (rc == 0 || ((flags & ANYC_NOWAIT) && rc == ANYC_EWOULDBLOCK))
		return n;
	/* Some of these records are out and some are not, and none can be made again.  (A transport
	 * that broke is another matter: it may still have something to be received.) */
	if (rc != ANYC_EBROKEN)
		anyc__tls_break(t, ANYC_EBROKEN, 0,
				"a send was %s inside a TLS record: the stream is of no more use",
				rc == ANYC_ECANCELED ? "cancelled" : "cut off");
	return rc;
}

static int send_pieces(struct anyc__tls_stream *t, const struct iovec *iov, int count,
		       unsigned flags, bool *waited)
{
	for (;;) {
		int rc = anyc__tls_ready(t, flags, waited);

		if (rc == 0)
			rc = anyc__tls_lock(&t->flush_lock, flags, waited);
		if (rc != 0)
			return rc;
		rc = send_records(t, iov, count, flags, waited);
		anyc__tls_unlock(&t->flush_lock, flags);
		if (rc != 0)
			return rc;
		/* In the middle of a message of the peer's that comes before our next record; it
		 * may be waiting for an answer. */
		rc = anyc__tls_flush(t, flags, waited);
		if (rc == 0)
			rc = anyc__tls_pull(t, flags, waited);
		if (rc != 0)
			return rc;
	}
}

static int tls_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct anyc__tls_stream *t = (struct anyc__tls_stream *)s;
	bool waited = false;
	int rc = anyc__tls_enter(t, flags);

	if (rc == 0)
		rc = send_pieces(t, iov, count, flags, &waited);
	return anyc__tls_leave(t, flags, waited, rc);
}

/* ------------------------------------------------------------------------------------ end */

int anyc__tls_goodbye(struct anyc__tls_stream *t, unsigned flags, bool *waited)
{
	int rc;

	/* A task inside a send loses its data: an end that looks clean would hide that. */
	if (!t->ready || t->send_failure.rc != 0 || t->head.sending_ || t->flushed_from_above > 0)
		return 0;
	if (!(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)) {
		forget_errors();
		rc = SSL_shutdown(t->ssl);
		/* 0 is success: sent, and the peer's is still to come. */
		if (rc < 0 && classify(t, rc) == STEP_BROKEN)
			return anyc__tls_fail_again(&t->send_failure);
	}
	return anyc__tls_flush(t, flags, waited);
}

int anyc__tls_await_goodbye(struct anyc__tls_stream *t, bool *waited)
{
	unsigned char scrap[1024];
	int rc = 0;

	while (rc >= 0 && !t->peer_closed) {
		if (t->closed)
			return ANYC_ECLOSED;
		if (t->receive_failure.rc != 0)
			return anyc__tls_fail_again(&t->receive_failure);
		rc = decrypt(t, scrap, sizeof scrap);
		/* After close_notify nothing may follow (RFC 8446 6.1): answers are left out. */
		t->made.start = t->made.end = 0;
		if (rc == ANYC_EWOULDBLOCK && anyc__tls_buffer_used(&t->input) > 0)
			rc = pass_over(t, 0, waited);
		else if (rc == ANYC_EWOULDBLOCK)
			rc = anyc__tls_pull(t, 0, waited);
	}
	return rc < 0 ? rc : 0;
}

/* A socket that is closed with unread input resets the connection, and our last data with it. */
static void drain(struct anyc__tls_stream *t)
{
	int i, n = 1;

	if (anyc_lock_is_held(&t->pull_lock) || anyc__tls_make_room(t) != 0)
		return;
	for (i = 0; i < DRAIN_ROUNDS && n > 0; i++)
		n = anyc_stream_receive_flags(t->transport, t->input.data, t->input.capacity,
					      ANYC_NOWAIT);
}

/* close_notify, the end of the transport's sending direction, and what is there to be read. */
static int take_leave(struct anyc__tls_stream *t, bool wait)
{
	bool waited = false;
	int rc;

	if (getpid() != t->pid)
		return 0;
	rc = anyc__tls_goodbye(t, wait ? 0 : ANYC_NOWAIT, &waited);
	/* A peer that has said its own goodbye need not have stayed for ours. */
	if (rc == ANYC_EBROKEN && t->peer_closed)
		rc = 0;
	if (wait && rc == 0 && t->send_failure.rc == 0)
		ANYC_IGNORE(anyc_stream_send_eof(t->transport));
	drain(t);
	return rc == ANYC_EWOULDBLOCK ? ANYC_ECANCELED : rc;
}

static int tls_close(struct anyc_stream *s, unsigned flags)
{
	struct anyc__tls_stream *t = (struct anyc__tls_stream *)s;
	bool wait = !(flags & ANYC_NOWAIT);
	struct anyc_stream *transport = t->transport;
	int rc = 0, closed = 0;

	t->closed = true;
	if (transport == NULL)
		return 0; /* given back by unwrap */
	t->inside++;
	rc = take_leave(t, wait && !anyc_has_pending_cancellation());
	t->transport = NULL;
	if (wait)
		closed = anyc_stream_close(transport);
	anyc_stream_free(transport);
	return anyc__tls_leave(t, ANYC_NOWAIT, true, rc != 0 ? rc : closed);
}

void anyc__tls_destroy(struct anyc__tls_stream *t)
{
	SSL_free(t->ssl);
	anyc__tls_settings_unref(t->settings);
	anyc__tls_facts_free(t->facts);
	free(t->asked);
	anyc__tls_buffer_free(&t->input);
	anyc__tls_buffer_free(&t->made);
	anyc__tls_buffer_free(&t->sending);
	free(t);
}

static void tls_free(struct anyc_stream *s)
{
	struct anyc__tls_stream *t = (struct anyc__tls_stream *)s;

	t->freed = true;
	if (t->inside == 0)
		anyc__tls_destroy(t);
}

int anyc__tls_enter(struct anyc__tls_stream *t, unsigned flags)
{
	t->inside++;
	return flags & ANYC_NOWAIT ? 0 : anyc_checkpoint_if_cancelled();
}

int anyc__tls_leave(struct anyc__tls_stream *t, unsigned flags, bool waited, int rc)
{
	/* A call yields once: here, unless it has waited or was cancelled. */
	if (!waited && !(flags & ANYC_NOWAIT) && rc != ANYC_ECANCELED && rc != ANYC_ENOTASK)
		anyc_checkpoint_shielded();
	if (--t->inside == 0 && t->freed)
		anyc__tls_destroy(t);
	return rc;
}

static int tls_move(struct anyc_stream *s)
{
	struct anyc__tls_stream *t = (struct anyc__tls_stream *)s;
	int rc;

	t->inside++;
	rc = t->transport != NULL ? anyc_stream_move(t->transport) : anyc_checkpoint();
	return anyc__tls_leave(t, ANYC_NOWAIT, true, rc);
}

const struct anyc_stream_ops anyc__tls_ops = {
	.size = sizeof(struct anyc_stream_ops),
	.name = "tls",
	.receive = tls_receive,
	.send_some = tls_send_some,
	.close = tls_close,
	.free = tls_free,
	.attribute = anyc__tls_attribute,
	.move = tls_move,
};

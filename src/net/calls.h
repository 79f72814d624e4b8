/* SPDX-License-Identifier: MIT */
/* What the calls on streams, readers and listeners share: refusing, and keeping the last error. */
#ifndef ANYC__NET_CALLS_H
#define ANYC__NET_CALLS_H

#include <string.h>

#include <anyc/stream.h>

#include "core/core.h"

/* What close and free must not change (rule 13). */
struct anyc__kept {
	int os_errno;
	struct anyc__slot slot;
};
void anyc__keep(struct anyc__kept *k);
void anyc__restore(const struct anyc__kept *k);

/*
 * What every close() does around its work, which it does also in a cancelled scope, but then
 * without waiting: `flags` says so.  errno and the last error stay as they were.
 */
struct anyc__closing {
	struct anyc__kept kept;
	struct anyc_task *task;
	int rc;         /* the call's, whatever becomes of the work; 0: the work's */
	unsigned flags; /* for the work */
};
/* False: refused outside a task, with c->rc; nothing is closed. */
bool anyc__closing_begin(struct anyc__closing *c);
/* The call's result, given the work's. */
int anyc__closing_end(const struct anyc__closing *c, int result);

/*
 * int, a fact for ourselves of streams and listeners that belong to loops: 0, or what a call gets
 * that meets calls of others, ANYC_ETHREAD (another thread's loop) or ANYC_EFORKED (the parent
 * process, where they go on).
 */
extern const struct anyc_attribute anyc__attribute_elsewhere;
/* To close or free it here would take it from under them: ANYC_ETHREAD, reported. */
int anyc__refuse_elsewhere(const char *call);
/* The same for a call that has begun to close. */
int anyc__refuse_close(const struct anyc__closing *c);

/*
 * How a call ends that does not come to its work: first the refusal that every call of this
 * function meets outside a task (rule 11), then the error with its sentence.  flags with
 * ANYC_NOWAIT: no checkpoint.
 */
/* Bad arguments: ANYC_EINVAL. */
int anyc__refuse_arguments(unsigned flags, const char *format, ...) ANYC_PRINTF(2, 3);
/* A state: looks for a cancellation and yields too, as the call's work would have. */
int anyc__refuse_state(unsigned flags, int rc, int os_errno, const char *format, ...)
	ANYC_PRINTF(4, 5);
/* Another call is in the way: ANYC_EBUSY, or what `elsewhere` says. */
int anyc__refuse_busy(unsigned flags, int elsewhere, const char *call, const char *what);
/* The same for a call with nothing to do: 0 unless refused. */
int anyc__checkpoint_only(unsigned flags);

/*
 * For receiving and sending in ways that only some streams know: op runs with the direction held,
 * on an open stream, and returns what receive or send_some would.  Of sending, op does a first
 * part of iov, and what it left is sent as by anyc_stream_send().
 */
int anyc__stream_receiving(struct anyc_stream *s, int (*op)(struct anyc_stream *s, void *arg),
			   void *arg);
int anyc__stream_sending(struct anyc_stream *s, int (*op)(struct anyc_stream *s, void *arg),
			 void *arg, const struct iovec *iov);

/*
 * For a call beside stream.c that sends: takes the sending direction, or refuses; sends more, which
 * sent_ counts; and gives the direction back, looking at how the call ends.
 */
int anyc__stream_begin_send(struct anyc_stream *s, const char *call);
int anyc__stream_send_more(struct anyc_stream *s, const void *buf, size_t size);
int anyc__stream_end_send(struct anyc_stream *s, int rc, const char *call);

/* A stream may have been built before the operation was there. */
#define ANYC__HAS_OPERATION(s, operation) \
	((s)->ops_->size > offsetof(struct anyc_stream_ops, operation) && \
	 (s)->ops_->operation != NULL)

/* A wrapper's send_file: that of the stream it sends to, or ANYC_ENOTSUP. */
int anyc__stream_send_file_some(struct anyc_stream *below, int fd, int64_t offset, size_t size);

/* Keeps the memory of a stream while something of it is in use. */
void anyc__stream_hold(struct anyc_stream *s);
void anyc__stream_release(struct anyc_stream *s);
struct anyc_listener;
void anyc__listener_hold(struct anyc_listener *l);
void anyc__listener_release(struct anyc_listener *l);

/* How a wrapper closes what it wraps: without waiting it is freed, and *below is NULL. */
int anyc__close_below(struct anyc_stream **below, unsigned flags);

/* Receives what the reader's buffer has, else what the stream has, without waiting. */
int anyc__reader_take_nowait(struct anyc_reader *r, void *buf, size_t size);

/*
 * An error of accept that is the fault of the connection, which died in the queue; accept(2) tells
 * it as if it were the listener's.
 */
bool anyc__is_of_connection(int rc);

/* What rc means, in words that can stand after a colon: "connection refused". */
struct anyc__words {
	char text[96];
};
const char *anyc__words(struct anyc__words *w, int rc);

#endif

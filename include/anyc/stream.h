/* SPDX-License-Identifier: MIT */
/*
 * Byte streams: what TCP, TLS and one's own transports have in common; and a buffered reader.
 *
 * Both directions may be used at once, each by one task: a second one gets ANYC_EBUSY.
 * close ends a stream, may wait, and may be called again; free never waits, takes NULL, closes
 * what is still open, and is where every clean-up ends.  A task inside a call gets ANYC_ECLOSED
 * when another task closes the stream; after that every call returns ANYC_ECLOSED.
 * A failure of the peer or the kernel is ANYC_EBROKEN, for good; anyc_error_errno() has the errno.
 * After a failed send, what the peer had sent before it can still be received: a server may answer
 * and hang up before it has read all.
 *
 * A stream is used on the thread of one loop: the one on which a call of it first waits, until it
 * is moved (anyc_stream_move()) or that loop ends.  Calls on another thread are misuse: they are
 * ANYC_ETHREAD once that loop has it, and not noticed before; in threads without a loop they may
 * never be.  A close or free of what another loop has, while that loop has tasks, is refused with a
 * report, and the stream is as it was.  In a forked child calls are ANYC_EFORKED.
 */
#ifndef ANYC_STREAM_H
#define ANYC_STREAM_H

#include <sys/uio.h>

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/* flags of receive and send_some */
enum {
	/* Never waits: ANYC_EWOULDBLOCK instead.  Not a checkpoint; also outside tasks. */
	ANYC_NOWAIT = 1
};

/* One call moves at most this much. */
#define ANYC_IO_MAX 0x7ffff000

/*
 * Receives 1 to size bytes; 0 at the clean end of the stream, every time.
 *   checkpoint  yes, without ANYC_NOWAIT           cancelled  no data was taken
 *   errors  ANYC_ECANCELED, ANYC_ECLOSED, ANYC_EBROKEN, ANYC_EBUSY, ANYC_EINVAL (size 0),
 *           ANYC_EWOULDBLOCK, ANYC_ETHREAD
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_receive(struct anyc_stream *s, void *buf, size_t size);
ANYC_API ANYC_MUST_CHECK int anyc_stream_receive_flags(struct anyc_stream *s, void *buf,
						       size_t size, unsigned flags);

/*
 * Sends all of it; 0, or an error.  Sending nothing is a checkpoint and no more.
 *   checkpoint  yes     cancelled  anyc_stream_sent() bytes were accepted, as after other errors
 *   errors  as receive
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_send(struct anyc_stream *s, const void *buf, size_t size);
ANYC_API ANYC_MUST_CHECK int anyc_stream_sendv(struct anyc_stream *s, const struct iovec *iov,
					       int count);
/* Sends some of it: the number of bytes, at least 1; or an error and nothing was accepted.
 * Nothing to send is ANYC_EINVAL. */
ANYC_API ANYC_MUST_CHECK int anyc_stream_send_some(struct anyc_stream *s, const struct iovec *iov,
						   int count, unsigned flags);
/* As a size: up to the end of the file. */
#define ANYC_TO_END SIZE_MAX

/*
 * Sends size bytes of a regular file, from offset on; the file's own position is neither used nor
 * moved.  A socket, also inside staples and buffered streams, has the kernel send them without a
 * copy (sendfile(2)); for other streams they are read into a buffer.  What is not in memory is read
 * by a worker thread first, and all of it where the file system cannot tell.  For sendfile the
 * kernel is asked for the last byte of each 256 KiB (RWF_NOWAIT of preadv2(2)): if pages before it
 * are missing, which reading in order does not leave, or tmpfs has swapped them out, the loop waits
 * for the disk.  The descriptor is the caller's, and stays open until the call returns.
 *   checkpoint  yes     cancelled  anyc_stream_sent() bytes were accepted, as after other errors
 *   errors  as send; ANYC_EINCOMPLETE: the file ended before; -errno of reading it (-EISDIR,
 *           -ESPIPE for a pipe, -EIO); -ENOMEM, -EAGAIN (no thread)
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_send_file(struct anyc_stream *s, int fd, int64_t offset,
						   size_t size);
/*
 * Takes the stream over from the loop that has used it: from here on the calls of this thread's
 * tasks, or of this plain thread, may use it, and those of the other loop's may not.  Called by
 * who received it from the other thread (anyc_xqueue, xsync.h), which does not use it any more:
 * nobody is inside a call.  Waits for the other loop's next turn, if that loop still has the
 * descriptor; a stream that is nobody's, or this loop's, is there at once.  Sockets, pipes and
 * files move, and wrappers move what they wrap; streams in memory stay.
 *   checkpoint  yes     cancelled  it is where it was, but for one half of a staple, perhaps: as
 *                                  after other errors another call moves the rest
 *   errors  ANYC_ECANCELED, ANYC_ECLOSED (also if it is closed meanwhile), ANYC_EBUSY (a task is
 *           inside), ANYC_EINVAL (NULL), ANYC_ENOTSUP, ANYC_EFORKED, -ENOMEM, -EMFILE
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_move(struct anyc_stream *s);
/* Bytes that the last anyc_stream_send(), sendv or send_file handed over. */
ANYC_API size_t anyc_stream_sent(const struct anyc_stream *s);

/*
 * Ends the sending direction: the peer sees the end, receiving goes on.  Idempotent; a later send
 * is ANYC_ECLOSED.
 *   checkpoint  yes     errors  ANYC_ECANCELED, ANYC_EBROKEN, ANYC_EBUSY, ANYC_ENOTSUP (TLS)
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_send_eof(struct anyc_stream *s);

/*
 * Closes.  In a cancelled scope it closes as well, without waiting.  The stream is closed
 * whatever is returned, but for two errors: ANYC_ENOTASK, and ANYC_ETHREAD, another thread's loop
 * has it and has tasks.
 *   checkpoint  yes     errors  ANYC_ECANCELED, ANYC_EBROKEN (the goodbye was not delivered)
 */
ANYC_API int anyc_stream_close(struct anyc_stream *s);
ANYC_API void anyc_stream_free(struct anyc_stream *s);

/* ----------------------------------------------------------------------------- attributes */

/* A kind of fact about a stream or listener: the address of a constant is its identity. */
struct anyc_attribute {
	const char *name;
	size_t size; /* of the value */
};
/*
 * Copies a fact to out; a wrapper asks what it wraps for what it does not know itself.  After a
 * failure the size bytes of out are 0, unless the size or an argument was wrong.
 *   errors  ANYC_ENOATTR, ANYC_EINVAL (size is not the attribute's), or the getter's own
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_attribute(struct anyc_stream *s,
						   const struct anyc_attribute *attribute,
						   void *out, size_t size);

/* ------------------------------------------------------------------ streams of one's own */

/*
 * What a stream must do.  The calls above have checked the arguments, hold the direction and
 * know the states open and closed; an operation only does its work.  All are required but those
 * marked.
 */
struct anyc_stream_ops {
	size_t size; /* of this structure */
	const char *name;
	/* as anyc_stream_receive_flags(); size is 1 to ANYC_IO_MAX.  NULL for a stream that only
	 * sends: ANYC_ENOTSUP */
	int (*receive)(struct anyc_stream *s, void *buf, size_t size, unsigned flags);
	/* as anyc_stream_send_some(); count >= 1, in all 1 to ANYC_IO_MAX bytes.  NULL for a
	 * stream that only receives */
	int (*send_some)(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags);
	/* optional: ANYC_ENOTSUP; not called again after it has succeeded */
	int (*send_eof)(struct anyc_stream *s);
	/* Closes, waiting only without ANYC_NOWAIT, and makes tasks inside return ANYC_ECLOSED;
	 * called once.  The cancellation was looked at already. */
	int (*close)(struct anyc_stream *s, unsigned flags);
	/* Frees the memory: closed, and no task is inside. */
	void (*free)(struct anyc_stream *s);
	/* optional */
	int (*attribute)(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out);
	/* optional: sends some of a file's size bytes from offset on without a buffer; 0 at the
	 * file's end.  ANYC_ENOTSUP, with nothing sent, has them read into one */
	int (*send_file)(struct anyc_stream *s, int fd, int64_t offset, size_t size);
	/* optional: makes it this loop's; ANYC_ENOTSUP, if NULL.  A wrapper moves what it wraps */
	int (*move)(struct anyc_stream *s);
};

/* The head of every stream.  The fields are private to the calls above. */
struct anyc_stream {
	const struct anyc_stream_ops *ops_;
	size_t sent_;
	uint32_t inside_; /* calls under way */
	int32_t broken_;  /* errno + 1 once broken */
	bool receiving_, sending_, eof_sent_, closed_, freed_;
	bool ended_; /* the clean end was received */
	bool cut_;   /* broken, and nothing is left to receive */
	bool moving_; /* anyc_stream_move() closes it, if that is asked for meanwhile */
	void *reserved_[3];
};
/* Makes the head valid; the rest is the stream's own. */
ANYC_API void anyc_stream_init(struct anyc_stream *s, const struct anyc_stream_ops *ops);

/* ----------------------------------------------------------------------- pairs and staples */

/*
 * Two connected streams in memory: what one sends the other receives, through a buffer of
 * `capacity` bytes for each direction (0: 64 KiB).  Once one is closed, the other receives what
 * was sent and then the end, and its own send is ANYC_EBROKEN with EPIPE.  The pair belongs to the
 * loop, or the thread without one, whose task first uses it; each end is freed on its own.
 * Not a checkpoint; also outside tasks.
 *   errors  -ENOMEM, ANYC_EINVAL (more than ANYC_IO_MAX); *a and *b are NULL
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_pair(struct anyc_stream **a, struct anyc_stream **b,
					      size_t capacity);
/*
 * One stream of two, which it owns: it receives from `receives` and sends to `sends`.  send_eof
 * closes `sends`; close closes both, whatever becomes of the first, and returns the first error;
 * attributes are those of `receives`, then those of `sends`.  Not a checkpoint.
 *   errors  -ENOMEM, ANYC_EINVAL (NULL, or twice the same); both are then still the caller's
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_staple(struct anyc_stream **out,
						struct anyc_stream *receives,
						struct anyc_stream *sends);

/* ------------------------------------------------------------------------ buffered reader */

/*
 * Reads a stream by exact amounts and by delimiters.  Errors leave what was read in the buffer.
 * The reader does not own the stream, which must outlive the last read; once the stream is closed
 * every read is ANYC_ECLOSED, whatever the buffer holds.  Fields are private.
 */
struct anyc_reader {
	struct anyc_stream *stream_;
	unsigned char *data_;
	size_t start_, end_, capacity_;
	uintptr_t magic_;
	bool closed_, busy_;
	uint8_t pad_[6];
	struct anyc_stream *owner_; /* that it is a part of, or NULL */
	void *reserved_[1];
};
/* Used without init it returns ANYC_EINVAL. */
ANYC_API void anyc_reader_init(struct anyc_reader *r, struct anyc_stream *stream);
/* Frees the buffer; NULL-safe, idempotent.  Later reads are ANYC_ECLOSED. */
ANYC_API void anyc_reader_free(struct anyc_reader *r);
/*
 * Receives 1 to size bytes, the buffer's first; 0 at the end.
 * checkpoint, cancelled and errors: as anyc_stream_receive(), and -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_reader_receive(struct anyc_reader *r, void *buf, size_t size);
/*
 * Receives exactly size bytes (0: at once, no checkpoint); 0, or an error.
 *   cancelled  nothing was lost: it is in the buffer
 *   errors     ANYC_EINCOMPLETE: the stream ended before
 */
ANYC_API ANYC_MUST_CHECK int anyc_reader_exactly(struct anyc_reader *r, void *buf, size_t size);
/*
 * Receives up to a delimiter, which is consumed: *out points at the *length bytes before it,
 * inside the reader's buffer, valid until the next call.  No more is received once the buffer
 * holds max bytes; a delimiter that is in the buffer already is found wherever it is, so *length
 * may be more than max.
 *   errors  ANYC_ENODELIM: max bytes without one; ANYC_EINCOMPLETE; both keep the data
 */
ANYC_API ANYC_MUST_CHECK int anyc_reader_until(struct anyc_reader *r, const void *delimiter,
					       size_t delimiter_size, size_t max, const char **out,
					       size_t *length);
/* What is in the buffer, without taking it. */
ANYC_API size_t anyc_reader_peek(const struct anyc_reader *r, const char **out);
/* Puts data behind what is in the buffer, to be read before the stream's.
 *   errors  -ENOMEM, ANYC_ECLOSED, ANYC_EBUSY (a task is reading) */
ANYC_API ANYC_MUST_CHECK int anyc_reader_feed(struct anyc_reader *r, const void *data, size_t size);

ANYC_END_DECLS
#endif

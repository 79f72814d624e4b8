/* SPDX-License-Identifier: MIT */
/*
 * Streams and listeners made of others, and streams on files.
 *
 * What wraps something owns it: close and free go through.  What it says is the wrapped stream's
 * own errors, for good where they are; its attributes are those of what it wraps.  A wrapper that
 * could not be made leaves what it was given to the caller, and *out is NULL.
 */
#ifndef ANYC_STREAMS_H
#define ANYC_STREAMS_H

#include <anyc/base.h>
#include <anyc/net.h>
#include <anyc/stream.h>

ANYC_BEGIN_DECLS

/* ------------------------------------------------------------------------ buffered streams */

/*
 * A stream with a buffered reader of its own.  Receiving goes through the reader's buffer, sending
 * past it, so that lines and bytes may be read in turn, and a header before what follows it is
 * handed to somebody who only knows streams.
 *   errors  -ENOMEM, ANYC_EINVAL
 */
ANYC_API ANYC_MUST_CHECK int anyc_buffered_stream(struct anyc_stream **out,
						  struct anyc_stream *below);
/*
 * The reader of such a stream, for the calls of stream.h but init and free; it lives as long as the
 * stream does.  It and the stream's own receive are one direction: ANYC_EBUSY for a second task.
 * NULL for another stream.
 */
ANYC_API struct anyc_reader *anyc_buffered_reader(struct anyc_stream *s);

/* ------------------------------------------------------------------------------------ text */

struct anyc_text_options {
	/* What is received and no UTF-8 becomes U+FFFD, one for each maximal part of a character;
	 * otherwise it is -EILSEQ, for good, once what came before it was received. */
	bool replace;
	uint8_t reserved_[15];
};
/*
 * A stream of UTF-8.
 *   receive  gives whole characters only, and never nothing but at the end.  Room for 4 bytes holds
 *            any; what does not fit is ANYC_EINVAL and stays.  A character that the end cuts off is
 *            no UTF-8.
 *   send     passes on what is UTF-8, so far as it goes; -EILSEQ: the next byte is none, and was
 *            not sent.  A character may be sent in parts.  send_eof in the middle of one is
 *            -EILSEQ too.
 * options may be NULL.
 *   errors  -ENOMEM, ANYC_EINVAL
 */
ANYC_API ANYC_MUST_CHECK int anyc_text_stream_sized(struct anyc_stream **out,
						    struct anyc_stream *below,
						    const struct anyc_text_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_text_stream(struct anyc_stream **out,
						 struct anyc_stream *below,
						 const struct anyc_text_options *options)
{
	return anyc_text_stream_sized(out, below, options, sizeof *options);
}

/* ----------------------------------------------------------------------------------- files */

/*
 * A file as a byte stream, through its own position.  What is in memory is read at once, all else
 * by worker threads, of which at most eight are busy with files at once in this process.
 *   receive  0 at the end, every time, until a seek
 *   send     some of it is written by each call below; with O_APPEND at the end of the file
 *   cancelled  before it begins; a call that a worker has is waited for and its result stands,
 *            so that no data is lost and nothing is written later
 *   close    in a worker, whose error is ANYC_EBROKEN; a worker that still reads or writes goes on,
 *            and the descriptor is closed when it has ended
 *   ANYC_NOWAIT receives what is in memory, and never sends
 *   a failure of the file is ANYC_EBROKEN with its errno; without memory or a thread -ENOMEM and
 *            -EAGAIN, and nothing has happened
 * A stream that is open for one direction only is ANYC_ENOTSUP in the other, and send_eof always.
 */

/*
 * Opens a file with flags of open(2), and O_CLOEXEC.  O_NONBLOCK is for the opening only, so that
 * a FIFO is refused (ANYC_EINVAL, or -ENXIO for writing) instead of waited for.
 *   checkpoint  yes     cancelled  nothing is open, or the file was opened and *out is it
 *   errors  -errno of open; -EISDIR; ANYC_ECANCELED, ANYC_EINVAL, -ENOMEM, -EAGAIN (no thread, or
 *           another process has a lease on it, fcntl(2))
 */
ANYC_API ANYC_MUST_CHECK int anyc_file_stream_open(struct anyc_stream **out, const char *path,
						   int flags, unsigned mode);
/*
 * Takes an open descriptor of a file over; after a failure it is still the caller's.
 *   errors  ANYC_EINVAL (a directory, an eventfd or its like, or what should be adopted as a pipe
 *           or socket), -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_file_stream_adopt(struct anyc_stream **out, int fd);
/*
 * Moves the position as lseek(2) does; *position is the new one, or -1 (NULL: of no interest).
 * By 0 from SEEK_CUR it asks.  Not a checkpoint.
 *   errors  ANYC_EINVAL (no file stream, whence, or before the beginning), ANYC_ECLOSED,
 *           ANYC_EBUSY (a task is inside), -errno (-ESPIPE)
 */
ANYC_API ANYC_MUST_CHECK int anyc_file_stream_seek(struct anyc_stream *s, int64_t offset,
						   int whence, int64_t *position);

/* ------------------------------------------------------------------------- many listeners */

/*
 * One listener of several.  accept waits at all of them; an error of one is its own error.  A list
 * of this kind that is among them is taken apart, and is the caller's to free then, closed.
 * Attributes are those of the last that has them.  close closes all, and gives the first error.
 *   errors  -ENOMEM, ANYC_EINVAL (none, NULL, closed, in use, or one twice); all are then still
 *           the caller's
 */
ANYC_API ANYC_MUST_CHECK int anyc_multi_listener(struct anyc_listener **out,
						 struct anyc_listener *const *listeners,
						 size_t count);

ANYC_END_DECLS
#endif

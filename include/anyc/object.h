/* SPDX-License-Identifier: MIT */
/*
 * Streams of objects: what is sent with one call is received with one call.  One interface for the
 * ends of queues, for datagram sockets, and for protocols of one's own, so that code that passes
 * messages need not know by what; and a byte stream over any of them, for those who know only
 * bytes: readers, text, TLS.
 *
 * An object is some bytes, perhaps none.  A stream may go in one direction only.  A reliable one
 * loses nothing, keeps the order, and has an end.  The calls are made on the thread of the loop
 * that what it is made of belongs to.
 */
#ifndef ANYC_OBJECT_H
#define ANYC_OBJECT_H

#include <anyc/base.h>
#include <anyc/queue.h>
#include <anyc/stream.h>
#include <anyc/udp.h>

ANYC_BEGIN_DECLS

struct anyc_object_stream;

/* ------------------------------------------------------------------------------- the calls */

/*
 * Receives one object.  The result is its length; if that is more than size, the rest of it was
 * cut off.  flags: ANYC_NOWAIT, ANYC_EWOULDBLOCK instead of waiting; then it is no checkpoint.
 *   checkpoint  yes, without ANYC_NOWAIT           cancelled  no object was taken
 *   errors  ANYC_ECANCELED; ANYC_EEOF: the end, every time; ANYC_ECLOSED, ANYC_EBROKEN,
 *           ANYC_EWOULDBLOCK, ANYC_EBUSY (datagrams: one task for each direction), ANYC_ETHREAD,
 *           ANYC_ENOTSUP (it only sends; its socket joins datagrams); ANYC_EINVAL: size is less
 *           than this stream's objects have, and it cannot cut them
 */
ANYC_API ANYC_MUST_CHECK int anyc_object_receive(struct anyc_object_stream *s, void *buf,
						 size_t size, unsigned flags);
/*
 * Sends one object: 0.  flags as above.
 *   checkpoint  yes, without ANYC_NOWAIT           cancelled  it was not sent
 *   errors  as receive, but ANYC_EEOF; ANYC_EBROKEN: nobody receives; ANYC_EINVAL: not the length
 *           that this stream's objects have
 */
ANYC_API ANYC_MUST_CHECK int anyc_object_send(struct anyc_object_stream *s, const void *data,
					      size_t size, unsigned flags);
/*
 * Ends the sending direction: the other side receives the end.  Idempotent; a later send is
 * ANYC_ECLOSED.
 *   checkpoint  yes     cancelled  nothing was ended
 *   errors  ANYC_ECANCELED, ANYC_ECLOSED, ANYC_EINVAL (NULL), ANYC_ENOTSUP (datagrams)
 */
ANYC_API ANYC_MUST_CHECK int anyc_object_send_eof(struct anyc_object_stream *s);
/*
 * Closes; also in a cancelled scope.  The stream is closed whatever is returned, and calls that
 * wait inside are ANYC_ECLOSED.
 *   checkpoint  yes     cancelled  it is closed
 *   errors  ANYC_ECANCELED, ANYC_EINVAL (NULL); and, not closed, ANYC_ENOTASK, ANYC_ETHREAD
 */
ANYC_API int anyc_object_stream_close(struct anyc_object_stream *s);
/* Closes, without waiting, and frees; NULL-safe.  In another thread refused, with a report. */
ANYC_API void anyc_object_stream_free(struct anyc_object_stream *s);
/* As of streams.   errors  ANYC_ENOATTR, ANYC_EINVAL, ANYC_ECLOSED */
ANYC_API ANYC_MUST_CHECK int anyc_object_stream_attribute(struct anyc_object_stream *s,
							  const struct anyc_attribute *attribute,
							  void *out, size_t size);

/* What a stream can do. */
#define ANYC_OBJECTS_RECEIVE 1U
#define ANYC_OBJECTS_SEND 2U
#define ANYC_OBJECTS_RELIABLE 4U
ANYC_API unsigned anyc_object_stream_abilities(const struct anyc_object_stream *s);
/* The most bytes that an object of it can have; 0: not known. */
ANYC_API size_t anyc_object_stream_largest(const struct anyc_object_stream *s);

/* ------------------------------------------------------------------------------ made of others */

/*
 * The objects are a queue's items: it sends by a clone of one end and receives by a clone of the
 * other, of this or of another queue; either may be NULL.  All have the queue's size.  Any number
 * of tasks may be inside.  Not a checkpoint.
 *   errors  ANYC_EINVAL (both NULL, or of two sizes), ANYC_ECLOSED, ANYC_ETHREAD, -ENOMEM; *out is
 *           NULL
 */
ANYC_API ANYC_MUST_CHECK int anyc_object_stream_of_queue(struct anyc_object_stream **out,
							 const struct anyc_sender *sender,
							 const struct anyc_receiver *receiver);
/* The objects are the datagrams of a connected socket, which it owns.
 *   errors  -ENOMEM, ANYC_EINVAL (NULL); the socket is then still the caller's */
ANYC_API ANYC_MUST_CHECK int anyc_object_stream_of_datagrams(struct anyc_object_stream **out,
							     struct anyc_datagram *datagrams);
/*
 * One stream of two, which it owns, as anyc_stream_staple().
 *   errors  -ENOMEM, ANYC_EINVAL (NULL, or twice the same); both are then still the caller's
 */
ANYC_API ANYC_MUST_CHECK int anyc_object_stream_staple(struct anyc_object_stream **out,
						       struct anyc_object_stream *receives,
						       struct anyc_object_stream *sends);
/*
 * A byte stream over reliable objects, which it owns: what an object has more than was asked for
 * waits for the next receive, and an object without bytes is passed over.  largest: how many bytes
 * an object may have at most (0: what the stream says); one that has more is ANYC_EBROKEN.  What is
 * sent goes in objects of at most so many bytes; a queue whose items have a fixed size other than 1
 * takes only what fills them.
 *   errors  -ENOMEM; ANYC_EINVAL: NULL, unreliable, or nobody knows the largest object; it is then
 *           still the caller's
 */
ANYC_API ANYC_MUST_CHECK int anyc_stream_of_objects(struct anyc_stream **out,
						    struct anyc_object_stream *objects,
						    size_t largest);

/* -------------------------------------------------------------------------- of one's own */

/* What a stream must do.  The calls above have checked the arguments and know the states open and
 * closed; an operation only does its work.  All are required but those marked. */
struct anyc_object_stream_ops {
	size_t size; /* of this structure */
	const char *name;
	bool reliable;
	uint8_t reserved_[7];
	/* as the calls; NULL for a direction that it has not: ANYC_ENOTSUP */
	int (*receive)(struct anyc_object_stream *s, void *buf, size_t size, unsigned flags);
	int (*send)(struct anyc_object_stream *s, const void *data, size_t size, unsigned flags);
	/* optional: ANYC_ENOTSUP; not called again after it has succeeded */
	int (*send_eof)(struct anyc_object_stream *s);
	/* Closes, waiting only without ANYC_NOWAIT, and makes tasks inside return ANYC_ECLOSED;
	 * called once. */
	int (*close)(struct anyc_object_stream *s, unsigned flags);
	/* Frees the memory: closed, and no task is inside. */
	void (*free)(struct anyc_object_stream *s);
	/* optional */
	int (*attribute)(struct anyc_object_stream *s, const struct anyc_attribute *attribute,
			 void *out);
	/* optional: the most bytes that an object can have; also of a closed stream */
	size_t (*largest)(const struct anyc_object_stream *s);
};

/* The head of every stream of objects.  The fields are private to the calls above. */
struct anyc_object_stream {
	const struct anyc_object_stream_ops *ops_;
	uint32_t inside_; /* calls under way */
	bool eof_sent_, closed_, freed_;
	uint8_t pad_;
	void *reserved_[3];
};
/* Makes the head valid; the rest is the stream's own. */
ANYC_API void anyc_object_stream_init(struct anyc_object_stream *s,
				      const struct anyc_object_stream_ops *ops);

ANYC_END_DECLS
#endif

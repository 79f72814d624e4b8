/* SPDX-License-Identifier: MIT */
/* The items of queues as a stream of objects. */
#include <errno.h>

#include <anyc/object.h>

#include "calls.h"

struct of_queue {
	struct anyc_object_stream stream;
	struct anyc_sender sender;
	struct anyc_receiver receiver;
	size_t item_size;
};

static struct of_queue *of(struct anyc_object_stream *s)
{
	return ANYC__CONTAINER(s, struct of_queue, stream);
}

static int wrong_size(const struct of_queue *q, unsigned flags, const char *call, size_t size)
{
	return anyc__refuse_arguments(flags,
				      "%s: the objects of this queue have %zu bytes, not %zu", call,
				      q->item_size, size);
}

static int queue_receive(struct anyc_object_stream *s, void *buf, size_t size, unsigned flags)
{
	struct of_queue *q = of(s);
	int rc;

	if (size < q->item_size)
		return wrong_size(q, flags, "object receive", size);
	rc = flags & ANYC_NOWAIT ? anyc_queue_receive_nowait(&q->receiver, buf)
				 : anyc_queue_receive(&q->receiver, buf);
	return rc == 0 ? (int)q->item_size : rc;
}

static int queue_send(struct anyc_object_stream *s, const void *data, size_t size, unsigned flags)
{
	struct of_queue *q = of(s);

	if (size != q->item_size)
		return wrong_size(q, flags, "object send", size);
	return flags & ANYC_NOWAIT ? anyc_queue_send_nowait(&q->sender, data)
				   : anyc_queue_send(&q->sender, data);
}

static int queue_send_eof(struct anyc_object_stream *s)
{
	int rc = anyc_checkpoint();

	return rc != 0 ? rc : anyc_sender_close(&of(s)->sender);
}

static int queue_close(struct anyc_object_stream *s, unsigned flags)
{
	struct of_queue *q = of(s);
	int rc = anyc_sender_close(&q->sender);

	(void)flags;
	return rc != 0 ? rc : anyc_receiver_close(&q->receiver);
}

static void queue_free(struct anyc_object_stream *s)
{
	anyc__free(of(s));
}

static size_t queue_largest(const struct anyc_object_stream *s)
{
	return ((const struct of_queue *)(const void *)s)->item_size;
}

#define QUEUE_OPS(receive_, send_, send_eof_) \
	{ \
		.size = sizeof(struct anyc_object_stream_ops), .name = "of a queue", \
		.reliable = true, .receive = (receive_), .send = (send_), \
		.send_eof = (send_eof_), .close = queue_close, .free = queue_free, \
		.largest = queue_largest, \
	}
static const struct anyc_object_stream_ops both_ops =
	QUEUE_OPS(queue_receive, queue_send, queue_send_eof);
static const struct anyc_object_stream_ops receive_ops = QUEUE_OPS(queue_receive, NULL, NULL);
static const struct anyc_object_stream_ops send_ops = QUEUE_OPS(NULL, queue_send, queue_send_eof);

static int clone_ends(struct of_queue *q, const struct anyc_sender *sender,
		      const struct anyc_receiver *receiver)
{
	struct anyc_queue_stats stats = { .item_size = 0 };
	int rc = 0;

	if (sender != NULL) {
		rc = anyc_sender_clone(&q->sender, sender);
		if (rc == 0)
			rc = anyc_sender_stats(&stats, &q->sender);
		q->item_size = stats.item_size;
	}
	if (receiver != NULL && rc == 0) {
		rc = anyc_receiver_clone(&q->receiver, receiver);
		if (rc == 0)
			rc = anyc_receiver_stats(&stats, &q->receiver);
		if (rc == 0 && sender != NULL && stats.item_size != q->item_size)
			rc = anyc__misuse(ANYC_EINVAL,
					  "anyc_object_stream_of_queue: items of %zu and of %zu "
					  "bytes do not make one stream",
					  q->item_size, stats.item_size);
		q->item_size = stats.item_size;
	}
	if (rc == 0 && q->item_size > ANYC_IO_MAX)
		rc = anyc__misuse(ANYC_EINVAL,
				  "anyc_object_stream_of_queue: items of %zu bytes are too large",
				  q->item_size);
	return rc;
}

int anyc_object_stream_of_queue(struct anyc_object_stream **out, const struct anyc_sender *sender,
				const struct anyc_receiver *receiver)
{
	struct of_queue *q;
	int rc;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || (sender == NULL && receiver == NULL))
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_object_stream_of_queue: it takes an end of a queue, and "
				    "a place for the stream");
	q = anyc__alloc(sizeof *q);
	if (q == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_object_stream_of_queue: no memory");
	rc = clone_ends(q, sender, receiver);
	if (rc != 0) {
		ANYC_IGNORE(anyc_sender_close(&q->sender));
		ANYC_IGNORE(anyc_receiver_close(&q->receiver));
		anyc__free(q);
		return rc;
	}
	anyc_object_stream_init(&q->stream, sender == NULL	? &receive_ops
					    : receiver == NULL ? &send_ops
							       : &both_ops);
	*out = &q->stream;
	return 0;
}

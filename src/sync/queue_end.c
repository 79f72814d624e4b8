/* SPDX-License-Identifier: MIT */
/* The ends of queues: opening, cloning, closing, refusing; rules: queue.h. */
#include <errno.h>
#include <string.h>

#include "queue.h"

/* -------------------------------------------------------------------------------- refusing */

uint64_t anyc__queue_engine_here(void)
{
	const struct anyc__engine *e = anyc__current_engine();

	return e != NULL ? anyc__engine_id(e) : 0;
}

int anyc__queue_refuse_engine(struct anyc_queue_ *q, uint64_t owner, const char *call)
{
	if (!anyc__engine_lives(owner) && q->sending.first == NULL && q->receiving.first == NULL) {
		anyc__queue_own(q, 0);
		return 0;
	}
	return anyc__misuse(ANYC_ETHREAD,
			    "%s: items or tasks of another thread's loop are in the queue; tasks "
			    "of one loop share it, threads share by anyc/xsync.h",
			    call);
}

int anyc__queue_fail(int rc, const char *call)
{
	if (rc == ANYC_ECLOSED)
		return anyc_fail(rc, 0, "%s: this end of the queue is closed", call);
	if (rc == ANYC_EBROKEN)
		return anyc_fail(rc, 0, "%s: every receiver of the queue is closed", call);
	return rc;
}

static int refuse_copy(const char *call)
{
	return anyc__misuse(ANYC_EINVAL,
			    "%s: this is no end of a queue: it was never opened, or it is a copy "
			    "of one, which has to be cloned",
			    call);
}

int anyc__queue_refuse_end(const struct anyc_queue_end_ *end, const char *call)
{
	return anyc__queue_is_end(end) ? anyc__queue_fail(ANYC_ECLOSED, call) : refuse_copy(call);
}

/* --------------------------------------------------------------------- opening and closing */

static void end_init(struct anyc_queue_end_ *end, struct anyc_queue_ *q)
{
	*end = (struct anyc_queue_end_){
		.queue_ = q,
		.magic_ = (uintptr_t)end ^ ANYC__QUEUE_MAGIC,
	};
}

static void free_unless_open(struct anyc_queue_ *q)
{
	if (q->senders != 0 || q->receivers != 0)
		return;
	anyc__ring_end(&q->ring);
	anyc__free(q);
}

static int queue_make(struct anyc_queue_ **out, size_t item_size, size_t capacity,
		      const struct anyc_queue_options *options)
{
	size_t room = capacity != ANYC_QUEUE_UNBOUNDED ? capacity : 0;
	struct anyc_queue_ *q;

	if (item_size == 0 || capacity > ANYC_QUEUE_UNBOUNDED || room > PTRDIFF_MAX / item_size)
		return anyc__misuse(ANYC_EINVAL,
				    "anyc_queue_open: room for %zu items of %zu bytes is not "
				    "possible",
				    capacity, item_size);
	q = anyc__alloc(sizeof *q);
	if (q != NULL && !anyc__ring_init(&q->ring, item_size, room)) {
		anyc__free(q);
		q = NULL;
	}
	if (q == NULL)
		return anyc_fail(-ENOMEM, ENOMEM,
				 "anyc_queue_open: no memory for %zu items of %zu bytes", room,
				 item_size);
	q->capacity = capacity;
	q->senders = q->receivers = 1;
	q->drop = options->drop;
	q->drop_arg = options->drop_arg;
	q->fast = options->fast;
	*out = q;
	return 0;
}

int anyc_queue_open_sized(struct anyc_sender *sender, struct anyc_receiver *receiver,
			  size_t item_size, size_t capacity,
			  const struct anyc_queue_options *options, size_t size)
{
	struct anyc_queue_options o;
	struct anyc_queue_ *q = NULL;
	int rc;

	if (sender == NULL || receiver == NULL)
		return anyc__misuse(ANYC_EINVAL, "anyc_queue_open: it opens an end of each kind");
	anyc__options_read(&o, sizeof o, options, size);
	rc = queue_make(&q, item_size, capacity, &o);
	end_init(&sender->end_, q);
	end_init(&receiver->end_, q);
	return rc;
}

/* Makes the clone, closed on failure; the caller counts it. */
static int clone(struct anyc_queue_end_ *to, const struct anyc_queue_end_ *end, const char *call)
{
	int rc;

	if (to == NULL || to == end)
		return anyc__misuse(ANYC_EINVAL, "%s: there is nowhere for the clone to be", call);
	rc = anyc__queue_check(end, true, anyc__queue_engine_here(), call);
	end_init(to, rc == 0 ? end->queue_ : NULL);
	return rc;
}

int anyc_sender_clone(struct anyc_sender *to, const struct anyc_sender *sender)
{
	int rc = clone(ANYC__QUEUE_END(to), ANYC__QUEUE_END(sender), "anyc_sender_clone");

	if (rc == 0)
		to->end_.queue_->senders++;
	return rc;
}

int anyc_receiver_clone(struct anyc_receiver *to, const struct anyc_receiver *receiver)
{
	int rc = clone(ANYC__QUEUE_END(to), ANYC__QUEUE_END(receiver), "anyc_receiver_clone");

	if (rc == 0)
		to->end_.queue_->receivers++;
	return rc;
}

/* Tasks that wait in the end are told, in the order in which they came. */
static void finish_calls(struct anyc_queue_end_ *end)
{
	struct anyc_queue_call_ *c = end->calls_, *next;

	while (c != NULL && c->next_of_end != NULL)
		c = c->next_of_end;
	for (; c != NULL; c = next) {
		next = c->prev_of_end;
		c->end = NULL;
		if (c->line != NULL)
			anyc__queue_finish(c, ANYC_ECLOSED);
	}
	end->calls_ = NULL;
}

/* Takes the queue from an end; NULL and 0: it had none. */
static int close_end(struct anyc_queue_ **out, struct anyc_queue_end_ *end, const char *call)
{
	int rc;

	*out = NULL;
	if (end == NULL || (end->magic_ == 0 && end->queue_ == NULL))
		return 0;
	if (!anyc__queue_is_end(end))
		return refuse_copy(call);
	if (end->queue_ == NULL)
		return 0;
	rc = anyc__queue_check_engine(end->queue_, anyc__queue_engine_here(), call);
	if (rc != 0)
		return rc;
	*out = end->queue_;
	end->queue_ = NULL;
	finish_calls(end);
	return 0;
}

static void finish_all(struct anyc__queue_line *line, int rc)
{
	while (line->first != NULL)
		anyc__queue_finish(line->first, rc);
}

int anyc_sender_close(struct anyc_sender *sender)
{
	struct anyc_queue_ *q;
	int rc = close_end(&q, ANYC__QUEUE_END(sender), "anyc_sender_close");

	if (q == NULL)
		return rc;
	if (--q->senders == 0)
		finish_all(&q->receiving, ANYC_EEOF);
	free_unless_open(q);
	return 0;
}

int anyc_receiver_close(struct anyc_receiver *receiver)
{
	struct anyc_queue_ *q, rest = {0}; /* the queue itself may be gone by then */
	int rc = close_end(&q, ANYC__QUEUE_END(receiver), "anyc_receiver_close");

	if (q == NULL)
		return rc;
	if (--q->receivers == 0) {
		rest = *q;
		q->ring = (struct anyc__ring){.item_size = q->ring.item_size};
		finish_all(&q->sending, ANYC_EBROKEN);
		anyc__queue_disown_if_idle(q);
	}
	free_unless_open(q);
	/* A callback may do as it likes with the other ends. */
	anyc__ring_drop(&rest.ring, rest.drop, rest.drop_arg);
	return 0;
}

/* ------------------------------------------------------------------------------ statistics */

static size_t length(const struct anyc__queue_line *line)
{
	const struct anyc_queue_call_ *c;
	size_t n = 0;

	for (c = line->first; c != NULL; c = c->next)
		n++;
	return n;
}

static int stats(struct anyc_queue_stats *out, const struct anyc_queue_end_ *end, const char *call)
{
	const struct anyc_queue_ *q;
	int rc;

	if (out == NULL)
		return anyc__misuse(ANYC_EINVAL, "%s: there is nowhere to put them", call);
	memset(out, 0, sizeof *out);
	rc = anyc__queue_check(end, true, anyc__queue_engine_here(), call);
	if (rc != 0)
		return rc;
	q = end->queue_;
	out->item_size = q->ring.item_size;
	out->capacity = q->capacity;
	out->used = q->ring.count;
	out->peak = q->ring.peak;
	out->senders = q->senders;
	out->receivers = q->receivers;
	out->senders_waiting = length(&q->sending);
	out->receivers_waiting = length(&q->receiving);
	return 0;
}

int anyc_sender_stats(struct anyc_queue_stats *out, const struct anyc_sender *sender)
{
	return stats(out, ANYC__QUEUE_END(sender), "anyc_sender_stats");
}

int anyc_receiver_stats(struct anyc_queue_stats *out, const struct anyc_receiver *receiver)
{
	return stats(out, ANYC__QUEUE_END(receiver), "anyc_receiver_stats");
}

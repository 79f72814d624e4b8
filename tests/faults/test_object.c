/* SPDX-License-Identifier: MIT */
/* Faults in streams of objects, and of bytes over them. */
#include "faults.h"

#include <anyc/object.h>

#define ITEMS 6

/* What goes into a queue, and a staple of what comes out of it and of another way in. */
struct ends {
	struct anyc_object_stream *in, *out;
};

static int make(struct ends *e)
{
	struct anyc_object_stream *from = NULL, *other = NULL;
	struct anyc_receiver r;
	struct anyc_sender s;
	int rc = anyc_queue_open(&s, &r, sizeof(int), 2, NULL);

	if (rc == 0)
		rc = anyc_object_stream_of_queue(&e->in, &s, NULL);
	if (rc == 0)
		rc = anyc_object_stream_of_queue(&from, NULL, &r);
	if (rc == 0)
		rc = anyc_object_stream_of_queue(&other, &s, NULL);
	if (rc == 0)
		rc = anyc_object_stream_staple(&e->out, from, other);
	if (rc != 0) { /* both are still ours */
		anyc_object_stream_free(from);
		anyc_object_stream_free(other);
	}
	ANYC_IGNORE(anyc_sender_close(&s));
	ANYC_IGNORE(anyc_receiver_close(&r));
	return rc;
}

static int send_all(void *arg)
{
	struct anyc_object_stream *s = arg;
	int rc = 0;

	for (int i = 0; i < ITEMS && rc == 0; i++)
		rc = anyc_object_send(s, &i, sizeof i, 0);
	ANYC_IGNORE(anyc_object_stream_close(s)); /* the end, whatever happened */
	return ended(rc);
}

/* All in order, and then the end, or an error. */
static int receive_all(struct anyc_stream *s)
{
	int n, item, next = 0;

	while ((n = anyc_stream_receive(s, &item, sizeof item)) == (int)sizeof item)
		CHECK_INT(item, ==, next++);
	return n < 0 ? n : next == ITEMS ? 0 : ENDED_EARLY;
}

static int bytes_over_objects(void *arg)
{
	struct ends e = { NULL, NULL };
	struct anyc_stream *bytes = NULL;
	struct anyc_group g;
	int rc = make(&e);

	(void)arg;
	if (rc == 0) {
		rc = anyc_object_send_eof(e.out); /* of the other way in */
		if (rc == 0)
			rc = anyc_stream_of_objects(&bytes, e.out, 0);
	}
	if (bytes == NULL)
		anyc_object_stream_free(e.out);
	if (rc == 0) {
		anyc_group_enter(&g, NULL);
		rc = anyc_spawn(&g, send_all, e.in);
		if (rc == 0)
			rc = receive_all(bytes);
		rc = anyc_group_leave(&g, rc);
	}
	anyc_stream_free(bytes);
	anyc_object_stream_free(e.in);
	return rc;
}

FAULTS(f01_bytes_over_objects, bytes_over_objects, ALSO(ENDED_EARLY, ANYC_EBROKEN))

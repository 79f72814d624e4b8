/* SPDX-License-Identifier: MIT */
/*
 * For authors of streams: every promise of stream.h, looked at on streams of one's own.
 *
 *	static int make(void *arg, struct anyc_stream **a, struct anyc_stream **b)
 *	{
 *		return my_pair(a, b);
 *	}
 *
 *	ANYC_TEST(my_stream, keeps_the_promises_of_streams)
 *	{
 *		struct anyc_stream_check check = { .make = make, .name = "my stream" };
 *
 *		anyc_stream_check(&check);
 *	}
 *
 * In libanyc-test.
 */
#ifndef ANYC_STREAM_CHECK_H
#define ANYC_STREAM_CHECK_H

#include <anyc/base.h>
#include <anyc/stream.h>

ANYC_BEGIN_DECLS

/* What a kind of stream does not do. */
enum {
	ANYC_STREAM_ONE_WAY = 1,     /* a sends and b receives; the other way is not looked at */
	ANYC_STREAM_NO_SEND_EOF = 2, /* it must be ANYC_ENOTSUP; close ends sending */
	/* A send that is cancelled while it waits breaks the stream, and what it has sent need not
	 * arrive: TLS. */
	ANYC_STREAM_CUT_SEND_BREAKS = 4,
	ANYC_STREAM_TEXT = 8, /* takes UTF-8 only: what is sent is ASCII */
	/* What a sends is kept, and b receives what is there and then the end, without waiting for
	 * a: files.  What takes a peer is not looked at. */
	ANYC_STREAM_STORED = 16
};

struct anyc_stream_check {
	/* Makes two connected streams, in the calling task; called once for each promise. */
	int (*make)(void *arg, struct anyc_stream **a, struct anyc_stream **b);
	void *arg;
	const char *name; /* of the kind, for messages; or NULL */
	unsigned limits;  /* of the above */
	uint32_t seed;    /* of random sizes and data; 0: 1 */
	/* How much makes a sender wait whose peer receives nothing; 0: 8 MiB. */
	size_t clog;
	int64_t patience; /* with each promise, multiplied by ANYC_TEST_SLOW; 0: 10 s */
	void *reserved_[2];
};
/*
 * Looks at one promise after the other, in a task of a test.  One that is broken fails the test
 * (anyc_test_fail()), with the promise's name; so does one that takes too long.
 *   checkpoint  yes     cancelled  the test fails
 */
ANYC_API void anyc_stream_check_sized(const struct anyc_stream_check *check, size_t size);
ANYC_INLINE void anyc_stream_check(const struct anyc_stream_check *check)
{
	anyc_stream_check_sized(check, sizeof *check);
}

ANYC_END_DECLS
#endif

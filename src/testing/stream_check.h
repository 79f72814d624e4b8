/* SPDX-License-Identifier: MIT */
/* The stream check: what its runner and its promises share. */
#ifndef ANYC_TESTING_STREAM_CHECK_H
#define ANYC_TESTING_STREAM_CHECK_H

#include <anyc/error.h>
#include <anyc/stream_check.h>
#include <anyc/testing.h>

struct anyc__run {
	struct anyc_stream_check check;
	const char *promise;
	struct anyc_stream *a, *b; /* a new pair for each promise; freed after it unless NULL */
	uint32_t random;
};

/* One that has to be kept; run in a task, within a deadline. */
struct anyc__promise {
	const char *text;
	void (*look)(struct anyc__run *r);
	unsigned not_with; /* limits */
};
extern const struct anyc__promise anyc__promises[];
extern const size_t anyc__promise_count;

/* Fails the test: what is not as promised. */
void anyc__broken(const struct anyc__run *r, unsigned line, const char *format, ...)
	__attribute__((__noreturn__)) ANYC_PRINTF(3, 4);
void anyc__want_rc(const struct anyc__run *r, unsigned line, const char *what, int rc, int want);

#define BROKEN(r, ...) anyc__broken((r), __LINE__, __VA_ARGS__)
#define WANT(r, condition, ...) \
	do { \
		if (!(condition)) \
			anyc__broken((r), __LINE__, __VA_ARGS__); \
	} while (0)
#define WANT_RC(r, call, want) anyc__want_rc((r), __LINE__, #call, (call), (want))
#define WANT_OK(r, call) WANT_RC(r, call, 0)

static inline bool anyc__has_limit(const struct anyc__run *r, unsigned limit)
{
	return (r->check.limits & limit) != 0;
}

/* From 1 to most. */
size_t anyc__random_size(struct anyc__run *r, size_t most);
/* The i-th byte of the data. */
unsigned char anyc__byte_at(const struct anyc__run *r, size_t i);
unsigned char *anyc__data_make(const struct anyc__run *r, size_t size);

/* Ends the sending direction of s as it can. */
void anyc__end_sending(struct anyc__run *r, struct anyc_stream *s);
/* Receives bytes of the data from `at` on, exactly n, at most `most` (0: 4096) in one call. */
void anyc__receive_data(struct anyc__run *r, struct anyc_stream *s, size_t at, size_t n,
			size_t most);
/* Receives the data from its first byte on until the end; how much it was. */
size_t anyc__receive_to_end(struct anyc__run *r, struct anyc_stream *s);

#endif

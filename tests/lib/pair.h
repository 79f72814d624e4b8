/* SPDX-License-Identifier: MIT */
/*
 * Two byte streams in memory, each the other's peer, for tests of what goes over streams: they
 * move one byte at a time, stop taking data, end, break or lie when told to.
 */
#ifndef ANYC_TEST_PAIR_H
#define ANYC_TEST_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include <anyc/stream.h>

struct pair_options {
	size_t capacity; /* bytes under way in one direction; 0: 64 KiB */
	size_t most;     /* one call moves at most so many bytes; 0: no limit */
	unsigned seed;   /* not 0: and a random number of them */
};

/* Both ends, to be freed one by one; a failure of memory ends the process. */
void pair_make(struct anyc_stream **a, struct anyc_stream **b, const struct pair_options *options);

/* Sends of s take nothing until it is switched off. */
void pair_clog(struct anyc_stream *s, bool on);
/* What the peer of s has sent is still received, but it can send no more: EPIPE. */
void pair_deafen(struct anyc_stream *s);
/* After n more bytes from s nothing comes any more, and its peer sees the end. */
void pair_cut_after(struct anyc_stream *s, size_t n);
/* Both directions of s are broken, with this errno. */
void pair_break(struct anyc_stream *s, int os_errno);
/* The n-th byte from now that s sends arrives with a bit turned over. */
void pair_corrupt(struct anyc_stream *s, size_t n);

struct pair_counts {
	size_t sends, receives; /* calls that moved something */
	size_t sent, received;  /* bytes */
	size_t unread;          /* of the peer's bytes */
	size_t undelivered;     /* of its own */
	bool eof_sent;          /* send_eof was called */
};
/* What s has done. */
struct pair_counts pair_counts(const struct anyc_stream *s);
/* The peer of s has been closed. */
bool pair_peer_closed(const struct anyc_stream *s);

#endif

/* SPDX-License-Identifier: MIT */
/* Short names for the kit's streams in memory. */
#ifndef ANYC_TEST_PAIR_H
#define ANYC_TEST_PAIR_H

#include "anyc_test.h"

#define pair_options anyc_test_pair_options
#define pair_clog anyc_test_pair_clog
#define pair_deafen anyc_test_pair_deafen
#define pair_cut_after anyc_test_pair_cut_after
#define pair_break anyc_test_pair_break
#define pair_corrupt anyc_test_pair_corrupt

static inline void pair_make(struct anyc_stream **a, struct anyc_stream **b,
			     const struct anyc_test_pair_options *options)
{
	CHECK_OK(anyc_test_pair(a, b, options));
}

/* What s has done. */
#define pair_counts anyc_test_pair_counts
static inline struct anyc_test_pair_counts counts_of(const struct anyc_stream *s)
{
	struct anyc_test_pair_counts counts;

	anyc_test_pair_counts(&counts, s);
	return counts;
}

static inline bool pair_peer_closed(const struct anyc_stream *s)
{
	return counts_of(s).peer_closed;
}

#endif

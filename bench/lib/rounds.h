/* SPDX-License-Identifier: MIT */
/*
 * Servers that do the same work, measured in turn, in rounds.
 *
 * Rules
 *  - Servers run on one processor, the load on another.  CPU time is the server's, not ours.
 *  - All servers are up all the time, with all their connections, if there are descriptors enough;
 *    else each connects anew for each sample, and its connecting does not count.
 *  - A ratio is that of two samples of one round; what is told is the median.
 *  - A sample is disturbed, and dropped, if the server was preempted at a higher rate than in its
 *    own median sample (Go's threads preempt each other), and than the median server in its; or if
 *    it did not run at all.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include "load.h"
#include "peer.h"

#define ROUNDS_MAX 50
#define SIDES_MAX 16

struct side {
	struct peer peer;
	unsigned native; /* index of the server by hand on the same loop */
	bool by_hand, is_anyc;
};

/* What a sample says. */
enum figure {
	FIGURE_CPU,      /* CPU time of the server for each of what the load counts, in ns */
	FIGURE_RESIDENT, /* resident memory for each connection, in bytes; in one round */
	FIGURE_WAIT      /* how long another task of an anyc server has to wait, in ns: one in a
			  * hundred times longer, not counting less than 2 us */
};

struct work {
	const char *title, *unit;
	const char *use; /* of the server */
	enum load_use load;
	enum figure figure;
	unsigned connections;
	bool tls;
	double scale; /* of the figure, to its unit */
};

struct sample {
	double figure; /* NAN: dropped */
	double per_second;
	double preemptions; /* for each ms of CPU time */
};

struct results {
	unsigned rounds;
	struct sample samples[SIDES_MAX][ROUNDS_MAX];
};

/* Starts the servers, measures each in so many rounds, and ends them. */
void rounds_measure(struct results *out, const struct work *w, struct side *sides, size_t count,
		    unsigned rounds);
/* Medians: of a side, in the work's unit; of what it does in a second; of its ratio to another. */
double rounds_figure(const struct results *r, const struct work *w, size_t side);
double rounds_per_second(const struct results *r, size_t side);
double rounds_ratio(const struct results *r, size_t side, size_t other);
/* In how many rounds it was not disturbed. */
unsigned rounds_kept(const struct results *r, size_t side);

/* System calls that each server makes for a message. */
void rounds_count_calls(struct peer_calls *out, double *messages, const struct work *w,
			struct side *sides, size_t count);

#endif

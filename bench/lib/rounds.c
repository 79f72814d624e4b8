/* SPDX-License-Identifier: MIT */
/* Starting, asking in turn, dropping what was disturbed; rules: rounds.h. */
#include "rounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "server.h"

#define SAMPLE_NS 100000000
#define SPARE 100           /* descriptors that are not for connections */
#define COUNTED 1000        /* messages under strace, about */
#define COUNTING_NS 60000000000

static struct load *loads[SIDES_MAX];
static struct server_waits *waits;

/* ---------------------------------------------------------------------------------- servers */

/* Memory that the servers to come share with us. */
static void share_waits(void)
{
	char number[16];
	int fd = memfd_create("waits", 0);

	if (fd < 0 || ftruncate(fd, sizeof *waits) != 0)
		bench_die("memfd_create failed");
	waits = mmap(NULL, sizeof *waits, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (waits == MAP_FAILED)
		bench_die("mmap failed");
	snprintf(number, sizeof number, "%d", fd);
	setenv(SERVER_WAITS, number, 1);
}

/* One wait in a hundred was longer, in ns; 0 without any. */
static double long_wait(void)
{
	double all = 0, longer = 0;
	int us;

	for (us = 0; us < SERVER_WAITS_MOST; us++)
		all += waits->count[us];
	for (us = SERVER_WAITS_MOST - 1; us > 0 && longer <= all / 100; us--)
		longer += waits->count[us];
	return (us + 1) * 1e3;
}

/* The servers are on one processor, and we on another. */
static void start(const struct work *w, struct side *sides, size_t count)
{
	static int processors[2] = {-1, -1};
	size_t i;

	if (processors[0] < 0) {
		peer_processors(processors);
		peer_pin(processors[1]);
	}
	for (i = 0; i < count; i++)
		peer_start(&sides[i].peer, w->use, processors[0]);
}

static rlim_t descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_die("getrlimit failed");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

static struct load *connect_to(const struct side *side, const struct work *w)
{
	return load_open(side->peer.port, w->connections, w->load, w->tls);
}

/* ---------------------------------------------------------------------------------- samples */

static struct sample take(const struct side *side, const struct work *w, struct load *load)
{
	int64_t cpu = peer_cpu(&side->peer), wall = bench_wall();
	long preemptions = peer_preemptions(&side->peer);
	struct sample s;
	double done, used;

	if (w->figure == FIGURE_WAIT)
		memset(waits, 0, sizeof *waits);
	done = (double)load_run(load, SAMPLE_NS, UINT64_MAX);
	used = (double)(peer_cpu(&side->peer) - cpu);
	s.figure = w->figure == FIGURE_WAIT ? long_wait() : used / done;
	if (used <= 0 || done <= 0)
		s.figure = NAN;
	s.per_second = done * 1e9 / (double)(bench_wall() - wall);
	s.preemptions = (double)(peer_preemptions(&side->peer) - preemptions) /
			fmax(used / 1e6, 1e-3);
	return s;
}

/* What a connection costs once it has been served and does nothing. */
static struct sample take_resident(const struct side *side, const struct work *w)
{
	struct work one = *w;
	struct load *load;
	double before;

	/* What the first one makes, all have. */
	one.connections = 1;
	load_close(connect_to(side, &one));
	peer_settle(&side->peer);
	before = peer_resident(&side->peer);
	load = connect_to(side, w);
	peer_settle(&side->peer);
	before = peer_resident(&side->peer) - before;
	load_close(load);
	peer_settle(&side->peer);
	return (struct sample){.figure = before / w->connections, .per_second = NAN};
}

static struct sample take_alone(const struct side *side, const struct work *w)
{
	struct load *load = connect_to(side, w);
	struct sample s;

	peer_settle(&side->peer);
	s = take(side, w, load);
	load_close(load);
	peer_settle(&side->peer);
	return s;
}

static void take_all(struct results *r, const struct work *w, struct side *sides, size_t count,
		     bool together)
{
	unsigned round;
	size_t i;

	for (i = 0; i < count && together; i++) {
		loads[i] = connect_to(&sides[i], w);
		take(&sides[i], w, loads[i]); /* warms up */
	}
	for (round = 0; round < r->rounds; round++)
		for (i = 0; i < count; i++)
			r->samples[i][round] =
				w->figure == FIGURE_RESIDENT ? take_resident(&sides[i], w)
				: together		     ? take(&sides[i], w, loads[i])
							     : take_alone(&sides[i], w);
	for (i = 0; i < count && together; i++)
		load_close(loads[i]);
}

static double median_preemptions(const struct sample *samples, unsigned rounds)
{
	double sorted[ROUNDS_MAX];
	unsigned round;

	for (round = 0; round < rounds; round++)
		sorted[round] = samples[round].preemptions;
	return bench_median(sorted, rounds);
}

static void drop_disturbed(struct results *r, size_t count)
{
	double most[SIDES_MAX], sorted[SIDES_MAX], all;
	unsigned round;
	size_t i;

	for (i = 0; i < count; i++)
		sorted[i] = most[i] = median_preemptions(r->samples[i], r->rounds);
	all = fmax(bench_median(sorted, count), 0.05);
	for (i = 0; i < count; i++)
		for (round = 0; round < r->rounds; round++)
			if (r->samples[i][round].preemptions > fmax(most[i], all))
				r->samples[i][round].figure = NAN;
}

void rounds_measure(struct results *out, const struct work *w, struct side *sides, size_t count,
		    unsigned rounds)
{
	rlim_t room = descriptors();
	size_t i;

	if (w->connections + SPARE > room)
		bench_die("%u connections need more descriptors than ulimit -n allows",
			  w->connections);
	out->rounds = w->figure == FIGURE_RESIDENT ? 1 : rounds;
	if (w->figure == FIGURE_WAIT)
		share_waits();
	start(w, sides, count);
	take_all(out, w, sides, count,
		 w->figure != FIGURE_RESIDENT && w->connections * count + SPARE <= room);
	for (i = 0; i < count; i++)
		peer_stop(&sides[i].peer);
	unsetenv(SERVER_WAITS);
	drop_disturbed(out, count);
}

/* ---------------------------------------------------------------------------------- medians */

double rounds_ratio(const struct results *r, size_t side, size_t other)
{
	double ratio[ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < r->rounds; i++)
		ratio[i] = r->samples[side][i].figure / r->samples[other][i].figure;
	return bench_median(ratio, r->rounds);
}

double rounds_figure(const struct results *r, const struct work *w, size_t side)
{
	double figures[ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < r->rounds; i++)
		figures[i] = r->samples[side][i].figure;
	return bench_median(figures, r->rounds) * w->scale;
}

double rounds_per_second(const struct results *r, size_t side)
{
	double figures[ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < r->rounds; i++)
		figures[i] = r->samples[side][i].per_second;
	return bench_median(figures, r->rounds);
}

unsigned rounds_kept(const struct results *r, size_t side)
{
	unsigned i, n = 0;

	for (i = 0; i < r->rounds; i++)
		n += !isnan(r->samples[side][i].figure);
	return n;
}

/* ----------------------------------------------------------------------------- system calls */

void rounds_count_calls(struct peer_calls *out, double *messages, const struct work *w,
			struct side *sides, size_t count)
{
	struct load *load;
	size_t i;

	start(w, sides, count);
	for (i = 0; i < count; i++) {
		load = connect_to(&sides[i], w);
		if (!peer_count_begin(&sides[i].peer))
			bench_die("strace cannot attach to a server: is it installed and allowed?");
		messages[i] = (double)load_run(load, COUNTING_NS, 1 + COUNTED / w->connections);
		peer_count_end(&out[i]);
		load_close(load);
		peer_stop(&sides[i].peer);
	}
}

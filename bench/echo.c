/* SPDX-License-Identifier: MIT */
/*
 * TCP echo of 64-byte messages: the CPU time of a server for each request, on anyc and by hand on
 * the same loops, and the system calls that it makes.
 *
 *	bench/echo [ROUNDS]
 *
 * Rules
 *  - Servers run on one processor, the load on another.  CPU time is the server's, not ours.
 *  - All servers are up all the time, with all their connections, and are asked in turn, in
 *    rounds.  A ratio is that of two samples of one round; what is printed is the median.
 *  - A sample is disturbed if the server was preempted at a higher rate than in the median sample.
 *  - System calls are counted by strace in runs of their own.
 */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/bench.h"
#include "lib/load.h"
#include "lib/peer.h"

#define ROUNDS 15
#define ROUNDS_MAX 200
#define SAMPLE_NS 100000000
#define COUNTED 1000        /* requests under strace, about */
#define SECONDS_MAX 600
#define CALLS_MAX 2.05      /* by hand, at 64 connections */
#define GOAL 1.10

/* `native`: index of the server by hand on the same loop. */
static struct side {
	struct peer peer;
	unsigned native;
	bool is_anyc;
} sides[] = {
	{{.name = "epoll by hand", .program = "echo_epoll"}, 0, false},
	{{.name = "libuv by hand (uv_poll)", .program = "echo_uv"}, 0, false},
	{{.name = "libuv by hand (uv_tcp)", .program = "echo_uv", .argument = "tcp"}, 0, false},
	{{.name = "libevent by hand (event_new)", .program = "echo_event"}, 0, false},
	{{.name = "libev by hand (ev_io)", .program = "echo_ev"}, 0, false},
	{{.name = "anyc alone", .program = "echo_anyc", .argument = "anyc"}, 0, true},
	{{.name = "anyc on libuv", .program = "echo_anyc", .argument = "libuv"}, 1, true},
	{{.name = "anyc on libevent", .program = "echo_anyc", .argument = "libevent"}, 3, true},
	{{.name = "anyc on libev", .program = "echo_anyc", .argument = "libev"}, 4, true},
};
#define SIDES (sizeof sides / sizeof *sides)

struct sample {
	double requests, cpu, rate; /* ns; preemptions for each ms of CPU */
	bool kept;
};

static struct sample samples[SIDES][ROUNDS_MAX];
static struct load *loads[SIDES];
static double calls[SIDES][5]; /* for each request; the last: all */
static unsigned rounds = ROUNDS;
static FILE *csv;

/* --------------------------------------------------------------------------------- samples */

static struct sample take(struct side *side, struct load *load)
{
	int64_t cpu = peer_cpu(&side->peer);
	long preemptions = peer_preemptions(&side->peer);
	struct sample s;

	s.requests = (double)load_run(load, SAMPLE_NS, UINT64_MAX);
	s.cpu = (double)(peer_cpu(&side->peer) - cpu);
	s.rate = (double)(peer_preemptions(&side->peer) - preemptions) / (s.cpu / 1e6);
	return s;
}

static void take_all(void)
{
	unsigned round;
	size_t i;

	for (i = 0; i < SIDES; i++)
		take(&sides[i], loads[i]); /* warms up */
	for (round = 0; round < rounds; round++)
		for (i = 0; i < SIDES; i++)
			samples[i][round] = take(&sides[i], loads[i]);
}

static void drop_disturbed(void)
{
	static double rates[SIDES * ROUNDS_MAX];
	unsigned round;
	size_t i, n = 0;
	double most;

	for (i = 0; i < SIDES; i++)
		for (round = 0; round < rounds; round++)
			rates[n++] = samples[i][round].rate;
	most = fmax(bench_median(rates, n), 0.05);
	for (i = 0; i < SIDES; i++)
		for (round = 0; round < rounds; round++)
			samples[i][round].kept = samples[i][round].rate <= most;
}

static double per_request(const struct sample *s)
{
	return s->kept ? s->cpu / s->requests : NAN;
}

/* ------------------------------------------------------------------------------ system calls */

static void count_calls(size_t i, unsigned connections)
{
	struct peer_calls c;
	double n;

	if (!peer_count_begin(&sides[i].peer))
		bench_die("strace cannot attach to a server: is it installed and allowed?");
	n = (double)load_run(loads[i], (int64_t)60 * 1000000000, 1 + COUNTED / connections);
	peer_count_end(&c);
	calls[i][0] = (double)c.receive / n;
	calls[i][1] = (double)c.send / n;
	calls[i][2] = (double)c.wait / n;
	calls[i][3] = (double)c.control / n;
	calls[i][4] = (double)(c.receive + c.send + c.wait + c.control + c.other) / n;
}

/* What must hold: peers that are no strawmen, and what anyc promises. */
static void check_calls(size_t i, unsigned connections)
{
	const double *c = calls[i];

	if (!sides[i].is_anyc && connections == 64 && c[4] > CALLS_MAX)
		bench_die(
			"%s makes %.2f system calls for each request, more than %.2f: it is badly "
			"written",
			sides[i].peer.name, c[4], CALLS_MAX);
	if (sides[i].is_anyc && (c[3] > 0 || c[0] > 1.001 || c[1] > 1.001))
		bench_die("%s makes %.3f recv, %.3f send and %.3f epoll_ctl for each request; "
			  "promised "
			  "are 1, 1 and 0",
			  sides[i].peer.name, c[0], c[1], c[3]);
}

/* --------------------------------------------------------------------------------- telling */

static double median_ratio(size_t a, size_t b, unsigned *used)
{
	double ratio[ROUNDS_MAX];
	unsigned i;

	*used = 0;
	for (i = 0; i < rounds; i++) {
		ratio[i] = per_request(&samples[a][i]) / per_request(&samples[b][i]);
		*used += !isnan(ratio[i]);
	}
	return bench_median(ratio, rounds);
}

static void print_side(size_t i, unsigned connections)
{
	double us[ROUNDS_MAX], native, epoll;
	unsigned k, used;

	for (k = 0; k < rounds; k++)
		us[k] = per_request(&samples[i][k]) / 1000;
	epoll = median_ratio(i, 0, &used);
	native = median_ratio(i, sides[i].native, &used);
	printf("%-29s %7.2f ", sides[i].peer.name, bench_median(us, rounds));
	if (sides[i].is_anyc)
		printf("%8.3f", native);
	else
		printf("%8s", "");
	printf(" %8.3f %6u  %6.3f %6.3f %6.3f %6.3f %6.3f", epoll, used, calls[i][0], calls[i][1],
	       calls[i][2], calls[i][3], calls[i][4]);
	if (sides[i].is_anyc && connections >= 64)
		printf("  %s", native <= GOAL ? "met" : "MISSED");
	putchar('\n');
}

static void write_samples(unsigned connections)
{
	unsigned round;
	size_t i;

	for (i = 0; i < SIDES; i++)
		for (round = 0; round < rounds; round++) {
			const struct sample *s = &samples[i][round];

			fprintf(csv, "%u,\"%s\",%u,%.0f,%.0f,%.4f,%d,%.4f\n", connections,
				sides[i].peer.name, round, s->requests, s->cpu, s->rate, s->kept,
				calls[i][4]);
		}
}

/* ------------------------------------------------------------------------------------- runs */

static void run(unsigned connections)
{
	size_t i;

	for (i = 0; i < SIDES; i++)
		loads[i] = load_open(sides[i].peer.port, connections);
	take_all();
	for (i = 0; i < SIDES; i++)
		count_calls(i, connections);
	for (i = 0; i < SIDES; i++)
		load_close(loads[i]);
	drop_disturbed();
	printf("\n%4u connection%s              us CPU/  / by      /           system calls for "
	       "each "
	       "request\n%-29s request    hand    epoll rounds    recv   send   wait    ctl    all"
	       "%s\n",
	       connections, connections == 1 ? " " : "s", "",
	       connections >= 64 ? "  goal 1.10 by hand" : "");
	for (i = 0; i < SIDES; i++)
		print_side(i, connections);
	write_samples(connections);
	fflush(stdout);
	for (i = 0; i < SIDES; i++)
		check_calls(i, connections);
}

/* The first two processors that we may use. */
static void choose_processors(int processor[2])
{
	cpu_set_t set;
	int i, n = 0;

	if (sched_getaffinity(0, sizeof set, &set) != 0)
		bench_die("sched_getaffinity failed");
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			processor[n++] = i;
	if (n < 2)
		bench_die("one processor is not enough: the load would disturb the server");
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	int processor[2];
	size_t i;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		bench_die("the number of rounds is 1 to %d", ROUNDS_MAX);
	alarm(SECONDS_MAX);
	choose_processors(processor);
	raise_descriptor_limit();
	csv = bench_csv("echo",
			"connections,server,round,requests,cpu_ns,preemptions_per_ms,kept,calls");
	for (i = 0; i < SIDES; i++)
		peer_start(&sides[i].peer, processor[0]);
	peer_pin(processor[1]);
	printf("echo: CPU time of a server for each request of %d bytes; medians of %u rounds\n",
	       LOAD_SIZE, rounds);
	run(1);
	run(64);
	run(512);
	for (i = 0; i < SIDES; i++)
		peer_stop(&sides[i].peer);
	bench_csv_close(csv, "echo");
	return 0;
}

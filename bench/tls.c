/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.3: the CPU time of a server for messages of 64 bytes there and back, for bulk in each
 * direction, and for full handshakes; on anyc, by hand on epoll with OpenSSL's two ways to the
 * socket, and on libevent's bufferevent_ssl.
 *
 *	bench/tls [ROUNDS]
 *
 * Rules are those of bench/echo: servers on one processor, the load on another, all servers up and
 * asked in turn; a ratio is that of two samples of one round, and the median is printed.
 */
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/bench.h"
#include "lib/peer.h"
#include "lib/tls_load.h"
#include "lib/tls_server.h"
#include "tests/lib/certs.h"

#define ROUNDS 15
#define ROUNDS_MAX 200
#define SAMPLE_NS 100000000
#define SECONDS_MAX 900
#define GOAL (1 / 0.97) /* of each of those by hand */
#define BY_HAND 2       /* the first sides */
#define BUFFEREVENT 2

static struct side {
	struct peer peer;
	bool is_anyc;
} sides[] = {
	{{.name = "epoll by hand, BIO in memory", .program = "tls_epoll", .argument = "memory"},
	 false},
	{{.name = "epoll by hand, BIO of socket", .program = "tls_epoll", .argument = "socket"},
	 false},
	{{.name = "libevent's bufferevent_ssl", .program = "tls_event"}, false},
	{{.name = "anyc alone", .program = "tls_anyc", .argument = "anyc"}, true},
	{{.name = "anyc on libuv", .program = "tls_anyc", .argument = "libuv"}, true},
	{{.name = "anyc on libevent", .program = "tls_anyc", .argument = "libevent"}, true},
	{{.name = "anyc on libev", .program = "tls_anyc", .argument = "libev"}, true},
};
#define SIDES (sizeof sides / sizeof *sides)

static const struct work {
	const char *name, *unit;
	char use; /* 0: handshakes */
	unsigned connections;
	double scale; /* ns for each of what is counted, as the unit has it */
} works[] = {
	{"64 bytes there and back, 1 connection", "us/request", TLS_ECHO, 1, 1e-3},
	{"64 bytes there and back, 64 connections", "us/request", TLS_ECHO, 64, 1e-3},
	{"bulk, the server sends", "s/GB", TLS_SEND, 1, 1},
	{"bulk, the server receives", "s/GB", TLS_RECEIVE, 1, 1},
	{"full handshakes", "us each", 0, 0, 1e-3},
};

/* CPU time of one round and side for each of what is counted; NAN: disturbed. */
static double samples[SIDES][ROUNDS_MAX], rates[SIDES][ROUNDS_MAX];
static double throughput[SIDES][ROUNDS_MAX]; /* for each second */
static struct tls_load *loads[SIDES];
static unsigned rounds = ROUNDS;
static FILE *csv;

static void take(size_t i, unsigned round)
{
	int64_t cpu = peer_cpu(&sides[i].peer), wall = bench_wall();
	long preemptions = peer_preemptions(&sides[i].peer);
	double done = (double)tls_load_run(loads[i], SAMPLE_NS);
	double used = (double)(peer_cpu(&sides[i].peer) - cpu);

	/* Kept from running at all, it has not been measured. */
	samples[i][round] = used > 0 && done > 0 ? used / done : NAN;
	throughput[i][round] = done * 1e9 / (double)(bench_wall() - wall);
	rates[i][round] = (double)(peer_preemptions(&sides[i].peer) - preemptions) /
			  fmax(used / 1e6, 1e-3);
}

/* The processor was taken away more often than in the median sample. */
static void drop_disturbed(void)
{
	static double sorted[SIDES * ROUNDS_MAX];
	unsigned round;
	size_t i, n = 0;
	double most;

	for (i = 0; i < SIDES; i++)
		for (round = 0; round < rounds; round++)
			sorted[n++] = rates[i][round];
	most = fmax(bench_median(sorted, n), 0.05);
	for (i = 0; i < SIDES; i++)
		for (round = 0; round < rounds; round++)
			if (rates[i][round] > most)
				samples[i][round] = NAN;
}

static double median_ratio(size_t a, size_t b)
{
	double ratio[ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < rounds; i++)
		ratio[i] = samples[a][i] / samples[b][i];
	return bench_median(ratio, rounds);
}

static double median_of(const double *values)
{
	double copy[ROUNDS_MAX];
	unsigned i;

	for (i = 0; i < rounds; i++)
		copy[i] = values[i];
	return bench_median(copy, rounds);
}

static void print_side(const struct work *w, size_t i)
{
	double memory = median_ratio(i, 0), socket = median_ratio(i, 1);
	double event = median_ratio(i, BUFFEREVENT);

	printf("%-30s %9.3f %12.4g %8.3f %8.3f %8.3f", sides[i].peer.name,
	       median_of(samples[i]) * w->scale, median_of(throughput[i]), memory, socket, event);
	if (sides[i].is_anyc)
		printf("  %s", memory <= GOAL && socket <= GOAL && event < 1 ? "met" : "MISSED");
	putchar('\n');
}

static void measure(const struct work *w)
{
	unsigned round;
	size_t i;

	for (i = 0; i < SIDES; i++)
		loads[i] = tls_load_open(sides[i].peer.port, w->connections, w->use);
	for (i = 0; i < SIDES; i++)
		take(i, 0); /* warms up */
	for (round = 0; round < rounds; round++)
		for (i = 0; i < SIDES; i++)
			take(i, round);
	for (i = 0; i < SIDES; i++)
		tls_load_close(loads[i]);
	drop_disturbed();
	printf("\n%s\n%-30s %9s %12s %8s %8s %8s  goal %.2f, %.2f, 1\n", w->name, "", w->unit,
	       "a second", "/memory", "/socket", "/event", GOAL, GOAL);
	for (i = 0; i < SIDES; i++)
		print_side(w, i);
	for (i = 0; i < SIDES; i++)
		for (round = 0; round < rounds; round++)
			fprintf(csv, "\"%s\",\"%s\",%u,%.4f,%.1f,%.4f\n", w->name,
				sides[i].peer.name, round, samples[i][round], throughput[i][round],
				rates[i][round]);
	fflush(stdout);
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

int main(int argc, char **argv)
{
	struct certs_spec spec = {.names = "DNS:localhost"};
	struct certs certs;
	int processor[2];
	size_t i;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		bench_die("the number of rounds is 1 to %d", ROUNDS_MAX);
	alarm(SECONDS_MAX);
	signal(SIGPIPE, SIG_IGN);
	choose_processors(processor);
	csv = bench_csv("tls", "work,server,round,cpu_ns,per_second,preemptions_per_ms");
	certs_make(&certs);
	setenv(TLS_PEM, certs_add(&certs, &spec), 1);
	for (i = 0; i < SIDES; i++)
		peer_start(&sides[i].peer, processor[0]);
	peer_pin(processor[1]);
	printf("tls: CPU time of a server of TLS 1.3 (AES-128-GCM, P-256); medians of %u rounds\n",
	       rounds);
	for (i = 0; i < sizeof works / sizeof *works; i++)
		measure(&works[i]);
	for (i = 0; i < SIDES; i++)
		peer_stop(&sides[i].peer);
	certs_remove(&certs);
	bench_csv_close(csv, "tls");
	return 0;
}

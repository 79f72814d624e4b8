/* SPDX-License-Identifier: MIT */
/*
 * Servers on anyc against the same by hand and on other libraries: echo of 64-byte messages, bulk,
 * TLS 1.3 (AES-128-GCM, P-256), memory for each connection, the delay of other tasks; and UDP.
 *
 *	bench/net [ROUNDS [TABLE...]]
 *
 * TABLE is echo, calls, bulk, tls, memory, delay or udp.  How it is measured: lib/rounds.h.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/bench.h"
#include "lib/net_tables.h"
#include "lib/net_udp.h"
#include "lib/plot.h"
#include "lib/server.h"
#include "tests/lib/certs.h"

#define ROUNDS 7
#define SECONDS_MAX 1800
#define RECORD (16 << 10)
#define CALLS_MAX 2.05 /* by hand, for each message at 64 connections */

static struct results results;
static unsigned rounds = ROUNDS;
static FILE *csv;

/* -------------------------------------------------------------------------------------- plot */

static struct plot_panel panels[NET_TABLES * COLUMNS_MAX];
static size_t panel_count;

static struct plot_panel *panel(const char *name, const char *of)
{
	char title[sizeof panels->title];
	size_t i;

	snprintf(title, sizeof title, "%s %s", name, of);
	for (i = 0; i < panel_count; i++)
		if (strcmp(panels[i].title, title) == 0)
			return &panels[i];
	memcpy(panels[panel_count].title, title, sizeof title);
	return &panels[panel_count++];
}

/* The points of a panel stand at equal distances. */
static void plot_point(struct plot_panel *p, const char *label, const double *ratios, double goal)
{
	size_t at = p->points++, i;

	snprintf(p->label[at], sizeof p->label[at], "%s", label);
	p->goal[at] = goal;
	for (i = 0; i < ANYC_SIDES; i++)
		p->ratio[i][at] = ratios[i];
	for (i = 0; i < p->points; i++)
		p->place[i] = ((double)i + 0.5) / (double)p->points;
}

static void plot(void)
{
	static const char *const names[] = {"alone", "libuv", "libevent", "libev"};

	plot_write(BENCH_DIR "/net.svg", "Of what the other takes, goals as dashes; anyc", names,
		   ANYC_SIDES, panels, panel_count);
}

/* ---------------------------------------------------------------------------------- telling */

static double ratio_of(const struct table *t, const struct column *c, size_t side)
{
	return rounds_ratio(&results, side, c->side == NATIVE ? t->sides[side].native : c->side);
}

static double goal_of(const struct column *c, const struct work *w)
{
	return c->goal[w->connections != 1];
}

static size_t columns_of(const struct table *t)
{
	size_t n = 0;

	while (n < COLUMNS_MAX && t->columns[n].label != NULL)
		n++;
	return n;
}

static void print_head(const struct table *t, const struct point *p)
{
	size_t i;

	printf("\n%s\n%-30s %10s %11s", p->work.title, "", p->work.unit, "a second");
	for (i = 0; i < columns_of(t); i++)
		printf(" %8s", t->columns[i].label);
	printf(" rounds\n");
	if (columns_of(t) == 0 && p->most <= 0)
		return;
	printf("%-30s", "goal");
	if (p->most > 0)
		printf(" %10.4g", p->most);
	else
		printf(" %10s", "");
	printf(" %11s", "");
	for (i = 0; i < columns_of(t); i++)
		printf(" %8.2f", goal_of(&t->columns[i], &p->work));
	putchar('\n');
}

static bool print_ratios(const struct table *t, const struct work *w, size_t side)
{
	bool met = true;
	size_t i;

	for (i = 0; i < columns_of(t); i++) {
		double ratio = ratio_of(t, &t->columns[i], side);

		if (t->columns[i].side == NATIVE && !t->sides[side].is_anyc)
			printf(" %8s", "");
		else
			printf(" %8.3f", ratio);
		met = met && (ratio <= goal_of(&t->columns[i], w) || isnan(ratio));
	}
	return met;
}

static void print_side(const struct table *t, const struct point *p, size_t side)
{
	double figure = rounds_figure(&results, &p->work, side);
	bool met;

	printf("%-30s %10.4g", t->sides[side].peer.name, figure);
	if (p->work.figure == FIGURE_RESIDENT)
		printf(" %11s", "");
	else
		printf(" %11.5g", rounds_per_second(&results, side));
	met = print_ratios(t, &p->work, side) && (p->most <= 0 || figure <= p->most);
	printf(" %6u", rounds_kept(&results, side));
	if (t->sides[side].is_anyc && (p->most > 0 || columns_of(t) > 0))
		printf("  %s", isnan(figure) ? "always disturbed" : met ? "met" : "MISSED");
	putchar('\n');
}

static void plot_all(const struct table *t, const struct point *p)
{
	size_t first = t->count - ANYC_SIDES, i, k;
	double ratios[ANYC_SIDES];

	for (i = 0; i < columns_of(t); i++) {
		for (k = 0; k < ANYC_SIDES; k++)
			ratios[k] = ratio_of(t, &t->columns[i], first + k);
		plot_point(panel(t->name, t->columns[i].label), p->label, ratios,
			   goal_of(&t->columns[i], &p->work));
	}
	for (k = 0; k < ANYC_SIDES; k++)
		ratios[k] = rounds_figure(&results, &p->work, first + k) / p->most;
	if (p->most > 0)
		plot_point(panel(t->name, "/goal"), p->label, ratios, 1);
}

static void write_samples(const struct table *t, const struct work *w)
{
	unsigned round;
	size_t i;

	for (i = 0; i < t->count; i++)
		for (round = 0; round < results.rounds; round++) {
			const struct sample *s = &results.samples[i][round];

			fprintf(csv, "\"%s\",\"%s\",%u,%.4f,%.1f,%.4f\n", w->title,
				t->sides[i].peer.name, round, s->figure, s->per_second,
				s->preemptions);
		}
	fflush(csv);
}

/* ------------------------------------------------------------------------------- measuring */

static const char *pem;

/* Servers speak TLS where the environment has a certificate. */
static void prepare(const struct work *w)
{
	if (w->tls)
		setenv(SERVER_PEM, pem, 1);
	else
		unsetenv(SERVER_PEM);
}

/* The time of a record is the goal of the points that follow. */
static void set_goals(struct table *t)
{
	double record = rounds_figure(&results, &t->points[0].work, t->count - ANYC_SIDES) * RECORD;
	size_t i;

	for (i = 1; i < POINTS_MAX; i++)
		t->points[i].most = record * t->points[i].work.scale;
}

static void measure(struct table *t)
{
	size_t i, k;

	for (i = 0; i < POINTS_MAX && t->points[i].label != NULL; i++) {
		const struct point *p = &t->points[i];

		prepare(&p->work);
		rounds_measure(&results, &p->work, t->sides, t->count, rounds);
		print_head(t, p);
		for (k = 0; k < t->count; k++)
			print_side(t, p, k);
		fflush(stdout);
		write_samples(t, &p->work);
		plot_all(t, p);
		if (i == 0 && strcmp(t->name, "delay") == 0)
			set_goals(t);
	}
}

/* ---------------------------------------------------------------------------- system calls */

/* What must hold: peers that are no strawmen, and what anyc promises. */
static void check_calls(const struct side *side, const struct peer_calls *c, double n)
{
	double all = (double)(c->receive + c->send + c->wait + c->control + c->other) / n;

	printf("%-30s %8.3f %8.3f %8.3f %8.3f %8.3f\n", side->peer.name, (double)c->receive / n,
	       (double)c->send / n, (double)c->wait / n, (double)c->control / n, all);
	if (side->by_hand && all > CALLS_MAX)
		bench_die("%s makes %.2f system calls for each message, more than %.2f: it is "
			  "badly written", side->peer.name, all, CALLS_MAX);
	if (side->is_anyc && (c->control > 0 || (double)c->receive > 1.001 * n ||
			      (double)c->send > 1.001 * n))
		bench_die("%s makes more calls than the 1 recv, 1 send and 0 epoll_ctl that are "
			  "promised", side->peer.name);
}

static void count_calls(const struct table *t)
{
	static struct peer_calls calls[SIDES_MAX];
	const struct work *w = &t->points[1].work;
	double messages[SIDES_MAX];
	size_t i;

	prepare(w);
	rounds_count_calls(calls, messages, w, t->sides, t->count);
	printf("\nsystem calls for each of the %s\n%-30s %8s %8s %8s %8s %8s\n", w->title, "",
	       "receive", "send", "wait", "ctl", "all");
	for (i = 0; i < t->count; i++)
		check_calls(&t->sides[i], &calls[i], messages[i]);
}

/* --------------------------------------------------------------------------------------- run */

static bool wanted(int argc, char **argv, const char *name)
{
	int i;

	for (i = 2; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	struct certs_spec spec = {.names = "DNS:localhost"};
	struct certs certs;
	size_t i;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		bench_die("the number of rounds is 1 to %d", ROUNDS_MAX);
	alarm(SECONDS_MAX);
	signal(SIGPIPE, SIG_IGN);
	csv = bench_csv("net", "work,server,round,figure,per_second,preemptions_per_ms");
	certs_make(&certs);
	pem = certs_add(&certs, &spec);
	printf("net: CPU time of servers for each of what they do, medians of %u rounds;\n"
	       "ratios to others; rounds that were not disturbed\n", rounds);
	for (i = 0; i < NET_TABLES; i++)
		if (wanted(argc, argv, net_tables[i].name))
			measure(&net_tables[i]);
	if (wanted(argc, argv, "calls"))
		count_calls(&net_tables[0]);
	certs_remove(&certs);
	bench_csv_close(csv, "net");
	plot();
	if (wanted(argc, argv, "udp"))
		net_udp();
	return 0;
}

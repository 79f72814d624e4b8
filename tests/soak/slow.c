/* SPDX-License-Identifier: MIT */
/*
 * An attack by slowness: clients that begin a TLS handshake and send it a byte at a time.  The
 * server must drop each when its handshake has taken too long, an honest client beside them must
 * get its answers as fast as before, and afterwards nothing must be left.  Check 13 of
 * reliability.md.
 *
 * Three processes: the server, the slow clients, and the honest one.  They go through the stages
 * in step: each is set by one process, and awaited by the others.  The slow clients come twice,
 * first to warm the server up, and leave when all have begun; then the honest one finds out how
 * fast it is alone, and what the server has after that is what it must have in the end.
 *
 * SOAK_BREAK=timeout gives handshakes six times as long as they may take, SOAK_BREAK=hog has the
 * server busy with something else while it is attacked: each must turn the scenario red.
 */
#include <anyc/anyc.h>
#include <anyc/tls.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

#define PATIENCE (120 * ANYC_SECOND)
#define LATE ANYC_SECOND /* so much may a slow client stay beyond what is promised */
#define BYTES 5          /* of a slow client, before it is dropped */

static bool planted(const struct soak *s, const char *what)
{
	return s->plant != NULL && strcmp(s->plant, what) == 0;
}

static int await_stage(struct soak *s, enum soak_stage stage, const char *what)
{
	return soak_wait(s, &s->stage, stage, what);
}

/* ------------------------------------------------------------------------------- the server */

static int echo(struct anyc_stream *stream)
{
	char buf[1024];
	int n, rc = 0;

	while (rc == 0 && (n = anyc_stream_receive(stream, buf, sizeof buf)) != 0)
		rc = n > 0 ? anyc_stream_send(stream, buf, (size_t)n) : n;
	return rc;
}

static int serve_one(void *arg, struct anyc_stream *stream)
{
	struct soak *s = arg;
	int rc;

	atomic_fetch_add(&s->open, 1);
	atomic_fetch_add(&s->served, 1);
	rc = echo(stream);
	if (rc == ANYC_ETIMEDOUT)
		atomic_fetch_add(&s->timed_out, 1);
	else if (rc < 0 && s->stage >= SOAK_LOOKED)
		soak_fail(s, "a connection of the server: %s", anyc_error_detail(rc));
	atomic_fetch_sub(&s->open, 1);
	return 0;
}

struct job {
	struct soak *soak;
	struct anyc_listener *listener;
};

static int serve(void *arg)
{
	struct job *job = arg;

	return anyc_serve(job->listener, serve_one, job->soak, NULL);
}

/* A planted fault: the loop does nothing for others while slow clients are connected. */
static int hog(void *arg)
{
	struct soak *s = arg;
	int64_t begun;
	int rc = 0;

	while (rc == 0) {
		for (begun = anyc_now(); s->open > s->slow / 2 && s->stage >= SOAK_LOOKED;)
			if (anyc_now() > begun + 20 * ANYC_MILLISECOND)
				break;
		rc = anyc_sleep(20 * ANYC_MILLISECOND);
	}
	return rc;
}

static void summarise(struct soak *s)
{
	snprintf(s->summary, sizeof s->summary,
		 "%u dropped after %.2f to %.2f s; an honest one's p99 was %.1f ms before and "
		 "%.1f ms beside them",
		 s->timed_out, (double)s->dropped_first / ANYC_SECOND,
		 (double)s->dropped_last / ANYC_SECOND, (double)s->calm_p99 / ANYC_MILLISECOND,
		 (double)s->attacked_p99 / ANYC_MILLISECOND);
}

static int watch_attack(struct soak *s)
{
	struct soak_figures figures[SOAK_PHASES];
	int rc = await_stage(s, SOAK_CALM_SEEN, "there had been peace");

	if (rc == 0)
		rc = soak_settle(s);
	if (rc == 0) {
		soak_look(s, "server", figures, 0);
		s->stage = SOAK_LOOKED;
		rc = await_stage(s, SOAK_SEEN, "the attack was over");
	}
	if (rc == 0)
		rc = soak_settle(s);
	if (rc == 0)
		soak_look(s, "server", figures, 1);
	if (s->timed_out != s->slow)
		soak_fail(s, "server: %u of %u handshakes timed out", s->timed_out, s->slow);
	return rc;
}

int soak_attacked_server(void *arg)
{
	struct soak *s = arg;
	struct job job = {.soak = s};
	struct anyc_group group;
	int64_t timeout = s->handshake_timeout * (planted(s, "timeout") ? 6 : 1);
	int rc = anyc_tcp_listen(&job.listener, "127.0.0.1", "0", NULL);

	if (rc == 0)
		rc = soak_tls_listener(&job.listener, s->pem, timeout);
	if (rc == 0)
		rc = soak_port(job.listener, &s->tls_port);
	anyc_group_enter(&group, NULL);
	if (rc == 0) {
		anyc_spawn(&group, serve, &job);
		if (planted(s, "hog"))
			anyc_spawn(&group, hog, s);
		rc = watch_attack(s);
	}
	anyc_group_cancel(&group, "the soak is over");
	rc = anyc_group_leave(&group, rc);
	anyc_listener_free(job.listener);
	summarise(s);
	return rc;
}

/* ------------------------------------------------------------------------- the slow clients */

struct drip {
	struct soak *soak;
	int64_t begin;
};

static int connect_to(struct anyc_stream **stream, const struct soak *s)
{
	char port[8];

	snprintf(port, sizeof port, "%u", s->tls_port);
	return anyc_tcp_connect(stream, "127.0.0.1", port, NULL);
}

/* Hears nothing for the time between two bytes: ANYC_ETIMEDOUT. */
static int listen_for(struct anyc_stream *stream, int64_t time)
{
	struct anyc_scope scope;
	char byte;
	int rc;

	anyc_scope_enter_timeout(&scope, time);
	do
		rc = anyc_stream_receive(stream, &byte, 1);
	while (rc > 0);
	return anyc_scope_leave(&scope, rc);
}

/* The head of a message that is to be 500 bytes long, a byte at a time; until it is dropped. */
static int drip_bytes(struct soak *s, struct anyc_stream *stream)
{
	static const char head[] = "\x16\x03\x01\x01\xf4\x01\x00\x01\xf0\x03\x03";
	int64_t begun = anyc_now(), limit = s->handshake_timeout + LATE;
	size_t i = 0;
	int rc;

	do {
		rc = anyc_stream_send(stream, head + i, 1);
		i += i < sizeof head - 2;
		if (rc == 0)
			rc = listen_for(stream, s->handshake_timeout / BYTES);
		if (anyc_now() - begun > limit)
			soak_fail(s, "a slow client was still connected after %.2f s",
				  (double)(anyc_now() - begun) / ANYC_SECOND);
	} while (rc == ANYC_ETIMEDOUT && !s->failed);
	if (rc != 0 && rc != ANYC_EBROKEN)
		return rc;
	begun = anyc_now() - begun;
	if (s->dropped_first == 0 || begun < s->dropped_first)
		s->dropped_first = begun;
	if (begun > s->dropped_last)
		s->dropped_last = begun;
	return 0;
}

/* Says how it begins, and leaves when all are there. */
static int warm_up(struct soak *s, struct anyc_stream *stream)
{
	int rc = anyc_stream_send(stream, "\x16\x03\x01\x01\xf4\x01", 6);

	return rc == 0 ? soak_wait(s, &s->served, s->slow, "all slow clients were accepted") : rc;
}

static int drip(void *arg)
{
	struct drip *d = arg;
	struct soak *s = d->soak;
	struct anyc_stream *stream;
	int rc = anyc_sleep_until(d->begin);

	if (rc == 0)
		rc = connect_to(&stream, s);
	if (rc != 0)
		return rc;
	rc = s->stage == SOAK_BEGUN ? warm_up(s, stream) : drip_bytes(s, stream);
	anyc_stream_free(stream);
	return rc;
}

/* They come spread over the time between two bytes, so that as many bytes come at any time. */
static int all_drip(struct soak *s, struct drip *drips)
{
	struct anyc_group group;
	int64_t now = anyc_now();
	unsigned i;

	anyc_group_enter(&group, NULL);
	for (i = 0; i < s->slow; i++) {
		drips[i].soak = s;
		drips[i].begin = now + s->handshake_timeout / BYTES * i / s->slow;
		anyc_spawn(&group, drip, &drips[i]);
	}
	return anyc_group_leave(&group, 0);
}

int soak_slow_clients(void *arg)
{
	struct soak *s = arg;
	struct drip *drips = calloc(s->slow, sizeof *drips);
	int rc = drips != NULL ? 0 : -ENOMEM;

	if (rc == 0)
		rc = soak_wait(s, &s->tls_port, 1, "the server listened");
	if (rc == 0)
		rc = all_drip(s, drips);
	if (rc == 0) {
		s->stage = SOAK_WARMED_UP;
		rc = await_stage(s, SOAK_LOOKED, "the server had looked at itself");
	}
	if (rc == 0)
		rc = all_drip(s, drips);
	if (rc == 0)
		s->stage = SOAK_ATTACKED;
	free(drips);
	return rc;
}

/* ------------------------------------------------------------------------- the honest client */

#define EVERY (10 * ANYC_MILLISECOND) /* there is an exchange */
#define EXCHANGES_MAX 4000
/*
 * A p99 of up to so much is as good as any.  Where two processors are shared with others each turn
 * of these is some milliseconds long, and a p99 of few samples is whether one of them hit: twice
 * nothing is still nothing.  A server that is held up by its slow clients is so for as long as one
 * of them takes, or, if it looks at each whenever one stirs, for longer than that at a thousand.
 */
#define FLOOR (10 * ANYC_MILLISECOND)

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int exchange(const struct soak *s, const struct anyc_tls_options *options)
{
	struct anyc_stream *stream;
	char port[8], buf[16];
	int rc;

	snprintf(port, sizeof port, "%u", s->tls_port);
	rc = anyc_tls_connect(&stream, "127.0.0.1", port, options);
	if (rc != 0)
		return rc;
	rc = anyc_stream_send(stream, "hello", 5);
	if (rc == 0)
		rc = anyc_stream_receive(stream, buf, sizeof buf);
	if (rc >= 0)
		rc = rc == 5 ? anyc_stream_close(stream) : ANYC_EINCOMPLETE;
	anyc_stream_free(stream);
	return rc;
}

/*
 * Handshakes, sends, receives, at fixed times, until a time or a stage.  How long each took is from
 * when it was to begin: one that is held up delays those after it, which are as late as that.
 */
static int measure(_Atomic int64_t *p99, _Atomic int64_t *p50, struct soak *s,
		   const struct anyc_tls_options *options, int64_t until, enum soak_stage stage)
{
	int64_t *took = calloc(EXCHANGES_MAX, sizeof *took), due = anyc_now();
	int rc = took != NULL ? 0 : -ENOMEM;
	size_t n = 0;

	while (rc == 0 && n < EXCHANGES_MAX && due < until && s->stage < stage && !s->failed) {
		rc = anyc_sleep_until(due);
		if (rc == 0)
			rc = exchange(s, options);
		took[n++] = anyc_now() - due;
		due += EVERY;
	}
	if (rc == 0 && n > 0) {
		qsort(took, n, sizeof *took, by_size);
		*p50 = took[n / 2];
		*p99 = took[(n * 99 - 1) / 100];
		printf("# honest client, %s: %zu exchanges, p50 %.1f ms, p99 %.1f ms, "
		       "longest %.1f ms\n", stage == SOAK_ATTACKED ? "attacked" : "before", n,
		       (double)*p50 / ANYC_MILLISECOND, (double)*p99 / ANYC_MILLISECOND,
		       (double)took[n - 1] / ANYC_MILLISECOND);
		fflush(stdout);
	}
	free(took);
	return s->failed ? ANYC_ECLOSED : rc;
}

/* The p50, which others hardly change, shows what a p99 that was bad before would hide. */
static void judge(struct soak *s)
{
	int64_t limit = 2 * s->calm_p99 > FLOOR ? 2 * s->calm_p99 : FLOOR;

	if (!s->judge_latency || s->failed ||
	    (s->attacked_p99 < limit && s->attacked_p50 < 2 * s->calm_p50))
		return;
	s->late = true;
	soak_fail(s, "an honest client's p50 went from %.1f to %.1f ms, "
		  "its p99 from %.1f to %.1f ms",
		  (double)s->calm_p50 / ANYC_MILLISECOND,
		  (double)s->attacked_p50 / ANYC_MILLISECOND,
		  (double)s->calm_p99 / ANYC_MILLISECOND,
		  (double)s->attacked_p99 / ANYC_MILLISECOND);
}

int soak_honest_client(void *arg)
{
	struct soak *s = arg;
	struct anyc_tls_context_options trust = {.ca_file = s->ca};
	struct anyc_tls_options options = {.handshake_timeout = PATIENCE};
	int rc = anyc_tls_context_new(&options.context, &trust);

	if (rc == 0)
		rc = await_stage(s, SOAK_WARMED_UP, "the server was warm");
	if (rc == 0)
		rc = measure(&s->calm_p99, &s->calm_p50, s, &options,
			     anyc_now() + s->handshake_timeout, SOAK_CALM_SEEN);
	if (rc == 0) {
		s->stage = SOAK_CALM_SEEN;
		rc = await_stage(s, SOAK_LOOKED, "the server had looked at itself");
	}
	if (rc == 0)
		rc = measure(&s->attacked_p99, &s->attacked_p50, s, &options, ANYC_FOREVER,
			     SOAK_ATTACKED);
	if (rc == 0) {
		judge(s);
		s->stage = SOAK_SEEN;
	}
	anyc_tls_context_unref(options.context);
	return rc;
}

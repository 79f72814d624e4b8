/* SPDX-License-Identifier: MIT */
/* Making a sim, its clock, calls at a time, and the trace; see anyc/sim.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <anyc/error.h>

#include "sim.h"

#define START (1000 * ANYC_SECOND)

/* ---------------------------------------------------------------------------------- lines */

void anyc__sim_trace(struct anyc_sim *sim, const char *format, ...)
{
	char line[256];
	va_list args;
	int n;

	if (sim->options.trace == NULL)
		return;
	n = snprintf(line, sizeof line, "%lld.%09lld ", (long long)(sim->now / ANYC_SECOND),
		     (long long)(sim->now % ANYC_SECOND));
	va_start(args, format);
	vsnprintf(line + n, sizeof line - (size_t)n, format, args);
	va_end(args);
	sim->options.trace(sim->options.trace_arg, line);
}

int anyc__sim_misuse(int rc, const char *format, ...)
{
	char line[200];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	anyc_report(rc, "%s", line);
	return anyc_fail(rc, 0, "%s", line);
}

int anyc__sim_check(const struct anyc_sim *sim, const char *call)
{
	if (sim == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s: the sim is NULL", call);
	if (sim->engine != NULL && !pthread_equal(sim->thread, pthread_self()))
		return anyc__sim_misuse(ANYC_ETHREAD, "%s: the sim belongs to another thread",
					call);
	return 0;
}

/* splitmix64; the remainder's bias is of no interest. */
uint64_t anyc__sim_draw(struct anyc_sim *sim, uint64_t below)
{
	uint64_t z = sim->lot += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* --------------------------------------------------------------------------- making, freeing */

static bool is_zero(const void *bytes, size_t size)
{
	const unsigned char *b = bytes;

	while (size > 0)
		if (b[--size] != 0)
			return false;
	return true;
}

/* What a later version has may not be left out silently: it would be another experiment. */
static int read_options(struct anyc_sim_options *to, const struct anyc_sim_options *from,
			size_t size)
{
	const char *wrong;

	memset(to, 0, sizeof *to);
	if (from == NULL)
		return 0;
	memcpy(to, from, size < sizeof *to ? size : sizeof *to);
	if (!is_zero(to->reserved_, sizeof to->reserved_) ||
	    !is_zero(to->reserved2_, sizeof to->reserved2_) ||
	    (size > sizeof *to && !is_zero((const char *)from + sizeof *to, size - sizeof *to)))
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_sim_create: an option is set that this version of anyc does "
				 "not know");
	if (to->start < 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sim_create: the clock's start is negative");
	wrong = anyc__sim_link_wrong(&to->link);
	return wrong != NULL ? anyc_fail(ANYC_EINVAL, 0, "anyc_sim_create: %s", wrong) : 0;
}

int anyc_sim_create_sized(struct anyc_sim **out, const struct anyc_sim_options *options,
			  size_t size)
{
	const struct anyc_engine_ops *ops = anyc_engine_operations();
	struct anyc_sim_options o;
	struct anyc_sim *sim;
	int rc;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sim_create: out is NULL");
	*out = NULL;
	rc = read_options(&o, options, size);
	if (rc != 0)
		return rc;
	sim = ops->alloc(sizeof *sim);
	if (sim == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory for a sim");
	sim->ops = ops;
	sim->pollfd = -1;
	sim->options = o;
	sim->now = o.start != 0 ? o.start : START;
	sim->lot = o.seed;
	rc = o.network ? anyc__sim_net_make(sim) : 0;
	if (rc != 0) {
		ops->free(sim);
		return anyc_fail(rc, -rc, "no memory for a sim's network");
	}
	*out = sim;
	return 0;
}

void anyc_sim_free(struct anyc_sim *sim)
{
	struct anyc_engine *engine;

	if (sim == NULL)
		return;
	if (sim->running) {
		anyc__sim_misuse(ANYC_EMISUSE, "anyc_sim_free: the sim runs; let it end first");
		return;
	}
	engine = sim->engine;
	sim->engine = NULL;
	if (engine != NULL)
		sim->ops->gone(engine);
	anyc__sim_net_free(sim);
	anyc__sim_forget_calls(sim);
	sim->ops->free(sim);
}

/* ---------------------------------------------------------------------------------- clock */

static int64_t real_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * ANYC_SECOND + ts.tv_nsec;
}

void anyc__sim_keep_time(struct anyc_sim *sim, bool outside)
{
	int64_t real;

	if (!outside && !sim->outside)
		return;
	real = real_now();
	if (sim->outside && !sim->options.manual)
		sim->now += real - sim->real;
	sim->outside = outside;
	sim->real = real;
}

int64_t anyc_sim_now(const struct anyc_sim *sim)
{
	return sim->now;
}

int64_t anyc_sim_next(const struct anyc_sim *sim)
{
	struct anyc_engine_waits w = { .deadline = ANYC_FOREVER };
	int64_t next = anyc__sim_events_next(sim);

	if (sim->engine != NULL)
		sim->ops->waits(sim->engine, &w);
	return next < w.deadline ? next : w.deadline;
}

int anyc_sim_advance(struct anyc_sim *sim, int64_t ns)
{
	int rc = anyc__sim_check(sim, "anyc_sim_advance");

	if (rc != 0)
		return rc;
	if (ns < 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sim_advance: %lld ns is negative",
				 (long long)ns);
	if (ns >= ANYC_FOREVER - sim->now)
		return anyc_fail(ANYC_EINVAL, 0,
				 "anyc_sim_advance: %lld ns are past the end of time",
				 (long long)ns);
	sim->now += ns;
	anyc__sim_trace(sim, "advanced");
	return 0;
}

/* --------------------------------------------------------------------------- calls at a time */

struct call {
	struct anyc__sim_event event; /* first */
	struct anyc_sim *sim;
	void (*fn)(void *arg);
	void *arg;
};

static void call_happens(struct anyc__sim_event *e)
{
	struct call *c = (struct call *)(void *)e;
	void (*fn)(void *arg) = c->fn;
	void *arg = c->arg;

	c->sim->calls--;
	anyc__sim_trace(c->sim, "call");
	c->sim->ops->free(c);
	fn(arg);
}

int anyc_sim_at(struct anyc_sim *sim, int64_t when, void (*fn)(void *arg), void *arg)
{
	int rc = anyc__sim_check(sim, "anyc_sim_at");
	struct call *c;

	if (rc != 0)
		return rc;
	if (fn == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sim_at needs a function");
	c = sim->ops->alloc(sizeof *c);
	if (c == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "no memory for a call at a time");
	c->event.happen = call_happens;
	c->sim = sim;
	c->fn = fn;
	c->arg = arg;
	sim->calls++;
	anyc__sim_event_set(sim, &c->event, when);
	return 0;
}

void anyc__sim_forget_calls(struct anyc_sim *sim)
{
	struct anyc__sim_event *e;

	while ((e = sim->events) != NULL) {
		anyc__sim_event_unset(sim, e);
		if (e->happen == call_happens)
			sim->ops->free(e);
	}
	sim->calls = 0;
}

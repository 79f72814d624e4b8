/* SPDX-License-Identifier: MIT */
/*
 * The sweep of the fault driver: its points, one after the other.
 *
 * Rules
 *  - First the scenario runs without a fault: it must succeed, and that counts the events.
 *  - An axis ends with the point whose event did not come: nothing knows the places beforehand.
 *    A sample takes every s-th, where s comes from that count.
 *  - The first point that is wrong ends the sweep.  If it has left blocks it runs once more with
 *    anyc's leak list on, so that they have a name.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/error.h>
#include <anyc/loop.h>
#include <anyc/memory.h>
#include <anyc/time.h>

#include "fault.h"

#define DEFAULT_ORDERS 5
#define DEFAULT_PATIENCE (20 * ANYC_SECOND)
#define MOST_POINTS 1000000 /* a scenario without an end */

struct sweep {
	struct anyc_fault_options o;
	anyc_fault_scenario *scenario;
	void *arg;
	struct anyc_fault_report *report;
	struct anyc__fault_snapshot *before;
	struct anyc__fault_outcome baseline, last;
	bool failed;
};

static const char *const axis_names[ANYC_FAULT_AXES] = {
	"alloc",	"alloc-forever", "syscall", "cancel", "cancel-scope",
	"cancel-twice", "order",
};

static unsigned index_of(unsigned axis)
{
	return (unsigned)__builtin_ctz(axis);
}

/* -------------------------------------------------------------------------------- one point */

static void name_point(char *buf, size_t size, const struct anyc__fault *f, int error)
{
	const char *axis = f->axis != 0 ? axis_names[index_of(f->axis)] : "none";

	if (f->axis == ANYC_FAULT_SYSCALL)
		snprintf(buf, size, "%s:%zu:%s", axis, f->n,
			 error != 0 ? strerrorname_np(error) : "?");
	else if (f->axis == ANYC_FAULT_CANCEL_TWICE)
		snprintf(buf, size, "%s:%zu+%zu", axis, f->n, f->second - f->n);
	else
		snprintf(buf, size, "%s:%zu", axis, f->n);
}

static bool is_listed(const int *list, int rc)
{
	for (; list != NULL && *list != 0; list++)
		if (*list == rc)
			return true;
	return false;
}

/* No caller may notice it. */
static bool is_silent(int error)
{
	return error == EINTR || error == EAGAIN || error == ECONNABORTED;
}

static bool is_right(const struct sweep *s, const struct anyc__fault *f,
		     const struct anyc__fault_outcome *out, int rc)
{
	if (rc >= 0)
		return true;
	if (!out->fired && f->axis != ANYC_FAULT_ORDER)
		return false;
	switch (f->axis) {
	case ANYC_FAULT_ALLOC:
	case ANYC_FAULT_ALLOC_FOREVER:
		if (rc == -ENOMEM)
			return true;
		break;
	case ANYC_FAULT_SYSCALL:
		if (is_silent(out->error))
			return false;
		if (rc == -out->error || rc == ANYC_EBROKEN)
			return true;
		break;
	case ANYC_FAULT_CANCEL:
	case ANYC_FAULT_CANCEL_SCOPE:
	case ANYC_FAULT_CANCEL_TWICE:
		if (rc == ANYC_ECANCELED || rc == ANYC_ETASKCANCELED)
			return true;
		break;
	default:
		break;
	}
	return is_listed(s->o.allowed, rc);
}

/* Runs the scenario with the fault; its result, and its sentence. */
static int run(struct sweep *s, const struct anyc__fault *f, char *detail, size_t size)
{
	char point[64], label[160];
	int rc, rc2;

	name_point(point, sizeof point, f, f->error);
	snprintf(label, sizeof label, "%s%s%s%s: %s (seed %llu)", s->o.name,
		 s->o.row != NULL ? "[" : "", s->o.row != NULL ? s->o.row : "",
		 s->o.row != NULL ? "]" : "", point, (unsigned long long)s->o.seed);
	anyc__fault_watch_point(label);
	anyc__fault_arm(f);
	rc = s->scenario(s->arg);
	anyc__fault_disarm(&s->last);
	snprintf(detail, size, "%s", rc < 0 ? anyc_error_detail(rc) : "");
	rc2 = anyc_thread_done();
	anyc__fault_watch_point(NULL);
	if (rc2 == 0)
		return rc;
	snprintf(detail, size, "anyc_thread_done() after it: %s", anyc_error_detail(rc2));
	return rc2;
}

static void show_leak(void *arg, const void *block, size_t size, const char *site)
{
	char *text = arg;
	size_t used = strlen(text), room = sizeof((struct anyc_fault_report *)0)->text;

	(void)block;
	snprintf(text + used, room - used, "; %zu bytes from %s", size, site != NULL ? site : "?");
}

/* Once more, to learn where the blocks came from. */
static void name_leaks(struct sweep *s, const struct anyc__fault *f)
{
	char detail[200];

	anyc_track_leaks(true);
	ANYC_IGNORE(run(s, f, detail, sizeof detail));
	anyc_leaks(show_leak, s->report->text);
	anyc_track_leaks(false);
}

static void fail(struct sweep *s, const struct anyc__fault *f, int rc, const char *detail,
		 const char *left)
{
	struct anyc_fault_report *r = s->report;
	struct anyc__fault_outcome out = s->last;
	struct anyc_memory_stats now;

	s->failed = true;
	if (f->axis == 0)
		snprintf(r->point, sizeof r->point, "none");
	else
		name_point(r->point, sizeof r->point, f, out.error);
	snprintf(r->text, sizeof r->text,
		 "%s%s%s%s: %s%s%s%s: result %d%s%s%s%s%s; again: ANYC_FAULT_ONLY=%s "
		 "ANYC_TEST_SEED=%llu",
		 s->o.name, s->o.row != NULL ? "[" : "", s->o.row != NULL ? s->o.row : "",
		 s->o.row != NULL ? "]" : "", r->point, out.event[0] != '\0' ? " (" : "", out.event,
		 out.event[0] != '\0' ? ")" : "", rc, rc < 0 ? " " : "",
		 rc < 0 ? anyc_err_name(rc) : "", detail[0] != '\0' ? ": " : "", detail, left,
		 r->point, (unsigned long long)s->o.seed);
	anyc_memory_stats(&now);
	if (now.blocks != 0)
		name_leaks(s, f);
}

/* Runs a point and judges it; whether to go on. */
static bool try_point(struct sweep *s, const struct anyc__fault *f)
{
	char detail[300], left[600] = "";
	int rc;

	anyc__fault_snapshot_take(s->before);
	rc = run(s, f, detail, sizeof detail);
	if (anyc__fault_left(s->before, left, sizeof left) || !is_right(s, f, &s->last, rc))
		fail(s, f, rc, detail, left);
	else if (f->axis != 0 && (s->last.fired || f->axis == ANYC_FAULT_ORDER))
		s->report->points[index_of(f->axis)]++;
	return !s->failed;
}

/* --------------------------------------------------------------------------------- the axes */

/* Every how many of `count` events a point is. */
static size_t stride_for(struct sweep *s, size_t count, size_t points)
{
	size_t stride = points == 0 || count <= points ? 1 : (count + points - 1) / points;

	s->report->left_out += count - count / stride;
	return stride;
}

static void sweep_simple(struct sweep *s, unsigned axis, size_t count)
{
	size_t stride = stride_for(s, count, s->o.points);
	struct anyc__fault f = { .axis = axis, .n = (size_t)(s->o.seed % stride) };

	for (; f.n < MOST_POINTS; f.n += stride)
		if (!try_point(s, &f) || !s->last.fired)
			return;
}

/* Each call that fails has several errors: about three. */
static void sweep_syscalls(struct sweep *s)
{
	size_t stride = stride_for(s, s->baseline.calls, (s->o.points + 2) / 3);
	struct anyc__fault f = { .axis = ANYC_FAULT_SYSCALL, .n = (size_t)(s->o.seed % stride) };

	for (; f.n < MOST_POINTS; f.n += stride) {
		f.which = 0;
		do {
			if (!try_point(s, &f) || !s->last.fired)
				return;
			f.which++;
		} while (s->last.more);
	}
}

static void sweep_twice(struct sweep *s)
{
	size_t count = s->baseline.places, stride = 1;
	struct anyc__fault f = { .axis = ANYC_FAULT_CANCEL_TWICE };

	while (s->o.points != 0 && count * count / 2 / (stride * stride) > s->o.points)
		stride++;
	s->report->left_out += count * count / 2 - count * count / 2 / (stride * stride);
	for (f.n = (size_t)(s->o.seed % stride); f.n < MOST_POINTS; f.n += stride) {
		f.second = f.n + 1;
		do {
			if (!try_point(s, &f) || !s->last.fired)
				return;
			f.second += stride;
		} while (s->last.fired_twice);
	}
}

static void sweep_orders(struct sweep *s)
{
	struct anyc__fault f = { .axis = ANYC_FAULT_ORDER };
	bool good = true;

	for (; good && f.n < s->o.orders; f.n++) {
		f.seed = s->o.seed + f.n;
		good = try_point(s, &f);
	}
}

static void sweep_axis(struct sweep *s, unsigned axis)
{
	switch (axis) {
	case ANYC_FAULT_ALLOC:
	case ANYC_FAULT_ALLOC_FOREVER:
		sweep_simple(s, axis, s->baseline.allocations);
		break;
	case ANYC_FAULT_SYSCALL:
		sweep_syscalls(s);
		break;
	case ANYC_FAULT_CANCEL:
		sweep_simple(s, axis, s->baseline.places);
		break;
	case ANYC_FAULT_CANCEL_SCOPE:
		sweep_simple(s, axis, s->baseline.scopes);
		break;
	case ANYC_FAULT_CANCEL_TWICE:
		sweep_twice(s);
		break;
	default:
		sweep_orders(s);
		break;
	}
}

/* ---------------------------------------------------------------------------- the environment */

static int errno_by_name(const char *name)
{
	const char *known;
	int i;

	for (i = 1; i < 4096; i++) {
		known = strerrorname_np(i);
		if (known != NULL && strcmp(known, name) == 0)
			return i;
	}
	return 0;
}

/* Reads what name_point() has written. */
static bool parse_point(struct anyc__fault *f, const char *text, uint64_t seed)
{
	const char *colon = strchr(text, ':');
	char *end;
	unsigned i;

	memset(f, 0, sizeof *f);
	for (i = 0; colon != NULL && i < ANYC_FAULT_AXES; i++)
		if (strlen(axis_names[i]) == (size_t)(colon - text) &&
		    strncmp(text, axis_names[i], (size_t)(colon - text)) == 0)
			f->axis = 1U << i;
	if (f->axis == 0)
		return false;
	f->n = strtoul(colon + 1, &end, 10);
	f->seed = seed + f->n;
	if (f->axis == ANYC_FAULT_SYSCALL)
		return *end == ':' && (f->error = errno_by_name(end + 1)) != 0;
	if (f->axis == ANYC_FAULT_CANCEL_TWICE) {
		if (*end != '+')
			return false;
		f->second = f->n + strtoul(end + 1, &end, 10);
	}
	return *end == '\0';
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

/* -------------------------------------------------------------------------------- the sweep */

static void read_options(struct sweep *s, const struct anyc_fault_options *options, size_t size)
{
	if (options != NULL)
		memcpy(&s->o, options, size < sizeof s->o ? size : sizeof s->o);
	if (s->o.name == NULL)
		s->o.name = "scenario";
	if (s->o.axes == 0)
		s->o.axes = ANYC_FAULT_ALL;
	if (ANYC__FAULT_TSAN)
		s->o.axes &= ~ANYC_FAULT_SYSCALL;
	if (s->o.orders == 0)
		s->o.orders = DEFAULT_ORDERS;
	if (s->o.patience == 0)
		s->o.patience = DEFAULT_PATIENCE;
	s->o.points = (size_t)from_environment("ANYC_FAULT_POINTS", s->o.points);
	s->o.seed = from_environment("ANYC_TEST_SEED", s->o.seed);
	if (s->o.seed == 0)
		s->o.seed = 1;
}

/* Why there is no sweep; told when the allocator is malloc's again, which a sentence needs. */
static int cannot(struct sweep *s, int rc, const char *why)
{
	snprintf(s->report->text, sizeof s->report->text, "%s", why);
	return rc;
}

static int sweep_only(struct sweep *s, const char *only)
{
	struct anyc__fault f;

	if (!parse_point(&f, only, s->o.seed))
		return cannot(s, ANYC_EINVAL,
			      "ANYC_FAULT_ONLY is no point; write one like alloc:3, "
			      "syscall:3:EMFILE, cancel-twice:3+1");
	try_point(s, &f);
	return 0;
}

static int sweep_all(struct sweep *s)
{
	const char *only = getenv("ANYC_FAULT_ONLY");
	struct anyc__fault none = { .axis = 0 };
	unsigned axis;

	/* Twice: what the first run opens for good is there before the second. */
	if (run(s, &none, s->report->text, sizeof s->report->text) >= 0)
		s->report->text[0] = '\0';
	if (!try_point(s, &none))
		return 0;
	s->baseline = s->last;
	if ((s->o.axes & ANYC_FAULT_SYSCALL) != 0 && s->baseline.calls == 0)
		return cannot(s, ANYC_ENOTSUP,
			      "no system call of anyc's was seen: include <anyc/fault_syscalls.h> "
			      "in one file of the program, and link anyc's shared library");
	if (only != NULL && only[0] != '\0')
		return sweep_only(s, only);
	for (axis = 1; !s->failed && axis < 1U << ANYC_FAULT_AXES; axis <<= 1)
		if ((s->o.axes & axis) != 0)
			sweep_axis(s, axis);
	return 0;
}

int anyc_fault_sweep_sized(struct anyc_fault_report *report, anyc_fault_scenario *scenario,
			   void *arg, const struct anyc_fault_options *options, size_t size)
{
	struct sweep s = { .scenario = scenario, .arg = arg, .report = report };
	int rc;

	if (report == NULL || scenario == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_fault_sweep: no report or no scenario");
	memset(report, 0, sizeof *report);
	read_options(&s, options, size);
	if ((s.o.axes & ~((1U << ANYC_FAULT_AXES) - 1)) != 0 || s.o.patience < 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_fault_sweep: an unknown axis, or a "
						 "negative patience");
	if (anyc_fault_point() != NULL)
		return anyc_fail(ANYC_EMISUSE, 0, "anyc_fault_sweep: a sweep is under way");
	rc = anyc_thread_done();
	if (rc == 0)
		rc = anyc__fault_install();
	if (rc != 0)
		return rc;
	s.before = anyc__fault_snapshot_new();
	if (s.before == NULL)
		return -ENOMEM;
	anyc__fault_watch_begin(s.o.patience);
	rc = sweep_all(&s);
	anyc__fault_watch_end();
	free(s.before);
	ANYC_IGNORE(anyc__fault_remove()); /* if blocks are left, that was said */
	return rc != 0 ? anyc_fail(rc, 0, "anyc_fault_sweep: %s", report->text) : s.failed;
}

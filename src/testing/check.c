/* SPDX-License-Identifier: MIT */
/*
 * Checks: what a failure says, and to whom; and what anyc reported meanwhile.
 *
 * Rule: a failure ends the process where it stands.  A longjmp out of a task or thread would leave
 * others running over a test that has ended.
 */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <anyc/error.h>
#include <anyc/fault.h>

#define REPORTS 64
static struct {
	pthread_mutex_t lock;
	char line[REPORTS][400];
	size_t count; /* ever */
	size_t taken;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --------------------------------------------------------------------------------- failing */

/* What was reported and not looked at explains a failure, and so does a fault under way. */
static void add_reports(struct anyc__text *t)
{
	if (anyc_fault_point() != NULL)
		anyc__text_add(t, "\nwith the fault %s", anyc_fault_point());
	for (size_t i = seen.taken; i < seen.count; i++)
		anyc__text_add(t, "\nreported: %s", seen.line[i % REPORTS]);
}

void anyc_test_tell(const char *file, unsigned line, const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	if (anyc__test_now.failed == NULL || getpid() != anyc__test_now.pid) {
		fprintf(stderr, "%s:%u: %s\n", file, line, text);
		return;
	}
	pthread_mutex_lock(&lock);
	anyc__test_now.failed(file, line, text);
	pthread_mutex_unlock(&lock);
}

void anyc_test_abort(void)
{
	fflush(NULL);
	_exit(1);
}

/* The text is not on the stack, which may be a task's. */
void anyc_test_fail(const char *file, unsigned line, const char *format, ...)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	static char text[16384];
	struct anyc__text t = { text, sizeof text };
	va_list args;

	/* The first one is told; whoever fails beside it waits here for the end. */
	pthread_mutex_lock(&once);
	va_start(args, format);
	anyc__text_add_va(&t, format, args);
	va_end(args);
	add_reports(&t);
	anyc_test_tell(file, line, text);
	anyc_test_abort();
}

/* ---------------------------------------------------------------------------------- checks */

void anyc_test_rc_(const char *file, unsigned line, const char *what, int rc, int want)
{
	if (rc == want)
		return;
	anyc_test_fail(file, line, "%s is %d %s (%s), not %d %s", what, rc,
		       rc < 0 ? anyc_err_name(rc) : "", rc < 0 ? anyc_error_detail(rc) : "", want,
		       want < 0 ? anyc_err_name(want) : "");
}

void anyc_test_int_(const char *file, unsigned line, const char *what, long long have,
		    const char *op, long long want)
{
	anyc_test_fail(file, line, "%s is %lld, not %s %lld", what, have, op, want);
}

void anyc_test_str_(const char *file, unsigned line, const char *what, const char *have,
		    const char *want)
{
	if (have == want || (have != NULL && want != NULL && strcmp(have, want) == 0))
		return;
	anyc_test_fail(file, line, "%s is \"%s\", not \"%s\"", what, have != NULL ? have : "(null)",
		       want != NULL ? want : "(null)");
}

void anyc_test_has_(const char *file, unsigned line, const char *what, const char *text,
		    const char *part)
{
	if (text == NULL || strstr(text, part) == NULL)
		anyc_test_fail(file, line, "no \"%s\" in %s: %s", part, what,
			       text != NULL ? text : "(null)");
}

/* --------------------------------------------------------------------------------- reports */

static void keep_report(void *arg, int rc, const char *line)
{
	(void)arg;
	(void)rc;
	pthread_mutex_lock(&seen.lock);
	snprintf(seen.line[seen.count++ % REPORTS], sizeof seen.line[0], "%s", line);
	if (seen.count - seen.taken > REPORTS)
		seen.taken = seen.count - REPORTS;
	pthread_mutex_unlock(&seen.lock);
}

void anyc__test_keep_reports(void)
{
	anyc_set_report_hook(keep_report, NULL);
}

size_t anyc_test_reports(void)
{
	size_t n;

	pthread_mutex_lock(&seen.lock);
	n = seen.count - seen.taken;
	pthread_mutex_unlock(&seen.lock);
	return n;
}

bool anyc_test_reported(const char *part)
{
	bool found = false;

	pthread_mutex_lock(&seen.lock);
	for (size_t i = seen.taken; i < seen.count; i++)
		found = found || strstr(seen.line[i % REPORTS], part) != NULL;
	pthread_mutex_unlock(&seen.lock);
	return found;
}

void anyc_test_forget_reports(void)
{
	pthread_mutex_lock(&seen.lock);
	seen.taken = seen.count;
	pthread_mutex_unlock(&seen.lock);
}

void anyc_test_report_(const char *file, unsigned line, const char *part)
{
	char text[sizeof seen.line[0]];

	if (anyc_test_reports() == 0)
		anyc_test_fail(file, line, "nothing was reported; expected \"%s\"", part);
	pthread_mutex_lock(&seen.lock);
	memcpy(text, seen.line[seen.taken++ % REPORTS], sizeof text);
	pthread_mutex_unlock(&seen.lock);
	anyc_test_has_(file, line, "the report", text, part);
}

/* SPDX-License-Identifier: MIT */
/* Codes, sentences and the report hook; linked with src/core/error.c alone. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "core/engine.h"

/* ------------------------------------------------------- stand-ins for the rest of core */

_Thread_local struct anyc__thread anyc__thread;
_Atomic(anyc__core_free_fn *) anyc__thread_core_free;
static _Thread_local struct anyc__thread_block block;
static bool refuse_memory;

struct anyc__thread_block *anyc__thread_block(void)
{
	if (refuse_memory)
		return NULL;
	anyc__thread.block = &block;
	return &block;
}

void *anyc__alloc(size_t size)
{
	return calloc(1, size);
}

void anyc__thread_core_end(void *core)
{
	free(core);
}

const struct anyc_scope *anyc__scope_canceller(const struct anyc_task *t)
{
	(void)t;
	return NULL;
}

static void end_thread(void)
{
	anyc__core_free_fn *end = atomic_load(&anyc__thread_core_free);

	cr_assert(block.core == NULL || end == anyc__thread_core_end);
	if (end != NULL)
		end(block.core);
	block.core = NULL;
}

TestSuite(error, .fini = end_thread);

/* -------------------------------------------------------------------------------- the table */

static const struct {
	int rc;
	const char *name, *sentence;
} table[] = {
#define ROW(name, number, sentence) { ANYC_##name, "ANYC_" #name, sentence },
	ANYC_ERROR_MAP(ROW)
#undef ROW
};
#define ROWS (sizeof table / sizeof *table)

Test(error, every_code_has_a_name_a_sentence_and_a_number_of_its_own)
{
	size_t i, k;

	for (i = 0; i < ROWS; i++) {
		cr_assert_str_eq(anyc_err_name(table[i].rc), table[i].name);
		cr_assert_str_eq(anyc_strerror(table[i].rc), table[i].sentence);
		cr_assert_gt(strlen(table[i].sentence), 0);
		cr_assert_leq(table[i].rc, -10000, "%s meets a -errno", table[i].name);
		for (k = 0; k < i; k++) {
			cr_assert_neq(table[i].rc, table[k].rc);
			cr_assert_str_neq(table[i].sentence, table[k].sentence);
		}
	}
	cr_assert_str_eq(anyc_err_name(0), "ANYC_OK");
	cr_assert_str_eq(anyc_strerror(0), "no error");
	cr_assert_str_eq(anyc_strerror(7), "no error", "a count is no error");
}

Test(error, system_errors_have_the_kernels_names)
{
	int e, named = 0;

	cr_assert_str_eq(anyc_err_name(-ECONNREFUSED), "ECONNREFUSED");
	cr_assert_str_eq(anyc_strerror(-ECONNREFUSED), "Connection refused");
	for (e = 1; e < 4096; e++) {
		const char *name = anyc_err_name(-e);

		cr_assert_not_null(anyc_strerror(-e));
		named += strcmp(name, "unknown") != 0;
		cr_assert_eq(anyc_error_errno(-e), e);
	}
	cr_assert_geq(named, 130);
}

Test(error, other_numbers_are_unknown)
{
	static const int unknown[] = { INT_MIN, -9999, -4096, -19999, 1, INT_MAX };
	size_t i;

	for (i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		cr_assert_str_eq(anyc_err_name(unknown[i]), "unknown");
		cr_assert_not_null(anyc_strerror(unknown[i]));
		cr_assert_eq(anyc_error_errno(unknown[i]), 0);
	}
}

/* -------------------------------------------------------------------------------- sentences */

Test(error, a_sentence_belongs_to_its_code)
{
	cr_assert_eq(anyc_fail(ANYC_EBROKEN, EPIPE, "send to %s: %s", "peer", "broken"),
		     ANYC_EBROKEN);
	cr_assert_str_eq(anyc_error_detail(ANYC_EBROKEN), "send to peer: broken");
	cr_assert_eq(anyc_error_errno(ANYC_EBROKEN), EPIPE);
	cr_assert_str_eq(anyc_error_detail(ANYC_ECLOSED), anyc_strerror(ANYC_ECLOSED));
	cr_assert_eq(anyc_error_errno(ANYC_ECLOSED), 0);
	cr_assert_str_eq(anyc_error_detail(0), anyc_strerror(0));
	cr_assert_str_eq(anyc_error_detail(-EPIPE), anyc_strerror(-EPIPE));

	anyc_fail(-EPIPE, EPIPE, "another");
	cr_assert_str_eq(anyc_error_detail(-EPIPE), "another");
	cr_assert_str_eq(anyc_error_detail(ANYC_EBROKEN), anyc_strerror(ANYC_EBROKEN));
}

Test(error, asking_without_a_sentence_makes_no_slot)
{
	cr_assert_str_eq(anyc_error_detail(ANYC_EEOF), anyc_strerror(ANYC_EEOF));
	cr_assert_null(block.core);
}

Test(error, long_sentences_are_cut)
{
	char text[1000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	anyc_fail(ANYC_EINVAL, 0, "%s", text);
	cr_assert_eq(strlen(anyc_error_detail(ANYC_EINVAL)), ANYC__SENTENCE - 1);
}

Test(error, a_sentence_may_quote_the_one_before)
{
	anyc_fail(-ENOENT, ENOENT, "no such file");
	anyc_fail(ANYC_EBROKEN, 0, "the transport: %s", anyc_error_detail(-ENOENT));
	cr_assert_str_eq(anyc_error_detail(ANYC_EBROKEN), "the transport: no such file");
}

Test(error, errno_is_kept)
{
	errno = 77;
	anyc_fail(ANYC_EINVAL, 0, "%f", 1.5);
	anyc_error_detail(ANYC_EINVAL);
	anyc_strerror(-EPIPE);
	anyc_err_name(-EPIPE);
	cr_assert_eq(errno, 77);
}

Test(error, without_memory_the_code_is_left)
{
	refuse_memory = true;
	cr_assert_eq(anyc_fail(ANYC_EINVAL, 0, "lost"), ANYC_EINVAL);
	cr_assert_str_eq(anyc_error_detail(ANYC_EINVAL), anyc_strerror(ANYC_EINVAL));
	cr_assert_null(anyc__slot());
}

Test(error, tasks_have_sentences_of_their_own)
{
	static struct anyc_task a, b;

	anyc_fail(ANYC_EINVAL, 0, "the thread's");
	anyc__thread.task = &a;
	anyc_fail(ANYC_EINVAL, 0, "a's");
	anyc__thread.task = &b;
	cr_assert_str_eq(anyc_error_detail(ANYC_EINVAL), anyc_strerror(ANYC_EINVAL));
	anyc__slot_copy(&b.slot, &a.slot);
	cr_assert_str_eq(anyc_error_detail(ANYC_EINVAL), "a's");
	anyc__slot_copy(&b.slot, &b.slot);
	cr_assert_str_eq(anyc_error_detail(ANYC_EINVAL), "a's");
	anyc__thread.task = NULL;
	cr_assert_str_eq(anyc_error_detail(ANYC_EINVAL), "the thread's");
}

static void *in_a_thread(void *arg)
{
	const char *before = anyc_error_detail(ANYC_EINVAL);

	(void)arg;
	cr_assert_str_eq(before, anyc_strerror(ANYC_EINVAL));
	anyc_fail(ANYC_EINVAL, 0, "another thread's");
	end_thread();
	return NULL;
}

Test(error, threads_have_sentences_of_their_own)
{
	pthread_t thread;

	anyc_fail(ANYC_EINVAL, 0, "this thread's");
	cr_assert_eq(pthread_create(&thread, NULL, in_a_thread, NULL), 0);
	pthread_join(thread, NULL);
	cr_assert_str_eq(anyc_error_detail(ANYC_EINVAL), "this thread's");
}

/* -------------------------------------------------------------------------------- reporting */

static struct {
	unsigned calls;
	int rc;
	void *arg;
	char line[1024];
} seen;

static void see(void *arg, int rc, const char *line)
{
	seen.calls++;
	seen.rc = rc;
	seen.arg = arg;
	snprintf(seen.line, sizeof seen.line, "%s", line);
	errno = 5;
}

Test(error, the_hook_gets_one_line)
{
	anyc_set_report_hook(see, &seen);
	errno = 77;
	anyc_report(ANYC_EMISUSE, "two\nlines of %d", 3);
	cr_assert_eq(errno, 77);
	cr_assert_eq(seen.calls, 1);
	cr_assert_eq(seen.rc, ANYC_EMISUSE);
	cr_assert_eq(seen.arg, &seen);
	cr_assert_str_eq(seen.line, "two lines of 3");
	cr_assert_str_eq(anyc_error_detail(ANYC_EMISUSE), anyc_strerror(ANYC_EMISUSE),
			 "a report is no error of the caller's");
}

Test(error, misuse_is_stored_and_reported)
{
	anyc_set_report_hook(see, NULL);
	errno = 77;
	cr_assert_eq(anyc__misuse(ANYC_EMISUSE, "the lock is not held by %s", "task 4"),
		     ANYC_EMISUSE);
	cr_assert_eq(errno, 77);
	cr_assert_eq(seen.calls, 1);
	cr_assert_str_eq(seen.line, "the lock is not held by task 4");
	cr_assert_str_eq(anyc_error_detail(ANYC_EMISUSE), "the lock is not held by task 4");
}

static size_t stderr_of(void (*fn)(void), char *buf, size_t size)
{
	int p[2], kept = dup(STDERR_FILENO);
	ssize_t n;

	cr_assert_eq(pipe(p), 0);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	fn();
	dup2(kept, STDERR_FILENO);
	close(kept);
	n = read(p[0], buf, size - 1);
	close(p[0]);
	cr_assert_geq(n, 0);
	buf[n] = '\0';
	return (size_t)n;
}

static void report_short(void)
{
	anyc_report(0, "hello");
}

static void report_long(void)
{
	anyc_report(0, "%5000d", 1);
}

Test(error, by_default_the_line_goes_to_stderr)
{
	char text[8192];

	anyc_set_report_hook(see, NULL);
	anyc_set_report_hook(NULL, NULL);
	stderr_of(report_short, text, sizeof text);
	cr_assert_str_eq(text, "anyc: hello\n");
	cr_assert_gt(stderr_of(report_long, text, sizeof text), 100);
	cr_assert_eq(strchr(text, '\n')[1], '\0');
	cr_assert_eq(seen.calls, 0);
}

Test(error, panic_reports_and_aborts, .signal = SIGABRT)
{
	anyc_set_report_hook(see, NULL);
	anyc__panic("scope entered at %s was left by return", "here");
}

/* A hook is always called with its own argument, while another thread changes both. */
static char one_arg, two_arg;
static atomic_uint mixed;
static atomic_bool stop;

static void hook_one(void *arg, int rc, const char *line)
{
	(void)rc;
	(void)line;
	if (arg != &one_arg)
		atomic_fetch_add(&mixed, 1);
}

static void hook_two(void *arg, int rc, const char *line)
{
	(void)rc;
	(void)line;
	if (arg != &two_arg)
		atomic_fetch_add(&mixed, 1);
}

static void *change_hooks(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		anyc_set_report_hook(hook_one, &one_arg);
		anyc_set_report_hook(hook_two, &two_arg);
	}
	return NULL;
}

Test(error, hook_and_argument_change_together)
{
	pthread_t thread;
	int i;

	anyc_set_report_hook(hook_one, &one_arg);
	cr_assert_eq(pthread_create(&thread, NULL, change_hooks, NULL), 0);
	for (i = 0; i < 100000; i++)
		anyc_report(0, "x");
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	cr_assert_eq(atomic_load(&mixed), 0);
}

/* ---------------------------------------------------------------------------------- version */

Test(error, version_check_names_both)
{
	const char *why;

	cr_assert_str_eq(anyc_version(), ANYC_VERSION);
	cr_assert_eq(anyc_version_check(ANYC_VERSION_MAJOR, ANYC_VERSION_MINOR), 0);
	cr_assert_eq(anyc_version_check(ANYC_VERSION_MAJOR, ANYC_VERSION_MINOR + 1), ANYC_EABI);
	cr_assert_eq(anyc_version_check(ANYC_VERSION_MAJOR + 1, 0), ANYC_EABI);
	why = anyc_error_detail(ANYC_EABI);
	cr_assert_not_null(strstr(why, ANYC_VERSION), "%s", why);
}

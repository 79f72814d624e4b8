/* SPDX-License-Identifier: MIT */
/*
 * ANYC_TEST() on Criterion: pkg-config anyc-test criterion.  Criterion's asserts work in tests, and
 * are safe in tasks and threads; its main, options and output are as ever.
 *
 *	ANYC_TEST(lock, passes_on_in_order, .rows = "loop") { cr_assert_eq(anyc_sleep(0), 0); }
 *
 *	$ ./tests --filter '*\[libuv\]'
 *
 * With ANYC_TEST_TAP defined this is <anyc/tap.h>, and needs no Criterion: the same file then runs
 * under ThreadSanitizer, under which Criterion cannot start.
 */
#ifdef ANYC_TEST_TAP
#include <anyc/tap.h>
#endif

#ifndef ANYC_TEST_REGISTER_

#include <stdio.h>
#include <stdlib.h>

#include <anyc/testing.h>
#include <criterion/criterion.h>

/*
 * A test is a pointer in the section cr_tst, and a NULL pointer is none: there are more slots than
 * a test has rows, and a constructor fills those it needs.  Criterion runs a test in a process of
 * its own by its function and, by value, its name: hence the row in the name.
 */
#define ANYC_CRITERION_SLOTS_ 24

/*
 * How the process of a test that ran to its end exits.  Criterion would take status 0 for a success
 * whenever it came, and a sanitizer may leave with that in the middle.
 */
#define ANYC_CRITERION_PASSED_ 100

struct anyc_criterion_slot_ {
	struct criterion_test test;
	struct criterion_test_extra_data data;
	char name[160], identifier[240];
};

__attribute__((__unused__)) static void anyc_criterion_failed_(const char *file, unsigned line,
							       const char *text)
{
	struct criterion_assert_stats stats;

	stats.passed = false;
	stats.file = file;
	stats.line = line;
	stats.message = text;
	criterion_send_assert(&stats);
}

/* In our tests, asserts come from any thread, and from forked children, which share the connection.
 * In Criterion's own, which may stand in the same file, nothing changes. */
__attribute__((__unused__)) static void
anyc_criterion_send_assert_(struct criterion_assert_stats *stats)
{
	if (anyc_test_row() == NULL)
		criterion_send_assert(stats);
	else if (!stats->passed)
		anyc_test_tell(stats->file, stats->line, stats->message);
}

/*
 * Criterion's own longjmp goes to the main stack: from a task's stack AddressSanitizer takes it for
 * an overflow, and from another thread it is undefined.
 */
__attribute__((__unused__, __noreturn__)) static void anyc_criterion_abort_test_(void)
{
	if (anyc_test_row() == NULL)
		criterion_abort_test();
	anyc_test_abort();
}

__attribute__((__unused__)) static void
anyc_criterion_register_(const struct anyc_test *t, struct criterion_test **slots,
			 const struct criterion_test_extra_data *data, void (*jump)(void))
{
	const char *row;

	for (unsigned i = 0; (row = anyc_test_row_at(t, i)) != NULL; i++) {
		struct anyc_criterion_slot_ *s = NULL;

		if (i < ANYC_CRITERION_SLOTS_)
			s = (struct anyc_criterion_slot_ *)calloc(1, sizeof *s);
		if (s == NULL) {
			fprintf(stderr, "%s/%s: no room for the row %s\n", t->suite, t->name, row);
			abort();
		}
		snprintf(s->name, sizeof s->name, "%s[%s]", t->name, row);
		snprintf(s->identifier, sizeof s->identifier, "%s/%s", t->suite, s->name);
		s->data = *data;
		s->data.identifier_ = s->identifier;
		s->data.file_ = t->file;
		s->data.line_ = t->line;
		s->data.exit_code = ANYC_CRITERION_PASSED_;
		/* A test that outlives its time after its end takes Criterion down with it: so
		 * Criterion's limit comes long after the test's own. */
		s->data.timeout = anyc_test_backstop(t);
		s->test.name = s->name;
		s->test.category = t->suite;
		s->test.test = jump;
		s->test.data = &s->data;
		slots[i] = &s->test;
	}
}

#define ANYC_TEST_REGISTER_(id) \
	static void id##_main(void) \
	{ \
		anyc_test_main(&id##_test, criterion_current_test->name, anyc_criterion_failed_); \
		exit(ANYC_CRITERION_PASSED_); \
	} \
	static void id##_jump(void) \
	{ \
		criterion_internal_test_setup(); \
		criterion_internal_test_main(id##_main); \
		criterion_internal_test_teardown(); \
	} \
	__attribute__((used, section("cr_tst"))) \
	static struct criterion_test *id##_slots[ANYC_CRITERION_SLOTS_]; \
	__attribute__((constructor)) static void id##_register(void) \
	{ \
		static struct criterion_test_extra_data data; \
		data.lang_ = CR_LANG; \
		data.kind_ = CR_TEST_NORMAL; \
		data.compiler_ = CR_COMPILER_; \
		anyc_criterion_register_(&id##_test, id##_slots, &data, id##_jump); \
	}

/* What cr_assert and its kin call. */
#define criterion_send_assert anyc_criterion_send_assert_
#define criterion_abort_test anyc_criterion_abort_test_

#endif

/* SPDX-License-Identifier: MIT */
/*
 * ANYC_TEST: one test body, run once on every row: "libuv", "libevent", "libev" (a native loop
 * that the test makes and runs), "anyc" (anyc_run() without a native loop), "none" (called from a
 * plain thread's main) and "sim" (a virtual clock, and the kernel's network); what it does with
 * the network through anyc alone also on "simnet" (a simulated one).  The body runs in a task, and
 * nothing may be left behind.
 *
 *	ANYC_TEST(scope, b020_cancelled_before_entry, .deadline = 20)
 *	{
 *		CHECK_RC(anyc_sleep(0), 0);
 *	}
 *
 * A row is part of the test's name: b020_cancelled_before_entry[libuv].  ANYC_TEST_BACKENDS is a
 * list of the rows to have (all); a row that this build lacks is a test that fails.
 * ANYC_TEST_SLOW multiplies deadlines.  The runner is Criterion, or, with ANYC_TEST_TAP, that of
 * tap_test.h.  A failed check ends the process at once, in tasks, callbacks and threads alike:
 * the message has been sent by then, and nothing can hang.
 */
#ifndef ANYC_TEST_H
#define ANYC_TEST_H

#ifdef HAVE_CONFIG_H
#include <config.h>
#ifndef ANYC_HAVE_CRITERION
#define ANYC_TEST_TAP 1
#endif
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <anyc/anyc.h>
#include <anyc/testing.h>

#ifdef ANYC_TEST_TAP
#include "tap_test.h"
#else
#include <criterion/criterion.h>
/* What cr_assert and its kin call after their message is out. */
#define criterion_abort_test anyc_test_abort_
#endif

#include "host.h"

#define ANYC_TEST_SLOTS 8
#define ANYC_ROWS_NATIVE "libuv,libevent,libev"
#define ANYC_ROWS_LOOP "libuv,libevent,libev,anyc,sim" /* a loop runs the tasks */
#define ANYC_ROWS_ALL "libuv,libevent,libev,anyc,none,sim"
#define ANYC_ROWS_NET ANYC_ROWS_ALL ",simnet" /* knows the network through anyc alone */

struct anyc_test {
	const char *suite, *name, *file;
	unsigned line;
	void (*body)(void);
	const char *rows;
	bool outside; /* the body runs in main, without a loop; host_make() gives it one */
	int deadline; /* of the body, in seconds; 0: 10 */
};

/* On all rows; on those and simnet; on some; on some, called from main outside of everything. */
#define ANYC_TEST(suite, name, ...) ANYC_TEST_(suite, name, ANYC_ROWS_ALL, false, ##__VA_ARGS__)
#define ANYC_TEST_NET(suite, name, ...) \
	ANYC_TEST_(suite, name, ANYC_ROWS_NET, false, ##__VA_ARGS__)
#define ANYC_TEST_ON(suite, name, rows, ...) ANYC_TEST_(suite, name, rows, false, ##__VA_ARGS__)
#define ANYC_TEST_MAIN(suite, name, rows, ...) ANYC_TEST_(suite, name, rows, true, ##__VA_ARGS__)

#define ANYC_TEST_(suite_, name_, rows_, outside_, ...) \
	static void suite_##_##name_##_body(void); \
	static const struct anyc_test suite_##_##name_##_test = { \
		.suite = #suite_, \
		.name = #name_, \
		.file = __FILE__, \
		.line = __LINE__, \
		.body = suite_##_##name_##_body, \
		.rows = (rows_), \
		.outside = (outside_), \
		##__VA_ARGS__ \
	}; \
	ANYC_TEST_REGISTER_(suite_##_##name_) \
	static void suite_##_##name_##_body(void)

#ifndef ANYC_TEST_TAP
struct anyc_test_slot_ {
	struct criterion_test test;
	struct criterion_test_extra_data data;
	char name[120], identifier[160];
};
/* NULL slots are skipped; a constructor fills one for each row. */
#define ANYC_TEST_REGISTER_(id) \
	static void id##_main(void) \
	{ \
		anyc_test_main_(&id##_test, criterion_current_test->name); \
	} \
	static void id##_jump(void) \
	{ \
		criterion_internal_test_setup(); \
		criterion_internal_test_main(id##_main); \
		criterion_internal_test_teardown(); \
	} \
	__attribute__((used, section("cr_tst"))) \
	static struct criterion_test *id##_slots[ANYC_TEST_SLOTS]; \
	static struct anyc_test_slot_ id##_store[ANYC_TEST_SLOTS]; \
	__attribute__((constructor)) static void id##_register(void) \
	{ \
		static const struct criterion_test_extra_data data = { \
			.compiler_ = CR_COMPILER_, .lang_ = CR_LANG, .kind_ = CR_TEST_NORMAL, \
		}; \
		anyc_test_register_(&id##_test, id##_slots, id##_store, &data, id##_jump); \
	}
void anyc_test_register_(const struct anyc_test *t, struct criterion_test **slots,
			 struct anyc_test_slot_ *store,
			 const struct criterion_test_extra_data *data, void (*jump)(void));
#endif

/* The row's name for slot i of a test, or NULL: what both runners register. */
const char *anyc_test_row_at_(const struct anyc_test *t, unsigned i);
/* Runs a test whose full name ends in "[row]". */
void anyc_test_main_(const struct anyc_test *t, const char *full_name);
double anyc_test_backstop_(const struct anyc_test *t);
int anyc_test_slow(void);
_Noreturn void anyc_test_abort_(void);

/* ------------------------------------------------------------------------- in a test's body */

/* The row that the test runs on, and its host. */
const char *anyc_test_row(void);
bool anyc_test_row_is(const char *row);
struct host *anyc_test_host(void);

/* ---------------------------------------------------------------------------------- checks */

_Noreturn void anyc_test_fail(const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void anyc_test_rc_(const char *file, unsigned line, const char *what, int rc, int want);
void anyc_test_int_(const char *file, unsigned line, const char *what, long long have,
		    const char *op, long long want);
void anyc_test_str_(const char *file, unsigned line, const char *what, const char *have,
		    const char *want);
void anyc_test_has_(const char *file, unsigned line, const char *what, const char *text,
		    const char *part);

#define FAIL(...) anyc_test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) \
	((condition) ? (void)0 : anyc_test_fail(__FILE__, __LINE__, "not so: %s", #condition))
/* Codes are shown by name, with the sentence. */
#define CHECK_RC(call, want) anyc_test_rc_(__FILE__, __LINE__, #call, (call), (want))
#define CHECK_OK(call) CHECK_RC(call, 0)
#define CHECK_INT(have, op, want) \
	do { \
		long long have_ = (long long)(have), want_ = (long long)(want); \
		if (!(have_ op want_)) \
			anyc_test_int_(__FILE__, __LINE__, #have, have_, #op, want_); \
	} while (0)
#define CHECK_STR(have, want) anyc_test_str_(__FILE__, __LINE__, #have, (have), (want))
/* The text contains the part. */
#define CHECK_HAS(text, part) anyc_test_has_(__FILE__, __LINE__, #text, (text), (part))

/* --------------------------------------------------------------------------------- reports */

/*
 * What went to anyc's report hook is kept.  reports() is how many lines wait; CHECK_REPORT takes
 * the oldest, which must contain part ("": any); report_has() looks through all of them.
 */
size_t reports(void);
bool report_has(const char *part);
void reports_forget(void);
void anyc_test_report_(const char *file, unsigned line, const char *part);
#define CHECK_REPORT(part) anyc_test_report_(__FILE__, __LINE__, (part))

/* --------------------------------------------------------------------------------- corpses */

/*
 * Runs fn in a forked child whose stderr is kept, with anyc's own report hook: for what must end
 * the process.  Fork before any loop was made.
 */
struct corpse {
	int status; /* waitpid(2)'s */
	char text[4096];
};
void corpse_make(struct corpse *c, void (*fn)(void));
/* The same, fn being the body of a task on the current row. */
void corpse_make_in_task(struct corpse *c, void (*fn)(void));
/* It died of a signal and said so. */
#define CHECK_DIED(c, signal_, part) \
	do { \
		if (!WIFSIGNALED((c)->status) || WTERMSIG((c)->status) != (signal_)) \
			FAIL("status %#x, not signal %d: %s", (unsigned)(c)->status, (signal_), \
			     (c)->text); \
		CHECK_HAS((c)->text, (part)); \
	} while (0)
/* It ended by _exit(0). */
#define CHECK_LIVED(c) \
	((c)->status == 0 ? (void)0 : FAIL("status %#x: %s", (unsigned)(c)->status, (c)->text))

#endif

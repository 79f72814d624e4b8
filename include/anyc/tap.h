/* SPDX-License-Identifier: MIT */
/*
 * ANYC_TEST() on a runner of anyc's own, which needs no framework and runs under ThreadSanitizer: a
 * process for each test, TAP on stdout.  With ANYC_TAP_FORK in the environment that process is a
 * fork of the runner; else the program starts again.
 *
 *	PROGRAM [--list] [--filter PATTERN]...     PATTERN as for sh, matched with suite/name[row]
 *
 * The header brings a weak main, unless ANYC_TAP_NO_MAIN is defined.  Criterion's asserts exist
 * under their names, without their messages, so that a file can change its runner.  Once
 * <anyc/criterion.h> was included this header adds the runner's functions only.
 */
#ifndef ANYC_TAP_H
#define ANYC_TAP_H

#include <string.h>

#include <anyc/testing.h>

ANYC_BEGIN_DECLS

/* main of a program of tests. */
ANYC_API int anyc_tap_main(int argc, char **argv);

/* The same in parts, for a main of one's own. */
struct anyc_tap_options {
	const char *const *filters; /* as --filter; none: all tests */
	size_t filter_count;
	bool list;  /* only names the tests */
	bool quiet; /* prints nothing */
	/* Called after each test; output is what it wrote, a failure's message included. */
	void (*on_result)(void *arg, const struct anyc_test *t, const char *name, bool passed,
			  const char *output);
	void *arg;
	void *reserved_[2];
};
/*
 * Runs the tests: 0 if all passed.  Where it starts the program again for each, it never returns in
 * that process: whatever the program does before must be right there, too.
 */
ANYC_API int anyc_tap_run_sized(const struct anyc_tap_options *options, size_t size);
ANYC_INLINE int anyc_tap_run(const struct anyc_tap_options *options)
{
	return anyc_tap_run_sized(options, sizeof *options);
}

struct anyc_tap_node_ {
	const struct anyc_test *test_;
	struct anyc_tap_node_ *next_;
};
ANYC_API void anyc_tap_register_(struct anyc_tap_node_ *node, const struct anyc_test *t);

ANYC_END_DECLS

#ifndef ANYC_TEST_REGISTER_

#define ANYC_TEST_REGISTER_(id) \
	__attribute__((constructor)) static void id##_register(void) \
	{ \
		static struct anyc_tap_node_ node; \
		anyc_tap_register_(&node, &id##_test); \
	}

#ifndef ANYC_TAP_NO_MAIN
__attribute__((__weak__)) int main(int argc, char **argv)
{
	return anyc_tap_main(argc, argv);
}
#endif

/* A comma at the end stands for the messages that are left out. */
#define ANYC_TAP_1_(condition, ...) ANYC_CHECK(condition)
#define ANYC_TAP_NOT_(condition, ...) ANYC_CHECK(!(condition))
#define ANYC_TAP_OP_(op, a, b, ...) ANYC_CHECK((a) op (b))
#define ANYC_TAP_NULL_(op, a, ...) ANYC_CHECK((a) op NULL)
#define ANYC_TAP_STR_(op, a, b, ...) ANYC_CHECK(strcmp((a), (b)) op 0)
#define ANYC_TAP_ARR_(op, a, b, size, ...) ANYC_CHECK(memcmp((a), (b), (size)) op 0)
#define cr_assert(...) ANYC_TAP_1_(__VA_ARGS__, )
#define cr_assert_not(...) ANYC_TAP_NOT_(__VA_ARGS__, )
#define cr_assert_eq(...) ANYC_TAP_OP_(==, __VA_ARGS__, )
#define cr_assert_neq(...) ANYC_TAP_OP_(!=, __VA_ARGS__, )
#define cr_assert_lt(...) ANYC_TAP_OP_(<, __VA_ARGS__, )
#define cr_assert_leq(...) ANYC_TAP_OP_(<=, __VA_ARGS__, )
#define cr_assert_gt(...) ANYC_TAP_OP_(>, __VA_ARGS__, )
#define cr_assert_geq(...) ANYC_TAP_OP_(>=, __VA_ARGS__, )
#define cr_assert_null(...) ANYC_TAP_NULL_(==, __VA_ARGS__, )
#define cr_assert_not_null(...) ANYC_TAP_NULL_(!=, __VA_ARGS__, )
#define cr_assert_str_eq(...) ANYC_TAP_STR_(==, __VA_ARGS__, )
#define cr_assert_str_neq(...) ANYC_TAP_STR_(!=, __VA_ARGS__, )
#define cr_assert_arr_eq(...) ANYC_TAP_ARR_(==, __VA_ARGS__, )
#define cr_assert_arr_neq(...) ANYC_TAP_ARR_(!=, __VA_ARGS__, )
#define cr_assert_fail(...) ANYC_FAIL("" __VA_ARGS__)
/* A failure ends the test here, too. */
#define cr_expect cr_assert
#define cr_expect_not cr_assert_not
#define cr_expect_eq cr_assert_eq
#define cr_expect_neq cr_assert_neq
#define cr_expect_lt cr_assert_lt
#define cr_expect_leq cr_assert_leq
#define cr_expect_gt cr_assert_gt
#define cr_expect_geq cr_assert_geq
#define cr_expect_null cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_str_eq cr_assert_str_eq
#define cr_expect_str_neq cr_assert_str_neq

#endif
#endif

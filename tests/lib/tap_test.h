/* SPDX-License-Identifier: MIT */
/*
 * ANYC_TEST without Criterion, which cannot start under ThreadSanitizer: fork and exec for each
 * test, TAP on stdout, and "N passed, N failed" at the end.
 *
 *	PROGRAM [--list] [--filter PATTERN]...     PATTERN as for sh, matched with suite/name[row]
 */
#ifndef ANYC_TAP_TEST_H
#define ANYC_TAP_TEST_H

#include <string.h>

struct anyc_test;
struct tap_node {
	const struct anyc_test *test;
	struct tap_node *next;
};
void tap_register(struct tap_node *node, const struct anyc_test *t);

#define ANYC_TEST_REGISTER_(id) \
	__attribute__((constructor)) static void id##_register(void) \
	{ \
		static struct tap_node node; \
		tap_register(&node, &id##_test); \
	}

/* One argument of Criterion's asserts after another, without its messages. */
#define cr_assert(condition, ...) \
	((condition) ? (void)0 : anyc_test_fail(__FILE__, __LINE__, "not so: %s", #condition))
#define cr_assert_not(condition, ...) cr_assert(!(condition))
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b))
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b))
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b))
#define cr_assert_leq(a, b, ...) cr_assert((a) <= (b))
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b))
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b))
#define cr_assert_null(a, ...) cr_assert((a) == NULL)
#define cr_assert_not_null(a, ...) cr_assert((a) != NULL)
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp((a), (b)) == 0)
#define cr_assert_str_neq(a, b, ...) cr_assert(strcmp((a), (b)) != 0)
#define cr_assert_arr_eq(a, b, size, ...) cr_assert(memcmp((a), (b), (size)) == 0)
#define cr_assert_fail(...) anyc_test_fail(__FILE__, __LINE__, "" __VA_ARGS__)
#define cr_expect cr_assert
#define cr_expect_eq cr_assert_eq
#define cr_expect_neq cr_assert_neq
#define cr_expect_str_eq cr_assert_str_eq

#endif

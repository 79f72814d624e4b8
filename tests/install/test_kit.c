/* SPDX-License-Identifier: MIT */
/* pkg-config: anyc-test criterion */
/* tap: anyc-test */
/*
 * Tests as the author of a library writes them: on every backend that is installed, with Criterion,
 * and with the plain runner.
 */
#include <anyc/anyc.h>
#include <anyc/criterion.h>

#include <string.h>

/* ------------------------------------------------------------------- the library: one slot */

struct slot {
	struct anyc_event filled;
	int value;
};

static int slot_put(struct slot *slot, int value)
{
	slot->value = value;
	return anyc_event_set(&slot->filled);
}

static int slot_take(struct slot *slot, int *value)
{
	int rc = anyc_event_wait(&slot->filled);

	if (rc == 0)
		*value = slot->value;
	return rc;
}

/* --------------------------------------------------------------------------------- its tests */

static int put_seven(void *slot)
{
	return slot_put(slot, 7);
}

ANYC_TEST(slot, hands_over_what_was_put)
{
	struct slot slot = {0};
	struct anyc_group group;
	int value = 0;

	anyc_group_enter(&group, NULL);
	ANYC_CHECK_OK(anyc_spawn(&group, put_seven, &slot));
	ANYC_CHECK_OK(slot_take(&slot, &value));
	ANYC_CHECK_OK(anyc_group_leave(&group, 0));
	ANYC_CHECK_INT(value, ==, 7);
	cr_assert_eq(value, 7, "value is %d", value);
}

ANYC_TEST(slot, taking_from_an_empty_one_waits, .deadline = 5)
{
	struct slot slot = {0};
	struct anyc_scope scope;
	int value, rc;

	anyc_scope_enter_timeout(&scope, 10 * ANYC_MILLISECOND);
	rc = slot_take(&slot, &value);
	ANYC_CHECK_RC(anyc_scope_leave(&scope, rc), ANYC_ETIMEDOUT);
	ANYC_CHECK_CANCELLED(slot_take(&slot, &value));
	ANYC_CHECK_CHECKPOINT(anyc_checkpoint_shielded());
}

static struct slot filled;

static void fill(void)
{
	ANYC_CHECK_OK(slot_put(&filled, 3));
}

ANYC_TEST(slot, stays_filled, .rows = "loop", .set_up = fill)
{
	int value = 0;

	cr_assert(anyc_current_loop() != NULL);
	ANYC_CHECK_STR(anyc_current_library(), anyc_test_row());
	ANYC_CHECK_OK(slot_take(&filled, &value));
	ANYC_CHECK_INT(value, ==, 3);
}

ANYC_TEST(slot, runs_by_itself, .outside = true, .rows = "anyc,none")
{
	struct slot slot = {0};

	cr_assert_null(anyc_current_library());
	ANYC_CHECK(anyc_test_row_is("anyc") || anyc_test_row_is("none"));
	ANYC_CHECK_OK(slot_put(&slot, 1));
}

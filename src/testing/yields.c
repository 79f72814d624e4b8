/* SPDX-License-Identifier: MIT */
/* Whether a statement let other tasks run, found by one that was ready. */
#include "kit.h"

#include <string.h>

#include <anyc/error.h>

static int note(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

void anyc_test_yields_begin_(struct anyc_test_yields_ *y)
{
	memset(y, 0, sizeof *y);
	anyc_group_enter(&y->group_, NULL);
	ANYC_CHECK_OK(anyc_spawn(&y->group_, note, &y->ran_));
}

void anyc_test_yields_end_(struct anyc_test_yields_ *y, const char *file, unsigned line,
			   const char *what, bool want)
{
	bool ran = y->ran_;

	if (ran != want)
		anyc_test_fail(file, line, "%s %s other tasks run", what,
			       ran ? "has let" : "did not let");
	anyc_test_rc_(file, line, "leaving the group around the statement",
		      anyc_group_leave(&y->group_, 0), 0);
}

void anyc_test_cancelled_(const char *file, unsigned line, struct anyc_scope *s)
{
	anyc_scope_enter(s, NULL);
	anyc_test_rc_(file, line, "anyc_scope_cancel()", anyc_scope_cancel(s, "the test's"), 0);
}

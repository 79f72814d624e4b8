/* SPDX-License-Identifier: MIT */
/* Failing: sentences, misuse, and what cannot go on; see anyc/error.h. */
#ifndef ANYC__ERROR_H
#define ANYC__ERROR_H

#include <anyc/error.h>

#define ANYC__SENTENCE 200

/* The last sentence of a task, or of a thread outside tasks. */
struct anyc__slot {
	int32_t rc; /* what it was stored for; 0: nothing */
	int32_t os_errno;
	const struct anyc_group_errors_ *origin; /* the list whose first error it is; or NULL */
	char text[ANYC__SENTENCE];
};
/* The current task's slot, or the thread's; NULL if there is no memory for one. */
struct anyc__slot *anyc__slot(void);
void anyc__slot_copy(struct anyc__slot *to, const struct anyc__slot *from);

/* anyc_fail() and a line to the report hook: for misuse.  Returns rc. */
int anyc__misuse(int rc, const char *format, ...) ANYC_PRINTF(2, 3);
/* Reports and aborts: misuse that has no caller to tell, and broken invariants. */
_Noreturn void anyc__panic(const char *format, ...) ANYC_PRINTF(1, 2);

#endif

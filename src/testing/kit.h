/* SPDX-License-Identifier: MIT */
/* What the files of the testing kit share. */
#ifndef ANYC__TESTING_KIT_H
#define ANYC__TESTING_KIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <stdarg.h>
#include <sys/types.h>

#include <anyc/testing.h>

/* ---------------------------------------------------------------------------------- main.c */

/* The test that runs in this process; test is NULL before. */
struct anyc__test_now {
	const struct anyc_test *test;
	const struct anyc_test_host *host;
	char row[64];
	pid_t pid; /* of the test itself: its forked children are not it */
	anyc_test_failed_fn *failed;
};
extern struct anyc__test_now anyc__test_now;

/* ---------------------------------------------------------------------------------- rows.c */

/* The host of a row; NULL: there is none of this name. */
const struct anyc_test_host *anyc__test_host(const char *row);
/* Opens for good what the libraries of all added hosts, and of this one, keep open. */
int anyc__test_warm_up(const struct anyc_test_host *host);

/* --------------------------------------------------------------------------------- check.c */

/* Keeps what anyc reports. */
void anyc__test_keep_reports(void);

/* ---------------------------------------------------------------------------------- text.c */

/* Text that is added to until its buffer is full. */
struct anyc__text {
	char *at;
	size_t room; /* with the NUL */
};
void anyc__text_add(struct anyc__text *t, const char *format, ...) ANYC_PRINTF(2, 3);
void anyc__text_add_va(struct anyc__text *t, const char *format, va_list args) ANYC_PRINTF(2, 0);
/* Reports a misuse that has a caller, and returns its code. */
int anyc__kit_misuse(int rc, const char *format, ...) ANYC_PRINTF(2, 3);

/* ---------------------------------------------------------------------------------- pair.c */

size_t anyc__test_pairs(void);

/* --------------------------------------------------------------------------------- ports.c */

/* Begins the run of a program in which no port is given twice, unless this process is a part of
 * one; forked and started children are. */
void anyc__test_session(void);

#endif

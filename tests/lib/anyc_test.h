/* SPDX-License-Identifier: MIT */
/*
 * The shipped testing kit, with what anyc's own tests have beyond it: rows on hosts that they drive
 * by hand (host.h), and short names.  A row that this build lacks is a test that fails.
 *
 *	ANYC_TEST(scope, b020_cancelled_before_entry, .deadline = 20)
 *	{
 *		CHECK_RC(anyc_sleep(0), 0);
 *	}
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
#include <anyc/criterion.h>
#include <anyc/testing.h>

#include "host.h"

/* Before the constructors that list a program's tests. */
__attribute__((constructor(500), unused)) static void add_hosts(void)
{
	host_add_all();
}

#define ANYC_ROWS_NATIVE "libuv,libevent,libev"
#define ANYC_ROWS_LOOP "loop" /* a loop runs the tasks */
#define ANYC_ROWS_ALL "all"
#define ANYC_ROWS_NET "all,simnet" /* knows the network through anyc alone */

/* On those and simnet; on some; and on some, called from main outside of everything. */
#define ANYC_TEST_NET(...) ANYC_TEST_NET_(__VA_ARGS__, )
#define ANYC_TEST_NET_(suite, name, ...) \
	ANYC_TEST_(suite, name, .rows = ANYC_ROWS_NET, __VA_ARGS__)
#define ANYC_TEST_ON(suite, name, ...) ANYC_TEST_ON_(suite, name, __VA_ARGS__, )
#define ANYC_TEST_ON_(suite, name, rows_, ...) ANYC_TEST_(suite, name, .rows = (rows_), __VA_ARGS__)
#define ANYC_TEST_MAIN(suite, name, ...) ANYC_TEST_MAIN_(suite, name, __VA_ARGS__, )
#define ANYC_TEST_MAIN_(suite, name, rows_, ...) \
	ANYC_TEST_(suite, name, .rows = (rows_), .outside = true, __VA_ARGS__)

#define FAIL ANYC_FAIL
#define CHECK ANYC_CHECK
#define CHECK_RC ANYC_CHECK_RC
#define CHECK_OK ANYC_CHECK_OK
#define CHECK_INT ANYC_CHECK_INT
#define CHECK_STR ANYC_CHECK_STR
#define CHECK_HAS ANYC_CHECK_HAS
#define CHECK_REPORT ANYC_CHECK_REPORT
#define CHECK_DIED ANYC_CHECK_DIED
#define CHECK_LIVED ANYC_CHECK_LIVED
#define reports anyc_test_reports
#define report_has anyc_test_reported
#define reports_forget anyc_test_forget_reports
#define corpse anyc_corpse
#define corpse_make anyc_corpse_make
#define corpse_make_in_task anyc_corpse_make_in_task

#endif

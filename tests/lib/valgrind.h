/* SPDX-License-Identifier: MIT */
/* What tests ask valgrind, or tell it, where its header is there. */
#ifndef ANYC_TEST_VALGRIND_H
#define ANYC_TEST_VALGRIND_H

#if defined(HAVE_VALGRIND_VALGRIND_H)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_PRINTF(...) 0
#define VALGRIND_DISABLE_ERROR_REPORTING
#endif

#endif

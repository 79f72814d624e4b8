/* SPDX-License-Identifier: MIT */
/* The rows of our own tests. */
#include "anyc_test.h"

#ifdef ANYC_HAVE_UV
#define IF_UV(x) (x)
#else
#define IF_UV(x) NULL
#endif
#ifdef ANYC_HAVE_EVENT
#define IF_EVENT(x) (x)
#else
#define IF_EVENT(x) NULL
#endif
#ifdef ANYC_HAVE_EV
#define IF_EV(x) (x)
#else
#define IF_EV(x) NULL
#endif

static const struct host_row rows[] = {
	{ .name = "libuv", .ops = IF_UV(&host_uv) },
	{ .name = "libevent", .ops = IF_EVENT(&host_event) },
	{ .name = "libev", .ops = IF_EV(&host_ev) },
	{ .name = "anyc", .ops = &host_alone },
	{ .name = "none", .ops = &host_none },
	{ .name = "sim", .ops = &host_sim },
	{ .name = "simnet", .ops = &host_simnet, .chosen_by = ANYC_TEST_BY_NAME },
};

const struct host_row *host_row(unsigned i)
{
	return i < sizeof rows / sizeof rows[0] ? &rows[i] : NULL;
}

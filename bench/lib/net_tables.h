/* SPDX-License-Identifier: MIT */
/* The tables of bench/net: servers that do the same work, and what they are compared with. */
#ifndef NET_TABLES_H
#define NET_TABLES_H

#include "rounds.h"

#define COLUMNS_MAX 5
#define POINTS_MAX 5
#define NATIVE SIDES_MAX

/* The goals: with one connection, and with more; 0: there is none. */
struct column {
	const char *label; /* NULL: there is no such column */
	size_t side;       /* whose figure the ratio is to; NATIVE: that of the same loop by hand */
	double goal[2];
};

/* `most`: what the figure should not exceed, in its unit; 0: there is no such goal. */
struct point {
	const char *label; /* NULL: there is no such point */
	struct work work;
	double most;
};

/* The last four sides are anyc's: alone, on libuv, libevent and libev. */
struct table {
	const char *name;
	struct side *sides;
	size_t count;
	struct column columns[COLUMNS_MAX];
	struct point points[POINTS_MAX];
};
#define ANYC_SIDES 4

#define NET_TABLES 6
extern struct table net_tables[NET_TABLES];

#endif

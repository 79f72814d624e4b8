/* SPDX-License-Identifier: MIT */
/* The open descriptors of this process, and what came since. */
#ifndef ANYC_TEST_FDS_H
#define ANYC_TEST_FDS_H

#include <stdbool.h>
#include <stddef.h>

#define FDS_MAX 1024

struct fds {
	int count;
	bool open[FDS_MAX];
};

void fds_take(struct fds *f);
/* How many are open that were not; their names go to buf. */
int fds_new(const struct fds *before, const struct fds *after, char *buf, size_t size);

#endif

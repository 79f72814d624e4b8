/* SPDX-License-Identifier: MIT */
/* Descriptors by /proc/self/fd, so that those of runners and sanitizers cancel out. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "fds.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fds_take(struct fds *f)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	memset(f, 0, sizeof *f);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir) || fd >= FDS_MAX)
			continue;
		f->open[fd] = true;
		f->count++;
	}
	closedir(dir);
}

static size_t describe(int fd, char *buf, size_t size)
{
	char path[64], target[128];
	ssize_t n;
	int written;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof target - 1);
	target[n < 0 ? 0 : n] = '\0';
	written = snprintf(buf, size, " %d (%s)", fd, target);
	return (size_t)written < size ? (size_t)written : size;
}

int fds_new(const struct fds *before, const struct fds *after, char *buf, size_t size)
{
	size_t used = 0;
	int left = 0;

	if (size > 0)
		buf[0] = '\0';
	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (!after->open[fd] || before->open[fd])
			continue;
		left++;
		if (used < size)
			used += describe(fd, buf + used, size - used);
	}
	return left;
}

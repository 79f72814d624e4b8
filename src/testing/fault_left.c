/* SPDX-License-Identifier: MIT */
/* What a scenario has left behind: blocks, tasks and their like, and descriptors. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <anyc/memory.h>
#include <anyc/time.h>

#include "fault.h"

#define FDS 4096
/* An abandoned look-up ends on its worker thread. */
#define SETTLE_MILLISECONDS 2000

struct anyc__fault_snapshot {
	struct anyc_memory_stats memory;
	unsigned char open[FDS / 8];
};

struct anyc__fault_snapshot *anyc__fault_snapshot_new(void)
{
	return calloc(1, sizeof(struct anyc__fault_snapshot));
}

static bool is_open(const struct anyc__fault_snapshot *s, int fd)
{
	return (s->open[fd / 8] >> fd % 8 & 1) != 0;
}

void anyc__fault_snapshot_take(struct anyc__fault_snapshot *s)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	memset(s, 0, sizeof *s);
	anyc_memory_stats(&s->memory);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(dir) && fd < FDS)
			s->open[fd / 8] |= (unsigned char)(1 << fd % 8);
	}
	if (dir != NULL)
		closedir(dir);
}

/* -------------------------------------------------------------------------------- comparing */

struct text {
	char *at;
	size_t size;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->size, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->size)
		n = (int)t->size - 1;
	t->at += n;
	t->size -= (size_t)n;
}

static bool same_fds(const struct anyc__fault_snapshot *a, const struct anyc__fault_snapshot *b)
{
	return memcmp(a->open, b->open, sizeof a->open) == 0;
}

static bool same_memory(const struct anyc_memory_stats *a, const struct anyc_memory_stats *b)
{
	return a->blocks == b->blocks && a->stacks == b->stacks && a->loops == b->loops &&
	       a->tasks == b->tasks && a->streams == b->streams && a->watches == b->watches;
}

static void tell_fds(struct text *t, const struct anyc__fault_snapshot *before,
		     const struct anyc__fault_snapshot *after)
{
	char path[64], target[200];
	ssize_t n;
	int fd;

	for (fd = 0; fd < FDS; fd++) {
		if (is_open(before, fd) == is_open(after, fd))
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (is_open(after, fd))
			add(t, "; descriptor %d is left (%s)", fd, target);
		else
			add(t, "; descriptor %d was closed, and is another's", fd);
	}
}

static void tell_count(struct text *t, const char *what, size_t before, size_t after)
{
	if (before != after)
		add(t, "; %ld %s left", (long)(after - before), what);
}

static void tell_memory(struct text *t, const struct anyc_memory_stats *before,
			const struct anyc_memory_stats *after)
{
	tell_count(t, "blocks", before->blocks, after->blocks);
	tell_count(t, "tasks", before->tasks, after->tasks);
	tell_count(t, "stacks", before->stacks, after->stacks);
	tell_count(t, "loops", before->loops, after->loops);
	tell_count(t, "streams", before->streams, after->streams);
	tell_count(t, "watches", before->watches, after->watches);
}

bool anyc__fault_left(const struct anyc__fault_snapshot *before, char *text, size_t size)
{
	static const struct timespec pause = { 0, ANYC_MILLISECOND };
	struct anyc__fault_snapshot after;
	struct text t = { text, size };
	int i;

	anyc__fault_snapshot_take(&after);
	for (i = 0; i < SETTLE_MILLISECONDS; i++) {
		if (same_memory(&before->memory, &after.memory) && same_fds(before, &after))
			return false;
		nanosleep(&pause, NULL);
		anyc__fault_snapshot_take(&after);
	}
	tell_memory(&t, &before->memory, &after.memory);
	tell_fds(&t, before, &after);
	return true;
}

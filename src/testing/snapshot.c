/* SPDX-License-Identifier: MIT */
/* What lives now, and what came since.  Descriptors by /proc/self/fd, so that those of runners and
 * sanitizers cancel out. */
#include "kit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDS_MAX ((int)(sizeof(((struct anyc_snapshot *)0)->open_) * 8))

static bool is_open(const struct anyc_snapshot *s, int fd)
{
	return (s->open_[fd / 64] >> (fd % 64) & 1) != 0;
}

void anyc_snapshot_take(struct anyc_snapshot *s)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	memset(s, 0, sizeof *s);
	s->pairs = anyc__test_pairs();
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir))
			continue;
		s->fds++;
		if (fd < FDS_MAX)
			s->open_[fd / 64] |= UINT64_C(1) << (fd % 64);
	}
	if (dir != NULL)
		closedir(dir);
	anyc_memory_stats(&s->memory);
}

static void describe(struct anyc__text *t, int fd)
{
	char path[64], target[128];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof target - 1);
	target[n < 0 ? 0 : n] = '\0';
	anyc__text_add(t, " %d (%s)", fd, target);
}

static size_t compare_fds(struct anyc__text *t, const struct anyc_snapshot *before,
			  const struct anyc_snapshot *after)
{
	size_t came = 0;

	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (!is_open(after, fd) || is_open(before, fd))
			continue;
		if (came++ == 0)
			anyc__text_add(t, "descriptors:");
		describe(t, fd);
	}
	/* Closing what was open before is the test's own affair. */
	if (came == 0 && after->fds > before->fds)
		anyc__text_add(t, "descriptors: %zu before, %zu now", before->fds, after->fds);
	return came > 0 || after->fds > before->fds;
}

size_t anyc_snapshot_compare(const struct anyc_snapshot *before, const struct anyc_snapshot *after,
			     char *buf, size_t size)
{
	const struct anyc_memory_stats *b = &before->memory, *a = &after->memory;
	const struct {
		const char *what;
		size_t before, after;
	} counts[] = {
		{ "tasks", b->tasks, a->tasks },
		{ "loops", b->loops, a->loops },
		{ "streams", b->streams, a->streams },
		{ "ends of pairs", before->pairs, after->pairs },
		{ "watches", b->watches, a->watches },
		{ "stacks in use", b->stacks, a->stacks },
		{ "blocks", b->blocks, a->blocks },
	};
	struct anyc__text t = { buf, size };
	size_t kinds;

	if (size > 0)
		buf[0] = '\0';
	kinds = compare_fds(&t, before, after);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		if (counts[i].before == counts[i].after)
			continue;
		anyc__text_add(&t, "%s%s: %zu before, %zu now", kinds > 0 ? "; " : "",
			       counts[i].what, counts[i].before, counts[i].after);
		kinds++;
	}
	return kinds;
}

void anyc_test_unchanged_(const char *file, unsigned line, const struct anyc_snapshot *before)
{
	struct anyc_snapshot after;
	char text[1024];

	anyc_snapshot_take(&after);
	if (anyc_snapshot_compare(before, &after, text, sizeof text) > 0)
		anyc_test_fail(file, line, "changed: %s", text);
}

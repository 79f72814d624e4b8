/* SPDX-License-Identifier: MIT */
/*
 * The files below one directory, with a bounded number of them kept open, each with what an
 * answer's head says of it, and small ones with their content.  Of one thread.
 */
#ifndef EXAMPLES_FILES_CACHE_H
#define EXAMPLES_FILES_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "http.h"

enum {
	CACHE_FILES = 256,
	CACHE_SMALL = 32768, /* what is kept as content */
	CACHE_BUCKETS = 512,
	CACHE_HEAD_MAX = 400
};

struct cached {
	struct http_file file;
	int fd;
	char *content; /* or NULL: it is long, or not in memory */
	/* Lines that say what the file is: the first validators_size bytes go with a 304, the first
	 * typed_size with a 206, all of them, and the empty line, with a 200. */
	char head[CACHE_HEAD_MAX];
	size_t validators_size, typed_size, head_size;
	/* The cache's own. */
	struct cached *next;            /* in its bucket */
	struct cached *newer, *older;   /* by their last use */
	size_t users;
	bool dropped;                   /* the cache has it no more: its last user frees it */
	int64_t checked;                /* when it was last compared with the disk, in ns */
	dev_t device;
	ino_t inode;
	struct timespec written, changed;
	char path[];
};

struct cache {
	int root;
	size_t count;
	struct cached *newest, *oldest;
	struct cached *buckets[CACHE_BUCKETS];
};

/* 0 or -errno. */
int cache_init(struct cache *c, const char *root);
/* Nobody may use a file any more. */
void cache_free(struct cache *c);
/*
 * The file of a path that has no ".." in it; give it back with cache_release().
 *   errors  -ENOENT also for what is no regular file, and for links that lead out of the root;
 *           -EISDIR, -EACCES, -EMFILE, -ENOMEM and so on
 */
int cache_get(struct cache *c, struct cached **out, const char *path);
void cache_release(struct cached *f);

#endif

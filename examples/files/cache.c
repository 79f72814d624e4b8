/* SPDX-License-Identifier: MIT */
/*
 * The files that are kept open; see cache.h.
 *
 * Rules
 *  - openat2(2) keeps every look-up below the root, links included: there is no path to be checked
 *    here, and no gap between a check and its use.
 *  - A file is compared with the disk at most once a second, by opening it anew: so a file that was
 *    replaced, or made unreadable, is noticed a second later at the latest.
 *  - A file in use is never changed: a newer one takes its place, and the last user frees the old.
 *    Its content may come later; its descriptor stays.
 *  - open, fstat and the read of a small file that is in memory are made here and now.  They do not
 *    wait for a network or a peer, and a thread would cost more than they do; a disk that has to be
 *    asked for a directory makes the loop wait.  What is not in memory of a file's content is
 *    left to anyc_stream_send_file(), which has a thread read it.
 */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECK_NS 1000000000 /* between two looks at the disk */

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ------------------------------------------------------------------------------ what they are */

static const char *type_of(const char *path)
{
	static const char types[][2][32] = {
		{ "html", "text/html; charset=utf-8" }, { "htm", "text/html; charset=utf-8" },
		{ "css", "text/css; charset=utf-8" },   { "js", "text/javascript; charset=utf-8" },
		{ "mjs", "text/javascript; charset=utf-8" },
		{ "txt", "text/plain; charset=utf-8" }, { "md", "text/markdown; charset=utf-8" },
		{ "csv", "text/csv; charset=utf-8" },   { "xml", "application/xml" },
		{ "json", "application/json" },         { "wasm", "application/wasm" },
		{ "pdf", "application/pdf" },           { "zip", "application/zip" },
		{ "gz", "application/gzip" },           { "svg", "image/svg+xml" },
		{ "png", "image/png" },                 { "jpg", "image/jpeg" },
		{ "jpeg", "image/jpeg" },               { "gif", "image/gif" },
		{ "webp", "image/webp" },               { "avif", "image/avif" },
		{ "ico", "image/x-icon" },              { "woff2", "font/woff2" },
		{ "mp3", "audio/mpeg" },                { "ogg", "audio/ogg" },
		{ "mp4", "video/mp4" },                 { "webm", "video/webm" },
	};
	const char *dot = strrchr(path, '.');
	size_t i;

	if (dot != NULL && strchr(dot, '/') == NULL)
		for (i = 0; i < sizeof types / sizeof *types; i++)
			if (strcasecmp(dot + 1, types[i][0]) == 0)
				return types[i][1];
	return "application/octet-stream";
}

static size_t add(struct cached *f, size_t at, const char *name, const char *value)
{
	int n = snprintf(f->head + at, sizeof f->head - at, "%s: %s\r\n", name, value);

	return at + (n > 0 ? (size_t)n : 0);
}

/* The lines of its head: with the longest type they are 230 bytes. */
static void describe(struct cached *f)
{
	char date[HTTP_DATE_SIZE], size[32];
	size_t at;

	snprintf(f->file.etag, sizeof f->file.etag, "\"%llx-%llx\"",
		 (unsigned long long)f->written.tv_sec * 1000000000 +
			 (unsigned long long)f->written.tv_nsec,
		 (unsigned long long)f->file.size);
	http_write_date(date, f->file.modified);
	snprintf(size, sizeof size, "%lld", (long long)f->file.size);
	at = add(f, 0, "Last-Modified", date);
	f->validators_size = at = add(f, at, "ETag", f->file.etag);
	at = add(f, at, "Accept-Ranges", "bytes");
	f->typed_size = at = add(f, at, "Content-Type", type_of(f->path));
	at = add(f, at, "Content-Length", size);
	memcpy(f->head + at, "\r\n", 2);
	f->head_size = at + 2;
}

/* -------------------------------------------------------------------------------- the disk */

/* What is in memory of it; a file system that cannot tell is asked for it all. */
static bool read_small(int fd, char *out, size_t size)
{
	struct iovec iov = { out, size };
	ssize_t n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP)
		n = preadv(fd, &iov, 1, 0);
	return n == (ssize_t)size;
}

/* Keeps the content of a small file, once it is in memory: at the latest when it was sent once. */
static void keep_content(struct cached *f)
{
	char *content;

	if (f->content != NULL || f->file.size > CACHE_SMALL)
		return;
	content = malloc((size_t)f->file.size + 1);
	if (content != NULL && read_small(f->fd, content, (size_t)f->file.size))
		f->content = content;
	else
		free(content);
}

/* A descriptor and what is known of it, or -errno.  Opening a FIFO does not wait. */
static int open_file(const struct cache *c, const char *path, struct stat *st)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	int rc, fd = (int)syscall(SYS_openat2, c->root, path, &how, sizeof how);

	if (fd < 0)
		return errno == EXDEV || errno == ENOTDIR || errno == ELOOP ||
				       errno == ENAMETOOLONG || errno == ENXIO
			       ? -ENOENT
			       : -errno;
	rc = fstat(fd, st) != 0 ? -errno : S_ISDIR(st->st_mode) ? -EISDIR :
	     S_ISREG(st->st_mode)			       ? 0 :
								 -ENOENT;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

/* Takes the descriptor, also after a failure. */
static struct cached *new_file(const char *path, int fd, const struct stat *st)
{
	size_t length = strlen(path) + 1;
	struct cached *f = calloc(1, sizeof *f + length);
	time_t today = time(NULL);

	if (f == NULL) {
		close(fd);
		return NULL;
	}
	memcpy(f->path, path, length);
	f->fd = fd;
	f->file.size = st->st_size;
	/* Nothing was modified in the future (RFC 9110 8.8.2.1). */
	f->file.modified = st->st_mtim.tv_sec < today ? st->st_mtim.tv_sec : today;
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->written = st->st_mtim;
	f->changed = st->st_ctim;
	f->checked = now();
	describe(f);
	return f;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct cached *f, const struct stat *st)
{
	return f->device == st->st_dev && f->inode == st->st_ino && f->file.size == st->st_size &&
	       same_time(f->written, st->st_mtim) && same_time(f->changed, st->st_ctim);
}

static void destroy(struct cached *f)
{
	close(f->fd);
	free(f->content);
	free(f);
}

/* ---------------------------------------------------------------------------------- the cache */

static struct cached **bucket_of(struct cache *c, const char *path)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619U;
	return &c->buckets[hash % CACHE_BUCKETS];
}

static void unlink_use(struct cache *c, struct cached *f)
{
	*(f->newer != NULL ? &f->newer->older : &c->newest) = f->older;
	*(f->older != NULL ? &f->older->newer : &c->oldest) = f->newer;
}

static void link_newest(struct cache *c, struct cached *f)
{
	f->newer = NULL;
	f->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = f;
	c->newest = f;
}

static void drop(struct cache *c, struct cached *f)
{
	struct cached **at = bucket_of(c, f->path);

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	unlink_use(c, f);
	c->count--;
	f->dropped = true;
	if (f->users == 0)
		destroy(f);
}

static void insert(struct cache *c, struct cached *f)
{
	struct cached **bucket = bucket_of(c, f->path);

	if (c->count == CACHE_FILES)
		drop(c, c->oldest);
	f->next = *bucket;
	*bucket = f;
	link_newest(c, f);
	c->count++;
}

/* Compares one that is there with the disk: 0 if it stands. */
static int check(struct cache *c, struct cached *f)
{
	struct stat st;
	int fd = open_file(c, f->path, &st);

	if (fd < 0)
		return fd;
	close(fd);
	if (!is_same(f, &st))
		return -ESTALE;
	f->checked = now();
	return 0;
}

static int add_file(struct cache *c, struct cached **out, const char *path)
{
	struct stat st;
	int fd = open_file(c, path, &st);

	if (fd < 0)
		return fd;
	*out = new_file(path, fd, &st);
	if (*out == NULL)
		return -ENOMEM;
	insert(c, *out);
	return 0;
}

int cache_get(struct cache *c, struct cached **out, const char *path)
{
	struct cached *f = *bucket_of(c, path);
	int rc = 0;

	*out = NULL;
	while (f != NULL && strcmp(f->path, path) != 0)
		f = f->next;
	if (f != NULL && now() - f->checked >= CHECK_NS && check(c, f) != 0) {
		drop(c, f);
		f = NULL;
	}
	if (f == NULL)
		rc = add_file(c, &f, path);
	if (rc != 0)
		return rc;
	keep_content(f);
	if (c->newest != f) {
		unlink_use(c, f);
		link_newest(c, f);
	}
	f->users++;
	*out = f;
	return 0;
}

void cache_release(struct cached *f)
{
	if (--f->users == 0 && f->dropped)
		destroy(f);
}

int cache_init(struct cache *c, const char *root)
{
	memset(c, 0, sizeof *c);
	c->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return c->root < 0 ? -errno : 0;
}

void cache_free(struct cache *c)
{
	while (c->oldest != NULL)
		drop(c, c->oldest);
	if (c->root >= 0)
		close(c->root);
	c->root = -1;
}

/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls on files; see file_io.h.
 *
 * Rules
 *  - A job's memory is the worker's until it is done, so data goes through the job: a task whose
 *    wait fails, because its loop has gone, leaves the job to itself.
 *  - preadv2(2) with RWF_NOWAIT answers at once if the data is in memory.  It is believed when it
 *    gives data; its end, its short count and its refusal may mean anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "core/worker.h"
#include "file_io.h"

#define FILES_AT_ONCE 8

enum operation { READ, WRITE, WARM, OPEN, CLOSE };

struct file_job {
	struct anyc__job job;
	struct anyc_task *task; /* NULL: nobody waits any more */
	enum operation operation;
	int fd, flags;
	unsigned mode;
	int64_t offset;
	ssize_t result; /* or -errno */
	size_t size;
	char data[];
};

static struct anyc__worker_class files = { .limit = FILES_AT_ONCE };

/* -------------------------------------------------------------------------- on the worker */

static ssize_t read_at(int fd, void *buf, size_t size, int64_t offset)
{
	return offset == ANYC__FILE_HERE ? read(fd, buf, size) : pread(fd, buf, size, offset);
}

/* Reads through a small buffer and forgets it: the kernel keeps what it read. */
static ssize_t warm(int fd, int64_t offset, size_t size)
{
	char buf[16384];
	size_t done = 0;
	ssize_t n = 1;

	while (done < size && n > 0) {
		n = pread(fd, buf, sizeof buf, offset + (int64_t)done);
		done += n > 0 ? (size_t)n : 0;
	}
	return 0; /* whoever reads in earnest meets the error */
}

/* An interrupted close has closed. */
static int close_once(int fd)
{
	return close(fd) == 0 || errno == EINTR ? 0 : -1;
}

static ssize_t do_it(struct file_job *f)
{
	switch (f->operation) {
	case READ:
		return read_at(f->fd, f->data, f->size, f->offset);
	case WRITE:
		return write(f->fd, f->data, f->size);
	case WARM:
		return warm(f->fd, f->offset, f->size);
	case OPEN:
		return open(f->data, f->flags | O_CLOEXEC, f->mode);
	case CLOSE:
		return close_once(f->fd);
	}
	return 0;
}

static void work(struct anyc__job *job)
{
	struct file_job *f = ANYC__CONTAINER(job, struct file_job, job);

	do
		f->result = do_it(f);
	while (f->result < 0 && errno == EINTR);
	if (f->result < 0)
		f->result = -errno;
}

static void worked(struct anyc__job *job, int status)
{
	struct file_job *f = ANYC__CONTAINER(job, struct file_job, job);

	(void)status; /* if the loop has gone, its tasks no longer wait */
	if (f->task != NULL) {
		anyc__unpark(f->task, 0);
		return;
	}
	if (f->operation == OPEN && f->result >= 0)
		close((int)f->result);
	anyc__free(f);
}

/* -------------------------------------------------------------------------------- in the task */

static struct file_job *job_new(enum operation operation, int fd, size_t room)
{
	struct file_job *f = anyc__alloc(sizeof *f + room);

	if (f == NULL)
		return NULL;
	f->job.of = &files;
	f->job.work = work;
	f->job.done = worked;
	f->operation = operation;
	f->fd = fd;
	f->size = room;
	return f;
}

static int no_memory(void)
{
	return anyc_fail(-ENOMEM, ENOMEM, "no memory for a call on a file");
}

/* Gives the job to a worker; after an error there is no job any more. */
static int start(struct file_job *f, struct anyc_task *t)
{
	int rc;

	f->task = t;
	rc = anyc__worker_start(&f->job, anyc__task_engine(t));
	if (rc == 0)
		return 0;
	anyc__free(f);
	return anyc_fail(rc, -rc, "no worker thread for a call on a file");
}

/* Waits until it is done; after an error it is no longer ours. */
static int await(struct file_job *f, struct anyc_task *t)
{
	int rc = anyc__park(t, NULL, NULL, "a worker's call on a file");

	if (rc != 0)
		f->task = NULL;
	return rc;
}

/* Both. */
static int run(struct file_job *f, struct anyc_task *t)
{
	int rc = start(f, t);

	return rc != 0 ? rc : await(f, t);
}

/* Its result, with a sentence for a failure; frees the job. */
static int finish(struct file_job *f, const char *what)
{
	int rc = (int)f->result;
	struct anyc__words w;

	anyc__free(f);
	return rc >= 0 ? rc : anyc_fail(rc, -rc, "%s: %s", what, anyc__words(&w, rc));
}

int anyc__file_read_nowait(int fd, void *buf, size_t size, int64_t offset)
{
	struct iovec piece = { .iov_base = buf, .iov_len = size };
	ssize_t n = preadv2(fd, &piece, 1, offset, RWF_NOWAIT);

	return n > 0 ? (int)n : ANYC_EWOULDBLOCK;
}

int anyc__file_read(struct anyc_task *t, int fd, void *buf, size_t size, int64_t offset)
{
	struct file_job *f;
	int rc;

	size = size < ANYC__FILE_PORTION ? size : ANYC__FILE_PORTION;
	rc = anyc__file_read_nowait(fd, buf, size, offset);
	if (rc > 0) {
		anyc__charge(t, (size_t)rc);
		anyc__yield(t);
		return rc;
	}
	f = job_new(READ, fd, size);
	if (f == NULL)
		return no_memory();
	f->offset = offset;
	rc = run(f, t);
	if (rc != 0)
		return rc;
	if (f->result > 0)
		memcpy(buf, f->data, (size_t)f->result);
	return finish(f, "read a file");
}

int anyc__file_write(struct anyc_task *t, int fd, const struct iovec *iov, int count)
{
	size_t size = 0, at = 0;
	struct file_job *f;
	int i, rc;

	for (i = 0; i < count; i++)
		size += iov[i].iov_len;
	f = job_new(WRITE, fd, size < ANYC__FILE_PORTION ? size : ANYC__FILE_PORTION);
	if (f == NULL)
		return no_memory();
	for (i = 0; at < f->size; i++) {
		size_t n = iov[i].iov_len < f->size - at ? iov[i].iov_len : f->size - at;

		if (n > 0)
			memcpy(f->data + at, iov[i].iov_base, n);
		at += n;
	}
	rc = run(f, t);
	return rc != 0 ? rc : finish(f, "write a file");
}

/* A file that has no disk: of tmpfs, a memfd, of hugetlbfs. */
static bool has_no_disk(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

/* Whether a byte is in memory: 1, or 0 behind the end, or -1 with errno. */
static ssize_t probe(int fd, int64_t at)
{
	char byte;
	struct iovec piece = { .iov_base = &byte, .iov_len = 1 };

	return preadv2(fd, &piece, 1, at, RWF_NOWAIT);
}

/* The size as this machine knows it, without asking another one; 0 if it does not. */
static int64_t known_size(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &st) != 0)
		return 0;
	return (int64_t)st.stx_size;
}

/*
 * As far as the kernel tells: by the last byte, since it reads ahead in order.  Of a file system
 * that cannot tell the worker has to make sure; any other error is for whoever reads in earnest.
 */
static bool is_warm(int fd, int64_t offset, size_t size)
{
	ssize_t n = probe(fd, offset + (int64_t)size - 1);

	if (n == 0) {
		int64_t end = known_size(fd);

		n = end > offset ? probe(fd, end - 1) : 0;
	}
	if (n >= 0)
		return true;
	switch (errno) {
	case EAGAIN:
		return false;
	case EOPNOTSUPP:
	case ENOSYS:
		return has_no_disk(fd);
	default:
		return true;
	}
}

int anyc__file_warm(struct anyc_task *t, int fd, int64_t offset, size_t size)
{
	struct file_job *f;
	int rc;

	if (is_warm(fd, offset, size))
		return 0;
	f = job_new(WARM, fd, 0);
	if (f == NULL)
		return no_memory();
	f->offset = offset;
	f->size = size;
	rc = run(f, t);
	return rc != 0 ? rc : finish(f, "read a file");
}

int anyc__file_open(struct anyc_task *t, const char *path, int flags, unsigned mode)
{
	size_t room = strlen(path) + 1;
	struct file_job *f = job_new(OPEN, -1, room);
	struct anyc__words w;
	int rc;

	if (f == NULL)
		return no_memory();
	memcpy(f->data, path, room);
	f->flags = flags;
	f->mode = mode;
	rc = run(f, t);
	if (rc != 0)
		return rc;
	rc = (int)f->result;
	anyc__free(f);
	return rc >= 0 ? rc : anyc_fail(rc, -rc, "open %s: %s", path, anyc__words(&w, rc));
}

int anyc__file_close(struct anyc_task *t, int fd)
{
	struct file_job *f = job_new(CLOSE, fd, 0);
	int rc;

	if (f == NULL || start(f, t) != 0)
		return close_once(fd) == 0 ? 0 : -errno; /* better here than never */
	rc = await(f, t);
	return rc != 0 ? rc : finish(f, "close a file");
}

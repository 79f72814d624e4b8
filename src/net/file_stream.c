/* SPDX-License-Identifier: MIT */
/*
 * Files as byte streams.
 *
 * Rules
 *  - A worker may have the descriptor: it is closed when nobody is inside any more, by close or by
 *    the last call to return.
 *  - The position is the file's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <anyc/streams.h>

#include "calls.h"
#include "file_io.h"

struct file {
	struct anyc_stream stream;
	int fd; /* -1 once closed */
	unsigned inside; /* calls that use it */
};

static struct file *file_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct file, stream);
}

/* A call has ended with the descriptor; keeps errno. */
static void leave(struct file *f)
{
	int os_errno = errno;

	f->inside--;
	if (f->stream.closed_ && f->inside == 0 && f->fd >= 0) {
		close(f->fd);
		f->fd = -1;
	}
	errno = os_errno;
}

/* What went wrong with the file is for good; what was missing for the call is not. */
static int result(int rc)
{
	char text[160];

	if (rc >= 0 || rc <= ANYC_ECANCELED || rc == -ENOMEM || rc == -EAGAIN)
		return rc;
	snprintf(text, sizeof text, "%s", anyc_error_detail(rc));
	return anyc_fail(ANYC_EBROKEN, -rc, "%s", text);
}

static int closed_meanwhile(void)
{
	return anyc_fail(ANYC_ECLOSED, 0, "another task has closed the file meanwhile");
}

static int file_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct file *f = file_of(s);
	struct anyc_task *t;
	int rc;

	if ((flags & ANYC_NOWAIT) != 0)
		return anyc__file_read_nowait(f->fd, buf, size, ANYC__FILE_HERE);
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	f->inside++;
	rc = anyc__file_read(t, f->fd, buf, size, ANYC__FILE_HERE);
	leave(f);
	return s->closed_ ? closed_meanwhile() : result(rc);
}

/* A count stands, also if the file was closed meanwhile. */
static int file_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct file *f = file_of(s);
	struct anyc_task *t;
	int rc;

	if ((flags & ANYC_NOWAIT) != 0)
		return ANYC_EWOULDBLOCK;
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	f->inside++;
	rc = anyc__file_write(t, f->fd, iov, count);
	leave(f);
	return rc <= 0 && s->closed_ ? closed_meanwhile() : result(rc);
}

static int file_close(struct anyc_stream *s, unsigned flags)
{
	struct file *f = file_of(s);
	struct anyc_task *t;
	int fd = f->fd, rc;

	if (f->inside > 0)
		return 0;
	f->fd = -1;
	rc = (flags & ANYC_NOWAIT) != 0 ? ANYC_EWOULDBLOCK : anyc__enter_uncancelled(&t);
	if (rc == 0)
		return result(anyc__file_close(t, fd));
	close(fd);
	return 0;
}

static void file_free(struct anyc_stream *s)
{
	anyc__free(file_of(s));
}

static int file_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	if (attribute != &anyc_attribute_fd)
		return anyc_fail(ANYC_ENOATTR, 0, "a file has no %s", attribute->name);
	*(int *)out = file_of(s)->fd;
	return 0;
}

/* No loop has a part in it. */
static int file_move(struct anyc_stream *s)
{
	(void)s;
	return anyc_checkpoint();
}

#define FILE_OPS(receive_, send_some_) \
	{ \
		.size = sizeof(struct anyc_stream_ops), .name = "file", .receive = (receive_), \
		.send_some = (send_some_), .close = file_close, .free = file_free, \
		.attribute = file_attribute, .move = file_move, \
	}
/* By the access mode of open(2). */
static const struct anyc_stream_ops file_ops[3] = {
	[O_RDONLY] = FILE_OPS(file_receive, NULL),
	[O_WRONLY] = FILE_OPS(NULL, file_send_some),
	[O_RDWR] = FILE_OPS(file_receive, file_send_some),
};

/* ---------------------------------------------------------------------------------- making */

static struct anyc_stream *open_stream(struct file *f, int fd, int mode)
{
	f->fd = fd;
	anyc_stream_init(&f->stream, &file_ops[mode]);
	return &f->stream;
}

static struct file *file_new(void)
{
	struct file *f = anyc__alloc(sizeof *f);

	if (f == NULL)
		anyc_fail(-ENOMEM, ENOMEM, "no memory for a stream on a file");
	return f;
}

/* -errno with its sentence. */
static int os_failure(const char *what, int os_errno)
{
	struct anyc__words w;

	return anyc_fail(-os_errno, os_errno, "%s: %s", what, anyc__words(&w, -os_errno));
}

/* 0, or why a stream on this descriptor would not do what was promised. */
static int check_kind(int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return os_failure(name, errno);
	if (S_ISDIR(st.st_mode))
		return anyc_fail(-EISDIR, EISDIR, "%s: it is a directory", name);
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return anyc_fail(ANYC_EINVAL, 0,
				 "%s: it is a pipe or a socket, which has a stream of its own",
				 name);
	if ((st.st_mode & S_IFMT) == 0)
		return anyc_fail(ANYC_EINVAL, 0, "%s: it is no file: anyc_wait_readable() waits "
						 "for an eventfd and its like", name);
	return 0;
}

/* It was opened without waiting, for a FIFO would until it had another end. */
static int check_opened(int fd, const char *path)
{
	int rc = check_kind(fd, path), flags = fcntl(fd, F_GETFL);

	if (rc == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0))
		rc = os_failure(path, errno);
	return rc;
}

int anyc_file_stream_open(struct anyc_stream **out, const char *path, int flags, unsigned mode)
{
	int access = flags & O_ACCMODE, fd, rc;
	struct anyc_task *t;
	struct file *f;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || path == NULL || access > O_RDWR)
		return anyc__refuse_arguments(0, "anyc_file_stream_open: an argument is %s",
					      out == NULL || path == NULL ? "NULL" : "not valid");
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	f = file_new();
	if (f == NULL)
		return -ENOMEM;
	fd = anyc__file_open(t, path, flags | O_NONBLOCK, mode);
	rc = fd < 0 ? fd : check_opened(fd, path);
	if (rc == 0) {
		*out = open_stream(f, fd, access);
		return 0;
	}
	if (fd >= 0)
		close(fd);
	anyc__free(f);
	return rc;
}

int anyc_file_stream_adopt(struct anyc_stream **out, int fd)
{
	int rc, flags;
	struct file *f;
	char name[40];

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_file_stream_adopt: out is NULL");
	*out = NULL;
	snprintf(name, sizeof name, "adopt descriptor %d", fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return os_failure(name, errno);
	rc = check_kind(fd, name);
	if (rc != 0)
		return rc == -EISDIR ? anyc_fail(ANYC_EINVAL, 0, "%s: it is a directory", name)
				     : rc;
	if ((flags & O_ACCMODE) > O_RDWR)
		return anyc_fail(ANYC_EINVAL, 0, "%s: it is open for nothing", name);
	f = file_new();
	if (f == NULL)
		return -ENOMEM;
	*out = open_stream(f, fd, flags & O_ACCMODE);
	return 0;
}

/* The kernel's EINVAL is of either; it knows a whence or two more. */
static int refuse_place(int64_t offset, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
		return anyc_fail(ANYC_EINVAL, EINVAL,
				 "anyc_file_stream_seek: whence %d is none of SEEK_SET, SEEK_CUR, "
				 "SEEK_END", whence);
	return anyc_fail(ANYC_EINVAL, EINVAL,
			 "anyc_file_stream_seek: %lld from %s is no place in the file",
			 (long long)offset,
			 whence == SEEK_SET   ? "the beginning"
			 : whence == SEEK_CUR ? "where it is"
					      : "the end");
}

int anyc_file_stream_seek(struct anyc_stream *s, int64_t offset, int whence, int64_t *position)
{
	struct file *f;
	off_t at;

	if (position != NULL)
		*position = -1;
	if (s == NULL || s->ops_->free != file_free)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_file_stream_seek: no stream on a file");
	f = file_of(s);
	if (s->closed_)
		return anyc_fail(ANYC_ECLOSED, 0, "anyc_file_stream_seek: the file was closed");
	if (f->inside > 0)
		return anyc_fail(ANYC_EBUSY, 0, "anyc_file_stream_seek: a task reads or writes");
	at = lseek(f->fd, (off_t)offset, whence);
	if (at < 0 && errno == EINVAL)
		return refuse_place(offset, whence);
	if (at < 0)
		return os_failure("anyc_file_stream_seek", errno);
	s->ended_ = false;
	if (position != NULL)
		*position = at;
	return 0;
}

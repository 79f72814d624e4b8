/* SPDX-License-Identifier: MIT */
/*
 * Pipes as streams of one direction.
 *
 * Rules
 *  - Writing never raises SIGPIPE (rule 18): quiet.h.
 *  - Standard descriptors share their flags with other processes and stay as they are.  If such a
 *    one may block it is asked by poll(2) before each try, and written to in pieces of PIPE_BUF,
 *    which fit when it says so.
 *  - A short read proves nothing: tried until EAGAIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quiet.h"
#include "socket.h"

struct pipe_end {
	struct anyc_stream stream;
	struct anyc__fd fd;
	bool receives, sends;
	bool may_block;
};

static struct pipe_end *end_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct pipe_end, stream);
}

/* -------------------------------------------------------------------------------- attempts */

/* Whether an attempt would not block; otherwise errno is EAGAIN. */
static bool may_try(const struct pipe_end *p, short events)
{
	struct pollfd f = { .fd = p->fd.fd, .events = events };

	if (!p->may_block || poll(&f, 1, 0) > 0)
		return true;
	errno = EAGAIN;
	return false;
}

/* As writev(2), and the reader's absence is EPIPE and no signal. */
static ssize_t write_quietly(int fd, const struct iovec *iov, int count)
{
	struct anyc__quiet quiet;
	ssize_t n;

	anyc__quiet_begin(&quiet);
	n = count == 1 ? write(fd, iov->iov_base, iov->iov_len) : writev(fd, iov, count);
	anyc__quiet_end(&quiet, n < 0 && errno == EPIPE);
	return n;
}

static ssize_t write_some(const struct pipe_end *p, const struct iovec *iov, int count)
{
	struct iovec piece = *iov;

	if (!may_try(p, POLLOUT))
		return -1;
	if (!p->may_block)
		return write_quietly(p->fd.fd, iov, count);
	piece.iov_len = piece.iov_len < PIPE_BUF ? piece.iov_len : PIPE_BUF;
	return write_quietly(p->fd.fd, &piece, 1);
}

static ssize_t read_some(const struct pipe_end *p, void *buf, size_t size)
{
	return may_try(p, POLLIN) ? read(p->fd.fd, buf, size) : -1;
}

/* ------------------------------------------------------------------------------- operations */

static int broken(const struct pipe_end *p, const char *what, int os_errno)
{
	struct anyc__words w;

	return anyc_fail(ANYC_EBROKEN, os_errno, "%s pipe %d: %s", what, p->fd.fd,
			 anyc__words(&w, -os_errno));
}

static int wrong_way(unsigned flags, const char *call, const char *other)
{
	return anyc__refuse_state(flags, ANYC_ENOTSUP, 0, "%s: this end of the pipe is for %s",
				  call, other);
}

/* A call met the errno err: 0 to try again, with *ready, or how the operation ends. */
static int after(struct pipe_end *p, int err, enum anyc__direction d, bool *ready, const char *what)
{
	*ready = err == EINTR;
	if (err == EAGAIN)
		anyc__fd_drained(&p->fd, d);
	return err == EINTR || err == EAGAIN ? 0 : broken(p, what, err);
}

static int await(struct pipe_end *p, struct anyc_task *t, enum anyc__direction d, unsigned flags,
		 bool *ready, const char *what)
{
	int rc;

	if ((flags & ANYC_NOWAIT) != 0)
		return ANYC_EWOULDBLOCK;
	rc = anyc__fd_wait(&p->fd, t, d, what);
	*ready = true;
	if (rc == ANYC_ECLOSED || p->fd.closed)
		return anyc_fail(ANYC_ECLOSED, 0,
				 "another task has closed the pipe while this one waited for %s",
				 what);
	return rc;
}

static int pipe_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct pipe_end *p = end_of(s);
	bool ready = (flags & ANYC_NOWAIT) != 0 || anyc__fd_ready(&p->fd, ANYC__READ);
	struct anyc_task *t = NULL;
	int rc;

	if (!p->receives)
		return wrong_way(flags, "receive", "sending");
	rc = anyc__socket_begin(&p->fd, flags, &t);
	while (rc == 0) {
		if (ready) {
			ssize_t n = read_some(p, buf, size);

			if (n >= 0) {
				anyc__socket_end(t, flags, (size_t)n);
				return (int)n;
			}
			rc = after(p, errno, ANYC__READ, &ready, "receive from");
		} else {
			rc = await(p, t, ANYC__READ, flags, &ready, "data");
		}
	}
	return rc;
}

static int pipe_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct pipe_end *p = end_of(s);
	bool ready = (flags & ANYC_NOWAIT) != 0 || anyc__fd_ready(&p->fd, ANYC__WRITE);
	struct anyc_task *t = NULL;
	int rc;

	if (!p->sends)
		return wrong_way(flags, "send", "receiving");
	rc = anyc__socket_begin(&p->fd, flags, &t);
	while (rc == 0) {
		if (ready) {
			ssize_t n = write_some(p, iov, count);

			if (n > 0) {
				anyc__socket_end(t, flags, (size_t)n);
				return (int)n;
			}
			rc = after(p, n < 0 ? errno : EAGAIN, ANYC__WRITE, &ready, "send to");
		} else {
			rc = await(p, t, ANYC__WRITE, flags, &ready, "room to send");
		}
	}
	return rc;
}

/* The reader sees the end when the last writer has closed; there is nothing else to be done with
 * this end. */
static int pipe_send_eof(struct anyc_stream *s)
{
	struct pipe_end *p = end_of(s);
	struct anyc_task *t;
	int rc;

	if (p->receives)
		return wrong_way(0, "send_eof", p->sends ? "both directions" : "receiving");
	rc = anyc__socket_begin(&p->fd, 0, &t);
	if (rc != 0)
		return rc;
	anyc__fd_close(&p->fd);
	anyc__yield(t);
	return 0;
}

static int pipe_close(struct anyc_stream *s, unsigned flags)
{
	(void)flags;
	anyc__fd_close(&end_of(s)->fd);
	return 0;
}

static int pipe_move(struct anyc_stream *s)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	return rc != 0 ? rc : anyc__fd_move(&end_of(s)->fd, t);
}

static void pipe_free(struct anyc_stream *s)
{
	anyc__free(end_of(s));
}

static int pipe_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	if (attribute == &anyc__attribute_elsewhere) {
		*(int *)out = anyc__fd_elsewhere(&end_of(s)->fd);
		return 0;
	}
	if (attribute != &anyc_attribute_fd)
		return anyc_fail(ANYC_ENOATTR, 0, "a pipe has no %s", attribute->name);
	if (end_of(s)->fd.closed)
		return anyc_fail(ANYC_ECLOSED, 0, "attribute: sending was ended, which closed it");
	*(int *)out = end_of(s)->fd.fd;
	return 0;
}

static const struct anyc_stream_ops pipe_ops = {
	.size = sizeof pipe_ops,
	.name = "pipe",
	.receive = pipe_receive,
	.send_some = pipe_send_some,
	.send_eof = pipe_send_eof,
	.close = pipe_close,
	.free = pipe_free,
	.attribute = pipe_attribute,
	.move = pipe_move,
};

/* ---------------------------------------------------------------------------------- making */

static struct anyc_stream *open_end(struct pipe_end *p, int fd, int flags)
{
	anyc__fd_init(&p->fd, fd, ANYC__FD_STREAM);
	p->receives = (flags & O_ACCMODE) != O_WRONLY;
	p->sends = (flags & O_ACCMODE) != O_RDONLY;
	p->may_block = fd <= 2 && (flags & O_NONBLOCK) == 0;
	anyc_stream_init(&p->stream, &pipe_ops);
	return &p->stream;
}

int anyc_pipe_open(struct anyc_stream **receive, struct anyc_stream **send)
{
	struct pipe_end *r, *w;
	struct anyc__words words;
	int fd[2], rc = 0;

	if (receive == NULL || send == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "pipe: an argument is NULL");
	*receive = *send = NULL;
	r = anyc__alloc(sizeof *r);
	w = anyc__alloc(sizeof *w);
	if (r == NULL || w == NULL)
		rc = -ENOMEM;
	else if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0)
		rc = -errno;
	if (rc != 0) {
		anyc__free(r);
		anyc__free(w);
		return anyc_fail(rc, -rc, "pipe: %s", anyc__words(&words, rc));
	}
	*receive = open_end(r, fd[0], O_RDONLY | O_NONBLOCK);
	*send = open_end(w, fd[1], O_WRONLY | O_NONBLOCK);
	return 0;
}

int anyc_pipe_adopt(struct anyc_stream **out, int fd)
{
	struct pipe_end *p;
	struct stat st;
	int flags = -1, rc;

	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "adopt: out is NULL");
	*out = NULL;
	if (fstat(fd, &st) != 0)
		return anyc__not_adopted_for(fd, -errno);
	if (!S_ISFIFO(st.st_mode))
		return anyc__not_adopted(fd, "it is no pipe");
	if (anyc__fd_waited_for(fd))
		return anyc__not_adopted(fd, ANYC__IS_WAITED_FOR);
	p = anyc__alloc(sizeof *p);
	rc = p != NULL ? anyc__set_nonblocking(fd, &flags) : -ENOMEM;
	if (rc != 0) {
		anyc__free(p);
		return anyc__not_adopted_for(fd, rc);
	}
	*out = open_end(p, fd, flags);
	return 0;
}

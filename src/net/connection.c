/* SPDX-License-Identifier: MIT */
/*
 * The stream of a connected socket, of TCP or of UNIX.
 *
 * Rules
 *  - A request in steady state is one recv and one send: what is known to be not ready is not
 *    tried.  A call with ANYC_NOWAIT tries always: nobody may be polling for it.
 *  - After every wait the stream may have been closed: that is looked at before the descriptor.
 *  - No O_NONBLOCK is relied on: MSG_DONTWAIT does it, also for an adopted standard input.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <anyc/unix.h>

#include "connection.h"
#include "file_io.h"
#include "quiet.h"

/* Below; also how a stream of UNIX is known. */
static const struct anyc_stream_ops unix_ops;

static struct anyc__connection *connection_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct anyc__connection, stream);
}

static int broken(const struct anyc__connection *c, const char *what, int os_errno)
{
	struct anyc__address_text peer;
	struct anyc__words w;

	return anyc_fail(ANYC_EBROKEN, os_errno, "%s %s: %s", what,
			 anyc__address_text(&peer, &c->remote), anyc__words(&w, -os_errno));
}

int anyc__connection_after(struct anyc__connection *c, int err, enum anyc__direction d,
			   const char *what)
{
	if (err == EINTR)
		return 0;
	if (err != EAGAIN)
		return broken(c, what, err);
	anyc__fd_drained(&c->fd, d);
	return 0;
}

int anyc__connection_await(struct anyc__connection *c, struct anyc_task *t, enum anyc__direction d,
			   unsigned flags, const char *what)
{
	int rc;

	if (flags & ANYC_NOWAIT)
		return ANYC_EWOULDBLOCK;
	rc = anyc__fd_wait(&c->fd, t, d, what);
	if (rc == 0 && c->fd.closed)
		rc = ANYC_ECLOSED;
	if (rc == -EBADF) /* somebody closed the descriptor under us */
		return broken(c, what, EBADF);
	if (rc == ANYC_ECLOSED)
		return anyc_fail(rc, 0,
				 "another task has closed the stream while this one waited for %s",
				 what);
	return rc;
}

/* ------------------------------------------------------------------------------ receiving */

static int connection_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct anyc__connection *c = connection_of(s);
	bool ready = (flags & ANYC_NOWAIT) != 0 || anyc__fd_ready(&c->fd, ANYC__READ);
	struct anyc_task *t = NULL;
	int rc = anyc__socket_begin(&c->fd, flags, &t);

	while (rc == 0) {
		if (ANYC__LIKELY(ready)) {
			ssize_t n = recv(c->fd.fd, buf, size, MSG_DONTWAIT);

			if (ANYC__LIKELY(n >= 0)) {
				anyc__fd_received(&c->fd, (size_t)n, size);
				anyc__socket_end(t, flags, (size_t)n);
				return (int)n;
			}
			ready = errno == EINTR;
			rc = anyc__connection_after(c, errno, ANYC__READ, "receive from");
		} else {
			rc = anyc__connection_await(c, t, ANYC__READ, flags, "data");
			ready = true;
		}
	}
	return rc;
}

/* -------------------------------------------------------------------------------- sending */

static ssize_t send_once(int fd, const struct iovec *iov, int count)
{
	struct msghdr m;

	if (ANYC__LIKELY(count == 1))
		return send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	memset(&m, 0, sizeof m);
	m.msg_iov = (struct iovec *)(uintptr_t)iov; /* it is only read */
	m.msg_iovlen = (size_t)count;
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int connection_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
				unsigned flags)
{
	struct anyc__connection *c = connection_of(s);
	bool ready = (flags & ANYC_NOWAIT) != 0 || anyc__fd_ready(&c->fd, ANYC__WRITE);
	struct anyc_task *t = NULL;
	int rc = anyc__socket_begin(&c->fd, flags, &t);

	while (rc == 0) {
		if (ANYC__LIKELY(ready)) {
			ssize_t n = send_once(c->fd.fd, iov, count);

			if (ANYC__LIKELY(n > 0)) {
				anyc__socket_end(t, flags, (size_t)n);
				return (int)n;
			}
			ready = n < 0 && errno == EINTR;
			rc = anyc__connection_after(c, n < 0 ? errno : EAGAIN, ANYC__WRITE,
						    "send to");
		} else {
			rc = anyc__connection_await(c, t, ANYC__WRITE, flags, "room to send");
			ready = true;
		}
	}
	return rc;
}

/* As sendfile(2), and a peer that has gone is EPIPE and no signal: that comes also with a count,
 * if the peer went in the middle. */
static ssize_t send_file_once(int fd, int file, int64_t offset, size_t size)
{
	struct anyc__quiet quiet;
	off_t at = (off_t)offset;
	ssize_t n;

	anyc__quiet_begin(&quiet);
	n = sendfile(fd, file, &at, size);
	anyc__quiet_end(&quiet, n < 0 ? errno == EPIPE : (size_t)n < size);
	return n;
}

/* sendfile(2) met the errno err: as anyc__connection_after(). */
static int after_send_file(struct anyc__connection *c, int err)
{
	switch (err) {
	case EINVAL:
	case ENOSYS:
	case EOPNOTSUPP:
	case EOVERFLOW:
	case ESPIPE:
	case EIO: /* the file's: reading it says what is wrong */
	case EBADF:
		return ANYC_ENOTSUP;
	default:
		return anyc__connection_after(c, err, ANYC__WRITE, "send to");
	}
}

/* What was in memory may have gone again when the socket was full for so long. */
#define LOOK_AGAIN ANYC_SECOND

/*
 * Looks before it tries whether the file is in memory, as the kernel would wait for the disk with
 * the whole loop.  A descriptor that may block (rule 18) takes no sendfile(2).
 */
static int connection_send_file(struct anyc_stream *s, int fd, int64_t offset, size_t size)
{
	struct anyc__connection *c = connection_of(s);
	struct anyc_task *t = NULL;
	int64_t look = 0; /* when next */
	int rc = anyc__socket_begin(&c->fd, 0, &t);

	if (rc == 0 && c->fd.fd <= 2)
		rc = ANYC_ENOTSUP;
	while (rc == 0) {
		if (c->fd.closed)
			return anyc_fail(ANYC_ECLOSED, 0,
					 "another task has closed the stream meanwhile");
		if (!anyc__fd_ready(&c->fd, ANYC__WRITE)) {
			rc = anyc__connection_await(c, t, ANYC__WRITE, 0, "room to send");
		} else if (anyc__now(anyc__task_engine(t)) >= look) {
			rc = anyc__file_warm(t, fd, offset, size);
			look = anyc__now(anyc__task_engine(t)) + LOOK_AGAIN;
		} else {
			ssize_t n = send_file_once(c->fd.fd, fd, offset, size);

			if (n >= 0) {
				anyc__socket_end(t, 0, (size_t)n);
				return (int)n;
			}
			rc = after_send_file(c, errno);
		}
	}
	return rc;
}

static int connection_send_eof(struct anyc_stream *s)
{
	struct anyc__connection *c = connection_of(s);
	struct anyc_task *t;
	int rc = anyc__socket_begin(&c->fd, 0, &t);

	if (rc != 0)
		return rc;
	if (shutdown(c->fd.fd, SHUT_WR) != 0)
		return broken(c, "end sending to", errno);
	anyc__yield(t);
	return 0;
}

/* -------------------------------------------------------------------------------- the rest */

static int connection_close(struct anyc_stream *s, unsigned flags)
{
	(void)flags; /* the kernel says goodbye */
	anyc__fd_close(&connection_of(s)->fd);
	return 0;
}

static int connection_move(struct anyc_stream *s)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	return rc != 0 ? rc : anyc__fd_move(&connection_of(s)->fd, t);
}

static void connection_free(struct anyc_stream *s)
{
	anyc__free(connection_of(s));
}

static int credentials_of(int fd, struct anyc_credentials *out)
{
	struct ucred c;
	socklen_t length = sizeof c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &length) != 0)
		return -errno;
	out->pid = c.pid;
	out->uid = c.uid;
	out->gid = c.gid;
	return 0;
}

static int connection_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute,
				void *out)
{
	struct anyc__connection *c = connection_of(s);

	if (attribute == &anyc_attribute_local_address)
		return anyc__socket_local(c->fd.fd, out);
	if (attribute == &anyc_attribute_remote_address)
		*(struct anyc_address *)out = c->remote;
	else if (attribute == &anyc_attribute_fd)
		*(int *)out = c->fd.fd;
	else if (attribute == &anyc__attribute_elsewhere)
		*(int *)out = anyc__fd_elsewhere(&c->fd);
	else if (attribute == &anyc_attribute_credentials && s->ops_ == &unix_ops)
		return credentials_of(c->fd.fd, out);
	else
		return anyc_fail(ANYC_ENOATTR, 0, "a %s stream has no %s", s->ops_->name,
				 attribute->name);
	return 0;
}

#define CONNECTION_OPS(name_) \
	{ \
		.size = sizeof(struct anyc_stream_ops), .name = (name_), \
		.receive = connection_receive, .send_some = connection_send_some, \
		.send_eof = connection_send_eof, .close = connection_close, \
		.free = connection_free, .attribute = connection_attribute, \
		.send_file = connection_send_file, .move = connection_move, \
	}
static const struct anyc_stream_ops tcp_ops = CONNECTION_OPS("TCP");
static const struct anyc_stream_ops unix_ops = CONNECTION_OPS("UNIX");

struct anyc__connection *anyc__connection_new(void)
{
	struct anyc__connection *c = anyc__alloc(sizeof *c);

	if (c != NULL)
		c->fd.fd = -1;
	return c;
}

void anyc__connection_drop(struct anyc__connection *c)
{
	int os_errno = errno;

	if (c == NULL)
		return;
	if (c->fd.fd >= 0)
		anyc__fd_close(&c->fd);
	anyc__free(c);
	errno = os_errno;
}

struct anyc_stream *anyc__connection_open(struct anyc__connection *c, bool of_unix)
{
	anyc_stream_init(&c->stream, of_unix ? &unix_ops : &tcp_ops);
	return &c->stream;
}

struct anyc__connection *anyc__connection_of_unix(struct anyc_stream *s)
{
	return s->ops_ == &unix_ops ? connection_of(s) : NULL;
}

void anyc__tcp_no_delay(int fd)
{
	int on = 1;

	ANYC_IGNORE(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

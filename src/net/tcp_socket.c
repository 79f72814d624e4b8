/* SPDX-License-Identifier: MIT */
/*
 * The TCP stream.
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
#include <sys/socket.h>
#include <unistd.h>

#include "tcp.h"

static struct anyc__tcp *tcp_of(struct anyc_stream *s)
{
	return ANYC__CONTAINER(s, struct anyc__tcp, stream);
}

static int broken(const struct anyc__tcp *c, const char *what, int os_errno)
{
	struct anyc__address_text peer;
	struct anyc__words w;

	return anyc_fail(ANYC_EBROKEN, os_errno, "%s %s: %s", what,
			 anyc__address_text(&peer, &c->remote), anyc__words(&w, -os_errno));
}

/* A call met the errno err: 0 to try again, or how the operation ends. */
static int after(struct anyc__tcp *c, int err, enum anyc__direction d, const char *what)
{
	if (err == EINTR)
		return 0;
	if (err != EAGAIN)
		return broken(c, what, err);
	anyc__fd_drained(&c->fd, d);
	return 0;
}

/* Waits until the direction may be tried. */
static int await(struct anyc__tcp *c, struct anyc_task *t, enum anyc__direction d, unsigned flags,
		 const char *what)
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

static int tcp_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct anyc__tcp *c = tcp_of(s);
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
			rc = after(c, errno, ANYC__READ, "receive from");
		} else {
			rc = await(c, t, ANYC__READ, flags, "data");
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

static int tcp_send_some(struct anyc_stream *s, const struct iovec *iov, int count, unsigned flags)
{
	struct anyc__tcp *c = tcp_of(s);
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
			rc = after(c, n < 0 ? errno : EAGAIN, ANYC__WRITE, "send to");
		} else {
			rc = await(c, t, ANYC__WRITE, flags, "room to send");
			ready = true;
		}
	}
	return rc;
}

static int tcp_send_eof(struct anyc_stream *s)
{
	struct anyc__tcp *c = tcp_of(s);
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

static int tcp_close(struct anyc_stream *s, unsigned flags)
{
	(void)flags; /* the kernel says goodbye */
	anyc__fd_close(&tcp_of(s)->fd);
	return 0;
}

static void tcp_free(struct anyc_stream *s)
{
	anyc__free(tcp_of(s));
}

static int tcp_attribute(struct anyc_stream *s, const struct anyc_attribute *attribute, void *out)
{
	struct anyc__tcp *c = tcp_of(s);

	if (attribute == &anyc_attribute_local_address)
		return anyc__socket_local(c->fd.fd, out);
	if (attribute == &anyc_attribute_remote_address)
		*(struct anyc_address *)out = c->remote;
	else if (attribute == &anyc_attribute_fd)
		*(int *)out = c->fd.fd;
	else
		return anyc_fail(ANYC_ENOATTR, 0, "a TCP stream has no %s", attribute->name);
	return 0;
}

static const struct anyc_stream_ops tcp_ops = {
	.size = sizeof tcp_ops,
	.name = "TCP",
	.receive = tcp_receive,
	.send_some = tcp_send_some,
	.send_eof = tcp_send_eof,
	.close = tcp_close,
	.free = tcp_free,
	.attribute = tcp_attribute,
};

struct anyc__tcp *anyc__tcp_new(void)
{
	struct anyc__tcp *c = anyc__alloc(sizeof *c);

	if (c != NULL)
		c->fd.fd = -1;
	return c;
}

void anyc__tcp_drop(struct anyc__tcp *c)
{
	int os_errno = errno;

	if (c == NULL)
		return;
	if (c->fd.fd >= 0)
		anyc__fd_close(&c->fd);
	anyc__free(c);
	errno = os_errno;
}

struct anyc_stream *anyc__tcp_open(struct anyc__tcp *c)
{
	anyc_stream_init(&c->stream, &tcp_ops);
	return &c->stream;
}

void anyc__tcp_no_delay(int fd)
{
	int on = 1;

	ANYC_IGNORE(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

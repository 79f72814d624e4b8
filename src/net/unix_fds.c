/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that go through a stream of UNIX, and who is at its other end.
 *
 * Rules
 *  - There is always room for as many descriptors as the kernel sends at once, so what it cuts off
 *    is what this process has no numbers for.
 *  - Whatever came is the caller's or closed, on every path.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <anyc/unix.h>

#include "connection.h"

#define MOST 253 /* the kernel's SCM_MAX_FD */

const struct anyc_attribute anyc_attribute_credentials = { .name = "credentials",
							   .size = sizeof(
								   struct anyc_credentials) };

/* What else may come with them, if somebody asked the socket for it: credentials, a label. */
#define ASKED (CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(256))

/* Aligned as its first member is. */
union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(MOST * sizeof(int)) + ASKED];
};

static int not_of_unix(const struct anyc_stream *s, const char *call)
{
	return anyc__refuse_state(0, ANYC_ENOTSUP, 0, "%s: a %s stream carries no descriptors",
				  call, s->ops_->name);
}

/* --------------------------------------------------------------------------------- sending */

struct sending {
	struct iovec iov;
	const int *fds;
	size_t count;
};

static ssize_t send_control(int fd, struct sending *w)
{
	union control control;
	struct msghdr m = { .msg_iov = &w->iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = CMSG_SPACE(w->count * sizeof(int)) };

	memset(&control, 0, sizeof control);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(w->count * sizeof(int));
	memcpy(CMSG_DATA(&control.head), w->fds, w->count * sizeof(int));
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What is wrong with the descriptors, and not with the connection. */
static bool is_of_fds(int err)
{
	return err == EBADF || err == ETOOMANYREFS || err == EPERM || err == EINVAL;
}

static int send_first(struct anyc_stream *s, void *arg)
{
	struct anyc__connection *c = anyc__connection_of_unix(s);
	bool ready = anyc__fd_ready(&c->fd, ANYC__WRITE);
	struct anyc__words words;
	struct anyc_task *t;
	int rc = anyc__socket_begin(&c->fd, 0, &t);

	while (rc == 0) {
		if (ready) {
			ssize_t n = send_control(c->fd.fd, arg);

			if (n > 0) {
				anyc__socket_end(t, 0, (size_t)n);
				return (int)n;
			}
			if (n < 0 && is_of_fds(errno))
				return anyc_fail(-errno, errno, "send descriptors: %s",
						 anyc__words(&words, -errno));
			ready = n < 0 && errno == EINTR;
			rc = anyc__connection_after(c, n < 0 ? errno : EAGAIN, ANYC__WRITE,
						    "send to");
		} else {
			rc = anyc__connection_await(c, t, ANYC__WRITE, 0, "room to send");
			ready = true;
		}
	}
	return rc;
}

int anyc_unix_send_fds(struct anyc_stream *s, const void *buf, size_t size, const int *fds,
		       size_t count)
{
	struct sending w = { .fds = fds, .count = count };
	const char *wrong = NULL;

	if (s == NULL || buf == NULL || fds == NULL)
		wrong = "an argument is NULL";
	else if (size == 0)
		wrong = "descriptors go with at least one byte";
	else if (count == 0 || count > MOST)
		wrong = "it takes 1 to 253 descriptors";
	if (wrong != NULL)
		return anyc__refuse_arguments(0, "send descriptors: %s", wrong);
	if (anyc__connection_of_unix(s) == NULL)
		return not_of_unix(s, "send");
	w.iov.iov_base = (void *)(uintptr_t)buf; /* it is only read */
	w.iov.iov_len = size;
	return anyc__stream_sending(s, send_first, &w, &w.iov);
}

/* ------------------------------------------------------------------------------- receiving */

struct receiving {
	struct iovec iov;
	int *fds;
	size_t room, *count;
};

static void close_some(const int *fds, size_t count)
{
	while (count > 0)
		close(fds[--count]);
}

/* Hands over what came, as far as there is room. */
static void take_fds(struct receiving *w, struct msghdr *m)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		int came[MOST];
		size_t n, i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(came, CMSG_DATA(c), n * sizeof(int));
		for (i = 0; i < n; i++, ++*w->count) {
			if (*w->count < w->room)
				w->fds[*w->count] = came[i];
			else
				close(came[i]);
		}
	}
}

static ssize_t receive_control(int fd, struct receiving *w, bool *lost)
{
	union control control;
	struct msghdr m = { .msg_iov = &w->iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*lost = false;
	if (n < 0)
		return n;
	take_fds(w, &m);
	if ((m.msg_flags & MSG_CTRUNC) != 0) {
		close_some(w->fds, *w->count < w->room ? *w->count : w->room);
		*w->count = 0;
		*lost = true;
	}
	return n;
}

static int receive_with(struct anyc_stream *s, void *arg)
{
	struct anyc__connection *c = anyc__connection_of_unix(s);
	bool ready = anyc__fd_ready(&c->fd, ANYC__READ), lost;
	struct anyc_task *t;
	int rc = anyc__socket_begin(&c->fd, 0, &t);

	while (rc == 0) {
		if (ready) {
			ssize_t n = receive_control(c->fd.fd, arg, &lost);

			if (n >= 0 && lost)
				return anyc__connection_after(c, EMFILE, ANYC__READ,
							      "receive descriptors from");
			if (n >= 0) {
				anyc__socket_end(t, 0, (size_t)n);
				return (int)n;
			}
			ready = errno == EINTR;
			rc = anyc__connection_after(c, errno, ANYC__READ, "receive from");
		} else {
			rc = anyc__connection_await(c, t, ANYC__READ, 0, "data");
			ready = true;
		}
	}
	return rc;
}

int anyc_unix_receive_fds(struct anyc_stream *s, void *buf, size_t size, int *fds, size_t room,
			  size_t *count)
{
	struct receiving w = { .fds = fds, .room = room, .count = count };

	if (count != NULL)
		*count = 0;
	if (s == NULL || buf == NULL || fds == NULL || count == NULL)
		return anyc__refuse_arguments(0, "receive descriptors: an argument is NULL");
	if (size == 0 || room == 0)
		return anyc__refuse_arguments(0, "receive descriptors: there is room for 0 %s",
					      size == 0 ? "bytes" : "descriptors");
	if (anyc__connection_of_unix(s) == NULL)
		return not_of_unix(s, "receive");
	w.iov.iov_base = buf;
	w.iov.iov_len = size < ANYC_IO_MAX ? size : ANYC_IO_MAX;
	return anyc__stream_receiving(s, receive_with, &w);
}

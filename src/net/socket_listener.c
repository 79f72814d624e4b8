/* SPDX-License-Identifier: MIT */
/*
 * The listener of sockets, of TCP or of UNIX: one, or one for each address.
 *
 * Rules
 *  - A task waits for one descriptor.  Of several sockets it is that of an epoll set of the
 *    listener's own, which is readable while one of them is.
 *  - accept tries until every socket says EAGAIN; the next call begins with the socket after the
 *    last that gave a connection.
 *  - The memory for a connection is there before it is taken out of the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "unix_path.h"

struct socket_listener {
	struct anyc_listener base;
	struct anyc__fd wait; /* the socket, or the epoll set of several */
	unsigned count, next;
	bool of_unix;
	struct anyc__bound_path *path; /* removed at close, or NULL */
	int fd[];
};

static struct socket_listener *listener_of(struct anyc_listener *l)
{
	return ANYC__CONTAINER(l, struct socket_listener, base);
}

/* ---------------------------------------------------------------------------------- accept */

static int accept_from(int listening, struct anyc_address *remote)
{
	int fd;

	do {
		remote->length = sizeof remote->storage;
		fd = accept4(listening, (struct sockaddr *)&remote->storage, &remote->length,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd >= 0 ? fd : -errno;
}

/* The first connection that one of the sockets has; -EAGAIN: none has. */
static int accept_any(struct socket_listener *l, struct anyc_address *remote)
{
	unsigned i;

	for (i = 0; i < l->count; i++) {
		int fd = accept_from(l->fd[l->next], remote);

		l->next = (l->next + 1) % l->count;
		if (fd != -EAGAIN)
			return fd;
	}
	return -EAGAIN;
}

static int fail_accept(int rc)
{
	struct anyc__words w;

	return anyc_fail(rc, -rc, "accept: %s", anyc__words(&w, rc));
}

/* The next connection's descriptor, or an error. */
static int next_connection(struct socket_listener *l, struct anyc_task *t,
			   struct anyc_address *remote)
{
	int rc;

	for (;;) {
		if (!anyc__fd_ready(&l->wait, ANYC__READ)) {
			rc = anyc__fd_wait(&l->wait, t, ANYC__READ, "a connection");
			if (rc == ANYC_ECLOSED || l->wait.closed)
				return anyc_fail(ANYC_ECLOSED, 0,
						 "accept: another task has closed the listener");
			if (rc != 0)
				return rc;
		}
		rc = accept_any(l, remote);
		if (rc >= 0)
			return rc;
		if (rc == -EAGAIN) {
			anyc__fd_drained(&l->wait, ANYC__READ);
		} else if (anyc__is_of_connection(rc)) {
			anyc__yield(t);
			rc = anyc__enter(&t);
			if (rc == 0 && l->wait.closed)
				rc = ANYC_ECLOSED;
			if (rc != 0)
				return rc;
		} else {
			return fail_accept(rc);
		}
	}
}

static int listener_accept(struct anyc_listener *base, struct anyc_stream **out)
{
	struct socket_listener *l = listener_of(base);
	struct anyc__connection *c;
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc == 0)
		rc = anyc__fd_check(&l->wait, t);
	if (rc != 0)
		return rc;
	c = anyc__connection_new();
	if (c == NULL)
		return fail_accept(-ENOMEM);
	rc = next_connection(l, t, &c->remote);
	if (rc < 0) {
		anyc__connection_drop(c);
		return rc;
	}
	anyc__fd_init(&c->fd, rc, l->of_unix ? ANYC__FD_STREAM : ANYC__FD_TCP);
	*out = anyc__connection_open(c, l->of_unix);
	anyc__yield(t);
	return 0;
}

/* -------------------------------------------------------------------------------- the rest */

static int listener_close(struct anyc_listener *base, unsigned flags)
{
	struct socket_listener *l = listener_of(base);
	unsigned i;

	(void)flags;
	anyc__bound_path_remove(l->path);
	anyc__fd_close(&l->wait);
	for (i = 0; l->count > 1 && i < l->count; i++)
		close(l->fd[i]);
	return 0;
}

static void listener_free(struct anyc_listener *base)
{
	anyc__free(listener_of(base));
}

static int listener_attribute(struct anyc_listener *base,
				  const struct anyc_attribute *attribute, void *out)
{
	struct socket_listener *l = listener_of(base);

	if (attribute == &anyc_attribute_local_address)
		return anyc__socket_local(l->fd[0], out);
	if (attribute == &anyc__attribute_elsewhere) {
		*(int *)out = anyc__fd_elsewhere(&l->wait);
		return 0;
	}
	if (attribute != &anyc_attribute_fd)
		return anyc_fail(ANYC_ENOATTR, 0, "a %s listener has no %s", base->ops_->name,
				 attribute->name);
	*(int *)out = l->fd[0];
	return 0;
}

#define LISTENER_OPS(name_) \
	{ \
		.size = sizeof(struct anyc_listener_ops), .name = (name_), \
		.accept = listener_accept, .close = listener_close, .free = listener_free, \
		.attribute = listener_attribute, \
	}
static const struct anyc_listener_ops tcp_ops = LISTENER_OPS("TCP");
static const struct anyc_listener_ops unix_ops = LISTENER_OPS("UNIX");

/* A descriptor that is readable while one of several is.  -errno */
static int gather(const int *fds, unsigned count)
{
	struct epoll_event any = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC);
	unsigned i;

	if (set < 0)
		return -errno;
	for (i = 0; i < count; i++) {
		if (epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &any) != 0) {
			int rc = -errno;

			close(set);
			return rc;
		}
	}
	return set;
}

int anyc__socket_listener_new(struct anyc_listener **out, const int *fds, unsigned count,
			      bool of_unix, struct anyc__bound_path *path)
{
	struct socket_listener *l = anyc__alloc(sizeof *l + count * sizeof *l->fd);
	int wait = count == 1 ? fds[0] : -1;
	unsigned i;

	if (l == NULL)
		return -ENOMEM;
	if (count > 1)
		wait = gather(fds, count);
	if (wait < 0) {
		anyc__free(l);
		return wait;
	}
	anyc__fd_init(&l->wait, wait, ANYC__FD_LISTENER);
	l->count = count;
	memcpy(l->fd, fds, count * sizeof *fds);
	/* Accepted sockets inherit it. */
	for (i = 0; i < count && !of_unix; i++)
		anyc__tcp_no_delay(fds[i]);
	l->of_unix = of_unix;
	l->path = path;
	anyc_listener_init(&l->base, of_unix ? &unix_ops : &tcp_ops);
	*out = &l->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Making UNIX sockets: connecting, listening, pairs; streams and datagrams. */
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include <anyc/unix.h>

#include "connection.h"
#include "datagram.h"
#include "unix_path.h"

#define FIRST_PAUSE ANYC_MILLISECOND
#define LONGEST_PAUSE (64 * ANYC_MILLISECOND)

static int fail(const char *what, const struct anyc_address *a, int rc)
{
	struct anyc__address_text text;
	struct anyc__words w;

	return anyc_fail(rc, -rc, "%s %s: %s", what, anyc__address_text(&text, a),
			 anyc__words(&w, rc));
}

int anyc_unix_address(struct anyc_address *out, const char *path, size_t length)
{
	if (out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "address: out is NULL");
	return anyc__unix_address(out, path, length, "address");
}

static int open_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd >= 0 ? fd : -errno;
}

/* --------------------------------------------------------------------------------- connect */

/* 0, -EAGAIN for a queue that is full, or another -errno. */
static int connect_once(int fd, const struct anyc_address *a)
{
	for (;;) {
		if (connect(fd, (const struct sockaddr *)&a->storage, a->length) == 0)
			return 0;
		if (errno == EISCONN) /* an interrupted one has gone on by itself */
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* The kernel gives no event when there is room again (rule 33). */
static int connect_waiting(int fd, const struct anyc_address *a)
{
	int64_t pause = FIRST_PAUSE;
	int rc;

	while ((rc = connect_once(fd, a)) == -EAGAIN) {
		rc = anyc_sleep(pause);
		if (rc != 0)
			return rc;
		pause = pause < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
	}
	return rc;
}

static int connect_stream(struct anyc_stream **out, const struct anyc_address *a)
{
	struct anyc__connection *c = anyc__connection_new();
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->remote = *a;
	rc = open_socket(SOCK_STREAM);
	if (rc >= 0) {
		anyc__fd_init(&c->fd, rc, ANYC__FD_STREAM);
		rc = connect_waiting(rc, a);
	}
	if (rc == 0)
		*out = anyc__connection_open(c, true);
	else
		anyc__connection_drop(c);
	return rc;
}

int anyc_unix_connect_sized(struct anyc_stream **out, const char *path,
			    const struct anyc_unix_options *options, size_t size)
{
	struct anyc_unix_options o;
	struct anyc_address a;
	struct anyc_task *t;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	if (out == NULL)
		return anyc__refuse_arguments(0, "connect: out is NULL");
	*out = NULL;
	rc = anyc__enter(&t);
	if (rc == 0)
		rc = anyc__unix_address(&a, path, o.path_length, "connect");
	if (rc != 0)
		return rc;
	rc = connect_stream(out, &a);
	if (rc == 0)
		anyc__yield(t);
	return rc < 0 && rc > -4096 ? fail("connect", &a, rc) : rc;
}

/* ---------------------------------------------------------------------------------- listen */

static int listen_at(struct anyc_listener **out, const struct anyc_address *a,
		     const struct anyc_unix_options *o)
{
	struct anyc__bound_path *path = NULL;
	int fd = open_socket(SOCK_STREAM), rc;

	if (fd < 0)
		return fd;
	rc = anyc__unix_bind(&path, fd, a, o->mode);
	if (rc == 0 && listen(fd, o->backlog > 0 ? o->backlog : INT_MAX) != 0)
		rc = -errno;
	if (rc == 0)
		rc = anyc__socket_listener_new(out, &fd, 1, true, path);
	if (rc == 0)
		return 0;
	anyc__bound_path_remove(path);
	close(fd);
	return rc;
}

static const char *bad_options(const struct anyc_unix_options *o)
{
	if (o->backlog < 0)
		return "the backlog is negative";
	return o->mode > 0777 ? "the mode is more than 0777" : NULL;
}

int anyc_unix_listen_sized(struct anyc_listener **out, const char *path,
			   const struct anyc_unix_options *options, size_t size)
{
	struct anyc_unix_options o;
	struct anyc_address a;
	const char *wrong;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	if (out != NULL)
		*out = NULL;
	wrong = out == NULL ? "out is NULL" : bad_options(&o);
	if (wrong != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "listen: %s", wrong);
	rc = anyc__unix_address(&a, path, o.path_length, "listen");
	if (rc != 0)
		return rc;
	rc = listen_at(out, &a, &o);
	return rc != 0 ? fail("listen on", &a, rc) : 0;
}

/* ------------------------------------------------------------------------------- datagrams */

/* A socket bound to local and connected to remote; either may be NULL. */
static int open_datagram(struct anyc_datagram **out, const struct anyc_address *local,
			 const struct anyc_address *remote, unsigned mode)
{
	struct anyc__bound_path *path = NULL;
	int fd = open_socket(SOCK_DGRAM), rc = 0;

	if (fd < 0)
		return fd;
	if (local != NULL)
		rc = anyc__unix_bind(&path, fd, local, mode);
	if (rc == 0 && remote != NULL)
		rc = connect_once(fd, remote);
	if (rc == 0)
		rc = anyc__datagram_new(out, fd, true);
	if (rc == 0) {
		(*out)->path = path;
		return 0;
	}
	anyc__bound_path_remove(path);
	close(fd);
	return rc;
}

static int begin_datagram(struct anyc_datagram **out, const struct anyc_unix_options *o,
			  const char *call)
{
	const char *wrong;

	if (out != NULL)
		*out = NULL;
	wrong = out == NULL ? "out is NULL" : bad_options(o);
	return wrong != NULL ? anyc_fail(ANYC_EINVAL, 0, "%s: %s", call, wrong) : 0;
}

int anyc_unix_datagram_bind_sized(struct anyc_datagram **out, const char *path,
				  const struct anyc_unix_options *options, size_t size)
{
	struct anyc_unix_options o;
	struct anyc_address a = { 0 };
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	rc = begin_datagram(out, &o, "bind");
	if (rc == 0 && o.local_path != NULL)
		rc = anyc_fail(ANYC_EINVAL, 0, "bind: local_path is for connected sockets");
	if (rc == 0 && path != NULL)
		rc = anyc__unix_address(&a, path, o.path_length, "bind");
	if (rc != 0)
		return rc;
	rc = open_datagram(out, path != NULL ? &a : NULL, NULL, o.mode);
	return rc != 0 ? fail("bind", &a, rc) : 0;
}

int anyc_unix_datagram_connect_sized(struct anyc_datagram **out, const char *path,
				     const struct anyc_unix_options *options, size_t size)
{
	struct anyc_address remote, local = { 0 };
	struct anyc_unix_options o;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	rc = begin_datagram(out, &o, "connect");
	if (rc == 0)
		rc = anyc__unix_address(&remote, path, o.path_length, "connect");
	if (rc == 0 && o.local_path != NULL)
		rc = anyc__unix_address(&local, o.local_path, o.local_path_length, "connect");
	if (rc != 0)
		return rc;
	rc = open_datagram(out, o.local_path != NULL ? &local : NULL, &remote, o.mode);
	return rc != 0 ? fail("connect", &remote, rc) : 0;
}

/* ----------------------------------------------------------------------------------- pairs */

static int fail_pair(int rc)
{
	struct anyc__words w;

	return anyc_fail(rc, -rc, "pair: %s", anyc__words(&w, rc));
}

static int open_pair(int fd[2], int type)
{
	return socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0 ? 0 : -errno;
}

static void close_pair(const int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

int anyc_unix_pair(struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc__connection *c[2] = { NULL, NULL };
	int fd[2], i, rc;

	if (a == NULL || b == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "pair: an argument is NULL");
	*a = *b = NULL;
	rc = open_pair(fd, SOCK_STREAM);
	if (rc != 0)
		return fail_pair(rc);
	for (i = 0; i < 2; i++)
		c[i] = anyc__connection_new();
	if (c[0] == NULL || c[1] == NULL) {
		anyc__connection_drop(c[0]);
		anyc__connection_drop(c[1]);
		close_pair(fd);
		return fail_pair(-ENOMEM);
	}
	for (i = 0; i < 2; i++) {
		anyc__fd_init(&c[i]->fd, fd[i], ANYC__FD_STREAM);
		c[i]->remote.storage.ss_family = AF_UNIX; /* it has no name */
		c[i]->remote.length = sizeof(sa_family_t);
	}
	*a = anyc__connection_open(c[0], true);
	*b = anyc__connection_open(c[1], true);
	return 0;
}

int anyc_unix_datagram_pair(struct anyc_datagram **a, struct anyc_datagram **b)
{
	int fd[2], rc;

	if (a == NULL || b == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "pair: an argument is NULL");
	*a = *b = NULL;
	rc = open_pair(fd, SOCK_DGRAM);
	if (rc != 0)
		return fail_pair(rc);
	rc = anyc__datagram_new(a, fd[0], true);
	if (rc == 0)
		rc = anyc__datagram_new(b, fd[1], true);
	if (rc == 0)
		return 0;
	anyc__free(*a);
	*a = NULL;
	close_pair(fd);
	return fail_pair(rc);
}

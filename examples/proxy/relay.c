/* SPDX-License-Identifier: MIT */
/*
 * Two directions; see relay.h.
 *
 * Rules
 *  - Each direction is a task of one group: the first error cancels the other one.
 *  - The group's deadline is the idle timeout: whoever receives something moves it.
 */
#include "relay.h"

#include <sys/socket.h>

#define UNHEARD (10 * ANYC_SECOND) /* how long a server that does not know of the end may pause */
enum { PORTION = 32768 };

struct pair {
	struct anyc_stream *client, *server;
	struct anyc_group group;
	int64_t idle;
};

static void defer_end(struct pair *p)
{
	anyc_scope_set_deadline(anyc_group_scope(&p->group), anyc_now() + p->idle);
}

static int copy(struct pair *p, struct anyc_stream *from, struct anyc_stream *to)
{
	char buf[PORTION];
	int n;

	while ((n = anyc_stream_receive(from, buf, sizeof buf)) > 0) {
		int rc;

		defer_end(p);
		rc = anyc_stream_send(to, buf, (size_t)n);
		if (rc != 0)
			return rc;
	}
	return n < 0 ? n : anyc_stream_send_eof(to);
}

static int copy_to_server(void *arg)
{
	struct pair *p = arg;
	int rc = copy(p, p->client, p->server);

	/* Nobody but copy_to_client() closes the client: then nothing is left to be done. */
	if (rc == ANYC_ECLOSED)
		return 0;
	if (rc != ANYC_ENOTSUP)
		return rc;
	if (p->idle > UNHEARD)
		p->idle = UNHEARD;
	defer_end(p);
	return 0;
}

static int copy_to_client(struct pair *p)
{
	int rc = copy(p, p->server, p->client);

	if (rc != ANYC_ENOTSUP)
		return rc;
	rc = anyc_stream_close(p->client);
	anyc_group_cancel(&p->group, "the server has ended");
	return rc;
}

int relay(struct anyc_stream *client, struct anyc_stream *server, int64_t idle)
{
	struct anyc_group_options o = { .timeout = idle };
	struct pair p = { .client = client, .server = server, .idle = idle };
	int rc;

	anyc_group_enter(&p.group, &o);
	rc = anyc_spawn(&p.group, copy_to_server, &p);
	if (rc == 0)
		rc = copy_to_client(&p);
	return anyc_group_leave(&p.group, rc);
}

void relay_abort(struct anyc_stream *s, bool tls)
{
	const struct linger hard = { .l_onoff = 1 };
	int fd;

	if (s == NULL || anyc_stream_attribute(s, &anyc_attribute_fd, &fd, sizeof fd) != 0)
		return;
	if (tls)
		shutdown(fd, SHUT_WR);
	else
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

/* SPDX-License-Identifier: MIT */
/* Faults in UDP and UNIX sockets. */
#include "faults.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------- UDP */

struct exchange {
	struct anyc_datagram *server, *client;
	struct anyc_address from;
};

static int open_both(struct exchange *e)
{
	struct anyc_address a;
	char port[8];
	int rc = anyc_udp_bind(&e->server, "127.0.0.1", "0", NULL);

	CHECK((rc == 0) == (e->server != NULL));
	if (rc == 0)
		rc = anyc_datagram_attribute(e->server, &anyc_attribute_local_address, &a,
					     sizeof a);
	if (rc != 0)
		return rc;
	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	rc = anyc_udp_connect(&e->client, "127.0.0.1", port, NULL);
	CHECK((rc == 0) == (e->client != NULL));
	return rc;
}

static int answer(void *arg)
{
	struct exchange *e = arg;
	char buf[8];
	int n = anyc_datagram_receive_from(e->server, buf, sizeof buf, &e->from);

	CHECK((n >= 0) == (e->from.length > 0));
	if (n >= 0)
		CHECK_INT(n, ==, 5);
	if (n >= 0)
		n = anyc_datagram_send_to(e->server, buf, (size_t)n, &e->from);
	if (n < 0)
		anyc_datagram_free(e->server); /* whoever waits for an answer learns of it */
	if (n < 0)
		e->server = NULL;
	return ended(n);
}

/* Many at once, each way; what is not taken at once is offered again. */
static int exchange_many(struct exchange *e)
{
	struct anyc_message m[3] = { 0 };
	char data[3][4] = { "one", "two", "3" };
	size_t done = 0, i;
	int n = 0;

	for (i = 0; i < 3; i++) {
		m[i].data = data[i];
		m[i].size = sizeof data[i];
	}
	for (done = 0; done < 3 && n >= 0; done += n > 0 ? (size_t)n : 0)
		n = anyc_datagram_send_many(e->client, m + done, 3 - done, 0);
	CHECK_INT(n, !=, -EIO); /* what cannot go as segments goes as a list */
	for (done = 0; done < 3 && n >= 0; done += n > 0 ? (size_t)n : 0)
		n = anyc_datagram_receive_many(e->server, m + done, 3 - done, 0);
	if (n >= 0)
		CHECK_INT(m[2].length, ==, 4);
	return n < 0 ? n : 0;
}

/* One buffer as five datagrams. */
static int exchange_segments(struct exchange *e)
{
	static const char said[] = "one two  three four ...";
	char heard[8];
	size_t done = 0, have = 0;
	int n = 0;

	while (done < sizeof said && n >= 0) {
		n = anyc_datagram_send_segments(e->client, said + done, sizeof said - done, 5, NULL,
						0);
		done += n > 0 ? (size_t)n : 0;
	}
	while (have < sizeof said && n >= 0) {
		n = anyc_datagram_receive(e->server, heard, sizeof heard);
		if (n >= 0)
			CHECK_INT(n, ==, sizeof said - have < 5 ? sizeof said - have : 5);
		if (n >= 0)
			CHECK(memcmp(heard, said + have, (size_t)n) == 0);
		have += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? n : 0;
}

static int udp(void *arg)
{
	struct exchange e = { 0 };
	struct anyc_group g;
	char buf[8];
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = open_both(&e);
	if (rc == 0)
		rc = anyc_spawn(&g, answer, &e);
	if (rc == 0)
		rc = anyc_datagram_send(e.client, "hello", 5);
	if (rc == 0)
		rc = anyc_datagram_receive(e.client, buf, sizeof buf);
	rc = anyc_group_leave(&g, rc);
	if (rc >= 0)
		rc = exchange_many(&e);
	if (rc == 0)
		rc = exchange_segments(&e);
	if (rc == 0)
		rc = anyc_datagram_close(e.client);
	anyc_datagram_free(e.server);
	anyc_datagram_free(e.client);
	return rc;
}

FAULTS(r15_udp, udp, ALSO(ENDED_EARLY))

/* ------------------------------------------------------------------------------------- UNIX */

struct passing {
	struct anyc_stream *to, *from;
	int file;
};

static int take(void *arg)
{
	struct passing *p = arg;
	size_t count;
	char buf[16];
	int fd, n = anyc_unix_receive_fds(p->from, buf, sizeof buf, &fd, 1, &count);

	CHECK(n > 0 || count == 0);
	if (n > 0 && count == 1)
		CHECK_INT(close(fd), ==, 0);
	if (n < 0)
		ANYC_IGNORE(anyc_stream_close(p->from));
	return n < 0 ? ended(n) : 0;
}

static int pass(struct passing *p)
{
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, take, p);
	if (rc == 0)
		rc = anyc_unix_send_fds(p->to, "it", 2, &p->file, 1);
	if (rc < 0)
		ANYC_IGNORE(anyc_stream_close(p->to));
	return anyc_group_leave(&g, rc);
}

/* A connection by a path, one by a pair, and a descriptor that goes through. */
static int unix_sockets(void *arg)
{
	struct anyc_stream *a = NULL, *b = NULL;
	struct anyc_listener *l = NULL;
	struct passing p = { .file = fcntl(2, F_DUPFD_CLOEXEC, 3) };
	char path[48];
	int rc;

	(void)arg;
	snprintf(path, sizeof path, "/tmp/anyc-fault-%d", (int)getpid());
	rc = p.file >= 0 ? anyc_unix_listen(&l, path, NULL) : -EMFILE;
	CHECK((rc == 0) == (l != NULL));
	if (rc == 0)
		rc = anyc_unix_connect(&a, path, NULL);
	CHECK((rc == 0) == (a != NULL));
	if (rc == 0)
		rc = anyc_listener_accept(l, &b);
	if (rc == 0)
		rc = anyc_unix_pair(&p.to, &p.from);
	if (rc == 0)
		rc = pass(&p);
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_stream_free(p.to);
	anyc_stream_free(p.from);
	anyc_listener_free(l);
	CHECK_INT(access(path, F_OK), ==, -1);
	if (p.file >= 0)
		close(p.file);
	return rc;
}

FAULTS(r15_unix, unix_sockets, ALSO(ENDED_EARLY))

/* ------------------------------------------------------------------------------------ pipes */

static int drain(void *arg)
{
	struct anyc_stream *in = arg;
	char buf[3000];
	int n;

	while ((n = anyc_stream_receive(in, buf, sizeof buf)) > 0)
		;
	if (n < 0)
		ANYC_IGNORE(anyc_stream_close(in)); /* the writer learns of it */
	return ended(n);
}

static int pipes(void *arg)
{
	static const char data[100000];
	struct anyc_stream *in = NULL, *out = NULL;
	struct anyc_group g;
	int rc;

	(void)arg;
	rc = anyc_pipe_open(&in, &out);
	CHECK((rc == 0) == (in != NULL) && (rc == 0) == (out != NULL));
	if (rc != 0)
		return rc;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, drain, in);
	if (rc == 0)
		rc = anyc_stream_send(out, data, sizeof data);
	anyc_stream_free(out);
	rc = anyc_group_leave(&g, rc);
	anyc_stream_free(in);
	return rc;
}

FAULTS(r18_pipes, pipes, ALSO(ENDED_EARLY))

/* SPDX-License-Identifier: MIT */
/* Faults in TCP, serving, the resolver, and waiting for descriptors. */
#include "faults.h"

#include <sys/socket.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------- TCP echo */

struct echo {
	struct anyc_listener *listener;
	char port[8];
};

static int listen_anywhere(struct echo *e)
{
	struct anyc_address a;
	int rc = anyc_tcp_listen(&e->listener, "127.0.0.1", "0", NULL);

	CHECK((rc == 0) == (e->listener != NULL));
	if (rc == 0)
		rc = anyc_listener_attribute(e->listener, &anyc_attribute_local_address, &a,
					     sizeof a);
	if (rc == 0)
		snprintf(e->port, sizeof e->port, "%u", anyc_address_port(&a) & 0xffffU);
	return rc;
}

static int send_back(struct anyc_stream *s)
{
	char buf[3000];
	int n, rc = 0;

	while (rc == 0 && (n = anyc_stream_receive(s, buf, sizeof buf)) != 0)
		rc = n < 0 ? n : anyc_stream_send(s, buf, (size_t)n);
	return rc != 0 ? rc : anyc_stream_send_eof(s);
}

static int serve_one(void *arg)
{
	struct echo *e = arg;
	struct anyc_stream *s = NULL;
	int rc = anyc_listener_accept(e->listener, &s);

	CHECK((rc == 0) == (s != NULL));
	if (rc == 0)
		rc = send_back(s);
	anyc_stream_free(s);
	return ended(rc);
}

/* What was sent comes back, to the last byte, or an error says that it does not. */
static int talk(struct anyc_stream *s)
{
	static const char said[5000] = "what was said";
	char heard[6000];
	size_t have = 0;
	int n = 1, rc = anyc_stream_send(s, said, sizeof said);

	if (rc == 0)
		rc = anyc_stream_send_eof(s);
	while (rc == 0 && n > 0) {
		n = anyc_stream_receive(s, heard + have, sizeof heard - have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (rc == 0 && n == 0) {
		/* The other side may have ended early; what came is right. */
		CHECK(memcmp(said, heard, have < sizeof said ? have : sizeof said) == 0);
		CHECK_INT(have, <=, sizeof said);
	}
	return rc != 0 ? rc : n < 0 ? n : have == sizeof said ? 0 : -EPROTO;
}

static int call_and_talk(struct echo *e)
{
	struct anyc_stream *s = NULL;
	int rc = anyc_tcp_connect(&s, "127.0.0.1", e->port, NULL);

	CHECK((rc == 0) == (s != NULL));
	if (rc == 0)
		rc = talk(s);
	if (rc == 0)
		rc = anyc_stream_close(s);
	anyc_stream_free(s);
	return rc;
}

static int tcp_echo(void *arg)
{
	struct echo e = { 0 };
	struct anyc_group g;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = listen_anywhere(&e);
	if (rc == 0)
		rc = anyc_spawn(&g, serve_one, &e);
	if (rc == 0)
		rc = call_and_talk(&e);
	rc = anyc_group_leave(&g, rc);
	anyc_listener_free(e.listener);
	return rc;
}

/* EPROTO: the echo ended early, since the server's side failed. */
FAULTS(r16_tcp_echo, tcp_echo, ALSO(ENDED_EARLY, -EPROTO))

/* Cancelled in between, accept loses no connection. */
static int accept_two(void *arg)
{
	struct anyc_stream *out[2] = { NULL }, *in[2] = { NULL };
	struct echo e = { 0 };
	struct anyc_scope s;
	int n = 0, rc;

	(void)arg;
	rc = listen_anywhere(&e);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = anyc_tcp_connect(&out[i], "127.0.0.1", e.port, NULL);
	while (rc == 0 && n < 2) {
		anyc_scope_enter(&s, NULL);
		rc = anyc_listener_accept(e.listener, &in[n]);
		CHECK((rc == 0) == (in[n] != NULL));
		n += rc == 0;
		rc = anyc_scope_leave(&s, rc);
	}
	for (int i = 0; i < 2; i++) {
		anyc_stream_free(out[i]);
		anyc_stream_free(in[i]);
	}
	anyc_listener_free(e.listener);
	return rc;
}

FAULTS(r15_accept_loses_nothing, accept_two)

/* Several addresses race; the first one refuses. */
static int race(void *arg)
{
	struct anyc_tcp_connect_options o = { .stagger = ANYC_SECOND };
	struct anyc_stream *s = NULL, *in = NULL;
	struct echo e = { 0 };
	int rc;

	(void)arg;
	rc = listen_anywhere(&e);
	if (rc == 0)
		rc = anyc_tcp_connect(&s, "localhost", e.port, &o); /* ::1 refuses */
	CHECK((rc == 0) == (s != NULL));
	if (rc == 0)
		rc = anyc_listener_accept(e.listener, &in);
	anyc_stream_free(in);
	anyc_stream_free(s);
	anyc_listener_free(e.listener);
	return rc;
}

FAULTS(r16_happy_eyeballs, race, ALSO(-ECONNREFUSED, -EADDRNOTAVAIL))

/* ---------------------------------------------------------------------------------- serving */

static int answer(void *arg, struct anyc_stream *s)
{
	(void)arg;
	return send_back(s);
}

static void ignore_error(void *arg, int rc, const char *detail)
{
	(void)arg;
	(void)rc;
	(void)detail;
}

static int serve_them(void *arg)
{
	struct echo *e = arg;
	struct anyc_serve_options o = { .on_error = ignore_error, .limit = 1 };

	return ended(anyc_serve(e->listener, answer, NULL, &o));
}

/* Two callers, and the listener is closed under the server. */
static int serving(void *arg)
{
	struct echo e = { 0 };
	struct anyc_group g;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = listen_anywhere(&e);
	if (rc == 0)
		rc = anyc_spawn(&g, serve_them, &e);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = call_and_talk(&e);
	if (rc == 0)
		rc = anyc_listener_close(e.listener);
	rc = anyc_group_leave(&g, rc);
	anyc_listener_free(e.listener);
	return rc;
}

FAULTS(r45_serve, serving, ALSO(ENDED_EARLY, -EPROTO))

/* --------------------------------------------------------------------------------- resolver */

static int look_in_book(void *arg, struct anyc_addresses *list, const char *host,
			const char *service, const struct anyc_resolve_options *options)
{
	struct anyc_address a;
	int rc = anyc_sleep(ANYC_MICROSECOND);

	(void)arg;
	(void)host;
	(void)service;
	(void)options;
	for (int i = 0; i < 3 && rc == 0; i++) {
		CHECK_OK(anyc_address_parse(&a, "192.0.2.9", 0));
		rc = anyc_addresses_add(list, &a);
	}
	return rc;
}

static int resolve(const char *host, const char *service, size_t count)
{
	struct anyc_resolve_options v4 = { .family = AF_INET };
	struct anyc_addresses list;
	int rc = anyc_resolve(&list, host, service, &v4);

	CHECK_INT(list.count, ==, rc == 0 ? count : 0);
	CHECK((rc == 0) == (list.list != NULL));
	anyc_addresses_free(&list);
	return rc;
}

static int resolve_by_hook(void *arg)
{
	(void)arg;
	return resolve("book.test", "99", 3);
}

static int with_hook(void *arg)
{
	int rc;

	anyc_set_resolver(look_in_book, NULL);
	rc = on_row(arg);
	anyc_set_resolver(NULL, NULL);
	return rc;
}

ANYC_TEST_MAIN(faults, b137_a_resolver_s_hook, ANYC_ROWS_ALL, .deadline = 120)
{
	struct anyc_fault_options options = { .name = "b137_a_resolver_s_hook" };

	sweep(with_hook, &(struct task){ resolve_by_hook }, &options);
}

/* A service's name is looked up in a worker thread, without a name server. */
static int resolve_by_thread(void *arg)
{
	int rc = resolve("127.0.0.1", "no-such-service", 0);

	(void)arg;
	return rc == ANYC_EAI_SERVICE ? 0 : rc;
}

FAULTS(r16_a_resolver_s_thread, resolve_by_thread)

/* ------------------------------------------------------------------------------ descriptors */

struct ends {
	int fd[2];
};

static int wait_and_read(void *arg)
{
	struct ends *p = arg;
	char c;
	int rc = anyc_wait_readable(p->fd[0]);

	if (rc == 0)
		CHECK_INT(recv(p->fd[0], &c, 1, MSG_DONTWAIT), ==, 1);
	return ended(rc);
}

static int wait_and_write(void *arg)
{
	struct ends *p = arg;
	int rc = anyc_wait_writable(p->fd[0]);

	if (rc == 0)
		rc = anyc_sleep(ANYC_MICROSECOND);
	if (rc == 0)
		CHECK_INT(send(p->fd[1], "x", 1, MSG_NOSIGNAL), ==, 1);
	return ended(rc);
}

static int wait_for_descriptors(void *arg)
{
	struct ends p;
	struct anyc_group g;
	int rc;

	(void)arg;
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fd), ==, 0);
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, wait_and_read, &p);
	if (rc == 0)
		rc = anyc_spawn(&g, wait_and_write, &p);
	rc = anyc_group_leave(&g, rc);
	anyc_notify_closing(p.fd[0]);
	close(p.fd[0]);
	close(p.fd[1]);
	return rc;
}

FAULTS(r32_waiting_for_descriptors, wait_for_descriptors, AND_TWICE, ALSO(ENDED_EARLY))

/* --------------------------------------------------------------------- pairs and a staple */

static int answer_in_memory(void *arg)
{
	int rc = send_back(arg);

	ANYC_IGNORE(anyc_stream_close(arg)); /* the peer learns of an error */
	return ended(rc);
}

static int talk_in_memory(void *arg)
{
	struct anyc_stream *a = NULL, *b = NULL, *c = NULL, *d = NULL, *here = NULL, *there = NULL;
	struct anyc_group g;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = anyc_stream_pair(&a, &b, 8192);
	if (rc == 0)
		rc = anyc_stream_pair(&c, &d, 300);
	if (rc == 0)
		rc = anyc_stream_staple(&here, a, c);
	a = rc == 0 ? NULL : a;
	c = rc == 0 ? NULL : c;
	if (rc == 0)
		rc = anyc_stream_staple(&there, d, b);
	b = rc == 0 ? NULL : b;
	d = rc == 0 ? NULL : d;
	if (rc == 0)
		rc = anyc_spawn(&g, answer_in_memory, there);
	if (rc == 0)
		rc = talk(here);
	anyc_stream_free(here);
	rc = anyc_group_leave(&g, rc);
	anyc_stream_free(there);
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_stream_free(c);
	anyc_stream_free(d);
	return rc;
}

FAULTS(r17_stream_pairs, talk_in_memory, ALSO(ENDED_EARLY))

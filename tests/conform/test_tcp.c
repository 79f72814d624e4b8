/* SPDX-License-Identifier: MIT */
/* Connecting, listening, serving: behaviours.md section 9, semantics.md H1 to H12. */
#include "conform_net.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/resource.h>
#include <time.h>

#include <anyc/streams.h>

#include "lib/valgrind.h"

/* ---------------------------------------------------------------- a resolver of the test's */

#define PLACES 8
static struct {
	struct anyc_address list[PLACES];
	size_t count;
	int rc;
} names;

static int answer(void *arg, struct anyc_addresses *list, const char *host, const char *service,
		  const struct anyc_resolve_options *options)
{
	size_t i;
	int rc = names.rc;

	(void)arg;
	(void)service;
	(void)options;
	CHECK_STR(host, "places.test");
	for (i = 0; i < names.count && rc == 0; i++)
		rc = anyc_addresses_add(list, &names.list[i]);
	return rc;
}

static void names_start(void)
{
	memset(&names, 0, sizeof names);
	anyc_set_resolver(answer, NULL);
}

/* The next address of places.test. */
static struct anyc_address *place(void)
{
	CHECK_INT(names.count, <, PLACES);
	return &names.list[names.count++];
}

static void place_v6_refusing(int *fd)
{
	struct anyc_address *a = place();

	*fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_INT(*fd, >=, 0);
	CHECK_OK(anyc_address_parse(a, "::1", 0));
	CHECK_INT(bind(*fd, (struct sockaddr *)&a->storage, a->length), ==, 0);
	a->length = sizeof a->storage;
	CHECK_INT(getsockname(*fd, (struct sockaddr *)&a->storage, &a->length), ==, 0);
}

/* An address where connecting neither succeeds nor fails: a full queue. */
struct hole {
	int listening, filler[4];
};

static void hole_make(struct hole *h, struct anyc_address *where)
{
	int i;

	h->listening = listen_bare(0, where);
	for (i = 0; i < 4; i++) {
		h->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		CHECK_INT(h->filler[i], >=, 0);
		ANYC_IGNORE(
			connect(h->filler[i], (struct sockaddr *)&where->storage, where->length));
	}
}

static void hole_end(struct hole *h)
{
	int i;

	for (i = 0; i < 4; i++)
		close(h->filler[i]);
	close(h->listening);
}

static void check_same(const struct anyc_address *a, const struct anyc_address *b)
{
	char left[80], right[80];

	anyc_address_format(a, left, sizeof left);
	anyc_address_format(b, right, sizeof right);
	CHECK_STR(left, right);
}

/* -------------------------------------------------------------------------------- connect */

ANYC_TEST(tcp, b129_a_failure_starts_the_next_at_once)
{
	struct anyc_connect_attempt tried[PLACES];
	size_t count = PLACES;
	struct anyc_tcp_connect_options o = { .stagger = MS(200),
					      .attempts = tried,
					      .attempt_count = &count };
	struct anyc_stream *s;
	struct hole hole;
	int64_t start;
	int refuse[2], listening;

	names_start();
	refuse[0] = refusing_port(place());
	refuse[1] = refusing_port(place());
	hole_make(&hole, place());
	listening = listen_bare(1, place());
	start = clock_now();
	CHECK_OK(anyc_tcp_connect(&s, "places.test", "1", &o));
	/* Two refused at once, the third hangs, the fourth waits its turn. */
	CHECK_TOOK(start, MS(200), MS(399));
	CHECK_INT(count, ==, 4);
	CHECK_RC(tried[0].rc, -ECONNREFUSED);
	CHECK_RC(tried[1].rc, -ECONNREFUSED);
	CHECK_RC(tried[2].rc, ANYC_ECANCELED);
	CHECK_RC(tried[3].rc, 0);
	check_same(&tried[3].address, &names.list[3]);
	anyc_stream_free(s);
	hole_end(&hole);
	close(refuse[0]);
	close(refuse[1]);
	close(listening);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST(tcp, b129_a_stagger_without_end)
{
	struct anyc_tcp_connect_options o = { .stagger = ANYC_FOREVER };
	struct anyc_stream *s;
	int refuse, listening;

	names_start();
	refuse = refusing_port(place());
	listening = listen_bare(1, place());
	CHECK_OK(anyc_tcp_connect(&s, "places.test", "1", &o));
	anyc_stream_free(s);
	close(refuse);
	close(listening);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST_NET(tcp, b130_all_fail)
{
	struct anyc_connect_attempt tried[PLACES];
	size_t count = 2; /* room for less than are tried */
	struct anyc_tcp_connect_options o = { .attempts = tried, .attempt_count = &count };
	struct anyc_stream *s = (void *)&count;
	int refuse[3];

	names_start();
	refuse[0] = refusing_port(place());
	refuse[1] = refusing_port(place());
	refuse[2] = refusing_port(place());
	tried[1].rc = 0;
	CHECK_RC(anyc_tcp_connect(&s, "places.test", "81", &o), -ECONNREFUSED);
	CHECK(s == NULL);
	CHECK_STR(anyc_error_detail(-ECONNREFUSED),
		  "connect places.test:81: connection refused (3 addresses tried)");
	CHECK_INT(count, ==, 3);
	CHECK_RC(tried[0].rc, -ECONNREFUSED);
	CHECK_RC(tried[1].rc, -ECONNREFUSED);
	check_same(&tried[1].address, &names.list[1]);
	close(refuse[0]);
	close(refuse[1]);
	close(refuse[2]);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST(tcp, b130_the_first_tried_gives_the_error)
{
	struct anyc_stream *s;
	int refuse;

	names_start();
	/* No route to a class E address: another error than refusal. */
	CHECK_OK(anyc_address_parse(place(), "255.255.255.255", 9));
	refuse = refusing_port(place());
	CHECK_RC(anyc_tcp_connect(&s, "places.test", "81", NULL), -ENETUNREACH);
	CHECK_INT(anyc_error_errno(-ENETUNREACH), ==, ENETUNREACH);
	close(refuse);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST_NET(tcp, b130_a_literal_and_a_failing_name)
{
	struct anyc_stream *s;
	struct anyc_address a;
	char port[8], text[64];
	int refuse = refusing_port(&a);

	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", port, NULL), -ECONNREFUSED);
	snprintf(text, sizeof text, "connect 127.0.0.1:%s: connection refused", port);
	CHECK_STR(anyc_error_detail(-ECONNREFUSED), text);
	close(refuse);
	names_start();
	names.rc = anyc_fail(ANYC_EAI_AGAIN, 0, "the sentence of the resolver");
	CHECK_RC(anyc_tcp_connect(&s, "places.test", "1", NULL), ANYC_EAI_AGAIN);
	CHECK_STR(anyc_error_detail(ANYC_EAI_AGAIN), "the sentence of the resolver");
	CHECK(s == NULL);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST(tcp, b132_cancelled_with_four_hanging)
{
	struct anyc_tcp_connect_options o = { .stagger = MS(5) };
	struct anyc_memory_stats before, after;
	struct anyc_stream *s = NULL;
	struct anyc_scope limit;
	struct hole hole[4];
	int64_t start;
	int i, rc;

	names_start();
	for (i = 0; i < 4; i++)
		hole_make(&hole[i], place());
	anyc_memory_stats(&before);
	start = clock_now();
	anyc_scope_enter_timeout(&limit, MS(100));
	rc = anyc_tcp_connect(&s, "places.test", "1", &o);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	CHECK_TOOK(start, MS(100), MS(200));
	CHECK(s == NULL);
	anyc_memory_stats(&after);
	CHECK_INT(after.tasks, ==, before.tasks);
	for (i = 0; i < 4; i++)
		hole_end(&hole[i]);
	anyc_set_resolver(NULL, NULL);
}

/* At every checkpoint on the way, by a scope that is cancelled a little later each time. */
ANYC_TEST(tcp, h05_cancelled_anywhere)
{
	struct anyc_tcp_connect_options o = { .stagger = 1 };
	struct anyc_stream *s;
	struct hole hole;
	int64_t ns;
	int refuse[2], rc;

	names_start();
	refuse[0] = refusing_port(place());
	hole_make(&hole, place());
	refuse[1] = refusing_port(place());
	for (ns = 1; ns < MS(3); ns = ns * 5 / 4 + 1) {
		struct anyc_scope limit;

		anyc_scope_enter_timeout(&limit, ns);
		rc = anyc_tcp_connect(&s, "places.test", "1", &o);
		CHECK(s == NULL);
		CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	}
	close(refuse[0]);
	close(refuse[1]);
	hole_end(&hole);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST(tcp, b132_two_winners)
{
	struct anyc_tcp_connect_options o = { .stagger = 1 };
	struct anyc_stream *s;
	int round;

	for (round = 0; round < 20; round++) {
		int listening[3], i;

		names_start();
		for (i = 0; i < 3; i++)
			listening[i] = listen_bare(1, place());
		CHECK_OK(anyc_tcp_connect(&s, "places.test", "1", &o));
		CHECK_OK(anyc_stream_send(s, "x", 1));
		anyc_stream_free(s);
		for (i = 0; i < 3; i++)
			close(listening[i]);
	}
	anyc_set_resolver(NULL, NULL);
}

static void check_socket(struct anyc_stream *s)
{
	int fd, value = 0;
	socklen_t length = sizeof value;

	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, !=, 0);
	CHECK_INT(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
	CHECK_INT(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), ==, 0);
	CHECK_INT(value, !=, 0);
}

ANYC_TEST(tcp, b133_no_delay_and_non_blocking)
{
	struct anyc_stream *a, *b;

	tcp_pair(&a, &b);
	check_socket(a);
	check_socket(b);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST_NET(tcp, h01_ipv6_first_then_ipv4)
{
	struct anyc_connect_attempt tried[PLACES];
	size_t count = PLACES;
	struct anyc_tcp_connect_options o = { .attempts = tried, .attempt_count = &count };
	struct anyc_stream *s;
	int refuse[5];

	names_start();
	refuse[0] = refusing_port(place());
	refuse[1] = refusing_port(place());
	place_v6_refusing(&refuse[2]);
	place_v6_refusing(&refuse[3]);
	refuse[4] = refusing_port(place());
	CHECK_RC(anyc_tcp_connect(&s, "places.test", "1", &o), -ECONNREFUSED);
	CHECK_INT(count, ==, 5);
	check_same(&tried[0].address, &names.list[2]);
	check_same(&tried[1].address, &names.list[0]);
	check_same(&tried[2].address, &names.list[1]);
	check_same(&tried[3].address, &names.list[3]);
	check_same(&tried[4].address, &names.list[4]);
	while (count > 0)
		close(refuse[--count]);
	anyc_set_resolver(NULL, NULL);
}

/* One that was started earlier and fails later starts the next too. */
ANYC_TEST(tcp, h01_the_stagger)
{
	struct anyc_tcp_connect_options o = { .stagger = MS(50) };
	struct anyc_stream *s;
	struct hole hole[2];
	int64_t start;
	int listening;

	names_start();
	hole_make(&hole[0], place());
	hole_make(&hole[1], place());
	listening = listen_bare(1, place());
	start = clock_now();
	CHECK_OK(anyc_tcp_connect(&s, "places.test", "1", &o));
	CHECK_TOOK(start, MS(100), MS(149));
	anyc_stream_free(s);
	hole_end(&hole[0]);
	hole_end(&hole[1]);
	close(listening);
	anyc_set_resolver(NULL, NULL);
}

ANYC_TEST_NET(tcp, h01_localhost)
{
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	struct anyc_stream *a, *b;

	CHECK_OK(anyc_tcp_connect(&a, "localhost", port.text, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	anyc_stream_free(a);
	anyc_stream_free(b);
	CHECK_OK(anyc_tcp_connect(&a, "LOCALHOST.", port.text, NULL));
	anyc_stream_free(a);
	anyc_listener_free(l);
}

ANYC_TEST(tcp, h03_local_address_and_port)
{
	struct anyc_tcp_connect_options o = { .local_host = "127.0.0.2" };
	struct anyc_address local, free_port;
	struct anyc_stream *a, *b;
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	char text[80], want[80];
	int fd = refusing_port(&free_port);

	close(fd);
	o.local_port = anyc_address_port(&free_port);
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_listener_accept(l, &b));
	CHECK_OK(anyc_stream_attribute(b, &anyc_attribute_remote_address, &local, sizeof local));
	anyc_address_format(&local, text, sizeof text);
	snprintf(want, sizeof want, "127.0.0.2:%u", o.local_port);
	CHECK_STR(text, want);
	anyc_stream_free(a);
	anyc_stream_free(b);
	/* Only addresses of the local one's family are tried. */
	o.local_port = 0;
	o.local_host = "::1";
	CHECK_RC(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o), ANYC_EAI_FAMILY);
	/* An address that is not this machine's. */
	o.local_host = "192.0.2.1";
	CHECK_RC(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o), -EADDRNOTAVAIL);
	anyc_listener_free(l);
}

ANYC_TEST_NET(tcp, h03_local_port_alone)
{
	struct anyc_tcp_connect_options o = { 0 };
	struct anyc_address local, free_port;
	struct anyc_stream *a;
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	int fd = refusing_port(&free_port);

	close(fd);
	o.local_port = anyc_address_port(&free_port);
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_local_address, &local, sizeof local));
	CHECK_INT(anyc_address_port(&local), ==, o.local_port);
	anyc_stream_free(a);
	anyc_listener_free(l);
}

ANYC_TEST_NET(tcp, r16_bad_arguments)
{
	struct anyc_tcp_connect_options o = { .local_port = 65536 };
	struct anyc_tcp_listen_options lo = { .backlog = -1 };
	struct anyc_connect_attempt tried[1];
	struct anyc_listener *l;
	struct anyc_stream *s;

	CHECK_RC(anyc_tcp_connect(NULL, "127.0.0.1", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connect(&s, NULL, "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "65536", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connect(&s, "", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", &o), ANYC_EINVAL);
	o = (struct anyc_tcp_connect_options){ .stagger = -1 };
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", &o), ANYC_EINVAL);
	o = (struct anyc_tcp_connect_options){ .attempts = tried };
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", &o), ANYC_EINVAL);
	o = (struct anyc_tcp_connect_options){ .family = AF_UNIX };
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", &o), ANYC_EINVAL);
	o = (struct anyc_tcp_connect_options){ .family = AF_INET6 };
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", &o), ANYC_EAI_FAMILY);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "0", NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "port 0");
	CHECK_RC(anyc_tcp_connect(&s, "no-such-host.invalid", "000", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_listen(NULL, NULL, "0", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_listen(&l, NULL, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_listen(&l, NULL, "0", &lo), ANYC_EINVAL);
	CHECK(l == NULL);
	CHECK_RC(anyc_listener_accept(NULL, &s), ANYC_EINVAL);
	CHECK_RC(anyc_serve(NULL, NULL, NULL, NULL), ANYC_EINVAL);
}

/* ---------------------------------------------------------------------------------- accept */

struct acceptor {
	struct anyc_listener *listener;
	struct anyc_stream *stream;
	struct anyc_scope scope;
	int rc;
	bool done;
};

static int accept_once(void *arg)
{
	struct acceptor *a = arg;

	anyc_scope_enter(&a->scope, NULL);
	a->rc = anyc_listener_accept(a->listener, &a->stream);
	anyc_scope_leave(&a->scope, a->rc);
	a->done = true;
	return 0;
}

ANYC_TEST_NET(tcp, b135_second_accept_is_busy)
{
	struct port port;
	struct acceptor a = { .listener = listen_here(&port) };
	struct anyc_stream *s = (void *)&a;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_once, &a));
	SETTLE();
	CHECK_RC(anyc_listener_accept(a.listener, &s), ANYC_EBUSY);
	CHECK(s == NULL);
	CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, 0);
	anyc_stream_free(s);
	anyc_stream_free(a.stream);
	anyc_listener_free(a.listener);
}

ANYC_TEST_NET(tcp, b135_close_wakes_accept)
{
	struct port port;
	struct acceptor a = { .listener = listen_here(&port) };
	struct anyc_stream *s;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_once, &a));
	SETTLE();
	CHECK_OK(anyc_listener_close(a.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECLOSED);
	CHECK_RC(anyc_listener_accept(a.listener, &s), ANYC_ECLOSED);
	CHECK_OK(anyc_listener_close(a.listener));
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", port.text, NULL), -ECONNREFUSED);
	anyc_listener_free(a.listener);
}

ANYC_TEST_NET(tcp, b135_free_wakes_accept)
{
	struct port port;
	struct acceptor a = { .listener = listen_here(&port) };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_once, &a));
	SETTLE();
	anyc_listener_free(a.listener);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECLOSED);
}

ANYC_TEST_NET(tcp, b135_a_cancelled_accept_loses_no_connection)
{
	struct port port;
	struct acceptor a = { .listener = listen_here(&port) };
	struct anyc_stream *s[2], *b;
	struct anyc_scope scope;
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_once, &a));
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&a.scope, NULL));
	CHECK_OK(anyc_tcp_connect(&s[0], "127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECANCELED);
	CHECK(a.stream == NULL);
	CHECK_OK(anyc_tcp_connect(&s[1], "127.0.0.1", port.text, NULL));
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_listener_accept(a.listener, &b), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
	CHECK_OK(anyc_listener_accept(a.listener, &b));
	anyc_stream_free(b);
	CHECK_OK(anyc_listener_accept(a.listener, &b));
	anyc_stream_free(b);
	anyc_stream_free(s[0]);
	anyc_stream_free(s[1]);
	anyc_listener_free(a.listener);
}

struct canceller {
	struct acceptor *of; /* two */
	int fd;
};

static int cancel_when_readable(void *arg)
{
	const struct canceller *c = arg;

	CHECK_OK(anyc_wait_readable(c->fd));
	CHECK_OK(anyc_scope_cancel(&c->of[0].scope, NULL));
	CHECK_OK(anyc_scope_cancel(&c->of[1].scope, NULL));
	return 0;
}

/*
 * Two listeners on one socket are both woken for one connection, and cancelled before they run: one
 * gets it, the other finds nothing, and does not wait again.
 */
ANYC_TEST(tcp, r02_cancelled_between_two_waits)
{
	struct anyc_address where;
	int listening = listen_bare(4, &where), ends[2], peer;
	struct acceptor a[2] = { 0 };
	struct canceller c = { .of = a };
	struct anyc_group g;

	CHECK_INT(pipe2(ends, O_CLOEXEC), ==, 0);
	c.fd = ends[0];
	CHECK_OK(anyc_tcp_adopt_listener(&a[1].listener, dup(listening)));
	CHECK_OK(anyc_tcp_adopt_listener(&a[0].listener, listening));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, cancel_when_readable, &c));
	CHECK_OK(anyc_spawn(&g, accept_once, &a[0]));
	CHECK_OK(anyc_spawn(&g, accept_once, &a[1]));
	SETTLE();
	CHECK_INT(write(ends[1], "x", 1), ==, 1); /* the first event of the batch */
	peer = bare_connect(&where);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a[0].rc + a[1].rc, ANYC_ECANCELED);
	CHECK((a[0].stream != NULL) != (a[1].stream != NULL));
	anyc_stream_free(a[0].stream);
	anyc_stream_free(a[1].stream);
	anyc_listener_free(a[0].listener);
	anyc_listener_free(a[1].listener);
	CHECK_INT(close(ends[0]) | close(ends[1]) | close(peer), ==, 0);
}

/* ----------------------------------------------------------------------------------- listen */

ANYC_TEST(tcp, h07_all_addresses_on_one_socket)
{
	struct anyc_listener *l;
	struct anyc_stream *a, *b;
	struct anyc_address local;
	struct port port;
	int fd, only = 1;
	socklen_t length = sizeof only;

	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", NULL));
	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &local, sizeof local));
	CHECK_INT(local.storage.ss_family, ==, AF_INET6);
	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length), ==, 0);
	CHECK_INT(only, ==, 0);
	port = port_of(l);
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	anyc_stream_free(a);
	anyc_stream_free(b);
	CHECK_OK(anyc_tcp_connect(&a, "::1", port.text, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	check_socket(b);
	anyc_stream_free(a);
	anyc_stream_free(b);
	CHECK_RC(anyc_listener_attribute(l, &anyc_attribute_remote_address, &local, sizeof local),
		 ANYC_ENOATTR);
	anyc_listener_free(l);
}

ANYC_TEST(tcp, h07_one_family)
{
	struct anyc_tcp_listen_options o = { .family = AF_INET };
	struct anyc_address local;
	struct anyc_listener *l;
	int fd, only = 0;
	socklen_t length = sizeof only;

	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", &o));
	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &local, sizeof local));
	CHECK_INT(local.storage.ss_family, ==, AF_INET);
	anyc_listener_free(l);
	o.family = AF_INET6;
	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", &o));
	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length), ==, 0);
	CHECK_INT(only, ==, 1);
	anyc_listener_free(l);
}

ANYC_TEST_NET(tcp, h08_one_port_for_all_addresses)
{
	struct acceptor a = { 0 };
	struct anyc_stream *s;
	struct anyc_group g;
	struct port port;
	int round, i;
	static const char *const hosts[] = { "::1", "127.0.0.1" };

	for (round = 0; round < 5; round++) {
		CHECK_OK(anyc_tcp_listen(&a.listener, "localhost", "0", NULL));
		port = port_of(a.listener);
		for (i = 0; i < 4; i++) {
			a.done = false;
			anyc_group_enter(&g, NULL);
			CHECK_OK(anyc_spawn(&g, accept_once, &a));
			SETTLE();
			CHECK(!a.done);
			CHECK_OK(anyc_tcp_connect(&s, hosts[i % 2], port.text, NULL));
			CHECK_OK(anyc_group_leave(&g, 0));
			CHECK_RC(a.rc, 0);
			anyc_stream_free(s);
			anyc_stream_free(a.stream);
		}
		anyc_listener_free(a.listener);
	}
}

static void check_address(struct anyc_stream *s, const struct anyc_attribute *which,
			  const char *want)
{
	struct anyc_address a;
	char text[80];

	CHECK_OK(anyc_stream_attribute(s, which, &a, sizeof a));
	anyc_address_format(&a, text, sizeof text);
	if (strncmp(text, want, strlen(want)) != 0)
		FAIL("%s is %s, not %s", which->name, text, want);
}

/* RFC 4291 2.5.5.2: where IPv6 meets IPv4, each side sees the other in its own family. */
ANYC_TEST_NET(tcp, h08_mapped_addresses)
{
	struct anyc_stream *a, *b;
	struct anyc_listener *l;
	struct port port;

	CHECK_RC(anyc_tcp_listen(&l, "::ffff:127.0.0.1", "0", NULL), -EINVAL);
	CHECK_OK(anyc_tcp_listen(&l, "127.0.0.1", "0", NULL));
	port = port_of(l);
	CHECK_OK(anyc_tcp_connect(&a, "::ffff:127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	check_address(a, &anyc_attribute_remote_address, "[::ffff:127.0.0.1]");
	check_address(a, &anyc_attribute_local_address, "[::ffff:127.0.0.1]");
	check_address(b, &anyc_attribute_remote_address, "127.0.0.1:");
	check_address(b, &anyc_attribute_local_address, "127.0.0.1:");
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_listener_free(l);

	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", NULL));
	port = port_of(l);
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	check_address(a, &anyc_attribute_remote_address, "127.0.0.1:");
	check_address(b, &anyc_attribute_remote_address, "[::ffff:127.0.0.1]");
	check_address(b, &anyc_attribute_local_address, "[::ffff:127.0.0.1]");
	anyc_stream_free(a);
	anyc_stream_free(b);
	/* The address that was asked for is the one that is told. */
	CHECK_OK(anyc_tcp_connect(&a, "0.0.0.0", port.text, NULL));
	check_address(a, &anyc_attribute_remote_address, "0.0.0.0:");
	check_address(a, &anyc_attribute_local_address, "127.0.0.1:");
	anyc_stream_free(a);
	anyc_listener_free(l);
}

/* Another connection has it, to whomever. */
ANYC_TEST_NET(tcp, h02_a_local_port_that_is_taken)
{
	struct anyc_tcp_connect_options o = { .local_host = "127.0.0.1" };
	struct anyc_listener *l, *other;
	struct anyc_stream *a, *b;
	struct anyc_address from;
	struct port port;
	char text[16];

	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", NULL));
	port = port_of(l);
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_local_address, &from, sizeof from));
	o.local_port = anyc_address_port(&from);
	CHECK_RC(anyc_tcp_connect(&b, "127.0.0.1", port.text, &o), -EADDRINUSE);
	CHECK_RC(anyc_tcp_connect(&b, "127.0.0.2", port.text, &o), -EADDRINUSE);
	snprintf(text, sizeof text, "%u", o.local_port);
	CHECK_RC(anyc_tcp_listen(&other, "127.0.0.1", text, NULL), -EADDRINUSE);
	anyc_stream_free(a);
	anyc_listener_free(l);
}

/*
 * A peer that has gone without a word (RFC 9293 3.5.1): a deadline ends the wait, and what is sent
 * is answered by a reset.  A socket in repair is closed silently, for who may do that: tcp(7).
 */
ANYC_TEST(tcp, c11_half_open)
{
	struct anyc_stream *a, *b;
	struct anyc_scope s;
	int fd, on = 1, rc;
	char c;

	tcp_pair(&a, &b);
	CHECK_OK(anyc_stream_attribute(b, &anyc_attribute_fd, &fd, sizeof fd));
	rc = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on);
	anyc_stream_free(b);
	if (rc == 0) {
		anyc_scope_enter_timeout(&s, MS(20));
		rc = anyc_stream_receive(a, &c, 1);
		CHECK_RC(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
		CHECK_OK(anyc_stream_send(a, "x", 1));
		CHECK_RC(anyc_stream_receive(a, &c, 1), ANYC_EBROKEN);
		CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNRESET);
	}
	anyc_stream_free(a);
}

/* As a line twice in /etc/hosts gives it. */
ANYC_TEST_NET(tcp, h08_one_address_twice)
{
	struct anyc_listener *l;
	int i;

	names_start();
	for (i = 0; i < 3; i++)
		CHECK_OK(anyc_address_parse(place(), i == 1 ? "::1" : "127.0.0.1", 0));
	CHECK_OK(anyc_tcp_listen(&l, "places.test", "0", NULL));
	anyc_listener_free(l);
	anyc_set_resolver(NULL, NULL);
}

/* Several sockets: fair, nothing is lost, and close wakes. */
ANYC_TEST(tcp, h08_accept_from_several_sockets)
{
	struct acceptor a = { 0 };
	struct anyc_stream *s[6], *b;
	struct anyc_address from;
	struct anyc_group g;
	struct port port;
	int i, v6 = 0;

	CHECK_OK(anyc_tcp_listen(&a.listener, "localhost", "0", NULL));
	port = port_of(a.listener);
	for (i = 0; i < 6; i++)
		CHECK_OK(anyc_tcp_connect(&s[i], i < 3 ? "::1" : "127.0.0.1", port.text, NULL));
	for (i = 0; i < 6; i++) {
		CHECK_OK(anyc_listener_accept(a.listener, &b));
		CHECK_OK(anyc_stream_attribute(b, &anyc_attribute_remote_address, &from,
					       sizeof from));
		v6 += from.storage.ss_family == AF_INET6;
		if (i == 1)
			CHECK_INT(v6, ==, 1);
		anyc_stream_free(b);
		anyc_stream_free(s[i]);
	}
	CHECK_INT(v6, ==, 3);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_once, &a));
	SETTLE();
	CHECK_OK(anyc_listener_close(a.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(a.rc, ANYC_ECLOSED);
	anyc_listener_free(a.listener);
}

ANYC_TEST_NET(tcp, h08_a_port_that_is_taken)
{
	struct port port;
	struct anyc_listener *l = listen_here(&port), *second;
	char text[80];

	CHECK_RC(anyc_tcp_listen(&second, "localhost", port.text, NULL), -EADDRINUSE);
	CHECK(second == NULL);
	snprintf(text, sizeof text, "listen on localhost:%s: address already in use", port.text);
	CHECK_STR(anyc_error_detail(-EADDRINUSE), text);
	anyc_listener_free(l);
	/* Given up at once: the next one gets it. */
	CHECK_OK(anyc_tcp_listen(&second, "127.0.0.1", port.text, NULL));
	anyc_listener_free(second);
}

ANYC_TEST_NET(tcp, h07_reuse_port)
{
	struct anyc_tcp_listen_options o = { .reuse_port = true };
	struct anyc_listener *a, *b;
	struct port port;

	CHECK_OK(anyc_tcp_listen(&a, "127.0.0.1", "0", &o));
	port = port_of(a);
	CHECK_OK(anyc_tcp_listen(&b, "127.0.0.1", port.text, &o));
	anyc_listener_free(a);
	anyc_listener_free(b);
}

ANYC_TEST_NET(tcp, h09_scope_ids)
{
	struct anyc_address a;
	char text[80];

	CHECK_OK(anyc_address_parse(&a, "fe80::1%lo", 80));
	CHECK_INT(((struct sockaddr_in6 *)&a.storage)->sin6_scope_id, ==, if_nametoindex("lo"));
	anyc_address_format(&a, text, sizeof text);
	CHECK_STR(text, "[fe80::1%lo]:80");
	CHECK_OK(anyc_address_parse(&a, "fe80::1%4242", 80));
	anyc_address_format(&a, text, sizeof text);
	CHECK_STR(text, "[fe80::1%4242]:80");
	CHECK_RC(anyc_address_parse(&a, "fe80::1%nosuchinterface", 80), ANYC_EINVAL);
	CHECK_RC(anyc_address_parse(&a, "fe80::1%", 80), ANYC_EINVAL);
	CHECK_RC(anyc_address_parse(&a, "127.0.0.1%lo", 80), ANYC_EINVAL);
	CHECK_INT(a.length, ==, 0);
}

/* ------------------------------------------------------------------------------------ serve */

struct shop {
	struct anyc_listener *listener;
	struct port port;
	struct anyc_serve_options options;
	struct anyc_event let_go; /* handlers wait for it */
	struct anyc_scope scope;
	int handled, running, most, cancelled;
	int rc;
	bool done;
	int errors, error;
	char detail[100];
	struct anyc_stream *kept;
};

static int echo_once(void *arg, struct anyc_stream *s)
{
	struct shop *shop = arg;
	char buf[64];
	int n;

	shop->handled++;
	n = anyc_stream_receive(s, buf, sizeof buf);
	return n > 0 ? anyc_stream_send(s, buf, (size_t)n) : n;
}

static int wait_inside(void *arg, struct anyc_stream *s)
{
	struct shop *shop = arg;
	int rc;

	(void)s;
	shop->handled++;
	shop->running++;
	if (shop->running > shop->most)
		shop->most = shop->running;
	rc = anyc_event_wait(&shop->let_go);
	shop->cancelled += rc == ANYC_ECANCELED;
	shop->running--;
	return rc;
}

static int fail_inside(void *arg, struct anyc_stream *s)
{
	struct shop *shop = arg;

	(void)s;
	shop->handled++;
	return anyc_fail(-EPROTO, EPROTO, "the client talks nonsense");
}

static void note_error(void *arg, int rc, const char *detail)
{
	struct shop *shop = arg;

	shop->errors++;
	shop->error = rc;
	snprintf(shop->detail, sizeof shop->detail, "%s", detail);
}

static anyc_serve_fn *served;

static int serve_shop(void *arg)
{
	struct shop *shop = arg;

	anyc_scope_enter(&shop->scope, NULL);
	shop->rc = anyc_serve(shop->listener, served, shop, &shop->options);
	anyc_scope_leave(&shop->scope, shop->rc);
	shop->done = true;
	return 0;
}

static void shop_open(struct shop *shop, struct anyc_group *g, anyc_serve_fn *fn)
{
	if (shop->listener == NULL)
		shop->listener = listen_here(&shop->port);
	served = fn;
	anyc_group_enter(g, NULL);
	CHECK_OK(anyc_spawn(g, serve_shop, shop));
}

static struct anyc_stream *visit(struct shop *shop)
{
	struct anyc_stream *s;

	CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", shop->port.text, NULL));
	return s;
}

static void check_echo(struct shop *shop)
{
	struct anyc_stream *s = visit(shop);
	char buf[8];

	CHECK_OK(anyc_stream_send(s, "hi", 2));
	CHECK_RECEIVES(s, "hi");
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0); /* serve has freed its end */
	anyc_stream_free(s);
}

ANYC_TEST_NET(tcp, b137_cancelling_ends_serve_and_handlers)
{
	struct shop shop = { 0 };
	struct anyc_stream *s[3];
	struct anyc_group g;
	int i;

	shop_open(&shop, &g, wait_inside);
	for (i = 0; i < 3; i++)
		s[i] = visit(&shop);
	SETTLE();
	CHECK_INT(shop.running, ==, 3);
	CHECK_OK(anyc_scope_cancel(&shop.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, ANYC_ECANCELED);
	CHECK_INT(shop.cancelled, ==, 3);
	CHECK_INT(shop.running, ==, 0);
	CHECK_INT(reports(), ==, 0); /* being cancelled is no error */
	for (i = 0; i < 3; i++)
		anyc_stream_free(s[i]);
	anyc_listener_free(shop.listener);
}

/* Handlers in a group of the caller's, one of which waits. */
static struct anyc_stream *open_and_visit(struct shop *shop, struct anyc_group *handlers,
					  struct anyc_group *g)
{
	struct anyc_stream *s;

	anyc_group_enter(handlers, NULL);
	shop->options.group = handlers;
	shop_open(shop, g, wait_inside);
	s = visit(shop);
	SETTLE();
	CHECK_INT(shop->running, ==, 1);
	return s;
}

ANYC_TEST_NET(tcp, b137_in_a_group_of_the_callers)
{
	struct shop shop = { 0 };
	struct anyc_group g, handlers;
	struct anyc_stream *s = open_and_visit(&shop, &handlers, &g);

	CHECK_INT(anyc_group_size(&handlers), ==, 1);
	/* serve ends, the handler does not. */
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	CHECK_INT(shop.running, ==, 1);
	anyc_group_cancel(&handlers, NULL);
	CHECK_OK(anyc_group_leave(&handlers, 0));
	CHECK_INT(shop.cancelled, ==, 1);
	anyc_stream_free(s);
	anyc_listener_free(shop.listener);
}

ANYC_TEST_NET(tcp, h10_serve_until_closed)
{
	struct shop shop = { 0 };
	struct anyc_group g;
	int i;

	shop_open(&shop, &g, echo_once);
	for (i = 0; i < 5; i++)
		check_echo(&shop);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	CHECK_INT(shop.handled, ==, 5);
	anyc_listener_free(shop.listener);
}

/* Closing takes no more and waits for those that are inside. */
ANYC_TEST_NET(tcp, h10_close_drains)
{
	struct shop shop = { 0 };
	struct anyc_stream *s[3], *late;
	struct anyc_group g;
	char buf[8];
	int i;

	shop_open(&shop, &g, wait_inside);
	for (i = 0; i < 3; i++)
		s[i] = visit(&shop);
	SETTLE();
	CHECK_INT(shop.running, ==, 3);
	CHECK_OK(anyc_listener_close(shop.listener));
	SETTLE();
	CHECK(!shop.done);
	CHECK_INT(shop.running, ==, 3);
	CHECK_RC(anyc_tcp_connect(&late, "127.0.0.1", shop.port.text, NULL), -ECONNREFUSED);
	anyc_event_set(&shop.let_go);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	CHECK_INT(shop.running + shop.cancelled, ==, 0);
	CHECK_INT(shop.handled, ==, 3);
	for (i = 0; i < 3; i++) {
		CHECK_RC(anyc_stream_receive(s[i], buf, sizeof buf), 0);
		anyc_stream_free(s[i]);
	}
	anyc_listener_free(shop.listener);
}

/* Who drains for so long at the most moves the deadline of the scope around serve. */
ANYC_TEST_NET(tcp, h10_a_drain_with_a_limit)
{
	struct shop shop = { 0 };
	struct anyc_group g;
	struct anyc_stream *s[2];
	int64_t start;

	shop_open(&shop, &g, wait_inside);
	s[0] = visit(&shop);
	s[1] = visit(&shop);
	SETTLE();
	start = anyc_now();
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_scope_set_deadline(&shop.scope, anyc_now() + MS(50)));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_TOOK(start, MS(50), MS(150));
	CHECK_RC(shop.rc, ANYC_ECANCELED);
	CHECK_INT(shop.cancelled, ==, 2);
	CHECK_INT(reports(), ==, 0);
	anyc_stream_free(s[0]);
	anyc_stream_free(s[1]);
	anyc_listener_free(shop.listener);
}

ANYC_TEST_NET(tcp, h10_freed_while_serving)
{
	struct shop shop = { 0 };
	struct anyc_group g;

	shop_open(&shop, &g, echo_once);
	check_echo(&shop);
	SETTLE();
	anyc_listener_free(shop.listener);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
}

ANYC_TEST_NET(tcp, h10_a_failing_handler)
{
	struct shop shop = { 0 };
	struct anyc_group g;
	struct anyc_stream *s;
	char buf[8];

	shop_open(&shop, &g, fail_inside);
	s = visit(&shop);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	anyc_stream_free(s);
	SETTLE();
	CHECK_REPORT("the client talks nonsense");
	CHECK(!shop.done);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_listener_free(shop.listener);

	memset(&shop, 0, sizeof shop);
	shop.options.on_error = note_error;
	shop.options.on_error_arg = &shop;
	shop_open(&shop, &g, fail_inside);
	s = visit(&shop);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	anyc_stream_free(s);
	SETTLE();
	CHECK_INT(shop.errors, ==, 1);
	CHECK_RC(shop.error, -EPROTO);
	CHECK_STR(shop.detail, "the client talks nonsense");
	CHECK_INT(reports(), ==, 0);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	anyc_listener_free(shop.listener);
}

/* The handler gives the stream to a wrapper, which owns it. */
static int echo_buffered(void *arg, struct anyc_stream *s)
{
	struct shop *shop = arg;
	struct anyc_stream *b;
	char buf[8];
	int n;

	CHECK_OK(anyc_buffered_stream(&b, s));
	n = anyc_stream_receive(b, buf, sizeof buf);
	if (n > 0)
		CHECK_OK(anyc_stream_send(b, buf, (size_t)n));
	shop->handled++;
	anyc_stream_free(b);
	return n < 0 ? n : 0;
}

/* Or passes it on. */
static int keep(void *arg, struct anyc_stream *s)
{
	((struct shop *)arg)->kept = s;
	return 0;
}

ANYC_TEST_NET(tcp, h10_a_stream_that_outlives_its_handler)
{
	struct shop shop = { .options = { .handler_owns = true } };
	struct anyc_stream *s;
	struct anyc_group g;
	char buf[8];

	shop_open(&shop, &g, keep);
	s = visit(&shop);
	SETTLE();
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_stream_send(shop.kept, "hello", 5));
	CHECK_INT(anyc_stream_receive(s, buf, sizeof buf), ==, 5);
	anyc_stream_free(shop.kept);
	anyc_stream_free(s);
	anyc_listener_free(shop.listener);
}

ANYC_TEST_NET(tcp, h10_a_handler_that_owns_the_stream)
{
	struct shop shop = { .options = { .handler_owns = true } };
	struct anyc_stream *s;
	struct anyc_group g;
	char buf[8];

	shop_open(&shop, &g, echo_buffered);
	check_echo(&shop);
	/* Cancelled inside, it cleans up as well. */
	s = visit(&shop);
	SETTLE();
	CHECK_OK(anyc_scope_cancel(&shop.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, ANYC_ECANCELED);
	CHECK_INT(shop.handled, ==, 2);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	anyc_stream_free(s);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_serve(shop.listener, echo_buffered, &shop, NULL));
	anyc_listener_free(shop.listener);
}

ANYC_TEST_NET(tcp, h10_limit)
{
	struct shop shop = { .options = { .limit = 2 } };
	struct anyc_stream *s[5];
	struct anyc_group g;
	int i;

	shop_open(&shop, &g, wait_inside);
	for (i = 0; i < 5; i++)
		s[i] = visit(&shop);
	SETTLE();
	CHECK_INT(shop.running, ==, 2);
	CHECK_OK(anyc_event_set(&shop.let_go));
	SETTLE();
	CHECK_INT(shop.handled, ==, 5);
	CHECK_INT(shop.most, ==, 2);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	for (i = 0; i < 5; i++)
		anyc_stream_free(s[i]);
	anyc_listener_free(shop.listener);
}

/* Also where the first is not inside accept just now. */
ANYC_TEST_NET(tcp, h10_one_task_serves)
{
	struct shop shop = { .options = { .limit = 1 } };
	struct anyc_stream *s;
	struct anyc_group g;
	int rc;

	shop_open(&shop, &g, wait_inside);
	SETTLE();
	CHECK_RC(anyc_serve(shop.listener, wait_inside, &shop, NULL), ANYC_EBUSY);
	s = visit(&shop);
	SETTLE();
	CHECK_RC(anyc_serve(shop.listener, wait_inside, &shop, NULL), ANYC_EBUSY);
	CHECK_OK(anyc_scope_cancel(&shop.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(s);
	/* It can be served again. */
	anyc_scope_enter(&shop.scope, NULL);
	anyc_scope_cancel(&shop.scope, NULL);
	rc = anyc_serve(shop.listener, wait_inside, &shop, NULL);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&shop.scope, rc));
	anyc_listener_free(shop.listener);
}

ANYC_TEST_NET(tcp, h10_cancelled_at_the_limit)
{
	struct shop shop = { .options = { .limit = 1 } };
	struct anyc_stream *s;
	struct anyc_group g;

	shop_open(&shop, &g, wait_inside);
	s = visit(&shop);
	SETTLE();
	CHECK_INT(shop.running, ==, 1);
	CHECK_OK(anyc_scope_cancel(&shop.scope, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, ANYC_ECANCELED);
	anyc_stream_free(s);
	anyc_listener_free(shop.listener);
}

/* Nobody waits in accept then; handlers may outlive the call in a group of the caller's. */
static void end_at_the_limit(bool by_freeing)
{
	struct shop shop = { .options = { .limit = 1 } };
	struct anyc_group g, handlers;
	struct anyc_stream *s = open_and_visit(&shop, &handlers, &g);

	if (by_freeing)
		anyc_listener_free(shop.listener);
	else
		CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	CHECK_OK(anyc_event_set(&shop.let_go));
	CHECK_OK(anyc_group_leave(&handlers, 0));
	anyc_stream_free(s);
	if (!by_freeing)
		anyc_listener_free(shop.listener);
}

ANYC_TEST_NET(tcp, h10_closed_at_the_limit)
{
	end_at_the_limit(false);
	end_at_the_limit(true);
}

/* A listener that does what it is told. */
struct odd_listener {
	struct anyc_listener base;
	int rc;
	int calls, most; /* after that many it is closed */
};

static int odd_accept(struct anyc_listener *l, struct anyc_stream **out)
{
	struct odd_listener *o = (struct odd_listener *)l;
	int rc = anyc_checkpoint();

	(void)out;
	if (rc != 0)
		return rc;
	if (++o->calls >= o->most)
		return ANYC_ECLOSED;
	return anyc_fail(o->rc, -o->rc, "what the kernel said");
}

static int odd_close(struct anyc_listener *l, unsigned flags)
{
	(void)l;
	(void)flags;
	return 0;
}

static void odd_free(struct anyc_listener *l)
{
	(void)l;
}

static const struct anyc_listener_ops odd_ops = { .size = sizeof odd_ops,
						  .name = "odd",
						  .accept = odd_accept,
						  .close = odd_close,
						  .free = odd_free };

static void odd_make(struct odd_listener *o, int rc, int most)
{
	memset(o, 0, sizeof *o);
	anyc_listener_init(&o->base, &odd_ops);
	o->rc = rc;
	o->most = most;
}

ANYC_TEST_NET(tcp, b136_connections_that_died_are_passed_over)
{
	static const int codes[] = { ECONNABORTED, EPERM, EPROTO, ENETUNREACH, EHOSTUNREACH };
	struct odd_listener o;
	size_t i;

	for (i = 0; i < sizeof codes / sizeof *codes; i++) {
		odd_make(&o, -codes[i], 50);
		CHECK_OK(anyc_serve(&o.base, echo_once, NULL, NULL));
		CHECK_INT(o.calls, ==, 50);
		CHECK_INT(reports(), ==, 0);
		anyc_listener_free(&o.base);
	}
}

ANYC_TEST_NET(tcp, b136_a_shortage_is_retried_every_100_ms)
{
	static const int codes[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };
	struct odd_listener o;
	struct anyc_scope limit;
	size_t i;
	int rc;

	for (i = 0; i < sizeof codes / sizeof *codes; i++) {
		odd_make(&o, -codes[i], 1000);
		anyc_scope_enter_timeout(&limit, MS(950));
		rc = anyc_serve(&o.base, echo_once, NULL, NULL);
		CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
		CHECK_INT(o.calls, <=, 10);
		CHECK_INT(o.calls, >=, 10 / anyc_test_slow() - 3);
		CHECK_INT(reports(), ==, 1); /* once for the whole episode */
		CHECK_REPORT("what the kernel said");
		anyc_listener_free(&o.base);
	}
}

ANYC_TEST_NET(tcp, b136_other_errors_end_serve)
{
	struct odd_listener o;

	odd_make(&o, -EBADF, 1000);
	CHECK_RC(anyc_serve(&o.base, echo_once, NULL, NULL), -EBADF);
	CHECK_INT(o.calls, ==, 1);
	anyc_listener_free(&o.base);
}

/* Really out of descriptors: the connection waits in the queue and is served afterwards. */
ANYC_TEST(tcp, h11_out_of_descriptors)
{
	struct shop shop = { 0 };
	struct anyc_stream *s;
	struct anyc_group g;
	struct rlimit old, low;
	char buf[8];

	if (RUNNING_ON_VALGRIND)
		return; /* which keeps a lower limit from the kernel; tests/faults has the error */
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
	shop_open(&shop, &g, echo_once);
	SETTLE();
	s = visit(&shop); /* its descriptor is the highest; no other is free below the limit */
	low = old;
	low.rlim_cur = 3;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
	CHECK_OK(anyc_stream_send(s, "hi", 2));
	while (reports() == 0)
		CHECK_OK(anyc_sleep(MS(1)));
	CHECK_REPORT("too many open files");
	CHECK_INT(shop.handled, ==, 0);
	CHECK_OK(anyc_sleep(MS(250)));
	CHECK_INT(reports(), ==, 0);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
	CHECK_RECEIVES(s, "hi");
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	anyc_stream_free(s);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	anyc_listener_free(shop.listener);
}

static int64_t cpu_time(void)
{
	struct timespec t;

	CHECK_INT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), ==, 0);
	return t.tv_sec * ANYC_SECOND + t.tv_nsec;
}

/* A hundred wait meanwhile: next to nothing is spent on them, and all are served afterwards. */
ANYC_TEST(tcp, c10_out_of_descriptors_with_a_hundred_pending)
{
	struct shop shop = { 0 };
	struct anyc_stream *s[100];
	struct anyc_group g;
	struct rlimit old, low;
	int64_t start, cpu;
	int i;

	if (RUNNING_ON_VALGRIND)
		return; /* as above */
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
	shop.listener = listen_here(&shop.port);
	for (i = 0; i < 100; i++) {
		s[i] = visit(&shop);
		CHECK_OK(anyc_stream_send(s[i], "hi", 2));
	}
	low = old;
	low.rlim_cur = 3;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
	shop_open(&shop, &g, echo_once);
	SETTLE();
	cpu = cpu_time();
	CHECK_OK(anyc_sleep(MS(1000)));
	CHECK_INT(cpu_time() - cpu, <, MS(50) * anyc_test_slow());
	CHECK_INT(reports(), ==, 1);
	CHECK_REPORT("too many open files");
	CHECK_INT(shop.handled, ==, 0);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
	start = anyc_now();
	for (i = 0; i < 100; i++) {
		CHECK_RECEIVES(s[i], "hi");
		anyc_stream_free(s[i]);
	}
	CHECK_TOOK(start, 0, ANYC_SECOND);
	CHECK_INT(shop.handled, ==, 100);
	CHECK_OK(anyc_listener_close(shop.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(shop.rc, 0);
	anyc_listener_free(shop.listener);
}

/* No task can be made: the connection is closed, serving goes on. */
ANYC_TEST_NET(tcp, h11_no_task_for_a_connection)
{
	struct shop shop = { .options = { .stack_size = (size_t)1 << 46 } };
	struct anyc_stream *s;
	struct anyc_group g;
	char buf[8];

	shop_open(&shop, &g, echo_once);
	s = visit(&shop);
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 0);
	anyc_stream_free(s);
	SETTLE();
	CHECK_INT(shop.handled, ==, 0);
	if (!shop.done) { /* a size that is refused outright ends serve with it */
		CHECK_REPORT("trying again");
		CHECK_OK(anyc_scope_cancel(&shop.scope, NULL));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(shop.rc, <, 0);
	anyc_listener_free(shop.listener);
}

/* --------------------------------------------------------------------------- a plain thread */

/* One connection at a time takes no epoll set and no timer: nothing but the sockets is open. */
ANYC_TEST_ON(tcp, r43_a_plain_thread_needs_no_registration, "none")
{
	struct anyc_snapshot before, after;
	struct anyc_address where;
	struct anyc_stream *s;
	int listening = listen_bare(1, &where), peer;
	char port[8], buf[8], changes[300];

	snprintf(port, sizeof port, "%u", anyc_address_port(&where) & 0xffffU);
	anyc_snapshot_take(&before);
	CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", port, NULL));
	peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	bare_send(peer, "abc");
	CHECK_RC(anyc_stream_receive(s, buf, sizeof buf), 3);
	anyc_snapshot_take(&after);
	anyc_snapshot_compare(&before, &after, changes, sizeof changes);
	if (after.fds != before.fds + 2)
		FAIL("open besides the stream's and the peer's: %s", changes);
	anyc_stream_free(s);
	close(peer);
	close(listening);
}

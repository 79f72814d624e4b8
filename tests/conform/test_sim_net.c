/* SPDX-License-Identifier: MIT */
/*
 * The sim's network: time, faults, and what TCP does.  Where the kernel's does the same a test runs
 * on both, by ANYC_TEST_NET.
 */
#include "conform_net.h"
#include "lib/alloc_fault.h"

#include <anyc/sim.h>
#include <stdlib.h>

#define MILLION 1000000

/* ----------------------------------------------------------------------------- one scenario */

struct world {
	struct anyc_sim *sim;
	struct anyc_listener *listener;
	struct anyc_stream *a, *b; /* that connected, that was accepted */
	struct port port;
};
static struct world w;

static int with_world(void *body)
{
	struct anyc_scope limit;

	/* A day of virtual time is no time. */
	anyc_scope_enter_timeout(&limit, 24 * ANYC_HOUR);
	((void (*)(void))body)();
	anyc_stream_free(w.a);
	anyc_stream_free(w.b);
	anyc_listener_free(w.listener);
	return anyc_scope_leave(&limit, 0);
}

static int run_options(const struct anyc_sim_options *options, void (*body)(void))
{
	struct anyc_run_options run = { .backend = "sim" };
	int rc;

	memset(&w, 0, sizeof w);
	rc = anyc_sim_create(&w.sim, options);
	if (rc != 0)
		return rc;
	run.native = w.sim;
	rc = anyc_run(&run, with_world, (void *)body);
	anyc_sim_free(w.sim);
	return rc;
}

static void run_link(const struct anyc_sim_link *link, void (*body)(void))
{
	struct anyc_sim_options options = { .seed = 1, .network = true };

	if (link != NULL)
		options.link = *link;
	CHECK_OK(run_options(&options, body));
}

static void listen_at(const char *host)
{
	CHECK_OK(anyc_tcp_listen(&w.listener, host, "0", NULL));
	w.port = port_of(w.listener);
}

static void connect_pair(void)
{
	listen_at("10.0.0.2");
	CHECK_OK(anyc_tcp_connect(&w.a, "10.0.0.2", w.port.text, NULL));
	CHECK_OK(anyc_listener_accept(w.listener, &w.b));
}

static int connect_to(const char *host)
{
	anyc_stream_free(w.a);
	return anyc_tcp_connect(&w.a, host, w.port.text, NULL);
}

static void send_text(struct anyc_stream *s, const char *text)
{
	CHECK_OK(anyc_stream_send(s, text, strlen(text)));
}

static void check_broken(struct anyc_stream *s, int os_errno)
{
	char c;
	int rc = anyc_stream_receive(s, &c, 1);

	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(rc), ==, os_errno);
}

static void check_end(struct anyc_stream *s)
{
	char c;

	CHECK_RC(anyc_stream_receive(s, &c, 1), 0);
}

/* Receives `size` bytes; how many calls it took. */
static size_t receive_all(struct anyc_stream *s, unsigned char *buf, size_t size)
{
	size_t have = 0, calls = 0;

	while (have < size) {
		int n = anyc_stream_receive(s, buf + have, size - have);

		CHECK_INT(n, >, 0);
		have += (size_t)n;
		calls++;
	}
	return calls;
}

static unsigned char bulk[1 << 20], copy[1 << 20];

static void fill_bulk(void)
{
	for (size_t i = 0; i < sizeof bulk; i++)
		bulk[i] = (unsigned char)(i * 31 + i / 251);
}

/* Sends `size` bytes of bulk from a to b; the calls of the receiver. */
static size_t transfer(size_t size)
{
	struct sender s = { .stream = w.a, .data = bulk, .size = size };
	struct anyc_group g;
	size_t calls;

	fill_bulk();
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	calls = receive_all(w.b, copy, size);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(s.rc);
	CHECK(memcmp(copy, bulk, size) == 0);
	return calls;
}

/* ------------------------------------------------------------------------------------ time */

static void check_latency(void)
{
	int64_t start = anyc_now();

	listen_at("10.0.0.2");
	CHECK_OK(connect_to("10.0.0.2"));
	CHECK_INT(anyc_now() - start, ==, MS(20));
	CHECK_OK(anyc_listener_accept(w.listener, &w.b));
	CHECK_INT(anyc_now() - start, ==, MS(20));
	send_text(w.a, "there");
	CHECK_RECEIVES(w.b, "there");
	send_text(w.b, "and back");
	CHECK_RECEIVES(w.a, "and back");
	CHECK_INT(anyc_now() - start, ==, MS(40));
	CHECK_OK(anyc_stream_close(w.a));
	check_end(w.b);
	CHECK_INT(anyc_now() - start, ==, MS(50));
}

ANYC_TEST_MAIN(simnet, latency, "sim")
{
	struct anyc_sim_link link = { .latency = MS(10) };

	run_link(&link, check_latency);
}

static void check_bandwidth(void)
{
	int64_t start;

	connect_pair();
	start = anyc_now();
	transfer(1000000);
	CHECK_INT(anyc_now() - start, ==, ANYC_SECOND);
}

ANYC_TEST_MAIN(simnet, bandwidth, "sim")
{
	struct anyc_sim_link link = { .bandwidth = 1000000 };

	run_link(&link, check_bandwidth);
}

/* Deliveries differ, and none overtakes another. */
static void check_jitter(void)
{
	int64_t start, first, last;

	connect_pair();
	start = anyc_now();
	send_text(w.a, "1");
	CHECK_RECEIVES(w.b, "1");
	first = anyc_now() - start;
	start = anyc_now();
	for (int i = 0; i < 8; i++)
		send_text(w.a, "x");
	send_text(w.a, "end");
	CHECK_RECEIVES(w.b, "xxxxxxxxend");
	last = anyc_now() - start;
	CHECK_INT(first, !=, last);
	CHECK_INT(last, >=, MS(1));
	CHECK_INT(last, <, MS(11));
}

ANYC_TEST_MAIN(simnet, jitter, "sim")
{
	struct anyc_sim_link link = { .latency = MS(1), .jitter = MS(10) };

	run_link(&link, check_jitter);
}

/* Something real is waited for meanwhile: then a latency takes real time. */
static void check_real_time(void)
{
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	int64_t start = anyc_now();

	connect_pair();
	CHECK_INT(anyc_now() - start, >=, MS(4));
	anyc_token_unref(token);
}

ANYC_TEST_MAIN(simnet, latency_in_real_time, "sim")
{
	struct anyc_sim_link link = { .latency = MS(2) };

	run_link(&link, check_real_time);
}

/* --------------------------------------------------------------------- windows and parts */

static void check_window(void)
{
	struct iovec piece = { bulk, sizeof bulk };
	struct sender s = { .data = bulk, .size = 2500 };
	struct anyc_group g;

	fill_bulk();
	connect_pair();
	CHECK_RC(anyc_stream_send_some(w.a, &piece, 1, 0), 1000);
	CHECK_RC(anyc_stream_send_some(w.a, &piece, 1, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	CHECK_INT(receive_all(w.b, copy, 1000), ==, 1);
	s.stream = w.a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!s.done);
	CHECK_INT(receive_all(w.b, copy, 700), ==, 1);
	SETTLE();
	CHECK(!s.done);
	CHECK_INT(receive_all(w.b, copy + 700, 1800), >, 1);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(s.rc);
	CHECK(memcmp(copy, bulk, 2500) == 0);
}

ANYC_TEST_MAIN(simnet, a_window_holds_the_sender, "sim")
{
	struct anyc_sim_link link = { .window = 1000 };

	run_link(&link, check_window);
}

static void check_short(void)
{
	char c[64];
	int n;

	connect_pair();
	CHECK_INT(transfer(100000), >, 10);
	send_text(w.a, "some text that is long enough");
	n = anyc_stream_receive_flags(w.b, c, sizeof c, ANYC_NOWAIT);
	CHECK_INT(n, >, 0);
	CHECK_INT(n, <=, 29);
}

static void check_short_sends(void)
{
	struct iovec piece = { bulk, 10000 };
	int n = 0, all = 0;

	connect_pair();
	for (int i = 0; i < 20; i++) {
		n = anyc_stream_send_some(w.a, &piece, 1, 0);
		CHECK_INT(n, >, 0);
		CHECK_INT(n, <=, 10000);
		all += n == 10000;
		receive_all(w.b, copy, (size_t)n);
	}
	CHECK_INT(all, <, 20);
	transfer(200000);
}

ANYC_TEST_MAIN(simnet, short_receives_and_sends, "sim")
{
	struct anyc_sim_link receives = { .short_receives = true };
	struct anyc_sim_link sends = { .short_sends = true };

	run_link(&receives, check_short);
	run_link(&sends, check_short_sends);
}

/* -------------------------------------------------------------------------------- connects */

static void set_reach(const char *address, enum anyc_sim_reach reach)
{
	struct anyc_sim_link link = { .latency = MS(10), .reach = reach };

	CHECK_OK(anyc_sim_set_link(w.sim, address, &link));
}

static void check_reach(void)
{
	int64_t start = anyc_now();

	listen_at(NULL);
	set_reach("10.0.0.1", ANYC_SIM_REFUSES);
	set_reach("10.0.0.2", ANYC_SIM_HANGS);
	set_reach("10.0.0.3", ANYC_SIM_UNREACHABLE);
	set_reach("10.0.0.4", ANYC_SIM_REACHABLE);
	CHECK_RC(connect_to("10.0.0.1"), -ECONNREFUSED);
	CHECK_HAS(anyc_error_detail(-ECONNREFUSED), "connect 10.0.0.1:");
	CHECK_HAS(anyc_error_detail(-ECONNREFUSED), "connection refused");
	CHECK(w.a == NULL);
	CHECK_INT(anyc_now() - start, ==, MS(20));
	start = anyc_now();
	CHECK_RC(connect_to("10.0.0.3"), -EHOSTUNREACH);
	CHECK_INT(anyc_now() - start, ==, 0);
	CHECK_RC(connect_to("10.0.0.2"), -ETIMEDOUT);
	CHECK_INT(anyc_now() - start, ==, 127 * ANYC_SECOND + MS(10));
	start = anyc_now();
	CHECK_OK(connect_to("10.0.0.4"));
	CHECK_INT(anyc_now() - start, ==, MS(20));
	/* Of an address without a link of its own. */
	CHECK_OK(connect_to("10.0.0.5"));
	CHECK_INT(anyc_now() - start, ==, MS(20));
	set_reach("10.0.0.1", ANYC_SIM_REACHABLE);
	CHECK_OK(connect_to("10.0.0.1"));
}

/* An address has one link, however it is written. */
static void check_mapped_link(void)
{
	listen_at(NULL);
	set_reach("::ffff:10.0.0.1", ANYC_SIM_REFUSES);
	CHECK_RC(connect_to("::ffff:10.0.0.1"), -ECONNREFUSED);
	CHECK_RC(connect_to("10.0.0.1"), -ECONNREFUSED);
	set_reach("10.0.0.1", ANYC_SIM_REACHABLE);
	CHECK_OK(connect_to("::ffff:10.0.0.1"));
}

ANYC_TEST_MAIN(simnet, h05_refused_hanging_unreachable, "sim")
{
	run_link(NULL, check_reach);
	run_link(NULL, check_mapped_link);
}

static void check_nobody(void)
{
	struct anyc_listener *other;

	listen_at("10.0.0.2");
	CHECK_RC(connect_to("10.0.0.3"), -ECONNREFUSED);
	CHECK_OK(anyc_tcp_listen(&other, "10.0.0.3", w.port.text, NULL));
	CHECK_OK(connect_to("10.0.0.3"));
	CHECK_OK(anyc_listener_accept(other, &w.b));
	anyc_listener_free(other);
	CHECK_RC(connect_to("10.0.0.3"), -ECONNREFUSED);
}

ANYC_TEST_MAIN(simnet, nobody_listens, "sim")
{
	run_link(NULL, check_nobody);
}

/* Happy Eyeballs to the nanosecond. */
static void check_happy_eyeballs(void)
{
	struct anyc_connect_attempt tried[4];
	size_t count = 4;
	struct anyc_tcp_connect_options o = { .attempts = tried, .attempt_count = &count };
	struct anyc_address from;
	int64_t start;

	listen_at(NULL);
	CHECK_OK(anyc_sim_add_host(w.sim, "www.test", "2001:db8::1"));
	CHECK_OK(anyc_sim_add_host(w.sim, "www.test", "10.0.0.1"));
	CHECK_OK(anyc_sim_add_host(w.sim, "www.test", "2001:db8::2"));
	set_reach("2001:db8::1", ANYC_SIM_HANGS);
	set_reach("10.0.0.1", ANYC_SIM_REACHABLE);
	start = anyc_now();
	CHECK_OK(anyc_tcp_connect(&w.a, "www.test", w.port.text, &o));
	CHECK_INT(anyc_now() - start, ==, MS(250) + MS(20));
	CHECK_OK(anyc_stream_attribute(w.a, &anyc_attribute_remote_address, &from, sizeof from));
	CHECK_INT(from.storage.ss_family, ==, AF_INET);
	CHECK_INT(count, ==, 2);
	CHECK_RC(tried[0].rc, ANYC_ECANCELED);
	anyc_stream_free(w.a);
	/* A refusal starts the next at once. */
	set_reach("2001:db8::1", ANYC_SIM_REFUSES);
	start = anyc_now();
	CHECK_OK(anyc_tcp_connect(&w.a, "WWW.test", w.port.text, NULL));
	CHECK_INT(anyc_now() - start, ==, MS(20) + MS(20));
	anyc_stream_free(w.a);
	/* The slow one wins if the other is slower. */
	set_reach("2001:db8::1", ANYC_SIM_REACHABLE);
	start = anyc_now();
	CHECK_OK(anyc_tcp_connect(&w.a, "www.test", w.port.text, NULL));
	CHECK_INT(anyc_now() - start, ==, MS(20));
}

ANYC_TEST_MAIN(simnet, b129_happy_eyeballs_by_the_clock, "sim")
{
	run_link(NULL, check_happy_eyeballs);
}

/* Cancelled while the answer is on its way: the listener gets a connection that is reset. */
static void check_given_up(void)
{
	struct anyc_scope s;

	listen_at("10.0.0.2");
	anyc_scope_enter_timeout(&s, MS(15));
	CHECK_RC(connect_to("10.0.0.2"), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK(w.a == NULL);
	CHECK_OK(anyc_listener_accept(w.listener, &w.b));
	check_broken(w.b, ECONNRESET);
	anyc_scope_enter_timeout(&s, MS(5));
	CHECK_RC(connect_to("10.0.0.2"), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
}

ANYC_TEST_MAIN(simnet, b132_a_connect_that_is_given_up, "sim")
{
	struct anyc_sim_link link = { .latency = MS(10) };

	run_link(&link, check_given_up);
}

/* --------------------------------------------------------------------------------- listeners */

static int accept_later(void *arg)
{
	int rc = anyc_sleep(2 * ANYC_SECOND);

	(void)arg;
	return rc != 0 ? rc : anyc_listener_accept(w.listener, &w.b);
}

/* Two are in the queue of one; the third is asked again after 1, 2 and 4 seconds. */
static void check_backlog(void)
{
	struct anyc_tcp_listen_options o = { .backlog = 1 };
	struct anyc_stream *queued[2];
	int64_t start = anyc_now();
	struct anyc_group g;

	CHECK_OK(anyc_tcp_listen(&w.listener, "10.0.0.2", "0", &o));
	w.port = port_of(w.listener);
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_tcp_connect(&queued[i], "10.0.0.2", w.port.text, NULL));
	CHECK_INT(anyc_now(), ==, start);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_later, NULL));
	CHECK_OK(connect_to("10.0.0.2"));
	CHECK_INT(anyc_now() - start, ==, 3 * ANYC_SECOND);
	CHECK_OK(anyc_group_leave(&g, 0));
	/* Those that were not accepted are reset when the listener closes. */
	CHECK_OK(anyc_listener_close(w.listener));
	check_broken(w.a, ECONNRESET);
	check_broken(queued[1], ECONNRESET);
	send_text(queued[0], "x");
	CHECK_RECEIVES(w.b, "x");
	anyc_stream_free(queued[0]);
	anyc_stream_free(queued[1]);
	CHECK_RC(connect_to("10.0.0.2"), -ECONNREFUSED);
}

ANYC_TEST_MAIN(simnet, a_full_backlog, "sim")
{
	run_link(NULL, check_backlog);
}

static void check_ports(void)
{
	struct anyc_tcp_listen_options shared = { .reuse_port = true };
	struct anyc_tcp_connect_options bound = { .local_host = "10.0.0.9", .local_port = 7000 };
	struct anyc_listener *l = NULL, *m = NULL;
	struct anyc_address local, remote;
	struct anyc_stream *s;

	CHECK_OK(anyc_tcp_listen(&l, "10.0.0.2", "80", NULL));
	CHECK_RC(anyc_tcp_listen(&m, "10.0.0.2", "80", NULL), -EADDRINUSE);
	CHECK_HAS(anyc_error_detail(-EADDRINUSE), "listen on 10.0.0.2:80");
	CHECK(m == NULL);
	CHECK_RC(anyc_tcp_listen(&m, NULL, "80", NULL), -EADDRINUSE);
	CHECK_RC(anyc_tcp_listen(&m, "10.0.0.2", "80", &shared), -EADDRINUSE);
	CHECK_OK(anyc_tcp_listen(&m, "10.0.0.3", "80", NULL));
	anyc_listener_free(m);
	CHECK_OK(anyc_tcp_listen(&m, "::", "80", NULL));
	anyc_listener_free(m);
	/* From a port of its own: the peer sees it, and nobody else has it. */
	CHECK_OK(anyc_tcp_connect(&w.a, "10.0.0.2", "80", &bound));
	CHECK_OK(anyc_listener_accept(l, &w.b));
	CHECK_OK(anyc_stream_attribute(w.a, &anyc_attribute_local_address, &local, sizeof local));
	CHECK_OK(anyc_stream_attribute(w.b, &anyc_attribute_remote_address, &remote,
				       sizeof remote));
	CHECK_INT(local.length, ==, remote.length);
	CHECK(memcmp(&local.storage, &remote.storage, local.length) == 0);
	CHECK_INT(anyc_address_port(&local), ==, 7000);
	CHECK_RC(anyc_tcp_connect(&s, "10.0.0.2", "80", &bound), -EADDRNOTAVAIL);
	bound.local_host = "10.0.0.2";
	bound.local_port = 80;
	CHECK_RC(anyc_tcp_connect(&s, "10.0.0.2", "80", &bound), -EADDRINUSE);
	anyc_listener_free(l);
	/* Several on one port share what comes. */
	CHECK_OK(anyc_tcp_listen(&l, "10.0.0.2", "80", &shared));
	CHECK_OK(anyc_tcp_listen(&m, "10.0.0.2", "80", &shared));
	for (int i = 0; i < 20; i++) {
		CHECK_OK(anyc_tcp_connect(&s, "10.0.0.2", "80", NULL));
		anyc_stream_free(s);
	}
	anyc_stream_free(w.b);
	CHECK_OK(anyc_listener_accept(l, &w.b));
	anyc_stream_free(w.b);
	CHECK_OK(anyc_listener_accept(m, &w.b));
	anyc_listener_free(l);
	anyc_listener_free(m);
}

ANYC_TEST_MAIN(simnet, ports, "sim")
{
	run_link(NULL, check_ports);
}

static unsigned local_port(struct anyc_stream *s)
{
	struct anyc_address a;

	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_local_address, &a, sizeof a));
	return anyc_address_port(&a);
}

/* At 127.0.0.1 other tests' connections still have ports of the kernel's (TIME_WAIT). */
#define QUIET_HOST "127.0.0.77"
#define HOST_OF_CHOSEN "127.0.0.78"

static int listen_on_port(const char *host, unsigned port)
{
	struct anyc_listener *l;
	char text[16];
	int rc;

	snprintf(text, sizeof text, "%u", port);
	rc = anyc_tcp_listen(&l, host, text, NULL);
	anyc_listener_free(l);
	return rc;
}

/* A port that was chosen is shared with others that chose it (SO_REUSEADDR), to other places. */
ANYC_TEST_NET(simnet, h02_a_port_that_was_chosen)
{
	struct anyc_tcp_connect_options o = { .local_host = HOST_OF_CHOSEN };
	struct anyc_address free_port;
	struct anyc_stream *a, *b, *c;
	struct anyc_listener *l, *m;
	int fd = refusing_port(&free_port);
	struct port port;
	char text[16];

	close(fd);
	o.local_port = anyc_address_port(&free_port);
	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", NULL));
	port = port_of(l);
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_tcp_connect(&b, "127.0.0.2", port.text, &o));
	CHECK_INT(local_port(a), ==, local_port(b));
	CHECK_RC(anyc_tcp_connect(&c, "127.0.0.1", port.text, &o), -EADDRNOTAVAIL);
	snprintf(text, sizeof text, "%u", o.local_port);
	CHECK_OK(anyc_tcp_listen(&m, HOST_OF_CHOSEN, text, NULL));
	CHECK_RC(anyc_tcp_connect(&c, "127.0.0.3", port.text, &o), -EADDRINUSE);
	o.local_host = NULL;
	CHECK_RC(anyc_tcp_connect(&c, "127.0.0.3", port.text, &o), -EADDRINUSE);
	o.local_host = "::";
	CHECK_RC(anyc_tcp_connect(&c, "::1", port.text, &o), -EADDRINUSE);
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_listener_free(l);
	anyc_listener_free(m);
}

/* A port that was given is its caller's alone, until the peer has ended, too. */
ANYC_TEST_NET(simnet, h02_a_port_that_was_given)
{
	struct anyc_tcp_connect_options o = { .local_host = "127.0.0.1" };
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	struct anyc_stream *a, *b, *c;

	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_listener_accept(l, &b));
	o.local_port = local_port(a);
	anyc_stream_free(a);
	check_end(b);
	CHECK_RC(listen_on_port("127.0.0.1", o.local_port), -EADDRINUSE);
	CHECK_RC(anyc_tcp_connect(&c, "127.0.0.1", port.text, &o), -EADDRINUSE);
	anyc_stream_free(b);
	/* The peer is the first to end. */
	o.local_host = QUIET_HOST;
	o.local_port = 0;
	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_listener_accept(l, &b));
	o.local_port = local_port(a);
	anyc_stream_free(b);
	check_end(a);
	CHECK_RC(listen_on_port(QUIET_HOST, o.local_port), -EADDRINUSE);
	anyc_stream_free(a);
	CHECK_OK(listen_on_port(QUIET_HOST, o.local_port));
	anyc_listener_free(l);
}

/* One that was reset has no port any more, though its stream is open. */
ANYC_TEST_NET(simnet, h02_a_port_after_a_reset)
{
	struct anyc_tcp_connect_options o = { .local_host = QUIET_HOST };
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	struct anyc_stream *a, *b;
	unsigned local;
	char c;

	CHECK_OK(anyc_tcp_connect(&a, "127.0.0.1", port.text, &o));
	CHECK_OK(anyc_listener_accept(l, &b));
	local = local_port(a);
	CHECK_RC(listen_on_port(QUIET_HOST, local), -EADDRINUSE);
	CHECK_OK(anyc_stream_send(a, "unread", 6));
	CHECK_RC(anyc_stream_receive(b, &c, 1), 1);
	anyc_stream_free(b);
	check_broken(a, ECONNRESET);
	CHECK_OK(listen_on_port(QUIET_HOST, local));
	anyc_stream_free(a);
	anyc_listener_free(l);
}

/* ---------------------------------------------------------------------------------- families */

struct meeting {
	const char *from, *to; /* bound to, connected to */
	int rc;
	const char *local, *server; /* the client's own address, and the one it has come to */
};

static void check_text(struct anyc_stream *s, const struct anyc_attribute *which, const char *want)
{
	struct anyc_address a;
	char text[80];

	CHECK_OK(anyc_stream_attribute(s, which, &a, sizeof a));
	anyc_address_format(&a, text, sizeof text);
	*strrchr(text, ':') = '\0'; /* the port */
	CHECK_STR(text, want);
}

static void meet(struct anyc_listener *l, const struct meeting *m)
{
	struct anyc_tcp_connect_options o = { .local_host = m->from };
	struct port port = port_of(l);
	struct anyc_stream *a, *b;

	CHECK_RC(anyc_tcp_connect(&a, m->to, port.text, &o), m->rc);
	if (m->rc != 0)
		return;
	CHECK_OK(anyc_listener_accept(l, &b));
	check_text(a, &anyc_attribute_local_address, m->local);
	check_text(b, &anyc_attribute_remote_address, m->local);
	check_text(b, &anyc_attribute_local_address, m->server);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* A socket of IPv6 that is bound to an address of IPv4, or the other way round. */
ANYC_TEST_NET(simnet, h03_bound_to_another_family)
{
	static const struct meeting meetings[] = {
		{ "::1", "::ffff:127.0.0.1", -ENETUNREACH, NULL, NULL },
		{ "::1", "::ffff:0.0.0.0", -ENETUNREACH, NULL, NULL },
		{ "::ffff:127.0.0.1", "::1", -EAFNOSUPPORT, NULL, NULL },
		{ "::ffff:0.0.0.0", "::1", -EAFNOSUPPORT, NULL, NULL },
		{ "::ffff:0.0.0.0", "::ffff:127.0.0.1", 0, "[::ffff:127.0.0.1]",
		  "[::ffff:127.0.0.1]" },
		{ "::", "::ffff:127.0.0.1", 0, "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]" },
		{ "::", "::1", 0, "[::1]", "[::1]" },
	};
	struct anyc_listener *l;

	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", NULL));
	for (size_t i = 0; i < sizeof meetings / sizeof *meetings; i++)
		meet(l, &meetings[i]);
	anyc_listener_free(l);
}

/* To 0.0.0.0 is to the address that one is bound to, to :: is to the loopback. */
ANYC_TEST_NET(simnet, h03_bound_and_to_all_addresses)
{
	static const struct meeting mapped[] = {
		{ "::ffff:127.0.0.5", "::", 0, "[::ffff:127.0.0.5]", "[::ffff:127.0.0.1]" },
		{ "::ffff:127.0.0.5", "::ffff:0.0.0.0", 0, "[::ffff:127.0.0.5]",
		  "[::ffff:127.0.0.5]" },
		{ "::ffff:0.0.0.0", "::", 0, "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]" },
		{ "::1", "::", 0, "[::1]", "[::1]" },
	};
	static const struct meeting four[] = {
		{ "127.0.0.5", "0.0.0.0", 0, "127.0.0.5", "127.0.0.5" },
		{ "0.0.0.0", "0.0.0.0", 0, "127.0.0.1", "127.0.0.1" },
	};
	struct anyc_listener *l;

	CHECK_OK(anyc_tcp_listen(&l, NULL, "0", NULL));
	for (size_t i = 0; i < sizeof mapped / sizeof *mapped; i++)
		meet(l, &mapped[i]);
	anyc_listener_free(l);
	CHECK_OK(anyc_tcp_listen(&l, "0.0.0.0", "0", NULL));
	for (size_t i = 0; i < sizeof four / sizeof *four; i++)
		meet(l, &four[i]);
	anyc_listener_free(l);
}

/* ------------------------------------------------------------------------------------- names */

static void check_names(void)
{
	struct anyc_resolve_options six = { .family = AF_INET6 };
	struct anyc_addresses list;
	char text[64];

	CHECK_OK(anyc_sim_add_host(w.sim, "db.test", "10.0.0.7"));
	CHECK_OK(anyc_sim_add_host(w.sim, "db.test", "10.0.0.8"));
	CHECK_OK(anyc_resolve(&list, "db.test", "5432", NULL));
	CHECK_INT(list.count, ==, 2);
	anyc_address_format(&list.list[0], text, sizeof text);
	CHECK_STR(text, "10.0.0.7:5432");
	anyc_address_format(&list.list[1], text, sizeof text);
	CHECK_STR(text, "10.0.0.8:5432");
	anyc_addresses_free(&list);
	CHECK_RC(anyc_resolve(&list, "db.test", NULL, &six), ANYC_EAI_FAMILY);
	CHECK_RC(anyc_resolve(&list, "other.test", "1", NULL), ANYC_EAI_NONAME);
	CHECK_HAS(anyc_error_detail(ANYC_EAI_NONAME), "resolve other.test: the name is not known");
	CHECK_RC(anyc_resolve(&list, "db.test", "nosuchservice", NULL), ANYC_EAI_SERVICE);
	CHECK_RC(anyc_resolve(&list, "10.0.0.1", "nosuchservice", NULL), ANYC_EAI_SERVICE);
	CHECK_OK(anyc_resolve(&list, "localhost", "1", NULL));
	CHECK_INT(list.count, ==, 2);
	anyc_addresses_free(&list);
	CHECK_RC(connect_to("other.test"), ANYC_EINVAL); /* no port */
	CHECK_RC(anyc_tcp_connect(&w.a, "other.test", "1", NULL), ANYC_EAI_NONAME);
}

ANYC_TEST_MAIN(simnet, names, "sim")
{
	run_link(NULL, check_names);
}

/* ------------------------------------------------------------------------- breaking, by hand */

static void check_reset(void)
{
	struct receiver r = { 0 };
	struct anyc_group g;
	int rc;

	connect_pair();
	send_text(w.a, "before");
	r.stream = w.a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	SETTLE();
	CHECK_OK(anyc_sim_reset(w.b));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_EBROKEN);
	CHECK_INT(r.os_errno, ==, ECONNRESET);
	CHECK_RECEIVES(w.b, "before");
	check_broken(w.b, ECONNRESET);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "receive from 10.0.0.2:");
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), ": connection reset by peer");
	rc = anyc_stream_send(w.b, "x", 1);
	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(rc), ==, ECONNRESET);
}

static void check_eof_after_reset(void)
{
	int rc;

	connect_pair();
	CHECK_OK(anyc_sim_reset(w.b));
	rc = anyc_stream_send_eof(w.b);
	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(rc), ==, ENOTCONN); /* shutdown(2)'s */
}

static void reset_now(void *stream)
{
	CHECK_OK(anyc_sim_reset(stream));
}

/* At a moment that the test chooses. */
static void check_reset_at(void)
{
	int64_t start = anyc_now();

	connect_pair();
	CHECK_OK(anyc_sim_at(w.sim, start + 5 * ANYC_SECOND, reset_now, w.a));
	check_broken(w.b, ECONNRESET);
	CHECK_INT(anyc_now() - start, ==, 5 * ANYC_SECOND);
	check_broken(w.a, ECONNRESET);
}

ANYC_TEST_MAIN(simnet, b116_reset_by_hand, "sim")
{
	run_link(NULL, check_reset);
	run_link(NULL, check_reset_at);
	run_link(NULL, check_eof_after_reset);
}

/* Nothing arrives, and nobody is told: a deadline ends the wait, a full window the sending. */
static void check_vanish(void)
{
	struct anyc_scope s;
	char c;

	connect_pair();
	send_text(w.a, "before");
	CHECK_OK(anyc_sim_vanish(w.a));
	CHECK_RECEIVES(w.b, "before");
	anyc_scope_enter_timeout(&s, ANYC_HOUR);
	CHECK_RC(anyc_stream_receive(w.b, &c, 1), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	anyc_scope_enter_timeout(&s, ANYC_HOUR);
	CHECK_RC(anyc_stream_send(w.a, bulk, sizeof bulk), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_INT(anyc_stream_sent(w.a), ==, 65536);
	CHECK_OK(anyc_stream_close(w.a));
	anyc_scope_enter_timeout(&s, ANYC_HOUR);
	CHECK_RC(anyc_stream_receive(w.b, &c, 1), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
}

ANYC_TEST_MAIN(simnet, half_open, "sim")
{
	run_link(NULL, check_vanish);
}

/* --------------------------------------------------------------------------- breaking, by lot */

static void check_lot_refuses(void)
{
	listen_at("10.0.0.2");
	CHECK_RC(connect_to("10.0.0.2"), -ECONNREFUSED);
}

static void check_lot_resets(void)
{
	connect_pair();
	send_text(w.a, "x");
	check_broken(w.b, ECONNRESET);
	check_broken(w.a, ECONNRESET);
}

static void check_lot_vanishes(void)
{
	struct anyc_scope s;
	char c;

	connect_pair();
	send_text(w.a, "x");
	anyc_scope_enter_timeout(&s, ANYC_HOUR);
	CHECK_RC(anyc_stream_receive(w.b, &c, 1), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&s, ANYC_ECANCELED), ANYC_ETIMEDOUT);
	CHECK_OK(anyc_stream_close(w.b));
}

/* About one in ten, and not always the same. */
static int resets;

static void count_resets(void)
{
	char c;

	listen_at("10.0.0.2");
	for (int i = 0; i < 200; i++) {
		CHECK_OK(connect_to("10.0.0.2"));
		anyc_stream_free(w.b);
		CHECK_OK(anyc_listener_accept(w.listener, &w.b));
		send_text(w.a, "x");
		resets += anyc_stream_receive(w.b, &c, 1) < 0;
	}
}

ANYC_TEST_MAIN(simnet, faults_by_lot, "sim")
{
	struct anyc_sim_link refuses = { .refuse = MILLION }, often = { .reset = MILLION / 10 };
	struct anyc_sim_link breaks = { .reset = MILLION }, loses = { .vanish = MILLION };

	run_link(&refuses, check_lot_refuses);
	run_link(&breaks, check_lot_resets);
	run_link(&loses, check_lot_vanishes);
	resets = 0;
	run_link(&often, count_resets);
	CHECK_INT(resets, >, 5);
	CHECK_INT(resets, <, 50);
}

/* --------------------------------------------------------------------------- as TCP does it */

/* Closed with something unread: the peer is reset, and still gets what came before. */
static void check_close_unread(void)
{
	connect_pair();
	send_text(w.a, "unread");
	send_text(w.b, "last words");
	SETTLE();
	CHECK_OK(anyc_stream_close(w.b));
	CHECK_RECEIVES(w.a, "last words");
	check_broken(w.a, ECONNRESET);
}

/* Data for one that has closed: accepted, and answered by a reset. */
static void check_send_to_closed(void)
{
	int rc;

	connect_pair();
	CHECK_OK(anyc_stream_close(w.b));
	CHECK_OK(anyc_sleep(MS(20)));
	send_text(w.a, "too late");
	CHECK_OK(anyc_sleep(MS(20)));
	rc = anyc_stream_send(w.a, "x", 1);
	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(rc), ==, EPIPE);
}

/* One direction ends, the other goes on. */
static void check_half_close(void)
{
	connect_pair();
	send_text(w.a, "question");
	CHECK_OK(anyc_stream_send_eof(w.a));
	CHECK_RC(anyc_stream_send(w.a, "x", 1), ANYC_ECLOSED);
	CHECK_RECEIVES(w.b, "question");
	check_end(w.b);
	check_end(w.b);
	send_text(w.b, "answer");
	CHECK_RECEIVES(w.a, "answer");
	CHECK_OK(anyc_stream_close(w.b));
	check_end(w.a);
}

/* What is on the way when its sender has gone still arrives. */
static void check_sent_and_freed(void)
{
	connect_pair();
	send_text(w.a, "goodbye");
	anyc_stream_free(w.a);
	w.a = NULL;
	CHECK_RECEIVES(w.b, "goodbye");
	check_end(w.b);
}

static void check_attributes(void)
{
	struct anyc_address a, b;
	int fd;

	connect_pair();
	CHECK_OK(anyc_stream_attribute(w.a, &anyc_attribute_remote_address, &a, sizeof a));
	CHECK_OK(anyc_stream_attribute(w.b, &anyc_attribute_local_address, &b, sizeof b));
	CHECK(memcmp(&a.storage, &b.storage, a.length) == 0);
	CHECK_RC(anyc_stream_attribute(w.a, &anyc_attribute_fd, &fd, sizeof fd), ANYC_ENOATTR);
	CHECK_HAS(anyc_error_detail(ANYC_ENOATTR), "simulated TCP stream has no fd");
	CHECK_RC(anyc_listener_attribute(w.listener, &anyc_attribute_fd, &fd, sizeof fd),
		 ANYC_ENOATTR);
}

ANYC_TEST_MAIN(simnet, as_tcp_does_it, "sim")
{
	static void (*const checks[])(void) = {
		check_close_unread, check_send_to_closed, check_half_close, check_sent_and_freed,
		check_attributes,
	};
	struct anyc_sim_link slow = { .latency = MS(5) };

	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		if (checks[i] != check_close_unread)
			run_link(&slow, checks[i]);
		run_link(NULL, checks[i]);
	}
}

/* -------------------------------------------------------------------------------- the trace */

struct trace {
	char *text;
	size_t length, size;
};

static void keep_line(void *arg, const char *line)
{
	struct trace *t = arg;
	size_t n = strlen(line);

	if (t->length + n + 2 > t->size) {
		t->size = 2 * t->size + n + 2;
		t->text = realloc(t->text, t->size);
		CHECK(t->text != NULL);
	}
	memcpy(t->text + t->length, line, n);
	t->length += n;
	t->text[t->length++] = '\n';
	t->text[t->length] = '\0';
}

static int echo(void *arg, struct anyc_stream *s)
{
	char buf[512];
	int rc;

	(void)arg;
	while ((rc = anyc_stream_receive(s, buf, sizeof buf)) > 0) {
		rc = anyc_stream_send(s, buf, (size_t)rc);
		if (rc != 0)
			break;
	}
	return rc == ANYC_EBROKEN ? 0 : rc;
}

static int serve(void *arg)
{
	(void)arg;
	return anyc_serve(w.listener, echo, NULL, NULL);
}

static int talk(void *arg)
{
	struct anyc_stream *s;
	unsigned char buf[900];
	int rc = anyc_tcp_connect(&s, "10.0.0.2", w.port.text, NULL);

	(void)arg;
	for (int i = 0; i < 5 && rc == 0; i++) {
		size_t have = 0;

		rc = anyc_stream_send(s, bulk, sizeof buf);
		while (rc == 0 && have < sizeof buf) {
			int n = anyc_stream_receive(s, buf, sizeof buf - have);

			rc = n < 0 ? n : n == 0 ? ANYC_EEOF : 0;
			have += n > 0 ? (size_t)n : 0;
		}
	}
	anyc_stream_free(s);
	return 0; /* whatever befell it */
}

static void talk_together(void)
{
	struct anyc_group g, clients;

	listen_at("10.0.0.2");
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, serve, NULL));
	anyc_group_enter(&clients, &(struct anyc_group_options){ .timeout = ANYC_MINUTE });
	for (int i = 0; i < 12; i++)
		CHECK_OK(anyc_spawn(&clients, talk, NULL));
	anyc_group_leave(&clients, 0);
	anyc_group_cancel(&g, "done");
	CHECK_OK(anyc_group_leave(&g, ANYC_ECANCELED));
}

static void trace_of(struct trace *t, uint64_t seed, void (*body)(void))
{
	struct anyc_sim_options options = {
		.seed = seed,
		.shuffle = true,
		.network = true,
		.trace = keep_line,
		.trace_arg = t,
		.link = { .latency = MS(3), .jitter = MS(4), .bandwidth = 100000, .window = 700,
			  .short_receives = true, .short_sends = true, .refuse = MILLION / 20,
			  .reset = MILLION / 200, .vanish = MILLION / 500 },
	};

	memset(t, 0, sizeof *t);
	CHECK_OK(run_options(&options, body));
}

/* The traces of ten seeds hold all of these, are the same again, and differ from each other. */
static void check_traces(void (*body)(void), const char *const *lines)
{
	struct trace one, again, other;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		void *shift = malloc((size_t)seed * 1000);

		trace_of(&one, seed, body);
		free(shift); /* so that memory lies elsewhere */
		trace_of(&again, seed, body);
		trace_of(&other, seed + 1, body);
		CHECK_INT(one.length, ==, again.length);
		CHECK(memcmp(one.text, again.text, one.length) == 0);
		for (const char *const *line = lines; *line != NULL; line++)
			CHECK_HAS(one.text, *line);
		CHECK(strcmp(one.text, other.text) != 0);
		free(one.text);
		free(again.text);
		free(other.text);
	}
}

ANYC_TEST_MAIN(simnet, same_seed_same_trace, "sim", .deadline = 60)
{
	static const char *const lines[] = { " connect 10.0.0.2:", " data 10.0.0.2:", NULL };

	check_traces(talk_together, lines);
}

/* Leaves something unread: the client is reset. */
static int answer_and_go(void *arg, struct anyc_stream *s)
{
	unsigned char buf[200];
	int rc = anyc_stream_receive(s, buf, sizeof buf);

	(void)arg;
	if (rc > 0)
		rc = anyc_stream_send(s, buf, (size_t)rc);
	if (rc == 0)
		rc = anyc_sleep(MS(10));
	return rc == ANYC_EBROKEN ? 0 : rc;
}

static int serve_rudely(void *listener)
{
	return anyc_serve(listener, answer_and_go, NULL, NULL);
}

/* Visits a host by each family in turn, and breaks some connections itself. */
static int visit(const char *host, const struct anyc_tcp_connect_options *o, bool breaks)
{
	unsigned char buf[100];
	struct anyc_stream *s;
	int rc = anyc_tcp_connect(&s, host, w.port.text, o);

	if (rc == 0)
		rc = anyc_stream_send(s, bulk, 600);
	if (rc == 0 && breaks)
		rc = anyc_sim_reset(s);
	while (rc >= 0 && (rc = anyc_stream_receive(s, buf, sizeof buf)) > 0)
		continue;
	anyc_stream_free(s);
	return rc;
}

static int visit_all(void *port)
{
	static const char *const hosts[] = { "10.0.0.2", "2001:db8::2", "::ffff:10.0.0.3" };
	struct anyc_tcp_connect_options o = { .local_port = *(unsigned *)port };

	for (int i = 0; i < 30; i++) {
		struct anyc_scope limit;
		int rc;

		anyc_scope_enter_timeout(&limit, ANYC_MINUTE);
		rc = visit(hosts[i % 3], i % 2 != 0 ? &o : NULL, i % 5 == 0);
		ANYC_IGNORE(anyc_scope_leave(&limit, rc)); /* whatever befell it */
	}
	return 0;
}

/* Two listeners on all addresses of both families, two clients. */
static void visit_both(void)
{
	struct anyc_tcp_listen_options shared = { .reuse_port = true };
	unsigned ports[] = { 7001, 7002 };
	struct anyc_group g, clients;
	struct anyc_listener *second;

	CHECK_OK(anyc_tcp_listen(&w.listener, NULL, "0", &shared));
	w.port = port_of(w.listener);
	CHECK_OK(anyc_tcp_listen(&second, NULL, w.port.text, &shared));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, serve_rudely, w.listener));
	CHECK_OK(anyc_spawn(&g, serve_rudely, second));
	anyc_group_enter(&clients, NULL);
	CHECK_OK(anyc_spawn(&clients, visit_all, &ports[0]));
	CHECK_OK(anyc_spawn(&clients, visit_all, &ports[1]));
	CHECK_OK(anyc_group_leave(&clients, 0));
	anyc_group_cancel(&g, "done");
	CHECK_OK(anyc_group_leave(&g, ANYC_ECANCELED));
	anyc_listener_free(second);
}

ANYC_TEST_MAIN(simnet, same_seed_same_trace_of_two_families, "sim", .deadline = 60)
{
	static const char *const lines[] = {
		" listen [::]:",
		" connect 10.0.0.2:7001 > 10.0.0.2:",
		" connect [::ffff:10.0.0.3]:",
		" data [2001:db8::2]:",
		" data [::ffff:10.0.0.2]:7002 > [::ffff:10.0.0.2]:",
		" data [::ffff:10.0.0.3]:",
		" reset by hand",
		" reset [::ffff:10.0.0.3]:",
		NULL,
	};

	check_traces(visit_both, lines);
}

/* --------------------------------------------------------------------------------- misuse */

static void check_misuse(void)
{
	struct anyc_sim_link link = { .latency = -1 };
	char c;

	connect_pair();
	CHECK_RC(anyc_sim_set_link(w.sim, "10.0.0.1", &link), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "negative");
	link = (struct anyc_sim_link){ .reset = MILLION + 1 };
	CHECK_RC(anyc_sim_set_link(w.sim, "10.0.0.1", &link), ANYC_EINVAL);
	link = (struct anyc_sim_link){ .reach = (enum anyc_sim_reach)4 };
	CHECK_RC(anyc_sim_set_link(w.sim, "10.0.0.1", &link), ANYC_EINVAL);
	link = (struct anyc_sim_link){ .reserved_ = { 1 } };
	CHECK_RC(anyc_sim_set_link(w.sim, "10.0.0.1", &link), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "does not know");
	link = (struct anyc_sim_link){ 0 };
	CHECK_RC(anyc_sim_set_link(w.sim, "10.0.0.1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_sim_set_link(w.sim, NULL, &link), ANYC_EINVAL);
	CHECK_RC(anyc_sim_set_link(w.sim, "name.test", &link), ANYC_EINVAL);
	CHECK_RC(anyc_sim_set_link(NULL, "10.0.0.1", &link), ANYC_EINVAL);
	CHECK_RC(anyc_sim_add_host(w.sim, NULL, "10.0.0.1"), ANYC_EINVAL);
	CHECK_RC(anyc_sim_add_host(w.sim, "", "10.0.0.1"), ANYC_EINVAL);
	CHECK_RC(anyc_sim_add_host(w.sim, "a.test", "b.test"), ANYC_EINVAL);
	CHECK_RC(anyc_sim_add_host(w.sim, "a.test", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_sim_reset(NULL), ANYC_EINVAL);
	CHECK_RC(anyc_sim_vanish(NULL), ANYC_EINVAL);
	CHECK_OK(anyc_stream_close(w.a));
	CHECK_RC(anyc_sim_reset(w.a), ANYC_ECLOSED);
	CHECK_RC(anyc_sim_vanish(w.a), ANYC_ECLOSED);
	check_end(w.b);
	/* Nothing was changed. */
	CHECK_RC(anyc_stream_receive_flags(w.b, &c, 1, ANYC_NOWAIT), 0);
}

static void check_no_network(void)
{
	struct anyc_sim_link link = { 0 };

	listen_at("127.0.0.1");
	CHECK_OK(connect_to("127.0.0.1"));
	CHECK_RC(anyc_sim_reset(w.a), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "no stream of a sim's network");
	CHECK_RC(anyc_sim_set_link(w.sim, "10.0.0.1", &link), ANYC_EMISUSE);
	CHECK_REPORT("no network of its own");
	CHECK_RC(anyc_sim_add_host(w.sim, "a.test", "10.0.0.1"), ANYC_EMISUSE);
	CHECK_REPORT("no network of its own");
}

ANYC_TEST_MAIN(simnet, r12_misuse, "sim")
{
	struct anyc_sim_options options = { .network = true, .link = { .bandwidth = -1 } };

	CHECK_RC(run_options(&options, check_misuse), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "anyc_sim_create");
	options = (struct anyc_sim_options){ .network = false };
	CHECK_OK(run_options(&options, check_no_network));
	run_link(NULL, check_misuse);
}

/* Used on another loop, or when its sim is no more. */
static struct anyc_stream *kept;
static struct anyc_listener *kept_listener;

static void keep_a_stream(void)
{
	connect_pair();
	send_text(w.b, "unread");
	kept = w.a;
	kept_listener = w.listener;
	w.a = NULL;
	w.listener = NULL;
}

static int use_kept(void *rc)
{
	char c;
	struct anyc_stream *s;

	CHECK_RC(anyc_stream_receive(kept, &c, 1), *(int *)rc);
	CHECK_RC(anyc_stream_send(kept, "x", 1), *(int *)rc);
	CHECK_RC(anyc_listener_accept(kept_listener, &s), *(int *)rc);
	return 0;
}

ANYC_TEST_MAIN(simnet, r23_of_another_loop, "sim")
{
	struct anyc_sim_options options = { .network = true };
	struct anyc_run_options run = { .backend = "sim" };
	int rc = ANYC_ETHREAD;
	struct anyc_sim *sim;

	memset(&w, 0, sizeof w);
	CHECK_OK(anyc_sim_create(&sim, &options));
	run.native = sim;
	CHECK_OK(anyc_run(&run, with_world, (void *)keep_a_stream));
	CHECK_OK(anyc_run(NULL, use_kept, &rc));
	anyc_sim_free(sim);
	rc = ANYC_EGONE;
	CHECK_OK(anyc_run(NULL, use_kept, &rc));
	anyc_stream_free(kept);
	anyc_listener_free(kept_listener);
}

/* ---------------------------------------------------------------------------------- memory */

static int oom_rc;

static void oom_note(int rc)
{
	if (oom_rc == 0)
		oom_rc = rc;
}

static void use_network(void)
{
	struct anyc_sim_link link = { .latency = 1 };
	char buf[8];
	int n;

	oom_note(anyc_sim_set_link(w.sim, "10.0.0.1", &link));
	oom_note(anyc_sim_add_host(w.sim, "a.test", "10.0.0.1"));
	if (oom_rc == 0)
		oom_note(anyc_tcp_listen(&w.listener, "10.0.0.1", "80", NULL));
	if (oom_rc == 0)
		oom_note(anyc_tcp_connect(&w.a, "a.test", "80", NULL));
	if (oom_rc == 0)
		oom_note(anyc_listener_accept(w.listener, &w.b));
	if (oom_rc == 0)
		oom_note(anyc_stream_send(w.a, "hello", 5));
	if (oom_rc != 0)
		return;
	n = anyc_stream_receive(w.b, buf, sizeof buf);
	oom_note(n < 0 ? n : 0);
}

static int use_all(void *arg)
{
	struct anyc_sim_options options = { .network = true };
	int rc;

	(void)arg;
	oom_rc = 0;
	rc = run_options(&options, use_network);
	return rc != 0 ? rc : oom_rc;
}

ANYC_TEST_MAIN(simnet, no_memory, "sim", .deadline = 60)
{
	check_alloc_sweep(use_all, NULL, 10);
}

/* SPDX-License-Identifier: MIT */
/* TLS over TCP: connect, the listener and its slow clients, SIGPIPE, resets. */
#include "conform_thread.h"
#include "conform_tls.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <anyc/net.h>

struct server {
	struct fixture f;
	struct anyc_listener *listener; /* of TLS */
	char port[8];
	struct anyc_stream *accepted;
	int errors, last_error; /* of handlers, or of a handshake */
	char detail[200];
};

static void server_listen(struct server *s, struct anyc_tls_context *context, int64_t timeout)
{
	struct anyc_tls_options o = { .server = true, .context = context,
				      .handshake_timeout = timeout };
	struct anyc_listener *tcp;
	struct anyc_address a;

	CHECK_OK(anyc_tcp_listen(&tcp, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_tls_listener(&s->listener, tcp, &o));
	/* Asked of the listener below. */
	CHECK_OK(anyc_listener_attribute(s->listener, &anyc_attribute_local_address, &a, sizeof a));
	snprintf(s->port, sizeof s->port, "%u", anyc_address_port(&a));
}

static void server_make(struct server *s, int64_t timeout)
{
	memset(s, 0, sizeof *s);
	fixture_make(&s->f);
	server_listen(s, s->f.server, timeout);
}

static void server_end(struct server *s)
{
	anyc_listener_free(s->listener);
	fixture_end(&s->f);
}

static int accept_task(void *arg)
{
	struct server *s = arg;

	CHECK_OK(anyc_listener_accept(s->listener, &s->accepted));
	return 0;
}

static int accept_and_shake(void *arg)
{
	struct server *s = arg;

	CHECK_OK(accept_task(s));
	s->last_error = anyc_tls_handshake(s->accepted);
	snprintf(s->detail, sizeof s->detail, "%s", anyc_error_detail(s->last_error));
	return 0;
}

static int connect_to(struct anyc_stream **out, const struct server *s, const char *host)
{
	struct anyc_tls_options o = { .context = s->f.client };

	return anyc_tls_connect(out, host, s->port, &o);
}

/* A TCP connection that the server has accepted, and nobody has handshaken on. */
static void accept_raw(struct server *s, struct shake *client)
{
	struct anyc_group g;

	client->options.context = s->f.client;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_task, s));
	CHECK_OK(anyc_tcp_connect(&client->below, "127.0.0.1", s->port, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

static int handshake_that_is_closed(void *arg)
{
	/* An older sentence of the same code. */
	ANYC_IGNORE(anyc_fail(ANYC_ECLOSED, 0, "old"));
	CHECK_RC(anyc_tls_handshake(arg), ANYC_ECLOSED);
	CHECK_STR(anyc_error_detail(ANYC_ECLOSED),
		  "anyc_tls_handshake(): another task has closed the stream");
	return 0;
}

ANYC_TEST_NET(tls, r14_handshake_on_a_stream_that_is_closed_meanwhile)
{
	struct shake client = { .host = "localhost" };
	struct anyc_group g;
	struct server s;

	server_make(&s, 0);
	accept_raw(&s, &client);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, handshake_that_is_closed, s.accepted));
	SETTLE();
	CHECK_OK(anyc_stream_close(s.accepted));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(s.accepted);
	anyc_stream_free(client.below);
	server_end(&s);
}

/* A listener in use is not taken from under who uses it, nor one that is closed. */
ANYC_TEST_NET(tls, r16_listener_in_use)
{
	struct anyc_tls_options o = { .server = true };
	struct anyc_listener *l;
	struct anyc_stream *client;
	struct anyc_group g;
	struct server s;

	server_make(&s, 0);
	o.context = s.f.server;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_task, &s));
	SETTLE();
	CHECK_RC(anyc_tls_listener(&l, s.listener, &o), ANYC_EINVAL);
	CHECK(l == NULL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "in use");
	CHECK_OK(anyc_tcp_connect(&client, "127.0.0.1", s.port, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(client);
	CHECK_OK(anyc_listener_close(s.listener));
	CHECK_RC(anyc_tls_listener(&l, s.listener, &o), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "closed");
	CHECK_RC(anyc_tls_connect(&client, "localhost", "0", NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "port 0");
	anyc_stream_free(s.accepted);
	server_end(&s);
}

/* Client and server side, connected. */
static void connect_both(struct server *s, struct anyc_stream **client)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_and_shake, s));
	CHECK_OK(connect_to(client, s, "localhost"));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(s->last_error);
}

/* Shakes hands by wrap: whether a session was resumed. */
static bool resumes_at(const struct server *at, struct anyc_tls_context *context)
{
	struct anyc_tls_options o = { .context = context };
	struct anyc_stream *tcp, *client;
	struct server s = *at;
	struct anyc_group g;
	bool resumed;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_and_shake, &s));
	CHECK_OK(anyc_tcp_connect(&tcp, "127.0.0.1", s.port, NULL));
	CHECK_OK(anyc_tls_wrap(&client, tcp, "localhost", &o));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(s.last_error);
	check_talk(s.accepted, client); /* the tickets come first */
	CHECK_OK(anyc_stream_attribute(client, &anyc_tls_attribute_resumed, &resumed,
				       sizeof resumed));
	anyc_stream_free(client);
	anyc_stream_free(s.accepted);
	return resumed;
}

/* Two servers on one host are two peers, also for who brings a connection of his own. */
ANYC_TEST_NET(tls, c14_sessions_are_of_a_port)
{
	struct anyc_tls_context_options client = { .sessions = 10 };
	struct server a, b = { .errors = 0 };

	server_make(&a, 0);
	server_listen(&b, a.f.server, 0);
	client.ca_file = a.f.certs.ca;
	fixture_client(&a.f, &client);
	CHECK(!resumes_at(&a, a.f.client));
	CHECK(resumes_at(&a, a.f.client));
	CHECK(!resumes_at(&b, a.f.client));
	CHECK(resumes_at(&b, a.f.client));
	CHECK(resumes_at(&a, a.f.client));
	anyc_listener_free(b.listener);
	server_end(&a);
}

/* What was on its way arrives, and both directions work. */
static void check_talk_after(struct anyc_stream *server, struct anyc_stream *client)
{
	char buf[20];

	CHECK_RC(anyc_stream_receive(client, buf, sizeof buf), 13);
	CHECK(memcmp(buf, "to the parent", 13) == 0);
	check_talk(client, server);
	check_talk(server, client);
}

/* In another thread's loop: the stream is made its own, and used. */
static int talk_elsewhere(void *arg)
{
	char buf[8];

	CHECK_OK(anyc_stream_move(arg));
	CHECK_OK(anyc_stream_send(arg, "hello", 5));
	CHECK_RC(anyc_stream_receive(arg, buf, sizeof buf), 5);
	return 0;
}

ANYC_TEST(tls, r23_a_stream_goes_to_another_loop_and_back)
{
	struct anyc_stream *client;
	struct thread t;
	struct server s;
	char buf[8];

	server_make(&s, 0);
	connect_both(&s, &client);
	thread_start(&t, talk_elsewhere, client, true);
	CHECK_RC(anyc_stream_receive(s.accepted, buf, sizeof buf), 5);
	CHECK_OK(anyc_stream_send(s.accepted, buf, 5));
	CHECK_OK(thread_join(&t));
	CHECK_OK(anyc_stream_move(client));
	check_talk(client, s.accepted);
	check_talk(s.accepted, client);
	anyc_stream_free(client);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

ANYC_TEST_NET(tls, b119_megabyte_over_tcp)
{
	struct transfer out = { .size = 1 << 20, .piece = 1 << 20 };
	struct transfer in = { .size = 1 << 20, .piece = 1 << 16 };
	struct anyc_stream *client;
	struct anyc_group g;
	struct server s;

	server_make(&s, 0);
	connect_both(&s, &client);
	out.stream = in.stream = client;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, echo, s.accepted));
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	CHECK_OK(transfer_in(&in));
	CHECK_OK(anyc_stream_close(client));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(in.rc);
	CHECK(in.hash == out.hash && in.done == out.done);
	anyc_stream_free(client);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

/* What comes back after a failure is a closed socket: the peer sees the end of it. */
ANYC_TEST_NET(tls, b148_connect_closes_the_socket_of_a_refused_peer)
{
	struct anyc_stream *client = (struct anyc_stream *)1;
	struct anyc_group g;
	struct server s;

	server_make(&s, 0);
	/* Whoever made this client's CA has not made the server's. */
	anyc_tls_context_unref(s.f.client);
	CHECK_OK(anyc_tls_client_context(&s.f.client, s.f.certs.other_ca));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_and_shake, &s));
	CHECK_RC(connect_to(&client, &s, "localhost"), ANYC_EVERIFY);
	CHECK(client == NULL);
	CHECK_HAS(anyc_error_detail(ANYC_EVERIFY), "localhost");
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.last_error, ANYC_ETLS);
	CHECK_HAS(s.detail, "alert");
	/* Sticky, with its sentence. */
	CHECK_RC(anyc_tls_handshake(s.accepted), ANYC_ETLS);
	CHECK_RC(anyc_stream_send(s.accepted, "x", 1), ANYC_ETLS);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

ANYC_TEST_NET(tls, b148_connect_to_nobody)
{
	struct anyc_stream *client;
	struct server s;

	server_make(&s, 0);
	anyc_listener_free(s.listener);
	s.listener = NULL;
	CHECK_RC(connect_to(&client, &s, "localhost"), -ECONNREFUSED);
	CHECK(client == NULL);
	server_end(&s);
}

/* Its own write of an alert or of data must not kill the process. */
ANYC_TEST_NET(tls, c12_sigpipe_at_its_default)
{
	struct anyc_stream *client;
	struct server s;
	int rc = 0, i;

	signal(SIGPIPE, SIG_DFL);
	server_make(&s, 0);
	connect_both(&s, &client);
	anyc_stream_free(s.accepted);
	for (i = 0; i < 1000 && rc == 0; i++) {
		rc = anyc_stream_send(client, "0123456789", 10);
		if (rc == 0)
			CHECK_OK(anyc_sleep(MS(1)));
	}
	CHECK_RC(rc, ANYC_EBROKEN);
	CHECK_RC(anyc_stream_send(client, "x", 1), ANYC_EBROKEN);
	ANYC_IGNORE(anyc_stream_close(client));
	anyc_stream_free(client);
	server_end(&s);
}

ANYC_TEST(tls, b146_truncation_over_tcp)
{
	struct anyc_stream *client;
	struct server s;
	char c;
	int fd;

	server_make(&s, 0);
	connect_both(&s, &client);
	CHECK_OK(anyc_stream_attribute(s.accepted, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_OK(anyc_stream_send(s.accepted, "x", 1));
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK_RC(anyc_stream_receive(client, &c, 1), 1);
	CHECK_RC(anyc_stream_receive(client, &c, 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, 0);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "without close_notify");
	anyc_stream_free(client);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

/* A child's free closes its descriptor and no more: the connection is still the parent's. */
ANYC_TEST_NET(tls, r27_a_child_says_no_goodbye)
{
	struct anyc_stream *client;
	struct server s;
	int status;
	pid_t pid;

	server_make(&s, 0);
	connect_both(&s, &client);
	CHECK_OK(anyc_stream_send(s.accepted, "to the parent", 13));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		anyc_stream_free(client);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	CHECK_INT(status, ==, 0);
	check_talk_after(s.accepted, client);
	anyc_stream_free(client);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

/* -------------------------------------------------------------------------------- listener */

static int echo_handler(void *arg, struct anyc_stream *stream)
{
	(void)arg;
	return echo(stream);
}

static void note_error(void *arg, int rc, const char *detail)
{
	struct server *s = arg;

	s->errors++;
	s->last_error = rc;
	snprintf(s->detail, sizeof s->detail, "%s", detail);
}

static int serve_task(void *arg)
{
	struct server *s = arg;
	struct anyc_serve_options o = { .on_error = note_error, .on_error_arg = s };

	return anyc_serve(s->listener, echo_handler, NULL, &o);
}

/* One that says nothing, one that lies, and one that is served at once all the same. */
ANYC_TEST_NET(tls, g13_a_slow_client_holds_up_nobody)
{
	struct anyc_stream *slow, *liar, *client;
	struct anyc_group g;
	struct server s;
	int64_t timeout = ANYC_SECOND * anyc_test_slow(), start;
	char buf[10];

	server_make(&s, timeout);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, serve_task, &s));
	CHECK_OK(anyc_tcp_connect(&slow, "127.0.0.1", s.port, NULL));
	CHECK_OK(anyc_tcp_connect(&liar, "127.0.0.1", s.port, NULL));
	start = anyc_now();
	CHECK_OK(connect_to(&client, &s, "localhost"));
	CHECK_OK(anyc_stream_send(client, "hello", 5));
	CHECK_RC(anyc_stream_receive(client, buf, sizeof buf), 5);
	CHECK_INT(anyc_now() - start, <, timeout);
	CHECK_INT(s.errors, ==, 0);

	CHECK_OK(anyc_stream_send(liar, "GET / HTTP/1.0\r\n\r\n", 18));
	while (anyc_stream_receive(liar, buf, sizeof buf) > 0)
		;
	CHECK_INT(s.errors, ==, 1);
	CHECK_RC(s.last_error, ANYC_ETLS);

	/* The deadline drops the slow one, and serving goes on. */
	CHECK_RC(anyc_stream_receive(slow, buf, sizeof buf), 0);
	CHECK_INT(s.errors, ==, 2);
	CHECK_RC(s.last_error, ANYC_ETIMEDOUT);
	CHECK_HAS(s.detail, "took longer than");
	CHECK_OK(anyc_stream_send(client, "again", 5));
	CHECK_RC(anyc_stream_receive(client, buf, sizeof buf), 5);

	CHECK_OK(anyc_stream_close(client));
	CHECK_OK(anyc_listener_close(s.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_stream_free(slow);
	anyc_stream_free(liar);
	anyc_stream_free(client);
	server_end(&s);
}

/* Receive and send in two tasks on a new connection: one of them handshakes, both go on. */
ANYC_TEST_NET(tls, g13_first_use_in_two_tasks)
{
	struct transfer out = { .size = 100000, .piece = 10000 };
	struct transfer in = { .size = 40000, .piece = 10000 };
	struct transfer there = { .size = 100000, .piece = 3000 };
	struct transfer back = { .size = 40000, .piece = 40000 };
	struct shake client = { .host = "localhost" };
	struct anyc_group g;
	struct server s;

	server_make(&s, 0);
	accept_raw(&s, &client);
	out.stream = in.stream = s.accepted;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, transfer_in, &in));
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	CHECK_OK(shake(&client));
	CHECK_OK(client.rc);
	there.stream = back.stream = client.stream;
	CHECK_OK(transfer_out(&back));
	CHECK_OK(transfer_in(&there));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(in.rc);
	CHECK_OK(out.rc);
	CHECK(back.hash == in.hash && out.hash == there.hash);
	shake_free(&client);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

/* Without waiting a handshake goes on bit by bit; a cancelled one is taken up again. */
ANYC_TEST_NET(tls, g13_handshake_in_pieces)
{
	struct shake client = { .host = "localhost" };
	struct anyc_scope scope;
	struct anyc_group g;
	struct server s;
	int rounds;
	char c;

	server_make(&s, 0);
	accept_raw(&s, &client);
	anyc_scope_enter_timeout(&scope, MS(1));
	CHECK_RC(anyc_scope_leave(&scope, anyc_tls_handshake(s.accepted)), ANYC_ETIMEDOUT);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, shake, &client));
	for (rounds = 0; rounds < 1000 && client.stream == NULL; rounds++) {
		CHECK_RC(anyc_stream_receive_flags(s.accepted, &c, 1, ANYC_NOWAIT),
			 ANYC_EWOULDBLOCK);
		CHECK_OK(anyc_sleep(MS(1)));
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(client.rc);
	CHECK_OK(anyc_stream_send(client.stream, "x", 1));
	CHECK_RC(anyc_stream_receive(s.accepted, &c, 1), 1);
	shake_free(&client);
	anyc_stream_free(s.accepted);
	server_end(&s);
}

ANYC_TEST_NET(tls, g13_close_and_free_under_a_handshake)
{
	struct anyc_stream *silent;
	struct anyc_group g;
	struct server s;
	int i;

	for (i = 0; i < 2; i++) {
		server_make(&s, 0);
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, accept_and_shake, &s));
		CHECK_OK(anyc_tcp_connect(&silent, "127.0.0.1", s.port, NULL));
		SETTLE();
		CHECK(s.accepted != NULL);
		if (i == 0)
			CHECK_OK(anyc_stream_close(s.accepted));
		anyc_stream_free(s.accepted);
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(s.last_error, ANYC_ECLOSED);
		anyc_stream_free(silent);
		server_end(&s);
	}
}

ANYC_TEST_NET(tls, b135_listener_close_wakes_accept)
{
	struct anyc_stream *stream = NULL;
	struct anyc_group g;
	struct server s;

	server_make(&s, 0);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, serve_task, &s));
	SETTLE();
	CHECK_RC(anyc_listener_accept(s.listener, &stream), ANYC_EBUSY);
	CHECK_OK(anyc_listener_close(s.listener));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_listener_accept(s.listener, &stream), ANYC_ECLOSED);
	CHECK(stream == NULL);
	server_end(&s);
}

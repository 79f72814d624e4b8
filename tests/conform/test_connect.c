/* SPDX-License-Identifier: MIT */
/* How to connect, as an object: row H27, and the connectables of F16 and F17. */
#include "conform_net.h"

#include <stdlib.h>
#include <unistd.h>

#include <anyc/unix.h>

#ifdef ANYC_HAVE_OPENSSL
#include "conform_tls.h"
#endif

/* Connects by c, and gives the other end from l. */
static struct anyc_stream *connect_by(struct anyc_connectable *c, struct anyc_listener *l,
				      struct anyc_stream **peer)
{
	struct anyc_stream *s;

	CHECK_OK(anyc_connect(&s, c));
	CHECK_OK(anyc_listener_accept(l, peer));
	return s;
}

static void check_goes_through(struct anyc_stream *s, struct anyc_stream *peer)
{
	CHECK_OK(anyc_stream_send(s, "there", 5));
	CHECK_RECEIVES(peer, "there");
	CHECK_OK(anyc_stream_send(peer, "back", 4));
	CHECK_RECEIVES(s, "back");
	anyc_stream_free(s);
	anyc_stream_free(peer);
}

ANYC_TEST_NET(connect, h27_tcp_as_often_as_needed)
{
	char host[] = "127.0.0.1";
	struct anyc_connectable *c;
	struct anyc_stream *peer, *s;
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	int i;

	CHECK_OK(anyc_tcp_connectable(&c, host, port.text, NULL));
	memset(host, 'x', sizeof host - 1); /* it was copied */
	memset(port.text, 'x', sizeof port.text - 1);
	for (i = 0; i < 3; i++) {
		s = connect_by(c, l, &peer);
		check_goes_through(s, peer);
	}
	ANYC_CHECK_CANCELLED(anyc_connect(&s, c));
	CHECK(s == NULL);
	anyc_listener_free(l);
	CHECK_RC(anyc_connect(&s, c), -ECONNREFUSED);
	anyc_connectable_free(c);
	anyc_connectable_free(NULL);
}

ANYC_TEST(connect, h27_tcp_with_options)
{
	struct anyc_connect_attempt attempts[1];
	size_t count = 1;
	char local[] = "127.0.0.1";
	struct anyc_tcp_connect_options options = { .local_host = local,
						    .attempts = attempts,
						    .attempt_count = &count };
	struct anyc_address from, own;
	struct anyc_connectable *c;
	struct anyc_stream *peer, *s;
	struct port port;
	struct anyc_listener *l = listen_here(&port);

	CHECK_OK(anyc_tcp_connectable(&c, "127.0.0.1", port.text, &options));
	memset(local, 'x', sizeof local - 1);
	s = connect_by(c, l, &peer);
	CHECK_INT(count, ==, 1);
	CHECK_OK(anyc_address_parse(&own, "127.0.0.1", 0));
	CHECK_OK(anyc_stream_attribute(peer, &anyc_attribute_remote_address, &from, sizeof from));
	CHECK_INT(((struct sockaddr_in *)&from.storage)->sin_addr.s_addr, ==,
		  ((struct sockaddr_in *)&own.storage)->sin_addr.s_addr);
	check_goes_through(s, peer);
	anyc_connectable_free(c);
	anyc_listener_free(l);
}

ANYC_TEST(connect, h27_unix)
{
	char directory[] = "/tmp/anyc-connect-XXXXXX", path[60];
	struct anyc_connectable *c;
	struct anyc_listener *l;
	struct anyc_stream *peer, *s;

	CHECK(mkdtemp(directory) != NULL);
	snprintf(path, sizeof path, "%s/socket", directory);
	CHECK_OK(anyc_unix_connectable(&c, path, NULL));
	CHECK_RC(anyc_connect(&s, c), -ENOENT);
	CHECK(s == NULL);
	CHECK_OK(anyc_unix_listen(&l, path, NULL));
	s = connect_by(c, l, &peer);
	check_goes_through(s, peer);
	anyc_listener_free(l);
	anyc_connectable_free(c);
	CHECK_INT(rmdir(directory), ==, 0);
}

ANYC_TEST(connect, h27_an_abstract_name)
{
	char name[] = "\0anyc-connect-?????????";
	struct anyc_unix_options options = { .path_length = sizeof name - 1 };
	struct anyc_connectable *c;
	struct anyc_listener *l;
	struct anyc_stream *peer, *s;

	snprintf(name + 14, sizeof name - 14, "%09d", (int)getpid());
	CHECK_OK(anyc_unix_listen(&l, name, &options));
	CHECK_OK(anyc_unix_connectable(&c, name, &options));
	memset(name, 'x', sizeof name - 1); /* it was copied */
	s = connect_by(c, l, &peer);
	check_goes_through(s, peer);
	anyc_listener_free(l);
	anyc_connectable_free(c);
}

/* Each owns what it is around. */
ANYC_TEST(connect, f16_f17_buffered_text)
{
	struct anyc_text_options options = { .replace = true };
	struct anyc_connectable *c, *outer;
	struct anyc_stream *peer, *s;
	struct port port;
	struct anyc_listener *l = listen_here(&port);
	const char *line;
	size_t length;

	CHECK_OK(anyc_tcp_connectable(&c, "127.0.0.1", port.text, NULL));
	CHECK_OK(anyc_text_connectable(&outer, c, &options));
	c = outer;
	CHECK_OK(anyc_buffered_connectable(&outer, c));
	s = connect_by(outer, l, &peer);
	CHECK_OK(anyc_stream_send(peer, "a\xff" "b\n", 4));
	CHECK_OK(anyc_reader_until(anyc_buffered_reader(s), "\n", 1, 10, &line, &length));
	CHECK(length == 5 && memcmp(line, "a\xef\xbf\xbd" "b", 5) == 0);
	CHECK_RC(anyc_stream_send(s, "\xff", 1), -EILSEQ);
	check_goes_through(s, peer);
	anyc_listener_free(l);
	CHECK_RC(anyc_connect(&s, outer), -ECONNREFUSED);
	anyc_connectable_free(outer);
}

ANYC_TEST(connect, r16_bad_arguments)
{
	static const char *const bad[] = { "", "0", "65536", "-1", "99999999999999999999" };
	struct anyc_tcp_connect_options negative = { .stagger = -1 };
	struct anyc_tcp_connect_options nowhere = { .local_host = "" };
	struct anyc_connectable *c, *d;
	struct anyc_stream *s;
	char long_path[109];
	size_t i;

	memset(long_path, 'x', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = '\0';
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		CHECK_RC(anyc_tcp_connectable(&c, "localhost", bad[i], NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connectable(&c, NULL, "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connectable(&c, "localhost", NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connectable(NULL, "localhost", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connectable(&c, "", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connectable(&c, "localhost", "1", &negative), ANYC_EINVAL);
	CHECK_RC(anyc_tcp_connectable(&c, "localhost", "1", &nowhere), ANYC_EINVAL);
	CHECK_RC(anyc_unix_connectable(&c, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_connectable(&c, "", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_connectable(&c, long_path, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_connectable(NULL, "/", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_buffered_connectable(&c, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_text_connectable(&c, NULL, NULL), ANYC_EINVAL);
	CHECK(c == NULL);
	CHECK_OK(anyc_tcp_connectable(&c, "localhost", "http", NULL)); /* a name may be one */
	CHECK_RC(anyc_buffered_connectable(NULL, c), ANYC_EINVAL);
	CHECK_RC(anyc_connect(NULL, c), ANYC_EINVAL);
	CHECK_RC(anyc_connect(&s, NULL), ANYC_EINVAL);
	CHECK_OK(anyc_text_connectable(&d, c, NULL));
	anyc_connectable_free(d);
}

/* ------------------------------------------------------------------------- one of one's own */

struct slow {
	struct anyc_connectable head;
	struct anyc_event go;
	int freed;
};

static int slow_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	int rc = anyc_event_wait(&((struct slow *)(void *)c)->go);

	return rc != 0 ? rc : anyc_stream_pair(out, &(struct anyc_stream *){ NULL }, 0);
}

static void slow_free(struct anyc_connectable *c)
{
	((struct slow *)(void *)c)->freed++;
}

static const struct anyc_connectable_ops slow_ops = {
	.size = sizeof slow_ops, .name = "slow", .connect = slow_connect, .free = slow_free
};

struct connecting {
	struct anyc_connectable *to;
	int rc;
};

static int connect_task(void *arg)
{
	struct connecting *c = arg;
	struct anyc_stream *s;

	c->rc = anyc_connect(&s, c->to);
	CHECK(s == NULL);
	return 0;
}

struct odd {
	struct anyc_connectable head;
	int rc;
	bool gives_one;
};

static int odd_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	const struct odd *odd = (const struct odd *)(void *)c;
	struct anyc_stream *peer;

	if (odd->gives_one) {
		CHECK_OK(anyc_stream_pair(out, &peer, 0));
		anyc_stream_free(peer);
	}
	return odd->rc;
}

static void odd_free(struct anyc_connectable *c)
{
	(void)c;
}

static const struct anyc_connectable_ops odd_ops = {
	.size = sizeof odd_ops, .name = "odd", .connect = odd_connect, .free = odd_free
};

/* What one of one's own may get wrong. */
ANYC_TEST(connect, r12_answers_that_are_none)
{
	struct odd odd = { .rc = 0 };
	struct anyc_stream *s;

	anyc_connectable_init(&odd.head, &odd_ops);
	CHECK_RC(anyc_connect(&s, &odd.head), ANYC_EMISUSE);
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "odd connectable");
	odd.rc = 1;
	CHECK_RC(anyc_connect(&s, &odd.head), ANYC_EMISUSE);
	odd.gives_one = true;
	CHECK_RC(anyc_connect(&s, &odd.head), ANYC_EMISUSE);
	CHECK(s == NULL);
	odd.rc = 0;
	CHECK_OK(anyc_connect(&s, &odd.head));
	anyc_stream_free(s);
	anyc_connectable_free(&odd.head);
}

/* Freed while two tasks connect: it goes with the last of them. */
ANYC_TEST(connect, r15_freed_while_tasks_connect)
{
	struct slow slow = { .freed = 0 };
	struct connecting c[2] = { { .to = &slow.head }, { .to = &slow.head } };
	struct anyc_group g;

	anyc_connectable_init(&slow.head, &slow_ops);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, connect_task, &c[0]));
	CHECK_OK(anyc_spawn(&g, connect_task, &c[1]));
	SETTLE();
	anyc_connectable_free(&slow.head);
	CHECK_INT(slow.freed, ==, 0);
	anyc_group_cancel(&g, NULL);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(slow.freed, ==, 1);
	CHECK_RC(c[0].rc, ANYC_ECANCELED);
	CHECK_RC(c[1].rc, ANYC_ECANCELED);
}

/* ------------------------------------------------------------------------------------- TLS */

#ifdef ANYC_HAVE_OPENSSL
struct serving {
	struct anyc_listener *listener;
	struct anyc_stream *accepted;
};

static int accept_tls(void *arg)
{
	struct serving *s = arg;

	CHECK_OK(anyc_listener_accept(s->listener, &s->accepted));
	ANYC_IGNORE(anyc_tls_handshake(s->accepted)); /* it is the client that is looked at */
	return 0;
}

ANYC_TEST(connect, h27_tls)
{
	struct anyc_tls_options server = { .server = true }, client = { 0 };
	struct anyc_connectable *c, *tls;
	struct serving serving;
	struct anyc_group g;
	struct anyc_stream *s;
	struct fixture f;
	struct port port;
	int wrong;

	fixture_make(&f);
	server.context = f.server;
	CHECK_OK(anyc_tls_listener(&serving.listener, listen_here(&port), &server));
	for (wrong = 0; wrong < 2; wrong++) {
		client.context = f.client;
		CHECK_OK(anyc_tcp_connectable(&c, "127.0.0.1", port.text, NULL));
		CHECK_RC(anyc_tls_connectable(&tls, c, "localhost", &server), ANYC_EINVAL);
		CHECK_RC(anyc_tls_connectable(&tls, c, NULL, &client), ANYC_EINVAL);
		CHECK_RC(anyc_tls_connectable(&tls, c, "", &client), ANYC_EINVAL);
		CHECK_RC(anyc_tls_connectable(&tls, NULL, "localhost", &client), ANYC_EINVAL);
		CHECK(tls == NULL);
		CHECK_OK(anyc_tls_connectable(&tls, c, wrong ? "example.org" : "localhost",
					      &client));
		client.context = NULL; /* it has a reference of its own */
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, accept_tls, &serving));
		CHECK_RC(anyc_connect(&s, tls), wrong ? ANYC_EVERIFY : 0);
		CHECK_OK(anyc_group_leave(&g, 0));
		if (wrong)
			anyc_stream_free(serving.accepted);
		else
			check_goes_through(s, serving.accepted);
		anyc_connectable_free(tls);
	}
	anyc_listener_free(serving.listener);
	fixture_end(&f);
}
#endif

/* SPDX-License-Identifier: MIT */
/* TCP and the machine it runs on: addresses of one link, and a port that loops share. */
#include "conform_net.h"

#include <ifaddrs.h>
#include <pthread.h>

#include "lib/host.h"

/* An address of this machine that is good on one link only, with its scope; or false. */
static bool find_link_local(char *text, size_t size, unsigned *scope)
{
	struct ifaddrs *list, *i;

	text[0] = '\0';
	CHECK_INT(getifaddrs(&list), ==, 0);
	for (i = list; i != NULL; i = i->ifa_next) {
		const struct sockaddr_in6 *a = (const void *)i->ifa_addr;

		if (a == NULL || a->sin6_family != AF_INET6 ||
		    !IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr))
			continue;
		*scope = a->sin6_scope_id;
		CHECK(inet_ntop(AF_INET6, &a->sin6_addr, text, (socklen_t)size) != NULL);
		snprintf(text + strlen(text), size - strlen(text), "%%%s", i->ifa_name);
		break;
	}
	freeifaddrs(list);
	return text[0] != '\0';
}

static void check_scope(struct anyc_stream *s, const struct anyc_attribute *attribute,
			unsigned scope)
{
	struct anyc_address a;

	CHECK_OK(anyc_stream_attribute(s, attribute, &a, sizeof a));
	CHECK_INT(((struct sockaddr_in6 *)&a.storage)->sin6_scope_id, ==, scope);
}

/* The kernel is told of the scope, and tells of it. */
ANYC_TEST(tcp, h09_connections_on_a_link)
{
	struct anyc_tcp_connect_options from = { 0 };
	struct anyc_listener *l;
	struct anyc_stream *a, *b;
	char host[100];
	struct port port;
	unsigned scope;
	int rc;

	CHECK_RC(anyc_tcp_connect(&a, "fe80::1:2:3:4", "1", NULL), -EINVAL);
	CHECK_RC(anyc_tcp_listen(&l, "fe80::1:2:3:4", "0", NULL), -EINVAL);
	rc = anyc_tcp_connect(&a, "fe80::1:2:3:4%lo", "1", NULL);
	CHECK(rc < 0 && rc != -EINVAL); /* nobody is there */
	if (!find_link_local(host, sizeof host, &scope))
		return;
	CHECK_OK(anyc_tcp_listen(&l, host, "0", NULL));
	port = port_of(l);
	from.local_host = host;
	CHECK_OK(anyc_tcp_connect(&a, host, port.text, &from));
	CHECK_OK(anyc_listener_accept(l, &b));
	check_scope(a, &anyc_attribute_remote_address, scope);
	check_scope(a, &anyc_attribute_local_address, scope);
	check_scope(b, &anyc_attribute_remote_address, scope);
	CHECK_OK(anyc_stream_send(a, "on the link", 11));
	CHECK_RECEIVES(b, "on the link");
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_listener_free(l);
}

/* ------------------------------------------------------------------ a port of several loops */

struct half {
	struct host host;
	const char *row;
	struct port *port;
	pthread_barrier_t *listening; /* one after the other, and then the clients */
	char letter;
	int served, rc;
};

/* Answers with its letter, until it is told to end. */
static int answer_all(struct half *h, struct anyc_listener *l)
{
	char asked = 'x';

	while (asked != 'q') {
		struct anyc_stream *s;

		CHECK_OK(anyc_listener_accept(l, &s));
		CHECK_RC(anyc_stream_receive(s, &asked, 1), 1);
		if (asked == 'q')
			CHECK_OK(anyc_listener_close(l)); /* before its client asks again */
		CHECK_OK(anyc_stream_send(s, &h->letter, 1));
		anyc_stream_free(s);
		h->served++;
	}
	return 0;
}

static int serve_half(void *arg)
{
	struct anyc_tcp_listen_options shared = { .reuse_port = true };
	struct half *h = arg;
	struct anyc_listener *l;

	if (h->letter == 'b')
		pthread_barrier_wait(&h->listening[0]);
	CHECK_OK(anyc_tcp_listen(&l, "127.0.0.1", h->port->text, &shared));
	if (h->letter == 'a') {
		*h->port = port_of(l);
		pthread_barrier_wait(&h->listening[0]);
	}
	pthread_barrier_wait(&h->listening[1]);
	answer_all(h, l);
	anyc_listener_free(l);
	return 0;
}

static void *run_half(void *arg)
{
	struct half *h = arg;

	h->rc = host_run_task(&h->host, h->row, serve_half, h, "server");
	anyc_thread_done();
	return NULL;
}

static char ask_one(const struct port *port, char what)
{
	struct anyc_stream *s;
	char letter;

	CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", port->text, NULL));
	CHECK_OK(anyc_stream_send(s, &what, 1));
	CHECK_RC(anyc_stream_receive(s, &letter, 1), 1);
	anyc_stream_free(s);
	return letter;
}

ANYC_TEST_MAIN(tcp, h07_one_port_of_two_loops, ANYC_ROWS_ALL, .deadline = 30)
{
	pthread_barrier_t listening[2];
	struct port port = { "0" };
	struct half half[2] = { { .letter = 'a' }, { .letter = 'b' } };
	pthread_t thread[2];
	int i, of[2] = { 0 };

	pthread_barrier_init(&listening[0], NULL, 2);
	pthread_barrier_init(&listening[1], NULL, 3);
	for (i = 0; i < 2; i++) {
		half[i].row = anyc_test_row();
		half[i].port = &port;
		half[i].listening = listening;
		CHECK_INT(pthread_create(&thread[i], NULL, run_half, &half[i]), ==, 0);
	}
	pthread_barrier_wait(&listening[1]);
	for (i = 0; i < 100; i++)
		of[ask_one(&port, 'x') - 'a']++;
	/* The kernel draws by address and port: none of the two gets all. */
	CHECK_INT(of[0], >, 0);
	CHECK_INT(of[1], >, 0);
	CHECK_INT(ask_one(&port, 'q') + ask_one(&port, 'q'), ==, 'a' + 'b');
	for (i = 0; i < 2; i++) {
		CHECK_INT(pthread_join(thread[i], NULL), ==, 0);
		CHECK_OK(half[i].rc);
		CHECK_INT(half[i].served, ==, of[i] + 1);
		pthread_barrier_destroy(&listening[i]);
	}
	anyc_thread_done();
}

/* SPDX-License-Identifier: MIT */
/* Clients of OpenSSL on blocking sockets; with several connections, epoll says whose turn it is. */
#include "tls_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"
#include "tls_server.h"

#define PATIENCE_S 20

struct tls_load {
	SSL_CTX *ctx;
	unsigned port, count;
	char use;
	int set;
	SSL *ssl[];
};

static unsigned char data[TLS_BULK];

static SSL *connect_to(const struct tls_load *l)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	SSL *ssl = SSL_new(l->ctx);

	if (fd < 0 || ssl == NULL || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
		bench_die("cannot connect to the server");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
		bench_die("a TLS handshake failed");
	return ssl;
}

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void say(SSL *ssl, size_t size)
{
	if (SSL_write(ssl, data, (int)size) != (int)size)
		bench_die("the server does not take what is sent");
}

static size_t hear(SSL *ssl, size_t size)
{
	int n = SSL_read(ssl, data, (int)size);

	if (n <= 0)
		bench_die("the server has hung up");
	return (size_t)n;
}

static void hear_all(SSL *ssl, size_t size)
{
	while (size > 0)
		size -= hear(ssl, size);
}

struct tls_load *tls_load_open(unsigned port, unsigned connections, char use)
{
	struct tls_load *l = calloc(1, sizeof *l + connections * sizeof(SSL *));
	unsigned i;

	if (l == NULL)
		bench_die("no memory");
	l->ctx = SSL_CTX_new(TLS_client_method());
	if (l->ctx == NULL || SSL_CTX_set_min_proto_version(l->ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(l->ctx, "TLS_AES_128_GCM_SHA256") != 1)
		bench_die("SSL_CTX_new failed");
	l->port = port;
	l->use = use;
	l->count = use != 0 ? connections : 0;
	l->set = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < l->count; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		event.data.ptr = l->ssl[i] = connect_to(l);
		if (SSL_write(l->ssl[i], &use, 1) != 1 ||
		    epoll_ctl(l->set, EPOLL_CTL_ADD, SSL_get_fd(l->ssl[i]), &event) != 0)
			bench_die("a connection failed");
		/* What the server still had to say of its own comes with the first answer. */
		if (use == TLS_ECHO) {
			say(l->ssl[i], TLS_MESSAGE);
			hear_all(l->ssl[i], TLS_MESSAGE);
		}
	}
	return l;
}

static uint64_t ping_pong(struct tls_load *l, int64_t end)
{
	struct epoll_event event[256];
	unsigned open = l->count, i;
	uint64_t answers = 0;

	for (i = 0; i < l->count; i++)
		say(l->ssl[i], TLS_MESSAGE);
	while (open > 0) {
		int k, n = epoll_wait(l->set, event, 256, PATIENCE_S * 1000);
		bool over = bench_wall() >= end;

		if (n <= 0)
			bench_die("the server does not answer");
		for (k = 0; k < n; k++) {
			hear_all(event[k].data.ptr, TLS_MESSAGE);
			answers++;
			if (over)
				open--;
			else
				say(event[k].data.ptr, TLS_MESSAGE);
		}
	}
	return answers;
}

uint64_t tls_load_run(struct tls_load *l, int64_t ns)
{
	int64_t end = bench_wall() + ns;
	uint64_t done = 0;

	if (l->use == TLS_ECHO)
		return ping_pong(l, end);
	while (bench_wall() < end) {
		if (l->use == TLS_SEND) {
			done += hear(l->ssl[0], sizeof data);
		} else if (l->use == TLS_RECEIVE) {
			say(l->ssl[0], sizeof data);
			done += sizeof data;
		} else {
			hang_up(connect_to(l));
			done++;
		}
	}
	return done;
}

void tls_load_close(struct tls_load *l)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		hang_up(l->ssl[i]);
	close(l->set);
	SSL_CTX_free(l->ctx);
	free(l);
}

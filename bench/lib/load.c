/* SPDX-License-Identifier: MIT */
/* Connections, what goes over them, and ping-pong on many at a time. */
#include "load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"
#include "server.h"

#define PATIENCE_S 20

struct connection {
	int fd;
	SSL *ssl;       /* NULL: none */
	size_t missing; /* of the answer */
	uint64_t left;  /* requests to make */
};

struct load {
	SSL_CTX *ctx; /* NULL: without TLS */
	unsigned port, count;
	enum load_use use;
	int set;
	struct connection connection[];
};

static unsigned char data[SERVER_BULK];

/* ------------------------------------------------------------------------------ connections */

static void handshake(struct connection *c, SSL_CTX *ctx)
{
	c->ssl = SSL_new(ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
		bench_die("a TLS handshake failed");
}

static void connect_to(struct connection *c, const struct load *l)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 ||
	    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
		bench_die("cannot connect to the server; does it have descriptors enough?");
	c->ssl = NULL;
	if (l->ctx != NULL)
		handshake(c, l->ctx);
}

static void hang_up(struct connection *c)
{
	static const struct linger reset = {.l_onoff = 1};

	if (c->ssl != NULL)
		SSL_shutdown(c->ssl);
	else
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	SSL_free(c->ssl);
	close(c->fd);
}

static void say(struct connection *c, size_t size)
{
	ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, data, (int)size)
				   : send(c->fd, data, size, MSG_NOSIGNAL);

	if (n != (ssize_t)size)
		bench_die("the server does not take what is sent");
}

static size_t hear(struct connection *c, size_t size)
{
	ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, data, (int)size) : recv(c->fd, data, size, 0);

	if (n <= 0)
		bench_die("the server has hung up");
	return (size_t)n;
}

/* ---------------------------------------------------------------------------------- messages */

static void ask(struct connection *c)
{
	c->missing = LOAD_SIZE;
	c->left--;
	say(c, LOAD_SIZE);
}

/* Reads of the answer what has come; whether it is complete. */
static bool answered(struct connection *c)
{
	/* What OpenSSL has read of the socket, epoll does not tell. */
	do
		c->missing -= hear(c, c->missing);
	while (c->missing > 0 && c->ssl != NULL);
	return c->missing == 0;
}

static uint64_t ping_pong(struct load *l, int64_t end, uint64_t most)
{
	struct epoll_event event[256];
	uint64_t answers = 0;
	unsigned open = l->count, i;

	for (i = 0; i < l->count; i++) {
		l->connection[i].left = most;
		ask(&l->connection[i]);
	}
	while (open > 0) {
		int k, n = epoll_wait(l->set, event, 256, PATIENCE_S * 1000);
		bool over = bench_wall() >= end;

		if (n <= 0)
			bench_die("the server does not answer");
		for (k = 0; k < n; k++) {
			struct connection *c = event[k].data.ptr;

			if (!answered(c))
				continue;
			answers++;
			if (over || c->left == 0)
				open--;
			else
				ask(c);
		}
	}
	return answers;
}

/* -------------------------------------------------------------------------------- the whole */

static SSL_CTX *new_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1)
		bench_die("SSL_CTX_new failed");
	return ctx;
}

struct load *load_open(unsigned port, unsigned connections, enum load_use use, bool tls)
{
	struct load *l = calloc(1, sizeof *l + connections * sizeof *l->connection);
	unsigned i;

	if (l == NULL)
		bench_die("no memory");
	l->ctx = tls ? new_context() : NULL;
	l->port = port;
	l->use = use;
	l->count = use != LOAD_HANDSHAKES ? connections : 0;
	l->set = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < l->count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &l->connection[i]}};

		connect_to(&l->connection[i], l);
		if (epoll_ctl(l->set, EPOLL_CTL_ADD, l->connection[i].fd, &event) != 0)
			bench_die("epoll_ctl failed");
	}
	/* What a TLS server still had to say of its own comes with the first answer. */
	if (use == LOAD_ECHO || use == LOAD_IDLE)
		ping_pong(l, 0, 1);
	return l;
}

uint64_t load_run(struct load *l, int64_t ns, uint64_t most)
{
	int64_t end = bench_wall() + ns;
	struct connection one;
	uint64_t done = 0;

	if (l->use == LOAD_ECHO)
		return ping_pong(l, end, most);
	while (bench_wall() < end) {
		if (l->use == LOAD_HEAR) {
			done += hear(l->connection, sizeof data);
		} else if (l->use == LOAD_SAY) {
			say(l->connection, sizeof data);
			done += sizeof data;
		} else {
			connect_to(&one, l);
			hang_up(&one);
			done++;
		}
	}
	return done;
}

void load_close(struct load *l)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		hang_up(&l->connection[i]);
	close(l->set);
	SSL_CTX_free(l->ctx);
	free(l);
}

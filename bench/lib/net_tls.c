/* SPDX-License-Identifier: MIT */
/*
 * The TLS server on epoll and OpenSSL, edge-triggered.  "socket": OpenSSL reads and writes the
 * socket itself.  "memory": through a BIO in memory, so that one recv gets many records and one
 * send takes many: the least that a server can do.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "server.h"
#include "tls_server.h"

#define BATCH ((size_t)128 << 10) /* room for the records of one send */

struct connection {
	int fd;
	bool whole; /* the end may have come: read on until there is nothing */
	SSL *ssl;
	unsigned char *out; /* made, and still to be sent */
	size_t start, end;
};

enum state { WANTS_INPUT, WANTS_ROOM, DEAD };

enum use { ECHO, SEND, RECEIVE };

static bool by_socket;
static enum use use;
/* What one recv has got: OpenSSL takes it all before the next. */
static unsigned char in[SERVER_BULK];
static size_t in_start, in_end;
static unsigned char data[SERVER_BULK];

/* -------------------------------------------------------------------------------------- BIO */

static int memory_read(BIO *bio, char *out, int size)
{
	size_t n = in_end - in_start;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)size)
		n = (size_t)size;
	memcpy(out, in + in_start, n);
	in_start += n;
	return (int)n;
}

static int memory_write(BIO *bio, const char *from, int size)
{
	struct connection *c = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (c->out == NULL)
		c->out = malloc(BATCH);
	if (c->out == NULL || (size_t)size > BATCH - c->end)
		return -1;
	memcpy(c->out + c->end, from, (size_t)size);
	c->end += (size_t)size;
	return size;
}

static long memory_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO *memory_bio(struct connection *c)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (method == NULL) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
		server_must(method != NULL, "BIO_meth_new");
		BIO_meth_set_read(method, memory_read);
		BIO_meth_set_write(method, memory_write);
		BIO_meth_set_ctrl(method, memory_ctrl);
	}
	bio = BIO_new(method);
	server_must(bio != NULL, "BIO_new");
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	return bio;
}

/* --------------------------------------------------------------------------------- a session */

static enum state state_of(struct connection *c, int rc)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return WANTS_INPUT;
	case SSL_ERROR_WANT_WRITE:
		return WANTS_ROOM;
	default:
		ERR_clear_error();
		return DEAD;
	}
}

/* One step; 1 or more: go on. */
static int step(struct connection *c)
{
	int n;

	if (!SSL_is_init_finished(c->ssl))
		return SSL_do_handshake(c->ssl);
	switch (use) {
	case SEND:
		return SSL_write(c->ssl, data, sizeof data);
	case RECEIVE:
		return SSL_read(c->ssl, data, sizeof data);
	default:
		n = SSL_read(c->ssl, data, SERVER_BUFFER);
		return n > 0 ? SSL_write(c->ssl, data, n) : n;
	}
}

static enum state work(struct connection *c)
{
	int rc;

	do {
		if (c->end > BATCH - 2 * SSL3_RT_MAX_PACKET_SIZE)
			return WANTS_ROOM;
		rc = step(c);
	} while (rc > 0);
	return state_of(c, rc);
}

/* ---------------------------------------------------------------------------- memory, socket */

/* 1: all is out; 0: the socket is full; -1: the connection has ended. */
static int flush(struct connection *c)
{
	while (c->start < c->end) {
		ssize_t n = send(c->fd, c->out + c->start, c->end - c->start, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->start += (size_t)n;
	}
	c->start = c->end = 0;
	return 1;
}

/* As flush. */
static int fill(struct connection *c)
{
	ssize_t n = recv(c->fd, in, sizeof in, 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	in_start = 0;
	in_end = (size_t)n;
	return 1;
}

/* It has nothing to wait for but room. */
static bool sends(const struct connection *c)
{
	return use == SEND && SSL_is_init_finished(c->ssl);
}

/* False: it has ended. */
static bool turn(struct connection *c)
{
	int rc = flush(c);
	bool more = true;

	while (rc > 0 && more) {
		rc = sends(c) ? 1 : fill(c);
		if (rc <= 0)
			break;
		more = in_end == sizeof in || c->whole;
		if (work(c) == DEAD)
			rc = -1;
		more = more || sends(c);
		in_start = in_end = 0;
		if (rc > 0)
			rc = flush(c);
	}
	return rc >= 0;
}

static void drop(struct connection *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	free(c->out);
	free(c);
}

static void serve(struct connection *c, unsigned events)
{
	bool open;

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->whole = true;
	open = by_socket ? work(c) != DEAD : turn(c);
	if (!open)
		drop(c);
}

static void accept_all(int set, int listener, SSL_CTX *ctx)
{
	int fd;

	while ((fd = server_accept(listener)) >= 0) {
		struct connection *c = calloc(1, sizeof *c);
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
					    .data = {.ptr = c}};
		BIO *bio;

		server_must(c != NULL, "malloc");
		c->fd = fd;
		c->ssl = SSL_new(ctx);
		server_must(c->ssl != NULL, "SSL_new");
		SSL_set_accept_state(c->ssl);
		bio = by_socket ? BIO_new_socket(fd, BIO_NOCLOSE) : memory_bio(c);
		SSL_set_bio(c->ssl, bio, bio);
		/* As much at once as there is, not a head and then a body. */
		if (by_socket)
			SSL_set_read_ahead(c->ssl, 1);
		server_must(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
	}
}

int main(int argc, char **argv)
{
	struct epoll_event event[256], listening = {.events = EPOLLIN};
	SSL_CTX *ctx = tls_server_context();
	int listener = server_listen(), set = epoll_create1(EPOLL_CLOEXEC);
	int i, n;

	server_must(argc == 3, "arguments");
	by_socket = strcmp(argv[1], "socket") == 0;
	use = strcmp(argv[2], SERVER_SEND) == 0	     ? SEND
	      : strcmp(argv[2], SERVER_RECEIVE) == 0 ? RECEIVE
						     : ECHO;
	server_must(set >= 0, "epoll_create1");
	server_must(signal(SIGPIPE, SIG_IGN) != SIG_ERR, "signal");
	server_must(epoll_ctl(set, EPOLL_CTL_ADD, listener, &listening) == 0, "epoll_ctl");
	for (;;) {
		n = epoll_wait(set, event, 256, -1);
		for (i = 0; i < n; i++) {
			if (event[i].data.ptr == NULL)
				accept_all(set, listener, ctx);
			else
				serve(event[i].data.ptr, event[i].events);
		}
	}
}

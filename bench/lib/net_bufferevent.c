/* SPDX-License-Identifier: MIT */
/* The server on libevent's bufferevents: of sockets, or bufferevent_ssl. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "server.h"
#include "tls_server.h"

static struct event_base *base;
static SSL_CTX *ctx; /* NULL: without TLS */
static const char *use;
static unsigned char data[SERVER_BULK];

static void send_more(struct bufferevent *b, void *arg)
{
	(void)arg;
	evbuffer_add_reference(bufferevent_get_output(b), data, sizeof data, NULL, NULL);
}

static void echo(struct bufferevent *b, void *arg)
{
	(void)arg;
	bufferevent_write_buffer(b, bufferevent_get_input(b));
}

static void forget(struct bufferevent *b, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(b);

	(void)arg;
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_event(struct bufferevent *b, short what, void *arg)
{
	(void)arg;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(b);
}

static struct bufferevent *wrap(int fd)
{
	struct bufferevent *b;

	if (ctx == NULL)
		return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	b = bufferevent_openssl_socket_new(base, fd, SSL_new(ctx), BUFFEREVENT_SSL_ACCEPTING,
					   BEV_OPT_CLOSE_ON_FREE);
	if (b != NULL)
		bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
	return b;
}

static void serve(struct bufferevent *b)
{
	bufferevent_enable(b, EV_READ | EV_WRITE);
	if (strcmp(use, SERVER_ECHO) == 0) {
		bufferevent_setcb(b, echo, NULL, on_event, NULL);
	} else if (strcmp(use, SERVER_RECEIVE) == 0) {
		bufferevent_setcb(b, forget, NULL, on_event, NULL);
	} else {
		bufferevent_setcb(b, NULL, send_more, on_event, NULL);
		bufferevent_setwatermark(b, EV_WRITE, SERVER_BULK, 0);
		send_more(b, NULL);
	}
}

static void on_connection(evutil_socket_t listener, short what, void *arg)
{
	int fd;

	(void)what;
	(void)arg;
	while ((fd = server_accept(listener)) >= 0) {
		struct bufferevent *b = wrap(fd);

		server_must(b != NULL, "bufferevent");
		serve(b);
	}
}

int main(int argc, char **argv)
{
	struct event *listener;

	server_must(argc == 3, "arguments");
	use = argv[2];
	base = event_base_new();
	server_must(base != NULL, "event_base_new");
	server_must(signal(SIGPIPE, SIG_IGN) != SIG_ERR, "signal");
	if (getenv(SERVER_PEM) != NULL)
		ctx = tls_server_context();
	listener = event_new(base, server_listen(), EV_READ | EV_PERSIST, on_connection, NULL);
	server_must(listener != NULL && event_add(listener, NULL) == 0, "event_add");
	return event_base_dispatch(base);
}

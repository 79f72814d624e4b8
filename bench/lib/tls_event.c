/* SPDX-License-Identifier: MIT */
/* The TLS server on libevent's bufferevent_ssl. */
#include <signal.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "echo_server.h"
#include "tls_server.h"

static unsigned char data[TLS_BULK];

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

/* The first byte. */
static void on_use(struct bufferevent *b, void *arg)
{
	char use = 0;

	(void)arg;
	bufferevent_read(b, &use, 1);
	if (use == TLS_ECHO) {
		bufferevent_setcb(b, echo, NULL, on_event, NULL);
		echo(b, NULL); /* what has come behind it */
	} else if (use == TLS_RECEIVE) {
		bufferevent_setcb(b, forget, NULL, on_event, NULL);
	} else {
		bufferevent_setcb(b, NULL, send_more, on_event, NULL);
		bufferevent_setwatermark(b, EV_WRITE, TLS_BULK, 0);
		send_more(b, NULL);
	}
}

struct server {
	struct event_base *base;
	SSL_CTX *ctx;
};

static void on_connection(evutil_socket_t listener, short what, void *arg)
{
	struct server *server = arg;
	int fd;

	(void)what;
	while ((fd = echo_accept(listener)) >= 0) {
		struct bufferevent *b = bufferevent_openssl_socket_new(
			server->base, fd, SSL_new(server->ctx), BUFFEREVENT_SSL_ACCEPTING,
			BEV_OPT_CLOSE_ON_FREE);

		echo_must(b != NULL, "bufferevent_openssl_socket_new");
		bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
		bufferevent_setcb(b, on_use, NULL, on_event, NULL);
		bufferevent_enable(b, EV_READ | EV_WRITE);
	}
}

int main(void)
{
	struct server server = {event_base_new(), tls_server_context()};
	struct event *listener;

	echo_must(server.base != NULL, "event_base_new");
	echo_must(signal(SIGPIPE, SIG_IGN) != SIG_ERR, "signal");
	listener = event_new(server.base, echo_listen(), EV_READ | EV_PERSIST, on_connection,
			     &server);
	echo_must(listener != NULL && event_add(listener, NULL) == 0, "event_add");
	return event_base_dispatch(server.base);
}

/* SPDX-License-Identifier: MIT */
/* The echo server on libevent: a persistent event for each connection. */
#include <event2/event.h>
#include <unistd.h>

#include "server.h"

static void on_readable(evutil_socket_t fd, short what, void *event)
{
	(void)what;
	if (server_echo(fd) == 0)
		return;
	event_free(event);
	close(fd);
}

static void on_connection(evutil_socket_t listener, short what, void *base)
{
	int fd;

	(void)what;
	while ((fd = server_accept(listener)) >= 0) {
		struct event *event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable,
						event_self_cbarg());

		server_must(event != NULL && event_add(event, NULL) == 0, "event_add");
	}
}

int main(void)
{
	struct event_base *base = event_base_new();
	struct event *listener;

	server_must(base != NULL, "event_base_new");
	listener = event_new(base, server_listen(), EV_READ | EV_PERSIST, on_connection, base);
	server_must(listener != NULL && event_add(listener, NULL) == 0, "event_add");
	return event_base_dispatch(base);
}

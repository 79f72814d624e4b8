/* SPDX-License-Identifier: MIT */
/* The echo server on libev: an ev_io for each connection, started once. */
#include <ev.h>
#include <stdlib.h>
#include <unistd.h>

#include "server.h"

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)events;
	if (server_echo(watcher->fd) == 0)
		return;
	ev_io_stop(loop, watcher);
	close(watcher->fd);
	free(watcher);
}

static void on_connection(struct ev_loop *loop, ev_io *listener, int events)
{
	int fd;

	(void)events;
	while ((fd = server_accept(listener->fd)) >= 0) {
		ev_io *watcher = malloc(sizeof *watcher);

		server_must(watcher != NULL, "malloc");
		ev_io_init(watcher, on_readable, fd, EV_READ);
		ev_io_start(loop, watcher);
	}
}

int main(void)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_io listener;

	server_must(loop != NULL, "ev_default_loop");
	ev_io_init(&listener, on_connection, server_listen(), EV_READ);
	ev_io_start(loop, &listener);
	return ev_run(loop, 0);
}

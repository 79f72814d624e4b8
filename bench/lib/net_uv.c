/* SPDX-License-Identifier: MIT */
/*
 * The echo server on libuv: a uv_poll for each connection, started once; or, as the variant tcp, a
 * uv_tcp with uv_read_start and uv_try_write.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "server.h"

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* -------------------------------------------------------------------------------- uv_poll */

/* The handle, and the number that uv_poll_t keeps to itself. */
struct polled {
	uv_poll_t poll;
	int fd;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct polled *p = (struct polled *)poll;

	(void)status;
	(void)events;
	if (server_echo(p->fd) == 0)
		return;
	uv_close((uv_handle_t *)poll, free_handle);
	close(p->fd);
}

static void on_connection(uv_poll_t *listener, int status, int events)
{
	int fd;

	(void)status;
	(void)events;
	while ((fd = server_accept(((struct polled *)listener)->fd)) >= 0) {
		struct polled *p = malloc(sizeof *p);

		server_must(p != NULL, "malloc");
		p->fd = fd;
		server_must(uv_poll_init(listener->loop, &p->poll, fd) == 0, "uv_poll_init");
		uv_poll_start(&p->poll, UV_READABLE, on_readable);
	}
}

static void serve_by_poll(uv_loop_t *loop)
{
	static struct polled listener;

	listener.fd = server_listen();
	server_must(uv_poll_init(loop, &listener.poll, listener.fd) == 0, "uv_poll_init");
	uv_poll_start(&listener.poll, UV_READABLE, on_connection);
}

/* --------------------------------------------------------------------------------- uv_tcp */

static char buffer[SERVER_BUFFER];

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	(void)handle;
	(void)suggested;
	*room = uv_buf_init(buffer, sizeof buffer);
}

static void on_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *data)
{
	uv_buf_t reply = uv_buf_init(data->base, n > 0 ? (unsigned)n : 0);

	if (n == 0 || (n > 0 && uv_try_write(stream, &reply, 1) == n))
		return;
	uv_close((uv_handle_t *)stream, free_handle);
}

static void on_stream(uv_stream_t *listener, int status)
{
	uv_tcp_t *tcp = malloc(sizeof *tcp);

	server_must(tcp != NULL && status == 0, "accept");
	server_must(uv_tcp_init(listener->loop, tcp) == 0, "uv_tcp_init");
	server_must(uv_accept(listener, (uv_stream_t *)tcp) == 0, "uv_accept");
	uv_tcp_nodelay(tcp, 1);
	uv_read_start((uv_stream_t *)tcp, on_room, on_data);
}

static void serve_by_tcp(uv_loop_t *loop)
{
	static uv_tcp_t listener;

	server_must(uv_tcp_init(loop, &listener) == 0, "uv_tcp_init");
	server_must(uv_tcp_open(&listener, server_listen()) == 0, "uv_tcp_open");
	server_must(uv_listen((uv_stream_t *)&listener, 4096, on_stream) == 0, "uv_listen");
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();

	server_must(loop != NULL, "uv_default_loop");
	if (argc > 1 && strcmp(argv[1], "tcp") == 0)
		serve_by_tcp(loop);
	else
		serve_by_poll(loop);
	return uv_run(loop, UV_RUN_DEFAULT);
}

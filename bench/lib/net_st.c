/* SPDX-License-Identifier: MIT */
/*
 * The echo server on State Threads (libst): a thread of its own for each connection.  Debian's is
 * built without epoll, and its select() takes 1,024 descriptors: it is poll().
 */
#include <st.h>
#include <stdint.h>
#include <unistd.h>

#include "server.h"

static void *serve(void *arg)
{
	st_netfd_t connection = arg;
	char buf[SERVER_BUFFER];
	ssize_t n;

	while ((n = st_read(connection, buf, sizeof buf, ST_UTIME_NO_TIMEOUT)) > 0)
		if (st_write(connection, buf, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
			break;
	st_netfd_close(connection);
	return NULL;
}

int main(void)
{
	st_netfd_t listener;
	int fd;

	server_must(st_set_eventsys(ST_EVENTSYS_POLL) == 0 && st_init() == 0, "st_init");
	listener = st_netfd_open_socket(server_listen());
	server_must(listener != NULL, "st_netfd_open_socket");
	for (;;) {
		st_netfd_poll(listener, POLLIN, ST_UTIME_NO_TIMEOUT);
		while ((fd = server_accept(st_netfd_fileno(listener))) >= 0) {
			st_netfd_t connection = st_netfd_open_socket(fd);

			server_must(connection != NULL &&
					  st_thread_create(serve, connection, 0, 0) != NULL,
				  "st_thread_create");
		}
	}
}

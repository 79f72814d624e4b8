/* SPDX-License-Identifier: MIT */
/* Bulk on blocking sockets, one connection after the other. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

static char data[SERVER_BULK];

/* The next connection, blocking. */
static int wait_for(int listener)
{
	struct pollfd one = {.fd = listener, .events = POLLIN};
	int fd;

	while ((fd = server_accept(listener)) < 0)
		poll(&one, 1, -1);
	server_must(fcntl(fd, F_SETFL, 0) == 0, "fcntl");
	return fd;
}

int main(int argc, char **argv)
{
	int listener = server_listen();

	server_must(argc == 3, "arguments");
	for (;;) {
		int fd = wait_for(listener);

		if (strcmp(argv[2], SERVER_SEND) == 0)
			while (send(fd, data, sizeof data, MSG_NOSIGNAL) > 0)
				continue;
		else
			while (recv(fd, data, sizeof data, 0) > 0)
				continue;
		close(fd);
	}
}

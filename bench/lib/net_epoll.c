/* SPDX-License-Identifier: MIT */
/* The server on epoll, edge-triggered: the least that one can do. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

static char data[SERVER_BULK];

/* As server_echo: 0, or -1: it has ended. */
static int send_all(int fd)
{
	while (send(fd, data, sizeof data, MSG_NOSIGNAL) > 0)
		continue;
	return errno == EAGAIN ? 0 : -1;
}

/* One that was short has emptied the socket. */
static int receive_all(int fd)
{
	ssize_t n;

	do
		n = recv(fd, data, sizeof data, 0);
	while (n == (ssize_t)sizeof data);
	return n > 0 || (n < 0 && errno == EAGAIN) ? 0 : -1;
}

static void add(int set, int fd, unsigned events)
{
	struct epoll_event event = {.events = events, .data = {.fd = fd}};

	server_must(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void accept_all(int set, int listener, unsigned direction)
{
	int fd;

	while ((fd = server_accept(listener)) >= 0)
		add(set, fd, direction | EPOLLRDHUP | EPOLLET);
}

int main(int argc, char **argv)
{
	struct epoll_event event[256];
	int listener = server_listen(), set = epoll_create1(EPOLL_CLOEXEC);
	int (*serve)(int fd) = server_echo;
	unsigned direction = EPOLLIN;
	int i, n;

	server_must(set >= 0, "epoll_create1");
	server_must(argc == 3, "arguments");
	if (strcmp(argv[2], SERVER_SEND) == 0) {
		serve = send_all;
		direction = EPOLLOUT;
	} else if (strcmp(argv[2], SERVER_RECEIVE) == 0) {
		serve = receive_all;
	}
	add(set, listener, EPOLLIN);
	for (;;) {
		n = epoll_wait(set, event, 256, -1);
		for (i = 0; i < n; i++) {
			if (event[i].data.fd == listener)
				accept_all(set, listener, direction);
			else if (serve(event[i].data.fd) != 0)
				close(event[i].data.fd);
		}
	}
}

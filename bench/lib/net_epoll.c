/* SPDX-License-Identifier: MIT */
/* The echo server on epoll, edge-triggered: the least that a server can do. */
#include <sys/epoll.h>
#include <unistd.h>

#include "server.h"

static void add(int set, int fd, unsigned events)
{
	struct epoll_event event = {.events = events, .data = {.fd = fd}};

	server_must(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void accept_all(int set, int listener)
{
	int fd;

	while ((fd = server_accept(listener)) >= 0)
		add(set, fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

int main(void)
{
	struct epoll_event event[256];
	int listener = server_listen(), set = epoll_create1(EPOLL_CLOEXEC);
	int i, n;

	server_must(set >= 0, "epoll_create1");
	add(set, listener, EPOLLIN);
	for (;;) {
		n = epoll_wait(set, event, 256, -1);
		for (i = 0; i < n; i++) {
			if (event[i].data.fd == listener)
				accept_all(set, listener);
			else if (server_echo(event[i].data.fd) != 0)
				close(event[i].data.fd);
		}
	}
}

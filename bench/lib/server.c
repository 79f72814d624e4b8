/* SPDX-License-Identifier: MIT */
/* Sockets of the servers written by hand. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 4096 /* connections that come at once */

void server_must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
	exit(1);
}

int server_listen(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	server_must(fd >= 0, "socket");
	server_must(bind(fd, (struct sockaddr *)&a, length) == 0, "bind");
	server_must(listen(fd, BACKLOG) == 0, "listen");
	server_must(getsockname(fd, (struct sockaddr *)&a, &length) == 0, "getsockname");
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int server_accept(int listener)
{
	int on = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	server_must(fd >= 0 || errno == EAGAIN, "accept");
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

int server_echo(int fd)
{
	char buf[SERVER_BUFFER];
	ssize_t n = recv(fd, buf, sizeof buf, 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n)
		return 0;
	return -1;
}

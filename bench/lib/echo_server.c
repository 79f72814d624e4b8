/* SPDX-License-Identifier: MIT */
/* Sockets of the servers written by hand. */
#include "echo_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void echo_must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "echo server: %s: %s\n", what, strerror(errno));
	exit(1);
}

int echo_listen(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	echo_must(fd >= 0, "socket");
	echo_must(bind(fd, (struct sockaddr *)&a, length) == 0, "bind");
	echo_must(listen(fd, 1024) == 0, "listen");
	echo_must(getsockname(fd, (struct sockaddr *)&a, &length) == 0, "getsockname");
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int echo_accept(int listener)
{
	int on = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	echo_must(fd >= 0 || errno == EAGAIN, "accept");
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

int echo_once(int fd)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof buf, 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n)
		return 0;
	return -1;
}

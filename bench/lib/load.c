/* SPDX-License-Identifier: MIT */
/* Ping-pong on many connections, by epoll. */
#include "load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE_MS 20000

struct connection {
	int fd;
	size_t missing; /* of the answer */
	uint64_t left;  /* requests to make */
};

struct load {
	int set;
	unsigned count;
	struct connection connection[];
};

static void ask(struct connection *c)
{
	static const char message[LOAD_SIZE] = "sixty-four bytes";

	c->missing = LOAD_SIZE;
	c->left--;
	if (send(c->fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message)
		bench_die("the server does not take a request");
}

/* Reads of the answer what has come; whether it is complete. */
static bool hear(struct connection *c)
{
	char answer[LOAD_SIZE];
	ssize_t n = recv(c->fd, answer, c->missing, 0);

	if (n <= 0)
		bench_die("the server has hung up");
	c->missing -= (size_t)n;
	return c->missing == 0;
}

uint64_t load_run(struct load *l, int64_t ns, uint64_t most)
{
	struct epoll_event event[256];
	int64_t end = bench_wall() + ns;
	uint64_t requests = 0;
	unsigned open = l->count;
	unsigned i;

	for (i = 0; i < l->count; i++) {
		l->connection[i].left = most;
		ask(&l->connection[i]);
	}
	while (open > 0) {
		int k, n = epoll_wait(l->set, event, 256, PATIENCE_MS);
		bool over = bench_wall() >= end;

		if (n <= 0)
			bench_die("the server does not answer");
		for (k = 0; k < n; k++) {
			struct connection *c = event[k].data.ptr;

			if (!hear(c))
				continue;
			requests++;
			if (over || c->left == 0)
				open--;
			else
				ask(c);
		}
	}
	return requests;
}

static int connect_to(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
		bench_die(
			"cannot connect to the server; are there enough descriptors (ulimit -n)?");
	return fd;
}

struct load *load_open(unsigned port, unsigned connections)
{
	struct load *l = calloc(1, sizeof *l + connections * sizeof *l->connection);
	unsigned i;

	if (l == NULL)
		bench_die("no memory");
	l->count = connections;
	l->set = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < connections; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &l->connection[i]}};

		l->connection[i].fd = connect_to(port);
		if (epoll_ctl(l->set, EPOLL_CTL_ADD, l->connection[i].fd, &event) != 0)
			bench_die("epoll_ctl failed");
	}
	load_run(l, 0, 1);
	return l;
}

void load_close(struct load *l)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		close(l->connection[i].fd);
	close(l->set);
	free(l);
}

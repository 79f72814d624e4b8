/* SPDX-License-Identifier: MIT */
/*
 * What the servers of bench/net agree on, and what those written by hand share: all but the loop.
 *
 * A server is called as PROGRAM VARIANT USE, prints its port, and serves every connection in one
 * way.  If the environment has BENCH_PEM, a file with a certificate and its key, it speaks TLS 1.3.
 */
#ifndef SERVER_H
#define SERVER_H

#include <stddef.h>

#define SERVER_ECHO "echo"       /* sends back what comes */
#define SERVER_SEND "send"       /* sends without end */
#define SERVER_RECEIVE "receive" /* receives, and forgets */

/* Variables of the environment. */
#define SERVER_PEM "BENCH_PEM"
#define SERVER_WAITS "BENCH_WAITS" /* of anyc's alone: a descriptor of struct server_waits */

/* What is read at once for an echo: so much a task or thread has on its stack, beside what it needs
 * itself, without touching another page. */
#define SERVER_BUFFER 1024
#define SERVER_BULK ((size_t)64 << 10) /* one write of it, and the most that is read at once */

/* How often a task that only gives way had to wait for so many us, which are CPU time. */
#define SERVER_WAITS_LEAST 2 /* shorter ones do not count */
#define SERVER_WAITS_MOST 10000
struct server_waits {
	unsigned count[SERVER_WAITS_MOST];
};

/* Listens on a free port of 127.0.0.1, non-blocking, and tells the port on stdout. */
int server_listen(void);
/* Accepts a connection; -1: none is left. */
int server_accept(int listener);
/* One recv, and a send of what came; 0, or -1: the connection has ended, and is to be closed. */
int server_echo(int fd);
/* Ends the process with a sentence unless ok. */
void server_must(int ok, const char *what);

#endif

/* SPDX-License-Identifier: MIT */
/* What the servers written by hand share: all but the event loop. */
#ifndef ECHO_SERVER_H
#define ECHO_SERVER_H

/* Listens on a free port of 127.0.0.1, non-blocking, and tells the port on stdout. */
int echo_listen(void);
/* Accepts a connection; -1: none is left. */
int echo_accept(int listener);
/* One recv, and a send of what came; 0, or -1: the connection has ended, and is to be closed. */
int echo_once(int fd);
/* Ends the process with a sentence unless ok. */
void echo_must(int ok, const char *what);

#endif

/* SPDX-License-Identifier: MIT */
/* Servers as processes: started on one processor, watched from outside, ended. */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	const char *name;
	const char *program; /* in the build directory's bench/lib */
	const char *variant;
	pid_t pid;
	unsigned port;
};

/* Starts it for a use (server.h); it prints its port.  It ends with this process at the latest. */
void peer_start(struct peer *p, const char *use, int processor);
void peer_stop(struct peer *p);
/* CPU time that it has used, in ns. */
int64_t peer_cpu(const struct peer *p);
/* Waits until it has nothing left to do. */
void peer_settle(const struct peer *p);
/* How often the processor was taken from it, all its threads together. */
long peer_preemptions(const struct peer *p);
/* Resident memory in bytes. */
double peer_resident(const struct peer *p);

/* System calls that strace(1) has counted. */
struct peer_calls {
	unsigned long receive, send, wait, control, other;
};
/* From here on they are counted; false: strace cannot do it here. */
bool peer_count_begin(const struct peer *p);
void peer_count_end(struct peer_calls *calls);

/* The first two processors that we may use. */
void peer_processors(int processor[2]);
/* Has this process run on the processor alone. */
void peer_pin(int processor);

#endif

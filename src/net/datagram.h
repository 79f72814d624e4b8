/* SPDX-License-Identifier: MIT */
/* Datagram sockets, for those who make them. */
#ifndef ANYC__NET_DATAGRAM_H
#define ANYC__NET_DATAGRAM_H

#include <anyc/udp.h>

#include "socket.h"

struct anyc__bound_path;

struct anyc_datagram {
	struct anyc__fd fd;
	uint32_t inside; /* calls under way */
	bool receiving, sending, closed, freed;
	bool connected, of_unix;
	struct anyc_address remote;    /* if connected */
	struct anyc__bound_path *path; /* to be removed at close, or NULL */
};
/* Takes an open, non-blocking socket over.  -errno: it is still the caller's. */
int anyc__datagram_new(struct anyc_datagram **out, int fd, bool of_unix);
/* ANYC_ECLOSED, or 0. */
int anyc__datagram_check_open(const struct anyc_datagram *d, const char *call);

#endif

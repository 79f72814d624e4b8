/* SPDX-License-Identifier: MIT */
/* Datagram sockets, for those who make them. */
#ifndef ANYC__NET_DATAGRAM_H
#define ANYC__NET_DATAGRAM_H

#include <sys/socket.h>

#include <anyc/udp.h>

#include "socket.h"

struct anyc__bound_path;

struct anyc_datagram {
	struct anyc__fd fd;
	uint32_t inside; /* calls under way */
	bool receiving, sending, closed, freed;
	bool connected, of_unix;
	bool coalesces;      /* datagrams that are received may have been joined */
	bool segments_asked; /* most_segment is what the kernel says, no longer a guess */
	size_t most_segment; /* up to this size the kernel cuts segments itself; 0: it does not */
	struct anyc_address remote;    /* if connected */
	struct anyc__bound_path *path; /* to be removed at close, or NULL */
	struct anyc_task *pausing;     /* before it tries a full receiver again, or NULL */
};

/* What a call is about; at least 0 from attempt: the result, else errno. */
struct anyc__datagram_work {
	ssize_t (*attempt)(struct anyc_datagram *d, struct anyc__datagram_work *w);
	enum anyc__direction direction;
	const char *call, *wait; /* for sentences and dumps */
	unsigned flags;
	size_t moved; /* bytes */
	void *buf;
	size_t size, segment;
	struct anyc_address *address; /* from where, or to where */
	struct anyc_message *messages;
	size_t count;
	int refused; /* the errno with which the kernel would not send them as one, or 0 */
};
/* Does it with the direction held, until it has a result. */
int anyc__datagram_run(struct anyc_datagram *d, struct anyc__datagram_work *w);
/* It is open, and calls of another thread's loop may be under way: closing it is misuse. */
bool anyc__datagram_elsewhere(const struct anyc_datagram *d);
/* NULL, or why nothing can be sent there. */
const char *anyc__datagram_bad_address(const struct anyc_datagram *d,
				       const struct anyc_address *to);

/* segments.c: the size of those that were joined to one of this length. */
size_t anyc__datagram_segment(struct msghdr *message, size_t length);
/*
 * Sends the messages at the head of a list that are of one size and to one address as segments of
 * one datagram: their number; 0 if there is nothing to gain, or the kernel cannot; or -1.
 */
ssize_t anyc__datagram_send_alike(struct anyc_datagram *d, struct anyc__datagram_work *w);
/* What it refused to cut then went one by one: from now on it is not asked to. */
void anyc__datagram_cut_less(struct anyc_datagram *d, size_t segment, int refused);
/* Has what is received joined where the kernel can.  -errno */
int anyc__datagram_coalesce(int fd);
bool anyc__datagram_coalesces(int fd);
/* Room for what the kernel says about one datagram. */
union anyc__datagram_control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* Takes an open, non-blocking socket over.  -errno: it is still the caller's. */
int anyc__datagram_new(struct anyc_datagram **out, int fd, bool of_unix);
/* ANYC_ENOTSUP if what is received may have been joined, which only a list can tell; or 0. */
int anyc__datagram_check_apart(const struct anyc_datagram *d, unsigned flags);
/* ANYC_ECLOSED, or 0. */
int anyc__datagram_check_open(const struct anyc_datagram *d, const char *call);

#endif

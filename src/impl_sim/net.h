/* SPDX-License-Identifier: MIT */
/*
 * The inside of a sim's network.
 *
 *	net.c       names, links, addresses and ports
 *	connect.c   from the first packet to two streams
 *	listener.c  the queue of connections
 *	wire.c      what is on the way between the two ends of a connection
 *	stream.c    an end as a stream
 *
 * Rules
 *  - A connection has two ends.  Its memory goes when neither is held any more, by the application
 *    or by a listener's queue; its events go with it.
 *  - What is sent arrives in the order it was sent: data, the end, a reset.  With no delay it
 *    arrives within the call.
 *  - Nothing on the way needs memory but data, so a close cannot fail.
 *  - When the sim is freed, connections and listeners that live on lose their pointer to it.
 */
#ifndef ANYC__IMPL_SIM_NET_H
#define ANYC__IMPL_SIM_NET_H

#include <netinet/in.h>

#include <anyc/net.h>
#include <anyc/sync.h>

#include "sim.h"

/* ---------------------------------------------------------------------------- connections */

enum anyc__sim_parcel_kind { PARCEL_DATA, PARCEL_FIN, PARCEL_RESET };

/* Something on the way, or data that has arrived. */
struct anyc__sim_parcel {
	struct anyc__sim_parcel *next;
	enum anyc__sim_parcel_kind kind;
	bool sent; /* of those that a wire has just one of */
	int64_t arrives;
	size_t size, taken; /* of data */
	unsigned char *data;
};

struct anyc__sim_parcels {
	struct anyc__sim_parcel *first, *last;
};

/* One direction of a connection, at the end where things arrive. */
struct anyc__sim_wire {
	struct anyc__sim_event arrival;  /* of the first on the way */
	struct anyc__sim_parcels coming; /* on the way */
	struct anyc__sim_parcels here;   /* data that was not received yet */
	struct anyc__sim_parcel fin, reset;
	size_t held;  /* bytes of both lists: what the window limits */
	int64_t idle; /* when the sender has put all its data on the wire */
	bool ended;   /* the end has arrived */
};

struct anyc__sim_end {
	struct anyc_stream stream; /* first */
	struct anyc__sim_conn *conn;
	struct anyc__sim_wire in;
	struct anyc_address local, remote;
	struct anyc_event *reading, *writing; /* a task waits */
	int broken; /* an errno */
	bool closed, said_end;
};

enum anyc__sim_connecting { CONNECT_ASKS, CONNECT_ANSWERED, CONNECT_DONE };

struct anyc__sim_conn {
	struct anyc_sim *sim;                 /* NULL: it was freed */
	struct anyc__sim_conn *next, *before; /* of the sim */
	struct anyc_sim_link link;
	struct anyc__sim_end end[2]; /* the one that connected, the one that listened */
	unsigned held;               /* ends that somebody has */
	bool vanished;
	bool chose_port; /* who connected */

	struct anyc__sim_event progress; /* while it connects */
	enum anyc__sim_connecting connecting;
	unsigned tries;
	int result;
	struct anyc_event *caller; /* a task waits for the result */
	struct anyc__sim_conn *next_queued;
};

static inline struct anyc__sim_end *other_end(struct anyc__sim_end *e)
{
	return e == &e->conn->end[0] ? &e->conn->end[1] : &e->conn->end[0];
}

struct anyc__sim_listener {
	struct anyc_listener base;           /* first */
	struct anyc_sim *sim;                /* NULL: it was freed */
	struct anyc__sim_listener *next;     /* of the sim */
	struct anyc__sim_conn *first, *last; /* connections that wait to be accepted */
	size_t queued, backlog;
	struct anyc_event *accepting;
	bool reuse_port;
	bool dual; /* one socket for all addresses: those of IPv4 look mapped to it */
	size_t count;
	struct anyc_address address[];
};

/* ---------------------------------------------------------------------------- the network */

struct anyc__sim_host { /* one address of a name */
	struct anyc__sim_host *next;
	struct anyc_address address;
	char name[];
};
struct anyc__sim_exception { /* an address with a link of its own */
	struct anyc__sim_exception *next;
	struct anyc_address address;
	struct anyc_sim_link link;
};
struct anyc__sim_net {
	struct anyc__sim_host *hosts; /* in the order they were added */
	struct anyc__sim_exception *exceptions;
	struct anyc__sim_listener *listeners;
	struct anyc__sim_conn *conns;
	unsigned next_port;
	uint16_t uses[65536]; /* of each port, by connections and listeners */
};

/* -------------------------------------------------------------------------------- net.c */

int64_t anyc__sim_later(int64_t when, int64_t ns);
bool anyc__sim_chance(struct anyc_sim *sim, uint32_t in_a_million);
const struct anyc_sim_link *anyc__sim_link_of(const struct anyc_sim *sim,
					      const struct anyc_address *a);
/* Whether the addresses are equal, ports aside. */
bool anyc__sim_same_host(const struct anyc_address *a, const struct anyc_address *b);
bool anyc__sim_is_any(const struct anyc_address *a);
/* A wildcard becomes the loopback address. */
void anyc__sim_be_loopback(struct anyc_address *a);
/* From IPv6 to the address of IPv4 that it stands for, and back; others stay. */
void anyc__sim_unmap(struct anyc_address *a);
void anyc__sim_map(struct anyc_address *a);
void anyc__sim_set_port(struct anyc_address *a, unsigned port);
/* A port that nobody uses; 0: there is none. */
unsigned anyc__sim_free_port(struct anyc_sim *sim);
void anyc__sim_use_port(struct anyc_sim *sim, const struct anyc_address *a, int change);
/* "10.0.0.1:80" */
struct anyc__sim_address_text {
	char text[64];
};
const char *anyc__sim_text(struct anyc__sim_address_text *t, const struct anyc_address *a);
/* Whether this thread's loop is the sim's: 0, ANYC_EGONE, ANYC_ETHREAD. */
int anyc__sim_net_check(const struct anyc_sim *sim);
/* Waits until anyc__sim_wake(slot). */
int anyc__sim_wait(struct anyc_event **slot);
void anyc__sim_wake(struct anyc_event **slot);

/* ----------------------------------------------------------------------------- connect.c */

int anyc__sim_connect(void *self, struct anyc_stream **out, const struct anyc_address *to,
		      const struct anyc_address *from);
/* A connection that began at this address has the port for itself: it was given a free one. */
bool anyc__sim_has_caller(const struct anyc_sim *sim, const struct anyc_address *a);
/* Somebody does not have an end any more. */
void anyc__sim_conn_drop(struct anyc__sim_conn *c);

/* ---------------------------------------------------------------------------- listener.c */

int anyc__sim_listen(void *self, struct anyc_listener **out, const struct anyc_addresses *list,
		     const struct anyc_tcp_listen_options *options);
/* Who would accept a connection to this address; NULL: nobody. */
struct anyc__sim_listener *anyc__sim_listener_for(struct anyc_sim *sim,
						  const struct anyc_address *to);
/* Whether a listener or a caller is in the way of one more at this address. */
bool anyc__sim_is_taken(const struct anyc_sim *sim, const struct anyc_address *a, bool reuse_port);
/* A connection to `to` may come to a listener's address `at`. */
bool anyc__sim_serves(const struct anyc_address *at, const struct anyc_address *to);
bool anyc__sim_listener_full(const struct anyc__sim_listener *l);
void anyc__sim_listener_take(struct anyc__sim_listener *l, struct anyc__sim_conn *c);

/* -------------------------------------------------------------------------------- wire.c */

void anyc__sim_wire_init(struct anyc__sim_end *to);
/* Sends to the other end: up to size bytes of the pieces, -ENOMEM; the end of it; a reset. */
int anyc__sim_send(struct anyc__sim_end *from, const struct iovec *iov, int count, size_t size);
void anyc__sim_send_fin(struct anyc__sim_end *from);
void anyc__sim_send_reset(struct anyc__sim_end *from);
/* Takes data that has arrived. */
size_t anyc__sim_take(struct anyc__sim_end *e, void *buf, size_t size);
/* Bytes that may be sent now. */
size_t anyc__sim_room(struct anyc__sim_end *from);
/* Breaks an end at once, unless it is closed or broken. */
void anyc__sim_break(struct anyc__sim_end *e, int os_errno);
/* Forgets what is on the way to this end, or has arrived. */
void anyc__sim_wire_clear(struct anyc__sim_end *to);
/* Nothing passes any more. */
void anyc__sim_wires_vanish(struct anyc__sim_conn *c);
/* Both ends are broken at once. */
void anyc__sim_reset_conn(struct anyc__sim_conn *c);
/* In a delivery's time from now. */
int64_t anyc__sim_after_latency(struct anyc__sim_conn *c);

/* ------------------------------------------------------------------------------ stream.c */

struct anyc_stream *anyc__sim_stream_open(struct anyc__sim_end *e);

#endif

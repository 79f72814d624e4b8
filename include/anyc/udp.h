/* SPDX-License-Identifier: MIT */
/*
 * Datagram sockets: UDP, and what those of UNIX (unix.h) share with it.
 *
 * Both directions may be used at once, each by one task: a second one gets ANYC_EBUSY.  A datagram
 * is sent and received whole, and may be empty: 0 bytes are no end, for there is none.
 * Nothing is queued here: what nobody receives waits in the kernel, which drops what is too much.
 *
 * What becomes of one datagram is told as -errno (-EMSGSIZE: it is too long) and leaves the socket
 * as it was.  On a connected socket the peer's absence, which the network reports some time after
 * a send, is ANYC_EBROKEN from the next call in either direction, once for each report;
 * anyc_error_errno() has the errno.  The socket can still be used: the peer may come back.
 *
 * close and free are those of streams: a task inside a call gets ANYC_ECLOSED.  When close has
 * returned the port is free for another socket.  A socket belongs to the loop it was first used on.
 */
#ifndef ANYC_UDP_H
#define ANYC_UDP_H

#include <anyc/base.h>
#include <anyc/net.h>

ANYC_BEGIN_DECLS

struct anyc_datagram; /* a datagram socket */

/* ------------------------------------------------------------------------- making UDP ones */

struct anyc_udp_options {
	int family;             /* AF_UNSPEC, AF_INET, AF_INET6 */
	unsigned local_port;    /* of a connected socket; 0: a free one */
	const char *local_host; /* of a connected socket: to bind to before; or NULL */
	bool reuse_port;        /* SO_REUSEPORT: one socket for each loop */
	bool reuse_address;     /* SO_REUSEADDR: several receivers of one multicast group */
	bool broadcast;         /* may send to broadcast addresses */
	/* What one sender has sent in a row may be received as one message, where the kernel can
	 * (UDP_GRO): see anyc_message.  Only anyc_datagram_receive_many() receives from it then. */
	bool coalesce;
	uint8_t reserved_[4];
	void *reserved2_[3];
};
/*
 * A socket bound to host (NULL: all addresses, IPv4 and IPv6 on one socket where the system can)
 * and port ("0": a free one; the local address attribute tells it).  Of several addresses the first
 * that can be had.  IPv4 peers of a socket for both have addresses of the form ::ffff:192.0.2.1.
 * Where host is a name other than localhost, or port is one, it resolves and is a checkpoint;
 * otherwise it is none.  *out is NULL after a failure.
 *   errors  of resolve, -errno of socket and bind for the first address; ANYC_EINVAL
 */
ANYC_API ANYC_MUST_CHECK int anyc_udp_bind_sized(struct anyc_datagram **out, const char *host,
						 const char *port,
						 const struct anyc_udp_options *options,
						 size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_udp_bind(struct anyc_datagram **out, const char *host,
					      const char *port,
					      const struct anyc_udp_options *options)
{
	return anyc_udp_bind_sized(out, host, port, options, sizeof *options);
}
/*
 * A socket that exchanges datagrams with one peer and receives nobody else's.  Nothing is sent:
 * whether somebody is there is not found out.  The rest as anyc_udp_bind().
 */
ANYC_API ANYC_MUST_CHECK int anyc_udp_connect_sized(struct anyc_datagram **out, const char *host,
						    const char *port,
						    const struct anyc_udp_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_udp_connect(struct anyc_datagram **out, const char *host,
						 const char *port,
						 const struct anyc_udp_options *options)
{
	return anyc_udp_connect_sized(out, host, port, options, sizeof *options);
}
/*
 * Takes a bound UDP socket over, connected or not, and makes it non-blocking; after a failure the
 * descriptor is still the caller's, and as it was.  Not a checkpoint.
 *   errors  ANYC_EINVAL with a sentence, -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_udp_adopt(struct anyc_datagram **out, int fd);

/*
 * Joins or leaves a multicast group ("239.1.2.3", "ff02::fb", "ff02::fb%eth0") on an interface, by
 * its name or number (NULL: the group's scope, else the system's choice).  Not checkpoints.
 *   errors  ANYC_EINVAL (also no group's address, or of a family that the socket does not speak),
 *           ANYC_ECLOSED, -errno (-EADDRINUSE: joined already; -EADDRNOTAVAIL: not joined)
 */
ANYC_API ANYC_MUST_CHECK int anyc_udp_join(struct anyc_datagram *d, const char *group,
					   const char *interface_name);
ANYC_API ANYC_MUST_CHECK int anyc_udp_leave(struct anyc_datagram *d, const char *group,
					    const char *interface_name);

/* ------------------------------------------------------------------------------- one by one */

/*
 * Receives one datagram.  The result is its length; if that is more than size, the rest of it was
 * cut off.  from: where it came from, or NULL (its length is 0 if the sender has no address).
 *   checkpoint  yes     cancelled  no datagram was taken
 *   errors  ANYC_ECANCELED, ANYC_ECLOSED, ANYC_EBUSY, ANYC_EBROKEN (connected), ANYC_EINVAL,
 *           ANYC_ETHREAD, -errno; ANYC_ENOTSUP: the socket coalesces
 */
ANYC_API ANYC_MUST_CHECK int anyc_datagram_receive_from(struct anyc_datagram *d, void *buf,
							size_t size, struct anyc_address *from);
ANYC_API ANYC_MUST_CHECK int anyc_datagram_receive(struct anyc_datagram *d, void *buf, size_t size);
/*
 * Sends one datagram to an address (NULL: the peer that the socket is connected to); 0.
 *   checkpoint  yes     cancelled  it was not sent
 *   errors  as receive; ANYC_EINVAL: nobody to send to
 */
ANYC_API ANYC_MUST_CHECK int anyc_datagram_send_to(struct anyc_datagram *d, const void *buf,
						   size_t size, const struct anyc_address *to);
ANYC_API ANYC_MUST_CHECK int anyc_datagram_send(struct anyc_datagram *d, const void *buf,
						size_t size);

/* --------------------------------------------------------------------------- many in one call */

struct anyc_message {
	void *data;  /* only read by send */
	size_t size; /* of the datagram, or of the room for one */
	size_t length; /* received: the datagram's; more than size: the rest was cut off */
	struct anyc_address address; /* from where, or to where (length 0: the connected peer) */
	/* Received with anyc_udp_options.coalesce: these are datagrams of so many bytes, the last
	 * of which may be shorter; else it is the length.  Room for 64 KiB cuts nothing off. */
	size_t segment;
	void *reserved_[1];
};
/*
 * Receives the datagrams that are there, at most count, waiting for the first only: how many.
 * flags: ANYC_NOWAIT, ANYC_EWOULDBLOCK instead of waiting; then it is no checkpoint.
 *   checkpoint  yes, without ANYC_NOWAIT     cancelled  no datagram was taken
 *   errors  as anyc_datagram_receive_from(), ANYC_EWOULDBLOCK; ANYC_EINVAL: count is 0
 */
ANYC_API ANYC_MUST_CHECK int anyc_datagram_receive_many(struct anyc_datagram *d,
							struct anyc_message *messages,
							size_t count, unsigned flags);
/*
 * Sends as many of the messages, in their order, as the kernel takes at once, waiting for the
 * first only: how many, at least 1.  What kept the next one back is that one's own result when it
 * is tried again.  Those at the head that are of one size and to one address go as segments, where
 * the kernel can: see anyc_datagram_send_segments().
 *   checkpoint  yes, without ANYC_NOWAIT     cancelled  none was sent
 *   errors  of the first message: as anyc_datagram_send_to(), ANYC_EWOULDBLOCK
 */
ANYC_API ANYC_MUST_CHECK int anyc_datagram_send_many(struct anyc_datagram *d,
						     const struct anyc_message *messages,
						     size_t count, unsigned flags);

/*
 * Sends a buffer as datagrams of `segment` bytes each, of which the last may be shorter, to one
 * address: as many as the kernel takes at once (at most 64), waiting for the first only.  The
 * number of bytes, which are whole datagrams; the rest is for the next call.  Where the kernel can
 * it cuts them itself (UDP_SEGMENT), at a fraction of the cost; otherwise, and where it refuses to,
 * they go one by one: what is on the wire is the same.
 *   checkpoint  yes, without ANYC_NOWAIT     cancelled  none was sent
 *   errors  of the first datagram, as anyc_datagram_send_to(), ANYC_EWOULDBLOCK; ANYC_EINVAL:
 *           nothing to send, or segments of 0 bytes
 */
ANYC_API ANYC_MUST_CHECK int anyc_datagram_send_segments(struct anyc_datagram *d, const void *buf,
							 size_t size, size_t segment,
							 const struct anyc_address *to,
							 unsigned flags);

/* ------------------------------------------------------------------------------- the rest */

/*
 * As the stream's.
 *   checkpoint  yes     errors  ANYC_ECANCELED (and it is closed); ANYC_ETHREAD (it is not)
 */
ANYC_API int anyc_datagram_close(struct anyc_datagram *d);
ANYC_API void anyc_datagram_free(struct anyc_datagram *d);
/* The local address, the remote address of a connected one, the descriptor.
 *   errors  ANYC_ENOATTR, ANYC_EINVAL, ANYC_ECLOSED, -errno */
ANYC_API ANYC_MUST_CHECK int anyc_datagram_attribute(struct anyc_datagram *d,
						     const struct anyc_attribute *attribute,
						     void *out, size_t size);

ANYC_END_DECLS
#endif

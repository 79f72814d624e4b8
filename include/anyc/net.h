/* SPDX-License-Identifier: MIT */
/*
 * Networking: TCP connections and listeners, name resolution, and waiting for descriptors.
 * resolve, connect, bind, listen, accept and adopt return -errno or an ANYC_EAI_ code.
 */
#ifndef ANYC_NET_H
#define ANYC_NET_H

#include <sys/socket.h>

#include <anyc/base.h>
#include <anyc/stream.h>
#include <anyc/task.h>

ANYC_BEGIN_DECLS

/* ------------------------------------------------------------------------------ addresses */

struct anyc_address {
	socklen_t length;
	struct sockaddr_storage storage;
};
/*
 * "127.0.0.1:80", "[fe80::1%eth0]:80", "unix:/run/a.sock", "unix:@abstract", "unix:(unnamed)".
 * Counts and cuts as snprintf.
 */
ANYC_API size_t anyc_address_format(const struct anyc_address *a, char *buf, size_t size);
/* The port, in host order; 0 if the family has none. */
ANYC_API unsigned anyc_address_port(const struct anyc_address *a);
/* Reads an address literal, with %scope where there is one.   errors  ANYC_EINVAL */
ANYC_API ANYC_MUST_CHECK int anyc_address_parse(struct anyc_address *out, const char *text,
						unsigned port);

/* ------------------------------------------------------------------------------- resolver */

struct anyc_resolve_options {
	int family;  /* AF_UNSPEC, AF_INET, AF_INET6 */
	bool passive; /* for binding: a NULL host is the wildcard */
	bool datagram; /* the service is one of UDP */
	uint8_t reserved_[10];
};
struct anyc_addresses {
	struct anyc_address *list;
	size_t count;
};
/*
 * Resolves host and service (a name or a number; NULL: port 0), in getaddrinfo(3)'s order.
 * Literals and localhost need no thread; others are looked up in worker threads, of which at
 * most eight are busy at once.  A name in another script than ASCII is given as its A-label
 * (xn--...).  Free the list with anyc_addresses_free().
 *   checkpoint  yes     cancelled  a look-up that has begun goes on unheard, as one of the eight;
 *                                  nothing is left to free
 *   errors  ANYC_ECANCELED, ANYC_EAI_*, ANYC_EINVAL, -ENOMEM, -EAGAIN (no thread)
 */
ANYC_API ANYC_MUST_CHECK int anyc_resolve_sized(struct anyc_addresses *out, const char *host,
						const char *service,
						const struct anyc_resolve_options *options,
						size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_resolve(struct anyc_addresses *out, const char *host,
					     const char *service,
					     const struct anyc_resolve_options *options)
{
	return anyc_resolve_sized(out, host, service, options, sizeof *options);
}
ANYC_API void anyc_addresses_free(struct anyc_addresses *list);

/*
 * Replaces the look-up of names (not of literals and localhost) in this process; NULL:
 * getaddrinfo(3).  The hook runs in the calling task and may wait; it fills list by
 * anyc_addresses_add(), where port 0 stands for a numeric service.  Set it while nothing resolves.
 */
typedef int anyc_resolver_fn(void *arg, struct anyc_addresses *list, const char *host,
			     const char *service, const struct anyc_resolve_options *options);
ANYC_API void anyc_set_resolver(anyc_resolver_fn *fn, void *arg);
/* Appends.   errors  -ENOMEM */
ANYC_API ANYC_MUST_CHECK int anyc_addresses_add(struct anyc_addresses *list,
						const struct anyc_address *address);

/* What an address is called; numbers where nothing is known. */
struct anyc_name {
	char host[1025];
	char service[32];
};
enum {
	ANYC_NAME_REQUIRED = 1, /* a host without a name is ANYC_EAI_NONAME */
	ANYC_NAME_DATAGRAM = 2  /* the service is one of UDP */
};
/*
 * Looks up the name of an address (getnameinfo(3)) in a worker thread; of these too at most eight
 * are busy at once, beside those of anyc_resolve().
 *   checkpoint  yes     cancelled  as that of anyc_resolve(): nothing is left to free
 *   errors  ANYC_ECANCELED, ANYC_EAI_*, ANYC_EINVAL, -ENOMEM, -EAGAIN (no thread)
 */
ANYC_API ANYC_MUST_CHECK int anyc_resolve_address(struct anyc_name *out,
						  const struct anyc_address *address,
						  unsigned flags);

/* -------------------------------------------------------------------------------- connect */

struct anyc_connect_attempt {
	struct anyc_address address;
	int rc; /* its error; ANYC_ECANCELED if another was first */
};
struct anyc_tcp_connect_options {
	const char *local_host; /* to bind to before connecting, or NULL */
	unsigned local_port;
	int family;                         /* AF_UNSPEC, AF_INET, AF_INET6 */
	int64_t stagger;                    /* between attempts; 0: 250 ms */
	struct anyc_connect_attempt *attempts; /* out: what was tried, in order; or NULL */
	size_t *attempt_count;              /* in: room in attempts; out: how many were tried */
	void *reserved_[2];
};
/*
 * Connects to host and port (a number or a service name) by Happy Eyeballs (RFC 8305): the first
 * IPv6 and IPv4 address first, attempts staggered, the next at once when one fails.  The stream
 * has TCP_NODELAY.  *out is NULL after a failure.
 *   checkpoint  yes     cancelled  nothing is left open
 *   errors  of resolve; -errno of the first address tried if all failed; ANYC_EINVAL (NULL, port 0,
 *           options)
 */
ANYC_API ANYC_MUST_CHECK int anyc_tcp_connect_sized(struct anyc_stream **out, const char *host,
						    const char *port,
						    const struct anyc_tcp_connect_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tcp_connect(struct anyc_stream **out, const char *host,
						 const char *port,
						 const struct anyc_tcp_connect_options *options)
{
	return anyc_tcp_connect_sized(out, host, port, options, sizeof *options);
}

/* Attributes of sockets. */
ANYC_API extern const struct anyc_attribute anyc_attribute_local_address;  /* struct anyc_address */
ANYC_API extern const struct anyc_attribute anyc_attribute_remote_address; /* struct anyc_address */
ANYC_API extern const struct anyc_attribute anyc_attribute_fd; /* int; still the stream's */

/* ------------------------------------------------------------------------------ listeners */

struct anyc_listener;
/* What a listener must do; as anyc_stream_ops. */
struct anyc_listener_ops {
	size_t size;
	const char *name;
	int (*accept)(struct anyc_listener *l, struct anyc_stream **out);
	int (*close)(struct anyc_listener *l, unsigned flags);
	void (*free)(struct anyc_listener *l);
	int (*attribute)(struct anyc_listener *l, const struct anyc_attribute *attribute,
			 void *out);
};
struct anyc_listener {
	const struct anyc_listener_ops *ops_;
	uint32_t inside_;
	bool accepting_, closed_, freed_;
	uint8_t pad_;
	struct anyc_waiters_ *full_; /* where serve waits at its limit, woken by a close; or NULL */
	void *reserved_[2];
};
ANYC_API void anyc_listener_init(struct anyc_listener *l, const struct anyc_listener_ops *ops);

struct anyc_tcp_listen_options {
	int family;
	int backlog;     /* 0: the most the kernel takes */
	bool reuse_port; /* SO_REUSEPORT: one listener for each loop */
	uint8_t reserved_[7];
	void *reserved2_[2];
};
/*
 * Listens on host (NULL: all addresses, IPv4 and IPv6 on one socket where the system can) and
 * port ("0": a free one, the same for all addresses; the local address attribute tells it).
 * Where host is a name other than localhost, or port is one, it resolves and is a checkpoint;
 * otherwise it is none.
 *   errors  of resolve, -errno of socket, bind, listen; ANYC_EINVAL
 */
ANYC_API ANYC_MUST_CHECK int anyc_tcp_listen_sized(struct anyc_listener **out, const char *host,
						   const char *port,
						   const struct anyc_tcp_listen_options *options,
						   size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tcp_listen(struct anyc_listener **out, const char *host,
						const char *port,
						const struct anyc_tcp_listen_options *options)
{
	return anyc_tcp_listen_sized(out, host, port, options, sizeof *options);
}
/*
 * Accepts one connection.
 *   checkpoint  yes     cancelled  no connection was lost
 *   errors  ANYC_ECANCELED, ANYC_ECLOSED, ANYC_EBUSY, -errno (EMFILE and its like: try later)
 */
ANYC_API ANYC_MUST_CHECK int anyc_listener_accept(struct anyc_listener *l,
						  struct anyc_stream **out);
/* As the stream's.  The tasks inside accept get ANYC_ECLOSED. */
ANYC_API int anyc_listener_close(struct anyc_listener *l);
ANYC_API void anyc_listener_free(struct anyc_listener *l);
ANYC_API ANYC_MUST_CHECK int anyc_listener_attribute(struct anyc_listener *l,
						     const struct anyc_attribute *attribute,
						     void *out, size_t size);

/*
 * Serves one connection in a task of its own.  Serve frees the stream afterwards, so a wrapper that
 * would own it (anyc_buffered_stream(), anyc_tls_wrap()) takes `handler_owns`.
 */
typedef int anyc_serve_fn(void *arg, struct anyc_stream *stream);
struct anyc_serve_options {
	struct anyc_group *group; /* where the handlers run; NULL: a group of its own */
	size_t limit;             /* connections at once; 0: no limit */
	size_t stack_size;
	/* A handler's negative result; NULL: the report hook.  Serving goes on. */
	void (*on_error)(void *arg, int rc, const char *detail);
	void *on_error_arg;
	bool handler_owns; /* the handler frees the stream, or what it has wrapped it in */
	uint8_t reserved_[7];
	void *reserved2_[1];
};
/*
 * Accepts connections and runs handler(arg, stream) for each, until cancelled or the listener is
 * closed (0; also before it began).  Connections that died in the queue are passed over; out of
 * descriptors or memory it reports once and tries every 100 ms.  With a group of its own it returns
 * when all handlers have: so closing the listener drains, and a deadline of the scope around limits
 * that.
 *   checkpoint  yes
 *   errors  ANYC_ECANCELED, ANYC_EBUSY (another task serves or accepts), ANYC_EINVAL, -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_serve_sized(struct anyc_listener *l, anyc_serve_fn *handler,
					      void *arg, const struct anyc_serve_options *options,
					      size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_serve(struct anyc_listener *l, anyc_serve_fn *handler,
					   void *arg, const struct anyc_serve_options *options)
{
	return anyc_serve_sized(l, handler, arg, options, sizeof *options);
}

/* ------------------------------------------------------------- descriptors of the caller's */

/* Takes a connected stream socket or a listening socket of TCP over; after a failure the
 * descriptor is still the caller's.   errors  ANYC_EINVAL with a sentence, -errno */
ANYC_API ANYC_MUST_CHECK int anyc_tcp_adopt(struct anyc_stream **out, int fd);
ANYC_API ANYC_MUST_CHECK int anyc_tcp_adopt_listener(struct anyc_listener **out, int fd);

/*
 * Pipes as streams of one direction: the other one is ANYC_ENOTSUP.  open makes a pipe; adopt takes
 * an end, or a FIFO, over, whose directions are as it was opened, and makes it non-blocking (not
 * standard input, output and error, which are not made to wait either).  Sending the end closes.
 * After a failure the descriptor is still the caller's, and both of open's streams are NULL.  Not
 * checkpoints.
 *   errors  ANYC_EINVAL with a sentence, -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_pipe_open(struct anyc_stream **receive,
					    struct anyc_stream **send);
ANYC_API ANYC_MUST_CHECK int anyc_pipe_adopt(struct anyc_stream **out, int fd);

/*
 * Waits until a descriptor that the caller owns can be read or written (level-triggered; a
 * regular file always can).  One task for each direction.
 *   checkpoint  yes     cancelled  nothing is left registered
 *   errors  ANYC_ECANCELED, ANYC_EBUSY, ANYC_ECLOSED (anyc_notify_closing()), -EBADF, -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int anyc_wait_readable(int fd);
ANYC_API ANYC_MUST_CHECK int anyc_wait_writable(int fd);
/* To be called before closing a descriptor that tasks may wait for: they get ANYC_ECLOSED. */
ANYC_API void anyc_notify_closing(int fd);

ANYC_END_DECLS
#endif

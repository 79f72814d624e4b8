/* SPDX-License-Identifier: MIT */
/*
 * UNIX sockets: streams and datagrams, and descriptors that go through them.  Streams, listeners
 * and datagram sockets are those of stream.h, net.h and udp.h.
 *
 * A path is a C string of at most 107 bytes.  An abstract name (Linux) begins with a NUL and has
 * its length given; nothing stands in a file system for it.
 */
#ifndef ANYC_UNIX_H
#define ANYC_UNIX_H

#include <sys/types.h>

#include <anyc/base.h>
#include <anyc/net.h>
#include <anyc/udp.h>

ANYC_BEGIN_DECLS

struct anyc_unix_options {
	size_t path_length; /* 0: the path ends at its NUL */
	/* What is bound. */
	unsigned mode; /* permissions of the path; 0: what the umask leaves */
	int backlog;   /* of a listener; 0: the most the kernel takes */
	/* Of a connected datagram socket: where to be answered; NULL: nowhere. */
	const char *local_path;
	size_t local_path_length;
	void *reserved_[2];
};

/* -------------------------------------------------------------------------------- streams */

/*
 * Connects to a path.  While the listener's queue is full it tries again, at up to 64 ms.
 *   checkpoint  yes     cancelled  nothing is left open
 *   errors  ANYC_ECANCELED, ANYC_EINVAL (the path), -errno (-ENOENT, -ECONNREFUSED)
 */
ANYC_API ANYC_MUST_CHECK int anyc_unix_connect_sized(struct anyc_stream **out, const char *path,
						     const struct anyc_unix_options *options,
						     size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_unix_connect(struct anyc_stream **out, const char *path,
						  const struct anyc_unix_options *options)
{
	return anyc_unix_connect_sized(out, path, options, sizeof *options);
}
/*
 * Listens at a path.  A socket that stands there, of a server that has died or is being relieved,
 * is removed first; whatever else does is -EADDRINUSE.  Closing the listener removes the path, if
 * it is still the same socket.  Not a checkpoint.
 *   errors  ANYC_EINVAL (the path), -errno of socket, bind, chmod, listen
 */
ANYC_API ANYC_MUST_CHECK int anyc_unix_listen_sized(struct anyc_listener **out, const char *path,
						    const struct anyc_unix_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_unix_listen(struct anyc_listener **out, const char *path,
						 const struct anyc_unix_options *options)
{
	return anyc_unix_listen_sized(out, path, options, sizeof *options);
}
/* Two streams that are connected to each other (socketpair(2)).  Not a checkpoint.
 *   errors  -errno; both are NULL then */
ANYC_API ANYC_MUST_CHECK int anyc_unix_pair(struct anyc_stream **a, struct anyc_stream **b);

/* Who is at the other end of a stream: as of its connecting or listening. */
struct anyc_credentials {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
ANYC_API extern const struct anyc_attribute anyc_attribute_credentials;

/*
 * Sends bytes, at least one, and with the first of them copies of 1 to 253 descriptors; 0, or an
 * error.  The descriptors are the caller's still.
 *   checkpoint  yes     cancelled  anyc_stream_sent() bytes were accepted; with the first of them
 *                                  all descriptors were
 *   errors  as anyc_stream_send(); ANYC_ENOTSUP (no stream of UNIX), -errno (-EBADF, -ETOOMANYREFS)
 */
ANYC_API ANYC_MUST_CHECK int anyc_unix_send_fds(struct anyc_stream *s, const void *buf, size_t size,
						const int *fds, size_t count);
/*
 * Receives bytes as anyc_stream_receive(), and the descriptors that came with them: *count tells
 * how many came, and fds holds the first of them, as far as room goes; the rest were closed.
 * Those in fds are the caller's, close-on-exec.  anyc_stream_receive() closes what comes.
 *   checkpoint  yes     cancelled  nothing was taken
 *   errors  as anyc_stream_receive(); ANYC_ENOTSUP; ANYC_EBROKEN with EMFILE for an errno: this
 *           process had no room for them, and all that came are closed
 */
ANYC_API ANYC_MUST_CHECK int anyc_unix_receive_fds(struct anyc_stream *s, void *buf, size_t size,
						   int *fds, size_t room, size_t *count);

/* ------------------------------------------------------------------------------- datagrams */

/*
 * A datagram socket bound to a path (as anyc_unix_listen()), or connected to one.  Without a path
 * of its own (bind: path NULL; connect: local_path NULL) a socket can send, and nobody can answer.
 * Datagrams are not lost: a send waits while the receiver's queue is full.  Not checkpoints.
 *   errors  ANYC_EINVAL (a path), -errno of socket, bind, chmod, connect
 */
ANYC_API ANYC_MUST_CHECK int anyc_unix_datagram_bind_sized(struct anyc_datagram **out,
							   const char *path,
							   const struct anyc_unix_options *options,
							   size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_unix_datagram_bind(struct anyc_datagram **out,
							const char *path,
							const struct anyc_unix_options *options)
{
	return anyc_unix_datagram_bind_sized(out, path, options, sizeof *options);
}
ANYC_API ANYC_MUST_CHECK int
anyc_unix_datagram_connect_sized(struct anyc_datagram **out, const char *path,
				 const struct anyc_unix_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_unix_datagram_connect(struct anyc_datagram **out,
							   const char *path,
							   const struct anyc_unix_options *options)
{
	return anyc_unix_datagram_connect_sized(out, path, options, sizeof *options);
}
/* Two that are connected to each other.   errors  -errno; both are NULL then */
ANYC_API ANYC_MUST_CHECK int anyc_unix_datagram_pair(struct anyc_datagram **a,
						     struct anyc_datagram **b);
/* The address of a path or abstract name (length 0: it ends at its NUL), for
 * anyc_datagram_send_to().   errors  ANYC_EINVAL */
ANYC_API ANYC_MUST_CHECK int anyc_unix_address(struct anyc_address *out, const char *path,
					       size_t length);

/* ------------------------------------------------------------------------------- adopting */

/* Take a connected stream socket, a listening one, or a datagram socket of UNIX over, and make it
 * non-blocking; after a failure the descriptor is still the caller's, and as it was.  No path is
 * removed at close.  Not checkpoints.
 *   errors  ANYC_EINVAL with a sentence, -errno */
ANYC_API ANYC_MUST_CHECK int anyc_unix_adopt(struct anyc_stream **out, int fd);
ANYC_API ANYC_MUST_CHECK int anyc_unix_adopt_listener(struct anyc_listener **out, int fd);
ANYC_API ANYC_MUST_CHECK int anyc_unix_datagram_adopt(struct anyc_datagram **out, int fd);

ANYC_END_DECLS
#endif

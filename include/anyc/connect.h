/* SPDX-License-Identifier: MIT */
/*
 * How to connect, as an object: for what makes connections without knowing of what kind, such as
 * pools, and clients that connect again.
 *
 *	struct anyc_connectable *server;
 *
 *	rc = anyc_tcp_connectable(&server, "example.org", "7", NULL);
 *	...
 *	rc = anyc_connect(&stream, server);      // as often as needed
 *	...
 *	anyc_connectable_free(server);
 *
 * Making one asks nobody, is no checkpoint, and copies what it is given; one around another owns
 * it, and leaves it to the caller if it could not be made.  Several tasks of one loop may use it at
 * once, and those of another loop when none is inside.  TLS is in tls.h: anyc_tls_connectable().
 */
#ifndef ANYC_CONNECT_H
#define ANYC_CONNECT_H

#include <anyc/base.h>
#include <anyc/net.h>
#include <anyc/streams.h>
#include <anyc/unix.h>

ANYC_BEGIN_DECLS

struct anyc_connectable;

/*
 * Makes a new connection.
 *   checkpoint  yes     cancelled  nothing is left open
 *   errors  of its kind: those of anyc_tcp_connect() and so on; ANYC_EINVAL (NULL), ANYC_ECANCELED,
 *           ANYC_EMISUSE: one of your own that gave neither a stream nor an error
 */
ANYC_API ANYC_MUST_CHECK int anyc_connect(struct anyc_stream **out, struct anyc_connectable *c);
/* NULL-safe, and never waits: memory goes when the last task inside has returned. */
ANYC_API void anyc_connectable_free(struct anyc_connectable *c);

/* ---------------------------------------------------------------------------------- kinds */

/*
 * To host and port, as anyc_tcp_connect(); of the options attempts and attempt_count are left out.
 *   errors  ANYC_EINVAL (NULL, an empty host, a port that is 0 or beyond 65535, options), -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int
anyc_tcp_connectable_sized(struct anyc_connectable **out, const char *host, const char *port,
			   const struct anyc_tcp_connect_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tcp_connectable(struct anyc_connectable **out,
						     const char *host, const char *port,
						     const struct anyc_tcp_connect_options *options)
{
	return anyc_tcp_connectable_sized(out, host, port, options, sizeof *options);
}
/* To a path or an abstract name, as anyc_unix_connect().
 *   errors  ANYC_EINVAL (the path), -ENOMEM */
ANYC_API ANYC_MUST_CHECK int
anyc_unix_connectable_sized(struct anyc_connectable **out, const char *path,
			    const struct anyc_unix_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_unix_connectable(struct anyc_connectable **out,
						      const char *path,
						      const struct anyc_unix_options *options)
{
	return anyc_unix_connectable_sized(out, path, options, sizeof *options);
}
/* As below, with a buffered stream or one of text around what it gives.
 *   errors  ANYC_EINVAL, -ENOMEM */
ANYC_API ANYC_MUST_CHECK int anyc_buffered_connectable(struct anyc_connectable **out,
						       struct anyc_connectable *below);
ANYC_API ANYC_MUST_CHECK int anyc_text_connectable_sized(struct anyc_connectable **out,
							 struct anyc_connectable *below,
							 const struct anyc_text_options *options,
							 size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_text_connectable(struct anyc_connectable **out,
						      struct anyc_connectable *below,
						      const struct anyc_text_options *options)
{
	return anyc_text_connectable_sized(out, below, options, sizeof *options);
}

/* ------------------------------------------------------------------------- of one's own */

/* What one must do; all are required. */
struct anyc_connectable_ops {
	size_t size; /* of this structure */
	const char *name;
	/* as anyc_connect(), 0 or an error; several tasks may be inside */
	int (*connect)(struct anyc_connectable *c, struct anyc_stream **out);
	/* Frees the memory: no task is inside. */
	void (*free)(struct anyc_connectable *c);
};
/* The head of each.  The fields are private to the calls above. */
struct anyc_connectable {
	const struct anyc_connectable_ops *ops_;
	uint32_t inside_;
	bool freed_;
	uint8_t pad_[3];
	void *reserved_[2];
};
/* Makes the head valid; the rest is its own. */
ANYC_API void anyc_connectable_init(struct anyc_connectable *c,
				    const struct anyc_connectable_ops *ops);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/*
 * TLS over any byte stream, by OpenSSL 3.  Verification is on, a name is mandatory, TLS 1.2 is
 * the floor, and an end of the transport without close_notify is never an end of data.
 * Link with anyc-tls.
 */
#ifndef ANYC_TLS_H
#define ANYC_TLS_H

#include <anyc/base.h>
#include <anyc/connect.h>
#include <anyc/net.h>
#include <anyc/stream.h>
#include <anyc/tls_context.h>

ANYC_BEGIN_DECLS

struct anyc_tls_options {
	struct anyc_tls_context *context; /* NULL, client: trusts the system's certificates */
	int64_t handshake_timeout;        /* 0: 30 s; ANYC_FOREVER: none */
	bool server;                      /* then a server's context is needed */
	/* HTTP: a transport's end without close_notify, between two records, is the end of the
	 * data.  A send is ANYC_EBROKEN after it. */
	bool ragged_eof;
	bool insecure_no_verification; /* anyone may read and change what is sent */
	uint8_t reserved_[5];
	/* anyc_tls_connect(): for the connection below, or NULL */
	const struct anyc_tcp_connect_options *tcp;
	size_t tcp_size; /* sizeof *tcp */
	void *reserved2_[2];
};

/*
 * Handshakes over a stream and gives a stream that owns it.  A client gives the name or the
 * address that the certificate must carry (ASCII: a name in another script as its A-label; a dot
 * at its end and an IPv6 scope are left out); a server gives NULL.  options may be NULL for a
 * client.  After a failure *out is NULL and the transport is still the caller's.
 *   checkpoint  yes     cancelled  the transport is useless, and still the caller's
 *   errors  ANYC_EVERIFY, ANYC_ETLS, ANYC_EBROKEN, ANYC_ETIMEDOUT, ANYC_EINVAL (no name), -ENOMEM
 *
 * What the stream does beyond stream.h:
 *   receive    An end of the transport without close_notify is ANYC_EBROKEN, with a sentence of
 *              its own and errno 0, and so is every later call.  So is a peer that sends dozens
 *              of key updates, tickets or other records without data, one after the other.
 *   send       Cancelled, or failed, as it waits after its first byte was encrypted, it leaves a
 *              record that can be neither finished nor taken back: the stream is ANYC_EBROKEN from
 *              then on.  After each record it gives way; cancelled there it has accepted what was
 *              encrypted, which may go out with a later call, as the one record at most may that
 *              is accepted with ANYC_NOWAIT.
 *   close      Sends close_notify, ends the transport's sending direction, reads what is there,
 *              closes the transport; it does not wait for the peer's close_notify.  In a
 *              cancelled scope, and in free, close_notify is one attempt that does not wait.
 *              While another task is inside a send there is none: its data did not arrive.
 *   send_eof   ANYC_ENOTSUP
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_wrap_sized(struct anyc_stream **out,
						 struct anyc_stream *transport, const char *host,
						 const struct anyc_tls_options *options,
						 size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tls_wrap(struct anyc_stream **out,
					      struct anyc_stream *transport, const char *host,
					      const struct anyc_tls_options *options)
{
	return anyc_tls_wrap_sized(out, transport, host, options, sizeof *options);
}

/*
 * Connects by TCP and handshakes; after a failure nothing is left open.
 *   errors  of anyc_tcp_connect() and anyc_tls_wrap()
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_connect_sized(struct anyc_stream **out, const char *host,
						    const char *port,
						    const struct anyc_tls_options *options,
						    size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tls_connect(struct anyc_stream **out, const char *host,
						 const char *port,
						 const struct anyc_tls_options *options)
{
	return anyc_tls_connect_sized(out, host, port, options, sizeof *options);
}
/*
 * A connectable (connect.h) that handshakes as a client over what another one gives, which it owns.
 * host is the name that the certificate must carry; of the options tcp is left out.
 *   errors  ANYC_EINVAL, -ENOMEM; the one below is then still the caller's
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_connectable_sized(struct anyc_connectable **out,
							struct anyc_connectable *below,
							const char *host,
							const struct anyc_tls_options *options,
							size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tls_connectable(struct anyc_connectable **out,
						     struct anyc_connectable *below,
						     const char *host,
						     const struct anyc_tls_options *options)
{
	return anyc_tls_connectable_sized(out, below, host, options, sizeof *options);
}

/*
 * The closing handshake, waiting for the peer's: gives the transport back, and the bytes received
 * past the close (free *rest with anyc_tls_free_rest(); NULL if there are none).  Data that the
 * peer sent before its close is dropped; how much and for how long is the peer's to say, but for a
 * deadline around the call.  The TLS stream is then closed, to be freed.
 *   checkpoint  yes     cancelled  sending is ANYC_ECLOSED from then on; it may be called again
 *   errors  ANYC_EBROKEN, ANYC_ECANCELED, ANYC_ECLOSED, ANYC_EBUSY (a task is inside the stream),
 *           ANYC_EINVAL (not a TLS stream); *transport is NULL, and still the TLS stream's
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_unwrap(struct anyc_stream *s, struct anyc_stream **transport,
					     void **rest, size_t *rest_size);
ANYC_API void anyc_tls_free_rest(void *rest);

/*
 * A listener whose handshakes do not hold up accept: a handshake runs in the task that first
 * uses the stream; in anyc_serve() that is the connection's own.  It owns the listener below.
 * An error of a handshake comes out of the connection's first call, and of every later one; its
 * time counts from the first call, and a cancelled one goes on with the next.
 *   errors  ANYC_EINVAL, -ENOMEM; the listener below is then still the caller's
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_listener_sized(struct anyc_listener **out,
						     struct anyc_listener *below,
						     const struct anyc_tls_options *options,
						     size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_tls_listener(struct anyc_listener **out,
						  struct anyc_listener *below,
						  const struct anyc_tls_options *options)
{
	return anyc_tls_listener_sized(out, below, options, sizeof *options);
}
/*
 * Handshakes now, in a connection of such a listener; only a checkpoint once that is done.  For
 * servers that want the error before they say anything.
 *   checkpoint  yes     cancelled  the next call goes on with it
 *   errors  as anyc_tls_wrap(), ANYC_ECLOSED, ANYC_EBUSY (it is being moved)
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_handshake(struct anyc_stream *s);

/* ------------------------------------------------------------------- what a stream knows */

/*
 * Attributes, beside the transport's own; all but server_side and ragged_eof once the handshake is
 * done.  Of a peer that has shown no certificate peer_ are ANYC_ENOATTR; what they point to is the
 * stream's.
 */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_version;     /* char[16]: TLSv1.3 */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_cipher;      /* char[64] */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_server_side; /* bool */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_alpn; /* char[256], "": none */
/* char[256]: the name that the client asks for, "": none. */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_server_name;
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_resumed; /* bool */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_ragged_eof; /* bool: the option */
/* char[1024], of a server: the ciphers that both know, as the client prefers, with colons between;
 * ANYC_ENOATTR of a client. */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_shared_ciphers;

struct anyc_tls_bytes {
	const void *data;
	size_t size;
};
/* struct anyc_tls_bytes: its DER. */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_peer_certificate;
/* const char *: as in RFC 2253, "CN=a.test,O=A". */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_peer_subject;
/*
 * const char *const *: what it is a certificate for, each "DNS:a.test", "IP:::1", "email:..." or
 * "URI:...", 4096 of them at most, NULL at the end; bytes that are no visible ASCII, and
 * backslashes, are as \x5c.
 */
ANYC_API extern const struct anyc_attribute anyc_tls_attribute_peer_names;

/*
 * Derives size bytes that only the two ends of this connection know (RFC 5705, RFC 8446 7.5).
 * context may be NULL, which is not the same as an empty one in TLS 1.2.  No checkpoint.
 *   errors  ANYC_EINVAL (no TLS stream, no label), ANYC_ENOATTR (the handshake is still to be
 *           done), ANYC_ECLOSED, ANYC_ENOTSUP (TLS 1.2 without the extended master secret),
 *           ANYC_ETLS
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_export(struct anyc_stream *s, void *out, size_t size,
					     const char *label, const void *context,
					     size_t context_size);
/*
 * The channel binding of a type, as SASL's mechanisms want it: "tls-exporter" (RFC 9266),
 * "tls-server-end-point" or, of TLS 1.2 alone, "tls-unique" (RFC 5929).  The number of bytes, at
 * most 64.  No checkpoint.
 *   errors  as anyc_tls_export(), ANYC_EINVAL (too little room), ANYC_ENOTSUP (another type; a
 *           certificate that is signed without a hash)
 */
ANYC_API ANYC_MUST_CHECK int anyc_tls_channel_binding(struct anyc_stream *s, const char *type,
						      void *out, size_t size);

ANYC_END_DECLS
#endif

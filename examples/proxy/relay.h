/* SPDX-License-Identifier: MIT */
/* Bytes between two streams, in both directions, until both have ended. */
#ifndef EXAMPLES_PROXY_RELAY_H
#define EXAMPLES_PROXY_RELAY_H

#include <anyc/anyc.h>

/*
 * Passes on what each sends, and the end of it; the streams are still the caller's.
 *
 * A TLS stream cannot end one direction alone.  When the server has ended, a client with TLS is
 * closed, so that it hears close_notify: what it still had to say is lost.  When the client has
 * ended, a server with TLS is not told, for it could not answer any more; it has a few seconds
 * to go on, counted from the last that it sent.
 *
 * Without a byte in either direction for `idle` ns it is over.
 *   0       all was passed on, in both directions
 *   errors  of either stream, which end both directions; ANYC_ETIMEDOUT; ANYC_ECANCELED.  Then
 *           abort both, as neither has seen the whole.
 */
int relay(struct anyc_stream *client, struct anyc_stream *server, int64_t idle);

/*
 * Has the peer see, once the stream is freed, that this was not the end: a reset, or an end of TLS
 * without close_notify.
 */
void relay_abort(struct anyc_stream *s, bool tls);

#endif

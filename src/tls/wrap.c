/* SPDX-License-Identifier: MIT */
/*
 * How TLS streams begin and end: options, the name that is checked, wrap, connect, unwrap.
 *
 * Rules
 *  - A client has a name, always: without one OpenSSL verifies that somebody has a certificate,
 *    which says nothing.  OpenSSL takes "" for a name, and ".x" for any name below x: both are
 *    refused here.
 *  - Until wrap has succeeded the transport is the caller's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <anyc/task.h>
#include <anyc/time.h>

#include "tls.h"

#define DEFAULT_TIMEOUT (30 * ANYC_SECOND)
#define MAX_HOST        253

/* ------------------------------------------------------------------------------- refusing */

/* 0 where a call that waits may be made, in a cancelled scope or not. */
static int may_wait(void)
{
	int rc = anyc_checkpoint_if_cancelled();

	return rc == ANYC_ECANCELED ? 0 : rc;
}

static int refuse_argument(const char *call, const char *why)
{
	int rc = may_wait();

	return rc != 0 ? rc : anyc_fail(ANYC_EINVAL, 0, "%s(): %s", call, why);
}

/* A state: a checkpoint too, as the call's work would have been. */
static int refuse_state(int why, const char *call, const char *sentence)
{
	int rc = anyc_checkpoint();

	return rc != 0 ? rc : anyc_fail(why, 0, "%s(): %s", call, sentence);
}

/* -------------------------------------------------------------------------------- options */

int anyc__tls_options_copy(struct anyc_tls_options *out, const struct anyc_tls_options *options,
			   size_t size)
{
	memset(out, 0, sizeof *out);
	if (options != NULL)
		memcpy(out, options, size < sizeof *out ? size : sizeof *out);
	if (out->handshake_timeout < 0)
		return anyc_fail(ANYC_EINVAL, 0, "handshake_timeout is negative");
	if (out->handshake_timeout == 0)
		out->handshake_timeout = DEFAULT_TIMEOUT;
	if (out->server && out->context == NULL)
		return anyc_fail(ANYC_EINVAL, 0,
				 "a TLS server needs a context: anyc_tls_server_context()");
	if (out->context != NULL && out->context->server != out->server)
		return anyc_fail(ANYC_EINVAL, 0, "a %s's TLS context was given to a %s",
				 out->context->server ? "server" : "client",
				 out->server ? "server (set .server only with its own)" : "client");
	return 0;
}

/* ----------------------------------------------------------------------------------- name */

struct name {
	char text[MAX_HOST + 1];
	bool address; /* an IP literal */
};

static bool is_address(const char *text)
{
	struct in6_addr a6;
	struct in_addr a4;

	return inet_pton(AF_INET, text, &a4) == 1 || inet_pton(AF_INET6, text, &a6) == 1;
}

/* What must stand in the certificate: without the root's dot and without an IPv6 scope. */
static int read_name(struct name *out, const char *host)
{
	size_t length = host != NULL ? strlen(host) : 0, i;

	if (length == 0)
		return anyc_fail(ANYC_EINVAL, 0,
				 "a TLS client needs the name or address that the server's "
				 "certificate must carry");
	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)host[i];

		if (c >= 0x80)
			return anyc_fail(ANYC_EINVAL, 0,
					 "\"%s\" is not ASCII: give its A-label (xn--...)", host);
		if (c <= ' ' || c == 0x7f)
			return anyc_fail(ANYC_EINVAL, 0, "the TLS name has a blank or control "
					 "character at %zu", i);
	}
	if (memchr(host, ':', length) != NULL)
		length = strcspn(host, "%");
	else if (host[length - 1] == '.')
		length--;
	if (length == 0 || length > MAX_HOST || host[0] == '.')
		return anyc_fail(ANYC_EINVAL, 0, "\"%s\" is not the name of one host", host);
	memcpy(out->text, host, length);
	out->text[length] = '\0';
	out->address = is_address(out->text);
	if (!out->address && strchr(out->text, ':') != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "\"%s\" is neither a name nor an address", host);
	return 0;
}

int anyc__tls_check_name(const char *host)
{
	struct name name;

	return read_name(&name, host);
}

static int expect_name(SSL *ssl, const struct name *name, const struct anyc_tls_options *options)
{
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
				       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* OpenSSL makes this the check of an address if it is one. */
	if (SSL_set1_host(ssl, name->text) != 1)
		return anyc_fail(ANYC_ETLS, 0, "name %s: %s", name->text, anyc__tls_reason());
	if (!name->address && SSL_set_tlsext_host_name(ssl, name->text) != 1)
		return anyc_fail(ANYC_ETLS, 0, "name %s: %s", name->text, anyc__tls_reason());
	if (options->insecure_no_verification)
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	return 0;
}

/* -------------------------------------------------------------------------------- streams */

/* A client may have spoken with this peer before; without a verification it may not say so. */
static void offer_session(struct anyc__tls_stream *t)
{
	SSL_SESSION *session = NULL;

	if (t->settings->sessions != NULL && !t->insecure)
		session = anyc__tls_sessions_take(t->settings->sessions, t->key);
	if (session == NULL)
		return;
	/* What OpenSSL does not take is not resumed, and no more. */
	SSL_set_session(t->ssl, session);
	ERR_clear_error();
	SSL_SESSION_free(session);
}

/* The side, the name, the BIO.  A failure leaves t to be destroyed. */
static int set_up(struct anyc__tls_stream *t, const struct name *name,
		  const struct anyc_tls_options *options)
{
	BIO *bio;
	int rc;

	ERR_clear_error();
	t->ssl = SSL_new(t->settings->ssl);
	if (t->ssl == NULL)
		return anyc_fail(-ENOMEM, 0, "TLS: %s", anyc__tls_reason());
	bio = anyc__tls_bio_new(t);
	if (bio == NULL)
		return anyc_fail(-ENOMEM, 0, "TLS: %s", anyc__tls_reason());
	SSL_set_bio(t->ssl, bio, bio);
	if (options->server) {
		SSL_set_accept_state(t->ssl);
		return 0;
	}
	SSL_set_connect_state(t->ssl);
	rc = expect_name(t->ssl, name, options);
	if (rc == 0)
		offer_session(t);
	return rc;
}

/* The peer's; 0: it has none. */
static unsigned port_of(struct anyc_stream *transport)
{
	struct anyc_address remote;

	return anyc_stream_attribute(transport, &anyc_attribute_remote_address, &remote,
				     sizeof remote) == 0
		       ? anyc_address_port(&remote)
		       : 0;
}

/* Where the name is known: the rest of the stream. */
static int make_stream(struct anyc__tls_stream **out, struct anyc_stream *transport,
		       const struct name *name, struct anyc_tls_context *context,
		       const struct anyc_tls_options *options)
{
	unsigned port = options->server ? 0 : port_of(transport);
	size_t length = strlen(name->text), key = length + sizeof ":65535";
	struct anyc__tls_stream *t = calloc(1, sizeof *t + length + 1 + key);
	int rc;

	if (t == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "TLS: no memory for a stream");
	memcpy(t->host, name->text, length);
	t->key = t->host + length + 1;
	snprintf(t->host + length + 1, key, "%s:%u", name->text, port);
	t->pid = getpid();
	t->input_size = ANYC__TLS_INPUT_SMALL;
	t->server = options->server;
	t->ragged_eof = options->ragged_eof;
	t->insecure = options->insecure_no_verification;
	t->handshake_timeout = options->handshake_timeout;
	t->settings = anyc__tls_context_settings(context);
	rc = set_up(t, name, options);
	if (rc != 0) {
		anyc__tls_destroy(t);
		return rc;
	}
	/* From here on it is counted, and must be freed as a stream. */
	anyc_stream_init(&t->head, &anyc__tls_ops);
	t->transport = transport;
	ANYC_IGNORE(anyc_stream_attribute(transport, &anyc__tls_attribute_self, &t->below,
					  sizeof t->below));
	t->below_sends = t->below != NULL && &t->below->head == transport;
	*out = t;
	return 0;
}

int anyc__tls_create(struct anyc__tls_stream **out, struct anyc_stream *transport,
		     const char *host, const struct anyc_tls_options *options)
{
	struct anyc_tls_context *context = options->context;
	struct name name = { "", false };
	int rc = 0;

	if (!options->server)
		rc = read_name(&name, host);
	else if (host != NULL)
		rc = anyc_fail(ANYC_EINVAL, 0, "a TLS server has no name to check: host is NULL");
	if (rc == 0 && context == NULL)
		rc = anyc__tls_default_context(&context);
	else if (rc == 0)
		anyc_tls_context_ref(context);
	if (rc != 0)
		return rc;
	rc = make_stream(out, transport, &name, context, options);
	anyc_tls_context_unref(context);
	return rc;
}

/* What was in the way of a call that found its stream closed is the closing. */
static int leave(struct anyc__tls_stream *t, bool waited, int rc, const char *call)
{
	if ((rc == ANYC_ECLOSED || rc == ANYC_EBROKEN) && t->closed)
		rc = anyc_fail(ANYC_ECLOSED, 0, "%s(): another task has closed the stream", call);
	return anyc__tls_leave(t, 0, waited, rc);
}

static int handshake_now(struct anyc__tls_stream *t)
{
	bool waited = false;
	int rc = anyc__tls_enter(t, 0);

	if (rc == 0)
		rc = anyc__tls_ready(t, 0, &waited);
	return leave(t, waited, rc, "anyc_tls_handshake");
}

static int wrap(struct anyc_stream **out, struct anyc_stream *transport, const char *host,
		const struct anyc_tls_options *options)
{
	struct anyc__tls_stream *t;
	int rc = anyc__tls_create(&t, transport, host, options);

	if (rc != 0)
		return rc;
	rc = handshake_now(t);
	if (rc != 0) {
		t->transport = NULL; /* still the caller's */
		anyc_stream_free(&t->head);
		return rc;
	}
	*out = &t->head;
	return 0;
}

int anyc_tls_wrap_sized(struct anyc_stream **out, struct anyc_stream *transport, const char *host,
			const struct anyc_tls_options *options, size_t size)
{
	struct anyc_tls_options o;
	int rc;

	if (out == NULL)
		return refuse_argument("anyc_tls_wrap", "there is no place for the stream");
	*out = NULL;
	if (transport == NULL)
		return refuse_argument("anyc_tls_wrap", "there is no stream to wrap");
	rc = may_wait();
	if (rc == 0)
		rc = anyc__tls_options_copy(&o, options, size);
	return rc == 0 ? wrap(out, transport, host, &o) : rc;
}

int anyc_tls_connect_sized(struct anyc_stream **out, const char *host, const char *port,
			   const struct anyc_tls_options *options, size_t size)
{
	struct anyc_stream *tcp = NULL;
	struct anyc_tls_options o;
	struct name name;
	int rc;

	if (out == NULL)
		return refuse_argument("anyc_tls_connect", "there is no place for the stream");
	*out = NULL;
	rc = may_wait();
	/* What the caller has got wrong is told before anything is sent. */
	if (rc == 0)
		rc = anyc__tls_options_copy(&o, options, size);
	if (rc == 0 && o.server)
		rc = anyc_fail(ANYC_EINVAL, 0, "anyc_tls_connect() makes a client: .server is set");
	if (rc == 0 && o.tcp != NULL && o.tcp_size == 0)
		rc = anyc_fail(ANYC_EINVAL, 0, "tcp_size is 0: it is sizeof *tcp");
	if (rc == 0)
		rc = read_name(&name, host);
	if (rc == 0)
		rc = anyc_tcp_connect_sized(&tcp, host, port, o.tcp, o.tcp_size);
	if (rc != 0)
		return rc;
	rc = wrap(out, tcp, host, &o);
	if (rc != 0)
		anyc_stream_free(tcp);
	return rc;
}

/* ---------------------------------------------------------------- calls on a TLS stream */

struct anyc__tls_stream *anyc__tls_cast(struct anyc_stream *s)
{
	return s != NULL && s->ops_ == &anyc__tls_ops ? (struct anyc__tls_stream *)s : NULL;
}

int anyc_tls_handshake(struct anyc_stream *s)
{
	struct anyc__tls_stream *t = anyc__tls_cast(s);

	if (t == NULL)
		return refuse_argument("anyc_tls_handshake", "it needs a TLS stream");
	if (t->closed)
		return refuse_state(ANYC_ECLOSED, "anyc_tls_handshake", "the stream was closed");
	if (t->head.moving_)
		return refuse_state(ANYC_EBUSY, "anyc_tls_handshake", "the stream is being moved");
	return handshake_now(t);
}

static int closing_handshake(struct anyc__tls_stream *t, bool *waited)
{
	int rc = anyc__tls_ready(t, 0, waited);

	if (rc == 0 && t->send_failure.rc != 0 && !t->peer_closed)
		rc = anyc__tls_fail_again(&t->send_failure);
	if (rc == 0)
		rc = anyc__tls_goodbye(t, 0, waited);
	if (rc == 0)
		rc = anyc__tls_await_goodbye(t, waited);
	if (rc == 0 && t->closed)
		rc = ANYC_ECLOSED;
	if (rc == 0 && t->inside > 1)
		rc = anyc_fail(ANYC_EBUSY, 0, "anyc_tls_unwrap(): a task is inside the stream");
	return rc;
}

/* What was received past the close is the caller's, in the block it was received into. */
static void hand_over(struct anyc__tls_stream *t, struct anyc_stream **transport, void **rest,
		      size_t *rest_size)
{
	size_t n = anyc__tls_buffer_used(&t->input);

	*transport = t->transport;
	t->transport = NULL;
	if (n == 0)
		return;
	memmove(t->input.data, t->input.data + t->input.start, n);
	*rest = t->input.data;
	*rest_size = n;
	memset(&t->input, 0, sizeof t->input);
}

int anyc_tls_unwrap(struct anyc_stream *s, struct anyc_stream **transport, void **rest,
		    size_t *rest_size)
{
	struct anyc__tls_stream *t = anyc__tls_cast(s);
	bool waited = false;
	int rc;

	if (transport == NULL || rest == NULL || rest_size == NULL)
		return refuse_argument("anyc_tls_unwrap", "there is no place for what it gives");
	*transport = NULL;
	*rest = NULL;
	*rest_size = 0;
	if (t == NULL)
		return refuse_argument("anyc_tls_unwrap", "it needs a TLS stream");
	if (t->closed)
		return refuse_state(ANYC_ECLOSED, "anyc_tls_unwrap", "the stream was closed");
	if (t->inside > 0)
		return refuse_state(ANYC_EBUSY, "anyc_tls_unwrap", "a task is inside the stream");
	rc = anyc__tls_enter(t, 0);
	if (rc == 0)
		rc = closing_handshake(t, &waited);
	if (rc == 0) {
		hand_over(t, transport, rest, rest_size);
		/* There is nothing left to close: it only marks the stream, and yields. */
		ANYC_IGNORE(anyc_stream_close(s));
		waited = true;
	}
	return leave(t, waited, rc, "anyc_tls_unwrap");
}

void anyc_tls_free_rest(void *rest)
{
	free(rest);
}

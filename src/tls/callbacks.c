/* SPDX-License-Identifier: MIT */
/*
 * What OpenSSL asks in the middle of a handshake.
 *
 * Rules
 *  - Nothing here waits: a call of OpenSSL is on the stack.
 *  - A server looks at the name in the client's first message before OpenSSL looks at anything:
 *    a session is taken up only under the settings of that name, which may ask more of clients.
 *  - A client that is asked to repeat its first message may not change the name in it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "tls.h"

/* ------------------------------------------------------------------------------------ names */

static size_t read_16(const unsigned char *data)
{
	return (size_t)data[0] << 8 | data[1];
}

/*
 * The name in the extension (RFC 6066): a list of one host name.  NULL: there is none, or it is
 * malformed, which OpenSSL will say.
 */
static const unsigned char *find_name(SSL *ssl, size_t *length)
{
	const unsigned char *data;
	size_t size;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1 ||
	    size < 5 || read_16(data) != size - 2 || data[2] != TLSEXT_NAMETYPE_host_name ||
	    read_16(data + 3) != size - 5)
		return NULL;
	*length = size - 5;
	if (*length < 1 || *length > TLSEXT_MAXLEN_host_name || memchr(data + 5, 0, *length))
		return NULL;
	return data + 5;
}

/* The name in lower case, in memory of its own; NULL: no memory. */
static char *read_name(SSL *ssl)
{
	size_t length = 0, i;
	const unsigned char *data = find_name(ssl, &length);
	char *name = malloc(length + 1);

	if (name == NULL)
		return NULL;
	for (i = 0; i < length; i++)
		name[i] = (char)(data[i] < 0x80 ? tolower(data[i]) : data[i]);
	name[length] = '\0';
	return name;
}

static int refuse(struct anyc__tls_stream *t, int rc, const char *text)
{
	t->refusal = rc;
	t->refusal_text = text;
	return SSL_CLIENT_HELLO_ERROR;
}

/* OpenSSL itself takes the certificate over, and leaves the rest as it was. */
static bool take_over(SSL *ssl, SSL_CTX *ctx)
{
	uint64_t tickets = SSL_CTX_get_options(ctx) & SSL_OP_NO_TICKET;

	if (SSL_set_SSL_CTX(ssl, ctx) == NULL)
		return false;
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), NULL);
	SSL_clear_options(ssl, SSL_OP_NO_TICKET);
	SSL_set_options(ssl, tickets);
	return SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(ctx)) == 1 &&
	       SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(ctx)) == 1 &&
	       SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx)) == 1;
}

static int go_on_with(struct anyc__tls_stream *t, SSL *ssl, struct anyc_tls_context *chosen)
{
	struct anyc__tls_settings *settings;

	if (!chosen->server)
		return refuse(t, ANYC_EINVAL, "a client's context was chosen for a server");
	settings = anyc__tls_context_settings(chosen);
	if (!take_over(ssl, settings->ssl)) {
		anyc__tls_settings_unref(settings);
		return refuse(t, -ENOMEM, "no memory");
	}
	anyc__tls_settings_unref(t->settings);
	t->settings = settings;
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int choose(struct anyc__tls_stream *t, SSL *ssl, int *alert)
{
	struct anyc_tls_context *chosen = NULL;
	int rc = t->settings->choose(t->settings->choose_arg, t->asked, &chosen);

	if (rc < 0) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		rc = refuse(t, ANYC_ETLS, "the name that it asks for is not served");
	} else if (chosen != NULL) {
		rc = go_on_with(t, ssl, chosen);
	} else {
		rc = SSL_CLIENT_HELLO_SUCCESS;
	}
	anyc_tls_context_unref(chosen);
	return rc;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct anyc__tls_stream *t = anyc__tls_of(ssl);
	char *name = read_name(ssl);
	bool same;

	(void)arg;
	*alert = SSL_AD_INTERNAL_ERROR;
	if (name == NULL)
		return refuse(t, -ENOMEM, "no memory");
	if (t->asked == NULL) {
		t->asked = name;
		if (t->settings->choose != NULL)
			return choose(t, ssl, alert);
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	same = strcmp(t->asked, name) == 0;
	free(name);
	if (same)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_ILLEGAL_PARAMETER;
	return refuse(t, ANYC_ETLS, "it asks for another name the second time");
}

/* ------------------------------------------------------------------------------------- ALPN */

static bool offers(const unsigned char *list, size_t size, const unsigned char *protocol)
{
	size_t i;

	for (i = 0; i < size; i += (size_t)list[i] + 1)
		if (list[i] == protocol[0] && memcmp(list + i + 1, protocol + 1, list[i]) == 0)
			return true;
	return false;
}

/* OpenSSL has checked the client's list.  Only asked if there is one. */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *size,
			const unsigned char *in, unsigned in_size, void *arg)
{
	const struct anyc__tls_settings *s = anyc__tls_of(ssl)->settings;
	size_t i;

	(void)arg;
	for (i = 0; i < s->protocols_size; i += (size_t)s->protocols[i] + 1)
		if (offers(in, in_size, s->protocols + i)) {
			*out = s->protocols + i + 1;
			*size = s->protocols[i];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ------------------------------------------------------------------------- sessions and keys */

/* 1: the reference is ours. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct anyc__tls_stream *t = anyc__tls_of(ssl);

	return !t->insecure && anyc__tls_sessions_put(t->settings->sessions, t->key, session);
}

static void on_key(const SSL *ssl, const char *line)
{
	const struct anyc__tls_settings *s = anyc__tls_of(ssl)->settings;
	struct iovec both[2] = {
		{ .iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line) },
		{ .iov_base = (void *)(uintptr_t)"\n", .iov_len = 1 },
	};

	if (s->keylog != NULL)
		s->keylog(s->keylog_arg, line);
	/* In one piece, as other threads and processes may write to it.  It is only a log. */
	if (s->keylog_fd >= 0)
		ANYC_IGNORE(writev(s->keylog_fd, both, 2));
}

void anyc__tls_set_callbacks(const struct anyc__tls_settings *s, bool server)
{
	if (server)
		SSL_CTX_set_client_hello_cb(s->ssl, on_client_hello, NULL);
	if (server && s->protocols != NULL)
		SSL_CTX_set_alpn_select_cb(s->ssl, on_protocols, NULL);
	if (s->sessions != NULL)
		SSL_CTX_sess_set_new_cb(s->ssl, on_session);
	if (s->keylog != NULL || s->keylog_fd >= 0)
		SSL_CTX_set_keylog_callback(s->ssl, on_key);
}

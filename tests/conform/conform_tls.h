/* SPDX-License-Identifier: MIT */
/* What the files of TLS tests share: contexts with fresh certificates, and connected streams. */
#ifndef ANYC_TEST_CONFORM_TLS_H
#define ANYC_TEST_CONFORM_TLS_H

#include "conform.h"
#include "lib/certs.h"
#include "lib/pair.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <anyc/tls.h>
#include <anyc/tls_openssl.h>

struct fixture {
	struct certs certs;
	struct anyc_tls_context *client, *server;
};

UNUSED static void fixture_make(struct fixture *f)
{
	struct certs_spec good = { .names = "DNS:localhost,IP:127.0.0.1" };
	const char *pem;

	certs_make(&f->certs);
	pem = certs_add(&f->certs, &good);
	CHECK_OK(anyc_tls_client_context(&f->client, f->certs.ca));
	CHECK_OK(anyc_tls_server_context(&f->server, pem, pem));
}

/* OpenSSL's contexts. */
#define SSL_OF_CLIENT(f) anyc_tls_context_openssl((f)->client)
#define SSL_OF_SERVER(f) anyc_tls_context_openssl((f)->server)

/* No peer of this server speaks anything newer. */
UNUSED static void fixture_newest(struct fixture *f, int version)
{
	CHECK(SSL_CTX_set_max_proto_version(SSL_OF_SERVER(f), version) == 1);
}

/* A context of options that are good; its reference is the caller's. */
UNUSED static struct anyc_tls_context *context_of(const struct anyc_tls_context_options *o)
{
	struct anyc_tls_context *ctx;
	int rc = anyc_tls_context_new(&ctx, o);

	if (rc != 0)
		FAIL("%s: %s", anyc_err_name(rc), anyc_error_detail(rc));
	return ctx;
}
/* Others in place of the fixture's. */
UNUSED static void fixture_client(struct fixture *f, const struct anyc_tls_context_options *o)
{
	anyc_tls_context_unref(f->client);
	f->client = context_of(o);
}
UNUSED static void fixture_server(struct fixture *f, const struct anyc_tls_context_options *o)
{
	anyc_tls_context_unref(f->server);
	f->server = context_of(o);
}

UNUSED static void fixture_end(struct fixture *f)
{
	anyc_tls_context_unref(f->client);
	anyc_tls_context_unref(f->server);
	certs_remove(&f->certs);
}

/* One side's wrap, as a task. */
struct shake {
	struct anyc_stream *stream; /* what came of it, or NULL */
	struct anyc_stream *below;
	const char *host;
	struct anyc_tls_options options;
	int rc;
	char detail[200];
};
UNUSED static int shake(void *arg)
{
	struct shake *s = arg;

	s->rc = anyc_tls_wrap(&s->stream, s->below, s->host, &s->options);
	snprintf(s->detail, sizeof s->detail, "%s", anyc_error_detail(s->rc));
	CHECK((s->rc == 0) == (s->stream != NULL));
	return 0;
}

/* Two sides of a connection; the streams below belong to those above once these are there. */
struct link {
	struct shake client, server;
};
/* Over any two streams that are connected. */
UNUSED static void link_prepare_over(struct link *l, const struct fixture *f,
				     struct anyc_stream *client, struct anyc_stream *server)
{
	memset(l, 0, sizeof *l);
	l->client.below = client;
	l->server.below = server;
	l->client.host = "localhost";
	l->client.options.context = f->client;
	l->server.options.context = f->server;
	l->server.options.server = true;
}
UNUSED static void link_prepare(struct link *l, const struct fixture *f,
				const struct pair_options *options)
{
	struct anyc_stream *client, *server;

	pair_make(&client, &server, options);
	link_prepare_over(l, f, client, server);
}
UNUSED static void link_shake(struct link *l)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, shake, &l->server));
	CHECK_OK(shake(&l->client));
	CHECK_OK(anyc_group_leave(&g, 0));
}
UNUSED static void link_over(struct link *l, const struct fixture *f, struct anyc_stream *client,
			     struct anyc_stream *server)
{
	link_prepare_over(l, f, client, server);
	link_shake(l);
	if (l->client.rc != 0 || l->server.rc != 0)
		FAIL("client: %s; server: %s", l->client.detail, l->server.detail);
}
UNUSED static void link_make(struct link *l, const struct fixture *f,
			     const struct pair_options *options)
{
	struct anyc_stream *client, *server;

	pair_make(&client, &server, options);
	link_over(l, f, client, server);
}
UNUSED static void shake_free(struct shake *s)
{
	anyc_stream_free(s->stream != NULL ? s->stream : s->below);
	s->stream = s->below = NULL;
}
UNUSED static void link_free(struct link *l)
{
	shake_free(&l->client);
	shake_free(&l->server);
}

/* A fact of a stream that is a flag, or a text that is the caller's to have room for. */
UNUSED static bool flag_of(struct anyc_stream *s, const struct anyc_attribute *attribute)
{
	bool flag;

	CHECK_OK(anyc_stream_attribute(s, attribute, &flag, sizeof flag));
	return flag;
}
UNUSED static void check_text_of(struct anyc_stream *s, const struct anyc_attribute *attribute,
				 const char *expected)
{
	char text[256];

	CHECK_OK(anyc_stream_attribute(s, attribute, text, attribute->size));
	CHECK_STR(text, expected);
}

/* Both sides close, the client having read what the server sent last. */
UNUSED static void link_close(struct link *l)
{
	char c;

	CHECK_OK(anyc_stream_send(l->server.stream, "x", 1));
	CHECK_RC(anyc_stream_receive(l->client.stream, &c, 1), 1);
	CHECK_OK(anyc_stream_close(l->client.stream));
	CHECK_RC(anyc_stream_receive(l->server.stream, &c, 1), 0);
	CHECK_OK(anyc_stream_close(l->server.stream));
	link_free(l);
}

UNUSED static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* Sends back what it receives, up to the end. */
UNUSED static int echo(void *arg)
{
	struct anyc_stream *s = arg;
	unsigned char buf[20000];
	int n;

	while ((n = anyc_stream_receive(s, buf, sizeof buf)) > 0) {
		int rc = anyc_stream_send(s, buf, (size_t)n);

		if (rc != 0)
			return rc;
	}
	return n;
}

/* A transfer in one direction, as a task: bytes that depend on their place. */
struct transfer {
	struct anyc_stream *stream;
	size_t size, piece; /* all, and at once */
	size_t done;
	uint64_t hash; /* of what was moved */
	int rc;
};
static inline unsigned char transfer_byte(size_t i)
{
	return (unsigned char)((i * 2654435761u) >> 13);
}
static inline uint64_t transfer_hash(uint64_t hash, const unsigned char *data, size_t n)
{
	size_t i;

	if (hash == 0)
		hash = UINT64_C(14695981039346656037);
	for (i = 0; i < n; i++)
		hash = (hash ^ data[i]) * UINT64_C(1099511628211);
	return hash;
}
UNUSED static int transfer_out(void *arg)
{
	struct transfer *t = arg;
	unsigned char *buf = malloc(t->piece);
	size_t i, n;

	CHECK(buf != NULL);
	while (t->rc == 0 && t->done < t->size) {
		n = t->size - t->done < t->piece ? t->size - t->done : t->piece;
		for (i = 0; i < n; i++)
			buf[i] = transfer_byte(t->done + i);
		t->rc = anyc_stream_send(t->stream, buf, n);
		n = anyc_stream_sent(t->stream);
		t->hash = transfer_hash(t->hash, buf, n);
		t->done += n;
	}
	free(buf);
	return 0;
}
UNUSED static int transfer_in(void *arg)
{
	struct transfer *t = arg;
	unsigned char *buf = malloc(t->piece);
	int n = 0;

	CHECK(buf != NULL);
	while (t->done < t->size && (n = anyc_stream_receive(t->stream, buf, t->piece)) > 0) {
		t->hash = transfer_hash(t->hash, buf, (size_t)n);
		t->done += (size_t)n;
	}
	t->rc = n < 0 ? n : 0;
	free(buf);
	return 0;
}

/* Says something and hears it on the other side. */
UNUSED static void check_talk(struct anyc_stream *from, struct anyc_stream *to)
{
	struct anyc_group g;
	struct transfer out = { .stream = from, .size = 40000, .piece = 40000 };
	struct transfer in = { .stream = to, .size = 40000, .piece = 7000 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, transfer_out, &out));
	CHECK_OK(transfer_in(&in));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(out.rc);
	CHECK_OK(in.rc);
	CHECK_INT(in.done, ==, out.done);
	CHECK(in.hash == out.hash);
}

#endif

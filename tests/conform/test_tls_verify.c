/* SPDX-License-Identifier: MIT */
/*
 * Whom TLS trusts: the truth table of certificates and names, the floor, contexts and options.
 * Each row is here because OpenSSL's own default connects, or because ours once might.
 */
#include "conform_tls.h"

/* ------------------------------------------------------------------------------ truth table */

struct row {
	const char *what;
	struct certs_spec spec;
	const char *host;
	int rc;
	const char *sentence; /* part of it */
};

#define MISMATCH   "ostname mismatch"
#define NO_ADDRESS "IP address mismatch"

static const struct row table[] = {
	{ "the right name", { .names = "DNS:localhost" }, "localhost", 0, "" },
	{ "in capitals", { .names = "DNS:localhost" }, "LocalHost", 0, "" },
	{ "the root's dot", { .names = "DNS:localhost" }, "localhost.", 0, "" },
	{ "two dots", { .names = "DNS:localhost" }, "localhost..", ANYC_EVERIFY, MISMATCH },
	{ "a wrong name", { .names = "DNS:a.test" }, "localhost", ANYC_EVERIFY, MISMATCH },
	{ "expired", { .names = "DNS:localhost", .from_days = -3, .to_days = -1 }, "localhost",
	  ANYC_EVERIFY, "expired" },
	{ "not yet valid", { .names = "DNS:localhost", .from_days = 1, .to_days = 3 }, "localhost",
	  ANYC_EVERIFY, "not yet valid" },
	{ "CN only", { .common_name = "localhost" }, "localhost", ANYC_EVERIFY, MISMATCH },
	{ "CN beside an address", { .common_name = "localhost", .names = "IP:127.0.0.1" },
	  "localhost", ANYC_EVERIFY, MISMATCH },
	{ "no name at all", { .names = NULL }, "localhost", ANYC_EVERIFY, MISMATCH },
	{ "wildcard", { .names = "DNS:*.a.test" }, "b.a.test", 0, "" },
	{ "wildcard, two labels", { .names = "DNS:*.a.test" }, "c.b.a.test", ANYC_EVERIFY,
	  MISMATCH },
	{ "wildcard, no label", { .names = "DNS:*.a.test" }, "a.test", ANYC_EVERIFY, MISMATCH },
	{ "half a wildcard", { .names = "DNS:w*.a.test" }, "www.a.test", ANYC_EVERIFY, MISMATCH },
	{ "address", { .names = "IP:127.0.0.1" }, "127.0.0.1", 0, "" },
	{ "another address", { .names = "IP:127.0.0.2" }, "127.0.0.1", ANYC_EVERIFY, NO_ADDRESS },
	{ "address as a name", { .names = "DNS:127.0.0.1" }, "127.0.0.1", ANYC_EVERIFY,
	  NO_ADDRESS },
	{ "IPv6", { .names = "IP:::1" }, "::1", 0, "" },
	{ "IPv6 with a scope", { .names = "IP:fe80::1" }, "fe80::1%lo", 0, "" },
	{ "self-signed", { .names = "DNS:localhost", .issuer = CERTS_BY_ITSELF }, "localhost",
	  ANYC_EVERIFY, "self" },
	{ "another CA", { .names = "DNS:localhost", .issuer = CERTS_BY_OTHER_CA }, "localhost",
	  ANYC_EVERIFY, "local issuer" },
};

/* The server learns of a refusal by an alert, and the transport is still there. */
static void check_refused(struct link *l, const struct row *row)
{
	CHECK_HAS(l->client.detail, row->sentence);
	CHECK_HAS(l->client.detail, "the certificate of ");
	CHECK_RC(l->server.rc, ANYC_ETLS);
	CHECK_HAS(l->server.detail, "alert");
	CHECK(!pair_peer_closed(l->server.below));
	CHECK_OK(anyc_stream_send(l->client.below, "x", 1));
}

ANYC_TEST(tls, b148_truth_table_of_certificates, .deadline = 20)
{
	struct fixture f;
	size_t i;

	fixture_make(&f);
	for (i = 0; i < sizeof table / sizeof *table; i++) {
		const char *pem = certs_add(&f.certs, &table[i].spec);
		struct link l;

		anyc_tls_context_unref(f.server);
		CHECK_OK(anyc_tls_server_context(&f.server, pem, pem));
		link_prepare(&l, &f, NULL);
		l.client.host = table[i].host;
		link_shake(&l);
		if (l.client.rc != table[i].rc)
			FAIL("%s: %s (%s)", table[i].what, anyc_err_name(l.client.rc),
			     l.client.detail);
		if (table[i].rc == 0)
			CHECK_OK(l.server.rc);
		else
			check_refused(&l, &table[i]);
		link_free(&l);
	}
	fixture_end(&f);
}

ANYC_TEST(tls, b148_a_refused_name_sends_nothing)
{
	static const char *const names[] = {
		NULL, "", ".", "..", ".example.test", "b\xc3\xbc" "cher.test", "a b", "a\nb", "1:2",
		"[::1]", "%lo:1",
	};
	struct fixture f;
	struct link l;
	size_t i;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		struct anyc_stream *s = l.client.below;

		CHECK_RC(anyc_tls_wrap(&s, l.client.below, names[i], &l.client.options),
			 ANYC_EINVAL);
		CHECK(s == NULL);
		CHECK(strcmp(anyc_error_detail(ANYC_EINVAL), anyc_strerror(ANYC_EINVAL)) != 0);
		CHECK_RC(anyc_tls_connect(&s, names[i], "1", &l.client.options), ANYC_EINVAL);
		CHECK(s == NULL);
	}
	CHECK_RC(anyc_tls_wrap(&l.client.stream, l.client.below, names[5], NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "A-label");
	CHECK_RC(anyc_tls_wrap(&l.client.stream, l.client.below, NULL, NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "needs the name");
	CHECK_INT(counts_of(l.client.below).sends, ==, 0);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b148_no_verification_only_when_told_so)
{
	struct certs_spec spec = { .names = "DNS:wrong.test", .issuer = CERTS_BY_ITSELF };
	struct fixture f;
	const char *pem;
	struct link l;

	fixture_make(&f);
	pem = certs_add(&f.certs, &spec);
	anyc_tls_context_unref(f.server);
	CHECK_OK(anyc_tls_server_context(&f.server, pem, pem));
	link_prepare(&l, &f, NULL);
	l.client.options.insecure_no_verification = true;
	link_shake(&l);
	CHECK_OK(l.client.rc);
	check_talk(l.client.stream, l.server.stream);
	link_free(&l);

	/* It does not stay in the context. */
	link_prepare(&l, &f, NULL);
	link_shake(&l);
	CHECK_RC(l.client.rc, ANYC_EVERIFY);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, b148_server_name_is_sent_for_names_only)
{
	static const struct {
		const char *host, *sent;
	} cases[] = { { "localhost.", "localhost" }, { "127.0.0.1", NULL } };
	struct fixture f;
	size_t i;

	fixture_make(&f);
	for (i = 0; i < 2; i++) {
		struct link l;
		const SSL *ssl;

		link_prepare(&l, &f, NULL);
		l.client.host = cases[i].host;
		link_shake(&l);
		CHECK_OK(l.client.rc);
		ssl = anyc_tls_stream_openssl(l.server.stream);
		CHECK_STR(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), cases[i].sent);
		link_free(&l);
	}
	fixture_end(&f);
}

/* ---------------------------------------------------------------------------------- floor */

/* Security level 0 takes away the other reason to refuse TLS 1.1. */
static void speak_old(SSL_CTX *ssl)
{
	CHECK(SSL_CTX_set_cipher_list(ssl, "DEFAULT:@SECLEVEL=0") == 1);
}

ANYC_TEST(tls, c14_peer_with_tls_1_1_is_refused)
{
	struct fixture f;
	struct link l;
	int floor;

	fixture_make(&f);
	speak_old(SSL_OF_CLIENT(&f));
	speak_old(SSL_OF_SERVER(&f));
	for (floor = 0; floor < 2; floor++) {
		CHECK(SSL_CTX_set_min_proto_version(SSL_OF_SERVER(&f), TLS1_1_VERSION) == 1);
		CHECK(SSL_CTX_set_max_proto_version(SSL_OF_SERVER(&f), TLS1_1_VERSION) == 1);
		/* Without our floor the two would connect: the test can tell. */
		if (floor == 1)
			CHECK(SSL_CTX_set_min_proto_version(SSL_OF_CLIENT(&f),
							    TLS1_1_VERSION) == 1);
		link_prepare(&l, &f, NULL);
		link_shake(&l);
		CHECK_RC(l.client.rc, floor == 0 ? ANYC_ETLS : 0);
		if (floor == 0)
			CHECK_HAS(l.client.detail, "protocol version");
		link_free(&l);
	}
	fixture_end(&f);
}

ANYC_TEST(tls, c14_defaults_of_contexts)
{
	struct fixture f;
	uint64_t options;

	fixture_make(&f);
	options = SSL_CTX_get_options(SSL_OF_CLIENT(&f)) & SSL_CTX_get_options(SSL_OF_SERVER(&f));
	CHECK(options & SSL_OP_NO_RENEGOTIATION);
	CHECK(!((SSL_CTX_get_options(SSL_OF_CLIENT(&f)) | SSL_CTX_get_options(SSL_OF_SERVER(&f))) &
		SSL_OP_IGNORE_UNEXPECTED_EOF));
	CHECK_INT(SSL_CTX_get_min_proto_version(SSL_OF_CLIENT(&f)), >=, TLS1_2_VERSION);
	CHECK_INT(SSL_CTX_get_min_proto_version(SSL_OF_SERVER(&f)), >=, TLS1_2_VERSION);
	CHECK_INT(SSL_CTX_get_verify_mode(SSL_OF_CLIENT(&f)), ==, SSL_VERIFY_PEER);
	CHECK_INT(SSL_CTX_get_session_cache_mode(SSL_OF_CLIENT(&f)), ==, SSL_SESS_CACHE_OFF);
	fixture_end(&f);
}

/* ------------------------------------------------------------------------------- contexts */

/* The address that a context would have, so that a failure must reset it. */
#define NOT_NULL ((struct anyc_tls_context *)1)

static void check_client_context(const char *ca, int rc, const char *sentence)
{
	struct anyc_tls_context *ctx = NOT_NULL;

	CHECK_RC(anyc_tls_client_context(&ctx, ca), rc);
	CHECK(ctx == NULL);
	CHECK_HAS(anyc_error_detail(rc), sentence);
}

static void check_server_context(const char *chain, const char *key, int rc, const char *sentence)
{
	struct anyc_tls_context *ctx = NOT_NULL;

	CHECK_RC(anyc_tls_server_context(&ctx, chain, key), rc);
	CHECK(ctx == NULL);
	CHECK_HAS(anyc_error_detail(rc), sentence);
}

ANYC_TEST(tls, r16_contexts_say_what_is_wrong)
{
	struct certs_spec secret = { .names = "DNS:localhost", .passphrase = true };
	struct certs_spec plain = { .names = "DNS:localhost" };
	char first[96], second[96];
	struct fixture f;

	fixture_make(&f);
	snprintf(first, sizeof first, "%s", certs_add(&f.certs, &plain));
	snprintf(second, sizeof second, "%s", certs_add(&f.certs, &plain));
	check_client_context("/nonexistent/ca.pem", ANYC_ETLS, "/nonexistent/ca.pem");
	check_client_context("/dev/null", ANYC_ETLS, "/dev/null");
	check_client_context("", ANYC_EINVAL, "empty");
	check_server_context(NULL, first, ANYC_EINVAL, "chain");
	check_server_context("/nonexistent/a.pem", first, ANYC_ETLS, "No such file");
	check_server_context(first, "/nonexistent/b.pem", ANYC_ETLS, "/nonexistent/b.pem");
	check_server_context(first, second, ANYC_ETLS, "mismatch");
	/* Asking on the terminal would hang here. */
	snprintf(first, sizeof first, "%s", certs_add(&f.certs, &secret));
	check_server_context(first, first, ANYC_ETLS, "private key in");
	fixture_end(&f);
}

ANYC_TEST(tls, c14_default_context_fails_when_nobody_is_trusted)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	setenv("SSL_CERT_FILE", "/nonexistent/file", 1);
	setenv("SSL_CERT_DIR", "/nonexistent/one:/nonexistent/two", 1);
	check_client_context(NULL, ANYC_ETLS, "no trusted certificates");
	link_prepare(&l, &f, NULL);
	l.client.options.context = NULL;
	CHECK_RC(anyc_tls_wrap(&l.client.stream, l.client.below, "localhost", NULL), ANYC_ETLS);
	CHECK_HAS(anyc_error_detail(ANYC_ETLS), "no trusted certificates");
	CHECK_INT(counts_of(l.client.below).sends, ==, 0);

	/* The failure was not kept. */
	setenv("SSL_CERT_FILE", f.certs.ca, 1);
	link_shake(&l);
	CHECK_OK(l.client.rc);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, r16_contexts_and_options_that_do_not_fit)
{
	struct anyc_tls_options o = { 0 };
	struct anyc_listener *listener = NULL;
	struct anyc_stream *s;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	o.context = f.server;
	CHECK_RC(anyc_tls_wrap(&s, l.client.below, "localhost", &o), ANYC_EINVAL);
	o.context = f.client;
	o.server = true;
	CHECK_RC(anyc_tls_wrap(&s, l.client.below, NULL, &o), ANYC_EINVAL);
	o.context = NULL;
	CHECK_RC(anyc_tls_wrap(&s, l.client.below, NULL, &o), ANYC_EINVAL);
	o.context = f.server;
	CHECK_RC(anyc_tls_wrap(&s, l.client.below, "localhost", &o), ANYC_EINVAL);
	CHECK_RC(anyc_tls_connect(&s, "localhost", "1", &o), ANYC_EINVAL);
	CHECK_RC(anyc_tls_wrap(&s, NULL, NULL, &o), ANYC_EINVAL);
	o.handshake_timeout = -1;
	CHECK_RC(anyc_tls_wrap(&s, l.client.below, NULL, &o), ANYC_EINVAL);
	CHECK_RC(anyc_tls_listener(&listener, NULL, &o), ANYC_EINVAL);
	CHECK(listener == NULL);
	CHECK_RC(anyc_tls_handshake(l.client.below), ANYC_EINVAL);
	CHECK_INT(counts_of(l.client.below).sends, ==, 0);
	link_free(&l);
	fixture_end(&f);
}

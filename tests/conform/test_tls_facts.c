/* SPDX-License-Identifier: MIT */
/* What TLS streams know of their connections: attributes, keying material, channel bindings. */
#include "conform_tls.h"

#include <openssl/sha.h>

/* A server that asks for certificates, and a client that has one. */
static void fixture_mutual(struct fixture *f, const char *names, int version)
{
	struct certs_spec spec = { .common_name = "me, myself", .names = names };
	struct certs_spec good = { .common_name = "server", .names = "DNS:localhost" };
	struct anyc_tls_context_options client = { 0 }, server = {
		.server = true, .verify_client = ANYC_TLS_VERIFY_CLIENT_OPTIONAL,
	};
	char pem[96];

	fixture_make(f);
	client.ca_file = server.ca_file = f->certs.ca;
	snprintf(pem, sizeof pem, "%s", certs_add(&f->certs, &good));
	server.chain_file = server.key_file = pem;
	fixture_server(f, &server);
	if (names != NULL)
		client.chain_file = client.key_file = certs_add(&f->certs, &spec);
	fixture_client(f, &client);
	fixture_newest(f, version);
}

static void check_names(struct anyc_stream *s, const char *const *expected)
{
	const char *const *names;
	size_t i;

	CHECK_OK(anyc_stream_attribute(s, &anyc_tls_attribute_peer_names, &names, sizeof names));
	for (i = 0; expected[i] != NULL; i++)
		CHECK_STR(names[i], expected[i]);
	CHECK(names[i] == NULL);
}

/* The first 4096 are told, and everything else of the certificate. */
ANYC_TEST(tls, g12_more_names_than_are_told)
{
	static char all[4200 * 12];
	const char *const *names, *subject;
	struct fixture f;
	struct link l;
	size_t at = 0;
	int i;

	for (i = 0; i < 4200; i++)
		at += (size_t)snprintf(all + at, sizeof all - at, "%sDNS:n%04d", i > 0 ? "," : "",
				       i);
	fixture_mutual(&f, all, ANYC_TLS_1_3);
	link_make(&l, &f, NULL);
	CHECK_OK(anyc_stream_attribute(l.server.stream, &anyc_tls_attribute_peer_subject, &subject,
				       sizeof subject));
	CHECK_OK(anyc_stream_attribute(l.server.stream, &anyc_tls_attribute_peer_names, &names,
				       sizeof names));
	CHECK_STR(names[4095], "DNS:n4095");
	CHECK(names[4096] == NULL);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, g12_certificate_of_the_peer)
{
	static const char *const all = "DNS:a.test,DNS:x y\\z,email:me@a.test,URI:http://a/,"
				       "IP:127.0.0.1,IP:::1,RID:1.2.3";
	static const char *const printed[] = {
		"DNS:a.test", "DNS:x\\x20y\\x5cz", "email:me@a.test", "URI:http://a/",
		"IP:127.0.0.1", "IP:::1", NULL,
	};
	static const char *const server_names[] = { "DNS:localhost", NULL };
	struct anyc_tls_bytes der, again;
	const unsigned char *place;
	const char *subject;
	struct fixture f;
	struct link l;
	size_t v;
	X509 *cert;

	for (v = 0; v < 2; v++) {
		fixture_mutual(&f, all, versions[v]);
		link_make(&l, &f, NULL);
		check_names(l.server.stream, printed);
		check_names(l.client.stream, server_names);
		CHECK_OK(anyc_stream_attribute(l.server.stream, &anyc_tls_attribute_peer_subject,
					       &subject, sizeof subject));
		CHECK_STR(subject, "CN=me\\, myself");
		CHECK_OK(anyc_stream_attribute(l.client.stream,
					       &anyc_tls_attribute_peer_certificate, &der,
					       sizeof der));
		place = der.data;
		cert = d2i_X509(NULL, &place, (long)der.size);
		CHECK(cert != NULL && place == (const unsigned char *)der.data + der.size);
		CHECK(X509_cmp(cert, SSL_get0_peer_certificate(
					     anyc_tls_stream_openssl(l.client.stream))) == 0);
		X509_free(cert);
		/* The same place, also once the stream is closed. */
		CHECK_OK(anyc_stream_close(l.client.stream));
		CHECK_RC(anyc_stream_attribute(l.client.stream,
					       &anyc_tls_attribute_peer_certificate, &again,
					       sizeof again), ANYC_ECLOSED);
		CHECK(((const unsigned char *)der.data)[0] == 0x30);
		link_free(&l);
		fixture_end(&f);
	}
}

ANYC_TEST(tls, g12_peer_without_a_certificate)
{
	static const struct anyc_attribute *const of_peer[] = {
		&anyc_tls_attribute_peer_certificate, &anyc_tls_attribute_peer_subject,
		&anyc_tls_attribute_peer_names,
	};
	struct fixture f;
	struct link l;
	size_t v, i;
	char out[64];

	for (v = 0; v < 2; v++) {
		fixture_mutual(&f, NULL, versions[v]);
		link_make(&l, &f, NULL);
		for (i = 0; i < 3; i++)
			CHECK_RC(anyc_stream_attribute(l.server.stream, of_peer[i], out,
						       of_peer[i]->size), ANYC_ENOATTR);
		CHECK_HAS(anyc_error_detail(ANYC_ENOATTR), "no certificate");
		link_free(&l);
		fixture_end(&f);
	}
}

ANYC_TEST(tls, g12_facts_of_a_connection)
{
	struct fixture f;
	struct link l;
	size_t v;
	int i;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		for (i = 0; i < 2; i++) {
			const char *name = i == 0 ? "localhost" : "";

			link_prepare(&l, &f, NULL);
			l.client.host = i == 0 ? "localhost." : "127.0.0.1";
			link_shake(&l);
			CHECK_OK(l.client.rc);
			check_text_of(l.client.stream, &anyc_tls_attribute_server_name, name);
			check_text_of(l.server.stream, &anyc_tls_attribute_server_name, name);
			check_text_of(l.client.stream, &anyc_tls_attribute_alpn, "");
			CHECK(!flag_of(l.client.stream, &anyc_tls_attribute_resumed));
			link_free(&l);
		}
		fixture_end(&f);
	}
}

/* -------------------------------------------------------------------------- keying material */

/* The same at both ends, and as long as asked for. */
static void derive(unsigned char out[32], const struct link *l, const char *label,
		   const void *context, size_t size)
{
	unsigned char other[33];

	memset(other, 0x55, sizeof other);
	CHECK_OK(anyc_tls_export(l->client.stream, out, 32, label, context, size));
	CHECK_OK(anyc_tls_export(l->server.stream, other, 32, label, context, size));
	CHECK(memcmp(out, other, 32) == 0);
	CHECK(other[32] == 0x55);
}

ANYC_TEST(tls, g12_exported_keys)
{
	unsigned char key[5][32];
	struct fixture f;
	struct link l;
	size_t v;
	int i, k;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		derive(key[0], &l, "EXPORTER-one", NULL, 0);
		derive(key[1], &l, "EXPORTER-two", NULL, 0);
		derive(key[2], &l, "EXPORTER-one", "context", 7);
		derive(key[3], &l, "EXPORTER-one", "", 0);
		/* None is an empty one in TLS 1.3 alone. */
		CHECK((memcmp(key[0], key[3], 32) == 0) == (versions[v] == TLS1_3_VERSION));
		link_free(&l);
		link_make(&l, &f, NULL);
		derive(key[4], &l, "EXPORTER-one", NULL, 0);
		for (i = 0; i < 5; i++)
			for (k = 0; k < i; k++)
				CHECK((i == 3 && k == 0) || memcmp(key[i], key[k], 32) != 0);
		link_free(&l);
		fixture_end(&f);
	}
}

/* The first Finished message, which both sides have; who resumes begins the other way round. */
ANYC_TEST(tls, g12_unique_to_a_connection)
{
	struct anyc_tls_context_options client = { .sessions = 10 };
	unsigned char ours[2][64], theirs[64];
	struct fixture f;
	struct link l;
	int i;

	fixture_make(&f);
	client.ca_file = f.certs.ca;
	fixture_client(&f, &client);
	fixture_newest(&f, TLS1_2_VERSION);
	for (i = 0; i < 2; i++) {
		link_make(&l, &f, NULL);
		CHECK(flag_of(l.client.stream, &anyc_tls_attribute_resumed) == (i == 1));
		CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-unique", ours[i], 11),
			 ANYC_EINVAL);
		CHECK_INT(anyc_tls_channel_binding(l.client.stream, "tls-unique", ours[i], 64), ==,
			  12);
		CHECK_INT(anyc_tls_channel_binding(l.server.stream, "tls-unique", theirs, 64), ==,
			  12);
		CHECK(memcmp(ours[i], theirs, 12) == 0);
		/* As OpenSSL has it: the client's own, if it was a whole handshake. */
		CHECK_INT((i == 0 ? SSL_get_finished : SSL_get_peer_finished)(
				  anyc_tls_stream_openssl(l.client.stream), theirs, 64), ==, 12);
		CHECK(memcmp(ours[i], theirs, 12) == 0);
		link_close(&l);
	}
	CHECK(memcmp(ours[0], ours[1], 12) != 0);
	fixture_end(&f);
}

ANYC_TEST(tls, g12_ciphers_that_both_know)
{
	char list[1024];
	struct fixture f;
	struct link l;
	size_t v;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		CHECK_OK(anyc_stream_attribute(l.server.stream,
					       &anyc_tls_attribute_shared_ciphers, list,
					       sizeof list));
		CHECK_HAS(list, SSL_get_cipher_name(anyc_tls_stream_openssl(l.client.stream)));
		CHECK_RC(anyc_stream_attribute(l.client.stream,
					       &anyc_tls_attribute_shared_ciphers, list,
					       sizeof list), ANYC_ENOATTR);
		CHECK_HAS(anyc_error_detail(ANYC_ENOATTR), "only a server");
		CHECK_STR(list, "");
		link_free(&l);
		fixture_end(&f);
	}
}

ANYC_TEST(tls, g12_whether_an_end_may_be_ragged)
{
	struct fixture f;
	struct link l;

	fixture_make(&f);
	link_prepare(&l, &f, NULL);
	l.client.options.ragged_eof = true;
	link_shake(&l);
	CHECK(flag_of(l.client.stream, &anyc_tls_attribute_ragged_eof));
	CHECK(!flag_of(l.server.stream, &anyc_tls_attribute_ragged_eof));
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, g12_nothing_to_export)
{
	struct fixture f;
	struct link l;
	char out[64];

	fixture_make(&f);
	link_make(&l, &f, NULL);
	CHECK_RC(anyc_tls_export(l.client.below, out, 32, "EXPORTER-x", NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_tls_export(NULL, out, 32, "EXPORTER-x", NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_tls_export(l.client.stream, out, 0, "EXPORTER-x", NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_tls_export(l.client.stream, NULL, 32, "EXPORTER-x", NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_tls_export(l.client.stream, out, 32, "", NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_tls_export(l.client.stream, out, 32, NULL, NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_tls_export(l.client.stream, out, 32, "EXPORTER-x", NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_tls_channel_binding(l.client.below, "tls-exporter", out, 32), ANYC_EINVAL);
	CHECK_RC(anyc_tls_channel_binding(l.client.stream, NULL, out, 32), ANYC_EINVAL);
	CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-exporter", NULL, 32), ANYC_EINVAL);
	CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-exporter", out, 31), ANYC_EINVAL);
	CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-server-end-point", out, 31),
		 ANYC_EINVAL);
	CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-unique", out, 32), ANYC_ENOTSUP);
	CHECK_HAS(anyc_error_detail(ANYC_ENOTSUP), "tls-unique");
	CHECK(anyc_tls_stream_openssl(l.client.below) == NULL);
	CHECK(anyc_tls_stream_openssl(NULL) == NULL);
	/* A broken stream knows what it knew; a closed one nothing. */
	pair_break(l.client.below, ECONNRESET);
	CHECK_RC(anyc_stream_receive(l.client.stream, out, 1), ANYC_EBROKEN);
	CHECK_OK(anyc_tls_export(l.client.stream, out, 32, "EXPORTER-x", NULL, 0));
	anyc_stream_close(l.client.stream);
	CHECK_RC(anyc_tls_export(l.client.stream, out, 32, "EXPORTER-x", NULL, 0), ANYC_ECLOSED);
	CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-exporter", out, 32), ANYC_ECLOSED);
	link_free(&l);
	fixture_end(&f);
}

/* A peer that does not know the extended master secret can be played with. */
ANYC_TEST(tls, g12_no_secret_of_its_own)
{
	struct fixture f;
	struct link l;
	char out[32];

	fixture_make(&f);
	fixture_newest(&f, TLS1_2_VERSION);
	SSL_CTX_set_options(SSL_OF_CLIENT(&f), SSL_OP_NO_EXTENDED_MASTER_SECRET);
	link_make(&l, &f, NULL);
	CHECK_RC(anyc_tls_export(l.server.stream, out, 32, "EXPORTER-x", NULL, 0), ANYC_ENOTSUP);
	CHECK_RC(anyc_tls_channel_binding(l.server.stream, "tls-exporter", out, 32), ANYC_ENOTSUP);
	CHECK_HAS(anyc_error_detail(ANYC_ENOTSUP), "extended master secret");
	/* The certificate is bound all the same. */
	CHECK_RC(anyc_tls_channel_binding(l.server.stream, "tls-server-end-point", out, 32), 32);
	link_free(&l);
	fixture_end(&f);
}

ANYC_TEST(tls, g12_channel_bindings)
{
	unsigned char one[64], two[64], expected[32];
	struct anyc_tls_bytes der;
	struct fixture f;
	struct link l;
	size_t v;

	for (v = 0; v < 2; v++) {
		fixture_make(&f);
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		CHECK_OK(anyc_stream_attribute(l.client.stream,
					       &anyc_tls_attribute_peer_certificate, &der,
					       sizeof der));
		SHA256(der.data, der.size, expected);
		CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-server-end-point", one,
						  sizeof one), 32);
		CHECK_RC(anyc_tls_channel_binding(l.server.stream, "tls-server-end-point", two,
						  sizeof two), 32);
		CHECK(memcmp(one, expected, 32) == 0 && memcmp(two, expected, 32) == 0);
		CHECK_RC(anyc_tls_channel_binding(l.client.stream, "tls-exporter", one, sizeof one),
			 32);
		CHECK_RC(anyc_tls_channel_binding(l.server.stream, "tls-exporter", two, sizeof two),
			 32);
		CHECK(memcmp(one, two, 32) == 0 && memcmp(one, expected, 32) != 0);
		CHECK_OK(anyc_tls_export(l.client.stream, two, 32, "EXPORTER-Channel-Binding", "",
					 0));
		CHECK(memcmp(one, two, 32) == 0);
		link_free(&l);
		fixture_end(&f);
	}
}

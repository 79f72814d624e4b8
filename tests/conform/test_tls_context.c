/* SPDX-License-Identifier: MIT */
/*
 * Contexts of TLS: options that fit and options that do not, trust, certificates of clients,
 * protocols, suites, sessions, the key log.  Section G of semantics.md, check 14 of reliability.md.
 */
#include "conform_tls.h"

#include <sys/stat.h>
#include <unistd.h>

#define NOT_NULL ((struct anyc_tls_context *)1)

static void check_refused(const struct anyc_tls_context_options *o, int rc, const char *sentence)
{
	struct anyc_tls_context *ctx = NOT_NULL;

	CHECK_RC(anyc_tls_context_new(&ctx, o), rc);
	CHECK(ctx == NULL);
	CHECK_HAS(anyc_error_detail(rc), sentence);
}

/* The server's good certificate, in a file of the fixture's. */
static struct anyc_tls_context_options server_options(struct fixture *f, char pem[96])
{
	struct certs_spec good = { .names = "DNS:localhost,IP:127.0.0.1" };
	struct anyc_tls_context_options o = { .server = true, .chain_file = pem, .key_file = pem };

	snprintf(pem, 96, "%s", certs_add(&f->certs, &good));
	return o;
}

/* --------------------------------------------------------------------------------- options */

ANYC_TEST(tls, c14_options_that_do_not_go_together)
{
	static const char *const none[] = { NULL }, *const nothing[] = { "", NULL };
	static const struct {
		struct anyc_tls_context_options o;
		const char *sentence;
	} cases[] = {
		{ { .server = true }, "needs a chain" },
		{ { .server = true, .chain_file = "x" }, "needs a chain" },
		{ { .chain_file = "x" }, "go together" },
		{ { .key_pem = "x" }, "go together" },
		{ { .chain_file = "x", .chain_pem = "x", .key_file = "x" }, "not both" },
		{ { .chain_file = "x", .key_file = "x", .key_pem = "x" }, "not both" },
		{ { .ca_file = "" }, "ca_file is empty" },
		{ { .ca_dir = "" }, "ca_dir is empty" },
		{ { .ca_pem = "" }, "ca_pem is empty" },
		{ { .chain_file = "", .key_file = "x" }, "chain_file is empty" },
		{ { .chain_pem = "x", .key_pem = "" }, "key_pem is empty" },
		{ { .ciphers = "" }, "ciphers is empty" },
		{ { .ciphersuites = "" }, "ciphersuites is empty" },
		{ { .keylog_file = "" }, "keylog_file is empty" },
		{ { .verify_client = ANYC_TLS_VERIFY_CLIENT_REQUIRED }, "a server's" },
		{ { .no_resumption = true }, "a server's" },
		{ { .server = true, .chain_file = "x", .key_file = "x", .sessions = 1 },
		  "a client's" },
		{ { .server = true, .chain_file = "x", .key_file = "x", .ca_system = true },
		  "a client's" },
		{ { .server = true, .chain_file = "x", .key_file = "x", .ca_file = "x" },
		  "verify_client and whom" },
		{ { .server = true, .chain_file = "x", .key_file = "x",
		    .verify_client = ANYC_TLS_VERIFY_CLIENT_OPTIONAL }, "whom to trust" },
		{ { .min_version = (enum anyc_tls_version)0x302 }, "min_version" },
		{ { .min_version = (enum anyc_tls_version)0x305 }, "min_version" },
		{ { .sessions = SIZE_MAX }, "sessions" },
		{ { .ca_file = "x", .alpn = none }, "no protocol" },
		{ { .ca_file = "x", .alpn = nothing }, "1 to 255" },
	};
	struct anyc_tls_context *ctx = NOT_NULL;
	char longest[257];
	const char *const too_long[] = { longest, NULL };
	struct anyc_tls_context_options o = { .alpn = too_long };
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++)
		check_refused(&cases[i].o, ANYC_EINVAL, cases[i].sentence);
	memset(longest, 'x', 256);
	longest[256] = '\0';
	check_refused(&o, ANYC_EINVAL, "1 to 255");
	CHECK_RC(anyc_tls_context_new(&ctx, NULL), ANYC_EINVAL);
	CHECK(ctx == NULL);
}

ANYC_TEST(tls, c14_certificates_that_cannot_be_read)
{
	char pem[96], broken[5000];
	struct fixture f;
	struct anyc_tls_context_options o;
	char *good;

	fixture_make(&f);
	o = server_options(&f, pem);
	good = certs_read(pem);
	o.chain_file = o.key_file = NULL;

	o.chain_pem = "certainly";
	o.key_pem = good;
	check_refused(&o, ANYC_ETLS, "chain_pem");
	/* The first is fine, the second is cut. */
	snprintf(broken, sizeof broken, "%s\n-----BEGIN CERTIFICATE-----\nMIIB\n", good);
	o.chain_pem = broken;
	check_refused(&o, ANYC_ETLS, "chain_pem");
	o.chain_pem = good;
	o.key_pem = "-----BEGIN PRIVATE KEY-----\n";
	check_refused(&o, ANYC_ETLS, "key_pem");

	o = (struct anyc_tls_context_options){ .ca_pem = "nobody" };
	check_refused(&o, ANYC_ETLS, "ca_pem");
	o.ca_pem = broken;
	check_refused(&o, ANYC_ETLS, "ca_pem");
	o = (struct anyc_tls_context_options){ .ca_dir = "/nonexistent" };
	check_refused(&o, ANYC_ETLS, "/nonexistent");
	o = (struct anyc_tls_context_options){ .ca_dir = f.certs.directory };
	check_refused(&o, ANYC_ETLS, "hash");
	o = (struct anyc_tls_context_options){ .ca_file = "/nonexistent/ca.pem" };
	check_refused(&o, ANYC_ETLS, "/nonexistent/ca.pem");
	o = (struct anyc_tls_context_options){ .ca_file = f.certs.ca,
					       .keylog_file = "/nonexistent/keys" };
	check_refused(&o, -ENOENT, "/nonexistent/keys");
	free(good);
	fixture_end(&f);
}

/* ----------------------------------------------------------------------------------- trust */

/* A chain of two and its key, and whom to trust, without a file. */
ANYC_TEST(tls, g15_all_from_memory)
{
	struct certs_spec middle = { .names = "DNS:localhost", .issuer = CERTS_BY_MIDDLE };
	struct anyc_tls_context_options client = { 0 }, server = { .server = true };
	char *ca, *pem;
	struct fixture f;
	struct link l;

	fixture_make(&f);
	ca = certs_read(f.certs.ca);
	pem = certs_read(certs_add(&f.certs, &middle));
	client.ca_pem = ca;
	server.chain_pem = server.key_pem = pem;
	fixture_client(&f, &client);
	fixture_server(&f, &server);
	/* None of it is needed any more. */
	memset(ca, 0, strlen(ca));
	memset(pem, 0, strlen(pem));
	link_make(&l, &f, NULL);
	check_talk(l.client.stream, l.server.stream);
	link_free(&l);
	free(ca);
	free(pem);
	fixture_end(&f);
}

/* The name under which OpenSSL looks for a certificate in a directory. */
static void link_by_hash(const struct certs *c, const char *file, char path[160])
{
	FILE *in = fopen(file, "r");
	X509 *cert;

	CHECK(in != NULL);
	cert = PEM_read_X509(in, NULL, NULL, NULL);
	CHECK(cert != NULL);
	fclose(in);
	snprintf(path, 160, "%s/%08lx.0", c->directory, X509_subject_name_hash(cert));
	X509_free(cert);
	CHECK(symlink(file, path) == 0);
}

ANYC_TEST(tls, g15_trust_adds_up)
{
	struct certs_spec other = { .names = "DNS:localhost", .issuer = CERTS_BY_OTHER_CA };
	struct anyc_tls_context_options client = { 0 };
	char first[96], second[96], path[160];
	struct fixture f;
	struct link l;
	int i, from;
	char *pem;

	fixture_make(&f);
	server_options(&f, first);
	snprintf(second, sizeof second, "%s", certs_add(&f.certs, &other));
	link_by_hash(&f.certs, f.certs.other_ca, path);
	pem = certs_read(f.certs.other_ca);
	for (from = 0; from < 3; from++) {
		client.ca_file = f.certs.ca;
		client.ca_pem = from == 1 ? pem : NULL;
		client.ca_dir = from == 2 ? f.certs.directory : NULL;
		fixture_client(&f, &client);
		for (i = 0; i < 2; i++) {
			const char *file = i == 0 ? first : second;

			anyc_tls_context_unref(f.server);
			CHECK_OK(anyc_tls_server_context(&f.server, file, file));
			link_prepare(&l, &f, NULL);
			link_shake(&l);
			CHECK_RC(l.client.rc, i == 1 && from == 0 ? ANYC_EVERIFY : 0);
			link_free(&l);
		}
	}
	unlink(path);
	free(pem);
	fixture_end(&f);
}

/* What is trusted beside a ca_file only when told so. */
ANYC_TEST(tls, g15_system_beside_a_file)
{
	struct anyc_tls_context_options client = { 0 };
	struct fixture f;
	struct link l;
	int beside;

	fixture_make(&f);
	setenv("SSL_CERT_FILE", f.certs.ca, 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	client.ca_file = f.certs.other_ca;
	for (beside = 0; beside < 2; beside++) {
		client.ca_system = beside;
		fixture_client(&f, &client);
		link_prepare(&l, &f, NULL);
		link_shake(&l);
		CHECK_RC(l.client.rc, beside ? 0 : ANYC_EVERIFY);
		link_free(&l);
	}
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	check_refused(&client, ANYC_ETLS, "no trusted certificates");
	fixture_end(&f);
}

/* ------------------------------------------------------------------- certificates of clients */

static const struct {
	const char *what;
	struct certs_spec spec;
	const char *sentence; /* NULL: it is trusted */
} shown[] = {
	{ "good", { .common_name = "me", .usage = "clientAuth" }, NULL },
	{ "by the middle", { .common_name = "me", .issuer = CERTS_BY_MIDDLE }, NULL },
	{ "expired", { .common_name = "me", .from_days = -3, .to_days = -1 }, "expired" },
	{ "not yet", { .common_name = "me", .from_days = 1, .to_days = 3 }, "not yet valid" },
	{ "other CA", { .common_name = "me", .issuer = CERTS_BY_OTHER_CA }, "local issuer" },
	{ "itself", { .common_name = "me", .issuer = CERTS_BY_ITSELF }, "self" },
	{ "purpose", { .common_name = "me", .usage = "serverAuth" }, "purpose" },
};

/* In TLS 1.3 a client has finished before it is judged: the refusal meets its first receive. */
static void check_client_refused(struct link *l, int version)
{
	char c;

	CHECK_RC(l->server.rc, ANYC_EVERIFY);
	CHECK(l->server.stream == NULL);
	if (version == TLS1_2_VERSION) {
		CHECK_RC(l->client.rc, ANYC_ETLS);
		CHECK_HAS(l->client.detail, "alert");
		return;
	}
	CHECK_OK(l->client.rc);
	CHECK_RC(anyc_stream_receive(l->client.stream, &c, 1), ANYC_EBROKEN);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "alert");
}

static void check_client(struct fixture *f, int version, const char *sentence)
{
	struct link l;

	fixture_newest(f, version);
	link_prepare(&l, f, NULL);
	link_shake(&l);
	if (sentence == NULL) {
		CHECK_OK(l.server.rc);
		CHECK_OK(l.client.rc);
		check_talk(l.client.stream, l.server.stream);
	} else {
		check_client_refused(&l, version);
		CHECK_HAS(l.server.detail, sentence);
	}
	link_free(&l);
}

ANYC_TEST(tls, b148_truth_table_of_clients, .deadline = 30)
{
	char pem[96], mine[96];
	struct fixture f;
	struct anyc_tls_context_options server, client = { 0 };
	size_t i, v;
	int demand;

	fixture_make(&f);
	server = server_options(&f, pem);
	client.ca_file = f.certs.ca;
	for (demand = ANYC_TLS_VERIFY_CLIENT_NONE; demand <= ANYC_TLS_VERIFY_CLIENT_REQUIRED;
	     demand++) {
		server.verify_client = (enum anyc_tls_verify_client)demand;
		server.ca_file = demand != ANYC_TLS_VERIFY_CLIENT_NONE ? f.certs.ca : NULL;
		fixture_server(&f, &server);
		client.chain_file = client.key_file = NULL;
		fixture_client(&f, &client);
		for (v = 0; v < 2; v++)
			check_client(&f, versions[v], demand == ANYC_TLS_VERIFY_CLIENT_REQUIRED
							      ? "shown none" : NULL);
		client.chain_file = client.key_file = mine;
		for (i = 0; i < sizeof shown / sizeof *shown; i++) {
			snprintf(mine, sizeof mine, "%s", certs_add(&f.certs, &shown[i].spec));
			fixture_client(&f, &client);
			for (v = 0; v < 2; v++)
				check_client(&f, versions[v],
					     demand == ANYC_TLS_VERIFY_CLIENT_NONE
						     ? NULL : shown[i].sentence);
		}
	}
	fixture_end(&f);
}

/* A server's certificate that is not for servers. */
ANYC_TEST(tls, b148_server_with_the_purpose_of_a_client)
{
	struct certs_spec spec = { .names = "DNS:localhost", .usage = "clientAuth" };
	struct fixture f;
	const char *pem;
	struct link l;

	fixture_make(&f);
	pem = certs_add(&f.certs, &spec);
	anyc_tls_context_unref(f.server);
	CHECK_OK(anyc_tls_server_context(&f.server, pem, pem));
	link_prepare(&l, &f, NULL);
	link_shake(&l);
	CHECK_RC(l.client.rc, ANYC_EVERIFY);
	CHECK_HAS(l.client.detail, "purpose");
	link_free(&l);
	fixture_end(&f);
}

/* -------------------------------------------------------------------- versions and suites */

ANYC_TEST(tls, c14_floor_of_a_context)
{
	char pem[96];
	struct fixture f;
	struct anyc_tls_context_options client = { 0 }, server;
	struct link l;
	int i;

	fixture_make(&f);
	server = server_options(&f, pem);
	client.ca_file = f.certs.ca;
	/* Either side's alone. */
	for (i = 0; i < 2; i++) {
		client.min_version = i == 0 ? ANYC_TLS_1_3 : 0;
		server.min_version = i == 0 ? 0 : ANYC_TLS_1_3;
		fixture_client(&f, &client);
		fixture_server(&f, &server);
		link_make(&l, &f, NULL);
		check_text_of(l.server.stream, &anyc_tls_attribute_version, "TLSv1.3");
		link_free(&l);
		CHECK(SSL_CTX_set_max_proto_version(
			      anyc_tls_context_openssl(i == 0 ? f.server : f.client),
			      TLS1_2_VERSION) == 1);
		link_prepare(&l, &f, NULL);
		link_shake(&l);
		CHECK_RC(l.client.rc, ANYC_ETLS);
		CHECK_RC(l.server.rc, ANYC_ETLS);
		link_free(&l);
	}
	/* 1.2 by name is the default. */
	client.min_version = ANYC_TLS_1_2;
	fixture_client(&f, &client);
	CHECK_INT(SSL_CTX_get_min_proto_version(SSL_OF_CLIENT(&f)), ==,
		  TLS1_2_VERSION);
	fixture_end(&f);
}

ANYC_TEST(tls, c14_suites_are_checked_at_once)
{
	static const char *const good = "ECDHE-ECDSA-AES256-GCM-SHA384";
	static const char *const bad[] = {
		"ECDHE-ECDSA-AES256-GCM-SHA385", "DEFAULT:ECDHE-RSA-AES-GCM",
		"TLS_AES_128_GCM_SHA256", "aNULL", "eNULL", "DEFAULT:!ALL", "!RC4",
	};
	static const char *const bad_suites[] = {
		"TLS_AES_128_GCM_SHA255", "TLS_AES_128_GCM_SHA256:NO", "DEFAULT", ":",
	};
	struct anyc_tls_context_options client = { 0 };
	STACK_OF(SSL_CIPHER) *all;
	struct fixture f;
	struct link l;
	size_t i;

	fixture_make(&f);
	client.ca_file = f.certs.ca;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		client.ciphers = bad[i];
		check_refused(&client, ANYC_EINVAL, "cipher");
	}
	client.ciphers = NULL;
	for (i = 0; i < sizeof bad_suites / sizeof *bad_suites; i++) {
		client.ciphersuites = bad_suites[i];
		check_refused(&client, ANYC_EINVAL, "cipher");
	}
	client.ciphers = good;
	client.ciphersuites = "TLS_CHACHA20_POLY1305_SHA256";
	fixture_client(&f, &client);
	link_make(&l, &f, NULL);
	check_text_of(l.server.stream, &anyc_tls_attribute_cipher, client.ciphersuites);
	link_free(&l);
	fixture_newest(&f, TLS1_2_VERSION);
	link_make(&l, &f, NULL);
	check_text_of(l.server.stream, &anyc_tls_attribute_cipher, good);
	link_free(&l);

	/* Whoever means all does not mean those without a certificate. */
	client.ciphers = "ALL:@SECLEVEL=0";
	fixture_client(&f, &client);
	all = SSL_CTX_get_ciphers(SSL_OF_CLIENT(&f));
	CHECK_INT(sk_SSL_CIPHER_num(all), >, 10);
	for (i = 0; i < (size_t)sk_SSL_CIPHER_num(all); i++)
		CHECK(SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(all, (int)i)) != NID_auth_null);
	fixture_end(&f);
}

/* ------------------------------------------------------------------------------------- ALPN */

ANYC_TEST(tls, g12_alpn)
{
	static const char *const web[] = { "h2", "http/1.1", NULL };
	static const char *const old_first[] = { "http/1.1", "h2", NULL };
	static const char *const mail[] = { "imap", NULL };
	static const struct {
		const char *const *client, *const *server;
		const char *agreed; /* NULL: refused */
	} cases[] = {
		{ web, web, "h2" },       { web, old_first, "http/1.1" }, { old_first, web, "h2" },
		{ web, mail, NULL },      { NULL, web, "" },              { web, NULL, "" },
		{ NULL, NULL, "" },
	};
	char pem[96];
	struct fixture f;
	struct anyc_tls_context_options client = { 0 }, server;
	struct link l;
	size_t i, v;

	fixture_make(&f);
	server = server_options(&f, pem);
	client.ca_file = f.certs.ca;
	for (i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
		v = i % 2;
		client.alpn = cases[i / 2].client;
		server.alpn = cases[i / 2].server;
		fixture_client(&f, &client);
		fixture_server(&f, &server);
		fixture_newest(&f, versions[v]);
		link_prepare(&l, &f, NULL);
		link_shake(&l);
		if (cases[i / 2].agreed != NULL) {
			CHECK_OK(l.client.rc);
			CHECK_OK(l.server.rc);
			check_text_of(l.client.stream, &anyc_tls_attribute_alpn,
				      cases[i / 2].agreed);
			check_text_of(l.server.stream, &anyc_tls_attribute_alpn,
				      cases[i / 2].agreed);
		} else {
			CHECK_RC(l.client.rc, ANYC_ETLS);
			CHECK_HAS(l.client.detail, "no application protocol");
			CHECK_RC(l.server.rc, ANYC_ETLS);
			CHECK_HAS(l.server.detail, "no application protocol");
		}
		link_free(&l);
	}
	fixture_end(&f);
}

/* --------------------------------------------------------------------------------- sessions */

/* Connects, and says whether a session was resumed; both sides agree on it. */
static bool resumes(const struct fixture *f, const char *host, bool insecure)
{
	struct link l;
	bool resumed;

	link_prepare(&l, f, NULL);
	l.client.host = host;
	l.client.options.insecure_no_verification = insecure;
	link_shake(&l);
	CHECK_OK(l.client.rc);
	CHECK_OK(l.server.rc);
	resumed = flag_of(l.client.stream, &anyc_tls_attribute_resumed);
	CHECK(flag_of(l.server.stream, &anyc_tls_attribute_resumed) == resumed);
	check_talk(l.server.stream, l.client.stream);
	link_close(&l);
	return resumed;
}

static void fixture_sessions(struct fixture *f, int version, size_t sessions, bool none)
{
	static char pem[96];
	struct anyc_tls_context_options client = { .sessions = sessions };
	struct anyc_tls_context_options server;

	fixture_make(f);
	server = server_options(f, pem);
	server.no_resumption = none;
	client.ca_file = f->certs.ca;
	fixture_client(f, &client);
	fixture_server(f, &server);
	fixture_newest(f, version);
}

ANYC_TEST(tls, c14_second_handshake_is_resumed)
{
	struct fixture f;
	size_t v;
	int i;

	for (v = 0; v < 2; v++) {
		fixture_sessions(&f, versions[v], 10, false);
		CHECK(!resumes(&f, "localhost", false));
		for (i = 0; i < 5; i++)
			CHECK(resumes(&f, "localhost", false));
		/* By who was verified, and by nobody else. */
		CHECK(!resumes(&f, "127.0.0.1", false));
		CHECK(resumes(&f, "127.0.0.1", false));
		CHECK(resumes(&f, "localhost", false));
		fixture_end(&f);

		/* Neither side without being asked, or against the server's will. */
		fixture_sessions(&f, versions[v], 0, false);
		CHECK(!resumes(&f, "localhost", false));
		CHECK(!resumes(&f, "localhost", false));
		fixture_end(&f);
		fixture_sessions(&f, versions[v], 10, true);
		CHECK(!resumes(&f, "localhost", false));
		CHECK(!resumes(&f, "localhost", false));
		fixture_end(&f);
	}
}

/* A resumed session is not verified again: one that never was must not be resumed. */
ANYC_TEST(tls, c14_unverified_sessions_are_not_kept)
{
	struct fixture f;
	size_t v;

	for (v = 0; v < 2; v++) {
		fixture_sessions(&f, versions[v], 10, false);
		CHECK(!resumes(&f, "localhost", true));
		CHECK(!resumes(&f, "localhost", false));
		CHECK(resumes(&f, "localhost", false));
		CHECK(!resumes(&f, "localhost", true));
		fixture_end(&f);
	}
}

ANYC_TEST(tls, c14_sessions_are_bounded)
{
	struct fixture f;
	size_t v;

	for (v = 0; v < 2; v++) {
		fixture_sessions(&f, versions[v], 1, false);
		CHECK(!resumes(&f, "localhost", false));
		CHECK(resumes(&f, "localhost", false));
		CHECK(!resumes(&f, "127.0.0.1", false));
		/* Which has driven the other out. */
		CHECK(!resumes(&f, "localhost", false));
		CHECK(resumes(&f, "localhost", false));
		fixture_end(&f);
	}
}

/* A ticket of TLS 1.3 is used once, also by connections that begin together. */
ANYC_TEST(tls, c14_tickets_are_used_once)
{
	struct anyc_group g;
	struct fixture f;
	struct link l[3];
	int i, resumed = 0;

	fixture_sessions(&f, TLS1_3_VERSION, 10, false);
	CHECK(!resumes(&f, "localhost", false));
	/* Two tickets have come. */
	anyc_group_enter(&g, NULL);
	for (i = 0; i < 3; i++) {
		link_prepare(&l[i], &f, NULL);
		CHECK_OK(anyc_spawn(&g, shake, &l[i].client));
	}
	SETTLE();
	for (i = 0; i < 3; i++)
		CHECK_OK(anyc_spawn(&g, shake, &l[i].server));
	CHECK_OK(anyc_group_leave(&g, 0));
	for (i = 0; i < 3; i++) {
		CHECK_OK(l[i].client.rc);
		resumed += flag_of(l[i].client.stream, &anyc_tls_attribute_resumed);
		link_free(&l[i]);
	}
	CHECK_INT(resumed, ==, 2);
	fixture_end(&f);
}

/* ---------------------------------------------------------------------------------- key log */

static int lines, secrets;
static void note_key(void *arg, const char *line)
{
	CHECK(arg == &lines);
	CHECK(strchr(line, '\n') == NULL);
	lines++;
	if (strncmp(line, "CLIENT_RANDOM ", 14) == 0 ||
	    strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
		secrets++;
}

ANYC_TEST(tls, g15_key_log)
{
	struct anyc_tls_context_options client = { .keylog = note_key, .keylog_arg = &lines };
	struct certs_spec good = { .names = "DNS:localhost" };
	char path[96], *text;
	struct fixture f;
	struct stat st;
	struct link l;
	size_t v, i;
	int found = 0;

	fixture_make(&f);
	lines = secrets = 0;
	snprintf(path, sizeof path, "%s/keys", f.certs.directory);
	client.ca_file = f.certs.ca;
	client.keylog_file = path;
	/* Nothing of it comes from the environment. */
	setenv("SSLKEYLOGFILE", "/nonexistent/keys", 1);
	fixture_client(&f, &client);
	for (v = 0; v < 2; v++) {
		const char *pem = certs_add(&f.certs, &good);

		anyc_tls_context_unref(f.server);
		CHECK_OK(anyc_tls_server_context(&f.server, pem, pem));
		fixture_newest(&f, versions[v]);
		link_make(&l, &f, NULL);
		CHECK_INT(secrets, ==, (int)v + 1);
		link_free(&l);
	}
	text = certs_read(path);
	for (i = 0; text[i] != '\0'; i++)
		found += text[i] == '\n';
	CHECK_INT(found, ==, lines);
	CHECK_HAS(text, "CLIENT_TRAFFIC_SECRET_0 ");
	CHECK(stat(path, &st) == 0 && (st.st_mode & 077) == 0);
	free(text);
	unlink(path);
	fixture_end(&f);
}

/* SPDX-License-Identifier: MIT */
/* Faults in TLS over TCP. */
#include "faults.h"

#include "conform/conform_tls.h"

static struct fixture_files {
	struct certs certs;
	char pem[96];
	char *text, *ca; /* what stands in them */
} files;

struct world {
	struct anyc_tls_context *client, *server;
	struct anyc_listener *listener;
	char port[8];
};

static int world_make(struct world *w)
{
	struct anyc_listener *below = NULL;
	struct anyc_address a;
	int rc = anyc_tls_client_context(&w->client, files.certs.ca);

	if (rc == 0)
		rc = anyc_tls_server_context(&w->server, files.pem, files.pem);
	if (rc == 0)
		rc = anyc_tcp_listen(&below, "127.0.0.1", "0", NULL);
	if (rc == 0)
		rc = anyc_listener_attribute(below, &anyc_attribute_local_address, &a, sizeof a);
	if (rc == 0) {
		struct anyc_tls_options o = { .context = w->server, .server = true };

		snprintf(w->port, sizeof w->port, "%u", anyc_address_port(&a) & 0xffffU);
		rc = anyc_tls_listener(&w->listener, below, &o);
	}
	if (rc != 0)
		anyc_listener_free(below);
	return rc;
}

static void world_end(struct world *w)
{
	anyc_listener_free(w->listener);
	anyc_tls_context_unref(w->client);
	anyc_tls_context_unref(w->server);
}

static int serve_one(void *arg)
{
	struct world *w = arg;
	struct anyc_stream *s = NULL;
	int rc = anyc_listener_accept(w->listener, &s);

	CHECK((rc == 0) == (s != NULL));
	if (rc == 0)
		rc = echo(s);
	if (rc == 0)
		rc = anyc_stream_close(s);
	anyc_stream_free(s);
	return ended(rc);
}

static int talk(struct anyc_stream *s)
{
	static const char said[3000] = "what was said";
	char heard[sizeof said];
	size_t have = 0;
	int n = 1, rc = anyc_stream_send(s, said, sizeof said);

	while (rc == 0 && n > 0 && have < sizeof said) {
		n = anyc_stream_receive(s, heard + have, sizeof heard - have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (rc == 0 && n > 0)
		CHECK(memcmp(said, heard, sizeof said) == 0);
	if (rc == 0 && n > 0)
		rc = anyc_stream_close(s);
	return rc != 0 ? rc : n < 0 ? n : n == 0 ? -EPROTO : 0;
}

/* By a connectable, around one of TCP; or directly. */
static int connect_by(struct anyc_stream **out, const struct world *w, bool connectable)
{
	struct anyc_tls_options o = { .context = w->client };
	struct anyc_connectable *c = NULL, *tls = NULL;
	int rc;

	if (!connectable)
		return anyc_tls_connect(out, "localhost", w->port, &o);
	rc = anyc_tcp_connectable(&c, "127.0.0.1", w->port, NULL);
	if (rc == 0)
		rc = anyc_tls_connectable(&tls, c, "localhost", &o);
	CHECK((rc == 0) == (tls != NULL));
	if (rc == 0)
		rc = anyc_connect(out, tls);
	anyc_connectable_free(tls != NULL ? tls : c);
	return rc;
}

static int echo_over(bool connectable)
{
	struct world w = { 0 };
	struct anyc_stream *s = NULL;
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	rc = world_make(&w);
	if (rc == 0)
		rc = anyc_spawn(&g, serve_one, &w);
	if (rc == 0) {
		rc = connect_by(&s, &w, connectable);
		CHECK((rc == 0) == (s != NULL));
	}
	if (rc == 0)
		rc = talk(s);
	anyc_stream_free(s);
	rc = anyc_group_leave(&g, rc);
	world_end(&w);
	return rc;
}

static int tls_echo(void *arg)
{
	(void)arg;
	return echo_over(false);
}

static int tls_connectable(void *arg)
{
	(void)arg;
	return echo_over(true);
}

/*
 * All that a context can hold: both sides have certificates, a name is chosen, protocols are agreed
 * on, a session is kept and resumed, and the server's context is reloaded in between.
 */
static int choose(void *arg, const char *name, struct anyc_tls_context **out)
{
	struct world *w = arg;

	CHECK_STR(name, "localhost");
	*out = anyc_tls_context_ref(w->server);
	return 0;
}

static int reload(struct world *w)
{
	static const char *const protocols[] = { "one", "two", NULL };
	struct anyc_tls_context_options server = {
		.server = true,
		.chain_file = files.pem,
		.key_pem = files.text,
		.ca_pem = files.ca,
		.verify_client = ANYC_TLS_VERIFY_CLIENT_REQUIRED,
		.ciphers = "ECDHE+AESGCM",
		.alpn = protocols,
	};

	return anyc_tls_context_reload(w->server, &server);
}

static int make_contexts(struct world *w, struct anyc_tls_context **front)
{
	static const char *const protocols[] = { "two", "three", NULL };
	struct anyc_tls_context_options client = {
		.ca_file = files.certs.ca,
		.chain_pem = files.text,
		.key_file = files.pem,
		.ciphersuites = "TLS_AES_128_GCM_SHA256",
		.alpn = protocols,
		.sessions = 2,
	};
	struct anyc_tls_context_options server = {
		.server = true,
		.chain_file = files.pem,
		.key_file = files.pem,
		.choose = choose,
		.choose_arg = w,
	};
	int rc = anyc_tls_context_new(&w->client, &client);

	if (rc == 0)
		rc = anyc_tls_server_context(&w->server, files.pem, files.pem);
	if (rc == 0)
		rc = reload(w);
	if (rc == 0)
		rc = anyc_tls_context_new(front, &server);
	return rc;
}

/* What is asked of both sides; what cannot be told for want of memory is not told. */
static int ask(struct anyc_stream *s)
{
	const char *const *names;
	char protocol[256];
	unsigned char key[32];
	int rc = anyc_stream_attribute(s, &anyc_tls_attribute_peer_names, &names, sizeof names);

	if (rc == 0) {
		CHECK_STR(names[0], "DNS:localhost");
		rc = anyc_stream_attribute(s, &anyc_tls_attribute_alpn, protocol, sizeof protocol);
	}
	if (rc == 0) {
		CHECK_STR(protocol, "two");
		rc = anyc_tls_export(s, key, sizeof key, "EXPORTER-x", NULL, 0);
	}
	if (rc == 0)
		rc = anyc_tls_channel_binding(s, "tls-server-end-point", key, sizeof key);
	return rc < 0 ? rc : 0;
}

/* Server: echoes; then the client talks.  Twice over streams in memory. */
struct pair_end {
	struct anyc_stream *below;
	struct anyc_tls_context *context;
};
static int serve_pair(void *arg)
{
	struct pair_end *end = arg;
	struct anyc_tls_options o = { .server = true, .context = end->context };
	struct anyc_stream *s = NULL;
	int rc = anyc_tls_wrap(&s, end->below, NULL, &o);

	CHECK((rc == 0) == (s != NULL));
	if (rc == 0)
		rc = ask(s);
	if (rc == 0)
		rc = echo(s);
	if (rc == 0)
		rc = anyc_stream_close(s);
	anyc_stream_free(s != NULL ? s : end->below);
	return ended(rc);
}

static int connect_pair(struct world *w, struct anyc_tls_context *front)
{
	struct anyc_tls_options o = { .context = w->client };
	struct anyc_stream *below = NULL, *s = NULL;
	struct pair_end end = { .context = front };
	struct anyc_group g;
	int rc = anyc_test_pair(&below, &end.below, NULL);

	if (rc != 0)
		return rc;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, serve_pair, &end);
	if (rc != 0)
		anyc_stream_free(end.below);
	if (rc == 0)
		rc = anyc_tls_wrap(&s, below, "localhost", &o);
	if (rc == 0)
		rc = ask(s);
	if (rc == 0)
		rc = talk(s);
	anyc_stream_free(s != NULL ? s : below);
	return anyc_group_leave(&g, rc);
}

static int tls_settings(void *arg)
{
	struct anyc_tls_context *front = NULL;
	struct world w = { 0 };
	int rc = make_contexts(&w, &front), i;

	(void)arg;
	for (i = 0; i < 2 && rc == 0; i++)
		rc = connect_pair(&w, front);
	if (rc == 0)
		rc = reload(&w);
	if (rc == 0)
		rc = connect_pair(&w, front);
	anyc_tls_context_unref(front);
	world_end(&w);
	return rc;
}

static void make_files(void)
{
	struct certs_spec good = { .names = "DNS:localhost,IP:127.0.0.1" };

	certs_make(&files.certs);
	snprintf(files.pem, sizeof files.pem, "%s", certs_add(&files.certs, &good));
	files.text = certs_read(files.pem);
	files.ca = certs_read(files.certs.ca);
}

static void remove_files(void)
{
	free(files.text);
	free(files.ca);
	certs_remove(&files.certs);
}

ANYC_TEST_MAIN(faults, r17_tls_echo, ANYC_ROWS_ALL, .deadline = 200)
{
	struct anyc_fault_options options = {
		.name = "r17_tls_echo",
		ALSO(ENDED_EARLY, -EPROTO, ANYC_ETLS, -ECONNREFUSED, -EADDRNOTAVAIL),
	};

	make_files();
	sweep(on_row, &(struct task){ tls_echo }, &options);
	remove_files();
}

ANYC_TEST_MAIN(faults, h27_connectables_of_tls, ANYC_ROWS_ALL, .deadline = 200)
{
	struct anyc_fault_options options = {
		.name = "h27_connectables_of_tls",
		ALSO(ENDED_EARLY, -EPROTO, ANYC_ETLS, -ECONNREFUSED, -EADDRNOTAVAIL),
	};

	make_files();
	sweep(on_row, &(struct task){ tls_connectable }, &options);
	remove_files();
}

ANYC_TEST_MAIN(faults, r17_tls_settings, ANYC_ROWS_ALL, .deadline = 200)
{
	struct anyc_fault_options options = {
		.name = "r17_tls_settings",
		ALSO(ENDED_EARLY, -EPROTO, ANYC_ETLS),
	};

	make_files();
	sweep(on_row, &(struct task){ tls_settings }, &options);
	remove_files();
}

/* SPDX-License-Identifier: MIT */
/* Faults in TLS over TCP. */
#include "faults.h"

#include "conform/conform_tls.h"

static struct fixture_files {
	struct certs certs;
	char pem[96];
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

static int tls_echo(void *arg)
{
	struct world w = { 0 };
	struct anyc_stream *s = NULL;
	struct anyc_group g;
	int rc;

	(void)arg;
	anyc_group_enter(&g, NULL);
	rc = world_make(&w);
	if (rc == 0)
		rc = anyc_spawn(&g, serve_one, &w);
	if (rc == 0) {
		struct anyc_tls_options o = { .context = w.client };

		rc = anyc_tls_connect(&s, "localhost", w.port, &o);
		CHECK((rc == 0) == (s != NULL));
	}
	if (rc == 0)
		rc = talk(s);
	anyc_stream_free(s);
	rc = anyc_group_leave(&g, rc);
	world_end(&w);
	return rc;
}

ANYC_TEST_MAIN(faults, r17_tls_echo, ANYC_ROWS_ALL, .deadline = 200)
{
	struct certs_spec good = { .names = "DNS:localhost,IP:127.0.0.1" };
	struct anyc_fault_options options = {
		.name = "r17_tls_echo",
		ALSO(ENDED_EARLY, -EPROTO, ANYC_ETLS, -ECONNREFUSED, -EADDRNOTAVAIL),
	};

	certs_make(&files.certs);
	snprintf(files.pem, sizeof files.pem, "%s", certs_add(&files.certs, &good));
	sweep(on_row, &(struct task){ tls_echo }, &options);
	certs_remove(&files.certs);
}

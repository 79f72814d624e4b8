/* SPDX-License-Identifier: MIT */
/* Servers of several names, and new certificates while connections go on. */
#include "conform_tls.h"

#include <pthread.h>
#include <stdatomic.h>

/* ------------------------------------------------------------------------------------ names */

struct site {
	const char *name;
	char pem[96];
	struct anyc_tls_context *context;
};

struct sites {
	struct site site[2];
	int asked;
	char last[256]; /* name that was asked for */
	int refusal;    /* of names that are not there; 0: goes on as it is */
};

static int choose(void *arg, const char *name, struct anyc_tls_context **out)
{
	struct sites *h = arg;
	size_t i;

	CHECK(*out == NULL);
	h->asked++;
	snprintf(h->last, sizeof h->last, "%s", name);
	for (i = 0; i < 2; i++)
		if (strcmp(name, h->site[i].name) == 0) {
			*out = anyc_tls_context_ref(h->site[i].context);
			return 0;
		}
	return h->refusal;
}

/* A fixture whose server has two more names. */
static void sites_make(struct sites *h, struct fixture *f)
{
	struct certs_spec good = { .names = "DNS:localhost,IP:127.0.0.1" };
	struct anyc_tls_context_options server = { .server = true, .choose = choose,
						   .choose_arg = h };
	const char *pem;
	size_t i;

	memset(h, 0, sizeof *h);
	fixture_make(f);
	for (i = 0; i < 2; i++) {
		struct certs_spec spec = { .names = i == 0 ? "DNS:a.test" : "DNS:b.test" };
		struct site *site = &h->site[i];

		site->name = spec.names + 4;
		snprintf(site->pem, sizeof site->pem, "%s", certs_add(&f->certs, &spec));
		CHECK_OK(anyc_tls_server_context(&site->context, site->pem, site->pem));
	}
	pem = certs_add(&f->certs, &good);
	server.chain_file = server.key_file = pem;
	fixture_server(f, &server);
}

static void sites_end(struct sites *h, struct fixture *f)
{
	anyc_tls_context_unref(h->site[0].context);
	anyc_tls_context_unref(h->site[1].context);
	fixture_end(f);
}

ANYC_TEST(tls, g12_certificate_by_the_name_asked_for)
{
	static const struct {
		const char *host, *asked;
	} cases[] = {
		{ "a.test", "a.test" },       { "b.test", "b.test" },  { "A.Test", "a.test" },
		{ "localhost", "localhost" }, { "127.0.0.1", "" },
	};
	struct sites h;
	struct fixture f;
	struct link l;
	size_t i, v;

	for (v = 0; v < 2; v++) {
		sites_make(&h, &f);
		fixture_newest(&f, versions[v]);
		fixture_newest(&(struct fixture){ .server = h.site[0].context }, versions[v]);
		fixture_newest(&(struct fixture){ .server = h.site[1].context }, versions[v]);
		for (i = 0; i < sizeof cases / sizeof *cases; i++) {
			link_prepare(&l, &f, NULL);
			l.client.host = cases[i].host;
			link_shake(&l);
			CHECK_OK(l.client.rc);
			CHECK_OK(l.server.rc);
			CHECK_INT(h.asked, ==, (int)i + 1);
			CHECK_STR(h.last, cases[i].asked);
			check_text_of(l.server.stream, &anyc_tls_attribute_server_name,
				      cases[i].asked);
			check_talk(l.client.stream, l.server.stream);
			link_free(&l);
		}
		sites_end(&h, &f);
	}
}

ANYC_TEST(tls, g12_refused_name)
{
	struct sites h;
	struct fixture f;
	struct link l;
	int i;

	sites_make(&h, &f);
	for (i = 0; i < 2; i++) {
		/* A refusal, and then an answer that cannot be meant. */
		h.refusal = i == 0 ? -ENOENT : 0;
		if (i == 1) {
			anyc_tls_context_unref(h.site[0].context);
			h.site[0].context = anyc_tls_context_ref(f.client);
		}
		link_prepare(&l, &f, NULL);
		l.client.host = i == 0 ? "c.test" : "a.test";
		link_shake(&l);
		CHECK_RC(l.client.rc, ANYC_ETLS);
		CHECK_HAS(l.client.detail, i == 0 ? "unrecognized name" : "alert");
		CHECK_RC(l.server.rc, i == 0 ? ANYC_ETLS : ANYC_EINVAL);
		CHECK_HAS(l.server.detail, i == 0 ? "not served" : "client's context");
		link_free(&l);
	}
	sites_end(&h, &f);
}

/* All of what the chosen context asks: its protocols, its floor, certificates of clients. */
ANYC_TEST(tls, g12_chosen_context_counts)
{
	static const char *const web[] = { "h2", NULL }, *const both[] = { "imap", "h2", NULL };
	struct anyc_tls_context_options strict = {
		.server = true,
		.verify_client = ANYC_TLS_VERIFY_CLIENT_REQUIRED,
		.alpn = web,
		.min_version = ANYC_TLS_1_3,
	};
	struct anyc_tls_context_options client = { .alpn = both };
	struct sites h;
	struct fixture f;
	struct link l;
	int round;

	sites_make(&h, &f);
	strict.ca_file = client.ca_file = f.certs.ca;
	strict.chain_file = strict.key_file = h.site[0].pem;
	anyc_tls_context_unref(h.site[0].context);
	h.site[0].context = context_of(&strict);
	client.key_file = client.chain_file = h.site[1].pem;
	for (round = 0; round < 3; round++) {
		if (round == 2)
			client.key_file = client.chain_file = NULL;
		fixture_client(&f, &client);
		if (round == 1)
			CHECK(SSL_CTX_set_max_proto_version(SSL_OF_CLIENT(&f),
							    TLS1_2_VERSION) == 1);
		link_prepare(&l, &f, NULL);
		l.client.host = "a.test";
		link_shake(&l);
		CHECK_RC(l.server.rc, round == 0 ? 0 : round == 1 ? ANYC_ETLS : ANYC_EVERIFY);
		if (round == 0)
			check_text_of(l.client.stream, &anyc_tls_attribute_alpn, "h2");
		link_free(&l);
	}
	sites_end(&h, &f);
}

/*
 * A session of a host that asks nothing of its clients must not open one that does: the client
 * here asks for one name, and the server's mind changes.
 */
ANYC_TEST(tls, g12_sessions_do_not_cross_hosts)
{
	struct anyc_tls_context_options strict = {
		.server = true, .verify_client = ANYC_TLS_VERIFY_CLIENT_REQUIRED,
	};
	struct anyc_tls_context_options client = { .sessions = 10 };
	struct anyc_tls_context *lax;
	struct sites h;
	struct fixture f;
	struct link l;
	size_t v, i;

	for (v = 0; v < 2; v++) {
		sites_make(&h, &f);
		fixture_newest(&f, versions[v]);
		strict.ca_file = client.ca_file = f.certs.ca;
		strict.chain_file = strict.key_file = h.site[0].pem;
		fixture_client(&f, &client);
		lax = h.site[0].context;
		fixture_newest(&(struct fixture){ .server = lax }, versions[v]);
		for (i = 0; i < 3; i++) {
			if (i == 2) {
				h.site[0].context = context_of(&strict);
				fixture_newest(&(struct fixture){ .server = h.site[0].context },
					       versions[v]);
			}
			link_prepare(&l, &f, NULL);
			l.client.host = "a.test";
			link_shake(&l);
			CHECK_RC(l.server.rc, i < 2 ? 0 : ANYC_EVERIFY);
			if (i == 2) {
				link_free(&l);
				break;
			}
			/* It is resumed where it belongs. */
			CHECK(flag_of(l.server.stream, &anyc_tls_attribute_resumed) == (i == 1));
			link_close(&l);
		}
		anyc_tls_context_unref(lax);
		sites_end(&h, &f);
	}
}

/* ----------------------------------------------------------------------------------- reload */

/* Whose certificate the client has seen. */
static void check_subject(struct anyc_stream *client, const char *expected)
{
	const char *subject;

	CHECK_OK(anyc_stream_attribute(client, &anyc_tls_attribute_peer_subject, &subject,
				       sizeof subject));
	CHECK_STR(subject, expected);
}

/* A server whose certificate's file can be written anew. */
struct renewal {
	struct fixture f;
	char first[96], second[96];
	struct anyc_tls_context_options server;
};

static void renewal_make(struct renewal *r)
{
	struct certs_spec one = { .common_name = "first", .names = "DNS:localhost" };
	struct certs_spec two = { .common_name = "second", .names = "DNS:localhost" };

	fixture_make(&r->f);
	snprintf(r->first, sizeof r->first, "%s", certs_add(&r->f.certs, &one));
	snprintf(r->second, sizeof r->second, "%s", certs_add(&r->f.certs, &two));
	r->server = (struct anyc_tls_context_options){
		.server = true, .chain_file = r->first, .key_file = r->first,
	};
	fixture_server(&r->f, &r->server);
}

ANYC_TEST(tls, g15_reload_drops_no_connection)
{
	struct renewal r;
	struct link before, during, after;
	struct anyc_group g;

	renewal_make(&r);
	link_make(&before, &r.f, NULL);
	/* One that is in the middle of its handshake. */
	link_prepare(&during, &r.f, NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, shake, &during.server));
	SETTLE();
	CHECK(rename(r.second, r.first) == 0);
	CHECK_OK(anyc_tls_context_reload(r.f.server, &r.server));
	CHECK_OK(shake(&during.client));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(during.client.rc);
	check_subject(during.client.stream, "CN=first");
	check_subject(before.client.stream, "CN=first");
	link_make(&after, &r.f, NULL);
	check_subject(after.client.stream, "CN=second");
	check_talk(before.client.stream, before.server.stream);
	check_talk(during.client.stream, during.server.stream);
	check_talk(after.client.stream, after.server.stream);
	/* Streams hold what they need. */
	anyc_tls_context_unref(r.f.server);
	r.f.server = NULL;
	check_talk(before.server.stream, before.client.stream);
	link_free(&before);
	link_free(&during);
	link_free(&after);
	fixture_end(&r.f);
}

ANYC_TEST(tls, g15_reload_that_fails_changes_nothing)
{
	struct renewal r;
	struct anyc_tls_context_options bad, client = { 0 };
	struct link l;
	size_t i;

	renewal_make(&r);
	for (i = 0; i < 4; i++) {
		bad = r.server;
		if (i == 0)
			bad.chain_file = "/nonexistent/chain.pem";
		else if (i == 1)
			bad.key_file = r.second;
		else if (i == 2)
			bad.key_file = NULL;
		CHECK_RC(anyc_tls_context_reload(r.f.server, i < 3 ? &bad : NULL),
			 i < 2 ? ANYC_ETLS : ANYC_EINVAL);
		CHECK_HAS(anyc_error_detail(i < 2 ? ANYC_ETLS : ANYC_EINVAL),
			  i == 0 ? "/nonexistent/chain.pem" : i == 1 ? "mismatch" :
			  i == 2 ? "key" : "options");
	}
	client.ca_file = r.f.certs.ca;
	CHECK_RC(anyc_tls_context_reload(r.f.server, &client), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "cannot become a client's");
	CHECK_RC(anyc_tls_context_reload(NULL, &client), ANYC_EINVAL);
	link_make(&l, &r.f, NULL);
	check_subject(l.client.stream, "CN=first");
	link_free(&l);
	fixture_end(&r.f);
}

/* A reload may be there because less is trusted than before. */
ANYC_TEST(tls, g15_reload_forgets_sessions)
{
	struct anyc_tls_context_options client = { .sessions = 10 };
	struct renewal r;
	struct link l;
	size_t v;
	int i;

	for (v = 0; v < 2; v++) {
		renewal_make(&r);
		client.ca_file = r.f.certs.ca;
		fixture_client(&r.f, &client);
		fixture_newest(&r.f, versions[v]);
		/* First, resumed; then the server's are gone, then the client's. */
		for (i = 0; i < 6; i++) {
			if (i == 2) {
				CHECK_OK(anyc_tls_context_reload(r.f.server, &r.server));
				fixture_newest(&r.f, versions[v]);
			} else if (i == 4) {
				CHECK_OK(anyc_tls_context_reload(r.f.client, &client));
			}
			link_make(&l, &r.f, NULL);
			CHECK(flag_of(l.client.stream, &anyc_tls_attribute_resumed) == i % 2);
			link_close(&l);
		}
		fixture_end(&r.f);
	}
}

struct reloader {
	struct renewal *renewal;
	atomic_bool stop;
	atomic_uint rounds;
};
static void *reload_on(void *arg)
{
	struct reloader *r = arg;
	struct anyc_tls_context_options o = r->renewal->server;

	while (!atomic_load(&r->stop)) {
		unsigned i = atomic_fetch_add(&r->rounds, 1);

		o.chain_file = o.key_file = i % 2 ? r->renewal->first : r->renewal->second;
		CHECK_OK(anyc_tls_context_reload(r->renewal->f.server, &o));
	}
	return NULL;
}

ANYC_TEST(tls, g15_reload_from_another_thread, .deadline = 30)
{
	struct renewal renewal;
	struct reloader r = { .renewal = &renewal };
	pthread_t thread;
	struct link l;
	int i;

	renewal_make(&renewal);
	CHECK(pthread_create(&thread, NULL, reload_on, &r) == 0);
	for (i = 0; i < 50 || atomic_load(&r.rounds) < 50; i++) {
		link_make(&l, &renewal.f, NULL);
		check_talk(l.client.stream, l.server.stream);
		link_free(&l);
	}
	atomic_store(&r.stop, true);
	CHECK(pthread_join(thread, NULL) == 0);
	fixture_end(&renewal.f);
}

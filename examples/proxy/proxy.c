/* SPDX-License-Identifier: MIT */
/*
 * A proxy for anything that goes by TCP or TLS.
 *
 *	proxy [--loop NAME] [--listen HOST:PORT] [--cert FILE --key FILE]
 *	      [--upstream-tls] [--ca FILE] [--idle MS] [--connect MS] [--grace MS]
 *	      HOST:PORT
 *
 * With a certificate its clients speak TLS to it, with --upstream-tls it speaks TLS to the server,
 * whose certificate must be for HOST and of the authorities in --ca, or of the system's.  A
 * connection ends when both directions have (relay.h), without a byte for --idle ms (five
 * minutes), or if the server is not there within --connect ms (ten seconds).  SIGINT and SIGTERM
 * end it gently: nobody new is let in, and who is there has --grace ms (ten seconds) to finish.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/anyc.h>
#include <anyc/tls.h>

#include "relay.h"

enum { CONNECTIONS_MAX = 10000 };

struct address {
	char host[256];
	const char *port;
};

static struct settings {
	struct address listen, upstream;
	const char *cert, *key, *ca;
	bool upstream_tls;
	int64_t idle, connect, grace;
	struct anyc_tls_context *trust; /* whom to believe that he is the upstream */
} settings = { .listen = { "127.0.0.1", "8080" },
	       .idle = 300 * ANYC_SECOND,
	       .connect = 10 * ANYC_SECOND,
	       .grace = 10 * ANYC_SECOND };

/* ------------------------------------------------------------------------------ a connection */

static int connect_upstream(struct anyc_stream **out)
{
	const struct address *to = &settings.upstream;
	struct anyc_tls_options o = { .context = settings.trust };
	struct anyc_scope limit;
	int rc;

	anyc_scope_enter_timeout(&limit, settings.connect);
	rc = settings.upstream_tls ? anyc_tls_connect(out, to->host, to->port, &o) :
				     anyc_tcp_connect(out, to->host, to->port, NULL);
	return anyc_scope_leave(&limit, rc);
}

static bool is_of_a_peer(int rc)
{
	return rc == ANYC_EBROKEN || rc == ANYC_ETIMEDOUT || rc == ANYC_ETLS || rc == ANYC_EVERIFY;
}

/* An upstream that cannot be reached is told of; what its peers make of a connection is not. */
static int serve_connection(void *arg, struct anyc_stream *client)
{
	struct anyc_stream *server = NULL;
	bool tls = settings.cert != NULL;
	int rc = tls ? anyc_tls_handshake(client) : 0;

	(void)arg;
	if (rc != 0)
		return is_of_a_peer(rc) ? 0 : rc;
	rc = connect_upstream(&server);
	if (rc != 0) {
		relay_abort(client, tls);
		return rc;
	}
	rc = relay(client, server, settings.idle);
	if (rc != 0) {
		relay_abort(client, tls);
		relay_abort(server, settings.upstream_tls);
	}
	anyc_stream_free(server);
	return is_of_a_peer(rc) ? 0 : rc;
}

/* ------------------------------------------------------------------------------- the server */

struct serving {
	struct anyc_listener *listener;
	struct anyc_group *group;
};

static int serve(void *arg)
{
	const struct serving *s = arg;
	const struct anyc_serve_options o = { .group = s->group, .limit = CONNECTIONS_MAX };

	return anyc_serve(s->listener, serve_connection, NULL, &o);
}

/* On failure the listener below is still the caller's. */
static int add_tls(struct anyc_listener **listener)
{
	struct anyc_tls_options o = { .server = true, .handshake_timeout = settings.connect };
	struct anyc_listener *below = *listener;
	int rc = anyc_tls_server_context(&o.context, settings.cert, settings.key);

	if (rc == 0)
		rc = anyc_tls_listener(listener, below, &o);
	if (rc != 0)
		*listener = below;
	anyc_tls_context_unref(o.context);
	return rc;
}

static int open_listener(struct anyc_listener **out)
{
	struct anyc_address a;
	char text[160];
	int rc = anyc_tcp_listen(out, settings.listen.host, settings.listen.port, NULL);

	if (rc == 0 && settings.cert != NULL)
		rc = add_tls(out);
	if (rc == 0)
		rc = anyc_listener_attribute(*out, &anyc_attribute_local_address, &a, sizeof a);
	if (rc == 0) {
		anyc_address_format(&a, text, sizeof text);
		printf("listening on %s\n", text);
		fflush(stdout);
	}
	return rc;
}

static int wait_for_end(struct serving *s)
{
	int rc = anyc_signal_wait((const int[]){ SIGINT, SIGTERM }, 2);

	if (rc < 0)
		return rc;
	ANYC_IGNORE(anyc_listener_close(s->listener));
	return anyc_scope_set_deadline(anyc_group_scope(s->group), anyc_now() + settings.grace);
}

static int run_proxy(void *arg)
{
	/* A connection that takes longer than --grace is cut off, which is no error. */
	struct anyc_group_options o = { .move_on = true };
	struct anyc_group g;
	struct serving s = { .group = &g };
	int rc = 0;

	(void)arg;
	anyc_group_enter(&g, &o);
	if (settings.upstream_tls)
		rc = anyc_tls_client_context(&settings.trust, settings.ca);
	if (rc == 0)
		rc = open_listener(&s.listener);
	if (rc == 0)
		rc = anyc_spawn(&g, serve, &s);
	if (rc == 0)
		rc = wait_for_end(&s);
	rc = anyc_group_leave(&g, rc);
	anyc_listener_free(s.listener);
	anyc_tls_context_unref(settings.trust);
	return rc;
}

/* --------------------------------------------------------------------------------- arguments */

/* "HOST:PORT" or "[IPv6]:PORT". */
static bool read_address(struct address *out, const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t size;

	if (colon == NULL || colon == text || colon[1] == '\0')
		return false;
	size = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']') {
		text++;
		size -= 2;
	}
	if (size == 0 || size >= sizeof out->host)
		return false;
	memcpy(out->host, text, size);
	out->host[size] = '\0';
	out->port = colon + 1;
	return true;
}

static bool read_time(int64_t *out, const char *text)
{
	char *end;
	long ms = strtol(text, &end, 10);

	*out = ms * ANYC_MILLISECOND;
	return *end == '\0' && ms > 0 && ms <= INT32_MAX;
}

static bool read_option(struct anyc_run_options *run, const char *name, const char *value)
{
	if (strcmp(name, "--loop") == 0)
		run->backend = value;
	else if (strcmp(name, "--listen") == 0)
		return read_address(&settings.listen, value);
	else if (strcmp(name, "--cert") == 0)
		settings.cert = value;
	else if (strcmp(name, "--key") == 0)
		settings.key = value;
	else if (strcmp(name, "--ca") == 0)
		settings.ca = value;
	else if (strcmp(name, "--idle") == 0)
		return read_time(&settings.idle, value);
	else if (strcmp(name, "--connect") == 0)
		return read_time(&settings.connect, value);
	else if (strcmp(name, "--grace") == 0)
		return read_time(&settings.grace, value);
	else
		return false;
	return true;
}

static bool read_arguments(struct anyc_run_options *run, int argc, char **argv)
{
	int i = 1;

	while (i + 1 < argc) {
		if (strcmp(argv[i], "--upstream-tls") == 0) {
			settings.upstream_tls = true;
			i++;
		} else if (read_option(run, argv[i], argv[i + 1])) {
			i += 2;
		} else {
			return false;
		}
	}
	return i + 1 == argc && read_address(&settings.upstream, argv[i]) &&
	       (settings.cert == NULL) == (settings.key == NULL);
}

int main(int argc, char **argv)
{
	struct anyc_run_options run = { .name = "proxy" };
	int rc;

	if (!read_arguments(&run, argc, argv)) {
		fprintf(stderr,
			"usage: proxy [--loop NAME] [--listen HOST:PORT] [--cert FILE --key FILE]\n"
			"             [--upstream-tls] [--ca FILE] [--idle MS] [--connect MS]\n"
			"             [--grace MS] HOST:PORT\n");
		return 2;
	}
	rc = anyc_run(&run, run_proxy, NULL);
	if (rc < 0)
		fprintf(stderr, "proxy: %s\n", anyc_error_detail(rc));
	return rc < 0;
}

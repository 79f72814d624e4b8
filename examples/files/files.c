/* SPDX-License-Identifier: MIT */
/*
 * A static file server: HTTP/1.1, and HTTPS with a certificate.
 *
 *	files [--loop NAME] [--host HOST] [--port PORT] [--patience MS]
 *	      [--cert FILE --key FILE] ROOT
 *
 * It serves the regular files below ROOT to GET and HEAD, and "index.html" for a directory, until
 * SIGINT or SIGTERM; then it lets nobody new in, and ends when what was asked for is sent, after
 * five seconds at most.  Links that lead out of ROOT lead nowhere.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/anyc.h>
#include <anyc/tls.h>

#include "connection.h"

#define GRACE (5 * ANYC_SECOND)
enum { CONNECTIONS_MAX = 10000 };

static struct settings {
	const char *host, *port, *cert, *key, *root;
} settings = { .host = "127.0.0.1", .port = "8080" };

static struct server server = { .patience = 10 * ANYC_SECOND };

struct serving {
	struct anyc_listener *listener;
	struct anyc_group *group;
};

static int serve(void *arg)
{
	const struct serving *s = arg;
	const struct anyc_serve_options o = { .group = s->group, .limit = CONNECTIONS_MAX };

	return anyc_serve(s->listener, serve_connection, &server, &o);
}

/* On failure the listener below is still the caller's. */
static int add_tls(struct anyc_listener **listener)
{
	static const char *const alpn[] = { "http/1.1", NULL };
	struct anyc_tls_context_options c = { .server = true,
					      .chain_file = settings.cert,
					      .key_file = settings.key,
					      .alpn = alpn };
	/* Each answer tells its length, so an end without close_notify cuts nothing off unseen. */
	struct anyc_tls_options o = { .server = true,
				      .handshake_timeout = server.patience,
				      .ragged_eof = true };
	struct anyc_listener *below = *listener;
	int rc = anyc_tls_context_new(&o.context, &c);

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
	int rc = anyc_tcp_listen(out, settings.host, settings.port, NULL);

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
	stop_connections(&server);
	return anyc_scope_set_deadline(anyc_group_scope(s->group), anyc_now() + GRACE);
}

static int run_server(void *arg)
{
	/* A connection that takes longer than GRACE is cut off, which is no error. */
	struct anyc_group_options o = { .move_on = true };
	struct anyc_group g;
	struct serving s = { .group = &g };
	int rc;

	(void)arg;
	anyc_group_enter(&g, &o);
	rc = open_listener(&s.listener);
	if (rc == 0)
		rc = anyc_spawn(&g, serve, &s);
	if (rc == 0)
		rc = wait_for_end(&s);
	rc = anyc_group_leave(&g, rc);
	anyc_listener_free(s.listener);
	return rc;
}

static bool read_arguments(struct anyc_run_options *run, int argc, char **argv)
{
	int i;

	for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		if (strcmp(argv[i], "--loop") == 0)
			run->backend = argv[i + 1];
		else if (strcmp(argv[i], "--host") == 0)
			settings.host = argv[i + 1];
		else if (strcmp(argv[i], "--port") == 0)
			settings.port = argv[i + 1];
		else if (strcmp(argv[i], "--cert") == 0)
			settings.cert = argv[i + 1];
		else if (strcmp(argv[i], "--key") == 0)
			settings.key = argv[i + 1];
		else if (strcmp(argv[i], "--patience") == 0)
			server.patience = atoi(argv[i + 1]) * ANYC_MILLISECOND;
		else
			return false;
	}
	settings.root = argv[i];
	return i + 1 == argc && (settings.cert == NULL) == (settings.key == NULL) &&
	       server.patience > 0;
}

int main(int argc, char **argv)
{
	struct anyc_run_options run = { .name = "files" };
	int rc;

	if (!read_arguments(&run, argc, argv)) {
		fprintf(stderr, "usage: files [--loop NAME] [--host HOST] [--port PORT] "
				"[--patience MS]\n             [--cert FILE --key FILE] ROOT\n");
		return 2;
	}
	rc = cache_init(&server.cache, settings.root);
	if (rc < 0) {
		fprintf(stderr, "files: %s: %s\n", settings.root, anyc_strerror(rc));
		return 1;
	}
	rc = anyc_run(&run, run_server, NULL);
	cache_free(&server.cache);
	if (rc < 0)
		fprintf(stderr, "files: %s\n", anyc_error_detail(rc));
	return rc < 0;
}

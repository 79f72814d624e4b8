/* SPDX-License-Identifier: MIT */
/* The TLS server on anyc: a task for each connection, on the loop that the argument names. */
#include <anyc/anyc.h>
#include <anyc/tls.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls_server.h"

static unsigned char data[TLS_BULK];

static int echo(struct anyc_stream *stream)
{
	char buf[4096];
	int n;

	while ((n = anyc_stream_receive(stream, buf, sizeof buf)) > 0) {
		n = anyc_stream_send(stream, buf, (size_t)n);
		if (n < 0)
			break;
	}
	return n;
}

static int serve_one(void *arg, struct anyc_stream *stream)
{
	char use = 0;
	int rc = anyc_stream_receive(stream, &use, 1);

	(void)arg;
	if (rc > 0 && use == TLS_ECHO)
		rc = echo(stream);
	while (rc > 0 && use == TLS_RECEIVE)
		rc = anyc_stream_receive(stream, data, sizeof data);
	for (rc = rc > 0 ? 0 : rc; rc == 0 && use == TLS_SEND;)
		rc = anyc_stream_send(stream, data, sizeof data);
	return rc == ANYC_EBROKEN ? 0 : rc;
}

static int listen_on(struct anyc_listener **out, struct anyc_tls_context *context)
{
	struct anyc_tls_options o = {.server = true, .context = context};
	struct anyc_listener *below;
	struct anyc_address address;
	int rc = anyc_tcp_listen(&below, "127.0.0.1", "0", NULL);

	*out = NULL;
	if (rc != 0)
		return rc;
	rc = anyc_listener_attribute(below, &anyc_attribute_local_address, &address,
				     sizeof address);
	if (rc == 0)
		rc = anyc_tls_listener(out, below, &o);
	if (rc != 0) {
		anyc_listener_free(below);
		return rc;
	}
	printf("%u\n", anyc_address_port(&address));
	fflush(stdout);
	return 0;
}

static int serve(void *arg)
{
	struct anyc_tls_context_options o = {.server = true, .min_version = ANYC_TLS_1_3};
	struct anyc_tls_context *context;
	struct anyc_listener *listener;
	int rc;

	(void)arg;
	o.chain_file = o.key_file = getenv(TLS_PEM);
	rc = anyc_tls_context_new(&context, &o);
	if (rc != 0)
		return rc;
	rc = listen_on(&listener, context);
	if (rc == 0)
		rc = anyc_serve(listener, serve_one, NULL, NULL);
	anyc_listener_free(listener);
	anyc_tls_context_unref(context);
	return rc;
}

int main(int argc, char **argv)
{
	struct anyc_run_options options = {.backend = argc > 1 ? argv[1] : NULL};
	int rc = anyc_run(&options, serve, NULL);

	if (rc != 0)
		fprintf(stderr, "TLS server: %s\n", anyc_error_detail(rc));
	return rc != 0;
}

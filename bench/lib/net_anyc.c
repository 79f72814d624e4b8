/* SPDX-License-Identifier: MIT */
/*
 * The server on anyc: a task for each connection, on the loop that the variant names.
 *
 * If the environment has BENCH_WAITS, a descriptor of shared memory, a task beside them gives way
 * again and again, and counts there how long it was not its turn.
 */
#include <anyc/anyc.h>
#include <anyc/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "server.h"

static unsigned char data[SERVER_BULK];

static int echo(struct anyc_stream *stream)
{
	char buf[SERVER_BUFFER];
	int n;

	while ((n = anyc_stream_receive(stream, buf, sizeof buf)) > 0) {
		n = anyc_stream_send(stream, buf, (size_t)n);
		if (n < 0)
			break;
	}
	return n;
}

static int serve_one(void *use, struct anyc_stream *stream)
{
	int rc = 0;

	if (strcmp(use, SERVER_SEND) == 0)
		while (rc == 0)
			rc = anyc_stream_send(stream, data, sizeof data);
	else if (strcmp(use, SERVER_RECEIVE) == 0)
		while ((rc = anyc_stream_receive(stream, data, sizeof data)) > 0)
			continue;
	else
		rc = echo(stream);
	return rc == ANYC_EBROKEN ? 0 : rc;
}

/* -------------------------------------------------------------------------------- listening */

static int wrap(struct anyc_listener **l, const char *pem)
{
	struct anyc_tls_context_options settings = {.server = true, .min_version = ANYC_TLS_1_3,
						    .chain_file = pem, .key_file = pem};
	struct anyc_tls_options o = {.server = true};
	struct anyc_listener *below = *l;
	int rc = anyc_tls_context_new(&o.context, &settings);

	if (rc != 0)
		return rc;
	rc = anyc_tls_listener(l, below, &o);
	if (rc != 0)
		*l = below;
	anyc_tls_context_unref(o.context);
	return rc;
}

static int listen_here(struct anyc_listener **out)
{
	struct anyc_address address;
	int rc = anyc_tcp_listen(out, "127.0.0.1", "0", NULL);

	if (rc == 0 && getenv(SERVER_PEM) != NULL)
		rc = wrap(out, getenv(SERVER_PEM));
	if (rc == 0)
		rc = anyc_listener_attribute(*out, &anyc_attribute_local_address, &address,
					     sizeof address);
	if (rc != 0)
		return rc;
	printf("%u\n", anyc_address_port(&address));
	fflush(stdout);
	return 0;
}

/* ------------------------------------------------------------------------------- the ticker */

static int64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int tick(void *arg)
{
	struct server_waits *waits = arg;
	int64_t last = cpu_now(), us;
	int rc;

	while ((rc = anyc_checkpoint()) == 0) {
		us = (cpu_now() - last) / 1000;
		if (us >= SERVER_WAITS_LEAST)
			waits->count[us < SERVER_WAITS_MOST ? us : SERVER_WAITS_MOST - 1]++;
		last = cpu_now();
	}
	return rc;
}

static void *map(const char *fd)
{
	return mmap(NULL, sizeof(struct server_waits), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd),
		    0);
}

static int serve(void *use)
{
	const char *shared = getenv(SERVER_WAITS);
	struct anyc_listener *listener;
	struct anyc_group group;
	int rc = listen_here(&listener);

	anyc_group_enter(&group, NULL);
	if (rc == 0 && shared != NULL)
		anyc_spawn(&group, tick, map(shared));
	if (rc == 0)
		rc = anyc_serve(listener, serve_one, use, NULL);
	rc = anyc_group_leave(&group, rc);
	anyc_listener_free(listener);
	return rc;
}

int main(int argc, char **argv)
{
	struct anyc_run_options options = {.backend = argv[1]};
	int rc = argc == 3 ? anyc_run(&options, serve, argv[2]) : ANYC_EINVAL;

	if (rc != 0)
		fprintf(stderr, "server: %s\n", anyc_error_detail(rc));
	return rc != 0;
}

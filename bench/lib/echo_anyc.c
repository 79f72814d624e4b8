/* SPDX-License-Identifier: MIT */
/* The echo server on anyc: a task for each connection, on the loop that the argument names. */
#include <anyc/anyc.h>
#include <stdio.h>

static int echo(void *arg, struct anyc_stream *stream)
{
	char buf[4096];
	int n;

	(void)arg;
	while ((n = anyc_stream_receive(stream, buf, sizeof buf)) > 0) {
		n = anyc_stream_send(stream, buf, (size_t)n);
		if (n < 0)
			break;
	}
	return n == ANYC_EBROKEN ? 0 : n;
}

static int serve(void *arg)
{
	struct anyc_listener *listener;
	struct anyc_address address;
	int rc = anyc_tcp_listen(&listener, "127.0.0.1", "0", NULL);

	(void)arg;
	if (rc != 0)
		return rc;
	rc = anyc_listener_attribute(listener, &anyc_attribute_local_address, &address,
				     sizeof address);
	if (rc == 0) {
		printf("%u\n", anyc_address_port(&address));
		fflush(stdout);
		rc = anyc_serve(listener, echo, NULL, NULL);
	}
	anyc_listener_free(listener);
	return rc;
}

int main(int argc, char **argv)
{
	struct anyc_run_options options = {.backend = argc > 1 ? argv[1] : NULL};
	int rc = anyc_run(&options, serve, NULL);

	if (rc != 0)
		fprintf(stderr, "echo server: %s\n", anyc_error_detail(rc));
	return rc != 0;
}

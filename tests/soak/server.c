/* SPDX-License-Identifier: MIT */
/* The server of a soak: echoes, and hangs up on who asks for it. */
#include <anyc/anyc.h>
#include <anyc/tls.h>
#include <stdio.h>

#include "soak.h"

#define PATIENCE (120 * ANYC_SECOND) /* with a connection */

static int echo(struct anyc_stream *stream)
{
	char buf[1024];
	int n;

	while ((n = anyc_stream_receive(stream, buf, sizeof buf)) > 0 && buf[0] != 'q') {
		n = anyc_stream_send(stream, buf, (size_t)n);
		if (n < 0)
			break;
	}
	return n > 0 ? 0 : n;
}

static int serve_one(void *arg, struct anyc_stream *stream)
{
	struct soak *s = arg;
	struct anyc_scope scope;
	unsigned open = atomic_fetch_add(&s->open, 1) + 1;
	int rc;

	if (open > s->open_most)
		s->open_most = open;
	anyc_scope_enter_timeout(&scope, PATIENCE);
	rc = anyc_scope_leave(&scope, echo(stream));
	/* A client that was cancelled, or that resets, is none of our errors. */
	if (rc < 0 && rc != ANYC_EBROKEN && rc != ANYC_ETLS)
		soak_fail(s, "a connection of the server: %s", anyc_error_detail(rc));
	atomic_fetch_sub(&s->open, 1);
	atomic_fetch_add(&s->served, 1);
	return 0;
}

int soak_port(struct anyc_listener *l, _Atomic unsigned *port)
{
	struct anyc_address address;
	int rc = anyc_listener_attribute(l, &anyc_attribute_local_address, &address,
					 sizeof address);

	if (rc == 0)
		*port = anyc_address_port(&address);
	return rc;
}

int soak_tls_listener(struct anyc_listener **l, const char *pem, int64_t handshake_timeout)
{
	struct anyc_tls_context_options settings = {.server = true, .chain_file = pem,
						    .key_file = pem};
	struct anyc_tls_options o = {.server = true, .handshake_timeout = handshake_timeout};
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

struct job {
	struct soak *soak;
	struct anyc_listener *listener;
};

static int serve(void *arg)
{
	struct job *job = arg;

	return anyc_serve(job->listener, serve_one, job->soak, NULL);
}

/* All clients are through: no connection may be left. */
static int await_ends(struct soak *s)
{
	int64_t until = anyc_now() + PATIENCE / 8;
	int rc = 0;

	while (rc == 0 && s->open > 0 && !s->failed) {
		if (anyc_now() > until)
			soak_fail(s, "server: %u connections did not end with their clients",
				  s->open);
		rc = anyc_sleep(ANYC_MILLISECOND);
	}
	return s->failed ? ANYC_ECLOSED : rc;
}

/* A loop gives the stacks of a burst back when nothing is ready, 1,024 of them at a time. */
static int await_stacks(const struct soak *s)
{
	unsigned times = s->at_once / 1024 + 1;
	int rc = 0;

	while (rc == 0 && times-- > 0)
		rc = anyc_sleep(ANYC_MILLISECOND);
	return rc;
}

int soak_settle(struct soak *s)
{
	int rc = await_ends(s);

	return rc == 0 ? await_stacks(s) : rc;
}

/* Looks at itself each time that all connections have ended. */
static int watch(struct soak *s)
{
	struct soak_figures figures[SOAK_PHASES];
	unsigned phase;
	int rc = 0;

	for (phase = 0; phase < SOAK_PHASES && rc == 0; phase++) {
		rc = anyc_sleep(s->phase);
		if (rc == 0)
			rc = soak_wait(s, &s->ended, phase + 1, "all clients were through");
		if (rc == 0)
			rc = soak_settle(s);
		if (rc == 0)
			soak_look(s, "server", figures, phase);
		s->measured = phase + 1;
	}
	return rc;
}

int soak_server(void *arg)
{
	struct soak *s = arg;
	struct job plain = {.soak = s}, tls = {.soak = s};
	struct anyc_group group;
	int rc = anyc_tcp_listen(&plain.listener, "0.0.0.0", "0", NULL);

	if (rc == 0)
		rc = anyc_tcp_listen(&tls.listener, "0.0.0.0", "0", NULL);
	if (rc == 0)
		rc = soak_tls_listener(&tls.listener, s->pem, 0);
	if (rc == 0)
		rc = soak_port(plain.listener, &s->port);
	if (rc == 0)
		rc = soak_port(tls.listener, &s->tls_port);
	anyc_group_enter(&group, NULL);
	if (rc == 0) {
		anyc_spawn(&group, serve, &plain);
		anyc_spawn(&group, serve, &tls);
		rc = watch(s);
	}
	anyc_group_cancel(&group, "the soak is over");
	rc = anyc_group_leave(&group, rc);
	anyc_listener_free(tls.listener);
	anyc_listener_free(plain.listener);
	snprintf(s->summary, sizeof s->summary, "%u connections, %u at once, and nothing grew",
		 s->served, s->open_most);
	return rc;
}

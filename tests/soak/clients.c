/* SPDX-License-Identifier: MIT */
/* The clients of a soak: each connects, echoes a few times, ends in one of the ways, and again. */
#include <anyc/anyc.h>
#include <anyc/tls.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "soak.h"

#define CONNECTING 64  /* at once, so that none has to try again */
#define HOSTS 100      /* addresses of the loopback interface: each has ports of its own */
#define ECHOES 4       /* of a connection, at most */
#define MESSAGE 512    /* bytes, at most */
#define PATIENCE (120 * ANYC_SECOND)
/* A connection lives so long for each of the clients: a thousand come and go in a second. */
#define LIFE_EACH ANYC_MILLISECOND

enum way { ORDERLY, HALF_CLOSE, RESET, SERVER_CLOSES, CANCELLED, CANCELLED_EARLY, WAYS };

struct client {
	struct soak *soak;
	bool tls;
	uint32_t random;
};

static struct anyc_semaphore connecting;
static struct anyc_event assembled; /* all clients are connected at once */
static size_t missing;
static struct anyc_tls_context *context;
static int64_t phase_end;

static uint32_t draw(struct client *c, uint32_t below)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 17;
	c->random ^= c->random << 5;
	return c->random % below;
}

/* ------------------------------------------------------------------------------ connections */

static int wrap(struct anyc_stream **stream)
{
	struct anyc_tls_options o = {.context = context};
	struct anyc_stream *below = *stream;
	int rc = anyc_tls_wrap(stream, below, "127.0.0.1", &o);

	if (rc != 0)
		anyc_stream_free(below);
	return rc;
}

static int connect_to(struct anyc_stream **stream, struct client *c)
{
	char host[16], port[8];
	int rc = anyc_semaphore_acquire(&connecting);

	*stream = NULL;
	if (rc != 0)
		return rc;
	snprintf(host, sizeof host, "127.0.0.%u", 1 + draw(c, HOSTS));
	snprintf(port, sizeof port, "%u", c->tls ? c->soak->tls_port : c->soak->port);
	rc = anyc_tcp_connect(stream, host, port, NULL);
	if (rc == 0 && c->tls)
		rc = wrap(stream);
	anyc_semaphore_release(&connecting);
	return rc;
}

static int receive_all(struct anyc_stream *stream, char *buf, size_t size)
{
	int n = 1;

	for (; size > 0 && n > 0; size -= (size_t)n, buf += n)
		n = anyc_stream_receive(stream, buf, size);
	return n == 0 ? ANYC_EINCOMPLETE : n < 0 ? n : 0;
}

static int echo(struct client *c, struct anyc_stream *stream)
{
	char sent[MESSAGE], got[MESSAGE];
	size_t size = 1 + draw(c, MESSAGE);
	int rc;

	memset(sent, 'a' + (int)draw(c, 10), size);
	rc = anyc_stream_send(stream, sent, size);
	if (rc == 0)
		rc = receive_all(stream, got, size);
	if (rc == 0 && memcmp(sent, got, size) != 0)
		soak_fail(c->soak, "an echo is not what was sent");
	return rc;
}

/* Between two messages, so that all are open for some time. */
static int idle(struct client *c)
{
	int64_t life = c->soak->connections * LIFE_EACH / ECHOES;
	int64_t until = anyc_now() + draw(c, (uint32_t)(life / 1000) + 1) * 2000LL;

	return anyc_sleep_until(until < phase_end ? until : phase_end);
}

/* ----------------------------------------------------------------------------------- endings */

/* The server's end must come. */
static int hear_end(struct anyc_stream *stream)
{
	char byte;
	int rc = anyc_stream_receive(stream, &byte, 1);

	return rc > 0 ? ANYC_EMISUSE : rc;
}

static int reset(struct anyc_stream *stream)
{
	static const struct linger at_once = {.l_onoff = 1};
	int fd, rc = anyc_stream_attribute(stream, &anyc_attribute_fd, &fd, sizeof fd);

	if (rc == 0)
		rc = setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	return rc;
}

static int cancel_midway(struct client *c, struct anyc_stream *stream)
{
	struct anyc_scope scope;
	int rc;

	anyc_scope_enter_move_on(&scope, draw(c, 2000) * 1000LL);
	rc = anyc_scope_leave(&scope, hear_end(stream));
	if (rc == 0 && !anyc_scope_cancelled_caught(&scope))
		soak_fail(c->soak, "a connection ended by itself");
	return rc;
}

static int end(struct client *c, struct anyc_stream *stream, enum way way)
{
	int rc = 0;

	switch (way) {
	case HALF_CLOSE:
		/* TLS has no such thing. */
		rc = c->tls ? anyc_stream_close(stream) : anyc_stream_send_eof(stream);
		return rc == 0 && !c->tls ? hear_end(stream) : rc;
	case RESET:
		return reset(stream);
	case SERVER_CLOSES:
		rc = anyc_stream_send(stream, "q", 1);
		return rc == 0 ? hear_end(stream) : rc;
	case CANCELLED:
		return cancel_midway(c, stream);
	default:
		return anyc_stream_close(stream);
	}
}

/* ------------------------------------------------------------------------------------- tasks */

static int live(struct client *c, struct anyc_stream *stream)
{
	unsigned echoes = 1 + draw(c, ECHOES);
	int rc = 0;

	while (rc == 0 && echoes-- > 0) {
		rc = echo(c, stream);
		if (rc == 0)
			rc = idle(c);
	}
	return rc == 0 ? end(c, stream, draw(c, CANCELLED_EARLY)) : rc;
}

/* Cancelled while it connects, handshakes or waits for its turn to. */
static int give_up(struct client *c)
{
	struct anyc_stream *stream;
	struct anyc_scope scope;
	int rc;

	anyc_scope_enter_move_on(&scope, draw(c, 3000) * 1000LL);
	rc = connect_to(&stream, c);
	anyc_stream_free(stream);
	return anyc_scope_leave(&scope, rc);
}

static int connection(struct client *c)
{
	struct anyc_stream *stream;
	struct anyc_scope scope;
	int rc;

	if (draw(c, WAYS) == CANCELLED_EARLY)
		return give_up(c);
	anyc_scope_enter_timeout(&scope, PATIENCE);
	rc = connect_to(&stream, c);
	if (rc == 0)
		rc = live(c, stream);
	anyc_stream_free(stream);
	return anyc_scope_leave(&scope, rc);
}

/* Connects and waits for all others, so that the warm-up has had the most. */
static int assemble(struct client *c)
{
	struct anyc_stream *stream;
	struct anyc_scope scope;
	int rc;

	anyc_scope_enter_timeout(&scope, PATIENCE);
	rc = connect_to(&stream, c);
	if (rc == 0)
		rc = echo(c, stream);
	if (rc == 0 && --missing == 0)
		anyc_event_set(&assembled);
	if (rc == 0)
		rc = anyc_event_wait(&assembled);
	anyc_stream_free(stream);
	return anyc_scope_leave(&scope, rc);
}

static int client(void *arg)
{
	struct client *c = arg;
	int rc = anyc_event_is_set(&assembled) ? 0 : assemble(c);

	while (rc == 0 && anyc_now() < phase_end && !atomic_load(&c->soak->failed))
		rc = connection(c);
	return rc;
}

static int phase(struct soak *s, struct client *clients, size_t count)
{
	struct anyc_group group;
	size_t i;

	phase_end = anyc_now() + s->phase;
	anyc_group_enter(&group, NULL);
	for (i = 0; i < count; i++)
		anyc_spawn(&group, client, &clients[i]);
	return anyc_group_leave(&group, 0);
}

int soak_clients(void *arg)
{
	struct soak *s = arg;
	struct anyc_tls_context_options o = {.ca_file = s->ca};
	struct soak_figures figures[SOAK_PHASES];
	size_t count = s->connections + s->tls_connections, i;
	struct client *clients = calloc(count, sizeof *clients);
	int rc = anyc_semaphore_init(&connecting, CONNECTING, 0);

	missing = count;
	for (i = 0; clients != NULL && i < count; i++)
		clients[i] = (struct client){.soak = s, .tls = i >= s->connections,
					     .random = 1 + (uint32_t)i * 2654435761U};
	if (rc == 0)
		rc = clients != NULL ? anyc_tls_context_new(&context, &o) : -ENOMEM;
	if (rc == 0)
		rc = soak_wait(s, &s->tls_port, 1, "the server listened");
	for (i = 0; i < SOAK_PHASES && rc == 0; i++) {
		rc = phase(s, clients, count);
		s->ended = (unsigned)i + 1;
		if (rc == 0)
			rc = soak_wait(s, &s->measured, (unsigned)i + 1,
				       "all connections of the server had ended");
		if (rc == 0)
			soak_look(s, "clients", figures, (unsigned)i);
	}
	anyc_tls_context_unref(context);
	free(clients);
	return rc;
}

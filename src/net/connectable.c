/* SPDX-License-Identifier: MIT */
/* How to connect, as an object: the calls, and the kinds that libanyc has. */
#include <errno.h>
#include <stdlib.h>

#include <anyc/connect.h>
#include <anyc/unix.h>

#include "connection.h"
#include "unix_path.h"

void anyc_connectable_init(struct anyc_connectable *c, const struct anyc_connectable_ops *ops)
{
	memset(c, 0, sizeof *c);
	c->ops_ = ops;
}

static void leave(struct anyc_connectable *c)
{
	if (--c->inside_ == 0 && c->freed_)
		c->ops_->free(c);
}

/* The answer of an operation, which may be somebody else's: a stream, or an error and none. */
static int look_at_answer(const struct anyc_connectable *c, struct anyc_stream **out, int rc)
{
	if (ANYC__LIKELY(rc == 0 && *out != NULL))
		return 0;
	if (rc >= 0) {
		anyc_stream_free(*out);
		rc = anyc__misuse(ANYC_EMISUSE, "a %s connectable's connect returned %d%s",
				  c->ops_->name, rc, rc == 0 ? " without a stream" : "");
	}
	*out = NULL;
	return rc;
}

int anyc_connect(struct anyc_stream **out, struct anyc_connectable *c)
{
	int rc;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || c == NULL)
		return anyc__refuse_arguments(0, "connect: an argument is NULL");
	c->inside_++;
	rc = look_at_answer(c, out, c->ops_->connect(c, out));
	leave(c);
	return rc;
}

void anyc_connectable_free(struct anyc_connectable *c)
{
	struct anyc__kept kept;

	if (c == NULL || c->freed_)
		return;
	anyc__keep(&kept);
	c->inside_++;
	c->freed_ = true;
	leave(c);
	anyc__restore(&kept);
}

static int no_memory(void)
{
	return anyc_fail(-ENOMEM, ENOMEM, "no memory for a connectable");
}

static int missing(const char *call)
{
	return anyc_fail(ANYC_EINVAL, 0, "%s: an argument is NULL", call);
}

/* Copies size bytes to *at, which moves behind them. */
static char *keep(char **at, const void *bytes, size_t size)
{
	char *kept = *at;

	memcpy(kept, bytes, size);
	*at += size;
	return kept;
}

/* ------------------------------------------------------------------------------------ TCP */

struct tcp {
	struct anyc_connectable head;
	struct anyc_tcp_connect_options options;
	const char *host, *port; /* in texts, as options.local_host is */
	char texts[];
};

static int tcp_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	const struct tcp *t = (const struct tcp *)(const void *)c;

	return anyc_tcp_connect(out, t->host, t->port, &t->options);
}

static void free_block(struct anyc_connectable *c)
{
	anyc__free(c);
}

static const struct anyc_connectable_ops tcp_ops = {
	.size = sizeof tcp_ops, .name = "TCP", .connect = tcp_connect, .free = free_block
};

/* A number that is no port to connect to, or nothing; a name may be one. */
static bool is_bad_port(const char *port)
{
	char *end;
	long n = strtol(port, &end, 10);

	return *end == '\0' && (n < 1 || n > 65535);
}

int anyc_tcp_connectable_sized(struct anyc_connectable **out, const char *host, const char *port,
			       const struct anyc_tcp_connect_options *options, size_t size)
{
	struct anyc_tcp_connect_options o;
	const char *wrong;
	struct tcp *t;
	char *at;

	anyc__options_read(&o, sizeof o, options, size);
	o.attempts = NULL;
	o.attempt_count = NULL;
	if (out != NULL)
		*out = NULL;
	wrong = out == NULL ? "out is NULL" : anyc__tcp_bad_connect(host, port, &o);
	if (wrong == NULL && is_bad_port(port))
		wrong = "the port is none to connect to";
	if (wrong == NULL && (*host == '\0' || (o.local_host != NULL && *o.local_host == '\0')))
		wrong = "a host is empty";
	if (wrong != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_tcp_connectable: %s", wrong);
	t = anyc__alloc(sizeof *t + strlen(host) + 1 + strlen(port) + 1 +
			(o.local_host != NULL ? strlen(o.local_host) + 1 : 0));
	if (t == NULL)
		return no_memory();
	at = t->texts;
	t->host = keep(&at, host, strlen(host) + 1);
	t->port = keep(&at, port, strlen(port) + 1);
	if (o.local_host != NULL)
		o.local_host = keep(&at, o.local_host, strlen(o.local_host) + 1);
	t->options = o;
	anyc_connectable_init(&t->head, &tcp_ops);
	*out = &t->head;
	return 0;
}

/* ----------------------------------------------------------------------------------- UNIX */

struct local {
	struct anyc_connectable head;
	struct anyc_unix_options options;
	char path[];
};

static int unix_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	const struct local *l = (const struct local *)(const void *)c;

	return anyc_unix_connect(out, l->path, &l->options);
}

static const struct anyc_connectable_ops unix_ops = {
	.size = sizeof unix_ops, .name = "UNIX", .connect = unix_connect, .free = free_block
};

int anyc_unix_connectable_sized(struct anyc_connectable **out, const char *path,
				const struct anyc_unix_options *options, size_t size)
{
	struct anyc_unix_options o;
	struct anyc_address address;
	struct local *l;
	size_t length;
	int rc;

	anyc__options_read(&o, sizeof o, options, size);
	if (out == NULL)
		return missing("anyc_unix_connectable");
	*out = NULL;
	rc = anyc__unix_address(&address, path, o.path_length, "anyc_unix_connectable");
	if (rc != 0)
		return rc;
	length = o.path_length != 0 ? o.path_length : strlen(path);
	l = anyc__alloc(sizeof *l + length + 1);
	if (l == NULL)
		return no_memory();
	memcpy(l->path, path, length);
	l->options.path_length = length;
	anyc_connectable_init(&l->head, &unix_ops);
	*out = &l->head;
	return 0;
}

/* ------------------------------------------------------------------------------- wrappers */

struct wrapper {
	struct anyc_connectable head;
	struct anyc_connectable *below;
	struct anyc_text_options text;
};

/* Connects below; what cannot be wrapped is closed. */
static int connect_and(struct anyc_connectable *c, struct anyc_stream **out,
		       int (*wrap)(struct anyc_stream **out, struct anyc_stream *below,
				   const struct wrapper *w))
{
	const struct wrapper *w = (const struct wrapper *)(const void *)c;
	struct anyc_stream *below;
	int rc = anyc_connect(&below, w->below);

	if (rc != 0)
		return rc;
	rc = wrap(out, below, w);
	if (rc != 0)
		anyc_stream_free(below);
	return rc;
}

static int wrap_buffered(struct anyc_stream **out, struct anyc_stream *below,
			 const struct wrapper *w)
{
	(void)w;
	return anyc_buffered_stream(out, below);
}

static int wrap_text(struct anyc_stream **out, struct anyc_stream *below, const struct wrapper *w)
{
	return anyc_text_stream(out, below, &w->text);
}

static int buffered_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	return connect_and(c, out, wrap_buffered);
}

static int text_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	return connect_and(c, out, wrap_text);
}

static void wrapper_free(struct anyc_connectable *c)
{
	struct wrapper *w = (struct wrapper *)(void *)c;

	anyc_connectable_free(w->below);
	anyc__free(w);
}

static const struct anyc_connectable_ops buffered_ops = { .size = sizeof buffered_ops,
							  .name = "buffered",
							  .connect = buffered_connect,
							  .free = wrapper_free };
static const struct anyc_connectable_ops text_ops = { .size = sizeof text_ops,
						      .name = "text",
						      .connect = text_connect,
						      .free = wrapper_free };

static int make_wrapper(struct anyc_connectable **out, struct anyc_connectable *below,
			const struct anyc_text_options *text, const char *call)
{
	struct wrapper *w;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || below == NULL)
		return missing(call);
	w = anyc__alloc(sizeof *w);
	if (w == NULL)
		return no_memory();
	w->below = below;
	if (text != NULL)
		w->text = *text;
	anyc_connectable_init(&w->head, text != NULL ? &text_ops : &buffered_ops);
	*out = &w->head;
	return 0;
}

int anyc_buffered_connectable(struct anyc_connectable **out, struct anyc_connectable *below)
{
	return make_wrapper(out, below, NULL, "anyc_buffered_connectable");
}

int anyc_text_connectable_sized(struct anyc_connectable **out, struct anyc_connectable *below,
				const struct anyc_text_options *options, size_t size)
{
	struct anyc_text_options o;

	anyc__options_read(&o, sizeof o, options, size);
	return make_wrapper(out, below, &o, "anyc_text_connectable");
}

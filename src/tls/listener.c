/* SPDX-License-Identifier: MIT */
/*
 * A listener that gives TLS streams.  Accept does not handshake: the task that first uses a
 * stream does, so a slow client holds up nobody but its own task.
 */
#include <errno.h>
#include <stdlib.h>

#include "tls.h"

struct tls_listener {
	struct anyc_listener head;
	struct anyc_listener *below; /* NULL once closed */
	struct anyc_tls_options options; /* with a reference to its context */
};

static int tls_accept(struct anyc_listener *l, struct anyc_stream **out)
{
	struct tls_listener *listener = (struct tls_listener *)l;
	struct anyc__tls_stream *t;
	struct anyc_stream *transport;
	int rc;

	*out = NULL;
	if (listener->below == NULL)
		return ANYC_ECLOSED;
	rc = anyc_listener_accept(listener->below, &transport);
	if (rc != 0)
		return rc;
	rc = anyc__tls_create(&t, transport, NULL, &listener->options);
	if (rc != 0) {
		anyc_stream_free(transport);
		return rc;
	}
	*out = &t->head;
	return 0;
}

static int tls_close_listener(struct anyc_listener *l, unsigned flags)
{
	struct tls_listener *listener = (struct tls_listener *)l;
	struct anyc_listener *below = listener->below;
	int rc = 0;

	listener->below = NULL;
	if (below != NULL && !(flags & ANYC_NOWAIT))
		rc = anyc_listener_close(below);
	anyc_listener_free(below);
	return rc;
}

static void tls_free_listener(struct anyc_listener *l)
{
	struct tls_listener *listener = (struct tls_listener *)l;

	anyc_tls_context_unref(listener->options.context);
	free(listener);
}

static int tls_listener_attribute(struct anyc_listener *l, const struct anyc_attribute *attribute,
				  void *out)
{
	struct tls_listener *listener = (struct tls_listener *)l;

	if (listener->below == NULL)
		return ANYC_ECLOSED;
	return anyc_listener_attribute(listener->below, attribute, out, attribute->size);
}

static const struct anyc_listener_ops listener_ops = {
	.size = sizeof(struct anyc_listener_ops),
	.name = "tls listener",
	.accept = tls_accept,
	.close = tls_close_listener,
	.free = tls_free_listener,
	.attribute = tls_listener_attribute,
};

int anyc_tls_listener_sized(struct anyc_listener **out, struct anyc_listener *below,
			    const struct anyc_tls_options *options, size_t size)
{
	struct tls_listener *listener;
	struct anyc_tls_options o;
	int rc;

	if (out == NULL || below == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_tls_listener(): an argument is NULL");
	*out = NULL;
	if (below->closed_ || below->inside_ != 0)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_tls_listener(): the listener is %s",
				 below->closed_ ? "closed" : "in use");
	rc = anyc__tls_options_copy(&o, options, size);
	if (rc != 0)
		return rc;
	if (!o.server)
		return anyc_fail(ANYC_EINVAL, 0, "a TLS listener is a server's: set .server and "
				 ".context");
	listener = calloc(1, sizeof *listener);
	if (listener == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_tls_listener(): no memory");
	anyc_listener_init(&listener->head, &listener_ops);
	listener->below = below;
	listener->options = o;
	anyc_tls_context_ref(o.context);
	*out = &listener->head;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* TLS around what another connectable gives. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"

struct tls {
	struct anyc_connectable head;
	struct anyc_connectable *below;
	struct anyc_tls_options options;
	char host[];
};

static int tls_connect(struct anyc_connectable *c, struct anyc_stream **out)
{
	const struct tls *t = (const struct tls *)(const void *)c;
	struct anyc_stream *below;
	int rc = anyc_connect(&below, t->below);

	if (rc != 0)
		return rc;
	rc = anyc_tls_wrap(out, below, t->host, &t->options);
	if (rc != 0)
		anyc_stream_free(below);
	return rc;
}

static void tls_free(struct anyc_connectable *c)
{
	struct tls *t = (struct tls *)(void *)c;

	anyc_tls_context_unref(t->options.context);
	anyc_connectable_free(t->below);
	free(t);
}

static const struct anyc_connectable_ops tls_ops = {
	.size = sizeof tls_ops, .name = "TLS", .connect = tls_connect, .free = tls_free
};

int anyc_tls_connectable_sized(struct anyc_connectable **out, struct anyc_connectable *below,
			       const char *host, const struct anyc_tls_options *options,
			       size_t size)
{
	struct anyc_tls_options o;
	struct tls *t;
	int rc;

	if (out != NULL)
		*out = NULL;
	if (out == NULL || below == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_tls_connectable: an argument is NULL");
	rc = anyc__tls_options_copy(&o, options, size);
	if (rc == 0 && o.server)
		rc = anyc_fail(ANYC_EINVAL, 0, "anyc_tls_connectable: .server is set");
	if (rc == 0)
		rc = anyc__tls_check_name(host);
	if (rc != 0)
		return rc;
	t = calloc(1, sizeof *t + strlen(host) + 1);
	if (t == NULL)
		return anyc_fail(-ENOMEM, ENOMEM, "anyc_tls_connectable: no memory");
	o.tcp = NULL;
	if (o.context != NULL)
		o.context = anyc_tls_context_ref(o.context);
	t->options = o;
	t->below = below;
	memcpy(t->host, host, strlen(host) + 1);
	anyc_connectable_init(&t->head, &tls_ops);
	*out = &t->head;
	return 0;
}

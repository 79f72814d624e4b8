/* SPDX-License-Identifier: MIT */
/* Listeners: what is the same for all of them, above struct anyc_listener_ops; rules: stream.c. */
#include <anyc/net.h>

#include "calls.h"

void anyc_listener_init(struct anyc_listener *l, const struct anyc_listener_ops *ops)
{
	memset(l, 0, sizeof *l);
	l->ops_ = ops;
}

static void leave(struct anyc_listener *l)
{
	if (--l->inside_ > 0 || !l->freed_)
		return;
	l->ops_->free(l);
}

/* See anyc__attribute_elsewhere. */
static int elsewhere(struct anyc_listener *l)
{
	int rc = 0;

	if (l->ops_->attribute == NULL ||
	    l->ops_->attribute(l, &anyc__attribute_elsewhere, &rc) != 0)
		return 0;
	return rc;
}

int anyc_listener_accept(struct anyc_listener *l, struct anyc_stream **out)
{
	int rc;

	if (out != NULL)
		*out = NULL;
	if (l == NULL || out == NULL)
		return anyc__refuse_arguments(0, "accept: an argument is NULL");
	if (l->closed_)
		return anyc__refuse_state(0, ANYC_ECLOSED, 0,
					  "accept: the listener was closed on this side");
	if (l->accepting_)
		return anyc__refuse_busy(0, elsewhere(l), "accept", "listener");
	l->accepting_ = true;
	l->inside_++;
	rc = l->ops_->accept(l, out);
	l->accepting_ = false;
	leave(l);
	return rc;
}

void anyc__listener_hold(struct anyc_listener *l)
{
	l->inside_++;
}

void anyc__listener_release(struct anyc_listener *l)
{
	leave(l);
}

static int close_open(struct anyc_listener *l, unsigned flags)
{
	l->closed_ = true;
	if (l->full_ != NULL)
		anyc__waiters_wake(l->full_, 0);
	return l->ops_->close(l, flags);
}

int anyc_listener_close(struct anyc_listener *l)
{
	struct anyc__closing closing;
	int rc = 0;

	if (l == NULL)
		return anyc__refuse_arguments(0, "close: the listener is NULL");
	if (!anyc__closing_begin(&closing))
		return closing.rc;
	if (!l->closed_ && elsewhere(l) == ANYC_ETHREAD)
		return anyc__refuse_close(&closing);
	l->inside_++;
	if (!l->closed_)
		rc = close_open(l, closing.flags);
	leave(l);
	return anyc__closing_end(&closing, rc);
}

void anyc_listener_free(struct anyc_listener *l)
{
	struct anyc__kept kept;

	if (l == NULL || l->freed_)
		return;
	anyc__keep(&kept);
	if (!l->closed_ && elsewhere(l) == ANYC_ETHREAD) {
		ANYC_IGNORE(anyc__refuse_elsewhere("free"));
	} else {
		l->inside_++;
		if (!l->closed_)
			ANYC_IGNORE(close_open(l, ANYC_NOWAIT));
		l->freed_ = true;
		leave(l);
	}
	anyc__restore(&kept);
}

int anyc_listener_attribute(struct anyc_listener *l, const struct anyc_attribute *attribute,
			    void *out, size_t size)
{
	int rc;

	if (l == NULL || attribute == NULL || out == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "attribute: an argument is NULL");
	if (size != attribute->size)
		return anyc_fail(ANYC_EINVAL, 0, "attribute %s has %zu bytes, not %zu",
				 attribute->name, attribute->size, size);
	memset(out, 0, size);
	if (l->closed_)
		return anyc_fail(ANYC_ECLOSED, 0,
				 "attribute: the listener was closed on this side");
	if (l->ops_->attribute == NULL)
		return anyc_fail(ANYC_ENOATTR, 0, "a %s listener has no %s", l->ops_->name,
				 attribute->name);
	l->inside_++;
	rc = l->ops_->attribute(l, attribute, out);
	if (rc != 0)
		memset(out, 0, size); /* whatever the getter has left there */
	leave(l);
	return rc;
}

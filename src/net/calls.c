/* SPDX-License-Identifier: MIT */
/* What the calls on streams, readers and listeners share; see calls.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "calls.h"

void anyc__keep(struct anyc__kept *k)
{
	const struct anyc__slot *slot;

	k->os_errno = errno;
	slot = anyc__slot();
	if (slot != NULL && slot->rc != 0)
		anyc__slot_copy(&k->slot, slot);
	else
		k->slot.rc = 0;
}

void anyc__restore(const struct anyc__kept *k)
{
	struct anyc__slot *slot = anyc__slot();

	if (slot != NULL && k->slot.rc != 0)
		anyc__slot_copy(slot, &k->slot);
	else if (slot != NULL)
		slot->rc = 0;
	errno = k->os_errno;
}

static int fail(int rc, int os_errno, const char *format, va_list args)
{
	char text[ANYC__SENTENCE];

	vsnprintf(text, sizeof text, format, args);
	return anyc_fail(rc, os_errno, "%s", text);
}

int anyc__refuse_arguments(unsigned flags, const char *format, ...)
{
	struct anyc_task *t;
	int rc = (flags & ANYC_NOWAIT) != 0 ? 0 : anyc__enter_uncancelled(&t);
	va_list args;

	if (rc != 0)
		return rc;
	va_start(args, format);
	rc = fail(ANYC_EINVAL, 0, format, args);
	va_end(args);
	return rc;
}

int anyc__checkpoint_only(unsigned flags)
{
	struct anyc_task *t;
	int rc;

	if ((flags & ANYC_NOWAIT) != 0)
		return 0;
	rc = anyc__enter(&t);
	if (rc == 0)
		anyc__yield(t);
	return rc;
}

int anyc__refuse_state(unsigned flags, int rc, int os_errno, const char *format, ...)
{
	int refused = anyc__checkpoint_only(flags);
	va_list args;

	if (refused != 0)
		return refused;
	va_start(args, format);
	rc = fail(rc, os_errno, format, args);
	va_end(args);
	return rc;
}

int anyc__refuse_busy(unsigned flags, int elsewhere, const char *call, const char *what)
{
	if (elsewhere == ANYC_EFORKED)
		return anyc__refuse_state(flags, ANYC_EFORKED, 0,
					  "%s: a task of the parent process is inside this %s",
					  call, what);
	if (elsewhere != 0)
		return anyc__refuse_state(flags, elsewhere, 0,
					  "%s: a task of another thread's loop is inside this %s",
					  call, what);
	return anyc__refuse_state(flags, ANYC_EBUSY, 0, "%s: another task is inside this %s", call,
				  what);
}

const struct anyc_attribute anyc__attribute_elsewhere = { "use elsewhere", sizeof(int) };

int anyc__refuse_elsewhere(const char *call)
{
	return anyc__misuse(ANYC_ETHREAD,
			    "%s: tasks of another thread's loop may be using it; call it there, "
			    "or when they have ended", call);
}

bool anyc__closing_begin(struct anyc__closing *c)
{
	anyc__keep(&c->kept);
	c->rc = anyc__enter(&c->task);
	c->flags = c->rc != 0 ? ANYC_NOWAIT : 0;
	return c->rc != ANYC_ENOTASK;
}

int anyc__closing_end(const struct anyc__closing *c, int result)
{
	anyc__restore(&c->kept);
	if (c->rc != 0)
		return c->rc;
	anyc__yield(c->task);
	errno = c->kept.os_errno;
	return result;
}

int anyc__refuse_close(const struct anyc__closing *c)
{
	ANYC_IGNORE(anyc__closing_end(c, 0));
	return anyc__refuse_elsewhere("close");
}

int anyc__close_below(struct anyc_stream **below, unsigned flags)
{
	struct anyc_stream *s = *below;

	if ((flags & ANYC_NOWAIT) == 0)
		return anyc_stream_close(s);
	*below = NULL;
	anyc_stream_free(s);
	return 0;
}

bool anyc__is_of_connection(int rc)
{
	switch (rc) {
	case -ECONNABORTED:
	case -ECONNRESET:
	case -EPERM: /* a firewall's rule */
	case -EPROTO:
	case -ETIMEDOUT:
	case -ENETDOWN:
	case -ENETUNREACH:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -ENONET:
		return true;
	default:
		return false;
	}
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

const char *anyc__words(struct anyc__words *w, int rc)
{
	snprintf(w->text, sizeof w->text, "%s", anyc_strerror(rc));
	if (is_upper(w->text[0]) && !is_upper(w->text[1]))
		w->text[0] = (char)(w->text[0] - 'A' + 'a');
	return w->text;
}

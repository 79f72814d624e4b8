/* SPDX-License-Identifier: MIT */
/*
 * The example's backend with one thing broken, which ANYC_BROKEN names: anyc-conformance must say
 * what.  The makefile gives the example's own door the name poll_backend.
 */
#include <stdlib.h>
#include <string.h>

#include <anyc/backend.h>

#undef anyc_module_backend
ANYC_API const struct anyc_backend *anyc_module_backend(void);

static struct anyc_backend broken;
static const struct anyc_backend *whole;

/* Every second call is lost. */
static void lose_some(void *self)
{
	static unsigned calls;

	if (calls++ % 2 == 0)
		whole->soon(self);
}

static void ignore(void *self)
{
	(void)self;
}

static void ignore_keepalive(void *self, bool on)
{
	(void)self;
	(void)on;
}

static void keep_alive(void *self, bool on)
{
	(void)on;
	whole->keepalive(self, true);
}

static void tell_nobody(void *self, anyc_detached_fn *done, void *arg)
{
	(void)done;
	(void)arg;
	whole->detach(self, NULL, NULL);
}

const struct anyc_backend *anyc_module_backend(void)
{
	const char *what = getenv("ANYC_BROKEN");

	whole = poll_backend();
	broken = *whole;
	broken.name = "broken";
	if (what == NULL)
		return &broken;
	if (strcmp(what, "soon") == 0)
		broken.soon = lose_some;
	else if (strcmp(what, "keepalive") == 0)
		broken.keepalive = ignore_keepalive;
	else if (strcmp(what, "endless") == 0)
		broken.keepalive = keep_alive;
	else if (strcmp(what, "stop") == 0)
		broken.stop = ignore;
	else if (strcmp(what, "detach") == 0)
		broken.detach = tell_nobody;
	return &broken;
}

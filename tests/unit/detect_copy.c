/* SPDX-License-Identifier: MIT */
/*
 * A shared object with a second copy of anyc inside, which test_detect loads: as such; as a
 * backend's module, good or bad by DETECT_MODULE; and as a renamed library with a run function.
 */
#include <stdlib.h>
#include <string.h>

#include <anyc/backend.h>

#include "detect/detect.h"

ANYC_API int detect_copy_check(char *why, size_t size);
ANYC_API int uv_run(void *fn, int mode);
ANYC_API int detect_fake_run(void (*fn)(void));
ANYC_API _Noreturn void detect_last_run(void (*fn)(void));
ANYC_API const struct anyc_backend *anyc_module_backend(void);

int detect_copy_check(char *why, size_t size)
{
	return anyc__copies_check(why, size);
}

/* Takes the function where the real one takes its loop. */
int uv_run(void *fn, int mode)
{
	void (*call)(void);

	memcpy(&call, &fn, sizeof call);
	call();
	return mode + 1; /* not a tail call */
}

int detect_fake_run(void (*fn)(void))
{
	fn();
	return (int)strlen("not a tail call");
}

/* The call is its last instruction: the return address lies behind the function. */
void detect_last_run(void (*fn)(void))
{
	fn();
	__builtin_unreachable();
}

static int attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	(void)native;
	(void)pollfd;
	(void)engine;
	*self = NULL;
	return 0;
}

static void detach(void *self, anyc_detached_fn *done, void *arg)
{
	(void)self;
	(void)done;
	(void)arg;
}

static void soon(void *self)
{
	(void)self;
}

static void keepalive(void *self, bool on)
{
	(void)self;
	(void)on;
}

static void stop(void *self)
{
	(void)self;
}

static struct anyc_backend backend = {
	.abi = ANYC_BACKEND_ABI,
	.size = sizeof(struct anyc_backend),
	.name = "libuv",
	.run_symbol = "uv_run",
	.attach = attach,
	.detach = detach,
	.soon = soon,
	.keepalive = keepalive,
};

const struct anyc_backend *anyc_module_backend(void)
{
	const char *fault = getenv("DETECT_MODULE");

	if (fault == NULL)
		return &backend;
	if (strcmp(fault, "null") == 0)
		return NULL;
	if (strcmp(fault, "abi") == 0)
		backend.abi++;
	else if (strcmp(fault, "size") == 0)
		backend.size -= (uint32_t)sizeof(void *);
	else if (strcmp(fault, "name") == 0)
		backend.name = "libelse";
	else if (strcmp(fault, "soon") == 0)
		backend.soon = NULL;
	else if (strcmp(fault, "half") == 0)
		backend.stop = stop;
	return &backend;
}

/* SPDX-License-Identifier: MIT */
/* A backend for a loop on poll(2) that knows nothing but anyc's descriptor.  In a loop of your own
 * "watched" is a watch of it, and "soon" a callback.  To check it: anyc-conformance ./libpoll.so */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <anyc/backend.h>

struct poll_loop {
	struct anyc_engine *engine; /* NULL: nothing is attached */
	int watched;
	bool soon, kept_alive, stopped;
};

static int poll_attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	struct poll_loop *loop = native;

	loop->engine = engine;
	loop->watched = pollfd;
	loop->soon = loop->kept_alive = false;
	*self = loop;
	return 0;
}

static void poll_detach(void *self, anyc_detached_fn *done, void *arg)
{
	struct poll_loop *loop = self;

	loop->engine = NULL;
	if (done != NULL)
		done(arg);
}

static void poll_soon(void *self)
{
	((struct poll_loop *)self)->soon = true;
}

static void poll_keepalive(void *self, bool on)
{
	((struct poll_loop *)self)->kept_alive = on;
}

/* One pass; a turn may detach. */
static void poll_pass(struct poll_loop *loop)
{
	struct pollfd fd = {.fd = loop->watched, .events = POLLIN};
	bool soon = loop->soon;

	if (poll(&fd, 1, soon ? 0 : -1) > 0 && loop->engine != NULL)
		loop->engine->ops->turn(loop->engine, ANYC_TURN_READABLE);
	if (!soon || loop->engine == NULL)
		return;
	loop->soon = false;
	loop->engine->ops->turn(loop->engine, ANYC_TURN_SOON);
}

static int poll_run(void *self)
{
	struct poll_loop *loop = self;

	while (!loop->stopped && loop->engine != NULL && (loop->kept_alive || loop->soon))
		poll_pass(loop);
	loop->stopped = false;
	return 0;
}

static void poll_stop(void *self)
{
	((struct poll_loop *)self)->stopped = true;
}

static int poll_create(void **native, const struct anyc_engine_ops *ops)
{
	*native = calloc(1, sizeof(struct poll_loop));
	return *native != NULL ? 0 : ops->fail(-ENOMEM, ENOMEM, "a poll loop: no memory");
}

const struct anyc_backend *anyc_module_backend(void)
{
	static const struct anyc_backend backend = {
		.abi = ANYC_BACKEND_ABI,
		.size = sizeof(struct anyc_backend),
		.name = "poll",
		.attach = poll_attach,
		.detach = poll_detach,
		.soon = poll_soon,
		.keepalive = poll_keepalive,
		.create = poll_create,
		.destroy = free,
		.run = poll_run,
		.stop = poll_stop,
	};

	return &backend;
}

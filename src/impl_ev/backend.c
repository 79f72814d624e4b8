/* SPDX-License-Identifier: MIT */
/*
 * libev: has the engine's one descriptor watched by an ev_loop.
 *
 * Rules:
 * - Two watchers from attach to detach: the descriptor's, with one ev_unref() so that it does not
 *   count, and a cleanup watcher, which says that the loop is being destroyed under us and which
 *   libev itself does not count (an ev_unref() for it too makes the loop run for ever).
 *   Keep-alive is one ev_ref().  References balance exactly, also where libev stopped the watcher
 *   by itself: its stop and our ev_unref() each take one off, our ev_ref() at the end gives one.
 * - soon() starts an idle watcher, so that the loop does not block or end, and a check watcher,
 *   which libev queues right behind a poll, so one that started later runs behind the next poll.
 *   ev_feed_event() would run in the same pass, and starve the loop.
 * - turn() may detach, and that frees the binding: nothing is touched after it, except in run().
 * - ev_break() before ev_run() is lost, and nested ev_run()s forget it, so stop() has a flag of
 *   its own, and every pass asserts it again until our run() has ended.
 * - Which copy of libev made a loop cannot be known: its first members are numbers.
 */
#include <errno.h>
#include <string.h>

#include <ev.h>

#include <anyc/backend.h>
#include <anyc/error.h>
#include <anyc/ev.h>

struct binding {
	const struct anyc_engine_ops *ops;
	struct anyc_engine *engine; /* NULL: detached or gone */
	struct ev_loop *loop;
	ev_io readable;
	ev_cleanup cleanup;
	ev_idle idle;
	ev_check check;
	unsigned running;
	bool keep, wanted, stopping;
};

/* ------------------------------------------------------------------------------- letting go */

static void disarm(struct binding *b)
{
	ev_idle_stop(b->loop, &b->idle);
	ev_check_stop(b->loop, &b->check);
}

static void arm(struct binding *b)
{
	ev_idle_start(b->loop, &b->idle);
	ev_check_start(b->loop, &b->check);
}

static void keepalive(void *self, bool on)
{
	struct binding *b = self;

	if (on == b->keep)
		return;
	b->keep = on;
	if (on)
		ev_ref(b->loop);
	else
		ev_unref(b->loop);
}

/* Takes everything out of the loop; run() frees the binding if it is below us. */
static void let_go(struct binding *b)
{
	b->engine = NULL;
	keepalive(b, false);
	disarm(b);
	ev_ref(b->loop);
	ev_io_stop(b->loop, &b->readable);
	ev_cleanup_stop(b->loop, &b->cleanup);
	if (b->running > 0)
		ev_break(b->loop, EVBREAK_ONE);
	else
		b->ops->free(b);
}

static void lose(struct binding *b)
{
	const struct anyc_engine_ops *ops = b->ops;
	struct anyc_engine *engine = b->engine;

	let_go(b);
	ops->gone(engine);
}

/* ------------------------------------------------------------------------------- callbacks */

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct binding *b = watcher->data;

	(void)loop;
	if (events & EV_ERROR) {
		b->ops->report(-EBADF, "libev stopped watching anyc's descriptor");
		lose(b);
		return;
	}
	b->ops->turn(b->engine, ANYC_TURN_READABLE);
}

static void on_cleanup(struct ev_loop *loop, ev_cleanup *watcher, int events)
{
	(void)loop;
	(void)events;
	lose(watcher->data);
}

/* Active, the watcher has done its work. */
static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
	(void)loop;
	(void)watcher;
	(void)events;
}

static void on_check(struct ev_loop *loop, ev_check *watcher, int events)
{
	struct binding *b = watcher->data;

	(void)events;
	if (b->stopping && b->running > 0)
		ev_break(loop, EVBREAK_ONE);
	else
		disarm(b);
	if (!b->wanted)
		return;
	b->wanted = false;
	b->ops->turn(b->engine, ANYC_TURN_SOON);
}

/* ---------------------------------------------------------------------------------- attach */

static void start(struct binding *b)
{
	ev_io_start(b->loop, &b->readable);
	ev_unref(b->loop);
	ev_cleanup_start(b->loop, &b->cleanup);
}

static int attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	const struct anyc_engine_ops *ops = engine->ops;
	struct binding *b;

	if (ev_version_major() != EV_VERSION_MAJOR)
		return ops->fail(ANYC_EABI, 0, "attach: libev %d.%d, anyc expects %d",
				 ev_version_major(), ev_version_minor(), EV_VERSION_MAJOR);
	b = ops->alloc(sizeof *b);
	if (b == NULL)
		return ops->fail(-ENOMEM, ENOMEM, "attach: out of memory");
	b->ops = ops;
	b->engine = engine;
	b->loop = native;
	ev_io_init(&b->readable, on_readable, pollfd, EV_READ);
	ev_cleanup_init(&b->cleanup, on_cleanup);
	ev_idle_init(&b->idle, on_idle);
	ev_check_init(&b->check, on_check);
	/* An idle watcher keeps those of lower priority from running: there are none below. */
	ev_set_priority(&b->idle, EV_MINPRI);
	b->readable.data = b;
	b->cleanup.data = b;
	b->check.data = b;
	start(b);
	*self = b;
	return 0;
}

/* In a forked child too: libev takes descriptors out of its epoll set only by forgetting them. */
static void detach(void *self, anyc_detached_fn *done, void *arg)
{
	let_go(self);
	if (done != NULL)
		done(arg);
}

static void soon(void *self)
{
	struct binding *b = self;

	b->wanted = true;
	arm(b);
}

/*
 * The application has called, or calls before its next ev_run(), ev_loop_fork(): libev renews its
 * epoll set there, with the watchers of that moment.
 */
static int after_fork(void *self, int pollfd)
{
	struct binding *b = self;

	ev_ref(b->loop);
	ev_io_stop(b->loop, &b->readable);
	ev_io_set(&b->readable, pollfd, EV_READ);
	ev_io_start(b->loop, &b->readable);
	ev_unref(b->loop);
	return 0;
}

/* ------------------------------------------------------------------------------------- run */

/* Never the default loop, which belongs to the application and reaps every child. */
static int create(void **native, const struct anyc_engine_ops *ops)
{
	*native = ev_loop_new(EVFLAG_AUTO);
	if (*native == NULL)
		return ops->fail(-ENOMEM, ENOMEM, "ev_loop_new: no loop");
	return 0;
}

static void destroy(void *native)
{
	ev_loop_destroy(native);
}

/* libev allows it for the default loop too, but for none that runs. */
static int close_loop(void *native)
{
	if (ev_depth(native) > 0)
		return -EBUSY;
	ev_loop_destroy(native);
	return 0;
}

static int run(void *self)
{
	struct binding *b = self;

	b->running++;
	while (!b->stopping && b->engine != NULL)
		if (ev_run(b->loop, 0) == 0)
			break;
	b->running--;
	b->stopping = false;
	if (b->engine == NULL) {
		if (b->running == 0)
			b->ops->free(b);
		return 0;
	}
	if (!b->wanted)
		disarm(b);
	return 0;
}

static void stop(void *self)
{
	struct binding *b = self;

	b->stopping = true;
	if (b->running == 0)
		return;
	ev_break(b->loop, EVBREAK_ONE);
	arm(b);
}

static const struct anyc_backend backend = {
	.abi = ANYC_BACKEND_ABI,
	.size = sizeof(struct anyc_backend),
	.name = "libev",
	.run_symbol = "ev_run",
	.attach = attach,
	.detach = detach,
	.soon = soon,
	.keepalive = keepalive,
	.create = create,
	.destroy = destroy,
	.run = run,
	.stop = stop,
	.close = close_loop,
	.after_fork = after_fork,
};

const struct anyc_backend *anyc_ev_backend(void)
{
	return &backend;
}

#ifdef PIC /* a module: programs that link several backends statically have only the above */
const struct anyc_backend *anyc_module_backend(void)
{
	return &backend;
}
#endif

/* SPDX-License-Identifier: MIT */
/*
 * libuv: has the engine's one descriptor watched by a uv_loop_t.
 *
 * Rules:
 * - Three handles: a poll, from attach to detach, without a reference unless keepalive asks for
 *   one; an idle and a check, which are active only while soon() is pending.
 * - libuv reads a handle until its close callback, so memory goes when the last one has run, also
 *   after a failed attach.  The poll is a block of its own: after a fork a new one takes its
 *   place while the old one closes.
 * - The application may close our handles (uv_walk is the usual clean-up): closing twice aborts,
 *   so every call asks uv_is_closing() first.  Whoever finds them closing tells the engine that
 *   the loop has gone.
 * - turn() may detach, lose or free everything: nothing is touched after it, except in run(),
 *   which holds the block.
 * - libuv has no "soon".  The active idle handle keeps the loop from blocking and alive, and its
 *   callback marks that a poll follows; the check callback, behind that poll, runs the turn.  A
 *   check alone would run in the very pass that asked for it, without a poll between.
 * - uv_stop() is kept until the next uv_run(), and the innermost of nested uv_run()s eats it, so
 *   stop() has a flag of its own, and every pass asserts it again until our run() has ended.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <uv.h>

#include <anyc/backend.h>
#include <anyc/error.h>
#include <anyc/uv.h>

/*
 * uv_is_closing() says the same of a handle that will be read again and of one that will not.
 * This bit of handle->flags tells them apart; it has been the same since libuv 1.0.
 */
#define HANDLE_CLOSED 2u

struct binding;

/* A handle of ours.  The union comes first: libuv hands back its address. */
struct part {
	union {
		uv_handle_t any;
		uv_poll_t poll;
		uv_idle_t idle;
		uv_check_t check;
	} uv;
	struct binding *owner;
	uv_close_cb theirs; /* of the application, if that closed the handle */
};

struct binding {
	const struct anyc_engine_ops
		*ops; /* the engine may be freed before our handles have gone */
	struct anyc_engine *engine;        /* NULL: detached or gone */
	uv_loop_t *loop;
	struct part *poll; /* NULL: after_fork failed */
	struct part idle, check;
	unsigned holds; /* handles that libuv still reads, and calls of run() */
	unsigned running;
	int pollfd;
	pid_t pid; /* of the process that made the loop's epoll set */
	bool keep, wanted, poll_follows, stopping;
	anyc_detached_fn *done;
	void *done_arg;
};

/* A loop that create() made; destroy() is not told the operations. */
struct made_loop {
	uv_loop_t loop;
	const struct anyc_engine_ops *ops;
};

/* ------------------------------------------------------------------------------- letting go */

static void unhold(struct binding *b)
{
	anyc_detached_fn *done = b->done;
	void *arg = b->done_arg;

	if (--b->holds > 0)
		return;
	b->ops->free(b);
	if (done != NULL)
		done(arg);
}

static void forget(struct part *part)
{
	struct binding *b = part->owner;

	if (part != &b->idle && part != &b->check)
		b->ops->free(part);
	unhold(b);
}

static void on_closed(uv_handle_t *handle)
{
	struct part *part = (struct part *)handle;

	if (part->theirs != NULL)
		part->theirs(handle);
	forget(part);
}

/* Closes a handle; one that the application is closing gets our callback behind its own. */
static void let_go_part(struct part *part)
{
	uv_handle_t *handle = &part->uv.any;

	if (!uv_is_closing(handle)) {
		uv_close(handle, on_closed);
	} else if (handle->flags & HANDLE_CLOSED) {
		forget(part);
	} else {
		part->theirs = handle->close_cb;
		handle->close_cb = on_closed;
	}
}

static void let_go(struct binding *b)
{
	b->engine = NULL;
	b->holds++;
	if (b->poll != NULL)
		let_go_part(b->poll);
	let_go_part(&b->idle);
	let_go_part(&b->check);
	unhold(b);
}

/* The loop is of no more use: ours is the last call that the engine gets. */
static void lose(struct binding *b)
{
	const struct anyc_engine_ops *ops = b->ops;
	struct anyc_engine *engine = b->engine;

	let_go(b);
	ops->gone(engine);
}

static bool whole(const struct binding *b)
{
	return b->poll != NULL && !uv_is_closing(&b->poll->uv.any) &&
	       !uv_is_closing(&b->idle.uv.any) && !uv_is_closing(&b->check.uv.any);
}

/* ------------------------------------------------------------------------------- callbacks */

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct binding *b = ((struct part *)handle)->owner;

	(void)events;
	if (status < 0) {
		b->ops->report(status, "libuv stopped watching anyc's descriptor: %s",
			       uv_strerror(status));
		lose(b);
		return;
	}
	b->ops->turn(b->engine, ANYC_TURN_READABLE);
}

static void disarm(struct binding *b)
{
	(void)uv_idle_stop(&b->idle.uv.idle);
	(void)uv_check_stop(&b->check.uv.check);
}

static void on_idle(uv_idle_t *handle)
{
	((struct part *)handle)->owner->poll_follows = true;
}

static void on_check(uv_check_t *handle)
{
	struct binding *b = ((struct part *)handle)->owner;

	if (b->stopping && b->running > 0)
		uv_stop(b->loop);
	if (!b->poll_follows)
		return;
	b->poll_follows = false;
	if (!b->stopping)
		disarm(b);
	if (!b->wanted)
		return;
	b->wanted = false;
	b->ops->turn(b->engine, ANYC_TURN_SOON);
}

static void arm(struct binding *b)
{
	(void)uv_idle_start(&b->idle.uv.idle, on_idle);
	(void)uv_check_start(&b->check.uv.check, on_check);
}

/* ---------------------------------------------------------------------------------- attach */

/*
 * Two copies of libuv in one process must not mix.  The loop names its copy by a function that
 * uv_loop_init() put there; ours is known by a string of its own, not by a function's address,
 * which in a program that is not position independent may be the program's.  In a static program
 * both are the program, or nameless.
 */
static int check_copy(const uv_loop_t *loop, const struct anyc_engine_ops *ops)
{
	Dl_info theirs, ours;
	void *maker;
	bool named, ours_named;

	memcpy(&maker, &loop->wq_async.async_cb, sizeof maker);
	named = dladdr(maker, &theirs) != 0;
	ours_named = dladdr(uv_version_string(), &ours) != 0;
	if (named == ours_named && (!named || theirs.dli_fbase == ours.dli_fbase))
		return 0;
	return ops->fail(ANYC_ECONFLICT, 0, "attach: the loop was made by %s, anyc uses %s",
			 named ? theirs.dli_fname : "no libuv (not initialised?)",
			 ours_named ? ours.dli_fname : "another libuv");
}

/* Makes and starts the poll.  After a failure b->holds says whether a handle still closes. */
static int watch(struct binding *b, int pollfd)
{
	struct part *part = b->ops->alloc(sizeof *part);
	int rc;

	if (part == NULL)
		return -ENOMEM;
	part->owner = b;
	rc = uv_poll_init(b->loop, &part->uv.poll, pollfd);
	if (rc < 0) {
		b->ops->free(part);
		return rc;
	}
	b->holds++;
	if (!b->keep)
		uv_unref(&part->uv.any);
	rc = uv_poll_start(&part->uv.poll, UV_READABLE, on_poll);
	if (rc < 0) {
		let_go_part(part);
		return rc;
	}
	b->poll = part;
	b->pollfd = pollfd;
	b->pid = getpid();
	return 0;
}

static int failed_watch(const struct anyc_engine_ops *ops, int rc)
{
	return ops->fail(rc, -rc, "uv_poll: %s", uv_strerror(rc));
}

/* uv_idle_init() and uv_check_init() cannot fail. */
static void init_soon(struct binding *b)
{
	b->idle.owner = b;
	b->check.owner = b;
	(void)uv_idle_init(b->loop, &b->idle.uv.idle);
	(void)uv_check_init(b->loop, &b->check.uv.check);
	b->holds += 2;
}

static int attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	const struct anyc_engine_ops *ops = engine->ops;
	struct binding *b;
	int rc = check_copy(native, ops);

	if (rc < 0)
		return rc;
	b = ops->alloc(sizeof *b);
	if (b == NULL)
		return failed_watch(ops, -ENOMEM);
	b->ops = ops;
	b->engine = engine;
	b->loop = native;
	b->holds = 1;
	rc = watch(b, pollfd);
	if (rc < 0) {
		unhold(b);
		return failed_watch(ops, rc);
	}
	init_soon(b);
	b->holds--; /* the handles hold it from here on */
	*self = b;
	return 0;
}

/*
 * In a forked child that has not renewed the loop, the epoll set is still the parent's too, and
 * the EPOLL_CTL_DEL in uv_close() would end the parent's watch.  It finds nothing once the number
 * stands for another file.  Closing first leaves a free number, so eventfd() has one.
 */
static void hide_from_epoll(int pollfd)
{
	int fd;

	(void)close(pollfd);
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0 || fd == pollfd)
		return;
	(void)dup3(fd, pollfd, O_CLOEXEC);
	(void)close(fd);
}

static void detach(void *self, anyc_detached_fn *done, void *arg)
{
	struct binding *b = self;

	b->done = done;
	b->done_arg = arg;
	if (getpid() != b->pid)
		hide_from_epoll(b->pollfd);
	let_go(b);
}

static void soon(void *self)
{
	struct binding *b = self;

	if (!whole(b)) {
		lose(b);
		return;
	}
	if (b->wanted)
		return;
	b->wanted = true;
	b->poll_follows = false;
	arm(b);
}

static void keepalive(void *self, bool on)
{
	struct binding *b = self;

	if (!whole(b)) {
		lose(b);
		return;
	}
	b->keep = on;
	if (on)
		uv_ref(&b->poll->uv.any);
	else
		uv_unref(&b->poll->uv.any);
}

/*
 * The application has called uv_loop_fork(), so the epoll set is the child's own: the old poll
 * is closed the ordinary way, which takes the parent's descriptor out of it, if it was watched
 * there already.  If that fails, the next call finds no poll and reports the loop as gone.
 */
static int after_fork(void *self, int pollfd)
{
	struct binding *b = self;
	int rc;

	if (b->poll != NULL)
		let_go_part(b->poll);
	b->poll = NULL;
	rc = watch(b, pollfd);
	if (rc < 0)
		return failed_watch(b->ops, rc);
	return 0;
}

/* ------------------------------------------------------------------------------------- run */

static int create(void **native, const struct anyc_engine_ops *ops)
{
	struct made_loop *made = ops->alloc(sizeof *made);
	int rc;

	*native = NULL;
	if (made == NULL)
		return ops->fail(-ENOMEM, ENOMEM, "uv_loop_init: out of memory");
	rc = uv_loop_init(&made->loop);
	if (rc < 0) {
		ops->free(made);
		return ops->fail(rc, -rc, "uv_loop_init: %s", uv_strerror(rc));
	}
	made->ops = ops;
	*native = &made->loop;
	return 0;
}

/* Two passes: a uv_stop() that nobody has consumed makes the first one empty. */
static int close_loop(void *native)
{
	int rc = uv_loop_close(native);
	int passes;

	for (passes = 0; rc == UV_EBUSY && passes < 2; passes++) {
		(void)uv_run(native, UV_RUN_NOWAIT);
		rc = uv_loop_close(native);
	}
	return rc;
}

static void destroy(void *native)
{
	struct made_loop *made = native;
	int rc = close_loop(native);

	/* The open handles point to the loop: it stays. */
	if (rc < 0)
		made->ops->report(rc, "the loop that anyc made has open handles and is not freed");
	else
		made->ops->free(made);
}

static int run(void *self)
{
	struct binding *b = self;

	b->holds++;
	b->running++;
	while (!b->stopping && b->engine != NULL)
		if (uv_run(b->loop, UV_RUN_DEFAULT) == 0)
			break;
	b->running--;
	b->stopping = false;
	if (!b->wanted && b->engine != NULL && whole(b))
		disarm(b);
	unhold(b);
	return 0;
}

static void stop(void *self)
{
	struct binding *b = self;

	b->stopping = true;
	if (b->running == 0 || !whole(b))
		return;
	uv_stop(b->loop);
	arm(b);
}

static const struct anyc_backend backend = {
	.abi = ANYC_BACKEND_ABI,
	.size = sizeof(struct anyc_backend),
	.name = "libuv",
	.run_symbol = "uv_run",
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

const struct anyc_backend *anyc_uv_backend(void)
{
	return &backend;
}

#ifdef PIC /* a module: programs that link several backends statically have only the above */
const struct anyc_backend *anyc_module_backend(void)
{
	return &backend;
}
#endif

/* SPDX-License-Identifier: MIT */
/*
 * libevent: has the engine's one descriptor watched by an event_base.
 *
 * Rules:
 * - The descriptor's event stays added from attach to detach.  libevent has no unref, so it is
 *   marked EVLIST_INTERNAL before it is added: events so marked are not counted.  Keep-alive is a
 *   second event on the descriptor, one that counts: libevent makes no system call for it.  (A
 *   timer a year away would hold the loop too, but a run by EVLOOP_ONCE ends only when something
 *   that counts was called, and would sleep on behind the very turn its caller waits for.  The
 *   event added last is called first, so it counts also if the turn switches keep-alive off.)
 * - soon() is a timer of zero: it fires behind the next poll.  event_active() would run in the
 *   same pass, and starve the loop when a turn asks for the next one.
 * - A freed base has taken our events out.  That is read in our own event's flags;
 *   event_pending() would ask the base.
 * - The functions are those of the object that made the base, looked up by name, never those
 *   that the linker bound: libev exports 24 of libevent's names, and its event_add() aborts on
 *   what libevent made.  Plain binding is used where it is proved to lead to that same object.
 * - turn() may detach, and that frees the binding: nothing is touched after it, except in run().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <anyc/backend.h>
#include <anyc/error.h>
#include <anyc/event.h>

/* What is called, all of one object. */
#define CALLS(X) \
	X(event_assign) \
	X(event_add) \
	X(event_del) \
	X(event_debug_unassign) \
	X(event_get_struct_event_size) \
	X(event_base_loop) \
	X(event_base_loopbreak) \
	X(event_base_free) \
	X(event_base_get_npriorities) \
	X(event_base_priority_init)

struct calls {
#define CALL_MEMBER(name) __typeof__(name) *name;
	CALLS(CALL_MEMBER)
#undef CALL_MEMBER
};

struct binding {
	const struct anyc_engine_ops *ops;
	struct anyc_engine *engine; /* NULL: detached or gone */
	struct event_base *base;
	struct calls call;
	struct event readable, soon, keep;
	int pollfd;
	pid_t pid; /* of the process that made the base's epoll set */
	unsigned running;
	bool stopping;
};

/* --------------------------------------------------------------- the right copy of libevent */

static const void *object_of(const void *address, const char **file)
{
	Dl_info info;

	if (dladdr(address, &info) == 0)
		return NULL;
	if (file != NULL)
		*file = info.dli_fname;
	return info.dli_fbase;
}

#ifdef PIC
/* Fills *call by name from the object; false if it does not show them all. */
static bool calls_by_name(struct calls *call, const void *object, const char *file)
{
	void *handle = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);
	bool all = true;

	if (handle == NULL) /* the program itself has no name that dlopen knows */
		handle = dlopen(NULL, RTLD_LAZY);
	if (handle == NULL)
		return false;
#define CALL_FIND(name) \
	do { \
		void *found = dlsym(handle, #name); \
		memcpy(&call->name, &found, sizeof found); \
		all = all && found != NULL && object_of(found, NULL) == object; \
	} while (0);
	CALLS(CALL_FIND)
#undef CALL_FIND
	(void)dlclose(handle); /* the base's existence keeps it loaded */
	return all;
}
#endif

/*
 * Fills *call with what the linker bound, if that is the object: a name that only libevent has
 * and one that libev has too must both lead there.  Both are asked for strings of their object,
 * as a function's address may be the program's.  In a static program all are the program, or
 * nameless.
 */
static bool calls_as_bound(struct calls *call, const void *object, const char **file)
{
	if (object_of(event_get_version(), file) != object ||
	    object_of(evutil_gai_strerror(EVUTIL_EAI_CANCEL), file) != object)
		return false;
#define CALL_BIND(name) call->name = name;
	CALLS(CALL_BIND)
#undef CALL_BIND
	return true;
}

/*
 * Finds the functions for a base.  Its first member is the table of its kernel interface, which
 * lies in the libevent that made it; what libev's event_base_new() returns begins with a number
 * that is no address.
 */
static bool find_calls(struct calls *call, const void *base, const char **maker, const char **ours)
{
	const void *table, *object;

	*maker = "no libevent (libev's event_base_new?)";
	*ours = "another libevent";
	memcpy(&table, base, sizeof table);
	object = object_of(table, maker);
#ifdef PIC
	if (object != NULL && calls_by_name(call, object, *maker))
		return true;
#endif
	return calls_as_bound(call, object, ours);
}

/* ------------------------------------------------------------------------------- callbacks */

static bool freed(const struct binding *b)
{
	return !(b->readable.ev_evcallback.evcb_flags & EVLIST_INSERTED);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct binding *b = arg;

	(void)fd;
	(void)what;
	b->ops->turn(b->engine, ANYC_TURN_READABLE);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct binding *b = arg;

	(void)fd;
	(void)what;
	b->ops->turn(b->engine, ANYC_TURN_SOON);
}

/* Called, the event has counted. */
static void on_keep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* ---------------------------------------------------------------------------------- attach */

static void unassign(struct binding *b)
{
	b->call.event_debug_unassign(&b->readable);
	b->call.event_debug_unassign(&b->keep);
}

/* event_assign() fails for signals only. */
static int watch(struct binding *b, int pollfd)
{
	const short what = EV_READ | EV_PERSIST;

	(void)b->call.event_assign(&b->readable, b->base, pollfd, what, on_readable, b);
	(void)b->call.event_assign(&b->keep, b->base, pollfd, what, on_keep, b);
	b->readable.ev_evcallback.evcb_flags |= EVLIST_INTERNAL;
	errno = 0;
	if (b->call.event_add(&b->readable, NULL) < 0) {
		int rc = errno != 0 ? -errno : -EINVAL;

		unassign(b);
		return rc;
	}
	b->pollfd = pollfd;
	b->pid = getpid();
	return 0;
}

static int failed_watch(const struct anyc_engine_ops *ops, int rc)
{
	return ops->fail(rc, -rc, "event_add: %s", strerror(-rc));
}

/*
 * The functions of the base's own libevent, and the base fit for them: where libev's names come
 * first, the one inner call of event_base_new_with_config() to such a name has gone to libev,
 * which gave the base no queue to put an active event on.
 */
static int bind_calls(struct binding *b)
{
	const char *maker, *ours;
	size_t size;

	if (!find_calls(&b->call, b->base, &maker, &ours))
		return b->ops->fail(ANYC_ECONFLICT, 0,
				    "attach: the event_base was made by %s, anyc uses %s", maker,
				    ours);
	size = b->call.event_get_struct_event_size();
	if (size != sizeof(struct event))
		return b->ops->fail(ANYC_EABI, 0,
				    "attach: %s has events of %zu bytes, anyc expects %zu", maker,
				    size, sizeof(struct event));
	if (b->call.event_base_get_npriorities(b->base) == 0 &&
	    b->call.event_base_priority_init(b->base, 1) < 0)
		return b->ops->fail(-ENOMEM, ENOMEM, "event_base_priority_init: out of memory");
	return 0;
}

static int attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	const struct anyc_engine_ops *ops = engine->ops;
	struct binding *b = ops->alloc(sizeof *b);
	int rc;

	if (b == NULL)
		return failed_watch(ops, -ENOMEM);
	b->ops = ops;
	b->engine = engine;
	b->base = native;
	rc = bind_calls(b);
	if (rc < 0) {
		ops->free(b);
		return rc;
	}
	rc = watch(b, pollfd);
	if (rc < 0) {
		ops->free(b);
		return failed_watch(ops, rc);
	}
	(void)b->call.event_assign(&b->soon, b->base, -1, 0, on_soon, b);
	*self = b;
	return 0;
}

/* Ends it; all that libevent knows of us is out of the base.  run() frees it if it is below us. */
static void let_go(struct binding *b)
{
	b->engine = NULL;
	unassign(b);
	b->call.event_debug_unassign(&b->soon);
	if (b->running == 0)
		b->ops->free(b);
}

static void lose(struct binding *b)
{
	const struct anyc_engine_ops *ops = b->ops;
	struct anyc_engine *engine = b->engine;

	let_go(b);
	ops->gone(engine);
}

/*
 * In a forked child that has not renewed the base, the epoll set is still the parent's too, and
 * the EPOLL_CTL_DEL in event_del() would end the parent's watch.  It finds nothing once the
 * number stands for another file.  Closing first leaves a free number, so eventfd() has one.
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

	if (!freed(b)) {
		if (getpid() != b->pid)
			hide_from_epoll(b->pollfd);
		(void)b->call.event_del(&b->keep);
		(void)b->call.event_del(&b->readable);
		(void)b->call.event_del(&b->soon);
		if (b->running > 0)
			(void)b->call.event_base_loopbreak(b->base);
	}
	let_go(b);
	if (done != NULL)
		done(arg);
}

static void soon(void *self)
{
	static const struct timeval now = {0};
	struct binding *b = self;

	if (freed(b))
		lose(b);
	else if (!(b->soon.ev_evcallback.evcb_flags & (EVLIST_TIMEOUT | EVLIST_ACTIVE)))
		(void)b->call.event_add(&b->soon, &now);
}

static bool kept(const struct binding *b)
{
	return b->keep.ev_evcallback.evcb_flags & EVLIST_INSERTED;
}

static void keepalive(void *self, bool on)
{
	struct binding *b = self;

	if (freed(b))
		lose(b);
	else if (!on)
		(void)b->call.event_del(&b->keep);
	else if (!kept(b))
		(void)b->call.event_add(&b->keep, NULL);
}

/*
 * The application has called event_reinit(), which put the old descriptor into the child's own
 * epoll set: it is taken out the ordinary way.  If the new one cannot be watched, the next call
 * finds no event in the base and reports the loop as gone.
 */
static int after_fork(void *self, int pollfd)
{
	struct binding *b = self;
	bool keep = kept(b);
	int rc;

	if (!freed(b)) {
		(void)b->call.event_del(&b->keep);
		(void)b->call.event_del(&b->readable);
		unassign(b);
	}
	rc = watch(b, pollfd);
	if (rc < 0)
		return failed_watch(b->ops, rc);
	keepalive(b, keep);
	return 0;
}

/* ------------------------------------------------------------------------------------- run */

/* event_base_new() might be libev's; nobody else has this name. */
static int create(void **native, const struct anyc_engine_ops *ops)
{
	*native = event_base_new_with_config(NULL);
	if (*native == NULL)
		return ops->fail(-ENOMEM, ENOMEM, "event_base_new: no base");
	return 0;
}

/* The application's events, if any are left, are taken out of the base by libevent. */
static int close_base(void *native)
{
	const char *maker, *ours;
	struct calls call;

	if (!find_calls(&call, native, &maker, &ours))
		return ANYC_ECONFLICT;
	call.event_base_free(native);
	return 0;
}

static void destroy(void *native)
{
	(void)close_base(native);
}

/*
 * event_base_loopbreak() before the loop is lost, so stop() has a flag of its own.  A base does
 * not run in itself: -1.
 */
static int run(void *self)
{
	struct binding *b = self;
	int rc = 0;

	b->running++;
	while (!b->stopping && b->engine != NULL && rc == 0)
		rc = b->call.event_base_loop(b->base, 0);
	b->running--;
	b->stopping = false;
	if (rc < 0)
		rc = b->ops->fail(-EBUSY, EBUSY, "event_base_loop: the base is running already");
	if (b->engine == NULL && b->running == 0)
		b->ops->free(b);
	return rc < 0 ? rc : 0;
}

static void stop(void *self)
{
	struct binding *b = self;

	b->stopping = true;
	if (b->running > 0 && !freed(b))
		(void)b->call.event_base_loopbreak(b->base);
}

static const struct anyc_backend backend = {
	.abi = ANYC_BACKEND_ABI,
	.size = sizeof(struct anyc_backend),
	.name = "libevent",
	.run_symbol = "event_base_loop",
	.attach = attach,
	.detach = detach,
	.soon = soon,
	.keepalive = keepalive,
	.create = create,
	.destroy = destroy,
	.run = run,
	.stop = stop,
	.close = close_base,
	.after_fork = after_fork,
};

const struct anyc_backend *anyc_event_backend(void)
{
	return &backend;
}

#ifdef PIC /* a module: programs that link several backends statically have only the above */
const struct anyc_backend *anyc_module_backend(void)
{
	return &backend;
}
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The backends against a fake engine: every test runs on libuv, libevent and libev.
 *
 * The engine's descriptor is an eventfd; a test says what a turn does.  Nothing sleeps: loops end
 * because nothing keeps them alive, and what could run for ever is counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <anyc/error.h>

#include "seam.h"

/* More passes than any loop makes in the milliseconds that a test takes. */
#define MANY 20000000

struct fake {
	struct anyc_engine engine; /* first: the backend hands it back */
	const struct native_ops *n;
	const struct anyc_backend *be;
	void *native, *self;
	int fd;
	int readable, soon, gone, done, timers;
	void (*turn)(struct fake *fake, unsigned why);
	int step;
};

static int blocks, until_fail, failures, reports;

static void turn(struct anyc_engine *engine, unsigned why)
{
	struct fake *fake = (struct fake *)engine;

	if (why == ANYC_TURN_READABLE)
		fake->readable++;
	else
		fake->soon++;
	if (fake->turn != NULL)
		fake->turn(fake, why);
}

static void gone(struct anyc_engine *engine)
{
	struct fake *fake = (struct fake *)engine;

	fake->gone++;
	fake->self = NULL;
}

static int ANYC_PRINTF(3, 4) fail(int rc, int os_errno, const char *format, ...)
{
	char line[400];
	va_list args;

	(void)os_errno;
	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	failures++;
	return rc;
}

static void ANYC_PRINTF(2, 3) report(int rc, const char *format, ...)
{
	(void)rc;
	(void)format;
	reports++;
}

static void *get_block(size_t size)
{
	void *block;

	if (until_fail > 0 && --until_fail == 0)
		return NULL;
	block = calloc(1, size);
	blocks += block != NULL;
	return block;
}

static void free_block(void *block)
{
	blocks -= block != NULL;
	free(block);
}

static const struct anyc_engine_ops ops = {
	.size = sizeof(struct anyc_engine_ops),
	.turn = turn,
	.gone = gone,
	.fail = fail,
	.alloc = get_block,
	.free = free_block,
	.report = report,
};

static void make_readable(struct fake *fake)
{
	cr_assert_eq(eventfd_write(fake->fd, 1), 0);
}

static void drain(struct fake *fake)
{
	eventfd_t value;

	cr_assert_eq(eventfd_read(fake->fd, &value), 0);
}

static void prepare(struct fake *fake, const struct native_ops *n, void *native)
{
	*fake = (struct fake){.engine = {.ops = &ops}, .n = n, .be = n->backend()};
	fake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake->native = native != NULL ? native : n->make();
	cr_assert(fake->fd >= 0 && fake->native != NULL);
}

static void set_up(struct fake *fake, const struct native_ops *n, void *native)
{
	prepare(fake, n, native);
	cr_assert_eq(fake->be->attach(fake->native, fake->fd, &fake->engine, &fake->self), 0);
	cr_assert_not_null(fake->self);
}

static void count_done(void *arg)
{
	((struct fake *)arg)->done++;
}

/* What core does: the descriptor is closed right behind the detach. */
static void detach(struct fake *fake)
{
	void *self = fake->self;

	fake->self = NULL;
	fake->be->detach(self, count_done, fake);
	(void)close(fake->fd);
	fake->fd = -1;
}

static void tear_down(struct fake *fake)
{
	if (fake->self != NULL)
		detach(fake);
	if (fake->fd >= 0)
		(void)close(fake->fd);
	fake->n->pass(fake->native);
	cr_assert_eq(fake->n->end(fake->native), 0);
	cr_assert_eq(blocks, 0);
}

#define EACH(name) \
	static void name(const struct native_ops *n); \
	Test(uv, name, .timeout = 20) \
	{ \
		name(&seam_uv); \
	} \
	Test(event, name, .timeout = 20) \
	{ \
		name(&seam_event); \
	} \
	Test(ev, name, .timeout = 20) \
	{ \
		name(&seam_ev); \
	} \
	static void name(const struct native_ops *n)

/* ------------------------------------------------------------------------------ keep-alive */

EACH(attach_keeps_nothing_alive)
{
	struct fake f;

	set_up(&f, n, NULL);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable + f.soon, 0);
	tear_down(&f);
	cr_assert_eq(f.done, 1);
}

static void let_end(void *arg)
{
	struct fake *f = arg;

	f->timers++;
	f->be->keepalive(f->self, false);
}

EACH(keepalive_holds_until_off)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.be->keepalive(f.self, true);
	f.be->keepalive(f.self, true);
	n->timer(f.native, 1, let_end, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.timers, 1);
	f.be->keepalive(f.self, false);
	cr_assert_eq(n->run(f.native), 0);
	tear_down(&f);
}

static void end_when_readable(struct fake *f, unsigned why)
{
	cr_assert_eq(why, ANYC_TURN_READABLE);
	drain(f);
	f->be->keepalive(f->self, false);
}

static void wake(void *arg)
{
	make_readable(arg);
}

/* Only keep-alive holds the loop: it must wait, and hear the descriptor. */
static void *wake_later(void *arg)
{
	make_readable(arg);
	return NULL;
}

EACH(keepalive_alone_waits_and_hears)
{
	pthread_t thread;
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = end_when_readable;
	f.be->keepalive(f.self, true);
	cr_assert_eq(pthread_create(&thread, NULL, wake_later, &f), 0);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_assert_eq(f.readable, 1);
	f.be->keepalive(f.self, true);
	n->timer(f.native, 1, wake, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable, 2);
	tear_down(&f);
}

EACH(keepalive_balances)
{
	struct fake f;
	int i;

	set_up(&f, n, NULL);
	for (i = 0; i < 5; i++) {
		f.be->keepalive(f.self, true);
		f.be->keepalive(f.self, false);
		f.be->keepalive(f.self, false);
	}
	cr_assert_eq(n->run(f.native), 0);
	f.be->keepalive(f.self, true);
	detach(&f);
	n->timer(f.native, 1, count_done, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.done, 2);
	tear_down(&f);
}

/* ------------------------------------------------------------------------------- readiness */

static void drain_only(struct fake *f, unsigned why)
{
	(void)why;
	drain(f);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void drain_at_three(struct fake *f, unsigned why)
{
	cr_assert_eq(why, ANYC_TURN_READABLE);
	if (f->readable < 3)
		return;
	drain(f);
	f->be->keepalive(f->self, false);
}

EACH(readable_is_level_triggered)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = drain_at_three;
	f.be->keepalive(f.self, true);
	make_readable(&f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable, 3);
	cr_assert_eq(f.soon, 0);
	tear_down(&f);
}

/* `while (!done) event_base_loop(base, EVLOOP_ONCE);`, where a task's end sets done. */
EACH(one_turn_ends_a_run_of_one)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = end_when_readable;
	f.be->keepalive(f.self, true);
	n->timer(f.native, 500, count_done, &f); /* what a deaf loop would wait for */
	make_readable(&f);
	n->once(f.native);
	cr_assert_eq(f.readable, 1);
	f.turn = drain_only;
	f.be->keepalive(f.self, true);
	make_readable(&f);
	n->once(f.native);
	cr_assert_eq(f.readable, 2);
	cr_assert_eq(f.done, 0);
	f.be->keepalive(f.self, false);
	cr_assert_eq(n->run(f.native), 0);
	tear_down(&f);
}

/* ------------------------------------------------------------------------------------ soon */

EACH(soon_before_run)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.be->soon(f.self);
	f.be->soon(f.self);
	cr_assert_eq(f.soon, 0);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 1);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 1);
	tear_down(&f);
}

static void ask_ten(struct fake *f, unsigned why)
{
	cr_assert_eq(why, ANYC_TURN_SOON);
	if (f->soon == 10)
		return;
	f->be->soon(f->self);
	f->be->soon(f->self);
}

EACH(soon_inside_a_turn)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = ask_ten;
	f.be->soon(f.self);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 10);
	tear_down(&f);
}

static void ask(void *arg)
{
	struct fake *f = arg;

	f->timers++;
	f->be->soon(f->self);
	f->be->soon(f->self);
	cr_assert_eq(f->soon, 0);
}

EACH(soon_from_a_host_callback)
{
	struct fake f;

	set_up(&f, n, NULL);
	n->timer(f.native, 1, ask, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 1);
	tear_down(&f);
}

/* The loop would wait for a year: soon must come first. */
static void end_when_soon(struct fake *f, unsigned why)
{
	cr_assert_eq(why, ANYC_TURN_SOON);
	f->be->keepalive(f->self, false);
}

EACH(soon_comes_before_the_loop_blocks)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = end_when_soon;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 1);
	tear_down(&f);
}

/* The descriptor is always readable, so every poll gives a turn: soon is behind one. */
static void soon_behind_poll(struct fake *f, unsigned why)
{
	if (why == ANYC_TURN_READABLE) {
		f->step++;
		if (f->readable == 1)
			f->be->soon(f->self);
		return;
	}
	if (f->n->soon_first)
		cr_assert_geq(f->step, 1);
	else
		cr_assert_geq(f->step, f->soon == 1 ? 2 : 1);
	f->step = 0;
	if (f->soon < 100)
		f->be->soon(f->self);
	else
		drain(f);
}

EACH(soon_comes_behind_a_poll)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = soon_behind_poll;
	make_readable(&f);
	n->timer(f.native, 1, nothing, NULL);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 100);
	cr_assert_leq(f.readable, 400);
	tear_down(&f);
}

static void ask_for_ever(struct fake *f, unsigned why)
{
	(void)why;
	cr_assert_lt(f->soon, MANY, "the timer starves");
	if (f->timers < 5)
		f->be->soon(f->self);
}

static void next_timer(void *arg)
{
	struct fake *f = arg;

	/* On a slow day the first timer is due before the first poll. */
	cr_assert(f->timers == 0 || f->soon > f->step, "soon starves");
	f->step = f->soon;
	if (++f->timers < 5)
		f->n->timer(f->native, 1, next_timer, f);
}

EACH(soon_and_a_timer_interleave)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = ask_for_ever;
	f.be->soon(f.self);
	n->timer(f.native, 1, next_timer, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.timers, 5);
	tear_down(&f);
}

EACH(soon_by_single_passes)
{
	struct fake f;
	int i;

	set_up(&f, n, NULL);
	f.turn = ask_ten;
	f.be->soon(f.self);
	for (i = 0; i < 40; i++)
		n->pass(f.native);
	cr_assert_eq(f.soon, 10);
	tear_down(&f);
}

/* ---------------------------------------------------------------------------------- detach */

EACH(detach_before_run)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	make_readable(&f);
	detach(&f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable + f.soon, 0);
	cr_assert_eq(f.done, 1);
	tear_down(&f);
	cr_assert_eq(f.done, 1);
}

EACH(detach_without_done)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.be->detach(f.self, NULL, NULL);
	f.self = NULL;
	tear_down(&f);
	cr_assert_eq(f.done, 0);
}

static void detach_in_turn(struct fake *f, unsigned why)
{
	(void)why;
	f->be->keepalive(f->self, true);
	f->be->soon(f->self);
	detach(f);
}

EACH(detach_in_a_readable_turn)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = detach_in_turn;
	f.be->keepalive(f.self, true);
	make_readable(&f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable, 1);
	cr_assert_eq(f.done, 1);
	tear_down(&f);
}

EACH(detach_in_a_soon_turn)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.turn = detach_in_turn;
	f.be->soon(f.self);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 1);
	cr_assert_eq(f.done, 1);
	tear_down(&f);
}

static void detach_timer(void *arg)
{
	detach(arg);
}

/* Both turns are due in the pass in which a host callback detaches. */
EACH(detach_in_a_host_callback)
{
	struct fake f;

	set_up(&f, n, NULL);
	f.be->keepalive(f.self, true);
	n->timer(f.native, 1, detach_timer, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.done, 1);
	tear_down(&f);
}

EACH(attach_again_with_the_same_number)
{
	struct fake f, g;
	int fd;

	set_up(&f, n, NULL);
	n->pass(f.native);
	fd = f.fd;
	detach(&f);
	set_up(&g, n, f.native);
	cr_assert_eq(g.fd, fd);
	g.turn = end_when_readable;
	g.be->keepalive(g.self, true);
	make_readable(&g);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(g.readable, 1);
	tear_down(&g);
	cr_assert_eq(f.done, 1);
	cr_assert_eq(g.done, 1);
}

EACH(two_engines_on_one_loop)
{
	struct fake f, g;

	set_up(&f, n, NULL);
	set_up(&g, n, f.native);
	f.turn = end_when_readable;
	f.be->keepalive(f.self, true);
	g.be->soon(g.self);
	make_readable(&f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable, 1);
	cr_assert_eq(f.soon, 0);
	cr_assert_eq(g.readable, 0);
	cr_assert_eq(g.soon, 1);
	detach(&f);
	g.turn = end_when_readable;
	g.be->keepalive(g.self, true);
	make_readable(&g);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(g.readable, 1);
	tear_down(&g);
}

static void *run_loop(void *arg)
{
	struct fake *f = arg;

	return f->n->run(f->native) == 0 ? arg : NULL;
}

EACH(attached_here_and_run_elsewhere)
{
	pthread_t thread;
	struct fake f;
	void *result;

	set_up(&f, n, NULL);
	f.turn = ask_ten;
	f.be->soon(f.self);
	cr_assert_eq(pthread_create(&thread, NULL, run_loop, &f), 0);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_assert_eq(result, &f);
	cr_assert_eq(f.soon, 10);
	tear_down(&f);
}

/* ---------------------------------------------------------------------------- refused, lost */

EACH(attach_without_memory)
{
	struct fake f;
	int rc, i;

	prepare(&f, n, NULL);
	for (i = 1; i < 10; i++) {
		until_fail = i;
		failures = 0;
		rc = f.be->attach(f.native, f.fd, &f.engine, &f.self);
		if (rc == 0)
			break;
		cr_assert_eq(rc, -ENOMEM);
		cr_assert_eq(failures, 1);
		cr_assert_null(f.self);
		n->pass(f.native);
		cr_assert_eq(blocks, 0);
	}
	until_fail = 0;
	cr_assert_gt(i, 1);
	cr_assert_lt(i, 10);
	tear_down(&f);
}

EACH(attach_of_what_cannot_be_watched)
{
	char path[] = "/tmp/anyc-backends-XXXXXX";
	int fd = mkstemp(path);
	struct fake f;

	cr_assert_geq(fd, 0);
	(void)unlink(path);
	if (!n->checks_fd) {
		(void)close(fd);
		return;
	}
	prepare(&f, n, NULL);
	cr_assert_eq(f.be->attach(f.native, fd, &f.engine, &f.self), -EPERM);
	cr_assert_eq(failures, 1);
	tear_down(&f);
	(void)close(fd);
}

/* Not a loop: neither library may be called on it. */
EACH(attach_of_a_stranger)
{
	double stranger[200] = {1.7e9};
	struct fake f;

	if (n == &seam_ev)
		return;
	prepare(&f, n, NULL);
	cr_assert_eq(f.be->attach(stranger, f.fd, &f.engine, &f.self), ANYC_ECONFLICT);
	cr_assert_eq(failures, 1);
	tear_down(&f);
}

static void loop_freed(const struct native_ops *n, void (*notice)(struct fake *f))
{
	struct fake f;

	if (!n->frees_bound)
		return;
	set_up(&f, n, NULL);
	n->pass(f.native);
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(n->end(f.native), 0);
	cr_assert_eq(f.gone, n->tells_freed);
	if (!n->tells_freed)
		notice(&f);
	else
		cr_assert_null(f.self);
	cr_assert_eq(f.gone + f.done, 1);
	cr_assert_eq(f.readable + f.soon, 0);
	cr_assert_eq(blocks, 0);
}

static void by_soon(struct fake *f)
{
	f->be->soon(f->self);
	cr_assert_eq(f->gone, 1);
}

static void by_keepalive(struct fake *f)
{
	f->be->keepalive(f->self, false);
	cr_assert_eq(f->gone, 1);
}

EACH(freed_loop_is_noticed_by_soon)
{
	loop_freed(n, by_soon);
}

EACH(freed_loop_is_noticed_by_keepalive)
{
	loop_freed(n, by_keepalive);
}

EACH(freed_loop_is_noticed_by_detach)
{
	loop_freed(n, detach);
}

/* ----------------------------------------------------------------- run, stop, create, close */

static void stop_at_five(struct fake *f, unsigned why)
{
	(void)why;
	if (f->soon == 5)
		f->be->stop(f->self);
	else
		f->be->soon(f->self);
}

static void make_own(struct fake *f, const struct native_ops *n)
{
	void *native;

	cr_assert_eq(n->backend()->create(&native, &ops), 0);
	set_up(f, n, native);
}

static void unmake_own(struct fake *f)
{
	detach(f);
	f->be->destroy(f->native);
	cr_assert_eq(f->done, 1);
	cr_assert_eq(blocks, 0);
	cr_assert_eq(reports, 0);
}

EACH(run_until_stop)
{
	struct fake f;

	make_own(&f, n);
	f.turn = stop_at_five;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 5);
	/* Nothing of the stop is left. */
	f.soon = 0;
	f.be->soon(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 5);
	unmake_own(&f);
}

EACH(run_until_nothing_is_left)
{
	struct fake f;

	make_own(&f, n);
	f.turn = ask_ten;
	f.be->soon(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 10);
	cr_assert_eq(f.be->run(f.self), 0);
	unmake_own(&f);
}

EACH(stop_before_run)
{
	struct fake f;

	make_own(&f, n);
	f.turn = stop_at_five;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	f.be->stop(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 0);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 5);
	unmake_own(&f);
}

static void halt_then_stop(struct fake *f, unsigned why)
{
	(void)why;
	f->be->soon(f->self);
	if (f->soon == 5)
		f->be->stop(f->self);
	else
		f->n->halt(f->native);
}

/* The library's own stop, also one that is kept, does not end the run: the main task lives. */
EACH(run_outlives_the_native_stop)
{
	struct fake f;

	make_own(&f, n);
	f.turn = halt_then_stop;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	n->halt(f.native);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 5);
	unmake_own(&f);
}

EACH(detach_ends_the_run)
{
	struct fake f;

	make_own(&f, n);
	f.turn = detach_in_turn;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 1);
	f.be->destroy(f.native);
	cr_assert_eq(f.done, 1);
	cr_assert_eq(blocks, 0);
}

EACH(close_takes_what_is_left)
{
	struct fake f;
	void *native;

	cr_assert_eq(n->backend()->create(&native, &ops), 0);
	set_up(&f, n, native);
	n->halt(native); /* libuv keeps this one for the pass that close needs */
	detach(&f);
	if (n == &seam_uv) {
		cr_assert_eq(f.be->close(native), 0);
		free_block(native); /* closing leaves the memory to whoever made it */
	} else {
		cr_assert_eq(f.be->close(native), 0);
	}
	cr_assert_eq(f.done, 1);
	cr_assert_eq(blocks, 0);
}

Test(uv, close_refuses_open_handles)
{
	struct fake f, g;

	set_up(&f, &seam_uv, NULL);
	set_up(&g, &seam_uv, f.native);
	detach(&g);
	cr_assert_eq(g.be->close(f.native), -EBUSY);
	cr_assert_eq(g.done, 1);
	tear_down(&f);
}

/* --------------------------------------------------------------------------------- nesting */

static void run_inside(struct fake *f, unsigned why)
{
	int depth = f->step++;

	(void)why;
	f->be->soon(f->self);
	if (depth < 3) {
		f->n->run(f->native);
		cr_assert_geq(f->soon, 4);
	} else if (f->soon == 10) {
		f->be->keepalive(f->self, false);
		f->turn = NULL;
	}
}

EACH(turn_inside_a_nested_run)
{
	struct fake f;

	if (!n->nests)
		return;
	set_up(&f, n, NULL);
	f.turn = run_inside;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.soon, 11);
	tear_down(&f);
}

static void stop_inside(struct fake *f, unsigned why)
{
	(void)why;
	if (f->step++ < 2) {
		f->be->soon(f->self);
		f->n->run(f->native);
	} else {
		f->be->stop(f->self);
	}
}

EACH(stop_inside_a_nested_run_ends_all)
{
	struct fake f;

	if (!n->nests)
		return;
	make_own(&f, n);
	f.turn = stop_inside;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 3);
	unmake_own(&f);
}

static void stop_then_run_inside(struct fake *f, unsigned why)
{
	(void)why;
	f->be->stop(f->self);
	f->n->run(f->native);
}

EACH(stop_holds_against_a_later_nested_run)
{
	struct fake f;

	if (!n->nests)
		return;
	make_own(&f, n);
	f.turn = stop_then_run_inside;
	f.be->keepalive(f.self, true);
	f.be->soon(f.self);
	cr_assert_eq(f.be->run(f.self), 0);
	cr_assert_eq(f.soon, 1);
	unmake_own(&f);
}

static void detach_inside(struct fake *f, unsigned why)
{
	(void)why;
	if (f->step++ == 0) {
		f->be->soon(f->self);
		f->n->run(f->native);
	} else {
		detach(f);
	}
}

EACH(detach_inside_a_nested_run)
{
	struct fake f;

	if (!n->nests)
		return;
	set_up(&f, n, NULL);
	f.turn = detach_inside;
	f.be->soon(f.self);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.done, 1);
	tear_down(&f);
}

/* ------------------------------------------------------------------------------------ fork */

/* Exits 0 if all is as it should be: Criterion's asserts do not reach the parent from here. */
static void use_in_child(struct fake *f)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), old = f->fd;

	if (f->n->renew(f->native) != 0)
		_exit(2);
	f->be->keepalive(f->self, true);
	if (f->be->after_fork(f->self, fd) != 0)
		_exit(3);
	(void)close(old);
	f->fd = fd;
	f->readable = 0;
	f->turn = end_when_readable; /* keep-alive is still on */
	if (eventfd_write(fd, 1) != 0 || f->n->run(f->native) != 0 || f->readable != 1)
		_exit(4);
	f->be->soon(f->self);
	f->turn = NULL;
	if (f->n->run(f->native) != 0 || f->soon != 1)
		_exit(5);
	detach(f);
	f->n->pass(f->native);
	if (f->n->end(f->native) != 0 || f->done != 1 || blocks != 0)
		_exit(6);
	_exit(0);
}

static void use_twice_in_child(struct fake *f)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (f->n->renew(f->native) != 0 || f->be->after_fork(f->self, fd) != 0)
		_exit(7);
	(void)close(f->fd);
	f->fd = fd;
	use_in_child(f);
}

/* A child that has no use for the loop. */
static void detach_in_child(struct fake *f)
{
	detach(f);
	_exit(0);
}

static void with_child(const struct native_ops *n, void (*child)(struct fake *f))
{
	struct fake f;
	int status;
	pid_t pid;

	set_up(&f, n, NULL);
	f.turn = end_when_readable;
	f.be->keepalive(f.self, true);
	make_readable(&f);
	cr_assert_eq(n->run(f.native), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		child(&f);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "the child says %d", WEXITSTATUS(status));
	/* The child has not ended the parent's watch. */
	f.be->keepalive(f.self, true);
	n->timer(f.native, 1, wake, &f);
	cr_assert_eq(n->run(f.native), 0);
	cr_assert_eq(f.readable, 2);
	tear_down(&f);
}

EACH(child_renews)
{
	with_child(n, use_in_child);
}

EACH(child_renews_twice)
{
	with_child(n, use_twice_in_child);
}

EACH(child_detaches)
{
	with_child(n, detach_in_child);
}

/* ----------------------------------------------- libuv: the application closes our handles */

Test(uv, walk_closes_then_soon)
{
	int closed = 0;
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	f.be->soon(f.self);
	seam_uv.close_all(f.native, &closed);
	f.be->soon(f.self);
	cr_assert_eq(f.gone, 1);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(closed, 2);
	cr_assert_eq(f.soon, 0);
	tear_down(&f);
	cr_assert_eq(f.done, 0);
}

Test(uv, walk_closes_then_the_loop_ends_then_soon)
{
	int closed = 0;
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	f.be->keepalive(f.self, true);
	seam_uv.close_all(f.native, &closed);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(seam_uv.end(f.native), 0);
	f.be->soon(f.self);
	cr_assert_eq(f.gone, 1);
	cr_assert_eq(closed, 2);
	cr_assert_eq(blocks, 0);
}

Test(uv, walk_closes_then_keepalive)
{
	int closed = 0;
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	seam_uv.close_all(f.native, &closed);
	f.be->keepalive(f.self, false);
	cr_assert_eq(f.gone, 1);
	tear_down(&f);
}

Test(uv, walk_closes_then_detach)
{
	int closed = 0;
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	seam_uv.close_all(f.native, &closed);
	detach(&f);
	cr_assert_eq(f.done, 0);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(f.done, 1);
	cr_assert_eq(closed, 2);
	cr_assert_eq(f.gone, 0);
	tear_down(&f);
}

Test(uv, walk_closes_then_the_loop_ends_then_detach)
{
	int closed = 0;
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	seam_uv.close_all(f.native, &closed);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(seam_uv.end(f.native), 0);
	detach(&f);
	cr_assert_eq(f.done, 1);
	cr_assert_eq(blocks, 0);
}

Test(uv, detach_then_walk)
{
	int closed = 0;
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	detach(&f);
	seam_uv.close_all(f.native, &closed);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(closed, 0);
	cr_assert_eq(f.done, 1);
	tear_down(&f);
}

static int closed_in_turn;

static void walk_in_turn(struct fake *f, unsigned why)
{
	(void)why;
	f->n->close_all(f->native, &closed_in_turn);
	f->be->soon(f->self);
}

Test(uv, walk_closes_in_a_turn)
{
	struct fake f;

	set_up(&f, &seam_uv, NULL);
	f.turn = walk_in_turn;
	f.be->soon(f.self);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(f.soon, 1);
	cr_assert_eq(f.gone, 1);
	cr_assert_eq(closed_in_turn, 2);
	tear_down(&f);
}

/* A pipe without a reader: libuv gives up the descriptor and says so once. */
Test(uv, broken_descriptor_is_reported)
{
	struct fake f;
	int ends[2];

	prepare(&f, &seam_uv, NULL);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(f.be->attach(f.native, ends[1], &f.engine, &f.self), 0);
	f.be->keepalive(f.self, true);
	(void)close(ends[0]);
	cr_assert_eq(seam_uv.run(f.native), 0);
	cr_assert_eq(reports, 1);
	cr_assert_eq(f.gone, 1);
	cr_assert_eq(f.readable, 0);
	(void)close(ends[1]);
	tear_down(&f);
}

Test(uv, number_that_is_watched_already)
{
	struct fake f, g;

	set_up(&f, &seam_uv, NULL);
	prepare(&g, &seam_uv, f.native);
	cr_assert_eq(g.be->attach(g.native, f.fd, &g.engine, &g.self), -EEXIST);
	cr_assert_eq(failures, 1);
	cr_assert_null(g.self);
	(void)close(g.fd);
	tear_down(&f);
}

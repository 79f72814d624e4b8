/* SPDX-License-Identifier: MIT */
/*
 * The loop of a sim: what comes next when nothing is ready.
 *
 * Rules
 *  - Each pass does one thing: it lets happen what is due, or has a turn, or moves the clock.  So
 *    whatever one of them changes is known before the next is chosen.
 *  - The engine's descriptor is looked at only while something outside is waited for: within the
 *    simulation a pass makes no system call.
 *  - While something outside is waited for, the clock moves as real time does, turns included.
 *  - turn() and events may detach: the engine is looked at again after each.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include <anyc/error.h>

#include "sim.h"

/* Turns that leave work, one after the other, before time begins to pass with them. */
#define BUSY_TURNS 2000
#define BUSY_TIME ANYC_MILLISECOND

/* ---------------------------------------------------------------------------------- a pass */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How long to wait for the outside; NULL: until something comes. */
static const struct timespec *patience(const struct anyc_sim *sim,
				       const struct anyc_engine_waits *w, struct timespec *ts)
{
	int64_t next = earlier(w->deadline, anyc__sim_events_next(sim));
	int64_t left = next > sim->now ? next - sim->now : 0;

	if (sim->wanted || w->ready)
		left = 0;
	else if (next == ANYC_FOREVER || (left > 0 && sim->options.manual))
		return NULL;
	ts->tv_sec = (time_t)(left / ANYC_SECOND);
	ts->tv_nsec = (long)(left % ANYC_SECOND);
	return ts;
}

/* Whether the engine's descriptor is readable; waits if nothing else is to be done. */
static bool look_outside(struct anyc_sim *sim, const struct anyc_engine_waits *w)
{
	struct pollfd p = { .fd = sim->pollfd, .events = POLLIN };
	struct timespec ts;
	int n = ppoll(&p, 1, patience(sim, w, &ts), NULL);

	anyc__sim_keep_time(sim, true);
	return n > 0;
}

static void turn(struct anyc_sim *sim, unsigned why)
{
	sim->wanted = false;
	sim->again = false;
	sim->turning = true;
	sim->ops->turn(sim->engine, why);
	sim->turning = false;
	sim->busy = sim->again ? sim->busy + 1 : 0;
	if (sim->busy > BUSY_TURNS && !sim->outside && !sim->options.manual)
		sim->now += BUSY_TIME;
}

/* Nothing is ready, and nothing outside is waited for. */
static int jump(struct anyc_sim *sim, int64_t deadline)
{
	int64_t next = earlier(deadline, anyc__sim_events_next(sim));

	if (next == ANYC_FOREVER)
		return sim->ops->fail(ANYC_EDEADLK, 0, "sim: tasks wait, and no timer, descriptor "
				      "or token is left that could wake one");
	if (sim->options.manual)
		return sim->ops->fail(ANYC_EWOULDBLOCK, 0, "sim: what comes next waits for the "
				      "clock, which anyc_sim_advance() moves");
	sim->now = next;
	anyc__sim_trace(sim, "jumped");
	return 0;
}

static int pass(struct anyc_sim *sim)
{
	struct anyc_engine_waits w;
	bool readable;

	sim->ops->waits(sim->engine, &w);
	anyc__sim_keep_time(sim, w.outside);
	readable = w.outside && look_outside(sim, &w);
	if (anyc__sim_events_happen(sim))
		return 0;
	if (readable)
		turn(sim, ANYC_TURN_READABLE);
	else if (sim->wanted || w.ready || w.deadline <= sim->now)
		turn(sim, ANYC_TURN_SOON);
	else if (!w.outside)
		return jump(sim, w.deadline);
	return 0;
}

static bool goes_on(const struct anyc_sim *sim)
{
	return !sim->stopping && sim->engine != NULL &&
	       (sim->keep || sim->wanted || sim->calls > 0);
}

static int drive(struct anyc_sim *sim)
{
	int rc = 0;

	sim->running = true;
	sim->thread = pthread_self();
	while (rc == 0 && goes_on(sim))
		rc = pass(sim);
	/* Time that passes between two runs is nobody's. */
	sim->outside = false;
	sim->running = false;
	sim->stopping = false;
	return rc;
}

int anyc_sim_run(struct anyc_sim *sim)
{
	if (sim == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "anyc_sim_run: the sim is NULL");
	if (sim->running)
		return anyc__sim_misuse(ANYC_EMISUSE, "anyc_sim_run: the sim runs already");
	if (sim->engine == NULL)
		return anyc__sim_misuse(ANYC_EMISUSE, "anyc_sim_run: the sim is not attached; call "
					"anyc_sim_attach() first, or anyc_run() instead");
	return drive(sim);
}

void anyc_sim_stop(struct anyc_sim *sim)
{
	if (sim != NULL)
		sim->stopping = true;
}

/* ------------------------------------------------------------------------------- the table */

static void trace_run(void *arg, const char *task, uint64_t number)
{
	anyc__sim_trace(arg, "run %s %llu", task != NULL ? task : "?", (unsigned long long)number);
}

/* Any seed will do, but 0 would mean none. */
static uint64_t order_seed(uint64_t seed)
{
	return seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static int attach(void *native, int pollfd, struct anyc_engine *engine, void **self)
{
	struct anyc_sim *sim = native;

	sim->engine = engine;
	sim->pollfd = pollfd;
	sim->thread = pthread_self();
	if (sim->options.shuffle)
		engine->ops->shuffle(engine, order_seed(sim->options.seed));
	if (sim->options.trace != NULL)
		engine->ops->observe(engine, trace_run, sim);
	*self = sim;
	return 0;
}

static void detach(void *self, anyc_detached_fn *done, void *arg)
{
	struct anyc_sim *sim = self;

	sim->engine = NULL;
	sim->pollfd = -1;
	sim->keep = false;
	sim->wanted = false;
	if (done != NULL)
		done(arg);
}

static void soon(void *self)
{
	struct anyc_sim *sim = self;

	sim->wanted = true;
	sim->again = sim->turning;
}

static void keepalive(void *self, bool on)
{
	struct anyc_sim *sim = self;

	sim->keep = on;
}

/* The child's engine begins anew, and no run is under way there that could go on. */
static int after_fork(void *self, int pollfd)
{
	struct anyc_sim *sim = self;

	sim->running = false;
	sim->turning = false;
	sim->keep = false;
	sim->wanted = false;
	sim->outside = false;
	return attach(sim, pollfd, sim->engine, &self);
}

static int create(void **native, const struct anyc_engine_ops *ops)
{
	struct anyc_sim *sim;
	int rc = anyc_sim_create(&sim, NULL);

	(void)ops;
	*native = sim;
	return rc;
}

static void destroy(void *native)
{
	anyc_sim_free(native);
}

static int close_sim(void *native)
{
	const struct anyc_sim *sim = native;

	if (sim->running)
		return -EBUSY;
	anyc_sim_free(native);
	return 0;
}

/* For anyc_run(): its caller is not there to move a manual clock. */
static int run(void *self)
{
	int rc = anyc_sim_run(self);

	return rc == ANYC_EWOULDBLOCK ? ANYC_EDEADLK : rc;
}

static void stop(void *self)
{
	anyc_sim_stop(self);
}

/* While the outside is waited for a task's own work takes time too, and a deadline that it sets
 * afterwards is not to begin with it. */
static int64_t now(void *self)
{
	struct anyc_sim *sim = self;

	anyc__sim_keep_time(sim, sim->outside);
	return sim->now;
}

static void idle(void *self)
{
	ANYC_IGNORE(anyc__sim_events_happen(self));
}

static const struct anyc_backend backend = {
	.abi = ANYC_BACKEND_ABI,
	.size = sizeof(struct anyc_backend),
	.name = "sim",
	.attach = attach,
	.detach = detach,
	.soon = soon,
	.keepalive = keepalive,
	.create = create,
	.destroy = destroy,
	.run = run,
	.stop = stop,
	.close = close_sim,
	.after_fork = after_fork,
	.now = now,
	.idle = idle,
	.net = anyc__sim_net_ops,
};

const struct anyc_backend *anyc_sim_backend(void)
{
	return &backend;
}

#ifdef PIC /* a module: programs that link several backends statically have only the above */
const struct anyc_backend *anyc_module_backend(void)
{
	return &backend;
}
#endif

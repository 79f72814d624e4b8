/* SPDX-License-Identifier: MIT */
/*
 * What bench/growth measures: operations while many tasks are parked, and groups of many tasks.
 */
#include <anyc/anyc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "core/engine.h"
#include "growth.h"

#define SAMPLES 15
#define OPERATIONS 1000 /* in a sample of time */
#define SMALL_STACK 65536

static size_t alive;
static struct anyc_group crowd; /* of the tasks that are alive */

static void must(int rc)
{
	if (rc < 0)
		bench_die("%s", anyc_error_detail(rc));
}

static int park(void *arg)
{
	(void)arg;
	return anyc_sleep_forever();
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* ------------------------------------------------------------------------------ measuring */

static size_t operations;
static bool stepped; /* the tracer counts instructions between two stops */
static int64_t started;
static double sample;

static void begin(void)
{
	if (stepped)
		raise(SIGSTOP);
	started = bench_cpu();
}

static void end(void)
{
	sample = (double)(bench_cpu() - started) / (double)operations;
	if (stepped)
		raise(SIGSTOP);
}

/* ---------------------------------------------------------------------------------- cases */

static void spawn_and_join(void)
{
	struct anyc_handle handle;
	struct anyc_spawn_options options = {.handle = &handle};
	size_t i;

	begin();
	for (i = 0; i < operations; i++) {
		must(anyc_spawn_opts(&crowd, nothing, NULL, &options));
		must(anyc_join(&handle, NULL));
	}
	end();
}

static struct anyc_event ping, pong;

static void wait_for(struct anyc_event *event)
{
	must(anyc_event_wait(event));
	*event = (struct anyc_event){0};
}

static int answer(void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < operations / 2; i++) {
		wait_for(&ping);
		must(anyc_event_set(&pong));
	}
	return 0;
}

static void event(void)
{
	struct anyc_group group;
	size_t i;

	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, answer, NULL));
	must(anyc_checkpoint());
	begin();
	for (i = 0; i < operations / 2; i++) {
		must(anyc_event_set(&ping));
		wait_for(&pong);
	}
	end();
	must(anyc_group_leave(&group, 0));
}

static int send_all(void *arg)
{
	uint64_t item;

	for (item = 0; item < operations; item++)
		must(anyc_queue_send(arg, &item));
	return anyc_sender_close(arg);
}

static void queue(void)
{
	struct anyc_group group;
	struct anyc_sender sender;
	struct anyc_receiver receiver;
	uint64_t item;
	size_t i;

	must(anyc_queue_open(&sender, &receiver, sizeof item, 16, NULL));
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, send_all, &sender));
	begin();
	for (i = 0; i < operations; i++)
		must(anyc_queue_receive(&receiver, &item));
	end();
	must(anyc_group_leave(&group, 0));
	anyc_receiver_close(&receiver);
}

static struct anyc_lock lock;

static int contend(void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < operations / 2; i++) {
		must(anyc_lock_acquire(&lock));
		must(anyc_checkpoint());
		must(anyc_lock_release(&lock));
	}
	return 0;
}

/* Two tasks want it all the time, so that each release hands it over. */
static void hand_over(void)
{
	struct anyc_group group;

	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, contend, NULL));
	begin();
	must(contend(NULL));
	end();
	must(anyc_group_leave(&group, 0));
}

/* Tasks of the crowd, one by one: found by the cancel, woken, ended and joined. */
static void cancel(void)
{
	static struct anyc_handle handles[OPERATIONS];
	struct anyc_spawn_options options = {0};
	size_t i;

	for (i = 0; i < operations; i++) {
		options.handle = &handles[i];
		must(anyc_spawn_opts(&crowd, park, NULL, &options));
	}
	must(anyc_checkpoint());
	begin();
	for (i = 0; i < operations; i++) {
		must(anyc_handle_cancel(&handles[i], "measured"));
		must(anyc_join(&handles[i], NULL));
	}
	end();
}

static void never(struct anyc_timer_ *timer)
{
	(void)timer;
	bench_die("a timer has fired");
}

static int64_t later(void)
{
	static uint32_t random = 1;

	random ^= random << 13;
	random ^= random >> 17;
	random ^= random << 5;
	return anyc_now() + 600 * ANYC_SECOND + (int64_t)(random % 1000000) * ANYC_MILLISECOND;
}

/* The last timer set need not be in order yet: with two at a time, one of them must be. */
static void timer(void)
{
	struct anyc_timer_ *pending = calloc(alive, sizeof *pending);
	struct anyc_timer_ two[2] = {{.fire_ = never}, {.fire_ = never}};
	struct anyc__engine *engine = anyc__task_engine(anyc__current());
	static int64_t when[OPERATIONS];
	size_t i;

	if (pending == NULL)
		bench_die("no memory");
	for (i = 0; i < alive; i++) {
		pending[i].fire_ = never;
		must(anyc__timer_set(engine, &pending[i], later()));
	}
	for (i = 0; i < operations; i++)
		when[i] = later();
	begin();
	for (i = 0; i < operations; i += 2) {
		must(anyc__timer_set(engine, &two[0], when[i]));
		must(anyc__timer_set(engine, &two[1], when[i + 1]));
		anyc__timer_unset(engine, &two[0]);
		anyc__timer_unset(engine, &two[1]);
	}
	end();
	for (i = 0; i < alive; i++)
		anyc__timer_unset(engine, &pending[i]);
	free(pending);
}

/* ------------------------------------------------------------------------------------ all */

/* What begin and end themselves take. */
static void empty(void)
{
	begin();
	end();
}

static void measure(void (*run)(void), int out)
{
	double ns[SAMPLES], median;
	size_t i;

	stepped = false;
	operations = OPERATIONS;
	for (i = 0; i < SAMPLES; i++) {
		run();
		ns[i] = sample;
	}
	median = bench_median(ns, SAMPLES);
	if (write(out, &median, sizeof median) != (ssize_t)sizeof median)
		bench_die("nobody wants to know");
	stepped = true;
	operations = GROWTH_STEPPED;
	run();
}

static void spawn_crowd(size_t n)
{
	struct anyc_spawn_options options = {.stack_size = SMALL_STACK};

	while (n-- > 0)
		must(anyc_spawn_opts(&crowd, park, NULL, &options));
	must(anyc_checkpoint());
}

static int all_cases(void *arg)
{
	const int *out = arg;

	measure(empty, *out);
	measure(timer, *out);
	anyc_group_enter(&crowd, NULL);
	spawn_crowd(alive);
	measure(spawn_and_join, *out);
	measure(event, *out);
	measure(queue, *out);
	measure(hand_over, *out);
	measure(cancel, *out);
	_exit(0); /* a million tasks need not end one by one */
}

int growth_cases(size_t n, int out)
{
	alive = n;
	return anyc_run(NULL, all_cases, &out);
}

/* --------------------------------------------------------------------------------- groups */

struct whole {
	size_t tasks;
	double spawn, end;
};

static int whole_group(void *arg)
{
	struct whole *w = arg;
	int64_t start = bench_cpu(), parked;
	int rc;

	anyc_group_enter(&crowd, NULL);
	spawn_crowd(w->tasks);
	parked = bench_cpu();
	anyc_group_cancel(&crowd, "measured");
	rc = anyc_group_leave(&crowd, 0);
	w->spawn = (double)(parked - start) / (double)w->tasks;
	w->end = (double)(bench_cpu() - parked) / (double)w->tasks;
	return rc;
}

int growth_group(size_t tasks, double *spawn, double *join)
{
	struct whole w = {.tasks = tasks};
	int rc = anyc_run(NULL, whole_group, &w);

	*spawn = w.spawn;
	*join = w.end;
	return rc;
}

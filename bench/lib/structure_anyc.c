/* SPDX-License-Identifier: MIT */
/*
 * anyc's side of bench/structure: does n operations of a case on request and tells the CPU time.
 *
 *	CASE N                               on stdin
 *	NANOSECONDS OPERATIONS PREEMPTIONS   on stdout, at the end of the case
 */
#include <anyc/anyc.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"
#include "core/engine.h"

#define ROOM 128
#define BATCH 1000
#define PARKED 100000
#define PENDING 10000

static void must(int rc)
{
	if (rc < 0)
		bench_die("%s", anyc_error_detail(rc));
}

/* ------------------------------------------------------------------------------ measuring */

static int64_t started, ended;
static long away; /* preemptions meanwhile */
static size_t operations;

static long preemptions(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nivcsw;
}

/* A case that has something to prepare or to clear away keeps it out of the time. */
static void begin(void)
{
	away = preemptions();
	started = bench_cpu();
}

static void end(void)
{
	ended = bench_cpu();
	away = preemptions() - away;
}

/* --------------------------------------------------------------------------------- queues */

struct flow {
	struct anyc_sender sender;
	struct anyc_receiver receiver;
	size_t items;
};

static int send_all(void *arg)
{
	struct flow *f = arg;
	uint64_t item;

	for (item = 0; item < f->items; item++)
		must(anyc_queue_send(&f->sender, &item));
	return anyc_sender_close(&f->sender);
}

static void one_way(size_t n, size_t capacity, bool fast)
{
	struct anyc_queue_options options = {.fast = fast};
	struct flow f = {.items = n};
	struct anyc_group group;
	uint64_t item;
	int rc;

	must(anyc_queue_open(&f.sender, &f.receiver, sizeof item, capacity, &options));
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, send_all, &f));
	while ((rc = anyc_queue_receive(&f.receiver, &item)) == 0)
		;
	if (rc != ANYC_EEOF)
		must(rc);
	must(anyc_group_leave(&group, 0));
	anyc_receiver_close(&f.receiver);
}

static void buffered(size_t n, bool fast)
{
	one_way(n, ROOM, fast);
}

static void rendezvous(size_t n, bool fast)
{
	one_way(n, 0, fast);
}

struct answers {
	struct anyc_receiver questions;
	struct anyc_sender answers;
};

static int answer_all(void *arg)
{
	struct answers *a = arg;
	uint64_t item;
	int rc;

	while ((rc = anyc_queue_receive(&a->questions, &item)) == 0)
		must(anyc_queue_send(&a->answers, &item));
	return rc == ANYC_EEOF ? 0 : rc;
}

static void round_trips(size_t n, bool fast)
{
	struct anyc_queue_options options = {.fast = fast};
	struct anyc_sender questions;
	struct anyc_receiver answers;
	struct answers a;
	struct anyc_group group;
	uint64_t item;

	must(anyc_queue_open(&questions, &a.questions, sizeof item, 0, &options));
	must(anyc_queue_open(&a.answers, &answers, sizeof item, 0, &options));
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, answer_all, &a));
	for (; n > 0; n--) {
		item = n;
		must(anyc_queue_send(&questions, &item));
		must(anyc_queue_receive(&answers, &item));
	}
	anyc_sender_close(&questions);
	must(anyc_group_leave(&group, 0));
	anyc_receiver_close(&a.questions);
	anyc_sender_close(&a.answers);
	anyc_receiver_close(&answers);
}

/* -------------------------------------------------------------------------- locks, events */

static void locks(size_t n, bool fast)
{
	static struct anyc_lock plain, without_yield = ANYC_LOCK_INIT_FAST;
	struct anyc_lock *lock = fast ? &without_yield : &plain;

	while (n-- > 0) {
		must(anyc_lock_acquire(lock));
		must(anyc_lock_release(lock));
	}
}

static struct anyc_event ping, pong;
static size_t to_answer;

/* An event is set once: whoever was woken by it makes a new one of it. */
static void wait_for(struct anyc_event *event)
{
	must(anyc_event_wait(event));
	*event = (struct anyc_event){0};
}

static int answer(void *arg)
{
	(void)arg;
	for (; to_answer > 0; to_answer--) {
		wait_for(&ping);
		must(anyc_event_set(&pong));
	}
	return 0;
}

static void events(size_t n, bool fast)
{
	struct anyc_group group;

	(void)fast;
	to_answer = n / 2;
	anyc_group_enter(&group, NULL);
	must(anyc_spawn(&group, answer, NULL));
	for (; n > 0; n -= 2) {
		must(anyc_event_set(&ping));
		wait_for(&pong);
	}
	must(anyc_group_leave(&group, 0));
}

/* ------------------------------------------------------------------- deadlines and timers */

static void deadlines(size_t n, bool fast)
{
	struct anyc_scope scope;

	(void)fast;
	while (n-- > 0) {
		anyc_scope_enter_timeout(&scope, ANYC_MINUTE);
		must(anyc_scope_leave(&scope, 0));
	}
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
	return 600 * ANYC_SECOND + (int64_t)(random % 1000000) * ANYC_MILLISECOND;
}

static void timers(size_t n, bool fast)
{
	static struct anyc_timer_ pending[PENDING], timer = {.fire_ = never};
	struct anyc__engine *engine = anyc__task_engine(anyc__current());
	int64_t now = anyc_now();
	size_t i;

	(void)fast;
	for (i = 0; i < PENDING; i++) {
		pending[i].fire_ = never;
		must(anyc__timer_set(engine, &pending[i], now + later()));
	}
	begin();
	while (n-- > 0) {
		must(anyc__timer_set(engine, &timer, now + later()));
		anyc__timer_unset(engine, &timer);
	}
	end();
	for (i = 0; i < PENDING; i++)
		anyc__timer_unset(engine, &pending[i]);
}

/* ---------------------------------------------------------------------------------- tasks */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_and_join(size_t n, bool fast)
{
	struct anyc_handle handle;
	struct anyc_spawn_options options = {.handle = &handle};
	struct anyc_group group;

	(void)fast;
	anyc_group_enter(&group, NULL);
	while (n-- > 0) {
		must(anyc_spawn_opts(&group, nothing, NULL, &options));
		must(anyc_join(&handle, NULL));
	}
	must(anyc_group_leave(&group, 0));
}

static void spawn_batches(size_t n, bool fast)
{
	struct anyc_group group;
	size_t i;

	(void)fast;
	for (; n > 0; n -= BATCH) {
		anyc_group_enter(&group, NULL);
		for (i = 0; i < BATCH; i++)
			must(anyc_spawn(&group, nothing, NULL));
		must(anyc_group_leave(&group, 0));
	}
}

static int park(void *arg)
{
	(void)arg;
	return anyc_sleep_forever();
}

static void cancel_parked(size_t n, bool fast)
{
	struct anyc_group group;
	size_t i;

	(void)n;
	(void)fast;
	anyc_group_enter(&group, NULL);
	for (i = 0; i < PARKED; i++)
		must(anyc_spawn(&group, park, NULL));
	must(anyc_checkpoint());
	begin();
	anyc_group_cancel(&group, "measured");
	must(anyc_group_leave(&group, 0));
	end();
	operations = PARKED;
}

/* ------------------------------------------------------------------------------- requests */

static const struct {
	const char *name;
	void (*run)(size_t n, bool fast);
	bool fast;
} cases[] = {
	{"buffered", buffered, false},     {"fast-buffered", buffered, true},
	{"rendezvous", rendezvous, false}, {"fast-rendezvous", rendezvous, true},
	{"roundtrip", round_trips, false}, {"fast-roundtrip", round_trips, true},
	{"lock", locks, false},            {"fast-lock", locks, true},
	{"event", events, false},          {"deadline", deadlines, false},
	{"spawn", spawn_and_join, false},  {"batch", spawn_batches, false},
	{"cancel", cancel_parked, false},  {"timer", timers, false},
};

static void run(const char *name, size_t n)
{
	size_t i;

	for (i = 0; strcmp(cases[i].name, name) != 0; i++)
		if (i + 1 == sizeof cases / sizeof *cases)
			bench_die("anyc knows no case %s", name);
	operations = n;
	ended = 0;
	begin();
	cases[i].run(n, cases[i].fast);
	if (ended == 0)
		end();
	printf("%lld %zu %ld\n", (long long)(ended - started), operations, away);
	fflush(stdout);
}

static int serve(void *arg)
{
	char line[128], name[64];
	size_t n;

	(void)arg;
	while (fgets(line, sizeof line, stdin) != NULL)
		if (sscanf(line, "%63s %zu", name, &n) == 2)
			run(name, n);
	return 0;
}

int main(void)
{
	return anyc_run(NULL, serve, NULL) == 0 ? 0 : 1;
}

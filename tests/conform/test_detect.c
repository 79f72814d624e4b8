/* SPDX-License-Identifier: MIT */
/*
 * Detection, running and time: behaviours.md section 1, semantics.md part A, and rules 11, 22, 26,
 * 28, 38, 39, 46 and 47.
 */
#include "conform.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ which library */

struct seen {
	const char *library;
	struct anyc_loop *loop;
	uint64_t task;
	bool done;
};

static void look(void *arg)
{
	struct seen *s = arg;

	s->library = anyc_current_library();
	s->loop = anyc_current_loop();
	s->task = anyc_task_id();
	s->done = true;
}

static int look_in_task(void *arg)
{
	look(arg);
	return anyc_checkpoint();
}

static int detect_everywhere(void *arg)
{
	const char *want = host_find(anyc_test_row())->ops->library;

	(void)arg;
	CHECK_STR(anyc_current_library(), want);
	CHECK((anyc_current_loop() != NULL) == (want != NULL));
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_STR(anyc_current_library(), want);
	CHECK_OK(anyc_checkpoint());
	CHECK_STR(anyc_current_library(), want);
	if (want != NULL)
		CHECK_STR(anyc_loop_library(anyc_current_loop()), want);
	return 11;
}

ANYC_TEST_MAIN(detect, b001_before_inside_and_after, ANYC_ROWS_ALL)
{
	struct host h;

	CHECK(anyc_current_library() == NULL);
	CHECK(anyc_current_loop() == NULL);
	CHECK_INT(host_run_task(&h, anyc_test_row(), detect_everywhere, NULL, "main"), ==, 11);
	CHECK(anyc_current_library() == NULL);
	CHECK(anyc_current_loop() == NULL);
}

ANYC_TEST(detect, b002_an_override)
{
	const char *before = anyc_current_library();
	struct seen s = { 0 };
	struct anyc_group g;

	CHECK_OK(anyc_detect_push("another"));
	CHECK_STR(anyc_current_library(), "another");
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_STR(anyc_current_library(), "another");
	/* A6: a task sees its own loop, whatever its spawner said. */
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, look_in_task, &s));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(s.done);
	CHECK_STR(s.library, before);
	CHECK_STR(anyc_current_library(), "another");
	CHECK_OK(anyc_detect_pop());
	CHECK_STR(anyc_current_library(), before);
}

struct from_thread {
	struct anyc_token *token;
	struct seen in_thread, in_loop;
	struct anyc_event done;
	int post;
};

static void run_posted(void *arg, int status)
{
	struct from_thread *f = arg;

	CHECK_OK(status);
	look(&f->in_loop);
	CHECK_OK(anyc_event_set(&f->done));
}

static void *post_from_thread(void *arg)
{
	struct from_thread *f = arg;

	look(&f->in_thread);
	anyc_detect_push("mine");
	f->post = anyc_token_post(f->token, run_posted, f);
	anyc_detect_pop();
	anyc_token_unref(f->token);
	anyc_thread_done();
	return NULL;
}

ANYC_TEST_ON(detect, b004_a_foreign_thread_and_its_post, ANYC_ROWS_LOOP)
{
	struct from_thread f = { .post = 1 };
	pthread_t thread;

	f.token = anyc_loop_token(anyc_current_loop());
	CHECK(f.token != NULL);
	CHECK_INT(pthread_create(&thread, NULL, post_from_thread, &f), ==, 0);
	CHECK_OK(anyc_event_wait(&f.done));
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK_OK(f.post);
	CHECK(f.in_thread.library == NULL);
	CHECK(f.in_thread.loop == NULL);
	CHECK_STR(f.in_loop.library, anyc_current_library());
	CHECK(f.in_loop.loop == anyc_current_loop());
	CHECK_INT(f.in_loop.task, ==, 0);
}

/* There is no loop to post to: a worker of a plain thread sees nothing, and blocks by itself. */
static void *wait_in_thread(void *arg)
{
	struct seen *s = arg;

	look(s);
	s->done = anyc_sleep(MS(1)) == 0 && anyc_current_library() == NULL;
	anyc_thread_done();
	return NULL;
}

ANYC_TEST(detect, b004_a_thread_beside_has_no_loop)
{
	struct seen s = { .library = "x" };
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, wait_in_thread, &s), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK(s.library == NULL);
	CHECK(s.done);
}

/* -------------------------------------------------------------------------------------- run */

static int give_back(void *arg)
{
	int rc = anyc_sleep(MS(1));

	return rc != 0 ? rc : *(const int *)arg;
}

ANYC_TEST_MAIN(detect, b005_run_gives_the_result, ANYC_ROWS_LOOP)
{
	static const int results[] = { 0, 7, 1 << 30, -EIO, ANYC_EBROKEN, ANYC_ETIMEDOUT };
	struct anyc_run_options options = { .backend = anyc_test_row(), .name = "the main one" };

	for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
		CHECK_INT(anyc_run(&options, give_back, (void *)(uintptr_t)&results[i]), ==,
			  results[i]);
	CHECK(anyc_current_library() == NULL);
	CHECK_INT(reports(), ==, 0);
}

/* A plain thread calls it, and that is all. */
ANYC_TEST_ON(detect, b005_calling_is_running, "none")
{
	static const int five = 5, eio = -EIO;

	CHECK_INT(give_back((void *)(uintptr_t)&five), ==, 5);
	CHECK_INT(give_back((void *)(uintptr_t)&eio), ==, -EIO);
}

static int must_not_run(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

static void run_not_installed(void)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };
	bool ran = false;
	int rc;

	setenv("ANYC_MODULE_DIR", "/nonexistent", 1);
	rc = anyc_run(&options, must_not_run, &ran);
	if (rc != ANYC_ENOTINSTALLED || ran) {
		fprintf(stderr, "rc %d %s\n", rc, anyc_error_detail(rc));
		_exit(2);
	}
	fprintf(stderr, "%s\n", anyc_error_detail(rc));
	if (anyc_backend_available(anyc_test_row()) != ANYC_ENOTINSTALLED)
		_exit(3);
}

ANYC_TEST_MAIN(detect, b007_unknown_and_missing_backends, ANYC_ROWS_ALL)
{
	struct anyc_run_options options = { .backend = "libnothing" };
	struct anyc_loop *loop = (void *)&options;
	struct corpse c;
	bool ran = false;

	CHECK_RC(anyc_run(&options, must_not_run, &ran), ANYC_ENOBACKEND);
	CHECK_HAS(anyc_error_detail(ANYC_ENOBACKEND), "libnothing");
	CHECK_RC(anyc_backend_available("libnothing"), ANYC_ENOBACKEND);
	CHECK_RC(anyc_loop_attach_named(&loop, "libnothing", &options), ANYC_ENOBACKEND);
	CHECK(loop == NULL);
	CHECK(!ran);
	if (!host_find(anyc_test_row())->ops->is_module)
		return;
	/* Before anything has loaded it here. */
	corpse_make(&c, run_not_installed);
	CHECK_LIVED(&c);
	CHECK_HAS(c.text, "not installed");
	CHECK_OK(anyc_backend_available(anyc_test_row()));
}

static void be_outside(void *arg)
{
	struct anyc_scope s;

	(void)arg;
	CHECK_INT(anyc_now(), >, 0);
	CHECK_INT(anyc_task_id(), ==, 0);
	CHECK(anyc_task_name() == NULL);
	CHECK_INT(anyc_effective_deadline(), ==, ANYC_FOREVER);
	CHECK(!anyc_has_pending_cancellation());
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_ENOTASK);
}

static int be_somewhere(void *arg)
{
	struct host *h = arg;

	CHECK_INT(anyc_task_id(), !=, 0);
	CHECK(anyc_task_name() != NULL);
	if (h->ops->soon != NULL)
		host_call(h, be_outside, NULL);
	return 0;
}

/* Outside any loop: the implicit root task; on a loop's thread outside tasks: a refusal. */
ANYC_TEST_MAIN(detect, b011_time_task_and_scope_without_a_loop, ANYC_ROWS_ALL)
{
	struct anyc_scope s;
	struct host h;
	int64_t before = clock_now(), now = anyc_now();

	CHECK_INT(now, >=, before);
	CHECK_INT(now, <=, clock_now());
	anyc_scope_enter(&s, NULL);
	CHECK_INT(anyc_task_id(), !=, 0);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_checkpoint(), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_OK(host_run_task(&h, anyc_test_row(), be_somewhere, &h, "main"));
}

ANYC_TEST(detect, b012_negative_times)
{
	struct anyc_scope s;
	struct anyc_scope_options bad = { .timeout = INT64_MIN };

	CHECK_RC(anyc_sleep(-1), ANYC_EINVAL);
	CHECK_RC(anyc_sleep(INT64_MIN), ANYC_EINVAL);
	anyc_scope_enter(&s, &bad);
	CHECK_RC(anyc_scope_leave(&s, 0), ANYC_EINVAL);
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_scope_set_deadline(&s, -5), ANYC_EINVAL);
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK_OK(anyc_sleep_until(-5));
	CHECK_OK(anyc_sleep(MS(1)));
}

/* ----------------------------------------------------------------------- semantics.md, part A */

ANYC_TEST_MAIN(detect, a08_backends_known_and_available, "none")
{
	bool found[5] = { false };
	static const char *const names[5] = { "anyc", "libuv", "libevent", "libev", "sim" };
	const char *name;

	CHECK_STR(anyc_backend_known(0), "anyc");
	for (size_t i = 0; (name = anyc_backend_known(i)) != NULL; i++) {
		for (int n = 0; n < 5; n++)
			found[n] = found[n] || strcmp(name, names[n]) == 0;
		CHECK_INT(i, <, 100);
	}
	for (int n = 0; n < 5; n++) {
		CHECK(found[n]);
		CHECK_OK(anyc_backend_available(names[n]));
	}
	CHECK(anyc_current_library() == NULL);
	CHECK_RC(anyc_backend_register(NULL), ANYC_EINVAL);
}

ANYC_TEST_ON(detect, a11_run_inside_of_run, ANYC_ROWS_LOOP)
{
	struct anyc_run_options other = { .backend = "libuv" };
	const char *before = anyc_current_library();
	bool ran = false;

	CHECK_RC(anyc_run(NULL, must_not_run, &ran), ANYC_EMISUSE);
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "already running");
	CHECK_HAS(anyc_error_detail(ANYC_EMISUSE), "call the function, or spawn a task");
	CHECK_RC(anyc_run(&other, must_not_run, &ran), ANYC_EMISUSE);
	CHECK(!ran);
	CHECK_STR(anyc_current_library(), before);
	CHECK_OK(anyc_sleep(MS(1)));
}

static int note_native(void *arg)
{
	*(void **)arg = anyc_loop_native(anyc_current_loop());
	return 3;
}

/* A loop of the application's, run by anyc_run(); it stays the application's. */
ANYC_TEST_MAIN(detect, a13_running_the_applications_loop, ANYC_ROWS_NATIVE)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };
	struct host h;
	void *native = NULL;

	CHECK_OK(host_make(&h, anyc_test_row()));
	options.native = h.native;
	CHECK_INT(anyc_run(&options, note_native, &native), ==, 3);
	CHECK(native == h.native);
	CHECK_INT(anyc_run(&options, note_native, &native), ==, 3);
	CHECK_INT(host_destroy(&h), ==, 0);
}

static void stay_long(void *arg)
{
	int64_t *times = arg;

	times[0] = anyc_now();
	clock_spin(MS(20));
	times[1] = anyc_now();
}

/* Never the loop's cached time: deadlines do not drift after a long callback. */
ANYC_TEST(detect, a18_the_time_is_not_cached)
{
	int64_t times[2] = { 0 }, before = anyc_now();

	if (anyc_test_row_is("none"))
		stay_long(times);
	else
		host_call(anyc_test_host(), stay_long, times);
	CHECK_INT(times[0], >=, before);
	CHECK_INT(times[1] - times[0], >=, MS(20));
	CHECK_INT(anyc_now(), >=, times[1]);
	before = anyc_now();
	CHECK_OK(anyc_sleep(MS(5)));
	CHECK_INT(anyc_now() - before, >=, MS(5));
}

/* ----------------------------------------------------------------------------------- rule 11 */

static void call_outside_a_task(void *arg)
{
	struct anyc_event set = { 0 };
	struct anyc_lock lock = { 0 };

	(void)arg;
	CHECK_OK(anyc_event_set(&set));
	/* Refused by what it is, although it would not have had to wait. */
	CHECK_RC(anyc_event_wait(&set), ANYC_ENOTASK);
	CHECK_HAS(anyc_error_detail(ANYC_ENOTASK), "task");
	CHECK_RC(anyc_lock_acquire(&lock), ANYC_ENOTASK);
	CHECK(!anyc_lock_is_held(&lock));
	CHECK_RC(anyc_sleep(0), ANYC_ENOTASK);
	CHECK_RC(anyc_checkpoint(), ANYC_ENOTASK);
	CHECK_RC(anyc_checkpoint_if_cancelled(), ANYC_ENOTASK);
	CHECK_RC(anyc_wait_all_blocked(), ANYC_ENOTASK);
}

ANYC_TEST_ON(detect, r11_refused_outside_tasks, ANYC_ROWS_LOOP)
{
	host_call(anyc_test_host(), call_outside_a_task, NULL);
	CHECK_OK(anyc_sleep(MS(1)));
}

ANYC_TEST_MAIN(detect, r11_also_before_the_loop_runs, ANYC_ROWS_NATIVE)
{
	struct host h;

	CHECK_OK(host_make(&h, anyc_test_row()));
	CHECK_OK(host_attach(&h));
	call_outside_a_task(NULL);
	CHECK_OK(host_detach(&h));
	CHECK_OK(anyc_checkpoint());
	CHECK_INT(host_destroy(&h), ==, 0);
}

static int call_in_outside(void *arg)
{
	call_outside_a_task(arg);
	return 0;
}

/* What an engine calls is outside a task in plain threads too. */
ANYC_TEST(detect, r11_engine_callbacks_are_outside)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, give_back, &(int){ 0 }));
	if (!anyc_test_row_is("none"))
		CHECK_OK(anyc_outside(call_in_outside, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* ----------------------------------------------------------------------------------- rule 22 */

static void *use_plain_thread(void *arg)
{
	struct anyc_scope s;
	struct anyc_group g;
	int n = 0;
	bool *ok = arg;

	anyc_scope_enter(&s, NULL);
	*ok = anyc_task_id() != 0 && anyc_current_library() == NULL;
	*ok = *ok && anyc_thread_done() == ANYC_EMISUSE;
	anyc_group_enter(&g, NULL);
	*ok = *ok && anyc_spawn(&g, count_up, &n) == 0 && n == 0;
	*ok = *ok && anyc_group_leave(&g, 0) == 0 && n == 1;
	*ok = *ok && anyc_scope_leave(&s, 0) == 0;
	/* No anyc_thread_done(): the end of the thread frees it. */
	return NULL;
}

ANYC_TEST_MAIN(detect, r22_a_plain_threads_root, ANYC_ROWS_ALL)
{
	pthread_t thread;
	bool ok = false;
	uint64_t first, second;
	struct anyc_scope s;

	CHECK_INT(pthread_create(&thread, NULL, use_plain_thread, &ok), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK(ok);
	anyc_scope_enter(&s, NULL);
	first = anyc_task_id();
	anyc_scope_leave(&s, 0);
	CHECK_INT(anyc_task_id(), ==, first);
	CHECK_OK(anyc_thread_done());
	CHECK_OK(anyc_thread_done());
	anyc_scope_enter(&s, NULL);
	second = anyc_task_id();
	anyc_scope_leave(&s, 0);
	CHECK(second != first);
}

ANYC_TEST_MAIN(detect, r22_a_thread_in_use_takes_no_loop, ANYC_ROWS_NATIVE)
{
	struct anyc_scope s;
	struct anyc_run_options options = { .backend = anyc_test_row() };
	struct host h;
	bool ran = false;

	CHECK_OK(host_make(&h, anyc_test_row()));
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_run(&options, must_not_run, &ran), ANYC_EMISUSE);
	CHECK_RC(anyc_run(NULL, must_not_run, &ran), ANYC_EMISUSE);
	CHECK_RC(host_attach(&h), ANYC_EMISUSE);
	CHECK(h.loop == NULL);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_scope_leave(&s, 0));
	CHECK(!ran);
	CHECK_OK(host_attach(&h));
	CHECK_OK(host_detach(&h));
	CHECK_OK(anyc_run(NULL, must_not_run, &ran));
	CHECK(ran);
	CHECK_INT(host_destroy(&h), ==, 0);
}

ANYC_TEST_MAIN(detect, r22_nothing_could_ever_wake_it, "none")
{
	struct anyc_event never = { 0 };
	struct anyc_lock lock = { 0 };
	struct anyc_scope s;

	CHECK_RC(anyc_sleep_forever(), ANYC_EDEADLK);
	CHECK_RC(anyc_event_wait(&never), ANYC_EDEADLK);
	CHECK_INT(anyc_event_waiting(&never), ==, 0);
	anyc_scope_enter(&s, NULL);
	CHECK_RC(anyc_event_wait(&never), ANYC_EDEADLK);
	CHECK_OK(anyc_scope_leave(&s, 0));
	/* A deadline is something. */
	anyc_scope_enter_timeout(&s, MS(2));
	CHECK_RC(anyc_scope_leave(&s, anyc_event_wait(&never)), ANYC_ETIMEDOUT);
	CHECK_OK(anyc_lock_acquire(&lock));
	CHECK_OK(anyc_lock_release(&lock));
	CHECK_OK(anyc_sleep(MS(1)));
}

static void count_signal(int number)
{
	(void)number;
}

/* EINTR ends no wait: signals all the time, and each sleep is as long as it should be. */
ANYC_TEST(detect, r22_signals_end_no_wait)
{
	struct sigaction action = { .sa_handler = count_signal }, before;
	struct itimerval every = { .it_interval.tv_usec = 700, .it_value.tv_usec = 700 },
			 off = { 0 };
	int64_t start;

	sigemptyset(&action.sa_mask);
	CHECK_INT(sigaction(SIGVTALRM, &action, &before), ==, 0);
	CHECK_INT(sigaction(SIGPROF, &action, NULL), ==, 0);
	CHECK_INT(setitimer(ITIMER_PROF, &every, NULL), ==, 0);
	for (int i = 0; i < 5; i++) {
		start = clock_now();
		CHECK_INT(kill(getpid(), SIGVTALRM), ==, 0);
		CHECK_OK(anyc_sleep(MS(5)));
		CHECK_TOOK(start, MS(5), MS(5));
	}
	CHECK_INT(setitimer(ITIMER_PROF, &off, NULL), ==, 0);
}

/* ----------------------------------------------------------------------------------- rule 26 */

static void sleep_in_callback(void *arg)
{
	*(int *)arg = anyc_sleep(MS(1));
}

/* A native loop that nobody attached runs further up: it would freeze. */
ANYC_TEST_MAIN(detect, r26_a_wait_below_a_strange_loop, ANYC_ROWS_NATIVE)
{
	struct host h;
	int rc = 1;

	CHECK_OK(host_make(&h, anyc_test_row()));
	CHECK_OK(h.ops->soon(&h, sleep_in_callback, &rc));
	host_run(&h);
	CHECK_RC(rc, ANYC_EBLOCKED);
	CHECK_HAS(anyc_error_detail(ANYC_EBLOCKED), anyc_test_row());
	CHECK_HAS(anyc_error_detail(ANYC_EBLOCKED), "attach");
	/* Afterwards the thread blocks as before. */
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(h.ops->soon(&h, sleep_in_callback, &rc));
	host_run(&h);
	CHECK_RC(rc, ANYC_EBLOCKED);
	CHECK_INT(host_destroy(&h), ==, 0);
}

static void run_in_callback(void *arg)
{
	bool ran = false;

	*(int *)arg = anyc_run(NULL, must_not_run, &ran);
	CHECK(!ran);
}

ANYC_TEST_MAIN(detect, r26_a_run_below_a_strange_loop, ANYC_ROWS_NATIVE)
{
	struct host h;
	int rc = 1;

	CHECK_OK(host_make(&h, anyc_test_row()));
	CHECK_OK(h.ops->soon(&h, run_in_callback, &rc));
	host_run(&h);
	CHECK_RC(rc, ANYC_EMISUSE);
	CHECK_INT(host_destroy(&h), ==, 0);
}

struct nested {
	struct host *host;
	struct anyc_group *group;
	struct anyc_event go;
	bool child_done;
};

static void no_tick(void *arg)
{
	(void)arg;
}

/* A timer of the host's ends each pass. */
static void pass_until_done(struct nested *n)
{
	n->host->ops->tick(n->host, no_tick, NULL);
	for (int i = 0; i < 2000 * anyc_test_slow() && !n->child_done; i++)
		n->host->ops->pass(n->host, true);
	n->host->ops->untick(n->host);
	CHECK(n->child_done);
}

static int nap(void *arg)
{
	int rc = anyc_sleep(MS(10));

	((struct nested *)arg)->child_done = true;
	return rc;
}

/* Runs the loop from this task until the other one, which may sleep already, has ended. */
static void run_by_a_task(bool asleep)
{
	struct nested n = { .host = anyc_test_host() };
	const char *name = anyc_task_name();
	uint64_t id = anyc_task_id();
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, nap, &n));
	if (asleep)
		CHECK_OK(anyc_wait_all_blocked());
	pass_until_done(&n);
	CHECK_STR(anyc_task_name(), name);
	CHECK(anyc_task_id() == id);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* The loop run again, by a task: others go on, the task below is busy. */
ANYC_TEST_ON(detect, r26_the_loop_run_by_a_task, "libuv,libev")
{
	run_by_a_task(true);
}

/* The same with a task that is ready, and a timer that was not armed yet. */
ANYC_TEST_ON(detect, r26_the_loop_run_by_a_task_at_once, "libuv,libev")
{
	run_by_a_task(false);
}

static int sleep_long(void *arg)
{
	CHECK_OK(anyc_event_wait(&((struct nested *)arg)->go));
	return anyc_sleep(ANYC_HOUR);
}

static int nap_later(void *arg)
{
	CHECK_OK(anyc_event_wait(&((struct nested *)arg)->go));
	return nap(arg);
}

static int pass_in_task(void *arg)
{
	struct nested *n = arg;

	CHECK_OK(anyc_event_wait(&n->go));
	pass_until_done(n);
	return anyc_group_cancel(n->group, NULL);
}

/*
 * A sleeper parks in the turn in which the next task runs the loop: the first one there to sleep,
 * or behind one who sleeps for longer.  They live before: a spawn asks for a turn of its own.
 */
static void run_behind_a_sleeper(bool behind_another)
{
	struct anyc_group g;
	struct nested n = { .host = anyc_test_host(), .group = &g };

	anyc_group_enter(&g, NULL);
	if (behind_another)
		CHECK_OK(anyc_spawn(&g, sleep_long, &n));
	CHECK_OK(anyc_spawn(&g, nap_later, &n));
	CHECK_OK(anyc_spawn(&g, pass_in_task, &n));
	CHECK_OK(anyc_wait_all_blocked());
	CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_event_set(&n.go));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(n.child_done);
}

ANYC_TEST_ON(detect, r26_the_loop_run_behind_a_sleeper, "libuv,libev")
{
	run_behind_a_sleeper(false);
}

ANYC_TEST_ON(detect, r26_the_loop_run_behind_two_sleepers, "libuv,libev")
{
	run_behind_a_sleeper(true);
}

static void pass_in_callback(void *arg)
{
	struct nested *n = arg;

	pass_until_done(n);
	CHECK_STR(anyc_current_library(), anyc_test_row());
	CHECK_RC(anyc_checkpoint(), ANYC_ENOTASK);
}

ANYC_TEST_ON(detect, r26_the_loop_run_by_a_callback, "libuv,libev")
{
	struct nested n = { .host = anyc_test_host() };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, nap, &n));
	host_call(n.host, pass_in_callback, &n);
	CHECK_OK(anyc_group_leave(&g, 0));
}

/* ----------------------------------------------------------------------------------- rule 28 */

struct cancelled_thread {
	const char *row;
	int inside, outside;
	bool went_on;
};

static int look_at_cancellation(void *arg)
{
	struct cancelled_thread *c = arg;
	int rc, state;

	if (anyc_current_library() != NULL) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->inside);
		pthread_setcancelstate(c->inside, &state);
	}
	rc = anyc_sleep(MS(1));
	c->went_on = true;
	return rc;
}

static void *run_in_thread(void *arg)
{
	struct cancelled_thread *c = arg;
	struct host h;
	int rc, state;

	rc = host_run_task(&h, c->row, look_at_cancellation, c, "main");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->outside);
	pthread_setcancelstate(c->outside, &state);
	if (rc != 0)
		c->went_on = false;
	anyc_thread_done();
	return NULL;
}

ANYC_TEST_MAIN(detect, r28_pthread_cancellation_is_off_inside, ANYC_ROWS_ALL)
{
	struct cancelled_thread c = { .row = anyc_test_row(), .inside = -1, .outside = -1 };
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, run_in_thread, &c), ==, 0);
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
	CHECK(c.went_on);
	CHECK_INT(c.outside, ==, PTHREAD_CANCEL_ENABLE);
	if (!anyc_test_row_is("none"))
		CHECK_INT(c.inside, ==, PTHREAD_CANCEL_DISABLE);
}

static void *wait_while_cancelled(void *arg)
{
	bool *went_on = arg;

	pthread_cancel(pthread_self());
	if (anyc_sleep(MS(2)) == 0)
		*went_on = true;
	pthread_testcancel();
	return NULL;
}

ANYC_TEST_MAIN(detect, r28_a_cancelled_thread_ends_after_the_wait, "none")
{
	bool went_on = false;
	pthread_t thread;
	void *result;

	CHECK_INT(pthread_create(&thread, NULL, wait_while_cancelled, &went_on), ==, 0);
	CHECK_INT(pthread_join(thread, &result), ==, 0);
	CHECK(went_on);
	CHECK(result == PTHREAD_CANCELED);
}

/* ----------------------------------------------------------------------------------- rule 38 */

static void copy_file(const char *from, int to)
{
	static char buf[65536];
	FILE *f = fopen(from, "rb");
	size_t n;

	if (f == NULL)
		_exit(5);
	while ((n = fread(buf, 1, sizeof buf, f)) > 0) {
		if (write(to, buf, n) != (ssize_t)n)
			_exit(6);
	}
	fclose(f);
}

/* Loads a copy of the file that holds the function: another object with the same names. */
static void *load_copy_of(const char *function)
{
	char path[] = "/tmp/anyc-copy-XXXXXX";
	void *handle, *symbol = dlsym(RTLD_DEFAULT, function);
	Dl_info info;
	int fd = mkstemp(path);

	if (fd < 0 || symbol == NULL || dladdr(symbol, &info) == 0)
		_exit(4);
	copy_file(info.dli_fname, fd);
	close(fd);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	unlink(path);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		_exit(7);
	}
	return handle;
}

/* As a plugin with anyc inside would bring it. */
static void use_a_second_copy(void)
{
	int (*run)(const struct anyc_run_options *, size_t, anyc_task_fn *, void *);
	const char *(*detail)(int);
	void *handle = load_copy_of("anyc_run_sized"), *symbol;
	bool ran = false;

	symbol = dlsym(handle, "anyc_run_sized");
	memcpy(&run, &symbol, sizeof run);
	symbol = dlsym(handle, "anyc_error_detail");
	memcpy(&detail, &symbol, sizeof detail);
	if (run(NULL, 0, must_not_run, &ran) != ANYC_ECONFLICT || ran)
		_exit(8);
	/* Public calls inside the copy may reach the first one: its sentence may be there. */
	fprintf(stderr, "%s | %s\n", detail(ANYC_ECONFLICT), anyc_error_detail(ANYC_ECONFLICT));
	if (anyc_run(NULL, must_not_run, &ran) != 0 || !ran)
		_exit(9);
}

ANYC_TEST_MAIN(detect, r38_two_copies_of_anyc, "anyc")
{
	struct corpse c;

	corpse_make(&c, use_a_second_copy);
	CHECK_LIVED(&c);
	CHECK_HAS(c.text, "anyc-copy-");
	CHECK_HAS(c.text, "libanyc");
}

/* ----------------------------------------------------------------------------------- rule 37 */

/* A loop that another copy of libuv made has that copy's functions in it. */
static void attach_a_strange_uv(void)
{
	const struct host_ops *ops = host_find("libuv")->ops;
	static _Alignas(64) char native[4096];
	void *copy = load_copy_of("uv_loop_init");
	void *symbol = dlsym(copy, "uv_loop_init");
	struct anyc_loop *loop;
	int (*init)(void *);
	int rc;

	memcpy(&init, &symbol, sizeof symbol);
	if (init(native) != 0)
		_exit(8);
	rc = anyc_loop_attach(&loop, ops->backend(), native);
	fprintf(stderr, "%d %s\n", rc, anyc_error_detail(rc));
	if (rc != ANYC_ECONFLICT || loop != NULL)
		_exit(9);
}

static int nap_and_count(void *arg)
{
	int rc = anyc_sleep(MS(1));

	++*(int *)arg;
	return rc;
}

/* The event module takes its functions from the copy that made the base. */
static void attach_a_strange_base(void)
{
	const struct host_ops *ops = host_find("libevent")->ops;
	void *copy = load_copy_of("event_base_new"), *base, *symbol;
	struct anyc_loop *loop;
	void *(*make)(void);
	int (*dispatch)(void *);
	void (*free_it)(void *);
	int n = 0;

	symbol = dlsym(copy, "event_base_new");
	memcpy(&make, &symbol, sizeof symbol);
	symbol = dlsym(copy, "event_base_dispatch");
	memcpy(&dispatch, &symbol, sizeof symbol);
	symbol = dlsym(copy, "event_base_free");
	memcpy(&free_it, &symbol, sizeof symbol);
	base = make();
	CHECK_OK(anyc_loop_attach(&loop, ops->backend(), base));
	CHECK_OK(anyc_loop_spawn(loop, nap_and_count, &n, NULL, NULL));
	CHECK_INT(dispatch(base), >=, 0);
	CHECK_INT(n, ==, 1);
	CHECK_OK(anyc_loop_detach(loop));
	free_it(base);
}

ANYC_TEST_MAIN(detect, r37_the_right_copy_of_the_loop, "libuv,libevent")
{
	struct corpse c;

	corpse_make(&c, anyc_test_row_is("libuv") ? attach_a_strange_uv : attach_a_strange_base);
	CHECK_LIVED(&c);
	if (!anyc_test_row_is("libuv"))
		return;
	CHECK_HAS(c.text, "anyc-copy-");
	CHECK_HAS(c.text, "libuv");
}

/* ----------------------------------------------------------------------------------- rule 39 */

static const char *another_row(void)
{
	if (anyc_test_row_is("libuv"))
		return "libevent";
	return anyc_test_row_is("libevent") ? "libev" : "libuv";
}

static void look_then_stop(void *arg)
{
	look(arg);
}

/* Two kinds on one thread: in a host's callback the stack tells which of them runs. */
ANYC_TEST_MAIN(detect, r39_two_kinds_on_one_thread, ANYC_ROWS_NATIVE)
{
	struct host a, b;
	struct seen in_a = { 0 }, in_b = { 0 }, outside = { 0 };

	CHECK_OK(host_make(&a, anyc_test_row()));
	CHECK_OK(host_make(&b, another_row()));
	CHECK_OK(host_attach(&a));
	CHECK_OK(host_attach(&b));
	CHECK_OK(a.ops->soon(&a, look_then_stop, &in_a));
	CHECK_OK(b.ops->soon(&b, look_then_stop, &in_b));
	host_run(&a);
	host_run(&b);
	CHECK_STR(in_a.library, a.ops->library);
	CHECK(in_a.loop == a.loop);
	CHECK_STR(in_b.library, b.ops->library);
	CHECK(in_b.loop == b.loop);
	look(&outside);
	CHECK(outside.library == NULL);
	CHECK_RC(anyc_checkpoint(), ANYC_ENOTASK);
	CHECK_OK(host_detach(&b));
	CHECK_STR(anyc_current_library(), a.ops->library);
	CHECK_OK(host_detach(&a));
	CHECK_INT(host_destroy(&b), ==, 0);
	CHECK_INT(host_destroy(&a), ==, 0);
}

ANYC_TEST_MAIN(detect, r39_two_of_one_kind, ANYC_ROWS_NATIVE)
{
	struct host a, b;
	struct seen in_a = { .library = "x" }, task = { 0 };

	CHECK_OK(host_make(&a, anyc_test_row()));
	CHECK_OK(host_make(&b, anyc_test_row()));
	CHECK_OK(host_attach(&a));
	CHECK_OK(host_attach(&b));
	CHECK_OK(a.ops->soon(&a, look_then_stop, &in_a));
	CHECK_OK(anyc_loop_spawn(a.loop, look_in_task, &task, NULL, NULL));
	host_run(&a);
	/* In the host's callback nobody can tell; in a task it is exact. */
	CHECK(in_a.done && in_a.loop == NULL);
	CHECK(task.loop == a.loop);
	CHECK_OK(host_detach(&b));
	CHECK_OK(host_detach(&a));
	CHECK_INT(host_destroy(&b), ==, 0);
	CHECK_INT(host_destroy(&a), ==, 0);
}

struct pair {
	struct host *other;
	struct seen before, inner, after;
};

static int run_the_other(void *arg)
{
	struct pair *p = arg;

	look(&p->before);
	host_run(p->other);
	look(&p->after);
	return 0;
}

/* A task of one loop runs another loop: inside its tasks that one is seen. */
ANYC_TEST_MAIN(detect, r39_a_loop_inside_another, ANYC_ROWS_NATIVE)
{
	struct host a, b;
	struct pair p = { .other = &b };

	CHECK_OK(host_make(&a, anyc_test_row()));
	CHECK_OK(host_make(&b, another_row()));
	CHECK_OK(host_attach(&a));
	CHECK_OK(host_attach(&b));
	CHECK_OK(anyc_loop_spawn(b.loop, look_in_task, &p.inner, NULL, NULL));
	CHECK_OK(anyc_loop_spawn(a.loop, run_the_other, &p, NULL, NULL));
	host_run(&a);
	CHECK(p.before.loop == a.loop);
	CHECK(p.inner.loop == b.loop);
	CHECK_STR(p.inner.library, b.ops->library);
	CHECK(p.after.loop == a.loop);
	CHECK_STR(p.after.library, a.ops->library);
	CHECK_OK(host_detach(&b));
	CHECK_OK(host_detach(&a));
	CHECK_INT(host_destroy(&b), ==, 0);
	CHECK_INT(host_destroy(&a), ==, 0);
}

/*
 * Different loops on different threads at once.  They are all made before any is closed: libuv
 * closes descriptors behind ThreadSanitizer's back, which then sees a race for their numbers.
 */
struct detector {
	const char *row;
	pthread_barrier_t *barrier;
	struct seen seen;
	struct anyc_loop *loop;
	int rc;
};

static int detect_in_host(struct detector *d, struct host *h)
{
	int rc = host_attach(h);

	if (rc != 0)
		return rc;
	d->loop = h->loop;
	rc = anyc_loop_spawn(h->loop, look_in_task, &d->seen, NULL, NULL);
	host_run(h);
	return rc != 0 ? rc : host_detach(h);
}

static void *detect_in_thread(void *arg)
{
	struct detector *d = arg;
	struct host h;

	d->rc = host_make(&h, d->row);
	pthread_barrier_wait(d->barrier);
	if (h.ops->run_task != NULL)
		d->rc = h.ops->run_task(&h, look_in_task, &d->seen);
	else
		d->rc = detect_in_host(d, &h);
	anyc_thread_done();
	pthread_barrier_wait(d->barrier);
	host_destroy(&h);
	return NULL;
}

ANYC_TEST_MAIN(detect, r39_loops_on_several_threads, ANYC_ROWS_LOOP)
{
	/* On a backend that is tested alone there is no other native loop. */
	const char *other = host_find(another_row()) != NULL ? another_row() : "anyc";
	const char *rows[4] = { anyc_test_row(), other, "anyc", anyc_test_row() };
	pthread_barrier_t barrier;
	struct detector d[4];
	pthread_t thread[4];

	CHECK_INT(pthread_barrier_init(&barrier, NULL, 4), ==, 0);
	for (int i = 0; i < 4; i++) {
		d[i] = (struct detector){ .row = rows[i], .barrier = &barrier };
		CHECK_INT(pthread_create(&thread[i], NULL, detect_in_thread, &d[i]), ==, 0);
	}
	for (int i = 0; i < 4; i++) {
		CHECK_INT(pthread_join(thread[i], NULL), ==, 0);
		CHECK_OK(d[i].rc);
		CHECK_STR(d[i].seen.library, host_find(rows[i])->ops->library);
		CHECK(d[i].loop == NULL || d[i].seen.loop == d[i].loop);
	}
	CHECK(d[0].seen.loop != d[3].seen.loop || d[0].loop == NULL);
	pthread_barrier_destroy(&barrier);
}

ANYC_TEST(detect, r39_explain_names_its_limits)
{
	char text[4000], part[10];
	size_t n = anyc_explain(text, sizeof text);

	CHECK_INT(n, ==, strlen(text));
	CHECK_HAS(text, "fibers");
	CHECK_HAS(text, "unwind");
	CHECK_HAS(text, "static");
	CHECK_HAS(text, anyc_current_library() != NULL ? anyc_current_library() : "none");
	CHECK_INT(anyc_explain(NULL, 0), ==, n);
	CHECK_INT(anyc_explain(part, sizeof part), ==, n);
	CHECK_INT(strlen(part), ==, sizeof part - 1);
	CHECK(strncmp(part, text, sizeof part - 1) == 0);
}

/* ------------------------------------------------------------------------------- rules 46, 47 */

static int name_the_library(void *arg)
{
	*(const char **)arg = anyc_current_library();
	return 0;
}

ANYC_TEST_MAIN(detect, r46_the_default_is_the_engine_alone, "anyc")
{
	struct anyc_run_options empty = { 0 }, named = { .backend = "anyc" };
	const char *name = NULL;

	CHECK_OK(anyc_run(NULL, name_the_library, &name));
	CHECK_STR(name, "anyc");
	name = NULL;
	CHECK_OK(anyc_run(&empty, name_the_library, &name));
	CHECK_STR(name, "anyc");
	name = NULL;
	CHECK_OK(anyc_run(&named, name_the_library, &name));
	CHECK_STR(name, "anyc");
}

ANYC_TEST(detect, r47_overrides_nest)
{
	enum { DEEP = 7 };
	static const char *const names[DEEP + 1] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	const char *before = anyc_current_library();

	CHECK_RC(anyc_detect_pop(), ANYC_EMISUSE);
	for (int i = 0; i < DEEP; i++) {
		CHECK_OK(anyc_detect_push(names[i]));
		CHECK_STR(anyc_current_library(), names[i]);
	}
	CHECK_RC(anyc_detect_push(names[DEEP]), ANYC_EOVERFLOW);
	for (int i = DEEP; i-- > 0;) {
		CHECK_STR(anyc_current_library(), names[i]);
		CHECK_OK(anyc_detect_pop());
	}
	CHECK_STR(anyc_current_library(), before);
	CHECK_RC(anyc_detect_pop(), ANYC_EMISUSE);
}

ANYC_TEST_MAIN(detect, r47_overrides_of_a_thread, "none")
{
	CHECK_OK(anyc_detect_push("outside of all tasks"));
	CHECK_STR(anyc_current_library(), "outside of all tasks");
	CHECK_OK(anyc_detect_pop());
	CHECK(anyc_current_library() == NULL);
}

/* -------------------------------------------------------------------------------------- r21 */

/* The object that holds an address was linked -z nodelete. */
static bool is_nodelete(const void *address)
{
	Dl_info info;
	struct link_map *map;

	CHECK(dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0);
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_FLAGS_1)
			return (d->d_un.d_val & DF_1_NODELETE) != 0;
	}
	return false;
}

ANYC_TEST_MAIN(detect, r21_the_libraries_stay_loaded, ANYC_ROWS_ALL)
{
	const struct host_ops *ops = host_find(anyc_test_row())->ops;
	const void *address = dlsym(RTLD_DEFAULT, "anyc_run_sized");

	CHECK(address != NULL);
	CHECK(is_nodelete(address));
	if (ops->is_module)
		CHECK(is_nodelete(ops->backend()));
}

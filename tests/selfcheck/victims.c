/* SPDX-License-Identifier: MIT */
/*
 * Tests that must fail, each by its name, and a few that must pass: tests/selfcheck/check_kit runs
 * this program with both runners.  A suite says what becomes of its tests: "passes", or "fails".
 */
#include <anyc/anyc.h>
#include <anyc/criterion.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* ------------------------------------------------------------------------- left behind */

ANYC_TEST(fails, leaves_a_descriptor)
{
	ANYC_CHECK_INT(open("/dev/null", O_RDONLY | O_CLOEXEC), >=, 0);
}

ANYC_TEST(fails, leaves_a_block)
{
	static struct anyc_reader reader;
	struct anyc_stream *a, *b;

	ANYC_CHECK_OK(anyc_test_pair(&a, &b, NULL));
	anyc_reader_init(&reader, a);
	ANYC_CHECK_OK(anyc_reader_feed(&reader, "x", 1));
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(fails, leaves_an_end_of_a_pair)
{
	struct anyc_stream *a, *b;

	ANYC_CHECK_OK(anyc_test_pair(&a, &b, NULL));
	anyc_stream_free(a);
}

ANYC_TEST(fails, leaves_a_stream)
{
	struct anyc_listener *l;
	struct anyc_address address;
	struct anyc_stream *s;
	char port[8];

	ANYC_CHECK_OK(anyc_tcp_listen(&l, "127.0.0.1", "0", NULL));
	ANYC_CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &address,
					      sizeof address));
	snprintf(port, sizeof port, "%u", anyc_address_port(&address) & 0xffffU);
	ANYC_CHECK_OK(anyc_tcp_connect(&s, "127.0.0.1", port, NULL));
	anyc_listener_free(l);
	ANYC_CHECK(s != NULL);
}

static struct anyc_group open_group;

ANYC_TEST(fails, leaves_a_group_open)
{
	anyc_group_enter(&open_group, NULL);
}

static int sleeper(void *arg)
{
	(void)arg;
	return anyc_sleep_forever();
}

ANYC_TEST(fails, leaves_a_task, .rows = "loop")
{
	ANYC_CHECK_OK(anyc_loop_spawn(anyc_current_loop(), sleeper, NULL, NULL, NULL));
}

#if defined(__SANITIZE_ADDRESS__)
/* Several, as the address of the last one may still lie on a stack. */
ANYC_TEST(fails, leaves_memory_of_malloc)
{
	for (int i = 0; i < 50; i++) {
		volatile char *lost = malloc(77);

		ANYC_CHECK(lost != NULL);
	}
}
#endif

/* ------------------------------------------------------------------------ checks that fail */

static int fail_check(void *arg)
{
	(void)arg;
	ANYC_CHECK_RC(anyc_event_wait(arg), ANYC_EBUSY);
	return 0;
}

ANYC_TEST(fails, a_check_in_a_task)
{
	struct anyc_event event = {0};
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	ANYC_CHECK_OK(anyc_spawn(&g, fail_check, &event));
	ANYC_CHECK_OK(anyc_event_set(&event));
	ANYC_CHECK_OK(anyc_group_leave(&g, 0));
}

static int fail_assert(void *arg)
{
	cr_assert_eq(1, *(int *)arg);
	return 0;
}

ANYC_TEST(fails, an_assert_in_a_task)
{
	struct anyc_group g;
	int two = 2;

	anyc_group_enter(&g, NULL);
	ANYC_CHECK_OK(anyc_spawn(&g, fail_assert, &two));
	ANYC_CHECK_OK(anyc_sleep_forever());
	ANYC_CHECK_OK(anyc_group_leave(&g, 0));
}

static void *fail_in_thread(void *arg)
{
	(void)arg;
	ANYC_CHECK_INT(1, ==, 2);
	return NULL;
}

static void *fail_assert_in_thread(void *arg)
{
	cr_assert_null(arg);
	return NULL;
}

static void run_threads(void *(*fn)(void *))
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		ANYC_CHECK_INT(pthread_create(&thread[i], NULL, fn, thread), ==, 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

ANYC_TEST(fails, a_check_in_threads)
{
	run_threads(fail_in_thread);
}

ANYC_TEST(fails, an_assert_in_threads)
{
	run_threads(fail_assert_in_thread);
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void fail_in_callback(void *arg, int rc, void *copy)
{
	(void)arg;
	(void)copy;
	ANYC_CHECK_RC(rc, 1);
}

ANYC_TEST(fails, a_check_in_a_callback, .rows = "loop")
{
	ANYC_CHECK_OK(anyc_loop_spawn(anyc_current_loop(), do_nothing, NULL, fail_in_callback,
				      NULL));
	ANYC_CHECK_OK(anyc_sleep(10 * ANYC_MILLISECOND));
}

ANYC_TEST(fails, an_assert_outside, .outside = true)
{
	cr_assert(anyc_current_loop() != NULL);
}

ANYC_TEST(fails, a_text_and_a_report)
{
	struct anyc_lock lock = {0};

	ANYC_CHECK_RC(anyc_lock_release(&lock), ANYC_EMISUSE);
	ANYC_CHECK_STR("have", "want");
}

/* ------------------------------------------------------------------------- ends of its own */

ANYC_TEST(fails, hangs, .deadline = 1)
{
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	ANYC_CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	/* A timer, so that a plain thread has something to wait for. */
	ANYC_CHECK_OK(anyc_sleep(ANYC_HOUR));
	ANYC_CHECK_OK(anyc_group_leave(&g, 0));
}

ANYC_TEST(fails, spins, .deadline = 1)
{
	for (volatile int on = 1; on;)
		;
}

ANYC_TEST(fails, crashes)
{
	struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	raise(SIGSEGV);
}

ANYC_TEST(fails, exits_by_itself)
{
	exit(0);
}

ANYC_TEST(fails, exits_at_once)
{
	_exit(0);
}

/* ------------------------------------------------------------------- set-up and tear-down */

static int steps;

static void set_up(void)
{
	ANYC_CHECK_INT(steps++, ==, 0);
}

static void tear_down(void)
{
	ANYC_CHECK_INT(steps, ==, 2);
}

static void fail(void)
{
	ANYC_FAIL("%s", "as asked");
}

ANYC_TEST(passes, set_up_body_and_tear_down, .set_up = set_up, .tear_down = tear_down)
{
	ANYC_CHECK_INT(steps++, ==, 1);
}

ANYC_TEST(fails, in_set_up, .set_up = fail)
{
}

ANYC_TEST(fails, in_tear_down, .tear_down = fail)
{
}

ANYC_TEST(fails, tear_down_is_not_left_out, .set_up = set_up, .tear_down = tear_down)
{
}

/* -------------------------------------------------------------------------------- the rows */

ANYC_TEST(passes, on_every_row)
{
	const char *library = anyc_current_library();

	ANYC_CHECK_STR(library != NULL ? library : "none", anyc_test_row());
}

ANYC_TEST(passes, on_loops, .rows = "loop")
{
	ANYC_CHECK(anyc_current_loop() != NULL);
}

ANYC_TEST(passes, on_native_loops, .rows = "native")
{
	ANYC_CHECK(anyc_loop_native(anyc_current_loop()) != NULL);
}

ANYC_TEST(passes, on_two, .rows = "none,libuv")
{
	ANYC_CHECK(anyc_test_row_is("none") || anyc_test_row_is("libuv"));
}

ANYC_TEST(passes, on_none_of_this_name, .rows = "lib")
{
	ANYC_FAIL("the row %s is not called lib", anyc_test_row());
}

/* The process's clock counts, not the loop's. */
ANYC_TEST(passes, a_long_virtual_time, .rows = "sim", .deadline = 1)
{
	ANYC_CHECK_OK(anyc_sleep(ANYC_HOUR));
}

/* SPDX-License-Identifier: MIT */
/* Signals: rule 43's cancellation from a handler, tokens that cancel, and the minimal wait. */
#include "conform.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------ from a handler */

static void cancel_from_handler(int number)
{
	(void)number;
	anyc_cancel_from_signal();
}

/* A signal that will come, and the token that lets a sim know that something may. */
struct late_signal {
	timer_t timer;
	struct anyc_token *token;
};

/* Sends SIGUSR1 to this thread in ns nanoseconds, to be handled by handler. */
static struct late_signal signal_later(int64_t ns, void (*handler)(int number))
{
	struct anyc_loop *loop = anyc_current_loop();
	struct sigaction action = { .sa_handler = handler };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec when = { .it_value = { ns / ANYC_SECOND, ns % ANYC_SECOND } };
	struct late_signal late = { .token = loop != NULL ? anyc_loop_token(loop) : NULL };

	sigemptyset(&action.sa_mask);
	CHECK_INT(sigaction(SIGUSR1, &action, NULL), ==, 0);
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	CHECK_INT(timer_create(CLOCK_MONOTONIC, &event, &late.timer), ==, 0);
	CHECK_INT(timer_settime(late.timer, 0, &when, NULL), ==, 0);
	return late;
}

static void signal_done(struct late_signal *late)
{
	timer_delete(late->timer);
	anyc_token_unref(late->token);
}

/* All tasks of the loop; in a plain thread the outermost open scope. */
ANYC_TEST(signal, r43_cancelling_from_a_signal)
{
	int64_t start = clock_now();
	struct late_signal late = signal_later(MS(5), cancel_from_handler);
	struct anyc_group g;
	int rc;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, sleeper, NULL));
	rc = anyc_sleep(60 * ANYC_SECOND);
	CHECK_RC(rc, ANYC_ECANCELED);
	/* A sim's clock stands still while code runs; the signal's does not. */
	CHECK_TOOK(start, anyc_test_row_is("sim") ? 0 : MS(5), MS(5));
	rc = anyc_group_leave(&g, rc);
	CHECK_RC(rc, ANYC_ECANCELED);
	CHECK(anyc_has_pending_cancellation());
	signal_done(&late);
}

static int wait_for_the_signal(void *arg)
{
	struct late_signal late = signal_later(MS(20), cancel_from_handler);
	int64_t *took = arg, start = clock_now();
	int rc = anyc_sleep(60 * ANYC_SECOND);

	*took = clock_now() - start;
	signal_done(&late);
	return rc;
}

ANYC_TEST_MAIN(signal, r43_a_run_ends_by_a_signal, ANYC_ROWS_LOOP)
{
	struct anyc_run_options options = { .backend = anyc_test_row() };
	int64_t took = 0;

	CHECK_RC(anyc_run(&options, wait_for_the_signal, &took), ANYC_ETASKCANCELED);
	CHECK_INT(took, <, 30 * ANYC_SECOND);
}

/* No scope is open: the call that waits; and the thread is as before. */
ANYC_TEST_MAIN(signal, r43_the_wait_of_a_plain_thread, "none")
{
	struct anyc_scope outer, inner;
	struct late_signal late;

	CHECK_OK(anyc_sleep(MS(1))); /* the thread has its root task now */
	late = signal_later(MS(5), cancel_from_handler);
	CHECK_RC(anyc_sleep(60 * ANYC_SECOND), ANYC_ECANCELED);
	CHECK_OK(anyc_checkpoint());
	CHECK_OK(anyc_sleep(MS(1)));
	signal_done(&late);
	late = signal_later(MS(5), cancel_from_handler);
	anyc_scope_enter(&outer, NULL);
	anyc_scope_enter(&inner, NULL);
	CHECK_RC(anyc_sleep(60 * ANYC_SECOND), ANYC_ECANCELED);
	CHECK_RC(anyc_scope_leave(&inner, ANYC_ECANCELED), ANYC_ECANCELED);
	CHECK(!anyc_scope_cancel_called(&inner));
	CHECK_OK(anyc_scope_leave(&outer, ANYC_ECANCELED));
	CHECK(anyc_scope_cancelled_caught(&outer));
	signal_done(&late);
}

/* A thread that has never heard of anyc. */
ANYC_TEST_MAIN(signal, r43_nothing_to_cancel, "none")
{
	anyc_cancel_from_signal();
	CHECK_OK(anyc_sleep(MS(1)));
}

static void *cancel_by_token(void *arg)
{
	anyc_token_cancel(arg);
	anyc_token_unref(arg);
	anyc_thread_done();
	return NULL;
}

ANYC_TEST_ON(signal, r43_a_token_cancels_its_loop, ANYC_ROWS_LOOP)
{
	struct anyc_token *token = anyc_loop_token(anyc_current_loop());
	pthread_t thread;
	int64_t start = clock_now();

	CHECK(token != NULL);
	CHECK_INT(pthread_create(&thread, NULL, cancel_by_token, token), ==, 0);
	CHECK_RC(anyc_sleep(60 * ANYC_SECOND), ANYC_ECANCELED);
	CHECK_TOOK(start, 0, MS(5));
	CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

/* ------------------------------------------------------------------------------ waiting */

static int usr[2] = { SIGUSR1, SIGUSR2 };

static int send_signal(void *arg)
{
	CHECK_INT(kill(getpid(), *(const int *)arg), ==, 0);
	return 0;
}

ANYC_TEST(signal, b172_a_signal_is_waited_for)
{
	struct anyc_group g;
	struct anyc_scope s;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_signal, &usr[1]));
	CHECK_INT(anyc_signal_wait(usr, 2), ==, SIGUSR2);
	CHECK_OK(anyc_group_leave(&g, 0));
	/* Those that come between two calls are kept, one of each. */
	CHECK_INT(kill(getpid(), SIGUSR1), ==, 0);
	CHECK_INT(kill(getpid(), SIGUSR1), ==, 0);
	CHECK_INT(kill(getpid(), SIGUSR2), ==, 0);
	CHECK_INT(anyc_signal_wait(&usr[1], 1), ==, SIGUSR2);
	CHECK_INT(anyc_signal_wait(usr, 2), ==, SIGUSR1);
	anyc_scope_enter_timeout(&s, MS(3));
	CHECK_RC(anyc_scope_leave(&s, anyc_signal_wait(usr, 2)), ANYC_ETIMEDOUT);
	anyc_signal_restore(usr, 2);
}

struct signal_waiter {
	int got;
};

static int wait_for_usr1(void *arg)
{
	struct signal_waiter *w = arg;

	w->got = anyc_signal_wait(usr, 1);
	return w->got < 0 ? w->got : 0;
}

/* A wait that began, and was cancelled: from here on the handler is anyc's. */
static void begin_to_wait(void)
{
	struct anyc_group g;
	struct signal_waiter w = { 0 };

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, wait_for_usr1, &w));
	SETTLE();
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(w.got, ANYC_ECANCELED);
}

ANYC_TEST(signal, b172_a_cancelled_wait_takes_no_signal)
{
	struct anyc_scope s;

	begin_to_wait();
	CHECK_INT(kill(getpid(), SIGUSR1), ==, 0);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	CHECK_RC(anyc_signal_wait(usr, 2), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_INT(anyc_signal_wait(usr, 2), ==, SIGUSR1);
	anyc_signal_restore(usr, 2);
}

/* Two were told and one was cancelled before it heard: the other has heard it for both. */
ANYC_TEST(signal, b172_heard_by_another)
{
	struct signal_waiter w[2] = { { 0 }, { 0 } };
	struct anyc_group g;

	for (int cancelled = 0; cancelled < 2; cancelled++) {
		struct anyc_handle h[2];
		struct anyc_scope s;

		anyc_group_enter(&g, NULL);
		for (int i = 0; i < 2; i++) {
			struct anyc_spawn_options o = { .handle = &h[i] };

			CHECK_OK(anyc_spawn_opts(&g, wait_for_usr1, &w[i], &o));
		}
		SETTLE();
		CHECK_INT(kill(getpid(), SIGUSR1), ==, 0);
		CHECK_OK(anyc_handle_cancel(&h[cancelled], NULL));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(w[cancelled].got, ANYC_ECANCELED);
		CHECK_INT(w[!cancelled].got, ==, SIGUSR1);
		anyc_scope_enter_timeout(&s, MS(2));
		CHECK_RC(anyc_scope_leave(&s, anyc_signal_wait(usr, 1)), ANYC_ETIMEDOUT);
	}
	anyc_signal_restore(usr, 1);
}

ANYC_TEST(signal, b172_what_cannot_be_waited_for)
{
	int kill_ = SIGKILL, zero = 0, large = 1000;

	CHECK_RC(anyc_signal_wait(usr, 0), ANYC_EINVAL);
	CHECK_RC(anyc_signal_wait(&kill_, 1), ANYC_EINVAL);
	CHECK_RC(anyc_signal_wait(&zero, 1), ANYC_EINVAL);
	CHECK_RC(anyc_signal_wait(&large, 1), ANYC_EINVAL);
}

static volatile sig_atomic_t heard;

static void hear(int number)
{
	(void)number;
	heard++;
}

ANYC_TEST(signal, b172_restore_puts_the_handler_back)
{
	struct sigaction mine = { .sa_handler = hear }, now;

	sigemptyset(&mine.sa_mask);
	CHECK_INT(sigaction(SIGUSR1, &mine, NULL), ==, 0);
	begin_to_wait();
	CHECK_INT(sigaction(SIGUSR1, NULL, &now), ==, 0);
	CHECK(now.sa_handler != hear);
	anyc_signal_restore(usr, 2);
	CHECK_INT(sigaction(SIGUSR1, NULL, &now), ==, 0);
	CHECK(now.sa_handler == hear);
	heard = 0;
	CHECK_INT(raise(SIGUSR1), ==, 0);
	CHECK_INT(heard, ==, 1);
}

/* Unheard when the handlers go back: raised then. */
ANYC_TEST(signal, b172_restore_raises_what_was_kept)
{
	struct sigaction mine = { .sa_handler = hear };

	sigemptyset(&mine.sa_mask);
	CHECK_INT(sigaction(SIGUSR1, &mine, NULL), ==, 0);
	begin_to_wait();
	CHECK_INT(raise(SIGUSR1), ==, 0);
	heard = 0;
	anyc_signal_restore(usr, 2);
	CHECK_INT(heard, ==, 1);
	anyc_signal_restore(usr, 2);
	CHECK_INT(heard, ==, 1);
}

/* All who wait hear it. */
ANYC_TEST(signal, b172_two_tasks_hear_one_signal)
{
	struct anyc_group g;
	struct signal_waiter w[2] = { 0 };

	anyc_group_enter(&g, NULL);
	for (int i = 0; i < 2; i++)
		CHECK_OK(anyc_spawn(&g, wait_for_usr1, &w[i]));
	SETTLE();
	CHECK_INT(kill(getpid(), SIGUSR1), ==, 0);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(w[0].got, ==, SIGUSR1);
	CHECK_INT(w[1].got, ==, SIGUSR1);
	anyc_signal_restore(usr, 2);
}

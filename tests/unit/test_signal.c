/* SPDX-License-Identifier: MIT */
/* anyc_signal_wait() and anyc_signal_restore(): kept, chained, shared, given back. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <anyc/anyc.h>

static const int usr[] = { SIGUSR1, SIGUSR2 };
static volatile sig_atomic_t heard_before;

static void nothing_left(void)
{
	struct anyc_memory_stats s;

	anyc_signal_restore(usr, 2);
	cr_assert_eq(anyc_thread_done(), 0);
	anyc_memory_stats(&s);
	cr_assert_eq(s.blocks, 0);
}

TestSuite(os_signal, .fini = nothing_left, .timeout = 20);

static void count(int number)
{
	(void)number;
	heard_before++;
}

static void handle_with(void (*fn)(int), int number)
{
	struct sigaction a = { .sa_handler = fn };

	sigaction(number, &a, NULL);
}

static void (*handler_of(int number))(int)
{
	struct sigaction a;

	sigaction(number, NULL, &a);
	return a.sa_handler;
}

static int raise_main(void *arg)
{
	return raise(*(int *)arg);
}

/* Raises it once this task waits. */
static int wait_for(int raised)
{
	struct anyc_group g;
	int rc, left;

	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, raise_main, &raised);
	rc = anyc_signal_wait(usr, 2);
	left = anyc_group_leave(&g, 0);
	cr_assert_eq(left, 0);
	return rc;
}

static int wait_twice(void *arg)
{
	(void)arg;
	cr_assert_eq(wait_for(SIGUSR2), SIGUSR2);
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	return 0;
}

Test(os_signal, waits_in_a_loop)
{
	cr_assert_eq(anyc_run(NULL, wait_twice, NULL), 0);
}

/* The second with nothing else in the thread: ppoll(2) is interrupted, and goes on. */
Test(os_signal, waits_in_a_plain_thread)
{
	static const int alarms[] = { SIGALRM };
	const struct itimerval every = { { 0, 10000 }, { 0, 10000 } },
			       never = { { 0, 0 }, { 0, 0 } };

	cr_assert_eq(wait_twice(NULL), 0);
	handle_with(SIG_IGN, SIGALRM);
	setitimer(ITIMER_REAL, &every, NULL);
	cr_assert_eq(anyc_signal_wait(alarms, 1), SIGALRM);
	cr_assert_eq(anyc_signal_wait(alarms, 1), SIGALRM);
	setitimer(ITIMER_REAL, &never, NULL);
	anyc_signal_restore(alarms, 1);
	cr_assert_eq(handler_of(SIGALRM), SIG_IGN);
}

Test(os_signal, keeps_one_of_each_between_waits)
{
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR1);
	cr_assert_eq(anyc_signal_wait(usr, 2), SIGUSR1);
	cr_assert_eq(anyc_signal_wait(usr, 2), SIGUSR2);
	cr_assert_eq(wait_for(SIGUSR2), SIGUSR2);
}

Test(os_signal, the_handler_before_is_called_and_comes_back)
{
	handle_with(count, SIGUSR1);
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	cr_assert_eq(heard_before, 1);
	raise(SIGUSR1);
	cr_assert_eq(heard_before, 2);
	anyc_signal_restore(usr, 2); /* raises what nobody heard */
	cr_assert_eq(heard_before, 3);
	cr_assert_eq(handler_of(SIGUSR1), count);
	cr_assert_eq(handler_of(SIGUSR2), SIG_DFL);
	anyc_signal_restore(usr, 2);
	cr_assert_eq(heard_before, 3);
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	cr_assert_eq(heard_before, 4);
}

Test(os_signal, a_handler_put_over_ours_stays)
{
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	handle_with(count, SIGUSR1);
	anyc_signal_restore(usr, 2);
	cr_assert_eq(handler_of(SIGUSR1), count);
	handle_with(SIG_DFL, SIGUSR1);
}

static struct sigaction below;

static void chain(int number, siginfo_t *info, void *context)
{
	heard_before++;
	below.sa_sigaction(number, info, context);
}

Test(os_signal, two_handlers_that_chain_to_each_other_end)
{
	struct sigaction a = { .sa_sigaction = chain, .sa_flags = SA_SIGINFO };

	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	sigaction(SIGUSR1, &a, &below);
	anyc_signal_restore(usr, 2);
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1); /* ours is now over and under it */
	cr_assert_eq(heard_before, 1);
	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	cr_assert_eq(heard_before, 2);
	anyc_signal_restore(usr, 2);
	handle_with(SIG_DFL, SIGUSR1);
}

Test(os_signal, a_cancelled_wait_took_nothing)
{
	struct anyc_scope s;
	int rc;

	anyc_scope_enter_timeout(&s, ANYC_MILLISECOND);
	rc = anyc_signal_wait(usr, 2);
	cr_assert_eq(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	raise(SIGUSR1);
	anyc_scope_enter_timeout(&s, 0);
	rc = anyc_signal_wait(usr, 2);
	cr_assert_eq(anyc_scope_leave(&s, rc), ANYC_ETIMEDOUT);
	cr_assert_eq(anyc_signal_wait(usr, 2), SIGUSR1);
}

Test(os_signal, what_cannot_be_waited_for_is_refused)
{
	static const int bad[] = { 0, -1, 65, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGFPE };
	size_t i;

	cr_assert_eq(anyc_signal_wait(usr, 0), ANYC_EINVAL);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(anyc_signal_wait(&bad[i], 1), ANYC_EINVAL);
	cr_assert_lt(anyc_signal_wait((const int[]){ 32 }, 1), 0, "libc's own");
	anyc_signal_restore(bad, sizeof bad / sizeof *bad);
}

/* ---------------------------------------------------------------------------------- several */

#define WAITERS 64

static int wait_one(void *arg)
{
	int rc = anyc_signal_wait(usr, 1);

	(void)arg;
	return rc == SIGUSR1 ? 0 : rc;
}

Test(os_signal, everybody_who_waits_is_told_and_the_table_has_an_end)
{
	struct anyc_group g;
	int i;

	anyc_group_enter(&g, NULL);
	for (i = 0; i < WAITERS; i++)
		anyc_spawn(&g, wait_one, NULL);
	cr_assert_eq(anyc_checkpoint(), 0);
	cr_assert_eq(anyc_signal_wait(usr, 1), -EAGAIN);
	cr_assert_not_null(strstr(anyc_error_detail(-EAGAIN), "64"));
	raise(SIGUSR1);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
}

static void *in_a_thread(void *arg)
{
	int *rc = arg;

	*rc = anyc_run(NULL, wait_one, NULL);
	anyc_thread_done();
	return NULL;
}

/* Signals storm while loops in several threads wait, end and are freed. */
Test(os_signal, loops_come_and_go_in_a_storm)
{
	pthread_t thread[4];
	int rc[4], round, i;

	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 4; i++)
			cr_assert_eq(pthread_create(&thread[i], NULL, in_a_thread, &rc[i]), 0);
		for (i = 0; i < 4; i++) {
			while (pthread_tryjoin_np(thread[i], NULL) != 0)
				kill(getpid(), SIGUSR1);
			cr_assert_eq(rc[i], 0);
		}
	}
	raise(SIGUSR1);
	cr_assert_eq(anyc_signal_wait(usr, 1), SIGUSR1);
}

Test(os_signal, a_child_hears_its_own_signals_only)
{
	struct anyc_group g;
	int status;
	pid_t child;

	cr_assert_eq(wait_for(SIGUSR1), SIGUSR1);
	child = fork();
	if (child == 0) {
		alarm(10);
		_exit(wait_for(SIGUSR2) == SIGUSR2 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	anyc_group_enter(&g, NULL);
	anyc_spawn(&g, wait_one, NULL);
	cr_assert_eq(anyc_checkpoint(), 0);
	cr_assert_eq(anyc_group_cancel(&g, NULL), 0);
	cr_assert_eq(anyc_group_leave(&g, 0), 0);
}

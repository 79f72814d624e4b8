/* SPDX-License-Identifier: MIT */
/*
 * Naming the point at which a scenario crashes or hangs: handlers for what ends a process, and a
 * thread that waits for the end of the point.
 *
 * Rule: a handler only writes text that was ready before, and then lets the signal do its work.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <anyc/time.h>

#include "fault.h"

static const int deadly[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
#define DEADLY (sizeof deadly / sizeof deadly[0])

/* Two texts by turns, so that what a signal handler reads is whole. */
static char texts[2][200];
static char events[2][200];
static _Atomic(const char *) event;
static _Atomic(const char *) current;
static atomic_ulong points;

static struct {
	pthread_t thread;
	bool running, over; /* over: under the lock */
	pthread_mutex_t lock;
	pthread_cond_t end;
	int64_t patience;
	struct sigaction before[DEADLY];
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

const char *anyc_fault_point(void)
{
	return atomic_load(&current);
}

static void say(const char *what)
{
	const char *point = atomic_load(&current);
	ssize_t n;

	if (point == NULL)
		return;
	anyc__fault_abandon(); /* write(2) may be interposed */
	n = write(2, "# fault: ", 9);
	n = write(2, point, strlen(point));
	if (atomic_load(&event) != NULL) {
		n = write(2, ", ", 2);
		n = write(2, event, strlen(event));
	}
	n = write(2, what, strlen(what));
	(void)n;
}

static void on_deadly(int signal_number)
{
	size_t i;

	say(": the process dies of a signal\n");
	for (i = 0; i < DEADLY; i++)
		if (deadly[i] == signal_number)
			sigaction(signal_number, &watch.before[i], NULL);
	raise(signal_number); /* comes as soon as this handler returns */
}

static void *watch_main(void *arg)
{
	unsigned long seen = atomic_load(&points);
	struct timespec until;
	int rc = 0;

	(void)arg;
	pthread_mutex_lock(&watch.lock);
	while (!watch.over) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += (time_t)(watch.patience / ANYC_SECOND) + 1;
		do
			rc = pthread_cond_timedwait(&watch.end, &watch.lock, &until);
		while (rc == 0 && !watch.over);
		if (!watch.over && atomic_load(&points) == seen) {
			say(": it hangs\n");
			abort();
		}
		seen = atomic_load(&points);
	}
	pthread_mutex_unlock(&watch.lock);
	return NULL;
}

void anyc__fault_watch_begin(int64_t patience)
{
	struct sigaction action = { .sa_handler = on_deadly, .sa_flags = SA_ONSTACK };
	pthread_condattr_t attr;
	sigset_t all, before;
	size_t i;

	for (i = 0; i < DEADLY; i++)
		sigaction(deadly[i], &action, &watch.before[i]);
	watch.patience = patience;
	watch.over = false;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch.end, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	watch.running = pthread_create(&watch.thread, NULL, watch_main, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void anyc__fault_watch_point(const char *point)
{
	unsigned long n = atomic_fetch_add(&points, 1);

	atomic_store(&event, NULL);
	if (point == NULL) {
		atomic_store(&current, NULL);
		return;
	}
	snprintf(texts[n % 2], sizeof texts[0], "%s", point);
	atomic_store(&current, texts[n % 2]);
}

void anyc__fault_watch_event(const char *text)
{
	unsigned long n = atomic_load(&points);

	snprintf(events[n % 2], sizeof events[0], "%s", text);
	atomic_store(&event, events[n % 2]);
}

void anyc__fault_watch_end(void)
{
	size_t i;

	anyc__fault_watch_point(NULL);
	pthread_mutex_lock(&watch.lock);
	watch.over = true;
	pthread_cond_signal(&watch.end);
	pthread_mutex_unlock(&watch.lock);
	if (watch.running)
		pthread_join(watch.thread, NULL);
	pthread_cond_destroy(&watch.end);
	for (i = 0; i < DEADLY; i++)
		sigaction(deadly[i], &watch.before[i], NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Waiting for signals: handlers for the process, and tasks of any loop that wait.
 *
 * Rules
 *  - The handler takes no lock and allocates nothing.  It finds those who wait in a fixed table,
 *    marks the signal as got by each of them and writes to their engines' eventfds; if nobody
 *    waits for it, it is kept: one of each.  Then it calls the handler that was there before.
 *  - An entry is used by the handler only between its `users` count and `open`: who ends a wait
 *    closes the entry and then waits until no handler is inside it, so that no eventfd is written
 *    to after its engine has gone.  No signal interrupts the handler, so that is soon.
 *  - A signal that an entry got and its task did not hear is kept for the next wait, unless another
 *    task has heard it, or will.
 *  - A forked child does not write to its parent's eventfds.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <anyc/signal.h>

#include "core/fd.h"

#define SIGNALS 64
#define ENTRIES 64

static uint64_t bit_of(int signal)
{
	return UINT64_C(1) << (signal - 1);
}

/* --------------------------------------------------------------------------------- tables */

struct entry { /* one task that waits */
	atomic_int owner; /* the process whose task it is; 0: free */
	atomic_bool open; /* the rest is valid */
	atomic_int users; /* handlers that look at it */
	_Atomic(uint64_t) wanted;
	_Atomic(uint64_t) got;
	atomic_int event; /* the eventfd */
};
static struct entry entries[ENTRIES];
static _Atomic(uint64_t) kept; /* signals that nobody has heard yet */
static _Atomic(uint32_t) sent[SIGNALS + 1];  /* how often each came */
static _Atomic(uint32_t) heard[SIGNALS + 1]; /* how often it had, when a task last heard it */

static struct {
	struct sigaction before;
	_Atomic(void *) chaining; /* the context of the call to before that is under way */
	bool installed;
} actions[SIGNALS + 1];
static pthread_mutex_t actions_lock = PTHREAD_MUTEX_INITIALIZER;

/* -------------------------------------------------------------------------------- handler */

/* Whether the entry's task was told. */
static bool tell(struct entry *x, uint64_t bit, pid_t pid)
{
	const uint64_t one = 1;
	bool told = false;

	if (!atomic_load(&x->open))
		return false;
	atomic_fetch_add(&x->users, 1);
	if (atomic_load(&x->open) && atomic_load(&x->owner) == pid &&
	    (atomic_load(&x->wanted) & bit) != 0) {
		atomic_fetch_or(&x->got, bit);
		/* Full: a wake-up is on its way already. */
		ANYC_IGNORE(write(atomic_load(&x->event), &one, sizeof one));
		told = true;
	}
	atomic_fetch_sub(&x->users, 1);
	return told;
}

/* Two handlers that each call the one before must not call each other for ever. */
static void call_before(int signal, siginfo_t *info, void *context)
{
	const struct sigaction *before = &actions[signal].before;
	bool again = atomic_exchange(&actions[signal].chaining, context) == context;

	if (again)
		return;
	if ((before->sa_flags & SA_SIGINFO) != 0)
		before->sa_sigaction(signal, info, context);
	else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
		before->sa_handler(signal);
	atomic_store(&actions[signal].chaining, NULL);
}

static void handler(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	pid_t pid = getpid();
	bool told = false;
	unsigned i;

	atomic_fetch_add(&sent[signal], 1);
	for (i = 0; i < ENTRIES; i++)
		told |= tell(&entries[i], bit_of(signal), pid);
	if (!told)
		atomic_fetch_or(&kept, bit_of(signal));
	errno = saved;
	call_before(signal, info, context);
	errno = saved;
}

/* ----------------------------------------------------------------------------- installing */

/* Faults are not waited for: returning from their handler runs into them again. */
static bool can_wait_for(int signal)
{
	switch (signal) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
		return false;
	default:
		return signal >= 1 && signal <= SIGNALS;
	}
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handler;
}

/* Under the lock.  -errno */
static int install_one(int signal)
{
	struct sigaction ours, now;

	if (actions[signal].installed)
		return 0;
	if (sigaction(signal, NULL, &now) != 0)
		return -errno;
	if (is_ours(&now)) { /* somebody has put it back after our restore */
		actions[signal].installed = true;
		return 0;
	}
	actions[signal].before = now; /* before ours is there: the handler reads it */
	ours.sa_sigaction = handler;
	ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
	sigfillset(&ours.sa_mask);
	if (sigaction(signal, &ours, NULL) != 0)
		return -errno;
	actions[signal].installed = true;
	return 0;
}

static int install(const int *signals, size_t count)
{
	size_t i;
	int rc = 0;

	pthread_mutex_lock(&actions_lock);
	for (i = 0; i < count && rc == 0; i++)
		rc = install_one(signals[i]);
	pthread_mutex_unlock(&actions_lock);
	return rc;
}

/* Under the lock.  A handler that somebody has put over ours stays. */
static void restore_one(int signal)
{
	struct sigaction now;

	if (!actions[signal].installed)
		return;
	actions[signal].installed = false;
	if (sigaction(signal, NULL, &now) == 0 && is_ours(&now))
		sigaction(signal, &actions[signal].before, NULL);
}

void anyc_signal_restore(const int *signals, size_t count)
{
	int saved = errno;
	size_t i;

	for (i = 0; i < count; i++) {
		int signal = signals[i];

		if (!can_wait_for(signal))
			continue;
		pthread_mutex_lock(&actions_lock);
		restore_one(signal);
		pthread_mutex_unlock(&actions_lock);
		if ((atomic_fetch_and(&kept, ~bit_of(signal)) & bit_of(signal)) != 0)
			raise(signal);
	}
	errno = saved;
}

/* -------------------------------------------------------------------------------- entries */

/* An entry that a parent process had in use when it forked is free here. */
static bool entry_take(struct entry *x, int me)
{
	int owner = atomic_load(&x->owner);

	if (owner == me || !atomic_compare_exchange_strong(&x->owner, &owner, me))
		return false;
	if (owner != 0) {
		atomic_store(&x->open, false);
		atomic_store(&x->users, 0);
	}
	return true;
}

static struct entry *entry_open(uint64_t wanted, int event)
{
	int me = getpid();
	unsigned i;

	for (i = 0; i < ENTRIES; i++) {
		struct entry *x = &entries[i];

		if (!entry_take(x, me))
			continue;
		atomic_store(&x->wanted, wanted);
		atomic_store(&x->got, 0);
		atomic_store(&x->event, event);
		atomic_store(&x->open, true);
		return x;
	}
	return NULL;
}

/* A task has heard it, for all that were told. */
static void hear(int signal)
{
	atomic_store(&heard[signal], atomic_load(&sent[signal]));
	atomic_fetch_and(&kept, ~bit_of(signal));
}

/* Of a set of signals that a task got, those that came after somebody heard one last. */
static void keep_unheard(uint64_t set)
{
	int signal;

	for (signal = 1; set != 0; signal++, set >>= 1) {
		if ((set & 1) != 0 && atomic_load(&heard[signal]) != atomic_load(&sent[signal]))
			atomic_fetch_or(&kept, bit_of(signal));
	}
}

/* Gives the entry back; its task has heard this signal, or 0. */
static void entry_close(struct entry *x, int signal)
{
	if (signal != 0)
		hear(signal);
	atomic_store(&x->open, false);
	while (atomic_load(&x->users) != 0)
		sched_yield();
	keep_unheard(atomic_exchange(&x->got, 0));
	atomic_store(&x->owner, 0);
}

/* -------------------------------------------------------------------------------- waiting */

struct wait {
	struct anyc__wake_watch watch;
	struct anyc__engine *engine;
	struct anyc_task *task;
	struct entry *entry;
	const int *signals;
	size_t count;
};

/* The first of the wanted signals in a set, or 0. */
static int first_of(const struct wait *w, uint64_t set)
{
	size_t i;

	for (i = 0; i < w->count; i++)
		if ((set & bit_of(w->signals[i])) != 0)
			return w->signals[i];
	return 0;
}

/* Takes one that was kept, or 0. */
static int take_kept(const struct wait *w)
{
	for (;;) {
		int signal = first_of(w, atomic_load(&kept));

		if (signal == 0)
			return 0;
		if ((atomic_fetch_and(&kept, ~bit_of(signal)) & bit_of(signal)) != 0)
			return signal;
	}
}

static void wait_check(struct anyc__wake_watch *watch)
{
	struct wait *w = ANYC__CONTAINER(watch, struct wait, watch);
	int signal = first_of(w, atomic_load(&w->entry->got));

	if (signal == 0)
		return;
	anyc__wake_watch_remove(w->engine, watch);
	anyc__unpark(w->task, signal);
}

static void wait_abort(struct anyc_task *t, void *arg)
{
	struct wait *w = arg;

	(void)t;
	anyc__wake_watch_remove(w->engine, &w->watch);
}

static int check_arguments(const int *signals, size_t count, uint64_t *wanted)
{
	size_t i;

	if (count == 0)
		return anyc_fail(ANYC_EINVAL, 0, "no signal to wait for was given");
	*wanted = 0;
	for (i = 0; i < count; i++) {
		if (!can_wait_for(signals[i]))
			return anyc_fail(ANYC_EINVAL, 0, "signal %d cannot be waited for",
					 signals[i]);
		*wanted |= bit_of(signals[i]);
	}
	return 0;
}

/* Waits with the entry open, so that no signal is missed from here on. */
static int wait_open(struct wait *w)
{
	int rc = take_kept(w);

	if (rc > 0) { /* came before the entry was open */
		anyc__yield(w->task);
		return rc;
	}
	w->watch.check = wait_check;
	anyc__wake_watch_add(w->engine, &w->watch);
	return anyc__park(w->task, wait_abort, w, "a signal");
}

int anyc_signal_wait(const int *signals, size_t count)
{
	struct wait w = { .signals = signals, .count = count };
	uint64_t wanted;
	int rc = anyc__enter(&w.task);

	if (rc == 0)
		rc = check_arguments(signals, count, &wanted);
	if (rc != 0)
		return rc;
	rc = install(signals, count);
	if (rc != 0)
		return anyc_fail(rc, -rc, "cannot handle a signal: %s", anyc_strerror(rc));
	w.engine = anyc__task_engine(w.task);
	w.entry = entry_open(wanted, anyc__wake_fd(w.engine));
	if (w.entry == NULL)
		return anyc_fail(-EAGAIN, EAGAIN, "%d tasks wait for signals, which is the most",
				 ENTRIES);
	rc = wait_open(&w);
	entry_close(w.entry, rc > 0 ? rc : 0);
	return rc;
}

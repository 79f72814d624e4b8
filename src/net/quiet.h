/* SPDX-License-Identifier: MIT */
/*
 * Calls that would raise SIGPIPE and have no flag against it (rule 18): the thread holds the signal
 * back meanwhile, and takes out what the call has put there; one that was pending before stays.
 */
#ifndef ANYC__NET_QUIET_H
#define ANYC__NET_QUIET_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include <anyc/base.h>

struct anyc__quiet {
	sigset_t before, pending;
};

static inline void anyc__quiet_begin(struct anyc__quiet *q)
{
	sigset_t quiet;

	sigemptyset(&quiet);
	sigaddset(&quiet, SIGPIPE);
	sigemptyset(&q->pending);
	pthread_sigmask(SIG_BLOCK, &quiet, &q->before);
	if (sigismember(&q->before, SIGPIPE) == 1)
		sigpending(&q->pending);
}

/* broken: the call may have met EPIPE.  Keeps errno. */
static inline void anyc__quiet_end(const struct anyc__quiet *q, bool broken)
{
	static const struct timespec now = { 0, 0 };
	int os_errno = errno;
	sigset_t quiet;

	if (broken && sigismember(&q->pending, SIGPIPE) == 0) {
		sigemptyset(&quiet);
		sigaddset(&quiet, SIGPIPE);
		ANYC_IGNORE(sigtimedwait(&quiet, NULL, &now));
	}
	pthread_sigmask(SIG_SETMASK, &q->before, NULL);
	errno = os_errno;
}

#endif

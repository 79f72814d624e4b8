/* SPDX-License-Identifier: MIT */
/*
 * The inside of the fault driver.
 *
 *	fault.c        the sweep: its points, one after the other
 *	fault_left.c   what a scenario has left behind
 *	fault_axes.c   the events: counting them, and making one misbehave
 *	fault_watch.c  naming the point of a crash or a hang
 */
#ifndef ANYC__TESTING_FAULT_H
#define ANYC__TESTING_FAULT_H

#include <anyc/fault.h>

/* Built with ThreadSanitizer, fault_syscalls.h is empty. */
#if defined(__SANITIZE_THREAD__)
#define ANYC__FAULT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ANYC__FAULT_TSAN 1
#endif
#endif
#ifndef ANYC__FAULT_TSAN
#define ANYC__FAULT_TSAN 0
#endif

#define ANYC__FAULT_NEVER ((size_t)-1)

/* Which event misbehaves, and how. */
struct anyc__fault {
	unsigned axis;  /* one of ANYC_FAULT_*; 0: none, events are only counted */
	size_t n;       /* counted from 0 */
	size_t second;  /* CANCEL_TWICE: the other one */
	unsigned which; /* SYSCALL: of the errors that the call can have */
	int error;      /* SYSCALL: this one; 0: that of `which` */
	uint64_t seed;  /* ORDER */
};

/* What came of it. */
struct anyc__fault_outcome {
	bool fired;      /* the n-th event came */
	bool fired_twice;
	bool more;       /* SYSCALL: the call has an error after this one */
	int error;       /* SYSCALL: the errno */
	char event[120]; /* what it was: "epoll_ctl from ..." */
	size_t allocations, calls, places, scopes; /* that came in all, of each kind */
};

/* The allocator that counts; 0 or anyc_set_allocator()'s error.  And malloc's again. */
int anyc__fault_install(void);
int anyc__fault_remove(void);
/* From here to disarm(), which tells. */
void anyc__fault_arm(const struct anyc__fault *fault);
void anyc__fault_disarm(struct anyc__fault_outcome *outcome);
/* Ends the counting from a signal handler, whoever holds the lock: the process dies. */
void anyc__fault_abandon(void);

/* What lives in the process. */
struct anyc__fault_snapshot;
struct anyc__fault_snapshot *anyc__fault_snapshot_new(void); /* NULL: no memory */
void anyc__fault_snapshot_take(struct anyc__fault_snapshot *s);
/* Whether there is more of anything now than before; says what, after `used` bytes of text. */
bool anyc__fault_left(const struct anyc__fault_snapshot *before, char *text, size_t size);

/* A point under way, and no longer; after `patience` nanoseconds the process ends. */
void anyc__fault_watch_begin(int64_t patience);
void anyc__fault_watch_point(const char *point);
/* What has misbehaved at it, if it comes to that. */
void anyc__fault_watch_event(const char *event);
void anyc__fault_watch_end(void);

#endif

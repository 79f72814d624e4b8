/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and their readiness (rules 18, 31-33, 43).
 *
 * Each direction has a bit `ready`: an operation may be tried.  It starts set, is set by an event
 * and cleared only by EAGAIN; one exception: a TCP socket that anyc itself connected or accepted
 * also clears it after a short read, unless an event ever carried RDHUP, HUP, ERR or PRI.
 *
 *	for (;;) {
 *		if (anyc__fd_ready(f, ANYC__READ)) {
 *			n = recv(...);
 *			if (n >= 0)      { anyc__fd_received(f, n, size); break; }
 *			if (errno is EAGAIN) anyc__fd_drained(f, ANYC__READ);
 *			else if (errno is not EINTR) break;
 *			else continue;
 *		}
 *		rc = anyc__fd_wait(f, t, ANYC__READ, "data");
 *		if (rc != 0) break;
 *	}
 *
 * A descriptor joins the engine's epoll set at its first wait, once for its life, edge-triggered;
 * in a plain thread that waits for just one descriptor ppoll(2) serves, without registration.
 */
#ifndef ANYC__FD_H
#define ANYC__FD_H

#include "core.h"

enum anyc__direction { ANYC__READ = 1, ANYC__WRITE = 2 };
enum anyc__fd_kind {
	ANYC__FD_TCP,    /* connected or accepted by anyc: armed for all, short reads park */
	ANYC__FD_STREAM, /* other things read to EAGAIN; OUT is armed at the first EAGAIN */
	ANYC__FD_LISTENER,
	ANYC__FD_BORROWED /* the caller's own: level-triggered, one-shot */
};

struct anyc__fd {
	int fd; /* -1 once closed */
	uint32_t slot;  /* in the engine's table, from 1; 0: not registered */
	uint8_t kind;
	uint8_t ready;  /* directions in which an operation may be tried */
	uint8_t armed;  /* directions that epoll watches */
	bool ragged;    /* an event carried RDHUP, HUP, ERR or PRI: short reads prove nothing */
	bool closed;
	struct anyc__engine
		*engine; /* that has it registered, or waits for it with ppoll; or NULL */
	struct anyc_task *waiting[2]; /* the reader, the writer */
	uint64_t fork_generation;    /* of the process that opened it */
};

/* Takes an open, non-blocking descriptor over. */
void anyc__fd_init(struct anyc__fd *f, int fd, enum anyc__fd_kind kind);
/*
 * Waits until the direction is ready; the current task's engine becomes the descriptor's.
 * errors  ANYC_ECANCELED, ANYC_ECLOSED, ANYC_EBUSY, ANYC_ETHREAD, -ENOMEM, -errno of epoll_ctl
 */
int anyc__fd_wait(struct anyc__fd *f, struct anyc_task *t, enum anyc__direction d,
		  const char *what);
/* The same, for at most until `when` (ANYC_ETIMEDOUT). */
int anyc__fd_wait_until(struct anyc__fd *f, struct anyc_task *t, enum anyc__direction d,
			int64_t when, const char *what);
/* 0, or ANYC_ETHREAD / ANYC_EFORKED / ANYC_EGONE if the current engine may not use it. */
int anyc__fd_check(const struct anyc__fd *f, const struct anyc_task *t);
/* It was opened by the parent of this process. */
bool anyc__fd_inherited(const struct anyc__fd *f);
/*
 * Whose calls on it may be under way besides this loop's: 0, ANYC_ETHREAD (another thread's loop,
 * which has it and has tasks), ANYC_EFORKED (the parent process).  For refusing misuse only: it
 * looks at what the other thread may be changing.
 */
int anyc__fd_elsewhere(const struct anyc__fd *f);
/*
 * Makes it nobody's, so that this task's engine may have it: asks the engine that has it and waits
 * until that has let go.  For a descriptor of anyc's own, in a checkpoint after anyc__enter().
 * cancelled  it is where it was
 * errors  ANYC_ECANCELED, ANYC_EBUSY, ANYC_EFORKED, -ENOMEM, -EMFILE
 */
int anyc__fd_move(struct anyc__fd *f, struct anyc_task *t);
/* The other half, in the thread of the engine that has it: 0, or ANYC_EBUSY, a task waits for it;
 * the sentence is the asker's. */
int anyc__fd_let_go(struct anyc__fd *f);
/* Unregisters, wakes those who wait with ANYC_ECLOSED, and closes the descriptor; keeps errno.
 * In a forked child only close(2). */
void anyc__fd_close(struct anyc__fd *f);
/* The same without close(2): the descriptor is returned to its owner. */
int anyc__fd_release(struct anyc__fd *f);

/*
 * The same for a descriptor of the caller's, for as long as the call lasts (rule 32); a
 * checkpoint.  errors  those of anyc_wait_readable()
 */
int anyc__fd_wait_borrowed(int fd, enum anyc__direction d);
/* A task of this engine is in that call. */
bool anyc__fd_waited_for(int fd);
/* Wakes those of this engine who wait for it with ANYC_ECLOSED, and forgets it. */
void anyc__fd_notify_closing(int fd);

/*
 * Waking an engine from a signal handler: write(2) of eight bytes to its eventfd, after which each
 * watch is asked on the engine's thread, outside tasks.  check may take its own watch out, and no
 * other.  An engine with a watch can be woken: its waits are no deadlock.
 */
struct anyc__wake_watch {
	struct anyc__wake_watch *next;
	void (*check)(struct anyc__wake_watch *w);
};
void anyc__wake_watch_add(struct anyc__engine *e, struct anyc__wake_watch *w);
void anyc__wake_watch_remove(struct anyc__engine *e, struct anyc__wake_watch *w);
int anyc__wake_fd(const struct anyc__engine *e);

static inline bool anyc__fd_ready(const struct anyc__fd *f, enum anyc__direction d)
{
	return (f->ready & d) != 0;
}
static inline void anyc__fd_drained(struct anyc__fd *f, enum anyc__direction d)
{
	f->ready &= (uint8_t)~d;
}
static inline void anyc__fd_received(struct anyc__fd *f, size_t got, size_t asked)
{
	if (got < asked && f->kind == ANYC__FD_TCP && !f->ragged)
		f->ready &= (uint8_t)~ANYC__READ;
}

#endif

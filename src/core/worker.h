/* SPDX-License-Identifier: MIT */
/*
 * Jobs for worker threads: blocking calls on behalf of a task.
 *
 * Rules
 *  - A job belongs to the worker from start until `done` was called on the engine's thread (or,
 *    if the engine ended first, on the worker's) exactly once; then memory is the owner's again.
 *  - A job that has not begun may be withdrawn.
 *  - Each class of jobs has its own limit, so that one cannot starve another; jobs wait in line.
 *  - Threads are made on demand, kept for ten idle seconds, block all signals, and see no loop.
 */
#ifndef ANYC__WORKER_H
#define ANYC__WORKER_H

#include "core.h"

struct anyc__job_line {
	struct anyc__job *first, *last;
};
struct anyc__worker_class {
	unsigned limit; /* jobs that run at once in this process */
	unsigned running;
	struct anyc__job_line line; /* beyond the limit */
	uint64_t fork_generation; /* of running and line; another one's count nothing */
};
struct anyc__job {
	struct anyc__post post; /* carries done */
	struct anyc__job *next, *prev;
	struct anyc__job_line *line; /* that it is in; NULL: it has begun */
	uint64_t fork_generation;
	struct anyc__worker_class *of;
	struct anyc_token *token;
	void (*work)(struct anyc__job *j);             /* on a worker thread */
	void (*done)(struct anyc__job *j,
		     int status); /* on the engine's thread; ANYC_EGONE: see above */
};
/* errors  -ENOMEM, -EAGAIN (no thread could be made): done is not called */
int anyc__worker_start(struct anyc__job *j, struct anyc__engine *e);
/* True: it had not begun, and is the owner's again; done is not called. */
bool anyc__worker_withdraw(struct anyc__job *j);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What test_backends.c needs of a loop library, without its headers: two of them in one file do
 * not compile.  One table per library, in seam_*.c.
 */
#ifndef SEAM_H
#define SEAM_H

#include <stdbool.h>

#include <anyc/backend.h>

struct native_ops {
	const struct anyc_backend *(*backend)(void);
	void *(*make)(void);
	int (*end)(void *native);  /* frees the loop; not 0: handles are open, and it stays */
	int (*run)(void *native);  /* until nothing keeps it alive; 0: and it ended so */
	void (*pass)(void *native); /* polls once, without waiting */
	void (*once)(void *native); /* waits until something was called */
	void (*halt)(void *native); /* the library's own stop */
	int (*renew)(void *native); /* in a forked child */
	/* Calls fn(arg) once; frees itself. */
	void (*timer)(void *native, unsigned ms, void (*fn)(void *arg), void *arg);
	/* Closes every handle that the loop knows; *closed counts the callbacks.  libuv only. */
	void (*close_all)(void *native, int *closed);
	bool nests;       /* the loop may run inside a callback of its own */
	bool soon_first;  /* in a pass, the turn of soon comes before that of the descriptor */
	bool checks_fd;   /* attach refuses a regular file */
	bool frees_bound; /* the loop can be freed while it is attached */
	bool tells_freed; /* and says so then */
};

extern const struct native_ops seam_uv, seam_event, seam_ev;

#endif

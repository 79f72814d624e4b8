/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls on files for a task, by worker threads, of which at most eight are busy with files
 * at once.  What is in memory already is read at once, without one.
 *
 * A call that a worker has is waited for, whatever is cancelled meanwhile: what it did is done, and
 * the caller hears of it.  So no data that was read is lost, and nothing is written behind the back
 * of a task that has gone on.
 */
#ifndef ANYC__NET_FILE_IO_H
#define ANYC__NET_FILE_IO_H

#include <sys/uio.h>

#include "core/core.h"

/* The most that one call reads or writes. */
#define ANYC__FILE_PORTION ((size_t)256 << 10)
/* As offset: at the file's own position, which moves. */
#define ANYC__FILE_HERE (-1)

/*
 * The number of bytes, 0 at the end; or -errno with its sentence.  *offset: a place, or
 * ANYC__FILE_HERE.  The task has entered.
 */
int anyc__file_read(struct anyc_task *t, int fd, void *buf, size_t size, int64_t offset);
/* Only what needs no wait: ANYC_EWOULDBLOCK, also where the end may be. */
int anyc__file_read_nowait(int fd, void *buf, size_t size, int64_t offset);
/* Writes at the file's position, some of it: at least 1 byte, or -errno. */
int anyc__file_write(struct anyc_task *t, int fd, const struct iovec *iov, int count);
/* Has these bytes read into the kernel's memory.   errors  -ENOMEM, -EAGAIN (no thread) */
int anyc__file_warm(struct anyc_task *t, int fd, int64_t offset, size_t size);
/* open(2) with O_CLOEXEC: the descriptor or -errno; and close(2). */
int anyc__file_open(struct anyc_task *t, const char *path, int flags, unsigned mode);
int anyc__file_close(struct anyc_task *t, int fd);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the caller's: one record for each number that an engine was ever asked to wait
 * for.  It stays, disarmed, for the next wait, until anyc_notify_closing() or the engine's end.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine.h"

static int grow(struct anyc__fds *t, size_t least)
{
	size_t capacity = t->borrowed_capacity == 0 ? 64 : t->borrowed_capacity;
	struct anyc__fd **list;

	while (capacity < least)
		capacity *= 2;
	list = anyc__resize(t->borrowed, capacity * sizeof *list);
	if (list == NULL)
		return -ENOMEM;
	memset(list + t->borrowed_capacity, 0, (capacity - t->borrowed_capacity) * sizeof *list);
	t->borrowed = list;
	t->borrowed_capacity = capacity;
	return 0;
}

static int get(struct anyc__fd **out, struct anyc__fds *t, int fd)
{
	struct anyc__fd *f;

	if ((size_t)fd >= t->borrowed_capacity) {
		if (fcntl(fd, F_GETFD) < 0) /* no table of that size for a number out of nowhere */
			return -EBADF;
		if (grow(t, (size_t)fd + 1) != 0)
			return -ENOMEM;
	}
	f = t->borrowed[fd];
	if (f == NULL) {
		f = anyc__alloc(sizeof *f);
		if (f == NULL)
			return -ENOMEM;
		anyc__fd_init(f, fd, ANYC__FD_BORROWED);
		t->borrowed[fd] = f;
	}
	f->ready = 0;
	*out = f;
	return 0;
}

void anyc__fds_fini_borrowed(struct anyc__fds *t)
{
	size_t i;

	for (i = 0; i < t->borrowed_capacity; i++)
		anyc__free(t->borrowed[i]);
	anyc__free(t->borrowed);
}

int anyc__fd_wait_borrowed(int fd, enum anyc__direction d)
{
	struct anyc_task *t;
	struct anyc__fd *f;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	rc = fd < 0 ? -EBADF : get(&f, &anyc__task_engine(t)->fds, fd);
	if (rc != 0)
		return anyc_fail(rc, -rc, "cannot wait for descriptor %d: %s", fd,
				 anyc_strerror(rc));
	return anyc__fd_wait(f, t, d,
			     d == ANYC__READ ? "a descriptor to read" : "a descriptor to write");
}

/* NULL: this engine was never asked to wait for it. */
static struct anyc__fd *find(struct anyc__engine *e, int fd)
{
	return e != NULL && anyc__engine_fit(e) && fd >= 0 ? anyc__fd_borrowed(&e->fds, fd) : NULL;
}

bool anyc__fd_waited_for(int fd)
{
	const struct anyc__fd *f = find(anyc__current_engine(), fd);

	return f != NULL && (f->waiting[0] != NULL || f->waiting[1] != NULL);
}

void anyc__fd_notify_closing(int fd)
{
	struct anyc__engine *e = anyc__current_engine();
	struct anyc__fd *f = find(e, fd);

	if (f == NULL)
		return;
	e->fds.borrowed[fd] = NULL;
	anyc__fd_release(f);
	anyc__free(f);
}

/* SPDX-License-Identifier: MIT */
/*
 * The paths that UNIX sockets are bound to.
 *
 * Rules
 *  - Only a socket is ever removed: the stale one of a server that has died, or one that is being
 *    taken over, whose owner then finds another file there and lets it be.
 *  - The memory to remember a path is there before anything stands at it.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "unix_path.h"

struct anyc__bound_path {
	dev_t device;
	ino_t number;
	pid_t owner; /* the process that made it */
	char text[sizeof ((struct sockaddr_un *)0)->sun_path];
};

static struct sockaddr_un *name_of(const struct anyc_address *a)
{
	return (struct sockaddr_un *)(uintptr_t)&a->storage;
}

static bool is_abstract(const struct anyc_address *a)
{
	return name_of(a)->sun_path[0] == '\0';
}

int anyc__unix_address(struct anyc_address *out, const char *path, size_t length, const char *call)
{
	struct sockaddr_un *un = name_of(out);
	size_t most = sizeof un->sun_path;
	bool abstract;

	memset(out, 0, sizeof *out);
	if (path == NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s: the path is NULL", call);
	if (length == 0)
		length = strlen(path);
	if (length == 0)
		return anyc_fail(ANYC_EINVAL, 0, "%s: the path is empty", call);
	abstract = path[0] == '\0';
	if (!abstract && memchr(path, '\0', length) != NULL)
		return anyc_fail(ANYC_EINVAL, 0, "%s: there is a NUL in the path %s", call, path);
	if (length > most - !abstract)
		return anyc_fail(ANYC_EINVAL, 0, "%s: %s has %zu bytes; a UNIX socket's has at "
				 "most %zu", call, abstract ? "the abstract name" : "the path",
				 length, most - !abstract);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, length);
	out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
	return 0;
}

static void remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		ANYC_IGNORE(unlink(path));
}

static int bind_path(struct anyc__bound_path *p, int fd, const struct anyc_address *a,
		     unsigned mode)
{
	struct stat st;
	int rc;

	remove_stale(p->text);
	if (bind(fd, (const struct sockaddr *)&a->storage, a->length) != 0)
		return -errno;
	if ((mode == 0 || chmod(p->text, mode) == 0) && lstat(p->text, &st) == 0) {
		p->device = st.st_dev;
		p->number = st.st_ino;
		return 0;
	}
	rc = -errno;
	ANYC_IGNORE(unlink(p->text));
	return rc;
}

int anyc__unix_bind(struct anyc__bound_path **out, int fd, const struct anyc_address *a,
		    unsigned mode)
{
	struct anyc__bound_path *p;
	int rc;

	*out = NULL;
	if (is_abstract(a))
		return bind(fd, (const struct sockaddr *)&a->storage, a->length) == 0 ? 0 : -errno;
	p = anyc__alloc(sizeof *p);
	if (p == NULL)
		return -ENOMEM;
	memcpy(p->text, name_of(a)->sun_path, sizeof p->text);
	p->owner = getpid();
	rc = bind_path(p, fd, a, mode);
	if (rc == 0)
		*out = p;
	else
		anyc__free(p);
	return rc;
}

void anyc__bound_path_remove(struct anyc__bound_path *p)
{
	struct stat st;
	int os_errno = errno;

	if (p == NULL)
		return;
	if (p->owner == getpid() && lstat(p->text, &st) == 0 &&
	    st.st_dev == p->device && st.st_ino == p->number)
		ANYC_IGNORE(unlink(p->text));
	anyc__free(p);
	errno = os_errno;
}

/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the fault driver (fault.h): include this in exactly one file of a test
 * program, which links anyc's shared libraries.  It defines the calls below, so that anyc calls
 * these, and they call the C library's, unless the driver says that they have to fail.
 *
 * Each line says which errors a call can have: a point of the sweep for each.  What a fault must
 * not do is what no kernel does:
 *  - An interrupted connect goes on by itself, and an interrupted close has closed.
 *  - After EAGAIN comes an event if the descriptor is ready.
 *  - Where one side meets EPIPE or ECONNRESET the connection has ended for both.
 *  - An eventfd that does not block is not interrupted; what may block does not say EAGAIN.
 *
 * Under ThreadSanitizer, which must see these calls itself, there are none of them.
 */
#ifndef ANYC_FAULT_SYSCALLS_H
#define ANYC_FAULT_SYSCALLS_H

#include <anyc/fault.h>

#if defined(__SANITIZE_THREAD__)
#define ANYC_FAULT_NONE_ 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ANYC_FAULT_NONE_ 1
#endif
#endif
#ifndef ANYC_FAULT_NONE_

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

ANYC_BEGIN_DECLS

/* The C library's own; RTLD_NEXT seen from the program. */
ANYC_INLINE void anyc_fault_next_(void *function, const char *name)
{
	int saved = errno;
	void *found = dlsym((void *)-1L, name);

	memcpy(function, &found, sizeof found);
	errno = saved;
}

/*
 * A definition of the function `name` under a name of our own, whatever the C library's headers
 * say of it; its body follows.
 */
#define ANYC_FAULT_FUNCTION_(type, name, params) \
	type anyc_fault_##name##_ params __asm__(#name); \
	type anyc_fault_##name##_ params

#define ANYC_FAULT_NEXT_(type, name, params) \
	static type(*next) params; \
	if (next == NULL) \
		anyc_fault_next_(&next, #name)

/* Has to fail now, with one of these errors. */
#define ANYC_FAULT_NOW_(name, ...) \
	__extension__({ \
		static const int errors_[] = { __VA_ARGS__, 0 }; \
		anyc_fault_call(name, errors_, __builtin_return_address(0)); \
	})

/* A call that fails before it has done anything. */
#define ANYC_FAULT_CALL_(type, name, params, arguments, ...) \
	ANYC_FAULT_FUNCTION_(type, name, params) \
	{ \
		ANYC_FAULT_NEXT_(type, name, params); \
		if (ANYC_FAULT_NOW_(#name, __VA_ARGS__)) \
			return (type)-1; \
		return next arguments; \
	}

/* The same for a descriptor that may also have to wait. */
#define ANYC_FAULT_WAIT_(type, name, params, arguments, ...) \
	ANYC_FAULT_FUNCTION_(type, name, params) \
	{ \
		ANYC_FAULT_NEXT_(type, name, params); \
		if (ANYC_FAULT_NOW_(#name, EINTR, EAGAIN, __VA_ARGS__)) \
			return (type)anyc_fault_failed_(fd); \
		return next arguments; \
	}

/* -------------------------------------------------------------------------------- readiness */

/* In which epoll set a descriptor is, and how: for the event that follows an EAGAIN. */
#define ANYC_FAULT_FDS_ 1024
static struct {
	int set; /* 0: in none */
	struct epoll_event event;
} anyc_fault_watched_[ANYC_FAULT_FDS_];

static int (*anyc_fault_epoll_ctl_next_)(int, int, int, struct epoll_event *);

static int anyc_fault_shutdown_next_(int fd, int how)
{
	ANYC_FAULT_NEXT_(int, shutdown, (int, int));
	return next(fd, how);
}

/* What errno means for the descriptor: MOD reports its present state anew. */
static int anyc_fault_failed_(int fd)
{
	int saved = errno;

	if (saved == EPIPE || saved == ECONNRESET)
		(void)anyc_fault_shutdown_next_(fd, SHUT_RDWR);
	if (saved == EAGAIN && fd >= 0 && fd < ANYC_FAULT_FDS_ && anyc_fault_watched_[fd].set > 0)
		(void)anyc_fault_epoll_ctl_next_(anyc_fault_watched_[fd].set, EPOLL_CTL_MOD, fd,
						 &anyc_fault_watched_[fd].event);
	errno = saved;
	return -1;
}

ANYC_FAULT_FUNCTION_(int, epoll_ctl, (int set, int op, int fd, struct epoll_event *event))
{
	int rc;

	if (anyc_fault_epoll_ctl_next_ == NULL)
		anyc_fault_next_(&anyc_fault_epoll_ctl_next_, "epoll_ctl");
	/* Only what is added needs memory. */
	if (op == EPOLL_CTL_ADD && ANYC_FAULT_NOW_("epoll_ctl", ENOMEM, ENOSPC))
		return -1;
	rc = anyc_fault_epoll_ctl_next_(set, op, fd, event);
	if (rc == 0 && fd < ANYC_FAULT_FDS_) {
		anyc_fault_watched_[fd].set = op == EPOLL_CTL_DEL ? 0 : set;
		if (op != EPOLL_CTL_DEL)
			anyc_fault_watched_[fd].event = *event;
	}
	return rc;
}

ANYC_FAULT_FUNCTION_(int, close, (int fd))
{
	int rc;

	ANYC_FAULT_NEXT_(int, close, (int));
	if (fd >= 0 && fd < ANYC_FAULT_FDS_)
		anyc_fault_watched_[fd].set = 0;
	rc = next(fd);
	return rc == 0 && ANYC_FAULT_NOW_("close", EINTR) ? -1 : rc;
}

ANYC_FAULT_CALL_(int, epoll_create1, (int flags), (flags), EMFILE, ENFILE, ENOMEM)
ANYC_FAULT_CALL_(int, epoll_wait, (int set, struct epoll_event *list, int size, int timeout),
		 (set, list, size, timeout), EINTR)
ANYC_FAULT_CALL_(int, poll, (struct pollfd * list, nfds_t size, int timeout), (list, size, timeout),
		 EINTR, ENOMEM)
ANYC_FAULT_CALL_(int, ppoll,
		 (struct pollfd * list, nfds_t size, const struct timespec *timeout,
		  const sigset_t *mask),
		 (list, size, timeout, mask), EINTR, ENOMEM)
ANYC_FAULT_CALL_(int, eventfd, (unsigned value, int flags), (value, flags), EMFILE, ENFILE, ENOMEM)
ANYC_FAULT_CALL_(int, timerfd_create, (int clock_id, int flags), (clock_id, flags), EMFILE, ENFILE,
		 ENOMEM)
ANYC_FAULT_CALL_(int, pipe2, (int *ends, int flags), (ends, flags), EMFILE, ENFILE)

/* ---------------------------------------------------------------------------------- sockets */

ANYC_FAULT_CALL_(int, socket, (int domain, int kind, int protocol), (domain, kind, protocol),
		 EMFILE, ENFILE, ENOBUFS, ENOMEM)
ANYC_FAULT_CALL_(int, bind, (int fd, const struct sockaddr *where, socklen_t length),
		 (fd, where, length), EADDRINUSE, EACCES)
ANYC_FAULT_CALL_(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE)
ANYC_FAULT_CALL_(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
		 (fd, level, name, value, length), ENOBUFS, ENOMEM)
ANYC_FAULT_CALL_(int, setsockopt,
		 (int fd, int level, int name, const void *value, socklen_t length),
		 (fd, level, name, value, length), ENOBUFS, ENOMEM)
ANYC_FAULT_CALL_(int, getsockname, (int fd, struct sockaddr *where, socklen_t *length),
		 (fd, where, length), ENOBUFS)
ANYC_FAULT_CALL_(int, getpeername, (int fd, struct sockaddr *where, socklen_t *length),
		 (fd, where, length), ENOBUFS)
ANYC_FAULT_CALL_(int, shutdown, (int fd, int how), (fd, how), ENOTCONN)

ANYC_FAULT_FUNCTION_(int, connect, (int fd, const struct sockaddr *where, socklen_t length))
{
	int rc;

	ANYC_FAULT_NEXT_(int, connect, (int, const struct sockaddr *, socklen_t));
	if (!ANYC_FAULT_NOW_("connect", EINTR, ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL, ENOBUFS))
		return next(fd, where, length);
	if (errno != EINTR)
		return -1;
	rc = next(fd, where, length);
	if (rc == 0 || errno == EINPROGRESS)
		errno = EINTR;
	return -1;
}

ANYC_FAULT_WAIT_(int, accept4, (int fd, struct sockaddr *from, socklen_t *length, int flags),
		 (fd, from, length, flags), ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM)
ANYC_FAULT_WAIT_(ssize_t, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags),
		 ECONNRESET, ENOMEM)
ANYC_FAULT_WAIT_(ssize_t, recvfrom,
		 (int fd, void *to, size_t size, int flags, struct sockaddr *from,
		  socklen_t *length),
		 (fd, to, size, flags, from, length), ECONNREFUSED, ENOMEM)
ANYC_FAULT_WAIT_(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags),
		 (fd, message, flags), ECONNRESET, ENOMEM)
ANYC_FAULT_WAIT_(ssize_t, send, (int fd, const void *from, size_t size, int flags),
		 (fd, from, size, flags), EPIPE, ECONNRESET, ENOBUFS, ENOMEM)
ANYC_FAULT_WAIT_(ssize_t, sendto,
		 (int fd, const void *from, size_t size, int flags, const struct sockaddr *to,
		  socklen_t length),
		 (fd, from, size, flags, to, length), ECONNREFUSED, ENOBUFS, ENOMEM)
ANYC_FAULT_WAIT_(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
		 (fd, message, flags), EPIPE, ECONNRESET, ENOBUFS, ENOMEM, EIO)
ANYC_FAULT_WAIT_(ssize_t, sendfile, (int fd, int from, off_t *offset, size_t size),
		 (fd, from, offset, size), EPIPE, ECONNRESET, EINVAL, ENOMEM)

/* mmsghdr is hidden from strict C; only its address goes through. */
ANYC_FAULT_WAIT_(int, recvmmsg,
		 (int fd, void *list, unsigned size, int flags, struct timespec *timeout),
		 (fd, list, size, flags, timeout), ECONNREFUSED, ENOMEM)
ANYC_FAULT_WAIT_(int, sendmmsg, (int fd, void *list, unsigned size, int flags),
		 (fd, list, size, flags), ECONNREFUSED, ENOBUFS, ENOMEM)

/* ------------------------------------------------------------------------ files and memory */

/* Linux's numbers, which strict C hides. */
enum {
	ANYC_FAULT_DUPFD_CLOEXEC_ = 1030,
	ANYC_FAULT_DONTNEED_ = 4,
	ANYC_FAULT_TYPES_ = 0170000
};

/* A pipe, socket or file; eventfds have no type. */
static bool anyc_fault_is_file_(int fd)
{
	int saved = errno;
	struct stat st;
	bool is = fstat(fd, &st) == 0 && (st.st_mode & ANYC_FAULT_TYPES_) != 0;

	errno = saved;
	return is;
}

/* It is not made to wait. */
static bool anyc_fault_blocks_(int fd)
{
	int saved = errno, flags = fcntl(fd, F_GETFL);

	errno = saved;
	return flags < 0 || (flags & O_NONBLOCK) == 0;
}

ANYC_FAULT_FUNCTION_(ssize_t, read, (int fd, void *to, size_t size))
{
	ANYC_FAULT_NEXT_(ssize_t, read, (int, void *, size_t));
	if (!anyc_fault_is_file_(fd))
		return next(fd, to, size);
	if (anyc_fault_blocks_(fd) ? ANYC_FAULT_NOW_("read", EINTR, EIO)
				   : ANYC_FAULT_NOW_("read", EINTR, EAGAIN, EIO))
		return anyc_fault_failed_(fd);
	return next(fd, to, size);
}

ANYC_FAULT_FUNCTION_(ssize_t, write, (int fd, const void *from, size_t size))
{
	ANYC_FAULT_NEXT_(ssize_t, write, (int, const void *, size_t));
	if (!anyc_fault_is_file_(fd))
		return next(fd, from, size);
	if (anyc_fault_blocks_(fd) ? ANYC_FAULT_NOW_("write", EINTR, EPIPE)
				   : ANYC_FAULT_NOW_("write", EINTR, EAGAIN, EPIPE))
		return anyc_fault_failed_(fd);
	return next(fd, from, size);
}

/* Those commands whose third argument is no pointer come through; so do those where it is. */
ANYC_FAULT_FUNCTION_(int, fcntl, (int fd, int command, void *argument))
{
	ANYC_FAULT_NEXT_(int, fcntl, (int, int, ...));
	if ((command == F_DUPFD || command == ANYC_FAULT_DUPFD_CLOEXEC_) &&
	    ANYC_FAULT_NOW_("fcntl", EMFILE))
		return -1;
	return next(fd, command, argument);
}

ANYC_FAULT_CALL_(void *, mmap,
		 (void *where, size_t size, int protection, int flags, int fd, off_t from),
		 (where, size, protection, flags, fd, from), ENOMEM)
ANYC_FAULT_CALL_(int, mprotect, (void *where, size_t size, int protection),
		 (where, size, protection), ENOMEM)

ANYC_FAULT_FUNCTION_(int, madvise, (void *where, size_t size, int advice))
{
	ANYC_FAULT_NEXT_(int, madvise, (void *, size_t, int));
	/* Memory can always be given back. */
	if (advice != ANYC_FAULT_DONTNEED_ && ANYC_FAULT_NOW_("madvise", EINVAL, ENOMEM))
		return -1;
	return next(where, size, advice);
}

/* What anyc's objects take from the C library; AddressSanitizer has its own of these. */
#if defined(__SANITIZE_ADDRESS__)
#define ANYC_FAULT_NO_MALLOC_ 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ANYC_FAULT_NO_MALLOC_ 1
#endif
#endif
#ifndef ANYC_FAULT_NO_MALLOC_
#define ANYC_FAULT_MALLOC_(name, params, arguments) \
	ANYC_FAULT_FUNCTION_(void *, name, params) \
	{ \
		ANYC_FAULT_NEXT_(void *, name, params); \
		return ANYC_FAULT_NOW_(#name, ENOMEM) ? NULL : next arguments; \
	}
ANYC_FAULT_MALLOC_(malloc, (size_t size), (size))
ANYC_FAULT_MALLOC_(calloc, (size_t count, size_t size), (count, size))
ANYC_FAULT_MALLOC_(realloc, (void *block, size_t size), (block, size))
#endif

ANYC_END_DECLS

#endif
#endif

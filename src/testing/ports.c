/* SPDX-License-Identifier: MIT */
/*
 * Ports that nobody uses, each given once in a run of a test program.
 *
 * The tests of a run are processes beside and after one another, so what was given is noted in
 * memory that they share: the first process makes it, without a name in any directory, and the
 * others find it by that process's descriptor.  It goes when the first process does.
 */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <anyc/error.h>

#define SESSION "ANYC_TEST_SESSION_" /* the path of the memory */
#define BYTES 65536
#define TRIES 200

enum { TCP = 1, UDP = 2 };

void anyc__test_session(void)
{
	const char *path = getenv(SESSION);
	char name[64];
	int fd;

	if (path != NULL && access(path, R_OK | W_OK) == 0)
		return;
	fd = memfd_create("anyc-test-ports", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, BYTES) != 0)
		return;
	snprintf(name, sizeof name, "/proc/%ld/fd/%d", (long)getpid(), fd);
	setenv(SESSION, name, 1);
}

/* A byte for each port; NULL with errno. */
static unsigned char *notes(void)
{
	static unsigned char *mapped;
	const char *path;
	void *memory;
	int fd;

	if (mapped != NULL)
		return mapped;
	anyc__test_session();
	path = getenv(SESSION);
	fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return NULL;
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory != MAP_FAILED)
		mapped = memory;
	return mapped;
}

static int bind_port(int family, int type, const void *address, socklen_t length)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	if ((family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
	    bind(fd, address, length) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* A host without IPv6, or with it switched off. */
static bool no_family(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* A port that was free on both families a moment ago; 0: only on one; -1 with errno. */
static int find_port(int type)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	socklen_t length = sizeof four;
	int fd = bind_port(AF_INET, type, &four, sizeof four), fd6, error = 0;

	if (fd < 0)
		return -1;
	if (getsockname(fd, (struct sockaddr *)&four, &length) != 0)
		error = errno;
	six.sin6_port = four.sin_port;
	fd6 = error == 0 ? bind_port(AF_INET6, type, &six, sizeof six) : -1;
	if (error == 0 && fd6 < 0)
		error = errno;
	close(fd);
	if (fd6 >= 0)
		close(fd6);
	if (fd6 >= 0 || no_family(error))
		return ntohs(four.sin_port);
	errno = error;
	return error == EADDRINUSE ? 0 : -1;
}

static int give_port(const char *function, int type, unsigned char bit)
{
	unsigned char *given = notes();
	int port;

	if (given == NULL)
		return anyc_fail(-errno, errno, "%s: the notes of this run are lost: %s", function,
				 strerror(errno));
	for (int i = 0; i < TRIES; i++) {
		port = find_port(type);
		if (port < 0)
			return anyc_fail(-errno, errno, "%s: %s", function, strerror(errno));
		if (port > 0 && (__atomic_fetch_or(&given[port], bit, __ATOMIC_RELAXED) & bit) == 0)
			return port;
	}
	return anyc_fail(-EADDRINUSE, EADDRINUSE, "%s: all ports seem to be in use", function);
}

int anyc_test_tcp_port(void)
{
	return give_port("anyc_test_tcp_port", SOCK_STREAM, TCP);
}

int anyc_test_udp_port(void)
{
	return give_port("anyc_test_udp_port", SOCK_DGRAM, UDP);
}

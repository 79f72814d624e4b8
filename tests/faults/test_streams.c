/* SPDX-License-Identifier: MIT */
/* Faults in what streams are made of, and in sending files. */
#include "faults.h"

#include <sys/mman.h>
#include <unistd.h>

#include <anyc/unix.h>

/* ------------------------------------------------------------------------ parts of files */

enum { SIZE = 9000 };

static char byte_at(size_t i)
{
	return (char)(i * 3 + i / 256);
}

static int make_file(void)
{
	int fd = memfd_create("a file", MFD_CLOEXEC);
	char data[SIZE];
	size_t i;

	for (i = 0; i < SIZE; i++)
		data[i] = byte_at(i);
	CHECK_INT(write(fd, data, SIZE), ==, SIZE);
	return fd;
}

/* What comes is the file from 100 on, to the last byte or to a failure. */
static int receive_it(void *arg)
{
	size_t have = 0;
	char buf[700];
	int n, i;

	while ((n = anyc_stream_receive(arg, buf, sizeof buf)) > 0)
		for (i = 0; i < n; i++, have++)
			CHECK(buf[i] == byte_at(100 + have));
	CHECK_INT(have, <=, SIZE - 100);
	return ended(n < 0 ? n : have == SIZE - 100 ? 0 : -EPROTO);
}

static int send_it(struct anyc_stream *a, struct anyc_stream *b)
{
	int rc, fd = make_file();
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, receive_it, b);
	if (rc == 0)
		rc = anyc_stream_send_file(a, fd, 100, ANYC_TO_END);
	if (rc == 0)
		CHECK_INT(anyc_stream_sent(a), ==, SIZE - 100);
	if (rc == 0)
		rc = anyc_stream_close(a);
	rc = anyc_group_leave(&g, rc);
	anyc_stream_free(a);
	anyc_stream_free(b);
	close(fd);
	return rc;
}

static int send_by_kernel(void *arg)
{
	struct anyc_stream *a, *b;
	int rc = anyc_unix_pair(&a, &b);

	(void)arg;
	return rc != 0 ? rc : send_it(a, b);
}

static int send_by_buffer(void *arg)
{
	struct anyc_test_pair_options small = { .capacity = 2000 };
	struct anyc_stream *a, *b;
	int rc = anyc_test_pair(&a, &b, &small);

	(void)arg;
	return rc != 0 ? rc : send_it(a, b);
}

FAULTS(r16_send_file_by_kernel, send_by_kernel, ALSO(ENDED_EARLY, -EPROTO))
FAULTS(r16_send_file_by_buffer, send_by_buffer, ALSO(ENDED_EARLY, -EPROTO))

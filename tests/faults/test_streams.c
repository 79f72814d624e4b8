/* SPDX-License-Identifier: MIT */
/* Faults in what streams are made of, and in sending files. */
#include "faults.h"

#include <fcntl.h>
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

/* -------------------------------------------------------------------------------- wrappers */

/* Text through two wrappers and a narrow stream, a line and what follows it. */
static const char said[] = "caf\xc3\xa9\n\xe2\x82\xac and more";

static int say(void *arg)
{
	struct anyc_stream *s = arg;
	int rc = anyc_stream_send(s, said, sizeof said - 1);

	if (rc == 0)
		rc = anyc_stream_send_eof(s);
	/* The listener learns of an error. */
	ANYC_IGNORE(anyc_stream_close(s));
	return ended(rc);
}

static int hear(struct anyc_stream *s)
{
	struct anyc_reader *r = anyc_buffered_reader(s);
	const char *line;
	size_t length, n = 0;
	char rest[64];
	int rc = anyc_reader_until(r, "\n", 1, 100, &line, &length);

	if (rc != 0)
		return rc;
	CHECK(length == 5 && memcmp(line, said, 5) == 0);
	while ((rc = anyc_stream_receive(s, rest + n, sizeof rest - n)) > 0)
		n += (size_t)rc;
	CHECK(memcmp(rest, said + 6, n) == 0);
	return rc != 0 ? rc : n == sizeof said - 7 ? 0 : -EPROTO;
}

/* Wraps *s, which is then the wrapper or, after a failure, what it was. */
static int wrap(struct anyc_stream **s, bool text)
{
	struct anyc_stream *out;
	int rc = text ? anyc_text_stream(&out, *s, NULL) : anyc_buffered_stream(&out, *s);

	CHECK((rc == 0) == (out != NULL));
	if (rc == 0)
		*s = out;
	return rc;
}

static int wrapped(void *arg)
{
	struct anyc_test_pair_options narrow = { .capacity = 4, .most = 3 };
	struct anyc_stream *a, *b;
	struct anyc_group g;
	int rc = anyc_test_pair(&a, &b, &narrow);

	(void)arg;
	if (rc != 0)
		return rc;
	anyc_group_enter(&g, NULL);
	rc = wrap(&a, true);
	if (rc == 0)
		rc = wrap(&b, true);
	if (rc == 0)
		rc = wrap(&b, false);
	if (rc == 0)
		rc = anyc_spawn(&g, say, a);
	if (rc == 0)
		rc = hear(b);
	anyc_stream_free(b);
	rc = anyc_group_leave(&g, rc);
	anyc_stream_free(a);
	return rc;
}

FAULTS(r16_wrappers, wrapped, ALSO(ENDED_EARLY, -EPROTO, ANYC_EINCOMPLETE))

static int accept_either(void *arg)
{
	struct anyc_listener *list[2] = { NULL, NULL }, *l = NULL;
	struct anyc_stream *s = NULL, *in = NULL;
	struct anyc_address address;
	char port[8];
	int rc;

	(void)arg;
	rc = anyc_tcp_listen(&list[0], "127.0.0.1", "0", NULL);
	if (rc == 0)
		rc = anyc_tcp_listen(&list[1], "127.0.0.1", "0", NULL);
	if (rc == 0)
		rc = anyc_multi_listener(&l, list, 2);
	if (rc != 0) {
		anyc_listener_free(list[0]);
		anyc_listener_free(list[1]);
		return rc;
	}
	rc = anyc_listener_attribute(l, &anyc_attribute_local_address, &address, sizeof address);
	if (rc == 0) {
		snprintf(port, sizeof port, "%u", anyc_address_port(&address) & 0xffffU);
		rc = anyc_tcp_connect(&s, "127.0.0.1", port, NULL);
	}
	if (rc == 0)
		rc = anyc_listener_accept(l, &in);
	CHECK((rc == 0) == (in != NULL));
	anyc_stream_free(in);
	anyc_stream_free(s);
	anyc_listener_free(l);
	return rc;
}

FAULTS(r16_multi_listener, accept_either, ALSO(ENDED_EARLY))

/* ---------------------------------------------------------------------------- connectables */

/* Puts text and buffered around *c; after a failure *c is what there is to free. */
static int wrap_connectable(struct anyc_connectable **c)
{
	struct anyc_connectable *out;
	int rc = anyc_text_connectable(&out, *c, NULL);

	CHECK((rc == 0) == (out != NULL));
	if (rc == 0) {
		*c = out;
		rc = anyc_buffered_connectable(&out, *c);
		CHECK((rc == 0) == (out != NULL));
	}
	if (rc == 0)
		*c = out;
	return rc;
}

/* Twice by the same one, to a listener that answers. */
static int connect_twice(struct anyc_connectable *c, struct anyc_listener *l)
{
	struct anyc_stream *s, *in = NULL;
	int rc = 0, i;

	for (i = 0; i < 2 && rc == 0; i++) {
		rc = anyc_connect(&s, c);
		CHECK((rc == 0) == (s != NULL));
		if (rc == 0)
			rc = anyc_listener_accept(l, &in);
		if (rc == 0)
			rc = anyc_stream_send(in, said, sizeof said - 1);
		if (rc == 0)
			rc = anyc_stream_close(in);
		if (rc == 0)
			rc = hear(s);
		anyc_stream_free(in);
		anyc_stream_free(s);
		in = NULL;
	}
	return rc;
}

static int by_connectable(struct anyc_connectable **c, struct anyc_listener *l, int rc)
{
	CHECK((rc == 0) == (*c != NULL));
	if (rc == 0)
		rc = wrap_connectable(c);
	if (rc == 0)
		rc = connect_twice(*c, l);
	anyc_connectable_free(*c);
	anyc_listener_free(l);
	return rc;
}

static int connect_by_tcp(void *arg)
{
	struct anyc_tcp_connect_options o = { .local_host = "127.0.0.1" };
	struct anyc_connectable *c = NULL;
	struct anyc_listener *l;
	struct anyc_address address;
	char port[8];
	int rc = anyc_tcp_listen(&l, "127.0.0.1", "0", NULL);

	(void)arg;
	if (rc == 0)
		rc = anyc_listener_attribute(l, &anyc_attribute_local_address, &address,
					     sizeof address);
	if (rc != 0) {
		anyc_listener_free(l);
		return rc;
	}
	snprintf(port, sizeof port, "%u", anyc_address_port(&address) & 0xffffU);
	return by_connectable(&c, l, anyc_tcp_connectable(&c, "127.0.0.1", port, &o));
}

static int connect_by_unix(void *arg)
{
	char name[32] = "";
	struct anyc_unix_options o;
	struct anyc_connectable *c = NULL;
	struct anyc_listener *l;
	int rc;

	(void)arg;
	memset(&o, 0, sizeof o);
	snprintf(name + 1, sizeof name - 1, "anyc-faults-%d", (int)getpid());
	o.path_length = 1 + strlen(name + 1);
	rc = anyc_unix_listen(&l, name, &o);
	return rc != 0 ? rc : by_connectable(&c, l, anyc_unix_connectable(&c, name, &o));
}

FAULTS(h27_connectables_of_tcp, connect_by_tcp,
       ALSO(ENDED_EARLY, -EPROTO, ANYC_EINCOMPLETE, -ECONNREFUSED, -EADDRNOTAVAIL))
FAULTS(h27_connectables_of_unix, connect_by_unix,
       ALSO(ENDED_EARLY, -EPROTO, ANYC_EINCOMPLETE, -ECONNREFUSED))

/* ----------------------------------------------------------------------------------- files */

static int write_and_read(void *arg)
{
	char path[] = "/tmp/anyc-faults-XXXXXX", buf[16];
	struct anyc_stream *s = NULL, *again = NULL;
	int fd = mkostemp(path, O_CLOEXEC), n = 0, rc;

	(void)arg;
	CHECK_INT(fd, >=, 0);
	rc = anyc_file_stream_adopt(&s, fd);
	CHECK((rc == 0) == (s != NULL));
	if (rc != 0)
		close(fd);
	if (rc == 0)
		rc = anyc_stream_send(s, "on the disk", 11);
	if (rc == 0)
		rc = anyc_stream_close(s);
	if (rc == 0)
		rc = anyc_file_stream_open(&again, path, O_RDONLY, 0);
	CHECK(rc == 0 || again == NULL);
	if (rc == 0)
		rc = n = anyc_stream_receive(again, buf, sizeof buf);
	if (rc > 0) {
		CHECK(n == 11 && memcmp(buf, "on the disk", 11) == 0);
		rc = anyc_stream_receive(again, buf, sizeof buf);
	}
	anyc_stream_free(again);
	anyc_stream_free(s);
	unlink(path);
	return rc;
}

FAULTS(r16_files, write_and_read)

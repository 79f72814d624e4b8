/* SPDX-License-Identifier: MIT */
/*
 * A DNS client: asks one server for the addresses of names, by UDP and, where an answer does not
 * fit, by TCP.
 *
 *	dns [--loop NAME] [--server ADDRESS] [--port N] [--timeout MS] [--type A|AAAA] NAME...
 *
 * All names are asked for at once.  Each line of output is "NAME ADDRESS" or "NAME: what failed".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <anyc/anyc.h>

#include "message.h"

enum { TRIES = 3, NAMES_MAX = 32, ANSWER_MAX = 65535 };

static struct {
	const char *server, *port;
	int64_t timeout; /* of one try */
	uint16_t type;
} settings = { "127.0.0.1", "53", 2 * ANYC_SECOND, DNS_A };

struct lookup {
	const char *name;
	unsigned char query[DNS_QUERY_MAX];
	size_t query_size;
	struct dns_answer answer;
};

/* ------------------------------------------------------------------------------------- UDP */

/* Receives until it is the answer; whatever else comes is somebody's mistake, or worse. */
static int receive_answer(struct lookup *l, struct anyc_datagram *d)
{
	unsigned char buf[1500];
	int n, rc;

	do {
		n = anyc_datagram_receive(d, buf, sizeof buf);
		if (n < 0)
			return n;
		anyc_addresses_free(&l->answer.addresses);
		rc = (size_t)n > sizeof buf ? -EPROTO :
					      dns_read_answer(&l->answer, buf, (size_t)n, l->query,
							      l->query_size);
	} while (rc == -EPROTO);
	return rc;
}

/* One try.  A socket for each: an old answer cannot come to it, and its port is hard to guess. */
static int ask_once(struct lookup *l)
{
	struct anyc_datagram *d = NULL;
	struct anyc_scope limit;
	int rc;

	anyc_scope_enter_timeout(&limit, settings.timeout);
	rc = anyc_udp_connect(&d, settings.server, settings.port, NULL);
	if (rc == 0)
		rc = anyc_datagram_send(d, l->query, l->query_size);
	if (rc == 0)
		rc = receive_answer(l, d);
	anyc_datagram_free(d);
	return anyc_scope_leave(&limit, rc);
}

/* ------------------------------------------------------------------------------------- TCP */

static int exchange(struct lookup *l, struct anyc_stream *s, unsigned char *buf)
{
	unsigned char length[2] = { (unsigned char)(l->query_size >> 8),
				    (unsigned char)l->query_size };
	struct iovec out[] = { { length, sizeof length }, { l->query, l->query_size } };
	struct anyc_reader reader;
	size_t size = 0;
	int rc = anyc_stream_sendv(s, out, 2);

	anyc_reader_init(&reader, s);
	if (rc == 0)
		rc = anyc_reader_exactly(&reader, length, sizeof length);
	if (rc == 0) {
		size = (size_t)length[0] << 8 | length[1];
		rc = anyc_reader_exactly(&reader, buf, size);
	}
	anyc_reader_free(&reader);
	if (rc == 0)
		rc = dns_read_answer(&l->answer, buf, size, l->query, l->query_size);
	return rc;
}

static int ask_by_tcp(struct lookup *l)
{
	unsigned char *buf = malloc(ANSWER_MAX);
	struct anyc_stream *s = NULL;
	struct anyc_scope limit;
	int rc = buf != NULL ? 0 : -ENOMEM;

	anyc_addresses_free(&l->answer.addresses);
	anyc_scope_enter_timeout(&limit, settings.timeout);
	if (rc == 0)
		rc = anyc_tcp_connect(&s, settings.server, settings.port, NULL);
	if (rc == 0)
		rc = exchange(l, s, buf);
	anyc_stream_free(s);
	free(buf);
	return anyc_scope_leave(&limit, rc);
}

/* --------------------------------------------------------------------------------- a name */

static int look_up(struct lookup *l)
{
	uint16_t id;
	int rc, tries = 0;

	if (getrandom(&id, sizeof id, 0) != sizeof id)
		return -errno;
	rc = dns_write_query(l->query, id, l->name, settings.type);
	if (rc < 0)
		return anyc_fail(rc, 0, "this is no name");
	l->query_size = (size_t)rc;
	do
		rc = ask_once(l);
	while (rc == ANYC_ETIMEDOUT && ++tries < TRIES);
	if (rc == 0 && l->answer.truncated)
		rc = ask_by_tcp(l);
	if (rc == 0 && l->answer.code == DNS_NO_SUCH_NAME)
		rc = anyc_fail(ANYC_EAI_NONAME, 0, "there is no such name");
	else if (rc == 0 && l->answer.code != DNS_NO_ERROR)
		rc = anyc_fail(ANYC_EAI_FAIL, 0, "the server says code %u", l->answer.code);
	return rc;
}

/* The address without its port, which is 0. */
static void print_address(const char *name, const struct anyc_address *a)
{
	char text[80];
	size_t n = anyc_address_format(a, text, sizeof text);

	n -= n > 2 ? 2 : 0;
	if (text[0] == '[')
		n--;
	printf("%s %.*s\n", name, (int)(text[0] == '[' ? n - 1 : n), text + (text[0] == '['));
}

static int run_lookup(void *arg)
{
	struct lookup l = { .name = *(const char **)arg };
	int rc = look_up(&l);
	size_t i;

	for (i = 0; rc == 0 && i < l.answer.addresses.count; i++)
		print_address(l.name, &l.answer.addresses.list[i]);
	if (rc == 0 && l.answer.addresses.count == 0)
		printf("%s: no address of this type\n", l.name);
	if (rc != 0)
		printf("%s: %s\n", l.name, anyc_error_detail(rc));
	anyc_addresses_free(&l.answer.addresses);
	return rc;
}

/* ------------------------------------------------------------------------------ the program */

static int look_all_up(void *arg)
{
	static const struct anyc_group_options all = { .keep_going = true };
	const char **name = arg;
	struct anyc_group g;
	int rc = 0;

	anyc_group_enter(&g, &all);
	for (; *name != NULL && rc == 0; name++)
		rc = anyc_spawn(&g, run_lookup, name);
	rc = anyc_group_leave(&g, rc);
	return rc != 0 ? rc : anyc_group_error_count(&g) > 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: dns [--loop NAME] [--server ADDRESS] [--port N] [--timeout MS] "
			"[--type A|AAAA] NAME...\n");
	return 2;
}

/* --flag VALUE; false: it is none of ours. */
static bool set(struct anyc_run_options *run, const char *flag, const char *value)
{
	if (strcmp(flag, "--loop") == 0)
		run->backend = value;
	else if (strcmp(flag, "--server") == 0)
		settings.server = value;
	else if (strcmp(flag, "--port") == 0)
		settings.port = value;
	else if (strcmp(flag, "--timeout") == 0)
		settings.timeout = atol(value) * ANYC_MILLISECOND;
	else if (strcmp(flag, "--type") == 0)
		settings.type = strcmp(value, "AAAA") == 0 ? DNS_AAAA : DNS_A;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct anyc_run_options run = { .name = "dns" };
	int i = 1, rc;

	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
		if (!set(&run, argv[i], argv[i + 1]))
			return usage();
	if (i >= argc || strncmp(argv[i], "--", 2) == 0 || settings.timeout <= 0)
		return usage();
	rc = anyc_run(&run, look_all_up, argv + i);
	if (rc < 0)
		fprintf(stderr, "dns: %s\n", anyc_error_detail(rc));
	return rc != 0;
}

/* SPDX-License-Identifier: MIT */
/* Names and addresses: semantics.md H22, rule 16.  No name server is asked. */
#include "conform_net.h"
#include "lib/next.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>

#include <anyc/udp.h>

/* --------------------------------------------------------------- getaddrinfo(3), replaced */

/* Names below .test are answered here; "hang.test" when it is let go. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int inside, most, calls;
	bool let_go;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static bool ends_in_test(const char *name)
{
	size_t length = name != NULL ? strlen(name) : 0;

	return length > 5 && strcmp(name + length - 5, ".test") == 0;
}

static void hang(void)
{
	pthread_mutex_lock(&server.lock);
	server.inside++;
	if (server.inside > server.most)
		server.most = server.inside;
	while (!server.let_go)
		pthread_cond_wait(&server.changed, &server.lock);
	server.inside--;
	pthread_mutex_unlock(&server.lock);
}

static int inside_now(void)
{
	int n;

	pthread_mutex_lock(&server.lock);
	n = server.inside;
	pthread_mutex_unlock(&server.lock);
	return n;
}

static void let_go(void)
{
	pthread_mutex_lock(&server.lock);
	server.let_go = true;
	pthread_cond_broadcast(&server.changed);
	pthread_mutex_unlock(&server.lock);
}

static int calls_so_far(void)
{
	int n;

	pthread_mutex_lock(&server.lock);
	n = server.calls;
	pthread_mutex_unlock(&server.lock);
	return n;
}

/* As getaddrinfo(3) would with this name server alone: one try of a second. */
static unsigned silent_port;

static int ask_silent_server(const char *name)
{
	unsigned char buf[512];
	int rc;

	if (res_init() != 0)
		return EAI_SYSTEM;
	_res.nscount = 1;
	_res.nsaddr_list[0].sin_family = AF_INET;
	_res.nsaddr_list[0].sin_port = htons((uint16_t)silent_port);
	_res.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	_res.retrans = 1;
	_res.retry = 1;
	rc = res_query(name, C_IN, T_A, buf, sizeof buf) < 0 ? EAI_AGAIN : EAI_FAIL;
	res_nclose(&_res);
	return rc;
}

/* Seen by libanyc too when it is a library of its own. */
__attribute__((visibility("default")))
int getaddrinfo(const char *restrict host, const char *restrict service,
		const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
	static const struct {
		const char *name;
		int rc, os_errno;
	} failing[] = {
		{ "none.test", EAI_NONAME, 0 },	  { "again.test", EAI_AGAIN, 0 },
		{ "fail.test", EAI_FAIL, 0 },	  { "service.test", EAI_SERVICE, 0 },
		{ "memory.test", EAI_MEMORY, 0 }, { "system.test", EAI_SYSTEM, EMFILE },
		{ "family.test", EAI_FAMILY, 0 }, { "nodata.test", -5, 0 },
	};
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct addrinfo numeric = *hints;
	size_t i;

	next_function(&real, "getaddrinfo");
	pthread_mutex_lock(&server.lock);
	server.calls++;
	pthread_mutex_unlock(&server.lock);
	if (!ends_in_test(host))
		return real(host, service, hints, out);
	for (i = 0; i < sizeof failing / sizeof *failing; i++) {
		if (strcmp(host, failing[i].name) == 0) {
			errno = failing[i].os_errno;
			return failing[i].rc;
		}
	}
	if (strcmp(host, "hang.test") == 0)
		hang();
	if (strcmp(host, "silent.test") == 0)
		return ask_silent_server(host);
	numeric.ai_flags |= AI_NUMERICHOST;
	return real(hints->ai_family == AF_INET6 ? "2001:db8::7" : "192.0.2.7", service, &numeric,
		    out);
}

/* 192.0.2.x: x is 1: found, 2: hangs, then found, 3: nobody, 4: the server is silent. */
__attribute__((visibility("default")))
int getnameinfo(const struct sockaddr *restrict a, socklen_t length, char *restrict host,
		socklen_t host_size, char *restrict service, socklen_t service_size, int flags)
{
	const struct sockaddr_in *in = (const void *)a;
	unsigned x = ntohl(in->sin_addr.s_addr) & 0xff;

	CHECK_INT(length, ==, sizeof *in);
	CHECK_INT(flags, ==, x == 3 ? NI_NAMEREQD : x == 1 ? NI_DGRAM : 0);
	if (x == 2)
		hang();
	if (x > 2)
		return x == 3 ? EAI_NONAME : EAI_AGAIN;
	snprintf(host, host_size, "host%u.test", x);
	snprintf(service, service_size, "%u", ntohs(in->sin_port));
	return 0;
}

static void check_address(const char *file, unsigned line, const struct anyc_address *a,
			  const char *text)
{
	char have[100];

	anyc_address_format(a, have, sizeof have);
	if (strcmp(have, text) != 0)
		anyc_test_fail(file, line, "%s, not %s", have, text);
}
#define CHECK_ADDRESS(a, text) check_address(__FILE__, __LINE__, (a), (text))

/* -------------------------------------------------------------------------------- addresses */

ANYC_TEST(resolve, h22_parse_and_format)
{
	static const struct {
		const char *text, *formatted;
	} good[] = {
		{ "127.0.0.1", "127.0.0.1:80" },
		{ "255.255.255.255", "255.255.255.255:80" },
		{ "::1", "[::1]:80" },
		{ "::", "[::]:80" },
		{ "2001:DB8:0:0::1", "[2001:db8::1]:80" },
		{ "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80" },
	};
	static const char *const bad[] = { "",		 "localhost", "127.0.0",
					   "127.0.0.1.", "1.2.3.256", ":",
					   ":::",	 "[::1]",     "127.0.0.1:80",
					   "12345::",	 " ::1",      "::1 ",
					   "0x7f.0.0.1" };
	struct anyc_address a;
	char small[6];
	size_t i;

	for (i = 0; i < sizeof good / sizeof *good; i++) {
		CHECK_OK(anyc_address_parse(&a, good[i].text, 80));
		CHECK_ADDRESS(&a, good[i].formatted);
		CHECK_INT(anyc_address_port(&a), ==, 80);
	}
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (anyc_address_parse(&a, bad[i], 80) != ANYC_EINVAL)
			FAIL("\"%s\" was taken for an address", bad[i]);
		CHECK_INT(a.length, ==, 0);
	}
	CHECK_RC(anyc_address_parse(&a, "127.0.0.1", 65536), ANYC_EINVAL);
	CHECK_RC(anyc_address_parse(&a, NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_address_parse(NULL, "::1", 1), ANYC_EINVAL);
	CHECK_OK(anyc_address_parse(&a, "127.0.0.1", 80));
	CHECK_INT(anyc_address_format(&a, small, sizeof small), ==, 12);
	CHECK_STR(small, "127.0");
	CHECK_INT(anyc_address_format(&a, NULL, 0), ==, 12);
}

/* ----------------------------------------------------------------------- without a look-up */

ANYC_TEST(resolve, h22_literals_and_localhost_ask_nobody)
{
	struct anyc_resolve_options v4 = { .family = AF_INET }, passive = { .passive = true };
	struct anyc_addresses list;
	int before = calls_so_far();

	CHECK_OK(anyc_resolve(&list, "192.0.2.1", "443", NULL));
	CHECK_INT(list.count, ==, 1);
	CHECK_ADDRESS(&list.list[0], "192.0.2.1:443");
	anyc_addresses_free(&list);
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, "fe80::1%lo", NULL, NULL));
	CHECK_ADDRESS(&list.list[0], "[fe80::1%lo]:0");
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, "localhost", "80", NULL));
	CHECK_INT(list.count, ==, 2);
	CHECK_ADDRESS(&list.list[0], "[::1]:80");
	CHECK_ADDRESS(&list.list[1], "127.0.0.1:80");
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, "LocalHost.", "80", &v4));
	CHECK_INT(list.count, ==, 1);
	CHECK_ADDRESS(&list.list[0], "127.0.0.1:80");
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, NULL, "80", &passive));
	CHECK_INT(list.count, ==, 2);
	CHECK_ADDRESS(&list.list[0], "[::]:80");
	CHECK_ADDRESS(&list.list[1], "0.0.0.0:80");
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, NULL, NULL, NULL));
	CHECK_ADDRESS(&list.list[0], "[::1]:0");
	anyc_addresses_free(&list);
	CHECK_INT(calls_so_far(), ==, before);
}

ANYC_TEST(resolve, h22_bad_arguments)
{
	struct anyc_resolve_options v6 = { .family = AF_INET6 }, odd = { .family = AF_UNIX };
	struct anyc_addresses list = { .count = 9 };

	CHECK_RC(anyc_resolve(NULL, "::1", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_resolve(&list, "", "1", NULL), ANYC_EINVAL);
	CHECK_INT(list.count, ==, 0);
	CHECK(list.list == NULL);
	CHECK_RC(anyc_resolve(&list, "::1", "", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_resolve(&list, "::1", "65536", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_resolve(&list, "::1", "99999999999999999999", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_resolve(&list, "::1", "1", &odd), ANYC_EINVAL);
	CHECK_RC(anyc_resolve(&list, "127.0.0.1", "1", &v6), ANYC_EAI_FAMILY);
	anyc_addresses_free(NULL);
}

ANYC_TEST(resolve, h22_is_a_checkpoint)
{
	struct anyc_addresses list;
	struct anyc_scope scope;
	struct anyc_group g;
	bool ran = false;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, set_flag, &ran));
	CHECK_OK(anyc_resolve(&list, "127.0.0.1", "1", NULL));
	CHECK(ran);
	anyc_addresses_free(&list);
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_scope_enter(&scope, NULL);
	CHECK_OK(anyc_scope_cancel(&scope, NULL));
	CHECK_RC(anyc_resolve(&list, "127.0.0.1", "1", NULL), ANYC_ECANCELED);
	CHECK_RC(anyc_resolve(&list, "hang.test", "1", NULL), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&scope, ANYC_ECANCELED));
}

/* ------------------------------------------------------------------------ in a worker thread */

ANYC_TEST(resolve, h22_a_name)
{
	struct anyc_resolve_options v6 = { .family = AF_INET6 };
	struct anyc_addresses list;

	CHECK_OK(anyc_resolve(&list, "www.test", "443", NULL));
	CHECK_INT(list.count, ==, 1);
	CHECK_ADDRESS(&list.list[0], "192.0.2.7:443");
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, "www.test", NULL, &v6));
	CHECK_ADDRESS(&list.list[0], "[2001:db8::7]:0");
	anyc_addresses_free(&list);
}

ANYC_TEST(resolve, h22_a_service)
{
	struct anyc_addresses list;

	CHECK_RC(anyc_resolve(&list, "127.0.0.1", "nosuchservice", NULL), ANYC_EAI_SERVICE);
	CHECK_STR(anyc_error_detail(ANYC_EAI_SERVICE),
		  "resolve 127.0.0.1: the service nosuchservice is not known");
	if (getservbyname("https", "tcp") == NULL)
		return; /* no table of services here */
	CHECK_OK(anyc_resolve(&list, "::1", "https", NULL));
	CHECK_ADDRESS(&list.list[0], "[::1]:443");
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, "localhost", "https", NULL));
	CHECK_INT(list.count, ==, 2);
	CHECK_INT(anyc_address_port(&list.list[0]), ==, 443);
	anyc_addresses_free(&list);
}

ANYC_TEST(resolve, r16_codes_and_sentences)
{
	static const struct {
		const char *host;
		int rc;
		const char *detail;
	} cases[] = {
		{ "none.test", ANYC_EAI_NONAME, "resolve none.test: the name is not known" },
		{ "nodata.test", ANYC_EAI_NONAME, "resolve nodata.test: the name is not known" },
		{ "again.test", ANYC_EAI_AGAIN,
		  "resolve again.test: the name server failed for now" },
		{ "fail.test", ANYC_EAI_FAIL,
		  "resolve fail.test: the name server failed for good" },
		{ "service.test", ANYC_EAI_SERVICE,
		  "resolve service.test: the service 1 is not known" },
		{ "family.test", ANYC_EAI_FAMILY,
		  "resolve family.test: the name has no address of this family" },
		{ "memory.test", -ENOMEM, "resolve memory.test: cannot allocate memory" },
		{ "system.test", -EMFILE, "resolve system.test: too many open files" },
	};
	struct anyc_addresses list;
	struct anyc_stream *s;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		CHECK_RC(anyc_resolve(&list, cases[i].host, "1", NULL), cases[i].rc);
		CHECK_STR(anyc_error_detail(cases[i].rc), cases[i].detail);
		CHECK(list.list == NULL && list.count == 0);
	}
	/* connect passes them on. */
	CHECK_RC(anyc_tcp_connect(&s, "none.test", "1", NULL), ANYC_EAI_NONAME);
	CHECK_STR(anyc_error_detail(ANYC_EAI_NONAME), "resolve none.test: the name is not known");
}

/* The abandoned look-up frees itself as soon as the loop hears of it. */
static void wait_for_blocks(size_t blocks)
{
	struct anyc_memory_stats now;

	for (;;) {
		anyc_memory_stats(&now);
		if (now.blocks <= blocks)
			return;
		CHECK_OK(anyc_sleep(MS(1)));
	}
}

/* A task that runs every millisecond, and the longest that it was kept from it. */
struct beat {
	const bool *stop;
	int64_t longest;
};

static int beating(void *arg)
{
	struct beat *b = arg;

	while (!*b->stop) {
		int64_t start = clock_now();

		CHECK_OK(anyc_sleep(MS(1)));
		if (clock_now() - start > b->longest)
			b->longest = clock_now() - start;
	}
	return 0;
}

ANYC_TEST(resolve, h22_a_cancelled_look_up_is_left_behind)
{
	struct anyc_memory_stats before;
	struct anyc_addresses list;
	struct anyc_scope limit;
	int64_t start;
	int rc;

	CHECK_OK(anyc_resolve(&list, "warm.test", "1", NULL));
	anyc_addresses_free(&list);
	CHECK_OK(anyc_sleep(1)); /* timers take memory */
	anyc_memory_stats(&before);
	start = clock_now();
	anyc_scope_enter_timeout(&limit, MS(50));
	rc = anyc_resolve(&list, "hang.test", "1", NULL);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	CHECK_TOOK(start, MS(50), MS(150));
	CHECK(list.list == NULL && list.count == 0);
	/* Others go on meanwhile. */
	CHECK_OK(anyc_resolve(&list, "www.test", "1", NULL));
	anyc_addresses_free(&list);
	let_go();
	wait_for_blocks(before.blocks);
}

static int resolve_hanging(void *arg)
{
	struct anyc_addresses list;
	int rc = anyc_resolve(&list, "hang.test", "1", NULL);

	CHECK_RC(rc, 0);
	++*(int *)arg;
	anyc_addresses_free(&list);
	return rc;
}

ANYC_TEST(resolve, h22_at_most_eight_at_once)
{
	struct anyc_addresses list;
	struct anyc_stream *s;
	struct anyc_group g;
	int i, resolved = 0;

	anyc_group_enter(&g, NULL);
	for (i = 0; i < 20; i++)
		CHECK_OK(anyc_spawn(&g, resolve_hanging, &resolved));
	SETTLE();
	while (inside_now() < 8)
		CHECK_OK(anyc_sleep(MS(1)));
	/* Eight that hang delay no literal. */
	CHECK_OK(anyc_resolve(&list, "127.0.0.1", "1", NULL));
	anyc_addresses_free(&list);
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", NULL), -ECONNREFUSED);
	CHECK_INT(resolved, ==, 0);
	let_go();
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(resolved, ==, 20);
	CHECK_INT(server.most, ==, 8);
}

/* A connect is cut by its deadline while the name server is silent; others notice nothing. */
ANYC_TEST(resolve, c18_connect_under_a_deadline)
{
	struct anyc_memory_stats held;
	struct anyc_addresses list;
	struct anyc_scope limit;
	struct anyc_stream *s;
	struct anyc_group g;
	bool stop = false;
	struct beat beat = { .stop = &stop };
	int64_t start;
	int rc;

	CHECK_OK(anyc_resolve(&list, "warm.test", "1", NULL)); /* a thread is there */
	anyc_addresses_free(&list);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, beating, &beat));
	start = clock_now();
	anyc_scope_enter_timeout(&limit, MS(100));
	rc = anyc_tcp_connect(&s, "hang.test", "1", NULL);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	CHECK_TOOK(start, MS(100), MS(150));
	CHECK(s == NULL);
	stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(beat.longest, <, MS(50) * anyc_test_slow());
	while (inside_now() < 1) /* nobody can stop it, and a busy machine may only now begin it */
		CHECK_OK(anyc_sleep(MS(1)));
	anyc_memory_stats(&held);
	let_go();
	wait_for_blocks(held.blocks - 1); /* the look-up frees itself */
}

static int resolve_in_vain(void *arg)
{
	struct anyc_addresses list;

	(void)arg;
	CHECK_RC(anyc_resolve(&list, "hang.test", "1", NULL), ANYC_ECANCELED);
	return ANYC_ECANCELED;
}

/*
 * Look-ups that were given up when they had begun are under way all the same, and count until their
 * threads end.  Those that stood in line are forgotten.
 */
ANYC_TEST(resolve, c18_given_up_they_still_count)
{
	struct anyc_memory_stats held;
	struct anyc_addresses list;
	struct anyc_scope limit;
	struct anyc_stream *s;
	struct anyc_group g;
	int64_t start;
	int i, rc, calls;

	anyc_group_enter(&g, NULL);
	for (i = 0; i < 100; i++)
		CHECK_OK(anyc_spawn(&g, resolve_in_vain, NULL));
	while (inside_now() < 8)
		CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_group_cancel(&g, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	/* They delay no literal. */
	start = clock_now();
	CHECK_RC(anyc_tcp_connect(&s, "127.0.0.1", "1", NULL), -ECONNREFUSED);
	CHECK_TOOK(start, 0, MS(50));
	calls = calls_so_far();
	anyc_memory_stats(&held);
	anyc_scope_enter_timeout(&limit, MS(50));
	rc = anyc_resolve(&list, "www.test", "1", NULL);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	CHECK_INT(calls_so_far(), ==, calls);
	let_go();
	CHECK_OK(anyc_resolve(&list, "www.test", "1", NULL));
	anyc_addresses_free(&list);
	CHECK_INT(calls_so_far(), ==, calls + 1);
	CHECK_INT(server.most, ==, 8);
	wait_for_blocks(held.blocks - 8);
}

static int resolve_warm(void *arg)
{
	struct anyc_addresses list;

	(void)arg;
	CHECK_OK(anyc_resolve(&list, "warm.test", "1", NULL));
	anyc_addresses_free(&list);
	return 0;
}

static int resolve_silently(void *arg)
{
	struct anyc_addresses list;

	(void)arg;
	CHECK_RC(anyc_resolve(&list, "silent.test", "1", NULL), ANYC_ECANCELED);
	return ANYC_ECANCELED;
}

/*
 * A name server that takes the question and says nothing, asked by the C library as it asks any:
 * the thread ends when that gives up, and the task when it is cancelled.
 */
ANYC_TEST_ON(resolve, c18_a_silent_name_server, "anyc", .deadline = 30)
{
	struct anyc_memory_stats held;
	struct anyc_datagram *silent;
	struct anyc_address a;
	struct anyc_group g;
	unsigned char question[512];
	int64_t start;
	int rc;

	/* So that what is made once is there. */
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, resolve_warm, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_OK(anyc_udp_bind(&silent, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_datagram_attribute(silent, &anyc_attribute_local_address, &a, sizeof a));
	silent_port = anyc_address_port(&a);
	CHECK_OK(anyc_sleep(1));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, resolve_silently, NULL));
	/* It is asked, and for that name. */
	rc = anyc_datagram_receive(silent, question, sizeof question);
	CHECK_INT(rc, >, 12 + 13);
	CHECK(memcmp(question + 12, "\6silent\4test", 13) == 0);
	anyc_memory_stats(&held);
	CHECK_OK(anyc_group_cancel(&g, "no answer"));
	start = clock_now();
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_TOOK(start, 0, MS(50));
	wait_for_blocks(held.blocks - 1); /* the look-up frees itself */
	anyc_datagram_free(silent);
}

/* ----------------------------------------------------------------------- names of addresses */

static struct anyc_address numbered(const char *text)
{
	struct anyc_address a;

	CHECK_OK(anyc_address_parse(&a, text, 53));
	return a;
}

ANYC_TEST(resolve, h22_the_name_of_an_address)
{
	struct anyc_address one = numbered("192.0.2.1"), three = numbered("192.0.2.3");
	struct anyc_address four = numbered("192.0.2.4"), none = { .length = 0 };
	struct anyc_name name;

	CHECK_OK(anyc_resolve_address(&name, &one, ANYC_NAME_DATAGRAM));
	CHECK_STR(name.host, "host1.test");
	CHECK_STR(name.service, "53");
	CHECK_RC(anyc_resolve_address(&name, &three, ANYC_NAME_REQUIRED), ANYC_EAI_NONAME);
	CHECK_STR(name.host, "");
	CHECK_RC(anyc_resolve_address(&name, &four, 0), ANYC_EAI_AGAIN);
	CHECK_HAS(anyc_error_detail(ANYC_EAI_AGAIN), "name of 192.0.2.4:53: ");
	CHECK_RC(anyc_resolve_address(NULL, &one, 0), ANYC_EINVAL);
	CHECK_RC(anyc_resolve_address(&name, NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_resolve_address(&name, &one, 4), ANYC_EINVAL);
	CHECK_RC(anyc_resolve_address(&name, &none, 0), ANYC_EINVAL);
}

static int name_hanging(void *arg)
{
	struct anyc_address two = numbered("192.0.2.2");
	struct anyc_name name;

	CHECK_OK(anyc_resolve_address(&name, &two, 0));
	CHECK_STR(name.host, "host2.test");
	++*(int *)arg;
	return 0;
}

ANYC_TEST(resolve, h22_a_cancelled_look_up_of_an_address)
{
	struct anyc_address one = numbered("192.0.2.1"), two = numbered("192.0.2.2");
	struct anyc_memory_stats before;
	struct anyc_scope limit;
	struct anyc_name name;

	CHECK_OK(anyc_resolve_address(&name, &one, ANYC_NAME_DATAGRAM));
	CHECK_OK(anyc_sleep(1)); /* timers take memory */
	anyc_memory_stats(&before);
	anyc_scope_enter_timeout(&limit, MS(20));
	CHECK_RC(anyc_scope_leave(&limit, anyc_resolve_address(&name, &two, 0)), ANYC_ETIMEDOUT);
	CHECK_STR(name.host, "");
	let_go();
	wait_for_blocks(before.blocks);
}

/* Eight of them, and beside those of names. */
ANYC_TEST(resolve, h22_eight_addresses_at_once)
{
	struct anyc_addresses list;
	struct anyc_group g;
	int named = 0, i;

	anyc_group_enter(&g, NULL);
	for (i = 0; i < 12; i++)
		CHECK_OK(anyc_spawn(&g, name_hanging, &named));
	SETTLE();
	while (inside_now() < 8)
		CHECK_OK(anyc_sleep(MS(1)));
	CHECK_OK(anyc_resolve(&list, "www.test", "1", NULL));
	anyc_addresses_free(&list);
	CHECK_INT(named, ==, 0);
	let_go();
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(named, ==, 12);
	CHECK_INT(server.most, ==, 8);
}

/* ------------------------------------------------------------------------------- the hook */

struct book {
	int calls, rc;
	bool wait;
};

static int look_in_book(void *arg, struct anyc_addresses *list, const char *host,
			const char *service, const struct anyc_resolve_options *options)
{
	struct book *book = arg;
	struct anyc_address a;
	int rc = book->wait ? anyc_sleep(MS(1)) : 0;

	book->calls++;
	CHECK_STR(host, "book.test");
	CHECK_STR(service, "99");
	CHECK_INT(options->family, ==, AF_INET);
	if (rc == 0)
		rc = anyc_address_parse(&a, "192.0.2.9", 0);
	if (rc == 0)
		rc = anyc_addresses_add(list, &a);
	if (rc == 0)
		rc = anyc_address_parse(&a, "192.0.2.10", 7);
	if (rc == 0)
		rc = anyc_addresses_add(list, &a);
	return rc != 0 ? rc : book->rc;
}

ANYC_TEST(resolve, h22_a_hook)
{
	struct anyc_resolve_options v4 = { .family = AF_INET };
	struct book book = { .wait = true };
	struct anyc_addresses list;
	int before = calls_so_far();

	anyc_set_resolver(look_in_book, &book);
	CHECK_OK(anyc_resolve(&list, "book.test", "99", &v4));
	CHECK_INT(list.count, ==, 2);
	CHECK_ADDRESS(&list.list[0], "192.0.2.9:99"); /* the port that was asked for */
	CHECK_ADDRESS(&list.list[1], "192.0.2.10:7"); /* one of its own */
	anyc_addresses_free(&list);
	/* Not for literals. */
	CHECK_OK(anyc_resolve(&list, "127.0.0.1", "99", &v4));
	anyc_addresses_free(&list);
	CHECK_OK(anyc_resolve(&list, "localhost", "99", &v4));
	anyc_addresses_free(&list);
	CHECK_INT(book.calls, ==, 1);
	/* A failure frees what was collected. */
	book.rc = anyc_fail(ANYC_EAI_AGAIN, 0, "the book is lent");
	CHECK_RC(anyc_resolve(&list, "book.test", "99", &v4), ANYC_EAI_AGAIN);
	CHECK_STR(anyc_error_detail(ANYC_EAI_AGAIN), "the book is lent");
	CHECK(list.list == NULL && list.count == 0);
	anyc_set_resolver(NULL, NULL);
	CHECK_INT(calls_so_far(), ==, before);
}

ANYC_TEST(resolve, h22_a_list_that_grows)
{
	struct anyc_addresses list = { 0 };
	struct anyc_address a;
	unsigned i;

	for (i = 0; i < 100; i++) {
		CHECK_OK(anyc_address_parse(&a, "192.0.2.1", i));
		CHECK_OK(anyc_addresses_add(&list, &a));
	}
	CHECK_INT(list.count, ==, 100);
	for (i = 0; i < 100; i++)
		CHECK_INT(anyc_address_port(&list.list[i]), ==, i);
	anyc_addresses_free(&list);
	CHECK_RC(anyc_addresses_add(NULL, &a), ANYC_EINVAL);
}

static int say_nothing(void *arg, struct anyc_addresses *list, const char *host,
		       const char *service, const struct anyc_resolve_options *options)
{
	(void)arg;
	(void)list;
	(void)host;
	(void)service;
	(void)options;
	return anyc_sleep_forever();
}

/* A hook is the task's own code: it is cut at once, and nothing of it is left behind. */
ANYC_TEST(resolve, c18_a_hook_that_is_silent)
{
	struct anyc_scope limit;
	struct anyc_stream *s;
	int64_t start = clock_now();
	int rc;

	anyc_set_resolver(say_nothing, NULL);
	anyc_scope_enter_timeout(&limit, MS(100));
	rc = anyc_tcp_connect(&s, "hang.test", "1", NULL);
	CHECK_RC(anyc_scope_leave(&limit, rc), ANYC_ETIMEDOUT);
	CHECK_TOOK(start, MS(100), MS(150));
	CHECK(s == NULL);
	anyc_set_resolver(NULL, NULL);
	CHECK_INT(calls_so_far(), ==, 0);
}

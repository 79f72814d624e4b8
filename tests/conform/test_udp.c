/* SPDX-License-Identifier: MIT */
/* UDP: behaviours 141 to 143, semantics.md H16 to H21. */
#include "conform_datagram.h"
#include "lib/alloc_fault.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>

static struct anyc_datagram *bind_here(void)
{
	struct anyc_datagram *d;

	CHECK_OK(anyc_udp_bind(&d, "127.0.0.1", "0", NULL));
	return d;
}

/* Connected to a socket here. */
static struct anyc_datagram *connect_there(struct anyc_datagram *to)
{
	struct anyc_address a = where_is(to);
	struct anyc_datagram *d;
	char port[8];

	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	CHECK_OK(anyc_udp_connect(&d, "127.0.0.1", port, NULL));
	return d;
}

/* ------------------------------------------------------------------------------- exchanging */

ANYC_TEST(udp, h16_datagrams_are_whole)
{
	struct anyc_datagram *a = bind_here(), *b = bind_here();
	struct anyc_address to = where_is(b), mine = where_is(a), from;
	char buf[8];

	CHECK_OK(anyc_datagram_send_to(a, "first", 5, &to));
	CHECK_OK(anyc_datagram_send_to(a, "", 0, &to));
	CHECK_OK(anyc_datagram_send_to(a, NULL, 0, &to));
	CHECK_OK(anyc_datagram_send_to(a, "longer than the room", 20, &to));
	CHECK_OK(anyc_datagram_send_to(a, "last", 4, &to));
	CHECK_INT(anyc_datagram_receive_from(b, buf, sizeof buf, &from), ==, 5);
	CHECK_INT(memcmp(buf, "first", 5), ==, 0);
	CHECK_INT(anyc_address_port(&from), ==, anyc_address_port(&mine));
	/* Empty ones are no end. */
	CHECK_INT(anyc_datagram_receive(b, buf, sizeof buf), ==, 0);
	CHECK_INT(anyc_datagram_receive(b, NULL, 0), ==, 0);
	CHECK_INT(anyc_datagram_receive(b, buf, sizeof buf), ==, 20);
	CHECK_INT(memcmp(buf, "longer t", 8), ==, 0);
	CHECK_DATAGRAM(b, "last");
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

ANYC_TEST(udp, h17_waiting_for_one)
{
	struct anyc_datagram *a = bind_here(), *b = connect_there(a);
	struct datagram_receiver r = { .socket = a };
	struct anyc_group g;
	int i;

	/* The second time it is registered already. */
	for (i = 0; i < 2; i++) {
		r.done = false;
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, receive_datagram, &r));
		SETTLE();
		CHECK(!r.done);
		CHECK_OK(anyc_datagram_send(b, "one", 3));
		CHECK_OK(anyc_datagram_send(b, "two", 3));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(r.rc, 3);
		CHECK_DATAGRAM(a, "two");
	}
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

ANYC_TEST(udp, h19_connected_hears_its_peer_only)
{
	struct anyc_datagram *peer = bind_here(), *other = bind_here(), *d = connect_there(peer);
	struct anyc_address me = where_is(d), remote, there = where_is(peer);

	CHECK_OK(anyc_datagram_attribute(d, &anyc_attribute_remote_address, &remote,
					 sizeof remote));
	CHECK_INT(anyc_address_port(&remote), ==, anyc_address_port(&there));
	CHECK_OK(anyc_datagram_send_to(other, "not heard", 9, &me));
	CHECK_OK(anyc_datagram_send_to(peer, "heard", 5, &me));
	CHECK_DATAGRAM(d, "heard");
	anyc_datagram_free(peer);
	anyc_datagram_free(other);
	anyc_datagram_free(d);
}

/* The refusal of an earlier datagram: in a waiting receive, and in a send. */
ANYC_TEST(udp, h19_refused_is_broken_and_not_for_good)
{
	struct anyc_datagram *peer = bind_here(), *d = connect_there(peer), *again;
	struct anyc_address there = where_is(peer);
	struct datagram_receiver r = { .socket = d };
	struct anyc_group g;
	char port[8];

	snprintf(port, sizeof port, "%u", anyc_address_port(&there) & 0xffffU);
	CHECK_OK(anyc_datagram_close(peer));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_datagram, &r));
	SETTLE();
	CHECK(!r.done);
	CHECK_OK(anyc_datagram_send(d, "anybody?", 8));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_EBROKEN);
	CHECK_OK(anyc_datagram_send(d, "anybody?", 8));
	CHECK_RC(anyc_datagram_send(d, "told of it", 10), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, ECONNREFUSED);
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "send to 127.0.0.1:");
	CHECK_HAS(anyc_error_detail(ANYC_EBROKEN), "connection refused");
	CHECK_OK(anyc_udp_bind(&again, "127.0.0.1", port, NULL));
	CHECK_OK(anyc_datagram_send(d, "back", 4));
	CHECK_DATAGRAM(again, "back");
	anyc_datagram_free(again);
	anyc_datagram_free(peer);
	anyc_datagram_free(d);
}

/* Nobody is refused on an unconnected one; what is wrong with one datagram is told, and no more. */
ANYC_TEST(udp, h16_errors_of_one_datagram)
{
	static const char huge[70000];
	struct anyc_datagram *a = bind_here(), *b = bind_here();
	struct anyc_address to = where_is(b), nobody, broadcast;
	int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK_OK(anyc_address_parse(&nobody, "127.0.0.1", 0));
	CHECK_INT(bind(silent, (struct sockaddr *)&nobody.storage, nobody.length), ==, 0);
	nobody.length = sizeof nobody.storage;
	CHECK_INT(getsockname(silent, (struct sockaddr *)&nobody.storage, &nobody.length), ==, 0);
	close(silent);
	CHECK_OK(anyc_datagram_send_to(a, "lost", 4, &nobody));
	CHECK_OK(anyc_datagram_send_to(a, "lost", 4, &nobody));
	CHECK_RC(anyc_datagram_send_to(a, huge, sizeof huge, &to), -EMSGSIZE);
	CHECK_HAS(anyc_error_detail(-EMSGSIZE), "send to 127.0.0.1:");
	CHECK_OK(anyc_address_parse(&broadcast, "127.255.255.255", 9));
	CHECK_RC(anyc_datagram_send_to(a, "all", 3, &broadcast), -EACCES);
	CHECK_OK(anyc_datagram_send_to(a, "fits", 4, &to));
	CHECK_DATAGRAM(b, "fits");
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* ------------------------------------------------------------------------ closing, cancelling */

ANYC_TEST(udp, b141_the_port_is_free_after_close)
{
	struct anyc_datagram *d = bind_here(), *again;
	struct datagram_receiver r = { .socket = d };
	struct anyc_address a = where_is(d);
	struct anyc_group g;
	char port[8];

	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	CHECK_RC(anyc_udp_bind(&again, "127.0.0.1", port, NULL), -EADDRINUSE);
	CHECK_HAS(anyc_error_detail(-EADDRINUSE), "bind UDP 127.0.0.1:");
	CHECK(again == NULL);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_datagram, &r));
	SETTLE();
	CHECK_OK(anyc_datagram_close(d));
	CHECK_OK(anyc_udp_bind(&again, "127.0.0.1", port, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	CHECK_OK(anyc_datagram_close(d));
	CHECK_RC(anyc_datagram_receive(d, r.buf, 1), ANYC_ECLOSED);
	CHECK_RC(anyc_datagram_send_to(d, "x", 1, &a), ANYC_ECLOSED);
	anyc_datagram_free(d);
	anyc_datagram_free(again);
	anyc_datagram_free(NULL);
}

/* Freed under a task inside: it returns, and then the memory goes. */
ANYC_TEST(udp, r15_free_with_a_task_inside)
{
	struct datagram_receiver r = { .socket = bind_here() };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_datagram, &r));
	SETTLE();
	anyc_datagram_free(r.socket);
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
}

ANYC_TEST(udp, r15_close_in_a_cancelled_scope)
{
	struct anyc_datagram *d = bind_here();
	struct anyc_scope s;

	anyc_scope_enter(&s, NULL);
	anyc_scope_cancel(&s, "test");
	CHECK_RC(anyc_datagram_close(d), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	CHECK_RC(anyc_datagram_send_to(d, "x", 1, &(struct anyc_address){ .length = 16 }),
		 ANYC_ECLOSED);
	anyc_datagram_free(d);
}

ANYC_TEST(udp, h17_a_cancelled_receive_loses_nothing)
{
	struct anyc_datagram *a = bind_here(), *b = connect_there(a);
	struct datagram_receiver r = { .socket = a };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_datagram, &r));
	SETTLE();
	anyc_scope_cancel(&r.scope, "test");
	CHECK_OK(anyc_datagram_send(b, "kept", 4));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK(r.rc == ANYC_ECANCELED || r.rc == 4);
	if (r.rc == ANYC_ECANCELED)
		CHECK_DATAGRAM(a, "kept");
	anyc_scope_enter(&r.scope, NULL);
	anyc_scope_cancel(&r.scope, "test");
	CHECK_RC(anyc_datagram_send(b, "lost", 4), ANYC_ECANCELED);
	CHECK_RC(anyc_datagram_receive(a, r.buf, sizeof r.buf), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&r.scope, ANYC_ECANCELED));
	CHECK_OK(anyc_datagram_send(b, "next", 4));
	CHECK_DATAGRAM(a, "next"); /* the cancelled one was not sent */
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

ANYC_TEST(udp, r15_busy_per_direction)
{
	struct anyc_datagram *a = bind_here();
	struct anyc_address me = where_is(a);
	struct datagram_receiver r = { .socket = a };
	struct anyc_message m = { .data = r.buf, .size = sizeof r.buf };
	struct anyc_group g;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_datagram, &r));
	SETTLE();
	CHECK_RC(anyc_datagram_receive(a, r.buf, 1), ANYC_EBUSY);
	CHECK_RC(anyc_datagram_receive_many(a, &m, 1, ANYC_NOWAIT), ANYC_EBUSY);
	CHECK_OK(anyc_datagram_send_to(a, "to myself", 9, &me));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, 9);
	anyc_datagram_free(a);
}

/* ------------------------------------------------------------------------------------- many */

enum { MANY = 150 };

ANYC_TEST(udp, h17_many_in_order)
{
	struct anyc_datagram *a = bind_here(), *b = connect_there(a);
	struct anyc_address from = where_is(b);
	struct anyc_message out[MANY] = { 0 }, in[MANY] = { 0 };
	char said[MANY][8], heard[MANY][8];
	size_t sent = 0, have = 0, i;

	for (i = 0; i < MANY; i++) {
		out[i].data = said[i];
		out[i].size = (size_t)snprintf(said[i], sizeof said[i], "%zu", i);
		in[i].data = heard[i];
		in[i].size = sizeof heard[i];
	}
	while (sent < MANY) {
		int n = anyc_datagram_send_many(b, out + sent, MANY - sent, 0);

		CHECK_INT(n, >=, 1);
		sent += (size_t)n;
	}
	while (have < MANY) {
		int n = anyc_datagram_receive_many(a, in + have, MANY - have, 0);

		CHECK_INT(n, >=, 1);
		have += (size_t)n;
	}
	for (i = 0; i < MANY; i++) {
		CHECK_INT(in[i].length, ==, out[i].size);
		CHECK_INT(memcmp(heard[i], said[i], out[i].size), ==, 0);
		CHECK_INT(anyc_address_port(&in[i].address), ==, anyc_address_port(&from));
	}
	CHECK_RC(anyc_datagram_receive_many(a, in, MANY, ANYC_NOWAIT), ANYC_EWOULDBLOCK);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

enum { ALIKE = 32, STRANGER = 20 };

/* Whatever goes as one, each comes as it was: equal ones, a shorter and an empty one, another's. */
ANYC_TEST(udp, h17_many_of_one_size)
{
	struct anyc_datagram *a = bind_here(), *other = bind_here(), *b = bind_here();
	struct anyc_message out[ALIKE] = { 0 };
	char said[ALIKE][100], heard[100];
	size_t sent = 0, i;
	int n;

	for (i = 0; i < ALIKE; i++) {
		memset(said[i], 'a' + (int)i, sizeof said[i]);
		out[i].data = said[i];
		out[i].size = i < ALIKE - 2 ? 100 : i < ALIKE - 1 ? 50 : 0;
		out[i].address = where_is(i != STRANGER ? a : other);
	}
	for (; sent < ALIKE; sent += (size_t)n) {
		n = anyc_datagram_send_many(b, out + sent, ALIKE - sent, 0);
		CHECK_INT(n, >=, 1);
	}
	for (i = 0; i < ALIKE; i++) {
		n = anyc_datagram_receive(i != STRANGER ? a : other, heard, sizeof heard);
		CHECK_INT(n, ==, out[i].size);
		CHECK_INT(memcmp(heard, said[i], out[i].size), ==, 0);
	}
	anyc_datagram_free(a);
	anyc_datagram_free(other);
	anyc_datagram_free(b);
}

/* Longer than the way there takes in one piece, so not as parts of one. */
ANYC_TEST(udp, h17_many_of_the_longest)
{
	static char huge[2][40000], heard[40000];
	struct anyc_datagram *a = bind_here(), *b = connect_there(a);
	struct anyc_message out[2] = { { .data = huge[0], .size = sizeof huge[0] },
				       { .data = huge[1], .size = sizeof huge[1] } };

	memset(huge[1], 'x', sizeof huge[1]);
	CHECK_RC(anyc_datagram_send_many(b, out, 2, 0), 2);
	CHECK_RC(anyc_datagram_receive(a, heard, sizeof heard), sizeof heard);
	CHECK_INT(heard[9], ==, 0);
	CHECK_RC(anyc_datagram_receive(a, heard, sizeof heard), sizeof heard);
	CHECK_INT(heard[39999], ==, 'x');
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* The second is too long: one was sent, and its own error comes when it is the first. */
ANYC_TEST(udp, h17_many_until_one_fails)
{
	static char huge[70000], one[] = "one", three[] = "three";
	struct anyc_datagram *a = bind_here(), *b = bind_here();
	struct anyc_message out[3] = { { .data = one, .size = 3 },
				       { .data = huge, .size = sizeof huge },
				       { .data = three, .size = 5 } };
	struct anyc_message in[3] = { 0 };
	char buf[3][4];
	size_t i;

	for (i = 0; i < 3; i++) {
		out[i].address = where_is(a);
		in[i].data = buf[i];
		in[i].size = sizeof buf[i];
	}
	CHECK_RC(anyc_datagram_send_many(b, out, 3, 0), 1);
	CHECK_RC(anyc_datagram_send_many(b, out + 1, 2, 0), -EMSGSIZE);
	CHECK_RC(anyc_datagram_send_many(b, out + 2, 1, ANYC_NOWAIT), 1);
	CHECK_RC(anyc_datagram_receive_many(a, in, 3, 0), 2);
	CHECK_INT(in[0].length, ==, 3);
	CHECK_INT(in[1].length, ==, 5); /* cut to 4 */
	CHECK_INT(memcmp(buf[1], "thre", 4), ==, 0);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* -------------------------------------------------------------------------------- addresses */

ANYC_TEST(udp, b142_only_a_family)
{
	struct anyc_udp_options v4 = { .family = AF_INET }, v6 = { .family = AF_INET6 };
	struct anyc_datagram *d, *e;
	struct anyc_address a;
	char port[8];

	CHECK_OK(anyc_udp_bind(&d, NULL, "0", &v4));
	a = where_is(d);
	CHECK_INT(a.storage.ss_family, ==, AF_INET);
	CHECK_INT(anyc_address_port(&a), !=, 0);
	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	/* Of IPv6 alone, so that both can have one port. */
	CHECK_OK(anyc_udp_bind(&e, NULL, port, &v6));
	anyc_datagram_free(d);
	CHECK_OK(anyc_udp_bind(&d, NULL, port, &v4));
	a = where_is(d);
	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	a = where_is(e);
	CHECK_INT(anyc_address_port(&a), ==, (unsigned)atoi(port));
	anyc_datagram_free(d);
	anyc_datagram_free(e);
}

ANYC_TEST(udp, b142_a_local_port_without_a_host)
{
	struct anyc_datagram *peer = bind_here(), *d = bind_here(), *e;
	struct anyc_address there = where_is(peer), a = where_is(d);
	struct anyc_udp_options o = { .local_port = anyc_address_port(&a) };
	char port[8];

	snprintf(port, sizeof port, "%u", anyc_address_port(&there) & 0xffffU);
	CHECK_RC(anyc_udp_connect(&e, "127.0.0.1", port, &o), -EADDRINUSE);
	CHECK(e == NULL);
	anyc_datagram_free(d);
	CHECK_OK(anyc_udp_connect(&e, "127.0.0.1", port, &o));
	a = where_is(e);
	CHECK_INT(anyc_address_port(&a), ==, o.local_port);
	anyc_datagram_free(e);
	o = (struct anyc_udp_options){ .local_host = "127.0.0.2" };
	CHECK_OK(anyc_udp_connect(&e, "127.0.0.1", port, &o));
	CHECK_OK(anyc_datagram_send(e, "x", 1));
	CHECK_INT(anyc_datagram_receive_from(peer, (char[1]){ 0 }, 1, &a), ==, 1);
	CHECK_INT(((struct sockaddr_in *)(void *)&a.storage)->sin_addr.s_addr, ==,
		  htonl(0x7f000002));
	anyc_datagram_free(e);
	o.local_host = "::1";
	CHECK_RC(anyc_udp_connect(&e, "127.0.0.1", port, &o), ANYC_EAI_FAMILY);
	anyc_datagram_free(peer);
}

/* One socket for both families; the answer goes to the address that it was told. */
ANYC_TEST(udp, h16_everywhere)
{
	struct anyc_datagram *all, *v4 = bind_here(), *v6;
	struct anyc_address a, from, to;
	char buf[4];

	CHECK_OK(anyc_udp_bind(&all, NULL, "0", NULL));
	CHECK_OK(anyc_udp_bind(&v6, "::1", "0", NULL));
	a = where_is(all);
	CHECK_INT(a.storage.ss_family, ==, AF_INET6);
	CHECK_OK(anyc_address_parse(&to, "127.0.0.1", anyc_address_port(&a)));
	CHECK_OK(anyc_datagram_send_to(v4, "four", 4, &to));
	CHECK_OK(anyc_address_parse(&to, "::1", anyc_address_port(&a)));
	CHECK_OK(anyc_datagram_send_to(v6, "six", 3, &to));
	CHECK_INT(anyc_datagram_receive_from(all, buf, 4, &from), ==, 4);
	CHECK_OK(anyc_datagram_send_to(all, "back", 4, &from));
	CHECK_DATAGRAM(v4, "back");
	CHECK_INT(anyc_datagram_receive_from(all, buf, 4, &from), ==, 3);
	CHECK_OK(anyc_datagram_send_to(all, "back", 4, &from));
	CHECK_DATAGRAM(v6, "back");
	to = where_is(v4);
	CHECK_OK(anyc_datagram_send_to(all, "first", 5, &to));
	CHECK_DATAGRAM(v4, "first");
	anyc_datagram_free(all);
	anyc_datagram_free(v4);
	anyc_datagram_free(v6);
}

ANYC_TEST(udp, h16_options)
{
	struct anyc_udp_options o = { .reuse_port = true }, cast = { .broadcast = true };
	struct anyc_datagram *d, *e;
	struct anyc_address a;
	char port[8];
	int on = 0;
	socklen_t length = sizeof on;

	CHECK_OK(anyc_udp_bind(&d, "127.0.0.1", "0", &o));
	a = where_is(d);
	snprintf(port, sizeof port, "%u", anyc_address_port(&a) & 0xffffU);
	CHECK_RC(anyc_udp_bind(&e, "127.0.0.1", port, NULL), -EADDRINUSE);
	CHECK_OK(anyc_udp_bind(&e, "127.0.0.1", port, &o));
	CHECK_INT(fcntl(fd_of(e), F_GETFL) & O_NONBLOCK, !=, 0);
	CHECK_INT(fcntl(fd_of(e), F_GETFD) & FD_CLOEXEC, !=, 0);
	anyc_datagram_free(e);
	CHECK_OK(anyc_udp_bind(&e, "127.0.0.1", "0", &cast));
	CHECK_INT(getsockopt(fd_of(e), SOL_SOCKET, SO_BROADCAST, &on, &length), ==, 0);
	CHECK_INT(on, ==, 1);
	anyc_datagram_free(e);
	anyc_datagram_free(d);
}

ANYC_TEST(udp, h29_multicast)
{
	struct anyc_udp_options alone = { .family = AF_INET6 };
	struct anyc_udp_options shared = { .family = AF_INET, .reuse_address = true };
	struct anyc_datagram *d, *from = bind_here();
	struct anyc_address a, to;
	struct ip_mreqn by = { .imr_ifindex = (int)if_nametoindex("lo") };
	char group[24], sentence[40];

	/* A process's own: a socket hears of any group that somebody here has joined (ip(7),
	 * IP_MULTICAST_ALL). */
	snprintf(group, sizeof group, "239.3.%d.%d", getpid() >> 8 & 0xff, getpid() & 0xff);
	snprintf(sentence, sizeof sentence, "leave %s: ", group);
	CHECK_OK(anyc_udp_bind(&d, NULL, "0", &shared));
	a = where_is(d);
	CHECK_OK(anyc_address_parse(&to, group, anyc_address_port(&a)));
	CHECK_INT(setsockopt(fd_of(from), IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by), ==, 0);
	CHECK_OK(anyc_datagram_send_to(from, "too early", 9, &to));
	CHECK_OK(anyc_udp_join(d, group, "lo"));
	CHECK_RC(anyc_udp_join(d, group, "1"), -EADDRINUSE);
	CHECK_OK(anyc_datagram_send_to(from, "hello all", 9, &to));
	CHECK_DATAGRAM(d, "hello all");
	CHECK_OK(anyc_udp_leave(d, group, "lo"));
	CHECK_RC(anyc_udp_leave(d, group, "lo"), -EADDRNOTAVAIL);
	CHECK_HAS(anyc_error_detail(-EADDRNOTAVAIL), sentence);
	anyc_datagram_free(d);
	/* The group's own scope names the interface. */
	CHECK_OK(anyc_udp_bind(&d, "::", "0", NULL));
	CHECK_OK(anyc_udp_join(d, "ff02::1234%lo", NULL));
	CHECK_OK(anyc_udp_leave(d, "ff02::1234", "lo"));
	CHECK_RC(anyc_udp_join(d, "nonsense", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_udp_join(d, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_udp_join(d, "ff02::1", "no-such-interface"), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "no interface no-such-interface");
	CHECK_RC(anyc_udp_join(d, "10.0.0.1", NULL), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "10.0.0.1 is the address of one host");
	CHECK_RC(anyc_udp_join(d, "2001:db8::1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_udp_join(from, "ff02::1234", "lo"), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "the group is of IPv6");
	CHECK_RC(anyc_udp_join(NULL, "ff02::1", NULL), ANYC_EINVAL);
	CHECK_OK(anyc_datagram_close(d));
	CHECK_RC(anyc_udp_join(d, "ff02::1", NULL), ANYC_ECLOSED);
	anyc_datagram_free(d);
	/* One that speaks both families hears groups of both. */
	CHECK_OK(anyc_udp_bind(&d, NULL, "0", NULL));
	CHECK_OK(anyc_udp_join(d, group, "lo"));
	a = where_is(d);
	CHECK_OK(anyc_address_parse(&to, group, anyc_address_port(&a)));
	CHECK_OK(anyc_datagram_send_to(from, "all", 3, &to));
	CHECK_DATAGRAM(d, "all");
	anyc_datagram_free(d);
	CHECK_OK(anyc_udp_bind(&d, "::1", "0", &alone));
	CHECK_RC(anyc_udp_join(d, group, "lo"), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "the socket of IPv6 alone");
	anyc_datagram_free(d);
	anyc_datagram_free(from);
}

/* ---------------------------------------------------------------------------- bad arguments */

ANYC_TEST(udp, h16_bad_arguments)
{
	struct anyc_datagram *d = (void *)&d, *u = bind_here();
	struct anyc_udp_options far = { .local_port = 65536 }, local = { .local_port = 1 };
	struct anyc_message m = { .data = NULL, .size = 1 }, empty = { 0 };
	struct anyc_address a, long_one = { .length = sizeof long_one.storage + 1 };
	int fd;

	CHECK_RC(anyc_udp_bind(NULL, NULL, "0", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_udp_bind(&d, NULL, NULL, NULL), ANYC_EINVAL);
	CHECK(d == NULL);
	CHECK_RC(anyc_udp_bind(&d, NULL, "65536", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_udp_bind(&d, NULL, "0", &local), ANYC_EINVAL);
	CHECK_RC(anyc_udp_bind(&d, "192.0.2.1", "0", NULL), -EADDRNOTAVAIL);
	CHECK_RC(anyc_udp_connect(&d, NULL, "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_udp_connect(&d, "127.0.0.1", "1", &far), ANYC_EINVAL);
	CHECK_RC(anyc_udp_connect(NULL, "127.0.0.1", "1", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive(NULL, &fd, 1), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive(u, NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send(u, "x", 1), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "not connected");
	CHECK_RC(anyc_datagram_send_to(u, NULL, 1, &long_one), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_to(u, "x", 1, &long_one), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send(NULL, "x", 1), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive_many(u, &m, 1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive_many(u, &empty, 0, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive_many(u, &empty, 1, 4), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive_many(u, NULL, 1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_receive_many(NULL, &empty, 1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_send_many(u, &empty, 1, 0), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_close(NULL), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_attribute(u, &anyc_attribute_remote_address, &a, sizeof a),
		 ANYC_ENOATTR);
	CHECK_RC(anyc_datagram_attribute(u, &anyc_attribute_fd, &a, sizeof a), ANYC_EINVAL);
	CHECK_RC(anyc_datagram_attribute(u, NULL, &a, sizeof a), ANYC_EINVAL);
	CHECK_OK(anyc_datagram_close(u));
	CHECK_RC(anyc_datagram_attribute(u, &anyc_attribute_fd, &fd, sizeof fd), ANYC_ECLOSED);
	anyc_datagram_free(u);
}

/* ------------------------------------------------------------------------------------- adopt */

static void refused(int fd, const char *part)
{
	struct anyc_datagram *d = (void *)&fd;
	int flags = fcntl(fd, F_GETFL);

	CHECK_RC(anyc_udp_adopt(&d, fd), ANYC_EINVAL);
	CHECK(d == NULL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), part);
	CHECK_INT(fcntl(fd, F_GETFL), ==, flags);
	CHECK_INT(close(fd), ==, 0);
}

static int bound_udp(void)
{
	struct anyc_address a;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK_OK(anyc_address_parse(&a, "127.0.0.1", 0));
	CHECK_INT(bind(fd, (struct sockaddr *)&a.storage, a.length), ==, 0);
	return fd;
}

ANYC_TEST(udp, b143_adopting)
{
	struct anyc_datagram *d, *peer = bind_here();
	struct anyc_address a = where_is(peer);
	int pipe_[2], pair[2], fd = bound_udp();

	CHECK_INT(pipe2(pipe_, O_CLOEXEC), ==, 0);
	refused(pipe_[0], "no socket");
	refused(pipe_[1], "no socket");
	CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	refused(pair[0], "IPv4 or IPv6");
	refused(pair[1], "IPv4 or IPv6");
	refused(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "no datagram socket");
	refused(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "not bound");
	CHECK_RC(anyc_udp_adopt(NULL, 0), ANYC_EINVAL);
	CHECK_RC(anyc_udp_adopt(&d, -1), -EBADF);
	CHECK_OK(anyc_udp_adopt(&d, fd));
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, !=, 0);
	CHECK_RC(anyc_datagram_send(d, "x", 1), ANYC_EINVAL); /* it is not connected */
	CHECK_OK(anyc_datagram_send_to(d, "hi", 2, &a));
	CHECK_DATAGRAM(peer, "hi");
	anyc_datagram_free(d);
	CHECK_INT(fcntl(fd, F_GETFD), ==, -1);
	fd = bound_udp();
	CHECK_INT(connect(fd, (struct sockaddr *)&a.storage, a.length), ==, 0);
	CHECK_OK(anyc_udp_adopt(&d, fd));
	CHECK_OK(anyc_datagram_send(d, "again", 5));
	CHECK_DATAGRAM(peer, "again");
	anyc_datagram_free(d);
	anyc_datagram_free(peer);
}

/* --------------------------------------------------------------------------- without memory */

static int exchange(void *arg)
{
	struct anyc_datagram *a = NULL, *b = NULL, *c = NULL;
	struct anyc_address to;
	int rc = anyc_udp_bind(&a, "localhost", "0", NULL), fd = bound_udp(), also;
	char buf[4];

	(void)arg;
	CHECK((rc == 0) == (a != NULL));
	also = anyc_udp_adopt(&c, fd);
	if (also != 0)
		CHECK_INT(close(fd), ==, 0);
	if (rc == 0)
		to = where_is(a);
	if (rc == 0)
		rc = anyc_udp_bind(&b, NULL, "0", NULL);
	CHECK((rc == 0) == (b != NULL));
	if (rc == 0)
		rc = anyc_datagram_send_to(b, "x", 1, &to);
	if (rc == 0)
		rc = anyc_datagram_receive(a, buf, sizeof buf);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
	anyc_datagram_free(c);
	return rc < 0 ? rc : also;
}

static int exchange_on_row(void *arg)
{
	struct host h;

	return host_run_task(&h, anyc_test_row(), exchange, arg, "exchange");
}

ANYC_TEST_MAIN(udp, r16_without_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	check_alloc_sweep(exchange_on_row, NULL, 1);
}

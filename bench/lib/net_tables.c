/* SPDX-License-Identifier: MIT */
/* What is measured by bench/net, against what, and the goals. */
#include "net_tables.h"

#include "server.h"

#define LEAST 0.97 /* of the throughput for each second of CPU */

/* ------------------------------------------------------------------------------------ sides */

#define BY_HAND(title, file, how) \
	{.peer = {.name = title, .program = file, .variant = how}, .by_hand = true}
#define OTHER(title, file) {.peer = {.name = title, .program = file, .variant = ""}}
#define ANYC(title, loop, beside) \
	{.peer = {.name = title, .program = "net_anyc", .variant = loop}, \
	 .native = beside, .is_anyc = true}

static struct side echo_sides[] = {
	BY_HAND("epoll by hand", "net_epoll", ""),
	BY_HAND("libuv by hand (uv_poll)", "net_uv", ""),
	BY_HAND("libuv by hand (uv_tcp)", "net_uv", "tcp"),
	BY_HAND("libevent by hand (event_new)", "net_event", ""),
	BY_HAND("libev by hand (ev_io)", "net_ev", ""),
	OTHER("libevent's bufferevent", "net_bufferevent"),
	OTHER("libst", "net_st"),
	OTHER("Go's net", "net_go"),
	ANYC("anyc alone", "anyc", 0),
	ANYC("anyc on libuv", "libuv", 1),
	ANYC("anyc on libevent", "libevent", 3),
	ANYC("anyc on libev", "libev", 4),
};

static struct side bulk_sides[] = {
	BY_HAND("blocking sockets", "net_blocking", ""),
	OTHER("libevent's bufferevent", "net_bufferevent"),
	OTHER("Go's net", "net_go"),
	BY_HAND("epoll by hand", "net_epoll", ""),
	ANYC("anyc alone", "anyc", 0),
	ANYC("anyc on libuv", "libuv", 0),
	ANYC("anyc on libevent", "libevent", 0),
	ANYC("anyc on libev", "libev", 0),
};

static struct side tls_sides[] = {
	BY_HAND("epoll by hand, BIO in memory", "net_tls", "memory"),
	BY_HAND("epoll by hand, BIO of socket", "net_tls", "socket"),
	OTHER("libevent's bufferevent_ssl", "net_bufferevent"),
	OTHER("Go's crypto/tls", "net_go"),
	ANYC("anyc alone", "anyc", 0),
	ANYC("anyc on libuv", "libuv", 0),
	ANYC("anyc on libevent", "libevent", 0),
	ANYC("anyc on libev", "libev", 0),
};

static struct side delay_sides[] = {
	ANYC("anyc alone", "anyc", 0),
	ANYC("anyc on libuv", "libuv", 0),
	ANYC("anyc on libevent", "libevent", 0),
	ANYC("anyc on libev", "libev", 0),
};

/* ----------------------------------------------------------------------------------- tables */

struct table net_tables[NET_TABLES] = {
	{"echo", echo_sides, sizeof echo_sides / sizeof *echo_sides,
	 {{"/by hand", NATIVE, {1.10, 1.05}},
	  {"/epoll", 0, {1.10, 1.10}},
	  {"/buffer", 5, {1, 1}},
	  {"/libst", 6, {1, 1}},
	  {"/Go", 7, {1, 1}}},
	 {{"1", {"64 bytes there and back, 1 connection", "us/request", SERVER_ECHO, LOAD_ECHO,
		 FIGURE_CPU, 1, false, 1e-3}, 0},
	  {"64", {"64 bytes there and back, 64 connections", "us/request", SERVER_ECHO, LOAD_ECHO,
		  FIGURE_CPU, 64, false, 1e-3}, 0},
	  {"512", {"64 bytes there and back, 512 connections", "us/request", SERVER_ECHO,
		   LOAD_ECHO, FIGURE_CPU, 512, false, 1e-3}, 0},
	  {"10,000", {"64 bytes there and back, 10,000 connections", "us/request", SERVER_ECHO,
		      LOAD_ECHO, FIGURE_CPU, 10000, false, 1e-3}, 0}}},
	{"bulk", bulk_sides, sizeof bulk_sides / sizeof *bulk_sides,
	 {{"/blocking", 0, {1 / LEAST, 1 / LEAST}}, {"/buffer", 1, {1, 1}}, {"/Go", 2, {1, 1}}},
	 {{"sends", {"bulk, 64 KiB writes, the server sends", "s/GB", SERVER_SEND, LOAD_HEAR,
		     FIGURE_CPU, 1, false, 1}, 0},
	  {"receives", {"bulk, the server receives", "s/GB", SERVER_RECEIVE, LOAD_SAY,
			FIGURE_CPU, 1, false, 1}, 0}}},
	{"tls", tls_sides, sizeof tls_sides / sizeof *tls_sides,
	 {{"/memory", 0, {1 / LEAST, 1 / LEAST}},
	  {"/socket", 1, {1 / LEAST, 1 / LEAST}},
	  {"/buffer", 2, {1, 1}},
	  {"/Go", 3, {1, 1}}},
	 {{"1", {"TLS: 64 bytes there and back, 1 connection", "us/request", SERVER_ECHO, LOAD_ECHO,
		 FIGURE_CPU, 1, true, 1e-3}, 0},
	  {"64", {"TLS: 64 bytes there and back, 64 connections", "us/request", SERVER_ECHO,
		  LOAD_ECHO, FIGURE_CPU, 64, true, 1e-3}, 0},
	  {"sends", {"TLS: bulk, the server sends", "s/GB", SERVER_SEND, LOAD_HEAR, FIGURE_CPU, 1,
		     true, 1}, 0},
	  {"receives", {"TLS: bulk, the server receives", "s/GB", SERVER_RECEIVE, LOAD_SAY,
			FIGURE_CPU, 1, true, 1}, 0},
	  {"handshakes", {"TLS: full handshakes", "us each", SERVER_ECHO, LOAD_HANDSHAKES,
			  FIGURE_CPU, 0, true, 1e-3}, 0}}},
	{"memory", echo_sides, sizeof echo_sides / sizeof *echo_sides,
	 {{NULL, 0, {0, 0}}},
	 {{"plain", {"memory, 10,000 idle connections", "bytes", SERVER_ECHO, LOAD_IDLE,
		     FIGURE_RESIDENT, 10000, false, 1}, 6144}}},
	{"memory", tls_sides, sizeof tls_sides / sizeof *tls_sides,
	 {{NULL, 0, {0, 0}}},
	 {{"TLS", {"memory, 2,000 idle connections with TLS", "bytes", SERVER_ECHO, LOAD_IDLE,
		   FIGURE_RESIDENT, 2000, true, 1}, 40960}}},
	/* Their goals are set by the first. */
	{"delay", delay_sides, sizeof delay_sides / sizeof *delay_sides,
	 {{NULL, 0, {0, 0}}},
	 {{"", {"TLS: bulk, the server sends, nobody else", "s/GB", SERVER_SEND, LOAD_HEAR,
		FIGURE_CPU, 1, true, 1}, 0},
	  {"sends", {"delay of another task, 1 in 100 longer: bulk, sending", "us", SERVER_SEND,
		     LOAD_HEAR, FIGURE_WAIT, 1, true, 1e-3}, 0},
	  {"receives", {"delay of another task, 1 in 100 longer: bulk, receiving", "us",
			SERVER_RECEIVE, LOAD_SAY, FIGURE_WAIT, 1, true, 1e-3}, 0},
	  {"handshakes", {"delay of another task, 1 in 100 longer: handshakes", "us", SERVER_ECHO,
			  LOAD_HANDSHAKES, FIGURE_WAIT, 0, true, 1e-3}, 0}}},
};

/* SPDX-License-Identifier: MIT */
/* The file server's reading of requests and its choices, alone, with hostile input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "files/http.h"

static struct http_request r;

/* In memory of just its size, so that a look beyond it is seen. */
static int parse_bytes(const char *data, size_t size)
{
	char *copy = malloc(size + (size == 0));
	int rc;

	cr_assert_not_null(copy);
	memcpy(copy, data, size);
	memset(&r, 0x5a, sizeof r);
	rc = http_parse(&r, copy, size);
	free(copy);
	return rc;
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static int get(const char *target)
{
	char text[3 * HTTP_LINE_MAX];

	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
	return parse(text);
}

static int with(const char *fields)
{
	char text[2048];

	snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", fields);
	return parse(text);
}

#define IS(got, want) \
	do { \
		int got_ = (got), want_ = (want); \
		cr_assert(got_ == want_, "%s is %d, not %d", #got, got_, want_); \
	} while (0)

/* ------------------------------------------------------------------------------ request line */

Test(http, methods)
{
	IS(parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
	cr_assert(!r.head && !r.old && r.keep_alive && !r.body && r.directory);
	cr_assert_eq(r.size, 27);
	IS(parse("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\nGET"), 200);
	cr_assert(r.head && !r.directory);
	cr_assert_eq(r.size, 29);
	IS(parse("POST /x HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
	cr_assert(r.keep_alive && r.size > 0);
	IS(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
	IS(parse("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
	IS(parse("BREW /x HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
	IS(parse("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
	IS(parse("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
	IS(parse(" / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

Test(http, versions)
{
	IS(parse("GET / HTTP/1.0\r\n\r\n"), 200);
	cr_assert(r.old && !r.keep_alive);
	IS(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200);
	cr_assert(r.keep_alive);
	IS(parse("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), 200);
	IS(parse("GET / HTTP/2.0\r\n"), 505);
	IS(parse("GET / HTTP/0.9\r\n"), 505);
	IS(parse("GET / HTTP/11\r\n"), 400);
	IS(parse("GET / http/1.1\r\n"), 400);
	IS(parse("GET / HTTP/1.1 \r\n"), 400);
	IS(parse("GET  / HTTP/1.1\r\n"), 400);
	IS(parse("GET /\r\n"), 400);
	IS(parse("GET\r\n"), 400);
}

Test(http, line_ends)
{
	IS(parse("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
	IS(parse("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400);
	IS(parse("GET / HTTP/1.1\r\nHost: a\n\n"), 400);
	IS(parse("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400);
	IS(parse("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
	IS(parse("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), 400);
	IS(parse("\n"), 400);
}

/* ------------------------------------------------------------------------------------ target */

static void path_is(const char *target, const char *path, bool directory)
{
	IS(get(target), 200);
	cr_assert_str_eq(r.path, path, "%s is %s, not %s", target, r.path, path);
	cr_assert_eq(r.directory, directory, "%s", target);
}

Test(http, paths)
{
	path_is("/", "", true);
	path_is("/a", "a", false);
	path_is("/a/", "a", true);
	path_is("//a///b", "a/b", false);
	path_is("/a/./b/.", "a/b", true);
	path_is("/a/b/../c", "a/c", false);
	path_is("/a/..", "", true);
	path_is("/a/b/..", "a", true);
	path_is("/.../..a/b..", ".../..a/b..", false);
	path_is("/%61%2f%62%20c", "a/b c", false);
	path_is("/a%3Fb?c/../../d", "a?b", false);
	path_is("/%C3%A9", "\xc3\xa9", false);
	path_is("http://host:80/a", "a", false);
	path_is("HTTPS://host?x", "", true);
	path_is("http://host", "", true);
}

Test(http, no_paths)
{
	static const char *const targets[] = {
		"a", "*", "?", "ftp://a/b", "http:///a", "http://", "/..", "/../a", "/a/../..",
		"/a/../../b", "/%2e%2e/a", "/%2E%2E%2fa", "/a/%2e./../../b", "/%", "/%4", "/%4g",
		"/%g4", "/%00", "/a%00b", "/a#b", "/%%41", "http://a#b",
	};
	size_t i;

	for (i = 0; i < sizeof targets / sizeof *targets; i++) {
		int rc = get(targets[i]);

		cr_assert(rc == 400, "%s is %d", targets[i], rc);
	}
	IS(parse("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
	IS(parse("GET /\x1f HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

/* ------------------------------------------------------------------------------------ fields */

Test(http, host)
{
	IS(parse("GET / HTTP/1.1\r\n\r\n"), 400);
	IS(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 200);
	IS(parse("GET / HTTP/1.1\r\nhOsT:\t [::1]:80 \r\n\r\n"), 200);
	IS(with("Host: a"), 400);
	IS(with("Host: b"), 400);
	IS(parse("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
	IS(parse("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
}

Test(http, malformed_fields)
{
	IS(with("a: \x80\xff\t b"), 200);
	IS(with("a"), 400);
	IS(with(": a"), 400);
	IS(with("a : b"), 400);
	IS(with(" a: b"), 400);
	IS(with("a: b\r\n folded"), 400);
	IS(with("a: \x01"), 400);
	IS(with("a: \x7f"), 400);
	IS(with("a\x80: b"), 400);
	IS(parse_bytes("GET / HTTP/1.1\r\nHost: a\r\nb: \0\r\n\r\n", 33), 400);
}

Test(http, content)
{
	IS(with("Content-Length: 0"), 200);
	cr_assert(!r.body && r.keep_alive);
	IS(with("Content-Length: 10"), 200);
	cr_assert(r.body && !r.keep_alive);
	IS(with("Transfer-Encoding: chunked"), 200);
	cr_assert(r.body && !r.keep_alive);
	IS(with("Content-Length: 0\r\nContent-Length: 0"), 400);
	IS(with("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400);
	IS(with("Transfer-Encoding: chunked\r\nContent-Length: 0"), 400);
	IS(with("Content-Length: +1"), 400);
	IS(with("Content-Length: 1, 1"), 400);
	IS(with("Content-Length:"), 400);
	IS(with("Content-Length: 0x1"), 400);
	IS(with("Content-Length: 99999999999999999999999999"), 200);
	cr_assert(r.body);
	IS(parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

Test(http, connection)
{
	IS(with("Connection: close"), 200);
	cr_assert(!r.keep_alive);
	IS(with("Connection: keep-alive , CLOSE"), 200);
	cr_assert(!r.keep_alive);
	IS(with("Connection: closed,,"), 200);
	cr_assert(r.keep_alive);
	IS(with("Connection: a\r\nConnection: close"), 200);
	cr_assert(!r.keep_alive);
}

/* ------------------------------------------------------------------------------------ limits */

Test(http, limits)
{
	static char text[HTTP_HEAD_MAX + 100];
	size_t used, i;

	/* A request line, complete and not. */
	memset(text, 'a', sizeof text);
	memcpy(text, "GET /", 5);
	IS(parse_bytes(text, HTTP_LINE_MAX), 0);
	IS(parse_bytes(text, HTTP_LINE_MAX + 1), 414);
	memcpy(text + HTTP_LINE_MAX, " HTTP/1.1\r\n", 11);
	IS(parse_bytes(text, HTTP_LINE_MAX + 11), 414);
	/* A path. */
	memcpy(text + 5 + HTTP_PATH_MAX - 1, " HTTP/1.1\r\nHost: a\r\n\r\n", 22);
	IS(parse_bytes(text, 5 + HTTP_PATH_MAX - 1 + 22), 200);
	cr_assert_eq(strlen(r.path), HTTP_PATH_MAX - 1);
	memset(text + 5, 'a', HTTP_PATH_MAX);
	memcpy(text + 5 + HTTP_PATH_MAX, " HTTP/1.1\r\nHost: a\r\n\r\n", 22);
	IS(parse_bytes(text, 5 + HTTP_PATH_MAX + 22), 414);
	/* All of it. */
	used = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nb: ");
	memset(text + used, 'b', sizeof text - used);
	IS(parse_bytes(text, HTTP_HEAD_MAX - 1), 0);
	IS(parse_bytes(text, HTTP_HEAD_MAX), 431);
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	IS(parse_bytes(text, HTTP_HEAD_MAX), 200);
	memset(text + HTTP_HEAD_MAX - 4, 'b', 4);
	memcpy(text + HTTP_HEAD_MAX - 3, "\r\n\r\n", 4);
	IS(parse_bytes(text, HTTP_HEAD_MAX + 1), 431);
	/* Fields, with the one of the host. */
	used = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (i = 1; i < HTTP_FIELDS_MAX; i++, used += 4)
		memcpy(text + used, "b:\r\n", 4);
	memcpy(text + used, "\r\n", 2);
	IS(parse_bytes(text, used + 2), 200);
	memcpy(text + used, "b:\r\n\r\n", 6);
	IS(parse_bytes(text, used + 6), 431);
	/* Empty lines without end. */
	for (i = 0; i < sizeof text; i++)
		text[i] = i % 2 == 0 ? '\r' : '\n';
	IS(parse_bytes(text, HTTP_HEAD_MAX), 431);
}

/* ----------------------------------------------------------------------------- hostile input */

static const char whole[] = "GET http://h/a%20b/%2e/..//c?q HTTP/1.1\r\nHost: h:1\r\n"
			    "Range: bytes=0-1\r\nIf-None-Match: W/\"a\", \"b\"\r\n"
			    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
			    "Content-Length: 0\r\nConnection: keep-alive, close\r\n\r\n";

/* What must hold whatever came. */
static void look(const char *data, size_t size)
{
	static const struct http_file file = { 1000, 784111777, "\"b\"" };
	struct http_choice choice;
	int status = parse_bytes(data, size);
	char *copy;

	switch (status) {
	case 0: case 400: case 414: case 431: case 505:
		cr_assert(!r.keep_alive && r.size == 0);
		return;
	case 405: case 501:
		cr_assert(r.size > 0 && r.size <= size);
		return;
	}
	cr_assert_eq(status, 200);
	cr_assert(r.size > 0 && r.size <= size);
	cr_assert_not_null(memchr(r.path, '\0', HTTP_PATH_MAX));
	cr_assert(r.path[0] != '/' && strcmp(r.path, "..") != 0);
	cr_assert(strncmp(r.path, "../", 3) != 0 && strstr(r.path, "/../") == NULL);
	cr_assert(strlen(r.path) < 3 || strcmp(r.path + strlen(r.path) - 3, "/..") != 0);
	/* Its texts are looked at where they lie. */
	copy = malloc(size);
	cr_assert_not_null(copy);
	memcpy(copy, data, size);
	cr_assert_eq(http_parse(&r, copy, size), 200);
	choice = http_choose(&r, &file);
	free(copy);
	cr_assert(choice.first >= 0 && choice.size >= 0 && choice.first + choice.size <= 1000);
}

Test(http, cut_off_anywhere)
{
	size_t i;

	for (i = 0; i < sizeof whole - 1; i++) {
		IS(parse_bytes(whole, i), 0);
		look(whole, i);
	}
	IS(parse_bytes(whole, i), 200);
	cr_assert_str_eq(r.path, "c");
}

Test(http, every_byte_everywhere)
{
	char text[sizeof whole];
	size_t i;
	int byte;

	for (i = 0; i < sizeof whole - 1; i++)
		for (byte = 0; byte < 256; byte++) {
			memcpy(text, whole, sizeof whole);
			text[i] = (char)byte;
			look(text, sizeof whole - 1);
		}
}

Test(http, random_damage)
{
	static const char pieces[] = "\r\n\r\n:% /.,-=\"\0\xff";
	char text[sizeof whole];
	unsigned round, k;

	srand(1);
	for (round = 0; round < 100000; round++) {
		memcpy(text, whole, sizeof whole);
		for (k = 0; k < 1 + round % 4; k++)
			text[(size_t)rand() % (sizeof whole - 1)] =
				pieces[(size_t)rand() % sizeof pieces];
		look(text, 1 + (size_t)rand() % (sizeof whole - 1));
	}
}

/* ----------------------------------------------------------------------------------- choices */

static const struct http_file file = { 1000, 784111777, "\"b\"" };

static struct http_choice choose(const char *method, const char *fields)
{
	char text[2048];
	int n = snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", method,
			 fields);

	cr_assert_eq(http_parse(&r, text, (size_t)n), 200, "%s", fields);
	return http_choose(&r, &file);
}

static void chosen(const char *fields, int status, int64_t first, int64_t size)
{
	struct http_choice c = choose("GET", fields);

	cr_assert(c.status == status && c.first == first && c.size == size,
		  "%s: %d, %lld bytes from %lld", fields, c.status, (long long)c.size,
		  (long long)c.first);
}

Test(http, ranges)
{
	chosen("Range: bytes=0-0", 206, 0, 1);
	chosen("Range: BYTES= 10-19 ", 206, 10, 10);
	chosen("Range: bytes=10-", 206, 10, 990);
	chosen("Range: bytes=990-2000", 206, 990, 10);
	chosen("Range: bytes=-10", 206, 990, 10);
	chosen("Range: bytes=-2000", 206, 0, 1000);
	chosen("Range: bytes=1000-", 416, 0, 0);
	chosen("Range: bytes=-0", 416, 0, 0);
	chosen("Range: bytes=99999999999999999999-", 416, 0, 0);
	chosen("Range: bytes=1-99999999999999999999", 206, 1, 999);
	chosen("Range: bytes=-99999999999999999999", 206, 0, 1000);
	/* None, or none that we know. */
	chosen("Range: bytes=2-1", 200, 0, 1000);
	chosen("Range: bytes=-", 200, 0, 1000);
	chosen("Range: bytes=", 200, 0, 1000);
	chosen("Range: bytes=1", 200, 0, 1000);
	chosen("Range: bytes=0-1,5-6", 200, 0, 1000);
	chosen("Range: bytes=0-1x", 200, 0, 1000);
	chosen("Range: bytes=--1", 200, 0, 1000);
	chosen("Range: lines=0-1", 200, 0, 1000);
	chosen("Range:", 200, 0, 1000);
	cr_assert_eq(choose("HEAD", "Range: bytes=0-1").status, 200);
}

Test(http, an_empty_file_has_no_range)
{
	static const struct http_file empty = { 0, 0, "\"e\"" };

	choose("GET", "Range: bytes=0-");
	r.range = (struct http_text){ "bytes=0-", 8 };
	cr_assert_eq(http_choose(&r, &empty).status, 416);
	r.range = (struct http_text){ "bytes=-5", 8 };
	cr_assert_eq(http_choose(&r, &empty).status, 416);
}

Test(http, conditional_ranges)
{
	chosen("Range: bytes=0-1\r\nIf-Range: \"b\"", 206, 0, 2);
	chosen("Range: bytes=0-1\r\nIf-Range: \"c\"", 200, 0, 1000);
	chosen("Range: bytes=0-1\r\nIf-Range: W/\"b\"", 200, 0, 1000);
	chosen("Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", 206, 0, 2);
	chosen("Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT", 200, 0, 1000);
	chosen("Range: bytes=0-1\r\nIf-Range: x", 200, 0, 1000);
}

Test(http, conditions)
{
	chosen("If-None-Match: \"b\"", 304, 0, 0);
	chosen("If-None-Match: W/\"b\"", 304, 0, 0);
	chosen("If-None-Match: \"a\" , W/\"c\",,\"b\"", 304, 0, 0);
	chosen("If-None-Match: *", 304, 0, 0);
	chosen("If-None-Match: \"c\"", 200, 0, 1000);
	chosen("If-None-Match: b", 200, 0, 1000);
	chosen("If-None-Match: \"b", 200, 0, 1000);
	chosen("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304, 0, 0);
	chosen("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304, 0, 0);
	chosen("If-Modified-Since: Sun Nov  6 08:49:37 1994", 304, 0, 0);
	chosen("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200, 0, 1000);
	chosen("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT, x", 200, 0, 1000);
	chosen("If-Modified-Since: never", 200, 0, 1000);
	/* A tag goes before a date. */
	chosen("If-None-Match: \"c\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200, 0,
	       1000);
	chosen("If-Match: \"b\"", 200, 0, 1000);
	chosen("If-Match: *", 200, 0, 1000);
	chosen("If-Match: W/\"b\"", 412, 0, 0);
	chosen("If-Match: \"c\"", 412, 0, 0);
	chosen("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 412, 0, 0);
	chosen("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200, 0, 1000);
	cr_assert_eq(choose("HEAD", "If-None-Match: \"b\"").status, 304);
}

Test(http, dates)
{
	char text[HTTP_DATE_SIZE];
	time_t when = 0;

	http_write_date(text, 784111777);
	cr_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	cr_assert(http_read_date(&when, (struct http_text){ text, strlen(text) }));
	cr_assert_eq(when, 784111777);
	http_write_date(text, (time_t)INT64_MAX);
	cr_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	cr_assert(!http_read_date(&when, (struct http_text){ NULL, 0 }));
	cr_assert(!http_read_date(&when, (struct http_text){ "", 0 }));
	cr_assert(!http_read_date(&when, (struct http_text){ whole, sizeof whole }));
}

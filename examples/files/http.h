/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP/1.1 request (RFC 9110, RFC 9112), read from memory, and what it asks of a
 * file.  Pure functions: no input or output, no memory of their own.
 */
#ifndef EXAMPLES_FILES_HTTP_H
#define EXAMPLES_FILES_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
	HTTP_LINE_MAX = 8000,  /* the request line */
	HTTP_HEAD_MAX = 16384, /* all of a head */
	HTTP_FIELDS_MAX = 100,
	HTTP_PATH_MAX = 2048,
	HTTP_PATH_SPARE = 16, /* behind a path, to append a name */
	HTTP_ETAG_MAX = 48,
	HTTP_DATE_SIZE = 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" */
};

/* A part of the head; at is NULL if there is none. */
struct http_text {
	const char *at;
	size_t size;
};

struct http_request {
	size_t size; /* of the head, with the empty line */
	bool head;   /* the method is HEAD, and not GET */
	bool old;    /* the version is 1.0 */
	bool keep_alive;
	bool body;      /* content follows: it is not read, so keep_alive is false */
	bool directory; /* the path ended in a slash, which is left out */
	/* Fields; the first line of a name counts. */
	struct http_text range, if_range, if_match, if_none_match;
	struct http_text if_modified_since, if_unmodified_since;
	/* Decoded, without a slash in front, without empty, "." and ".." segments. */
	char path[HTTP_PATH_MAX + HTTP_PATH_SPARE];
};

/*
 * Reads a head.  Texts point into data.
 *   0    it is not complete yet
 *   200  a GET or HEAD request
 *   405, 501  a request with another method, one that is known or not
 *   400, 414, 431, 505  what was received, or its beginning, is no request: only `head`, `old`
 *        and keep_alive, which is false, are set
 */
int http_parse(struct http_request *out, const char *data, size_t size);

/* What can be asked for. */
struct http_file {
	int64_t size;
	time_t modified;
	char etag[HTTP_ETAG_MAX]; /* strong, with its quotes */
};
struct http_choice {
	int status; /* 200, 206, 304, 412, 416 */
	int64_t first, size; /* what is to be sent; of 200 all, of 304, 412 and 416 nothing */
};
/* Evaluates the conditions and the range of a request, in the order of RFC 9110 13.2.2. */
struct http_choice http_choose(const struct http_request *r, const struct http_file *f);

/* Dates as HTTP writes them.  Reads the two old forms as well; false if it is none. */
void http_write_date(char out[HTTP_DATE_SIZE], time_t when);
bool http_read_date(time_t *out, struct http_text text);

#endif

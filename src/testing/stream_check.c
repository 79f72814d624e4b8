/* SPDX-License-Identifier: MIT */
/* The stream check: runs promises one by one, and what they have in common; see stream_check.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/scope.h>
#include <anyc/time.h>

#include "stream_check.h"

#define PATIENCE (10 * ANYC_SECOND)
#define CLOG ((size_t)8 << 20)

/* --------------------------------------------------------------------------------- failing */

void anyc__broken(const struct anyc__run *r, unsigned line, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	anyc_test_fail(__FILE__, line, "%s breaks the promise \"%s\": %s",
		       r->check.name != NULL ? r->check.name : "the stream", r->promise, text);
}

void anyc__want_rc(const struct anyc__run *r, unsigned line, const char *what, int rc, int want)
{
	if (rc == want)
		return;
	anyc__broken(r, line, "%s is %d %s (%s), not %d %s", what, rc,
		     rc < 0 ? anyc_err_name(rc) : "", rc < 0 ? anyc_error_detail(rc) : "", want,
		     want < 0 ? anyc_err_name(want) : "");
}

/* ------------------------------------------------------------------------- data and sizes */

size_t anyc__random_size(struct anyc__run *r, size_t most)
{
	r->random = r->random * 1103515245U + 12345U;
	return 1 + (r->random >> 8) % most;
}

unsigned char anyc__byte_at(const struct anyc__run *r, size_t i)
{
	uint32_t x = (uint32_t)i * 2654435761U + r->check.seed;

	x = x >> 24 ^ x >> 11;
	return (unsigned char)(anyc__has_limit(r, ANYC_STREAM_TEXT) ? x & 0x7f : x);
}

unsigned char *anyc__data_make(const struct anyc__run *r, size_t size)
{
	unsigned char *data = malloc(size);
	size_t i;

	if (data == NULL)
		anyc_test_fail(__FILE__, __LINE__, "no memory for %zu bytes of data", size);
	for (i = 0; i < size; i++)
		data[i] = anyc__byte_at(r, i);
	return data;
}

static void compare(const struct anyc__run *r, const unsigned char *data, size_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		WANT(r, data[i] == anyc__byte_at(r, at + i),
		     "byte %zu that came is not the one that was sent", at + i);
}

void anyc__receive_data(struct anyc__run *r, struct anyc_stream *s, size_t at, size_t n,
			size_t most)
{
	unsigned char buf[4096];
	size_t have = 0;

	while (have < n) {
		size_t size = anyc__random_size(r, most != 0 ? most : sizeof buf);
		int rc;

		size = size < n - have ? size : n - have;
		rc = anyc_stream_receive(s, buf, size);
		WANT(r, rc > 0, "receive gave %d %s (%s) after %zu of %zu bytes", rc,
		     rc < 0 ? anyc_err_name(rc) : "the end", anyc_error_detail(rc), have, n);
		WANT(r, (size_t)rc <= size, "receive gave %d bytes where %zu had room", rc, size);
		compare(r, buf, at + have, (size_t)rc);
		have += (size_t)rc;
	}
}

size_t anyc__receive_to_end(struct anyc__run *r, struct anyc_stream *s)
{
	unsigned char buf[8192];
	size_t have = 0;
	int rc;

	while ((rc = anyc_stream_receive(s, buf, anyc__random_size(r, sizeof buf))) > 0) {
		compare(r, buf, have, (size_t)rc);
		have += (size_t)rc;
	}
	anyc__want_rc(r, __LINE__, "receive at the end", rc, 0);
	return have;
}

void anyc__end_sending(struct anyc__run *r, struct anyc_stream *s)
{
	if (anyc__has_limit(r, ANYC_STREAM_NO_SEND_EOF))
		WANT_OK(r, anyc_stream_close(s));
	else
		WANT_OK(r, anyc_stream_send_eof(s));
}

/* --------------------------------------------------------------------------------- running */

static void make_pair(struct anyc__run *r)
{
	int rc = r->check.make(r->check.arg, &r->a, &r->b);

	if (rc != 0)
		anyc_test_fail(__FILE__, __LINE__, "%s: no pair could be made: %s",
			       r->check.name != NULL ? r->check.name : "streams",
			       anyc_error_detail(rc));
}

static void look_at(struct anyc__run *r, const struct anyc__promise *p)
{
	struct anyc_scope limit;

	r->promise = p->text;
	r->random = r->check.seed;
	anyc_scope_enter_timeout(&limit, r->check.patience * anyc_test_slow());
	make_pair(r);
	p->look(r);
	anyc_stream_free(r->a);
	anyc_stream_free(r->b);
	if (anyc_scope_leave(&limit, 0) != 0)
		BROKEN(r, "it takes too long");
}

void anyc_stream_check_sized(const struct anyc_stream_check *check, size_t size)
{
	struct anyc__run r = { 0 };
	size_t i;

	memcpy(&r.check, check, size < sizeof r.check ? size : sizeof r.check);
	if (r.check.seed == 0)
		r.check.seed = 1;
	if (r.check.clog == 0)
		r.check.clog = CLOG;
	if (r.check.patience == 0)
		r.check.patience = PATIENCE;
	for (i = 0; i < anyc__promise_count; i++)
		if ((anyc__promises[i].not_with & r.check.limits) == 0)
			look_at(&r, &anyc__promises[i]);
}

/* SPDX-License-Identifier: MIT */
/*
 * Conditions, ranges and dates; see http.h.
 *
 * A condition or range that is malformed, and what RFC 9110 lets a server ignore (other units, more
 * than one range), is as if it were not there.
 */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------------------------- dates */

void http_write_date(char out[HTTP_DATE_SIZE], time_t when)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;

	/* The locale has no say, and a year has four digits. */
	if (gmtime_r(&when, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099) {
		when = 0;
		gmtime_r(&when, &tm);
	}
	snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT",
		 days[(unsigned)tm.tm_wday % 7], (unsigned)tm.tm_mday % 100,
		 months[(unsigned)tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100);
}

bool http_read_date(time_t *out, struct http_text text)
{
	/* As now; of RFC 850; of asctime(3). */
	static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT",
					     "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y" };
	char copy[64];
	size_t i;

	if (text.at == NULL || text.size >= sizeof copy)
		return false;
	memcpy(copy, text.at, text.size);
	copy[text.size] = '\0';
	for (i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = { 0 };
		const char *end = strptime(copy, forms[i], &tm);

		if (end != NULL && *end == '\0') {
			*out = timegm(&tm);
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------------------ entity tags */

struct cursor {
	const char *at, *end;
};

static void skip(struct cursor *c, const char *set)
{
	while (c->at < c->end && *c->at != '\0' && strchr(set, *c->at) != NULL)
		c->at++;
}

/* The next tag of a list, with its quotes; false at the end, or where it is none. */
static bool take_tag(struct cursor *c, struct http_text *tag, bool *weak)
{
	const char *end;

	skip(c, " \t,");
	*weak = c->end - c->at >= 2 && memcmp(c->at, "W/", 2) == 0;
	c->at += *weak ? 2 : 0;
	if (c->end - c->at < 2 || *c->at != '"')
		return false;
	end = memchr(c->at + 1, '"', (size_t)(c->end - c->at) - 1);
	if (end == NULL)
		return false;
	*tag = (struct http_text){ c->at, (size_t)(end + 1 - c->at) };
	c->at = end + 1;
	return true;
}

/* Whether the file's tag is in a list, or the list is "*".  A weak one is not it where weak ones do
 * not count. */
static bool lists(struct http_text list, const char *etag, bool weak_counts)
{
	struct cursor c = { list.at, list.at + list.size };
	struct http_text tag;
	bool weak;

	if (list.size == 1 && *list.at == '*')
		return true;
	while (take_tag(&c, &tag, &weak))
		if ((weak_counts || !weak) && tag.size == strlen(etag) &&
		    memcmp(tag.at, etag, tag.size) == 0)
			return true;
	return false;
}

/* -------------------------------------------------------------------------------- conditions */

/* 200, 304 or 412. */
static int judge(const struct http_request *r, const struct http_file *f)
{
	time_t when;

	if (r->if_match.at != NULL) {
		if (!lists(r->if_match, f->etag, false))
			return 412;
	} else if (http_read_date(&when, r->if_unmodified_since) && f->modified > when) {
		return 412;
	}
	if (r->if_none_match.at != NULL)
		return lists(r->if_none_match, f->etag, true) ? 304 : 200;
	return http_read_date(&when, r->if_modified_since) && f->modified <= when ? 304 : 200;
}

/* Whether a range is still one of what the client knows. */
static bool is_known(const struct http_request *r, const struct http_file *f)
{
	struct cursor c;
	struct http_text tag;
	time_t when;
	bool weak;

	if (r->if_range.at == NULL)
		return true;
	c = (struct cursor){ r->if_range.at, r->if_range.at + r->if_range.size };
	if (take_tag(&c, &tag, &weak))
		return !weak && lists(r->if_range, f->etag, false);
	return http_read_date(&when, r->if_range) && when == f->modified;
}

/* ------------------------------------------------------------------------------------ ranges */

/* Digits; -1 if there are none.  What no file can have is INT64_MAX. */
static int64_t take_number(struct cursor *c)
{
	int64_t n = -1;

	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
		int digit = *c->at - '0';

		n = n < 0 ? 0 : n;
		n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
	}
	return n;
}

/* "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-COUNT": false if it is something else. */
static bool read_range(struct http_text text, int64_t *first, int64_t *last)
{
	static const char unit[] = "bytes=";
	struct cursor c;

	if (text.at == NULL || text.size < sizeof unit - 1 ||
	    strncasecmp(text.at, unit, sizeof unit - 1) != 0)
		return false;
	c = (struct cursor){ text.at + sizeof unit - 1, text.at + text.size };
	skip(&c, " \t");
	*first = take_number(&c);
	if (c.at == c.end || *c.at++ != '-')
		return false;
	*last = take_number(&c);
	skip(&c, " \t");
	return c.at == c.end && (*first >= 0 || *last >= 0) && (*last < 0 || *first <= *last);
}

static struct http_choice choose_range(int64_t first, int64_t last, int64_t size)
{
	if (first < 0) {
		/* The last bytes; no bytes are none. */
		first = last >= size ? 0 : size - last;
		last = size - 1;
	} else if (last < 0 || last >= size) {
		last = size - 1;
	}
	if (first >= size)
		return (struct http_choice){ .status = 416 };
	return (struct http_choice){ 206, first, last - first + 1 };
}

struct http_choice http_choose(const struct http_request *r, const struct http_file *f)
{
	int status = judge(r, f);
	int64_t first, last;

	if (status != 200)
		return (struct http_choice){ .status = status };
	/* Of other methods than GET ranges are not defined. */
	if (!r->head && read_range(r->range, &first, &last) && is_known(r, f))
		return choose_range(first, last, f->size);
	return (struct http_choice){ 200, 0, f->size };
}

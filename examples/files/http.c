/* SPDX-License-Identifier: MIT */
/*
 * The head of a request; see http.h.
 *
 * Rules
 *  - What comes is a stranger's: a byte is looked at only between at and end.
 *  - Lines end in CR LF, and neither stands anywhere else.  Where implementations differ (folded
 *    lines, a blank before a colon, two lengths, two hosts) the request is refused: two readers of
 *    one connection must not see two requests.
 *  - It begins anew with each call, as a head almost always comes at once; one that comes byte by
 *    byte costs HTTP_HEAD_MAX looks at HTTP_HEAD_MAX bytes, which takes milliseconds.
 */
#include "http.h"

#include <string.h>
#include <strings.h>

struct cursor {
	const char *at, *end;
};

struct fields {
	unsigned count, hosts;
	bool length, coding; /* Content-Length, Transfer-Encoding were there */
	bool content;        /* and say that there is some */
	bool close, keep;    /* what Connection says */
};

/* -------------------------------------------------------------------------------- characters */

static bool is_alphanumeric(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_one_of(unsigned char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool is_token(struct http_text t)
{
	size_t i;

	for (i = 0; i < t.size; i++)
		if (!is_alphanumeric((unsigned char)t.at[i]) &&
		    !is_one_of((unsigned char)t.at[i], "!#$%&'*+-.^_`|~"))
			return false;
	return t.size > 0;
}

/* Visible characters, blanks, and bytes of no meaning to HTTP. */
static bool is_value(struct http_text t)
{
	size_t i;

	for (i = 0; i < t.size; i++) {
		unsigned char c = (unsigned char)t.at[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_host(struct http_text t)
{
	size_t i;

	for (i = 0; i < t.size; i++)
		if (!is_alphanumeric((unsigned char)t.at[i]) &&
		    !is_one_of((unsigned char)t.at[i], "-._~!$&'()*+,;=%:[]"))
			return false;
	return true;
}

static bool is(struct http_text t, const char *word)
{
	return t.size == strlen(word) && strncasecmp(t.at, word, t.size) == 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct http_text trim(struct http_text t)
{
	while (t.size > 0 && is_one_of((unsigned char)t.at[0], " \t")) {
		t.at++;
		t.size--;
	}
	while (t.size > 0 && is_one_of((unsigned char)t.at[t.size - 1], " \t"))
		t.size--;
	return t;
}

/* What stands before a character, which is taken along; false if it does not come. */
static bool take_until(struct cursor *c, char what, struct http_text *out)
{
	const char *found = memchr(c->at, what, (size_t)(c->end - c->at));

	if (found == NULL)
		return false;
	*out = (struct http_text){ c->at, (size_t)(found - c->at) };
	c->at = found + 1;
	return true;
}

/* A line without its end: 200, 400, or 0 if the end has not come. */
static int take_line(struct cursor *c, struct http_text *line)
{
	if (!take_until(c, '\n', line))
		return 0;
	if (line->size == 0 || line->at[line->size - 1] != '\r')
		return 400;
	line->size--;
	return memchr(line->at, '\r', line->size) == NULL ? 200 : 400;
}

/* ------------------------------------------------------------------------------------ target */

/*
 * Ends a segment that begins at *begin and ends at *used: "." and an empty one vanish, ".." takes
 * the one before along.  False if there is none before.
 */
static bool end_segment(const char *path, size_t *begin, size_t *used)
{
	size_t size = *used - *begin;

	if (size == 2 && memcmp(path + *begin, "..", 2) == 0) {
		if (*begin == 0)
			return false;
		*used = *begin - 1;
		while (*used > 0 && path[*used - 1] != '/')
			(*used)--;
		*begin = *used;
	} else if (size == 1 && path[*begin] == '.') {
		*used = *begin;
	}
	return true;
}

/* Takes one character of a path, decoded; negative if it is none. */
static int take_character(struct cursor *c)
{
	int high, low;

	if (*c->at != '%')
		return *c->at == '#' ? -1 : (unsigned char)*c->at++;
	if (c->end - c->at < 3)
		return -1;
	high = hex(c->at[1]);
	low = hex(c->at[2]);
	c->at += 3;
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static int read_path(struct http_request *out, struct cursor c)
{
	size_t used = 0, begin = 0;

	while (c.at < c.end && *c.at != '?') {
		int character = take_character(&c);

		if (character <= 0)
			return 400;
		if (used == HTTP_PATH_MAX - 1)
			return 414;
		if (character != '/') {
			out->path[used++] = (char)character;
			continue;
		}
		if (!end_segment(out->path, &begin, &used))
			return 400;
		if (used > begin) {
			out->path[used++] = '/';
			begin = used;
		}
	}
	if (!end_segment(out->path, &begin, &used))
		return 400;
	out->directory = used == begin;
	out->path[used - (out->directory && used > 0)] = '\0';
	return 200;
}

/* "/path?query", or the same behind "http://host". */
static int read_target(struct http_request *out, struct http_text target)
{
	struct cursor c = { target.at, target.at + target.size };
	size_t scheme = 0;

	if (target.size >= 7 && strncasecmp(target.at, "http://", 7) == 0)
		scheme = 7;
	else if (target.size >= 8 && strncasecmp(target.at, "https://", 8) == 0)
		scheme = 8;
	c.at += scheme;
	if (scheme != 0) {
		if (c.at == c.end || is_one_of((unsigned char)*c.at, "/?#"))
			return 400;
		while (c.at < c.end && !is_one_of((unsigned char)*c.at, "/?#"))
			c.at++;
	} else if (c.at == c.end || *c.at != '/') {
		return 400;
	}
	return read_path(out, c);
}

/* ------------------------------------------------------------------------------ request line */

/* 200, 400 or 505. */
static int read_version(struct http_request *out, struct http_text t)
{
	if (t.size != 8 || memcmp(t.at, "HTTP/", 5) != 0 || t.at[6] != '.' || t.at[5] < '0' ||
	    t.at[5] > '9' || t.at[7] < '0' || t.at[7] > '9')
		return 400;
	out->old = t.at[5] == '1' && t.at[7] == '0';
	return t.at[5] == '1' ? 200 : 505;
}

/* 200, 405 or 501.  Unlike fields, methods have a case. */
static int read_method(struct http_request *out, struct http_text t)
{
	static const char known[][8] = { "POST", "PUT", "DELETE", "CONNECT",
					 "OPTIONS", "TRACE", "PATCH" };
	size_t i;

	out->head = t.size == 4 && memcmp(t.at, "HEAD", 4) == 0;
	if (out->head || (t.size == 3 && memcmp(t.at, "GET", 3) == 0))
		return 200;
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (t.size == strlen(known[i]) && memcmp(t.at, known[i], t.size) == 0)
			return 405;
	return 501;
}

/* The method's status if all else is well. */
static int read_request_line(struct http_request *out, struct http_text line)
{
	struct cursor c = { line.at, line.at + line.size };
	struct http_text method, target, version;
	int status;
	size_t i;

	if (!take_until(&c, ' ', &method) || !take_until(&c, ' ', &target) || !is_token(method))
		return 400;
	version = (struct http_text){ c.at, (size_t)(c.end - c.at) };
	for (i = 0; i < target.size; i++)
		if (target.at[i] <= ' ' || target.at[i] > '~')
			return 400;
	if (target.size == 0)
		return 400;
	status = read_version(out, version);
	if (status != 200)
		return status;
	/* What other methods ask for need not be a path. */
	status = read_method(out, method);
	if (status == 200)
		status = read_target(out, target);
	return status;
}

/* ------------------------------------------------------------------------------------ fields */

static void read_connection(struct fields *f, struct http_text value)
{
	struct cursor c = { value.at, value.at + value.size };
	struct http_text option;
	bool more;

	do {
		more = take_until(&c, ',', &option);
		if (!more)
			option = (struct http_text){ c.at, (size_t)(c.end - c.at) };
		option = trim(option);
		f->close |= is(option, "close");
		f->keep |= is(option, "keep-alive");
	} while (more);
}

static int read_length(struct fields *f, struct http_text value)
{
	size_t i;

	if (f->length || value.size == 0)
		return 400;
	f->length = true;
	for (i = 0; i < value.size; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return 400;
		f->content |= value.at[i] != '0';
	}
	return 200;
}

static struct http_text *field_of(struct http_request *out, struct http_text name)
{
	if (is(name, "range"))
		return &out->range;
	if (is(name, "if-none-match"))
		return &out->if_none_match;
	if (is(name, "if-modified-since"))
		return &out->if_modified_since;
	if (is(name, "if-range"))
		return &out->if_range;
	if (is(name, "if-match"))
		return &out->if_match;
	return is(name, "if-unmodified-since") ? &out->if_unmodified_since : NULL;
}

static int read_field(struct http_request *out, struct fields *f, struct http_text line)
{
	struct cursor c = { line.at, line.at + line.size };
	struct http_text name, value, *field;

	if (++f->count > HTTP_FIELDS_MAX)
		return 431;
	if (!take_until(&c, ':', &name) || !is_token(name))
		return 400;
	value = trim((struct http_text){ c.at, (size_t)(c.end - c.at) });
	if (!is_value(value))
		return 400;
	if (is(name, "host"))
		return ++f->hosts == 1 && is_host(value) ? 200 : 400;
	if (is(name, "content-length"))
		return read_length(f, value);
	if (is(name, "transfer-encoding")) {
		f->coding = f->content = true;
		return out->old ? 400 : 200;
	}
	if (is(name, "connection"))
		read_connection(f, value);
	field = field_of(out, name);
	if (field != NULL && field->at == NULL)
		*field = value;
	return 200;
}

/* What only all fields together tell. */
static int judge_fields(struct http_request *out, const struct fields *f)
{
	if (f->length && f->coding)
		return 400;
	if (!out->old && f->hosts == 0)
		return 400;
	out->body = f->content;
	out->keep_alive = !f->close && !f->content && (!out->old || f->keep);
	return 200;
}

/* ---------------------------------------------------------------------------------- the head */

/* Not all has come: is it too much already? */
static int judge_incomplete(size_t line, size_t all)
{
	if (line > HTTP_LINE_MAX)
		return 414;
	return all >= HTTP_HEAD_MAX ? 431 : 0;
}

/* The request line, behind empty lines that a client may have left behind the content before. */
static int parse_line(struct http_request *out, struct cursor *c, const char *data)
{
	struct http_text line;
	int rc;

	do
		rc = take_line(c, &line);
	while (rc == 200 && line.size == 0);
	if (rc == 0)
		return judge_incomplete((size_t)(c->end - c->at), (size_t)(c->end - data));
	if (line.size > HTTP_LINE_MAX)
		return 414;
	return rc == 200 ? read_request_line(out, line) : rc;
}

int http_parse(struct http_request *out, const char *data, size_t size)
{
	struct cursor c = { data, data + size };
	struct fields f = { 0 };
	struct http_text line;
	int status, rc;

	memset(out, 0, offsetof(struct http_request, path));
	status = parse_line(out, &c, data);
	if (status != 200 && status != 405 && status != 501)
		return status;
	while ((rc = take_line(&c, &line)) == 200 && line.size > 0) {
		rc = read_field(out, &f, line);
		if (rc != 200)
			return rc;
	}
	if (rc == 0)
		return judge_incomplete(0, size);
	if ((size_t)(c.at - data) > HTTP_HEAD_MAX)
		return 431;
	if (rc == 200)
		rc = judge_fields(out, &f);
	if (rc != 200)
		return rc;
	out->size = (size_t)(c.at - data);
	return status;
}

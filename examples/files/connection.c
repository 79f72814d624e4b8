/* SPDX-License-Identifier: MIT */
/*
 * One connection; see connection.h.
 *
 * Rules
 *  - One request at a time: it is read, answered, and what came behind it is the next.  A request
 *    that comes at once and whole costs one receive; its answer, from a small file, one send.
 *  - Everything has an end: the wait for a request (IDLE), a request that has begun (patience,
 *    answered by 408), an answer (patience, and a second for each SLOWEST bytes), the goodbye.
 *  - Who breaks off, or takes too long to read, is no error of ours.
 */
#include "connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define IDLE (60 * ANYC_SECOND)
#define GOODBYE (5 * ANYC_SECOND)
#define SIZE_HUGE ((int64_t)1 << 40) /* its sending takes forever, and no number overflows */
enum { SLOWEST = 16384 /* bytes a second that a client must read */ };

struct connection {
	struct connection *next, **at; /* in the server's list */
	struct server *server;
	struct anyc_stream *stream;
	struct anyc_scope *idle; /* while nothing of a request has come */
	size_t used;
	char data[HTTP_HEAD_MAX];
	struct http_request request;
};

/* What goes before a body; never near its end but by the path of a redirection. */
struct head {
	size_t size;
	char text[512 + 3 * HTTP_PATH_MAX];
};

/* ------------------------------------------------------------------------------------- heads */

static void add(struct head *h, const char *text, size_t size)
{
	memcpy(h->text + h->size, text, size);
	h->size += size;
}

__attribute__((format(printf, 2, 3))) static void add_line(struct head *h, const char *format, ...)
{
	size_t room = sizeof h->text - h->size;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(h->text + h->size, room, format, args);
	va_end(args);
	if (n > 0)
		h->size += (size_t)n < room ? (size_t)n : room - 1;
}

/* "Date: ...", made once a second. */
static const char *date_line(void)
{
	static char line[6 + HTTP_DATE_SIZE + 2];
	static time_t made;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != made || made == 0) {
		char date[HTTP_DATE_SIZE];

		made = now.tv_sec;
		http_write_date(date, made);
		snprintf(line, sizeof line, "Date: %s\r\n", date);
	}
	return line;
}

static const char *phrase(int status)
{
	switch (status) {
	case 200: return "OK";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 412: return "Precondition Failed";
	case 414: return "URI Too Long";
	case 416: return "Range Not Satisfiable";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Internal Server Error";
	}
}

static void begin(struct head *h, const struct http_request *r, int status)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n";
	static const char last[] = "Connection: close\r\n", more[] = "Connection: keep-alive\r\n";
	const char *date = date_line();

	h->size = 0;
	if (status == 200)
		add(h, ok, sizeof ok - 1);
	else
		add_line(h, "HTTP/1.1 %d %s\r\n", status, phrase(status));
	add(h, date, strlen(date));
	if (!r->keep_alive)
		add(h, last, sizeof last - 1);
	else if (r->old)
		add(h, more, sizeof more - 1);
}

/* ------------------------------------------------------------------------------------ answers */

/* Sends pieces, in one system call as a rule, and then a part of a file; f may be NULL. */
static int send_pieces(struct connection *c, const struct iovec *iov, int count,
		       const struct cached *f, const struct http_choice *part)
{
	int64_t size = f == NULL ? 0 : part->size < SIZE_HUGE ? part->size : SIZE_HUGE;
	struct anyc_scope limit;
	int rc;

	anyc_scope_enter_timeout(&limit, c->server->patience + size / SLOWEST * ANYC_SECOND);
	rc = anyc_stream_sendv(c->stream, iov, count);
	if (rc == 0 && f != NULL)
		rc = anyc_stream_send_file(c->stream, f->fd, part->first, (size_t)part->size);
	return anyc_scope_leave(&limit, rc);
}

/* An answer without a file: a sentence.  What is in more are lines of its head. */
static int send_plain(struct connection *c, int status, const char *more)
{
	const struct http_request *r = &c->request;
	char body[64];
	struct head h;
	struct iovec iov[2];
	int n = snprintf(body, sizeof body, "%d %s\n", status, phrase(status));

	begin(&h, r, status);
	add_line(&h, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n%s\r\n", n,
		 more);
	iov[0] = (struct iovec){ h.text, h.size };
	iov[1] = (struct iovec){ body, (size_t)n };
	return send_pieces(c, iov, r->head ? 1 : 2, NULL, NULL);
}

/* A directory was asked for without its slash, behind which relative links lead on. */
static int send_redirection(struct connection *c)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~/";
	char line[sizeof "Location: /" + 3 * HTTP_PATH_MAX + sizeof "/\r\n"];
	size_t used = (size_t)snprintf(line, sizeof line, "Location: /");
	const char *p;

	for (p = c->request.path; *p != '\0'; p++) {
		bool plain = strchr(unreserved, *p) != NULL;

		used += (size_t)snprintf(line + used, sizeof line - used, plain ? "%c" : "%%%02X",
					 (unsigned char)*p);
	}
	snprintf(line + used, sizeof line - used, "/\r\n");
	return send_plain(c, 301, line);
}

/* The head, and of the file what was chosen. */
static int send_part(struct connection *c, struct head *h, const struct iovec *more,
		     const struct cached *f, const struct http_choice *part)
{
	struct iovec iov[3] = { { h->text, h->size } };
	bool body = !c->request.head && part->size > 0;
	int count = 1;

	if (more != NULL)
		iov[count++] = *more;
	if (body && f->content != NULL)
		iov[count++] = (struct iovec){ f->content + part->first, (size_t)part->size };
	return send_pieces(c, iov, count, body && f->content == NULL ? f : NULL, part);
}

static int send_file(struct connection *c, const struct cached *f)
{
	struct http_choice part = http_choose(&c->request, &f->file);
	struct iovec more = { (char *)f->head, f->head_size };
	char line[64];
	struct head h;

	if (part.status == 416) {
		snprintf(line, sizeof line, "Content-Range: bytes */%lld\r\n",
			 (long long)f->file.size);
		return send_plain(c, 416, line);
	}
	if (part.status == 412)
		return send_plain(c, 412, "");
	begin(&h, &c->request, part.status);
	if (part.status == 200)
		return send_part(c, &h, &more, f, &part);
	if (part.status == 304) {
		add(&h, f->head, f->validators_size);
	} else {
		add(&h, f->head, f->typed_size);
		add_line(&h, "Content-Range: bytes %lld-%lld/%lld\r\nContent-Length: %lld\r\n",
			 (long long)part.first, (long long)(part.first + part.size - 1),
			 (long long)f->file.size, (long long)part.size);
	}
	add(&h, "\r\n", 2);
	return send_part(c, &h, NULL, f, &part);
}

static int status_of(int rc)
{
	switch (rc) {
	case -ENOENT:
		return 404;
	case -EACCES:
	case -EPERM:
		return 403;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return 503;
	default:
		return 500;
	}
}

static int answer(struct connection *c, int status)
{
	struct http_request *r = &c->request;
	struct cached *f;
	int rc;

	if (c->server->stopping)
		r->keep_alive = false;
	if (status == 405)
		return send_plain(c, status, "Allow: GET, HEAD\r\n");
	if (status != 200)
		return send_plain(c, status, "");
	if (r->directory)
		strcat(r->path, r->path[0] != '\0' ? "/index.html" : "index.html");
	rc = cache_get(&c->server->cache, &f, r->path);
	if (rc == -EISDIR && !r->directory)
		return send_redirection(c);
	if (rc != 0)
		return send_plain(c, rc == -EISDIR ? 404 : status_of(rc), "");
	rc = send_file(c, f);
	cache_release(f);
	return rc;
}

/* ------------------------------------------------------------------------------------ requests */

/* A request's status; 0: there is none; or an error. */
static int receive_request(struct connection *c)
{
	int status, n;

	for (;;) {
		status = http_parse(&c->request, c->data, c->used);
		if (status != 0)
			return status;
		if (c->used > 0 && c->idle != NULL) {
			anyc_scope_set_deadline(c->idle, anyc_now() + c->server->patience);
			c->idle = NULL;
		}
		n = anyc_stream_receive(c->stream, c->data + c->used, sizeof c->data - c->used);
		if (n <= 0)
			return n;
		c->used += (size_t)n;
	}
}

static int read_request(struct connection *c)
{
	struct anyc_scope limit;
	int rc;

	if (c->server->stopping && c->used == 0)
		return 0;
	anyc_scope_enter_timeout(&limit, IDLE);
	c->idle = &limit;
	rc = receive_request(c);
	c->idle = NULL;
	rc = anyc_scope_leave(&limit, rc);
	if (rc == ANYC_ETIMEDOUT)
		return c->used > 0 ? 408 : 0;
	return rc;
}

/*
 * The last answer has gone out, and what the client still sends will not be read: closed at once, a
 * socket answers that with a reset, which may cost the client the answer (RFC 9112 9.6).  TLS,
 * which cannot end one direction, closes in an order of its own that sees to this.
 */
static int say_goodbye(struct connection *c)
{
	struct anyc_scope limit;
	int n = 0, rc;

	anyc_scope_enter_move_on(&limit, GOODBYE);
	rc = anyc_stream_send_eof(c->stream);
	while (rc == 0 && (n = anyc_stream_receive(c->stream, c->data, sizeof c->data)) > 0)
		;
	return anyc_scope_leave(&limit, rc == ANYC_ENOTSUP ? 0 : rc < 0 ? rc : n < 0 ? n : 0);
}

/* 1: another may come; 0: it was the last; or an error. */
static int serve_request(struct connection *c)
{
	int status = read_request(c), rc;

	if (status <= 0)
		return status;
	rc = answer(c, status);
	if (rc != 0)
		return rc;
	if (c->request.keep_alive) {
		c->used -= c->request.size;
		if (c->used > 0)
			memmove(c->data, c->data + c->request.size, c->used);
		return 1;
	}
	/* Did the client want no more, or is it we who do not? */
	return c->request.size == 0 || c->request.body || c->server->stopping ? say_goodbye(c) : 0;
}

static bool is_of_the_client(int rc)
{
	return rc == ANYC_EBROKEN || rc == ANYC_ETIMEDOUT || rc == ANYC_ETLS || rc == ANYC_EVERIFY;
}

int serve_connection(void *server, struct anyc_stream *stream)
{
	struct server *s = server;
	struct connection c;
	int rc;

	c.server = s;
	c.stream = stream;
	c.used = 0;
	c.idle = NULL;
	c.next = s->connections;
	c.at = &s->connections;
	if (c.next != NULL)
		c.next->at = &c.next;
	s->connections = &c;
	do
		rc = serve_request(&c);
	while (rc > 0);
	*c.at = c.next;
	if (c.next != NULL)
		c.next->at = c.at;
	if (rc == 0)
		rc = anyc_stream_close(stream);
	return is_of_the_client(rc) ? 0 : rc;
}

void stop_connections(struct server *s)
{
	struct connection *c;

	s->stopping = true;
	for (c = s->connections; c != NULL; c = c->next)
		if (c->idle != NULL)
			anyc_scope_cancel(c->idle, "the server stops");
}

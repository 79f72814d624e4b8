/* SPDX-License-Identifier: MIT */
/* libfetch: straight-line code on anyc and anyc-tls, and on no event loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/anyc.h>
#include <anyc/tls.h>

#include "fetch.h"

#define HEAD_MAX 16384
#define PIECE 65536

static int send_request(struct anyc_stream *conn, const struct fetch_request *r)
{
	char head[2048];
	int n = snprintf(head, sizeof head,
			 "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", r->path,
			 r->host);

	if (n < 0 || (size_t)n >= sizeof head)
		return anyc_fail(ANYC_EINVAL, 0, "the path is too long");
	return anyc_stream_send(conn, head, (size_t)n);
}

/* One line of the head, copied out of the reader's buffer. */
static int read_line(struct anyc_reader *reader, char *line, size_t size)
{
	const char *at;
	size_t length;
	int rc = anyc_reader_until(reader, "\r\n", 2, size - 1, &at, &length);

	if (rc != 0)
		return rc;
	memcpy(line, at, length);
	line[length] = '\0';
	return 0;
}

static int read_head(struct anyc_reader *reader, const struct fetch_request *r, uint64_t *length)
{
	char line[HEAD_MAX];
	int rc = read_line(reader, line, sizeof line);

	if (rc != 0)
		return rc;
	if (strncmp(line, "HTTP/1.", 7) != 0 || strncmp(line + 8, " 200", 4) != 0)
		return anyc_fail(ANYC_EBROKEN, 0, "https://%s%s: the server said \"%.60s\"",
				 r->host, r->path, line);
	*length = UINT64_MAX;
	while ((rc = read_line(reader, line, sizeof line)) == 0 && line[0] != '\0')
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			*length = strtoull(line + 15, NULL, 10);
	if (rc == 0 && *length == UINT64_MAX)
		rc = anyc_fail(ANYC_ENOTSUP, 0, "https://%s%s: an answer without Content-Length",
			       r->host, r->path);
	return rc;
}

static int read_body(struct anyc_reader *reader, const struct fetch_request *r, uint64_t left)
{
	char *piece = malloc(PIECE);
	int rc = piece != NULL ? 0 : -ENOMEM;

	while (rc == 0 && left != 0) {
		int n = anyc_reader_receive(reader, piece, left < PIECE ? (size_t)left : PIECE);

		if (n > 0) {
			left -= (uint64_t)n;
			rc = r->sink(r->arg, piece, (size_t)n);
		} else {
			rc = n < 0 ? n
				   : anyc_fail(ANYC_EINCOMPLETE, 0,
					       "https://%s%s: %llu bytes are missing", r->host,
					       r->path, (unsigned long long)left);
		}
	}
	free(piece);
	return rc;
}

static int read_response(struct anyc_stream *conn, const struct fetch_request *r)
{
	struct anyc_reader reader;
	uint64_t length;
	int rc;

	anyc_reader_init(&reader, conn);
	rc = read_head(&reader, r, &length);
	if (rc == 0)
		rc = read_body(&reader, r, length);
	anyc_reader_free(&reader);
	return rc;
}

int fetch(const struct fetch_request *r)
{
	struct anyc_tls_options tls = {.context = r->tls, .insecure_no_verification = r->insecure};
	struct anyc_scope limit;
	struct anyc_stream *conn = NULL;
	int rc;

	anyc_scope_enter_timeout(&limit, r->timeout != 0 ? r->timeout : 30 * ANYC_SECOND);
	rc = anyc_tls_connect(&conn, r->host, r->port, &tls);
	if (rc == 0)
		rc = send_request(conn, r);
	if (rc == 0)
		rc = read_response(conn, r);
	anyc_stream_free(conn);
	rc = anyc_scope_leave(&limit, rc);
	if (rc == ANYC_ETIMEDOUT)
		anyc_fail(rc, 0, "https://%s:%s%s: cut off by its deadline of %.1f s", r->host,
			  r->port, r->path, (double)r->timeout / 1e9);
	return rc;
}

struct job {
	const struct fetch_request *request;
	struct fetch_result *result;
};

static int fetch_one(void *arg)
{
	struct job *job = arg;
	int rc = fetch(job->request);

	job->result->rc = rc;
	job->result->error[0] = '\0';
	if (rc < 0)
		snprintf(job->result->error, sizeof job->result->error, "%s",
			 anyc_error_detail(rc));
	return rc == ANYC_ECANCELED ? rc : 0; /* one failure does not end the others */
}

int fetch_all(const struct fetch_request *requests, size_t count, struct fetch_result *results)
{
	struct anyc_group group;
	int rc = 0;

	anyc_group_enter(&group, NULL);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct job job = {&requests[i], &results[i]};

		rc = anyc_spawn_copy(&group, fetch_one, &job, sizeof job);
	}
	return anyc_group_leave(&group, rc);
}

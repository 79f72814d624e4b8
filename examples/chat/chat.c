/* SPDX-License-Identifier: MIT */
/*
 * A chat server over TCP and UNIX sockets, and a client of it.
 *
 *	chat [--loop NAME] [--tcp PORT] [--unix PATH]     serves until SIGINT or SIGTERM
 *	chat [--loop NAME] --connect tcp:PORT|unix:PATH   standard input and output
 *
 * The first line of a connection is its name; every other one goes to all others, who see
 * "NAME: LINE".  A signal ends it gently: nobody new is let in, everyone is told, what was said is
 * delivered, for a second at most.
 *
 * Rules
 *  - One task reads a connection, another writes what its queue holds; the room's list has those
 *    who can be spoken to, and only tasks of this one thread see it.
 *  - Who does not read fast enough loses lines, and holds nobody up.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <anyc/anyc.h>

enum { LINE = 512, BACKLOG = 64 };

struct line {
	size_t size;
	char text[LINE + 80];
};
struct member {
	struct member *next;
	char name[32];
	struct anyc_sender out; /* of its queue */
};
static struct {
	struct member *members;
	struct anyc_listener *tcp, *local;
	struct anyc_event closing;
} room;

/* -------------------------------------------------------------------------------- the room */

static void make_line(struct line *line, const char *begin, const char *middle, const char *end)
{
	int n = snprintf(line->text, sizeof line->text, "%s%s%s\n", begin, middle, end);

	line->size = n < (int)sizeof line->text ? (size_t)n : sizeof line->text - 1;
}

/* To all but one of them. */
static void say(const struct member *not_to, const char *begin, const char *middle, const char *end)
{
	struct line line;
	struct member *m;

	make_line(&line, begin, middle, end);
	for (m = room.members; m != NULL; m = m->next)
		if (m != not_to)
			ANYC_IGNORE(anyc_queue_send_nowait(&m->out, &line));
}

static void enter(struct member *m)
{
	struct line line;

	make_line(&line, "* welcome, ", m->name, "");
	ANYC_IGNORE(anyc_queue_send_nowait(&m->out, &line));
	m->next = room.members;
	room.members = m;
	say(m, "* ", m->name, " enters");
}

static void leave(struct member *m)
{
	struct member **at = &room.members;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	say(NULL, "* ", m->name, " leaves");
}

/* ------------------------------------------------------------------------------ a connection */

struct connection {
	struct anyc_stream *stream;
	struct anyc_reader reader;
	struct anyc_receiver queue;
	struct anyc_group *group;
	struct member member;
};

/* A line without its end; 0 or an error, ANYC_EINCOMPLETE for the end of all. */
static int read_line(struct anyc_reader *r, char *out, size_t size)
{
	const char *text;
	size_t length;
	int rc = anyc_reader_until(r, "\n", 1, size - 1, &text, &length);

	if (rc != 0)
		return rc;
	length = length < size ? length : size - 1;
	length -= length > 0 && text[length - 1] == '\r';
	memcpy(out, text, length);
	out[length] = '\0';
	return 0;
}

/* Until the queue has ended: then all was said that is to be said. */
static int write_lines(void *arg)
{
	struct connection *c = arg;
	struct line line;
	int rc;

	while ((rc = anyc_queue_receive(&c->queue, &line)) == 0) {
		rc = anyc_stream_send(c->stream, line.text, line.size);
		if (rc != 0)
			break;
	}
	anyc_group_cancel(c->group, "nothing more is to be said");
	return 0;
}

static int talk(struct connection *c)
{
	char text[LINE];
	int rc = read_line(&c->reader, c->member.name, sizeof c->member.name);

	if (rc != 0)
		return rc;
	enter(&c->member);
	while ((rc = read_line(&c->reader, text, sizeof text)) == 0)
		say(&c->member, c->member.name, ": ", text);
	leave(&c->member);
	return rc;
}

/* The room closes: this member's queue ends, and with it the connection, in time. */
static int see_closing(void *arg)
{
	struct connection *c = arg;
	int rc = anyc_event_wait(&room.closing);

	if (rc != 0)
		return rc;
	anyc_sender_close(&c->member.out);
	rc = anyc_sleep(ANYC_SECOND);
	return rc != 0 ? rc : anyc_group_cancel(c->group, "it does not read");
}

static int serve_connection(void *arg, struct anyc_stream *stream)
{
	struct connection c = { .stream = stream };
	struct anyc_group g;
	int rc = anyc_queue_open(&c.member.out, &c.queue, sizeof(struct line), BACKLOG, NULL);

	(void)arg;
	if (rc != 0)
		return rc;
	anyc_reader_init(&c.reader, stream);
	anyc_group_enter(&g, NULL);
	c.group = &g;
	rc = anyc_spawn(&g, write_lines, &c);
	if (rc == 0)
		rc = anyc_spawn(&g, see_closing, &c);
	if (rc == 0)
		rc = talk(&c);
	/* Whoever hangs up or writes no lines is no error of ours. */
	if (rc == ANYC_EINCOMPLETE || rc == ANYC_EBROKEN || rc == ANYC_ENODELIM)
		rc = 0;
	anyc_group_cancel(&g, "the connection has ended");
	rc = anyc_group_leave(&g, rc);
	anyc_reader_free(&c.reader);
	anyc_sender_close(&c.member.out);
	anyc_receiver_close(&c.queue);
	return rc;
}

/* ------------------------------------------------------------------------------- the server */

struct settings {
	const char *tcp, *local, *connect;
};

static int serve(void *arg)
{
	return anyc_serve(arg, serve_connection, NULL, NULL);
}

static int announce(struct anyc_listener *l)
{
	struct anyc_address a;
	char text[160];
	int rc = anyc_listener_attribute(l, &anyc_attribute_local_address, &a, sizeof a);

	if (rc == 0) {
		anyc_address_format(&a, text, sizeof text);
		printf("listening on %s\n", text);
		fflush(stdout);
	}
	return rc;
}

static int open_and_serve(struct anyc_group *g, struct anyc_listener *l)
{
	int rc = announce(l);

	return rc == 0 ? anyc_spawn(g, serve, l) : rc;
}

static int wait_for_end(void)
{
	int rc = anyc_signal_wait((const int[]){ SIGINT, SIGTERM }, 2);

	if (rc < 0)
		return rc;
	ANYC_IGNORE(anyc_listener_close(room.tcp));
	ANYC_IGNORE(anyc_listener_close(room.local));
	say(NULL, "* the room closes", "", "");
	return anyc_event_set(&room.closing);
}

static int run_server(void *arg)
{
	const struct settings *s = arg;
	struct anyc_unix_options mine = { .mode = 0600 };
	struct anyc_group g;
	int rc = 0;

	anyc_group_enter(&g, NULL);
	if (s->tcp != NULL)
		rc = anyc_tcp_listen(&room.tcp, "localhost", s->tcp, NULL);
	if (rc == 0 && s->local != NULL)
		rc = anyc_unix_listen(&room.local, s->local, &mine);
	if (rc == 0 && room.tcp != NULL)
		rc = open_and_serve(&g, room.tcp);
	if (rc == 0 && room.local != NULL)
		rc = open_and_serve(&g, room.local);
	if (rc == 0)
		rc = wait_for_end();
	rc = anyc_group_leave(&g, rc);
	anyc_listener_free(room.tcp);
	anyc_listener_free(room.local);
	return rc;
}

/* ------------------------------------------------------------------------------- the client */

static int copy_input(void *arg)
{
	struct anyc_stream *s = arg;
	char buf[1000];
	int rc;

	while ((rc = anyc_wait_readable(STDIN_FILENO)) == 0) {
		ssize_t n = read(STDIN_FILENO, buf, sizeof buf);

		if (n == 0)
			return anyc_stream_send_eof(s);
		rc = n < 0 ? -errno : anyc_stream_send(s, buf, (size_t)n);
		if (rc != 0)
			break;
	}
	return rc;
}

static int copy_output(struct anyc_stream *s)
{
	char buf[1000];
	int n;

	while ((n = anyc_stream_receive(s, buf, sizeof buf)) > 0)
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)
			return -errno;
	return n;
}

static int run_client(void *arg)
{
	const struct settings *s = arg;
	struct anyc_stream *stream = NULL;
	struct anyc_group g;
	int rc = ANYC_EINVAL;

	if (strncmp(s->connect, "tcp:", 4) == 0)
		rc = anyc_tcp_connect(&stream, "localhost", s->connect + 4, NULL);
	else if (strncmp(s->connect, "unix:", 5) == 0)
		rc = anyc_unix_connect(&stream, s->connect + 5, NULL);
	if (rc != 0)
		return rc;
	anyc_group_enter(&g, NULL);
	rc = anyc_spawn(&g, copy_input, stream);
	if (rc == 0)
		rc = copy_output(stream);
	anyc_group_cancel(&g, "the server has ended it");
	rc = anyc_group_leave(&g, rc);
	anyc_stream_free(stream);
	return rc;
}

int main(int argc, char **argv)
{
	struct anyc_run_options run = { .name = "chat" };
	struct settings s = { 0 };
	int i, rc;

	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--loop") == 0)
			run.backend = argv[i + 1];
		else if (strcmp(argv[i], "--tcp") == 0)
			s.tcp = argv[i + 1];
		else if (strcmp(argv[i], "--unix") == 0)
			s.local = argv[i + 1];
		else if (strcmp(argv[i], "--connect") == 0)
			s.connect = argv[i + 1];
		else
			break;
	}
	if (i != argc || (s.connect != NULL) == (s.tcp != NULL || s.local != NULL)) {
		fprintf(stderr, "usage: chat [--loop NAME] [--tcp PORT] [--unix PATH]\n"
				"       chat [--loop NAME] --connect tcp:PORT|unix:PATH\n");
		return 2;
	}
	rc = anyc_run(&run, s.connect != NULL ? run_client : run_server, &s);
	if (rc < 0)
		fprintf(stderr, "chat: %s\n", anyc_error_detail(rc));
	return rc < 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Every checkpoint function of the public headers: rules 1, 11 and 27 and row C16 for each.  The
 * list comes from the headers' documentation (tests/lib/list-checkpoints); the table below holds
 * one call for each name, and a name without one is a failure.  To add a function: one line in
 * the table and, if it needs an object, a member of struct world.
 */
#include "conform.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef ANYC_HAVE_OPENSSL
#include "lib/certs.h"
#include "lib/pair.h"

#include <anyc/tls.h>
#endif

/* Objects that would let each call go through at once, or wait. */
struct world {
	struct anyc_event set;
	struct anyc_lock lock, held;
	struct anyc_condition condition;
	struct anyc_semaphore semaphore;
	struct anyc_limiter limiter;
	struct anyc_future future;
	struct anyc_sender sender; /* an item is in the queue, and there is room for others */
	struct anyc_receiver receiver;
	struct anyc_xevent xset;
	struct anyc_xlock xlock;
	struct anyc_xqueue *xqueue; /* as the queue is */
	struct anyc_object_stream *objects; /* of the queue */
	struct anyc_sequencer sequencer;
	struct anyc_handle ended;
	struct anyc_listener *listener;
	char port[16];
	struct anyc_stream *near, *far; /* TCP; "hello" waits in near */
	struct anyc_reader reader;
	int pipe[2];
	int file; /* of one byte */
	struct anyc_stream *pair[2]; /* of UNIX; a byte waits in the first */
	struct anyc_datagram *datagram; /* connected to itself; "self" waits in it */
#ifdef ANYC_HAVE_OPENSSL
	struct certs certs;
	struct anyc_tls_context *client, *server;
	struct anyc_stream *raw, *raw_peer; /* for a handshake */
	struct anyc_stream *tls, *tls_peer; /* after one */
#endif
};

static int must_not_serve(void *arg, struct anyc_stream *stream)
{
	(void)arg;
	(void)stream;
	FAIL("a connection was served");
}

static bool is_so(void *arg)
{
	(void)arg;
	return true;
}

/* ------------------------------------------------------------------------------- the calls */

#define CALL(name, expression) \
	static int call_##name(struct world *w) \
	{ \
		(void)w; \
		return expression; \
	}

CALL(checkpoint, anyc_checkpoint())
CALL(checkpoint_if_cancelled, anyc_checkpoint_if_cancelled())
CALL(sleep, anyc_sleep(0))
CALL(sleep_until, anyc_sleep_until(1))
CALL(sleep_forever, anyc_sleep_forever())
CALL(join, anyc_join(&w->ended, NULL))
CALL(event_wait, anyc_event_wait(&w->set))
CALL(lock_acquire, anyc_lock_acquire(&w->lock))
CALL(condition_wait, anyc_condition_wait(&w->condition, &w->held))
CALL(condition_wait_for, anyc_condition_wait_for(&w->condition, &w->held, is_so, NULL))
CALL(semaphore_acquire, anyc_semaphore_acquire(&w->semaphore))
CALL(limiter_acquire, anyc_limiter_acquire(&w->limiter))
CALL(limiter_acquire_for, anyc_limiter_acquire_for(&w->limiter, w))
CALL(future_wait, anyc_future_wait(&w->future))
CALL(queue_send, anyc_queue_send(&w->sender, "x"))
CALL(queue_receive, anyc_queue_receive(&w->receiver, (char[1]){ 0 }))
CALL(queue_receive_many, anyc_queue_receive_many(&w->receiver, (char[2]){ 0 }, 2))
CALL(xevent_wait, anyc_xevent_wait(&w->xset))
CALL(xlock_acquire, anyc_xlock_acquire(&w->xlock))
CALL(xqueue_send, anyc_xqueue_send(w->xqueue, "x"))
CALL(xqueue_receive, anyc_xqueue_receive(w->xqueue, (char[1]){ 0 }))
CALL(object_receive, anyc_object_receive(w->objects, (char[1]){ 0 }, 1, 0))
CALL(object_send, anyc_object_send(w->objects, "x", 1, 0))
CALL(object_send_eof, anyc_object_send_eof(w->objects))
CALL(object_stream_close, anyc_object_stream_close(w->objects))
CALL(sequencer_enter, anyc_sequencer_enter(&w->sequencer, 0))
CALL(signal_wait, anyc_signal_wait((const int[]){ SIGUSR2 }, 1))
CALL(wait_all_blocked, anyc_wait_all_blocked())
CALL(wait_readable, anyc_wait_readable(w->pipe[0]))
CALL(wait_writable, anyc_wait_writable(w->pipe[1]))

/* None of these may call anything. */
static int uncalled;
static struct anyc_call one_call[] = { ANYC_CALL(count_up, &uncalled) };

CALL(gather, anyc_gather(one_call, 1, NULL))
CALL(gather_nothing, anyc_gather(NULL, 0, NULL))
CALL(map, anyc_map(NULL, count_up, &uncalled, 1, sizeof uncalled, NULL))
CALL(race, anyc_race(NULL, one_call, 1, NULL))
CALL(as_completed_next, anyc_as_completed_next(&(struct anyc_as_completed){ 0 }, &(size_t){ 0 }))

static char buffer[16];

CALL(stream_receive, anyc_stream_receive(w->near, buffer, sizeof buffer))
CALL(stream_receive_flags, anyc_stream_receive_flags(w->near, buffer, sizeof buffer, 0))
CALL(stream_send, anyc_stream_send(w->near, "x", 1))
CALL(stream_send_file, anyc_stream_send_file(w->near, w->file, 0, 1))
CALL(stream_send_nothing, anyc_stream_send(w->near, "", 0))
CALL(stream_send_eof, anyc_stream_send_eof(w->near))
CALL(stream_move, anyc_stream_move(w->near))
CALL(stream_close, anyc_stream_close(w->near))
CALL(reader_receive, anyc_reader_receive(&w->reader, buffer, sizeof buffer))
CALL(reader_exactly, anyc_reader_exactly(&w->reader, buffer, 2))
CALL(listener_accept, anyc_listener_accept(w->listener, &(struct anyc_stream *){ NULL }))
CALL(serve, anyc_serve(w->listener, must_not_serve, NULL, NULL))
CALL(datagram_receive, anyc_datagram_receive(w->datagram, buffer, sizeof buffer))
CALL(datagram_receive_from, anyc_datagram_receive_from(w->datagram, buffer, 4, NULL))
CALL(datagram_send, anyc_datagram_send(w->datagram, "x", 1))
CALL(datagram_send_to, anyc_datagram_send_to(w->datagram, "x", 1, NULL))
CALL(datagram_close, anyc_datagram_close(w->datagram))

CALL(unix_send_fds, anyc_unix_send_fds(w->pair[0], "x", 1, (int[1]){ 0 }, 1))
CALL(unix_receive_fds,
     anyc_unix_receive_fds(w->pair[0], buffer, 1, (int[1]){ 0 }, 1, (size_t[1]){ 0 }))

static int call_unix_connect(struct world *w)
{
	struct anyc_stream *s = w->near;
	int rc = anyc_unix_connect(&s, "/nonexistent", NULL);

	CHECK(s == NULL);
	return rc;
}

static struct anyc_message message = { .data = buffer, .size = 4 };

CALL(datagram_receive_many, anyc_datagram_receive_many(w->datagram, &message, 1, 0))
CALL(datagram_send_many, anyc_datagram_send_many(w->datagram, &message, 1, 0))
CALL(datagram_send_segments, anyc_datagram_send_segments(w->datagram, buffer, 4, 2, NULL, 0))

static int call_connect(struct world *w)
{
	struct anyc_connectable *c;
	struct anyc_stream *s = w->near;
	int rc;

	CHECK_OK(anyc_tcp_connectable(&c, "127.0.0.1", w->port, NULL));
	rc = anyc_connect(&s, c);
	anyc_connectable_free(c);
	CHECK(s == NULL);
	return rc;
}

static int call_file_stream_open(struct world *w)
{
	struct anyc_stream *s = w->near;
	int rc = anyc_file_stream_open(&s, "/dev/null", O_RDONLY, 0);

	CHECK(s == NULL);
	return rc;
}

static int call_reader_until(struct world *w)
{
	const char *out;
	size_t length;

	return anyc_reader_until(&w->reader, "l", 1, 100, &out, &length);
}

static int call_stream_sendv(struct world *w)
{
	struct iovec part = { .iov_base = buffer, .iov_len = 1 };

	return anyc_stream_sendv(w->near, &part, 1);
}

static int call_stream_send_some(struct world *w)
{
	struct iovec part = { .iov_base = buffer, .iov_len = 1 };

	return anyc_stream_send_some(w->near, &part, 1, 0);
}

static int call_resolve(struct world *w)
{
	struct anyc_addresses list = { 0 };
	int rc = anyc_resolve(&list, "127.0.0.1", "80", NULL);

	(void)w;
	CHECK_INT(list.count, ==, 0);
	return rc;
}

static int call_resolve_address(struct world *w)
{
	struct anyc_address a;
	struct anyc_name name;

	(void)w;
	CHECK_OK(anyc_address_parse(&a, "127.0.0.1", 80));
	return anyc_resolve_address(&name, &a, 0);
}

static int call_tcp_connect(struct world *w)
{
	struct anyc_stream *s = w->near;
	int rc = anyc_tcp_connect(&s, "127.0.0.1", w->port, NULL);

	CHECK(s == NULL);
	return rc;
}

#ifdef ANYC_HAVE_OPENSSL
CALL(tls_handshake, anyc_tls_handshake(w->tls))

static int call_tls_wrap(struct world *w)
{
	struct anyc_tls_options options = { .context = w->client };
	struct anyc_stream *s = w->near;
	int rc = anyc_tls_wrap(&s, w->raw, "localhost", &options);

	CHECK(s == NULL);
	return rc;
}

static int call_tls_connect(struct world *w)
{
	struct anyc_tls_options options = { .context = w->client };
	struct anyc_stream *s = w->near;
	int rc = anyc_tls_connect(&s, "127.0.0.1", w->port, &options);

	CHECK(s == NULL);
	return rc;
}

static int call_tls_unwrap(struct world *w)
{
	struct anyc_stream *transport = w->near;
	void *rest = w;
	size_t size = 1;
	int rc = anyc_tls_unwrap(w->tls, &transport, &rest, &size);

	CHECK(transport == NULL);
	return rc;
}
#endif

enum { ALSO_0 = 1 }; /* it does its work in any case, and may say so */

static const struct checkpoint {
	const char *name;
	int (*call)(struct world *w);
	int flags;
} table[] = {
	{ "anyc_checkpoint", call_checkpoint, 0 },
	{ "anyc_checkpoint_if_cancelled", call_checkpoint_if_cancelled, 0 },
	{ "anyc_sleep", call_sleep, 0 },
	{ "anyc_sleep_until", call_sleep_until, 0 },
	{ "anyc_sleep_forever", call_sleep_forever, 0 },
	{ "anyc_join", call_join, 0 },
	{ "anyc_gather", call_gather, 0 },
	{ "anyc_gather", call_gather_nothing, 0 },
	{ "anyc_map", call_map, 0 },
	{ "anyc_race", call_race, 0 },
	{ "anyc_as_completed_next", call_as_completed_next, 0 },
	{ "anyc_event_wait", call_event_wait, 0 },
	{ "anyc_lock_acquire", call_lock_acquire, 0 },
	{ "anyc_condition_wait", call_condition_wait, 0 },
	{ "anyc_condition_wait_for", call_condition_wait_for, 0 },
	{ "anyc_semaphore_acquire", call_semaphore_acquire, 0 },
	{ "anyc_limiter_acquire", call_limiter_acquire, 0 },
	{ "anyc_limiter_acquire_for", call_limiter_acquire_for, 0 },
	{ "anyc_future_wait", call_future_wait, 0 },
	{ "anyc_queue_send", call_queue_send, 0 },
	{ "anyc_queue_receive", call_queue_receive, 0 },
	{ "anyc_queue_receive_many", call_queue_receive_many, 0 },
	{ "anyc_xevent_wait", call_xevent_wait, 0 },
	{ "anyc_xlock_acquire", call_xlock_acquire, 0 },
	{ "anyc_xqueue_send", call_xqueue_send, 0 },
	{ "anyc_xqueue_receive", call_xqueue_receive, 0 },
	{ "anyc_object_receive", call_object_receive, 0 },
	{ "anyc_object_send", call_object_send, 0 },
	{ "anyc_object_send_eof", call_object_send_eof, 0 },
	{ "anyc_signal_wait", call_signal_wait, 0 },
	{ "anyc_sequencer_enter", call_sequencer_enter, 0 },
	{ "anyc_wait_all_blocked", call_wait_all_blocked, 0 },
	{ "anyc_wait_readable", call_wait_readable, 0 },
	{ "anyc_wait_writable", call_wait_writable, 0 },
	{ "anyc_resolve", call_resolve, 0 },
	{ "anyc_resolve_address", call_resolve_address, 0 },
	{ "anyc_tcp_connect", call_tcp_connect, 0 },
	{ "anyc_listener_accept", call_listener_accept, 0 },
	{ "anyc_serve", call_serve, 0 },
	{ "anyc_unix_connect", call_unix_connect, 0 },
	{ "anyc_unix_send_fds", call_unix_send_fds, 0 },
	{ "anyc_unix_receive_fds", call_unix_receive_fds, 0 },
	{ "anyc_datagram_receive", call_datagram_receive, 0 },
	{ "anyc_datagram_receive_from", call_datagram_receive_from, 0 },
	{ "anyc_datagram_receive_many", call_datagram_receive_many, 0 },
	{ "anyc_datagram_send", call_datagram_send, 0 },
	{ "anyc_datagram_send_to", call_datagram_send_to, 0 },
	{ "anyc_datagram_send_many", call_datagram_send_many, 0 },
	{ "anyc_datagram_send_segments", call_datagram_send_segments, 0 },
	{ "anyc_stream_receive", call_stream_receive, 0 },
	{ "anyc_stream_receive_flags", call_stream_receive_flags, 0 },
	{ "anyc_stream_send", call_stream_send, 0 },
	{ "anyc_stream_send", call_stream_send_nothing, 0 },
	{ "anyc_stream_send_file", call_stream_send_file, 0 },
	{ "anyc_stream_sendv", call_stream_sendv, 0 },
	{ "anyc_stream_move", call_stream_move, 0 },
	{ "anyc_stream_send_some", call_stream_send_some, 0 },
	{ "anyc_connect", call_connect, 0 },
	{ "anyc_file_stream_open", call_file_stream_open, 0 },
	{ "anyc_reader_receive", call_reader_receive, 0 },
	{ "anyc_reader_exactly", call_reader_exactly, 0 },
	{ "anyc_reader_until", call_reader_until, 0 },
#ifdef ANYC_HAVE_OPENSSL
	{ "anyc_tls_wrap", call_tls_wrap, 0 },
	{ "anyc_tls_connect", call_tls_connect, 0 },
	{ "anyc_tls_handshake", call_tls_handshake, 0 },
	{ "anyc_tls_unwrap", call_tls_unwrap, 0 },
#endif
	/* Last: these ENDING end the use of what they are given. */
	{ "anyc_object_stream_close", call_object_stream_close, ALSO_0 },
	{ "anyc_datagram_close", call_datagram_close, ALSO_0 },
	{ "anyc_stream_send_eof", call_stream_send_eof, 0 },
	{ "anyc_stream_close", call_stream_close, ALSO_0 },
};
#define COUNT (sizeof table / sizeof table[0])
#define ENDING 4

/* ------------------------------------------------------------------------------- the world */

struct accepting {
	struct anyc_listener *listener;
	struct anyc_stream *stream;
};

static int accept_one(void *arg)
{
	struct accepting *a = arg;

	return anyc_listener_accept(a->listener, &a->stream);
}

static void make_tcp(struct world *w)
{
	struct anyc_address address;
	struct accepting a;
	struct anyc_group g;

	CHECK_OK(anyc_tcp_listen(&w->listener, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_listener_attribute(w->listener, &anyc_attribute_local_address, &address,
					 sizeof address));
	snprintf(w->port, sizeof w->port, "%u", anyc_address_port(&address));
	a = (struct accepting){ .listener = w->listener };
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_one, &a));
	CHECK_OK(anyc_tcp_connect(&w->near, "127.0.0.1", w->port, NULL));
	CHECK_OK(anyc_group_leave(&g, 0));
	w->far = a.stream;
	CHECK_OK(anyc_stream_send(w->far, "hello", 5));
	anyc_reader_init(&w->reader, w->near);
}

/* A datagram socket connected to itself, and a pair; in each something waits. */
static void make_sockets(struct world *w)
{
	struct anyc_address a;
	int fd;

	CHECK_OK(anyc_udp_bind(&w->datagram, "127.0.0.1", "0", NULL));
	CHECK_OK(anyc_datagram_attribute(w->datagram, &anyc_attribute_local_address, &a, sizeof a));
	CHECK_OK(anyc_datagram_attribute(w->datagram, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(connect(fd, (struct sockaddr *)&a.storage, a.length), ==, 0);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	anyc_datagram_free(w->datagram);
	CHECK_OK(anyc_udp_adopt(&w->datagram, fd));
	CHECK_OK(anyc_datagram_send(w->datagram, "self", 4));
	CHECK_OK(anyc_unix_pair(&w->pair[0], &w->pair[1]));
	CHECK_OK(anyc_stream_send(w->pair[1], "x", 1));
}

#ifdef ANYC_HAVE_OPENSSL
struct shake {
	struct anyc_stream **out, *below;
	const char *host;
	struct anyc_tls_options options;
};

static int shake(void *arg)
{
	struct shake *s = arg;

	return anyc_tls_wrap(s->out, s->below, s->host, &s->options);
}

static void make_tls(struct world *w)
{
	struct certs_spec spec = { .names = "DNS:localhost" };
	struct anyc_stream *a, *b;
	struct anyc_group g;
	const char *pem;

	certs_make(&w->certs);
	pem = certs_add(&w->certs, &spec);
	CHECK_OK(anyc_tls_client_context(&w->client, w->certs.ca));
	CHECK_OK(anyc_tls_server_context(&w->server, pem, pem));
	pair_make(&w->raw, &w->raw_peer, NULL);
	pair_make(&a, &b, NULL);
	{
		struct shake client = { &w->tls, a, "localhost", { .context = w->client } };
		struct shake server = { &w->tls_peer, b, NULL,
					{ .context = w->server, .server = true } };

		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, shake, &client));
		CHECK_OK(anyc_spawn(&g, shake, &server));
		CHECK_OK(anyc_group_leave(&g, 0));
	}
}

static void end_tls(struct world *w)
{
	anyc_stream_free(w->tls);
	anyc_stream_free(w->tls_peer);
	anyc_stream_free(w->raw);
	anyc_stream_free(w->raw_peer);
	anyc_tls_context_unref(w->client);
	anyc_tls_context_unref(w->server);
	certs_remove(&w->certs);
}
#else
static void make_tls(struct world *w)
{
	(void)w;
}

static void end_tls(struct world *w)
{
	(void)w;
}
#endif

static void make_world(struct world *w)
{
	struct anyc_spawn_options options = { .handle = &w->ended };
	struct anyc_group g;
	int n = 0;

	memset(w, 0, sizeof *w);
	CHECK_OK(anyc_event_set(&w->set));
	CHECK_OK(anyc_semaphore_init(&w->semaphore, 1, 1));
	CHECK_OK(anyc_limiter_init(&w->limiter, 1));
	CHECK_OK(anyc_future_set(&w->future, 1));
	CHECK_OK(anyc_queue_open(&w->sender, &w->receiver, 1, 4, NULL));
	CHECK_OK(anyc_queue_send_nowait(&w->sender, "q"));
	CHECK_OK(anyc_object_stream_of_queue(&w->objects, &w->sender, &w->receiver));
	CHECK_OK(anyc_xevent_set(&w->xset));
	CHECK_OK(anyc_xqueue_open(&w->xqueue, 1, 4, NULL));
	CHECK_OK(anyc_xqueue_send_nowait(w->xqueue, "q"));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn_opts(&g, count_up, &n, &options));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_INT(pipe(w->pipe), ==, 0);
	CHECK_INT(write(w->pipe[1], "x", 1), ==, 1);
	w->file = memfd_create("one byte", MFD_CLOEXEC);
	CHECK_INT(write(w->file, "f", 1), ==, 1);
	make_tcp(w);
	make_sockets(w);
	make_tls(w);
}

static void end_world(struct world *w)
{
	end_tls(w);
	anyc_sender_close(&w->sender);
	anyc_receiver_close(&w->receiver);
	anyc_object_stream_free(w->objects);
	anyc_xqueue_unref(w->xqueue);
	anyc_reader_free(&w->reader);
	anyc_datagram_free(w->datagram);
	anyc_stream_free(w->pair[0]);
	anyc_stream_free(w->pair[1]);
	anyc_stream_free(w->near);
	anyc_stream_free(w->far);
	anyc_listener_free(w->listener);
	close(w->pipe[0]);
	close(w->pipe[1]);
	close(w->file);
}

/* Nothing was taken, sent or begun. */
static void check_untouched(struct world *w)
{
	struct anyc_queue_stats stats;
	struct anyc_xqueue_stats xstats;
	char buf[16];

	CHECK_INT(uncalled, ==, 0);
	CHECK(!anyc_lock_is_held(&w->lock));
	CHECK_OK(anyc_sender_stats(&stats, &w->sender));
	CHECK_INT(stats.used, ==, 1);
	CHECK(!anyc_xlock_is_held(&w->xlock));
	CHECK_OK(anyc_xqueue_stats(&xstats, w->xqueue));
	CHECK_INT(xstats.used, ==, 1);
	CHECK_INT(anyc_stream_receive(w->near, buf, sizeof buf), ==, 5);
	CHECK_OK(anyc_stream_send(w->near, "end", 3));
	CHECK_INT(anyc_stream_receive(w->far, buf, sizeof buf), ==, 3);
	CHECK_INT(read(w->pipe[0], buf, sizeof buf), ==, 1);
	CHECK_INT(anyc_datagram_receive(w->datagram, buf, sizeof buf), ==, 4);
	CHECK_INT(anyc_stream_receive(w->pair[0], buf, sizeof buf), ==, 1);
}

/* ------------------------------------------------------------------------------- the tests */

/* tests/lib/list-checkpoints beside the source tree's top. */
static FILE *open_list(void)
{
	const char *top = getenv("top_srcdir");
	char command[600];

	if (top == NULL)
		top = ".";
	CHECK(strchr(top, '\'') == NULL);
	snprintf(command, sizeof command, "top_srcdir='%s' '%s/tests/lib/list-checkpoints'", top,
		 top);
	return popen(command, "r");
}

static bool in_table(const char *name)
{
	for (size_t i = 0; i < COUNT; i++) {
		if (strcmp(table[i].name, name) == 0)
			return true;
	}
	return false;
}

ANYC_TEST_MAIN(checkpoints, c16_the_headers_list_has_no_other, "none")
{
	FILE *list = open_list();
	char line[128];
	int count = 0;

	CHECK(list != NULL);
	while (fgets(line, sizeof line, list) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		count++;
#ifndef ANYC_HAVE_OPENSSL
		if (strncmp(line, "anyc_tls_", 9) == 0)
			continue;
#endif
		if (!in_table(line))
			FAIL("%s is a checkpoint by its documentation, and has no call here", line);
	}
	if (pclose(list) != 0 || count < 20)
		FAIL("tests/lib/list-checkpoints gave %d names; top_srcdir says where it is",
		     count);
}

static void check_each(struct world *w, int want, bool also_0)
{
	for (size_t i = 0; i < COUNT; i++) {
		int rc = table[i].call(w);

		if (rc != want && !(rc == 0 && also_0 && (table[i].flags & ALSO_0) != 0))
			FAIL("%s returned %d %s (%s), not %s", table[i].name, rc, anyc_err_name(rc),
			     anyc_error_detail(rc), anyc_err_name(want));
		if (i + ENDING + 1 == COUNT && want == ANYC_ECANCELED) {
			struct anyc_scope shield;

			anyc_scope_enter_shield(&shield, 5 * ANYC_SECOND);
			check_untouched(w);
			CHECK_OK(anyc_scope_leave(&shield, 0));
		}
	}
}

ANYC_TEST(checkpoints, c16_each_in_a_cancelled_scope)
{
	struct world w;
	struct anyc_scope s;

	make_world(&w);
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	check_each(&w, ANYC_ECANCELED, true);
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	end_world(&w);
	anyc_signal_restore((const int[]){ SIGUSR2 }, 1);
}

/* Every one of them lets another ready task run before it says so. */
ANYC_TEST(checkpoints, r01_each_yields_when_cancelled)
{
	struct ticker t = { 0 };
	struct anyc_group g;
	struct anyc_scope s;
	struct world w;

	make_world(&w);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, tick_on, &t));
	CHECK_OK(anyc_checkpoint());
	anyc_scope_enter(&s, NULL);
	CHECK_OK(anyc_scope_cancel(&s, NULL));
	for (size_t i = 0; i < COUNT; i++) {
		int before = t.ticks;

		ANYC_IGNORE(table[i].call(&w));
		if (t.ticks == before)
			FAIL("%s did not yield", table[i].name);
	}
	CHECK_OK(anyc_scope_leave(&s, ANYC_ECANCELED));
	t.stop = true;
	CHECK_OK(anyc_group_leave(&g, 0));
	end_world(&w);
}

static void call_all_outside(void *arg)
{
	check_each(arg, ANYC_ENOTASK, false);
}

ANYC_TEST_ON(checkpoints, r11_each_outside_a_task, ANYC_ROWS_LOOP)
{
	struct world w;

	make_world(&w);
	host_call(anyc_test_host(), call_all_outside, &w);
	check_untouched(&w);
	end_world(&w);
}

/* In plain threads the engine's own callbacks are outside of tasks. */
static int call_all_from_outside(void *arg)
{
	check_each(arg, ANYC_ENOTASK, false);
	return 0;
}

static int go_outside(void *arg)
{
	return anyc_outside(call_all_from_outside, arg);
}

ANYC_TEST(checkpoints, r11_each_in_a_callback_of_the_engine)
{
	struct anyc_group g;
	struct world w;

	make_world(&w);
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, go_outside, &w));
	CHECK_OK(anyc_group_leave(&g, 0));
	check_untouched(&w);
	end_world(&w);
}

ANYC_TEST(checkpoints, r27_each_after_a_fork)
{
	struct world w;
	int status = -1;
	pid_t pid;

	make_world(&w);
	pid = fork();
	CHECK_INT(pid, >=, 0);
	if (pid == 0) {
		alarm(20);
		check_each(&w, ANYC_EFORKED, true);
		/* Closes descriptors, and no more: the parent's connections go on. */
		anyc_stream_free(w.near);
		anyc_stream_free(w.far);
		anyc_listener_free(w.listener);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	CHECK_INT(status, ==, 0);
	check_untouched(&w);
	end_world(&w);
}

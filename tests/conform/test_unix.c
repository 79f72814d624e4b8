/* SPDX-License-Identifier: MIT */
/* UNIX sockets: behaviours 114 to 122 on them, 135, 139, 143; semantics.md H13 to H15, H20, H21. */
#include "conform_datagram.h"
#include "lib/alloc_fault.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/valgrind.h"

/* ----------------------------------------------------------------------------------- paths */

struct place {
	char directory[32], path[48], other[48];
};

static void place_make(struct place *p)
{
	snprintf(p->directory, sizeof p->directory, "/tmp/anyc-unix-XXXXXX");
	CHECK(mkdtemp(p->directory) != NULL);
	snprintf(p->path, sizeof p->path, "%s/socket", p->directory);
	snprintf(p->other, sizeof p->other, "%s/other", p->directory);
}

/* Nothing is left in it. */
static void place_end(struct place *p)
{
	CHECK_INT(rmdir(p->directory), ==, 0);
}

static bool stands(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Two ends: one connected, one accepted. */
static void connected_pair(struct place *p, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_listener *l;

	CHECK_OK(anyc_unix_listen(&l, p->path, NULL));
	CHECK_OK(anyc_unix_connect(a, p->path, NULL));
	CHECK_OK(anyc_listener_accept(l, b));
	anyc_listener_free(l);
}

ANYC_TEST(unix_sockets, h13_h14_connect_and_listen)
{
	struct anyc_unix_options o = { .mode = 0620 };
	struct anyc_stream *a, *b;
	struct anyc_listener *l;
	struct anyc_address at;
	struct stat st;
	struct place p;
	char text[128];

	place_make(&p);
	CHECK_OK(anyc_unix_listen(&l, p.path, &o));
	CHECK_INT(lstat(p.path, &st), ==, 0);
	CHECK_INT(st.st_mode & 07777, ==, 0620);
	CHECK_OK(anyc_unix_connect(&a, p.path, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &at, sizeof at));
	anyc_address_format(&at, text, sizeof text);
	CHECK_STR(text + 5, p.path);
	CHECK_OK(anyc_stream_attribute(a, &anyc_attribute_remote_address, &at, sizeof at));
	anyc_address_format(&at, text, sizeof text);
	CHECK_STR(text + 5, p.path);
	CHECK_OK(anyc_stream_attribute(b, &anyc_attribute_remote_address, &at, sizeof at));
	anyc_address_format(&at, text, sizeof text);
	CHECK_STR(text, "unix:(unnamed)");
	CHECK_OK(anyc_listener_close(l));
	CHECK(!stands(p.path));
	anyc_listener_free(l);
	CHECK_OK(anyc_stream_send(a, "to", 2));
	CHECK_RECEIVES(b, "to");
	CHECK_OK(anyc_stream_send(b, "fro", 3));
	CHECK_RECEIVES(a, "fro");
	anyc_stream_free(a);
	anyc_stream_free(b);
	CHECK_RC(anyc_unix_connect(&a, p.path, NULL), -ENOENT);
	snprintf(text, sizeof text, "connect unix:%s: no such file or directory", p.path);
	CHECK_STR(anyc_error_detail(-ENOENT), text);
	CHECK(a == NULL);
	place_end(&p);
}

/* What a dead server left is removed; a file is not; and who was relieved leaves the path alone. */
ANYC_TEST(unix_sockets, h14_stale_sockets)
{
	struct anyc_listener *l, *second;
	struct anyc_stream *s;
	struct place p;
	int fd;

	place_make(&p);
	CHECK_OK(anyc_unix_listen(&l, p.path, NULL));
	CHECK_INT(rename(p.path, p.other), ==, 0);
	anyc_listener_free(l);
	CHECK(stands(p.other)); /* dead: its listener looked elsewhere */
	CHECK_RC(anyc_unix_connect(&s, p.other, NULL), -ECONNREFUSED);
	CHECK_OK(anyc_unix_listen(&l, p.other, NULL));
	CHECK_OK(anyc_unix_connect(&s, p.other, NULL));
	anyc_stream_free(s);
	CHECK_OK(anyc_unix_listen(&second, p.other, NULL));
	anyc_listener_free(l);
	CHECK_OK(anyc_unix_connect(&s, p.other, NULL));
	anyc_stream_free(s);
	anyc_listener_free(second);
	CHECK(!stands(p.other));
	fd = open(p.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	CHECK_RC(anyc_unix_listen(&l, p.path, NULL), -EADDRINUSE);
	CHECK(l == NULL);
	CHECK(stands(p.path));
	CHECK_INT(unlink(p.path), ==, 0);
	place_end(&p);
}

/* A forked child that frees what it inherited leaves the parent's path alone. */
ANYC_TEST(unix_sockets, r27_a_child_leaves_the_path)
{
	struct anyc_listener *l;
	struct place p;
	int status;
	pid_t pid;

	place_make(&p);
	CHECK_OK(anyc_unix_listen(&l, p.path, NULL));
	pid = fork();
	if (pid == 0) {
		anyc_listener_free(l);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), ==, pid);
	CHECK_INT(status, ==, 0);
	CHECK(stands(p.path));
	anyc_listener_free(l);
	CHECK(!stands(p.path));
	place_end(&p);
}

ANYC_TEST(unix_sockets, h13_abstract_names)
{
	struct anyc_unix_options o = { 0 };
	struct anyc_listener *l, *second;
	struct anyc_stream *a, *b;
	struct anyc_address at;
	char name[40], text[64];

	o.path_length = (size_t)snprintf(name, sizeof name, "@anyc-test-%d", (int)getpid());
	name[0] = '\0';
	name[3] = '\0'; /* its bytes may be any */
	CHECK_OK(anyc_unix_listen(&l, name, &o));
	CHECK_OK(anyc_unix_connect(&a, name, &o));
	CHECK_OK(anyc_listener_accept(l, &b));
	CHECK_OK(anyc_listener_attribute(l, &anyc_attribute_local_address, &at, sizeof at));
	CHECK_INT(at.length, ==, sizeof(sa_family_t) + o.path_length);
	anyc_address_format(&at, text, sizeof text);
	CHECK_HAS(text, "unix:@an");
	CHECK_RC(anyc_unix_listen(&second, name, &o), -EADDRINUSE);
	CHECK(second == NULL);
	CHECK_OK(anyc_stream_send(a, "x", 1));
	CHECK_RECEIVES(b, "x");
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_listener_free(l);
}

ANYC_TEST(unix_sockets, h13_bad_arguments)
{
	struct anyc_unix_options nul = { .path_length = 5 }, mode = { .mode = 01000 },
				 backlog = { .backlog = -1 }, local = { .local_path = "/x" };
	struct anyc_listener *l = (void *)&l;
	struct anyc_datagram *d = (void *)&d;
	struct anyc_stream *s = (void *)&s;
	struct anyc_address a;
	char far[200];

	memset(far, 'x', sizeof far - 1);
	far[sizeof far - 1] = '\0';
	CHECK_RC(anyc_unix_connect(&s, far, NULL), ANYC_EINVAL);
	CHECK_STR(anyc_error_detail(ANYC_EINVAL),
		  "connect: the path has 199 bytes; a UNIX socket's has at most 107");
	CHECK_RC(anyc_unix_listen(&l, far, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_bind(&d, far, NULL), ANYC_EINVAL);
	far[108] = '\0';
	CHECK_RC(anyc_unix_address(&a, far, 0), ANYC_EINVAL);
	far[107] = '\0';
	CHECK_OK(anyc_unix_address(&a, far, 0));
	CHECK_INT(a.length, ==, sizeof(struct sockaddr_un));
	CHECK(s == NULL && l == NULL && d == NULL);
	CHECK_RC(anyc_unix_connect(&s, "", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_connect(&s, "a\0b\0c", &nul), ANYC_EINVAL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), "a NUL in the path");
	CHECK_RC(anyc_unix_connect(&s, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_connect(NULL, "/x", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_listen(NULL, "/x", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_listen(&l, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_listen(&l, "/x", &mode), ANYC_EINVAL);
	CHECK_RC(anyc_unix_listen(&l, "/x", &backlog), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_bind(&d, NULL, &local), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_bind(NULL, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_connect(&d, NULL, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_connect(NULL, "/x", NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_pair(NULL, &s), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_pair(&d, NULL), ANYC_EINVAL);
	CHECK_RC(anyc_unix_address(NULL, "/x", 0), ANYC_EINVAL);
	CHECK_RC(anyc_unix_listen(&l, "/no/such/directory", NULL), -ENOENT);
}

/* The queue is full: connecting waits, and can be cancelled. */
ANYC_TEST(unix_sockets, h13_a_full_queue)
{
	struct anyc_unix_options one = { .backlog = 1 };
	struct anyc_stream *s[3] = { NULL }, *in;
	struct anyc_listener *l;
	struct anyc_scope limit;
	struct place p;
	int i;

	place_make(&p);
	CHECK_OK(anyc_unix_listen(&l, p.path, &one));
	for (i = 0; i < 2; i++)
		CHECK_OK(anyc_unix_connect(&s[i], p.path, NULL));
	anyc_scope_enter_timeout(&limit, MS(20));
	CHECK_RC(anyc_scope_leave(&limit, anyc_unix_connect(&s[2], p.path, NULL)), ANYC_ETIMEDOUT);
	CHECK(s[2] == NULL);
	CHECK_OK(anyc_listener_accept(l, &in));
	CHECK_OK(anyc_unix_connect(&s[2], p.path, NULL));
	for (i = 0; i < 3; i++)
		anyc_stream_free(s[i]);
	anyc_stream_free(in);
	anyc_listener_free(l);
	place_end(&p);
}

/* --------------------------------------------------------------------- behaviours of streams */

static int accept_once(void *arg)
{
	struct anyc_listener **l = arg;
	struct anyc_stream *s = NULL;

	CHECK_RC(anyc_listener_accept(*l, &s), ANYC_ECLOSED);
	CHECK(s == NULL);
	return 0;
}

ANYC_TEST(unix_sockets, b135_accept_closed_under_it)
{
	struct anyc_listener *l;
	struct anyc_stream *s;
	struct anyc_group g;
	struct place p;

	place_make(&p);
	CHECK_OK(anyc_unix_listen(&l, p.path, NULL));
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, accept_once, &l));
	SETTLE();
	CHECK_RC(anyc_listener_accept(l, &s), ANYC_EBUSY);
	CHECK_OK(anyc_listener_close(l));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(anyc_listener_accept(l, &s), ANYC_ECLOSED);
	anyc_listener_free(l);
	place_end(&p);
}

ANYC_TEST(unix_sockets, b114_close_wakes_both_directions)
{
	static const char data[1 << 22];
	struct anyc_stream *a, *b;
	struct receiver r = { 0 };
	struct sender s = { .data = data, .size = sizeof data };
	struct anyc_group g;

	CHECK_OK(anyc_unix_pair(&a, &b));
	r.stream = s.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, receive_once, &r));
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!r.done && !s.done);
	CHECK_OK(anyc_stream_close(a));
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(r.rc, ANYC_ECLOSED);
	CHECK_RC(s.rc, ANYC_ECLOSED);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(unix_sockets, b115_b116_b120_ends)
{
	struct anyc_stream *a, *b;
	struct place p;
	char c;
	int i;

	place_make(&p);
	connected_pair(&p, &a, &b);
	CHECK_OK(anyc_stream_send(a, "data", 4));
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_RECEIVES(b, "data");
	for (i = 0; i < 2; i++)
		CHECK_RC(anyc_stream_receive(b, &c, 1), 0);
	CHECK_OK(anyc_stream_send(b, "back", 4));
	CHECK_RECEIVES(a, "back");
	CHECK_OK(anyc_stream_close(a));
	for (i = 0; i < 2; i++)
		CHECK_RC(anyc_stream_send(b, "x", 1), ANYC_EBROKEN);
	CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, EPIPE);
	anyc_stream_free(a);
	anyc_stream_free(b);
	place_end(&p);
}

/* Larger than the buffers, to the last byte; a cancelled receive takes nothing. */
ANYC_TEST(unix_sockets, b119_b122_all_of_it)
{
	static unsigned char data[1 << 20], got[1 << 20];
	struct anyc_stream *a, *b;
	struct sender s = { .data = data, .size = sizeof data };
	struct anyc_scope dead;
	struct anyc_group g;
	size_t have = 0, i;

	for (i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 31 >> 3);
	CHECK_OK(anyc_unix_pair(&a, &b));
	s.stream = a;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, send_once, &s));
	SETTLE();
	CHECK(!s.done);
	anyc_scope_enter(&dead, NULL);
	anyc_scope_cancel(&dead, "test");
	CHECK_RC(anyc_stream_receive(b, got, 100), ANYC_ECANCELED);
	CHECK_OK(anyc_scope_leave(&dead, ANYC_ECANCELED));
	while (have < sizeof got) {
		int n = anyc_stream_receive(b, got + have, sizeof got - have);

		CHECK_INT(n, >, 0);
		have += (size_t)n;
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(s.rc, 0);
	CHECK_INT(memcmp(data, got, sizeof got), ==, 0);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(unix_sockets, h28_attributes)
{
	struct anyc_credentials who;
	struct anyc_stream *a, *b;
	struct place p;
	int fd;

	place_make(&p);
	connected_pair(&p, &a, &b);
	CHECK_OK(anyc_stream_attribute(b, &anyc_attribute_credentials, &who, sizeof who));
	CHECK_INT(who.pid, ==, getpid());
	CHECK_INT(who.uid, ==, geteuid());
	CHECK_INT(who.gid, ==, getegid());
	CHECK_OK(anyc_stream_attribute(b, &anyc_attribute_fd, &fd, sizeof fd));
	CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, !=, 0);
	CHECK_INT(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
	anyc_stream_free(a);
	anyc_stream_free(b);
	tcp_pair(&a, &b);
	CHECK_RC(anyc_stream_attribute(a, &anyc_attribute_credentials, &who, sizeof who),
		 ANYC_ENOATTR);
	anyc_stream_free(a);
	anyc_stream_free(b);
	place_end(&p);
}

/* --------------------------------------------------------------------- descriptors that travel */

static int opened(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK_INT(fd, >=, 0);
	return fd;
}

static int count_open(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

ANYC_TEST(unix_sockets, b139_two_files_and_a_message)
{
	struct anyc_stream *a, *b;
	int pipe_[2], got[4] = { -1, -1, -1, -1 }, before;
	char buf[32] = "", c = 0;
	size_t count;

	before = count_open();
	CHECK_INT(pipe2(pipe_, O_CLOEXEC), ==, 0);
	CHECK_OK(anyc_unix_pair(&a, &b));
	CHECK_OK(anyc_stream_send(a, "first", 5));
	CHECK_OK(anyc_unix_send_fds(a, "message", 7, pipe_, 2));
	CHECK_OK(anyc_stream_send(a, "after", 5));
	/* What came before may come with them, what came after may not. */
	CHECK_INT(anyc_unix_receive_fds(b, buf, sizeof buf, got, 4, &count), >, 0);
	while (count == 0)
		CHECK_INT(anyc_unix_receive_fds(b, buf, sizeof buf, got, 4, &count), >, 0);
	CHECK_HAS(buf, "message");
	CHECK_INT(count, ==, 2);
	CHECK_RECEIVES(b, "after");
	CHECK_INT(fcntl(got[0], F_GETFD) & FD_CLOEXEC, !=, 0);
	CHECK_INT(fcntl(got[1], F_GETFD) & FD_CLOEXEC, !=, 0);
	CHECK_INT(write(got[1], "z", 1), ==, 1);
	CHECK_INT(read(pipe_[0], &c, 1), ==, 1);
	CHECK_INT(c, ==, 'z');
	close(pipe_[0]);
	close(pipe_[1]);
	close(got[0]);
	close(got[1]);
	CHECK_OK(anyc_stream_send_eof(a));
	CHECK_RC(anyc_unix_receive_fds(b, buf, sizeof buf, got, 4, &count), 0);
	CHECK_INT(count, ==, 0);
	anyc_stream_free(a);
	anyc_stream_free(b);
	CHECK_INT(count_open(), <=, before + 3); /* the engine's own, at most */
}

/* More than there is room for: told, and closed; and by a plain receive, all are. */
ANYC_TEST(unix_sockets, b139_what_has_no_room_is_closed)
{
	struct anyc_stream *a, *b;
	int files[3] = { opened(), opened(), opened() }, got[1], before;
	size_t count;
	char buf[8];

	CHECK_OK(anyc_unix_pair(&a, &b));
	CHECK_OK(anyc_unix_send_fds(a, "x", 1, files, 3));
	before = count_open();
	CHECK_RC(anyc_unix_receive_fds(b, buf, sizeof buf, got, 1, &count), 1);
	CHECK_INT(count, ==, 3);
	CHECK_INT(count_open(), ==, before + 1);
	close(got[0]);
	CHECK_OK(anyc_unix_send_fds(a, "y", 1, files, 3));
	CHECK_RC(anyc_stream_receive(b, buf, sizeof buf), 1);
	CHECK_INT(count_open(), ==, before);
	for (count = 0; count < 3; count++)
		close(files[count]);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* As many as go, to an adopted socket that was asked for credentials, too. */
ANYC_TEST(unix_sockets, b139_beside_credentials)
{
	int ends[2], on = 1, zeros[253] = { 0 }, got[253];
	struct anyc_stream *a, *b;
	size_t count;
	char buf[8];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
	CHECK_INT(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), ==, 0);
	CHECK_OK(anyc_unix_adopt(&a, ends[0]));
	CHECK_OK(anyc_unix_adopt(&b, ends[1]));
	CHECK_OK(anyc_unix_send_fds(a, "x", 1, zeros, 253));
	CHECK_RC(anyc_unix_receive_fds(b, buf, sizeof buf, got, 253, &count), 1);
	CHECK_INT(count, ==, 253);
	while (count > 0)
		CHECK_INT(close(got[--count]), ==, 0);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(unix_sockets, b139_when_no_number_is_left_for_them_all_are_closed)
{
	struct anyc_stream *a, *b;
	int files[3] = { opened(), opened(), opened() }, got[1], before, first_free;
	struct rlimit old, low;
	size_t count;
	char buf[8];

	CHECK_OK(anyc_unix_pair(&a, &b));
	CHECK_OK(anyc_unix_send_fds(a, "z", 1, files, 3));
	before = count_open();
	first_free = dup(files[0]);
	close(first_free);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
	low = old;
	low.rlim_cur = (rlim_t)first_free + 1;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
	if (!RUNNING_ON_VALGRIND) { /* which keeps a lower limit from the kernel */
		CHECK_RC(anyc_unix_receive_fds(b, buf, sizeof buf, got, 1, &count), ANYC_EBROKEN);
		CHECK_INT(anyc_error_errno(ANYC_EBROKEN), ==, EMFILE);
		CHECK_INT(count, ==, 0);
	}
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
	CHECK_INT(count_open(), ==, before);
	for (count = 0; count < 3; count++)
		close(files[count]);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

ANYC_TEST(unix_sockets, b139_bad_arguments)
{
	struct anyc_stream *a, *b, *t, *u;
	int fds[300] = { 0 }, closed = opened();
	size_t count = 7;
	char buf[4];

	CHECK_OK(anyc_unix_pair(&a, &b));
	CHECK_RC(anyc_unix_send_fds(a, "", 0, fds, 1), ANYC_EINVAL);
	CHECK_RC(anyc_unix_send_fds(a, "x", 1, fds, 0), ANYC_EINVAL);
	CHECK_RC(anyc_unix_send_fds(a, "x", 1, fds, 254), ANYC_EINVAL);
	CHECK_RC(anyc_unix_send_fds(a, "x", 1, NULL, 1), ANYC_EINVAL);
	CHECK_RC(anyc_unix_send_fds(NULL, "x", 1, fds, 1), ANYC_EINVAL);
	CHECK_RC(anyc_unix_receive_fds(b, buf, 0, fds, 1, &count), ANYC_EINVAL);
	CHECK_INT(count, ==, 0);
	CHECK_RC(anyc_unix_receive_fds(b, buf, 1, fds, 0, &count), ANYC_EINVAL);
	CHECK_RC(anyc_unix_receive_fds(b, buf, 1, fds, 1, NULL), ANYC_EINVAL);
	close(closed);
	CHECK_RC(anyc_unix_send_fds(a, "x", 1, &closed, 1), -EBADF);
	CHECK_HAS(anyc_error_detail(-EBADF), "send descriptors: ");
	CHECK_INT(anyc_stream_sent(a), ==, 0);
	CHECK_OK(anyc_stream_send(a, "well", 4)); /* nothing is broken by that */
	CHECK_RECEIVES(b, "well");
	CHECK_OK(anyc_stream_close(a));
	CHECK_RC(anyc_unix_send_fds(a, "x", 1, fds, 1), ANYC_ECLOSED);
	CHECK_RC(anyc_unix_receive_fds(a, buf, 1, fds, 1, &count), ANYC_ECLOSED);
	tcp_pair(&t, &u);
	CHECK_RC(anyc_unix_send_fds(t, "x", 1, fds, 1), ANYC_ENOTSUP);
	CHECK_RC(anyc_unix_receive_fds(t, buf, 1, fds, 1, &count), ANYC_ENOTSUP);
	anyc_stream_free(t);
	anyc_stream_free(u);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

struct fd_receiver {
	struct anyc_stream *stream;
	struct anyc_scope scope;
	int rc, fd;
	size_t count;
};

static int receive_one_fd(void *arg)
{
	struct fd_receiver *r = arg;
	char buf[8];

	anyc_scope_enter(&r->scope, NULL);
	r->rc = anyc_unix_receive_fds(r->stream, buf, sizeof buf, &r->fd, 1, &r->count);
	anyc_scope_leave(&r->scope, r->rc);
	return 0;
}

/* Waiting, busy meanwhile; cancelled it has taken nothing. */
ANYC_TEST(unix_sockets, b139_waiting_and_cancelled)
{
	struct fd_receiver r = { 0 };
	struct anyc_stream *a, *b;
	struct anyc_group g;
	int file = opened(), i;

	CHECK_OK(anyc_unix_pair(&a, &b));
	r.stream = b;
	for (i = 0; i < 2; i++) {
		anyc_group_enter(&g, NULL);
		CHECK_OK(anyc_spawn(&g, receive_one_fd, &r));
		SETTLE();
		CHECK_RC(anyc_stream_receive(b, (char[1]){ 0 }, 1), ANYC_EBUSY);
		if (i == 0)
			anyc_scope_cancel(&r.scope, "test");
		else
			CHECK_OK(anyc_unix_send_fds(a, "x", 1, &file, 1));
		CHECK_OK(anyc_group_leave(&g, 0));
		CHECK_RC(r.rc, i == 0 ? ANYC_ECANCELED : 1);
		CHECK_INT(r.count, ==, i);
	}
	close(r.fd);
	close(file);
	anyc_stream_free(a);
	anyc_stream_free(b);
}

/* ------------------------------------------------------------------------------- datagrams */

ANYC_TEST(unix_sockets, h20_bound_and_connected)
{
	struct anyc_unix_options o = { .mode = 0600 };
	struct anyc_datagram *server, *client, *mute;
	struct anyc_address from, to;
	struct stat st;
	struct place p;
	char buf[16];

	place_make(&p);
	o.local_path = p.other;
	CHECK_RC(anyc_unix_datagram_connect(&client, p.path, &o), -ENOENT);
	CHECK(client == NULL && !stands(p.other));
	CHECK_OK(anyc_unix_datagram_bind(&server, p.path, NULL));
	CHECK_OK(anyc_unix_datagram_connect(&client, p.path, &o));
	CHECK_INT(lstat(p.other, &st), ==, 0);
	CHECK_INT(st.st_mode & 07777, ==, 0600);
	CHECK_OK(anyc_unix_datagram_bind(&mute, NULL, NULL));
	CHECK_OK(anyc_unix_address(&to, p.path, 0));
	CHECK_OK(anyc_datagram_send_to(mute, "", 0, &to));
	CHECK_RC(anyc_datagram_receive_from(server, buf, sizeof buf, &from), 0);
	CHECK_INT(from.length, ==, 0);
	CHECK_OK(anyc_datagram_send(client, "longer than that", 16));
	CHECK_RC(anyc_datagram_receive_from(server, buf, 4, &from), 16);
	CHECK_OK(anyc_datagram_send_to(server, "answer", 6, &from));
	CHECK_DATAGRAM(client, "answer");
	anyc_datagram_free(server);
	CHECK(!stands(p.path));
	CHECK_RC(anyc_datagram_send_to(mute, "x", 1, &to), -ENOENT);
	CHECK_RC(anyc_datagram_send(client, "x", 1), ANYC_EBROKEN);
	CHECK_OK(anyc_datagram_close(client));
	CHECK(!stands(p.other));
	anyc_datagram_free(client);
	anyc_datagram_free(mute);
	place_end(&p);
}

struct flood {
	struct anyc_datagram *from;
	const struct anyc_address *to;
	unsigned char count, sent;
	int rc;
};

static int flood(void *arg)
{
	struct flood *f = arg;

	for (f->sent = 0; f->sent < f->count && f->rc == 0; f->sent++)
		f->rc = anyc_datagram_send_to(f->from, &f->sent, 1, f->to);
	return 0;
}

/* More than the receiver's queue takes: sending waits, and all of it comes, in order. */
static void check_flood(struct anyc_datagram *from, const struct anyc_address *to,
			struct anyc_datagram *receiver)
{
	struct flood f = { .from = from, .to = to, .count = 200 };
	struct anyc_group g;
	unsigned char c;
	int i;

	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, flood, &f));
	for (i = 0; i < 3; i++)
		CHECK_OK(anyc_sleep(MS(2)));
	CHECK_INT(f.sent, <, f.count);
	for (i = 0; i < f.count; i++) {
		CHECK_RC(anyc_datagram_receive(receiver, &c, 1), 1);
		CHECK_INT(c, ==, i);
	}
	CHECK_OK(anyc_group_leave(&g, 0));
	CHECK_RC(f.rc, 0);
}

ANYC_TEST(unix_sockets, r33_a_full_receiver)
{
	struct anyc_datagram *server, *client, *mute;
	struct anyc_address to;
	struct place p;

	place_make(&p);
	CHECK_OK(anyc_unix_datagram_bind(&server, p.path, NULL));
	CHECK_OK(anyc_unix_datagram_bind(&mute, NULL, NULL));
	CHECK_OK(anyc_unix_datagram_connect(&client, p.path, NULL));
	CHECK_OK(anyc_unix_address(&to, p.path, 0));
	check_flood(mute, &to, server);
	check_flood(client, NULL, server);
	anyc_datagram_free(server);
	anyc_datagram_free(mute);
	anyc_datagram_free(client);
	place_end(&p);
}

/* Nobody receives: the sender's deadline holds, and it sleeps until then. */
static void check_patience(struct anyc_datagram *from, const struct anyc_address *to)
{
	struct flood f = { .from = from, .to = to, .count = 255 };
	struct timespec before, after;
	struct anyc_scope limit;
	int64_t ms;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	anyc_scope_enter_timeout(&limit, MS(300));
	while (f.rc == 0)
		flood(&f);
	CHECK_RC(anyc_scope_leave(&limit, f.rc), ANYC_ETIMEDOUT);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	CHECK_INT(ms, <, 100 * anyc_test_slow());
}

ANYC_TEST(unix_sockets, r33_a_full_receiver_costs_nothing)
{
	struct anyc_datagram *server, *mute;
	struct anyc_address to;
	struct place p;

	place_make(&p);
	CHECK_OK(anyc_unix_datagram_bind(&server, p.path, NULL));
	CHECK_OK(anyc_unix_datagram_bind(&mute, NULL, NULL));
	CHECK_OK(anyc_unix_address(&to, p.path, 0));
	check_patience(mute, &to);
	anyc_datagram_free(server);
	anyc_datagram_free(mute);
	place_end(&p);
}

/* Closed while it waits for a full receiver. */
ANYC_TEST(unix_sockets, r33_closed_meanwhile)
{
	struct anyc_datagram *server, *mute;
	struct flood f = { .count = 250 };
	struct anyc_address to;
	struct anyc_group g;
	struct place p;
	int i;

	place_make(&p);
	CHECK_OK(anyc_unix_datagram_bind(&server, p.path, NULL));
	CHECK_OK(anyc_unix_datagram_bind(&mute, NULL, NULL));
	CHECK_OK(anyc_unix_address(&to, p.path, 0));
	f.from = mute;
	f.to = &to;
	anyc_group_enter(&g, NULL);
	CHECK_OK(anyc_spawn(&g, flood, &f));
	for (i = 0; i < 3; i++)
		CHECK_OK(anyc_sleep(MS(2)));
	CHECK_OK(anyc_datagram_close(mute));
	SETTLE(); /* without waiting for the end of its pause */
	CHECK_RC(f.rc, ANYC_ECLOSED);
	CHECK_OK(anyc_group_leave(&g, 0));
	anyc_datagram_free(server);
	anyc_datagram_free(mute);
	place_end(&p);
}

ANYC_TEST(unix_sockets, h20_pair)
{
	struct anyc_datagram *a, *b;

	CHECK_OK(anyc_unix_datagram_pair(&a, &b));
	CHECK_OK(anyc_datagram_send(a, "to", 2));
	CHECK_DATAGRAM(b, "to");
	CHECK_OK(anyc_datagram_send(b, "fro", 3));
	CHECK_DATAGRAM(a, "fro");
	CHECK_RC(anyc_udp_join(a, "239.1.2.3", NULL), ANYC_EINVAL);
	anyc_datagram_free(a);
	anyc_datagram_free(b);
}

/* ----------------------------------------------------------------------------------- adopt */

enum kind { STREAM, LISTENER, DATAGRAM, KINDS };

/* By this kind's call: refused, open still and as it was. */
static void refused(int fd, enum kind kind, const char *part)
{
	void *out = &fd;
	int flags = fcntl(fd, F_GETFL), rc;

	rc = kind == STREAM   ? anyc_unix_adopt((struct anyc_stream **)&out, fd)
	     : kind == LISTENER ? anyc_unix_adopt_listener((struct anyc_listener **)&out, fd)
				: anyc_unix_datagram_adopt((struct anyc_datagram **)&out, fd);
	CHECK_RC(rc, ANYC_EINVAL);
	CHECK(out == NULL);
	CHECK_HAS(anyc_error_detail(ANYC_EINVAL), part);
	CHECK_INT(fcntl(fd, F_GETFL), ==, flags);
}

ANYC_TEST(unix_sockets, b143_refusals)
{
	int pipe_[2], tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), pair[2], gram[2];
	int lone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enum kind kind;

	CHECK_INT(pipe2(pipe_, O_CLOEXEC), ==, 0);
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, gram), ==, 0);
	for (kind = 0; kind < KINDS; kind++) {
		refused(pipe_[0], kind, "no socket");
		refused(tcp, kind, "no UNIX socket");
		refused(udp, kind, "no UNIX socket");
	}
	refused(gram[0], STREAM, "no stream socket");
	refused(pair[0], DATAGRAM, "no datagram socket");
	refused(pair[0], LISTENER, "not listening");
	refused(lone, STREAM, "not connected");
	refused(lone, LISTENER, "not listening");
	CHECK_RC(anyc_unix_adopt(NULL, lone), ANYC_EINVAL);
	CHECK_RC(anyc_unix_adopt_listener(NULL, lone), ANYC_EINVAL);
	CHECK_RC(anyc_unix_datagram_adopt(NULL, lone), ANYC_EINVAL);
	close(pipe_[0]);
	close(pipe_[1]);
	close(tcp);
	close(udp);
	close(lone);
	close(pair[0]);
	close(pair[1]);
	close(gram[0]);
	close(gram[1]);
}

ANYC_TEST(unix_sockets, b143_accepted_is_non_blocking_and_owned)
{
	struct anyc_datagram *c, *d;
	struct anyc_stream *a, *b;
	int pair[2], gram[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, gram), ==, 0);
	CHECK_OK(anyc_unix_adopt(&a, pair[0]));
	CHECK_OK(anyc_unix_adopt(&b, pair[1]));
	CHECK_OK(anyc_unix_datagram_adopt(&c, gram[0]));
	CHECK_OK(anyc_unix_datagram_adopt(&d, gram[1]));
	CHECK_INT(fcntl(pair[0], F_GETFL) & O_NONBLOCK, !=, 0);
	CHECK_INT(fcntl(gram[0], F_GETFL) & O_NONBLOCK, !=, 0);
	CHECK_OK(anyc_stream_send(a, "x", 1));
	CHECK_RECEIVES(b, "x");
	CHECK_OK(anyc_datagram_send(c, "y", 1));
	CHECK_DATAGRAM(d, "y");
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_datagram_free(c);
	anyc_datagram_free(d);
	CHECK_INT(fcntl(pair[0], F_GETFD), ==, -1);
	CHECK_INT(fcntl(gram[1], F_GETFD), ==, -1);
}

/* An adopted listener accepts, and leaves the path to whom it belongs. */
ANYC_TEST(unix_sockets, b143_a_listener)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct anyc_stream *a, *b;
	struct anyc_listener *l;
	struct place p;

	place_make(&p);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", p.path);
	CHECK_INT(bind(fd, (struct sockaddr *)&un, sizeof un), ==, 0);
	CHECK_INT(listen(fd, 1), ==, 0);
	refused(fd, STREAM, "anyc_unix_adopt_listener()");
	CHECK_OK(anyc_unix_adopt_listener(&l, fd));
	CHECK_OK(anyc_unix_connect(&a, p.path, NULL));
	CHECK_OK(anyc_listener_accept(l, &b));
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_listener_free(l);
	CHECK_INT(unlink(p.path), ==, 0);
	place_end(&p);
}

/* --------------------------------------------------------------------------- without memory */

static int use_all(void *arg)
{
	struct place *p = arg;
	struct anyc_stream *a = NULL, *b = NULL, *c = NULL, *d = NULL;
	struct anyc_datagram *m = NULL, *n = NULL, *o = NULL;
	struct anyc_listener *l = NULL;
	int rc = anyc_unix_listen(&l, p->path, NULL);

	CHECK((rc == 0) == (l != NULL) && (rc == 0) == stands(p->path));
	if (rc == 0)
		rc = anyc_unix_connect(&a, p->path, NULL);
	if (rc == 0)
		rc = anyc_listener_accept(l, &b);
	if (rc == 0)
		rc = anyc_unix_pair(&c, &d);
	CHECK((c == NULL) == (d == NULL));
	if (rc == 0)
		rc = anyc_unix_datagram_pair(&m, &n);
	CHECK((m == NULL) == (n == NULL));
	if (rc == 0) {
		rc = anyc_unix_datagram_bind(&o, p->other, NULL);
		CHECK((rc == 0) == (o != NULL) && (rc == 0) == stands(p->other));
	}
	anyc_stream_free(a);
	anyc_stream_free(b);
	anyc_stream_free(c);
	anyc_stream_free(d);
	anyc_datagram_free(m);
	anyc_datagram_free(n);
	anyc_datagram_free(o);
	anyc_listener_free(l);
	return rc;
}

static int use_all_on_row(void *arg)
{
	struct host h;

	return host_run_task(&h, anyc_test_row(), use_all, arg, "use_all");
}

ANYC_TEST_MAIN(unix_sockets, r16_without_memory, ANYC_ROWS_ALL, .deadline = 60)
{
	struct place p;

	place_make(&p);
	check_alloc_sweep(use_all_on_row, &p, 1);
	place_end(&p);
}

/* SPDX-License-Identifier: MIT */
/*
 * The shipped check of streams, on all streams there are: behaviours.md section 7, rows F2 to F8.
 * And on one that is broken in one way after the other, which it must find.
 */
#include "conform_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <anyc/sim.h>
#include <anyc/stream_check.h>
#include <anyc/streams.h>
#include <anyc/unix.h>

#include "lib/next.h"
#include "lib/pair.h"

#ifdef ANYC_HAVE_OPENSSL
#include "conform_tls.h"
#endif

#define CHECK_STREAMS(make_, limits_, ...) \
	do { \
		struct anyc_stream_check check_ = { \
			.make = (make_), .limits = (limits_), .name = #make_, __VA_ARGS__ \
		}; \
		anyc_stream_check(&check_); \
	} while (0)

/* ------------------------------------------------------------------ a kernel that moves little */

/*
 * The two descriptors of a pair, and how much of them one call of send, recv, read, write or writev
 * moves at most.
 */
static struct {
	int fd[2];
	size_t most; /* 0: all that there is */
	bool receives; /* also what is received */
	unsigned seed;
} kernel;

static bool is_cut(int fd)
{
	return kernel.most != 0 && (fd == kernel.fd[0] || fd == kernel.fd[1]);
}

static size_t part_of(int fd, size_t size)
{
	size_t part;

	if (!is_cut(fd))
		return size;
	kernel.seed = kernel.seed * 1103515245 + 12345;
	part = 1 + (kernel.seed >> 16) % kernel.most;
	return part < size ? part : size;
}

static int fd_of(struct anyc_stream *s)
{
	int fd;

	CHECK_OK(anyc_stream_attribute(s, &anyc_attribute_fd, &fd, sizeof fd));
	return fd;
}

static void cut(struct anyc_stream *a, struct anyc_stream *b)
{
	if (kernel.most == 0)
		return;
	kernel.fd[0] = fd_of(a);
	kernel.fd[1] = fd_of(b);
}

/* The first piece of a list, or a part of it. */
static struct iovec piece_of(int fd, const struct iovec *iov)
{
	return (struct iovec){ .iov_base = iov->iov_base, .iov_len = part_of(fd, iov->iov_len) };
}

/* Of a pipe: the engine reads what may have got a number of a pair's. */
static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	static ssize_t (*next)(int, const void *, size_t, int);

	if (next == NULL)
		next_function(&next, "send");
	return next(fd, data, part_of(fd, size), flags);
}

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	static ssize_t (*next)(int, void *, size_t, int);

	if (next == NULL)
		next_function(&next, "recv");
	return next(fd, buf, kernel.receives ? part_of(fd, size) : size, flags);
}

ssize_t read(int fd, void *buf, size_t size)
{
	static ssize_t (*next)(int, void *, size_t);

	if (next == NULL)
		next_function(&next, "read");
	return next(fd, buf, kernel.receives && is_pipe(fd) ? part_of(fd, size) : size);
}

ssize_t write(int fd, const void *data, size_t size)
{
	static ssize_t (*next)(int, const void *, size_t);

	if (next == NULL)
		next_function(&next, "write");
	return next(fd, data, is_cut(fd) && is_pipe(fd) ? part_of(fd, size) : size);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	static ssize_t (*next)(int, const struct iovec *, int);
	struct iovec piece;

	if (next == NULL)
		next_function(&next, "writev");
	if (count == 0 || !is_cut(fd))
		return next(fd, iov, count);
	piece = piece_of(fd, iov);
	return next(fd, &piece, 1);
}

/*
 * The last three numbers are more than fits when parts are of 1, 70 and 3000 bytes: a socket of
 * UNIX counts each part as some hundred bytes more than it has.  Of TCP only what is sent comes in
 * parts: there a short receive says that nothing is left, and never lies.
 */
#define CHECK_IN_PARTS(make, limits, receives_, ...) \
	do { \
		static const size_t parts[] = { 1, 70, 3000 }; \
		static const size_t clogs[] = { __VA_ARGS__ }; \
		for (unsigned i_ = 0; i_ < 3; i_++) { \
			kernel.most = parts[i_]; \
			kernel.receives = (receives_); \
			CHECK_STREAMS(make, limits, .seed = i_, .clog = clogs[i_]); \
		} \
		kernel.most = 0; \
	} while (0)

static int over_tcp(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	(void)arg;
	tcp_pair(a, b);
	squeeze(*a);
	cut(*a, *b);
	return 0;
}

static int over_tcp_unsqueezed(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	(void)arg;
	tcp_pair(a, b);
	return 0;
}

ANYC_TEST_NET(stream_check, f02_tcp, .deadline = 60)
{
	CHECK_STREAMS(over_tcp, 0, .clog = 500000);
}

/* The simulated network has short sends of its own. */
ANYC_TEST(stream_check, f02_tcp_one_byte_and_random_sizes, .deadline = 120)
{
	CHECK_IN_PARTS(over_tcp, 0, false, 5000, 30000, 300000);
}

static int over_unix(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	int rc = anyc_unix_pair(a, b);

	(void)arg;
	if (rc == 0)
		cut(*a, *b);
	return rc;
}

ANYC_TEST(stream_check, f02_unix, .deadline = 60)
{
	CHECK_STREAMS(over_unix, 0);
}

ANYC_TEST(stream_check, f02_unix_one_byte_and_random_sizes, .deadline = 120)
{
	CHECK_IN_PARTS(over_unix, 0, true, 5000, 50000, 500000);
}

static int over_a_pipe(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	int rc = anyc_pipe_open(b, a);

	(void)arg;
	if (rc == 0)
		cut(*a, *b);
	return rc;
}

ANYC_TEST(stream_check, f02_pipe, .deadline = 60)
{
	CHECK_STREAMS(over_a_pipe, ANYC_STREAM_ONE_WAY);
}

ANYC_TEST(stream_check, f02_pipe_one_byte_and_random_sizes, .deadline = 120)
{
	CHECK_IN_PARTS(over_a_pipe, ANYC_STREAM_ONE_WAY, true, 70000, 80000, 200000);
}

static int in_memory(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	const size_t *capacity = arg;

	return anyc_stream_pair(a, b, *capacity);
}

ANYC_TEST(stream_check, f02_memory, .deadline = 60)
{
	size_t capacity[3] = { 0, 1, 4097 };
	int i;

	for (i = 0; i < 3; i++)
		CHECK_STREAMS(in_memory, 0, .arg = &capacity[i], .clog = 200000, .seed = 7);
}

/* The kit's own: one byte at a time, and random sizes. */
static struct anyc_test_pair_options shorts[] = {
	{ .most = 1, .capacity = 10 },
	{ .most = 3000, .seed = 1 },
	{ .most = 70, .capacity = 100, .seed = 99 },
};
enum { SHORTS = sizeof shorts / sizeof shorts[0] };

static int in_the_kit(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	return anyc_test_pair(a, b, arg);
}

ANYC_TEST(stream_check, f02_one_byte_and_random_sizes, .deadline = 60)
{
	int i;

	for (i = 0; i < SHORTS; i++)
		CHECK_STREAMS(in_the_kit, 0, .arg = &shorts[i], .clog = 100000, .seed = 3);
}

/* Wrappers, over a pair that is narrow, or that moves little at once. */
static struct anyc_test_pair_options narrow = { .capacity = 5000 };

static void pair_below(const void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	CHECK_OK(anyc_test_pair(a, b, arg));
}

static int stapled(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *out, *in, *back, *forth;

	pair_below(arg, &out, &in);
	pair_below(arg, &back, &forth);
	CHECK_OK(anyc_stream_staple(a, forth, out));
	CHECK_OK(anyc_stream_staple(b, in, back));
	return 0;
}

static int buffered(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;

	pair_below(arg, &here, &there);
	CHECK_OK(anyc_buffered_stream(a, here));
	CHECK_OK(anyc_buffered_stream(b, there));
	return 0;
}

static int text(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;

	pair_below(arg, &here, &there);
	CHECK_OK(anyc_text_stream(a, here, NULL));
	CHECK_OK(anyc_text_stream(b, there, NULL));
	return 0;
}

#define CHECK_OVER_SHORTS(make, limits) \
	do { \
		int i_; \
		CHECK_STREAMS(make, limits, .arg = &narrow, .clog = 200000); \
		for (i_ = 0; i_ < SHORTS; i_++) \
			CHECK_STREAMS(make, limits, .arg = &shorts[i_], .clog = 100000, \
				      .seed = 5); \
	} while (0)

ANYC_TEST(stream_check, f09_stapled, .deadline = 60)
{
	CHECK_OVER_SHORTS(stapled, 0);
}

ANYC_TEST(stream_check, f16_buffered, .deadline = 60)
{
	CHECK_OVER_SHORTS(buffered, 0);
}

ANYC_TEST(stream_check, f17_text, .deadline = 60)
{
	CHECK_OVER_SHORTS(text, ANYC_STREAM_TEXT);
}

/* Written through one descriptor, and read through another. */
static int on_a_file(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	char path[] = "/tmp/anyc-stream-check-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	(void)arg;
	CHECK_INT(fd, >=, 0);
	CHECK_OK(anyc_file_stream_open(b, path, O_RDONLY, 0));
	CHECK_OK(anyc_file_stream_open(a, path, O_WRONLY, 0));
	close(fd);
	unlink(path);
	return 0;
}

ANYC_TEST(stream_check, f18_file, .deadline = 60)
{
	CHECK_STREAMS(on_a_file,
		      ANYC_STREAM_ONE_WAY | ANYC_STREAM_NO_SEND_EOF | ANYC_STREAM_STORED);
}

/* A simulated network whose receives and sends are short. */
static int check_sim(void *arg)
{
	(void)arg;
	CHECK_STREAMS(over_tcp_unsqueezed, 0, .clog = 200000);
	return 0;
}

ANYC_TEST_MAIN(stream_check, f02_sim_random_short, "sim", .deadline = 60)
{
	struct anyc_sim_options options = {
		.seed = 11,
		.network = true,
		.link = { .short_receives = true, .short_sends = true, .latency = 1000,
			  .window = 3000 },
	};
	struct anyc_run_options run = { .backend = "sim" };
	struct anyc_sim *sim;

	CHECK_OK(anyc_sim_create(&sim, &options));
	run.native = sim;
	CHECK_OK(anyc_run(&run, check_sim, NULL));
	anyc_sim_free(sim);
}

#ifdef ANYC_HAVE_OPENSSL
#define TLS_LIMITS (ANYC_STREAM_NO_SEND_EOF | ANYC_STREAM_CUT_SEND_BREAKS)

static struct fixture fixture;

/* TLS over two streams that are connected. */
static void tls_over(struct anyc_stream *below_a, struct anyc_stream *below_b,
		     struct anyc_stream **a, struct anyc_stream **b)
{
	struct link l;

	link_over(&l, &fixture, below_a, below_b);
	*a = l.client.stream;
	*b = l.server.stream;
}

static int tls_in_memory(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;

	pair_below(arg, &here, &there);
	tls_over(here, there, a, b);
	return 0;
}

ANYC_TEST(stream_check, f02_tls, .deadline = 60)
{
	fixture_make(&fixture);
	CHECK_STREAMS(tls_in_memory, TLS_LIMITS, .clog = 1000000);
	fixture_end(&fixture);
}

/* With room for a record, but moved in parts. */
ANYC_TEST(stream_check, f02_tls_one_byte_and_random_sizes, .deadline = 120)
{
	struct anyc_test_pair_options parts[] = {
		{ .most = 1, .capacity = 4000 },
		{ .most = 3000, .seed = 1, .capacity = 9000 },
		{ .most = 70, .seed = 99, .capacity = 4000 },
	};
	size_t i;

	fixture_make(&fixture);
	for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
		CHECK_STREAMS(tls_in_memory, TLS_LIMITS, .arg = &parts[i], .clog = 50000);
	fixture_end(&fixture);
}

static int tls_over_the_pair(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;

	(void)arg;
	CHECK_OK(anyc_stream_pair(&here, &there, 9000));
	tls_over(here, there, a, b);
	return 0;
}

ANYC_TEST(stream_check, f02_tls_over_the_pair, .deadline = 60)
{
	fixture_make(&fixture);
	CHECK_STREAMS(tls_over_the_pair, TLS_LIMITS, .clog = 1000000);
	fixture_end(&fixture);
}

/* And over the network in memory of a sim. */
static int tls_over_tcp(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;

	(void)arg;
	tcp_pair(&here, &there);
	squeeze(here);
	tls_over(here, there, a, b);
	return 0;
}

ANYC_TEST_NET(stream_check, f02_tls_over_tcp, .deadline = 60)
{
	fixture_make(&fixture);
	CHECK_STREAMS(tls_over_tcp, TLS_LIMITS, .clog = 1000000);
	fixture_end(&fixture);
}

static int tls_in_tls(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;

	tls_in_memory(arg, &here, &there);
	tls_over(here, there, a, b);
	return 0;
}

ANYC_TEST(stream_check, g01_tls_in_tls, .deadline = 60)
{
	fixture_make(&fixture);
	CHECK_STREAMS(tls_in_tls, TLS_LIMITS, .clog = 1000000);
	fixture_end(&fixture);
}
#endif

/* ----------------------------------------------------------------------- one that is broken */

/* A stream around a good one, with a fault. */
enum fault {
	NONE,
	SWAPS_BYTES,
	DROPS_A_BYTE,
	IGNORES_CLOSE,
	NO_CHECKPOINT,
	LOSES_ON_CANCEL,
	SENDS_WHEN_CANCELLED,
	COUNTS_TOO_MUCH,
	WAITS_DESPITE_NOWAIT,
	SENDS_FOR_EVER,
	FAULTS_COUNT
};
static const char *const found_by[FAULTS_COUNT] = {
	[SWAPS_BYTES] = "in order and once",
	[DROPS_A_BYTE] = "in order and once",
	[IGNORES_CLOSE] = "close wakes who is inside",
	[NO_CHECKPOINT] = "let other tasks run",
	[LOSES_ON_CANCEL] = "a cancelled receive loses nothing",
	[SENDS_WHEN_CANCELLED] = "CANCELED",
	[COUNTS_TOO_MUCH] = "in order and once",
	[WAITS_DESPITE_NOWAIT] = "ANYC_NOWAIT",
	[SENDS_FOR_EVER] = "a peer that has gone",
};
static enum fault fault;

struct broken {
	struct anyc_stream stream;
	struct anyc_stream *below;
	size_t received;
};

static struct broken *broken_of(struct anyc_stream *s)
{
	return (struct broken *)(void *)s;
}

static int broken_receive(struct anyc_stream *s, void *buf, size_t size, unsigned flags)
{
	struct broken *b = broken_of(s);
	char *data = buf;
	int rc;

	if (fault == LOSES_ON_CANCEL && (flags & ANYC_NOWAIT) == 0 &&
	    anyc_has_pending_cancellation())
		ANYC_IGNORE(anyc_stream_receive_flags(b->below, buf, size, ANYC_NOWAIT));
	if (fault == WAITS_DESPITE_NOWAIT)
		flags = 0;
	if (fault == NO_CHECKPOINT && (flags & ANYC_NOWAIT) == 0 &&
	    !anyc_has_pending_cancellation()) {
		rc = anyc_stream_receive_flags(b->below, buf, size, ANYC_NOWAIT);
		if (rc != ANYC_EWOULDBLOCK)
			return rc;
	}
	rc = anyc_stream_receive_flags(b->below, buf, size, flags);
	if (rc > 1 && fault == SWAPS_BYTES) {
		char first = data[0];

		data[0] = data[1];
		data[1] = first;
	}
	if (rc > 1 && fault == DROPS_A_BYTE && b->received > 1000)
		rc--;
	b->received += rc > 0 ? (size_t)rc : 0;
	return rc;
}

static int broken_send_some(struct anyc_stream *s, const struct iovec *iov, int count,
			    unsigned flags)
{
	struct broken *b = broken_of(s);
	int rc;

	if (fault == SENDS_WHEN_CANCELLED && anyc_has_pending_cancellation())
		return anyc_stream_send_some(b->below, iov, count, ANYC_NOWAIT);
	rc = anyc_stream_send_some(b->below, iov, count, flags);
	if (rc == ANYC_EBROKEN && fault == SENDS_FOR_EVER)
		return (int)iov[0].iov_len;
	if (rc > 0 && fault == COUNTS_TOO_MUCH && (size_t)rc < iov[0].iov_len)
		return rc + 1;
	return rc;
}

static int broken_send_eof(struct anyc_stream *s)
{
	return anyc_stream_send_eof(broken_of(s)->below);
}

static int broken_close(struct anyc_stream *s, unsigned flags)
{
	struct broken *b = broken_of(s);

	if (fault == IGNORES_CLOSE)
		return 0;
	if ((flags & ANYC_NOWAIT) == 0)
		return anyc_stream_close(b->below);
	anyc_stream_free(b->below);
	b->below = NULL;
	return 0;
}

static void broken_free(struct anyc_stream *s)
{
	anyc_stream_free(broken_of(s)->below);
	free(s);
}

static const struct anyc_stream_ops broken_ops = {
	.size = sizeof broken_ops,
	.name = "broken",
	.receive = broken_receive,
	.send_some = broken_send_some,
	.send_eof = broken_send_eof,
	.close = broken_close,
	.free = broken_free,
};

static struct anyc_stream *breakage(struct anyc_stream *below)
{
	struct broken *b = calloc(1, sizeof *b);

	CHECK(b != NULL);
	anyc_stream_init(&b->stream, &broken_ops);
	b->below = below;
	return &b->stream;
}

static int broken_pair(void *arg, struct anyc_stream **a, struct anyc_stream **b)
{
	struct anyc_stream *here, *there;
	int rc = anyc_stream_pair(&here, &there, 5000);

	(void)arg;
	*a = breakage(here);
	*b = breakage(there);
	return rc;
}

static void check_broken(void)
{
	CHECK_STREAMS(broken_pair, 0, .clog = 100000, .patience = ANYC_SECOND);
}

/* The wrapper itself keeps all promises, so it is the fault that is found. */
ANYC_TEST(stream_check, n04_the_wrapper_without_a_fault, .deadline = 60)
{
	check_broken();
}

ANYC_TEST_MAIN(stream_check, n04_finds_what_is_broken, ANYC_ROWS_ALL, .deadline = 120)
{
	int i;

	for (i = NONE + 1; i < FAULTS_COUNT; i++) {
		struct corpse c;

		fault = (enum fault)i;
		corpse_make_in_task(&c, check_broken);
		CHECK(WIFEXITED(c.status));
		if (WEXITSTATUS(c.status) != 1)
			FAIL("fault %d (%s) was not found: %s", i, found_by[i], c.text);
		CHECK_HAS(c.text, found_by[i]);
	}
}

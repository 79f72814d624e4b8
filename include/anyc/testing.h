/* SPDX-License-Identifier: MIT */
/*
 * For authors of tests: one body, run on every backend, and what tests of tasks need.
 *
 *	#include <anyc/criterion.h>             // or <anyc/tap.h>: the runner
 *
 *	ANYC_TEST(lock, passes_on_in_order, .deadline = 5)
 *	{
 *		ANYC_CHECK_OK(anyc_sleep(0));
 *	}
 *
 * A test runs once on each row: every backend that is available here, "sim" (a virtual clock,
 * sim.h) included, "anyc" (the engine alone) and "none" (a plain thread, no loop).  The row is part
 * of its name: passes_on_in_order[libuv].
 * Each run is a process of its own.  The body runs in a task; what it leaves behind of anyc's
 * tasks, loops, streams, watches, stacks and blocks, and of descriptors, is a failure.
 * A check that fails ends the process at once, in tasks, callbacks and threads alike: its message
 * is out by then, nothing is torn down, and nothing can hang.
 *
 * Environment: ANYC_TEST_BACKENDS=libuv,none names the rows to have; ANYC_TEST_SLOW=5 multiplies
 * deadlines; ANYC_TEST_LEAKS=1 shows where blocks that were left came from.
 *
 * anyc_wait_all_blocked() and anyc_test_shuffle() are in libanyc: for these a program includes this
 * header, and links nothing else.  All else is in libanyc-test (pkg-config anyc-test), which links
 * no test framework.
 */
#ifndef ANYC_TESTING_H
#define ANYC_TESTING_H

#include <sys/wait.h>

#include <anyc/base.h>
#include <anyc/memory.h>
#include <anyc/stream.h>
#include <anyc/sync.h>
#include <anyc/task.h>

ANYC_BEGIN_DECLS

/*
 * Waits until every other task of the loop waits for something; exact, and without polling.  A
 * task that was cancelled or woken and has not run yet counts as running.
 *   checkpoint  yes     errors  ANYC_ECANCELED
 */
ANYC_API ANYC_MUST_CHECK int anyc_wait_all_blocked(void);

/*
 * Has ready tasks run in an order drawn by lot: on the current loop from now on, and on every loop
 * and plain thread's root of this process that is made later, each drawing from the seed anew.
 * What became ready while one batch ran makes the next: all of a batch run before any of the next.
 * 0: in the order they became ready, which is what ever else is promised.
 * Not a checkpoint.  Any thread.
 */
ANYC_API void anyc_test_shuffle(uint64_t seed);

/* ---------------------------------------------------------------------------------- tests */

/* What ANYC_TEST() makes; its further arguments are initialisers of the options. */
struct anyc_test {
	size_t size; /* of this structure */
	const char *suite, *name, *file;
	unsigned line;
	void (*body)(void);

	/* Names of rows, and kinds of them, with commas: "all", "loop" (all but "none"), "native"
	 * (on a loop of another library).  NULL: all. */
	const char *rows;
	int deadline;            /* in seconds, for all of the test; 0: 10 */
	bool outside;            /* the body alone, in main: no task, no loop, nothing attached */
	void (*set_up)(void);    /* before the body and after it, in the same task: scopes and */
	void (*tear_down)(void); /* groups may be open between them.  NULL: nothing to do */
	void *reserved_[4];
};

/* The row that the test runs on. */
ANYC_API const char *anyc_test_row(void);
ANYC_API bool anyc_test_row_is(const char *row);
/* What deadlines are multiplied by. */
ANYC_API int anyc_test_slow(void);

/* --------------------------------------------------------------------------------- checks */
/* In tasks, callbacks and threads, and in functions of any of them. */

#define ANYC_FAIL(...) anyc_test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define ANYC_CHECK(condition) \
	((condition) ? (void)0 : anyc_test_fail(__FILE__, __LINE__, "not so: %s", #condition))
/* Codes are shown by name, with their sentence. */
#define ANYC_CHECK_RC(call, want) anyc_test_rc_(__FILE__, __LINE__, #call, (call), (want))
#define ANYC_CHECK_OK(call) ANYC_CHECK_RC(call, 0)
/* ANYC_CHECK_INT(n, <=, 5) */
#define ANYC_CHECK_INT(have, op, want) \
	do { \
		long long have_ = (long long)(have), want_ = (long long)(want); \
		if (!(have_ op want_)) \
			anyc_test_int_(__FILE__, __LINE__, #have, have_, #op, want_); \
	} while (0)
#define ANYC_CHECK_STR(have, want) \
	anyc_test_str_(__FILE__, __LINE__, #have, (have), (want))
/* The text contains the part. */
#define ANYC_CHECK_HAS(text, part) anyc_test_has_(__FILE__, __LINE__, #text, (text), (part))

ANYC_API void anyc_test_fail(const char *file, unsigned line, const char *format, ...)
	__attribute__((__noreturn__)) ANYC_PRINTF(3, 4);
ANYC_API void anyc_test_rc_(const char *file, unsigned line, const char *what, int rc, int want);
ANYC_API void anyc_test_int_(const char *file, unsigned line, const char *what, long long have,
			     const char *op, long long want);
ANYC_API void anyc_test_str_(const char *file, unsigned line, const char *what, const char *have,
			     const char *want);
ANYC_API void anyc_test_has_(const char *file, unsigned line, const char *what, const char *text,
			     const char *part);

/*
 * Lines that went to anyc's report hook are kept, the last 64.  ANYC_CHECK_REPORT takes the
 * oldest that was not looked at, which must contain the part ("": any).
 */
#define ANYC_CHECK_REPORT(part) anyc_test_report_(__FILE__, __LINE__, (part))
ANYC_API void anyc_test_report_(const char *file, unsigned line, const char *part);
/* How many wait to be looked at; whether one of them contains the part; and all away. */
ANYC_API size_t anyc_test_reports(void);
ANYC_API bool anyc_test_reported(const char *part);
ANYC_API void anyc_test_forget_reports(void);

/* ---------------------------------------------------------------------------- checkpoints */

/*
 * Whether a call is a checkpoint.  The first two run a statement, inside a group, and look whether
 * another task, that was ready, ran meanwhile; the third makes a call in a cancelled scope, in
 * which it must return ANYC_ECANCELED.  Each evaluates its argument once.
 *
 *	ANYC_CHECK_CHECKPOINT(ANYC_CHECK_OK(queue_put(1)));
 */
#define ANYC_CHECK_CHECKPOINT(statement) ANYC_CHECK_YIELDS_(statement, true)
#define ANYC_CHECK_NO_CHECKPOINT(statement) ANYC_CHECK_YIELDS_(statement, false)
#define ANYC_CHECK_CANCELLED(call) \
	do { \
		struct anyc_scope scope_; \
		anyc_test_cancelled_(__FILE__, __LINE__, &scope_); \
		anyc_test_rc_(__FILE__, __LINE__, #call, (call), ANYC_ECANCELED); \
		anyc_scope_leave(&scope_, ANYC_ECANCELED); \
	} while (0)

struct anyc_test_yields_ {
	struct anyc_group group_;
	bool ran_;
	void *reserved_[2];
};
#define ANYC_CHECK_YIELDS_(statement, want) \
	do { \
		struct anyc_test_yields_ yields_; \
		anyc_test_yields_begin_(&yields_); \
		statement; \
		anyc_test_yields_end_(&yields_, __FILE__, __LINE__, #statement, (want)); \
	} while (0)
ANYC_API void anyc_test_yields_begin_(struct anyc_test_yields_ *y);
ANYC_API void anyc_test_yields_end_(struct anyc_test_yields_ *y, const char *file, unsigned line,
				    const char *what, bool want);
ANYC_API void anyc_test_cancelled_(const char *file, unsigned line, struct anyc_scope *s);

/* ------------------------------------------------------------------------------ sequencer */

/* Makes parts of several tasks run in an order: the part with place 0, then 1, and so on.  All
 * zero is a valid one.  Fields are private. */
struct anyc_sequencer {
	struct anyc_sequencer_waiter_ *first_;
	unsigned next_;
	bool inside_, broken_;
	uint8_t pad_[2];
	void *reserved_[2];
};
/*
 * Waits until the part of the place before has been left.  A cancelled wait breaks the sequence.
 *   checkpoint  yes                cancelled  nobody else can enter any more
 *   errors  ANYC_ECANCELED; ANYC_EMISUSE (the place is taken); ANYC_EBROKEN (another was cancelled)
 */
ANYC_API ANYC_MUST_CHECK int anyc_sequencer_enter(struct anyc_sequencer *s, unsigned place);
/* Lets the next part run.   errors  ANYC_EMISUSE: no part is entered */
ANYC_API int anyc_sequencer_leave(struct anyc_sequencer *s);

/* ---------------------------------------------------------------------------------- ports */

/*
 * A port of 127.0.0.1 and ::1 that nobody uses, and that no test of this run of the test program
 * was given before: for what must be told a number.  (Whatever can should bind port 0 instead.)
 *   errors  -errno
 */
ANYC_API ANYC_MUST_CHECK int anyc_test_tcp_port(void);
ANYC_API ANYC_MUST_CHECK int anyc_test_udp_port(void);

/* --------------------------------------------------------------------------- stream pairs */

struct anyc_test_pair_options {
	size_t capacity; /* bytes under way in one direction; 0: 64 KiB */
	size_t most;     /* one call moves at most so many bytes; 0: no limit */
	unsigned seed;   /* not 0: and a random number of them */
	void *reserved_[2];
};
/*
 * Two byte streams in memory, each the other's peer, to be freed one by one: for tests of what goes
 * over streams.  They move one byte at a time, stop taking data, end, break or lie when told to.
 * options may be NULL.   errors  -ENOMEM
 */
ANYC_API ANYC_MUST_CHECK int
anyc_test_pair_sized(struct anyc_stream **a, struct anyc_stream **b,
		     const struct anyc_test_pair_options *options, size_t size);
ANYC_INLINE ANYC_MUST_CHECK int anyc_test_pair(struct anyc_stream **a, struct anyc_stream **b,
					       const struct anyc_test_pair_options *options)
{
	return anyc_test_pair_sized(a, b, options, sizeof *options);
}

/* Sends of s take nothing until it is switched off. */
ANYC_API void anyc_test_pair_clog(struct anyc_stream *s, bool on);
/* What the peer of s has sent is still received, but it can send no more: EPIPE. */
ANYC_API void anyc_test_pair_deafen(struct anyc_stream *s);
/* After n more bytes from s nothing comes any more, and its peer sees the end. */
ANYC_API void anyc_test_pair_cut_after(struct anyc_stream *s, size_t n);
/* Both directions of s are broken, with this errno. */
ANYC_API void anyc_test_pair_break(struct anyc_stream *s, int os_errno);
/* The n-th byte from now that s sends arrives with a bit turned over. */
ANYC_API void anyc_test_pair_corrupt(struct anyc_stream *s, size_t n);

struct anyc_test_pair_counts {
	size_t sends, receives; /* calls that moved something */
	size_t sent, received;  /* bytes */
	size_t unread;          /* of the peer's bytes */
	size_t undelivered;     /* of its own */
	bool eof_sent;          /* anyc_stream_send_eof() was called */
	bool peer_closed;
	void *reserved_[2];
};
/* What s has done. */
ANYC_API void anyc_test_pair_counts_sized(struct anyc_test_pair_counts *out, size_t size,
					  const struct anyc_stream *s);
ANYC_INLINE void anyc_test_pair_counts(struct anyc_test_pair_counts *out,
				       const struct anyc_stream *s)
{
	anyc_test_pair_counts_sized(out, sizeof *out, s);
}

/* ------------------------------------------------------------------------------ snapshots */

/* What of anyc's lives in the process, and which descriptors are open (below 8192). */
struct anyc_snapshot {
	struct anyc_memory_stats memory;
	size_t pairs; /* ends of stream pairs */
	size_t fds;
	uint64_t open_[128];
	void *reserved_[2];
};
ANYC_API void anyc_snapshot_take(struct anyc_snapshot *s);
/*
 * In how many kinds of things two snapshots differ; counts and the descriptors that came are
 * written to buf, cut to size.
 */
ANYC_API size_t anyc_snapshot_compare(const struct anyc_snapshot *before,
				      const struct anyc_snapshot *after, char *buf, size_t size);
/* All is as it was. */
#define ANYC_CHECK_UNCHANGED(before) anyc_test_unchanged_(__FILE__, __LINE__, (before))
ANYC_API void anyc_test_unchanged_(const char *file, unsigned line,
				   const struct anyc_snapshot *before);

/* -------------------------------------------------------------------------------- corpses */

/*
 * What must end the process: fn runs in a forked child whose stderr is kept, with anyc's own report
 * hook.  Made in a test with .outside, before any loop.
 */
struct anyc_corpse {
	int status; /* waitpid(2)'s */
	char text[4096];
};
ANYC_API void anyc_corpse_make(struct anyc_corpse *c, void (*fn)(void));
/* The same, fn being the body of a task on the current row. */
ANYC_API void anyc_corpse_make_in_task(struct anyc_corpse *c, void (*fn)(void));
/* It died of the signal, and said so. */
#define ANYC_CHECK_DIED(c, signal, part) \
	anyc_test_died_(__FILE__, __LINE__, (c), (signal), (part))
/* fn returned. */
#define ANYC_CHECK_LIVED(c) anyc_test_died_(__FILE__, __LINE__, (c), 0, "")
ANYC_API void anyc_test_died_(const char *file, unsigned line, const struct anyc_corpse *c,
			      int signal_number, const char *part);

/* ----------------------------------------------------------------------------------- rows */

enum anyc_test_kind {
	ANYC_TEST_ROW_NONE,  /* no loop */
	ANYC_TEST_ROW_LOOP,  /* a loop of anyc's own */
	ANYC_TEST_ROW_NATIVE /* a loop that somebody else's library runs */
};
/* By which words in their rows a row takes tests. */
enum anyc_test_choice { ANYC_TEST_BY_EITHER, ANYC_TEST_BY_NAME, ANYC_TEST_BY_KIND };

/* A row of one's own.  What runs its tasks is a host: it may make its loop by hand. */
struct anyc_test_host {
	size_t size; /* of this structure */
	const char *row;
	enum anyc_test_kind kind;
	enum anyc_test_choice chosen_by;
	/*
	 * Runs fn(arg) as a task of that name until no task is left, and takes down whatever it
	 * made; the first error, the task's included.  NULL: the row's tests fail, as not built.
	 */
	int (*run)(const struct anyc_test_host *host, anyc_task_fn *fn, void *arg,
		   const char *name);
	/* Opens what its library keeps for good, before anything is counted; or NULL. */
	int (*warm_up)(const struct anyc_test_host *host);
	void *reserved_[4];
};
/*
 * Adds a row, in place of the kit's own one of that name.  Criterion's list is made by constructors
 * of the default priority, so call it from one with a priority: __attribute__((constructor(500))).
 * The same holds for anyc_backend_register().
 *   errors  ANYC_EINVAL; ANYC_EOVERFLOW (there are 16); ANYC_EMISUSE (the rows are in use)
 */
ANYC_API ANYC_MUST_CHECK int anyc_test_add_host(const struct anyc_test_host *host);

/* ----------------------------------------------------------------------------- for runners */

/* The row for the i-th run of a test; NULL past the end. */
ANYC_API const char *anyc_test_row_at(const struct anyc_test *t, unsigned i);
/* Seconds after which a runner should give up on a test: long after the test itself has. */
ANYC_API int anyc_test_backstop(const struct anyc_test *t);
/*
 * Runs a test in this process; full_name ends in "[row]".  Returns if it passed; a failure is told
 * to failed (NULL: stderr), and ends the process.
 */
typedef void anyc_test_failed_fn(const char *file, unsigned line, const char *text);
ANYC_API void anyc_test_main(const struct anyc_test *t, const char *full_name,
			     anyc_test_failed_fn *failed);
/* What a framework's own assert does in place of its jump. */
ANYC_API void anyc_test_abort(void) __attribute__((__noreturn__));
/* Tells a failure from any thread of the test, one at a time, and not from its forked children: to
 * whom anyc_test_main() was told. */
ANYC_API void anyc_test_tell(const char *file, unsigned line, const char *text);

/* ANYC_TEST(suite, name, options...): the runner's header has its last step.  Two steps join the
 * arguments, so that no options need no comma. */
#define ANYC_TEST(...) ANYC_TEST_(__VA_ARGS__, )
#define ANYC_TEST_(suite_, name_, ...) \
	static void suite_##_##name_##_body(void); \
	static const struct anyc_test suite_##_##name_##_test = { \
		.size = sizeof(struct anyc_test), \
		.suite = #suite_, \
		.name = #name_, \
		.file = __FILE__, \
		.line = __LINE__, \
		.body = suite_##_##name_##_body, \
		__VA_ARGS__ \
	}; \
	ANYC_TEST_REGISTER_(suite_##_##name_) \
	static void suite_##_##name_##_body(void)

ANYC_END_DECLS
#endif

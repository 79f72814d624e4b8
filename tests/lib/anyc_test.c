/* SPDX-License-Identifier: MIT */
/* Running one test on one row, its checks, and the search for what it left behind. */
#include "anyc_test.h"
#include "fds.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
extern void __sanitizer_set_report_path(const char *path) __attribute__((weak));

static struct {
	const struct anyc_test *test;
	char row[32];
	struct host *host;
	pid_t pid;
} now;

#define REPORTS 64
static struct {
	pthread_mutex_t lock;
	char line[REPORTS][400];
	size_t count; /* ever */
	size_t taken;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ------------------------------------------------------------------------------ registering */

static bool in_list(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; p != NULL && *p != '\0'; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, word, length) == 0 && (p[length] == ',' || p[length] == '\0'))
			return true;
	}
	return false;
}

const char *anyc_test_row_at_(const struct anyc_test *t, unsigned i)
{
	const char *wanted = getenv("ANYC_TEST_BACKENDS");
	const struct host_row *row;

	for (unsigned n = 0; (row = host_row(n)) != NULL; n++) {
		if (!in_list(t->rows, row->name))
			continue;
		if (wanted != NULL && wanted[0] != '\0' && !in_list(wanted, row->name))
			continue;
		if (i-- == 0)
			return row->name;
	}
	return NULL;
}

int anyc_test_slow(void)
{
	const char *slow = getenv("ANYC_TEST_SLOW");
	int factor = slow != NULL ? atoi(slow) : 1;

	return factor < 1 ? 1 : factor;
}

static int deadline_of(const struct anyc_test *t)
{
	return (t->deadline > 0 ? t->deadline : 10) * anyc_test_slow();
}

double anyc_test_backstop_(const struct anyc_test *t)
{
	return 2 * deadline_of(t) + 40;
}

#ifndef ANYC_TEST_TAP
void anyc_test_register_(const struct anyc_test *t, struct criterion_test **slots,
			 struct anyc_test_slot_ *store,
			 const struct criterion_test_extra_data *data, void (*jump)(void))
{
	const char *row;

	for (unsigned i = 0; i < ANYC_TEST_SLOTS; i++) {
		row = anyc_test_row_at_(t, i);
		if (row == NULL)
			return;
		snprintf(store[i].name, sizeof store[i].name, "%s[%s]", t->name, row);
		snprintf(store[i].identifier, sizeof store[i].identifier, "%s/%s", t->suite,
			 store[i].name);
		store[i].data = *data;
		store[i].data.identifier_ = store[i].identifier;
		store[i].data.file_ = t->file;
		store[i].data.line_ = t->line;
		store[i].data.timeout = anyc_test_backstop_(t);
		store[i].test.name = store[i].name;
		store[i].test.category = t->suite;
		store[i].test.test = jump;
		store[i].test.data = &store[i].data;
		slots[i] = &store[i].test;
	}
}
#endif

/* ---------------------------------------------------------------------------------- checks */

/* What was reported and not looked at explains a failure. */
static void add_reports(char *buf, size_t size)
{
	size_t used = strlen(buf);

	for (size_t i = seen.taken; i < seen.count && used + 2 < size; i++) {
		int n = snprintf(buf + used, size - used, "\nreported: %s", seen.line[i % REPORTS]);

		if (n > 0)
			used += (size_t)n;
	}
}

static void say_failed(const char *file, unsigned line, const char *text)
{
#ifndef ANYC_TEST_TAP
	if (getpid() == now.pid) {
		struct criterion_assert_stats stats = {
			.passed = false, .file = file, .line = line, .message = text,
		};

		criterion_send_assert(&stats);
		return;
	}
#endif
	fprintf(stderr, "# %s:%u: %s\n", file, line, text);
}

_Noreturn void anyc_test_abort_(void)
{
	fflush(NULL);
	_exit(1);
}

_Noreturn void anyc_test_fail(const char *file, unsigned line, const char *format, ...)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	char text[3000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text / 2, format, args);
	va_end(args);
	pthread_mutex_lock(&once);
	add_reports(text, sizeof text);
	say_failed(file, line, text);
	anyc_test_abort_();
}

void anyc_test_rc_(const char *file, unsigned line, const char *what, int rc, int want)
{
	if (rc == want)
		return;
	anyc_test_fail(file, line, "%s is %d %s (%s), not %d %s", what, rc,
		       rc < 0 ? anyc_err_name(rc) : "", rc < 0 ? anyc_error_detail(rc) : "", want,
		       want < 0 ? anyc_err_name(want) : "");
}

void anyc_test_int_(const char *file, unsigned line, const char *what, long long have,
		    const char *op, long long want)
{
	anyc_test_fail(file, line, "%s is %lld, not %s %lld", what, have, op, want);
}

void anyc_test_str_(const char *file, unsigned line, const char *what, const char *have,
		    const char *want)
{
	if (have == want || (have != NULL && want != NULL && strcmp(have, want) == 0))
		return;
	anyc_test_fail(file, line, "%s is \"%s\", not \"%s\"", what, have != NULL ? have : "(null)",
		       want != NULL ? want : "(null)");
}

void anyc_test_has_(const char *file, unsigned line, const char *what, const char *text,
		    const char *part)
{
	if (text == NULL || strstr(text, part) == NULL)
		anyc_test_fail(file, line, "no \"%s\" in %s: %s", part, what,
			       text != NULL ? text : "(null)");
}

/* --------------------------------------------------------------------------------- reports */

static void keep_report(void *arg, int rc, const char *line)
{
	(void)arg;
	(void)rc;
	pthread_mutex_lock(&seen.lock);
	snprintf(seen.line[seen.count++ % REPORTS], sizeof seen.line[0], "%s", line);
	pthread_mutex_unlock(&seen.lock);
}

size_t reports(void)
{
	size_t n;

	pthread_mutex_lock(&seen.lock);
	n = seen.count - seen.taken;
	pthread_mutex_unlock(&seen.lock);
	return n;
}

bool report_has(const char *part)
{
	bool found = false;

	pthread_mutex_lock(&seen.lock);
	for (size_t i = seen.taken; i < seen.count; i++)
		found = found || strstr(seen.line[i % REPORTS], part) != NULL;
	pthread_mutex_unlock(&seen.lock);
	return found;
}

void reports_forget(void)
{
	pthread_mutex_lock(&seen.lock);
	seen.taken = seen.count;
	pthread_mutex_unlock(&seen.lock);
}

void anyc_test_report_(const char *file, unsigned line, const char *part)
{
	char text[sizeof seen.line[0]];

	if (reports() == 0)
		anyc_test_fail(file, line, "nothing was reported; expected \"%s\"", part);
	pthread_mutex_lock(&seen.lock);
	memcpy(text, seen.line[seen.taken++ % REPORTS], sizeof text);
	pthread_mutex_unlock(&seen.lock);
	anyc_test_has_(file, line, "the report", text, part);
}

/* -------------------------------------------------------------------------------- leftovers */

struct traces {
	struct fds fds;
	struct anyc_memory_stats memory;
};

static void take_traces(struct traces *t)
{
	fds_take(&t->fds);
	anyc_memory_stats(&t->memory);
}

static void show_block(void *arg, const void *block, size_t size, const char *site)
{
	(void)arg;
	fprintf(stderr, "# left: %zu bytes at %p from %s\n", size, block,
		site != NULL ? site : "?");
}

static void compare(const char *what, size_t before, size_t after)
{
	if (before == after)
		return;
	anyc_leaks(show_block, NULL);
	anyc_test_fail(now.test->file, now.test->line, "%s: %zu before the test, %zu after it",
		       what, before, after);
}

static void compare_traces(const struct traces *before)
{
	struct traces after;
	char names[512];

	take_traces(&after);
	if (fds_new(&before->fds, &after.fds, names, sizeof names) > 0)
		anyc_test_fail(now.test->file, now.test->line, "descriptors are left:%s", names);
	compare("tasks", before->memory.tasks, after.memory.tasks);
	compare("loops", before->memory.loops, after.memory.loops);
	compare("streams", before->memory.streams, after.memory.streams);
	compare("watches", before->memory.watches, after.memory.watches);
	compare("stacks in use", before->memory.stacks, after.memory.stacks);
	compare("blocks", before->memory.blocks, after.memory.blocks);
}

/* --------------------------------------------------------------------------------- running */

const char *anyc_test_row(void)
{
	return now.row;
}

bool anyc_test_row_is(const char *row)
{
	return strcmp(now.row, row) == 0;
}

struct host *anyc_test_host(void)
{
	return now.host;
}

static void on_alarm(int signal_number)
{
	static const char text[] = "# the test hangs\n";
	ssize_t n = write(2, text, sizeof text - 1);

	(void)n;
	(void)signal_number;
	signal(SIGABRT, SIG_DFL);
	abort();
}

static int body_task(void *arg)
{
	const struct anyc_test *t = arg;
	struct anyc_scope limit;

	if (t->deadline < 0) {
		t->body();
		return 0;
	}
	anyc_scope_enter_timeout(&limit, deadline_of(t) * ANYC_SECOND);
	t->body();
	anyc_test_rc_(t->file, t->line, "leaving the test's own scope", anyc_scope_leave(&limit, 0),
		      0);
	if (anyc_scope_cause(&limit) == ANYC_CAUSE_DEADLINE)
		anyc_test_fail(t->file, t->line, "the body passed its deadline");
	return 0;
}

/* The row comes from the end of the name: it travels to another process by value. */
static void find_row(const char *full_name)
{
	const char *open = strrchr(full_name, '[');
	size_t length = open != NULL ? strlen(open) : 0;

	if (length < 3 || length - 2 >= sizeof now.row)
		return;
	memcpy(now.row, open + 1, length - 2);
	now.row[length - 2] = '\0';
}

static void run_body(const struct anyc_test *t)
{
	const struct host_row *row = host_find(now.row);
	struct host host;
	int rc;

	now.host = &host;
	memset(&host, 0, sizeof host);
	if (row == NULL || row->ops == NULL)
		anyc_test_fail(t->file, t->line, "the row %s is not in this build", now.row);
	if (t->outside) {
		t->body();
		return;
	}
	rc = host_run_task(&host, now.row, body_task, (void *)(uintptr_t)t, t->name);
	anyc_test_rc_(t->file, t->line, "running the host", rc, 0);
}

/* A first loop opens what its library keeps for good, such as libuv's pipe for signals. */
static void warm_up(void)
{
	const struct host_row *row;
	struct host h;

	for (unsigned i = 0; (row = host_row(i)) != NULL; i++) {
		if (row->ops == NULL || row->ops->make == NULL)
			continue;
		if (host_make(&h, row->name) != 0 || host_destroy(&h) != 0)
			FAIL("cannot make and close a loop of %s", row->name);
	}
}

void anyc_test_main_(const struct anyc_test *t, const char *full_name)
{
	struct traces before;

	now.test = t;
	now.pid = getpid();
	find_row(full_name);
	signal(SIGALRM, on_alarm);
	alarm((unsigned)anyc_test_backstop_(t) - 20);
	anyc_set_report_hook(keep_report, NULL);
	if (getenv("ANYC_TEST_LEAKS") != NULL)
		anyc_track_leaks(true);
	warm_up();
	take_traces(&before);
	run_body(t);
	anyc_test_rc_(t->file, t->line, "anyc_thread_done()", anyc_thread_done(), 0);
	compare_traces(&before);
	if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
		anyc_test_fail(t->file, t->line, "LeakSanitizer found leaks");
	alarm(0);
}

/* --------------------------------------------------------------------------------- corpses */

static _Noreturn void die(int output, void (*fn)(void))
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	dup2(output, 2);
	close(output);
	/* What a sanitizer says of it is part of its last words, wherever other reports go. */
	if (__sanitizer_set_report_path != NULL)
		__sanitizer_set_report_path("stderr");
	anyc_set_report_hook(NULL, NULL);
	signal(SIGALRM, SIG_DFL);
	alarm(20U * (unsigned)anyc_test_slow());
	fn();
	_exit(0);
}

static void read_all(int fd, char *buf, size_t size)
{
	size_t used = 0;
	char spare[256];
	ssize_t n;

	for (;;) {
		bool room = used + 1 < size;

		n = read(fd, room ? buf + used : spare, room ? size - 1 - used : sizeof spare);
		if (n <= 0)
			break;
		if (room)
			used += (size_t)n;
	}
	buf[used] = '\0';
}

void corpse_make(struct corpse *c, void (*fn)(void))
{
	int pipe_[2];
	pid_t pid;

	CHECK_INT(pipe(pipe_), ==, 0);
	fflush(NULL);
	pid = fork();
	CHECK_INT(pid, >=, 0);
	if (pid == 0) {
		close(pipe_[0]);
		die(pipe_[1], fn);
	}
	close(pipe_[1]);
	read_all(pipe_[0], c->text, sizeof c->text);
	close(pipe_[0]);
	CHECK_INT(waitpid(pid, &c->status, 0), ==, pid);
}

static void (*corpse_body)(void);

static int corpse_task(void *arg)
{
	(void)arg;
	corpse_body();
	return 0;
}

static void corpse_in_task(void)
{
	struct host host;
	int rc = host_run_task(&host, now.row, corpse_task, NULL, "corpse");

	if (rc != 0) {
		fprintf(stderr, "# %s\n", anyc_error_detail(rc));
		_exit(4);
	}
}

void corpse_make_in_task(struct corpse *c, void (*fn)(void))
{
	corpse_body = fn;
	corpse_make(c, corpse_in_task);
}

/* SPDX-License-Identifier: MIT */
/*
 * The plain runner: the program starts itself once for each test, told which by the environment.
 * (Under ThreadSanitizer a fork would not do.)
 * What a test writes goes to a file without a name, and is shown as TAP's comments.
 */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANYC_TAP_NO_MAIN 1
#include <anyc/tap.h>

#define RUN "ANYC_TAP_RUN_"     /* name[row] of the one test to run */
#define SUITE "ANYC_TAP_SUITE_"
#define FORK "ANYC_TAP_FORK"
/* How a test's process ends that passed: one that ends by itself, in its body, did not. */
#define PASSED 100

static struct anyc_tap_node_ *first, **last = &first;
static volatile pid_t running;

struct results {
	const struct anyc_tap_options *o;
	int passed, failed;
};

void anyc_tap_register_(struct anyc_tap_node_ *node, const struct anyc_test *t)
{
	node->test_ = t;
	*last = node;
	last = &node->next_;
}

/* ------------------------------------------------------------------------- in a test's process */

static void say_failed(const char *file, unsigned line, const char *text)
{
	fprintf(stderr, "%s:%u: %s\n", file, line, text);
}

/* Runs one test.  What it starts itself is not told. */
static int be(const char *full_name, const char *suite_name)
{
	size_t length = strcspn(full_name, "[");
	char name[256], suite[128];

	snprintf(name, sizeof name, "%s", full_name);
	snprintf(suite, sizeof suite, "%s", suite_name);
	unsetenv(RUN);
	unsetenv(SUITE);
	for (struct anyc_tap_node_ *node = first; node != NULL; node = node->next_) {
		const struct anyc_test *t = node->test_;

		if (strcmp(t->suite, suite) == 0 && strlen(t->name) == length &&
		    strncmp(t->name, name, length) == 0) {
			anyc_test_main(t, name, say_failed);
			return PASSED;
		}
	}
	return 2;
}

/* ------------------------------------------------------------------------------ in the runner's */

static void on_late(int signal_number)
{
	(void)signal_number;
	kill(running, SIGKILL);
}

static _Noreturn void start_test(const struct anyc_test *t, const char *name, int output)
{
	char self[] = "/proc/self/exe";
	char *argv[] = { program_invocation_name, NULL };

	dup2(output, 1);
	dup2(output, 2);
	if (getenv(FORK) != NULL)
		exit(be(name, t->suite));
	setenv(RUN, name, 1);
	setenv(SUITE, t->suite, 1);
	execv(self, argv);
	_exit(127);
}

/* Whether the test passed. */
static bool run_process(const struct anyc_test *t, const char *name, FILE *output)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		start_test(t, name, fileno(output));
	if (pid < 0) {
		fprintf(output, "cannot fork: %s\n", strerror(errno));
		return false;
	}
	running = pid;
	alarm((unsigned)anyc_test_backstop(t));
	while (waitpid(pid, &status, 0) < 0)
		;
	alarm(0);
	if (WIFSIGNALED(status))
		fprintf(output, "ended by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) == 0)
		fprintf(output, "the process ended inside the test\n");
	return WIFEXITED(status) && WEXITSTATUS(status) == PASSED;
}

/* All of a file, to be freed; never NULL. */
static char *read_file(FILE *file)
{
	long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
	char *text = calloc(1, (size_t)size + 1);

	if (text == NULL)
		abort();
	rewind(file);
	text[fread(text, 1, (size_t)size, file)] = '\0';
	return text;
}

static void show(const char *text)
{
	while (*text != '\0') {
		int length = (int)strcspn(text, "\n");

		printf("# %.*s\n", length, text);
		text += length + (text[length] == '\n');
	}
}

static void run_one(struct results *r, const struct anyc_test *t, const char *name)
{
	FILE *output = tmpfile();
	bool passed;
	char *text;

	if (output == NULL) {
		perror("tmpfile");
		exit(2);
	}
	/* Both the test and we write at the end. */
	setvbuf(output, NULL, _IONBF, 0);
	fcntl(fileno(output), F_SETFD, FD_CLOEXEC);
	passed = run_process(t, name, output);
	text = read_file(output);
	fclose(output);
	*(passed ? &r->passed : &r->failed) += 1;
	if (!r->o->quiet) {
		show(text);
		printf("%s %d - %s::%s\n", passed ? "ok" : "not ok", r->passed + r->failed,
		       t->suite, name);
		fflush(stdout);
	}
	if (r->o->on_result != NULL)
		r->o->on_result(r->o->arg, t, name, passed, text);
	free(text);
}

static void list_one(struct results *r, const struct anyc_test *t, const char *name)
{
	(void)r;
	printf("%s::%s\n", t->suite, name);
}

static bool selected(const struct anyc_tap_options *o, const char *suite, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", suite, name);
	for (size_t i = 0; i < o->filter_count; i++) {
		if (fnmatch(o->filters[i], path, 0) == 0)
			return true;
	}
	return o->filter_count == 0;
}

typedef void visit_fn(struct results *r, const struct anyc_test *t, const char *name);

static int each(struct results *r, visit_fn *visit)
{
	int count = 0;

	for (struct anyc_tap_node_ *node = first; node != NULL; node = node->next_) {
		const struct anyc_test *t = node->test_;
		const char *row;

		for (unsigned i = 0; (row = anyc_test_row_at(t, i)) != NULL; i++) {
			char name[256];

			snprintf(name, sizeof name, "%s[%s]", t->name, row);
			if (!selected(r->o, t->suite, name))
				continue;
			count++;
			if (visit != NULL)
				visit(r, t, name);
		}
	}
	return count;
}

int anyc_tap_run_sized(const struct anyc_tap_options *options, size_t size)
{
	const char *run = getenv(RUN), *suite = getenv(SUITE);
	struct anyc_tap_options o = { 0 };
	struct results r = { .o = &o };
	int count;

	if (run != NULL && suite != NULL)
		exit(be(run, suite));
	if (options != NULL)
		memcpy(&o, options, size < sizeof o ? size : sizeof o);
	if (o.list)
		return each(&r, list_one) > 0 ? 0 : 1;
	signal(SIGALRM, on_late);
	count = each(&r, NULL);
	if (!o.quiet)
		printf("TAP version 13\n1..%d\n", count);
	each(&r, run_one);
	if (!o.quiet)
		printf("# %d passed, %d failed\n", r.passed, r.failed);
	return r.failed == 0 && count > 0 ? 0 : 1;
}

static int usage(const char *program)
{
	fprintf(stderr, "usage: %s [--list] [--filter PATTERN]...\n", program);
	return 2;
}

int anyc_tap_main(int argc, char **argv)
{
	struct anyc_tap_options o = { 0 };
	const char **filters = calloc((size_t)argc + 1, sizeof *filters);
	int rc;

	if (filters == NULL)
		return 2;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			o.list = true;
		else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
			filters[o.filter_count++] = argv[++i];
		else
			return usage(argv[0]);
	}
	o.filters = filters;
	rc = anyc_tap_run(&o);
	free(filters);
	return rc;
}

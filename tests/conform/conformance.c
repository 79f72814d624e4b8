/* SPDX-License-Identifier: MIT */
/*
 * anyc-conformance: every behaviour test on one backend, for authors of backends.
 *
 * The backend is given by its name or by the file of its module.  Its table is copied, so that what
 * attach hands out can be remembered: with that, tests make, attach and run loops by hand.
 */
#include "lib/anyc_test.h"
#include "conformance.h"

#include <anyc/tap.h>
#include <stdio.h>
#include <stdlib.h>

/* Where the processes of the tests find what the first one was called with. */
#define GIVEN "ANYC_CONFORMANCE_BACKEND_"

static const struct section {
	const char *name, *suites;
} sections[] = {
	{ "the backend's table", "backend" },
	{ "loops and hosts", "loop" },
	{ "detection", "detect" },
	{ "checkpoints", "checkpoint checkpoints" },
	{ "scopes", "scope" },
	{ "groups", "group gather as_completed" },
	{ "tasks and stacks", "stack inspect shuffle" },
	{ "task-locals, attributes", "local attribute" },
	{ "errors", "error" },
	{ "sync", "event lock condition semaphore limiter guard future" },
	{ "queues", "queue queue_rules" },
	{ "between threads", "xsync" },
	{ "streams", "streams stream_check stream_move elsewhere" },
	{ "wrappers",
	  "buffered buffered_stream stream_pair staple text wrappers file_stream send_file "
	  "object" },
	{ "sockets",
	  "tcp udp unix_sockets pipe adopt wait_fd fd_kinds resolve multi_listener connect" },
	{ "TLS", "tls" },
	{ "signals", "signal" },
	{ "memory", "memory" },
	{ "other", "" },
};
#define SECTIONS (sizeof sections / sizeof sections[0])

struct failure {
	char name[160];
	char why[400]; /* the first line that it wrote */
	struct failure *next;
};

static struct {
	int passed[SECTIONS], failed[SECTIONS];
	struct failure *first, **last;
} results = { .last = &results.first };

static const struct option {
	const char *name, *argument, *text;
} options[] = {
	{ "--list", "", "names the tests, and runs none" },
	{ "--filter", " PATTERN", "only the tests SUITE/NAME[BACKEND] that match, as for sh" },
	{ "--summary", "", "prints the summary alone, without the tests" },
};

static int usage(FILE *to)
{
	fprintf(to, "usage: anyc-conformance [OPTION]... BACKEND\n"
		    "BACKEND is libuv, libevent, libev, sim, anyc, none, or a module's file with a "
		    "slash in it.\n");
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		fprintf(to, "  %s%-*s  %s\n", options[i].name,
			19 - (int)strlen(options[i].name), options[i].argument, options[i].text);
	return to == stdout ? 0 : 2;
}

/* -------------------------------------------------------------------------------- results */

static size_t section_of(const char *suite)
{
	size_t length = strlen(suite);

	for (size_t i = 0; i + 1 < SECTIONS; i++) {
		for (const char *s = sections[i].suites; *s != '\0'; s += strcspn(s, " ")) {
			s += *s == ' ';
			if (strncmp(s, suite, length) == 0 && (s[length] == ' ' || !s[length]))
				return i;
		}
	}
	return SECTIONS - 1;
}

static void keep_failure(const struct anyc_test *t, const char *name, const char *output)
{
	struct failure *f = calloc(1, sizeof *f);

	if (f == NULL)
		return;
	snprintf(f->name, sizeof f->name, "%s/%s", t->suite, name);
	snprintf(f->why, sizeof f->why, "%.*s", (int)strcspn(output, "\n"), output);
	*results.last = f;
	results.last = &f->next;
}

static void on_result(void *arg, const struct anyc_test *t, const char *name, bool passed,
		      const char *output)
{
	(void)arg;
	if (passed) {
		results.passed[section_of(t->suite)]++;
	} else {
		results.failed[section_of(t->suite)]++;
		keep_failure(t, name, output);
	}
}

/* In comments, so that it may follow TAP. */
static void print_summary(const char *backend)
{
	int passed = 0, failed = 0;

	printf("#\n# anyc %s on %s\n", anyc_version(), backend);
	for (size_t i = 0; i < SECTIONS; i++) {
		if (results.passed[i] + results.failed[i] == 0)
			continue;
		passed += results.passed[i];
		failed += results.failed[i];
		printf("# %-26s %4d passed", sections[i].name, results.passed[i]);
		if (results.failed[i] > 0)
			printf(", %d FAILED", results.failed[i]);
		printf("\n");
	}
	for (const struct failure *f = results.first; f != NULL; f = f->next)
		printf("# FAILED %s\n#     %s\n", f->name, f->why);
	printf("# %d passed, %d failed\n", passed, failed);
}

/* ----------------------------------------------------------------------------------- main */

struct arguments {
	struct anyc_tap_options tap;
	const char **filters;
	const char *backend;
};

/* 0, or the exit status. */
static int read_arguments(struct arguments *a, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			a->tap.list = true;
		else if (strcmp(argv[i], "--summary") == 0)
			a->tap.quiet = true;
		else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
			a->filters[a->tap.filter_count++] = argv[++i];
		else if (argv[i][0] == '-' || a->backend != NULL)
			return usage(stderr);
		else
			a->backend = argv[i];
	}
	a->tap.filters = a->filters;
	a->tap.on_result = on_result;
	return a->backend != NULL ? 0 : usage(stderr);
}

int main(int argc, char **argv)
{
	struct arguments a = { .backend = getenv(GIVEN) };
	const char *name;
	char why[512];
	int rc;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return usage(stdout);
	a.filters = calloc((size_t)argc, sizeof *a.filters);
	if (a.filters == NULL)
		return 2;
	/* A test's process has no arguments. */
	if (argc > 1 || a.backend == NULL) {
		a.backend = NULL;
		rc = read_arguments(&a, argc, argv);
		if (rc != 0)
			return rc;
	}
	name = conformance_open(a.backend, why, sizeof why);
	if (name == NULL) {
		fprintf(stderr, "anyc-conformance: %s\n", why);
		return 2;
	}
	setenv(GIVEN, a.backend, 1);
	setenv("ANYC_TEST_BACKENDS", name, 1);
	rc = anyc_tap_run(&a.tap);
	if (!a.tap.list)
		print_summary(name);
	while (results.first != NULL) {
		struct failure *f = results.first;

		results.first = f->next;
		free(f);
	}
	free(a.filters);
	return rc;
}

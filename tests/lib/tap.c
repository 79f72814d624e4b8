/* SPDX-License-Identifier: MIT */
/* The runner of tap_test.h: a main that executes itself once for each test. */
#include "anyc_test.h"

#ifdef ANYC_TEST_TAP

#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tap_node *first, **last = &first;
static char self[4096];
static pid_t running;
static int passed, failed;

void tap_register(struct tap_node *node, const struct anyc_test *t)
{
	node->test = t;
	*last = node;
	last = &node->next;
}

static bool selected(int argc, char **argv, const char *suite, const char *name)
{
	char path[256];
	bool any = false;

	snprintf(path, sizeof path, "%s/%s", suite, name);
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--filter") != 0)
			continue;
		any = true;
		if (fnmatch(argv[i + 1], path, 0) == 0)
			return true;
	}
	return !any;
}

static void on_late(int signal_number)
{
	(void)signal_number;
	kill(running, SIGKILL);
}

static void run_one(const struct anyc_test *t, const char *name)
{
	int status = 0;

	fflush(stdout);
	running = fork();
	if (running == 0) {
		setenv("ANYC_TAP_RUN", name, 1);
		setenv("ANYC_TAP_SUITE", t->suite, 1);
		execl(self, self, (char *)NULL);
		_exit(127);
	}
	alarm((unsigned)anyc_test_backstop_(t));
	while (waitpid(running, &status, 0) < 0)
		;
	alarm(0);
	if (WIFSIGNALED(status))
		printf("# ended by signal %d\n", WTERMSIG(status));
	else if (status != 0)
		printf("# exit status %d\n", WEXITSTATUS(status));
	*(status == 0 ? &passed : &failed) += 1;
	printf("%s %d - %s::%s\n", status == 0 ? "ok" : "not ok", passed + failed, t->suite, name);
}

typedef void visit_fn(const struct anyc_test *t, const char *name);

static int each(int argc, char **argv, visit_fn *visit)
{
	int count = 0;

	for (struct tap_node *node = first; node != NULL; node = node->next) {
		const struct anyc_test *t = node->test;
		const char *row;

		for (unsigned i = 0; (row = anyc_test_row_at_(t, i)) != NULL; i++) {
			char name[160];

			snprintf(name, sizeof name, "%s[%s]", t->name, row);
			if (!selected(argc, argv, t->suite, name))
				continue;
			count++;
			if (visit != NULL)
				visit(t, name);
		}
	}
	return count;
}

static void list_one(const struct anyc_test *t, const char *name)
{
	printf("%s::%s\n", t->suite, name);
}

/* In the process of one test. */
static int be(const char *full_name, const char *suite)
{
	size_t length = strcspn(full_name, "[");

	unsetenv("ANYC_TAP_RUN");
	for (struct tap_node *node = first; node != NULL; node = node->next) {
		const struct anyc_test *t = node->test;

		if (strcmp(t->suite, suite) == 0 && strlen(t->name) == length &&
		    strncmp(t->name, full_name, length) == 0) {
			anyc_test_main_(t, full_name);
			return 0;
		}
	}
	return 2;
}

int main(int argc, char **argv)
{
	const char *run = getenv("ANYC_TAP_RUN"), *suite = getenv("ANYC_TAP_SUITE");
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (run != NULL && suite != NULL)
		return be(run, suite);
	if (n < 0)
		return 2;
	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		return each(argc, argv, list_one) > 0 ? 0 : 1;
	signal(SIGALRM, on_late);
	printf("TAP version 13\n1..%d\n", each(argc, argv, NULL));
	each(argc, argv, run_one);
	printf("# %d passed, %d failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Children that are to die, and their last words. */
#include "kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <anyc/error.h>

#define PATIENCE 20U

extern void __sanitizer_set_report_path(const char *path) __attribute__((weak));

static void (*body)(void);

static void die(int output, void (*fn)(void))
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
	alarm(PATIENCE * (unsigned)anyc_test_slow());
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

void anyc_corpse_make(struct anyc_corpse *c, void (*fn)(void))
{
	int pipe_[2];
	pid_t pid;

	ANYC_CHECK_INT(pipe(pipe_), ==, 0);
	fflush(NULL);
	pid = fork();
	ANYC_CHECK_INT(pid, >=, 0);
	if (pid == 0) {
		close(pipe_[0]);
		die(pipe_[1], fn);
	}
	close(pipe_[1]);
	read_all(pipe_[0], c->text, sizeof c->text);
	close(pipe_[0]);
	ANYC_CHECK_INT(waitpid(pid, &c->status, 0), ==, pid);
}

static int body_task(void *arg)
{
	(void)arg;
	body();
	return 0;
}

static void run_in_task(void)
{
	const struct anyc_test_host *host = anyc__test_now.host;
	int rc = host->run(host, body_task, NULL, "corpse");

	if (rc != 0) {
		fprintf(stderr, "%s\n", anyc_error_detail(rc));
		_exit(4);
	}
}

void anyc_corpse_make_in_task(struct anyc_corpse *c, void (*fn)(void))
{
	body = fn;
	anyc_corpse_make(c, run_in_task);
}

void anyc_test_died_(const char *file, unsigned line, const struct anyc_corpse *c,
		     int signal_number, const char *part)
{
	if (signal_number == 0 ? c->status != 0 :
	    !WIFSIGNALED(c->status) || WTERMSIG(c->status) != signal_number)
		anyc_test_fail(file, line, "the child's status is %#x, not that of %s %d: %s",
			       (unsigned)c->status, signal_number == 0 ? "exit" : "signal",
			       signal_number, c->text);
	anyc_test_has_(file, line, "the child's last words", c->text, part);
}

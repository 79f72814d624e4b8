/* SPDX-License-Identifier: MIT */
/*
 * The stack overflow report.  Opt-in: a library does not take SIGSEGV unasked.
 *
 * Rules
 *   The handler runs on the thread's signal stack, reads the registry of slabs and writes one
 *   line; it allocates nothing, takes no lock and keeps errno.
 *   After the report the default action is restored and the handler returns, so that the fault
 *   happens again and the core shows it.
 *   A fault that is not in a live stack's guard goes to the handler that was there before.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "stack.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIGNAL_STACK ((size_t)64 << 10)
#define SIGNAL_STACK_MARK UINT64_C(0x616e79635f616c74)
#define NAME_LONGEST 100

static const int faults[2] = { SIGSEGV, SIGBUS };
static struct sigaction previous[2];

struct line {
	size_t used;
	char text[256];
};

static void put_text(struct line *line, const char *text, size_t most)
{
	size_t n = strnlen(text, most);

	if (n > sizeof line->text - line->used)
		n = sizeof line->text - line->used;
	memcpy(line->text + line->used, text, n);
	line->used += n;
}

static void put_number(struct line *line, size_t number)
{
	char digits[24];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	put_text(line, digits + at, sizeof digits - at);
}

static void report(const struct anyc__stack *stack)
{
	struct line line = { .used = 0 };
	ssize_t ignored;

	put_text(&line, "anyc: task '", SIZE_MAX);
	put_text(&line, stack->name != NULL ? stack->name : "(unnamed)", NAME_LONGEST);
	put_text(&line, "' overflowed its stack of ", SIZE_MAX);
	put_number(&line, anyc__stack_size(stack) >> 10);
	put_text(&line, " KiB; give it a larger one with the stack_size spawn option\n", SIZE_MAX);
	ignored = write(STDERR_FILENO, line.text, line.used);
	(void)ignored;
}

static void default_action(int sig)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	(void)sigaction(sig, &action, NULL);
}

/* A sent signal does not come again by itself as a fault does. */
static void chain(int sig, siginfo_t *info, void *uc)
{
	const struct sigaction *prev = &previous[sig == faults[0] ? 0 : 1];

	if ((prev->sa_flags & SA_SIGINFO) != 0) {
		prev->sa_sigaction(sig, info, uc);
	} else if (prev->sa_handler == SIG_DFL || prev->sa_handler == SIG_IGN) {
		if (info->si_code <= 0 && prev->sa_handler == SIG_IGN)
			return;
		default_action(sig);
		if (info->si_code <= 0)
			(void)raise(sig);
	} else {
		prev->sa_handler(sig);
	}
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
	int saved = errno;
	const struct anyc__stack *stack = NULL;

	if (info->si_code > 0)
		stack = anyc__stack_of_fault(info->si_addr);
	if (stack != NULL) {
		report(stack);
		default_action(sig);
	} else {
		chain(sig, info, uc);
	}
	errno = saved;
}

static int take_signals(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct sigaction action;

		if (sigaction(faults[i], NULL, &previous[i]) != 0)
			return -errno;
		memset(&action, 0, sizeof action);
		action.sa_sigaction = on_fault;
		action.sa_mask = previous[i].sa_mask;
		action.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous[i].sa_flags & SA_NODEFER);
		if (sigaction(faults[i], &action, NULL) != 0)
			return -errno;
	}
	return 0;
}

int anyc__overflow_install(void)
{
	static atomic_bool installed;
	int rc;

	if (!atomic_exchange(&installed, true)) {
		rc = take_signals();
		if (rc != 0)
			return rc;
	}
	return anyc__overflow_thread();
}

/* ---- the thread's signal stack: a guard page, then the stack, its lowest word marked ---- */

int anyc__overflow_thread(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	stack_t stack;
	char *base;

	if (sigaltstack(NULL, &stack) != 0)
		return -errno;
	if ((stack.ss_flags & SS_DISABLE) == 0)
		return 0;
	base = mmap(NULL, page + SIGNAL_STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	stack = (stack_t){ .ss_sp = base + page, .ss_size = SIGNAL_STACK };
	if (mprotect(base, page, PROT_NONE) != 0 || sigaltstack(&stack, NULL) != 0) {
		munmap(base, page + SIGNAL_STACK);
		return -ENOMEM;
	}
	*(uint64_t *)(void *)(base + page) = SIGNAL_STACK_MARK;
	return 0;
}

void anyc__overflow_thread_done(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	stack_t stack, off = { .ss_flags = SS_DISABLE };

	if (sigaltstack(NULL, &stack) != 0 || stack.ss_flags != 0 || stack.ss_size != SIGNAL_STACK)
		return;
	if (*(const uint64_t *)stack.ss_sp != SIGNAL_STACK_MARK)
		return;
	if (sigaltstack(&off, NULL) == 0)
		munmap((char *)stack.ss_sp - page, page + SIGNAL_STACK);
}

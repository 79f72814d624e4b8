/* SPDX-License-Identifier: MIT */
/*
 * Errors: the table, the sentences, the report hook, and ending the process when nothing else
 * is left; also the version.
 *
 * Rules
 *  - A sentence belongs to the code it was stored for: asked for another code, it is not given.
 *  - A sentence is made up completely before the slot changes: arguments may point into it.
 *  - Everything here keeps errno, waits for nothing, and works without memory: then there is no
 *    sentence.
 *  - The hook is read without a lock, so that a thread in the middle of setting it stops nobody,
 *    a forked child least.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

#define LINE 512

/* ---------------------------------------------------------------------------------- table */

/* -errno: the kernel's range. */
static bool is_system(int rc)
{
	return rc < 0 && rc > -4096;
}

const char *anyc_strerror(int rc)
{
	const char *sentence = NULL;

	switch (rc) {
#define SENTENCE(name, number, text) \
	case -(number): \
		return text;
		ANYC_ERROR_MAP(SENTENCE)
#undef SENTENCE
	default:
		break;
	}
	if (rc >= 0)
		return "no error";
#if defined(__GLIBC__)
	if (is_system(rc))
		sentence = strerrordesc_np(-rc);
#else
	if (is_system(rc))
		sentence = strerror(-rc); /* musl's is a constant */
#endif
	return sentence != NULL ? sentence : "an unknown error";
}

const char *anyc_err_name(int rc)
{
	const char *name = NULL;

	switch (rc) {
#define NAME(name, number, text) \
	case -(number): \
		return "ANYC_" #name;
		ANYC_ERROR_MAP(NAME)
#undef NAME
	case ANYC_OK:
		return "ANYC_OK";
	default:
		break;
	}
#if defined(__GLIBC__)
	if (is_system(rc))
		name = strerrorname_np(-rc);
#endif
	return name != NULL ? name : "unknown";
}

/* ------------------------------------------------------------------------------ sentences */

static pthread_once_t core_once = PTHREAD_ONCE_INIT;

static void core_set_end(void)
{
	atomic_store(&anyc__thread_core_free, anyc__thread_core_end);
}

struct anyc__thread_core *anyc__thread_core(void)
{
	struct anyc__thread_block *block = anyc__thread_block();

	if (block == NULL)
		return NULL;
	if (block->core == NULL) {
		pthread_once(&core_once, core_set_end);
		block->core = anyc__alloc(sizeof(struct anyc__thread_core));
	}
	return block->core;
}

struct anyc__slot *anyc__slot(void)
{
	struct anyc_task *t = anyc__thread.task;
	struct anyc__thread_core *core;

	if (t != NULL)
		return &t->slot;
	core = anyc__thread_core();
	return core != NULL ? &core->slot : NULL;
}

/* The slot, if it holds something for rc; makes none. */
static const struct anyc__slot *slot_for(int rc)
{
	const struct anyc_task *t = anyc__thread.task;
	const struct anyc__thread_block *block = anyc__thread.block;
	const struct anyc__slot *slot = NULL;

	if (t != NULL)
		slot = &t->slot;
	else if (block != NULL && block->core != NULL)
		slot = &((const struct anyc__thread_core *)block->core)->slot;
	return slot != NULL && rc != 0 && slot->rc == rc ? slot : NULL;
}

void anyc__slot_copy(struct anyc__slot *to, const struct anyc__slot *from)
{
	if (to == NULL || to == from)
		return;
	to->rc = from->rc;
	to->origin = NULL;
	if (from->rc == 0) /* nothing stored: the rest was never written */
		return;
	to->os_errno = from->os_errno;
	memcpy(to->text, from->text, strnlen(from->text, ANYC__SENTENCE - 1) + 1);
}

static void store(int rc, int os_errno, const char *text)
{
	struct anyc__slot *slot = anyc__slot();
	size_t length = strnlen(text, ANYC__SENTENCE - 1);

	if (slot == NULL)
		return;
	slot->rc = rc;
	slot->os_errno = os_errno;
	slot->origin = NULL;
	memcpy(slot->text, text, length);
	slot->text[length] = '\0';
}

int anyc_fail(int rc, int os_errno, const char *format, ...)
{
	char text[ANYC__SENTENCE];
	int saved = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
#ifdef PLANT_SENTENCE_LOST
	text[0] = '\0';
#endif
	store(rc, os_errno, text);
	errno = saved;
	return rc;
}

static const char *stored_detail(int rc)
{
	const struct anyc__slot *slot = slot_for(rc);

	return slot != NULL && slot->text[0] != '\0' ? slot->text : anyc_strerror(rc);
}

/* Why the task is cancelled, made up when somebody asks: cancelling itself stays cheap. */
static void tell_cancellation(const struct anyc_task *t)
{
	const struct anyc_scope *s = anyc__scope_canceller(t);
	const char *reason, *who;

	if (s == NULL)
		return;
	reason = s->reason_;
	who = s->canceller_;
	if (s->cause_ == ANYC_CAUSE_DEADLINE)
		anyc_fail(ANYC_ECANCELED, 0, "cancelled: the deadline of a scope around passed");
	else if (who != NULL)
		anyc_fail(ANYC_ECANCELED, 0, "cancelled by task '%s'%s%s", who,
			  reason != NULL ? ": " : "", reason != NULL ? reason : "");
	else if (reason != NULL)
		anyc_fail(ANYC_ECANCELED, 0, "cancelled: %s", reason);
	else
		anyc_fail(ANYC_ECANCELED, 0, "%s", anyc_strerror(ANYC_ECANCELED));
}

const char *anyc_error_detail(int rc)
{
	if (rc == ANYC_ECANCELED && anyc__thread.task != NULL)
		tell_cancellation(anyc__thread.task);
	return stored_detail(rc);
}

int anyc_error_errno(int rc)
{
	const struct anyc__slot *slot;

	if (is_system(rc))
		return -rc;
	slot = slot_for(rc);
	return slot != NULL ? slot->os_errno : 0;
}

/* ---------------------------------------------------------------------------- report hook */

/*
 * Setting writes the pair that is not in use and then changes the version, whose lowest bit says
 * which is; a reader that sees the version unchanged has read a pair nobody wrote to.
 */
static struct {
	_Atomic(anyc_report_fn *) fn;
	_Atomic(void *) arg;
} hooks[2];
static atomic_uint hook_version;
static pthread_mutex_t hook_lock = PTHREAD_MUTEX_INITIALIZER;

static void report_stderr(void *arg, int rc, const char *line)
{
	char text[LINE + 8];
	int n = snprintf(text, sizeof text, "anyc: %s\n", line);

	(void)arg;
	(void)rc;
	if (n >= (int)sizeof text)
		n = (int)sizeof text - 1;
	ANYC_IGNORE(write(STDERR_FILENO, text, (size_t)n));
}

void anyc_set_report_hook(anyc_report_fn *hook, void *arg)
{
	unsigned next;

	pthread_mutex_lock(&hook_lock);
	next = atomic_load(&hook_version) + 1;
	atomic_store(&hooks[next & 1].fn, hook);
	atomic_store(&hooks[next & 1].arg, arg);
	atomic_store(&hook_version, next);
	pthread_mutex_unlock(&hook_lock);
}

static void send_line(int rc, const char *line)
{
	anyc_report_fn *fn;
	unsigned version;
	void *arg;

	do {
		version = atomic_load(&hook_version);
		fn = atomic_load(&hooks[version & 1].fn);
		arg = atomic_load(&hooks[version & 1].arg);
	} while (atomic_load(&hook_version) != version);
	if (fn == NULL)
		fn = report_stderr;
	fn(arg, rc, line);
}

static void format_line(char *line, size_t size, const char *format, va_list args)
{
	char *c;

	vsnprintf(line, size, format, args);
	for (c = line; *c != '\0'; c++)
		if (*c == '\n')
			*c = ' ';
}

void anyc_report(int rc, const char *format, ...)
{
	char line[LINE];
	int saved = errno;
	va_list args;

	va_start(args, format);
	format_line(line, sizeof line, format, args);
	va_end(args);
	send_line(rc, line);
	errno = saved;
}

int anyc__misuse(int rc, const char *format, ...)
{
	char line[LINE];
	int saved = errno;
	va_list args;

	va_start(args, format);
	format_line(line, sizeof line, format, args);
	va_end(args);
	store(rc, 0, line);
	send_line(rc, line);
	errno = saved;
	return rc;
}

_Noreturn void anyc__panic(const char *format, ...)
{
	char line[LINE];
	va_list args;

	va_start(args, format);
	format_line(line, sizeof line, format, args);
	va_end(args);
	send_line(ANYC_EMISUSE, line);
	abort();
}

/* -------------------------------------------------------------------------------- version */

const char *anyc_version(void)
{
	return ANYC_VERSION;
}

int anyc_version_check(unsigned major, unsigned minor)
{
	if (major == ANYC_VERSION_MAJOR && minor <= ANYC_VERSION_MINOR)
		return 0;
	return anyc_fail(ANYC_EABI, 0, "the program was compiled for anyc %u.%u, and libanyc %s is "
			 "installed", major, minor, ANYC_VERSION);
}

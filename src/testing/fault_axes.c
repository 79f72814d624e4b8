/* SPDX-License-Identifier: MIT */
/*
 * The events of the fault driver: counting them, and making one misbehave.
 *
 * Rules
 *  - Worker threads allocate and make system calls too, so everything is under one lock.  Nothing
 *    that asks the dynamic linker is called with it: the linker's lock comes first, as it calls
 *    the program's malloc.
 *  - What is not anyc's own does not count: a native loop that runs out of memory aborts.
 *  - A cancellation comes only from where a user's could: not into tasks and scopes that anyc
 *    itself made, for a connect or a listener.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <anyc/memory.h>
#include <anyc/testing.h>

#include "fault.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool armed;
static struct anyc__fault now;             /* under the lock */
static struct anyc__fault_outcome outcome; /* likewise */

/* ------------------------------------------------------------------------------- whose code */

/* A cache of addresses, shifted by a bit that says whether their code is anyc's. */
#define KNOWN 256
static _Atomic(uintptr_t) known[KNOWN];

static void *base_of(const void *address, const char **file)
{
	Dl_info info;

	if (dladdr(address, &info) == 0 || info.dli_fname == NULL)
		return NULL;
	if (file != NULL)
		*file = info.dli_fname;
	return info.dli_fbase;
}

/*
 * The object is one of anyc's libraries other than this one, or holds libanyc: a static build,
 * which cannot tell.
 */
static bool ask_whose(const void *address)
{
	const char *file = "", *name;
	void *base = base_of(address, &file);
	void *core = dlsym(RTLD_DEFAULT, "anyc_version");

	if (base == NULL)
		return false;
	name = strrchr(file, '/');
	name = name != NULL ? name + 1 : file;
	if (core != NULL && base == base_of(core, NULL))
		return true;
	return strncmp(name, "libanyc", 7) == 0 && base != base_of(&known, NULL);
}

static bool is_own(const void *address)
{
	_Atomic(uintptr_t) *slot = &known[((uintptr_t)address ^ (uintptr_t)address >> 9) % KNOWN];
	uintptr_t own = (uintptr_t)address << 1 | 1, foreign = own - 1, have = atomic_load(slot);

	if (have != own && have != foreign) {
		have = ask_whose(address) ? own : foreign;
		atomic_store(slot, have);
	}
	return have == own;
}

/* ------------------------------------------------------------------------------- allocation */

/* Counts one; false: it has to fail. */
static bool pass_allocation(void)
{
	bool fails = false;

	pthread_mutex_lock(&lock);
	if (armed) {
		size_t n = outcome.allocations++;

		fails = now.axis == ANYC_FAULT_ALLOC ? n == now.n :
			now.axis == ANYC_FAULT_ALLOC_FOREVER && n >= now.n;
		outcome.fired = outcome.fired || fails;
	}
	pthread_mutex_unlock(&lock);
	return !fails;
}

static void *counted_alloc(void *arg, size_t size)
{
	(void)arg;
	return pass_allocation() ? malloc(size) : NULL;
}

static void *counted_resize(void *arg, void *block, size_t size)
{
	(void)arg;
	return pass_allocation() ? realloc(block, size) : NULL;
}

static void counted_free(void *arg, void *block)
{
	(void)arg;
	free(block);
}

int anyc__fault_install(void)
{
	static const struct anyc_allocator allocator = {
		.alloc = counted_alloc, .resize = counted_resize, .free = counted_free,
	};

	return anyc_set_allocator(&allocator);
}

int anyc__fault_remove(void)
{
	return anyc_set_allocator(NULL);
}

/* ----------------------------------------------------------------------------- system calls */

/* libanyc itself calls calloc for its leak list alone, which does without; and not in each run. */
static bool is_leak_list(const char *name, const void *caller)
{
	return strcmp(name, "calloc") == 0 &&
	       base_of(caller, NULL) == base_of(dlsym(RTLD_DEFAULT, "anyc_version"), NULL);
}

/* "EMFILE of socket, called from libanyc.so.0 at 0x12340", for addr2line(1). */
static void describe(const char *name, int error, const void *caller)
{
	const char *file = "?";
	const char *base = base_of(caller, &file);
	const char *slash = strrchr(file, '/');
	char text[sizeof outcome.event];

	snprintf(text, sizeof text, "%s of %s, called from %s at %#zx", strerrorname_np(error),
		 name, slash != NULL ? slash + 1 : file,
		 base != NULL ? (size_t)((const char *)caller - base) : 0);
	pthread_mutex_lock(&lock);
	memcpy(outcome.event, text, sizeof text);
	anyc__fault_watch_event(outcome.event);
	pthread_mutex_unlock(&lock);
}

/* Under the lock: the errno to fail with, or 0. */
static int choose_error(const int *errors)
{
	size_t n = outcome.calls++;
	unsigned i = 0;

	if (now.axis != ANYC_FAULT_SYSCALL || n != now.n)
		return 0;
	while (i < now.which && errors[i + 1] != 0)
		i++;
	outcome.fired = true;
	outcome.more = errors[i + 1] != 0;
	outcome.error = now.error != 0 ? now.error : errors[i];
	return outcome.error;
}

bool anyc_fault_call(const char *name, const int *errors, const void *caller)
{
	int error = 0, saved = errno;

	if (!atomic_load_explicit(&armed, memory_order_relaxed) || errors[0] == 0 ||
	    (caller != NULL && (!is_own(caller) || is_leak_list(name, caller))))
		return false;
	pthread_mutex_lock(&lock);
	if (armed)
		error = choose_error(errors);
	pthread_mutex_unlock(&lock);
	if (error != 0)
		describe(name, error, caller);
	errno = error != 0 ? error : saved;
	return error != 0;
}

/* ----------------------------------------------------------------------------- cancellation */

static bool is_user_s(const void *site)
{
	return site != NULL && !is_own(site);
}

/* Under the lock. */
static enum anyc_fault_action choose_action(const struct anyc_fault_place *place, bool task_counts,
					    bool scope_counts)
{
	static const char *const moments[] = { "at a checkpoint", "having parked", "woken" };
	bool scope = now.axis == ANYC_FAULT_CANCEL_SCOPE;
	bool twice = now.axis == ANYC_FAULT_CANCEL_TWICE;
	size_t n = scope ? outcome.scopes : outcome.places;

	outcome.places += task_counts;
	outcome.scopes += scope_counts;
	if (now.axis == 0 || !(scope ? scope_counts : task_counts))
		return ANYC_FAULT_GO_ON;
	if (n != now.n && !(twice && n == now.second))
		return ANYC_FAULT_GO_ON;
	snprintf(outcome.event, sizeof outcome.event, "task '%s' %s", place->task,
		 moments[place->moment]);
	anyc__fault_watch_event(outcome.event);
	outcome.fired_twice = outcome.fired;
	outcome.fired = true;
	return scope ? ANYC_FAULT_CANCEL_INNERMOST : ANYC_FAULT_CANCEL_TASK;
}

static enum anyc_fault_action on_place(void *arg, const struct anyc_fault_place *place)
{
	bool task_counts = place->group_site == NULL || is_user_s(place->group_site);
	bool scope_counts = is_user_s(place->scope_site);
	enum anyc_fault_action action = ANYC_FAULT_GO_ON;

	(void)arg;
	pthread_mutex_lock(&lock);
	if (armed)
		action = choose_action(place, task_counts, scope_counts);
	pthread_mutex_unlock(&lock);
	return action;
}

/* ---------------------------------------------------------------------------------- arming */

void anyc__fault_arm(const struct anyc__fault *fault)
{
	pthread_mutex_lock(&lock);
	now = *fault;
	memset(&outcome, 0, sizeof outcome);
	armed = true;
	pthread_mutex_unlock(&lock);
	if (fault->axis == ANYC_FAULT_ORDER)
		anyc_test_shuffle(fault->seed);
	else if (fault->axis == 0 || fault->axis >= ANYC_FAULT_CANCEL)
		anyc_fault_cancel_hook(on_place, NULL);
}

void anyc__fault_disarm(struct anyc__fault_outcome *out)
{
	if (now.axis == ANYC_FAULT_ORDER)
		anyc_test_shuffle(0);
	anyc_fault_cancel_hook(NULL, NULL);
	pthread_mutex_lock(&lock);
	armed = false;
	*out = outcome;
	pthread_mutex_unlock(&lock);
}

void anyc__fault_abandon(void)
{
	armed = false;
}

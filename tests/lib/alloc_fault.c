/* SPDX-License-Identifier: MIT */
/* See alloc_fault.h.  Worker threads allocate too, hence the lock. */
#include "anyc_test.h"
#include "alloc_fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static struct {
	pthread_mutex_t lock;
	bool armed, forever, fired;
	unsigned long left;
	size_t outstanding;
} fault = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Counts an allocation; false: it has to fail. */
static bool pass(int change)
{
	bool fails = false;

	pthread_mutex_lock(&fault.lock);
	if (fault.armed) {
		fails = fault.left == 0 && (!fault.fired || fault.forever);
		fault.fired = fault.fired || fails;
		fault.left -= fault.left > 0;
	}
	if (!fails)
		fault.outstanding += (size_t)change;
	pthread_mutex_unlock(&fault.lock);
	return !fails;
}

static void *fault_alloc(void *arg, size_t size)
{
	(void)arg;
	return pass(1) ? malloc(size) : NULL;
}

static void *fault_resize(void *arg, void *block, size_t size)
{
	(void)arg;
	return pass(block == NULL) ? realloc(block, size) : NULL;
}

static void fault_free(void *arg, void *block)
{
	(void)arg;
	if (block == NULL)
		return;
	pthread_mutex_lock(&fault.lock);
	fault.outstanding--;
	pthread_mutex_unlock(&fault.lock);
	free(block);
}

void fault_install(void)
{
	static const struct anyc_allocator allocator = {
		.alloc = fault_alloc, .resize = fault_resize, .free = fault_free,
	};

	CHECK_OK(anyc_set_allocator(&allocator));
}

void fault_remove(void)
{
	CHECK_OK(anyc_set_allocator(NULL));
}

void fault_arm(unsigned long n, bool forever)
{
	pthread_mutex_lock(&fault.lock);
	fault.armed = true;
	fault.forever = forever;
	fault.fired = false;
	fault.left = n;
	pthread_mutex_unlock(&fault.lock);
}

bool fault_disarm(void)
{
	bool fired;

	pthread_mutex_lock(&fault.lock);
	fault.armed = false;
	fired = fault.fired;
	pthread_mutex_unlock(&fault.lock);
	return fired;
}

size_t fault_outstanding(void)
{
	size_t n;

	pthread_mutex_lock(&fault.lock);
	n = fault.outstanding;
	pthread_mutex_unlock(&fault.lock);
	return n;
}

static bool is_allowed(int rc, const int *allowed)
{
	if (rc >= 0 || rc == -ENOMEM)
		return true;
	for (; allowed != NULL && *allowed != 0; allowed++) {
		if (*allowed == rc)
			return true;
	}
	return false;
}

/* One point of the sweep; whether the fault came. */
static bool sweep_one(fault_scenario *scenario, void *arg, const int *allowed, unsigned long n,
		      bool forever)
{
	const char *how = forever ? "for good" : "once";
	struct anyc_snapshot before, after;
	char text[512];
	bool fired;
	int rc;

	anyc_snapshot_take(&before);
	fault_arm(n, forever);
	rc = scenario(arg);
	fired = fault_disarm();
	CHECK_OK(anyc_thread_done());
	if (!is_allowed(rc, allowed) || (!fired && rc < 0))
		FAIL("allocation %lu failed %s: %s", n, how, anyc_err_name(rc));
	anyc_snapshot_take(&after);
	if (anyc_snapshot_compare(&before, &after, text, sizeof text) > 0)
		FAIL("allocation %lu failed %s, and left something: %s", n, how, text);
	return fired;
}

unsigned long anyc_fault_sweep(fault_scenario *scenario, void *arg, const int *allowed)
{
	unsigned long n = 0;
	bool fired = true;

	while (fired) {
		fired = sweep_one(scenario, arg, allowed, n, false);
		fired = sweep_one(scenario, arg, allowed, n, true) || fired;
		CHECK_INT(++n, <, 200000);
	}
	return n;
}

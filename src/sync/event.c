/* SPDX-License-Identifier: MIT */
/* Event: a flag that is set once, and a line of tasks that wait for it. */
#include "core/core.h"

int anyc_event_set(struct anyc_event *e)
{
	int rc = anyc__waiters_check(&e->waiters_, "the event");

	if (rc != 0)
		return rc;
	e->set_ = true;
	while (anyc__waiters_wake(&e->waiters_, 0) != NULL)
		;
	return 0;
}

bool anyc_event_is_set(const struct anyc_event *e)
{
	return e->set_;
}

size_t anyc_event_waiting(const struct anyc_event *e)
{
	return anyc__waiters_count(&e->waiters_);
}

int anyc_event_wait(struct anyc_event *e)
{
	struct anyc_task *t;
	int rc = anyc__enter(&t);

	if (rc != 0)
		return rc;
	if (!e->set_)
		return anyc__waiters_wait(&e->waiters_, t, NULL, "an event");
	anyc__yield(t);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Handles: a task seen from outside, while it runs and after its end. */
#include "engine.h"

void anyc__handle_ended(struct anyc_handle *h, int rc, bool cancelled)
{
	h->task_ = NULL;
	h->result_ = cancelled ? ANYC_ETASKCANCELED : rc;
	h->status_ = cancelled ? ANYC_STATUS_CANCELLED
		     : rc < 0  ? ANYC_STATUS_FAILED
			       : ANYC_STATUS_FINISHED;
	/* The first of them to run may give the handle away. */
	while (h->joiners_.first_ != NULL) {
		*(int *)h->joiners_.first_->data_ = h->result_;
		anyc__waiters_wake(&h->joiners_, 0);
	}
}

int anyc_join(struct anyc_handle *h, int *result)
{
	struct anyc_task *t;
	int got, rc;

	if (result != NULL)
		*result = 0;
	rc = anyc__enter(&t);
	if (rc != 0)
		return rc;
	if (h == NULL || h->status_ == ANYC_STATUS_NONE)
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_join: no task was spawned with this handle");
	if (h->task_ == t)
		return anyc__misuse(ANYC_EMISUSE, "anyc_join: task '%s' joins itself", t->name);
	got = h->result_;
	if (h->task_ == NULL)
		anyc__yield(t);
	else
		rc = anyc__waiters_wait(&h->joiners_, t, &got, "the end of a task");
	if (rc == 0 && result != NULL)
		*result = got;
	return rc;
}

int anyc_handle_cancel(struct anyc_handle *h, const char *reason)
{
	if (h == NULL || h->status_ == ANYC_STATUS_NONE)
		return anyc__misuse(ANYC_EMISUSE,
				    "anyc_handle_cancel: no task was spawned with this handle");
	if (h->task_ == NULL)
		return 0;
	return anyc_scope_cancel(&h->task_->base, reason);
}

enum anyc_status anyc_handle_status(const struct anyc_handle *h)
{
	if (h->task_ != NULL && h->task_->base.effective_)
		return ANYC_STATUS_CANCELLING;
	return (enum anyc_status)h->status_;
}

int anyc_handle_result(const struct anyc_handle *h)
{
	switch (anyc_handle_status(h)) {
	case ANYC_STATUS_NONE:
	case ANYC_STATUS_PENDING:
		return ANYC_ENOTFINISHED;
	case ANYC_STATUS_CANCELLING:
		return ANYC_ETASKCANCELED;
	default:
		return h->result_;
	}
}

int anyc_handle_start_value(const struct anyc_handle *h, intptr_t *value)
{
	if (value != NULL)
		*value = h->value_;
	if (!h->started_)
		return anyc_fail(ANYC_EMISUSE, 0,
				 "the task has not called anyc_started(), or was not "
				 "started by anyc_start()");
	return 0;
}

const char *anyc_handle_name(const struct anyc_handle *h)
{
	return h->name_;
}

uint64_t anyc_handle_id(const struct anyc_handle *h)
{
	return h->id_;
}

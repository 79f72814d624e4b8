/* SPDX-License-Identifier: MIT */
/*
 * What the fault driver changes from inside: a cancellation at a place of its choice.
 *
 * Rules
 *  - An engine without the hook is told so by a bit of its word `probes`.
 *  - A cancellation comes only where another task's could: as a call begins, as soon as its task
 *    has parked, and between its waking and its next line.
 */
#include <anyc/fault.h>

#include "engine.h"

/* Of the whole process. */
static anyc_fault_cancel_fn *hook;
static void *hook_arg;

void anyc__place_init(struct anyc__engine *e)
{
	e->probes &= ~ANYC__PROBE_CANCEL;
	if (hook != NULL)
		e->probes |= ANYC__PROBE_CANCEL;
}

void anyc_fault_cancel_hook(anyc_fault_cancel_fn *fn, void *arg)
{
	struct anyc__engine *e = anyc__current_engine();

	hook = fn;
	hook_arg = arg;
	if (e != NULL)
		anyc__place_init(e);
}

static void cancel_at(struct anyc_task *t, enum anyc_fault_moment moment)
{
	struct anyc_fault_place place = {
		.moment = moment,
		.task = t->name,
		.group_site = t->group != NULL ? t->group->scope_.site_ : NULL,
		.scope_site = t->scope != &t->base ? t->scope->site_ : NULL,
	};

	if ((t->engine->probes & ANYC__PROBE_CANCEL) == 0 || hook == NULL)
		return;
	switch (hook(hook_arg, &place)) {
	case ANYC_FAULT_CANCEL_TASK:
		anyc__scope_cancel(&t->base, ANYC_CAUSE_CANCEL, "a fault");
		break;
	case ANYC_FAULT_CANCEL_INNERMOST:
		anyc__scope_cancel(t->scope, ANYC_CAUSE_CANCEL, "a fault");
		break;
	case ANYC_FAULT_GO_ON:
		break;
	}
}

void anyc__place_checkpoint(struct anyc_task *t)
{
	cancel_at(t, ANYC_FAULT_CHECKPOINT);
}

void anyc__place_parked(struct anyc_task *t)
{
	cancel_at(t, ANYC_FAULT_PARKED);
}

void anyc__place_resumed(struct anyc_task *t)
{
	cancel_at(t, ANYC_FAULT_RESUMED);
}

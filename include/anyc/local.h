/* SPDX-License-Identifier: MIT */
/*
 * Values that go with a task, and values that go with a loop's run.
 *
 *	static const struct anyc_local request = {.name = "request"};
 *
 *	anyc_local_set(&request, &r);        // for this task, and those that it spawns from here on
 *	log("%s", ((struct request *)anyc_local_get(&request))->id);
 *
 * A key is a constant whose address is its identity: equal names are no matter.  It must outlive
 * its values.  Everything here is called on the loop's thread and never waits.
 */
#ifndef ANYC_LOCAL_H
#define ANYC_LOCAL_H

#include <anyc/base.h>

ANYC_BEGIN_DECLS

/* --------------------------------------------------------------------------- of one task */

struct anyc_local {
	const char *name; /* for people */
	void *initial;    /* what a task without a value gets */
	/*
	 * NULL, or called once with a value that no task has any more: the one that set it, and
	 * those that inherited it, have ended or set another.  Outside of tasks; must not wait.
	 */
	void (*destroy)(void *value);
	bool not_inherited; /* a spawned task begins without it */
	uint8_t reserved_[7];
};

/*
 * The current task's value.  A task begins with those of its spawner, whoever owns the group;
 * the pointers are copied, and what either sets later stays its own.  A task that a callback
 * spawned begins with none.  Without a value, and outside of tasks, it is key->initial.
 */
ANYC_API void *anyc_local_get(const struct anyc_local *key);
/* Sets it; setting the value it has changes nothing.  The old one is no longer this task's.
 * errors  ANYC_ENOTASK, ANYC_EINVAL, -ENOMEM: nothing changed, the value is not destroyed */
ANYC_API ANYC_MUST_CHECK int anyc_local_set(const struct anyc_local *key, void *value);

/* --------------------------------------------------------------------------- of one run */

/*
 * A value of the loop: all its tasks and callbacks see the same one, from when it is set until
 * anyc_run() returns or the loop is detached.  In a thread without a loop it lasts until a loop
 * takes the thread over, anyc_thread_done(), or the thread's end.
 */
struct anyc_runvar {
	const char *name;
	void *initial; /* what a run without a value gets */
	/* NULL, or called with the value that stands when the run ends; outside of tasks. */
	void (*destroy)(void *value);
	uint8_t reserved_[8];
};

/* What a set has replaced.  Private; zeroed it is no token. */
struct anyc_runvar_token {
	const struct anyc_runvar *var_;
	void *old_;
	uint64_t engine_;
	bool had_;
	uint8_t pad_[7];
};

ANYC_API void *anyc_runvar_get(const struct anyc_runvar *var);
/*
 * Sets it; *token (may be NULL) takes it back.  The old value is not destroyed: it may come back.
 *   errors  ANYC_EINVAL, -ENOMEM: nothing changed, and *token is none
 */
ANYC_API ANYC_MUST_CHECK int anyc_runvar_set(struct anyc_runvar_token *token,
					     const struct anyc_runvar *var, void *value);
/*
 * Makes it what it was before the set that gave the token: once only.
 *   errors  ANYC_EMISUSE (used already, of another variable, of another run): nothing changed
 */
ANYC_API ANYC_MUST_CHECK int anyc_runvar_reset(const struct anyc_runvar *var,
					       struct anyc_runvar_token *token);

ANYC_END_DECLS
#endif

/* SPDX-License-Identifier: MIT */
/* What the primitives ask of each other. */
#ifndef ANYC__SYNC_H
#define ANYC__SYNC_H

#include "core/core.h"

/* The task holds the lock now. */
bool anyc__lock_held_by(const struct anyc_lock *l, const struct anyc_task *t);
/* Gives the lock, which its task holds, to the first in line. */
void anyc__lock_pass_on(struct anyc_lock *l);
/* Takes it, waiting in line if need be; no cancellation ends the wait, and it does not yield. */
int anyc__lock_take_shielded(struct anyc_lock *l, struct anyc_task *t);

/* The engine of the code that runs, or 0 where there is none yet. */
static inline uint64_t anyc__here(void)
{
	const struct anyc__engine *e = anyc__current_engine();

	return e != NULL ? anyc__engine_id(e) : 0;
}
/* An object that is in use may be used here: by its engine, or if it was taken where none was. */
static inline bool anyc__is_here(const uint64_t *engine)
{
	uint64_t owner = __atomic_load_n(engine, __ATOMIC_RELAXED);

	return owner == 0 || owner == anyc__here();
}
/* It may not: others use it.  What was taken on a loop that has ended is nobody's. */
static inline bool anyc__is_of_others(const uint64_t *engine)
{
	return ANYC__UNLIKELY(!anyc__is_here(engine)) &&
	       anyc__engine_lives(__atomic_load_n(engine, __ATOMIC_RELAXED));
}

#endif

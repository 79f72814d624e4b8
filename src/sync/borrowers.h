/* SPDX-License-Identifier: MIT */
/* A limiter's table of those who have a token or are in line. */
#ifndef ANYC__BORROWERS_H
#define ANYC__BORROWERS_H

#include "sync.h"

/* Room for one more.  -ENOMEM */
int anyc__borrowers_reserve(struct anyc_limiter *l);
/* The entry, valid until the next change; NULL: none. */
struct anyc_borrower_ *anyc__borrower_find(const struct anyc_limiter *l,
					   const struct anyc_borrower_ *who);
/* There is room, and it is not in yet. */
struct anyc_borrower_ *anyc__borrower_add(struct anyc_limiter *l, const struct anyc_borrower_ *who);
/* It is in. */
void anyc__borrower_remove(struct anyc_limiter *l, const struct anyc_borrower_ *who);

#endif

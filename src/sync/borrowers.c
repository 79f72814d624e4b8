/* SPDX-License-Identifier: MIT */
/*
 * A limiter's table: four places in the limiter itself, looked through one by one; beyond that a
 * hash table with open addressing, at most three quarters full, which goes when the last has gone.
 */
#include <errno.h>

#include "borrowers.h"

#define FEW (sizeof((struct anyc_limiter *)0)->few_ / sizeof(struct anyc_borrower_))
#define FIRST_PLACES 16

static bool is_free(const struct anyc_borrower_ *b)
{
	return b->key_ == NULL && b->task_ == 0;
}

static bool same(const struct anyc_borrower_ *a, const struct anyc_borrower_ *b)
{
	return a->key_ == b->key_ && a->task_ == b->task_;
}

static size_t count(const struct anyc_limiter *l)
{
	return l->borrowed_ + l->waiting_;
}

/* Where it belongs in a table of so many places. */
static size_t home(const struct anyc_borrower_ *who, size_t places)
{
	uint64_t h = (uint64_t)(uintptr_t)who->key_ ^ who->task_;

	h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h >> 32) & (places - 1);
}

/* Its place, or the free one where it would go. */
static struct anyc_borrower_ *place_of(struct anyc_borrower_ *table, size_t places,
				       const struct anyc_borrower_ *who)
{
	size_t i = home(who, places);

	while (!is_free(&table[i]) && !same(&table[i], who))
		i = (i + 1) & (places - 1);
	return &table[i];
}

static struct anyc_borrower_ *few_find(const struct anyc_limiter *l,
				       const struct anyc_borrower_ *who)
{
	size_t i;

	for (i = 0; i < FEW; i++) {
		if (same(&l->few_[i], who))
			return (struct anyc_borrower_ *)&l->few_[i];
	}
	return NULL;
}

int anyc__borrowers_reserve(struct anyc_limiter *l)
{
	struct anyc_borrower_ *old = l->table_ != NULL ? l->table_ : l->few_, *table;
	size_t places = l->table_ != NULL ? l->places_ : FEW, wanted, i;

	if (l->table_ == NULL ? count(l) < FEW : count(l) < places / 4 * 3)
		return 0;
	wanted = l->table_ != NULL ? places * 2 : FIRST_PLACES;
	table = anyc__alloc(wanted * sizeof *table);
	if (table == NULL)
		return -ENOMEM;
	for (i = 0; i < places; i++) {
		if (!is_free(&old[i]))
			*place_of(table, wanted, &old[i]) = old[i];
	}
	anyc__free(l->table_);
	l->table_ = table;
	l->places_ = wanted;
	return 0;
}

struct anyc_borrower_ *anyc__borrower_find(const struct anyc_limiter *l,
					   const struct anyc_borrower_ *who)
{
	struct anyc_borrower_ *b;

	if (l->table_ == NULL)
		return few_find(l, who);
	b = place_of(l->table_, l->places_, who);
	return is_free(b) ? NULL : b;
}

struct anyc_borrower_ *anyc__borrower_add(struct anyc_limiter *l, const struct anyc_borrower_ *who)
{
	static const struct anyc_borrower_ nobody;
	struct anyc_borrower_ *b;

	b = l->table_ == NULL ? few_find(l, &nobody) : place_of(l->table_, l->places_, who);
	*b = *who;
	return b;
}

/* Moves those behind a hole up that would not be found behind it. */
static void close_hole(struct anyc_limiter *l, size_t hole)
{
	size_t mask = l->places_ - 1, i = hole;

	for (;;) {
		i = (i + 1) & mask;
		if (is_free(&l->table_[i]))
			break;
		if (((i - home(&l->table_[i], l->places_)) & mask) < ((i - hole) & mask))
			continue;
		l->table_[hole] = l->table_[i];
		hole = i;
	}
	l->table_[hole] = (struct anyc_borrower_){ 0 };
}

void anyc__borrower_remove(struct anyc_limiter *l, const struct anyc_borrower_ *who)
{
	struct anyc_borrower_ *b = anyc__borrower_find(l, who);

	if (l->table_ == NULL) {
		*b = (struct anyc_borrower_){ 0 };
		return;
	}
	close_hole(l, (size_t)(b - l->table_));
	if (count(l) == 1) { /* the one that goes */
		anyc__free(l->table_);
		l->table_ = NULL;
		for (size_t i = 0; i < FEW; i++)
			l->few_[i] = (struct anyc_borrower_){ 0 };
	}
}

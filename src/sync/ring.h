/* SPDX-License-Identifier: MIT */
/* A ring of items of one size, copied in and out: what both kinds of queues keep theirs in. */
#ifndef ANYC__RING_H
#define ANYC__RING_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <anyc/error.h>

struct anyc__ring {
	unsigned char *start, *end;
	unsigned char *oldest, *free; /* the first item, and where the next one goes */
	size_t item_size;
	size_t count, room; /* items in it, and how many it can hold */
	size_t peak;
};

/* Empty, of room for so many items, 0 included.  False: no memory, or more than there can be. */
bool anyc__ring_init(struct anyc__ring *r, size_t item_size, size_t room);
/* A full one becomes one of twice the room, or the first.  -ENOMEM, with its sentence. */
int anyc__ring_grow(struct anyc__ring *r);
void anyc__ring_end(struct anyc__ring *r);

static inline unsigned char *anyc__ring_after(const struct anyc__ring *r, unsigned char *place)
{
	place += r->item_size;
	return place == r->end ? r->start : place;
}

/* An item, from somewhere to somewhere: sizes that are common without a call. */
static inline void anyc__item_copy(void *to, const void *from, size_t size)
{
	switch (size) {
	case 4: memcpy(to, from, 4); break;
	case 8: memcpy(to, from, 8); break;
	case 16: memcpy(to, from, 16); break;
	default: memcpy(to, from, size);
	}
}

/* Has room for one more: 0; ANYC_EWOULDBLOCK for a full one, unless it may grow; -ENOMEM. */
static inline int anyc__ring_make_room(struct anyc__ring *r, bool may_grow)
{
	if (r->count < r->room)
		return 0;
	return may_grow ? anyc__ring_grow(r) : ANYC_EWOULDBLOCK;
}

/* There is room. */
static inline void anyc__ring_put(struct anyc__ring *r, const void *item)
{
	anyc__item_copy(r->free, item, r->item_size);
	r->free = anyc__ring_after(r, r->free);
	if (++r->count > r->peak)
		r->peak = r->count;
}

/* It is not empty. */
static inline void anyc__ring_take(struct anyc__ring *r, void *item)
{
	anyc__item_copy(item, r->oldest, r->item_size);
	r->oldest = anyc__ring_after(r, r->oldest);
	r->count--;
}

/* Hands each item to drop, which may be NULL, and ends the ring. */
void anyc__ring_drop(struct anyc__ring *r, void (*drop)(void *arg, void *item), void *arg);

#endif

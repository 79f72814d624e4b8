/* SPDX-License-Identifier: MIT */
/* The memory of rings of items. */
#include <errno.h>
#include <stdint.h>

#include "core/core.h"
#include "ring.h"

#define FIRST_ROOM 16 /* items, of a ring that has to hold its first */

bool anyc__ring_init(struct anyc__ring *r, size_t item_size, size_t room)
{
	*r = (struct anyc__ring){.item_size = item_size, .room = room};
	if (room == 0)
		return true;
	r->start = room <= PTRDIFF_MAX / item_size ? anyc__alloc(room * item_size) : NULL;
	if (r->start == NULL)
		return false;
	r->end = r->start + room * item_size;
	r->oldest = r->free = r->start;
	return true;
}

int anyc__ring_grow(struct anyc__ring *r)
{
	size_t old = (size_t)(r->end - r->start), wrapped = (size_t)(r->oldest - r->start);
	size_t room = r->room != 0 ? 2 * r->room : FIRST_ROOM;
	unsigned char *start = NULL;

	if (room <= PTRDIFF_MAX / r->item_size)
		start = anyc__resize(r->start, room * r->item_size);
	if (start == NULL)
		return anyc_fail(-ENOMEM, ENOMEM,
				 "queue: no memory for %zu items of %zu bytes", room, r->item_size);
	/* What lay before the oldest item came after the last. */
	memcpy(start + old, start, wrapped);
	r->start = start;
	r->end = start + room * r->item_size;
	r->oldest = start + wrapped;
	r->free = start + old + wrapped;
	r->room = room;
	return 0;
}

void anyc__ring_end(struct anyc__ring *r)
{
	anyc__free(r->start);
}

void anyc__ring_drop(struct anyc__ring *r, void (*drop)(void *arg, void *item), void *arg)
{
	for (; drop != NULL && r->count != 0; r->count--) {
		drop(arg, r->oldest);
		r->oldest = anyc__ring_after(r, r->oldest);
	}
	anyc__ring_end(r);
}

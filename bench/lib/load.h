/* SPDX-License-Identifier: MIT */
/* The load: connections to an echo server, each of which sends when its answer has come. */
#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>

#define LOAD_SIZE 64 /* bytes of a message */

struct load;

/* Connects, and has each connection served once. */
struct load *load_open(unsigned port, unsigned connections);
/*
 * Keeps every connection busy until `ns` have passed or each has made `most` requests; returns
 * when all answers have come.  Their number.
 */
uint64_t load_run(struct load *l, int64_t ns, uint64_t most);
void load_close(struct load *l);

#endif

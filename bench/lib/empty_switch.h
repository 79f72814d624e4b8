/* SPDX-License-Identifier: MIT */
/* Stack switches as short as they can be by hand: what anyc's is measured against. */
#ifndef EMPTY_SWITCH_H
#define EMPTY_SWITCH_H

#include <stddef.h>

/*
 * Saves the callee-saved registers and this stack's pointer to *save, and goes on where the stack
 * at `to` was left: by an indirect jump, or by ret.
 */
void empty_switch_jump(void **save, void *to);
void empty_switch_ret(void **save, void *to);
/* The pointer of a new stack whose first switch calls fn, which must not return. */
void *empty_stack(void *low, size_t size, void (*fn)(void));

/* For struct bench_case: n switches, to another stack and back. */
void empty_run_jump(void *arg, size_t n);
void empty_run_ret(void *arg, size_t n);

#endif

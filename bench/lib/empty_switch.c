/* SPDX-License-Identifier: MIT */
/* x86-64: rbx, rbp, r12 to r15.  aarch64: x19 to x30 and d8 to d15, as its ABI wants. */
#include "empty_switch.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

#define SWITCH(name, back) \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n.p2align 5\n" #name ":\n" \
		"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n" \
		"	pushq %r13\n	pushq %r14\n	pushq %r15\n" \
		"	movq %rsp, (%rdi)\n	movq %rsi, %rsp\n" \
		"	popq %r15\n	popq %r14\n	popq %r13\n" \
		"	popq %r12\n	popq %rbx\n	popq %rbp\n" back \
		".size " #name ", . - " #name "\n")

SWITCH(empty_switch_jump, "	popq %rcx\n	notrack jmp *%rcx\n");
SWITCH(empty_switch_ret, "	ret\n");

#define SAVED 8 /* six registers, the address to go on at, one word to align */
#define GO_ON 6

#elif defined(__aarch64__)

#define SWITCH(name, back) \
	__asm__(".text\n.globl " #name "\n.type " #name ", %function\n.p2align 5\n" #name ":\n" \
		"	sub sp, sp, #160\n" \
		"	stp x19, x20, [sp]\n	stp x21, x22, [sp, #16]\n" \
		"	stp x23, x24, [sp, #32]\n	stp x25, x26, [sp, #48]\n" \
		"	stp x27, x28, [sp, #64]\n	stp x29, x30, [sp, #80]\n" \
		"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n" \
		"	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n" \
		"	mov x9, sp\n	str x9, [x0]\n	mov sp, x1\n" \
		"	ldp x19, x20, [sp]\n	ldp x21, x22, [sp, #16]\n" \
		"	ldp x23, x24, [sp, #32]\n	ldp x25, x26, [sp, #48]\n" \
		"	ldp x27, x28, [sp, #64]\n	ldp x29, x30, [sp, #80]\n" \
		"	ldp d8, d9, [sp, #96]\n	ldp d10, d11, [sp, #112]\n" \
		"	ldp d12, d13, [sp, #128]\n	ldp d14, d15, [sp, #144]\n" \
		"	add sp, sp, #160\n" back \
		".size " #name ", . - " #name "\n")

SWITCH(empty_switch_jump, "	mov x16, x30\n	br x16\n");
SWITCH(empty_switch_ret, "	ret\n");

#define SAVED 20
#define GO_ON 11

#else
#error "write an empty switch for this machine"
#endif

void *empty_stack(void *low, size_t size, void (*fn)(void))
{
	uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
	void **sp = (void **)top - SAVED;

	memset(sp, 0, SAVED * sizeof *sp);
	memcpy(&sp[GO_ON], &fn, sizeof fn);
	return sp;
}

/* ----------------------------------------------------------------------------- back and forth */

#define STACK 65536

static void *here, *there;
static _Alignas(16) char stack[STACK];

static void jump_back(void)
{
	for (;;)
		empty_switch_jump(&there, here);
}

void empty_run_jump(void *arg, size_t n)
{
	(void)arg;
	there = empty_stack(stack, STACK, jump_back);
	for (; n > 0; n -= 2)
		empty_switch_jump(&here, there);
}

static void ret_back(void)
{
	for (;;)
		empty_switch_ret(&there, here);
}

void empty_run_ret(void *arg, size_t n)
{
	(void)arg;
	there = empty_stack(stack, STACK, ret_back);
	for (; n > 0; n -= 2)
		empty_switch_ret(&here, there);
}

/* SPDX-License-Identifier: MIT */
/*
 * The stack switch for aarch64, AAPCS64.  A suspended stack holds 160 bytes, lowest first:
 *     x19..x28, x29, x30, d8..d15
 * and its context holds the address of the x19 slot.
 *
 * Rules
 *   The way back is br, not ret, for the sake of the return predictor, unless this build enforces
 *   branch targets: a br from a guarded page may only land on a bti, which a return address is
 *   not.  Then it is ret, and only then does the property note claim BTI.
 *   The guarded control stack is not switched and never claimed.
 */
#if defined(__aarch64__) && !defined(ANYC_SWITCH_UCONTEXT)

	.text

	/* void anyc__context_switch(struct anyc__context *save, const struct anyc__context *to) */
	.globl	anyc__context_switch
	.hidden	anyc__context_switch
	.type	anyc__context_switch, %function
	.p2align 5
anyc__context_switch:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x19, x20, [sp, #-160]!
	.cfi_adjust_cfa_offset 160
	.cfi_rel_offset x19, 0
	.cfi_rel_offset x20, 8
	stp	x21, x22, [sp, #16]
	.cfi_rel_offset x21, 16
	.cfi_rel_offset x22, 24
	stp	x23, x24, [sp, #32]
	.cfi_rel_offset x23, 32
	.cfi_rel_offset x24, 40
	stp	x25, x26, [sp, #48]
	.cfi_rel_offset x25, 48
	.cfi_rel_offset x26, 56
	stp	x27, x28, [sp, #64]
	.cfi_rel_offset x27, 64
	.cfi_rel_offset x28, 72
	stp	x29, x30, [sp, #80]
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	ldr	x9, [x1]
	mov	sp, x9			/* same layout there: the unwind rules above stay true */
	ldp	d14, d15, [sp, #144]
	ldp	d12, d13, [sp, #128]
	ldp	d10, d11, [sp, #112]
	ldp	d8, d9, [sp, #96]
	ldp	x29, x30, [sp, #80]
	.cfi_restore x29
	.cfi_restore x30
	ldp	x27, x28, [sp, #64]
	.cfi_restore x27
	.cfi_restore x28
	ldp	x25, x26, [sp, #48]
	.cfi_restore x25
	.cfi_restore x26
	ldp	x23, x24, [sp, #32]
	.cfi_restore x23
	.cfi_restore x24
	ldp	x21, x22, [sp, #16]
	.cfi_restore x21
	.cfi_restore x22
	ldp	x19, x20, [sp], #160
	.cfi_restore x19
	.cfi_restore x20
	.cfi_adjust_cfa_offset -160
#if defined(__ARM_FEATURE_BTI_DEFAULT)
	ret
#else
	br	x30
#endif
	.cfi_endproc
	.size	anyc__context_switch, . - anyc__context_switch

	/* First code on a new stack: entry in x19, its argument in x20, sp a multiple of 16. */
	.type	context_entry, %function
	.p2align 4
context_entry:
	.cfi_startproc
	.cfi_undefined x30		/* backtraces end here */
	hint	#38			/* bti jc */
	mov	x0, x20
	blr	x19
	brk	#1
	.cfi_endproc
	.size	context_entry, . - context_entry

	/* void anyc__context_make(c, stack_low, stack_top, entry, arg) */
	.globl	anyc__context_make
	.hidden	anyc__context_make
	.type	anyc__context_make, %function
	.p2align 4
anyc__context_make:
	.cfi_startproc
	hint	#34			/* bti c */
	and	x2, x2, #-16
	sub	x2, x2, #160
	stp	x3, x4, [x2]
	stp	xzr, xzr, [x2, #16]
	stp	xzr, xzr, [x2, #32]
	stp	xzr, xzr, [x2, #48]
	stp	xzr, xzr, [x2, #64]
	adr	x9, context_entry
	stp	xzr, x9, [x2, #80]	/* x29 = 0 ends frame-pointer walks */
	stp	xzr, xzr, [x2, #96]
	stp	xzr, xzr, [x2, #112]
	stp	xzr, xzr, [x2, #128]
	stp	xzr, xzr, [x2, #144]
	str	x2, [x0]
	ret
	.cfi_endproc
	.size	anyc__context_make, . - anyc__context_make

#if defined(__ARM_FEATURE_BTI_DEFAULT)
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4, 16, 5		/* name size, description size, NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0	/* AARCH64_FEATURE_1_AND, 4 bytes, BTI, padding */
#endif

#endif

#if defined(__linux__) && defined(__ELF__)
	.section .note.GNU-stack, "", %progbits
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The stack switch for x86-64, System V ABI.  A suspended stack looks like this, lowest first:
 *     r15 r14 r13 r12 rbx rbp, return address
 * and its context holds the address of the r15 slot.
 *
 * Rules
 *   The way back is pop + jmp, not ret: the return predictor knows the other stack's callers, so
 *   a ret is mispredicted every time (9.8 against 3.2 ns).  A return address is no landing pad:
 *   hence notrack.
 *   Shadow stacks are not switched, so the property note claims IBT and never SHSTK.
 */
#if defined(__x86_64__) && !defined(__ILP32__) && !defined(ANYC_SWITCH_UCONTEXT)

	.text

	/* void anyc__context_switch(struct anyc__context *save, const struct anyc__context *to) */
	.globl	anyc__context_switch
	.hidden	anyc__context_switch
	.type	anyc__context_switch, @function
	.p2align 5
anyc__context_switch:
	.cfi_startproc
	endbr64
	movq	(%rsi), %rax
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	movq	%rsp, (%rdi)
	movq	%rax, %rsp		/* same layout there: the unwind rules above stay true */
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	notrack jmp *%rcx
	.cfi_endproc
	.size	anyc__context_switch, . - anyc__context_switch

	/* First code on a new stack: entry in rbx, its argument in r12, rsp a multiple of 16. */
	.type	context_entry, @function
	.p2align 4
context_entry:
	.cfi_startproc
	.cfi_def_cfa rsp, 8
	.cfi_undefined rip		/* backtraces end here */
	endbr64
	movq	%r12, %rdi
	leaq	1f(%rip), %rax
	pushq	%rax
	jmp	*%rbx		/* no call: it would never be returned from, see switch.h */
1:	ud2
	.cfi_endproc
	.size	context_entry, . - context_entry

	/* void anyc__context_make(c, stack_low, stack_top, entry, arg) */
	.globl	anyc__context_make
	.hidden	anyc__context_make
	.type	anyc__context_make, @function
	.p2align 4
anyc__context_make:
	.cfi_startproc
	endbr64
	andq	$-16, %rdx
	leaq	context_entry(%rip), %rax
	movq	%rax, -8(%rdx)
	xorl	%eax, %eax
	movq	%rax, -16(%rdx)		/* rbp: ends frame-pointer walks */
	movq	%rcx, -24(%rdx)		/* rbx */
	movq	%r8, -32(%rdx)		/* r12 */
	movq	%rax, -40(%rdx)
	movq	%rax, -48(%rdx)
	movq	%rax, -56(%rdx)
	leaq	-56(%rdx), %rax
	movq	%rax, (%rdi)
	ret
	.cfi_endproc
	.size	anyc__context_make, . - anyc__context_make

	/* By hand and not by <cet.h>, which would claim SHSTK as well. */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4, 16, 5		/* name size, description size, NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0	/* X86_FEATURE_1_AND, 4 bytes, IBT, padding */

#endif

#if defined(__linux__) && defined(__ELF__)
	.section .note.GNU-stack, "", %progbits
#endif

// For assembly only: a system call's registers kept as a struct Call
// (preload/kernel.h) on the stack, with the call-frame information that
// unwinding from within needs.

// Leaves %rdi pointing to the struct Call, at -56(%rbp), and %rsp aligned for a call.
	.macro	push_call
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	sub	$56, %rsp
	and	$-16, %rsp
	mov	%rax, -56(%rbp)		// number and arguments
	mov	%rdi, -48(%rbp)
	.cfi_offset %rdi, -64
	mov	%rsi, -40(%rbp)
	.cfi_offset %rsi, -56
	mov	%rdx, -32(%rbp)
	.cfi_offset %rdx, -48
	mov	%r10, -24(%rbp)
	.cfi_offset %r10, -40
	mov	%r8, -16(%rbp)
	.cfi_offset %r8, -32
	mov	%r9, -8(%rbp)
	.cfi_offset %r9, -24
	lea	-56(%rbp), %rdi
	.endm

// Takes the frame away; the call's result is in %rax. What the call-frame information says from here on is the caller's.
	.macro	pop_call
	mov	-48(%rbp), %rdi
	mov	-40(%rbp), %rsi
	mov	-32(%rbp), %rdx
	mov	-24(%rbp), %r10
	mov	-16(%rbp), %r8
	mov	-8(%rbp), %r9
	leave
	.endm

// The ways into and out of trap.cc that no compiler writes.
#include <asm/unistd.h>

	.text

// The handler of SIGSYS: signal, siginfo, ucontext in rdi, rsi, rdx; the stack is the interrupted one or the
// alternative one, either may be small.
	.globl	vestal_on_trap
	.hidden	vestal_on_trap
	.type	vestal_on_trap, @function
	.p2align 4
vestal_on_trap:
	.cfi_startproc
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	sub	$32, %rsp
	and	$-16, %rsp
	mov	%rdx, -8(%rbp)
	mov	%rsi, -16(%rbp)
	mov	%rdx, %rdi
	call	vestal_stack_for_trap
	mov	%rax, -24(%rbp)
	mov	-8(%rbp), %rdi
	mov	-16(%rbp), %rsi
	test	%rax, %rax
	jz	.Lhere
	mov	%rax, %rsp
.Lhere:
	call	vestal_serve_trap
	lea	-32(%rbp), %rsp
	and	$-16, %rsp
	mov	-24(%rbp), %rdi
	test	%rdi, %rdi
	jz	.Lback
	call	vestal_give_stack
.Lback:
	leave
	.cfi_def_cfa %rsp, 8
	.cfi_restore %rbp
	ret
	.cfi_endproc
	.size	vestal_on_trap, . - vestal_on_trap

// Where signal handlers return to. Unwinding knows the frame of a signal by these very bytes, and by there being no
// other word about them; it looks one byte in front of them.
	nop
	.globl	vestal_signal_return
	.hidden	vestal_signal_return
	.type	vestal_signal_return, @function
vestal_signal_return:
	mov	$__NR_rt_sigreturn, %rax
	syscall
	hlt
	.size	vestal_signal_return, . - vestal_signal_return

// Ends the handler whose frame is at rdi.
	.globl	vestal_return_from_signal
	.hidden	vestal_return_from_signal
	.type	vestal_return_from_signal, @function
	.p2align 4
vestal_return_from_signal:
	.cfi_startproc
	.cfi_undefined %rip
	mov	%rdi, %rsp
	mov	$__NR_rt_sigreturn, %rax
	syscall
	hlt
	.cfi_endproc
	.size	vestal_return_from_signal, . - vestal_return_from_signal

	.macro	load_call from
	mov	\from, %r11
	mov	(%r11), %rax
	mov	8(%r11), %rdi
	mov	16(%r11), %rsi
	mov	24(%r11), %rdx
	mov	32(%r11), %r10
	mov	40(%r11), %r8
	mov	48(%r11), %r9
	.endm

// The struct Call at rdi gives a child a stack on which a struct ChildFrame lies (trap.cc).
	.globl	vestal_clone_onto
	.hidden	vestal_clone_onto
	.type	vestal_clone_onto, @function
	.p2align 4
vestal_clone_onto:
	.cfi_startproc
	load_call %rdi
	syscall
	test	%rax, %rax
	jz	.Lnew
	ret
.Lnew:
	.cfi_undefined %rip
	mov	%rsp, %rbx
	mov	%rsp, %rdi
	and	$-16, %rsp
	call	vestal_child_begins
	lea	8(%rbx), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%r10
	pop	%r8
	pop	%r9
	popfq
	mov	$0, %eax		// the flags are the program's already
	ret	$128
	.cfi_endproc
	.size	vestal_clone_onto, . - vestal_clone_onto

// The struct Call at rdi gives a child this memory and the stack of the interrupted program, whose ucontext is at rsi.
	.globl	vestal_vfork_under
	.hidden	vestal_vfork_under
	.type	vestal_vfork_under, @function
	.p2align 4
vestal_vfork_under:
	.cfi_startproc
	push	%rbx
	.cfi_def_cfa_offset 16
	.cfi_offset %rbx, -16
	mov	%rsi, %rbx
	load_call %rdi
	syscall
	test	%rax, %rax
	jz	.Lunder
	pop	%rbx
	.cfi_remember_state
	.cfi_def_cfa_offset 8
	.cfi_restore %rbx
	ret
	.cfi_restore_state
.Lunder:
	// Not a word on the stack of the call, which is the parent's.
	.cfi_undefined %rip
	lea	-256(%rbx), %rsp
	and	$-16, %rsp
	xor	%edi, %edi
	call	vestal_child_begins
	mov	%rbx, %rsp
	mov	$__NR_rt_sigreturn, %rax
	syscall
	hlt
	.cfi_endproc
	.size	vestal_vfork_under, . - vestal_vfork_under

	.section .note.GNU-stack, "", @progbits

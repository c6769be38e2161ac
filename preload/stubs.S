// The ways into the shim that no compiler writes.
//
// Unwinding must be possible from any instruction here: a thread may be
// cancelled, or a signal handler may ask for a backtrace, while it waits in a
// call. So the call-frame information is complete, of every register saved too.
#include <asm/unistd.h>

#include "preload/call_frame.h"

	.text

// A hook of slot 0, see broker/images/stub_writer.h: number in rax, arguments
// in rdi, rsi, rdx, r10, r8, r9; only rax, rcx, r11 and the flags may change.
	.globl	vestal_hook_system_call
	.hidden	vestal_hook_system_call
	.type	vestal_hook_system_call, @function
	.p2align 4
vestal_hook_system_call:
	.cfi_startproc
	// What gives a child this stack, or another one to return on, must not pass through a function.
	cmp	$__NR_clone, %rax
	je	.Lclone
	cmp	$__NR_vfork, %rax
	je	.Lnative
	cmp	$__NR_clone3, %rax
	je	.Lnative
	cmp	$__NR_rt_sigreturn, %rax
	je	.Lnative
.Lhandle:
	push_call
	call	vestal_dispatch
	pop_call
	.cfi_def_cfa %rsp, 8
	.cfi_restore %rbp
	.cfi_restore %rdi
	.cfi_restore %rsi
	.cfi_restore %rdx
	.cfi_restore %r10
	.cfi_restore %r8
	.cfi_restore %r9
	ret
.Lclone:
	test	$0x100, %edi		// CLONE_VM
	jnz	.Lnative
	test	%rsi, %rsi		// a stack for the child
	jz	.Lhandle
.Lnative:
	syscall
	ret
	.cfi_endproc
	.size	vestal_hook_system_call, . - vestal_hook_system_call

// Stands in for vfork. The child runs on this very stack, so the place to
// return to is kept in a register, as libc itself does.
	.globl	vestal_hook_vfork
	.hidden	vestal_hook_vfork
	.type	vestal_hook_vfork, @function
	.p2align 4
vestal_hook_vfork:
	.cfi_startproc
	lock incl vestal_vfork_depth(%rip)
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdi
	mov	$__NR_vfork, %eax
	syscall
	push	%rdi
	.cfi_adjust_cfa_offset 8
	.cfi_offset %rip, -8
	test	%rax, %rax
	js	.Lfailed
	jz	.Lchild
	lock decl vestal_vfork_depth(%rip)
.Lchild:
	ret
.Lfailed:
	push	%rax			// aligns the stack
	.cfi_adjust_cfa_offset 8
	call	vestal_vfork_failed
	pop	%rax
	.cfi_adjust_cfa_offset -8
	// libc's own code is to set errno. Should it succeed this time, the depth stays raised, which only costs time.
	jmp	*vestal_original_vfork(%rip)
	.cfi_endproc
	.size	vestal_hook_vfork, . - vestal_hook_vfork

	.section .note.GNU-stack, "", @progbits

// The ways into the shim within an image of a static program, see
// broker/images/static_image.h. No compiler and no loader comes before them.
#include <asm/unistd.h>

#include "preload/call_frame.h"

	.text

// struct StaticTable of protocol.h. The shim's ELF entry point.
	.globl	vestal_static_table
	.hidden	vestal_static_table
	.type	vestal_static_table, @object
	.p2align 3
vestal_static_table:
	.quad	0x7461747374736576
	.long	vestal_static_entry - vestal_static_table
	.long	vestal_hook_static_call - vestal_static_table
	.long	vestal_choose - vestal_static_table
	.long	vestal_vfork_depth - vestal_static_table
	.size	vestal_static_table, . - vestal_static_table

// Where the kernel starts the image: the StaticImage in rax, the program's
// arguments at rsp. The program itself is to find rsp a little higher, for there
// are two variables less, and the registers as the kernel leaves them: zero.
	.type	vestal_static_entry, @function
	.p2align 4
vestal_static_entry:
	.cfi_startproc
	.cfi_undefined %rip
	mov	%rsp, %rdi
	mov	%rax, %rsi
	call	vestal_start_static	// rax: the new rsp, rdx: the program's start
	mov	%rax, %rsp
	push	%rdx
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	ret
	.cfi_endproc
	.size	vestal_static_entry, . - vestal_static_entry

// What to do with the call in rax. May change rcx, r11 and flags only, and says
//   carry  make it in place: it gives a child a stack, or takes this one's state from it
//   zero   make it in place, and count it as a vfork: the child shares this memory until it executes something
//   else   ask the hook
	.globl	vestal_choose
	.hidden	vestal_choose
	.type	vestal_choose, @function
	.p2align 4
vestal_choose:
	.cfi_startproc
	cmp	$__NR_vfork, %eax
	je	.Lchosen
	cmp	$__NR_clone, %eax
	je	.Lclone
	cmp	$__NR_clone3, %eax
	je	.Lclone3
	cmp	$__NR_rt_sigreturn, %eax
	je	.Lin_place
	test	%rsp, %rsp		// neither zero nor carry
.Lchosen:
	ret
.Lclone:
	mov	%edi, %r11d
	test	$0x100, %r11d		// CLONE_VM
	jnz	.Lshares
	test	%rsi, %rsi		// a stack for the child
	jnz	.Lin_place
	test	%rsp, %rsp
	ret
.Lclone3:
	test	%rdi, %rdi
	jz	.Lin_place
	cmp	$64, %rsi		// struct clone_args: flags come first
	jb	.Lin_place
	mov	(%rdi), %r11
	test	$0x100, %r11d
	jz	.Lin_place
.Lshares:
	not	%r11d
	test	$0x4000, %r11d		// CLONE_VFORK: zero if it is set
	jnz	.Lin_place
	ret
.Lin_place:
	stc
	ret
	.cfi_endproc
	.size	vestal_choose, . - vestal_choose

// As vestal_hook_system_call; calls of vestal_choose's first two kinds do not come here.
	.globl	vestal_hook_static_call
	.hidden	vestal_hook_static_call
	.type	vestal_hook_static_call, @function
	.p2align 4
vestal_hook_static_call:
	.cfi_startproc
	push_call
	cmpl	$0, vestal_vfork_depth(%rip)
	jne	.Lapart
	cmpl	$0, vestal_small_stacks(%rip)
	jne	.Lapart
.Lhere:
	call	vestal_dispatch_static
.Lback:
	pop_call
	.cfi_remember_state
	.cfi_def_cfa %rsp, 8
	.cfi_restore %rbp
	ret
	.cfi_restore_state
	// This stack may be too small: musl's posix_spawn gives its child five KiB, Go its threads less.
.Lapart:
	call	vestal_take_stack
	lea	-56(%rbp), %rdi
	test	%rax, %rax
	jz	.Lhere
	mov	%rax, %rsp
	call	vestal_dispatch_static
	mov	%rax, -56(%rbp)
	mov	%rsp, %rdi
	lea	-56(%rbp), %rsp
	and	$-16, %rsp
	call	vestal_give_stack
	mov	-56(%rbp), %rax
	jmp	.Lback
	.cfi_endproc
	.size	vestal_hook_static_call, . - vestal_hook_static_call

// As vestal_hook_system_call, of a copy that ld.so loads (plan_copy): its calls of libc may come from small stacks as well,
// and what they tell of its file is put right.
	.globl	vestal_hook_copied_call
	.hidden	vestal_hook_copied_call
	.type	vestal_hook_copied_call, @function
	.p2align 4
vestal_hook_copied_call:
	.cfi_startproc
	cmp	$__NR_clone, %rax
	je	.Lcopied_clone
	cmp	$__NR_vfork, %rax
	je	.Lnative
	cmp	$__NR_clone3, %rax
	je	.Lnative
	cmp	$__NR_rt_sigreturn, %rax
	jne	vestal_hook_static_call
.Lnative:
	syscall
	ret
.Lcopied_clone:
	test	$0x100, %edi		// CLONE_VM
	jnz	.Lnative
	test	%rsi, %rsi		// a stack for the child
	jz	vestal_hook_static_call
	jmp	.Lnative
	.cfi_endproc
	.size	vestal_hook_copied_call, . - vestal_hook_copied_call

	.section .note.GNU-stack, "", @progbits

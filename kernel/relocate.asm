; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. void paging_copy_and_switch(void *dst, const void *src, uint64_t bytes, uint64_t cr3)
; Copies the running image, its stack included, and continues on the copy: the return address was copied too.
bits 64
default rel
section .text.paging_copy_and_switch progbits alloc exec nowrite align=16
global paging_copy_and_switch
paging_copy_and_switch:
    mov r8, rcx
    mov rcx, rdx
    cld
    rep movsb
    mov cr3, r8
    ret

; _Noreturn void paging_jump_low(uint64_t start, uint64_t argument): to code in .boot. The tables must map it: before
; relocation boot_pml4 does; afterwards this goes through boot_pml4 first, which also still maps the old image, and the
; few instructions here lie at the same offset in both.
section .text.paging_jump_low progbits alloc exec nowrite align=16
global paging_jump_low
extern boot_pml4
paging_jump_low:
    cli
    mov rax, boot_pml4
    mov cr3, rax
    mov rax, rdi
    mov rdi, rsi
    mov rsp, boot_native_stack
    jmp rax
extern boot_native_stack

; _Noreturn void paging_continue(uint64_t rsp, void (*entry)(void)): from the boot stack to another one, for good.
section .text.paging_continue progbits alloc exec nowrite align=16
global paging_continue
paging_continue:
    mov rsp, rdi
    xor ebp, ebp
    jmp rsi

; The stack of the CPU that boots, until it has a window of its own (kernel/cpus.h).
section .bss.boot_stack nobits alloc noexec write align=16
global boot_stack_top
    resb 32768
boot_stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits

; SPDX-License-Identifier: GPL-2.0-or-later
; The waiting. A CPU goes into its loop by IRETQ with every register loaded, whatever the mode, and comes back by an
; INT whose gate has a stack of its own. In between it executes one jump through a memory word, again and again: no
; register and no flag changes. Its stack pointer is as odd as everything else.
%include "kit_offsets.inc"

COM1            equ 0x3f8
LSR             equ 5
LSR_DATA        equ 1
SEL_CODE        equ 0x08
SEL_CODE32      equ 0x18
INT_RELEASE     equ PROP_VECTOR_RELEASE
STACK_OWN       equ 8                   ; of the stack's end: the guest's own word
RFLAGS_CLEAN    equ 2

global prop_hold, prop_released, prop_nmi, prop_probe, prop_debug_target
global prop_wait_kernel, prop_wait_halt, prop_wait_poll, prop_wait_user, prop_wait_compat
global prop_exit_kernel, prop_exit_poll, prop_exit_user, prop_exit_compat
global prop_to_kernel, prop_to_user, prop_to_compat, prop_nmi_releases, prop_watched

; Everything but RSP, in the encoding's order.
%macro EACH_GPR 1                       ; macro called with register, number
        %1 rax, 0
        %1 rcx, 1
        %1 rdx, 2
        %1 rbx, 3
        %1 rbp, 5
        %1 rsi, 6
        %1 r8, 8
        %1 r9, 9
        %1 r10, 10
        %1 r11, 11
        %1 r12, 12
        %1 r13, 13
        %1 r14, 14
        %1 r15, 15
%endmacro
%macro LOAD_GPR 2
        mov %1, [rdi + PROP_LOAD + 8 * %2]
%endmacro
%macro KEEP_GPR 2
        mov [rdi + PROP_GOT + 8 * %2], %1
%endmacro
NUMBER_RDI      equ 7
FRAME_WORDS     equ 5

section .fixup_table progbits alloc noexec nowrite align=8

bits 64
section .text
; void prop_hold(struct prop_hold *)
prop_hold:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov [rdi + PROP_STACK], rsp
%assign word FRAME_WORDS
%rep FRAME_WORDS
%assign word word - 1
        push qword [rdi + PROP_LOAD_FRAME + 8 * word]
%endrep
        EACH_GPR LOAD_GPR
        mov rdi, [rdi + PROP_LOAD + 8 * NUMBER_RDI]
        iretq

; The INT's handler: back to prop_hold()'s caller.
prop_released:
        push rdi
        mov rdi, [rsp + 8 + 8 * FRAME_WORDS + STACK_OWN]
        EACH_GPR KEEP_GPR
        pop rax
        mov [rdi + PROP_GOT + 8 * NUMBER_RDI], rax
%assign word 0
%rep FRAME_WORDS
        mov rax, [rsp + 8 * word]
        mov [rdi + PROP_GOT_FRAME + 8 * word], rax
%assign word word + 1
%endrep
        mov rsp, [rdi + PROP_STACK]
        push RFLAGS_CLEAN
        popfq
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret

; An NMI. In the phase that waits for one, a byte on COM1 is its cause and its end; any other has no business here.
prop_nmi:
        push rax
        push rdx
        push rcx
        mov rcx, [rsp + 24 + 8 * FRAME_WORDS + STACK_OWN]
        inc qword [rcx + PROP_NMIS]
        cmp dword [abs prop_nmi_releases], 0
        je .no_cause
        mov edx, COM1 + LSR
        in al, dx
        test al, LSR_DATA
        jz .no_cause
        mov edx, COM1
        in al, dx
        mov qword [abs prop_to_kernel], prop_exit_kernel
        jmp .done
.no_cause:
        inc qword [rcx + PROP_NMIS_WITHOUT_CAUSE]
.done:
        pop rcx
        pop rdx
        pop rax
        iretq

prop_wait_kernel:
        jmp [abs prop_to_kernel]
prop_exit_kernel:
        int INT_RELEASE

prop_wait_halt:
        hlt
        jmp [abs prop_to_kernel]

; DX: the line status register. AL and the arithmetic flags are the price.
prop_wait_poll:
        in al, dx
        test al, LSR_DATA
        jz prop_wait_poll
prop_exit_poll:
        int INT_RELEASE

; An instruction breakpoint is armed on it.
align 16
prop_debug_target:
        nop
        ret

; void prop_probe(struct prop_probe *): what the hidden parts of DS, ES, FS and GS are, as 32-bit code finds them: a load
; at each offset, and whether it faulted. SS has to be usable. No stack is used in 32-bit code.
%macro PROBE 2                          ; segment, number
        mov ecx, [cs:edi + PROBE_OFFSET + 8 * %2]
        xor eax, eax
        xor edx, edx
%%try:
        mov eax, [%1:ecx]
        jmp %%ok
%%faulted:
        inc edx
%%ok:
        mov [ss:edi + PROBE_VALUE + 8 * %2], eax
        mov [ss:edi + PROBE_FAULT + 8 * %2], edx
[section .fixup_table]
        dq %%try, %%faulted
__?SECT?__
%endmacro

prop_probe:
        push rbx
        push rbp
        mov rbp, rsp
        push qword SEL_CODE32
        push qword .narrow
        retfq
bits 32
.narrow:
        PROBE ds, 0
        PROBE ds, 1
        PROBE es, 2
        PROBE es, 3
        PROBE fs, 4
        PROBE fs, 5
        PROBE gs, 6
        PROBE gs, 7
        jmp SEL_CODE:.wide
bits 64
.wide:
        mov rsp, rbp
        pop rbp
        pop rbx
        ret

section .user_text progbits alloc exec nowrite align=16
prop_wait_user:
        jmp [abs prop_to_user]
prop_exit_user:
        int INT_RELEASE

bits 32
prop_wait_compat:
        jmp dword [cs:prop_to_compat - PROP_COMPAT_BASE]
prop_exit_compat:
        int INT_RELEASE
bits 64

section .bss.user nobits alloc noexec write align=16
prop_to_user: resq 1
prop_to_compat: resd 1

section .bss nobits alloc noexec write align=16
prop_to_kernel: resq 1
prop_nmi_releases: resd 1
prop_watched: resd 1

section .note.GNU-stack noalloc noexec nowrite progbits

; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. Entry points for all 256 vectors of the host's IDT: a uniform struct trap_frame (kernel/traps.h), then C.
bits 64
default rel
extern host_trap
global trap_stubs, trap_interrupt_stubs

TRAP_STUB_BYTES equ 16
CALL_BYTES      equ 5           ; TRAP_INTERRUPT_STUB_BYTES
FIFTH_OF_1024   equ 205         ; rounded up: exact for what is divided here
; struct trap_frame (kernel/traps.h asserts them)
FRAME_VECTOR    equ 120
FRAME_RIP       equ 136
FRAME_RFLAGS    equ 152
FRAME_RSP       equ 160
TRAP_RESUMED    equ 0x100       ; in place of the vector

section .text.traps progbits alloc exec nowrite align=16
trap_stubs:
%assign vector 0
%rep 32
    align TRAP_STUB_BYTES, int3
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push 0                      ; no error code from the CPU
%endif
    push vector
    jmp trap_common
%assign vector vector + 1
%endrep

; Interrupts: not among what every way in checks (kernel/digest.c).
section .text.trap_interrupts progbits alloc exec nowrite align=16
trap_interrupt_stubs:
%rep 256 - 32
    call strict near .common
%endrep
; The return address says which one it was, and becomes the error code that the CPU does not push.
.common:
    push rax
    lea rax, [trap_interrupt_stubs + CALL_BYTES]
    neg rax
    add rax, [rsp + 8]
    imul eax, eax, FIFTH_OF_1024
    shr eax, 10
    add eax, 32
    mov qword [rsp + 8], 0
    xchg [rsp], rax
    jmp trap_common

section .text.traps
    align 16, int3
trap_common:
    cld
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call host_trap
    mov rsp, rbp
    test al, al
    jz .registers
    ; Resumed after a fault or an NMI of our own: not by IRETQ, which would end NMI blocking in the middle of a visit or of leaving. Same code
    ; segment, same privilege: flags and address go onto the interrupted stack (no red zone), for POPFQ and RET.
    mov rax, [rsp + FRAME_RSP]
    mov rcx, [rsp + FRAME_RIP]
    mov rdx, [rsp + FRAME_RFLAGS]
    mov [rax - 8], rcx
    mov [rax - 16], rdx
    sub rax, 16
    mov [rsp + FRAME_RSP], rax
    mov dword [rsp + FRAME_VECTOR], TRAP_RESUMED
.registers:
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    cmp dword [rsp], TRAP_RESUMED
    je .resumed
    add rsp, 16
    iretq
.resumed:
    mov rsp, [rsp + FRAME_RSP - FRAME_VECTOR]
    popfq
    ret

; void traps_unblock_nmi(void): an IRETQ to the next instruction, which is what ends NMI blocking.
section .text.traps_unblock_nmi progbits alloc exec nowrite align=16
global traps_unblock_nmi
traps_unblock_nmi:
    mov rax, rsp
    mov ecx, ss
    push rcx
    push rax
    pushfq
    mov ecx, cs
    push rcx
    lea rax, [.out]
    push rax
    iretq
.out:
    ret

; void traps_open_interrupts(void): interrupts on for one instruction, then off again.
section .text.traps_open_interrupts progbits alloc exec nowrite align=16
global traps_open_interrupts
traps_open_interrupts:
    sti
    nop
    nop
    cli
    ret

; void traps_wait_nmi(volatile uint64_t *seen): HLT until an NMI. One that comes between the look and the HLT would be
; slept over: its handler moves RIP from in between to the end.
section .text.traps_wait_nmi progbits alloc exec nowrite align=16
global traps_wait_nmi, wait_critical_begin, wait_critical_end
traps_wait_nmi:
wait_critical_begin:
    cmp qword [rdi], 0
    jne wait_critical_end
    hlt
wait_critical_end:
    ret

section .note.GNU-stack noalloc noexec nowrite progbits

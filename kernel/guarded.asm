; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. A call that an exception handler can end (kernel/guarded.h).
bits 64
section .text progbits alloc exec nowrite align=16
global guarded, guarded_end

; enum err guarded(struct cpu *c, enum err (*fn)(struct cpu *c), uint64_t *stack)
guarded:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdx                    ; and with the return address the stack is as the callee wants it
    mov [rdx], rsp
    call rsi
guarded_end:
    pop rdx
    and qword [rdx], 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .note.GNU-stack noalloc noexec nowrite progbits

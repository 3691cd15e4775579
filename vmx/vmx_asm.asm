; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. The only way into and out of a VMX guest. Decides one thing: whether an NMI came in time to call off the entry.
;
; SDM 3C 27.1 "Basic VM-Entry Checks", 28.5 "Loading Host State". An NMI that hits the host just before VM entry would
; otherwise go unseen until the guest's next exit. From vmx_critical_begin on, the host's NMI handler itself moves the
; interrupted RIP to vmx_critical_abort; an NMI before that was counted in v->host_nmi, which is looked at once inside.
; The range ends behind VMLAUNCH: an NMI that arrives once the instruction has begun is taken as a VM exit.
BITS 64
DEFAULT REL

VCPU_GPR         equ 0
VCPU_HOST_NMI    equ 152
VCPU_CR2         equ 160
FRAME_VCPU       equ 0
FRAME_HOST_RSP   equ 8

RESULT_EXITED    equ 0
RESULT_INVALID   equ 1
RESULT_VALID     equ 2
RESULT_ABORTED   equ 3

%define GPR(n) VCPU_GPR + 8 * (n)

global vmx_enter:function hidden
global vmx_exit_entry:function hidden
global vmx_unblock_nmi:function hidden
global vmx_critical_begin:function hidden
global vmx_critical_end:function hidden
global vmx_critical_abort:function hidden
global vmx_asm_numbers:data hidden

section .text

; uint64_t vmx_enter(struct vcpu *v, uint64_t launched, void *anchor)
align 16
vmx_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdx + FRAME_VCPU], rdi
    mov [rdx + FRAME_HOST_RSP], rsp
    mov rsp, rdx                        ; as after an exit; guest RSP is in the VMCS
    mov rax, [rdi + VCPU_CR2]           ; no VMCS field: SDM 3C 25.4.1 "Guest Register State"
    mov cr2, rax
vmx_critical_begin:
    cmp qword [rdi + VCPU_HOST_NMI], 0
    jne vmx_critical_abort
    test rsi, rsi                       ; MOV leaves the flags alone
    mov rax, [rdi + GPR(0)]
    mov rcx, [rdi + GPR(1)]
    mov rdx, [rdi + GPR(2)]
    mov rbx, [rdi + GPR(3)]
    mov rbp, [rdi + GPR(5)]
    mov rsi, [rdi + GPR(6)]
    mov r8,  [rdi + GPR(8)]
    mov r9,  [rdi + GPR(9)]
    mov r10, [rdi + GPR(10)]
    mov r11, [rdi + GPR(11)]
    mov r12, [rdi + GPR(12)]
    mov r13, [rdi + GPR(13)]
    mov r14, [rdi + GPR(14)]
    mov r15, [rdi + GPR(15)]
    mov rdi, [rdi + GPR(7)]
    jz .launch
    vmresume
    jmp vmx_failed
.launch:
    vmlaunch
vmx_critical_end:
vmx_failed:                             ; SDM 3C 31.2 "Conventions": CF VMfailInvalid, ZF VMfailValid
    mov eax, RESULT_INVALID
    jc vmx_return
    mov eax, RESULT_VALID
vmx_return:
    mov rsp, [rsp + FRAME_HOST_RSP]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

vmx_critical_abort:
    mov eax, RESULT_ABORTED
    jmp vmx_return

align 16
vmx_exit_entry:
    push rax
    mov rax, [rsp + 8 + FRAME_VCPU]
    mov [rax + GPR(1)], rcx
    mov [rax + GPR(2)], rdx
    mov [rax + GPR(3)], rbx
    mov [rax + GPR(5)], rbp
    mov [rax + GPR(6)], rsi
    mov [rax + GPR(7)], rdi
    mov [rax + GPR(8)], r8
    mov [rax + GPR(9)], r9
    mov [rax + GPR(10)], r10
    mov [rax + GPR(11)], r11
    mov [rax + GPR(12)], r12
    mov [rax + GPR(13)], r13
    mov [rax + GPR(14)], r14
    mov [rax + GPR(15)], r15
    pop rcx
    mov [rax + GPR(0)], rcx
    mov rcx, cr2
    mov [rax + VCPU_CR2], rcx
    mov eax, RESULT_EXITED
    jmp vmx_return

; void vmx_unblock_nmi(void)
align 16
vmx_unblock_nmi:
    mov rax, rsp
    mov ecx, ss
    push rcx
    push rax
    pushfq
    mov ecx, cs
    push rcx
    lea rcx, [.done]
    push rcx
    iretq
.done:
    ret

section .rodata
align 8
vmx_asm_numbers:
    dq VCPU_GPR, VCPU_HOST_NMI, VCPU_CR2, FRAME_VCPU, FRAME_HOST_RSP

section .note.GNU-stack noalloc noexec nowrite progbits

; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. The world switch of the AMD backend, and the window in which a pending NMI reaches the host.
; APM vol. 2 15.5 "VMRUN Instruction", 15.6 "#VMEXIT", 15.5.3 "VMSAVE and VMLOAD Instructions". Decides nothing.

bits 64
default rel
section .text

; enum gpr of include/vcpu_state.h, asserted in svm.c; RAX (0) and RSP (4) live in the VMCB.
GPR_RCX equ 1*8
GPR_RDX equ 2*8
GPR_RBX equ 3*8
GPR_RBP equ 5*8
GPR_RSI equ 6*8
GPR_RDI equ 7*8
GPR_R8  equ 8*8
GPR_R9  equ 9*8
GPR_R10 equ 10*8
GPR_R11 equ 11*8
GPR_R12 equ 12*8
GPR_R13 equ 13*8
GPR_R14 equ 14*8
GPR_R15 equ 15*8

FRAME_VMCB equ 0
FRAME_HOST equ 8
FRAME_GPRS equ 16

; void svm_enter(uint64_t vmcb_pa, uint64_t host_vmcb_pa, uint64_t *gpr): one entry, one exit. GIF is 0 afterwards.
global svm_enter:function hidden
svm_enter:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        push rdx
        push rsi
        push rdi
        clgi
        mov rax, rsi
        vmsave                          ; the host's FS, GS, TR, LDTR and system call MSRs
        mov rcx, [rdx + GPR_RCX]
        mov rbx, [rdx + GPR_RBX]
        mov rbp, [rdx + GPR_RBP]
        mov rsi, [rdx + GPR_RSI]
        mov rdi, [rdx + GPR_RDI]
        mov r8,  [rdx + GPR_R8]
        mov r9,  [rdx + GPR_R9]
        mov r10, [rdx + GPR_R10]
        mov r11, [rdx + GPR_R11]
        mov r12, [rdx + GPR_R12]
        mov r13, [rdx + GPR_R13]
        mov r14, [rdx + GPR_R14]
        mov r15, [rdx + GPR_R15]
        mov rdx, [rdx + GPR_RDX]
        mov rax, [rsp + FRAME_VMCB]
        vmload
        vmrun
        ; RAX and RSP are the host's again, all else is the guest's.
        vmsave
        mov rax, [rsp + FRAME_GPRS]
        mov [rax + GPR_RCX], rcx
        mov [rax + GPR_RDX], rdx
        mov [rax + GPR_RBX], rbx
        mov [rax + GPR_RBP], rbp
        mov [rax + GPR_RSI], rsi
        mov [rax + GPR_RDI], rdi
        mov [rax + GPR_R8],  r8
        mov [rax + GPR_R9],  r9
        mov [rax + GPR_R10], r10
        mov [rax + GPR_R11], r11
        mov [rax + GPR_R12], r12
        mov [rax + GPR_R13], r13
        mov [rax + GPR_R14], r14
        mov [rax + GPR_R15], r15
        mov rax, [rsp + FRAME_HOST]
        vmload
        cld
        add rsp, 3*8
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret

; void svm_nmi_window(void): an NMI that is pending is taken here by the host's handler.
global svm_nmi_window:function hidden
svm_nmi_window:
        stgi
        nop
        nop
        clgi
        ret

global svm_stgi:function hidden
svm_stgi:
        stgi
        nop
        ret

global svm_clgi:function hidden
svm_clgi:
        clgi
        ret

section .note.GNU-stack noalloc noexec nowrite progbits

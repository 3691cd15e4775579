; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. Where a CPU starts when the host sends it a start-up IPI at boot: real mode, in a copy of this page below
; 640 KiB. It goes straight to long mode on tables that map the page to itself beside the host's own windows, finds its
; index by its APIC id, and continues in C on the stack of its window. kernel/startup.c copies and fills in the page.
; SDM 3A 8.4.4 "MP Initialization Example", 9.8.5 "Initializing IA-32e Mode".

%include "offsets.inc"

CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xc0000080
EFER_LME_NXE    equ (1 << 8) | (1 << 11)
CR0_LONG        equ 0x80010033  ; PG, WP, NE, ET, MP, PE
CODE64          equ 0x08
DATA            equ 0x10
CPUID_FEATURES  equ 1
APIC_ID_SHIFT   equ 24
MAIN_STACK_TOP  equ 0x10000 - 8 ; kernel/cpus.h; as a CALL would leave it
DESCRIPTOR_CODE64 equ 0x00af9b000000ffff
DESCRIPTOR_DATA   equ 0x00cf93000000ffff

section .rodata.trampoline progbits alloc noexec nowrite align=16
global trampoline_start, trampoline_end, trampoline_page, trampoline_cr3, trampoline_entry

bits 16
trampoline_start:
    cli
    cld
    mov ax, cs
    mov ds, ax
    mov ebx, [trampoline_page - trampoline_start]
    lea eax, [ebx + gdt - trampoline_start]
    mov [gdtr.base - trampoline_start], eax
    lea eax, [ebx + long_mode - trampoline_start]
    mov [to_long_mode - trampoline_start], eax
    o32 lgdt [gdtr - trampoline_start]
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, [trampoline_cr3 - trampoline_start]
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME_NXE
    wrmsr
    mov eax, CR0_LONG
    mov cr0, eax
    jmp dword far [to_long_mode - trampoline_start]

bits 64
long_mode:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    jmp [rel trampoline_entry]

align 8
gdt:
    dq 0, DESCRIPTOR_CODE64, DESCRIPTOR_DATA
gdtr:
    dw 23
.base:
    dd 0
align 8
to_long_mode:
    dd 0
    dw CODE64
align 8
; Filled in before use.
trampoline_page:  dd 0, 0
trampoline_cr3:   dd 0, 0
trampoline_entry: dq 0
trampoline_end:

; trampoline_arrive: in the image, on the start-up tables. To the CPU's window and the host's own tables.
section .text.trampoline_arrive progbits alloc exec nowrite align=16
bits 64
default rel
global trampoline_arrive
extern gateway, startup_cpu_main
trampoline_arrive:
    mov eax, CPUID_FEATURES
    cpuid
    shr ebx, APIC_ID_SHIFT
    lea rax, [gateway + GW_INDEX]
    movzx ebx, byte [rax + rbx]
    cmp ebx, GW_NO_CPU
    je .stop                    ; not in the firmware's list, yet it heard us
    mov rax, [gateway + GW_HOST_CR3]
    mov cr3, rax
    imul rbx, rbx, CPU_WINDOW
    mov eax, CPUS_BASE_HIGH
    shl rax, 32
    mov ecx, CPUS_BASE_LOW
    or rax, rcx
    lea rsp, [rax + rbx + MAIN_STACK_TOP]
    xor ebp, ebp
    jmp startup_cpu_main
.stop:
    cli
    hlt
    jmp .stop

section .note.GNU-stack noalloc noexec nowrite progbits

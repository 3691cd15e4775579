; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. void boot_native_start(const struct native_entry *entry): from the host's long mode to the guest's 32-bit entry
; on the bare CPU, for good. Runs in .boot, at its physical address, where paging can be switched off.
; SDM 3A 9.8.5.4 "Switching Out of IA-32e Mode Operation".

CR0_PG          equ 1 << 31
CR0_WP          equ 1 << 16
MSR_EFER        equ 0xc0000080
CS32            equ 0x18
DS32            equ 0x10

section .boot.text
global boot_native_start

bits 64
; rdi: struct native_entry at a physical address below 4 GiB, reached through the identity map of boot_pml4
boot_native_start:
    cli
    lgdt [abs native_gdtr]
    push CS32
    mov eax, .compat
    push rax
    retfq

bits 32
.compat:
    mov eax, DS32
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov eax, cr0
    and eax, ~(CR0_PG | CR0_WP)
    mov cr0, eax
    mov ecx, MSR_EFER
    xor eax, eax
    xor edx, edx
    wrmsr
    xor eax, eax
    mov cr4, eax
    mov ebp, edi
    lgdt [ebp + 16]
    mov ax, [ebp + 24]
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov esi, [ebp + 12]
    mov ebx, [ebp + 8]
    mov eax, [ebp + 4]
    xor ecx, ecx
    xor edx, edx
    mov edi, [ebp]
    mov [ebp + 28], edi
    mov di, [ebp + 26]
    mov [ebp + 32], di
    xor edi, edi
    jmp far [ebp + 28]

align 8
native_gdt:
    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
native_gdtr:
    dw 31
    dq native_gdt

section .note.GNU-stack noalloc noexec nowrite progbits

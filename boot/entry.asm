; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. The Multiboot2 header and the way from GRUB's 32-bit world into long mode (Multiboot2 specification 3.1 "OS
; image format", 3.3 "I386 machine state"). Runs once, at its physical address, and builds just enough page tables:
; the image at HOST_BASE where it was linked, and the first 4 GiB at PHYSMAP_BASE. kernel/paging.c replaces them.

HOST_PML4_SLOT      equ 165
PHYSMAP_PML4_SLOT   equ 166
BOOT_PHYS           equ 0x200000

MB2_HEADER_MAGIC    equ 0xe85250d6
MB2_LOADER_MAGIC    equ 0x36d76289
MB2_TAG_END         equ 0
MB2_TAG_ENTRY       equ 3
MB2_TAG_CONSOLE     equ 4

CR0_PE_NE_WP_PG     equ 0x80010033
CR4_PAE             equ 1 << 5
MSR_EFER            equ 0xc0000080
EFER_LME_NXE        equ (1 << 8) | (1 << 11)
CPUID_EXT_NX        equ 1 << 20
CPUID_EXT_LM        equ 1 << 29
PTE_P_W             equ 3
PTE_P_W_LARGE       equ 0x83

bits 32
section .boot.header progbits alloc exec nowrite align=8
header:
    dd MB2_HEADER_MAGIC, 0, header_end - header
    dd -(MB2_HEADER_MAGIC + 0 + (header_end - header))
    dw MB2_TAG_ENTRY, 0
    dd 12, boot_entry
    align 8, db 0
    dw MB2_TAG_CONSOLE, 0
    dd 12, 2                    ; EGA text is supported, no console is required
    align 8, db 0
    dw MB2_TAG_END, 0
    dd 8
header_end:

section .boot.text progbits alloc exec nowrite align=16
global boot_entry
extern main_early, boot_stack_top

boot_entry:
    cli
    cld
    mov esp, boot_stack32_end
    mov [boot_magic], eax
    mov [boot_info], ebx
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb .no_long_mode
    mov eax, 0x80000001
    cpuid
    and edx, CPUID_EXT_LM | CPUID_EXT_NX
    cmp edx, CPUID_EXT_LM | CPUID_EXT_NX
    jne .no_long_mode

    ; 4 GiB of 2 MiB pages for the physical map
    mov edi, boot_pds
    mov eax, PTE_P_W_LARGE
    mov ecx, 2048
.large:
    mov [edi], eax
    mov dword [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    loop .large
    mov edi, boot_pdpt_phys
    mov eax, boot_pds + PTE_P_W
    mov ecx, 4
.pdpt:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .pdpt
    ; the image: HOST_BASE + 2 MiB * i -> BOOT_PHYS + 2 MiB * i
    mov edi, boot_pd_host
    mov eax, BOOT_PHYS + PTE_P_W_LARGE
    mov ecx, 4
.host:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    loop .host
    mov dword [boot_pdpt_host], boot_pd_host + PTE_P_W
    mov dword [boot_pml4 + 8 * HOST_PML4_SLOT], boot_pdpt_host + PTE_P_W
    mov dword [boot_pml4 + 8 * PHYSMAP_PML4_SLOT], boot_pdpt_phys + PTE_P_W
    mov dword [boot_pml4], boot_pdpt_phys + PTE_P_W ; this code goes on at its physical address

    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, boot_pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME_NXE
    wrmsr
    mov eax, CR0_PE_NE_WP_PG
    mov cr0, eax
    lgdt [boot_gdtr]
    jmp 0x08:.long

bits 64
.long:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov edi, [abs boot_magic]
    mov esi, [abs boot_info]
    mov rax, boot_stack_top
    mov rsp, rax
    xor ebp, ebp
    mov rax, main_early
    call rax
    ud2

bits 32
.no_long_mode:
    ; No 64-bit mode: nothing of ours can run, nor can a 64-bit guest. Say so where people look: the text screen
    ; and the usual serial ports.
    mov esi, text_no_long_mode
    mov edi, 0xb8000
.char:
    lodsb
    test al, al
    jz .stop
    mov ah, 0x4f
    stosw
    mov edx, 0x3f8
    call .serial
    mov edx, 0x2f8
    call .serial
    jmp .char
.serial:
    mov ah, al
    add edx, 5
    mov ecx, 100000
.wait:
    in al, dx
    test al, 0x20
    loopz .wait
    sub edx, 5
    mov al, ah
    out dx, al
    ret
.stop:
    hlt
    jmp .stop

text_no_long_mode:
    db "sojourn: E_NOCPU: this CPU has no 64-bit mode (or no NX). Reboot and choose a boot entry without Sojourn.", 13, 10, 0

align 8
boot_gdt:
    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    dw 23
    dd boot_gdt

section .boot.bss nobits alloc noexec write align=4096
global boot_pml4, boot_native_entry
boot_pml4:      resb 4096
boot_pdpt_phys: resb 4096
boot_pdpt_host: resb 4096
boot_pd_host:   resb 4096
boot_pds:       resb 4 * 4096
boot_native_entry: resb 64
boot_stack32:   resb 256
boot_stack32_end:
global boot_native_stack
boot_native_stack:
boot_magic:     resd 1
boot_info:      resd 1

section .note.GNU-stack noalloc noexec nowrite progbits

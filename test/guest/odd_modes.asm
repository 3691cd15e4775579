; SPDX-License-Identifier: GPL-2.0-or-later
; The odd guest's excursions out of long mode: odd_run(kind) goes into a mode that Sojourn cannot leave, stays there until
; the byte 's' comes in on COM1, and returns in long mode with everything as it was. SDM 3A 9.8.5.4 "Switching Out of
; IA-32e Mode Operation", 9.9.2 "Switching Back to Real-Address Mode".

KIND_NO_PAGING  equ 0
KIND_PAE        equ 1
KIND_LEGACY     equ 2
KIND_PROTECTED16 equ 3
KIND_REAL       equ 4
KIND_BIOS       equ 5

COM1            equ 0x3f8
LSR             equ 5
LSR_DATA        equ 1
GO_BACK         equ 's'
CR0_PE          equ 1
CR0_PG          equ 1 << 31
CR4_PSE         equ 1 << 4
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xc0000080
EFER_LME        equ 1 << 8
BIOS_DISK       equ 0x13
READ_ONE_SECTOR equ 0x0201
FIRST_SECTOR    equ 1
FIRST_DISK      equ 0x80
LOW             equ 0x8000              ; a page below 1 MiB, for 16-bit code
LOW_STACK       equ LOW + 0xff0
LOW_SECTOR      equ LOW + 0x1000
SEL_CODE        equ 0x08                ; as in the kit's tables
SEL_DATA        equ 0x10
SEL_CODE32      equ 0x18
SEL_CODE16      equ 0x20
SEL_DATA16      equ 0x28
PAGES_2M        equ 2048
PAGES_4M        equ 1024
PAGE_PRESENT    equ 1
PAGE_RW_LARGE   equ 0xe3

global odd_run, odd_low, odd_low_end, odd_polls

%macro DATA_SEGMENTS 1
        mov eax, %1
        mov ds, eax
        mov es, eax
        mov ss, eax
%endmacro

%macro CR0_SET 1
        mov eax, cr0
        or eax, %1
        mov cr0, eax
%endmacro

%macro CR0_CLEAR 1
        mov eax, cr0
        and eax, ~(%1)
        mov cr0, eax
%endmacro

%macro POLL 0                           ; endless: until the byte has come
%%again:
        inc dword [odd_polls]
        mov dx, COM1 + LSR
        in al, dx
        test al, LSR_DATA
        jz %%again
        mov dx, COM1
        in al, dx
        cmp al, GO_BACK
        jne %%again
%endmacro

bits 64
section .text
odd_run:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        pushfq
        cli
        sgdt [old_gdt]
        sidt [old_idt]
        mov rax, cr3
        mov [old_cr3], rax
        mov [old_rsp], rsp
        mov ebx, edi
        lgdt [odd_gdt_pointer]
        push SEL_CODE32
        push out_of_long
        retfq

bits 32
out_of_long:
        DATA_SEGMENTS SEL_DATA
        mov esp, LOW_STACK
        CR0_CLEAR CR0_PG
        cmp ebx, KIND_NO_PAGING
        je .poll
        mov ecx, MSR_EFER
        rdmsr
        and eax, ~EFER_LME
        wrmsr
        cmp ebx, KIND_PAE
        je .pae
        cmp ebx, KIND_LEGACY
        je .legacy
        cmp ebx, KIND_PROTECTED16
        je .protected16
        jmp SEL_CODE16:dword odd_real - odd_low
.protected16:
        jmp SEL_CODE16:dword odd_protected16 - odd_low
.pae:
        mov eax, pae_pdpt
        jmp .paged
.legacy:
        mov eax, cr4
        and eax, ~CR4_PAE
        or eax, CR4_PSE
        mov cr4, eax
        mov eax, legacy_pd
.paged:
        mov cr3, eax
        CR0_SET CR0_PG
.poll:
        POLL
back:
        DATA_SEGMENTS SEL_DATA
        CR0_CLEAR CR0_PG
        mov eax, cr4
        and eax, ~CR4_PSE
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, [old_cr3]
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        CR0_SET CR0_PG
        jmp SEL_CODE:into_long

bits 64
into_long:
        mov rsp, [old_rsp]
        lgdt [old_gdt]
        lidt [old_idt]
        push SEL_CODE
        push .own_tables
        retfq
.own_tables:
        DATA_SEGMENTS SEL_DATA
        xor eax, eax
        mov fs, eax
        mov gs, eax
        popfq
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret

; Copied to LOW, where CS:IP is SEL_CODE16 or LOW >> 4, and an offset from here.
bits 16
odd_low:
odd_protected16:
        DATA_SEGMENTS SEL_DATA16
        call poll_low
        jmp dword SEL_CODE32:back
odd_real:
        DATA_SEGMENTS SEL_DATA16
        lidt [LOW + real_idt - odd_low]
        CR0_CLEAR CR0_PE
        jmp LOW >> 4:.real - odd_low
.real:
        DATA_SEGMENTS 0
        cmp ebx, KIND_BIOS
        jne .wait
.read:                                  ; SeaBIOS does that in 32-bit mode, where it gets by SMM
        mov ax, READ_ONE_SECTOR
        mov bx, LOW_SECTOR
        mov cx, FIRST_SECTOR
        mov dx, FIRST_DISK
        int BIOS_DISK
        cli
        mov dx, COM1 + LSR
        in al, dx
        test al, LSR_DATA
        jz .read
.wait:
        call poll_low
        CR0_SET CR0_PE
        jmp dword SEL_CODE32:back
poll_low:
.again:
        mov dx, COM1 + LSR
        in al, dx
        test al, LSR_DATA
        jz .again
        mov dx, COM1
        in al, dx
        cmp al, GO_BACK
        jne .again
        ret
real_idt:
        dw 0x3ff
        dd 0
odd_low_end:

section .data
align 16
odd_gdt:
        dq 0
        dq 0x00af9b000000ffff           ; 64-bit code
        dq 0x00cf93000000ffff           ; data
        dq 0x00cf9b000000ffff           ; 32-bit code
        dq 0x00009b000000ffff | LOW << 16 ; 16-bit code at LOW
        dq 0x000093000000ffff           ; 16-bit data
odd_gdt_end:
odd_gdt_pointer:
        dw odd_gdt_end - odd_gdt - 1
        dq odd_gdt
align 8
old_gdt: dw 0
         dq 0
align 8
old_idt: dw 0
         dq 0
align 8
old_cr3: dq 0
old_rsp: dq 0
odd_polls: dq 0

; Identity maps of 4 GiB in the two 32-bit formats (SDM 3A 4.3 "32-Bit Paging", 4.4 "PAE Paging").
section .tables progbits alloc noexec write align=4096
pae_pd:
%assign number 0
%rep PAGES_2M
        dq number * 0x200000 + PAGE_RW_LARGE
%assign number number + 1
%endrep
legacy_pd:
%assign number 0
%rep PAGES_4M
        dd number * 0x400000 + PAGE_RW_LARGE
%assign number number + 1
%endrep
pae_pdpt:
%assign number 0
%rep 4
        dq pae_pd + number * 4096 + PAGE_PRESENT
%assign number number + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits

; SPDX-License-Identifier: GPL-2.0-or-later
; The way up of the kit's guests: Multiboot 1 header, 32-bit entry, the other CPUs' way up from real mode, and the
; interrupt entries. After it a CPU is in long mode on its own stack in kit_main() or kit_other_main().
%include "kit_offsets.inc"

MB_MAGIC        equ 0x1badb002
MB_FLAGS        equ 3                   ; modules page-aligned, memory information
CR0_PE          equ 1
CR0_PG          equ 1 << 31
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xc0000080
EFER_LME        equ 1 << 8
SEL_CODE        equ 0x08                ; as in every CPU's own table later
SEL_DATA        equ 0x10
SEL_CODE32      equ 0x18
COM1            equ 0x3f8
LSR             equ 5
LSR_THRE        equ 0x20
DEBUG_PORT      equ 0xe9
THRE_TRIES      equ 10000000
VECTORS         equ 64
BOOT_STACK      equ 16384

extern kit_main, kit_other_main, kit_interrupt, kit_pml4
global start, kit_other_start, kit_other_start_end, kit_others_awake, kit_entries
global kit_rdmsr_safe, kit_boot_stack_top

section .multiboot align=4
        dd MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

bits 32
section .text
start:
        cld
        mov esp, kit_boot_stack_top
        push ebx
        push eax
        mov esi, hello                  ; before anything can go wrong: a sign of life
.next:
        lodsb
        test al, al
        jz .up
        mov ah, al
        mov ecx, THRE_TRIES             ; wait for the UART, but not for ever
        mov dx, COM1 + LSR
.busy:
        in al, dx
        test al, LSR_THRE
        loopz .busy
        mov al, ah
        mov dx, COM1
        out dx, al
        out DEBUG_PORT, al
        jmp .next
.up:
        pop edi                         ; magic
        pop esi                         ; information
        xor ebp, ebp                    ; CPU 0
        mov ebx, kit_boot_stack_top

; EBP: CPU number, EBX: stack; EDI, ESI: kept.
to_long_mode:
        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, kit_pml4
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax
        lgdt [boot_gdt_pointer]
        jmp SEL_CODE:long_mode

; Another CPU, in 32-bit mode, flat.
other_protected:
        mov eax, SEL_DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov ebp, 1
        lock xadd [kit_others_awake], ebp
        inc ebp                         ; the numbers after 0, in the order of coming up
        cmp ebp, KIT_CPUS_MAX
        jae .too_many
        mov ebx, ebp
        imul ebx, ebx, KIT_CPU_BYTES
        add ebx, kit_cpus + KIT_CPU_MAIN_STACK_END
        jmp to_long_mode
.too_many:
        cli
        hlt
        jmp .too_many

; Copied to a page below 640 KiB, where it begins in real mode with CS:IP = page:0.
bits 16
kit_other_start:
        cli
        mov ax, cs
        mov ds, ax
        o32 lgdt [boot_gdt_pointer_copy - kit_other_start]
        mov eax, cr0
        or al, CR0_PE
        mov cr0, eax
        jmp dword SEL_CODE32:other_protected
        align 4, db 0x90
boot_gdt_pointer_copy:
        dw boot_gdt_end - boot_gdt - 1
        dd boot_gdt
kit_other_start_end:

bits 64
long_mode:
        mov eax, SEL_DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        lldt ax
        mov esp, ebx
        mov edi, edi                    ; upper halves are undefined after the mode switch
        mov esi, esi
        test ebp, ebp
        jnz .other
        call kit_main
        jmp stop
.other:
        mov edi, ebp
        call kit_other_main
stop:
        cli
        hlt
        jmp stop

; ---- interrupts -------------------------------------------------------------------------------------------------
; Each entry is 16 bytes, so that their addresses can be computed.
align 16
kit_entries:
%assign vector 0
%rep VECTORS
        align 16
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21 || vector = 29 || vector = 30
%else
        push qword 0
%endif
        push qword vector
        jmp interrupt
%assign vector vector + 1
%endrep
        align 16

; Builds struct kit_frame. Every handler has a stack of its own, with the CPU's structure above the CPU's frame.
interrupt:
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
        cld
        mov rdi, rsp
        call kit_interrupt
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
        add rsp, 16
        iretq

section .rodata
hello:  db "kit: 32-bit entry", 13, 10, 0

section .data
align 16
boot_gdt:
        dq 0
        dq 0x00af9b000000ffff           ; 64-bit code
        dq 0x00cf93000000ffff           ; data
        dq 0x00cf9b000000ffff           ; 32-bit code
boot_gdt_end:
boot_gdt_pointer:
        dw boot_gdt_end - boot_gdt - 1
        dd boot_gdt
        dd 0

section .bss nobits alloc noexec write align=16
        resb BOOT_STACK
kit_boot_stack_top:
kit_others_awake: resd 1
extern kit_cpus

section .note.GNU-stack noalloc noexec nowrite progbits

; SPDX-License-Identifier: GPL-2.0-or-later
; The tiny test guest's way up: Multiboot 1 header, 32-bit entry, page tables, long mode, interrupt entries. The guest
; owns everything it uses: identity map of the first 4 GiB in 2 MiB pages, and its IDT alone in a page-table page of
; its own high up, as Linux has it.

MB_MAGIC        equ 0x1badb002
MB_FLAGS        equ 3                   ; modules page-aligned, memory information
IDT_PML4_SLOT   equ 510
IDT_ADDRESS     equ 0xffffff0000000000  ; what slot 510 translates
PTE_P_RW        equ 3
PTE_P_RW_PS     equ 0x83
CR0_PG          equ 1 << 31
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xc0000080
EFER_LME        equ 1 << 8
SEL_CODE        equ 0x08
SEL_DATA        equ 0x10
SEL_TSS         equ 0x18
COM1            equ 0x3f8
LSR             equ 5
LSR_THRE        equ 0x20

extern guest_main, guest_exception, guest_timer

section .multiboot align=4
        dd MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

bits 32
section .text
global start
start:
        cld
        mov esp, stack_top
        mov [boot_magic], eax
        mov [boot_info], ebx
        mov esi, hello                  ; before anything can go wrong: a sign of life
.next:
        lodsb
        test al, al
        jz .tables
        mov ah, al
        mov ecx, 100000                 ; wait for the UART, but not for ever
        mov dx, COM1 + LSR
.busy:
        in al, dx
        test al, LSR_THRE
        loopz .busy
        mov al, ah
        mov dx, COM1
        out dx, al
        out 0xe9, al
        jmp .next
.tables:
        mov dword [pml4], pdpt + PTE_P_RW
        mov dword [pml4 + 8 * IDT_PML4_SLOT], idt_pdpt + PTE_P_RW
        mov dword [idt_pdpt], idt_pd + PTE_P_RW
        mov dword [idt_pd], idt_pt + PTE_P_RW
        mov dword [idt_pt], idt + PTE_P_RW
        mov ecx, 4
        mov eax, pd + PTE_P_RW
        mov edi, pdpt
.pdpt:
        mov [edi], eax
        add eax, 4096
        add edi, 8
        loop .pdpt
        mov ecx, 4 * 512
        mov eax, PTE_P_RW_PS
        mov edi, pd
.pd:
        mov [edi], eax
        add eax, 0x200000
        add edi, 8
        loop .pd
        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, pml4
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax
        lgdt [gdt_pointer]
        jmp SEL_CODE:long_mode

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
        mov rsp, stack_top
        mov rax, tss                    ; TSS descriptor: the base is known only here
        mov [gdt.tss + 2], ax
        shr rax, 16
        mov [gdt.tss + 4], al
        mov [gdt.tss + 7], ah
        mov qword [tss + 4], stack_top
        mov qword [tss + 36], nmi_stack_top     ; IST1
        mov word [tss + 102], 104               ; no I/O bitmap
        mov eax, SEL_TSS
        ltr ax
        call build_idt
        mov rax, IDT_ADDRESS
        mov [idt_pointer + 2], rax
        lidt [idt_pointer]
        mov edi, [boot_magic]
        mov esi, [boot_info]
        call guest_main
.stop:
        cli
        hlt
        jmp .stop

; 48 gates: exceptions, then the two PICs. NMI on its own stack.
build_idt:
        xor ecx, ecx
.gate:
        mov rax, entries
        mov edx, ecx
        shl edx, 4                      ; 16 bytes an entry
        add rax, rdx
        mov rdi, idt
        add rdi, rdx
        mov [rdi], ax
        mov word [rdi + 2], SEL_CODE
        mov word [rdi + 4], 0x8e00      ; interrupt gate
        shr rax, 16
        mov [rdi + 6], eax              ; bits 31:16; the guest lies below 4 GiB, so the rest is 0
        and dword [rdi + 6], 0xffff
        inc ecx
        cmp ecx, 48
        jne .gate
        mov byte [idt + 2 * 16 + 4], 1  ; IST1
        ret

align 16
entries:
%assign vector 0
%rep 48
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

interrupt:
        cmp qword [rsp], 2
        je nmi
        push rax
        push rcx
        push rdx
        push rsi
        push rdi
        push r8
        push r9
        push r10
        push r11
        mov rdi, [rsp + 9 * 8]          ; vector
        cmp edi, 32
        jae .irq
        mov rsi, [rsp + 10 * 8]         ; error code
        mov rdx, [rsp + 11 * 8]         ; RIP
        mov rcx, cr2
        call guest_exception
.irq:
        call guest_timer
        pop r11
        pop r10
        pop r9
        pop r8
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rax
        add rsp, 16
        iretq

; Counts, and nothing else: whatever it interrupted must not notice.
nmi:
        lock inc qword [guest_nmi_count]
        add rsp, 16
        iretq

section .rodata
hello:  db "tiny: 32-bit entry", 13, 10, 0

section .data
align 16
gdt:    dq 0
        dq 0x00af9b000000ffff           ; 64-bit code
        dq 0x00cf93000000ffff           ; data
.tss:   dq 0x0000890000000067, 0        ; 64-bit TSS, 104 bytes
gdt_end:
gdt_pointer:
        dw gdt_end - gdt - 1
        dd gdt
        dd 0
idt_pointer:
        dw 48 * 16 - 1
        dq 0

section .bss nobits alloc noexec write align=4096
pml4:   resb 4096
pdpt:   resb 4096
pd:     resb 4 * 4096
idt_pdpt: resb 4096
idt_pd: resb 4096
idt_pt: resb 4096
idt:    resb 4096
stack:  resb 16384
stack_top:
nmi_stack: resb 8192
nmi_stack_top:
tss:    resb 128
boot_magic: resd 1
boot_info: resd 1
global guest_nmi_count
guest_nmi_count: resq 1

section .note.GNU-stack noalloc noexec nowrite progbits

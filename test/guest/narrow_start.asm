; SPDX-License-Identifier: GPL-2.0-or-later
; The 32-bit guest's way up, on all CPUs, its interrupt entries, and the holding of registers. Never in long mode.

MB_MAGIC        equ 0x1badb002
MB_FLAGS        equ 3
CR0_PE          equ 1
SEL_CODE        equ 0x08
SEL_DATA        equ 0x10
VECTORS         equ 49
VECTOR_RELEASE  equ 48
CPUS_MAX        equ 8
STACK_BYTES     equ 8192
RING            equ 3
EFLAGS_VM       equ 1 << 17
; struct hold
H_SAVED         equ 0
H_GPR           equ 4                   ; EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI
H_EIP           equ 36
H_CS            equ 40
H_EFLAGS        equ 44
H_ESP           equ 48
H_SS            equ 52
H_DS            equ 56
H_ES            equ 60
H_FS            equ 64
H_GS            equ 68
H_FX            equ 80

global start, narrow_ap_start, narrow_ap_start_end, narrow_entries, narrow_hold, narrow_back
global narrow_v86, narrow_v86_exit, narrow_v86_target
global narrow_spin, narrow_halt, narrow_release, narrow_target, narrow_awake
extern narrow_main, narrow_other, narrow_interrupt

section .multiboot align=4
        dd MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

bits 32
section .text
start:
        cld
        mov esp, stacks + STACK_BYTES
        lgdt [boot_gdt_pointer]
        jmp SEL_CODE:.flat
.flat:
        mov ecx, SEL_DATA
        mov ds, ecx
        mov es, ecx
        mov ss, ecx
        xor ecx, ecx
        mov fs, ecx
        mov gs, ecx
        push ebx
        push eax
        call narrow_main
stop:
        cli
        hlt
        jmp stop

other:
        mov eax, SEL_DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov eax, 1
        lock xadd [narrow_awake], eax
        cmp eax, CPUS_MAX
        jae stop
        mov esp, eax
        inc esp
        imul esp, esp, STACK_BYTES
        add esp, stacks
        push eax
        call narrow_other
        jmp stop

; Copied to a page below 640 KiB.
bits 16
narrow_ap_start:
        cli
        mov ax, cs
        mov ds, ax
        o32 lgdt [.pointer - narrow_ap_start]
        mov eax, cr0
        or al, CR0_PE
        mov cr0, eax
        jmp dword SEL_CODE:other
; Virtual-8086 mode, with CS at the page's beginning.
narrow_v86:
        jmp [cs:narrow_v86_target - narrow_ap_start]
narrow_v86_exit:
        int VECTOR_RELEASE
        align 4, db 0x90
narrow_v86_target:
        dw 0
        align 4, db 0x90
narrow_ap_start.pointer:
        dw boot_gdt_end - boot_gdt - 1
        dd boot_gdt
narrow_ap_start_end:

bits 32
align 16
narrow_entries:
%assign vector 0
%rep VECTORS
        align 16
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21 || vector = 29 || vector = 30
%else
        push dword 0
%endif
        push dword vector
        jmp interrupt
%assign vector vector + 1
%endrep
        align 16

; struct frame
interrupt:
        pushad
        push ds
        push es
        push fs
        push gs
        ; What the hidden parts lead to, before anything is loaded.
        mov ecx, 3
.probe:
        xor edx, edx
        cmp dword [ss:esp + 48], VECTOR_RELEASE
        jne .probed
        mov ax, ds
        test ax, ~RING
        jz .ds_null
        mov edx, [ds:0]
.ds_null:
        push edx
        xor edx, edx
        mov ax, es
        test ax, ~RING
        jz .es_null
        mov edx, [es:0]
.es_null:
        push edx
        xor edx, edx
        mov ax, fs
        test ax, ~RING
        jz .fs_null
        mov edx, [fs:0]
.fs_null:
        push edx
        xor edx, edx
        mov ax, gs
        test ax, ~RING
        jz .gs_null
        mov edx, [gs:0]
.gs_null:
        push edx
        jmp .kernel
.probed:
        sub esp, 16
.kernel:
        cld
        mov eax, SEL_DATA
        mov ds, eax
        mov es, eax
        push esp
        call narrow_interrupt
        add esp, 20
        pop gs
        pop fs
        pop es
        pop ds
        popad
        add esp, 8
        iretd

; void narrow_hold(struct hold *): returns when a release has called narrow_back().
narrow_hold:
        pushad
        mov ebx, [esp + 36]
        mov [ebx + H_SAVED], esp
        fxrstor [ebx + H_FX]
        test dword [ebx + H_EFLAGS], EFLAGS_VM
        jz .not_v86
        push dword [ebx + H_GS]
        push dword [ebx + H_FS]
        push dword [ebx + H_DS]
        push dword [ebx + H_ES]
        jmp .to_ring3
.not_v86:
        test dword [ebx + H_CS], RING
        jz .same_ring
.to_ring3:
        push dword [ebx + H_SS]
        push dword [ebx + H_ESP]
.same_ring:
        push dword [ebx + H_EFLAGS]
        push dword [ebx + H_CS]
        push dword [ebx + H_EIP]
%assign n 0
%rep 8
        push dword [ebx + H_GPR + 4 * n]
%assign n n + 1
%endrep
        test dword [ebx + H_EFLAGS], EFLAGS_VM
        jnz .go                         ; IRET loads them
        mov es, [ebx + H_ES]
        mov fs, [ebx + H_FS]
        mov gs, [ebx + H_GS]
        mov ds, [ebx + H_DS]
.go:
        popad
        iretd

; void narrow_back(struct hold *): from an interrupt handler of the one that holds.
narrow_back:
        mov eax, [esp + 4]
        mov esp, [eax + H_SAVED]
        popad
        ret

; What runs while registers are held.
narrow_spin:
        jmp [cs:narrow_target]
narrow_halt:
        hlt
        jmp [cs:narrow_target + 4]
narrow_release:
        int VECTOR_RELEASE

section .data
align 16
boot_gdt:
        dq 0
        dq 0x00cf9b000000ffff           ; code
        dq 0x00cf93000000ffff           ; data
boot_gdt_end:
boot_gdt_pointer:
        dw boot_gdt_end - boot_gdt - 1
        dd boot_gdt

section .bss nobits alloc noexec write align=16
stacks: resb CPUS_MAX * STACK_BYTES
narrow_target: resd 2
narrow_awake:  resd 1

section .note.GNU-stack noalloc noexec nowrite progbits

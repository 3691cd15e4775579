; SPDX-License-Identifier: GPL-2.0-or-later
; Shell. The door for a guest in 32-bit paged mode: a page that is copied from here, patched, and put beside its IDT.
;
;   guest, 32-bit paging          bridge tables (its format)     transit tables (4 levels)        host
;   --- NMI ---> bridge_nmi
;                registers into
;                the CPU's block ---> same address
;                                     then VA = PA, paging off ---> VA = PA, IA-32e, 64-bit ------> gateway_switched
;   handler or                        paging on, VA = PA
;   instruction <-- same address <--- then the guest's address <--- 32-bit, paging off <----------- bridge_out
;
; EFER.LME changes only while paging is off, and paging can be switched only by code whose linear address is its physical
; one: SDM 3A 9.8.5 "Initializing IA-32e Mode", 9.8.5.4 "Switching Out of IA-32e Mode Operation", 9.9.1 "Switching to
; Protected Mode". DS, ES, FS and GS stay in their registers all the way, hidden parts included; a store goes through SS,
; which an NMI finds flat: the host has checked the kernel's, and where it is not, the NMI is the guest's (a cause of
; ours waits for the next one). Nothing is pushed. NMIs stay blocked until the last IRET.
;
; No address in 32-bit code is relative to EIP: PATCH notes the place of a number to which kernel/bridge.c adds a base.

%include "offsets.inc"

MSR_EFER        equ 0xc0000080
EFER_LME        equ 1 << 8
EFER_NXE        equ 1 << 11
CR0_PG          equ 1 << 31
CR4_PSE         equ 1 << 4
CR4_PAE         equ 1 << 5
CPUID_FEATURES  equ 1           ; EBX 31:24: initial APIC id
APIC_ID_SHIFT   equ 24
RPL             equ 3
PAGE            equ 4096
SEL_CODE64      equ 0x08
SEL_CODE32      equ 0x10
SEL_DATA        equ 0x18
NMI_GUESTS      equ 2           ; enum bridge_nmi

; What is added: the page's address in the guest, its physical one, the bridge tables' root, the transit tables' root.
PATCH_VA        equ 0
PATCH_PA        equ 1
PATCH_BRIDGE    equ 2
PATCH_TRANSIT   equ 3
KIND_SHIFT      equ 12

; kind, bytes of the instruction behind the number
%macro PATCH 1-2 0
%%end:
[section .rodata.bridge_patches]
        dw (%%end - bridge_page - 4 - %2) | %1 << KIND_SHIFT
__?SECT?__
%endmacro

%define DATA(member) PAGE + member
%define SCRATCH(n) ebp + GW_SCRATCH + 4 * (n)
%define GPR(n) ebp + GC_GPR + 8 * (n)

extern gateway, gateway_switched
global bridge_page, bridge_page_end, bridge_nmi, bridge_leave, bridge_patches, bridge_patches_end

section .rodata.bridge_patches progbits alloc noexec nowrite align=2
bridge_patches:

section .rodata.bridge progbits alloc noexec nowrite align=16
bits 32
bridge_page:
bridge_nmi:
        cmp dword [ss:DATA(GW_MAGIC)], GW_MAGIC_VALUE
        PATCH PATCH_VA, 4
        jne .guests
.take:
        lock bts dword [ss:DATA(GW_LOCK)], 0
        PATCH PATCH_VA, 1
        jc .taken
        mov [ss:DATA(GW_SCRATCH)], ebp
        PATCH PATCH_VA
        mov ebp, DATA(0)
        PATCH PATCH_VA
        mov [SCRATCH(1)], eax
        mov [SCRATCH(2)], ebx
        mov [SCRATCH(3)], ecx
        mov [SCRATCH(4)], edx
        mov eax, CPUID_FEATURES
        cpuid
        shr ebx, APIC_ID_SHIFT
        movzx eax, byte [ebp + ebx + GW_INDEX]
        cmp al, GW_NO_CPU
        je .stranger
        imul eax, eax, GW_CPU_BYTES
        lea eax, [ebp + eax + GW_CPU]
%macro KEEP 2                           ; scratch, register's number
        mov ecx, [SCRATCH(%1)]
        mov [ss:eax + GC_GPR + 8 * %2], ecx
%endmacro
        KEEP 0, 5
        KEEP 1, 0
        KEEP 2, 3
        KEEP 3, 1
        KEEP 4, 2
        mov dword [ebp + GW_LOCK], 0
        mov ebp, eax                    ; from here on: this CPU's block
        mov [GPR(6)], esi
        mov [GPR(7)], edi
        rdtsc
        mov [ebp + GC_TSC_IN], eax
        mov [ebp + GC_TSC_IN + 4], edx
        mov dword [ebp + GC_IN_HOST], 1
        mov dword [ebp + GC_NMI], 0
        ; The frame stays where it is; what it says is copied. Without a change of privilege it has three words.
        mov [ebp + GC_OUT_ESP], esp
        mov edx, ss
        mov [ebp + GC_OUT_SS], edx
        lea ecx, [esp + 12]
        mov eax, [esp + 4]
        test al, RPL
        jz .same_ring
        mov ecx, [esp + 12]
        mov edx, [esp + 16]
.same_ring:
        movzx edx, dx
        mov [ebp + GC_FRAME + 8], eax
        mov eax, [esp]
        mov [ebp + GC_FRAME], eax
        mov eax, [esp + 8]
        mov [ebp + GC_FRAME + 16], eax
        mov [ebp + GC_FRAME + 24], ecx
        mov [GPR(4)], ecx
        mov [ebp + GC_FRAME + 32], edx
        mov eax, cr0
        mov [ebp + GC_CR0], eax
        mov eax, cr2
        mov [ebp + GC_CR2], eax
        mov eax, cr3
        mov [ebp + GC_CR3], eax
        mov eax, dr7
        mov [ebp + GC_DR7], eax
        xor eax, eax
        mov dr7, eax                    ; the guest's breakpoints are addresses of its world
        sgdt [ebp + GC_GDTR]
        sidt [ebp + GC_IDTR]
        mov ecx, MSR_EFER
        rdmsr
        mov [ebp + GC_EFER], eax
        lgdt [ss:.gdt - bridge_page]
        PATCH PATCH_VA
        mov eax, cr4
        mov [ebp + GC_CR4], eax
        sub ebp, DATA(0)
        PATCH PATCH_VA
        ; What is global in the guest's tables could be in the way of the identity: flush it.
        and eax, CR4_PAE | CR4_PSE
        mov cr4, eax
        mov eax, 0
        PATCH PATCH_BRIDGE
        mov cr3, eax
        mov eax, .identity - bridge_page
        PATCH PATCH_PA
        jmp eax
.identity:
        mov eax, cr0
        and eax, ~CR0_PG
        mov cr0, eax
        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, 0
        PATCH PATCH_TRANSIT
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME | EFER_NXE
        wrmsr
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax
        jmp SEL_CODE64:dword .long - bridge_page
        PATCH PATCH_PA, 2
.taken:
        pause
        jmp .take
; A CPU that the firmware did not list.
.stranger:
        mov eax, [SCRATCH(1)]
        mov ebx, [SCRATCH(2)]
        mov ecx, [SCRATCH(3)]
        mov edx, [SCRATCH(4)]
        mov ebp, [SCRATCH(0)]
        mov dword [ss:DATA(GW_LOCK)], 0
        PATCH PATCH_VA, 4
.guests:
        jmp [cs:DATA(GW_GUEST_NMI)]
        PATCH PATCH_VA

bits 64
.long:
        mov ebp, ebp                    ; upper halves are undefined after the mode switch
        mov rbx, gateway
        add rbx, rbp
        mov rax, gateway_switched
        jmp rax                         ; on as from a 64-bit guest

; Outwards: jumped to at the page's physical address, on the transit tables, NMIs blocked, TR, LDTR, data segments but SS,
; and MSRs already the guest's; RDI: this CPU's block, from the beginning of the gateway's data.
bridge_leave:
        mov rbx, gateway
        add rbx, rdi
        mov ebp, edi
        mov edi, [rbx + GC_CR3]
        mov esi, [rbx + GC_CR4]
        and esi, CR4_PAE | CR4_PSE
        mov ebx, [rbx + GC_EFER]
        lgdt [rel .gdt]
        jmp far dword [rel .way_out]
align 4
.way_out:
        dd .narrow - bridge_page
        PATCH PATCH_PA
        dw SEL_CODE32
bits 32
.narrow:
        mov eax, SEL_DATA
        mov ss, eax
        mov eax, cr0
        and eax, ~CR0_PG
        mov cr0, eax
        mov cr4, esi
        mov eax, 0
        PATCH PATCH_BRIDGE
        mov cr3, eax
        mov ecx, MSR_EFER
        mov eax, ebx
        xor edx, edx
        wrmsr
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax
        mov eax, .guest - bridge_page
        PATCH PATCH_VA
        jmp eax
.guest:
        mov cr3, edi
        add ebp, DATA(0)
        PATCH PATCH_VA
        mov eax, [ebp + GC_CR4]
        mov cr4, eax
        mov eax, [ebp + GC_CR0]
        mov cr0, eax
        mov eax, [ebp + GC_CR2]
        mov cr2, eax
        lgdt [ebp + GC_GDTR]
        lidt [ebp + GC_IDTR]
        mov ebx, [GPR(3)]
        mov ecx, [GPR(1)]
        mov edx, [GPR(2)]
        mov esi, [GPR(6)]
        mov edi, [GPR(7)]
        cmp dword [ebp + GC_OUT_SS], 0
        je .flat                        ; IRET brings it
        mov ss, [ebp + GC_OUT_SS]
.flat:
        mov eax, [ebp + GC_DR7]
        mov dr7, eax
        mov esp, [ebp + GC_OUT_ESP]
        cmp dword [ebp + GC_NMI], NMI_GUESTS
        mov eax, [GPR(0)]
        je .handler
        mov ebp, [GPR(5)]
        iretd
.handler:
        ; Below the frame, where the handler's first pushes will go.
        push dword [ebp + GC_GATE_CS]
        push dword [ebp + GC_GUEST_NMI]
        mov ebp, [GPR(5)]
        retf

align 8
bridge_nmi.gdt:
bridge_leave.gdt:
        dw .table_end - .table - 1
        dd .table - bridge_page
        PATCH PATCH_PA
        dd 0
align 8
.table:
        dq 0
        dq 0x00af9b000000ffff           ; 64-bit code
        dq 0x00cf9b000000ffff           ; 32-bit code
        dq 0x00cf93000000ffff           ; data
.table_end:
bridge_page_end:

section .rodata.bridge_patches
bridge_patches_end:

section .note.GNU-stack noalloc noexec nowrite progbits

; SPDX-License-Identifier: GPL-2.0-or-later
; Page tables of the kit's guests, ready to use before any code has run. Accessed and dirty bits are set from the
; start: a page walk never writes to them.
;
;   slot 0    identity map of the first 4 GiB; 4 KiB pages for the first 4 MiB, where the guest lies, 2 MiB pages above
;   slot 509  the same memory, never for ring 3: the kernel reaches user pages here when SMAP is on
;   slot 510  the IDT, alone in a page table: free entries beside it, as in Linux

PML4_PHYSMAP    equ 509
PML4_IDT        equ 510
ENTRIES         equ 512
GIBS            equ 4
SMALL_TABLES    equ 2                   ; 4 MiB in 4 KiB pages
LARGE_BYTES     equ 0x200000
SMALL_BYTES     equ 0x1000
PRESENT         equ 1
WRITABLE        equ 2
USER            equ 4
UNCACHED        equ 0x18                ; PCD and PWT
ACCESSED        equ 0x20
DIRTY           equ 0x40
LARGE           equ 0x80
TABLE           equ PRESENT | WRITABLE | USER | ACCESSED
PAGE            equ PRESENT | WRITABLE | ACCESSED | DIRTY
MMIO_FIRST      equ 0xc0000000 / LARGE_BYTES    ; no RAM above, in the machines at hand

section .tables progbits alloc noexec write align=4096
global kit_pml4, kit_small_tables, kit_idt_table, kit_idt
kit_pml4:
        dq pdpt + TABLE
        times PML4_PHYSMAP - 1 dq 0
        dq pdpt_physmap + PRESENT + WRITABLE + ACCESSED
        dq idt_pdpt + TABLE
        times ENTRIES - PML4_IDT - 1 dq 0
pdpt:
%assign gib 0
%rep GIBS
        dq pd + gib * 4096 + TABLE
%assign gib gib + 1
%endrep
        times ENTRIES - GIBS dq 0
pdpt_physmap:
        dq pd_physmap + PRESENT + WRITABLE + ACCESSED
%assign gib 1
%rep GIBS - 1
        dq pd + gib * 4096 + PRESENT + WRITABLE + ACCESSED
%assign gib gib + 1
%endrep
        times ENTRIES - GIBS dq 0

%macro LARGE_PAGES 2                    ; first page, how many
%assign number %1
%rep %2
%if number >= MMIO_FIRST
        dq number * LARGE_BYTES + PAGE + LARGE + UNCACHED
%else
        dq number * LARGE_BYTES + PAGE + LARGE
%endif
%assign number number + 1
%endrep
%endmacro

pd:
        dq kit_small_tables + TABLE, kit_small_tables + 4096 + TABLE
        LARGE_PAGES SMALL_TABLES, GIBS * ENTRIES - SMALL_TABLES
pd_physmap:
        LARGE_PAGES 0, ENTRIES
kit_small_tables:
%assign number 0
%rep SMALL_TABLES * ENTRIES
        dq number * SMALL_BYTES + PAGE
%assign number number + 1
%endrep
idt_pdpt:
        dq idt_pd + TABLE
        times ENTRIES - 1 dq 0
idt_pd:
        dq kit_idt_table + TABLE
        times ENTRIES - 1 dq 0
kit_idt_table:
        dq kit_idt + PAGE
        times ENTRIES - 1 dq 0
kit_idt:
        times ENTRIES dq 0

section .note.GNU-stack noalloc noexec nowrite progbits

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Where the gateway goes: a free place beside the guest's IDT, in the very table page that every address space of
   the guest shares because every address space must map the IDT. */
#ifndef SOJOURN_KERNEL_GATEWAY_SLOT_H
#define SOJOURN_KERNEL_GATEWAY_SLOT_H

#include "err.h"
#include "types.h"

/* What the guest's tables look like. 32-bit paging with CR4.PSE knows pages of 4 MiB. */
enum paging_format { PAGING_LONG, PAGING_PAE, PAGING_32, PAGING_32_PSE, PAGING_NONE };

/* A page of guest-physical memory, to be read; pa is a multiple of 4096. NULL: no such memory. */
struct phys_reader {
    const uint64_t *(*page)(void *ctx, uint64_t pa);
    void *ctx;
    enum paging_format format; /* of the address spaces that are walked */
};

/* A place: the code page, then the data pages. */
struct gateway_plan {
    uint64_t va;       /* of the code page */
    uint64_t entry_pa; /* the (first) entry to write */
    uint64_t table_pa; /* the table page it lies in */
    unsigned level; /* 1: one page-table entry per page; 2, 3: one entry that points to a table of ours; 0: no plan */
    unsigned pages;
    uint64_t top; /* the top-level entry that leads there */
    enum paging_format format;
};

/* IDT entry 2 of an address space. */
struct gateway_gate {
    uint64_t pa;
    uint64_t word[2]; /* outside long mode a gate is one word, and the other is 0 */
    uint64_t handler; /* the guest's own */
};

/* cr3: the current one. Four levels in long mode; outside it kernel/gateway_slot32.c answers. pages: code and data.
   E_NOIDT: the IDT is not mapped. E_NOSLOT: no free run at any level below the top, or the path there forbids writing or
   execution. */
enum err gateway_slot_find(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, unsigned pages,
                           struct gateway_plan *plan) MUST_USE;
/* Is the plan, made earlier, still good: the IDT is mapped through the same table, and every entry free? */
bool gateway_slot_usable(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, const struct gateway_plan *plan);
/* idt_limit as in IDTR; plan: a place that this address space shares. E_NOIDT: the IDT (at least vectors 0-31) is not
   mapped. E_GATE: vector 2 is no present 64-bit (32-bit) interrupt gate. */
enum err gateway_slot_gate(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, uint64_t idt_limit,
                           const struct gateway_plan *plan, struct gateway_gate *gate) MUST_USE;
/* Does another address space reach the same table page at the gateway's address? */
bool gateway_slot_shared(const struct phys_reader *r, uint64_t cr3, const struct gateway_plan *plan);
/* The same, without a walk, where the plan's own page table maps it, as it does most of what a guest keeps beside its IDT;
   the address space shares the plan's place. False: ask gateway_slot_translate(). */
bool gateway_slot_beside(const struct phys_reader *r, uint64_t va, const struct gateway_plan *plan, uint64_t *pa);
/* The physical address behind a linear one; false: not mapped. */
bool gateway_slot_translate(const struct phys_reader *r, uint64_t cr3, uint64_t va, uint64_t *pa);
/* The entries to write: for level 1 one for each page, else the one table entry. */
uint64_t gateway_code_pte(uint64_t pa);
uint64_t gateway_data_pte(uint64_t pa, bool nx);
uint64_t gateway_table_entry(uint64_t pa);
/* In any format: the gate with its offset moved to va, everything else (selector, IST, type, DPL) kept. */
void gateway_patch_gate(const uint64_t gate[2], uint64_t va, uint64_t out[2]);

#endif

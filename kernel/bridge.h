/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Guests in 32-bit paged mode, native: what kernel/bridge32.asm needs, made before they are left (kernel/bridge.c),
   and what their visits run before anything else of the host may (kernel/bridge_visit.c). */
#ifndef SOJOURN_KERNEL_BRIDGE_H
#define SOJOURN_KERNEL_BRIDGE_H

#include "err.h"
#include "kernel/cpus.h"
#include "kernel/guest.h"

/* Once it is prepared. */
struct bridge {
    uint64_t page_pa;    /* the page beside the guest's IDT; 0: there is none */
    uint64_t transit_pa; /* root of four-level tables: the host's windows, and that page at its physical address */
};
extern struct bridge bridge;

static inline bool bridge_wanted(void)
{
    return guest.plan.format != PAGING_LONG;
}

/* At boot. Without memory for it such guests cannot be left. */
void bridge_init(void);
/* Any CPU, its state captured and its gate found: can the NMI's way in store, and IRET lead back? Writes the frame of an
   IRET that stays in ring 0 below its stack, where any interrupt would. E_GATE, E_SEGMENT, E_NOMEM. */
enum err bridge_check(struct cpu *c) MUST_USE;
/* Leader, all CPUs stopped: the page and its tables for the place that was found. E_NOSLOT. */
enum err bridge_show(void) MUST_USE;

/* What an NMI in a native 32-bit guest was. */
enum bridge_nmi {
    BRIDGE_NMI_OURS,   /* there is work */
    BRIDGE_NMI_ECHO,   /* ours, but what it was for is done */
    BRIDGE_NMI_GUESTS, /* the guest's own handler is to have it */
};
/* Into gate->nmi. */
void bridge_sort_nmi(struct cpu *c);
/* Entry i of those that lead to the gateway. */
uint64_t bridge_entry(unsigned i);
void bridge_clear_entry(unsigned i);
/* LTR or LLDT from the private table. Here a system descriptor has sixteen bytes; in the guest's what is behind is another's. */
void bridge_load_system(struct cpu *c, uint16_t selector, void (*load)(uint16_t selector));
/* The gateway's block is filled: the parts of it that differ for such a guest. */
void bridge_fill(struct cpu *c);
_Noreturn void bridge_out(struct cpu *c);

#endif

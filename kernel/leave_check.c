/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The conditions of leaving that depend on registers alone; see the header and docs/architecture.md. */
#include "kernel/leave_check.h"

#include "msr.h"

#define GDT_MAX_LIMIT (PAGE_BYTES - 1)
#define SELECTOR_TI 4u
#define SELECTOR_LOW 7u
#define DESCRIPTOR_BYTES 8u
#define SYSTEM_DESCRIPTOR_BYTES 16u

enum paging_format leave_format(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    if (!(cr0 & CR0_PG))
        return PAGING_NONE;
    if (efer & EFER_LMA)
        return PAGING_LONG;
    return cr4 & CR4_PAE ? PAGING_PAE : cr4 & CR4_PSE ? PAGING_32_PSE : PAGING_32;
}

/* These are loaded while still on the host's page tables, through copies of the descriptors in tables of 512 entries. CS
   and SS come with IRETQ. */
static enum err check_selectors(const struct vcpu_state *s)
{
    static const uint8_t loaded_early[] = {SREG_ES, SREG_DS, SREG_FS, SREG_GS, SREG_LDTR, SREG_TR};
#pragma GCC unroll 6
    for (size_t i = 0; i < ARRAY_LEN(loaded_early); i++) {
        const struct segment *seg = &s->seg[loaded_early[i]];
        if (loaded_early[i] == SREG_LDTR && (seg->access_rights & AR_UNUSABLE))
            continue; /* null is what is loaded */
        if ((seg->selector & SELECTOR_TI) && loaded_early[i] >= SREG_LDTR)
            return E_SEGMENT;
        uint32_t bytes = loaded_early[i] >= SREG_LDTR ? SYSTEM_DESCRIPTOR_BYTES : DESCRIPTOR_BYTES;
        if ((seg->selector & ~SELECTOR_LOW) + bytes - 1 > GDT_MAX_LIMIT)
            return E_GDT;
    }
    return E_OK;
}

enum err leave_check_state(const struct vcpu_state *s)
{
    if (!(s->cr0 & CR0_PG) || (s->rflags & RFLAGS_VM))
        return E_MODE;
    if (s->cr4 & CR4_LA57)
        return E_LA57;
    if (s->cr4 & CR4_CET)
        return E_CET;
    if (s->cr4 & CR4_VMXE || s->msr[VMSR_EFER] & EFER_SVME)
        return E_VMXBUSY;
    /* Beyond what IRETQ can express: a shadow of STI or MOV SS, a blocked NMI, an event half delivered, a debug trap
       that waits. */
    if (s->event.valid || s->block_sti || s->block_mov_ss || s->block_nmi || s->pending_debug)
        return E_BLOCKED;
    /* A halted CPU goes on behind its HLT when it gets an interrupt; natively it would go on at once, which a guest
       sees as a spurious wake-up. Harmless for an idle loop, but only with interrupts on. */
    if (s->activity == ACTIVITY_HLT && !(s->rflags & RFLAGS_IF))
        return E_BLOCKED;
    if (s->activity == ACTIVITY_SHUTDOWN || s->activity == ACTIVITY_WAIT_SIPI)
        return E_MODE;
    return check_selectors(s);
}

bool leave_is_transient(enum err why)
{
    return why == E_BLOCKED || why == E_SEGMENT || why == E_MODE || why == E_NOSLOT || why == E_NOIDT ||
           why == E_GATE || why == E_TIMEOUT || why == E_CPU;
}

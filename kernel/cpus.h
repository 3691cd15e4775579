/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. What the host keeps for each CPU, and how a CPU finds its own.
 *
 * Every CPU has a window of host addresses of its own (mapped by paging_map_cpu_window), with unmapped pages between
 * the stacks. The window's size is a power of two, so that the CPU's struct is found from the stack pointer, whichever
 * of its stacks is in use. Nothing here is shared: what two CPUs both touch is in kernel/smp.h.
 *
 *   +0      unmapped          +0x10000  top of the main stack     +0x16000  top of the NMI stack
 *   +0x1000 struct cpu        +0x13000  top of the fault stack    +0x19000  top of the double-fault stack */
#ifndef SOJOURN_KERNEL_CPUS_H
#define SOJOURN_KERNEL_CPUS_H

#include "backend.h"
#include "kernel/gateway_data.h"
#include "kernel/gateway_slot.h"
#include "layout.h"
#include "types.h"
#include "vcpu_state.h"

#define CPU_SELF_OFFSET 0x1000u
#define CPU_SELF_PAGES 4u
#define CPU_MAIN_TOP 0x10000u
#define CPU_MAIN_BYTES 0x8000u
#define CPU_FAULT_TOP 0x13000u
#define CPU_NMI_TOP 0x16000u
#define CPU_DOUBLE_FAULT_TOP 0x19000u
#define CPU_FAULT_BYTES 0x2000u

#define SEEN_CR3_MAX 16
#define CPU_PRIVATE_DESCRIPTORS 512u
/* Far from where guests have theirs: a native guest that never loaded TR still has the host's selector in it. */
#define HOST_TR 0x3f8u
#define HOST_GDT_WORDS (HOST_TR / 8 + 2)

/* Who has this CPU. */
enum cpu_place {
    CPU_HELD,  /* the host: for the guest it waits for a start-up IPI */
    CPU_GUEST, /* the guest, native or virtual, though the host may have stopped it for the moment */
};

struct PACKED tss64 {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
};
_Static_assert(sizeof(struct tss64) == 104, "SDM 3A 8.7 \"Task Management in 64-bit Mode\"");

struct cpu {
    uint32_t index, apic_id;
    enum cpu_place place;  /* written by the CPU itself, or by the leader while it is stopped */
    volatile bool present; /* it came up at boot */
    struct vcpu vcpu;
    struct vcpu_state *state; /* the only copy there is while the CPU is in neither mode */
    bool state_captured;      /* of this stop; a native CPU's */
    struct gateway_cpu *gate;
    struct gateway_gate gate_of_guest; /* its IDT entry 2, without the gateway */
    uint64_t idt_at_leave;             /* where that IDT is */

    bool switched_on; /* VMXON / EFER.SVME */
    bool loaded;      /* state is in the control structure */
    bool leaving;     /* out to the guest, native, once it is released */
    bool ticking, tick_native;
    bool idle;              /* the last exit was a HLT */
    struct segment kept_tr; /* what TR holds natively; its hidden part if tr_null */
    bool tr_null;           /* the guest never loaded TR */
    /* Address spaces seen lately, for the gateway's check. */
    struct {
        uint64_t cr3, when_us;
    } seen_cr3[SEEN_CR3_MAX];
    unsigned seen_last;

    uint64_t exits[EXIT_KIND_COUNT];
    uint64_t interrupts_seen; /* vectors >= 32 that hit the host */
    uint64_t start_tsc;       /* of the transition under way */
    uint64_t enter_cycles, leave_cycles;
    uint64_t enter_from_tsc; /* the NMI that led to an enter whose first entry is still to come; 0: none */

    /* Orders of other CPUs; see kernel/smp.h. */
    volatile uint32_t stopped;    /* the stop this CPU has come to */
    volatile uint32_t order_done; /* the order it has carried out, with this result: */
    volatile enum err order_result;
    uint64_t order_stack;           /* of the order being carried out, for guarded(); 0: none */
    volatile uint32_t start_vector; /* start-up IPI while virtual: vector + 1; 0: none */
    volatile bool reset;            /* INIT while virtual */
    uint64_t init_us;               /* when it was carried out, until the start-up IPI; 0: none is waited for */
    volatile bool suspect;          /* it may have gone offline (kernel/apic_watch.h) */
    volatile bool own_nmi_due;      /* the next NMI is one the CPU sent itself */

    struct tss64 tss ALIGNED(16);
    uint64_t gdt[HOST_GDT_WORDS] ALIGNED(16);
    /* Private copies of the guest's descriptors that leaving loads. */
    uint64_t private_gdt[CPU_PRIVATE_DESCRIPTORS] ALIGNED(16);
    uint64_t private_ldt[CPU_PRIVATE_DESCRIPTORS];
};
_Static_assert(sizeof(struct cpu) <= CPU_SELF_PAGES * PAGE_BYTES, "the window's layout");

/* Index 0 is the CPU that booted: it has the console and leads. */
extern struct cpu *cpus[CPUS_MAX];
extern uint32_t cpu_count;

/* The CPU this runs on; only on a stack of its window. */
static inline struct cpu *cpu_self(void)
{
    uint64_t rsp;
    __asm__("mov %%rsp, %0" : "=r"(rsp));
    return (struct cpu *)((rsp & ~(uint64_t)(CPU_WINDOW_BYTES - 1)) + CPU_SELF_OFFSET);
}

static inline bool cpu_leads(const struct cpu *c)
{
    return c->index == 0;
}

static inline uint64_t cpu_window(const struct cpu *c)
{
    return (uint64_t)c - CPU_SELF_OFFSET;
}

/* Boot, in hidden memory, still on the boot stack: this CPU's window. Switch to its stack next. E_NOMEM. */
enum err cpus_init_first(void) MUST_USE;
/* Boot: windows and gateway blocks for the other CPUs, and every CPU's state: contiguous, in index order, so that
   cpus[0]->state is what a checkpoint is made from. apic_ids: of all CPUs. E_NOMEM; E_SMP: an id the gateway cannot
   tell apart (initial ids above 254 or not unique), or too many. */
enum err cpus_init_others(const uint32_t *apic_ids, uint32_t count) MUST_USE;

#endif

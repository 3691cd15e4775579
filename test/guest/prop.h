/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The property guest: each CPU fills every register that it can see with known, odd, legal values, waits without
 * touching anything, and compares bit for bit when it is released.
 *
 *   prop_main.c      commands on COM1, phases on all CPUs, report
 *   prop_phases.c    what each phase wants: mode, flags, control registers, segments
 *   prop_items.c     the table of registers: where each is, what is written to it, what a harm changes
 *   prop_values.c    values that depend on the CPU and the phase
 *   prop_fpu.c       x87, SSE, AVX and whatever else XCR0 enables
 *   prop_segments.c  selectors, hidden parts, LAR and LSL
 *   prop_memory.c    all RAM
 *   prop_hold.asm    the waiting itself */
#ifndef GUEST_PROP_H
#define GUEST_PROP_H

#include "kit.h"

#define PROP_GPRS 16u
#define PROP_FRAME_WORDS 5u
#define PROP_FAILURES_MAX 40u
#define PROP_ITEMS_MAX 128u
#define PROP_XSAVE_BYTES 4096u
#define PROP_VECTOR_RELEASE 48u /* INT from the waiting loop */
#define PROP_VECTOR_WAKE 49u    /* IPI that ends HLT */
#define PROP_VECTOR_PENDING 50u /* a request that stays pending while it is waited */
#define PROP_COMPAT_BASE 0x1003u

/* In the instruction encoding's order. */
enum prop_gpr { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_R8 };
enum prop_frame { FRAME_RIP, FRAME_CS, FRAME_RFLAGS, FRAME_RSP, FRAME_SS };

/* What prop_hold() loads, and what the release finds. */
struct prop_hold {
    uint64_t stack;
    uint64_t load[PROP_GPRS], load_frame[PROP_FRAME_WORDS];
    uint64_t got[PROP_GPRS], got_frame[PROP_FRAME_WORDS];
    uint64_t nmis, nmis_without_cause;
};

enum prop_wait { WAIT_KERNEL, WAIT_HALT, WAIT_POLL, WAIT_NMI, WAIT_USER, WAIT_COMPAT };

struct prop_phase {
    const char *name;
    enum prop_wait wait;
    uint64_t rflags;
    uint64_t cr0_set, cr0_clear, cr4, efer_set, efer_clear;
    uint16_t cs, ss, ds, es, fs, gs;
    bool msr_bases;   /* FS and GS base by MSR, not from the descriptor */
    bool breakpoint;  /* armed ones that must fire after the release */
    bool guard;       /* DR7.GD: each access to a debug register traps */
    bool io_break;    /* a breakpoint on the console's ports */
    bool pending;     /* an interrupt request that waits in the local APIC */
    bool counter_nmi; /* the performance counters' LVT entry: NMI, but masked */
    bool extended;    /* XCR0 with everything that the CPU has, else x87 and SSE */
};

struct prop_failure {
    const char *name;
    uint64_t got, want, at;
};

struct prop_probe {
    uint64_t offset[8]; /* four segments: inside, outside */
    uint64_t value[8];
    uint64_t fault[8];
};

struct prop_cpu {
    uint8_t xsave_load[PROP_XSAVE_BYTES] ALIGNED(64);
    uint8_t xsave_want[PROP_XSAVE_BYTES] ALIGNED(64);
    uint8_t xsave_got[PROP_XSAVE_BYTES] ALIGNED(64);
    struct prop_hold hold;
    struct kit_cpu *cpu;
    const struct prop_phase *phase;
    const char *harm; /* an item's name, or "" */
    uint64_t random;
    struct {
        uint64_t want, got;
        bool used;
    } item[PROP_ITEMS_MAX];
    struct prop_probe probe;
    uint64_t tsc;
    uint32_t checks, failed, failures;
    struct prop_failure failure[PROP_FAILURES_MAX];
    volatile uint32_t debug_traps, debug_bits, pending_taken;
    volatile uint32_t go, waiting, done;
};

extern struct prop_cpu prop_cpus[KIT_CPUS_MAX];

uint64_t prop_random(struct prop_cpu *p);
uint64_t prop_canonical(struct prop_cpu *p);
/* One comparison. */
void prop_check(struct prop_cpu *p, const char *name, uint64_t got, uint64_t want);
void prop_check_at(struct prop_cpu *p, const char *name, uint64_t got, uint64_t want, uint64_t at);
/* Told once, by CPU 0: "prop PHASE skip NAME REASON". */
void prop_skip(const struct prop_cpu *p, const char *name, const char *reason);
bool prop_harmed(const struct prop_cpu *p, const char *name);

/* prop_phases.c */
extern const struct prop_phase prop_phases[];
extern const unsigned prop_phase_count;

/* prop_items.c */
void prop_items_fill(struct prop_cpu *p);
void prop_items_read(struct prop_cpu *p);
void prop_items_check(struct prop_cpu *p);
void prop_items_list(void);

/* prop_values.c: for the rows that have no fixed rule. */
bool prop_has(uint32_t leaf, unsigned reg, unsigned bit);
enum prop_reg { REG_EAX, REG_EBX, REG_ECX, REG_EDX };
uint64_t prop_value_cr0(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_cr3(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_cr4(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_xcr0(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_dr(struct prop_cpu *p, unsigned n);
uint64_t prop_value_dr7(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_efer(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_pat(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_mtrr(struct prop_cpu *p, uint32_t number, uint64_t now);
uint64_t prop_value_lvt(struct prop_cpu *p, uint32_t reg, uint64_t now);
uint64_t prop_value_timer_initial(struct prop_cpu *p, uint64_t now);
uint64_t prop_value_deadline(struct prop_cpu *p, uint64_t now);
void prop_base_state(struct prop_cpu *p);
void prop_debug_check(struct prop_cpu *p);
extern uint64_t prop_pml4[KIT_CPUS_MAX][512];

/* prop_fpu.c */
void prop_fpu_setup(void);
void prop_fpu_fill(struct prop_cpu *p);
void prop_fpu_check(struct prop_cpu *p);
void prop_fpu_list(void);

/* prop_segments.c */
void prop_segments_fill(struct prop_cpu *p);
void prop_segments_read(struct prop_cpu *p);
void prop_segments_check(struct prop_cpu *p);
void prop_segments_list(void);

/* prop_memory.c */
bool prop_memory_setup(void);
void prop_memory_harm(const struct prop_cpu *p);
void prop_memory_check(struct prop_cpu *p);
void prop_stack_fill(struct prop_cpu *p);
void prop_stack_check(struct prop_cpu *p);
extern unsigned prop_gateway_entries, prop_gateway_gate;

/* prop_hold.asm */
void prop_hold(struct prop_hold *h);
void prop_probe(struct prop_probe *probe);
void prop_debug_target(void);
void prop_released(void);
void prop_nmi(void);
extern const uint8_t prop_wait_kernel[], prop_wait_halt[], prop_wait_poll[], prop_wait_user[], prop_wait_compat[];
extern const uint8_t prop_exit_kernel[], prop_exit_poll[], prop_exit_user[], prop_exit_compat[];
extern volatile uint64_t prop_to_kernel, prop_to_user;
extern volatile uint32_t prop_to_compat;
extern volatile uint32_t prop_nmi_releases;
extern volatile uint32_t prop_watched;

#endif

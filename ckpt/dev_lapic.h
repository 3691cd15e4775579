/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. One CPU's local APIC as a checkpoint holds it, and the plan that brings IRR and ISR back, which have no write
   port: vectors in service are sent to ourselves in ascending priority and accepted in the host without EOI, so that
   the guest's own EOI finds them; then pending ones are sent and stay pending, because interrupts are off. */
#ifndef SOJOURN_CKPT_DEV_LAPIC_H
#define SOJOURN_CKPT_DEV_LAPIC_H

#include "bits.h"
#include "ckpt/dev_common.h"

#define DEV_LAPIC_VERSION 1
#define LAPIC_VECTORS 256u
#define LAPIC_WORDS 8u
#define LAPIC_EXT_LVTS 4u

/* Register offsets: SDM 3A 10.4.1 "The Local APIC Block Diagram"; x2APIC MSR = 800h + offset / 16, 10.12.1.2. */
#define LAPIC_ID 0x020u
#define LAPIC_VERSION 0x030u
#define LAPIC_TPR 0x080u
#define LAPIC_EOI 0x0B0u
#define LAPIC_LDR 0x0D0u
#define LAPIC_DFR 0x0E0u
#define LAPIC_SVR 0x0F0u
#define LAPIC_ISR(word) (0x100u + 0x10u * (word))
#define LAPIC_TMR(word) (0x180u + 0x10u * (word))
#define LAPIC_IRR(word) (0x200u + 0x10u * (word))
#define LAPIC_ESR 0x280u
#define LAPIC_ICR 0x300u
#define LAPIC_ICR_HIGH 0x310u
#define LAPIC_TIMER_INITIAL 0x380u
#define LAPIC_TIMER_CURRENT 0x390u
#define LAPIC_TIMER_DIVIDE 0x3E0u
#define LAPIC_SELF_IPI 0x3F0u                   /* x2APIC only */
#define LAPIC_EXT_LVT(n) (0x500u + 0x10u * (n)) /* AMD: APM 2 16.4.6 "Extended Interrupts" */
#define LAPIC_SVR_ENABLE BIT32(8)
#define LAPIC_LVT_MASKED BIT32(16)
#define LAPIC_LVT_DELIVERY(lvt) (((lvt) >> 8) & 7u)
#define LAPIC_DELIVERY_NMI 4u
#define LAPIC_LVT_READ_ONLY (BIT32(12) | BIT32(14)) /* delivery status, remote IRR */
#define LAPIC_TIMER_MODE(lvt) (((lvt) >> 17) & 3u)
enum lapic_timer_mode { LAPIC_TIMER_ONE_SHOT, LAPIC_TIMER_PERIODIC, LAPIC_TIMER_DEADLINE };
#define LAPIC_MAX_LVT(version) (((version) >> 16) & 0xFFu)

enum lapic_mode { LAPIC_MODE_OFF, LAPIC_MODE_XAPIC, LAPIC_MODE_X2APIC };
enum lapic_lvt { LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct dev_lapic_state {
    struct dev_head head;
    uint64_t apic_base; /* MSR; restored with the CPU, here for the mode */
    uint64_t tsc_deadline;
    uint32_t mode; /* enum lapic_mode */
    uint32_t id, version, tpr, ldr, dfr, svr;
    uint32_t esr, icr_low; /* recorded only */
    uint32_t icr_high;
    uint32_t lvt[LVT_COUNT];
    uint32_t timer_initial, timer_current, timer_divide;
    uint32_t isr[LAPIC_WORDS], tmr[LAPIC_WORDS], irr[LAPIC_WORDS];
    uint32_t ext_lvt[LAPIC_EXT_LVTS];
};

_Static_assert(sizeof(struct dev_lapic_state) == 216, "saved layout");

struct dev_lapic_plan {
    uint8_t in_service[LAPIC_VECTORS / 16]; /* ascending; at most one per priority class */
    uint32_t in_service_count;
    uint8_t pending[LAPIC_VECTORS];
    uint32_t pending_count;
    uint32_t level_left;    /* pending level interrupts: their I/O APIC sends them again */
    uint32_t timer_initial; /* value to write; 0: the timer does not run */
    bool timer_deadline;    /* arm the TSC deadline instead */
};

bool dev_lapic_lvt_exists(uint32_t version, enum lapic_lvt lvt);
uint32_t dev_lapic_lvt_offset(enum lapic_lvt lvt);
uint32_t dev_lapic_ext_lvts(uint32_t version, uint32_t ext_feature);
/* machine_id, machine_mode: what this CPU has now. */
enum err dev_lapic_check(const struct dev_lapic_state *s, uint32_t machine_id, enum lapic_mode machine_mode, char *why,
                         size_t why_len) MUST_USE;
void dev_lapic_plan(const struct dev_lapic_state *s, struct dev_lapic_plan *plan);
/* The highest vector set in an ISR/IRR bank, or -1. */
int dev_lapic_highest(const uint32_t bank[LAPIC_WORDS]);
/* A level-triggered interrupt awaits its EOI: better let the guest run on to it, and cut then. */
bool dev_lapic_level_in_service(const struct dev_lapic_state *s);
void dev_lapic_show(const struct dev_lapic_state *s, char *text, size_t len);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A local APIC as a model, in both modes: IRR and ISR come back by self-IPIs under the architecture's priority rule. */
/* UNITS: ckpt/dev_common.c ckpt/dev_lapic.c drivers/lapic.c */
#include "bits.h"
#include "drivers/lapic.h"
#include "io.h"
#include "msr.h"
#include "unit.h"

#include <string.h>

#define BASE 0xfee00000ull

static struct model {
    uint64_t apic_base, deadline;
    uint32_t reg[0x540 / 16]; /* ISR, TMR and IRR among them */
    uint64_t x2icr, overflow;
} m;
static unsigned accepted, eois, stray;
static bool refuse_accept, deaf;
static char why[200], text[300];
static struct dev_lapic_state s, bad;
static bool x2;

#define R(offset) m.reg[(offset) / 16]

static bool bank_bit(uint32_t bank, unsigned v)
{
    return R(bank + 0x10 * (v / 32)) >> (v % 32) & 1;
}

static void bank_set(uint32_t bank, unsigned v, bool on)
{
    if (on)
        R(bank + 0x10 * (v / 32)) |= 1u << (v % 32);
    else
        R(bank + 0x10 * (v / 32)) &= ~(1u << (v % 32));
}

static int highest(uint32_t bank)
{
    for (int v = 255; v >= 0; v--)
        if (bank_bit(bank, (unsigned)v))
            return v;
    return -1;
}

static void self_ipi(unsigned v)
{
    ck_assert(R(LAPIC_SVR) & LAPIC_SVR_ENABLE);
    ck_assert_uint_ge(v, 16);
    if (deaf)
        return;
    bank_set(LAPIC_IRR(0), v, true);
    bank_set(LAPIC_TMR(0), v, false);
}

static uint32_t reg_read(uint32_t reg)
{
    ck_assert_uint_lt(reg, 0x540);
    ck_assert(reg != LAPIC_EOI && (!x2 || (reg != LAPIC_DFR && reg != LAPIC_ICR_HIGH)));
    return R(reg);
}

static void reg_write(uint32_t reg, uint32_t v)
{
    ck_assert_uint_lt(reg, 0x540);
    if (reg == LAPIC_EOI) {
        int top = highest(LAPIC_ISR(0));
        if (top >= 0)
            bank_set(LAPIC_ISR(0), (unsigned)top, false);
        eois++;
    } else if (reg == LAPIC_ICR) {
        ck_assert_uint_eq(v & ~0xffu, 0x44000);
        self_ipi(v & 0xff);
    } else if (reg == LAPIC_SELF_IPI) {
        ck_assert(x2);
        self_ipi(v);
    } else if (reg == LAPIC_TIMER_INITIAL) {
        R(reg) = v;
        R(LAPIC_TIMER_CURRENT) = v;
    } else if (reg == LAPIC_ID || reg == LAPIC_VERSION || (reg >= 0x100 && reg < 0x280) || reg == LAPIC_TIMER_CURRENT) {
        stray++;
    } else {
        ck_assert(!x2 || (reg != LAPIC_DFR && reg != LAPIC_LDR && reg != LAPIC_ICR_HIGH)); /* #GP */
        R(reg) = reg == LAPIC_ESR ? 0 : v;
    }
}

uint32_t mmio_read32(hpa_t where)
{
    ck_assert(!x2);
    return reg_read((uint32_t)(where.v - BASE));
}

void mmio_write32(hpa_t where, uint32_t v)
{
    ck_assert(!x2);
    reg_write((uint32_t)(where.v - BASE), v);
}

static uint64_t rdmsr(uint32_t msr)
{
    if (msr == MSR_IA32_APIC_BASE)
        return m.apic_base;
    if (msr == MSR_IA32_TSC_DEADLINE)
        return m.deadline;
    if (msr == MSR_IA32_X2APIC_ICR)
        return m.x2icr;
    if (msr == MSR_IA32_PERF_GLOBAL_STATUS)
        return m.overflow;
    ck_assert(x2);
    return reg_read((msr - 0x800) * 16);
}

static void wrmsr(uint32_t msr, uint64_t v)
{
    if (msr == MSR_IA32_APIC_BASE) {
        m.apic_base = v;
        x2 = (v & APIC_BASE_EXTD) != 0;
    } else if (msr == MSR_IA32_TSC_DEADLINE) {
        m.deadline = v;
    } else {
        ck_assert(x2);
        reg_write((msr - 0x800) * 16, (uint32_t)v);
    }
}

/* Interrupts open for a moment: the CPU takes the highest of IRR if the priority rule lets it. */
static enum err accept(uint8_t vector)
{
    if (refuse_accept)
        return E_TIMEOUT;
    int top = highest(LAPIC_IRR(0)), service = highest(LAPIC_ISR(0));
    int ppr = service > (int)R(LAPIC_TPR) ? service : (int)R(LAPIC_TPR);
    ck_assert_int_eq(top, vector);
    ck_assert_int_gt(top >> 4, ppr >> 4);
    bank_set(LAPIC_IRR(0), vector, false);
    bank_set(LAPIC_ISR(0), vector, true);
    accepted++;
    return E_OK;
}

static void boot(bool x2apic)
{
    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    x2 = x2apic;
    accepted = eois = stray = 0;
    refuse_accept = deaf = false;
    m.apic_base = BASE | APIC_BASE_EN | BIT(8) | (x2apic ? APIC_BASE_EXTD : 0);
    R(LAPIC_ID) = x2apic ? 1 : 1u << 24;
    R(LAPIC_VERSION) = 0x00060015;
    R(LAPIC_TPR) = 0x20;
    R(LAPIC_LDR) = 1u << 24;
    R(LAPIC_DFR) = x2apic ? 0 : 0xffffffff;
    R(LAPIC_SVR) = 0x1ff;
    R(LAPIC_ICR_HIGH) = x2apic ? 0 : 0x03000000;
    const uint32_t lvts[][2] = {{0x2f0, 0x100f2}, {0x320, 0x000ec}, {0x330, 0x100fa}, {0x340, 0x400},
                                {0x350, 0x10700}, {0x360, 0x400},   {0x370, 0xfe}};
    for (unsigned i = 0; i < ARRAY_LEN(lvts); i++)
        R(lvts[i][0]) = lvts[i][1];
    R(LAPIC_TIMER_INITIAL) = 100000, R(LAPIC_TIMER_CURRENT) = 4711, R(LAPIC_TIMER_DIVIDE) = 3;
    bank_set(LAPIC_ISR(0), 0x31, true), bank_set(LAPIC_ISR(0), 0x55, true), bank_set(LAPIC_ISR(0), 0xec, true);
    bank_set(LAPIC_IRR(0), 0x22, true), bank_set(LAPIC_IRR(0), 0xec, true), bank_set(LAPIC_IRR(0), 0xf1, true);
    const struct lapic_host host = {rdmsr, wrmsr, accept, true, true};
    lapic_init(&host);
}

static void disturb(void)
{
    for (uint32_t r = 0x80; r < 0x400; r += 16)
        if ((r < 0x90 || r > 0xC0) && (r < 0x290 || r > 0x2e0) && (r < 0x3a0 || r == 0x3e0) &&
            (!x2 || (r != LAPIC_DFR && r != LAPIC_LDR && r != LAPIC_ICR_HIGH)))
            R(r) ^= 0xa0a;
    for (uint32_t i = 0; i < 8; i++)
        R(LAPIC_ISR(i)) = R(LAPIC_TMR(i)) = R(LAPIC_IRR(i)) = 0;
    R(LAPIC_SVR) = 0xff;                                                    /* as after a reset: disabled */
    bank_set(LAPIC_ISR(0), 0x40, true), bank_set(LAPIC_ISR(0), 0x91, true); /* of a dead guest */
    bank_set(LAPIC_IRR(0), 0xe0, true), bank_set(LAPIC_IRR(0), 0x10, true);
}

START_TEST(round_trip_in_both_modes)
{
    for (unsigned mode = 0; mode < 2; mode++) {
        boot(mode);
        struct model before = m;
        ck_assert(lapic_present());
        ck_assert_int_eq(lapic_capture(&s), E_OK);
        ck_assert(!memcmp(&before, &m, sizeof m));
        ck_assert_int_eq(dev_lapic_check(&s, lapic_id(), lapic_mode(), why, sizeof why), E_OK);
        disturb();
        ck_assert_int_eq(lapic_restore(&s), E_OK);
        before.reg[LAPIC_TIMER_INITIAL / 16] = 4711; /* what is left of the one-shot */
        for (uint32_t r = 0; r < 0x540; r += 16)
            ck_assert_msg(m.reg[r / 16] == before.reg[r / 16] || r == LAPIC_ICR || r == LAPIC_ESR,
                          "mode %u reg %x: %x, was %x", mode, r, m.reg[r / 16], before.reg[r / 16]);
        ck_assert_uint_eq(accepted, 3 + 2);
        ck_assert_uint_eq(eois, 2 + 2);
        ck_assert_uint_eq(stray, 0);
    }
}
END_TEST

START_TEST(cold_xapic_reaches_x2apic)
{
    boot(true);
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    m.apic_base &= ~APIC_BASE_EXTD;
    x2 = false;
    ck_assert_int_eq(dev_lapic_check(&s, 0, lapic_mode(), why, sizeof why), E_OK);
    ck_assert_int_eq(lapic_restore(&s), E_OK);
    ck_assert(lapic_mode() == LAPIC_MODE_X2APIC);
    s.mode = LAPIC_MODE_XAPIC;
    ck_assert_int_eq(dev_lapic_check(&s, 1, lapic_mode(), why, sizeof why), E_LAYOUT);
}
END_TEST

START_TEST(timers)
{
    struct dev_lapic_plan plan;
    boot(false);
    R(0x320) = 0x200ec; /* periodic */
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    ck_assert_int_eq(lapic_restore(&s), E_OK);
    ck_assert_uint_eq(R(LAPIC_TIMER_INITIAL), 100000);
    boot(false);
    R(LAPIC_TIMER_CURRENT) = 0; /* fired */
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    dev_lapic_plan(&s, &plan);
    ck_assert_uint_eq(plan.timer_initial, 0);
    boot(false);
    R(0x320) = 0x400ec; /* TSC deadline */
    R(LAPIC_TIMER_INITIAL) = R(LAPIC_TIMER_CURRENT) = 0;
    m.deadline = 0x123456789;
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    m.deadline = 5;
    ck_assert_int_eq(lapic_restore(&s), E_OK);
    ck_assert_uint_eq(m.deadline, 0x123456789);
    ck_assert_int_eq(lapic_quiesce(), E_OK);
    ck_assert_uint_eq(m.deadline, 0);
    ck_assert(R(0x320) & LAPIC_LVT_MASKED);
}
END_TEST

START_TEST(level_interrupts_are_left_to_the_ioapic)
{
    struct dev_lapic_plan plan;
    boot(false);
    bank_set(LAPIC_TMR(0), 0x22, true);
    ck_assert(!lapic_level_in_service());
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    dev_lapic_plan(&s, &plan);
    ck_assert_uint_eq(plan.level_left, 1);
    ck_assert_uint_eq(plan.pending_count, 2);
    ck_assert_uint_eq(plan.in_service[0], 0x31);
    ck_assert_uint_eq(plan.in_service[2], 0xec);
    bank_set(LAPIC_TMR(0), 0x55, true);
    ck_assert(lapic_level_in_service());
}
END_TEST

START_TEST(failures_are_reported_not_waited_for)
{
    boot(false);
    env_clock_step_us = 1000;
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    refuse_accept = true;
    ck_assert_int_eq(lapic_restore(&s), E_TIMEOUT);
    boot(false);
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    for (uint32_t i = 0; i < 8; i++)
        R(LAPIC_ISR(i)) = R(LAPIC_IRR(i)) = 0;
    deaf = true;
    ck_assert_int_eq(lapic_restore(&s), E_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(env_log, "vector 31 could not"));
    env_clock_step_us = 1;
}
END_TEST

START_TEST(switched_off)
{
    boot(false);
    m.apic_base = BASE;
    ck_assert(!lapic_present());
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    ck_assert_uint_eq(s.mode, LAPIC_MODE_OFF);
    ck_assert_int_eq(lapic_quiesce(), E_OK);
    ck_assert_int_eq(lapic_restore(&s), E_OK);
    ck_assert(!lapic_level_in_service());
    ck_assert_int_eq(dev_lapic_check(&s, 0, LAPIC_MODE_OFF, why, sizeof why), E_OK);
}
END_TEST

START_TEST(counter_nmi)
{
    for (int mode = 0; mode < 2; mode++) {
        boot(mode);
        R(0x340) = 0x400; /* NMI, not masked: none was sent */
        ck_assert(!lapic_counter_nmi());
        R(0x340) = 0x10400; /* masked: by the guest ... */
        ck_assert(!lapic_counter_nmi());
        m.overflow = 1; /* ... or by the delivery */
        ck_assert(lapic_counter_nmi());
        R(0x340) = 0x100ee; /* masked, but a vector */
        ck_assert(!lapic_counter_nmi());
        R(0x340) = 0x10400;
        R(LAPIC_VERSION) = 0x00030014; /* four entries: the counter's is not among them */
        ck_assert(!lapic_counter_nmi());
    }
    boot(false);
    R(0x340) = 0x10400;
    m.apic_base = BASE;
    ck_assert(!lapic_counter_nmi());
}
END_TEST

START_TEST(refusals)
{
    boot(false);
    ck_assert_int_eq(lapic_capture(&s), E_OK);
    uint32_t id = lapic_id();
    ck_assert_int_eq(dev_lapic_check(&s, id + 1, LAPIC_MODE_XAPIC, why, sizeof why), E_LAYOUT);
    ck_assert_int_eq(dev_lapic_check(&s, id, LAPIC_MODE_OFF, why, sizeof why), E_LAYOUT);
    bad = s, bad.isr[1] |= 1u << 20; /* 34h beside 31h */
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_DEVICE);
    bad = s, bad.isr[0] |= 1;
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_DEVICE);
    bad = s, bad.irr[0] |= 0x8000;
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_DEVICE);
    bad = s, bad.mode = 3;
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_DEVICE);
    bad = s, bad.timer_current = bad.timer_initial + 1;
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_DEVICE);
    bad = s, bad.lvt[LVT_TIMER] |= 3u << 17;
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_DEVICE);
    bad = s, bad.head.version = 2;
    ck_assert_int_eq(dev_lapic_check(&bad, id, LAPIC_MODE_XAPIC, why, sizeof why), E_STOREVERSION);
    dev_lapic_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "3 in service, 3 pending"));
    ck_assert(dev_lapic_lvt_exists(0x60015, LVT_CMCI) && !dev_lapic_lvt_exists(0x50014, LVT_CMCI));
    ck_assert_uint_eq(dev_lapic_ext_lvts(0x80050010, 0x00040007), 4);
    ck_assert_uint_eq(dev_lapic_ext_lvts(0x00050010, 0x00040007), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("lapic");
    TCase *c = tcase_create("all");
    tcase_add_test(c, round_trip_in_both_modes);
    tcase_add_test(c, cold_xapic_reaches_x2apic);
    tcase_add_test(c, timers);
    tcase_add_test(c, level_interrupts_are_left_to_the_ioapic);
    tcase_add_test(c, failures_are_reported_not_waited_for);
    tcase_add_test(c, switched_off);
    tcase_add_test(c, counter_nmi);
    tcase_add_test(c, refusals);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("lapic", suite)

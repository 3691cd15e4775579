/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TSC's debt on CPUs whose counters can be set, and on some whose counters ignore writes. tsc_debt.c is included, so
   that each CPU's counter can be a variable. */
#include "cpu.h"

static uint64_t fake_rdtsc(void);
static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf);
static bool fake_rdmsr_safe(uint32_t msr, uint64_t *value);
static bool fake_wrmsr_safe(uint32_t msr, uint64_t value);
static void fake_wrmsr(uint32_t msr, uint64_t value);
#define cpu_rdtsc fake_rdtsc
#define cpu_cpuid fake_cpuid
#define cpu_rdmsr_safe fake_rdmsr_safe
#define cpu_wrmsr_safe fake_wrmsr_safe
#define cpu_wrmsr fake_wrmsr
#include "kernel/tsc_debt.c"

#include "unit.h"

#include <string.h>

#define HZ 1000000000ull
#define HPET 0xfed00000ull
#define NOW 5000000000ull
#define READ_CYCLES 1000u /* that much passes per look at the counter */
#define STALL_CYCLES (50u * READ_CYCLES)
#define SETTLE_US 5000000u
#define CPUS 3u

struct guest guest;
struct machine machine;
static struct cpu machine_cpus[CPUS];
struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count;
/* A counter is the time that has passed since reset, plus what was written. */
static uint64_t passed, written[CPUS], adjust_msr[CPUS];
static unsigned here; /* the CPU whose instructions are carried out */
static unsigned stopped, stops, orders;
static bool does_not_come;
static uint64_t hpet_config, hpet_counter;
static bool takes_writes, faults, has_adjust_msr;
static int64_t offset[CPUS];
static unsigned offsets_set, moved, looks;
static uint64_t host_moved; /* by how much the host has been told that its clock has moved */

static uint64_t fake_rdtsc(void)
{
    /* Halting it is not exact everywhere. */
    hpet_counter += hpet_config & HPET_CONFIG_ENABLE ? READ_CYCLES : 1;
    passed += READ_CYCLES;
    return passed + written[here];
}

/* The first CPU's, without looking. */
static uint64_t tsc(void)
{
    return passed + written[0];
}

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf)
{
    (void)subleaf;
    return leaf == 0 ? (struct cpuid_regs){.eax = 7}
                     : (struct cpuid_regs){.ebx = has_adjust_msr ? CPUID7_EBX_TSC_ADJUST : 0};
}

static bool fake_rdmsr_safe(uint32_t msr, uint64_t *value)
{
    ck_assert_uint_eq(msr, MSR_IA32_TSC_ADJUST);
    *value = adjust_msr[here];
    return true;
}

/* SDM 3B 18.17.3 "Time-Stamp Counter Adjustment": a write to either moves the other by the same amount. */
static bool fake_wrmsr_safe(uint32_t msr, uint64_t value)
{
    if (faults)
        return false;
    if (!takes_writes)
        return true;
    uint64_t by = value - (msr == MSR_IA32_TSC ? passed + written[here] : adjust_msr[here]);
    written[here] += by;
    adjust_msr[here] += by;
    return true;
}

static void fake_wrmsr(uint32_t msr, uint64_t value)
{
    (void)fake_wrmsr_safe(msr, value);
}

uint64_t mmio_read64(hpa_t where)
{
    if (where.v == HPET)
        return 1000000ull << 32; /* its period in femtoseconds: as fast as the TSC */
    ck_assert(where.v == HPET + HPET_CONFIG || where.v == HPET + HPET_COUNTER);
    return where.v == HPET + HPET_CONFIG ? hpet_config : hpet_counter;
}

void mmio_write64(hpa_t where, uint64_t value)
{
    if (where.v == HPET + HPET_CONFIG) {
        hpet_config = value;
        return;
    }
    ck_assert_uint_eq(where.v, HPET + HPET_COUNTER);
    ck_assert_uint_eq(stopped, 1);                  /* no CPU sees it stand still */
    ck_assert(!(hpet_config & HPET_CONFIG_ENABLE)); /* IA-PC HPET 2.3.7: only while halted */
    hpet_counter = value;
}

uint64_t clock_tsc_hz(void)
{
    return HZ;
}

void clock_tsc_moved(uint64_t before, uint64_t after)
{
    host_moved += after - before;
    moved++;
}

void console_notice(const char *fmt, ...)
{
    (void)fmt;
}

enum err smp_stop(void)
{
    stops++;
    if (does_not_come)
        return E_CPU;
    stopped++;
    return E_OK;
}

void smp_release(void)
{
    ck_assert_uint_gt(stopped, 0);
    stopped--;
}

enum err smp_each(enum err (*fn)(struct cpu *c), uint32_t *who)
{
    enum err first = E_OK;
    ck_assert_ptr_null(who);
    orders++;
    for (here = 0; here < CPUS; here++) {
        enum err e = fn(cpus[here]);
        first = first ? first : e;
    }
    here = 0;
    return first;
}

static void set_offset(struct vcpu *v, int64_t value)
{
    ck_assert_uint_lt(v->cpu, CPUS);
    ck_assert_ptr_eq(v, &cpus[v->cpu]->vcpu);
    offset[v->cpu] = value;
    offsets_set++;
}

/* As the run loop does, between whose looks a machine may stand still for a while. */
static bool paid(void)
{
    do {
        if (tsc_debt_pay())
            return true;
        passed += STALL_CYCLES;
        looks++;
    } while (guest.held);
    return false;
}

static const struct backend with_offset = {.name = "svm", .set_tsc_offset = set_offset}, without = {.name = "vmx"};

static void start(bool settable)
{
    memset(&guest, 0, sizeof guest);
    memset(&machine, 0, sizeof machine);
    guest.backend = &with_offset;
    guest.settle_us = SETTLE_US;
    machine.acpi.hpet_address = HPET;
    cpu_count = CPUS;
    for (uint32_t i = 0; i < CPUS; i++) {
        cpus[i] = &machine_cpus[i];
        cpus[i]->vcpu.cpu = cpus[i]->index = i;
        cpus[i]->present = true;
        written[i] = 3 * i; /* nothing is ever quite in step */
        adjust_msr[i] = 77 + 3 * i;
        offset[i] = 0;
    }
    passed = NOW;
    stopped = stops = orders = 0;
    does_not_come = false;
    hpet_config = HPET_CONFIG_ENABLE | BIT(1);
    hpet_counter = 0;
    takes_writes = has_adjust_msr = settable;
    faults = false;
    offsets_set = moved = looks = 0;
    host_moved = 0;
    env_clock_us = 10 * SETTLE_US; /* the host has been up for a while */
    tsc_debt_probe();
    debt = 0;
}

START_TEST(probing_leaves_no_trace)
{
    start(true);
    ck_assert(tsc_writable());
    ck_assert_uint_eq(adjust_msr[0], 77);
    ck_assert_uint_eq(orders + stops, 0); /* one CPU speaks for all, and the others may not be up yet */
    ck_assert_uint_lt(tsc() - NOW, 10 * READ_CYCLES);
    /* Settable, but without the adjustment register: back by a write. */
    has_adjust_msr = false;
    written[0] = 0;
    passed = NOW;
    tsc_debt_probe();
    ck_assert(tsc_writable());
    ck_assert_uint_lt(tsc() - NOW, 10 * READ_CYCLES);
    start(false);
    ck_assert(!tsc_writable());
    ck_assert_uint_lt(tsc() - NOW, 10 * READ_CYCLES);
    takes_writes = faults = true;
    tsc_debt_probe();
    ck_assert(!tsc_writable());
}
END_TEST

START_TEST(a_counter_that_can_be_set)
{
    start(true);
    ck_assert_int_eq(tsc_debt_set(9 * NOW), E_OK);
    ck_assert_uint_lt(tsc() - 9 * NOW, 10 * READ_CYCLES);
    ck_assert_uint_eq(moved, 1);
    ck_assert_uint_eq(tsc_debt_left(), 0);
    ck_assert_int_eq(tsc_debt_set(NOW), E_OK); /* backwards, too */
    ck_assert_uint_lt(tsc() - NOW, 10 * READ_CYCLES);
    ck_assert(tsc_debt_pay());
    ck_assert(!guest.held);
}
END_TEST

/* Whatever is written, the differences between the CPUs' counters stay: to the cycle with the adjustment, else but for
   what passes between two instructions. */
START_TEST(all_counters_move_by_the_same)
{
    for (int with_adjust = 0; with_adjust < 2; with_adjust++) {
        start(true);
        has_adjust_msr = with_adjust;
        tsc_debt_probe();
        uint64_t before[CPUS];
        memcpy(before, written, sizeof before);
        ck_assert_int_eq(tsc_debt_set(9 * NOW), E_OK);
        ck_assert_uint_eq(orders, 1);
        for (unsigned i = 0; i < CPUS; i++) {
            ck_assert_uint_eq(written[i] - before[i], written[0] - before[0]);
            ck_assert_uint_eq(adjust_msr[i], 77 + written[i]);
        }
        ck_assert_uint_lt(tsc() - 9 * NOW, 10 * READ_CYCLES);
    }
}
END_TEST

/* A checkpoint in which each CPU had its own adjustment. */
static void at_the_cut(struct vcpu_state *of)
{
    memset(of, 0, CPUS * sizeof *of);
    for (unsigned i = 0; i < CPUS; i++) {
        of[i].msr_present = BIT(VMSR_TSC_ADJUST) | BIT(VMSR_PAT);
        of[i].msr[VMSR_TSC_ADJUST] = 100000u * i - 7000u;
    }
}

/* In place: whatever the guest has done to its counters since the cut is undone. */
START_TEST(the_adjustment_of_the_cut_comes_back)
{
    static struct vcpu_state of[CPUS];
    start(true);
    at_the_cut(of);
    uint64_t reset_to_now[CPUS];
    for (unsigned i = 0; i < CPUS; i++)
        reset_to_now[i] = written[i] - adjust_msr[i];
    uint64_t leader = written[0];
    tsc_debt_put_adjust(of);
    ck_assert_uint_eq(orders, 1);
    for (unsigned i = 0; i < CPUS; i++) {
        ck_assert_uint_eq(adjust_msr[i], of[i].msr[VMSR_TSC_ADJUST]);
        ck_assert_uint_eq(written[i], reset_to_now[i] + adjust_msr[i]);
    }
    ck_assert_uint_eq(host_moved, written[0] - leader); /* to the cycle: no deadline of the host's moves */
}
END_TEST

/* Cold: the leader's counter is what was decided, and the others differ from it as they did at the cut, whatever the
   firmware or an earlier restore has left. */
START_TEST(cold_the_differences_between_cpus_come_back)
{
    static struct vcpu_state of[CPUS];
    for (unsigned restored_before = 0; restored_before < 2; restored_before++) {
        start(true);
        for (unsigned i = 0; i < CPUS; i++)
            written[i] = adjust_msr[i] = restored_before * 12345678u * (i + 1);
        at_the_cut(of);
        tsc_debt_put_adjust(of);
        ck_assert_int_eq(tsc_debt_set(9 * NOW), E_OK);
        ck_assert_uint_lt(tsc() - 9 * NOW, 10 * READ_CYCLES);
        for (unsigned i = 0; i < CPUS; i++) {
            ck_assert_uint_eq(adjust_msr[i] - adjust_msr[0], of[i].msr[VMSR_TSC_ADJUST] - of[0].msr[VMSR_TSC_ADJUST]);
            ck_assert_uint_eq(written[i] - written[0], adjust_msr[i] - adjust_msr[0]);
        }
        ck_assert_uint_eq(host_moved, written[0] - restored_before * 12345678u);
    }
}
END_TEST

/* A CPU that waited for its start-up IPI at the cut has no registers there. */
START_TEST(a_held_cpu_keeps_step_with_the_first)
{
    static struct vcpu_state of[CPUS];
    start(true);
    at_the_cut(of);
    memset(&of[1], 0, sizeof of[1]);
    of[1].activity = ACTIVITY_WAIT_SIPI;
    tsc_debt_put_adjust(of);
    ck_assert_uint_eq(adjust_msr[0], of[0].msr[VMSR_TSC_ADJUST]);
    ck_assert_uint_eq(adjust_msr[1], of[0].msr[VMSR_TSC_ADJUST]);
    ck_assert_uint_eq(adjust_msr[2], of[2].msr[VMSR_TSC_ADJUST]);
}
END_TEST

/* No such register here, or in the checkpoint; or a counter that cannot be set. */
START_TEST(without_an_adjustment_nothing_is_written)
{
    static struct vcpu_state of[CPUS];
    for (unsigned which = 0; which < 3; which++) {
        start(which != 0);
        at_the_cut(of);
        if (which == 1) {
            has_adjust_msr = false;
            tsc_debt_probe();
            memset(written, 0, sizeof written);
        }
        if (which == 2)
            of[0].msr_present = BIT(VMSR_PAT);
        uint64_t before[CPUS], msrs[CPUS];
        memcpy(before, written, sizeof before);
        memcpy(msrs, adjust_msr, sizeof msrs);
        tsc_debt_put_adjust(of);
        ck_assert_mem_eq(before, written, sizeof before);
        ck_assert_mem_eq(msrs, adjust_msr, sizeof msrs);
        ck_assert_uint_eq(moved, 0);
    }
}
END_TEST

START_TEST(a_cpu_that_does_not_come_puts_paying_off)
{
    start(false);
    ck_assert_int_eq(tsc_debt_set(tsc() + HZ), E_TSC);
    tsc_debt_apply();
    env_clock_us += SETTLE_US;
    does_not_come = true;
    uint64_t owed = tsc_debt_left();
    ck_assert(!paid());
    ck_assert_uint_eq(tsc_debt_left(), owed);
    ck_assert_int_eq(offset[CPUS - 1], (int64_t)owed);
    ck_assert_uint_eq(hpet_config, HPET_CONFIG_ENABLE | BIT(1));
    ck_assert(stopped == 0 && looks == 1 && !guest.held);
    does_not_come = false;
    ck_assert(paid());
    ck_assert_uint_eq(stopped, 0);
}
END_TEST

START_TEST(the_debt_is_added_and_paid)
{
    start(false);
    uint64_t wanted = tsc() + 2 * HZ;
    ck_assert_int_eq(tsc_debt_set(wanted), E_TSC);
    ck_assert_uint_eq(moved, 0);
    ck_assert_uint_eq(tsc_debt_left() + tsc(), wanted);
    tsc_debt_apply();
    for (unsigned i = 0; i < CPUS; i++)
        ck_assert_int_eq(offset[i], (int64_t)tsc_debt_left());
    ck_assert(tsc_debt_payable());
    /* Not before the restored guest has had its settling time. */
    ck_assert(!paid());
    ck_assert_uint_eq(looks, 1);
    ck_assert_uint_ne(tsc_debt_left(), 0);
    env_clock_us += SETTLE_US;
    uint64_t counter = hpet_counter, shown = tsc() + (uint64_t)offset[0];
    ck_assert(paid());
    ck_assert_uint_eq(tsc_debt_left(), 0);
    for (unsigned i = 0; i < CPUS; i++)
        ck_assert_int_eq(offset[i], 0);
    ck_assert(stops == 1 && stopped == 0);
    ck_assert_uint_ge(tsc(), shown); /* the guest's counter does not go back */
    ck_assert_uint_lt(tsc() - shown, 100 * READ_CYCLES);
    /* The HPET was held, and has moved as far as what the guest sees of the TSC has. */
    int64_t apart = (int64_t)(hpet_counter - counter) - (int64_t)(tsc() - shown);
    ck_assert_int_lt(apart < 0 ? -apart : apart, 30 * (int64_t)READ_CYCLES);
    ck_assert_uint_eq(hpet_config, HPET_CONFIG_ENABLE | BIT(1));
    ck_assert_uint_gt(looks, 10); /* the console goes on meanwhile */
}
END_TEST

/* Let go in the middle, and held again: the clocks agree all the time, and the guest sees nothing of either pause. */
START_TEST(it_may_be_paid_in_two_parts)
{
    start(false);
    ck_assert_int_eq(tsc_debt_set(tsc() + 2 * HZ), E_TSC);
    tsc_debt_apply();
    tsc_debt_let_go(); /* it is not held */
    ck_assert_int_eq(offset[0], (int64_t)tsc_debt_left());
    env_clock_us += SETTLE_US;
    uint64_t owed = tsc_debt_left(), counter = hpet_counter, shown = tsc() + owed;
    ck_assert(!tsc_debt_pay() && guest.held && stopped == 1);
    passed += HZ;
    ck_assert(!tsc_debt_pay() && guest.held);
    tsc_debt_let_go();
    ck_assert(!guest.held && stopped == 0);
    ck_assert_uint_le(tsc_debt_left(), owed - HZ);
    ck_assert_uint_ge(tsc_debt_left(), owed - HZ - 100 * READ_CYCLES);
    for (unsigned i = 0; i < CPUS; i++)
        ck_assert_int_eq(offset[i], (int64_t)tsc_debt_left());
    uint64_t now = tsc() + tsc_debt_left();
    ck_assert_uint_ge(now, shown);
    ck_assert_uint_lt(now - shown, 100 * READ_CYCLES);
    int64_t apart = (int64_t)(hpet_counter - counter) - (int64_t)(now - shown);
    ck_assert_int_lt(apart < 0 ? -apart : apart, 30 * (int64_t)READ_CYCLES);
    ck_assert_uint_eq(hpet_config, HPET_CONFIG_ENABLE | BIT(1));
    ck_assert(paid() && !guest.held && stopped == 0 && stops == 2);
    ck_assert_uint_eq(tsc_debt_left(), 0);
}
END_TEST

START_TEST(nothing_owed_when_the_counter_is_ahead)
{
    start(false);
    ck_assert_int_eq(tsc_debt_set(NOW - 1), E_TSC);
    ck_assert_uint_eq(tsc_debt_left(), 0);
    ck_assert(paid());
    /* An older debt does not outlive a second restore. */
    ck_assert_int_eq(tsc_debt_set(tsc() + HZ), E_TSC);
    ck_assert_int_eq(tsc_debt_set(NOW - 1), E_TSC);
    ck_assert_uint_eq(tsc_debt_left(), 0);
}
END_TEST

START_TEST(what_cannot_be_paid)
{
    start(false);
    ck_assert_int_eq(tsc_debt_set(tsc() + 59 * HZ), E_TSC);
    ck_assert(tsc_debt_payable());
    ck_assert_int_eq(tsc_debt_set(tsc() + 62 * HZ), E_TSC);
    ck_assert(!tsc_debt_payable());
    ck_assert_int_eq(tsc_debt_set(tsc() + HZ), E_TSC);
    guest.backend = &without;
    ck_assert(!tsc_debt_payable());
    tsc_debt_apply();
    ck_assert_uint_eq(offsets_set, 0);
}
END_TEST

START_TEST(a_counter_that_stands_still_does_not_hold_for_ever)
{
    start(false);
    machine.acpi.hpet_address = 0; /* and nothing is touched where no HPET is */
    ck_assert_int_eq(tsc_debt_set(tsc() + 50 * HZ), E_TSC);
    env_clock_us += SETTLE_US;
    env_clock_step_us = 1000000;
    ck_assert(paid());
    env_clock_step_us = 1;
    ck_assert_uint_lt(looks, 100);
    ck_assert_uint_eq(hpet_config, HPET_CONFIG_ENABLE | BIT(1));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tsc_debt");
    TCase *t = tcase_create("all");
    tcase_add_test(t, probing_leaves_no_trace);
    tcase_add_test(t, a_counter_that_can_be_set);
    tcase_add_test(t, all_counters_move_by_the_same);
    tcase_add_test(t, the_debt_is_added_and_paid);
    tcase_add_test(t, the_adjustment_of_the_cut_comes_back);
    tcase_add_test(t, cold_the_differences_between_cpus_come_back);
    tcase_add_test(t, a_held_cpu_keeps_step_with_the_first);
    tcase_add_test(t, without_an_adjustment_nothing_is_written);
    tcase_add_test(t, a_cpu_that_does_not_come_puts_paying_off);
    tcase_add_test(t, it_may_be_paid_in_two_parts);
    tcase_add_test(t, nothing_owed_when_the_counter_is_ahead);
    tcase_add_test(t, what_cannot_be_paid);
    tcase_add_test(t, a_counter_that_stands_still_does_not_hold_for_ever);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("tsc_debt", suite)

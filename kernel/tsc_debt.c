/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See the header. */
#include "kernel/tsc_debt.h"

#include "backend.h"
#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "io.h"
#include "kernel/console.h"
#include "kernel/guest.h"
#include "kernel/machine.h"
#include "kernel/smp.h"
#include "kernel/timebase.h"
#include "log.h"
#include "msr.h"

#define PROBE_STEP (1ull << 40)
#define PAYABLE_MAX_S 60u
#define HPET_CONFIG 0x10u
#define HPET_COUNTER 0xf0u
#define HPET_PERIOD_SHIFT 32
#define MOMENT_TRIES 8u
#define ALIGN_TRIES 8u
#define ALIGNED_US 20u
#define HPET_CONFIG_ENABLE BIT(0)

static bool writable, has_adjust;
static uint64_t step; /* to add to every CPU's counter */
static uint64_t debt; /* cycles that the guest's TSC is ahead of the CPU's */
static uint64_t owed_since_us;

void tsc_debt_probe(void)
{
    uint64_t adjust = 0;
    has_adjust = cpu_cpuid(0, 0).eax >= 7 && (cpu_cpuid(7, 0).ebx & CPUID7_EBX_TSC_ADJUST) &&
                 cpu_rdmsr_safe(MSR_IA32_TSC_ADJUST, &adjust);
    uint64_t before = cpu_rdtsc();
    bool taken = cpu_wrmsr_safe(MSR_IA32_TSC, before + PROBE_STEP);
    uint64_t after = cpu_rdtsc();
    writable = taken && after - before >= PROBE_STEP;
    /* The adjustment takes the step back to the cycle, and is what the firmware left there. */
    if (writable && has_adjust)
        cpu_wrmsr(MSR_IA32_TSC_ADJUST, adjust);
    else if (writable)
        cpu_wrmsr(MSR_IA32_TSC, cpu_rdtsc() - PROBE_STEP);
    else
        log_line("clock", "the TSC ignores writes");
}

bool tsc_writable(void)
{
    return writable;
}

/* All counters move by the same, so that they stay in step: with the adjustment to the cycle, without it to the few
   cycles between the two instructions, as any other system's writing would leave them. */
static enum err move_tsc(struct cpu *c)
{
    uint64_t adjust = 0;
    (void)c;
    if (has_adjust && cpu_rdmsr_safe(MSR_IA32_TSC_ADJUST, &adjust))
        cpu_wrmsr(MSR_IA32_TSC_ADJUST, adjust + step);
    else
        cpu_wrmsr(MSR_IA32_TSC, cpu_rdtsc() + step);
    return E_OK;
}

static const struct vcpu_state *states;

static enum err put_adjust(struct cpu *c)
{
    const struct vcpu_state *s = &states[c->index];
    cpu_wrmsr(MSR_IA32_TSC_ADJUST, (s->msr_present & BIT(VMSR_TSC_ADJUST) ? s : states)->msr[VMSR_TSC_ADJUST]);
    return E_OK;
}

void tsc_debt_put_adjust(const struct vcpu_state *of)
{
    uint64_t before;
    if (!writable || !has_adjust || !(of->msr_present & BIT(VMSR_TSC_ADJUST)) ||
        !cpu_rdmsr_safe(MSR_IA32_TSC_ADJUST, &before))
        return;
    states = of;
    enum err e = smp_each(put_adjust, NULL);
    (void)e; /* cannot fail */
    clock_tsc_moved(before, of->msr[VMSR_TSC_ADJUST]);
}

enum err tsc_debt_set(uint64_t value)
{
    uint64_t before = cpu_rdtsc();
    debt = 0;
    if (!writable) {
        if (value > before)
            debt = value - before;
        owed_since_us = clock_us();
        log_line("clock", "E_TSC: now=%llu wanted=%llu", (unsigned long long)before, (unsigned long long)value);
        return E_TSC;
    }
    before = cpu_rdtsc();
    step = value - before;
    enum err e = smp_each(move_tsc, NULL);
    clock_tsc_moved(before, before + step);
    return e;
}

void tsc_debt_apply(void)
{
    for (uint32_t i = 0; i < cpu_count && guest.backend->set_tsc_offset; i++)
        guest.backend->set_tsc_offset(&cpus[i]->vcpu, (int64_t)debt);
}

uint64_t tsc_debt_left(void)
{
    return debt;
}

bool tsc_debt_payable(void)
{
    return guest.backend->set_tsc_offset && debt / PAYABLE_MAX_S <= clock_tsc_hz();
}

/* Readings of both clocks that belong together. */
struct moment {
    uint64_t tsc, hpet;
};

static struct moment same_moment(uint64_t hpet)
{
    struct moment best = {0, 0};
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < MOMENT_TRIES; i++) {
        uint64_t before = cpu_rdtsc(), counter = mmio_read64((hpa_t){hpet + HPET_COUNTER}), after = cpu_rdtsc();
        if (after - before < least) {
            least = after - before;
            best = (struct moment){before + least / 2, counter};
        }
    }
    return best;
}

/* So many cycles of the TSC, at most a few seconds of them, in ticks of the HPET. */
static uint64_t hpet_ticks(uint64_t hpet, uint64_t cycles)
{
    uint64_t ns = cycles * 1000000 / (clock_tsc_hz() / 1000);
    return ns * 1000000 / (mmio_read64((hpa_t){hpet}) >> HPET_PERIOD_SHIFT);
}

/* Where both clocks were when the guest was held. */
static struct moment from;
static uint64_t hpet_was, hold_end;

static bool hold(void)
{
    uint64_t hpet = machine.acpi.hpet_address;
    if (smp_stop())
        return false; /* a CPU did not come: another time */
    console_notice("this CPU's time-stamp counter cannot be set: holding the guest %llu ms until it has caught up; "
                   "`enter` lets it go on",
                   (unsigned long long)(debt / (clock_tsc_hz() / 1000)));
    from = (struct moment){.tsc = cpu_rdtsc()};
    if (hpet) {
        from = same_moment(hpet);
        hpet_was = mmio_read64((hpa_t){hpet + HPET_CONFIG});
        mmio_write64((hpa_t){hpet + HPET_CONFIG}, hpet_was & ~HPET_CONFIG_ENABLE);
    }
    hold_end = deadline_in_us((PAYABLE_MAX_S + 1) * 1000000ull);
    return guest.held = true;
}

/* So much of the debt has passed. */
static void go_on(uint64_t paid, uint64_t left)
{
    uint64_t hpet = machine.acpi.hpet_address;
    /* An emulator may stand still anywhere between these lines, and a guest that compares the two clocks would give up its
       TSC for less than a millisecond: look what came of it. */
    for (unsigned tries = 0; hpet && tries < ALIGN_TRIES; tries++) {
        mmio_write64((hpa_t){hpet + HPET_CONFIG}, hpet_was & ~HPET_CONFIG_ENABLE);
        mmio_write64((hpa_t){hpet + HPET_COUNTER}, from.hpet + hpet_ticks(hpet, cpu_rdtsc() - from.tsc - paid));
        mmio_write64((hpa_t){hpet + HPET_CONFIG}, hpet_was);
        struct moment now = same_moment(hpet);
        uint64_t want = from.hpet + hpet_ticks(hpet, now.tsc - from.tsc - paid);
        uint64_t off = now.hpet > want ? now.hpet - want : want - now.hpet;
        if (off <= hpet_ticks(hpet, clock_tsc_hz() / 1000000 * ALIGNED_US))
            break;
    }
    debt = left;
    tsc_debt_apply();
    guest.held = false;
    smp_release();
}

void tsc_debt_let_go(void)
{
    if (!guest.held)
        return;
    uint64_t paid = min_u64(cpu_rdtsc() - from.tsc, debt);
    go_on(paid, debt - paid);
}

bool tsc_debt_pay(void)
{
    if (!debt)
        return true;
    if (!guest.held && (clock_us() - owed_since_us < guest.settle_us || !hold()))
        return false;
    if (cpu_rdtsc() - from.tsc < debt && !deadline_passed(hold_end))
        return false;
    go_on(debt, 0);
    return true;
}

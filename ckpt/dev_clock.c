/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_clock.h. */
#include "ckpt/dev_clock.h"

#include "bits.h"
#include "str.h"

#define FS_PER_S 1000000000000000ull
#define PS_PER_S 1000000000000ull
#define NS_PER_S 1000000000ull
#define US_PER_S 1000000ull
#define FS_PER_PS 1000ull
#define FS_PER_NS 1000000ull
#define PM_BITS_SHORT 24
#define PM_BITS_LONG 32
/* How far HPET and TSC may have drifted apart and still count as in step: 1/1024 of the time passed, and 1 ms. */
#define DRIFT_SHIFT 10
#define DRIFT_MIN_US 1000u

/* Who reads 32 bits of the HPET, as Linux does, takes a step of half of them or more for one back, and its clock stands still
   until that is made up for: 150 s. So it sees a gap shorter by as much, with another half for what it did not look. */
#define LONG_GAP MASK(31, 30)

/* A span of time as whole seconds and femtoseconds: fits 64-bit arithmetic whatever the clock. */
struct span {
    uint64_t s, fs;
};

static struct span span_of_pm(uint64_t ticks)
{
    return (struct span){ticks / PM_TIMER_HZ, ticks % PM_TIMER_HZ * PS_PER_S / PM_TIMER_HZ * FS_PER_PS};
}

static struct span span_of_tsc(uint64_t cycles, uint64_t hz)
{
    return (struct span){cycles / hz, cycles % hz * NS_PER_S / hz * FS_PER_NS};
}

static uint64_t span_to_hpet(struct span t, uint32_t period_fs)
{
    uint64_t whole = FS_PER_S / period_fs, rest = FS_PER_S % period_fs;
    uint64_t rest_fs = t.s % period_fs * rest; /* below 1e16 */
    return t.s * whole + t.s / period_fs * rest + rest_fs / period_fs + (t.fs + rest_fs % period_fs) / period_fs;
}

static uint64_t span_to_us(struct span t)
{
    return t.s * US_PER_S + t.fs / (FS_PER_NS * 1000);
}

/* Exact: not by way of a span. */
static uint64_t pm_to_tsc(uint64_t ticks, uint64_t hz)
{
    return ticks / PM_TIMER_HZ * hz + ticks % PM_TIMER_HZ * hz / PM_TIMER_HZ;
}

static bool kind_ok(const struct dev_clock_sample *c)
{
    if (c->tsc_hz < CLOCK_TSC_HZ_MIN || c->tsc_hz > CLOCK_TSC_HZ_MAX)
        return false;
    if (c->pm_bits != 0 && c->pm_bits != PM_BITS_SHORT && c->pm_bits != PM_BITS_LONG)
        return false;
    if (c->pm_bits < PM_BITS_LONG && c->pm >> c->pm_bits)
        return false;
    if (c->hpet_period_fs == 0)
        return c->hpet_bits == 0 && c->hpet == 0;
    if (c->hpet_period_fs < HPET_PERIOD_FS_MIN || c->hpet_period_fs > HPET_PERIOD_FS_MAX || c->hpet_running > 1)
        return false;
    return c->hpet_bits == 64 || (c->hpet_bits == 32 && c->hpet >> 32 == 0);
}

enum err dev_clock_check(const struct dev_clock_state *s, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_CLOCK_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (!kind_ok(&s->cut))
        return dev_refuse(E_DEVICE, why, why_len, "clock: impossible state");
    return E_OK;
}

static uint64_t mask_of(uint8_t bits)
{
    return bits == 0 ? 0 : MASK(bits - 1, 0);
}

static void plan_at_cut(const struct dev_clock_sample *cut, const struct dev_clock_sample *now,
                        struct dev_clock_plan *plan)
{
    uint64_t ticks = cut->pm_bits ? (now->pm - cut->pm) & MASK(PM_BITS_SHORT - 1, 0) : 0;
    plan->set_tsc = true;
    plan->tsc = cut->tsc + pm_to_tsc(ticks, cut->tsc_hz);
    plan->advance_us = span_to_us(span_of_pm(ticks));
    if (!cut->hpet_period_fs)
        return;
    plan->set_hpet = true;
    plan->hpet = cut->hpet;
    if (cut->hpet_running)
        plan->hpet = (cut->hpet + span_to_hpet(span_of_pm(ticks), cut->hpet_period_fs)) & plan->hpet_mask;
}

static void plan_run_on(const struct dev_clock_sample *cut, const struct dev_clock_sample *now,
                        struct dev_clock_plan *plan)
{
    struct span passed = span_of_tsc(now->tsc - cut->tsc, cut->tsc_hz);
    plan->tsc = now->tsc;
    plan->advance_us = span_to_us(passed);
    if (!cut->hpet_period_fs)
        return;
    if (!cut->hpet_running) {
        plan->set_hpet = true;
        plan->hpet = cut->hpet;
        return;
    }
    uint64_t moved = span_to_hpet(passed, cut->hpet_period_fs);
    uint64_t expected = (cut->hpet + (moved & ~LONG_GAP)) & plan->hpet_mask;
    uint64_t off = (now->hpet - expected) & plan->hpet_mask;
    if (off > plan->hpet_mask / 2) /* behind */
        off = (expected - now->hpet) & plan->hpet_mask;
    struct span slack = {0, FS_PER_NS * 1000 * DRIFT_MIN_US};
    uint64_t tolerated = (moved >> DRIFT_SHIFT) + span_to_hpet(slack, cut->hpet_period_fs);
    bool in_step = now->hpet_running && off <= tolerated && !(moved & LONG_GAP);
    /* A wide counter must not have gone back behind the cut, drift or not. */
    if (cut->hpet_bits == 64 && now->hpet < cut->hpet)
        in_step = false;
    plan->set_hpet = !in_step;
    plan->hpet = in_step ? now->hpet : expected;
}

enum err dev_clock_plan(const struct dev_clock_sample *cut, const struct dev_clock_sample *now, bool run_on,
                        struct dev_clock_plan *plan, char *why, size_t why_len)
{
    if (!kind_ok(cut) || !kind_ok(now))
        return dev_refuse(E_DEVICE, why, why_len, "clock: impossible values");
    if (cut->pm_bits != now->pm_bits || cut->hpet_period_fs != now->hpet_period_fs || cut->hpet_bits != now->hpet_bits)
        return dev_refuse(E_LAYOUT, why, why_len, "clock: HPET period %u and PM timer width %u, machine has %u and %u",
                          (unsigned)cut->hpet_period_fs, cut->pm_bits, (unsigned)now->hpet_period_fs, now->pm_bits);
    *plan = (struct dev_clock_plan){.valid = true,
                                    .raw_tsc = now->tsc,
                                    .tsc_hz = cut->tsc_hz,
                                    .hpet_period_fs = cut->hpet_period_fs,
                                    .hpet_runs = cut->hpet_running,
                                    .hpet_mask = mask_of(cut->hpet_bits)};
    if (run_on && now->tsc >= cut->tsc)
        plan_run_on(cut, now, plan);
    else
        plan_at_cut(cut, now, plan);
    return E_OK;
}

uint64_t dev_clock_tsc_at(const struct dev_clock_plan *plan, uint64_t raw_tsc)
{
    return plan->tsc + (raw_tsc - plan->raw_tsc);
}

uint64_t dev_clock_hpet_at(const struct dev_clock_plan *plan, uint64_t raw_tsc)
{
    if (!plan->hpet_period_fs || !plan->hpet_runs)
        return plan->hpet;
    struct span passed = span_of_tsc(raw_tsc - plan->raw_tsc, plan->tsc_hz);
    return (plan->hpet + span_to_hpet(passed, plan->hpet_period_fs)) & plan->hpet_mask;
}

void dev_clock_tsc_written(struct dev_clock_plan *plan)
{
    plan->raw_tsc = plan->tsc;
}

void dev_clock_show(const struct dev_clock_state *s, char *text, size_t len)
{
    const struct dev_clock_sample *c = &s->cut;
    str_format(text, len, "tsc %llu at %llu Hz hpet %llu pm %u/%u wall %llu us", (unsigned long long)c->tsc,
               (unsigned long long)c->tsc_hz, (unsigned long long)c->hpet, (unsigned)c->pm, c->pm_bits,
               (unsigned long long)c->wall_us);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See hpet.h. Every access is 32 bits wide: HPET 1.0a 2.4.7 warns that 64-bit accesses may be split by the
   chipset, and emulators do split them. The counter is stopped while it is set, as 2.3.7 "Main Counter Register"
   demands. */
#include "drivers/hpet.h"

#include "clock.h"
#include "io.h"

#define HPET_COUNTER_TRIES 4
#define ALIGN_TRIES 8u
#define ALIGNED_US 50u
#define FS_PER_US 1000000000ull
#define SPARE_TIMER_FIRST 2u /* 0 and 1 are the legacy replacement's */
#define SPARE_MIN_US 20u
#define SPARE_MAX_US 3600000000ull /* times FS_PER_US it fits in 64 bits */
#define HPET_PERIOD_WAIT_US 12000u /* one tick at HZ=100, and some: only guests with a periodic HPET tick pay this */

static hpa_t hpet_base;

void hpet_init(hpa_t base)
{
    hpet_base = base;
}

static uint32_t read32(uint32_t reg)
{
    return mmio_read32((hpa_t){hpet_base.v + reg});
}

static uint64_t read64(uint32_t reg)
{
    return read32(reg) | (uint64_t)read32(reg + 4) << 32;
}

static void write32(uint32_t reg, uint32_t value)
{
    mmio_write32((hpa_t){hpet_base.v + reg}, value);
}

static void write64(uint32_t reg, uint64_t value)
{
    write32(reg, (uint32_t)value);
    write32(reg + 4, (uint32_t)(value >> 32));
}

bool hpet_present(void)
{
    return hpet_base.v != 0;
}

uint64_t hpet_capabilities(void)
{
    return read64(HPET_REG_CAPABILITIES);
}

bool hpet_running(void)
{
    return read32(HPET_REG_CONFIG) & HPET_CONFIG_ENABLE;
}

uint64_t hpet_counter(void)
{
    if (!(hpet_capabilities() & HPET_CAP_COUNTER_64))
        return read32(HPET_REG_COUNTER);
    uint32_t high = read32(HPET_REG_COUNTER + 4), low = 0;
    for (int i = 0; i < HPET_COUNTER_TRIES; i++) {
        low = read32(HPET_REG_COUNTER);
        uint32_t again = read32(HPET_REG_COUNTER + 4);
        if (again == high)
            break;
        high = again;
    }
    return low | (uint64_t)high << 32;
}

/* ---- the last timer as the host's own ---- */

static struct {
    uint32_t timer, config; /* as the guest left it */
    uint64_t comparator;    /* likewise */
    uint32_t ours;          /* its configuration as the host left it */
    bool wide;              /* 64 bits */
    uint64_t at;            /* when it is due */
} spare;

bool hpet_spare_timer(uint32_t *lines)
{
    if (!hpet_present() || !hpet_running())
        return false;
    uint32_t last = HPET_CAP_TIMERS(hpet_capabilities()) - 1;
    uint64_t config = read64(HPET_REG_TIMER_CONFIG(last));
    *lines = (uint32_t)(config >> 32);
    return last >= SPARE_TIMER_FIRST && !(config & HPET_TN_INT_ENABLE);
}

static void spare_configure(uint32_t config)
{
    write32(HPET_REG_TIMER_CONFIG(spare.timer), config);
    spare.ours = read32(HPET_REG_TIMER_CONFIG(spare.timer));
}

void hpet_spare_begin(uint32_t line)
{
    uint64_t cap = hpet_capabilities();
    spare.timer = HPET_CAP_TIMERS(cap) - 1;
    spare.config = read32(HPET_REG_TIMER_CONFIG(spare.timer));
    spare.comparator = read64(HPET_REG_TIMER_COMPARATOR(spare.timer));
    spare.wide = (cap & HPET_CAP_COUNTER_64) && (spare.config & HPET_TN_SIZE_64);
    spare_configure(line << HPET_TN_ROUTE_SHIFT | (spare.wide ? 0 : (uint32_t)HPET_TN_32_MODE));
}

void hpet_spare_off(void)
{
    spare_configure(spare.ours & ~(uint32_t)HPET_TN_INT_ENABLE);
}

uint64_t hpet_spare_arm(uint64_t us)
{
    uint32_t period = HPET_CAP_PERIOD_FS(hpet_capabilities());
    uint64_t ticks = min_u64(max_u64(us, SPARE_MIN_US), SPARE_MAX_US) * FS_PER_US / period, now = hpet_counter();
    /* In 32-bit mode "it will generate another interrupt when the main counter wraps" (2.3.9.2.1 "Non-Periodic Mode"). */
    if (!spare.wide)
        ticks = min_u64(min_u64(ticks, INT32_MAX), (1ull << 32) - (uint32_t)now);
    spare.at = now + ticks;
    hpet_spare_off();
    write64(HPET_REG_TIMER_COMPARATOR(spare.timer), spare.wide ? spare.at : (uint32_t)spare.at);
    spare_configure(spare.ours | (uint32_t)HPET_TN_INT_ENABLE);
    return ticks * period / FS_PER_US;
}

bool hpet_spare_due(void)
{
    uint64_t since = hpet_counter() - spare.at;
    return spare.wide ? (int64_t)since >= 0 : (int32_t)since >= 0;
}

bool hpet_spare_intact(void)
{
    return hpet_running() && read32(HPET_REG_TIMER_CONFIG(spare.timer)) == spare.ours &&
           (!(spare.ours & HPET_TN_INT_ENABLE) || read32(HPET_REG_TIMER_COMPARATOR(spare.timer)) == (uint32_t)spare.at);
}

void hpet_spare_end(void)
{
    hpet_spare_off();
    write64(HPET_REG_TIMER_COMPARATOR(spare.timer), spare.comparator);
    write32(HPET_REG_TIMER_CONFIG(spare.timer), spare.config);
}

static void measure_periods(struct dev_hpet_state *s, uint32_t timers)
{
    uint64_t deadline = deadline_in_us(HPET_PERIOD_WAIT_US);
    for (uint32_t n = 0; n < timers; n++) {
        if (!dev_hpet_wants_period(s, n))
            continue;
        struct dev_hpet_timer *t = &s->timer[n];
        uint64_t now = t->comparator;
        while (now == t->comparator && !deadline_passed(deadline))
            now = read64(HPET_REG_TIMER_COMPARATOR(n));
        t->period = now - t->comparator;
        if (now < t->comparator) /* wrapped in 32-bit mode */
            t->period = (uint32_t)t->period;
        t->comparator = now;
    }
}

enum err hpet_capture(struct dev_hpet_state *s)
{
    s->head = DEV_HEAD(DEV_HPET_VERSION, struct dev_hpet_state);
    s->capabilities = hpet_capabilities();
    s->config = read64(HPET_REG_CONFIG);
    s->status = read64(HPET_REG_STATUS);
    uint32_t timers = HPET_CAP_TIMERS(s->capabilities);
    for (uint32_t n = 0; n < timers; n++) {
        s->timer[n].config = read64(HPET_REG_TIMER_CONFIG(n));
        s->timer[n].comparator = read64(HPET_REG_TIMER_COMPARATOR(n));
        if (s->timer[n].config & HPET_TN_FSB_CAPABLE)
            s->timer[n].fsb = read64(HPET_REG_TIMER_FSB(n));
    }
    measure_periods(s, timers);
    s->counter = hpet_counter();
    return E_OK;
}

enum err hpet_quiesce(void)
{
    uint32_t timers = HPET_CAP_TIMERS(hpet_capabilities());
    for (uint32_t n = 0; n < timers; n++)
        write32(HPET_REG_TIMER_CONFIG(n), read32(HPET_REG_TIMER_CONFIG(n)) & ~(uint32_t)HPET_TN_INT_ENABLE);
    return E_OK;
}

static void restore_timer(const struct dev_hpet_state *s, uint32_t n, uint64_t counter)
{
    const struct dev_hpet_timer *t = &s->timer[n];
    uint32_t config = (uint32_t)t->config & ~(uint32_t)HPET_TN_VAL_SET;
    bool periodic = config & HPET_TN_PERIODIC;
    uint32_t quiet = config & ~(uint32_t)HPET_TN_INT_ENABLE;
    uint64_t comparator = dev_hpet_comparator(s, n, counter);
    /* VAL_SET "automatically clears": once for each half of the accumulator. The next write is then the period. */
    write32(HPET_REG_TIMER_CONFIG(n), periodic ? quiet | (uint32_t)HPET_TN_VAL_SET : quiet);
    write32(HPET_REG_TIMER_COMPARATOR(n), (uint32_t)comparator);
    if (periodic)
        write32(HPET_REG_TIMER_CONFIG(n), quiet | (uint32_t)HPET_TN_VAL_SET);
    write32(HPET_REG_TIMER_COMPARATOR(n) + 4, (uint32_t)(comparator >> 32));
    if (periodic) {
        write32(HPET_REG_TIMER_CONFIG(n), quiet);
        write64(HPET_REG_TIMER_COMPARATOR(n), dev_hpet_period(s, n));
    }
    if (t->config & HPET_TN_FSB_CAPABLE)
        write64(HPET_REG_TIMER_FSB(n), t->fsb);
    write32(HPET_REG_TIMER_CONFIG(n), config);
}

enum err hpet_restore(const struct dev_hpet_state *s, const struct dev_clock_plan *plan, uint64_t (*raw_tsc)(void))
{
    bool planned = plan && plan->valid;
    uint32_t timers = HPET_CAP_TIMERS(s->capabilities);
    write32(HPET_REG_CONFIG, (uint32_t)(s->config & ~HPET_CONFIG_ENABLE));
    write32(HPET_REG_STATUS, ~0u); /* write one to clear: levels of the past */
    for (uint32_t n = 0; n < timers; n++)
        restore_timer(s, n, planned ? dev_clock_hpet_at(plan, raw_tsc()) : s->counter);
    /* An emulator may stand still between two of these lines, and a guest that compares the clocks would give one of them up:
       look what came of it. */
    int64_t near = (int64_t)(ALIGNED_US * FS_PER_US / HPET_CAP_PERIOD_FS(s->capabilities));
    for (unsigned tries = 0; tries < ALIGN_TRIES; tries++) {
        write32(HPET_REG_CONFIG, (uint32_t)(s->config & ~HPET_CONFIG_ENABLE));
        write64(HPET_REG_COUNTER, planned ? dev_clock_hpet_at(plan, raw_tsc()) : s->counter);
        write32(HPET_REG_CONFIG, (uint32_t)s->config);
        if (!planned || !(s->config & HPET_CONFIG_ENABLE))
            break;
        int64_t off = (int32_t)(read32(HPET_REG_COUNTER) - (uint32_t)dev_clock_hpet_at(plan, raw_tsc()));
        if (off <= near && -off <= near)
            break;
    }
    return E_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_hpet.h. IA-PC HPET Specification 1.0a, 2.3.8 "Timer N Configuration and Capabilities Register"
   and 2.3.9 "Timer N Comparator Register". */
#include "ckpt/dev_hpet.h"

#include "ckpt/dev_clock.h"
#include "str.h"

#define FS_PER_US 1000000000ull
#define SOON_US 100u           /* how far ahead a comparator must lie so that it is not passed while it is written */
#define USUAL_PERIOD_US 10000u /* for a periodic timer whose period could not be measured: HZ=100 */

static uint64_t ticks_of_us(const struct dev_hpet_state *s, uint64_t us)
{
    return us * FS_PER_US / HPET_CAP_PERIOD_FS(s->capabilities) + 1;
}

static uint64_t timer_mask(const struct dev_hpet_state *s, uint32_t n)
{
    uint64_t config = s->timer[n].config;
    bool wide = s->capabilities & HPET_CAP_COUNTER_64 && config & HPET_TN_SIZE_64 && !(config & HPET_TN_32_MODE);
    return wide ? ~0ull : MASK(31, 0);
}

enum err dev_hpet_check(const struct dev_hpet_state *s, uint64_t machine_capabilities, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_HPET_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    uint32_t period = HPET_CAP_PERIOD_FS(s->capabilities);
    if (period < HPET_PERIOD_FS_MIN || period > HPET_PERIOD_FS_MAX)
        return dev_refuse(E_DEVICE, why, why_len, "hpet: impossible period %u fs", (unsigned)period);
    if (s->capabilities != machine_capabilities)
        return dev_refuse(E_LAYOUT, why, why_len, "hpet: capabilities %llx, this machine has %llx",
                          (unsigned long long)s->capabilities, (unsigned long long)machine_capabilities);
    for (uint32_t n = 0; n < HPET_TIMERS_MAX; n++) {
        const struct dev_hpet_timer *t = &s->timer[n];
        if (n >= HPET_CAP_TIMERS(s->capabilities) && (t->config | t->comparator | t->fsb | t->period))
            return dev_refuse(E_DEVICE, why, why_len, "hpet: timer %u does not exist but has a state", (unsigned)n);
        if (t->period > timer_mask(s, n) || (t->period && !(t->config & HPET_TN_PERIODIC)))
            return dev_refuse(E_DEVICE, why, why_len, "hpet: timer %u has an impossible period", (unsigned)n);
    }
    return E_OK;
}

bool dev_hpet_wants_period(const struct dev_hpet_state *s, uint32_t timer)
{
    return s->config & HPET_CONFIG_ENABLE && s->timer[timer].config & HPET_TN_PERIODIC &&
           s->timer[timer].config & HPET_TN_INT_ENABLE;
}

uint64_t dev_hpet_period(const struct dev_hpet_state *s, uint32_t n)
{
    return s->timer[n].period ? s->timer[n].period : ticks_of_us(s, USUAL_PERIOD_US);
}

uint64_t dev_hpet_comparator(const struct dev_hpet_state *s, uint32_t n, uint64_t counter)
{
    const struct dev_hpet_timer *t = &s->timer[n];
    uint64_t mask = timer_mask(s, n), left = (t->comparator - s->counter) & mask;
    uint64_t moved = (counter - s->counter) & (s->capabilities & HPET_CAP_COUNTER_64 ? ~0ull : MASK(31, 0));
    uint64_t soon = ticks_of_us(s, SOON_US);
    if (!(t->config & HPET_TN_INT_ENABLE) || !(s->config & HPET_CONFIG_ENABLE))
        return t->comparator; /* nobody waits for it */
    /* A one-shot that lay behind the cut has fired already: far ahead, modulo the width. Leave it there. */
    if (!(t->config & HPET_TN_PERIODIC) && left > mask / 2)
        return t->comparator;
    if (left > moved + soon)
        return t->comparator;
    if (!(t->config & HPET_TN_PERIODIC))
        return (counter + soon) & mask;
    uint64_t period = dev_hpet_period(s, n), behind = moved + soon - left;
    return (t->comparator + (behind / period + 1) * period) & mask;
}

void dev_hpet_show(const struct dev_hpet_state *s, char *text, size_t len)
{
    unsigned on = 0, unknown = 0;
    for (uint32_t n = 0; n < HPET_TIMERS_MAX; n++) {
        on += (s->timer[n].config & HPET_TN_INT_ENABLE) != 0;
        unknown += dev_hpet_wants_period(s, n) && !s->timer[n].period;
    }
    str_format(text, len, "config %llx counter %llu, %u of %u timers on%s", (unsigned long long)s->config,
               (unsigned long long)s->counter, on, (unsigned)HPET_CAP_TIMERS(s->capabilities),
               unknown ? "; a period normalised to 10 ms" : "");
}

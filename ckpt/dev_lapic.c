/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_lapic.h. SDM 3A 10.8.3 "Interrupt, Task, and Processor Priority": a vector is only dispatched if its
   class (vector / 16) is above that of everything in service, so two in one class cannot both be in service. */
#include "ckpt/dev_lapic.h"

#include "str.h"

#include <string.h>

#define VECTOR_FIRST_LEGAL 16u
#define CLASS_SHIFT 4
#define VERSION_EXT_SPACE BIT32(31) /* AMD: APM 2 16.4.2 "APIC Version Register" EAS */

static const struct {
    uint32_t offset, min_max_lvt;
} lvts[LVT_COUNT] = {
    [LVT_CMCI] = {0x2F0, 6},  [LVT_TIMER] = {0x320, 0}, [LVT_THERMAL] = {0x330, 5}, [LVT_PERF] = {0x340, 4},
    [LVT_LINT0] = {0x350, 0}, [LVT_LINT1] = {0x360, 0}, [LVT_ERROR] = {0x370, 3},
};

bool dev_lapic_lvt_exists(uint32_t version, enum lapic_lvt lvt)
{
    return LAPIC_MAX_LVT(version) >= lvts[lvt].min_max_lvt;
}

uint32_t dev_lapic_lvt_offset(enum lapic_lvt lvt)
{
    return lvts[lvt].offset;
}

uint32_t dev_lapic_ext_lvts(uint32_t version, uint32_t ext_feature)
{
    uint32_t count = version & VERSION_EXT_SPACE ? (ext_feature >> 16) & 0xFFu : 0;
    return count < LAPIC_EXT_LVTS ? count : LAPIC_EXT_LVTS;
}

static bool bit(const uint32_t bank[LAPIC_WORDS], uint32_t vector)
{
    return bank[vector / 32] >> (vector % 32) & 1u;
}

int dev_lapic_highest(const uint32_t bank[LAPIC_WORDS])
{
    for (int v = (int)LAPIC_VECTORS - 1; v >= 0; v--)
        if (bit(bank, (uint32_t)v))
            return v;
    return -1;
}

enum err dev_lapic_check(const struct dev_lapic_state *s, uint32_t machine_id, enum lapic_mode machine_mode, char *why,
                         size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_LAPIC_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->mode > LAPIC_MODE_X2APIC)
        return dev_refuse(E_DEVICE, why, why_len, "lapic: impossible mode %u", (unsigned)s->mode);
    if (s->mode == LAPIC_MODE_OFF)
        return E_OK;
    if (machine_mode == LAPIC_MODE_OFF || (machine_mode == LAPIC_MODE_X2APIC && s->mode == LAPIC_MODE_XAPIC))
        return dev_refuse(E_LAYOUT, why, why_len, "lapic: mode %u at the cut cannot be reached from mode %u",
                          (unsigned)s->mode, (unsigned)machine_mode);
    if (s->mode == machine_mode && s->id != machine_id)
        return dev_refuse(E_LAYOUT, why, why_len, "lapic: id %08x, this CPU has %08x", (unsigned)s->id,
                          (unsigned)machine_id);
    uint32_t last_class = 0;
    for (uint32_t v = 0; v < LAPIC_VECTORS; v++) {
        bool in_service = bit(s->isr, v);
        if ((in_service || bit(s->irr, v)) && v < VECTOR_FIRST_LEGAL)
            return dev_refuse(E_DEVICE, why, why_len, "lapic: illegal vector %02x is in use", (unsigned)v);
        if (in_service && v >> CLASS_SHIFT == last_class)
            return dev_refuse(E_DEVICE, why, why_len, "lapic: two vectors of class %x in service",
                              (unsigned)last_class);
        if (in_service)
            last_class = v >> CLASS_SHIFT;
    }
    if (LAPIC_TIMER_MODE(s->lvt[LVT_TIMER]) > LAPIC_TIMER_DEADLINE || s->timer_current > s->timer_initial)
        return dev_refuse(E_DEVICE, why, why_len, "lapic: impossible timer state");
    return E_OK;
}

void dev_lapic_plan(const struct dev_lapic_state *s, struct dev_lapic_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    uint32_t last_class = 0;
    for (uint32_t v = VECTOR_FIRST_LEGAL; v < LAPIC_VECTORS; v++) {
        if (bit(s->isr, v) && v >> CLASS_SHIFT != last_class) {
            last_class = v >> CLASS_SHIFT;
            plan->in_service[plan->in_service_count++] = (uint8_t)v;
        }
        if (bit(s->irr, v) && bit(s->tmr, v))
            plan->level_left++;
        else if (bit(s->irr, v))
            plan->pending[plan->pending_count++] = (uint8_t)v;
    }
    switch (LAPIC_TIMER_MODE(s->lvt[LVT_TIMER])) {
    case LAPIC_TIMER_ONE_SHOT:
        plan->timer_initial = s->timer_current; /* what is left; 0: fired, or never started */
        break;
    case LAPIC_TIMER_PERIODIC:
        plan->timer_initial = s->timer_initial; /* one period begins anew: the phase slips by less than a period */
        break;
    default:
        plan->timer_deadline = s->tsc_deadline != 0;
        break;
    }
}

bool dev_lapic_level_in_service(const struct dev_lapic_state *s)
{
    uint32_t any = 0;
    for (uint32_t i = 0; i < LAPIC_WORDS; i++)
        any |= s->isr[i] & s->tmr[i];
    return any != 0;
}

void dev_lapic_show(const struct dev_lapic_state *s, char *text, size_t len)
{
    static const char *const modes[] = {"off", "xapic", "x2apic"};
    struct dev_lapic_plan plan;
    dev_lapic_plan(s, &plan);
    str_format(
        text, len,
        "%s id %08x svr %03x tpr %02x timer %08x %u of %u, %u in service, %u pending, %u levels left to the ioapic",
        s->mode <= LAPIC_MODE_X2APIC ? modes[s->mode] : "?", (unsigned)s->id, (unsigned)s->svr, (unsigned)s->tpr,
        (unsigned)s->lvt[LVT_TIMER], (unsigned)s->timer_current, (unsigned)s->timer_initial,
        (unsigned)plan.in_service_count, (unsigned)plan.pending_count, (unsigned)plan.level_left);
}

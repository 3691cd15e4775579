/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See host_timer.h. The guest's own value of the line is lent to drivers/ioapic.c, as the console's is. */
#include "kernel/host_timer.h"

#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/hpet.h"
#include "drivers/ioapic.h"
#include "kernel/console_irq.h"
#include "kernel/cpus.h"
#include "kernel/traps.h"
#include "log.h"

#define LINES 32u
#define RTE_MASKED BIT(16)
#define STOP_TIMEOUT_US 100000u

static bool running, armed;
static uint32_t line;

static bool take_line(uint32_t lines)
{
    uint64_t entry;
    for (uint32_t i = LINES; i-- > 0;) {
        uint32_t lo, hi;
        if (!(lines & BIT32(i)) || ioapic_get_override(i, &lo, &hi) || ioapic_read_entry(i, &entry) ||
            !(entry & RTE_MASKED))
            continue;
        line = i;
        return !ioapic_set_override(i, (uint32_t)entry, (uint32_t)(entry >> 32)) &&
               !ioapic_write_entry(i, console_irq_nmi_entry());
    }
    return false;
}

bool host_timer_start(void)
{
    uint32_t lines;
    if (!hpet_spare_timer(&lines) || !take_line(lines))
        return false;
    hpet_spare_begin(line);
    armed = false;
    running = true;
    return true;
}

bool host_timer_runs(void)
{
    return running;
}

void host_timer_arm(uint64_t us)
{
    if (armed)
        return;
    armed = true;
    hpet_spare_arm(us);
}

bool host_timer_take(void)
{
    if (!armed || !hpet_spare_due())
        return false;
    armed = false;
    return true;
}

void host_timer_stop(void)
{
    if (!running)
        return;
    uint64_t end = deadline_in_us(STOP_TIMEOUT_US);
    struct cpu *c = cpus[0];
    while (armed && !deadline_passed(end)) {
        if (!hpet_spare_due())
            continue;
        traps_take_nmi();
        if (c->vcpu.host_nmi) {
            armed = false;
            c->vcpu.host_nmi--;
        }
    }
    hpet_spare_end();
    uint32_t lo, hi;
    if (ioapic_get_override(line, &lo, &hi) && ioapic_write_entry(line, lo | (uint64_t)hi << 32))
        log_line("timer", "an interrupt line cannot be given back: gsi=%u", line);
    ioapic_clear_override(line);
    running = armed = false;
    console_irq_hush(); /* its NMI may have been one with the timer's: the next pump looks for itself */
}

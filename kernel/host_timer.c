/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See host_timer.h. The guest's own value of the line is lent to drivers/ioapic.c, as the console's is. */
#include "kernel/host_timer.h"

#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/hpet.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"
#include "kernel/console_irq.h"
#include "kernel/cpus.h"
#include "kernel/gateway_data.h"
#include "kernel/guest.h"
#include "kernel/smp.h"
#include "kernel/timebase.h"
#include "kernel/traps.h"
#include "log.h"

#define LINES 32u
#define RTE_STATUS BIT(12)
#define RTE_MASKED BIT(16)
#define EARLY_PART 8u /* of the time: how far the two clocks may be apart */
#define US_PER_S 1000000u
#define STOP_TIMEOUT_US 100000u

uint64_t host_timer_look_us = HOST_TIMER_NO_LOOK;
static bool running, armed;
static uint32_t line;
static uint64_t ask_tsc; /* gateway.timer_tsc of the timer that is armed */

/* IOREGSEL and IOWIN are a pair, and the guest's: whoever calls these has its CPUs stopped. */
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
    if (running)
        return true;
    if (!hpet_spare_timer(&lines) || smp_stop())
        return false;
    bool taken = take_line(lines);
    smp_release();
    if (!taken)
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
    us = hpet_spare_arm(us);
    ask_tsc = cpu_rdtsc() + (us - us / EARLY_PART) * (clock_tsc_hz() / US_PER_S);
    gateway.timer_tsc = ask_tsc;
}

bool host_timer_armed(void)
{
    return armed;
}

bool host_timer_take(void)
{
    if (!armed || !hpet_spare_due())
        return false;
    armed = false;
    gateway.timer_tsc = 0;
    if (host_timer_look_us != HOST_TIMER_NO_LOOK)
        host_timer_look_us = 0;
    return true;
}

static bool line_is_ours(void)
{
    uint64_t entry;
    return !ioapic_read_entry(line, &entry) && (entry & ~RTE_STATUS) == console_irq_nmi_entry();
}

bool host_timer_intact(void)
{
    if (smp_stop())
        return true; /* as far as anybody knows */
    bool ours = line_is_ours();
    smp_release();
    return ours && hpet_spare_intact();
}

bool host_timer_visited(void)
{
    if (!armed || gateway.timer_tsc)
        return false;
    if (host_timer_take()) {
        console_irq_hush(); /* an enter drops what NMI waits: the next pump looks for itself */
        return true;
    }
    gateway.timer_tsc = ask_tsc | BIT(GATEWAY_TIMER_PASS);
    host_timer_look_us = 0; /* should the guest be entered by this visit */
    return false;
}

static void send_nmi(void)
{
    lapic_send(cpus[0]->apic_id, LAPIC_SEND_NMI);
}

void host_timer_prepare_native(void)
{
    if (gateway.timer_tsc >> GATEWAY_TIMER_PASS) {
        send_nmi();
    } else if (armed && hpet_spare_due()) {
        gateway.timer_tsc = 1;
        send_nmi();
    }
}

/* Its NMI is here, or on its way. False: it did not come. */
static bool wait_for_nmi(void)
{
    uint64_t end = deadline_in_us(STOP_TIMEOUT_US);
    struct cpu *c = cpus[0];
    while (!c->vcpu.host_nmi && !deadline_passed(end))
        traps_take_nmi();
    if (!c->vcpu.host_nmi)
        return false;
    c->vcpu.host_nmi--;
    return true;
}

static enum err give_back(void)
{
    bool intact = hpet_spare_intact(), coming = intact && armed;
    if (coming && !hpet_spare_due())
        hpet_spare_off();
    coming = coming && hpet_spare_due();
    if (coming && guest.mode == MODE_NATIVE)
        return E_BUSY;
    if (coming && !wait_for_nmi())
        log_line("timer", "its NMI did not come: us=%u", STOP_TIMEOUT_US);
    if (intact)
        hpet_spare_end();
    uint32_t lo, hi;
    if (line_is_ours() && ioapic_get_override(line, &lo, &hi) && ioapic_write_entry(line, lo | (uint64_t)hi << 32))
        log_line("timer", "an interrupt line cannot be given back: gsi=%u", line);
    ioapic_clear_override(line);
    running = armed = false;
    gateway.timer_tsc = 0;
    console_irq_hush(); /* its NMI may have been one with the timer's: the next pump looks for itself */
    return E_OK;
}

enum err host_timer_stop(void)
{
    if (!running)
        return E_OK;
    enum err e = smp_stop();
    if (e)
        return e;
    e = give_back();
    smp_release();
    return e;
}

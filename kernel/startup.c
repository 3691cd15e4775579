/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. CPUs that start.
 *
 *   boot       the leader starts every other CPU once, with a real INIT and start-up IPI; each sets itself up and is
 *              held: it waits in the host (kernel/run.c), for the guest it waits for a start-up IPI
 *   virtual    the guest's INIT and start-up IPIs are seen (kernel/apic_watch.c) and never sent: the CPU they are for
 *              resets or starts its guest side itself, under VMX or SVM
 *   native     they are real. A held CPU is an ordinary CPU for them: INIT takes it out of the host's hands, and the
 *              next time the host calls, it answers from the guest's side
 *
 * A real INIT at a CPU in a virtual world would start it natively beside the others: SDM 3C 26.2 "Other Causes of VM
 * Exits", APM 2 15.21.8 (INIT intercept and the pending INIT). */
#include "kernel/startup.h"

#include "clock.h"
#include "cpu.h"
#include "drivers/lapic.h"
#include "hostmem.h"
#include "kernel/apic_watch.h"
#include "kernel/guest.h"
#include "kernel/paging.h"
#include "kernel/run.h"
#include "kernel/smp.h"
#include "kernel/state.h"
#include "kernel/transition.h"
#include "kernel/traps.h"
#include "log.h"

#include <string.h>

/* SDM 3A 8.4.4.1 "Typical BSP Initialization Sequence": INIT, 10 ms, start-up, 200 us, start-up. */
#define INIT_WAIT_US 10000u
#define STARTUP_WAIT_US 10000u
#define COME_UP_TIMEOUT_US 200000u
#define REAL_MODE_PAGE_SHIFT 12
#define START_FOLLOWS_US 200000u /* twenty times the longest wait of SDM's sequence */

extern const uint8_t trampoline_start[], trampoline_end[], trampoline_page[], trampoline_cr3[], trampoline_entry[];
void trampoline_arrive(void);

_Noreturn void startup_cpu_main(void);

static uint64_t page;

static enum err lay_trampoline(uint8_t *at)
{
    uint64_t cr3 = paging_startup_tables(page);
    if (!cr3)
        return E_NOMEM;
    memcpy(at, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    store32(at + (trampoline_page - trampoline_start), (uint32_t)page);
    store32(at + (trampoline_cr3 - trampoline_start), (uint32_t)cr3);
    store64(at + (trampoline_entry - trampoline_start), (uint64_t)trampoline_arrive);
    return E_OK;
}

_Noreturn void startup_cpu_main(void)
{
    struct cpu *c = cpu_self();
    transition_init_cpu();
    traps_load(c);
    cpu_write_ds(HOST_SS);
    cpu_write_es(HOST_SS);
    enum err e = guest.backend->check_cpu(&c->vcpu);
    if (e)
        log_line("smp", "cpu cannot carry %s: %s", guest.backend->name, err_name(e));
    __atomic_store_n(&c->present, !e, __ATOMIC_SEQ_CST);
    while (e) /* endless: for the guest it does not exist */
        cpu_cli_hlt();
    run_loop(c);
}

static uint32_t still_missing(void)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < cpu_count; i++)
        n += !cpus[i]->present;
    return n;
}

static void send_startup(void)
{
    for (uint32_t i = 1; i < cpu_count; i++)
        if (!cpus[i]->present)
            lapic_send(cpus[i]->apic_id, LAPIC_SEND_STARTUP | (uint32_t)(page >> REAL_MODE_PAGE_SHIFT));
}

static void wait_for_all(uint64_t us)
{
    uint64_t end = deadline_in_us(us);
    while (still_missing() && !deadline_passed(end))
        cpu_pause();
}

static void start_all(void)
{
    for (uint32_t i = 1; i < cpu_count; i++)
        lapic_send(cpus[i]->apic_id, LAPIC_SEND_INIT);
    clock_delay_us(INIT_WAIT_US);
    send_startup();
    wait_for_all(STARTUP_WAIT_US);
    send_startup();
    wait_for_all(COME_UP_TIMEOUT_US);
    for (uint32_t i = 1; i < cpu_count; i++) {
        if (cpus[i]->present)
            continue;
        log_line("smp", "cpu did not come up: cpu=%u apic_id=%u", i, cpus[i]->apic_id);
        lapic_send(cpus[i]->apic_id, LAPIC_SEND_INIT); /* and shall not come later, when the page is the guest's */
    }
    log_line("smp", "cpus up: count=%u of=%u", cpu_count - still_missing(), cpu_count);
}

enum err startup_all(uint64_t page_pa)
{
    static uint8_t borrowed[PAGE_BYTES];
    uint8_t *at = phys_to_virt((hpa_t){page_pa});
    page = page_pa;
    memcpy(borrowed, at, sizeof borrowed);
    enum err e = lay_trampoline(at);
    if (!e)
        start_all();
    memcpy(at, borrowed, sizeof borrowed);
    return e;
}

void startup_give_back(void)
{
    for (uint32_t i = 1; i < cpu_count; i++)
        lapic_send(cpus[i]->apic_id, LAPIC_SEND_INIT);
    if (cpu_count > 1)
        clock_delay_us(INIT_WAIT_US);
}

/* ---- what the guest sends while virtual ------------------------------------------------------------------------- */

static struct cpu *present_cpu(uint32_t apic_id)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i]->apic_id == apic_id)
            return cpus[i]->present ? cpus[i] : NULL;
    return NULL;
}

bool startup_guest_init(uint32_t apic_id)
{
    struct cpu *c = present_cpu(apic_id);
    if (!c || c == cpu_self() || cpu_leads(c))
        return false;
    c->start_vector = 0;
    if (c->place == CPU_HELD) {
        c->init_us = clock_us();
        return true;
    }
    __atomic_store_n(&c->reset, true, __ATOMIC_SEQ_CST);
    smp_kick(c);
    return true;
}

bool startup_guest_start(uint32_t apic_id, uint8_t vector)
{
    struct cpu *c = present_cpu(apic_id);
    if (!c)
        return false;
    if (c->place == CPU_GUEST && !c->reset)
        return true; /* SDM 3A 8.4.4: a CPU that does not wait for one ignores it */
    __atomic_store_n(&c->start_vector, vector + 1u, __ATOMIC_SEQ_CST);
    smp_kick(c);
    return true;
}

/* A start-up IPI that crossed the one before it stays with a CPU that is on its way: it means nothing there. */
bool startup_pending(const struct cpu *c)
{
    if (c->reset)
        return true;
    return c->place == CPU_HELD && (c->start_vector || (c->init_us && clock_us() - c->init_us < START_FOLLOWS_US));
}

void startup_reset(struct cpu *c)
{
    transition_drop(c);
    enum err e = lapic_init_reset();
    if (e)
        log_line("smp", "local APIC keeps something after INIT: cpu=%u %s", c->index, err_name(e));
    cpu_write_dr0(0);
    cpu_write_dr1(0);
    cpu_write_dr2(0);
    cpu_write_dr3(0);
    c->place = CPU_HELD;
    c->init_us = clock_us();
    c->suspect = false;
    __atomic_store_n(&c->reset, false, __ATOMIC_SEQ_CST); /* not before: a start-up IPI that comes meanwhile counts */
    apic_watch_update();
}

void startup_begin(struct cpu *c)
{
    uint32_t vector = __atomic_exchange_n(&c->start_vector, 0, __ATOMIC_SEQ_CST);
    if (!vector)
        return;
    c->init_us = 0;
    state_started(c->state, (uint8_t)(vector - 1), c->vcpu.switched_msrs);
    enum err e = transition_start(c);
    if (e)
        log_line("smp", "cpu cannot be started virtual: cpu=%u %s", c->index, err_name(e));
    else
        __atomic_store_n(&c->start_vector, 0, __ATOMIC_SEQ_CST); /* the second start-up IPI of the usual two */
    apic_watch_update();
}

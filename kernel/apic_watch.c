/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. While virtual the guest's INIT and start-up IPIs are intercepted, because real ones would take a CPU out of
 * VMX or SVM and start it natively beside the others (kernel/startup.c). The page of an xAPIC is all or nothing: with it
 * write-protected every end of interrupt exits, too. So it is protected only while there is a CPU that could be started:
 *
 *   held      not started yet, or reset
 *   suspect   it executed WBINVD with interrupts off. That is how a CPU goes offline: caches written back, then halted
 *             for good; bringing it back takes an INIT. Others do that as well (MTRR updates), and then show that they
 *             are alive by the next exit with interrupts on, or by using their APIC. Or nobody saw what it did before,
 *             because it was native or is restored, and its interrupts are off.
 *
 * A settled guest on all its CPUs is not watched, and exits for nothing. x2APIC's ICR is one MSR and costs nothing else,
 * but is switched along. */
#include "kernel/apic_watch.h"

#include "bits.h"
#include "cpu.h"
#include "drivers/lapic.h"
#include "kernel/guest.h"
#include "kernel/icr.h"
#include "kernel/live.h"
#include "kernel/smp.h"
#include "kernel/startup.h"
#include "log.h"
#include "msr.h"

#define APIC_BASE_ADDRESS MASK(51, 12)
#define REGISTER_BYTES 4u
#define REGISTER_STEP 16u

static uint64_t page;
static bool watching;
static struct lock lock;

enum err apic_watch_init(void)
{
    page = cpu_rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS;
    if (cpu_count == 1)
        return E_OK;
    /* The leaf is split now, so that switching needs no memory. */
    return sl_set_page(&guest.second_level, (gpa_t){page}, (hpa_t){page}, SL_RWX);
}

static bool needed(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i]->present && (cpus[i]->place == CPU_HELD || cpus[i]->suspect))
            return true;
    return false;
}

bool apic_watch_changes(void)
{
    return cpu_count > 1 && needed() != watching;
}

void apic_watch_update(void)
{
    lock_take(&lock);
    bool changed = apic_watch_changes(), want = changed != watching;
    if (changed) {
        watching = want;
        lock_take(&second_level_lock);
        enum err e = (want ? sl_withdraw : sl_grant)(&guest.second_level, (gpa_t){page}, PAGE_BYTES, SL_WRITE);
        lock_release(&second_level_lock);
        for (uint32_t i = 0; i < cpu_count && !e; i++)
            e = guest.backend->trap(&cpus[i]->vcpu, VTRAP_ICR, want);
        if (e)
            log_line("smp", "the local APIC cannot be watched: %s", err_name(e));
    }
    lock_release(&lock);
    /* Rights that were taken count once each CPU has flushed, which it does before its next entry. */
    for (uint32_t i = 0; changed && want && i < cpu_count; i++)
        if (cpus[i]->present && cpus[i] != cpu_self())
            smp_kick(cpus[i]);
}

void apic_watch_suspect(struct cpu *c)
{
    if (cpu_count == 1 || c->suspect)
        return;
    c->suspect = true;
    apic_watch_update();
}

void apic_watch_loaded(struct cpu *c)
{
    c->suspect = !cpu_leads(c) && !(c->state->rflags & RFLAGS_IF);
}

void apic_watch_exited(struct cpu *c)
{
    if (c->suspect && guest.backend->get(&c->vcpu, VREG_RFLAGS) & RFLAGS_IF)
        apic_watch_alive(c);
}

void apic_watch_alive(struct cpu *c)
{
    if (!c->suspect)
        return;
    c->suspect = false;
    apic_watch_update();
}

bool apic_watch_covers(uint64_t gpa)
{
    return cpu_count > 1 && align_down(gpa, PAGE_BYTES) == page;
}

/* INIT or start-up for one CPU; the hardware does nothing about an id that no CPU has. */
static void send_to(const struct icr_command *cmd, uint32_t apic_id)
{
    bool known = cmd->kind == ICR_INIT ? startup_guest_init(apic_id) : startup_guest_start(apic_id, cmd->vector);
    if (!known)
        log_line("smp", "%s to a CPU that cannot take it: apic_id=%u", cmd->kind == ICR_INIT ? "INIT" : "start-up",
                 apic_id);
}

/* False: a reset of the sender or the boot CPU, or a logical destination: nothing a running system does. */
static bool carry_out(const struct cpu *c, const struct icr_command *cmd)
{
    if (cmd->kind == ICR_DEASSERT)
        return true;
    bool init = cmd->kind == ICR_INIT;
    if (cmd->target == ICR_TARGET_LOGICAL)
        return false;
    if (cmd->target == ICR_TARGET_ONE && !(init && (cmd->apic_id == c->apic_id || cmd->apic_id == cpus[0]->apic_id))) {
        send_to(cmd, cmd->apic_id);
        return true;
    }
    if (init && (cmd->target != ICR_TARGET_OTHERS || !cpu_leads(c)))
        return false;
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i]->present && cpus[i] != c)
            send_to(cmd, cpus[i]->apic_id);
    return true;
}

bool apic_watch_write(struct cpu *c, uint64_t gpa, uint64_t value, unsigned bytes)
{
    uint32_t reg = (uint32_t)(gpa & (PAGE_BYTES - 1));
    if (bytes != REGISTER_BYTES || reg % REGISTER_STEP)
        return false;
    if (reg == LAPIC_ICR) {
        struct icr_command cmd = icr_decode((uint32_t)value, lapic_read(LAPIC_ICR_HIGH), false);
        if (cmd.kind != ICR_OTHER)
            return carry_out(c, &cmd);
    }
    lapic_write(reg, (uint32_t)value);
    apic_watch_alive(c);
    return true;
}

bool apic_watch_icr(struct cpu *c, uint64_t value)
{
    struct icr_command cmd = icr_decode((uint32_t)value, (uint32_t)(value >> 32), true);
    if (cmd.kind != ICR_OTHER)
        return carry_out(c, &cmd);
    apic_watch_alive(c);
    return cpu_wrmsr_safe(MSR_IA32_X2APIC_ICR, value);
}

bool apic_watch_base(struct cpu *c, uint64_t value)
{
    if ((value & APIC_BASE_ADDRESS) != page) {
        log_line("smp", "the guest may not move its local APIC: cpu=%u base=%#llx", c->index,
                 (unsigned long long)value);
        return false;
    }
    return cpu_wrmsr_safe(MSR_IA32_APIC_BASE, value);
}

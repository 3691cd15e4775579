/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See the header. An NMI is one bit: one of the guest's that is pending when ours is sent would be lost in it.
 * So what is pending is let in first; what comes in the dozen instructions after that, while the other CPUs of the guest
 * are stopped, could only be from a device. SDM 3A 6.7.1 "Handling Multiple NMIs". */
#include "kernel/nmi.h"

#include "clock.h"
#include "cpu.h"
#include "drivers/lapic.h"
#include "kernel/console_irq.h"
#include "kernel/smp.h"
#include "kernel/traps.h"
#include "log.h"
#include "msr.h"

#define OWN_NMI_TIMEOUT_US 10000u

enum err nmi_can_return(const struct cpu *c)
{
    if (!(cpu_rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EN))
        return E_NOAPIC;
    return !cpu_leads(c) || console_irq_armed() ? E_OK : E_NOCONSOLE;
}

bool nmi_unexplained(struct cpu *c)
{
    uint64_t came = c->vcpu.host_nmi, explained = 0;
    if (!came)
        return false;
    if (smp_explains_nmi(c))
        explained = 1;
    if (came > explained && cpu_leads(c) && console_irq_explains_nmi())
        explained = came; /* its output makes some at every answer */
    return __atomic_sub_fetch(&c->vcpu.host_nmi, explained, __ATOMIC_RELAXED) != 0;
}

static bool has_gif(void)
{
    return cpu_rdmsr(MSR_EFER) & EFER_SVME;
}

enum err nmi_block(struct cpu *c)
{
    bool svm = has_gif();
    if (svm)
        cpu_stgi(); /* with GIF clear an NMI would stay pending until the next VMRUN */
    traps_unblock_nmi();
    if (c->vcpu.host_nmi && nmi_unexplained(c)) {
        if (svm)
            cpu_clgi();
        return E_BLOCKED;
    }
    c->own_nmi_due = true;
    lapic_send(c->apic_id, LAPIC_SEND_NMI);
    uint64_t end = 0;
    for (unsigned spins = 0; c->own_nmi_due; spins++) {
        if (spins & 63u)
            continue;
        if (!end)
            end = deadline_in_us(OWN_NMI_TIMEOUT_US);
        if (!deadline_passed(end))
            continue;
        c->own_nmi_due = false;
        if (svm)
            cpu_clgi();
        log_line("switch", "the CPU's own NMI did not arrive: cpu=%u us=%u", c->index, OWN_NMI_TIMEOUT_US);
        return E_TIMEOUT;
    }
    return E_OK;
}

void nmi_unblock(struct cpu *c)
{
    c->own_nmi_due = false;
    if (has_gif())
        cpu_clgi();
    traps_unblock_nmi();
}

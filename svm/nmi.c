/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. APM vol. 2 15.13.2 "NMI Intercept" and 15.20 "Event Injection": an NMI injected by EVENTINJ does not block
   further ones, so the host must. From an injection until the handler's IRET the guest counts as blocked, and IRET is
   intercepted, then and only then. That exit comes before the IRET has executed: injecting there would put the second
   frame over the first one on the NMI stack. So the IRET is let through; if another NMI waits, it is stepped with TF,
   and the debug exception behind it (taken from the guest, DR6 restored) is the moment to inject.

       inject -> blocked --exit IRET--> iret_passing --next exit, RIP moved on--> free
                    ^                        |  NMI waiting: TF, exit #DB
                    +---- RIP unchanged -----+ */
#include "svm/nmi.h"

#define INTERCEPT_DB BIT32(DB_VECTOR)

static bool may_inject(const struct svm_nmi *n, const struct vmcb *vmcb)
{
    if (n->blocked)
        return false;
    /* One bit stands for STI and MOV SS here. Between MOV SS and MOV SP a handler without a stack of its own would
       push onto a wrong stack; in long mode NMI handlers have one. */
    return !(vmcb->control.interrupt_shadow & INTERRUPT_SHADOW) || (vmcb->save.efer & EFER_LMA);
}

void svm_nmi_before_entry(struct svm_nmi *n, struct vmcb *vmcb, struct vcpu_event *event, bool *pending)
{
    if (!event->valid && *pending && may_inject(n, vmcb)) {
        *event = (struct vcpu_event){.valid = 1, .type = EVENT_NMI, .vector = NMI_VECTOR};
        *pending = false;
    }
    if (event->valid && event->type == EVENT_NMI) {
        n->blocked = true;
        n->iret_passing = false;
    }
    if (n->iret_passing && *pending && !n->stepping) {
        n->stepping = true;
        n->guest_tf = vmcb->save.rflags & RFLAGS_TF;
        n->guest_dr6 = vmcb->save.dr6;
        vmcb->save.rflags |= RFLAGS_TF;
        vmcb->control.intercept_exceptions |= INTERCEPT_DB;
    }
    vmcb->control.intercept_misc1 &= ~INTERCEPT_IRET;
    if ((n->trap_iret && !n->iret_passing) || (n->blocked && !n->iret_passing))
        vmcb->control.intercept_misc1 |= INTERCEPT_IRET;
}

static bool end_step(struct svm_nmi *n, struct vmcb *vmcb, bool moved)
{
    n->stepping = false;
    vmcb->control.intercept_exceptions &= ~INTERCEPT_DB;
    if (!moved) {
        if (!n->guest_tf)
            vmcb->save.rflags &= ~RFLAGS_TF;
        return false; /* a #DB here is an instruction breakpoint of the guest's */
    }
    /* IRET loaded RFLAGS, so TF now is the guest's own. */
    if (vmcb->control.exitcode != VMEXIT_EXCP + DB_VECTOR)
        return false;
    vmcb->save.dr6 = n->guest_dr6;
    return true;
}

bool svm_nmi_after_exit(struct svm_nmi *n, struct vmcb *vmcb)
{
    bool own = false;
    if (n->iret_passing) {
        bool moved = vmcb->save.rip != n->iret_rip;
        if (n->stepping)
            own = end_step(n, vmcb, moved);
        n->iret_passing = false;
        if (moved)
            n->blocked = false;
    }
    if (vmcb->control.exitcode == VMEXIT_IRET) {
        n->trap_iret = false; /* one shot: the IRET itself must get through */
        n->iret_passing = true;
        n->iret_rip = vmcb->save.rip;
    }
    return own;
}

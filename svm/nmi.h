/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. NMI blocking for a CPU without virtual NMIs: who may inject when, and how the end of the guest's NMI handler
   is noticed. See nmi.c. */
#ifndef SOJOURN_SVM_NMI_H
#define SOJOURN_SVM_NMI_H

#include "svm/vmcb.h"
#include "vcpu_state.h"

struct svm_nmi {
    bool blocked;      /* the guest is in its NMI handler */
    bool trap_iret;    /* the core asked for the next IRET (VTRAP_IRET) */
    bool iret_passing; /* stopped at the handler's IRET: it runs next */
    bool stepping;     /* ... under TF, because an NMI waits behind it */
    bool guest_tf;
    uint64_t iret_rip;
    uint64_t guest_dr6;
};

/* Before an entry: chooses what EVENTINJ gets (it may turn *pending into an event) and sets intercepts. */
void svm_nmi_before_entry(struct svm_nmi *n, struct vmcb *vmcb, struct vcpu_event *event, bool *pending);
/* After an exit, before it is decoded. true: the exit was our own step over the handler's IRET; treat it as such. */
bool svm_nmi_after_exit(struct svm_nmi *n, struct vmcb *vmcb);

#endif

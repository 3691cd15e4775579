/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. From what CPUID and VM_CR say: can this CPU carry a guest under SVM, and with which extras? If not, why, and
   what the owner of the machine can do about it. */
#ifndef SOJOURN_SVM_CAPS_H
#define SOJOURN_SVM_CAPS_H

#include "backend.h"
#include "svm/entry_check.h"

struct svm_cpuid {
    uint32_t eax, ebx, ecx, edx;
};

/* What the shell read. Leaves the CPU does not have are zero; vm_cr is read only when CPUID shows SVM. */
struct svm_cpu_facts {
    uint32_t max_extended_leaf;
    struct svm_cpuid leaf7, leaf_8000_0001, leaf_8000_0008, leaf_8000_000a;
    uint64_t vm_cr;
};

struct svm_caps {
    bool nrip, flush_by_asid, decode_assists, spec_ctrl; /* spec_ctrl: the VMCB holds the guest's SPEC_CTRL */
    bool clear_svmdis;                                   /* VM_CR.SVMDIS is set but not locked: `on` clears it */
    struct svm_limits limits;
};

enum err svm_caps_evaluate(const struct svm_cpu_facts *facts, struct svm_caps *caps,
                           struct backend_report *report) MUST_USE;

#endif

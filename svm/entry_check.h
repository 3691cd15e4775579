/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The rules VMRUN checks before it runs a guest (APM vol. 2 15.5.1 "Basic Operation", "Canonicalization and
   Consistency Checks"; 15.20 "Event Injection"; 15.25.4 "Nested Paging and VMRUN/#VMEXIT"), so that a refusal has a
   name. VMRUN itself only says "invalid". */
#ifndef SOJOURN_SVM_ENTRY_CHECK_H
#define SOJOURN_SVM_ENTRY_CHECK_H

#include "svm/vmcb.h"

/* clang-format off */
#define SVM_RULE_LIST(X) \
    X(SVM_RULE_NONE, "no rule is broken") \
    X(SVM_RULE_SVME, "EFER.SVME is zero") \
    X(SVM_RULE_CR0_CD_NW, "CR0.CD is zero and CR0.NW is set") \
    X(SVM_RULE_CR0_HIGH, "CR0[63:32] are not zero") \
    X(SVM_RULE_CR3_MBZ, "a reserved bit of CR3 is set") \
    X(SVM_RULE_CR4_MBZ, "a reserved bit of CR4 is set") \
    X(SVM_RULE_CR4_CET_WP, "CR4.CET is set and CR0.WP is clear") \
    X(SVM_RULE_DR6_HIGH, "DR6[63:32] are not zero") \
    X(SVM_RULE_DR7_HIGH, "DR7[63:32] are not zero") \
    X(SVM_RULE_EFER_MBZ, "a reserved bit of EFER is set") \
    X(SVM_RULE_NO_LONG_MODE, "EFER.LMA or EFER.LME is set and this CPU has no long mode") \
    X(SVM_RULE_LME_PG_PAE, "EFER.LME and CR0.PG are set and CR4.PAE is zero") \
    X(SVM_RULE_LME_PG_PE, "EFER.LME and CR0.PG are set and CR0.PE is zero") \
    X(SVM_RULE_CS_L_D, "EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set") \
    X(SVM_RULE_LMA, "EFER.LMA is not (EFER.LME and CR0.PG)") \
    X(SVM_RULE_VMRUN_INTERCEPT, "VMRUN is not intercepted") \
    X(SVM_RULE_MSRPM, "the MSR permission map is not in physical memory") \
    X(SVM_RULE_IOPM, "the I/O permission map is not in physical memory") \
    X(SVM_RULE_EVENT_TYPE, "EVENTINJ has a reserved type") \
    X(SVM_RULE_EVENT_VECTOR, "EVENTINJ injects an exception that does not exist") \
    X(SVM_RULE_ASID, "the ASID is zero or above what the CPU has") \
    X(SVM_RULE_NCR3, "nested CR3 is unaligned or not in physical memory") \
    X(SVM_RULE_G_PAT, "the guest's PAT has a reserved memory type")
/* clang-format on */

enum svm_rule {
#define X(rule, text) rule,
    SVM_RULE_LIST(X)
#undef X
        SVM_RULE_COUNT
};

struct svm_limits {
    uint8_t phys_bits;
    bool long_mode;
    uint32_t asids; /* ASIDs 0 .. asids-1 exist */
    uint64_t cr4_valid, efer_valid;
};

enum svm_rule svm_entry_check(const struct vmcb *vmcb, const struct svm_limits *limits);
const char *svm_rule_text(enum svm_rule rule);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. APM vol. 2 15.5.1's list in its order, first broken rule wins. Two rules are ours: LMA must follow from LME
   and PG (VMRUN repairs that silently, but a state that breaks it comes from no CPU), and the ASID's upper end. */
#include "svm/entry_check.h"

#include "svm/vmcb_build.h"

#define HIGH_HALF MASK(63, 32)
#define PAT_ENTRIES 8
#define PAT_ENTRY_BITS 8
#define EXCEPTIONS 32u

static bool in_memory(uint64_t pa, uint64_t bytes, uint8_t phys_bits)
{
    uint64_t end = BIT(phys_bits);
    return pa % PAGE_BYTES == 0 && pa < end && end - pa >= bytes;
}

/* WB, WT, UC-, UC, WC and WP exist; 2, 3 and everything above 7 are reserved (APM 7.8.1 "PAT Register"). */
static bool pat_valid(uint64_t pat)
{
    for (int i = 0; i < PAT_ENTRIES; i++) {
        uint64_t type = pat >> (i * PAT_ENTRY_BITS) & MASK(PAT_ENTRY_BITS - 1, 0);
        if (type == 2 || type == 3 || type > 7)
            return false;
    }
    return true;
}

static enum svm_rule check_event(uint64_t eventinj)
{
    if (!(eventinj & EVENT_V))
        return SVM_RULE_NONE;
    uint64_t vector = eventinj & EVENT_VECTOR_MASK;
    switch ((eventinj & EVENT_TYPE_MASK) >> EVENT_TYPE_SHIFT) {
    case SVM_EVENT_INTR:
    case SVM_EVENT_NMI:
    case SVM_EVENT_SOFT_INT:
        return SVM_RULE_NONE;
    case SVM_EVENT_EXCEPTION:
        /* "Specifying an illegal event ... TYPE = 3 (exception) has been specified with a vector that does not
           correspond to an exception (this includes vector 2, which is an NMI)". */
        return vector == NMI_VECTOR || vector >= EXCEPTIONS ? SVM_RULE_EVENT_VECTOR : SVM_RULE_NONE;
    default:
        return SVM_RULE_EVENT_TYPE;
    }
}

static enum svm_rule check_registers(const struct vmcb_save *s, const struct svm_limits *limits)
{
    bool lme_pg = (s->efer & EFER_LME) && (s->cr0 & CR0_PG);
    uint64_t cr3_mbz = s->efer & EFER_LMA ? ~MASK(limits->phys_bits - 1, 0) : 0;
    if (!(s->efer & EFER_SVME))
        return SVM_RULE_SVME;
    if (!(s->cr0 & CR0_CD) && (s->cr0 & CR0_NW))
        return SVM_RULE_CR0_CD_NW;
    if (s->cr0 & HIGH_HALF)
        return SVM_RULE_CR0_HIGH;
    if (s->cr3 & cr3_mbz)
        return SVM_RULE_CR3_MBZ;
    if (s->cr4 & ~limits->cr4_valid)
        return SVM_RULE_CR4_MBZ;
    if ((s->cr4 & CR4_CET) && !(s->cr0 & CR0_WP))
        return SVM_RULE_CR4_CET_WP;
    if (s->dr6 & HIGH_HALF)
        return SVM_RULE_DR6_HIGH;
    if (s->dr7 & HIGH_HALF)
        return SVM_RULE_DR7_HIGH;
    if (s->efer & ~limits->efer_valid)
        return SVM_RULE_EFER_MBZ;
    if ((s->efer & (EFER_LMA | EFER_LME)) && !limits->long_mode)
        return SVM_RULE_NO_LONG_MODE;
    if (lme_pg && !(s->cr4 & CR4_PAE))
        return SVM_RULE_LME_PG_PAE;
    if (lme_pg && !(s->cr0 & CR0_PE))
        return SVM_RULE_LME_PG_PE;
    if (lme_pg && (s->cs.attrib & ATTRIB_L) && (s->cs.attrib & ATTRIB_DB))
        return SVM_RULE_CS_L_D;
    if (!(s->efer & EFER_LMA) == lme_pg)
        return SVM_RULE_LMA;
    return SVM_RULE_NONE;
}

enum svm_rule svm_entry_check(const struct vmcb *vmcb, const struct svm_limits *limits)
{
    const struct vmcb_control *c = &vmcb->control;
    enum svm_rule rule = check_registers(&vmcb->save, limits);
    if (rule != SVM_RULE_NONE)
        return rule;
    if (!(c->intercept_misc2 & INTERCEPT_VMRUN))
        return SVM_RULE_VMRUN_INTERCEPT;
    if ((c->intercept_misc1 & INTERCEPT_MSR_PROT) && !in_memory(c->msrpm_base_pa, MSRPM_BYTES, limits->phys_bits))
        return SVM_RULE_MSRPM;
    if ((c->intercept_misc1 & INTERCEPT_IOIO_PROT) && !in_memory(c->iopm_base_pa, IOPM_BYTES, limits->phys_bits))
        return SVM_RULE_IOPM;
    rule = check_event(c->eventinj);
    if (rule != SVM_RULE_NONE)
        return rule;
    if (c->guest_asid == 0 || c->guest_asid >= limits->asids)
        return SVM_RULE_ASID;
    if (c->np_control & NP_ENABLE) {
        if (!in_memory(c->n_cr3, PAGE_BYTES, limits->phys_bits))
            return SVM_RULE_NCR3;
        if (!pat_valid(vmcb->save.g_pat))
            return SVM_RULE_G_PAT;
    }
    return SVM_RULE_NONE;
}

const char *svm_rule_text(enum svm_rule rule)
{
    static const char *const text[] = {
#define X(rule, text) text,
        SVM_RULE_LIST(X)
#undef X
    };
    return (unsigned)rule < SVM_RULE_COUNT ? text[rule] : "unknown rule";
}

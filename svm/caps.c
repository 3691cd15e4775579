/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. APM vol. 2 15.4 "Enabling SVM", APM vol. 3 Appendix E.4.9 "Function 8000_000Ah: SVM Features". Order of the
   checks is that of the flow chart in 15.4: no SVM; SVM locked off; no nested paging. */
#include "svm/caps.h"

#include "str.h"

#define CPUID_8000_0001_EDX_LM BIT32(29)
#define CPUID_8000_000A_EDX_NP BIT32(0)
#define CPUID_8000_000A_EDX_SVML BIT32(2)
#define CPUID_8000_000A_EDX_NRIPS BIT32(3)
#define CPUID_8000_000A_EDX_FLUSH_BY_ASID BIT32(6)
#define CPUID_8000_000A_EDX_DECODE_ASSISTS BIT32(7)
#define CPUID_8000_000A_EDX_SPEC_CTRL BIT32(20)
#define LEAF_SVM 0x8000000au
#define ASIDS_MIN 2u /* 0 is the host's */
#define PHYS_BITS_MASK 0xffu
#define PHYS_BITS_MIN 36
#define PHYS_BITS_MAX 52

/* CR4 bits by the CPUID leaf 7 bit that defines them; the others every CPU with SVM has. */
#define CR4_ALWAYS (MASK(11, 0) | BIT(18))
#define CR4_FSGSBASE BIT(16)
/* SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE, MCOMMIT, INTWB, UAIE, AIBRSE: APM 3.1.7 "Extended Feature Enable
   Register". One that this CPU lacks cannot have been set in a state taken from it. */
#define EFER_DEFINED                                                                                                   \
    (BIT(0) | BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(15) | BIT(17) | BIT(18) | BIT(20) |       \
     BIT(21))

static uint64_t cr4_valid(const struct svm_cpuid *leaf7)
{
    static const struct {
        uint64_t cr4;
        uint32_t ebx, ecx;
    } feature[] = {
        {CR4_FSGSBASE, BIT32(0), 0}, {CR4_SMEP, BIT32(7), 0}, {CR4_SMAP, BIT32(20), 0},
        {CR4_LA57, 0, BIT32(16)},    {CR4_PKE, 0, BIT32(3)},  {CR4_CET, 0, BIT32(7)},
    };
    uint64_t valid = CR4_ALWAYS | CR4_PCIDE;
    for (size_t i = 0; i < ARRAY_LEN(feature); i++)
        if ((leaf7->ebx & feature[i].ebx) || (leaf7->ecx & feature[i].ecx))
            valid |= feature[i].cr4;
    return valid;
}

static enum err refuse(struct backend_report *report, enum err why, const char *text)
{
    report->why = why;
    (void)str_format(report->text, sizeof report->text, "%s", text);
    return why;
}

enum err svm_caps_evaluate(const struct svm_cpu_facts *f, struct svm_caps *caps, struct backend_report *report)
{
    uint32_t features = f->leaf_8000_000a.edx;
    uint32_t phys_bits = f->leaf_8000_0008.eax & PHYS_BITS_MASK;
    *caps = (struct svm_caps){0};
    if (!(f->leaf_8000_0001.ecx & CPUID_8000_0001_ECX_SVM) || f->max_extended_leaf < LEAF_SVM)
        return refuse(report, E_NOCPU, "this CPU has no SVM (AMD-V)");
    if ((f->vm_cr & VM_CR_SVMDIS) && (f->vm_cr & VM_CR_LOCK)) {
        if (features & CPUID_8000_000A_EDX_SVML)
            return refuse(report, E_LOCKED, "SVM is locked off by the firmware: enable it (SVM mode, AMD-V) in Setup");
        return refuse(report, E_LOCKED,
                      "SVM is locked off by the firmware, which offers no unlocking: "
                      "look for SVM mode or AMD-V in Setup, or update the firmware");
    }
    if (!(features & CPUID_8000_000A_EDX_NP))
        return refuse(report, E_NOEPT, "this CPU has SVM but no nested paging (NPT)");
    if (f->leaf_8000_000a.ebx < ASIDS_MIN)
        return refuse(report, E_NOFEATURE, "this CPU has SVM but no ASID for a guest");
    if (phys_bits < PHYS_BITS_MIN || phys_bits > PHYS_BITS_MAX)
        return refuse(report, E_NOFEATURE, "this CPU reports an impossible physical address width");
    caps->nrip = features & CPUID_8000_000A_EDX_NRIPS;
    caps->flush_by_asid = features & CPUID_8000_000A_EDX_FLUSH_BY_ASID;
    caps->decode_assists = features & CPUID_8000_000A_EDX_DECODE_ASSISTS;
    caps->spec_ctrl = features & CPUID_8000_000A_EDX_SPEC_CTRL;
    caps->clear_svmdis = f->vm_cr & VM_CR_SVMDIS;
    caps->limits = (struct svm_limits){
        .phys_bits = (uint8_t)phys_bits,
        .long_mode = f->leaf_8000_0001.edx & CPUID_8000_0001_EDX_LM,
        .asids = f->leaf_8000_000a.ebx,
        .cr4_valid = cr4_valid(&f->leaf7),
        .efer_valid = EFER_DEFINED,
    };
    report->why = E_OK;
    (void)str_format(report->text, sizeof report->text, "SVM with nested paging, %u ASIDs%s%s%s",
                     (unsigned)f->leaf_8000_000a.ebx, caps->nrip ? ", NRIP" : "",
                     caps->flush_by_asid ? ", flush by ASID" : "", caps->decode_assists ? ", decode assists" : "");
    return E_OK;
}

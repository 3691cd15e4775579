/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. struct vcpu_state to VMCB and back. APM vol. 2 (rev. 3.41) 15.5 "VMRUN Instruction", 15.11 "MSR Intercepts",
   15.20 "Event Injection", Appendix B "Layout of VMCB".

   The neutral access rights are Intel's, with an unusable bit; AMD has none and calls a null segment "not present".
   The privilege level lives twice, in SS.DPL and in VMCB.cpl: hardware uses cpl, QEMU's TCG uses SS.DPL, so both are
   written, and cpl is believed when reading (a null SS keeps no DPL on some CPUs). */
#include "svm/vmcb_build.h"

#define AR_HIGH_SHIFT 12    /* AVL, L, D/B, G: bits 15:12 of the neutral form ... */
#define ATTRIB_HIGH_SHIFT 8 /* ... and 11:8 of AMD's */
#define AR_FLAGS_MASK 0xfu
#define AR_LOW_MASK 0xffu
#define AR_DPL_MASK (3u << AR_DPL_SHIFT)
#define AR_TYPE_TSS_BUSY 0x2u
#define LIMIT_BYTE_GRANULAR_MAX 0xfffffu
#define LIMIT_PAGE_LOW 0xfffu
#define TABLE_LIMIT_MAX 0xffffu

#define VECTOR_BP 3u
#define VECTOR_OF 4u

#define MSRPM_BITS_PER_MSR 2
#define MSRPM_RANGE_MSRS 0x2000u
#define MSRPM_RANGE_BYTES 0x800u

uint16_t svm_attrib_from_ar(uint32_t ar)
{
    uint32_t attrib = (ar & AR_LOW_MASK) | ((ar >> AR_HIGH_SHIFT) & AR_FLAGS_MASK) << ATTRIB_HIGH_SHIFT;
    if (ar & AR_UNUSABLE)
        attrib &= ~ATTRIB_P;
    return (uint16_t)attrib;
}

uint32_t svm_ar_from_attrib(uint16_t attrib, uint32_t limit)
{
    uint32_t ar = (attrib & ATTRIB_LOW_MASK) | (attrib >> ATTRIB_HIGH_SHIFT & AR_FLAGS_MASK) << AR_HIGH_SHIFT;
    if (!(attrib & ATTRIB_P))
        return ar | AR_UNUSABLE;
    /* Some CPUs do not keep G. A limit above 1 MiB needs it, one that does not end a page cannot have it. */
    if (limit > LIMIT_BYTE_GRANULAR_MAX)
        ar |= AR_G;
    else if ((limit & LIMIT_PAGE_LOW) != LIMIT_PAGE_LOW)
        ar &= ~AR_G;
    return ar;
}

static struct vmcb_segment segment_to_vmcb(const struct segment *s)
{
    return (struct vmcb_segment){
        .selector = s->selector,
        .attrib = svm_attrib_from_ar(s->access_rights),
        .limit = s->limit,
        .base = s->base,
    };
}

static struct segment segment_from_vmcb(const struct vmcb_segment *v)
{
    return (struct segment){
        .selector = v->selector,
        .access_rights = svm_ar_from_attrib(v->attrib, v->limit),
        .limit = v->limit,
        .base = v->base,
    };
}

static struct vmcb_segment table_to_vmcb(const struct table_register *t)
{
    return (struct vmcb_segment){.limit = (uint32_t)t->limit & TABLE_LIMIT_MAX, .base = t->base};
}

static struct table_register table_from_vmcb(const struct vmcb_segment *v)
{
    return (struct table_register){.base = v->base, .limit = v->limit & TABLE_LIMIT_MAX};
}

void vmcb_build_controls(struct vmcb *vmcb, const struct svm_controls *c)
{
    struct vmcb_control *k = &vmcb->control;
    *k = (struct vmcb_control){0};
    k->intercept_misc1 = INTERCEPT_NMI | INTERCEPT_INIT | INTERCEPT_CPUID | INTERCEPT_INVD | INTERCEPT_INVLPGA |
                         INTERCEPT_IOIO_PROT | INTERCEPT_MSR_PROT | INTERCEPT_SHUTDOWN;
    /* With EFER.SVME held at 1 these would run in the guest's hands; APM 15.5.1 demands VMRUN's. */
    k->intercept_misc2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE | INTERCEPT_STGI |
                         INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_WBINVD;
    k->iopm_base_pa = c->iopm_pa;
    k->msrpm_base_pa = c->msrpm_pa;
    k->tsc_offset = (uint64_t)c->tsc_offset;
    k->guest_asid = c->asid;
    k->tlb_control = TLB_CONTROL_FLUSH_ALL;
    k->np_control = NP_ENABLE;
    k->n_cr3 = c->n_cr3;
}

static uint64_t state_msr(const struct vcpu_state *s, enum vcpu_msr m, uint64_t if_absent)
{
    return s->msr_present & BIT(m) ? s->msr[m] : if_absent;
}

static uint8_t privilege_level(const struct vcpu_state *s)
{
    if (!(s->cr0 & CR0_PE))
        return 0;
    if (s->rflags & RFLAGS_VM)
        return 3;
    return (uint8_t)((s->seg[SREG_SS].access_rights & AR_DPL_MASK) >> AR_DPL_SHIFT);
}

void vmcb_build_state(struct vmcb *vmcb, const struct vcpu_state *s, bool has_spec_ctrl)
{
    struct vmcb_save *v = &vmcb->save;
    *v = (struct vmcb_save){0};
    v->es = segment_to_vmcb(&s->seg[SREG_ES]);
    v->cs = segment_to_vmcb(&s->seg[SREG_CS]);
    v->ss = segment_to_vmcb(&s->seg[SREG_SS]);
    v->ds = segment_to_vmcb(&s->seg[SREG_DS]);
    v->fs = segment_to_vmcb(&s->seg[SREG_FS]);
    v->gs = segment_to_vmcb(&s->seg[SREG_GS]);
    v->ldtr = segment_to_vmcb(&s->seg[SREG_LDTR]);
    v->tr = segment_to_vmcb(&s->seg[SREG_TR]);
    v->gdtr = table_to_vmcb(&s->gdtr);
    v->idtr = table_to_vmcb(&s->idtr);
    /* Some implementations hide that a task register is busy: what they save is what they take. QEMU is one: if it is shown, there are
       no I/O permissions, and outside long mode no way into ring 0. */
    v->tr.attrib &= (uint16_t)~AR_TYPE_TSS_BUSY;
    v->cpl = privilege_level(s);
    v->efer = state_msr(s, VMSR_EFER, 0) | EFER_SVME;
    v->cr0 = s->cr0;
    v->cr2 = s->cr2;
    v->cr3 = s->cr3;
    v->cr4 = s->cr4;
    v->dr6 = s->dr6;
    v->dr7 = s->dr7;
    v->rflags = s->rflags;
    v->rip = s->rip;
    v->rsp = s->gpr[GPR_RSP];
    v->rax = s->gpr[GPR_RAX];
    v->star = state_msr(s, VMSR_STAR, 0);
    v->lstar = state_msr(s, VMSR_LSTAR, 0);
    v->cstar = state_msr(s, VMSR_CSTAR, 0);
    v->sfmask = state_msr(s, VMSR_FMASK, 0);
    v->kernel_gs_base = state_msr(s, VMSR_KERNEL_GS_BASE, 0);
    v->sysenter_cs = state_msr(s, VMSR_SYSENTER_CS, 0);
    v->sysenter_esp = state_msr(s, VMSR_SYSENTER_ESP, 0);
    v->sysenter_eip = state_msr(s, VMSR_SYSENTER_EIP, 0);
    v->g_pat = state_msr(s, VMSR_PAT, PAT_RESET_VALUE);
    if (has_spec_ctrl)
        v->spec_ctrl = state_msr(s, VMSR_SPEC_CTRL, 0);
    vmcb->control.interrupt_shadow = s->block_sti || s->block_mov_ss ? INTERRUPT_SHADOW : 0;
    vmcb->control.clean_bits = 0;
}

static void give_msr(struct vcpu_state *s, enum vcpu_msr m, uint64_t value)
{
    s->msr[m] = value;
    s->msr_present |= BIT(m);
}

void vmcb_read_state(const struct vmcb *vmcb, struct vcpu_state *s, bool has_spec_ctrl)
{
    const struct vmcb_save *v = &vmcb->save;
    s->seg[SREG_ES] = segment_from_vmcb(&v->es);
    s->seg[SREG_CS] = segment_from_vmcb(&v->cs);
    s->seg[SREG_SS] = segment_from_vmcb(&v->ss);
    s->seg[SREG_DS] = segment_from_vmcb(&v->ds);
    s->seg[SREG_FS] = segment_from_vmcb(&v->fs);
    s->seg[SREG_GS] = segment_from_vmcb(&v->gs);
    s->seg[SREG_LDTR] = segment_from_vmcb(&v->ldtr);
    s->seg[SREG_TR] = segment_from_vmcb(&v->tr);
    s->seg[SREG_SS].access_rights &= ~AR_DPL_MASK;
    s->seg[SREG_SS].access_rights |= ((uint32_t)v->cpl << AR_DPL_SHIFT) & AR_DPL_MASK;
    /* A loaded task register is busy by definition; some implementations hide it. */
    s->seg[SREG_TR].access_rights |= AR_TYPE_TSS_BUSY;
    s->gdtr = table_from_vmcb(&v->gdtr);
    s->idtr = table_from_vmcb(&v->idtr);
    s->cr0 = v->cr0;
    s->cr2 = v->cr2;
    s->cr3 = v->cr3;
    s->cr4 = v->cr4;
    s->dr6 = v->dr6;
    s->dr7 = v->dr7;
    s->rflags = v->rflags;
    s->rip = v->rip;
    s->gpr[GPR_RSP] = v->rsp;
    s->gpr[GPR_RAX] = v->rax;
    give_msr(s, VMSR_EFER, v->efer & ~EFER_SVME);
    give_msr(s, VMSR_STAR, v->star);
    give_msr(s, VMSR_LSTAR, v->lstar);
    give_msr(s, VMSR_CSTAR, v->cstar);
    give_msr(s, VMSR_FMASK, v->sfmask);
    give_msr(s, VMSR_KERNEL_GS_BASE, v->kernel_gs_base);
    give_msr(s, VMSR_SYSENTER_CS, v->sysenter_cs);
    give_msr(s, VMSR_SYSENTER_ESP, v->sysenter_esp);
    give_msr(s, VMSR_SYSENTER_EIP, v->sysenter_eip);
    give_msr(s, VMSR_PAT, v->g_pat);
    if (has_spec_ctrl)
        give_msr(s, VMSR_SPEC_CTRL, v->spec_ctrl);
    s->block_sti = vmcb->control.interrupt_shadow & INTERRUPT_SHADOW ? 1 : 0;
    s->block_mov_ss = 0;
    s->activity = ACTIVITY_ACTIVE;
    s->pending_debug = 0;
}

uint64_t svm_eventinj(const struct vcpu_event *event)
{
    uint64_t type;
    if (!event->valid)
        return 0;
    switch (event->type) {
    case EVENT_EXTINT:
        type = SVM_EVENT_INTR;
        break;
    case EVENT_NMI:
        return EVENT_V | (uint64_t)SVM_EVENT_NMI << EVENT_TYPE_SHIFT | NMI_VECTOR;
    case EVENT_EXCEPTION:
        /* INT3 and INTO report as exceptions here; like all software events they are executed again: RIP is still
           at the instruction. */
        if (event->vector == VECTOR_BP || event->vector == VECTOR_OF)
            return 0;
        type = SVM_EVENT_EXCEPTION;
        break;
    default:
        return 0;
    }
    uint64_t inj = EVENT_V | type << EVENT_TYPE_SHIFT | event->vector;
    if (event->has_error_code && event->type == EVENT_EXCEPTION)
        inj |= EVENT_EV | (uint64_t)event->error_code << EVENT_ERROR_SHIFT;
    return inj;
}

bool svm_msrpm_bit(uint32_t msr, uint32_t *bit)
{
    /* APM 15.11 "MSR Intercepts": the map covers three ranges of MSRs. */
    static const uint32_t range_first[] = {0x00000000u, 0xc0000000u, 0xc0010000u};
    for (uint32_t i = 0; i < ARRAY_LEN(range_first); i++) {
        uint32_t index = msr - range_first[i];
        if (index < MSRPM_RANGE_MSRS) {
            *bit = i * MSRPM_RANGE_BYTES * 8 + index * MSRPM_BITS_PER_MSR;
            return true;
        }
    }
    return false;
}

static void msrpm_set(uint8_t *msrpm, uint32_t msr, bool read, bool write)
{
    uint32_t bit;
    if (!svm_msrpm_bit(msr, &bit))
        return;
    if (read)
        msrpm[bit / 8] = (uint8_t)(msrpm[bit / 8] | BIT32(bit % 8));
    bit++;
    if (write)
        msrpm[bit / 8] = (uint8_t)(msrpm[bit / 8] | BIT32(bit % 8));
}

void svm_msrpm_build(uint8_t *msrpm)
{
    static const uint32_t hidden[] = {MSR_EFER, MSR_VM_CR, MSR_IGNNE, MSR_SMM_CTL, MSR_VM_HSAVE_PA, MSR_SVM_KEY};
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        msrpm_set(msrpm, hidden[i], true, true);
    msrpm_set(msrpm, MSR_IA32_BIOS_UPDT_TRIG, false, true);
    msrpm_set(msrpm, MSR_AMD_PATCH_LOADER, false, true);
    msrpm_set(msrpm, MSR_IA32_APIC_BASE, false, true);
}

void svm_msrpm_trap_icr(uint8_t *msrpm, bool on)
{
    uint32_t bit;
    if (!svm_msrpm_bit(MSR_IA32_X2APIC_ICR, &bit))
        return;
    bit++; /* the write's */
    uint8_t mask = (uint8_t)BIT32(bit % 8);
    msrpm[bit / 8] = (uint8_t)(on ? msrpm[bit / 8] | mask : msrpm[bit / 8] & ~mask);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. SVM's instructions and MSRs behind struct backend; every decision is in caps.c, vmcb_build.c, entry_check.c,
   nmi.c and decode.c. The global interrupt flag's life is told in svm.h. Clean bits stay 0: the whole VMCB is read at
   every VMRUN, so nothing can be forgotten. APM vol. 2 chapter 15 "Secure Virtual Machine". */
#include "svm/svm.h"

#include "cpu.h"
#include "ept/second_level.h"
#include "hostmem.h"
#include "kernel/guestmem.h"
#include "kernel/insn.h"
#include "log.h"
#include "str.h"
#include "svm/caps.h"
#include "svm/decode.h"
#include "svm/nmi.h"
#include "svm/vmcb_build.h"
#include "virt_env.h"

#define GUEST_ASID 1u
#define MSR_IA32_PAT 0x277u
#define MSR_IA32_DEBUGCTL 0x1d9u
#define DEBUGCTL_BTF BIT(1)
#define DR6_BS BIT(14)
#define NMI_BLOCKING_SHIFT 3
#define LEAF_FEATURES 7u
#define LEAF_EXT_MAX 0x80000000u
#define LEAF_EXT_FEATURES 0x80000001u
#define LEAF_EXT_ADDRESS 0x80000008u
#define LEAF_EXT_SVM 0x8000000au
#define DUMP_LINE 160
/* In the VMCB's state save area, or loaded with the host's by svm_enter. */
#define SWITCHED_MSRS                                                                                                  \
    (BIT(VMSR_EFER) | BIT(VMSR_STAR) | BIT(VMSR_LSTAR) | BIT(VMSR_CSTAR) | BIT(VMSR_FMASK) |                           \
     BIT(VMSR_KERNEL_GS_BASE) | BIT(VMSR_SYSENTER_CS) | BIT(VMSR_SYSENTER_ESP) | BIT(VMSR_SYSENTER_EIP) |              \
     BIT(VMSR_PAT))

/* One per CPU, in pool memory. */
struct svm_cpu {
    struct vmcb *vmcb;
    uint64_t vmcb_pa, host_pa, hsave_pa, msrpm_pa;
    uint64_t native_hsave_pa; /* what VM_HSAVE_PA held before `on`: natively it is the guest's */
    uint64_t pat_at_load;     /* the MSR when the guest was loaded */
    int64_t tsc_offset;
    struct svm_nmi nmi;
    struct svm_caps caps;
    bool is_on, is_loaded;
};

enum pool_page { PAGE_CPU, PAGE_VMCB, PAGE_HOST, PAGE_HSAVE, PAGE_MSRPM, POOL_PAGES = PAGE_MSRPM + 2 };

_Static_assert(sizeof(struct svm_cpu) <= PAGE_BYTES, "one pool page");
_Static_assert(GPR_RCX == 1 && GPR_RDX == 2 && GPR_RBX == 3 && GPR_RSP == 4 && GPR_RBP == 5 && GPR_RSI == 6 &&
                   GPR_RDI == 7 && GPR_R8 == 8 && GPR_R15 == 15,
               "svm_asm.asm has the same order");

void svm_enter(uint64_t vmcb_pa, uint64_t host_vmcb_pa, uint64_t *gpr);
void svm_nmi_window(void);
void svm_stgi(void);
void svm_clgi(void);

static struct svm_cpuid cpuid(uint32_t leaf)
{
    struct cpuid_regs r = cpu_cpuid(leaf, 0);
    return (struct svm_cpuid){r.eax, r.ebx, r.ecx, r.edx};
}

static struct svm_cpu *cpu_of(struct vcpu *v)
{
    return v->vendor;
}

static struct svm_cpu_facts read_facts(void)
{
    struct svm_cpu_facts f = {.max_extended_leaf = cpuid(LEAF_EXT_MAX).eax};
    if (cpuid(0).eax >= LEAF_FEATURES)
        f.leaf7 = cpuid(LEAF_FEATURES);
    if (f.max_extended_leaf >= LEAF_EXT_FEATURES)
        f.leaf_8000_0001 = cpuid(LEAF_EXT_FEATURES);
    if (f.max_extended_leaf >= LEAF_EXT_ADDRESS)
        f.leaf_8000_0008 = cpuid(LEAF_EXT_ADDRESS);
    if (f.max_extended_leaf >= LEAF_EXT_SVM)
        f.leaf_8000_000a = cpuid(LEAF_EXT_SVM);
    if (f.leaf_8000_0001.ecx & CPUID_8000_0001_ECX_SVM)
        f.vm_cr = cpu_rdmsr(MSR_VM_CR);
    return f;
}

static enum err svm_probe(struct backend_report *report)
{
    struct svm_cpu_facts facts = read_facts();
    struct svm_caps caps;
    return svm_caps_evaluate(&facts, &caps, report);
}

static enum err svm_init_cpu(struct vcpu *v)
{
    struct svm_cpu_facts facts = read_facts();
    struct backend_report report;
    uint8_t *pages = pool_alloc_pages(POOL_PAGES);
    if (!pages) {
        log_line("svm", "init cpu=%u: no pool pages left, wanted %u", (unsigned)v->cpu, (unsigned)POOL_PAGES);
        return E_NOMEM;
    }
    struct svm_cpu *c = (struct svm_cpu *)(void *)(pages + PAGE_CPU * PAGE_BYTES);
    enum err e = svm_caps_evaluate(&facts, &c->caps, &report);
    if (e != E_OK) {
        log_line("svm", "init cpu=%u: %s", (unsigned)v->cpu, report.text);
        return e;
    }
    if (!c->caps.nrip && !virt_env.guest_read) {
        log_line("svm", "init cpu=%u: no NRIP and no guest_read: instructions could not be skipped", (unsigned)v->cpu);
        return E_INTERNAL;
    }
    uint64_t pa = virt_to_phys(pages).v;
    c->vmcb = (struct vmcb *)(void *)(pages + PAGE_VMCB * PAGE_BYTES);
    c->vmcb_pa = pa + PAGE_VMCB * PAGE_BYTES;
    c->host_pa = pa + PAGE_HOST * PAGE_BYTES;
    c->hsave_pa = pa + PAGE_HSAVE * PAGE_BYTES;
    c->msrpm_pa = pa + PAGE_MSRPM * PAGE_BYTES;
    svm_msrpm_build(pages + PAGE_MSRPM * PAGE_BYTES);
    v->vendor = c;
    v->dirty = DIRTY_BY_BIT; /* APM 2 15.25.5 "Nested Paging and VMRUN/#VMEXIT": A and D are always set */
    v->switched_msrs = SWITCHED_MSRS | (c->caps.spec_ctrl ? BIT(VMSR_SPEC_CTRL) : 0);
    return E_OK;
}

static enum err svm_check_cpu(struct vcpu *v)
{
    struct svm_cpu_facts facts = read_facts();
    struct svm_caps caps;
    struct backend_report report;
    enum err e = svm_caps_evaluate(&facts, &caps, &report);
    if (e)
        log_line("svm", "check cpu=%u: %s", (unsigned)v->cpu, report.text);
    return e;
}

static enum err svm_on(struct vcpu *v)
{
    struct svm_cpu *c = cpu_of(v);
    if (c->is_on)
        return E_ALREADY;
    if (c->caps.clear_svmdis)
        cpu_wrmsr(MSR_VM_CR, cpu_rdmsr(MSR_VM_CR) & ~VM_CR_SVMDIS);
    uint64_t efer = cpu_rdmsr(MSR_EFER);
    if (efer & EFER_SVME) {
        log_line("svm", "on cpu=%u: EFER.SVME is set already, so the guest uses SVM itself", (unsigned)v->cpu);
        return E_VMXBUSY;
    }
    cpu_wrmsr(MSR_EFER, efer | EFER_SVME);
    c->native_hsave_pa = cpu_rdmsr(MSR_VM_HSAVE_PA);
    cpu_wrmsr(MSR_VM_HSAVE_PA, c->hsave_pa);
    svm_clgi();
    c->is_on = true;
    c->is_loaded = false;
    return E_OK;
}

static enum err svm_off(struct vcpu *v)
{
    struct svm_cpu *c = cpu_of(v);
    if (!c->is_on)
        return E_ALREADY;
    cpu_wrmsr(MSR_VM_HSAVE_PA, c->native_hsave_pa);
    svm_stgi();
    cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) & ~EFER_SVME);
    c->is_on = false;
    c->is_loaded = false;
    return E_OK;
}

static enum err svm_load(struct vcpu *v, const struct vcpu_state *s, bool check)
{
    struct svm_cpu *c = cpu_of(v);
    struct svm_controls controls = {
        .iopm_pa = virt_env.io_bitmap_pa.v,
        .msrpm_pa = c->msrpm_pa,
        .n_cr3 = virt_env.second_level_root.v,
        .tsc_offset = c->tsc_offset,
        .asid = GUEST_ASID,
    };
    if (!c->is_on)
        return E_MODE;
    if (s->activity != ACTIVITY_ACTIVE && s->activity != ACTIVITY_HLT) {
        log_line("svm", "load cpu=%u: activity=%u cannot be entered", (unsigned)v->cpu, (unsigned)s->activity);
        return E_STATE;
    }
    /* A halted guest runs on behind its HLT, as after any interrupt that was not for it: SVM has no activity state. */
    vmcb_build_controls(c->vmcb, &controls);
    vmcb_build_state(c->vmcb, s, c->caps.spec_ctrl);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        v->gpr[i] = s->gpr[i];
    v->event = s->event;
    c->nmi = (struct svm_nmi){.blocked = s->block_nmi};
    enum svm_rule rule = check ? svm_entry_check(c->vmcb, &c->caps.limits) : SVM_RULE_NONE;
    if (rule != SVM_RULE_NONE) {
        log_line("svm", "load cpu=%u rip=0x%llx: %s", (unsigned)v->cpu, (unsigned long long)s->rip,
                 svm_rule_text(rule));
        return E_STATE;
    }
    c->pat_at_load = cpu_rdmsr(MSR_IA32_PAT);
    c->is_loaded = true;
    return E_OK;
}

/* With nested paging the guest's PAT is the VMCB's G_PAT, and the MSR is the host's. QEMU's TCG lets the guest write
   the MSR itself and never touches G_PAT; then the MSR has changed under us and holds the guest's. */
static void follow_pat(struct svm_cpu *c)
{
    uint64_t pat = cpu_rdmsr(MSR_IA32_PAT);
    if (pat != c->pat_at_load)
        c->vmcb->save.g_pat = c->pat_at_load = pat;
}

static enum err svm_save(struct vcpu *v, struct vcpu_state *s)
{
    struct svm_cpu *c = cpu_of(v);
    if (!c->is_loaded)
        return E_NOGUEST;
    follow_pat(c);
    vmcb_read_state(c->vmcb, s, c->caps.spec_ctrl);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        s->gpr[i] = v->gpr[i];
    s->event = v->event;
    /* An NMI that is still to be injected does not block itself. */
    s->block_nmi = c->nmi.blocked && !(v->event.valid && v->event.type == EVENT_NMI);
    return E_OK;
}

/* What the last exit interrupted must be injected again, or executed again. */
static void take_interrupted_event(struct vcpu *v, struct svm_cpu *c)
{
    v->event = svm_decode_exitintinfo(c->vmcb->control.exitintinfo);
    if (v->event.valid && svm_eventinj(&v->event) == 0)
        v->event.valid = 0;
}

static enum err entry_refused(struct vcpu *v, struct svm_cpu *c, const struct vcpu_event *injected)
{
    /* QEMU's TCG has written host state over the save area by now, so only the event and controls can be judged. */
    log_line("svm", "vmrun refused cpu=%u eventinj=0x%llx: %s", (unsigned)v->cpu,
             (unsigned long long)svm_eventinj(injected), svm_rule_text(svm_entry_check(c->vmcb, &c->caps.limits)));
    v->event = *injected;
    c->is_loaded = false;
    return E_SVMFAIL;
}

static void svm_flush(struct vcpu *v)
{
    struct svm_cpu *c = cpu_of(v);
    if (virt_env.second_level)
        v->flush_seen = virt_env.second_level->flush_epoch;
    c->vmcb->control.tlb_control = c->caps.flush_by_asid ? TLB_CONTROL_FLUSH_ASID : TLB_CONTROL_FLUSH_ALL;
}

/* Instructions that policy carries out and then skips, and whose length an old CPU (and QEMU) does not tell. */
static bool needs_length(enum exit_kind kind)
{
    return kind == EXIT_CPUID || kind == EXIT_RDMSR || kind == EXIT_WRMSR || kind == EXIT_INVD || kind == EXIT_WBINVD ||
           kind == EXIT_XSETBV || kind == EXIT_HLT || kind == EXIT_CR || kind == EXIT_IO;
}

/* 0 when the bytes cannot be read. */
static uint32_t length_at_rip(const struct vmcb_save *s)
{
    struct guest_paging paging = {s->cr0, s->cr3, s->cr4, s->efer};
    struct guest_phys phys = {.read = virt_env.guest_read};
    enum insn_mode mode = insn_mode_of(s->cr0, s->efer, s->rflags, svm_ar_from_attrib(s->cs.attrib, s->cs.limit));
    uint64_t linear = mode == INSN_64 ? s->rip : (uint32_t)(s->cs.base + s->rip);
    uint8_t bytes[INSN_BYTES_MAX];
    struct insn in;
    if (!virt_env.guest_read)
        return 0;
    size_t n = guestmem_read(&paging, &phys, linear, bytes, sizeof bytes);
    return insn_decode(mode, bytes, n, &in) ? in.len : 0;
}

/* Not on the way in (kernel/door.ld). */
static __attribute__((noinline)) enum err look_at_exit(struct vcpu *v, struct svm_cpu *c,
                                                       const struct vcpu_event *injected, struct vm_exit *x)
{
    struct vmcb *vmcb = c->vmcb;
    svm_decode_exit(vmcb, c->caps.nrip, x);
    if (x->kind == EXIT_ENTRY_FAILED)
        return entry_refused(v, c, injected);
    v->gpr[GPR_RAX] = vmcb->save.rax;
    v->gpr[GPR_RSP] = vmcb->save.rsp;
    vmcb->control.eventinj = 0;
    vmcb->control.tlb_control = TLB_CONTROL_NONE;
    take_interrupted_event(v, c);
    if (svm_nmi_after_exit(&c->nmi, vmcb))
        x->kind = EXIT_IRET;
    if (x->insn_len == 0 && needs_length(x->kind)) {
        x->insn_len = length_at_rip(&vmcb->save);
        /* Carrying it out without being able to skip it would repeat it for ever. */
        if (x->insn_len == 0)
            x->kind = EXIT_UNKNOWN;
    }
    if (x->kind == EXIT_NMI) {
        uint64_t before = v->host_nmi;
        svm_nmi_window();
        if (v->host_nmi != before)
            v->host_nmi = v->host_nmi - 1;
    }
    return E_OK;
}

static enum err svm_run(struct vcpu *v, struct vm_exit *x)
{
    struct svm_cpu *c = cpu_of(v);
    struct vmcb *vmcb = c->vmcb;
    if (!c->is_loaded)
        return E_NOGUEST;
    if (v->host_nmi) {
        *x = (struct vm_exit){.kind = EXIT_NMI_HOST};
        return E_OK;
    }
    if (virt_env.second_level && virt_env.second_level->flush_epoch != v->flush_seen)
        svm_flush(v);
    svm_nmi_before_entry(&c->nmi, vmcb, &v->event, &v->nmi_pending);
    struct vcpu_event injected = v->event;
    vmcb->control.eventinj = svm_eventinj(&injected);
    if (vmcb->control.eventinj & EVENT_V)
        vmcb->control.interrupt_shadow = 0;
    vmcb->save.rax = v->gpr[GPR_RAX];
    vmcb->save.rsp = v->gpr[GPR_RSP];
    vmcb->save.efer |= EFER_SVME; /* firmware that ran in SMM meanwhile may have left EFER without it: SeaBIOS does */
    enum svm_rule rule = svm_entry_check(vmcb, &c->caps.limits);
    if (rule != SVM_RULE_NONE) {
        log_line("svm", "run cpu=%u rip=0x%llx: %s", (unsigned)v->cpu, (unsigned long long)vmcb->save.rip,
                 svm_rule_text(rule));
        return E_STATE;
    }

    v->entry_tsc = cpu_rdtsc();
    svm_enter(c->vmcb_pa, c->host_pa, v->gpr);
    if (virt_env.exited)
        virt_env.exited();
    return look_at_exit(v, c, &injected, x);
}

static uint64_t svm_get(struct vcpu *v, enum vreg r)
{
    const struct vmcb_save *s = &cpu_of(v)->vmcb->save;
    switch (r) {
    case VREG_RIP:
        return s->rip;
    case VREG_RFLAGS:
        return s->rflags;
    case VREG_CR0:
        return s->cr0;
    case VREG_CR3:
        return s->cr3;
    case VREG_CR4:
        return s->cr4;
    case VREG_EFER:
        return s->efer & ~EFER_SVME;
    case VREG_CS_AR:
        return svm_ar_from_attrib(s->cs.attrib, s->cs.limit);
    case VREG_CS_BASE:
        return s->cs.base;
    case VREG_SS_AR:
        return svm_ar_from_attrib(s->ss.attrib, s->ss.limit);
    case VREG_IDT_BASE:
        return s->idtr.base;
    case VREG_IDT_LIMIT:
        return s->idtr.limit;
    }
    panic("svm: get of register %d", (int)r);
}

static void svm_set(struct vcpu *v, enum vreg r, uint64_t value)
{
    struct vmcb_save *s = &cpu_of(v)->vmcb->save;
    switch (r) {
    case VREG_RIP:
        s->rip = value;
        return;
    case VREG_RFLAGS:
        s->rflags = value;
        return;
    case VREG_CR0:
        s->cr0 = value;
        return;
    case VREG_CR3:
        s->cr3 = value;
        return;
    case VREG_CR4:
        s->cr4 = value;
        return;
    case VREG_EFER:
        s->efer = value | EFER_SVME;
        return;
    case VREG_CS_AR:
        s->cs.attrib = svm_attrib_from_ar((uint32_t)value);
        return;
    case VREG_CS_BASE:
        s->cs.base = value;
        return;
    case VREG_SS_AR:
        s->ss.attrib = svm_attrib_from_ar((uint32_t)value);
        return;
    case VREG_IDT_BASE:
        s->idtr.base = value;
        return;
    case VREG_IDT_LIMIT:
        s->idtr.limit = (uint32_t)value;
        return;
    }
    panic("svm: set of register %d", (int)r);
}

static enum err svm_trap(struct vcpu *v, enum vtrap t, uint64_t value)
{
    struct svm_cpu *c = cpu_of(v);
    struct vmcb_control *k = &c->vmcb->control;
    switch (t) {
    case VTRAP_TICK:
        return value ? E_NOTYET : E_OK;
    case VTRAP_INTR:
        k->intercept_misc1 = value ? k->intercept_misc1 | INTERCEPT_INTR : k->intercept_misc1 & ~INTERCEPT_INTR;
        return E_OK;
    case VTRAP_IRET:
        c->nmi.trap_iret = value;
        return E_OK;
    case VTRAP_INTR_WINDOW:
        /* A virtual interrupt nobody will ever take: its intercept fires when the guest could. */
        if (value) {
            k->vintr |= V_IRQ | V_IGN_TPR | V_INTR_PRIO_MAX;
            k->intercept_misc1 |= INTERCEPT_VINTR;
        } else {
            k->vintr &= ~(V_IRQ | V_IGN_TPR | V_INTR_PRIO_MAX);
            k->intercept_misc1 &= ~INTERCEPT_VINTR;
        }
        return E_OK;
    case VTRAP_HLT:
        k->intercept_misc1 = value ? k->intercept_misc1 | INTERCEPT_HLT : k->intercept_misc1 & ~INTERCEPT_HLT;
        return E_OK;
    case VTRAP_ICR:
        svm_msrpm_trap_icr(phys_to_virt((hpa_t){c->msrpm_pa}), value);
        return E_OK;
    }
    return E_NOTYET;
}

static uint32_t svm_interruptibility(struct vcpu *v)
{
    struct svm_cpu *c = cpu_of(v);
    uint32_t shadow = c->vmcb->control.interrupt_shadow & INTERRUPT_SHADOW ? 1 : 0;
    return shadow | (uint32_t)c->nmi.blocked << NMI_BLOCKING_SHIFT;
}

/* An instruction was completed for the guest: the shadow ends, and a guest that single-steps is owed its #DB. Injection
   leaves DR6 as it is (APM 15.20 "Event Injection"). */
static void svm_clear_interrupt_shadow(struct vcpu *v)
{
    struct vmcb *vmcb = cpu_of(v)->vmcb;
    uint64_t debugctl;
    vmcb->control.interrupt_shadow = 0;
    if (!(vmcb->save.rflags & RFLAGS_TF) || v->event.valid)
        return;
    if (cpu_rdmsr_safe(MSR_IA32_DEBUGCTL, &debugctl) && (debugctl & DEBUGCTL_BTF))
        return; /* steps by branches */
    vmcb->save.dr6 |= DR6_BS;
    v->event = (struct vcpu_event){.valid = 1, .type = EVENT_EXCEPTION, .vector = DB_VECTOR};
}

static void svm_set_tsc_offset(struct vcpu *v, int64_t offset)
{
    struct svm_cpu *c = cpu_of(v);
    c->tsc_offset = offset;
    c->vmcb->control.tsc_offset = (uint64_t)offset;
}

static void dump_segment(const char *name, const struct vmcb_segment *s, void (*line)(const char *text))
{
    char text[DUMP_LINE];
    (void)str_format(text, sizeof text, "%s sel=0x%04x attrib=0x%03x limit=0x%x base=0x%llx", name,
                     (unsigned)s->selector, (unsigned)s->attrib, (unsigned)s->limit, (unsigned long long)s->base);
    line(text);
}

static void dump_pair(const char *a, uint64_t av, const char *b, uint64_t bv, void (*line)(const char *text))
{
    char text[DUMP_LINE];
    (void)str_format(text, sizeof text, "%s=0x%llx %s=0x%llx", a, (unsigned long long)av, b, (unsigned long long)bv);
    line(text);
}

static void dump_registers(struct vcpu *v, void (*line)(const char *text))
{
    static const char *const name[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct vmcb_save *s = &cpu_of(v)->vmcb->save;
    for (unsigned i = 0; i < GPR_COUNT; i += 2)
        dump_pair(name[i], v->gpr[i], name[i + 1], v->gpr[i + 1], line);
    dump_pair("rip", s->rip, "rflags", s->rflags, line);
    dump_pair("cr0", s->cr0, "cr2", s->cr2, line);
    dump_pair("cr3", s->cr3, "cr4", s->cr4, line);
    dump_pair("dr6", s->dr6, "dr7", s->dr7, line);
    dump_pair("efer", s->efer, "cpl", s->cpl, line);
    dump_pair("star", s->star, "lstar", s->lstar, line);
    dump_pair("cstar", s->cstar, "sfmask", s->sfmask, line);
    dump_pair("kernel_gs_base", s->kernel_gs_base, "pat", s->g_pat, line);
    dump_pair("sysenter_esp", s->sysenter_esp, "sysenter_eip", s->sysenter_eip, line);
}

static void svm_dump(struct vcpu *v, void (*line)(const char *text))
{
    struct svm_cpu *c = cpu_of(v);
    if (!c) {
        line("svm: this CPU has no VMCB");
        return;
    }
    const struct vmcb_control *k = &c->vmcb->control;
    const struct vmcb_save *s = &c->vmcb->save;
    dump_registers(v, line);
    dump_segment("es", &s->es, line);
    dump_segment("cs", &s->cs, line);
    dump_segment("ss", &s->ss, line);
    dump_segment("ds", &s->ds, line);
    dump_segment("fs", &s->fs, line);
    dump_segment("gs", &s->gs, line);
    dump_segment("ldtr", &s->ldtr, line);
    dump_segment("tr", &s->tr, line);
    dump_segment("gdtr", &s->gdtr, line);
    dump_segment("idtr", &s->idtr, line);
    dump_pair("exitcode", k->exitcode, "exitintinfo", k->exitintinfo, line);
    dump_pair("exitinfo1", k->exitinfo1, "exitinfo2", k->exitinfo2, line);
    dump_pair("eventinj", k->eventinj, "interrupt_shadow", k->interrupt_shadow, line);
    dump_pair("intercepts1", k->intercept_misc1, "intercepts2", k->intercept_misc2, line);
    dump_pair("n_cr3", k->n_cr3, "tsc_offset", k->tsc_offset, line);
    dump_pair("nmi_blocked", c->nmi.blocked, "nmi_pending", v->nmi_pending, line);
}

const struct backend svm_backend = {
    .name = "svm",
    .probe = svm_probe,
    .init_cpu = svm_init_cpu,
    .check_cpu = svm_check_cpu,
    .on = svm_on,
    .off = svm_off,
    .load = svm_load,
    .save = svm_save,
    .run = svm_run,
    .get = svm_get,
    .set = svm_set,
    .trap = svm_trap,
    .interruptibility = svm_interruptibility,
    .clear_interrupt_shadow = svm_clear_interrupt_shadow,
    .set_tsc_offset = svm_set_tsc_offset,
    .flush = svm_flush,
    .dump = svm_dump,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The VMX backend: capability MSRs to caps.c, rows to VMCS fields, VMCS fields to state. It writes what the
   pure files decided and loses no failure: every VMX instruction's CF and ZF end in the log with the field's name and
   the error's text. SDM 3C chapters 24 to 31. */
#include "clock.h"
#include "cpu.h"
#include "ept/second_level.h"
#include "hostmem.h"
#include "log.h"
#include "msr.h"
#include "str.h"
#include "virt_env.h"
#include "vmx/decode.h"
#include "vmx/entry_check.h"
#include "vmx/vmx_cpu.h"

#include <string.h>

#define MSR_IA32_PAT 0x277u
#define CPUID_MAX_EXTENDED 0x80000000u
#define CPUID_ADDRESS_SIZES 0x80000008u
#define PHYS_BITS_DEFAULT 36u
#define TSC_MEASURE_US 1000u
#define PDPT_ADDRESS MASK(31, 5)
/* In the VMCS, saved and loaded by entry and exit. */
#define SWITCHED_MSRS                                                                                                  \
    (BIT(VMSR_EFER) | BIT(VMSR_PAT) | BIT(VMSR_DEBUGCTL) | BIT(VMSR_SYSENTER_CS) | BIT(VMSR_SYSENTER_ESP) |            \
     BIT(VMSR_SYSENTER_EIP))

enum err vmx_checked(struct vmx_cpu *c, enum vmx_status status, const char *what, const char *operand)
{
    if (status == VMX_OK)
        return E_OK;
    uint64_t error = 0;
    if (status == VMX_STATUS_VALID && insn_vmread(VMCS_INSN_ERROR, &error) != VMX_OK)
        error = 0;
    c->broken = true;
    log_line("vmx", "%s failed operand=%s error=%u text=\"%s\"", what, operand, (unsigned)error,
             vmx_error_text((uint32_t)error));
    return E_VMXFAIL;
}

uint64_t vmcs_read(struct vmx_cpu *c, struct vmcs_field field)
{
    uint64_t value;
    enum vmx_status status = insn_vmread(field, &value);
    if (status != VMX_OK && vmx_checked(c, status, "vmread", vmcs_field_name(field)))
        return 0;
    return value;
}

void vmcs_write(struct vmx_cpu *c, struct vmcs_field field, uint64_t value)
{
    enum vmx_status status = insn_vmwrite(field, value);
    if (status != VMX_OK && vmx_checked(c, status, "vmwrite", vmcs_field_name(field)))
        log_line("vmx", "value=%#llx", (unsigned long long)value);
}

void vmcs_set_pin(struct vmx_cpu *c, uint32_t controls)
{
    if (controls != c->pin)
        vmcs_write(c, VMCS_PIN_CONTROLS, controls);
    c->pin = controls;
}

void vmcs_set_proc(struct vmx_cpu *c, uint32_t controls)
{
    if (controls != c->proc)
        vmcs_write(c, VMCS_PROC_CONTROLS, controls);
    c->proc = controls;
}

static uint64_t source_rdmsr(const struct vmx_source *source, uint32_t msr)
{
    (void)source;
    return cpu_rdmsr(msr);
}

static SELDOM enum err resolve(struct vmx_caps *caps, struct backend_report *report)
{
    struct vmx_source source = {.rdmsr = source_rdmsr, .phys_bits = PHYS_BITS_DEFAULT};
    source.cpuid_vmx = cpu_cpuid(1, 0).ecx & CPUID1_ECX_VMX;
    if (cpu_cpuid(CPUID_MAX_EXTENDED, 0).eax >= CPUID_ADDRESS_SIZES)
        source.phys_bits = (uint8_t)cpu_cpuid(CPUID_ADDRESS_SIZES, 0).eax;
    return vmx_caps_resolve(&source, caps, report);
}

static SELDOM enum err vmx_probe(struct backend_report *report)
{
    struct vmx_caps caps;
    return resolve(&caps, report);
}

static void check_asm_numbers(void)
{
    if (vmx_asm_numbers[VMX_NUMBER_GPR] != offsetof(struct vcpu, gpr) ||
        vmx_asm_numbers[VMX_NUMBER_HOST_NMI] != offsetof(struct vcpu, host_nmi) ||
        vmx_asm_numbers[VMX_NUMBER_CR2] != offsetof(struct vcpu, cr2) ||
        vmx_asm_numbers[VMX_NUMBER_FRAME_VCPU] != VMX_FRAME_VCPU ||
        vmx_asm_numbers[VMX_NUMBER_FRAME_HOST_RSP] != VMX_FRAME_HOST_RSP)
        panic("vmx_asm.asm was built with other offsets than C");
}

static void fill_host(struct vmx_cpu *c, const struct vcpu *v, hpa_t msr_bitmap, const uint64_t *pml)
{
    c->host = (struct vmx_host){
        .efer = cpu_rdmsr(MSR_EFER) & ~EFER_SVME,
        .pat = cpu_rdmsr(MSR_IA32_PAT),
        .rip = (uint64_t)&vmx_exit_entry,
        .rsp = (uint64_t)&c->frame.anchor,
        .vpid = (uint16_t)(v->cpu + 1),
        .msr_bitmap_pa = msr_bitmap.v,
        .pml_pa = pml ? virt_to_phys(pml).v : 0,
    };
}

/* SDM 3C 24.7 "Enabling and Entering VMX Operation": VMXON faults unless FEATURE_CONTROL is locked with it allowed. */
static void lock_feature_control(void)
{
    uint64_t feature = cpu_rdmsr(MSR_IA32_FEATURE_CONTROL);
    if (!(feature & FEATURE_CONTROL_LOCK))
        cpu_wrmsr(MSR_IA32_FEATURE_CONTROL, feature | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON_OUTSIDE_SMX);
}

static uint64_t measure_tsc(void)
{
    uint64_t start = cpu_rdtsc(), start_us = clock_us();
    clock_delay_us(TSC_MEASURE_US);
    uint64_t us = clock_us() - start_us;
    return us ? max_u64((cpu_rdtsc() - start) / us, 1) : 1;
}

static uint64_t tsc_per_us;
static uint8_t *msr_bitmap; /* all CPUs' */

static SELDOM enum err vmx_check_cpu(struct vcpu *v)
{
    struct vmx_caps caps;
    struct backend_report report;
    enum err err = resolve(&caps, &report);
    const struct vmx_caps *leaders = &vmx_of(v)->caps;
    if (!err && (memcmp(caps.base, leaders->base, sizeof caps.base) != 0 || caps.ad != leaders->ad)) {
        log_line("vmx", "check cpu=%u: other controls than the first CPU's", v->cpu);
        err = E_NOFEATURE;
    }
    if (err) {
        log_line("vmx", "check cpu=%u: %s", v->cpu, report.text);
        return err;
    }
    lock_feature_control();
    return E_OK;
}

static SELDOM enum err vmx_init_cpu(struct vcpu *v)
{
    check_asm_numbers();
    struct backend_report report;
    struct vmx_cpu *c = pool_alloc_pages((sizeof *c + PAGE_BYTES - 1) / PAGE_BYTES);
    uint32_t *vmxon = pool_alloc_pages(1), *vmcs = pool_alloc_pages(1);
    if (!msr_bitmap)
        msr_bitmap = pool_alloc_pages(1);
    if (!c || !vmxon || !vmcs || !msr_bitmap)
        return E_NOMEM;
    enum err err = resolve(&c->caps, &report);
    if (!err && c->caps.pml && !(c->pml = pool_alloc_pages(1)))
        err = E_NOMEM;
    if (err)
        return err;
    v->dirty = c->caps.pml ? DIRTY_BY_LOG : c->caps.ad ? DIRTY_BY_BIT : DIRTY_BY_FAULT;
    vmxon[0] = vmcs[0] = c->caps.revision; /* SDM 3C 25.2 "Format of the VMCS Region" */
    c->vmxon_pa = virt_to_phys(vmxon);
    c->vmcs_pa = virt_to_phys(vmcs);
    vmx_msr_bitmap_build(msr_bitmap);
    fill_host(c, v, virt_to_phys(msr_bitmap), c->pml);
    if (!tsc_per_us)
        tsc_per_us = measure_tsc();
    c->tsc_per_us = tsc_per_us;
    v->vendor = c;
    v->switched_msrs = SWITCHED_MSRS;
    if (v->cpu)
        return E_OK;
    lock_feature_control();
    log_line("vmx", "cpu=%u %s pin=%#x proc=%#x proc2=%#x exit=%#x entry=%#x", v->cpu, report.text,
             c->caps.base[CTL_PIN], c->caps.base[CTL_PROC], c->caps.base[CTL_PROC2], c->caps.base[CTL_EXIT],
             c->caps.base[CTL_ENTRY]);
    return E_OK;
}

static enum err vmx_on(struct vcpu *v)
{
    struct vmx_cpu *c = vmx_of(v);
    if (c->on)
        return E_ALREADY;
    cpu_write_cr0(cpu_read_cr0() | c->caps.host_cr0_fixed0);
    cpu_write_cr4(cpu_read_cr4() | c->caps.cr4_fixed0);
    enum err err = vmx_checked(c, insn_vmxon(c->vmxon_pa), "vmxon", "region");
    if (err) {
        cpu_write_cr4(cpu_read_cr4() & ~CR4_VMXE);
        return err;
    }
    c->on = true;
    return E_OK;
}

static enum err vmx_off(struct vcpu *v)
{
    struct vmx_cpu *c = vmx_of(v);
    if (!c->on)
        return E_ALREADY;
    /* VMCLEAR first: the CPU may hold parts of the VMCS, and would write them back whenever it likes. */
    enum err clear = vmx_checked(c, insn_vmclear(c->vmcs_pa), "vmclear", "vmcs");
    enum err off = vmx_checked(c, insn_vmxoff(), "vmxoff", "-");
    if (off)
        return off;
    cpu_write_cr4(cpu_read_cr4() & ~CR4_VMXE);
    c->on = c->loaded = false;
    return clear;
}

void vmx_flush(struct vcpu *v)
{
    struct vmx_cpu *c = vmx_of(v);
    uint32_t epoch = virt_env.second_level ? virt_env.second_level->flush_epoch : 0;
    enum err err = vmx_checked(c, insn_invept(), "invept", "all-contexts");
    if (!err && c->caps.vpid)
        err = vmx_checked(c, insn_invvpid(), "invvpid", "all-contexts");
    if (!err)
        v->flush_seen = epoch;
}

/* SDM 3A 4.4.1 "PDPTE Registers": with EPT, VM entry takes them from the VMCS, so they are read from the guest here. */
static void read_pdptes(uint64_t cr3, uint64_t pdpte[4])
{
    memcpy(pdpte, phys_to_virt((hpa_t){cr3 & PDPT_ADDRESS}), 4 * sizeof pdpte[0]);
}

static enum err entry_rules(const char *broken)
{
    if (!broken)
        return E_OK;
    log_line("vmx", "state refused rule=\"%s\"", broken);
    return E_STATE;
}

static void build_rows(struct vmx_cpu *c, const struct vcpu_state *s)
{
    uint64_t pdpte[4] = {0};
    if (vmx_is_pae(s->cr0, s->cr4, s->msr[VMSR_EFER]))
        read_pdptes(s->cr3, pdpte);
    c->host.cr0 = cpu_read_cr0();
    c->host.cr4 = cpu_read_cr4();
    vmx_rows_build(&c->rows, &c->caps, &c->host, s, pdpte);
}

/* Of one load after the other: the VMCS as a boot, a CPU and the host have it. Nothing in it is the guest's. */
static enum err prepare(struct vmx_cpu *c, const struct vcpu *v)
{
    c->host.cr3 = virt_env.host_cr3;
    c->host.gdt_base = v->host_gdt_base;
    c->host.idt_base = virt_env.host_idt_base;
    c->host.tss_base = v->host_tss_base;
    c->host.cs = virt_env.host_cs;
    c->host.ss = virt_env.host_ss;
    c->host.tr = virt_env.host_tr;
    c->host.io_bitmap_pa = virt_env.io_bitmap_pa.v;
    c->host.ept_root_pa = virt_env.second_level_root.v;
    vmx_rows_build_fixed(&c->rows, &c->caps, &c->host);
    enum err err = entry_rules(vmx_entry_check_fixed(&c->rows, &c->caps));
    for (size_t i = 0; i < VMCS_FIXED_COUNT && !err; i++)
        if (vmx_field_exists(&c->caps, &vmcs_fields[i]))
            vmcs_write(c, vmcs_fields[i].field, c->rows.value[i]);
    c->pin = c->caps.base[CTL_PIN];
    c->proc = c->caps.base[CTL_PROC];
    c->prepared = !err && !c->broken;
    return err;
}

/* The longest parts of entering and leaving: unrolled, three instructions a field. */
#define WRITE_ROW(name, number, width, need)                                                                           \
    __asm__ goto("vmwrite %1, %0\n"                                                                                    \
                 "jbe %l[failed]"                                                                                      \
                 :                                                                                                     \
                 : "r"((uint64_t)(number)), "m"(c->rows.value[VI_##name])                                              \
                 : "cc", "memory"                                                                                      \
                 : failed);
#define READ_ROW(name, number, width, need)                                                                            \
    __asm__ goto("vmread %0, %1\n"                                                                                     \
                 "jbe %l[failed]"                                                                                      \
                 :                                                                                                     \
                 : "r"((uint64_t)(number)), "m"(c->rows.value[VI_##name])                                              \
                 : "cc", "memory"                                                                                      \
                 : failed);

/* Once more, for its name, its status and the log. */
static SELDOM void write_rows_slowly(struct vmx_cpu *c)
{
    for (size_t i = VMCS_FIXED_COUNT; i < VMCS_ROW_COUNT; i++)
        vmcs_write(c, vmcs_fields[i].field, c->rows.value[i]);
    c->broken = true;
}

static SELDOM void read_rows_slowly(struct vmx_cpu *c)
{
    for (size_t i = VMCS_FIXED_COUNT + VMCS_LOADED_COUNT; i < VMCS_ROW_COUNT; i++)
        c->rows.value[i] = vmcs_read(c, vmcs_fields[i].field);
    c->broken = true;
}

static void write_rows(struct vmx_cpu *c)
{
    VMCS_LOADED_LIST(WRITE_ROW)
    VMCS_GUEST_LIST(WRITE_ROW)
    return;
failed:
    write_rows_slowly(c);
}

static void read_rows(struct vmx_cpu *c)
{
    VMCS_GUEST_LIST(READ_ROW)
    return;
failed:
    read_rows_slowly(c);
}

static enum err vmx_load(struct vcpu *v, const struct vcpu_state *s, bool check)
{
    struct vmx_cpu *c = vmx_of(v);
    if (!c->on) {
        log_line("vmx", "load before on cpu=%u", v->cpu);
        return E_VMXFAIL;
    }
    build_rows(c, s);
    enum err err = check ? entry_rules(vmx_entry_check(&c->rows, &c->caps)) : E_OK;
    if (err)
        return err;
    c->broken = c->loaded = c->launched = c->event_in_vmcs = false;
    err = vmx_checked(c, insn_vmclear(c->vmcs_pa), "vmclear", "vmcs");
    if (!err)
        err = vmx_checked(c, insn_vmptrld(c->vmcs_pa), "vmptrld", "vmcs");
    if (!err && !c->prepared)
        err = prepare(c, v);
    if (err)
        return err;
    write_rows(c);
    vmcs_set_pin(c, c->caps.base[CTL_PIN]);
    vmcs_set_proc(c, c->caps.base[CTL_PROC]);
    c->want_intr_window = false;
    c->tick_cycles = 0;
    memcpy(v->gpr, s->gpr, sizeof v->gpr);
    c->rsp_in_vmcs = s->gpr[GPR_RSP];
    v->cr2 = s->cr2;
    v->event = s->event;
    c->event_in_vmcs = s->event.valid;
    vmx_flush(v);
    c->loaded = !c->broken;
    return c->broken ? E_VMXFAIL : E_OK;
}

static enum err vmx_save(struct vcpu *v, struct vcpu_state *s)
{
    struct vmx_cpu *c = vmx_of(v);
    if (!c->loaded)
        return E_VMXFAIL;
    read_rows(c);
    if (c->broken)
        return E_VMXFAIL;
    vmx_rows_to_state(&c->rows, s);
    memcpy(s->gpr, v->gpr, sizeof s->gpr);
    s->cr2 = v->cr2;
    s->event = v->event;
    return E_OK;
}

/* For the single-register accessors. CR0, CR3, CR4 and EFER have side effects and are handled in vmx_set. */
static const struct vmcs_field *vreg_field(enum vreg r)
{
    switch (r) {
    case VREG_RIP:
        return &VMCS_GUEST_RIP;
    case VREG_RFLAGS:
        return &VMCS_GUEST_RFLAGS;
    case VREG_CR0:
        return &VMCS_GUEST_CR0;
    case VREG_CR3:
        return &VMCS_GUEST_CR3;
    case VREG_CR4:
        return &VMCS_GUEST_CR4;
    case VREG_EFER:
        return &VMCS_GUEST_EFER;
    case VREG_CS_AR:
        return &VMCS_GUEST_CS_AR;
    case VREG_CS_BASE:
        return &VMCS_GUEST_CS_BASE;
    case VREG_SS_AR:
        return &VMCS_GUEST_SS_AR;
    case VREG_IDT_BASE:
        return &VMCS_GUEST_IDTR_BASE;
    case VREG_IDT_LIMIT:
        return &VMCS_GUEST_IDTR_LIMIT;
    }
    panic("vmx: no such vreg %d", (int)r);
}

static uint64_t vmx_get(struct vcpu *v, enum vreg r)
{
    struct vmx_cpu *c = vmx_of(v);
    uint64_t value = vmcs_read(c, *vreg_field(r));
    if (r == VREG_CR0)
        return vmx_cr_visible(value, vmcs_read(c, VMCS_CR0_MASK), vmcs_read(c, VMCS_CR0_SHADOW));
    if (r == VREG_CR4)
        return vmx_cr_visible(value, vmcs_read(c, VMCS_CR4_MASK), vmcs_read(c, VMCS_CR4_SHADOW));
    return value;
}

/* After a change of CR0, CR3, CR4 or EFER on the guest's behalf: what the CPU would have done along with it. */
static void follow_paging_mode(struct vmx_cpu *c)
{
    uint64_t cr0 = vmcs_read(c, VMCS_GUEST_CR0), cr4 = vmcs_read(c, VMCS_GUEST_CR4);
    uint64_t efer = vmx_efer_for_cr0(cr0, vmcs_read(c, VMCS_GUEST_EFER));
    uint64_t entry = vmcs_read(c, VMCS_ENTRY_CONTROLS) & ~(uint64_t)ENTRY_CTL_IA32E;
    vmcs_write(c, VMCS_GUEST_EFER, efer);
    vmcs_write(c, VMCS_ENTRY_CONTROLS, entry | (efer & EFER_LMA ? ENTRY_CTL_IA32E : 0));
    if (!vmx_is_pae(cr0, cr4, efer))
        return;
    uint64_t pdpte[4];
    read_pdptes(vmcs_read(c, VMCS_GUEST_CR3), pdpte);
    for (size_t i = 0; i < ARRAY_LEN(pdpte); i++)
        vmcs_write(c, vmcs_fields[VI_GUEST_PDPTE0 + i].field, pdpte[i]);
}

static SELDOM void vmx_set(struct vcpu *v, enum vreg r, uint64_t value)
{
    struct vmx_cpu *c = vmx_of(v);
    if (r == VREG_CR0) {
        vmcs_write(c, VMCS_CR0_SHADOW, value);
        value = vmx_cr0_actual(&c->caps, value);
    } else if (r == VREG_CR4) {
        vmcs_write(c, VMCS_CR4_SHADOW, value);
        value = vmx_cr4_actual(&c->caps, value);
    }
    vmcs_write(c, *vreg_field(r), value);
    if (r != VREG_CR0 && r != VREG_CR3 && r != VREG_CR4 && r != VREG_EFER)
        return;
    follow_paging_mode(c);
    /* The instruction would have invalidated the TLB itself (SDM 3A 4.10.4.1); with a VPID no entry does. */
    vmx_flush(v);
}

static enum err vmx_trap(struct vcpu *v, enum vtrap t, uint64_t value)
{
    struct vmx_cpu *c = vmx_of(v);
    switch (t) {
    case VTRAP_TICK:
        if (!c->caps.timer)
            return E_NOTYET;
        c->tick_cycles = value * c->tsc_per_us;
        c->tick_deadline = cpu_rdtsc() + c->tick_cycles;
        vmcs_set_pin(c, value ? c->pin | PIN_TIMER : c->pin & ~PIN_TIMER);
        break;
    case VTRAP_INTR:
        if (!(c->caps.allowed1[CTL_PIN] & PIN_EXTINT_EXIT))
            return E_NOTYET;
        vmcs_set_pin(c, value ? c->pin | PIN_EXTINT_EXIT : c->pin & ~PIN_EXTINT_EXIT);
        break;
    case VTRAP_INTR_WINDOW:
        c->want_intr_window = value; /* the next run arms it */
        break;
    case VTRAP_IRET: /* virtual NMIs make it needless here */
    case VTRAP_HLT:  /* the preemption timer counts while the guest is halted */
        return E_NOTYET;
    case VTRAP_ICR:
        vmx_msr_bitmap_trap_icr(msr_bitmap, value);
        return E_OK;
    }
    return c->broken ? E_VMXFAIL : E_OK;
}

static uint32_t vmx_interruptibility(struct vcpu *v)
{
    return (uint32_t)vmcs_read(vmx_of(v), VMCS_GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS | BLOCK_NMI);
}

/* An instruction was completed for the guest: the shadow ends, and a guest that single-steps is owed its #DB.
   SDM 3C 27.3.1.5 has the same rule for TF, BTF and BS. */
static SELDOM void vmx_clear_interrupt_shadow(struct vcpu *v)
{
    struct vmx_cpu *c = vmx_of(v);
    uint64_t block = vmcs_read(c, VMCS_GUEST_INTERRUPTIBILITY);
    if (block & (BLOCK_STI | BLOCK_MOV_SS))
        vmcs_write(c, VMCS_GUEST_INTERRUPTIBILITY, block & ~(uint64_t)(BLOCK_STI | BLOCK_MOV_SS));
    if ((vmcs_read(c, VMCS_GUEST_RFLAGS) & RFLAGS_TF) && !(vmcs_read(c, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF))
        vmcs_write(c, VMCS_GUEST_PENDING_DEBUG, vmcs_read(c, VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

/* The index is that of the next entry to be written; full, it is 0 less one. */
static void vmx_dirty_log(struct vcpu *v, void (*note)(gpa_t page))
{
    struct vmx_cpu *c = vmx_of(v);
    if (!c->pml || !c->loaded)
        return;
    uint64_t first = (uint16_t)(vmcs_read(c, VMCS_GUEST_PML_INDEX) + 1);
    for (uint64_t i = first; i < PML_ENTRIES; i++)
        note((gpa_t){c->pml[i]});
    if (first < PML_ENTRIES)
        vmcs_write(c, VMCS_GUEST_PML_INDEX, PML_ENTRIES - 1);
}

#define DUMP_PER_LINE 3u

static SELDOM void vmx_dump(struct vcpu *v, void (*line)(const char *text))
{
    struct vmx_cpu *c = vmx_of(v);
    char text[LOG_LINE_MAX];
    size_t used = 0, fields = 0;
    str_format(text, sizeof text, "vmx: cpu=%u on=%d loaded=%d launched=%d broken=%d host_nmi=%llu", v->cpu, c->on,
               c->loaded, c->launched, c->broken, (unsigned long long)v->host_nmi);
    line(text);
    for (size_t i = 0; c->loaded && i < vmcs_field_count; i++) {
        uint64_t value;
        if (!vmx_field_exists(&c->caps, &vmcs_fields[i]) || insn_vmread(vmcs_fields[i].field, &value) != VMX_OK)
            continue;
        used += (size_t)str_format(text + used, sizeof text - used, "%s=%#llx ", vmcs_fields[i].name,
                                   (unsigned long long)value);
        if (++fields % DUMP_PER_LINE == 0) {
            line(text);
            used = 0;
        }
    }
    if (used)
        line(text);
}

const struct backend vmx_backend = {
    .name = "vmx",
    .probe = vmx_probe,
    .init_cpu = vmx_init_cpu,
    .check_cpu = vmx_check_cpu,
    .on = vmx_on,
    .off = vmx_off,
    .load = vmx_load,
    .save = vmx_save,
    .run = vmx_run,
    .get = vmx_get,
    .set = vmx_set,
    .trap = vmx_trap,
    .interruptibility = vmx_interruptibility,
    .clear_interrupt_shadow = vmx_clear_interrupt_shadow,
    .flush = vmx_flush,
    .dirty_log = vmx_dirty_log,
    .dump = vmx_dump,
};

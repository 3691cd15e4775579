/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Guest and host state to VMCS rows and back. The guest owns CR0, CR3 and CR4 but for what VMX itself forbids to
   be clear (CR0.NE, CR4.VMXE): those are host-owned and show the guest's own value in the read shadow, so that leaving
   needs no fix-up inside the guest. SDM 3C 25.6.6 "Guest/Host Masks and Read Shadows for CR0 and CR4". */
#include "vmx/rows.h"

#include <string.h>

/* clang-format off */
const struct vmcs_field_info vmcs_fields[] = {
#define WIDTH_16 16
#define WIDTH_32 32
#define WIDTH_64 64
#define WIDTH_NATURAL 64
#define X(name, number, width, need) {{number}, WIDTH_##width, need, #name},
    VMCS_ROW_LIST(X)
    VMCS_INFO_LIST(X)
#undef X
};
/* clang-format on */
const size_t vmcs_field_count = ARRAY_LEN(vmcs_fields);

#define SEGMENT_ROWS_IN_ORDER(what)                                                                                    \
    _Static_assert(VI_GUEST_CS_##what == VI_GUEST_ES_##what + SREG_CS &&                                               \
                       VI_GUEST_LDTR_##what == VI_GUEST_ES_##what + SREG_LDTR &&                                       \
                       VI_GUEST_TR_##what == VI_GUEST_ES_##what + SREG_TR,                                             \
                   "segment rows are in enum sreg order")
SEGMENT_ROWS_IN_ORDER(SELECTOR);
SEGMENT_ROWS_IN_ORDER(LIMIT);
SEGMENT_ROWS_IN_ORDER(AR);
SEGMENT_ROWS_IN_ORDER(BASE);

#define VMCS_LINK_NONE (~0ull)

SELDOM const char *vmcs_field_name(struct vmcs_field field)
{
    for (size_t i = 0; i < vmcs_field_count; i++) {
        if (vmcs_fields[i].field.encoding == field.encoding)
            return vmcs_fields[i].name;
    }
    return "?";
}

uint32_t vmx_absent_needs(const struct vmx_caps *caps)
{
    return (caps->vpid ? 0 : BIT32(NEED_VPID)) | (caps->xsaves ? 0 : BIT32(NEED_XSAVES)) |
           (caps->timer ? 0 : BIT32(NEED_TIMER)) | (caps->pml ? 0 : BIT32(NEED_PML));
}

bool vmx_field_exists(const struct vmx_caps *caps, const struct vmcs_field_info *field)
{
    return !(vmx_absent_needs(caps) >> field->need & 1);
}

bool vmx_is_pae(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

uint64_t vmx_cr_visible(uint64_t actual, uint64_t mask, uint64_t shadow)
{
    return (actual & ~mask) | (shadow & mask);
}

uint64_t vmx_cr0_actual(const struct vmx_caps *caps, uint64_t wanted)
{
    return wanted | caps->cr0_fixed0;
}

uint64_t vmx_cr4_actual(const struct vmx_caps *caps, uint64_t wanted)
{
    return wanted | caps->cr4_fixed0;
}

uint64_t vmx_efer_for_cr0(uint64_t cr0, uint64_t efer)
{
    bool lma = (cr0 & CR0_PG) && (efer & EFER_LME);
    return (efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
}

uint32_t vmx_event_info(const struct vcpu_event *event)
{
    if (!event->valid)
        return 0;
    return INTR_INFO_VALID | event->vector | (uint32_t)event->type << INTR_INFO_TYPE_LO |
           (event->has_error_code ? INTR_INFO_ERROR : 0);
}

SELDOM void vmx_event_from_vectoring(uint32_t info, uint32_t error_code, uint32_t insn_len, struct vcpu_event *event)
{
    memset(event, 0, sizeof *event);
    if (!(info & INTR_INFO_VALID))
        return;
    event->valid = 1;
    event->type = (uint8_t)bits_get(info, INTR_INFO_TYPE_HI, INTR_INFO_TYPE_LO);
    event->vector = (uint8_t)(info & INTR_INFO_VECTOR);
    event->has_error_code = !!(info & INTR_INFO_ERROR);
    event->error_code = event->has_error_code ? error_code : 0;
    /* SDM 3C 28.2.5: the instruction length is defined for the software events, which deliver a return address. */
    if (event->type == EVENT_SOFT_INT || event->type == EVENT_PRIV_SOFT || event->type == EVENT_SOFT_EXC)
        event->insn_len = insn_len;
}

static void build_loaded(uint64_t *v, const struct vmx_caps *caps, const struct vmx_host *host,
                         const struct vcpu_state *s)
{
    v[VI_ENTRY_CONTROLS] = caps->base[CTL_ENTRY] | (s->msr[VMSR_EFER] & EFER_LMA ? ENTRY_CTL_IA32E : 0);
    v[VI_ENTRY_INTR_INFO] = vmx_event_info(&s->event);
    v[VI_ENTRY_INTR_ERROR] = s->event.error_code;
    v[VI_ENTRY_INSN_LEN] = s->event.insn_len;
    v[VI_HOST_CR0] = host->cr0;
    v[VI_HOST_CR4] = host->cr4;
}

static void build_controls(uint64_t *v, const struct vmx_caps *caps, const struct vmx_host *host)
{
    v[VI_VPID] = host->vpid;
    v[VI_PIN_CONTROLS] = caps->base[CTL_PIN];
    v[VI_PROC_CONTROLS] = caps->base[CTL_PROC];
    v[VI_PROC2_CONTROLS] = caps->base[CTL_PROC2];
    v[VI_EXIT_CONTROLS] = caps->base[CTL_EXIT];
    v[VI_IO_BITMAP_A] = host->io_bitmap_pa;
    v[VI_IO_BITMAP_B] = host->io_bitmap_pa + PAGE_BYTES;
    v[VI_MSR_BITMAP] = host->msr_bitmap_pa;
    v[VI_EPT_POINTER] = host->ept_root_pa | EPTP_TYPE_WB | EPTP_WALK_4 | (caps->ad ? EPTP_AD : 0);
    v[VI_PML_ADDRESS] = host->pml_pa;
    v[VI_GUEST_PML_INDEX] = PML_ENTRIES - 1;
    v[VI_CR0_MASK] = caps->cr0_fixed0;
    v[VI_CR4_MASK] = caps->cr4_fixed0;
    v[VI_GUEST_LINK_POINTER] = VMCS_LINK_NONE;
}

static void build_host(uint64_t *v, const struct vmx_host *host)
{
    v[VI_HOST_CS_SELECTOR] = host->cs;
    v[VI_HOST_SS_SELECTOR] = host->ss;
    v[VI_HOST_ES_SELECTOR] = host->ss;
    v[VI_HOST_DS_SELECTOR] = host->ss;
    v[VI_HOST_TR_SELECTOR] = host->tr;
    v[VI_HOST_PAT] = host->pat;
    v[VI_HOST_EFER] = host->efer;
    v[VI_HOST_CR3] = host->cr3;
    v[VI_HOST_TR_BASE] = host->tss_base;
    v[VI_HOST_GDTR_BASE] = host->gdt_base;
    v[VI_HOST_IDTR_BASE] = host->idt_base;
    v[VI_HOST_RSP] = host->rsp;
    v[VI_HOST_RIP] = host->rip;
}

static uint64_t state_msr(const struct vcpu_state *s, enum vcpu_msr msr, uint64_t absent)
{
    return s->msr_present & BIT(msr) ? s->msr[msr] : absent;
}

static void build_guest(uint64_t *v, const struct vmx_caps *caps, const struct vcpu_state *s, const uint64_t pdpte[4])
{
    for (size_t i = 0; i < SREG_COUNT; i++) {
        v[VI_GUEST_ES_SELECTOR + i] = s->seg[i].selector;
        v[VI_GUEST_ES_LIMIT + i] = s->seg[i].limit;
        v[VI_GUEST_ES_AR + i] = s->seg[i].access_rights;
        v[VI_GUEST_ES_BASE + i] = s->seg[i].base;
    }
    v[VI_GUEST_GDTR_BASE] = s->gdtr.base;
    v[VI_GUEST_GDTR_LIMIT] = s->gdtr.limit;
    v[VI_GUEST_IDTR_BASE] = s->idtr.base;
    v[VI_GUEST_IDTR_LIMIT] = s->idtr.limit;
    v[VI_GUEST_DEBUGCTL] = state_msr(s, VMSR_DEBUGCTL, 0);
    v[VI_GUEST_PAT] = state_msr(s, VMSR_PAT, PAT_RESET);
    v[VI_GUEST_EFER] = s->msr[VMSR_EFER];
    v[VI_GUEST_SYSENTER_CS] = s->msr[VMSR_SYSENTER_CS];
    v[VI_GUEST_SYSENTER_ESP] = s->msr[VMSR_SYSENTER_ESP];
    v[VI_GUEST_SYSENTER_EIP] = s->msr[VMSR_SYSENTER_EIP];
    v[VI_CR0_SHADOW] = s->cr0;
    v[VI_CR4_SHADOW] = s->cr4;
    v[VI_GUEST_CR0] = vmx_cr0_actual(caps, s->cr0);
    v[VI_GUEST_CR3] = s->cr3;
    v[VI_GUEST_CR4] = vmx_cr4_actual(caps, s->cr4);
    bool pae = vmx_is_pae(s->cr0, s->cr4, s->msr[VMSR_EFER]);
    for (size_t i = 0; i < 4; i++)
        v[VI_GUEST_PDPTE0 + i] = pae ? pdpte[i] : 0;
    v[VI_GUEST_DR7] = s->dr7;
    v[VI_GUEST_RSP] = s->gpr[GPR_RSP];
    v[VI_GUEST_RIP] = s->rip;
    v[VI_GUEST_RFLAGS] = s->rflags;
    v[VI_GUEST_PENDING_DEBUG] = s->pending_debug;
    v[VI_GUEST_INTERRUPTIBILITY] =
        (s->block_sti ? BLOCK_STI : 0) | (s->block_mov_ss ? BLOCK_MOV_SS : 0) | (s->block_nmi ? BLOCK_NMI : 0);
    v[VI_GUEST_ACTIVITY] = s->activity;
}

SELDOM void vmx_rows_build_fixed(struct vmx_rows *rows, const struct vmx_caps *caps, const struct vmx_host *host)
{
    build_controls(rows->value, caps, host);
    build_host(rows->value, host);
}

void vmx_rows_build(struct vmx_rows *rows, const struct vmx_caps *caps, const struct vmx_host *host,
                    const struct vcpu_state *s, const uint64_t pdpte[4])
{
    build_loaded(rows->value, caps, host, s);
    build_guest(rows->value, caps, s, pdpte);
}

void vmx_rows_to_state(const struct vmx_rows *rows, struct vcpu_state *s)
{
    const uint64_t *v = rows->value;
    for (size_t i = 0; i < SREG_COUNT; i++) {
        s->seg[i] = (struct segment){
            .selector = (uint16_t)v[VI_GUEST_ES_SELECTOR + i],
            .limit = (uint32_t)v[VI_GUEST_ES_LIMIT + i],
            .access_rights = (uint32_t)v[VI_GUEST_ES_AR + i],
            .base = v[VI_GUEST_ES_BASE + i],
        };
    }
    s->gdtr = (struct table_register){v[VI_GUEST_GDTR_BASE], v[VI_GUEST_GDTR_LIMIT]};
    s->idtr = (struct table_register){v[VI_GUEST_IDTR_BASE], v[VI_GUEST_IDTR_LIMIT]};
    s->cr0 = vmx_cr_visible(v[VI_GUEST_CR0], v[VI_CR0_MASK], v[VI_CR0_SHADOW]);
    s->cr3 = v[VI_GUEST_CR3];
    s->cr4 = vmx_cr_visible(v[VI_GUEST_CR4], v[VI_CR4_MASK], v[VI_CR4_SHADOW]);
    s->dr7 = v[VI_GUEST_DR7];
    s->rip = v[VI_GUEST_RIP];
    s->rflags = v[VI_GUEST_RFLAGS];
    s->gpr[GPR_RSP] = v[VI_GUEST_RSP];
    s->msr[VMSR_DEBUGCTL] = v[VI_GUEST_DEBUGCTL];
    s->msr[VMSR_PAT] = v[VI_GUEST_PAT];
    s->msr[VMSR_EFER] = v[VI_GUEST_EFER];
    s->msr[VMSR_SYSENTER_CS] = v[VI_GUEST_SYSENTER_CS];
    s->msr[VMSR_SYSENTER_ESP] = v[VI_GUEST_SYSENTER_ESP];
    s->msr[VMSR_SYSENTER_EIP] = v[VI_GUEST_SYSENTER_EIP];
    s->msr_present |=
        BIT(VMSR_PAT) | BIT(VMSR_EFER) | BIT(VMSR_SYSENTER_CS) | BIT(VMSR_SYSENTER_ESP) | BIT(VMSR_SYSENTER_EIP);
    s->pending_debug = v[VI_GUEST_PENDING_DEBUG];
    s->block_sti = !!(v[VI_GUEST_INTERRUPTIBILITY] & BLOCK_STI);
    s->block_mov_ss = !!(v[VI_GUEST_INTERRUPTIBILITY] & BLOCK_MOV_SS);
    s->block_nmi = !!(v[VI_GUEST_INTERRUPTIBILITY] & BLOCK_NMI);
    s->activity = (uint32_t)v[VI_GUEST_ACTIVITY];
}

/* SDM 3C 25.6.9: four bitmaps of 1024 bytes: reads of low MSRs, reads of high, writes of low, writes of high. */
#define MSR_BITMAP_WRITE_LOW 2048u

static void msr_bit_set(uint8_t *bitmap, uint32_t low_msr, bool read, bool write)
{
    uint8_t bit = (uint8_t)(1u << (low_msr & 7));
    if (read)
        bitmap[low_msr / 8] |= bit;
    if (write)
        bitmap[MSR_BITMAP_WRITE_LOW + low_msr / 8] |= bit;
}

SELDOM void vmx_msr_bitmap_build(uint8_t *bitmap)
{
    for (uint32_t msr = MSR_IA32_VMX_FIRST; msr <= MSR_IA32_VMX_LAST; msr++)
        msr_bit_set(bitmap, msr, true, true);
    msr_bit_set(bitmap, MSR_IA32_FEATURE_CONTROL, true, true);
    /* A microcode update changes the CPU under the host. */
    msr_bit_set(bitmap, MSR_IA32_BIOS_UPDT_TRIG, false, true);
    msr_bit_set(bitmap, MSR_IA32_BIOS_SIGN_ID, false, true);
    msr_bit_set(bitmap, MSR_IA32_APIC_BASE, false, true);
}

SELDOM void vmx_msr_bitmap_trap_icr(uint8_t *bitmap, bool on)
{
    uint8_t *byte = &bitmap[MSR_BITMAP_WRITE_LOW + MSR_IA32_X2APIC_ICR / 8];
    uint8_t mask = (uint8_t)(1u << (MSR_IA32_X2APIC_ICR & 7));
    *byte = (uint8_t)(on ? *byte | mask : *byte & ~mask);
}

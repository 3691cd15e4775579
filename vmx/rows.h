/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The VMCS as rows: one value for every writable field, built from the CPU's capabilities, the host's state and
   the guest's state, and back from rows to a guest's state. Every row that a guest's state can reach is written at every
   load, so nothing of an earlier one can survive in a field that was forgotten; the others are written once. SDM 3C chapter 25 "Virtual Machine Control
   Structures". */
#ifndef SOJOURN_VMX_ROWS_H
#define SOJOURN_VMX_ROWS_H

#include "bits.h"
#include "msr.h"
#include "vcpu_state.h"
#include "vmx/caps.h"
#include "vmx/vmcs_fields.h"

#define RFLAGS_FIXED BIT(1)
#define PAT_RESET 0x0007040600070406ull
#define DEBUGCTL_BTF BIT(1)

/* SDM 3C table "Format of Interruptibility State". */
#define BLOCK_STI BIT32(0)
#define BLOCK_MOV_SS BIT32(1)
#define BLOCK_NMI BIT32(3)
/* SDM 3C table "Format of Pending-Debug-Exceptions". */
#define PENDING_DEBUG_BS BIT(14)
/* SDM 3C table "Format of the VM-Entry Interruption-Information Field"; exits and IDT vectoring are alike. */
#define INTR_INFO_VECTOR MASK(7, 0)
#define INTR_INFO_TYPE_HI 10
#define INTR_INFO_TYPE_LO 8
#define INTR_INFO_ERROR BIT32(11)
#define INTR_INFO_VALID BIT32(31)
/* SDM 3C 25.6.11 "Extended-Page-Table Pointer (EPTP)". */
#define EPTP_TYPE_WB 6u
#define EPTP_WALK_4 (3u << 3)
#define EPTP_AD BIT(6)
/* SDM 3C 29.3.6 "Page-Modification Logging": filled from the last entry down. */
#define PML_ENTRIES 512u

struct vmx_rows {
    uint64_t value[VMCS_ROW_COUNT];
};

/* Everything of a VMCS that does not come from the guest. */
struct vmx_host {
    uint64_t cr0, cr3, cr4, efer, pat;
    uint64_t gdt_base, idt_base, tss_base;
    uint64_t rip, rsp;
    uint16_t cs, ss, tr, vpid;
    uint64_t io_bitmap_pa, msr_bitmap_pa;
    uint64_t ept_root_pa;
    uint64_t pml_pa;
};

/* What does not change from one load to the next: VMCS_FIXED_LIST. */
void vmx_rows_build_fixed(struct vmx_rows *rows, const struct vmx_caps *caps, const struct vmx_host *host);
/* The rest. pdpte: the four page-directory-pointer entries at CR3; used when the state is in PAE paging (vmx_state_is_pae).
   rows: zeroed before the first time; what is not set here stays 0. */
void vmx_rows_build(struct vmx_rows *rows, const struct vmx_caps *caps, const struct vmx_host *host,
                    const struct vcpu_state *s, const uint64_t pdpte[4]);

/* The guest's part back: what vmx_rows_build put there, as the guest sees it. GPRs (but RSP) and s->event stay. */
void vmx_rows_to_state(const struct vmx_rows *rows, struct vcpu_state *s);

bool vmx_is_pae(uint64_t cr0, uint64_t cr4, uint64_t efer);

/* The CR as the guest sees it: host-owned bits from the shadow. */
uint64_t vmx_cr_visible(uint64_t actual, uint64_t mask, uint64_t shadow);
/* The CR that VMX needs for what the guest asked for. */
uint64_t vmx_cr0_actual(const struct vmx_caps *caps, uint64_t wanted);
uint64_t vmx_cr4_actual(const struct vmx_caps *caps, uint64_t wanted);
/* EFER after a write of CR0 by us on the guest's behalf: the CPU keeps LMA = LME and PG. */
uint64_t vmx_efer_for_cr0(uint64_t cr0, uint64_t efer);

/* Event <-> interruption information. */
uint32_t vmx_event_info(const struct vcpu_event *event);
void vmx_event_from_vectoring(uint32_t info, uint32_t error_code, uint32_t insn_len, struct vcpu_event *event);

/* SDM 3C 25.6.9 "MSR-Bitmap Address": which MSRs exit. bitmap: one zeroed page. */
void vmx_msr_bitmap_build(uint8_t *bitmap);
/* Writes of x2APIC's ICR, on or off. */
void vmx_msr_bitmap_trap_icr(uint8_t *bitmap, bool on);

/* Does the field exist on this CPU? Bit n of the second: fields with enum vmcs_need n do not. */
bool vmx_field_exists(const struct vmx_caps *caps, const struct vmcs_field_info *field);
uint32_t vmx_absent_needs(const struct vmx_caps *caps);

#endif

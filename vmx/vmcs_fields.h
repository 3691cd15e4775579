/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Every VMCS field that Sojourn knows, in one list: typed constant (VMCS_GUEST_RIP), index into the row image
   (VI_GUEST_RIP), name for the dump, and a proof that the encoding's width bits say what the list says. SDM 3D
   appendix B "Field Encoding in VMCS". A field's number is a struct vmcs_field, so it cannot be written as a value. */
#ifndef SOJOURN_VMCS_FIELDS_H
#define SOJOURN_VMCS_FIELDS_H

#include "types.h"

struct vmcs_field {
    uint32_t encoding;
};

/* When a field exists on this CPU; the others always do. */
enum vmcs_need { NEED_NOTHING, NEED_VPID, NEED_XSAVES, NEED_TIMER, NEED_PML };

/* X(name, encoding, width in bits or NATURAL, need). These hold what a boot finds out, and are written once: VMCLEAR and
   VMPTRLD keep them. Those of the preemption timer and of the windows change between two entries (vmcs_set_pin(),
   vmcs_set_proc()) and are set back at a load. */
/* clang-format off */
#define VMCS_FIXED_LIST(X) \
    X(VPID, 0x0000, 16, NEED_VPID) \
    X(PIN_CONTROLS, 0x4000, 32, NEED_NOTHING) \
    X(PROC_CONTROLS, 0x4002, 32, NEED_NOTHING) \
    X(PROC2_CONTROLS, 0x401e, 32, NEED_NOTHING) \
    X(EXIT_CONTROLS, 0x400c, 32, NEED_NOTHING) \
    X(EXCEPTION_BITMAP, 0x4004, 32, NEED_NOTHING) \
    X(PAGE_FAULT_MASK, 0x4006, 32, NEED_NOTHING) \
    X(PAGE_FAULT_MATCH, 0x4008, 32, NEED_NOTHING) \
    X(CR3_TARGET_COUNT, 0x400a, 32, NEED_NOTHING) \
    X(EXIT_MSR_STORE_COUNT, 0x400e, 32, NEED_NOTHING) \
    X(EXIT_MSR_LOAD_COUNT, 0x4010, 32, NEED_NOTHING) \
    X(ENTRY_MSR_LOAD_COUNT, 0x4014, 32, NEED_NOTHING) \
    X(IO_BITMAP_A, 0x2000, 64, NEED_NOTHING) \
    X(IO_BITMAP_B, 0x2002, 64, NEED_NOTHING) \
    X(MSR_BITMAP, 0x2004, 64, NEED_NOTHING) \
    X(PML_ADDRESS, 0x200e, 64, NEED_PML) \
    X(TSC_OFFSET, 0x2010, 64, NEED_NOTHING) \
    X(EPT_POINTER, 0x201a, 64, NEED_NOTHING) \
    X(XSS_EXIT_BITMAP, 0x202c, 64, NEED_XSAVES) \
    X(CR0_MASK, 0x6000, NATURAL, NEED_NOTHING) \
    X(CR4_MASK, 0x6002, NATURAL, NEED_NOTHING) \
    X(HOST_ES_SELECTOR, 0x0c00, 16, NEED_NOTHING) \
    X(HOST_CS_SELECTOR, 0x0c02, 16, NEED_NOTHING) \
    X(HOST_SS_SELECTOR, 0x0c04, 16, NEED_NOTHING) \
    X(HOST_DS_SELECTOR, 0x0c06, 16, NEED_NOTHING) \
    X(HOST_FS_SELECTOR, 0x0c08, 16, NEED_NOTHING) \
    X(HOST_GS_SELECTOR, 0x0c0a, 16, NEED_NOTHING) \
    X(HOST_TR_SELECTOR, 0x0c0c, 16, NEED_NOTHING) \
    X(HOST_PAT, 0x2c00, 64, NEED_NOTHING) \
    X(HOST_EFER, 0x2c02, 64, NEED_NOTHING) \
    X(HOST_SYSENTER_CS, 0x4c00, 32, NEED_NOTHING) \
    X(HOST_CR3, 0x6c02, NATURAL, NEED_NOTHING) \
    X(HOST_FS_BASE, 0x6c06, NATURAL, NEED_NOTHING) \
    X(HOST_GS_BASE, 0x6c08, NATURAL, NEED_NOTHING) \
    X(HOST_TR_BASE, 0x6c0a, NATURAL, NEED_NOTHING) \
    X(HOST_GDTR_BASE, 0x6c0c, NATURAL, NEED_NOTHING) \
    X(HOST_IDTR_BASE, 0x6c0e, NATURAL, NEED_NOTHING) \
    X(HOST_SYSENTER_ESP, 0x6c10, NATURAL, NEED_NOTHING) \
    X(HOST_SYSENTER_EIP, 0x6c12, NATURAL, NEED_NOTHING) \
    X(HOST_RSP, 0x6c14, NATURAL, NEED_NOTHING) \
    X(HOST_RIP, 0x6c16, NATURAL, NEED_NOTHING) \
    X(GUEST_PML_INDEX, 0x0812, 16, NEED_PML) \
    X(GUEST_LINK_POINTER, 0x2800, 64, NEED_NOTHING) \
    X(GUEST_TIMER, 0x482e, 32, NEED_TIMER)

/* Written at every load. */
#define VMCS_LOADED_LIST(X) \
    X(ENTRY_CONTROLS, 0x4012, 32, NEED_NOTHING) \
    X(ENTRY_INTR_INFO, 0x4016, 32, NEED_NOTHING) \
    X(ENTRY_INTR_ERROR, 0x4018, 32, NEED_NOTHING) \
    X(ENTRY_INSN_LEN, 0x401a, 32, NEED_NOTHING) \
    X(HOST_CR0, 0x6c00, NATURAL, NEED_NOTHING) \
    X(HOST_CR4, 0x6c04, NATURAL, NEED_NOTHING)

/* The guest's: written at every load, read at every save, all of them. */
#define VMCS_GUEST_LIST(X) \
    X(CR0_SHADOW, 0x6004, NATURAL, NEED_NOTHING) \
    X(CR4_SHADOW, 0x6006, NATURAL, NEED_NOTHING) \
    X(GUEST_ES_SELECTOR, 0x0800, 16, NEED_NOTHING) \
    X(GUEST_CS_SELECTOR, 0x0802, 16, NEED_NOTHING) \
    X(GUEST_SS_SELECTOR, 0x0804, 16, NEED_NOTHING) \
    X(GUEST_DS_SELECTOR, 0x0806, 16, NEED_NOTHING) \
    X(GUEST_FS_SELECTOR, 0x0808, 16, NEED_NOTHING) \
    X(GUEST_GS_SELECTOR, 0x080a, 16, NEED_NOTHING) \
    X(GUEST_LDTR_SELECTOR, 0x080c, 16, NEED_NOTHING) \
    X(GUEST_TR_SELECTOR, 0x080e, 16, NEED_NOTHING) \
    X(GUEST_ES_LIMIT, 0x4800, 32, NEED_NOTHING) \
    X(GUEST_CS_LIMIT, 0x4802, 32, NEED_NOTHING) \
    X(GUEST_SS_LIMIT, 0x4804, 32, NEED_NOTHING) \
    X(GUEST_DS_LIMIT, 0x4806, 32, NEED_NOTHING) \
    X(GUEST_FS_LIMIT, 0x4808, 32, NEED_NOTHING) \
    X(GUEST_GS_LIMIT, 0x480a, 32, NEED_NOTHING) \
    X(GUEST_LDTR_LIMIT, 0x480c, 32, NEED_NOTHING) \
    X(GUEST_TR_LIMIT, 0x480e, 32, NEED_NOTHING) \
    X(GUEST_ES_AR, 0x4814, 32, NEED_NOTHING) \
    X(GUEST_CS_AR, 0x4816, 32, NEED_NOTHING) \
    X(GUEST_SS_AR, 0x4818, 32, NEED_NOTHING) \
    X(GUEST_DS_AR, 0x481a, 32, NEED_NOTHING) \
    X(GUEST_FS_AR, 0x481c, 32, NEED_NOTHING) \
    X(GUEST_GS_AR, 0x481e, 32, NEED_NOTHING) \
    X(GUEST_LDTR_AR, 0x4820, 32, NEED_NOTHING) \
    X(GUEST_TR_AR, 0x4822, 32, NEED_NOTHING) \
    X(GUEST_ES_BASE, 0x6806, NATURAL, NEED_NOTHING) \
    X(GUEST_CS_BASE, 0x6808, NATURAL, NEED_NOTHING) \
    X(GUEST_SS_BASE, 0x680a, NATURAL, NEED_NOTHING) \
    X(GUEST_DS_BASE, 0x680c, NATURAL, NEED_NOTHING) \
    X(GUEST_FS_BASE, 0x680e, NATURAL, NEED_NOTHING) \
    X(GUEST_GS_BASE, 0x6810, NATURAL, NEED_NOTHING) \
    X(GUEST_LDTR_BASE, 0x6812, NATURAL, NEED_NOTHING) \
    X(GUEST_TR_BASE, 0x6814, NATURAL, NEED_NOTHING) \
    X(GUEST_GDTR_LIMIT, 0x4810, 32, NEED_NOTHING) \
    X(GUEST_IDTR_LIMIT, 0x4812, 32, NEED_NOTHING) \
    X(GUEST_GDTR_BASE, 0x6816, NATURAL, NEED_NOTHING) \
    X(GUEST_IDTR_BASE, 0x6818, NATURAL, NEED_NOTHING) \
    X(GUEST_DEBUGCTL, 0x2802, 64, NEED_NOTHING) \
    X(GUEST_PAT, 0x2804, 64, NEED_NOTHING) \
    X(GUEST_EFER, 0x2806, 64, NEED_NOTHING) \
    X(GUEST_PDPTE0, 0x280a, 64, NEED_NOTHING) \
    X(GUEST_PDPTE1, 0x280c, 64, NEED_NOTHING) \
    X(GUEST_PDPTE2, 0x280e, 64, NEED_NOTHING) \
    X(GUEST_PDPTE3, 0x2810, 64, NEED_NOTHING) \
    X(GUEST_INTERRUPTIBILITY, 0x4824, 32, NEED_NOTHING) \
    X(GUEST_ACTIVITY, 0x4826, 32, NEED_NOTHING) \
    X(GUEST_SYSENTER_CS, 0x482a, 32, NEED_NOTHING) \
    X(GUEST_CR0, 0x6800, NATURAL, NEED_NOTHING) \
    X(GUEST_CR3, 0x6802, NATURAL, NEED_NOTHING) \
    X(GUEST_CR4, 0x6804, NATURAL, NEED_NOTHING) \
    X(GUEST_DR7, 0x681a, NATURAL, NEED_NOTHING) \
    X(GUEST_RSP, 0x681c, NATURAL, NEED_NOTHING) \
    X(GUEST_RIP, 0x681e, NATURAL, NEED_NOTHING) \
    X(GUEST_RFLAGS, 0x6820, NATURAL, NEED_NOTHING) \
    X(GUEST_PENDING_DEBUG, 0x6822, NATURAL, NEED_NOTHING) \
    X(GUEST_SYSENTER_ESP, 0x6824, NATURAL, NEED_NOTHING) \
    X(GUEST_SYSENTER_EIP, 0x6826, NATURAL, NEED_NOTHING)

#define VMCS_ROW_LIST(X) VMCS_FIXED_LIST(X) VMCS_LOADED_LIST(X) VMCS_GUEST_LIST(X)

/* Read-only fields: what the CPU says about an exit or an error. */
#define VMCS_INFO_LIST(X) \
    X(EXIT_GPA, 0x2400, 64, NEED_NOTHING) \
    X(INSN_ERROR, 0x4400, 32, NEED_NOTHING) \
    X(EXIT_REASON, 0x4402, 32, NEED_NOTHING) \
    X(EXIT_INTR_INFO, 0x4404, 32, NEED_NOTHING) \
    X(EXIT_INTR_ERROR, 0x4406, 32, NEED_NOTHING) \
    X(IDT_VECTORING_INFO, 0x4408, 32, NEED_NOTHING) \
    X(IDT_VECTORING_ERROR, 0x440a, 32, NEED_NOTHING) \
    X(EXIT_INSN_LEN, 0x440c, 32, NEED_NOTHING) \
    X(EXIT_INSN_INFO, 0x440e, 32, NEED_NOTHING) \
    X(EXIT_QUALIFICATION, 0x6400, NATURAL, NEED_NOTHING) \
    X(EXIT_LINEAR_ADDRESS, 0x640a, NATURAL, NEED_NOTHING)
/* clang-format on */

/* SDM 3D appendix B: bits 14:13 of an encoding are the width, bit 0 the access to a 64-bit field's high half. */
#define VMCS_WIDTH_16 0u
#define VMCS_WIDTH_64 1u
#define VMCS_WIDTH_32 2u
#define VMCS_WIDTH_NATURAL 3u

#define X(name, number, width, need)                                                                                   \
    static const struct vmcs_field VMCS_##name = {number};                                                             \
    _Static_assert((number) >> 13 == VMCS_WIDTH_##width && !((number)&1), "VMCS_" #name ": width bits");
VMCS_ROW_LIST(X)
VMCS_INFO_LIST(X)
#undef X

enum vmcs_index {
#define X(name, number, width, need) VI_##name,
    VMCS_ROW_LIST(X)
#undef X
        VMCS_ROW_COUNT
};

#define VMCS_ONE(name, number, width, need) +1
enum { VMCS_FIXED_COUNT = 0 VMCS_FIXED_LIST(VMCS_ONE), VMCS_LOADED_COUNT = 0 VMCS_LOADED_LIST(VMCS_ONE) };

struct vmcs_field_info {
    struct vmcs_field field;
    uint8_t width_bits; /* 64 for natural */
    uint8_t need;       /* enum vmcs_need */
    const char *name;
};

/* Rows first, in index order, then the read-only ones. vmx/rows.c */
extern const struct vmcs_field_info vmcs_fields[];
extern const size_t vmcs_field_count;

const char *vmcs_field_name(struct vmcs_field field);

#endif

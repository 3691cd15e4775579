/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. One guest CPU's complete architectural state, neutral between vendors and modes: it is what a native
   CPU is captured into, what VMCS and VMCB are built from, and what checkpoints hold. On-disk: append only, and
   raise VCPU_STATE_VERSION. */
#ifndef SOJOURN_VCPU_STATE_H
#define SOJOURN_VCPU_STATE_H

#include "types.h"

#define VCPU_STATE_VERSION 1

/* General registers in instruction-encoding order. */
enum gpr {
    GPR_RAX,
    GPR_RCX,
    GPR_RDX,
    GPR_RBX,
    GPR_RSP,
    GPR_RBP,
    GPR_RSI,
    GPR_RDI,
    GPR_R8,
    GPR_R9,
    GPR_R10,
    GPR_R11,
    GPR_R12,
    GPR_R13,
    GPR_R14,
    GPR_R15,
    GPR_COUNT
};

/* Segment registers in instruction-encoding order, then the two system ones. */
enum sreg { SREG_ES, SREG_CS, SREG_SS, SREG_DS, SREG_FS, SREG_GS, SREG_LDTR, SREG_TR, SREG_COUNT };

/* Access rights as in SDM 3C 25.4.1 "Guest Register State": type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15,
   unusable 16. */
#define AR_TYPE_MASK 0xfu
#define AR_S (1u << 4)
#define AR_DPL_SHIFT 5
#define AR_P (1u << 7)
#define AR_AVL (1u << 12)
#define AR_L (1u << 13)
#define AR_DB (1u << 14)
#define AR_G (1u << 15)
#define AR_UNUSABLE (1u << 16)

struct segment {
    uint16_t selector;
    uint16_t zero;
    uint32_t access_rights;
    uint32_t limit; /* bytes, as the CPU holds it (granularity applied) */
    uint32_t zero2;
    uint64_t base;
};

struct table_register {
    uint64_t base;
    uint64_t limit;
};

/* The MSRs a CPU's state is made of. A CPU may lack some: bit i of msr_present tells whether entry i was readable. */
/* clang-format off */
#define VCPU_MSR_LIST(X) \
    X(EFER, 0xc0000080) X(STAR, 0xc0000081) X(LSTAR, 0xc0000082) X(CSTAR, 0xc0000083) X(FMASK, 0xc0000084) \
    X(KERNEL_GS_BASE, 0xc0000102) X(SYSENTER_CS, 0x174) X(SYSENTER_ESP, 0x175) X(SYSENTER_EIP, 0x176) \
    X(PAT, 0x277) X(DEBUGCTL, 0x1d9) X(TSC_AUX, 0xc0000103) X(TSC_ADJUST, 0x3b) X(SPEC_CTRL, 0x48) X(XSS, 0xda0) \
    X(APIC_BASE, 0x1b) X(MISC_ENABLE, 0x1a0) X(TSC_DEADLINE, 0x6e0) \
    X(MTRR_DEF_TYPE, 0x2ff) X(MTRR_FIX64K, 0x250) X(MTRR_FIX16K_0, 0x258) X(MTRR_FIX16K_1, 0x259) \
    X(MTRR_FIX4K_0, 0x268) X(MTRR_FIX4K_1, 0x269) X(MTRR_FIX4K_2, 0x26a) X(MTRR_FIX4K_3, 0x26b) \
    X(MTRR_FIX4K_4, 0x26c) X(MTRR_FIX4K_5, 0x26d) X(MTRR_FIX4K_6, 0x26e) X(MTRR_FIX4K_7, 0x26f)
/* clang-format on */

enum vcpu_msr {
#define X(name, number) VMSR_##name,
    VCPU_MSR_LIST(X)
#undef X
        VMSR_COUNT
};

#define VCPU_MTRR_VARIABLE_MAX 16

/* An event that was being delivered, or is to be: type as in SDM 3C 25.8.3 "VM-Entry Controls for Event Injection". */
enum event_type {
    EVENT_EXTINT = 0,
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,
    EVENT_SOFT_INT = 4,
    EVENT_PRIV_SOFT = 5,
    EVENT_SOFT_EXC = 6
};

struct vcpu_event {
    uint8_t valid;
    uint8_t type; /* enum event_type */
    uint8_t vector;
    uint8_t has_error_code;
    uint32_t error_code;
    uint32_t insn_len; /* bytes; software events only */
    uint32_t zero;
};

enum vcpu_activity { ACTIVITY_ACTIVE = 0, ACTIVITY_HLT = 1, ACTIVITY_SHUTDOWN = 2, ACTIVITY_WAIT_SIPI = 3 };

#define VCPU_XSAVE_BYTES 4096

struct vcpu_state {
    uint64_t gpr[GPR_COUNT];
    uint64_t rip, rflags;
    struct segment seg[SREG_COUNT];
    struct table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
    uint64_t dr[4], dr6, dr7;
    uint64_t tsc;         /* cycles at the cut */
    uint64_t msr_present; /* bit i: msr[i] was readable */
    uint64_t msr[VMSR_COUNT];
    uint64_t mtrr_base[VCPU_MTRR_VARIABLE_MAX], mtrr_mask[VCPU_MTRR_VARIABLE_MAX];
    uint32_t mtrr_count;
    uint32_t activity; /* enum vcpu_activity */
    uint8_t block_sti, block_mov_ss, block_nmi, zero[5];
    struct vcpu_event event;
    uint64_t pending_debug; /* as DR6's low bits; VMX's pending debug exceptions */
    uint64_t xsave_bytes;   /* 0: xsave[] not captured; 512: FXSAVE image only; else the XSAVE image's length */
    uint8_t xsave[VCPU_XSAVE_BYTES] __attribute__((aligned(64)));
};

_Static_assert(VMSR_COUNT <= 64, "msr_present has one bit each");
_Static_assert(sizeof(struct segment) == 24, "on-disk layout");
_Static_assert(offsetof(struct vcpu_state, xsave) % 64 == 0, "XSAVE needs 64-byte alignment");

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. What C and vmx_asm.asm share: the layout of the frame that HOST_RSP points into, and the results of
   vmx_enter. The assembly file exports the numbers it was built with (vmx_asm_numbers), and vmx_init_cpu compares. */
#ifndef SOJOURN_VMX_FRAME_H
#define SOJOURN_VMX_FRAME_H

#include "backend.h"

#define VMX_FRAME_VCPU 0
#define VMX_FRAME_HOST_RSP 8

/* One per vCPU. HOST_RSP = &anchor: the exit path pushes into room until it is back on the host's stack. */
struct vmx_frame {
    uint64_t room[62];
    struct {
        struct vcpu *vcpu;
        uint64_t host_rsp;
    } anchor ALIGNED(16);
};

#define VMX_FRAME_ANCHOR offsetof(struct vmx_frame, anchor)
_Static_assert(offsetof(struct vmx_frame, anchor.vcpu) - VMX_FRAME_ANCHOR == VMX_FRAME_VCPU, "vmx_asm.asm");
_Static_assert(offsetof(struct vmx_frame, anchor.host_rsp) - VMX_FRAME_ANCHOR == VMX_FRAME_HOST_RSP, "vmx_asm.asm");
_Static_assert(offsetof(struct vcpu, gpr) == 0 && GPR_COUNT == 16 && GPR_RSP == 4, "vmx_asm.asm");

enum vmx_enter_result { VMX_EXITED = 0, VMX_FAIL_INVALID = 1, VMX_FAIL_VALID = 2, VMX_ABORTED = 3 };

/* One entry and one exit. anchor: of v's frame. */
uint64_t vmx_enter(struct vcpu *v, uint64_t launched, void *anchor);
/* Where a VM exit lands: HOST_RIP. Never called. */
void vmx_exit_entry(void);
/* IRETQ to the next instruction: unblocks NMIs, and a pending one is taken at once. */
void vmx_unblock_nmi(void);

/* An NMI in [begin, end) must not be followed by the entry: the host's handler continues at abort instead. */
extern const uint8_t vmx_critical_begin[], vmx_critical_end[], vmx_critical_abort[];

enum {
    VMX_NUMBER_GPR,
    VMX_NUMBER_HOST_NMI,
    VMX_NUMBER_CR2,
    VMX_NUMBER_FRAME_VCPU,
    VMX_NUMBER_FRAME_HOST_RSP,
    VMX_NUMBER_COUNT
};
extern const uint64_t vmx_asm_numbers[VMX_NUMBER_COUNT];

#endif

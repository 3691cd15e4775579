/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A VMX exit to the neutral struct vm_exit. SDM 3C 28.2 "Recording VM-Exit Information and Updating VM-Entry
   Control Fields", SDM 3D appendix C "VMX Basic Exit Reasons". */
#ifndef SOJOURN_VMX_DECODE_H
#define SOJOURN_VMX_DECODE_H

#include "backend.h"

#define EXIT_REASON_ENTRY_FAILED (1u << 31)

/* The basic exit reasons that something here or in vmx.c depends on. */
enum vmx_reason {
    REASON_EXCEPTION_NMI = 0,
    REASON_EXTINT = 1,
    REASON_TRIPLE_FAULT = 2,
    REASON_INIT = 3,
    REASON_SIPI = 4,
    REASON_INTR_WINDOW = 7,
    REASON_NMI_WINDOW = 8,
    REASON_TASK_SWITCH = 9,
    REASON_CPUID = 10,
    REASON_GETSEC = 11,
    REASON_HLT = 12,
    REASON_INVD = 13,
    REASON_RSM = 17,
    REASON_VMCALL = 18,
    REASON_VMXON = 27,
    REASON_CR = 28,
    REASON_IO = 30,
    REASON_RDMSR = 31,
    REASON_WRMSR = 32,
    REASON_BAD_GUEST_STATE = 33,
    REASON_BAD_MSR_LOAD = 34,
    REASON_MWAIT = 36,
    REASON_MONITOR = 39,
    REASON_MACHINE_CHECK = 41,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIG = 49,
    REASON_INVEPT = 50,
    REASON_TIMER = 52,
    REASON_WBINVD = 54,
    REASON_INVVPID = 53,
    REASON_XSETBV = 55,
    REASON_VMFUNC = 59,
    REASON_PML_FULL = 62,
};

/* The exit fields of a VMCS as read, and the guest's visible CR0. */
struct vmx_exit_info {
    uint32_t reason, intr_info, intr_error, insn_len;
    uint64_t qualification, gpa, linear_address, cr0;
};

/* Never fails: what is not known is EXIT_UNKNOWN. */
void vmx_decode(const struct vmx_exit_info *info, struct vm_exit *x);

/* An NMI brought us here: the host still has NMIs blocked and owes an IRET. */
bool vmx_exit_blocks_nmi(const struct vmx_exit_info *info);

/* The exit interrupted an IRET that had already unblocked NMIs: they must be blocked again before re-entry. */
bool vmx_exit_undid_iret(const struct vmx_exit_info *info, uint32_t idt_vectoring_info);

/* Words for VM-instruction errors and for entry failures; never NULL. */
const char *vmx_error_text(uint32_t insn_error);
const char *vmx_entry_failure_text(uint32_t reason, uint64_t qualification);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. APM vol. 2 15.7 "Behavior of #VMEXIT", 15.8 to 15.13 (one section per intercept), Appendix C "SVM Intercept
   Exit Codes". A code that is not listed becomes EXIT_UNKNOWN, which parks the guest: never skipped. */
#include "svm/decode.h"

#define INSN_BYTES_MAX 15
#define EXCEPTIONS 32u

static const enum exit_kind kind_of[] = {
    [VMEXIT_INTR] = EXIT_INTR,
    [VMEXIT_NMI] = EXIT_NMI,
    [VMEXIT_INIT] = EXIT_INIT,
    [VMEXIT_VINTR] = EXIT_INTR_WINDOW,
    [VMEXIT_CPUID] = EXIT_CPUID,
    [VMEXIT_RSM] = EXIT_RSM,
    [VMEXIT_IRET] = EXIT_IRET,
    [VMEXIT_INVD] = EXIT_INVD,
    [VMEXIT_HLT] = EXIT_HLT,
    [VMEXIT_INVLPGA] = EXIT_VMINSN,
    [VMEXIT_TASK_SWITCH] = EXIT_TASK_SWITCH,
    [VMEXIT_SHUTDOWN] = EXIT_TRIPLE_FAULT,
    [VMEXIT_VMRUN] = EXIT_VMINSN,
    [VMEXIT_VMMCALL] = EXIT_VMINSN,
    [VMEXIT_VMLOAD] = EXIT_VMINSN,
    [VMEXIT_VMSAVE] = EXIT_VMINSN,
    [VMEXIT_STGI] = EXIT_VMINSN,
    [VMEXIT_CLGI] = EXIT_VMINSN,
    [VMEXIT_SKINIT] = EXIT_VMINSN,
    [VMEXIT_MONITOR] = EXIT_MONITOR,
    [VMEXIT_MWAIT] = EXIT_MONITOR,
    [VMEXIT_MWAIT_CONDITIONAL] = EXIT_MONITOR,
    [VMEXIT_WBINVD] = EXIT_WBINVD,
    [VMEXIT_XSETBV] = EXIT_XSETBV,
};
_Static_assert(EXIT_UNKNOWN == 0, "holes in kind_of are unknown exits");

static void decode_io(const struct vmcb_control *c, uint64_t rip, struct vm_exit *x)
{
    uint64_t info = c->exitinfo1;
    uint8_t bytes = info & IOIO_SZ8 ? 1 : info & IOIO_SZ16 ? 2 : info & IOIO_SZ32 ? 4 : 0;
    if (!bytes)
        return;
    x->kind = EXIT_IO;
    x->io.port = (uint16_t)(info >> IOIO_PORT_SHIFT);
    x->io.bytes = bytes;
    x->io.in = info & IOIO_TYPE_IN;
    x->io.string = info & IOIO_STR;
    x->io.rep = info & IOIO_REP;
    /* "The rIP of the instruction following the IN/OUT is saved in EXITINFO2". */
    uint64_t len = c->exitinfo2 - rip;
    if (len > 0 && len <= INSN_BYTES_MAX)
        x->insn_len = (uint32_t)len;
}

static void decode_cr(const struct vmcb_control *c, unsigned number, bool write, struct vm_exit *x)
{
    x->kind = EXIT_CR;
    x->cr.number = (uint8_t)number;
    x->cr.write = write;
    /* Without decode assists, or for LMSW and CLTS, the operand is not known: the policy must decode. */
    x->cr.gpr = c->exitinfo1 & CR_INFO_MOV ? (uint8_t)(c->exitinfo1 & CR_INFO_GPR_MASK) : GPR_COUNT;
}

static void decode_npf(const struct vmcb_control *c, struct vm_exit *x)
{
    uint64_t info = c->exitinfo1;
    x->kind = EXIT_NPF;
    x->npf.gpa.v = c->exitinfo2;
    x->npf.write = info & NPF_RW;
    x->npf.fetch = info & NPF_ID;
    x->npf.read = !x->npf.write && !x->npf.fetch;
    /* QEMU omits P beside RSV; a reserved bit implies a present entry. */
    x->npf.present = info & (NPF_P | NPF_RSV);
    x->npf.table_walk = info & NPF_TABLE_WALK;
}

static void decode_exception(const struct vmcb_control *c, unsigned vector, struct vm_exit *x)
{
    static const uint32_t with_error_code =
        BIT32(8) | BIT32(10) | BIT32(11) | BIT32(12) | BIT32(13) | BIT32(14) | BIT32(17) | BIT32(21) | BIT32(30);
    x->kind = EXIT_EXCEPTION;
    x->exception.vector = (uint8_t)vector;
    x->exception.has_error_code = with_error_code & BIT32(vector);
    x->exception.error_code = x->exception.has_error_code ? (uint32_t)c->exitinfo1 : 0;
    x->exception.address = vector == 14 ? c->exitinfo2 : 0;
}

bool svm_exit_is_invalid(uint64_t exitcode)
{
    return exitcode == VMEXIT_INVALID || exitcode == VMEXIT_INVALID_32;
}

/* Instruction intercepts save the next RIP; others may leave an old one there. */
static uint32_t length_from_nrip(const struct vmcb *vmcb)
{
    uint64_t code = vmcb->control.exitcode, len = vmcb->control.nrip - vmcb->save.rip;
    if ((code >= VMEXIT_EXCP && code <= VMEXIT_CR0_SEL_WRITE) || code >= VMEXIT_NPF)
        return 0;
    return len > 0 && len <= INSN_BYTES_MAX ? (uint32_t)len : 0;
}

void svm_decode_exit(const struct vmcb *vmcb, bool has_nrip, struct vm_exit *x)
{
    const struct vmcb_control *c = &vmcb->control;
    uint64_t code = c->exitcode;
    *x = (struct vm_exit){.kind = EXIT_UNKNOWN, .raw = code, .raw_info1 = c->exitinfo1, .raw_info2 = c->exitinfo2};
    if (has_nrip)
        x->insn_len = length_from_nrip(vmcb);
    if (svm_exit_is_invalid(code))
        x->kind = EXIT_ENTRY_FAILED;
    else if (code <= VMEXIT_CR_READ_LAST)
        decode_cr(c, (unsigned)(code - VMEXIT_CR_READ), false, x);
    else if (code <= VMEXIT_CR_WRITE_LAST)
        decode_cr(c, (unsigned)(code - VMEXIT_CR_WRITE), true, x);
    else if (code == VMEXIT_CR0_SEL_WRITE)
        decode_cr(c, 0, true, x);
    else if (code >= VMEXIT_EXCP && code <= VMEXIT_EXCP_LAST)
        decode_exception(c, (unsigned)(code - VMEXIT_EXCP), x);
    else if (code == VMEXIT_IOIO)
        decode_io(c, vmcb->save.rip, x);
    else if (code == VMEXIT_MSR)
        x->kind = c->exitinfo1 & MSR_INFO_WRITE ? EXIT_WRMSR : EXIT_RDMSR;
    else if (code == VMEXIT_NPF)
        decode_npf(c, x);
    else if (code < ARRAY_LEN(kind_of))
        x->kind = kind_of[code];
}

struct vcpu_event svm_decode_exitintinfo(uint64_t info)
{
    struct vcpu_event e = {0};
    /* The other bits are stale when V is clear. */
    if (!(info & EVENT_V))
        return e;
    e.valid = 1;
    e.vector = (uint8_t)(info & EVENT_VECTOR_MASK);
    switch ((info & EVENT_TYPE_MASK) >> EVENT_TYPE_SHIFT) {
    case SVM_EVENT_INTR:
        e.type = EVENT_EXTINT;
        break;
    case SVM_EVENT_NMI:
        e.type = EVENT_NMI;
        break;
    case SVM_EVENT_SOFT_INT:
        e.type = EVENT_SOFT_INT;
        break;
    case SVM_EVENT_EXCEPTION:
        /* QEMU's TCG calls every hardware event an exception when a nested fault interrupts its delivery. Vector 2 is
           no exception, and neither is anything above 31. */
        e.type = e.vector == NMI_VECTOR ? EVENT_NMI : e.vector >= EXCEPTIONS ? EVENT_EXTINT : EVENT_EXCEPTION;
        break;
    default:
        /* Reserved: nothing a CPU reports. */
        e.valid = 0;
        return e;
    }
    if (e.type == EVENT_EXCEPTION && (info & EVENT_EV)) {
        e.has_error_code = 1;
        e.error_code = (uint32_t)(info >> EVENT_ERROR_SHIFT);
    }
    return e;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Decoding of exits. Each qualification layout is cited at its function. An exit reason that is not in the table
   stays EXIT_UNKNOWN, which parks the guest: an instruction is never skipped unseen. */
#include "vmx/decode.h"

#include "bits.h"
#include "vmx/rows.h"

#include <string.h>

#define REASON_BASIC MASK(15, 0)
#define REASON_TABLE 70u

/* clang-format off */
static const uint8_t kind_of[REASON_TABLE] = {
    /* EXIT_UNKNOWN is 0: a hole decodes as unknown. */
    [REASON_EXCEPTION_NMI] = EXIT_EXCEPTION, [REASON_EXTINT] = EXIT_INTR, [REASON_TRIPLE_FAULT] = EXIT_TRIPLE_FAULT,
    [REASON_INIT] = EXIT_INIT, [REASON_SIPI] = EXIT_SIPI, [REASON_INTR_WINDOW] = EXIT_INTR_WINDOW,
    [REASON_NMI_WINDOW] = EXIT_NMI_WINDOW, [REASON_TASK_SWITCH] = EXIT_TASK_SWITCH, [REASON_CPUID] = EXIT_CPUID,
    [REASON_GETSEC] = EXIT_VMINSN, [REASON_HLT] = EXIT_HLT, [REASON_INVD] = EXIT_INVD, [REASON_WBINVD] = EXIT_WBINVD, [REASON_RSM] = EXIT_RSM,
    [REASON_VMCALL ... REASON_VMXON] = EXIT_VMINSN, [REASON_CR] = EXIT_CR, [REASON_IO] = EXIT_IO,
    [REASON_RDMSR] = EXIT_RDMSR, [REASON_WRMSR] = EXIT_WRMSR, [REASON_MWAIT] = EXIT_MONITOR,
    [REASON_MONITOR] = EXIT_MONITOR, [REASON_EPT_VIOLATION] = EXIT_NPF, [REASON_INVEPT] = EXIT_VMINSN,
    [REASON_TIMER] = EXIT_TICK, [REASON_INVVPID] = EXIT_VMINSN, [REASON_XSETBV] = EXIT_XSETBV,
    [REASON_VMFUNC] = EXIT_VMINSN, [REASON_PML_FULL] = EXIT_DIRTY_LOG,
};
/* clang-format on */
_Static_assert(EXIT_UNKNOWN == 0, "holes in kind_of are unknown exits");

#define VECTOR_PAGE_FAULT 14

static void decode_exception(const struct vmx_exit_info *info, struct vm_exit *x)
{
    if (bits_get(info->intr_info, INTR_INFO_TYPE_HI, INTR_INFO_TYPE_LO) == EVENT_NMI) {
        x->kind = EXIT_NMI;
        return;
    }
    x->exception.vector = (uint8_t)(info->intr_info & INTR_INFO_VECTOR);
    x->exception.has_error_code = info->intr_info & INTR_INFO_ERROR;
    x->exception.error_code = x->exception.has_error_code ? info->intr_error : 0;
    if (x->exception.vector == VECTOR_PAGE_FAULT)
        x->exception.address = info->qualification;
}

/* SDM 3C table "Exit Qualification for Control-Register Accesses". */
#define CR_QUAL_NUMBER MASK(3, 0)
#define CR_QUAL_TYPE_HI 5
#define CR_QUAL_TYPE_LO 4
#define CR_QUAL_GPR_HI 11
#define CR_QUAL_GPR_LO 8
#define CR_QUAL_LMSW_HI 31
#define CR_QUAL_LMSW_LO 16
#define LMSW_BITS MASK(3, 0) /* PE, MP, EM, TS */
enum cr_access { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static void decode_cr(const struct vmx_exit_info *info, struct vm_exit *x)
{
    uint64_t q = info->qualification;
    x->cr.number = (uint8_t)(q & CR_QUAL_NUMBER);
    x->cr.gpr = (uint8_t)bits_get(q, CR_QUAL_GPR_HI, CR_QUAL_GPR_LO);
    x->cr.write = true;
    switch ((enum cr_access)bits_get(q, CR_QUAL_TYPE_HI, CR_QUAL_TYPE_LO)) {
    case CR_MOV_FROM:
        x->cr.write = false;
        break;
    case CR_CLTS:
        x->cr.number = 0;
        x->cr.has_value = true;
        x->cr.value = info->cr0 & ~CR0_TS;
        break;
    case CR_LMSW: /* sets PE but never clears it */
        x->cr.number = 0;
        x->cr.has_value = true;
        x->cr.value =
            (info->cr0 & ~(LMSW_BITS & ~CR0_PE)) | (bits_get(q, CR_QUAL_LMSW_HI, CR_QUAL_LMSW_LO) & LMSW_BITS);
        break;
    case CR_MOV_TO:
        break;
    }
}

/* SDM 3C table "Exit Qualification for I/O Instructions". */
#define IO_QUAL_SIZE MASK(2, 0)
#define IO_QUAL_IN BIT(3)
#define IO_QUAL_STRING BIT(4)
#define IO_QUAL_REP BIT(5)
#define IO_QUAL_PORT_HI 31
#define IO_QUAL_PORT_LO 16

static void decode_io(const struct vmx_exit_info *info, struct vm_exit *x)
{
    uint64_t q = info->qualification;
    x->io.bytes = (uint8_t)((q & IO_QUAL_SIZE) + 1);
    x->io.in = q & IO_QUAL_IN;
    x->io.string = q & IO_QUAL_STRING;
    x->io.rep = q & IO_QUAL_REP;
    x->io.port = (uint16_t)bits_get(q, IO_QUAL_PORT_HI, IO_QUAL_PORT_LO);
}

/* SDM 3C table "Exit Qualification for EPT Violations". */
#define EPT_QUAL_READ BIT(0)
#define EPT_QUAL_WRITE BIT(1)
#define EPT_QUAL_FETCH BIT(2)
#define EPT_QUAL_RIGHTS MASK(5, 3)
#define EPT_QUAL_LINEAR BIT(7)
#define EPT_QUAL_FINAL BIT(8)
#define QUAL_IRET_UNBLOCKED BIT(12)

static void decode_npf(const struct vmx_exit_info *info, struct vm_exit *x)
{
    uint64_t q = info->qualification;
    x->npf.gpa = (gpa_t){info->gpa};
    x->npf.read = q & EPT_QUAL_READ;
    x->npf.write = q & EPT_QUAL_WRITE;
    x->npf.fetch = q & EPT_QUAL_FETCH;
    x->npf.present = q & EPT_QUAL_RIGHTS;
    x->npf.table_walk = (q & EPT_QUAL_LINEAR) && !(q & EPT_QUAL_FINAL);
}

/* SDM 3C 28.2.5 "Information for VM Exits Due to Instruction Execution": the length is defined for these only. */
static bool has_insn_len(enum exit_kind kind)
{
    return kind == EXIT_CPUID || kind == EXIT_HLT || kind == EXIT_IO || kind == EXIT_RDMSR || kind == EXIT_WRMSR ||
           kind == EXIT_CR || kind == EXIT_XSETBV || kind == EXIT_INVD || kind == EXIT_WBINVD || kind == EXIT_VMINSN ||
           kind == EXIT_MONITOR || kind == EXIT_RSM || kind == EXIT_TASK_SWITCH;
}

void vmx_decode(const struct vmx_exit_info *info, struct vm_exit *x)
{
    uint32_t basic = (uint32_t)(info->reason & REASON_BASIC);
    memset(x, 0, sizeof *x);
    x->raw = info->reason;
    x->raw_info1 = info->qualification;
    x->raw_info2 = info->linear_address;
    if (info->reason & EXIT_REASON_ENTRY_FAILED) {
        x->kind = EXIT_ENTRY_FAILED;
        return;
    }
    x->kind = basic < REASON_TABLE ? (enum exit_kind)kind_of[basic] : EXIT_UNKNOWN;
    x->insn_len = has_insn_len(x->kind) ? info->insn_len : 0;
    if (x->kind == EXIT_EXCEPTION)
        decode_exception(info, x);
    else if (x->kind == EXIT_CR)
        decode_cr(info, x);
    else if (x->kind == EXIT_IO)
        decode_io(info, x);
    else if (x->kind == EXIT_NPF)
        decode_npf(info, x);
    else if (x->kind == EXIT_SIPI)
        x->sipi_vector = (uint8_t)info->qualification;
}

bool vmx_exit_blocks_nmi(const struct vmx_exit_info *info)
{
    return !(info->reason & EXIT_REASON_ENTRY_FAILED) && (info->reason & REASON_BASIC) == REASON_EXCEPTION_NMI &&
           (info->intr_info & INTR_INFO_VALID) &&
           bits_get(info->intr_info, INTR_INFO_TYPE_HI, INTR_INFO_TYPE_LO) == EVENT_NMI;
}

/* SDM 3C 28.2.3 "Information About NMI Unblocking Due to IRET": bit 12 counts for EPT violations, and
   where the log is full, when no event was being delivered. */
bool vmx_exit_undid_iret(const struct vmx_exit_info *info, uint32_t idt_vectoring_info)
{
    uint32_t reason = info->reason & (EXIT_REASON_ENTRY_FAILED | REASON_BASIC);
    return (reason == REASON_EPT_VIOLATION || reason == REASON_PML_FULL) &&
           (info->qualification & QUAL_IRET_UNBLOCKED) && !(idt_vectoring_info & INTR_INFO_VALID);
}

/* SDM 3C 31.4 "VM Instruction Error Numbers". */
static const char *const error_text[] = {
    [1] = "VMCALL executed in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control field(s)",
    [8] = "VM entry with invalid host-state field(s)",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
    [13] = "VMWRITE to read-only VMCS component",
    [15] = "VMXON executed in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
    [19] = "VMCALL with non-clear VMCS",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier",
    [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
    [24] = "VMCALL with invalid SMM-monitor features",
    [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "invalid operand to INVEPT/INVVPID",
};

const char *vmx_error_text(uint32_t insn_error)
{
    const char *text = insn_error < ARRAY_LEN(error_text) ? error_text[insn_error] : NULL;
    return text ? text : insn_error ? "unknown VM-instruction error" : "no current VMCS";
}

/* SDM 3C 27.8 "VM-Entry Failures During or After Loading Guest State". */
const char *vmx_entry_failure_text(uint32_t reason, uint64_t qualification)
{
    switch (reason & REASON_BASIC) {
    case REASON_BAD_GUEST_STATE:
        switch (qualification) {
        case 2:
            return "invalid guest state: PDPTE loading";
        case 3:
            return "invalid guest state: NMI injection while events are blocked by STI";
        case 4:
            return "invalid guest state: VMCS link pointer";
        default:
            return "invalid guest state";
        }
    case REASON_BAD_MSR_LOAD:
        return "MSR loading";
    case REASON_MACHINE_CHECK:
        return "machine check during VM entry";
    default:
        return "unknown reason";
    }
}

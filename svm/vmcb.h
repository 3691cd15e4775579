/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary of the AMD backend: the virtual machine control block, its bits, exit codes and the SVM MSRs that
   include/msr.h lacks, named as
   APM vol. 2 Appendix B "Layout of VMCB" and Appendix C "SVM Intercept Exit Codes" name them. Every offset proves
   itself at compile time. No code. */
#ifndef SOJOURN_SVM_VMCB_H
#define SOJOURN_SVM_VMCB_H

#include "bits.h"
#include "msr.h"
#include "types.h"

struct vmcb_segment {
    uint16_t selector;
    uint16_t attrib; /* descriptor bits 47:40 and 55:52 as 12 bits */
    uint32_t limit;  /* bytes */
    uint64_t base;
};

struct vmcb_control {
    uint16_t intercept_cr_read, intercept_cr_write;
    uint16_t intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint32_t intercept_misc1;
    uint32_t intercept_misc2;
    uint32_t intercept_misc3;
    uint8_t reserved_018[0x03c - 0x018];
    uint16_t pause_filter_threshold, pause_filter_count;
    uint64_t iopm_base_pa;
    uint64_t msrpm_base_pa;
    uint64_t tsc_offset;
    uint32_t guest_asid;
    uint8_t tlb_control;
    uint8_t reserved_05d[3];
    uint32_t vintr; /* V_TPR, V_IRQ, V_GIF, priorities and masks */
    uint8_t v_intr_vector;
    uint8_t reserved_065[3];
    uint64_t interrupt_shadow;
    uint64_t exitcode;
    uint64_t exitinfo1;
    uint64_t exitinfo2;
    uint64_t exitintinfo;
    uint64_t np_control;
    uint64_t avic_apic_bar;
    uint64_t ghcb_pa;
    uint64_t eventinj;
    uint64_t n_cr3;
    uint64_t virt_ext; /* LBR virtualization, virtualized VMSAVE/VMLOAD */
    uint32_t clean_bits;
    uint32_t reserved_0c4;
    uint64_t nrip;
    uint8_t insn_bytes_count;
    uint8_t insn_bytes[15];
    uint64_t avic_backing_page;
    uint64_t reserved_0e8;
    uint64_t avic_logical_table;
    uint64_t avic_physical_table;
    uint64_t reserved_100;
    uint64_t vmsa_pa;
    uint8_t reserved_110[0x400 - 0x110];
};

struct vmcb_save {
    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved_0a0[0x0cb - 0x0a0];
    uint8_t cpl;
    uint32_t reserved_0cc;
    uint64_t efer;
    uint8_t reserved_0d8[0x148 - 0x0d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved_180[0x1d8 - 0x180];
    uint64_t rsp;
    uint64_t s_cet, ssp, isst_addr;
    uint64_t rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t cr2;
    uint8_t reserved_248[0x268 - 0x248];
    uint64_t g_pat;
    uint64_t dbgctl, br_from, br_to, last_excp_from, last_excp_to;
    uint8_t reserved_298[0x2e0 - 0x298];
    uint64_t spec_ctrl;
    uint8_t reserved_2e8[0xc00 - 0x2e8];
};

struct vmcb {
    struct vmcb_control control;
    struct vmcb_save save;
};

#define VMCB_SAVE_OFFSET 0x400
#define VMCB_CONTROL_AT(member, offset)                                                                                \
    _Static_assert(offsetof(struct vmcb, control.member) == (offset), "APM Appendix B, table B-1: " #member)
#define VMCB_SAVE_AT(member, offset)                                                                                   \
    _Static_assert(offsetof(struct vmcb, save.member) == VMCB_SAVE_OFFSET + (offset),                                  \
                   "APM Appendix B, table B-2: " #member)

_Static_assert(sizeof(struct vmcb_segment) == 16, "APM Appendix B");
_Static_assert(sizeof(struct vmcb) == PAGE_BYTES, "APM 15.5.2 \"The VMCB\": a 4 KiB page");
VMCB_CONTROL_AT(intercept_cr_read, 0x000);
VMCB_CONTROL_AT(intercept_cr_write, 0x002);
VMCB_CONTROL_AT(intercept_dr_read, 0x004);
VMCB_CONTROL_AT(intercept_dr_write, 0x006);
VMCB_CONTROL_AT(intercept_exceptions, 0x008);
VMCB_CONTROL_AT(intercept_misc1, 0x00c);
VMCB_CONTROL_AT(intercept_misc2, 0x010);
VMCB_CONTROL_AT(intercept_misc3, 0x014);
VMCB_CONTROL_AT(pause_filter_threshold, 0x03c);
VMCB_CONTROL_AT(pause_filter_count, 0x03e);
VMCB_CONTROL_AT(iopm_base_pa, 0x040);
VMCB_CONTROL_AT(msrpm_base_pa, 0x048);
VMCB_CONTROL_AT(tsc_offset, 0x050);
VMCB_CONTROL_AT(guest_asid, 0x058);
VMCB_CONTROL_AT(tlb_control, 0x05c);
VMCB_CONTROL_AT(vintr, 0x060);
VMCB_CONTROL_AT(v_intr_vector, 0x064);
VMCB_CONTROL_AT(interrupt_shadow, 0x068);
VMCB_CONTROL_AT(exitcode, 0x070);
VMCB_CONTROL_AT(exitinfo1, 0x078);
VMCB_CONTROL_AT(exitinfo2, 0x080);
VMCB_CONTROL_AT(exitintinfo, 0x088);
VMCB_CONTROL_AT(np_control, 0x090);
VMCB_CONTROL_AT(avic_apic_bar, 0x098);
VMCB_CONTROL_AT(ghcb_pa, 0x0a0);
VMCB_CONTROL_AT(eventinj, 0x0a8);
VMCB_CONTROL_AT(n_cr3, 0x0b0);
VMCB_CONTROL_AT(virt_ext, 0x0b8);
VMCB_CONTROL_AT(clean_bits, 0x0c0);
VMCB_CONTROL_AT(nrip, 0x0c8);
VMCB_CONTROL_AT(insn_bytes_count, 0x0d0);
VMCB_CONTROL_AT(insn_bytes, 0x0d1);
VMCB_CONTROL_AT(avic_backing_page, 0x0e0);
VMCB_CONTROL_AT(avic_logical_table, 0x0f0);
VMCB_CONTROL_AT(avic_physical_table, 0x0f8);
VMCB_CONTROL_AT(vmsa_pa, 0x108);
VMCB_SAVE_AT(es, 0x000);
VMCB_SAVE_AT(cs, 0x010);
VMCB_SAVE_AT(ss, 0x020);
VMCB_SAVE_AT(ds, 0x030);
VMCB_SAVE_AT(fs, 0x040);
VMCB_SAVE_AT(gs, 0x050);
VMCB_SAVE_AT(gdtr, 0x060);
VMCB_SAVE_AT(ldtr, 0x070);
VMCB_SAVE_AT(idtr, 0x080);
VMCB_SAVE_AT(tr, 0x090);
VMCB_SAVE_AT(cpl, 0x0cb);
VMCB_SAVE_AT(efer, 0x0d0);
VMCB_SAVE_AT(cr4, 0x148);
VMCB_SAVE_AT(cr3, 0x150);
VMCB_SAVE_AT(cr0, 0x158);
VMCB_SAVE_AT(dr7, 0x160);
VMCB_SAVE_AT(dr6, 0x168);
VMCB_SAVE_AT(rflags, 0x170);
VMCB_SAVE_AT(rip, 0x178);
VMCB_SAVE_AT(rsp, 0x1d8);
VMCB_SAVE_AT(s_cet, 0x1e0);
VMCB_SAVE_AT(ssp, 0x1e8);
VMCB_SAVE_AT(isst_addr, 0x1f0);
VMCB_SAVE_AT(rax, 0x1f8);
VMCB_SAVE_AT(star, 0x200);
VMCB_SAVE_AT(lstar, 0x208);
VMCB_SAVE_AT(cstar, 0x210);
VMCB_SAVE_AT(sfmask, 0x218);
VMCB_SAVE_AT(kernel_gs_base, 0x220);
VMCB_SAVE_AT(sysenter_cs, 0x228);
VMCB_SAVE_AT(sysenter_esp, 0x230);
VMCB_SAVE_AT(sysenter_eip, 0x238);
VMCB_SAVE_AT(cr2, 0x240);
VMCB_SAVE_AT(g_pat, 0x268);
VMCB_SAVE_AT(dbgctl, 0x270);
VMCB_SAVE_AT(br_from, 0x278);
VMCB_SAVE_AT(br_to, 0x280);
VMCB_SAVE_AT(last_excp_from, 0x288);
VMCB_SAVE_AT(last_excp_to, 0x290);
VMCB_SAVE_AT(spec_ctrl, 0x2e0);

/* intercept_misc1 */
#define INTERCEPT_INTR BIT32(0)
#define INTERCEPT_NMI BIT32(1)
#define INTERCEPT_SMI BIT32(2)
#define INTERCEPT_INIT BIT32(3)
#define INTERCEPT_VINTR BIT32(4)
#define INTERCEPT_CPUID BIT32(18)
#define INTERCEPT_RSM BIT32(19)
#define INTERCEPT_IRET BIT32(20)
#define INTERCEPT_INVD BIT32(22)
#define INTERCEPT_HLT BIT32(24)
#define INTERCEPT_INVLPGA BIT32(26)
#define INTERCEPT_IOIO_PROT BIT32(27)
#define INTERCEPT_MSR_PROT BIT32(28)
#define INTERCEPT_SHUTDOWN BIT32(31)
/* intercept_misc2 */
#define INTERCEPT_VMRUN BIT32(0)
#define INTERCEPT_VMMCALL BIT32(1)
#define INTERCEPT_VMLOAD BIT32(2)
#define INTERCEPT_VMSAVE BIT32(3)
#define INTERCEPT_STGI BIT32(4)
#define INTERCEPT_CLGI BIT32(5)
#define INTERCEPT_SKINIT BIT32(6)
#define INTERCEPT_WBINVD BIT32(9)
#define INTERCEPT_XSETBV BIT32(13)

#define TLB_CONTROL_NONE 0
#define TLB_CONTROL_FLUSH_ALL 1
#define TLB_CONTROL_FLUSH_ASID 3

#define V_IRQ BIT32(8)
#define V_INTR_PRIO_MAX (0xfu << 16)
#define V_IGN_TPR BIT32(20)
#define V_INTR_MASKING BIT32(24)

#define INTERRUPT_SHADOW BIT(0)
#define NP_ENABLE BIT(0)

/* EVENTINJ and EXITINTINFO, APM 15.20 "Event Injection" and 15.7.2 "EXITINTINFO". */
#define EVENT_VECTOR_MASK MASK(7, 0)
#define EVENT_TYPE_SHIFT 8
#define EVENT_TYPE_MASK MASK(10, 8)
#define EVENT_EV BIT(11)
#define EVENT_V BIT(31)
#define EVENT_ERROR_SHIFT 32
#define SVM_EVENT_INTR 0u
#define SVM_EVENT_NMI 2u
#define SVM_EVENT_EXCEPTION 3u
#define SVM_EVENT_SOFT_INT 4u

/* Segment attributes: descriptor bits 47:40 in 7:0, bits 55:52 in 11:8. */
#define ATTRIB_LOW_MASK 0x0ffu
#define ATTRIB_MASK 0xfffu
#define ATTRIB_P BIT32(7)
#define ATTRIB_L BIT32(9)
#define ATTRIB_DB BIT32(10)
#define ATTRIB_G BIT32(11)

/* clang-format off */
#define VMEXIT_CODE_LIST(X) \
    X(CR_READ, 0x000) X(CR_WRITE, 0x010) X(DR_READ, 0x020) X(DR_WRITE, 0x030) X(EXCP, 0x040) \
    X(INTR, 0x060) X(NMI, 0x061) X(SMI, 0x062) X(INIT, 0x063) X(VINTR, 0x064) X(CR0_SEL_WRITE, 0x065) \
    X(CPUID, 0x072) X(RSM, 0x073) X(IRET, 0x074) X(INVD, 0x076) X(HLT, 0x078) X(INVLPGA, 0x07a) \
    X(IOIO, 0x07b) X(MSR, 0x07c) X(TASK_SWITCH, 0x07d) X(SHUTDOWN, 0x07f) \
    X(VMRUN, 0x080) X(VMMCALL, 0x081) X(VMLOAD, 0x082) X(VMSAVE, 0x083) X(STGI, 0x084) X(CLGI, 0x085) \
    X(SKINIT, 0x086) X(WBINVD, 0x089) X(MONITOR, 0x08a) X(MWAIT, 0x08b) X(MWAIT_CONDITIONAL, 0x08c) \
    X(XSETBV, 0x08d) X(NPF, 0x400)
/* clang-format on */
enum vmexit_code {
#define X(name, number) VMEXIT_##name = number,
    VMEXIT_CODE_LIST(X)
#undef X
};
#define VMEXIT_CR_READ_LAST (VMEXIT_CR_READ + 15)
#define VMEXIT_CR_WRITE_LAST (VMEXIT_CR_WRITE + 15)
#define VMEXIT_EXCP_LAST (VMEXIT_EXCP + 31)
#define VMEXIT_INVALID (~0ull)
/* QEMU's TCG writes the code's low half only. */
#define VMEXIT_INVALID_32 0xffffffffull

/* EXITINFO1 of IOIO, APM 15.10.2 "IN and OUT Behavior". */
#define IOIO_TYPE_IN BIT(0)
#define IOIO_STR BIT(2)
#define IOIO_REP BIT(3)
#define IOIO_SZ8 BIT(4)
#define IOIO_SZ16 BIT(5)
#define IOIO_SZ32 BIT(6)
#define IOIO_PORT_SHIFT 16

/* EXITINFO1 of MOV CR with decode assists, APM 15.8.1 "MOV CRx/DRx Intercepts". */
#define CR_INFO_MOV BIT(63)
#define CR_INFO_GPR_MASK MASK(3, 0)

#define MSR_INFO_WRITE 1ull

/* EXITINFO1 of NPF, APM 15.25.6 "Nested versus Guest Page Faults, Fault Ordering". */
#define NPF_P BIT(0)
#define NPF_RW BIT(1)
#define NPF_US BIT(2)
#define NPF_RSV BIT(3)
#define NPF_ID BIT(4)
#define NPF_FINAL BIT(32)
#define NPF_TABLE_WALK BIT(33)

#define MSR_IGNNE 0xc0010115u
#define MSR_SMM_CTL 0xc0010116u
#define MSR_VM_HSAVE_PA 0xc0010117u
#define MSR_SVM_KEY 0xc0010118u
#define VM_CR_LOCK BIT(3)
#define VM_CR_SVMDIS BIT(4)

#define DB_VECTOR 1u
#define NMI_VECTOR 2u

#endif

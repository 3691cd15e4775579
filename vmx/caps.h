/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What this CPU's VMX can do, and which controls Sojourn runs its guest with: the capability MSRs resolved
   against one list of required, optional and forbidden controls. SDM 3D appendix A "VMX Capability Reporting
   Facility". */
#ifndef SOJOURN_VMX_CAPS_H
#define SOJOURN_VMX_CAPS_H

#include "backend.h"
#include "bits.h"
#include "msr.h"

#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMXON_OUTSIDE_SMX BIT(2)
#define MSR_IA32_VMX_BASIC 0x480u
#define MSR_IA32_VMX_PINBASED_CTLS 0x481u
#define MSR_IA32_VMX_PROCBASED_CTLS 0x482u
#define MSR_IA32_VMX_EXIT_CTLS 0x483u
#define MSR_IA32_VMX_ENTRY_CTLS 0x484u
#define MSR_IA32_VMX_MISC 0x485u
#define MSR_IA32_VMX_CR0_FIXED0 0x486u
#define MSR_IA32_VMX_CR0_FIXED1 0x487u
#define MSR_IA32_VMX_CR4_FIXED0 0x488u
#define MSR_IA32_VMX_CR4_FIXED1 0x489u
#define MSR_IA32_VMX_PROCBASED_CTLS2 0x48bu
#define MSR_IA32_VMX_EPT_VPID_CAP 0x48cu
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS 0x48du
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48eu
#define MSR_IA32_VMX_TRUE_EXIT_CTLS 0x48fu
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS 0x490u

#define VMX_BASIC_REVISION MASK(30, 0)
#define VMX_BASIC_REGION_HI 44
#define VMX_BASIC_REGION_LO 32
#define VMX_BASIC_TYPE_HI 53
#define VMX_BASIC_TYPE_LO 50
#define VMX_BASIC_TRUE_CTLS BIT(55)
#define VMX_MISC_TIMER_RATE MASK(4, 0)
#define VMX_MISC_STORES_LMA BIT(5)
#define VMX_MISC_ACTIVITY_HLT BIT(6)

#define EPT_CAP_WALK_4 BIT(6)
#define EPT_CAP_TYPE_WB BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_AD BIT(21)
#define EPT_CAP_INVEPT_ALL BIT(26)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_INVVPID_ALL BIT(42)

/* SDM 3C 25.6.1 "Pin-Based VM-Execution Controls" and the following sections. */
#define PIN_EXTINT_EXIT BIT32(0)
#define PIN_NMI_EXIT BIT32(3)
#define PIN_VIRTUAL_NMIS BIT32(5)
#define PIN_TIMER BIT32(6)
#define PROC_INTR_WINDOW BIT32(2)
#define PROC_TSC_OFFSET BIT32(3)
#define PROC_HLT_EXIT BIT32(7)
#define PROC_INVLPG_EXIT BIT32(9)
#define PROC_MWAIT_EXIT BIT32(10)
#define PROC_RDPMC_EXIT BIT32(11)
#define PROC_RDTSC_EXIT BIT32(12)
#define PROC_CR3_LOAD_EXIT BIT32(15)
#define PROC_CR3_STORE_EXIT BIT32(16)
#define PROC_CR8_LOAD_EXIT BIT32(19)
#define PROC_CR8_STORE_EXIT BIT32(20)
#define PROC_TPR_SHADOW BIT32(21)
#define PROC_NMI_WINDOW BIT32(22)
#define PROC_DR_EXIT BIT32(23)
#define PROC_UNCOND_IO_EXIT BIT32(24)
#define PROC_IO_BITMAPS BIT32(25)
#define PROC_MSR_BITMAPS BIT32(28)
#define PROC_MONITOR_EXIT BIT32(29)
#define PROC_PAUSE_EXIT BIT32(30)
#define PROC_SECONDARY BIT32(31)
#define PROC2_EPT BIT32(1)
#define PROC2_RDTSCP BIT32(3)
#define PROC2_VPID BIT32(5)
#define PROC2_WBINVD_EXIT BIT32(6)
#define PROC2_UNRESTRICTED BIT32(7)
#define PROC2_INVPCID BIT32(12)
#define PROC2_PML BIT32(17)
#define PROC2_XSAVES BIT32(20)
#define PROC2_USER_WAIT BIT32(26)
#define EXIT_CTL_SAVE_DEBUG BIT32(2)
#define EXIT_CTL_HOST_64 BIT32(9)
#define EXIT_CTL_SAVE_PAT BIT32(18)
#define EXIT_CTL_LOAD_PAT BIT32(19)
#define EXIT_CTL_SAVE_EFER BIT32(20)
#define EXIT_CTL_LOAD_EFER BIT32(21)
#define ENTRY_CTL_LOAD_DEBUG BIT32(2)
#define ENTRY_CTL_IA32E BIT32(9)
#define ENTRY_CTL_LOAD_PAT BIT32(14)
#define ENTRY_CTL_LOAD_EFER BIT32(15)

enum vmx_ctl { CTL_PIN, CTL_PROC, CTL_PROC2, CTL_EXIT, CTL_ENTRY, CTL_COUNT };

struct vmx_caps {
    uint32_t revision;
    uint32_t allowed0[CTL_COUNT], allowed1[CTL_COUNT]; /* must be 1; may be 1 */
    uint32_t base[CTL_COUNT];                          /* what every VMCS starts from */
    uint64_t cr0_fixed0, cr0_fixed1;                   /* fixed0 less PE and PG: unrestricted guest */
    uint64_t host_cr0_fixed0;                          /* with them */
    uint64_t cr4_fixed0, cr4_fixed1;
    bool vpid, timer, pages_1g, ad, pml, xsaves, activity_hlt;
    uint8_t timer_shift; /* the timer counts down when this TSC bit changes */
    uint8_t phys_bits;
};

/* What cannot be computed, handed in by the shell (or a test's table). */
struct vmx_source {
    bool cpuid_vmx;    /* CPUID.1:ECX.VMX */
    uint8_t phys_bits; /* CPUID.80000008:EAX[7:0] */
    uint64_t (*rdmsr)(const struct vmx_source *source, uint32_t msr);
    const void *arg;
};

/* Reads only MSRs that exist by what was read before. E_OK with caps filled; else the code and, in report, words. */
enum err vmx_caps_resolve(const struct vmx_source *source, struct vmx_caps *caps,
                          struct backend_report *report) MUST_USE;

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Model-specific registers and control-register bits by their names in SDM 4 "Model-Specific Registers",
   SDM 3A 2.5 "Control Registers" and APM 2 A "MSR Cross-Reference". */
#ifndef SOJOURN_MSR_H
#define SOJOURN_MSR_H

#include "bits.h"

#define MSR_IA32_TSC 0x10u
#define MSR_IA32_APIC_BASE 0x1bu
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN BIT(11)
#define MSR_IA32_FEATURE_CONTROL 0x3au
#define MSR_IA32_TSC_ADJUST 0x3bu
#define MSR_IA32_BIOS_UPDT_TRIG 0x79u
#define MSR_IA32_BIOS_SIGN_ID 0x8bu
#define MSR_IA32_MTRRCAP 0xfeu
#define MTRRCAP_VCNT MASK(7, 0)
#define MTRRCAP_FIX BIT(8)
#define MSR_IA32_MTRR_PHYSBASE0 0x200u
#define MSR_IA32_MTRR_PHYSMASK0 0x201u
#define MSR_IA32_VMX_FIRST 0x480u
#define MSR_IA32_VMX_LAST 0x491u
#define MSR_IA32_TSC_DEADLINE 0x6e0u
#define MSR_IA32_X2APIC_APICID 0x802u
#define MSR_IA32_PERF_GLOBAL_STATUS 0x38eu
#define MSR_IA32_X2APIC_ICR 0x830u
#define MSR_IA32_S_CET 0x6a2u
#define MSR_EFER 0xc0000080u
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_AMD_PATCH_LOADER 0xc0010020u
#define MSR_VM_CR 0xc0010114u
#define MSR_VM_LAST 0xc0010118u

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define CR4_CET BIT(23)

#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_RF BIT(16)
#define RFLAGS_VM BIT(17)

#define CPUID1_ECX_VMX BIT32(5)
#define CPUID1_ECX_X2APIC BIT32(21)
#define CPUID1_ECX_XSAVE BIT32(26)
#define CPUID1_ECX_OSXSAVE BIT32(27)
#define CPUID1_ECX_HYPERVISOR BIT32(31)
#define CPUID1_EDX_MTRR BIT32(12)
#define CPUID7_EBX_TSC_ADJUST BIT32(1)
#define CPUID7_EBX_AVX2 BIT32(5)
#define CPUID7_ECX_PKU BIT32(3)
#define CPUID7_ECX_OSPKE BIT32(4)
#define CPUID_8000_0001_ECX_SVM BIT32(2)
#define CPUID_8000_0001_EDX_SYSCALL BIT32(11)

#endif

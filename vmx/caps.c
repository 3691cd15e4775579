/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Resolves the VMX capability MSRs. Three lists say everything that is wanted of a CPU: required controls (set;
   without them no start), wanted ones (set if the CPU has them, because what CPUID promises the guest must work under
   VMX too), and those that must stay clear (an exit nobody asked for). SDM 3D appendix A.3 "VM-Execution Controls". */
#include "vmx/caps.h"

#include "str.h"

#include <string.h>

#define VMX_MEM_TYPE_WB 6u

struct ctl_bit {
    enum vmx_ctl ctl;
    uint32_t bit;
    const char *name; /* as the manual calls it */
};

static const char *const ctl_name[CTL_COUNT] = {"pin-based", "processor-based", "secondary", "exit", "entry"};

static const struct ctl_bit required[] = {
    {CTL_PROC, PROC_SECONDARY, "activate secondary controls"},
    {CTL_PROC2, PROC2_EPT, "enable EPT"},
    {CTL_PROC2, PROC2_UNRESTRICTED, "unrestricted guest"}, /* real mode, and protected mode without paging */
    {CTL_PIN, PIN_NMI_EXIT, "NMI exiting"},                /* the way in for the console */
    {CTL_PIN, PIN_VIRTUAL_NMIS, "virtual NMIs"},           /* else the guest's NMI blocking could not be known */
    {CTL_PROC, PROC_IO_BITMAPS, "use I/O bitmaps"},
    {CTL_PROC, PROC_MSR_BITMAPS, "use MSR bitmaps"},
    {CTL_EXIT, EXIT_CTL_HOST_64, "host address-space size"},
    {CTL_EXIT, EXIT_CTL_SAVE_DEBUG, "save debug controls"},
    {CTL_EXIT, EXIT_CTL_SAVE_PAT, "save IA32_PAT"},
    {CTL_EXIT, EXIT_CTL_LOAD_PAT, "load IA32_PAT on exit"},
    {CTL_EXIT, EXIT_CTL_SAVE_EFER, "save IA32_EFER"},
    {CTL_EXIT, EXIT_CTL_LOAD_EFER, "load IA32_EFER on exit"},
    {CTL_ENTRY, ENTRY_CTL_LOAD_DEBUG, "load debug controls"},
    {CTL_ENTRY, ENTRY_CTL_LOAD_PAT, "load IA32_PAT"},
    {CTL_ENTRY, ENTRY_CTL_LOAD_EFER, "load IA32_EFER"},
};

static const struct ctl_bit wanted[] = {
    {CTL_PROC2, PROC2_RDTSCP, "enable RDTSCP"},
    {CTL_PROC2, PROC2_INVPCID, "enable INVPCID"},
    {CTL_PROC2, PROC2_XSAVES, "enable XSAVES/XRSTORS"},
    {CTL_PROC2, PROC2_WBINVD_EXIT, "WBINVD exiting"}, /* tells of a CPU that goes offline */
    {CTL_PROC2, PROC2_USER_WAIT, "enable user wait and pause"},
};

/* Must be possible to set, though no VMCS starts with them. */
static const struct ctl_bit possible[] = {
    {CTL_PROC, PROC_INTR_WINDOW, "interrupt-window exiting"},
    {CTL_PROC, PROC_NMI_WINDOW, "NMI-window exiting"},
    {CTL_ENTRY, ENTRY_CTL_IA32E, "IA-32e mode guest"},
};

static const struct ctl_bit unwanted[] = {
    {CTL_PIN, PIN_EXTINT_EXIT, "external-interrupt exiting"},
    {CTL_PIN, PIN_TIMER, "VMX-preemption timer"},
    {CTL_PROC, PROC_INTR_WINDOW, "interrupt-window exiting"},
    {CTL_PROC, PROC_HLT_EXIT, "HLT exiting"},
    {CTL_PROC, PROC_INVLPG_EXIT, "INVLPG exiting"},
    {CTL_PROC, PROC_MWAIT_EXIT, "MWAIT exiting"},
    {CTL_PROC, PROC_RDPMC_EXIT, "RDPMC exiting"},
    {CTL_PROC, PROC_RDTSC_EXIT, "RDTSC exiting"},
    {CTL_PROC, PROC_CR3_LOAD_EXIT, "CR3-load exiting"},
    {CTL_PROC, PROC_CR3_STORE_EXIT, "CR3-store exiting"},
    {CTL_PROC, PROC_CR8_LOAD_EXIT, "CR8-load exiting"},
    {CTL_PROC, PROC_CR8_STORE_EXIT, "CR8-store exiting"},
    {CTL_PROC, PROC_TPR_SHADOW, "use TPR shadow"},
    {CTL_PROC, PROC_NMI_WINDOW, "NMI-window exiting"},
    {CTL_PROC, PROC_DR_EXIT, "MOV-DR exiting"},
    {CTL_PROC, PROC_UNCOND_IO_EXIT, "unconditional I/O exiting"},
    {CTL_PROC, PROC_MONITOR_EXIT, "MONITOR exiting"},
    {CTL_PROC, PROC_PAUSE_EXIT, "PAUSE exiting"},
};

static const struct {
    uint64_t bit;
    const char *name;
} ept_required[] = {
    {EPT_CAP_WALK_4, "4-level EPT"}, {EPT_CAP_TYPE_WB, "write-back EPT structures"}, {EPT_CAP_2M, "2-MiB EPT pages"},
    {EPT_CAP_INVEPT, "INVEPT"},      {EPT_CAP_INVEPT_ALL, "INVEPT all-context"},
};

static enum err refuse(struct backend_report *report, enum err why, const char *before, const char *what,
                       const char *after)
{
    report->why = why;
    str_format(report->text, sizeof report->text, "%s%s%s", before, what, after);
    return why;
}

static uint64_t read_msr(const struct vmx_source *source, uint32_t msr)
{
    return source->rdmsr(source, msr);
}

/* Low half: bits that must be 1. High half: bits that may be 1. */
static void read_ctl(const struct vmx_source *source, struct vmx_caps *caps, enum vmx_ctl ctl, uint32_t msr)
{
    uint64_t value = read_msr(source, msr);
    caps->allowed0[ctl] = (uint32_t)value;
    caps->allowed1[ctl] = (uint32_t)(value >> 32);
}

static enum err resolve_controls(struct vmx_caps *caps, struct backend_report *report)
{
    for (size_t i = 0; i < CTL_COUNT; i++)
        caps->base[i] = caps->allowed0[i];
    for (size_t i = 0; i < ARRAY_LEN(required); i++) {
        const struct ctl_bit *r = &required[i];
        if (!(caps->allowed1[r->ctl] & r->bit)) {
            if (r->bit == PROC2_EPT || r->bit == PROC_SECONDARY)
                return refuse(report, E_NOEPT, "this CPU has VMX but no EPT", "", "");
            return refuse(report, E_NOFEATURE, "this CPU's VMX lacks \"", r->name, "\"");
        }
        caps->base[r->ctl] |= r->bit;
    }
    for (size_t i = 0; i < ARRAY_LEN(possible); i++) {
        if (!(caps->allowed1[possible[i].ctl] & possible[i].bit))
            return refuse(report, E_NOFEATURE, "this CPU's VMX lacks \"", possible[i].name, "\"");
    }
    for (size_t i = 0; i < ARRAY_LEN(unwanted); i++) {
        if (caps->allowed0[unwanted[i].ctl] & unwanted[i].bit)
            return refuse(report, E_NOFEATURE, "this CPU's VMX cannot switch off \"", unwanted[i].name, "\"");
    }
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        caps->base[wanted[i].ctl] |= caps->allowed1[wanted[i].ctl] & wanted[i].bit;
    for (size_t i = 0; i < CTL_COUNT; i++) {
        if (caps->base[i] & ~caps->allowed1[i])
            return refuse(report, E_NOFEATURE, "this CPU's VMX capability MSRs contradict themselves: ", ctl_name[i],
                          " controls");
    }
    return E_OK;
}

static enum err resolve_ept(uint64_t ept_vpid, struct vmx_caps *caps, struct backend_report *report)
{
    for (size_t i = 0; i < ARRAY_LEN(ept_required); i++) {
        if (!(ept_vpid & ept_required[i].bit))
            return refuse(report, E_NOFEATURE, "this CPU's EPT lacks ", ept_required[i].name, "");
    }
    caps->pages_1g = ept_vpid & EPT_CAP_1G;
    caps->ad = ept_vpid & EPT_CAP_AD;
    caps->pml = caps->ad && (caps->allowed1[CTL_PROC2] & PROC2_PML);
    if (caps->pml)
        caps->base[CTL_PROC2] |= PROC2_PML;
    uint64_t invvpid = VPID_CAP_INVVPID | VPID_CAP_INVVPID_ALL;
    caps->vpid = (caps->allowed1[CTL_PROC2] & PROC2_VPID) && (ept_vpid & invvpid) == invvpid;
    if (caps->vpid)
        caps->base[CTL_PROC2] |= PROC2_VPID;
    return E_OK;
}

enum err vmx_caps_resolve(const struct vmx_source *source, struct vmx_caps *caps, struct backend_report *report)
{
    memset(caps, 0, sizeof *caps);
    if (!source->cpuid_vmx)
        return refuse(report, E_NOCPU, "this CPU has no VMX", "", "");
    uint64_t feature = read_msr(source, MSR_IA32_FEATURE_CONTROL);
    /* Unlocked is as good as on: vmx_init_cpu then locks it itself. */
    if ((feature & FEATURE_CONTROL_LOCK) && !(feature & FEATURE_CONTROL_VMXON_OUTSIDE_SMX))
        return refuse(report, E_LOCKED, "VT-x is locked off by the firmware: enable it in Setup", "", "");

    uint64_t basic = read_msr(source, MSR_IA32_VMX_BASIC), misc = read_msr(source, MSR_IA32_VMX_MISC);
    bool exact = basic & VMX_BASIC_TRUE_CTLS;
    caps->revision = (uint32_t)(basic & VMX_BASIC_REVISION);
    if (bits_get(basic, VMX_BASIC_REGION_HI, VMX_BASIC_REGION_LO) > PAGE_BYTES)
        return refuse(report, E_NOFEATURE, "this CPU's VMCS is larger than a page", "", "");
    if (bits_get(basic, VMX_BASIC_TYPE_HI, VMX_BASIC_TYPE_LO) != VMX_MEM_TYPE_WB)
        return refuse(report, E_NOFEATURE, "this CPU wants its VMCS in uncached memory", "", "");
    read_ctl(source, caps, CTL_PIN, exact ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS);
    read_ctl(source, caps, CTL_PROC, exact ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS);
    read_ctl(source, caps, CTL_EXIT, exact ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
    read_ctl(source, caps, CTL_ENTRY, exact ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
    if (caps->allowed1[CTL_PROC] & PROC_SECONDARY)
        read_ctl(source, caps, CTL_PROC2, MSR_IA32_VMX_PROCBASED_CTLS2);
    enum err err = resolve_controls(caps, report);
    if (err)
        return err;
    err = resolve_ept(read_msr(source, MSR_IA32_VMX_EPT_VPID_CAP), caps, report);
    if (err)
        return err;
    if (!(misc & VMX_MISC_STORES_LMA))
        return refuse(report, E_NOFEATURE, "this CPU does not store EFER.LMA on VM exit", "", "");

    caps->host_cr0_fixed0 = read_msr(source, MSR_IA32_VMX_CR0_FIXED0);
    caps->cr0_fixed0 = caps->host_cr0_fixed0 & ~(CR0_PE | CR0_PG); /* SDM 3C 27.3.1.1, "unrestricted guest" */
    caps->cr0_fixed1 = read_msr(source, MSR_IA32_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = read_msr(source, MSR_IA32_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = read_msr(source, MSR_IA32_VMX_CR4_FIXED1);
    caps->xsaves = caps->base[CTL_PROC2] & PROC2_XSAVES;
    caps->timer = caps->allowed1[CTL_PIN] & PIN_TIMER;
    caps->timer_shift = (uint8_t)(misc & VMX_MISC_TIMER_RATE);
    caps->activity_hlt = misc & VMX_MISC_ACTIVITY_HLT;
    caps->phys_bits = source->phys_bits;
    report->why = E_OK;
    str_format(report->text, sizeof report->text, "VMX with EPT%s%s%s%s%s", caps->pages_1g ? ", 1-GiB pages" : "",
               caps->ad ? ", A/D bits" : "", caps->pml ? ", PML" : "", caps->vpid ? ", VPID" : "",
               caps->timer ? ", preemption timer" : "");
    return E_OK;
}

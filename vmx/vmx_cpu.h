/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. What the VMX backend keeps per CPU, and the checked VMCS accessors that vmx.c and vmx_run.c share. */
#ifndef SOJOURN_VMX_CPU_H
#define SOJOURN_VMX_CPU_H

#include "backend.h"
#include "vmx/caps.h"
#include "vmx/rows.h"
#include "vmx/vmx_frame.h"
#include "vmx/vmx_insn.h"

struct vmx_cpu {
    struct vmx_frame frame;
    struct vmx_caps caps;
    struct vmx_host host;
    struct vmx_rows rows; /* as built by the last load, or read by the last save */
    hpa_t vmxon_pa, vmcs_pa;
    uint64_t *pml; /* PML_ENTRIES; NULL: the CPU has none */
    uint64_t tsc_per_us;
    uint64_t tick_cycles;   /* 0: no tick asked for */
    uint64_t tick_deadline; /* TSC of the next one */
    uint64_t rsp_in_vmcs;
    uint32_t pin, proc; /* the controls as they are in the VMCS */
    bool on, loaded, launched;
    bool prepared;         /* the VMCS holds VMCS_FIXED_LIST */
    bool broken;           /* a VMX instruction failed and was logged; run and save refuse until the next load */
    bool event_in_vmcs;    /* ENTRY_INTR_INFO was made valid and no entry has consumed it */
    bool want_intr_window; /* VTRAP_INTR_WINDOW */
    bool nmi_by_intr_window;
};

static inline struct vmx_cpu *vmx_of(struct vcpu *v)
{
    return v->vendor;
}

/* Failures are logged with the field's name and the error's text, and make c->broken. */
uint64_t vmcs_read(struct vmx_cpu *c, struct vmcs_field field);
void vmcs_write(struct vmx_cpu *c, struct vmcs_field field, uint64_t value);
void vmcs_set_pin(struct vmx_cpu *c, uint32_t controls);
void vmcs_set_proc(struct vmx_cpu *c, uint32_t controls);
/* Log what failed; E_VMXFAIL unless status is VMX_OK. */
enum err vmx_checked(struct vmx_cpu *c, enum vmx_status status, const char *what, const char *operand) MUST_USE;

enum err vmx_run(struct vcpu *v, struct vm_exit *x) MUST_USE;
void vmx_flush(struct vcpu *v);

#endif

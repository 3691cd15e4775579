/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. struct vcpu_state to VMCB and back, the fixed controls, the MSR permission map and EVENTINJ. The shell
   (svm.c) copies nothing by itself: what a VMCB holds is decided here. */
#ifndef SOJOURN_SVM_VMCB_BUILD_H
#define SOJOURN_SVM_VMCB_BUILD_H

#include "svm/vmcb.h"
#include "vcpu_state.h"

/* What the CPU resets PAT to, SDM 3A and APM vol. 2 7.8.1 "PAT Register". */
#define PAT_RESET_VALUE 0x0007040600070406ull

#define MSRPM_BYTES (2 * PAGE_BYTES)
#define IOPM_BYTES (3 * PAGE_BYTES)

struct svm_controls {
    uint64_t iopm_pa, msrpm_pa, n_cr3;
    int64_t tsc_offset;
    uint32_t asid;
};

uint16_t svm_attrib_from_ar(uint32_t ar);
uint32_t svm_ar_from_attrib(uint16_t attrib, uint32_t limit);

/* The control area, from nothing: intercepts, maps, nested paging. The save area is left alone. */
void vmcb_build_controls(struct vmcb *vmcb, const struct svm_controls *c);
/* The save area and the interrupt shadow from s. SVME is set in EFER: the guest never sees it. */
void vmcb_build_state(struct vmcb *vmcb, const struct vcpu_state *s, bool has_spec_ctrl);
/* Back. Fills what the VMCB holds (also RAX and RSP) and leaves all else in s alone. Needs a VMSAVE before. */
void vmcb_read_state(const struct vmcb *vmcb, struct vcpu_state *s, bool has_spec_ctrl);

/* EVENTINJ for an event; 0 when there is none, or when the instruction at RIP raises it again by itself. */
uint64_t svm_eventinj(const struct vcpu_event *event);

/* All MSRs pass through, except what the host must see; MSRPM_BYTES long, zeroed before. */
void svm_msrpm_build(uint8_t *msrpm);
/* Writes of x2APIC's ICR, on or off. */
void svm_msrpm_trap_icr(uint8_t *msrpm, bool on);
/* Bit number of an MSR's read bit in the map (the write bit follows); false: always intercepted. */
bool svm_msrpm_bit(uint32_t msr, uint32_t *bit);

#endif

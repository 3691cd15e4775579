/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The part of the guest CPU's state that stays in the CPU's own registers in both modes: CR2, CR8, DR0-3, DR6,
   XCR0, the XSAVE area and most MSRs. The rest is in the gateway page (native) or in VMCS/VMCB (virtual). */
#ifndef SOJOURN_KERNEL_STATE_H
#define SOJOURN_KERNEL_STATE_H

#include "err.h"
#include "vcpu_state.h"

/* Once at boot: which MSRs exist, and how large the XSAVE image is. */
enum err state_probe(void) MUST_USE;
/* Read all live registers into s (all but the XSAVE area). */
void state_capture_live(struct vcpu_state *s);
/* Bring the live registers to s; registers that already hold the value are not written. EFER, FS and GS bases are the
   caller's. The variable MTRRs are apart: no mode switch touches them, only a restore has others. */
void state_load_live(const struct vcpu_state *s);
/* Only these (bits of enum vcpu_msr): what a control structure switches. EFER is left out. */
void state_capture_msrs(struct vcpu_state *s, uint64_t which);
void state_load_msrs(const struct vcpu_state *s, uint64_t which);
/* The state of a CPU that waits for a start-up IPI, and of one that has got it: SDM 3A 9.1.1 "Processor State After
   Reset", column INIT. */
void state_waiting_for_sipi(struct vcpu_state *s);
void state_started(struct vcpu_state *s, uint8_t vector, uint64_t switched_msrs);
void state_load_mtrrs(const struct vcpu_state *s);
void state_capture_xsave(struct vcpu_state *s);
void state_load_xsave(const struct vcpu_state *s);
/* Components of the XSAVE area that the host has to put back if it uses AVX2, as bits of XCR0; 0: it cannot. They fit into
   VCPU_XSAVE_BYTES. */
uint32_t state_vector_components(void);
/* Can a checkpointed state be loaded on this CPU (MSRs, XCR0, MTRR count)? */
enum err state_check(const struct vcpu_state *s, char *why, size_t why_len) MUST_USE;
const char *state_msr_name(unsigned index);

#endif

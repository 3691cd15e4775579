/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. EXITCODE, EXITINFO1/2, EXITINTINFO and nRIP to the neutral struct vm_exit and struct vcpu_event. */
#ifndef SOJOURN_SVM_DECODE_H
#define SOJOURN_SVM_DECODE_H

#include "backend.h"
#include "svm/vmcb.h"

/* Decodes the exit in vmcb. has_nrip: the CPU saves the next RIP (CPUID 8000_000A EDX[3]). */
void svm_decode_exit(const struct vmcb *vmcb, bool has_nrip, struct vm_exit *x);

/* The event whose delivery the exit interrupted, its type repaired where QEMU reports it wrong. */
struct vcpu_event svm_decode_exitintinfo(uint64_t exitintinfo);

/* Did VMRUN refuse the state? Both spellings. */
bool svm_exit_is_invalid(uint64_t exitcode);

#endif

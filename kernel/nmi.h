/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. NMIs around leaving: is there a way back, whose are those that came, and the NMI that a CPU sends itself so
   that it leaves with NMIs blocked. All for the CPU they run on. */
#ifndef SOJOURN_KERNEL_NMI_H
#define SOJOURN_KERNEL_NMI_H

#include "err.h"
#include "kernel/cpus.h"

/* Would an NMI find its way back to the host? E_NOAPIC; the leader also E_NOCONSOLE. */
enum err nmi_can_return(const struct cpu *c) MUST_USE;
/* NMIs have hit the host that neither another CPU nor the console explains: they may be the guest's. */
bool nmi_unexplained(struct cpu *c) MUST_USE;
/* Take an NMI of our own and do not end it: none can come until an IRETQ. E_BLOCKED: another one came first, and is
   counted in vcpu.host_nmi. E_TIMEOUT: none came. On failure nothing is blocked. */
enum err nmi_block(struct cpu *c) MUST_USE;
void nmi_unblock(struct cpu *c);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. A timer of the host's own for the leading CPU, where the CPU has none (SVM has no preemption timer): the HPET's
 * last comparator, as an NMI through an I/O APIC line that nobody uses. Only between a cut and the end of its checkpoint,
 * while the guest is virtual. */
#ifndef SOJOURN_KERNEL_HOST_TIMER_H
#define SOJOURN_KERNEL_HOST_TIMER_H

#include "types.h"

/* Leader. False: no such timer, or no line. */
bool host_timer_start(void);
bool host_timer_runs(void);
/* One NMI in about so long, unless one is on its way already. */
void host_timer_arm(uint64_t us);
/* An NMI came to the leader: was it this one? */
bool host_timer_take(void);
/* Afterwards none is on its way. */
void host_timer_stop(void);

#endif

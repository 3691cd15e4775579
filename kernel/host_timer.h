/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. A timer of the host's own for the leading CPU: the HPET's last comparator, as an NMI through an I/O APIC line that
 * nobody uses. For short turns between a cut and the end of its checkpoint, where the CPU has no preemption timer (SVM),
 * and, in both modes, for checkpoints by the clock (kernel/auto.c).
 *
 * An edge leaves no trace: whether an NMI was the timer's is told by the counter and by "armed and not taken yet". While the
 * guest is native, the gateway only knows a time from which on to ask (gateway.timer_tsc, early by an eighth). Asked, and
 * it was not, the host sends that NMI again, for the guest. On every way out to the native guest it sends one
 * if the timer is due: were its own latched already, the two are one. */
#ifndef SOJOURN_KERNEL_HOST_TIMER_H
#define SOJOURN_KERNEL_HOST_TIMER_H

#include "err.h"
#include "types.h"

/* When the leader is to call auto_look() next, by clock_us(); 0: now. Read at every exit and visit. */
#define HOST_TIMER_NO_LOOK UINT64_MAX
extern uint64_t host_timer_look_us;

/* Leader. False: no such timer, or no line. Running already: true. */
bool host_timer_start(void);
bool host_timer_runs(void);
/* One NMI in about so long or earlier, unless one is on its way already. */
void host_timer_arm(uint64_t us);
bool host_timer_armed(void);
/* An NMI came to the leader: was it this one? */
bool host_timer_take(void);
/* The guest has left timer and line alone. */
bool host_timer_intact(void);
/* In a visit: did an NMI that the gateway took for the timer's lead here? False also: and it was not; it is the guest's. */
bool host_timer_visited(void);
/* Before a native guest is resumed, if gateway.timer_tsc is not 0. */
void host_timer_prepare_native(void);
/* The timer is the guest's again, unless the guest has taken it already, and none is on its way. E_BUSY: in a visit its NMI
   may wait already; then the next visit is at once. */
enum err host_timer_stop(void) MUST_USE;

#endif

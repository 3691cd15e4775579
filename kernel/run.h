/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The loop that runs a virtual guest, and what happens between two entries. */
#ifndef SOJOURN_KERNEL_RUN_H
#define SOJOURN_KERNEL_RUN_H

#include "err.h"
#include "kernel/cpus.h"

/* Leader: all CPUs are about to be native. Answers a leave that the console waits for. */
void run_left(void);
/* Run the guest on this CPU until it is native (never returns: leaving continues in the guest). A CPU that the host
   holds waits here; the leader also serves the console while the guest is parked or there is none. */
_Noreturn void run_loop(struct cpu *c);
/* The same, from an enter: the guest first, whatever can be done later is done after its first exit. */
_Noreturn void run_entered(struct cpu *c);
/* The same, with code that is needed for anything else found damaged: until the guest could be left. */
_Noreturn void run_damaged(struct cpu *c);
/* Leader: run the virtual guest on for about so long, while a command goes on in slices: a device is in the middle of
   something, or a checkpoint is written. Less if the guest has nothing to do on this CPU, or waits for room in the pool of
   kernel/live.h. Console commands that arrive meanwhile are held, because the one that calls this is under way. */
void run_on(uint64_t us);
/* Leader, guest virtual: has this CPU a timer that brings it back into the host, whatever the guest does? */
bool run_has_timer(void);

#endif

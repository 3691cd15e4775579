/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. CPUs that start: at boot by the host, later by the guest's INIT and start-up IPIs. See startup.c. */
#ifndef SOJOURN_KERNEL_STARTUP_H
#define SOJOURN_KERNEL_STARTUP_H

#include "err.h"
#include "kernel/cpus.h"

/* Leader, boot, backend chosen: start every other CPU; each is held afterwards. Those that do not come, or cannot carry
   the backend, are logged, and are not present: the guest cannot start them either. page_pa: a page of RAM below 640
   KiB to start in; what was there is put back. E_NOMEM. */
enum err startup_all(uint64_t page_pa) MUST_USE;
/* Leader: the guest will run natively for good: every other CPU back to where the firmware left it. */
void startup_give_back(void);

/* The guest sent an INIT, or a start-up IPI with this vector, to a CPU while virtual. Called on the sender. False: there
   is no such CPU, or it cannot be reset now; nothing was done. */
bool startup_guest_init(uint32_t apic_id) MUST_USE;
bool startup_guest_start(uint32_t apic_id, uint8_t vector) MUST_USE;

/* While all CPUs are stopped: has the guest sent this CPU an INIT or a start-up IPI that has not come true yet, or an INIT
   so lately that the start-up IPI is on its way? Then it must be carried out virtual: a checkpoint does not hold it, and
   natively a held CPU waits for another INIT. Callers: transition.c, saving.c. */
bool startup_pending(const struct cpu *c);

/* On the CPU itself, from its run loop: it was sent an INIT; it was sent a start-up IPI while held. */
void startup_reset(struct cpu *c);
void startup_begin(struct cpu *c);

#endif

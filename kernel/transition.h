/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Between the modes: leave, enter, and the short visit in between. See transition.c for the essay. */
#ifndef SOJOURN_KERNEL_TRANSITION_H
#define SOJOURN_KERNEL_TRANSITION_H

#include "err.h"
#include "kernel/cpus.h"

/* At boot: the host's control registers on this CPU, and (the leader, once) the host's side of the gateway. */
void transition_init_cpu(void);
void transition_init(void);
/* Leader. Leave, all CPUs or none. Comes back only when it could not: the guest is virtual and unharmed, the reason is
   returned. */
enum err transition_leave(void) MUST_USE;
/* Leader, from a visit: make the guest virtual, all CPUs or none. On success this CPU goes on with
   transition_become_virtual(), as every other CPU does by itself. On failure the guest stays native. */
enum err transition_enter(void) MUST_USE;
/* For smp_each(), or the one CPU: the complete state of this CPU, whatever the mode. */
enum err transition_capture(struct cpu *c) MUST_USE;
/* For smp_each(): make c->state, which came from a checkpoint or is the guest's first, this CPU's: virtual. */
enum err transition_load(struct cpu *c) MUST_USE;
/* This CPU: c->state is that of a CPU that got its start-up IPI: into the guest, virtual. */
enum err transition_start(struct cpu *c) MUST_USE;
/* This CPU: its guest state is void; off the vendor's mode. */
void transition_drop(struct cpu *c);
/* After transition_load() on every CPU, leader: the gateway is gone, with the guest it was in. */
void transition_loaded(void);
/* This CPU's control structure is loaded and nobody waits: run it. */
_Noreturn void transition_become_virtual(struct cpu *c);
/* A CPU that was stopped while its guest was left: out. */
_Noreturn void transition_go_native(struct cpu *c);

/* A transition was refused: count it, keep the reason, log it. */
void transition_refused(const char *which, enum err why);

#endif

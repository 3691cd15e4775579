/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Watching what the guest writes to its local APICs while virtual: INIT and start-up IPIs must not become real.
   See apic_watch.c. */
#ifndef SOJOURN_KERNEL_APIC_WATCH_H
#define SOJOURN_KERNEL_APIC_WATCH_H

#include "kernel/cpus.h"

/* Leader, boot, the second-level tables built. With one CPU nothing is ever watched. */
enum err apic_watch_init(void) MUST_USE;
/* Leader: would apic_watch_update() change anything? */
bool apic_watch_changes(void);
/* Any CPU: watch if there is a CPU that could be started, else stop. After a CPU's place has changed. */
void apic_watch_update(void);
/* A guest CPU carried out WBINVD with interrupts off: it may be about to go offline, and be started again later. */
void apic_watch_suspect(struct cpu *c);
/* It used its APIC: it is alive. */
void apic_watch_alive(struct cpu *c);
/* It exited; with interrupts on it is alive. */
void apic_watch_exited(struct cpu *c);
/* c->state comes from a native guest or a checkpoint, and nobody saw what the CPU did before. Update follows when all
   CPUs are done. */
void apic_watch_loaded(struct cpu *c);

/* Is this guest-physical address the APIC's page, and the write to be carried out by apic_watch_write()? */
bool apic_watch_covers(uint64_t gpa);
/* The guest wrote value (bytes wide) to its APIC's page. False: it cannot be carried out: park. */
bool apic_watch_write(struct cpu *c, uint64_t gpa, uint64_t value, unsigned bytes) MUST_USE;
/* The guest wrote x2APIC's ICR. False: as above. */
bool apic_watch_icr(struct cpu *c, uint64_t value) MUST_USE;
/* The guest wrote IA32_APIC_BASE. False: #GP. */
bool apic_watch_base(struct cpu *c, uint64_t value) MUST_USE;

#endif

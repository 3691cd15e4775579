/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. What the host does about an exit, once for both vendors. */
#ifndef SOJOURN_KERNEL_POLICY_H
#define SOJOURN_KERNEL_POLICY_H

#include "kernel/cpus.h"
#include "kernel/lock.h"

/* Set the I/O bitmap from what is to be hidden and observed. At boot, before the first entry. */
void policy_trap_ports(void);
/* One port more, or not any more; on only while all CPUs are stopped. */
void policy_trap_port(uint16_t port, bool on);
/* Ports that shall read as absent; at most POLICY_ABSENT_MAX ranges. */
#define POLICY_ABSENT_MAX 12
void policy_hide_ports(uint16_t first, uint16_t count);
/* All CPUs are stopped: from now on the guest's accesses to the VGA's ports wait, and say so by live_press(); or no longer. */
void policy_hold_vga(bool on);
/* A PCI function the guest shall not find: configuration space by CF8/CFC, and its page of ECAM. At most 4. */
void policy_hide_pci(uint16_t bdf);
bool policy_pci_hidden(uint16_t bdf);
/* Around the host's own use of CF8 and CFC while a virtual guest has other CPUs: each of the guest's accesses is carried out
   under it, if a function is hidden. */
extern struct lock policy_pci_lock;

/* Handle x, on the CPU it happened on; the guest may be parked afterwards. */
void policy_exit(struct cpu *c, const struct vm_exit *x);
/* Freeze the guest with its state dumped; console and store stay alive. */
void policy_park(struct cpu *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The guest died: the leader will do what on-crash= says (crash_policy). All its CPUs stop. */
void policy_crash(struct cpu *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Who else writes memory: PCI functions that may master the bus. Their writes go past the second-level tables, so
 * that neither copy-on-write nor dirty tracking sees them. */
#ifndef SOJOURN_KERNEL_BUS_MASTERS_H
#define SOJOURN_KERNEL_BUS_MASTERS_H

#include "drivers/pci.h"

/* Boot: find all functions; a hash of what was found. Cards that are plugged in later are not seen. */
uint64_t bus_masters_scan(void);
/* The next one that could write now, from *at on (0: from the first), or NULL. What the host keeps for itself does not count, nor do
   bridges, which forward, and USB controllers that are halted. It uses CF8 and CFC: no other CPU may run natively. */
const struct pci_function *bus_masters_next(size_t *at);

#endif

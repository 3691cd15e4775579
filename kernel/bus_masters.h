/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Who else writes memory: PCI functions that may master the bus. Their writes go past the second-level tables, so
 * that neither copy-on-write nor dirty tracking sees them. */
#ifndef SOJOURN_KERNEL_BUS_MASTERS_H
#define SOJOURN_KERNEL_BUS_MASTERS_H

#include "types.h"

/* Boot: find all functions; a hash of what was found. Cards that are plugged in later are not seen. */
uint64_t bus_masters_scan(void);
/* Could one write now? The first one that could is logged. What the host keeps for itself does not count, nor do bridges,
   which forward, and USB controllers that are halted. */
bool bus_masters_active(void);

#endif

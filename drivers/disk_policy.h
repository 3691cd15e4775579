/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. May Sojourn keep a disk controller for itself? Only when nothing on it can be the guest's. */
#ifndef SOJOURN_DRIVERS_DISK_POLICY_H
#define SOJOURN_DRIVERS_DISK_POLICY_H

#include "types.h"

enum disk_kind { DISK_NONE, DISK_AHCI, DISK_ATA };

/* What was seen on one controller. Position: AHCI port, or 2 * channel + unit. ATAPI devices are not counted. */
struct disk_controller {
    uint16_t bdf;
    enum disk_kind kind;
    uint32_t disks;  /* bit per position: a disk, working or not */
    uint32_t stores; /* of these, the ones that carry the store's partition */
};

/* Ours alone: there is a store, and every disk carries one. A boot partition beside the store on the same disk does not
   make it the guest's; a disk that could not be read does, because nobody knows whose it is. */
bool disk_controller_ours(const struct disk_controller *c);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. From PCI to the store's partition: looks at every disk of every AHCI and bus-master IDE controller, keeps the
   one that carries the store, gives all others back as the firmware left them. Never writes to a disk. */
#ifndef SOJOURN_DRIVERS_DISK_H
#define SOJOURN_DRIVERS_DISK_H

#include "block.h"
#include "drivers/disk_policy.h"
#include "err.h"

struct disk_report {
    struct disk_controller store; /* the store's controller; kind DISK_NONE: none found */
    unsigned position;            /* of the store's disk on it */
    char name[16];                /* of the store's disk */
    bool ours;                    /* nothing else on the controller: hide it from the guest */
    unsigned controllers, disks;  /* looked at in all */
};

/* Once at boot. selector: "auto" or "gpt:LABEL" (contract: store=). E_OK: out is usable and the controller is ours.
   E_SHARED: there is a store, but beside disks of the guest; given back, the report says where. E_NOSTORE: disks, but
   no store. E_NODISK: no disk at all. E_NOMEM: pool empty. E_OPTION: bad selector. */
enum err disk_find_store(const char *selector, struct block_part *out, struct disk_report *report) MUST_USE;

/* Before the store is used after the guest had the machine, or a reset: the controller is where it was, and may master the bus. By
   CF8 and CFC: no other CPU may use them meanwhile. E_GONE: it has moved; E_NOSTORE: there is no store. */
enum err disk_wake(void) MUST_USE;
/* After that: checks the port, sets it up again if it changed, and makes sure that the partition is still where it was. A few
   sector reads when all is fine. E_GONE: another disk, or none; E_NOSTORE: the partition moved or vanished. */
enum err disk_reopen(void) MUST_USE;

/* Stop and give the store's controller back; part handed out by disk_find_store must not be used afterwards. */
void disk_release(void);

#endif

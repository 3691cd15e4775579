/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. What the host learned at boot about the machine; read-only once the guest runs. */
#ifndef SOJOURN_KERNEL_MACHINE_H
#define SOJOURN_KERNEL_MACHINE_H

#include "boot/memmap.h"
#include "boot/multiboot2.h"
#include "drivers/acpi.h"
#include "drivers/disk.h"
#include "kernel/options.h"
#include "types.h"

struct machine {
    struct options options;
    struct boot_info boot;
    struct memmap map; /* with the hidden range reserved */
    struct acpi_info acpi;
    bool has_acpi;
    struct disk_report disk;
    uint64_t ram_bytes; /* usable, before anything was hidden */
    uint64_t ram_end;   /* first address behind all RAM */
};

extern struct machine machine;

#endif

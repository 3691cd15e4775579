/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The bus-master IDE driver for legacy-mode SATA, PIIX-like controllers and Bochs: polled, interrupts masked at
   the device (nIEN), one command at a time per channel. */
#ifndef SOJOURN_DRIVERS_ATA_H
#define SOJOURN_DRIVERS_ATA_H

#include "block.h"
#include "drivers/ata_core.h"

struct ata_disk;

struct ata_channel {
    uint16_t base, control, bus_master;
    struct ata_disk *busy; /* whose command is in flight */
};

struct ata_controller {
    uint16_t bdf, pci_command_before;
    struct ata_channel channel[IDE_CHANNELS];
};

struct ata_disk {
    struct block_dev dev;
    struct ata_identity id;
    struct ata_channel *channel;
    unsigned unit;
    struct ata_prd *table;
    bool ready;
    enum block_op op; /* in flight, with its registers for the second try */
    struct ata_registers registers;
    uint64_t deadline_us;
};

/* E_NODISK: no bus master, or ports not assigned. */
enum err ata_open(uint16_t bdf, struct ata_controller *c) MUST_USE;
void ata_close(const struct ata_controller *c);

/* position: 2 * channel + unit. page: 4 KiB below 4 GiB, the disk's until it is closed. The controller must stay where
   it is. E_NODISK: nothing there, or no ATA disk. */
enum err ata_open_disk(struct ata_controller *c, unsigned position, void *page, struct ata_disk *disk) MUST_USE;
void ata_close_disk(struct ata_disk *disk);

/* Does the disk answer, idle, with interrupts masked as we left it? */
bool ata_disk_intact(const struct ata_disk *disk);
/* Make it usable again after the guest or a reset had it; its controller masters the bus already. E_GONE when it is another disk. */
enum err ata_reopen_disk(struct ata_disk *disk) MUST_USE;

#endif

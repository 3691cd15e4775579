/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Bus-master IDE in names and structures: task file (ATA8-APT), bus-master registers and physical region
   descriptors ("Programming Interface for Bus Master IDE Controller" 1.0), building the descriptors, and what the
   status of a channel means for a command. */
#ifndef SOJOURN_DRIVERS_ATA_CORE_H
#define SOJOURN_DRIVERS_ATA_CORE_H

#include "bits.h"
#include "drivers/ata_command.h"
#include "err.h"
#include "types.h"

/* PCI programming interface byte of class 01:01, and where the channels are when not in native mode. */
#define IDE_NATIVE(channel) BIT32(2 * (channel))
#define IDE_BUS_MASTER BIT32(7)
#define IDE_BUS_MASTER_BAR 4u
#define IDE_CHANNELS 2u
#define IDE_UNITS 2u

/* Command block, offsets from the channel's base. Reading the status at ATA_STATUS acknowledges an interrupt. */
#define ATA_DATA 0
#define ATA_FEATURES 1
#define ATA_COUNT 2
#define ATA_LBA_LOW 3
#define ATA_LBA_MID 4
#define ATA_LBA_HIGH 5
#define ATA_DEVICE 6
#define ATA_STATUS 7
#define ATA_COMMAND 7
/* Control block: one port. */
#define ATA_CONTROL_NIEN 0x02u
#define ATA_CONTROL_SRST 0x04u

/* Bus-master registers, offsets from BAR4 + 8 * channel. */
#define BM_COMMAND 0
#define BM_STATUS 2
#define BM_TABLE 4
#define BM_CHANNEL_STRIDE 8
#define BM_COMMAND_START 0x01u
#define BM_COMMAND_TO_MEMORY 0x08u
#define BM_STATUS_ACTIVE 0x01u
#define BM_STATUS_ERROR 0x02u
#define BM_STATUS_INTERRUPT 0x04u
#define BM_STATUS_CAPABLE 0x60u /* read/write, set by the firmware: must survive a write-1-to-clear */

struct ata_prd {
    uint32_t base;
    uint16_t bytes; /* 0: 65536 */
    uint16_t flags;
};
#define ATA_PRD_LAST 0x8000u
#define ATA_PRD_MAX_BYTES 65536u
#define ATA_PRDS (PAGE_BYTES / sizeof(struct ata_prd))
/* 64 KiB: a single descriptor for an aligned buffer. Longer commands bring little on legacy controllers, and Bochs
   spends 1 ms on a first descriptor but 4 ms on every further one of 64 KiB (62 MB/s here, 16 MB/s with 2 MiB
   commands). */
#define ATA_MAX_SECTORS 128u

_Static_assert(sizeof(struct ata_prd) == 8, "Bus Master IDE 1.2");

/* Describe bytes at pa, split where a 64 KiB boundary is crossed. The table is one page, so it crosses none itself.
   E_BOUNDS: above 4 GiB, odd, or too long. */
enum err ata_build_prds(struct ata_prd table[ATA_PRDS], hpa_t pa, uint32_t bytes) MUST_USE;

/* Nobody drives the channel. */
bool ata_floating(uint8_t status);

enum ata_verdict { ATA_PENDING, ATA_DONE, ATA_FAILED, ATA_GONE };

/* status: the alternate status register; bm: the bus-master status, 0 for commands without data. With nIEN set the
   interrupt bit never comes, so a command has ended when the device is idle and the bus master is not active. */
enum ata_verdict ata_judge(uint8_t status, uint8_t bm);

#endif

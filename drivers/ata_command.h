/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What AHCI and IDE disks have in common: IDENTIFY DEVICE data and the registers of a command, with 28- or 48-bit
   addresses (ATA8-ACS 7.16 "IDENTIFY DEVICE", 7.24 "READ DMA", 7.25 "READ DMA EXT", 7.10 "FLUSH CACHE"). */
#ifndef SOJOURN_DRIVERS_ATA_COMMAND_H
#define SOJOURN_DRIVERS_ATA_COMMAND_H

#include "block.h"
#include "err.h"
#include "types.h"

#define ATA_CMD_READ_DMA 0xC8
#define ATA_CMD_READ_DMA_EXT 0x25
#define ATA_CMD_WRITE_DMA 0xCA
#define ATA_CMD_WRITE_DMA_EXT 0x35
#define ATA_CMD_FLUSH_CACHE 0xE7
#define ATA_CMD_FLUSH_CACHE_EXT 0xEA
#define ATA_CMD_IDENTIFY_DEVICE 0xEC

/* Status register. */
#define ATA_STATUS_ERR 0x01u
#define ATA_STATUS_DRQ 0x08u
#define ATA_STATUS_DF 0x20u
#define ATA_STATUS_BSY 0x80u

#define ATA_DEVICE_LBA 0x40u
#define ATA_DEVICE_OBSOLETE 0xA0u /* two bits old drives want set */
#define ATA_DEVICE_UNIT1 0x10u

/* LBA mid and high after a reset or an aborted IDENTIFY DEVICE tell what is there (ATA8-ACS 4.3 "Signature"). */
#define ATA_SIGNATURE_ATAPI 0xEB14u

#define ATA_IDENTIFY_WORDS 256u
#define ATA_SECTOR_BYTES 512u

#define ATA_COMMAND_TIMEOUT_US (10ull * 1000 * 1000)
#define ATA_FLUSH_TIMEOUT_US (30ull * 1000 * 1000)

struct ata_identity {
    uint64_t sectors;       /* of 512 bytes */
    uint32_t block_sectors; /* logical block in sectors of 512: 1, or 8 */
    bool lba48, flush_ext;
    char model[41], serial[21]; /* ASCII, no padding */
};

/* E_NODISK: not a disk we can drive, and *why says what is missing. E_IO: the data itself is damaged. */
enum err ata_parse_identify(const uint16_t words[ATA_IDENTIFY_WORDS], struct ata_identity *id,
                            const char **why) MUST_USE;

/* The same medium as before? Model, serial number and size. */
bool ata_same_disk(const struct ata_identity *a, const struct ata_identity *b);

/* The largest command in sectors of 512, given what the controller can take. */
uint32_t ata_max_sectors(const struct ata_identity *id, uint32_t controller_max);

struct ata_registers {
    uint8_t command, device;
    uint16_t count; /* 0 stands for the largest */
    uint64_t lba;   /* 48 bits, or the low 24 of 28 with the rest in device */
    bool ext;       /* registers are written twice (IDE) */
    bool write;
    uint32_t bytes; /* of data */
};

/* lba and count in sectors of 512. E_BOUNDS: misaligned, too long, or beyond the end. */
enum err ata_build_command(const struct ata_identity *id, enum block_op op, uint64_t lba, uint32_t count,
                           struct ata_registers *r) MUST_USE;
void ata_build_identify(struct ata_registers *r);

uint64_t ata_timeout_us(enum block_op op);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Finds the store's partition on a disk, by GPT (UEFI 2.9 section 5.3 "GUID Partition Table (GPT) Disk Layout")
   or MBR (5.2 "LBA 0 Format"). Only reads. What is damaged, overlapping or out of range is never offered. */
#ifndef SOJOURN_DRIVERS_PARTITION_H
#define SOJOURN_DRIVERS_PARTITION_H

#include "block.h"
#include "err.h"

#define PARTITION_NAME "sojourn-store"
#define PARTITION_MBR_TYPE 0x5A
/* 534F4A4F-5552-4E00-8000-53544F524531 as it lies on disk: the first three fields are little endian. */
#define PARTITION_TYPE_GUID                                                                                            \
    {                                                                                                                  \
        0x4F, 0x4A, 0x4F, 0x53, 0x52, 0x55, 0x00, 0x4E, 0x80, 0x00, 0x53, 0x54, 0x4F, 0x52, 0x45, 0x31                 \
    }

/* "auto", or "gpt:" and 1 to 36 ASCII characters. */
bool partition_selector_ok(const char *selector);

/* auto: the first entry of our GPT type, else the first by our name, else (without GPT) the first primary MBR entry of
   our type. gpt:LABEL: the first entry of that name, whatever its type. E_NOSTORE: none; E_OPTION: bad selector; E_IO
   and others: the disk could not be read. */
enum err partition_find(struct block_dev *dev, const char *selector, struct block_part *out) MUST_USE;

#endif

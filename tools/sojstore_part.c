/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A partition by its number, for sojstore --partition: GPT (UEFI 2.9 section 5.3 "GUID Partition Table (GPT) Disk
   Layout") or MBR primaries (5.2 "LBA 0 Format"). Looks at one entry; drivers/partition.c, which searches and judges
   the whole table, is what finds a store when nobody names a number. */
#include "tools/sojstore_host.h"

#include "bits.h"
#include "drivers/partition.h"

#include <string.h>

#define SECTOR_BYTES 512u
#define MBR_SIGNATURE_OFFSET 510
#define MBR_SIGNATURE 0xAA55
#define MBR_ENTRIES_OFFSET 446
#define MBR_ENTRY_BYTES 16
#define MBR_ENTRIES 4
#define MBR_TYPE_GPT 0xEE
#define GPT_SIGNATURE 0x5452415020494645ull /* "EFI PART" */
#define GPT_ENTRIES_LBA_OFFSET 72
#define GPT_ENTRY_COUNT_OFFSET 80
#define GPT_ENTRY_BYTES_OFFSET 84
#define GPT_ENTRY_FIRST_OFFSET 32
#define GPT_ENTRY_LAST_OFFSET 40
#define GPT_ENTRY_NAME_OFFSET 56
#define GPT_NAME_CHARS 36

static bool name_is_ours(const uint8_t *entry)
{
    const char *want = PARTITION_NAME;
    size_t len = strlen(want);
    for (size_t i = 0; i <= len && i < GPT_NAME_CHARS; i++)
        if (load16(entry + GPT_ENTRY_NAME_OFFSET + 2 * i) != (uint16_t)(uint8_t)want[i])
            return false;
    return true;
}

static enum err take_range(struct block_dev *dev, uint64_t first, uint64_t count, struct block_part *part)
{
    if (first == 0 || count == 0 || first >= dev->sectors || count > dev->sectors - first)
        return E_BOUNDS;
    *part = (struct block_part){dev, first, count};
    return E_OK;
}

static enum err gpt_entry(struct block_dev *dev, unsigned number, struct block_part *part, bool *ours)
{
    static const uint8_t type[16] = PARTITION_TYPE_GUID, unused[16];
    struct block_part whole = {dev, 0, dev->sectors};
    uint8_t sector[SECTOR_BYTES];
    enum err e = block_read(&whole, 1, 1, sector);
    if (e)
        return e;
    uint64_t array = load64(sector + GPT_ENTRIES_LBA_OFFSET);
    uint32_t count = load32(sector + GPT_ENTRY_COUNT_OFFSET), bytes = load32(sector + GPT_ENTRY_BYTES_OFFSET);
    if (load64(sector) != GPT_SIGNATURE || bytes < 128 || bytes > 4096 || (bytes & (bytes - 1)) ||
        array >= dev->sectors)
        return E_BADTAG;
    if (number == 0 || number > count)
        return E_NOTFOUND;
    uint64_t offset = (uint64_t)(number - 1) * bytes;
    e = block_read(&whole, array + offset / SECTOR_BYTES, 1, sector);
    if (e)
        return e;
    const uint8_t *entry = sector + offset % SECTOR_BYTES; /* 128 divides 512: its first 128 bytes are in one sector */
    if (!memcmp(entry, unused, sizeof unused))
        return E_NOTFOUND;
    *ours = !memcmp(entry, type, sizeof type) || name_is_ours(entry);
    uint64_t first = load64(entry + GPT_ENTRY_FIRST_OFFSET), last = load64(entry + GPT_ENTRY_LAST_OFFSET);
    return last < first || last == UINT64_MAX ? E_BOUNDS : take_range(dev, first, last - first + 1, part);
}

enum err host_partition(struct block_dev *dev, unsigned number, struct block_part *part, bool *ours)
{
    struct block_part whole = {dev, 0, dev->sectors};
    uint8_t sector[SECTOR_BYTES];
    *ours = false;
    enum err e = block_read(&whole, 0, 1, sector);
    if (e)
        return e == E_BOUNDS ? E_BADTAG : e;
    if (load16(sector + MBR_SIGNATURE_OFFSET) != MBR_SIGNATURE)
        return E_BADTAG;
    for (unsigned i = 0; i < MBR_ENTRIES; i++)
        if (sector[MBR_ENTRIES_OFFSET + i * MBR_ENTRY_BYTES + 4] == MBR_TYPE_GPT)
            return gpt_entry(dev, number, part, ours);
    if (number == 0 || number > MBR_ENTRIES)
        return E_NOTFOUND;
    const uint8_t *entry = sector + MBR_ENTRIES_OFFSET + (number - 1) * MBR_ENTRY_BYTES;
    if (entry[4] == 0)
        return E_NOTFOUND;
    *ours = entry[4] == PARTITION_MBR_TYPE;
    return take_range(dev, load32(entry + 8), load32(entry + 12), part);
}

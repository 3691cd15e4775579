/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a disk's partition tables. What is found lies on the disk. Input: fix-ups (1), selector (1), pieces
   { sector (1), length (2), bytes }. The fix-ups: 1 the CRCs of both GPT headers and their arrays, 2 a GPT's MBR. */
/* UNITS: drivers/partition.c drivers/block.c tools/sojstore_part.c */
#include "bits.h"
#include "drivers/partition.h"
#include "fuzz.h"
#include "tools/sojstore_host.h"

#include <string.h>

#define SECTORS 128u
#define SECTOR 512u

static uint8_t disk[SECTORS * SECTOR];
static bool wrote;

static enum err begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    FUZZ_CHECK(count && count <= dev->max_sectors && lba <= SECTORS - count);
    wrote = wrote || op != BLOCK_READ;
    memcpy(buf, disk + lba * SECTOR, (size_t)count * SECTOR);
    return E_OK;
}

static enum err finish(struct block_dev *dev)
{
    (void)dev;
    return E_OK;
}

/* Four bits at a time: the finder's own is by the bit. */
static uint32_t crc32(const uint8_t *p, size_t n)
{
    static uint32_t table[16];
    for (uint32_t i = 0; i < ARRAY_LEN(table) && !table[15]; i++) {
        table[i] = i;
        for (int k = 0; k < 4; k++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
    uint32_t crc = ~0u;
    for (; n--; p++) {
        crc = crc >> 4 ^ table[(crc ^ *p) & 15];
        crc = crc >> 4 ^ table[(crc ^ *p >> 4) & 15];
    }
    return ~crc;
}

static void fix_header(uint8_t *h)
{
    uint64_t array = load64(h + 72), bytes = (uint64_t)load32(h + 80) * load32(h + 84);
    if (array < SECTORS && bytes <= (SECTORS - array) * SECTOR)
        store32(h + 88, crc32(disk + array * SECTOR, bytes));
    uint32_t size = load32(h + 12);
    store32(h + 16, 0);
    if (size <= SECTOR)
        store32(h + 16, crc32(h, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const selectors[] = {"auto", "gpt:x", "gpt:sojourn-store", "gpt:", "", "gpt"};
    struct block_dev dev = {"disk", SECTORS, 1, 8, begin, finish, NULL, NULL};
    struct block_part part;
    bool ours;
    if (size < 2)
        return 0;
    memset(disk, 0, sizeof disk);
    const uint8_t *p = data + 2;
    for (size_t left = size - 2; left > 3;) {
        uint32_t sector = p[0] % SECTORS;
        size_t n = min_u64(min_u64((uint64_t)(p[1] | p[2] << 8), left - 3), (SECTORS - sector) * SECTOR);
        memcpy(disk + sector * SECTOR, p + 3, n);
        p += 3 + n;
        left -= 3 + n;
    }
    if (data[0] & 2) {
        store16(disk + 510, 0xaa55);
        disk[446 + 4] = 0xee;
    }
    if (data[0] & 1) {
        fix_header(disk + SECTOR);
        fix_header(disk + (SECTORS - 1) * SECTOR);
    }
    wrote = false;
    const char *selector = selectors[data[1] % ARRAY_LEN(selectors)];
    enum err e = partition_find(&dev, selector, &part);
    FUZZ_CHECK(partition_selector_ok(selector) == (e != E_OPTION));
    if (!e)
        FUZZ_CHECK(part.first && part.count && part.first < SECTORS && part.count <= SECTORS - part.first);
    for (unsigned i = 0; i < 6; i++)
        if (!host_partition(&dev, i, &part, &ours))
            FUZZ_CHECK(part.first && part.count && part.first < SECTORS && part.count <= SECTORS - part.first);
    FUZZ_CHECK(!wrote);
    return 0;
}

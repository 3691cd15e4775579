/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Transfers of any length against a partition: bounds first, then pieces as the disk takes them. Nothing outside
   the partition is ever written, also not by widening a piece to the 4 KiB blocks of a 4 KiB-native disk: such a piece
   is read, changed and written back only when its whole block lies inside. */
#include "block.h"

#include "bits.h"

#include <string.h>

#define SECTOR_BYTES 512u
#define BOUNCE_SECTORS 8u /* the largest logical block there is: 4 KiB */

static uint8_t bounce[BOUNCE_SECTORS * SECTOR_BYTES] ALIGNED(PAGE_BYTES);

/* Written so that no sum can wrap, whatever the numbers are. */
static bool in_bounds(const struct block_part *part, uint64_t lba, uint64_t count)
{
    const struct block_dev *dev = part->dev;
    return dev && part->first <= dev->sectors && part->count <= dev->sectors - part->first && lba <= part->count &&
           count <= part->count - lba;
}

static bool device_sane(const struct block_dev *dev)
{
    uint32_t align = dev->align_sectors;
    return align > 0 && align <= BOUNCE_SECTORS && (align & (align - 1)) == 0 && dev->max_sectors >= align;
}

static enum err command(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    enum err e = dev->begin(dev, op, lba, count, buf);
    return e == E_OK ? dev->finish(dev) : e;
}

/* Part of one block of a 4 KiB-native disk. */
static enum err partial_block(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, uint8_t *buf)
{
    uint64_t block = align_down(lba, dev->align_sectors);
    uint8_t *inside = bounce + (lba - block) * SECTOR_BYTES;
    enum err e = command(dev, BLOCK_READ, block, dev->align_sectors, bounce);
    if (e != E_OK)
        return e;
    if (op == BLOCK_READ) {
        memcpy(buf, inside, (size_t)count * SECTOR_BYTES);
        return E_OK;
    }
    memcpy(inside, buf, (size_t)count * SECTOR_BYTES);
    return command(dev, BLOCK_WRITE, block, dev->align_sectors, bounce);
}

static enum err transfer(struct block_part *part, enum block_op op, uint64_t lba, uint64_t count, uint8_t *buf)
{
    if (!in_bounds(part, lba, count))
        return E_BOUNDS;
    struct block_dev *dev = part->dev;
    if (!device_sane(dev))
        return E_INTERNAL;
    if (count == 0)
        return E_OK;

    uint32_t align = dev->align_sectors;
    uint64_t at = part->first + lba, end = at + count;
    uint64_t low = op == BLOCK_WRITE ? part->first : 0;
    uint64_t high = op == BLOCK_WRITE ? part->first + part->count : dev->sectors;
    if (align_down(at, align) < low || align_up(end, align) > high)
        return E_BOUNDS;

    uint32_t most = (uint32_t)align_down(dev->max_sectors, align);
    while (at < end) {
        uint32_t head = (uint32_t)(at & (align - 1)), n;
        enum err e;
        if (head || end - at < align) {
            n = (uint32_t)min_u64(align - head, end - at);
            e = partial_block(dev, op, at, n, buf);
        } else {
            n = (uint32_t)min_u64(most, align_down(end - at, align));
            e = command(dev, op, at, n, buf);
        }
        if (e != E_OK)
            return e;
        at += n;
        buf += (size_t)n * SECTOR_BYTES;
    }
    return E_OK;
}

enum err block_read(struct block_part *part, uint64_t lba, uint64_t count, void *buf)
{
    return transfer(part, BLOCK_READ, lba, count, buf);
}

/* The block device takes one pointer type for both directions; it does not write to the buffer of a write. */
static void *without_const(const void *buf)
{
    return (void *)(uintptr_t)buf;
}

enum err block_write(struct block_part *part, uint64_t lba, uint64_t count, const void *buf)
{
    return transfer(part, BLOCK_WRITE, lba, count, without_const(buf));
}

enum err block_flush(struct block_part *part)
{
    if (!in_bounds(part, 0, 0))
        return E_BOUNDS;
    return command(part->dev, BLOCK_FLUSH, 0, 0, NULL);
}

enum err block_begin_write(struct block_part *part, uint64_t lba, uint32_t count, const void *buf)
{
    if (count == 0 || !in_bounds(part, lba, count))
        return E_BOUNDS;
    struct block_dev *dev = part->dev;
    if (!device_sane(dev))
        return E_INTERNAL;
    uint64_t at = part->first + lba;
    if (count > dev->max_sectors || ((at | count) & (dev->align_sectors - 1)) != 0)
        return E_BOUNDS;
    return dev->begin(dev, BLOCK_WRITE, at, count, without_const(buf));
}

enum err block_finish(struct block_part *part)
{
    return part->dev ? part->dev->finish(part->dev) : E_BOUNDS;
}

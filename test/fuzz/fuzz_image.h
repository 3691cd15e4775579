/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store's partition out of few bytes: pieces { block (2), length (2), bytes } over zeros. Random bytes would never
   have a right checksum, and everything behind the checks would stay untouched; so the bits of FIX_* ask for hashes to
   be made right after the pieces were laid, of what the bytes themselves say where they belong. */
#ifndef SOJOURN_TEST_FUZZ_IMAGE_H
#define SOJOURN_TEST_FUZZ_IMAGE_H

#include "bits.h"
#include "ckpt/hash.h"
#include "ckpt/store_read.h"
#include "fuzz.h"

#include <string.h>

#define IMAGE_SECTOR 512u
#define IMAGE_BLOCKS (STORE_MIN_BLOCKS + 16u)
#define IMAGE_BYTES (IMAGE_BLOCKS * STORE_BLOCK_BYTES)

#define FIX_SUPER_A 1u /* table hash and checksum of the first superblock */
#define FIX_SUPER_B 2u /* and of the second */
#define FIX_RECORDS 4u /* the hashes of the records the tables lead to */
#define FIX_HEADERS 8u /* and their magic, checkpoint and sequence */
#define FIX_MIRROR 16u /* the second superblock and table are the first ones, a generation older */
#define FIX_RUNS 32u   /* an entry's stream ends in its last block */
#define FIX_RECORDS_MAX 256u

static uint8_t image[IMAGE_BYTES] ALIGNED(PAGE_BYTES);
static bool image_dirty[IMAGE_BLOCKS];

static void image_touch(uint64_t lba, uint64_t count)
{
    for (uint64_t s = lba; s < lba + count; s++)
        image_dirty[s / STORE_BLOCK_SECTORS] = true;
}

static enum err image_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    FUZZ_CHECK(op == BLOCK_FLUSH || (count && count <= dev->max_sectors && lba <= dev->sectors - count));
    if (op == BLOCK_READ) {
        memcpy(buf, image + lba * IMAGE_SECTOR, (size_t)count * IMAGE_SECTOR);
    } else if (op == BLOCK_WRITE) {
        image_touch(lba, count);
        memcpy(image + lba * IMAGE_SECTOR, buf, (size_t)count * IMAGE_SECTOR);
    }
    return E_OK;
}

static enum err image_finish(struct block_dev *dev)
{
    (void)dev;
    return E_OK;
}

static struct block_dev image_dev = {.name = "image",
                                     .sectors = IMAGE_BYTES / IMAGE_SECTOR,
                                     .align_sectors = 1,
                                     .max_sectors = 256,
                                     .begin = image_begin,
                                     .finish = image_finish};

/* The pieces. */
__attribute__((unused)) static void image_lay(const uint8_t *data, size_t size)
{
    for (uint32_t b = 0; b < IMAGE_BLOCKS; b++) {
        if (image_dirty[b])
            memset(image + b * STORE_BLOCK_BYTES, 0, STORE_BLOCK_BYTES);
        image_dirty[b] = false;
    }
    while (size > 4) {
        uint32_t block = (uint32_t)(data[0] | data[1] << 8) % IMAGE_BLOCKS;
        size_t bytes = min_u64((uint64_t)(data[2] | data[3] << 8), size - 4);
        bytes = min_u64(bytes, IMAGE_BYTES - block * STORE_BLOCK_BYTES);
        memcpy(image + block * STORE_BLOCK_BYTES, data + 4, bytes);
        image_touch(block * STORE_BLOCK_SECTORS, align_up(bytes, IMAGE_SECTOR) / IMAGE_SECTOR);
        data += 4 + bytes;
        size -= 4 + bytes;
    }
}

/* Byte at of an entry's stream, through its runs; NULL: not in the data area. */
static uint8_t *stream_byte(uint8_t *part, const struct disk_entry *e, uint64_t at)
{
    for (uint32_t i = 0; i < e->run_count && i < STORE_RUNS_MAX; i++) {
        const struct disk_run *r = &e->runs[i];
        if (r->first < STORE_DATA_FIRST || r->first >= STORE_MIN_BLOCKS || r->count > STORE_MIN_BLOCKS - r->first)
            return NULL;
        if (at < r->count * STORE_BLOCK_BYTES)
            return part + r->first * STORE_BLOCK_BYTES + at;
        at -= r->count * STORE_BLOCK_BYTES;
    }
    return NULL;
}

static bool stream_copy(uint8_t *part, const struct disk_entry *e, uint64_t at, void *bytes, size_t n, bool out)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *b = stream_byte(part, e, at + i);
        if (!b)
            return false;
        if (out)
            *b = ((uint8_t *)bytes)[i];
        else
            ((uint8_t *)bytes)[i] = *b;
    }
    if (out)
        for (size_t i = 0; i < n; i += 8)
            image_dirty[(size_t)(stream_byte(part, e, at + i) - image) / STORE_BLOCK_BYTES] = true;
    return true;
}

static void fix_records(uint8_t *part, const struct disk_entry *e, uint32_t fix)
{
    static uint8_t payload[RECORD_PAYLOAD_MAX + SEAL_BYTES];
    struct disk_record r;
    uint64_t at = 0;
    for (uint32_t n = 0; n < FIX_RECORDS_MAX && stream_copy(part, e, at, &r, sizeof r, false); n++) {
        if (fix & FIX_HEADERS) {
            r.magic = RECORD_MAGIC;
            r.checkpoint = e->id;
            r.sequence = n;
        }
        if (r.payload_bytes > sizeof payload || !stream_copy(part, e, at + sizeof r, payload, r.payload_bytes, false))
            return;
        format_seal_record(&r, payload, e->seed);
        (void)stream_copy(part, e, at, &r, sizeof r, true);
        at += sizeof r + align_up(r.payload_bytes, RECORD_ALIGN);
        if (r.type == RECORD_END)
            return;
    }
}

__attribute__((unused)) static void image_fix(uint8_t *part, uint32_t fix)
{
    const size_t slot_bytes = STORE_SLOT_BLOCKS * STORE_BLOCK_BYTES;
    for (uint32_t slot = 0; slot < STORE_SLOTS; slot++) {
        struct disk_super *super = (struct disk_super *)(void *)(part + slot * slot_bytes);
        struct disk_entry *table = (struct disk_entry *)(void *)(part + slot * slot_bytes + STORE_BLOCK_BYTES);
        if (slot == 1 && fix & FIX_MIRROR && ((struct disk_super *)(void *)part)->table_count <= STORE_TABLE_MAX) {
            memcpy(super, part, (1 + STORE_TABLE_ROOM / STORE_BLOCK_BYTES) * STORE_BLOCK_BYTES);
            image_touch((uint64_t)((uint8_t *)super - image) / IMAGE_SECTOR, 9 * STORE_BLOCK_SECTORS);
            super->generation--;
            format_seal_super(super, table);
        }
        if (super->table_count > STORE_TABLE_MAX)
            continue;
        for (uint32_t i = 0; i < super->table_count; i++) {
            uint64_t blocks = 0;
            for (uint32_t j = 0; j < table[i].run_count && j < STORE_RUNS_MAX; j++)
                blocks += table[i].runs[j].count;
            if (fix & FIX_RUNS && blocks && blocks < STORE_MIN_BLOCKS)
                table[i].stream_bytes = (blocks - 1) * STORE_BLOCK_BYTES + (table[i].stream_bytes - 1) % 4096 + 1;
            if (fix & FIX_RECORDS)
                fix_records(part, &table[i], fix);
        }
        if (fix & (slot ? FIX_SUPER_B : FIX_SUPER_A)) {
            format_seal_super(super, table);
            image_touch((uint64_t)((uint8_t *)super - image) / IMAGE_SECTOR, 9 * STORE_BLOCK_SECTORS);
        }
    }
}

#endif

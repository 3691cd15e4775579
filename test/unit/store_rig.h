/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the store's tests share: a disk in memory that records every write, fails on demand and can be replayed up to
   any point, a small machine with RAM to save, and ways to make checkpoints of it. */
#ifndef SOJOURN_TEST_STORE_RIG_H
#define SOJOURN_TEST_STORE_RIG_H

#include "bits.h"
#include "ckpt/save.h"
#include "ckpt/store_read.h"
#include "ckpt/store_text.h"
#include "test_key.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define SECTOR 512u
#define RIG_DISK_SECTORS 16384u /* 8 MiB */
#define RIG_FIRST 64u           /* the partition begins here: nothing before it may change */
#define RIG_PART_SECTORS (6u * 2048u)
#define RIG_RAM_PAGES 192u
#define RIG_OPS_MAX 4096u

struct rig_op {
    enum block_op op;
    uint64_t lba;
    uint32_t count;
    uint8_t *data; /* of a write */
};

struct rig_disk {
    struct block_dev dev;
    uint8_t *bytes;
    uint64_t requests;
    uint64_t fail_at, fail_for; /* requests [fail_at, fail_at + fail_for) fail */
    enum err fail_with;
    bool busy, recording;
    enum err pending;
    struct rig_op op[RIG_OPS_MAX];
    uint32_t ops;
};

static struct rig_disk rig;
static const struct seal_key *rig_key; /* of the stores that are made; NULL: not encrypted */
static uint8_t rig_work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);
#define RIG_PAGE_END 416u                                          /* number of the page behind the highest range */
__attribute__((unused)) static uint8_t rig_seen[RIG_PAGE_END / 8]; /* no byte more than ckpt_seen_bytes */
static uint8_t rig_ram[RIG_RAM_PAGES][PAGE_BYTES] ALIGNED(PAGE_BYTES);
__attribute__((unused)) static uint64_t rig_random_state = 88172645463325252ull;

__attribute__((unused)) static uint64_t rig_random(void)
{
    rig_random_state ^= rig_random_state << 13;
    rig_random_state ^= rig_random_state >> 7;
    return rig_random_state ^= rig_random_state << 17;
}

static enum err rig_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    ck_assert_msg(!rig.busy, "two commands in flight");
    rig.busy = true;
    uint64_t n = rig.requests++;
    rig.pending = n >= rig.fail_at && n - rig.fail_at < rig.fail_for ? rig.fail_with : E_OK;
    if (op != BLOCK_FLUSH) {
        ck_assert_uint_le(count, dev->max_sectors);
        ck_assert_uint_le(lba + count, dev->sectors);
    }
    if (rig.pending)
        return E_OK; /* told at finish */
    if (rig.recording && op != BLOCK_READ) {
        ck_assert_uint_lt(rig.ops, RIG_OPS_MAX);
        struct rig_op *o = &rig.op[rig.ops++];
        *o = (struct rig_op){op, lba, count, NULL};
        if (op == BLOCK_WRITE) {
            o->data = malloc((size_t)count * SECTOR);
            memcpy(o->data, buf, (size_t)count * SECTOR);
        }
    }
    if (op == BLOCK_READ)
        memcpy(buf, rig.bytes + lba * SECTOR, (size_t)count * SECTOR);
    else if (op == BLOCK_WRITE)
        memcpy(rig.bytes + lba * SECTOR, buf, (size_t)count * SECTOR);
    return E_OK;
}

static enum err rig_finish(struct block_dev *dev)
{
    (void)dev;
    rig.busy = false;
    return rig.pending;
}

static void rig_forget_ops(void)
{
    for (uint32_t i = 0; i < rig.ops; i++)
        free(rig.op[i].data);
    rig.ops = 0;
}

/* An empty disk; max_sectors per command. */
__attribute__((unused)) static void rig_reset(uint32_t max_sectors)
{
    rig_forget_ops();
    uint8_t *bytes = rig.bytes ? rig.bytes : malloc(RIG_DISK_SECTORS * SECTOR);
    memset(&rig, 0, offsetof(struct rig_disk, op));
    rig.bytes = bytes;
    memset(bytes, 0xa5, RIG_DISK_SECTORS * SECTOR);
    rig.fail_at = UINT64_MAX;
    rig.fail_with = E_IO;
    rig.dev = (struct block_dev){.name = "rig",
                                 .sectors = RIG_DISK_SECTORS,
                                 .align_sectors = 1,
                                 .max_sectors = max_sectors,
                                 .begin = rig_begin,
                                 .finish = rig_finish};
}

/* The disk after a power cut during op number cut: everything flushed is there; of what was not, a random part when
   shuffle is set, else all; of the op itself the first torn sectors. */
__attribute__((unused)) static void rig_replay(uint32_t cut, uint32_t torn, bool shuffle)
{
    memset(rig.bytes, 0xa5, RIG_DISK_SECTORS * SECTOR);
    uint32_t flushed = 0;
    for (uint32_t i = 0; i < cut; i++)
        if (rig.op[i].op == BLOCK_FLUSH)
            flushed = i;
    for (uint32_t i = 0; i <= cut && i < rig.ops; i++) {
        struct rig_op *o = &rig.op[i];
        if (o->op != BLOCK_WRITE)
            continue;
        for (uint32_t k = 0; k < o->count; k++)
            if (i < flushed || (i < cut && (!shuffle || rig_random() & 1)) || (i == cut && k < torn))
                memcpy(rig.bytes + (o->lba + k) * SECTOR, o->data + k * SECTOR, SECTOR);
        if (i == cut && torn && torn <= o->count) /* the sector under the head: half old, half new */
            memset(rig.bytes + (o->lba + torn - 1) * SECTOR + SECTOR / 2, 0x5a, SECTOR / 2);
    }
}

static struct block_part rig_part(void)
{
    return (struct block_part){&rig.dev, RIG_FIRST, RIG_PART_SECTORS};
}

__attribute__((unused)) static enum err rig_open(struct store *s)
{
    enum err e = store_open(s, rig_part(), rig_work, sizeof rig_work, NULL);
    return e || !rig_key ? e : store_unlock(s, rig_key);
}

static const uint8_t rig_uuid[16] = "0123456789abcdef";

__attribute__((unused)) static void rig_format(struct store *s)
{
    ck_assert_int_eq(store_format(s, rig_part(), rig_work, sizeof rig_work, rig_uuid, 1700000000, rig_key), E_OK);
}

/* Two RAM ranges with a hole, and a hidden range inside the second: 160 + 32 - 8 pages. */
#define RIG_HIGH_BASE 0x100000u
static struct ckpt_layout rig_layout(void)
{
    struct ckpt_layout l = {.ram_count = 2, .cpu_count = 1, .cpu_vendor = "GenuineIntel", .cpu_signature = 0x306c3};
    l.ram[0] = (struct ckpt_range){0, 32 * PAGE_BYTES};
    l.ram[1] = (struct ckpt_range){RIG_HIGH_BASE, 160 * PAGE_BYTES};
    l.hidden = (struct ckpt_range){RIG_HIGH_BASE + 100 * PAGE_BYTES, 8 * PAGE_BYTES};
    memcpy(l.backend, "vmx", 4);
    return l;
}

__attribute__((unused)) static uint32_t rig_index(gpa_t gpa)
{
    return (uint32_t)(gpa.v < RIG_HIGH_BASE ? gpa.v / PAGE_BYTES : 32 + (gpa.v - RIG_HIGH_BASE) / PAGE_BYTES);
}

__attribute__((unused)) static bool rig_hidden(uint32_t index)
{
    return index >= 132 && index < 140;
}

__attribute__((unused)) static const void *rig_read_page(void *ctx, gpa_t gpa)
{
    (void)ctx;
    uint32_t i = rig_index(gpa);
    ck_assert_msg(i < RIG_RAM_PAGES && !rig_hidden(i), "page %lx is not the guest's", gpa.v);
    return rig_ram[i];
}

/* A third zeros, a third text, a third noise; share of each by seed. */
__attribute__((unused)) static void rig_fill_ram(uint64_t seed)
{
    rig_random_state = seed * 2654435761u + 1;
    for (uint32_t i = 0; i < RIG_RAM_PAGES; i++) {
        uint64_t kind = rig_random() % 3;
        memset(rig_ram[i], 0, PAGE_BYTES);
        for (uint32_t j = 0; kind && j < PAGE_BYTES; j++)
            rig_ram[i][j] = kind == 1 ? (uint8_t)rig_random() : (uint8_t) "a checkpoint of text "[(i + j) % 21];
    }
}

__attribute__((unused)) static uint64_t rig_number(uint32_t index)
{
    return index < 32 ? index : RIG_HIGH_BASE / PAGE_BYTES + index - 32;
}

/* A checkpoint of rig_ram by single pages: on parent, whose memory was before, or a full one for 0. order: indexes of
   rig_ram, hidden ones among them; NULL: ascending. */
__attribute__((unused)) static enum err rig_save_pages(struct store *s, uint64_t parent, uint8_t (*before)[PAGE_BYTES],
                                                       const uint32_t *order, const char *label, uint64_t *id)
{
    static struct ckpt_layout layout;
    static uint64_t copy[PAGE_BYTES / 8];
    struct ckpt_writer w;
    layout = rig_layout();
    struct ckpt_meta meta = {label,  1763784000, parent ? CKPT_INCREMENTAL : CKPT_FULL, CKPT_DISK_NONE, &layout,
                             parent, 0};
    enum err e = ckpt_begin(&w, s, &meta);
    if (!e)
        e = ckpt_put_section(&w, "thing", 3, "some state", 10);
    for (uint32_t k = 0; k < RIG_RAM_PAGES && !e; k++) {
        uint32_t i = order ? order[k] : k;
        if (rig_hidden(i))
            continue;
        memcpy(copy, rig_ram[i], sizeof copy);
        e = parent && !memcmp(before[i], copy, sizeof copy) ? ckpt_skip_page(&w, rig_number(i))
                                                            : ckpt_put_page(&w, rig_number(i), copy);
        memset(copy, 0xdd, sizeof copy); /* nobody looks at it any more */
    }
    if (!e)
        e = ckpt_commit(&w, id);
    ckpt_abort(&w);
    return e;
}

/* A checkpoint of rig_ram with one section. */
__attribute__((unused)) static enum err rig_save(struct store *s, const char *label, uint64_t *id)
{
    static struct ckpt_layout layout;
    struct ckpt_writer w;
    layout = rig_layout();
    struct ckpt_meta meta = {label, 1763784000, CKPT_FULL, CKPT_DISK_NONE, &layout, 0, 0};
    enum err e = ckpt_begin(&w, s, &meta);
    if (!e)
        e = ckpt_put_section(&w, "thing", 3, "some state", 10);
    if (!e)
        e = ckpt_put_ram(&w, rig_read_page, NULL, NULL);
    if (!e)
        e = ckpt_commit(&w, id);
    ckpt_abort(&w);
    return e;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See crash_disk.h. The medium moves from flush to flush; each state is laid over it, probed, and taken back sector by
   sector, so that a case costs what it touches and not the size of the disk. */
#include "crash_disk.h"

#include "bits.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define EXHAUSTIVE_SECTORS 8u /* 256 states */
#define EXHAUSTIVE_WRITES 6u  /* 64 states */
#define DIRTY_MAX 4096u

struct crash_undo {
    uint64_t lba;
    uint8_t was[CRASH_SECTOR];
};

static uint64_t random_state = 88172645463325252ull;

void crash_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
}

uint64_t crash_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void put_sector(struct crash_disk *d, uint64_t lba, const uint8_t *data)
{
    uint8_t *at = d->bytes + lba * CRASH_SECTOR;
    if (d->exploring) {
        if (d->undos == d->undo_room) {
            d->undo_room = d->undo_room ? 2 * d->undo_room : 4096;
            d->undo = realloc(d->undo, d->undo_room * sizeof *d->undo);
        }
        struct crash_undo *u = &d->undo[d->undos++];
        u->lba = lba;
        memcpy(u->was, at, CRASH_SECTOR);
    }
    memcpy(at, data, CRASH_SECTOR);
}

static void take_back(struct crash_disk *d)
{
    while (d->undos) {
        struct crash_undo *u = &d->undo[--d->undos];
        memcpy(d->bytes + u->lba * CRASH_SECTOR, u->was, CRASH_SECTOR);
    }
}

static bool in_slot(uint64_t lba, uint32_t slot, uint32_t blocks)
{
    uint64_t first = CRASH_FIRST + (uint64_t)slot * STORE_SLOT_BLOCKS * STORE_BLOCK_SECTORS;
    return lba >= first && lba < first + blocks * STORE_BLOCK_SECTORS;
}

static bool flush_is_a_lie(const struct crash_disk *d)
{
    return d->lie == CRASH_NO_FLUSH || (d->lie == CRASH_NO_FLUSH_BEFORE_SUPER && !d->super_last) ||
           (d->lie == CRASH_NO_FLUSH_AFTER_SUPER && d->super_last);
}

static void note(struct crash_disk *d, bool flush, uint64_t lba, uint32_t count, const void *buf)
{
    ck_assert_uint_lt(d->ops, CRASH_OPS_MAX);
    struct crash_op *o = &d->op[d->ops++];
    o->flush = flush; /* marked may be set already */
    o->lba = lba;
    o->count = count;
    if (!flush) {
        o->data = malloc((size_t)count * CRASH_SECTOR);
        memcpy(o->data, buf, (size_t)count * CRASH_SECTOR);
    }
    d->op[d->ops] = (struct crash_op){0};
}

static void lose_pending(struct crash_disk *d)
{
    for (uint32_t i = d->ops; i > 0 && !d->op[i - 1].flush; i--)
        d->op[i - 1].lost = true;
}

static enum err begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    struct crash_disk *d = dev->driver;
    ck_assert_msg(!d->busy, "two commands in flight");
    d->busy = true;
    d->pending_fails = false;
    if (op != BLOCK_FLUSH) {
        ck_assert_uint_le(count, dev->max_sectors);
        ck_assert(lba >= CRASH_FIRST && lba + count <= CRASH_FIRST + CRASH_PART_SECTORS);
    }
    if (op == BLOCK_READ) {
        memcpy(buf, d->bytes + lba * CRASH_SECTOR, (size_t)count * CRASH_SECTOR);
        return E_OK;
    }
    d->pending_fails = d->requests++ == d->fail_at;
    if (d->pending_fails && d->fault == CRASH_LOST && op == BLOCK_FLUSH && d->recording)
        lose_pending(d);
    if (d->pending_fails && (d->fault != CRASH_ARRIVED))
        return E_OK; /* told at finish */
    if (op == BLOCK_FLUSH) {
        if (d->recording && !flush_is_a_lie(d))
            note(d, true, 0, 0, NULL);
        return E_OK;
    }
    d->super_last = in_slot(lba, 0, 1) || in_slot(lba, 1, 1);
    if (d->lie == CRASH_COPY_B_LOST && in_slot(lba, 1, STORE_SLOT_BLOCKS))
        return E_OK;
    if (d->recording)
        note(d, false, lba, count, buf);
    for (uint32_t k = 0; k < count; k++)
        put_sector(d, lba + k, (const uint8_t *)buf + k * CRASH_SECTOR);
    return E_OK;
}

static enum err finish(struct block_dev *dev)
{
    struct crash_disk *d = dev->driver;
    d->busy = false;
    return d->pending_fails ? E_IO : E_OK;
}

static void forget(struct crash_disk *d)
{
    for (uint32_t i = 0; i < d->ops; i++)
        free(d->op[i].data);
    memset(d->op, 0, sizeof d->op);
    d->ops = 0;
}

void crash_disk_make(struct crash_disk *d, uint32_t max_sectors, uint8_t fill)
{
    const size_t size = (size_t)CRASH_SECTORS * CRASH_SECTOR;
    forget(d);
    uint8_t *bytes = d->bytes ? d->bytes : malloc(size), *base = d->base ? d->base : malloc(size);
    struct crash_undo *undo = d->undo;
    uint32_t room = d->undo_room;
    memset(d, 0, offsetof(struct crash_disk, op));
    d->bytes = bytes;
    d->base = base;
    d->undo = undo;
    d->undo_room = room;
    d->undos = 0;
    memset(bytes, fill, size);
    d->fail_at = UINT64_MAX;
    d->dev = (struct block_dev){.name = "crash",
                                .sectors = CRASH_SECTORS,
                                .align_sectors = 1,
                                .max_sectors = max_sectors,
                                .begin = begin,
                                .finish = finish,
                                .driver = d};
}

void crash_disk_copy(struct crash_disk *d, const struct crash_disk *from)
{
    crash_disk_make(d, from->dev.max_sectors, 0);
    memcpy(d->bytes, from->bytes, (size_t)CRASH_SECTORS * CRASH_SECTOR);
}

struct block_part crash_part(struct crash_disk *d)
{
    return (struct block_part){&d->dev, CRASH_FIRST, CRASH_PART_SECTORS};
}

void crash_record(struct crash_disk *d)
{
    forget(d);
    memcpy(d->base, d->bytes, (size_t)CRASH_SECTORS * CRASH_SECTOR);
    d->requests = 0;
    d->recording = true;
}

void crash_mark(struct crash_disk *d)
{
    d->op[d->ops].marked = true;
}

/* ---- the states of one cut ---- */

struct tour {
    struct crash_disk *d;
    crash_probe probe;
    void *ctx;
    struct crash_report *report;
    uint32_t cut, budget;
    uint32_t write[CRASH_OPS_MAX], writes; /* since the last flush */
    struct {
        uint32_t write, sector;
    } dirty[DIRTY_MAX]; /* sectors of them that are not on the medium already */
    uint32_t dirt;
    uint64_t id; /* of the state among those of this cut */
};

static void collect(struct tour *t, uint32_t from)
{
    t->writes = t->dirt = 0;
    for (uint32_t i = from; i < t->cut; i++) {
        const struct crash_op *o = &t->d->op[i];
        if (o->flush || o->lost)
            continue;
        t->write[t->writes++] = i;
        for (uint32_t k = 0; k < o->count; k++) {
            bool again = false; /* an epoch's second write to a sector: each version may be what is left */
            for (uint32_t j = 0; j < t->dirt && !again; j++)
                again = t->d->op[t->dirty[j].write].lba + t->dirty[j].sector == o->lba + k;
            if (!again && !memcmp(t->d->bytes + (o->lba + k) * CRASH_SECTOR, o->data + k * CRASH_SECTOR, CRASH_SECTOR))
                continue;
            ck_assert_uint_lt(t->dirt, DIRTY_MAX);
            t->dirty[t->dirt].write = i;
            t->dirty[t->dirt++].sector = k;
        }
    }
}

static void lay(struct tour *t, uint32_t write, uint32_t first, uint32_t end)
{
    const struct crash_op *o = &t->d->op[write];
    for (uint32_t k = first; k < end && k < o->count; k++)
        put_sector(t->d, o->lba + k, o->data + k * CRASH_SECTOR);
}

/* The state that was laid; false: it violates. */
static bool show(struct tour *t, const char *kind)
{
    struct crash_report *r = t->report;
    r->cases++;
    const char *wrong = t->probe(t->ctx, t->cut);
    take_back(t->d);
    if (wrong) {
        r->violated = true;
        snprintf(r->first, sizeof r->first, "cut before request %u of %u, %s number %lu: %s", t->cut, t->d->ops, kind,
                 t->id, wrong);
    }
    t->id++;
    return !wrong;
}

static bool show_all_sectors(struct tour *t)
{
    for (uint32_t set = 0; set < BIT(t->dirt); set++) {
        for (uint32_t i = 0; i < t->dirt; i++)
            if (set & BIT(i))
                lay(t, t->dirty[i].write, t->dirty[i].sector, t->dirty[i].sector + 1);
        if (!show(t, "sector subset"))
            return false;
    }
    return true;
}

static bool show_all_writes(struct tour *t)
{
    uint32_t n = t->writes < EXHAUSTIVE_WRITES ? t->writes : EXHAUSTIVE_WRITES;
    uint32_t before = t->writes - n; /* of many only the last ones; random ones come below */
    for (uint32_t set = 0; set < BIT(n); set++) {
        for (uint32_t i = 0; i < t->writes; i++)
            if (i < before || set & BIT(i - before))
                lay(t, t->write[i], 0, UINT32_MAX);
        if (!show(t, "command subset"))
            return false;
    }
    return true;
}

/* Each command torn at a random sector, its beginning or its end there, the commands before and behind it there or not. */
static bool show_torn(struct tour *t)
{
    for (uint32_t i = 0; i < t->writes; i++) {
        uint32_t count = t->d->op[t->write[i]].count;
        for (uint32_t how = 0; how < 4 && count > 1; how++) {
            uint32_t at = 1 + (uint32_t)(crash_random() % (count - 1));
            for (uint32_t j = 0; j < t->writes; j++)
                if (j == i)
                    lay(t, t->write[j], how & 1 ? at : 0, how & 1 ? UINT32_MAX : at);
                else if (j < i || how & 2)
                    lay(t, t->write[j], 0, UINT32_MAX);
            if (!show(t, "torn command"))
                return false;
        }
    }
    return true;
}

static bool show_random(struct tour *t)
{
    static uint32_t order[CRASH_OPS_MAX];
    for (uint32_t n = 0; n < t->budget; n++) {
        uint64_t share = 1 + crash_random() % 15; /* of 16 */
        memcpy(order, t->write, t->writes * sizeof *order);
        for (uint32_t i = 0; i < t->writes; i++) {
            uint32_t other = i + (uint32_t)(crash_random() % (t->writes - i)), keep = order[i];
            order[i] = order[other];
            order[other] = keep;
            bool whole = crash_random() % 3 == 0; /* mixed with torn ones */
            for (uint32_t k = 0; k < t->d->op[order[i]].count; k++)
                if (whole || crash_random() % 16 < share)
                    lay(t, order[i], k, k + 1);
        }
        if (!show(t, "random sectors"))
            return false;
    }
    return true;
}

void crash_explore(struct crash_disk *d, uint32_t budget, crash_probe probe, void *ctx, struct crash_report *report)
{
    static uint8_t *after[2]; /* one for a search inside a search */
    const size_t size = (size_t)CRASH_SECTORS * CRASH_SECTOR;
    static uint32_t depth;
    struct tour *t = malloc(sizeof *t);
    *t = (struct tour){.d = d, .probe = probe, .ctx = ctx, .report = report, .budget = budget};
    ck_assert_uint_lt(depth, ARRAY_LEN(after));
    uint8_t *keep = after[depth] ? after[depth] : (after[depth] = malloc(size));
    depth++;
    crash_mark(d);
    memcpy(keep, d->bytes, size);
    memcpy(d->bytes, d->base, size);
    d->recording = false;
    d->fail_at = UINT64_MAX;
    d->exploring = true;
    uint32_t from = 0;
    for (t->cut = 0; t->cut <= d->ops && !report->violated; t->cut++) {
        const struct crash_op *o = &d->op[t->cut];
        if (o->flush || o->marked) {
            collect(t, from);
            t->id = 0;
            report->cuts++;
            bool all = t->dirt <= EXHAUSTIVE_SECTORS;
            report->cuts_exhaustive += all;
            if (all)
                (void)show_all_sectors(t);
            else if (show_all_writes(t) && show_torn(t))
                (void)show_random(t);
        }
        if (o->flush) {
            d->exploring = false;
            for (uint32_t i = from; i < t->cut; i++)
                if (!d->op[i].flush && !d->op[i].lost)
                    lay(t, i, 0, UINT32_MAX);
            d->exploring = true;
            from = t->cut + 1;
        }
    }
    d->exploring = false;
    memcpy(d->bytes, keep, size);
    depth--;
    free(t);
}

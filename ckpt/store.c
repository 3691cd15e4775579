/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Open, format, commit, delete, pin, chains, free space. See store.h for the two rules that make it crash-safe. */
#include "ckpt/store.h"

#include "bits.h"
#include "ckpt/pages.h"
#include "log.h"

#include <string.h>

static uint64_t slot_sector(uint32_t slot)
{
    return (uint64_t)slot * STORE_SLOT_BLOCKS * STORE_BLOCK_SECTORS;
}

static enum err carve(struct store *s, struct block_part part, void *work, size_t work_bytes)
{
    uint8_t *p = work;
    uint64_t command_blocks = part.dev->max_sectors / STORE_BLOCK_SECTORS;
    _Static_assert(STORE_TABLE_MAX * sizeof(struct disk_entry) <= STORE_TABLE_ROOM,
                   "table fits its share of the work memory");
    memset(s, 0, sizeof *s);
    if (!work || work_bytes < STORE_WORK_BYTES || pages_lz4_state_bytes() > STORE_LZ4_ROOM)
        return E_NOMEM;
    /* A partition table may promise more than the disk has; what is missing shows as E_TRUNCATED. */
    if (part.first > part.dev->sectors)
        part.count = 0;
    else
        part.count = min_u64(part.count, part.dev->sectors - part.first);
    s->part = part;
    s->io_blocks = (uint32_t)max_u64(1, min_u64(STORE_IO_BYTES / STORE_BLOCK_BYTES, command_blocks));
    s->io[0] = p;
    s->io[1] = p + STORE_IO_BYTES;
    p += 2 * STORE_IO_BYTES;
    s->stage = p;
    p += EXTENT_RAW_MAX;
    s->payload = p;
    p += STORE_PAYLOAD_ROOM;
    s->table = (struct disk_entry *)(void *)p;
    s->lz4 = p + STORE_TABLE_ROOM;
    return E_OK;
}

static uint64_t part_blocks(const struct block_part *part)
{
    return part->count / STORE_BLOCK_SECTORS;
}

/* Write one copy of the current table as the next generation. Uses io[0]. */
static enum err write_slot(struct store *s, uint32_t slot)
{
    struct disk_super *super = (struct disk_super *)(void *)s->io[0];
    uint8_t *table = s->io[0] + STORE_BLOCK_BYTES;
    uint32_t blocks = format_table_blocks(s->count);
    memset(s->io[0], 0, STORE_BLOCK_BYTES * (1 + blocks));
    memcpy(table, s->table, s->count * sizeof *s->table);
    *super = (struct disk_super){
        .magic = STORE_MAGIC,
        .version = STORE_VERSION,
        .header_bytes = STORE_BLOCK_BYTES,
        .generation = ++s->generation,
        .features_required = s->sealed ? STORE_FEATURE_SEALED : 0,
        .features_write = s->features_write,
        .features_optional = s->features_optional,
        .total_blocks = s->total_blocks,
        .data_first = STORE_DATA_FIRST,
        .block_bytes = STORE_BLOCK_BYTES,
        .table_entry_bytes = sizeof(struct disk_entry),
        .table_count = s->count,
        .next_id = s->next_id,
        .created = s->created,
    };
    memcpy(super->uuid, s->uuid, sizeof super->uuid);
    memcpy(super->key_check, s->key_check, sizeof super->key_check);
    format_seal_super(super, (const struct disk_entry *)(const void *)table);
    enum err e = E_OK;
    if (blocks)
        e = block_write(&s->part, slot_sector(slot) + STORE_BLOCK_SECTORS, blocks * STORE_BLOCK_SECTORS, table);
    if (!e) /* the table, and the data written before, are on the medium before anything points to them */
        e = block_flush(&s->part);
    if (!e)
        e = block_write(&s->part, slot_sector(slot), STORE_BLOCK_SECTORS, super);
    if (!e)
        e = block_flush(&s->part);
    if (e)
        log_line("store", "superblock slot=%u generation=%lu: %s", slot, s->generation, err_name(e));
    return e;
}

enum err store_sync(struct store *s)
{
    if (s->read_only)
        return E_STOREVERSION;
    if (max_u64(s->generation, s->next_id) > UINT64_MAX - 16) /* counted by nobody; after 0 it would not open again */
        return E_BADSTORE;
    if (!s->stale)
        return E_OK;
    enum err e = write_slot(s, s->slot ^ 1);
    if (e)
        return e;
    s->slot ^= 1;
    s->stale = false;
    return E_OK;
}

/* The table as it is, before it is changed in memory; io[1] is idle then and has the entries. */
struct remembered {
    uint32_t count;
    uint64_t next_id;
};

static struct remembered remember(const struct store *s)
{
    memcpy(s->io[1], s->table, STORE_TABLE_MAX * sizeof *s->table);
    return (struct remembered){s->count, s->next_id};
}

/* Commit the table as it stands in memory. E_OK: committed, even when the second copy could not be written (the next
   operation tries again). Else it is the remembered one again. */
static enum err commit(struct store *s, struct remembered before)
{
    s->stale = true;
    enum err e = write_slot(s, s->slot ^ 1);
    if (!e) {
        s->slot ^= 1;
        if (store_sync(s))
            log_line("store", "committed, but the second copy is not written yet");
        return E_OK;
    }
    memcpy(s->table, s->io[1], STORE_TABLE_MAX * sizeof *s->table);
    s->count = before.count;
    s->next_id = before.next_id;
    /* The failed superblock may or may not have arrived. */
    if (store_sync(s))
        log_line("store", "a failed commit is not undone yet; nothing is written before it is");
    return e;
}

/* What one copy looks like. The superblock lies in the payload buffer: 4 KiB is too much for the stack. */
struct slot_view {
    enum err e;
    const char *why;
    struct disk_super *super;
};

/* Read one copy; a good one leaves its table in io[0]. */
static void read_slot(struct store *s, uint32_t slot, struct slot_view *v)
{
    v->why = "the disk cannot be read";
    v->e = block_read(&s->part, slot_sector(slot), STORE_BLOCK_SECTORS, s->io[0]);
    if (v->e)
        return;
    memcpy(v->super, s->io[0], sizeof *v->super);
    v->e = format_check_super(v->super, part_blocks(&s->part), &v->why);
    if (v->e)
        return;
    uint32_t blocks = format_table_blocks(v->super->table_count);
    if (blocks)
        v->e = block_read(&s->part, slot_sector(slot) + STORE_BLOCK_SECTORS, blocks * STORE_BLOCK_SECTORS, s->io[0]);
    if (v->e)
        v->why = "the disk cannot be read";
    else
        v->e = format_check_table(v->super, (const struct disk_entry *)(const void *)s->io[0], &v->why);
}

static void adopt(struct store *s, uint32_t slot, const struct disk_super *super)
{
    s->slot = slot;
    s->generation = super->generation;
    s->total_blocks = super->total_blocks;
    s->next_id = s->opened_at = super->next_id;
    s->created = super->created;
    s->features_write = super->features_write;
    s->features_optional = super->features_optional;
    s->read_only = (super->features_write & ~STORE_FEATURES_WRITE) != 0;
    s->count = super->table_count;
    memcpy(s->uuid, super->uuid, sizeof s->uuid);
    s->sealed = super->features_required & STORE_FEATURE_SEALED;
    memcpy(s->key_check, super->key_check, sizeof s->key_check);
    memset(s->table, 0, STORE_TABLE_MAX * sizeof *s->table);
    memcpy(s->table, s->io[0], s->count * sizeof *s->table);
}

/* Which of two failures says more: anything is better than "no superblock here". */
static const struct slot_view *telling(const struct slot_view *a, const struct slot_view *b)
{
    static const enum err order[] = {E_STOREVERSION, E_TRUNCATED, E_IO, E_BADSTORE};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (a->e == order[i])
            return a;
        if (b->e == order[i])
            return b;
    }
    return a->e == E_NOSTORE ? b : a;
}

enum err store_open(struct store *s, struct block_part part, void *work, size_t work_bytes, const char **why)
{
    const char *unused;
    why = why ? why : &unused;
    *why = "not enough working memory";
    enum err e = carve(s, part, work, work_bytes);
    if (e)
        return e;
    *why = "the partition is too small to hold a store";
    uint64_t there = part_blocks(&s->part);
    if (there == 0)
        return E_NOSTORE;
    struct slot_view v[STORE_SLOTS];
    for (uint32_t i = 0; i < STORE_SLOTS; i++) {
        v[i].super = (struct disk_super *)(void *)(s->payload + i * STORE_BLOCK_BYTES);
        v[i].e = E_NOSTORE;
        v[i].why = *why;
        if (there >= STORE_MIN_BLOCKS || i == 0) /* of a cut-off store the first superblock may be left, to say so */
            read_slot(s, i, &v[i]);
        if (v[i].e == E_GONE || v[i].e == E_TIMEOUT) {
            *why = v[i].why;
            return v[i].e;
        }
    }
    /* A newer program's superblock, even when the older copy could be read: its blocks are not ours to give away. */
    for (uint32_t i = 0; i < STORE_SLOTS; i++) {
        if (v[i].e == E_STOREVERSION && (v[i ^ 1].e || v[i].super->generation > v[i ^ 1].super->generation)) {
            *why = v[i].why;
            return E_STOREVERSION;
        }
    }
    if (v[0].e && v[1].e) {
        const struct slot_view *t = telling(&v[0], &v[1]);
        *why = t->why;
        return t->e;
    }
    uint32_t slot = v[0].e || (!v[1].e && v[1].super->generation > v[0].super->generation);
    if (slot == 0 || v[1].e) { /* io[0] holds what was read last, or a damaged table */
        read_slot(s, slot, &v[slot]);
        if (v[slot].e) {
            *why = v[slot].why;
            return v[slot].e;
        }
    }
    adopt(s, slot, v[slot].super);
    const struct slot_view *other = &v[slot ^ 1];
    s->stale = other->e || other->super->table_count != s->count || other->super->next_id != s->next_id ||
               other->super->table_hash_low != v[slot].super->table_hash_low ||
               other->super->table_hash_high != v[slot].super->table_hash_high;
    if (other->e)
        log_line("store", "superblock slot=%u is not usable (%s); the other copy is used", slot ^ 1, other->why);
    *why = "";
    return E_OK;
}

/* Sealing nothing shows which key it was. */
static struct seal_binding key_check_binding(const struct store *s)
{
    return (struct seal_binding){s->uuid, sizeof s->uuid};
}

enum err store_unlock(struct store *s, const struct seal_key *key)
{
    uint8_t nothing = 0;
    s->key = NULL;
    if (!s->sealed)
        return E_OK;
    if (!key || seal_open(key, key_check_binding(s), &nothing, 0, 0, s->key_check))
        return E_KEY;
    s->key = key;
    return E_OK;
}

enum err store_format(struct store *s, struct block_part part, void *work, size_t work_bytes, const uint8_t uuid[16],
                      int64_t time, const struct seal_key *key)
{
    enum err e = carve(s, part, work, work_bytes);
    if (e)
        return e;
    if (part_blocks(&s->part) < STORE_MIN_BLOCKS)
        return E_TOOSMALL;
    /* Both old superblocks go first: from here on there is no store, until the first new one is there. */
    memset(s->io[0], 0, STORE_BLOCK_BYTES);
    for (uint32_t i = 0; i < STORE_SLOTS && !e; i++)
        e = block_write(&s->part, slot_sector(i), STORE_BLOCK_SECTORS, s->io[0]);
    if (!e)
        e = block_flush(&s->part);
    if (e)
        return e;
    s->total_blocks = part_blocks(&s->part);
    s->next_id = s->opened_at = 1;
    s->created = time;
    memcpy(s->uuid, uuid, sizeof s->uuid);
    s->sealed = key != NULL;
    s->key = key;
    if (key) {
        e = seal_close(key, s->generation, key_check_binding(s), s->key_check, 0, 0);
        if (e)
            return e;
    }
    memset(s->table, 0, STORE_TABLE_MAX * sizeof *s->table);
    s->stale = true;
    s->slot = 1;
    e = store_sync(s);
    if (e)
        return e;
    s->stale = true;
    return store_sync(s);
}

uint32_t store_count(const struct store *s)
{
    return s->count;
}

const struct disk_entry *store_entry(const struct store *s, uint32_t i)
{
    return i < s->count ? &s->table[i] : NULL;
}

const struct disk_entry *store_find(const struct store *s, uint64_t id)
{
    if (id == STORE_LATEST)
        return s->count ? &s->table[s->count - 1] : NULL;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->table[i].id == id)
            return &s->table[i];
    return NULL;
}

static uint64_t entry_blocks(const struct disk_entry *e)
{
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < e->run_count; i++)
        blocks += e->runs[i].count;
    return blocks;
}

uint64_t store_entry_bytes(const struct disk_entry *e)
{
    return entry_blocks(e) * STORE_BLOCK_BYTES;
}

struct store_usage store_usage(const struct store *s)
{
    uint64_t blocks = STORE_DATA_FIRST;
    for (uint32_t i = 0; i < s->count; i++)
        blocks += entry_blocks(&s->table[i]);
    return (struct store_usage){s->total_blocks * STORE_BLOCK_BYTES, blocks * STORE_BLOCK_BYTES, s->count};
}

/* Shorten the gap [start, *end) by the runs of one entry; false: start itself is in use. */
static bool gap_cut(const struct disk_entry *e, uint64_t start, uint64_t *end)
{
    for (uint32_t i = 0; i < e->run_count; i++) {
        const struct disk_run *r = &e->runs[i];
        if (r->first <= start && start < r->first + r->count)
            return false;
        if (r->first > start && r->first < *end)
            *end = r->first;
    }
    return true;
}

static void gap_try(const struct store *s, const struct disk_entry *extra, uint64_t start, struct disk_run *best)
{
    uint64_t end = s->total_blocks;
    if (start >= end)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        if (!gap_cut(&s->table[i], start, &end))
            return;
    if (extra && !gap_cut(extra, start, &end))
        return;
    if (end - start > best->count)
        *best = (struct disk_run){start, end - start};
}

struct disk_run store_largest_gap(const struct store *s, const struct disk_entry *extra)
{
    /* Every gap begins at the start of the data area or behind some run. At most 65 x 16 of them. */
    struct disk_run best = {0, 0};
    gap_try(s, extra, STORE_DATA_FIRST, &best);
    for (uint32_t i = 0; i <= s->count; i++) {
        const struct disk_entry *e = i < s->count ? &s->table[i] : extra;
        for (uint32_t j = 0; e && j < e->run_count; j++)
            gap_try(s, extra, e->runs[j].first + e->runs[j].count, &best);
    }
    return best;
}

enum err store_commit_entry(struct store *s, const struct disk_entry *entry)
{
    if (s->count == STORE_TABLE_MAX)
        return E_FULL;
    struct remembered before = remember(s);
    s->table[s->count++] = *entry;
    s->next_id++;
    return commit(s, before);
}

static void take_out(struct store *s, const struct disk_entry *e)
{
    uint32_t at = (uint32_t)(e - s->table);
    memmove(&s->table[at], &s->table[at + 1], (--s->count - at) * sizeof *s->table);
    memset(&s->table[s->count], 0, sizeof *s->table);
}

static bool has_children(const struct store *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->table[i].parent == id)
            return true;
    return false;
}

enum err store_delete(struct store *s, uint64_t id)
{
    const struct disk_entry *found = store_find(s, id);
    if (s->writing)
        return E_BUSY;
    if (id == STORE_LATEST || !found)
        return E_NOTFOUND;
    if (found->flags & ENTRY_FLAG_PINNED)
        return E_PINNED;
    if (has_children(s, id))
        return E_BUSY;
    enum err e = store_sync(s);
    if (e)
        return e;
    struct remembered before = remember(s);
    uint64_t parent = found->parent;
    take_out(s, found);
    const struct disk_entry *rest = parent ? store_find(s, parent) : NULL;
    if (rest && format_is_rest(rest)) /* it was there for this one */
        take_out(s, rest);
    return commit(s, before);
}

enum err store_commit_merge(struct store *s, const struct disk_entry *heir, const struct disk_entry *victim, bool gone)
{
    struct remembered before = remember(s);
    s->table[store_find(s, heir->id) - s->table] = *heir;
    const struct disk_entry *e = store_find(s, victim->id);
    if (gone)
        take_out(s, e);
    else
        s->table[e - s->table] = *victim;
    return commit(s, before);
}

enum err store_pin(struct store *s, uint64_t id, bool pinned)
{
    const struct disk_entry *found = store_find(s, id);
    if (s->writing)
        return E_BUSY;
    if (id == STORE_LATEST || !found || format_is_rest(found))
        return E_NOTFOUND;
    if (pinned == ((found->flags & ENTRY_FLAG_PINNED) != 0))
        return E_OK;
    enum err e = store_sync(s);
    if (e)
        return e;
    struct remembered before = remember(s);
    s->table[found - s->table].flags ^= ENTRY_FLAG_PINNED;
    return commit(s, before);
}

uint32_t store_chain_length(const struct store *s, uint64_t id)
{
    uint32_t length = 0;
    const struct disk_entry *e = store_find(s, id);
    while (e && length <= STORE_CHAIN_MAX) {
        length++;
        e = e->parent ? store_find(s, e->parent) : NULL;
    }
    return length;
}

const struct disk_entry *store_heir(const struct store *s, uint64_t id)
{
    const struct disk_entry *heir = NULL;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->table[i].parent == id) {
            if (heir)
                return NULL;
            heir = &s->table[i];
        }
    return heir;
}

uint64_t store_rest(const struct store *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (format_is_rest(&s->table[i]))
            return s->table[i].id;
    return 0;
}

static bool removable(const struct store *s, const struct disk_entry *e)
{
    /* What the newest two build on has children, so it stays by itself. */
    return e + 2 < s->table + s->count && !(e->flags & ENTRY_FLAG_PINNED) && !has_children(s, e->id);
}

uint64_t store_oldest_removable(const struct store *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (removable(s, &s->table[i]))
            return s->table[i].id;
    return 0;
}

uint64_t store_oldest_automatic(const struct store *s, uint64_t keep)
{
    uint64_t oldest = 0, younger = 0;
    for (const struct disk_entry *e = s->table + s->count; e-- != s->table;)
        if ((e->flags & ENTRY_FLAG_AUTOMATIC) && younger++ >= keep && removable(s, e))
            oldest = e->id;
    return oldest;
}

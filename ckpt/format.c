/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Seals and checks of what is on the disk: superblock, table, record. Every value that later code uses as a
   size, an index or an address is checked here once, even behind a matching checksum, so that no store, however made,
   leads outside a buffer or the partition. */
#include "ckpt/format.h"

#include "ckpt/hash.h"

#include <string.h>

uint32_t format_table_blocks(uint32_t count)
{
    return (uint32_t)(align_up(count * sizeof(struct disk_entry), STORE_BLOCK_BYTES) / STORE_BLOCK_BYTES);
}

/* Covers everything but its own field: hash64 of the bytes behind it, seeded with hash64 of those before it. */
static uint64_t super_checksum(const struct disk_super *super)
{
    const size_t field = offsetof(struct disk_super, checksum), after = field + sizeof super->checksum;
    const uint8_t *bytes = (const uint8_t *)super;
    uint64_t head = hash64(bytes, field, 0);
    return hash64(bytes + after, sizeof *super - after, head);
}

void format_seal_super(struct disk_super *super, const struct disk_entry *table)
{
    struct hash128 h = hash128(table, super->table_count * sizeof *table);
    super->table_hash_low = h.low;
    super->table_hash_high = h.high;
    super->checksum = super_checksum(super);
}

static enum err refuse(const char **why, enum err e, const char *text)
{
    *why = text;
    return e;
}

enum err format_check_super(const struct disk_super *super, uint64_t part_blocks, const char **why)
{
    if (super->magic != STORE_MAGIC)
        return refuse(why, E_NOSTORE, "no superblock");
    if (super->checksum != super_checksum(super))
        return refuse(why, E_BADSTORE, "the superblock's checksum does not match");
    if (super->version != STORE_VERSION)
        return refuse(why, E_STOREVERSION, "the superblock has another version");
    if (super->features_required & ~STORE_FEATURES_REQUIRED)
        return refuse(why, E_STOREVERSION, "the store uses a feature this version does not know");
    if (super->header_bytes != STORE_BLOCK_BYTES || super->block_bytes != STORE_BLOCK_BYTES ||
        super->table_entry_bytes != sizeof(struct disk_entry) || super->table_count > STORE_TABLE_MAX)
        return refuse(why, E_BADSTORE, "a size in the superblock is out of range");
    if (super->data_first != STORE_DATA_FIRST || super->total_blocks < STORE_MIN_BLOCKS)
        return refuse(why, E_BADSTORE, "the superblock's data area is out of range");
    if (super->next_id == 0)
        return refuse(why, E_BADSTORE, "the superblock's next id is 0");
    if (super->total_blocks > part_blocks)
        return refuse(why, E_TRUNCATED, "the partition is smaller than the store in it");
    return E_OK;
}

static bool runs_overlap(const struct disk_run *a, const struct disk_run *b)
{
    return a->first < b->first + b->count && b->first < a->first + a->count;
}

static bool entry_runs_sane(const struct disk_super *super, const struct disk_entry *e)
{
    uint64_t blocks = 0;
    if (e->run_count == 0 || e->run_count > STORE_RUNS_MAX)
        return false;
    for (uint32_t i = 0; i < e->run_count; i++) {
        const struct disk_run *run = &e->runs[i];
        if (run->count == 0 || run->first < super->data_first || run->first >= super->total_blocks ||
            run->count > super->total_blocks - run->first)
            return false;
        blocks += run->count;
        for (uint32_t j = 0; j < i; j++)
            if (runs_overlap(run, &e->runs[j]))
                return false;
    }
    return e->stream_bytes > (blocks - 1) * STORE_BLOCK_BYTES && e->stream_bytes <= blocks * STORE_BLOCK_BYTES;
}

static bool entries_overlap(const struct disk_entry *a, const struct disk_entry *b)
{
    for (uint32_t i = 0; i < a->run_count; i++)
        for (uint32_t j = 0; j < b->run_count; j++)
            if (runs_overlap(&a->runs[i], &b->runs[j]))
                return true;
    return false;
}

/* Full and on its own, or incremental, marked as such, and on an entry before it. */
static bool entry_parent_sane(const struct disk_entry *table, uint32_t at)
{
    const struct disk_entry *e = &table[at];
    if (e->kind == CKPT_FULL)
        return !e->parent && !(e->features_required & ENTRY_FEATURE_PARENT);
    if (e->kind != CKPT_INCREMENTAL || !(e->features_required & ENTRY_FEATURE_PARENT))
        return false;
    for (uint32_t i = 0; i < at; i++)
        if (table[i].id == e->parent)
            return true;
    return false;
}

/* What is left of a checkpoint belongs to the one that takes it over, and begins with a record. */
static bool entry_rest_sane(const struct disk_super *super, const struct disk_entry *table, uint32_t at)
{
    const struct disk_entry *e = &table[at];
    uint32_t children = 0;
    if (!format_is_rest(e))
        return !e->rest_offset && !e->rest_sequence;
    for (uint32_t i = at + 1; i < super->table_count; i++)
        children += table[i].parent == e->id;
    return children == 1 && !(e->flags & ENTRY_FLAG_PINNED) && e->rest_offset < STORE_BLOCK_BYTES &&
           e->rest_offset % RECORD_ALIGN == 0 && e->rest_offset < e->stream_bytes && e->rest_sequence;
}

enum err format_check_table(const struct disk_super *super, const struct disk_entry *table, const char **why)
{
    struct hash128 h = hash128(table, super->table_count * sizeof *table);
    if (h.low != super->table_hash_low || h.high != super->table_hash_high)
        return refuse(why, E_BADSTORE, "the checkpoint table's checksum does not match");
    bool sealed = super->features_required & STORE_FEATURE_SEALED;
    for (uint32_t i = 0; i < super->table_count; i++) {
        const struct disk_entry *e = &table[i];
        if (e->features_required & ~ENTRY_FEATURES_REQUIRED)
            return refuse(why, E_STOREVERSION, "a checkpoint uses a feature this version does not know");
        if (e->id == 0 || e->id >= super->next_id || (i && e->id <= table[i - 1].id))
            return refuse(why, E_BADSTORE, "a checkpoint's id is out of order");
        if ((e->features_required & (ENTRY_FEATURE_MIXED | ENTRY_FEATURE_ANY_ORDER)) == ENTRY_FEATURE_MIXED)
            return refuse(why, E_BADSTORE, "a checkpoint's feature bits do not fit together");
        if (e->disk > CKPT_DISK_CONSISTENT || !memchr(e->label, 0, sizeof e->label))
            return refuse(why, E_BADSTORE, "a checkpoint's table entry is out of range");
        if (format_is_sealed(e) != sealed)
            return refuse(why, E_BADSTORE, "a checkpoint is encrypted and the store is not, or the other way round");
        if (!entry_parent_sane(table, i))
            return refuse(why, E_BADSTORE, "a checkpoint's kind and parent do not fit together");
        if (!entry_rest_sane(super, table, i))
            return refuse(why, E_BADSTORE, "what is left of a checkpoint is out of range");
        if (!entry_runs_sane(super, e))
            return refuse(why, E_BADSTORE, "a checkpoint lies outside the store");
        for (uint32_t j = 0; j < i; j++)
            if (entries_overlap(e, &table[j]))
                return refuse(why, E_BADSTORE, "two checkpoints overlap");
    }
    return E_OK;
}

struct record_binding format_bind_record(const struct disk_record *record, uint64_t seed, const uint8_t uuid[16])
{
    struct record_binding b = {.seed = seed};
    memcpy(b.header, record, sizeof b.header);
    memcpy(b.uuid, uuid, sizeof b.uuid);
    return b;
}

void format_seal_record(struct disk_record *record, const void *payload, uint64_t seed)
{
    record->payload_hash = hash64(payload, record->payload_bytes, seed);
    record->header_hash = hash64(record, offsetof(struct disk_record, header_hash), seed);
}

enum err format_check_record(const struct disk_record *record, const struct disk_entry *entry, uint32_t sequence)
{
    uint32_t least = format_is_sealed(entry) ? SEAL_BYTES : 0;
    if (record->magic != RECORD_MAGIC || record->checkpoint != entry->id || record->sequence != sequence ||
        record->payload_bytes < least || record->payload_bytes - least > RECORD_PAYLOAD_MAX ||
        record->header_hash != hash64(record, offsetof(struct disk_record, header_hash), entry->seed))
        return E_CHECKSUM;
    return E_OK;
}

enum err format_check_payload(const struct disk_record *record, const void *payload, uint64_t seed)
{
    return record->payload_hash == hash64(payload, record->payload_bytes, seed) ? E_OK : E_CHECKSUM;
}

enum err format_add_ram(struct ckpt_layout *layout, uint64_t base, uint64_t end)
{
    base = align_up(base, PAGE_BYTES);
    end = align_down(end, PAGE_BYTES);
    if (base >= end)
        return E_OK;
    if (layout->ram_count == CKPT_RANGES_MAX)
        return E_NOMEM;
    layout->ram[layout->ram_count++] = (struct ckpt_range){base, end - base};
    return E_OK;
}

enum err format_check_layout(const struct ckpt_layout *layout)
{
    uint64_t end = 0;
    if (layout->ram_count == 0 || layout->ram_count > CKPT_RANGES_MAX)
        return E_LAYOUT;
    for (uint32_t i = 0; i < layout->ram_count; i++) {
        const struct ckpt_range *r = &layout->ram[i];
        if ((r->base | r->bytes) % PAGE_BYTES || r->bytes == 0 || r->base < end || r->base + r->bytes < r->base)
            return E_LAYOUT;
        end = r->base + r->bytes;
    }
    const struct ckpt_range *hidden = &layout->hidden;
    if ((hidden->base | hidden->bytes) % PAGE_BYTES || hidden->base + hidden->bytes < hidden->base)
        return E_LAYOUT;
    return E_OK;
}

bool format_page_hidden(const struct ckpt_layout *layout, uint64_t page)
{
    uint64_t first = layout->hidden.base / PAGE_BYTES;
    return page >= first && page - first < layout->hidden.bytes / PAGE_BYTES;
}

bool format_page_saved(const struct ckpt_layout *layout, uint64_t page)
{
    for (uint32_t i = 0; i < layout->ram_count; i++) {
        const struct ckpt_range *r = &layout->ram[i];
        if (page >= r->base / PAGE_BYTES && page < (r->base + r->bytes) / PAGE_BYTES)
            return !format_page_hidden(layout, page);
    }
    return false;
}

uint64_t format_layout_pages(const struct ckpt_layout *layout)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < layout->ram_count; i++) {
        const struct ckpt_range *r = &layout->ram[i];
        uint64_t low = max_u64(r->base, layout->hidden.base);
        uint64_t high = min_u64(r->base + r->bytes, layout->hidden.base + layout->hidden.bytes);
        pages += r->bytes / PAGE_BYTES;
        if (low < high)
            pages -= (high - low) / PAGE_BYTES;
    }
    return pages;
}

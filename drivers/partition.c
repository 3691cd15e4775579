/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. GPT and MBR, read only; see partition.h. A GPT is believed when the MBR announces it, and header and entry
   array carry the right CRC32; the backup is asked when the primary is damaged. Addresses on disk count logical blocks,
   which are 4 KiB on a 4 KiB-native disk; everything here counts sectors of 512 after reading them. */
#include "drivers/partition.h"

#include "bits.h"
#include "log.h"

#include <string.h>

#define SECTOR_BYTES 512u
#define BLOCK_SECTORS_MAX 8u
#define SECTORS_PER_CHUNK 32u /* the usual array of 16 KiB in one command */
#define CHUNK_BYTES (SECTORS_PER_CHUNK * SECTOR_BYTES)

#define MBR_SIGNATURE 0xAA55
#define MBR_SIGNATURE_OFFSET 510
#define MBR_ENTRIES_OFFSET 446
#define MBR_ENTRIES 4
#define MBR_TYPE_EMPTY 0x00
#define MBR_TYPE_GPT 0xEE

#define GPT_SIGNATURE 0x5452415020494645ull /* "EFI PART" */
#define GPT_REVISION_1_0 0x00010000u
#define GPT_HEADER_LBA 1
#define GPT_ENTRY_BYTES_MIN 128u
#define GPT_ENTRY_BYTES_MAX 4096u
#define GPT_ENTRIES_MAX 4096u /* 32 times the usual; bounds the time a hostile disk can cost */
#define GPT_NAME_CHARS 36

#define CRC32_POLYNOMIAL 0xEDB88320u /* reflected */

struct PACKED mbr_entry {
    uint8_t boot, chs_first[3], type, chs_last[3];
    uint32_t first, count;
};

struct PACKED gpt_header {
    uint64_t signature;
    uint32_t revision, header_bytes, header_crc, reserved;
    uint64_t my_lba, alternate_lba, first_usable, last_usable;
    uint8_t disk_guid[16];
    uint64_t entries_lba;
    uint32_t entry_count, entry_bytes, entries_crc;
};

struct PACKED gpt_entry {
    uint8_t type[16], guid[16];
    uint64_t first, last, attributes;
    uint16_t name[GPT_NAME_CHARS];
};

_Static_assert(sizeof(struct mbr_entry) == 16, "UEFI table 5-1");
_Static_assert(sizeof(struct gpt_header) == 92, "UEFI table 5-5");
_Static_assert(offsetof(struct gpt_header, entries_crc) == 88, "UEFI table 5-5");
_Static_assert(sizeof(struct gpt_entry) == 128, "UEFI table 5-6");

static uint8_t chunk[CHUNK_BYTES] ALIGNED(PAGE_BYTES);

struct disk_view {
    struct block_part whole;
    uint32_t block_sectors; /* per logical block */
    uint64_t blocks;
};

static uint32_t crc32_update(uint32_t crc, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC32_POLYNOMIAL : 0);
    }
    return crc;
}

/* ---- selector -------------------------------------------------------------------------------------------------- */

static const char *selector_label(const char *selector)
{
    return strncmp(selector, "gpt:", 4) == 0 ? selector + 4 : NULL;
}

bool partition_selector_ok(const char *selector)
{
    const char *label = selector_label(selector);
    if (!label)
        return strcmp(selector, "auto") == 0;
    size_t len = strlen(label);
    if (len == 0 || len > GPT_NAME_CHARS)
        return false;
    for (size_t i = 0; i < len; i++)
        if (label[i] < ' ' || label[i] > '~')
            return false;
    return true;
}

static bool name_is(const struct gpt_entry *entry, const char *label)
{
    size_t len = strlen(label);
    for (size_t i = 0; i < GPT_NAME_CHARS; i++) {
        uint16_t want = i < len ? (uint8_t)label[i] : 0, have = load16((const uint8_t *)entry->name + 2 * i);
        if (have != want)
            return false;
        if (want == 0)
            break;
    }
    return true;
}

static bool type_is_ours(const struct gpt_entry *entry)
{
    static const uint8_t ours[16] = PARTITION_TYPE_GUID;
    return memcmp(entry->type, ours, sizeof ours) == 0;
}

static bool entry_used(const struct gpt_entry *entry)
{
    static const uint8_t unused[16];
    return memcmp(entry->type, unused, sizeof unused) != 0;
}

/* 0: not wanted; 1: by name; 2: by type, which wins. */
static int entry_rank(const struct gpt_entry *entry, const char *selector)
{
    const char *label = selector_label(selector);
    if (!entry_used(entry))
        return 0;
    if (label)
        return name_is(entry, label);
    return type_is_ours(entry) ? 2 : name_is(entry, PARTITION_NAME);
}

/* ---- GPT ------------------------------------------------------------------------------------------------------- */

static uint64_t array_bytes(const struct gpt_header *h)
{
    return (uint64_t)h->entry_count * h->entry_bytes;
}

/* Everything but the array's content. block_bytes is the length of the block the header was read from. */
static bool header_ok(const struct disk_view *view, const uint8_t *block, uint64_t lba, struct gpt_header *h)
{
    uint32_t block_bytes = view->block_sectors * SECTOR_BYTES;
    memcpy(h, block, sizeof *h);
    if (h->signature != GPT_SIGNATURE || h->revision < GPT_REVISION_1_0 || h->header_bytes < sizeof *h ||
        h->header_bytes > block_bytes)
        return false;
    static const uint8_t zero[4];
    uint32_t crc = crc32_update(UINT32_MAX, block, offsetof(struct gpt_header, header_crc));
    crc = crc32_update(crc, zero, sizeof zero); /* the field itself counts as 0 */
    size_t rest = offsetof(struct gpt_header, reserved);
    crc = ~crc32_update(crc, block + rest, h->header_bytes - rest);
    if (crc != h->header_crc || h->my_lba != lba)
        return false;

    uint32_t size = h->entry_bytes;
    if (size < GPT_ENTRY_BYTES_MIN || size > GPT_ENTRY_BYTES_MAX || (size & (size - 1)) || h->entry_count == 0 ||
        h->entry_count > GPT_ENTRIES_MAX)
        return false;
    uint64_t blocks = align_up(array_bytes(h), block_bytes) / block_bytes;
    if (h->entries_lba <= GPT_HEADER_LBA || h->entries_lba >= view->blocks || blocks > view->blocks - h->entries_lba)
        return false;
    bool array_in_usable = h->entries_lba <= h->last_usable && h->entries_lba + blocks > h->first_usable;
    return h->first_usable > GPT_HEADER_LBA && h->first_usable <= h->last_usable && h->last_usable < view->blocks &&
           !array_in_usable;
}

/* The array in pieces; an entry never straddles two, since its size is a power of two up to a piece's. */
static enum err read_array(struct disk_view *view, const struct gpt_header *h, uint64_t offset, size_t *len)
{
    uint64_t at = h->entries_lba * view->block_sectors + offset / SECTOR_BYTES;
    uint64_t left = array_bytes(h) - offset;
    *len = (size_t)min_u64(left, CHUNK_BYTES);
    return block_read(&view->whole, at, (*len + SECTOR_BYTES - 1) / SECTOR_BYTES, chunk);
}

static enum err check_array(struct disk_view *view, const struct gpt_header *h, bool *ok)
{
    uint32_t crc = UINT32_MAX;
    size_t len;
    for (uint64_t offset = 0; offset < array_bytes(h); offset += len) {
        enum err e = read_array(view, h, offset, &len);
        if (e != E_OK)
            return e;
        crc = crc32_update(crc, chunk, len);
    }
    *ok = ~crc == h->entries_crc;
    return E_OK;
}

struct candidate {
    int rank;
    uint32_t index;
    uint64_t first, last; /* blocks */
};

static bool candidate_usable(const struct gpt_header *h, const struct candidate *c)
{
    return c->first <= c->last && c->first >= h->first_usable && c->last <= h->last_usable;
}

/* The best entry after *from in (rank, index) order; rank 0: none left. */
static enum err next_candidate(struct disk_view *view, const struct gpt_header *h, const char *selector,
                               const struct candidate *from, struct candidate *best)
{
    uint32_t index = 0;
    size_t len;
    memset(best, 0, sizeof *best);
    for (uint64_t offset = 0; offset < array_bytes(h); offset += len) {
        enum err e = read_array(view, h, offset, &len);
        if (e != E_OK)
            return e;
        for (size_t at = 0; at < len; at += h->entry_bytes, index++) {
            struct gpt_entry entry;
            memcpy(&entry, chunk + at, sizeof entry);
            int rank = entry_rank(&entry, selector);
            bool after = rank < from->rank || (rank == from->rank && index > from->index);
            if (rank > best->rank && after)
                *best = (struct candidate){rank, index, entry.first, entry.last};
        }
    }
    return E_OK;
}

static enum err overlaps_any(struct disk_view *view, const struct gpt_header *h, const struct candidate *c,
                             bool *overlaps)
{
    uint32_t index = 0;
    size_t len;
    *overlaps = false;
    for (uint64_t offset = 0; offset < array_bytes(h); offset += len) {
        enum err e = read_array(view, h, offset, &len);
        if (e != E_OK)
            return e;
        for (size_t at = 0; at < len; at += h->entry_bytes, index++) {
            struct gpt_entry entry;
            memcpy(&entry, chunk + at, sizeof entry);
            if (index != c->index && entry_used(&entry) && entry.first <= c->last && entry.last >= c->first)
                *overlaps = true;
        }
    }
    return E_OK;
}

static enum err find_in_array(struct disk_view *view, const struct gpt_header *h, const char *selector,
                              struct block_part *out)
{
    struct candidate from = {.rank = 3}, c;
    for (uint32_t tries = 0; tries < h->entry_count; tries++, from = c) {
        enum err e = next_candidate(view, h, selector, &from, &c);
        if (e != E_OK)
            return e;
        if (c.rank == 0)
            return E_NOSTORE;
        bool overlaps = false;
        if (candidate_usable(h, &c)) {
            e = overlaps_any(view, h, &c, &overlaps);
            if (e != E_OK)
                return e;
            if (!overlaps) {
                out->dev = view->whole.dev;
                out->first = c.first * view->block_sectors;
                out->count = (c.last - c.first + 1) * view->block_sectors;
                return E_OK;
            }
        }
        log_line("partition", "refused dev=%s gpt=%u first=%llu last=%llu: %s", view->whole.dev->name,
                 (unsigned)c.index + 1, (unsigned long long)c.first, (unsigned long long)c.last,
                 overlaps ? "overlaps another entry" : "out of the usable range");
    }
    return E_NOSTORE;
}

static enum err try_gpt(struct disk_view *view, uint64_t lba, struct gpt_header *h, bool *header_good, bool *good)
{
    *header_good = *good = false;
    if (lba == 0 || lba >= view->blocks)
        return E_OK;
    enum err e = block_read(&view->whole, lba * view->block_sectors, view->block_sectors, chunk);
    if (e != E_OK)
        return e;
    *header_good = header_ok(view, chunk, lba, h);
    return *header_good ? check_array(view, h, good) : E_OK;
}

static enum err find_gpt(struct disk_view *view, const char *selector, struct block_part *out)
{
    struct gpt_header h;
    bool header_good, good;
    enum err e = try_gpt(view, GPT_HEADER_LBA, &h, &header_good, &good);
    if (!good) {
        /* A disk that grew has its backup where the primary says; else it is in the last block. An unreadable primary
           is one more reason to ask the backup. */
        uint64_t backup = header_good && h.alternate_lba != GPT_HEADER_LBA ? h.alternate_lba : view->blocks - 1;
        log_line("partition", "gpt dev=%s primary damaged (%s), backup at %llu", view->whole.dev->name, err_name(e),
                 (unsigned long long)backup);
        e = try_gpt(view, backup, &h, &header_good, &good);
        if (e == E_OK && !good) {
            log_line("partition", "gpt dev=%s backup damaged too", view->whole.dev->name);
            e = E_NOSTORE;
        }
    }
    return good ? find_in_array(view, &h, selector, out) : e;
}

/* ---- MBR ------------------------------------------------------------------------------------------------------- */

static bool mbr_overlap(const struct mbr_entry *a, const struct mbr_entry *b)
{
    return (uint64_t)a->first < (uint64_t)b->first + b->count && (uint64_t)b->first < (uint64_t)a->first + a->count;
}

static enum err find_mbr(const struct disk_view *view, const struct mbr_entry *entries, struct block_part *out)
{
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const struct mbr_entry *entry = &entries[i];
        if (entry->type != PARTITION_MBR_TYPE)
            continue;
        bool ok = entry->first > 0 && entry->count > 0 && entry->first < view->blocks &&
                  entry->count <= view->blocks - entry->first;
        for (unsigned other = 0; other < MBR_ENTRIES; other++)
            if (other != i && entries[other].type != MBR_TYPE_EMPTY && mbr_overlap(entry, &entries[other]))
                ok = false;
        if (ok) {
            out->dev = view->whole.dev;
            out->first = (uint64_t)entry->first * view->block_sectors;
            out->count = (uint64_t)entry->count * view->block_sectors;
            return E_OK;
        }
        log_line("partition", "refused dev=%s mbr=%u first=%u count=%u: out of range or overlapping",
                 view->whole.dev->name, i + 1, (unsigned)entry->first, (unsigned)entry->count);
    }
    return E_NOSTORE;
}

enum err partition_find(struct block_dev *dev, const char *selector, struct block_part *out)
{
    struct disk_view view = {.whole = {.dev = dev, .first = 0, .count = dev->sectors},
                             .block_sectors = dev->align_sectors};
    struct mbr_entry entries[MBR_ENTRIES];
    memset(out, 0, sizeof *out);
    if (!partition_selector_ok(selector))
        return E_OPTION;
    if (view.block_sectors == 0 || view.block_sectors > BLOCK_SECTORS_MAX)
        return E_INTERNAL;
    view.blocks = dev->sectors / view.block_sectors;

    if (view.blocks == 0)
        return E_NOSTORE;
    enum err e = block_read(&view.whole, 0, view.block_sectors, chunk);
    if (e != E_OK)
        return e;
    if (load16(chunk + MBR_SIGNATURE_OFFSET) != MBR_SIGNATURE)
        return E_NOSTORE;
    memcpy(entries, chunk + MBR_ENTRIES_OFFSET, sizeof entries);
    for (unsigned i = 0; i < MBR_ENTRIES; i++)
        if (entries[i].type == MBR_TYPE_GPT)
            return find_gpt(&view, selector, out);
    return selector_label(selector) ? E_NOSTORE : find_mbr(&view, entries, out);
}

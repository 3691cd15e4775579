/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See track.h. Children are rewritten before their parent allows writing again: a CPU that walks meanwhile finds
   one or the other without permission. SDM 3C 29.3.3.2 "EPT Violations": the permissions of all levels are combined. */
#include "ept/track.h"

#include "bits.h"
#include "hostmem.h"

#define TOP_LEVEL 4u
#define TRACK_LEVEL 3u /* where it is withdrawn: 1 GiB an entry */
#define INDEX_BITS 9u
#define ENTRIES (1u << INDEX_BITS)
#define ADDRESS MASK(51, 12)

static uint64_t level_shift(unsigned level)
{
    return PAGE_SHIFT + INDEX_BITS * (level - 1);
}

static uint64_t *entry_of(uint64_t *table, uint64_t gpa, unsigned level)
{
    return table + (gpa >> level_shift(level) & (ENTRIES - 1));
}

static uint64_t *table_of(uint64_t entry)
{
    return phys_to_virt((hpa_t){entry & ADDRESS});
}

static bool is_leaf(const struct second_level *sl, uint64_t entry, unsigned level)
{
    return level == 1 || sl->codec->is_leaf(entry, level);
}

/* Of one entry, and with it of all below. */
static void withdraw(const struct second_level *sl, uint64_t *entry)
{
    if ((*entry & SL_MAPPED) && (*entry & sl->codec->write))
        *entry = (*entry & ~sl->codec->write) | SL_TRACKED;
}

static void give_back(const struct second_level *sl, uint64_t *entry)
{
    *entry = (*entry & ~SL_TRACKED) | sl->codec->write;
}

/* One level down: the table below a withdrawn entry, or the one that takes a large leaf's place. */
static bool push_down(struct second_level *sl, struct sl_reserve *reserve, uint64_t *entry, unsigned level)
{
    const struct sl_codec *codec = sl->codec;
    if (!is_leaf(sl, *entry, level)) {
        uint64_t *table = table_of(*entry);
        for (unsigned i = 0; i < ENTRIES; i++)
            withdraw(sl, &table[i]);
        give_back(sl, entry);
        return true;
    }
    if (!reserve->left)
        return false;
    uint64_t *table = reserve->page[--reserve->left];
    sl->table_pages++;
    uint64_t bytes = BIT(level_shift(level - 1)), first = align_down(*entry & ADDRESS, BIT(level_shift(level)));
    uint64_t kept = *entry & (codec->accessed | codec->dirty);
    uint64_t leaf = codec->leaf((hpa_t){first}, level - 1, codec->rights(*entry), codec->type(*entry)) | kept;
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = (leaf + i * bytes) | SL_MAPPED | SL_TRACKED;
    *entry = codec->table(virt_to_phys(table)) | SL_MAPPED;
    return true;
}

uint64_t sl_track_tables(uint64_t end)
{
    uint64_t gib = align_up(end, BIT(level_shift(TRACK_LEVEL))) >> level_shift(TRACK_LEVEL);
    return gib * (ENTRIES + 1);
}

void sl_track_start(struct second_level *sl, uint64_t end)
{
    for (uint64_t at = 0; at < end; at += BIT(level_shift(TRACK_LEVEL))) {
        uint64_t top = *entry_of(sl->root, at, TOP_LEVEL);
        if (top & SL_MAPPED)
            withdraw(sl, entry_of(table_of(top), at, TRACK_LEVEL));
    }
    sl->flush_epoch++;
}

enum sl_track sl_track_write(struct second_level *sl, struct sl_reserve *reserve, gpa_t gpa)
{
    uint64_t top = *entry_of(sl->root, gpa.v, TOP_LEVEL);
    if (!(top & SL_MAPPED))
        return SL_TRACK_OTHER;
    uint64_t *table = table_of(top);
    for (unsigned level = TRACK_LEVEL; level >= 1; level--) {
        uint64_t *entry = entry_of(table, gpa.v, level);
        if (!(*entry & SL_MAPPED))
            return SL_TRACK_OTHER;
        if ((*entry & SL_TRACKED) && level == 1)
            return SL_TRACK_CLEAN;
        if ((*entry & SL_TRACKED) && !push_down(sl, reserve, entry, level))
            return SL_TRACK_NOMEM;
        if (is_leaf(sl, *entry, level))
            return sl->codec->rights(*entry) & SL_WRITE ? SL_TRACK_OPEN : SL_TRACK_OTHER;
        table = table_of(*entry);
    }
    return SL_TRACK_OTHER;
}

bool sl_track_page(struct second_level *sl, struct sl_reserve *reserve, gpa_t gpa)
{
    uint64_t top = *entry_of(sl->root, gpa.v, TOP_LEVEL);
    if (!(top & SL_MAPPED))
        return false;
    uint64_t *table = table_of(top);
    for (unsigned level = TRACK_LEVEL; level > 1; level--) {
        uint64_t *entry = entry_of(table, gpa.v, level);
        if (!(*entry & SL_MAPPED))
            return false;
        bool whole = !(*entry & SL_TRACKED) && is_leaf(sl, *entry, level);
        if (whole)
            withdraw(sl, entry);
        if (whole && !(*entry & SL_TRACKED))
            return false; /* never writable */
        if ((*entry & SL_TRACKED) && !push_down(sl, reserve, entry, level)) {
            if (whole)
                give_back(sl, entry);
            return false;
        }
        table = table_of(*entry);
        for (unsigned i = 0; whole && i < ENTRIES; i++)
            give_back(sl, &table[i]);
    }
    uint64_t *leaf = entry_of(table, gpa.v, 1);
    withdraw(sl, leaf);
    sl->flush_epoch++;
    return *leaf & SL_TRACKED;
}

/* The entry that decides about the page: the highest withdrawn one, or the leaf; NULL: nothing is mapped. */
static uint64_t *deciding(const struct second_level *sl, gpa_t gpa)
{
    uint64_t *table = sl->root;
    for (unsigned level = TOP_LEVEL; level >= 1; level--) {
        uint64_t *entry = entry_of(table, gpa.v, level);
        if (!(*entry & SL_MAPPED))
            return NULL;
        if ((*entry & SL_TRACKED) || (level < TOP_LEVEL && is_leaf(sl, *entry, level)))
            return entry;
        table = table_of(*entry);
    }
    return NULL;
}

void sl_track_allow(struct second_level *sl, gpa_t gpa)
{
    give_back(sl, deciding(sl, gpa));
}

bool sl_track_written(const struct second_level *sl, gpa_t gpa)
{
    const uint64_t *entry = deciding(sl, gpa);
    return entry && (*entry & sl->codec->write);
}

bool sl_track_dirty(const struct second_level *sl, gpa_t gpa)
{
    uint64_t *table = sl->root;
    bool withdrawn = false;
    for (unsigned level = TOP_LEVEL; level >= 1; level--) {
        uint64_t entry = *entry_of(table, gpa.v, level);
        if (!(entry & SL_MAPPED))
            return false;
        withdrawn |= (entry & SL_TRACKED) != 0;
        if (level < TOP_LEVEL && is_leaf(sl, entry, level))
            return withdrawn && (entry & sl->codec->dirty) && (entry & (SL_TRACKED | sl->codec->write));
        table = table_of(entry);
    }
    return false;
}

enum err sl_track_open(struct second_level *sl, struct sl_reserve *reserve, gpa_t gpa)
{
    uint64_t top = *entry_of(sl->root, gpa.v, TOP_LEVEL);
    if (!(top & SL_MAPPED))
        return E_OK;
    uint64_t *table = table_of(top);
    for (unsigned level = TRACK_LEVEL; level > 1; level--) {
        uint64_t *entry = entry_of(table, gpa.v, level);
        if ((*entry & SL_TRACKED) && !push_down(sl, reserve, entry, level))
            return E_NOMEM;
        if (!(*entry & SL_MAPPED) || is_leaf(sl, *entry, level))
            return E_OK; /* never writable */
        table = table_of(*entry);
    }
    for (unsigned i = 0; i < ENTRIES; i++)
        if (table[i] & SL_TRACKED) {
            give_back(sl, &table[i]);
            table[i] &= ~sl->codec->dirty;
        }
    return E_OK;
}

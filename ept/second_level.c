/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Edits of the second-level tree. Every edit is one walk over its range, made twice:

       pass 1, structure   makes missing tables and splits leaves that stick out of the range. A split leaf translates
                           as the leaf did, an empty table as the hole did: nothing changes in effect, so running out
                           of pages here leaves the tree as it was.
       pass 2, commit      writes the leaves. It needs no page, so it cannot fail.

           root (4) --> 512 GiB --> table (3) --> 1 GiB leaf
                                              \-> table (2) --> 2 MiB leaf
                                                            \-> table (1) --> 4 KiB leaf

   Table entries carry every right; rights live in leaves. Tables are never given back: a table that was live may be
   in a CPU's paging-structure caches until the next flush, and the pool is sized for the whole tree. An entry that is
   written over owes a flush if it could be cached and the new one allows less or says something else:
   SDM 3C 29.4.3.3 "Guidelines for Use of the INVEPT Instruction". */
#include "ept/second_level.h"

#include "bits.h"
#include "hostmem.h"

#define SL_LEVELS 4u
#define SL_INDEX_BITS 9u
#define SL_ENTRIES (1u << SL_INDEX_BITS)
#define SL_ADDRESS MASK(51, 12)
#define SL_GPA_LIMIT BIT(48)

enum edit_kind { EDIT_MAP, EDIT_RIGHTS, EDIT_UNMAP };

struct edit {
    enum edit_kind kind;
    uint64_t start, end; /* guest-physical */
    uint64_t hpa;        /* MAP: of start */
    unsigned keep, add;  /* rights: new = (old & keep) | add */
    enum mem_type type;  /* MAP */
};

static uint64_t level_bytes(unsigned level)
{
    return BIT(PAGE_SHIFT + SL_INDEX_BITS * (level - 1));
}

static uint64_t *level_entry(uint64_t *table, uint64_t gpa, unsigned level)
{
    return table + bits_get(gpa, PAGE_SHIFT + SL_INDEX_BITS * level - 1, PAGE_SHIFT + SL_INDEX_BITS * (level - 1));
}

static bool entry_is_leaf(const struct second_level *sl, uint64_t entry, unsigned level)
{
    return level == 1 || (level < SL_LEVELS && sl->codec->is_leaf(entry, level));
}

static uint64_t *entry_table(uint64_t entry)
{
    return phys_to_virt((hpa_t){entry & SL_ADDRESS});
}

static uint64_t leaf_hpa(uint64_t leaf, unsigned level)
{
    return align_down(leaf & SL_ADDRESS, level_bytes(level));
}

/* Without read there is nothing: write-only is an EPT misconfiguration, execute-only not on every CPU, and NPT has
   neither. */
static unsigned rights_normal(unsigned rights)
{
    return rights & SL_READ ? rights & SL_RWX : 0;
}

static uint64_t make_leaf(const struct second_level *sl, uint64_t hpa, unsigned level, unsigned rights,
                          enum mem_type type)
{
    return sl->codec->leaf((hpa_t){hpa}, level, rights_normal(rights), type) | SL_MAPPED | sl->codec->accessed |
           sl->codec->dirty;
}

static uint64_t *new_table(struct second_level *sl)
{
    uint64_t *table = sl->alloc_page();
    if (table)
        sl->table_pages++;
    return table;
}

/* Put a table where a hole or a leaf was, translating the same. Not owed a flush: the same address, rights and type
   are found on either path. */
static enum err entry_split(struct second_level *sl, uint64_t *entry, unsigned level)
{
    const struct sl_codec *codec = sl->codec;
    uint64_t *table = new_table(sl);
    if (!table)
        return E_NOMEM;
    if (*entry & SL_MAPPED) {
        uint64_t hpa = leaf_hpa(*entry, level), tracked = *entry & (codec->accessed | codec->dirty);
        for (unsigned i = 0; i < SL_ENTRIES; i++)
            table[i] =
                make_leaf(sl, hpa + i * level_bytes(level - 1), level - 1, codec->rights(*entry), codec->type(*entry)) |
                tracked;
    }
    *entry = codec->table(virt_to_phys(table)) | SL_MAPPED;
    return E_OK;
}

/* Could a CPU that cached the old leaf do something the new one does not say? */
static bool owes_flush(const struct second_level *sl, uint64_t old, uint64_t new)
{
    const struct sl_codec *codec = sl->codec;
    if (!(old & SL_MAPPED) || !codec->rights(old))
        return false;
    return !(new &SL_MAPPED) || (old & SL_ADDRESS) != (new &SL_ADDRESS) || codec->type(old) != codec->type(new) ||
           (codec->rights(old) & ~codec->rights(new));
}

static uint64_t edited_leaf(const struct second_level *sl, const struct edit *e, uint64_t old, uint64_t at,
                            unsigned level)
{
    const struct sl_codec *codec = sl->codec;
    if (e->kind == EDIT_UNMAP)
        return 0;
    if (e->kind == EDIT_MAP)
        return make_leaf(sl, e->hpa + (at - e->start), level, e->add, e->type);
    return make_leaf(sl, leaf_hpa(old, level), level, (codec->rights(old) & e->keep) | e->add, codec->type(old)) |
           (old & (codec->accessed | codec->dirty));
}

/* May this entry, a hole or a leaf, be edited as a whole? */
static bool edits_whole(const struct second_level *sl, const struct edit *e, uint64_t at, unsigned level)
{
    uint64_t bytes = level_bytes(level);
    if (at & (bytes - 1) || e->end - at < bytes)
        return false;
    if (e->kind != EDIT_MAP || level == 1)
        return true;
    if (level == SL_LEVELS || (level == 3 && !sl->pages_1g))
        return false;
    return !((e->hpa + (at - e->start)) & (bytes - 1));
}

/* One entry of the walk: *next is where to go on. */
static enum err edit_at(struct second_level *sl, const struct edit *e, uint64_t at, bool commit, uint64_t *next)
{
    uint64_t *table = sl->root;
    for (unsigned level = SL_LEVELS; level >= 1; level--) {
        uint64_t *entry = level_entry(table, at, level);
        bool mapped = *entry & SL_MAPPED;
        if (!mapped || entry_is_leaf(sl, *entry, level)) {
            *next = min_u64(e->end, align_down(at, level_bytes(level)) + level_bytes(level));
            if (!mapped && e->kind != EDIT_MAP)
                return E_OK; /* nothing here to change */
            if (e->kind == EDIT_RIGHTS && edited_leaf(sl, e, *entry, at, level) == *entry)
                return E_OK; /* already so: no split */
            if (edits_whole(sl, e, at, level)) {
                if (!commit)
                    return E_OK;
                uint64_t new = edited_leaf(sl, e, *entry, at, level);
                bool owed = owes_flush(sl, *entry, new);
                *entry = new;
                if (owed)
                    sl->flush_epoch++; /* behind the entry: whoever sees the epoch sees the entry */
                return E_OK;
            }
            enum err err = entry_split(sl, entry, level);
            if (err)
                return err;
        }
        table = entry_table(*entry);
    }
    return E_INTERNAL; /* level 1 is always edited as a whole */
}

static enum err edit_run(struct second_level *sl, const struct edit *e)
{
    if ((e->start | e->end | e->hpa) & (PAGE_BYTES - 1) || e->start > e->end || e->end > SL_GPA_LIMIT ||
        (e->hpa + (e->end - e->start)) & ~(SL_ADDRESS | (PAGE_BYTES - 1)))
        return E_BOUNDS;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint64_t at = e->start; at < e->end;) {
            enum err err = edit_at(sl, e, at, pass == 1, &at);
            if (err)
                return err;
        }
    }
    return E_OK;
}

enum err sl_init(struct second_level *sl, const struct sl_codec *codec, void *(*alloc_page)(void), bool pages_1g)
{
    *sl = (struct second_level){.codec = codec, .alloc_page = alloc_page, .pages_1g = pages_1g};
    sl->root = new_table(sl);
    return sl->root ? E_OK : E_NOMEM;
}

enum err sl_map_range(struct second_level *sl, gpa_t gpa, hpa_t hpa, uint64_t bytes, unsigned rights,
                      enum mem_type type)
{
    if (bytes > SL_GPA_LIMIT || gpa.v > SL_GPA_LIMIT)
        return E_BOUNDS;
    struct edit e = {EDIT_MAP, gpa.v, gpa.v + bytes, hpa.v, 0, rights, type};
    return edit_run(sl, &e);
}

enum err sl_set_page(struct second_level *sl, gpa_t gpa, hpa_t hpa, unsigned rights)
{
    struct sl_mapping old = {.type = MEM_WB};
    if (!sl_lookup(sl, gpa, &old))
        old.type = MEM_WB;
    return sl_map_range(sl, gpa, hpa, PAGE_BYTES, rights, old.type);
}

static enum err edit_simple(struct second_level *sl, enum edit_kind kind, gpa_t gpa, uint64_t bytes, unsigned keep,
                            unsigned add)
{
    if (bytes > SL_GPA_LIMIT || gpa.v > SL_GPA_LIMIT)
        return E_BOUNDS;
    struct edit e = {kind, gpa.v, gpa.v + bytes, 0, keep, add, MEM_WB};
    return edit_run(sl, &e);
}

enum err sl_withdraw(struct second_level *sl, gpa_t gpa, uint64_t bytes, unsigned rights)
{
    return edit_simple(sl, EDIT_RIGHTS, gpa, bytes, ~rights, 0);
}

enum err sl_grant(struct second_level *sl, gpa_t gpa, uint64_t bytes, unsigned rights)
{
    return edit_simple(sl, EDIT_RIGHTS, gpa, bytes, SL_RWX, rights);
}

enum err sl_unmap(struct second_level *sl, gpa_t gpa, uint64_t bytes)
{
    return edit_simple(sl, EDIT_UNMAP, gpa, bytes, 0, 0);
}

bool sl_lookup(const struct second_level *sl, gpa_t gpa, struct sl_mapping *out)
{
    if (gpa.v >= SL_GPA_LIMIT)
        return false;
    uint64_t *table = sl->root;
    for (unsigned level = SL_LEVELS; level >= 1; level--) {
        uint64_t entry = *level_entry(table, gpa.v, level);
        if (!(entry & SL_MAPPED))
            return false;
        if (entry_is_leaf(sl, entry, level)) {
            uint64_t bytes = level_bytes(level);
            *out = (struct sl_mapping){
                .hpa = {leaf_hpa(entry, level) + (gpa.v & (bytes - 1))},
                .page_bytes = bytes,
                .rights = sl->codec->rights(entry),
                .type = sl->codec->type(entry),
                .accessed = entry & sl->codec->accessed,
                .dirty = entry & sl->codec->dirty,
            };
            return true;
        }
        table = entry_table(entry);
    }
    return false;
}

enum err sl_map_identity(struct second_level *sl, gpa_t gpa, uint64_t bytes, unsigned rights,
                         const struct vcpu_state *mtrrs)
{
    if ((gpa.v | bytes) & (PAGE_BYTES - 1) || bytes > SL_GPA_LIMIT || gpa.v > SL_GPA_LIMIT - bytes)
        return E_BOUNDS;
    for (uint64_t at = gpa.v, end = gpa.v + bytes; at < end;) {
        enum mem_type type = MEM_MIXED;
        uint64_t size = 0;
        for (unsigned level = sl->pages_1g ? 3 : 2; level >= 1 && type == MEM_MIXED; level--) {
            size = level_bytes(level);
            if (!(at & (size - 1)) && end - at >= size)
                type = mtrrs ? mtrr_type(mtrrs, (gpa_t){at}, size) : MEM_WB;
        }
        enum err err = sl_map_range(sl, (gpa_t){at}, (hpa_t){at}, size, rights, type);
        if (err)
            return err;
        at += size;
    }
    return E_OK;
}

hpa_t sl_root(const struct second_level *sl)
{
    return virt_to_phys(sl->root);
}

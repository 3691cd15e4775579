/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store's life on a disk that can lose power at any moment (crash_disk.h), and what must hold after each loss. A
   world runs the real code and writes down, beside it, what the store has to show: one moment for each operation that
   returned. After a cut the store opens and shows the last moment, or the next one when its operation was under way;
   all it shows has, bit for bit, the memory it was taken of; and the store goes on working. */
#ifndef SOJOURN_TEST_CRASH_RIG_H
#define SOJOURN_TEST_CRASH_RIG_H

#include "bits.h"
#include "ckpt/store_merge.h"
#include "crash_disk.h"
#include "test_key.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define PAGES 24u /* of the guest, two of them hidden */
#define HIGH_BASE 0x40000u
#define LOW_PAGES 8u
#define PAGE_NUMBERS 96u /* behind the highest */
#define MEMORIES 96u
#define MOMENTS_MAX 80u
#define SCRATCH (MEMORIES - 4u) /* memories of what is taken after a cut */

struct point {
    uint64_t id, parent;
    bool pinned;
    uint32_t memory; /* index */
    bool rest;       /* it is being taken over: no checkpoint */
    bool heavy;      /* large: its content is looked at in one case of 16 */
};

struct moment {
    uint32_t ops;    /* requests when the operation had returned */
    bool none;       /* there is no store */
    bool formatting; /* the operation that led here began with taking the store away */
    uint32_t count;
    struct point point[STORE_TABLE_MAX];
};

struct world {
    struct crash_disk disk;
    struct store store;
    struct moment moment[MOMENTS_MAX];
    struct moment tried[MOMENTS_MAX]; /* what the operation was to lead to, also when it failed */
    uint32_t moments;
    uint32_t
        nested_every; /* one in so many cases with two different copies goes on to a second cut; 0: none; 1: all do */
    uint64_t cases, opened, shown_in_flight, second_cases;
    struct crash_report second; /* what the cuts within recoveries found */
};

static struct world world, second_world; /* the second: cuts while a first one is recovered from */
static uint8_t work[STORE_WORK_BYTES] ALIGNED(PAGE_BYTES);
static const struct seal_key *crash_key; /* of the stores that are made; NULL: not encrypted */

static enum err crash_open(struct store *s, struct block_part part)
{
    enum err e = store_open(s, part, work, sizeof work, NULL);
    return e ? e : store_unlock(s, crash_key);
}

static uint8_t memory[MEMORIES][PAGES][PAGE_BYTES] ALIGNED(PAGE_BYTES);
static uint32_t memories;
static uint8_t target[PAGES][PAGE_BYTES] ALIGNED(PAGE_BYTES);
static uint8_t seen[PAGE_NUMBERS / 8];
static const uint8_t uuid[16] = "crash-crash-cras";
static char wrong_text[160];

/* ---- the guest ---- */

static bool hidden(uint32_t i)
{
    return i == 12 || i == 13;
}

static uint64_t page_number(uint32_t i)
{
    return i < LOW_PAGES ? i : HIGH_BASE / PAGE_BYTES + i - LOW_PAGES;
}

static uint32_t page_index(uint64_t number)
{
    return (uint32_t)(number < LOW_PAGES ? number : number - HIGH_BASE / PAGE_BYTES + LOW_PAGES);
}

static struct ckpt_layout guest_layout(void)
{
    struct ckpt_layout l = {.ram_count = 2, .cpu_count = 1, .cpu_vendor = "GenuineIntel", .cpu_signature = 0x306c3};
    l.ram[0] = (struct ckpt_range){0, LOW_PAGES * PAGE_BYTES};
    l.ram[1] = (struct ckpt_range){HIGH_BASE, (PAGES - LOW_PAGES) * PAGE_BYTES};
    l.hidden = (struct ckpt_range){page_number(12) * PAGE_BYTES, 2 * PAGE_BYTES};
    memcpy(l.backend, "vmx", 4);
    return l;
}

/* New memory out of that of another point, or out of nothing (from MEMORIES): noise, text, zeros. share of 16 pages
   change. */
static void make_memory(uint32_t to, uint32_t from, uint32_t share)
{
    if (from < MEMORIES && from != to)
        memcpy(memory[to], memory[from], sizeof memory[to]);
    for (uint32_t i = 0; i < PAGES; i++) {
        if (from < MEMORIES && crash_random() % 16 >= share)
            continue;
        uint64_t kind = crash_random() % 6, *word = (uint64_t *)(void *)memory[to][i];
        memset(word, 0, PAGE_BYTES);
        for (uint32_t j = 0; kind < 3 && j < PAGE_BYTES / 8; j++)
            word[j] = kind == 0 ? crash_random() : 0x74786574u + kind + to + (j & 15);
    }
}

static void *write_page(void *ctx, gpa_t gpa)
{
    (void)ctx;
    uint32_t i = page_index(gpa.v / PAGE_BYTES);
    ck_assert(i < PAGES && !hidden(i));
    return target[i];
}

/* ---- operations, and what they make of the store ---- */

static struct moment *last_moment(struct world *w)
{
    return &w->moment[w->moments - 1];
}

static struct moment *next_moment(struct world *w)
{
    ck_assert_uint_lt(w->moments, MOMENTS_MAX);
    w->moment[w->moments] = *last_moment(w);
    w->moment[w->moments].formatting = false;
    return &w->moment[w->moments];
}

/* The operation returned: now there is what it was to make, or what was there before. Until then it may be either. */
static void moment_over(struct world *w, enum err e)
{
    struct moment *m = &w->moment[w->moments], keep = *m;
    w->tried[w->moments++] = keep;
    if (e)
        *m = m[-1];
    m->ops = w->disk.ops;
    crash_mark(&w->disk);
}

static enum err life_format(struct world *w)
{
    struct moment *m = next_moment(w);
    enum err e = store_format(&w->store, crash_part(&w->disk), work, sizeof work, uuid, 1700000000, crash_key);
    ck_assert_int_eq(e, E_OK);
    m->none = false;
    m->formatting = true;
    m->count = 0;
    moment_over(w, e);
    return e;
}

static enum err save(struct store *s, uint64_t parent, uint32_t before, uint32_t now, uint64_t *id)
{
    static struct ckpt_layout layout;
    struct ckpt_writer w;
    char label[16];
    layout = guest_layout();
    snprintf(label, sizeof label, "memory %u", now);
    struct ckpt_meta meta = {label, 1, parent ? CKPT_INCREMENTAL : CKPT_FULL, CKPT_DISK_NONE, &layout, parent, 0};
    enum err e = ckpt_begin(&w, s, &meta);
    if (!e)
        e = ckpt_put_section(&w, "thing", 1, "state", 5);
    for (uint32_t i = 0; i < PAGES && !e; i++) {
        if (hidden(i))
            continue;
        bool same = parent && !memcmp(memory[before][i], memory[now][i], PAGE_BYTES);
        e = same ? ckpt_skip_page(&w, page_number(i)) : ckpt_put_page(&w, page_number(i), memory[now][i]);
    }
    if (!e)
        e = ckpt_commit(&w, id);
    ckpt_abort(&w);
    return e;
}

static const struct point *point_of(const struct moment *m, uint64_t id)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->point[i].id == id)
            return &m->point[i];
    return NULL;
}

/* A checkpoint of memory now, on parent or a full one for 0. */
static enum err life_save_of(struct world *w, uint64_t parent, uint32_t now, uint64_t *id)
{
    struct moment *m = next_moment(w);
    const struct point *on = point_of(m, parent);
    struct point p = {.id = w->store.next_id, .parent = parent, .memory = now};
    enum err e = save(&w->store, parent, on ? on->memory : 0, now, id);
    ck_assert(e || *id == p.id);
    ck_assert(m->count == 0 || p.id > m->point[m->count - 1].id);
    if (m->count < STORE_TABLE_MAX)
        m->point[m->count++] = p;
    moment_over(w, e);
    return e;
}

__attribute__((unused)) static enum err life_save(struct world *w, uint64_t parent, uint64_t *id)
{
    const struct point *on = point_of(last_moment(w), parent);
    ck_assert_uint_lt(memories, SCRATCH);
    make_memory(memories, on ? on->memory : MEMORIES, 4);
    return life_save_of(w, parent, memories++, id);
}

static void drop_point(struct moment *m, uint64_t id)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->point[i].id == id) {
            memmove(&m->point[i], &m->point[i + 1], (--m->count - i) * sizeof m->point[0]);
            return;
        }
}

__attribute__((unused)) static enum err life_delete(struct world *w, uint64_t id)
{
    struct moment *m = next_moment(w);
    const struct point *p = point_of(m, id), *below = p ? point_of(m, p->parent) : NULL;
    uint64_t rest = below && below->rest ? below->id : 0;
    enum err e = store_delete(&w->store, id);
    drop_point(m, id);
    drop_point(m, rest);
    moment_over(w, e);
    return e;
}

__attribute__((unused)) static enum err life_pin(struct world *w, uint64_t id, bool pinned)
{
    struct moment *m = next_moment(w);
    enum err e = store_pin(&w->store, id, pinned);
    for (uint32_t i = 0; i < m->count; i++)
        if (m->point[i].id == id)
            m->point[i].pinned = pinned;
    moment_over(w, e);
    return e;
}

/* One slice of taking it out of its chain. */
__attribute__((unused)) static enum err life_merge(struct world *w, uint64_t victim, uint64_t slice)
{
    static struct ckpt_merge merge;
    struct moment *m = next_moment(w);
    enum err e = ckpt_merge_begin(&merge, &w->store, victim, seen, sizeof seen, NULL);
    if (!e)
        e = ckpt_merge_step(&merge, slice, NULL);
    uint64_t parent = e ? 0 : point_of(m, victim)->parent;
    bool gone = merge.done || (e && slice == MERGE_SLICE_BYTES); /* or would be */
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->point[i].id == victim)
            m->point[i].rest = true;
        if (m->point[i].parent == victim && gone)
            m->point[i].parent = parent;
    }
    if (gone)
        drop_point(m, victim);
    moment_over(w, e);
    return e;
}

/* An empty disk, and no store yet. */
__attribute__((unused)) static void world_begin(struct world *w, uint32_t max_sectors)
{
    memset(&w->moment[0], 0, sizeof w->moment[0]);
    w->moments = 1;
    w->moment[0].none = true;
    w->nested_every = 0;
    w->cases = w->opened = w->shown_in_flight = w->second_cases = 0;
    w->second = (struct crash_report){0};
    crash_disk_make(&w->disk, max_sectors, 0xa5);
    crash_record(&w->disk);
    if (w == &world)
        memories = 0;
}

/* What was done so far is on the medium; the life that counts begins here. */
__attribute__((unused)) static void world_forget(struct world *w)
{
    w->moment[0] = *last_moment(w);
    w->moment[0].ops = 0;
    w->moments = 1;
    crash_record(&w->disk);
}

/* ---- what must hold ---- */

static const char *wrong(const char *fmt, uint64_t a, uint64_t b)
{
    snprintf(wrong_text, sizeof wrong_text, fmt, a, b);
    return wrong_text;
}

static bool shows(const struct store *s, const struct moment *m)
{
    if (m->none || store_count(s) != m->count)
        return false;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct disk_entry *e = store_entry(s, i);
        const struct point *p = &m->point[i];
        char label[STORE_LABEL_BYTES];
        snprintf(label, sizeof label, "memory %u", p->memory);
        if (e->id != p->id || e->parent != p->parent || format_is_rest(e) != p->rest ||
            e->flags != (p->pinned ? ENTRY_FLAG_PINNED : 0) || (!p->heavy && strcmp(e->label, label)))
            return false;
    }
    return true;
}

/* Every checkpoint, from the medium to memory and compared with what it was taken of. */
static const char *all_whole(struct store *s, const struct moment *m, bool heavy_too)
{
    bool touched;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct point *p = &m->point[i];
        if (p->rest)
            continue;
        if (p->heavy) {
            if (heavy_too && ckpt_verify(s, p->id, NULL))
                return wrong("large checkpoint %lu does not verify", p->id, 0);
            continue;
        }
        memset(target, 0xcc, sizeof target);
        enum err e = ckpt_load_ram(s, p->id, write_page, NULL, seen, sizeof seen, &touched, NULL);
        if (e)
            return wrong("checkpoint %lu cannot be loaded (%lu)", p->id, (uint64_t)e);
        for (uint32_t page = 0; page < PAGES; page++)
            if (!hidden(page) && memcmp(target[page], memory[p->memory][page], PAGE_BYTES))
                return wrong("checkpoint %lu: page %lu differs", p->id, page);
    }
    return NULL;
}

/* Then the medium loses one superblock, too. What the other copy still shows, if it is one at all, may be of before
   the operation; but never a checkpoint whose blocks were used again. */
static const char *superblock_lost(struct crash_disk *d, struct store *s)
{
    const uint64_t slot = (crash_random() & 1) * STORE_SLOT_BLOCKS * STORE_BLOCK_SECTORS;
    static uint8_t zeros[CRASH_SECTOR];
    struct block_part part = crash_part(d);
    if (block_write(&part, slot, 1, zeros))
        return "the disk is too small";
    enum err e = crash_open(s, part);
    if (e)
        return e == E_BADSTORE || e == E_NOSTORE ? NULL : wrong("one superblock lost: error %lu", (uint64_t)e, 0);
    static struct moment m;
    m.count = 0;
    for (uint32_t i = 0; i < store_count(s); i++) {
        struct point p = {.id = store_entry(s, i)->id,
                          .rest = format_is_rest(store_entry(s, i)),
                          .heavy = !strcmp(store_entry(s, i)->label, "large")};
        if (!p.heavy && sscanf(store_entry(s, i)->label, "memory %u", &p.memory) != 1)
            return "one superblock lost: a label is not ours";
        m.point[m.count++] = p;
    }
    return all_whole(s, &m, false);
}

/* A further checkpoint, full or on the newest, room made for it if need be; then all of them again. */
static const char *usable(struct crash_disk *d, struct store *s, struct moment *m)
{
    while (store_rest(s)) { /* first what was interrupted */
        static struct ckpt_merge merge;
        uint64_t victim = store_rest(s), below = store_find(s, victim)->parent;
        enum err e = ckpt_merge_begin(&merge, s, victim, seen, sizeof seen, NULL);
        if (!e)
            e = ckpt_merge_step(&merge, MERGE_SLICE_BYTES, NULL);
        if (e || !merge.done)
            return wrong("what is left of %lu is not taken over (%lu)", victim, (uint64_t)e);
        for (uint32_t i = 0; i < m->count; i++)
            if (m->point[i].parent == victim)
                m->point[i].parent = below;
        drop_point(m, victim);
    }
    uint64_t parent = m->count && crash_random() & 1 ? m->point[m->count - 1].id : 0, id = 0;
    if (parent && (m->point[m->count - 1].heavy || store_chain_length(s, parent) >= STORE_CHAIN_MAX))
        parent = 0;
    uint32_t before = parent ? m->point[m->count - 1].memory : MEMORIES;
    make_memory(SCRATCH, before, 3);
    enum err e = save(s, parent, parent ? before : 0, SCRATCH, &id);
    for (int room = 0; e == E_FULL && room < 4; room++) {
        uint64_t old = store_oldest_removable(s);
        if (!old || store_delete(s, old))
            return wrong("the store is full, and nothing can be deleted (%lu)", old, 0);
        drop_point(m, old);
        e = save(s, parent, parent ? before : 0, SCRATCH, &id);
    }
    if (e)
        return wrong("no further checkpoint can be taken (%lu)", (uint64_t)e, 0);
    if (m->count && id <= m->point[m->count - 1].id)
        return wrong("id %lu was used again", id, 0);
    m->point[m->count++] = (struct point){.id = id, .parent = parent, .memory = SCRATCH};
    if (crash_open(s, crash_part(d)))
        return "after a further checkpoint the store does not open";
    if (!shows(s, m))
        return "a further checkpoint does not show, or another one does not any more";
    return all_whole(s, m, false);
}

static const char *probe(void *ctx, uint32_t cut);

/* The store as it was found is worked with, and power is lost again meanwhile. */
static const char *second_cut(struct world *w, const struct moment *found)
{
    struct world *v = &second_world;
    uint64_t id;
    world_begin(v, w->disk.dev.max_sectors);
    crash_disk_copy(&v->disk, &w->disk);
    v->moment[0] = *found;
    v->moment[0].ops = 0;
    v->moment[0].formatting = false;
    crash_record(&v->disk);
    if (crash_open(&v->store, crash_part(&v->disk)))
        return "the store opens once and not again";
    for (uint32_t i = 1; i <= 2; i++) { /* the first one repairs the copy that is behind */
        const struct moment *m = last_moment(v);
        if (m->count == STORE_TABLE_MAX)
            (void)life_delete(v, store_oldest_removable(&v->store));
        make_memory(SCRATCH + i, MEMORIES, 0);
        enum err e = life_save_of(v, 0, SCRATCH + i, &id);
        if (e && e != E_FULL)
            return wrong("no checkpoint can be taken after a cut (%lu)", (uint64_t)e, 0);
    }
    crash_explore(&v->disk, 1, probe, v, &w->second);
    return w->second.violated ? w->second.first : NULL;
}

static const char *probe(void *ctx, uint32_t cut)
{
    struct world *w = ctx;
    static struct moment after[2]; /* not on the stack: 2 KiB */
    struct moment *found = &after[w == &second_world];
    struct store *s = &w->store;
    uint32_t m = 0;
    w->cases++;
    while (m + 1 < w->moments && w->moment[m + 1].ops <= cut)
        m++;
    bool next = cut > w->moment[m].ops && m + 1 < w->moments; /* something of it was asked for */
    enum err e = crash_open(s, crash_part(&w->disk));
    if (e) {
        bool allowed = w->moment[m].none || (next && w->tried[m + 1].formatting);
        if (!allowed || (e != E_NOSTORE && e != E_BADSTORE))
            return wrong("the store does not open (%lu)", (uint64_t)e, 0);
        if (store_format(s, crash_part(&w->disk), work, sizeof work, uuid, 1, crash_key))
            return "no store, and none can be made";
        *found = (struct moment){0};
    } else if (shows(s, &w->moment[m])) {
        *found = w->moment[m];
    } else if (next && shows(s, &w->tried[m + 1])) {
        *found = w->tried[m + 1];
        w->shown_in_flight++;
    } else {
        return wrong("the store shows %lu checkpoints: neither the state before nor the one behind operation %lu",
                     store_count(s), m + 1);
    }
    w->opened += !e;
    const char *bad = all_whole(s, found, w->cases % 16 == 0);
    if (bad)
        return bad;
    /* Above all where the copies are not the same, which a recovery begins with. */
    if (w->nested_every == 1 ||
        (w->nested_every && crash_random() % (s->stale ? w->nested_every : 16 * w->nested_every) == 0)) {
        bad = second_cut(w, found);
        w->second_cases = w->second.cases;
        if (bad)
            return bad;
        if (crash_open(s, crash_part(&w->disk))) /* the working memory was lent */
            return "the store opens once and not again";
    }
    return w->cases % 4 == 3 ? superblock_lost(&w->disk, s) : usable(&w->disk, s, found);
}

#endif

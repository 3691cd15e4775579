/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See store_merge.h. Records are read through io[0] and written through io[1]; those of the victim that the heir
   has nothing of are packed again like the others, because a page may be one of few that are left. */
#include "ckpt/store_merge.h"

#include "bits.h"
#include "log.h"

#include <string.h>

#define RECORD_BLOCKS ((RECORD_PAYLOAD_MAX + SEAL_BYTES) / STORE_BLOCK_BYTES + 2)
#define ROOM_MIN (1u << 20)

static bool has(const uint8_t *seen, uint64_t page)
{
    return seen[page / 8] >> (page % 8) & 1;
}

static void note(uint8_t *seen, uint64_t first, uint64_t count)
{
    for (uint64_t page = first; page < first + count; page++)
        seen[page / 8] |= (uint8_t)(1u << (page % 8));
}

struct reading {
    struct ckpt_merge *m;
    size_t seen_bytes;
};

static enum err heir_meta(void *ctx, const struct disk_meta *meta)
{
    const struct reading *r = ctx;
    if (r->seen_bytes < ckpt_seen_bytes(&meta->layout))
        return E_NOMEM;
    memset(r->m->seen, 0, ckpt_seen_bytes(&meta->layout));
    return E_OK;
}

static enum err heir_pages(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages)
{
    const struct reading *r = ctx;
    (void)pages;
    note(r->m->seen, first, count);
    return E_OK;
}

static enum err heir_zeros(void *ctx, uint64_t first, uint32_t count)
{
    return heir_pages(ctx, first, count, NULL);
}

enum err ckpt_merge_begin(struct ckpt_merge *m, struct store *s, uint64_t victim, uint8_t *seen, size_t seen_bytes,
                          const struct ckpt_progress *progress)
{
    struct reading r = {m, seen_bytes};
    const struct ckpt_visitor v = {.meta = heir_meta, .pages = heir_pages, .zeros = heir_zeros, .ctx = &r};
    const struct disk_entry *e = victim == STORE_LATEST ? NULL : store_find(s, victim);
    const struct disk_entry *heir = store_heir(s, victim);
    *m = (struct ckpt_merge){.store = s, .victim = victim, .seen = seen};
    if (!e)
        return E_NOTFOUND;
    if (e->flags & ENTRY_FLAG_PINNED)
        return E_PINNED;
    const struct disk_entry *below = e->parent ? store_find(s, e->parent) : NULL;
    if (!heir || format_is_rest(heir) || (below && format_is_rest(below)))
        return E_BUSY;
    m->heir = heir->id;
    s->verified_seed = 0;
    return ckpt_walk_on(s, heir, &v, progress, &m->walked);
}

/* ---- one slice ---- */

static enum err victim_meta(void *ctx, const struct disk_meta *meta)
{
    const struct ckpt_merge *m = ctx;
    return memcmp(&meta->layout, &m->walked.meta.layout, sizeof meta->layout) ? E_CHECKSUM : E_OK;
}

static enum err victim_pages(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages)
{
    struct ckpt_merge *m = ctx;
    enum err e = E_OK;
    for (uint32_t i = 0; i < count && !e; i++)
        if (!has(m->seen, first + i)) {
            /* Its place in the stage is this one or one further down: what is there has been looked at. */
            e = ckpt_append_page(&m->writer, first + i, pages + i * PAGE_BYTES);
            note(m->seen, first + i, 1);
        }
    return e;
}

static enum err victim_zeros(void *ctx, uint64_t first, uint32_t count)
{
    struct ckpt_merge *m = ctx;
    enum err e = E_OK;
    for (uint32_t i = 0; i < count && !e; i++)
        if (!has(m->seen, first + i)) {
            e = ckpt_append_zero(&m->writer, first + i);
            note(m->seen, first + i, 1);
        }
    return e;
}

static enum err victim_record(void *ctx)
{
    struct ckpt_merge *m = ctx;
    enum err e = ckpt_append_gathered(&m->writer);
    return e ? e : m->writer.entry.stream_bytes >= m->budget ? E_ALREADY : E_OK;
}

/* Without what comes before the record at byte `at` of its stream. */
static struct disk_entry rest_of(const struct disk_entry *victim, uint64_t at, uint32_t sequence)
{
    struct disk_entry rest = *victim;
    uint64_t gone = at / STORE_BLOCK_BYTES;
    rest.features_required |= ENTRY_FEATURE_REST;
    rest.stream_bytes -= gone * STORE_BLOCK_BYTES;
    rest.rest_offset = (uint32_t)(at % STORE_BLOCK_BYTES);
    rest.rest_sequence = sequence;
    while (gone >= rest.runs[0].count) {
        gone -= rest.runs[0].count;
        memmove(&rest.runs[0], &rest.runs[1], --rest.run_count * sizeof rest.runs[0]);
        memset(&rest.runs[rest.run_count], 0, sizeof rest.runs[0]);
    }
    rest.runs[0].first += gone;
    rest.runs[0].count -= gone;
    return rest;
}

enum err ckpt_merge_step(struct ckpt_merge *m, uint64_t slice_bytes, const struct ckpt_progress *progress)
{
    struct store *s = m->store;
    const struct ckpt_visitor v = {.meta = victim_meta,
                                   .pages = victim_pages,
                                   .zeros = victim_zeros,
                                   .record_done = victim_record,
                                   .beside_writer = true,
                                   .ctx = m};
    struct ckpt_walked at; /* 808 bytes */
    const struct disk_entry *victim = store_find(s, m->victim), *heir = store_find(s, m->heir);
    if (s->writing)
        return E_BUSY;
    enum err e = store_sync(s);
    uint64_t room = store_largest_gap(s, NULL).count * STORE_BLOCK_BYTES;
    if (!e && (room < ROOM_MIN || !victim || !heir))
        e = room < ROOM_MIN ? E_FULL : E_NOTFOUND;
    if (e)
        return e;
    struct disk_end before = m->walked.totals;
    ckpt_append_begin(&m->writer, s, heir, &m->walked.meta.layout, &before, m->walked.sequence);
    m->budget = m->writer.entry.stream_bytes + min_u64(slice_bytes, room - RECORD_BLOCKS * STORE_BLOCK_BYTES * 2);
    at.meta = m->walked.meta;
    e = ckpt_walk_on(s, victim, &v, progress, &at);
    bool stopped = e == E_ALREADY;
    if (stopped && at.at >= victim->stream_bytes) /* no end follows: then nothing could be cut off and still be read */
        e = E_CHECKSUM;
    if (e && e != E_ALREADY) {
        ckpt_abort(&m->writer);
        return e;
    }
    struct disk_entry now = *heir, rest = stopped ? rest_of(victim, at.at, at.sequence) : *victim;
    if (m->writer.entry.stream_bytes == align_up(now.stream_bytes, STORE_BLOCK_BYTES) && !m->writer.zeros.count) {
        s->writing = false; /* the heir had all of it */
    } else {
        e = ckpt_append_end(&m->writer);
        if (e)
            return e;
        now = m->writer.entry;
        m->walked.totals = m->writer.totals;
        m->walked.sequence = m->writer.sequence;
    }
    if (!stopped) {
        now.parent = rest.parent;
        now.kind = rest.kind;
        now.features_required |= ENTRY_FEATURE_ANY_ORDER | ENTRY_FEATURE_MERGED;
        if (!now.parent)
            now.features_required &= ~ENTRY_FEATURE_PARENT;
    }
    e = store_commit_merge(s, &now, &rest, !stopped);
    m->done = !e && !stopped;
    if (!e)
        log_line("store", "merge: %lu into %lu%s", m->victim, m->heir, m->done ? ": done" : "");
    return e;
}

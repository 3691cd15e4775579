/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See store_read.h. Along a chain, from the checkpoint that is asked for to the full one at its base: verifying,
   and loading. A page is written once, by the newest that says something about it: a parent's older content never
   reaches memory, so that a restore reads more but writes no more than one of a full checkpoint. */
#include "ckpt/store_read.h"

#include "log.h"

#include <string.h>

/* The next one down; NULL below the base. A table that store_open took has no bad link, but this is where a loop, or a
   read of what is not there, would begin. */
static enum err parent_of(const struct store *s, const struct disk_entry *e, const struct disk_entry **parent)
{
    *parent = NULL;
    if (!e->parent)
        return E_OK;
    *parent = store_find(s, e->parent);
    if (*parent && (*parent)->id < e->id)
        return E_OK;
    log_line("store", "checkpoint %lu builds on %lu, which is not there", e->id, e->parent);
    return E_CHECKSUM;
}

/* One count over all checkpoints of a chain, for whoever asked for progress. */
struct chain_progress {
    const struct ckpt_progress *to;
    uint64_t before, total; /* bytes: of the checkpoints that are done, of all */
    struct ckpt_progress each;
};

static void chain_step(void *ctx, uint64_t done, uint64_t total)
{
    struct chain_progress *p = ctx;
    (void)total;
    p->to->step(p->to->ctx, p->before + done, p->total);
}

/* Also the one check of the whole chain's links and length. */
static enum err chain_start(struct chain_progress *p, const struct store *s, const struct disk_entry *e,
                            const struct ckpt_progress *to)
{
    *p = (struct chain_progress){.to = to, .each = {chain_step, p}};
    for (uint32_t length = 1; e; length++) {
        if (length > STORE_CHAIN_MAX) {
            log_line("store", "more than %u checkpoints build on each other", STORE_CHAIN_MAX);
            return E_CHECKSUM;
        }
        p->total += e->stream_bytes;
        enum err err = parent_of(s, e, &e);
        if (err)
            return err;
    }
    return E_OK;
}

static const struct ckpt_progress *chain_progress(struct chain_progress *p)
{
    return p->to && p->to->step ? &p->each : NULL;
}

enum err ckpt_verify_chain(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                           const struct ckpt_progress *progress)
{
    static const struct ckpt_visitor nobody;
    struct ckpt_walked walked; /* 808 bytes */
    struct ckpt_layout layout; /* 648 */
    struct chain_progress p;
    s->verified_seed = 0;
    enum err err = format_is_rest(e) ? E_NOTFOUND : chain_start(&p, s, e, progress);
    if (!err)
        err = ckpt_walk_on(s, e, visitor, chain_progress(&p), &walked);
    if (!err)
        layout = walked.meta.layout;
    for (const struct disk_entry *at = e; !err;) {
        p.before += at->stream_bytes;
        err = parent_of(s, at, &at);
        if (err || !at)
            break;
        err = ckpt_walk_on(s, at, &nobody, chain_progress(&p), &walked);
        if (!err && memcmp(&layout, &walked.meta.layout, sizeof layout)) {
            log_line("store", "checkpoint %lu builds on %lu, which has another layout", e->id, at->id);
            err = E_CHECKSUM;
        }
    }
    if (!err)
        s->verified_seed = e->seed;
    return err;
}

enum err ckpt_verify(struct store *s, uint64_t id, const struct ckpt_progress *progress)
{
    static const struct ckpt_visitor nobody;
    const struct disk_entry *e = store_find(s, id);
    s->verified_seed = 0;
    return e ? ckpt_verify_chain(s, e, &nobody, progress) : E_NOTFOUND;
}

/* ---- loading ---- */

struct ram_load {
    struct ckpt_layout layout;
    bool layout_known;
    ckpt_page_writer page;
    void *ctx;
    uint8_t *seen; /* a bit per page number: done */
    size_t seen_bytes;
    bool touched;
};

size_t ckpt_seen_bytes(const struct ckpt_layout *layout)
{
    if (!layout->ram_count)
        return 0;
    const struct ckpt_range *last = &layout->ram[layout->ram_count - 1];
    return (size_t)(((last->base + last->bytes) / PAGE_BYTES + 7) / 8);
}

static enum err load_meta(void *ctx, const struct disk_meta *meta)
{
    struct ram_load *l = ctx;
    if (l->layout_known) /* a parent; it was the same when it was verified */
        return memcmp(&l->layout, &meta->layout, sizeof l->layout) ? E_CHECKSUM : E_OK;
    if (l->seen_bytes < ckpt_seen_bytes(&meta->layout))
        return E_NOMEM;
    l->layout = meta->layout;
    l->layout_known = true;
    memset(l->seen, 0, ckpt_seen_bytes(&l->layout));
    return E_OK;
}

/* One page, unless a newer checkpoint had it: content, or zeros for NULL. A page that is zero already is only read:
   cheaper everywhere. */
static enum err load_page(struct ram_load *l, uint64_t number, const uint8_t *content)
{
    uint8_t bit = (uint8_t)(1u << number % 8);
    if (l->seen[number / 8] & bit)
        return E_OK;
    void *to = l->page(l->ctx, (gpa_t){number * PAGE_BYTES});
    if (!to)
        return E_INTERNAL;
    l->seen[number / 8] |= bit;
    l->touched = true;
    if (content)
        memcpy(to, content, PAGE_BYTES);
    else if (!page_is_zero(to))
        memset(to, 0, PAGE_BYTES);
    return E_OK;
}

static enum err load_pages(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages)
{
    enum err e = E_OK;
    for (uint32_t i = 0; i < count && !e; i++)
        e = load_page(ctx, first + i, pages + i * PAGE_BYTES);
    return e;
}

static enum err load_zeros(void *ctx, uint64_t first, uint32_t count)
{
    enum err e = E_OK;
    for (uint32_t i = 0; i < count && !e; i++)
        e = load_page(ctx, first + i, NULL);
    return e;
}

static enum err load_chain(struct store *s, const struct disk_entry *e, struct ram_load *l,
                           const struct ckpt_progress *progress)
{
    const struct ckpt_visitor v = {.meta = load_meta, .pages = load_pages, .zeros = load_zeros, .ctx = l};
    struct page_cursor rest;
    struct chain_progress p;
    struct ckpt_walked walked; /* 808 bytes */
    uint64_t number;
    enum err err = chain_start(&p, s, e, progress);
    while (!err && e) {
        err = ckpt_walk_on(s, e, &v, chain_progress(&p), &walked);
        p.before += e->stream_bytes;
        if (!err)
            err = parent_of(s, e, &e);
    }
    if (err)
        return err;
    page_cursor_start(&rest, &l->layout);
    while (!err && page_cursor_step(&rest, &number))
        err = load_page(l, number, NULL);
    return err;
}

enum err ckpt_load_ram(struct store *s, uint64_t id, ckpt_page_writer page, void *ctx, uint8_t *seen, size_t seen_bytes,
                       bool *touched, const struct ckpt_progress *progress)
{
    const struct disk_entry *e = store_find(s, id);
    struct ram_load l = {.page = page, .ctx = ctx, .seen = seen, .seen_bytes = seen_bytes};
    *touched = false;
    if (!e)
        return E_NOTFOUND;
    enum err err = s->verified_seed == e->seed ? E_OK : ckpt_verify(s, e->id, NULL);
    if (err)
        return err;
    err = load_chain(s, e, &l, progress);
    *touched = l.touched;
    s->verified_seed = 0; /* one load per verification: the medium may change in between */
    return err;
}

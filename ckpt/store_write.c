/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See store_write.h. A write that fails is sticky: w->failed, so that no later call goes on behind a hole. */
#include "ckpt/store_write.h"

#include "bits.h"
#include "ckpt/hash.h"
#include "clock.h"
#include "log.h"

#include <string.h>

/* LZ4's acceleration. Of a booted Linux 1 takes 6.7 instructions a byte and leaves 55.5 %, 4 takes 4.4 and leaves 57.3 %, 16 takes
   2.9 and leaves 60.9 %. */
#define PACKS_BEST 4
#define PACKS_FASTEST 16
#define DISK_IS_SLOWER_US 500u

static enum err fail(struct ckpt_writer *w, enum err e)
{
    if (e && !w->failed)
        w->failed = e;
    return w->failed;
}

static enum err wait_disk(struct ckpt_writer *w)
{
    if (!w->in_flight)
        return E_OK;
    w->in_flight = false;
    uint64_t start = clock_us();
    enum err e = block_finish(&w->store->part);
    uint64_t waited = clock_us() - start;
    w->wait_us += waited;
    /* Packing well pays while there is time for it. */
    int *a = &w->extent.acceleration;
    if (waited > DISK_IS_SLOWER_US)
        *a = *a > PACKS_BEST ? *a / 2 : PACKS_BEST;
    else
        *a = *a < PACKS_FASTEST ? *a * 2 : PACKS_FASTEST;
    return e;
}

/* Claim the largest free run for what comes next. */
static enum err claim_run(struct ckpt_writer *w)
{
    struct disk_run gap = store_largest_gap(w->store, &w->entry);
    if (!gap.count)
        return E_FULL;
    w->run_room = gap.count;
    const struct disk_run *last = w->entry.run_count ? &w->entry.runs[w->entry.run_count - 1] : NULL;
    if (last && last->first + last->count == gap.first)
        return E_OK; /* it grows */
    if (w->entry.run_count == STORE_RUNS_MAX)
        return E_FULL;
    w->entry.runs[w->entry.run_count++] = (struct disk_run){gap.first, 0};
    return E_OK;
}

/* Send the filled buffer on its way and turn to the other one, which is idle: only one write is ever in flight. */
static enum err send_buffer(struct ckpt_writer *w)
{
    uint8_t *from = w->store->io[w->buffer];
    uint64_t blocks = align_up(w->fill, STORE_BLOCK_BYTES) / STORE_BLOCK_BYTES;
    memset(from + w->fill, 0, blocks * STORE_BLOCK_BYTES - w->fill);
    while (blocks) {
        enum err e = w->run_room ? E_OK : claim_run(w);
        if (!e)
            e = wait_disk(w);
        if (e)
            return e;
        struct disk_run *run = &w->entry.runs[w->entry.run_count - 1];
        uint64_t n = min_u64(blocks, w->run_room);
        e = block_begin_write(&w->store->part, (run->first + run->count) * STORE_BLOCK_SECTORS,
                              (uint32_t)n * STORE_BLOCK_SECTORS, from);
        if (e)
            return e;
        w->in_flight = true;
        run->count += n;
        w->run_room -= n;
        blocks -= n;
        from += n * STORE_BLOCK_BYTES;
    }
    w->fill = 0;
    if (w->appends)
        return wait_disk(w);
    w->buffer ^= 1;
    return E_OK;
}

static enum err append(struct ckpt_writer *w, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    uint32_t room_bytes = w->store->io_blocks * STORE_BLOCK_BYTES;
    w->entry.stream_bytes += bytes;
    while (bytes) {
        size_t n = min_u64(bytes, room_bytes - w->fill);
        memcpy(w->store->io[w->buffer] + w->fill, from, n);
        w->fill += (uint32_t)n;
        from += n;
        bytes -= n;
        if (w->fill == room_bytes) {
            enum err e = send_buffer(w);
            if (e)
                return e;
        }
    }
    return E_OK;
}

/* record: type, version, name and counts set by the caller. payload: room for SEAL_BYTES behind it; in an encrypted store
   it is sealed where it is, and META stays readable. */
static enum err put_record(struct ckpt_writer *w, struct disk_record *record, void *payload)
{
    static const uint8_t padding[RECORD_ALIGN];
    struct store *s = w->store;
    size_t bytes = record->payload_bytes;
    enum err e = E_OK;
    record->magic = RECORD_MAGIC;
    record->checkpoint = w->entry.id;
    record->sequence = w->sequence++;
    if (s->key) {
        record->payload_bytes += SEAL_BYTES;
        struct record_binding with = format_bind_record(record, w->entry.seed, s->uuid);
        e = seal_close(s->key, s->generation, (struct seal_binding){&with, sizeof with}, payload, bytes,
                       record->type == RECORD_META ? bytes : 0);
    }
    format_seal_record(record, payload, w->entry.seed);
    if (!e)
        e = append(w, record, sizeof *record);
    if (!e)
        e = append(w, payload, record->payload_bytes);
    if (!e)
        e = append(w, padding, align_up(record->payload_bytes, RECORD_ALIGN) - record->payload_bytes);
    return fail(w, e);
}

static void copy_label(char to[STORE_LABEL_BYTES], const char *label)
{
    memset(to, 0, STORE_LABEL_BYTES);
    for (size_t i = 0; label && label[i] && i < STORE_LABEL_BYTES - 1; i++)
        to[i] = label[i] >= ' ' && label[i] <= '~' ? label[i] : '?';
}

/* Different for every attempt, so that what an earlier one left behind never passes for ours. */
static uint64_t fresh_seed(struct store *s, int64_t time)
{
    struct {
        uint8_t uuid[16];
        uint64_t id, generation, attempt, clock;
        int64_t time;
    } in = {.id = s->next_id, .generation = s->generation, .attempt = ++s->attempts, .clock = clock_us(), .time = time};
    memcpy(in.uuid, s->uuid, sizeof in.uuid);
    uint64_t seed = hash64(&in, sizeof in, 0);
    return seed ? seed : 1; /* 0 means "none verified" in struct store */
}

static enum err check_parent(const struct store *s, const struct ckpt_meta *meta)
{
    if (meta->kind != (meta->parent ? CKPT_INCREMENTAL : CKPT_FULL))
        return E_INTERNAL;
    if (!meta->parent)
        return E_OK;
    uint32_t length = store_chain_length(s, meta->parent);
    return !length || format_is_rest(store_find(s, meta->parent)) ? E_NOTFOUND
           : length >= STORE_CHAIN_MAX                            ? E_FULL
                                                                  : E_OK;
}

enum err ckpt_begin(struct ckpt_writer *w, struct store *s, const struct ckpt_meta *meta)
{
    memset(w, 0, sizeof *w);
    if (s->writing)
        return fail(w, E_BUSY);
    enum err e = store_locked(s) ? E_KEY : format_check_layout(meta->layout);
    if (!e)
        e = check_parent(s, meta);
    if (!e && s->count == STORE_TABLE_MAX)
        e = E_FULL;
    if (!e)
        e = store_sync(s);
    if (e)
        return fail(w, e);
    w->store = s;
    w->layout = meta->layout;
    w->extent.stage = s->stage;
    w->extent.acceleration = PACKS_BEST;
    w->entry = (struct disk_entry){.id = s->next_id,
                                   .parent = meta->parent,
                                   .kind = meta->kind,
                                   .disk = meta->disk,
                                   .features_required = (meta->parent ? ENTRY_FEATURE_PARENT : 0) |
                                                        (s->sealed ? ENTRY_FEATURE_SEALED : 0),
                                   .time = meta->time,
                                   .seed = fresh_seed(s, meta->time),
                                   .flags = meta->flags};
    copy_label(w->entry.label, meta->label);
    s->writing = true;
    e = claim_run(w);
    if (e) {
        fail(w, e);
        ckpt_abort(w);
        return e;
    }
    struct disk_meta *m = (struct disk_meta *)(void *)s->payload;
    *m = (struct disk_meta){.version = STORE_VERSION,
                            .kind = w->entry.kind,
                            .id = w->entry.id,
                            .parent = w->entry.parent,
                            .time = w->entry.time,
                            .disk = w->entry.disk,
                            .layout = *meta->layout};
    memcpy(m->label, w->entry.label, sizeof m->label);
    struct disk_record r = {.type = RECORD_META, .version = 1, .payload_bytes = sizeof *m};
    e = put_record(w, &r, m);
    if (e)
        ckpt_abort(w);
    return e;
}

enum err ckpt_put_section(struct ckpt_writer *w, const char *name, uint16_t version, const void *data, size_t bytes)
{
    if (w->failed)
        return w->failed;
    if (bytes > SECTION_BYTES_MAX || w->next_page)
        return fail(w, E_INTERNAL);
    struct disk_record r = {.type = RECORD_SECTION, .version = version, .payload_bytes = (uint32_t)bytes};
    for (size_t i = 0; i < RECORD_NAME_BYTES && name[i]; i++)
        r.name[i] = name[i];
    w->totals.sections++;
    memcpy(w->store->payload, data, bytes);
    return put_record(w, &r, w->store->payload);
}

static enum err put_extent(struct ckpt_writer *w)
{
    struct disk_record r = {.type = RECORD_PAGES, .version = 1};
    if (!w->extent.pages)
        return E_OK;
    w->totals.extents++;
    w->totals.raw_bytes += w->extent.pages * PAGE_BYTES;
    extent_pack(&w->extent, &r, w->store->payload, w->store->lz4);
    return put_record(w, &r, w->store->payload);
}

/* The payload lies in w itself: the payload buffer may stay as it is. */
static enum err put_zeros(struct ckpt_writer *w)
{
    struct disk_record r = {.type = RECORD_PAGES, .version = 1, .flags = RECORD_FLAG_ZERO, .runs = w->zeros.count};
    if (!w->zeros.count)
        return E_OK;
    r.payload_bytes = (uint32_t)(w->zeros.count * sizeof w->zeros.run[0]);
    w->totals.extents++;
    w->zeros.count = 0;
    return put_record(w, &r, w->zeros.run);
}

static enum err put_zero_page(struct ckpt_writer *w, uint64_t page)
{
    w->totals.zero_pages++;
    if (!w->entry.parent || zero_runs_add(&w->zeros, page))
        return E_OK;
    enum err e = put_zeros(w);
    return e ? e : zero_runs_add(&w->zeros, page) ? E_OK : E_INTERNAL;
}

static enum err add_page(struct ckpt_writer *w, uint64_t page, const void *content)
{
    if (page < extent_end(&w->extent))
        w->entry.features_required |= ENTRY_FEATURE_ANY_ORDER | ENTRY_FEATURE_MIXED;
    w->totals.pages++;
    return extent_add(&w->extent, page, content) ? put_extent(w) : E_OK;
}

enum err ckpt_put_page(struct ckpt_writer *w, uint64_t page, const void *content)
{
    if (w->failed)
        return w->failed;
    if (!format_page_saved(w->layout, page) || page + 1 == w->next_page)
        return fail(w, E_INTERNAL);
    if (page < w->next_page)
        w->entry.features_required |= ENTRY_FEATURE_ANY_ORDER;
    w->next_page = page + 1;
    if (!content || page_is_zero(content))
        return fail(w, put_zero_page(w, page));
    return add_page(w, page, content);
}

enum err ckpt_skip_page(struct ckpt_writer *w, uint64_t page)
{
    if (w->failed)
        return w->failed;
    if (!w->entry.parent || !format_page_saved(w->layout, page))
        return fail(w, E_INTERNAL);
    w->totals.unchanged++;
    return E_OK;
}

enum err ckpt_put_ram(struct ckpt_writer *w, ckpt_page_reader page, void *ctx, const struct ckpt_progress *progress)
{
    if (w->failed)
        return w->failed;
    struct page_cursor c;
    uint64_t number, total = format_layout_pages(w->layout), done = 0;
    page_cursor_start(&c, w->layout);
    while (page_cursor_step(&c, &number)) {
        const void *content = page(ctx, (gpa_t){number * PAGE_BYTES});
        enum err e = content ? ckpt_put_page(w, number, content) : fail(w, E_INTERNAL);
        if (e)
            return e;
        if (progress && progress->step && ++done % EXTENT_PAGES_MAX == 0)
            progress->step(progress->ctx, done * PAGE_BYTES, total * PAGE_BYTES);
    }
    return put_extent(w);
}

/* The disk has all of it. An error, also the one that was there, has given up. */
static enum err finish_blocks(struct ckpt_writer *w, enum err e)
{
    if (!e && w->fill)
        e = send_buffer(w);
    if (!e)
        e = wait_disk(w);
    if (e) {
        fail(w, e);
        ckpt_abort(w);
        return e;
    }
    if (w->entry.runs[w->entry.run_count - 1].count == 0) /* claimed, and then nothing was left to write */
        w->entry.run_count--;
    return E_OK;
}

/* All that was put, the end, and the disk has it. An error has given up. */
static enum err finish_stream(struct ckpt_writer *w)
{
    const struct disk_end *t = &w->totals;
    enum err e = w->failed;
    if (!e && t->pages + t->zero_pages + t->unchanged != format_layout_pages(w->layout))
        e = fail(w, E_INTERNAL); /* ckpt_put_ram was left out */
    if (!e)
        e = put_extent(w);
    if (!e)
        e = put_zeros(w);
    if (!e) {
        struct disk_record r = {.type = RECORD_END, .version = 1, .payload_bytes = END_BYTES_FULL};
        if (w->entry.parent)
            r.payload_bytes = sizeof w->totals;
        memcpy(w->store->payload, &w->totals, sizeof w->totals);
        e = put_record(w, &r, w->store->payload);
    }
    e = finish_blocks(w, e);
    if (e)
        return e;
    w->entry.pages = w->totals.pages;
    w->entry.zero_pages = w->totals.zero_pages;
    return E_OK;
}

enum err ckpt_commit(struct ckpt_writer *w, uint64_t *id)
{
    if (!w->store)
        return fail(w, E_INTERNAL);
    enum err e = finish_stream(w);
    if (e)
        return e;
    e = store_commit_entry(w->store, &w->entry);
    w->store->writing = false;
    w->store = NULL;
    w->failed = e ? e : E_INTERNAL; /* whoever goes on writing after a commit */
    if (!e)
        *id = w->entry.id;
    return e;
}

void ckpt_abort(struct ckpt_writer *w)
{
    if (!w->store)
        return;
    enum err e = wait_disk(w);
    fail(w, e ? e : E_INTERNAL); /* E_INTERNAL: whoever goes on writing after an abort */
    log_line("store", "checkpoint %lu given up: %s", w->entry.id, err_name(w->failed));
    w->store->writing = false;
    w->store = NULL;
}

/* ---- another segment of one that is there ---- */

void ckpt_append_begin(struct ckpt_writer *w, struct store *s, const struct disk_entry *entry,
                       const struct ckpt_layout *layout, const struct disk_end *totals, uint32_t sequence)
{
    *w = (struct ckpt_writer){.store = s,
                              .entry = *entry,
                              .extent = {.stage = s->stage, .acceleration = PACKS_BEST},
                              .totals = *totals,
                              .layout = layout,
                              .sequence = sequence,
                              .buffer = 1,
                              .appends = true};
    w->entry.stream_bytes = align_up(w->entry.stream_bytes, STORE_BLOCK_BYTES);
    w->entry.features_required |= ENTRY_FEATURE_ANY_ORDER | ENTRY_FEATURE_MERGED;
    s->writing = true;
}

enum err ckpt_append_page(struct ckpt_writer *w, uint64_t page, const void *content)
{
    w->totals.unchanged--;
    return add_page(w, page, content);
}

enum err ckpt_append_zero(struct ckpt_writer *w, uint64_t page)
{
    w->totals.unchanged--;
    return put_zero_page(w, page);
}

enum err ckpt_append_gathered(struct ckpt_writer *w)
{
    return put_extent(w);
}

enum err ckpt_append_end(struct ckpt_writer *w)
{
    enum err e = finish_stream(w);
    if (e)
        return e;
    w->store->writing = false;
    w->store = NULL;
    return E_OK;
}

/* ---- what another store has ---- */

void ckpt_copy_begin(struct ckpt_writer *w, struct store *s, const struct disk_entry *entry)
{
    *w = (struct ckpt_writer){.store = s, .entry = *entry, .sequence = entry->rest_sequence};
    w->entry.features_required &= ~ENTRY_FEATURE_SEALED;
    w->entry.features_required |= s->sealed ? ENTRY_FEATURE_SEALED : 0;
    w->entry.stream_bytes = w->entry.rest_offset = w->entry.run_count = 0;
    memset(w->entry.runs, 0, sizeof w->entry.runs);
    s->writing = true;
}

enum err ckpt_copy_record(struct ckpt_writer *w, const struct disk_record *record, void *payload, bool segment_ends)
{
    static const uint8_t padding[RECORD_ALIGN];
    struct disk_record r = *record;
    enum err e = put_record(w, &r, payload);
    while (!e && segment_ends && w->entry.stream_bytes % STORE_BLOCK_BYTES)
        e = fail(w, append(w, padding, sizeof padding));
    return e;
}

enum err ckpt_copy_end(struct ckpt_writer *w)
{
    enum err e = finish_blocks(w, w->failed);
    if (e)
        return e;
    w->store->writing = false;
    w->store = NULL;
    return E_OK;
}

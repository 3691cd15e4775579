/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See store_read.h. A walk is a small state machine over record types: META, SECTIONs, PAGES, END; anything else
   or in another order is E_CHECKSUM, because a writer never makes it. */
#include "ckpt/store_read.h"

#include "bits.h"
#include "log.h"
#include "str.h"

#include <string.h>

/* A position in a checkpoint's stream: io[0] holds the part [low, high) of it. */
struct stream {
    struct store *store;
    const struct disk_entry *entry;
    uint64_t at, low, high;
    uint32_t run; /* the next block to read: run and block in it */
    uint64_t in_run;
    const struct ckpt_progress *progress;
};

static enum err refill(struct stream *st)
{
    if (st->run >= st->entry->run_count)
        return E_TRUNCATED;
    const struct disk_run *run = &st->entry->runs[st->run];
    uint64_t n = min_u64(st->store->io_blocks, run->count - st->in_run);
    enum err e = block_read(&st->store->part, (run->first + st->in_run) * STORE_BLOCK_SECTORS, n * STORE_BLOCK_SECTORS,
                            st->store->io[0]);
    if (e)
        return e;
    st->low = st->high;
    st->high += n * STORE_BLOCK_BYTES;
    st->in_run += n;
    if (st->in_run == run->count) {
        st->run++;
        st->in_run = 0;
    }
    if (st->progress && st->progress->step)
        st->progress->step(st->progress->ctx, min_u64(st->high, st->entry->stream_bytes), st->entry->stream_bytes);
    return E_OK;
}

static enum err take(struct stream *st, void *out, size_t bytes)
{
    uint8_t *to = out;
    if (bytes > st->entry->stream_bytes - st->at)
        return E_TRUNCATED;
    while (bytes) {
        if (st->at == st->high) {
            enum err e = refill(st);
            if (e)
                return e;
        }
        size_t n = min_u64(bytes, st->high - st->at);
        memcpy(to, st->store->io[0] + (st->at - st->low), n);
        st->at += n;
        to += n;
        bytes -= n;
    }
    return E_OK;
}

struct walk {
    struct stream stream;
    struct disk_record record;
    uint32_t sequence, last_type;
    struct ckpt_walked *out;
    struct disk_meta *meta;     /* in it: a copy behind the payload buffer's use */
    uint64_t floor, zero_floor; /* pages below have been seen: with content, zero */
    uint64_t zeros;             /* pages named by records of zero runs */
    struct disk_end totals;
};

/* From here on the record is as in a store that is not encrypted. Without the key META is, and the others are only found
   to be what was written. */
static enum err open_record(struct walk *w)
{
    struct store *s = w->stream.store;
    uint64_t seed = w->stream.entry->seed;
    enum err e = format_check_payload(&w->record, s->payload, seed);
    if (e || !s->sealed)
        return e;
    struct record_binding with = format_bind_record(&w->record, seed, s->uuid);
    size_t bytes = w->record.payload_bytes -= SEAL_BYTES;
    return s->key ? seal_open(s->key, (struct seal_binding){&with, sizeof with}, s->payload, bytes,
                              w->record.type == RECORD_META ? bytes : 0, s->payload + bytes)
                  : E_OK;
}

/* The next record, header and payload checked; its payload is in store->payload. */
static enum err next_record(struct walk *w)
{
    struct store *s = w->stream.store;
    uint8_t padding[RECORD_ALIGN] = {0};
    enum err e = take(&w->stream, &w->record, sizeof w->record);
    if (!e)
        e = format_check_record(&w->record, w->stream.entry, w->sequence);
    if (!e)
        e = take(&w->stream, s->payload, w->record.payload_bytes);
    if (!e)
        e = take(&w->stream, padding, align_up(w->record.payload_bytes, RECORD_ALIGN) - w->record.payload_bytes);
    if (!e && load64(padding))
        e = E_CHECKSUM;
    if (!e)
        e = open_record(w);
    w->out->sequence = ++w->sequence;
    w->out->at = w->stream.at;
    return e;
}

static bool has_feature(const struct walk *w, uint64_t feature)
{
    return (w->stream.entry->features_required & feature) != 0;
}

/* Written as an incremental one, whatever it stands on now. */
static bool names_zeros(const struct walk *w)
{
    return w->stream.entry->parent || has_feature(w, ENTRY_FEATURE_MERGED);
}

static enum err on_meta(struct walk *w, const struct ckpt_visitor *v)
{
    const struct disk_entry *e = w->stream.entry;
    if (w->record.version != 1)
        return E_STOREVERSION;
    if (w->record.payload_bytes != sizeof *w->meta)
        return E_CHECKSUM;
    memcpy(w->meta, w->stream.store->payload, sizeof *w->meta);
    if (w->meta->version != STORE_VERSION)
        return E_STOREVERSION;
    bool moved = has_feature(w, ENTRY_FEATURE_MERGED);
    if (w->meta->id != e->id || format_check_layout(&w->meta->layout) ||
        (!moved && (w->meta->parent != e->parent || w->meta->kind != e->kind)))
        return E_CHECKSUM;
    return v->meta ? v->meta(v->ctx, w->meta) : E_OK;
}

/* A full checkpoint has no use for them: what it does not have is zero. */
static enum err on_zeros(struct walk *w, const struct ckpt_visitor *v)
{
    struct store *s = w->stream.store;
    uint64_t pages = 0;
    if (!names_zeros(w))
        return E_CHECKSUM;
    enum err e = zero_runs_check(&w->meta->layout, &w->record, s->payload, &w->zero_floor, &pages);
    w->zeros += pages;
    for (uint32_t i = 0; v->zeros && !e && i < w->record.runs; i++) {
        struct disk_page_run run = pages_run_at(s->payload, i);
        e = v->zeros(v->ctx, run.first, run.count);
    }
    return e;
}

static enum err on_pages(struct walk *w, const struct ckpt_visitor *v)
{
    struct store *s = w->stream.store;
    uint32_t offset = 0;
    if (has_feature(w, ENTRY_FEATURE_ANY_ORDER))
        w->floor = w->zero_floor = 0;
    w->totals.extents++;
    if (w->record.flags & RECORD_FLAG_ZERO)
        return on_zeros(w, v);
    uint64_t *floor = has_feature(w, ENTRY_FEATURE_MIXED) ? NULL : &w->floor;
    enum err e = extent_unpack(&w->meta->layout, &w->record, s->payload, floor, s->stage);
    if (e)
        return e;
    w->totals.pages += w->record.pages;
    w->totals.raw_bytes += w->record.pages * PAGE_BYTES;
    for (uint32_t i = 0; v->pages && !e && i < w->record.runs; i++) {
        struct disk_page_run run = pages_run_at(s->payload, i);
        e = v->pages(v->ctx, run.first, run.count, s->stage + offset);
        offset += run.count * PAGE_BYTES;
    }
    return e;
}

/* Of a rest nobody has the records before, so its counts say nothing. Behind the end of a segment, at the next block,
   another one may follow; its counts go on. */
static enum err on_end(struct walk *w)
{
    const struct disk_entry *e = w->stream.entry;
    struct disk_end end = {0};
    uint64_t all = format_layout_pages(&w->meta->layout), found = w->totals.pages + w->zeros;
    uint64_t next = align_up(w->stream.at, STORE_BLOCK_BYTES);
    bool last = w->stream.at == e->stream_bytes, rest = has_feature(w, ENTRY_FEATURE_REST);
    if (!last && (!has_feature(w, ENTRY_FEATURE_MERGED) || next >= e->stream_bytes))
        return E_CHECKSUM;
    if (!last) {
        w->stream.at = next;
        w->last_type = RECORD_PAGES;
    }
    if (rest || store_locked(w->stream.store))
        return E_OK;
    if (found > all || w->record.payload_bytes != (names_zeros(w) ? sizeof end : END_BYTES_FULL))
        return E_CHECKSUM;
    memcpy(&end, w->stream.store->payload, w->record.payload_bytes);
    w->totals.zero_pages = names_zeros(w) ? w->zeros : all - found;
    w->totals.unchanged = names_zeros(w) ? all - found : 0;
    w->out->totals = w->totals;
    if (memcmp(&end, &w->totals, sizeof end) || (last && (end.pages != e->pages || end.zero_pages != e->zero_pages)))
        return E_CHECKSUM;
    return E_OK;
}

static enum err on_record(struct walk *w, const struct ckpt_visitor *v)
{
    uint32_t type = w->record.type, last = w->last_type;
    w->last_type = type;
    if ((last == 0) != (type == RECORD_META) || type < last)
        return E_CHECKSUM;
    if (store_locked(w->stream.store) && (type == RECORD_SECTION || type == RECORD_PAGES))
        return E_OK;
    switch (type) {
    case RECORD_META:
        return on_meta(w, v);
    case RECORD_SECTION:
        w->totals.sections++;
        return v->section ? v->section(v->ctx, &w->record, w->stream.store->payload) : E_OK;
    case RECORD_PAGES: {
        enum err e = on_pages(w, v);
        return !e && v->record_done ? v->record_done(v->ctx) : e;
    }
    case RECORD_END:
        return on_end(w);
    default:
        return E_STOREVERSION;
    }
}

enum err ckpt_walk_on(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                      const struct ckpt_progress *progress, struct ckpt_walked *walked)
{
    struct walk w = {.stream = {.store = s, .entry = e, .progress = progress}, .out = walked, .meta = &walked->meta};
    if (s->writing && !visitor->beside_writer) /* they share the buffers */
        return E_BUSY;
    if (format_is_rest(e)) {
        enum err err = refill(&w.stream);
        if (err)
            return err;
        w.stream.at = e->rest_offset;
        w.sequence = e->rest_sequence;
        w.last_type = RECORD_PAGES;
    }
    while (w.last_type != RECORD_END) { /* ends: every record takes at least its header from a stream of known length */
        enum err err = next_record(&w);
        bool damaged = err != E_OK;
        if (!err) {
            err = on_record(&w, visitor);
            damaged = err == E_CHECKSUM;
            if (!err && visitor->record)
                err = visitor->record(visitor->ctx, &w.record, s->payload, w.out->at);
        }
        if (damaged)
            log_line("store", "checkpoint %lu record %u near byte %lu: %s", e->id, w.sequence - 1, w.stream.at,
                     err_name(err));
        if (err)
            return err;
    }
    return store_locked(s) ? E_KEY : E_OK;
}

enum err ckpt_walk(struct store *s, const struct disk_entry *e, const struct ckpt_visitor *visitor,
                   const struct ckpt_progress *progress)
{
    struct ckpt_walked walked; /* 808 bytes */
    return format_is_rest(e) ? E_NOTFOUND : ckpt_walk_on(s, e, visitor, progress, &walked);
}

/* ---- looking for one thing: the visitor stops the walk with E_ALREADY once it has it ---- */

static enum err grab_meta(void *ctx, const struct disk_meta *meta)
{
    memcpy(ctx, meta, sizeof *meta);
    return E_ALREADY;
}

enum err ckpt_read_meta(struct store *s, uint64_t id, struct disk_meta *meta)
{
    const struct disk_entry *e = store_find(s, id);
    struct ckpt_visitor v = {.meta = grab_meta, .ctx = meta};
    if (!e)
        return E_NOTFOUND;
    enum err err = ckpt_walk(s, e, &v, NULL);
    return err == E_ALREADY ? E_OK : err;
}

struct section_search {
    char name[RECORD_NAME_BYTES];
    void *data;
    size_t room, bytes;
    uint16_t version;
};

static enum err grab_section(void *ctx, const struct disk_record *record, const void *data)
{
    struct section_search *search = ctx;
    if (memcmp(search->name, record->name, RECORD_NAME_BYTES))
        return E_OK;
    search->bytes = record->payload_bytes;
    search->version = record->version;
    if (search->bytes > search->room)
        return E_NOMEM;
    memcpy(search->data, data, search->bytes);
    return E_ALREADY;
}

static enum err no_sections_left(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages)
{
    (void)ctx, (void)first, (void)count, (void)pages;
    return E_NOTFOUND;
}

enum err ckpt_read_section(struct store *s, uint64_t id, const char *name, void *data, size_t room, size_t *bytes,
                           uint16_t *version)
{
    const struct disk_entry *e = store_find(s, id);
    struct section_search search = {.data = data, .room = room};
    struct ckpt_visitor v = {.section = grab_section, .pages = no_sections_left, .ctx = &search};
    if (!e)
        return E_NOTFOUND;
    for (size_t i = 0; i < RECORD_NAME_BYTES && name[i]; i++)
        search.name[i] = name[i];
    enum err err = ckpt_walk(s, e, &v, NULL);
    *bytes = search.bytes;
    *version = search.version;
    return err == E_ALREADY ? E_OK : err ? err : E_NOTFOUND;
}

/* ---- layouts ---- */

static enum err differ(char *why, size_t len, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum err differ(char *why, size_t len, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vformat(why, len, fmt, args);
    va_end(args);
    return E_LAYOUT;
}

enum err ckpt_check_layout(const struct ckpt_layout *there, const struct ckpt_layout *here, char *why, size_t why_len)
{
    if (strncmp(there->backend, here->backend, sizeof there->backend))
        return differ(why, why_len, "the checkpoint was taken with the %.8s backend, this machine uses %.8s",
                      there->backend, here->backend);
    if (strncmp(there->cpu_vendor, here->cpu_vendor, sizeof there->cpu_vendor))
        return differ(why, why_len, "CPU vendor: %.16s in the checkpoint, %.16s here", there->cpu_vendor,
                      here->cpu_vendor);
    if (there->cpu_signature != here->cpu_signature)
        return differ(why, why_len, "CPU model (CPUID.1 EAX): %#x in the checkpoint, %#x here", there->cpu_signature,
                      here->cpu_signature);
    for (uint32_t i = 0; i < CKPT_FEATURE_WORDS; i++)
        if (there->cpu_features[i] != here->cpu_features[i])
            return differ(why, why_len, "CPU feature word %u: %#x in the checkpoint, %#x here", i,
                          there->cpu_features[i], here->cpu_features[i]);
    if (there->cpu_count != here->cpu_count)
        return differ(why, why_len, "CPUs: %u in the checkpoint, %u here", there->cpu_count, here->cpu_count);
    if (there->ram_count != here->ram_count)
        return differ(why, why_len, "RAM ranges: %u in the checkpoint, %u here", there->ram_count, here->ram_count);
    for (uint32_t i = 0; i < there->ram_count && i < CKPT_RANGES_MAX; i++) {
        const struct ckpt_range *a = &there->ram[i], *b = &here->ram[i];
        if (a->base != b->base || a->bytes != b->bytes)
            return differ(why, why_len, "RAM range %u: %#lx + %#lx bytes in the checkpoint, %#lx + %#lx here", i,
                          a->base, a->bytes, b->base, b->bytes);
    }
    if (there->hidden.base != here->hidden.base || there->hidden.bytes != here->hidden.bytes)
        return differ(why, why_len, "hidden range: %#lx + %#lx bytes in the checkpoint, %#lx + %#lx here",
                      there->hidden.base, there->hidden.bytes, here->hidden.base, here->hidden.bytes);
    if (there->device_hash != here->device_hash)
        return differ(why, why_len, "the list of PCI devices differs (%#lx in the checkpoint, %#lx here)",
                      there->device_hash, here->device_hash);
    if (why_len)
        why[0] = 0;
    return E_OK;
}

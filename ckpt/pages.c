/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See pages.h. Pages are copied before they are compressed: a device that writes to one meanwhile can tear its
   content, but never makes an extent that does not unpack. */
#include "ckpt/pages.h"

#include "bits.h"

#include <lz4.h>
#include <string.h>

void page_copy(void *to, const void *from)
{
    typedef uint64_t __attribute__((may_alias)) word;
    word *t = to;
    const word *f = from;
    for (size_t i = 0; i < PAGE_BYTES / sizeof *t; i += 8) {
        t[i] = f[i];
        t[i + 1] = f[i + 1];
        t[i + 2] = f[i + 2];
        t[i + 3] = f[i + 3];
        t[i + 4] = f[i + 4];
        t[i + 5] = f[i + 5];
        t[i + 6] = f[i + 6];
        t[i + 7] = f[i + 7];
    }
}

bool page_is_zero(const void *page)
{
    typedef uint64_t __attribute__((may_alias)) word;
    const word *p = page;
    for (size_t i = 0; i < PAGE_BYTES / sizeof *p; i += 8)
        if (p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] | p[i + 7])
            return false;
    return true;
}

size_t pages_lz4_state_bytes(void)
{
    return (size_t)LZ4_sizeofState();
}

bool extent_add(struct extent *x, uint64_t page, const void *content)
{
    struct disk_page_run *last = x->run_count ? &x->runs[x->run_count - 1] : NULL;
    uint8_t *to = x->stage + x->pages * PAGE_BYTES;
    if (to != content)
        page_copy(to, content);
    if (last && last->first + last->count == page)
        last->count++;
    else
        x->runs[x->run_count++] = (struct disk_page_run){.first = page, .count = 1};
    return ++x->pages == EXTENT_PAGES_MAX;
}

uint64_t extent_end(const struct extent *x)
{
    if (!x->run_count)
        return 0;
    const struct disk_page_run *last = &x->runs[x->run_count - 1];
    return last->first + last->count;
}

void extent_pack(struct extent *x, struct disk_record *record, uint8_t *out, void *lz4_state)
{
    size_t head = x->run_count * sizeof x->runs[0], raw = x->pages * PAGE_BYTES;
    memcpy(out, x->runs, head);
    /* A destination one byte short of raw: LZ4 gives 0 when the result would not be smaller. */
    int packed = LZ4_compress_fast_extState(lz4_state, (const char *)x->stage, (char *)out + head, (int)raw,
                                            (int)raw - 1, x->acceleration);
    if (packed > 0) {
        record->flags = RECORD_FLAG_LZ4;
        record->payload_bytes = (uint32_t)(head + (size_t)packed);
    } else {
        memcpy(out + head, x->stage, raw);
        record->flags = 0;
        record->payload_bytes = (uint32_t)(head + raw);
    }
    record->pages = x->pages;
    record->runs = x->run_count;
    x->pages = x->run_count = 0;
}

struct disk_page_run pages_run_at(const uint8_t *payload, uint32_t i)
{
    struct disk_page_run run;
    memcpy(&run, payload + i * sizeof run, sizeof run);
    return run;
}

/* Leave the hidden range and finished ranges behind. */
static void cursor_settle(struct page_cursor *c)
{
    while (c->range < c->layout->ram_count) {
        const struct ckpt_range *r = &c->layout->ram[c->range];
        if (c->next >= (r->base + r->bytes) / PAGE_BYTES) {
            if (++c->range < c->layout->ram_count)
                c->next = c->layout->ram[c->range].base / PAGE_BYTES;
        } else if (format_page_hidden(c->layout, c->next)) {
            c->next = (c->layout->hidden.base + c->layout->hidden.bytes) / PAGE_BYTES;
        } else {
            return;
        }
    }
}

void page_cursor_start(struct page_cursor *c, const struct ckpt_layout *layout)
{
    *c = (struct page_cursor){.layout = layout, .next = layout->ram[0].base / PAGE_BYTES};
    cursor_settle(c);
}

bool page_cursor_step(struct page_cursor *c, uint64_t *page)
{
    if (c->range >= c->layout->ram_count)
        return false;
    *page = c->next++;
    cursor_settle(c);
    return true;
}

/* A run may go on from one range into the next where the two touch. */
static bool run_in_ram(const struct ckpt_layout *layout, const struct disk_page_run *run)
{
    uint64_t hidden_first = layout->hidden.base / PAGE_BYTES, hidden_count = layout->hidden.bytes / PAGE_BYTES;
    uint64_t end = run->first + run->count;
    if (hidden_count && run->first < hidden_first + hidden_count && hidden_first < end)
        return false;
    uint64_t at = run->first;
    for (uint32_t i = 0; i < layout->ram_count && at < end; i++) {
        const struct ckpt_range *r = &layout->ram[i];
        if (at >= r->base / PAGE_BYTES && at < (r->base + r->bytes) / PAGE_BYTES)
            at = (r->base + r->bytes) / PAGE_BYTES;
    }
    return at >= end;
}

static bool comes_twice(const uint8_t *payload, uint32_t i, const struct disk_page_run *run)
{
    for (uint32_t j = 0; j < i; j++) {
        struct disk_page_run other = pages_run_at(payload, j);
        if (run->first < other.first + other.count && other.first < run->first + run->count)
            return true;
    }
    return false;
}

/* The runs at the start of a payload that is long enough for them: ascending from *next on (NULL: in any order, but no
   page twice), in RAM, not hidden. */
static SELDOM bool runs_sane(const struct ckpt_layout *layout, const struct disk_record *record, const uint8_t *payload,
                             uint64_t *next, uint64_t *pages)
{
    *pages = 0;
    for (uint32_t i = 0; i < record->runs; i++) {
        struct disk_page_run run = pages_run_at(payload, i);
        if (run.count == 0 || run.first > UINT64_MAX / PAGE_BYTES - run.count || !run_in_ram(layout, &run) ||
            (next ? run.first < *next : comes_twice(payload, i, &run)))
            return false;
        if (next)
            *next = run.first + run.count;
        *pages += run.count;
    }
    return true;
}

SELDOM enum err extent_unpack(const struct ckpt_layout *layout, const struct disk_record *record,
                              const uint8_t *payload, uint64_t *floor, uint8_t *out)
{
    uint64_t pages, next = floor ? *floor : 0;
    if (record->pages == 0 || record->pages > EXTENT_PAGES_MAX || record->runs == 0 || record->runs > record->pages ||
        record->payload_bytes < record->runs * sizeof(struct disk_page_run) ||
        !runs_sane(layout, record, payload, floor ? &next : NULL, &pages) || pages != record->pages)
        return E_CHECKSUM;
    size_t head = record->runs * sizeof(struct disk_page_run), stored = record->payload_bytes - head;
    size_t raw = record->pages * PAGE_BYTES;
    if (record->flags == RECORD_FLAG_LZ4) {
        int got = LZ4_decompress_safe((const char *)payload + head, (char *)out, (int)stored, (int)raw);
        if (got < 0 || (size_t)got != raw)
            return E_CHECKSUM;
    } else if (record->flags == 0 && stored == raw) {
        memcpy(out, payload + head, raw);
    } else {
        return E_CHECKSUM;
    }
    if (floor)
        *floor = next;
    return E_OK;
}

bool zero_runs_add(struct zero_runs *z, uint64_t page)
{
    uint32_t at = z->count; /* of the first run above the page; pages mostly ascend, so look from the end */
    while (at && z->run[at - 1].first > page)
        at--;
    struct disk_page_run *below = at ? &z->run[at - 1] : NULL, *above = &z->run[at];
    if (below && below->first + below->count == page && below->count < UINT32_MAX) {
        below->count++;
    } else if (at < z->count && above->first == page + 1 && above->count < UINT32_MAX) {
        above->first--;
        above->count++;
    } else if (z->count == EXTENT_PAGES_MAX) {
        return false;
    } else {
        memmove(above + 1, above, (z->count - at) * sizeof *above);
        *above = (struct disk_page_run){.first = page, .count = 1};
        z->count++;
    }
    return true;
}

SELDOM enum err zero_runs_check(const struct ckpt_layout *layout, const struct disk_record *record,
                                const uint8_t *payload, uint64_t *floor, uint64_t *pages)
{
    uint64_t next = *floor;
    if (record->flags != RECORD_FLAG_ZERO || record->pages || record->runs == 0 || record->runs > EXTENT_PAGES_MAX ||
        record->payload_bytes != record->runs * sizeof(struct disk_page_run) ||
        !runs_sane(layout, record, payload, &next, pages))
        return E_CHECKSUM;
    *floor = next;
    return E_OK;
}

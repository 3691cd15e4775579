/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See save.h. Sections go first, because they are what a later reader wants without reading the memory. */
#include "ckpt/save.h"

#include "bits.h"
#include "clock.h"
#include "log.h"
#include "str.h"

#include <string.h>

#define STATE_ALIGN 64u /* every class may keep whatever it likes in its state */

size_t ckpt_devices_bytes(const struct dev_class *const *classes, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += align_up(classes[i]->bytes, STATE_ALIGN);
    return bytes;
}

void ckpt_clear(struct ckpt_devices *d)
{
    memset(d->mem, 0, d->room);
}

static enum err noted(const struct dev_class *c, enum err e)
{
    if (e)
        log_line("ckpt", "capture of %.8s: %s", c->name, err_name(e));
    return e;
}

enum err ckpt_capture(struct ckpt_devices *d, const struct dev_class *const *classes, size_t count)
{
    d->used = 0;
    d->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dev_class *c = classes[i];
        if (!c->present())
            continue;
        size_t bytes = align_up(c->bytes, STATE_ALIGN);
        if (d->count == CKPT_DEVICES_MAX || bytes > d->room - d->used) {
            log_line("ckpt", "device states take more than %lu bytes", d->room);
            return E_NOMEM;
        }
        uint8_t *state = d->mem + d->used;
        enum err e = noted(c, c->capture(state));
        if (e)
            return e;
        d->item[d->count].class = c;
        d->item[d->count++].state = state;
        d->used += bytes;
    }
    return E_OK;
}

enum err ckpt_capture_more(struct ckpt_devices *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct dev_class *c = d->item[i].class;
        enum err e = c->capture_more ? c->capture_more(d->item[i].state) : E_OK;
        if (e)
            return e == E_NOTYET ? e : noted(c, e);
    }
    return E_OK;
}

static enum err put_sections(struct ckpt_writer *w, const struct ckpt_layout *layout, const struct vcpu_state *cpus,
                             const struct ckpt_devices *devices)
{
    enum err e = E_OK;
    for (uint32_t i = 0; i < layout->cpu_count && !e; i++) {
        char name[RECORD_NAME_BYTES + 1];
        if (str_format(name, sizeof name, CKPT_SECTION_CPU "%u", i) > (int)RECORD_NAME_BYTES)
            return E_INTERNAL;
        e = ckpt_put_section(w, name, VCPU_STATE_VERSION, &cpus[i], sizeof cpus[i]);
    }
    for (uint32_t i = 0; i < devices->count && !e; i++) {
        const struct dev_class *c = devices->item[i].class;
        e = ckpt_put_section(w, c->name, c->version, devices->item[i].state, c->bytes);
    }
    return e;
}

static enum err put_taken(struct ckpt_writer *w, const struct ckpt_request *r)
{
    uint64_t page, total = format_layout_pages(r->meta.layout), done = 0;
    for (enum err e;;) { /* ends: each page comes once */
        const void *content;
        e = r->next(r->page_ctx, &page, &content);
        if (e == E_NOTFOUND)
            return E_OK;
        bool same = e == E_ALREADY || (!e && content && r->unchanged && r->unchanged(r->page_ctx, page, content));
        if (same)
            e = ckpt_skip_page(w, page);
        else if (!e)
            e = ckpt_put_page(w, page, content);
        if (e)
            return e;
        if (r->progress && r->progress->step && ++done % EXTENT_PAGES_MAX == 0)
            r->progress->step(r->progress->ctx, done * PAGE_BYTES, total * PAGE_BYTES);
    }
}

enum err ckpt_write(struct store *s, const struct ckpt_request *request, const struct vcpu_state *cpus,
                    const struct ckpt_devices *devices, struct ckpt_result *result)
{
    struct ckpt_writer w; /* about 3 KiB */
    uint64_t start = clock_us();
    memset(result, 0, sizeof *result);
    enum err e = ckpt_begin(&w, s, &request->meta);
    if (!e)
        e = put_sections(&w, request->meta.layout, cpus, devices);
    if (!e)
        e = request->next ? put_taken(&w, request)
                          : ckpt_put_ram(&w, request->page, request->page_ctx, request->progress);
    uint64_t commit = clock_us();
    result->wait_us = w.wait_us;
    if (!e)
        e = ckpt_commit(&w, &result->id);
    if (e) {
        ckpt_abort(&w);
        log_line("ckpt", "checkpoint failed: %s", err_name(e));
        return e;
    }
    result->pages = w.totals.pages;
    result->zero_pages = w.totals.zero_pages;
    result->unchanged_pages = w.totals.unchanged;
    result->bytes = store_entry_bytes(&w.entry);
    result->time_us = clock_us() - start;
    result->commit_us = clock_us() - commit;
    log_line("ckpt", "saved id=%lu pages=%lu zero=%lu bytes=%lu us=%lu wait_us=%lu commit_us=%lu", result->id,
             result->pages, result->zero_pages, result->bytes, result->time_us, result->wait_us, result->commit_us);
    return E_OK;
}

enum err ckpt_save(struct store *s, const struct ckpt_request *request, const struct vcpu_state *cpus,
                   struct ckpt_devices *devices, const struct dev_class *const *classes, size_t count,
                   struct ckpt_result *result)
{
    ckpt_clear(devices);
    enum err e = ckpt_capture(devices, classes, count);
    if (!e)
        do
            e = ckpt_capture_more(devices);
        while (e == E_NOTYET);
    return e ? e : ckpt_write(s, request, cpus, devices, result);
}

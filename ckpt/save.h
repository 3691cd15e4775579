/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Taking a checkpoint in two steps: ckpt_capture while the guest is stopped (devices, short), then ckpt_write
   (CPUs, devices, memory to the store; today the guest stays stopped for it too). Talks to hardware only through the
   device classes and the page callback it is given. */
#ifndef SOJOURN_CKPT_SAVE_H
#define SOJOURN_CKPT_SAVE_H

#include "ckpt/store_write.h"
#include "dev_class.h"
#include "vcpu_state.h"

#define CKPT_DEVICES_MAX 32u
#define CKPT_SECTION_CPU "cpu" /* followed by the CPU's index: "cpu0" */

/* Device states, captured or read back. The caller gives mem (64-byte aligned, room bytes) and zeroes the rest. */
struct ckpt_devices {
    uint8_t *mem;
    size_t room, used;
    uint32_t count;
    struct {
        const struct dev_class *class;
        uint8_t *state;
    } item[CKPT_DEVICES_MAX];
};

/* Room that ckpt_capture needs for these classes. */
size_t ckpt_devices_bytes(const struct dev_class *const *classes, size_t count);

/* Before each ckpt_capture(), not at it: mem is many pages. */
void ckpt_clear(struct ckpt_devices *d);

/* Guest stopped: every class that is present, in order. E_NOMEM: mem too small; or a class's own error, logged. */
enum err ckpt_capture(struct ckpt_devices *d, const struct dev_class *const *classes, size_t count) MUST_USE;

/* Guest stopped, again or still: one piece more of what a class left for later (dev_class.capture_more). Until it gives E_OK
   the states are not to be written. E_NOTYET: there is more; or a class's own error, logged. */
enum err ckpt_capture_more(struct ckpt_devices *d) MUST_USE;

struct ckpt_request {
    struct ckpt_meta meta; /* label, time, kind, disk, layout (cpu_count CPUs) */
    /* Memory, one of two ways. A guest that stays stopped: page. One that goes on: next gives the pages in any order, each
       once, with their content as of the cut (8-byte aligned; NULL: zeros); E_NOTFOUND ends it. */
    ckpt_page_reader page;
    enum err (*next)(void *ctx, uint64_t *page, const void **content);
    /* With next, NULL for a full one: is the page as it was in meta.parent? next may say so itself, by E_ALREADY. */
    bool (*unchanged)(void *ctx, uint64_t page, const void *content);
    void *page_ctx;
    const struct ckpt_progress *progress; /* may be NULL */
};

struct ckpt_result {
    uint64_t id;
    uint64_t pages, zero_pages;  /* 4 KiB each */
    uint64_t unchanged_pages;    /* as in the parent */
    uint64_t bytes;              /* written to the store for it */
    uint64_t time_us;            /* of ckpt_write, last flush included */
    uint64_t wait_us, commit_us; /* parts of it: waiting for the disk before the commit; the commit */
};

/* cpus: layout->cpu_count states. Any error: the store is as it was, nothing of the guest was changed. */
enum err ckpt_write(struct store *s, const struct ckpt_request *request, const struct vcpu_state *cpus,
                    const struct ckpt_devices *devices, struct ckpt_result *result) MUST_USE;

/* All steps in one. */
enum err ckpt_save(struct store *s, const struct ckpt_request *request, const struct vcpu_state *cpus,
                   struct ckpt_devices *devices, const struct dev_class *const *classes, size_t count,
                   struct ckpt_result *result) MUST_USE;

#endif

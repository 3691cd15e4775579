/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Restoring a checkpoint, in four steps that the caller takes in this order:
     ckpt_restore_check    reads and checks everything, parents included, changes nothing; refuses with a reason
     ckpt_restore_memory   quiesces the devices, then fills RAM; from here on there is no way back
     ckpt_restore_devices  in the classes' order: clocks, interrupt controllers, PCI, storage, the rest
     ckpt_restore_cpu      the state to load into each CPU, last
   A step out of order is E_INTERNAL. The guest is stopped, or there is none yet. */
#ifndef SOJOURN_CKPT_LOAD_H
#define SOJOURN_CKPT_LOAD_H

#include "ckpt/save.h"
#include "ckpt/store_read.h"

struct ckpt_restore {
    /* from the caller, before ckpt_restore_check */
    struct ckpt_devices devices; /* mem and room; ckpt_devices_bytes() says how much */
    struct vcpu_state *cpus;     /* layout->cpu_count of them */
    uint8_t *seen;               /* for ckpt_load_ram: seen_bytes, at least ckpt_seen_bytes(here) */
    size_t seen_bytes;
    const struct ckpt_progress *progress;

    struct store *store;
    uint64_t id;
    uint32_t cpu_count;
    enum { RESTORE_NONE, RESTORE_CHECKED, RESTORE_QUIESCED, RESTORE_MEMORY, RESTORE_DEVICES } step;
    struct disk_meta meta; /* label and time, for the console */
};

/* id or STORE_LATEST; here: this machine. Every error leaves all as it was, with the reason in why: E_NOTFOUND,
   E_CHECKSUM, E_TRUNCATED, E_IO, E_LAYOUT, E_STOREVERSION (a section of another version), E_DEVICE, E_NOMEM. */
enum err ckpt_restore_check(struct ckpt_restore *r, struct store *s, uint64_t id, const struct ckpt_layout *here,
                            const struct dev_class *const *classes, size_t count, char *why, size_t why_len) MUST_USE;

/* *touched: RAM was changed before the error, so that the guest that was there cannot go on. Devices may have been
   quiesced in any case. */
enum err ckpt_restore_memory(struct ckpt_restore *r, ckpt_page_writer page, void *ctx, bool *touched) MUST_USE;

enum err ckpt_restore_devices(struct ckpt_restore *r, const struct dev_restore_clock *clock) MUST_USE;

/* NULL: no such CPU, or out of order. */
const struct vcpu_state *ckpt_restore_cpu(const struct ckpt_restore *r, uint32_t cpu);

#endif

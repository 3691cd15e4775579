/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore delete: a checkpoint that nothing builds on goes at once, one in a chain by merging. UNITS are in
   sojstore.c. */
#include "ckpt/store_merge.h"
#include "tools/sojstore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A bit for each page up to 32 TiB. Few bytes in a store can speak of more than this computer could hold bits for. */
#define SEEN_MAX (1u << 30)

uint8_t *seen_alloc(const struct ckpt_layout *layout, uint64_t id, size_t *bytes)
{
    *bytes = ckpt_seen_bytes(layout);
    if (*bytes > SEEN_MAX) {
        say("%s: checkpoint %" PRIu64 " has memory above 32 TiB; use a sojstore made for that", opt.path, id);
        return NULL;
    }
    uint8_t *seen = malloc(*bytes);
    if (!seen)
        say("not enough memory; close other programs");
    return seen;
}

/* The one that builds on it takes over what it needs. */
static enum err take_out(uint64_t id)
{
    static struct ckpt_merge merge;
    struct disk_meta meta;
    const struct disk_entry *heir = store_heir(&store, id);
    enum err e = heir ? ckpt_read_meta(&store, heir->id, &meta) : E_BUSY;
    if (e)
        return e;
    size_t bytes;
    uint8_t *seen = seen_alloc(&meta.layout, id, &bytes);
    if (!seen)
        return E_NOMEM;
    const struct ckpt_progress *told = progress_begin("merging");
    e = ckpt_merge_begin(&merge, &store, id, seen, bytes, told);
    while (!e && !merge.done)
        e = ckpt_merge_step(&merge, MERGE_SLICE_BYTES, told);
    progress_end();
    free(seen);
    return e;
}

int do_delete(void)
{
    const struct disk_entry *e = find_checkpoint();
    if (!e)
        return EXIT_FAILURE;
    uint64_t id = e->id;
    enum err err = store_delete(&store, id);
    bool merged = err == E_BUSY;
    if (merged)
        err = take_out(id);
    if (err == E_BUSY)
        say("%s: several checkpoints build on %" PRIu64 ", or one next to it is being merged; delete that one first",
            opt.path, id);
    else if (err == E_PINNED)
        say("%s: checkpoint %" PRIu64 " is pinned; first, on Sojourn's console: pin %" PRIu64 " off", opt.path, id, id);
    else if (err)
        say("%s: checkpoint %" PRIu64 " was not deleted: %s", opt.path, id, err_text(err));
    else
        printf("checkpoint %" PRIu64 " deleted%s\n", id,
               merged ? "; what builds on it has taken over what it needs" : "");
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

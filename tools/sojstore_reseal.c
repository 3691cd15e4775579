/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore copy with another key, or from or to none: checkpoints go over record by record, each one opened,
   checked and sealed again, the segments and the rest of an interrupted merge included. UNITS are in sojstore.c. */
#include "tools/sojstore.h"

#include <inttypes.h>

struct reseal {
    struct ckpt_writer writer;
    uint64_t stream_bytes; /* of the one that is read */
};

static enum err take_record(void *ctx, const struct disk_record *record, uint8_t *payload, uint64_t at)
{
    struct reseal *r = ctx;
    return ckpt_copy_record(&r->writer, record, payload, record->type == RECORD_END && at < r->stream_bytes);
}

static enum err reseal_one(struct store *to, const struct disk_entry *e)
{
    static struct reseal r;
    static struct ckpt_walked walked;
    const struct ckpt_visitor v = {.record = take_record, .ctx = &r};
    /* A rest is read with the layout of the one that takes it over. */
    enum err err = format_is_rest(e) ? ckpt_read_meta(&store, store_heir(&store, e->id)->id, &walked.meta) : E_OK;
    if (err)
        return err;
    r.stream_bytes = e->stream_bytes;
    ckpt_copy_begin(&r.writer, to, e);
    err = ckpt_walk_on(&store, e, &v, progress_begin("copying"), &walked);
    progress_end();
    if (!err)
        err = ckpt_copy_end(&r.writer);
    ckpt_abort(&r.writer);
    if (!err)
        to->table[to->count++] = r.writer.entry;
    return err;
}

bool reseal_checkpoints(struct store *to)
{
    for (uint32_t i = 0; i < store_count(&store); i++) {
        const struct disk_entry *e = store_entry(&store, i);
        enum err err = reseal_one(to, e);
        if (err == E_CHECKSUM || err == E_TRUNCATED)
            say("%s: checkpoint %" PRIu64 " is damaged (%s); take it out first: sojstore repair %s --drop-damaged",
                opt.path, e->id, err_name(err), opt.path);
        else if (err == E_FULL)
            say("%s: checkpoint %" PRIu64
                " does not fit; sealed records take 28 bytes more, and free room in one piece",
                opt.to, e->id);
        else if (err)
            say("checkpoint %" PRIu64 ": %s (%s); copy to another place", e->id, err_text(err), err_name(err));
        if (err)
            return false;
    }
    return true;
}

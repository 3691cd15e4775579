/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See merging.h. */
#include "kernel/merging.h"

#include "ckpt/store_merge.h"
#include "kernel/auto_plan.h"
#include "kernel/checkpoint.h"
#include "kernel/guest.h"
#include "kernel/saving.h"
#include "log.h"

static struct ckpt_merge merge;

enum err merging_take_out(uint64_t id)
{
    size_t bytes;
    uint8_t *seen = checkpoint_seen(&bytes);
    const struct ckpt_progress *turns = saving_turns_begin();
    enum err e = ckpt_merge_begin(&merge, checkpoint_store(), id, seen, bytes, turns);
    while (!e && !merge.done)
        e = ckpt_merge_step(&merge, MERGE_SLICE_BYTES, turns);
    saving_turns_end();
    if (e)
        log_line("ckpt", "merge of %llu: %s", (unsigned long long)id, err_name(e));
    return e;
}

void merging_shorten(uint64_t keep, uint64_t most)
{
    struct store *s = checkpoint_store();
    enum err e = E_OK;
    for (uint64_t id; !e && guest.mode == MODE_VIRTUAL && (id = store_rest(s)) != 0;)
        e = merging_take_out(id);
    for (uint64_t id; !e && guest.mode == MODE_VIRTUAL && (id = auto_plan_surplus(s, keep, most)) != 0; most = keep + 1)
        e = merging_take_out(id);
}
